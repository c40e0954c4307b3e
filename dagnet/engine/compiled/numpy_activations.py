"""Activations that NumPy runs, between sweeps: of all rows at once."""

from __future__ import annotations

import numpy as np

from dagnet.arrays import Array
from dagnet.engine.compiled.segments import Program, Segment
from dagnet.engine.compiled.state import CompiledState
from dagnet.plan import ACTIVATE, DROP, Step


def _step(segment: Segment) -> Step:
    return Step(ACTIVATE, segment.what, segment.first, segment.last - segment.first, 0, 0, 0)


def activate(program: Program, state: CompiledState, segment: Segment) -> None:
    """A = g(z), z kept where a derivative needs it."""
    plan, step = program.plan, _step(segment)
    z = state.rows(state.values, step.targets)
    places = program.pre_place[step.targets]
    if places[0] >= 0:
        state.put(state.pre, places, z)
    learned = plan.learned(step, state.theta)
    state.put(state.values, step.targets, plan.activations[segment.what].value(z, **learned))


def slope(program: Program, state: CompiledState, theta: Array, segment: Segment) -> None:
    """δ, and the derivatives for what is learned."""
    plan, step, number = program.plan, _step(segment), state.dtype.type
    units, activation = step.targets, plan.activations[segment.what]
    values = state.rows(state.values, units)
    places = program.pre_place[units]
    z = state.rows(state.pre, places) if places[0] >= 0 else values
    dropped = _rate_behind(program, segment)
    keeps = ~((values == 0) & np.signbit(values)) if dropped else True
    if dropped:
        values = values * number(1 - dropped)
    learned, asked = plan.learned(step, theta), state.rows(state.deltas, units)

    def pulled(slope: Array) -> Array:
        found = asked * slope
        return np.where(keeps, found * number(1 / (1 - dropped)), 0) if dropped else found

    sums = state.scratch.bias_gradients[0]
    for name, slots in plan.learned_slots(step).items():
        sums[len(sums) - plan.n_slots + slots] += pulled(activation.slope_by(name, z, **learned)).sum(axis=1)
    slopes = activation.slope(z, values, **learned)
    delta = np.where(plan.needs_delta[units, None], pulled(slopes), number(0))
    state.put(state.deltas, units, delta)
    sums[units] += delta.sum(axis=1)


def _rate_behind(program: Program, segment: Segment) -> float:
    """The rate at which the next step drops the values of an activation that NumPy runs; 0 for none."""
    steps = program.steps
    if segment.end == len(steps) or steps[segment.end, 0] != DROP:
        return 0.0
    return float(program.rates[steps[segment.end, 1]])
