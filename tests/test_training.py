"""fit: what it learns, what it refuses, what it leaves alone."""

from __future__ import annotations

import copy

import networkx as nx
import numpy as np
import pytest

import dagnet
from dagnet.training import Settings, TrainingRun


def make_data(rows=40, seed=0):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(rows, 2))
    return X, np.sin(X[:, 0]) * X[:, 1]


def make_net(**arguments):
    return dagnet.Network(dagnet.layered([2, 4, 3, 1], activation="tanh"), seed=0, **arguments)


class Recorder(dagnet.Callback):
    """What was seen at each joint."""

    def __init__(self):
        self.calls = []
        self.losses = []
        self.parameters = []

    def on_training_begin(self, run):
        self.calls.append("training begin")

    def on_epoch_begin(self, run):
        self.calls.append(f"epoch {run.epoch} begin")

    def on_batch_begin(self, run):
        self.parameters.append(run.model.parameters.copy())

    def on_batch_end(self, run):
        self.calls.append(f"batch {run.batch}/{run.batches}")
        self.losses.append(run.loss)

    def on_epoch_end(self, run):
        self.calls.append(f"epoch {run.epoch} end")

    def on_training_end(self, run):
        self.calls.append("training end")


# -- what it computes ------------------------------------------------------------------------


@pytest.mark.parametrize("spec", sorted(dagnet.optimizers()))
@pytest.mark.parametrize("engine", ["reference", "auto"])
def test_fit_is_the_plain_loop_over_gradient_and_step(spec, engine):
    X, y = make_data(10)
    net, plain = make_net(engine=engine), make_net(engine="reference")
    history = net.fit(X, y, epochs=7, batch_size=4, optimizer=spec, shuffle=False)
    rule = dagnet.optimizers()[spec]()
    state, count, losses = rule.start(plain.parameters), 0, []
    for _ in range(7):
        total = 0.0
        for start in (0, 4, 8):
            gradient = plain.gradient(X[start : start + 4], y[start : start + 4])
            count += 1
            total += gradient.loss * len(X[start : start + 4])
            rule.step(plain.parameters, gradient.flat, state, step=count, learning_rate=rule.learning_rate)
        losses.append(total / 10)
    np.testing.assert_allclose(net.parameters, plain.parameters, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-12)


def test_shuffling_takes_each_row_once_an_epoch_in_another_order():
    seen = Recorder()
    net = dagnet.Network(nx.DiGraph([("x", "y", {"weight": 1.0, "trainable": False})]))
    X = np.arange(12.0)[:, None]
    net.fit(X, np.zeros(12), epochs=2, batch_size=1, learning_rate=1e-300, seed=4, callbacks=[seen])
    rows = np.sqrt(seen.losses).round().astype(int).tolist()  # the loss of row k is k²
    assert sorted(rows[:12]) == sorted(rows[12:]) == list(range(12))
    assert rows[:12] != rows[12:]
    assert rows[:12] != list(range(12))


def test_same_seed_same_bits_other_seed_other_bits():
    X, y = make_data()
    first, again, other = make_net(), make_net(), make_net()
    for net, seed in ((first, 5), (again, 5), (other, 6)):
        net.fit(X, y, epochs=5, batch_size=8, seed=seed)
    assert (first.parameters == again.parameters).all()
    assert (first.parameters != other.parameters).any()


def test_a_generator_as_seed_is_used_up():
    X, y = make_data()
    generator = np.random.default_rng(3)
    make_net().fit(X, y, epochs=1, seed=generator)
    assert generator.bit_generator.state != np.random.default_rng(3).bit_generator.state


def test_each_call_starts_the_optimizer_afresh():
    X, y = make_data()
    once, twice = make_net(), make_net()
    rule = dagnet.optimizers()["adam"](learning_rate=0.01)
    once.fit(X, y, epochs=3, optimizer=rule, shuffle=False)
    twice.parameters = once.parameters
    once.fit(X, y, epochs=1, optimizer=rule, shuffle=False)
    twice.fit(X, y, epochs=1, optimizer="adam(learning_rate=0.01)", shuffle=False)
    assert (once.parameters == twice.parameters).all()


def test_learning_rate_overrides_the_optimizers_own():
    X, y = make_data()
    one, other = make_net(), make_net()
    one.fit(X, y, epochs=2, optimizer="sgd(learning_rate=5.0)", learning_rate=0.03, shuffle=False)
    other.fit(X, y, epochs=2, optimizer="sgd(0.03)", shuffle=False)
    assert (one.parameters == other.parameters).all()


def test_sample_weight_is_repetition():
    X, y = make_data(12)
    repeats = np.arange(12) % 3 + 1
    weighted, repeated = make_net(), make_net()
    one = weighted.fit(X, y, epochs=20, batch_size=12, sample_weight=repeats * 0.25, learning_rate=0.05)
    two = repeated.fit(
        X.repeat(repeats, axis=0), y.repeat(repeats), epochs=20, batch_size=24, learning_rate=0.05
    )
    np.testing.assert_allclose(weighted.parameters, repeated.parameters, rtol=1e-9)
    np.testing.assert_allclose(one["loss"], two["loss"], rtol=1e-9)


def test_a_batch_whose_rows_count_nothing_teaches_nothing():
    X, y = make_data(12)
    weight = np.r_[np.ones(4), np.zeros(4), np.ones(4)]
    net, without = make_net(), make_net()
    net.fit(X, y, epochs=3, batch_size=4, sample_weight=weight, shuffle=False)
    kept = np.r_[0:4, 8:12]
    without.fit(X[kept], y[kept], epochs=3, batch_size=4, shuffle=False)
    np.testing.assert_allclose(net.parameters, without.parameters, rtol=1e-12)


def test_validation_loss_is_what_evaluate_says_after_the_epoch(monkeypatch):
    from dagnet.training import rows

    monkeypatch.setattr(rows, "CHUNK_VALUES", 64)
    X, y = make_data(50)
    weight = np.linspace(1, 2, 20)
    net = make_net()
    history = net.fit(
        X[:30], y[:30], epochs=4, validation_data=(X[30:], y[30:], weight), batch_size=7, l2=0.1
    )
    assert len(history["validation_loss"]) == 4
    assert history["validation_loss"][-1] == pytest.approx(net.evaluate(X[30:], y[30:], weight), rel=1e-12)


def test_history_counts_every_row_the_same_with_a_short_last_batch():
    X, y = make_data(10)
    net = make_net()
    before = net.evaluate(X, y)
    history = net.fit(X, y, epochs=1, batch_size=4, optimizer="sgd", learning_rate=1e-300)
    assert history["loss"][0] == pytest.approx(before, rel=1e-12)


@pytest.mark.parametrize(("l1", "l2"), [(0.3, 0.0), (0.0, 0.2), (0.3, 0.2)])
def test_penalties_count_weights_not_biases_and_are_reported(l1, l2):
    graph = dagnet.layered([2, 2, 1], activation="tanh")
    graph.edges["x1", "h11"]["share"] = graph.edges["x1", "h12"]["share"] = "same"
    graph.edges["x2", "h11"].update(trainable=False, weight=3.0)
    net = dagnet.Network(graph, seed=1)
    for node in net.biases:
        net.biases[node] = 0.7
    X, y = make_data(9)
    free = {edge: weight for edge, weight in net.weights.items() if edge != ("x2", "h11")}
    once = [weight for edge, weight in free.items() if edge != ("x1", "h12")]
    expected = net.evaluate(X, y) + l1 * np.abs(once).sum() + l2 * np.square(once).sum()
    gradient = net.gradient(X, y)
    weights, biases = dict(free), dict(net.biases)
    rate = 1e-3
    history = net.fit(X, y, epochs=1, optimizer="sgd", learning_rate=rate, l1=l1, l2=l2)
    assert history["loss"][0] == pytest.approx(expected, rel=1e-12)
    for edge, weight in weights.items():
        slope = gradient.weights[edge] + l1 * np.sign(weight) + 2 * l2 * weight
        assert net.weights[edge] == pytest.approx(weight - rate * slope, rel=1e-12)
    for node, bias in biases.items():
        assert net.biases[node] == pytest.approx(bias - rate * gradient.biases[node], rel=1e-12)
    assert net.weights["x2", "h11"] == 3.0


def test_clip_value_and_clip_norm():
    X, y = make_data()
    net = make_net()
    gradient = net.gradient(X, y * 100).flat
    before = net.parameters.copy()
    net.fit(X, y * 100, epochs=1, batch_size=40, optimizer="sgd", learning_rate=1.0, clip_value=0.5)
    np.testing.assert_allclose(before - net.parameters, np.clip(gradient, -0.5, 0.5), rtol=1e-9, atol=1e-12)
    net.parameters = before
    net.fit(X, y * 100, epochs=1, batch_size=40, optimizer="sgd", learning_rate=1.0, clip_norm=0.5)
    np.testing.assert_allclose(
        before - net.parameters, 0.5 * gradient / np.linalg.norm(gradient), rtol=1e-9, atol=1e-12
    )
    net.parameters = before
    net.fit(X, y * 100, epochs=1, batch_size=40, optimizer="sgd", learning_rate=1e-3, clip_norm=1e9)
    np.testing.assert_allclose(before - net.parameters, 1e-3 * gradient, rtol=1e-6, atol=1e-12)


def test_clip_norm_of_a_float32_gradient_whose_square_overflows():
    net = dagnet.Network(nx.DiGraph([("x", "y", {"weight": 1.0})]), loss="absolute_error", dtype="float32")
    net.fit([[1e30]], [0.0], epochs=1, optimizer="sgd", learning_rate=1.0, clip_norm=0.25)
    assert net.weights["x", "y"] == pytest.approx(0.75)


# -- frozen and shared ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec", ["sgd(momentum=0.9, weight_decay=0.1)", "adamw(weight_decay=0.5)", "adagrad"]
)
def test_frozen_parameters_do_not_move_by_one_bit_and_shared_ones_stay_equal(spec):
    graph = dagnet.layered([2, 4, 3, 1], activation="tanh")
    graph.edges["x1", "h11"]["trainable"] = False
    graph.nodes["h12"].update(trainable=False, bias=0.1)
    for edge in [("h11", "h21"), ("h12", "h21"), ("h13", "h22")]:
        graph.edges[edge]["share"] = "w"
    net = dagnet.Network(graph, seed=0)
    frozen = net.parameters[~net.trainable].copy()
    before = net.parameters.copy()
    X, y = make_data()
    net.fit(X, y, epochs=3, optimizer=spec, learning_rate=0.1, l2=0.01, clip_norm=1.0)
    assert (net.parameters[~net.trainable] == frozen).all()
    assert (net.parameters[net.trainable] != before[net.trainable]).all()
    assert net.weights["h11", "h21"] == net.weights["h12", "h21"] == net.weights["h13", "h22"]


def test_a_network_without_anything_trainable_only_records():
    graph = nx.DiGraph([("x", "y", {"trainable": False, "weight": 2.0})])
    graph.add_node("y", trainable=False)
    net = dagnet.Network(graph)
    history = net.fit([[1.0]], [0.0], epochs=2, optimizer="adam(weight_decay=1.0)", l2=1.0)
    assert history["loss"] == [4.0, 4.0]
    assert net.weights["x", "y"] == 2.0


def test_a_callback_may_write_to_a_network_with_frozen_parts():
    class Write(dagnet.Callback):
        def on_epoch_begin(self, run):
            run.model.weights["a", "y"] = 5.0

    graph = nx.DiGraph([("x", "y", {"trainable": False, "weight": 2.0}), ("a", "y", {"weight": 1.0})])
    net = dagnet.Network(graph)
    net.fit([[1.0, 0.0]], [2.0], epochs=1, optimizer="sgd", callbacks=[Write()])
    assert net.weights["a", "y"] == 5.0


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
    net = dagnet.Network(nx.DiGraph([("x", "y", {"weight": 1.0})]), dtype="float32")
    X = np.ones((50, 1))
    X[37] = 1e300  # finite in double precision, not in float32
    with pytest.raises(dagnet.NumericalError, match="node 'x' became inf in row 37 of X"):
        net.fit(X, np.ones(50), batch_size=7, seed=1)


def test_no_warnings_escape_from_overflow(recwarn):
    net = make_net(engine="reference")
    X, y = make_data()
    with pytest.raises(dagnet.NumericalError):
        net.fit(X, y, optimizer="sgd", learning_rate=1e150)
    assert not recwarn.list


# -- the joints ------------------------------------------------------------------------------


def test_callbacks_are_called_at_every_joint_in_order():
    seen = Recorder()
    X, y = make_data(5)
    make_net().fit(X, y, epochs=2, batch_size=3, callbacks=[seen])
    epoch = ["epoch {0} begin", "batch 1/2", "batch 2/2", "epoch {0} end"]
    expected = [text.format(number) for number in (1, 2) for text in epoch]
    assert seen.calls == ["training begin", *expected, "training end"]


def test_last_ones_run_last_and_endings_come_in_reverse():
    calls = []

    class Named(dagnet.Callback):
        def __init__(self, name):
            self.name = name

        def on_epoch_end(self, run):
            calls.append(self.name)

        def on_training_end(self, run):
            calls.append(f"end {self.name}")

    class Last(Named):
        runs_last = True

    X, y = make_data(5)
    make_net().fit(X, y, epochs=1, callbacks=[Last("a"), Named("b"), Named("c")])
    assert calls == ["b", "c", "a", "end a", "end c", "end b"]


def test_stop_in_a_batch_ends_there_and_records_nothing_for_the_epoch():
    class Stop(dagnet.Callback):
        def on_batch_end(self, run):
            run.stop = run.epoch == 2 and run.batch == 2

    seen = Recorder()
    X, y = make_data(9)
    history = make_net().fit(X, y, epochs=5, batch_size=3, callbacks=[Stop(), seen])
    assert history.epochs == 1
    assert seen.calls[-3:] == ["batch 1/3", "batch 2/3", "training end"]


def test_a_callback_that_fails_lets_the_others_end():
    class Failing(dagnet.Callback):
        def on_epoch_end(self, run):
            raise RuntimeError("on purpose")

    class Ending(dagnet.Callback):
        def on_training_end(self, run):
            assert run.failed
            ended.append(self)

    ended = []
    with pytest.raises(RuntimeError, match="on purpose"):
        make_net().fit(*make_data(), callbacks=[Ending(), Failing(), Ending()])
    assert len(ended) == 2


def test_the_learning_rate_that_a_callback_sets_is_checked():
    class Set(dagnet.Callback):
        def on_epoch_begin(self, run):
            run.learning_rate = float("nan")

    with pytest.raises(
        dagnet.DataError, match="learning_rate must be a finite number of at least 0, got nan"
    ):
        make_net().fit(*make_data(), callbacks=[Set()])


def test_an_error_inside_a_plugin_has_epoch_and_batch_beside_it():
    def broken(outputs, targets):
        raise ZeroDivisionError("inside")

    loss = dagnet.Loss("broken_of_training_test", broken, lambda o, t: o)
    with pytest.raises(ZeroDivisionError) as caught:
        make_net(loss=loss).fit(*make_data())
    assert any("epoch 1, batch 1" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("part", ["value", "gradient"])
def test_a_loss_of_the_wrong_shape_is_a_plugin_error(part):
    good = {"value": lambda o, t: ((o - t) ** 2).sum(axis=1), "gradient": lambda o, t: 2 * (o - t)}
    right = good[part]
    good[part] = lambda o, t: right(o, t) if len(o) < 8 else np.zeros((3, 3))  # past the registry's own probe
    loss = dagnet.Loss("shape_of_training_test", **good)
    with pytest.raises(dagnet.PluginError, match=f"loss 'shape_of_training_test': {part} must be an array"):
        make_net(loss=loss).fit(*make_data())


# -- bad input -------------------------------------------------------------------------------

BAD = [
    ("epochs", [0, -1, 2.5, 3.0, float("nan"), True, "5", None]),
    ("batch_size", [0, -1, 2.5, True, "5", None]),
    ("learning_rate", [0, -1.0, float("nan"), float("inf"), True, "fast"]),
    ("shuffle", [None, 1, "yes"]),
    ("seed", [-1, 2.5, "abc", True]),
    ("clip_norm", [0, -1, float("nan"), True, "1"]),
    ("clip_value", [0, -1, float("inf"), True]),
    ("l1", [-1, float("nan"), True, "1", None]),
    ("l2", [-1e-9, float("inf")]),
    ("progress", ["yes", 1]),
    ("callbacks", [dagnet.EarlyStopping(), [dagnet.EarlyStopping], [print], "early", 3, None]),
    ("validation_data", [3, ([[1.0, 2.0]],), np.ones((2, 2)), ([[1.0]], [1.0]), ([[1.0, np.inf]], [1.0])]),
]


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD for value in values], ids=repr
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
    return TrainingRun(net, X, y, Settings.checked(epochs=epochs, seed=2, batch_size=7, **settings))


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
        ("epoch", -1), ("epoch", True), ("epoch", 2), ("steps", "3"), ("generator", "{}"), ("generator", "no"),
        ("parameters", np.zeros(3)), ("optimizer", {}), ("optimizer", {"mean": np.zeros(2), "square": np.zeros(2)}),
        ("history", {"loss": np.zeros(5)}), ("history", None), ("settings", None), ("learning_rate", "x"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_damaged_snapshot_is_refused_and_changes_nothing(key, value):
    from dagnet.training import restore

    first = run_of(make_net(), 1)
    first.train()
    net = make_net()
    before = net.parameters.copy()
    with pytest.raises(dagnet.DataError, match="resume"):
        restore(run_of(net, 3), first.snapshot() | {key: value})
    assert (net.parameters == before).all()
