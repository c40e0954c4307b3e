"""One step: forward, loss, backward, penalties, clipping, and the optimizer's move.

All memory that grows with the network is taken once.  The checks for NaN cost one number for the
loss and, for the gradient, a bound that the engine has at hand or one pass; the search for a
culprit begins after one has failed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.model import Model
from dagnet.registry import engines
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

    def __init__(self, model: Model, settings: Settings) -> None:
        self._model, self._settings = model, settings
        plan, parameters = model.plan, model.parameters
        self._layout = model.layout
        shared = model.layout.shares
        self._loss_gradient = model.runner.fused_gradient(model.loss)
        self._slots = np.empty(plan.n_slots, parameters.dtype)
        self._theta = np.empty(plan.n_slots, parameters.dtype) if shared else parameters
        self._gradient = np.empty_like(parameters) if shared else self._slots
        free = model.trainable
        self._free = None if free.all() else np.flatnonzero(free)
        # Frozen parameters never reach the optimizer: it then works on a vector of the others.
        self._live = parameters if self._free is None else parameters[self._free]
        self._pulled = self._gradient if self._free is None else np.empty_like(self._live)
        self._penalty = Penalty.over_weights(model, self._free, settings.l1, settings.l2)
        # the engine's bound is one on what it wrote: not on sums of it, and no norm to clip by
        self._bounded = not shared and self._penalty is None and settings.clip_norm is None
        self._move = _fused_step(model, settings) or settings.optimizer.step
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
            loss, bound = self._loss_gradient(
                theta, batch.inputs, batch.targets, batch.factor, into=self._slots
            )
            if not math.isfinite(loss):
                raise bad_loss(self._model, batch, where(), rows(), loss)
            gradient = self._gathered_gradient()
            if self._penalty is not None:
                loss += self._penalty.add_to(gradient, self._live)
                if not math.isfinite(loss):
                    raise bad_loss(self._model, batch, where(), rows(), loss)
            square = bound if self._bounded else None
            if square is None or not square <= CALM_SQUARE:  # a small one needs no reading, NaN does
                square = float(np.dot(gradient, gradient))
                if not math.isfinite(square) and not np.isfinite(gradient).all():
                    raise bad_gradient(self._model, batch, where(), rows(), self._everywhere(gradient))
            if self._settings.clip_value is not None or self._settings.clip_norm is not None:
                square = self._clip(gradient, square)
            self._step(gradient, square, where, learning_rate)
        return loss

    def _gathered_theta(self) -> Array:
        parameters = self._model.parameters
        theta = self._layout.by_slot(parameters, out=self._theta)
        if self._free is not None:  # again in each step: a callback may have written to the network
            np.take(parameters, self._free, out=self._live, mode="clip")
        return theta

    def _gathered_gradient(self) -> Array:
        self._layout.by_parameter(self._slots, out=self._gradient)
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
