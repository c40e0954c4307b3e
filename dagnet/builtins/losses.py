"""Losses: the sum over output units of PyTorch's elementwise term, one number a row.

Outputs and targets are (rows, output units); values are (rows,) and gradients (rows, output
units), in the outputs' dtype.  Outputs of ±1e4 give finite values and gradients, without
warnings.  The one exception is ``poisson`` at +1e4: exp(1e4) is no float, so value and
gradient are infinite there, silently, as in PyTorch; a bound in their place would let a run
go on with gradients that mean nothing, where infinity stops it by a ``NumericalError``.

Examples
--------
>>> import numpy as np
>>> squared_error(np.array([[1.0, 2.0]]), np.array([[0.0, 0.0]]))
array([5.])
"""

from __future__ import annotations

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Loss
from dagnet.formula import exp, sigmoid
from dagnet.hookspecs import hookimpl
from dagnet.values import POSITIVE

_SMALLEST_LOG = -100.0
_BELOW_SMALLEST = 1e-44  # a float32 whose logarithm is less than that
_SMALLEST_VARIANCE = 1e-12


def squared_error(outputs: Array, targets: Array) -> Array:
    """ℓ = Σ (o − t)², the sum over output units."""
    return np.square(outputs - targets).sum(axis=1)


def absolute_error(outputs: Array, targets: Array) -> Array:
    """ℓ = Σ |o − t|; the gradient is 0 where o = t."""
    return np.abs(outputs - targets).sum(axis=1)


def huber(outputs: Array, targets: Array, delta: float) -> Array:
    """ℓ = Σ (o − t)²/2 where |o − t| < δ, else δ (|o − t| − δ/2).

    Source: Huber, "Robust estimation of a location parameter", 1964.
    """
    distance = np.abs(outputs - targets)
    within = np.minimum(distance, delta)
    return (within * (distance - 0.5 * within)).sum(axis=1)


def _huber_gradient(outputs: Array, targets: Array, delta: float) -> Array:
    return np.clip(outputs - targets, -delta, delta)


def binary_cross_entropy(outputs: Array, targets: Array) -> Array:
    """ℓ = −Σ t log o + (1 − t) log(1 − o), each logarithm at least −100; outputs in [0, 1]."""
    log_one = np.maximum(np.log(np.maximum(outputs, _BELOW_SMALLEST)), _SMALLEST_LOG)
    below_one = outputs < 1.0  # the next smaller float has 1 − o far above exp(−100)
    log_zero = np.where(below_one, np.log1p(-np.where(below_one, outputs, 0.0)), _SMALLEST_LOG)
    return ((targets - 1.0) * log_zero - targets * log_one).sum(axis=1)


def _binary_cross_entropy_gradient(outputs: Array, targets: Array) -> Array:
    return (outputs - targets) / np.maximum((1.0 - outputs) * outputs, _SMALLEST_VARIANCE)


def binary_cross_entropy_with_logits(outputs: Array, targets: Array) -> Array:
    """ℓ = Σ max(o, 0) − o t + log(1 + exp(−|o|)): the cross-entropy of sigmoid(o)."""
    linear = np.maximum(outputs, 0.0) - outputs * targets
    return (linear + np.log1p(np.exp(-np.abs(outputs)))).sum(axis=1)


def _with_logits_gradient(outputs: Array, targets: Array) -> Array:
    return sigmoid(outputs) - targets


def softmax(outputs: Array) -> Array:
    """exp(o)/Σ exp(o) over the output units: what ``cross_entropy`` predicts.

    Examples
    --------
    >>> softmax(np.array([[1e4, 1e4]]))
    array([[0.5, 0.5]])
    """
    exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def cross_entropy(outputs: Array, targets: Array) -> Array:
    """ℓ = −Σ t log softmax(o), with class probabilities t (one-hot for labels)."""
    shifted = outputs - outputs.max(axis=1, keepdims=True)
    log_softmax = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -(targets * log_softmax).sum(axis=1)


def _cross_entropy_gradient(outputs: Array, targets: Array) -> Array:
    return softmax(outputs) * targets.sum(axis=1, keepdims=True) - targets


def poisson(outputs: Array, targets: Array) -> Array:
    """ℓ = Σ exp(o) − t o: the Poisson likelihood of counts t at rates exp(o), up to log t!."""
    return (exp(outputs) - targets * outputs).sum(axis=1)


@hookimpl
def dagnet_losses() -> list[Loss]:
    """The seven losses."""
    # fmt: off
    return [
        Loss("squared_error", squared_error),
        Loss("absolute_error", absolute_error),
        Loss("huber", huber, _huber_gradient, parameters={"delta": 1.0}, rules={"delta": POSITIVE}),
        Loss("binary_cross_entropy", binary_cross_entropy, _binary_cross_entropy_gradient,
             targets="binary", outputs="probability"),
        Loss("binary_cross_entropy_with_logits", binary_cross_entropy_with_logits, _with_logits_gradient,
             predict=sigmoid, targets="binary"),
        Loss("cross_entropy", cross_entropy, _cross_entropy_gradient,
             predict=softmax, targets="class", minimum_outputs=2),
        Loss("poisson", poisson, predict=exp, targets="count"),
    ]
    # fmt: on
