"""The transpose of the edges that the reverse walk pulls over."""

from __future__ import annotations

import numpy as np

from dagnet.adjacency import offsets, ranges, rows_by
from dagnet.arrays import Array
from dagnet.plan.frozen import ACTIVATE, SPARSE, PlanData


def slot_targets(indptr: Array) -> Array:
    """(weights,) the unit that each weight leads into."""
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))


def first_learned(counts: Array, begin: int) -> Array:
    """(units,) the first slot of what each unit learns, unit after unit from ``begin`` on; −1 for none."""
    result: Array = np.where(counts > 0, begin + offsets(counts)[:-1], -1)
    return result


def slot_units(plan: PlanData) -> Array:
    """(slots,) the unit that each weight leads into, or that a bias or what is learned belongs to."""
    units = np.zeros(plan.n_slots, np.int64)
    units[: plan.n_weights] = slot_targets(plan.indptr)
    biased = np.flatnonzero(plan.bias_slot >= 0)
    units[plan.bias_slot[biased]] = biased
    if plan.learned_slot is not None:
        learning = np.flatnonzero(plan.learned_slot >= 0)
        counts = plan.learned_counts()[learning]
        first = plan.learned_slot[learning]
        units[ranges(first, first + counts)] = np.repeat(learning, counts)
    return units


def pull_rows(
    steps: Array, indptr: Array, sources: Array, needs_delta: Array, needs_gradient: Array
) -> tuple[Array, Array, Array]:
    """``(indptr_out, targets, slots_out)``: for each unit, the sparse edges to walk back over.

    An edge is walked where its child's δ is known and either its parent's δ or its own
    derivative is wanted.
    """
    n_units = len(indptr) - 1
    child = slot_targets(indptr)
    walked = needs_delta[child] & (needs_delta[sources] | needs_gradient[: len(sources)])
    for step in steps[~np.isin(steps["kind"], (SPARSE, ACTIVATE))]:
        walked[indptr[step["target"]] : indptr[step["target"] + step["n_target"]]] = False
    slots = np.flatnonzero(walked)
    rows = rows_by(sources[slots], child[slots].astype(sources.dtype), n_units)
    return rows.indptr, rows.neighbours, slots[rows.edges]
