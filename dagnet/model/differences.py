"""Central differences of the mean loss: of each parameter only what it acts on is evaluated again.

That is the units that read it, and those of their descendants that reach an output; what these
read from elsewhere comes from one forward pass of the whole network.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np

from dagnet.adjacency import reachable
from dagnet.arrays import Array
from dagnet.contracts import Loss
from dagnet.model.data import Encoded
from dagnet.model.heads import row_weights
from dagnet.model.naming import ParameterNames
from dagnet.model.prepared import Prepared
from dagnet.plan import ACTIVATE, LAYER, Dependents, Plan, aggregate_steps, slopes, slot_targets, with_mates

JUMP = 1e-3
"""By how much the derivative of an aggregation must differ at two points that a kink lies between."""


class Differences(NamedTuple):
    """Of each parameter w, one array each.

    ``quotients`` are (L(w + h) − L(w − h)) / 2h; ``units`` counts those evaluated again; ``on_kinks``
    says whether z of some of these, in some row, is on different sides of a declared kink of its
    activation at w + h and w − h, or on it at either; or whether terms of an aggregation that has kinks
    change places between the two.
    """

    quotients: Array
    units: Array
    on_kinks: Array


def central_differences(
    prepared: Prepared, vector: Array, data: Encoded, places: Array, steps: Array
) -> Differences:
    """See :meth:`dagnet.model.Model.differences`; ``vector`` is the network's parameters."""
    base, names = _Base(prepared, vector, data), ParameterNames(prepared.layout)
    groups: dict[Any, list[int]] = {}
    found = Differences(np.zeros(len(places)), np.zeros(len(places), np.int64), np.zeros(len(places), bool))
    for member, place in enumerate(places.tolist()):  # by the units that parameters act on first
        groups.setdefault(tuple(names.units(place).tolist()), []).append(member)
    for units, members in groups.items():
        mask = np.zeros(base.plan.n_units, bool)
        mask[list(units)] = True
        first = np.flatnonzero(with_mates(base.plan, mask))
        chain = reachable(base.ways.readers, first, within=base.ways.reaching)
        found.units[members] = len(chain)
        if len(chain):
            walk = _Chain(base, chain, first)
            for member in members:
                place, step = int(places[member]), float(steps[member])
                found.quotients[member], found.on_kinks[member] = walk.difference(place, step)
    return found


class _Base:
    """The whole network where no parameter is moved; arrays by unit."""

    def __init__(self, prepared: Prepared, vector: Array, data: Encoded) -> None:
        self.prepared, self.vector, self.targets = prepared, vector, data.targets
        self.weights = data.weights
        self.one = prepared.objective.whole(data.targets)
        if self.one is not None:
            self.row_weights = row_weights(data.weights, len(data.inputs), vector.dtype)
        self.plan = plan = prepared.layout.plan
        state = prepared.runner.forward(prepared.layout.theta(vector), data.inputs)
        self.values = state.value(np.arange(plan.n_units))
        self.largest = float(np.abs(self.values).max(initial=1.0))
        self.kinks, self.layered = kinks_of(plan), bool((plan.steps["kind"] == LAYER).any())
        normalized = prepared.layout.normalized
        self.steepest = 1.0 if normalized is None else normalized.steepest(vector)
        kinked = np.flatnonzero(~np.isnan(self.kinks).all(axis=1))
        self.clearance = np.full(plan.n_units, np.inf)  # how near z comes to a kink
        if len(kinked):
            z = state.pre_activation(kinked)
            apart = [np.abs(z - kink[:, None]).min(axis=1) for kink in self.kinks[kinked].T]
            self.clearance[kinked] = np.fmin.reduce(apart)
            layers = [np.arange(s.n_target) + s.target for s in plan.program() if s.kind == LAYER]
            layered = np.intersect1d(kinked, np.concatenate([kinked[:0], *layers]))
            self.clearance[layered] = 0  # their z is not bounded by Σ|w|
        self.ways = Dependents(plan, plan.outputs)

    def change(self, outputs: Array) -> float:
        """The loss for the first of (2, rows, output units) less that for the second."""
        if self.one is None:
            up, down = (self.prepared.objective.mean(each, self.targets, self.weights) for each in outputs)
            return up - down
        up, down = self._row_losses(self.one, outputs)
        return float((self.row_weights * (up - down)).sum())

    def _row_losses(self, loss: Loss, outputs: Array) -> Array:
        """(2, rows) the losses for (2, rows, output units)."""
        if not loss.rowwise or loss.outputs != "real":  # which names rows that it refuses
            return np.stack([loss.row_values(each, self.targets) for each in outputs])
        targets = np.concatenate(2 * [self.targets])
        return loss.row_values(np.concatenate(outputs), targets).reshape(2, -1)


def kinks_of(plan: Plan) -> Array:
    """(units, most kinks) the kinks of each unit's activation; NaN where it has fewer."""
    steps = [
        (step, plan.activations[step.what].kink_points()) for step in plan.program() if step.kind == ACTIVATE
    ]
    kinks = np.full((plan.n_units, max((len(points) for _, points in steps), default=0)), np.nan)
    for step, points in steps:
        kinks[step.targets, : len(points)] = points
    return kinks


class _Chain:
    """The units that some parameters act on, made ready to run alone."""

    def __init__(self, base: _Base, chain: Array, first: Array) -> None:
        self.base, plan = base, base.plan
        mask = np.zeros(plan.n_units, bool)
        mask[chain] = True
        cut = plan.restrict(units=mask, parameters=np.zeros(plan.n_slots, bool))
        self.cut, self.runner = cut, base.prepared.runner_for(cut)
        units = cast("Array", cut.unit_ids)
        self.border = np.ascontiguousarray(base.values[units[: cut.n_inputs]].T)
        slots = cast("Array", cut.slot_ids)
        self.slots, self.owners = slots, base.prepared.layout.owners[slots]
        self.theta = base.vector.copy()
        self.outputs = np.stack(2 * [base.values[plan.outputs].T])
        self.moving = mask[plan.outputs]
        self.computed = np.arange(cut.n_inputs, cut.n_units)
        self.before = base.values[units[cut.n_inputs :]]
        self.kinks, self.clearance = base.kinks[units], base.clearance[units[cut.n_inputs :]]
        self.has_kinks = bool(np.isfinite(self.clearance).any())
        inside, weights = cut.sources >= cut.n_inputs, np.abs(self._theta()[: cut.n_weights])
        read = np.bincount(slot_targets(cut.indptr)[inside], weights[inside], cut.n_units)
        read = np.where(cut.aggregation_of < 0, read, np.inf)  # a product's z has no such bound
        self.read, self.is_first = read[cut.n_inputs :], np.isin(units[cut.n_inputs :], first)
        self.states: list[Any] = [None, None]
        self.jumping = [step for step in aggregate_steps(cut) if cut.aggregations[step.what].kinks]

    def _theta(self) -> Array:
        """The chain's slots for the parameters as they are."""
        layout = self.base.prepared.layout
        if layout.is_direct and layout.normalized is None:
            return self.theta[self.owners]
        return layout.theta(self.theta)[self.slots]

    def difference(self, place: int, step: float) -> tuple[float, bool]:
        """The quotient of one parameter, and whether its points are parted by a kink.

        Where units are normalised, curvature may be large: two steps are extrapolated (Richardson, 1911).
        """
        if not self.base.layered:
            return self._difference(place, step)
        wide, parted = self._difference(place, 8 * step)  # so far that rounding, large there too, is small
        narrow, _ = self._difference(place, 4 * step)
        return (4 * narrow - wide) / 3, parted

    def _difference(self, place: int, step: float) -> tuple[float, bool]:
        base, here = self.base, self.theta[place]
        points = here + step, here - step
        for number, point in enumerate(points):
            self.theta[place] = point
            self.states[number] = self.runner.forward(
                self._theta(),
                self.border,
                keep=self.has_kinks or bool(self.jumping),
                reuse=self.states[number],
            )
            self.outputs[number, :, self.moving] = self.states[number].outputs.T
        self.theta[place] = here
        quotient = base.change(self.outputs) / (points[0] - points[1])
        parted = (self.has_kinks and self._parted(place, step)) or self._jumps(place, points)
        return float(quotient), parted

    def _jumps(self, place: int, points: tuple[float, float]) -> bool:
        """Whether terms of some aggregation whose derivative then jumps changed places in some row."""
        if not self.jumping:
            return False
        found, here = [], self.theta[place]
        for point, state in zip(points, self.states, strict=True):
            self.theta[place] = point
            theta, values = self._theta(), state.value(np.arange(self.cut.n_units))
            parts = [slopes(self.cut, step, theta, values.__getitem__) for step in self.jumping]
            found.append([slope for part in parts for *_, slope in part])
        self.theta[place] = here
        return any((np.abs(up - down) > JUMP).any() for up, down in zip(*found, strict=True))

    def _parted(self, place: int, step: float) -> bool:
        """Whether z of some unit is on different sides of a kink, or on one.

        Only units whose z may have come so far are looked at: with Δ the largest change of a value,
        z changes by Σ|w|Δ at most, and where it reads the parameter by h · (the largest value + Δ) more.
        """
        after = np.stack([state.value(self.computed) for state in self.states])
        moved = np.abs(after - self.before).max()
        read, factor = self.owners == place, self.base.prepared.layout.factor
        slots = np.count_nonzero(read) if factor is None else np.abs(factor[self.slots[read]]).sum()
        by_parameter = slots * step * self.base.steepest * (self.base.largest + moved)
        reach = self.read * moved + self.is_first * by_parameter
        near = self.computed[~(self.clearance > 2 * reach)]  # twice: for rounding
        kinks = self.kinks[near, None]
        up, down = (state.pre_activation(near)[..., None] for state in self.states)
        return bool((((up > kinks) != (down > kinks)) | (up == kinks) | (down == kinks)).any())
