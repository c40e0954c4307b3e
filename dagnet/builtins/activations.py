"""Activations: the smooth ones, and those that are put together from pieces.

Values and derivatives are numerically those of PyTorch under the same name, at the kinks too: the docstring
says which one-sided derivative holds there.  Each function works elementwise on arrays of any shape and keeps
their dtype.  NaN gives NaN.  At ±1e4 all is finite and silent, but for ``exp``, which is infinite there
because exp(1e4) is no float: a bound would make it another function.  At ±∞ the limits hold, except where 0·∞
or ∞/∞ makes the value NaN, as in PyTorch (gelu, silu and mish at −∞; softsign, sin and cos).

A derivative takes z and a = g(z); where the first is named ``_z`` the value alone suffices.
The exponential ones lose relative (not absolute) precision by that, deep in saturation.

Examples
--------
>>> import numpy as np
>>> silu(np.array([-1e4, 0.0, 1e4]))
array([   -0.,     0., 10000.])
>>> hard_tanh(np.array([-2.0, 0.5]), -1.0, 1.0)
array([-1. ,  0.5])
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dagnet.contracts import Activation
from dagnet.formula import erf, exp, sigmoid, step
from dagnet.hookspecs import hookimpl
from dagnet.values import FINITE, NOT_NEGATIVE, NUMBER, POSITIVE, Rule, is_number, one_of

Elementwise = Any  # an array of any shape, float32 or float64, or one scalar
_SQRT_HALF = math.sqrt(0.5)
_SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)
_CUBIC = 0.044715  # the cubic term in the tanh form of gelu
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


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
    """g(z) = z/(1 + exp(−z)): swish with β = 1, which does not learn.

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


def relu(z: Elementwise) -> Elementwise:
    """g(z) = max(z, 0); derivative 0 at 0.

    Source: Nair & Hinton, "Rectified linear units improve restricted Boltzmann machines", 2010.
    """
    return np.maximum(z, 0.0)


def _relu_slope(_z: Elementwise, a: Elementwise) -> Elementwise:
    return step(a)


def leaky_relu(z: Elementwise, negative_slope: float) -> Elementwise:
    """g(z) = max(z, 0) + negative_slope · min(z, 0); derivative negative_slope at 0.

    Source: Maas, Hannun & Ng, "Rectifier nonlinearities improve neural network acoustic
    models", 2013.
    """
    return np.maximum(z, 0.0) + negative_slope * np.minimum(z, 0.0)


def _leaky_relu_slope(z: Elementwise, a: Elementwise, negative_slope: float) -> Elementwise:
    positive = step(a if negative_slope >= 0.0 else z)  # else the value does not tell the sign of z
    return positive + negative_slope * (1.0 - positive)


def elu(z: Elementwise, alpha: float) -> Elementwise:
    """g(z) = z for z > 0, else α (exp(z) − 1); derivative α at 0.

    Source: Clevert, Unterthiner & Hochreiter, "Fast and accurate deep network learning by
    exponential linear units (ELUs)", 2015.
    """
    return np.maximum(z, 0.0) + alpha * np.expm1(np.minimum(z, 0.0))


def _elu_slope(z: Elementwise, a: Elementwise, alpha: float) -> Elementwise:
    positive = step(a if alpha >= 0.0 else z)
    negative = np.minimum(a, 0.0) + alpha if alpha >= 0.0 else alpha * np.exp(np.minimum(z, 0.0))
    return positive + (1.0 - positive) * negative


def selu(z: Elementwise) -> Elementwise:
    """g(z) = scale · elu(z, α) with α = 1.67326…, scale = 1.05070…; derivative scale · α at 0.

    Source: Klambauer et al., "Self-normalizing neural networks", 2017.
    """
    negative = _SELU_ALPHA * _SELU_SCALE * np.expm1(np.minimum(z, 0.0))
    return _SELU_SCALE * np.maximum(z, 0.0) + negative


def _selu_slope(_z: Elementwise, a: Elementwise) -> Elementwise:
    positive = step(a)
    return _SELU_SCALE * positive + (1.0 - positive) * (np.minimum(a, 0.0) + _SELU_ALPHA * _SELU_SCALE)


def celu(z: Elementwise, alpha: float) -> Elementwise:
    """g(z) = max(z, 0) + min(0, α (exp(z/α) − 1)); derivative 1 at 0.

    Source: Barron, "Continuously differentiable exponential linear units", 2017.
    """
    return np.maximum(z, 0.0) + alpha * np.expm1(np.minimum(z, 0.0) / alpha)


def _celu_slope(_z: Elementwise, a: Elementwise, alpha: float) -> Elementwise:
    return 1.0 + np.minimum(a, 0.0) / alpha


def relu6(z: Elementwise) -> Elementwise:
    """g(z) = min(max(z, 0), 6); derivative 0 at 0 and at 6.

    Source: Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010.
    """
    return np.minimum(np.maximum(z, 0.0), 6.0)


def _relu6_slope(_z: Elementwise, a: Elementwise) -> Elementwise:
    return ((a > 0.0) & (a < 6.0)) * np.ones_like(a)


def hard_tanh(z: Elementwise, min_val: float, max_val: float) -> Elementwise:
    """g(z) = min(max(z, min_val), max_val); derivative 0 at both bounds.

    Source: Collobert, "Large scale machine learning", 2004.
    """
    return np.minimum(np.maximum(z, min_val), max_val)


def _hard_tanh_slope(_z: Elementwise, a: Elementwise, min_val: float, max_val: float) -> Elementwise:
    return ((a > min_val) & (a < max_val)) * np.ones_like(a)


def _hard_tanh_kinks(min_val: float, max_val: float) -> list[float]:
    return [bound for bound in (min_val, max_val) if math.isfinite(bound)]


def hard_sigmoid(z: Elementwise) -> Elementwise:
    """g(z) = min(max(z + 3, 0), 6)/6; derivative 0 at −3 and at 3.

    Source: Courbariaux, Bengio & David, "BinaryConnect", 2015; with PyTorch's slope of 1/6.
    """
    return np.minimum(np.maximum(z + 3.0, 0.0), 6.0) / 6.0


def _hard_sigmoid_slope(_z: Elementwise, a: Elementwise) -> Elementwise:
    return ((a > 0.0) & (a < 1.0)) * np.ones_like(a) / 6.0


def hard_swish(z: Elementwise) -> Elementwise:
    """g(z) = z · min(max(z + 3, 0), 6)/6; derivative 0 at −3 and 1 at 3.

    Source: Howard et al., "Searching for MobileNetV3", 2019.
    """
    return z * np.minimum(np.maximum(z + 3.0, 0.0), 6.0) / 6.0


def _hard_swish_slope(z: Elementwise, _a: Elementwise) -> Elementwise:
    within = ((z > -3.0) & (z < 3.0)) * np.ones_like(z)
    ramp = np.minimum(np.maximum(z, -3.0), 3.0) / 3.0 + 0.5
    return within * ramp + (z >= 3.0) * np.ones_like(z)


def softshrink(z: Elementwise, lambd: float) -> Elementwise:
    """g(z) = z − λ for z > λ, z + λ for z < −λ, else 0; derivative 0 at ±λ.

    Source: Donoho, "De-noising by soft-thresholding", 1995.
    """
    return z - np.minimum(np.maximum(z, -lambd), lambd)


def hardshrink(z: Elementwise, lambd: float) -> Elementwise:
    """g(z) = z where |z| > λ, else 0; derivative 0 at ±λ.

    Source: Donoho & Johnstone, "Ideal spatial adaptation by wavelet shrinkage", 1994.
    """
    return z * (np.abs(z) > lambd)


def _shrink_slope(_z: Elementwise, a: Elementwise, _lambd: float) -> Elementwise:
    return (a != 0.0) * np.ones_like(a)


def _shrink_kinks(lambd: float) -> list[float]:
    return [-lambd, lambd]


def threshold(z: Elementwise, threshold: float, value: float) -> Elementwise:
    """g(z) = z where z > threshold, else value; derivative 0 at the threshold.

    PyTorch gives its parameters no defaults; here both are 0, which makes it relu.
    """
    return np.where(z <= threshold, value, z)


def _threshold_kinks(threshold: float, _value: float) -> list[float]:
    return [threshold]


def _bounds_in_order(value: Any, settings: Mapping[str, Any]) -> bool:
    return is_number(value) and value >= settings["min_val"]


_HARD_TANH_RULES = {"min_val": NUMBER, "max_val": Rule("a number of at least min_val", _bounds_in_order)}


@hookimpl
def dagnet_activations() -> list[Activation]:
    """The activations."""
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
        Activation("relu", relu, _relu_slope, kinks=(0.0,)),
        Activation("leaky_relu", leaky_relu, _leaky_relu_slope, kinks=(0.0,),
                   parameters={"negative_slope": 0.01}, rules={"negative_slope": FINITE}),
        Activation("elu", elu, _elu_slope, kinks=(0.0,),
                   parameters={"alpha": 1.0}, rules={"alpha": FINITE}),
        Activation("selu", selu, _selu_slope, kinks=(0.0,)),
        Activation("celu", celu, _celu_slope, kinks=(0.0,),
                   parameters={"alpha": 1.0}, rules={"alpha": POSITIVE}),
        Activation("relu6", relu6, _relu6_slope, kinks=(0.0, 6.0)),
        Activation("hard_tanh", hard_tanh, _hard_tanh_slope, kinks=_hard_tanh_kinks,
                   parameters={"min_val": -1.0, "max_val": 1.0}, rules=_HARD_TANH_RULES),
        Activation("hard_sigmoid", hard_sigmoid, _hard_sigmoid_slope, kinks=(-3.0, 3.0)),
        Activation("hard_swish", hard_swish, _hard_swish_slope, kinks=(-3.0, 3.0)),
        Activation("softshrink", softshrink, _shrink_slope, kinks=_shrink_kinks,
                   parameters={"lambd": 0.5}, rules={"lambd": NOT_NEGATIVE}),
        Activation("hardshrink", hardshrink, _shrink_slope, kinks=_shrink_kinks,
                   parameters={"lambd": 0.5}, rules={"lambd": NOT_NEGATIVE}),
        Activation("threshold", threshold, kinks=_threshold_kinks,
                   parameters={"threshold": 0.0, "value": 0.0}, rules={"threshold": FINITE, "value": FINITE}),
    ]
    # fmt: on
