"""Normalisation by the moments of a batch, unit by unit over the rows of all tiles.

With the moments, scale · x̂ + shift is an edge and a bias like all others: weight scale / σ, bias
shift − mean · scale / σ.  So the kernels of sums serve, and what is here finds these numbers and the
way of δ through the moments.  Each unit's sums are taken in one order, whatever the threads.
"""

# ruff: noqa: ANN001, ANN201 - Numba infers types and takes arguments by position
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.engine.compiled.caching import kernel
from dagnet.engine.compiled.threads import run_parts
from dagnet.plan import NORMALISE, Plan


@kernel
def find_moments(values, layout, units, weights, found):
    """Means and variances (2, units) of some units, the rows weighted.

    Numbers are taken from the first row's, so that their squares do not cancel.
    """
    block, _, stride, lanes, n_rows, part, parts = layout
    zero = values.dtype.type(0)
    for k in range(part, len(units), parts):
        base = units[k] * stride
        origin, total, square = values[base], zero, zero
        for tile in range((n_rows + lanes - 1) // lanes):
            first, here = tile * lanes, base + tile * block
            there = min(lanes, n_rows - first)
            run, share = values[here : here + there], weights[first : first + there]
            for row in range(there):
                away = run[row] - origin
                total += share[row] * away
                square += share[row] * away * away
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
    n_tiles, zero = (n_rows + lanes - 1) // lanes, values.dtype.type(0)
    for k in range(part, len(sources), parts):
        mean, inverse, scale = numbers[0, k], numbers[1, k], numbers[2, k]
        plain, along = zero, zero
        for tile in range(n_tiles):
            there = min(lanes, n_rows - tile * lanes)
            place, other = tile * block + sources[k] * stride, tile * block + targets[k] * stride
            run, delta = values[place : place + there], deltas[other : other + there]
            for row in range(there):
                plain += delta[row]
                along += delta[row] * ((run[row] - mean) * inverse)
        found[k] = along
        for tile in range(n_tiles):
            there = min(lanes, n_rows - tile * lanes)
            place = tile * block + sources[k] * stride
            run, wanted = values[place : place + there], deltas[place : place + lanes]
            share = weights[tile * lanes : tile * lanes + there]
            for row in range(there):
                x = (run[row] - mean) * inverse
                wanted[row] = -scale * share[row] * (plain + x * along)
            for row in range(there, lanes):
                wanted[row] = 0


class Moments:
    """The moments of units ``first`` … ``last`` − 1, each of which normalises one source."""

    def __init__(self, plan: Plan, first: int, last: int) -> None:
        self.units = slice(first, last)
        self.targets, self.slots = np.arange(first, last), plan.indptr[first:last].astype(np.int64)
        self.sources = plan.sources[self.slots].astype(np.int64)
        self.biases = plan.bias_slot[first:last]
        by = np.zeros(0, np.int64) if plan.normalized_by is None else plan.normalized_by[first:last]
        self.eps = np.array([kind.eps for kind in plan.normalizations])[by]
        self.walked = bool(plan.needs_delta[first:last].any())
        self.wanted = plan.needs_gradient[self.slots]

    def forward(self, state: Any, theta: Array, parts: int) -> None:
        """Find the moments of this pass, and write weight and bias into ``theta``."""
        draw, found = state.draw, np.empty((2, len(self.targets)), theta.dtype)
        weights = np.ascontiguousarray(draw.weights, theta.dtype)

        def share(part: int) -> None:
            find_moments(state.values, state.layout(part, parts), self.sources, weights, found)

        run_parts(share, parts)
        draw.mean[self.units], draw.variance[self.units] = found
        inverse = (1 / np.sqrt(found[1] + self.eps)).astype(theta.dtype)
        scale = theta[self.slots] * inverse
        theta[self.slots] = scale
        theta[self.biases] -= found[0] * scale
        state.numbers[self.units.start] = np.stack([found[0], inverse, scale])

    def backward(self, state: Any, parts: int) -> None:
        """Write ∂L/∂a of the sources as far as it comes by way of the moments, and Σδx̂ for later."""
        numbers = state.numbers[self.units.start]
        found, weights = (
            np.empty(len(self.targets), numbers.dtype),
            np.ascontiguousarray(state.draw.weights, numbers.dtype),
        )
        arrays, ends = (state.values, state.deltas), (self.sources, self.targets)

        def share(part: int) -> None:
            through_moments(arrays, state.layout(part, parts), ends, weights, numbers, found)

        run_parts(share, parts)
        state.along[self.units.start] = found

    def collect(self, state: Any, into: Array) -> float:
        """Write ∂L/∂scale in place of that for the weight; the sum of the squares."""
        into[self.slots] = np.where(self.wanted, state.along[self.units.start], 0)
        return float(np.dot(into[self.slots], into[self.slots]))


def normalises(plan: Plan) -> bool:
    """Whether the plan is one for training that has such steps."""
    return bool((plan.steps["kind"] == NORMALISE).any())
