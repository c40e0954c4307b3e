"""What engines promise: prepare a plan, run it forward, run it backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from numpy.typing import NDArray

from dagnet.contracts.optimizer import Optimizer
from dagnet.errors import PluginError

__all__ = ["Engine", "LossGradient", "Runner", "State", "Unsupported"]

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
    """A plan made ready to run; callable from several threads at once.

    A runner may also have ``evaluate(theta, inputs)``: the outputs alone, (rows, output units), or
    None where an input is NaN or it would rather be asked for them by :meth:`forward`; and
    ``fused_gradient(loss)``: a :class:`LossGradient`, or None for a loss that has to run through NumPy.
    """

    def forward(self, theta: Array, inputs: Array, *, keep: bool = True, reuse: Any = None) -> Any:
        """Evaluate: ``theta`` (slots,), ``inputs`` (rows, input units) -> a :class:`State`.

        ``keep=False`` promises that only ``outputs`` will be read; ``reuse``, the state of an
        earlier call, gives its memory away.
        """

    def backward(self, theta: Array, state: Any, output_gradient: Array, *, into: Array) -> float | None:
        """Walk back from ∂loss/∂outputs (rows, output units); ∂loss/∂theta is written to ``into``.

        Returns a number not below the sum of the squares written, where the engine has one at hand,
        else None: training need not read a gradient that is known to be small.
        """


class LossGradient(Protocol):
    """Forward, loss and backward as one call.

    It owns its memory, which the next call overwrites: each run of steps asks for one of its own.
    """

    def __call__(
        self, theta: Array, inputs: Array, targets: Array, factor: Array, *, into: Array
    ) -> tuple[float, float | None]:
        """L = Σ factor·ℓ, and what :meth:`Runner.backward` returns; ∂L/∂theta is written to ``into``.

        ``theta``, ``into`` (slots,), ``inputs`` (rows, input units), ``targets`` (rows, output
        units), ``factor`` (rows,), all in the runner's dtype.  Where L is not finite ``into`` may hold
        anything.
        """


class Engine(Protocol):
    """What executes plans."""

    name: str
    priority: int
    """``engine="auto"`` tries the available engine with the highest priority first."""

    def unavailable(self) -> str | None:
        """Why the engine cannot run on this machine, or None where it can."""

    def prepare(self, plan: Any, *, dtype: Any, threads: int) -> Any:
        """A :class:`Runner` for a :class:`dagnet.plan.Plan`; raises :class:`Unsupported`."""

    def fused_step(self, optimizer: Optimizer, *, dtype: Any, threads: int) -> Callable[..., None] | None:
        """The optimizer's :meth:`Optimizer.step` as one fused pass, or None."""
