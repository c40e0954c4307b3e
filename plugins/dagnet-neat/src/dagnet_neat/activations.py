"""NEAT's activations as neat-python means them, which is not what their names mean elsewhere.

Each is neat-python's function of the same name, elementwise on arrays; its derivative is 0 where NEAT
clips its argument.  NaN gives NaN; at ±1e4 all is finite and silent.
"""

from typing import Any

import numpy as np

import dagnet
from dagnet.formula import sigmoid as logistic

__all__ = ["dagnet_activations"]

_LEAK = 0.005
_SELU_SCALE = 1.0507009873554804934193349852946
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SLOPE = _SELU_SCALE * _SELU_ALPHA


def sigmoid(z: Any) -> Any:
    """g(z) = 1/(1 + exp(−y)), y = 5 z clipped to ±60."""
    return logistic(np.clip(5.0 * z, -60.0, 60.0))


def tanh(z: Any) -> Any:
    """g(z) = tanh(y), y = 2.5 z clipped to ±60, where it is ±1 in any case."""
    return np.tanh(2.5 * z)


def sin(z: Any) -> Any:
    """g(z) = sin(y), y = 5 z clipped to ±60."""
    return np.sin(np.clip(5.0 * z, -60.0, 60.0))


def gauss(z: Any) -> Any:
    """g(z) = exp(−5 y²), y = z clipped to ±3.4."""
    return np.exp(-5.0 * np.square(np.clip(z, -3.4, 3.4)))


def relu(z: Any) -> Any:
    """g(z) = max(z, 0); g'(0) = 0."""
    return np.where(z <= 0.0, 0.0, z)


def elu(z: Any) -> Any:
    """g(z) = z for z > 0, else exp(z) − 1."""
    return np.where(z <= 0.0, np.expm1(np.minimum(z, 0.0)), z)


def lelu(z: Any) -> Any:
    """g(z) = z for z > 0, else 0.005 z."""
    return np.where(z <= 0.0, _LEAK * z, z)


def selu(z: Any) -> Any:
    """g(z) = λ z for z > 0, else λ α (exp(z) − 1)."""
    return np.where(z <= 0.0, _SELU_SLOPE * np.expm1(np.minimum(z, 0.0)), _SELU_SCALE * z)


def softplus(z: Any) -> Any:
    """g(z) = log(1 + exp(y))/5, y = 5 z clipped to ±60."""
    return 0.2 * np.log1p(np.exp(np.clip(5.0 * z, -60.0, 60.0)))


def identity(z: Any) -> Any:
    """g(z) = z."""
    return +z


def clamped(z: Any) -> Any:
    """g(z) = z clipped to ±1."""
    return np.clip(z, -1.0, 1.0)


def inv(z: Any) -> Any:
    """g(z) = 1/z, and 0 at 0."""
    zero = z == 0.0
    return np.where(zero, 0.0, 1.0 / np.where(zero, 1.0, z))


def inv_slope(_z: Any, a: Any) -> Any:
    """g'(z) = −1/z², and 0 at 0; it never reads z."""
    return -a * a


def log(z: Any) -> Any:
    """g(z) = log(max(z, 1e-7))."""
    return np.log(np.maximum(z, 1e-7))


def exp(z: Any) -> Any:
    """g(z) = exp(y), y = z clipped to ±60."""
    return np.exp(np.clip(z, -60.0, 60.0))


def hat(z: Any) -> Any:
    """g(z) = max(0, 1 − |z|); g'(±1) = 0."""
    return np.where(np.abs(z) >= 1.0, 0.0, 1.0 - np.abs(z))


def cube(z: Any) -> Any:
    """g(z) = z³."""
    return z * z * z


def wann_sin(z: Any) -> Any:
    """g(z) = sin(πz)."""
    return np.sin(np.pi * z)


def wann_cos(z: Any) -> Any:
    """g(z) = cos(πz)."""
    return np.cos(np.pi * z)


def wann_gauss(z: Any) -> Any:
    """g(z) = exp(−z²/2)."""
    return np.exp(-0.5 * np.square(z))


def wann_step(z: Any) -> Any:
    """g(z) = 1 for z > 0, else 0; its derivative is 0, so nothing before it learns."""
    return np.where(z > 0.0, 1.0, 0.0)


def wann_inverse(z: Any) -> Any:
    """g(z) = −z."""
    return -z


@dagnet.hookimpl
def dagnet_activations() -> list[dagnet.Activation]:
    """All of neat-python's, ``neat_`` before their names there, and those of weight-agnostic networks.

    Source of these: Gaier and Ha, "Weight agnostic neural networks", 2019.
    """
    return [
        dagnet.Activation("neat_sigmoid", sigmoid, kinks=(-12.0, 12.0)),
        dagnet.Activation("neat_tanh", tanh),
        dagnet.Activation("neat_sin", sin, kinks=(-12.0, 12.0)),
        dagnet.Activation("neat_gauss", gauss, kinks=(-3.4, 3.4)),
        dagnet.Activation("neat_relu", relu, kinks=(0.0,)),
        dagnet.Activation("neat_elu", elu, kinks=(0.0,)),
        dagnet.Activation("neat_lelu", lelu, kinks=(0.0,)),
        dagnet.Activation("neat_selu", selu, kinks=(0.0,)),
        dagnet.Activation("neat_softplus", softplus, kinks=(-12.0, 12.0)),
        dagnet.Activation("neat_identity", identity),
        dagnet.Activation("neat_clamped", clamped, kinks=(-1.0, 1.0)),
        dagnet.Activation("neat_inv", inv, inv_slope, kinks=(0.0,)),
        dagnet.Activation("neat_log", log, kinks=(1e-7,)),
        dagnet.Activation("neat_exp", exp, kinks=(-60.0, 60.0)),
        dagnet.Activation("neat_abs", np.abs, kinks=(0.0,)),
        dagnet.Activation("neat_hat", hat, kinks=(-1.0, 0.0, 1.0)),
        dagnet.Activation("neat_square", np.square),
        dagnet.Activation("neat_cube", cube),
        dagnet.Activation("wann_sin", wann_sin),
        dagnet.Activation("wann_cos", wann_cos),
        dagnet.Activation("wann_gauss", wann_gauss),
        dagnet.Activation("wann_step", wann_step, kinks=(0.0,)),
        dagnet.Activation("wann_inverse", wann_inverse),
        dagnet.Activation("wann_abs", np.abs, kinks=(0.0,)),
        dagnet.Activation("wann_square", np.square),
    ]
