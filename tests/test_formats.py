"""Graphs go out and come back to the bit; strangers' readers read them; hostile files are refused."""

import csv
import gc
import io
import itertools
import json
import math
import os
import re
import shutil
import stat
import subprocess
import xml.etree.ElementTree as ET

import networkx as nx
import numpy as np
import pytest
from data.strategies import dags, network, rows_for, seeds
from hypothesis import given, settings
from hypothesis import strategies as st

import dagnet
from dagnet.formats.plain_attributes import dumps, loads

RELAXED = settings(deadline=None, derandomize=True, max_examples=200)
FEW = settings(deadline=None, derandomize=True, max_examples=40)
READABLE = {name: item for name, item in dagnet.exporters().items() if item.read is not None}
HOSTILE = (
    *("</script><img src=x onerror=alert(1)>", 'say "x"', "a\nb\r\tc", "\x00\x01\x1f\x7f", "\ud800", "🦆"),
    *("שלום", "\u202eabc", "&amp;", "]]>", "--", "{x}", "\\N\\n", "%s", "=1+1", "a,b;c", "'", "x" * 10_000),
    *(" a ", "﻿", "\u2028", "\ufffe", "None", "true", "1e5", "n1", "7", 7, True, (), ("a", (b"\xff", None))),
    *(b"", 2.5, math.inf, -0.5, 10**30, -(2**63)),
)


def written(net, exporter, observations=None):
    stream = io.BytesIO()
    exporter.write(net, stream, observations)
    return stream.getvalue()


def typed(value):
    if isinstance(value, tuple):
        return ("tuple", *map(typed, value))
    return type(value), repr(value)


def assert_same(net, other):
    a, b = net.topology, other.topology
    assert [typed(name) for name in net.nodes] == [typed(name) for name in other.nodes]
    assert sorted(map(repr, net.edges)) == sorted(map(repr, other.edges))
    assert (net.inputs, net.outputs, str(net.loss), net.dtype) == (
        *(other.inputs, other.outputs, str(other.loss)),
        other.dtype,
    )
    for edge in net.edges:
        assert np.asarray(net.weights[edge]).tobytes() == np.asarray(other.weights[edge]).tobytes()
    for field in ("units", "level", "has_bias", "center", "scale"):
        assert np.array_equal(getattr(a, field), getattr(b, field)), field
    assert np.array_equal(a.bias_trainable & a.has_bias, b.bias_trainable & b.has_bias)
    assert [str(a.activations[i]) for i in a.activation_of] == [
        str(b.activations[i]) for i in b.activation_of
    ]
    assert list(net.biases) == list(other.biases)
    for node in net.biases:
        assert np.asarray(net.biases[node]).tobytes() == np.asarray(other.biases[node]).tobytes()
    frozen = {edge: bool(x) for edge, x in zip(net.edges, a.edge_trainable, strict=True)}
    assert frozen == {edge: bool(x) for edge, x in zip(other.edges, b.edge_trainable, strict=True)}
    assert len(net.parameters) == len(other.parameters)


def hostile_network(names=HOSTILE):
    graph = nx.DiGraph()
    nodes = [*names, "end"]
    for name in nodes[1:]:
        graph.add_node(name, activation="tanh")
    for source, target in itertools.pairwise(nodes):
        graph.add_edge(source, target)
    return network(graph, seed=0)


@pytest.fixture(scope="module")
def small():
    return dagnet.Network(dagnet.layered([2, 2, 1], activation="sigmoid"), seed=0)


# -- round trips -------------------------------------------------------------------------


@RELAXED
@given(graph=dags(), seed=seeds, kind=st.sampled_from(sorted(READABLE)), single=st.booleans())
def test_a_network_comes_back_to_the_bit(graph, seed, kind, single):
    net = network(graph, seed=seed, dtype="float32" if single else "float64")
    back = READABLE[kind].read(io.BytesIO(written(net, READABLE[kind])))
    assert_same(net, network(back))


@FEW
@given(graph=dags(), seed=seeds, kind=st.sampled_from(sorted(dagnet.exporters())))
def test_every_format_writes_every_network_with_rows(graph, seed, kind):
    net = network(graph, seed=seed)
    X, y = rows_for(net, rows=3, seed=seed)
    exporter = dagnet.exporters()[kind]
    data = written(net, exporter, dagnet.Observations(X, y))
    assert data
    if exporter.read is not None:
        assert_same(net, network(exporter.read(io.BytesIO(data))))


@pytest.mark.parametrize("kind", sorted(READABLE))
def test_hostile_names_come_back(kind):
    net = hostile_network()
    assert_same(net, network(READABLE[kind].read(io.BytesIO(written(net, READABLE[kind])))))


@pytest.mark.parametrize(
    "value", [1, -1, 2**70, 1.5, math.inf, "x", "\ud800", b"\x00", None, True, ("a", (1, ()))]
)
def test_typed_values_come_back(value):
    text = dumps(value, "here")
    assert text.isascii()
    assert typed(loads(text, "here")) == typed(value)


def test_a_float_nan_name_keeps_its_kind():
    assert math.isnan(loads(dumps(math.nan, "here"), "here"))


def test_names_that_no_file_brings_back_are_refused():
    graph = nx.DiGraph([(frozenset("a"), "b")])
    with pytest.raises(dagnet.DataError, match="node's name must be a str, int, float"):
        written(network(graph), READABLE["json"])


@pytest.mark.parametrize("kind", sorted(READABLE))
def test_a_parameter_that_is_not_finite_is_not_lost_in_silence(kind):
    net = dagnet.Network(dagnet.layered([1, 1]), seed=0)
    net.parameters.fill(np.nan)
    with pytest.raises(dagnet.NumericalError, match="'eta': bias must be finite"):
        written(net, READABLE[kind])


def test_networkx_graphs_of_others_are_read(tmp_path):
    graph = nx.DiGraph([("a", "b"), ("b", "c")])
    graph.edges["a", "b"]["weight"] = 0.25
    graph.nodes["b"]["activation"] = "tanh"
    nx.write_graphml(graph, tmp_path / "g.graphml")
    (tmp_path / "g.json").write_text(json.dumps(nx.node_link_data(graph, edges="links")))
    for name in ("g.graphml", "g.json"):
        with pytest.warns(dagnet.DagnetWarning, match="weights as they stand"):
            back = dagnet.read_graph(tmp_path / name)
        assert dict(back.nodes(data=True)) == {"a": {}, "b": {"activation": "tanh"}, "c": {}}
        assert dict(back.edges) == {("a", "b"): {"weight": 0.25}, ("b", "c"): {}}


def test_tuples_that_node_link_json_made_lists_are_tuples_again(tmp_path):
    graph = nx.DiGraph([(("a", 1), ("b", (2, 3)))])
    (tmp_path / "g.json").write_text(json.dumps(nx.node_link_data(graph, edges="edges")))
    assert set(dagnet.read_graph(tmp_path / "g.json")) == set(graph)


def test_a_bare_edge_list_is_read(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("\ufeffsource,target,weight,trainable\r\n\r\nx,h 1,0.5,\r\nh 1,1,-2,false\r\n", "utf-8")
    with pytest.warns(dagnet.DagnetWarning, match="weights as they stand"):
        graph = dagnet.read_graph(path)
    assert dict(graph.edges) == {
        ("x", "h 1"): {"weight": 0.5},
        ("h 1", "1"): {"weight": -2.0, "trainable": False},
    }
    path.write_text("source,target\na,b\n")
    assert dict(dagnet.read_graph(path).edges) == {("a", "b"): {}}


# -- what stands in the files ------------------------------------------------------------


def strangers_reader(kind):
    def node_link(path):
        return nx.node_link_graph(json.loads(path.read_text()), edges="edges")

    return {"graphml": nx.read_graphml, "gexf": nx.read_gexf, "json": node_link}[kind]


def test_rows_leave_means_and_gradients(small, tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(7, 2)), rng.normal(size=7)
    forward, gradient = small.forward(X), small.gradient(X, y)
    for kind in ("graphml", "gexf", "json"):
        small.export(tmp_path / f"g.{kind}", X, y)
        graph = strangers_reader(kind)(tmp_path / f"g.{kind}")
        for node, attributes in graph.nodes(data=True):
            assert attributes["mean_value"] == pytest.approx(forward[node].mean(), rel=1e-12)
            assert attributes["mean_pre_activation"] == pytest.approx(
                forward.pre_activation(node).mean(), rel=1e-12
            )
            assert attributes["gradient"] == pytest.approx(gradient.delta(node).sum(), rel=1e-9)
            if node in gradient.biases:
                assert attributes["gradient"] == pytest.approx(gradient.biases[node], rel=1e-9)
            assert attributes["role"] in ("input", "hidden", "output")
            assert attributes["level"] == small.topology.level[small.nodes.index(node)]
        for source, target, attributes in graph.edges(data=True):
            assert attributes["gradient"] == pytest.approx(gradient.weights[source, target], rel=1e-9)


def test_gradients_stand_there_for_frozen_weights_too(tmp_path):
    graph = dagnet.layered([2, 1])
    graph.edges["x1", "eta"].update(trainable=False, weight=0.5)
    net = dagnet.Network(graph, seed=0)
    X, y = np.ones((3, 2)), np.zeros(3)
    net.export(tmp_path / "g.json", X, y)
    found = strangers_reader("json")(tmp_path / "g.json").edges["x1", "eta"]["gradient"]
    assert found == pytest.approx(net.gradient(X, y, wrt=[("x1", "eta")]).weights["x1", "eta"])


def test_many_rows_are_taken_in_blocks(small, monkeypatch):
    from dagnet.formats import annotated as statistics

    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(50, 2)), rng.normal(size=50)
    whole = statistics.row_statistics(small, X, y)
    monkeypatch.setattr(statistics, "BLOCK", 35)
    parts = statistics.row_statistics(small, X, y)
    assert parts.loss == pytest.approx(whole.loss)
    assert whole.loss == pytest.approx(small.evaluate(X, y))
    for field in ("mean_value", "mean_pre_activation", "delta_sum", "gradient"):
        assert getattr(parts, field) == pytest.approx(getattr(whole, field))
    assert whole.gradient == pytest.approx(small.gradient(X, y).flat)


def test_plain_graphs_go_through_networkx_and_back(small, tmp_path):
    graph = dagnet.layered([3, 2, 1])
    graph.add_node("m", units=2, bias=False, normalization="layer", own={"a": (1, None)}, seen="text")
    graph.add_edges_from([(*edge, {"dropout": 0.5}) for edge in (("x1", "m"), ("m", "eta"))])
    graph.graph["mode"] = "fast"
    for net in (small, hostile_network(), dagnet.Network(graph, seed=1, dtype="float32", loss="huber(2.0)")):
        flat, path = net.to_networkx(plain=True), tmp_path / "plain.graphml"
        nx.write_graphml(flat, path)
        assert isinstance(flat.graph["dagnet"], str)
        for back in (dagnet.read_graph(path), nx.read_graphml(path), flat, flat):
            other = dagnet.Network(back)
            assert_same(net, other)
            assert repr(other.topology.users) == repr(dagnet.Network(net.to_networkx()).topology.users)
    assert flat.nodes["m"]["dagnet_own_own"] == '{"dict":[["a",{"tuple":[1,null]}]]}'
    assert "level" not in flat.nodes["m"]
    with pytest.raises(dagnet.GraphError, match="must be a mapping with the keys"):
        dagnet.Network(nx.DiGraph([("a", "b")], dagnet="text of another program"))
    with pytest.raises(dagnet.DataError, match="plain must be True or False"):
        net.to_networkx(plain="yes")
    with pytest.warns(dagnet.DagnetWarning, match="the file keeps no") as caught:
        dagnet.Network(nx.DiGraph([("a", "b")], odd=object())).to_networkx(plain=True)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("kind", ["graphml", "gexf", "svg"])
def test_strict_xml(kind):
    ET.fromstring(written(hostile_network(), dagnet.exporters()[kind]))


def test_networkx_reads_graphml_gexf_and_node_link(small, tmp_path):
    hostile = hostile_network()
    for net in (small, hostile):
        for kind, read in (("graphml", nx.read_graphml), ("gexf", nx.read_gexf)):
            net.export(tmp_path / f"g.{kind}")
            graph = read(tmp_path / f"g.{kind}")
            assert (len(graph), graph.size()) == (len(net.nodes), len(net.edges))
            assert graph.is_directed()
        graph = nx.node_link_graph(json.loads(written(net, dagnet.exporters()["json"])), edges="edges")
        assert (len(graph), graph.size()) == (len(net.nodes), len(net.edges))
    assert graph["7"]["7 (int)"]["weight"] if "7 (int)" in graph else True


def test_graphml_of_plain_names_keeps_them_as_ids(small, tmp_path):
    small.export(tmp_path / "g.graphml")
    graph = nx.read_graphml(tmp_path / "g.graphml")
    assert set(graph) == set(small.nodes)
    assert {edge: graph.edges[edge]["weight"] for edge in graph.edges} == dict(small.weights)


def test_cytoscape_json(small):
    data = json.loads(written(small, dagnet.exporters()["cytoscape"]))
    assert {node["data"]["id"] for node in data["elements"]["nodes"]} == set(small.nodes)
    edges = {
        (e["data"]["source"], e["data"]["target"]): e["data"]["weight"] for e in data["elements"]["edges"]
    }
    assert edges == dict(small.weights)


CYTOSCAPE = """
const cytoscape = require("cytoscape"), data = JSON.parse(require("fs").readFileSync(0));
const cy = cytoscape({ headless: true, elements: data.elements });
const edges = cy.edges().map((e) => [e.source().id(), e.target().id(), e.data("weight")]);
console.log(JSON.stringify([cy.nodes().map((n) => n.id()), edges]));
"""


def has_cytoscape():
    try:
        return (
            subprocess.run(
                ["node", "-e", "require('cytoscape')"], capture_output=True, check=False
            ).returncode
            == 0
        )
    except OSError:
        return False


@pytest.mark.skipif(
    not has_cytoscape(), reason="Node.js finds no cytoscape (npm install cytoscape; NODE_PATH)"
)
def test_cytoscape_js_reads_cytoscape_json(small):
    for net in (small, hostile_network()):
        data = written(net, dagnet.exporters()["cytoscape"])
        done = subprocess.run(["node", "-e", CYTOSCAPE], input=data, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        nodes, edges = json.loads(done.stdout)
        assert len(set(nodes)) == len(net.nodes)
        assert sorted(weight for _, _, weight in edges) == sorted(net.weights.values())


def test_csv_is_one_rectangle_that_the_csv_module_reads(small):
    rows = list(csv.DictReader(io.StringIO(written(hostile_network(), READABLE["csv"]).decode(), newline="")))
    assert {row["kind"] for row in rows} == {"graph", "node", "edge"}
    assert all(None not in row and None not in row.values() for row in rows)
    rows = list(csv.DictReader(io.StringIO(written(small, READABLE["csv"]).decode(), newline="")))
    weights = {(r["source"], r["target"]): float(r["weight"]) for r in rows if r["kind"] == "edge"}
    assert weights == dict(small.weights)


@pytest.mark.skipif(
    shutil.which("dot") is None, reason="Graphviz is not installed (apt-get install graphviz)"
)
def test_graphviz_renders_dot(small, tmp_path):
    for net in (small, hostile_network()):
        net.export(tmp_path / "g.dot", np.ones((2, len(net.inputs))), np.ones((2, len(net.outputs))))
        done = subprocess.run(["dot", "-Tsvg", tmp_path / "g.dot"], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.count(b'class="node"') == len(net.nodes)
        assert done.stdout.count(b'class="edge"') == len(net.edges)
        plain = subprocess.run(["dot", "-Tjson", tmp_path / "g.dot"], capture_output=True, check=True)
        weights = sorted(float(edge["dagnet_weight"]) for edge in json.loads(plain.stdout)["edges"])
        assert weights == sorted(net.weights.values())


def test_dot_colours_belong_to_their_edges():
    sources, targets, weights = [2, 0, 1], [3, 2, 3], [1.0, -1.0, 0.0]
    net = dagnet.Network.from_arrays(sources, targets, weights)
    lines = written(net, dagnet.exporters()["dot"]).decode().splitlines()
    colours = {
        (s, t): c for s, t, c in re.findall(r'"(\d) \(?.*?" -> "(\d).*?color="(.*?)"', "\n".join(lines))
    }
    assert colours == {} or colours
    for line in lines:
        if "->" in line:
            weight = float(re.search(r'dagnet_weight="(.*?)"', line)[1])
            want = "#0072b2" if weight > 0 else "#d55e00" if weight < 0 else "#8a8f98"
            assert f'color="{want}"' in line


# -- files -------------------------------------------------------------------------------


def test_a_suffix_decides(small, tmp_path):
    with pytest.raises(dagnet.DataError, match=r"suffix '\.grapml'.*did you mean '\.graphml'.*\.csv, \.cyjs"):
        small.export(tmp_path / "g.grapml")
    with pytest.raises(dagnet.DataError, match="suffix ''"):
        small.export(tmp_path / "graphml")
    with pytest.raises(dagnet.DataError, match=r"read: \.csv, \.cyjs, \.dot, \.gexf, \.gml"):
        dagnet.read_graph(tmp_path / "g.svg")
    with pytest.raises(dagnet.DataError, match="path must be the name of a file"):
        small.export(7)
    small.export(tmp_path / "A.JSON")
    assert dagnet.read_graph(tmp_path / "A.JSON").size() == 6


def test_files_are_written_whole_or_not_at_all(small, tmp_path):
    path = tmp_path / "g.csv"
    small.export(path)
    before = path.read_bytes()
    with pytest.raises(dagnet.DataError):
        small.export(path, [[math.nan, 1.0]])
    with pytest.raises(dagnet.DataError, match="y is given without X"):
        small.export(path, y=[1.0])
    with pytest.raises(dagnet.DataError, match="at least one row"):
        small.export(path, np.zeros((0, 2)))
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["g.csv"]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions work otherwise")
def test_garbage_is_collected_again_afterwards(small, tmp_path):
    small.export(tmp_path / "net.csv")
    with pytest.raises(dagnet.DataError):
        small.export(tmp_path / "net.csv", [[np.nan] * len(small.inputs)])
    dagnet.read_graph(tmp_path / "net.csv")
    assert gc.isenabled()


def test_unwritable_paths_say_so(small, tmp_path):
    with pytest.raises(FileNotFoundError):
        small.export(tmp_path / "no" / "g.csv")
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(OSError, match="directory"):
        small.export(tmp_path / "d.csv")
    with pytest.raises(FileNotFoundError):
        dagnet.read_graph(tmp_path / "none.csv")


def test_permissions_stay(small, tmp_path):
    path = tmp_path / "g.csv"
    small.export(path)
    path.chmod(0o640)
    small.export(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_format_of_a_plugin_is_found_by_its_suffix(small, tmp_path):
    def write(net, stream, observations):
        stream.write(f"{len(net.nodes)} {observations}".encode())

    dagnet.register(dagnet.Exporter("count", ".x.json", write), replace=True)
    small.export(tmp_path / "a.x.json")
    assert (tmp_path / "a.x.json").read_text() == "5 None"
