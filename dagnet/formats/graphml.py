"""GraphML: written and read by NetworkX, after a guard has seen that the XML is harmless."""

from __future__ import annotations

import io
from typing import Any, BinaryIO
from xml.parsers import expat

import networkx as nx

from dagnet.contracts import Observations
from dagnet.errors import FormatError, expected, shorten
from dagnet.formats.annotated import annotated
from dagnet.formats.files import bounded
from dagnet.formats.plain_attributes import flattened, restored
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
