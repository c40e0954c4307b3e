"""A network scientist's afternoon: random graphs of three kinds as networks of 300 nodes, on digits.

The forward pass is done again in NumPy with one masked matrix over all nodes; the rest is compared with
itself by another way: other insertion order, other threads, other precision, interrupted and resumed.
"""

import tempfile
from pathlib import Path

import networkx as nx
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

import dagnet

PIXELS, CLASSES, NODES = 64, 10, 300
WIRINGS = {
    "watts_strogatz": lambda: nx.watts_strogatz_graph(NODES, 6, 0.3, seed=1),
    "barabasi_albert": lambda: nx.barabasi_albert_graph(NODES, 4, seed=1),
    "erdos_renyi": lambda: nx.gnp_random_graph(NODES, 0.03, seed=1),
}


def directed(undirected):
    """From the lower number to the higher; the first 64 nodes are pixels, the last ten classes."""
    graph = nx.DiGraph()
    graph.add_nodes_from(range(NODES))
    last = NODES - CLASSES
    graph.add_edges_from(
        (min(edge), max(edge)) for edge in undirected.edges if max(edge) >= PIXELS and min(edge) < last
    )
    for pixel in range(PIXELS):  # random wiring leaves some without a way out
        graph.add_edge(pixel, PIXELS + pixel)
    for node in range(last, NODES):  # and some classes without a way in
        graph.add_edges_from((node - way, node) for way in (10, 30, 70))
    return graph


def arguments():
    return {
        "inputs": range(PIXELS),
        "outputs": range(NODES - CLASSES, NODES),
        "loss": "cross_entropy",
        "activation": "tanh",
        "initializer": "glorot_uniform",
        "seed": 4,
    }


def masked(net, X):
    """All nodes in the order of their numbers, each from a row of one matrix that is 0 where no edge is."""
    W, b = np.zeros((NODES, NODES)), np.zeros(NODES)
    for (parent, child), weight in net.weights.items():
        W[child, parent] = weight
    for node, bias in net.biases.items():
        b[node] = bias
    values = np.zeros((len(X), NODES))
    values[:, :PIXELS] = X
    for node in range(PIXELS, NODES):
        z = values @ W[node] + b[node]
        linear = node >= NODES - CLASSES or not W[node].any()  # an output, or without parents its bias alone
        values[:, node] = z if linear else np.tanh(z)
    return values


def shuffled(graph):
    """The same graph, put together in another order."""
    draw = np.random.default_rng(8)
    other = nx.DiGraph()
    other.add_nodes_from(draw.permutation(list(graph)).tolist())
    edges = list(graph.edges)
    other.add_edges_from(edges[k] for k in draw.permutation(len(edges)))
    assert list(other) != list(graph)
    return other


def wired_and_trained(graph, data):
    X, X_test, y, y_test = data
    net = dagnet.Network(graph, **arguments())
    assert np.abs(masked(net, X)[:, -CLASSES:] - net(X)).max() < 1e-12

    other = dagnet.Network(shuffled(graph), **arguments())
    assert dict(other.weights) == dict(net.weights)
    sources, targets = zip(*graph.edges, strict=True)
    plain = dagnet.Network.from_arrays(sources, targets, [net.weights[e] for e in graph.edges], **arguments())
    assert np.array_equal(plain(X), net(X))

    history = net.fit(X, y, epochs=15, learning_rate=0.005, seed=2)
    assert history["loss"][-1] < history["loss"][0] / 2
    values, forward = masked(net, X_test), net.forward(X_test)
    assert max(np.abs(forward[node] - values[:, node]).max() for node in graph) < 1e-12
    logits = values[:, -CLASSES:]
    softmax = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax /= softmax.sum(axis=1, keepdims=True)
    assert np.allclose(net.predict(X_test), softmax, atol=1e-12)
    assert np.isclose(
        net.evaluate(X_test, y_test), -np.log(softmax[range(len(y_test)), y_test]).mean(), rtol=1e-12
    )
    return float((softmax.argmax(axis=1) == y_test).mean())


def idle_nodes_are_told(graph):
    """What reaches no class gets no derivative: dagnet's mask against NetworkX's ancestors."""
    net = dagnet.Network(graph, **arguments())
    X, y = np.random.default_rng(0).normal(size=(6, PIXELS)), np.arange(6)
    useful = set(net.outputs).union(*(nx.ancestors(graph, node) for node in net.outputs))
    gradient = net.gradient(X, y)
    assert all(gradient.weights[edge] == 0.0 for edge in graph.edges if edge[1] not in useful)
    assert any(gradient.weights[edge] != 0.0 for edge in graph.edges if edge[1] in useful)


def threads_and_precision(graph, data):
    X, X_test, y, _ = data

    def trained(**settings):
        net = dagnet.Network(graph, **arguments(), **settings)
        net.fit(X, y, epochs=2, learning_rate=0.005, seed=2)
        return net

    one, two = trained(threads=1), trained(threads=2)
    assert np.array_equal(one.parameters, two.parameters)
    assert np.array_equal(one(X), two(X))
    net = dagnet.Network(graph, **arguments())
    single = dagnet.Network(graph, **arguments(), dtype="float32")
    single.parameters[:] = net.parameters
    assert single(X_test).dtype == np.float32
    assert np.abs(single(X_test) - net(X_test)).max() <= 1e-5 * max(1.0, np.abs(net(X_test)).max())


def interrupted(graph, data, path):
    """Three epochs, a new process's worth of forgetting, three more: as six at once."""
    X, _, y, _ = data

    def train(epochs):
        net = dagnet.Network(graph, **arguments())
        keep = dagnet.Checkpoint(path)
        history = net.fit(X, y, epochs=epochs, learning_rate=0.005, seed=2, callbacks=[keep], resume=path)
        return net, history

    whole = dagnet.Network(graph, **arguments())
    once = whole.fit(X, y, epochs=6, learning_rate=0.005, seed=2)
    train(3)
    resumed, history = train(6)
    assert np.array_equal(resumed.parameters, whole.parameters)
    assert list(history["loss"]) == list(once["loss"])


def main(folder):
    X, y = load_digits(return_X_y=True)
    data = train_test_split(X / 16.0, y, test_size=0.25, random_state=0)
    linear = LogisticRegression(max_iter=300).fit(data[0], data[2]).score(data[1], data[3])
    for name, wiring in WIRINGS.items():
        graph = directed(wiring())
        accuracy = wired_and_trained(graph, data)
        print(f"{name}: {graph.number_of_edges()} edges, accuracy {accuracy:.3f}, linear {linear:.3f}")
        assert accuracy > 0.8
    idle_nodes_are_told(graph)
    threads_and_precision(graph, data)
    interrupted(graph, data, folder / "run.dagnet")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
