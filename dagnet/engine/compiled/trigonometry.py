"""sin, cos and arctan as vector code.

Reduction after Cody & Waite (1980) with fused multiply-adds, as in Muller, "Elementary Functions" (2016).
The polynomials' coefficients interpolate the function at Chebyshev's nodes in 60 digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from dagnet.engine.compiled.exponentials import polynomial
from dagnet.engine.compiled.vectors import Emitter, Vector

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
    "sin": partial(_wave, "sin"),
    "cos": partial(_wave, "cos"),
    "arctan": arctan,
}
"""By the names of NumPy's ufuncs."""
