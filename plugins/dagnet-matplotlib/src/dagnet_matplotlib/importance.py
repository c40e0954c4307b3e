"""Which nodes matter, beside what they have by chance: a dot a node, and a grey bar for the null."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

import dagnet
from dagnet.drawing import INK, MUTED, POSITIVE, cut
from dagnet.errors import DataError, expected
from dagnet.markup import counted, label
from dagnet.values import whole
from dagnet_matplotlib.axes import checked_axes, new_figure
from dagnet_matplotlib.lettering import LETTERS, plain

__all__ = ["plot_importance"]

WHERE = "plot_importance()"
LEVEL, NULL, BAR = 0.05, "#d5d9df", 0.62
SIZE, LINE, KEY = 8.5, 0.24, 0.42
"""Of names, in points; and how high a node's row is, and how far below the axis the key, in inches."""
SHARE, ROOM = 0.35, 150.0
"""Of the width, and in points: what names may take at most."""


def plot_importance(found: Any, ax: Axes | None = None, *, most: int = 20) -> Axes:
    """Draw the nodes with the largest means: the mean over seeds with its interval, and the null's spread.

    The grey bar holds 95 % of the averages under the null: what the node has where there is nothing to find.
    Nodes are blue with p_adjusted ≤ 0.05, else hollow.  A node with twins, which the graph cannot tell
    from it, has a ``*``: it is judged as their group.

    Parameters
    ----------
    found
        What :func:`dagnet.importance` returned.
    ax
        Axes to draw on; None makes a figure.
    most
        How many nodes are drawn.

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
    >>> X = np.random.default_rng(0).normal(size=(40, 3))
    >>> found = dagnet.importance(dagnet.layered([3, 2, 1]), X, X[:, 0], seeds=2, shuffles=4, epochs=5)
    >>> ax = plot_importance(found)
    >>> len(ax.get_yticks()), ax.get_xlabel()
    (5, 'mean |deeplift| over the rows')
    """
    if not isinstance(found, dagnet.Importance):
        raise DataError(expected(f"{WHERE}: found", "what dagnet.importance returned", found))
    most = whole(1).check(f"{WHERE}: most", most)
    columns, mean = found.columns, found.columns["mean"]
    chosen = np.argsort(-mean, kind="stable")[:most]
    if ax is None:
        ax = new_figure(6.4, 1.3 + LINE * max(len(chosen), 5), layout="constrained").subplots()
    else:
        checked_axes(f"{WHERE}: ax", ax)
    rows = np.arange(len(chosen), dtype=float)
    low, high = np.quantile(found.under_null[:, chosen], [0.025, 0.975], axis=0)
    ax.barh(rows, high - low, left=low, height=BAR, color=NULL, zorder=1)
    ax.hlines(
        rows, np.maximum(columns["low"][chosen], 0), columns["high"][chosen], color=INK, lw=1.1, zorder=2
    )
    stands_out = columns["p_adjusted"][chosen] <= LEVEL
    for some, fill in ((stands_out, POSITIVE), (~stands_out, "white")):
        style: dict[str, Any] = {
            "markerfacecolor": fill,
            "markeredgecolor": POSITIVE if fill != "white" else INK,
        }
        ax.plot(mean[chosen][some], rows[some], "o", markersize=5, zorder=3, **style)
    _write(ax, found, [found.names[place] for place in chosen.tolist()], len(mean))
    return ax


def _write(ax: Axes, found: Any, names: list[Hashable], of: int) -> None:
    """Names, the axis and the key."""
    twins = {name for group in found.twins for name in group}
    room = min(ROOM, SHARE * ax.get_window_extent().width * 72 / ax.figure.dpi)
    texts = [cut(plain(label(name)), SIZE, room) + " *" * (name in twins) for name in names]
    ax.set_yticks(range(len(names)), texts, fontsize=SIZE, **LETTERS)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(left=0)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6))
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=SIZE)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.set_xlabel(f"mean |{found.asked['method']}| over the rows", fontsize=SIZE, **LETTERS)
    seeds, shuffles = counted(len(found.by_seed), "seed"), len(found.under_null)
    shown = "all" if len(names) == of else f"the {len(names)} largest of {of:,}"
    ax.set_title(f"Importance: {shown} nodes, {seeds}", fontsize=SIZE + 1, loc="left", color=INK)
    dot: dict[str, Any] = {"marker": "o", "markersize": 5, "color": INK, "linewidth": 1.1}
    key = [
        Line2D([], [], markerfacecolor=POSITIVE, markeredgecolor=POSITIVE, **dot),
        Line2D([], [], markerfacecolor="white", markeredgecolor=INK, **dot),
        Patch(color=NULL),
    ]
    words = ["adjusted p ≤ 0.05, with 95 % interval", "adjusted p > 0.05"]
    words.append(f"95 % under the null ({found.asked['null']}, {shuffles})")
    if twins & set(names):
        key.append(Line2D([], [], linestyle="none", marker="$*$", color=INK))
        words.append("has twins: judged as a group")
    looks: dict[str, Any] = {"frameon": False, "fontsize": SIZE - 1, "labelcolor": MUTED}
    below = -KEY * ax.figure.dpi / ax.get_window_extent().height
    ax.legend(key, words, loc="upper center", bbox_to_anchor=(0.5, below), ncol=2, **looks)
