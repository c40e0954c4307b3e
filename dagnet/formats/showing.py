"""Pictures on demand; only those who look pay for the rooms that draw."""

from __future__ import annotations

import html
from io import BytesIO
from typing import Any

from dagnet.contracts import Observations
from dagnet.errors import DataError
from dagnet.model import Model, aligned
from dagnet.values import whole

HEIGHT = whole(100, 10_000)


class Shown:
    """The inspector as ``page``, a text of HTML; notebooks show it ``height`` pixels high."""

    def __init__(self, page: str, height: int) -> None:
        self.page, self.height = page, height

    def _repr_html_(self) -> str:
        style = f'style="width:100%;height:{self.height}px;border:0" sandbox="allow-scripts"'
        return f'<iframe title="dagnet" {style} srcdoc="{html.escape(self.page)}"></iframe>'


def show(net: Model, X: Any = None, y: Any = None, *, height: int = 640) -> Shown:
    """Open the inspector in a notebook's cell: the page of ``net.export("net.html", X, y)``.

    ``height`` is that of the cell, from 100 pixels.  A node that is clicked says its numbers for rows X and
    targets y, and has a slider that gives it another value.  :class:`DataError` for what does not fit.

    Examples
    --------
    >>> import dagnet
    >>> shown = dagnet.Network(dagnet.layered([2, 1]), seed=0).show([[1.0, 2.0]])
    >>> shown._repr_html_()[:22]
    '<iframe title="dagnet"'
    """
    from dagnet.formats.inspector import write_html  # noqa: PLC0415 - only those who look pay for it

    if X is None and y is not None:
        raise DataError("show(): y is given without X; the targets need their rows")
    height, stream = HEIGHT.check("show(): height", height), BytesIO()
    write_html(net, stream, None if X is None else Observations(X, aligned("y", y, X)))
    return Shown(stream.getvalue().decode(), height)


def draw(
    net: Model, X: Any = None, y: Any = None, *, color: Any = None, size: Any = None, highlight: Any = None,
    width: str | None = None, font_size: float | None = None, labels: Any = True,
    top_edges: int | None = None, title: str = "", legend: bool = True,
) -> Any:  # fmt: skip
    """Draw the network, left to right: notebooks show the picture, ``.save(path)`` keeps it.

    Squares are inputs, circles hidden nodes, double circles outputs, diamonds constants; outputs stand in
    the last column.  A line is as wide as its weight is large, blue for a positive and orange for a negative
    one.  Of up to 24 edges the weights are written, and the biases.  Of more than 300 edges the strongest 150
    are drawn so, all others faint.  More than 2,000 nodes, 12,000 edges, or 600 nodes in a column are drawn
    as an overview that says so.

    Parameters
    ----------
    X, y
        Rows and targets, where colours or sizes ask for them.
    color, size
        What colours of nodes, or their areas, stand for: ``"value"``, the mean of a over the rows of X;
        ``"delta"``, that of δ = ∂(a row's loss)/∂z; what :meth:`attribute` gave (of several rows its mean
        absolute), or :func:`dagnet.importance`; a mapping from node to number.  For ``color`` also the name
        of a node attribute, up to eight groups.  Below 0 nodes are orange and dashed,
        without a number white with a pale rim.  A box of an overview has the mean of its nodes' numbers (of
        absolute ones as its area), and nodes of one group.
    highlight
        What is painted while the rest is faint: a node's parent chain, or the ways on from an edge's weight;
        a list has several of either, a tuple is a name or an edge.
    width, font_size
        Of the picture, ``"85 mm"``, ``"3.3 in"``, ``"240 pt"``; of names, pt, from 5 on.  With a width they
        are 7 pt, or smaller where that makes room for all, and the picture says how many have none at 5.
    labels, top_edges
        False, or nodes that have a name, or a mapping to what is written; how many edges are drawn in full.
    title, legend
        Above the picture; whether to explain shapes and colours below it.

    Raises
    ------
    DataError
        For an argument that will not do, nodes that there are not, and rows that are wanting.

    Examples
    --------
    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([2, 2, 1]), seed=0)
    >>> net.draw([[1.0, 2.0]], color="value", highlight="h11", width="85 mm")
    <Drawing: 321 × 134 px, 5,280 characters of SVG>
    """
    from dagnet.drawing import draw  # noqa: PLC0415 - only those who draw pay for it

    return draw(
        net, X, y, color=color, size=size, highlight=highlight, width=width, font_size=font_size,
        labels=labels, top_edges=top_edges, title=title, legend=legend,
    )  # fmt: skip
