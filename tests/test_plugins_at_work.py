"""Plugins that misbehave: found out when they are made or, at the latest, at work, and named."""

import math

import networkx as nx
import numpy as np
import pytest

import dagnet
from dagnet.contracts import Initializer
from dagnet.errors import PluginError


def build(**arguments):
    graph = nx.DiGraph([("x", "h"), ("h", "y"), ("h", "z")])
    return dagnet.Network(graph, engine="reference", **arguments)


def writes(z):
    z *= 2
    return z.copy()


def writes_elsewhere(z, a):
    a[:] = 0
    return np.ones_like(z)


def ones(z, a):
    return np.ones_like(a)


@pytest.mark.parametrize(
    ("function", "derivative", "words"),
    [
        (lambda z: z.sum(axis=0), ones, ["float64 of shape (3, 4), got float64 of shape (4,)"]),
        (lambda z: z[:2], ones, ["function", "shape (2, 4)"]),
        (lambda z: z > 0, ones, ["function", "bool of shape (3, 4)"]),
        (lambda z: z + 1j, ones, ["function", "complex128"]),
        (lambda z: None, ones, ["function", "a NoneType"]),
        (lambda z: z.T.copy(), ones, ["function", "shape (4, 3)"]),
        (writes, ones, ["function must leave its arguments as they are"]),
        (math.tanh, ones, ["raised TypeError"]),
        (lambda z, more: z, ones, ["function of 1 argument, (z)", "more"]),
        (lambda z: 1 // 0, ones, ["raised ZeroDivisionError"]),
        (lambda z: z / np.linalg.norm(z), ones, ["function must treat each number by itself"]),
        (lambda z: np.cumsum(z, axis=0), ones, ["function must treat each number by itself"]),
        (np.tanh, lambda z, a: a[0], ["derivative", "shape (4,)"]),
        (np.tanh, lambda z, a: 1, ["derivative", "an int"]),
        (np.tanh, lambda z: 1 - z, ["derivative", "must be a function of 2 arguments, (z, a)"]),
        (np.tanh, writes_elsewhere, ["derivative must leave its arguments as they are"]),
    ],
)
def test_faulty_activations_are_named_when_they_are_made(function, derivative, words):
    with pytest.raises(PluginError) as caught:
        dagnet.Activation("faulty", function, derivative)
    for word in ("activation 'faulty'", *words):
        assert word in str(caught.value)


def test_parameters_of_the_wrong_type_are_named_too():
    steep = dagnet.Activation("steep", lambda z, k: k * z, lambda z, a, k: k + 0 * z, parameters={"k": 2.0})
    assert build(activation=steep.bind(3.0), weight=None).forward([[0.0]])["h"] == 0
    with pytest.raises(PluginError, match="activation 'steep'"):
        steep.bind(k="much")


def test_a_plugin_error_of_the_plugin_passes_through():
    def function(z):
        raise PluginError("no licence")

    with pytest.raises(PluginError, match=r"^no licence$"):
        dagnet.Activation("licensed", function, ones)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "function",
    [
        lambda z: z,
        np.log,
        np.sqrt,
        lambda z: np.exp(1000 * z),
        lambda z: np.where(z > 0, z, 0.0),
        lambda z: z * np.float64(2),
        lambda z: np.broadcast_to(z, z.shape),
    ],
)
def test_odd_but_sound_activations_are_accepted_in_silence(function, dtype):
    net = build(activation=dagnet.Activation("odd", function), dtype=dtype)
    assert net([[1.0]]).dtype == dtype


def test_what_cannot_change_is_traced_once(monkeypatch):
    activation = dagnet.Activation("once", lambda z: np.tanh(z) * 2)
    monkeypatch.setattr("dagnet.contracts.probing.traced", None)
    for engine in ("reference", "auto"):
        dagnet.Network(nx.DiGraph([("x", "y")]), activation=activation, engine=engine)


def test_inputs_are_not_tried():
    """A network of inputs alone applies nothing; identity is there only as the default."""
    graph = nx.DiGraph()
    graph.add_node("x")
    assert dagnet.Network(graph, outputs=["x"], engine="reference")([[2.0]])[0, 0] == 2.0


def squares(o, t):
    return ((o - t) ** 2).sum(axis=1)


def slope(o, t):
    return 2 * (o - t)


def spoils(o, t):
    o -= t
    return (o**2).sum(axis=1)


@pytest.mark.parametrize(
    ("value", "gradient", "words"),
    [
        (lambda o, t: ((o - t) ** 2).mean(), slope, ["value", "shape (6,)", "shape ()"]),
        (lambda o, t: (o - t) ** 2, slope, ["value", "shape (6,)", "shape (6, 2)"]),
        (squares, lambda o, t: slope(o, t).sum(axis=1), ["gradient", "shape (6, 2)", "shape (6,)"]),
        (spoils, slope, ["value must leave its arguments as they are"]),
        (squares, slope, ["predict", "must be a function of 1 argument, (outputs)"]),
    ],
)
def test_faulty_losses_are_named_when_they_are_made(value, gradient, words):
    with pytest.raises(PluginError) as caught:
        dagnet.Loss("faulty", value, gradient, predict=squares if "predict" in words else None)
    for word in ("loss 'faulty'", *words):
        assert word in str(caught.value)


@pytest.mark.parametrize(("predict", "word"), [(lambda o: o[:, 0], "shape (2,)"), (lambda o: o > 0, "bool")])
def test_faulty_predictions_are_named_when_a_network_is_built(predict, word):
    with pytest.raises(PluginError, match=r"loss 'faulty': predict: result for \(2, 2\)") as caught:
        build(loss=dagnet.Loss("faulty", squares, slope, predict=predict))
    assert word in str(caught.value)


@pytest.mark.parametrize("targets", ["real", "binary", "probability", "count", "class"])
def test_a_loss_may_refuse_the_numbers_that_are_tried(targets):
    def value(o, t):
        if (o == 0.5).all():
            raise dagnet.DataError("halves are not defined")
        return squares(o, t)

    net = build(loss=dagnet.Loss("picky", value, slope, targets=targets), seed=0)
    net.parameters[:] = 0
    net.biases.update({"y": 0.5, "z": 0.5})
    with pytest.raises(dagnet.DataError, match="halves"):
        net.evaluate([[1.0]], [[1.0, 0.0]])


def test_a_loss_whose_shape_changes_with_the_rows_is_caught_when_it_happens():
    value = lambda o, t: squares(o, t) if len(o) < 9 else squares(o, t).sum()
    gradient = lambda o, t: slope(o, t) if len(o) < 9 else slope(o, t)[0]
    X, y = [[1.0]] * 9, [[1.0, 2.0]] * 9
    net = build(loss=dagnet.Loss("changing", value, gradient))
    with pytest.raises(PluginError, match=r"loss 'changing': value must be of shape \(9,\)"):
        net.evaluate(X, y)
    net = build(loss=dagnet.Loss("changing", squares, gradient))
    with pytest.raises(PluginError, match=r"loss 'changing': gradient must be of shape \(9, 2\)"):
        net.gradient(X, y)


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda g, i, o: np.ones(2), ["result must be floats of shape (3,)", "shape (2,)"]),
        (lambda g, i, o: 1.0, ["shape ()"]),
        (lambda g, i, o: np.ones(3, int), ["int64 of shape (3,)"]),
        (lambda g, i, o: np.array([1.0, np.nan, 2.0]), ["result must be finite, got nan"]),
        (lambda g, i: np.ones(3), ["raised TypeError"]),
        (lambda g, i, o: None, ["object"]),
    ],
)
def test_faulty_initializers_are_named(draw, words):
    with pytest.raises(PluginError) as caught:
        build(initializer=Initializer("faulty", draw))
    for word in ("initializer 'faulty'", *words):
        assert word in str(caught.value)


def test_a_plugin_error_of_an_initializer_passes_through():
    def draw(generator, fan_in, fan_out):
        raise PluginError("no luck")

    with pytest.raises(PluginError, match=r"^no luck$"):
        build(initializer=Initializer("unlucky", draw))


class Lame:
    """An engine that runs nothing, or only says so late."""

    priority = 1000

    def __init__(self, name, reason=None):
        self.name, self.reason = name, reason

    def unavailable(self):
        return self.reason

    def prepare(self, plan, *, dtype, threads):
        raise dagnet.contracts.Unsupported("it is Sunday")

    def fused_step(self, optimizer, *, dtype, threads):
        return None


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (Lame("lame_here", "no such machine"), "engine 'lame_here' cannot run here: no such machine"),
        (Lame("lame_now"), "engine 'lame_now' does not run this network: it is Sunday"),
    ],
)
def test_auto_takes_the_next_engine_and_says_so_once(monkeypatch, engine, words):
    from dagnet.model import selection

    table = {**dagnet.engines(), engine.name: engine}
    monkeypatch.setattr(selection, "engines", lambda: table)
    with pytest.warns(dagnet.DagnetWarning, match=words):
        net = dagnet.Network(nx.DiGraph([("x", "y")]))
    assert net.engine != engine.name
    dagnet.Network(nx.DiGraph([("x", "y")]))
    with pytest.raises(PluginError):
        dagnet.Network(nx.DiGraph([("x", "y")]), engine=engine.name)
    monkeypatch.setattr(selection, "engines", lambda: {engine.name: engine})
    with pytest.raises(PluginError, match="no engine can run this network"):
        dagnet.Network(nx.DiGraph([("x", "y")]))
