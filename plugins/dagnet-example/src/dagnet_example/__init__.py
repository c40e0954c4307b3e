"""A plugin for dagnet: one activation, whose derivative dagnet derives, and one loss."""

import math
from typing import Any

import numpy as np

import dagnet


def snake(z: Any, frequency: float) -> Any:
    """g(z) = z + sin²(frequency · z)/frequency: rises like the identity, in waves (Ziyin et al., 2020)."""
    return z + np.sin(frequency * z) ** 2 / frequency


def log_cosh(outputs: Any, targets: Any) -> Any:
    """ℓ = Σ log cosh(o − t), without overflow: like (o − t)²/2 near the target, like |o − t| far away."""
    distance = np.abs(outputs - targets)
    return np.sum(distance + np.log1p(np.exp(-2.0 * distance)) - math.log(2.0), axis=1)


def log_cosh_gradient(outputs: Any, targets: Any) -> Any:
    """∂ℓ/∂o = tanh(o − t)."""
    return np.tanh(outputs - targets)


@dagnet.hookimpl
def dagnet_activations() -> list[dagnet.Activation]:
    """The hook that dagnet calls for activations; each has a name, a function and its parameters."""
    return [dagnet.Activation("snake", snake, parameters={"frequency": 1.0})]


@dagnet.hookimpl
def dagnet_losses() -> list[dagnet.Loss]:
    """The hook that dagnet calls for losses."""
    return [dagnet.Loss("log_cosh", log_cosh, log_cosh_gradient)]
