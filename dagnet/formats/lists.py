"""Formats that are only read: GML through NetworkX, and those of biology, a line a fact."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import networkx as nx

from dagnet.errors import FormatError, expected, shorten
from dagnet.formats import bounded_text
from dagnet.formats.graph_files import read_csv, usual
from dagnet.formats.plain_attributes import MERGE, restored, simple


def read_gml(stream: BinaryIO) -> nx.DiGraph[Any]:
    """Read a graph from GML; nodes are named by their labels where each has its own, else by their ids.

    FormatError for anything but one directed graph without parallel edges.
    """
    lines = bounded_text(stream).replace("\r", "").split("\n")
    try:  # no destringizer: text stays text, and nothing is evaluated
        try:
            graph = nx.parse_gml(lines)
        except nx.NetworkXError:
            graph = nx.parse_gml(lines, label="id")
    except Exception as error:  # strangers' files break NetworkX in many ways
        mend = f"; {MERGE}" if "edge #" in str(error) and "duplicated" in str(error) else ""
        raise FormatError(f"no GML that NetworkX can read: {shorten(error, 200)}{mend}") from error
    for *_, attributes in (*graph.nodes(data=True), *graph.edges(data=True)):
        if type(attributes.get("trainable")) is int:  # GML has no flags
            attributes["trainable"] = bool(attributes["trainable"])
    return restored(simple(graph, '"directed 1"'))


def read_sif(stream: BinaryIO) -> nx.DiGraph[Any]:
    """Read a graph from SIF: lines ``source interaction target …``, or the name of a lone node.

    Cells are separated by tabs if the file has any, else by blanks.  The edge attribute
    ``interaction`` joins those that stand on several lines.

    FormatError, which names the line, for lines of two cells.
    """
    graph: nx.DiGraph[Any] = nx.DiGraph()
    for where, line, cells in _rows(bounded_text(stream)):
        source, *rest = filter(None, cells)
        if len(rest) == 1:
            raise FormatError(expected(where, "a node, or source, interaction and targets", line.strip()))
        graph.add_node(source)
        for target in rest[1:]:
            _relate(graph, source, target, "interaction", rest[0])
    return graph


def read_txt(stream: BinaryIO) -> nx.DiGraph[Any]:
    """Read a graph from lines ``parent child``, perhaps with a third cell: the edge's type.

    Third cells are weights if all are numbers.  Tabs separate if the file has any, else blanks; lines
    that begin with ``#`` are left out.  :func:`read_csv` reads a file whose first line is a header.

    FormatError, which names the line, for lines of other lengths.
    """
    text = bounded_text(stream)
    rows = [row for row in _rows(text) if not row[1].startswith("#")]
    if rows and {"source", "target"} <= set(usual(re.split(r"[\t,; ]+", rows[0][1]))):
        return read_csv(io.BytesIO(text.encode()))
    graph: nx.DiGraph[Any] = nx.DiGraph()
    key = "type"
    with contextlib.suppress(ValueError):
        key = "weight" if [float(cells[2]) for *_, cells in rows if len(cells) == 3] else key
    for where, line, cells in rows:
        if len(cells) not in {2, 3} or not all(cells):
            must = "a parent, a child and perhaps a type, with tabs or blanks between"
            raise FormatError(expected(where, must, line))
        graph.add_edge(*cells[:2])
        if cells[2:]:
            _relate(graph, cells[0], cells[1], key, cells[2])
    return restored(graph)


def read_gmt(stream: BinaryIO) -> nx.DiGraph[Any]:
    """Read sets of genes from GMT: edges gene → set; the set's ``description`` is kept.

    FormatError, which names the line, where a set is there twice or has no genes.
    """
    graph: nx.DiGraph[Any] = nx.DiGraph()
    sets: set[str] = set()
    for where, line in _lines(bounded_text(stream)):
        name, *rest = [cell.strip() for cell in line.split("\t")]
        genes = [gene for gene in rest[1:] if gene]
        if not (name and genes):
            raise FormatError(expected(where, "a set, a description and genes, with tabs between", line))
        if name in sets:
            raise FormatError(f"{where}: the set {shorten(name)} is there twice; merge the two")
        sets.add(name)
        graph.add_nodes_from([(name, {"description": rest[0]} if rest[0] else {})])
        graph.add_edges_from((gene, name) for gene in genes)
    return graph


def read_obo(stream: BinaryIO) -> nx.DiGraph[Any]:
    """Read an ontology from OBO: edges child → parent for ``is_a`` and ``part_of``.

    Nodes are named by their ids and have the attribute ``name``, edges ``relation``; obsolete terms
    are left out.

    FormatError, which names the line, for what is no OBO.
    """
    stanza: dict[str, list[str]] = {}
    terms: dict[str, dict[str, list[str]]] = {}
    for where, line in _lines(bounded_text(stream)):
        tag, colon, value = (part.strip() for part in line.partition(":"))
        if tag.startswith("["):
            stanza = {"": [tag]}
        elif not tag.startswith("!"):
            if not (tag and colon) or (tag == "id" and (not value or value in terms)):
                raise FormatError(expected(where, "tag: value, and an id not there twice", line))
            stanza.setdefault(tag, []).append(value)
            if tag == "id" and stanza.get("") == ["[Term]"]:
                terms[value] = stanza
    if not terms:
        raise FormatError("no OBO: the file has no [Term] with an id")
    kept = {term: said for term, said in terms.items() if "true" not in said.get("is_obsolete", ())}
    graph: nx.DiGraph[Any] = nx.DiGraph()
    named = ((term, {"name": said["name"][0]} if "name" in said else {}) for term, said in kept.items())
    graph.add_nodes_from(named)
    for term, said in kept.items():
        related = [f"is_a {value}" for value in said.get("is_a", ())] + said.get("relationship", [])
        for relation, parent, *_ in (words for words in map(str.split, related) if len(words) > 1):
            if relation in {"is_a", "part_of"} and (parent in kept or parent not in terms):
                _relate(graph, term, parent, "relation", relation)
    return graph


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Lines that are not blank, each with words for where it stands."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"line {number}", line.rstrip("\r")


def _rows(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """The same with their cells, between tabs if the text has any, else between blanks."""
    for where, line in _lines(text):
        yield where, line, [cell.strip() for cell in line.split("\t" if "\t" in text else None)]


def _relate(graph: nx.DiGraph[Any], source: str, target: str, key: str, relation: str) -> None:
    """An edge, which may be there with another relation."""
    known = graph.get_edge_data(source, target, {}).get(key, relation).split(", ")
    graph.add_edge(source, target, **{key: ", ".join(dict.fromkeys([*known, relation]))})
