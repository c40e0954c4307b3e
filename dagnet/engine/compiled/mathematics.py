"""NumPy's elementwise functions for compiled scalars: what ``np`` means inside a compiled activation.

Written without branches, so that loops over them become vector code, in the precision of their
argument: in float32 a few units in the last place, in float64 about one.  Each follows the
textbook (Muller, "Elementary Functions", 2016): reduce the argument, evaluate a polynomial,
put the parts together.  Infinities and NaN come out as NumPy's.
"""

from __future__ import annotations

import math
from functools import cache
from types import ModuleType
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["namespace"]

EXACT = {"fastmath": {"contract"}, "error_model": "numpy", "nogil": True, "forceinline": True}
LN2_EXACT = 0.693147180559945309417232121458176568
LOG2E = 1.4426950408889634


@intrinsic
def _float_bits(typingctx, number):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
    """The bits of a float as an integer of its size."""
    result = types.int32 if number == types.float32 else types.int64

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(sig.return_type.bitwidth))

    return result(number), codegen


@intrinsic
def _from_bits(typingctx, bits):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
    """The float whose bits an integer of its size holds."""
    result = types.float32 if bits == types.int32 else types.float64

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType() if bits == types.int32 else ir.DoubleType())

    return result(bits), codegen


@intrinsic
def _truncated(typingctx, number):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
    """The whole part of a float as an integer of its size."""
    result = types.int32 if number == types.float32 else types.int64

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fptosi(args[0], ir.IntType(sig.return_type.bitwidth))

    return result(number), codegen


@intrinsic
def _pick(typingctx, condition, a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
    """``a if condition else b`` as a select: no branch."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        truth = args[0] if args[0].type.width == 1 else builder.trunc(args[0], ir.IntType(1))
        return builder.select(truth, args[1], args[2])

    return a(types.boolean, a, a), codegen


def _horner(coefficients: list[float], number: Any) -> Any:
    """A compiled polynomial, highest power first, by source text of its own making."""
    values = tuple(number(value) for value in coefficients)

    @numba.njit(**EXACT)
    def polynomial(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        total = values[0]
        for k in range(1, len(values)):
            total = total * x + values[k]
        return total

    return polynomial


@cache
def namespace(dtype_name: str) -> ModuleType:
    """A stand-in for the module ``numpy``, for scalars of one dtype."""
    number = np.dtype(dtype_name).type
    module = ModuleType("np")
    single = number is np.float32
    bias, mantissa = (127, 23) if single else (1023, 52)
    integer = np.int32 if single else np.int64
    one, half, two = number(1), number(0.5), number(2)
    largest, smallest = (
        (number(88.72284), number(-104.0)) if single else (number(709.782712893384), number(-746.0))
    )
    log2e = number(LOG2E)
    high, low = (
        (number(0.693359375), number(LN2_EXACT - 0.693359375))
        if single
        else (
            number(6.93147180369123816490e-01),
            number(1.90821492927058770002e-10),
        )
    )
    infinity = number(np.inf)
    terms = 7 if single else 13
    series = _horner([1 / math.factorial(k) for k in range(terms, 1, -1)], number)
    logs = _horner([2 / (2 * k + 1) for k in range(5 if single else 11, 0, -1)], number)
    shift = integer(mantissa)
    middle = integer(bias)

    @numba.njit(**EXACT)
    def power_of_two(n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return _from_bits(integer((n + middle) << shift))

    @numba.njit(**EXACT)
    def clamped(x, bottom, top):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        x = _pick(x < bottom, bottom, x)
        return _pick(x > top, top, x)

    @numba.njit(**EXACT)
    def parts(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        """n and expm1(r) with x = n·log 2 + r."""
        n = np.floor(x * log2e + half)
        r = (x - n * high) - n * low
        return _truncated(n), r + r * r * series(r)

    @numba.njit(**EXACT)
    def exp(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        n, rest = parts(clamped(x, smallest, largest))
        first = n >> integer(1)
        result = (one + rest) * power_of_two(first) * power_of_two(n - first)
        return _pick(x > largest, infinity, result)

    @numba.njit(**EXACT)
    def expm1(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        n, rest = parts(clamped(x, number(-60), largest))
        first = n >> integer(1)
        scale = power_of_two(n - first)
        result = (power_of_two(first) * rest + (power_of_two(first) - one / scale)) * scale
        result = _pick(abs(x) < number(1e-5 if single else 1e-10), x + half * x * x, result)
        return _pick(x > largest, infinity, result)

    @numba.njit(**EXACT)
    def tanh(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        y = clamped(abs(x), number(0), number(20))
        n, rest = parts(two * y)
        scale = power_of_two(n)
        grown = scale * rest + (scale - one)
        return math.copysign(grown / (grown + two), x)

    @numba.njit(**EXACT)
    def log_of(x, correction):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        """log(x + correction) for a tiny correction and x > 0, normal."""
        bits = _float_bits(x)
        exponent = (bits >> shift) - middle
        fraction = _from_bits(integer(bits - (exponent << shift)))
        large = fraction > number(1.4142135623730951)
        fraction = _pick(large, half * fraction, fraction)
        n = number(exponent) + _pick(large, one, number(0))
        f = fraction - one
        s = f / (two + f)
        square = s * s
        series_sum = two * s + s * square * logs(square)
        return n * high + (series_sum + (n * low + correction / x))

    @numba.njit(**EXACT)
    def log1p(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        total = one + x
        safe = _pick(total > number(0), total, one)
        safe = _pick(safe < infinity, safe, one)
        result = log_of(safe, x - (safe - one))
        result = _pick(x == infinity, infinity, result)
        result = _pick(total == number(0), -infinity, result)
        result = _pick(total < number(0), number(np.nan), result)
        result = _pick(abs(x) < number(1e-4 if single else 1e-8), x - half * x * x, result)
        return _pick(x != x, x, result)  # noqa: PLR0124 - NaN

    @numba.njit(**EXACT)
    def log(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        scale, back = number(2.0**60), number(-60.0 * LN2_EXACT)
        small = x < number(1e-30)
        lifted = _pick(small, x * scale, x)
        safe = _pick((lifted > number(0)) & (lifted < infinity), lifted, one)
        result = log_of(safe, number(0)) + _pick(small, back, number(0))
        result = _pick(x == infinity, infinity, result)
        result = _pick(x == number(0), -infinity, result)
        return _pick((x < number(0)) | (x != x), number(np.nan), result)  # noqa: PLR0124 - NaN

    for function in (exp, expm1, tanh, log1p, log):
        setattr(module, function.py_func.__name__, function)
    _add_plain(module, number)
    return module


def _add_plain(module: ModuleType, number: Any) -> None:
    """Functions that are an instruction or two, or a call of the C library."""
    zero, one = number(0), number(1)

    def where(c, a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return _pick(c, number(a), number(b))

    def maximum(a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        a, b = number(a), number(b)
        return _pick((a > b) | (a != a), a, b)  # noqa: PLR0124 - NaN wins, as in NumPy

    def minimum(a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        a, b = number(a), number(b)
        return _pick((a < b) | (a != a), a, b)  # noqa: PLR0124 - NaN wins, as in NumPy

    def clip(x, bottom, top):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        x = _pick(x < number(bottom), number(bottom), number(x))
        return _pick(x > number(top), number(top), x)

    def sign(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return _pick(x != x, x, _pick(x > zero, one, zero) - _pick(x < zero, one, zero))  # noqa: PLR0124

    def heaviside(x, at_zero):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        value = _pick(x > zero, one, _pick(x == zero, number(at_zero), zero))
        return _pick(x != x, x, value)  # noqa: PLR0124

    def ones_like(_x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return one

    def zeros_like(_x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return zero

    def full_like(_x, value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return number(value)

    def square(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return x * x

    def reciprocal(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return one / x

    def absolute(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return abs(x)

    def negative(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return -x

    def isnan(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return x != x  # noqa: PLR0124

    def exp2(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return number(2.0 ** float(x))

    def logaddexp(a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        top, bottom = maximum_(number(a), number(b)), minimum_(number(a), number(b))
        return top + log1p_(exp_(_pick(top == bottom, zero, bottom - top)))

    maximum_, minimum_ = numba.njit(**EXACT)(maximum), numba.njit(**EXACT)(minimum)
    log1p_, exp_ = module.log1p, module.exp
    plain = [
        where,
        clip,
        sign,
        heaviside,
        ones_like,
        zeros_like,
        full_like,
        square,
        reciprocal,
        absolute,
        negative,
    ]
    for function in [*plain, isnan, exp2, logaddexp]:
        setattr(module, function.__name__, numba.njit(**EXACT)(function))
    module.maximum, module.minimum = maximum_, minimum_  # type: ignore[attr-defined]
    module.abs = module.fabs = module.absolute  # type: ignore[attr-defined]
    module.multiply, module.add = (numba.njit(**EXACT)(f) for f in (lambda a, b: a * b, lambda a, b: a + b))  # type: ignore[attr-defined]
    for name in ("sqrt", "sin", "cos", "tan", "sinh", "cosh", "copysign", "hypot", "floor", "ceil"):
        setattr(module, name, getattr(math, name))
    for ours, theirs in (
        ("arctan", "atan"),
        ("arcsin", "asin"),
        ("arccos", "acos"),
        ("power", "pow"),
        ("arctan2", "atan2"),
    ):
        setattr(module, ours, getattr(math, theirs))
    module.arcsinh, module.arccosh, module.arctanh = math.asinh, math.acosh, math.atanh  # type: ignore[attr-defined]
    for name in ("inf", "nan", "pi", "e"):
        setattr(module, name, number(getattr(np, name)))
