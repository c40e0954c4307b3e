"""A layered picture as SVG: no dependency, no script, fit for a paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dagnet.drawing.marks import edge_marks, label_marks, node_marks, number_marks, shape
from dagnet.drawing.page import Page, lay_out
from dagnet.drawing.palette import INK, MUTED, NEGATIVE, NEUTRAL, PAPER, POSITIVE
from dagnet.drawing.sketch import ROLES, Sketch
from dagnet.drawing.text import text_width, xml

FONT = "Inter,'Helvetica Neue',Helvetica,Arial,'Liberation Sans',sans-serif"
MARGIN, LINE = 14.0, 17.0


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
    sketch = page.sketch
    for role in ROLES:
        kinds = {a for a, r in zip(sketch.activations, sketch.roles, strict=False) if r == role}
        if role in sketch.roles and not sketch.counted:
            only = f" ({kinds.pop()})" if len(kinds) == 1 and role in ("hidden", "output") else ""
            yield f'<g stroke="{MUTED}">{shape(role, 0, 0, 5)}</g>', role + only[:40]
    if sketch.counted:
        yield f'<path d="M-6 0H6" stroke="{NEUTRAL}" stroke-width="2"/>', "edges, the wider the more"
        return
    negative = "negative" if (sketch.weights > 0).any() else "negative weight"
    signs = (("positive weight", POSITIVE, sketch.weights > 0), (negative, NEGATIVE, sketch.weights < 0))
    for word, colour, present in signs:
        if present.any():
            yield f'<path d="M-6 0H6" stroke="{colour}" stroke-width="2"/>', word
