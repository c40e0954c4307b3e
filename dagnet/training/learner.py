"""Learning in NumPy's arrays: forward, loss, backward, penalties, clipping, and the optimizer's move.

All memory that grows with the network is taken once.  The checks for NaN cost one number for the
loss and, for the gradient, a bound that the engine has at hand or one pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Draw, Learner, NotFinite, Steps
from dagnet.hashing import step_key
from dagnet.model import Layout, Model
from dagnet.registry import find_engine
from dagnet.training.rows import Batch, Rows
from dagnet.training.settings import Settings

CALM_RATE = 10.0
CALM_SQUARE = 1e12
"""With a learning rate and a squared gradient norm below these, a step cannot overflow."""


class ArrayLearner(Learner):
    """Works on the network's own vector, which a callback may write to between steps."""

    def __init__(self, model: Model, data: Rows, settings: Settings) -> None:
        self._settings, self._data, self._layout = settings, data, model.layout
        self._parameters, self._vector = parameters, _ = model.parameters, model.vector
        self._draws = model.layout.plan.trains_otherwise
        runner = model.training_runner if self._draws else model.runner
        make = partial(model.objective.gradient_of, runner, gaps=data.gaps is not None)
        group = settings.distributed
        shared_gradient: Any = None if group is None else group.gradient(model, make)
        self._loss_gradient = make() if group is None else shared_gradient
        self._own = None if group is None else shared_gradient.own
        self._batch = partial(data.batch, own=self._own, compressed=self._loss_gradient.reads_compressed)
        shared, free = not model.layout.is_direct, model.layout.trainable
        self._slots = np.empty(model.layout.plan.n_slots, parameters.dtype)
        self._theta = np.empty_like(self._slots) if shared else parameters
        self._gradient = np.empty_like(parameters) if shared else self._slots
        self._into = self._slots if group is None else self._gradient
        self._free = None if np.count_nonzero(free) == len(free) else np.flatnonzero(free)
        # Frozen parameters never reach the optimizer: it then works on a vector of the others.
        self._live = parameters if self._free is None else parameters[self._free]
        self._pulled = self._gradient if self._free is None else np.empty_like(self._live)
        l1, l2 = settings.l1, settings.l2
        own = model.topology.edge_words.keys() & {"l1", "l2"}
        self._penalty = Penalty(model, self._free, l1, l2) if l1 or l2 or own else None
        # the engine's bound is one on what it wrote: not on sums of it, and no norm to clip by
        self._bounded = not shared and self._penalty is None and settings.clip_norm is None
        self._clips = settings.clip_value is not None or settings.clip_norm is not None
        step, self._searches = settings.optimizer.step, settings.optimizer.searches
        self._move: Callable[..., None] = partial(step, evaluate=self._evaluate) if self._searches else step
        engine = find_engine(model.engine)
        form = engine.fused_step(settings.optimizer, dtype=model.dtype, threads=model.threads)
        self._move = form or self._move
        self._limits = None
        if model.layout.limits is not None:
            self._limits = [limit[free] for limit in model.layout.limits_in(model.dtype)]
        self._state = settings.optimizer.start(self._live)
        self._many = self._steps_at_once()
        self.takes_several = self._many is not None
        self._known: tuple[Array, float, Array] | None = None
        self._parts: Any = None

    @cached_property
    def _room(self) -> Any:
        return self._data.room_for(self._settings.batch_size + 1)  # a lone row may join them

    def step(
        self, rows: Array | slice, learning_rate: float, on_gradient: Callable[[Array], None] | None = None
    ) -> float:
        """See :class:`dagnet.contracts.Learner`."""
        with np.errstate(all="ignore"):
            if self._free is not None:  # again in each step: a callback may have written to the network
                np.take(self._parameters, self._free, out=self._live, mode="clip")
            if self._searches:
                (loss, gradient), bound = self._evaluate(self._live), None
            else:
                theta = self._layout.by_slot(self._parameters, out=self._theta)
                batch = self._batch(rows, self._room)
                loss, bound = self._run(theta, batch)
                if not math.isfinite(loss):
                    raise NotFinite("loss", loss)
                gradient = self._gathered_gradient(on_gradient)
                if self._penalty is not None:
                    loss += self._penalty.add_to(gradient, self._live)
            self._parts = getattr(self._loss_gradient, "parts", None)
            if not math.isfinite(loss):
                raise NotFinite("loss", loss)
            self._refuse_moments()
            square = bound if self._bounded and on_gradient is None else None
            if square is None or not square <= CALM_SQUARE:  # a small one needs no reading, NaN does
                square = float(np.dot(gradient, gradient))
                if not math.isfinite(square) and not np.isfinite(gradient).all():
                    raise NotFinite("gradient", self._everywhere(gradient, np.zeros_like(self._parameters)))
            if self._clips:
                square = self._clipped(gradient, square)
            self._step(gradient, square, learning_rate)
            if self._layout.normalized is not None and self._loss_gradient.draw is not None:
                self._layout.normalized.keep(self._vector, self._loss_gradient.draw)
        return loss

    def _steps_at_once(self) -> Steps | None:
        """Where a step is a pass and a move and nothing else, the engine's way to make several."""
        data = self._data
        plain = (
            data.whole
            and self._free is None
            and self._own is None
            and self._bounded
            and not (self._clips or self._searches or self._draws)
            and self._limits is None
            and data.weights is None
            and data.gaps is None
            and isinstance(data.inputs, np.ndarray)
        )
        size = min(self._settings.batch_size, len(data))
        return self._loss_gradient.stepping(self._move, data.inputs, data.targets, size) if plain else None

    def several(self, rows: Array, starts: Array, batches: tuple[int, int], learning_rate: float) -> Array:
        """See :class:`dagnet.contracts.Learner`."""
        if self._many is None or not learning_rate <= CALM_RATE:
            return np.zeros(0)
        pace = self.steps + 1, learning_rate, CALM_SQUARE
        losses = self._many(self._parameters, self._state, (rows, starts, *batches), pace)
        self.steps += len(losses)
        return losses

    def _refuse_moments(self) -> None:
        """Raise where the variance of a batch is not finite in the network's dtype."""
        if self._layout.normalized is None or self._loss_gradient.draw is None:
            return
        variance = self._loss_gradient.draw.variance.astype(self._vector.dtype)
        if not np.isfinite(variance[self._layout.normalized.units]).all():
            raise NotFinite("moments", variance)

    def parts(self) -> Any:
        """Of the heads, in the last step: :class:`dagnet.model.heads.Parts`."""
        return self._parts

    def _run(self, theta: Array, batch: Batch) -> tuple[float, float | None]:
        """Loss and gradient of a batch by slot, as training takes them."""
        if self._draws:
            self._loss_gradient.draw = Draw(step_key(self.masks, self.steps), batch.shares())
        return self._loss_gradient(theta, *batch, into=self._into)

    def _evaluate(self, live: Array) -> tuple[float, Array]:
        """Loss and gradient over all rows in their own order, with penalties; the last are remembered."""
        parameters = self._everywhere(live, self._parameters.copy())
        if self._known is None or not np.array_equal(self._known[0], parameters):
            every = slice(0, len(self._data))
            theta, batch = self._layout.by_slot(parameters), self._batch(every)
            loss, _ = self._run(theta, batch)
            gradient = self._gathered_gradient(None).copy()
            if self._penalty is not None:
                loss += self._penalty.add_to(gradient, live)
            self._known = (parameters, loss, gradient)
        return self._known[1:]

    def parameters(self) -> Array:
        """The network's own vector."""
        return self._vector

    def state(self) -> Mapping[str, Array]:
        """The optimizer's own vectors, of the parameters that are not frozen."""
        return self._state

    def restore(self, parameters: Array, state: Mapping[str, Array], steps: int) -> None:
        """Write over both."""
        self._vector[:] = parameters
        for name, vector in state.items():
            self._state[name][...] = vector
        self.steps = steps

    def _gathered_gradient(self, on_gradient: Callable[[Array], None] | None) -> Array:
        flat = self._gradient
        if self._own is None:
            flat = self._layout.by_parameter(self._slots, out=flat)
        if on_gradient is not None:
            on_gradient(flat)
        return flat if self._free is None else np.take(flat, self._free, out=self._pulled, mode="clip")

    def _clipped(self, gradient: Array, square: float) -> float:
        """Clip in place; the square of the norm that is left."""
        if self._settings.clip_value is not None:
            np.clip(gradient, -self._settings.clip_value, self._settings.clip_value, out=gradient)
            square = float(np.dot(gradient, gradient))
        if self._settings.clip_norm is not None:
            square = clip_to_norm(gradient, square, self._settings.clip_norm)
        return square

    def _step(self, gradient: Array, square: float, learning_rate: float) -> None:
        live, parameters = self._live, self._parameters
        if not len(live):
            return
        calm = learning_rate <= CALM_RATE and square <= CALM_SQUARE
        before = None if calm or self._free is not None else parameters.copy()
        self._move(live, gradient, self._state, step=self.steps + 1, learning_rate=learning_rate)
        if not calm and not np.isfinite(live).all():
            after = self._everywhere(live, parameters.copy())
            if before is not None:
                parameters[:] = before
            raise NotFinite("parameters", after)
        self.steps += 1
        if self._limits is not None:
            np.clip(live, *self._limits, out=live)
        if self._free is not None:
            parameters[self._free] = live

    def _everywhere(self, free: Array, result: Array) -> Array:
        """From the optimizer's vector to one entry a parameter, written over ``result``."""
        result[slice(None) if self._free is None else self._free] = free
        return result


class Penalty:
    """l1·Σ|w| + l2·Σw² over the weights among the parameters ``free`` (None: all), a shared one once.

    Of a shared one whose edges have different factors the mean over its edges counts; where edges say
    ``l1`` or ``l2`` themselves, theirs add up over the edges of a weight, in place of the run's.
    """

    def __init__(self, model: Model, free: Array | None, l1: float, l2: float) -> None:
        def chosen(rate: float, word: str, power: int) -> tuple[float, Array]:
            rate, by_parameter = penalties(model.layout, rate, word, power)
            by_parameter = by_parameter.astype(model.dtype)
            return rate, by_parameter if free is None else by_parameter[free]

        (self._l1, self._of_l1), (self._l2, self._of_l2) = chosen(l1, "l1", 1), chosen(l2, "l2", 2)
        self._weights, self._work = np.empty_like(self._of_l1), np.empty_like(self._of_l1)

    def add_to(self, gradient: Array, live: Array) -> float:
        """Add the penalty's derivative to ``gradient``; the penalty."""
        weights, work, value = self._weights, self._work, 0.0
        if self._l2:
            np.multiply(live, self._of_l2, out=weights)
            np.multiply(weights, 2 * self._l2, out=work)
            gradient += work
            value += float(np.dot(work, live)) / 2
        if self._l1:
            np.abs(live, out=work)
            work *= self._of_l1
            value += self._l1 * float(work.sum(dtype=np.float64))
            np.sign(live, out=work)
            work *= self._of_l1
            work *= self._l1
            gradient += work
        return value


def penalties(layout: Layout, rate: float, word: str, power: int) -> tuple[float, Array]:
    """A rate, and (parameters,) what to multiply it by: 0 or 1 where no edge says a factor or the word."""
    topology, n = layout.topology, layout.plan.n_parameters
    factor, own = layout.element_factor, topology.edge_words.get(word)
    result, size = np.zeros(n), 1.0 if factor is None else np.abs(factor) ** power
    result[layout.weights] = 1
    if factor is not None:
        counts = np.bincount(layout.weights, minlength=n)
        result = np.bincount(layout.weights, size, n) / np.maximum(counts, 1)
    if own is None:
        return rate, result
    result *= rate
    each = np.repeat(own, np.diff(topology.weight_starts))
    said = ~np.isnan(each)
    sums = np.bincount(layout.weights[said], (each * size)[said], n)
    places = layout.weights[said]
    result[places] = sums[places]
    return 1.0, result


def clip_to_norm(gradient: Array, square: float, limit: float) -> float:
    """Shorten the gradient to the norm ``limit``, in place; the square of its norm then.

    ``square`` is its squared norm as a dot product gave it, perhaps overflown.
    """
    norm = math.sqrt(square) if math.isfinite(square) else _safe_norm(gradient)
    if norm <= limit:
        return square
    gradient *= limit / norm
    return limit**2


def _safe_norm(gradient: Array) -> float:
    largest = float(np.abs(gradient).max())
    scaled = gradient.astype(np.float64) / largest
    return largest * math.sqrt(float(np.dot(scaled, scaled)))
