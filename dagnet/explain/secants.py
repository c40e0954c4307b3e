"""A plan whose functions have mean slopes for derivatives: those between a row and its baseline.

The second half of the rows are the baselines of the first, so an engine's own reverse walk finds DeepLIFT's
multipliers by the rescale rule (Shrikumar, Greenside and Kundaje, 2017): Δa/Δz in place of g′.  Where
terms or units are not simply added, it is the derivative's average on the straight line between the two:
each then has its share of the change as Aumann and Shapley (1974) deal it out.
"""

from __future__ import annotations

from dataclasses import astuple, replace
from functools import partial
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.builtins import aggregations
from dagnet.contracts import Activation, Aggregation, Normalization
from dagnet.plan import Plan

POINTS = 160
"""At how many points averages are taken that no formula gives."""
FLAT = 1e-4
"""Below this share of the variance a squared change needs no points where it is least."""


def secant_plan(plan: Plan) -> Plan:
    """The same plan with mean slopes."""
    return replace(
        plan,
        activations=tuple(map(_Secant, plan.activations)),
        aggregations=tuple(map(_Mean, plan.aggregations)),
        normalizations=tuple(_Straight(*astuple(kind)) for kind in plan.normalizations),
    )


def line(points: int) -> list[tuple[float, float]]:
    """Weights and places on [0, 1] by Gauss and Legendre: exact for polynomials below degree 2 · points."""
    places, weights = np.polynomial.legendre.leggauss(points)
    return list(zip((weights / 2).tolist(), ((1 + places) / 2).tolist(), strict=True))


def _halves(values: Array) -> tuple[Array, Array]:
    half = values.shape[-1] // 2
    return values[..., :half], values[..., half:]


def _twice(values: Array, dtype: Any) -> Array:
    return np.concatenate([values, values], axis=-1).astype(dtype)


class _Secant(Activation):
    """Δa/Δz; where z hardly changes, g′ in the middle."""

    def __init__(self, base: Activation) -> None:
        vars(self).update(vars(base), base=base)
        vars(self).pop("formulas", None)

    def slope(self, z: Array, a: Array, **learned: Array) -> Array:
        base, (z1, z0), (a1, a0) = vars(self)["base"], _halves(z), _halves(a)
        change, middle = z1 - z0, (z1 + z0) / 2
        near = np.abs(change) <= np.finfo(z.dtype).eps ** (2 / 3) * np.maximum(1, np.abs(middle))
        between = base.slope(middle, base.value(middle, **learned), **learned) if near.any() else 0
        return _twice(np.where(near, between, (a1 - a0) / np.where(near, 1, change)), z.dtype)

    def slope_by(self, name: str, z: Array, **learned: Array) -> Array:
        del name, learned
        return np.zeros_like(z)


class _Mean(Aggregation):
    """The average of ∂aggregation/∂term."""

    def __init__(self, base: Aggregation) -> None:
        vars(self).update(vars(base), base=base, function=partial(base.function))  # no kernel knows it
        vars(self).pop("formulas", None)

    def slope(self, terms: Array, result: Array) -> Array:
        del result
        base, (to, start) = vars(self)["base"], _halves(terms)
        change = to - start
        if base.function in (aggregations.largest, aggregations.smallest):
            sign = 1 if base.function is aggregations.largest else -1
            return _twice(_while_largest(sign * start, sign * change), terms.dtype)
        points = (len(terms) + 1) // 2 if base.function is aggregations.product else POINTS
        slopes = ((w, start + place * change) for w, place in line(points))
        return _twice(sum(w * base.slope(at, base.value(at)) for w, at in slopes), terms.dtype)


def _while_largest(start: Array, change: Array) -> Array:
    """For which part of [0, 1] each of the lines start + α · change, (terms, …), is highest; equals share."""
    low, high, same = np.zeros_like(start), np.ones_like(start), np.zeros_like(start)
    for other in range(len(start)):
        ahead, faster = start - start[other], change - change[other]
        crossing = -ahead / np.where(faster == 0, 1, faster)
        low = np.where(faster > 0, np.maximum(low, crossing), low)
        high = np.where(faster < 0, np.minimum(high, crossing), high)
        high = np.where((faster == 0) & (ahead < 0), -1, high)
        same += (faster == 0) & (ahead == 0)
    return np.maximum(high - low, 0) / same


class _Straight(Normalization):
    """Points on the line, many where the variance over the units is small.

    Variance + eps is A((α − p)² + s²) there; in u, α = p + s sinh u, what is averaged is smooth.
    """

    def points(self, values: Any, width: int) -> list[tuple[Any, Any]]:
        to, start = _halves(values)
        change = to - start
        nodes = (part.reshape(-1, width, part.shape[1]) for part in (start, change))
        away, moved = (part - part.mean(axis=1, keepdims=True) for part in nodes)
        square, least = (moved**2).mean(axis=1), (away**2).mean(axis=1) + self.eps
        flat = square < FLAT * least
        square = np.where(flat, 1, square)
        lowest = -(away * moved).mean(axis=1) / square
        depth = np.sqrt(np.maximum(least / square - lowest**2, self.eps / square))
        first, last = np.arcsinh(-lowest / depth), np.arcsinh((1 - lowest) / depth)
        found = []
        for weight, place in line(POINTS):
            u = first + place * (last - first)
            at = np.where(flat, place, lowest + depth * np.sinh(u))
            dense = weight * np.where(flat, 1, (last - first) * depth * np.cosh(u))
            at, dense = (np.repeat(part, width, axis=0) for part in (at, dense))
            found.append((_twice(dense, values.dtype), _twice(start + at * change, values.dtype)))
        return found
