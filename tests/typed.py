"""What a type checker knows of a network, as ``mypy --strict dagnet tests/typed.py`` sees it.

An ignored error that is none is an error, so each ``type: ignore`` says what must be refused.
"""

from typing import Any

import networkx as nx

import dagnet
from dagnet import Network


def of_strings(graph: "nx.DiGraph[str]") -> list[str]:
    """Names of nodes are of the graph's type."""
    net = dagnet.Network(graph, seed=0)
    net.inputs[0].bit_length()  # type: ignore[attr-defined]
    return [net.inputs[0].upper(), net.outputs[0], net.nodes[0], net.levels[0][0], *net.to_networkx()]


def of_pairs(graph: "nx.DiGraph[tuple[str, int]]") -> int:
    """Those of an unrolled graph are pairs."""
    return Network(graph).targets[0][1]


def of_anything(net: Network) -> str:
    """Without a type, as in graphs from files, names are anything."""
    graph: nx.DiGraph[Any] = dagnet.read_graph("graph.graphml")
    return str(net.inputs[0].upper()) + str(Network(graph).inputs[0].upper())


def numbered(arrays: Any) -> int:
    """Of arrays they are numbers."""
    return Network.from_arrays(*arrays).inputs[0]
