"""Survival: Cox's partial likelihood as a loss, and Harrell's concordance.

Targets are two columns an output unit, time and event: 1 where the event was seen at that time, 0
where the row was last seen without it.  The output η is the logarithm of the relative hazard.
"""

from typing import Any

import numpy as np

from dagnet import DataError
from dagnet.scores import concordance as harrell

__all__ = ["concordance", "cox", "cox_gradient", "lacks_event"]


def cox(outputs: Any, targets: Any, ties: str) -> Any:
    """The negative logarithm of Cox's partial likelihood: a row with an event carries its term, others 0.

    ℓᵢ = eᵢ (log Σⱼ exp ηⱼ − ηᵢ), over the rows j at risk, tⱼ ≥ tᵢ.  Of d events at one time each has the
    mean of their d logarithms: ``ties="breslow"`` takes d times Σⱼ exp ηⱼ, ``ties="efron"`` for
    l = 0 … d − 1 that sum less l/d of the sum over the d rows with an event.  So the mean loss of a fit
    times its rows is the negative partial log-likelihood of them, whose optimum has Cox's coefficients.
    A constant added to all η changes nothing: give the output no bias.

    Source: Cox, "Regression models and life-tables", 1972; Breslow, "Covariance analysis of censored
    survival data", 1974; Efron, "The efficiency of Cox's likelihood function for censored data", 1977.

    Examples
    --------
    >>> rows = np.array([[1.0, 1.0], [2.0, 0.0], [3.0, 1.0]])
    >>> cox(np.zeros((3, 1)), rows, "efron")
    array([1.09861229, 0.        , 0.        ])
    """
    return _over_units(outputs, targets, ties, _values).sum(axis=1)


def cox_gradient(outputs: Any, targets: Any, ties: str) -> Any:
    """∂Σℓ/∂η = exp ηᵢ Σₖ 1/Rₖ − eᵢ, over the terms k with row i in their risk set Rₖ.

    An event's own time counts it 1 − l/d in Efron's terms.
    """
    return _over_units(outputs, targets, ties, _slopes)


def lacks_event(targets: Any, *_parameters: Any) -> str:
    """What rows without any event lack."""
    return "" if targets[:, 1::2].any() else "an event"


def _over_units(outputs: Any, targets: Any, ties: str, found: Any) -> Any:
    if targets.shape != (len(outputs), 2 * outputs.shape[1]):
        must = f"two columns, time and event, for each of {outputs.shape[1]} outputs"
        raise DataError(f"cox: targets must be {must}, got shape {targets.shape}")
    result = np.empty_like(outputs)
    for unit, log_hazard in enumerate(outputs.T.astype(np.float64)):
        time, event = targets[:, 2 * unit], targets[:, 2 * unit + 1] == 1.0
        order = np.lexsort((~event, time))  # of one time those with an event first
        result[order, unit] = (
            found(log_hazard[order], time[order], event[order], ties) if event.any() else 0.0
        )
    return result


def _terms(eta: Any, time: Any, event: Any, ties: str) -> tuple[Any, ...]:
    """For rows sorted by time: which event time each row has seen last, and each event time's numbers.

    Those are log R of the rows at risk; of the d events l/d and what R is divided by for it,
    1 − l/d times the events' share of R; the first of each time's events.
    """
    at = np.flatnonzero(event)
    heads = np.flatnonzero(np.diff(time[at], prepend=-1.0))  # places in ``at``; times are 0 or more
    counts = np.diff(heads, append=len(at))
    group = np.repeat(np.arange(len(heads)), counts)
    log_risk = np.logaddexp.accumulate(eta[::-1])[::-1][at[heads]]
    share = (np.arange(len(at)) - heads[group]) / counts[group] if ties == "efron" else np.zeros(len(at))
    log_tied = np.logaddexp.reduceat(eta[at], heads)
    left = 1.0 - share * np.exp(log_tied - log_risk)[group]
    return at, heads, counts, group, log_risk, share, left


def _values(eta: Any, time: Any, event: Any, ties: str) -> Any:
    at, heads, counts, group, log_risk, _, left = _terms(eta, time, event, ties)
    values = np.zeros_like(eta)
    values[at] = (log_risk + np.add.reduceat(np.log(left), heads) / counts)[group] - eta[at]
    return values


def _slopes(eta: Any, time: Any, event: Any, ties: str) -> Any:
    at, heads, _, group, log_risk, share, left = _terms(eta, time, event, ties)
    # Σ 1/Rₖ over the event times up to one's own, as a logarithm: hazards may be any powers of e
    sums = np.logaddexp.accumulate(np.log(np.add.reduceat(1.0 / left, heads)) - log_risk)
    seen = np.searchsorted(time[at[heads]], time, side="right") - 1
    slopes = np.where(seen >= 0, np.exp(eta + sums[seen]), 0.0)
    own = np.add.reduceat(share / left, heads)[group]
    slopes[at] -= 1.0 + own * np.exp(eta[at] - log_risk[group])
    return slopes


def concordance(y: Any, predictions: Any) -> float:
    """Harrell's C: how often, of two rows, the one with the event first has the higher prediction.

    Parameters
    ----------
    y
        (rows, 2) or a frame of two columns: time, and 1 for an event.
    predictions
        (rows,) or (rows, 1): the higher, the sooner, as a Cox network predicts.  lifelines'
        ``concordance_index`` takes predicted times: it gives this for ``-predictions``.

    Two rows are compared where the earlier time is that of an event, or both times are the same and one
    of them has an event.  Equal predictions count half.  NaN where no two rows can be compared.

    Source: Harrell et al., "Evaluating the yield of medical tests", 1982.

    Examples
    --------
    >>> concordance([[1, 1], [2, 0], [3, 1]], [2.0, 2.0, 0.5])
    0.75
    """
    rows, scores = np.asarray(y, float), np.asarray(predictions, float)
    scores = scores[:, 0] if scores.shape == (len(rows), 1) else scores
    if rows.ndim != 2 or rows.shape[1] != 2 or scores.shape != (len(rows),):
        must = "y (rows, 2), time and event, and predictions (rows,)"
        raise DataError(f"concordance: it takes {must}, got shapes {rows.shape} and {scores.shape}")
    if not (np.isfinite(rows).all() and np.isin(rows[:, 1], (0, 1)).all() and not np.isnan(scores).any()):
        raise DataError("concordance: times must be finite, events 0 or 1 and predictions no NaN")
    return harrell(rows, scores)
