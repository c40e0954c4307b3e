"""NEAT's activations as neat-python means them, which is not what their names mean elsewhere.

Each is neat-python's function of the same name, elementwise on arrays, with its derivative: 0
where NEAT clips its argument.  NaN gives NaN; at ±1e4 all is finite and silent.
"""

from typing import Any

import numpy as np

import dagnet

__all__ = ["dagnet_activations"]

_LEAK = 0.005
_SELU_SCALE = 1.0507009873554804934193349852946
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SLOPE = _SELU_SCALE * _SELU_ALPHA


def _where(condition: Any, z: Any) -> Any:
    return condition * np.ones_like(z)


def sigmoid(z: Any) -> Any:
    """g(z) = 1/(1 + exp(−y)), y = 5 z clipped to ±60."""
    return 1.0 / (1.0 + np.exp(-np.minimum(np.maximum(5.0 * z, -60.0), 60.0)))


def sigmoid_slope(z: Any, a: Any) -> Any:
    """g'(z) = 5 a (1 − a)."""
    return 5.0 * a * (1.0 - a) * _where(np.abs(z) < 12.0, z)


def tanh(z: Any) -> Any:
    """g(z) = tanh(y), y = 2.5 z clipped to ±60, where it is ±1 in any case."""
    return np.tanh(2.5 * z)


def tanh_slope(_z: Any, a: Any) -> Any:
    """g'(z) = 2.5 (1 − a²)."""
    return 2.5 * (1.0 - a * a)


def sin(z: Any) -> Any:
    """g(z) = sin(y), y = 5 z clipped to ±60."""
    return np.sin(np.minimum(np.maximum(5.0 * z, -60.0), 60.0))


def sin_slope(z: Any, _a: Any) -> Any:
    """g'(z) = 5 cos(5 z)."""
    return 5.0 * np.cos(np.minimum(np.maximum(5.0 * z, -60.0), 60.0)) * _where(np.abs(z) < 12.0, z)


def gauss(z: Any) -> Any:
    """g(z) = exp(−5 y²), y = z clipped to ±3.4."""
    y = np.minimum(np.maximum(z, -3.4), 3.4)
    return np.exp(-5.0 * (y * y))


def gauss_slope(z: Any, a: Any) -> Any:
    """g'(z) = −10 z a."""
    return -10.0 * z * a * _where(np.abs(z) < 3.4, z)


def relu(z: Any) -> Any:
    """g(z) = max(z, 0)."""
    return np.maximum(z, 0.0)


def relu_slope(z: Any, _a: Any) -> Any:
    """g'(z) = 1 for z > 0, else 0."""
    return _where(z > 0.0, z)


def elu(z: Any) -> Any:
    """g(z) = z for z > 0, else exp(z) − 1."""
    return np.maximum(z, 0.0) + np.expm1(np.minimum(z, 0.0))


def elu_slope(z: Any, _a: Any) -> Any:
    """g'(z) = min(exp(z), 1)."""
    return np.exp(np.minimum(z, 0.0))


def lelu(z: Any) -> Any:
    """g(z) = z for z > 0, else 0.005 z."""
    return np.maximum(z, 0.0) + _LEAK * np.minimum(z, 0.0)


def lelu_slope(z: Any, _a: Any) -> Any:
    """g'(z) = 1 for z > 0, else 0.005."""
    return _LEAK + (1.0 - _LEAK) * _where(z > 0.0, z)


def selu(z: Any) -> Any:
    """g(z) = λ z for z > 0, else λ α (exp(z) − 1)."""
    return _SELU_SCALE * np.maximum(z, 0.0) + _SELU_SLOPE * np.expm1(np.minimum(z, 0.0))


def selu_slope(z: Any, _a: Any) -> Any:
    """g'(z) = λ for z > 0, else λ α exp(z)."""
    positive = _where(z > 0.0, z)
    return _SELU_SCALE * positive + _SELU_SLOPE * (1.0 - positive) * np.exp(np.minimum(z, 0.0))


def softplus(z: Any) -> Any:
    """g(z) = log(1 + exp(y))/5, y = 5 z clipped to ±60."""
    return 0.2 * np.log1p(np.exp(np.minimum(np.maximum(5.0 * z, -60.0), 60.0)))


def softplus_slope(z: Any, _a: Any) -> Any:
    """g'(z) = 1/(1 + exp(−5 z))."""
    return sigmoid(z) * _where(np.abs(z) < 12.0, z)


def identity(z: Any) -> Any:
    """g(z) = z."""
    return +z


def identity_slope(z: Any, _a: Any) -> Any:
    """g'(z) = 1."""
    return np.ones_like(z)


def clamped(z: Any) -> Any:
    """g(z) = z clipped to ±1."""
    return np.minimum(np.maximum(z, -1.0), 1.0)


def clamped_slope(z: Any, _a: Any) -> Any:
    """g'(z) = 1 where |z| < 1, else 0."""
    return _where(np.abs(z) < 1.0, z)


def inv(z: Any) -> Any:
    """g(z) = 1/z, and 0 at 0."""
    zero = z == 0.0
    return (1.0 - _where(zero, z)) / (z + zero)


def inv_slope(_z: Any, a: Any) -> Any:
    """g'(z) = −1/z²."""
    return -a * a


def log(z: Any) -> Any:
    """g(z) = log(max(z, 1e-7))."""
    return np.log(np.maximum(z, 1e-7))


def log_slope(z: Any, _a: Any) -> Any:
    """g'(z) = 1/z where z > 1e-7, else 0."""
    return _where(z > 1e-7, z) / np.maximum(z, 1e-7)


def exp(z: Any) -> Any:
    """g(z) = exp(y), y = z clipped to ±60."""
    return np.exp(np.minimum(np.maximum(z, -60.0), 60.0))


def exp_slope(z: Any, a: Any) -> Any:
    """g'(z) = a."""
    return a * _where(np.abs(z) < 60.0, z)


def absolute(z: Any) -> Any:
    """g(z) = |z|."""
    return np.abs(z)


def absolute_slope(z: Any, _a: Any) -> Any:
    """g'(z) = the sign of z."""
    return np.sign(z)


def hat(z: Any) -> Any:
    """g(z) = max(0, 1 − |z|)."""
    return np.maximum(1.0 - np.abs(z), 0.0)


def hat_slope(z: Any, _a: Any) -> Any:
    """g'(z) = minus the sign of z where |z| < 1, else 0."""
    return -np.sign(z) * _where(np.abs(z) < 1.0, z)


def square(z: Any) -> Any:
    """g(z) = z²."""
    return z * z


def square_slope(z: Any, _a: Any) -> Any:
    """g'(z) = 2 z."""
    return 2.0 * z


def cube(z: Any) -> Any:
    """g(z) = z³."""
    return z * z * z


def cube_slope(z: Any, _a: Any) -> Any:
    """g'(z) = 3 z²."""
    return 3.0 * (z * z)


@dagnet.hookimpl
def dagnet_activations() -> list[dagnet.Activation]:
    """All of neat-python's activations, ``neat_`` before their names there."""
    return [
        dagnet.Activation("neat_sigmoid", sigmoid, sigmoid_slope, kinks=(-12.0, 12.0)),
        dagnet.Activation("neat_tanh", tanh, tanh_slope),
        dagnet.Activation("neat_sin", sin, sin_slope, kinks=(-12.0, 12.0)),
        dagnet.Activation("neat_gauss", gauss, gauss_slope, kinks=(-3.4, 3.4)),
        dagnet.Activation("neat_relu", relu, relu_slope, kinks=(0.0,)),
        dagnet.Activation("neat_elu", elu, elu_slope, kinks=(0.0,)),
        dagnet.Activation("neat_lelu", lelu, lelu_slope, kinks=(0.0,)),
        dagnet.Activation("neat_selu", selu, selu_slope, kinks=(0.0,)),
        dagnet.Activation("neat_softplus", softplus, softplus_slope, kinks=(-12.0, 12.0)),
        dagnet.Activation("neat_identity", identity, identity_slope),
        dagnet.Activation("neat_clamped", clamped, clamped_slope, kinks=(-1.0, 1.0)),
        dagnet.Activation("neat_inv", inv, inv_slope, kinks=(0.0,)),
        dagnet.Activation("neat_log", log, log_slope, kinks=(1e-7,)),
        dagnet.Activation("neat_exp", exp, exp_slope, kinks=(-60.0, 60.0)),
        dagnet.Activation("neat_abs", absolute, absolute_slope, kinks=(0.0,)),
        dagnet.Activation("neat_hat", hat, hat_slope, kinks=(-1.0, 0.0, 1.0)),
        dagnet.Activation("neat_square", square, square_slope),
        dagnet.Activation("neat_cube", cube, cube_slope),
    ]
