"""What shapes and colours mean, in rows below the picture."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Rectangle

from dagnet.drawing import MUTED, ROLE_FILL, Page, text_width
from dagnet_matplotlib.lettering import plain
from dagnet_matplotlib.marks import Pen, add_shapes

__all__ = ["Key", "lay_out_key"]

Box = tuple[float, float, float, float]
LEAST, BAR = 400.0, 6.0
"""What a key may be wide at least; of a bar, in sizes of letters."""


@dataclass(frozen=True)
class Key:
    """Entries (kind, mark, x, y) and lines of text (text, x, y), of a size in pixels."""

    entries: list[tuple[str, str, float, float]]
    lines: list[tuple[str, float, float]]
    size: float

    def add(self, pen: Pen) -> None:
        """Draw it."""
        for kind, mark, x, y in self.entries:
            self._mark(pen, kind, mark, (x + 0.63 * self.size, y - 0.36 * self.size))
        for text, x, y in self.lines:
            pen.write(x, y, text, self.size, color=MUTED)

    def _mark(self, pen: Pen, kind: str, mark: str, at: tuple[float, float]) -> None:
        (x, y), size, thin = at, self.size, 0.1 * self.size * pen.scale
        if kind == "role":
            rim = {"edgecolors": MUTED, "linewidths": thin}
            add_shapes(pen, [mark], [at], [0.53 * size], [ROLE_FILL[mark]], rim)
        elif kind == "line":
            ends = [x - 0.63 * size, x + 0.63 * size], [y, y]
            pen.ax.add_line(Line2D(*ends, color=mark, linewidth=0.21 * size * pen.scale))
        elif kind == "bar":
            left, colours = x - 0.5 * size, mark.split()
            step = BAR * size / len(colours)
            for place, colour in enumerate(colours):
                corner = left + place * step, y - 0.5 * size
                pen.ax.add_patch(Rectangle(corner, step * 1.02, size, facecolor=colour, edgecolor="none"))
            frame = {"facecolor": "none", "edgecolor": MUTED, "linewidth": thin}
            pen.ax.add_patch(Rectangle((left, y - 0.5 * size), BAR * size, size, **frame))
        else:
            for share in (0.5,) if kind == "fill" else (0.5, 0.2):
                round_one = Circle(
                    at, share * size, facecolor=mark or "none", edgecolor=MUTED, linewidth=thin
                )
                pen.ax.add_patch(round_one)


def lay_out_key(
    page: Page, box: Box, size: float, *, legend: bool = True, note: bool = False
) -> tuple[Key, Box]:
    """The key in as many rows as the width asks for, and the box that holds picture and key."""
    left, top, right, bottom = box
    if page.width is None:
        right = max(right, min(left + LEAST, left + (bottom - top) * 1.5))
    x, y, line, widest = right, bottom + 0.5 * size, 1.8 * size, right
    entries, lines = list[tuple[str, str, float, float]](), list[tuple[str, float, float]]()
    letters = max(20, int((right - left) / (0.56 * size)))
    for kind, mark, words in page.key() if legend else ():
        lead = 2.1 * size + ((BAR - 1) * size if kind == "bar" else 0.0)
        texts = textwrap.wrap(plain(words), max(12, letters - int(lead / (0.56 * size)))) or [""]
        room = lead + max(text_width(text, size) for text in texts)
        if x + room > right:
            x, y = left, y + line
        entries.append((kind, mark, x, y))
        for at, text in enumerate(texts):
            y += 1.2 * size if at else 0.0
            lines.append((text, x + lead - 0.4 * size, y))
        widest, x = max(widest, x + room), x + room + 1.3 * size
    for words in filter(None, (page.sketch.message if legend else "", page.note if note else "")):
        for text in textwrap.wrap(plain(words), letters):
            y += line
            lines.append((text, left, y))
    bottom = y + 0.3 * size if lines else bottom
    return Key(entries, lines, size), (left, top, widest if page.width is None else right, bottom)
