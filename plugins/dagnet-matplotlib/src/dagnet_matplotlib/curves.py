"""How the loss fell: lines with their names at their ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from dagnet.drawing import NEGATIVE, POSITIVE, text_width
from dagnet.errors import DataError, did_you_mean, expected
from dagnet_matplotlib.axes import checked_axes, new_figure

__all__ = ["training_curves"]

Floats = NDArray[np.float64]
DRAWN = {"loss": ("loss", POSITIVE), "validation_loss": ("validation loss", NEGATIVE)}
STEEP = 20.0
SIZE, LINE, GAP = 9.0, 12.0, 6.0
"""Of labels, in points: their letters, a line of them, and their distance from the curve."""


def training_curves(history: Any, ax: Axes | None = None) -> Axes:
    r"""Draw the loss and, where there is one, the validation loss, epoch by epoch.

    A dot marks the lowest validation loss.  The axis of losses is logarithmic if all are
    positive and the largest is more than 20 times the smallest.

    Parameters
    ----------
    history
        What ``net.fit`` returned, or a mapping with ``"loss"`` and perhaps
        ``"validation_loss"``, one number an epoch; what is not finite is left out.
    ax
        Axes to draw on; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        Its ``figure`` is what ``savefig`` belongs to.

    Raises
    ------
    DataError
        For a wrong argument, and for a history without a finite loss.

    Examples
    --------
    >>> ax = training_curves({"loss": [3.0, 2.0, 1.5], "validation_loss": [3.1, 2.5, 2.6]})
    >>> ax.get_xlabel(), [text.get_text() for text in ax.texts]
    ('epoch', ['loss', 'validation loss\nlowest 2.5, epoch 2'])
    """
    curves = _curves(history)
    if ax is None:
        ax = new_figure(6.4, 3.6, layout="constrained").subplots()
    else:
        checked_axes("training_curves(): ax", ax)
    for name, losses in curves.items():
        _add_line(ax, losses, DRAWN[name][1])
    labels = {name: _label(name, losses) for name, losses in curves.items()}
    _scale_axes(ax, list(curves.values()), _width(labels.values()))
    _add_labels(ax, curves, labels)
    return ax


def _curves(history: Any) -> dict[str, Floats]:
    where = "training_curves(): history"
    if not isinstance(history, Mapping):
        mend = "pass what net.fit returned"
        raise DataError(expected(where, "a History or a mapping of lists", history, mend))
    if "loss" not in history:
        raise DataError(f"{where}: no 'loss' in it{did_you_mean('loss', history, listed=8)}")
    return {name: _numbers(f"{where}: {name!r}", history[name]) for name in DRAWN if name in history}


def _numbers(where: str, values: Any) -> Floats:
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise DataError(expected(where, "a list of numbers", values)) from None
    if array.ndim != 1 or not np.isfinite(array).any():
        raise DataError(expected(where, "one number an epoch, at least one of them finite", values))
    return np.where(np.isfinite(array), array, np.nan)


def _add_line(ax: Axes, losses: Floats, colour: str) -> None:
    epochs = np.arange(1, len(losses) + 1)
    few = "o" if len(losses) < 3 else None
    ax.plot(epochs, losses, color=colour, linewidth=1.6, marker=few, markersize=4)


def _lowest(losses: Floats) -> int:
    return int(np.nanargmin(losses))


def _label(name: str, losses: Floats) -> str:
    words = DRAWN[name][0]
    if name == "loss":
        return words
    lowest = _lowest(losses)
    return f"{words}\nlowest {losses[lowest]:.3g}, epoch {lowest + 1:,}"


def _width(labels: Iterable[str]) -> float:
    """Points that the longest line takes, with a gap on both sides."""
    return max(text_width(line, SIZE) for text in labels for line in text.split("\n")) * 1.1 + 2 * GAP


def _scale_axes(ax: Axes, curves: list[Floats], room: float) -> None:
    """Limits that leave ``room`` points for the labels beside the curves' ends."""
    last = max(map(len, curves))
    points = ax.get_window_extent().width * 72 / ax.figure.dpi
    share = min(room / max(points, 1.0), 0.6)
    reach = max(last - 1, 1)
    ax.set_xlim(1 - 0.03 * reach, 1 + reach / (1 - share))
    ticks_at_most = min(6, max(1, int(points * (1 - share) / 36)))
    ticks = MaxNLocator(nbins=ticks_at_most, integer=True, min_n_ticks=1).tick_values(1, max(last, 2))
    ax.set_xticks([1.0, *(tick for tick in ticks if 1 + 0.12 * reach < tick <= last)])
    every = np.concatenate(curves)
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    if low > 0 and high / low > STEEP:
        ax.set_yscale("log")
    ax.set(xlabel="epoch", ylabel="loss")
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines.bottom.set_bounds(1, max(last, 2))


def _add_labels(ax: Axes, curves: dict[str, Floats], labels: dict[str, str]) -> None:
    """The curves' names at their ends, apart from each other."""
    ends = {name: int(np.flatnonzero(np.isfinite(losses))[-1]) for name, losses in curves.items()}
    to_points = 72 / ax.figure.dpi
    at = {n: float(ax.transData.transform((1, curves[n][end]))[1]) * to_points for n, end in ends.items()}
    shift = dict.fromkeys(curves, 0.0)
    if len(at) == 2:
        upper, lower = sorted(at, key=lambda name: -at[name])
        lines = sum(label.count("\n") + 1 for label in labels.values())
        shift[upper] = max(0.0, lines * LINE / 2 - (at[upper] - at[lower])) / 2
        shift[lower] = -shift[upper]
    for name, end in ends.items():
        colour, place = DRAWN[name][1], (end + 1, curves[name][end])
        style: dict[str, Any] = {
            "color": colour,
            "fontsize": SIZE,
            "va": "center",
            "textcoords": "offset points",
        }
        ax.annotate(labels[name], place, xytext=(GAP, shift[name]), annotation_clip=False, **style)
        if name != "loss":
            lowest = _lowest(curves[name])
            ax.plot(lowest + 1, curves[name][lowest], "o", color=colour, markersize=4.5)
