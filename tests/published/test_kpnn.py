"""KPNN: a network of proteins that is the prior knowledge, made robust by dropout on nodes and inputs.

Fortelny and Bock (2020), https://doi.org/10.1186/s13059-020-02100-5.  Nodes are sigmoid; a node is never
dropped out where it is the only parent of another, which would be left with nothing.
"""

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest

import dagnet
from dagnet.hashing import kept, step_key

NODES, INPUTS = 0.3, 0.1


def with_dropout(graph, *, nodes, inputs):
    """The graph with dropout on every node that has children and is the only parent of none of them."""
    drawn = graph.copy()
    for node in graph:
        alone = any(graph.in_degree(child) == 1 for child in graph[node])
        if graph[node] and not alone:
            drawn.nodes[node]["dropout"] = nodes if graph.pred[node] else inputs
    return drawn


def proteins(seed=0):
    """Genes, regulators, signalling proteins and a receptor, each a parent of one or more above it."""
    rng = np.random.default_rng(seed)
    levels = [[f"{kind}{k}" for k in range(count)] for kind, count in (("G", 30), ("TF", 12), ("P", 6))]
    graph = nx.DiGraph()
    for below, above in pairwise(levels):
        for node in above:
            parents = rng.choice(below, 1 if node == above[0] else rng.integers(1, 5), replace=False).tolist()
            graph.add_edges_from((parent, node) for parent in parents)
        lost = [node for node in below if node not in graph or not graph[node]]
        graph.add_edges_from((node, str(rng.choice(above[1:]))) for node in lost)
    graph.add_edges_from((node, "receptor") for node in levels[-1])
    nx.set_node_attributes(graph, "sigmoid", "activation")
    for gene in levels[0]:
        del graph.nodes[gene]["activation"]
    graph.nodes["receptor"]["activation"] = "identity"  # of logits
    return graph


def test_the_rule_by_example():
    graph = nx.DiGraph([("a", "h"), ("b", "h"), ("b", "k"), ("c", "m"), ("d", "m")])
    graph.add_edges_from([("h", "y"), ("k", "y"), ("m", "n"), ("n", "y")])
    drawn = with_dropout(graph, nodes=NODES, inputs=INPUTS)
    said = nx.get_node_attributes(drawn, "dropout")
    assert said == {"a": INPUTS, "c": INPUTS, "d": INPUTS, "h": NODES, "k": NODES, "n": NODES}
    assert not nx.get_node_attributes(graph, "dropout")


@pytest.mark.parametrize("seed", range(5))
def test_nobody_with_one_parent_loses_it(seed):
    drawn = with_dropout(proteins(seed), nodes=NODES, inputs=INPUTS)
    only = {parent for node in drawn if drawn.in_degree(node) == 1 for parent in drawn.pred[node]}
    said = nx.get_node_attributes(drawn, "dropout")
    assert only
    assert not only & said.keys()
    assert said.keys() | only == set(drawn) - {"receptor"}
    assert {NODES, INPUTS} == set(said.values())


@pytest.mark.parametrize("engine", ["reference", "compiled"])
def test_a_step_with_dropout_is_that_of_pytorch_with_the_same_masks(engine):
    torch = pytest.importorskip("torch")
    graph = with_dropout(proteins(), nodes=NODES, inputs=INPUTS)
    net = dagnet.Network(graph, loss="binary_cross_entropy_with_logits", engine=engine, seed=0)
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(70, len(net.inputs))), rng.integers(0, 2, 70).astype(float)
    weights = {
        edge: torch.tensor(float(w), requires_grad=True, dtype=torch.float64)
        for edge, w in net.weights.items()
    }
    biases = {
        node: torch.tensor(float(b), requires_grad=True, dtype=torch.float64)
        for node, b in net.biases.items()
    }
    key = step_key(int(np.random.default_rng(9).integers(2**63)), 0)
    value = dict(zip(net.inputs, torch.tensor(X.T), strict=True))
    for node in nx.topological_sort(graph):
        if graph.pred[node]:
            z = biases[node] + sum(weights[parent, node] * value[parent] for parent in graph.pred[node])
            value[node] = z if node == "receptor" else torch.sigmoid(z)
        if rate := graph.nodes[node].get("dropout", 0):
            unit = net.topology.unit_starts[[net.topology.index[node]]]
            value[node] = value[node] * torch.tensor(kept(key, unit, len(X), rate)[0] / (1 - rate))
    logits = torch.nn.functional.binary_cross_entropy_with_logits
    loss = logits(value["receptor"], torch.tensor(y))
    loss.backward()
    step = {"epochs": 1, "batch_size": len(X), "optimizer": "sgd", "learning_rate": 0.5}
    history = net.fit(X, y, **step, shuffle=False, seed=9)
    assert history["loss"][0] == pytest.approx(loss.item(), rel=1e-9)
    for view, numbers in ((net.weights, weights), (net.biases, biases)):
        for name, number in numbers.items():
            moved = number.item() - 0.5 * number.grad.item()
            assert view[name] == pytest.approx(moved, rel=1e-9, abs=1e-12), name
