"""From a model back to a NetworkX graph that builds the same network, to the bit."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np

from dagnet.adjacency import offsets
from dagnet.arrays import Array
from dagnet.contracts import Aggregation, Loss
from dagnet.model.layout import Layout
from dagnet.registry import find_activation, find_aggregation, find_loss, spelled
from dagnet.topology import edge_values


def regraph(layout: Layout, parameters: Array, loss: Loss, dtype: Any) -> nx.DiGraph[Any]:
    """See :meth:`dagnet.model.Model.to_networkx`."""
    topology, users = layout.topology, layout.topology.users
    graph: nx.DiGraph[Any] = nx.DiGraph()
    graph.graph.update(users.graph)
    graph.add_nodes_from(zip(topology.nodes, _nodes(layout, parameters), strict=True))
    _add_edges(graph, layout, parameters)
    graph.graph["dagnet"] = {
        "inputs": [topology.nodes[node] for node in topology.inputs],
        "outputs": [topology.nodes[node] for node in topology.outputs],
        "loss": spelled(loss, find_loss),
        "dtype": np.dtype(dtype).name,
    }
    if users.unread:
        graph.graph["dagnet"]["unread"] = list(users.unread)
    return graph


def _nodes(layout: Layout, parameters: Array) -> list[dict[str, Any]]:
    """The attributes of each node."""
    topology, units = layout.topology, layout.topology.units.tolist()
    activations = [spelled(activation, find_activation) for activation in topology.activations]
    biases = _split(layout.node_biases(parameters), topology.unit_starts)
    starts = offsets(topology.units[topology.inputs])
    centers, scales = _split(topology.center, starts), _split(topology.scale, starts)
    columns = {node: column for column, node in enumerate(topology.inputs.tolist())}
    has_bias, trainable = topology.has_bias.tolist(), topology.bias_trainable.tolist()
    nodes = []
    for node, kind in enumerate(topology.activation_of.tolist()):
        attributes: dict[str, Any] = {} if units[node] == 1 else {"units": units[node]}
        if node in topology.categories:
            attributes["categories"] = list(topology.categories[node])
        if node in columns:
            center, scale = centers[columns[node]], scales[columns[node]]
            if np.any(center) or np.any(np.not_equal(scale, 1)):
                attributes |= {"center": center, "scale": scale}
        else:
            attributes["activation"] = activations[kind]
            attributes["bias"] = biases[node] if has_bias[node] else False
            if has_bias[node] and not trainable[node]:
                attributes["trainable"] = False
        nodes.append(attributes)
    _add_words(nodes, layout, parameters)
    for node, kept in topology.users.nodes.items():
        nodes[node] = {**kept, **nodes[node]}
    return nodes


def _add_words(nodes: list[dict[str, Any]], layout: Layout, parameters: Array) -> None:
    """What nodes learn and keep beside biases, and the rest of what they say."""
    topology = layout.topology
    for name in topology.node_starts:
        holders = topology.nodes_with(name)
        pieces = _split(parameters[layout.node_places(name)], offsets(topology.units[holders]))
        for node, value in zip(holders.tolist(), pieces, strict=True):
            nodes[node][name] = value
    for word, said in topology.node_words.items():
        for node, value in said.items():
            plugin = isinstance(value, Aggregation)
            nodes[node][word] = spelled(value, find_aggregation) if plugin else value


def _split(values: Array, starts: Array) -> list[Any]:
    """The pieces of a vector: a number where there is one, else an array in double precision."""
    if len(values) == len(starts) - 1:
        return values.tolist()
    pieces = np.split(values.astype(np.float64), starts[1:-1])
    return [float(piece[0]) if len(piece) == 1 else piece for piece in pieces]


def _add_edges(graph: Any, layout: Layout, parameters: Array) -> None:
    """What ``add_edges_from`` does, without looking names up and a second dictionary an edge."""
    topology, names = layout.topology, layout.topology.nodes
    sources, targets = topology.sources.tolist(), topology.targets.tolist()
    weights = _split(layout.weights_of(parameters.astype(np.float64)), topology.weight_starts)
    if not topology.is_plain:
        units = topology.units.tolist()
        shapes = [(units[target], units[source]) for source, target in zip(sources, targets, strict=True)]
        pairs = zip(weights, shapes, strict=True)
        weights = [weight if type(weight) is float else weight.reshape(shape) for weight, shape in pairs]
    attributes: list[dict[str, Any]] = [{"weight": weight} for weight in weights]
    for edge in np.flatnonzero(~topology.edge_trainable).tolist():
        attributes[edge]["trainable"] = False
    if topology.share is not None:
        for edge in np.flatnonzero(topology.share >= 0).tolist():
            attributes[edge]["share"] = topology.share_keys[topology.share[edge]]
    for word, column in topology.edge_words.items():
        for edge, value in edge_values(word, column):
            attributes[edge][word] = value
    for edge, kept in topology.users.edges.items():
        attributes[edge] = {**kept, **attributes[edge]}
    children, parents = list(graph._succ.values()), list(graph._pred.values())  # noqa: SLF001 - see above
    for source, target, given in zip(sources, targets, attributes, strict=True):
        children[source][names[target]] = parents[target][names[source]] = given
