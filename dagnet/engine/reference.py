"""The reference engine: the textbook's equations in NumPy.  It is the specification.

Forward, in topological order:   z = W a + b,   a = g(z);   of other aggregations z = A(w₁ a₁, w₂ a₂, …) + b.
Backward, in the reverse order:  ∂L/∂a = Σ over children of wᵀ δ (+ ∂L/∂output),
δ = ∂L/∂a · g'(z),   ∂L/∂W = δ aᵀ,   ∂L/∂b = Σ over rows of δ;   with δ · ∂A/∂(w a) for δ in a term's own;
∂L/∂p = Σ over rows of ∂L/∂a · ∂g/∂p, of what activations learn.

Where another engine differs from this one, this one is right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Draw, Engine, Optimizer, Runner, State
from dagnet.engine.training_steps import drop, standardized, thinned_sums, through_moments, through_thinned
from dagnet.hookspecs import hookimpl
from dagnet.plan import (
    ACTIVATE,
    AGGREGATE,
    DENSE,
    DROP,
    LAYER,
    NORMALISE,
    THIN,
    Plan,
    Step,
    aggregated,
    slopes,
)


@dataclass(eq=False)
class _State(State):
    """Pre-activations, values, δ: (units, rows) each."""

    plan: Plan
    z: Array
    a: Array
    d: Array
    draw: Draw
    dropped: dict[int, tuple[Array, Array]] = field(default_factory=dict)
    """By the first unit of a DROP step: the values before, and what they were multiplied by."""

    @property
    def outputs(self) -> Array:
        return self.a[self.plan.outputs].T.copy()

    def value(self, units: Array) -> Array:
        return self.a[units].copy()

    def pre_activation(self, units: Array) -> Array:
        return self.z[units].copy()

    def delta(self, units: Array) -> Array:
        return self.d[units].copy()


@dataclass(eq=False)
class _Runner(Runner):
    plan: Plan
    dtype: Any

    def forward(
        self,
        theta: Array,
        inputs: Array,
        *,
        keep: bool = True,
        reuse: object = None,
        draw: Draw | None = None,
    ) -> _State:
        del keep, reuse  # they only save memory, elsewhere
        plan = self.plan
        z = np.zeros((plan.n_units, len(inputs)), self.dtype)
        a = np.zeros_like(z)
        z[: plan.n_inputs] = a[: plan.n_inputs] = inputs.T
        state = _State(plan, z, a, np.zeros_like(z), draw or Draw(0, np.zeros(0)))
        state.draw.mean, state.draw.variance = np.zeros((2, plan.n_units))
        for step in plan.program():
            if step.kind == ACTIVATE:
                learned = plan.learned(step, theta)
                a[step.targets] = plan.activations[step.what].value(z[step.targets], **learned)
            elif step.kind == DROP:
                state.dropped[step.target] = drop(plan, step, state.draw, a)
            else:
                z[step.targets] = sums(plan, step, theta, a, state.draw)
        return state

    def backward(self, theta: Array, state: _State, output_gradient: Array, *, into: Array) -> None:
        plan, z, a, d = self.plan, state.z, state.a, state.d
        into[:] = 0
        da = np.zeros_like(a)
        da[plan.outputs] = output_gradient.T
        values = a
        if state.dropped:
            values = a.copy()
            for first, (before, _) in state.dropped.items():
                values[first : first + len(before)] = before
        for step in reversed(plan.program()):
            targets = step.targets
            if step.kind == DROP:
                factor = state.dropped[step.target][1]
                da[targets] = np.where(factor == 0, 0, da[targets] * factor)
            elif step.kind == ACTIVATE:
                activation, learned = plan.activations[step.what], plan.learned(step, theta)
                slope = activation.slope(z[targets], values[targets], **learned)
                d[targets] = np.where(plan.needs_delta[targets, None], da[targets] * slope, 0)
                for name, slots in plan.learned_slots(step).items():
                    into[slots] = (da[targets] * activation.slope_by(name, z[targets], **learned)).sum(axis=1)
            elif plan.needs_delta[targets].any():
                walk_back(plan, step, theta, (a, d, da), state.draw, into)
                slots = plan.bias_slot[targets]
                into[slots[slots >= 0]] = d[targets].sum(axis=1)[slots >= 0]
        d[: plan.n_inputs] = np.where(plan.needs_delta[: plan.n_inputs, None], da[: plan.n_inputs], 0)
        into[~plan.needs_gradient] = 0


# -- the equations of steps; of a, δ and ∂L/∂a they read and write the rows of some units ------


def sums(plan: Plan, step: Step, theta: Array, a: Any, draw: Draw) -> Array:
    """Z of a step's units, (units, rows)."""
    slots = plan.bias_slot[step.targets]
    bias = np.zeros((len(slots), 1), theta.dtype)
    bias[slots >= 0, 0] = theta[slots[slots >= 0]]
    if step.kind == DENSE:
        return _matrix(step, theta) @ a[plan.step_sources(step)] + bias
    if step.kind == AGGREGATE:
        return aggregated(plan, step, theta, a.__getitem__, a.shape[1]) + bias
    if step.kind in (NORMALISE, LAYER):
        x, _ = standardized(plan, step, draw, a)
        return theta[step.slots, None] * x + bias
    if step.kind == THIN:
        return thinned_sums(plan, step, draw, theta, a) + bias
    if step.n_source == 0:
        return np.zeros((step.n_target, a.shape[1]), theta.dtype) + bias
    terms = theta[step.slots, None] * a[plan.sources[step.slots]]
    return np.add.reduceat(terms, plan.indptr[step.targets] - step.slot) + bias


def walk_back(plan: Plan, step: Step, theta: Array, found: Any, draw: Draw, into: Array) -> None:
    """From the δ of a step's targets to its weights and to its sources; ``found``: a, δ, ∂L/∂a."""
    a, d, da = found
    if step.kind in (NORMALISE, LAYER):  # which alone read their sources
        da[plan.sources[step.slots]] = through_moments(plan, step, draw, theta, a, d, into)
    elif step.kind == THIN:
        sources, back = through_thinned(plan, step, draw, theta, a, d, into)
        da[sources] += back
    elif step.kind == AGGREGATE:
        for units, slots, values, slope in slopes(plan, step, theta, a.__getitem__):
            of_terms = slope * d[units]
            into[slots] = (of_terms * values).sum(axis=-1)
            _add_at(da, plan.sources[slots], theta[slots, None] * of_terms)
    elif step.kind == DENSE:
        sources, delta = plan.step_sources(step), d[step.targets]
        into[step.slots] = (delta @ a[sources].T).ravel()
        da[sources] += _matrix(step, theta).T @ delta
    else:
        sources = plan.sources[step.slots]
        spread = np.repeat(d[step.targets], np.diff(plan.indptr)[step.targets], axis=0)
        into[step.slots] = (spread * a[sources]).sum(axis=1)
        _add_at(da, sources, theta[step.slots, None] * spread)


def _matrix(step: Step, theta: Array) -> Array:
    return theta[step.slots].reshape(step.n_target, step.n_source)


def _add_at(da: Any, sources: Array, block: Array) -> None:
    """Add (…, rows) to ∂L/∂a of sources, one of which may be there several times."""
    units, places = np.unique(sources, return_inverse=True)
    pulled = da[units]
    np.add.at(pulled, places.reshape(sources.shape), block)
    da[units] = pulled


class ReferenceEngine:
    """NumPy, one step after the other; never the fastest, always there."""

    name = "reference"
    priority = 0

    def unavailable(self) -> str | None:
        """None: NumPy is always there."""
        return None

    def prepare(self, plan: Plan, *, dtype: Any, threads: int) -> _Runner:
        """A runner; NumPy decides about threads."""
        del threads
        return _Runner(plan, np.dtype(dtype))

    def fused_step(self, optimizer: Optimizer, *, dtype: Any, threads: int) -> None:
        """None: the optimizer's own step serves."""
        del optimizer, dtype, threads


@hookimpl
def dagnet_engines() -> Iterable[Engine]:
    """The reference engine."""
    return [ReferenceEngine()]
