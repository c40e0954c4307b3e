"""Whole passes: everything that happens to a tile of rows, in one call and one tile's memory.

For programs that are one sweep, with neither matrix products nor NumPy's activations.  To take
few arguments is most of the speed where the network is small, so a kernel gets a *table*: the
addresses of the program's arrays and their lengths.
"""

# ruff: noqa: ANN001, ANN201, ANN202 - Numba infers types and takes arguments by position
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numba
import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from dagnet.engine.compiled.addresses import (
    bool_at,
    byte_at,
    call_elementwise,
    call_loss,
    int32_at,
    int64_at,
    uint32_at,
    uint64_at,
)
from dagnet.engine.compiled.caching import KERNEL, kernel
from dagnet.engine.compiled.copies import load_tile, store_tile
from dagnet.engine.compiled.kernels import backward_tile, forward_tile, pull_tile
from dagnet.engine.compiled.segments import Program
from dagnet.plan import ACTIVATE

__all__ = ["FEW", "combine", "evaluate", "lose", "loss_and_gradient", "memory_of", "table_of"]

FEW = 4
"""Rows up to which a row at a time beats a tile that is mostly empty."""
_ACTIVATE = ACTIVATE
ARRAYS = (
    *("steps", "indptr", "sources", "bias_slot", "no_place", "functions", "outputs"),
    *("indptr_out", "children", "slots_out", "slots", "places", "started", "needs_delta"),
    *("slopes", "pre_place"),
)
"""The program's arrays in the order of the table; numbers follow."""
STEPS, INDPTR, SOURCES, BIAS_SLOT, NO_PLACE, FUNCTIONS, OUTPUTS = range(7)
INDPTR_OUT, CHILDREN, SLOTS_OUT, SLOTS, PLACES, STARTED, NEEDS_DELTA = range(7, 14)
SLOPES, PRE_PLACE = range(14, 16)
N_STEPS, N_UNITS, N_EDGES, N_FUNCTIONS, N_OUTPUTS, N_WALKED, N_PRE, ALL_NEEDED, TO_INPUTS = range(16, 25)


def table_of(program: Program) -> NDArray[np.int64]:
    """Valid as long as the program lives."""
    numbers = (
        *(len(program.steps), program.plan.n_units, len(program.sources), len(program.functions)),
        *(len(program.outputs), len(program.slots_out), program.n_pre),
        *(program.all_needed, program.walks_to_inputs),
    )
    return np.array([*(getattr(program, name).ctypes.data for name in ARRAYS), *numbers], np.int64)


@register_jitable
def _padded(n):
    """A length that leaves what follows on a cache line."""
    return (n + 15) // 16 * 16


def memory_of(program: Program, lanes: int) -> int:
    """How many numbers a thread's memory of :func:`loss_and_gradient` holds."""
    n_units, n_walked = program.plan.n_units, len(program.slots_out)
    by_rows = 2 * n_units + program.n_pre + len(program.outputs)
    return int(by_rows * lanes + 2 * _padded(n_walked) + _padded(n_units))


@numba.njit(**{**KERNEL, "fastmath": {"contract"}})
def _forward_row(steps, indptr, sources, theta, bias_slot, functions, state):
    """All steps for one row, a number a unit; sums in the same order as in a tile, so the same bits."""
    zero = state.dtype.type(0)
    for number in range(len(steps)):
        first, last = steps[number, 2], steps[number, 3]
        if steps[number, 0] == _ACTIVATE:
            what = steps[number, 1]
            call_elementwise(functions[what, 0], functions[what, 1], state, first, last - first)
            continue
        for unit in range(first, last):
            slot = bias_slot[unit]
            total = theta[slot] if slot >= 0 else zero
            for k in range(indptr[unit], indptr[unit + 1]):
                total = total + theta[k] * state[sources[k]]
            state[unit] = total


@numba.njit(**KERNEL)
def _sweep_tile(table, theta, state, pre, pre_place, lanes, there):
    """All steps for one tile."""
    n_units = table[N_UNITS]
    forward_tile(
        numba.carray(int64_at(table[STEPS]), (table[N_STEPS], 4)),
        0,
        table[N_STEPS],
        numba.carray(int64_at(table[INDPTR]), n_units + 1),
        numba.carray(int32_at(table[SOURCES]), table[N_EDGES]),
        theta,
        numba.carray(int64_at(table[BIAS_SLOT]), n_units),
        state,
        pre,
        pre_place,
        numba.carray(int64_at(table[FUNCTIONS]), (table[N_FUNCTIONS], 2)),
        0,
        0,
        lanes,
        lanes,
        there,
    )


@kernel
def evaluate(table, inputs, theta, outputs, lanes, part, parts):
    """All steps for all rows, with the memory of one tile; whether an input is NaN."""
    n_units, n_rows = table[N_UNITS], len(inputs)
    units = numba.carray(int64_at(table[OUTPUTS]), table[N_OUTPUTS])
    some_nan = False
    if n_rows <= FEW:
        steps = numba.carray(uint64_at(table[STEPS]), (table[N_STEPS], 4))
        indptr = numba.carray(uint64_at(table[INDPTR]), n_units + 1)
        sources = numba.carray(uint32_at(table[SOURCES]), table[N_EDGES])
        bias_slot = numba.carray(int64_at(table[BIAS_SLOT]), n_units)
        functions = numba.carray(int64_at(table[FUNCTIONS]), (table[N_FUNCTIONS], 2))
        state = np.empty(n_units, theta.dtype)
        for row in range(n_rows):
            for unit in range(inputs.shape[1]):
                state[unit] = inputs[row, unit]
                some_nan |= np.isnan(state[unit])
            _forward_row(steps, indptr, sources, theta, bias_slot, functions, state)
            for column in range(len(units)):
                outputs[row, column] = state[units[column]]
        return some_nan
    state = np.empty(n_units * lanes, theta.dtype)
    no_place = numba.carray(int64_at(table[NO_PLACE]), n_units)
    for tile in range(part, (n_rows + lanes - 1) // lanes, parts):
        first = tile * lanes
        there = min(lanes, n_rows - first)
        some_nan |= load_tile(inputs[first : first + there], state, 0, lanes, lanes)
        _sweep_tile(table, theta, state, state, no_place, lanes, there)
        store_tile(state, 0, lanes, units, outputs[first : first + there])
    return some_nan


@numba.njit(**KERNEL)
def _loss_of_tile(loss, places, state, base, targets, factor, deltas, wanted, first, there, lanes):
    """Σ factor·ℓ over the rows of a tile; ∂/∂a of the outputs goes to ``deltas``."""
    rows = targets[first : first + there]
    for column in range(len(places)):
        run = wanted[column * lanes : column * lanes + there]
        for row in range(there):
            run[row] = rows[row, column]
        here = base + places[column]
        deltas[here + there : here + lanes] = 0
    return call_loss(loss, state, base, places, wanted, factor, first, deltas, there)


@kernel
def lose(loss, places, state, deltas, block, lanes, targets, factor, wanted, part, parts):
    """The same for tiles ``part``, ``part + parts``, …; ``places`` are where the outputs begin in a tile.

    ``wanted`` is room for a tile's targets, (output units · lanes,).
    """
    total = 0.0
    for tile in range(part, (len(targets) + lanes - 1) // lanes, parts):
        first = tile * lanes
        there = min(lanes, len(targets) - first)
        total += _loss_of_tile(
            loss, places, state, tile * block, targets, factor, deltas, wanted, first, there, lanes
        )
    return total


@numba.njit(**KERNEL)
def _walk_tile(
    table, weights, gradient, bias_gradient, state, deltas, pre, pre_place, n_inputs, there, lanes
):
    """All steps back for one tile, the inputs' own children last."""
    n_units = table[N_UNITS]
    indptr_out = numba.carray(int64_at(table[INDPTR_OUT]), n_units + 1)
    children = numba.carray(int32_at(table[CHILDREN]), table[N_WALKED])
    started = numba.carray(byte_at(table[STARTED]), n_units)
    backward_tile(
        numba.carray(int64_at(table[STEPS]), (table[N_STEPS], 4)),
        0,
        table[N_STEPS],
        indptr_out,
        children,
        weights,
        gradient,
        bias_gradient,
        started,
        numba.carray(bool_at(table[NEEDS_DELTA]), n_units),
        table[ALL_NEEDED] != 0,
        state,
        deltas,
        pre,
        pre_place,
        numba.carray(int64_at(table[SLOPES]), (table[N_FUNCTIONS], 2)),
        0,
        0,
        lanes,
        lanes,
        there,
    )
    if table[TO_INPUTS] != 0:
        pull_tile(0, n_inputs, indptr_out, children, weights, gradient, started, state, deltas, 0, lanes)


@kernel
def loss_and_gradient(
    table, loss, places_out, inputs, targets, factor, theta, memory, into, lanes, part, parts
):
    """Forward, loss and backward for tiles ``part``, ``part + parts``, … of the rows; their loss.

    ``loss`` is the compiled loss, (address, numbers), ``places_out`` where the outputs begin in a tile,
    ``factor`` (rows,) what each row counts, ``memory`` this thread's own, of :func:`memory_of` numbers.
    ∂/∂theta goes to ``into`` (slots,).
    """
    n_units, n_walked = table[N_UNITS], table[N_WALKED]
    slots_out = numba.carray(uint32_at(table[SLOTS_OUT]), n_walked)
    slots = numba.carray(uint32_at(table[SLOTS]), n_walked)
    places = numba.carray(uint32_at(table[PLACES]), n_walked)
    bias_slot = numba.carray(int64_at(table[BIAS_SLOT]), n_units)
    pre_place = numba.carray(int64_at(table[PRE_PLACE]), n_units)
    at = n_units * lanes
    state, deltas, at = memory[:at], memory[at : 2 * at], 2 * at
    pre, at = memory[at : at + table[N_PRE] * lanes], at + table[N_PRE] * lanes
    wanted, at = memory[at : at + table[N_OUTPUTS] * lanes], at + table[N_OUTPUTS] * lanes
    weights, at = memory[at : at + n_walked], at + _padded(n_walked)
    gradient, at = memory[at : at + n_walked], at + _padded(n_walked)
    bias_gradient = memory[at : at + n_units]
    for k in range(n_walked):
        weights[k] = theta[slots_out[k]]
    gradient[:] = 0
    bias_gradient[:] = 0
    total = 0.0
    for tile in range(part, (len(inputs) + lanes - 1) // lanes, parts):
        first = tile * lanes
        there = min(lanes, len(inputs) - first)
        load_tile(inputs[first : first + there], state, 0, lanes, lanes)
        _sweep_tile(table, theta, state, pre, pre_place, lanes, there)
        total += _loss_of_tile(
            loss, places_out, state, 0, targets, factor, deltas, wanted, first, there, lanes
        )
        _walk_tile(
            table,
            weights,
            gradient,
            bias_gradient,
            state,
            deltas,
            pre,
            pre_place,
            inputs.shape[1],
            there,
            lanes,
        )
    for k in range(n_walked):
        into[slots[k]] = gradient[places[k]]
    for unit in range(n_units):
        if bias_slot[unit] >= 0:
            into[bias_slot[unit]] = bias_gradient[unit]
    return total


@kernel
def combine(into, others):
    """``into += Σ others`` (threads, slots), always in the same order."""
    for part in range(len(others)):
        for k in range(len(into)):
            into[k] += others[part, k]
