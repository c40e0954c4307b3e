"""Kernels for plans with aggregations other than the sum; nothing here is compiled before there is one.

They are those of :mod:`dagnet.engine.compiled.kernels` and :mod:`dagnet.engine.compiled.passes`, which
do all other steps.  Forward, terms are gathered as for sums; of a maximum or minimum the best term is
kept, in the last rows of z (``kept``).  Back, a unit pushes
δ · ∂A/∂(w a) · w to its parents, whose ∂L/∂a therefore begins at 0, and finds the derivatives of its
weights on the way.
"""

# ruff: noqa: ANN001, ANN201, ANN202, ARG001 - Numba infers types; intrinsics have its protocol
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dagnet.engine.compiled.caching import INNER, kernel
from dagnet.engine.compiled.dropping import (
    backward_dropping,
    backward_tiles,
    forward_dropping,
    forward_tiles,
)
from dagnet.engine.compiled.kernels import (
    load_tile,
    store_tile,
)
from dagnet.engine.compiled.microkernels import Rows, _Pull, named, pointer
from dagnet.engine.compiled.opened import State, Tile, opened
from dagnet.engine.compiled.passes import whole_pass
from dagnet.engine.compiled.vectors import I64, Emitter, Vector
from dagnet.plan import AGGREGATE

MEAN, PRODUCT, MAX, MIN = 0, 1, 2, 3
_AGGREGATE = AGGREGATE
START = {MEAN: 0.0, PRODUCT: 1.0, MAX: -np.inf, MIN: np.inf}


def _alike(term: Vector, best: Vector) -> Vector:
    """Where a term is the best, or the best is NaN."""
    return term.new(term.emit.builder.fcmp_unordered("==", term.value, best.value))


def _combined(code: int, total: Vector, weight: Vector, value: Vector) -> Vector:
    """What terms before and one more come to; NaN stays NaN."""
    emit = total.emit
    if code == MEAN:
        return emit.intrinsic("fmuladd", weight, value, total)
    term = weight.times(value)
    if code == PRODUCT:
        return total.times(term)
    best = emit.select(term > total if code == MAX else term < total, term, total)
    return emit.select(term.new(emit.builder.fcmp_unordered("uno", term.value, term.value)), term, best)


def _kept(emit: Rows, row: Any) -> Any:
    """Where a unit's best term is kept: a row of z."""
    start = emit.builder.add(emit.tile.pre_base, emit.builder.mul(row, emit.tile.stride))
    return emit.builder.gep(emit.state.pre, [start])


def _shared(emit: Rows, n: Any) -> Vector:
    """1 / n in every lane."""
    return emit.splat(1.0) / emit.splat(emit.builder.sitofp(n, emit.element))


def _gathering(code: int) -> Any:
    """The micro-kernel z[unit] = b + A(w·a) for a tile's rows."""

    @intrinsic
    def gather_terms(typingctx, program, theta, state, tile, unit, kept):
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            plan = named(context, builder, sig.args[0], args[0])
            weights = pointer(context, builder, sig.args[1], args[1])
            emit, (unit, kept) = Rows(context, builder, sig.args[2:4], args[2:4]), args[4:]
            first, n = emit.span(plan.indptr, unit)

            def add(number: Any, carried: list[Any]) -> list[Any]:
                edge = builder.add(first, number)
                value = emit.load(emit.place(emit.state.values, emit.at(plan.sources, edge)))
                weight = emit.splat(emit.at(weights, edge))
                return [_combined(code, Vector(emit, carried[0]), weight, value).value]

            total = Vector(emit, emit.loop(n, 1, [emit.splat(START[code]).value], add)[1])
            if code == MEAN:
                total = total.times(_shared(emit, n))
            elif code != PRODUCT:
                with builder.if_then(builder.icmp_signed(">=", kept, ir.Constant(I64, 0))):
                    emit.store(total, _kept(emit, kept))
            here, slot = emit.place(emit.state.values, unit), emit.at(plan.bias_slot, unit)
            emit.store(total, here)
            with builder.if_then(builder.icmp_signed(">=", slot, ir.Constant(I64, 0))):
                emit.store(total + emit.splat(emit.at(weights, slot)), here)
            return context.get_dummy_value()

        return types.void(program, theta, state, tile, unit, kept), codegen

    return gather_terms


class _Push(_Pull):
    """One unit's walk over its parents; the loops over fours and the rest are those of the walk back."""

    def __init__(self, code: int, emit: Rows, plan: Any, walk: Any, unit: Any, place: Any, row: Any) -> None:
        self.code, self.emit, self.plan, self.walk, self.row = code, emit, plan, walk, row
        self.half = Emitter(emit.builder, emit.dtype, emit.lanes // 2)
        self.slot, self.n = emit.span(plan.indptr, unit)
        self.first = place
        self.share = emit.load(emit.place(emit.state.deltas, unit))  # of each term, or of those that are best
        self.best = self.share
        if code == MEAN:
            self.share = self.share.times(_shared(emit, self.n))
        elif code == PRODUCT:
            self._products_of_later()
        else:
            self.best = emit.load(_kept(emit, row))
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

    def _edge(self, place: Any, total: Vector) -> tuple[Vector, Vector]:
        """The products of δ·∂A/∂(w a) and a, one a lane of half a vector; the product of the terms so far."""
        emit, (weight, value, pulled) = self.emit, self._read(place)
        term, own = weight.times(value), self.share
        if self.code == PRODUCT:
            own = total.times(emit.load(self._room(place)))
            total = total.times(term)
        elif self.code != MEAN:
            own = emit.select(_alike(term, self.best), own, 0.0)
        emit.store(emit.intrinsic("fmuladd", weight, own, emit.load(pulled)), pulled)
        (low, high), (a_low, a_high) = emit.halves(own), emit.halves(value)
        product = self.half.intrinsic("fmuladd", low, a_low, self.half.splat(0.0))
        return self.half.intrinsic("fmuladd", high, a_high, product), total


def _pushing(code: int) -> Any:
    """The micro-kernel that goes from δ[unit] to ∂L/∂a of its parents and to ∂L/∂w, for a tile's rows."""

    @intrinsic
    def push_back(typingctx, program, walk, state, tile, unit, place, row):
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            plan, found = (named(context, builder, sig.args[k], args[k]) for k in (0, 1))
            emit = Rows(context, builder, sig.args[2:4], args[2:4])
            push = _Push(code, emit, plan, found, *args[4:])

            def four(number: Any, carried: list[Any]) -> list[Any]:
                return [push.edges(builder.add(push.first, number), 4, carried[0])]

            done, total = emit.loop(push.n, 4, [emit.splat(1.0).value], four)
            push.rest(builder.add(push.first, done), builder.sub(push.n, done), total)
            return context.get_dummy_value()

        return types.void(program, walk, state, tile, unit, place, row), codegen

    return push_back


_mean, _product, _max, _min = map(_gathering, (MEAN, PRODUCT, MAX, MIN))
_push_mean, _push_product, _push_max, _push_min = map(_pushing, (MEAN, PRODUCT, MAX, MIN))


@numba.njit(**INNER)
def _aggregate(program, theta, state, tile, number):
    """Z of one step's units."""
    _, what, first, last = program.steps[number]
    code, end = what & 3, program.n_pre - (what >> 42) - len(program.bias_slot)
    for unit in range(first, last):
        row = end + unit if len(state.pre) else -1
        if code == MEAN:
            _mean(program, theta, state, tile, unit, row)
        elif code == PRODUCT:
            _product(program, theta, state, tile, unit, row)
        elif code == MAX:
            _max(program, theta, state, tile, unit, row)
        else:
            _min(program, theta, state, tile, unit, row)


@numba.njit(**INNER)
def _push_step(program, walk, state, tile, number):
    """From δ of one step's units to their parents and weights."""
    _, what, first, last = program.steps[number]
    code, room = what & 3, program.n_pre - (what >> 42)
    start = ((what >> 2) & (2**40 - 1)) - program.indptr[first]
    for unit in range(first, last):
        if not program.needs_delta[unit]:
            continue
        place, row = start + program.indptr[unit], room - len(program.bias_slot) + unit
        if code == MEAN:
            _push_mean(program, walk, state, tile, unit, place, row)
        elif code == PRODUCT:
            _push_product(program, walk, state, tile, unit, place, room)
        elif code == MAX:
            _push_max(program, walk, state, tile, unit, place, row)
        else:
            _push_min(program, walk, state, tile, unit, place, row)


@numba.njit(**INNER)
def _forward(program, theta, state, tile, begin, end):
    """Steps ``begin`` … ``end`` − 1 for one tile."""
    number = begin
    while number < end:
        if program.steps[number, 0] == _AGGREGATE:
            _aggregate(program, theta, state, tile, number)
            number += 1
            continue
        start = number
        while number < end and program.steps[number, 0] != _AGGREGATE:
            number += 1
        forward_dropping(program, theta, state, tile, start, number)


@numba.njit(**INNER)
def _backward(program, walk, state, tile, begin, end):
    """The same steps, last first."""
    number = end
    while number > begin:
        if program.steps[number - 1, 0] == _AGGREGATE:
            number -= 1
            _push_step(program, walk, state, tile, number)
            continue
        stop = number
        while number > begin and program.steps[number - 1, 0] != _AGGREGATE:
            number -= 1
        backward_dropping(program, walk, state, tile, number, stop)


@kernel
def forward_sweep(table, theta, arrays, layout, span):
    """As that of :mod:`dagnet.engine.compiled.kernels`."""
    forward_tiles(table, theta, arrays, layout, span, _forward)


@kernel
def backward_sweep(table, found, arrays, layout, steps, units):
    """As that of :mod:`dagnet.engine.compiled.kernels`."""
    backward_tiles(table, found, arrays, layout, (steps, units), _backward)


@kernel
def evaluate(table, inputs, theta, outputs, values, part, parts):
    """As that of :mod:`dagnet.engine.compiled.passes`."""
    program, n_rows, some_nan = opened(table), len(inputs), False
    lanes, state = program.lanes, State(values, values, values[:0])  # no z is kept
    for number in range(part, (n_rows + lanes - 1) // lanes, parts):
        first = number * lanes
        there = min(lanes, n_rows - first)
        some_nan |= load_tile(inputs[first : first + there], values, 0, lanes, lanes)
        _forward(program, theta, state, Tile(0, 0, lanes, lanes, there, first), 0, len(program.steps))
        store_tile(values, 0, lanes, program.outputs, outputs[first : first + there])
    return some_nan


@kernel
def loss_and_gradient(table, theta):
    """The whole pass of a network with aggregations."""
    return whole_pass(table, theta, _forward, _backward)
