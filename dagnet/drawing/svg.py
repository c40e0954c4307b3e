"""A layered picture as SVG: no dependency, no script, fit for a paper."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dagnet.drawing.page import (
    ARROWS,
    INK,
    MUTED,
    NEGATIVE,
    NUMBERS,
    PAPER,
    ROLE_FILL,
    Page,
    arrow_head,
    cut_end,
    key,
    lay_out,
    path_data,
    point_at,
    text_width,
    xml,
)
from dagnet.drawing.sketch import ROLES, Sketch, sketch, summarised
from dagnet.model import Model

FONT = "Inter,'Helvetica Neue',Helvetica,Arial,'Liberation Sans',sans-serif"
MARGIN, LINE = 14.0, 17.0
TITLES, WIDTHS = 1_500, 6


class Drawing:
    """A finished picture: shown by notebooks, and text that any browser or editor opens.

    Attributes
    ----------
    svg
        The picture as SVG text.
    width, height
        Its size in pixels.
    """

    def __init__(self, svg: str, width: float, height: float) -> None:
        self.svg, self.width, self.height = svg, width, height

    def save(self, path: str | Path) -> None:
        """Write the picture to a file."""
        Path(path).write_text(self.svg, encoding="utf-8", newline="\n")

    def __str__(self) -> str:
        return self.svg

    _repr_svg_ = __str__

    def __repr__(self) -> str:
        return f"<Drawing: {self.width:.0f} × {self.height:.0f} px, {len(self.svg):,} characters of SVG>"


def draw(model: Model, *, title: str = "", legend: bool = True) -> Drawing:
    """See :meth:`dagnet.Network.draw`."""
    return draw_sketch(summarised(sketch(model)), title=title, legend=legend)


def draw_sketch(sketch: Sketch, *, title: str = "", legend: bool = True) -> Drawing:
    """Draw nodes and edges, left to right.

    What the marks mean, :meth:`dagnet.Network.draw` says.

    Examples
    --------
    >>> import numpy as np
    >>> pair = Sketch(["x", "y"], ["input", "output"], np.array([0, 1]), np.array([0]), np.array([1]),
    ...               np.array([0.5]))
    >>> draw_sketch(pair)
    <Drawing: 228 × 91 px, 1,928 characters of SVG>
    """
    page = lay_out(sketch)
    left, top, right, bottom = page.box()
    body = [*edge_marks(page), *number_marks(page), *node_marks(page), *label_marks(page)]
    if title:
        right = max(right, left + text_width(title, 15))
        body.append(_text(title, (left + right) / 2, top - 14, 'font-size="15" text-anchor="middle"', INK))
        top -= 28
    if legend and sketch.names:
        rows, right = _legend(page, left, bottom + 22, right)
        bottom += 8 + LINE * len(rows)
        body += rows
    return _framed(body, (left - MARGIN, top - MARGIN, right + MARGIN, bottom + MARGIN), sketch, title)


def _framed(body: list[str], box: tuple[float, float, float, float], sketch: Sketch, title: str) -> Drawing:
    left, top, width, height = box[0], box[1], box[2] - box[0], box[3] - box[1]
    counts = f"{len(sketch.names):,} nodes and {len(sketch.sources):,} edges, left to right by level."
    area = f'width="{width:.0f}" height="{height:.0f}"'
    view = f'viewBox="{left:.1f} {top:.1f} {width:.1f} {height:.1f}"'
    style = f'role="img" font-family="{FONT}" fill="{INK}"'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {area} {view} {style}>',
        f"<title>{xml(title or 'Layered network')}</title>",
        f"<desc>{xml(f'{counts} {sketch.message}'.strip())}</desc>",
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{PAPER}"/>',
    ]
    return Drawing("\n".join([*head, *body, "</svg>\n"]), width, height)


def _text(text: str, x: float, y: float, style: str, fill: str = MUTED) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style} fill="{fill}">{xml(text)}</text>'


def _legend(page: Page, left: float, y: float, right: float) -> tuple[list[str], float]:
    """The key, in as many rows as the width asks for; and the right edge it needs."""
    style, x, rows = 'font-size="9.5"', left, [""]
    for mark, text in _keys(page):
        room = 20 + text_width(text, 9.5)
        if x > left and x + room > max(right, left + 400):
            x, y = left, y + LINE
            rows.append("")
        placed = f'<g transform="translate({x + 6:.1f} {y - 3.4:.1f})">{mark}</g>'
        rows[-1] += placed + _text(text, x + 16, y, style)
        x += room + 12
        right = max(right, x - 12)
    if page.sketch.message:
        rows.append(_text(page.sketch.message, left, y + LINE, style))
        right = max(right, left + text_width(page.sketch.message, 9.5))
    return rows, right


def _keys(page: Page) -> Iterator[tuple[str, str]]:
    both = (page.sketch.weights > 0).any()
    for mark, text in key(page.sketch):
        if mark in ROLES:
            yield f'<g stroke="{MUTED}">{shape(mark, 0, 0, 5)}</g>', text
        else:
            word = "negative" if mark == NEGATIVE and both else text
            yield f'<path d="M-6 0H6" stroke="{mark}" stroke-width="2"/>', word


def edge_marks(page: Page) -> Iterator[str]:
    """All lines, the faintest first; each with a tooltip and an arrow head while they are few."""
    faint_first = np.argsort(page.strength, kind="stable")
    yield f'<g fill="none" stroke-linecap="round" stroke-opacity="{page.opacity:.2f}">'
    if len(faint_first) <= TITLES:
        yield from (_line(page, int(edge)) for edge in faint_first)
    else:
        yield from _bundles(page, faint_first)
    yield "</g>"


def _line(page: Page, edge: int) -> str:
    sketch, pieces = page.sketch, page.route(edge)
    weight = float(sketch.weights[edge])
    colour, width, head = page.colour(weight), 0.5 + (page.thickest - 0.5) * float(page.strength[edge]), ""
    if len(page.strength) <= ARROWS:
        size = 5 + width
        pieces, direction = cut_end(pieces, page.radius + 1.5 + size)
        corners = "L".join(f"{x:.1f} {y:.1f}" for x, y in arrow_head(pieces[-1][3], direction, size))
        head = f'<path d="M{corners}Z" fill="{colour}"/>'
    number = "" if math.isnan(weight) else f": {weight:.6g}"
    title = f"{page.labels[sketch.sources[edge]][:60]} → {page.labels[sketch.targets[edge]][:60]}{number}"
    line = f'<path d="{path_data(pieces)}" stroke="{colour}" stroke-width="{width:.2f}"/>'
    return f"<g><title>{xml(title)}</title>{line}{head}</g>"


def _bundles(page: Page, faint_first: NDArray[np.int64]) -> Iterator[str]:
    """Many lines as a few paths: one for each sign and width."""
    steps = np.minimum(page.strength * WIDTHS, WIDTHS - 1).astype(int)
    signs = np.nan_to_num(np.sign(page.sketch.weights))
    for step in range(WIDTHS):
        width = 0.4 + (page.thickest - 0.4) * (step + 0.5) / WIDTHS
        for sign in (0, -1, 1):
            chosen = faint_first[(steps[faint_first] == step) & (signs[faint_first] == sign)]
            if len(chosen):
                data = "".join(path_data(page.route(int(edge))) for edge in chosen)
                yield f'<path d="{data}" stroke="{page.colour(sign)}" stroke-width="{width:.2f}"/>'


def number_marks(page: Page) -> Iterator[str]:
    """The weights themselves, beside their lines, while they are few."""
    if not 0 < len(page.strength) <= NUMBERS or page.column < 70:
        return
    yield '<g font-size="9" text-anchor="middle">'
    for edge, weight in enumerate(page.sketch.weights.tolist()):
        if not math.isnan(weight):
            x, y = point_at(page.route(edge), 0.36)
            number = f"{weight:,.0f}" if page.sketch.counted else f"{weight:.3g}".replace("-", "−")
            half = text_width(number, 9) / 2 + 2
            # A halo of the digits would leave a bit of the line between them, which reads as a colon.
            size = f'width="{2 * half:.1f}" height="10"'
            yield f'<rect x="{x - half:.1f}" y="{y - 5:.1f}" {size} fill="{PAPER}"/>'
            yield f'<text x="{x:.1f}" y="{y + 3:.1f}" fill="{page.colour(weight)}">{number}</text>'
    yield "</g>"


def node_marks(page: Page) -> Iterator[str]:
    """The nodes, each with a tooltip."""
    sketch = page.sketch
    yield f'<g stroke="{INK}" stroke-width="{1.2 if page.radius > 6 else 0.6}">'
    for node, role in enumerate(sketch.roles):
        kind = f"{role}, {sketch.activations[node]}" if sketch.activations else role
        lines = [f"{page.labels[node][:200]} ({kind}, level {sketch.levels[node]})"]
        lines += sketch.notes[node].split("\n") if sketch.notes else []
        title = "\n".join(map(xml, lines))
        yield f"<g><title>{title}</title>{shape(role, page.x[node], page.y[node], page.radius)}</g>"
    yield "</g>"


def shape(role: str, x: float, y: float, r: float) -> str:
    """A square, circle, double circle or diamond."""
    fill = f'fill="{ROLE_FILL[role]}"'
    if role in ("input", "group"):
        half = r * 0.88
        box = f'x="{x - half:.1f}" y="{y - half:.1f}" width="{2 * half:.1f}" height="{2 * half:.1f}"'
        return f'<rect {box} rx="{r * (0.2 if role == "input" else 0.5):.1f}" {fill}/>'
    if role == "constant":
        far = r * 1.15
        corners = f"{x - far:.1f} {y:.1f}L{x:.1f} {y - far:.1f}L{x + far:.1f} {y:.1f}L{x:.1f} {y + far:.1f}"
        return f'<path d="M{corners}Z" {fill}/>'
    circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}" {fill}/>'
    if role == "output":
        inner = max(r - 2.6, r * 0.7)
        circle += f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{inner:.1f}" fill="none" stroke-width="0.7"/>'
    return circle


def label_marks(page: Page) -> Iterator[str]:
    """The names, where there is room."""
    yield f'<g font-size="{page.font:.1f}" stroke="{PAPER}" stroke-width="2.6" paint-order="stroke">'
    for node in range(len(page.labels)):
        text, x, y, anchor = page.label(node)
        if text:
            halo = ' stroke="none"' if page.inside[node] else ""
            yield f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{halo}>{xml(text)}</text>'
    yield "</g>"
