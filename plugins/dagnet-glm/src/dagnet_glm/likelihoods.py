"""Losses: what is left of a negative log-likelihood once terms without the outputs are dropped.

Outputs o and targets y are (rows, output units); values are (rows,), gradients (rows, output
units).  The count and rate models take o as the logarithm of the mean μ (log link) and predict
exp(o).  Where exp(o) is no float it is infinite, silently, as with dagnet's own ``poisson``.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import dagnet

__all__ = [
    "exp",
    "focal",
    "focal_gradient",
    "gamma",
    "gamma_gradient",
    "hinge",
    "hinge_gradient",
    "negative_binomial",
    "negative_binomial_gradient",
    "positive_class",
    "quantile",
    "quantile_gradient",
    "sigmoid",
    "tweedie",
    "tweedie_gradient",
]


def _require(where: str, value: object, must: str, holds: Callable[[Any], bool]) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not holds(value):
        raise dagnet.PluginError(f"loss {where} must be {must}, got {value!r}")


def _positive(loss: str, targets: Any) -> Any:
    """The targets, which must be above 0.

    dagnet traces a loss on symbols, to compile it, and there is nothing to refuse yet: machine code
    gets NaN instead.  A batch whose loss is NaN is computed again with NumPy, and refused.
    """
    if not isinstance(targets, np.ndarray):
        return np.where(targets > 0.0, targets, np.nan)
    if (targets <= 0.0).any():
        row, unit = (int(index) for index in np.argwhere(targets <= 0.0)[0])
        got = f"got {float(targets[row, unit])!r} in row {row}"
        mend = "leave such rows out, or use tweedie(power=1.5), which has a mass at 0"
        raise dagnet.DataError(f"loss {loss!r}: targets must be above 0, {got}; {mend}")
    return targets


def exp(outputs: Any, *_parameters: float) -> Any:
    """exp(o), silently infinite where that is no float."""
    with np.errstate(over="ignore"):
        return np.exp(outputs)


def sigmoid(outputs: Any, *_parameters: float) -> Any:
    """1/(1 + exp(−o)), without overflow."""
    t = np.exp(-np.abs(outputs))
    return np.where(outputs > 0.0, 1.0, t) / (1.0 + t)


def positive_class(outputs: Any) -> Any:
    """1 where o > 0, else 0: the class that a margin predicts."""
    return (outputs > 0.0) * np.ones_like(outputs)


def _softplus(z: Any) -> Any:
    return np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))


def _product(targets: Any, rates: Any) -> Any:
    """The product y · exp(…), where 0 · ∞ is 0: the limit."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(targets == 0.0, 0.0, targets * rates)


def gamma(outputs: Any, targets: Any) -> Any:
    """ℓ = Σ o + y exp(−o): the gamma distribution with mean exp(o); y > 0.

    The shape parameter multiplies the whole and so does not move the optimum.

    Source: McCullagh & Nelder, "Generalized linear models", 1989, chapter 8.

    Examples
    --------
    >>> gamma(np.array([[0.0]]), np.array([[3.0]]))
    array([3.])
    """
    return np.sum(outputs + _product(_positive("gamma", targets), exp(-outputs)), axis=1)


def gamma_gradient(outputs: Any, targets: Any) -> Any:
    """∂ℓ/∂o = 1 − y exp(−o)."""
    return 1.0 - _product(_positive("gamma", targets), exp(-outputs))


def negative_binomial(outputs: Any, targets: Any, alpha: float) -> Any:
    """ℓ = Σ (y + 1/α) log(1 + α exp(o)) − y o: counts with mean μ = exp(o), variance μ + α μ².

    Source: Hilbe, "Negative binomial regression", 2011 (NB2).  For α → 0 it is ``poisson``.

    Examples
    --------
    >>> negative_binomial(np.array([[0.0]]), np.array([[0.0]]), 1.0)
    array([0.69314718])
    """
    _require("'negative_binomial': alpha", alpha, "a finite number above 0", lambda x: 0 < x < math.inf)
    s = outputs + math.log(alpha)
    return np.sum(_softplus(s) / alpha + targets * (_softplus(-s) + math.log(alpha)), axis=1)


def negative_binomial_gradient(outputs: Any, targets: Any, alpha: float) -> Any:
    """∂ℓ/∂o = (μ − y)/(1 + α μ)."""
    s = outputs + math.log(alpha)
    return sigmoid(s) / alpha - targets * sigmoid(-s)


def tweedie(outputs: Any, targets: Any, power: float) -> Any:
    """ℓ = Σ exp((2 − p) o)/(2 − p) − y exp((1 − p) o)/(1 − p): variance μᵖ, mean μ = exp(o).

    p = 1 is ``poisson``, p = 2 ``gamma`` (each term its limit), where y must be above 0; between
    them it is the compound of the two, which has a mass at y = 0.

    Source: Jørgensen, "The theory of dispersion models", 1997.

    Examples
    --------
    >>> tweedie(np.array([[0.0]]), np.array([[1.0]]), 1.5)
    array([4.])
    """
    _require("'tweedie': power", power, "a number from 1 to 2", lambda x: 1 <= x <= 2)
    if power == 2.0:
        return gamma(outputs, targets)
    if power == 1.0:
        return np.sum(exp(outputs) - targets * outputs, axis=1)
    waiting = _product(targets, exp((1.0 - power) * outputs)) / (power - 1.0)
    return np.sum(exp((2.0 - power) * outputs) / (2.0 - power) + waiting, axis=1)


def tweedie_gradient(outputs: Any, targets: Any, power: float) -> Any:
    """∂ℓ/∂o = (μ − y) μ^(1 − p)."""
    if power == 2.0:
        return gamma_gradient(outputs, targets)
    return exp((2.0 - power) * outputs) - _product(targets, exp((1.0 - power) * outputs))


def quantile(outputs: Any, targets: Any, tau: float) -> Any:
    """ℓ = Σ max(τ (y − o), (1 − τ) (o − y)), the pinball loss; its minimum is the τ-quantile.

    Source: Koenker & Bassett, "Regression quantiles", 1978.

    Examples
    --------
    >>> quantile(np.array([[0.0], [2.0]]), np.array([[1.0], [1.0]]), 0.9)
    array([0.9, 0.1])
    """
    _require("'quantile': tau", tau, "a number between 0 and 1", lambda x: 0 < x < 1)
    distance = targets - outputs
    return np.sum(np.maximum(tau * distance, (tau - 1.0) * distance), axis=1)


def quantile_gradient(outputs: Any, targets: Any, tau: float) -> Any:
    """∂ℓ/∂o = 1 − τ above the target, −τ below it, 0 on it."""
    one = np.ones_like(outputs)
    return (1.0 - tau) * ((outputs > targets) * one) - tau * ((outputs < targets) * one)


def hinge(outputs: Any, targets: Any) -> Any:
    """ℓ = Σ max(0, 1 − s o), s = 1 for the target 1 and −1 for the target 0.

    Source: Cortes & Vapnik, "Support-vector networks", 1995.

    Examples
    --------
    >>> hinge(np.array([[0.5], [0.5]]), np.array([[1.0], [0.0]]))
    array([0.5, 1.5])
    """
    return np.sum(np.maximum(1.0 - (2.0 * targets - 1.0) * outputs, 0.0), axis=1)


def hinge_gradient(outputs: Any, targets: Any) -> Any:
    """∂ℓ/∂o = −s where s o < 1, else 0."""
    sides = 2.0 * targets - 1.0
    return -sides * (sides * outputs < 1.0)


def focal(outputs: Any, targets: Any, alpha: float, gamma: float) -> Any:
    """ℓ = −Σ αₜ (1 − pₜ)^γ log pₜ on logits: cross-entropy with the easy examples weighed down.

    pₜ is the probability given to the target, αₜ is α for the target 1 and 1 − α for 0.

    Source: Lin et al., "Focal loss for dense object detection", 2017.

    Examples
    --------
    >>> focal(np.array([[0.0]]), np.array([[1.0]]), 0.5, 0.0) * 2.0
    array([0.69314718])
    """
    _require("'focal': alpha", alpha, "a number from 0 to 1", lambda x: 0 <= x <= 1)
    _require("'focal': gamma", gamma, "a finite number of at least 0", lambda x: 0 <= x < math.inf)
    margins = (2.0 * targets - 1.0) * outputs
    balance = alpha * targets + (1.0 - alpha) * (1.0 - targets)
    return np.sum(balance * sigmoid(-margins) ** gamma * _softplus(-margins), axis=1)


def focal_gradient(outputs: Any, targets: Any, alpha: float, gamma: float) -> Any:
    """∂ℓ/∂o = −s αₜ (1 − pₜ)^γ (1 − pₜ − γ pₜ log pₜ), s = ±1 as the target is 1 or 0."""
    sides = 2.0 * targets - 1.0
    miss = sigmoid(-sides * outputs)
    balance = alpha * targets + (1.0 - alpha) * (1.0 - targets)
    return -sides * balance * miss**gamma * (miss + gamma * (1.0 - miss) * _softplus(-sides * outputs))
