"""A tile of rows through runs of a plan's steps, forth and back, without Python in between.

A kernel is generic over plan arrays, so a new network never compiles anything; machine code is
cached on disk.  State is flat: unit u's rows of a tile start at ``tile · block + u · stride``.  A
kernel does tiles ``part``, ``part + parts``, … of the rows; ``lanes`` rows are a tile, and lanes of
the last tile that have no row hold 0.  ``layout`` is (block, pre_block, stride, lanes, rows, part, parts).
"""

# ruff: noqa: ANN001, ANN201, ANN202 - Numba infers types and takes arguments by position
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numba

from dagnet.engine.compiled.addresses import call_elementwise, call_slope
from dagnet.engine.compiled.caching import KERNEL, kernel
from dagnet.engine.compiled.microkernels import VECTORS, add_row_sums, pull_back, weighted_sum
from dagnet.engine.compiled.opened import State, Tile, Walk, opened
from dagnet.plan import ACTIVATE, DENSE, SPARSE

TILE_BYTES = VECTORS * 64
CACHED = 4096
"""Numbers that stay in the nearest cache: units are done in runs of so many."""
_ACTIVATE, _DENSE, _SPARSE = ACTIVATE, DENSE, SPARSE


@numba.njit(**KERNEL)
def _begins_with(steps, number, end, first, last):
    """Whether a step activates just the units that a dense step before it computes."""
    same = number < end and steps[number, 2] == first and steps[number, 3] == last
    return same and steps[number, 0] == _ACTIVATE


@numba.njit(**KERNEL)
def _add_biases(program, theta, values, tile, first, last):
    base, _, stride, lanes, _ = tile
    for unit in range(first, last):
        slot = program.bias_slot[unit]
        if slot >= 0:
            row, bias = values[base + unit * stride : base + unit * stride + lanes], theta[slot]
            for lane in range(lanes):
                row[lane] += bias


@numba.njit(**KERNEL)
def _activate(program, what, state, tile, first, last):
    """A = g(z) for some units, z kept where a derivative needs it."""
    base, pre_base, stride, lanes, there = tile
    values, function, numbers = state.values, program.functions[what, 0], program.functions[what, 1]
    if len(state.pre) > 0 and program.pre_place[first] >= 0:
        for unit in range(first, last):
            here, kept = base + unit * stride, pre_base + program.pre_place[unit] * stride
            state.pre[kept : kept + lanes] = values[here : here + lanes]
    if stride == lanes:
        call_elementwise(function, numbers, values, base + first * stride, (last - first) * stride)
    else:
        for unit in range(first, last):
            call_elementwise(function, numbers, values, base + unit * stride, lanes)
    if there < lanes:
        for unit in range(first, last):
            values[base + unit * stride + there : base + unit * stride + lanes] = 0


@numba.njit(**KERNEL)
def forward_tile(program, theta, state, tile, begin, end):
    """Steps ``begin`` … ``end`` − 1 for one tile."""
    base, _, stride, _, _ = tile
    steps, values = program.steps, state.values
    zero, near = values.dtype.type(0), max(4, CACHED // stride // 4 * 4)
    for number in range(begin, end):
        kind, what, first, last = steps[number, 0], steps[number, 1], steps[number, 2], steps[number, 3]
        if kind == _SPARSE:
            for unit in range(first, last):
                slot = program.bias_slot[unit]
                bias = theta[slot] if slot >= 0 else zero
                start, stop, place = program.indptr[unit], program.indptr[unit + 1], base + unit * stride
                weighted_sum(values, base, stride, program.sources, theta, start, stop, bias, place)
            continue
        if kind == _DENSE:
            if not _begins_with(steps, number + 1, end, first, last):
                _add_biases(program, theta, values, tile, first, last)
            continue
        biased = number > begin and steps[number - 1, 0] == _DENSE
        biased = biased and _begins_with(steps, number, end, steps[number - 1, 2], steps[number - 1, 3])
        stop = first
        while stop < last:  # a range with a step would cost a division
            start, stop = stop, min(stop + near, last)
            if biased:
                _add_biases(program, theta, values, tile, start, stop)
            _activate(program, what, state, tile, start, stop)


@numba.njit(**KERNEL)
def tile_of(layout, number):
    """The tile of a number."""
    block, pre_block, stride, lanes, n_rows, _, _ = layout
    return Tile(number * block, number * pre_block, stride, lanes, min(lanes, n_rows - number * lanes))


@kernel
def forward_sweep(table, theta, arrays, layout, span):
    """Steps ``begin`` … ``end`` − 1 of the span, for this part's tiles; ``arrays``: values, z."""
    program, state = opened(table), State(arrays[0], arrays[0], arrays[1])
    _, _, _, lanes, n_rows, part, parts = layout
    for number in range(part, (n_rows + lanes - 1) // lanes, parts):
        forward_tile(program, theta, state, tile_of(layout, number), span[0], span[1])


@numba.njit(**KERNEL)
def pull_tile(program, walk, state, tile, begin, end):
    """∂L/∂a of units ``begin`` … ``end`` − 1 over their sparse children, last first.

    The derivatives of those edges' weights are found on the way.
    """
    base, _, stride, _, _ = tile
    for unit in range(end - 1, begin - 1, -1):
        start, stop, started = program.indptr_out[unit], program.indptr_out[unit + 1], program.started[unit]
        if start < stop or started == 0:
            pull_back(
                *(state.deltas, state.values, base, stride, unit),
                *(program.children, walk.weights, walk.gradient, start, stop, started),
            )


@numba.njit(**KERNEL)
def _add_bias_gradients(walk, deltas, tile, first, last):
    base, _, stride, lanes, _ = tile
    sums, rest = walk.bias_gradient, first
    if lanes * deltas.itemsize == TILE_BYTES:
        rest = last - (last - first) % 4
        for unit in range(first, rest, 4):
            add_row_sums(deltas, base + unit * stride, stride, sums, unit)
    for unit in range(rest, last):
        row, total = deltas[base + unit * stride : base + unit * stride + lanes], sums[unit]
        for lane in range(lanes):
            total += row[lane]
        sums[unit] = total


@numba.njit(**KERNEL)
def _times_slope(program, what, state, tile, first, last):
    """δ = ∂L/∂a · g'(z) for some units."""
    base, pre_base, stride, lanes, there = tile
    slope, numbers = program.slopes[what, 0], program.slopes[what, 1]
    values, deltas, pre_place = state.values, state.deltas, program.pre_place
    if stride == lanes and pre_place[first] < 0:
        place, n = base + first * stride, (last - first) * stride
        call_slope(slope, numbers, values, values, deltas, place, place, n)
    else:
        for unit in range(first, last):
            here = base + unit * stride
            if pre_place[unit] >= 0:
                kept = pre_base + pre_place[unit] * stride
                call_slope(slope, numbers, state.pre, values, deltas, kept, here, lanes)
            else:
                call_slope(slope, numbers, values, values, deltas, here, here, lanes)
    if there < lanes or not program.all_needed:
        for unit in range(first, last):
            here = base + unit * stride
            deltas[here + (there if program.needs_delta[unit] else 0) : here + lanes] = 0


@numba.njit(**KERNEL)
def backward_tile(program, walk, state, tile, begin, end):
    """The activation steps among ``begin`` … ``end`` − 1, last first, for one tile.

    Each unit first pulls ∂L/∂a over its sparse children.  Then δ = ∂L/∂a · g'(z).
    """
    steps, near = program.steps, max(4, CACHED // tile.stride // 4 * 4)
    for number in range(end - 1, begin - 1, -1):
        if steps[number, 0] != _ACTIVATE:
            continue
        what, first, last = steps[number, 1], steps[number, 2], steps[number, 3]
        pull_tile(program, walk, state, tile, first, last)
        stop = first
        while stop < last:  # a range with a step would cost a division
            start, stop = stop, min(stop + near, last)
            _times_slope(program, what, state, tile, start, stop)
            _add_bias_gradients(walk, state.deltas, tile, start, stop)


@kernel
def backward_sweep(table, found, arrays, layout, span):
    """The same for this part's tiles; ``found``: weights, derivatives; ``arrays``: a, δ, z."""
    program = opened(table)
    walk, state = Walk(found[0], found[1], found[2]), State(arrays[0], arrays[1], arrays[2])
    _, _, _, lanes, n_rows, part, parts = layout
    for number in range(part, (n_rows + lanes - 1) // lanes, parts):
        backward_tile(program, walk, state, tile_of(layout, number), span[0], span[1])


@kernel
def pull_units(table, found, arrays, layout, span):
    """:func:`pull_tile` for this part's tiles."""
    program = opened(table)
    walk, state = Walk(found[0], found[1], found[2]), State(arrays[0], arrays[1], arrays[2])
    _, _, _, lanes, n_rows, part, parts = layout
    for number in range(part, (n_rows + lanes - 1) // lanes, parts):
        pull_tile(program, walk, state, tile_of(layout, number), span[0], span[1])
