"""The loss of a batch and its gradient: the engine's one call, or forward, loss and backward."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.contracts import Loss, LossGradient
from dagnet.errors import PluginError, expected
from dagnet.model import Model
from dagnet.model.selection import fused_gradient
from dagnet.registry import named

__all__ = ["ThreeCalls", "loss_gradient", "weighted_gradient"]

Array = NDArray[Any]


def loss_gradient(model: Model) -> LossGradient:
    """What training calls once a batch."""
    return fused_gradient(model.runner, model.loss) or ThreeCalls(model)


class ThreeCalls:
    """For engines without such a call, and for losses that have to run through NumPy."""

    def __init__(self, model: Model) -> None:
        self._runner, self._loss = model.runner, model.loss
        self._state: Any = None

    def __call__(
        self, theta: Array, inputs: Array, targets: Array, factor: Array, *, into: Array
    ) -> tuple[float, float | None]:
        """See :class:`dagnet.contracts.LossGradient`."""
        state = self._state = self._runner.forward(theta, inputs, reuse=self._state)
        outputs = state.outputs
        values = _checked(self._loss, "value", self._loss.row_values(outputs, targets), (len(outputs),))
        loss = float(np.dot(values.astype(np.float64), factor.astype(np.float64)))
        if not math.isfinite(loss):
            return loss, None
        pull = weighted_gradient(self._loss, outputs, targets, factor)
        return loss, self._runner.backward(theta, state, pull, into=into)


def weighted_gradient(loss: Loss, outputs: Array, targets: Array, factor: Array) -> Array:
    """∂(Σ factor·ℓ)/∂outputs, (rows, output units)."""
    pull = _checked(loss, "gradient", loss.row_gradients(outputs, targets), outputs.shape)
    result: Array = (pull * factor[:, None]).astype(factor.dtype, casting="same_kind", copy=False)
    return result


def _checked(loss: Loss, what: str, values: Any, shape: tuple[int, ...]) -> Array:
    if not isinstance(values, np.ndarray) or values.shape != shape:
        got = f"shape {np.shape(values)}"
        raise PluginError(expected(f"{named(loss)}: {what}", f"an array of shape {shape}", got))
    return values
