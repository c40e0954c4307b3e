"""Networks of every kind through their models: the outputs and predictions are the network's own."""

import networkx as nx
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from running import check, close, run, written

import dagnet

strategies = pytest.importorskip("data.strategies", reason="dagnet's own tests have the graphs to try")
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


@dtypes
@given(graph=strategies.dags(), seed=strategies.seeds, rows=strategies.row_counts)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_any_graph(dtype, graph, seed, rows):
    net = strategies.network(graph, engine="reference", dtype=dtype, seed=seed)
    check(net, strategies.rows_for(net, rows=rows, seed=seed)[0].astype(dtype))


NORMALIZATIONS = (
    "batch",
    "batch(before_activation=True, eps=0.01)",
    "layer",
    "layer(before_activation=True)",
)


@st.composite
def adorned(draw):
    """A graph of ``dags()`` with normalisations, what activations learn, categories and heads."""
    graph = draw(strategies.dags())
    said, width = graph.graph["dagnet"], {node: graph.nodes[node].get("units", 1) for node in graph}
    for node, attributes in graph.nodes(data=True):
        if node in said["inputs"]:
            if width[node] > 1 and "center" not in attributes and draw(st.booleans()):
                del attributes["units"]
                attributes["categories"] = [f"word {k}" for k in range(width[node])]
            continue
        if draw(st.booleans()):
            kinds = NORMALIZATIONS if width[node] > 1 else NORMALIZATIONS[:2]
            attributes["normalization"] = draw(st.sampled_from(kinds))
        if draw(st.integers(0, 2)) == 0:
            attributes["activation"] = draw(st.sampled_from(("prelu", "swish")))
            attributes[{"prelu": "slope", "swish": "beta"}[attributes["activation"]]] = draw(st.floats(-1, 2))
        if node in said["outputs"] and draw(st.booleans()):
            attributes["loss"] = draw(st.sampled_from(strategies.LOSSES[: 7 if width[node] > 1 else 6]))
    rest = sum(width[node] for node in said["outputs"] if "loss" not in graph.nodes[node])
    if said["loss"] == "cross_entropy" and rest == 1:
        said["loss"] = "huber"
    note(f"adorned: {dict(graph.nodes(data=True))}")
    return graph


@dtypes
@given(graph=adorned(), seed=strategies.seeds, rows=strategies.row_counts)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_any_graph_with_every_kind_of_node(dtype, graph, seed, rows):
    net = strategies.network(graph, engine="reference", dtype=dtype, seed=seed)
    rng = np.random.default_rng(seed)
    for node, name in net.node_parameters:
        low = 0.5 if name == "variance" else -1.0
        net.node_parameters[node, name] = rng.uniform(low, 1.5, np.shape(net.node_parameters[node, name]))
    check(net, rng.uniform(-2, 2, (rows, net.layout.plan.n_inputs)).astype(dtype))


def every_kind(dtype="float64", **arguments):
    """Normalisations, what activations learn, heads, categories, several units, sharing, aggregations."""
    graph = nx.DiGraph()
    graph.add_node("x", units=3, center=[0.5, 0.0, 1.0], scale=[2.0, 1.0, 0.5])
    graph.add_node("site", categories=["a", "b"])
    graph.add_node("l", units=3, activation="tanh", normalization="layer")
    graph.add_node(
        "b", units=2, activation="prelu", normalization="batch(before_activation=True)", dropout=0.2
    )
    graph.add_node("s", activation="swish", aggregation="product", share="one")
    graph.add_node("m", activation="softplus", aggregation="max", normalization="batch")
    graph.add_edges_from([("x", "l"), ("x", "b"), ("site", "b"), ("l", "s"), ("l", "m"), ("b", "m")])
    graph.add_edges_from([("m", "y1"), ("s", "y1"), ("l", "y2"), ("b", "y2"), ("y1", "y2")], dropout=0.1)
    return dagnet.Network(graph, outputs=["y1", "y2"], dtype=dtype, seed=3, **arguments)


def encoded(rows, dtype):
    """X as an array: three numbers, and a column for each category."""
    rng = np.random.default_rng(0)
    site = np.eye(2)[rng.integers(0, 2, rows)]
    return np.concatenate([rng.normal(size=(rows, 3)), site], axis=1).astype(dtype)


@dtypes
def test_every_node_kind_after_training(dtype):
    net = every_kind(dtype, loss={"y1": "huber", "y2": "binary_cross_entropy_with_logits"})
    X, rng = encoded(60, dtype), np.random.default_rng(1)
    y = {"y1": rng.normal(size=60), "y2": rng.integers(0, 2, 60)}
    net.fit(X, y, epochs=5, seed=0)
    found = check(net, X)
    assert set(found) == {"outputs", "predict[y1]", "predict[y2]"}
    assert abs(net.node_parameters["m", "mean"]) > 0


@dtypes
def test_another_runtime_finds_the_same(dtype):
    """The one of onnx itself, in NumPy, which knows nothing of onnxruntime's gaps."""
    layers = dagnet.layered([5, 9, 2], activation="gelu")
    for net in (every_kind(dtype), dagnet.Network(layers, loss="cross_entropy", dtype=dtype, seed=0)):
        X, evaluator = encoded(9, dtype), ReferenceEvaluator(onnx.load_from_string(written(net)))
        outputs, *predicted = evaluator.run(None, {"X": X})
        close(outputs, net(X), dtype)
        close(np.concatenate(predicted, axis=1), net.predict(X), dtype)


@dtypes
@pytest.mark.parametrize("name", [*dagnet.activations()])
def test_each_activation_of_dagnet(name, dtype):
    net = dagnet.Network(dagnet.layered([3, 12, 1], activation=name), dtype=dtype, seed=1)
    net.parameters *= 2
    check(net, np.random.default_rng(0).normal(0, 2, (20, 3)).astype(dtype))


@dtypes
@pytest.mark.parametrize("form", [
    *("softplus(beta=2.0, threshold=1.0)", "gelu(approximate='tanh')", "elu(alpha=-0.5)", "celu(alpha=0.3)"),
    *("leaky_relu(negative_slope=0.2)", "hard_tanh(min_val=-0.25, max_val=2.0)", "hardshrink(lambd=1.0)"),
])  # fmt: skip
def test_parameters_of_activations(form, dtype):
    net = dagnet.Network(dagnet.layered([3, 12, 1], activation=form), dtype=dtype, seed=1)
    check(net, np.random.default_rng(0).normal(0, 2, (20, 3)).astype(dtype))


@dtypes
@pytest.mark.parametrize("name", [*dagnet.aggregations()])
def test_each_aggregation_of_dagnet_with_terms_of_any_number(name, dtype):
    rng, graph = np.random.default_rng(4), nx.DiGraph()
    graph.add_nodes_from(range(12))
    for node in range(12, 60):
        graph.add_node(node, aggregation=name, activation="tanh")
        graph.add_edges_from((int(k), node) for k in rng.choice(node, rng.integers(1, 9), replace=False))
    check(dagnet.Network(graph, dtype=dtype, seed=0), rng.normal(size=(7, 12)).astype(dtype))


@dtypes
@pytest.mark.parametrize("name", [*dagnet.losses()])
def test_what_each_loss_of_dagnet_predicts(name, dtype):
    output = {"output_activation": "sigmoid"} if name == "binary_cross_entropy" else {}
    net = dagnet.Network(
        dagnet.layered([3, 4, 3], activation="tanh", **output), loss=name, dtype=dtype, seed=0
    )
    check(net, np.random.default_rng(0).normal(size=(6, 3)).astype(dtype))


def norm(terms):
    return np.sqrt(np.mean(terms * terms, axis=0))


def signed(z, flip):
    return np.where((z > 0.0) & (z < flip) | ~(z > -flip), -z, 1.0)


def constant(z):
    return np.full_like(z, 2.0)


def centred(outputs):
    return outputs - outputs.mean(axis=1, keepdims=True) + 0.1 * outputs[:, :1]


def above(outputs, targets):
    return np.square(outputs - targets).sum(axis=1)


@dtypes
def test_functions_of_others(dtype):
    graph = nx.DiGraph([("x", "h"), ("z", "h"), ("h", "y"), ("x", "k"), ("k", "y"), ("h", "u"), ("x", "u")])
    graph.nodes["h"].update(aggregation=dagnet.Aggregation("norm_of_terms", norm))
    graph.nodes["k"].update(
        activation=dagnet.Activation("signed", signed, parameters={"flip": 0.5}, kinks=(0, 0.5, -0.5))
    )
    graph.nodes["u"]["activation"] = dagnet.Activation("two", constant)
    loss = dagnet.Loss("centred", above, predict=centred)
    net = dagnet.Network(graph, loss=loss, dtype=dtype, seed=0)
    check(net, np.random.default_rng(0).normal(size=(9, 2)).astype(dtype))


@dtypes
@pytest.mark.parametrize(
    "kind", ["one node", "an input that is an output", "no hidden nodes", "a constant alone"]
)
def test_small_networks(kind, dtype):
    graph, more = nx.DiGraph(), {}
    if kind == "one node":
        graph.add_node("x")
        more = {"inputs": ["x"], "outputs": ["x"]}
    elif kind == "an input that is an output":
        graph.add_edge("x", "y")
        more = {"outputs": ["y", "x"]}
    elif kind == "no hidden nodes":
        graph.add_edges_from([("a", "y"), ("b", "y"), ("b", "v")])
    else:
        graph.add_node("c", bias=0.5, activation="tanh")
        graph.add_edge("x", "y")
        more = {"inputs": ["x"], "outputs": ["c", "y"]}
    net = strategies.network(graph, dtype=dtype, seed=0, **more)
    width = net.layout.plan.n_inputs
    for rows in (1, 5):
        check(net, np.random.default_rng(0).normal(size=(rows, width)).astype(dtype))


@dtypes
def test_a_hub_and_rows_of_infinities(dtype):
    graph = nx.DiGraph((f"x{k}", "hub") for k in range(10_000))
    graph.add_edges_from(
        [("x0", "a"), ("x1", "a"), ("x2", "b"), ("x3", "b"), ("x3", "c"), ("hub", "y"), ("a", "y")]
    )
    graph.add_edges_from([("b", "w"), ("c", "w"), ("a", "c")])
    graph.nodes["a"]["activation"] = "exp"
    net = dagnet.Network(graph, dtype=dtype, seed=0)
    X = np.random.default_rng(0).normal(size=(3, 10_000)).astype(dtype)
    check(net, X)
    X[1, 0], X[2, 2] = np.inf, -np.inf  # which no unit sees but those that read it
    found = run(net, X)["outputs"]
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(np.isfinite(found), np.isfinite(net(X)))


@dtypes
@pytest.mark.parametrize("kind", ["max", "min"])
def test_nan_wins_wherever_it_stands(kind, dtype):
    graph = nx.DiGraph((f"x{k}", node) for k in range(5) for node in ("m", "n"))
    nx.set_edge_attributes(graph, 0.0, "weight")
    for node in ("m", "n"):
        graph.nodes[node]["aggregation"] = kind
    net = dagnet.Network(graph, dtype=dtype)
    X = np.ones((11, 5), dtype)
    X[np.arange(1, 10, 2), np.arange(5)] = np.inf  # 0 · ∞
    found = run(net, X)["outputs"]
    assert np.isnan(found[:, 0]).tolist() == [row % 2 == 1 for row in range(11)]
    np.testing.assert_array_equal(found, net(X))


@dtypes
def test_a_long_chain_and_layers(dtype):
    graph = nx.DiGraph()
    nx.add_path(graph, range(400))
    graph.add_edges_from((k, k + 9) for k in range(0, 390, 7))
    nx.set_node_attributes(graph, "tanh", "activation")
    del graph.nodes[0]["activation"]
    net = dagnet.Network(graph, dtype=dtype, seed=0)
    check(net, np.random.default_rng(0).normal(size=(4, 1)).astype(dtype))
    net = dagnet.Network(
        dagnet.layered([20, 40, 30, 3], activation="gelu"), dtype=dtype, loss="cross_entropy", seed=0
    )
    check(net, np.random.default_rng(0).normal(size=(4, 20)).astype(dtype))


def test_standardised_inputs_are_as_exact_as_dagnets():
    net = dagnet.Network(dagnet.layered([2, 3, 1], activation="tanh"), dtype="float32", seed=0)
    X = (1e6 + np.random.default_rng(0).normal(size=(50, 2))).astype(np.float32)
    net.standardize(X)
    close(run(net, X)["outputs"], net(X), "float32")


def test_large_values_are_normalised_in_double_precision():
    graph = nx.DiGraph()
    graph.add_node("x", units=4)
    graph.add_node("h", units=4, normalization="layer")
    graph.add_edge("x", "h", weight=np.eye(4))
    net = dagnet.Network(graph, dtype="float32", seed=0)
    X = (1000 + 0.01 * np.random.default_rng(0).normal(size=(20, 4))).astype(np.float32)
    close(run(net, X)["outputs"], net(X), "float32")
