"""CSV: one table of a network's nodes and edges, and bare edge lists."""

from __future__ import annotations

import contextlib
import csv
import io
import threading
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import networkx as nx

from dagnet.contracts import Observations
from dagnet.errors import FormatError, did_you_mean, expected, shorten
from dagnet.formats import bounded
from dagnet.formats.annotated import annotated
from dagnet.formats.plain_attributes import COLUMNS, PREFIX, add_edge, flatten, restored
from dagnet.model import Model

FIRST = ("kind", "name", "source", "target")
LONGEST_CELL = 1 << 28
KINDS = {float: "a number", int: "a whole number", bool: "true or false"}
_csv_limit = threading.Lock()


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
        before = csv.field_size_limit(LONGEST_CELL)
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
