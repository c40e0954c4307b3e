"""Pictures: SVG, and DOT, the language of Graphviz, which is also read, without subgraphs."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from itertools import pairwise
from typing import Any, BinaryIO

import networkx as nx
import numpy as np

from dagnet.contracts import Observations
from dagnet.drawing import ROLE_FILL, draw, edge_strengths, sign_colour
from dagnet.errors import FormatError, Verbatim, expected
from dagnet.formats import bounded_text
from dagnet.formats.annotated import annotated
from dagnet.formats.plain_attributes import OWN, PREFIX, add_edge, flatten, restored
from dagnet.formats.users import NOTHING
from dagnet.model import Model

SHAPES = {"input": "box", "hidden": "circle", "output": "doublecircle", "constant": "diamond"}
TOKEN = re.compile(
    r"""(?P<blank>\s+|//[^\n]*|/\*.*?\*/|\#[^\n]*)
    |"(?P<quoted>[^"\\]*(?:\\.[^"\\]*)*)"
    |(?P<symbol>->|--|[{}\[\];,=:])
    |(?P<name>-?(?:\.\d+|\d+(?:\.\d*)?)|[^\W\d]\w*|<[^<>]*(?:<[^<>]*>[^<>]*)*>)
    |(?P<end>\Z)""",
    re.VERBOSE | re.DOTALL,
)


def write_svg(model: Model, stream: BinaryIO, _observations: Observations | None) -> None:
    """Write the layered drawing; rows do not show in it."""
    stream.write(draw(model).svg.encode())


def write_dot(model: Model, stream: BinaryIO, observations: Observations | None) -> None:
    """Write a network for Graphviz: shapes by role, lines coloured and as wide as their weights.

    What dagnet knows of nodes and edges stands in attributes that begin with ``dagnet_``;
    ``weight`` means something else in DOT.
    """
    flat = annotated(model, observations, NOTHING)
    stream.writelines(line.encode() for line in _lines(model, flat, flatten(flat)))


def _lines(model: Model, flat: nx.DiGraph[Any], ids: Mapping[Hashable, Any]) -> Iterator[str]:
    yield "digraph {\n  rankdir=LR;\n"
    yield f"  graph [dagnet={_quoted(flat.graph['dagnet'])}];\n"
    yield '  node [style=filled fillcolor="white" fontname="Helvetica"];\n'
    for name, attributes in flat.nodes(data=True):
        role = attributes["role"]
        shape = f'shape={SHAPES[role]} fillcolor="{ROLE_FILL[role]}"'
        yield f"  {_quoted(ids[name])} [{shape}{_named(attributes)}];\n"
    by_source = np.argsort(model.topology.sources, kind="stable")  # the order of a DiGraph's edges
    strengths = np.nan_to_num(edge_strengths(model, model.layout.weights_of(model.parameters)))[by_source]
    widths = 0.3 + 2.7 * np.abs(strengths) / max(float(np.abs(strengths).max(initial=0.0)), 1e-300)
    for (source, target, attributes), weight, width in zip(
        flat.edges(data=True), strengths.tolist(), widths.tolist(), strict=True
    ):
        line = f'color="{sign_colour(weight)}" penwidth={width:.2f}'
        yield f"  {_quoted(ids[source])} -> {_quoted(ids[target])} [{line}{_named(attributes)}];\n"
    yield "}\n"


def _named(attributes: Mapping[str, Any]) -> str:
    keys = [key if key.startswith(OWN) else PREFIX + key for key in attributes]
    names = [key if key.isascii() and key.isidentifier() else _quoted(key) for key in keys]
    pairs = zip(names, attributes.values(), strict=True)
    return "".join(f" {name}={_quoted(str(value))}" for name, value in pairs)


def _quoted(text: str) -> str:
    r"""A DOT string.  Backslashes are doubled, since labels read ``\n`` and ``\N`` as commands."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def read_dot(stream: BinaryIO) -> nx.DiGraph[Any]:
    """Read a graph from DOT; attributes are text, defaults of nodes and edges are for the drawing.

    FormatError, which names the line, for anything but one directed graph without subgraphs and
    parallel edges.
    """
    flat = _Reader(bounded_text(stream)).flat
    if "dagnet" in flat.graph:  # what dagnet says begins with dagnet_, the rest is for Graphviz
        flat.graph = {"dagnet": flat.graph["dagnet"]}
        for *_, attributes in (*flat.nodes(data=True), *flat.edges(data=True)):
            said = {key: attributes[key] for key in attributes if key.startswith(PREFIX)}
            attributes.clear()
            for key, text in said.items():
                attributes[key if key.startswith(OWN) else key.removeprefix(PREFIX)] = text
    return restored(flat)


class _Reader:
    """One token ahead: ``kind`` and ``text``."""

    def __init__(self, text: str) -> None:
        self.flat: nx.DiGraph[Any] = nx.DiGraph()
        self.where, self.tokens = "", self._tokens(text)
        self.kind, self.text = next(self.tokens)
        strict = self._passed("strict")
        self._take("digraph")
        if not self._passed("{"):
            self._name()
            self._take("{")
        while not self._passed("}"):
            self._statement(strict)
            self._passed(";")
        if self.kind != "end":
            raise self._refusal("the end of the file, after one graph")

    def _tokens(self, text: str) -> Iterator[tuple[str, str]]:
        place, line = 0, 1
        while True:
            found = TOKEN.match(text, place)
            self.where = f"line {line}"
            kind, token = (str(found.lastgroup), found[str(found.lastgroup)]) if found else ("", text[place])
            if kind != "blank":
                yield kind, token
            place, line = found.end() if found else place, line + token.count("\n")

    def _refusal(self, must: str) -> FormatError:
        mend = "dagnet reads no subgraphs and no undirected graphs: networkx.nx_pydot.read_dot does"
        return FormatError(expected(self.where, must, Verbatim(self.text[:40] or "the end"), mend))

    def _passed(self, text: str) -> bool:
        same = self.kind in {"symbol", "name"} and self.text.lower() == text
        if same:
            self.kind, self.text = next(self.tokens)
        return same

    def _take(self, text: str) -> None:
        if not self._passed(text):
            raise self._refusal(f"{text!r}")

    def _name(self) -> str:
        kind, text = self.kind, self.text
        if kind not in {"name", "quoted"} or (kind == "name" and text.lower() == "subgraph"):
            raise self._refusal("a name")
        self.kind, self.text = next(self.tokens)
        return re.sub(r'\\(["\\])|\\\r?\n', r"\1", text) if kind == "quoted" else text

    def _attributes(self) -> dict[str, str]:
        found: dict[str, str] = {}
        while self._passed("["):
            while not self._passed("]"):
                key = self._name()
                found[key] = self._name() if self._passed("=") else "true"
                self._passed(";") or self._passed(",")
        return found

    def _statement(self, strict: bool) -> None:  # noqa: FBT001 - private
        where, keyword = self.where, self.kind == "name" and self.text.lower()
        nodes = [self._name()]
        if self._passed("="):
            self.flat.graph[nodes[0]] = self._name()
            return
        if keyword in {"graph", "node", "edge"}:
            self.flat.graph.update(self._attributes() if keyword == "graph" else {})
            self._attributes()
            return
        while self._passed("->"):
            nodes.append(self._name())
        attributes = self._attributes()
        self.flat.add_nodes_from(nodes)
        if len(nodes) == 1:
            self.flat.nodes[nodes[0]].update(attributes)
        for edge in pairwise(nodes):
            if not (strict and self.flat.has_edge(*edge)):
                add_edge(self.flat, edge, dict(attributes), where)
