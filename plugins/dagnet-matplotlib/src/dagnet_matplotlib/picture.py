"""The layered drawing on matplotlib axes: the same places, shapes and colours as ``net.draw()``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from matplotlib.axes import Axes

from dagnet.drawing import sketch, summarised
from dagnet.drawing.page import INK, PAPER, Page, lay_out
from dagnet.errors import DataError, expected
from dagnet_matplotlib.axes import checked_axes, checked_network, new_figure
from dagnet_matplotlib.key import Key, lay_out_key
from dagnet_matplotlib.lettering import LETTERS, plain
from dagnet_matplotlib.marks import Pen, add_edges, add_labels, add_nodes, add_numbers

__all__ = ["draw"]

Box = tuple[float, float, float, float]
MARGIN = 14.0
PIXELS, POINTS = 96.0, 0.75
"""Pixels of a layout in an inch, and points in such a pixel."""
MAX_INCHES = 100.0
SMALLEST_KEY, KEY, TITLE = 6.0, 9.5, 11.0


def draw(net: Any, ax: Axes | None = None, *, title: str = "", legend: bool = True) -> Axes:
    """Draw a network, left to right.

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
    >>> ax = draw(dagnet.Network(dagnet.layered([2, 2, 1]), seed=0))
    >>> [text.get_text() for text in ax.texts][-4:]
    ['hidden (relu)', 'output (identity)', 'positive weight', 'negative weight']
    """
    page = _laid_out(checked_network("draw()", net))
    if not isinstance(title, str):
        raise DataError(expected("draw(): title", "text", title))
    box, key = page.box(), None
    if ax is None:
        if legend:
            key, box = lay_out_key(page, box, KEY)
        box = _widened(box)
        ax, scale = _own_axes(box, titled=bool(title))
    else:
        fraction = _scale(checked_axes("draw(): ax", ax), _widened(box))
        if legend:
            key, box = lay_out_key(page, box, max(KEY, SMALLEST_KEY / fraction))
        box = _widened(box)
        scale = _scale(ax, box)
    _prepare(ax, box, title)
    _add(Pen(ax, page, scale), key)
    return ax


def _laid_out(net: Any) -> Page:
    page = lay_out(summarised(sketch(net)))
    return replace(page, labels=[plain(label) for label in page.labels])


def _widened(box: Box) -> Box:
    left, top, right, bottom = box
    return left - MARGIN, top - MARGIN, right + MARGIN, bottom + MARGIN


def _own_axes(box: Box, *, titled: bool) -> tuple[Axes, float]:
    """Axes that fill a figure, and how many points a pixel of the layout has there."""
    above = 30.0 if titled else 0.0
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


def _add(pen: Pen, key: Key | None) -> None:
    add_edges(pen)
    add_nodes(pen)
    add_numbers(pen)
    add_labels(pen)
    if key is not None:
        key.add(pen)
