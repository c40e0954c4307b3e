"""Dropout in tiles: the kernels of :mod:`dagnet.engine.compiled.kernels` with DROP steps among theirs.

What a mask keeps follows :func:`dagnet.hashing.kept`, to the bit.  A dropped value is −0, a kept one never:
so the way back knows the mask without drawing it again, and no memory is needed for it.
"""

# ruff: noqa: ANN001, ANN201, ANN202, ARG001 - Numba infers types and takes arguments by position
# mypy: disable-error-code="no-untyped-def,misc"

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dagnet import hashing
from dagnet.engine.compiled.caching import INNER, kernel
from dagnet.engine.compiled.kernels import (
    CACHED,
    add_bias_gradients,
    forward_tile,
    pull_tile,
    push_step,
    tile_of,
    times_slope,
)
from dagnet.engine.compiled.opened import Reverse, State, opened
from dagnet.engine.compiled.passes import whole_pass
from dagnet.plan import ACTIVATE, DROP

_ACTIVATE, _DROP = ACTIVATE, DROP
U32, U64 = np.uint32, np.uint64
STRIDE, FIRST, SECOND = hashing.STRIDE, hashing.FIRST, hashing.SECOND
MIX = U64(0xBF58476D1CE4E5B9), U64(0x94D049BB133111EB)
EXACT = {**INNER, "fastmath": {"contract"}}
"""With signs of zeros."""


@intrinsic
def _times(typingctx, a, b):
    """The lower 32 bits of a product; Numba's own is of 64."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.mul(*args)

    return types.uint32(types.uint32, types.uint32), codegen


@intrinsic
def _is_marked(typingctx, x):
    """Whether a number is −0."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        width = 64 if sig.args[0] == types.float64 else 32
        bits = builder.bitcast(args[0], ir.IntType(width))
        return builder.icmp_unsigned("==", bits, ir.Constant(bits.type, 1 << (width - 1)))

    return types.boolean(x), codegen


@numba.njit(**EXACT)
def _mixed(key):
    """As :func:`dagnet.hashing.mixed`."""
    key = (key ^ (key >> U64(30))) * MIX[0]
    key = (key ^ (key >> U64(27))) * MIX[1]
    return key ^ (key >> U64(31))


@numba.njit(**EXACT)
def _word(place, low, high):
    """32 bits of a word of sixteen rows' two halves."""
    bits = U32(_times(U32(place), STRIDE) + low)
    bits = U32(_times(U32(bits ^ (bits >> U32(16))), FIRST) ^ high)
    bits = _times(U32(bits ^ (bits >> U32(13))), SECOND)
    return U32(bits ^ (bits >> U32(16)))


@numba.njit(**EXACT)
def _dropped(value, scale, zero, keeps):
    """The value times the scale, never −0, or −0."""
    return value * scale + zero if keeps else -zero


@numba.njit(**EXACT)
def _drop(program, values, tile, number):
    """A DROP step for one tile."""
    what, first, last = program.steps[number, 1], program.steps[number, 2], program.steps[number, 3]
    rate = program.rates[what]
    least, scale = U32(min(round(rate * 65536), 65535)), values.dtype.type(1 / (1 - rate))
    zero = values.dtype.type(0)
    for unit in range(first, last):
        key = _mixed(program.key[0] + program.unit_hashes[unit])
        low, high = U32(key & U64(0xFFFFFFFF)), U32(key >> U64(32))
        place = tile.base + unit * tile.stride
        for start in range(0, tile.lanes, 16):
            row = tile.row + start + np.int64(program.key[1])
            words, run = (row >> 5) * 16, values[place + start : place + start + 16]
            if row & 31 == 0 and start + 32 <= tile.lanes:
                both = values[place + start : place + start + 32]
                for lane in range(16):
                    bits = _word(words + lane, low, high)
                    both[lane] = _dropped(both[lane], scale, zero, U32(bits & U32(0xFFFF)) >= least)
                    both[lane + 16] = _dropped(both[lane + 16], scale, zero, U32(bits >> U32(16)) >= least)
            elif row & 31 == 16 and start >= 16:
                continue
            else:
                shift = U32(row & 16)
                for lane in range(16):
                    bits = _word(words + lane, low, high)
                    run[lane] = _dropped(run[lane], scale, zero, U32((bits >> shift) & U32(0xFFFF)) >= least)


@numba.njit(**INNER)
def forward_dropping(program, theta, state, tile, begin, end):
    """Steps ``begin`` … ``end`` − 1 for one tile."""
    start = begin
    for number in range(begin, end + 1):
        if number < end and program.steps[number, 0] != _DROP:
            continue
        forward_tile(program, theta, state, tile, start, number)
        if number < end:
            _drop(program, state.values, tile, number)
        start = number + 1


@numba.njit(**EXACT)
def _restored(program, values, tile, number):
    """What a DROP step kept as it was before; −0 stays."""
    back = values.dtype.type(1 - program.rates[program.steps[number, 1]])
    for unit in range(program.steps[number, 2], program.steps[number, 3]):
        place = tile.base + unit * tile.stride
        run = values[place : place + tile.lanes]
        for lane in range(tile.lanes):
            run[lane] *= back


@numba.njit(**EXACT)
def _masked(program, state, tile, number, start, stop):
    """δ of some units of a DROP step times what their values were multiplied by."""
    scale = state.values.dtype.type(1 / (1 - program.rates[program.steps[number, 1]]))
    zero = state.values.dtype.type(0)
    for unit in range(start, stop):
        place = tile.base + unit * tile.stride
        run, delta = state.values[place : place + tile.lanes], state.deltas[place : place + tile.lanes]
        for lane in range(tile.lanes):
            delta[lane] = zero if _is_marked(run[lane]) else delta[lane] * scale


@numba.njit(**INNER)
def backward_dropping(program, walk, state, tile, begin, end):
    """The activation steps among ``begin`` … ``end`` − 1, last first, for one tile.

    A DROP step is right behind the activation of the same units.
    """
    steps, near = program.steps, max(4, CACHED // tile.stride // 4 * 4)
    for number in range(end - 1, begin - 1, -1):
        if steps[number, 0] != _ACTIVATE:
            push_step(program, walk, state, tile, number)
            continue
        what, first, last = steps[number, 1], steps[number, 2], steps[number, 3]
        drops = number + 1 < len(steps) and steps[number + 1, 0] == _DROP and steps[number + 1, 2] == first
        pull_tile(program, walk, state, tile, first, last)
        if drops:
            _restored(program, state.values, tile, number + 1)
        stop = first
        while stop < last:
            start, stop = stop, min(stop + near, last)
            learns = program.learned_counts[what] > 0
            if drops and learns:  # what is learned reads ∂L/∂a
                _masked(program, state, tile, number + 1, start, stop)
            times_slope(program, walk, what, state, tile, start, stop)
            if drops and not learns:
                _masked(program, state, tile, number + 1, start, stop)
            add_bias_gradients(walk, state, tile, start, stop)


@numba.njit(**INNER)
def forward_tiles(table, theta, arrays, layout, span, forward):
    """Steps of the span for this part's tiles, by a kernel of a tile."""
    program, state = opened(table), State(arrays[0], arrays[0], arrays[1])
    _, _, _, lanes, n_rows, part, parts = layout
    for number in range(part, (n_rows + lanes - 1) // lanes, parts):
        forward(program, theta, state, tile_of(layout, number), span[0], span[1])


@numba.njit(**INNER)
def backward_tiles(table, found, arrays, layout, spans, backward):
    """Some steps back for this part's tiles, by a kernel of a tile, then ∂L/∂a of some units."""
    program, (steps, units) = opened(table), spans
    walk, state = Reverse(found[0], found[1], found[2], found[3], found[4]), State(arrays[0], arrays[1], arrays[2])
    _, _, _, lanes, n_rows, part, parts = layout
    for number in range(part, (n_rows + lanes - 1) // lanes, parts):
        tile = tile_of(layout, number)
        backward(program, walk, state, tile, steps[0], steps[1])
        pull_tile(program, walk, state, tile, units[0], units[1])


@kernel
def forward_sweep(table, theta, arrays, layout, span):
    """As that of :mod:`dagnet.engine.compiled.kernels`."""
    forward_tiles(table, theta, arrays, layout, span, forward_dropping)


@kernel
def backward_sweep(table, found, arrays, layout, steps, units):
    """As that of :mod:`dagnet.engine.compiled.kernels`."""
    backward_tiles(table, found, arrays, layout, (steps, units), backward_dropping)


@kernel
def loss_and_gradient(table, theta):
    """The whole pass of a network that drops values."""
    return whole_pass(table, theta, forward_dropping, backward_dropping)
