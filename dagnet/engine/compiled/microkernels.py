"""The two inner loops, written in LLVM's own language.

A tile is ``VECTORS`` vectors of 64 bytes for each unit: 32 rows in float32, 16 in float64.
Explicit vectors keep a whole tile of sums in registers and use the widest units that the
processor has, which automatic vectorisation of the same loops does not.  LLVM splits them where a
processor's vectors are narrower.

``weighted_sum``  z[u] = b + Σ over parents of w·a
``pull_back``     ∂L/∂a[u] = start + Σ over children of w·δ, and ∂L/∂w = Σ over rows of a·δ on the way
"""

# ruff: noqa: ANN001, ANN201, ARG001 - Numba's protocol for intrinsics
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from dagnet.engine.compiled.addresses import data_pointer

VECTORS = 2
VECTOR_BYTES = 64
AHEAD = 32
"""How many edges ahead the rows of a unit are asked for from memory."""

I8, I32, I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
REORDER = ("reassoc", "nsz", "contract")


class _Emitter:
    """Emits vector code for one element type."""

    def __init__(self, context: Any, builder: Any, element: Any) -> None:
        self.context = context
        self.builder = builder
        self.element = element
        self.size = 4 if isinstance(element, ir.FloatType) else 8
        self.lanes = VECTOR_BYTES // self.size
        self.vector = ir.VectorType(element, self.lanes)
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)

    def _intrinsic(self, name: str, result: Any, arguments: list[Any]) -> Any:
        kind = f"v{self.lanes}f{self.size * 8}"
        function_type = ir.FunctionType(result, arguments)
        return cgutils.get_or_insert_function(self.builder.module, function_type, f"llvm.{name}.{kind}")

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        function = self._intrinsic("fmuladd", self.vector, [self.vector] * 3)
        return self.builder.call(function, [a, b, c])

    def splat(self, scalar: Any) -> Any:
        undefined = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
        mask = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, undefined, mask)

    def _place(self, pointer: Any, number: int) -> Any:
        offset = ir.Constant(I64, number * self.lanes)
        return self.builder.bitcast(self.builder.gep(pointer, [offset]), self.vector.as_pointer())

    def load(self, pointer: Any) -> list[Any]:
        loaded = [self.builder.load(self._place(pointer, number)) for number in range(VECTORS)]
        for instruction in loaded:
            instruction.align = self.size
        return loaded

    def store(self, values: list[Any], pointer: Any) -> None:
        for number, value in enumerate(values):
            self.builder.store(value, self._place(pointer, number)).align = self.size

    def prefetch(self, pointer: Any) -> None:
        pointer_type = I8.as_pointer()
        arguments = [pointer_type, I32, I32, I32]
        function_type = ir.FunctionType(ir.VoidType(), arguments)
        function = cgutils.get_or_insert_function(self.builder.module, function_type, "llvm.prefetch.p0")
        flags = [ir.Constant(I32, flag) for flag in (0, 3, 1)]
        for number in range(VECTORS):
            place = self.builder.bitcast(self._place(pointer, number), pointer_type)
            self.builder.call(function, [place, *flags])

    def index(self, array: Any, place: Any) -> Any:
        """``array[place]`` as a 64-bit integer."""
        value = self.builder.load(self.builder.gep(array, [place]))
        return value if value.type.width == 64 else self.builder.sext(value, I64)

    def _shuffle(self, a: Any, b: Any, mask: list[int]) -> Any:
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(mask)), mask))

    def _folded(self, a: Any, b: Any, group: int, width: int) -> Any:
        """Add neighbouring runs of ``width`` lanes of a and of b, interleaved within each ``group``."""
        low: list[int] = []
        high: list[int] = []
        for start in range(0, self.lanes, group):
            for offset in range(0, group, 2 * width):
                for vector in (0, self.lanes):
                    first = vector + start + offset
                    low += range(first, first + width)
                    high += range(first + width, first + 2 * width)
        lower, upper = self._shuffle(a, b, low), self._shuffle(a, b, high)
        return self.builder.fadd(lower, upper, flags=REORDER)

    def four_sums(self, products: list[Any]) -> Any:
        """The sums of four vectors, as a vector of four: a tree of shuffles instead of four of them."""
        a, b, c, d = products
        half = 2
        ab, cd = self._folded(a, b, half, 1), self._folded(c, d, half, 1)
        every = self._folded(ab, cd, 2 * half, half)
        while every.type.count > 4:
            n = every.type.count // 2
            lower = self._shuffle(every, every, list(range(n)))
            upper = self._shuffle(every, every, list(range(n, 2 * n)))
            every = self.builder.fadd(lower, upper, flags=REORDER)
        return every


@intrinsic
def weighted_sum(typingctx, state, base, stride, sources, theta, first, last, bias, target):
    """``state[target:] = bias + Σ theta[k] · state[base + sources[k]·stride:]`` for k in first … last − 1."""
    signature = types.void(state, base, stride, sources, theta, first, last, bias, target)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        values, parents, weights = (data_pointer(context, builder, sig.args[i], args[i]) for i in (0, 3, 4))
        base, stride, first, last, bias, target = (args[i] for i in (1, 2, 5, 6, 7, 8))
        emit = _Emitter(context, builder, values.type.pointee)
        start = emit.splat(bias)
        entry = builder.block
        body, done = builder.append_basic_block("sum"), builder.append_basic_block("summed")
        builder.cbranch(builder.icmp_signed("<", first, last), body, done)
        builder.position_at_end(body)
        edge = builder.phi(I64)
        sums = [builder.phi(emit.vector) for _ in range(VECTORS)]
        parent = emit.index(parents, edge)
        rows = emit.load(builder.gep(values, [builder.add(base, builder.mul(parent, stride))]))
        weight = emit.splat(builder.load(builder.gep(weights, [edge])))
        more = [emit.multiply_add(weight, row, total) for row, total in zip(rows, sums, strict=True)]
        following = builder.add(edge, ir.Constant(I64, 1))
        edge.add_incoming(first, entry)
        edge.add_incoming(following, body)
        for total, new in zip(sums, more, strict=True):
            total.add_incoming(start, entry)
            total.add_incoming(new, body)
        builder.cbranch(builder.icmp_signed("<", following, last), body, done)
        builder.position_at_end(done)
        results = [builder.phi(emit.vector) for _ in range(VECTORS)]
        for result, new in zip(results, more, strict=True):
            result.add_incoming(start, entry)
            result.add_incoming(new, body)
        emit.store(results, builder.gep(values, [target]))
        return context.get_dummy_value()

    return signature, codegen


class _Pull:
    """One unit's walk over its children; shared by the loop over fours and the rest."""

    def __init__(
        self, emit: _Emitter, pointers: dict[str, Any], own: list[Any], base: Any, stride: Any
    ) -> None:
        self.emit = emit
        self.pointers = pointers
        self.own = own
        self.base = base
        self.stride = stride

    def _rows(self, place: Any) -> Any:
        builder = self.emit.builder
        child = self.emit.index(self.pointers["targets"], place)
        return builder.gep(self.pointers["deltas"], [builder.add(self.base, builder.mul(child, self.stride))])

    def edge(self, place: Any, sums: list[Any]) -> tuple[Any, list[Any]]:
        """The products a·δ, still one a lane, and the sums with w·δ added."""
        emit, builder = self.emit, self.emit.builder
        early = builder.sub(place, ir.Constant(I64, AHEAD))
        early = builder.select(builder.icmp_signed("<", early, ir.Constant(I64, 0)), place, early)
        emit.prefetch(self._rows(early))
        deltas = emit.load(self._rows(place))
        weight = emit.splat(builder.load(builder.gep(self.pointers["weights"], [place])))
        product = emit.zero
        for own, delta in zip(self.own, deltas, strict=True):
            product = emit.multiply_add(own, delta, product)
        return product, [emit.multiply_add(weight, d, s) for d, s in zip(deltas, sums, strict=True)]

    def edges(self, place: Any, n: int, sums: list[Any]) -> list[Any]:
        """N ≤ 4 edges from ``place``: their derivatives are added up in memory."""
        emit, builder = self.emit, self.emit.builder
        products = []
        for number in range(n):
            product, sums = self.edge(builder.add(place, ir.Constant(I64, number)), sums)
            products.append(product)
        totals = emit.four_sums(products + [emit.zero] * (4 - n))
        target = builder.gep(self.pointers["gradient"], [place])
        if n == 4:
            wide = builder.bitcast(target, totals.type.as_pointer())
            old = builder.load(wide)
            old.align = emit.size
            builder.store(builder.fadd(old, totals), wide).align = emit.size
            return sums
        for number in range(n):
            one = builder.gep(target, [ir.Constant(I64, number)])
            total = builder.extract_element(totals, ir.Constant(I32, number))
            builder.store(builder.fadd(builder.load(one), total), one)
        return sums


@intrinsic
def pull_back(
    typingctx, deltas, values, base, stride, unit, targets, weights, gradient, first, last, started
):
    """``deltas[unit] = (deltas[unit] if started else 0) + Σ weights[k] · deltas[targets[k]]``.

    For k in first … last − 1; ``gradient[k]`` grows by Σ over rows of values[unit] · deltas[targets[k]].
    """
    names = ["deltas", "values", "base", "stride", "unit", "targets", "weights", "gradient"]
    names += ["first", "last", "started"]
    given = (deltas, values, base, stride, unit, targets, weights, gradient, first, last, started)
    signature = types.void(*given)
    arrays = {"deltas", "values", "targets", "weights", "gradient"}

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a = {
            name: data_pointer(context, builder, kind, arg) if name in arrays else arg
            for name, kind, arg in zip(names, sig.args, args, strict=True)
        }
        emit = _Emitter(context, builder, a["values"].type.pointee)
        place = builder.add(a["base"], builder.mul(a["unit"], a["stride"]))
        here = builder.gep(a["deltas"], [place])
        pull = _Pull(emit, a, emit.load(builder.gep(a["values"], [place])), a["base"], a["stride"])
        sums = _started(emit, here, a["started"])
        place, sums = _fours(pull, a["first"], a["last"], sums)
        sums = _rest(pull, place, a["last"], sums)
        emit.store(sums, here)
        return context.get_dummy_value()

    return signature, codegen


def _started(emit: _Emitter, here: Any, started: Any) -> list[Any]:
    builder = emit.builder
    before = builder.block
    loading, after = builder.append_basic_block("started"), builder.append_basic_block("begin")
    builder.cbranch(builder.icmp_signed("!=", started, ir.Constant(started.type, 0)), loading, after)
    builder.position_at_end(loading)
    loaded = emit.load(here)
    builder.branch(after)
    builder.position_at_end(after)
    sums = [builder.phi(emit.vector) for _ in range(VECTORS)]
    for total, value in zip(sums, loaded, strict=True):
        total.add_incoming(emit.zero, before)
        total.add_incoming(value, loading)
    return sums


def _fours(pull: _Pull, first: Any, last: Any, start: list[Any]) -> tuple[Any, list[Any]]:
    """The loop over four edges at a time; returns where it stopped."""
    builder = pull.emit.builder
    four = ir.Constant(I64, 4)
    stop = builder.sub(last, ir.Constant(I64, 3))
    entry = builder.block
    body, done = builder.append_basic_block("fours"), builder.append_basic_block("foured")
    builder.cbranch(builder.icmp_signed("<", first, stop), body, done)
    builder.position_at_end(body)
    place = builder.phi(I64)
    sums = [builder.phi(pull.emit.vector) for _ in range(VECTORS)]
    more = pull.edges(place, 4, list(sums))
    following = builder.add(place, four)
    ends = [(place, first, following), *zip(sums, start, more, strict=True)]
    for phi, before, after in ends:
        phi.add_incoming(before, entry)
        phi.add_incoming(after, body)
    builder.cbranch(builder.icmp_signed("<", following, stop), body, done)
    builder.position_at_end(done)
    results = [builder.phi(phi.type) for phi, _, _ in ends]
    for result, (_, before, after) in zip(results, ends, strict=True):
        result.add_incoming(before, entry)
        result.add_incoming(after, body)
    return results[0], results[1:]


def _rest(pull: _Pull, place: Any, last: Any, sums: list[Any]) -> list[Any]:
    """The last none to three edges, a block of code for each count."""
    builder = pull.emit.builder
    left = builder.sub(last, place)
    entry = builder.block
    after = builder.append_basic_block("pulled")
    blocks = [(n, builder.append_basic_block(f"rest{n}")) for n in (1, 2, 3)]
    switch = builder.switch(left, after)
    found = [(entry, sums)]
    for n, block in blocks:
        switch.add_case(ir.Constant(I64, n), block)
        builder.position_at_end(block)
        found.append((block, pull.edges(place, n, list(sums))))
        builder.branch(after)
    builder.position_at_end(after)
    results = [builder.phi(pull.emit.vector) for _ in range(VECTORS)]
    for block, totals in found:
        for result, total in zip(results, totals, strict=True):
            result.add_incoming(total, block)
    return results


@intrinsic
def add_row_sums(typingctx, deltas, place, stride, into, unit):
    """``into[unit + k] += Σ over rows of deltas[place + k·stride:]`` for k in 0 … 3."""
    signature = types.void(deltas, place, stride, into, unit)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rows, sums = (data_pointer(context, builder, sig.args[i], args[i]) for i in (0, 3))
        emit = _Emitter(context, builder, rows.type.pointee)
        vectors = []
        for k in range(4):
            offset = builder.add(args[1], builder.mul(args[2], ir.Constant(I64, k)))
            first, *rest = emit.load(builder.gep(rows, [offset]))
            for other in rest:
                first = builder.fadd(first, other, flags=REORDER)
            vectors.append(first)
        totals = emit.four_sums(vectors)
        wide = builder.bitcast(builder.gep(sums, [args[4]]), totals.type.as_pointer())
        old = builder.load(wide)
        old.align = emit.size
        builder.store(builder.fadd(old, totals), wide).align = emit.size
        return context.get_dummy_value()

    return signature, codegen
