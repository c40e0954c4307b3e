"""diagnose: each kind of fault is found, by name, and a healthy network is left in peace."""

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from data.strategies import dags, network, rows_for, seeds
from hypothesis import given

import dagnet
from dagnet.explain.diagnosis import KINDS
from dagnet.model import core

ROWS = np.random.default_rng(0).normal(size=(60, 1))


def star(activation, **biases):
    """x → h → y, beside a healthy unit."""
    graph = nx.DiGraph([("x", "h"), ("x", "fine"), ("h", "y"), ("fine", "y")])
    graph.nodes["fine"]["activation"] = "tanh"
    graph.add_node("h", activation=activation, **biases)
    net = dagnet.Network(graph, seed=0)
    for edge in net.edges:
        net.weights[edge] = 1.0
    net.weights["x", "fine"] = 0.5
    return net


@pytest.mark.parametrize(
    ("activation", "bias", "kind"),
    [
        ("relu", -50.0, "dead"),
        ("relu6", 50.0, "saturated"),
        ("sigmoid", 50.0, "saturated"),
        ("sigmoid", -15.0, "saturated"),
        ("tanh", 30.0, "saturated"),
        ("hard_tanh", -30.0, "saturated"),
        ("exp", 30.0, "exploding"),
        ("identity", 2e6, "exploding"),
        ("relu", 50.0, None),
        ("tanh", 0.0, None),
        ("leaky_relu", -50.0, None),
    ],
)
def test_units(activation, bias, kind):
    net = star(activation, bias=bias)
    found = net.diagnose(ROWS)
    for other in KINDS:
        assert ("h" in getattr(found, other)) == (other == kind), found
    assert "fine" not in {finding.node for finding in found.findings}
    assert found.healthy == (kind is None)


def test_constant_values_are_named_inputs_too():
    net = star("tanh")
    net.weights["x", "h"] = 0.0
    found = net.diagnose(ROWS)
    assert found.constant == ("h",)
    same = net.diagnose(np.ones((5, 1)))
    assert set(same.constant) == {"x", "h", "fine", "y"}
    assert net.diagnose(np.ones((1, 1))).constant == ()  # one row says nothing


def test_parts_that_nothing_reaches_or_reads():
    graph = nx.DiGraph(
        [("x", "y"), ("k", "m"), ("m", "y"), ("x", "aside"), ("aside", "further"), ("x", "cut"), ("cut", "y")]
    )
    graph.add_edge("unread", "aside")
    net = dagnet.Network(graph, inputs=["x", "unread"], outputs=["y"], activation="tanh", seed=0)
    net.weights["cut", "y"] = 0.0
    found = net.diagnose(np.random.default_rng(0).normal(size=(9, 2)))
    assert found.unreachable == ("m",)
    assert set(found.useless) == {"aside", "further", "cut", "unread"}
    assert found.constant == ()


def test_units_of_a_node_are_counted():
    graph = nx.DiGraph([("x", "h"), ("h", "y")])
    graph.add_node("h", units=4, activation="relu")
    net = dagnet.Network(graph, seed=0)
    net.weights["x", "h"] = np.ones((4, 1))
    net.weights["h", "y"] = np.ones((1, 4))
    net.biases["h"] = [9.0, -90.0, 8.0, -80.0]
    found = net.diagnose(ROWS)
    assert found.dead == ("h",)
    assert [finding.unit for finding in found.findings] == [1, 3]
    assert "h[1]" in str(found)


def test_values_that_are_not_finite():
    net = star("exp")
    net.weights["x", "h"] = 1e5
    with np.errstate(all="ignore"):
        found = net.diagnose(ROWS)
    assert set(found.exploding) == {"h", "y"}


@given(dags(), seeds)
def test_it_answers_for_any_graph(graph, seed):
    net = network(graph, seed=seed)
    X, _ = rows_for(net, rows=3, seed=seed)
    found = net.diagnose(X)
    for node in found.useless:
        for output in net.outputs:
            if nx.has_path(graph, node, output):
                assert all(
                    any(not np.any(net.weights[edge]) for edge in pairwise(path))
                    for path in nx.all_simple_paths(graph, node, output)
                )
                assert node not in net.outputs
    for node in set(graph) - set(found.useless):
        assert node in net.outputs or any(nx.has_path(graph, node, output) for output in net.outputs)
    fed = set(net.inputs).union(*(nx.descendants(graph, node) for node in net.inputs))
    assert set(found.unreachable) == {node for node in graph if node not in fed and graph.in_degree(node)}
    assert str(found)
    assert found._repr_html_().startswith("<table>")


def test_long_data_are_read_in_portions(monkeypatch):
    net = star("relu", bias=-1.0)
    whole = net.diagnose(ROWS)
    monkeypatch.setattr(core, "PORTION", 30)
    assert net.diagnose(ROWS) == whole


def test_the_report_is_bounded_and_escaped():
    graph = nx.DiGraph([("<b>", k) for k in range(40)] + [(k, "y") for k in range(40)])
    net = dagnet.Network(graph, activation="relu", seed=0)
    for k in range(40):
        net.biases[k] = -1e3
    found = net.diagnose(np.random.default_rng(0).normal(size=(5, 1)))
    assert len(found.dead) == 40
    assert "… 28 more" in str(found)
    assert "<b>" not in found._repr_html_()
    assert repr(found).startswith("<Diagnosis: over 5 rows: 4")
