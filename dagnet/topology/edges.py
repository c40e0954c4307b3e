"""Reading edges and their attributes into arrays: at once where all is plain, one by one else."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import networkx as nx
import numpy as np

from dagnet.adjacency import offsets
from dagnet.arrays import Array
from dagnet.errors import shorten
from dagnet.topology.frozen import edge_sizes
from dagnet.topology.problems import Problems

FACTS = ("shape", "start weight", "trainable")
PLAIN = {float, int, np.float64, np.float32, np.int64}


@dataclass(frozen=True, eq=False)
class Ends:
    """Sources, targets and attribute dictionaries of all edges, in the graph's order."""

    sources: Array
    targets: Array
    data: Sequence[Mapping[str, Any]]
    attributes: frozenset[Hashable]


@dataclass(frozen=True, eq=False)
class EdgeTable:
    """What the edge attributes say, as :class:`dagnet.topology.Topology` holds it."""

    weight_start: Array
    trainable: Array
    share: Array | None
    share_keys: tuple[Hashable, ...]


def read_ends(graph: nx.DiGraph[Any], index: Mapping[Hashable, int]) -> Ends:
    """Touch the graph's edges once.

    No tuple is kept for a node or an edge: many new ones would set off garbage collections, each
    of which visits all dictionaries of the graph.
    """
    rows = [row for row, _ in graph.adjacency()]
    adjacency = [neighbours for _, neighbours in graph.adjacency()]
    degrees = np.fromiter(map(len, adjacency), np.int64, len(adjacency))
    total = int(degrees.sum())
    targets = np.fromiter(map(index.__getitem__, chain.from_iterable(adjacency)), np.int64, total)
    data = list(chain.from_iterable(neighbours.values() for neighbours in adjacency))
    sources = np.repeat(np.fromiter(map(index.__getitem__, rows), np.int64, len(rows)), degrees)
    return Ends(sources, targets, data, frozenset(chain.from_iterable(data)))


def read_edges(
    ends: Ends, names: Sequence[Hashable], units: Array, weight: str | None, problems: Problems
) -> EdgeTable:
    """Read all edge attributes."""
    n = len(ends.sources)
    start = _plain_weights(ends, units, weight)
    if start is None:
        start = _checked_weights(ends, names, units, weight, problems)
    trainable = np.ones(n, bool)
    if "trainable" in ends.attributes:
        for edge, attributes in enumerate(ends.data):
            if "trainable" in attributes:
                where = f"edge {edge_name(ends, names, edge)}: trainable"
                trainable[edge] = problems.flag(where, attributes["trainable"])
    if "share" not in ends.attributes:
        return EdgeTable(start, trainable, None, ())
    return EdgeTable(start, trainable, *_shared(ends, names, units, start, trainable, problems))


def edge_name(ends: Ends, names: Sequence[Hashable], edge: int) -> str:
    """An edge, for messages."""
    return f"{shorten(names[ends.sources[edge]])} → {shorten(names[ends.targets[edge]])}"


def _plain_weights(ends: Ends, units: Array, weight: str | None) -> Array | None:
    """Weights where every node has one unit and every weight is a plain finite number or absent."""
    if (units != 1).any():
        return None
    if weight is None or weight not in ends.attributes:
        return np.full(len(ends.data), np.nan)
    values = [attributes.get(weight) for attributes in ends.data]
    if not set(map(type, values)) <= PLAIN | {type(None)}:
        return None
    try:
        start = np.array(values, np.float64)
    except OverflowError:
        return None
    given = np.isfinite(start)
    if given.all() or sum(value is None for value in values) == len(given) - given.sum():
        return start
    return None


def _checked_weights(
    ends: Ends, names: Sequence[Hashable], units: Array, weight: str | None, problems: Problems
) -> Array:
    """Weights one by one, with a problem for each that will not do."""
    rows, columns = units[ends.targets], units[ends.sources]
    places = offsets(edge_sizes(units, ends.sources, ends.targets))
    start = np.full(int(places[-1]), np.nan)
    if weight is None:
        return start
    for edge, attributes in enumerate(ends.data):
        value = attributes.get(weight)
        if value is not None:
            shape = (int(rows[edge]), int(columns[edge]))
            where = f"edge {edge_name(ends, names, edge)}: {weight}"
            start[places[edge] : places[edge + 1]] = problems.numbers(where, value, shape).ravel()
    return start


def _shared(
    ends: Ends, names: Sequence[Hashable], units: Array, start: Array, trainable: Array, problems: Problems
) -> tuple[Array, tuple[Hashable, ...]]:
    share = np.full(len(ends.data), -1, np.int64)
    first: dict[Hashable, int] = {}
    keys: dict[Hashable, int] = {}
    places = offsets(edge_sizes(units, ends.sources, ends.targets))

    def facts(edge: int) -> tuple[Any, ...]:
        values = start[places[edge] : places[edge + 1]]
        shape = (int(units[ends.targets[edge]]), int(units[ends.sources[edge]]))
        return shape, values.tobytes(), bool(trainable[edge])

    for edge, attributes in enumerate(ends.data):
        key = attributes.get("share")
        if key is None:
            continue
        try:
            one = first.setdefault(key, edge)
        except TypeError:
            problems.refuse(f"edge {edge_name(ends, names, edge)}: share", "a hashable key", key)
            continue
        share[edge] = keys.setdefault(key, len(keys))
        for what, here, there in zip(FACTS, facts(edge), facts(one), strict=True):
            if here != there:
                problems.append(
                    f"edge {edge_name(ends, names, edge)} shares key {shorten(key)} with "
                    f"{edge_name(ends, names, one)} and must have the same {what}; make them equal"
                )
    return share, tuple(keys)
