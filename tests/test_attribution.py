"""What nodes and edges have contributed: completeness, brute force, PyTorch's gradients, knock-outs by do."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import networkx as nx
import numpy as np
import pytest
from data.strategies import KINKED, SMOOTH, dags, network, row_counts, rows_for, seeds
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_asking import ENGINES, normalised, output_of, table

import dagnet
from dagnet.plan import ACTIVATE
from dagnet.plan.cones import Dependents

METHODS = ("deeplift", "gradient*input", "integrated_gradients(steps=20)", "knockout")


def tame(net, X):
    forwards = net.forward(X), net.forward(np.zeros_like(X))
    return all(np.abs(values).max() < 30 for forward in forwards for values in forward.values())


@given(dags(), seeds, row_counts, st.data())
def test_deeplift_is_complete(graph, seed, rows, data):
    net = network(graph, engine=data.draw(st.sampled_from(ENGINES)), seed=seed)
    X, _ = rows_for(net, rows=rows, seed=seed)
    assume(tame(net, X))
    of, column = output_of(net, data)
    baseline = data.draw(st.sampled_from([None, 0.0, "mean", 0.25]))
    found = net.attribute(X, of, baseline=baseline)
    assert found.error <= 1e-9
    start = {None: net.topology.center, "mean": X.mean(axis=0)}.get(baseline, np.full(X.shape[1], baseline))
    start = np.tile(start, (rows, 1)).astype(float)
    change = net(X)[:, column] - net(start)[:, column]
    if not any(map(net.topology.has_edge, net.inputs)):  # a name of both means the edge
        assert np.allclose(sum(found[node] for node in net.inputs), change, rtol=1e-9, atol=1e-9)


@given(
    dags(max_nodes=7, activations=("identity", "tanh", "sigmoid", "softplus", "sin", "atan")),
    seeds,
    st.data(),
)
@settings(max_examples=15)
def test_integrated_gradients_are_complete_on_smooth_graphs(graph, seed, data):
    for node in graph:
        if graph.nodes[node].get("aggregation") in {"max", "min"}:
            graph.nodes[node]["aggregation"] = "mean"
    net = network(graph, engine=data.draw(st.sampled_from(ENGINES)), activation="tanh", seed=seed)
    X, _ = rows_for(net, rows=3, seed=seed)
    assume(tame(net, X))
    of, _ = output_of(net, data)
    assert net.attribute(X, of, method="integrated_gradients(steps=300)").error <= 1e-6


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("of", ["y1", "y2", ("l", 2)])
def test_every_node_kind(engine, of):
    net, X = normalised(engine), table()
    for baseline in (None, "mean", {"x": [[3.0, 2.0, 1.0]] * 7, "site": ["a"] * 7}):
        assert net.attribute(X, of, baseline=baseline).error <= 1e-9
        assert np.isfinite(net.attribute(X, of, method="integrated_gradients", baseline=baseline).error)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("method", METHODS[:3])
def test_edges_share_what_their_ends_have(engine, method):
    """Where all are sums: edges out of a node add up to it, and edges into one by DeepLIFT."""
    graph = dagnet.layered([3, 4, 3, 1], activation="tanh")
    graph.add_edge("x1", "eta")
    net = dagnet.Network(graph, engine=engine, seed=0)
    X = np.random.default_rng(0).normal(size=(6, 3))
    found = net.attribute(X, method=method)
    for node in net.nodes:
        out = [found[node, child] for child in graph.successors(node)]
        if out:
            assert np.allclose(sum(out), found[node], rtol=1e-6, atol=1e-9)
    if method == "deeplift":
        for node in ("h11", "h21"):
            into = sum(found[parent, node] for parent in graph.predecessors(node))
            assert np.allclose(into, found[node], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["product", "max", "min", "mean"])
@pytest.mark.parametrize("engine", ENGINES)
def test_terms_have_their_aumann_shapley_share(engine, kind):
    graph = nx.DiGraph()
    graph.add_node("y", aggregation=kind, bias=False)
    graph.add_weighted_edges_from([("a", "y", 1.0), ("b", "y", -2.0), ("c", "y", 0.5), ("d", "y", 0.5)])
    net = dagnet.Network(graph, engine=engine)
    rng = np.random.default_rng(0)
    X, start = rng.normal(size=(2, 5, 4))
    X[0, 3], start[0, 3] = X[0, 2], start[0, 2]  # terms that tie all along
    found = net.attribute(X, baseline=start)
    places = (np.arange(200_000) + 0.5) / 200_000
    for row in range(5):
        way = start[row] + places[:, None] * (X[row] - start[row])
        slopes = net.gradient(way, of="y").inputs.mean(axis=0)
        for column, node in enumerate("abcd"):
            assert found[node][row] == pytest.approx(slopes[column] * (X - start)[row, column], abs=1e-4)
            assert np.array_equal(found[node], found[node, "y"])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("units", [2, 3])
def test_units_normalised_together_have_their_aumann_shapley_share(engine, units):
    graph = nx.DiGraph()
    graph.add_node("x", units=units)
    graph.add_node("n", units=units, normalization="layer", activation="identity", bias=False)
    graph.add_node("y", bias=False)
    graph.add_edge("x", "n", weight=np.eye(units))
    graph.add_edge("n", "y", weight=np.arange(1.0, units + 1)[None] ** 2)
    net = dagnet.Network(graph, engine=engine)
    X, start = np.random.default_rng(1).normal(size=(2, 4, units))
    X[1] = start[1]
    found = net.attribute(X, baseline=start)
    assert found.error < 1e-12
    places = (np.arange(100_000) + 0.5) / 100_000
    for row in range(4):
        way = start[row] + places[:, None] * (X[row] - start[row])
        path = net.gradient(way, of="y").inputs.mean(axis=0) @ (X[row] - start[row])
        assert found["x"][row] == pytest.approx(path, abs=1e-3)
    assert not found["x"][1].any()


@pytest.mark.parametrize("engine", ENGINES)
def test_conductance_is_what_brute_force_finds(engine):
    net = dagnet.Network(dagnet.layered([2, 3, 2, 1], activation="tanh"), engine=engine, seed=1)
    X = np.array([[1.0, -2.0], [0.3, 0.7]])
    found = net.attribute(X, method="integrated_gradients(steps=40)")
    places = np.linspace(0, 1, 4001)
    for row, x in enumerate(X):
        way = (places[:, None] + places[:, None] * 0) * x
        forward, slopes = net.forward(way), net.gradient(way, of="eta")
        for node in ("x1", "h11", "h21"):
            steps, slope = np.diff(forward[node]), slopes.value(node)
            brute = (steps * (slope[1:] + slope[:-1]) / 2).sum()
            assert found[node][row] == pytest.approx(brute, abs=1e-6)


@given(dags(max_nodes=7), seeds, st.data())
def test_knockouts_are_interventions(graph, seed, data):
    net = network(graph, engine=data.draw(st.sampled_from(ENGINES)), seed=seed)
    X, _ = rows_for(net, rows=3, seed=seed)
    assume(tame(net, X))
    of, column = output_of(net, data)
    members = data.draw(st.lists(st.sampled_from(net.nodes), min_size=1, max_size=3, unique=True))
    found = net.attribute(X, of, method="knockout", groups={"a group": members})
    center = dict(zip(net.prepared.columns_in.by_unit(), net.topology.center, strict=True))

    def without(nodes):
        if any(node in net.inputs and net.topology.units[net.topology.index[node]] > 1 for node in nodes):
            return None
        return (
            net(X)[:, column] - net.forward(X, do={n: center.get(n, 0.0) for n in nodes}).outputs[:, column]
        )

    for node in net.nodes:
        if not net.topology.has_edge(node) and (truth := without([node])) is not None:
            assert np.allclose(found[node], truth, rtol=1e-9, atol=1e-11)
    if (truth := without(members)) is not None:
        assert np.allclose(found["a group"], truth, rtol=1e-9, atol=1e-11)


def test_gradient_times_input_equals_autograd():
    torch = pytest.importorskip("torch")
    net = dagnet.Network(dagnet.layered([3, 1]), seed=0)
    X = np.random.default_rng(0).normal(size=(4, 3))
    x = torch.tensor(X, requires_grad=True)
    weights = torch.tensor([float(net.weights[name, "eta"]) for name in net.inputs], dtype=float)
    (x @ weights + float(net.biases["eta"])).sum().backward()
    found = net.attribute(X, method="gradient*input")
    expected = X * x.grad.numpy()
    assert np.allclose(np.column_stack([found[name] for name in net.inputs]), expected, rtol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_engines_and_copies_agree(method):
    one, other = (normalised(engine).attribute(table(), "y2", method=method) for engine in ENGINES)
    copies = copy.deepcopy(one), pickle.loads(pickle.dumps(one))
    assert list(one) == ["x", "site", "l", "b", "s", "m", "y1", "y2"]
    for node in one:
        assert np.allclose(one[node], other[node], rtol=1e-6, atol=1e-9)
        assert all(np.array_equal(one[node], copied[node]) for copied in copies)
    assert repr(one) == f"<Attribution: {method} of y2, 7 rows>"
    assert one.mean_absolute()["l"] == np.abs(one["l"]).mean()
    pytest.importorskip("pandas")
    assert list(one.to_frame().columns) == list(one)


def test_groups_and_what_reaches_nothing():
    graph = dagnet.layered([2, 2, 1], activation="tanh")
    graph.add_edge("h11", "dead")
    net, X = dagnet.Network(graph, outputs=["eta"], seed=0), [[1.0, 2.0]]
    for method in METHODS:
        found = net.attribute(X, method=method, groups={"both": ["h11", "h12"]})
        assert not found["dead"].any()
        if method != "knockout":
            assert np.allclose(found["both"], found["h11"] + found["h12"])
    with pytest.raises(KeyError, match="knockout: edges have none"):
        found["x1", "h11"]
    with pytest.raises(KeyError, match="no node 'h9'"):
        found["h9"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"of": "dead"}, "or a node that reaches one"),
        ({"of": "nobody"}, "of: no node 'nobody'"),
        ({"of": ("x1", "h11")}, "it is an edge"),
        ({"method": "deep_lift"}, "no attribution is called 'deep_lift'; did you mean 'deeplift'"),
        ({"method": "lime"}, "known: deeplift"),
        ({"method": 3}, "method must be one of"),
        ({"method": "deeplift(steps=3)"}, "without settings"),
        ({"method": "integrated_gradients(stops=3)"}, "without settings"),
        ({"method": "integrated_gradients(steps=0)"}, "steps"),
        ({"baseline": "median"}, "baseline must be 'mean'"),
        ({"baseline": {"x1": 0.0}}, "baseline: X: no column 'x2'"),
        ({"baseline": {"x1": 0.0, "x3": 0.0}}, "baseline: no node 'x3'"),
        ({"baseline": {"x1": 0.0, "h11": 0.0}}, "baseline: each name must be an input"),
        ({"baseline": [0.0, 1.0, 2.0]}, "baseline: X must be 2 columns wide"),
        ({"baseline": [[0.0, 1.0]] * 3}, "baseline must be of 1 row, or 2 as X"),
        ({"baseline": [[0.0], [1.0, 2.0]]}, "baseline must be numbers in a rectangular array"),
        ({"baseline": {("x1", "h11"): 0.0}}, "baseline: no node .* it is an edge"),
        ({"groups": {"g": [("x1", "h11")]}}, "groups: 'g': no node .* it is an edge"),
        ({"baseline": float("nan")}, "baseline: X: row 0"),
        ({"groups": ["h11"]}, "groups must be a mapping"),
        ({"groups": {"g": []}}, "groups: 'g' must be a list of nodes"),
        ({"groups": {"g": "h11"}}, "groups: 'g' must be a list of nodes"),
        ({"groups": {"g": ["h13"]}}, "groups: 'g': no node 'h13'"),
        ({"groups": {"h11": ["h12"]}}, "is a node or an edge"),
    ],
)
def test_bad_input(arguments, message):
    graph = dagnet.layered([2, 2, 1])
    graph.add_edge("h11", "dead")
    net = dagnet.Network(graph, outputs=["eta"], seed=0)
    with pytest.raises(dagnet.DagnetError, match=message):
        net.attribute([[1.0, 2.0], [3.0, 4.0]], **arguments)


def test_an_output_must_be_said_where_there_are_several():
    net = dagnet.Network(dagnet.layered([2, 2]), seed=0)
    with pytest.raises(dagnet.DataError, match=r"of: say which output is meant \('y1', 'y2'\): of='y1'"):
        net.attribute([[1.0, 2.0]])


def test_a_kink_and_a_single_precision_row():
    assert set(SMOOTH).isdisjoint(KINKED)
    net = dagnet.Network(dagnet.layered([2, 3, 1], activation="relu"), dtype="float32", seed=0)
    X = np.random.default_rng(0).normal(size=(50, 2))
    found = net.attribute(X)
    assert found["h11"].dtype == np.float32
    assert found.error < 1e-5


def evaluated_on_networkx(graph, net, row, without=()):
    """The graph's values for one row, node by node, those of some nodes 0."""
    functions = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0), None: lambda z: z}
    values = dict(zip(net.inputs, row, strict=True)) | dict.fromkeys(without, 0.0)
    for node in nx.topological_sort(graph):
        if node not in values:
            terms = [net.weights[parent, node] * values[parent] for parent in graph.predecessors(node)]
            kind, said = graph.nodes[node].get("aggregation", "sum"), graph.nodes[node]
            total = {"sum": sum, "max": max, "product": np.prod, "mean": np.mean}[kind](terms)
            values[node] = functions[said.get("activation")](total + net.biases[node])
    return values


def hierarchy(seed, n=60):
    """Nodes in random order under one root, as pathways are, of several kinds."""
    rng, graph = np.random.default_rng(seed), nx.DiGraph()
    kinds = ["sum", "sum", "sum", "max", "product", "mean"]
    for node in rng.permutation(n).tolist():
        graph.add_node(node, activation=str(rng.choice(["tanh", "relu"])), aggregation=str(rng.choice(kinds)))
    graph.add_edges_from((node, parent) for node in range(n) for parent in rng.integers(node + 1, n + 1, 2))
    inputs = [node for node in graph if not graph.in_degree(node)]
    for node in [*inputs, n]:
        graph.nodes[node].clear()
    return nx.relabel_nodes(graph, {n: "root"}), inputs


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("threads", [1, 2])
def test_knockouts_equal_an_evaluation_on_networkx(engine, threads):
    graph, inputs = hierarchy(0)
    net = dagnet.Network(graph, inputs=inputs, engine=engine, threads=threads, seed=0)
    net.biases["root"] = 0.5
    rng = np.random.default_rng(0)
    X, groups = rng.normal(size=(40, len(inputs))), {"a": [3, 50, "root"], "b": [7, 8, 31], "c": inputs[:3]}
    found = net.attribute(X, method="knockout", groups=groups)
    names = [*net.nodes, *groups]
    rng.shuffle(names)  # the order of the questions changes nothing
    before = net.forward(X)
    for name in names:
        without = groups.get(name, [name])
        truth = [evaluated_on_networkx(graph, net, row, without)["root"] for row in X]
        assert np.allclose(found[name], before["root"] - truth, rtol=1e-10, atol=1e-12)
    assert all(np.array_equal(before[node], net.forward(X)[node]) for node in net.nodes)


@pytest.mark.parametrize("engine", ENGINES)
def test_knockouts_prepare_nothing_and_are_asked_for_in_bunches(engine, monkeypatch):
    graph, inputs = hierarchy(1, n=200)
    net = dagnet.Network(graph, inputs=inputs, engine=engine, seed=0)
    net.predict(np.ones((3, len(inputs))))
    counts, find = [], Dependents.cones
    monkeypatch.setattr("dagnet.model.prepared.prepare", None)
    monkeypatch.setattr(Dependents, "cones", lambda self, *of: counts.append(len(of[1])) or find(self, *of))
    found = net.attribute(np.ones((3, len(inputs))), method="knockout")
    found[150]
    assert counts == [len(net.nodes)]
    found.mean_absolute()
    assert sum(counts) == len(net.nodes)
    monkeypatch.setattr("dagnet.explain.attribution.AT_ONCE", 10 * (net.plan.n_units + net.plan.n_weights))
    again = net.attribute(np.ones((3, len(inputs))), method="knockout")
    assert again.mean_absolute() == found.mean_absolute()
    assert counts[1:-1] == [10] * (len(counts) - 2)


def test_knockouts_may_be_asked_for_by_several_threads():
    graph, inputs = hierarchy(2, n=150)
    net = dagnet.Network(graph, inputs=inputs, seed=0)
    X = np.random.default_rng(0).normal(size=(64, len(inputs)))
    alone, shared = (net.attribute(X, method="knockout") for _ in range(2))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda node: (node, shared[node]), net.nodes * 3))
    assert all(np.array_equal(answer, alone[node]) for node, answer in answers)


@pytest.mark.parametrize("engine", ENGINES)
def test_kinks_and_ties_are_counted(engine):
    graph = nx.DiGraph()
    graph.add_weighted_edges_from(
        [("a", "r", 1.0), ("a", "m", 1.0), ("b", "m", 1.0), ("r", "y", 1.0), ("m", "y", 1.0)]
    )
    graph.nodes["r"].update(activation="relu", bias=0.0)
    graph.nodes["m"].update(aggregation="max", activation="identity", bias=0.0)
    net = dagnet.Network(graph, engine=engine)
    found = net.attribute([[0.0, 5.0], [0.0, -1.0], [2.0, 2.0], [3.0, 1.0]], baseline=-1.0)
    assert found.notes == (
        "2 z are on a kink of their activation: gradients there are those that training uses",
        "2 z are across a kink from the baseline: DeepLIFT goes across, a gradient does not see it",
        "1 maxima or minima have terms that tie, which share evenly",
    )
    for method in METHODS:
        assert net.attribute([[2.0, 2.0]], baseline=-1.0, method=method).notes[-1].startswith("1 maxima")
    smooth = dagnet.Network(dagnet.layered([2, 2, 1], activation="tanh"), engine=engine, seed=0)
    assert smooth.attribute([[0.0, 0.0]]).notes == ()


def test_cones_are_the_descendants_on_the_way_to_the_output():
    graph, inputs = hierarchy(3)
    graph.add_edge(7, "elsewhere")
    net = dagnet.Network(graph, inputs=inputs, outputs=["root", "elsewhere"], seed=0)
    plan, unit = (
        net.plan,
        {node: net.layout.units_of(net.topology.node_number(node)).start for node in net.nodes},
    )
    sets = [[node] for node in net.nodes] + [[3, 7, 20], inputs]
    units = np.array([unit[node] for nodes in sets for node in nodes])
    cones = Dependents(plan, np.array([unit["root"]])).cones(units, np.array(list(map(len, sets))))
    reaching = nx.ancestors(graph, "root") | {"root"}
    for number, nodes in enumerate(sets):
        truth = set().union(*(nx.descendants(graph, node) for node in nodes)) & reaching - set(nodes)
        steps, found = list(cones.steps(plan, number)), []
        for step in steps:
            if step.kind == ACTIVATE:
                found += range(step.target, step.targets.stop)
        assert sorted(found) == sorted(unit[node] for node in truth)
        computed = [unit for step in steps for unit in range(*step.targets.indices(plan.n_units))]
        assert sorted(computed) == sorted(2 * found)  # each is summed and activated


def gradient_times_change(net, X, baseline, of):
    """Gradient × input as a plugin has it: of inputs by columns of X, of others by their values."""
    slopes, now, before = net.gradient(X, of=of), net.forward(X), net.forward(baseline)
    found = {node: (now[node] - before[node]) * slopes.value(node) for node in net.nodes}
    widths = [net.topology.units[net.topology.node_number(name)] for name in net.inputs]
    shares = np.split((X - baseline) * slopes.inputs, np.cumsum(widths)[:-1], axis=1)
    return found | dict(zip(net.inputs, (share.sum(axis=1) for share in shares), strict=True))


def occluded(net, X, baseline, of, value):
    """Knock-outs of hidden nodes as a plugin has them."""
    name, unit = of if isinstance(of, tuple) and of not in net.nodes else (of, 0)

    def output(do):
        values = net.forward(X, do=do)[name]
        return values[:, unit] if values.ndim == 2 else values

    return {node: output({}) - output({node: value}) for node in net.nodes if node not in net.inputs}


CHANGE = dagnet.Attributor("change", gradient_times_change)
OCCLUDED = dagnet.Attributor("occluded", occluded, parameters={"value": 0.0})


@given(dags(), seeds, row_counts, st.data())
def test_what_a_plugin_finds_by_public_calls_is_what_is_built_in(graph, seed, rows, data):
    net = network(graph, engine=data.draw(st.sampled_from(ENGINES)), seed=seed)
    X, _ = rows_for(net, rows=rows, seed=seed)
    assume(tame(net, X) and set(net.nodes) > set(net.inputs))
    of, _ = output_of(net, data)
    groups = {"a group": [*dict.fromkeys(data.draw(st.lists(st.sampled_from(net.nodes), min_size=1)))]}
    ours, theirs = (
        net.attribute(X, of, method=method, baseline=0.25, groups=groups).to_frame()
        for method in ("gradient*input", CHANGE)
    )
    assert list(ours) == list(theirs)
    np.testing.assert_allclose(theirs, ours, rtol=1e-9, atol=1e-9)
    ours, theirs = (net.attribute(X, of, method=method).to_frame() for method in ("knockout", OCCLUDED))
    assert list(theirs) == [node for node in net.nodes if node not in net.inputs]
    np.testing.assert_allclose(theirs, ours[list(theirs)], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_plugins_method_meets_normalised_standardised_named_and_coded_inputs(engine, dtype):
    net, X = normalised(engine), table()
    ours, theirs = (net.attribute(X, "y2", method=m, baseline="mean") for m in ("gradient*input", CHANGE))
    np.testing.assert_allclose(theirs.to_frame(), ours.to_frame(), rtol=1e-9, atol=1e-12)

    graph = dagnet.layered([2, 3, 1], activation="tanh")
    graph.nodes["x2"]["categories"] = ["a", "b", "c"]
    net, pandas = dagnet.Network(graph, dtype=dtype, engine=engine, seed=0), pytest.importorskip("pandas")
    X = pandas.DataFrame({"x2": list("abcab"), "x1": [100.0, 101.0, 99.0, 97.0, 103.0]}, index=list("pqrst"))
    net.standardize(X)
    ours, theirs = (net.attribute(X, method=m, baseline="mean") for m in ("gradient*input", CHANGE))
    close = 1e-9 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(theirs.to_frame(), ours.to_frame(), rtol=close, atol=close)
    assert theirs["x1"].dtype == net.dtype

    plain = dagnet.Network(dagnet.layered([2, 1]), dtype=dtype, engine=engine, seed=0)
    plain.fit([[1.0, 2.0], [2.0, 0.0]], [1.0, 2.0], columns=["x2", "x1"], epochs=1, seed=0)
    seen = {}
    look = dagnet.Attributor("look", lambda net, X, baseline, of: seen.update(X=X, net=net) or net.forward(X))
    found = plain.attribute({"x2": [5.0], "x1": [3.0]}, method=look)
    assert seen["X"].tolist() == [[3.0, 5.0]]
    assert found["x1"] == 3.0
    assert plain.named


def test_a_plugins_method_has_a_network_and_rows_of_its_own():
    def wild(net, X, baseline, of):
        net.parameters = np.zeros(len(net.parameters))
        X[:], baseline[:] = 0.0, 0.0
        return {"x1": np.array([1, 2])}

    net, X = dagnet.Network(dagnet.layered([2, 2, 1], activation="tanh"), seed=0), np.ones((2, 2))
    start, before = np.full((2, 2), 0.5), net.parameters.copy()
    found = net.attribute(
        X, method=dagnet.Attributor("wild", wild), baseline=start, groups={"g": ["x1"], "h": ["x2"]}
    )
    assert (net.parameters == before).all()
    assert (X == 1.0).all()
    assert (start == 0.5).all()
    assert found["x1"].tolist() == found["g"].tolist() == [1.0, 2.0]
    found["x1"][:] = 9.0
    assert found["x1"].tolist() == [1.0, 2.0]
    assert list(found) == ["x1", "g", "h"]
    assert len(found) == 3
    for name, message in {
        ("x1", "h11"): "wild: edges have none",
        "x2": "wild: it gives nothing of node 'x2'",
    }.items():
        with pytest.raises(KeyError, match=message):
            found[name]
    for ask in (found.mean_absolute, found.to_frame, lambda: found.error):
        with pytest.raises(dagnet.DataError, match="wild: it gives nothing of node 'x2'"):
            ask()
    with pytest.raises(KeyError, match="no node 'h9'"):
        found["h9"]
    whole = net.attribute(X, method=CHANGE, baseline=start)
    change = net(X) - net(start)
    assert whole.error == pytest.approx(np.abs(whole["x1"] + whole["x2"] - change[:, 0]).max(), rel=1e-12)
    for again in (pickle.loads(pickle.dumps(whole)), copy.deepcopy(whole)):
        assert again.mean_absolute() == whole.mean_absolute()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "result must be a mapping from node to numbers, .* got None"),
        (np.zeros((2, 4)), "result must be a mapping"),
        ({}, r"result must be a mapping .* got \{\}"),
        ({"x3": [1.0, 2.0]}, "no node 'x3' in the graph"),
        ({("x1", "h11"): [1.0, 2.0]}, "no node .* it is an edge"),
        ({"x1": [1.0, 2.0, 3.0]}, r"'x1' must be of shape \(2,\), a number a row, got \(3,\)"),
        ({"x1": 1.0}, r"'x1' must be of shape .* got \(\)"),
        ({"x1": [[1.0, 2.0]] * 2}, r"'x1' must be of shape .* got \(2, 2\)"),
        ({"x1": [1.0, float("nan")]}, "'x1', row 1 must be finite, got nan"),
        ({"x1": [1e300, 0.0]}, "'x1', row 0 must be finite"),
        ({"x1": ["a", "b"]}, "'x1' must be real numbers"),
        ({"x1": [1j, 2.0]}, "'x1' must be real numbers"),
        ({"x1": [[1.0], [1.0, 2.0]]}, "'x1' must be numbers in a rectangular array"),
    ],
)
def test_what_a_plugins_method_gives_is_checked(given, message):
    net = dagnet.Network(dagnet.layered([2, 2, 1]), dtype="float32", seed=0)
    mine = dagnet.Attributor("mine", lambda net, X, baseline, of: given)
    with pytest.raises(dagnet.PluginError, match=f"^attribution method 'mine': {message}"):
        net.attribute([[1.0, 2.0], [3.0, 4.0]], method=mine)


def test_a_plugins_method_that_raises_is_named():
    net = dagnet.Network(dagnet.layered([2, 1]), seed=0)
    for function, message in [
        (lambda net, X, baseline, of: 1 / 0, "raised ZeroDivisionError: division by zero"),
        (lambda net, X, baseline, of: net.gradient(X, of="nobody"), "raised DataError: of: no node 'nobody'"),
        (lambda net, X: {}, "raised TypeError: .* takes 2 positional arguments"),
    ]:
        with pytest.raises(dagnet.PluginError, match=f"^attribution method 'mine' {message}"):
            net.attribute([[1.0, 2.0]], method=dagnet.Attributor("mine", function))


def test_importance_takes_a_plugins_method():
    X = np.random.default_rng(0).normal(size=(40, 3))
    asked = {"seeds": 2, "shuffles": 3, "epochs": 3}
    graph = dagnet.layered([3, 2, 1], activation="tanh")
    theirs = dagnet.importance(graph, X, X[:, 0], method=CHANGE, **asked)
    ours = dagnet.importance(graph, X, X[:, 0], method="gradient*input", **asked)
    inputs = ["x1", "x2", "x3"]
    np.testing.assert_allclose(theirs.to_frame().loc[inputs], ours.to_frame().loc[inputs], rtol=1e-9)
    assert "change" in theirs.methods
    few = dagnet.Attributor("few", lambda net, X, baseline, of: {"x1": X[:, 0]})
    with pytest.raises(dagnet.DataError, match="few: it gives nothing of node"):
        dagnet.importance(graph, X, X[:, 0], method=few, **asked)


def test_pictures_leave_out_what_a_plugins_method_does_not_speak_of():
    net = dagnet.Network(dagnet.layered([2, 2, 1]), seed=0)
    few = dagnet.Attributor("few", lambda net, X, baseline, of: {"h11": X[:, 0]})
    for rows in ([[0.125, 2.0]], [[0.125, 2.0], [0.125, 1.0]]):
        assert "contribution" in net.draw(color=net.attribute(rows, method=few)).svg
