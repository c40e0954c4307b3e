"""How good predictions are: each metric a few lines, ``metric(truth, predicted)``, higher is better.

Truth and predictions are (rows,): numbers, or 0 or 1 and a probability; or (rows, classes): one-hot rows and
class probabilities.  What is defined for one column is the mean over the columns.  NaN where it is
not defined, as where a class is absent or all values are the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dagnet.arrays import Array

Metric = Callable[[Array, Array], float]


def accuracy(truth: Array, predicted: Array) -> float:
    """The share of right answers: 0.5 divides yes from no; with classes the most probable counts.

    Examples
    --------
    >>> accuracy(np.array([0, 1, 1]), np.array([0.2, 0.7, 0.4]))
    0.6666666666666666
    """
    return float(np.mean(np.equal(*_labels(truth, predicted))))


def balanced_accuracy(truth: Array, predicted: Array) -> float:
    """The mean over the classes that there are of the share of them found.

    Examples
    --------
    >>> balanced_accuracy(np.array([0, 1, 1]), np.array([0.2, 0.7, 0.4]))
    0.75
    """
    true, said = _labels(truth, predicted)
    return float(np.mean([(said[true == one] == one).mean() for one in np.unique(true)]))


def f1(truth: Array, predicted: Array) -> float:
    """2·precision·recall / (precision + recall) of class 1, or the mean of those of the classes seen.

    Examples
    --------
    >>> f1(np.array([0, 1, 1]), np.array([0.2, 0.7, 0.4]))
    0.6666666666666666
    """
    true, said = _labels(truth, predicted)
    classes = np.union1d(true, said) if truth.ndim == 2 else [1]
    pairs = [((true == one) & (said == one), (true == one).sum() + (said == one).sum()) for one in classes]
    return float(np.mean([2 * both.sum() / total if total else 0.0 for both, total in pairs]))


def auc(truth: Array, score: Array) -> float:
    """The area under the ROC curve: how often a 1 has a higher score than a 0, ties counting half.

    Mann & Whitney's U over the number of pairs, from the mean ranks of tied scores.

    Examples
    --------
    >>> auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    if truth.ndim == 2:
        return _mean(auc, truth, score)
    positive = truth > 0.5
    n_positive = int(positive.sum())
    n_negative = len(truth) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    wins = ranks(score)[positive].sum() - n_positive * (n_positive + 1) / 2
    return float(wins / (n_positive * n_negative))


def average_precision(truth: Array, score: Array) -> float:
    """Σ (Rₖ − Rₖ₋₁)·Pₖ over the thresholds: precision, weighted by what recall each adds.

    Examples
    --------
    >>> average_precision(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.8333333333333333
    """
    if truth.ndim == 2:
        return _mean(average_precision, truth, score)
    order = np.argsort(-score, kind="stable")
    found = np.cumsum(truth[order] > 0.5)
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))  # of rows with the same score
    if not found[-1]:
        return float("nan")
    return float((np.diff(found[last], prepend=0) / found[-1] * found[last] / (last + 1)).sum())


def r2(truth: Array, predicted: Array) -> float:
    """R² = 1 − Σ(y − ŷ)²/Σ(y − ȳ)².

    Examples
    --------
    >>> r2(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]))
    0.5
    """
    if truth.ndim == 2:
        return _mean(r2, truth, predicted)
    spread = float(((truth - truth.mean()) ** 2).sum())
    rest = float(((truth - predicted) ** 2).sum())
    return 1 - rest / spread if spread > 0 else float("nan")


def pearson(truth: Array, predicted: Array) -> float:
    """Pearson's correlation.

    Examples
    --------
    >>> round(pearson(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 7.0])), 4)
    0.9934
    """
    if truth.ndim == 2:
        return _mean(pearson, truth, predicted)
    one, other = truth - truth.mean(), predicted - predicted.mean()
    size = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / size) if size > 0 else float("nan")


def spearman(truth: Array, predicted: Array) -> float:
    """Spearman's rank correlation, ties at their mean rank.

    Examples
    --------
    >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([1.0, 9.0, 4.0]))
    0.5
    """
    if truth.ndim == 2:
        return _mean(spearman, truth, predicted)
    return pearson(ranks(truth), ranks(predicted))


def concordance(truth: Array, predicted: Array) -> float:
    """Harrell's C: of the pairs whose order is known, how many are predicted in it, ties counting half.

    Truth is (rows,), or (rows, 2) with time and event (1, or 0 where censored) of survival; then
    a higher prediction, a risk, means an earlier event.

    Examples
    --------
    >>> concordance(np.array([1.0, 2.0, 3.0]), np.array([1.0, 9.0, 4.0]))
    0.6666666666666666
    """
    survival = truth.ndim == 2
    time, event = (truth[:, 0], truth[:, 1] > 0.5) if survival else (truth, np.ones(len(truth), bool))
    order = np.lexsort((~event, time))  # of one time those with an event first
    time, event, risk = time[order], event[order], predicted.ravel()[order]
    ranks = np.unique(risk if survival else -risk, return_inverse=True)[1]
    at = np.flatnonzero(event)
    key = np.unique(time, return_inverse=True)[1] * 2 + ~event
    later = np.searchsorted(key, key[at], side="right")  # where those begin that an event comes before
    lower, upper = (_below(ranks, later, ranks[at] + k) for k in (0, 1))
    pairs = int((len(time) - later).sum())
    return float((lower + upper).sum() / (2 * pairs)) if pairs else float("nan")


def _below(values: Array, starts: Array, bounds: Array) -> Array:
    """How many of ``values[start:]`` are below each bound: a wavelet matrix, a bit a round."""
    first, last = starts, np.full_like(starts, len(values))
    found = np.zeros_like(starts)
    for bit in reversed(range(len(values).bit_length())):  # no value or bound is more than their number
        ones = values >> bit & 1
        zeros = np.concatenate([[0], np.cumsum(1 - ones)])
        inside, upper = (zeros[first], zeros[last]), bounds >> bit & 1 == 1
        found += np.where(upper, inside[1] - inside[0], 0)
        first = np.where(upper, zeros[-1] + first - inside[0], inside[0])
        last = np.where(upper, zeros[-1] + last - inside[1], inside[1])
        values = np.concatenate([values[ones == 0], values[ones == 1]])
    return found


def _labels(truth: Array, predicted: Array) -> tuple[Array, Array]:
    if truth.ndim == 2:
        return truth.argmax(axis=1), predicted.argmax(axis=1)
    return (truth > 0.5).astype(int), (predicted > 0.5).astype(int)


def _mean(metric: Metric, truth: Array, predicted: Array) -> float:
    return float(np.mean([metric(*columns) for columns in zip(truth.T, predicted.T, strict=True)]))


def ranks(values: Array) -> Array:
    """From 1 on, ties at their mean rank."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Array = (np.cumsum(counts) - (counts - 1) / 2)[group]
    return ranks


OF_CLASSES: dict[str, Metric] = {
    metric.__name__: metric for metric in (accuracy, balanced_accuracy, auc, average_precision, f1)
}
METRICS: dict[str, Metric] = {
    **OF_CLASSES,
    **{metric.__name__: metric for metric in (r2, pearson, spearman, concordance)},
}
"""By name; of all of them higher is better."""
