"""Micro-kernels: units' rows of a tile, in LLVM's own language.

Numba's loops over rows vectorise at half the width of the processor; here vectors are explicit.
A unit's rows of a tile are one vector; LLVM splits it where a processor's are narrower.  Code is written
once for each number of rows that a tile may have, and a tile's ``lanes`` say where to go.  Unit u of a tile
begins at ``base + u · stride``.
"""

# ruff: noqa: ANN001, ANN201 - Numba infers types
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Callable
from functools import reduce, wraps
from types import SimpleNamespace
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dagnet.engine.compiled.beginning import IN_MOMENTS
from dagnet.engine.compiled.vectors import I32, I64, TILE_ROWS, USUAL_ROWS, Emitter, Vector

AHEAD = 32
"""How many edges ahead the rows of a unit are asked for from memory."""
SOON, LATER = (8, 512), 8
"""Where units go on together: how many units or edges ahead these are asked for, and rows."""
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


def by_width(
    builder: Any, dtype: str, lanes: Any, body: Callable[..., Any], widths: tuple[int, ...] = ()
) -> list[ir.PhiInstr]:
    """What ``body(width)`` writes for each number of rows that a tile may have, where ``lanes`` say so."""
    blocks = {width: builder.append_basic_block(f"rows{width}") for width in widths or TILE_ROWS[dtype]}
    after, found = builder.append_basic_block("rows"), []
    switch = builder.switch(lanes, next(iter(blocks.values())))
    for width, block in blocks.items():
        switch.add_case(ir.Constant(I64, width), block)
        builder.position_at_end(block)
        found.append((body(width) or [], builder.block))
        builder.branch(after)
    builder.position_at_end(after)
    phis = [builder.phi(value.type) for value in found[0][0]]
    for values, block in found:
        for phi, value in zip(phis, values, strict=True):
            phi.add_incoming(value, block)
    return phis


class Rows(Emitter):
    """Vector code for the rows of a tile; ``state`` and ``tile`` as kernels have them."""

    def __init__(self, builder: Any, state: Any, tile: Any, lanes: int) -> None:
        super().__init__(builder, number_of(state.values), lanes)
        self.state, self.tile = state, tile
        half = min(lanes, USUAL_ROWS[self.dtype.name]) // 2
        self.piece = Emitter(builder, self.dtype, half)

    @classmethod
    def each(cls, builder: Any, state: Any, tile: Any, body: Callable[[Rows], None]) -> None:
        """What ``body(emit)`` writes for a tile, by its number of rows."""
        dtype = number_of(state.values)
        by_width(builder, dtype, tile.lanes, lambda lanes: body(cls(builder, state, tile, lanes)))

    def for_units(self, n: Any, body: Callable[[Any], None]) -> None:
        """``body(k)`` for k = 0 … n − 1."""

        def once(k: Any, carried: list[Any]) -> list[Any]:
            body(k)
            return carried

        self.loop(n, 1, [], once)

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

    def halves(self, vector: Vector) -> tuple[Vector, Vector]:
        """The first and the second half of its lanes."""
        n = vector.value.type.count // 2
        return self._part(vector, *range(n)), self._part(vector, *range(n, 2 * n))

    def pieces(self, vector: Vector) -> list[Vector]:
        """Its lanes by halves, or by vectors of the widest processors where these are narrower."""
        n = self.piece.lanes
        return [self._part(vector, *range(k, k + n)) for k in range(0, self.lanes, n)]

    def sum(self, vector: Vector) -> Any:
        """Of all its lanes."""
        total = reduce(self.added, self.pieces(vector))
        while total.value.type.count > 1:
            total = self.added(*self.halves(total))
        return self.builder.extract_element(total.value, ir.Constant(I32, 0))

    def products(self, a: Vector, b: Vector) -> Vector:
        """a·b, the pieces added up."""
        total = self.piece.splat(0.0)
        for pair in zip(self.pieces(a), self.pieces(b), strict=True):
            total = self.piece.intrinsic("fmuladd", *pair, total)
        return total

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

    def add_four_sums(self, vectors: list[Vector], target: Any, n: int = 4, mask: Any = None) -> None:
        """Add the sums of four pieces, or of the first n, to numbers in memory, or their bits in ``mask``.

        A tree of shuffles instead of four of them.
        """
        a, b, c, d = vectors
        every = self._folded(self._folded(a, b, 1), self._folded(c, d, 1), 2)
        while every.value.type.count > 4:
            every = self.added(*self.halves(every))
        builder, size = self.builder, self.dtype.itemsize
        if n == 4:
            wide = builder.bitcast(target, every.value.type.as_pointer())
            builder.store(builder.fadd(self.before(target, mask, 4), every.value), wide, align=size)
            return
        for number in range(n):
            one = builder.gep(target, [ir.Constant(I64, number)])
            total = builder.extract_element(every.value, ir.Constant(I32, number))
            builder.store(builder.fadd(self.before(one, mask, 1), total), one)


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


def sums(emit: Rows, program: Any, theta: Any, units: list[Any]) -> None:
    """Write z of some units that have the same parents."""
    for unit, total in zip(units, summed(emit, program, theta, units), strict=True):
        emit.store(total, emit.place(emit.state.values, unit))


def summed(emit: Rows, program: Any, theta: Any, units: list[Any]) -> list[Vector]:
    """Z of some units that have the same parents: b + Σ w·a, for a tile's rows."""
    builder, state = emit.builder, emit.state
    biases = [_bias(emit, program, theta, unit) for unit in units]
    several = len(units) > 1  # whose edges stand in several rows, and no processor foresees which is read
    for unit in units if several else []:
        emit.prefetch(emit.place(state.values, builder.add(unit, I64(LATER))))
    first, n = emit.span(program.indptr, units[0])
    starts = [emit.at(program.indptr, unit) for unit in units]

    def add(number: Any, carried: list[Any]) -> list[Any]:
        edge = builder.add(first, number)
        if several:
            early = builder.add(edge, builder.mul(n, I64(SOON[0])))
            emit.ask(program.sources, early)
            emit.ask(theta, builder.add(early, builder.mul(number, I64(len(units) - 1))))
        rows = emit.load(emit.place(state.values, emit.at(program.sources, edge)))
        weights = [emit.splat(emit.at(theta, builder.add(start, number))) for start in starts]
        pairs = zip(weights, carried, strict=True)
        return [emit.intrinsic("fmuladd", weight, rows, Vector(emit, z)).value for weight, z in pairs]

    _, *totals = emit.loop(n, 1, biases, add)
    return [Vector(emit, total) for total in totals]


class Pull:
    """A walk over the children that some units share, four edges of each at a time, and the rest."""

    firsts: tuple[Any, ...] = ()
    mask: Any = None

    def __init__(self, emit: Rows, program: Any, walk: Any, units: list[Any], mask: Any = None) -> None:
        """``mask``: where derivatives may be written over weights, see :meth:`Rows.mask_where_apart`."""
        self.emit, self.plan, self.walk, self.mask = emit, program, walk, mask
        self.owns = [emit.load(emit.place(emit.state.values, unit)) for unit in units]
        self.firsts = tuple(emit.at(program.indptr_out, unit) for unit in units)
        if units:
            builder, ahead, first = emit.builder, ir.Constant(I64, AHEAD), self.firsts[0]
            ahead = builder.select(builder.icmp_signed("<", first, ahead), first, ahead)
            self.soon = builder.gep(program.children, [builder.neg(ahead)])

    def _rows(self, children: Any, place: Any) -> Any:
        return self.emit.place(self.emit.state.deltas, self.emit.at(children, place))

    def _places(self, place: Any) -> list[Any]:
        """Where the same edge of each unit stands, of the first one's place."""
        builder = self.emit.builder
        moved = (builder.sub(first, self.firsts[0]) for first in self.firsts[1:])
        return [place, *(builder.add(place, by) for by in moved)]

    def _edge(self, place: Any, totals: list[Vector]) -> tuple[list[Vector], list[Vector]]:
        """By unit: the products a·δ, still one a lane of a piece, and the totals with w·δ added."""
        emit = self.emit
        emit.prefetch(self._rows(self.soon, place))
        delta = emit.load(self._rows(self.plan.children, place))
        weights = [emit.splat(emit.at(self.walk.weights, here)) for here in self._places(place)]
        products = [emit.products(own, delta) for own in self.owns]
        pairs = zip(weights, totals, strict=True)
        return products, [emit.intrinsic("fmuladd", weight, delta, total) for weight, total in pairs]

    def _ask(self, place: Any) -> None:
        """For edges of several units, which stand in as many rows."""
        builder = self.emit.builder
        number = builder.sub(place, self.firsts[0])
        early = builder.sub(builder.add(place, number), I64(SOON[1]))
        for array in (self.plan.children, self.walk.weights, self.walk.gradient):
            self.emit.ask(array, early)

    def edges(self, place: Any, n: int, totals: list[Any]) -> list[Any]:
        """N ≤ 4 edges of each unit from ``place``: their derivatives are added up in memory."""
        emit, pulled, found = self.emit, [Vector(self.emit, total) for total in totals], list[list[Vector]]()
        if len(self.firsts) > 1:
            self._ask(place)
        for k in range(n):
            products, pulled = self._edge(emit.builder.add(place, ir.Constant(I64, k)), pulled)
            found.append(products)
        for here, own in zip(self._places(place), zip(*found, strict=True), strict=True):
            four = [*own, *[emit.piece.splat(0.0)] * (4 - n)]
            emit.add_four_sums(four, emit.builder.gep(self.walk.gradient, [here]), n, self.mask)
        return [total.value for total in pulled]

    def all(self, first: Any, n: Any, starts: list[Any]) -> list[Any]:
        """N edges of each from ``first`` on; of the last, none to three, a block of code for each count."""
        builder = self.emit.builder

        def four(number: Any, carried: list[Any]) -> list[Any]:
            return self.edges(builder.add(first, number), 4, carried)

        done, *totals = self.emit.loop(n, 4, starts, four)
        place, left = builder.add(first, done), builder.sub(n, done)
        found = [(builder.block, totals)]
        after = builder.append_basic_block("pulled")
        switch = builder.switch(left, after)
        for few in (1, 2, 3):
            block = builder.append_basic_block(f"rest{few}")
            switch.add_case(ir.Constant(I64, few), block)
            builder.position_at_end(block)
            rest = self.edges(place, few, totals)
            found.append((builder.block, rest))
            builder.branch(after)
        builder.position_at_end(after)
        results = [builder.phi(total.type) for total in totals]
        for block, pulled in found:
            for result, total in zip(results, pulled, strict=True):
                result.add_incoming(total, block)
        return results


def _normalized(emit: Rows, pull: Pull, edge: Any, unit: Any) -> Vector:
    """∂L/∂a of a unit that one child normalises: weight · δ + w(level + (a − mean)·slope).

    Behind the two numbers of ``key`` are the addresses of (rows,) w and of three numbers a unit.
    """
    builder, program = emit.builder, pull.plan
    places = (emit.at(program.key, ir.Constant(I64, k)) for k in range(2, 6))
    shares, *known = (builder.inttoptr(place, emit.element.as_pointer()) for place in places)
    mean, level, slope = (emit.splat(emit.at(array, unit)) for array in known)
    share = emit.load(builder.gep(shares, [emit.tile.row]))
    delta = emit.load(emit.place(emit.state.deltas, emit.at(program.children, edge)))
    by_moments = share * (level + (pull.owns[0] - mean) * slope)
    return emit.intrinsic("fmuladd", emit.splat(emit.at(pull.walk.weights, edge)), delta, by_moments)


def pulled(
    emit: Rows, program: Any, walk: Any, units: list[Any], mask: Any, *, normalizes: bool = False
) -> tuple[list[Vector], list[Vector]]:
    """∂L/∂a of units that have the same children, and their a; derivatives of the weights are added up."""
    builder, unit = emit.builder, units[0]
    first, n = emit.span(program.indptr_out, unit)
    for other in units if len(units) > 1 else []:
        emit.prefetch(emit.place(emit.state.values, builder.sub(other, I64(LATER))))
    pull = Pull(emit, program, walk, units, mask)

    def start(unit: Any) -> Any:
        begun, before = emit.at(program.begun, unit), builder.block
        # a branch, which is foreseen, where a choice would wait for both
        with builder.if_then(builder.icmp_signed(">=", begun, ir.Constant(I64, 0))):
            there, read = emit.load(emit.place(emit.state.deltas, begun)).value, builder.block
        found = builder.phi(emit.type)
        found.add_incoming(emit.splat(0.0).value, before)
        found.add_incoming(there, read)
        return found

    def by_children() -> list[Any]:
        return pull.all(first, n, [start(unit) for unit in units])

    if not normalizes:
        return [Vector(emit, total) for total in by_children()], pull.owns
    by_moments = builder.icmp_signed("==", emit.at(program.begun, unit), ir.Constant(I64, IN_MOMENTS))
    ways = []
    with builder.if_else(by_moments) as (then, otherwise):
        with then:
            ways.append((_normalized(emit, pull, first, unit).value, builder.block))
        with otherwise:  # a unit that normalises has one parent, whose sums with δ come next
            parent = emit.at(program.sources, emit.at(program.indptr, unit))
            emit.prefetch(emit.place(emit.state.values, parent))
            ways.append((by_children()[0], builder.block))
    found = builder.phi(emit.type)
    for way in ways:
        found.add_incoming(*way)
    return [Vector(emit, found)], pull.owns


@microkernel()
def add_row_sums(builder, into, state, tile, unit):
    """``into[unit + k]`` += Σ over a tile's rows of δ[unit + k], for k in 0 … 3."""
    units, target = [builder.add(unit, ir.Constant(I64, k)) for k in range(4)], builder.gep(into, [unit])

    def body(emit: Rows) -> None:
        rows = (emit.pieces(emit.load(emit.place(state.deltas, unit))) for unit in units)
        emit.add_four_sums([reduce(emit.added, pieces) for pieces in rows], target)

    Rows.each(builder, state, tile, body)
