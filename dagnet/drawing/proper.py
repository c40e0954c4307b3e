"""The levelled graph that layouts work on: every segment joins two neighbouring levels.

An edge that skips levels becomes a chain of segments through *bends*, stand-in nodes of the
levels that it passes.  Nodes and bends are numbered level by level, so that a level is a slice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Proper:
    """Points (nodes first, then bends) in level-major order, and the segments between them.

    ``point_of[i]`` is the place of node i, or of bend i − n, in that order; ``bounds[l]`` to
    ``bounds[l + 1]`` are the points of level l.  ``parents[in_ptr[p]:in_ptr[p + 1]]`` are the
    points with a segment into p, ``children`` and ``out_ptr`` the other way round.
    """

    bounds: Ints
    point_of: Ints
    bend: NDArray[np.bool_]
    in_ptr: Ints
    parents: Ints
    out_ptr: Ints
    children: Ints
    bend_ptr: Ints
    """(edges + 1,): the bends of edge e are bend_ptr[e] to bend_ptr[e + 1]."""
    direct: bool
    """Whether some segments pass several levels."""

    @property
    def n_levels(self) -> int:
        """How many levels there are."""
        return len(self.bounds) - 1


def _adjacency(tails: Ints, heads: Ints, n_points: int) -> tuple[Ints, Ints]:
    """Offsets and tails, grouped by head."""
    grouped = np.lexsort((tails, heads))
    offsets = np.zeros(n_points + 1, np.int64)
    np.cumsum(np.bincount(heads, minlength=n_points), out=offsets[1:])
    return offsets, tails[grouped]


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
    point_of = np.empty(len(by_level), np.int64)
    point_of[by_level] = np.arange(len(by_level))
    tails, heads = _segments(sources, targets, bend_ptr, n)
    in_ptr, parents = _adjacency(point_of[tails], point_of[heads], len(by_level))
    out_ptr, children = _adjacency(point_of[heads], point_of[tails], len(by_level))
    bounds = np.searchsorted(all_levels[by_level], np.arange(all_levels.max(initial=-1) + 2))
    return Proper(bounds, point_of, by_level >= n, in_ptr, parents, out_ptr, children, bend_ptr, direct)
