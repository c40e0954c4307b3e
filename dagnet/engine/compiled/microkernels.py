"""Micro-kernels: one unit's rows of a tile, in LLVM's own language; and calls of machine code by its address.

Numba's loops over rows vectorise at half the width of the processor; here vectors are explicit.
A unit's rows of a tile are one vector of 128 bytes; LLVM splits it where a processor's are
narrower.  Unit u of a tile begins at ``base + u · stride``.
"""

# ruff: noqa: ANN001, ANN201, ARG001 - Numba's protocol for intrinsics
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

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


def pointer(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """The pointer to an array's first element."""
    return context.make_array(array_type)(context, builder, array).data


def named(context: Any, builder: Any, kind: Any, value: Any) -> SimpleNamespace:
    """The parts of a named tuple; of an array the pointer to its first element."""
    parts = {}
    for number, (name, part) in enumerate(zip(kind.fields, kind.types, strict=True)):
        found = builder.extract_value(value, number)
        parts[name] = pointer(context, builder, part, found) if isinstance(part, types.Array) else found
    return SimpleNamespace(**parts)


class Rows(Emitter):
    """Vector code for the rows of a tile; ``state`` and ``tile`` as kernels have them."""

    def __init__(self, context: Any, builder: Any, kinds: Any, values: Any) -> None:
        dtype = str(kinds[0].types[0].dtype)
        super().__init__(builder, dtype, TILE_ROWS[dtype])
        self.state, self.tile = map(named, [context] * 2, [builder] * 2, kinds, values)

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
        return self.added(*self._woven(a, b, width))

    def _woven(self, a: Vector, b: Vector, width: int) -> list[Vector]:
        """Every other run of ``width`` lanes of a and of b in turn, and the rest."""
        n = a.value.type.count
        low = [
            vector + start + lane
            for start in range(0, n, 2 * width)
            for vector in (0, n)
            for lane in range(width)
        ]
        masks = (ir.Constant(ir.VectorType(I32, n), [k + more for k in low]) for more in (0, width))
        return [Vector(self, self.builder.shuffle_vector(a.value, b.value, mask)) for mask in masks]

    def transposed(self, rows: list[Vector]) -> list[Vector]:
        """Of as many vectors as they have lanes the k-th lanes, for each k; in place."""
        for width in (1 << k for k in range(len(rows).bit_length() - 1)):
            for k in range(len(rows)):
                if not k & width:
                    rows[k], rows[k | width] = self._woven(rows[k], rows[k | width], width)
        return rows

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


def _bias(emit: Rows, plan: SimpleNamespace, weights: Any, unit: Any) -> Any:
    """A unit's bias in every lane, or 0."""
    builder = emit.builder
    slot, before = emit.at(plan.bias_slot, unit), builder.block
    with builder.if_then(builder.icmp_signed(">=", slot, ir.Constant(I64, 0))):
        read, biased = emit.at(weights, slot), builder.block
    bias = builder.phi(emit.element)
    bias.add_incoming(ir.Constant(emit.element, 0.0), before)
    bias.add_incoming(read, biased)
    return emit.splat(bias).value


@intrinsic
def weighted_sums(typingctx, program, theta, state, tile, units):
    """Z of some units that have the same parents: z = b + Σ w·a, for a tile's rows."""
    n_units = len(units)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        plan = named(context, builder, sig.args[0], args[0])
        weights = pointer(context, builder, sig.args[1], args[1])
        emit = Rows(context, builder, sig.args[2:4], args[2:4])
        values, units = emit.state.values, [builder.extract_value(args[4], k) for k in range(n_units)]
        biases = [_bias(emit, plan, weights, unit) for unit in units]
        first, n = emit.span(plan.indptr, units[0])
        starts = [builder.gep(weights, [emit.at(plan.indptr, unit)]) for unit in units]

        def add(number: Any, carried: list[Any]) -> list[Any]:
            rows = emit.load(emit.place(values, emit.at(plan.sources, builder.add(first, number))))
            found = [emit.splat(emit.at(start, number)) for start in starts]
            pairs = zip(found, carried, strict=True)
            return [emit.intrinsic("fmuladd", weight, rows, Vector(emit, z)).value for weight, z in pairs]

        _, *totals = emit.loop(n, 1, biases, add)
        for unit, total in zip(units, totals, strict=True):
            emit.store(Vector(emit, total), emit.place(values, unit))
        return context.get_dummy_value()

    return types.void(program, theta, state, tile, units), codegen


class _Pull:
    """One unit's walk over its children; shared by the loop over fours and the rest."""

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

    def rest(self, place: Any, left: Any, total: Any) -> Any:
        """The last none to three edges, a block of code for each count."""
        builder = self.emit.builder
        found = [(builder.block, total)]
        after = builder.append_basic_block("pulled")
        switch = builder.switch(left, after)
        for n in (1, 2, 3):
            block = builder.append_basic_block(f"rest{n}")
            switch.add_case(ir.Constant(I64, n), block)
            builder.position_at_end(block)
            found.append((block, self.edges(place, n, total)))
            builder.branch(after)
        builder.position_at_end(after)
        result = builder.phi(total.type)
        for block, pulled in found:
            result.add_incoming(pulled, block)
        return result


@intrinsic
def pull_back(typingctx, program, walk, state, tile, unit):
    """∂L/∂a[unit] = start + Σ over its children of w·δ, and ∂L/∂w += Σ over rows of a·δ on the way.

    It starts from what is there if the unit is ``started``, else from 0.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        plan, found = (named(context, builder, sig.args[k], args[k]) for k in (0, 1))
        emit, unit = Rows(context, builder, sig.args[2:4], args[2:4]), args[4]
        first, n = emit.span(plan.indptr_out, unit)
        fresh = builder.icmp_signed("==", emit.at(plan.started, unit), ir.Constant(I64, 0))
        some = builder.icmp_signed(">", n, ir.Constant(I64, 0))
        with builder.if_then(builder.or_(fresh, some)):
            here = emit.place(emit.state.deltas, unit)
            pull = _Pull(emit, plan, found, unit)
            start = builder.select(fresh, emit.splat(0.0).value, emit.load(here).value)

            def four(number: Any, carried: list[Any]) -> list[Any]:
                return [pull.edges(builder.add(first, number), 4, carried[0])]

            done, total = emit.loop(n, 4, [start], four)
            total = pull.rest(builder.add(first, done), builder.sub(n, done), total)
            emit.store(Vector(emit, total), here)
        return context.get_dummy_value()

    return types.void(program, walk, state, tile, unit), codegen


def _parents(emit: Rows, plan: SimpleNamespace, first: Any, number: Any, n: int) -> tuple[Any, Any, list[Any]]:
    """A unit's first edge, how many it has, and n of its parents from ``number`` on, the last again and again."""
    builder, (slot, count) = emit.builder, emit.span(plan.indptr, first)
    last, parents = builder.sub(count, I64(1)), []
    for k in range(n):
        place = builder.add(number, I64(k))
        place = builder.select(builder.icmp_signed("<", place, last), place, last)
        parents.append(place)
    return slot, count, parents


@intrinsic
def pull_over(typingctx, program, walk, state, tile, units, number):
    """∂L/∂a of parents ``number`` … ``number`` + 3 of a block's units, first and last + 1: w·δ is added."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        plan, found = (named(context, builder, sig.args[k], args[k]) for k in (0, 1))
        emit = Rows(context, builder, sig.args[2:4], args[2:4])
        deltas = emit.state.deltas
        first, last = (builder.extract_value(args[4], k) for k in (0, 1))
        slot, n, places = _parents(emit, plan, first, args[5], 4)
        pulled = [emit.place(deltas, emit.at(plan.sources, builder.add(slot, k))) for k in places]

        def child(k: Any, carried: list[Any]) -> list[Any]:
            row, delta = builder.mul(k, n), emit.load(emit.place(deltas, builder.add(first, k)))
            starts = [builder.add(slot, builder.add(row, place)) for place in places]
            weights = [emit.splat(emit.at(found.theta, start)) for start in starts]
            pairs = zip(weights, carried, strict=True)
            return [emit.intrinsic("fmuladd", weight, delta, Vector(emit, t)).value for weight, t in pairs]

        starts = []
        for row, k in zip(pulled, places, strict=True):
            fresh = builder.icmp_signed("!=", emit.at(plan.fresh, builder.add(slot, k)), I64(0))
            starts.append(builder.select(fresh, emit.splat(0.0).value, emit.load(row).value))
        for row, total in zip(pulled, emit.loop(builder.sub(last, first), 1, starts, child)[1:], strict=True):
            emit.store(Vector(emit, total), row)
        return context.get_dummy_value()

    return types.void(program, walk, state, tile, units, number), codegen


@intrinsic
def find_over(typingctx, program, walk, state, tile, units, number):
    """∂L/∂w of a block's units, first and last + 1, and half as many parents as lanes, from ``number`` on.

    With rows and parents exchanged there are no sums over lanes.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        plan, found = (named(context, builder, sig.args[k], args[k]) for k in (0, 1))
        emit, number = Rows(context, builder, sig.args[2:4], args[2:4]), args[5]
        half = Emitter(builder, emit.dtype, emit.lanes // 2)
        first, last = (builder.extract_value(args[4], k) for k in (0, 1))
        slot, n, places = _parents(emit, plan, first, number, half.lanes)
        sources = [emit.at(plan.sources, builder.add(slot, place)) for place in places]
        own = [emit.halves(emit.load(emit.place(emit.state.values, source))) for source in sources]
        room = cgutils.alloca_once(builder, emit.element, size=I64(emit.lanes * half.lanes))
        for k, row in enumerate([row for part in zip(*own, strict=True) for row in emit.transposed(list(part))]):
            half.store(row, builder.gep(room, [I64(k * half.lanes)]))
        there, stop = half.first(builder.sub(n, number)), builder.sub(last, I64(1))

        def four(k: Any, carried: list[Any]) -> list[Any]:
            children = [builder.add(builder.add(first, k), I64(more)) for more in range(4)]
            less = [builder.select(builder.icmp_signed("<", child, stop), child, stop) for child in children]
            rows = [builder.mul(builder.sub(child, first), n) for child in less]
            places = [builder.add(builder.add(slot, row), number) for row in rows]
            targets = [builder.gep(found.into, [place]) for place in places]
            deltas = [emit.place(emit.state.deltas, child) for child in less]

            def row(r: Any, sums: list[Any]) -> list[Any]:
                a = half.load(builder.gep(room, [builder.mul(r, I64(half.lanes))]))
                pairs = zip(deltas, sums, strict=True)
                return [
                    half.intrinsic("fmuladd", half.splat(emit.at(delta, r)), a, Vector(half, total)).value
                    for delta, total in pairs
                ]

            starts = [half.splat(0.0).value] * 4
            found_here = [Vector(half, total) for total in emit.loop(I64(emit.lanes), 1, starts, row)[1:]]
            totals = [half.load(target, there) + total for target, total in zip(targets, found_here, strict=True)]
            for target, total in zip(targets, totals, strict=True):
                half.store(total, target, there)
            return []

        fours = builder.add(builder.sub(last, first), I64(3))
        emit.loop(fours, 4, [], four)
        return context.get_dummy_value()

    return types.void(program, walk, state, tile, units, number), codegen


@intrinsic
def add_row_sums(typingctx, into, state, tile, unit):
    """``into[unit + k]`` += Σ over a tile's rows of δ[unit + k], for k in 0 … 3."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        sums = builder.gep(pointer(context, builder, sig.args[0], args[0]), [args[3]])
        emit = Rows(context, builder, sig.args[1:3], args[1:3])
        units = [builder.add(args[3], ir.Constant(I64, k)) for k in range(4)]
        rows = (emit.halves(emit.load(emit.place(emit.state.deltas, unit))) for unit in units)
        emit.add_four_sums([emit.added(*halves) for halves in rows], sums)
        return context.get_dummy_value()

    return types.void(into, state, tile, unit), codegen


def _call(builder: Any, called: Any, arguments: list[Any], result: Any = None) -> Any:
    """Call a function, (address, numbers), with its numbers and some arguments."""
    address, numbers = (builder.extract_value(called, k) for k in (0, 1))
    arguments = [numbers, *arguments]
    function_type = ir.FunctionType(result or ir.VoidType(), [argument.type for argument in arguments])
    return builder.call(builder.inttoptr(address, function_type.as_pointer()), arguments)


@intrinsic
def call_elementwise(typingctx, called, array, start, n):
    """A function of n numbers from ``array[start]`` on, in place."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = builder.gep(pointer(context, builder, sig.args[1], args[1]), [args[2]])
        _call(builder, args[0], [place, args[3]])
        return context.get_dummy_value()

    return types.void(called, array, start, n), codegen


@intrinsic
def call_slope(typingctx, called, state, kept, start, n):
    """A slope: n numbers z from ``state.pre[kept]`` on, a and δ from ``start`` on."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        state = named(context, builder, sig.args[1], args[1])
        places = ((state.pre, args[2]), (state.values, args[3]), (state.deltas, args[3]))
        _call(builder, args[0], [*(builder.gep(array, [place]) for array, place in places), args[4]])
        return context.get_dummy_value()

    return types.void(called, state, kept, start, n), codegen


@intrinsic
def own_numbers(typingctx, called, theta, slot, m):
    """A function with numbers of which the first m stand from ``theta[slot]`` on."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        double = ir.DoubleType()
        room = cgutils.alloca_once(builder, double, size=I64(MOST_NUMBERS))
        given = builder.inttoptr(builder.extract_value(args[0], 1), double.as_pointer())
        learned = pointer(context, builder, sig.args[1], args[1])
        for k in range(MOST_NUMBERS):
            number = builder.load(builder.gep(given, [I64(k)]))
            if k < MOST_LEARNED:
                is_own = builder.icmp_signed("<", I64(k), args[3])
                place = builder.select(is_own, builder.add(args[2], I64(k)), args[2])
                own = builder.load(builder.gep(learned, [place]))
                own = own if own.type == double else builder.fpext(own, double)
                number = builder.select(is_own, own, number)
            builder.store(number, builder.gep(room, [I64(k)]))
        return builder.insert_value(args[0], builder.ptrtoint(room, I64), 1)

    return called(called, theta, slot, m), codegen


@intrinsic
def call_learning(typingctx, called, state, sums, place, kept, start, n):
    """A slope as :func:`call_slope`'s, that adds what it finds for numbers to ``sums[place]`` and on."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        state = named(context, builder, sig.args[1], args[1])
        found = pointer(context, builder, sig.args[2], args[2])
        places = ((state.pre, args[4]), (state.values, args[5]), (state.deltas, args[5]), (found, args[3]))
        _call(builder, args[0], [*(builder.gep(array, [place]) for array, place in places), args[6]])
        return context.get_dummy_value()

    return types.void(called, state, sums, place, kept, start, n), codegen


@intrinsic
def call_loss(typingctx, called, state, tile, places, rows):
    """A loss of a tile's rows (targets, factors) whose outputs begin at ``places``; its result."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        state, tile = (named(context, builder, sig.args[k], args[k]) for k in (1, 2))
        units = context.make_array(sig.args[3])(context, builder, args[3])
        given = [builder.extract_value(args[4], k) for k in (0, 1)]
        wanted, factor = (pointer(context, builder, sig.args[4].types[k], given[k]) for k in (0, 1))
        values, deltas = (builder.gep(array, [tile.base]) for array in (state.values, state.deltas))
        arguments = [values, units.data, wanted, factor, deltas, units.nitems, tile.there]
        return _call(builder, args[0], arguments, ir.DoubleType())

    return types.float64(called, state, tile, places, rows), codegen
