"""exp, log, tanh, power, sin, cos, arctan and their kin as vector code without branches.

Each follows the textbooks (Muller, "Elementary Functions", 2016; Cody & Waite, "Software Manual for
the Elementary Functions", 1980): reduce the argument (that of waves with fused multiply-adds), evaluate
a polynomial, put the parts together.
The polynomials' coefficients interpolate the function at Chebyshev's nodes in 60 digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from dagnet.engine.compiled.vectors import Emitter, Vector

LN2, LN2_REST = 0.6931471805599453, 2.3190468138462996e-17
"""log 2 as a sum; 1 / log 2, 1 / log 10 and 1/3 likewise below."""
PER_LN2 = (1.4426950408889634, 2.0355273740931033e-17)
PER_LN10 = (0.4342944819032518, 1.098319650216765e-17)
THIRD = (1 / 3, 1.850371707708594e-17)

EXP_SINGLE = (0.500000001346581, 0.16666666681623232, 0.041666464925285904, 0.0083333109254809,
              0.0013933649996309251, 0.00019890990824673654)  # fmt: skip
EXP_DOUBLE = (0.5000000000000001, 0.16666666666666669, 0.04166666666662413, 0.008333333333330062,
              0.0013888888917213717, 0.00019841269863053618, 2.4801521295954376e-05,
              2.7557268459997064e-06, 2.7620088445409746e-07, 2.510038549551032e-08)  # fmt: skip
"""(eʳ − 1 − r) / r² for |r| ≤ log(2) / 2."""
LOG_SINGLE = (0.6666666655445165, 0.40000121876972, 0.2855081659971155, 0.23330581938241893)
LOG_DOUBLE = (0.666666666666667, 0.39999999999899444, 0.2857142862600327, 0.22222211130259878,
              0.18182889455674947, 0.15331710618210773, 0.14616585424888623)  # fmt: skip
"""(2 artanh(s) − 2s) / s³ in s², for |s| ≤ 3 − √8."""
LOG_TAIL = (0.40000000000000024, 0.2857142857133851, 0.2222222227110234, 0.18181808247544543,
            0.15385574796462032, 0.13285957435193352, 0.1291361767218225)  # fmt: skip
"""(2 artanh(s) − 2s − 2s³/3) / s⁵ in s², for the same s."""


class _Format:
    """A floating-point format: its fields, and log 2 in two parts, n times the first of which is exact."""

    def __init__(
        self, number: Any, fields: tuple[int, int], limits: tuple[float, float], zeros: int, *polynomials: Any
    ) -> None:
        self.number = number
        self.mantissa, self.bias = fields
        self.smallest, self.largest = limits  # eˣ is 0 below, infinite above
        self.high = math.floor(LN2 * 2**zeros) / 2**zeros
        self.low = (LN2 - self.high) + LN2_REST
        self.round = 1.5 * 2**self.mantissa  # added and taken away again, this rounds to whole numbers
        self.exp, self.log = polynomials
        whole = np.int32 if number is np.float32 else np.int64
        self.one, self.root_half, self.unit = (
            int(number(x).view(whole)) for x in (1, math.sqrt(0.5), 2.0**self.mantissa)
        )


SINGLE = _Format(np.float32, (23, 127), (-104.0, 89.0), 15, EXP_SINGLE, LOG_SINGLE)
DOUBLE = _Format(np.float64, (52, 1023), (-746.0, 710.0), 42, EXP_DOUBLE, LOG_DOUBLE)
FORMATS: dict[Any, _Format] = {form.number: form for form in (SINGLE, DOUBLE)}


def polynomial(x: Vector, coefficients: Sequence[float]) -> Vector:
    """Horner's scheme, lowest power first."""
    total = x.emit.splat(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total


def _clamped(x: Vector, low: float, high: float) -> Vector:
    """Keep x in a range, and NaN."""
    x = x.emit.select(x > high, high, x)
    return x.emit.select(x < low, low, x)


def _reduced(x: Vector, form: _Format, more: Vector | None = None) -> tuple[Vector, Vector]:
    """Two numbers, n and r, with x + more = n·log 2 + r."""
    n = (x * PER_LN2[0] + form.round) - form.round
    low = n * form.low if more is None else n * form.low - more
    return n, (x - n * form.high) - low


def _grown(r: Vector, coefficients: Sequence[float]) -> Vector:
    """eʳ − 1."""
    return (r * r) * polynomial(r, coefficients) + r


def _power_of_two(n: Vector, form: _Format) -> Vector:
    """2ⁿ for whole numbers n of normal results: n lands in the exponent's field."""
    return ((n + (form.round + form.bias)).bits() << form.mantissa).from_bits()


def _scaled(x: Vector, n: Vector, form: _Format) -> Vector:
    """x·2ⁿ in two steps, so that results near the ends of the range are right."""
    shift = form.round + form.bias
    half = n * 0.5 + shift
    rest = n - (half - shift)
    return x * (half.bits() << form.mantissa).from_bits() * _power_of_two(rest, form)


def exp(emit: Emitter, x: Vector) -> Vector:
    """The exponential function."""
    form = FORMATS[emit.number]
    n, r = _reduced(_clamped(x, form.smallest, form.largest), form)
    return _scaled(_grown(r, form.exp) + 1, n, form)


def exp2(emit: Emitter, x: Vector) -> Vector:
    """2ˣ."""
    form = FORMATS[emit.number]
    x = _clamped(x, form.smallest / LN2, form.largest / LN2)
    n = (x + form.round) - form.round
    fraction = x - n
    high = float(emit.number(LN2))
    r = fraction * high + fraction * (LN2 - high + LN2_REST)
    return _scaled(_grown(r, form.exp) + 1, n, form)


def expm1(emit: Emitter, x: Vector) -> Vector:
    """The exponential function less 1, with the sign of x."""
    form = FORMATS[emit.number]
    n, r = _reduced(_clamped(x, -60, form.largest), form)
    half = (n * 0.5 + form.round) - form.round
    a, b, per_b = (_power_of_two(k, form) for k in (half, n - half, half - n))
    curve = (r * r) * polynomial(r, form.exp)
    result = (a * curve + (a * r + (a - per_b))) * b
    return emit.intrinsic("copysign", result, x)


def tanh(emit: Emitter, x: Vector) -> Vector:
    """(e²ˣ − 1) / (e²ˣ + 1), of |x|."""
    form = FORMATS[emit.number]
    size = _clamped(abs(x), 0, 20)
    n, r = _reduced(size + size, form)
    scale = _power_of_two(n, form)
    grown = scale * _grown(r, form.exp) + (scale - 1)
    return emit.intrinsic("copysign", grown / (grown + 2), x)


def _normalized(x: Vector, form: _Format) -> tuple[Vector, Vector]:
    """Two numbers, n and f, with x = 2ⁿ·(1 + f) and √½ ≤ 1 + f < √2, for positive normal x."""
    shifted = x.bits() + (form.one - form.root_half)
    n = ((shifted >> form.mantissa) + form.unit).from_bits() - (2.0**form.mantissa + form.bias)
    return n, ((shifted & (2**form.mantissa - 1)) + form.root_half).from_bits() - 1


def _lifted(x: Vector, form: _Format) -> tuple[Vector, Vector]:
    """As ``_normalized``, but subnormal x too."""
    small = x < 2.0 ** (1 - form.bias)
    n, f = _normalized(x.emit.select(small, x * 2.0**60, x), form)
    return n - x.emit.select(small, 60, x.emit.splat(0)), f


def _log_of(n: Vector, f: Vector, form: _Format, terms: Sequence[float], more: Any = 0) -> Vector:
    """log(2ⁿ·(1 + f)) + more, for a tiny ``more``."""
    s = f / (f + 2)
    square = s * s
    half = f * 0.5 * f
    low = s * (half + square * polynomial(square, terms)) + (n * form.low + more)
    return n * form.high - ((half - low) - f)


def _edges(x: Vector, result: Vector, zero: float = 0) -> Vector:
    """The result for x > zero; −∞ at zero, NaN below, infinity and NaN as they are."""
    select = x.emit.select
    edge = select(x == zero, -math.inf, select(x < zero, math.nan, x))
    return select((x > zero) & (x < math.inf), result, edge)


def log(emit: Emitter, x: Vector) -> Vector:
    """The natural logarithm."""
    form = FORMATS[emit.number]
    n, f = _lifted(x, form)
    return _edges(x, _log_of(n, f, form, form.log))


def log1p(emit: Emitter, x: Vector) -> Vector:
    """log(1 + x), with the sign of x."""
    form = FORMATS[emit.number]
    total = x + 1
    n, f = _normalized(total, form)
    result = _log_of(n, f, form, form.log, (x - (total - 1)) / total)
    return _edges(x, emit.intrinsic("copysign", result, x), -1)


def _sum(large: Vector, small: Vector) -> tuple[Vector, Vector]:
    """A sum and what rounding left out of it."""
    total = large + small
    return total, (large - total) + small


def _product(a: tuple[Vector, Vector], b: tuple[Vector, Vector]) -> tuple[Vector, Vector]:
    """The product of two sums of two numbers, as such a sum."""
    total = a[0].times(b[0])
    return total, a[0].emit.fma(a[0], b[0], -total) + (a[0] * b[1] + a[1] * b[0])


def _log_pair(x: Vector) -> tuple[Vector, Vector]:
    """The logarithm of x as a sum of two numbers, to 2⁻⁶⁴ of itself, for positive x."""
    emit = x.emit
    n, f = _lifted(x, DOUBLE)
    d = f + 2
    per_d = 1 / d
    s = f.times(per_d)
    s_rest = (emit.fma(-s, d, f) - s * (f - (d - 2))) * per_d
    square = s.times(s)
    square_rest = emit.fma(s, s, -square) + (s + s) * s_rest
    tail, tail_rest = _sum(emit.splat(2 * THIRD[0]), square.times(polynomial(square, LOG_TAIL)))
    tail_rest += 2 * THIRD[1]
    cubic, cubic_rest = _product((s, s_rest), _product((square, square_rest), (tail, tail_rest)))
    high, first = _sum(n.times(DOUBLE.high), s + s)
    high, second = _sum(high, cubic)
    return _sum(high, (first + second) + (cubic_rest + (s_rest + s_rest) + n * DOUBLE.low))


def _log_to(factor: tuple[float, float], emit: Emitter, x: Vector) -> Vector:
    """The logarithm of x times a factor: in pairs for float64 (log2 is exact), in float64 for float32."""
    wide = emit.wide()
    if emit.number is np.float32:
        n, f = _normalized(wide.cast(x), DOUBLE)
        return _edges(x, emit.cast(_log_of(n, f, DOUBLE, LOG_SINGLE) * factor[0]))
    high, low = _product(_log_pair(x), (wide.splat(factor[0]), wide.splat(factor[1])))
    return _edges(x, high + low)


def logaddexp(emit: Emitter, a: Vector, b: Vector) -> Vector:
    """log(eᵃ + eᵇ)."""
    top, bottom = emit.select(a < b, b, a), emit.select(a < b, a, b)
    return top + log1p(emit, exp(emit, emit.select(top == bottom, 0, bottom - top)))


def _magnitude(emit: Emitter, x: Vector, y: Vector, more: float = 0) -> Vector:
    """x^(y + more) as exp((y + more)·log x) for x > 0, finite, and float64 y.

    The exponent is computed in pairs for float64, in float64 for float32.
    """
    y = _clamped(y, -(2.0**100), 2.0**100)  # beyond, as at, the limits: 0, 1 or infinite
    if emit.number is np.float32:
        n, f = _normalized(emit.wide().cast(x), DOUBLE)
        exponent = y * _log_of(n, f, DOUBLE, LOG_SINGLE)
        n, r = _reduced(_clamped(exponent, -200, 200), DOUBLE)
        return emit.cast((_grown(r, EXP_SINGLE) + 1) * _power_of_two(n, DOUBLE))
    high, low = _log_pair(x)
    product = y.times(high)
    exponent = _clamped(product, DOUBLE.smallest, DOUBLE.largest)
    rest = emit.fma(y, high, -product) + (y * low + high * more)
    n, r = _reduced(exponent, DOUBLE, emit.select(product == exponent, rest, 0))
    return _scaled(_grown(r, EXP_DOUBLE) + 1, n, DOUBLE)


def cbrt(emit: Emitter, x: Vector) -> Vector:
    """The real third root."""
    size = abs(x)
    root = _magnitude(emit, size, emit.wide().splat(THIRD[0]), THIRD[1])
    usual = (size > 0) & (size < math.inf)
    return emit.intrinsic("copysign", emit.select(usual, root, size), x)


def power(emit: Emitter, x: Vector, y: Vector) -> Vector:
    """xʸ with C's special cases."""
    size, half = abs(x), y * 0.5
    whole = emit.intrinsic("trunc", y) == y
    odd = whole & (emit.intrinsic("trunc", half) != half)
    limit = emit.select((size > 1) ^ (y < 0), math.inf, emit.splat(0))
    result = emit.select((size == 0) | (size == math.inf), limit, _magnitude(emit, size, emit.wide().cast(y)))
    result = emit.select(odd, emit.intrinsic("copysign", result, x), result)
    undefined = (x < 0) & (size < math.inf) & ~whole
    result = emit.select(undefined | (x != x) | (y != y), math.nan, result)  # noqa: PLR0124 - NaN
    return emit.select((x == 1) | (y == 0), 1, result)


# -- waves and angles ----------------------------------------------------------------------

QUARTERS = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)
"""π/2 as a sum."""
FAR = 2.0**30
"""Above, the C library reduces the argument."""
ROUND = 1.5 * 2.0**52
SIGN = -(2**63)

SIN_SINGLE = (-0.16666666663854168, 0.008333331874273714, -0.000198400864995936, 2.7249895230611676e-06)
SIN_DOUBLE = (-0.16666666666666666, 0.008333333333330948, -0.00019841269836756774,
              2.7557316101617874e-06, -2.505113165023518e-08, 1.5918115263265974e-10)  # fmt: skip
"""(sin(r) − r) / r³ in r², for |r| ≤ π/4."""
COS_SINGLE = (0.041666664658901405, -0.0013888302919113633, 2.4547916853691016e-05)
COS_DOUBLE = (0.041666666666666664, -0.0013888888888887398, 2.480158729876456e-05,
              -2.7557317271145144e-07, 2.087614614655861e-09, -1.1382623647474604e-11)  # fmt: skip
"""(cos(r) − 1 + r²/2) / r⁴ in r², for the same r."""
ATAN_SINGLE = (-0.3333333308107325, 0.19999949321141888, -0.1428400379473353, 0.11088261628735159,
               -0.08931826777381315, 0.07031914250029966, -0.04896051402709067, 0.026305001110062377,
               -0.009144629760592396, 0.0014886919393047597)  # fmt: skip
ATAN_DOUBLE = (-0.3333333333333333, 0.1999999999999992, -0.14285714285701234, 0.11111111110268297,
               -0.0909090906193528, 0.07692307078827029, -0.06666657934573768, 0.05882264416776449,
               -0.052624922290256754, 0.04758080083637821, -0.043306538430670664, 0.03938687540798632,
               -0.035271331066871296, 0.030330719265790507, -0.024191345810140718, 0.01718398172211335,
               -0.010412153260359241, 0.005140912856746939, -0.0019612554271685326,
               0.0005376839297396244, -9.371186345052626e-05, 7.767624330289919e-06)  # fmt: skip
"""(arctan(t) − t) / t³ in t², for |t| ≤ 1."""


def _wave(name: str, emit: Emitter, x: Vector) -> Vector:
    """Sine or cosine; float32 is computed in float64."""
    single, wide = emit.number is np.float32, emit.wide()
    x = wide.cast(x)
    size = abs(x)
    shifted = size * (2 / math.pi) + ROUND
    n, quadrant = shifted - ROUND, shifted.bits() + (name == "cos")
    r = size
    for part in QUARTERS[: 2 if single else 3]:
        r = wide.fma(n, -part, r)
    square = r * r
    sine = r * (square * polynomial(square, SIN_SINGLE if single else SIN_DOUBLE)) + r
    cosine = square * (square * polynomial(square, COS_SINGLE if single else COS_DOUBLE) - 0.5) + 1
    result = wide.select((quadrant & 1) != 0, cosine, sine)
    sign = (quadrant & 2) << 62
    if name == "sin":
        sign = sign ^ (x.bits() & SIGN)
    result = (result.bits() ^ sign).from_bits()
    return emit.cast(wide.rarely(size > FAR, result, lambda: wide.library(name, x)))


def arctan(emit: Emitter, x: Vector) -> Vector:
    """The arctangent; above 1 it is π/2 less that of 1/x."""
    single = emit.number is np.float32
    size = abs(x)
    large = size > 1
    t = emit.select(large, 1 / size, size)
    square = t * t
    result = t * (square * polynomial(square, ATAN_SINGLE if single else ATAN_DOUBLE)) + t
    high = float(emit.number(math.pi / 2))
    low = (math.pi / 2 - high) + QUARTERS[1]
    return emit.intrinsic("copysign", emit.select(large, high - (result - low), result), x)


FUNCTIONS: dict[str, Callable[..., Vector]] = {
    **{f.__name__: f for f in (arctan, cbrt, exp, exp2, expm1, log, log1p, logaddexp, power, tanh)},
    "log2": partial(_log_to, PER_LN2),
    "log10": partial(_log_to, PER_LN10),
    "sin": partial(_wave, "sin"),
    "cos": partial(_wave, "cos"),
}
"""By the names of NumPy's ufuncs."""
