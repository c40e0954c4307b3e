"""A graph as it was found becomes one that fits data; what cannot be is told."""

import networkx as nx
import numpy as np
import pytest

import dagnet
from dagnet import prepare_graph

TERMS = [("root", "T1"), ("root", "T2"), ("T1", "g1"), ("T1", "g2"), ("T2", "g3")]
THREE = [("a", "b"), ("b", "a"), ("b", "c"), ("c", "b"), ("c", "d"), ("d", "c"), ("d", "out")]


def test_what_is_upside_down_is_turned_round_and_what_no_column_feeds_is_left_out():
    graph = nx.DiGraph(TERMS)
    graph.nodes["T1"]["label"] = "first"
    graph.edges["root", "T1"]["weight"] = 0.5
    before = (dict(graph.nodes), dict(graph.edges), dict(graph.graph))
    made, report = prepare_graph(graph, ["age", "g2", "root", "g1"], "root")
    assert (dict(graph.nodes), dict(graph.edges), dict(graph.graph)) == before
    assert set(made.edges) == {("g1", "T1"), ("g2", "T1"), ("T1", "root")}
    assert made.nodes["T1"] == {"label": "first"}
    assert made.edges["T1", "root"] == {"weight": 0.5}
    assert (report.inputs, report.outputs, report.turned) == (("g2", "g1"), ("root",), True)
    assert (report.not_fed, report.idle, report.unused) == (("T2", "g3"), (), ("age",))
    net = dagnet.Network(made, seed=0)
    assert (net.inputs, net.outputs) == (("g2", "g1"), ("root",))
    assert "4 nodes, 3 edges, turned round" in str(report)


def test_what_leads_to_no_target_is_left_out():
    graph = nx.DiGraph([("x", "h"), ("h", "y"), ("h", "z"), ("y", "later"), ("lone", "z"), ("c", "y")])
    made, report = prepare_graph(graph, target="y")
    assert set(made.edges) == {("x", "h"), ("h", "y"), ("c", "y")}
    assert set(report.idle) == {"z", "later", "lone"}
    assert (report.nodes, report.edges, report.turned, report.not_fed) == (4, 3, False, ())
    made, report = prepare_graph(graph, ["x"], ["y", "z"])
    assert (report.inputs, report.outputs, report.not_fed) == (("x",), ("y", "z"), ("lone", "c"))
    assert dagnet.Network(made).outputs == ("y", "z")


def test_a_measured_node_whose_parents_are_not_fed_is_an_input_and_one_with_parents_is_not():
    graph = nx.DiGraph([("unknown", "g"), ("g", "h"), ("h", "y")])
    _, report = prepare_graph(graph, ["g", "h"], "y")
    assert (report.inputs, report.not_fed, report.unused) == (("g",), ("unknown",), ("h",))


def test_nothing_is_done_to_a_graph_that_fits():
    graph = dagnet.layered([2, 2, 1])
    made, report = prepare_graph(graph)
    assert nx.utils.graphs_equal(nx.DiGraph(made.edges), nx.DiGraph(graph.edges))
    assert dict(made.nodes(data=True)) == dict(graph.nodes(data=True))
    assert (report.idle, report.not_fed, report.cut, report.unused, report.attached) == ((),) * 5


def test_cycles_are_refused_with_their_number_or_broken():
    graph = nx.DiGraph(THREE)
    words = r"3 independent cycles in one component of 4 nodes, 'a', 'b', 'c', 'd'.*cycles=\"break\""
    for refused in (lambda: dagnet.Network(graph), lambda: prepare_graph(graph, ["a"], "out")):
        with pytest.raises(dagnet.CycleError, match=words) as caught:
            refused()
        assert graph.has_edge(*caught.value.cycle[:2])
    made, report = prepare_graph(graph, ["a"], "out", cycles="break")
    assert report.cut == (("b", "a"), ("c", "b"), ("d", "c"))
    assert set(made.edges) == {("a", "b"), ("b", "c"), ("c", "d"), ("d", "out")}
    assert "edges cut in cycles" in str(report)
    dagnet.Network(made)


def test_components_are_counted_and_show_a_cycle_each():
    graph = nx.DiGraph([("in", "c0a")])
    for k in range(6):
        graph.add_edges_from([(f"c{k}a", f"c{k}b"), (f"c{k}b", f"c{k}a"), (f"c{k}b", "y")])
    with pytest.raises(dagnet.CycleError, match="6 independent cycles in 6 components of 12 nodes") as caught:
        dagnet.Network(graph)
    assert str(caught.value).count(" → ") == 8
    assert set(caught.value.cycle) == {"c0a", "c0b"}
    between = nx.DiGraph([("a", "b"), ("b", "a"), ("b", "m"), ("m", "c"), ("c", "d"), ("d", "c"), ("d", "y")])
    with pytest.raises(dagnet.CycleError, match="2 independent cycles in 2 components of 4 nodes"):
        dagnet.Network(between)


def test_edges_out_of_a_target_and_self_loops_go_and_all_that_they_fed():
    graph = nx.DiGraph([("x", "h"), ("h", "y"), ("y", "h"), ("y", "m"), ("m", "h"), ("h", "h")])
    made, report = prepare_graph(graph, ["x"], "y", cycles="break")
    assert set(made.edges) == {("x", "h"), ("h", "y")}
    assert set(report.cut) == {("y", "h"), ("y", "m"), ("h", "h")}
    assert report.not_fed == ("m",)


@pytest.mark.parametrize("seed", range(20))
def test_any_graph_whose_cycles_are_broken_trains(seed):
    graph = nx.gnp_random_graph(30, 0.1, seed=seed, directed=True)
    try:
        made, report = prepare_graph(graph, range(8), 29, cycles="break")
    except dagnet.DataError:  # no column leads to the target
        return
    net = dagnet.Network(made, seed=0)
    assert (net.inputs, net.outputs) == (report.inputs, report.outputs)
    assert all(made.in_degree(node) or node in report.inputs for node in made)
    assert len(made) + len(report.not_fed) + len(report.idle) == len(graph)
    assert set(made.edges) | set(report.cut) <= set(graph.edges)


def test_a_bare_wiring_gets_inputs_and_an_output():
    graph = nx.DiGraph([(0, 2), (1, 2), (1, 3)])
    made, report = prepare_graph(graph, ["a", "b"], "y", attach=True)
    assert set(made.edges) == {*graph.edges, *((c, n) for c in "ab" for n in (0, 1)), (2, "y"), (3, "y")}
    assert (report.attached, report.inputs, report.outputs) == (("a", "b", "y"), ("a", "b"), ("y",))


def test_old_settings_of_the_graph_stay_but_for_the_ends():
    graph = nx.DiGraph([("x", "y"), ("z", "w")], dagnet={"loss": "huber", "outputs": ["w"]}, title="t")
    made, _ = prepare_graph(graph, ["x"], "y")
    assert made.graph == {"dagnet": {"loss": "huber", "inputs": ["x"], "outputs": ["y"]}, "title": "t"}
    assert graph.graph["dagnet"] == {"loss": "huber", "outputs": ["w"]}


@pytest.mark.parametrize(
    ("graph", "arguments", "error", "message"),
    [
        (nx.Graph([(0, 1)]), {}, dagnet.GraphError, "undirected"),
        (nx.DiGraph(), {}, dagnet.GraphError, "empty"),
        (nx.MultiDiGraph([(0, 1), (0, 1)]), {}, dagnet.GraphError, "adding their weights"),
        (
            nx.DiGraph(TERMS),
            {"columns": ["G_1", "h"]},
            dagnet.DataError,
            "columns: no such node.*attach=True",
        ),
        (nx.DiGraph(TERMS), {"columns": []}, dagnet.DataError, "columns: no such node"),
        (
            nx.DiGraph(TERMS),
            {"target": "Root"},
            dagnet.DataError,
            "target: no such node.*did you mean 'root'",
        ),
        (nx.DiGraph(TERMS), {"columns": ["T1"], "target": "g3"}, dagnet.DataError, "no column leads to"),
        (
            nx.DiGraph(TERMS),
            {"columns": ["T1"], "target": ["g1", "g3"]},
            dagnet.DataError,
            "leads to g3; name",
        ),
        (nx.DiGraph(TERMS), {"columns": "g1"}, dagnet.DataError, "columns must be names, .* got 'g1'"),
        (nx.DiGraph(TERMS), {"columns": 5}, dagnet.DataError, "columns must be names"),
        (nx.DiGraph(TERMS), {"columns": np.eye(2)}, dagnet.DataError, "columns must be names"),
        (
            nx.DiGraph(TERMS),
            {"columns": ["root"], "target": ["g1", "g2", "g3", "y"], "attach": True},
            dagnet.DataError,
            "y; .*all childless nodes are columns or targets",
        ),
        (nx.DiGraph(TERMS), {"cycles": "cut"}, dagnet.DataError, "cycles must be"),
        (nx.DiGraph(TERMS), {"attach": 1}, dagnet.DataError, "attach must be True or False"),
        (
            nx.cycle_graph(3, nx.DiGraph),
            {},
            dagnet.DataError,
            "columns: no such node in the graph; name some: it has no parentless node",
        ),
        (
            nx.cycle_graph(3, nx.DiGraph),
            {"columns": [0]},
            dagnet.DataError,
            "target: no such node.*name some",
        ),
    ],
)
def test_refusals(graph, arguments, error, message):
    with pytest.raises(error, match=message):
        prepare_graph(graph, **arguments)
