"""The runner: NumPy's arrays in and out, a walk on tensors between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from dagnet.arrays import Array
from dagnet.contracts import Draw, Learner, Loss, LossGradient, Runner, State, ThreeCalls
from dagnet.plan import Plan
from dagnet_torch.functions import Place
from dagnet_torch.losses import FormulaLoss
from dagnet_torch.memory import ran_out
from dagnet_torch.walks import Program, Walk

DTYPES = {"float64": torch.float64, "float32": torch.float32}


class TorchState(State):
    """What a walk left; results are copies."""

    def __init__(self, walk: Walk, outputs: Any) -> None:
        self.walk, self._outputs = walk, outputs

    @property
    def outputs(self) -> Array:
        """Values of the output units, (rows, output units)."""
        return array_of(self._outputs.T)

    def value(self, units: Array) -> Array:
        """Values a of some units, (units, rows)."""
        return self._read(self.walk.a, units)

    def pre_activation(self, units: Array) -> Array:
        """Pre-activations z of some units, (units, rows)."""
        return self._read(self.walk.z, units)

    def delta(self, units: Array) -> Array:
        """∂loss/∂z of some units after a backward pass, (units, rows)."""
        return self._read(self.walk.d, units)

    def _read(self, tensor: Any, units: Array) -> Array:
        return array_of(tensor[self.walk.program.place.index(np.arange(len(tensor))[units])])


class TorchRunner(Runner):
    """A plan on one device.

    ``threads`` is how many the operations on a processor may use; PyTorch has one setting for all of a
    process, which is changed while a call runs and put back.
    """

    def __init__(self, plan: Plan, dtype: Any, threads: int, *, device: str, fuse: bool) -> None:
        self.plan, self.dtype, self.threads = plan, np.dtype(dtype), threads
        self.place = Place(DTYPES[self.dtype.name], torch.device(device), fuse)
        self.program = Program(plan, self.place)

    def forward(
        self, theta: Array, inputs: Array, *, keep: bool = True, reuse: Any = None, draw: Draw | None = None
    ) -> TorchState:
        """See :class:`dagnet.contracts.Runner`."""
        del keep
        with self.alone():
            walk = (
                reuse.walk if reuse is not None and reuse.walk.rows == len(inputs) else self.walk(len(inputs))
            )
            if draw is not None:
                walk.key, walk.first, walk.whole = draw.key, draw.first, draw.whole
                walk.weights = self.place.tensor(draw.weights)
            walk.load(self.place.tensor(theta), self.place.tensor(inputs))
            state = TorchState(walk, walk.forward())
            if draw is not None and self.plan.normalizations:
                draw.mean, draw.variance = array_of(walk.mean), array_of(walk.variance)
            elif draw is not None:
                draw.mean, draw.variance = np.zeros((2, self.plan.n_units))
        return state

    def backward(self, theta: Array, state: TorchState, output_gradient: Array, *, into: Array) -> None:
        """See :class:`dagnet.contracts.Runner`."""
        del theta  # the walk has it
        with self.alone():
            torch.from_numpy(into).copy_(state.walk.backward(self.place.tensor(output_gradient).T))

    def fused_gradient(self, loss: Loss) -> LossGradient:
        """Forward, loss and backward on the device, where the loss has a formula."""
        return ThreeCalls(self, loss) if loss.formula is None else OneCall(self, loss)

    def learner(self, model: Any, data: Any, settings: Any) -> Learner | None:
        """A learner whose numbers stay on the device, where the optimizer's rule has a formula."""
        from dagnet_torch.learner import TorchLearner  # noqa: PLC0415 - it needs this module

        if settings.optimizer.formula is None:
            return None
        return TorchLearner(model, data, settings)

    def walk(self, rows: int) -> Walk:
        """Memory for so many rows."""
        return Walk(self.program, rows)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Without autograd, on as many threads as were asked for."""
        before = torch.get_num_threads()
        try:
            with torch.inference_mode():
                if before != self.threads:
                    torch.set_num_threads(self.threads)
                yield
        except torch.OutOfMemoryError as error:
            raise ran_out(self.place, error) from error
        finally:
            if before != self.threads:
                torch.set_num_threads(before)


class OneCall(LossGradient):
    """Forward, the loss by its formula, and backward, in memory that is used again."""

    def __init__(self, runner: TorchRunner, loss: Loss) -> None:
        self._runner, self._walk = runner, None
        self._loss = FormulaLoss(loss, runner.place)

    def __call__(
        self, theta: Array, inputs: Array, targets: Array, factor: Array, *, into: Array
    ) -> tuple[float, float | None]:
        """See :class:`dagnet.contracts.LossGradient`."""
        runner, place, walk = self._runner, self._runner.place, self._walk
        with runner.alone():
            if walk is None or walk.rows != len(inputs):
                walk = self._walk = runner.walk(len(inputs))
            if self.draw is not None:
                walk.key, walk.first, walk.whole = self.draw.key, self.draw.first, self.draw.whole
                walk.weights = place.tensor(self.draw.weights)
            walk.load(place.tensor(theta), place.tensor(inputs))
            outputs = walk.forward()
            loss, pull = self._loss(outputs.T, place.tensor(targets), place.tensor(factor))
            if self.draw is not None and runner.plan.normalizations:
                self.draw.mean, self.draw.variance = array_of(walk.mean), array_of(walk.variance)
            elif self.draw is not None:
                self.draw.mean, self.draw.variance = np.zeros((2, runner.plan.n_units))
            torch.from_numpy(into).copy_(walk.backward(pull.T))
        return float(loss), None


def array_of(tensor: Any) -> Array:
    """A copy as an array of NumPy."""
    found: Array = tensor.detach().to("cpu", copy=True).contiguous().numpy()
    return found
