"""Node-link JSON and Cytoscape's JSON as NetworkX arranges them; CSV tables and edge lists."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import networkx as nx

from dagnet.contracts import Observations
from dagnet.errors import FormatError, did_you_mean, expected, shorten
from dagnet.formats import bounded, bounded_text
from dagnet.formats.annotated import annotated
from dagnet.formats.plain_attributes import (
    COLUMNS,
    PREFIX,
    add_edge,
    as_kind,
    flatten,
    flattened,
    parse_json,
    restored,
)
from dagnet.formats.users import CSV, CYTOSCAPE, JSON
from dagnet.model import Model

FIRST = ("kind", "name", "source", "target")
ENDS = (("source", "target"), ("parent", "child"), ("from", "to"))
EDGE_COLUMNS: dict[str, type] = {"weight": float, "trainable": bool, "share": str}
LONGEST_CELL = 1 << 28
LONGEST_HEADER = 1 << 20
USUAL = "source,target[,weight], parent,child or from,to"
KINDS = {float: "a number", int: "a whole number", bool: "true or false"}
_csv_limit = threading.Lock()


def write_nodelink(model: Model, stream: BinaryIO, observations: Observations | None) -> None:
    """Write a network as node-link JSON."""
    flat = flattened(annotated(model, observations, JSON), native=True)
    _dump(nx.node_link_data(flat, edges="edges"), stream)  # before 3.6 NetworkX says "links" by itself


def write_cytoscape(model: Model, stream: BinaryIO, observations: Observations | None) -> None:
    """Write a network as JSON for Cytoscape and cytoscape.js."""
    _dump(nx.cytoscape_data(flattened(annotated(model, observations, CYTOSCAPE))), stream)


def _dump(data: dict[str, Any], stream: BinaryIO) -> None:
    stream.write(json.dumps(data, allow_nan=False, separators=(",", ":")).encode("ascii"))
    stream.write(b"\n")


def read_nodelink(stream: BinaryIO) -> nx.DiGraph[Any]:
    """Read a graph from node-link JSON, with its edges under ``edges`` or ``links``, or from Cytoscape's.

    FormatError for anything but one directed graph without parallel edges.
    """
    data = _table(parse_json(bounded(stream), "the file"), "the file", 'an object with "nodes" and "edges"')
    if "elements" in data:
        data = _as_nodelink(data)
    if "connections" in data and "network_type" in data:
        mend = "dagnet_neat.from_json, of the plugin dagnet-neat, reads it"
        raise FormatError(f"this is neat-python's JSON; {mend}")
    if data.get("directed", True) is not True:
        raise FormatError('the graph is undirected; a network needs "directed": true')
    flat: nx.DiGraph[Any] = nx.DiGraph()
    flat.graph.update(_table(data.get("graph", {}), '"graph"'))
    for number, node in enumerate(_records(data, "nodes")):
        if "id" not in node:
            raise FormatError(f'nodes[{number}] has no "id"')
        name = _name(node.pop("id"), f"nodes[{number}]")
        if name in flat:
            raise FormatError(f"node {shorten(name)} is there twice")
        flat.add_nodes_from([(name, node)])
    for number, edge in enumerate(_records(data, "edges", "links")):
        _add_link(flat, edge, f"edges[{number}]")
    return restored(flat)


def _as_nodelink(data: dict[str, Any]) -> dict[str, Any]:
    """Cytoscape's JSON in the other arrangement.

    Names are the ids; of what Cytoscape 3 exports, whose ids are its own numbers, the names if they differ.
    """
    elements = _table(data["elements"], '"elements"')
    nodes, edges = (
        [_table(record.get("data"), f"data in {kind}") for record in _records(elements, kind)]
        for kind in ("nodes", "edges")
    )
    named = [node["name"] for node in nodes if "SUID" in node and isinstance(node.get("name"), str)]
    key = "name" if len(set(named)) == len(nodes) else "id"
    names = {str(node.get("id")): node.get(key) for node in nodes}
    for node in nodes:
        name = node["id"] = node.get(key)
        for same in ("name", "value"):  # NetworkX writes all three
            if same in node and node[same] == name:
                del node[same]
    for edge in edges:
        edge.pop("id", None)
        ends = edge.keys() & {"source", "target"}
        edge.update({end: names.get(str(edge[end]), edge[end]) for end in ends})
    said = data.get("data", {})
    with contextlib.suppress(TypeError, ValueError):
        said = dict(said)  # of NetworkX, a list of pairs
    return {"directed": data.get("directed", True), "graph": said, "nodes": nodes, "edges": edges}


def _table(value: object, where: str, must: str = "an object") -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise FormatError(expected(where, must, value))


def _records(data: dict[str, Any], *keys: str) -> Iterator[dict[str, Any]]:
    found = [key for key in keys if key in data]
    if not found:
        raise FormatError(f'the file has no "{keys[0]}"; is it node-link JSON?')
    records = data[found[0]]
    if not isinstance(records, list):
        raise FormatError(expected(f'"{found[0]}"', "a list", records))
    for number, record in enumerate(records):
        yield _table(record, f"{found[0]}[{number}]")


def _name(value: Any, where: str, depth: int = 0) -> Any:
    """Lists were tuples before they were JSON."""
    if isinstance(value, list) and depth < 100:
        return tuple(_name(item, where, depth + 1) for item in value)
    if isinstance(value, (dict, list)) or (value is None and depth == 0):
        must = "text, a number or a list of these"
        raise FormatError(expected(f"{where}: the name of a node", must, value))
    return value


def _add_link(flat: nx.DiGraph[Any], edge: dict[str, Any], where: str) -> None:
    ends = []
    for end in ("source", "target"):
        if end not in edge:
            raise FormatError(f'{where} has no "{end}"')
        name = _name(edge.pop(end), where)
        if name not in flat:
            raise FormatError(f"{where}: no node {shorten(name)} among the nodes; list it there")
        ends.append(name)
    edge.pop("key", None)
    add_edge(flat, ends, edge, where)


def write_csv(model: Model, stream: BinaryIO, observations: Observations | None) -> None:
    """Write a network as one table: a row for the graph, then one for each node and each edge."""
    graph = annotated(model, observations, CSV)
    ids = flatten(graph)
    edges = [(source, *edge) for source, children in graph.adjacency() for edge in children.items()]
    keys: frozenset[str] = frozenset().union(*graph.nodes.values(), *(data for _, _, data in edges))
    ordered = [key for key in COLUMNS if key in keys and key not in FIRST]  # a node's target stands there
    ordered += sorted(keys - COLUMNS.keys())
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*FIRST, *ordered, "dagnet"])
    blank = [""] * len(ordered)
    writer.writerow(["graph", "", "", "", *blank, graph.graph["dagnet"]])
    writer.writerows(
        ["node", ids[name], "", attributes.get("target"), *map(attributes.get, ordered), ""]
        for name, attributes in graph.nodes(data=True)
    )
    writer.writerows(
        ["edge", "", ids[source], ids[target], *map(attributes.get, ordered), ""]
        for source, target, attributes in edges
    )
    stream.write(text.getvalue().encode())


def read_csv(stream: BinaryIO) -> nx.DiGraph[Any]:
    """Read a graph from a table that dagnet wrote, or from an edge list.

    The ends of a bare list are ``source,target``, ``parent,child`` or ``from,to``, and text; its other
    columns are the edges' attributes.  These names, and ``weight``, ``trainable`` and ``share``, may be
    in any case; blanks around its cells are dropped.

    FormatError for anything else; it names the line.
    """
    text = bounded_text(stream)
    with _long_cells():
        return restored(_read_graph(csv_rows(text)))


def csv_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of the header, then of each row; an empty line is none.

    Commas, tabs or semicolons separate, whichever the header has most of.

    FormatError, which begins with the line, for what is no CSV and for rows of another length.
    """
    first = text.lstrip("\r\n")[:LONGEST_HEADER].partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=max(",\t;", key=first.count))
    try:
        header = [cell.strip() for cell in next(filter(None, reader), [])]
        yield reader.line_num, header
        for cells in reader:
            if len(cells) == len(header):
                yield reader.line_num, cells
            elif cells:
                must = f"{len(header)} cells long, as the header"
                raise FormatError(expected(f"line {reader.line_num}", must, len(cells)))
    except csv.Error as error:
        raise FormatError(f"line {reader.line_num}: no valid CSV: {error}") from None


@contextlib.contextmanager
def _long_cells() -> Iterator[None]:
    """Matrices are long texts; the csv module's limit is one for the whole process."""
    with _csv_limit:
        before = csv.field_size_limit(LONGEST_CELL)
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _read_graph(rows: Iterator[tuple[int, list[str]]]) -> nx.DiGraph[Any]:
    first, header = next(rows)
    listed = {"kind", "name"} <= set(header)
    if not listed:
        header = usual(header)
    if len(set(header)) != len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise FormatError(f"line {first}: the column {shorten(twice)} is there twice")
    for name in ("source", "target"):
        if name not in header:
            mend = did_you_mean(name, header, listed=6)
            raise FormatError(f"line {max(first, 1)}: no column {name!r}; an edge list has {USUAL}{mend}")
    flat: nx.DiGraph[Any] = nx.DiGraph()
    for line, cells in rows:
        said = cells if listed else map(str.strip, cells)
        record = {key: cell for key, cell in zip(header, said, strict=True) if cell}
        _add(flat, record, f"line {line}", listed=listed)
    return flat


def usual(header: list[str]) -> list[str]:
    """A bare list's header with the names that dagnet knows spelled as it spells them."""
    known = {name for ends in ENDS for name in ends} | EDGE_COLUMNS.keys()
    usual = [name.lower() if name.lower() in known else name for name in header]
    ends = next((ends for ends in ENDS if set(ends) <= set(usual)), ENDS[0])
    spelled = dict(zip(ends, ENDS[0], strict=True))
    return [spelled.get(name, name) for name in usual]


def _add(flat: nx.DiGraph[Any], record: dict[str, str], where: str, *, listed: bool) -> None:
    kind = record.pop("kind", "") if listed else "edge"
    if kind == "graph":
        flat.graph["dagnet"] = record.get("dagnet", "{}")
    elif kind == "node":
        name = record.pop("name", "")
        if not name or name in flat:
            raise FormatError(expected(f"{where}: name", "a node's name that no line had before", name))
        flat.add_nodes_from([(name, _values(record, where, COLUMNS))])
    elif kind == "edge":
        _add_edge(flat, record, where, listed=listed)
    else:
        raise FormatError(expected(f"{where}: kind", "graph, node or edge", kind))


def _add_edge(flat: nx.DiGraph[Any], record: dict[str, str], where: str, *, listed: bool) -> None:
    source, target = record.pop("source", ""), record.pop("target", "")
    for end, name in (("source", source), ("target", target)):
        if not name:
            raise FormatError(f"{where}: the cell {end!r} is empty; an edge has two ends")
        if listed and name not in flat:
            raise FormatError(f"{where}: no line for the node {shorten(name)} before this one")
    if not listed and record.get("Type", "").lower() == "undirected":  # as Gephi writes it
        raise FormatError(f"{where}: the edge is undirected; a network needs directed ones")
    add_edge(flat, (source, target), _values(record, where, COLUMNS if listed else EDGE_COLUMNS), where)


def _values(record: dict[str, str], where: str, kinds: Mapping[str, type]) -> dict[str, Any]:
    return {
        key: cell if key.startswith(PREFIX) else _value(cell, kinds.get(key, str), f"{where}: {key}")
        for key, cell in record.items()
        if key != "dagnet"
    }


def _value(cell: str, kind: type, where: str) -> Any:
    value = as_kind(cell, kind)
    if kind is str or type(value) is not str:
        return value
    mend = "a decimal comma must be a point" if kind is float and "," in cell else ""
    raise FormatError(expected(where, KINDS[kind], cell, mend))
