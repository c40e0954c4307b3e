"""A network as a graph that says all about itself: parameters, levels, roles, and what rows did."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from dagnet.contracts import Observations
from dagnet.formats.row_statistics import row_statistics
from dagnet.model import Model


def annotated(model: Model, observations: Observations | None) -> nx.DiGraph[Any]:
    """:meth:`Model.to_networkx` with ``level`` and ``role`` of each node.

    For given rows also

    - ``mean_value``, ``mean_pre_activation``: means over the rows, of each node;
    - with targets, ``gradient``: of a node, the sum over the rows of δ = ∂loss/∂z, which is the
      derivative for its bias; of an edge, the derivative of the mean loss for its weight.
    """
    graph, topology, layout = model.to_networkx(), model.topology, model.layout
    of_units, gradient = {}, None
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
            block = gradient[layout.weight_places(edge)]
            graph[names[source]][names[target]]["gradient"] = _plain(block)
    return graph


def _plain(values: NDArray[Any]) -> Any:
    return float(values.flat[0]) if values.size == 1 else values.astype(np.float64)
