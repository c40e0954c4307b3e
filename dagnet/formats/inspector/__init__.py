"""The inspector: one HTML file in which a network answers questions, without any network."""

from __future__ import annotations

import html
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, BinaryIO

from dagnet.contracts import Observations
from dagnet.formats.inspector.packing import script_json
from dagnet.formats.inspector.payload import payload
from dagnet.model import Model

__all__ = ["page", "write_html"]

SCRIPTS = ("data", "numbers", "geometry", "paint", "labels", "panel", "parts", "controls", "viewer")


def write_html(model: Model, stream: BinaryIO, observations: Observations | None) -> None:
    """Write the page that shows a network and, for given rows, what they do in it."""
    stream.write(page(payload(model, observations)).encode("utf-8"))


def page(data: dict[str, Any]) -> str:
    """The page for a payload (see :mod:`dagnet.formats.inspector.payload`)."""
    folder = resources.files(__name__)
    parts = {
        "title": html.escape(str(data["title"])),
        "style": _text(folder, "viewer.css"),
        "data": script_json(data),
        "script": "\n".join(_text(folder, f"{name}.js") for name in SCRIPTS),
    }
    text = _text(folder, "viewer.html")
    pieces = text.split("@@")  # text, name, text, name, …
    return "".join(parts[piece] if place % 2 else piece for place, piece in enumerate(pieces))


def _text(folder: Traversable, name: str) -> str:
    return folder.joinpath(name).read_text(encoding="utf-8")
