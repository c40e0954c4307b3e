"""dagnet on PyTorch: an engine for GPUs, training on many machines, and networks as modules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import dagnet
from dagnet_torch.engine import TorchEngine

__all__ = ["TorchEngine", "dagnet_engines", "module"]


@dagnet.hookimpl
def dagnet_engines() -> Iterable[Any]:
    """The engine ``"torch"``, of a call form such as ``"torch(device='cuda')"``."""
    return [TorchEngine()]


def module(net: Any) -> Any:
    """A network as an :class:`torch.nn.Module`; see :class:`dagnet_torch.modules.DagModule`."""
    from dagnet_torch.modules import DagModule  # noqa: PLC0415 - imports PyTorch

    return DagModule(net)
