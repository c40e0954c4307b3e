"""DOT, the language of Graphviz: what dagnet writes, and other files without subgraphs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, BinaryIO

import networkx as nx

from dagnet.errors import FormatError, Verbatim, expected
from dagnet.formats import bounded_text
from dagnet.formats.plain_attributes import OWN, PREFIX, add_edge, restored

TOKEN = re.compile(
    r"""(?P<blank>\s+|//[^\n]*|/\*.*?\*/|\#[^\n]*)
    |"(?P<quoted>[^"\\]*(?:\\.[^"\\]*)*)"
    |(?P<symbol>->|--|[{}\[\];,=:])
    |(?P<name>-?(?:\.\d+|\d+(?:\.\d*)?)|[^\W\d]\w*|<[^<>]*(?:<[^<>]*>[^<>]*)*>)
    |(?P<end>\Z)""",
    re.VERBOSE | re.DOTALL,
)


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
            attributes.update(
                {key if key.startswith(OWN) else key.removeprefix(PREFIX): said[key] for key in said}
            )
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
