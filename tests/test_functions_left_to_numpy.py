"""Functions of every form: on every engine one value and one gradient, that of the function.

What has no formula runs through NumPy between kernels, by a derivative of its own or by a tape.
"""

import math
from functools import partial

import networkx as nx
import numpy as np
import pytest

import dagnet
from dagnet.contracts import Unsupported


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


def by_rows(z):
    result = np.zeros_like(z)
    for k in range(len(z)):
        result[k] = np.sin(z[k])
    return result


def there_and_back(z):
    flat = z.reshape(-1)
    order = np.argsort(flat)
    return np.tanh(flat[order])[np.argsort(order)].reshape(z.shape)


FORMULAS = {
    "callable object": Scaled(0.5),
    "bound method": Scaled(0.5).method,
    "partial": partial(lambda k, z: np.tanh(k * z), 0.5),
    "keyword-only": keyword_only,
    "closure over a list": closes_over([0.5]),
    "closure over an array": closes_over(np.array([0.5])),
    "inner function": with_inner,
    "cbrt": lambda z: np.cbrt(1.0 + z * z),
}
TAPED = {
    "by rows": by_rows,
    "there and back": there_and_back,
    "where=": lambda z: np.log(z, where=z > 0, out=np.zeros_like(z)) + z,
    "turned round": lambda z: np.flip(np.flip(np.tanh(z)) ** 3),
    "joined": lambda z: np.concatenate([z[:1], z[1:]]) ** 2,
}
GIVEN = {
    "a table": (
        lambda z: np.interp(z, [-1.0, 0.0, 2.0], [0.0, 1.0, 5.0]).astype(z.dtype),
        lambda z, a: np.where((z > -1) & (z < 2), np.where(z > 0, 2.0, 1.0), 0.0).astype(z.dtype),
    ),
    "number by number": (
        lambda z: np.vectorize(math.sinh, otypes=[z.dtype])(z),
        lambda z, a: np.cosh(z),
    ),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("form", [*FORMULAS, *TAPED, *GIVEN])
def test_engines_give_one_value_and_one_gradient(form, dtype, threads, monkeypatch):
    if "compiled" in dagnet.engines() and dagnet.engines()["compiled"].unavailable() is None:
        from dagnet.engine.compiled import runner

        monkeypatch.setattr(runner, "WORK_PER_THREAD", 1)
    activation = dagnet.Activation("t", *GIVEN.get(form, [{**FORMULAS, **TAPED}.get(form)]))
    assert (activation.formula is not None) == (form in FORMULAS)
    assert (activation.reason == "") == (form in FORMULAS)
    graph = nx.DiGraph()
    for k, node in enumerate(("h1", "h2", "h3")):
        graph.add_node(node, activation=activation if k < 2 else "tanh")
        graph.add_edge("x", node, weight=0.7 + k)
        graph.add_edge(node, "y", weight=1.3 - k)
    graph.nodes["y"]["activation"] = "identity"
    X = np.random.default_rng(0).normal(size=(150, 1))
    values, gradients = [], []
    for engine in dagnet.engines():
        if dagnet.engines()[engine].unavailable() is None:
            try:
                net = dagnet.Network(graph, engine=engine, dtype=dtype, threads=threads)
            except Unsupported:  # a plugin's engine may run formulas alone
                assert engine not in {"compiled", "reference"}
                assert form not in FORMULAS
                continue
            values.append(net(X))
            gradients.append(net.gradient(X, X[:, 0]).flat)
    rtol = 1e-12 if dtype == "float64" else 1e-4
    for value, gradient in zip(values, gradients, strict=True):
        np.testing.assert_allclose(value, values[0], rtol=rtol, atol=rtol / 10)
        np.testing.assert_allclose(gradient, gradients[0], rtol=rtol, atol=rtol / 10)
    if dtype == "float64" and threads == 1:
        assert dagnet.check_gradient(dagnet.Network(graph), [[0.9], [-0.4]], [0.1, 0.2]).passed
