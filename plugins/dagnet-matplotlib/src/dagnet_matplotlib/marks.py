"""The marks of a picture as artists: lines, arrow heads, numbers, shapes, labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection, PathCollection
from matplotlib.patches import Circle, FancyBboxPatch, Patch, Polygon
from matplotlib.path import Path
from matplotlib.patheffects import withStroke

from dagnet.drawing.page import (
    ARROWS,
    INK,
    NUMBERS,
    PAPER,
    ROLE_FILL,
    Page,
    Piece,
    arrow_head,
    cut_end,
    point_at,
    text_width,
)
from dagnet_matplotlib.lettering import LETTERS, NARROWER

__all__ = ["Pen", "add_edges", "add_labels", "add_nodes", "add_numbers", "add_shapes"]

ON_PAPER = {"boxstyle": "round,pad=0.1", "facecolor": PAPER, "edgecolor": "none"}
SIDES = {"start": "left", "middle": "center", "end": "right"}
LEGIBLE, THINNEST = 4.2, 0.2
"""Points below which a name is not written, and a line not made thinner."""
MOST = 0.5
"""The share of a column's names that must have room."""
NUMBER, PLACES = 9.0, (0.36, 0.28, 0.44, 0.52, 0.6, 0.68)
"""The size of the weights, in pixels, and where on a line they may stand."""


@dataclass(frozen=True)
class Pen:
    """Where to draw what, and how many points a pixel of the layout has."""

    ax: Axes
    page: Page
    scale: float

    def write(self, x: float, y: float, text: str, size: float, halo: float = 0.0, **how: Any) -> None:
        """Text of a size in pixels of the layout, on a halo of paper that wide."""
        points = size * NARROWER * self.scale
        effects = [withStroke(linewidth=halo * self.scale, foreground=PAPER)] if halo else []
        if points >= LEGIBLE:
            self.ax.text(x, y, text, fontsize=points, path_effects=effects, zorder=4, **LETTERS, **how)


def _path(pieces: list[Piece]) -> Path:
    points = [pieces[0][0], *(point for piece in pieces for point in piece[1:])]
    return Path(points, [Path.MOVETO, *[Path.CURVE4] * (len(points) - 1)])


def add_edges(pen: Pen) -> None:
    """All lines, the faintest first, with arrow heads while they are few."""
    page, n = pen.page, len(pen.page.strength)
    if n == 0:
        return
    order = np.argsort(page.strength, kind="stable")
    widths = 0.5 + (page.thickest - 0.5) * page.strength[order]
    colours = [page.colour(weight) for weight in page.sketch.weights[order].tolist()]
    lines, heads = [], []
    for edge, width in zip(order.tolist(), widths.tolist(), strict=True):
        pieces = page.route(edge)
        if n <= ARROWS:
            pieces, direction = cut_end(pieces, page.radius + 1.5 + 5 + width)
            corners = arrow_head(pieces[-1][3], direction, 5 + width)
            heads.append(Path([*corners, corners[0]], closed=True))
        lines.append(_path(pieces))
    thick = np.maximum(widths * pen.scale, THINNEST)
    line: dict[str, Any] = {
        "facecolors": "none",
        "edgecolors": colours,
        "linewidths": thick,
        "alpha": page.opacity,
    }
    pen.ax.add_collection(PathCollection(lines, capstyle="round", zorder=1, **line), autolim=False)
    points: dict[str, Any] = {"facecolors": colours, "edgecolors": "none", "alpha": page.opacity}
    pen.ax.add_collection(PathCollection(heads, zorder=1, **points), autolim=False)


def add_numbers(pen: Pen) -> None:
    """The weights themselves, on their lines, while they are few."""
    page = pen.page
    if len(page.strength) > NUMBERS or page.column < 70:
        return
    taken: list[tuple[float, float, float]] = []
    for edge in np.argsort(-page.strength, kind="stable").tolist():
        weight = float(page.sketch.weights[edge])
        if not math.isnan(weight):
            number = f"{weight:,.0f}" if page.sketch.counted else f"{weight:.3g}"
            x, y = _free_place(page.route(edge), text_width(number, NUMBER), taken)
            pen.write(x, y + 3, number, NUMBER, color=page.colour(weight), ha="center", bbox=ON_PAPER)


def _free_place(
    route: list[Piece], width: float, taken: list[tuple[float, float, float]]
) -> tuple[float, float]:
    """A point on a line where a number hides no other; it is noted as taken."""
    for share in PLACES:
        x, y = point_at(route, share)
        if all(abs(x - a) > (width + w) / 2 + 3 or abs(y - b) > NUMBER + 2 for a, b, w in taken):
            break
    else:
        x, y = point_at(route, PLACES[0])
    taken.append((x, y, width))
    return x, y


def add_nodes(pen: Pen) -> None:
    """The nodes in their shapes."""
    page = pen.page
    places = list(zip(page.x.tolist(), page.y.tolist(), strict=True))
    add_shapes(pen, page.sketch.roles, places, page.radius, INK, 1.2 if page.radius > 6 else 0.6)


def add_shapes(
    pen: Pen, roles: Sequence[str], places: list[tuple[float, float]], r: float, edge: str, width: float
) -> None:
    """Squares, circles, double circles and diamonds of radius ``r``."""
    shapes = [_shape(role, x, y, r) for role, (x, y) in zip(roles, places, strict=True)]
    fills = [ROLE_FILL[role] for role in roles]
    line: dict[str, Any] = {"edgecolors": edge, "zorder": 3}
    outer = PatchCollection(shapes, facecolors=fills, linewidths=width * pen.scale, **line)
    pen.ax.add_collection(outer, autolim=False)
    rings: list[Patch] = [
        Circle(place, max(r - 2.6, r * 0.7))
        for role, place in zip(roles, places, strict=True)
        if role == "output"
    ]
    thin = min(width, 0.7) * pen.scale
    pen.ax.add_collection(PatchCollection(rings, facecolors="none", linewidths=thin, **line), autolim=False)


def _shape(role: str, x: float, y: float, r: float) -> Patch:
    if role in ("input", "group"):
        half, corner = r * 0.88, r * (0.2 if role == "input" else 0.5)
        style = f"round,pad=0,rounding_size={corner}"
        return FancyBboxPatch((x - half, y - half), 2 * half, 2 * half, boxstyle=style)
    if role == "constant":
        far = r * 1.15
        return Polygon([(x - far, y), (x, y - far), (x + far, y), (x, y + far)], closed=True)
    return Circle((x, y), r)


def add_labels(pen: Pen) -> None:
    """The names, where there is room; below nodes only if most of their column have it."""
    page = pen.page
    labels = [page.label(node) for node in range(len(page.labels))]
    columns = np.unique(page.layout.x, return_inverse=True)[1].reshape(-1)
    labelled = np.array([text != "" for text, *_ in labels], np.float64)
    sparse = np.bincount(columns, weights=labelled) < MOST * np.bincount(columns)
    for node, (text, x, y, anchor) in enumerate(labels):
        inside = page.inside[node]
        if text and (inside or not sparse[columns[node]]):
            pen.write(x, y, text, page.font, 0.0 if inside else 2.6, color=INK, ha=SIDES[anchor])
