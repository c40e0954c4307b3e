"""The plan as training runs it: moments of the batch in place of running ones, and dropout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

import numpy as np

from dagnet.arrays import Array
from dagnet.plan.frozen import ACTIVATE, DROP, NORMALISE, SPARSE, STEP, THIN, PlanData, Step
from dagnet.plan.transposition import pull_rows, slot_targets

P = TypeVar("P", bound=PlanData)


def training_plan(plan: P, *, normalizes: bool = True) -> P:
    """With NORMALISE, if ``normalizes``, and THIN steps in place of some sparse ones, and with DROP steps.

    NORMALISE, ``what`` a normalisation: of each unit of the range the one source's values over the rows
    as x̂, z = weight · x̂ + bias.  DROP, ``what`` a rate in ``plan.rates``: after the activation of the
    range, or before all else for inputs, values are 0 where the mask says so, else divided by 1 − rate.
    THIN: sums of which each term is dropped by a mask of its own.
    """
    rates, by = plan.rates, np.full(plan.n_units, -1)
    if normalizes and plan.normalized_by is not None:
        by[:] = plan.normalized_by
    if plan.term_dropout is not None:
        by[slot_targets(plan.indptr)[plan.term_dropout > 0]] = -2
    steps = list(_dropped(plan, 0, plan.n_inputs, rates))
    for step in plan.program():
        if step.kind == SPARSE:
            steps += _normalized(plan, step, by)
        elif step.kind == ACTIVATE and plan.dropout is not None:
            for start, stop in _runs(plan.dropout, step.target, step.target + step.n_target):
                steps.append(step._replace(target=start, n_target=stop - start))
                steps += _dropped(plan, start, stop, rates)
        else:
            steps.append(step)
    table = np.array(steps, STEP)
    rows = pull_rows(table, plan.indptr, plan.sources, plan.needs_delta, plan.needs_gradient)
    return replace(plan, steps=table, indptr_out=rows[0], targets=rows[1], slots_out=rows[2])


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
        kind = {-1: SPARSE, -2: THIN}.get(int(by[start]), NORMALISE)
        yield Step(
            kind, max(0, int(by[start])), start, stop - start, 0, slots.stop - slots.start, slots.start
        )
