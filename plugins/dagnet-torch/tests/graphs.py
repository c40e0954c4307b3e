"""Graphs with every kind of step, for the tests."""

import networkx as nx
import numpy as np

import dagnet

ACTS = ("tanh", "relu", "gelu", "prelu", "swish", "sigmoid", "identity")


def plain(n=40, seed=3):
    """Skip edges, and seven activations."""
    graph = nx.gnp_random_graph(n, 0.2, seed=seed, directed=True)
    graph = nx.DiGraph((u, v) for u, v in graph.edges if u < v)
    for node in graph:
        if graph.in_degree(node):
            graph.nodes[node]["activation"] = ACTS[node % 7]
    return graph


def words(node):
    """What a node that has parents says, beside its activation."""
    normalized = {"normalization": "batch" if node % 2 else "batch(before_activation=True)"}
    several = {"units": 3, **({"normalization": "layer"} if node % 10 == 3 else {})}
    aggregates = {"aggregation": ("mean", "max", "min", "product")[node % 4]}
    return (normalized, {"dropout": 0.3}, aggregates, several, {})[node % 5]


def rich(n=40, seed=3):
    """Aggregations, units, both normalisations, both dropouts, bounds, factors, frozen and shared weights."""
    graph = plain(n, seed)
    for node, said in graph.nodes(data=True):
        said.update(words(node) if graph.in_degree(node) else {"dropout": 0.2 if node % 2 else 0.0})
    for number, (u, v, said) in enumerate(graph.edges(data=True)):
        for every, word in ((7, {"bounds": (-0.4, 0.5)}), (11, {"factor": 2.0}), (13, {"l1": 0.01})):
            said.update({} if number % every else word)
        said.update({} if number % 17 else {"trainable": False})
        if number % 9 == 0 and "aggregation" not in graph.nodes[v]:
            said["dropout"] = 0.1
        if number % 6 == 1 and not said and all(graph.nodes[end].get("units", 1) == 1 for end in (u, v)):
            said["share"] = f"w{number % 3}"
    return graph


def network(graph, engine, **arguments):
    return dagnet.Network(graph, engine=engine, **{"seed": 1, "threads": 1, **arguments})


def rows_for(net, n=160, seed=1):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, len(net.topology.center)))
    return X, rng.normal(size=(n, len(net.layout.plan.outputs)))
