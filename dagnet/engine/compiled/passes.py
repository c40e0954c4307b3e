"""Whole passes: everything that happens to a tile of rows, in one call and one tile's memory.

For programs that are one sweep, with neither matrix products nor NumPy's activations.
"""

# ruff: noqa: ANN001, ANN201, ANN202 - Numba infers types and takes arguments by position
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from dagnet.engine.compiled.caching import INNER, kernel
from dagnet.engine.compiled.calls import call_elementwise, call_loss, own_numbers
from dagnet.engine.compiled.fused import leave_inputs, load_inputs_of, walking, whole_pass
from dagnet.engine.compiled.kernels import (
    load_columns,
    load_inputs,
    load_tile,
    named_in,
    store_tile,
    tile_kernels,
    tile_of,
)
from dagnet.engine.compiled.opened import Reverse, State, Tile, opened
from dagnet.plan import ACTIVATE

FEW = 4
"""Rows up to which a row at a time beats a tile that is mostly empty."""
_ACTIVATE = ACTIVATE


@numba.njit(**{**INNER, "fastmath": {"contract"}})
def _forward_row(program, theta, state):
    """All steps for one row, a number a unit; sums in the same order as in a tile, so the same bits.

    Indices are unsigned: of a signed one Numba asks each time whether it counts from the end.
    """
    steps, functions, zero = program.steps, program.functions, state.dtype.type(0)
    for number in range(np.uint64(len(steps))):
        first, last = np.uint64(steps[number, 2]), np.uint64(steps[number, 3])
        if steps[number, 0] == _ACTIVATE:
            what = np.uint64(steps[number, 1])
            function, m = (functions[what, 0], functions[what, 1]), program.learned_counts[what]
            if m > 0:
                for unit in range(first, last):
                    own = own_numbers(function, theta, program.learned_slot[unit], m)
                    call_elementwise(own, state, np.int64(unit), 1)
            else:
                call_elementwise(function, state, np.int64(first), np.int64(last - first))
            continue
        for unit in range(first, last):
            slot = program.bias_slot[unit]
            total = theta[np.uint64(slot)] if slot >= 0 else zero
            start, stop = np.uint64(program.indptr[unit]), np.uint64(program.indptr[unit + np.uint64(1)])
            for k in range(start, stop):
                total = total + theta[k] * state[np.uint32(program.sources[k])]
            state[unit] = total


@kernel
def evaluate_few(table, inputs, theta, outputs, state):
    """All steps for a row at a time, with the memory of one; whether an input is NaN."""
    program, some_nan = opened(table), False
    for row in range(len(inputs)):
        for unit in range(inputs.shape[1]):
            state[unit] = inputs[row, unit]
            some_nan |= state[unit] != state[unit]
        _forward_row(program, theta, state)
        for column in range(len(program.outputs)):
            outputs[row, column] = state[program.outputs[column]]
    return some_nan


@kernel
def lose(loss, arrays, block, rows, room, layout):
    """Of a block of heads, for this part's tiles: ∂/∂a of their outputs goes to δ, Σwℓ is added to sums.

    ``arrays``: values, δ; ``block``: units and columns of y (heads, width), columns of the weights and shares
    (heads,), the target in place of a missing one, sums (heads,); ``rows``: all targets and weights.
    ``room`` is for a tile's targets, and for targets and weights of a head.
    """
    units, columns, of_weights, shares, filler, sums = block
    state, (targets, weights) = State(arrays[0], arrays[1], arrays[0]), rows
    _, _, stride, lanes, n_rows, part, parts = layout
    size, width = targets.shape[1] * lanes, units.shape[1]
    wanted, own, factor = room[:size], room[size:-lanes], room[-lanes:]
    for number in range(part, (n_rows + lanes - 1) // lanes, parts):
        first, tile = number * lanes, tile_of(layout, number)
        load_tile(targets[first : first + tile.there], wanted, 0, lanes, lanes)
        for head in range(len(units)):
            fresh = head == 0 or of_weights[head] != of_weights[head - 1]
            for k in range(width):
                fresh |= columns[head, k] != columns[head - 1, k]
            for row in range(tile.there if fresh else 0):
                factor[row] = weights[first + row, of_weights[head]]
            for k in range(width if fresh else 0):
                to, given = own[k * lanes : (k + 1) * lanes], wanted[columns[head, k] * lanes :]
                for row in range(lanes):
                    missing = given[row] != given[row]
                    to[row] = filler if missing else given[row]
                    factor[row] = 0 if missing else factor[row]
            sums[head] += call_loss(loss, state, tile, (units[head], units[head], width), (own, factor))
            for k in range(width):
                here = tile.base + units[head, k] * stride
                deltas = state.deltas[here : here + lanes]
                for row in range(lanes):
                    deltas[row] *= shares[head]


@numba.njit(**INNER)
def _copied(values, first, into, place, n):
    """Some numbers into another place."""
    to, numbers = into[place : place + n], values[first : first + n]
    for k in range(n):
        to[k] = numbers[k]


class Kernels(NamedTuple):
    """What runs all plans of a kind, tile after tile."""

    forward_sweep: Any
    backward_sweep: Any
    evaluate: Any
    evaluate_cones: Any
    loss_and_gradient: Any


def kernels_of_tiles(  # noqa: C901 - it only holds them
    module: str, tiles: list[Any], load: Any = load_inputs_of, leave: Any = leave_inputs
) -> Kernels:
    """Kernels from those of a tile, forth and back; ``load`` and ``leave`` are a training step's ends."""
    forward, backward = tiles
    walk_part = walking(module, forward, backward, load, leave)

    def forward_sweep(table, theta, arrays, layout, span):
        """Steps ``begin`` … ``end`` − 1 of the span, for this part's tiles; ``arrays``: values, z."""
        program, state = opened(table), State(arrays[0], arrays[0], arrays[1])
        _, _, _, lanes, n_rows, part, parts = layout
        for number in range(part, (n_rows + lanes - 1) // lanes, parts):
            forward(program, theta, state, tile_of(layout, number), span[0], span[1])

    def backward_sweep(table, found, arrays, layout, steps, units):
        """Some steps back for this part's tiles, then ∂L/∂a of some units.

        ``found``: weights, derivatives; ``arrays``: a, δ, z; ``steps`` and ``units``: first, last + 1.
        """
        program = opened(table)
        walk, state = Reverse(*found), State(arrays[0], arrays[1], arrays[2])
        _, _, _, lanes, n_rows, part, parts = layout
        for number in range(part, (n_rows + lanes - 1) // lanes, parts):
            backward(program, walk, state, tile_of(layout, number), steps, units)

    def evaluate(table, given, theta, outputs, values, share):
        """All steps for a part's rows, with the memory of one tile; whether an input is NaN.

        ``given``: see :func:`load_inputs` and :func:`load_columns`; ``share``: part, parts, rows of a tile.
        """
        program, n_rows, some_nan = opened(table), len(outputs), False
        (part, parts, lanes), by_columns = share, len(given[1]) == 2
        state = State(values, values, values[:0])  # no z is kept
        for number in range(part, (n_rows + lanes - 1) // lanes, parts):
            first = number * lanes
            there = min(lanes, n_rows - first)
            tile = Tile(0, 0, lanes, lanes, there, first)
            if by_columns:
                some_nan |= load_columns(given, values, tile)
            else:
                some_nan |= load_inputs(given, values, tile, (number == part, True))
            for one in program.parts:  # a part's units stand where the first one's do
                here, columns = Tile(-one[0] * lanes, 0, lanes, lanes, there, first), (one[3], one[4])
                forward(program, theta, state, here, one[1], one[2])
                store_tile(values, here, program.outputs, columns, outputs[first : first + there])
            if not by_columns:
                load_inputs(given, values, tile, (False, False))
        return some_nan

    def evaluate_cones(table, theta, arrays, layout, cones):
        """What one unit has where others have given values, with the memory of one tile.

        ``arrays``: values, those given, memory, results (cones, rows); ``cones``: where each one's steps
        begin, its given units, where these begin, the one unit.
        """
        program, (values, given, memory, found) = opened(table), arrays
        parts_at, units, units_at, unit = cones
        state, (block, _, _, lanes, n_rows, part, parts) = State(memory, memory, memory[:0]), layout
        for number in range(part, (n_rows + lanes - 1) // lanes, parts):
            row, base = number * lanes, number * block
            there = min(lanes, n_rows - row)
            _copied(values, base, memory, 0, block)
            for cone in range(len(parts_at) - 1):
                begin, end = parts_at[cone], parts_at[cone + 1]
                start, stop = units_at[cone], units_at[cone + 1]
                for k in range(start, stop):
                    _copied(given[k], row, memory, units[k] * lanes, there)
                forward(program, theta, state, Tile(0, 0, lanes, lanes, there, row), begin, end)
                _copied(memory, unit * lanes, found[cone], row, there)
                for k in range(start, stop):
                    _copied(values, base + units[k] * lanes, memory, units[k] * lanes, lanes)
                for k in range(begin, end):
                    first, last = program.runs[k, 2], program.runs[k, 3]
                    if program.runs[k, 0] == _ACTIVATE:
                        _copied(values, base + first * lanes, memory, first * lanes, (last - first) * lanes)

    def loss_and_gradient(table, theta):
        return whole_pass(table, theta, walk_part)

    made = forward_sweep, backward_sweep, evaluate, evaluate_cones, loss_and_gradient
    return Kernels(*(kernel(named_in(module, function)) for function in made))


PLAIN = kernels_of_tiles(__name__, tile_kernels(__name__))
