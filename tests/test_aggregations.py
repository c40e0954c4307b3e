"""Nodes that aggregate otherwise than by a sum, against NetworkX walks, PyTorch and central differences."""

import io
import math

import networkx as nx
import numpy as np
import pytest

import dagnet
import dagnet.testing
from dagnet.plan import AGGREGATE, DENSE

KINDS = ("sum", "mean", "product", "max", "min")
ENGINES = [("reference", 1), ("compiled", 1), ("compiled", 2)]
REDUCE = {"sum": sum, "mean": lambda t: sum(t) / len(t), "product": math.prod, "max": max, "min": min}


def graph_of(seed=0, nodes=60, kinds=KINDS, activation="tanh", most=6):
    rng, graph = np.random.default_rng(seed), nx.DiGraph()
    graph.add_nodes_from(range(nodes))
    for child in range(5, nodes):
        for parent in rng.choice(child, min(child, int(rng.integers(1, most))), replace=False).tolist():
            graph.add_edge(parent, child, weight=float(rng.normal()))
        graph.nodes[child].update(activation=activation, bias=float(rng.normal()))
        graph.nodes[child]["aggregation"] = str(rng.choice(kinds))
    return graph


def data(net, rows=70, seed=1):
    rng, topology = np.random.default_rng(seed), net.topology
    widths = [int(topology.units[nodes].sum()) for nodes in (topology.inputs, topology.outputs)]
    return tuple(rng.normal(size=(rows, width)) for width in widths)


def walked(net, row):
    """Values of all nodes, straight from the NetworkX graph."""
    graph, values = net.to_networkx(), dict(zip(net.inputs, row, strict=True))
    for node in nx.topological_sort(graph):
        if node not in values:
            said = graph.nodes[node]
            terms = [values[parent] * graph.edges[parent, node]["weight"] for parent in graph.pred[node]]
            z = REDUCE[said.get("aggregation", "sum")](terms) if terms else 0.0
            values[node] = math.tanh(z + said["bias"]) if said["activation"] == "tanh" else z + said["bias"]
    return values


@pytest.mark.parametrize(("engine", "threads"), ENGINES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_are_those_of_a_walk_over_the_graph(engine, threads, dtype):
    net = dagnet.Network(graph_of(), engine=engine, threads=threads, dtype=dtype)
    X, _ = data(net)
    near, forward = 1e-12 if dtype == "float64" else 1e-4, net.forward(X)
    for row in (0, 33, 69):
        values = walked(net, X[row].tolist())
        for node, value in values.items():
            assert abs(forward[node][row] - value) <= near * max(1.0, abs(value))
    np.testing.assert_allclose(net(X[:1]), net(X)[:1], rtol=near)


@pytest.mark.parametrize(("engine", "threads"), ENGINES)
def test_gradients_are_pytorchs(engine, threads):
    torch = pytest.importorskip("torch")
    net = dagnet.Network(graph_of(3), engine=engine, threads=threads)
    X, y = data(net)
    graph, weights = net.to_networkx(), {}
    values = {node: torch.tensor(X[:, column]) for column, node in enumerate(net.inputs)}
    reduce = {
        "sum": torch.sum,
        "mean": torch.mean,
        "product": torch.prod,
        "max": torch.amax,
        "min": torch.amin,
    }
    for node in nx.topological_sort(graph):
        if node in values:
            continue
        said, terms = graph.nodes[node], []
        for parent in graph.pred[node]:
            weight = torch.tensor(
                graph.edges[parent, node]["weight"], dtype=torch.float64, requires_grad=True
            )
            weights[parent, node] = weight
            terms.append(weight * values[parent])
        weights[node] = torch.tensor(said["bias"], dtype=torch.float64, requires_grad=True)
        z = weights[node] + reduce[said.get("aggregation", "sum")](torch.stack(terms), dim=0)
        values[node] = torch.tanh(z) if said["activation"] == "tanh" else z
    outputs = torch.stack([values[node] for node in net.outputs], dim=1)
    loss = ((outputs - torch.tensor(y)) ** 2).sum(dim=1).mean()
    loss.backward()
    gradient = net.gradient(X, y)
    assert gradient.loss == pytest.approx(loss.item(), rel=1e-12)
    for name, weight in weights.items():
        ours = gradient.weights[name] if isinstance(name, tuple) else gradient.biases[name]
        theirs = 0.0 if weight.grad is None else weight.grad.item()
        assert abs(ours - theirs) <= 1e-11 * max(1.0, abs(theirs)), name


def dense_and_aggregated():
    """A block that is a matrix product beside aggregations of every kind, a plugin's, too."""
    graph = dagnet.layered([64, 64, 64, 2], activation="tanh")
    for number, kind in enumerate((*KINDS, dagnet.Aggregation("spread", _spread))):
        graph.add_node(("agg", number), aggregation=kind, activation="tanh", units=1 + number % 3)
        for node in list(graph)[64:70] + list(graph)[:3]:
            if node in graph and node != ("agg", number) and "y" not in str(node):
                graph.add_edge(node, ("agg", number))
        graph.add_edge(("agg", number), "eta1")
    return graph


def _spread(terms):
    return np.sort(terms, axis=0)[-1] - np.sort(terms, axis=0)[0]


MADE = {
    "random": graph_of,
    "relu, so that zeros tie": lambda: graph_of(1, activation="relu"),
    "one kind": lambda: graph_of(2, kinds=("max",)),
    "products of many terms": lambda: graph_of(5, kinds=("product",), most=25, activation="identity"),
    "dense": dense_and_aggregated,
    "a plugin's": lambda: graph_of(4, kinds=("spread", "max", "sum")),
}


@pytest.fixture(autouse=True)
def _registered():
    dagnet.register(dagnet.Aggregation("spread", _spread, kinks=True), replace=True)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("made", MADE)
def test_engines_agree_and_threads_change_no_bit(made, dtype):
    nets = [dagnet.Network(MADE[made](), engine=e, threads=n, dtype=dtype, seed=0) for e, n in ENGINES]
    X, y = data(nets[0], rows=300)
    near = 1e-11 if dtype == "float64" else 2e-4
    outputs, gradients = [net(X) for net in nets], [net.gradient(X, y) for net in nets]
    size = np.abs(gradients[0].flat).max() + 1
    for net, output, gradient in zip(nets, outputs, gradients, strict=True):
        net.plan.verify()
        np.testing.assert_allclose(output, outputs[0], rtol=near, atol=near)
        np.testing.assert_allclose(gradient.flat, gradients[0].flat, rtol=near, atol=near * size)
        assert dagnet.verify(net, X[:40], y[:40]).passed
        assert dagnet.check_gradient(net, X[:9], y[:9]).passed
    assert outputs[1].tobytes() == outputs[2].tobytes()
    if made == "dense":
        assert {DENSE, AGGREGATE} <= set(nets[0].plan.steps["kind"])


@pytest.mark.parametrize("made", MADE)
def test_training_is_the_same_with_both_engines_and_fused(made, tiles):
    nets = [dagnet.Network(MADE[made](), engine=e, threads=n, seed=0) for e, n in ENGINES]
    X, y = data(nets[0], rows=90)
    histories = [
        net.fit(X, y, epochs=3, batch_size=32, seed=0, progress=False, learning_rate=1e-3) for net in nets
    ]
    for net, history in zip(nets, histories, strict=True):
        np.testing.assert_allclose(history["loss"], histories[0]["loss"], rtol=1e-8)
        np.testing.assert_allclose(net.parameters, nets[0].parameters, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("engine", "threads"), ENGINES)
def test_ties_share_the_derivative_evenly(engine, threads):
    graph = nx.DiGraph()
    graph.add_weighted_edges_from([(x, "m", 2.0) for x in "abc"])
    graph.add_node("m", aggregation="max")
    net = dagnet.Network(graph, engine=engine, threads=threads)
    gradient = net.gradient([[3.0, 3.0, 1.0]], [0.0])
    assert [gradient.weights[x, "m"] for x in "abc"] == [18.0, 18.0, 0.0]
    check = dagnet.check_gradient(net, [[3.0, 3.0, 1.0]], [0.0])
    assert check.passed
    assert set(check.not_judged) == {("a", "m"), ("b", "m")}
    rule = net.trace(("a", "m"), [3.0, 3.0, 1.0], 0.0)
    assert rule.value == 18.0
    assert rule.lasts[0].share == 0.5
    assert "max′" in str(rule)
    assert "max" in rule._repr_latex_()


@pytest.mark.parametrize(("engine", "threads"), ENGINES)
@pytest.mark.parametrize("zeros", [0, 1, 2, 5])
def test_products_are_right_with_zeros_among_the_terms(engine, threads, zeros):
    graph = nx.DiGraph()
    graph.add_weighted_edges_from([(k, "p", 1.0) for k in range(9)])
    graph.add_node("p", aggregation="product", bias=0.5)
    net = dagnet.Network(graph, engine=engine, threads=threads)
    row = np.arange(2.0, 11.0)
    row[:zeros] = 0.0
    gradient = net.gradient([row], [0.0])
    outer = 2 * (np.prod(row) + 0.5)
    for k in range(9):
        assert gradient.weights[k, "p"] == pytest.approx(outer * np.prod(np.delete(row, k)) * row[k])
    inputs = net.gradient([np.r_[1e-200, 1e-200, 1e200, 1, 1, 1, 1, 1, 1]], [0.0]).weights
    assert inputs[2, "p"] == 0.0


@pytest.mark.parametrize(("engine", "threads"), ENGINES)
def test_infinite_terms_and_nan(engine, threads):
    for kind, right in (("max", np.inf), ("min", -np.inf), ("product", -np.inf), ("mean", np.nan)):
        graph = nx.DiGraph([(x, "m") for x in "abc"])
        nx.set_edge_attributes(graph, 1.0, "weight")
        graph.add_node("m", aggregation=kind)
        net = dagnet.Network(graph, engine=engine, threads=threads)
        theta = net.layout.theta(net.vector)
        rows = np.array([[np.inf, -np.inf, 1.0], [1.0, np.nan, 2.0], [np.nan, 1.0, 2.0], [2.0, 1.0, 4.0]])
        found = net.runner.forward(theta, np.tile(rows, (9, 1))).outputs[:4, 0]
        np.testing.assert_equal(found[:3], [right, np.nan, np.nan])
        assert np.isfinite(found[3])


def test_plans_restricted_to_some_derivatives():
    net = dagnet.Network(graph_of(6))
    X, y = data(net)
    whole = net.gradient(X, y)
    for edge in list(net.edges)[::7]:
        assert net.gradient(X, y, wrt=[edge]).weights[edge] == pytest.approx(whole.weights[edge], rel=1e-12)
    frozen = net.to_networkx()
    for number, edge in enumerate(frozen.edges):
        frozen.edges[edge]["trainable"] = number % 2 == 0
    half = dagnet.Network(frozen)
    gradient = half.gradient(X, y)
    for number, edge in enumerate(frozen.edges):
        if number % 2 == 0:
            assert gradient.weights[edge] == pytest.approx(whole.weights[edge], rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("made", ["random", "a plugin's"])
def test_saved_exported_and_read_again(made, tmp_path):
    net = dagnet.Network(MADE[made](), seed=0)
    X, _ = data(net)
    net.save(tmp_path / "net.dagnet")
    again = dagnet.load(tmp_path / "net.dagnet")
    assert again(X).tobytes() == net(X).tobytes()
    assert again.topology.aggregations == net.topology.aggregations
    for name, exporter in dagnet.exporters().items():
        if exporter.read is None:
            continue
        path = tmp_path / f"net{exporter.suffix}"
        net.export(path)
        read = dagnet.Network(dagnet.read_graph(path))
        np.testing.assert_allclose(read(X), net(X), rtol=1e-12, err_msg=name)
    stream = tmp_path / "net.html"
    net.export(stream, X=X)
    assert "aggregations" in stream.read_text()
    graph = net.to_networkx()
    assert {said.get("aggregation", "sum") for _, said in graph.nodes(data=True)} <= {*KINDS, "spread"}


def test_the_same_graph_in_another_order_is_the_same_network():
    graph = graph_of(7)
    other = nx.DiGraph()
    other.add_nodes_from(sorted(graph.nodes(data=True), key=lambda item: -item[0]))
    other.add_edges_from(graph.edges(data=True))
    nets = [dagnet.Network(each, inputs=range(5), outputs=[59]) for each in (graph, other)]
    X, _ = data(nets[0])
    np.testing.assert_allclose(nets[0](X), nets[1](X), rtol=1e-10)
    graph.nodes[59]["aggregation"] = "min" if graph.nodes[59]["aggregation"] == "max" else "max"
    assert dagnet.topology.fingerprint(dagnet.Network(graph).topology) != dagnet.topology.fingerprint(
        nets[0].topology
    )


def test_what_a_node_without_parents_says_changes_nothing():
    graph = nx.DiGraph([("x", "y"), ("c", "y")])
    graph.add_node("c", aggregation="product", bias=0.5)
    net = dagnet.Network(graph, inputs=["x"], seed=0)
    assert net.topology.aggregation(net.topology.index["c"]) == "sum"
    assert net.forward([[1.0]])["c"] == 0.5
    assert net.to_networkx().nodes["c"]["aggregation"] == "product"


def refusal(aggregation, node="y", **more):
    graph = nx.DiGraph([("x", "y")])
    graph.nodes[node]["aggregation"] = aggregation
    with pytest.raises(dagnet.GraphError) as caught:
        dagnet.Network(graph, **more)
    return str(caught.value)


def test_what_is_no_aggregation_is_refused():
    assert "unknown aggregation 'prodct'; did you mean 'product'?" in refusal("prodct")
    assert "node 'y': aggregation: " in refusal("prodct")
    assert "here it is 'max'" in refusal("maximum")
    assert "a name or a dagnet.Aggregation, got 3" in refusal(3)
    assert "node 'x' is an input and must have no aggregation, got 'max'; remove it" in refusal("max", "x")
    assert "no parameter 'p'" in refusal("max(p=2)")


def make(function, **more):
    with pytest.raises(dagnet.PluginError) as caught:
        dagnet.Aggregation("mine", function, **more)
    return str(caught.value)


def test_plugins_that_cannot_be_right_are_refused_where_they_are_made():
    where = "aggregation 'mine': function"
    assert f"{where}" in (text := make(lambda t: t * 2))
    assert "must be float64 of shape (3, 4), got float64 of shape (1, 3, 4); reduce over axis=0" in text
    assert "of shape (3, 4), got a float64" in make(lambda t: t.sum()) or "of shape" in make(
        lambda t: t.sum()
    )
    assert "must leave its arguments as they are" in make(lambda t: np.multiply(t, 2, out=t).sum(axis=0))
    assert "each place of the other axes by itself" in make(lambda t: t.sum(axis=0) - t.sum(axis=0).mean())
    rng = np.random.default_rng(0)
    assert "must give the same numbers" in make(lambda t: t.sum(axis=0) * rng.random())
    wrong = make(lambda t: np.sum(t, axis=0), derivative=lambda t, r: t)
    assert "aggregation 'mine': derivative" in wrong
    assert "mend it, or leave it out" in wrong
    assert "a function of 2 arguments, (terms, result)" in make(
        lambda t: np.sum(t, axis=0), derivative=lambda t: t
    )
    assert "raised" in make(lambda t: t.summ(axis=0))


def test_a_plugin_whose_shape_is_wrong_later_is_refused_by_name():
    odd = dagnet.Aggregation("odd", lambda t: t.sum(axis=0) if len(t) < 9 else t, derivative=_ones)
    graph = nx.DiGraph([(k, "y") for k in range(9)])
    graph.add_node("y", aggregation=odd)
    net = dagnet.Network(graph, engine="reference", seed=0)
    with pytest.raises(
        dagnet.PluginError, match=r"aggregation 'odd': function must be of shape \(1, 3\), got"
    ):
        net(np.ones((3, 9)))


def _ones(terms, _result):
    return np.ones_like(terms)


def test_plugins_with_parameters_formulas_and_call_forms():
    soft = dagnet.Aggregation(
        "soft", lambda t, beta: np.log(np.sum(np.exp(beta * t), axis=0)) / beta, parameters={"beta": 1.0}
    )
    dagnet.testing.check_aggregation(soft, expected_failures={"check_it_can_be_pickled": "it has a lambda"})
    assert "sum over terms" in str(soft.formula)
    dagnet.register(soft, replace=True)
    graph = graph_of(8, kinds=("soft(beta=2.0)", "max"))
    nets = [dagnet.Network(graph, engine=engine) for engine in ("reference", "compiled")]
    X, y = data(nets[0])
    np.testing.assert_allclose(nets[0](X), nets[1](X), rtol=1e-12)
    assert dagnet.check_gradient(nets[1], X, y).passed
    assert "NumPy" in nets[1].plan.notes["soft(beta=2.0)"]
    assert "soft(beta=2.0) of" in str(nets[1].plan)
    assert dagnet.aggregations()["max"].formula is not None
    assert "terms" in dagnet.aggregations()["product"].formula.latex


def test_a_file_of_a_missing_plugin_names_it(tmp_path):
    gone = dagnet.Aggregation("gone", _spread)
    dagnet.register(gone, replace=True)
    graph = nx.DiGraph([("x", "y")])
    graph.add_node("y", aggregation="gone")
    dagnet.Network(graph).save(tmp_path / "net.dagnet")
    dagnet.registry.registry._tables["aggregations"].pop("gone")
    with pytest.raises(dagnet.PluginError, match="aggregation 'gone' is not registered here"):
        dagnet.load(tmp_path / "net.dagnet")


def test_the_backward_pass_and_the_formula_show_it():
    graph = nx.DiGraph()
    graph.add_weighted_edges_from([("a", "m", 2.0), ("b", "m", -3.0), ("m", "y", 0.5)])
    graph.add_node("m", aggregation="product", activation="tanh", bias=0.25)
    net = dagnet.Network(graph)
    assert "m = tanh(product(2·a, -3·b) + 0.25)" in str(net.formula())
    passed = net.trace_all([0.5, 0.25], [1.0]) if hasattr(net, "trace_all") else None
    gradient = net.gradient([[0.5, 0.25]], [1.0])
    rule = net.trace(("a", "m"), [0.5, 0.25], [1.0])
    assert rule.value == pytest.approx(gradient.weights["a", "m"], rel=1e-14)
    assert rule.lasts[0].share == pytest.approx(-0.75)
    if passed is not None:
        assert "product" in str(passed)


def test_a_stream_of_columns_keeps_them():
    net = dagnet.Network(graph_of(9))
    stream = io.BytesIO()
    dagnet.exporters()["json"].write(net, stream, None)
    assert b"aggregation" in stream.getvalue()
