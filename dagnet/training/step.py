"""One step: forward, loss, backward, penalties, clipping, and the optimizer's move.

All memory that grows with the network is taken once.  The checks for NaN cost one number a
batch for the loss and one pass over the gradient; the search for a culprit begins after one
has failed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from dagnet.errors import NumericalError, PluginError, expected
from dagnet.model import Model
from dagnet.model.selection import fused_gradient
from dagnet.registry import engines, named
from dagnet.training.blame import bad_gradient, bad_loss, bad_step
from dagnet.training.penalty import Penalty, clip_to_norm
from dagnet.training.rows import Batch
from dagnet.training.settings import Settings

__all__ = ["Step"]

Array = NDArray[Any]
CALM_RATE = 10.0
CALM_SQUARE = 1e12
"""With a learning rate and a squared gradient norm below these, a step cannot overflow."""


class Step:
    """The repeated part of a run; it owns the optimizer's state and the scratch memory."""

    def __init__(self, model: Model, settings: Settings, batch_size: int) -> None:
        self._model, self._settings = model, settings
        plan, parameters = model.plan, model.parameters
        self._runner, self._loss, self._tie = model.runner, model.loss, plan.tie
        self._state: Any = None
        self._slots = np.empty(plan.n_slots, parameters.dtype)
        self._theta = parameters if plan.tie is None else np.empty(plan.n_slots, parameters.dtype)
        self._gradient = self._slots if plan.tie is None else np.empty_like(parameters)
        free = model.trainable
        self._free = None if free.all() else np.flatnonzero(free)
        # Frozen parameters never reach the optimizer: it then works on a vector of the others.
        self._live = parameters if self._free is None else parameters[self._free]
        self._pulled = self._gradient if self._free is None else np.empty_like(self._live)
        self._pull = np.empty((batch_size, len(plan.outputs)), parameters.dtype)
        self._penalty = Penalty.over_weights(model, self._free, settings.l1, settings.l2)
        adds_up = plan.tie is None and self._penalty is None
        self._plain = adds_up and self._free is None and settings.clip_norm is None
        self._fused = fused_gradient(model.runner, model.loss)
        self._move = _fused_step(model, settings) or settings.optimizer.step
        self._seen: set[int] = set()
        self.optimizer_state = settings.optimizer.start(self._live)
        self.count = 0

    def __call__(
        self, batch: Batch, where: Callable[[], str], rows: Callable[[], Array], learning_rate: float
    ) -> float:
        """Learn from one batch; its loss, penalties included.

        ``where()`` and ``rows()``, the batch's row numbers in X, are for the error message.

        Raises
        ------
        NumericalError
            If a NaN or an infinity arose; the parameters are then as before.
        """
        with np.errstate(all="ignore"):
            theta = self._gathered_theta()
            loss, bound = self._loss_and_slots(theta, batch)
            if not math.isfinite(loss):
                raise self._bad_loss(theta, batch, where(), rows(), loss)
            gradient = self._gathered_gradient()
            if self._penalty is not None:
                loss += self._penalty.add_to(gradient, self._live)
                if not math.isfinite(loss):
                    raise self._bad_loss(theta, batch, where(), rows(), loss)
            # a bound that is small says all that is to be known without another reading
            tame = self._plain and bound is not None and bound <= CALM_SQUARE
            square = cast("float", bound) if tame else float(np.dot(gradient, gradient))
            if not math.isfinite(square) and not np.isfinite(gradient).all():
                raise self._bad_gradient(theta, batch, where(), rows(), gradient)
            if self._settings.clip_value is not None or self._settings.clip_norm is not None:
                square = self._clip(gradient, square)
            self._step(gradient, square, where, learning_rate)
        return loss

    def _gathered_theta(self) -> Array:
        parameters = self._model.parameters
        if self._tie is not None:
            np.take(parameters, self._tie, out=self._theta, mode="clip")
        if self._free is not None:  # again in each step: a callback may have written to the network
            np.take(parameters, self._free, out=self._live, mode="clip")
        return self._theta

    def _loss_and_slots(self, theta: Array, batch: Batch) -> tuple[float, float | None]:
        """The loss and, where known, a bound on the squared norm of its derivatives, now in ``_slots``."""
        if self._fused is not None:
            return self._fused(theta, batch.inputs, batch.targets, batch.factor, into=self._slots)
        self._state = self._runner.forward(theta, batch.inputs, reuse=self._state)
        self._outputs = self._state.outputs
        values = self._loss.row_values(self._outputs, batch.targets)
        if len(batch) not in self._seen:
            self._check_plugin("value", values, (len(batch),))
        if batch.equal:
            loss = float(np.add.reduce(values, dtype=np.float64)) / len(batch)
        else:
            loss = float(np.dot(values.astype(np.float64), batch.factor.astype(np.float64)))
        if not math.isfinite(loss):
            return loss, None
        return loss, self._runner.backward(theta, self._state, self._pulled_back(batch), into=self._slots)

    def _bad_loss(self, theta: Array, batch: Batch, where: str, rows: Array, loss: float) -> NumericalError:
        state = self._runner.forward(theta, batch.inputs)
        values = self._loss.row_values(state.outputs, batch.targets)
        return bad_loss(self._model, state, where, rows, loss=loss, row_losses=values)

    def _bad_gradient(
        self, theta: Array, batch: Batch, where: str, rows: Array, gradient: Array
    ) -> NumericalError:
        state = self._runner.forward(theta, batch.inputs)
        self._outputs = state.outputs
        self._runner.backward(theta, state, self._pulled_back(batch), into=np.empty_like(self._slots))
        return bad_gradient(self._model, state, where, rows, self._everywhere(gradient))

    def _pulled_back(self, batch: Batch) -> Array:
        """∂loss/∂outputs, (rows, output units)."""
        pull = self._loss.row_gradients(self._outputs, batch.targets)
        if len(batch) not in self._seen:
            self._check_plugin("gradient", pull, self._outputs.shape)
            self._seen.add(len(batch))
        into = self._pull[: len(batch)]
        np.multiply(pull, batch.factor[:, None], out=into, casting="same_kind")
        return into

    def _check_plugin(self, what: str, values: Any, shape: tuple[int, ...]) -> None:
        if not isinstance(values, np.ndarray) or values.shape != shape:
            got = f"shape {np.shape(values)}"
            raise PluginError(expected(f"{named(self._loss)}: {what}", f"an array of shape {shape}", got))

    def _gathered_gradient(self) -> Array:
        if self._tie is not None:
            self._gradient[:] = 0
            np.add.at(self._gradient, self._tie, self._slots)
        if self._free is not None:
            np.take(self._gradient, self._free, out=self._pulled, mode="clip")
        return self._pulled

    def _clip(self, gradient: Array, square: float) -> float:
        """Clip in place; the square of the norm that is left."""
        if self._settings.clip_value is not None:
            np.clip(gradient, -self._settings.clip_value, self._settings.clip_value, out=gradient)
            square = float(np.dot(gradient, gradient))
        if self._settings.clip_norm is not None:
            square = clip_to_norm(gradient, square, self._settings.clip_norm)
        return square

    def _step(self, gradient: Array, square: float, where: Callable[[], str], learning_rate: float) -> None:
        live, parameters = self._live, self._model.parameters
        if not len(live):
            return
        calm = learning_rate <= CALM_RATE and square <= CALM_SQUARE
        before = None if calm or self._free is not None else parameters.copy()
        self._move(live, gradient, self.optimizer_state, step=self.count + 1, learning_rate=learning_rate)
        if not calm and not np.isfinite(live).all():
            after = self._everywhere(live, parameters)
            if before is not None:
                parameters[:] = before
            raise bad_step(self._model, where(), after, self._settings.optimizer.name)
        self.count += 1
        if self._free is not None:
            parameters[self._free] = live

    def _everywhere(self, free: Array, others: Array | None = None) -> Array:
        """From the optimizer's vector to one entry a parameter; a copy."""
        if self._free is None:
            return free.copy()
        result = np.zeros_like(self._model.parameters) if others is None else others.copy()
        result[self._free] = free
        return result


def _fused_step(model: Model, settings: Settings) -> Callable[..., None] | None:
    """The engine's own form of the optimizer's step, where it has one."""
    engine = engines().get(model.engine)
    return (
        None
        if engine is None
        else engine.fused_step(settings.optimizer, dtype=model.dtype, threads=model.threads)
    )
