"""Importance and its controls."""

import networkx as nx
import numpy as np
import pytest

import dagnet


class Standing:
    """gradient*input of a network of one output, from public results."""

    def __init__(self, net, X, groups):
        forward = net.forward(X)
        (out,) = net.outputs
        gradient = net.gradient(X, net(X) - 1.0)
        rows = len(net(X))
        delta = {node: gradient.delta(node) * rows / 2 for node in net.nodes if node not in net.inputs}
        by = {}
        for node in net.nodes:
            children = [child for parent, child in net.edges if parent == node]
            by[node] = sum(net.weights[node, child] * delta[child] for child in children)
        self.found = {node: forward[node] * by[node] for node in net.nodes if node != out}
        self.found[out] = forward[out]
        for name, members in (groups or {}).items():
            self.found[name] = sum(self.found[member] for member in members)

    def mean_absolute(self):
        return {node: float(np.abs(values).mean()) for node, values in self.found.items()}


@pytest.fixture(autouse=True)
def standing(monkeypatch):
    def attribute(net, X, of=None, *, method="deeplift", baseline=None, groups=None):
        return Standing(net, X, groups)

    monkeypatch.setattr(dagnet.Network, "attribute", attribute, raising=False)


def planted(seed, twin=True, rows=200):
    rng = np.random.default_rng(seed)
    graph = nx.DiGraph()
    names = [f"h{k}" for k in range(10)] + (["twin"] if twin else [])
    X = rng.normal(size=(rows, 30))
    for k, name in enumerate(names):
        graph.add_node(name, activation="tanh")
        of = k if k < 10 else 0
        for j in range(3):
            graph.add_edge(f"x{3 * of + j:02d}", name)
        graph.add_edge(name, "y")
    inputs = [f"x{j:02d}" for j in range(30)]
    w = rng.choice([-1, 1], size=(3, 3)) * rng.uniform(0.7, 1.3, (3, 3))
    y = sum(np.tanh((X[:, 3 * k : 3 * k + 3] * w[k]).sum(axis=1)) for k in range(3))
    return graph, inputs, X, y + 0.3 * rng.normal(size=rows)


def test_first():
    graph, inputs, X, y = planted(0)
    import time

    t = time.time()
    found = dagnet.importance(graph, X, y, inputs=inputs, seeds=3, shuffles=19, epochs=20, learning_rate=0.01)
    print(time.time() - t)
    print(found)
    t = time.time()
    found = dagnet.importance(
        graph, X, y, inputs=inputs, seeds=3, shuffles=19, epochs=20, learning_rate=0.01, null="node"
    )
    print(time.time() - t)
    print(found)
    print(found.to_frame())
