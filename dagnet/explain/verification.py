"""A network's engine against the textbook's equations: forward and gradient, by node."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.explain.arguments import checked_network
from dagnet.explain.report import Report, Shown, Table
from dagnet.explain.residuals import TOLERANCES, Walk, loss_residual, residuals
from dagnet.markup import label
from dagnet.model import Model
from dagnet.model.averaging import mean_loss, output_gradient, row_weights
from dagnet.model.selection import prepare

SHOWN, STEP = 10, 1e-6
HEADER = ("node", "forward", "δ", "gradient")


@np.errstate(all="ignore")
def verify(net: Model, X: Any, y: Any, *, sample_weight: Any = None) -> Verification:
    """Check what a network's engine calculates against each equation of the textbook, node by node.

    The equations are those of :mod:`dagnet.engine.reference`; their right sides are calculated in
    float64 from the engine's own values and δ.  The loss and the gradient that ``fit`` takes from the
    engine in one call are checked, too.

    Parameters
    ----------
    net
        The network; it is not changed.
    X, y, sample_weight
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
    inputs = checked_network(net).encode_inputs(X)
    targets = net.encode_targets(y, len(inputs))
    weights = net.encode_sample_weight(sample_weight, len(inputs))
    walk = _walk(net, inputs, targets, weights)
    gradient = net.gradient(X, y, sample_weight=sample_weight)
    taken = [(gradient.loss, gradient.flat), *_fused(net, inputs, targets, weights)]
    flats = [np.where(net.trainable, flat, np.nan) for _, flat in taken]
    condition = _condition(net, walk, targets, weights)
    found = residuals(net.layout, net.theta(), walk, flats, condition)
    right = mean_loss(net.loss, walk.a[:, net.layout.plan.outputs], targets, weights)
    loss_error = loss_residual([loss for loss, _ in taken], right, net.dtype)
    return Verification(net, found, loss_error, rows=len(inputs))


def _walk(net: Model, inputs: Array, targets: Array, weights: Array | None) -> Walk:
    plan = net.layout.plan.everywhere()
    everything = np.arange(plan.n_units)
    _, runner = prepare(net.engine, plan, net.dtype, net.threads)
    theta = net.theta().copy()
    state = runner.forward(theta, inputs)
    pull = output_gradient(net.loss, state.outputs, targets, weights)
    slots = np.zeros(plan.n_slots, net.dtype)
    runner.backward(theta, state, pull, into=slots)
    parts = (state.pre_activation(everything), state.value(everything), state.delta(everything))
    z, a, delta = (part.T.copy() for part in parts)
    return Walk(inputs, pull, z, a, delta, slots)


def _fused(net: Model, inputs: Array, targets: Array, weights: Array | None) -> list[tuple[float, Array]]:
    """Loss and gradient as training takes them."""
    fused = net.runner.fused_gradient(net.loss)
    slots = np.zeros(net.layout.plan.n_slots, net.dtype)
    loss, _ = fused(net.theta(), inputs, targets, row_weights(weights, len(inputs), net.dtype), into=slots)
    return [(loss, net.collect(slots))]


def _condition(net: Model, walk: Walk, targets: Array, weights: Array | None) -> float:
    """How many times larger rounding is in some output's ∂L/∂output than in the outputs; at least 1."""
    outputs = walk.a[:, net.layout.plan.outputs].astype(np.float64)
    exact, moved = (output_gradient(net.loss, outputs * by, targets, weights) for by in (1.0, 1.0 - STEP))
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
        :mod:`dagnet.explain.residuals`; that of the loss; 1e-12 in float64, 1e-5 in float32.
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
            f"{self._topology.n_nodes:,} nodes, {self.rows:,} row{'s' * (self.rows != 1)}, "
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
