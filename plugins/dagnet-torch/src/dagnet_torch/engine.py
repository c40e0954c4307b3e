"""The engine, found by name; nothing here imports PyTorch before a network is prepared."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from typing import Any

from dagnet.contracts import Optimizer
from dagnet.errors import PluginError, expected
from dagnet.plan import Plan
from dagnet.values import FLAG

KINDS = "'cpu', 'cuda' or 'cuda:0', …"


@dataclass(frozen=True)
class TorchEngine:
    """PyTorch's tensors, on a processor or on a GPU.

    Parameters
    ----------
    device
        ``"cpu"``, ``"cuda"``, or a card by its number, ``"cuda:1"``.
    compile
        Whether ``torch.compile`` makes one kernel of each formula: of activations, losses, and the
        optimizer's rule.  Compiling takes seconds for each, once a process.
    """

    device: str = "cpu"
    compile: bool = False

    name = "torch"
    priority = -1
    """Below all others: ``engine="auto"`` never takes it unasked."""

    def __post_init__(self) -> None:
        kind, _, number = str(self.device).partition(":")
        known = kind == "cuda" and (number.isdecimal() or self.device == "cuda")
        if not isinstance(self.device, str) or not (known or self.device == "cpu"):
            raise PluginError(expected("engine 'torch': device", KINDS, self.device))
        FLAG.check("engine 'torch': compile", self.compile)

    def unavailable(self) -> str | None:
        """Why it cannot run here, or None."""
        return _unavailable() or _without(self.device)

    def prepare(self, plan: Plan, *, dtype: Any, threads: int) -> Any:
        """A runner for the plan."""
        from dagnet_torch.runner import TorchRunner  # noqa: PLC0415 - imports PyTorch

        return TorchRunner(plan, dtype, threads, device=self.device, fuse=self.compile)

    def fused_step(self, optimizer: Optimizer, *, dtype: Any, threads: int) -> None:
        """None: the rule runs in a learner of its own, where the parameters are."""
        del optimizer, dtype, threads


@cache
def _unavailable() -> str | None:
    if importlib.util.find_spec("torch") is None:
        return "PyTorch is not installed; pip install torch"
    try:
        import torch  # noqa: F401, PLC0415 - only to see whether it can be imported
    except Exception as error:  # noqa: BLE001 - a broken installation raises what it likes
        return f"PyTorch cannot be imported: {error}"
    return None


def _without(device: str) -> str | None:
    """Why there is no such device, or None."""
    import torch  # noqa: PLC0415 - seconds

    if device == "cpu":
        return None
    if not torch.cuda.is_available():
        built = "is built without CUDA" if torch.version.cuda is None else "finds no CUDA device"
        return f"PyTorch {torch.__version__} {built}, so there is no device {device!r}; write device='cpu'"
    count, number = torch.cuda.device_count(), int(device.partition(":")[2] or 0)
    if number >= count:
        return f"there is no device {device!r}, only cuda:0 to cuda:{count - 1}"
    return None
