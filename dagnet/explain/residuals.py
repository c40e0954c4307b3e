"""How far an engine's own numbers are from the equations that they must obey.

    z = W a + b        δ = ∂L/∂a · g′(z)                    ∂L/∂w = Σ over rows of δ a
    a = g(z)           ∂L/∂a = Σ wᵀ δ + ∂L/∂output          ∂L/∂b = Σ over rows of δ

The right sides are calculated in float64 from the a and δ of the engine itself, so that each
equation speaks of one node: where a node is wrong, those after it are still right by its number.
With Mⱼ, Dₖ the largest |aⱼ|, |δₖ| over rows, Gₖ = max(1, |g′(zₖ)|), Zₖ = Σⱼ |wₖⱼ| Mⱼ + |bₖ| and
Pⱼ = Σₖ |wₖⱼ| Dₖ + |∂L/∂outputⱼ|, a residual is relative to

    z: Z        a: max(M, G · min(1, Z))        δ: G P        ∂L/∂w: ‖δₖ‖ ‖aⱼ‖ over rows

A z is known to its rounding only, so a and δ may be those of any z that is off by no more than its
residual and ``tolerance`` · Z: beside a kink either side is right.  Where an engine calculates
with one number and reports another, that node alone is to blame: the residuals of the a and δ that
an equation reads are taken off its own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dagnet.plan import ACTIVATE, Plan
from dagnet.plan.transposition import slot_targets

__all__ = ["TOLERANCES", "Residuals", "Walk", "loss_residual", "residuals"]

Array = NDArray[Any]
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}


class Walk(NamedTuple):
    """The numbers of a forward and a backward pass, as an engine gives them.

    ``z``, ``a``, ``delta`` are (rows, units); ``inputs`` and ``pull`` = ∂L/∂outputs, which the
    engine was given, (rows, input units) and (rows, output units); ``slots`` the derivatives by slot.
    """

    inputs: Array
    pull: Array
    z: Array
    a: Array
    delta: Array
    slots: Array


class Residuals(NamedTuple):
    """(units,) of z and a, of δ, and of the derivatives for what leads into the unit."""

    forward: Array
    delta: Array
    gradient: Array


@np.errstate(all="ignore")
def residuals(plan: Plan, theta: Array, walk: Walk, gradients: list[Array]) -> Residuals:
    """The relative residuals of a walk over a plan that enters every unit.

    ``gradients`` are what the engine's other calls gave for the same rows, by parameter, NaN where
    they were not asked.
    """
    edges, dtype = _Edges(plan, theta), walk.a.dtype
    z, pulled, slots = edges.right_sides(walk)
    largest_a, largest_delta, pull = _largest(walk.a), _largest(walk.delta), np.zeros(plan.n_units)
    pull[plan.outputs] = _largest(walk.pull)
    size_z = edges.into(largest_a) + edges.bias
    size_z[: plan.n_inputs] = largest_a[: plan.n_inputs]
    off_z = _apart(walk.z, z)

    value, slope = _activated(plan, walk.z, TOLERANCES[dtype.name] * size_z + off_z, dtype)
    off_a = _apart(walk.a, value[0])
    steep = np.maximum(1, _largest(slope[0]))
    size_a = np.maximum(largest_a, steep * np.minimum(1, size_z))
    forward = np.maximum(
        _relative(off_z, size_z, edges.into(off_a), dtype),
        _relative(_apart(walk.a, _nearest(walk.a, value)), size_a, 0, dtype),
    )

    delta = pulled.astype(dtype) * slope
    off_delta = _apart(walk.delta, delta[0])
    size_delta = steep * (edges.out_of(largest_delta) + pull)
    off_nearest = _apart(walk.delta, _nearest(walk.delta, delta))
    delta_error = _relative(off_nearest, size_delta, steep * edges.out_of(off_delta), dtype)

    sizes = edges.by_slot(_norms(walk.delta), _norms(walk.a), 1)
    inherited = edges.by_slot(off_delta, largest_a, 1) + edges.by_slot(largest_delta, off_a, 0)
    rest = inherited * len(walk.a)
    errors = _relative(_apart(walk.slots[None], slots[None]), sizes, rest, dtype)
    for gradient in gradients:
        errors = np.maximum(errors, _by_parameter(plan, gradient, slots, sizes, rest, dtype))
    return Residuals(forward, delta_error, edges.worst_by_unit(errors))


def loss_residual(losses: list[float], right: float, dtype: Any) -> float:
    """How far losses are from the right one, relative to it or to 1."""
    off = _apart(np.array(losses)[:, None], np.full((len(losses), 1), right))
    return float(_relative(off, np.array([max(1.0, abs(right))]), 0, dtype)[0])


def _by_parameter(plan: Plan, gradient: Array, slots: Array, sizes: Array, rest: Array, dtype: Any) -> Array:
    """(slots,) the residual of each slot's parameter; 0 where the gradient was not asked for it."""
    if plan.tie is not None:
        slots, sizes, rest = (np.bincount(plan.tie, each, plan.n_parameters) for each in (slots, sizes, rest))
    given = np.where(np.isnan(gradient) & ~np.isnan(slots), slots, gradient)
    errors = _relative(_apart(given[None], slots[None]), sizes, rest, dtype)
    return errors if plan.tie is None else errors[plan.tie]


class _Edges:
    """Sums over the edges of a plan, in float64."""

    def __init__(self, plan: Plan, theta: Array) -> None:
        self.plan, self.theta = plan, theta.astype(np.float64)
        self.weight = self.theta[: plan.n_weights]
        self.sources, self.targets = plan.sources, slot_targets(plan.indptr)
        self.biased = np.flatnonzero(plan.bias_slot >= 0)
        self.bias_slots = plan.bias_slot[self.biased]
        self.bias = np.zeros(plan.n_units)
        self.bias[self.biased] = np.abs(self.theta[self.bias_slots])

    def right_sides(self, walk: Walk) -> tuple[Array, Array, Array]:
        """W a + b and Σ wᵀ δ + ∂L/∂output, (rows, units), and the derivatives by slot; row by row."""
        plan, sources, targets = self.plan, self.sources, self.targets
        z, pulled = np.zeros((2, *walk.a.shape))
        slots = np.zeros(plan.n_slots)
        for row, (a, delta) in enumerate(zip(walk.a, walk.delta, strict=True)):
            z[row] = np.bincount(targets, self.weight * a[sources], plan.n_units)
            pulled[row] = np.bincount(sources, self.weight * delta[targets], plan.n_units)
            slots[: plan.n_weights] += delta[targets].astype(np.float64) * a[sources]
        z[:, self.biased] += self.theta[self.bias_slots]
        z[:, : plan.n_inputs] = walk.inputs
        pulled[:, plan.outputs] += walk.pull
        slots[self.bias_slots] = walk.delta.sum(axis=0, dtype=np.float64)[self.biased]
        return z, pulled, slots

    def into(self, values: Array) -> Array:
        """Σⱼ |wₖⱼ| vⱼ over the parents of each unit."""
        return self._summed(self.targets, values[self.sources])

    def out_of(self, values: Array) -> Array:
        """Σₖ |wₖⱼ| vₖ over the children of each unit."""
        return self._summed(self.sources, values[self.targets])

    def _summed(self, units: Array, values: Array) -> Array:
        terms = np.nan_to_num(np.abs(self.weight) * values, posinf=np.inf)  # 0 · inf
        return np.bincount(units, terms, self.plan.n_units).astype(np.float64)  # of nothing: int

    def by_slot(self, at_target: Array, at_source: Array, for_bias: float) -> Array:
        """(slots,) the product of a number of the child and one of the parent."""
        products = np.zeros(self.plan.n_slots)
        products[: self.plan.n_weights] = at_target[self.targets] * at_source[self.sources]
        products[self.bias_slots] = at_target[self.biased] * for_bias
        return products

    def worst_by_unit(self, errors: Array) -> Array:
        """(units,) the largest of the numbers, by slot, of what leads into each unit."""
        worst = np.zeros(self.plan.n_units)
        np.maximum.at(worst, self.targets, errors[: self.plan.n_weights])
        np.maximum.at(worst, self.biased, errors[self.bias_slots])
        return worst


def _activated(plan: Plan, z: Array, reach: Array, dtype: Any) -> tuple[Array, Array]:
    """For each of z, z − reach and z + reach its g and g′, (3, rows, units), rounded to the dtype.

    Of inputs z and 1.
    """
    places = z + np.multiply.outer((0.0, -1.0, 1.0), reach)[:, None]
    values, slopes = places.copy(), np.ones_like(places)
    for step in plan.program():
        if step.kind == ACTIVATE:
            activation, units = plan.activations[step.what], (..., step.targets)
            values[units] = activation.value(places[units])
            slopes[units] = activation.slope(places[units], values[units])
    return values.astype(dtype).astype(np.float64), slopes.astype(dtype).astype(np.float64)


def _nearest(ours: Array, right: Array) -> Array:
    """What is nearest to ours between the lowest and the highest of three right numbers."""
    between = np.clip(ours, np.fmin.reduce(right), np.fmax.reduce(right))
    return np.where(np.isnan(ours), right[0], between)


def _apart(ours: Array, right: Array) -> Array:
    """(units,) the largest |ours − right| over rows; 0 where both are NaN, inf where one is."""
    right = right.astype(ours.dtype)
    apart = np.abs(ours.astype(np.float64) - right)
    apart[(ours == right) | (np.isnan(ours) & np.isnan(right))] = 0
    result: Array = np.where(np.isnan(apart), np.inf, apart).max(axis=0)
    return result


def _relative(error: Array, size: Array, inherited: Array | float, dtype: Any) -> Array:
    """``(error − 2 · inherited) / size``, at least 0; the 2 leaves room for second-order effects."""
    floor = np.finfo(dtype).tiny / TOLERANCES[np.dtype(dtype).name]  # less is denormal numbers' doing
    own = np.nan_to_num(error - 2 * np.nan_to_num(inherited, posinf=np.inf), posinf=np.inf)
    result: Array = np.maximum(own, 0) / np.maximum(np.nan_to_num(size, posinf=0), floor)
    return result


def _finite(values: Array) -> Array:
    return np.where(np.isfinite(values), values, 0).astype(np.float64)


def _largest(values: Array) -> Array:
    """(units,) the largest finite magnitude over rows."""
    result: Array = np.abs(_finite(values)).max(axis=0)
    return result


def _norms(values: Array) -> Array:
    """(units,) ‖·‖ over rows, of the finite numbers."""
    result: Array = np.linalg.norm(_finite(values), axis=0)
    return result
