"""Directed graphs as flat arrays: neighbours in compressed rows, levels, reachability, cycles.

All in time linear in the edges and without recursion.  Wide frontiers are handled by NumPy at
once, narrow ones (a chain has 100,000 of them) element by element, which is then cheaper.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from dagnet.arrays import Array

NARROW, FEW = 48, 2000
"""Nodes of a frontier, and edges of a graph, below which lists are faster than arrays."""
MANY, PART_BITS, PORTION = 2**23, 8, 2**19
"""Keys from which on they are first parted by so many of their highest bits; so many are parted at once."""


@dataclass(frozen=True)
class Rows:
    """Neighbours in compressed rows: those of v are ``neighbours[indptr[v]:indptr[v + 1]]``.

    ``edges`` has, at the same places, the position of each edge in the list it was built from.
    """

    indptr: Array
    neighbours: Array
    edges: Array

    def of(self, node: int) -> Array:
        """Neighbours of one node."""
        return self.neighbours[self.indptr[node] : self.indptr[node + 1]]

    def edges_of(self, node: int) -> Array:
        """Positions of the edges between one node and its neighbours, in the same order."""
        return self.edges[self.indptr[node] : self.indptr[node + 1]]

    def degrees(self) -> Array:
        """How many neighbours each node has."""
        result: Array = self.indptr[1:] - self.indptr[:-1]
        return result

    def expand(self, nodes: Array) -> Array:
        """Positions of all neighbours of some nodes, node after node."""
        return ranges(self.indptr[nodes], self.indptr[nodes + 1])


def offsets(lengths: Array) -> Array:
    """(n + 1,) where each of n runs starts when they are laid end to end, and where the last one stops."""
    result = np.zeros(len(lengths) + 1, np.int64)
    np.add.accumulate(lengths, dtype=np.int64, out=result[1:])
    return result


def ranges(starts: Array, stops: Array) -> Array:
    """``concatenate([arange(a, b) for a, b in zip(starts, stops)])`` without the loop."""
    lengths = stops - starts
    if not np.count_nonzero(lengths != 1):
        return starts.astype(np.int64)
    before = offsets(lengths)
    return np.arange(before[-1]) + (starts - before[:-1]).repeat(lengths)


def runs(*keys: Array) -> Array:
    """Where a new run of equal keys starts."""
    change = np.ones(len(keys[0]), bool)
    change[1:] = keys[0][1:] != keys[0][:-1]
    for key in keys[1:]:
        change[1:] |= key[1:] != key[:-1]
    return change.nonzero()[0]


def run_ends(starts: Array, n: int) -> Array:
    """The last member of each of the runs that n members fall into."""
    ends = np.empty_like(starts)
    ends[:-1], ends[-1:] = starts[1:] - 1, n - 1
    return ends


def stable_order(keys: Array, n: int) -> Array:
    """``np.argsort(keys, kind="stable")`` for keys from 0 to n − 1, three to ten times as fast.

    NumPy sorts 16-bit numbers by radix, in linear time; so the keys go 16 bits at a time, and of many
    keys one range of them after the other, which stays in the cache and takes less memory.  The order has
    32 bits where they do.
    """
    kind = narrowest(len(keys))
    if not np.count_nonzero(keys[1:] < keys[:-1]):
        return np.arange(len(keys), dtype=kind)
    if len(keys) >= MANY:
        shift = max((n - 1).bit_length() - PART_BITS, 0)
        order, bounds = _parted(keys, shift)
        for start, stop in pairwise(bounds):
            here = order[start:stop]
            order[start:stop] = here[stable_order(keys[here] & ((1 << shift) - 1), 1 << shift)]
        return order
    order = keys.astype(np.uint16).argsort(kind="stable")
    for shift in range(16, (n - 1).bit_length(), 16):
        order = order[(keys[order] >> shift).astype(np.uint16).argsort(kind="stable")]
    return order.astype(kind, copy=False)


def _parted(keys: Array, shift: int) -> tuple[Array, list[int]]:
    """Places of keys by what is left of each behind ``shift`` bits, and where each part begins and ends."""
    portions = range(0, len(keys), PORTION)
    marks = [(keys[first : first + PORTION] >> shift).astype(np.uint8) for first in portions]
    counts = np.array([np.bincount(mark, minlength=1 << PART_BITS) for mark in marks])
    ends = offsets(counts.sum(axis=0))
    order, starts = np.empty(len(keys), narrowest(len(keys))), counts.cumsum(axis=0)
    for first, mark, own, stops in zip(portions, marks, counts, starts + ends[:-1], strict=True):
        here, at = mark.argsort(kind="stable"), 0
        here += first
        for part in own.nonzero()[0].tolist():
            size, stop = int(own[part]), int(stops[part])
            order[stop - size : stop] = here[at : at + size]
            at += size
    return order, ends.tolist()


def pair_order(first: Array, second: Array, n: int) -> Array:
    """The order of pairs of numbers below ``n``: by the first, then by the second."""
    keys = first * np.int64(n)
    keys += second
    return stable_order(keys, n * n)


def inverse(order: Array) -> Array:
    """Where each stands in an order."""
    places = np.empty_like(order)
    places[order] = np.arange(len(order), dtype=order.dtype)
    return places


def narrowest(n: int) -> type[np.signedinteger[Any]]:
    """The type of integers that numbers below ``n`` are kept in."""
    return np.int32 if n <= 2**31 else np.int64


def rows_by(keys: Array, neighbours: Array, n: int) -> Rows:
    """Group edges by ``keys`` (their sources, say); within a row the edges keep their order."""
    order = stable_order(keys, n)
    return Rows(offsets(np.bincount(keys, minlength=n)), neighbours[order], order)


def levels(children: Rows, in_degrees: Array) -> Array:
    """The longest distance of each node from a parentless one; −1 on and behind a cycle.

    Kahn's algorithm in rounds: a node enters the frontier one round after its last parent, so
    the round is the level.
    """
    remaining = np.array(in_degrees, np.int64)
    frontier = (remaining == 0).nonzero()[0]
    if len(children.neighbours) <= FEW:
        found = [-1] * len(remaining)
        lists = remaining.tolist(), children.indptr.tolist(), children.neighbours.tolist()
        _narrow_levels(frontier.tolist(), 0, found, lists, len(found) + 1)
        return np.array(found, np.int32)
    level = np.full(len(remaining), -1, np.int32)
    views = (remaining.data, children.indptr.data, np.ascontiguousarray(children.neighbours).data)
    depth = 0
    while len(frontier):
        if len(frontier) < NARROW:
            some, depth = _narrow_levels(frontier.tolist(), depth, level.data, views, NARROW)
            frontier = np.array(some, np.int64)
            continue
        level[frontier] = depth
        reached = children.neighbours[children.expand(frontier)]
        np.subtract.at(remaining, reached, 1)
        frontier = np.unique(reached[remaining[reached] == 0])
        depth += 1
    return level


def _narrow_levels(
    frontier: list[int], depth: int, level: Any, views: tuple[Any, Any, Any], narrow: int
) -> tuple[list[int], int]:
    """Rounds of :func:`levels` while the frontier is narrow; on memory views or lists."""
    remaining, indptr, neighbours = views
    while 0 < len(frontier) < narrow:
        following = []
        for node in frontier:
            level[node] = depth
            for child in neighbours[indptr[node] : indptr[node + 1]]:
                left = remaining[child] = remaining[child] - 1
                if not left:
                    following.append(child)
        frontier = following
        depth += 1
    return frontier, depth


def reachable(rows: Rows, seeds: Array, within: Array | None = None) -> Array:
    """The seeds and all that can be reached from them along ``rows``, in no particular order.

    ``within``, a mask, keeps the walk among the marked nodes.  Cost: the answer and its edges.  Where it is
    k times as long as there are nodes, the graph is there k times: node v of copy c is v + c · nodes.
    """
    n = len(rows.indptr) - 1
    fresh = np.ones(n, bool) if within is None else within.copy()
    views = (fresh.data, rows.indptr.data, np.ascontiguousarray(rows.neighbours).data)
    distinct = np.unique(seeds)
    frontier = distinct[fresh[distinct]]
    fresh[frontier] = False
    found = []
    while len(frontier):
        if len(frontier) < NARROW:
            passed, frontier = _narrow_reach(frontier.tolist(), *views)
            found.append(passed)
            continue
        found.append(frontier)
        nodes = frontier % n
        reached = rows.neighbours[rows.expand(nodes)] + np.repeat(frontier - nodes, rows.degrees()[nodes])
        frontier = np.unique(reached[fresh[reached]])
        fresh[frontier] = False
    return np.concatenate([*found, np.zeros(0, np.int64)]).astype(np.int64, copy=False)


def _narrow_reach(
    frontier: list[int], fresh: memoryview, indptr: memoryview, neighbours: memoryview
) -> tuple[Array, Array]:
    """Steps of :func:`reachable` while the frontier is narrow: what was passed, and the next frontier."""
    passed: list[int] = []
    n = len(indptr) - 1
    while 0 < len(frontier) < NARROW:
        passed += frontier
        following = []
        for place in frontier:
            node = place % n
            for neighbour in neighbours[indptr[node] : indptr[node + 1]].tolist():
                other = neighbour + place - node
                if fresh[other]:
                    fresh[other] = False
                    following.append(other)
        frontier = following
    return np.array(passed, np.int64), np.array(frontier, np.int64)


def find_cycle(parents: Rows, level: Array) -> list[int]:
    """One cycle among the nodes that :func:`levels` left at −1, in the order of its edges.

    Every such node has a parent among them; walking parents until a node repeats closes it.
    """
    node = int(np.flatnonzero(level < 0)[0])
    place: dict[int, int] = {}
    walk: list[int] = []
    while node not in place:
        place[node] = len(walk)
        walk.append(node)
        candidates = parents.of(node)
        node = int(candidates[np.argmax(level[candidates] < 0)])
    return walk[place[node] :][::-1]


def components(children: Rows) -> Array:
    """The number of each node's strongly connected component (Tarjan, 1972).

    Plain lists of numbers: a graph of objects would set off garbage collections.
    """
    indptr, neighbours = children.indptr.tolist(), children.neighbours.tolist()
    n = len(indptr) - 1
    order, low, number, following = [-1] * n, [0] * n, [-1] * n, indptr[:-1]
    open_nodes: list[int] = []
    clock = count = 0
    for root in range(n):
        walk = [root] if order[root] < 0 else []
        while walk:
            node = walk[-1]
            if order[node] < 0:
                order[node] = low[node] = clock
                clock += 1
                open_nodes.append(node)
            if following[node] < indptr[node + 1]:
                child = neighbours[following[node]]
                following[node] += 1
                if order[child] < 0:
                    walk.append(child)
                elif number[child] < 0:
                    low[node] = min(low[node], order[child])
                continue
            walk.pop()
            if walk:
                low[walk[-1]] = min(low[walk[-1]], low[node])
            if low[node] == order[node]:
                while number[node] < 0:
                    number[open_nodes.pop()] = count
                count += 1
    return np.array(number, np.int64)
