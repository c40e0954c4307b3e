"""How far apart: vertical coordinates that keep the order, the gaps, and long edges straight.

Level by level, each point is drawn towards the weighted mean of its neighbours; the nearest
positions (least squares) that keep the order and the gaps are an isotonic regression, solved
exactly by pooling adjacent violators (Ayer et al. 1955).
"""

from __future__ import annotations

import numpy as np

from dagnet.adjacency import Rows
from dagnet.drawing.proper import Proper
from dagnet.drawing.sketch import Floats, Ints

Pull = tuple[Rows, Floats]
LANE = (0.12, 0.4)  # room of a bend, less where there are many
ROOMIEST = 3.0
STRAIGHT = (1.0, 2.0, 8.0)  # pull of a segment with no, one, two bends as its ends


def place_levels(graph: Proper, order: Ints, *, rounds: int = 8) -> Floats:
    """The vertical coordinate of every point; two nodes of a level are at least 1 apart."""
    room = _room(graph)
    y = np.empty(len(order))
    for level in range(graph.n_levels):
        here = order[graph.bounds[level] : graph.bounds[level + 1]]
        ends = np.cumsum(room[here])
        y[here] = ends - room[here] / 2 - ends[-1:] / 2
    pulls = np.array(STRAIGHT)
    down, up = (
        (rows, pulls[graph.bend[rows.neighbours] * 1 + np.repeat(graph.bend, rows.degrees())])
        for rows in (graph.parents, graph.children)
    )
    rounds = max(2, min(rounds, 10_000 // max(graph.n_levels, 1)))
    downwards, upwards = range(1, graph.n_levels), range(graph.n_levels - 2, -1, -1)
    for turn in range(rounds):
        both = turn >= rounds // 2
        for levels, sides in ((downwards, (down,)), (upwards, (up,))):
            for level in levels:
                start, stop = graph.bounds[level : level + 2]
                _settle(order[start:stop], start, room, y, (down, up) if both else sides)
    return y


def _room(graph: Proper) -> Floats:
    """How much of its column a point takes: more where the column has few nodes."""
    level = graph.levels()
    n_bends = int(np.count_nonzero(graph.bend))
    lane = float(np.clip((len(graph.bend) - n_bends) / max(n_bends, 1), *LANE))
    taken = np.bincount(level, np.where(graph.bend, lane, 1.0), graph.n_levels)
    roomy = np.clip((taken.max(initial=1.0) / np.maximum(taken, 1.0)) ** 0.75, 1.0, ROOMIEST)
    return np.where(graph.bend, lane, roomy[level])


def _settle(here: Ints, start: int, room: Floats, y: Floats, sides: tuple[Pull, ...]) -> None:
    """Move the points ``here``, a level that begins at ``start``, to where their neighbours want them."""
    n, stop = len(here), start + len(here)
    total, weight = np.zeros(n), np.zeros(n)
    for rows, pulls in sides:
        offsets = rows.indptr[start : stop + 1]
        among = slice(offsets[0], offsets[-1])
        owner = np.repeat(np.arange(n), np.diff(offsets))
        total += np.bincount(owner, pulls[among] * y[rows.neighbours[among]], n)
        weight += np.bincount(owner, pulls[among], n)
    alone = weight == 0
    weight[alone] = 1e-3
    wanted = np.where(alone, y[start:stop], total / weight)
    gaps = (room[here][:-1] + room[here][1:]) / 2
    shift = np.concatenate([[0.0], np.cumsum(gaps)])
    y[here] = _isotonic(wanted[here - start] - shift, weight[here - start]) + shift


def _isotonic(values: Floats, weights: Floats) -> Floats:
    """The non-decreasing sequence nearest to ``values`` in weighted least squares."""
    if len(values) < 2 or (np.diff(values) >= 0).all():
        return values
    means: list[float] = []
    masses: list[float] = []
    counts: list[int] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        mean, mass, count = value, weight, 1
        while means and means[-1] > mean:
            other = masses.pop()
            mean = (means.pop() * other + mean * mass) / (other + mass)
            mass += other
            count += counts.pop()
        means.append(mean)
        masses.append(mass)
        counts.append(count)
    return np.repeat(means, counts)
