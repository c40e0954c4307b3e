"""The network of a textbook's chapter on backpropagation: by hand, and by dagnet.

    x1 ──→ h11 ──→ h21 ──→
       ╲╱     ╲╱           eta          hidden nodes logistic, eta linear
       ╱╲     ╱╲
    x2 ──→ h12 ──→ h22 ──→

Every node but x1 and x2 has a bias W0, a weight W1 from its first parent and a weight W2 from
its second.  One row: X = (2, 3), Y = 100; the loss is (Y − eta)².
"""

import math

import dagnet

x1, x2, Y = 2.0, 3.0, 100.0

W0 = {"h11": 0.1, "h12": -0.3, "h21": 0.2, "h22": -0.1, "eta": 0.5}
W1 = {"h11": 0.4, "h12": 0.2, "h21": -0.6, "h22": 0.7, "eta": 1.5}
W2 = {"h11": -0.5, "h12": 0.3, "h21": 0.9, "h22": -0.8, "eta": -1.1}


def g(z):
    return 1 / (1 + math.exp(-z))


# ── Forward, written out ──────────────────────────────────────────────────────────────────


def forward(W0, W1, W2):
    h11 = g(W0["h11"] + W1["h11"] * x1 + W2["h11"] * x2)
    h12 = g(W0["h12"] + W1["h12"] * x1 + W2["h12"] * x2)
    h21 = g(W0["h21"] + W1["h21"] * h11 + W2["h21"] * h12)
    h22 = g(W0["h22"] + W1["h22"] * h11 + W2["h22"] * h12)
    eta = W0["eta"] + W1["eta"] * h21 + W2["eta"] * h22
    return {"h11": h11, "h12": h12, "h21": h21, "h22": h22, "eta": eta}


def loss(W0, W1, W2):
    return (Y - forward(W0, W1, W2)["eta"]) ** 2


# ── Backward for one weight, W1 of h11, which is the edge x1 → h11 ────────────────────────


def by_the_chain_rule(W0, W1, W2):
    a = forward(W0, W1, W2)
    dL_deta = -2 * (Y - a["eta"])
    deta_dh21 = W1["eta"]
    deta_dh22 = W2["eta"]
    dh21_dh11 = a["h21"] * (1 - a["h21"]) * W1["h21"]
    dh22_dh11 = a["h22"] * (1 - a["h22"]) * W1["h22"]
    dh11_dw = a["h11"] * (1 - a["h11"]) * x1
    return dL_deta * deta_dh21 * dh21_dh11 * dh11_dw + dL_deta * deta_dh22 * dh22_dh11 * dh11_dw


def by_differences(W0, W1, W2, h=1e-5):
    above = loss(W0, {**W1, "h11": W1["h11"] + h}, W2)
    below = loss(W0, {**W1, "h11": W1["h11"] - h}, W2)
    return (above - below) / (2 * h)


# ── The same with dagnet ──────────────────────────────────────────────────────────────────


def network(W0, W1, W2):
    graph = dagnet.layered([2, 2, 2, 1], activation="sigmoid")
    for node in W0:
        first, second = graph.predecessors(node)
        graph.nodes[node]["bias"] = W0[node]
        graph.edges[first, node]["weight"] = W1[node]
        graph.edges[second, node]["weight"] = W2[node]
    return dagnet.Network(graph, loss="squared_error")


def main():
    net = network(W0, W1, W2)
    X, y = [[x1, x2]], [Y]

    print("forward              by hand              dagnet")
    values = net.forward(X)
    for node, by_hand in forward(W0, W1, W2).items():
        print(f"  {node:<6}{by_hand:>22.15f}{values[node][0]:>22.15f}")
    print(f"  {'loss':<6}{loss(W0, W1, W2):>22.12f}{net.evaluate(X, y):>22.12f}")

    print("\n∂L/∂w for x1 → h11")
    print(f"  dagnet               {net.gradient(X, y).weights['x1', 'h11']:.12f}")
    print(f"  the chain rule       {by_the_chain_rule(W0, W1, W2):.12f}")
    print(f"  differences          {by_differences(W0, W1, W2):.12f}")

    print("\nthe factors of it, read from the network\n")
    print(net.trace(("x1", "h11"), [x1, x2], Y))

    print("\nthe whole backward pass\n")
    print(net.trace_all([x1, x2], Y))

    print("\nevery derivative against differences\n")
    print(dagnet.check_gradient(net, X, y))

    print("\ngradient descent: W ← W − 0.1 · ∂L/∂W")
    history = net.fit(X, y, epochs=40, optimizer="sgd", learning_rate=0.1)
    for epoch in (1, 2, 5, 10, 20, 40):
        print(f"  epoch {epoch:>2}: loss {history['loss'][epoch - 1]:.6g}")
    print(f"  eta = {net(X)[0, 0]:.6f}, Y = {Y:g}")


if __name__ == "__main__":
    main()
