"""The transpose of the edges that the reverse walk pulls over."""

from __future__ import annotations

import numpy as np

from dagnet.adjacency import Rows, narrowest, offsets, ranges, rows_by, stable_order
from dagnet.arrays import Array
from dagnet.plan.frozen import AGGREGATE, DENSE, KINDS, LAYER, THIN, PlanData, Step

_OTHERWISE = np.isin(np.arange(max(KINDS) + 1), (DENSE, AGGREGATE, LAYER, THIN))
"""By kind, the steps whose edges are no part of the transpose."""


def slot_targets(indptr: Array) -> Array:
    """(weights,) the unit that each weight leads into."""
    n = len(indptr) - 1
    return np.arange(n, dtype=narrowest(n)).repeat(indptr[1:] - indptr[:-1])


def first_learned(counts: Array, begin: int) -> Array:
    """(units,) the first slot of what each unit learns, unit after unit from ``begin`` on; −1 for none."""
    result: Array = np.where(counts > 0, begin + offsets(counts)[:-1], -1)
    return result


def slot_units(plan: PlanData) -> Array:
    """(slots,) the unit that each weight leads into, or that a bias or what is learned belongs to."""
    units = np.zeros(plan.n_slots, narrowest(plan.n_units))
    units[: plan.n_weights] = slot_targets(plan.indptr)
    biased = (plan.bias_slot >= 0).nonzero()[0]
    units[plan.bias_slot[biased]] = biased
    if plan.learned_slot is not None:
        learning = np.flatnonzero(plan.learned_slot >= 0)
        counts = plan.learned_counts()[learning]
        first = plan.learned_slot[learning]
        units[ranges(first, first + counts)] = np.repeat(learning, counts)
    return units


def acting_units(plan: PlanData, slots: Array) -> Array:
    """(units,) mask of those that have one of the slots in a mask."""
    if np.count_nonzero(slots) < plan.n_slots:
        mask = np.zeros(plan.n_units, bool)
        mask[slot_units(plan)[slots]] = True
        return mask
    mask = (plan.bias_slot >= 0) | (plan.indptr[1:] > plan.indptr[:-1])
    return mask if plan.learned_slot is None else mask | (plan.learned_slot >= 0)


def dependencies(plan: PlanData) -> tuple[Array, Array]:
    """``(sources, targets)``: pairs of a unit and one that reads it, LAYER steps' mates among them."""
    sources, targets = [plan.sources], [slot_targets(plan.indptr)]
    for row in plan.steps[plan.steps["kind"] == LAYER].tolist():
        step = Step._make(row)
        mates = plan.sources[step.slots].reshape(-1, step.source)
        sources.append(np.repeat(mates, step.source, axis=0).ravel())
        targets.append(np.repeat(np.arange(step.target, step.target + step.n_target), step.source))
    return np.concatenate(sources), np.concatenate(targets)


def readers(plan: PlanData) -> Rows:
    """The units that read each unit."""
    return rows_by(*dependencies(plan), plan.n_units)


def read_by(plan: PlanData) -> Rows:
    """The units that each unit reads."""
    if not (plan.steps["kind"] == LAYER).any():
        return Rows(plan.indptr, plan.sources, np.zeros(0, np.int64))
    return rows_by(*dependencies(plan)[::-1], plan.n_units)


def pull_rows(
    steps: Array, indptr: Array, sources: Array, needs_delta: Array, needs_gradient: Array
) -> tuple[Array, Array, Array]:
    """``(indptr_out, targets, slots_out)``: for each unit, the sparse edges to walk back over.

    An edge is walked where its child's δ is known and either its parent's δ or its own
    derivative is wanted.
    """
    n, degrees = len(indptr) - 1, indptr[1:] - indptr[:-1]
    walked = needs_delta.repeat(degrees)
    if np.count_nonzero(needs_gradient) < len(needs_gradient):
        walked &= needs_delta[sources] | needs_gradient[: len(sources)]
    for step in map(steps.__getitem__, _OTHERWISE[steps["kind"]].nonzero()[0].tolist()):
        walked[indptr[step["target"]] : indptr[step["target"] + step["n_target"]]] = False
    every = np.count_nonzero(walked) == len(walked)
    some = None if every else walked.nonzero()[0].astype(narrowest(len(sources)))
    sources = sources if some is None else sources[some]
    indptr_out, slots = offsets(np.bincount(sources, minlength=n)), stable_order(sources, n)
    slots = slots if some is None else some[slots]
    children = slot_targets(indptr)[slots].astype(sources.dtype, copy=False)
    return indptr_out, children, slots
