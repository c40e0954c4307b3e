"""Kernels for plans with aggregations other than the sum; nothing here is compiled before there is one.

They are those of :mod:`dagnet.engine.compiled.kernels` and :mod:`dagnet.engine.compiled.passes`, which
do all other steps.  Forward, terms are gathered as for sums; of a maximum or minimum the best term is
kept, in the last rows of z (``kept``).  Back, a unit pushes
δ · ∂A/∂(w a) · w to its parents, whose ∂L/∂a therefore begins at 0, and finds the derivatives of its
weights on the way.
"""

# ruff: noqa: ANN001, ANN201, ANN202 - Numba infers types; intrinsics have its protocol
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import numba
import numpy as np
from llvmlite import ir

from dagnet.engine.compiled.blocks import push_block
from dagnet.engine.compiled.caching import INNER
from dagnet.engine.compiled.dropping import drop_or_sum, masked, undropped
from dagnet.engine.compiled.kernels import tile_kernels
from dagnet.engine.compiled.microkernels import Pull, Rows, microkernel
from dagnet.engine.compiled.passes import kernels_of_tiles
from dagnet.engine.compiled.vectors import I64, TRUTH, Vector
from dagnet.plan import AGGREGATE

MEAN, PRODUCT, MAX, MIN = 0, 1, 2, 3
_AGGREGATE = AGGREGATE
START = {MEAN: 0.0, PRODUCT: 1.0, MAX: -np.inf, MIN: np.inf}


def _alike(term: Vector, best: Vector) -> Vector:
    """Where a term is the best, or the best is NaN."""
    return term.new(term.emit.builder.fcmp_unordered("==", term.value, best.value))


def _better(code: int, a: Vector, b: Vector) -> Vector:
    """The better of two terms; the first where they are equal, or one is NaN."""
    return a.emit.select(b > a if code == MAX else b < a, b, a)


def _kept(emit: Rows, row: Any) -> Any:
    """Where a unit's best term is kept: a row of z."""
    start = emit.builder.add(emit.tile.pre_base, emit.builder.mul(row, emit.tile.stride))
    return emit.builder.gep(emit.state.pre, [start])


def _shared(emit: Rows, n: Any) -> Vector:
    """1 / n in every lane."""
    return emit.splat(1.0) / emit.splat(emit.builder.sitofp(n, emit.element))


@microkernel()
def gather_terms(builder, program, theta, state, tile, places):
    """z[unit] = b + A(w·a) for a tile's rows; ``places``: the code, the unit, and its row of z or −1."""
    for code in START:
        with builder.if_then(builder.icmp_signed("==", places[0], ir.Constant(I64, code))):
            gather = partial(_gather, code, program, theta, places[1:])
            Rows.each(builder, state, tile, gather)


def _gather(code: int, program: Any, theta: Any, places: list[Any], emit: Rows) -> None:
    builder, values, (unit, kept) = emit.builder, emit.state.values, places
    first, n = emit.span(program.indptr, unit)

    def read(number: Any) -> tuple[Vector, Vector]:
        edge = builder.add(first, number)
        value = emit.load(emit.place(values, emit.at(program.sources, edge)))
        return emit.splat(emit.at(theta, edge)), value

    def add(number: Any, carried: list[Any]) -> list[Any]:
        (weight, value), total = read(number), Vector(emit, carried[0])
        if code == MEAN:
            return [emit.intrinsic("fmuladd", weight, value, total).value]
        return [total.times(weight.times(value)).value]

    if code in (MEAN, PRODUCT):
        total = Vector(emit, emit.loop(n, 1, [emit.splat(START[code]).value], add)[1])
        total = total.times(_shared(emit, n)) if code == MEAN else total
    else:
        total = _best(code, emit, n, lambda number: reduce(Vector.times, read(number)))
        with builder.if_then(builder.icmp_signed(">=", kept, ir.Constant(I64, 0))):
            emit.store(total, _kept(emit, kept))
    here, slot = emit.place(values, unit), emit.at(program.bias_slot, unit)
    emit.store(total, here)
    with builder.if_then(builder.icmp_signed(">=", slot, ir.Constant(I64, 0))):
        emit.store(total + emit.splat(emit.at(theta, slot)), here)


def _best(code: int, emit: Rows, n: Any, term: Callable[[Any], Vector]) -> Vector:
    """The best of n terms, the first of equals; NaN where one is, which is asked of two terms at once."""
    builder = emit.builder

    def further(base: Any, count: int) -> Callable[[Any, list[Any]], list[Any]]:
        def body(number: Any, carried: list[Any]) -> list[Any]:
            best, unordered = Vector(emit, carried[0]), carried[1]
            terms = [term(builder.add(builder.add(base, number), ir.Constant(I64, k))) for k in range(count)]
            for a, b in zip(terms[::2], terms[-1::-2], strict=True):
                unordered = builder.or_(unordered, builder.fcmp_unordered("uno", a.value, b.value))
            return [reduce(partial(_better, code), terms, best).value, unordered]

        return body

    none = ir.Constant(ir.VectorType(TRUTH, emit.lanes), [0] * emit.lanes)
    done, *carried = emit.loop(n, 4, [emit.splat(START[code]).value, none], further(ir.Constant(I64, 0), 4))
    _, best, unordered = emit.loop(builder.sub(n, done), 1, carried, further(done, 1))
    return emit.select(Vector(emit, unordered), np.nan, Vector(emit, best))


class _Push(Pull):
    """One unit's walk over its parents; the loops over fours and the rest are those of the walk back."""

    def __init__(self, code: int, emit: Rows, plan: Any, walk: Any, places: list[Any]) -> None:
        self.code, self.emit, self.plan, self.walk = code, emit, plan, walk
        unit, self.first, self.row = places
        self.slot, self.n = emit.span(plan.indptr, unit)
        self.share = emit.load(emit.place(emit.state.deltas, unit))  # of each term, or of those that are best
        self.best = self.share
        if code == MEAN:
            self.share = self.share.times(_shared(emit, self.n))
        elif code == PRODUCT:
            self._products_of_later()
        else:
            self.best = emit.load(_kept(emit, self.row))
            self.share = self.share / self._count()

    def _read(self, place: Any) -> tuple[Vector, Vector, Any]:
        """A term's weight, its parent's value, and where ∂L/∂a of the parent is."""
        emit, builder = self.emit, self.emit.builder
        slot = builder.add(self.slot, builder.sub(place, self.first))
        parent = emit.at(self.plan.sources, slot)
        value = emit.load(emit.place(emit.state.values, parent))
        return emit.splat(emit.at(self.walk.weights, place)), value, emit.place(emit.state.deltas, parent)

    def _count(self) -> Vector:
        """How many terms are the best."""
        emit, builder = self.emit, self.emit.builder

        def count(number: Any, carried: list[Any]) -> list[Any]:
            weight, value, _ = self._read(builder.add(self.first, number))
            so_far = Vector(emit, carried[0])
            return [emit.select(_alike(weight.times(value), self.best), so_far + 1.0, so_far).value]

        return Vector(emit, emit.loop(self.n, 1, [emit.splat(0.0).value], count)[1])

    def _room(self, place: Any) -> Any:
        builder = self.emit.builder
        return _kept(self.emit, builder.add(self.row, builder.sub(place, self.first)))

    def _products_of_later(self) -> None:
        """δ times the product of the terms after each, into the room."""
        emit, builder = self.emit, self.emit.builder
        last = builder.sub(builder.add(self.first, self.n), ir.Constant(I64, 1))

        def multiply(number: Any, carried: list[Any]) -> list[Any]:
            place, later = builder.sub(last, number), Vector(emit, carried[0])
            emit.store(later, self._room(place))
            weight, value, _ = self._read(place)
            return [later.times(weight.times(value)).value]

        emit.loop(self.n, 1, [self.share.value], multiply)

    def _edge(self, place: Any, totals: list[Vector]) -> tuple[list[Vector], list[Vector]]:
        """The products of δ·∂A/∂(w a) and a, one a lane of a piece; the product of the terms so far."""
        emit, (weight, value, pulled), (total,) = self.emit, self._read(place), totals
        term, own = weight.times(value), self.share
        if self.code == PRODUCT:
            own = total.times(emit.load(self._room(place)))
            total = total.times(term)
        elif self.code != MEAN:
            own = emit.select(_alike(term, self.best), own, 0.0)
        emit.store(emit.intrinsic("fmuladd", weight, own, emit.load(pulled)), pulled)
        return [emit.products(own, value)], [total]


@microkernel()
def push_back(builder, program, walk, state, tile, places):
    """From δ[unit] to ∂L/∂a of its parents and to ∂L/∂w, for a tile's rows.

    ``places``: the code, the unit, its first term in walking order, its row of z or the room for products.
    """
    for code in START:
        with builder.if_then(builder.icmp_signed("==", places[0], ir.Constant(I64, code))):
            Rows.each(builder, state, tile, partial(_push, code, program, walk, places[1:]))


def _push(code: int, program: Any, walk: Any, places: list[Any], emit: Rows) -> None:
    push = _Push(code, emit, program, walk, places)
    push.all(push.first, push.n, [emit.splat(1.0).value])


@numba.njit(**INNER)
def _aggregate(program, theta, state, tile, number):
    """Z of one step's units."""
    _, what, first, last = program.runs[number]
    end = program.n_pre - (what >> 42) - len(program.bias_slot)
    for unit in range(first, last):
        gather_terms(program, theta, state, tile, (what & 3, unit, end + unit if len(state.pre) else -1))


@numba.njit(**INNER)
def _push_step(program, walk, state, tile, number):
    """From δ of one step's units to their parents and weights."""
    _, what, first, last = program.runs[number]
    code, room = what & 3, program.n_pre - (what >> 42)
    start = ((what >> 2) & (2**40 - 1)) - program.indptr[first]
    for unit in range(first, last):
        if program.needs_delta[unit]:
            row = room if code == PRODUCT else room - len(program.bias_slot) + unit
            push_back(program, walk, state, tile, (code, unit, start + program.indptr[unit], row))


@numba.njit(**INNER)
def _step(program, theta, state, tile, number):
    """A step that aggregates, drops, or is a block's."""
    if program.runs[number, 0] == _AGGREGATE:
        _aggregate(program, theta, state, tile, number)
    else:
        drop_or_sum(program, theta, state, tile, number)


@numba.njit(**INNER)
def _back(program, walk, state, tile, number):
    """The way back of a step that aggregates, or of a block's."""
    if program.runs[number, 0] == _AGGREGATE:
        _push_step(program, walk, state, tile, number)
    else:
        push_block(program, walk, state, tile, number)


KERNELS = kernels_of_tiles(__name__, tile_kernels(__name__, _step, _back, undropped, masked))
