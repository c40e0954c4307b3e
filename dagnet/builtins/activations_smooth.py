"""Activations that are smooth everywhere, or nearly so (softplus, softsign).

Values and derivatives are numerically those of PyTorch under the same name.  Each function
works elementwise on arrays of any shape and keeps their dtype.  NaN gives NaN.  At ±1e4 all is
finite and silent, but for ``exp``, which is infinite there because exp(1e4) is no float:
a bound would make it another function.  At ±∞ the limits hold, except where 0·∞ or ∞/∞ makes
the value NaN, as in PyTorch (gelu, silu and mish at −∞; softsign, sin and cos).

A derivative takes z and a = g(z); where the first is named ``_z`` the value alone suffices.

Examples
--------
>>> import numpy as np
>>> silu(np.array([-1e4, 0.0, 1e4]))
array([   -0.,     0., 10000.])
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dagnet.builtins.special import Elementwise, exp
from dagnet.contracts import Activation
from dagnet.formula import erf, sigmoid
from dagnet.hookspecs import hookimpl
from dagnet.values import NUMBER, Rule, is_number, one_of

_SQRT_HALF = math.sqrt(0.5)
_SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)
_CUBIC = 0.044715  # the cubic term in the tanh form of gelu


def identity(z: Elementwise) -> Elementwise:
    """g(z) = z, as a new array."""
    return +z


def log_sigmoid(z: Elementwise) -> Elementwise:
    """g(z) = log(1/(1 + exp(−z))) = min(z, 0) − log(1 + exp(−|z|))."""
    return np.minimum(z, 0.0) - np.log1p(np.exp(-np.abs(z)))


def _log_sigmoid_slope(_z: Elementwise, a: Elementwise) -> Elementwise:
    return -np.expm1(a)  # 1 − sigmoid(z), exact to rounding in both tails


def tanh(z: Elementwise) -> Elementwise:
    """g(z) = tanh(z) = (exp(z) − exp(−z))/(exp(z) + exp(−z))."""
    return np.tanh(z)


def softplus(z: Elementwise, beta: float, threshold: float) -> Elementwise:
    """g(z) = log(1 + exp(β z))/β while β z ≤ threshold, beyond that z.

    Source: Dugas et al., "Incorporating second-order functional knowledge for better option
    pricing", 2000; the threshold is PyTorch's.
    """
    scaled = beta * z
    smooth = np.maximum(scaled, 0.0) + np.log1p(np.exp(-np.abs(scaled)))
    return np.where(scaled > threshold, z, smooth / beta)


def _softplus_slope(z: Elementwise, _a: Elementwise, beta: float, threshold: float) -> Elementwise:
    return np.where(beta * z > threshold, 1.0, sigmoid(beta * z))


def _softplus_kinks(beta: float, threshold: float) -> list[float]:
    # A jump of log(1 + exp(−threshold))/β, 2e-9 by default: small, but not to a difference quotient.
    return [threshold / beta] if math.isfinite(threshold / beta) else []


def softsign(z: Elementwise) -> Elementwise:
    """g(z) = z/(1 + |z|).

    Source: Bergstra et al., "Quadratic polynomials learn better image features", 2009.
    """
    return z / (1.0 + np.abs(z))


def _softsign_slope(_z: Elementwise, a: Elementwise) -> Elementwise:
    rest = 1.0 - np.abs(a)
    return rest * rest


def gelu(z: Elementwise, approximate: str) -> Elementwise:
    """g(z) = z Φ(z) = z/2 (1 + erf(z/√2)), Φ the normal distribution function.

    With ``approximate="tanh"`` z/2 (1 + tanh(√(2/π) (z + 0.044715 z³))).

    Source: Hendrycks & Gimpel, "Gaussian error linear units", 2016.
    """
    if approximate == "tanh":
        return 0.5 * z * (1.0 + np.tanh(_SQRT_2_OVER_PI * (z + _CUBIC * (z * z * z))))
    return 0.5 * z * (1.0 + erf(_SQRT_HALF * z))


def silu(z: Elementwise) -> Elementwise:
    """g(z) = z/(1 + exp(−z)), also called swish.

    Source: Elfwing, Uchibe & Doya, "Sigmoid-weighted linear units for neural network function
    approximation in reinforcement learning", 2017.
    """
    return z * sigmoid(z)


def _mish_parts(z: Elementwise) -> tuple[Elementwise, Elementwise, Elementwise]:
    """With u = exp(min(z, 0)) and v = exp(−max(z, 0)), of which one is 1: n = u (u + 2v), d = 2v², u/(u + v).

    Then tanh(log(1 + eᶻ)) = n/(n + d), without overflow or cancellation.
    """
    t = np.exp(-np.abs(z))
    u, v = np.maximum(t, np.sign(z)), np.maximum(t, -np.sign(z))
    return u * (u + 2.0 * v), 2.0 * (v * v), u / (u + v)


def mish(z: Elementwise) -> Elementwise:
    """g(z) = z tanh(log(1 + exp(z))).

    Source: Misra, "Mish: a self regularized non-monotonic activation function", 2019.
    """
    n, d, _ = _mish_parts(z)
    return z * (n / (n + d))


def _mish_slope(z: Elementwise, _a: Elementwise) -> Elementwise:
    n, d, s = _mish_parts(z)
    w = n / (n + d)
    return w + z * ((1.0 + w) * (d / (n + d)) * s)


def sin(z: Elementwise) -> Elementwise:
    """g(z) = sin(z)."""
    return np.sin(z)


def cos(z: Elementwise) -> Elementwise:
    """g(z) = cos(z)."""
    return np.cos(z)


def square(z: Elementwise) -> Elementwise:
    """g(z) = z²."""
    return z * z


def gaussian(z: Elementwise) -> Elementwise:
    """g(z) = exp(−z²)."""
    return np.exp(-(z * z))


def atan(z: Elementwise) -> Elementwise:
    """g(z) = arctan(z)."""
    return np.arctan(z)


def tanhshrink(z: Elementwise) -> Elementwise:
    """g(z) = z − tanh(z)."""
    return z - np.tanh(z)


def _tanhshrink_slope(z: Elementwise, _a: Elementwise) -> Elementwise:
    t = np.tanh(z)
    return t * t


def _is_divisor(value: Any, _settings: Mapping[str, Any]) -> bool:
    return is_number(value) and value != 0.0 and math.isfinite(value)


_SOFTPLUS_RULES = {"beta": Rule("a finite number other than 0", _is_divisor), "threshold": NUMBER}


@hookimpl
def dagnet_activations() -> list[Activation]:
    """The smooth activations."""
    # fmt: off
    return [
        Activation("identity", identity),
        Activation("sigmoid", sigmoid),
        Activation("log_sigmoid", log_sigmoid, _log_sigmoid_slope),
        Activation("tanh", tanh),
        Activation("softplus", softplus, _softplus_slope, kinks=_softplus_kinks,
                   parameters={"beta": 1.0, "threshold": 20.0}, rules=_SOFTPLUS_RULES),
        # Once differentiable at 0, no more: a difference quotient is wrong by its own step there.
        Activation("softsign", softsign, _softsign_slope, kinks=(0.0,)),
        Activation("gelu", gelu,
                   parameters={"approximate": "none"}, rules={"approximate": one_of("none", "tanh")}),
        Activation("silu", silu),
        Activation("mish", mish, _mish_slope),
        Activation("exp", exp),
        Activation("sin", sin),
        Activation("cos", cos),
        Activation("square", square),
        Activation("gaussian", gaussian),
        Activation("atan", atan),
        Activation("tanhshrink", tanhshrink, _tanhshrink_slope),
    ]
    # fmt: on
