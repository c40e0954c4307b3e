"""What ``np`` means inside a compiled function: NumPy's elementwise functions for one scalar."""

# ruff: noqa: ANN001, ANN202, PLR0124 - Numba infers types; x != x asks for NaN
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import math
from functools import cache
from types import ModuleType
from typing import Any

import numba
import numpy as np

from dagnet.engine.compiled.bits import pick
from dagnet.engine.compiled.elementary import EXACT, exponentials, logarithms

__all__ = ["namespace"]

LIBRARY = {
    **{name: name for name in ("sqrt", "sin", "cos", "tan", "sinh", "cosh", "copysign", "hypot")},
    "arctan": "atan",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan2": "atan2",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "power": "pow",
}
"""NumPy's names of what the C library computes."""


@cache
def namespace(dtype_name: str) -> ModuleType:
    """A stand-in for the module ``numpy``, for scalars of one dtype."""
    number = np.dtype(dtype_name).type
    module = ModuleType("np")
    functions = {**exponentials(number), **logarithms(number)}
    functions |= _choices(number)
    functions |= _constants(number)
    functions |= _arithmetic(number)
    functions["logaddexp"] = _logaddexp(number, functions)
    functions |= {ours: getattr(math, theirs) for ours, theirs in LIBRARY.items()}
    functions |= {name: number(getattr(np, name)) for name in ("inf", "nan", "pi", "e")}
    functions |= {"floor": np.floor, "ceil": np.ceil, "trunc": np.trunc}
    for name, function in functions.items():
        setattr(module, name, function)
    return module


def _choices(number: Any) -> dict[str, Any]:
    """Functions that pick one of their arguments; NaN wins, as in NumPy."""

    @numba.njit(**EXACT)
    def where(c, a, b):
        return pick(c, number(a), number(b))

    @numba.njit(**EXACT)
    def maximum(a, b):
        a, b = number(a), number(b)
        return pick((a > b) | (a != a), a, b)

    @numba.njit(**EXACT)
    def minimum(a, b):
        a, b = number(a), number(b)
        return pick((a < b) | (a != a), a, b)

    @numba.njit(**EXACT)
    def clip(x, bottom, top):
        x = pick(x < number(bottom), number(bottom), number(x))
        return pick(x > number(top), number(top), x)

    @numba.njit(**EXACT)
    def isnan(x):
        return x != x

    @numba.njit(**EXACT)
    def absolute(x):
        return abs(x)

    named = {"where": where, "maximum": maximum, "minimum": minimum, "clip": clip, "isnan": isnan}
    return {**named, **dict.fromkeys(("abs", "absolute", "fabs"), absolute)}


def _constants(number: Any) -> dict[str, Any]:
    """Functions with steps, and arrays of one value."""
    zero, one = number(0), number(1)

    @numba.njit(**EXACT)
    def sign(x):
        return pick(x != x, x, pick(x > zero, one, zero) - pick(x < zero, one, zero))

    @numba.njit(**EXACT)
    def heaviside(x, at_zero):
        return pick(x != x, x, pick(x > zero, one, pick(x == zero, number(at_zero), zero)))

    @numba.njit(**EXACT)
    def ones_like(_x):
        return one

    @numba.njit(**EXACT)
    def zeros_like(_x):
        return zero

    @numba.njit(**EXACT)
    def full_like(_x, value):
        return number(value)

    steps = {"sign": sign, "heaviside": heaviside}
    return {**steps, "ones_like": ones_like, "zeros_like": zeros_like, "full_like": full_like}


def _arithmetic(number: Any) -> dict[str, Any]:
    """Operators under their names."""
    one = number(1)
    named = {
        "add": lambda a, b: a + b,
        "subtract": lambda a, b: a - b,
        "multiply": lambda a, b: a * b,
        "divide": lambda a, b: a / b,
        "negative": lambda x: -x,
        "positive": lambda x: +x,
        "square": lambda x: x * x,
        "reciprocal": lambda x: one / x,
        "exp2": lambda x: number(2.0 ** float(x)),
    }
    return {name: numba.njit(**EXACT)(function) for name, function in named.items()}


def _logaddexp(number: Any, functions: dict[str, Any]) -> Any:
    zero = number(0)
    maximum, minimum, exp, log1p = (functions[name] for name in ("maximum", "minimum", "exp", "log1p"))

    @numba.njit(**EXACT)
    def logaddexp(a, b):
        top, bottom = maximum(a, b), minimum(a, b)
        return top + log1p(exp(pick(top == bottom, zero, bottom - top)))

    return logaddexp
