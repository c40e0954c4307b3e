"""Kernels for plans with blocks, units that share all their parents: matrix products in a tile's registers.

Forth, four units' sums go on together, so that a parent's rows are loaded once for four; back, the
∂L/∂a of four parents, so that δ of a unit is.  For ∂L/∂w, Σ over rows of δ·a, parents become lanes in
place of rows: then four units' sums go on together as well, and no lanes are added up.  Nothing here is
compiled before a plan has a block.
"""

# ruff: noqa: ANN001, ANN201, ANN202 - Numba infers types
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils

from dagnet.engine.compiled.caching import INNER
from dagnet.engine.compiled.kernels import tile_kernels
from dagnet.engine.compiled.microkernels import Rows, microkernel, number_of, sums
from dagnet.engine.compiled.opened import BLOCK
from dagnet.engine.compiled.passes import kernels_of_tiles
from dagnet.engine.compiled.vectors import I32, I64, USUAL_ROWS, Emitter, Vector

_BLOCK = BLOCK
TOGETHER = 4
NEAR = 32
"""Units whose weights of one parent stay in the nearest cache, where a row's length is a power of two."""


def _at_most(builder: Any, first: Any, n: int, last: Any) -> list[Any]:
    """``first``, ``first + 1`` … n in all, the last again and again where there are fewer."""
    places = (builder.add(first, I64(k)) for k in range(n))
    return [builder.select(builder.icmp_signed("<", place, last), place, last) for place in places]


def _transposed(emit: Emitter, rows: list[Any]) -> list[Any]:
    """Of as many vectors as they have lanes: the first lanes of all, the second ones, and so on."""
    n = len(rows)
    for width in (1 << k for k in range(n.bit_length() - 1)):
        low = [
            start + lane for start in range(0, n, 2 * width) for lane in (*range(width), *range(n, n + width))
        ]
        masks = [ir.Constant(ir.VectorType(I32, n), [k + more for k in low]) for more in (0, width)]
        for k in (k for k in range(n) if not k & width):
            pair = rows[k], rows[k | width]
            rows[k], rows[k | width] = (emit.builder.shuffle_vector(*pair, mask) for mask in masks)
    return rows


def _usual(builder: Any, state: Any, tile: Any) -> Rows:
    """Code for the one width of tile that plans with blocks have."""
    return Rows(builder, state, tile, USUAL_ROWS[number_of(state.values)])


@microkernel()
def _sums(builder, program, theta, state, tile, units):
    """Z of some units that have the same parents."""
    sums(_usual(builder, state, tile), program, theta, list(units))


@microkernel()
def _pull(builder, program, walk, state, tile, units, number):
    """∂L/∂a of parents ``number`` … ``number`` + 3 of a block's units, first and last + 1: Σ w·δ is added.

    It starts from 0 where it is ``fresh``.
    """
    emit, (first, last) = _usual(builder, state, tile), units
    slot, n = emit.span(program.indptr, first)
    places = _at_most(builder, builder.add(slot, number), TOGETHER, builder.sub(builder.add(slot, n), I64(1)))
    pulled = [emit.place(state.deltas, emit.at(program.sources, place)) for place in places]
    starts = []
    for row, place in zip(pulled, places, strict=True):
        fresh = builder.icmp_signed("!=", emit.at(program.fresh, place), I64(0))
        starts.append(builder.select(fresh, emit.splat(0.0).value, emit.load(row).value))

    def child(k: Any, carried: list[Any]) -> list[Any]:
        row, delta = builder.mul(k, n), emit.load(emit.place(state.deltas, builder.add(first, k)))
        weights = [emit.splat(emit.at(walk.theta, builder.add(row, place))) for place in places]
        pairs = zip(weights, carried, strict=True)
        return [
            emit.intrinsic("fmuladd", weight, delta, Vector(emit, total)).value for weight, total in pairs
        ]

    _, *totals = emit.loop(builder.sub(last, first), 1, starts, child)
    for row, total in zip(pulled, totals, strict=True):
        emit.store(Vector(emit, total), row)


@microkernel()
def _find(builder, program, walk, state, tile, units, number):
    """∂L/∂w of a block's units, first and last + 1, and of so many parents as fit, from ``number`` on."""
    emit, (first, last) = _usual(builder, state, tile), units
    half = emit.piece
    slot, n = emit.span(program.indptr, first)
    ends = [builder.sub(end, I64(1)) for end in (builder.add(slot, n), last)]
    sources = _at_most(builder, builder.add(slot, number), half.lanes, ends[0])
    values = [emit.load(emit.place(state.values, emit.at(program.sources, place))) for place in sources]
    halves = zip(*([part.value for part in emit.halves(value)] for value in values), strict=True)
    room = cgutils.alloca_once(builder, emit.element, size=I64(emit.lanes * half.lanes))
    for k, row in enumerate(row for rows in halves for row in _transposed(half, list(rows))):
        half.store(Vector(half, row), builder.gep(room, [I64(k * half.lanes)]))
    there = half.first(builder.sub(n, number))

    def some(k: Any, _: list[Any]) -> list[Any]:
        children = _at_most(builder, builder.add(first, k), TOGETHER, ends[1])
        starts = [builder.mul(builder.sub(child, first), n) for child in children]
        starts = [builder.add(builder.add(slot, number), start) for start in starts]
        deltas = [emit.place(state.deltas, child) for child in children]

        def row(lane: Any, sums: list[Any]) -> list[Any]:
            a = half.load(builder.gep(room, [builder.mul(lane, I64(half.lanes))]))
            pairs = [
                (half.splat(emit.at(delta, lane)), Vector(half, z))
                for delta, z in zip(deltas, sums, strict=True)
            ]
            return [half.intrinsic("fmuladd", delta, a, total).value for delta, total in pairs]

        _, *sums = emit.loop(I64(emit.lanes), 1, [half.splat(0.0).value] * TOGETHER, row)
        targets = [builder.gep(walk.into, [start]) for start in starts]
        before = [half.load(target, there) for target in targets]  # all, because the last may be there again
        for target, old, new in zip(targets, before, sums, strict=True):
            half.store(old + Vector(half, new), target, there)
        return []

    emit.loop(builder.add(builder.sub(last, first), I64(TOGETHER - 1)), TOGETHER, [], some)


@numba.njit(**INNER)
def sum_block(program, theta, state, tile, number):
    """Z of a block's units."""
    first, last = program.runs[number, 2], program.runs[number, 3]
    for unit in range(first, last, TOGETHER):
        more = min(unit + 1, last - 1), min(unit + 2, last - 1), min(unit + 3, last - 1)
        _sums(program, theta, state, tile, (unit, *more))


@numba.njit(**INNER)
def push_block(program, walk, state, tile, number):
    """From δ of a block's units to the ∂L/∂a of their parents that are asked for, and to ∂L/∂w."""
    if program.runs[number, 0] != _BLOCK or not program.runs[number, 1]:
        return
    stop, last = program.runs[number, 2], program.runs[number, 3]
    slot, n = program.indptr[stop], program.indptr[stop + 1] - program.indptr[stop]
    while stop < last:
        start, stop = stop, min(stop + NEAR, last)
        for k in range(0, n, TOGETHER):
            if k % (tile.lanes // 2) == 0:
                _find(program, walk, state, tile, (start, stop), k)
            needed = False
            for place in range(slot + k, slot + min(k + TOGETHER, n)):
                needed |= program.needs_delta[program.sources[place]]
            if needed:
                _pull(program, walk, state, tile, (start, stop), k)


KERNELS = kernels_of_tiles(__name__, tile_kernels(__name__, sum_block, push_block))
