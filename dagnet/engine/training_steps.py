"""Dropout and normalisations, by moments of the batch or of the units of a node, in NumPy.

``values`` and ``deltas``, a and δ of all units, are arrays (units, rows), or give the rows of some units for
an index, as arrays do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Draw, Normalization
from dagnet.hashing import kept
from dagnet.plan import LAYER, Plan, Step

PORTION = 2**20
"""Terms and rows whose masks are held at once."""


def drop(plan: Plan, step: Step, draw: Draw, values: Array) -> tuple[Array, Array]:
    """Values (all units, rows) of a DROP step times 0 or 1 / (1 − rate), in place.

    Returns what they were, and what they were multiplied by.
    """
    rate, before = float(plan.rates[step.what]), values[step.targets].copy()
    numbers = np.zeros(0) if plan.unit_numbers is None else plan.unit_numbers
    mask = kept(draw.key, numbers[step.targets], before.shape[1], rate, draw.first)
    factor = np.where(mask, values.dtype.type(1 / (1 - rate)), values.dtype.type(0))
    values[step.targets] = np.where(mask, before * factor, 0)
    return before, factor


def standardized(plan: Plan, step: Step, draw: Draw, values: Any) -> tuple[Array, Array]:
    """x̂ of a NORMALISE or LAYER step's sources, (units, rows), and 1 / √(variance + eps), (units, 1 or rows).

    The moments of rows, in double precision, are written to the draw.
    """
    a = values[plan.sources[step.slots]]
    if step.kind == LAYER:
        return over_units(a, step.source, plan.normalizations[step.what].eps)
    p = draw.weights
    mean = draw.summed((a * p).sum(axis=1, dtype=np.float64))[:, None]
    variance = draw.summed(((a - mean) ** 2 * p).sum(axis=1, dtype=np.float64))[:, None]
    draw.mean[step.targets], draw.variance[step.targets] = mean[:, 0], variance[:, 0]
    inverse = 1 / np.sqrt(variance + plan.normalizations[step.what].eps)
    return ((a - mean) * inverse).astype(a.dtype), inverse.astype(a.dtype)


def through_moments(
    plan: Plan, step: Step, draw: Draw, theta: Array, values: Any, deltas: Any, into: Array
) -> Array:
    """∂L/∂a of the sources of such a step, (units, rows); ∂L/∂scale is written to ``into``.

    ∂x̂ᵣ/∂aₛ = (1[r = s] − pₛ (1 + x̂ᵣ x̂ₛ)) / √(variance + eps), p the rows' shares in the moments.
    """
    delta = deltas[step.targets]
    x, inverse = standardized(plan, step, draw, values)
    into[step.slots] = (delta * x).sum(axis=1)
    if step.kind == LAYER:
        a, kind = values[plan.sources[step.slots]], plan.normalizations[step.what]
        return through_layer(kind, a, theta[step.slots, None] * delta, step.source)
    sums = draw.summed(np.stack([delta.sum(axis=1), into[step.slots]]))[:, :, None]
    result: Array = theta[step.slots, None] * inverse * (delta - draw.weights * (sums[0] + x * sums[1]))
    return result


def over_units(a: Array, width: int, eps: float) -> tuple[Array, Array]:
    """x̂ over each ``width`` units in a row, and 1 / √(variance + eps), (units, rows) each."""
    nodes = a.astype(np.float64).reshape(-1, width, a.shape[1])
    away = nodes - nodes.mean(axis=1, keepdims=True)
    inverse = 1 / np.sqrt((away**2).mean(axis=1, keepdims=True) + eps)
    x = (away * inverse).reshape(a.shape).astype(a.dtype)
    return x, np.repeat(inverse[:, 0], width, axis=0).astype(a.dtype)


def through_units(pull: Array, x: Array, inverse: Array, width: int) -> Array:
    """∂L/∂a from ``pull`` = ∂L/∂x̂: ∂x̂ᵢ/∂aⱼ = (1[i = j] − (1 + x̂ᵢ x̂ⱼ) / width) / √(variance + eps)."""
    nodes, own = (array.reshape(-1, width, x.shape[1]) for array in (pull, x))
    plain, along = (part.mean(axis=1, keepdims=True) for part in (nodes, nodes * own))
    return inverse * (nodes - plain - own * along).reshape(x.shape)


def through_layer(kind: Normalization, a: Array, pull: Array, width: int) -> Array:
    """∂L/∂a of what is normalised over units, from its values and ``pull`` = ∂L/∂x̂."""
    found = [
        w * through_units(pull, *over_units(at, width, kind.eps), width) for w, at in kind.points(a, width)
    ]
    return found[0] if len(found) == 1 else np.sum(found, axis=0)


def _masks(plan: Plan, step: Step, draw: Draw, n_rows: int) -> Iterator[tuple[slice, Array]]:
    """Some rows, and 0 or 1 / (1 − rate) of each term of a THIN step, (terms, rows)."""
    none = np.zeros(plan.n_weights)
    rates = (none if plan.term_dropout is None else plan.term_dropout)[step.slots, None]
    numbers = (none if plan.term_numbers is None else plan.term_numbers)[step.slots]
    size = max(1, PORTION // len(rates))
    for first in range(0, n_rows, size):
        n = min(size, n_rows - first)
        yield slice(first, first + n), kept(draw.key, numbers, n, rates, draw.first + first) / (1 - rates)


def thinned_sums(plan: Plan, step: Step, draw: Draw, theta: Array, values: Any) -> Array:
    """Weighted sums of a THIN step, (units, rows)."""
    sources, place = np.unique(plan.sources[step.slots], return_inverse=True)
    a, starts = values[sources], plan.indptr[step.targets] - step.slot
    sums = np.empty((step.n_target, a.shape[1]), a.dtype)
    for rows, mask in _masks(plan, step, draw, a.shape[1]):
        terms = np.where(mask > 0, theta[step.slots, None] * a[place, rows] * mask, 0)
        sums[:, rows] = np.add.reduceat(terms, starts)
    return sums


def through_thinned(
    plan: Plan, step: Step, draw: Draw, theta: Array, values: Any, deltas: Any, into: Array
) -> tuple[Array, Array]:
    """Its sources, and what it adds to ∂L/∂a of them; ∂L/∂ of its weights is written to ``into``."""
    sources, place = np.unique(plan.sources[step.slots], return_inverse=True)
    a, delta = values[sources], deltas[step.targets]
    back, degrees, found = np.zeros_like(a), np.diff(plan.indptr)[step.targets], into[step.slots]
    found[:] = 0
    for rows, mask in _masks(plan, step, draw, a.shape[1]):
        spread = np.where(mask > 0, np.repeat(delta[:, rows], degrees, axis=0) * mask, 0)
        found += (spread * a[place, rows]).sum(axis=1).astype(into.dtype)
        np.add.at(back[:, rows], place, theta[step.slots, None] * spread)
    return sources, back
