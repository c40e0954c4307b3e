"""The graph that is compiled: a node that is normalised becomes two, its sum and its normalised value.

Between the two are as many edges as the node has units, each the scale of one unit; the second node's
biases are the shifts.  So scale and shift are weights and biases to all that comes after.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from dagnet.adjacency import levels, narrowest
from dagnet.arrays import Array
from dagnet.contracts import Normalization
from dagnet.registry import find_activation
from dagnet.topology import Topology, normalizations


@dataclass(frozen=True, eq=False)
class Expansion:
    """A graph for the compiler, and how it belongs to the user's.

    Attributes
    ----------
    graph
        The user's nodes and edges come first, under their numbers.
    nodes
        The nodes that are normalised; their second halves have the last numbers, in this order.
    value
        (user's nodes,) the node of ``graph`` that has the node's value.
    owner
        (nodes,) the user's node that each belongs to.
    normalizations, normalized_by
        The distinct normalisations, and (nodes,) the place among them, −1 for none.
    """

    graph: Topology
    nodes: Array
    value: Array
    owner: Array
    normalizations: tuple[Normalization, ...] = ()
    normalized_by: Array | None = None

    @cached_property
    def layers(self) -> Array:
        """(nodes,) the place of what normalises the node over its units, −1 for none."""
        if (by := self.normalized_by) is None:
            return np.full(self.graph.n_nodes, -1)
        over_rows = np.array([*(kind.over_rows for kind in self.normalizations), True])
        return np.where(over_rows[by], -1, by)


def expanded(topology: Topology) -> Expansion:
    """The topology itself where nothing is normalised."""
    n, said = topology.n_nodes, normalizations(topology.node_words)
    everyone = np.arange(n, dtype=narrowest(n))
    if not said:
        return Expansion(topology, np.zeros(0, np.int64), everyone, everyone)
    nodes = topology.normalized
    kinds = tuple(dict.fromkeys(said[node] for node in nodes.tolist()))
    by = np.array([kinds.index(said[node]) for node in nodes.tolist()])
    halves = topology.n_nodes + np.arange(len(nodes))
    value = everyone.copy()
    value[nodes] = halves
    before = np.array([said[node].before_activation for node in nodes.tolist()])
    sources, targets = np.append(value[topology.sources], nodes), np.append(topology.targets, halves)
    graph = _halved(topology, nodes, before, (sources, targets))
    graph = replace(graph, outputs=value[topology.outputs])
    none = np.full(topology.n_nodes, -1)
    return Expansion(graph, nodes, value, np.append(everyone, nodes), kinds, np.append(none, by))


def _halved(topology: Topology, nodes: Array, before: Array, ends: tuple[Array, Array]) -> Topology:
    """With second halves: where the activation comes after, it is theirs, and the first half has none."""
    activations, of = topology.activations, topology.activation_of
    none = find_activation("identity")
    activations = activations if none in activations else (*activations, none)
    identity = activations.index(none)
    more = np.where(before, of[nodes], identity)
    first = of.copy()
    first[nodes[before]] = identity
    free = topology.bias_trainable[nodes]
    k, n_diagonal = len(nodes), int(topology.units[nodes].sum())
    diagonal = np.append(np.zeros(topology.n_edges, bool), np.ones(k, bool))
    graph = replace(
        topology,
        nodes=range(len(first) + k),
        index={},
        sources=ends[0],
        targets=ends[1],
        units=np.append(topology.units, topology.units[nodes]),
        activations=activations,
        activation_of=np.append(first, more).astype(of.dtype),
        has_bias=np.append(topology.has_bias, np.ones(k, bool)),
        bias_trainable=np.append(topology.bias_trainable, free),
        weight_start=np.append(topology.weight_start, np.ones(n_diagonal)),
        edge_trainable=np.append(topology.edge_trainable, free),
        share=_shared_scales(topology, nodes),
        node_words=_shared_shifts(topology, nodes),
        diagonal=diagonal,
    )
    in_degrees = np.bincount(graph.targets, minlength=graph.n_nodes)
    return replace(graph, level=levels(graph.children, in_degrees))


def _shared_scales(topology: Topology, nodes: Array) -> Array | None:
    """(edges and diagonal ones,) groups of weights: nodes that share their biases share scales, too."""
    group = topology.node_groups()[0][nodes]
    if topology.share is None and (group < 0).all():
        return None
    share = np.full(topology.n_edges, -1) if topology.share is None else topology.share
    return np.append(share, np.where(group < 0, -1, group + share.max(initial=-1) + 1))


def _shared_shifts(topology: Topology, nodes: Array) -> dict[str, Any]:
    """The nodes' words, with second halves that share as the first ones do."""
    said = topology.node_words.get("share", {})
    halves = {
        topology.n_nodes + place: ("second half", said[node])
        for place, node in enumerate(nodes.tolist())
        if node in said
    }
    return {**topology.node_words, **({"share": {**said, **halves}} if halves else {})}


def in_training(topology: Topology, expansion: Expansion, first_unit: Array) -> dict[str, Any]:
    """The plan's fields of normalisation and dropout; none of them where there is neither."""
    dropout, units = topology.node_words.get("dropout", {}), topology.units
    if not len(expansion.nodes) and not any(dropout.values()):
        return {}
    n = int(expansion.graph.units.sum())
    rates, numbers, by = np.zeros(n), np.zeros(n, np.uint64), np.full(n, -1)
    first = first_unit[expansion.value]
    places = np.arange(int(units.sum())) + np.repeat(first - topology.unit_starts[:-1], units)
    of_node = np.zeros(topology.n_nodes)
    of_node[list(dropout)] = list(dropout.values())
    rates[places], numbers[places] = np.repeat(of_node, units), np.arange(len(places), dtype=np.uint64)
    if expansion.normalized_by is not None:
        by[places] = np.repeat(expansion.normalized_by[expansion.value], units)
    same = {"normalized_by": by}
    if not any(dropout.values()) and not any(kind.over_rows for kind in expansion.normalizations):
        return same  # training is as prediction
    return same | {"dropout": rates, "unit_numbers": numbers}
