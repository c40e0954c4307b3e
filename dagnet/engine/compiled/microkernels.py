"""Micro-kernels: one unit's rows of a tile, in LLVM's own language; and calls of machine code by its address.

Numba's loops over rows vectorise at half the width of the processor; here vectors are explicit.
A unit's rows of a tile are one vector of 128 bytes; LLVM splits it where a processor's are
narrower.  Unit u of a tile begins at ``base + u · stride``.
"""

# ruff: noqa: ANN001, ANN201 - Numba infers types
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import SimpleNamespace
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from dagnet.engine.compiled.vectors import I32, I64, MOST_LEARNED, MOST_NUMBERS, TILE_ROWS, Emitter, Vector

AHEAD = 32
"""How many edges ahead the rows of a unit are asked for from memory."""
REORDER = ("reassoc", "nsz", "contract")


def _unpacked(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Of an array the pointer to its first element; of a tuple its parts, by name where they have names."""
    if isinstance(kind, types.Array):
        return context.make_array(kind)(context, builder, value).data
    if not isinstance(kind, types.BaseTuple):
        return value
    pairs = ((part, builder.extract_value(value, number)) for number, part in enumerate(kind.types))
    parts = [_unpacked(context, builder, *pair) for pair in pairs]
    return SimpleNamespace(**dict(zip(kind.fields, parts, strict=True))) if hasattr(kind, "fields") else parts


def microkernel(result: Callable[..., Any] = lambda *_: types.void) -> Callable[..., Any]:
    """What kernels call, from a function that writes it: it gets the builder and what arguments consist of.

    ``result`` gives the type of what is returned, of those of the arguments; a list becomes a tuple.
    """

    def decorate(write: Callable[..., Any]) -> Any:
        @wraps(write)
        def definition(_: Any, *kinds: Any) -> Any:
            returned = result(*kinds)

            def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
                pairs = zip(sig.args, args, strict=True)
                found = write(builder, *(_unpacked(context, builder, *pair) for pair in pairs))
                if returned == types.void:
                    return context.get_dummy_value()
                return context.make_tuple(builder, returned, found) if isinstance(found, list) else found

            return returned(*kinds), codegen

        return intrinsic(definition)

    return decorate


def number_of(pointer: Any) -> str:
    """The dtype of the numbers in memory."""
    return "float32" if pointer.type.pointee == ir.FloatType() else "float64"


class Rows(Emitter):
    """Vector code for the rows of a tile; ``state`` and ``tile`` as kernels have them."""

    def __init__(self, builder: Any, state: Any, tile: Any) -> None:
        dtype = number_of(state.values)
        super().__init__(builder, dtype, TILE_ROWS[dtype])
        self.state, self.tile = state, tile

    def place(self, array: Any, unit: Any) -> Any:
        """Where a unit's rows begin."""
        start = self.builder.add(self.tile.base, self.builder.mul(unit, self.tile.stride))
        return self.builder.gep(array, [start])

    def at(self, array: Any, place: Any) -> Any:
        """``array[place]``, whole numbers as 64-bit ones."""
        value = self.builder.load(self.builder.gep(array, [place]))
        narrow = isinstance(value.type, ir.IntType) and value.type.width < 64
        return self.builder.sext(value, I64) if narrow else value

    def span(self, indptr: Any, unit: Any) -> tuple[Any, Any]:
        """A unit's first edge, and how many it has."""
        first = self.at(indptr, unit)
        after = self.at(indptr, self.builder.add(unit, ir.Constant(I64, 1)))
        return first, self.builder.sub(after, first)

    def _part(self, vector: Vector, *places: int) -> Vector:
        mask = ir.Constant(ir.VectorType(I32, len(places)), places)
        return Vector(self, self.builder.shuffle_vector(vector.value, vector.value, mask))

    def prefetch(self, pointer: Any) -> None:
        """Ask for a unit's rows from memory: two cache lines."""
        for line in (0, self.lanes // 2):
            place = self.builder.gep(pointer, [ir.Constant(I64, line)])
            flags = [ir.Constant(I32, flag) for flag in (0, 3, 1)]
            address = self.builder.bitcast(place, ir.IntType(8).as_pointer())
            self._call("llvm.prefetch.p0", ir.VoidType(), [address, *flags])

    def halves(self, vector: Vector) -> tuple[Vector, Vector]:
        """The first and the second half of its lanes."""
        n = vector.value.type.count // 2
        return self._part(vector, *range(n)), self._part(vector, *range(n, 2 * n))

    def added(self, a: Vector, b: Vector) -> Vector:
        """The sum, in any order."""
        return Vector(self, self.builder.fadd(a.value, b.value, flags=REORDER))

    def _folded(self, a: Vector, b: Vector, width: int) -> Vector:
        """Add neighbouring runs of ``width`` lanes of a and of b, interleaved within twice as many."""
        n = a.value.type.count
        low = [
            vector + start + lane
            for start in range(0, n, 2 * width)
            for vector in (0, n)
            for lane in range(width)
        ]
        masks = (ir.Constant(ir.VectorType(I32, n), [k + more for k in low]) for more in (0, width))
        parts = (self.builder.shuffle_vector(a.value, b.value, mask) for mask in masks)
        return self.added(*(Vector(self, part) for part in parts))

    def add_four_sums(self, vectors: list[Vector], target: Any, n: int = 4) -> None:
        """Add the sums of four vectors of half as many lanes, or of the first n, to numbers in memory.

        A tree of shuffles instead of four of them.
        """
        a, b, c, d = vectors
        every = self._folded(self._folded(a, b, 1), self._folded(c, d, 1), 2)
        while every.value.type.count > 4:
            every = self.added(*self.halves(every))
        builder, size = self.builder, self.dtype.itemsize
        if n == 4:
            wide = builder.bitcast(target, every.value.type.as_pointer())
            builder.store(builder.fadd(builder.load(wide, align=size), every.value), wide, align=size)
            return
        for number in range(n):
            one = builder.gep(target, [ir.Constant(I64, number)])
            total = builder.extract_element(every.value, ir.Constant(I32, number))
            builder.store(builder.fadd(builder.load(one), total), one)


def _bias(emit: Rows, program: Any, theta: Any, unit: Any) -> Any:
    """A unit's bias, or 0, in every lane."""
    builder = emit.builder
    slot, before = emit.at(program.bias_slot, unit), builder.block
    with builder.if_then(builder.icmp_signed(">=", slot, ir.Constant(I64, 0))):
        read, biased = emit.at(theta, slot), builder.block
    bias = builder.phi(emit.element)
    bias.add_incoming(ir.Constant(emit.element, 0.0), before)
    bias.add_incoming(read, biased)
    return emit.splat(bias).value


@microkernel()
def weighted_sums(builder, program, theta, state, tile, units):
    """Z of some units that have the same parents: b + Σ w·a, for a tile's rows."""
    emit = Rows(builder, state, tile)
    biases = [_bias(emit, program, theta, unit) for unit in units]
    first, n = emit.span(program.indptr, units[0])
    starts = [emit.at(program.indptr, unit) for unit in units]

    def add(number: Any, carried: list[Any]) -> list[Any]:
        edge = builder.add(first, number)
        rows = emit.load(emit.place(state.values, emit.at(program.sources, edge)))
        weights = [emit.splat(emit.at(theta, builder.add(start, number))) for start in starts]
        pairs = zip(weights, carried, strict=True)
        return [emit.intrinsic("fmuladd", weight, rows, Vector(emit, z)).value for weight, z in pairs]

    _, *totals = emit.loop(n, 1, biases, add)
    for unit, total in zip(units, totals, strict=True):
        emit.store(Vector(emit, total), emit.place(state.values, unit))


class Pull:
    """One unit's walk over its children, four edges at a time, and the rest."""

    def __init__(self, emit: Rows, plan: SimpleNamespace, walk: SimpleNamespace, unit: Any) -> None:
        self.emit, self.plan, self.walk = emit, plan, walk
        self.half = Emitter(emit.builder, emit.dtype, emit.lanes // 2)
        self.own = emit.halves(emit.load(emit.place(emit.state.values, unit)))

    def _rows(self, place: Any) -> Any:
        return self.emit.place(self.emit.state.deltas, self.emit.at(self.plan.children, place))

    def _edge(self, place: Any, total: Vector) -> tuple[Vector, Vector]:
        """The products a·δ, still one a lane of half a vector, and the total with w·δ added."""
        emit, builder = self.emit, self.emit.builder
        early = builder.sub(place, ir.Constant(I64, AHEAD))
        early = builder.select(builder.icmp_signed("<", early, ir.Constant(I64, 0)), place, early)
        emit.prefetch(self._rows(early))
        delta = emit.load(self._rows(place))
        low, high = emit.halves(delta)
        zero = self.half.splat(0.0)
        product = self.half.intrinsic("fmuladd", self.own[0], low, zero)
        product = self.half.intrinsic("fmuladd", self.own[1], high, product)
        weight = emit.splat(emit.at(self.walk.weights, place))
        return product, emit.intrinsic("fmuladd", weight, delta, total)

    def edges(self, place: Any, n: int, total: Any) -> Any:
        """N ≤ 4 edges from ``place``: their derivatives are added up in memory."""
        emit, products, pulled = self.emit, [self.half.splat(0.0)] * 4, Vector(self.emit, total)
        for k in range(n):
            products[k], pulled = self._edge(emit.builder.add(place, ir.Constant(I64, k)), pulled)
        emit.add_four_sums(products, emit.builder.gep(self.walk.gradient, [place]), n)
        return pulled.value

    def all(self, first: Any, n: Any, start: Any) -> Any:
        """N edges from ``first`` on; of the last none to three there is a block of code for each count."""
        builder = self.emit.builder

        def four(number: Any, carried: list[Any]) -> list[Any]:
            return [self.edges(builder.add(first, number), 4, carried[0])]

        done, total = self.emit.loop(n, 4, [start], four)
        place, left = builder.add(first, done), builder.sub(n, done)
        found = [(builder.block, total)]
        after = builder.append_basic_block("pulled")
        switch = builder.switch(left, after)
        for few in (1, 2, 3):
            block = builder.append_basic_block(f"rest{few}")
            switch.add_case(ir.Constant(I64, few), block)
            builder.position_at_end(block)
            found.append((block, self.edges(place, few, total)))
            builder.branch(after)
        builder.position_at_end(after)
        result = builder.phi(total.type)
        for block, pulled in found:
            result.add_incoming(pulled, block)
        return result


@microkernel()
def pull_back(builder, program, walk, state, tile, unit):
    """∂L/∂a[unit] = start + Σ over its children of w·δ, and ∂L/∂w += Σ over rows of a·δ on the way.

    It starts from what is there if the unit is ``started``, else from 0.
    """
    emit = Rows(builder, state, tile)
    first, n = emit.span(program.indptr_out, unit)
    fresh = builder.icmp_signed("==", emit.at(program.started, unit), ir.Constant(I64, 0))
    some = builder.icmp_signed(">", n, ir.Constant(I64, 0))
    with builder.if_then(builder.or_(fresh, some)):
        here = emit.place(state.deltas, unit)
        pull = Pull(emit, program, walk, unit)
        start = builder.select(fresh, emit.splat(0.0).value, emit.load(here).value)
        emit.store(Vector(emit, pull.all(first, n, start)), here)


@microkernel()
def add_row_sums(builder, into, state, tile, unit):
    """``into[unit + k]`` += Σ over a tile's rows of δ[unit + k], for k in 0 … 3."""
    emit = Rows(builder, state, tile)
    units = [builder.add(unit, ir.Constant(I64, k)) for k in range(4)]
    rows = (emit.halves(emit.load(emit.place(state.deltas, unit))) for unit in units)
    emit.add_four_sums([emit.added(*halves) for halves in rows], builder.gep(into, [unit]))


def _call(builder: Any, called: list[Any], arguments: list[Any], result: Any = None) -> Any:
    """Call a function, (address, numbers), with its numbers and some arguments."""
    address, *arguments = *called, *arguments
    function_type = ir.FunctionType(result or ir.VoidType(), [argument.type for argument in arguments])
    return builder.call(builder.inttoptr(address, function_type.as_pointer()), arguments)


@microkernel()
def call_elementwise(builder, called, array, start, n):
    """A function of n numbers from ``array[start]`` on, in place."""
    _call(builder, called, [builder.gep(array, [start]), n])


@microkernel()
def call_slope(builder, called, state, kept, start, n):
    """A slope: n numbers z from ``state.pre[kept]`` on, a and δ from ``start`` on."""
    places = (state.pre, kept), (state.values, start), (state.deltas, start)
    _call(builder, called, [*(builder.gep(array, [place]) for array, place in places), n])


@microkernel(lambda called, *_: called)
def own_numbers(builder, called, theta, slot, m):
    """A function with numbers of which the first m stand from ``theta[slot]`` on."""
    double = ir.DoubleType()
    room = cgutils.alloca_once(builder, double, size=I64(MOST_NUMBERS))
    given = builder.inttoptr(called[1], double.as_pointer())
    for k in range(MOST_NUMBERS):
        number = builder.load(builder.gep(given, [I64(k)]))
        if k < MOST_LEARNED:
            is_own = builder.icmp_signed("<", I64(k), m)
            own = builder.load(builder.gep(theta, [builder.select(is_own, builder.add(slot, I64(k)), slot)]))
            own = own if own.type == double else builder.fpext(own, double)
            number = builder.select(is_own, own, number)
        builder.store(number, builder.gep(room, [I64(k)]))
    return [called[0], builder.ptrtoint(room, I64)]


@microkernel()
def call_learning(builder, called, state, sums, places, n):
    """A slope as :func:`call_slope`'s, that adds what it finds for numbers to ``sums[place]`` and on.

    ``places``: place, kept, start.
    """
    place, kept, start = places
    arrays = (state.pre, kept), (state.values, start), (state.deltas, start), (sums, place)
    _call(builder, called, [*(builder.gep(array, [here]) for array, here in arrays), n])


@microkernel(lambda *_: types.float64)
def call_loss(builder, called, state, tile, outputs, rows):
    """A loss of a tile's rows (targets, factors); its result.  ``outputs``: where each begins, how many."""
    values, deltas = (builder.gep(array, [tile.base]) for array in (state.values, state.deltas))
    places, n_outputs = outputs
    arguments = [values, places, *rows, deltas, n_outputs, tile.there]
    return _call(builder, called, arguments, ir.DoubleType())
