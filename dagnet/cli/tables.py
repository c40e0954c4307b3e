"""CSV tables by the names of nodes: numbers, gaps and what fills them, words as classes; which rows test."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
import numpy as np

from dagnet.arrays import Array
from dagnet.errors import DagnetError, DataError, FormatError, GraphError, Verbatim, did_you_mean, expected
from dagnet.formats.graph_files import csv_rows
from dagnet.model import make_generator
from dagnet.network import Network
from dagnet.values import FRACTION

Columns = dict[Hashable, Array]
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-"})
FILL, WORDS = "missing_value", "class_words"
"""Node attributes: what stands for an input's empty cells; an output's column and its words, as JSON."""
LISTED = 8
MIDDLES: dict[str, Callable[[Array], Any]] = {"median": np.median, "mean": np.mean}


class Refusals(GraphError):
    """What is wrong with graph and data."""

    def _message(self) -> str:
        return super()._message().replace("the graph has", "there are", 1)


@contextlib.contextmanager
def noted(problems: list[str]) -> Iterator[None]:
    """Note what is refused, and go on."""
    try:
        yield
    except DagnetError as error:
        problems.extend(getattr(error, "problems", (str(error),)))


def harmless(text: str) -> str:
    """An apostrophe before what spreadsheets take for a formula."""
    return f"'{text}" if text.lstrip("'").startswith(("=", "+", "-", "@", "\t", "\r")) else text


class Table:
    """The text of a CSV file by column; numbers are made of the columns that are asked for."""

    def __init__(self, path: Path, header: Sequence[str], rows: list[tuple[int, list[str]]]) -> None:
        self.path, self.header, self._rows = path, tuple(header), rows
        self._places = {name: place for place, name in enumerate(header)}

    def __len__(self) -> int:
        return len(self._rows)

    def place(self, name: Hashable) -> int | None:
        """The number of the column of that name, also where it was written :func:`harmless`."""
        return self._places.get(str(name), self._places.get(harmless(str(name))))

    def _texts(self, name: Hashable) -> list[str]:
        place = self.place(name)
        return [] if place is None else [cells[place].strip() for _, cells in self._rows]

    def columns(
        self,
        names: Iterable[Hashable],
        fill: Mapping[Hashable, float] | None = None,
        categories: Mapping[Hashable, Sequence[Any]] = MappingProxyType({}),
    ) -> Columns:
        """Numbers by node name, (rows,) each; a column's header is the node's name as text.

        Of a node with categories, (rows, categories) of 0 and 1.

        DataError if a name has no column, or a cell is no finite number, or it is empty and ``fill``
        has nothing for it.
        """
        wanted, problems, found = list(names), list[str](), Columns()
        by_text: dict[str, Hashable] = {}
        for name in wanted:
            if (other := by_text.setdefault(str(name), name)) is not name:
                problems.append(f"the nodes {other!r} and {name!r} share a column; rename one")
        missing = [str(name) for name in wanted if self.place(name) is None]
        if missing:
            listed = ", ".join(map(repr, missing[:LISTED]))
            more = f" and {len(missing) - LISTED} more" if len(missing) > LISTED else ""
            mend = did_you_mean(missing[0], self.header, listed=LISTED)
            problems.append(f"{self.path} has no column for the node {listed}{more}{mend}")
        for name in wanted:
            with noted(problems):
                if name in categories:
                    found[name] = self._one_hot(name, categories[name])
                else:
                    found[name] = self._numbers(name, (fill or {}).get(name))
        if problems:
            raise Refusals(problems)
        return found

    def _numbers(self, name: Hashable, fill: float | None) -> Array:
        texts = self._texts(name)
        numbers = np.array(list(map(number, texts)))
        if np.isfinite(numbers).all():
            return numbers
        if fill is not None:
            numbers[list(map(_is_missing, texts))] = 0.0
        self._refuse(~np.isfinite(numbers), name)
        return numbers if fill is None else np.where(list(map(_is_missing, texts)), fill, numbers)

    def _one_hot(self, name: Hashable, words: Sequence[Any]) -> Array:
        places = {word: place for place, word in enumerate(words)}
        spelled = {str(word): place for word, place in places.items()}
        texts = self._texts(name)
        codes = np.array([spelled.get(text, places.get(number(text), -1)) for text in texts], np.int64)
        self._refuse(codes < 0, name, f"one of its categories {', '.join(map(str, words[:LISTED]))}")
        return np.eye(len(words))[codes]

    def _refuse(self, bad: Array, name: Hashable, must: str = "a finite number") -> None:
        """Name the first bad cell of a column, and count the others."""
        if not bad.any():
            return
        row, others = int(bad.argmax()), int(bad.sum()) - 1
        text, more = self._texts(name)[row], f"; {others:,} more in this column" if others else ""
        where = f"{self.path}, line {self._rows[row][0]} (row {row + 1}), column {str(name)!r}"
        if _is_missing(text):
            mend = "fill it in, or train or evaluate with --missing"
            mend += ", a gap in a target only with --missing drop or skip"
            raise DataError(f"{where}: the value is missing; {mend}{more}")
        comma = "," in text and np.isfinite(number(text.replace(",", ".")))
        mend = "a decimal comma must be a point" if comma else ""
        raise DataError(expected(where, must, text, mend) + more)

    def without_gaps(self, names: Iterable[Hashable]) -> Table:
        """The rows where none of these columns is empty."""
        places = [place for place in map(self.place, names) if place is not None]
        rows = [row for row in self._rows if not any(_is_missing(row[1][place]) for place in places)]
        if not rows:
            raise DataError(f"{self.path}: each row has an empty cell; --missing drop leaves none")
        return Table(self.path, self.header, rows)

    def words(self, name: Hashable) -> list[str]:
        """What stands in a column, sorted, if no cell of it is a number; else nothing."""
        texts = sorted({text for text in self._texts(name) if not _is_missing(text)})
        return texts if all(np.isnan(number(text)) for text in texts) else []

    def coded(
        self, classes: Mapping[str, Sequence[str]], nodes: Iterable[Hashable], *, gaps: bool = False
    ) -> dict[str, Array]:
        """Words as numbers: 0 and 1 for a node of the column's name, else for each word's; perhaps gaps."""
        found, names = dict[str, Array](), set(map(str, nodes))
        for column, words in classes.items():
            if self.place(column) is None:
                mend = did_you_mean(column, self.header, listed=LISTED)
                raise DataError(f"{self.path} has no column {column!r}{mend}")
            known = {harmless(word): index for index, word in enumerate(words)}
            known |= {word: index for index, word in enumerate(words)}
            texts = self._texts(column)
            labels = np.array([known.get(text, -1) for text in texts])
            empty = np.array(list(map(_is_missing, texts))) & gaps
            self._refuse((labels < 0) & ~empty, column, f"one of the classes {', '.join(words[:LISTED])}")
            one_hot = (labels[:, None] == np.arange(len(words)))[:, int(column in names) :].astype(float)
            one_hot[empty] = np.nan
            found |= zip([column] if column in names else words, one_hot.T, strict=True)
        return found


def _is_missing(text: str) -> bool:
    return text.strip().lower() in MISSING


def number(text: str) -> float:
    """NaN for what is none."""
    try:
        return float("x" if "_" in text else text)
    except ValueError:
        return float("nan")


def read_table(path: Path) -> Table:
    """Read a CSV file with a header, UTF-8; ``-`` is standard input.

    Commas, semicolons or tabs separate, whichever the header has most of.  DataError if it is no such
    file, has no rows, or rows of different length.
    """
    with click.open_file(str(path), "rb") as stream:
        data = stream.read()
    path = Path("standard input") if str(path) == "-" else path
    try:
        text = data.decode("utf-8-sig")
        lines = csv_rows(text)
        _, header = next(lines)
        _check_header(path, header)
        rows = list(lines)
    except UnicodeDecodeError as error:
        text = f"{path} must be text in UTF-8; {error.reason} at byte {error.start}; save it as UTF-8"
        raise DataError(text) from None
    except FormatError as error:
        raise DataError(f"{path}, {error}") from None
    if not rows:
        raise DataError(f"{path} has a header but no rows")
    return Table(path, header, rows)


def _check_header(path: Path, header: list[str]) -> None:
    if not header:
        raise DataError(f"{path} is empty; its first line must name the columns")
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise DataError(f"{path}: the column {twice[0]!r} is there more than once; rename or drop one")
    if len(header) == 1 and "|" in header[0]:
        text = f"{path} must be separated by commas, semicolons or tabs; its header is {header[0]!r}"
        raise DataError(text)


# -- what a network says about its tables -------------------------------------------------


def said(network: Network) -> dict[Hashable, Mapping[Any, Any]]:
    """The attributes of each node that are no words of dagnet."""
    topology = network.topology
    return {name: topology.users.nodes.get(number, {}) for name, number in topology.index.items()}


def fill_values(names: Iterable[Hashable], nodes: Mapping[Any, Mapping[Any, Any]]) -> dict[Hashable, float]:
    """What stands for the empty cells of each of these nodes that says so."""
    found = {name: number(str(nodes[name].get(FILL))) for name in names}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def categories_of(network: Network) -> dict[Hashable, Sequence[Any]]:
    """The categories of the inputs that have some."""
    return {network.topology.nodes[node]: words for node, words in network.topology.categories.items()}


def used_rows(
    table: Table, inputs: Iterable[Hashable], outputs: Sequence[Hashable],
    classes: Mapping[str, Sequence[str]], missing: str, fill: Mapping[Hashable, float],
    categories: Mapping[Hashable, Sequence[Any]],
) -> tuple[Table, Columns, Columns]:  # fmt: skip
    """The rows used, inputs (NaN where a gap is to be filled with a middle) and targets."""
    values = dict(fill)
    if missing == "drop":
        table = table.without_gaps([*(name for name in inputs if name not in fill), *outputs, *classes])
    elif missing == "skip":
        values |= dict.fromkeys(outputs, float("nan"))
    elif missing in MIDDLES:
        values = dict.fromkeys(inputs, float("nan")) | values
    coded = table.coded(classes, outputs, gaps=missing == "skip")
    named = [*inputs, *(name for name in outputs if str(name) not in coded)]
    found = table.columns(named, values, categories)
    y = {name: coded[str(name)] if str(name) in coded else found[name] for name in outputs}
    return table, {name: found[name] for name in inputs}, y


def middles(X: Columns, missing: str, fill: Mapping[Hashable, float]) -> dict[Hashable, float]:
    """What stands for the gaps of each column of numbers: what ``fill`` says, else the middle."""
    found: dict[Hashable, float] = {}
    for name, column in X.items() if missing in MIDDLES else ():
        if column.ndim == 1:  # no categories
            known = column[~np.isnan(column)]
            if not len(known):
                raise DataError(f"--missing: the column {str(name)!r} has no value to take the {missing} of")
            found[name] = fill.get(name, float(MIDDLES[missing](known)))
    return found


def filled(X: Columns, values: Mapping[Hashable, float]) -> Columns:
    """The columns with these values in their gaps."""
    return {
        name: np.where(np.isnan(column), values[name], column) if name in values else column
        for name, column in X.items()
    }


def classes_of(network: Network) -> dict[str, list[str]]:
    """The words by column that training wrote to the outputs: of one node two, else a node for each."""
    found, nodes = {}, said(network)
    for node in network.outputs:
        with contextlib.suppress(ValueError, TypeError):  # somebody else's attribute
            column, *words = map(str, json.loads(nodes[node].get(WORDS)))  # type: ignore[arg-type]
            found[column] = words
    return found


def find_classes(table: Table, nodes: Iterable[Hashable]) -> dict[str, list[str]]:
    """The two words of each node whose column has words; DataError for more or fewer."""
    found = {str(node): words for node in nodes if (words := table.words(node))}
    for column, words in found.items():
        if len(words) != 2:
            got = Verbatim(f"{len(words)}: {', '.join(words[:LISTED])}")
            mend = "draw a node for each, named as the word, and give --target the column instead"
            raise DataError(expected(f"{table.path}: the words of the column {column!r}", "two", got, mend))
    return found


def split_rows(n: int, shares: Mapping[str, float], labels: Array | None, seed: object) -> dict[str, Array]:
    """Row numbers by purpose, each sorted; what is left over is ``"train"``.

    Each share, 0 for none, is taken from the rows that the earlier ones left.  Where ``labels`` (rows,)
    says classes, every part gets its share of each.  DataError for too few rows.

    Examples
    --------
    >>> parts = split_rows(10, {"test": 0.2}, np.arange(10) % 2, 0)
    >>> {purpose: len(rows) for purpose, rows in parts.items()}
    {'test': 2, 'train': 8}
    """
    generator = make_generator(seed)
    left, result = np.arange(n), {}
    for purpose, share in shares.items():
        FRACTION.check(f"--{purpose}", share)
        if not share:
            continue
        taken = _drawn(left, share, None if labels is None else labels[left], generator)
        if not 0 < len(taken) < len(left):
            what = f"--{purpose}: a share of {share:g} leaves a part of {len(left)} rows empty"
            raise DataError(f"{what}; give more rows, or --{purpose} 0 for none")
        result[purpose] = taken
        left = np.setdiff1d(left, taken)
    result["train"] = left
    return result


def _drawn(rows: Array, share: float, labels: Array | None, generator: np.random.Generator) -> Array:
    groups = [rows] if labels is None else [rows[labels == label] for label in np.unique(labels)]
    chosen = [generator.permutation(group)[: round(share * len(group))] for group in groups]
    return np.sort(np.concatenate(chosen))
