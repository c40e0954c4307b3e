"""How far two engines' numbers are apart, each relative to what it is made of.

Engines add up in different orders and so differ by rounding; what that may amount to depends on
the terms that are added, and on what came in already different.  With Mⱼ, Dₖ the largest |aⱼ|,
|δₖ| over rows, Gₖ = max(1, |g′(zₖ)|), Zₖ = Σⱼ |wₖⱼ| Mⱼ + |bₖ|, Pⱼ = Σₖ |wₖⱼ| Dₖ + |∂L/∂aⱼ|,
and e(·) the largest difference over rows, a number's size and what it inherits are

    z       Zₖ                          Σⱼ |wₖⱼ| e(aⱼ)
    a       max(Mₖ, Gₖ min(1, Zₖ))      Gₖ e(zₖ)
    δ       Gⱼ Pⱼ                       Gⱼ (Σₖ |wₖⱼ| e(δₖ) + e(∂L/∂aⱼ)) + Pⱼ (Gⱼ e(zⱼ) + e(aⱼ))
    ∂L/∂w   ‖δₖ‖ ‖aⱼ‖                   rows · (e(δₖ) Mⱼ + Dₖ e(aⱼ))

and its discrepancy is what e has beyond the inherited, over the size: what a parent or a child
got wrong is not held against a node, so that a node beyond the tolerance is one to look at.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dagnet.model.layout import Layout
from dagnet.plan import Plan
from dagnet.plan.transposition import slot_targets

__all__ = ["TOLERANCES", "Discrepancies", "Trained", "Walk", "discrepancies"]

Array = NDArray[Any]
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}


class Walk(NamedTuple):
    """All numbers of a forward and a backward pass.

    ``z``, ``a``, ``delta`` are (units, rows); ``pull`` = ∂L/∂outputs is (output units, rows);
    ``slots`` are the derivatives by slot.
    """

    z: Array
    a: Array
    delta: Array
    pull: Array
    slots: Array
    loss: float


class Trained(NamedTuple):
    """A loss and its gradient by parameter, (parameters,), NaN where that was not asked for."""

    loss: float
    gradient: Array


class Discrepancies(NamedTuple):
    """(units,) of z, a, δ and of what leads into the unit (``gradient``); of the loss."""

    z: Array
    a: Array
    delta: Array
    gradient: Array
    loss: float


def discrepancies(
    layout: Layout, theta: Array, ours: Walk, theirs: Walk, trained: list[Trained]
) -> Discrepancies:
    """Compare two walks over one plan; the second is right.

    ``trained`` is what else the engine says of the same rows: by ``gradient``, and as ``fit`` asks it.
    """
    plan, weights, dtype = layout.plan, _Weights(layout.plan, theta), ours.a.dtype
    e = _by_unit(plan, [difference(*pair) for pair in _pairs(ours, theirs)])
    m = _by_unit(plan, [_largest(right) for _, right in _pairs(ours, theirs)])
    slope = np.maximum(1, _largest(plan.slopes(theirs.z, theirs.a)))
    size_z = weights.into(m.a) + weights.bias
    size_z[: plan.n_inputs] = m.a[: plan.n_inputs]
    size_a = np.maximum(m.a, slope * np.minimum(1, size_z))
    pulled = weights.out_of(m.delta) + m.pull
    with np.errstate(all="ignore"):
        inherited_a = slope * e.z
        inherited = slope * (weights.out_of(e.delta) + e.pull) + pulled * (slope * e.z + e.a)
        inherited_loss = float((e.a * m.pull).sum()) * ours.a.shape[1]
    losses = np.array([[ours.loss, *(one.loss for one in trained)]])
    off = difference(losses, np.full_like(losses, theirs.loss))
    size_loss = np.array([max(1.0, abs(theirs.loss))])
    return Discrepancies(
        z=relative(e.z, size_z, weights.into(e.a), dtype),
        a=relative(e.a, size_a, inherited_a, dtype),
        delta=relative(e.delta, slope * pulled, inherited, dtype),
        gradient=_gradient(layout, weights, ours, theirs, trained, e, m),
        loss=float(relative(off, size_loss, np.array([inherited_loss]), dtype)[0]),
    )


def difference(ours: Array, theirs: Array) -> Array:
    """(units,) the largest |ours − theirs| over rows; 0 where both are NaN, inf where one is."""
    with np.errstate(all="ignore"):
        apart = np.abs(ours.astype(np.float64) - theirs)
    apart[(ours == theirs) | (np.isnan(ours) & np.isnan(theirs))] = 0
    result: Array = np.where(np.isnan(apart), np.inf, apart).max(axis=1)
    return result


def relative(error: Array, size: Array, inherited: Array, dtype: Any) -> Array:
    """``(error − 2 · inherited) / size``, at least 0; the 2 leaves room for second-order effects."""
    floor = np.finfo(dtype).tiny / TOLERANCES[np.dtype(dtype).name]  # less is denormal numbers' doing
    with np.errstate(all="ignore"):
        own = np.nan_to_num(error - 2 * np.nan_to_num(inherited, posinf=np.inf), posinf=np.inf)
        result: Array = np.maximum(own, 0) / np.maximum(np.nan_to_num(size, posinf=0), floor)
    return result


def _pairs(ours: Walk, theirs: Walk) -> list[tuple[Array, Array]]:
    return [(getattr(ours, name), getattr(theirs, name)) for name in ("z", "a", "delta", "pull")]


class _ByUnit(NamedTuple):
    """(units,) each."""

    z: Array
    a: Array
    delta: Array
    pull: Array


def _by_unit(plan: Plan, numbers: list[Array]) -> _ByUnit:
    pull = np.zeros(plan.n_units)
    pull[plan.outputs] = numbers[3]
    return _ByUnit(numbers[0], numbers[1], numbers[2], pull)


def _largest(values: Array) -> Array:
    """(units,) the largest finite magnitude over rows."""
    return np.where(np.isfinite(values), np.abs(values), 0).max(axis=1).astype(np.float64)


class _Weights:
    """|w| of all edges, and sums of numbers by unit over them."""

    def __init__(self, plan: Plan, theta: Array) -> None:
        size = np.abs(theta.astype(np.float64))
        self.plan, self.size = plan, size[: plan.n_weights]
        self.sources, self.targets = plan.sources, slot_targets(plan.indptr)
        self.biased = np.flatnonzero(plan.bias_slot >= 0)
        self.bias = np.zeros(plan.n_units)
        self.bias[self.biased] = size[plan.bias_slot[self.biased]]

    def into(self, values: Array) -> Array:
        """Σⱼ |wₖⱼ| vⱼ over the parents of each unit."""
        return self._summed(self.targets, values[self.sources])

    def out_of(self, values: Array) -> Array:
        """Σₖ |wₖⱼ| vₖ over the children of each unit."""
        return self._summed(self.sources, values[self.targets])

    def _summed(self, units: Array, values: Array) -> Array:
        with np.errstate(all="ignore"):  # 0 · inf
            terms = np.nan_to_num(self.size * values, posinf=np.inf)
        return np.bincount(units, terms, self.plan.n_units).astype(np.float64)  # of nothing: int


def _gradient(
    layout: Layout,
    weights: _Weights,
    ours: Walk,
    theirs: Walk,
    trained: list[Trained],
    e: _ByUnit,
    m: _ByUnit,
) -> Array:
    """(units,) the discrepancies of the derivatives for what leads into each unit."""
    plan, rows = weights.plan, theirs.a.shape[1]
    sources, targets = weights.sources, weights.targets
    norm_a, norm_delta = (_norms(values) for values in (theirs.a, theirs.delta))
    sizes, inherited = np.zeros((2, plan.n_slots))
    sizes[: plan.n_weights] = norm_delta[targets] * norm_a[sources]
    biases = plan.bias_slot[weights.biased]
    sizes[biases] = norm_delta[weights.biased] * np.sqrt(rows)
    with np.errstate(all="ignore"):
        inherited[: plan.n_weights] = rows * (
            e.delta[targets] * m.a[sources] + m.delta[targets] * e.a[sources]
        )
    inherited[biases] = rows * e.delta[weights.biased]
    dtype = ours.a.dtype
    found = relative(difference(ours.slots[:, None], theirs.slots[:, None]), sizes, inherited, dtype)
    right, size, rest = (
        layout.by_parameter(np.asarray(numbers, np.float64)) for numbers in (theirs.slots, sizes, inherited)
    )
    again = np.zeros(len(right))
    for _, gradient in trained:
        missing = np.isnan(gradient) & ~np.isnan(right)
        apart = difference(np.where(missing, right, gradient)[:, None], right[:, None])
        again = np.maximum(again, relative(apart, size, rest, dtype))
    result = np.zeros(plan.n_units)
    unit_of_slot = np.zeros(plan.n_slots, np.int64)
    unit_of_slot[: plan.n_weights] = targets
    unit_of_slot[biases] = weights.biased
    np.maximum.at(result, unit_of_slot, np.maximum(found, layout.by_slot(again)))
    return result


def _norms(values: Array) -> Array:
    """(units,) ‖·‖ over rows, of the finite numbers."""
    finite = np.where(np.isfinite(values), values, 0).astype(np.float64)
    result: Array = np.linalg.norm(finite, axis=1)
    return result
