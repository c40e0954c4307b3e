"""Arguments checked, and figures that no window knows of."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import dagnet
from dagnet.errors import DataError, expected

__all__ = ["checked_axes", "checked_network", "new_figure"]


def checked_network(where: str, net: object) -> Any:
    """The network itself."""
    if not isinstance(net, dagnet.Network):
        raise DataError(expected(f"{where}: net", "a dagnet.Network", net))
    return net


def checked_axes(where: str, ax: object) -> Axes:
    """The axes themselves: plain ones, which a picture may be drawn on."""
    if not isinstance(ax, Axes) or ax.name != "rectilinear":
        mend = "pass one of plt.subplots()'s, or leave it out for a new figure"
        raise DataError(expected(where, "matplotlib Axes with straight x and y, or None", ax, mend))
    return ax


def new_figure(width: float, height: float, **settings: Any) -> Figure:
    """A figure of its own, in inches, without pyplot: nothing has to be closed."""
    figure = Figure(figsize=(width, height), **settings)
    FigureCanvasAgg(figure)
    return figure
