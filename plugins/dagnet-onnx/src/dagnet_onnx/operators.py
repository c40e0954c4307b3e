"""What NumPy's operations are in ONNX: an operator each, or the same in simpler operations.

onnxruntime has no operator in float64 for some functions, and ONNX has none at all for others.  These are
written with NumPy on symbols, as formulas are, so that they become formulas of simpler operations; each is
right to a few units in the last place, at 0 and ±∞ too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dagnet.formula import Formula
from dagnet.formula.data import ARGUMENT, CONSTANT, PLACE, SIZE, Op, Recorder
from dagnet.formula.derivative import pruned
from dagnet.formula.operations import OPERATIONS, REDUCTIONS
from dagnet.formula.symbols import Symbol, plain

# fmt: off
BOTH = {
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "power": "Pow", "fmod": "Mod",
    "maximum": "Max", "minimum": "Min", "negative": "Neg", "absolute": "Abs", "square": "Mul",
    "reciprocal": "Reciprocal", "sqrt": "Sqrt", "exp": "Exp", "log": "Log", "sin": "Sin",
    "tanh": "Tanh", "sigmoid": "Sigmoid", "sign": "Sign", "floor": "Floor", "ceil": "Ceil", "rint": "Round",
    "isnan": "IsNaN", "isinf": "IsInf", "where": "Where", "equal": "Equal", "less": "Less",
    "less_equal": "LessOrEqual", "greater": "Greater", "greater_equal": "GreaterOrEqual",
    "logical_and": "And", "logical_or": "Or", "logical_xor": "Xor", "logical_not": "Not",
}
"""Operators that onnxruntime has in float32 and float64, as far back as version 1.20."""
SINGLE = {
    "cos": "Cos", "tan": "Tan", "arcsin": "Asin", "arccos": "Acos", "arctan": "Atan", "sinh": "Sinh",
    "cosh": "Cosh", "arcsinh": "Asinh", "arccosh": "Acosh", "arctanh": "Atanh", "erf": "Erf",
}
"""Those that it has in float32 alone (newer ones have Cos in float64, too)."""
# fmt: on
REDUCED = {"sum": "ReduceSum", "prod": "ReduceProd", "max": "ReduceMax", "min": "ReduceMin"}
LN2 = math.log(2.0)
LARGE = 1e8
"""From here on √(x² ± 1) is |x|, in both precisions."""
TERMS = 12
"""Of the arctangent's series, for arguments up to tan(π/16)."""


def _signbit(x: Any) -> Any:
    return np.less(x, 0.0) | (np.equal(x, 0.0) & np.less(np.divide(1.0, x), 0.0))


def _copysign(x: Any, y: Any) -> Any:
    size = np.absolute(x)
    return np.where(_signbit(y), -size, size)


def _expm1(x: Any) -> Any:
    """Tanh(x/2) (eˣ + 1), where eˣ − 1 would cancel."""
    return np.tanh(0.5 * x) * (np.exp(x) + 1.0)


def _log1p(x: Any) -> Any:
    """Kahan's: log(u) · x/(u − 1) with u = 1 + x, in which the rounding of u cancels."""
    u = 1.0 + x
    ratio = np.where(np.isinf(u), 1.0, x / (u - 1.0))
    return np.where(np.equal(u, 1.0), x, np.log(u) * ratio)


def _sinh(x: Any) -> Any:
    size = np.absolute(x)
    rest, half = np.expm1(np.minimum(size, 20.0)), np.exp(0.5 * size)
    found = np.where(size > 20.0, half * (0.5 * half), 0.5 * (rest + rest / (rest + 1.0)))
    return np.copysign(found, x)


def _cosh(x: Any) -> Any:
    size = np.absolute(x)
    half = np.exp(0.5 * size)
    return half * (0.5 * half) + 0.5 * np.exp(-size)


def _arctan(x: Any) -> Any:
    """By 1/x above 1, and twice arctan t = 2 arctan(t/(1 + √(1 + t²))), to a series for at most tan(π/16)."""
    size = np.absolute(x)
    t = np.minimum(size, 1.0 / size)
    for _ in range(2):
        t = t / (1.0 + np.sqrt(1.0 + t * t))
    square, coefficients = t * t, [(-1.0) ** k / (2 * k + 1) for k in range(TERMS)]
    series = coefficients.pop()
    for coefficient in reversed(coefficients):
        series = series * square + coefficient
    angle = 4.0 * (t * series)
    return np.copysign(np.where(size > 1.0, 0.5 * math.pi - angle, angle), x)


def _arctan2(y: Any, x: Any) -> Any:
    up, along = np.absolute(y), np.absolute(x)
    ratio = np.where(np.equal(up, along), 1.0, up / along)
    angle = np.arctan(np.where(np.equal(up, 0.0), 0.0, ratio))
    angle = np.where(np.isnan(x) | np.isnan(y), x + y, angle)
    return np.copysign(np.where(_signbit(x), math.pi - angle, angle), y)


def _arcsinh(x: Any) -> Any:
    size = np.absolute(x)
    small = np.minimum(size, LARGE)
    near = np.log1p(small + small * small / (1.0 + np.sqrt(1.0 + small * small)))
    return np.copysign(np.where(size > LARGE, np.log(size) + LN2, near), x)


def _arccosh(x: Any) -> Any:
    above = np.minimum(x, LARGE) - 1.0
    near = np.log1p(above + np.sqrt(above) * np.sqrt(above + 2.0))
    return np.where(x > LARGE, np.log(x) + LN2, near)


def _arctanh(x: Any) -> Any:
    size = np.absolute(x)
    return np.copysign(0.5 * np.log1p(2.0 * size / (1.0 - size)), x)


def _cbrt(x: Any) -> Any:
    """A power, and one of Newton's steps, which takes the rounding of ⅓ away."""
    size = np.absolute(x)
    y = np.power(size, 1.0 / 3.0)
    y = y - (y - size / (y * y)) / 3.0
    return np.where(np.equal(size, 0.0) | np.isinf(size), x, np.copysign(y, x))


def _hypot(x: Any, y: Any) -> Any:
    x, y = np.absolute(x), np.absolute(y)
    most, least = np.maximum(x, y), np.minimum(x, y)
    ratio = np.where(np.equal(most, 0.0), 0.0, least / most)
    found = most * np.sqrt(1.0 + ratio * ratio)
    return np.where(np.isinf(x) | np.isinf(y), np.inf, found)


def _divided(x: Any, y: Any) -> tuple[Any, Any]:
    """What fmod leaves over, and whether it has the other sign than y."""
    rest = np.fmod(x, y)
    unlike = np.logical_xor(np.less(rest, 0.0), np.less(y, 0.0))
    return rest, np.logical_not(np.equal(rest, 0.0)) & unlike


def _remainder(x: Any, y: Any) -> Any:
    """With the sign of y, as Python's."""
    rest, other = _divided(x, y)
    return np.where(other, rest + y, rest)


def _floor_divide(x: Any, y: Any) -> Any:
    rest, other = _divided(x, y)
    ratio = (x - rest) / y
    ratio = np.where(other, ratio - 1.0, ratio)
    down = np.floor(ratio)
    return np.where(np.equal(y, 0.0), x / y, np.where(ratio - down > 0.5, down + 1.0, down))


def _number_of(best: Any) -> Callable[[Any, Any], Any]:
    """The larger or smaller of two, or the one that is a number."""

    def found(x: Any, y: Any) -> Any:
        return np.where(np.isnan(x), y, np.where(np.isnan(y), x, best(x, y)))

    return found


def _heaviside(x: Any, at_zero: Any) -> Any:
    other = np.where(np.isnan(x), x, np.where(x > 0.0, 1.0, 0.0))
    return np.where(np.equal(x, 0.0), at_zero, other)


EXPANSIONS: dict[str, Callable[..., Any]] = {
    "signbit": _signbit,
    "copysign": _copysign,
    "exp2": lambda x: np.power(2.0, x),
    "expm1": _expm1,
    "log2": lambda x: np.log(x) * (1.0 / LN2),
    "log10": lambda x: np.log(x) * (1.0 / math.log(10.0)),
    "log1p": _log1p,
    "sinh": _sinh,
    "cosh": _cosh,
    "cos": lambda x: 1.0 - 2.0 * np.square(np.sin(0.5 * x)),
    "tan": lambda x: np.sin(x) / np.cos(x),
    "arctan": _arctan,
    "arctan2": _arctan2,
    "arcsin": lambda x: np.arctan(x / np.sqrt((1.0 - x) * (1.0 + x))),
    "arccos": lambda x: 2.0 * np.arctan(np.sqrt((1.0 - x) / (1.0 + x))),
    "arcsinh": _arcsinh,
    "arccosh": _arccosh,
    "arctanh": _arctanh,
    "cbrt": _cbrt,
    "hypot": _hypot,
    "remainder": _remainder,
    "floor_divide": _floor_divide,
    "fmax": _number_of(np.maximum),
    "fmin": _number_of(np.minimum),
    "heaviside": _heaviside,
    "trunc": lambda x: np.where(np.less(x, 0.0), np.ceil(x), np.floor(x)),
    "isfinite": lambda x: np.logical_not(np.isnan(x) | np.isinf(x)),
    "not_equal": lambda x, y: np.logical_not(np.equal(x, y)),
}
"""Operations in simpler ones; those of dagnet's own table serve beside them."""


def operators(dtype: Any) -> Mapping[str, str]:
    """The operator of each operation that has one in a precision."""
    return BOTH | SINGLE if np.dtype(dtype) == np.float32 else BOTH


def simplified(
    formula: Formula, numbers: Mapping[str, float], sizes: Mapping[str, int], dtype: Any
) -> Formula:
    """A formula in operations that have an operator, of the arguments that are no ``numbers``.

    ``sizes`` says how many units or terms there are.

    Raises
    ------
    Untraceable
        If it is too long then.
    """
    known = operators(dtype).keys() | REDUCTIONS.keys() | {ARGUMENT, CONSTANT, PLACE}
    found = pruned(_again(formula, numbers, sizes, known))
    while any(op.name not in known or (op.truth and op.name == "where") for op in found.ops):
        found = pruned(_again(found, {}, {}, known))
    return found


def _again(formula: Formula, numbers: Mapping[str, float], sizes: Mapping[str, int], known: Any) -> Formula:
    """The same, with some numbers put in, and those operations that are not known one by one in others."""
    recorder, places = Recorder(), list[int]()
    names = tuple(name for name in formula.arguments if name not in numbers)
    first = {op.value: recorder.add(op) for op in formula.ops if op.name == ARGUMENT and op.value in names}
    for op in formula.ops:
        reads = [places[read] for read in op.reads]
        if op.name == ARGUMENT:
            place = first[op.value] if op.value in first else recorder.constant(numbers[str(op.value)])
        elif op.name == SIZE:
            place = recorder.constant(float(sizes[str(op.value)]))
        elif op.name not in OPERATIONS:
            place = recorder.add(op._replace(reads=tuple(reads)))
        else:
            place = _recorded(recorder, op, reads, known)
        places.append(place)
    return Formula(names, tuple(recorder.ops), (recorder.number(places[formula.results[0]]),))


def _recorded(recorder: Recorder, op: Op, reads: list[int], known: Any) -> int:
    if op.truth and op.name == "where":  # onnxruntime chooses among numbers alone
        yes, no = recorder.apply("logical_and", *reads[:2]), recorder.apply("logical_not", reads[0])
        return recorder.apply("logical_or", yes, recorder.apply("logical_and", no, reads[2]))
    if op.name in known:
        return recorder.apply(op.name, *reads)
    expansion: Any = EXPANSIONS.get(op.name) or OPERATIONS[op.name].expansion
    written = expansion(*(plain(recorder, k) for k in reads))
    return written.at if isinstance(written, Symbol) else recorder.constant(written)
