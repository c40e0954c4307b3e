"""Dropout in tiles: the kernels of :mod:`dagnet.engine.compiled.kernels` with DROP steps among theirs.

What a mask keeps follows :func:`dagnet.hashing.kept`, to the bit.  A dropped value is −0, a kept one never:
so the way back knows the mask without drawing it again, and no memory is needed for it.
"""

# ruff: noqa: ANN001, ANN201, ANN202, ARG001 - Numba infers types and takes arguments by position
# mypy: disable-error-code="no-untyped-def,misc"

from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba import types

from dagnet import hashing
from dagnet.engine.compiled.blocks import push_block, sum_block
from dagnet.engine.compiled.caching import INNER
from dagnet.engine.compiled.kernels import tile_kernels
from dagnet.engine.compiled.microkernels import microkernel
from dagnet.engine.compiled.passes import kernels_of_tiles
from dagnet.plan import DROP

_DROP = DROP
U32, U64 = np.uint32, np.uint64
STRIDE, FIRST, SECOND = hashing.STRIDE, hashing.FIRST, hashing.SECOND
MIX = U64(0xBF58476D1CE4E5B9), U64(0x94D049BB133111EB)
EXACT = {**INNER, "fastmath": {"contract"}}
"""With signs of zeros."""


@microkernel(lambda *_: types.uint32)
def _times(builder, a, b):
    """The lower 32 bits of a product; Numba's own is of 64."""
    return builder.mul(a, b)


@microkernel(lambda *_: types.boolean)
def _is_marked(builder, x):
    """Whether a number is −0."""
    width = 64 if x.type == ir.DoubleType() else 32
    bits = builder.bitcast(x, ir.IntType(width))
    return builder.icmp_unsigned("==", bits, ir.Constant(bits.type, 1 << (width - 1)))


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
def drop(program, theta, state, tile, number):
    """A DROP step for one tile."""
    values = state.values
    what, first, last = program.runs[number, 1], program.runs[number, 2], program.runs[number, 3]
    rate = program.rates[what]
    least, scale = U32(min(round(rate * 65536), 65535)), values.dtype.type(1 / (1 - rate))
    zero = values.dtype.type(0)
    for unit in range(first, last):
        key = _mixed(program.key[0] + program.unit_hashes[unit])
        low, high = U32(key & U64(0xFFFFFFFF)), U32(key >> U64(32))
        place = tile.base + unit * tile.stride
        for start in range(0, tile.lanes, 16):
            row = tile.row + start + np.int64(program.key[1])
            words = (row >> 5) * 16 + (row & 15)
            run = values[place + start : place + min(start + 16, tile.lanes)]
            if row & 31 == 0 and start + 32 <= tile.lanes:
                both = values[place + start : place + start + 32]
                for lane in range(16):
                    bits = _word(words + lane, low, high)
                    both[lane] = _dropped(both[lane], scale, zero, U32(bits & U32(0xFFFF)) >= least)
                    both[lane + 16] = _dropped(both[lane + 16], scale, zero, U32(bits >> U32(16)) >= least)
            elif row & 31 == 16 and start >= 16:
                continue
            else:
                for lane in range(len(run)):  # the first row may have any number
                    here = row + lane
                    bits = _word((here >> 5) * 16 + (here & 15), low, high) >> U32(here & 16)
                    run[lane] = _dropped(run[lane], scale, zero, U32(bits & U32(0xFFFF)) >= least)


@numba.njit(**EXACT)
def undropped(program, state, tile, number):
    """Whether a DROP step is right behind an activation; what it kept is as before then, and −0 stays."""
    steps, behind = program.runs, number + 1
    if behind == len(steps) or steps[behind, 0] != _DROP or steps[behind, 2] != steps[number, 2]:
        return False
    back = state.values.dtype.type(1 - program.rates[steps[behind, 1]])
    for unit in range(steps[behind, 2], steps[behind, 3]):
        place = tile.base + unit * tile.stride
        run = state.values[place : place + tile.lanes]
        for lane in range(tile.lanes):
            run[lane] *= back
    return True


@numba.njit(**EXACT)
def masked(program, state, tile, number, start, stop):
    """δ of some units of a DROP step times what their values were multiplied by."""
    scale = state.values.dtype.type(1 / (1 - program.rates[program.runs[number, 1]]))
    zero = state.values.dtype.type(0)
    for unit in range(start, stop):
        place = tile.base + unit * tile.stride
        run, delta = state.values[place : place + tile.lanes], state.deltas[place : place + tile.lanes]
        for lane in range(tile.lanes):
            delta[lane] = zero if _is_marked(run[lane]) else delta[lane] * scale


@numba.njit(**INNER)
def drop_or_sum(program, theta, state, tile, number):
    """A step that drops, or a block's."""
    if program.runs[number, 0] == _DROP:
        drop(program, theta, state, tile, number)
    else:
        sum_block(program, theta, state, tile, number)


KERNELS = kernels_of_tiles(__name__, tile_kernels(__name__, drop_or_sum, push_block, undropped, masked))
