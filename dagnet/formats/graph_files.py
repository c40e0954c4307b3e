"""GraphML, GEXF, node-link JSON and Cytoscape's JSON: as NetworkX arranges them, read behind a guard."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any, BinaryIO
from xml.parsers import expat

import networkx as nx

from dagnet.contracts import Observations
from dagnet.errors import FormatError, expected, shorten
from dagnet.formats import bounded
from dagnet.formats.annotated import annotated
from dagnet.formats.plain_attributes import add_edge, flattened, parse_json, restored
from dagnet.model import Model

DEEPEST = 32
LONGEST_TEXT = 1 << 28


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
        _add_edge(flat, edge, f"edges[{number}]")
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


def _add_edge(flat: nx.DiGraph[Any], edge: dict[str, Any], where: str) -> None:
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
