"""What pictures are made of: colours, letters and curves.

Colours are told apart by the colour-blind, and in grey: nodes below zero have a dashed rim, too, and blue
ends darker than orange; each group is lighter than the next.
"""

from __future__ import annotations

import itertools
import math
import unicodedata
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dagnet.drawing.sketch import Floats
from dagnet.markup import visible

POSITIVE, NEGATIVE, NEUTRAL = "#0072b2", "#d55e00", "#8a8f98"
INK, MUTED, PAPER, FAINT = "#1b1f24", "#5b6470", "#ffffff", "#c3c9d1"
ROLE_FILL = {
    "input": "#e9edf2",
    "hidden": "#ffffff",
    "output": "#fdf3d8",
    "constant": "#f3f0fa",
    "group": "#f4f6f8",
}
MIDDLE, ABOVE, BELOW = "#fafaf8", "#005a94", "#e5832c"
GROUPS = ("#fde9a9", "#8fcbee", "#dd9420", "#2f9e7f", "#a85f93", "#00639b", "#7d3200", "#1f2a44")
_NARROW = frozenset("fijlrtI.,:;|!'()[]{} ")
_WIDE = frozenset("mwMW@%")
ASCENT, DESCENT = 0.78, 0.24
"""How far letters reach above and below their line, as shares of their size."""
Point = tuple[float, float]
Piece = tuple[Point, Point, Point, Point]
Box = tuple[float, float, float, float]


def sign_colour(weight: float) -> str:
    """Blue above zero, orange below, grey for zero and for no number."""
    return POSITIVE if weight > 0 else NEGATIVE if weight < 0 else NEUTRAL


def number_colour(value: float, most: float) -> str:
    """Of a number between −most and most; of NaN paper."""
    if math.isnan(value):
        return PAPER
    share, end = min(abs(value) / (most or 1.0), 1.0), ABOVE if value >= 0 else BELOW
    pairs = zip(_channels(MIDDLE), _channels(end), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def ink_on(fill: str) -> str:
    """Black or white, whichever can be read on a fill."""
    red, green, blue = _channels(fill)
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 125 else PAPER


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def figure(value: float, *, counted: bool = False) -> str:
    """A number in a picture: three digits, and a minus that is one."""
    return f"{value:,.0f}" if counted else f"{value + 0.0:.3g}".replace("-", "−")


class Text(NamedTuple):
    """A line of text that begins, is centred or ends at (x, y): on a halo or plate of paper, or neither."""

    text: str
    x: float
    y: float
    anchor: str
    size: float
    colour: str
    under: str = "halo"

    @property
    def box(self) -> Box:
        """Left, top, right, bottom."""
        width = text_width(self.text, self.size)
        left = self.x - width * {"start": 0.0, "middle": 0.5, "end": 1.0}[self.anchor]
        return left, self.y - ASCENT * self.size, left + width, self.y + DESCENT * self.size


def meeting(some: Floats, others: Floats) -> NDArray[np.bool_]:
    """(some, others) whether boxes meet."""
    apart = (some[:, None, :2] >= others[:, 2:]) | (some[:, None, 2:] <= others[:, :2])
    return np.asarray(~apart.any(axis=2))


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


def cut(text: str, size: float, room: float, *, least: float = 2) -> str:
    """The text, shortened with an ellipsis to about ``room``; empty where not ``least`` characters fit."""
    if len(text) <= 200 and text_width(text, size) <= room:
        return text
    used = size * 0.6
    for end, character in enumerate(text[:200]):
        used += size * _advance(character)
        if used > room:
            return text[:end].rstrip() + "…" if end >= least else ""
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
