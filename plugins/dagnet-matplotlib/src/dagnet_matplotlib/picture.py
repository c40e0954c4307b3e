"""The layered drawing on matplotlib axes: the same places, shapes and colours as ``net.draw()``."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from functools import cached_property
from inspect import signature
from typing import Any

from matplotlib.axes import Axes

from dagnet.drawing import INK, PAPER, Page, Text, laid_out, lay_out, text_width
from dagnet.errors import DataError, did_you_mean, expected, shorten
from dagnet_matplotlib.axes import checked_axes, checked_network, new_figure
from dagnet_matplotlib.key import Key, lay_out_key
from dagnet_matplotlib.lettering import LETTERS, NARROWER, plain, width_of
from dagnet_matplotlib.marks import Pen, add_edges, add_nodes, add_texts

__all__ = ["draw"]

Box = tuple[float, float, float, float]
MARGIN, EDGE, WIDER = 14.0, 4.0, 0.06
"""Around a picture; where it is as wide as asked; the share of that width that wide letters may need."""
PIXELS, POINTS = 96.0, 0.75
"""Pixels of a layout in an inch, and points in such a pixel."""
MAX_INCHES = 100.0
WORDS = [name for name, each in signature(laid_out).parameters.items() if each.kind is each.KEYWORD_ONLY]
SMALLEST_KEY, KEY, LEAST_KEY, TITLE = 6.0, 9.5, 20 / 3, 11.0


def draw(
    net: Any, ax: Axes | None = None, X: Any = None, y: Any = None, *, title: str = "", legend: bool = True,
    **words: Any,
) -> Axes:  # fmt: skip
    """Draw a network, left to right, as ``net.draw()`` does.

    Squares are inputs, circles hidden nodes, double circles outputs, diamonds constants.  A line
    is as wide as its weight is large, blue for a positive and orange for a negative one; names
    stand where there is room.  More than 2,000 nodes or 12,000 edges are drawn as an overview.

    Parameters
    ----------
    net
        A :class:`dagnet.Network`.
    ax
        Axes to fill; None makes a figure of the size that suits the network.  Sizes of text and
        lines follow the axes' size at the time of the call.
    X, y, words
        As for ``net.draw``: ``color``, ``size``, ``highlight``, ``width``, ``font_size``, ``labels``,
        ``top_edges``.  Axes that are given have a width already, and their size says that of names.
    title
        Above the picture.
    legend
        Whether to explain shapes and colours below it.

    Returns
    -------
    matplotlib.axes.Axes
        Its ``figure`` is what ``savefig`` belongs to.

    Raises
    ------
    DataError
        For a wrong argument.

    Examples
    --------
    >>> import dagnet
    >>> ax = draw(dagnet.Network(dagnet.layered([2, 2, 1]), seed=0), width="85 mm")
    >>> round(ax.figure.get_figwidth() * 25.4)
    85
    """
    net = checked_network("draw()", net)
    if not isinstance(title, str):
        raise DataError(expected("draw(): title", "text", title))
    exact = words.get("width") is not None or words.get("font_size") is not None
    if exact and ax is not None:
        word = "width" if words.get("width") is not None else "font_size"
        mend = "leave it out, or draw without ax"
        raise DataError(expected(f"draw(): {word}", "None on axes that are given", words[word], mend))
    if strange := words.keys() - WORDS:
        word = min(strange)
        mend = did_you_mean(word, WORDS, listed=len(WORDS))
        raise DataError(f"dagnet_matplotlib.draw(): there is no argument {shorten(word)}{mend}")
    page, scale = _laid_out(net, X, y, words), None
    margin = MARGIN if page.width is None else EDGE + _spare(page.width) / 2
    key, box = lay_out_key(page, page.box(), _key_size(page), legend=legend, note=exact)
    if ax is None:
        box = _framed(page, box, margin)
        ax, scale = _own_axes(box, title)
    else:
        fraction = _scale(checked_axes("draw(): ax", ax), _framed(page, box, margin))
        size = max(KEY, SMALLEST_KEY / fraction)
        key, box = lay_out_key(page, page.box(), size, legend=legend)
        box = _framed(page, box, margin)
        scale = _scale(ax, box)
    _prepare(ax, box, title)
    _add(Pen(ax, page, scale, 1.0 if exact else NARROWER), key)
    return ax


class Measured(Page):
    """A page whose names have room in matplotlib's own font, too, which is wider than the layout reckons."""

    @cached_property
    def names(self) -> list[Text]:
        """The names that have room; :attr:`note` counts the others."""
        room = math.inf if self.width is None else EDGE + _spare(self.width) / 2
        return [text for text in super().names if width_of(text) - text_width(text.text, text.size) <= room]


def _laid_out(net: Any, X: Any, y: Any, words: dict[str, Any]) -> Page:
    page, font = laid_out(net, X, y, **words), words.get("font_size")
    texts = list(map(plain, page.labels))
    if page.width is not None or texts != page.labels:
        page = lay_out(
            replace(page.sketch, texts=texts),
            width=None if page.width is None else (1 - WIDER) * page.width,
            font=None if font is None else font / POINTS,
            top=None if page.sketch.counted else words.get("top_edges"),
        )
    return Measured(**{field.name: getattr(page, field.name) for field in fields(page)})


def _spare(width: float) -> float:
    """How much wider the figure is than what is laid out, whose names have room only there."""
    return width * WIDER / (1 - WIDER)


def _key_size(page: Page) -> float:
    return KEY if page.width is None else max(LEAST_KEY, min(8.0, page.font))


def _framed(page: Page, box: Box, margin: float) -> Box:
    """With margins, and as wide as was asked."""
    left, top, right, bottom = box
    across = margin if page.width is None else (page.width + _spare(page.width) - (right - left)) / 2
    down = min(margin, MARGIN)
    return left - across, top - down, right + across, bottom + down


def _own_axes(box: Box, title: str) -> tuple[Axes, float]:
    """Axes that fill a figure, and how many points a pixel of the layout has there."""
    above = 30.0 * (1 + title.count("\n")) if title else 0.0
    width, height = box[2] - box[0], box[3] - box[1] + above
    shrunk = min(1.0, MAX_INCHES * PIXELS / max(width, height))
    figure = new_figure(width / PIXELS * shrunk, height / PIXELS * shrunk, facecolor=PAPER)
    ax = figure.add_axes((0.0, 0.0, 1.0, 1 - above / height))
    ax.title.set_color(INK)
    return ax, POINTS * shrunk


def _scale(ax: Axes, box: Box) -> float:
    """Points of a pixel of the layout, on given axes."""
    extent = ax.get_window_extent()
    across, down = extent.width / (box[2] - box[0]), extent.height / (box[3] - box[1])
    return max(min(across, down), 1e-6) * 72.0 / ax.figure.dpi


def _prepare(ax: Axes, box: Box, title: str) -> None:
    left, top, right, bottom = box
    ax.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[], facecolor=PAPER)
    ax.set_aspect("equal")
    ax.spines[:].set_visible(False)
    if title:
        ax.set_title("\n".join(map(plain, title.split("\n"))), fontsize=TITLE, **LETTERS)


def _add(pen: Pen, key: Key) -> None:
    add_edges(pen)
    add_nodes(pen)
    add_texts(pen, pen.page.numbers)
    add_texts(pen, pen.page.names)
    key.add(pen)
