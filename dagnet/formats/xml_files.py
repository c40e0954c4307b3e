"""GraphML and GEXF: written and read by NetworkX, after a guard has seen that the XML is harmless."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO
from xml.parsers import expat

import networkx as nx
from networkx.readwrite.graphml import GraphMLReader

from dagnet.contracts import Observations
from dagnet.errors import DagnetWarning, FormatError, expected, shorten
from dagnet.formats import SETTINGS, bounded
from dagnet.formats.annotated import annotated
from dagnet.formats.plain_attributes import FLAGS, dumps, flattened, own_key, restored, simple
from dagnet.formats.users import GEXF, GRAPHML
from dagnet.model import Model

DEEPEST = 32
LONGEST_TEXT = 1 << 28
TYPES: dict[str, Callable[[str], Any]] = {
    "boolean": {**FLAGS, "1": True, "0": False}.__getitem__,
    **dict.fromkeys(("int", "long"), int),
    **dict.fromkeys(("float", "double"), float),
    "string": str,
}


def write_graphml(model: Model, stream: BinaryIO, observations: Observations | None) -> None:
    """Write a network as GraphML."""
    nx.write_graphml(flattened(annotated(model, observations, GRAPHML)), stream)


def write_gexf(model: Model, stream: BinaryIO, observations: Observations | None) -> None:
    """Write a network as GEXF, which Gephi opens; the graph's name are its settings."""
    flat = flattened(annotated(model, observations, GEXF))
    for *owner, attributes in (*flat.nodes(data=True), *flat.edges(data=True)):
        label = attributes.get("label", "")  # it is text, and a node's is its name if nothing else
        if type(label) is not str or [label] == owner:
            attributes[own_key("label")] = dumps(attributes.pop("label"), "label")
    flat.graph["name"] = flat.graph["dagnet"]  # GEXF has no other attribute of graphs
    nx.write_gexf(flat, stream)


def read_graphml(stream: BinaryIO) -> nx.DiGraph[Any]:
    """Read a graph from GraphML.

    FormatError for anything but one directed graph without parallel edges in well-formed XML, without
    document types and entities.
    """
    reader = _Reader()
    flat = _read(lambda file: next(reader(path=file)), stream, "GraphML", 'edgedefault="directed"')
    return with_defaults(flat, reader.defaults)


def read_gexf(stream: BinaryIO) -> nx.DiGraph[Any]:
    """Read a graph from GEXF; the labels of nodes that are not their ids stay attributes.

    FormatError as for :func:`read_graphml`.
    """
    flat = _read(nx.read_gexf, stream, "GEXF", 'defaultedgetype="directed"')
    for name, attributes in flat.nodes(data=True):
        if attributes["label"] in (name, None):
            del attributes["label"]
    if flat.graph.get("name", "").startswith(SETTINGS):
        flat.graph["dagnet"] = flat.graph.pop("name")
    return with_defaults(flat, {kind: flat.graph.get(f"{kind}_default", {}) for kind in ("node", "edge")})


def _read(read: Callable[[BinaryIO], Any], stream: BinaryIO, kind: str, mend: str) -> nx.DiGraph[Any]:
    data = bounded(stream)
    _Guard(kind).check(data)
    try:
        graph = read(io.BytesIO(data))
    except Exception as error:  # strangers' files break NetworkX in many ways
        raise FormatError(f"no {kind} that NetworkX can read: {shorten(error, 200)}") from error
    for _, _, attributes in graph.edges(data=True):
        attributes.pop("id", None)
    return simple(graph, mend)


def with_defaults(flat: nx.DiGraph[Any], defaults: Mapping[str, Mapping[str, Any]]) -> nx.DiGraph[Any]:
    """The graph that a flat one stands for, with the defaults that its file gives attributes.

    An activation is no default of nodes without parents, for inputs may have none.
    """
    for key in ("node_default", "edge_default", "mode"):  # NetworkX's own
        flat.graph.pop(key, None)
    for kind, owners in (("node", flat.nodes(data=True)), ("edge", flat.edges(data=True))):
        for *owner, attributes in owners if defaults[kind] else ():
            given = {**defaults[kind], **attributes}
            if kind == "node" and not flat.pred[owner[0]] and "activation" not in attributes:
                given.pop("activation", None)
            attributes.update(given)
    return restored(flat)


class _Reader(GraphMLReader):
    """NetworkX's, which takes the default ``false`` for True, and refuses odd types and defaults."""

    def find_graphml_keys(self, graph_element: Any) -> Any:
        """The keys; their defaults are in ``defaults``, by what they are for."""
        self.defaults: dict[str, dict[str, Any]] = {"node": {}, "edge": {}}
        for key in graph_element.findall(f"{{{self.NS_GRAPHML}}}key"):
            name, kind = key.get("attr.name", key.get("id")), key.get("attr.type", "string")
            key.attrib.update({"attr.name": name, "attr.type": kind if kind in TYPES else "string"})
            for default in key.findall(f"{{{self.NS_GRAPHML}}}default"):
                key.remove(default)
                text = (default.text or "").strip()
                try:
                    value = TYPES.get(kind, str)(text.lower() if kind == "boolean" else text)
                except (ValueError, KeyError):
                    said = f"key {shorten(name)}: its default {shorten(text)} is no {shorten(kind)}"
                    warnings.warn(f"{said}; it is left out", DagnetWarning, stacklevel=6)
                else:
                    for owner in {key.get("for"), *(self.defaults if key.get("for") == "all" else ())}:
                        self.defaults.get(owner, {}).update({name: value} if text else {})
        return super().find_graphml_keys(graph_element)  # type: ignore[no-untyped-call]


class _Guard:
    """Refuses what is not well-formed, deep, long, or defines anything of its own."""

    def __init__(self, kind: str) -> None:
        self.kind, self.root = kind, kind.lower()
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
            raise FormatError(f"the XML is nested more than {DEEPEST} deep; {self.kind} is not")
        local = tag.rpartition(":")[2]
        if self.depth == 1 and local != self.root:
            raise FormatError(f"no {self.kind}: the outermost element is <{tag[:40]}>, not <{self.root}>")
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
