"""From a sketch to pixels: where nodes, lines and labels of a picture stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dagnet.drawing.layout import Layout, layered_layout
from dagnet.drawing.palette import NEUTRAL, sign_colour
from dagnet.drawing.routes import Piece, curve, swung
from dagnet.drawing.sketch import Floats, Sketch
from dagnet.drawing.text import cut, text_width
from dagnet.markup import node_labels

HEIGHT, ASPECT = 760.0, 1.5
SIDE_LABEL = 170.0
NUMBERS = 24


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
