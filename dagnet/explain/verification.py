"""A network on its engine against the reference engine: forward and gradient, by node.

Two engines add up in different orders, so they differ by rounding, and what that may amount to
depends on what is added.  Each number is therefore compared relative to a scale of its own, the
size of its terms, with Mⱼ = max over rows of |aⱼ|, Gₖ = max |g′(zₖ)|, Dₖ = max |δₖ|:

    z:   Zₖ = Σⱼ |wₖⱼ| Mⱼ + |bₖ|           a:   Aₖ = max(Mₖ, Gₖ Zₖ)
    δ:   Δⱼ = Gⱼ max(1, Zⱼ) (Σₖ |wₖⱼ| Dₖ + max |∂L/∂aⱼ|)
    ∂L/∂wₖⱼ:   ‖δₖ‖ ‖aⱼ‖ (Δₖ / Dₖ) (Aⱼ / Mⱼ)      ∂L/∂bₖ:   ‖δₖ‖ √rows (Δₖ / Dₖ)

with norms over rows, by Cauchy and Schwarz the most that Σ |δₖ aⱼ| can be.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.explain.kinks import units_on_kinks
from dagnet.explain.twin import twin
from dagnet.markup import label, names_text, table_html, table_text
from dagnet.model import Model
from dagnet.model.averaging import mean_loss, row_weights
from dagnet.model.naming import ParameterNames, unit_nodes
from dagnet.model.selection import prepare
from dagnet.model.views import Layout
from dagnet.plan import ACTIVATE, Plan
from dagnet.plan.transposition import slot_targets

__all__ = ["Verification", "verify"]

Array = NDArray[Any]
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}
SHOWN = 10


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
    inputs = net.encode_inputs(X)
    targets = net.encode_targets(y, len(inputs))
    weights = net.encode_sample_weight(sample_weight, len(inputs))
    ours = _walk(net, inputs, targets, weights)
    theirs = _walk(twin(net, engine="reference"), inputs, targets, weights)
    trained = net.gradient(X, y, sample_weight=sample_weight)
    return _compare(net, ours, theirs, trained.flat)


@dataclass(frozen=True, eq=False)
class _Walk:
    """All numbers of a forward and a backward pass: (units, rows) each, and by slot."""

    z: Array
    a: Array
    delta: Array
    pull: Array
    slots: Array
    loss: float


def _walk(net: Model, inputs: Array, targets: Array, weights: Array | None) -> _Walk:
    everything = np.arange(net.layout.plan.n_units)
    plan = net.layout.plan.restrict(
        parameters=np.ones(net.layout.plan.n_slots, bool), deltas=np.ones(len(everything), bool)
    )
    _, runner = prepare(net.engine, plan, net.dtype, net.threads)
    theta = net.theta().copy()
    state = runner.forward(theta, inputs)
    outputs = state.outputs
    factor = row_weights(weights, len(inputs), net.dtype)
    pull = np.ascontiguousarray(net.loss.row_gradients(outputs, targets) * factor[:, None], net.dtype)
    slots = np.zeros(plan.n_slots, net.dtype)
    runner.backward(theta, state, pull, into=slots)
    return _Walk(
        z=state.pre_activation(everything),
        a=state.value(everything),
        delta=state.delta(everything),
        pull=pull,
        slots=slots,
        loss=mean_loss(net.loss, outputs, targets, weights),
    )


# -- scales ------------------------------------------------------------------------------


def _largest(values: Array) -> Array:
    """(units,) the largest finite magnitude over rows."""
    return np.where(np.isfinite(values), np.abs(values), 0).max(axis=1).astype(np.float64)


def _slopes(plan: Plan, walk: _Walk) -> Array:
    """(units,) the largest |g′(z)| over rows; 1 for inputs."""
    slopes = np.ones(plan.n_units)
    for step in plan.steps[plan.steps["kind"] == ACTIVATE]:
        units = slice(int(step["target"]), int(step["target"] + step["n_target"]))
        slopes[units] = _largest(plan.activations[step["what"]].slope(walk.z[units], walk.a[units]))
    return slopes


@dataclass(frozen=True, eq=False)
class _Scales:
    z: Array
    a: Array
    delta: Array
    slots: Array


def _scales(layout: Layout, theta: Array, walk: _Walk) -> _Scales:
    """The sizes of the module's first lines, (units,) each, and (slots,)."""
    plan = layout.plan
    size = np.abs(theta.astype(np.float64))
    sources, targets = plan.sources, slot_targets(plan.indptr)
    values, slopes, deltas = _largest(walk.a), _slopes(plan, walk), _largest(walk.delta)
    bias = np.where(plan.bias_slot >= 0, size[plan.bias_slot], 0) if len(size) else 0.0
    weights, n = size[: plan.n_weights], plan.n_units
    z = np.bincount(targets, weights * values[sources], n) + bias
    z[: plan.n_inputs] = values[: plan.n_inputs]
    a = np.maximum(values, slopes * z)
    pulled = np.bincount(sources, weights * deltas[targets], n)
    np.add.at(pulled, plan.outputs, _largest(walk.pull.T))
    delta = slopes * np.maximum(1, z) * pulled
    over_rows = _norms(walk.delta, delta, deltas)
    slots = np.zeros(plan.n_slots)
    slots[: plan.n_weights] = over_rows[targets] * _norms(walk.a, a, values)[sources]
    biased = np.flatnonzero(plan.bias_slot >= 0)
    slots[plan.bias_slot[biased]] = over_rows[biased] * np.sqrt(walk.a.shape[1])
    return _Scales(z, a, delta, slots)


def _norms(values: Array, scale: Array, largest: Array) -> Array:
    """(units,) norms over rows, made larger where the scale is larger than the values."""
    finite = np.where(np.isfinite(values), values, 0).astype(np.float64)
    ratio = np.divide(np.linalg.norm(finite, axis=1), largest, where=largest > 0, out=np.ones(len(largest)))
    return scale * ratio


# -- comparison --------------------------------------------------------------------------


def _errors(ours: Array, theirs: Array, scale: Array) -> Array:
    """|ours − theirs| / scale; 0 where both are the same, NaN included."""
    with np.errstate(all="ignore"):
        difference = np.abs(ours.astype(np.float64) - theirs)
        difference[(ours == theirs) | (np.isnan(ours) & np.isnan(theirs))] = 0
        difference[np.isnan(difference)] = np.inf
        floor = np.finfo(ours.dtype).tiny / TOLERANCES[ours.dtype.name]  # below it, denormal numbers
        errors = difference / np.maximum(scale, floor)
    return np.where(np.isnan(errors), np.inf, errors)


def _compare(net: Model, ours: _Walk, theirs: _Walk, trained: Array) -> Verification:
    layout, plan = net.layout, net.layout.plan
    scales = _scales(layout, net.theta(), theirs)
    units = np.zeros((3, plan.n_units))
    for row, (mine, right, scale) in enumerate(
        ((ours.z, theirs.z, scales.z), (ours.a, theirs.a, scales.a), (ours.delta, theirs.delta, scales.delta))
    ):
        units[row] = _errors(mine, right, scale[:, None]).max(axis=1)
    slots = _errors(ours.slots, theirs.slots, scales.slots)
    slots = np.maximum(slots, _training_errors(net, trained, theirs.slots, scales.slots))
    forward = np.maximum(units[0], units[1])
    gradient = np.zeros(plan.n_units)
    np.maximum.at(gradient, ParameterNames(layout).unit_of_slot, slots)
    tolerance = TOLERANCES[net.dtype.name]
    edge = units_on_kinks(layout, theirs.z, tolerance * scales.z)
    loss = _errors(np.array([ours.loss]), np.array([theirs.loss]), np.array([max(1.0, abs(theirs.loss))]))
    return Verification(
        net, np.stack([forward, units[2], gradient]), edge, loss_error=float(loss[0]), rows=ours.a.shape[1]
    )


def _training_errors(net: Model, trained: Array, right: Array, scale: Array) -> Array:
    """(slots,) errors of the gradient as training computes it, on the network's own plan."""
    tie = net.layout.plan.tie
    wanted = net.trainable
    ours = np.where(wanted, trained, 0).astype(net.dtype)
    theirs = np.where(wanted, net.collect(right), 0).astype(net.dtype)
    size = scale if tie is None else np.bincount(tie, scale, len(wanted))
    errors = _errors(ours, theirs, size)
    return errors if tie is None else errors[tie]


class Verification:
    """The outcome of :func:`verify`.

    Attributes
    ----------
    passed
        Whether everything is within the tolerance.
    max_error
        The largest relative error.
    tolerance
        1e-12 in float64, 1e-5 in float32.
    worst
        Nodes beyond the tolerance, in topological order: the first is where to look.
    """

    def __init__(self, net: Model, units: Array, edge: Array, *, loss_error: float, rows: int) -> None:
        self._topology = net.topology
        nodes = unit_nodes(net.layout)
        self._errors = np.zeros((3, net.topology.n_nodes))
        for row in range(3):
            np.maximum.at(self._errors[row], nodes, units[row])
        order = np.argsort(net.layout.compiled.first_unit)
        self.on_kinks = self._names(order[np.isin(order, nodes[edge])])
        self.engine, self.dtype, self.rows = net.engine, net.dtype.name, rows
        self.loss_error = loss_error
        self.tolerance = TOLERANCES[self.dtype]
        self.max_error = max(float(self._errors.max(initial=0.0)), loss_error)
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
        return (
            f"engine {self.engine!r} {verdict} with 'reference' in {self.dtype}: "
            f"{self._topology.n_nodes:,} nodes, {self.rows:,} rows, largest relative error "
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
