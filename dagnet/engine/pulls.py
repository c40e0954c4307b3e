"""∂L/∂a of every unit, which engines do not keep, from the δ of those that read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.engine.training_steps import through_layer
from dagnet.plan import ACTIVATE, AGGREGATE, LAYER, Plan, slopes, slot_targets

PORTION = 2**17
"""Terms and rows that are held at once: they stay in the processor's cache."""


def reading(state: Any) -> Callable[[Array], Array]:
    """(…, rows) values of units in an array of any shape."""
    return lambda units: state.value(units.reshape(-1)).reshape(*units.shape, -1)


def ways(plan: Plan, theta: Array, state: Any, rows: int) -> Iterator[tuple[Array, Array]]:
    """Slots of weights, and ∂z/∂(the value that each reads), (slots, rows or 1), but those of LAYER steps."""
    for step in plan.program():
        if step.kind == AGGREGATE:
            for _, slots, _, slope in slopes(plan, step, theta, reading(state)):
                yield slots.ravel(), (theta[slots, None] * slope).reshape(slots.size, -1)
        elif step.kind not in (ACTIVATE, LAYER):
            size = max(1, PORTION // rows)
            for first in range(step.slots.start, step.slots.stop, size):
                slots = np.arange(first, min(first + size, step.slots.stop))
                yield slots, theta[slots, None]


def pulls(plan: Plan, theta: Array, state: Any, output_gradient: Array) -> Array:
    """(units, rows) from a :class:`dagnet.contracts.State` after a walk back into every unit."""
    found = np.zeros((plan.n_units, len(output_gradient)), theta.dtype)
    found[plan.outputs] = output_gradient.T
    delta, child = state.delta(np.arange(plan.n_units)), slot_targets(plan.indptr)
    for slots, way in ways(plan, theta, state, len(output_gradient)):
        order = np.argsort(plan.sources[slots], kind="stable")
        order = order[plan.sources[slots][order] >= plan.n_inputs]  # of inputs that is their δ
        sources = plan.sources[slots][order]
        if len(starts := np.flatnonzero(np.diff(sources, prepend=-1))):
            terms = way[order] * delta[child[slots[order]]]
            found[sources[starts]] += np.add.reduceat(terms, starts, axis=0)
    for step in plan.program():
        if step.kind == LAYER:
            a, pull = state.value(plan.sources[step.slots]), theta[step.slots, None] * delta[step.targets]
            found[plan.sources[step.slots]] += through_layer(
                plan.normalizations[step.what], a, pull, step.source
            )
    found[: plan.n_inputs] = delta[: plan.n_inputs]
    return found
