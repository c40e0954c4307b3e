"""Steps that are made in one go are those that are made one by one, to the bit, and fail as they do."""

from copy import deepcopy

import networkx as nx
import numpy as np
import pytest

import dagnet
from dagnet.contracts import History
from dagnet.training.learner import ArrayLearner


class Listener(dagnet.Callback):
    """Wants to hear of each batch: then each is made by itself."""

    def __init__(self):
        self.losses = []

    def on_batch_end(self, run):
        self.losses.append(run.loss)


class Now(Listener):
    """Need not hear of each."""

    every_batch = False


def drawn(seed=0, **arguments):
    rng = np.random.default_rng(seed)
    graph = nx.gnp_random_graph(30, 0.2, seed=seed, directed=True)
    graph = nx.DiGraph((a, b) for a, b in graph.edges if a < b)
    net = dagnet.Network(graph, seed=seed, activation="tanh", engine="compiled", **arguments)
    X, y = rng.normal(size=(53, len(net.inputs))), rng.normal(size=(53, len(net.outputs)))
    return net, X, y


def both(net, X, y, **arguments):
    """Histories and parameters, made one by one and in one go; epochs that nobody hears of are the same."""
    found, states = [], []
    for callbacks in ([Listener()], [Now()], []):
        copy = dagnet.Network(net.to_networkx(), dtype=net.dtype, loss=net.loss, engine="compiled")
        copy.parameters[:] = net.parameters
        seed = np.random.default_rng(1)
        history = copy.fit(X, y, seed=seed, progress=False, callbacks=callbacks, **arguments)
        states.append((seed.bit_generator.state, history.state.steps))
        found.append((dict(history), copy.parameters.copy(), callbacks and callbacks[0].losses))
    unheard = found.pop()
    assert unheard[0] == found[0][0]
    assert (unheard[1] == found[0][1]).all()
    assert states[0] == states[1] == states[2]
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", ["sgd", "sgd(momentum=0.9)", "rmsprop", "adam", "adamw", "adagrad"])
@pytest.mark.parametrize(("batch_size", "shuffle"), [(1, True), (7, True), (7, False), (100, True)])
def test_they_are_the_same_to_the_bit(dtype, optimizer, batch_size, shuffle):
    net, X, y = drawn(dtype=dtype)
    one, many = both(
        net, X, y, optimizer=optimizer, batch_size=batch_size, shuffle=shuffle, epochs=3, learning_rate=0.01
    )
    assert one[0] == many[0]
    assert (one[1] == many[1]).all()
    assert one[2][-1] == many[2][-1]
    assert len(many[2]) == 3  # an epoch in one go
    assert len(one[2]) == 3 * -(-53 // batch_size)


@pytest.mark.parametrize(
    "arguments",
    [
        {"sample_weight": np.arange(53.0) + 1},
        {"l2": 0.01},
        {"clip_norm": 0.1},
        {"optimizer": "lbfgs", "batch_size": 53},
    ],
    ids=str,
)
def test_what_asks_more_of_a_step_gives_the_same(arguments):
    net, X, y = drawn()
    one, many = both(net, X, y, epochs=2, **{"batch_size": 9, **arguments})
    assert one[0] == many[0]
    assert (one[1] == many[1]).all()


@pytest.mark.parametrize("learning_rate", [3.0, 1e3, 1e30])
def test_a_run_that_overflows_fails_at_the_same_batch_with_the_same_words(learning_rate):
    messages = []
    for callbacks in ([Listener()], [Now()], []):
        net, X, y = drawn(dtype="float32")
        with pytest.raises(dagnet.NumericalError) as caught:
            net.fit(
                X,
                y,
                optimizer="sgd",
                learning_rate=learning_rate,
                batch_size=5,
                epochs=50,
                seed=0,
                callbacks=callbacks,
            )
        messages.append((str(caught.value), net.parameters.tobytes()))
    assert messages[0] == messages[1] == messages[2]


@pytest.mark.filterwarnings("ignore:fit. the loss")
def test_epochs_that_nobody_hears_of_are_one_call_and_go_one_by_one_from_a_step_that_is_not_calm(monkeypatch):
    calls, several = [], ArrayLearner.several

    def counted(learner, rows, starts, batches, learning_rate):
        losses = several(learner, rows, starts, batches, learning_rate)
        calls.append((batches[1], len(losses)))
        return losses

    monkeypatch.setattr(ArrayLearner, "several", counted)
    net, X, y = drawn()
    net.fit(X, y, epochs=20, batch_size=7, seed=0)
    assert calls == [(160, 160)]
    calls.clear()
    both(net, X, y, epochs=20, batch_size=7, optimizer="sgd", learning_rate=0.3)
    assert [8 < made < 160 for asked, made in calls if asked == 160] == [True], calls


class InOrder(np.random.Generator):
    """Draws no order at all."""

    def permutation(self, x, axis=0):
        del axis
        return np.arange(x)


def test_a_generator_of_its_own_kind_draws_whether_somebody_hears_or_not():
    net, X, y = drawn()
    copies = deepcopy(net), deepcopy(net)
    net.fit(X, y, epochs=5, batch_size=7, shuffle=False)
    for other, callbacks in zip(copies, ([], [dagnet.Callback()]), strict=True):
        other.fit(X, y, epochs=5, batch_size=7, seed=InOrder(np.random.PCG64(1)), callbacks=callbacks)
        np.testing.assert_array_equal(other.parameters, net.parameters)


def test_a_copy_of_an_optimizer_says_what_it_is_by_itself():
    net, X, y = drawn()
    one = dagnet.optimizers()["sgd"](momentum=0.5)
    deepcopy(net).fit(X, y, epochs=2, optimizer=one)
    other, twin = deepcopy(one), deepcopy(net)
    object.__setattr__(other, "momentum", 0.9)
    net.fit(X, y, epochs=2, optimizer=other, seed=0)
    twin.fit(X, y, epochs=2, optimizer="sgd(momentum=0.9)", seed=0)
    np.testing.assert_array_equal(net.parameters, twin.parameters)


def test_an_interruption_leaves_the_parameters_of_the_last_epoch_in_the_history(monkeypatch):
    net, X, y = drawn()
    copies, extend = deepcopy(net), History.extend

    def interrupted(history, **columns):
        extend(history, **columns)
        raise KeyboardInterrupt

    monkeypatch.setattr(History, "extend", interrupted)
    before = net.parameters.copy()
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y, epochs=20, batch_size=7, seed=0)
    assert net.history.epochs == 0
    assert (net.parameters == before).all()
    monkeypatch.undo()
    assert net.fit(X, y, epochs=3, seed=0)["loss"] == copies.fit(X, y, epochs=3, seed=0)["loss"]


def test_a_row_of_huge_numbers_in_the_middle_is_stepped_the_long_way():
    net, X, y = drawn()
    y[20] = 1e9
    one, many = both(net, X, y, optimizer="adam", batch_size=4, epochs=2)
    assert one[0] == many[0]
    assert (one[1] == many[1]).all()


def test_frozen_shared_and_bounded_networks_are_learned_the_long_way():
    graph = nx.DiGraph([("a", "h"), ("b", "h"), ("h", "y"), ("a", "y")])
    graph.edges["a", "h"]["share"] = graph.edges["b", "h"]["share"] = "k"
    graph.edges["a", "y"]["bounds"] = (-0.1, 0.1)
    graph.edges["h", "y"]["trainable"] = False
    X = np.random.default_rng(0).normal(size=(20, 2))
    net = dagnet.Network(graph, seed=0)
    one, many = both(net, X, X.sum(axis=1), epochs=5, batch_size=4, learning_rate=0.1)
    assert one[0] == many[0]
    assert (one[1] == many[1]).all()


def test_a_stop_is_heard_between_goes_and_a_checkpoint_goes_on_to_the_bit(tmp_path, monkeypatch):
    monkeypatch.setattr("dagnet.training.run.AT_ONCE", 4 * 9 * 200)

    class Stop(Now):
        def on_batch_end(self, run):
            super().on_batch_end(run)
            run.stop = run.epoch == 2 and run.batch >= 5

    def train(net, X, y, **arguments):
        return net.fit(X, y, batch_size=4, epochs=4, seed=0, progress=False, **arguments)

    whole, X, y = drawn()
    history = train(whole, X, y)
    net, _, _ = drawn()
    path = tmp_path / "run.dagnet"
    stopped = train(net, X, y, callbacks=[Stop(), dagnet.Checkpoint(path)])
    assert stopped.epochs == 1
    again, _, _ = drawn()
    assert dict(train(again, X, y, resume=path)) == dict(history)
    assert (again.parameters == whole.parameters).all()
