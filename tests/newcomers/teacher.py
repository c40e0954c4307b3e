"""A teacher's afternoon: the 2-2-2-1 network on paper, in NumPy and in dagnet, number by number.

The hand-made network is written with one array a layer and the chain rule; dagnet has to agree with it,
and both have to agree with differences of the hand-made loss.
"""

from itertools import pairwise

import networkx as nx
import numpy as np

import dagnet

X = np.array([[0.5, -1.0], [2.0, 3.0], [-0.7, 0.1]])
LAYERS = [["x1", "x2"], ["h11", "h12"], ["h21", "h22"], ["eta"]]


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


# ── By hand ───────────────────────────────────────────────────────────────────────────────


def start(seed):
    """Weights (children, parents) and biases of each layer."""
    draw = np.random.default_rng(seed)
    return [
        (draw.normal(size=(len(children), len(parents))), draw.normal(size=len(children)))
        for parents, children in pairwise(LAYERS)
    ]


def forward(layers):
    values = [X]
    for depth, (W, b) in enumerate(layers):
        z = values[-1] @ W.T + b
        values.append(z if depth == 2 else sigmoid(z))
    return values


def squared(eta, y):
    return np.mean((eta - y) ** 2), 2.0 * (eta - y) / len(y)


def likelihood(eta, y):
    """−log of the Bernoulli likelihood whose logit is eta."""
    p = sigmoid(eta)
    return -np.mean(y * np.log(p) + (1.0 - y) * np.log(1.0 - p)), (p - y) / len(y)


def backward(layers, y, loss):
    values = forward(layers)
    _, delta = loss(values[-1], y[:, None])
    found = []
    for (W, _), below, above in reversed(list(zip(layers, values, values[1:], strict=False))):
        if above is not values[-1]:
            delta = delta * above * (1.0 - above)
        found.append((delta.T @ below, delta.sum(axis=0)))
        delta = delta @ W
    return found[::-1]


def numeric(layers, y, loss, depth, place, step=1e-6):
    def moved(by):
        changed = [(W.copy(), b.copy()) for W, b in layers]
        changed[depth][0][place] += by
        return loss(forward(changed)[-1], y[:, None])[0]

    return (moved(step) - moved(-step)) / (2.0 * step)


# ── The same as a graph ───────────────────────────────────────────────────────────────────


def by_name(layers):
    """Of arrays by layer: weights by edge, biases by node."""
    weights, biases = {}, {}
    for (W, b), parents, children in zip(layers, LAYERS, LAYERS[1:], strict=False):
        for row, child in enumerate(children):
            biases[child] = b[row]
            weights.update({(parent, child): W[row, column] for column, parent in enumerate(parents)})
    return weights, biases


def drawn(layers, loss, **edges):
    graph = dagnet.layered([2, 2, 2, 1], activation="sigmoid")
    weights, biases = by_name(layers)
    for edge, weight in weights.items():
        graph.edges[edge]["weight"] = weight
    for node, bias in biases.items():
        graph.nodes[node]["bias"] = bias
    for key, where in edges.items():
        for edge, value in where.items():
            graph.edges[edge][key] = value
    return dagnet.Network(graph, loss=loss)


def alike(ours, expected, within=1e-12):
    assert ours.keys() == expected.keys(), ours.keys() ^ expected.keys()
    for key, value in expected.items():
        assert abs(ours[key] - value) <= within * max(1.0, abs(value)), (key, ours[key], value)


def the_chapter():
    """Values, both losses, every derivative, one step."""
    for name, loss, y in [
        ("squared_error", squared, np.array([1.0, 100.0, -3.0])),
        ("binary_cross_entropy_with_logits", likelihood, np.array([1.0, 0.0, 1.0])),
    ]:
        layers = start(3)
        net = drawn(layers, name)
        values = net.forward(X)
        for nodes, by_hand in zip(LAYERS, forward(layers), strict=True):
            for column, node in enumerate(nodes):
                assert np.allclose(values[node], by_hand[:, column], rtol=1e-14, atol=0), node
        assert np.isclose(net.evaluate(X, y), loss(forward(layers)[-1], y[:, None])[0], rtol=1e-13)

        gradient, (weights, biases) = net.gradient(X, y), by_name(backward(layers, y, loss))
        alike(dict(gradient.weights), weights)
        alike(dict(gradient.biases), biases)
        assert abs(gradient.weights["x2", "h11"] - numeric(layers, y, loss, 0, (0, 1))) < 1e-6

        net.fit(X, y, epochs=1, batch_size=len(X), optimizer="sgd", learning_rate=0.01)
        stepped = [
            (W - 0.01 * dW, b - 0.01 * db)
            for (W, b), (dW, db) in zip(layers, backward(layers, y, loss), strict=True)
        ]
        alike(dict(net.weights), by_name(stepped)[0])
        alike(dict(net.biases), by_name(stepped)[1])


def on_the_blackboard():
    """One derivative in its factors, two paths; and what a node computes, as a formula."""
    layers, y = start(5), np.array([1.0])
    (W2, _), (W3, _) = layers[1:]
    net = drawn(layers, "squared_error")
    rule = net.trace(("x1", "h12"), X[0], y[0])
    print(rule)
    _, first, second, eta = (value[0] for value in forward(layers))
    through = [W3[0, k] * second[k] * (1 - second[k]) * W2[k, 1] for k in (0, 1)]
    by_hand = 2 * (eta[0] - y[0]) * sum(through) * first[1] * (1 - first[1]) * X[0, 0]
    assert rule.n_paths == 2
    assert abs(rule.value - by_hand) < 1e-13
    assert f"{by_hand:.6g}" in str(rule)
    assert "sigmoid" in net.formula("h11")
    text = net.formula("h11").split("= ")[1].replace("·", "*").replace("−", "-")
    value = eval(text, {"sigmoid": sigmoid, "x1": X[:, 0], "x2": X[:, 1]})
    assert np.allclose(value, forward(layers)[1][:, 0], rtol=1e-4), text


def frozen_and_shared():
    """What is frozen stays to the bit; a shared weight's derivative is the sum of its places'."""
    layers, y = start(9), np.array([0.3, 0.1, 0.9])
    layers[0][0][:, 0] = 0.4  # the two edges out of x1
    pair = [("x1", "h11"), ("x1", "h12")]
    net = drawn(layers, "squared_error", trainable={("x2", "h11"): False}, share=dict.fromkeys(pair, "twin"))
    expected, _ = by_name(backward(layers, y, squared))
    total = expected[pair[0]] + expected[pair[1]]
    gradient = net.gradient(X, y)
    assert ("x2", "h11") not in gradient.weights
    assert all(abs(gradient.weights[edge] - total) < 1e-13 for edge in pair)
    before = net.weights["x2", "h11"]
    net.fit(X, y, epochs=1, batch_size=3, optimizer="sgd", learning_rate=0.5)
    assert net.weights["x2", "h11"] == before
    assert net.weights[pair[0]] == net.weights[pair[1]]
    assert abs(net.weights[pair[0]] - (0.4 - 0.5 * total)) < 1e-13


def exclusive_or():
    """The check of relu networks that learn XOR: none of twenty starts is called wrong."""
    rows, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    solved = 0
    for seed in range(20):
        net = dagnet.Network(dagnet.layered([2, 8, 1]), loss="squared_error", seed=seed)
        assert dagnet.check_gradient(net, rows, y).passed, seed
        net.fit(rows, y, epochs=400, batch_size=4, learning_rate=0.05, seed=seed)
        check = dagnet.check_gradient(net, rows, y)
        assert check.passed, (seed, str(check))
        hidden = [f"h1{k}" for k in range(1, 9)]
        W = np.array([[net.weights[x, h] for x in ("x1", "x2")] for h in hidden])
        b = np.array([net.biases[h] for h in hidden])
        out = np.array([net.weights[h, "eta"] for h in hidden])
        by_hand = np.maximum(rows @ W.T + b, 0.0) @ out + net.biases["eta"]
        assert np.allclose(by_hand, net(rows)[:, 0], atol=1e-12)
        solved += bool(((by_hand > 0.5) == y).all())
    assert solved >= 15, solved


def at_the_kink():
    """relu at z = 0: PyTorch's derivative is 0, differences say half; the check does not judge."""
    graph = nx.DiGraph()
    graph.add_edge("x", "h", weight=1.0)
    graph.add_edge("h", "y", weight=3.0)
    graph.nodes["h"].update(bias=-2.0, activation="relu")
    net = dagnet.Network(graph, loss="squared_error")
    assert net.gradient([[2.0]], [1.0]).weights["x", "h"] == 0.0
    check = dagnet.check_gradient(net, [[2.0]], [1.0])
    print(check)
    assert check.passed
    assert set(check.not_judged) == {("x", "h"), "h"}, check.not_judged
    assert set(dagnet.check_gradient(net, [[2.5]], [1.0]).not_judged) == set()


if __name__ == "__main__":
    the_chapter()
    on_the_blackboard()
    frozen_and_shared()
    exclusive_or()
    at_the_kink()
