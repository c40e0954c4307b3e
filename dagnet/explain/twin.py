"""The same network under another engine or in another precision."""

from __future__ import annotations

from typing import Any

from dagnet.model import Model

__all__ = ["twin"]


def twin(net: Model, *, engine: str | None = None, dtype: Any = None) -> Model:
    """A model of its own with the topology, the loss and the parameters of ``net``."""
    model = Model(
        net.topology,
        loss=net.loss,
        initializer="zeros",
        dtype=net.dtype if dtype is None else dtype,
        engine=net.engine if engine is None else engine,
        threads=net.threads,
    )
    model.parameters[:] = net.parameters
    return model
