"""What engines promise: prepare a plan, run it forward, run it backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from dagnet.contracts.functions import Loss
from dagnet.contracts.optimizer import Optimizer
from dagnet.errors import PluginError

__all__ = ["Engine", "FusedRunner", "Runner", "State", "Unsupported"]

Array = NDArray[Any]


class Unsupported(PluginError):
    """An engine's word that it cannot run a plan; ``auto`` then asks the next engine."""


class State(Protocol):
    """What one forward (and backward) pass left behind; its layout is the engine's own."""

    @property
    def outputs(self) -> Array:
        """Values of the output units, (rows, output units)."""

    def value(self, units: Array) -> Array:
        """Values a of some units, (units, rows)."""

    def pre_activation(self, units: Array) -> Array:
        """Pre-activations z of some units, (units, rows)."""

    def delta(self, units: Array) -> Array:
        """∂loss/∂z of some units after a backward pass, (units, rows)."""


class Runner(Protocol):
    """A plan made ready to run; callable from several threads at once."""

    def forward(self, theta: Array, inputs: Array, *, gains: Array | None = None, keep: bool = True) -> Any:
        """Evaluate: ``theta`` (slots,), ``inputs`` (rows, input units) -> a :class:`State`.

        ``gains`` (units, rows) multiply the values (dropout masks).  ``keep=False`` promises
        that only ``outputs`` will be read.
        """

    def backward(self, theta: Array, state: Any, output_gradient: Array, *, into: Array) -> None:
        """Walk back from ∂loss/∂outputs (rows, output units); ∂loss/∂theta is written to ``into``."""


@runtime_checkable
class FusedRunner(Protocol):
    """A runner that can take forward, row-wise loss and backward in one go."""

    def loss_and_gradient(
        self, theta: Array, inputs: Array, targets: Array, row_weights: Array, loss: Loss, *, into: Array
    ) -> float:
        """Σ wℓ with the weights as given; its gradient is written to ``into``."""


class Engine(Protocol):
    """What executes plans."""

    name: str
    priority: int
    """``engine="auto"`` tries the available engine with the highest priority first."""

    def unavailable(self) -> str | None:
        """Why the engine cannot run on this machine, or None where it can."""

    def prepare(self, plan: Any, *, dtype: Any, threads: int) -> Any:
        """A :class:`Runner` for a :class:`dagnet.plan.Plan`; raises :class:`Unsupported`."""

    def fused_step(self, optimizer: Optimizer, dtype: Any) -> Callable[..., None] | None:
        """The optimizer's :meth:`Optimizer.step` as one fused pass, or None."""
