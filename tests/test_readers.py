"""What other programs write is read: names, attributes, directions; what is no network's graph is refused."""

import json
import os
import re
import warnings

import networkx as nx
import numpy as np
import pandas as pd
import pytest

import dagnet


def read(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return dagnet.read_graph(path)


def quietly(tmp_path, name, text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dagnet.DagnetWarning)
        return read(tmp_path, name, text)


# -- what dagnet wrote ---------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["gexf", "dot", "cyjs"])
def test_what_dagnet_writes_it_reads(tmp_path, suffix):
    graph = dagnet.layered([2, 2, 1], activation="tanh")
    graph.add_edge("x1", "eta", weight=0.1 + 0.2, trainable=False)
    graph.add_edge("x2", "eta", share=7)
    graph.add_edge("h11", "out 2", share="7")
    graph.nodes["x1"].update(center=3.5, scale=0.1)
    net = dagnet.Network(graph, outputs=["out 2", "eta"], loss="huber(delta=0.5)", dtype="float32", seed=0)
    net.export(tmp_path / f"n.{suffix}", [[1.0, 2.0]], [[0.5, 0.5]])
    back = dagnet.Network(dagnet.read_graph(tmp_path / f"n.{suffix}"))
    assert (back.nodes, back.outputs, str(back.loss), back.dtype) == (
        *(net.nodes, net.outputs, str(net.loss)),
        net.dtype,
    )
    assert dict(back.weights) == dict(net.weights)
    assert len(back.parameters) == len(net.parameters)
    assert np.array_equal(back.trainable, net.trainable)
    assert np.array_equal(back([[1.0, 2.0]]), net([[1.0, 2.0]]))


@pytest.mark.parametrize("suffix", ["gexf", "dot", "cyjs", "graphml", "json", "csv"])
def test_only_weights_of_other_programs_are_warned_of(tmp_path, suffix):
    dagnet.Network(dagnet.layered([1, 1]), seed=0).export(tmp_path / f"n.{suffix}")
    dagnet.read_graph(tmp_path / f"n.{suffix}")
    with pytest.warns(dagnet.DagnetWarning, match="weight=None") as caught:
        read(tmp_path, "e.csv", "source,target,weight\na,b,1\na,c,2\n")
    assert len(caught) == 1
    assert caught[0].filename == __file__


# -- GraphML -------------------------------------------------------------------------------

DEFAULTS = """<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
<key id="w" for="edge" attr.name="weight" attr.type="double"><default>0.25</default></key>
<key id="t" for="edge" attr.name="trainable" attr.type="boolean"><default>false</default></key>
<key id="a" for="node" attr.name="activation" attr.type="string"><default>tanh</default></key>
<graph edgedefault="directed"><node id="x"/><node id="h"/>
<node id="y"><data key="a">identity</data></node><edge source="x" target="h"/>
<edge source="h" target="y"><data key="w">2.0</data><data key="t">true</data></edge></graph></graphml>"""


@pytest.mark.parametrize("scope", ['for="edge"', 'for="all"'])
def test_defaults_of_keys_are_honoured(tmp_path, scope):
    graph = quietly(
        tmp_path,
        "d.graphml",
        DEFAULTS.replace('for="edge" attr.name="weight"', f'{scope} attr.name="weight"'),
    )
    assert dict(graph.edges) == {
        ("x", "h"): {"weight": 0.25, "trainable": False},
        ("h", "y"): {"weight": 2.0, "trainable": True},
    }
    assert graph.nodes["h"]["activation"] == "tanh"
    assert "activation" not in graph.nodes["x"]  # an input has none
    net = dagnet.Network(graph, seed=0)
    assert net([[1.0]]) == pytest.approx(2 * np.tanh(0.25), rel=1e-12)
    assert not {"node_default", "edge_default"} & set(graph.graph)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_no_key_costs_the_rest_of_the_file(tmp_path, encoding):
    odd = """<key id="b" for="edge" attr.name="weight" attr.type="double"><default>heavy</default></key>
    <key id="c" for="edge" attr.name="trainable" attr.type="boolean"><default/></key>
    <key id="d" for="node" attr.name="born" attr.type="date"><default>2020</default></key>
    <key id="e" for="node"/>"""
    text = f"""<graphml xmlns="http://graphml.graphdrawing.org/xmlns">{odd}<graph edgedefault="directed">
    <node id="é"><data key="e">5</data></node><node id="y"/><edge source="é" target="y"/></graph></graphml>"""
    with pytest.warns(dagnet.DagnetWarning) as caught:
        graph = read(
            tmp_path, "d.graphml", f'<?xml version="1.0" encoding="{encoding}"?>{text}'.encode(encoding)
        )
    assert sorted(str(w.message) for w in caught) == [
        "key 'trainable': its default '' is no 'boolean'; it is left out",
        "key 'weight': its default 'heavy' is no 'double'; it is left out",
    ]
    assert dict(graph.nodes) == {"é": {"e": "5", "born": "2020"}, "y": {"born": "2020"}}
    assert dict(graph.edges) == {("é", "y"): {}}


# -- GEXF, GML, DOT, Cytoscape --------------------------------------------------------------


def test_gexf_keeps_labels(tmp_path):
    graph = read(
        tmp_path,
        "g.gexf",
        """<gexf xmlns="http://www.gexf.net/1.2draft" version="1.2"><graph defaultedgetype="directed" name="a graph">
        <attributes class="node"><attribute id="0" title="bias" type="string"><default>false</default></attribute>
        </attributes><nodes><node id="0" label="Hello"/><node id="1" label="1"/></nodes>
        <edges><edge id="0" source="0" target="1"/></edges></graph></gexf>""",
    )
    assert dict(graph.nodes) == {"0": {"label": "Hello", "bias": False}, "1": {"bias": False}}
    assert dict(graph.edges) == {("0", "1"): {}}
    assert graph.graph == {"name": "a graph"}


def test_gml_is_named_by_labels_or_ids_and_nothing_is_evaluated(tmp_path):
    text = 'graph [ directed 1 node [ id 1 label "{}" activation "tanh" ] node [ id 2 label "y" ] edge [ source 1 target 2 weight 0.5 trainable 0 ] ]'
    graph = quietly(tmp_path, "g.gml", text.format("__import__('os')"))
    assert dict(graph.nodes) == {"__import__('os')": {"activation": "tanh"}, "y": {}}
    assert dict(graph.edges) == {("__import__('os')", "y"): {"weight": 0.5, "trainable": False}}
    assert dict(quietly(tmp_path, "g.gml", text.format("y")).nodes) == {
        1: {"label": "y", "activation": "tanh"},
        2: {"label": "y"},
    }


def test_dot_of_other_programs(tmp_path):
    graph = quietly(
        tmp_path,
        "g.dot",
        r"""/* a comment */ strict digraph "the name" { rankdir=LR; node [shape=box]; // another
        # and one more
        X0 [label="a \"word\"", activation=tanh]; X0 -> h -> y [weight="0.5" trainable=FALSE]
        lone; h -> y; 7 -> -1.5 [label=<<b>x</b> y>] }""",
    )
    assert dict(graph.nodes) == {
        "X0": {"label": 'a "word"', "activation": "tanh"},
        "h": {},
        "y": {},
        "lone": {},
        "7": {},
        "-1.5": {},
    }
    assert graph.edges["h", "y"] == graph.edges["X0", "h"] == {"weight": 0.5, "trainable": False}
    assert graph.edges["7", "-1.5"] == {"label": "<<b>x</b> y>"}
    assert graph.graph == {"rankdir": "LR"}


CYTOSCAPE = {
    "format_version": "1.0",
    "data": {"name": "net", "SUID": 52},
    "elements": {
        "nodes": [
            {"data": {"id": "62", "SUID": 62, "name": "YDL194W", "score": 1.5}, "position": {"x": 1, "y": 2}},
            {"data": {"id": "63", "SUID": 63, "name": "YDR277C"}},
        ],
        "edges": [{"data": {"id": "400", "source": "62", "target": "63", "interaction": "pp"}}],
    },
}


@pytest.mark.parametrize("name", ["g.cyjs", "g.json"])
def test_cytoscape_3_is_named_by_names(tmp_path, name):
    graph = read(tmp_path, name, json.dumps(CYTOSCAPE))
    assert dict(graph.nodes) == {"YDL194W": {"SUID": 62, "score": 1.5}, "YDR277C": {"SUID": 63}}
    assert dict(graph.edges) == {("YDL194W", "YDR277C"): {"interaction": "pp"}}


def test_names_that_are_there_twice_and_those_of_cytoscape_js_are_attributes(tmp_path):
    twice = json.loads(json.dumps(CYTOSCAPE))
    twice["elements"]["nodes"][1]["data"]["name"] = "YDL194W"
    assert set(read(tmp_path, "g.cyjs", json.dumps(twice))) == {"62", "63"}
    for node in twice["elements"]["nodes"]:
        del node["data"]["SUID"]
    assert read(tmp_path, "g.cyjs", json.dumps(twice)).nodes["63"] == {"name": "YDL194W"}


# -- lists -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "edges"),
    [
        ("e.csv", "Source,Target,Type,Id,Label,Weight\nx,y,Directed,0,,1.0\n",
         {("x", "y"): {"Type": "Directed", "Id": "0", "weight": 1.0}}),
        ("e.csv", "parent;child;WEIGHT\nx;y;2\n", {("x", "y"): {"weight": 2.0}}),
        ("e.tsv", "From\tTo\ta, b\nx\ty, z\tscale\n", {("x", "y, z"): {"a, b": "scale"}}),
        ("e.csv", "\n\nparent, child, note\nx , y, high\n", {("x", "y"): {"note": "high"}}),
        ("e.csv", "TO,from,kind,level\ny,x,act,high\n", {("x", "y"): {"kind": "act", "level": "high"}}),
        ("e.sif", "a pp b c\nlone\nb pd c\na pd b\na pp b\n",
         {("a", "b"): {"interaction": "pp, pd"}, ("a", "c"): {"interaction": "pp"}, ("b", "c"): {"interaction": "pd"}}),
        ("e.sif", "a b\tpp\tc d\n", {("a b", "c d"): {"interaction": "pp"}}),
        ("e.gmt", "S1\tof one\tg1\tg2\r\nS2\t\tg2\tg2\t\n", {("g1", "S1"): {}, ("g2", "S1"): {}, ("g2", "S2"): {}}),
    ],
)  # fmt: skip
def test_lists(tmp_path, name, text, edges):
    graph = quietly(tmp_path, name, text)
    assert dict(graph.edges) == edges
    if name == "e.gmt":
        assert graph.nodes["S1"] == {"description": "of one"}
        assert graph.nodes["S2"] == {}


def test_an_ontology(tmp_path):
    graph = read(
        tmp_path,
        "go.obo",
        """format-version: 1.2
! a comment
[Term]
id: GO:3
name: leaf: with a colon
is_a: GO:2 {source="x"} ! stem
relationship: part_of GO:1 ! root
relationship: regulates GO:1
is_a: GO:9 ! gone
[Term]
id: GO:2
name: stem
is_a: GO:1
relationship: part_of GO:1
[Term]
id: GO:1
name: root
comment:
[Term]
id: GO:9
name: gone
is_a: GO:1
is_obsolete: true
[Typedef]
id: part_of
is_a: nothing
""",
    )
    assert dict(graph.nodes) == {
        "GO:3": {"name": "leaf: with a colon"},
        "GO:2": {"name": "stem"},
        "GO:1": {"name": "root"},
    }
    assert dict(graph.edges) == {
        ("GO:3", "GO:2"): {"relation": "is_a"},
        ("GO:3", "GO:1"): {"relation": "part_of"},
        ("GO:2", "GO:1"): {"relation": "is_a, part_of"},
    }


# -- refusals --------------------------------------------------------------------------------

GEXF = '<gexf xmlns="http://www.gexf.net/1.2draft"><graph defaultedgetype="directed">{}</graph></gexf>'
TWO = '<nodes><node id="a"/><node id="b"/></nodes><edges>{}</edges>'
# ruff: noqa: E501
REFUSED = [
    ("gexf", "", "no well-formed XML"),
    ("gexf", "<graphml/>", "not <gexf>"),
    ("gexf", '<!DOCTYPE g [<!ENTITY a "aaaa">]>' + GEXF.format(""), "document type"),
    ("gexf", "<gexf>" + "<graph>" * 100_000, "nested more than 32"),
    ("gexf", GEXF.replace('"directed"', '"undirected"').format(""), 'undirected; a network needs defaultedgetype="directed"'),
    ("gexf", GEXF.format(TWO.format('<edge source="a" target="b"/>' * 2)), "'a' → 'b' is there twice; merge the two, adding"),
    ("gexf", GEXF.format(TWO.format('<edge source="a" target="c"/>')), "no such node"),
    ("gexf", GEXF.format(TWO.format('<edge source="a" target="b" weight="x"/>')), "NetworkX can read"),
    ("gexf", GEXF.format(TWO.format('<edge source="a" target="b" weight="nan"/>')), "weight must be finite"),
    ("gml", "", "NetworkX can read"),
    ("gml", "graph [" * 100_000, "NetworkX can read"),
    ("gml", "graph [ node [ id 1 ] ]", 'undirected; a network needs "directed 1"'),
    ("gml", "graph [ directed 1 node [ id 1 ] edge [ source 1 target 1 ] edge [ source 1 target 1 ] ]", "adding their weights"),
    ("gml", "graph [ directed 1 multigraph 1 node [ id 1 ] edge [ source 1 target 1 ] edge [ source 1 target 1 ] ]", "adding"),
    ("gml", f"graph [ directed 1 node [ id {'9' * 10_000} ] ]", "NetworkX can read"),
    ("gml", b"\xff", "no UTF-8"),
    ("dot", "", "line 1 must be 'digraph', got the end"),
    ("dot", "graph { a -- b }", "networkx.nx_pydot.read_dot"),
    ("dot", "digraph {\n a -- b }", "line 2 must be a name, got --"),
    ("dot", "digraph { subgraph cluster { a } }", "no subgraphs"),
    ("dot", "digraph {\n a -> b\n a -> b }", "line 3: edge 'a' → 'b' is there twice"),
    ("dot", 'digraph { a [label="' + "x" * 1_000_000, "line 1 must be"),
    ("dot", "digraph {" + "{" * 100_000, "must be a name"),
    ("dot", "digraph { a } x", "the end of the file"),
    ("dot", "digraph { a", "got the end"),
    ("dot", 'digraph { graph [dagnet="["] }', "no valid JSON"),
    ("cyjs", "[]", "must be an object"),
    ("cyjs", "{}", 'no "nodes"'),
    ("cyjs", '{"elements":{}}', 'no "nodes"'),
    ("cyjs", '{"elements":{"nodes":[{"data":{}}],"edges":[]}}', "name of a node must be text"),
    ("cyjs", '{"elements":{"nodes":[{}],"edges":[]}}', "data in nodes must be an object"),
    ("cyjs", '{"elements":{"nodes":[],"edges":[{"data":{"source":"a","target":"b"}}]}}', "no node 'a'"),
    ("cyjs", '{"data":7,"elements":{"nodes":[],"edges":[]}}', '"graph" must be an object'),
    ("cyjs", '{"directed":false,"elements":{"nodes":[],"edges":[]}}', "undirected"),
    ("json", '{"network_type":"feedforward","nodes":[],"connections":[]}', "dagnet_neat.from_json"),
    ("csv", "Source,Target,Type\na,b,Undirected\n", "line 2: the edge is undirected"),
    ("csv", "gene,pathway\na,b\n", "no column 'source'; an edge list has source,target[,weight], parent,child or from,to"),
    ("csv", "source,target\na,b\na,b\n", "line 3: edge 'a' → 'b' is there twice; merge the two, adding their weights"),
    ("csv", "gene,pathway\na,b\n", "parent,child or from,to; known: gene, pathway"),
    ("csv", "\nsource;target;weight\na;b;0,5\n", "line 3: weight must be a number, got '0,5'; a decimal comma must be a point"),
    ("csv", "source,target\nMüller,b\n".encode("latin-1"), "no UTF-8 text (byte 15); save it as UTF-8"),
    ("csv", "Source,source,target\na,b,c\n", "there twice"),
    ("tsv", "source\ttarget\na\n", "line 2 must be 2 cells"),
    ("sif", "a pp b\nc pp\n", "line 2 must be a node, or source, interaction and targets"),
    ("gmt", "S1\tx\tg\nS2 g\n", "line 2 must be a set"),
    ("gmt", "S1\tx\tg\nS1\tx\th\n", "line 2: the set 'S1' is there twice"),
    ("obo", "", "no [Term]"),
    ("obo", "[Term]\nid: a\n[Term]\nid: a\n", "line 4"),
    ("obo", "[Term]\nid: a\nnonsense\n", "line 3"),
    ("obo", "[Term]\nid:\n", "line 2"),
]  # fmt: skip


@pytest.mark.parametrize(("suffix", "text", "message"), REFUSED)
def test_what_is_no_network_is_refused(tmp_path, suffix, text, message):
    with pytest.raises(dagnet.FormatError, match=re.escape(message)) as caught:
        read(tmp_path, f"g.{suffix}", text)
    assert str(tmp_path) in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("suffix", ["gml", "tsv", "sif", "gmt", "obo", "gexf", "dot", "cyjs"])
def test_huge_files_are_not_read(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr("dagnet.formats.LARGEST", 1 << 10)
    with pytest.raises(dagnet.FormatError, match="larger than"):
        read(tmp_path, f"g.{suffix}", "x" * 2000)


@pytest.mark.parametrize("name", ["node_for_adding", "u_of_edge", "v_of_edge"])
def test_attributes_may_have_any_name(tmp_path, name):
    graph = nx.DiGraph()
    graph.add_nodes_from([("a", {name: 1})])
    graph.add_edges_from([("a", "b", {name: 2})])
    for suffix, data in (
        ("json", nx.node_link_data(graph, edges="edges")),
        ("cyjs", nx.cytoscape_data(graph)),
    ):
        back = read(tmp_path, f"g.{suffix}", json.dumps(data))
        assert (back.nodes["a"], back.edges["a", "b"]) == ({name: 1}, {name: 2})


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "g.csv")
    with pytest.raises(dagnet.DataError, match="no regular file"):
        dagnet.read_graph(tmp_path / "g.csv")


def test_numbers_and_flags_that_stand_as_text(tmp_path):
    graph = nx.DiGraph()
    graph.add_node("x", center="1e1", scale=" 2 ", label="7")
    graph.add_node("h", bias="False", units="3", activation="tanh")
    graph.add_node("y", bias="0.5", units="1.5")
    graph.add_edge("x", "h", weight="1_0", trainable="True", share="1")
    back = quietly(tmp_path, "g.json", json.dumps(nx.node_link_data(graph, edges="edges")))
    assert dict(back.nodes) == {
        "x": {"center": 10.0, "scale": 2.0, "label": "7"},
        "h": {"bias": False, "units": 3, "activation": "tanh"},
        "y": {"bias": 0.5, "units": "1.5"},
    }
    assert back.edges["x", "h"] == {"weight": "1_0", "trainable": True, "share": "1"}
    graph = nx.DiGraph()
    graph.add_edge("x", "y", weight="0.5")
    with pytest.raises(dagnet.GraphError, match=r"weight must be a number, got '0\.5'; convert it: float"):
        dagnet.Network(graph)


# -- columns -----------------------------------------------------------------------------------


def test_columns_that_are_spelled_otherwise_are_offered():
    net = dagnet.Network(nx.DiGraph([("TP53", "y"), ("BRCA1", "y"), ("CD_4", "y"), ("z", "y")]))
    frame = pd.DataFrame({"Tp53": [1.0], "Brca1": [1.0], "cd 4": [1.0]})
    with pytest.raises(dagnet.DataError) as caught:
        net(frame)
    assert str(caught.value) == (
        "X: no column 'TP53', 'BRCA1', 'CD_4', 'z' in the data; did you mean 'Tp53'? "
        "3 are there, spelled otherwise: also 'BRCA1' as 'Brca1', 'CD_4' as 'cd 4'"
    )


def test_a_graph_that_is_upside_down_is_called_so():
    graph = nx.DiGraph([("root", "T1"), ("root", "T2"), ("T1", "g1"), ("T1", "g2"), ("T2", "g3")])
    net = dagnet.Network(graph, seed=0)
    with pytest.raises(dagnet.DataError, match=r"no column 'root'.*upside down, graph\.reverse\(\) turns it"):
        net.fit(pd.DataFrame({"g1": [1.0], "g2": [0.0], "g3": [1.0]}), [1.0], epochs=1)


# -- text ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "edges"),
    [
        ("GO:1\tGO:2\tdefault\nGO:2\tAKT2\tgene\n", {("GO:1", "GO:2"): {"type": "default"}, ("GO:2", "AKT2"): {"type": "gene"}}),
        ("\ufeff# made by hand\r\na  b\r\nb c\r\n\r\n", {("a", "b"): {}, ("b", "c"): {}}),
        ("a b x\nb c\na b y\n", {("a", "b"): {"type": "x, y"}, ("b", "c"): {}}),
        ("a\tb\t0.5\nb c\td\t-1e3\n", {("a", "b"): {"weight": 0.5}, ("b c", "d"): {"weight": -1000.0}}),
        ("a b 0.5\nb c d\n", {("a", "b"): {"type": "0.5"}, ("b", "c"): {"type": "d"}}),
        ("Parent,Child,kind\na,b,x\n", {("a", "b"): {"kind": "x"}}),
        ("source\ttarget\na\tb\n", {("a", "b"): {}}),
    ],
)  # fmt: skip
def test_text_is_an_edge_list_without_a_header_or_with_one(tmp_path, text, edges):
    graph = quietly(tmp_path, "list.txt", text)
    assert {(u, v): data for u, v, data in graph.edges(data=True)} == edges


@pytest.mark.parametrize(
    ("text", "said"),
    [("a b\nlone\n", "line 2 must be a parent, a child and perhaps a type"), ("a b c d\n", "line 1 must be a parent"),
     ("a\tb\n\tc\n", "line 2 must be"), ("source target\na b\n", "line 1: no column 'source'")],
)  # fmt: skip
def test_other_text_is_refused_by_line(tmp_path, text, said):
    with pytest.raises(dagnet.FormatError, match=said):
        read(tmp_path, "list.txt", text)
