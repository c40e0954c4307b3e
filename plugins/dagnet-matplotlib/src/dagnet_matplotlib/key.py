"""What shapes and colours mean, in rows below the picture."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from matplotlib.lines import Line2D

from dagnet.drawing.page import MUTED, Page, key, text_width
from dagnet.drawing.sketch import ROLES
from dagnet_matplotlib.lettering import plain
from dagnet_matplotlib.marks import Pen, add_shapes

__all__ = ["Key", "lay_out_key"]

Box = tuple[float, float, float, float]
LEAST = 400.0


@dataclass(frozen=True)
class Key:
    """Entries (mark, text, x, y) and lines of a message (text, x, y), of a size in pixels."""

    entries: list[tuple[str, str, float, float]]
    message: list[tuple[str, float, float]]
    size: float

    def add(self, pen: Pen) -> None:
        """Draw it."""
        size = self.size
        for mark, text, x, y in self.entries:
            middle = (x + 0.63 * size, y - 0.36 * size)
            if mark in ROLES:
                add_shapes(pen, [mark], [middle], 0.53 * size, MUTED, 0.11 * size)
            else:
                self._line(pen, mark, *middle)
            pen.write(x + 1.7 * size, y, text, size, color=MUTED)
        for text, x, y in self.message:
            pen.write(x, y, text, size, color=MUTED)

    def _line(self, pen: Pen, mark: str, x: float, y: float) -> None:
        reach, width = 0.63 * self.size, 0.21 * self.size * pen.scale
        pen.ax.add_line(Line2D([x - reach, x + reach], [y, y], color=mark, linewidth=width))


def lay_out_key(page: Page, box: Box, size: float) -> tuple[Key, Box]:
    """The key in as many rows as the width asks for, and the box that holds picture and key."""
    left, top, right, bottom = box
    right = max(right, min(left + LEAST, left + (bottom - top) * 1.5))
    x, y, entries, line = left, bottom + 2.3 * size, [], 1.8 * size
    for mark, text in ((mark, plain(text)) for mark, text in key(page.sketch)):
        room = 2.1 * size + text_width(text, size)
        if x > left and x + room > right:
            x, y = left, y + line
        entries.append((mark, text, x, y))
        x += room + 1.3 * size
    widest = max((ex + 2.1 * size + text_width(text, size) for _, text, ex, _ in entries), default=left)
    right = max(right, widest)
    letters = max(20, int((right - left) / (0.52 * size)))
    rows = textwrap.wrap(plain(page.sketch.message), letters)
    message = [(text, left, y + line * (i + 1)) for i, text in enumerate(rows)]
    return Key(entries, message, size), (left, top, right, y + line * len(rows) + 0.3 * size)
