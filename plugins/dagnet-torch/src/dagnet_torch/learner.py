"""Training where the tensors are: data, parameters and the optimizer's vectors stay on the device.

A step is that of :class:`dagnet.training.learner.ArrayLearner`.  What leaves the device in a step is the loss
and the gradient's square; parameters come back when they are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from dagnet.arrays import Array
from dagnet.contracts import Learner, NotFinite
from dagnet.hashing import step_key
from dagnet.training.learner import CALM_RATE, CALM_SQUARE
from dagnet_torch.batches import Batches
from dagnet_torch.functions import Scatter
from dagnet_torch.losses import judge_of
from dagnet_torch.memory import check_room
from dagnet_torch.penalties import Penalty
from dagnet_torch.runner import array_of
from dagnet_torch.walks import Walk


class TorchLearner(Learner):
    """Learns from batches on the device of a network's runner."""

    def __init__(self, model: Any, data: Any, settings: Any) -> None:
        self._settings, self._draws = settings, model.plan.trains_otherwise
        runner = self._runner = model.training_runner if self._draws else model.runner
        place = self._place = runner.place
        layout, n = model.layout, model.plan.n_parameters
        size = min(settings.batch_size + 1, len(data))
        self._rule = place.written(settings.optimizer.formula, settings.optimizer.settings())
        check_room(runner.program, size, Batches.numbers(data), self._rule.makes)
        self._vector = place.tensor(model.vector).clone()
        self._parameters = self._vector[:n]
        self._batches = Batches(data, place)
        self._judge = judge_of(model.objective, data, place)
        self._walks: dict[int, Walk] = {}
        self._slots = None if layout.is_direct else _Slots(layout, place)
        free = layout.trainable
        self._free = None if free.all() else place.index(np.flatnonzero(free))
        own = model.topology.edge_words.keys() & {"l1", "l2"}
        penalized = settings.l1 or settings.l2 or own
        self._penalty = Penalty(layout, free, settings, place) if penalized else None
        self._limits = None
        if layout.limits is not None:
            self._limits = [place.tensor(limit[free]) for limit in layout.limits_in(model.dtype)]
        self._moments = None if layout.normalized is None else _Moments(layout.normalized, place)
        start = settings.optimizer.start(np.asarray(model.parameters)[free])
        self._state = {name: place.tensor(vector).clone() for name, vector in start.items()}

    def step(
        self, rows: Array | slice, learning_rate: float, on_gradient: Callable[[Array], None] | None = None
    ) -> float:
        """See :class:`dagnet.contracts.Learner`."""
        with self._runner.alone():
            batch = self._batches.of(rows)
            walk = self._walk(len(batch.inputs))
            walk.key, walk.weights = step_key(self.masks, self.steps), batch.shares
            walk.load(self._theta(), batch.inputs)
            loss, pull = self._judge(walk.forward().T, batch)
            slots = walk.backward(pull.T)
            gradient = slots if self._slots is None else self._slots.collected(slots)
            if on_gradient is not None:
                if not math.isfinite(float(loss)):
                    raise NotFinite("loss", float(loss))
                gradient = self._shown(gradient, on_gradient)
            live = self._parameters if self._free is None else self._parameters[self._free]
            pulled = gradient if self._free is None else gradient[self._free]
            return self._learned(walk, batch, (loss, live, pulled), learning_rate)

    def _learned(self, walk: Walk, batch: Any, found: Any, learning_rate: float) -> float:
        """Check loss, gradient and moments, and move; the loss."""
        loss, live, pulled = found
        if self._penalty is not None:
            penalty, more = self._penalty(live)
            loss, pulled = loss + penalty, pulled + more
        wide = pulled.double()
        value, square = torch.stack([loss.double(), torch.dot(wide, wide)]).tolist()
        if not math.isfinite(value):
            raise NotFinite("loss", value)
        if self._moments is not None and self._draws and not self._moments.finite(walk):
            raise NotFinite("moments", array_of(walk.variance.to(self._place.dtype)))
        if not math.isfinite(square) and not bool(torch.isfinite(pulled).all()):
            raise NotFinite(
                "gradient", array_of(self._everywhere(pulled, torch.zeros_like(self._parameters)))
            )
        pulled, square = self._clipped(pulled, square)
        self._move(live, pulled, square, learning_rate)
        if self._moments is not None and self._draws:
            self._moments.keep(self._vector, walk, batch.rest)
        return value

    def _walk(self, rows: int) -> Walk:
        if rows not in self._walks:
            self._walks[rows] = self._runner.walk(rows)
        return self._walks[rows]

    def _theta(self) -> Any:
        return self._parameters if self._slots is None else self._slots.spread(self._parameters)

    def _shown(self, gradient: Any, on_gradient: Callable[[Array], None]) -> Any:
        flat = array_of(gradient)
        on_gradient(flat)
        return self._place.tensor(flat)

    def _clipped(self, gradient: Any, square: float) -> tuple[Any, float]:
        """The gradient clipped, and its square then."""
        value, limit = self._settings.clip_value, self._settings.clip_norm
        if value is not None:
            gradient = gradient.clamp(-value, value)
            square = float(torch.dot(gradient.double(), gradient.double()))
        if limit is not None and math.sqrt(square) > limit:
            return gradient * (limit / math.sqrt(square)), limit**2
        return gradient, square

    def _move(self, live: Any, gradient: Any, square: float, learning_rate: float) -> None:
        """One step of the optimizer's rule; nothing is kept of one that leads to NaN or infinity."""
        if not len(live):
            return
        vectors = [self._state[name] for name in self._settings.optimizer.state_names]
        found = self._rule.results(live, gradient, *vectors, step=self.steps + 1, learning_rate=learning_rate)
        new = found[0].expand_as(live)
        calm = learning_rate <= CALM_RATE and square <= CALM_SQUARE
        if not calm and not bool(torch.isfinite(new).all()):
            raise NotFinite("parameters", array_of(self._everywhere(new, self._parameters.clone())))
        for vector, now in zip(vectors, found[1:], strict=True):
            vector.copy_(now)
        if self._limits is not None:
            new = torch.minimum(torch.maximum(new, self._limits[0]), self._limits[1])
        self._everywhere(new, self._parameters)
        self.steps += 1

    def _everywhere(self, free: Any, result: Any) -> Any:
        """From the optimizer's vector to one entry a parameter, written over ``result``."""
        return result.copy_(free) if self._free is None else result.index_copy_(0, self._free, free)

    def parts(self) -> Any:
        """Of the heads, in the last step: :class:`dagnet.model.heads.Parts`."""
        return self._judge.parts

    def parameters(self) -> Array:
        """A copy, brought back from the device."""
        return array_of(self._vector)

    def state(self) -> Mapping[str, Array]:
        """Copies of the optimizer's vectors, of the parameters that are not frozen."""
        return {name: array_of(vector) for name, vector in self._state.items()}

    def restore(self, parameters: Array, state: Mapping[str, Array], steps: int) -> None:
        """See :class:`dagnet.contracts.Learner`."""
        with torch.inference_mode():
            self._vector.copy_(self._place.tensor(parameters))
            for name, vector in state.items():
                self._state[name].copy_(self._place.tensor(vector))
        self.steps = steps


class _Slots:
    """Between parameters and slots, where some are shared or multiplied by a factor."""

    def __init__(self, layout: Any, place: Any) -> None:
        self._owners, self._scatter = place.index(layout.owners), Scatter(layout.owners, place)
        self._factor = None if layout.factor is None else place.tensor(layout.factor)
        self._n = layout.plan.n_parameters

    def spread(self, parameters: Any) -> Any:
        """(slots,) factor · parameter."""
        slots = parameters.index_select(0, self._owners)
        return slots if self._factor is None else slots * self._factor

    def collected(self, slots: Any) -> Any:
        """(parameters,) derivatives from those by slot."""
        weighted = slots if self._factor is None else slots * self._factor
        found = weighted.new_zeros(self._n, 1)
        self._scatter.add(found, weighted[:, None])
        return found[:, 0]


class _Moments:
    """The running statistics of what is normalised over rows."""

    def __init__(self, normalized: Any, place: Any) -> None:
        self._units, self._place = place.index(normalized.units), place
        self._places = place.index(normalized.mean), place.index(normalized.variance)
        self._momentum = torch.tensor(normalized.momentum, dtype=torch.float64, device=place.device)

    def finite(self, walk: Walk) -> bool:
        """Whether the variances of a batch are finite in the network's type."""
        return bool(torch.isfinite(walk.variance[self._units].to(self._place.dtype)).all())

    def keep(self, vector: Any, walk: Walk, rest: float) -> None:
        """Move them towards a batch's; ``rest`` is 1 − Σp²."""
        if rest <= 0:
            return
        new = walk.mean[self._units], walk.variance[self._units] / rest
        for places, moments in zip(self._places, new, strict=True):
            old = vector[places]
            vector[places] = old + (self._momentum * (moments - old)).to(vector.dtype)
