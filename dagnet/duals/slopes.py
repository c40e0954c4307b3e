"""Partial derivatives of NumPy's ufuncs: the table of forward-mode differentiation.

``SLOPES[ufunc]`` holds one function an argument, ``slope(*arguments, result)``.  Where a ufunc
has a kink, the slope is PyTorch's for the function of that name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["FLAT", "PLAIN", "SLOPES"]

Slope = Callable[..., Any]

LN2 = math.log(2.0)
LN10 = math.log(10.0)


def zero(*_: Any) -> float:
    return 0.0


def one(*_: Any) -> float:
    return 1.0


def minus_one(*_: Any) -> float:
    return -1.0


def power_of_base(x: Any, n: Any, _y: Any) -> Any:
    return np.where(np.equal(n, 0), 0.0, n * np.power(x, np.subtract(n, 1)))


def power_of_exponent(x: Any, n: Any, y: Any) -> Any:
    return np.where(np.equal(x, 0) & np.greater_equal(n, 0), 0.0, y * np.log(x))


def larger_first(x: Any, y: Any, _: Any) -> Any:
    """Ties are split; a NaN passes on to both, as in ``torch.maximum``."""
    return np.where(np.equal(x, y), 0.5, np.where(np.less(x, y), 0.0, 1.0))


def larger_second(x: Any, y: Any, result: Any) -> Any:
    return larger_first(y, x, result)


def smaller_first(x: Any, y: Any, _: Any) -> Any:
    return np.where(np.equal(x, y), 0.5, np.where(np.greater(x, y), 0.0, 1.0))


def smaller_second(x: Any, y: Any, result: Any) -> Any:
    return smaller_first(y, x, result)


def fmax_first(x: Any, y: Any, _: Any) -> Any:
    """A tie goes to the first argument, as in ``torch.fmax``."""
    return np.where(np.greater_equal(x, y) | np.isnan(y), 1.0, 0.0)


def fmax_second(x: Any, y: Any, result: Any) -> Any:
    return 1.0 - fmax_first(x, y, result)


def fmin_first(x: Any, y: Any, _: Any) -> Any:
    return np.where(np.less_equal(x, y) | np.isnan(y), 1.0, 0.0)


def fmin_second(x: Any, y: Any, result: Any) -> Any:
    return 1.0 - fmin_first(x, y, result)


def share(x: Any, y: Any, exp: Callable[[Any], Any]) -> Any:
    """How much of e^x + e^y is e^x; a half at ties, those of two infinities among them."""
    return np.where(np.equal(x, y), 0.5, 1.0 / (1.0 + exp(np.subtract(y, x))))


def unit_ratio(x: Any, length: Any) -> Any:
    """A coordinate over the length, and 0 at the origin, where PyTorch's ``norm`` has 0 too."""
    return np.where(np.equal(length, 0), 0.0, x / length)


def arctan2_slope(numerator: Any, y: Any, x: Any) -> Any:
    length = np.hypot(y, x)
    return np.where(np.equal(length, 0), 0.0, numerator / length / length)


UNARY: dict[np.ufunc, Callable[[Any, Any], Any]] = {
    np.positive: one,
    np.conjugate: one,
    np.negative: minus_one,
    np.absolute: lambda x, _: np.sign(x),
    np.fabs: lambda x, _: np.sign(x),
    np.square: lambda x, _: 2.0 * x,
    np.reciprocal: lambda _, y: -y * y,
    np.sqrt: lambda _, y: 0.5 / y,
    np.cbrt: lambda _, y: 1.0 / (3.0 * y * y),
    np.exp: lambda _, y: y,
    np.exp2: lambda _, y: LN2 * y,
    np.expm1: lambda x, _: np.exp(x),
    np.log: lambda x, _: 1.0 / x,
    np.log2: lambda x, _: 1.0 / (LN2 * x),
    np.log10: lambda x, _: 1.0 / (LN10 * x),
    np.log1p: lambda x, _: 1.0 / (1.0 + x),
    np.sin: lambda x, _: np.cos(x),
    np.cos: lambda x, _: -np.sin(x),
    np.tan: lambda _, y: 1.0 + y * y,
    np.arcsin: lambda x, _: 1.0 / np.sqrt((1.0 - x) * (1.0 + x)),
    np.arccos: lambda x, _: -1.0 / np.sqrt((1.0 - x) * (1.0 + x)),
    np.arctan: lambda x, _: 1.0 / (1.0 + x * x),
    np.sinh: lambda x, _: np.cosh(x),
    np.cosh: lambda x, _: np.sinh(x),
    np.tanh: lambda _, y: (1.0 - y) * (1.0 + y),
    np.arcsinh: lambda x, _: 1.0 / np.hypot(1.0, x),
    np.arccosh: lambda x, _: 1.0 / (np.sqrt(x - 1.0) * np.sqrt(x + 1.0)),
    np.arctanh: lambda x, _: 1.0 / ((1.0 - x) * (1.0 + x)),
    np.deg2rad: lambda *_: math.pi / 180.0,
    np.radians: lambda *_: math.pi / 180.0,
    np.rad2deg: lambda *_: 180.0 / math.pi,
    np.degrees: lambda *_: 180.0 / math.pi,
}

BINARY: dict[np.ufunc, tuple[Slope, Slope]] = {
    np.add: (one, one),
    np.subtract: (one, minus_one),
    np.multiply: (lambda _x, y, _: y, lambda x, _y, _: x),
    np.divide: (lambda _x, y, _: np.divide(1.0, y), lambda _, y, quotient: -quotient / y),
    np.power: (power_of_base, power_of_exponent),
    np.float_power: (power_of_base, power_of_exponent),
    np.remainder: (one, lambda x, y, _: -np.floor_divide(x, y)),
    np.fmod: (one, lambda x, y, _: -np.trunc(x / y)),
    np.maximum: (larger_first, larger_second),
    np.minimum: (smaller_first, smaller_second),
    np.fmax: (fmax_first, fmax_second),
    np.fmin: (fmin_first, fmin_second),
    np.hypot: (lambda x, _, y: unit_ratio(x, y), lambda _, x, y: unit_ratio(x, y)),
    np.arctan2: (lambda y, x, _: arctan2_slope(x, y, x), lambda y, x, _: arctan2_slope(np.negative(y), y, x)),
    np.logaddexp: (lambda x, y, _: share(x, y, np.exp), lambda x, y, _: share(y, x, np.exp)),
    np.logaddexp2: (lambda x, y, _: share(x, y, np.exp2), lambda x, y, _: share(y, x, np.exp2)),
    np.copysign: (lambda x, _, y: np.where(np.equal(x, 0), 0.0, y / x), zero),
    np.heaviside: (zero, lambda x, *_: np.where(np.equal(x, 0), 1.0, 0.0)),
    np.ldexp: (lambda _, n, _y: np.ldexp(1.0, n), zero),
}

FLAT = (np.sign, np.floor, np.ceil, np.trunc, np.rint, np.floor_divide)
"""Piecewise constant: the derivative is 0 everywhere, at the jumps too."""

SLOPES: dict[np.ufunc, tuple[Slope, ...]] = {
    **{ufunc: (slope,) for ufunc, slope in UNARY.items()},
    **BINARY,
    **{ufunc: (zero,) * ufunc.nin for ufunc in FLAT},
}

PLAIN: frozenset[np.ufunc] = frozenset(
    {
        *(np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal),
        *(np.logical_and, np.logical_or, np.logical_xor, np.logical_not),
        *(np.isnan, np.isinf, np.isfinite, np.isnat, np.signbit),
    }
)
"""Answers of yes and no: plain arrays, without a derivative to carry."""
