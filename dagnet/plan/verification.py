"""Every invariant of a plan, each a line that says what it checks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dagnet.errors import DagnetError
from dagnet.plan.frozen import ACTIVATE, DENSE, SPARSE, PlanData
from dagnet.plan.transposition import pull_rows, slot_targets, slot_units


def verify_plan(plan: PlanData) -> None:
    """Raise :class:`DagnetError` for the first invariant that does not hold."""
    for holds, sentence in _invariants(plan):
        if not holds:
            raise DagnetError(f"this plan is broken: {sentence} does not hold; please report it")


def _invariants(plan: PlanData) -> Iterator[tuple[bool, str]]:
    n, weights = plan.n_units, plan.n_weights
    yield bool(np.isin(plan.steps["kind"], (DENSE, SPARSE, ACTIVATE)).all()), "known step kinds"
    yield len(plan.indptr) == n + 1, "one row of parents a unit"
    yield plan.indptr[0] == 0 and plan.indptr[-1] == weights, "rows cover all weights"
    yield bool((np.diff(plan.indptr) >= 0).all()), "rows do not overlap"
    yield bool((plan.indptr[: plan.n_inputs + 1] == 0).all()), "inputs have no parents"
    yield bool((plan.bias_slot[: plan.n_inputs] < 0).all()), "inputs have no biases"
    yield bool((plan.sources < slot_targets(plan.indptr)).all()), "parents come before their children"
    yield bool((plan.sources >= 0).all()), "parents exist"
    yield bool(((plan.outputs >= 0) & (plan.outputs < n)).all()), "outputs exist"
    yield len(plan.bias_slot) == n and len(plan.needs_delta) == n, "one entry a unit"
    yield len(plan.needs_gradient) == plan.n_slots, "one entry a slot"
    biases = np.sort(plan.bias_slot[plan.bias_slot >= 0])
    yield bool((biases == np.arange(weights, plan.n_slots)).all()), "biases follow the weights"
    yield plan.tie is None or len(plan.tie) == plan.n_slots, "one parameter a slot"
    walked = plan.needs_delta[slot_units(plan)]
    yield bool(walked[plan.needs_gradient].all()), "wanted derivatives are walked to"
    yield from _step_invariants(plan)
    rows = pull_rows(plan.steps, plan.indptr, plan.sources, plan.needs_delta, plan.needs_gradient)
    same = map(np.array_equal, rows, (plan.indptr_out, plan.targets, plan.slots_out))
    yield all(same), "the transpose is that of the walked edges"


def _step_invariants(plan: PlanData) -> Iterator[tuple[bool, str]]:
    computed = np.arange(plan.n_inputs, plan.n_units)
    for kinds, what in (((DENSE, SPARSE), "summed"), ((ACTIVATE,), "activated")):
        steps = plan.steps[np.isin(plan.steps["kind"], kinds)]
        covered = [np.arange(s["target"], s["target"] + s["n_target"]) for s in steps]
        together = np.concatenate([*covered, np.zeros(0, np.int64)])
        yield np.array_equal(np.sort(together), computed), f"every computed unit is {what} once"
    summed = np.full(plan.n_units, -1)
    ready = np.full(plan.n_units, len(plan.steps))
    ready[: plan.n_inputs] = -1
    for number, step in enumerate(plan.steps):
        targets = slice(step["target"], step["target"] + step["n_target"])
        if step["kind"] == ACTIVATE:
            yield bool((summed[targets] >= 0).all()), "sums come before activations"
            yield 0 <= step["what"] < len(plan.activations), "activations exist"
            ready[targets] = number
            continue
        summed[targets] = number
        slots = slice(plan.indptr[targets.start], plan.indptr[targets.stop])
        yield step["slot"] == slots.start, "a step starts at its first weight"
        yield bool((ready[plan.sources[slots]] < number).all()), "a step reads values that are ready"
        if step["kind"] == DENSE:
            wanted = np.tile(plan.step_source_units(step), step["n_target"])
            yield np.array_equal(plan.sources[slots], wanted), "a dense step's units have the same parents"
        else:
            yield step["n_source"] == slots.stop - slots.start, "a sparse step counts its nonzeros"
