"""The files of the commands: networks by suffix, and tables, whose odd cells are named by row and column."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from dagnet.arrays import Array
from dagnet.errors import DataError, FormatError, did_you_mean, expected, shorten
from dagnet.formats import export, read_graph, readers
from dagnet.formats.graph_files import csv_rows
from dagnet.network import Network, load
from dagnet.registry import exporters
from dagnet.storage import atomically

MODEL_SUFFIXES = (".dagnet", ".safetensors")
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-"})
LISTED = 8


def is_graph_file(path: Path, *, written: bool = False) -> bool:
    """Whether a path is a graph in a format of its suffix, else it is a model file.

    DataError for a suffix that is neither.
    """
    both = (exporter.suffix for exporter in exporters().values() if exporter.read is not None)
    graphs = sorted(both if written else readers())
    suffix = path.suffix.lower()
    if suffix not in {*graphs, *MODEL_SUFFIXES}:
        mend = did_you_mean(suffix, [*graphs, *MODEL_SUFFIXES], listed=12)
        raise DataError(f"{path}: {suffix or 'no suffix'!r} is no format that can be read back{mend}")
    return suffix in graphs


def open_graph(path: Path) -> nx.DiGraph[Any]:
    """The graph in a file; of a model file, the graph of its network."""
    return read_graph(path) if is_graph_file(path) else load(path).to_networkx()


def open_network(path: Path, threads: int | None = None, *, trained: bool = False) -> Network:
    """The network in a file of either kind.

    Of a ``trained`` one, DataError if a weight is missing: it would be drawn, and what the network
    says would mean nothing.
    """
    if not is_graph_file(path):
        return load(path, threads=threads)
    graph = read_graph(path)
    network = Network(graph, threads=threads)  # first, so that a bad graph is refused as such
    for parent, child, attributes in graph.edges(data=True):
        if trained and attributes.get("weight") is None:
            edge = f"{shorten(parent)} → {shorten(child)}"
            raise DataError(
                f"{path}: the edge {edge} has no weight; dagnet train writes a graph that has them"
            )
    return network


def write_network(network: Network, path: Path) -> None:
    """Write a network as its suffix says, whole or not at all."""
    if is_graph_file(path, written=True):
        export(network, path)
    else:
        network.save(path)


def check_writable(path: Path) -> None:
    """See, before the work is done, that a file can be written; nothing is left behind."""
    with contextlib.suppress(_NothingWritten), atomically(path):
        raise _NothingWritten


class _NothingWritten(Exception):
    """Leaves the block before anything takes the file's place."""


class Table:
    """The text of a CSV file by column; numbers are made of the columns that are asked for."""

    def __init__(self, path: Path, header: Sequence[str], rows: list[tuple[int, list[str]]]) -> None:
        self.path, self.header, self._rows = path, tuple(header), rows

    def __len__(self) -> int:
        return len(self._rows)

    def columns(self, names: Iterable[Hashable]) -> dict[Hashable, Array]:
        """Numbers by node name, (rows,) each; a column's header is the node's name as text.

        DataError if a name has no column, or a cell is missing or no finite number.
        """
        wanted = list(names)
        by_text: dict[str, Hashable] = {}
        for name in wanted:
            if (other := by_text.setdefault(str(name), name)) is not name:
                raise DataError(
                    f"the nodes {other!r} and {name!r} share the column {str(name)!r}; rename one"
                )
        missing = [name for name in wanted if str(name) not in self.header]
        if missing:
            listed = ", ".join(repr(str(name)) for name in missing[:LISTED])
            more = f" and {len(missing) - LISTED} more" if len(missing) > LISTED else ""
            mend = did_you_mean(str(missing[0]), self.header, listed=LISTED)
            raise DataError(f"{self.path} has no column for the node {listed}{more}{mend}")
        return {name: self._numbers(self.header.index(str(name))) for name in wanted}

    def _numbers(self, column: int) -> Array:
        texts = [cells[column] for _, cells in self._rows]
        try:
            numbers = np.array(texts, dtype=np.float64)
        except ValueError:
            numbers = np.full(len(texts), np.nan)
        if not np.isfinite(numbers).all() or any("_" in text for text in texts):
            numbers = np.array([self._number(row, column, text) for row, text in enumerate(texts)])
        return numbers

    def _number(self, row: int, column: int, text: str) -> float:
        where = f"{self.path}, line {self._rows[row][0]} (row {row + 1}), column {self.header[column]!r}"
        if text.strip().lower() in MISSING:
            raise DataError(f"{where}: the value is missing; fill it in or drop the row")
        try:
            number = float("x" if "_" in text else text)
        except ValueError:
            mend = "write categories as numbers, such as 0 and 1"
            raise DataError(expected(where, "a number", text, mend)) from None
        if not np.isfinite(number):
            raise DataError(expected(where, "a finite number", text))
        return number


def read_table(path: Path) -> Table:
    """Read a CSV file with a header, comma-separated, UTF-8.

    DataError if it is no such file, has no rows, or rows of different length.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv_rows(file)
            _, header = next(lines)
            _check_header(path, header)
            rows = list(lines)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} must be text in UTF-8; {error.reason} at byte {error.start}") from None
    except FormatError as error:
        raise DataError(f"{path}, {error}") from None
    if not rows:
        raise DataError(f"{path} has a header but no rows")
    return Table(path, header, rows)


def _check_header(path: Path, header: list[str]) -> None:
    if not header:
        raise DataError(f"{path} is empty; its first line must name the columns")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{path}: the column {twice[0]!r} is there more than once; rename or drop one")
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise DataError(f"{path} must be separated by commas; its header is {header[0]!r}")
