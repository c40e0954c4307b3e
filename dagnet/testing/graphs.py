"""Graphs that engines and exporters are tried on: every feature that a graph may have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import networkx as nx
import numpy as np

from dagnet.layered import layered
from dagnet.network import Network

ACTIVATIONS = ("tanh", "sigmoid", "softplus", "identity", "sin", "elu")


def small_network() -> Network:
    """A network with names that every format can write, drawn by hand."""
    graph: nx.DiGraph[Any] = nx.DiGraph()
    graph.add_node("x1")
    graph.add_node("x2", center=0.5, scale=2.0)
    graph.add_node("h1", activation="tanh", bias=0.125)
    graph.add_node("h2", activation="leaky_relu(negative_slope=0.2)", bias=False)
    graph.add_node("y", activation="sigmoid")
    graph.add_weighted_edges_from([("x1", "h1", 0.1), ("x2", "h1", -1 / 3), ("x2", "h2", 1e-7)])
    graph.add_weighted_edges_from([("h1", "y", 2.5), ("h2", "y", -0.75), ("x1", "y", 1e3)])
    return Network(graph, loss="binary_cross_entropy", threads=1, seed=0)


def networks(dtype: str) -> Iterator[tuple[str, Network]]:
    """Networks on the reference engine, each with what it is there for."""
    for seed in range(4):
        graph = _random_dag(np.random.default_rng(seed))
        computed = [node for node in graph if graph.in_degree(node)]
        feeding = [node for node in computed if graph.out_degree(node)]
        outputs = [*(node for node in computed if not graph.out_degree(node)), *feeding[:1]]
        yield f"random graph {seed}", _network(graph, dtype, inputs=range(4), outputs=outputs)
    yield "layers", _network(layered([5, 7, 6, 3], activation="tanh", output_activation="sigmoid"), dtype)
    yield "one edge", _network(layered([1, 1]), dtype)
    yield "a chain of 60 levels", _network(_chain(60), dtype)
    yield "nodes of several units", _network(_blocks(), dtype)
    yield "aggregations", _network(_aggregating(), dtype)
    yield "shared and frozen weights", _network(_shared(), dtype)


def _network(graph: nx.DiGraph[Any], dtype: str, **settings: Any) -> Network:
    return Network(graph, dtype=dtype, engine="reference", threads=1, seed=1, **settings)


def _random_dag(rng: np.random.Generator) -> nx.DiGraph[Any]:
    """Skip edges, constants, nodes that reach nothing, with and without a bias."""
    graph: nx.DiGraph[Any] = nx.DiGraph()
    nodes = int(rng.integers(12, 40))
    graph.add_nodes_from(range(nodes))
    for child in range(4, nodes):
        parents = rng.choice(child, size=min(child, int(rng.integers(1, 7))), replace=False)
        graph.add_edges_from((int(parent), child) for parent in parents)
        activation = str(rng.choice(ACTIVATIONS))
        bias = float(rng.normal()) if rng.random() < 0.7 else False
        graph.nodes[child].update(activation=activation, bias=bias)
    graph.add_node("constant", bias=0.5, activation="tanh")
    graph.add_edge("constant", nodes - 1)
    return graph


def _chain(levels: int) -> nx.DiGraph[Any]:
    graph: nx.DiGraph[Any] = nx.DiGraph()
    nx.add_path(graph, range(levels), weight=0.9)
    graph.add_edges_from([(level, level + 7) for level in range(0, levels - 7, 5)], weight=-0.2)
    for node in range(1, levels):
        graph.nodes[node]["activation"] = ACTIVATIONS[node % 4]
    return graph


def _blocks() -> nx.DiGraph[Any]:
    graph: nx.DiGraph[Any] = nx.DiGraph()
    graph.add_node("x", units=3)
    graph.add_node("h", units=5, activation="tanh")
    graph.add_node("k", units=2, activation="softplus")
    graph.add_node("y", units=2)
    graph.add_edges_from([("x", "h"), ("z", "h"), ("h", "k"), ("z", "k"), ("x", "y"), ("k", "y")])
    return graph


def _aggregating() -> nx.DiGraph[Any]:
    """Every aggregation, of nodes of several units, too; terms that tie and terms that are 0."""
    graph: nx.DiGraph[Any] = nx.DiGraph()
    graph.add_node("x", units=3)
    for number, kind in enumerate(("sum", "mean", "product", "max", "min")):
        graph.add_node(kind, aggregation=kind, activation="tanh", units=1 + number % 2, bias=0.25)
        graph.add_edges_from([("x", kind), ("z", kind)])
        graph.add_edge(kind, "y")
        graph.add_edge("zero", kind, weight=0.0)
        graph.add_edge(kind, "best")
    graph.add_node("best", aggregation="max", bias=False)
    graph.add_edge("best", "y", weight=0.5)
    graph.add_edges_from([("z", "tied"), ("same", "tied")], weight=0.5)
    graph.add_node("same", activation="identity", bias=False)
    graph.add_edge("z", "same", weight=1.0)
    graph.add_node("tied", aggregation="max", activation="tanh")
    graph.add_edge("tied", "y")
    return graph


def _shared() -> nx.DiGraph[Any]:
    graph: nx.DiGraph[Any] = nx.DiGraph()
    for node in ("a", "b", "c"):
        graph.add_node(node, activation="tanh")
        graph.add_edge("x1", node, share="first")
        graph.add_edge("x2", node, trainable=node != "b")
        graph.add_edge(node, "y", share="last")
    graph.add_edge("a", "c", weight=0.5, trainable=False)
    graph.add_node("b", activation="tanh", trainable=False)
    return graph
