"""Dropout in tiles: the kernels of :mod:`dagnet.engine.compiled.kernels` with DROP steps among theirs.

Where units run as one with their activation they are dropped there (:mod:`dagnet.engine.compiled.units`),
and here in all other cases.
"""

# ruff: noqa: ANN001, ANN201, ANN202, ARG001 - Numba infers types and takes arguments by position
# mypy: disable-error-code="no-untyped-def,misc"

from __future__ import annotations

import numba
from llvmlite import ir
from numba import types

from dagnet.engine.compiled.blocks import push_block, sum_block
from dagnet.engine.compiled.caching import INNER
from dagnet.engine.compiled.kernels import tile_kernels
from dagnet.engine.compiled.masks import Dropout
from dagnet.engine.compiled.microkernels import Rows, by_width, microkernel, number_of
from dagnet.engine.compiled.passes import kernels_of_tiles
from dagnet.engine.compiled.vectors import I64
from dagnet.plan import DROP

_DROP = DROP
EXACT = {**INNER, "fastmath": {"contract"}}
"""With signs of zeros."""


@microkernel(lambda *_: types.boolean)
def _is_marked(builder, x):
    """Whether a number is −0."""
    bits = builder.bitcast(x, ir.IntType(64 if x.type == ir.DoubleType() else 32))
    return builder.icmp_unsigned("==", bits, ir.Constant(bits.type, 1 << (bits.type.width - 1)))


@microkernel()
def _drop_rows(builder, program, state, tile, rows, span):
    """Units' values in some rows of a tile; ``rows``: the first, how many, the number of the rate."""
    (start, width, what), (first, last) = rows, span
    rate = builder.gep(program.rates, [builder.mul(what, I64(3))])

    def body(lanes):
        emit = Rows(builder, state, tile, lanes)
        dropout = Dropout(emit, program.key, builder.add(tile.row, start), rate)

        def drop_unit(k):
            unit = builder.add(first, k)
            place = builder.gep(emit.place(state.values, unit), [start])
            emit.store(dropout.drop(emit.load(place), emit.at(program.unit_hashes, unit)), place)

        emit.for_units(builder.sub(last, first), drop_unit)

    by_width(builder, number_of(state.values), width, body, (32, 8))


@numba.njit(**INNER)
def drop(program, theta, state, tile, number):
    """A DROP step for one tile."""
    what, first, last = program.runs[number, 1], program.runs[number, 2], program.runs[number, 3]
    width = 8 if tile.lanes % 32 else 32
    for start in range(0, tile.lanes, width):
        _drop_rows(program, state, tile, (start, width, what), (first, last))


@numba.njit(**EXACT)
def undropped(program, state, tile, number):
    """Whether a DROP step is right behind an activation; what it kept is as before then, and −0 stays."""
    steps, behind = program.runs, number + 1
    if behind == len(steps) or steps[behind, 0] != _DROP or steps[behind, 2] != steps[number, 2]:
        return False
    back = state.values.dtype.type(program.rates[steps[behind, 1], 2])
    for unit in range(steps[behind, 2], steps[behind, 3]):
        place = tile.base + unit * tile.stride
        run = state.values[place : place + tile.lanes]
        for lane in range(tile.lanes):
            run[lane] *= back
    return True


@numba.njit(**EXACT)
def masked(program, state, tile, number, start, stop):
    """δ of some units of a DROP step times what their values were multiplied by."""
    scale = state.values.dtype.type(program.rates[program.runs[number, 1], 1])
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
