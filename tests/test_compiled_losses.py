"""Losses as machine code: forward, loss and backward as one call, against NumPy's way."""

import functools

import numpy as np
import pytest
from engine_conformance import GRAPHS, assert_alike, assert_fused_conforms
from hypothesis import given
from strategies import seeds

import dagnet
from dagnet.contracts import ThreeCalls
from dagnet.duals.rowwise import spelled_loss
from dagnet.engine.compiled import runner as compiled_runner
from dagnet.engine.compiled.losses import compile_loss
from dagnet.model.averaging import row_weights

compiled = dagnet.engines().get("compiled")
pytestmark = pytest.mark.skipif(
    compiled is None or compiled.unavailable() is not None, reason="the compiled engine cannot run here"
)

COMPILED = [name for name in dagnet.losses() if name != "binary_cross_entropy"]
ROWS = (1, 33, 200)


@pytest.fixture
def spread(monkeypatch):
    """Even small batches are spread over threads."""
    monkeypatch.setattr(compiled_runner, "WORK_PER_THREAD", 1)


def graph_of(activation="tanh", outputs=4, seed=0):
    rng = np.random.default_rng(seed)
    graph = dagnet.layered([5, 9, 8, outputs], activation=activation)
    for parent, child in list(graph.edges)[::3]:
        if graph.in_degree(child) > 2 and graph.out_degree(parent) > 1:
            graph.remove_edge(parent, child)
    graph.add_edge("x1", f"y{outputs}" if outputs > 1 else "eta")
    for _, _, data in graph.edges(data=True):
        data["weight"] = float(rng.uniform(-0.7, 0.7))
    return graph


def data_for(net, rows, seed=0):
    rng = np.random.default_rng(seed)
    width, inputs = len(net.plan.outputs), net.plan.n_inputs
    y = {
        "real": lambda: rng.standard_normal((rows, width)),
        "binary": lambda: rng.integers(0, 2, (rows, width)).astype(float),
        "probability": lambda: rng.uniform(0, 1, (rows, width)),
        "count": lambda: rng.poisson(2.0, (rows, width)).astype(float),
        "class": lambda: rng.dirichlet(np.ones(width), rows),
    }[net.loss.targets]()
    return rng.standard_normal((rows, inputs)), y, rng.uniform(0, 2, rows)


def assert_same(net, rows, seed=0):
    """One call and NumPy's way give the same, with and without weights."""
    X, y, weights = data_for(net, rows, seed)
    for sample_weight in (None, weights):
        wanted = net.gradient(X, y, sample_weight=sample_weight)
        assert assert_fused_conforms(net, wanted, X, y, sample_weight)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", COMPILED)
def test_builtin_losses(spread, name, dtype, rows):
    for threads in (1, 3):
        net = dagnet.Network(graph_of(), loss=name, dtype=dtype, engine="compiled", threads=threads)
        assert_same(net, rows)


@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
@pytest.mark.parametrize("shape", GRAPHS)
def test_programs_of_every_kind(spread, shape, loss):
    graph = GRAPHS[shape]()
    nets = [dagnet.Network(graph, loss=dagnet.losses()[loss], engine="compiled", threads=n) for n in (1, 2)]
    for net in nets:
        assert_same(net, 70)


PLUGINS = {
    "a mean, no gradient": dagnet.Loss("mean", lambda o, t: ((o - t) ** 4).mean(axis=1)),
    "several sums": dagnet.Loss("sums", lambda o, t: 0.5 * np.sum(np.abs(o), axis=1) - (o * t).sum(axis=-1)),
    "parameters": dagnet.Loss(
        "scaled",
        lambda o, t, scale: np.sum(np.log(np.cosh((o - t) / scale)), axis=1),
        lambda o, t, scale: np.tanh((o - t) / scale) / scale,
        parameters={"scale": 2.0},
    ),
    "units that interact": dagnet.Loss(
        "norm",
        lambda o, t: np.sqrt(1 + ((o - t) ** 2).sum(axis=1)),
        lambda o, t: (o - t) / np.sqrt(1 + ((o - t) ** 2).sum(axis=1, keepdims=True)),
    ),
    "the largest and the least": dagnet.Loss(
        "range",
        lambda o, t: o.max(axis=1) - np.min(o, axis=1) + (0.0 * t).sum(axis=1),
        lambda o, t: (
            (o == np.max(o, axis=1, keepdims=True)) * 1.0
            - np.where(o == o.min(axis=1, keepdims=True), 1.0, 0.0)
        ),
    ),
    "clipped": dagnet.Loss(
        "clipped",
        lambda o, t: (np.clip(o, -1.0, 1.0) * np.ones_like(o) + t.clip(0, 1)).sum(axis=1),
        lambda o, t: np.where((o >= -1) & (o <= 1), 1.0, np.zeros_like(t)),
    ),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PLUGINS)
def test_losses_of_strangers(name, dtype):
    loss = PLUGINS[name]
    assert compile_loss(loss, dtype) is not None
    for graph in (graph_of(), graph_of(outputs=1)):
        assert_same(dagnet.Network(graph, loss=loss, dtype=dtype, engine="compiled", seed=1), 40)


def first_of(o, t):
    return (o - t)[:, 0] ** 2


def only_first(o, t):
    gradient = np.zeros_like(o)
    gradient[:, 0] = 2 * (o - t)[:, 0]
    return gradient


SQUARES = (lambda o, t: ((o - t) ** 2).sum(axis=1), lambda o, t: 2 * (o - t))
NUMPY_RUNS = {
    "one column": (first_of, only_first),
    "a choice by the data": (
        lambda o, t: SQUARES[0](o, t) + (1 if (o > 1e9).any() else 0),
        SQUARES[1],
    ),
    "a sort": (lambda o, t: np.sort((o - t) ** 2, axis=1).sum(axis=1), SQUARES[1]),
    "the shape": (lambda o, t: SQUARES[0](o, t) / o.shape[1] * o.shape[1], SQUARES[1]),
    "a product over units": (lambda o, t: np.prod(1 + 0 * o, axis=1) - 1 + SQUARES[0](o, t), SQUARES[1]),
    "a sum over rows": (lambda o, t: SQUARES[0](o, t) + 0 * o.sum(axis=0).sum(), SQUARES[1]),
    "a number clipped": (lambda o, t: SQUARES[0](o, t) + np.clip(2.0, -1.0, o).sum(axis=1), SQUARES[1]),
    "a number clipped, derived": (lambda o, t: (np.clip(0.0, -1.0, o) + (o - t) ** 2).sum(axis=1), None),
    "a gradient with an assignment": (SQUARES[0], lambda o, t: np.multiply(2.0, o - t, out=np.empty_like(o))),
}


@pytest.mark.parametrize("name", NUMPY_RUNS)
def test_what_cannot_be_compiled_runs_through_numpy(name):
    loss = dagnet.Loss("mine", *NUMPY_RUNS[name])
    assert compile_loss(loss, "float64") is None
    X, y, _ = data_for(net := dagnet.Network(graph_of(), loss=loss, engine="compiled", seed=0), 60)
    same = dagnet.Network(graph_of(), loss=loss, engine="reference", seed=0)
    histories = [each.fit(X, y, epochs=3, seed=0)["loss"] for each in (net, same)]
    np.testing.assert_allclose(*histories, rtol=1e-10)


def test_a_loss_over_rows_is_not_compiled():
    assert compile_loss(dagnet.Loss("mine", *SQUARES, rowwise=False), "float64") is None


def test_rows_and_columns_do_not_mix():
    """(rows,) beside (rows, units) is NumPy's error, or worse where both are as long."""
    loss = dagnet.Loss("mine", lambda o, t: (o - o.sum(axis=1)).sum(axis=1), SQUARES[1])
    assert compile_loss(loss, "float64") is None


def test_a_number_that_a_loss_closes_over_is_read_anew():
    factor = 1.0
    loss = dagnet.Loss(
        "mine", lambda o, t: factor * ((o - t) ** 2).sum(axis=1), lambda o, t: factor * 2 * (o - t)
    )
    net = dagnet.Network(graph_of(), loss=loss, engine="compiled", seed=0)
    X, y, _ = data_for(net, 40)
    before = net.runner.fused_gradient(loss)
    into, weights = np.empty_like(net.theta()), row_weights(None, 40, net.dtype)
    first, _ = before(net.theta(), X, y, weights, into=into)
    factor = 3.0
    second, _ = net.runner.fused_gradient(loss)(net.theta(), X, y, weights, into=into)
    assert second == pytest.approx(3 * first)


def test_the_same_code_is_compiled_once():
    one, two = (dagnet.Loss(name, *SQUARES) for name in ("one", "two"))
    assert compile_loss(one, "float64").address == compile_loss(two, "float64").address
    assert compile_loss(one, "float64").address != compile_loss(one, "float32").address


def test_losses_that_differ_in_their_reduction_alone_are_two():
    one, two = (
        dagnet.Loss("mine", value, SQUARES[1])
        for value in (SQUARES[0], lambda o, t: ((o - t) ** 2).max(axis=1))
    )
    for loss in (one, two):
        assert_same(dagnet.Network(graph_of(), loss=loss, engine="compiled", seed=0), 40)


def keeping_count():
    calls = []
    return lambda o, t: (calls.append(1), len(calls) * SQUARES[0](o, t))[1]


def keeping_count_by_name():
    calls = 0

    def value(o, t):
        nonlocal calls
        calls += 1
        return calls * SQUARES[0](o, t)

    return value


def drawing():
    generator = np.random.default_rng(0)
    return lambda o, t: generator.uniform(1, 2) * SQUARES[0](o, t)


class Scaled:
    def __init__(self):
        self.scale = 1.0

    def __call__(self, o, t):
        self.scale *= 1.5
        return self.scale * SQUARES[0](o, t)


def answering_errors(o, t):
    try:
        return SQUARES[0](o, t) / o.shape[1]
    except AttributeError:
        return SQUARES[0](o, t)


def raising(o, t):
    with np.errstate(all="raise"):
        return SQUARES[0](o, t)


IMPURE = {
    "a list": keeping_count,
    "a count": keeping_count_by_name,
    "a generator of its own": drawing,
    "NumPy's generator": lambda: lambda o, t: np.random.uniform(1, 2) * SQUARES[0](o, t),
    "an object": Scaled,
    "a method": lambda: Scaled().__call__,
    "a part of an object": lambda: functools.partial(Scaled()),
    "errors": lambda: answering_errors,
    "what it is": lambda: lambda o, t: SQUARES[0](o, t) / (2 if hasattr(o, "shape") else 1),
    "errors of NumPy's": lambda: raising,
    "an array": lambda: functools.partial(lambda k, o, t: k * SQUARES[0](o, t), np.array(2.0)),
}


@pytest.mark.parametrize("gradient", [SQUARES[1], None])
@pytest.mark.parametrize("name", IMPURE)
def test_functions_that_may_do_otherwise_at_the_next_call_are_called_each_time(name, gradient):
    histories = []
    for engine in ("compiled", "reference"):
        np.random.seed(0)
        loss = dagnet.Loss("mine", IMPURE[name](), gradient)
        net = dagnet.Network(graph_of(), loss=loss, engine=engine, seed=0)
        X, y, _ = data_for(net, 60)
        histories.append(net.fit(X, y, epochs=3, seed=0)["loss"])
        assert engine == "reference" or isinstance(net.runner.fused_gradient(loss), ThreeCalls)
    np.testing.assert_allclose(*histories, rtol=1e-10)


FACTOR = 1.0


def test_a_number_that_changes_while_fit_runs_is_read_anew():
    closed_over = 1.0

    class Changing(dagnet.Callback):
        def on_epoch_end(self, run):
            nonlocal closed_over
            global FACTOR
            FACTOR, closed_over = FACTOR + 1, [None, 3.0, np.array([2.0]), 5.0][run.epoch]

    def value(o, t):
        return FACTOR * closed_over * SQUARES[0](o, t)

    histories = []
    for engine in ("compiled", "reference"):
        globals()["FACTOR"], closed_over = 1.0, 1.0
        net = dagnet.Network(graph_of(), loss=dagnet.Loss("mine", value, SQUARES[1]), engine=engine, seed=0)
        X, y, _ = data_for(net, 60)
        histories.append(net.fit(X, y, epochs=3, seed=0, callbacks=[Changing()])["loss"])
    np.testing.assert_allclose(*histories, rtol=1e-10)
    assert histories[0][2] > 5 * histories[0][0]


TRUTHS = {
    "a sum": lambda o, t: (((o > t) + (o > 0)) * (o - t) ** 2).sum(axis=1),
    "a power of e": lambda o, t: (np.exp(o > t) * (o - t) ** 2).sum(axis=1),
    "two maxima": lambda o, t: ((o > t).max(axis=1) + (o > 0).max(axis=1)) * SQUARES[0](o, t),
    "a choice": lambda o, t: ((np.where(o > t, o > 0, o < 0) + (o > 1)) * (o - t) ** 2).sum(axis=1),
    "ones": lambda o, t: ((np.ones_like(o > t) + (o > t)) * (o - t) ** 2).sum(axis=1),
}


@pytest.mark.parametrize("name", TRUTHS)
def test_truths_are_added_up_as_numpy_does(name):
    """True + True is True, and exp(True) has 11 bits: code for numbers would say otherwise."""
    loss = dagnet.Loss("mine", TRUTHS[name], SQUARES[1])
    assert compile_loss(loss, "float64") is None
    given = dagnet.Loss("mine", lambda o, t: ((o > t) & (t < 1) | (o > 0)).sum(axis=1) * 1.0, SQUARES[1])
    assert compile_loss(given, "float64") is not None


def test_what_numpy_refuses_is_refused():
    loss = dagnet.Loss("mine", SQUARES[0], lambda o, t: ((o > t) - 1.0 * (o < t)) * ((o > t) - (o < t)))
    net = dagnet.Network(graph_of(), loss=loss, engine="compiled", seed=0)
    X, y, _ = data_for(net, 60)
    with pytest.raises(TypeError, match="boolean subtract"):
        net.fit(X, y, epochs=1)


def test_many_reductions_one_upon_the_other_are_left_to_numpy():
    def value(o, t):
        a, b = o.sum(axis=1, keepdims=True), t.sum(axis=1, keepdims=True)
        for _ in range(40):
            a, b = b, (0.1 * o * a + np.tanh(b)).mean(axis=1, keepdims=True)
        return ((o - t) ** 2 + 0 * b).sum(axis=1)

    assert compile_loss(dagnet.Loss("mine", value, SQUARES[1]), "float64") is None


@pytest.mark.parametrize("shape", ["sparse", "dense"])
def test_the_same_bits_from_run_to_run(spread, shape):
    graph = graph_of() if shape == "sparse" else dagnet.layered([70, 90, 80, 4])
    runs = []
    for threads in (1, 2, 2, 3):
        net = dagnet.Network(graph, engine="compiled", threads=threads, seed=0)
        X, y, _ = data_for(net, 300)
        net.fit(X, y, epochs=3, batch_size=128, seed=0)
        runs.append(net.parameters.copy())
    np.testing.assert_array_equal(runs[1], runs[2])
    np.testing.assert_allclose(runs[0], runs[1], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(runs[0], runs[3], rtol=1e-9, atol=1e-12)


def test_rows_that_may_not_be_written_to():
    net = dagnet.Network(graph_of(), engine="compiled", seed=0)
    X, y, weights = data_for(net, 50)
    same = dagnet.Network(graph_of(), engine="compiled", seed=0)
    wanted = same.fit(X, y, epochs=2, shuffle=False, sample_weight=weights)["loss"]
    for array in (X, y, weights):
        array.flags.writeable = False
    assert net.fit(X, y, epochs=2, shuffle=False, sample_weight=weights)["loss"] == wanted


def test_batches_of_other_sizes_use_the_same_memory():
    net = dagnet.Network(graph_of(), engine="compiled", seed=0)
    fused, into = net.runner.fused_gradient(net.loss), np.empty_like(net.theta())
    for rows in (200, 3, 64, 1, 199):
        X, y, _ = data_for(net, rows, seed=rows)
        loss, _ = fused(net.theta(), X, y, row_weights(None, rows, net.dtype), into=into)
        wanted = net.gradient(X, y)
        assert loss == pytest.approx(wanted.loss)
        assert_alike(into, wanted.flat, "float64", "gradient")


@given(seeds)
def test_the_code_for_a_row_is_the_loss(seed):
    rng = np.random.default_rng(seed)
    for name in COMPILED:
        loss = dagnet.losses()[name]
        spelled = spelled_loss(loss.value, loss.gradient, loss.arguments)
        o, t, reduced = rng.standard_normal((1, 5)), rng.dirichlet(np.ones(5), 1), list[float]()
        for reduction in spelled.reductions:
            terms = reduction.term(o, t, 5, tuple(reduced)) + np.zeros_like(o)
            reduced.append(float({"sum": np.sum, "max": np.max, "min": np.min}[reduction.kind](terms)))
        assert spelled.value(5, tuple(reduced)) == pytest.approx(loss.row_values(o, t)[0], rel=1e-12)
        slopes = spelled.slope(o, t, 5, tuple(reduced))
        np.testing.assert_allclose(slopes, loss.row_gradients(o, t), rtol=1e-12, atol=1e-15)
