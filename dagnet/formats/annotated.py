"""A network as a graph that says all about itself: parameters, levels, roles, and what rows did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from dagnet.arrays import Array
from dagnet.contracts import Observations
from dagnet.formats.users import Form, keep_users
from dagnet.model import ABSENT, Model, prepare

BLOCK = 1 << 22  # values of units and rows held at a time


def annotated(model: Model, observations: Observations | None, form: Form) -> nx.DiGraph[Any]:
    """:meth:`Model.to_networkx` with ``level`` and ``role`` of each node, the user's as a format holds it.

    For given rows also

    - ``mean_value``, ``mean_pre_activation``: means over the rows, of each node;
    - with targets, ``gradient``: of a node, the sum over the rows of δ = ∂loss/∂z, which is the
      derivative for its bias; of an edge, the derivative of the mean loss for its weight.
    """
    graph, topology, layout = model.to_networkx(), model.topology, model.layout
    keep_users(graph, topology, form)
    of_units, gradient = dict[str, Array](), None
    if observations is not None:
        found = row_statistics(model, observations.X, observations.y)
        of_units = {"mean_value": found.mean_value, "mean_pre_activation": found.mean_pre_activation}
        if found.delta_sum is not None:
            of_units["gradient"], gradient = found.delta_sum, found.gradient
    for node, (_, attributes) in enumerate(graph.nodes(data=True)):
        attributes |= {"level": int(topology.level[node]), "role": topology.role(node)}
        units = layout.units_of(node)
        attributes |= {key: _plain(values[units]) for key, values in of_units.items()}
    if gradient is not None:
        names = topology.nodes
        for edge, (source, target) in enumerate(zip(topology.sources, topology.targets, strict=True)):
            block = layout.weights_of(gradient, edge, derivatives=True)
            graph[names[source]][names[target]]["gradient"] = _plain(block)
    return graph


def _plain(values: NDArray[Any]) -> Any:
    return float(values.flat[0]) if values.size == 1 else values.astype(np.float64)


@dataclass(frozen=True, eq=False)
class RowStatistics:
    """Of so many rows; without targets the last three are None.  Means are (units,)."""

    rows: int
    mean_value: Array
    mean_pre_activation: Array
    loss: float | None = None
    delta_sum: Array | None = None
    """(units,) sum over the rows of ∂(mean loss)/∂z."""
    gradient: Array | None = None
    """(parameters,) derivative of the mean loss, also for what is frozen."""


@np.errstate(all="ignore")
def row_statistics(model: Model, X: Any, y: Any = None) -> RowStatistics:
    """Run rows forward and, with targets, backward; :class:`DataError` where they do not fit."""
    inputs, targets, _ = model.encode(X, ABSENT if y is None else y)
    n, plan, theta = len(inputs), model.plan, model.layout.theta(model.vector)
    runner = model.runner if targets is None else full_runner(model)
    everything, sums = np.arange(plan.n_units), np.zeros((3, plan.n_units))
    objective, slots = model.objective, np.zeros(plan.n_slots)
    losses = np.zeros(len(objective.heads))
    step = max(1, BLOCK // max(plan.n_units, 1)) if objective.rowwise else n  # else a loss couples rows
    totals = None if targets is None else objective.totals(targets)
    for start in range(0, n, step):
        block = slice(start, start + step)
        state = runner.forward(theta, inputs[block])
        sums[0] += state.value(everything).sum(axis=1, dtype=np.float64)
        sums[1] += state.pre_activation(everything).sum(axis=1, dtype=np.float64)
        if targets is None or totals is None:
            continue
        found = objective.parts(state.outputs, targets[block], None, pull=True, totals=totals)
        losses += objective.losses(found._replace(totals=totals))
        into = np.zeros(plan.n_slots, model.dtype)
        runner.backward(theta, state, np.asarray(found.pull, model.dtype), into=into)
        slots += into
        sums[2] += state.delta(everything).sum(axis=1, dtype=np.float64)
    means = sums[0] / n, sums[1] / n
    if targets is None:
        return RowStatistics(n, *means)
    gradient = model.layout.collect(slots, model.vector)
    return RowStatistics(n, *means, objective.total(losses), sums[2], gradient)


def full_runner(model: Model) -> Any:
    """A runner whose reverse walk enters every unit and finds every derivative, frozen ones too."""
    return prepare(model.engine, model.plan.everywhere(), model.dtype, model.threads)[1]
