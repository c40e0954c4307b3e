"""Edges as curves: straight between neighbouring levels, smooth through the bends of long ones."""

from __future__ import annotations

import itertools
import math

import numpy as np

from dagnet.drawing.sketch import Floats

Point = tuple[float, float]
Piece = tuple[Point, Point, Point, Point]


def curve(x: Floats, y: Floats) -> list[Piece]:
    """The cubic Bézier pieces of a curve through points with increasing ``x``.

    It is monotone between the points (slopes are harmonic means, Fritsch & Butland 1984), so
    that it never swings out of the lane that the layout gave it.  Two points make a line.
    """
    run = np.diff(x)
    secants = np.diff(y) / run
    slopes = np.empty(len(x))
    slopes[0], slopes[-1] = secants[0], secants[-1]
    product = secants[:-1] * secants[1:]
    total = secants[:-1] + secants[1:]
    slopes[1:-1] = np.where(product > 0, 2 * product / np.where(total == 0, 1, total), 0.0)
    third = run / 3
    leaving = zip((x[:-1] + third).tolist(), (y[:-1] + slopes[:-1] * third).tolist(), strict=True)
    arriving = zip((x[1:] - third).tolist(), (y[1:] - slopes[1:] * third).tolist(), strict=True)
    points = list(zip(x.tolist(), y.tolist(), strict=True))
    return list(zip(points, leaving, arriving, points[1:], strict=False))


def swung(start: Point, stop: Point) -> list[Piece]:
    """One piece, an S that leaves and arrives level: a long edge that runs directly."""
    reach = (stop[0] - start[0]) * 0.4
    return [(start, (start[0] + reach, start[1]), (stop[0] - reach, stop[1]), stop)]


def path_data(pieces: list[Piece]) -> str:
    """The ``d`` attribute of an SVG path."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = pieces[0]
    start = f"M{x0:.1f} {y0:.1f}"
    bulge = abs((x1 - x0) * (y3 - y0) - (y1 - y0) * (x3 - x0))
    bulge += abs((x2 - x0) * (y3 - y0) - (y2 - y0) * (x3 - x0))
    if len(pieces) == 1 and bulge < 1e-6 * (1 + (x3 - x0) ** 2 + (y3 - y0) ** 2):
        return f"{start}L{x3:.1f} {y3:.1f}"
    flat = itertools.chain.from_iterable(itertools.chain.from_iterable(piece[1:] for piece in pieces))
    return f"{start}C" + " ".join(f"{value:.1f}" for value in flat)


def _split(piece: Piece, at: float) -> Piece:
    """The part of a piece before the fraction ``at`` (de Casteljau)."""
    points = list(piece)
    kept = [points[0]]
    while len(points) > 1:
        points = [
            (ax + (bx - ax) * at, ay + (by - ay) * at) for (ax, ay), (bx, by) in itertools.pairwise(points)
        ]
        kept.append(points[0])
    return (kept[0], kept[1], kept[2], kept[3])


def point_at(pieces: list[Piece], at: float) -> Point:
    """The point at a fraction ``at`` of the curve's first piece."""
    return _split(pieces[0], at)[3]


def cut_end(pieces: list[Piece], distance: float) -> tuple[list[Piece], Point]:
    """The curve without the end that lies within ``distance`` of its last point.

    Returns it with the direction, of length 1, from its new end to the old one.
    """
    end_x, end_y = pieces[-1][3]
    low, high = 0.0, 1.0
    for _ in range(24):
        middle = (low + high) / 2
        x, y = _split(pieces[-1], middle)[3]
        low, high = (middle, high) if math.hypot(end_x - x, end_y - y) > distance else (low, middle)
    cut = _split(pieces[-1], low)
    dx, dy = end_x - cut[3][0], end_y - cut[3][1]
    length = math.hypot(dx, dy) or 1.0
    return [*pieces[:-1], cut], (dx / length, dy / length)
