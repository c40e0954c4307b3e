"""NumPy's ufuncs as vector code: ``FUNCTIONS[name](emitter, *vectors)``."""

# ruff: noqa: PLR0124 - x != x asks for NaN

from __future__ import annotations

import math
from collections.abc import Callable

from llvmlite import ir

from dagnet.engine.compiled import elementary
from dagnet.engine.compiled.vectors import Emitter, Vector
from dagnet.formula import OPERATIONS

Function = Callable[..., Vector]

INTRINSICS = {name: name for name in ("sqrt", "copysign", "floor", "ceil", "trunc", "rint")}
INTRINSICS |= {"absolute": "fabs", "fabs": "fabs"}
"""NumPy's names of what the processor computes."""


def _maximum(emit: Emitter, a: Vector, b: Vector) -> Vector:
    return emit.select(_first_wins(a, b, a > b, a <= b), a, b)


def _minimum(emit: Emitter, a: Vector, b: Vector) -> Vector:
    return emit.select(_first_wins(a, b, a < b, a >= b), a, b)


def _first_wins(a: Vector, b: Vector, before: Vector, behind: Vector) -> Vector:
    """Whether a is before b or NaN; beside a constant, which is not NaN, one comparison tells."""
    if isinstance(a.value, ir.Constant):
        return before
    return ~behind if isinstance(b.value, ir.Constant) else before | (a != a)


def _truth(x: Vector) -> Vector:
    return x if x.is_truth else x != 0


def _where(emit: Emitter, condition: Vector, a: Vector, b: Vector) -> Vector:
    return emit.select(_truth(condition), a.to_number(), b.to_number())


def _remainder(emit: Emitter, a: Vector, b: Vector) -> Vector:
    """What floor division leaves, with the sign of b (Python's rule)."""
    rest = emit.library("fmod", a, b)
    moved = emit.select((rest < 0) ^ (b < 0), rest + b, rest)
    return emit.select(rest == 0, emit.intrinsic("copysign", emit.splat(0), b), moved)


def _floor_divide(emit: Emitter, a: Vector, b: Vector) -> Vector:
    """The floor of the exact quotient: a less its remainder divides without one, up to rounding."""
    rest = emit.library("fmod", a, b)
    quotient = (a - rest) / b - ((rest != 0) & ((rest < 0) ^ (b < 0))).to_number()
    floor = emit.intrinsic("floor", quotient)
    floor = floor + (quotient - floor > 0.5).to_number()
    zero = emit.intrinsic("copysign", emit.splat(0), a / b)
    return emit.select(b == 0, a / b, emit.select(quotient == 0, zero, floor))


SIMPLE: dict[str, Function] = {
    "add": lambda _, a, b: a + b,
    "subtract": lambda _, a, b: a - b,
    "multiply": lambda _, a, b: a * b,
    "divide": lambda _, a, b: a / b,
    "negative": lambda _, x: -x,
    "positive": lambda _, x: x,
    "square": lambda _, x: x * x,
    "reciprocal": lambda _, x: 1 / x,
    "maximum": _maximum,
    "minimum": _minimum,
    "fmax": lambda emit, a, b: emit.select((a > b) | (b != b), a, b),
    "fmin": lambda emit, a, b: emit.select((a < b) | (b != b), a, b),
    "clip": lambda emit, x, low, high: _minimum(emit, _maximum(emit, x, low), high),
    "sign": lambda emit, x: emit.select(x == x, (x > 0).to_number() - (x < 0).to_number(), x),
    "heaviside": lambda emit, x, at: emit.select(x == 0, at, emit.select(x == x, (x > 0).to_number(), x)),
    "floor_divide": _floor_divide,
    "remainder": _remainder,
    "equal": lambda _, a, b: a == b,
    "not_equal": lambda _, a, b: a != b,
    "less": lambda _, a, b: a < b,
    "less_equal": lambda _, a, b: a <= b,
    "greater": lambda _, a, b: a > b,
    "greater_equal": lambda _, a, b: a >= b,
    "isnan": lambda _, x: x != x,
    "isinf": lambda _, x: abs(x) == math.inf,
    "isfinite": lambda _, x: abs(x) < math.inf,
    "signbit": lambda _, x: x.bits() < 0,
}
"""Functions of numbers in a line or a few."""
LOGIC: dict[str, Function] = {
    "logical_and": lambda _, a, b: _truth(a) & _truth(b),
    "logical_or": lambda _, a, b: _truth(a) | _truth(b),
    "logical_xor": lambda _, a, b: _truth(a) ^ _truth(b),
    "logical_not": lambda _, x: ~_truth(x),
}


def _of_numbers(function: Function) -> Function:
    """Let a function of numbers take truths, as 0 and 1."""
    return lambda emit, *vectors: function(emit, *(vector.to_number() for vector in vectors))


def _named(call: Function, name: str) -> Function:
    return lambda emit, *vectors: call(emit, name, *vectors)


NUMERIC: dict[str, Function] = {
    **SIMPLE,
    **{name: _named(Emitter.library, entry.library) for name, entry in OPERATIONS.items() if entry.library},
    **{ours: _named(Emitter.intrinsic, theirs) for ours, theirs in INTRINSICS.items()},
    **elementary.FUNCTIONS,
}
FUNCTIONS: dict[str, Function] = {
    **{name: _of_numbers(function) for name, function in NUMERIC.items()},
    **LOGIC,
    "where": _where,
}
"""From the name of NumPy's ufunc to its vector code; truths count as 0 and 1 where numbers are asked for."""
