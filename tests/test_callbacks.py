"""The shipped callbacks but for checkpoints."""

from __future__ import annotations

import copy
import csv
import math
import sys

import networkx as nx
import numpy as np
import pytest
from data.training_cases import Recorder, StopAt, make_data, make_net

import dagnet
from dagnet.contracts import Learner
from dagnet.training.learner import ArrayLearner


class Losses(dagnet.Callback):
    """Writes a prescribed column into the history, ahead of the callback under test."""

    def __init__(self, values, column="wanted"):
        self.values, self.column = values, column

    def on_epoch_end(self, run):
        run.history.record(self.column, self.values[run.epoch - 1])


# -- early stopping --------------------------------------------------------------------------


def stopped(values, **arguments):
    early = dagnet.EarlyStopping(monitor="wanted", **arguments)
    seen = {}

    class Keep(dagnet.Callback):
        def on_epoch_end(self, run):
            seen[run.epoch] = run.model.parameters.copy()

    net = make_net()
    history = net.fit(*make_data(), epochs=len(values), callbacks=[Losses(values), Keep(), early], seed=0)
    return early, history, net, seen


def test_early_stopping_waits_patience_epochs_and_restores_the_best():
    early, history, net, seen = stopped([5, 4, 4, 4.5, 3, 3.1, 3.0, 3.2, 1], patience=3)
    assert (early.best, early.best_epoch, early.stopped_epoch, history.epochs) == (3, 5, 8, 8)
    assert (net.parameters == seen[5]).all()


def test_early_stopping_restores_the_best_of_a_run_that_was_not_stopped():
    early, history, net, seen = stopped([5, 4, 6], patience=3)
    assert (early.best_epoch, early.stopped_epoch, history.epochs) == (2, None, 3)
    assert (net.parameters == seen[2]).all()


def test_early_stopping_without_restoring():
    _, _, net, seen = stopped([1, 2, 3], patience=2, restore_best=False)
    assert (net.parameters == seen[3]).all()


def test_min_delta_and_nan_are_no_improvement():
    early, history, _, _ = stopped([5, 4.9, math.nan, 4.8, 1], patience=3, min_delta=0.5)
    assert (early.best, early.best_epoch, history.epochs) == (5, 1, 4)
    early, history, _, _ = stopped([math.nan] * 3 + [1.0], patience=3)
    assert (early.best, early.best_epoch, history.epochs) == (None, None, 3)


def test_early_stopping_watches_the_validation_loss_where_there_is_one():
    X, y = make_data()
    early = dagnet.EarlyStopping(patience=1000)
    history = make_net().fit(X, y, epochs=5, validation_data=(X, -y), callbacks=[early])
    assert early.best == min(history["validation_loss"])
    history = make_net().fit(X, y, epochs=5, callbacks=[early])
    assert early.best == min(history["loss"])


def test_early_stopping_does_not_restore_after_an_error():
    X, y = make_data()
    seen = Recorder()

    class Blow(dagnet.Callback):
        def on_epoch_begin(self, run):
            if run.epoch == 4:
                run.learning_rate = 1e200

    net = make_net()
    with pytest.raises(dagnet.NumericalError):
        net.fit(X, y * 100, optimizer="sgd", callbacks=[Blow(), seen, dagnet.EarlyStopping()])
    assert (net.parameters == seen.parameters[-1]).all()


@pytest.mark.parametrize(
    "arguments",
    [
        {"patience": 0},
        {"patience": 1.5},
        {"patience": True},
        {"min_delta": -1},
        {"min_delta": "a"},
        {"monitor": 3},
    ],
    ids=repr,
)
def test_early_stopping_refuses(arguments):
    with pytest.raises(dagnet.DataError, match=next(iter(arguments))):
        dagnet.EarlyStopping(**arguments)


def test_an_unknown_column_to_watch_is_named():
    with pytest.raises(dagnet.DataError, match="no 'validation_loss'; known: loss"):
        make_net().fit(*make_data(), callbacks=[dagnet.EarlyStopping(monitor="validation_loss")])


# -- columns of one's own --------------------------------------------------------------------


class Accuracy(dagnet.Callback):
    """Records a quantity of its own, from some epoch on."""

    def __init__(self, first=1):
        self.first = first

    def on_epoch_end(self, run):
        if run.epoch >= self.first:
            run.history.record("size", np.abs(run.model.parameters).sum())


def test_a_callback_records_a_column_of_its_own():
    history = make_net().fit(*make_data(), epochs=4, seed=0, callbacks=[Accuracy(first=3)])
    assert list(history) == ["loss", "size"]
    assert np.isnan(history["size"]).tolist() == [True, True, False, False]
    assert history.epochs == len(history["size"]) == 4
    assert "size" in repr(history)


def test_an_epoch_for_which_nothing_is_recorded_has_nan_and_a_second_number_replaces_the_first():
    class Odd(dagnet.Callback):
        def on_epoch_end(self, run):
            if run.epoch % 2:
                run.history.record("odd", -1)
                run.history.record("odd", np.float32(run.epoch))

    net = make_net()
    history = net.fit(*make_data(), epochs=4, seed=0, callbacks=[Odd()])
    assert str(history["odd"]) == "[1.0, nan, 3.0, nan]"
    assert net.history is history
    assert "3.0" in history._repr_html_() or "3" in history._repr_html_()


@pytest.mark.parametrize("stop", [StopAt(4, 2), StopAt(3, 2)], ids=["amid an epoch", "at its end"])
def test_columns_of_ones_own_are_in_checkpoints_and_go_on_when_resumed(stop, tmp_path):
    X, y = make_data()
    whole = make_net().fit(X, y, epochs=6, seed=1, callbacks=[Accuracy(first=2)])
    path, log = tmp_path / "run.dagnet", tmp_path / "log.csv"
    callbacks = [dagnet.Checkpoint(path), Accuracy(first=2), dagnet.CSVLog(log)]
    make_net().fit(X, y, epochs=6, seed=1, callbacks=[*callbacks, stop])
    resumed = make_net().fit(X, y, epochs=6, seed=1, callbacks=callbacks, resume=path)
    assert str(resumed.to_dict()) == str(whole.to_dict())
    rows = list(csv.DictReader(log.read_text().splitlines()))
    assert [float(row["size"]) for row in rows][1:] == whole["size"][1:]
    assert rows[0]["size"] == "nan"


def test_early_stopping_must_come_after_the_callback_that_records_what_it_watches():
    early = dagnet.EarlyStopping(monitor="size")
    with pytest.raises(dagnet.DataError, match=r"no 'size'; known: loss; a callback .* listed before"):
        make_net().fit(*make_data(), callbacks=[early, Accuracy()])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("loss", 1.0, "record: the name of a column must be text, and none of .* got 'loss'"),
        ("validation_loss", 1.0, "got 'validation_loss'; choose another name"),
        ("epoch", 1.0, "got 'epoch'"),
        ("", 1.0, "got ''"),
        (3, 1.0, "got 3"),
        ("mine", "1.0", "record: 'mine' must be one real number, got '1.0'"),
        ("mine", None, "got None"),
        ("mine", True, "got True"),
        ("mine", 1j, "one real number"),
        ("mine", [1.0], "one real number"),
        ("mine", np.ones(2), "one real number"),
    ],
)
def test_what_is_no_column_or_no_number_is_refused(name, value, message):
    class Record(dagnet.Callback):
        def on_epoch_end(self, run):
            run.history.record(name, value)

    net = make_net()
    with pytest.raises(dagnet.DataError, match=message):
        net.fit(*make_data(), epochs=1, callbacks=[Record()])
    assert list(net.history) == ["loss"]


def test_nothing_is_recorded_before_the_first_epoch_has_ended():
    with pytest.raises(dagnet.DataError, match="no epoch to belong to yet; record it in on_epoch_end"):
        dagnet.History().record("mine", 1.0)


# -- learning rates --------------------------------------------------------------------------


def rates(schedule, epochs, values=None):
    seen = []

    class Watch(dagnet.Callback):
        def on_batch_end(self, run):
            seen.append(run.learning_rate)

    callbacks = [schedule, Watch()] if values is None else [Losses(values), schedule, Watch()]
    make_net().fit([[1.0, 2.0]], [1.0], epochs=epochs, learning_rate=0.1, callbacks=callbacks)
    return seen


@pytest.mark.parametrize(
    ("rule", "warm_up", "factors"),
    [
        ("constant", 0, [1, 1, 1]),
        ("constant", 4, [0.25, 0.5, 0.75, 1, 1]),
        ("step(every=2, factor=0.5)", 0, [1, 1, 0.5, 0.5, 0.25]),
        ("step(2, 0.5)", 1, [1, 1, 1, 0.5, 0.5, 0.25]),
        ("cosine", 0, [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]),
        ("cosine(final=0.5)", 2, [0.5, 1, 1, 0.75]),
        (lambda epoch, epochs: epoch / epochs, 0, [0.25, 0.5, 0.75, 1]),
    ],
)
def test_schedules(rule, warm_up, factors):
    seen = rates(dagnet.LearningRateSchedule(rule, warm_up=warm_up), len(factors))
    np.testing.assert_allclose(seen, 0.1 * np.array(factors), rtol=1e-12)


def test_on_plateau_reduces_after_patience_epochs_and_counts_anew():
    schedule = dagnet.LearningRateSchedule("on_plateau(factor=0.5, patience=2, monitor='wanted')")
    seen = rates(schedule, 9, [3, 2, 2, 2, 2, 2, 1, 1, 1])
    np.testing.assert_allclose(seen, [0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.025])


@pytest.mark.parametrize(
    "rule",
    [
        "cosin", "step(evry=3)", "step(every=0)", "step(1, 2, 3)", "cosine(final=2)", 3, None,
        "on_plateau(patience=0)", "constant(1)",
    ],
    ids=repr,
)  # fmt: skip
def test_schedules_refuse(rule):
    with pytest.raises(dagnet.DagnetError):
        dagnet.LearningRateSchedule(rule)


def test_a_schedule_of_the_epoch_alone_is_refused_before_training():
    with pytest.raises(dagnet.DataError, match=r"function \(epoch, epochs\) .* too many positional"):
        dagnet.LearningRateSchedule(lambda epoch: 0.5**epoch)
    assert rates(dagnet.LearningRateSchedule(lambda e, epochs: 0.5 ** (e - 1)), 2) == [0.1, 0.05]


# -- the log ---------------------------------------------------------------------------------


def test_the_log_has_the_history_exactly_and_goes_on_when_resumed(tmp_path):
    X, y = make_data()
    keywords = {"seed": 1, "validation_data": (X[:9], y[:9])}
    whole, parted, keep = tmp_path / "whole.csv", tmp_path / "parted.csv", tmp_path / "run.dagnet"
    history = make_net().fit(X, y, epochs=6, callbacks=[dagnet.CSVLog(whole)], **keywords)
    rows = list(csv.DictReader(whole.read_text().splitlines()))
    assert [float(row["validation_loss"]) for row in rows] == history["validation_loss"]
    assert [row["epoch"] for row in rows] == list("123456")
    callbacks = [dagnet.CSVLog(parted), dagnet.Checkpoint(keep, every=2)]
    make_net().fit(X, y, epochs=6, callbacks=[*callbacks, StopAt(5, 2)], **keywords)
    make_net().fit(X, y, epochs=6, callbacks=callbacks, resume=keep, **keywords)
    assert parted.read_text() == whole.read_text()


def test_a_log_that_cannot_be_written_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        make_net().fit(*make_data(), callbacks=[dagnet.CSVLog(tmp_path / "none" / "log.csv")])


# -- the bar ---------------------------------------------------------------------------------


def test_the_bar_is_silent_where_there_is_no_terminal_and_drawn_where_asked_for(capfd):
    X, y = make_data()
    make_net().fit(X, y, epochs=2)
    make_net().fit(X, y, epochs=2, callbacks=[dagnet.ProgressBar()])
    assert capfd.readouterr() == ("", "")
    make_net().fit(X, y, epochs=2, progress=True, validation_data=(X, y))
    out, err = capfd.readouterr()
    assert out == ""
    assert all(text in err for text in ("epoch 2/2", "100%", "loss", "validation loss", "rows/s"))


def test_the_bar_is_drawn_on_a_terminal_unless_told_not_to(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    X, y = make_data()
    make_net().fit(X, y, epochs=1, progress=False)
    assert capsys.readouterr().err == ""
    make_net().fit(X, y, epochs=1)
    assert capsys.readouterr().err.count("epoch 1/1") >= 1
    make_net().fit(X, y, epochs=1, callbacks=[dagnet.ProgressBar()])
    assert "epoch 1/1" in capsys.readouterr().err


# -- gradients -------------------------------------------------------------------------------


def shared_and_frozen():
    graph = nx.DiGraph([("x", "h"), ("x", "g"), ("h", "y"), ("g", "y")])
    for edge in (("x", "h"), ("x", "g")):
        graph.edges[edge]["share"] = "k"
    graph.edges["h", "y"]["trainable"] = False
    return graph


@pytest.mark.parametrize("engine", ["auto", "reference"])
@pytest.mark.parametrize(
    "graph",
    [*(dagnet.layered(some, activation="tanh") for some in ([1, 3, 1], [80, 80, 1])), shared_and_frozen()],
)
def test_a_callback_sees_the_gradient_between_backward_and_step(engine, graph):
    net = dagnet.Network(graph, engine=engine, seed=0)
    width = len(net.inputs)
    X, y = np.linspace(-1, 1, 8 * width).reshape(8, width), np.linspace(0, 1, 8)
    seen = []

    class Watch(dagnet.Callback):
        def on_gradient(self, run, flat):
            wanted = run.model.gradient(X, y).flat
            np.testing.assert_allclose(flat, wanted, rtol=1e-12, atol=1e-14)
            seen.append((run.epoch, run.batch))

    net.fit(X, y, epochs=3, batch_size=8, callbacks=[Watch()], l2=0.1, clip_norm=1e-3, seed=0)
    assert seen == [(1, 1), (2, 1), (3, 1)]


def test_what_a_callback_writes_to_the_gradient_is_learned_from():
    class Scale(dagnet.Callback):
        def __init__(self, factor):
            self.factor = factor

        def on_gradient(self, run, flat):
            flat *= self.factor

    results = {}
    for factor in (0.0, 1.0, 2.0):
        net = make_net()
        start = net.parameters.copy()
        net.fit(*make_data(), epochs=1, batch_size=1000, optimizer="sgd", callbacks=[Scale(factor)], seed=0)
        results[factor] = net.parameters - start
    assert not results[0.0].any()
    assert results[1.0].any()
    np.testing.assert_allclose(results[2.0], 2 * results[1.0], rtol=1e-9, atol=1e-15)
    with pytest.raises(
        dagnet.NumericalError, match="epoch 1, batch 1: the derivative for the weight of edge"
    ):
        make_net().fit(*make_data(), epochs=1, callbacks=[Scale(math.nan)])


class Elsewhere(Learner):
    """Keeps parameters and moments in memory of its own."""

    def __init__(self, model, data, settings):
        self.model = copy.deepcopy(model)
        self.inner = ArrayLearner(self.model, data, settings)

    def step(self, rows, learning_rate, on_gradient=None):
        loss = self.inner.step(rows, learning_rate, on_gradient)
        self.steps = self.inner.steps
        return loss

    def parameters(self):
        return self.model.parameters.copy()

    def state(self):
        return self.inner.state()

    def restore(self, parameters, state, steps):
        self.inner.restore(parameters, state, steps)
        self.steps = steps


@pytest.fixture
def elsewhere(monkeypatch):
    runner = type(make_net().runner)
    monkeypatch.setattr(runner, "learner", lambda _runner, *asked: Elsewhere(*asked))


def test_an_engine_may_bring_a_learner_of_its_own(request):
    """It keeps data, parameters and moments elsewhere; the run is the same to the bit."""
    wanted, net = make_net(), make_net()
    history = wanted.fit(*make_data(), epochs=3, seed=0)
    request.getfixturevalue("elsewhere")
    assert net.fit(*make_data(), epochs=3, seed=0).to_dict() == history.to_dict()
    assert (net.parameters == wanted.parameters).all()


# -- parameters ------------------------------------------------------------------------------

JOINTS = ["on_training_begin", "on_epoch_begin", "on_batch_begin", "on_batch_end", "on_epoch_end"]


def halved_at(joint, how):
    """A callback that halves all parameters, once."""

    def write(self, run):
        if not self.done and run.epoch != 1:
            self.done = True
            if how == "flat":
                run.model.parameters *= 0.5
            else:
                run.model.weights.update({edge: w / 2 for edge, w in run.model.weights.items()})
                run.model.biases.update({node: b / 2 for node, b in run.model.biases.items()})

    return type("Halved", (dagnet.Callback,), {"done": False, joint: write})()


def run_by_hand(net, joint, optimizer):
    """What fit does in three epochs of two batches, with the parameters halved in between."""
    X, y = make_data()
    rule = dagnet.optimizers()[optimizer]()
    state = rule.start(net.parameters)
    halve = {"on_training_begin": 0, "on_epoch_begin": 2, "on_batch_begin": 2, "on_batch_end": 3}
    step = 0
    for _epoch in range(3):
        for rows in (slice(0, 20), slice(20, 40)):
            if step == halve.get(joint, 4):
                net.parameters *= 0.5
            flat = net.gradient(X[rows], y[rows]).flat
            step += 1
            rule.step(net.parameters, flat, state, step=step, learning_rate=0.01)


@pytest.mark.parametrize("how", ["flat", "by name"])
@pytest.mark.parametrize("joint", JOINTS)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("engine", ["compiled", "reference", "elsewhere"])
def test_a_run_goes_on_from_what_a_callback_writes_to_the_parameters(engine, optimizer, joint, how, request):
    if engine == "elsewhere":
        request.getfixturevalue(engine)
    net, wanted = (make_net(engine="auto" if engine == "elsewhere" else engine) for _ in range(2))
    run_by_hand(wanted, joint, optimizer)
    settings = {"epochs": 3, "batch_size": 20, "shuffle": False, "learning_rate": 0.01}
    net.fit(*make_data(), optimizer=optimizer, callbacks=[halved_at(joint, how)], **settings)
    np.testing.assert_allclose(net.parameters, wanted.parameters, rtol=1e-10, atol=1e-13)


def test_a_checkpoint_has_what_a_callback_before_it_wrote(elsewhere, tmp_path):
    path = tmp_path / "run.dagnet"
    callbacks = [halved_at("on_epoch_end", "flat"), dagnet.Checkpoint(path)]
    net = make_net()
    net.fit(*make_data(), epochs=2, callbacks=callbacks, seed=0)
    twin = make_net()
    twin.fit(*make_data(), epochs=2, callbacks=[dagnet.Checkpoint(path)], resume=path, seed=0)
    assert (twin.parameters == net.parameters).all()
