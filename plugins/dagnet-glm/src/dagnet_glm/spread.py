"""Losses of how predictions spread: a normal distribution's own variance, and agreement over all rows."""

from typing import Any

import numpy as np

__all__ = ["ccc", "ccc_gradient", "gaussian_nll", "gaussian_nll_gradient"]


def gaussian_nll(outputs: Any, targets: Any) -> Any:
    """ℓ = Σ ½ (s + (y − μ)² exp(−s)), units μ, s in turn: y normal with mean μ and variance exp(s).

    Up to ½ log 2π.  Two units of a node share a column of y: give the output node units=2.

    Source: Nix & Weigend, "Estimating the mean and variance of the target probability distribution", 1994.

    Examples
    --------
    >>> gaussian_nll(np.array([[1.0, 0.0]]), np.array([[3.0]]))
    array([2.])
    """
    log_variance = outputs[:, 1::2]
    return 0.5 * (log_variance + _scaled(np.square(targets - outputs[:, ::2]), log_variance)).sum(axis=1)


def gaussian_nll_gradient(outputs: Any, targets: Any) -> Any:
    """By μ (μ − y) exp(−s), by s ½ (1 − (y − μ)² exp(−s))."""
    away, log_variance, result = outputs[:, ::2] - targets, outputs[:, 1::2], np.empty_like(outputs)
    result[:, ::2] = _scaled(away, log_variance)
    result[:, 1::2] = 0.5 - 0.5 * _scaled(np.square(away), log_variance)
    return result


def _scaled(values: Any, log_variance: Any) -> Any:
    """The values times exp(−s), infinite where that is no float; 0 · ∞ is 0, the limit."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(values == 0.0, values, values * np.exp(-log_variance))


def ccc(outputs: Any, targets: Any) -> Any:
    """ℓ = Σ 1 − CCC, the same for each row: CCC = 2 s_oy/(s_oo + s_yy + (ō − ȳ)²), moments over all rows.

    Lin's concordance correlation coefficient is 1 where o = y in all rows, and here 0 where neither
    varies.  It couples rows: batches have a coefficient each.

    Source: Lin, "A concordance correlation coefficient to evaluate reproducibility", 1989.

    Examples
    --------
    >>> ccc(np.array([[1.0], [2.0], [3.0]]), np.array([[2.0], [3.0], [4.0]])).round(4)
    array([0.4286, 0.4286, 0.4286])
    """
    value = (1.0 - _ccc(outputs, targets)[0]).sum()
    return np.full(len(outputs), value, outputs.dtype)


def ccc_gradient(outputs: Any, targets: Any) -> Any:
    """∂Σℓ/∂o = −2 (y − ȳ − CCC (o − ȳ))/(s_oo + s_yy + (ō − ȳ)²)."""
    agreement, below = _ccc(outputs, targets)
    o, y = outputs.astype(np.float64), targets.astype(np.float64)
    return (-2.0 * (y - y.mean(axis=0) - agreement * (o - y.mean(axis=0))) / below).astype(outputs.dtype)


def _ccc(outputs: Any, targets: Any) -> tuple[Any, Any]:
    """CCC and its denominator, (units,) each."""
    o, y = outputs.astype(np.float64), targets.astype(np.float64)
    below = o.var(axis=0) + y.var(axis=0) + np.square(o.mean(axis=0) - y.mean(axis=0))
    below = np.where(below == 0.0, 1.0, below)
    return 2.0 * np.mean((o - o.mean(axis=0)) * (y - y.mean(axis=0)), axis=0) / below, below
