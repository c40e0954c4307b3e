"""Activations that are put together from pieces: the rectifiers and their clipped relatives.

Values and derivatives are numerically those of PyTorch under the same name, at the kinks too:
each docstring says which one-sided derivative holds there.  Each function works elementwise on
arrays of any shape and keeps their dtype.  NaN gives NaN.  At ±1e4 all is finite and silent.

A derivative takes z and a = g(z); where the first is named ``_z`` the value alone suffices.
The exponential ones lose relative (not absolute) precision by that, deep in saturation.

Examples
--------
>>> import numpy as np
>>> hard_tanh(np.array([-2.0, 0.5]), -1.0, 1.0)
array([-1. ,  0.5])
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dagnet.builtins.special import Elementwise, step
from dagnet.contracts import Activation
from dagnet.hookspecs import hookimpl
from dagnet.values import FINITE, NOT_NEGATIVE, NUMBER, POSITIVE, Rule, is_number

_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


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
    """The piecewise activations."""
    # fmt: off
    return [
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
