"""The picture as a file."""

from __future__ import annotations

from typing import BinaryIO

from dagnet.contracts import Observations
from dagnet.drawing import draw
from dagnet.model import Model


def write_svg(model: Model, stream: BinaryIO, observations: Observations | None) -> None:
    """Write the layered drawing; rows do not show in it."""
    del observations
    stream.write(draw(model).svg.encode())
