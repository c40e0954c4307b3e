"""fit: where numbers leave the finite, what is refused, and snapshots that are no good."""

from __future__ import annotations

import copy
import re
import sys

import networkx as nx
import numpy as np
import pytest
from data.training_cases import Recorder, make_data, make_net

import dagnet
from dagnet.training import Settings, TrainingRun, restore

# -- NaN and infinity ------------------------------------------------------------------------


def test_an_infinite_loss_names_epoch_batch_node_and_row_and_takes_the_batch_back():
    net = dagnet.Network(nx.DiGraph([("x", "h"), ("h", "y")]), activation="identity")
    net.weights.update({("x", "h"): 1e160, ("h", "y"): 1e-160})
    seen = Recorder()
    X, y = np.array([[1.0], [1.0], [1.0], [1e160]]), np.zeros(4)
    with pytest.raises(dagnet.NumericalError, match=r"epoch 1, batch 2: node 'h' became inf in row 3 of X"):
        net.fit(X, y, batch_size=2, shuffle=False, optimizer="sgd", learning_rate=1e-300, callbacks=[seen])
    assert (net.parameters == seen.parameters[-1]).all()
    assert np.isfinite(net.parameters).all()
    assert seen.calls[-1] == "training end"


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("rate", [1e200, 1e308])
def test_a_step_that_overflows_is_taken_back(rate, frozen):
    graph = dagnet.layered([2, 4, 3, 1], activation="tanh")
    if frozen:
        graph.edges["x1", "h11"]["trainable"] = False
    net = dagnet.Network(graph, seed=0)
    X, y = make_data()
    seen = Recorder()
    with pytest.raises(dagnet.NumericalError, match=r"epoch \d+, batch \d+: "):
        net.fit(X, y * 1e3, optimizer="sgd", learning_rate=rate, callbacks=[seen])
    assert (net.parameters == seen.parameters[-1]).all()
    assert np.isfinite(net.parameters).all()


def test_a_derivative_that_is_infinite_while_the_loss_is_finite():
    root = dagnet.Activation("root_of_training_test", np.sqrt, lambda _z, a: 0.5 / a)
    graph = nx.DiGraph([("x", "h", {"weight": 1.0}), ("h", "y", {"weight": 1.0})])
    graph.nodes["h"].update(activation=root, bias=False)
    net = dagnet.Network(graph)
    before = net.parameters.copy()
    with pytest.raises(
        dagnet.NumericalError, match=r"batch 1: ∂loss/∂z of node 'h' became -inf in row 1 of X"
    ):
        net.fit([[1.0], [0.0]], [3.0, 3.0], shuffle=False, optimizer="sgd")
    assert (net.parameters == before).all()


def test_a_finite_network_with_an_infinite_loss_names_loss_output_and_row():
    net = dagnet.Network(nx.DiGraph([("x", "y", {"weight": 1.0})]))
    with pytest.raises(
        dagnet.NumericalError, match=r"the loss 'squared_error' at node 'y' became inf in row 1"
    ):
        net.fit([[1.0], [1e200]], [0.0, 0.0], shuffle=False)


def test_parameters_that_are_nan_before_training_are_named():
    net = make_net()
    net.parameters[net.layout.weight_places(0)] = np.nan
    edge = net.edges[0]
    with pytest.raises(dagnet.NumericalError) as caught:
        net.fit(*make_data())
    assert f"the weight of edge {edge!r} is nan already" in str(caught.value)


def test_the_row_is_that_of_x_when_shuffled():
    net = dagnet.Network(nx.DiGraph([("x", "y", {"weight": 10.0})]), dtype="float32")
    X = np.ones((50, 1))
    X[37] = 1e38  # ten times that is not
    with pytest.raises(dagnet.NumericalError, match="node 'y' became inf in row 37 of X"):
        net.fit(X, np.ones(50), batch_size=7, seed=1)


def test_no_warnings_escape_from_overflow(recwarn):
    net = make_net(engine="reference")
    X, y = make_data()
    with pytest.raises(dagnet.NumericalError):
        net.fit(X, y, optimizer="sgd", learning_rate=1e150)
    assert not recwarn.list


# -- bad input -------------------------------------------------------------------------------

BAD = [
    ("epochs", [0, -1, 2.5, 3.0, float("nan"), True, "5", None]),
    ("batch_size", [0, -1, 2.5, True, "5"]),
    ("learning_rate", [0, -1.0, float("nan"), float("inf"), True, "fast"]),
    ("shuffle", [1, "yes"]),
    ("seed", [-1, 2.5, "abc", True]),
    ("clip_norm", [0, -1, float("nan"), True, "1"]),
    ("clip_value", [0, -1, float("inf"), True]),
    ("l1", [-1, float("nan"), True, "1", None]),
    ("l2", [-1e-9, float("inf")]),
    ("progress", ["yes", 1]),
    ("callbacks", [dagnet.EarlyStopping(), [dagnet.EarlyStopping], [print], "early", 3, None]),
    ("validation_data", [3, ([[1.0, 2.0]],), np.ones((2, 2)), ([[1.0]], [1.0]), ([[1.0, np.inf]], [1.0])]),
]


def spelled(value):
    """A test's name: without the address of an object, which differs between processes."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD for value in values], ids=spelled
)
def test_bad_arguments_are_refused_by_name_and_nothing_is_trained(name, value):
    net = make_net()
    before = net.parameters.copy()
    with pytest.raises(dagnet.DataError, match=name):
        net.fit(*make_data(), **{name: value})
    assert (net.parameters == before).all()


def test_an_unknown_optimizer_is_a_plugin_error_with_a_suggestion():
    with pytest.raises(dagnet.PluginError, match="did you mean 'adam'"):
        make_net().fit(*make_data(), optimizer="adams")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused_by_row_and_column(bad):
    X, y = make_data()
    X[3, 1] = bad
    with pytest.raises(dagnet.DataError, match="X: row 3, column 'x2'"):
        make_net().fit(X, y)
    X, y = make_data()
    y[5] = bad
    with pytest.raises(dagnet.DataError, match="y: row 5"):
        make_net().fit(X, y)


def test_a_batch_larger_than_the_data_is_all_of_them():
    X, y = make_data(10)
    one, other = make_net(), make_net()
    one.fit(X, y, epochs=3, batch_size=10**9, seed=0)
    other.fit(X, y, epochs=3, batch_size=10, seed=0)
    assert (one.parameters == other.parameters).all()


def test_numpy_integers_and_floats_are_numbers():
    net = make_net()
    net.fit(
        *make_data(),
        epochs=np.int64(2),
        batch_size=np.int32(7),
        learning_rate=np.float32(0.1),
        seed=np.int64(1),
    )


# -- snapshots -------------------------------------------------------------------------------


def run_of(net, epochs, **settings):
    X, y = make_data()
    return TrainingRun(net, X, y, Settings(epochs=epochs, seed=2, batch_size=7, **settings))


def test_a_snapshot_is_a_copy():
    net = make_net()
    run = run_of(net, 3)
    snapshot = run.snapshot()
    kept = copy.deepcopy(snapshot)
    run.train()
    assert (snapshot["parameters"] == kept["parameters"]).all()
    assert all((snapshot["optimizer"][name] == 0).all() for name in snapshot["optimizer"])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epoch", -1), ("epoch", True), ("epoch", 2), ("steps", "3"), ("generator", "{}"),
        ("generator", "no"), ("parameters", np.zeros(3)), ("optimizer", {}),
        ("optimizer", {"mean": np.zeros(2), "square": np.zeros(2)}),
        ("history", {"loss": np.zeros(5)}), ("history", None), ("settings", None), ("learning_rate", "x"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_damaged_snapshot_is_refused_and_changes_nothing(key, value):
    first = run_of(make_net(), 1)
    first.train()
    net = make_net()
    before = net.parameters.copy()
    with pytest.raises(dagnet.DataError, match="resume"):
        restore(run_of(net, 3), first.snapshot() | {key: value})
    assert (net.parameters == before).all()


@pytest.mark.parametrize("arguments", [{"distributed": True}, {"blocks": 8}])
def test_what_several_processes_need_is_said_and_nothing_changes(arguments, monkeypatch):
    monkeypatch.setitem(sys.modules, "dagnet_torch", None)
    monkeypatch.setitem(sys.modules, "dagnet_torch.sharing", None)
    net = dagnet.Network(dagnet.layered([1, 1]), seed=0)
    before = net.vector.copy()
    needs = r"^fit\(distributed=…, blocks=…\) needs dagnet-torch \(.*\); pip install dagnet-torch, or"
    with pytest.raises(dagnet.PluginError, match=needs):
        net.fit([[1.0]], [1.0], standardize=True, **arguments)
    assert np.array_equal(net.vector, before)
    assert net.history is None
    for rest in ({}, {"distributed": False}, {"distributed": None, "blocks": None}):
        net.fit([[1.0]], [1.0], epochs=1, **rest)
