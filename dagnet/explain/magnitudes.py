"""How far an engine's numbers are from right ones, and what is right of activations.

A z is known to its rounding only; so three are looked at, (3, rows, units).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dagnet.arrays import Array
from dagnet.plan import ACTIVATE, Plan

TOLERANCES = {"float64": 1e-12, "float32": 1e-5}


def around(z: Array, reach: Array) -> Array:
    """z, z − reach and z + reach, (3, rows, units)."""
    places: Array = z + np.multiply.outer((0.0, -1.0, 1.0), reach)[:, None]
    return places


def activated(plan: Plan, places: Array, theta: Array, dtype: Any) -> tuple[Array, Array]:
    """For each of some z its g and g′, (3, rows, units), rounded to the dtype.

    Of inputs z and 1.
    """
    values, slopes = places.copy(), np.ones_like(places)
    for step in plan.program():
        if step.kind == ACTIVATE:
            activation, units = plan.activations[step.what], (..., step.targets)
            learned = _along(plan.learned(step, theta))
            values[units] = activation.value(places[units], **learned)
            slopes[units] = activation.slope(places[units], values[units], **learned)
    return values.astype(dtype).astype(np.float64), slopes.astype(dtype).astype(np.float64)


class Sums(NamedTuple):
    """Of the sums that are derivatives for what activations learn, (slots,) each, 0 of others.

    The lowest and highest that are right, how large the terms are, and how much is inherited.
    """

    low: Array
    high: Array
    size: Array
    inherited: Array


def by_learned(plan: Plan, places: Array, theta: Array, pulled: Array, off: Array) -> Sums:
    """∂L/∂p = Σ over rows of ∂L/∂a · ∂g/∂p, of ``pulled`` ∂L/∂a, each (rows, units) ``off`` by so much."""
    found = Sums(*np.zeros((4, plan.n_slots)))
    for step in plan.program():
        for name, slots in plan.learned_slots(step).items() if step.kind == ACTIVATE else ():
            units, learned = step.targets, _along(plan.learned(step, theta))
            by = plan.activations[step.what].slope_by(name, places[..., units], **learned)
            terms = pulled[:, units] * by
            found.low[slots], found.high[slots] = terms.min(axis=0).sum(axis=0), terms.max(axis=0).sum(axis=0)
            found.size[slots] = np.linalg.norm(pulled[:, units], axis=0) * np.linalg.norm(by[0], axis=0)
            found.inherited[slots] = len(pulled) * off[units] * largest(by[0])
    return found


def _along(learned: dict[str, Array]) -> dict[str, Array]:
    """From (units, 1) to (units,): here units are the last axis."""
    return {name: numbers[:, 0] for name, numbers in learned.items()}


def nearest(ours: Array, right: Array) -> Array:
    """What is nearest to ours between the lowest and the highest of three right numbers."""
    between = np.clip(ours, np.fmin.reduce(right), np.fmax.reduce(right))
    return np.where(np.isnan(ours), right[0], between)


def apart(ours: Array, right: Array) -> Array:
    """(units,) the largest |ours − right| over rows; 0 where both are NaN, inf where one is."""
    right = right.astype(ours.dtype)
    apart = np.abs(ours.astype(np.float64) - right)
    apart[(ours == right) | (np.isnan(ours) & np.isnan(right))] = 0
    return np.where(np.isnan(apart), np.inf, apart).max(axis=0)


def relative(error: Array, size: Array, inherited: Array | float, dtype: Any) -> Array:
    """``(error − 2 · inherited) / size``, at least 0; the 2 leaves room for second-order effects."""
    floor = np.finfo(dtype).tiny / TOLERANCES[np.dtype(dtype).name]  # less is denormal numbers' doing
    own = np.nan_to_num(error - 2 * np.nan_to_num(inherited, posinf=np.inf), posinf=np.inf)
    return np.maximum(own, 0) / np.maximum(np.nan_to_num(size, posinf=0), floor)


def finite(values: Array) -> Array:
    """In double precision, 0 where they are not finite."""
    return np.where(np.isfinite(values), values, 0).astype(np.float64)


def largest(values: Array) -> Array:
    """(units,) the largest finite magnitude over rows."""
    return np.abs(finite(values)).max(axis=0)
