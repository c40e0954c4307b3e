"""Trained networks as ONNX models: ``net.export("net.onnx")``."""

from __future__ import annotations

from typing import Any, BinaryIO

import dagnet

__all__ = ["dagnet_exporters"]


def write(network: Any, stream: BinaryIO, observations: Any = None) -> None:
    """Write a network as an ONNX model; rows and targets are no part of it.

    See :mod:`dagnet_onnx.model` for what the model has.
    """
    del observations
    from dagnet_onnx.model import written  # noqa: PLC0415 - onnx is only for those who write

    written(network, stream)


@dagnet.hookimpl
def dagnet_exporters() -> list[dagnet.Exporter]:
    """The format ``.onnx``."""
    return [dagnet.Exporter("onnx", ".onnx", write)]
