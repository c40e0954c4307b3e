"""Losses as machine code: forward, loss and backward as one call, against NumPy's way."""

import functools

import numpy as np
import pytest
from data.engine_conformance import GRAPHS, assert_alike, assert_fused_conforms
from data.own import own

import dagnet
from dagnet.contracts import ThreeCalls
from dagnet.model.heads import row_weights

pytest.importorskip("numba")

from dagnet.engine.compiled import runner as compiled_runner
from dagnet.engine.compiled.functions import compile_loss

compiled = dagnet.engines().get("compiled")
pytestmark = pytest.mark.skipif(
    compiled is None or compiled.unavailable() is not None, reason="the compiled engine cannot run here"
)

DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


@pytest.fixture
def spread(monkeypatch):
    """Even small batches are spread over threads."""
    monkeypatch.setattr(compiled_runner, "WORK_PER_THREAD", 1)


def graph_of(activation="tanh", outputs=4, seed=0, link="identity"):
    rng = np.random.default_rng(seed)
    graph = dagnet.layered([5, 9, 8, outputs], activation=activation)
    for parent, child in list(graph.edges)[::3]:
        if graph.in_degree(child) > 2 and graph.out_degree(parent) > 1:
            graph.remove_edge(parent, child)
    graph.add_edge("x1", f"y{outputs}" if outputs > 1 else "eta")
    for _, _, data in graph.edges(data=True):
        data["weight"] = float(rng.uniform(-0.7, 0.7))
    for k in range(outputs):
        graph.nodes[f"y{k + 1}" if outputs > 1 else "eta"]["activation"] = link
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


@pytest.mark.parametrize("threads", [1, 3])
@DTYPES
@pytest.mark.parametrize("name", own("losses"))
def test_builtin_losses(spread, name, dtype, threads):
    link = "sigmoid" if name == "binary_cross_entropy" else "identity"
    net = dagnet.Network(graph_of(link=link), loss=name, dtype=dtype, engine="compiled", threads=threads)
    for rows in (1, 33, 200):
        assert_same(net, rows)


@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
@pytest.mark.parametrize("shape", GRAPHS)
def test_programs_of_every_kind(spread, tiles, shape, loss):
    graph = GRAPHS[shape]()
    nets = [dagnet.Network(graph, loss=dagnet.losses()[loss], engine="compiled", threads=n) for n in (1, 2)]
    for net in nets:
        assert_same(net, 70)


SQUARES = (lambda o, t: ((o - t) ** 2).sum(axis=1), lambda o, t: 2 * (o - t))


def mixed_in_place(o, t):
    error = o - t
    error *= np.where(o > t, 2.0, 1.0)
    error[error > 3] = 3.0
    return np.square(error, out=error).mean(axis=1) + o.prod(axis=1) * 1e-3


def many_reductions(o, t):
    a, b = o.sum(axis=1, keepdims=True), t.sum(axis=1, keepdims=True)
    for _ in range(40):
        a, b = b, (0.1 * o * a + np.tanh(b)).mean(axis=1, keepdims=True)
    return ((o - t) ** 2 + 0.1 * b).sum(axis=1)


FORMULAS = {
    "a square of a sum": (lambda o, t: (o - t).sum(axis=1) ** 2,),
    "a product of sums": (lambda o, t: o.sum(axis=1) * t[:, 0],),
    "a sum beside columns": (lambda o, t: ((o.sum(axis=1, keepdims=True) - t) ** 2).sum(axis=1),),
    "a gradient by rows": (
        lambda o, t: (o - t).sum(axis=1) ** 2,
        lambda o, t: 2 * (o - t).sum(axis=1, keepdims=True) * np.ones_like(o),
    ),
    "a mean": (lambda o, t: ((o - t) ** 4).mean(axis=1),),
    "several sums": (lambda o, t: 0.5 * np.sum(np.abs(o), axis=1) - (o * t).sum(axis=-1),),
    "the largest and the least": (
        lambda o, t: o.max(axis=1) - np.min(o, axis=1) + (0.0 * t).sum(axis=1),
        lambda o, t: 1.0 * (o == np.max(o, axis=1)[:, None]) - np.where(o == o.min(1, keepdims=True), 1.0, 0),
    ),
    "clipped": (lambda o, t: (np.clip(o, -1.0, 1.0) * np.ones_like(o) + t.clip(0, 1)).sum(axis=1),),
    "a number clipped": (lambda o, t: (np.clip(0.0, -1.0, o) + (o - t) ** 2).sum(axis=1),),
    "columns": (lambda o, t: (o - t)[:, 0] ** 2 + o[:, 1:].max(axis=1),),
    "in place": (mixed_in_place,),
    "many reductions": (many_reductions,),
    "a product": (lambda o, t: np.prod(1 + 0.1 * o, axis=1) + SQUARES[0](o, t),),
    "a surrogate gradient": (SQUARES[0], lambda o, t: 3 * np.tanh(o - t)),
    "an assignment": (SQUARES[0], lambda o, t: np.multiply(2.0, o - t, out=np.empty_like(o))),
    "a variance of its own": (lambda o, t: 0.5 * (o[:, 1] + (t[:, 0] - o[:, 0]) ** 2 * np.exp(-o[:, 1])),),
    # True + True is True, in machine code too
    "a sum of truths": (lambda o, t: (((o > t) + (o > 0)) * (o - t) ** 2).sum(axis=1),),
    "a choice of truths": (
        lambda o, t: ((np.where(o > t, o > 0, o < 0) + (o > 1)) * (o - t) ** 2).sum(axis=1),
    ),
    "ones of truths": (lambda o, t: ((np.ones_like(o > t) + (o > t)) * (o - t) ** 2).sum(axis=1),),
    "counts of truths": (lambda o, t: ((o > t) & (t < 1) | (o > 0)).sum(axis=1) * 1.0 + SQUARES[0](o, t),),
}
NEED_TWO = {"columns", "a variance of its own", "the largest and the least"}


def answering_errors(o, t):
    try:
        return SQUARES[0](o, t) / o.shape[1]
    except AttributeError:
        return SQUARES[0](o, t)


NUMPY_RUNS = {
    "a choice by the data": (lambda o, t: SQUARES[0](o, t) + (1 if (o > 1e9).any() else 0), SQUARES[1]),
    "a sort": (lambda o, t: np.sort((o - t) ** 2, axis=1).sum(axis=1),),
    "the shape": (lambda o, t: SQUARES[0](o, t) / o.shape[1] * o.shape[1], SQUARES[1]),
    "a sum over rows": (lambda o, t: SQUARES[0](o, t) + 0 * o.sum(axis=0).sum(), SQUARES[1]),
    "an outer product": (lambda o, t: ((o[:, :, None] * t[:, None]) ** 2).sum(axis=(1, 2)),),
    "labels": (lambda o, t: SQUARES[0](o, t) - o[np.arange(len(o)), t.argmax(axis=1)],),
    "logarithms where they exist": (
        lambda o, t: np.log(o, where=o > 0.1, out=np.zeros_like(o)).sum(axis=1) + SQUARES[0](o, t),
    ),
    "two maxima of truths": (lambda o, t: ((o > t).max(axis=1) + (o > 0).max(axis=1)) * SQUARES[0](o, t),),
    # what symbols answer otherwise than arrays
    "errors": (answering_errors, SQUARES[1]),
    "what it is": (lambda o, t: SQUARES[0](o, t) / (2 if hasattr(o, "shape") else 1), SQUARES[1]),
    "its type": (lambda o, t: SQUARES[0](o, t) * (1.0 if isinstance(o, np.ndarray) else 100.0), SQUARES[1]),
    "an array": (lambda o, t: SQUARES[0](o, t) * (1.0 if np.asarray(o).ndim == 2 else 100.0), SQUARES[1]),
    "an array of ours": (
        functools.partial(lambda k, o, t: k * SQUARES[0](o, t), np.array([2.0])),
        SQUARES[1],
    ),
}


@pytest.mark.parametrize("threads", [1, 2])
@DTYPES
@pytest.mark.parametrize("name", [*FORMULAS, *NUMPY_RUNS])
def test_what_has_no_formula_runs_through_numpy_and_all_agree(spread, name, dtype, threads):
    functions = {**FORMULAS, **NUMPY_RUNS}[name]
    loss = dagnet.Loss("mine", *functions, surrogate=len(functions) == 2)
    assert (compile_loss(loss, dtype) is not None) == (loss.reason == "") == (name in FORMULAS)
    nets = [
        dagnet.Network(graph_of(), loss=loss, engine=engine, dtype=dtype, threads=threads, seed=0)
        for engine in ("compiled", "reference")
    ]
    assert isinstance(nets[0].runner.fused_gradient(loss), ThreeCalls) == (name in NUMPY_RUNS)
    X, y, _ = data_for(nets[0], 60)
    rtol = 1e-10 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(loss.row_values(nets[0](X), y), functions[0](nets[0](X), y), rtol=rtol)
    found = [net.gradient(X, y) for net in nets]
    assert_alike(found[0].flat, found[1].flat, dtype, "gradient")
    histories = [net.fit(X, y, epochs=3, seed=0)["loss"] for net in nets]
    np.testing.assert_allclose(*histories, rtol=rtol)
    for graph in (graph_of(), *([graph_of(outputs=1)] if name not in NEED_TWO else [])):
        if name in FORMULAS:
            assert_same(dagnet.Network(graph, loss=loss, dtype=dtype, engine="compiled", seed=1), 40)


def test_a_loss_over_rows_is_not_compiled():
    loss = dagnet.Loss("mine", lambda o, t: ((o - o.mean(axis=0) - t) ** 2).sum(axis=1), rowwise=False)
    assert compile_loss(loss, "float64") is None
    assert loss.reason == "couples rows"
    net = dagnet.Network(graph_of(), loss=loss, engine="compiled", seed=0)
    assert dagnet.check_gradient(net, *data_for(net, 9)[:2]).passed


def test_the_same_code_is_compiled_once():
    one, two = (dagnet.Loss(name, *SQUARES) for name in ("one", "two"))
    addresses = [compile_loss(x, d).address for x, d in ((one, "f8"), (two, "f8"), (one, "f4"))]
    assert addresses[0] == addresses[1] != addresses[2]
    largest = dagnet.Loss("mine", lambda o, t: ((o - t) ** 2).max(axis=1))
    assert compile_loss(largest, "f8").address != addresses[0]
    assert_same(dagnet.Network(graph_of(), loss=largest, engine="compiled", seed=0), 40)


def test_a_loss_without_a_formula_is_called_each_time():
    calls = []

    def value(o, t):
        calls.append(len(o))
        return np.sort((o - t) ** 2, axis=1).sum(axis=1)

    net = dagnet.Network(graph_of(), loss=dagnet.Loss("mine", value), engine="compiled", seed=0)
    X, y, _ = data_for(net, 60)
    before = len(calls)
    net.fit(X, y, epochs=3)
    assert len(calls) >= before + 3


def test_what_numpy_refuses_is_refused():
    with pytest.raises(dagnet.PluginError, match="boolean subtract"):
        dagnet.Loss("mine", SQUARES[0], lambda o, t: 1.0 * ((o > t) - (o < t)))


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


def test_batches_of_other_sizes_use_the_same_memory():
    net = dagnet.Network(graph_of(), engine="compiled", seed=0)
    fused, into = net.runner.fused_gradient(net.loss), np.empty_like(net.layout.by_slot(net.parameters))
    for rows in (200, 3, 64, 1, 199):
        X, y, _ = data_for(net, rows, seed=rows)
        loss, _ = fused(
            net.layout.by_slot(net.parameters), X, y, row_weights(None, rows, net.dtype), into=into
        )
        wanted = net.gradient(X, y)
        assert loss == pytest.approx(wanted.loss)
        assert_alike(into, wanted.flat, "float64", "gradient")
