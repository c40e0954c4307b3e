"""Losses with more, or fewer, target columns than output units; what data and batches must have."""

import networkx as nx
import numpy as np
import pytest

import dagnet
from dagnet.testing import check_loss


def between(outputs, targets):
    """The squared distance to an interval (low, high), two columns a unit."""
    low, high = targets[:, ::2], targets[:, 1::2]
    return np.sum(np.maximum(low - outputs, 0.0) ** 2 + np.maximum(outputs - high, 0.0) ** 2, axis=1)


def spread(outputs, targets):
    """A mean and a log variance, two units for one column."""
    mean, log_variance = outputs[:, ::2], outputs[:, 1::2]
    return np.sum(log_variance + (targets - mean) ** 2 * np.exp(-log_variance), axis=1)


def centred(outputs, targets):
    """It couples rows, and has nothing to say where no event is 1."""
    return (outputs[:, 0] - outputs[:, 0].mean() - targets[:, 0]) ** 2 * targets[:, 1]


def lacks_event(targets):
    return "" if targets[:, 1].any() else "an event"


BETWEEN = dagnet.Loss("between", between, columns=2)
SPREAD = dagnet.Loss("spread", spread, columns=0.5, minimum_outputs=2)
CENTRED = dagnet.Loss(
    "centred", centred, columns=2, targets=("duration", "binary"), rowwise=False, lacks=lacks_event
)
X = np.random.default_rng(0).normal(size=(8, 2))
Y = np.sort(np.random.default_rng(1).normal(size=(8, 2)), axis=1)
EVENTS = np.column_stack([np.arange(8.0), [0, 0, 0, 0, 0, 1, 0, 1]])


def network(loss, **options):
    return dagnet.Network(dagnet.layered([2, 3, 1]), loss=loss, seed=0, **options)


@pytest.mark.parametrize("loss", [BETWEEN, SPREAD])
def test_the_kit_draws_targets_as_wide_as_the_loss_says(loss):
    check_loss(loss)


@pytest.mark.parametrize("engine", ["reference", "auto"])
def test_two_columns_a_unit_reach_the_loss(engine):
    net = network(BETWEEN, engine=engine)
    assert net.evaluate(X, Y) == pytest.approx(between(net(X), Y).mean())
    assert dagnet.check_gradient(net, X, Y).passed
    assert dagnet.verify(net, X, Y).passed
    before = net.evaluate(X, Y)
    net.fit(X, Y, epochs=20, learning_rate=0.05, progress=False)
    assert net.evaluate(X, Y) < before
    assert BETWEEN.reason == "columns is not 1"


def test_tables_have_the_columns_in_order_or_the_outputs_name():
    pandas = pytest.importorskip("pandas")
    net = network(BETWEEN)
    (name,), truth = net.outputs, net.evaluate(X, Y)
    for y in (
        pandas.DataFrame(Y, columns=["low", "high"]),
        {"low": Y[:, 0], "high": Y[:, 1]},
        {name: Y},
    ):
        assert net.evaluate(X, y) == truth
    with pytest.raises(dagnet.DataError, match="no column 'eta' in the data"):
        net.evaluate(X, {"low": Y[:, 0]})
    with pytest.raises(dagnet.DataError, match=r"y: column 'high' must be real numbers, got dtype <U1"):
        net.evaluate(X, {"low": Y[:, 0], "high": ["a"] * 8})


def test_errors_name_the_shape_and_the_cell():
    net = network(CENTRED)
    with pytest.raises(dagnet.DataError, match=r"y must be of shape \(8, 2\), .* got shape \(8,\)"):
        net.evaluate(X, EVENTS[:, 0])
    bad = EVENTS.copy()
    bad[3, 0] = -1.0
    with pytest.raises(dagnet.DataError, match=r"y: row 3, .*unit 0 must be a time, finite .* got -1\.0"):
        net.evaluate(X, bad)
    bad[3] = np.inf, 0
    with pytest.raises(dagnet.DataError, match=r"y: row 3, .*unit 0 must be a time, finite .* got inf"):
        net.evaluate(X, bad)
    bad[3] = 1.0, 2.0
    with pytest.raises(dagnet.DataError, match=r"y: row 3, .*unit 1 must be 0 or 1 for .* got 2\.0"):
        net.fit(X, bad, progress=False)


def test_data_that_lack_what_a_loss_learns_from_are_refused():
    net, none = network(CENTRED), EVENTS * [1, 0]
    must = r"y: the loss 'centred' needs an event; none of 8 rows has it"
    for ask in (net.evaluate, net.gradient, net.fit):
        with pytest.raises(dagnet.DataError, match=must):
            ask(X, none)
    with pytest.raises(dagnet.DataError, match=f"validation_data: {must}"):
        net.fit(X, EVENTS, validation_data=(X, none))


def test_a_batch_that_lacks_it_makes_no_step_and_is_said_once():
    nets = [network(CENTRED) for _ in range(2)]
    options = {"epochs": 2, "optimizer": "sgd(weight_decay=0.5)", "shuffle": False, "progress": False}
    with pytest.warns(dagnet.DagnetWarning) as said:
        nets[0].fit(X, EVENTS, batch_size=4, **options)
    texts = [str(warning.message) for warning in said]
    assert len(texts) == 2
    assert texts[0].startswith("fit: the loss 'centred' couples rows, and here those of a batch")
    assert texts[1].startswith("fit: epoch 1, batch 1 lacks an event for the loss 'centred'")
    nets[1].fit(X[4:], EVENTS[4:], batch_size=4, **options)
    np.testing.assert_array_equal(nets[0].parameters, nets[1].parameters)
    assert nets[0].history["loss"] == nets[1].history["loss"]


def test_sample_weights_of_a_loss_that_couples_rows_are_refused():
    with pytest.raises(
        dagnet.DataError, match=r"sample_weight: leave it out, as the loss 'centred' couples rows"
    ):
        network(CENTRED).evaluate(X, EVENTS, sample_weight=np.ones(8))


def test_units_that_share_a_column_stand_in_one_node():
    with pytest.raises(
        dagnet.GraphError, match=r"output node 'a' must be a multiple of 2 units, got 1; .*units=2"
    ):
        dagnet.Network(nx.DiGraph([("x", "a"), ("x", "b")]), loss=SPREAD)
    graph = dagnet.layered([2, 1])
    graph.nodes["eta"]["units"] = 2
    net = dagnet.Network(graph, loss=SPREAD, seed=0)
    y = Y[:, 0]
    assert net.evaluate(X, y) == pytest.approx(spread(net(X), y[:, None]).mean())
    assert net.evaluate(X, y) == net.evaluate(X, {"eta": y})
    assert dagnet.check_gradient(net, X, y).passed
    traced = net.trace(("x1", "eta"), X[0], y[0])
    np.testing.assert_allclose(traced.value, net.gradient(X[:1], y[:1]).weights["x1", "eta"])


@pytest.mark.parametrize(
    ("said", "must"),
    [
        ({"columns": 0}, "columns must be a whole number, or 1 over one, got 0"),
        ({"columns": 0.3}, "columns must be a whole number, or 1 over one"),
        ({"columns": 2, "targets": ("real",) * 3}, "columns must be 3 with targets=.*, got 2"),
        ({"columns": 2, "targets": ("real", "bool")}, "targets must be one of .*, got 'bool'"),
        ({"columns": 2, "targets": "class"}, "columns must be 1 with targets='class', got 2"),
    ],
)
def test_columns_without_meaning_are_refused(said, must):
    with pytest.raises(dagnet.PluginError, match=f"loss 'odd': {must}"):
        dagnet.Loss("odd", between, **said)
