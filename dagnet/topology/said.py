"""What nodes and edges say, read from a graph once, and the problems that are found in it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain, compress
from operator import is_
from typing import Any, TypeVar

import networkx as nx
import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Activation
from dagnet.errors import DagnetError, Verbatim, expected, shorten
from dagnet.registry import find_activation
from dagnet.values import FLAG, LARGEST, as_real, plain, whole

T = TypeVar("T")
Categories = tuple[str | float, ...]
UNITS = whole(1, 2**31 - 1)
CLOSE, SHORT = 2, 5
"""Edits from a known attribute at which an unknown one is probably a misspelling; of short ones, one."""
MANY = 2**14
"""Nodes among which those without parents are only numbered by name where somebody asks for one."""


class Problems(list[str]):
    """The problems of one graph, gathered; each reader notes what it cannot accept and goes on."""

    def refuse(self, where: str, must: str, got: object, mend: str = "") -> None:
        """Note one problem by the one formula."""
        self.append(expected(where, must, got, mend))

    def tried(self, read: Callable[[Any], T], value: object, fallback: T, where: str = "") -> T:
        """What a reader makes of the value, or else the fallback."""
        try:
            return read(value)
        except DagnetError as error:
            self.append(f"{where}{error}")
            return fallback

    def activation(self, where: str, spec: object, fallback: Activation) -> Activation:
        """The activation that ``spec`` names."""
        return self.tried(find_activation, spec, fallback, f"{where}: ")

    def units(self, where: str, value: object) -> int:
        """A positive whole number."""
        mend = "write units=1 or more, or leave it out"
        return self.tried(partial(UNITS.check, f"{where}: units", mend=mend), value, 1)

    def categories(self, where: str, value: Any) -> Categories:
        """Words or numbers, all different."""
        found = tuple(map(plain, value)) if isinstance(value, (list, tuple, np.ndarray)) else ()
        kinds = all(isinstance(item, (str, int, float)) and item == item for item in found)  # noqa: PLR0124
        if not kinds or len(set(found)) != len(found) or len(found) < 2:
            must = "a list of at least two words or numbers, all different"
            self.refuse(f"{where}: categories", must, value, 'such as ["low", "mid", "high"]')
            return ("", "other")
        return found

    def flag(self, where: str, value: object) -> bool:
        """True or False."""
        return self.tried(partial(FLAG.check, where), value, True)

    def numbers(
        self, said: Said, number: int, word: str, value: object, shape: tuple[int, ...]
    ) -> Array | float:
        """Finite float64 numbers of ``shape``, or one number for all, that a node or an edge says."""
        if (type(value) is float or type(value) is int) and -LARGEST <= value <= LARGEST:
            return float(value)
        array, where = as_real(value), f"{said.where(number)}: {word}"
        if array is None or (array.ndim and array.shape != shape):
            form = "a number" if shape in {(), (1,), (1, 1)} else f"a number or an array of shape {shape}"
            got = value if array is None or array.ndim == 0 else Verbatim(f"shape {array.shape}")
            self.refuse(where, form, got, "convert it: float(…)" if isinstance(value, str) else "")
            return np.zeros(shape)
        if not np.isfinite(array).all():
            self.refuse(where, "finite", value, "leave it out to have it drawn or set to its default")
            return np.zeros(shape)
        return array


def near_misses(attributes: Iterable[Hashable], known: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs (attribute, known one) where an unknown attribute is a few edits away from a known one."""
    names = list(known)
    found = []
    for attribute in sorted(name for name in attributes if isinstance(name, str)):
        if attribute in names:
            continue
        distances = [(edit_distance(attribute, name), name) for name in names if len(name) > 3]
        distance, name = min(distances)
        if distance <= (CLOSE if len(name) > SHORT else 1):
            found.append((attribute, name))
    return found


def edit_distance(a: str, b: str) -> int:
    """Levenshtein's distance; strings whose lengths alone put them out of reach count as far."""
    if abs(len(a) - len(b)) > CLOSE:
        return CLOSE + 1
    row = list(range(len(b) + 1))
    for i, first in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, second in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (first != second))
    return row[-1]


@dataclass(frozen=True, eq=False)
class Said:
    """The attributes of all nodes, or of all edges, in the graph's order.

    ``kind`` is ``"node"`` or ``"edge"``, ``text`` names one of them, ``words`` are all attributes there are.
    """

    kind: str
    text: Callable[[int], str]
    data: Sequence[Mapping[str, Any]] = ()
    words: frozenset[Hashable] = frozenset()

    @classmethod
    def of_all(cls, kind: str, text: Callable[[int], str], data: Sequence[Mapping[str, Any]]) -> Said:
        """What some nodes or edges say."""
        return cls(kind, text, data, frozenset().union(*filter(None, data)))

    def where(self, number: int) -> str:
        """A node or an edge, for messages."""
        return f"{self.kind} {self.text(number)}"

    def of(self, word: str) -> Iterable[tuple[int, Any]]:
        """The numbers of those that say the word, and what."""
        if word not in self.words:
            return ()
        return ((number, said[word]) for number, said in enumerate(self.data) if word in said)


@dataclass(frozen=True)
class _Numbers(Mapping[Hashable, int]):
    """From each of 0 … n − 1 to itself, without memory; what is equal to a number has its hash."""

    names: range

    def __getitem__(self, name: Hashable) -> int:
        if (number := hash(name)) in self.names and number == name:
            return number
        raise KeyError(name)

    def __iter__(self) -> Iterator[int]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, eq=False)
class _Later(Mapping[Hashable, int]):
    """From each name to its number, in a dictionary that is made when something is first looked up."""

    names: Sequence[Hashable]

    @cached_property
    def _index(self) -> dict[Hashable, int]:
        return dict(zip(self.names, range(len(self.names)), strict=True))

    def __getitem__(self, name: Hashable) -> int:
        return self._index[name]

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def numbered(names: Sequence[Hashable]) -> Mapping[Hashable, int]:
    """From each name to its number."""
    return _Numbers(names) if isinstance(names, range) else dict(zip(names, range(len(names)), strict=True))


@dataclass(frozen=True, eq=False)
class Drawn:
    """A graph as it was drawn: names and their numbers, both ends of each edge, all attributes."""

    names: Sequence[Hashable]
    index: Mapping[Hashable, int]
    sources: Array
    targets: Array
    nodes: Said
    edges: Said


def drawn(graph: nx.DiGraph[Any]) -> Drawn:
    """Touch the graph's nodes and edges once.

    Nothing new is kept for a node or an edge, no tuple and no view: many would set off garbage
    collections, each of which visits all dictionaries of the graph.
    """
    names = list(graph)
    few = _children(graph, names)
    index = numbered(names) if few is None else _Later(names)
    flat = list(chain.from_iterable(graph.adjacency()))  # in an order of its own
    heads, rows = flat[::2], flat[1::2]
    in_order = all(map(is_, heads, names))
    numbers = np.arange(len(names)) if in_order else np.array([index[name] for name in heads], np.int64)
    sources = numbers.repeat(np.fromiter(map(len, rows), np.int64, len(rows)))
    try:
        targets = _numbered(rows, few or index, len(sources))
    except KeyError:  # an edge that only the node it leaves knows of
        targets = _numbered(rows, index, len(sources))
    edges = [said for row in rows for said in row.values()]
    nodes = [said for _, said in graph.nodes(data=True)]
    return Drawn(
        names,
        index,
        sources,
        targets,
        Said.of_all("node", lambda node: shorten(names[node]), nodes),
        Said.of_all("edge", lambda edge: edge_text(names, sources, targets, edge), edges),
    )


def _numbered(rows: Iterable[Iterable[Hashable]], numbers: Mapping[Hashable, int], n: int) -> Array:
    return np.fromiter(map(numbers.__getitem__, chain.from_iterable(rows)), np.int64, n)


def edge_text(names: Sequence[Hashable], sources: Array, targets: Array, edge: int) -> str:
    """An edge, for messages."""
    return f"{shorten(names[sources[edge]])} → {shorten(names[targets[edge]])}"


def _children(graph: nx.DiGraph[Any], names: list[Hashable]) -> dict[Hashable, int] | None:
    """The numbers of the nodes that have parents, where few among many do: no edge leads into others."""
    entering = getattr(graph, "_pred", None)
    if len(names) < MANY or type(entering) is not dict or not all(map(is_, entering, names)):
        return None
    has_parents = np.fromiter(map(bool, entering.values()), bool, len(names))
    numbers = has_parents.nonzero()[0].tolist()
    if 2 * len(numbers) > len(names):
        return None
    return dict(zip(compress(names, has_parents.tolist()), numbers, strict=True))
