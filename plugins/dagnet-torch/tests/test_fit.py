"""Training on the device is the training of the other engines."""

from dataclasses import dataclass

import numpy as np
import pytest
from dagnet_torch.learner import TorchLearner
from graphs import network, plain, rich, rows_for

import dagnet

RULES = ("sgd(learning_rate=0.01, momentum=0.9)", "adam", "adamw", "rmsprop", "adagrad", "lbfgs")
pytestmark = pytest.mark.filterwarnings("ignore:fit. the loss:dagnet.DagnetWarning")


def fitted(graph, engine, *, rows=160, dtype="float64", **arguments):
    net = network(graph, engine, dtype=dtype)
    X, y = rows_for(net, rows)
    history = net.fit(X, y, **{"epochs": 4, "seed": 3, "progress": False, **arguments})
    return net, history


def assert_equal_runs(one, two, close=1e-9):
    for (net, history), (other, right) in [(one, two)]:
        np.testing.assert_allclose(net.vector, other.vector, rtol=0, atol=close)
        assert list(history) == list(right)
        for name in history:
            np.testing.assert_allclose(history[name], right[name], rtol=close, atol=close, err_msg=name)


@pytest.mark.parametrize("rule", RULES)
def test_a_hundred_steps_of_each_rule_are_the_compiled_engines(engine, rule):
    full = rule == "lbfgs"
    how = {"epochs": 10 if full else 20, "batch_size": 160 if full else 32, "optimizer": rule}
    runs = [fitted(plain(), name, **how) for name in (engine, "compiled")]
    assert_equal_runs(*runs)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"l1": 0.01, "l2": 0.001},
        {"clip_norm": 0.5},
        {"clip_value": 0.01, "clip_norm": 0.05},
        {"sample_weight": np.linspace(0, 2, 160)},
        {"shuffle": False, "batch_size": 50, "metrics": ["r2"]},
    ],
    ids=["plain", "penalties", "norm", "both clippings", "weights", "in order, scored"],
)
def test_what_fit_can_do_works_unchanged(engine, how):
    assert_equal_runs(*(fitted(rich(), name, **how) for name in (engine, "reference")))


def test_bounds_hold_and_what_is_frozen_stays(engine):
    net, before = network(rich(), engine), network(rich(), engine)
    X, y = rows_for(net)
    net.fit(X, y, epochs=3, learning_rate=0.3, seed=0, progress=False)
    for edge, said in ((edge, rich().edges[edge]) for edge in net.edges):
        if "bounds" in said:
            assert (np.asarray(net.weights[edge]) >= -0.4).all()
            assert (np.asarray(net.weights[edge]) <= 0.5).all()
        if said.get("trainable") is False:
            np.testing.assert_array_equal(net.weights[edge], before.weights[edge])


def test_single_precision_trains_as_well(engine):
    how = {"dtype": "float32", "optimizer": "sgd(learning_rate=0.01)"}
    runs = [fitted(rich(), name, **how) for name in (engine, "reference")]
    assert_equal_runs(*runs, close=2e-4)


def test_heads_and_missing_labels_are_learned_from(engine):
    runs = []
    for name in (engine, "reference"):
        graph = plain()
        outputs = [node for node in graph if not graph.out_degree(node)]
        graph.nodes[outputs[0]].update(loss="huber", loss_weight=2.0, activation="identity")
        net = network(graph, name)
        X, y = rows_for(net)
        y[::3, 1] = np.nan
        runs.append(
            (net, net.fit(X, y, epochs=3, seed=0, missing="skip", validation_data=(X, y), progress=False))
        )
    assert len(runs[0][1]) > 4
    assert_equal_runs(*runs)


def test_losses_without_a_formula_are_judged_by_numpy(engine):
    coupled = dagnet.Loss("spread", lambda o, t: ((o - o.mean(axis=0) - t) ** 2).sum(axis=1), rowwise=False)
    runs = []
    for name in (engine, "reference"):
        net = network(plain(), name, loss=coupled)
        X, y = rows_for(net, 40)
        runs.append((net, net.fit(X, y, epochs=5, batch_size=40, seed=0, progress=False)))
    assert_equal_runs(*runs)


class Watching(dagnet.Callback):
    """Sees gradients, halves some, and writes to a weight now and then."""

    def __init__(self):
        self.seen = []

    def on_gradient(self, run, flat):
        self.seen.append(flat.copy())
        flat[::2] /= 2

    def on_batch_end(self, run):
        if run.batch == 2:
            run.model.parameters[0] = 0.25

    def on_epoch_end(self, run):
        run.history.record("norm", float(np.linalg.norm(run.model.parameters)))


def test_callbacks_see_gradients_and_what_they_write_is_learned_from(engine):
    watchers = [Watching(), Watching()]
    pairs = zip((engine, "reference"), watchers, strict=True)
    assert_equal_runs(*(fitted(plain(), name, callbacks=[one]) for name, one in pairs))
    np.testing.assert_allclose(watchers[0].seen, watchers[1].seen, atol=1e-10)


def test_a_resumed_run_ends_with_the_bits_of_an_uninterrupted_one(engine, tmp_path):
    whole, _ = fitted(rich(), engine, epochs=6)
    path = tmp_path / "run.dagnet"
    fitted(rich(), engine, epochs=3, callbacks=[dagnet.Checkpoint(path)])
    again, history = fitted(rich(), engine, epochs=6, resume=path)
    assert history.epochs == 6
    assert again.vector.tobytes() == whole.vector.tobytes()


def test_moments_are_taken_along_into_another_fit(engine):
    runs = []
    for name in (engine, "reference"):
        net = network(plain(), name)
        X, y = rows_for(net)
        how = {"epochs": 2, "seed": 0, "progress": False}
        runs.append((net, net.fit(X, y, state=net.fit(X, y, **how), **how)))
    assert_equal_runs(*runs)


def test_weights_of_rows_by_head_count(engine):
    runs = []
    for name in (engine, "reference"):
        graph = plain()
        for node in graph:
            if not graph.out_degree(node):
                graph.nodes[node]["loss"] = "huber" if node % 2 else "squared_error"
        net = network(graph, name)
        X, y = rows_for(net)
        weights = np.random.default_rng(4).uniform(0, 1, (len(X), len(net.heads)))
        runs.append((net, net.fit(X, y, sample_weight=weights, epochs=2, seed=0, progress=False)))
    assert_equal_runs(*runs)


def test_the_best_epoch_comes_back(engine):
    runs = []
    for name in (engine, "reference"):
        net = network(plain(), name)
        X, y = rows_for(net)
        stop = dagnet.EarlyStopping(patience=2)
        how = {"epochs": 12, "learning_rate": 0.05, "seed": 0, "progress": False}
        runs.append((net, net.fit(X, y, validation_data=rows_for(net, 60, seed=9), callbacks=[stop], **how)))
    assert_equal_runs(*runs)


def test_sparse_rows_and_arrays_in_files_come_batch_by_batch(engine, tmp_path):
    sparse = pytest.importorskip("scipy.sparse")
    net, other = network(plain(), engine), network(plain(), engine)
    X, y = rows_for(net)
    X[np.abs(X) < 1] = 0
    net.fit(X, y, epochs=2, seed=0, progress=False)
    other.fit(sparse.csr_array(X), y, epochs=2, seed=0, progress=False)
    assert net.vector.tobytes() == other.vector.tobytes()


def test_parameters_and_moments_stay_where_the_tensors_are(engine, monkeypatch):
    asked = []
    whole = TorchLearner.parameters
    monkeypatch.setattr(TorchLearner, "parameters", lambda self: asked.append(1) or whole(self))
    fitted(plain(), engine, epochs=3, batch_size=4)
    assert (
        len(asked) <= 12
    )  # in each of 3 epochs, at both its joints: none of the 120 batches brings them back


def test_a_rule_without_a_formula_moves_by_numpy(engine):
    @dataclass(frozen=True)
    class Normed(dagnet.Optimizer):
        name = "normed"
        learning_rate: float = 0.05

        def step(self, parameters, gradient, state, *, step, learning_rate, evaluate=None):
            parameters -= learning_rate * gradient / np.linalg.norm(gradient)

    assert_equal_runs(*(fitted(plain(), name, optimizer=Normed()) for name in (engine, "reference")))


@pytest.mark.filterwarnings("ignore::dagnet.DagnetWarning")
def test_a_loss_that_overflows_is_said_with_its_name(engine):
    messages = []
    for name in (engine, "reference"):
        graph = plain()
        for node in graph:
            if graph.in_degree(node):
                graph.nodes[node]["activation"] = "exp"
        net = network(graph, name)
        with pytest.raises(dagnet.NumericalError) as found:
            net.fit(*rows_for(net), epochs=50, learning_rate=1e3, optimizer="sgd", seed=0, progress=False)
        messages.append(str(found.value))
        assert np.isfinite(net.vector).all()
    assert messages[0].split(":")[0] == messages[1].split(":")[0]
