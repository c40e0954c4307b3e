"""Metrics of the heads of a network, and what the classes of their targets weigh."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.errors import DataError, Verbatim, did_you_mean, expected, shorten
from dagnet.model.heads import Objective, is_sum
from dagnet.scores import METRICS, OF_CLASSES, Metric, concordance
from dagnet.topology import Head
from dagnet.values import POSITIVE

CLASSES = {"class", "binary", "probability"}


def checked_metrics(metrics: Any) -> dict[str, Metric]:
    """Metrics by name; a function's is that of its definition."""
    must = f"a list of metrics, each one of {', '.join(METRICS)}, or a function (y_true, y_predicted)"
    if isinstance(metrics, str) or not isinstance(metrics, Iterable):
        raise DataError(expected("metrics", must, metrics))
    found: dict[str, Metric] = {}
    for metric in metrics:
        name = metric if isinstance(metric, str) else getattr(metric, "__name__", type(metric).__name__)
        if metric not in METRICS if isinstance(metric, str) else not callable(metric):
            raise DataError(expected("metrics", must, metric) + did_you_mean(metric, METRICS))
        if name in found:
            raise DataError(f"metrics: two are called {name!r}; name each function otherwise")
        found[name] = METRICS[metric] if isinstance(metric, str) else metric
    return found


@np.errstate(all="ignore")
def scores_of(
    objective: Objective, outputs: Array, targets: Array, metric: Metric, of: str | None = None
) -> dict[str, float]:
    """By the name of a head, of rows with a label.

    Of all heads that learn columns of their own those that such a metric is for, if any; or of one.
    """
    own = [
        one
        for one in objective.each()
        if one[0].name == of or (of is None and one[0].targets == one[0].nodes)
    ]
    if not own:
        names = [head.name for head in objective.heads]
        raise DataError(f"of: there is no head {shorten(of)}{did_you_mean(of, names, listed=8)}")
    kinds = [head.loss.targets in CLASSES for head, _, _ in own]
    wanted = metric in OF_CLASSES.values()
    known = metric in METRICS.values() and wanted in kinds
    fitting = [one for one, kind in zip(own, kinds, strict=True) if not known or kind == wanted]
    if metric in METRICS.values():
        shapes = [(len(units), len(columns)) for _, units, columns in fitting]
        survival = {(1, 2)} if metric is concordance else set()  # a risk with time and event
        same = [one for one, n in zip(fitting, shapes, strict=True) if n[0] == n[1] or n in survival]
        if not same:
            must = "with a column of y for each output unit, for a metric of dagnet's"
            mend = "write a function (y_true, y_predicted)"
            got = Verbatim("{} units, {} columns".format(*shapes[0]))
            raise DataError(expected(f"metric: head {fitting[0][0].name}", must, got, mend))
        fitting = same
    predicted = objective.prediction(outputs).astype(np.float64, copy=False)
    return {
        head.name: float(np.mean(list(_each(head, predicted[:, units], targets[:, columns], metric))))
        for head, units, columns in fitting
    }


def mean_score(scores: Mapping[str, float]) -> float:
    """The mean of the heads' scores that are defined, else NaN."""
    known = [score for score in scores.values() if not np.isnan(score)]
    return float(np.mean(known)) if known else float("nan")


def _each(head: Head, predicted: Array, truth: Array, metric: Metric) -> Iterator[float]:
    """Of a head, or of each of its outputs where its loss is their sum."""
    width = predicted.shape[1]
    single = width == 1 or is_sum(head.loss, width)
    for at in range(width if single else 1):
        t, p = (truth[:, at], predicted[:, at]) if single and truth.shape[1] == width else (truth, predicted)
        there = ~np.isnan(t if t.ndim == 1 else t.sum(axis=1))
        t, p = t[there].astype(np.float64), p[there]
        if metric in OF_CLASSES.values() and not np.isin(t, (0, 1)).all():
            wrong = float(t[~np.isin(t, (0, 1))].flat[0])
            raise DataError(expected(f"metric: y of head {head.name}", "0 or 1, or classes", wrong))
        undefined = not len(t) or (metric in METRICS.values() and np.isnan(p).any())
        yield float("nan") if undefined else _number(metric(t, p))


def _number(score: Any) -> float:
    """A metric's result, or :class:`DataError` for what is no number."""
    if not isinstance(score, (int, float, np.floating, np.integer)):
        raise DataError(expected("metric: its result", "a number", score))
    return float(score)


def class_weights(objective: Objective, targets: Array, weights: Array | None, said: Any) -> Array:
    """The rows' weights times those of their classes, (rows,), or (rows, heads) where they differ."""
    if said != "balanced" and not isinstance(said, Mapping):
        must = "'balanced', or a mapping from class to weight"
        raise DataError(expected("class_weight", must, said))
    own = np.ones(len(targets)) if weights is None else weights
    factors = [_factors(head, targets[:, columns], said) for head, _, columns in objective.each()]
    if all(factor is None for factor in factors):
        raise DataError(expected("class_weight", "for targets that are classes", str(objective)))
    each = np.column_stack([np.ones(len(targets)) if factor is None else factor for factor in factors])
    if len({columns.tobytes() for columns in objective.columns}) == 1 and own.ndim == 1:
        each = each[:, 0]  # that of all heads
    elif own.ndim == 1:
        own = own[:, None]
    return (own * each).astype(targets.dtype)


def _factors(head: Head, targets: Array, said: Any) -> Array | None:
    """(rows,) the weight of each row's class; None where targets are no classes."""
    if head.loss.targets not in CLASSES:
        return None
    there = ~np.isnan(targets).any(axis=1)
    labels = targets.argmax(axis=1) if head.loss.targets == "class" else targets[:, 0]
    if not np.isin(targets[there], (0, 1)).all() or (head.loss.targets != "class" and targets.shape[1] > 1):
        mend = "give each output a loss of its own: loss={…}"
        must = "of one column of 0 and 1, or one-hot"
        raise DataError(expected(f"class_weight: head {head.name}: its targets", must, targets[0], mend))
    names: dict[Any, int] = (
        {name: place for place, name in enumerate(head.nodes)} if len(head.nodes) > 1 else {}
    )
    classes, counts = np.unique(labels[there], return_counts=True)
    result = np.ones(len(targets))
    if said == "balanced":
        given = {one: len(labels[there]) / (len(classes) * n) for one, n in zip(classes, counts, strict=True)}
    else:
        given = {names.get(key, key): POSITIVE.check(f"class_weight[{key!r}]", w) for key, w in said.items()}
    for one in classes.tolist():
        if one not in given:
            raise DataError(f"class_weight: there is no weight for class {one:g} of {head.name}")
        result[labels == one] = given[one]
    return result
