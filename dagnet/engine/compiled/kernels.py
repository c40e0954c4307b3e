"""A tile of rows through runs of a plan's steps, forth and back, without Python in between.

A kernel is generic over plan arrays, so a new network never compiles anything; machine code is
cached on disk.  State is flat: unit u's rows of a tile start at ``tile · block + u · stride``.  A
kernel does tiles ``part``, ``part + parts``, … of the rows; ``lanes`` rows are a tile, and lanes of
the last tile that have no row hold 0.  ``layout`` is (block, pre_block, stride, lanes, rows, part, parts).
"""

# ruff: noqa: ANN001, ANN201, ANN202, ARG001 - Numba infers types and takes arguments by position
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from dagnet.engine.compiled.alike import add_derivatives
from dagnet.engine.compiled.caching import INNER, kernel
from dagnet.engine.compiled.calls import call_elementwise, call_learning, call_slope, call_units, own_numbers
from dagnet.engine.compiled.microkernels import add_row_sums
from dagnet.engine.compiled.opened import UNITS, Reverse, State, Tile, numbers_at
from dagnet.engine.compiled.squares import SQUARE, run_into_unit, square_into_rows, square_into_units
from dagnet.engine.compiled.vectors import TILE_BYTES
from dagnet.plan import ACTIVATE, DENSE, SPARSE

CACHED = 4096
"""Numbers that stay in the nearest cache: units are done in runs of so many."""
STREAMS = 2 * SQUARE
"""Rows that are read side by side, for some columns, then the next: memory gives no more at full speed."""
SOON = 16
"""How many columns ahead rows are asked for."""
_ACTIVATE, _DENSE, _SPARSE, _UNITS = ACTIVATE, DENSE, SPARSE, UNITS


@numba.njit(**INNER)
def _begins_with(steps, number, end, first, last):
    """Whether a step activates just the units that a dense step before it computes."""
    same = number < end and steps[number, 2] == first and steps[number, 3] == last
    return same and steps[number, 0] == _ACTIVATE


@numba.njit(**INNER)
def _add_biases(program, theta, values, tile, first, last):
    base, stride, lanes = tile.base, tile.stride, tile.lanes
    for unit in range(first, last):
        slot = program.bias_slot[unit]
        if slot >= 0:
            row, bias = values[base + unit * stride : base + unit * stride + lanes], theta[slot]
            for lane in range(lanes):
                row[lane] += bias


@numba.njit(**INNER)
def _activate(program, theta, what, state, tile, span):
    """A = g(z) for some units, z kept where a derivative needs it."""
    (first, last), (base, pre_base, stride, lanes, there, _) = span, tile
    values, function = state.values, (program.functions[what, 0], program.functions[what, 1])
    if len(state.pre) > 0 and len(program.pre_place) > 0 and program.pre_place[first] >= 0:
        for unit in range(first, last):
            here, kept = base + unit * stride, pre_base + program.pre_place[unit] * stride
            run, z = state.pre[kept : kept + lanes], values[here : here + lanes]
            for row in range(lanes):  # of slices assigned, Numba compiles the words of a refusal, for 2 s
                run[row] = z[row]
    m = program.learned_counts[what]
    if m > 0:
        for unit in range(first, last):
            own = own_numbers(function, theta, program.learned_slot[unit], m)
            call_elementwise(own, values, base + unit * stride, lanes)
    elif stride == lanes:
        call_elementwise(function, values, base + first * stride, (last - first) * stride)
    else:
        for unit in range(first, last):
            call_elementwise(function, values, base + unit * stride, lanes)
    if there < lanes:
        for unit in range(first, last):
            values[base + unit * stride + there : base + unit * stride + lanes] = 0


@numba.njit(**INNER)
def tile_of(layout, number):
    """The tile of a number."""
    block, pre_block, stride, lanes, n_rows, _, _ = layout
    row = number * lanes
    return Tile(number * block, number * pre_block, stride, lanes, min(lanes, n_rows - row), row)


@numba.njit(**INNER)
def add_bias_gradients(walk, state, tile, first, last):
    """∂L/∂bias of some units: the sum of δ over a tile's rows."""
    base, stride, lanes = tile.base, tile.stride, tile.lanes
    sums, deltas, rest = walk.bias_gradient, state.deltas, first
    if lanes * deltas.itemsize <= TILE_BYTES and lanes & (lanes - 1) == 0:
        rest = last - (last - first) % 4
        for unit in range(first, rest, 4):
            add_row_sums(sums, state, tile, unit)
    for unit in range(rest, last):
        row, total = deltas[base + unit * stride : base + unit * stride + lanes], sums[unit]
        for lane in range(lanes):
            total += row[lane]
        sums[unit] = total


@numba.njit(**INNER)
def _learn(program, walk, what, state, tile, span):
    """∂L/∂ what activations learn, then δ, for some units."""
    base, pre_base, stride, _, there, _ = tile
    slope, m = (program.slopes[what, 0], program.slopes[what, 1]), program.learned_counts[what]
    behind = len(program.bias_slot) + program.n_learned - len(walk.theta)
    for unit in range(span[0], span[1]):
        if program.needs_delta[unit]:
            here, slot = base + unit * stride, program.learned_slot[unit]
            kept = pre_base + program.pre_place[unit] * stride
            own = own_numbers(slope, walk.theta, slot, m)
            call_learning(own, state, walk.bias_gradient, (behind + slot, kept, here), there)


@numba.njit(**INNER)
def times_slope(program, walk, what, state, tile, span):
    """δ = ∂L/∂a · g'(z) for some units; what is learned there has its derivatives found."""
    (first, last), (base, pre_base, stride, lanes, there, _) = span, tile
    slope = program.slopes[what, 0], program.slopes[what, 1]
    deltas, pre_place, kept = state.deltas, program.pre_place, len(program.pre_place) > 0
    without_z = State(state.values, deltas, state.values)
    if program.learned_counts[what] > 0:
        _learn(program, walk, what, state, tile, span)
    elif stride == lanes and not (kept and pre_place[first] >= 0):
        place = base + first * stride
        call_slope(slope, without_z, place, place, (last - first) * stride)
    else:
        for unit in range(first, last):
            here = base + unit * stride
            if kept and pre_place[unit] >= 0:
                call_slope(slope, state, pre_base + pre_place[unit] * stride, here, lanes)
            else:
                call_slope(slope, without_z, here, here, lanes)
    if there < lanes or not program.all_needed:
        for unit in range(first, last):
            here = base + unit * stride
            deltas[here + (there if program.needs_delta[unit] else 0) : here + lanes] = 0


@numba.njit(**INNER)
def no_step(program, theta, state, tile, number):
    """Plain plans have no other steps."""


@numba.njit(**INNER)
def not_dropped(program, state, tile, number):
    """Plain plans drop nothing."""
    return False


@numba.njit(**INNER)
def no_mask(program, state, tile, number, start, stop):
    """Plain plans mask nothing."""


def named_in(module: str, function: Any) -> Any:
    """The function as one of a module: machine code of the same name must be the same."""
    function.__module__, function.__qualname__ = module, function.__name__
    return function


def tile_kernels(  # noqa: C901, PLR0915 - it only holds them
    module: str, step: Any = no_step, back: Any = no_step, undropped: Any = not_dropped, masked: Any = no_mask
) -> list[Any]:
    """Kernels that run steps of a tile, forth and back; what plain plans have not is told by other kernels.

    ``step`` and ``back`` run a step of another kind.  ``undropped`` says whether values are dropped behind an
    activation, and then restores what was kept; ``masked`` does to some δ what was done to the values.
    """

    def forward_tile(program, theta, state, tile, begin, end):
        """Steps ``begin`` … ``end`` − 1 for one tile."""
        steps, near = program.runs, max(4, CACHED // tile.stride // 4 * 4)
        for number in range(begin, end):
            kind, what, first, last = steps[number, 0], steps[number, 1], steps[number, 2], steps[number, 3]
            if kind in (_SPARSE, _UNITS):
                code = program.unit_code[what, 0], program.unit_code[what, 2]
                call_units(
                    code, program, Reverse(theta, theta, theta, theta, theta), state, tile, (first, last)
                )
                continue
            if kind == _DENSE:
                if not _begins_with(steps, number + 1, end, first, last):
                    _add_biases(program, theta, state.values, tile, first, last)
                continue
            if kind != _ACTIVATE:
                step(program, theta, state, tile, number)
                continue
            biased = number > begin and steps[number - 1, 0] == _DENSE
            biased = biased and _begins_with(steps, number, end, steps[number - 1, 2], steps[number - 1, 3])
            stop = first
            while stop < last:  # a range with a step would cost a division
                start, stop = stop, min(stop + near, last)
                if biased:
                    _add_biases(program, theta, state.values, tile, start, stop)
                _activate(program, theta, what, state, tile, (start, stop))

    def backward_tile(program, walk, state, tile, span, units):
        """The activation steps of a span, last first, for one tile, then ∂L/∂a of some units.

        Each unit first pulls ∂L/∂a over its sparse children.  Then δ = ∂L/∂a · g'(z).
        """
        steps, near = program.runs, max(4, CACHED // tile.stride // 4 * 4)
        for number in range(span[1] - 1, span[0] - 2, -1):
            what, (first, last) = -1, units
            if number >= span[0]:
                if steps[number, 0] not in (_ACTIVATE, _UNITS):
                    back(program, walk, state, tile, number)
                    continue
                what, first, last = steps[number, 1], steps[number, 2], steps[number, 3]
            if number < span[0] and last <= program.n_inputs and not program.pulls_inputs:
                add_derivatives(program, walk, state, tile, units)
                break
            whole = number >= span[0] and steps[number, 0] == _UNITS
            code = program.unit_code[what if whole else len(program.unit_code) - 1]
            call_units((code[1], code[2]), program, walk, state, tile, (first, last))
            if whole:
                continue
            if number < span[0]:
                break
            drops, learns = undropped(program, state, tile, number), program.learned_counts[what] > 0
            stop = first
            while stop < last:  # a range with a step would cost a division
                start, stop = stop, min(stop + near, last)
                if drops and learns:  # what is learned reads ∂L/∂a
                    masked(program, state, tile, number + 1, start, stop)
                times_slope(program, walk, what, state, tile, (start, stop))
                if drops and not learns:
                    masked(program, state, tile, number + 1, start, stop)
                add_bias_gradients(walk, state, tile, start, stop)

    return [numba.njit(**INNER)(named_in(module, made)) for made in (forward_tile, backward_tile)]


# -- copies: rows into tiles and out of them, vectors into another order --------------------


@numba.njit(**INNER)
def load_tile(rows, state, place, stride, lanes):
    """(rows, units) into runs that begin at ``place`` and every ``stride``; whether a number is NaN."""
    there, n_units, some_nan = len(rows), rows.shape[1], False
    turned = n_units // SQUARE * SQUARE
    for start in range(0, turned, CACHED // 2):
        for group in range(0, lanes, STREAMS):
            unit, pair = start, group + SQUARE < lanes
            while unit < min(start + CACHED // 2, turned):  # a range with a step would cost a division
                here = place + unit * stride + group
                square_into_units(rows, (unit, group, there), n_units, state, (here, stride))
                if pair:
                    second = (unit, group + SQUARE, there)
                    square_into_units(rows, second, n_units, state, (here + SQUARE, stride))
                unit += SQUARE
    for unit in range(turned, n_units):
        run = state[place + unit * stride : place + unit * stride + lanes]
        for row in range(there):
            run[row] = rows[row, unit]
        run[there:] = 0
    for row in range(there):
        for unit in range(n_units):
            some_nan |= rows[row, unit] != rows[row, unit]
    return some_nan


@numba.njit(**INNER)
def load_columns(given, values, tile):
    """A tile's inputs from columns; whether a number is NaN.

    ``given``: how many columns, by an array without rows; where the first begins, and how far apart.
    """
    n_units, step = given[0].shape[1], given[1][1]
    columns = numbers_at(values, given[1][0], (n_units * step,))
    lanes, there, last, some_nan = tile.lanes, tile.there, (n_units - 1) * step + tile.row, False
    full = there // SQUARE * SQUARE
    for unit in range(n_units):
        first, place = unit * step + tile.row, unit * lanes
        for lane in range(0, full, SQUARE):
            later = min(first + SOON * step, last) + lane
            some_nan |= run_into_unit(columns, first + lane, later, values, place + lane)
        for lane in range(full, there):
            values[place + lane] = columns[first + lane]
            some_nan |= columns[first + lane] != columns[first + lane]
        values[place + there : place + lanes] = 0
    return some_nan


@numba.njit(**INNER)
def load_inputs(given, values, tile, how):
    """A tile's inputs, into its memory; whether a number is NaN.

    ``given``: (rows, inputs), and the addresses of a :class:`dagnet.contracts.Compressed` in their place, if
    it is one.  ``how``: whether its tile has nothing yet; if numbers come, or what is absent in their places.
    """
    inputs, addresses = given
    (fresh, come), lanes, there, n = how, tile.lanes, tile.there, (inputs.shape[1],)
    if len(addresses) == 0:
        return come and load_tile(inputs[tile.row : tile.row + there], values, 0, lanes, lanes)
    starts, stops = numbers_at(np.int64, addresses[0], n), numbers_at(np.int64, addresses[1], n)
    columns, numbers = numbers_at(np.int32, addresses[2], n), numbers_at(values, addresses[3], n)
    absent = numbers_at(values, addresses[4], n)
    if fresh or (come and there < lanes):
        for unit in range(len(absent)):
            run = values[unit * lanes : unit * lanes + lanes]
            run[:there] = absent[unit]
            run[there:] = 0
    for row in range(np.uint64(there)):
        at = np.uint64(tile.row) + row
        for k in range(np.uint64(starts[at]), np.uint64(stops[at])):
            column = np.uint64(np.uint32(columns[k]))
            values[column * np.uint64(lanes) + row] = numbers[k] if come else absent[column]
    return False


@numba.njit(**INNER)
def store_tile(state, tile, units, span, rows):
    """A tile's values of some of ``units``, first and last + 1, into their columns of (rows, units)."""
    there, n_units, place, stride = len(rows), len(units), tile.base, tile.stride
    full, turned = there // SQUARE * SQUARE, span[1] - (span[1] - span[0]) % SQUARE
    for row in range(0, full, SQUARE):  # eight at a time: streams that the processor foresees
        for column in range(span[0], turned, SQUARE):
            start = row * n_units + column, n_units
            square_into_rows(state, (place + row, stride), units, column, rows, start)
    for column in range(turned if full == there else span[0], span[1]):
        run = state[place + units[column] * stride : place + units[column] * stride + there]
        for row in range(full if column < turned else 0, there):
            rows[row, column] = run[row]


@kernel
def load_rows(rows, state, units, layout):
    """Copy (rows, units) into some units of this part's tiles; ``layout`` as kernels take it."""
    block, _, stride, lanes, n_rows, part, parts = layout
    for tile in range(part, (n_rows + lanes - 1) // lanes, parts):
        first = tile * lanes
        there = min(lanes, n_rows - first)
        for column in range(len(units)):
            place = tile * block + units[column] * stride
            run = state[place : place + lanes]
            for row in range(there):
                run[row] = rows[first + row, column]
            run[there:] = 0


@kernel
def load_tiles(rows, state, layout):
    """Copy (rows, units) into the first units of this part's tiles."""
    block, _, stride, lanes, n_rows, part, parts = layout
    for tile in range(part, (n_rows + lanes - 1) // lanes, parts):
        first = tile * lanes
        load_tile(rows[first : min(first + lanes, n_rows)], state, tile * block, stride, lanes)


@kernel
def gather(source, places, into):
    """``into[k] = source[places[k]]``."""
    for k in range(len(places)):
        into[k] = source[places[k]]


@kernel
def collect(into, places, parts):
    """``into[places[k]] = Σ over threads of parts[thread, k]``."""
    for k in range(len(places)):
        total = parts[0, k]
        for part in range(1, parts.shape[0]):
            total += parts[part, k]
        into[places[k]] = total


@kernel
def collect_some(into, slots, places, parts):
    """``into[slots[k]] = Σ over threads of parts[thread, places[k]]``."""
    for k in range(len(slots)):
        total = parts[0, places[k]]
        for part in range(1, parts.shape[0]):
            total += parts[part, places[k]]
        into[slots[k]] = total


@kernel
def sum_of_squares(vector):
    """In the vector's own precision."""
    total = vector.dtype.type(0)
    for k in range(len(vector)):
        total += vector[k] * vector[k]
    return float(total)
