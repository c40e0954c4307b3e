"""The loss that training takes of a batch, its gradient, and its central differences."""

from __future__ import annotations

from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Draw
from dagnet.hashing import step_key
from dagnet.model import Model
from dagnet.model.data import Encoded
from dagnet.model.differences import Differences, kinks_of
from dagnet.model.heads import row_weights
from dagnet.plan import Plan, training_plan
from dagnet.registry import engines


class TrainingBatch:
    """Rows as one batch: normalised by their own moments, with dropout by masks of a seed."""

    def __init__(self, net: Model, data: Encoded, seed: int) -> None:
        self.net, self.data, self.plan = net, data, net.layout.plan
        one = data.weights if data.weights is None or data.weights.ndim == 1 else data.weights.sum(axis=1)
        self.weights = row_weights(one, len(data.inputs), net.dtype)
        self.key = step_key(seed, 0)

    def _runner(self, engine: str, plan: Plan) -> Any:
        net = self.net
        return engines()[engine].prepare(training_plan(plan), dtype=net.dtype, threads=net.threads)

    def _draw(self) -> Draw | None:
        return Draw(self.key, self.weights) if self.plan.trains_otherwise else None

    def gradient(self, asked: Array) -> dict[str, Any]:
        """``loss``, and ``flat`` of the parameters asked for, by the network's engine."""
        net, slots = self.net, np.zeros(self.plan.n_slots, self.net.dtype)
        plan = self.plan.restrict(parameters=asked[net.layout.owners])
        runner, one = self._runner(net.engine, plan), net.objective.one
        theta, (inputs, targets, weights) = net.layout.by_slot(net.parameters), self.data
        if one is not None and not np.isnan(targets).any():
            walk = runner.fused_gradient(one)
            walk.draw = self._draw()
            loss, _ = walk(theta, inputs, targets, self.weights, into=slots)
        else:
            state = runner.forward(theta, inputs, draw=self._draw())
            loss = net.objective.mean(state.outputs, targets, weights)
            pull = net.objective.pull(state.outputs, targets, weights)
            runner.backward(theta, state, np.ascontiguousarray(pull, net.dtype), into=slots)
        return {"loss": loss, "flat": np.where(asked, net.layout.by_parameter(slots), 0)}

    def differences(self, places: Array, steps: Array) -> Differences:
        """As :meth:`dagnet.model.Model.differences`, by the reference engine."""
        runner, kinks = self._runner("reference", self.plan), kinks_of(self.plan)[:, None]
        parameters, everything = self.net.parameters.copy(), np.arange(self.plan.n_units)
        quotients, on_kinks = np.zeros(len(places)), np.zeros(len(places), bool)
        for member, (place, step) in enumerate(zip(places.tolist(), steps.tolist(), strict=True)):
            here, losses, z = parameters[place], [], []
            points = here + step, here - step
            for point in points:
                parameters[place] = point
                theta, draw = self.net.layout.by_slot(parameters), self._draw()
                state = runner.forward(theta, self.data.inputs, draw=draw)
                losses.append(self.net.objective.mean(state.outputs, *self.data[1:]))
                z.append(state.pre_activation(everything)[..., None])
            parameters[place] = here
            quotients[member] = (losses[0] - losses[1]) / (points[0] - points[1])
            parted = ((z[0] > kinks) != (z[1] > kinks)) | (z[0] == kinks) | (z[1] == kinks)
            on_kinks[member] = (parted & (z[0] != z[1])).any()
        return Differences(quotients, np.full(len(places), self.plan.n_units), on_kinks)
