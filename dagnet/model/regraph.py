"""From a model back to a NetworkX graph that builds the same network, to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from dagnet.contracts import Activation, Loss
from dagnet.errors import DagnetError
from dagnet.model.views import Layout
from dagnet.registry import find_activation, find_loss

__all__ = ["regraph", "spelled_activation", "spelled_loss"]

Array = NDArray[Any]


def spelled_activation(activation: Activation) -> str | Activation:
    """The call form where the registry gives the same activation back, else the object."""
    try:
        return str(activation) if find_activation(str(activation)) == activation else activation
    except DagnetError:
        return activation


def spelled_loss(loss: Loss) -> str | Loss:
    """The call form where the registry gives the same loss back, else the object."""
    try:
        return str(loss) if find_loss(str(loss)) == loss else loss
    except DagnetError:
        return loss


def regraph(layout: Layout, parameters: Array, loss: Loss, dtype: Any) -> nx.DiGraph[Any]:
    """See :meth:`dagnet.model.Model.to_networkx`."""
    topology = layout.topology
    graph: nx.DiGraph[Any] = nx.DiGraph()
    spelled = [spelled_activation(activation) for activation in topology.activations]
    column = 0
    places = {int(node): number for number, node in enumerate(topology.inputs)}
    starts = np.cumsum(topology.units[topology.inputs]) - topology.units[topology.inputs]
    for node, name in enumerate(topology.nodes):
        attributes: dict[str, Any] = {} if topology.units[node] == 1 else {"units": int(topology.units[node])}
        if node in places:
            column = int(starts[places[node]])
            attributes |= _standardisation(layout, node, column)
        else:
            attributes["activation"] = spelled[topology.activation_of[node]]
            attributes |= _bias(layout, node, parameters)
        graph.add_node(name, **attributes)
    graph.add_edges_from(_edges(layout, parameters))
    graph.graph["dagnet"] = {
        "inputs": [topology.nodes[node] for node in topology.inputs],
        "outputs": [topology.nodes[node] for node in topology.outputs],
        "loss": spelled_loss(loss),
        "dtype": np.dtype(dtype).name,
    }
    return graph


def _standardisation(layout: Layout, node: int, column: int) -> dict[str, Any]:
    topology = layout.topology
    columns = slice(column, column + int(topology.units[node]))
    center, scale = topology.center[columns], topology.scale[columns]
    if (center == 0).all() and (scale == 1).all():
        return {}
    return {"center": _plain(center), "scale": _plain(scale)}


def _bias(layout: Layout, node: int, parameters: Array) -> dict[str, Any]:
    topology = layout.topology
    if not topology.has_bias[node]:
        return {"bias": False}
    attributes: dict[str, Any] = {"bias": _plain(parameters[layout.bias_places(node)])}
    if not topology.bias_trainable[node]:
        attributes["trainable"] = False
    return attributes


def _plain(values: Array) -> Any:
    return float(values[0]) if values.size == 1 else values.astype(np.float64)


def _edges(layout: Layout, parameters: Array) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
    topology, plan, slots = layout.topology, layout.plan, layout.compiled.edge_slot
    names, trainable = topology.nodes, topology.edge_trainable.tolist()
    single = (topology.units == 1).all()
    flat = parameters[slots if plan.tie is None else plan.tie[slots]].tolist() if single else []
    groups = [] if topology.share is None else topology.share.tolist()
    ends = zip(topology.sources.tolist(), topology.targets.tolist(), strict=True)
    for edge, (source, target) in enumerate(ends):
        attributes: dict[str, Any] = {"weight": flat[edge] if single else _matrix(layout, edge, parameters)}
        if not trainable[edge]:
            attributes["trainable"] = False
        if groups and groups[edge] >= 0:
            attributes["share"] = topology.share_keys[groups[edge]]
        yield names[source], names[target], attributes


def _matrix(layout: Layout, edge: int, parameters: Array) -> Any:
    values = parameters[layout.weight_places(edge)]
    topology = layout.topology
    one = topology.units[topology.sources[edge]] == 1 and topology.units[topology.targets[edge]] == 1
    return float(values[0, 0]) if one else values.astype(np.float64)
