"""exp, expm1, tanh, log and log1p as vector code.

Each follows the textbook (Muller, "Elementary Functions", 2016): reduce the argument, evaluate a
polynomial, put the parts together; no branches, so that loops over them become vector code.  In
float32 about one unit in the last place, in float64 under two.  Infinities and NaN as in NumPy.
"""

# ruff: noqa: ANN001, ANN202, PLR0124 - Numba infers types; x != x asks for NaN
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from dagnet.engine.compiled.bits import float_bits, from_bits, pick, truncated

__all__ = ["EXACT", "exponentials", "logarithms"]

EXACT = {"fastmath": {"contract"}, "error_model": "numpy", "nogil": True, "forceinline": True}
LN2 = 0.693147180559945309417232121458176568


@dataclass(frozen=True)
class _Format:
    """A floating-point format, and log 2 in two parts: small multiples of the first are exact."""

    number: Any
    integer: Any
    bias: Any
    mantissa: Any
    largest: Any
    smallest: Any
    high: Any
    low: Any
    exp_terms: int
    log_terms: int

    @classmethod
    def of(cls, number: Any) -> _Format:
        """The format of a NumPy scalar type."""
        single = number is np.float32
        integer: Any = np.int32 if single else np.int64
        layout = (127, 23) if single else (1023, 52)
        limits = (88.72284, -104.0) if single else (709.782712893384, -746.0)
        parts = (0.693359375, LN2 - 0.693359375) if single else (0.6931471803691238, 1.9082149292705877e-10)
        terms = (7, 5) if single else (13, 11)
        bias, mantissa = map(integer, layout)
        largest, smallest, high, low = map(number, limits + parts)
        return cls(number, integer, bias, mantissa, largest, smallest, high, low, *terms)


def _polynomial(coefficients: list[float], number: Any) -> Any:
    """Horner's scheme, highest power first."""
    values = tuple(number(value) for value in coefficients)

    @numba.njit(**EXACT)
    def polynomial(x):
        total = values[0]
        for k in range(1, len(values)):
            total = total * x + values[k]
        return total

    return polynomial


def _reduction(form: _Format) -> tuple[Any, Any, Any]:
    """2ⁿ; a clamp that keeps NaN; and n and expm1(r) with x = n·log 2 + r."""
    number, integer, bias, mantissa, high, low = (
        form.number,
        form.integer,
        form.bias,
        form.mantissa,
        form.high,
        form.low,
    )
    half, log2e = number(0.5), number(1 / LN2)
    series = _polynomial([1 / math.factorial(k) for k in range(form.exp_terms, 1, -1)], number)

    @numba.njit(**EXACT)
    def power_of_two(n):
        return from_bits(integer((n + bias) << mantissa))

    @numba.njit(**EXACT)
    def clamped(x, bottom, top):
        x = pick(x < bottom, bottom, x)
        return pick(x > top, top, x)

    @numba.njit(**EXACT)
    def reduced(x):
        n = np.floor(x * log2e + half)
        r = (x - n * high) - n * low
        return truncated(n), r + r * r * series(r)

    return power_of_two, clamped, reduced


def exponentials(number: Any) -> dict[str, Any]:
    """Compiled ``exp``, ``expm1`` and ``tanh`` for a scalar type."""
    form = _Format.of(number)
    integer, largest, smallest = form.integer, form.largest, form.smallest
    zero, one, half, two, infinity = (number(value) for value in (0, 1, 0.5, 2, np.inf))
    tiny = number(1e-5 if number is np.float32 else 1e-10)
    power_of_two, clamped, reduced = _reduction(form)

    @numba.njit(**EXACT)
    def exp(x):
        n, rest = reduced(clamped(x, smallest, largest))
        first = n >> integer(1)  # in two steps, so that results near the ends of the range are right
        result = (one + rest) * power_of_two(first) * power_of_two(n - first)
        return pick(x > largest, infinity, result)

    @numba.njit(**EXACT)
    def expm1(x):
        n, rest = reduced(clamped(x, number(-60), largest))
        first = n >> integer(1)
        scale = power_of_two(n - first)
        result = (power_of_two(first) * rest + (power_of_two(first) - one / scale)) * scale
        result = pick(abs(x) < tiny, x + half * x * x, result)
        return pick(x > largest, infinity, result)

    @numba.njit(**EXACT)
    def tanh(x):
        n, rest = reduced(two * clamped(abs(x), zero, number(20)))
        scale = power_of_two(n)
        grown = scale * rest + (scale - one)  # expm1(2|x|)
        return math.copysign(grown / (grown + two), x)

    return {"exp": exp, "expm1": expm1, "tanh": tanh}


def logarithms(number: Any) -> dict[str, Any]:
    """Compiled ``log`` and ``log1p`` for a scalar type."""
    form = _Format.of(number)
    zero, one, half, infinity, nan = (number(value) for value in (0, 1, 0.5, np.inf, np.nan))
    subnormal, lift, back = number(1e-30), number(2.0**60), number(-60.0 * LN2)
    tiny = number(1e-4 if number is np.float32 else 1e-8)
    log_of = _log_of(form)

    @numba.njit(**EXACT)
    def log(x):
        small = x < subnormal
        lifted = pick(small, x * lift, x)
        safe = pick((lifted > zero) & (lifted < infinity), lifted, one)
        result = log_of(safe, zero) + pick(small, back, zero)
        result = pick(x == infinity, infinity, result)
        result = pick(x == zero, -infinity, result)
        return pick((x < zero) | (x != x), nan, result)

    @numba.njit(**EXACT)
    def log1p(x):
        total = one + x
        safe = pick(total > zero, total, one)
        safe = pick(safe < infinity, safe, one)
        result = log_of(safe, x - (safe - one))
        result = pick(x == infinity, infinity, result)
        result = pick(total == zero, -infinity, result)
        result = pick(total < zero, nan, result)
        result = pick(abs(x) < tiny, x - half * x * x, result)
        return pick(x != x, x, result)

    return {"log": log, "log1p": log1p}


def _log_of(form: _Format) -> Any:
    """log(x + correction) for a tiny correction and x > 0, normal."""
    number, integer, bias, mantissa, high, low = (
        form.number,
        form.integer,
        form.bias,
        form.mantissa,
        form.high,
        form.low,
    )
    zero, one, half, two = (number(value) for value in (0, 1, 0.5, 2))
    root_two = number(math.sqrt(2))
    series = _polynomial([2 / (2 * k + 1) for k in range(form.log_terms, 0, -1)], number)

    @numba.njit(**EXACT)
    def log_of(x, correction):
        bits = float_bits(x)
        exponent = (bits >> mantissa) - bias
        fraction = from_bits(integer(bits - (exponent << mantissa)))
        large = fraction > root_two
        fraction = pick(large, half * fraction, fraction)
        n = number(exponent) + pick(large, one, zero)
        f = fraction - one
        s = f / (two + f)  # log(1 + f) = 2 artanh(s)
        square = s * s
        logarithm = two * s + s * square * series(square)
        return n * high + (logarithm + (n * low + correction / x))

    return log_of
