"""The same network under another engine or in another precision."""

from __future__ import annotations

from typing import Any

from dagnet.errors import DataError, expected
from dagnet.model import Model

__all__ = ["checked_network", "twin"]


def checked_network(net: object) -> Model:
    """What is asked about must be a network."""
    if not isinstance(net, Model):
        mend = "build one with dagnet.Network(graph)"
        raise DataError(expected("net", "a dagnet.Network", net, mend))
    return net


def twin(net: Model, *, engine: str | None = None, dtype: Any = None) -> Model:
    """A model of its own with the topology, the loss and the parameters of ``net``."""
    net = checked_network(net)
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
