"""From a sketch to pixels: colours, labels, curves, and where everything of a picture stands."""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dagnet.drawing.layout import Layout, layered_layout
from dagnet.drawing.sketch import ROLES, Floats, Sketch
from dagnet.markup import node_labels, visible

POSITIVE = "#0072b2"
NEGATIVE = "#d55e00"
NEUTRAL = "#8a8f98"
INK = "#1b1f24"
MUTED = "#5b6470"
PAPER = "#ffffff"
ROLE_FILL = {
    "input": "#e9edf2",
    "hidden": "#ffffff",
    "output": "#fdf3d8",
    "constant": "#f3f0fa",
    "group": "#f4f6f8",
}
_NARROW = frozenset("fijlrtI.,:;|!'()[]{} ")
_WIDE = frozenset("mwMW@%")
Point = tuple[float, float]
Piece = tuple[Point, Point, Point, Point]
HEIGHT, ASPECT = 760.0, 1.5
SIDE_LABEL = 170.0
ARROWS, NUMBERS = 60, 24


def sign_colour(weight: float) -> str:
    """Blue above zero, orange below, grey for zero and for no number."""
    return POSITIVE if weight > 0 else NEGATIVE if weight < 0 else NEUTRAL


def xml(text: str) -> str:
    """The text, escaped for XML content and double-quoted attributes."""
    shown = visible(text)
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def text_width(text: str, size: float) -> float:
    """About how wide a sans-serif text is, in the unit of ``size``."""
    return size * sum(map(_advance, text))


def _advance(character: str) -> float:
    if character in _NARROW:
        return 0.3
    if character in _WIDE:
        return 0.86
    if ord(character) > 0x2000 and unicodedata.east_asian_width(character) in "WF":
        return 1.0
    if unicodedata.combining(character):
        return 0.0
    return 0.68 if character.isupper() else 0.56


def cut(text: str, size: float, room: float) -> str:
    """The text, shortened with an ellipsis to about ``room``; empty where nothing fits."""
    if len(text) <= 200 and text_width(text, size) <= room:
        return text
    used = size * 0.6
    for end, character in enumerate(text[:200]):
        used += size * _advance(character)
        if used > room:
            return text[:end].rstrip() + "…" if end >= 2 else ""
    return text[:200] + "…"


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


def arrow_head(at: Point, direction: Point, size: float) -> tuple[Point, Point, Point]:
    """Its tip and its wings."""
    (x, y), (dx, dy), half = at, direction, size * 0.42
    return (x + dx * size, y + dy * size), (x - dy * half, y + dx * half), (x + dy * half, y - dx * half)


def key(sketch: Sketch) -> Iterator[tuple[str, str]]:
    """A role or a line's colour, and what it means."""
    if sketch.counted:
        yield NEUTRAL, "edges, the wider the more"
        return
    for role in ROLES:
        kinds = {a for a, r in zip(sketch.activations, sketch.roles, strict=False) if r == role}
        if role in sketch.roles:
            only = f" ({kinds.pop()})" if len(kinds) == 1 and role in ("hidden", "output") else ""
            yield role, role + only[:40]
    if (sketch.weights > 0).any():
        yield POSITIVE, "positive weight"
    if (sketch.weights < 0).any():
        yield NEGATIVE, "negative weight"


@dataclass(frozen=True)
class Page:
    """Where everything stands, in pixels; ``column`` and ``row`` are the layout's units."""

    sketch: Sketch
    labels: list[str]
    layout: Layout
    x: Floats
    y: Floats
    column: float
    row: float
    radius: float
    font: float
    inside: NDArray[np.bool_]
    """(nodes,): whether the names of a column are written in its nodes: all of them, or none."""
    room: Floats
    """(2, nodes): how far it is to the node above and below in the column; inf where there is none."""
    strength: Floats
    """(edges,): |weight| as a share of the largest, 0 where there is none."""

    @property
    def opacity(self) -> float:
        """Of lines: many are faint."""
        n = len(self.strength)
        return 0.9 if n <= ARROWS else max(0.25, 0.85 - 0.2 * math.log10(n / ARROWS))

    @property
    def thickest(self) -> float:
        """The width of the strongest line."""
        return min(3.2, max(0.8, self.radius * 0.3))

    def colour(self, weight: float) -> str:
        """Of a line; counts have none of their own."""
        return NEUTRAL if self.sketch.counted else sign_colour(weight)

    def route(self, edge: int) -> list[Piece]:
        """The curve of an edge, from the middle of a node to the middle of another."""
        layout, source, target = self.layout, self.sketch.sources[edge], self.sketch.targets[edge]
        bends = slice(layout.bend_ptr[edge], layout.bend_ptr[edge + 1])
        if layout.direct and layout.x[target] - layout.x[source] > 1:
            return swung((self.x[source], self.y[source]), (self.x[target], self.y[target]))
        x = np.concatenate([[self.x[source]], layout.bend_x[bends] * self.column, [self.x[target]]])
        y = np.concatenate([[self.y[source]], layout.bend_y[bends] * self.row, [self.y[target]]])
        return curve(x, y)

    def label(self, node: int) -> tuple[str, float, float, str]:
        """Text, place and anchor of a node's label; an empty text where there is no room."""
        label, x, y, r = self.labels[node], float(self.x[node]), float(self.y[node]), self.radius
        middle, role = y + self.font * 0.36, self.sketch.roles[node]
        if self.inside[node]:
            return label, x, middle, "middle"
        above, below = self.room[:, node]
        if min(above, below) < self.font + 0.5:
            return "", x, y, "middle"
        if self.layout.x[node] == 0 and role != "output":
            return cut(label, self.font, SIDE_LABEL), x - r - 4, middle, "end"
        if self.layout.x[node] == self.layout.x.max():
            return cut(label, self.font, SIDE_LABEL), x + r + 4, middle, "start"
        if below < 2 * r + self.font + 2:
            return "", x, y, "middle"
        return cut(label, self.font, self.column * 0.92), x, y + r + self.font, "middle"

    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of all that is drawn."""
        if not self.labels:
            return -50.0, -20.0, 50.0, 20.0
        r = self.radius * 1.2
        left, right = float(self.x.min()) - r, float(self.x.max()) + r
        bends = self.layout.bend_y * self.row
        top = min(float(self.y.min()) - r, float(bends.min(initial=0)))
        bottom = max(float(self.y.max()) + r, float(bends.max(initial=0)))
        for node in range(len(self.labels)):
            text, x, y, anchor = self.label(node)
            bottom = max(bottom, y + self.font * 0.3)
            width = text_width(text, self.font)
            x -= width * {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
            left, right = min(left, x), max(right, x + width)
        return left, top, right, bottom


def lay_out(sketch: Sketch) -> Page:
    """Choose a layout and a size at which the picture is about as large as a printed page."""
    labels = node_labels(sketch.names)
    layout = layered_layout(len(labels), sketch.sources, sketch.targets, sketch.levels)
    rows = float(np.ptp(np.concatenate([layout.y, layout.bend_y]))) + 1 if labels else 1.0
    columns = max(float(np.ptp(layout.x)), 1.0) if labels else 1.0
    row = min(max(HEIGHT / rows, 5.0), 52.0)
    radius = min(0.36 * row, 16.0)
    font = min(max(0.3 * row, 6.5), 11.5)
    longest = max((text_width(label[:40], font) for label in labels), default=0.0)
    least = max(3.4 * radius, min(longest + 2 * radius, 130.0) if row >= 16 else 0.0)
    across, down = layout.scaled(ASPECT, least=(least / row, 1.0))
    roomy = min(130.0 if len(sketch.sources) <= NUMBERS else 88.0, 700 / columns)
    column = min(max(across * row, roomy), max(least, 1_100 / columns, 96.0))
    row *= min(down, 1.5)
    x, y = layout.x * column, layout.y * row
    inside, room = _inside(x, labels, radius, font), _room(x, y)
    return Page(sketch, labels, layout, x, y, column, row, radius, font, inside, room, _strength(sketch))


def _inside(x: Floats, labels: list[str], radius: float, font: float) -> NDArray[np.bool_]:
    wide = np.array([font > radius or text_width(label[:40], font) > 1.6 * radius for label in labels], bool)
    columns = np.unique(x, return_inverse=True)[1]
    return np.bincount(columns, wide, len(x))[columns] == 0


def _room(x: Floats, y: Floats) -> Floats:
    order = np.lexsort((y, x))
    same = x[order][:-1] == x[order][1:]
    gaps = np.where(same, np.diff(y[order]), np.inf)
    room = np.full((2, len(x)), np.inf)
    room[0, order[1:]] = gaps
    room[1, order[:-1]] = gaps
    return room


def _strength(sketch: Sketch) -> Floats:
    size = np.abs(sketch.weights)
    size = np.where(np.isnan(size), 0.0, np.minimum(size, np.finfo(np.float64).max))
    largest = size.max(initial=0.0)
    return size / largest if largest > 0 else size
