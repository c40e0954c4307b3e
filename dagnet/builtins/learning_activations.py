"""Activations with a parameter that each unit learns; what :mod:`.activations` says holds here, too."""

from __future__ import annotations

import numpy as np

from dagnet.builtins.activations import Elementwise
from dagnet.contracts import Activation
from dagnet.formula import sigmoid, step
from dagnet.hookspecs import hookimpl


def prelu(z: Elementwise, slope: Elementwise) -> Elementwise:
    """g(z) = max(z, 0) + slope · min(z, 0), slope learned; derivative slope at 0.

    Source: He, Zhang, Ren & Sun, "Delving deep into rectifiers", 2015.
    """
    return np.maximum(z, 0.0) + slope * np.minimum(z, 0.0)


def _prelu_slope(z: Elementwise, _a: Elementwise, slope: Elementwise) -> Elementwise:
    positive = step(z)
    return positive + slope * (1.0 - positive)


def swish(z: Elementwise, beta: Elementwise) -> Elementwise:
    """g(z) = z/(1 + exp(−β z)), β learned.

    Source: Ramachandran, Zoph & Le, "Searching for activation functions", 2017.
    """
    return z * sigmoid(beta * z)


@hookimpl
def dagnet_activations() -> list[Activation]:
    """The activations."""
    return [
        Activation("prelu", prelu, _prelu_slope, kinks=(0.0,), trainable={"slope": 0.25}),
        Activation("swish", swish, trainable={"beta": 1.0}),
    ]
