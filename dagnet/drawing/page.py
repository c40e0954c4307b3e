"""From a sketch to pixels: where everything of a picture stands, and what colour it has."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from dagnet.drawing import marks
from dagnet.drawing.layout import Layout, layered_layout
from dagnet.drawing.sketch import ROLES, Bools, Floats, Ints, Sketch
from dagnet.markup import counted, label, node_labels, told_apart

HEIGHT, ASPECT, WIDEST = 760.0, 1.5, 1_300.0
PIXELS, TALL, EDGE = 96.0, 830.0, 4.0
"""In an inch; how high a printed picture is, without its legend; the margin where a width is given."""
SIDE_LABEL, SIDE_SHARE = 170.0, 0.3
FONTS = (28 / 3, 8.0, 20 / 3)
"""7, 6 and 5 pt in pixels: the largest at which all names have room, else the smallest."""
ARROWS, NUMBERS, NARROWEST = 60, 24, 48.0
MANY, STRONGEST = 300, 150
"""Of more edges than that only so many are drawn in full."""
KEPT, MOST, REACH = 16, 0.55, 1.8
"""Characters that a name beside the picture is not cut below; the share of a column's names below which none
is written; how far a name may reach in it, in columns."""
PLACES = (0.36, 0.28, 0.44, 0.52, 0.6, 0.68, 0.2, 0.76)
"""Where on its line a number may stand."""
BAR = 20


@dataclass(frozen=True)
class Page:
    """Where everything stands, in pixels; ``column`` and ``row`` are the layout's units."""

    sketch: Sketch
    titles: list[str]
    """(nodes,): their names, all different."""
    labels: list[str]
    """(nodes,): what is to be written; an empty text is nothing."""
    layout: Layout
    strength: Floats
    """(edges,): |weight| as a share of the largest, 0 where there is none."""
    shown: Bools
    """(edges,): which are drawn in full, the others being faint."""
    width: float | None
    """As wide as was asked, or None."""
    column: float = 1.0
    row: float = 1.0
    radius: float = 1.0
    font: float = 1.0

    @cached_property
    def x(self) -> Floats:
        """(nodes,) rightwards."""
        return self.layout.x * self.column

    @cached_property
    def y(self) -> Floats:
        """(nodes,) downwards."""
        return self.layout.y * self.row

    @cached_property
    def radii(self) -> Floats:
        """(nodes,) of what is drawn."""
        sizes = np.ones(len(self.titles)) if self.sketch.sizes is None else np.nan_to_num(self.sketch.sizes)
        return np.asarray(self.radius * np.sqrt(np.clip(sizes, 0.04, 1.0)))

    # -- colours and widths --------------------------------------------------------------

    @cached_property
    def most(self) -> float:
        """The largest finite |number| that a colour stands for."""
        values = np.zeros(0) if self.sketch.values is None else self.sketch.values
        return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))

    @cached_property
    def group_colours(self) -> dict[str, str]:
        """The colour of each group."""
        return dict(zip(self.sketch.groups, marks.GROUPS, strict=False))

    def fill(self, node: int) -> str:
        """Of a node."""
        sketch = self.sketch
        if not self.is_lit(node) or (sketch.kinds and not sketch.kinds[node]):
            return marks.PAPER
        if sketch.values is not None:
            return marks.number_colour(float(sketch.values[node]), self.most)
        if sketch.kinds:
            return self.group_colours[sketch.kinds[node]]
        return marks.ROLE_FILL[sketch.roles[node]]

    def rim(self, node: int) -> tuple[str, float, bool]:
        """Colour and width of a node's rim, and whether it is dashed: below zero."""
        values, ringed = self.sketch.values, self.sketch.ringed
        width = (1.2 if self.radius > 6 else 0.6) * (2.5 if ringed is not None and ringed[node] else 1.0)
        below = values is not None and bool(values[node] < 0)
        pale = not self.is_lit(node) or (values is not None and bool(np.isnan(values[node])))
        return (marks.FAINT, width, False) if pale else (marks.INK, width, below)

    def is_lit(self, node: int) -> bool:
        """Whether a node is painted, or faint."""
        return self.sketch.lit is None or bool(self.sketch.lit[node])

    @property
    def opacity(self) -> float:
        """Of lines: many are faint."""
        n = int(self.shown.sum())
        return 0.9 if n <= ARROWS else max(0.25, 0.85 - 0.2 * math.log10(n / ARROWS))

    @property
    def haze(self) -> float:
        """Opacity of faint lines: the more there are, the less."""
        return min(0.9, max(0.15, 18 / math.sqrt(1 + int((~self.shown).sum()))))

    @property
    def thickest(self) -> float:
        """The width of the strongest line."""
        return min(3.2, max(0.8, self.radius * 0.3))

    def line(self, edge: int) -> tuple[str, float, list[marks.Piece], tuple[float, float], float]:
        """Colour, width and curve of a line, the direction of its head, and how long that is, 0 for none."""
        weight, pieces, thin = float(self.sketch.weights[edge]), self.route(edge), min(0.5, self.thickest / 2)
        width = thin + (self.thickest - thin) * float(self.strength[edge])
        head, direction = min(5.0, 0.5 * self.radius) + width, (1.0, 0.0)
        if self.shown.sum() > ARROWS:
            return self.colour(weight), width, pieces, direction, 0.0
        pieces, direction = marks.cut_end(pieces, float(self.radii[self.sketch.targets[edge]]) + 1.5 + head)
        return self.colour(weight), width, pieces, direction, head

    def colour(self, weight: float) -> str:
        """Of a line; counts have none of their own."""
        return marks.NEUTRAL if self.sketch.counted else marks.sign_colour(weight)

    def route(self, edge: int) -> list[marks.Piece]:
        """The curve of an edge, from the middle of a node to the middle of another."""
        layout, source, target = self.layout, self.sketch.sources[edge], self.sketch.targets[edge]
        bends = slice(layout.bend_ptr[edge], layout.bend_ptr[edge + 1])
        if layout.direct and layout.x[target] - layout.x[source] > 1:
            return marks.swung((self.x[source], self.y[source]), (self.x[target], self.y[target]))
        x = np.concatenate([[self.x[source]], layout.bend_x[bends] * self.column, [self.x[target]]])
        y = np.concatenate([[self.y[source]], layout.bend_y[bends] * self.row, [self.y[target]]])
        return marks.curve(x, y)

    # -- text ----------------------------------------------------------------------------

    @property
    def wanted(self) -> Bools:
        """(nodes,) whose names are to be written: of what is faint none."""
        lit = [self.is_lit(node) for node in range(len(self.labels))]
        return np.array([text != "" for text in self.labels], bool) & np.array(lit, bool)

    @cached_property
    def names(self) -> list[marks.Text]:
        """The names that have room, each hiding no other and no node: a column's in one way."""
        boxes, names = self._node_boxes, list[marks.Text]()
        columns = np.unique(self.layout.x, return_inverse=True)[1].reshape(-1)
        for column in range(int(columns.max(initial=-1)) + 1):
            nodes = np.flatnonzero((columns == column) & self.wanted)
            nodes = nodes[np.argsort(self.y[nodes])]
            found = [self._column(nodes, way, boxes) for way in self._ways(nodes)]
            best = max(found, key=len)
            if best and len(best) >= MOST * len(nodes):
                names += best
                boxes = np.concatenate([boxes, [text.box for text in best]])
        return names

    @property
    def _node_boxes(self) -> Floats:
        r = self.radii
        return np.column_stack([self.x - r, self.y - r, self.x + r, self.y + r])

    def _ways(self, nodes: Ints) -> tuple[str, ...]:
        """How the names of a column may be written: in the nodes if all can be."""
        wide = [marks.text_width(self.labels[node][:40], self.font) for node in nodes.tolist()]
        if (
            self.sketch.sizes is None
            and self.font <= self.radius
            and max(wide, default=0.0) <= 1.6 * self.radius
        ):
            return ("inside",)
        place, last = float(self.layout.x[nodes].max(initial=0)), float(self.layout.x.max(initial=0))
        return ("right",) if place == last else ("left",) if place == 0 else ("below", "beside")

    def _column(self, nodes: Ints, way: str, boxes: Floats) -> list[marks.Text]:
        """The names of a column that have room, written in one way."""
        texts = [self._name(node, way) for node in nodes.tolist()]
        hit = marks.meeting(np.array([text.box for text in texts]).reshape(-1, 4), boxes)
        hit[np.arange(len(nodes)), nodes] = False
        found, free = list[marks.Text](), -math.inf
        for text, hits in zip(texts, np.asarray(hit.any(axis=1)), strict=True):
            if text.text and not hits and text.box[1] >= free:
                found.append(text)
                free = text.box[3]
        return found

    def _name(self, node: int, way: str) -> marks.Text:
        x, y, r, font = float(self.x[node]), float(self.y[node]), float(self.radii[node]), self.font
        side = SIDE_LABEL if self.width is None else SIDE_SHARE * self.width
        spot, anchor, room = {
            "inside": ((x, y + 0.36 * font), "middle", math.inf),
            "left": ((x - r - 4, y + 0.36 * font), "end", side),
            "right": ((x + r + 4, y + 0.36 * font), "start", side),
            "below": ((x, y + r + 0.95 * font), "middle", REACH * self.column),
            "beside": ((x + r + 3, y + 0.36 * font), "start", REACH * self.column),
        }[way]
        text = marks.cut(self.labels[node], font, room, least=KEPT if way in {"left", "right"} else math.inf)
        if way == "inside":
            return marks.Text(text, *spot, anchor, font, marks.ink_on(self.fill(node)), "")
        return marks.Text(text, *spot, anchor, font, marks.INK)

    @cached_property
    def numbers(self) -> list[marks.Text]:
        """Weights on their lines and biases beside their nodes, while they are few and have room."""
        size, sketch = 9.0 if self.width is None else max(FONTS[-1], min(self.font, 8.0)), self.sketch
        boxes = [*self._node_boxes.tolist(), *(text.box for text in self.names)]
        found: dict[int, marks.Text] = {}
        if not 0 < len(self.strength) <= NUMBERS or self.column < (70 if self.width is None else NARROWEST):
            return []
        numbered = self.shown & ~np.isnan(sketch.weights)
        for edge in (edge for edge in np.argsort(-self.strength, kind="stable").tolist() if numbered[edge]):
            weight, route = float(sketch.weights[edge]), self.route(edge)
            text, colour = marks.figure(weight, counted=sketch.counted), self.colour(weight)
            fits = marks.text_width(text, size) < 0.6 * (self.column - 2 * self.radius)
            down, under = (size / 3, "plate") if fits else (-0.5 * size, "halo")
            spots = (marks.point_at(route, at) for at in PLACES)
            texts = [marks.Text(text, x, y + down, "middle", size, colour, under) for x, y in spots]
            found[edge] = _free(texts, boxes)
        biases = np.zeros(0) if sketch.biases is None else sketch.biases
        known = ~np.isnan(biases) & self.wanted if np.nan_to_num(biases).any() else np.zeros(0)
        for node in np.flatnonzero(known).tolist():
            text, x, y = f"b {marks.figure(float(biases[node]))}", float(self.x[node]), float(self.y[node])
            heights = (
                y + (self.radii[node] + 0.4 * size) * way + 0.3 * size * (way > 0) for way in (-1, 1, 2)
            )
            texts = [marks.Text(text, x, float(at), "middle", size, marks.MUTED) for at in heights]
            found[-1 - node] = _free(texts, boxes)
        return [found[place] for place in sorted(found) if found[place].text]

    def box(self) -> marks.Box:
        """Left, top, right and bottom of all that is drawn."""
        if not self.labels:
            return -50.0, -20.0, 50.0, 20.0
        nodes, bends = self._node_boxes, self.layout.bend_y * self.row
        rim = 0.2 * self.radius * np.array([-1, -1, 1, 1])
        bent = [(0.0, bends.min(initial=0), 0.0, bends.max(initial=0))]
        boxes = np.concatenate([nodes + rim, bent, *([text.box] for text in (*self.names, *self.numbers))])
        (left, top), (right, bottom) = boxes[:, :2].min(axis=0).tolist(), boxes[:, 2:].max(axis=0).tolist()
        return left, top, right, bottom

    # -- words ---------------------------------------------------------------------------

    def key(self) -> Iterator[tuple[str, str, str]]:
        """What marks mean: a kind (role, bar, fill, size, line), a role or colours, and a text."""
        sketch, weights = self.sketch, self.sketch.weights[self.shown]
        for role in (role for role in ROLES[:4] if role in sketch.roles):
            kinds = {a for a, r in zip(sketch.activations, sketch.roles, strict=False) if r == role}
            only = f" ({kinds.pop()})" if len(kinds) == 1 and role in ("hidden", "output") else ""
            yield "role", role, role + label(only, 40) if only else role
        if sketch.values is not None:
            low = -self.most if (sketch.values < 0).any() else 0.0
            high = self.most if (sketch.values > 0).any() or not low else 0.0
            colours = (
                marks.number_colour(share, 1.0) for share in np.linspace(-bool(low), bool(high), BAR).tolist()
            )
            below = " (dashed < 0)" if low else ""
            yield (
                "bar",
                " ".join(colours),
                f"{sketch.scale}, {marks.figure(low)} to {marks.figure(high)}{below}",
            )
            if np.isnan(sketch.values).any():
                yield "fill", marks.PAPER, "no number (pale rim)"
        groups = zip(self.group_colours.values(), told_apart(list(self.group_colours), 40), strict=True)
        yield from (("fill", colour, kind) for colour, kind in groups)
        if "" in sketch.kinds:
            yield "fill", marks.PAPER, "no group"
        if sketch.sizes is not None:
            yield "size", "", f"area: {sketch.sized}"
        if sketch.counted:
            yield "line", marks.NEUTRAL, "edges, the wider the more"
        elif (weights > 0).any():
            yield "line", marks.POSITIVE, "positive weight"
        if (weights < 0).any():
            yield "line", marks.NEGATIVE, "negative weight"
        if not self.shown.all():
            what = "weaker edge" if sketch.lit is None else "other edge"
            yield "line", marks.FAINT, counted(int((~self.shown).sum()), what)

    @property
    def note(self) -> str:
        """How many names are not there."""
        n, points = int(self.wanted.sum()), f"{0.75 * self.font:.3g}"
        missing = n - len(self.names)
        return f"{missing:,} of {n:,} names have no room at {points} pt." if missing else ""


def _free(texts: list[marks.Text], boxes: list[marks.Box]) -> marks.Text:
    """The first text that hides nothing, whose place is then taken; an empty one if there is none."""
    for text in texts:
        left, top, right, bottom = text.box
        box = left - 2, top, right + 2, bottom
        if not marks.meeting(np.array([box]), np.array(boxes)).any():
            boxes.append(box)
            return text
    return texts[0]._replace(text="")


def lay_out(
    sketch: Sketch, *, width: float | None = None, font: float | None = None, top: int | None = None
) -> Page:
    """Choose a layout and a size: about as large as a printed page, or ``width`` wide; an inch is 96 pixels.

    Names have the size ``font``; by default, with a ``width``, the largest of 7, 6 and 5 pt at which all have
    room, or else 5 pt.  Of ``top`` edges, the strongest, all is drawn, the others are faint.
    """
    columns = sketch.levels if sketch.columns is None else sketch.columns
    titles = list(map(str, node_labels(sketch.names)))
    labels = titles if sketch.texts is None else list(sketch.texts)
    layout, strength = layered_layout(len(labels), sketch.sources, sketch.targets, columns), _strength(sketch)
    page = Page(sketch, titles, labels, layout, strength, _shown(sketch, strength, top), width)
    if width is None:
        return _natural(page, font)
    for size in FONTS if font is None else (font,):
        page = _fitted(page, width, size)
        if not page.note:
            break
    return page


def _strength(sketch: Sketch) -> Floats:
    size = np.abs(sketch.weights)
    size = np.where(np.isnan(size), 0.0, np.minimum(size, np.finfo(np.float64).max))
    largest = size.max(initial=0.0)
    return size / largest if largest > 0 else size


def _shown(sketch: Sketch, strength: Floats, top: int | None) -> Bools:
    asked = np.ones(len(strength), bool) if sketch.lit_edges is None else sketch.lit_edges
    if top is None:
        top = STRONGEST if sketch.lit_edges is None and len(strength) > MANY else len(strength)
    order = np.argsort(np.where(asked, -strength, 1.0), kind="stable")
    return asked & (np.argsort(order) < top)


def _extent(layout: Layout) -> tuple[float, float]:
    """Columns, less one, and rows."""
    if not len(layout.x):
        return 1.0, 1.0
    return max(float(np.ptp(layout.x)), 1.0), float(np.ptp(np.concatenate([layout.y, layout.bend_y]))) + 1


def _natural(page: Page, font: float | None) -> Page:
    columns, rows = _extent(page.layout)
    row = min(max(HEIGHT / rows, 5.0), 52.0)
    radius = min(0.36 * row, 16.0, WIDEST / columns / 3)
    font = min(max(0.3 * row, FONTS[-1]), 11.5) if font is None else font
    longest = max((marks.text_width(label[:40], font) for label in page.labels), default=0.0)
    least = max(3.4 * radius, min(longest + 2 * radius, 130.0) if row >= 16 else 0.0)
    least = min(least, max(WIDEST / columns, 3 * radius))
    across, down = page.layout.scaled(ASPECT, least=(least / row, 1.0))
    roomy = min(130.0 if len(page.strength) <= NUMBERS else 88.0, 700 / columns)
    column = min(max(across * row, roomy), max(least, 1_100 / columns, 96.0), max(WIDEST / columns, least))
    return replace(page, column=column, row=row * min(down, 1.5), radius=radius, font=font)


def _fitted(page: Page, width: float, font: float) -> Page:
    columns, rows = _extent(page.layout)
    row = min(52.0, max(min(1.3 * width, TALL) / rows, min(1.15 * font, TALL / rows)))
    column = (width - 2 * EDGE) / columns
    for _ in range(4):
        radius = min(0.36 * row, 16.0, column / 3.2)
        page = replace(page, column=column, row=row, radius=radius, font=font)
        left, _, right, _ = page.box()
        if (excess := right - left - (width - 2 * EDGE)) <= 0.5:
            break
        column = max(column - excess / columns, 0.25 * width / columns)
    return page
