"""Normalisation by the moments of a batch, unit by unit over the rows of all tiles, or of a node's units.

With the moments, scale · x̂ + shift is an edge and a bias like all others: weight scale / σ, bias
shift − mean · scale / σ.  So the kernels of sums serve, and what is here finds these numbers and the
way of δ through the moments.  Each unit's sums are taken in one order, whatever the threads.  Over the
units of nodes NumPy normalises.
"""

# ruff: noqa: ANN001, ANN201 - Numba infers types and takes arguments by position
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.engine.compiled.caching import kernel
from dagnet.engine.compiled.segments import LAYER_SEGMENT, MOMENTS_SEGMENT, THIN_SEGMENT, Segment
from dagnet.engine.compiled.sums import delta_sums, moment_sums, write_pulls
from dagnet.engine.compiled.threads import run_parts
from dagnet.engine.training_steps import (
    layer_sums,
    over_units,
    thinned_sums,
    through_layer,
    through_thinned,
)
from dagnet.plan import Plan, Step


@kernel
def find_moments(values, layout, units, weights, found):
    """Means and variances (2, units) of some units, the rows weighted, lanes without a row by 0.

    Numbers are taken from the first row's, so that their squares do not cancel.
    """
    block, _, stride, lanes, n_rows, part, parts = layout
    zero = values.dtype.type(0)
    for k in range(part, len(units), parts):
        base = units[k] * stride
        origin, n_tiles = values[base], (n_rows + lanes - 1) // lanes
        total, square = moment_sums(values, weights, base, block, n_tiles, origin)
        found[0, k] = origin + total
        found[1, k] = max(square - total * total, zero)


@kernel
def through_moments(arrays, layout, ends, weights, numbers, found):
    """∂L/∂a of the sources by way of the moments, and Σδx̂ of each target.

    ``ends``: sources, targets; ``numbers``: (3, units) mean, 1/σ, scale/σ; ``found``: (units,).
    """
    values, deltas = arrays
    sources, targets = ends
    block, _, stride, lanes, n_rows, part, parts = layout
    n_tiles = (n_rows + lanes - 1) // lanes
    for k in range(part, len(sources), parts):
        mean, inverse, scale = numbers[0, k], numbers[1, k], numbers[2, k]
        starts = sources[k] * stride, targets[k] * stride
        plain, along = delta_sums(values, deltas, starts, block, n_tiles, mean)
        found[k] = along * inverse
        pulls = mean, -scale * plain, -scale * found[k] * inverse
        write_pulls((values, deltas, weights), starts[0], block, n_tiles, pulls)


class Moments:
    """The moments of units ``first`` … ``last`` − 1, each of which normalises one source."""

    def __init__(self, plan: Plan, first: int, last: int) -> None:
        self.units = slice(first, last)
        self.targets = np.arange(first, last)
        self.slots = slice(int(plan.indptr[first]), int(plan.indptr[last]))  # one of each unit
        self.sources = plan.sources[self.slots].astype(np.int64)
        self.biases = slice(int(plan.bias_slot[first]), int(plan.bias_slot[last - 1]) + 1)
        by = np.zeros(0, np.int64) if plan.normalized_by is None else plan.normalized_by[first:last]
        self.eps = np.array([kind.eps for kind in plan.normalizations])[by]
        self.walked = bool(plan.needs_delta[first:last].any())
        self.wanted = plan.needs_gradient[self.slots]

    def forward(self, state: Any, theta: Array, parts: int) -> None:
        """Find the moments of this pass, and write weight and bias into ``theta``."""
        draw, found = state.draw, np.empty((2, len(self.targets)), theta.dtype)
        if state.shares is None or len(state.shares) < state.n_tiles * state.tile:
            state.shares = np.zeros(state.n_tiles * state.tile, theta.dtype)
        weights = state.shares
        weights[: len(draw.weights)], weights[len(draw.weights) :] = draw.weights, 0

        def share(part: int) -> None:
            find_moments(state.values, state.layout(part, parts), self.sources, weights, found)

        run_parts(share, parts)
        draw.mean[self.units], draw.variance[self.units] = found
        inverse = (1 / np.sqrt(found[1] + self.eps)).astype(theta.dtype)
        scale = theta[self.slots] * inverse
        theta[self.slots] = scale
        theta[self.biases] -= found[0] * scale
        state.numbers[self.units.start] = np.array([found[0], inverse, scale])

    def backward(self, state: Any, _theta: Array, parts: int) -> None:
        """Write ∂L/∂a of the sources as far as it comes by way of the moments, and Σδx̂ for later."""
        numbers = state.numbers[self.units.start]
        found = np.empty(len(self.targets), numbers.dtype)
        arrays, ends = (state.values, state.deltas), (self.sources, self.targets)

        def share(part: int) -> None:
            through_moments(arrays, state.layout(part, parts), ends, state.shares, numbers, found)

        run_parts(share, parts)
        state.along[self.units.start] = found

    def collect(self, state: Any, into: Array) -> float:
        """Write ∂L/∂scale in place of that for the weight; the sum of the squares."""
        into[self.slots] = np.where(self.wanted, state.along[self.units.start], 0)
        return float(np.dot(into[self.slots], into[self.slots]))


class Layers:
    """A LAYER step, through NumPy; called as :class:`Moments`."""

    def __init__(self, plan: Plan, step: Step) -> None:
        self.plan, self.step = plan, step
        self.sources, self.targets = plan.sources[step.slots], np.arange(step.n_target) + step.target
        self.wanted = plan.needs_gradient[step.slots]

    def forward(self, state: Any, theta: Array, _parts: int) -> None:
        """Write z of the targets."""
        values = state.rows(state.values, self.sources)
        state.put(state.values, self.targets, layer_sums(self.plan, self.step, theta, values))

    def backward(self, state: Any, theta: Array, _parts: int) -> None:
        """Write ∂L/∂a of the sources, which nothing else reads, and Σδx̂ for later."""
        kind, width = self.plan.normalizations[self.step.what], self.step.source
        a, delta = state.rows(state.values, self.sources), state.rows(state.deltas, self.targets)
        state.along[self.step.target] = (delta * over_units(a, width, kind.eps)[0]).sum(axis=1)
        pull = theta[self.step.slots, None] * delta
        state.put(state.deltas, self.sources, through_layer(kind, a, pull, width))

    def collect(self, state: Any, into: Array) -> float:
        """Write ∂L/∂scale; the sum of the squares."""
        into[self.step.slots] = np.where(self.wanted, state.along[self.step.target], 0)
        return float(np.dot(into[self.step.slots], into[self.step.slots]))


class Thinned(Layers):
    """A THIN step, through NumPy."""

    def __init__(self, plan: Plan, step: Step) -> None:
        super().__init__(plan, step)
        self.sources, self.place = np.unique(self.sources, return_inverse=True)
        self.biases = plan.bias_slot[self.targets]

    def forward(self, state: Any, theta: Array, _parts: int) -> None:
        """Write z of the targets."""
        a = state.rows(state.values, self.sources)
        z = thinned_sums(self.plan, self.step, state.draw, theta, a, self.place)
        z += np.where(self.biases < 0, 0, theta[self.biases])[:, None]
        state.put(state.values, self.targets, z)

    def backward(self, state: Any, theta: Array, _parts: int) -> None:
        """Add to ∂L/∂a of the sources, and write that of the weights for later."""
        a, delta = (state.rows(*of) for of in ((state.values, self.sources), (state.deltas, self.targets)))
        state.along[self.step.target] = into = np.empty(self.step.n_source, theta.dtype)
        back = through_thinned(self.plan, self.step, state.draw, theta, a, self.place, delta, into)
        state.put(state.deltas, self.sources, state.rows(state.deltas, self.sources) + back)


def between_sweeps(plan: Plan, segments: list[Segment]) -> dict[int, Moments | Layers]:
    """What runs segments that are neither sweeps nor matrix products, by their first unit."""
    steps, found = plan.program(), dict[int, Moments | Layers]()
    for segment in segments:
        if segment.kind == MOMENTS_SEGMENT:
            found[segment.first] = Moments(plan, segment.first, segment.last)
        elif segment.kind == LAYER_SEGMENT:
            found[segment.first] = Layers(plan, steps[segment.begin])
        elif segment.kind == THIN_SEGMENT:
            found[segment.first] = Thinned(plan, steps[segment.begin])
    return found
