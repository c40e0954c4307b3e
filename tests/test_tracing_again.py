"""What a function reads may change: the next network and the next fit see it, a network as it is does not."""

import sys
import types
from dataclasses import dataclass

import numpy as np
import pytest

import dagnet

ENGINES = [name for name, engine in dagnet.engines().items() if engine.unavailable() is None]
X, Y = np.array([[0.9], [-0.4], [2.0]]), np.array([0.1, 0.2, 0.3])
FACTOR = 1.0
STRANGER = types.ModuleType("stranger")
STRANGER.g = lambda z: np.tanh(1.0 * z)


def helper(z):
    return FACTOR * z


@dataclass(frozen=True)
class Scaled:
    k: float

    def __call__(self, z):
        return self.scaled(z)

    def scaled(self, z):
        return np.tanh(self.k * z)


def closed(k):
    return lambda z: np.tanh(k * z)


HERE = sys.modules[__name__]
READS = {  # each time: a function, what is set, and to what
    "a global": lambda: (lambda z: np.tanh(FACTOR * z), HERE, "FACTOR", 3.0),
    "a helper": lambda: (lambda z: np.tanh(helper(z)), HERE, "helper", lambda z: 3.0 * z),
    "a helper's global": lambda: (lambda z: np.tanh(helper(z)), HERE, "FACTOR", 3.0),
    "a cell": lambda: (f := closed(1.0), f.__closure__[0], "cell_contents", 3.0),
    "a default": lambda: (f := lambda z, k=1.0: np.tanh(k * z), f, "__defaults__", (3.0,)),
    "its code": lambda: (f := lambda z: np.tanh(1.0 * z), f, "__code__", (lambda z: np.tanh(3 * z)).__code__),
    "a module": lambda: (lambda z: STRANGER.g(z) + 0.0, STRANGER, "g", lambda z: np.tanh(3.0 * z)),
    "a method": lambda: (Scaled(1.0), Scaled, "scaled", lambda _self, z: np.tanh(3.0 * z)),
}  # fmt: skip


@pytest.fixture(params=[*READS, "an array"])
def changing(request, monkeypatch):
    """A function that is tanh(z), and what makes it tanh(3 z)."""
    if request.param == "an array":
        k = np.array(1.0)
        return closed(k), lambda: np.copyto(k, 3.0)
    function, place, name, value = READS[request.param]()
    return function, lambda: monkeypatch.setattr(place, name, value)


def network(engine, activation="identity", **settings):
    graph = dagnet.layered([1, 1])
    graph.edges["x1", "eta"]["weight"] = 1.0
    graph.nodes["eta"].update(bias=False, activation=activation)
    return dagnet.Network(graph, engine=engine, **settings)


@dataclass(frozen=True)
class Bent(dagnet.Optimizer):
    name = "bent"
    learning_rate: float = 0.5
    function: object = None

    def update(self, parameter, gradient, state, step, learning_rate):
        return parameter - learning_rate * self.bent(gradient), state

    def bent(self, gradient):
        return self.function(gradient)


@pytest.mark.parametrize("engine", ENGINES)
def test_all_is_traced_again_for_the_next_network_and_the_next_fit_and_not_before(changing, engine):
    function, change = changing
    activation = dagnet.Activation("mine", function)
    loss = dagnet.Loss("mine", lambda o, t: np.square(function(o) - t).sum(axis=1))
    before, after = (np.mean(np.square(np.tanh(k * X[:, 0]) - Y)) for k in (1, 3))
    net, lossy, fitted = network(engine, activation), network(engine, loss=loss), network(engine)
    step = np.tanh(slope := fitted.gradient(X, Y).flat[0])
    values, slopes = net(X), net.gradient(X, Y).flat
    np.testing.assert_allclose(values, np.tanh(X), rtol=1e-13)
    assert lossy.gradient(X, Y).loss == pytest.approx(before)
    fitted.fit(X, Y, epochs=1, optimizer=Bent(function=function))
    assert fitted.weights["x1", "eta"] == pytest.approx(1 - 0.5 * step, rel=1e-13)
    change()
    np.testing.assert_array_equal(net(X), values)
    np.testing.assert_array_equal(net.gradient(X, Y).flat, slopes)
    assert lossy.gradient(X, Y).loss == pytest.approx(before)
    np.testing.assert_allclose(network(engine, activation)(X), np.tanh(3 * X), rtol=1e-13)
    assert network(engine, loss=loss).gradient(X, Y).loss == pytest.approx(after)
    net.fit(X, Y, epochs=1)
    np.testing.assert_allclose(net(X), np.tanh(3 * X * net.weights["x1", "eta"]), rtol=1e-13)
    assert lossy.fit(X, Y, epochs=1)["loss"][0] == pytest.approx(after)
    fitted.parameters[:] = 1.0
    fitted.fit(X, Y, epochs=1, optimizer=Bent(function=function))
    assert fitted.weights["x1", "eta"] == pytest.approx(1 - 0.5 * np.tanh(3 * slope), rel=1e-13)


def test_what_did_not_change_is_not_traced_again():
    k = 2.0
    activation = dagnet.Activation("mine", lambda z: np.tanh(k * helper(z)) + np.where(z > 0, 1.0, z))
    assert activation.formula is not None
    assert activation.refreshed() is activation
    k = 2.5
    assert activation.refreshed() is not activation
    assert dagnet.activations()["gelu"].refreshed() is dagnet.activations()["gelu"]
