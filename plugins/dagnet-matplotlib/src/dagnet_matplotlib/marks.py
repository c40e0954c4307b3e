"""The marks of a picture as artists: lines, arrow heads, texts, shapes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection, PathCollection
from matplotlib.patches import Circle, FancyBboxPatch, Patch, Polygon
from matplotlib.path import Path
from matplotlib.patheffects import withStroke

from dagnet.drawing import FAINT, PAPER, Page, Piece, Text, arrow_head
from dagnet_matplotlib.lettering import LETTERS, plain

__all__ = ["Pen", "add_edges", "add_nodes", "add_shapes", "add_texts"]

ON_PAPER = {"boxstyle": "round,pad=0.1", "facecolor": PAPER, "edgecolor": "none"}
SIDES = {"start": "left", "middle": "center", "end": "right"}
LEGIBLE, THINNEST, HALO = 4.2, 0.2, 0.23
"""Points below which a name is not written, and a line not made thinner; a halo's share of letters."""
DASHES = (0, (2.0, 1.4))


@dataclass(frozen=True)
class Pen:
    """Where to draw what, and how many points a pixel of the layout has; letters are ``narrower``."""

    ax: Axes
    page: Page
    scale: float
    narrower: float = 1.0

    def write(self, x: float, y: float, text: str, size: float, under: str = "", **how: Any) -> None:
        """Text of a size in pixels of the layout, on a halo or a plate of paper."""
        points = size * self.narrower * self.scale
        halo = [withStroke(linewidth=HALO * points, foreground=PAPER)] if under == "halo" else []
        plate = {"bbox": ON_PAPER} if under == "plate" else {}
        if points >= LEGIBLE:
            self.ax.text(x, y, text, fontsize=points, path_effects=halo, zorder=4, **plate, **LETTERS, **how)


def _path(pieces: list[Piece]) -> Path:
    points = [pieces[0][0], *(point for piece in pieces for point in piece[1:])]
    return Path(points, [Path.MOVETO, *[Path.CURVE4] * (len(points) - 1)])


def add_edges(pen: Pen) -> None:
    """All lines, the faintest first, with arrow heads while they are few."""
    page = pen.page
    order = np.argsort(page.strength, kind="stable")
    faint, shown = (order[page.shown[order] == full].tolist() for full in (False, True))
    if faint:
        lines = [_path(page.route(edge)) for edge in faint]
        thin = max(min(0.6, page.thickest / 3) * pen.scale, THINNEST)
        line: dict[str, Any] = {"edgecolors": FAINT, "linewidths": thin, "alpha": page.haze, "zorder": 0.9}
        pen.ax.add_collection(PathCollection(lines, facecolors="none", **line), autolim=False)
    if not shown:
        return
    found = [page.line(edge) for edge in shown]
    colours, widths, routes = ([one[part] for one in found] for part in range(3))
    heads = [arrow_head(route[-1][3], way, size) for _, _, route, way, size in found if size]
    thick = np.maximum(np.array(widths) * pen.scale, THINNEST)
    line = {"facecolors": "none", "edgecolors": colours, "linewidths": thick, "alpha": page.opacity}
    lines = [_path(route) for route in routes]
    pen.ax.add_collection(PathCollection(lines, capstyle="round", zorder=1, **line), autolim=False)
    closed = [Path([*corners, corners[0]], closed=True) for corners in heads]
    points: dict[str, Any] = {"facecolors": colours, "edgecolors": "none", "alpha": page.opacity}
    pen.ax.add_collection(PathCollection(closed, zorder=1, **points), autolim=False)


def add_nodes(pen: Pen) -> None:
    """The nodes in their shapes and colours."""
    page, nodes = pen.page, range(len(pen.page.titles))
    places = list(zip(page.x.tolist(), page.y.tolist(), strict=True))
    rims = [page.rim(node) for node in nodes]
    colours, widths, dashed = ([rim[part] for rim in rims] for part in range(3))
    fills = [page.fill(node) for node in nodes]
    styles = [DASHES if below else "solid" for below in dashed]
    rim = {"edgecolors": colours, "linewidths": np.array(widths) * pen.scale, "linestyles": styles}
    add_shapes(pen, page.sketch.roles, places, page.radii.tolist(), fills, rim)


def add_shapes(
    pen: Pen, roles: Sequence[str], places: Sequence[tuple[float, float]], radii: Sequence[float],
    fills: Sequence[str], rim: dict[str, Any],
) -> None:  # fmt: skip
    """Squares, circles, double circles and diamonds."""
    shapes = [_shape(role, *place, r) for role, place, r in zip(roles, places, radii, strict=True)]
    outer = PatchCollection(shapes, facecolors=list(fills), zorder=3, **rim)
    pen.ax.add_collection(outer, autolim=False)
    double = [at for at, role in enumerate(roles) if role == "output"]
    rings: list[Patch] = [Circle(places[at], max(radii[at] - 2.6, radii[at] * 0.7)) for at in double]
    colours = (
        rim["edgecolors"] if isinstance(rim["edgecolors"], str) else [rim["edgecolors"][at] for at in double]
    )
    thin: dict[str, Any] = {"linewidths": [min(0.7, radii[at] / 6) * pen.scale for at in double]}
    inner = PatchCollection(rings, facecolors="none", edgecolors=colours, zorder=3, **thin)
    pen.ax.add_collection(inner, autolim=False)


def _shape(role: str, x: float, y: float, r: float) -> Patch:
    if role in ("input", "group"):
        half, corner = r * 0.88, r * (0.2 if role == "input" else 0.5)
        style = f"round,pad=0,rounding_size={corner}"
        return FancyBboxPatch((x - half, y - half), 2 * half, 2 * half, boxstyle=style)
    if role == "constant":
        far = r * 1.15
        return Polygon([(x - far, y), (x, y - far), (x + far, y), (x, y + far)], closed=True)
    return Circle((x, y), r)


def add_texts(pen: Pen, texts: Iterable[Text]) -> None:
    """Names and numbers where they have room."""
    for text in texts:
        how = {"color": text.colour, "ha": SIDES[text.anchor]}
        pen.write(text.x, text.y, plain(text.text), text.size, text.under, **how)
