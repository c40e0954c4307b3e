"""From a model back to a NetworkX graph that builds the same network, to the bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import networkx as nx
import numpy as np

from dagnet.adjacency import offsets
from dagnet.arrays import Array
from dagnet.contracts import Activation, Loss
from dagnet.errors import DagnetError
from dagnet.model.layout import Layout
from dagnet.registry import find_activation, find_loss


def spelled_activation(activation: Activation) -> str | Activation:
    """The call form where the registry gives the same activation back, else the object."""
    return _spelled(activation, find_activation)


def spelled_loss(loss: Loss) -> str | Loss:
    """The call form where the registry gives the same loss back, else the object."""
    return _spelled(loss, find_loss)


def _spelled(item: Any, find: Callable[[str], Any]) -> Any:
    try:
        return str(item) if find(str(item)) == item else item
    except DagnetError:
        return item


def regraph(layout: Layout, parameters: Array, loss: Loss, dtype: Any) -> nx.DiGraph[Any]:
    """See :meth:`dagnet.model.Model.to_networkx`."""
    topology, users = layout.topology, layout.topology.users
    graph: nx.DiGraph[Any] = nx.DiGraph()
    graph.graph.update(users.graph)
    graph.add_nodes_from(zip(topology.nodes, _nodes(layout, parameters), strict=True))
    graph.add_edges_from(_edges(layout, parameters))
    graph.graph["dagnet"] = {
        "inputs": [topology.nodes[node] for node in topology.inputs],
        "outputs": [topology.nodes[node] for node in topology.outputs],
        "loss": spelled_loss(loss),
        "dtype": np.dtype(dtype).name,
    }
    if users.unread:
        graph.graph["dagnet"]["unread"] = list(users.unread)
    return graph


def _nodes(layout: Layout, parameters: Array) -> list[dict[str, Any]]:
    """The attributes of each node."""
    topology, units = layout.topology, layout.topology.units.tolist()
    spelled = [spelled_activation(activation) for activation in topology.activations]
    biases = _split(layout.node_biases(parameters), topology.unit_starts)
    starts = offsets(topology.units[topology.inputs])
    centers, scales = _split(topology.center, starts), _split(topology.scale, starts)
    columns = {node: column for column, node in enumerate(topology.inputs.tolist())}
    has_bias, trainable = topology.has_bias.tolist(), topology.bias_trainable.tolist()
    nodes, users = [], topology.users.nodes
    for node, kind in enumerate(topology.activation_of.tolist()):
        attributes: dict[str, Any] = {} if units[node] == 1 else {"units": units[node]}
        if node in columns:
            center, scale = centers[columns[node]], scales[columns[node]]
            if np.any(center) or np.any(np.not_equal(scale, 1)):
                attributes |= {"center": center, "scale": scale}
        else:
            attributes["activation"] = spelled[kind]
            attributes["bias"] = biases[node] if has_bias[node] else False
            if has_bias[node] and not trainable[node]:
                attributes["trainable"] = False
        nodes.append({**users[node], **attributes} if node in users else attributes)
    return nodes


def _split(values: Array, starts: Array) -> list[Any]:
    """The pieces of a vector: a number where there is one, else an array in double precision."""
    if len(values) == len(starts) - 1:
        return values.tolist()
    pieces = np.split(values.astype(np.float64), starts[1:-1])
    return [float(piece[0]) if len(piece) == 1 else piece for piece in pieces]


def _edges(layout: Layout, parameters: Array) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
    topology = layout.topology
    names, units, trainable = topology.nodes, topology.units.tolist(), topology.edge_trainable.tolist()
    weights = _split(parameters[layout.weights], topology.weight_starts)
    groups = [] if topology.share is None else topology.share.tolist()
    users = topology.users.edges
    ends = zip(topology.sources.tolist(), topology.targets.tolist(), weights, strict=True)
    for edge, (source, target, weight) in enumerate(ends):
        one = type(weight) is float
        attributes = {"weight": weight if one else weight.reshape(units[target], units[source])}
        if not trainable[edge]:
            attributes["trainable"] = False
        if groups and groups[edge] >= 0:
            attributes["share"] = topology.share_keys[groups[edge]]
        yield names[source], names[target], {**users[edge], **attributes} if edge in users else attributes
