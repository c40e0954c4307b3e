"""The user's own attributes go out with the network and come back with their types, in every format."""

import csv
import io
import json
import warnings

import networkx as nx
import numpy as np
import pytest
from data.strategies import network
from hypothesis import given, settings
from hypothesis import strategies as st

import dagnet
from dagnet.topology.attributes import EDGE_WORDS, NODE_WORDS
from dagnet.topology.words import REFUSED_ON_EDGES, REFUSED_ON_NODES

READABLE = {name: item for name, item in dagnet.exporters().items() if item.read is not None}
ODD_NAMES = (
    *("label", "name", "id", "source", "target", "key", "kind", "value", "SUID", "self", "mode", "viz"),
    *("start", "end", "pid", "type", "parents", "spells", "node_for_adding", "u_for_edge", "networkx_key"),
    *("level", "role", "gradient", "mean_value", "dagnet", "dagnet_own_x", "dagnet_name", "dagnet_weight"),
    *(
        "",
        " ",
        " a",
        "a;b;c;d;e;f;g",
        "a,b",
        '"q"',
        "{x}",
        "a\nb",
        "\ud800",
        "\ud83e\udd86",
        "δ",
        "x y",
        "own",
        "weight",
        "bias",
        "dagnetic",
    ),
    *("node_default", "edge_default", "own_x", "shape", "color", "a\\", "format", "units ", "entrez", "for"),
)
TEXTS = st.text(max_size=5) | st.sampled_from(
    ["x", "h", "y", "", " ", "0.5", "true", "a\r\nb", "\t", "\n", "\ud83e\udd86", "\x00", "<&>", '"', "a,b;c"]
)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
SCALARS = PLAIN | st.binary(max_size=3)
ARRAYS = st.sampled_from(
    [
        *(np.arange(3), np.array([1.5, np.nan]), np.zeros((2, 0)), np.array(2.5), np.ones((1, 2, 1))),
        *(
            np.array([True]),
            np.arange(4.0).reshape(2, 2),
            np.float32([0.1]),
            np.array([2**64 - 1], np.uint64),
        ),
    ]
)
VALUES = st.recursive(
    SCALARS | ARRAYS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=2).map(tuple)
        | st.dictionaries(TEXTS, inner, max_size=2)
        | st.dictionaries(SCALARS.filter(lambda key: key == key), inner, max_size=2)  # NaN is no key
    ),
    max_leaves=6,
)
NAMES = st.text(max_size=5) | st.sampled_from(ODD_NAMES)
ATTRIBUTES = st.dictionaries(NAMES, PLAIN | VALUES, max_size=4)
ON_NODES, ON_EDGES = {*NODE_WORDS, *REFUSED_ON_NODES}, {*EDGE_WORDS, *REFUSED_ON_EDGES}


def typed(value):
    """A value with the types of all that it holds."""
    if isinstance(value, np.ndarray):
        return "array", value.dtype, value.shape, value.tobytes()
    if isinstance(value, (list, tuple)):
        return type(value), [typed(item) for item in value]
    if isinstance(value, dict):
        return dict, [(typed(key), typed(item)) for key, item in value.items()]
    return type(value), repr(value)


def by_name(attributes):
    return {name: typed(value) for name, value in attributes.items()}


def users_of(graph):
    said = [{name: value for name, value in graph.graph.items() if name != "dagnet"}]
    return [by_name(owner) for owner in (*said, *graph.nodes.values(), *graph.edges.values())]


def written(net, kind, observations=None):
    stream = io.BytesIO()
    READABLE[kind].write(net, stream, observations)
    return stream.getvalue()


def read(net, kind, observations=None):
    return READABLE[kind].read(io.BytesIO(written(net, kind, observations)))


def graph_with(said, x, h, y, edge, other):
    graph = nx.DiGraph()
    graph.graph.update(said)
    graph.add_nodes_from([("x", x), ("h", h), (("y", 1), y)])
    graph.add_edges_from([("x", "h", edge), ("h", ("y", 1), other)])
    return graph


def quiet(graph):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*did you mean", dagnet.DagnetWarning)
        return network(graph, seed=0)


@settings(deadline=None, derandomize=True, max_examples=600)
@given(
    owners=st.tuples(*[ATTRIBUTES] * 6),
    alike=st.none() | st.tuples(NAMES, PLAIN, PLAIN),
    kind=st.sampled_from(sorted(READABLE)),
    rows=st.booleans(),
)
def test_the_users_attributes_come_back_as_they_were(owners, alike, kind, rows):
    if alike:
        name, one, two = alike
        owners[1][name], owners[2][name], owners[4][name], owners[5][name] = one, two, two, one
    for attributes, words in zip(owners, (["dagnet"], *[ON_NODES] * 3, *[ON_EDGES] * 2), strict=True):
        for word in attributes.keys() & set(words):
            del attributes[word]
    net = quiet(graph_with(*owners))
    back = read(net, kind, dagnet.Observations(np.ones((2, 1)), np.zeros(2)) if rows else None)
    assert users_of(back) == users_of(net.to_networkx())
    again = quiet(back)
    assert (again.parameters == net.parameters).all()
    assert (again.nodes, again.edges, again.inputs, again.outputs) == (
        *(net.nodes, net.edges, net.inputs),
        net.outputs,
    )
    assert written(again, kind) == written(net, kind)


@pytest.fixture
def net():
    graph = nx.DiGraph([("x", "h"), ("h", "y")])
    graph.graph.update(name="Wnt", title="a pathway")
    graph.nodes["x"].update(label="p53", entrez=7157, position=(1.0, 2.0), level="deep", reach=0.5, seen=True)
    graph.edges["x", "h"].update(evidence=["IDA", {"of": None}], label="activates", gain=1)
    return dagnet.Network(graph, seed=0, attributes={"gain": None})


def test_plain_attributes_stand_under_their_own_names_for_other_programs(net, tmp_path):
    for suffix, reader in (("graphml", nx.read_graphml), ("gexf", nx.read_gexf)):
        net.export(tmp_path / f"g.{suffix}")
        graph = reader(tmp_path / f"g.{suffix}")
        x, edge = graph.nodes["x"], graph.edges["x", "h"]
        assert (x["label"], x["entrez"], x["reach"], x["seen"]) == ("p53", 7157, 0.5, True)
        assert (x["level"], x["dagnet_own_level"], x["dagnet_own_position"]) == (
            0,
            '"deep"',
            '{"tuple":[1.0,2.0]}',
        )
        assert (edge["label"], edge["gain"]) == ("activates", 1)
    assert nx.read_graphml(tmp_path / "g.graphml").graph["name"] == "Wnt"
    data = json.loads(written(net, "json"))
    assert (data["graph"]["title"], data["nodes"][0]["label"], data["nodes"][0]["entrez"]) == (
        "a pathway",
        "p53",
        7157,
    )
    assert data["edges"][0]["evidence"] == ["IDA", {"of": None}]
    data = json.loads(written(net, "cytoscape"))["elements"]
    assert (data["nodes"][0]["data"]["label"], data["nodes"][0]["data"]["name"]) == ("p53", "x")
    rows = list(csv.DictReader(io.StringIO(written(net, "csv").decode(), newline="")))
    assert [row["label"] for row in rows] == ["", "p53", "", "", "activates", ""]
    assert (rows[1]["dagnet_own_entrez"], rows[1]["level"]) == ("7157", "0")


@pytest.mark.parametrize("kind", sorted(READABLE))
def test_words_that_mean_something_else_stay_unread(net, kind):
    back = read(net, kind)
    assert back.graph["dagnet"]["unread"] == ["gain"]
    assert dagnet.Network(back).to_networkx().edges["x", "h"]["gain"] == 1


@pytest.mark.parametrize("kind", sorted(READABLE))
def test_what_dagnet_shows_does_not_become_the_users(net, kind):
    back = read(net, kind, dagnet.Observations(np.ones((2, 1)), np.zeros(2)))
    assert back.nodes["x"].keys() == net.to_networkx().nodes["x"].keys()
    assert back.nodes["x"]["level"] == "deep"
    assert back.nodes["h"].keys() == {"activation", "bias"}
    assert back.edges["h", "y"].keys() == {"weight"}


@pytest.mark.parametrize("kind", sorted(READABLE))
def test_what_no_file_can_hold_is_left_out_and_said(kind):
    graph = nx.DiGraph([("x", "h"), ("h", "y")])
    loop = []
    loop.append(loop)
    graph.graph["made by"] = object()
    graph.nodes["h"].update({"parser": object(), 7: "seven", "kept": "yes"})
    graph.edges["x", "h"].update(loop=loop, genes={"a"})
    net = dagnet.Network(graph, seed=0)
    with pytest.warns(
        dagnet.DagnetWarning, match="no graph attribute 'made by' and 4 more: it can hold a str"
    ) as said:
        back = read(net, kind)
    assert len(said) == 1
    assert users_of(back)[0] == {}
    assert back.nodes["h"] == {"activation": "relu", "bias": 0.0, "kept": "yes"}


def test_columns_have_one_kind_where_the_format_wants_that(tmp_path):
    graph = nx.DiGraph([("x", "h"), ("h", "y")])
    nx.set_node_attributes(graph, {"x": 3, "h": "three", "y": True}, "mixed")
    net = dagnet.Network(graph, seed=0)
    for suffix, reader in (("graphml", nx.read_graphml), ("gexf", nx.read_gexf)):
        net.export(tmp_path / f"g.{suffix}")
        nodes = reader(tmp_path / f"g.{suffix}").nodes
        assert (nodes["x"]["mixed"], nodes["h"]["dagnet_own_mixed"]) == (3, '"three"')


def test_attributes_of_other_programs_stay_as_they_are(tmp_path):
    graph = nx.DiGraph([("x", "y", {"bias": "strong", "level": "high"})])
    graph.graph["title"] = "a pathway"
    graph.nodes["x"].update(level="3", weight="0.5", role="kinase", gradient="no")
    nx.write_graphml(graph, tmp_path / "g.graphml")
    back = dagnet.read_graph(tmp_path / "g.graphml")
    assert (back.graph, back.nodes["x"], back.edges["x", "y"]) == (
        *(graph.graph, graph.nodes["x"]),
        graph.edges["x", "y"],
    )


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ('dagnet_own_{"tuple":[]}', '"a"', "an attribute's name must be text"),
        ('dagnet_own_"x', '"a"', "no valid JSON"),
        ("dagnet_own_x", 3, "must be typed JSON"),
        ("dagnet_own_x", '{"dict":[[[],1]]}', "must be typed JSON"),
        ("dagnet_own_x", '{"dict":[[1,1],[1,2]]}', "must be typed JSON"),
        ("dagnet_own_x", '{"dict":3}', "must be typed JSON"),
        ("dagnet_own_x", '{"array":["object",[1],["a"]]}', "must be typed JSON"),
        ("dagnet_own_x", '{"array":["int64",[2],[1]]}', "must be typed JSON"),
    ],
)
def test_what_dagnet_would_not_write_is_refused(key, text, message):
    data = {"nodes": [{"id": "x", key: text}], "edges": []}
    with pytest.raises(dagnet.FormatError, match=message):
        READABLE["json"].read(io.BytesIO(json.dumps(data).encode()))
