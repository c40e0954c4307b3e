"""L-BFGS: where it ends, what it never does, and the searches that optimizers may make."""

from dataclasses import dataclass

import networkx as nx
import numpy as np
import pytest
from data.training_cases import Recorder, StopAt, make_data, make_net

import dagnet
from dagnet.builtins.optimizers import LBFGS
from dagnet.testing import check_optimizer

ALL = {"optimizer": "lbfgs", "batch_size": 1000, "progress": False}


def rosenbrock(theta):
    x, y = theta
    value = (1 - x) ** 2 + 100 * (y - x * x) ** 2
    return float(value), np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])


def minimised(function, start, steps, rule=None):
    """Losses before each step, and where the last one led; with how many evaluations."""
    rule, theta, losses, calls = rule or LBFGS(), np.array(start), [], []
    state = rule.start(theta)

    def evaluate(parameters):
        calls.append(parameters.copy())
        return function(parameters)

    for step in range(1, steps + 1):
        loss, gradient = function(theta)
        losses.append(loss)
        now = {"step": step, "learning_rate": rule.learning_rate, "evaluate": evaluate}
        rule.step(theta, gradient, state, **now)
    return losses, theta, len(calls) - steps  # the loss where a step begins is known


def never_rises(losses):
    return (np.diff(losses) <= 0).all()


def test_rosenbrocks_valley_is_walked_to_its_end():
    losses, theta, calls = minimised(rosenbrock, [-1.2, 1.0], 45)
    np.testing.assert_allclose(theta, 1.0, atol=1e-7)
    assert never_rises(losses)
    assert calls < 70


def test_it_takes_about_as_many_evaluations_as_scipys():
    optimize = pytest.importorskip("scipy.optimize")
    theirs = optimize.minimize(rosenbrock, [-1.2, 1.0], jac=True, method="L-BFGS-B")
    losses, _, calls = minimised(rosenbrock, [-1.2, 1.0], theirs.nit)
    assert losses[-1] < 1e-3
    assert calls < 1.5 * theirs.nfev


def test_a_step_fulfils_the_strong_wolfe_conditions():
    for seed in range(20):
        start = np.random.default_rng(seed).normal(size=2) * 2
        theta, (loss, gradient) = start.copy(), rosenbrock(start)
        state = LBFGS().start(theta)
        LBFGS().step(theta, gradient, state, step=1, learning_rate=1.0, evaluate=rosenbrock)
        after, slopes = rosenbrock(theta)
        move = theta - start
        assert after <= loss + 1e-4 * gradient @ move
        assert abs(slopes @ move) <= 0.9 * abs(gradient @ move)
        np.testing.assert_allclose(state["moves"][-1], move, rtol=1e-12)


def test_nan_and_infinity_in_a_search_lead_back():
    def steep(theta):  # no number below −0.5, infinite below −0.25
        with np.errstate(all="ignore"):
            x = theta[0]
            value = np.nan if x < -0.5 else np.inf if x < -0.25 else x
            return float(value), np.array([1.0])

    losses, theta, _ = minimised(steep, [3.0], 30)
    assert never_rises(losses)
    assert -0.25 <= theta[0] < -0.2


def test_a_search_without_a_step_stops_quietly_and_forgets():
    def wrong(theta):  # its gradient points downhill
        return float(theta @ theta), -2 * theta

    rule, theta = LBFGS(), np.array([1.0, 2.0])
    state = rule.start(theta)
    state["moves"][-1] = state["changes"][-1] = 1.0
    rule.step(theta, -2 * theta, state, step=2, learning_rate=1.0, evaluate=wrong)
    assert theta.tolist() == [1.0, 2.0]
    assert not state["moves"].any()
    assert not state["changes"].any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("engine", ["reference", "auto"])
def test_the_loss_of_a_network_never_rises(engine, dtype):
    X, y = make_data()
    net = make_net(engine=engine, dtype=dtype)
    losses = net.fit(X, y, epochs=150, **ALL)["loss"]
    assert never_rises(losses)
    assert losses[-1] < 0.1 * losses[0]
    assert net.evaluate(X, y) <= losses[-1]


def test_least_squares_are_solved():
    X, y = make_data()
    net = dagnet.Network(dagnet.layered([2, 1]), seed=0)
    net.fit(X, y, epochs=20, **ALL)
    right = np.linalg.lstsq(np.column_stack([X, np.ones(40)]), y, rcond=None)[0].ravel()
    np.testing.assert_allclose([*net.weights.values(), net.biases["eta"]], right, atol=1e-7)


def test_logistic_regression_is_statsmodels_logit():
    sm = pytest.importorskip("statsmodels.api")
    data = sm.datasets.spector.load_pandas()
    X, y = np.asarray(data.exog, float), np.asarray(data.endog, float)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    truth = sm.Logit(y, sm.add_constant(X)).fit(disp=0, method="newton", tol=1e-14).params
    net = dagnet.Network(dagnet.layered([3, 1]), loss="binary_cross_entropy_with_logits", seed=0)
    net.fit(X, y, epochs=50, **ALL)
    np.testing.assert_allclose([net.biases["eta"], *net.weights.values()], truth, atol=1e-6)


def build(dtype="float64"):
    graph = dagnet.layered([2, 4, 3, 1], activation="tanh")
    graph.edges["x1", "h11"].update(trainable=False, weight=0.3)
    graph.edges["h11", "h21"]["share"] = graph.edges["h12", "h21"]["share"] = "w"
    return dagnet.Network(graph, seed=0, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_resumed_run_ends_with_the_bits_of_an_uninterrupted_one(tmp_path, dtype):
    X, y = make_data()
    keywords = {**ALL, "l2": 0.001, "sample_weight": np.arange(40.0), "seed": 7}
    whole, parted, other = (build(dtype) for _ in range(3))
    expected = whole.fit(X, y, epochs=20, **keywords)
    path = tmp_path / "run.dagnet"
    parted.fit(X, y, epochs=20, callbacks=[dagnet.Checkpoint(path), StopAt(6, 1)], **keywords)
    history = other.fit(X, y, epochs=20, resume=path, **keywords)
    assert (other.parameters == whole.parameters).all()
    assert history.to_dict() == expected.to_dict()
    assert whole.weights["x1", "h11"] == whole.dtype.type(0.3)
    assert never_rises(expected["loss"])


def test_penalties_frozen_and_shared_parameters_are_part_of_the_search():
    X, y = make_data()
    net = build()
    net.fit(X, y, epochs=400, l2=0.01, **ALL)
    gradient = net.gradient(X, y).flat.copy()
    gradient[net.layout.weights] += 0.02 * net.parameters[net.layout.weights]
    assert np.abs(gradient[net.trainable]).max() < 1e-6


def test_shuffling_changes_no_bit_and_callbacks_may_write_parameters():
    X, y = make_data()
    nets = [make_net() for _ in range(2)]
    for net, shuffle in zip(nets, (True, False), strict=True):
        net.fit(X, y, epochs=10, shuffle=shuffle, **ALL)
    np.testing.assert_array_equal(*(net.parameters for net in nets))

    class Halved(dagnet.Callback):
        def on_epoch_end(self, run):
            run.model.parameters *= 0.5 if run.epoch == 3 else 1.0

    net = make_net()
    losses = net.fit(X, y, epochs=4, callbacks=[Halved()], **ALL)["loss"]
    net = make_net()
    net.fit(X, y, epochs=3, **ALL)
    net.parameters *= 0.5
    assert losses[3] == pytest.approx(net.evaluate(X, y), rel=1e-12)


class Listens(dagnet.Callback):
    def on_gradient(self, run, flat):
        pass


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"batch_size": 32}, r"write batch_size=40 or more, not 32"),
        ({"l1": 0.1}, r"leave out l1=0\.1"),
        ({"clip_norm": 1.0, "clip_value": 2.0}, r"leave out clip_norm=1\.0, clip_value=2\.0"),
        ({"callbacks": [Listens()]}, "leave out callbacks with on_gradient"),
    ],
)
def test_what_would_mislead_a_search_is_refused_with_the_mend(more, says):
    X, y = make_data()
    net = make_net()
    before = net.parameters.copy()
    with pytest.raises(dagnet.DataError, match=rf"optimizer 'lbfgs' searches along the loss .*: {says}"):
        net.fit(X, y, epochs=3, **{**ALL, **more})
    np.testing.assert_array_equal(net.parameters, before)


def test_a_loss_that_is_no_number_at_the_start_is_named():
    net = dagnet.Network(nx.DiGraph([("x", "y", {"weight": 1e200})]))
    with pytest.raises(dagnet.NumericalError, match="epoch 1, batch 1"):
        net.fit([[1e200]], [0.0], **ALL)


def test_a_failing_search_leaves_the_parameters_as_they_were():
    @dataclass(frozen=True)
    class Failing(dagnet.Optimizer):
        name = "failing"
        searches = True
        learning_rate: float = 1.0

        def step(self, parameters, gradient, state, *, step, learning_rate, evaluate):
            evaluate(parameters + 1.0)
            raise ValueError("lost")

    X, y = make_data()
    net = make_net()
    before = net.parameters.copy()
    with pytest.raises(ValueError, match="lost"):
        net.fit(X, y, **{**ALL, "optimizer": Failing()})
    np.testing.assert_array_equal(net.parameters, before)
    assert Failing().formula is None
    with pytest.raises(dagnet.PluginError, match="step must have evaluate="):
        LBFGS().step(before, before, {}, step=1, learning_rate=1.0)


def test_the_kit_takes_optimizers_that_search():
    check_optimizer(LBFGS)
    check_optimizer(LBFGS(memory=2))


def test_a_network_without_parameters_to_learn_stays():
    graph = nx.DiGraph()
    graph.add_node("y", bias=0.0, trainable=False)
    graph.add_edge("x", "y", weight=1.0, trainable=False)
    net, seen = dagnet.Network(graph), Recorder()
    net.fit([[1.0]], [2.0], epochs=2, callbacks=[seen], **ALL)
    assert net.history["loss"] == [1.0, 1.0]
