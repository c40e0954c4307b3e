"""The graph of many parts: inputs by their names, all other nodes by (part, node)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import networkx as nx
import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Loss
from dagnet.errors import DagnetError, GraphError, shorten
from dagnet.network import Network
from dagnet.topology import checked_graph, read_settings

HEADS = ("loss", "loss_weight", "target")


class Union:
    """Takes parts in, one by one, and becomes a network; and parts again."""

    def __init__(self, ends: Mapping[str, Any], loss: Any, dtype: Any) -> None:
        self._ends, self._loss, self._dtype = ends, loss, dtype
        self.graph: nx.DiGraph[Any] = nx.DiGraph()
        self.outputs: dict[Hashable, list[tuple[Any, Any]]] = {}
        self.inputs: dict[Hashable, None] = {}
        self._losses: dict[Hashable, Loss] = {}

    def add(self, name: Hashable, drawn: nx.DiGraph[Any]) -> None:
        """One more part."""
        try:
            graph = checked_graph(drawn)
            loss = self._loss.get(name) if isinstance(self._loss, Mapping) else self._loss
            said = read_settings(graph, **self._ends, loss=loss, dtype=self._dtype)
            if said.problems:
                raise GraphError(said.problems)
        except DagnetError as error:
            raise type(error)(f"part {shorten(name)}: {error}") from error
        self._dtype, self._losses[name] = self._numbers(name, said.dtype), said.loss
        inputs, outputs = said.inputs, said.outputs
        if inputs is None:
            inputs = [node for node, parents in graph.pred.items() if not parents]
        if outputs is None:
            outputs = [node for node, children in graph.succ.items() if not children and graph.pred[node]]
        if not outputs:
            raise GraphError(f"part {shorten(name)} has no output; give one, or leave the part out")
        own = frozenset(inputs)
        if both := [node for node in outputs if node in own]:
            mend = "put an identity node between"
            raise GraphError(f"part {shorten(name)}: {shorten(both[0])} is an input and an output; {mend}")
        names = {node: node if node in own else (name, node) for node in graph}
        self.inputs.update(dict.fromkeys(inputs))
        for node, attributes in graph.nodes(data=True):
            self._add_node(name, names[node], attributes, is_input=node in own)
        self.graph.add_edges_from(
            (names[parent], names[child], _keyed(name, attributes))
            for parent, child, attributes in graph.edges(data=True)
        )
        self.outputs[name] = [(name, node) for node in outputs]

    def _add_node(self, name: Hashable, node: Hashable, attributes: Any, *, is_input: bool) -> None:
        several = [word for word in HEADS if word in attributes]
        if several and not is_input:
            mend = "the outputs of a part have one loss together: Population(…, loss={part: …})"
            raise GraphError(f"part {shorten(name)}: node {shorten(node)} says {several[0]}; {mend}")
        if is_input and node in self.graph and dict(self.graph.nodes[node]) != dict(attributes):
            where, mend = f"part {shorten(name)}: input {shorten(node)}", "give it another name"
            raise GraphError(f"{where} has other attributes than that of a part before; {mend}")
        self.graph.add_node(node, **(attributes if is_input else _keyed(name, attributes)))

    def _numbers(self, name: Hashable, dtype: Any) -> Any:
        if self._dtype is not None and np.dtype(self._dtype) != dtype:
            mend = "write Population(…, dtype=…)"
            raise GraphError(f"part {shorten(name)} is of {dtype}, one before of {self._dtype}; {mend}")
        return dtype

    def network(self, arguments: Mapping[str, Any]) -> Network:
        """All of it as one network."""
        clash = next((node for node in self.inputs if node not in self.graph), None)
        if clash is not None:
            raise GraphError(f"inputs: {shorten(clash)} is in no graph")
        parts = self.outputs.items()
        losses = {tuple(own) if len(own) > 1 else own[0]: self._losses[name] for name, own in parts}
        outputs = [node for nodes in self.outputs.values() for node in nodes]
        ends: dict[str, Any] = {"inputs": self.inputs, "outputs": outputs}
        return Network(self.graph, **ends, loss=losses, dtype=self._dtype, **arguments)

    def split(self, net: Network) -> dict[Hashable, nx.DiGraph[Any]]:
        """Each part with the numbers of now."""
        whole = net.to_networkx()
        found: dict[Hashable, nx.DiGraph[Any]] = {name: nx.DiGraph() for name in self.outputs}
        for node, attributes in whole.nodes(data=True):
            if node not in self.inputs:
                said = {key: value for key, value in attributes.items() if key not in HEADS}
                found[node[0]].add_node(node[1], **_plain(said))
        for parent, child, attributes in whole.edges(data=True):
            part, own = found[child[0]], parent in self.inputs
            if own and parent not in part:
                part.add_node(parent, **whole.nodes[parent])
            part.add_edge(parent if own else parent[1], child[1], **_plain(attributes))
        for name, part in found.items():
            inputs = [node for node in self.inputs if node in part]
            outputs = [node for _, node in self.outputs[name]]
            said = {"inputs": inputs, "outputs": outputs, "loss": str(self._losses[name])}
            part.graph["dagnet"] = {**said, "dtype": net.dtype.name}
        return found


def _keyed(name: Hashable, attributes: dict[str, Any]) -> dict[str, Any]:
    """With a key of ``share`` that is the part's own."""
    return {**attributes, "share": (name, attributes["share"])} if "share" in attributes else attributes


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """With the key of ``share`` that the part's graph had."""
    return {**attributes, "share": attributes["share"][1]} if "share" in attributes else dict(attributes)


def part_of_each(net: Network, names: Iterable[Hashable]) -> Array:
    """(numbers of ``net.vector``,) the number of the part that each belongs to."""
    number = {name: k for k, name in enumerate(names)}
    inputs, topology, layout = frozenset(net.inputs), net.topology, net.layout
    nodes: list[Any] = list(topology.nodes)
    part = np.array([-1 if node in inputs else number[node[0]] for node in nodes])
    result = np.zeros(len(net.vector), np.int64)
    result[layout.weights] = np.repeat(part[topology.targets], np.diff(topology.weight_starts))
    has = layout.biases >= 0
    result[layout.biases[has]] = np.repeat(part, np.diff(topology.unit_starts))[has]
    for word in topology.node_starts:
        own = topology.nodes_with(word)
        result[layout.node_places(word)] = np.repeat(part[own], topology.units[own])
    return result
