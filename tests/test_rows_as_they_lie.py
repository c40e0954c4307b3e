"""Few units that read very many inputs: a step of training reads rows once, a tile forth and at once back."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from data.engine_conformance import assert_alike, assert_fused_conforms, pair

import dagnet
from dagnet.model.heads import row_weights

pytest.importorskip("numba")

from dagnet.contracts import ThreeCalls
from dagnet.engine.compiled.gradients import RowsGradient, StagedGradient

WIDTH = 203
"""Neither a multiple of what a vector holds nor of a tile's rows."""


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A hub is small, and even small work goes to several threads and has tiles of the usual kinds."""
    monkeypatch.setattr("dagnet.compiler.HUB", WIDTH - 50)
    monkeypatch.setattr("dagnet.engine.compiled.runner.WORK_PER_THREAD", 1)
    monkeypatch.setattr("dagnet.engine.compiled.segments.FEW_EDGES", 0)
    monkeypatch.setattr("dagnet.engine.compiled.segments.SMALL", WIDTH - 50)


def hubs(count=1, behind=0, beside=0, width=WIDTH, **word):
    """``count`` nodes that read all inputs; nodes behind them; the output reads some inputs beside them."""
    rng, graph = np.random.default_rng(0), nx.DiGraph()
    tops = [f"h{number}" for number in range(count)]
    for number, node in enumerate(tops):
        for k in range(width):
            graph.add_edge(f"x{k}", node, weight=float(rng.normal()) / width**0.5)
        graph.nodes[node].update(activation=("tanh", "gelu", "prelu")[number], bias=0.3)
    for number in range(behind):
        graph.add_edges_from([(top, f"m{number}") for top in tops], weight=0.4)
        graph.nodes[f"m{number}"].update(activation="tanh", **word)
    graph.add_edges_from([(top, "y") for top in [f"m{k}" for k in range(behind)] or tops], weight=0.7)
    graph.add_edges_from([(f"x{7 * k}", "y") for k in range(beside)], weight=-0.2)
    return graph


def frozen(every):
    graph = hubs()
    for k in range(0, WIDTH, every):
        graph.edges[f"x{k}", "h0"]["trainable"] = False
    return graph


def shared():
    graph = hubs()
    for k in range(WIDTH):
        graph.edges[f"x{k}", "h0"].update(weight=0.01 * (k % 5), share=f"w{k % 5}", factor=1.0)
    return graph


def with_block():
    """Of nodes of several units: a hub, and a block behind it."""
    rng, graph = np.random.default_rng(0), nx.DiGraph()
    for name, units in {"x": 20 * WIDTH, "h": 1, "b": 12, "c": 12, "y": 1}.items():
        graph.add_node(name, units=units, **({} if name == "x" else {"activation": "tanh"}))
    for edge in nx.utils.pairwise("xhbcy"):
        shape = tuple(graph.nodes[node]["units"] for node in reversed(edge))
        graph.add_edge(*edge, weight=rng.normal(size=shape) / shape[1] ** 0.5)
    return graph


GRAPHS = {
    "one": hubs,
    "three": lambda: hubs(3, behind=2),
    "beside": lambda: hubs(2, beside=5),
    "frozen in part": lambda: frozen(3),
    "frozen": lambda: frozen(1),
    "shared": shared,
    "with a block": with_block,
}


def gradient_of(net):
    return net._prepared.training_runner.fused_gradient(net.loss)


def rows(net, n, seed=1):
    rng = np.random.default_rng(seed)
    n_inputs = net.plan.n_inputs
    return rng.standard_normal((n, n_inputs)), rng.standard_normal((n, 1)), rng.uniform(0.1, 2, n)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", GRAPHS)
def test_they_conform(name, dtype, threads, monkeypatch):
    monkeypatch.setattr("data.engine_conformance.TOLERANCE", {"float64": 1e-11, "float32": 1e-4})
    net, reference = pair(GRAPHS[name](), "compiled", dtype, threads=threads)
    assert type(gradient_of(net)) is RowsGradient
    assert net.runner.program.has_blocks == (name == "with a block")
    assert net.runner.program.skips_inputs == (name != "beside")
    for n in (1, 3, 8, 9, 31, 300):
        X, y, weights = rows(net, n)
        X, y = X.astype(dtype), y.astype(dtype)
        for given in (None, weights):
            wanted = reference.gradient(X, y, sample_weight=given)
            assert_fused_conforms(net, wanted, X, y, given)


@pytest.mark.parametrize("n", [1, 11])
def test_the_gradient_is_that_of_central_differences(n):
    net = dagnet.Network(hubs(2, behind=1, beside=1), dtype="float64", seed=0, threads=2)
    X, y, _ = rows(net, n)
    find, share, theta = gradient_of(net), np.full(n, 1 / n), net.layout.by_slot(net.parameters)
    into, unused = np.empty_like(theta), np.empty_like(theta)
    find(theta, X, y, share, into=into)
    for slot in (*range(0, len(theta), 17), len(theta) - 1):
        losses = []
        for step in (1e-5, -1e-5):
            moved = theta.copy()
            moved[slot] += step
            losses.append(find(moved, X, y, share, into=unused)[0])
        assert into[slot] == pytest.approx((losses[0] - losses[1]) / 2e-5, rel=1e-6, abs=1e-8)


def test_always_the_same_bits_and_of_a_row_the_same_in_any_tile():
    net = dagnet.Network(hubs(), dtype="float32", seed=0, threads=3)
    X, y, _ = rows(net, 100)
    X, y = X.astype(np.float32), y.astype(np.float32)
    find, theta = gradient_of(net), net.layout.by_slot(net.parameters)
    found = []
    for _ in range(5):
        into = np.empty_like(theta)
        found.append((find(theta, X, y, np.full(100, 0.01, np.float32), into=into)[0], into))
    assert len({loss for loss, _ in found}) == 1
    assert all(np.array_equal(into, found[0][1]) for _, into in found)
    one = np.ones(1, np.float32)
    alone = [find(theta, X[k : k + 1], y[k : k + 1], one, into=np.empty_like(theta))[0] for k in range(16)]
    only = np.eye(16, dtype=np.float32)
    among = [find(theta, X[:16], y[:16], only[k], into=np.empty_like(theta))[0] for k in range(16)]
    assert alone == among


def test_what_is_infinite_in_a_row_stays_as_the_reference_has_it():
    graph = hubs()
    graph.nodes["h0"]["activation"] = "identity"
    net, reference = pair(graph, "compiled", "float64", loss="huber")  # δ is finite where the output is not
    X, y, _ = rows(net, 11)
    X[10, 5] = np.inf
    factor, found = row_weights(None, 11, net.dtype), []
    for one in (net, reference):
        into = np.empty(one.plan.n_slots)
        with np.errstate(all="ignore"):
            loss, _ = gradient_of(one)(one.layout.by_slot(one.parameters), X, y, factor, into=into)
        found.append((loss, one.layout.by_parameter(into)))
    assert np.isinf(found[0][1]).sum() == 2
    assert found[0][0] == found[1][0] == np.inf
    assert_alike(found[0][1], found[1][1], "float64", "gradient")


@pytest.mark.parametrize("how", ["dense", "sparse", "standardised"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fits_as_the_reference_does(dtype, how):
    sparse = pytest.importorskip("scipy.sparse")
    found = []
    for engine in ("compiled", "reference"):
        net = dagnet.Network(hubs(2, behind=2), engine=engine, dtype=dtype, seed=0, threads=1)
        X, y, weights = rows(net, 77)
        X[np.abs(X) < 1] = 0
        X = sparse.csr_array(X) if how == "sparse" else X
        history = net.fit(
            X,
            y,
            epochs=3,
            batch_size=30,
            learning_rate=0.01,
            seed=2,
            sample_weight=weights,
            standardize=how == "standardised",
            progress=False,
        )
        found.append((net.parameters, net(X), history["loss"]))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9 if dtype == "float64" else 2e-3)


def odd_root(z):
    return np.cbrt(np.atleast_1d(z)).reshape(z.shape)


def odd_root_slope(z, a):
    return 1 / (3 * np.cbrt(z) ** 2)


def by_order(outputs, targets):
    return np.sort((outputs - targets) ** 2, axis=1).sum(axis=1)


def test_others_go_as_before():
    def kind(graph, **arguments):
        return type(gradient_of(dagnet.Network(graph, seed=0, **arguments)))

    assert kind(hubs()) is RowsGradient
    assert kind(hubs(1, behind=2, dropout=0.5)) is StagedGradient
    assert kind(hubs(2, behind=2, aggregation="max")) is StagedGradient
    graph = hubs()
    graph.nodes["h0"]["activation"] = dagnet.Activation("odd_root", odd_root, odd_root_slope, kinks=(0.0,))
    assert kind(graph) is StagedGradient
    assert kind(hubs(), loss=dagnet.Loss("sorted", by_order)) is ThreeCalls


def test_the_bound_counts_blocks_beside_products():
    graph = with_block()
    graph.nodes["y"]["aggregation"] = "mean"
    graph.nodes["b"].update(activation="relu", bias=np.full(12, 9.0))
    net = dagnet.Network(graph, dtype="float64", seed=0)
    X, y, _ = rows(net, 9)
    find, theta = gradient_of(net), net.layout.by_slot(net.parameters)
    assert type(find) is StagedGradient
    assert net.runner.program.has_blocks
    X *= 1e-6  # so that derivatives of blocks are large beside all others
    into = np.empty_like(theta)
    _, bound = find(theta, X, y, np.full(9, 1 / 9), into=into)
    assert bound >= into @ into * (1 - 1e-9)
