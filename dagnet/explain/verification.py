"""A network's engine against the textbook's equations, node by node: how far its own numbers are from them.

    z = W a + b        δ = ∂L/∂a · g′(z)                    ∂L/∂w = Σ over rows of δ a
    a = g(z)           ∂L/∂a = Σ wᵀ δ + ∂L/∂output          ∂L/∂b = Σ over rows of δ

The right sides are calculated in float64 from the a and δ of the engine itself, so that each
equation speaks of one node: where a node is wrong, those after it are still right by its number.
With Mⱼ, Dₖ the largest |aⱼ|, |δₖ| over rows, Gₖ = max(1, |g′(zₖ)|), Zₖ = Σⱼ |wₖⱼ| Mⱼ + |bₖ| and
Pⱼ = Σₖ |wₖⱼ| Dₖ + |∂L/∂outputⱼ|, a residual is relative to

    z: Z        a: max(M, G · min(1, Z))        δ: G P        ∂L/∂w: ‖δₖ‖ ‖aⱼ‖ over rows

Where z is another aggregation A of the terms w a than their sum, ∂A/∂(w a) · w stands for w in the walk
back, and its largest magnitude over rows in the sizes.  A z is known to its rounding only, so a and δ
may be those of any z that is off by no more than its residual and ``tolerance`` · Z: beside a kink
either side is right.  Where an engine calculates with one number and reports another, that node alone
is to blame: the residuals of the a and δ that an equation reads are taken off its own.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np

from dagnet.arrays import Array
from dagnet.explain.arguments import checked_network
from dagnet.explain.magnitudes import (
    TOLERANCES,
    Sums,
    activated,
    apart,
    around,
    by_learned,
    finite,
    largest,
    nearest,
    relative,
)
from dagnet.explain.report import Report, Shown, Table
from dagnet.markup import counted, label
from dagnet.model import Layout, Model, row_weights
from dagnet.plan import ACTIVATE, LAYER, Step, aggregate_steps, aggregated, slopes, slot_units

SHOWN, STEP = 10, 1e-6
HEADER = ("node", "forward", "δ", "gradient")


@np.errstate(all="ignore")
def verify(net: Model, X: Any, y: Any, *, sample_weight: Any = None, missing: str = "refuse") -> Verification:
    """Check what a network's engine calculates against each equation of the textbook, node by node.

    The equations are those of :mod:`dagnet.engine.reference`; their right sides are calculated in
    float64 from the engine's own values and δ.  The loss and the gradient that ``fit`` takes from the
    engine in one call are checked, too.

    Parameters
    ----------
    net
        The network; it is not changed.
    X, y, sample_weight, missing
        As for :meth:`dagnet.Network.evaluate`.

    Returns
    -------
    Verification
        ``.passed``, ``.max_error`` (relative; up to 1e-12 passes in float64, 1e-5 in float32);
        ``print`` shows a short report.

    Examples
    --------
    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([2, 3, 1], activation="tanh"), seed=0)
    >>> dagnet.verify(net, [[2.0, 3.0], [1.0, -1.0]], [1.0, 0.0]).passed
    True
    """
    inputs, targets, weights = checked_network(net).encode(X, y, sample_weight, missing=missing)
    gradient = net.gradient(X, y, sample_weight=sample_weight, missing=missing)
    *by_unit, slots = gradient.by_unit
    z, a, delta = (part.T.copy() for part in by_unit)
    outputs = np.ascontiguousarray(a[:, net.layout.plan.outputs])
    pull = net.objective.pull(outputs, targets, weights)
    walk = Numbers(inputs, pull, z, a, delta, slots)
    taken = [(gradient.loss, gradient.flat), *_fused(net, inputs, targets, weights)]
    flats = [np.where(net.trainable, flat, np.nan) for _, flat in taken]
    condition = _condition(net, walk, targets, weights)
    found = residuals(net.layout, net.vector, walk, flats, condition)
    right = net.objective.mean(outputs, targets, weights)
    loss_error = loss_residual([loss for loss, _ in taken], right, net.dtype)
    return Verification(net, found, loss_error, rows=len(inputs))


def _fused(net: Model, inputs: Array, targets: Array, weights: Array | None) -> list[tuple[float, Array]]:
    """Loss and gradient as training takes them."""
    fused = net.objective.gradient_of(net.runner, gaps=bool(np.isnan(targets).any()))
    slots = np.zeros(net.layout.plan.n_slots, net.dtype)
    theta, factor = net.layout.theta(net.vector), row_weights(weights, len(inputs), net.dtype)
    loss, _ = fused(theta, inputs, targets, factor, into=slots)
    return [(loss, net.layout.collect(slots, net.vector))]


def _condition(net: Model, walk: Numbers, targets: Array, weights: Array | None) -> float:
    """How many times larger rounding is in some output's ∂L/∂output than in the outputs; at least 1."""
    outputs = walk.a[:, net.layout.plan.outputs].astype(np.float64)
    exact, moved = (net.objective.pull(outputs * by, targets, weights) for by in (1.0, 1.0 - STEP))
    changes = [(moved - exact) / STEP, (walk.pull - exact) / np.finfo(net.dtype).eps]
    ratios = [np.linalg.norm(change, axis=0) / np.linalg.norm(exact, axis=0) for change in changes]
    return float(np.fmax.reduce(np.append(ratios, 1.0)))


class Verification(Shown):
    """The outcome of :func:`verify`.

    Attributes
    ----------
    passed
        Whether everything is within the tolerance.
    max_error, loss_error, tolerance
        The largest error, relative to the terms that a number is made of, see
        :mod:`dagnet.explain.verification`; that of the loss; 1e-12 in float64, 1e-5 in float32.
    worst
        Nodes beyond the tolerance, in topological order: the first is where to look.
    """

    def __init__(self, net: Model, found: Array, loss_error: float, *, rows: int) -> None:
        self._topology = net.topology
        self._errors = np.zeros((3, net.topology.n_nodes))
        for errors, units in zip(self._errors, found, strict=True):
            np.maximum.at(errors, net.layout.node_of_unit, units)
        self.engine, self.dtype, self.rows = net.engine, net.dtype.name, rows
        self.loss_error, self.tolerance = loss_error, TOLERANCES[self.dtype]
        self.max_error = max(float(self._errors.max(initial=0.0)), loss_error)
        self.passed = self.max_error <= self.tolerance
        order = np.argsort(net.layout.first_unit)
        wrong = order[self._errors.max(axis=0)[order] > self.tolerance]
        self.worst = tuple(net.topology.nodes[node] for node in wrong.tolist())

    def errors(self, node: Hashable) -> dict[str, float]:
        """The largest relative errors at a node: ``forward``, ``delta``, ``gradient``."""
        column = self._errors[:, self._topology.node_number(node)].tolist()
        return dict(zip(("forward", "delta", "gradient"), column, strict=True))

    def __bool__(self) -> bool:
        return self.passed

    def _report(self) -> Report:
        verdict = "agrees" if self.passed else "DISAGREES"
        where = f", first at {label(self.worst[0])}" if self.worst else ""
        title = (
            f"engine {self.engine!r} {verdict} with the textbook's equations in {self.dtype}: "
            f"{self._topology.n_nodes:,} nodes, {counted(self.rows, 'row')}, "
            f"largest relative error {self.max_error:.1e}, allowed {self.tolerance:.0e}{where}"
        )
        largest = np.argsort(-self._errors.max(axis=0), kind="stable")[:3].tolist()
        shown = self.worst[:SHOWN] or [self._topology.nodes[node] for node in largest]
        rows = [[label(node), *(f"{error:.1e}" for error in self.errors(node).values())] for node in shown]
        more = len(self.worst) - SHOWN
        notes = [f"… and {more:,} more nodes"] if more > 0 else []
        if self.loss_error > self.tolerance:
            notes.append(f"the loss is off by {self.loss_error:.1e}")
        return Report("", title, [Table(HEADER, rows)], notes)


class Numbers(NamedTuple):
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


@np.errstate(all="ignore")
def residuals(layout: Layout, vector: Array, walk: Numbers, trained: list[Array], condition: float) -> Array:
    """(3, units) of z and a, of δ, and of the derivatives for what leads into the unit: all relative.

    The walk is over a plan that enters every unit.  ``trained`` are the gradients by parameter that an
    engine's other calls gave for the same rows; NaN: not asked.  Their outputs are those of the walk but
    for rounding, their ∂L/∂outputs but for ``condition`` times as much: beside a perfect fit that is
    all there is.
    """
    terms, dtype, plan = _Terms(layout, vector, walk.a), walk.a.dtype, layout.plan
    z, pulled, slots = terms.right_sides(walk)
    size_z = terms.into(largest(walk.a), 1)
    size_z[: plan.n_inputs] = largest(walk.inputs)
    off_z = apart(walk.z, z)

    places = around(walk.z, TOLERANCES[dtype.name] * size_z + off_z)
    a, slope = activated(plan, places, terms.theta, dtype)
    steep = np.maximum(1, largest(slope[0]))
    size_a = np.maximum(largest(walk.a), steep * np.minimum(1, size_z))
    off_a = apart(walk.a, a[0])

    delta = pulled.astype(dtype) * slope
    size_pulled = terms.out_of(largest(walk.delta))
    size_pulled[plan.outputs] += largest(walk.pull)
    off_delta = apart(walk.delta, delta[0])

    wrong_z = relative(off_z, size_z, terms.into(off_a, 0), dtype)
    wrong_a = relative(apart(walk.a, nearest(walk.a, a)), size_a, 0, dtype)
    off_nearest, inherited = apart(walk.delta, nearest(walk.delta, delta)), steep * terms.out_of(off_delta)
    wrong_delta = relative(off_nearest, steep * size_pulled, inherited, dtype)
    sums = by_learned(plan, places, terms.theta, pulled, terms.out_of(off_delta))
    slots[terms.learned] = np.clip(walk.slots, sums.low, sums.high)[terms.learned]
    found, inherited = _derivatives(terms, walk, slots, sums, off_a, off_delta)
    reach = terms.reach(steep, largest(walk.pull))
    wrong = np.maximum(found, _trained(terms, walk, slots, sums, reach, inherited, trained) / condition)
    by_unit = np.zeros(plan.n_units)
    np.maximum.at(by_unit, terms.child, wrong)
    return np.stack([np.maximum(wrong_z, wrong_a), wrong_delta, by_unit])


def loss_residual(losses: list[float], right: float, dtype: Any) -> float:
    """How far losses are from the right one, relative to it or to 1."""
    off = apart(np.array(losses)[:, None], np.full((len(losses), 1), right))
    return float(relative(off, np.array([max(1.0, abs(right))]), 0, dtype)[0])


def _derivatives(
    terms: _Terms, walk: Numbers, right: Array, sums: Sums, off_a: Array, off_delta: Array
) -> tuple[Array, Array]:
    """(slots,) the residuals of the walk's derivatives, and how much of them is inherited from a and δ."""
    norm_delta, norm_a = (np.linalg.norm(finite(values), axis=0) for values in (walk.delta, walk.a))
    size = terms.products(norm_delta, norm_a, len(walk.a) ** 0.5)
    inherited = terms.products(off_delta, largest(walk.a), 1) + terms.products(largest(walk.delta), off_a, 0)
    inherited *= len(walk.a)
    for values, given in ((size, sums.size), (inherited, sums.inherited)):
        values[terms.learned] = given[terms.learned]
    return relative(apart(walk.slots[None], right[None]), size, inherited, walk.a.dtype), inherited


def _trained(
    terms: _Terms,
    walk: Numbers,
    right: Array,
    sums: Sums,
    reach: Array,
    inherited: Array,
    trained: list[Array],
) -> Array:
    """(slots,) the residuals of other calls' gradients.

    Their δ is another one by rounding, which is relative to ``reach``: where terms cancel, as they do
    for softmax's outputs of one parent, that may be all there is of δ.
    """
    norm_a, rows, owner = np.linalg.norm(finite(walk.a), axis=0), len(walk.a) ** 0.5, terms.owner
    size = terms.products(rows * reach, norm_a, rows) + rows * sums.size
    right = terms.by_parameter(right)
    size, inherited = (terms.by_parameter(each, bound=True) for each in (size, inherited))
    wrong = np.zeros(len(owner))
    for gradient in trained:
        asked = np.where(np.isnan(gradient) & ~np.isnan(right), right, gradient)
        off = relative(apart(asked[None], right[None]), size, inherited, walk.a.dtype)
        wrong = np.maximum(wrong, off[owner])
    return wrong


class _Terms:
    """The terms of a plan's sums, one a slot; a bias is the weight of one more parent, whose value is 1."""

    def __init__(self, layout: Layout, vector: Array, a: Array) -> None:
        self.plan = plan = layout.plan
        self.layout, self.vector = layout, vector
        n = plan.n_weights + int((plan.bias_slot >= 0).sum())
        self.learned = slice(n, plan.n_slots)  # no terms of sums
        self.owner, self.theta = layout.owners, layout.theta(vector).astype(np.float64)
        self.weight = np.where(np.arange(plan.n_slots) < n, self.theta, 0)
        self.child = slot_units(plan)
        self.parent = np.full(plan.n_slots, plan.n_units)
        self.parent[: plan.n_weights] = plan.sources
        self.shares: list[tuple[Array, Array]] = []  # of aggregate steps: slots, ∂A/∂(w a) by slot and row
        self.largest = np.abs(self.weight)  # that times the weight, in any row
        for step in aggregate_steps(plan):
            for _, slots, _, slope in slopes(plan, step, layout.theta(vector), a.T.__getitem__):
                self.shares.append((slots.ravel(), slope.reshape(-1, len(a)).astype(np.float64)))
                self.largest[slots.ravel()] *= largest(self.shares[-1][1].T)
        self.layers = [step for step in plan.program() if step.kind == LAYER]
        self.steep = np.ones(plan.n_slots)  # bounds on 1/√(variance + eps) where units are normalised
        for step in self.layers:
            inverses = [self._normalized(step, row)[1] for row in a]
            self.steep[step.slots] = np.repeat(np.max(inverses, axis=0), step.source)

    def _normalized(self, step: Step, values: Array) -> tuple[Array, Array]:
        """x̂ of a LAYER step, (nodes, units of one), and 1/√(variance + eps), (nodes,), for one row."""
        a = values[self.parent[step.slots]].astype(np.float64).reshape(-1, step.source)
        inverse = 1 / np.sqrt(a.var(axis=1) + self.plan.normalizations[step.what].eps)
        return (a - a.mean(axis=1, keepdims=True)) * inverse[:, None], inverse

    def by_parameter(self, slots: Array, *, bound: bool = False) -> Array:
        """(parameters,) from derivatives by slot, or from bounds on their magnitudes."""
        normalized, factor = self.layout.normalized, self.layout.factor
        if normalized is not None:
            slots = normalized.unfolded(slots, self.vector, bound=bound)
        if factor is not None:
            slots = slots * (np.abs(factor) if bound else factor)
        return np.bincount(self.owner, slots, self.plan.n_parameters)

    def reach(self, steep: Array, pull: Array) -> Array:
        """(units,) what δ would be if no terms cancelled, on no path; ``steep`` bounds |g′|."""
        pulled, found = np.zeros((2, self.plan.n_units))
        pulled[self.plan.outputs] = pull
        for step in reversed(self.plan.program()):
            if step.kind == ACTIVATE:
                found[step.targets] = steep[step.targets] * pulled[step.targets]
            else:
                slots = step.slots
                terms = self.largest[slots] * self.steep[slots] * found[self.child[slots]]
                if step.kind == LAYER:
                    terms = np.repeat(terms.reshape(-1, step.source).sum(axis=1), step.source)
                np.add.at(pulled, self.parent[slots], terms)
        return found

    def right_sides(self, walk: Numbers) -> tuple[Array, Array, Array]:
        """W a + b and Σ wᵀ δ + ∂L/∂output, (rows, units), and the derivatives by slot; row by row."""
        z, pulled = np.zeros((2, *walk.a.shape))
        slots = np.zeros(self.plan.n_slots)
        for row, (a, delta) in enumerate(zip(walk.a, walk.delta.astype(np.float64), strict=True)):
            of_parent, of_child = np.append(a, 1)[self.parent], delta[self.child]
            for places, share in self.shares:
                of_child[places] *= share[:, row]
            back = self.weight * of_child
            for step in self.layers:
                x, inverse = self._normalized(step, a)
                of_parent[step.slots] = x.ravel()
                slopes = np.eye(step.source) - (1 + x[:, :, None] * x[:, None]) / step.source
                nodes = back[step.slots].reshape(x.shape) * inverse[:, None]
                back[step.slots] = np.einsum("ni,nij->nj", nodes, slopes).ravel()
            z[row] = np.bincount(self.child, self.weight * of_parent, self.plan.n_units)
            pulled[row] = np.bincount(self.parent, back, self.plan.n_units + 1)[:-1]
            slots += of_child * of_parent
        biases = np.append(self.weight, 0)[self.plan.bias_slot]
        for step in aggregate_steps(self.plan):
            read = walk.a.T.astype(np.float64).__getitem__
            found = aggregated(self.plan, step, self.weight, read, len(z))
            z[:, step.targets] = found.T + biases[step.targets]
        z[:, : self.plan.n_inputs] = walk.inputs
        pulled[:, self.plan.outputs] += walk.pull
        return z, pulled, slots

    def into(self, values: Array, one: float) -> Array:
        """Σⱼ |wₖⱼ| vⱼ + |bₖ| · one."""
        return self._summed(self.child, np.append(values, one)[self.parent])

    def out_of(self, values: Array) -> Array:
        """Σₖ |wₖⱼ| vₖ over the children of each unit."""
        sums = self._summed(self.parent, values[self.child])
        for step in self.layers:
            nodes = sums[self.parent[step.slots]].reshape(-1, step.source)
            sums[self.parent[step.slots]] = np.repeat(nodes.sum(axis=1), step.source)
        return sums

    def _summed(self, units: Array, values: Array) -> Array:
        sums = np.bincount(units, self.largest * self.steep * values, self.plan.n_units + 1)[:-1]
        return sums.astype(np.float64)  # of nothing: int

    def products(self, of_child: Array, of_parent: Array, one: float) -> Array:
        """(slots,) a number of the child times one of the parent, which of a bias is ``one``."""
        result: Array = of_child[self.child] * self.steep * np.append(of_parent, one)[self.parent]
        for places, share in self.shares:
            result[places] *= largest(share.T)
        return result
