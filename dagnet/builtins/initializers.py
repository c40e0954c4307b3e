"""Initializers: how weights that the graph does not give are drawn.

Fan-in and fan-out count units, and are one entry a weight: in a DAG each node has its own.
The normal ones are plain normal distributions, not truncated.

Examples
--------
>>> import numpy as np
>>> he_uniform(np.random.default_rng(0), np.array([6.0, 6.0]), np.array([1.0, 1.0]))
array([ 0.27392337, -0.46042657])
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Initializer
from dagnet.hookspecs import hookimpl
from dagnet.values import FINITE, NOT_NEGATIVE, Rule, is_number


def _within(generator: np.random.Generator, bound: Array) -> Array:
    return bound * generator.uniform(-1.0, 1.0, size=bound.shape)


def _spread(generator: np.random.Generator, deviation: Array) -> Array:
    return deviation * generator.standard_normal(size=deviation.shape)


def glorot_uniform(generator: np.random.Generator, fan_in: Array, fan_out: Array) -> Array:
    """U(−b, b) with b = √(6/(fan_in + fan_out)).

    Source: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010.
    """
    return _within(generator, np.sqrt(6.0 / (fan_in + fan_out)))


def glorot_normal(generator: np.random.Generator, fan_in: Array, fan_out: Array) -> Array:
    """N(0, 2/(fan_in + fan_out)), the second argument being the variance.

    Source: Glorot & Bengio, 2010.
    """
    return _spread(generator, np.sqrt(2.0 / (fan_in + fan_out)))


def he_uniform(generator: np.random.Generator, fan_in: Array, _fan_out: Array) -> Array:
    """U(−b, b) with b = √(6/fan_in).

    Source: He et al., "Delving deep into rectifiers", 2015.
    """
    return _within(generator, np.sqrt(6.0 / fan_in))


def he_normal(generator: np.random.Generator, fan_in: Array, _fan_out: Array) -> Array:
    """N(0, 2/fan_in), the second argument being the variance.

    Source: He et al., 2015.
    """
    return _spread(generator, np.sqrt(2.0 / fan_in))


def lecun_normal(generator: np.random.Generator, fan_in: Array, _fan_out: Array) -> Array:
    """N(0, 1/fan_in), the second argument being the variance.

    Source: LeCun et al., "Efficient BackProp", 1998.
    """
    return _spread(generator, np.sqrt(1.0 / fan_in))


def normal(generator: np.random.Generator, fan_in: Array, _fan_out: Array, mean: float, std: float) -> Array:
    """N(mean, std²)."""
    return mean + std * generator.standard_normal(size=fan_in.shape)


def uniform(generator: np.random.Generator, fan_in: Array, _fan_out: Array, low: float, high: float) -> Array:
    """U(low, high)."""
    return low + (high - low) * generator.random(size=fan_in.shape)


def zeros(_generator: np.random.Generator, fan_in: Array, _fan_out: Array) -> Array:
    """All 0."""
    return np.zeros(fan_in.shape)


def constant(_generator: np.random.Generator, fan_in: Array, _fan_out: Array, value: float) -> Array:
    """All of them ``value``."""
    return np.full(fan_in.shape, value)


def _is_upper(value: Any, settings: Mapping[str, Any]) -> bool:
    # An infinite width would make infinite draws.
    return is_number(value) and 0.0 <= float(value) - float(settings["low"]) < math.inf


@hookimpl
def dagnet_initializers() -> list[Initializer]:
    """The initializers."""
    # fmt: off
    return [
        Initializer("glorot_uniform", glorot_uniform, by_weight=True),
        Initializer("glorot_normal", glorot_normal, by_weight=True),
        Initializer("he_uniform", he_uniform, by_weight=True),
        Initializer("he_normal", he_normal, by_weight=True),
        Initializer("lecun_normal", lecun_normal, by_weight=True),
        Initializer("normal", normal, by_weight=True,
                    parameters={"mean": 0.0, "std": 1.0}, rules={"mean": FINITE, "std": NOT_NEGATIVE}),
        Initializer("uniform", uniform, by_weight=True, parameters={"low": 0.0, "high": 1.0},
                    rules={"low": FINITE, "high": Rule("a finite number of at least low", _is_upper)}),
        Initializer("zeros", zeros, by_weight=True),
        Initializer("constant", constant, by_weight=True, parameters={"value": 0.0}, rules={"value": FINITE}),
    ]
    # fmt: on
