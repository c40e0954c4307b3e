"""Accuracy, AUC and R², each a few lines."""

from __future__ import annotations

import numpy as np

from dagnet.arrays import Array


def accuracy(truth: Array, predicted: Array) -> float:
    """The share of right answers: 0.5 divides yes from no; with classes the most probable counts.

    Parameters
    ----------
    truth, predicted
        (rows,): 0 or 1, and a probability; or (rows, classes): one-hot, and class probabilities.

    Examples
    --------
    >>> accuracy(np.array([0, 1, 1]), np.array([0.2, 0.7, 0.4]))
    0.6666666666666666
    """
    if truth.ndim == 2:
        return float(np.mean(truth.argmax(axis=1) == predicted.argmax(axis=1)))
    return float(np.mean((truth > 0.5) == (predicted > 0.5)))


def area_under_curve(truth: Array, score: Array) -> float:
    """The area under the ROC curve: how often a 1 has a higher score than a 0, ties counting half.

    Mann & Whitney's U over the number of pairs, from the mean ranks of tied scores.  NaN where
    one of the classes is absent.

    Examples
    --------
    >>> area_under_curve(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    positive = truth > 0.5
    n_positive = int(positive.sum())
    n_negative = len(truth) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    _, group, counts = np.unique(score, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    wins = mean_rank[group][positive].sum() - n_positive * (n_positive + 1) / 2
    return float(wins / (n_positive * n_negative))


def determination(truth: Array, predicted: Array) -> float:
    """R² = 1 − Σ(y − ŷ)²/Σ(y − ȳ)²; NaN where all y are the same.

    Examples
    --------
    >>> determination(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]))
    0.5
    """
    spread = float(((truth - truth.mean()) ** 2).sum())
    rest = float(((truth - predicted) ** 2).sum())
    return 1 - rest / spread if spread > 0 else float("nan")
