"""Which point stands above which: few crossings by barycentre sweeps and exchanges.

Sweeps after Sugiyama, Tagawa & Toda (1981): a level is sorted by the mean place of its
points' neighbours on the level before, down and up in turn.  Exchanges of neighbours follow
Gansner, Koutsofios, North & Vo (1993).  Places are whole numbers, so that equal means are
equal exactly and the given order decides: a fully connected layer keeps the order it had.
"""

from __future__ import annotations

import itertools

import numpy as np

from dagnet.adjacency import Rows
from dagnet.drawing.proper import Proper
from dagnet.drawing.sketch import Ints

PATIENCE = 4
EXCHANGED = 4_000


def order_levels(graph: Proper, *, sweeps: int = 24) -> Ints:
    """The points, level by level, each level from top to bottom: (points,)."""
    order = np.arange(len(graph.bend))
    cost = _stretch if graph.direct else count_crossings
    best, fewest, stale = order, cost(graph, order), 0
    for _ in range(max(2, min(sweeps, 20_000 // max(graph.n_levels, 1)))):
        order = _sweep(graph, order, down=True)
        order = _sweep(graph, order, down=False)
        crossings = cost(graph, order)
        stale += 1
        if crossings < fewest:
            best, fewest, stale = order, crossings, 0
        if fewest == 0 or stale == PATIENCE:
            break
    if fewest and not graph.direct and len(graph.parents.neighbours) <= EXCHANGED:
        best = _exchange(graph, best)
    return best


def _places(graph: Proper, order: Ints) -> Ints:
    """Each point's place on its level, counted in halves from the level's middle."""
    middles = (graph.bounds[:-1] + graph.bounds[1:])[graph.levels()]
    return 2 * np.argsort(order) + 1 - middles


def _sweep(graph: Proper, order: Ints, *, down: bool) -> Ints:
    places, order = _places(graph, order), order.copy()
    rows = graph.parents if down else graph.children
    for level in range(1, graph.n_levels) if down else range(graph.n_levels - 2, -1, -1):
        start, stop = graph.bounds[level], graph.bounds[level + 1]
        offsets = rows.indptr[start : stop + 1]
        running = np.zeros(offsets[-1] - offsets[0] + 1, np.int64)
        np.cumsum(places[rows.neighbours[offsets[0] : offsets[-1]]], out=running[1:])
        sums = np.diff(running[offsets - offsets[0]])
        degrees = np.diff(offsets)
        means = np.where(degrees > 0, sums / np.maximum(degrees, 1), places[start:stop])
        here = order[start:stop]
        here = here[np.argsort(means[here - start], kind="stable")]
        order[start:stop] = here
        places[here] = 2 * np.arange(stop - start) + 1 - (stop - start)
    return order


def count_crossings(graph: Proper, order: Ints) -> int:
    """How many pairs of segments cross, each pair between the same two levels.

    With the segments sorted by tail then head, crossings are inversions of the heads; these
    are counted bit by bit, as a radix sort would meet them: O(segments · log points).
    """
    rank = np.argsort(order)
    tails = np.repeat(rank, graph.parents.degrees())
    heads = tails[np.lexsort((tails, rank[graph.parents.neighbours]))]
    crossings = 0
    for bit in range(int(heads.max(initial=0)).bit_length() - 1, -1, -1):
        one = (heads >> bit) & 1
        group = heads >> (bit + 1)
        before = np.cumsum(one) - one
        starts = np.searchsorted(group, group)
        crossings += int(((before - before[starts]) * (1 - one)).sum())
        heads = heads[np.argsort(heads >> bit, kind="stable")]
    return crossings


def _stretch(graph: Proper, order: Ints) -> int:
    """How far apart the ends of segments stand: what to keep small where levels are skipped."""
    places = _places(graph, order)
    heads = np.repeat(places, graph.parents.degrees())
    return int(np.abs(heads - places[graph.parents.neighbours]).sum())


def _exchange(graph: Proper, order: Ints, *, passes: int = 12) -> Ints:
    """Swap neighbours on a level wherever that takes crossings away, until none does."""
    neighbours = [_lists(graph.parents), _lists(graph.children)]
    places, points = np.argsort(order).tolist(), order.tolist()
    for _ in range(passes):
        gained = 0
        for level in range(graph.n_levels):
            for at in range(graph.bounds[level], graph.bounds[level + 1] - 1):
                upper, lower = points[at], points[at + 1]
                gain = sum(_gain(side[upper], side[lower], places) for side in neighbours)
                if gain > 0:
                    points[at], points[at + 1] = lower, upper
                    places[lower], places[upper] = at, at + 1
                    gained += gain
        if not gained:
            break
    return np.array(points, np.int64)


def _lists(rows: Rows) -> list[list[int]]:
    flat = rows.neighbours.tolist()
    return [flat[start:stop] for start, stop in itertools.pairwise(rows.indptr.tolist())]


def _gain(upper: list[int], lower: list[int], places: list[int]) -> int:
    """How many crossings between two points' segments a swap takes away."""
    above = sorted(places[point] for point in upper)
    below = sorted(places[point] for point in lower)
    return _pairs_below(below, above) - _pairs_below(above, below)


def _pairs_below(left: list[int], right: list[int]) -> int:
    """Pairs (l, r) with l < r, of two sorted lists."""
    total = at = 0
    for value in right:
        while at < len(left) and left[at] < value:
            at += 1
        total += at
    return total
