"""A network on its engine against the reference engine: forward and gradient, by node."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.explain.discrepancy import TOLERANCES, Discrepancies, Trained, Walk, discrepancies
from dagnet.explain.kinks import units_on_kinks
from dagnet.explain.twin import twin
from dagnet.markup import label, names_text, table_html, table_text
from dagnet.model import Model
from dagnet.model.averaging import mean_loss, output_gradient, row_weights
from dagnet.model.selection import prepare

__all__ = ["Verification", "verify"]

Array = NDArray[Any]
SHOWN = 10


@np.errstate(all="ignore")
def verify(net: Model, X: Any, y: Any, *, sample_weight: Any = None) -> Verification:
    """Run a network on its engine and on the reference engine, and compare node by node.

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
    reference = twin(net, engine="reference")
    inputs = net.encode_inputs(X)
    targets = net.encode_targets(y, len(inputs))
    weights = net.encode_sample_weight(sample_weight, len(inputs))
    ours = _walk(net, inputs, targets, weights)
    theirs = _walk(reference, inputs, targets, weights)
    gradient = net.gradient(X, y, sample_weight=sample_weight)
    trained = [_asked(net, gradient.loss, gradient.flat), *_fused(net, inputs, targets, weights)]
    found = discrepancies(net.layout, net.theta(), ours, theirs, trained)
    edge = units_on_kinks(net.layout, theirs.z, TOLERANCES[net.dtype.name])
    return Verification(net, found, edge, rows=len(inputs))


def _walk(net: Model, inputs: Array, targets: Array, weights: Array | None) -> Walk:
    plan = net.layout.plan.everywhere()
    everything = np.arange(plan.n_units)
    _, runner = prepare(net.engine, plan, net.dtype, net.threads)
    theta = net.theta().copy()
    state = runner.forward(theta, inputs)
    pull = output_gradient(net.loss, state.outputs, targets, weights)
    slots = np.zeros(plan.n_slots, net.dtype)
    runner.backward(theta, state, pull, into=slots)
    return Walk(
        z=state.pre_activation(everything),
        a=state.value(everything),
        delta=state.delta(everything),
        pull=pull.T,
        slots=slots,
        loss=mean_loss(net.loss, state.outputs, targets, weights),
    )


def _asked(net: Model, loss: float, gradient: Array) -> Trained:
    """NaN for frozen parameters."""
    return Trained(loss, np.where(net.trainable, gradient, np.nan))


def _fused(net: Model, inputs: Array, targets: Array, weights: Array | None) -> list[Trained]:
    """Loss and gradient as training takes them."""
    fused = net.runner.fused_gradient(net.loss)
    slots = np.zeros(net.layout.plan.n_slots, net.dtype)
    with np.errstate(all="ignore"):
        factor = row_weights(weights, len(inputs), net.dtype)
        loss, _ = fused(net.theta(), inputs, targets, factor, into=slots)
    return [_asked(net, loss, net.collect(slots))]


class Verification:
    """The outcome of :func:`verify`.

    Attributes
    ----------
    passed
        Whether everything is within the tolerance.
    max_error
        The largest error, relative to the terms that a number is made of; see
        :mod:`dagnet.explain.discrepancy`.
    tolerance
        1e-12 in float64, 1e-5 in float32.
    worst
        Nodes beyond the tolerance, in topological order: the first is where to look.
    """

    def __init__(self, net: Model, found: Discrepancies, edge: Array, *, rows: int) -> None:
        self._topology = net.topology
        nodes = net.layout.node_of_unit
        self._errors = np.zeros((3, net.topology.n_nodes))
        for row, units in enumerate((np.maximum(found.z, found.a), found.delta, found.gradient)):
            np.maximum.at(self._errors[row], nodes, units)
        order = np.argsort(net.layout.first_unit)
        self.on_kinks = self._names(order[np.isin(order, nodes[edge])])
        self.engine, self.dtype, self.rows = net.engine, net.dtype.name, rows
        self.loss_error = found.loss
        self.tolerance = TOLERANCES[self.dtype]
        self.max_error = max(float(self._errors.max(initial=0.0)), found.loss)
        self.passed = self.max_error <= self.tolerance
        wrong = self._errors.max(axis=0) > self.tolerance
        self.worst = self._names(order[wrong[order]])

    def _names(self, nodes: Array) -> tuple[Hashable, ...]:
        return tuple(self._topology.nodes[node] for node in nodes.tolist())

    def errors(self, node: Hashable) -> dict[str, float]:
        """The largest relative errors at a node: ``forward``, ``delta``, ``gradient``."""
        column = self._errors[:, self._topology.node_number(node)].tolist()
        return dict(zip(("forward", "delta", "gradient"), column, strict=True))

    def __bool__(self) -> bool:
        return self.passed

    def _title(self) -> str:
        verdict = "agrees" if self.passed else "DISAGREES"
        where = f", first at {label(self.worst[0])}" if self.worst else ""
        rows = f"{self.rows:,} row{'s' * (self.rows != 1)}"
        return (
            f"engine {self.engine!r} {verdict} with 'reference' in {self.dtype}: "
            f"{self._topology.n_nodes:,} nodes, {rows}, largest relative error "
            f"{self.max_error:.1e}, allowed {self.tolerance:.0e}{where}"
        )

    def _rows(self) -> list[list[str]]:
        shown = list(self.worst[:SHOWN])
        if not shown and self._topology.n_nodes:
            largest = np.argsort(-self._errors.max(axis=0), kind="stable")[:3]
            shown = [self._topology.nodes[node] for node in largest.tolist()]
        return [[label(node), *(f"{error:.1e}" for error in self.errors(node).values())] for node in shown]

    def _notes(self) -> list[str]:
        more = len(self.worst) - SHOWN
        notes = [f"… and {more:,} more nodes"] if more > 0 else []
        if self.loss_error > self.tolerance:
            notes.append(f"the loss is off by {self.loss_error:.1e}")
        if self.on_kinks and not self.passed:
            notes.append(f"on a kink, where rounding decides the derivative: {names_text(self.on_kinks)}")
        return notes

    def __str__(self) -> str:
        return "\n".join([self._title(), table_text(HEADER, self._rows()), *self._notes()])

    def __repr__(self) -> str:
        return f"<Verification: {self._title()}>"

    def _repr_html_(self) -> str:
        return table_html(self._title(), HEADER, self._rows(), "\n".join(self._notes()))


HEADER = ("node", "forward", "δ", "gradient")
