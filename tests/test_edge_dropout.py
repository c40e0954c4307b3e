"""Dropout on edges: terms that training drops, one by one."""

import networkx as nx
import numpy as np
import pytest

import dagnet
from dagnet.contracts import Draw
from dagnet.hashing import kept, step_key

ENGINES = ("reference", "compiled")
RATES = {("x", "h"): 0.5, ("h", "y"): 0.25}


def drawn(**hidden):
    """Three inputs in one node, three hidden units, and an edge around them; two edges drop."""
    graph = nx.DiGraph([("x", "h"), ("x", "g"), ("h", "y"), ("g", "y"), ("x", "y")])
    graph.nodes["x"]["units"] = graph.nodes["h"]["units"] = 3
    graph.nodes["h"].update(activation="tanh", **hidden)
    graph.nodes["g"].update(activation="sigmoid")
    for edge, rate in RATES.items():
        graph.edges[edge]["dropout"] = rate
    return graph


def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(1.0, 2.0, (n, 3)), rng.normal(size=n)


def factors(net, edge, key, n):
    """(rows, child units, parent units) 0 or 1/(1 − rate), by the numbers of the weight's elements."""
    number = net.topology.edge_number(edge)
    start, stop = net.topology.weight_starts[number : number + 2].tolist()
    numbers = np.arange(start, stop, dtype=np.uint64) + np.uint64(2**63)
    mask = kept(key, numbers, n, RATES[edge]).T / (1 - RATES[edge])
    return mask.reshape(n, *np.shape(np.atleast_2d(net.weights[edge])))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_step_is_down_pytorchs_gradient_with_the_masks_on_the_terms(engine):
    torch = pytest.importorskip("torch")
    net = dagnet.Network(drawn(), seed=1, engine=engine)
    X, y = rows(70)
    start = net.copy() if hasattr(net, "copy") else dagnet.Network(net.to_networkx(), engine=engine)
    key = step_key(int(np.random.default_rng(9).integers(2**63)), 0)
    weight = {
        edge: torch.tensor(np.atleast_2d(start.weights[edge]), requires_grad=True) for edge in net.edges
    }
    bias = {node: torch.tensor(np.atleast_1d(start.biases[node]), requires_grad=True) for node in "hgy"}
    x = torch.tensor(X)

    def term(edge, value):
        if edge not in RATES:
            return value @ weight[edge].T
        masked = torch.tensor(factors(net, edge, key, len(X))) * weight[edge]
        return torch.einsum("rij,rj->ri", masked, value)

    h = torch.tanh(term(("x", "h"), x) + bias["h"])
    g = torch.sigmoid(term(("x", "g"), x) + bias["g"])
    out = term(("h", "y"), h) + term(("g", "y"), g) + term(("x", "y"), x) + bias["y"]
    ((out[:, 0] - torch.tensor(y)) ** 2).mean().backward()
    net.fit(X, y, epochs=1, batch_size=70, optimizer="sgd", learning_rate=0.1, shuffle=False, seed=9)
    for edge, found in weight.items():
        moved = (np.atleast_2d(start.weights[edge]) - np.atleast_2d(net.weights[edge])) / 0.1
        np.testing.assert_allclose(moved, found.grad.numpy(), rtol=0, atol=1e-12)
    for node, found in bias.items():
        moved = (np.atleast_1d(start.biases[node]) - np.atleast_1d(net.biases[node])) / 0.1
        np.testing.assert_allclose(moved, found.grad.numpy(), rtol=0, atol=1e-12)


def test_prediction_drops_nothing_and_plans_of_prediction_stay():
    graph, plain = drawn(), drawn()
    for edge in RATES:
        del plain.edges[edge]["dropout"]
    nets = [dagnet.Network(each, seed=1) for each in (graph, plain)]
    X, y = rows(8)
    np.testing.assert_allclose(nets[0](X), nets[1](X), rtol=1e-14)
    np.testing.assert_allclose(nets[0].gradient(X, y).flat.sum(), nets[1].gradient(X, y).flat.sum())
    assert dagnet.check_gradient(nets[0], X, y).passed


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("engine", ENGINES)
def test_threads_and_portions_of_rows_change_no_bit(engine, dtype, monkeypatch):
    X, _ = rows(300)
    found = []
    for threads, portion in ((1, 2**20), (2, 2**20), (1, 500)):
        monkeypatch.setattr("dagnet.engine.training_steps.PORTION", portion)
        net = dagnet.Network(drawn(dropout=0.25), seed=1, engine=engine, dtype=dtype, threads=threads)
        draw = Draw(step_key(3, 4), np.full(300, 1 / 300, dtype))
        theta = net.layout.by_slot(net.parameters)
        state = net.training_runner.forward(theta, X.astype(dtype), draw=draw)
        found.append(state.outputs)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_engines_learn_the_same_beside_dense_blocks_and_normalisations(dtype):
    graph = nx.DiGraph([("x", "h"), ("h", "g"), ("g", "y"), ("h", "y"), ("x", "g")])
    for node, units in (("x", 70), ("h", 66), ("g", 64), ("y", 2)):
        graph.nodes[node]["units"] = units
    graph.nodes["h"].update(normalization="layer", activation="tanh", dropout=0.25)
    graph.nodes["g"].update(normalization="batch", activation="relu")
    graph.edges["h", "g"]["dropout"] = 0.5
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(150, 70)), rng.normal(size=(150, 2))
    nets = [dagnet.Network(graph, seed=2, engine=engine, dtype=dtype, threads=2) for engine in ENGINES]
    for net in nets:
        net.fit(X, y, epochs=2, batch_size=40, seed=1, optimizer="sgd", learning_rate=0.01)
    np.testing.assert_allclose(
        nets[0].vector, nets[1].vector, rtol=0, atol=1e-11 if dtype == "float64" else 1e-4
    )


def test_shared_weights_are_dropped_edge_by_edge_and_expectations_are_kept():
    graph = nx.DiGraph([("a", "y"), ("b", "y")])
    for edge in graph.edges:
        graph.edges[edge].update(share="w", weight=1.0, dropout=0.3)
    net = dagnet.Network(graph, inputs=["a", "b"])
    n = 100_000
    draw = Draw(step_key(0, 0), np.full(n, 1 / n))
    theta = net.layout.by_slot(net.parameters)
    out = net.training_runner.forward(theta, np.ones((n, 2)), draw=draw).outputs[:, 0]
    assert abs(out.mean() - 2) < 4 * np.sqrt(2 * 0.3 / 0.7 / n)
    assert abs(out.var() - 2 * 0.3 / 0.7) < 0.02
    assert len(np.unique(out)) == 3


def test_rates_of_edges_go_where_weights_go(tmp_path):
    net = dagnet.Network(drawn(), seed=0)
    net.save(tmp_path / "net.dagnet")
    others = [dagnet.load(tmp_path / "net.dagnet")]
    for suffix in ("graphml", "json", "cyjs"):
        net.export(tmp_path / f"net.{suffix}")
        others.append(dagnet.Network(dagnet.read_graph(tmp_path / f"net.{suffix}")))
    X, y = rows(30)
    net.fit(X, y, epochs=1, seed=0)
    for other in others:
        assert other.to_networkx().edges["x", "h"]["dropout"] == 0.5
        other.fit(X, y, epochs=1, seed=0)
        np.testing.assert_array_equal(other.vector, net.vector)


@pytest.mark.parametrize("rate", [1, -0.1, "0.5", True])
def test_a_rate_that_is_none_is_refused(rate):
    graph = drawn()
    graph.edges["x", "g"]["dropout"] = rate
    with pytest.raises(dagnet.GraphError, match="edge 'x' → 'g': dropout must be a number from 0 up to"):
        dagnet.Network(graph)
