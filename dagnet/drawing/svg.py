"""A layered picture as SVG: no dependency, no script, fit for a paper."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from dagnet.drawing import marks
from dagnet.drawing.page import EDGE, FONTS, PIXELS, Page, lay_out
from dagnet.drawing.sketch import Sketch
from dagnet.errors import DataError, expected
from dagnet.files import atomically
from dagnet.markup import label
from dagnet.values import PATH

FONT = "Inter,'Helvetica Neue',Helvetica,Arial,'Liberation Sans',sans-serif"
MARGIN, LEAST, BAR = 14.0, 400.0, 6.0
"""Around a picture; what its legend may be wide at least; of a bar, in sizes of letters."""


class Drawing:
    """A finished picture: shown by notebooks, and text that any browser or editor opens.

    Attributes
    ----------
    svg
        The picture as SVG text.
    width, height
        Its size in pixels, 96 of which are an inch.
    """

    def __init__(self, svg: str, width: float, height: float) -> None:
        self.svg, self.width, self.height = svg, width, height

    def save(self, path: str | Path) -> None:
        """Write the picture to a file, whose name ends in ``.svg``, whole or not at all."""
        file = PATH.check("save(): path", path)
        if file.suffix.lower() != ".svg":
            mend = 'for .png and .pdf install dagnet-matplotlib and write net.export("x.png")'
            raise DataError(expected("save(): path", "the name of an .svg file", str(file), mend))
        with atomically(file) as stream:
            stream.write(self.svg.encode())

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
    <Drawing: 221 × 92 px, 2,105 characters of SVG>
    """
    return draw_page(lay_out(sketch), title=title, legend=legend)


def draw_page(page: Page, *, title: str = "", legend: bool = True, note: bool = False) -> Drawing:
    """The same of what is laid out; ``note``: say how many names have no room."""
    left, top, right, bottom = page.box()
    margin = MARGIN if page.width is None else EDGE
    spare = 0.0 if page.width is None else (page.width - 2 * margin - (right - left)) / 2
    left, right = left - spare, right + spare
    body = [*edge_marks(page), *node_marks(page), *_texts(page.numbers), *_texts(page.names)]
    rows, right, bottom = _below(page, (left, right, bottom), legend=legend, note=note)
    size = 15.0 if page.width is None else 1.25 * page.font
    lines = _wrapped(title, size, max(right - left, LEAST if page.width is None else 0.0))
    right = max(right, left + max(marks.text_width(line, size) for line in lines))
    for line in reversed(lines if title else []):
        style = f'font-size="{size:.2f}" text-anchor="middle"'
        body.append(_text(line, (left + right) / 2, top - 0.6 * size, style, marks.INK))
        top -= 1.3 * size + (0.3 * size if line is lines[0] else 0.0)
    box = left - margin, top - margin, right + margin, bottom + margin
    return _framed([*body, *rows], box, page, title)


def _framed(body: list[str], box: marks.Box, page: Page, title: str) -> Drawing:
    sketch = page.sketch
    left, top, width, height = box[0], box[1], box[2] - box[0], box[3] - box[1]
    counts = f"{len(sketch.names):,} nodes and {len(sketch.sources):,} edges, left to right by level."
    area = f'width="{width:.0f}" height="{height:.0f}"'
    if page.width is not None:
        area = f'width="{width * 25.4 / PIXELS:.2f}mm" height="{height * 25.4 / PIXELS:.2f}mm"'
    view = f'viewBox="{left:.2f} {top:.2f} {width:.2f} {height:.2f}"'
    whole = f'x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"'
    style = f'role="img" font-family="{FONT}" fill="{marks.INK}"'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {area} {view} {style}>',
        f"<title>{marks.xml(title or 'Layered network')}</title>",
        f"<desc>{marks.xml(' '.join(filter(None, (counts, sketch.message, page.note))))}</desc>",
        f'<rect {whole} fill="{marks.PAPER}"/>',
    ]
    return Drawing("\n".join([*head, *body, "</svg>\n"]), width, height)


def _text(text: str, x: float, y: float, style: str, fill: str = marks.MUTED) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style} fill="{fill}">{marks.xml(text)}</text>'


def _wrapped(text: str, size: float, room: float) -> list[str]:
    """The text in lines that have room."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        fits = marks.text_width(longer, size) <= room
        lines[-1:] = [longer] if fits else [*filter(None, lines[-1:]), marks.cut(word, size, room)]
    return lines


def _below(
    page: Page, box: tuple[float, float, float], *, legend: bool, note: bool
) -> tuple[list[str], float, float]:
    """Legend, message and note, in as many rows as the width asks for; the right and bottom of these."""
    left, right, bottom = box
    size = 9.5 if page.width is None else max(FONTS[-1], min(8.0, page.font))
    widest = max(right, left + LEAST) if page.width is None else right
    line, rows, style = 1.75 * size, list[str](), f'font-size="{size:.2f}"'
    x, y = widest, bottom + 0.6 * size
    said = [("", "", page.sketch.message if legend else ""), ("", "", page.note if note else "")]
    for kind, mark, words in [*(page.key() if legend and page.titles else ()), *said]:
        lead = (1.7 * size if kind else 0.0) + ((BAR - 1) * size if kind == "bar" else 0.0)
        texts = _wrapped(words, size, widest - left - lead)
        wide = lead + max(marks.text_width(text, size) for text in texts)
        if words and (x + wide > widest or not kind):
            x, y = left, y + line
        if kind:
            place = f'transform="translate({x + 0.6 * size:.1f} {y - 0.36 * size:.1f}) scale({size:.2f})"'
            rows.append(f"<g {place}>{_mark(kind, mark)}</g>")
        for at, text in enumerate(texts if words else []):
            y += 1.4 * size if at else 0.0
            rows.append(_text(text, x + lead, y, style))
        right, x = max(right, x + wide if words else right), x + wide + 1.5 * size
    return rows, right, y + 0.3 * size if rows else bottom


def _mark(kind: str, mark: str) -> str:
    """The mark of a line of the legend, around (0, 0), for letters of size 1."""
    thin = f'stroke="{marks.MUTED}" stroke-width="0.1"'
    if kind == "role":
        return f"<g {thin}>{shape(mark, 0, 0, 0.5, marks.ROLE_FILL[mark])}</g>"
    if kind == "bar":
        colours = mark.split()
        step, area = BAR / len(colours), 'y="-0.5" height="1"'
        parts = [
            f'<rect x="{at * step - 0.5:.3f}" {area} width="{step + 0.02:.3f}" fill="{colour}"/>'
            for at, colour in enumerate(colours)
        ]
        return "".join([*parts, f'<rect x="-0.5" {area} width="{BAR}" fill="none" {thin}/>'])
    if kind == "line":
        return f'<path d="M-0.6 0H0.6" stroke="{mark}" stroke-width="0.2"/>'
    inner = "" if kind == "fill" else '<circle r="0.2"/>'
    return f'<g fill="{mark or "none"}" {thin}><circle r="0.5"/>{inner}</g>'


# -- marks -------------------------------------------------------------------------------


def edge_marks(page: Page) -> Iterator[str]:
    """All lines, the faintest first; each with a tooltip and an arrow head while they are few."""
    faint_first = np.argsort(page.strength, kind="stable")
    faint, shown = (faint_first[page.shown[faint_first] == full].tolist() for full in (False, True))
    if faint:
        style = f'stroke="{marks.FAINT}" stroke-width="{min(0.6, page.thickest / 3):.2f}" fill="none"'
        data = "".join(marks.path_data(page.route(edge)) for edge in faint)
        yield f'<path class="faint" d="{data}" {style} stroke-opacity="{page.haze:.2f}"/>'
    yield f'<g class="edges" fill="none" stroke-linecap="round" stroke-opacity="{page.opacity:.2f}">'
    yield from (_line(page, edge) for edge in shown)
    yield "</g>"


def _line(page: Page, edge: int) -> str:
    sketch, (colour, width, pieces, direction, size) = page.sketch, page.line(edge)
    corners = "L".join(f"{x:.1f} {y:.1f}" for x, y in marks.arrow_head(pieces[-1][3], direction, size))
    head = f'<path d="M{corners}Z" fill="{colour}"/>' if size else ""
    number = "" if np.isnan(sketch.weights[edge]) else f": {sketch.weights[edge]:.6g}"
    title = " → ".join(label(page.titles[ends[edge]]) for ends in (sketch.sources, sketch.targets)) + number
    line = f'<path d="{marks.path_data(pieces)}" stroke="{colour}" stroke-width="{width:.2f}"/>'
    return f"<g><title>{marks.xml(title)}</title>{line}{head}</g>"


def node_marks(page: Page) -> Iterator[str]:
    """The nodes, each with a tooltip."""
    sketch = page.sketch
    yield '<g class="nodes">'
    for node, role in enumerate(sketch.roles):
        kind = f"{role}, {sketch.activations[node]}" if sketch.activations else role
        lines = [f"{label(page.titles[node], 200)} ({kind}, level {sketch.levels[node]})"]
        if sketch.values is not None:
            none = bool(np.isnan(sketch.values[node]))
            lines.append(
                f"{sketch.scale}: no number" if none else f"{sketch.scale} {sketch.values[node]:.6g}"
            )
        lines += filter(
            None, [*sketch.kinds[node : node + 1], *"".join(sketch.notes[node : node + 1]).split("\n")]
        )
        title, (colour, width, dashed) = "\n".join(map(marks.xml, lines)), page.rim(node)
        rim = f'stroke="{colour}" stroke-width="{width:.2f}"' + (
            ' stroke-dasharray="2.4 1.6"' if dashed else ""
        )
        form = shape(role, page.x[node], page.y[node], float(page.radii[node]), page.fill(node))
        yield f"<g {rim}><title>{title}</title>{form}</g>"
    yield "</g>"


def shape(role: str, x: float, y: float, r: float, fill: str) -> str:
    """A square, circle, double circle or diamond."""
    if role in ("input", "group"):
        half = r * 0.88
        box = f'x="{x - half:.2f}" y="{y - half:.2f}" width="{2 * half:.2f}" height="{2 * half:.2f}"'
        return f'<rect {box} rx="{r * (0.2 if role == "input" else 0.5):.2f}" fill="{fill}"/>'
    if role == "constant":
        far = r * 1.15
        corners = f"{x - far:.2f} {y:.2f}L{x:.2f} {y - far:.2f}L{x + far:.2f} {y:.2f}L{x:.2f} {y + far:.2f}"
        return f'<path d="M{corners}Z" fill="{fill}"/>'
    circle, inner = f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{r:.2f}" fill="{fill}"/>', max(r - 2.6, r * 0.7)
    if role == "output":
        thin = f'fill="none" stroke-width="{min(0.7, r / 6):.2f}"'
        circle += f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{inner:.2f}" {thin}/>'
    return circle


def _texts(texts: Iterable[marks.Text]) -> Iterator[str]:
    """On a halo of paper, or on a piece of it, since a line between two digits reads as a colon."""
    yield '<g class="texts">'
    for text in texts:
        style = f'text-anchor="{text.anchor}" font-size="{text.size:.2f}"'
        left, top, right, _ = text.box
        if text.under == "plate":
            area = f'width="{right - left + 4:.1f}" height="{1.1 * text.size:.0f}"'
            yield f'<rect x="{left - 2:.1f}" y="{top:.1f}" {area} fill="{marks.PAPER}"/>'
        elif text.under == "halo":
            style += f' stroke="{marks.PAPER}" stroke-width="{0.23 * text.size:.1f}" paint-order="stroke"'
        yield _text(text.text, text.x, text.y, style, text.colour)
    yield "</g>"
