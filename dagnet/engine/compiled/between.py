"""What stands between sweeps, for all rows at once: matrix products, moments of a batch, what NumPy runs.

Each is made for a segment; ``forward(state, theta, parts)`` writes values, ``backward(state, theta, into)``
∂L/∂a of the sources, and the derivatives that kernels do not find.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.engine import reference
from dagnet.engine.compiled.moments import find_moments, settle, sum_deltas, through_moments
from dagnet.engine.compiled.segments import (
    ACTIVATE_SEGMENT,
    DENSE_SEGMENT,
    MOMENTS_SEGMENT,
    SWEEP,
    TEXTBOOK_SEGMENT,
    Program,
    Segment,
)
from dagnet.engine.compiled.state import CompiledState, Units
from dagnet.engine.compiled.threads import run_parts
from dagnet.plan import DROP, Step


class Product:
    """A dense step: a matrix product."""

    def __init__(self, _program: Program, segment: Segment) -> None:
        self.segment, self.units = segment, slice(segment.first, segment.last)

    def _matrix(self, vector: Array) -> Array:
        return vector[self.segment.slots].reshape(-1, self.segment.n_source)

    def _sources(self, state: CompiledState) -> Array:
        """What the step reads, (sources, rows)."""
        if self.segment.from_inputs:
            return state.inputs[:, self.segment.sources].T
        return state.matrix(state.values, self.segment.sources)

    def forward(self, state: CompiledState, theta: Array, _parts: int) -> None:
        """Write z without biases, which the sweep behind adds."""
        np.matmul(self._matrix(theta), self._sources(state), out=state.matrix(state.values, self.units))

    def backward(self, state: CompiledState, theta: Array, into: Array) -> None:
        """Write ∂L/∂W; write ∂L/∂a of the sources, or add to it."""
        segment, pulled = self.segment, state.table(state.deltas)[0]
        if not segment.walked:
            if segment.first_write:
                pulled[segment.sources] = 0
            return
        here, sources = state.matrix(state.deltas, self.units), self._sources(state)
        found = self._matrix(into)
        np.matmul(here, sources.T, out=found)
        # ‖δ aᵀ‖ ≤ ‖δ‖ ‖a‖ (Cauchy and Schwarz): far fewer numbers to read, unless units are few
        few = len(here) < state.n_rows
        state.scratch.bound += state.squares(found) if few else state.squares(here) * state.squares(sources)
        if not segment.walks_on:
            return
        if segment.first_write:
            np.matmul(self._matrix(theta).T, here, out=state.matrix(state.deltas, segment.sources))
        else:
            pulled[segment.sources, : state.n_rows] += self._matrix(theta).T @ here


def _step(program: Program, segment: Segment) -> Step:
    return Step._make(program.plan.steps[segment.begin].item())


class Activation:
    """An activation that NumPy runs."""

    def __init__(self, program: Program, segment: Segment) -> None:
        self.plan, self.step = program.plan, _step(program, segment)
        self.kept = program.pre_place[self.step.targets]
        self.keeps_z = bool((self.kept[:1] >= 0).any())
        following = program.steps[segment.end : segment.end + 1]
        self.dropped = float(program.plan.rates[following[0, 1]]) if DROP in following[:, 0] else 0.0

    def forward(self, state: CompiledState, theta: Array, _parts: int) -> None:
        """Write g(z); z is kept where a derivative needs it."""
        a, step = Units(state, state.values), self.step
        z = a[step.targets]
        if self.keeps_z:
            Units(state, state.pre)[self.kept] = z
        a[step.targets] = self.plan.activations[step.what].value(z, **self.plan.learned(step, theta))

    def backward(self, state: CompiledState, theta: Array, _into: Array) -> None:
        """Write δ, and add up the derivatives for biases and for what is learned."""
        plan, units, number = self.plan, self.step.targets, state.dtype.type
        activation, d = plan.activations[self.step.what], Units(state, state.deltas)
        values, learned, asked = Units(state, state.values)[units], plan.learned(self.step, theta), d[units]
        z = Units(state, state.pre)[self.kept] if self.keeps_z else values
        keeps = ~((values == 0) & np.signbit(values)) if self.dropped else True
        if self.dropped:
            values = values * number(1 - self.dropped)

        def pulled(slope: Array) -> Array:
            found = asked * slope
            return np.where(keeps, found * number(1 / (1 - self.dropped)), 0) if self.dropped else found

        sums = state.scratch.bias_gradients[0]
        for name, slots in plan.learned_slots(self.step).items():
            slope = activation.slope_by(name, z, **learned)
            sums[len(sums) - plan.n_slots + slots] += pulled(slope).sum(axis=1)
        slope = activation.slope(z, values, **learned)
        d[units] = delta = np.where(plan.needs_delta[units, None], pulled(slope), number(0))
        sums[units] += delta.sum(axis=1)


class Textbook:
    """A step that no kernel does, by the reference engine's equations."""

    def __init__(self, program: Program, segment: Segment) -> None:
        self.plan, self.step = program.plan, _step(program, segment)
        self.walked = bool(self.plan.needs_delta[self.step.targets].any())

    def forward(self, state: CompiledState, theta: Array, _parts: int) -> None:
        """Write z of the targets."""
        a = Units(state, state.values)
        a[self.step.targets] = reference.sums(self.plan, self.step, theta, a, state.draw)

    def backward(self, state: CompiledState, theta: Array, into: Array) -> None:
        """Write the derivatives of the weights, and ∂L/∂a of the sources, or add to it."""
        if self.walked:
            a, d = Units(state, state.values), Units(state, state.deltas)
            reference.walk_back(self.plan, self.step, theta, (a, d, d), state.draw, into)


class Moments:
    """The moments over rows of units ``first`` … ``last`` − 1, each of which normalises one source."""

    def __init__(self, program: Program, segment: Segment) -> None:
        plan, first, last = program.plan, segment.first, segment.last
        self.units = slice(first, last)
        self.targets = np.arange(first, last)
        self.slots = slice(int(plan.indptr[first]), int(plan.indptr[last]))  # one of each unit
        self.sources = plan.sources[self.slots].astype(np.int64)
        self.first_bias = int(plan.bias_slot[first])
        by = np.zeros(0, np.int64) if plan.normalized_by is None else plan.normalized_by[first:last]
        self.eps = np.array([kind.eps for kind in plan.normalizations])[by]
        starts = program.indptr_out[self.sources].astype(np.int64)  # of the one edge that each source has
        self.places = np.where(starts < program.indptr_out[self.sources + 1], starts, -1)

    def forward(self, state: CompiledState, theta: Array, parts: int) -> None:
        """Find the moments of this pass, and write weight and bias into ``theta``."""
        draw, found = state.draw, np.empty((3, len(self.targets)), theta.dtype)
        weights, part_of_rows = state.shares, 1.0
        if draw.whole is not None:
            part_of_rows = float(draw.weights.sum(dtype=np.float64))
            weights = weights / weights.dtype.type(part_of_rows or 1.0)

        def share(part: int) -> None:
            find_moments(state.values, state.layout(part, parts), self.sources, weights, found)

        run_parts(share, parts)
        if draw.whole is not None:  # (Chan, Golub and LeVeque, 1979)
            mean, variance = found[:2].astype(np.float64)
            found[0] = draw.summed(part_of_rows * mean)
            found[1] = draw.summed(part_of_rows * (variance + (mean - found[0]) ** 2))
        draw.mean[self.units], draw.variance[self.units] = found[:2]
        settle(theta, found, self.eps, (self.sources, self.slots.start, self.first_bias), state.known)

    def backward(self, state: CompiledState, _theta: Array, _into: Array) -> None:
        """Find what comes to the sources by way of the moments, and the derivatives of the scales."""
        scratch, found = state.scratch, np.empty((3, len(self.targets)), state.dtype)
        arrays = state.values, state.deltas, scratch.gradients[0]
        ends = self.sources, self.targets, self.places

        def share(part: int) -> None:
            sum_deltas(arrays, state.layout(part, scratch.parts), ends, state.known, found)

        run_parts(share, scratch.parts)
        if state.draw.whole is not None:
            found[:2] = state.draw.summed(found[:2])
        through_moments(self.sources, state.known, found)


KINDS: dict[int, Any] = {
    SWEEP: lambda *_: None,
    DENSE_SEGMENT: Product,
    ACTIVATE_SEGMENT: Activation,
    MOMENTS_SEGMENT: Moments,
    TEXTBOOK_SEGMENT: Textbook,
}


def between(program: Program) -> list[Any]:
    """For each segment what runs it; None for sweeps."""
    return [KINDS[segment.kind](program, segment) for segment in program.segments]
