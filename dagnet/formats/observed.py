"""What rows of data do in a network: one forward and one backward pass, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.model import Model
from dagnet.model.averaging import mean_loss, output_gradient
from dagnet.model.selection import prepare

Array = NDArray[Any]
BLOCK = 1 << 22  # values of units and rows held at a time


@dataclass(frozen=True, eq=False)
class Observed:
    """Sums and means over all rows, and the rows that are kept one by one.

    Attributes
    ----------
    rows
        How many rows there were.
    mean_value, mean_pre_activation
        (units,)
    loss
        The mean loss, None without targets.
    delta_sum
        (units,) sum over the rows of ∂(mean loss)/∂z.
    gradient
        (parameters,) derivative of the mean loss, also for what is frozen.
    """

    rows: int
    mean_value: Array
    mean_pre_activation: Array
    loss: float | None = None
    delta_sum: Array | None = None
    gradient: Array | None = None


@np.errstate(all="ignore")
def observe(model: Model, X: Any, y: Any = None) -> Observed:
    """Run rows forward and, with targets, backward.

    Raises
    ------
    DataError
        For rows or targets that do not fit.
    """
    inputs = model.encode_inputs(X)
    n = len(inputs)
    plan = model.plan
    everything = np.arange(plan.n_units)
    if y is None:
        value, before = np.zeros(plan.n_units), np.zeros(plan.n_units)
        for block in _blocks(model, n):
            state = model.runner.forward(model.theta(), inputs[block])
            value += state.value(everything).sum(axis=1, dtype=np.float64)
            before += state.pre_activation(everything).sum(axis=1, dtype=np.float64)
        return Observed(n, value / n, before / n)
    return _with_targets(model, inputs, model.encode_targets(y, n))


def _with_targets(model: Model, inputs: Array, targets: Array) -> Observed:
    n, runner, plan = len(inputs), full_runner(model), model.plan
    everything, theta = np.arange(plan.n_units), model.theta()
    sums = np.zeros((3, plan.n_units))
    slots, loss = np.zeros(plan.n_slots), 0.0
    for block in _blocks(model, n):
        share = (block.stop - block.start) / n
        state = runner.forward(theta, inputs[block])
        loss += share * mean_loss(model.loss, state.outputs, targets[block], None)
        pull = output_gradient(model.loss, state.outputs, targets[block], None) * share
        into = np.zeros(plan.n_slots, model.dtype)
        runner.backward(theta, state, pull.astype(model.dtype), into=into)
        slots += into
        for row, part in enumerate((state.value, state.pre_activation, state.delta)):
            sums[row] += part(everything).sum(axis=1, dtype=np.float64)
    gradient = model.collect(slots)
    return Observed(n, sums[0] / n, sums[1] / n, loss, sums[2], gradient)


def full_runner(model: Model) -> Any:
    """A runner whose reverse walk enters every unit and finds every derivative, frozen ones too."""
    return prepare(model.engine, model.plan.everywhere(), model.dtype, model.threads)[1]


def _blocks(model: Model, n: int) -> Iterator[slice]:
    """Blocks of rows that fit into memory; all at once where the loss couples rows."""
    step = n if not model.loss.rowwise else max(1, BLOCK // max(model.plan.n_units, 1))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))
