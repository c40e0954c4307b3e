"""Losses: what is left of a negative log-likelihood once terms without the outputs are dropped.

Outputs o and targets y are (rows, output units), values (rows,); dagnet derives the gradients.  The
count and rate models take o as the logarithm of the mean μ (log link) and predict exp(o).  Where
exp(o) is no float it is infinite, silently, as with dagnet's own ``poisson``.
"""

from typing import Any

import numpy as np

from dagnet.formula import sigmoid

__all__ = [
    "exp",
    "focal",
    "gamma",
    "hinge",
    "negative_binomial",
    "positive_class",
    "probability",
    "quantile",
    "tweedie",
]


def exp(outputs: Any, *_parameters: float) -> Any:
    """exp(o), silently infinite where that is no float."""
    with np.errstate(over="ignore"):
        return np.exp(outputs)


def probability(outputs: Any, *_parameters: float) -> Any:
    """1/(1 + exp(−o))."""
    return sigmoid(outputs)


def positive_class(outputs: Any) -> Any:
    """1 where o > 0, else 0: the class that a margin predicts."""
    return (outputs > 0.0) * np.ones_like(outputs)


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
    return np.sum(outputs + targets * exp(-outputs), axis=1)


def negative_binomial(outputs: Any, targets: Any, alpha: float) -> Any:
    """ℓ = Σ (y + 1/α) log(1 + α exp(o)) − y o: counts with mean μ = exp(o), variance μ + α μ².

    Source: Hilbe, "Negative binomial regression", 2011 (NB2).  For α → 0 it is ``poisson``.

    Examples
    --------
    >>> negative_binomial(np.array([[0.0]]), np.array([[0.0]]), 1.0)
    array([0.69314718])
    """
    s = outputs + np.log(alpha)
    return np.sum(np.logaddexp(0.0, s) / alpha + targets * (np.logaddexp(0.0, -s) + np.log(alpha)), axis=1)


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
    if power == 2.0:
        return gamma(outputs, np.where(targets > 0.0, targets, np.nan))
    if power == 1.0:
        return np.sum(exp(outputs) - targets * outputs, axis=1)
    waiting = _product(targets, exp((1.0 - power) * outputs)) / (power - 1.0)
    return np.sum(exp((2.0 - power) * outputs) / (2.0 - power) + waiting, axis=1)


def quantile(outputs: Any, targets: Any, tau: float) -> Any:
    """ℓ = Σ max(τ (y − o), (1 − τ) (o − y)), the pinball loss; its minimum is the τ-quantile.

    Source: Koenker & Bassett, "Regression quantiles", 1978.

    Examples
    --------
    >>> quantile(np.array([[0.0], [2.0]]), np.array([[1.0], [1.0]]), 0.9)
    array([0.9, 0.1])
    """
    distance = targets - outputs
    return np.sum(np.maximum(tau * distance, (tau - 1.0) * distance), axis=1)


def hinge(outputs: Any, targets: Any) -> Any:
    """ℓ = Σ max(0, 1 − s o), s = 1 for the target 1 and −1 for the target 0.

    Source: Cortes & Vapnik, "Support-vector networks", 1995.

    Examples
    --------
    >>> hinge(np.array([[0.5], [0.5]]), np.array([[1.0], [0.0]]))
    array([0.5, 1.5])
    """
    return np.sum(np.maximum(1.0 - (2.0 * targets - 1.0) * outputs, 0.0), axis=1)


def focal(outputs: Any, targets: Any, alpha: float, gamma: float) -> Any:
    """ℓ = −Σ αₜ (1 − pₜ)^γ log pₜ on logits: cross-entropy with the easy examples weighed down.

    pₜ is the probability given to the target, αₜ is α for the target 1 and 1 − α for 0.

    Source: Lin et al., "Focal loss for dense object detection", 2017.

    Examples
    --------
    >>> focal(np.array([[0.0]]), np.array([[1.0]]), 0.5, 0.0) * 2.0
    array([0.69314718])
    """
    margins = (2.0 * targets - 1.0) * outputs
    balance = alpha * targets + (1.0 - alpha) * (1.0 - targets)
    return np.sum(balance * sigmoid(-margins) ** gamma * np.logaddexp(0.0, -margins), axis=1)
