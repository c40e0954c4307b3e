"""The public contract of a network, row by row and by name."""

import copy
import inspect
import multiprocessing
import os
import pickle
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import networkx as nx
import numpy as np
import pandas as pd
import pytest

import dagnet


@pytest.fixture
def graph():
    """x1, x2 → h (tanh, two units) → y, z; x1 → y."""
    graph = nx.DiGraph()
    graph.add_nodes_from(["x1", "x2"])
    graph.add_node("h", activation="tanh", units=2, bias=[0.1, -0.2])
    graph.add_node("y", bias=0.5)
    graph.add_node("z", activation="sigmoid", bias=False)
    graph.add_edge("x1", "h", weight=np.array([[0.5], [-0.5]]))
    graph.add_edge("x2", "h", weight=np.array([[0.25], [1.0]]))
    graph.add_edge("h", "y", weight=np.array([[2.0, -1.0]]))
    graph.add_edge("h", "z", weight=np.array([[1.0, 1.0]]))
    graph.add_edge("x1", "y", weight=3.0)
    return graph


@pytest.fixture
def net(graph):
    return dagnet.Network(graph, engine="reference")


X = np.array([[1.0, 2.0], [-1.0, 0.5], [0.0, 0.0]])
Y = np.array([[1.0, 0.5], [2.0, -0.5], [0.0, 1.0]])


def by_hand(X):
    """Values and pre-activations of the network above."""
    z_h = X @ np.array([[0.5, -0.5], [0.25, 1.0]]) + [0.1, -0.2]
    h = np.tanh(z_h)
    y = h @ [2.0, -1.0] + 3 * X[:, 0] + 0.5
    z_z = h @ [1.0, 1.0]
    return {"h": (h, z_h), "y": (y, y), "z": (1 / (1 + np.exp(-z_z)), z_z)}


# -- building ----------------------------------------------------------------------------


def test_signatures():
    keyword = {
        "inputs": None,
        "outputs": None,
        "loss": None,
        "loss_weights": None,
        "activation": "relu",
        "initializer": "he_uniform",
        "dtype": None,
        "engine": "auto",
        "threads": None,
        "seed": None,
        "weight": "weight",
        "attributes": None,
        "weights": None,
    }
    parameters = inspect.signature(dagnet.Network).parameters
    assert list(parameters) == ["graph", *keyword]
    for name, default in keyword.items():
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default == default
    assert list(inspect.signature(dagnet.Network.from_arrays).parameters)[:3] == [
        "sources",
        "targets",
        "weights",
    ]
    gradient = inspect.signature(dagnet.Network.gradient).parameters
    assert list(gradient)[1:] == ["X", "y", "of", "wrt", "sample_weight", "missing", "do"]
    assert gradient["wrt"].kind is inspect.Parameter.KEYWORD_ONLY
    evaluate = list(inspect.signature(dagnet.Network.evaluate).parameters)
    assert evaluate == ["self", "X", "y", "sample_weight", "missing"]
    activation = inspect.signature(dagnet.Activation).parameters
    made = ["rules", "surrogate"]
    assert list(activation) == ["name", "function", "derivative", "parameters", "kinks", *made, "trainable"]
    loss = inspect.signature(dagnet.Loss).parameters
    assert list(loss)[:7] == ["name", "value", "gradient", "predict", "targets", "outputs", "rowwise"]
    assert list(loss)[7:] == ["columns", "lacks", "parameters", "minimum_outputs", *made]
    assert loss["targets"].default == loss["outputs"].default == "real"
    assert loss["rowwise"].default is True


def test_defaults(graph):
    net = dagnet.Network(graph)
    assert net.inputs == ("x1", "x2")
    assert net.outputs == ("y", "z")
    assert str(net.loss) == "squared_error"
    assert net.dtype == np.float64
    assert net.threads == len(os.sched_getaffinity(0))
    assert net.engine in dagnet.engines()
    assert dagnet.Network(graph, engine="reference", threads=3).threads == 3


def test_ports_in_a_declared_order(graph):
    net = dagnet.Network(graph, inputs=["x2", "x1"], outputs=["z", "h", "y"], engine="reference")
    values = by_hand(X)
    assert net.inputs == ("x2", "x1")
    expected = np.column_stack([values["z"][0], values["h"][0], values["y"][0]])
    np.testing.assert_allclose(net(X[:, ::-1]), expected, rtol=1e-13)


def test_constants_and_isolated_nodes():
    graph = nx.DiGraph()
    graph.add_node("c", bias=2.0, activation="square")
    graph.add_node("k", bias=3.0)
    graph.add_weighted_edges_from([("x", "y", 1.0), ("c", "y", 10.0), ("k", "y", 100.0)])
    graph.add_node("alone", bias=7.0)
    net = dagnet.Network(graph, inputs=["x"], engine="reference")
    assert net([[1.0]])[0, 0] == 1 + 40 + 300
    assert net.forward([[1.0]])["alone"].tolist() == [7.0]
    assert set(net.gradient([[1.0]], [0.0]).visited) == {"c", "k", "y"}
    with pytest.raises(dagnet.DataError):
        net([[1.0, 2.0]])
    graph.nodes["alone"].clear()
    graph.nodes["c"].clear()
    graph.nodes["k"].clear()
    assert dagnet.Network(graph).inputs == ("c", "k", "x", "alone")


def test_centers_and_scales():
    graph = nx.DiGraph()
    graph.add_node("x", center=10.0, scale=2.0)
    graph.add_node("u", units=2, center=[1.0, 2.0], scale=4)
    graph.add_edge("x", "y", weight=1.0)
    graph.add_edge("u", "y", weight=[[1.0, 1.0]])
    net = dagnet.Network(graph, engine="reference")
    forward = net.forward([[14.0, 5.0, 10.0]])
    assert forward["x"].tolist() == [2.0]
    assert forward["u"].tolist() == [[1.0, 2.0]]
    assert forward.pre_activation("u").tolist() == [[1.0, 2.0]]
    assert net([[14.0, 5.0, 10.0]])[0, 0] == 5.0
    gradient = net.gradient([[14.0, 5.0, 10.0]], [4.0])
    assert gradient.inputs.tolist() == [[1.0, 0.5, 0.5]]


def test_the_textbook_names_of_layers():
    assert list(dagnet.layered([2, 2, 2, 1])) == ["x1", "x2", "h11", "h12", "h21", "h22", "eta"]
    assert list(dagnet.layered([1, 2])) == ["x1", "y1", "y2"]
    deep = list(dagnet.layered([1] * 12))
    assert deep == ["x1", *(f"h{k}_1" for k in range(1, 11)), "eta"]
    assert list(dagnet.layered([1] * 11))[9] == "h91"
    graph = dagnet.layered((2, 12, 1), activation="tanh", output_activation="sigmoid")
    assert "h112" in graph
    assert graph.nodes["h11"]["activation"] == "tanh"
    assert graph.nodes["eta"]["activation"] == "sigmoid"
    assert graph.number_of_edges() == 2 * 12 + 12
    assert isinstance(graph, nx.DiGraph)


def test_drawn_weights_follow_the_seed(graph):
    bits = [
        dagnet.Network(graph, weight=None, seed=3, engine="reference").parameters.tobytes() for _ in range(2)
    ]
    assert bits[0] == bits[1]
    assert dagnet.Network(graph, weight=None, seed=4, engine="reference").parameters.tobytes() != bits[0]
    one = nx.DiGraph([("x", "y"), ("x", "z")])
    generator = np.random.default_rng(0)
    drawn = dagnet.Network(one, seed=0).weights["x", "y"]
    assert dagnet.Network(one, seed=generator).weights["x", "y"] == drawn
    assert dagnet.Network(one, seed=generator).weights["x", "y"] != drawn
    assert dagnet.Network(one).weights["x", "y"] != dagnet.Network(one).weights["x", "y"]


def test_fans_count_units():
    graph = nx.DiGraph([("a", "c"), ("b", "c"), ("a", "d")])
    for node, units in (("a", 3), ("b", 2), ("c", 4)):
        graph.nodes[node]["units"] = units
    seen = Counter()

    def draw(generator, fan_in, fan_out):
        seen.update(Counter(zip(fan_in.tolist(), fan_out.tolist(), strict=True)))
        return np.zeros_like(fan_in)

    dagnet.Network(graph, initializer=dagnet.contracts.Initializer("noted", draw), engine="reference")
    assert seen == {(5.0, 5.0): 12, (3.0, 5.0): 3, (5.0, 4.0): 8}  # in the order of the names' numbers


def test_shared_weights_are_drawn_once():
    graph = nx.DiGraph([("a", "b"), ("b", "c"), ("c", "d")])
    for edge in (("a", "b"), ("c", "d")):
        graph.edges[edge]["share"] = "k"
    counted = []
    draw = dagnet.contracts.Initializer("counted", lambda g, i, o: counted.append(len(i)) or np.zeros_like(i))
    dagnet.Network(graph, initializer=draw, engine="reference")
    assert counted == [2]
    net = dagnet.Network(graph, seed=0, engine="reference")
    assert net.weights["a", "b"] == net.weights["c", "d"] != net.weights["b", "c"]
    assert len(net.parameters) == 5
    net.weights["c", "d"] = 9.0
    assert net.weights["a", "b"] == 9.0
    for node in "abcd":
        graph.nodes[node]["units"] = 2
    net = dagnet.Network(graph, seed=0, engine="reference")
    assert (net.weights["a", "b"] == net.weights["c", "d"]).all()


# -- shapes ------------------------------------------------------------------------------


def test_shapes_and_types(net):
    forward, gradient = net.forward(X), net.gradient(X, Y)
    assert forward["y"].shape == forward.pre_activation("y").shape == (3,)
    assert forward["h"].shape == forward.pre_activation("h").shape == (3, 2)
    for mapping in (net.weights, gradient.weights):
        assert type(mapping["x1", "y"]) is float
        assert mapping["x1", "h"].shape == (2, 1)
        assert mapping["h", "y"].shape == (1, 2)
    for mapping in (net.biases, gradient.biases):
        assert type(mapping["y"]) is float
        assert mapping["h"].shape == (2,)
    assert net(X).shape == net.predict(X).shape == forward.outputs.shape == (3, 2)
    assert type(net.evaluate(X, Y)) is float
    assert type(gradient.loss) is float
    assert gradient.delta("y").shape == (3,)
    assert gradient.delta("h").shape == (3, 2)
    assert gradient.inputs.shape == X.shape
    assert gradient.flat.shape == net.parameters.shape == net.trainable.shape
    assert type(gradient.visited) is tuple
    assert len(net([[1.0, 2.0]])) == 1


def test_values(net):
    forward = net.forward(X)
    for node, (a, z) in by_hand(X).items():
        np.testing.assert_allclose(forward[node], a, rtol=1e-13)
        np.testing.assert_allclose(forward.pre_activation(node), z, rtol=1e-13)
    np.testing.assert_array_equal(forward["x1"], X[:, 0])
    np.testing.assert_array_equal(forward.pre_activation("x2"), X[:, 1])
    np.testing.assert_allclose(net.evaluate(X, Y), ((net(X) - Y) ** 2).sum(axis=1).mean(), rtol=1e-13)
    weights = np.array([1.0, 0.0, 3.0])
    losses = ((net(X) - Y) ** 2).sum(axis=1)
    np.testing.assert_allclose(net.evaluate(X, Y, weights), (losses * weights).sum() / 4, rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float64", "float32", np.float32, np.dtype("float64")])
def test_dtypes(graph, dtype):
    net = dagnet.Network(graph, dtype=dtype, engine="reference")
    gradient, forward = net.gradient(X, Y), net.forward(X)
    for array in (
        *(net.parameters, net(X), net.predict(X), forward.outputs, forward["h"], forward.pre_activation("y")),
        *(
            gradient.flat,
            gradient.inputs,
            gradient.delta("h"),
            gradient.weights["x1", "h"],
            net.weights["x1", "h"],
        ),
    ):
        assert array.dtype == net.dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    "data",
    [
        X.tolist(),
        X.astype(np.float32),
        X.astype(np.float16),
        np.asfortranarray(X),
        np.ma.masked_array(X),
        {"x1": X[:, 0], "x2": X[:, 1]},
        {"x2": X[:, 1].tolist(), "extra": ["a", "b", "c"], "x1": X[:, 0].tolist()},
        pd.DataFrame({"x2": X[:, 1], "name": ["a", "b", "c"], "x1": X[:, 0]}),
        pd.DataFrame(X, columns=["x1", "x2"]).astype("Float64"),
        pd.DataFrame(X),
    ],
    ids=lambda data: type(data).__name__,
)
def test_kinds_of_rows(net, data):
    if isinstance(data, pd.DataFrame) and list(data) == [0, 1]:
        with pytest.raises(dagnet.DataError, match="no column 'x1', 'x2' in the data; known: 0, 1"):
            net(data)
        data = data.to_numpy()
    np.testing.assert_array_equal(net(data), net(X))


def test_whole_and_boolean_rows(net):
    np.testing.assert_array_equal(net(np.array([[1, 0]])), net([[1.0, 0.0]]))
    np.testing.assert_array_equal(net(np.array([[True, False]])), net([[1.0, 0.0]]))


def test_polars_frames(net):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"x2": X[:, 1], "note": ["a", "b", "c"], "x1": X[:, 0]})
    np.testing.assert_array_equal(net(frame), net(X))
    targets = polars.DataFrame({"z": Y[:, 1], "y": Y[:, 0]})
    assert net.evaluate(frame, targets) == net.evaluate(X, Y)
    with pytest.raises(dagnet.DataError, match="no column 'x1'"):
        net(frame.drop("x1"))


def test_columns_of_nodes_with_many_units():
    graph = nx.DiGraph([("u", "y"), (("a", 1), "y")])
    graph.nodes["u"]["units"] = 2
    net = dagnet.Network(graph, seed=0, engine="reference")
    rows = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(net({("a", 1): rows[:, 2], "u": rows[:, :2]}), net(rows))
    frame = pd.DataFrame({("a", 1): rows[:, 2]})
    with pytest.raises(dagnet.DataError, match="no column 'u'"):
        net(frame)
    with pytest.raises(dagnet.DataError, match=r"column 'u' must be of shape \(rows, 2\)"):
        net({("a", 1): rows[:, 2], "u": rows[:, 0]})
    with pytest.raises(dagnet.DataError, match="row 1, column 'u', unit 1"):
        net([[0.0, 1.0, 2.0], [0.0, np.nan, 1.0]])
    with pytest.raises(dagnet.DataError, match=r"row 0, column \('a', 1\)"):
        net([[0.0, 1.0, np.nan]])


def test_kinds_of_targets(net):
    wanted = net.evaluate(X, Y)
    for targets in (
        *(Y.tolist(), {"z": Y[:, 1], "y": Y[:, 0], "more": 0}, pd.DataFrame(Y, columns=["y", "z"])),
        pd.DataFrame(Y[:, ::-1], columns=["z", "y"]),
    ):
        assert net.evaluate(X, targets) == wanted
    single = dagnet.Network(nx.DiGraph([("x", "y")]), seed=0, engine="reference")
    rows, y = np.ones((3, 1)), np.array([1.0, 2.0, 3.0])
    for targets in (y, y.tolist(), y[:, None], pd.Series(y, index=[5, 6, 7]), {"y": y}, y.astype(int)):
        assert single.evaluate(rows, targets) == single.evaluate(rows, y)


def test_class_labels_and_probabilities(graph):
    net = dagnet.Network(graph, loss="cross_entropy", engine="reference")
    outputs = net(X)
    wanted = (np.log(np.exp(outputs).sum(axis=1)) - outputs[[0, 1, 2], [1, 0, 1]]).mean()
    for labels in ([1, 0, 1], np.array([1.0, 0.0, 1.0]), pd.Series([1, 0, 1]), [True, False, True]):
        assert net.evaluate(X, labels) == pytest.approx(wanted, rel=1e-13)
    assert net.evaluate(X, np.eye(2)[[1, 0, 1]]) == pytest.approx(wanted, rel=1e-13)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("squared_error", lambda o: o),
        ("absolute_error", lambda o: o),
        ("huber", lambda o: o),
        ("binary_cross_entropy_with_logits", lambda o: 1 / (1 + np.exp(-o))),
        ("cross_entropy", lambda o: np.exp(o) / np.exp(o).sum(axis=1, keepdims=True)),
        ("poisson", np.exp),
    ],
)
def test_predictions(graph, loss, expected):
    net = dagnet.Network(graph, loss=loss, engine="reference")
    np.testing.assert_allclose(net.predict(X), expected(net(X)), rtol=1e-13)


def test_infinite_rows_are_let_through_in_silence(net):
    outputs = net([[np.inf, 1.0], [1.0, 2.0]])
    assert np.isinf(outputs[0, 0])
    np.testing.assert_array_equal(outputs[1:], net([[1.0, 2.0]]))
    assert np.isnan(net.gradient([[np.inf, -np.inf]], [[1.0, 1.0]]).flat).any()


# -- derivatives -------------------------------------------------------------------------


def test_the_order_of_visits():
    net = dagnet.Network(dagnet.layered([2, 2, 2, 1]), seed=0, engine="reference")
    gradient = net.gradient(X, Y[:, 0], wrt=[("x1", "h11")])
    assert gradient.visited[0] == "eta"
    assert set(gradient.visited) == {"eta", "h21", "h22", "h11"}
    assert gradient.visited[-1] == "h11"
    assert list(gradient.weights) == [("x1", "h11")]
    assert len(gradient.weights) == 1
    assert list(gradient.biases) == []
    assert (gradient.flat != 0).sum() <= 1
    full = net.gradient(X, Y[:, 0])
    assert gradient.weights["x1", "h11"] == pytest.approx(full.weights["x1", "h11"], rel=1e-13)
    assert set(full.visited) == {"eta", "h21", "h22", "h11", "h12"}
    nothing = net.gradient(X, Y[:, 0], wrt=[])
    assert nothing.visited == ()
    assert nothing.loss == full.loss
    assert not nothing.flat.any()
    np.testing.assert_allclose(nothing.inputs, full.inputs, rtol=1e-13)
    np.testing.assert_allclose(nothing.delta("h12"), full.delta("h12"), rtol=1e-13)


def test_what_does_not_reach_an_output_is_not_entered(graph):
    net = dagnet.Network(graph, outputs=["y"], engine="reference")
    gradient = net.gradient(X, Y[:, 0], wrt=[("h", "z"), ("h", "y"), "h"])
    assert gradient.visited == ("y", "h")
    assert (gradient.weights["h", "z"] == 0).all()
    assert (gradient.delta("z") == 0).all()


def test_frozen_parts(graph):
    graph.edges["x1", "h"]["trainable"] = False
    graph.edges["x2", "h"]["trainable"] = False
    graph.nodes["h"]["trainable"] = False
    net = dagnet.Network(graph, engine="reference")
    assert net.trainable.dtype == bool
    assert not net.trainable.flags.writeable
    gradient = net.gradient(X, Y)
    assert set(gradient.visited) == {"y", "z"}
    assert ("x1", "h") not in gradient.weights
    assert "h" not in gradient.biases
    with pytest.raises(KeyError):
        gradient.weights["x1", "h"]
    asked = net.gradient(X, Y, wrt=[("x1", "h"), "h"])
    assert asked.weights["x1", "h"].any()
    assert asked.biases["h"].any()
    assert set(asked.visited) == {"y", "z", "h"}


def test_a_pair_that_is_both_an_edge_and_a_node_means_the_edge():
    graph = nx.DiGraph([("a", "b"), ("b", ("a", "b"))])
    net = dagnet.Network(graph, seed=0, engine="reference")
    gradient = net.gradient([[1.0]], [2.0], wrt=[("a", "b")])
    assert list(gradient.weights) == [("a", "b")]
    assert list(gradient.biases) == []
    assert ("a", "b") in net.biases
    assert net.weights["a", "b"] != net.biases["a", "b"]
    assert list(net.gradient([[1.0]], [2.0], wrt=("a", "b")).weights) == [("a", "b")]


def test_a_pair_that_is_only_a_node_means_the_node():
    graph = nx.DiGraph([("x", ("p", "q")), (("p", "q"), "y")])
    net = dagnet.Network(graph, seed=0, engine="reference")
    gradient = net.gradient([[1.0]], [2.0], wrt=[("p", "q"), (("p", "q"), "y")])
    assert list(gradient.biases) == [("p", "q")]
    assert list(gradient.weights) == [(("p", "q"), "y")]


# -- parameters --------------------------------------------------------------------------


def test_parameters_are_live_and_writable_by_name(net):
    assert net.parameters is net.parameters
    net.weights["x1", "y"] = 7
    net.biases["h"] = [1.0, 2.0]
    net.weights["h", "y"] = 0.5
    net.biases.update({"y": np.float32(4)})
    assert {7.0, 1.0, 2.0, 4.0} <= set(net.parameters.tolist())
    assert net.weights["h", "y"].tolist() == [[0.5, 0.5]]
    net.parameters[:] = 0
    assert net.weights["x1", "y"] == 0.0
    assert net([[1.0, 1.0]]).tolist() == [[0.0, 0.5]]
    net.parameters = np.arange(len(net.parameters))
    assert net.parameters[3] == 3.0
    net.weights["x1", "h"][0, 0] = 99  # a copy: writing goes through assignment
    assert 99 not in net.parameters


def test_mappings_behave_like_mappings(net, graph):
    assert list(net.weights) == list(graph.edges) == list(net.edges)
    assert len(net.weights) == 5
    assert list(net.biases) == ["h", "y"]
    assert ("x1", "y") in net.weights
    assert "x1" not in net.weights
    assert dict(net.weights)["x1", "y"] == 3.0
    assert net.weights.get(("y", "x1"), 5) == 5
    assert "('x1', 'y'): 3.0" in repr(net.weights)
    assert repr(net.biases).endswith("'y': 0.5}>")
    wide = dagnet.Network(nx.DiGraph([("x", k) for k in range(9)]), engine="reference")
    assert repr(wide.biases).endswith(", …}>")
    with pytest.raises((TypeError, AttributeError)):
        del net.weights["x1", "y"]


# -- elsewhere ---------------------------------------------------------------------------


def test_properties(net, graph):
    assert net.nodes == tuple(graph)
    assert net.levels == (("x1", "x2"), ("h",), ("y", "z"))
    assert net.loss is dagnet.losses()["squared_error"]
    assert str(net.plan).startswith("plan: 6 units")
    assert "5 nodes, 5 edges, 3 levels" in repr(net)
    assert "loss squared_error, float64, engine reference" in repr(net)
    assert "3 rows, 5 nodes" in repr(net.forward(X))
    assert "derivatives" in repr(net.gradient(X, Y))
    assert repr(net.ancestry) == "<Ancestry of 5 nodes, 5 edges>"


def test_ancestry(net):
    assert net.ancestry.nodes_with(("x1", "h")) == ("h", "y", "z")
    assert net.ancestry.nodes_with(("x1", "y")) == ("y",)
    assert net.ancestry.parent_chain("z") == (("x1", "h"), ("x2", "h"), ("h", "z"))
    assert net.ancestry.parent_chain("x1") == ()


def test_to_networkx_says_everything(graph):
    graph.nodes["x1"].update(center=1.0, scale=2.0)
    graph.nodes["h"]["trainable"] = False
    graph.edges["x1", "y"].update(trainable=False, share="k")
    net = dagnet.Network(graph, loss="huber(delta=2.0)", dtype="float32", engine="reference")
    back = net.to_networkx()
    graph.nodes["x1"].update(center=1.0, scale=1.0)
    assert dagnet.Network(graph).to_networkx().nodes["x1"] == {"center": 1.0, "scale": 1.0}
    assert type(back) is nx.DiGraph
    assert back.graph["dagnet"] == {
        "inputs": ["x1", "x2"],
        "outputs": ["y", "z"],
        "loss": "huber(delta=2.0)",
        "dtype": "float32",
    }
    assert back.nodes["x1"] == {"center": 1.0, "scale": 2.0}
    assert back.nodes["x2"] == {}
    assert back.nodes["z"] == {"activation": "sigmoid", "bias": False}
    assert back.nodes["y"] == {"activation": "identity", "bias": 0.5}
    assert back.nodes["h"]["units"] == 2
    assert back.nodes["h"]["trainable"] is False
    assert back.edges["x1", "y"] == {"weight": 3.0, "trainable": False, "share": "k"}
    assert back.edges["h", "y"]["weight"].tolist() == [[2.0, -1.0]]
    back.edges["x1", "y"]["weight"] = 0.0
    assert net.weights["x1", "y"] == 3.0
    assert net.to_networkx() is not back


def test_the_graph_is_the_one_that_networkx_would_make(net):
    made, wanted = net.to_networkx(), nx.DiGraph()
    wanted.add_nodes_from(made.nodes(data=True))
    wanted.add_edges_from(made.edges(data=True))
    assert list(made.edges) == list(wanted.edges) == list(net.edges)
    assert [list(made.pred[node]) for node in made] == [list(wanted.pred[node]) for node in wanted]
    assert all(made.succ[u][v] is made.pred[v][u] for u, v in made.edges)


def test_plugins_that_are_not_registered_travel_as_objects():
    cube = dagnet.Activation("cube_of_this_test", lambda z: z**3, lambda z, a: 3 * z**2)
    loss = dagnet.Loss("loss_of_this_test", lambda o, t: ((o - t) ** 2).sum(axis=1), lambda o, t: 2 * (o - t))
    net = dagnet.Network(nx.DiGraph([("x", "h"), ("h", "y")]), activation=cube, loss=loss, engine="reference")
    back = net.to_networkx()
    assert back.nodes["h"]["activation"] is cube
    assert back.graph["dagnet"]["loss"] is loss
    again = dagnet.Network(back, engine="reference")
    assert again.loss is loss
    assert (again([[2.0]]) == net([[2.0]])).all()


def test_copies_are_independent_and_keep_the_users_names(net):
    class Name:
        """Equal only to itself, as most objects."""

    one, two = Name(), Name()
    named = dagnet.Network(nx.DiGraph([(one, two)]), seed=0, engine="reference")
    twin = copy.deepcopy(named)
    assert twin.weights[one, two] == named.weights[one, two]
    twin.weights[one, two] = 5.0
    assert named.weights[one, two] != 5.0
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert (other(X) == net(X)).all()
        other.parameters[:] = 0
        assert net.parameters.any()
        assert other.inputs == net.inputs
        assert other.evaluate(X, Y) != net.evaluate(X, Y)


TWINS = {"copied": copy.deepcopy, "pickled": lambda one: pickle.loads(pickle.dumps(one))}


@pytest.mark.parametrize("again", TWINS.values(), ids=TWINS)
@pytest.mark.parametrize("engine", ["reference", "compiled"])
def test_results_can_be_copied_and_pickled(graph, engine, again):
    net = dagnet.Network(graph, engine=engine, seed=0)
    forward, wrt = net.forward(X), [*net.edges[:2], net.outputs[0]]
    gradients = [net.gradient(X, Y), net.gradient(X, Y, wrt=wrt, sample_weight=np.arange(1, len(X) + 1))]
    gradients[0].weights, gradients[0].inputs
    twins = [again(one) for one in (forward, *gradients)]
    net.parameters[:] = 0  # what comes now must not depend on the network any more
    assert (twins[0].outputs == forward.outputs).all()
    for node in net.nodes:
        assert (twins[0][node] == forward[node]).all()
        assert (twins[0].pre_activation(node) == forward.pre_activation(node)).all()
    for one, twin in zip(gradients, twins[1:], strict=True):
        assert repr(twin) == repr(one)
        assert (twin.flat == one.flat).all()
        np.testing.assert_equal(dict(twin.weights), dict(one.weights))
        np.testing.assert_equal(dict(twin.biases), dict(one.biases))
        assert twin.visited == one.visited
        assert (twin.inputs == one.inputs).all()
        assert all((twin.delta(node) == one.delta(node)).all() for node in net.nodes)
        twin.flat[:] = 7
        assert 7 not in one.flat
    twins[0].outputs[:] = 7
    assert 7 not in forward.outputs


def test_results_come_back_from_another_process(net):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        forward, gradient = pool.submit(net.forward, X).result(), pool.submit(net.gradient, X, Y).result()
    assert (forward.outputs == net.forward(X).outputs).all()
    np.testing.assert_equal(dict(gradient.weights), dict(net.gradient(X, Y).weights))
    assert (gradient.inputs == net.gradient(X, Y).inputs).all()


def test_a_subclass_with_attributes_of_its_own_is_copied_deeply(graph):
    class Noted(dagnet.Network):
        def __init__(self, graph):
            super().__init__(graph, engine="reference")
            self.notes = ["one"]

    noted = Noted(graph)
    twin = copy.deepcopy(noted)
    assert type(twin) is Noted
    twin.notes.append("two")
    assert noted.notes == ["one"]
    assert isinstance(Noted.from_arrays([0], [1]), Noted)


def test_the_exception_tree():
    assert issubclass(dagnet.CycleError, dagnet.GraphError)
    for name in ("GraphError", "DataError", "PluginError", "FormatError", "NumericalError"):
        error = getattr(dagnet, name)
        assert issubclass(error, dagnet.DagnetError)
        assert issubclass(error, ValueError)
    assert issubclass(dagnet.DagnetWarning, UserWarning)
    error = dagnet.CycleError(["one", "two"], ("a", "b"))
    again = pickle.loads(pickle.dumps(error))
    assert (again.problems, again.cycle, str(again)) == (("one", "two"), ("a", "b"), str(error))
    again = pickle.loads(pickle.dumps(dagnet.GraphError("one")))
    assert again.problems == ("one",)


def test_tables_of_the_face():
    for name in ("activations", "losses", "optimizers", "initializers", "exporters", "engines"):
        table = getattr(dagnet, name)()
        assert all(item.name == key for key, item in table.items())
    assert "reference" in dagnet.engines()
    assert "squared_error" in dagnet.losses()
