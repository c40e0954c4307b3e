"""Malformed, huge and hostile files are refused in bounded time and memory."""

import csv
import io
import re
import tracemalloc

import pytest
from data.strategies import network
from hypothesis import given, settings
from hypothesis import strategies as st

import dagnet

FEW = settings(deadline=None, derandomize=True, max_examples=40)
READABLE = {name: item for name, item in dagnet.exporters().items() if item.read is not None}

GRAPHML = '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
NAMED = '<key id="d" for="node" attr.name="dagnet_name" attr.type="string"/>'
WEIGHT = '<key id="d" for="edge" attr.name="weight" attr.type="double"/>'


def graphml(inside, keys=""):
    return f'{GRAPHML}{keys}<graph edgedefault="directed">{inside}</graph></graphml>'


def edge_of(weight, keys=WEIGHT):
    return graphml(
        f'<node id="a"/><node id="b"/><edge source="a" target="b"><data key="d">{weight}</data></edge>', keys
    )


REFUSED = {
    "graphml": [
        ("", "no well-formed XML"),
        ("<a/>", "outermost element is <a>"),
        ("<graphml>", "no well-formed XML"),
        ("\0" * 100, "no well-formed XML"),
        ('<!DOCTYPE g [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + graphml("&b;"), "document type"),
        ('<!DOCTYPE g SYSTEM "file:///etc/passwd">' + graphml(""), "document type"),
        (GRAPHML + "<graph>" * 100_000, "nested more than 32"),
        (GRAPHML + "</graphml>", "NetworkX can read"),
        (graphml("").replace("directed", "undirected"), "undirected"),
        (graphml("<node/>"), "node's id"),
        (graphml('<node id="a"/><node id="a"/>'), "not there twice"),
        (graphml('<node id="a"/><edge source="a" target="b"/>'), "no such node"),
        (graphml('<node id="a"/><edge source="a"/>'), "source and target"),
        (graphml('<node id="a"/>' + '<edge source="a" target="a"/>' * 2), "parallel edges"),
        (edge_of("nan"), "weight must be finite"),
        (edge_of("1e999"), "weight must be finite"),
        (edge_of("9" * 100_000, WEIGHT.replace("double", "int")), "NetworkX can read"),
        (graphml('<node id="a"><data key="d">{"tuple":[["x"]]}</data></node>', NAMED), "name of its own"),
        (graphml(f'<node id="a"><data key="d">{"[" * 100_000}</data></node>', NAMED), "nested too deep"),
        (graphml('<node id="a"><data key="d">{"new":1}</data></node>', NAMED), "typed JSON"),
        ('<?xml version="1.0" encoding="rot13"?>' + graphml(""), "no readable XML"),
    ],
    "json": [
        ("", "no valid JSON"),
        ("[" * 1_000_000, "nested too deep"),
        ('{"nodes":' * 100_000, "nested too deep"),
        ("[]", "must be an object"),
        ("{}", 'no "nodes"'),
        ('{"nodes":{},"edges":[]}', "must be a list"),
        ('{"nodes":[1],"edges":[]}', "must be an object"),
        ('{"nodes":[{}],"edges":[]}', 'no "id"'),
        ('{"nodes":[{"id":{}}],"edges":[]}', "name of a node"),
        ('{"nodes":[{"id":null}],"edges":[]}', "name of a node"),
        ('{"nodes":[{"id":1},{"id":1}],"edges":[]}', "there twice"),
        ('{"nodes":[{"id":1}],"edges":[{"source":1,"target":2}]}', "no node 2"),
        ('{"nodes":[{"id":1}],"edges":[{"source":1}]}', 'no "target"'),
        ('{"nodes":[{"id":1,"bias":NaN}],"edges":[]}', "NaN is no JSON number"),
        ('{"nodes":[{"id":1,"bias":1e999}],"edges":[]}', "bias must be finite"),
        ('{"nodes":[{"id":1,"bias":[1,[2]]}],"edges":[]}', "table of numbers"),
        ('{"nodes":[{"id":1,"bias":%s}],"edges":[]}' % ("1" * 100_000), "no valid JSON"),
        ('{"nodes":[{"id":1,"id":2}],"edges":[]}', "key is there twice"),
        ('{"graph":[],"nodes":[],"edges":[]}', "must be an object"),
        ('{"graph":{"dagnet":"x"},"nodes":[],"edges":[]}', "no valid JSON"),
        ('{"graph":{"dagnet":{"format":99}},"nodes":[],"edges":[]}', "format 99"),
        ('{"directed":false,"nodes":[],"edges":[]}', "undirected"),
        (b"\x80abc", "not UTF-8"),
    ],
    "csv": [
        ("", "no column 'source'"),
        ("a,b\n1,2\n", "no column 'source'"),
        ("source,target,source\n", "there twice"),
        ("source,tagret\na,b\n", "no column 'target'"),
        ("source,target\na\n", "line 2 must be 2 cells"),
        ("source,target\na,\n", "'target' is empty"),
        ("source,target\na,b\na,b\n", "line 3: edge 'a' → 'b' is there twice"),
        ("source,target,weight\na,b,x\n", "line 2: weight must be a number, got 'x'"),
        ("source,target,weight\na,b,1_0\n", "must be a number"),
        ("source,target,weight\na,b,nan\n", "weight must be finite"),
        ("source,target,trainable\na,b,maybe\n", "true or false"),
        ('source,target\n"a,b\n', "no valid CSV"),
        ("kind,source,target,name\nedge,a,b,\n", "no line for the node 'a'"),
        (
            "kind,source,target,name\nnode,,,a\nnode,,,a\n",
            "line 3: name must be a node's name that no line had",
        ),
        ("kind,source,target,name\nfoo,a,b,\n", "graph, node or edge"),
        ("kind,source,target,name,units\nnode,,,a,1.5\n", "whole number"),
        (b"source,target\n\xff,b\n", "no UTF-8"),
    ],
}


@pytest.mark.parametrize(
    ("kind", "text", "message"), [(kind, *case) for kind, cases in REFUSED.items() for case in cases]
)
def test_hostile_files_are_refused(kind, text, message, tmp_path):
    path = tmp_path / f"g.{kind}"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(dagnet.FormatError, match=re.escape(message)) as caught:
        dagnet.read_graph(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 600


def test_huge_files_are_not_read_to_their_end(monkeypatch, tmp_path):
    monkeypatch.setattr(dagnet.formats, "LARGEST", 1 << 20)
    for exporter in READABLE.values():
        path = tmp_path / f"g{exporter.suffix}"
        with path.open("wb") as stream:
            stream.truncate(1 << 32)  # a sparse file
        tracemalloc.start()
        with pytest.raises(dagnet.FormatError, match="larger than 1 MiB"):
            dagnet.read_graph(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 23
        tracemalloc.stop()


@FEW
@given(data=st.data(), kind=st.sampled_from(sorted(READABLE)))
def test_damaged_files_are_read_or_refused(data, kind):
    stream = io.BytesIO()
    READABLE[kind].write(dagnet.Network(dagnet.layered([2, 1]), seed=0), stream, None)
    whole = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=6))
    try:
        graph = READABLE[kind].read(io.BytesIO(bytes(whole)))
        network(graph)
    except dagnet.DagnetError:
        pass


def test_the_csv_module_keeps_its_limit(tmp_path):
    before = csv.field_size_limit()
    (tmp_path / "g.csv").write_text("source,target\na\n")
    with pytest.raises(dagnet.FormatError):
        dagnet.read_graph(tmp_path / "g.csv")
    (tmp_path / "g.csv").write_text(f"source,target\na,{'b' * (before + 10)}\n")
    assert len(dagnet.read_graph(tmp_path / "g.csv")) == 2
    assert csv.field_size_limit() == before


def test_a_network_where_a_graph_is_wanted_and_a_graph_where_a_network_is_say_what_opens_them(tmp_path):
    net = dagnet.Network(dagnet.layered([1, 1]), seed=0)
    with pytest.raises(dagnet.DataError, match=r"is no known format; use dagnet\.load; what can be read"):
        dagnet.read_graph(tmp_path / "net.dagnet")
    with pytest.raises(dagnet.DataError, match=r"is no known format; use net\.save; what can be written"):
        net.export(tmp_path / "net.dagnet")
    net.export(tmp_path / "net.csv")
    with pytest.raises(dagnet.FormatError, match=r"open a graph with dagnet\.read_graph$"):
        dagnet.load(tmp_path / "net.csv")
