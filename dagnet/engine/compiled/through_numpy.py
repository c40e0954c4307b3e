"""Aggregations that no kernel has, through NumPy between sweeps."""

from __future__ import annotations

from functools import partial

import numpy as np

from dagnet.arrays import Array
from dagnet.engine.compiled.segments import Segment
from dagnet.engine.compiled.state import CompiledState
from dagnet.plan.aggregating import aggregated, slopes


def _values(state: CompiledState, units: Array) -> Array:
    """(…, rows) of units in an array of any shape."""
    return state.rows(state.values, units.reshape(-1)).reshape(*units.shape, -1)


def aggregate(state: CompiledState, theta: Array, segment: Segment) -> None:
    """Z of a segment's units."""
    plan, units = state.program.plan, slice(segment.first, segment.last)
    z = aggregated(plan, plan.program()[segment.begin], theta, partial(_values, state), state.n_rows)
    slots = plan.bias_slot[units]
    state.put(state.values, units, z + np.where(slots >= 0, theta[slots], 0)[:, None])


def push_back(state: CompiledState, theta: Array, segment: Segment, into: Array) -> None:
    """Derivatives of the weights, and ∂L/∂a of the sources."""
    plan = state.program.plan
    step = plan.program()[segment.begin]
    into[step.slots] = 0
    if not plan.needs_delta[step.targets].any():
        return
    for units, slots, values, slope in slopes(plan, step, theta, partial(_values, state)):
        of_terms = slope * state.rows(state.deltas, units)
        into[slots] = (of_terms * values).sum(axis=-1)
        sources, places = np.unique(plan.sources[slots], return_inverse=True)
        pulled = state.rows(state.deltas, sources)
        np.add.at(pulled, places.reshape(slots.shape), theta[slots, None] * of_terms)
        state.put(state.deltas, sources, pulled)
