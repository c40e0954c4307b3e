"""From a model back to a NetworkX graph that builds the same network, to the bit."""

from __future__ import annotations

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
    _add_edges(graph, layout, parameters)
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


def _add_edges(graph: nx.DiGraph[Any], layout: Layout, parameters: Array) -> None:
    topology = layout.topology
    names = topology.nodes
    single = (topology.units == 1).all()
    slots = layout.compiled.edge_slot
    flat = parameters[slots if layout.plan.tie is None else layout.plan.tie[slots]].tolist() if single else []
    sources, targets = topology.sources.tolist(), topology.targets.tolist()
    for edge, (source, target) in enumerate(zip(sources, targets, strict=True)):
        attributes: dict[str, Any] = {"weight": flat[edge] if single else _matrix(layout, edge, parameters)}
        if not topology.edge_trainable[edge]:
            attributes["trainable"] = False
        if topology.share is not None and topology.share[edge] >= 0:
            attributes["share"] = topology.share_keys[topology.share[edge]]
        graph.add_edge(names[source], names[target], **attributes)


def _matrix(layout: Layout, edge: int, parameters: Array) -> Any:
    values = parameters[layout.weight_places(edge)]
    topology = layout.topology
    one = topology.units[topology.sources[edge]] == 1 and topology.units[topology.targets[edge]] == 1
    return float(values[0, 0]) if one else values.astype(np.float64)
