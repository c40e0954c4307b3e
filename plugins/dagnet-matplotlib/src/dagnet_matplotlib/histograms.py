"""How the values of nodes are spread over rows: one small histogram a node."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from dagnet.drawing import MUTED, NEGATIVE, NEUTRAL, POSITIVE, cut
from dagnet.errors import DataError, expected
from dagnet.markup import label, number
from dagnet_matplotlib.axes import checked_axes, checked_network, new_figure
from dagnet_matplotlib.lettering import LETTERS, plain

__all__ = ["activation_histograms"]

Floats = NDArray[np.float64]
WHERE = "activation_histograms()"
UNASKED, MOST = 12, 60
BINS = 30
ACROSS, WIDE, HIGH = 4, 2.2, 1.5
SIZE = 8.5


def activation_histograms(
    net: Any, X: Any, nodes: Iterable[Hashable] | None = None, axes: Any = None
) -> list[Axes]:
    """Draw how the values of some nodes are spread over rows, one histogram a node.

    A node that has one value for all rows is marked: it is dead, or saturated.

    Parameters
    ----------
    net
        A :class:`dagnet.Network`.
    X
        Rows, as for ``net(X)``.
    nodes
        Names, at most 60.  None: hidden and output nodes, at most 12 (or as many as there are
        axes), spread evenly over the levels.
    axes
        At least one for each node, in an array of any shape, as ``plt.subplots`` makes them;
        those left over are blanked.  None makes a figure.

    Returns
    -------
    list of matplotlib.axes.Axes
        One a node, in their order.

    Raises
    ------
    DataError
        For a wrong argument or an unknown node.

    Examples
    --------
    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([2, 3, 1]), seed=0)
    >>> axes = activation_histograms(net, [[0.0, 1.0], [1.0, 0.0]], nodes=["h11", "eta"])
    >>> [ax.get_title() for ax in axes]
    ['h11 · relu', 'eta · identity']
    """
    checked_network(WHERE, net)
    given = None if axes is None else _given_axes(axes)
    names = _some(net, UNASKED if given is None else len(given)) if nodes is None else _named(net, nodes)
    if given is None:
        given = _own_axes(len(names))
    if len(given) < len(names):
        mend = "pass more axes, or name fewer nodes"
        raise DataError(expected(f"{WHERE}: axes", f"{len(names)} or more", len(given), mend))
    forward = net.forward(X)
    for ax, name in zip(given, names, strict=False):
        _add_histogram(ax, np.asarray(forward[name], np.float64).reshape(-1))
        _add_title(ax, net, name)
    for ax in given[len(names) :]:
        ax.set_axis_off()
    return given[: len(names)]


def _given_axes(axes: Any) -> list[Axes]:
    if isinstance(axes, (str, bytes)) or not (isinstance(axes, Axes) or np.iterable(axes)):
        raise DataError(expected(f"{WHERE}: axes", "an array of matplotlib Axes, or None", axes))
    several = [axes] if isinstance(axes, Axes) else list(np.asarray(axes, object).reshape(-1))
    if not several:
        raise DataError(expected(f"{WHERE}: axes", "one or more Axes", axes))
    return [checked_axes(f"{WHERE}: axes", ax) for ax in several]


def _named(net: Any, nodes: Any) -> list[Hashable]:
    where, must = f"{WHERE}: nodes", "a list of node names"
    if isinstance(nodes, (str, bytes)) or not isinstance(nodes, Iterable):
        raise DataError(expected(where, must, nodes, f"write nodes=[{nodes!r}]"))
    names = list(nodes)
    if not 1 <= len(names) <= MOST:
        raise DataError(expected(where, f"1 to {MOST} names", len(names), "name some of them"))
    for name in names:
        net.topology.node_number(name)
    return names


def _some(net: Any, most: int) -> list[Hashable]:
    """Hidden and output nodes by level, evenly spaced where there are more."""
    topology = net.topology
    order = np.argsort(topology.level, kind="stable").tolist()
    able = [node for node in order if topology.role(node) in ("hidden", "output")] or order
    chosen = np.unique(np.linspace(0, len(able) - 1, min(most, len(able))).round().astype(int))
    return [topology.nodes[able[place]] for place in chosen.tolist()]


def _own_axes(count: int) -> list[Axes]:
    columns = min(count, ACROSS if count != 3 * (count // 3) or count > 9 else 3)
    rows = math.ceil(count / columns)
    figure = new_figure(max(WIDE * columns, 3.2), max(HIGH * rows, 1.9), layout="constrained")
    made: list[Axes] = figure.subplots(rows, columns, squeeze=False).reshape(-1).tolist()
    return made


def _add_histogram(ax: Axes, values: Floats) -> None:
    finite = values[np.isfinite(values)]
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.set_yticks([])
    ax.tick_params(axis="x", labelsize=SIZE - 1.5)
    ax.xaxis.get_offset_text().set_fontsize(SIZE - 1.5)
    if len(finite) < len(values):
        lost = len(values) - len(finite)
        ax.margins(y=0.3)
        _note(ax, f"{lost:,} of {len(values):,} not finite", 0.92, NEGATIVE)
    if not len(finite):
        ax.set_xticks([])
        return
    low, high = float(finite.min()), float(finite.max())
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        _constant(ax, low)
    elif high - low > 1e300:
        _note(ax, f"{number(low)} to {number(high)}", 0.5, MUTED)
        ax.set_xticks([])
    else:
        ax.hist(finite, bins=BINS, range=(low, high), color=POSITIVE)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))


def _constant(ax: Axes, value: float) -> None:
    """One bar with its value: no histogram can be made of it."""
    ax.bar([0.0], [1.0], width=0.04, color=NEUTRAL)
    ax.set(xlim=(-1.0, 1.0), ylim=(0.0, 1.05), xticks=[])
    _note(ax, f"always {number(value)}", 0.5, MUTED)


def _note(ax: Axes, text: str, height: float, colour: str) -> None:
    where: dict[str, Any] = {"ha": "right", "va": "center", "transform": ax.transAxes}
    ax.text(0.97, height, text, color=colour, fontsize=SIZE - 1, **where, **LETTERS)


def _add_title(ax: Axes, net: Any, name: Hashable) -> None:
    """The node's name and activation, cut to the width of the axes."""
    topology = net.topology
    node = topology.node_number(name)
    kind = (
        "" if topology.role(node) == "input" else f" · {topology.activations[topology.activation_of[node]]}"
    )
    room = ax.get_window_extent().width * 72 / ax.figure.dpi
    text = plain(label(name)) + plain(kind)
    ax.set_title(cut(text, SIZE * 1.1, room), fontsize=SIZE, **LETTERS)
