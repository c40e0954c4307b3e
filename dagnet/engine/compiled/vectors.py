"""Vectors in LLVM's own language, with Python's operators.

An ``Emitter`` writes instructions at the end of its builder's block; a ``Vector`` is a value of
``lanes`` numbers, truths or whole numbers that LLVM splits or widens to what the processor has.
Every lane is computed alike, so that a number's bits do not depend on its place in a vector.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cache
from typing import Any, Self

import numpy as np
from llvmlite import binding, ir

CONTRACT = ("contract",)
"""Floating-point arithmetic may turn a·b + c into one FMA, and nothing else."""
I32, I64, TRUTH = ir.IntType(32), ir.IntType(64), ir.IntType(1)
ELEMENTS = {"float32": ir.FloatType(), "float64": ir.DoubleType()}
TILE_BYTES = 256
"""Most of a unit's rows in a tile: four vectors of the widest processors."""
MOST_LEARNED, MOST_NUMBERS = 4, 8
"""How many numbers an activation may learn, and read in all, as machine code."""
TILE_ROWS = {"float32": (8, 16, 32, 64), "float64": (8, 16, 32)}
"""How many rows a tile may have; ``USUAL_ROWS`` are two vectors of the widest processors."""
USUAL_ROWS = {"float32": 32, "float64": 16}
LIBRARY = "dagnet_"
"""Put before a C function's name, so that nobody else's symbol of that name is replaced."""


@cache
def _registered(name: str) -> str:
    """The symbol under which machine code finds a function of the C library."""
    functions = ctypes.CDLL("ucrtbase" if os.name == "nt" else None)
    address = ctypes.cast(getattr(functions, name), ctypes.c_void_p).value
    binding.add_symbol(LIBRARY + name, address)
    return LIBRARY + name


def _as_it_stands(module: ir.Module) -> Any:
    """What tells LLVM not to write a loop's body several times, which takes longer and is no faster."""
    told = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    node = module.add_metadata([told])
    node.operands = (node, told)
    return node


class Emitter:
    """Vector code for one kind of number: ``lanes`` of them at a time."""

    def __init__(self, builder: ir.IRBuilder, dtype: Any, lanes: int) -> None:
        self.builder = builder
        self.dtype = np.dtype(dtype)
        self.number: Any = self.dtype.type
        self.lanes = lanes
        self.element = ELEMENTS[self.dtype.name]
        self.type = ir.VectorType(self.element, lanes)
        self.whole_type = ir.VectorType(ir.IntType(8 * self.dtype.itemsize), lanes)
        self._constants: dict[Any, Vector] = {}

    def wide(self) -> Emitter:
        """The emitter of as many float64."""
        return self if self.dtype.itemsize == 8 else Emitter(self.builder, np.float64, self.lanes)

    def constant(self, kind: ir.VectorType, value: float) -> Vector:
        """The same Python number in every lane of a vector of this type."""
        value = int(value) if isinstance(kind.element, ir.IntType) else float(self.number(value))
        key = (str(kind.element), value.hex() if isinstance(value, float) else value)
        if key not in self._constants:
            self._constants[key] = Vector(self, ir.Constant(kind, [value] * self.lanes))
        return self._constants[key]

    def splat(self, value: float | ir.Value) -> Vector:
        """A Python number, or a scalar, in every lane."""
        if not isinstance(value, ir.Value):
            return self.constant(self.type, value)
        undefined = ir.Constant(ir.VectorType(value.type, self.lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, value, ir.Constant(I32, 0))
        mask = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        return Vector(self, self.builder.shuffle_vector(first, undefined, mask))

    def _place(self, pointer: ir.Value) -> ir.Value:
        return self.builder.bitcast(pointer, self.type.as_pointer())

    def _call(self, name: str, result: ir.Type, arguments: list[ir.Value]) -> ir.Value:
        function = self.builder.module.globals.get(name)
        if function is None:
            kind = ir.FunctionType(result, [argument.type for argument in arguments])
            function = ir.Function(self.builder.module, kind, name)
        return self.builder.call(function, arguments)

    def _suffix(self) -> str:
        return f"v{self.lanes}f{8 * self.dtype.itemsize}"

    def load(self, pointer: ir.Value, mask: Vector | None = None) -> Vector:
        """The numbers from ``pointer`` on; with a mask, 0 where it is false and nothing is read there."""
        if mask is None:
            return Vector(self, self.builder.load(self._place(pointer), align=self.dtype.itemsize))
        arguments = [self._place(pointer), ir.Constant(I32, self.dtype.itemsize), mask.value]
        arguments.append(self.splat(0).value)
        return Vector(self, self._call(f"llvm.masked.load.{self._suffix()}.p0", self.type, arguments))

    def store(self, vector: Vector, pointer: ir.Value, mask: Vector | None = None) -> None:
        """Write the numbers from ``pointer`` on; with a mask, only where it is true."""
        if mask is None:
            self.builder.store(vector.value, self._place(pointer), align=self.dtype.itemsize)
            return
        alignment = ir.Constant(I32, self.dtype.itemsize)
        arguments = [vector.value, self._place(pointer), alignment, mask.value]
        self._call(f"llvm.masked.store.{self._suffix()}.p0", ir.VoidType(), arguments)

    def prefetch(self, pointer: ir.Value) -> None:
        """Ask for the numbers from ``pointer`` on, a cache line each time."""
        for line in range(0, self.lanes, 64 // self.dtype.itemsize):
            self.ask(pointer, ir.Constant(I64, line))

    def ask(self, array: ir.Value, place: ir.Value) -> None:
        """Ask for the cache line of one number."""
        address = self.builder.bitcast(self.builder.gep(array, [place]), ir.IntType(8).as_pointer())
        flags = [ir.Constant(I32, flag) for flag in (0, 3, 1)]
        self._call("llvm.prefetch.p0", ir.VoidType(), [address, *flags])

    def mask_where_apart(self, a: Any, b: Any) -> Any:
        """For :meth:`before`: no bits where two arrays are one, else all."""
        kind = ir.VectorType(ir.IntType(8 * self.dtype.itemsize), 4)
        same = self.builder.icmp_unsigned("==", a, b)
        return self.builder.select(same, ir.Constant(kind, [0] * 4), ir.Constant(kind, [-1] * 4))

    def before(self, target: Any, mask: Any, n: int) -> Any:
        """Four numbers in memory or one, the first of four, with the bits of a mask alone."""
        builder, kind, size = self.builder, ir.VectorType(self.element, 4), self.dtype.itemsize
        if n == 4:
            found = builder.load(builder.bitcast(target, kind.as_pointer()), align=size)
        else:
            found = builder.insert_element(
                ir.Constant(kind, ir.Undefined), builder.load(target), ir.Constant(I32, 0)
            )
        if mask is not None:
            found = builder.bitcast(builder.and_(builder.bitcast(found, mask.type), mask), kind)
        return found if n == 4 else builder.extract_element(found, ir.Constant(I32, 0))

    def first(self, n: ir.Value) -> Vector:
        """Truth in the first ``n`` lanes; ``n`` is an i64."""
        all_lanes = ir.Constant(I64, self.lanes)
        few = self.builder.select(self.builder.icmp_signed("<", n, all_lanes), n, all_lanes)
        limit = self.splat(self.builder.trunc(few, I32))
        lane = ir.Constant(ir.VectorType(I32, self.lanes), list(range(self.lanes)))
        return Vector(self, self.builder.icmp_signed("<", lane, limit.value))

    def select(self, condition: Vector, a: Operand, b: Operand) -> Vector:
        """``a`` where the condition is true, else ``b``; Python numbers are numbers in every lane."""
        kind = next((x.value.type for x in (a, b) if isinstance(x, Vector)), self.type)
        a, b = (x if isinstance(x, Vector) else self.constant(kind, x) for x in (a, b))
        return Vector(self, self.builder.select(condition.value, a.value, b.value))

    def intrinsic(self, name: str, *vectors: Vector) -> Vector:
        """LLVM's function of that name, on numbers."""
        values = [vector.value for vector in vectors]
        return Vector(self, self._call(f"llvm.{name}.{self._suffix()}", self.type, values))

    def fma(self, a: Vector, b: Operand, c: Operand) -> Vector:
        """a·b + c, rounded once, on every processor."""
        return self.intrinsic("fma", a, *(x if isinstance(x, Vector) else self.splat(x) for x in (b, c)))

    def cast(self, vector: Vector) -> Vector:
        """A vector of numbers of any size as numbers of this emitter's."""
        if vector.value.type == self.type:
            return Vector(self, vector.value)
        convert = self.builder.fpext if self.dtype.itemsize == 8 else self.builder.fptrunc
        return Vector(self, convert(vector.value, self.type))

    def library(self, name: str, *vectors: Vector) -> Vector:
        """The C library's function of that name (the double precision version), lane by lane."""
        wide, double = self.wide(), ir.DoubleType()
        arguments = [wide.cast(vector).value for vector in vectors]
        result = ir.Constant(wide.type, ir.Undefined)
        for lane in range(self.lanes):
            place = ir.Constant(I32, lane)
            scalars = [self.builder.extract_element(argument, place) for argument in arguments]
            value = self._call(_registered(name), double, scalars)
            result = self.builder.insert_element(result, value, place)
        return self.cast(Vector(wide, result))

    def loop(
        self, stop: ir.Value, step: int, carried: list[ir.Value], body: Callable[..., list[ir.Value]]
    ) -> list[ir.Value]:
        """``body(k, carried) -> carried`` for k = 0, step, … while k + step ≤ stop.

        Returns where it stopped and what is carried then; the builder goes on behind the loop.
        """
        builder, before = self.builder, self.builder.block
        top, inside, after = (builder.append_basic_block(name) for name in ("top", "inside", "after"))
        builder.branch(top)
        builder.position_at_end(top)
        place = builder.phi(I64)
        place.add_incoming(ir.Constant(I64, 0), before)
        phis = [builder.phi(value.type) for value in carried]
        following = builder.add(place, ir.Constant(I64, step))
        builder.cbranch(builder.icmp_signed("<=", following, stop), inside, after)
        builder.position_at_end(inside)
        new = body(place, list(phis))
        back = builder.branch(top)
        back.set_metadata("llvm.loop", _as_it_stands(builder.module))
        last = back.parent
        place.add_incoming(following, last)
        for phi, start, value in zip(phis, carried, new, strict=True):
            phi.add_incoming(start, before)
            phi.add_incoming(value, last)
        builder.position_at_end(after)
        return [place, *phis]

    def some(self, condition: Vector) -> ir.Value:
        """Whether it holds in a lane."""
        return self._call(f"llvm.vector.reduce.or.v{self.lanes}i1", TRUTH, [condition.value])

    def rarely(self, condition: Vector, usual: Vector, rare: Callable[[], Vector]) -> Vector:
        """``usual``, but ``rare()`` where the condition holds: computed only if some lane asks for it.

        The builder goes on in another block than before.
        """
        builder, before = self.builder, self.builder.block
        asked, after = builder.append_basic_block("rare"), builder.append_basic_block("usual")
        builder.cbranch(self.some(condition), asked, after).set_weights([1, 1000])
        builder.position_at_end(asked)
        chosen = self.select(condition, rare(), usual)
        last = builder.branch(after).parent
        builder.position_at_end(after)
        result = builder.phi(usual.value.type)
        result.add_incoming(usual.value, before)
        result.add_incoming(chosen.value, last)
        return Vector(self, result)


def _arithmetic(of_numbers: str, of_others: str, *, reverse: bool = False) -> Any:
    """An operator: one of the builder's methods for numbers, another for truths and whole numbers."""

    def operate(self: Vector, other: Operand) -> Vector:
        a, b = (self.like(other), self) if reverse else (self, self.like(other))
        if self.is_number:
            return self.new(getattr(self.emit.builder, of_numbers)(a.value, b.value, flags=CONTRACT))
        return self.new(getattr(self.emit.builder, of_others)(a.value, b.value))

    return operate


def _comparison(sign: str) -> Any:
    """Ordered, so false with NaN, except ``!=``."""
    of_numbers = "fcmp_unordered" if sign == "!=" else "fcmp_ordered"

    def compare(self: Vector, other: Operand) -> Vector:
        name = of_numbers if self.is_number else "icmp_signed"
        return self.new(getattr(self.emit.builder, name)(sign, self.value, self.like(other).value))

    return compare


class Vector:
    """Numbers, truths or whole numbers, one a lane; a Python number beside one means it in every lane."""

    def __init__(self, emit: Emitter, value: ir.Value) -> None:
        self.emit = emit
        self.value = value
        self.is_number = not isinstance(value.type.element, ir.IntType)
        self.is_truth = value.type.element == TRUTH

    def new(self, value: ir.Value) -> Self:
        """Another vector of the same emitter."""
        return type(self)(self.emit, value)

    def like(self, other: Operand) -> Vector:
        """An operand as a vector of this vector's type."""
        return other if isinstance(other, Vector) else self.emit.constant(self.value.type, other)

    __add__ = _arithmetic("fadd", "add")
    __radd__ = _arithmetic("fadd", "add", reverse=True)
    __sub__ = _arithmetic("fsub", "sub")
    __rsub__ = _arithmetic("fsub", "sub", reverse=True)
    __mul__ = _arithmetic("fmul", "mul")
    __rmul__ = _arithmetic("fmul", "mul", reverse=True)
    __truediv__ = _arithmetic("fdiv", "sdiv")
    __rtruediv__ = _arithmetic("fdiv", "sdiv", reverse=True)
    __and__ = _arithmetic("", "and_")
    __or__ = _arithmetic("", "or_")
    __xor__ = _arithmetic("", "xor")
    __lshift__ = _arithmetic("", "shl")
    __rshift__ = _arithmetic("", "lshr")  # zeros come in from the left
    __lt__ = _comparison("<")
    __le__ = _comparison("<=")
    __gt__ = _comparison(">")
    __ge__ = _comparison(">=")
    __eq__ = _comparison("==")
    __ne__ = _comparison("!=")
    __hash__ = object.__hash__

    def __neg__(self) -> Vector:
        builder = self.emit.builder
        return self.new(builder.fneg(self.value) if self.is_number else builder.neg(self.value))

    def __invert__(self) -> Vector:
        return self.new(self.emit.builder.not_(self.value))

    def __abs__(self) -> Vector:
        return self.emit.intrinsic("fabs", self)

    def times(self, other: Operand) -> Vector:
        """The rounded product of numbers, never part of an FMA: what error-free sums need."""
        return self.new(self.emit.builder.fmul(self.value, self.like(other).value))

    def bits(self) -> Vector:
        """The bits of numbers, as whole numbers."""
        return self.new(self.emit.builder.bitcast(self.value, self.emit.whole_type))

    def from_bits(self) -> Vector:
        """The numbers whose bits these whole numbers are."""
        return self.new(self.emit.builder.bitcast(self.value, self.emit.type))

    def to_number(self) -> Vector:
        """Whole numbers as numbers, truths as 0 and 1; numbers stay."""
        if self.is_truth:
            return self.emit.select(self, self.emit.splat(1), 0)
        return self if self.is_number else self.new(self.emit.builder.sitofp(self.value, self.emit.type))


Operand = Vector | float
