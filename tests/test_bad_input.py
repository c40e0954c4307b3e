"""Bad input: dagnet's own exception, a message that names the place, and nothing changed."""

import copy
import re

import networkx as nx
import numpy as np
import pytest

import dagnet
from dagnet.errors import DagnetError, DagnetWarning, DataError, GraphError, PluginError


def small():
    """x1, x2 → h → y, all weights given."""
    graph = nx.DiGraph()
    graph.add_node("h", activation="tanh", bias=0.5)
    graph.add_weighted_edges_from([("x1", "h", 0.5), ("x2", "h", -1.0), ("h", "y", 2.0)])
    return graph


def shown(graph):
    return repr((list(graph.nodes(data=True)), list(graph.edges(data=True)), graph.graph))


def refused(graph, *words, error=GraphError, **arguments):
    """The network is refused with a message that has these words; the graph stays as it was."""
    before = shown(graph) if isinstance(graph, nx.Graph) else None
    with pytest.raises(error) as caught:
        dagnet.Network(graph, **arguments)
    message = str(caught.value)
    assert isinstance(caught.value, (DagnetError, ValueError))
    for word in words:
        assert word in message
    assert before is None or shown(graph) == before
    return caught.value


# -- graphs ------------------------------------------------------------------------------


def test_a_cycle_is_shown_in_order():
    graph = small()
    graph.add_edges_from([("y", "a"), ("a", "b"), ("b", "h")])
    error = refused(graph, "cycle", " → ", error=dagnet.CycleError)
    assert len(error.cycle) == 4
    assert all(
        graph.has_edge(u, v) for u, v in zip(error.cycle, error.cycle[1:] + error.cycle[:1], strict=True)
    )


def test_a_self_loop_names_its_node():
    graph = small()
    graph.add_edge("h", "h")
    error = refused(graph, "'h'", "edge to itself", error=dagnet.CycleError)
    assert error.cycle == ("h",)


def test_a_self_loop_and_a_cycle_are_both_named():
    graph = small()
    graph.add_edges_from([("h", "h"), ("y", "h")])
    error = refused(graph, "edge to itself", "cycle, ", error=dagnet.CycleError)
    assert set(error.cycle) == {"h", "y"}


def test_parallel_edges():
    graph = nx.MultiDiGraph([("x", "y"), ("x", "y")])
    refused(graph, "parallel edges 'x' → 'y'", "nx.DiGraph")


def test_a_multigraph_without_parallel_edges_is_a_graph():
    graph = nx.MultiDiGraph()
    graph.add_edge("x", "y", weight=3.0)
    assert dagnet.Network(graph).weights["x", "y"] == 3.0


@pytest.mark.parametrize("cls", [nx.Graph, nx.MultiGraph])
def test_undirected(cls):
    refused(cls([("x", "y")]), "undirected", "nx.DiGraph")


def test_empty():
    refused(nx.DiGraph(), "empty")


@pytest.mark.parametrize("graph", [None, 3, "graph", [("x", "y")], {"x": ["y"]}, nx.DiGraph])
def test_no_graph_at_all(graph):
    refused(graph, "must be a networkx.DiGraph", type(graph).__name__)


def test_no_output():
    graph = nx.DiGraph()
    graph.add_nodes_from("ab")
    refused(graph, "no output", "outputs=[…]")
    refused(small(), "no output", outputs=[])


@pytest.mark.parametrize("which", ["inputs", "outputs"])
def test_unknown_ports_get_a_suggestion(which):
    refused(small(), which, "'x3'", "known: h, x1, x2, y", **{which: ["x3"]})
    refused(small(), which, "'X1'", "did you mean 'x1'?", **{which: ["X1"]})


@pytest.mark.parametrize("which", ["inputs", "outputs"])
def test_unhashable_ports(which):
    refused(small(), which, "['x1']", **{which: [["x1"]]})


@pytest.mark.parametrize("which", ["inputs", "outputs"])
def test_ports_named_twice(which):
    refused(small(), which, "twice", **{which: ["x1", "x1"]})


@pytest.mark.parametrize("which", ["inputs", "outputs"])
@pytest.mark.parametrize("given", ["x1", 5, b"x1"])
def test_ports_that_are_no_list(which, given):
    refused(small(), which, "a list of nodes", repr(given), **{which: given})


def test_ports_in_the_graph_are_checked_too():
    graph = small()
    graph.graph["dagnet"] = {"outputs": ["yy"]}
    refused(graph, "outputs", "'yy'", "did you mean 'y'?")


def test_an_input_with_parents():
    refused(small(), "'h'", "input", "no parents", "got 2", inputs=["x1", "h"])


def test_an_input_with_an_activation():
    graph = small()
    graph.nodes["x1"]["activation"] = "relu"
    refused(graph, "'x1'", "input", "no activation", "'relu'")
    graph.nodes["x1"]["activation"] = "identity"
    dagnet.Network(graph)


@pytest.mark.parametrize("bias", [0.5, 0, True, [0.0]])
def test_an_input_with_a_bias(bias):
    graph = small()
    graph.nodes["x1"]["bias"] = bias
    refused(graph, "'x1'", "input", "no bias", repr(bias))


@pytest.mark.parametrize("bias", [False, np.False_, None])
def test_an_input_that_says_it_has_no_bias(bias):
    graph = small()
    graph.nodes["x1"]["bias"] = bias
    dagnet.Network(graph)


def test_an_output_that_no_input_reaches_is_warned_of():
    graph = small()
    graph.add_edge("c", "z")
    with pytest.warns(DagnetWarning, match="no input reaches output 'z'") as caught:
        net = dagnet.Network(graph, inputs=["x1", "x2"])
    assert caught[0].filename == __file__
    assert net.outputs == ("y", "z")


NUMBERS = [
    *((float("nan"), "finite"), (float("inf"), "finite"), (-np.inf, "finite"), (10**400, "finite")),
    *(("3", "number"), ("abc", "number"), (1j, "number"), ([1.0, 2.0], "number"), ([], "number")),
    *(({}, "number"), (object(), "number"), (b"1", "number"), (np.array("1"), "number")),
    *(
        (np.ones((2, 2)), "shape (2, 2)"),
        ([[1.0], [2.0, 3.0]], "number"),
        (np.datetime64("2020-01-01"), "number"),
    ),
]


@pytest.mark.parametrize(("value", "word"), [*NUMBERS, (True, "number"), (np.ones(1), "shape (1,)")])
def test_weights_that_will_not_do(value, word):
    graph = small()
    graph.edges["x1", "h"]["weight"] = value
    with pytest.raises(GraphError, match=f"(?s)edge 'x1' → 'h': weight must be .*{re.escape(word)}"):
        dagnet.Network(graph)


@pytest.mark.parametrize(("value", "word"), NUMBERS)
def test_biases_that_will_not_do(value, word):
    graph = small()
    graph.nodes["h"]["bias"] = value
    with pytest.raises(GraphError, match=f"(?s)node 'h': bias must be .*{re.escape(word)}"):
        dagnet.Network(graph)


@pytest.mark.parametrize("attribute", ["center", "scale"])
@pytest.mark.parametrize(("value", "word"), NUMBERS)
def test_centers_and_scales_that_will_not_do(attribute, value, word):
    graph = small()
    graph.nodes["x1"][attribute] = value
    with pytest.raises(GraphError, match=f"(?s)node 'x1': {attribute} must be .*{re.escape(word)}"):
        dagnet.Network(graph)


def test_a_scale_of_0():
    graph = small()
    graph.nodes["x1"]["scale"] = 0
    refused(graph, "'x1'", "scale", "other than 0")


def test_weights_of_the_wrong_shape_between_many_units():
    graph = small()
    graph.nodes["h"]["units"] = 3
    graph.edges["x1", "h"]["weight"] = np.ones((1, 3))
    refused(graph, "edge 'x1' → 'h': weight", "(3, 1)", "got shape (1, 3)")
    graph.edges["x1", "h"]["weight"] = np.ones(3)
    refused(graph, "(3, 1)", "shape (3,)")
    graph.edges["x1", "h"]["weight"] = np.full((3, 1), np.nan)
    refused(graph, "finite")
    graph.edges["x1", "h"]["weight"] = 0.5
    graph.nodes["h"]["bias"] = [1.0, 2.0]
    refused(graph, "node 'h': bias", "(3,)", "shape (2,)")


@pytest.mark.parametrize("units", [0, -1, 2.5, True, "3", None, 1.0, np.True_, [2], 2**40, 10**30])
def test_units_that_will_not_do(units):
    graph = small()
    graph.nodes["h"]["units"] = units
    refused(graph, "node 'h': units must be")


@pytest.mark.parametrize("value", ["no", 0, 1, None, 0.5])
def test_flags_that_are_no_flags(value):
    graph = small()
    graph.nodes["h"]["trainable"] = value
    graph.edges["h", "y"]["trainable"] = value
    error = refused(graph, "node 'h': trainable", "edge 'h' → 'y': trainable", "True or False", repr(value))
    assert len(error.problems) == 2


def test_an_unknown_activation_in_the_graph_is_the_graphs_fault():
    graph = small()
    graph.nodes["h"]["activation"] = "sigmiod"
    refused(graph, "node 'h'", "unknown activation 'sigmiod'", "did you mean 'sigmoid'?")
    graph.nodes["h"]["activation"] = "elu(beta=2)"
    refused(graph, "node 'h'", "'beta'", "alpha")
    graph.nodes["h"]["activation"] = "elu(alpha=__import__('os'))"
    refused(graph, "node 'h'", "literal")
    graph.nodes["h"]["activation"] = 7
    refused(graph, "node 'h'", "an activation must be a name or a dagnet.Activation, got 7")
    graph.nodes["h"]["activation"] = ["relu"]
    refused(graph, "node 'h'", "['relu']")


def test_an_unknown_name_in_an_argument_is_a_plugin_error():
    for argument, word in (("activation", "activation"), ("loss", "loss"), ("initializer", "initializer")):
        refused(small(), f"unknown {word} 'nope'", error=PluginError, **{argument: "nope"})
    refused(small(), "unknown loss", "did you mean 'squared_error'?", error=PluginError, loss="squared_eror")
    refused(small(), "unknown engine 'fast'", error=PluginError, engine="fast")
    refused(small(), "engine must be", error=PluginError, engine=3)


def test_an_unknown_loss_in_the_graph_is_the_graphs_fault():
    graph = small()
    graph.graph["dagnet"] = {"loss": "nope", "dtype": "float16"}
    error = refused(graph, 'graph.graph["dagnet"]["loss"]', "unknown loss 'nope'", "dtype", "float16")
    assert len(error.problems) == 2
    dagnet.Network(graph, loss="poisson", dtype="float32")


@pytest.mark.parametrize("said", [3, "squared_error", ["x"]])
def test_settings_of_the_graph_that_are_no_mapping(said):
    graph = small()
    graph.graph["dagnet"] = said
    refused(graph, 'graph.graph["dagnet"]', "mapping", repr(said))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *(("dtype", "float16"), ("dtype", int), ("dtype", "nope"), ("dtype", 3.5), ("threads", 0)),
        *(("threads", -1), ("threads", 2.5), ("threads", True), ("threads", "2"), ("seed", -1)),
        *(("seed", 1.5), ("seed", "a"), ("seed", True), ("weight", 3), ("weight", ("a",))),
    ],
)
def test_other_arguments_that_will_not_do(argument, value):
    refused(small(), argument, "must be", error=DataError, **{argument: value})


@pytest.mark.parametrize(
    ("place", "wrong", "right"),
    [
        *(("node", "activaton", "activation"), ("node", "Bias", "bias"), ("node", "unit", "units")),
        *(("node", "trainible", "trainable"), ("node", "centre", "center"), ("node", "scales", "scale")),
        *(("edge", "wieght", "weight"), ("edge", "weights", "weight"), ("edge", "trainabel", "trainable")),
        ("edge", "shared", "share"),
    ],
)
def test_a_misspelt_attribute_is_warned_of(place, wrong, right):
    graph = small()
    (graph.nodes["h"] if place == "node" else graph.edges["x1", "h"])[wrong] = 0.5
    with pytest.warns(DagnetWarning, match=f"{place} attribute '{wrong}'.*did you mean '{right}'") as caught:
        dagnet.Network(graph)
    assert caught[0].filename == __file__


def test_a_misspelt_setting_of_the_graph_is_warned_of():
    graph = small()
    graph.graph["dagnet"] = {"input": ["x1"], "los": "huber", "format": 1, 7: 8}
    with pytest.warns(DagnetWarning) as caught:
        dagnet.Network(graph)
    assert [str(warning.message).partition("key ")[2] for warning in caught] == [
        "'input' is not one that dagnet reads; did you mean 'inputs'?",
        "'los' is not one that dagnet reads; did you mean 'loss'?",
    ]
    assert caught[0].filename == __file__


def test_other_attributes_are_left_alone():
    graph = small()
    graph.nodes["h"].update(label="hidden", pos=(0, 1), colour="red")
    graph.nodes["h"][("a", "tuple")] = 1
    graph.nodes["h"][3] = 1
    graph.edges["x1", "h"].update(capacity=3, note="…")
    dagnet.Network(graph)


def test_the_weight_attribute_can_have_another_name():
    graph = small()
    graph.edges["x1", "h"]["strength"] = 7.0
    assert dagnet.Network(graph, weight="strength").weights["x1", "h"] == 7.0
    graph.edges["x1", "h"]["strenght"] = 7.0
    with pytest.warns(DagnetWarning, match="did you mean 'strength'"):
        dagnet.Network(graph, weight="strength")


@pytest.mark.parametrize(
    ("attribute", "value", "word"),
    [("weight", 3.0, "start weight"), ("trainable", False, "trainable")],
)
def test_shared_edges_that_differ(attribute, value, word):
    graph = small()
    for edge in (("x1", "h"), ("x2", "h")):
        graph.edges[edge].update(weight=0.5, share="k")
    graph.edges["x2", "h"][attribute] = value
    refused(graph, "'x2' → 'h'", "'x1' → 'h'", "key 'k'", word)


def test_shared_edges_of_different_shapes():
    graph = small()
    graph.nodes["h"]["units"] = 2
    for _, _, data in graph.edges(data=True):
        data.clear()
        data["share"] = "k"
    refused(graph, "'k'", "same shape")


def test_a_node_shares_no_key_that_differs_from_itself():
    """NaN is another key in the file that it is saved to."""
    graph = small()
    graph.nodes["h"]["share"] = float("nan")
    refused(graph, "node 'h': share", "equals itself", "nan")


def test_an_unhashable_share_key():
    graph = small()
    graph.edges["x1", "h"]["share"] = ["k"]
    refused(graph, "edge 'x1' → 'h': share", "hashable", "['k']")


def test_a_weight_too_large_for_float32():
    graph = small()
    graph.edges["x1", "h"]["weight"] = 1e300
    refused(graph, "float32", "1e+300", "float64", dtype="float32")


def test_a_loss_that_needs_more_outputs():
    refused(small(), "cross_entropy", "at least 2", "got 1", loss="cross_entropy")


def test_all_problems_are_gathered_and_at_most_ten_shown():
    graph = small()
    for k in range(20):
        graph.add_edge(f"u{k}", "h", weight="x")
    graph.nodes["h"]["units"] = 0
    graph.add_edge("y", "h")
    error = refused(graph, "22 problems", "… and 12 more", error=dagnet.CycleError)
    assert len(error.problems) == 22
    assert str(error).count("\n  - ") == 10


# -- from_arrays -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "targets", "weights", "error", "word"),
    [
        ([0, -1], [1, 2], None, DataError, "sources"),
        ([0.5], [1], None, DataError, "sources"),
        (["a"], [1], None, DataError, "sources"),
        ([[0]], [1], None, DataError, "sources"),
        (0, [1], None, DataError, "sources"),
        ([True], [1], None, DataError, "sources"),
        ([0], [1, 2], None, DataError, "targets"),
        ([0], [2**40], None, DataError, "node numbers"),
        ([], [], None, GraphError, "no edges"),
        ([0, 0], [1, 1], None, GraphError, "edge 0 → 1 is given twice"),
        ([0, 1], [1, 0], None, dagnet.CycleError, "cycle"),
        ([0], [0], None, dagnet.CycleError, "edge to itself"),
        ([0], [1], [1.0, 2.0], DataError, "weights"),
        ([0], [1], ["a"], DataError, "weights"),
        ([0, 1], [2, 2], [[1.0], 1.0], DataError, "weights"),
        ([0, [1]], [2, 2], None, DataError, "sources"),
        ([0, 1], [2, 2], [1.0, np.nan], DataError, r"weights\[1\]"),
    ],
)
def test_arrays_that_are_no_graph(sources, targets, weights, error, word):
    with pytest.raises(error, match=word):
        dagnet.Network.from_arrays(sources, targets, weights)


def test_unknown_ports_of_arrays():
    with pytest.raises(GraphError, match="outputs: no node 7"):
        dagnet.Network.from_arrays([0], [1], outputs=[7])


# -- data --------------------------------------------------------------------------------

GOOD_X, GOOD_Y = np.ones((3, 2)), np.ones(3)


@pytest.fixture
def net():
    return dagnet.Network(small(), engine="reference")


CALLS = {
    "call": lambda net, X: net(X),
    "predict": lambda net, X: net.predict(X),
    "forward": lambda net, X: net.forward(X),
    "evaluate": lambda net, X: net.evaluate(X, GOOD_Y),
    "gradient": lambda net, X: net.gradient(X, GOOD_Y),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.ones((3, 3)), ["2 columns wide", "'x1', 'x2'", "shape (3, 3)"]),
        (np.ones((3, 1)), ["2 columns wide", "shape (3, 1)"]),
        (np.ones(3), ["two-dimensional, (rows, 2), or one row, (2,)", "shape (3,)"]),
        ([1.0], ["two-dimensional, (rows, 2), or one row, (2,)"]),
        (3.0, ["two-dimensional"]),
        (np.ones((3, 2, 1)), ["two-dimensional", "shape (3, 2, 1)"]),
        (np.ones((0, 2)), ["at least one row"]),
        ([["a", "b"]], ["real numbers"]),
        (np.ones((3, 2), complex), ["real numbers", "complex128"]),
        (np.ones((3, 2), "datetime64[s]"), ["real numbers"]),
        ([[1.0, 2.0], [3.0]], ["rectangular"]),
        ([[None, 1.0]], ["X"]),
        (None, ["X"]),
        ([[0.0, 1.0], [1.0, float("nan")]], ["X: row 1, column 'x2'", "without NaN", "nan"]),
        ({"x1": [1.0]}, ["no column 'x2'"]),
        ({}, ["no column 'x1', 'x2'"]),
        ({"x1": [1.0, 2.0], "X2": [1.0, 2.0]}, ["no column 'x2'", "did you mean 'X2'?"]),
        ({"x1": [1.0], "zz": [1.0]}, ["no column 'x2' in the data; every input of the network needs its"]),
        ({"x1": [1.0, 2.0], "x2": [1.0]}, ["equally long", "'x1': 2", "'x2': 1"]),
        ({"x1": ["a"], "x2": [1.0]}, ["column 'x1'", "real numbers"]),
        ({"x1": [[1.0, 2.0]], "x2": [1.0]}, ["column 'x1'", "(rows,)", "shape (1, 2)", "units=2"]),
        ({"x1": 1.0, "x2": [1.0]}, ["column 'x1'", "(rows,)"]),
        ({"x1": [np.nan], "x2": [1.0]}, ["row 0, column 'x1'", "without NaN"]),
    ],
)
def test_rows_that_will_not_do(net, call, X, words):
    before = net.parameters.copy()
    with pytest.raises(DataError) as caught:
        call(net, X)
    for word in words:
        assert word in str(caught.value)
    assert (net.parameters == before).all()


def test_columns_that_are_text_where_the_nodes_are_numbers():
    net = dagnet.Network(nx.DiGraph([(np.int64(101), "y"), (202, "y")]), seed=0)
    with pytest.raises(DataError, match="column '101' is of type str, the node of type int64: rename"):
        net({"101": [1.0], "202": [2.0]})


def test_the_columns_of_a_data_frame_are_listed_in_its_order(net):
    class Frame:
        columns = ("west", "south", "east", "north")

        def __getitem__(self, name):
            return [1.0]

    with pytest.raises(DataError, match="known: west, south, east, north"):
        net(Frame())


def test_rows_that_refuse_to_become_numbers_are_refused(net):
    class Attached:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("use detach()")

    with pytest.raises(DataError, match=r"X must be numbers .* use detach\(\)"):
        net(Attached())


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.ones(4), ["y", "(3,)", "shape (4,)"]),
        (np.ones((3, 2)), ["y", "(3,)", "shape (3, 2)"]),
        (np.ones((1, 3)), ["y", "shape (1, 3)"]),
        (3.0, ["y", "shape ()"]),
        (None, ["y"]),
        (["a", "b", "c"], ["y", "real numbers"]),
        ([1.0, np.nan, 2.0], ["y: row 1, column 'y'", "without NaN"]),
        ({"z": [1.0, 2.0, 3.0]}, ["y: no column 'y'", "; y['z'] is taken whatever its name is"]),
        ({"y": [1.0, 2.0]}, ["y", "shape (2, 1)"]),
    ],
)
def test_targets_that_will_not_do(net, y, words):
    for call in (net.evaluate, net.gradient):
        with pytest.raises(DataError) as caught:
            call(GOOD_X, y)
        for word in words:
            assert word in str(caught.value)


def wide(loss):
    graph = small()
    graph.add_edge("h", "z", weight=1.0)
    return dagnet.Network(graph, loss=loss, engine="reference")


@pytest.mark.parametrize(
    ("loss", "y", "words"),
    [
        ("cross_entropy", [0, 1, 2], ["y: row 2", "a label from 0 to 1", "got 2; labels are numbers from 0"]),
        ("cross_entropy", [0, -1, 1], ["y: row 1", "a label from 0 to 1", "got -1"]),
        ("cross_entropy", [0, 0.5, 1], ["y: row 1", "label", "0.5"]),
        ("cross_entropy", [0, np.nan, 1], ["y: row 1", "label", "nan"]),
        ("cross_entropy", [0, 1], ["(3,)", "shape (2,)"]),
        ("cross_entropy", [[0.5, 0.6]] * 3, ["y: row 0", "sum to 1", "1.1"]),
        ("cross_entropy", [[1.5, -0.5]] * 3, ["y: row 0", "probability in [0, 1]", "1.5"]),
        ("cross_entropy", [[1.0]] * 3, ["or labels (3,)", "shape (3, 1); np.ravel(y)"]),
        ("binary_cross_entropy_with_logits", [[0, 1], [1, 2], [0, 0]], ["y: row 1, column 'z'", "got 2"]),
        ("binary_cross_entropy", [[0, 1], [1, -1], [0, 0]], ["y: row 1, column 'z'"]),
        ("poisson", [[0, 1], [1, 2], [-1, 0]], ["y: row 2, column 'y'", "count", "got -1"]),
        ("squared_error", [1.0, 2.0, 3.0], ["(3, 2)", "shape (3,)"]),
    ],
)
def test_targets_that_the_loss_refuses(loss, y, words):
    net = wide(loss)
    for call in (net.evaluate, net.gradient):
        with pytest.raises(DataError) as caught:
            call(GOOD_X, y)
        for word in words:
            assert word in str(caught.value)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([1.0, 2.0], ["(3,)", "shape (2,)"]),
        (np.ones((3, 1)), ["(3,)", "shape (3, 1)"]),
        (2.0, ["(3,)", "shape ()"]),
        ([1.0, -1.0, 1.0], ["row 1", "at least 0", "got -1.0"]),
        ([1.0, np.nan, 1.0], ["row 1", "finite"]),
        ([1.0, np.inf, 1.0], ["row 1", "finite"]),
        ([0.0, 0.0, 0.0], ["positive", "got 0.0"]),
        ([1e308, 1e308, 1e308], ["finite sum"]),
        (["a", "b", "c"], ["real numbers"]),
    ],
)
def test_sample_weights_that_will_not_do(net, weights, words):
    for call in (net.evaluate, net.gradient):
        with pytest.raises(DataError) as caught:
            call(GOOD_X, GOOD_Y, sample_weight=weights)
        for word in ("sample_weight", *words):
            assert word in str(caught.value)


# -- parameters and names ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.nan, ["finite"]),
        (np.inf, ["finite"]),
        ([1.0, 2.0], ["a number", "shape (2,)"]),
        ("3", ["a number", "'3'"]),
        (None, ["a number", "None"]),
        (True, ["a number", "True"]),
        ([[1.0], [2.0, 3.0]], ["a number"]),
        (10**400, ["finite"]),
    ],
)
def test_values_that_weights_and_biases_refuse(net, value, words):
    before = net.parameters.copy()
    for mapping, name in ((net.weights, ("x1", "h")), (net.biases, "h")):
        with pytest.raises(DataError) as caught:
            mapping[name] = value
        assert repr(name)[1:-1] in str(caught.value)
        for word in words:
            assert word in str(caught.value)
    assert (net.parameters == before).all()


def test_a_weight_that_float32_cannot_hold():
    net = dagnet.Network(small(), dtype="float32", engine="reference")
    with pytest.raises(DataError, match="finite in float32"):
        net.weights["x1", "h"] = 1e300


@pytest.mark.parametrize(
    ("edge", "words"),
    [
        (("h", "x1"), ["('h', 'x1')", "did you mean ('x1', 'h')?"]),
        (("x1", "y"), ["('x1', 'y')", "the parents of 'y' are: 'h'"]),
        (("x1", "x2"), ["the parents of 'x2' are: none"]),
        (("x3", "h"), ["no node 'x3'", "known: h, x1, x2, y"]),
        ("h", ["'h'", "pair (parent, child)"]),
        (3, ["3", "pair"]),
        ((["x1"], "h"), ["['x1']"]),
        (["x1", "h"], ["pair (parent, child)"]),
    ],
)
def test_unknown_edges(net, edge, words):
    with pytest.raises(DataError) as caught:
        net.weights[edge] = 1.0
    for word in words:
        assert word in str(caught.value)
    with pytest.raises((DataError, KeyError)):
        net.weights[edge]
    assert edge not in net.weights
    with pytest.raises(DataError):
        net.ancestry.nodes_with(edge)


def test_unknown_nodes(net):
    forward, gradient = net.forward(GOOD_X), net.gradient(GOOD_X, GOOD_Y)
    for call in (
        *(lambda: net.biases["hh"], lambda: forward["hh"], lambda: forward.pre_activation("hh")),
        *(lambda: gradient.delta("hh"), lambda: net.ancestry.parent_chain("hh")),
        lambda: net.gradient(GOOD_X, GOOD_Y, wrt=["hh"]),
    ):
        with pytest.raises(DataError, match=r"no node 'hh'.*did you mean 'h'"):
            call()
    assert "hh" not in net.biases
    with pytest.raises(DataError, match="'x1' has no bias"):
        net.biases["x1"] = 1.0
    with pytest.raises(DataError, match="no node"):
        forward[["h"]]


def test_an_update_is_made_whole_or_not_at_all(net):
    before = net.parameters.copy()
    with pytest.raises(DataError):
        net.weights.update({("x1", "h"): 5.0, ("x2", "h"): np.nan})
    with pytest.raises(DataError):
        net.weights.update({("x1", "h"): 5.0, ("x2", "z"): 1.0})
    with pytest.raises(DataError, match="mapping"):
        net.weights.update([1, 2])
    assert (net.parameters == before).all()


@pytest.mark.parametrize("values", [[1.0], np.full(5, np.nan), ["a"] * 5, None, np.ones((5, 1))])
def test_parameters_that_will_not_do(net, values):
    before = net.parameters.copy()
    with pytest.raises(DataError, match="parameters must be"):
        net.parameters = values
    assert (net.parameters == before).all()


@pytest.mark.parametrize(
    ("wrt", "words"),
    [
        ("h", ["wrt", "a list of edges", "wrt=['h']"]),
        (5, ["wrt", "a list"]),
        (["x1"], ["'x1' has no bias"]),
        ([("x1", "y")], ["('x1', 'y')"]),
        ([("h", "q")], ["no node 'q'"]),
        ([["x1", "h"]], ["['x1', 'h']"]),
        ([(["x1"], "h")], ["['x1']"]),
    ],
)
def test_derivatives_that_cannot_be_asked_for(net, wrt, words):
    with pytest.raises(DataError) as caught:
        net.gradient(GOOD_X, GOOD_Y, wrt=wrt)
    for word in words:
        assert word in str(caught.value)


def test_derivatives_that_were_not_asked_for(net):
    gradient = net.gradient(GOOD_X, GOOD_Y, wrt=[("x1", "h")])
    with pytest.raises(KeyError, match="was not asked for"):
        gradient.weights["h", "y"]
    with pytest.raises(DataError, match="was not asked for"):
        gradient.biases["h"]
    assert ("h", "y") not in gradient.weights


@pytest.mark.parametrize("sizes", [[], [3], [2, 0], [2, -1], [2, 2.5], ["2", 3], 5, None, [True, 2]])
def test_layers_that_will_not_do(sizes):
    with pytest.raises(DataError, match="sizes must be"):
        dagnet.layered(sizes)


# -- hostile names -----------------------------------------------------------------------


class Hostile:
    """A name that cannot be shown and cannot be compared."""

    def __repr__(self):
        raise RuntimeError("no")

    def __eq__(self, other):
        raise RuntimeError("no")

    def __hash__(self):
        return id(self)


def test_names_that_cannot_be_shown_or_compared():
    x, h, y = Hostile(), Hostile(), Hostile()
    graph = nx.DiGraph()
    graph.add_edge(x, h, weight=2.0)
    graph.add_edge(h, y, weight=3.0)
    net = dagnet.Network(graph, engine="reference")
    assert net([[1.0]])[0, 0] == 6.0
    assert net.gradient([[1.0]], [0.0]).weights[x, h] == 36.0
    assert net.inputs[0] is x
    assert copy.deepcopy(net).forward([[1.0]])[h] == 2.0
    repr(net), repr(net.weights), repr(net.biases), str(net.plan)
    for call in (lambda: net.weights[x, y], lambda: net.weights[h, x], lambda: net({1: [1.0]})):
        with pytest.raises(DataError, match="<Hostile>"):
            call()
    with pytest.raises(DataError, match="<Hostile>"):
        net([[np.nan]])
    graph.add_edge(y, x)
    refused_cycle = pytest.raises(dagnet.CycleError, match="<Hostile> → <Hostile>")
    with refused_cycle:
        dagnet.Network(graph)


def test_nan_as_a_name():
    import pickle

    nan = float("nan")
    graph = nx.DiGraph([(nan, "y")])
    net = dagnet.Network(graph, engine="reference")
    assert net.weights[nan, "y"] == net.parameters[0]
    again = pickle.loads(pickle.dumps(net))
    assert again.weights[again.inputs[0], "y"] == net.parameters[0]
    assert again.edges[0][0] is again.inputs[0]


def test_messages_stay_short_with_long_names():
    name = "n" * 10_000
    graph = nx.DiGraph([(name, "y")])
    graph.edges[name, "y"]["weight"] = "x" * 10_000
    error = refused(graph, "weight")
    assert len(str(error)) < 400


def test_a_suggestion_among_very_many_names_takes_no_time():
    net = dagnet.Network.from_arrays(np.arange(200_000), np.arange(1, 200_001), engine="reference")
    with pytest.raises(DataError, match="no node -5 in the graph"):
        net.biases[-5]


@pytest.mark.parametrize("labels", [["sick", "well"], np.array(["sick", "well"], object), [1.0, "well"]])
def test_labels_that_are_words_say_how_to_number_them(labels):
    net = dagnet.Network(dagnet.layered([1, 2]), loss="cross_entropy", seed=0)
    with pytest.raises(DataError, match=r"names, y = np\.unique\(labels, return_inverse=True\)"):
        net.fit([[0.0], [1.0]], labels)
    names, y = np.unique(["sick", "well"], return_inverse=True)
    assert list(names) == ["sick", "well"]
    assert np.isfinite(net.evaluate([[0.0], [1.0]], y))


def test_masked_values_are_missing_not_what_lies_under_the_mask(net):
    X = np.ma.masked_array([[1.0, 2.0]], [[False, True]])
    with pytest.raises(DataError, match="row 0, column 'x2' must be without NaN"):
        net(X)
    assert (net(X.filled(0.0)) == net(np.ma.masked_array([[1.0, 0.0]]))).all()
