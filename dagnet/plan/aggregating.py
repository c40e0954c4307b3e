"""What an aggregate step makes of its terms w·a, and its derivatives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.plan.frozen import AGGREGATE, PlanData, Step

Read = Callable[[Array], Array]
"""From units, an array of any shape, to their values, (…, rows)."""


def aggregate_steps(plan: PlanData) -> list[Step]:
    """The steps with an aggregation other than the sum."""
    return [step for step in plan.program() if step.kind == AGGREGATE] if plan.aggregations else []


def term_slots(plan: PlanData, step: Step) -> Iterator[tuple[Array, Array]]:
    """Units with equally many terms, (units,), and the slots of these, (terms, units)."""
    first, degrees = plan.indptr[step.targets], np.diff(plan.indptr)[step.targets]
    for degree in np.unique(degrees).tolist():
        members = np.flatnonzero(degrees == degree)
        yield step.target + members, first[members] + np.arange(degree)[:, None]


def aggregated(plan: PlanData, step: Step, theta: Array, read: Read, rows: int) -> Array:
    """(units, rows) the aggregation of each unit's terms, without its bias."""
    result = np.zeros((step.n_target, rows), theta.dtype)
    for units, slots in term_slots(plan, step):
        terms = theta[slots, None] * read(plan.sources[slots])
        result[units - step.target] = plan.aggregations[step.what].value(terms)
    return result


def slopes(plan: PlanData, step: Step, theta: Array, read: Read) -> Iterator[tuple[Array, Array, Array, Any]]:
    """Units, slots, the values of their sources and ∂aggregation/∂term, (terms, units, rows) both."""
    for units, slots in term_slots(plan, step):
        values = read(plan.sources[slots])
        terms, aggregation = theta[slots, None] * values, plan.aggregations[step.what]
        yield units, slots, values, aggregation.slope(terms, aggregation.value(terms))
