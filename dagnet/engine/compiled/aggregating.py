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

from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dagnet.engine.compiled.caching import ALLOCATING, INNER, kernel
from dagnet.engine.compiled.kernels import (
    backward_tile,
    forward_tile,
    load_tile,
    pull_tile,
    store_tile,
    tile_of,
)
from dagnet.engine.compiled.microkernels import _named, _pointer, _Pull, _Rows
from dagnet.engine.compiled.opened import Reverse, State, Tile, opened, opened_call, padded
from dagnet.engine.compiled.passes import _loss_of_tile
from dagnet.engine.compiled.vectors import I64, Emitter, Vector
from dagnet.plan import AGGREGATE

MEAN, PRODUCT, MAX, MIN = 0, 1, 2, 3
_AGGREGATE = AGGREGATE
START = {MEAN: 0.0, PRODUCT: 1.0, MAX: -np.inf, MIN: np.inf}


class Push(NamedTuple):
    """Weights and derivatives by slot, and room for one number a term and row."""

    theta: Any
    gradient: Any
    room: Any


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


def _kept(emit: _Rows, row: Any) -> Any:
    """Where a unit's best term is kept: a row of z."""
    start = emit.builder.add(emit.tile.pre_base, emit.builder.mul(row, emit.tile.stride))
    return emit.builder.gep(emit.state.pre, [start])


def _shared(emit: _Rows, n: Any) -> Vector:
    """1 / n in every lane."""
    return emit.splat(1.0) / emit.splat(emit.builder.sitofp(n, emit.element))


def _gathering(code: int) -> Any:
    """The micro-kernel z[unit] = b + A(w·a) for a tile's rows."""

    @intrinsic
    def gather_terms(typingctx, program, theta, state, tile, unit, kept):
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            plan = _named(context, builder, sig.args[0], args[0])
            weights = _pointer(context, builder, sig.args[1], args[1])
            emit, (unit, kept) = _Rows(context, builder, sig.args[2:4], args[2:4]), args[4:]
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

    def __init__(self, code: int, emit: _Rows, plan: Any, push: Any, unit: Any, kept: Any) -> None:
        self.code, self.emit, self.plan, self.walk = code, emit, plan, push
        self.half = Emitter(emit.builder, emit.dtype, emit.lanes // 2)
        self.first, self.n = emit.span(plan.indptr, unit)
        self.share = emit.load(emit.place(emit.state.deltas, unit))  # of each term, or of those that are best
        self.best = self.share
        if code == MEAN:
            self.share = self.share.times(_shared(emit, self.n))
        elif code == PRODUCT:
            self._products_of_later()
        else:
            self.best = emit.load(_kept(emit, kept))
            self.share = self.share / self._count()

    def _read(self, place: Any) -> tuple[Vector, Vector, Any]:
        """A term's weight, its parent's value, and where ∂L/∂a of the parent is."""
        emit, parent = self.emit, self.emit.at(self.plan.sources, place)
        value = emit.load(emit.place(emit.state.values, parent))
        return emit.splat(emit.at(self.walk.theta, place)), value, emit.place(emit.state.deltas, parent)

    def _count(self) -> Vector:
        """How many terms are the best."""
        emit, builder = self.emit, self.emit.builder

        def count(number: Any, carried: list[Any]) -> list[Any]:
            weight, value, _ = self._read(builder.add(self.first, number))
            so_far = Vector(emit, carried[0])
            return [emit.select(_alike(weight.times(value), self.best), so_far + 1.0, so_far).value]

        return Vector(emit, emit.loop(self.n, 1, [emit.splat(0.0).value], count)[1])

    def _room(self, place: Any) -> Any:
        number = self.emit.builder.sub(place, self.first)
        lanes = ir.Constant(I64, self.emit.lanes)
        return self.emit.builder.gep(self.walk.room, [self.emit.builder.mul(number, lanes)])

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
    def push_back(typingctx, program, push, state, tile, unit, kept):
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            plan, found = (_named(context, builder, sig.args[k], args[k]) for k in (0, 1))
            emit = _Rows(context, builder, sig.args[2:4], args[2:4])
            walk = _Push(code, emit, plan, found, *args[4:])

            def four(number: Any, carried: list[Any]) -> list[Any]:
                return [walk.edges(builder.add(walk.first, number), 4, carried[0])]

            done, total = emit.loop(walk.n, 4, [emit.splat(1.0).value], four)
            walk.rest(builder.add(walk.first, done), builder.sub(walk.n, done), total)
            return context.get_dummy_value()

        return types.void(program, push, state, tile, unit, kept), codegen

    return push_back


_mean, _product, _max, _min = map(_gathering, (MEAN, PRODUCT, MAX, MIN))
_push_mean, _push_product, _push_max, _push_min = map(_pushing, (MEAN, PRODUCT, MAX, MIN))


@numba.njit(**INNER)
def _kept_row(program, unit):
    return program.n_pre - (len(program.bias_slot) - unit)


@numba.njit(**INNER)
def _aggregate(program, theta, state, tile, number):
    """Z of one step's units."""
    _, code, first, last = program.steps[number]
    for unit in range(first, last):
        kept = _kept_row(program, unit) if len(state.pre) else -1
        if code == MEAN:
            _mean(program, theta, state, tile, unit, kept)
        elif code == PRODUCT:
            _product(program, theta, state, tile, unit, kept)
        elif code == MAX:
            _max(program, theta, state, tile, unit, kept)
        else:
            _min(program, theta, state, tile, unit, kept)


@numba.njit(**INNER)
def _push_step(program, push, state, tile, number):
    """From δ of one step's units to their parents and weights."""
    _, code, first, last = program.steps[number]
    for unit in range(first, last):
        if not program.needs_delta[unit]:
            continue
        if code == MEAN:
            _push_mean(program, push, state, tile, unit, _kept_row(program, unit))
        elif code == PRODUCT:
            _push_product(program, push, state, tile, unit, _kept_row(program, unit))
        elif code == MAX:
            _push_max(program, push, state, tile, unit, _kept_row(program, unit))
        else:
            _push_min(program, push, state, tile, unit, _kept_row(program, unit))


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
        forward_tile(program, theta, state, tile, start, number)


@numba.njit(**INNER)
def _backward(program, walk, push, state, tile, begin, end):
    """The same steps, last first."""
    number = end
    while number > begin:
        if program.steps[number - 1, 0] == _AGGREGATE:
            number -= 1
            _push_step(program, push, state, tile, number)
            continue
        stop = number
        while number > begin and program.steps[number - 1, 0] != _AGGREGATE:
            number -= 1
        backward_tile(program, walk, state, tile, number, stop)


@numba.njit(**ALLOCATING)
def _room(program, theta):
    """As much as the unit with the most terms needs."""
    most = 0
    for unit in range(program.n_inputs, len(program.indptr) - 1):
        most = max(most, program.indptr[unit + 1] - program.indptr[unit])
    return np.empty(most * program.lanes, theta.dtype)


@kernel
def forward_sweep(table, theta, arrays, layout, span):
    """As the kernel of that name."""
    program, state = opened(table), State(arrays[0], arrays[0], arrays[1])
    _, _, _, lanes, n_rows, part, parts = layout
    for number in range(part, (n_rows + lanes - 1) // lanes, parts):
        _forward(program, theta, state, tile_of(layout, number), span[0], span[1])


@kernel
def backward_sweep(table, found, arrays, layout, steps, units):
    """As the kernel of that name; ``found`` has weights and derivatives by slot besides."""
    program, state = opened(table), State(arrays[0], arrays[1], arrays[2])
    walk, push = Reverse(found[0], found[1], found[2]), Push(found[3], found[4], _room(program, found[3]))
    _, _, _, lanes, n_rows, part, parts = layout
    for number in range(part, (n_rows + lanes - 1) // lanes, parts):
        tile = tile_of(layout, number)
        _backward(program, walk, push, state, tile, steps[0], steps[1])
        pull_tile(program, walk, state, tile, units[0], units[1])


@kernel
def evaluate(table, inputs, theta, outputs, part, parts):
    """As the pass of that name; few rows are a tile, too."""
    program, n_rows, some_nan = opened(table), len(inputs), False
    lanes = program.lanes
    values = np.empty(len(program.bias_slot) * lanes, theta.dtype)
    state = State(values, values, values[:0])  # no z is kept
    for number in range(part, (n_rows + lanes - 1) // lanes, parts):
        first = number * lanes
        there = min(lanes, n_rows - first)
        some_nan |= load_tile(inputs[first : first + there], values, 0, lanes, lanes)
        _forward(program, theta, state, Tile(0, 0, lanes, lanes, there), 0, len(program.steps))
        store_tile(values, 0, lanes, program.outputs, outputs[first : first + there])
    return some_nan


@kernel
def loss_and_gradient(table, theta):
    """As the pass of that name."""
    program, (loss, part, parts, arrays) = opened(table), opened_call(table, theta)
    inputs, targets, factor, memory, into = arrays
    lanes = program.lanes
    n_units, n_walked, n_steps = len(program.bias_slot), len(program.slots_out), len(program.steps)
    size, at = n_units * lanes, 2 * n_units * lanes
    values, deltas = memory[:size], memory[size:at]
    pre, at = memory[at : at + program.n_pre * lanes], at + program.n_pre * lanes
    wanted, at = memory[at : at + len(program.outputs) * lanes], at + len(program.outputs) * lanes
    weights, at = memory[at : at + n_walked], at + padded(n_walked)
    gradient, at = memory[at : at + n_walked], at + padded(n_walked)
    state, walk = State(values, deltas, pre), Reverse(weights, gradient, memory[at : at + n_units])
    for k in range(n_walked):
        weights[k] = theta[program.slots_out[k]]
    gradient[:] = 0
    walk.bias_gradient[:] = 0
    into[:] = 0
    push, places, total = Push(theta, into, _room(program, theta)), program.outputs * lanes, 0.0
    for number in range(part, (len(inputs) + lanes - 1) // lanes, parts):
        first = number * lanes
        there = min(lanes, len(inputs) - first)
        tile = Tile(0, 0, lanes, lanes, there)
        here = targets[first : first + there], factor[first : first + there]
        load_tile(inputs[first : first + there], values, 0, lanes, lanes)
        _forward(program, theta, state, tile, 0, n_steps)
        deltas[:] = 0
        total += _loss_of_tile(loss, state, tile, places, here, wanted)
        _backward(program, walk, push, state, tile, 0, n_steps)
        if program.walks_to_inputs:
            pull_tile(program, walk, state, tile, 0, inputs.shape[1])
    for k in range(n_walked):
        into[program.slots[k]] = gradient[program.places[k]]
    for unit in range(n_units):
        if program.bias_slot[unit] >= 0:
            into[program.bias_slot[unit]] = walk.bias_gradient[unit]
    return total
