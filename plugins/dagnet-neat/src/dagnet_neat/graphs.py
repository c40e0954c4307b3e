"""From NEAT's genes to a graph: what a genome and an exported file have in common.

NEAT computes act(bias + response · aggregation of w · x).  A graph has no response: each weight
carries its child's, response · w, which for a sum is the same value and the same slope.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx

import dagnet
from dagnet_neat.activations import dagnet_activations

__all__ = ["Connection", "Node", "drawn"]

LIKE_A_SUM = ("product", "max", "min", "maxabs", "median", "mean")
"""Aggregations that give one parent's term unchanged."""
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
    parents = Counter(link.target for link in expressed)
    lacking = [key for key in needed if key not in genes and (parents[key] or key not in inputs)]
    if lacking:
        raise dagnet.GraphError([f"node {key!r} must have a gene, got a connection only" for key in lacking])
    used = [node for node in genes.values() if node.key in needed]
    problems = [problem for node in used for problem in _problems(node, parents[node.key])]
    if problems:
        raise dagnet.GraphError(problems)
    graph: nx.DiGraph[Any] = nx.DiGraph(dagnet={"inputs": list(inputs), "outputs": list(outputs)})
    graph.add_nodes_from(inputs)
    for node in used:
        graph.add_node(node.key, activation=f"neat_{node.activation}", bias=node.bias)
    for link in expressed:
        graph.add_edge(link.source, link.target, weight=genes[link.target].response * link.weight)
    return graph


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


def _problems(node: Node, parents: int) -> list[str]:
    where, problems = f"node {node.key!r}", []
    name = f"neat_{node.activation}"
    own = name in OWN and "activation" not in node.custom
    if not own and (name in OWN or name not in dagnet.activations()):
        problems.append(
            f"{where}: activation must be neat-python's own or registered here, got {node.activation!r}; "
            "give it a name of its own and call dagnet.register(dagnet.Activation('neat_<name>', function))"
        )
    custom = "aggregation" in node.custom
    if custom or (node.aggregation != "sum" and (parents != 1 or node.aggregation not in LIKE_A_SUM)):
        problems.append(
            f"{where}: aggregation must be 'sum' unless a node has one parent, got {node.aggregation!r} "
            f"of {parents}; set aggregation_options = sum in NEAT's configuration"
        )
    return problems
