"""The network as a file: the same bytes for the same network."""

from __future__ import annotations

import math
from typing import Any, BinaryIO, cast

import matplotlib as mpl
from matplotlib.figure import Figure

from dagnet_matplotlib.picture import draw

__all__ = ["write_pdf", "write_png"]

DPI, MAX_PIXELS, MAX_SIDE = 200.0, 40e6, 30_000.0


def write_png(network: Any, stream: BinaryIO, observations: Any) -> None:
    """200 dots an inch, fewer for a huge picture; rows do not show in it."""
    del observations
    figure = _figure(network)
    width, height = figure.get_size_inches()
    dpi = min(DPI, math.sqrt(MAX_PIXELS / (width * height)), MAX_SIDE / max(width, height))
    figure.savefig(stream, format="png", dpi=dpi, metadata={"Software": None})


def write_pdf(network: Any, stream: BinaryIO, observations: Any) -> None:
    """Text stays text, in TrueType as publishers ask; no date in it; rows do not show in it."""
    del observations
    with mpl.rc_context({"pdf.fonttype": 42}):
        _figure(network).savefig(stream, format="pdf", metadata={"CreationDate": None})


def _figure(network: Any) -> Figure:
    return cast("Figure", draw(network).figure)
