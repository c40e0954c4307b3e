"""Other wirings of a graph: who is whose parent drawn anew, degrees, levels and attributes kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import networkx as nx
import numpy as np

from dagnet.model import make_generator
from dagnet.topology import checked_graph, name_keys, refuse_cycles
from dagnet.values import one_of

KEEP = one_of("levels", "degrees")
SWAPS = 10
OWN = {"weight": "weight", "trainable": "trainable", "bias": "bias"}


def rewired(graph: nx.DiGraph[Any], seed: int, keep: str = "levels") -> nx.DiGraph[Any]:
    """The same nodes wired at random: each with its level, and as many children, and parents of each level.

    Pairs of edges whose parents are of one level exchange children, ten times as often as there are edges,
    unless an edge would be there twice or their ends differ in units (Maslov and Sneppen, 2002).  Nodes
    keep their attributes, biases and activations among them.  An edge's attributes (``share``, ``bounds``,
    ``factor``, ``trainable``, …, yours) stay with its parent, but ``weight`` where the edge learns: that
    belongs to a place, and is left out to be drawn anew.

    Parameters
    ----------
    graph
        A ``networkx.DiGraph`` without cycles; it is not changed.
    seed
        A whole number; the same graph in another order is rewired alike.
    keep
        ``"levels"``; or ``"degrees"`` alone: parents may be of any level that is lower in the graph as given.

    Raises
    ------
    GraphError, DataError
        For cycles and what is no graph; for other words.

    Examples
    --------
    >>> import dagnet, networkx as nx
    >>> graph = nx.DiGraph([("x1", "h1"), ("x2", "h1"), ("x3", "h2"), ("x4", "h2"), ("h1", "y"), ("h2", "y")])
    >>> other = dagnet.rewired(graph, 0)
    >>> dict(other.in_degree) == dict(graph.in_degree), other.edges == graph.edges
    (True, False)
    """
    graph, keep, generator = checked_graph(graph), KEEP.check("keep", keep), make_generator(seed)
    refuse_cycles(graph)
    level = {node: n for n, nodes in enumerate(nx.topological_generations(graph)) for node in nodes}
    key = dict(zip(graph, name_keys(list(graph)).tolist(), strict=True))
    units = {node: said or 1 for node, said in graph.nodes(data="units")}
    edges = sorted(graph.edges, key=lambda edge: (key[edge[0]], key[edge[1]]))
    kinds: dict[Any, list[int]] = {}
    for place, (u, v) in enumerate(edges):
        kinds.setdefault((keep == "degrees" or level[u], units[u], units[v]), []).append(place)
    children, taken = [v for _, v in edges], set(edges)
    for kind in kinds.values():
        for pair in generator.integers(len(kind), size=(SWAPS * len(kind), 2)).tolist():
            one, other = kind[pair[0]], kind[pair[1]]
            u, v, a, b = edges[one][0], children[one], edges[other][0], children[other]
            if (u, b) in taken or (a, v) in taken or level[u] >= level[b] or level[a] >= level[v]:
                continue
            taken -= {(u, v), (a, b)}
            taken |= {(u, b), (a, v)}
            children[one], children[other] = b, v
    return wired(graph, ((edge[0], v, graph.edges[edge]) for edge, v in zip(edges, children, strict=True)))


def wired(
    graph: nx.DiGraph[Any],
    edges: Iterable[tuple[Any, Any, Mapping[str, Any]]],
    words: Mapping[str, Any] = OWN,
) -> nx.DiGraph[Any]:
    """The nodes of a graph with other edges, the start weights of what learns left out."""
    result: nx.DiGraph[Any] = nx.DiGraph(**graph.graph)
    result.add_nodes_from(graph.nodes(data=True))
    for parent, child, said in edges:
        result.add_edge(parent, child)
        kept = {word for word in said if word != words["weight"] or not said.get(words["trainable"], True)}
        result.edges[parent, child].update({word: said[word] for word in said if word in kept})
    return result


def afresh(graph: nx.DiGraph[Any], arguments: Mapping[str, Any]) -> nx.DiGraph[Any]:
    """A copy of a graph without the start weights and start biases of what learns."""
    said = arguments.get("attributes")
    words = {**OWN, **(said if isinstance(said, Mapping) else {})}
    weight = arguments.get("weight")
    words["weight"] = words["weight"] if weight in {None, "weight"} else weight
    result = wired(graph, graph.edges(data=True), words)
    for node, own in result.nodes(data=True):
        bias = own.get(words["bias"])
        if bias is not None and not isinstance(bias, (bool, np.bool_)) and own.get(words["trainable"], True):
            result.nodes[node].pop(words["bias"])
    return result
