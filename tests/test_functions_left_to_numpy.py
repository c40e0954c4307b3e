"""Activations that machine code cannot have: on every engine the derivative is that of the function."""

from functools import partial

import networkx as nx
import numpy as np
import pytest

import dagnet


class Scaled:
    def __init__(self, k):
        self.k = k

    def __call__(self, z):
        return np.tanh(self.k * z)

    def method(self, z):
        return np.tanh(self.k * z)


def keyword_only(z, *, k=0.5):
    return np.tanh(k * z)


def closes_over(container):
    return lambda z: np.tanh(container[0] * z)


def with_inner(z):
    def half(x):
        return 0.5 * x

    return np.tanh(half(z))


FORMS = {
    "callable object": Scaled(0.5),
    "bound method": Scaled(0.5).method,
    "partial": partial(lambda k, z: np.tanh(k * z), 0.5),
    "keyword-only": keyword_only,
    "closure over a list": closes_over([0.5]),
    "closure over an array": closes_over(np.array([0.5])),
    "inner function": with_inner,
    "cbrt": np.cbrt,
    "lambda around cbrt": lambda z: np.cbrt(1.0 + z * z),
}


@pytest.mark.parametrize("form", FORMS)
def test_compiled_and_reference_give_one_gradient(form):
    graph = nx.DiGraph()
    graph.add_node("h", activation=dagnet.Activation("t", FORMS[form]))
    graph.add_edge("x", "h", weight=0.7)
    graph.add_edge("h", "y", weight=1.3)
    graph.nodes["y"]["activation"] = "identity"
    found = []
    for engine in ("reference", "compiled"):
        net = dagnet.Network(graph, engine=engine)
        found.append(net.gradient([[0.9], [-0.4]], [0.1, 0.2]).flat)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)
    assert dagnet.check_gradient(dagnet.Network(graph), [[0.9], [-0.4]], [0.1, 0.2]).passed
