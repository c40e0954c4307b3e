"""Derivatives of outputs row by row, and interventions: against NetworkX, central differences and PyTorch."""

import copy
import pickle
import threading

import networkx as nx
import numpy as np
import pytest
from data.independent import STEP, Evaluation
from data.strategies import dags, network, row_counts, rows_for, seeds
from hypothesis import assume, given
from hypothesis import strategies as st

import dagnet

ENGINES = ("reference", "compiled")


class Intervened(Evaluation):
    """Nodes with given values, (rows, units), on NetworkX."""

    do = None

    def activation(self, node):
        given = self.do.get(node)
        return super().activation(node) if given is None else lambda _: given + 0j

    def inputs_replaced(self, X):
        X, column = X.copy(), 0
        for node in self.inputs:
            if node in self.do:
                X[:, column : column + self.units(node)] = self.do[node]
            column += self.units(node)
        return X


def wide(values):
    return values[:, None] if values.ndim == 1 else values


def output_of(net, data):
    """An output of the network, of several units one of them, and its column among the outputs."""
    node = data.draw(st.sampled_from(net.outputs))
    sizes = [int(net.topology.units[net.topology.index[name]]) for name in net.outputs]
    place = net.outputs.index(node)
    unit = data.draw(st.integers(0, sizes[place] - 1))
    return (node if sizes[place] == 1 else (node, unit)), sum(sizes[:place]) + unit


def calm(net, X, do=None):
    forward = net.forward(X, do=do)
    values = [forward.pre_activation(node) for node in net.nodes if node not in net.inputs]
    return all(np.all(z != 0) and np.abs(z).max() < 1e3 for z in values)


@given(dags(max_nodes=6), seeds, row_counts, st.data())
def test_derivatives_of_outputs_are_exact_row_by_row(graph, seed, rows, data):
    net = network(graph, engine=data.draw(st.sampled_from(ENGINES)), seed=seed)
    X, _ = rows_for(net, rows=rows, seed=seed)
    assume(calm(net, X))
    of, column = output_of(net, data)
    gradient, truth = net.gradient(X, of=of), Evaluation(graph, net.weights, net.biases)
    for j in range(X.shape[1]):
        for row in range(rows):
            changed = truth.run(X, input_step=(row, j)).imag[:, column] / STEP
            assert changed[row] == pytest.approx(gradient.inputs[row, j], abs=1e-9, rel=1e-9)
    for node in net.nodes:
        delta = wide(gradient.delta(node))
        for row, unit in np.ndindex(delta.shape):
            if node in net.inputs:
                continue
            changed = truth.run(X, sum_step=(node, row, unit)).imag[row, column] / STEP
            assert changed == pytest.approx(delta[row, unit], abs=1e-9, rel=1e-9)
    for edge in gradient.weights:
        found = np.asarray(gradient.weights[edge]).reshape(truth.units(edge[1]), truth.units(edge[0]))
        for place in np.ndindex(found.shape):
            unit = np.zeros(found.shape)
            unit[place] = 1
            steps = [(other, unit) for other in truth.alike(edge)]
            changed = truth.run(X, weight_steps=steps).imag[:, column].sum() / STEP
            assert changed == pytest.approx(found[place], abs=1e-9, rel=1e-9)


@given(dags(max_nodes=7), seeds, row_counts, st.data())
def test_interventions_equal_an_evaluation_on_networkx(graph, seed, rows, data):
    net = network(graph, engine=data.draw(st.sampled_from(ENGINES)), seed=seed)
    X, _ = rows_for(net, rows=rows, seed=seed)
    nodes = data.draw(st.lists(st.sampled_from(net.nodes), min_size=1, max_size=3, unique=True))
    rng, truth = np.random.default_rng(seed), Intervened(graph, net.weights, net.biases)
    do = {node: rng.uniform(-1, 1, (rows, truth.units(node))) for node in nodes}
    do[nodes[0]] = np.full_like(do[nodes[0]], 0.25)
    truth.do = do
    outputs = truth.run(truth.inputs_replaced(X)).real
    assume(np.abs(outputs).max() < 1e3)
    said = {node: values[:, 0] if values.shape[1] == 1 else values for node, values in do.items()}
    said[nodes[0]] = 0.25
    before, kept = net(X), net.parameters.copy()
    forward = net.forward(X, do=said)
    assert np.allclose(forward.outputs, outputs, rtol=1e-11, atol=1e-11)
    for node in net.nodes:
        assert np.allclose(wide(forward[node]), truth.values[node].real, rtol=1e-11, atol=1e-11)
    assert np.array_equal(net(X), before)
    assert np.array_equal(net.parameters, kept)


@given(dags(max_nodes=6), seeds, st.data())
def test_parents_of_an_intervention_have_no_share(graph, seed, data):
    net = network(graph, engine=data.draw(st.sampled_from(ENGINES)), seed=seed)
    X, _ = rows_for(net, rows=3, seed=seed)
    node = data.draw(st.sampled_from(net.nodes))
    of, _ = output_of(net, data)
    assume(node not in net.inputs or not (net.topology.center.any() or (net.topology.scale != 1).any()))
    assume(calm(net, X))
    at = net.forward(X)[node]
    plain, held = net.gradient(X, of=of), net.gradient(X, of=of, do={node: at})
    assert np.allclose(held.value(node), plain.value(node), rtol=1e-9, atol=1e-12)
    assert not np.any(held.delta(node))
    others = nx.subgraph_view(graph, filter_node=lambda name: name != node)
    reaching = set().union(*(nx.ancestors(others, out) | {out} for out in net.outputs if out != node))
    for other in set(net.nodes) - reaching - {node}:
        assert not np.any(held.value(other))
        assert not np.any(held.delta(other))
    assert held.visited == tuple(name for name in held.visited if name != node)


def normalised(engine, dtype="float64"):
    """Every node kind beside those of ``dags()``: normalisation, activations that learn, heads."""
    graph = nx.DiGraph()
    graph.add_node("x", units=3, center=[0.5, 0.0, 1.0], scale=[2.0, 1.0, 0.5])
    graph.add_node("site", categories=["a", "b"])
    graph.add_node("l", units=3, activation="tanh", normalization="layer")
    graph.add_node("b", units=2, activation="prelu", normalization="batch(before_activation=True)")
    graph.add_node("s", activation="swish", aggregation="product", share="one")
    graph.add_node("m", activation="softplus", aggregation="max", normalization="batch")
    graph.add_edges_from([("x", "l"), ("x", "b"), ("site", "b"), ("l", "s"), ("l", "m"), ("b", "m")])
    graph.add_edges_from([("m", "y1"), ("s", "y1"), ("l", "y2"), ("b", "y2"), ("y1", "y2")])
    return dagnet.Network(
        graph, outputs=["y1", "y2"], loss={"y1": "huber"}, engine=engine, dtype=dtype, seed=3, threads=2
    )


def table(rows=7):
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=(rows, 3)), "site": rng.choice(["a", "b"], rows)}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("of", ["y1", "y2", "m", ("l", 1)])
def test_every_node_kind_against_central_differences(engine, of):
    net, X, h = normalised(engine), table(), 1e-6
    gradient, forward = net.gradient(X, of=of), net.forward(X)

    def value(do):
        found = net.forward(X, do=do)
        return found[of[0]][:, of[1]] if isinstance(of, tuple) else found[of]

    for node in ("l", "b", "s", "m", "y1", "y2"):
        at, slopes = wide(forward[node]), wide(gradient.value(node))
        for unit in range(at.shape[1]):
            up, down = (at + sign * h * (np.arange(at.shape[1]) == unit) for sign in (1, -1))
            up, down = (one[:, 0] if one.shape[1] == 1 else one for one in (up, down))
            numeric = (value({node: up}) - value({node: down})) / (2 * h)
            assert np.allclose(slopes[:, unit], numeric, rtol=1e-6, atol=1e-8), (node, unit)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_engines_agree(dtype):
    one, other = (normalised(engine, dtype) for engine in ENGINES)
    X, close = (
        table(40),
        {"rtol": 1e-9, "atol": 1e-12} if dtype == "float64" else {"rtol": 2e-4, "atol": 1e-5},
    )
    do = {"l": np.full((40, 3), 0.5), "site": "b", "s": np.linspace(0, 1, 40)}
    for said in (None, do):
        assert np.allclose(one.forward(X, do=said).outputs, other.forward(X, do=said).outputs, **close)
        a, b = (net.gradient(X, of="y2", do=said) for net in (one, other))
        assert a.inputs.dtype == dtype
        for node in one.nodes:
            assert np.allclose(a.value(node), b.value(node), **close)
        assert np.allclose(a.flat, b.flat, **close)


def test_it_equals_autograd():
    torch = pytest.importorskip("torch")
    net = dagnet.Network(dagnet.layered([4, 6, 5, 2], activation="tanh"), seed=0)
    X = np.random.default_rng(0).normal(size=(9, 4))
    names = net.levels
    a = x = torch.tensor(X, requires_grad=True)
    kept, weights = [x], []
    for level, (above, below) in enumerate(zip(names[1:], names[:-1], strict=True)):
        matrix = torch.tensor(
            [[float(net.weights[p, c]) for p in below] for c in above], dtype=float, requires_grad=True
        )
        z = a @ matrix.T + torch.tensor([float(net.biases[c]) for c in above], dtype=float)
        a = z if level == 2 else torch.tanh(z)
        a.retain_grad()
        kept.append(a)
        weights.append(matrix)
    a[:, 1].sum().backward()
    gradient = net.gradient(X, of=names[-1][1])
    assert np.allclose(gradient.inputs, x.grad.numpy(), rtol=1e-9, atol=1e-12)
    for level, values in zip(names, kept, strict=True):
        for place, node in enumerate(level):
            assert np.allclose(gradient.value(node), values.grad.numpy()[:, place], rtol=1e-9, atol=1e-12)
    for above, below, matrix in zip(names[1:], names[:-1], weights, strict=True):
        for (i, c), (j, p) in ((one, two) for one in enumerate(above) for two in enumerate(below)):
            assert gradient.weights[p, c] == pytest.approx(float(matrix.grad[i, j]), rel=1e-9, abs=1e-12)


def test_wrt_walks_only_what_was_asked_for():
    net = dagnet.Network(dagnet.layered([2, 3, 1], activation="tanh"), seed=0)
    X = [[1.0, 2.0], [0.5, -1.0]]
    everything = net.gradient(X, of="eta")
    found = net.gradient(X, of="eta", wrt=[("x1", "h12")])
    assert list(found.weights) == [("x1", "h12")]
    assert found.visited == ("eta", "h12")
    assert found.weights["x1", "h12"] == everything.weights["x1", "h12"]
    assert np.array_equal(found.value("h11"), everything.value("h11"))
    assert np.array_equal(found.inputs, everything.inputs)
    assert found.loss == net(X).sum()
    assert repr(found).startswith("<Gradient: of eta, 1 of")


def test_values_of_the_losses_gradient():
    net = dagnet.Network(dagnet.layered([2, 2, 1], activation="tanh"), seed=0)
    X, y = [[1.0, 2.0], [0.5, -1.0]], [0.0, 1.0]
    gradient = net.gradient(X, y)
    delta, weight = gradient.delta("eta"), net.weights["h11", "eta"]
    assert np.allclose(gradient.value("h11"), delta * weight)
    assert np.array_equal(gradient.value("eta"), delta)


def test_inputs_and_categories_are_said_as_in_X():
    net, X = normalised("compiled"), table()
    other = {"x": np.tile([1.0, 2.0, 3.0], (7, 1)), "site": np.array(["b"] * 7)}
    forward = net.forward(X, do={"site": "b", "x": other["x"]})
    assert np.allclose(forward.outputs, net(other))
    gradient = net.gradient(X, of="y1", do={"x": 0.0})
    assert not gradient.inputs[:, :3].any()
    assert np.array_equal(net.forward(X, do={}).outputs, net(X))
    assert np.any(gradient.value("x"))


def test_results_outlive_the_network_and_can_be_copied():
    net, X = normalised("compiled"), table()
    forward, gradient = net.forward(X, do={"l": 0.5}), net.gradient(X, of="y1", do={"l": 0.5})
    kept = {node: (forward[node].copy(), gradient.value(node).copy()) for node in net.nodes}
    others = [copy.deepcopy((forward, gradient)), pickle.loads(pickle.dumps((forward, gradient)))]
    net.parameters[:] = 0
    for one, other in ((forward, gradient), *others):
        for node, (a, slope) in kept.items():
            assert np.allclose(one[node], a, rtol=1e-12)
            assert np.allclose(other.value(node), slope, rtol=1e-12)


def test_many_threads_ask_at_once():
    net, X = normalised("compiled"), table(100)
    expected = {value: net.forward(X, do={"s": value}).outputs for value in (0.0, 0.5, 1.0, 2.0)}
    wrong = []

    def ask(value):
        for _ in range(10):
            wrong.extend(
                [value] * (not np.array_equal(net.forward(X, do={"s": value}).outputs, expected[value]))
            )

    threads = [threading.Thread(target=ask, args=(value,)) for value in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    ("do", "message"),
    [
        ({"h99": 0.0}, "do: no node 'h99' in the graph; known: x1"),
        ({("x1", "h11"): 0.0}, "it is an edge: name one of its ends"),
        ({"h11": [1.0]}, "do: columns must be of 2 rows"),
        ({"h11": [[1.0, 2.0], [3.0, 4.0]]}, "do: column 'h11' must be of shape"),
        ({"h11": float("nan")}, "do: row 0, column h?'?h11'? must be without NaN"),
        ({"h11": [0.0, float("nan")]}, "do: row 1"),
        ({"h11": "high"}, "do: column 'h11' must be real numbers"),
        ({"h11": None}, "do: row 0"),
        ("h11", "do must be a mapping from node"),
        ([("h11", 0.0)], "do must be a mapping from node"),
    ],
)
def test_interventions_that_cannot_be(do, message):
    net = dagnet.Network(dagnet.layered([2, 2, 1]), seed=0)
    before = net.parameters.copy()
    for ask in (
        lambda: net.forward([[1.0, 2.0]] * 2, do=do),
        lambda: net.gradient([[1.0, 2.0]] * 2, of="eta", do=do),
    ):
        with pytest.raises(dagnet.DataError, match=message):
            ask()
    assert np.array_equal(net.parameters, before)


def test_what_cannot_be_differentiated():
    graph = dagnet.layered([2, 2, 1])
    graph.add_edge("x1", "dead")
    graph.add_node("wide", units=2)
    graph.add_edge("x1", "wide")
    graph.add_edge("wide", "eta")
    net, X = dagnet.Network(graph, outputs=["eta"], seed=0), [[1.0, 2.0]]
    for of, message in (
        ("etta", "of: no node 'etta' in the graph; did you mean 'eta'"),
        ("dead", r"of must be an output \('eta'\), or a node that reaches one, got 'dead'"),
        ("wide", "must be one of its 2 units"),
        (("wide", 2), "must be one of its 2 units"),
        (("x1", "h11"), "it is an edge: name one of its ends"),
    ):
        with pytest.raises(dagnet.DataError, match=message):
            net.gradient(X, of=of)
    for arguments, message in (
        ({}, "not neither"),
        ({"y": [1.0], "of": "eta"}, "not both"),
        ({"y": [1.0], "do": {"h11": 0.0}}, "do= goes with of="),
        ({"of": "eta", "sample_weight": [1.0]}, "go with y"),
    ):
        with pytest.raises(dagnet.DataError, match=message):
            net.gradient(X, **arguments)


def test_interventions_and_baselines_are_put_into_the_order_of_labelled_rows():
    pandas = pytest.importorskip("pandas")
    net = dagnet.Network(dagnet.layered([2, 3, 1], activation="tanh"), seed=0)
    rows = np.random.default_rng(0).normal(size=(4, 2))
    X = pandas.DataFrame(rows, columns=["x1", "x2"], index=list("abcd"))
    given = pandas.Series([0.0, 1.0, 2.0, 3.0], index=list("dcba"))
    assert net.forward(X, do={"h11": given})["h11"].tolist() == [3.0, 2.0, 1.0, 0.0]
    found = net.attribute(X, baseline=X[::-1])
    np.testing.assert_array_equal(found["x1"], net.attribute(X, baseline=X)["x1"])
    with pytest.raises(dagnet.DataError, match="index"):
        net.forward(X, do={"h11": given.rename({"a": "z"})})
