"""A network as a graph that says all about itself: parameters, levels, roles, and what rows did."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from dagnet.contracts import Observations
from dagnet.formats.observed import Observed, observe
from dagnet.model import Model

Array = NDArray[Any]


def described(model: Model, observations: Observations | None) -> nx.DiGraph[Any]:
    """:meth:`Model.to_networkx` with ``level`` and ``role`` of each node.

    For given rows also

    - ``mean_value``, ``mean_pre_activation``: means over the rows, of each node;
    - with targets, ``gradient``: of a node, the sum over the rows of δ = ∂loss/∂z, which is the
      derivative for its bias; of an edge, the derivative of the mean loss for its weight.
    """
    graph = model.to_networkx()
    topology = model.topology
    for node, (attributes, level) in enumerate(
        zip((data for _, data in graph.nodes(data=True)), topology.level.tolist(), strict=True)
    ):
        attributes["level"] = level
        attributes["role"] = topology.role(node)
    if observations is not None:
        _add_observed(graph, model, observe(model, observations.X, observations.y))
    return graph


def _add_observed(graph: nx.DiGraph[Any], model: Model, observed: Observed) -> None:
    layout = model.layout
    columns = {"mean_value": observed.mean_value, "mean_pre_activation": observed.mean_pre_activation}
    if observed.delta_sum is not None:
        columns["gradient"] = observed.delta_sum
    for node, (_, attributes) in enumerate(graph.nodes(data=True)):
        units = layout.units_of(node)
        attributes |= {key: _plain(values[units]) for key, values in columns.items()}
    if observed.gradient is None:
        return
    topology = model.topology
    names = topology.nodes
    for edge, (source, target) in enumerate(zip(topology.sources, topology.targets, strict=True)):
        block = observed.gradient[layout.weight_places(edge)]
        graph[names[source]][names[target]]["gradient"] = _plain(block)


def _plain(values: Array) -> Any:
    return float(values.flat[0]) if values.size == 1 else values.astype(np.float64)
