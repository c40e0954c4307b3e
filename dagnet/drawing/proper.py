"""The levelled graph that layouts work on: every segment joins two neighbouring levels.

An edge that skips levels becomes a chain of segments through *bends*, stand-in nodes of the
levels that it passes.  Nodes and bends are numbered level by level, so that a level is a slice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dagnet.adjacency import Rows, rows_by, stable_order
from dagnet.drawing.sketch import Ints


@dataclass(frozen=True)
class Proper:
    """Points (nodes first, then bends) in level-major order, and the segments between them.

    ``point_of[i]`` is the place of node i, or of bend i − n, in that order; ``bounds[l]`` to
    ``bounds[l + 1]`` are the points of level l.  ``parents`` of p are the points with a segment into p.
    """

    bounds: Ints
    point_of: Ints
    bend: NDArray[np.bool_]
    parents: Rows
    children: Rows
    bend_ptr: Ints
    """(edges + 1,): the bends of edge e are bend_ptr[e] to bend_ptr[e + 1]."""
    direct: bool
    """Whether some segments pass several levels."""

    @property
    def n_levels(self) -> int:
        """How many levels there are."""
        return len(self.bounds) - 1

    def levels(self) -> Ints:
        """The level of each point."""
        return np.repeat(np.arange(self.n_levels), np.diff(self.bounds))


def _segments(sources: Ints, targets: Ints, bend_ptr: Ints, n: int) -> tuple[Ints, Ints]:
    """Tail and head of every segment, in the numbering of nodes followed by bends."""
    counts = np.diff(bend_ptr)
    bends = n + np.arange(bend_ptr[-1])
    last = np.zeros(len(bends), np.bool_)
    last[bend_ptr[1:][counts > 0] - 1] = True
    after = np.where(last, np.repeat(targets, counts), bends + 1)
    first = targets.copy()
    first[counts > 0] = n + bend_ptr[:-1][counts > 0]
    return np.concatenate([sources, bends]), np.concatenate([first, after])


def proper_graph(levels: Ints, sources: Ints, targets: Ints, *, max_bends: int) -> Proper:
    """Split edges at the levels they pass; if that takes over ``max_bends`` bends, no edge is.

    Parameters
    ----------
    levels
        (nodes,), from 0, each level taken.
    sources, targets
        (edges,), with ``levels[sources] < levels[targets]``.
    """
    n = len(levels)
    skipped = levels[targets] - levels[sources] - 1
    direct = bool(skipped.sum() > max_bends)
    if direct:
        skipped = np.zeros_like(skipped)
    bend_ptr = np.concatenate([[0], np.cumsum(skipped)])
    offset = np.arange(bend_ptr[-1]) - np.repeat(bend_ptr[:-1], skipped)
    all_levels = np.concatenate([levels, np.repeat(levels[sources] + 1, skipped) + offset])
    by_level = np.argsort(all_levels, kind="stable")
    point_of = np.argsort(by_level)
    tails, heads = (point_of[ends] for ends in _segments(sources, targets, bend_ptr, n))
    by_tail, by_head = (stable_order(ends, len(by_level)) for ends in (tails, heads))
    parents = rows_by(heads[by_tail], tails[by_tail], len(by_level))
    children = rows_by(tails[by_head], heads[by_head], len(by_level))
    bounds = np.searchsorted(all_levels[by_level], np.arange(all_levels.max(initial=-1) + 2))
    return Proper(bounds, point_of, by_level >= n, parents, children, bend_ptr, direct)
