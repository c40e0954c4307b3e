"""GraphML, GEXF, node-link JSON and Cytoscape's JSON as NetworkX arranges them; CSV tables and edge lists."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import threading
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO
from xml.parsers import expat

import networkx as nx

from dagnet.contracts import Observations
from dagnet.errors import FormatError, did_you_mean, expected, shorten
from dagnet.formats import bounded
from dagnet.formats.annotated import annotated
from dagnet.formats.plain_attributes import (
    COLUMNS,
    PREFIX,
    add_edge,
    flatten,
    flattened,
    parse_json,
    restored,
)
from dagnet.model import Model

DEEPEST = 32
LONGEST_TEXT = 1 << 28
FIRST = ("kind", "name", "source", "target")
KINDS = {float: "a number", int: "a whole number", bool: "true or false"}
_csv_limit = threading.Lock()


def write_graphml(model: Model, stream: BinaryIO, observations: Observations | None) -> None:
    """Write a network as GraphML."""
    nx.write_graphml(flattened(annotated(model, observations)), stream)


def write_gexf(model: Model, stream: BinaryIO, observations: Observations | None) -> None:
    """Write a network as GEXF, which Gephi opens."""
    nx.write_gexf(flattened(annotated(model, observations)), stream)


def read_graphml(stream: BinaryIO) -> nx.DiGraph[Any]:
    """Read a graph from GraphML.

    FormatError for anything but one directed graph without parallel edges in well-formed XML, without
    document types and entities.
    """
    data = bounded(stream)
    _Guard().check(data)
    try:
        graph = nx.read_graphml(io.BytesIO(data))
    except Exception as error:  # strangers' files break NetworkX in many ways
        raise FormatError(f"no GraphML that NetworkX can read: {shorten(error, 200)}") from error
    if not graph.is_directed():
        raise FormatError('the graph is undirected; a network needs edgedefault="directed"')
    if graph.is_multigraph():
        raise FormatError("the graph has parallel edges; a network has one weight an edge: merge them")
    # Attributes of NetworkX's own, which no file has asked for.
    for key in ("node_default", "edge_default"):
        graph.graph.pop(key, None)
    for _, _, attributes in graph.edges(data=True):
        attributes.pop("id", None)
    return restored(nx.DiGraph(graph))


class _Guard:
    """Refuses what is not well-formed, deep, long, or defines anything of its own."""

    def __init__(self) -> None:
        self.depth = self.text = 0
        self.nodes: set[str] = set()
        self.ends: set[str] = set()

    def check(self, data: bytes) -> None:
        parser = expat.ParserCreate()
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = self._refuse
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        try:
            parser.Parse(data, True)
        except expat.ExpatError as error:
            raise FormatError(f"no well-formed XML: {error}") from None
        except FormatError:
            raise
        except (LookupError, ValueError) as error:
            raise FormatError(f"no readable XML: {error}") from None
        for name in self.ends - self.nodes:
            raise FormatError(f"an edge joins {shorten(name)}, but there is no such node")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth, self.text = self.depth + 1, 0
        if self.depth > DEEPEST:
            raise FormatError(f"the XML is nested more than {DEEPEST} deep; GraphML is not")
        local = tag.rpartition(":")[2]
        if self.depth == 1 and local != "graphml":
            raise FormatError(f"no GraphML: the outermost element is <{tag[:40]}>, not <graphml>")
        if local == "node":
            name = attributes.get("id")
            if name is None or name in self.nodes:
                raise FormatError(expected("a node's id", "there, and not there twice", name))
            self.nodes.add(name)
        elif local == "edge":
            if "source" not in attributes or "target" not in attributes:
                raise FormatError(expected("an edge", "an element with source and target", attributes))
            self.ends.update((attributes["source"], attributes["target"]))

    def _end(self, _: str) -> None:
        self.depth -= 1

    def _characters(self, piece: str) -> None:
        self.text += len(piece)
        if self.text > LONGEST_TEXT:
            raise FormatError(f"the XML has a text of more than {LONGEST_TEXT:,} characters")

    def _refuse(self, *_: object) -> None:
        raise FormatError("the XML has a document type or entities (<!DOCTYPE …>); remove them")


def write_nodelink(model: Model, stream: BinaryIO, observations: Observations | None) -> None:
    """Write a network as node-link JSON."""
    flat = flattened(annotated(model, observations), native=True)
    _dump(nx.node_link_data(flat, edges="edges"), stream)  # before 3.6 NetworkX says "links" by itself


def write_cytoscape(model: Model, stream: BinaryIO, observations: Observations | None) -> None:
    """Write a network as JSON for Cytoscape and cytoscape.js."""
    _dump(nx.cytoscape_data(flattened(annotated(model, observations))), stream)


def _dump(data: dict[str, Any], stream: BinaryIO) -> None:
    stream.write(json.dumps(data, allow_nan=False, separators=(",", ":")).encode("ascii"))
    stream.write(b"\n")


def read_nodelink(stream: BinaryIO) -> nx.DiGraph[Any]:
    """Read a graph from node-link JSON, with its edges under ``edges`` or ``links``.

    FormatError for anything but one directed graph without parallel edges.
    """
    data = _table(parse_json(bounded(stream), "the file"), "the file", 'an object with "nodes" and "edges"')
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
        flat.add_node(name, **node)
    for number, edge in enumerate(_records(data, "edges", "links")):
        _add_link(flat, edge, f"edges[{number}]")
    return restored(flat)


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
        raise FormatError(
            expected(f"{where}: the name of a node", "text, a number or a list of these", value)
        )
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
    graph = annotated(model, observations)
    ids = flatten(graph)
    edges = [(source, *edge) for source, children in graph.adjacency() for edge in children.items()]
    keys: frozenset[str] = frozenset().union(*graph.nodes.values(), *(data for _, _, data in edges))
    ordered = [key for key in COLUMNS if key in keys] + sorted(key for key in keys if key not in COLUMNS)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*FIRST, *ordered, "dagnet"])
    blank = [""] * len(ordered)
    writer.writerow(["graph", "", "", "", *blank, graph.graph["dagnet"]])
    writer.writerows(
        ["node", ids[name], "", "", *map(attributes.get, ordered), ""]
        for name, attributes in graph.nodes(data=True)
    )
    writer.writerows(
        ["edge", "", ids[source], ids[target], *map(attributes.get, ordered), ""]
        for source, target, attributes in edges
    )
    stream.write(text.getvalue().encode())


def read_csv(stream: BinaryIO) -> nx.DiGraph[Any]:
    """Read a graph from a table that dagnet wrote, or from a list ``source,target[,weight]``.

    Names in a bare list are text; further columns ``trainable`` and ``share`` are read too.

    FormatError for anything else; it names the line.
    """
    try:
        text = bounded(stream).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"the file is no UTF-8 text (byte {error.start})") from None
    with _long_cells():
        return restored(_read_graph(csv_rows(io.StringIO(text, newline=""))))


def csv_rows(text: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of the header, then of each row; an empty line is none.

    FormatError, which begins with the line, for what is no CSV and for rows of another length.
    """
    reader = csv.reader(text, strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
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
        before = csv.field_size_limit(LONGEST_TEXT)
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _read_graph(rows: Iterator[tuple[int, list[str]]]) -> nx.DiGraph[Any]:
    _, header = next(rows)
    if len(set(header)) != len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise FormatError(f"line 1: the column {shorten(twice)} is there twice")
    for name in ("source", "target"):
        if name not in header:
            mend = did_you_mean(name, header)
            raise FormatError(f"line 1: no column {name!r}; an edge list has source,target[,weight]{mend}")
    flat: nx.DiGraph[Any] = nx.DiGraph()
    for line, cells in rows:
        record = {key: cell for key, cell in zip(header, cells, strict=True) if cell}
        _add(flat, record, f"line {line}", listed="kind" in header)
    return flat


def _add(flat: nx.DiGraph[Any], record: dict[str, str], where: str, *, listed: bool) -> None:
    kind = record.pop("kind", "") if listed else "edge"
    if kind == "graph":
        flat.graph["dagnet"] = record.get("dagnet", "{}")
    elif kind == "node":
        name = record.pop("name", "")
        if not name or name in flat:
            raise FormatError(expected(f"{where}: name", "a node's name that no line had before", name))
        flat.add_node(name, **_values(record, where))
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
    add_edge(flat, (source, target), _values(record, where), where)


def _values(record: dict[str, str], where: str) -> dict[str, Any]:
    return {
        key: cell if key.startswith(PREFIX) else _value(cell, COLUMNS.get(key, str), f"{where}: {key}")
        for key, cell in record.items()
        if key != "dagnet"
    }


def _value(cell: str, kind: type, where: str) -> Any:
    if kind is str:
        return cell
    text = cell.lower()
    try:
        if "_" not in text:
            return {"true": True, "false": False}[text] if kind is bool else kind(text)
    except (ValueError, KeyError):
        pass
    raise FormatError(expected(where, KINDS[kind], cell))
