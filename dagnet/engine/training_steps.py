"""What only training does, in NumPy: dropout, and normalisation by the moments of the batch."""

from __future__ import annotations

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Draw
from dagnet.hashing import kept
from dagnet.plan import Plan, Step


def drop(plan: Plan, step: Step, key: int, values: Array) -> tuple[Array, Array]:
    """Values (all units, rows) of a DROP step times 0 or 1 / (1 − rate), in place.

    Returns what they were, and what they were multiplied by.
    """
    rate, before = float(plan.rates[step.what]), values[step.targets].copy()
    numbers = np.zeros(0) if plan.unit_numbers is None else plan.unit_numbers
    mask = kept(key, numbers[step.targets], before.shape[1], rate)
    factor = np.where(mask, values.dtype.type(1 / (1 - rate)), values.dtype.type(0))
    values[step.targets] = np.where(mask, before * factor, 0)
    return before, factor


def standardized(plan: Plan, step: Step, draw: Draw, values: Array) -> tuple[Array, Array]:
    """x̂ of a NORMALISE step's sources, (units, rows), and 1 / √(variance + eps), (units, 1).

    The moments, in double precision, are written to the draw.
    """
    a, p = values[plan.sources[step.slots]], draw.weights
    mean = (a * p).sum(axis=1, dtype=np.float64)[:, None]
    variance = ((a - mean) ** 2 * p).sum(axis=1, dtype=np.float64)[:, None]
    draw.mean[step.targets], draw.variance[step.targets] = mean[:, 0], variance[:, 0]
    inverse = 1 / np.sqrt(variance + plan.normalizations[step.what].eps)
    return ((a - mean) * inverse).astype(values.dtype), inverse.astype(values.dtype)


def through_moments(
    plan: Plan, step: Step, draw: Draw, theta: Array, values: Array, deltas: Array, into: Array
) -> Array:
    """What a NORMALISE step adds to ∂L/∂a of its sources, (units, rows); ∂L/∂scale is written to ``into``.

    ∂x̂ᵣ/∂aₛ = (1[r = s] − pₛ (1 + x̂ᵣ x̂ₛ)) / √(variance + eps), p the rows' shares in the moments.
    """
    delta = deltas[step.targets]
    x, inverse = standardized(plan, step, draw, values)
    into[step.slots] = (delta * x).sum(axis=1)
    sums = delta.sum(axis=1, keepdims=True), into[step.slots, None]
    result: Array = theta[step.slots, None] * inverse * (delta - draw.weights * (sums[0] + x * sums[1]))
    return result
