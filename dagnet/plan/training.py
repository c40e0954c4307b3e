"""The plan as training runs it: moments of the batch in place of running ones, and dropout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

import numpy as np

from dagnet.arrays import Array
from dagnet.plan.frozen import ACTIVATE, DROP, NORMALISE, SPARSE, STEP, PlanData, Step

P = TypeVar("P", bound=PlanData)


def training_plan(plan: P, *, normalizes: bool = True) -> P:
    """With NORMALISE steps in place of some sparse ones, if ``normalizes``, and with DROP steps.

    NORMALISE, ``what`` a normalisation: of each unit of the range the one source's values over the rows
    as x̂, z = weight · x̂ + bias.  DROP, ``what`` a rate in ``plan.rates``: after the activation of the
    range, or before all else for inputs, values are 0 where the mask says so, else divided by 1 − rate.
    """
    rates = plan.rates
    steps = list(_dropped(plan, 0, plan.n_inputs, rates))
    for step in plan.program():
        by = plan.normalized_by
        if step.kind == SPARSE and normalizes and by is not None:
            steps += _normalized(plan, step, by)
        elif step.kind == ACTIVATE and plan.dropout is not None:
            for start, stop in _runs(plan.dropout, step.target, step.target + step.n_target):
                steps.append(step._replace(target=start, n_target=stop - start))
                steps += _dropped(plan, start, stop, rates)
        else:
            steps.append(step)
    return replace(plan, steps=np.array(steps, STEP))


def _runs(values: Array, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Where equal values stand in a row, from ``first`` to before ``last``."""
    cuts = first + 1 + np.flatnonzero(np.diff(values[first:last]))
    bounds = [first, *cuts.tolist(), last]
    return ((a, b) for a, b in pairwise(bounds) if a < b)


def _dropped(plan: PlanData, first: int, last: int, rates: Array) -> Iterator[Step]:
    if plan.dropout is None:
        return
    for start, stop in _runs(plan.dropout, first, last):
        if plan.dropout[start]:
            yield Step(DROP, int(np.searchsorted(rates, plan.dropout[start])), start, stop - start, 0, 0, 0)


def _normalized(plan: PlanData, step: Step, by: Array) -> Iterator[Step]:
    for start, stop in _runs(by, step.target, step.target + step.n_target):
        slots = slice(int(plan.indptr[start]), int(plan.indptr[stop]))
        kind, what = (SPARSE, 0) if by[start] < 0 else (NORMALISE, int(by[start]))
        yield Step(kind, what, start, stop - start, 0, slots.stop - slots.start, slots.start)
