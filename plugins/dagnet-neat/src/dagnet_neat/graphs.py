"""From NEAT's genes to a graph: what a genome and an exported file have in common.

NEAT computes act(bias + response · aggregation of w · x).  A graph has no response.  All aggregations
but the product commute with it: each weight carries its child's, response · w, and where a response is
below 0 a maximum becomes a minimum.  Into a product only the first connection's weight carries it.
A product of nothing is 1: without parents the bias carries the response.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx

import dagnet
from dagnet_neat.activations import dagnet_activations

__all__ = ["Connection", "Node", "drawn"]

AGGREGATIONS = ("sum", "product", "max", "min", "maxabs", "median", "mean")
TURNED = {"max": "min", "min": "max"}
OWN = frozenset(activation.name for activation in dagnet_activations())


@dataclass(frozen=True)
class Node:
    """A node gene; ``custom`` says which of its functions are not neat-python's own."""

    key: Hashable
    bias: float
    response: float
    activation: str
    aggregation: str
    custom: tuple[str, ...] = ()


@dataclass(frozen=True)
class Connection:
    """An enabled connection gene."""

    source: Hashable
    target: Hashable
    weight: float


def drawn(
    inputs: Sequence[Hashable],
    outputs: Sequence[Hashable],
    nodes: Iterable[Node],
    connections: Iterable[Connection],
) -> "nx.DiGraph[Any]":
    """The graph of the nodes that an output needs, ready for :class:`dagnet.Network`.

    Raises
    ------
    GraphError
        With all that a graph cannot say: functions that are not known here, aggregations.
    """
    genes = {node.key: node for node in nodes}
    links = list(connections)
    needed = _needed(outputs, links)
    expressed = [link for link in links if link.target in needed]
    into: dict[Hashable, list[Connection]] = {}
    for link in expressed:
        into.setdefault(link.target, []).append(link)
    lacking = [key for key in needed if key not in genes and (key in into or key not in inputs)]
    if lacking:
        raise dagnet.GraphError([f"node {key!r} must have a gene, got a connection only" for key in lacking])
    used = [node for node in genes.values() if node.key in needed]
    problems = [problem for node in used for problem in _problems(node)]
    if problems:
        raise dagnet.GraphError(problems)
    graph: nx.DiGraph[Any] = nx.DiGraph(dagnet={"inputs": list(inputs), "outputs": list(outputs)})
    graph.add_nodes_from(inputs)
    for node in used:
        entering = into.get(node.key, ())
        bias = node.bias + alone(node.aggregation, node.response, len(entering))
        graph.add_node(node.key, activation=f"neat_{node.activation}", bias=bias)
        if len(entering) > 1 and node.aggregation != "sum":
            turned = TURNED.get(node.aggregation) if node.response < 0 else None
            graph.nodes[node.key]["aggregation"] = turned or node.aggregation
        factors = carried(node.aggregation, node.response, len(entering))
        for link, factor in zip(entering, factors, strict=True):
            graph.add_edge(link.source, link.target, weight=factor * link.weight)
    return graph


def carried(aggregation: str, response: float, parents: int) -> list[float]:
    """By what the weights into a node are multiplied, in the order of the connections."""
    return [response] + [1.0 if aggregation == "product" else response] * (parents - 1) if parents else []


def alone(aggregation: str, response: float, parents: int) -> float:
    """What is added to the bias of a node without parents."""
    return response if aggregation == "product" and not parents else 0.0


def _needed(outputs: Sequence[Hashable], links: Sequence[Connection]) -> set[Hashable]:
    """Every node on some path to an output."""
    sources: dict[Hashable, list[Hashable]] = {}
    for link in links:
        sources.setdefault(link.target, []).append(link.source)
    needed, waiting = set(outputs), list(outputs)
    while waiting:
        new = [key for key in sources.get(waiting.pop(), ()) if key not in needed]
        needed.update(new)
        waiting += new
    return needed


def _problems(node: Node) -> list[str]:
    where, problems = f"node {node.key!r}", []
    name = f"neat_{node.activation}"
    own = name in OWN and "activation" not in node.custom
    if not own and (name in OWN or name not in dagnet.activations()):
        problems.append(
            f"{where}: activation must be neat-python's own or registered here, got {node.activation!r}; "
            "give it a name of its own and call dagnet.register(dagnet.Activation('neat_<name>', function))"
        )
    if "aggregation" in node.custom or node.aggregation not in AGGREGATIONS:
        problems.append(
            f"{where}: aggregation must be one of {', '.join(AGGREGATIONS)} as neat-python has them, "
            f"got {node.aggregation!r}; set aggregation_options in NEAT's configuration"
        )
    return problems
