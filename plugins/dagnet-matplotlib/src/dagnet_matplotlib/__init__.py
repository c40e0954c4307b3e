"""dagnet in matplotlib: the network, its training, activations and importance; exports to .png and .pdf.

matplotlib is imported when something is drawn or written, not when the plugin is found.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO

import dagnet

if TYPE_CHECKING:
    from dagnet_matplotlib.curves import training_curves
    from dagnet_matplotlib.histograms import activation_histograms
    from dagnet_matplotlib.importance import plot_importance
    from dagnet_matplotlib.picture import draw

DRAWING = {
    "activation_histograms": "histograms",
    "draw": "picture",
    "plot_importance": "importance",
    "training_curves": "curves",
}
"""In which module each drawing function stands."""

__all__ = ["activation_histograms", "dagnet_exporters", "draw", "plot_importance", "training_curves"]


def __getattr__(name: str) -> Any:
    """The drawing functions, imported when first asked for (PEP 562)."""
    if name not in DRAWING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{DRAWING[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _write_png(network: Any, stream: BinaryIO, observations: Any) -> None:
    from dagnet_matplotlib.files import write_png  # noqa: PLC0415 - only writing needs matplotlib

    write_png(network, stream, observations)


def _write_pdf(network: Any, stream: BinaryIO, observations: Any) -> None:
    from dagnet_matplotlib.files import write_pdf  # noqa: PLC0415

    write_pdf(network, stream, observations)


@dagnet.hookimpl
def dagnet_exporters() -> list[dagnet.Exporter]:
    """The hook that dagnet calls for file formats."""
    return [dagnet.Exporter("png", ".png", _write_png), dagnet.Exporter("pdf", ".pdf", _write_pdf)]
