"""fit: what it learns, and in what order it calls."""

from __future__ import annotations

import pickle

import networkx as nx
import numpy as np
import pytest
from data.training_cases import PLANS, SIZES, Recorder, make_data, make_net

import dagnet
from dagnet.model import make_generator
from dagnet.plan import DENSE
from dagnet.training.rows import encode_rows

# -- what it computes ------------------------------------------------------------------------


@pytest.mark.parametrize("spec", sorted(set(dagnet.optimizers()) - {"lbfgs"}))
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


def test_without_a_seed_each_run_has_a_generator_of_its_own_which_can_be_copied():
    first, second = make_generator(None), make_generator(None)
    assert first.bit_generator.state != second.bit_generator.state
    twin = pickle.loads(pickle.dumps(first))
    assert (twin.permutation(50) == first.permutation(50)).all()
    again = np.random.default_rng(second.bit_generator.seed_seq.entropy)  # who wants to repeat a run can
    assert (again.permutation(50) == second.permutation(50)).all()
    assert first.spawn(1)


def test_orders_that_are_drawn_by_one_call_are_those_drawn_one_by_one():
    for rows in (1, 4, 53):
        one, many, orders = *(np.random.default_rng(3) for _ in range(2)), np.tile(np.arange(rows), (5, 1))
        many.permuted(orders, axis=1, out=orders)
        assert (orders == [one.permutation(rows) for _ in range(5)]).all()
        assert many.bit_generator.state == one.bit_generator.state


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


@PLANS
def test_clip_value_and_clip_norm(sizes):
    X, y = make_data(inputs=sizes[0])
    net = make_net(sizes)
    gradient = net.gradient(X, y * 100).flat
    before = net.parameters.copy()
    once = {"epochs": 1, "batch_size": 40, "optimizer": "sgd"}
    net.fit(X, y * 100, **once, learning_rate=1.0, clip_value=0.5)
    np.testing.assert_allclose(before - net.parameters, np.clip(gradient, -0.5, 0.5), rtol=1e-9, atol=1e-12)
    net.parameters = before
    net.fit(X, y * 100, **once, learning_rate=1.0, clip_norm=0.5)
    np.testing.assert_allclose(
        before - net.parameters, 0.5 * gradient / np.linalg.norm(gradient), rtol=1e-9, atol=1e-12
    )
    net.parameters = before
    net.fit(X, y * 100, **once, learning_rate=1.0, clip_value=0.5, clip_norm=0.25)
    cut = np.clip(gradient, -0.5, 0.5)
    np.testing.assert_allclose(
        before - net.parameters, 0.25 * cut / np.linalg.norm(cut), rtol=1e-9, atol=1e-12
    )
    for unreached in (
        {"clip_norm": 1e9},
        {"clip_value": 1e9},
        {"clip_norm": 1.01 * np.linalg.norm(gradient)},
    ):
        net.parameters = before
        net.fit(X, y * 100, **once, learning_rate=1e-3, **unreached)
        np.testing.assert_allclose(before - net.parameters, 1e-3 * gradient, rtol=1e-6, atol=1e-12)


@PLANS
def test_clip_norm_of_a_float32_gradient_whose_square_overflows(sizes):
    graph = dagnet.layered(sizes, activation="identity")
    net = dagnet.Network(graph, loss="absolute_error", dtype="float32", seed=0)
    before = net.parameters.astype(float)
    gradient = net.gradient(X := np.full((1, sizes[0]), 1e30), [0.0]).flat.astype(float)
    net.fit(X, [0.0], epochs=1, optimizer="sgd", learning_rate=1.0, clip_norm=0.25)
    np.testing.assert_allclose(
        before - net.parameters, 0.25 * gradient / np.linalg.norm(gradient), rtol=1e-4, atol=1e-6
    )


# -- frozen and shared ------------------------------------------------------------------------


@PLANS
@pytest.mark.parametrize(
    "spec", ["sgd(momentum=0.9, weight_decay=0.1)", "adamw(weight_decay=0.5)", "adagrad"]
)
def test_frozen_parameters_do_not_move_by_one_bit_and_shared_ones_stay_equal(spec, sizes):
    graph = dagnet.layered(sizes, activation="tanh")
    graph.edges["x1", "h11"]["trainable"] = False
    graph.nodes["h12"].update(trainable=False, bias=0.1)
    shared = [("x1", "h13"), ("x2", "h13"), ("x2", "h14")]
    for edge in shared:
        graph.edges[edge]["share"] = "w"
    net = dagnet.Network(graph, seed=0)
    assert (DENSE in net.plan.steps["kind"]) == (sizes != SIZES)
    frozen = net.parameters[~net.trainable].copy()
    before = net.parameters.copy()
    X, y = make_data(inputs=sizes[0])
    net.fit(X, y, epochs=3, optimizer=spec, learning_rate=0.1, l2=0.01, clip_norm=1.0)
    assert (net.parameters[~net.trainable] == frozen).all()
    assert (net.parameters[net.trainable] != before[net.trainable]).all()
    assert len({net.weights[edge] for edge in shared}) == 1


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


@pytest.mark.parametrize("engine", ["reference", "auto"])
@pytest.mark.parametrize("part", ["function", "derivative"])
def test_an_error_inside_an_activation_names_node_plugin_epoch_batch_and_row(engine, part):
    def touchy(z, *rest):
        if (z == 7).any():
            raise ZeroDivisionError("inside")
        return np.ones_like(z) if rest else z + 0

    functions = {"function": lambda z: z + 0, "derivative": lambda z, a: np.ones_like(z)} | {part: touchy}
    activation = dagnet.Activation("touchy_of_training_test", **functions)
    graph = nx.DiGraph([("x", "calm"), ("x", "touchy"), ("calm", "y"), ("touchy", "y")])
    graph.add_node("touchy", activation=activation, bias=False)
    graph.add_edge("x", "touchy", weight=1.0, trainable=False)
    net = dagnet.Network(graph, engine=engine)
    X = np.arange(10.0)[:, None]
    with pytest.raises(ZeroDivisionError) as caught:
        net.fit(X, X[:, 0], batch_size=4, shuffle=False)
    expected = "in fit, epoch 1, batch 2: activation 'touchy_of_training_test' at node 'touchy', row 7 of X"
    assert caught.value.__notes__ == [expected]


@pytest.mark.parametrize("part", ["value", "gradient"])
def test_an_error_inside_a_loss_names_it_and_epoch_batch_and_row(part):
    good = {"value": lambda o, t: ((o - t) ** 2).sum(axis=1), "gradient": lambda o, t: 2 * (o - t)}
    right = good[part]

    def touchy(outputs, targets):
        if (targets == 7).any():
            raise ZeroDivisionError("inside")
        return right(outputs, targets)

    loss = dagnet.Loss("touchy_loss_of_training_test", **(good | {part: touchy}))
    X = np.arange(10.0)[:, None]
    with pytest.raises(ZeroDivisionError) as caught:
        dagnet.Network(nx.DiGraph([("x", "y")]), loss=loss).fit(X, X[:, 0], batch_size=4, shuffle=False)
    assert caught.value.__notes__ == [
        "in fit, epoch 1, batch 2: loss 'touchy_loss_of_training_test', row 7 of X"
    ]


@pytest.mark.parametrize("part", ["value", "gradient"])
def test_a_loss_of_the_wrong_shape_is_a_plugin_error(part):
    good = {"value": lambda o, t: ((o - t) ** 2).sum(axis=1), "gradient": lambda o, t: 2 * (o - t)}
    right = good[part]
    good[part] = lambda o, t: right(o, t) if len(o) < 8 else np.zeros((3, 3))  # past the registry's own probe
    loss = dagnet.Loss("shape_of_training_test", **good)
    with pytest.raises(dagnet.PluginError, match=f"loss 'shape_of_training_test': {part} must be of shape"):
        make_net(loss=loss).fit(*make_data())


def test_batches_of_one_size_are_the_same_arrays():
    """Engines know them again and need not read where they lie."""
    rows = encode_rows(make_net(), *make_data(20), None)
    room, order = rows.room_for(8), np.random.default_rng(0).permutation(20)
    first, second, last = (rows.batch(order[start : start + 8], room) for start in (0, 8, 16))
    assert first.inputs is second.inputs
    assert first.targets is second.targets
    assert first.factor is second.factor
    assert len(last.inputs) == len(last.targets) == 4
    np.testing.assert_array_equal(first.inputs, rows.inputs[order[[16, 17, 18, 19, 12, 13, 14, 15]]])


@pytest.mark.parametrize("engine", ["reference", "auto"])
def test_outputs_that_a_loss_refuses_are_refused_with_where_they_were_met(engine):
    net = make_net(loss="binary_cross_entropy", engine=engine)
    X, y = make_data(10)
    with pytest.raises(dagnet.DataError, match="must be a probability") as caught:
        net.fit(1e3 * X, (y > 0).astype(float), batch_size=4)
    assert caught.value.__notes__[0].startswith("in fit, epoch 1, batch 1")
