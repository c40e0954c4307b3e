"""Where a NaN, an infinity or an error arose: looked for only once a batch has failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Activation, NotFinite
from dagnet.errors import NumericalError, shorten
from dagnet.model import Model, Objective, ParameterNames
from dagnet.plan import ACTIVATE
from dagnet.registry import engines, named
from dagnet.training.rows import Batch, Rows

Reading = Callable[[Array], Array]
CHUNK_UNITS = 4096
KEPT = "the parameters are those before this batch"
MEND = "try a smaller learning_rate, clip_norm=1.0, or inputs of mean 0 and variance 1"


def explained(
    bad: NotFinite, model: Model, data: Rows, rows: Array | slice, where: str, optimizer: str
) -> NumericalError:
    """The first node and row, or the first parameter, where something is not finite.

    ``rows`` are the batch's row numbers in X.
    """
    with np.errstate(all="ignore"):
        if bad.what == "loss":
            what = _bad_loss(model, data.batch(rows), _numbers(rows), bad.value)
        elif bad.what == "gradient":
            what = _bad_gradient(model, data.batch(rows), _numbers(rows), bad.value)
        elif bad.what == "moments":
            unit = int(np.flatnonzero(~np.isfinite(bad.value))[0])
            what = f"the variance over the batch at node {_node(model, unit)} became {bad.value[unit]}"
        else:
            place, name = _first_bad_parameter(model, bad.value)
            what = f"a step of {optimizer} made {name} {bad.value[place]}"
    return NumericalError(f"{where}: {what}; {KEPT}; {MEND}")


def _numbers(rows: Array | slice) -> Array:
    return np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows


def _bad_loss(model: Model, batch: Batch, rows: Array, loss: float) -> str:
    """The first node, in topological order, and its first row that are not finite."""
    state = model.runner.forward(model.layout.theta(model.vector), batch.inputs)
    found = _first_bad(np.arange(model.plan.n_units), state.pre_activation, state.value)
    if found is not None:
        unit, row, z, a = found
        sums = f"{_activation(model, unit)} at z = {z:g}" if np.isfinite(z) else f"its pre-activation is {z}"
        return f"node {_node(model, unit)} became {a} in row {rows[row]} of X ({sums}){_origin(model)}"
    for head, units, columns in model.objective.each():
        row_losses = head.loss.row_values(state.outputs[:, units], batch.targets[:, columns])
        bad = np.flatnonzero(~np.isfinite(row_losses) & ~np.isnan(batch.targets[:, columns]).any(axis=1))
        if len(bad):
            row, nodes = int(bad[0]), shorten(head.nodes if len(head.nodes) > 1 else head.nodes[0])
            return f"the {named(head.loss)} at node {nodes} became {row_losses[row]} in row {rows[row]} of X"
    return f"the loss, penalties included, became {loss}"


def _bad_gradient(model: Model, batch: Batch, rows: Array, gradient: Array) -> str:
    """The node where the walk back first met a δ that is not finite, and its first row."""
    theta = model.layout.theta(model.vector)
    state = model.runner.forward(theta, batch.inputs)
    pull = model.objective.pull(state.outputs, batch.targets, batch.factor)
    model.runner.backward(theta, state, pull, into=np.empty_like(theta))
    walked = np.flatnonzero(model.plan.needs_delta)[::-1]
    found = _first_bad(walked, state.delta, state.delta)
    if found is not None:
        unit, row, delta, _ = found
        where = f"node {_node(model, unit)} became {delta} in row {rows[row]} of X"
        return f"∂loss/∂z of {where}, the loss is finite"
    place, name = _first_bad_parameter(model, gradient)
    return f"the derivative for {name} became {gradient[place]}"


def culprit(model: Model, data: Rows, chosen: Array | slice, error: Exception) -> str:
    """Which activation or loss raises such an error in the batch, at which node and row; "" if none.

    The batch is run again on the reference engine, which asks plugins in a known order;
    ``chosen`` are its row numbers in X.
    """
    batch, rows = data.batch(chosen), _numbers(chosen)
    plan, loss, asked = model.plan, model.objective, list[_Question]()
    theta = model.layout.theta(model.vector)
    witnesses: Any = tuple(_Witness(activation, asked) for activation in plan.activations)
    watched = replace(plan, activations=witnesses)
    runner = engines()["reference"].prepare(watched, dtype=model.dtype, threads=1)
    try:
        state = runner.forward(theta, batch.inputs)
        _, pull = _ask(asked, loss.by_row, state.outputs, batch.targets)
        runner.backward(theta, state, pull, into=np.empty_like(theta))
    except Exception as again:  # noqa: BLE001 - a stranger's code may raise anything
        if not asked or type(again) is not type(error):
            return ""
    else:
        return ""
    steps = [step.target for step in plan.program() if step.kind == ACTIVATE]
    first = [*steps, None, *reversed(steps)][len(asked) - 1]
    function, arguments = asked[-1]
    if first is None:  # (rows, output units); everywhere else (units, rows)
        bad = (k for k in range(len(rows)) if _raises(function, [x[k : k + 1] for x in arguments]))
        row = next(bad, None)
        return _raising(loss, *arguments) + ("" if row is None else f", row {rows[row]} of X")
    places = np.ndindex(*arguments[0].shape)
    cells = ((u, k) for u, k in places if _raises(function, [x[u : u + 1, k : k + 1] for x in arguments]))
    unit, row = next(cells, (0, None))
    what = f"{_activation(model, first + unit)} at node {_node(model, first + unit)}"
    return what + ("" if row is None else f", row {rows[row]} of X")


def _raising(objective: Objective, outputs: Array, targets: Array) -> str:
    """The loss that raises an error, and of several heads which."""
    for head, units, columns in objective.each():
        arguments = [outputs[:, units], targets[:, columns]]
        if _raises(head.loss.row_values, arguments) or _raises(head.loss.row_gradients, arguments):
            return named(head.loss) + ("" if len(objective.heads) == 1 else f" of {head.name}")
    return "a loss"


_Question = tuple[Callable[..., Any], tuple[Array, ...]]


@dataclass(frozen=True)
class _Witness:
    """Stands in for an activation and writes down what it is asked."""

    activation: Activation
    asked: list[_Question]

    @property
    def trainable(self) -> Any:
        return self.activation.trainable

    def value(self, z: Array, **learned: Array) -> Any:
        return _ask(self.asked, partial(self.activation.value, **learned), z)

    def slope(self, z: Array, a: Array, **learned: Array) -> Any:
        return _ask(self.asked, partial(self.activation.slope, **learned), z, a)

    def slope_by(self, name: str, z: Array, **learned: Array) -> Any:
        return self.activation.slope_by(name, z, **learned)


def _ask(asked: list[_Question], function: Callable[..., Any], *arguments: Array) -> Any:
    asked.append((function, arguments))
    return function(*arguments)


def _raises(function: Callable[..., Any], arguments: list[Array]) -> bool:
    try:
        function(*arguments)
    except Exception:  # noqa: BLE001 - see above
        return True
    return False


def _first_bad_parameter(model: Model, values: Array) -> tuple[int, str]:
    """The first place where a vector (parameters,) is not finite, and its name."""
    place = int(np.flatnonzero(~np.isfinite(values))[0])
    name, _, what = ParameterNames(model.layout)[place]
    return place, f"the {what} of {'edge' if what == 'weight' else 'node'} {shorten(name)}"


def _first_bad(units: Array, first: Reading, second: Reading) -> tuple[int, int, float, float] | None:
    """The first unit, and in it the first row, where one of two readings is not finite; both of them."""
    for start in range(0, len(units), CHUNK_UNITS):
        chunk = units[start : start + CHUNK_UNITS]
        one, two = first(chunk), second(chunk)
        bad = ~(np.isfinite(one) & np.isfinite(two))
        if bad.any():
            place, row = (int(index) for index in np.argwhere(bad)[0])
            return int(chunk[place]), row, float(one[place, row]), float(two[place, row])
    return None


def _node(model: Model, unit: int) -> str:
    return shorten(model.topology.nodes[int(model.layout.node_of_unit[unit])])


def _activation(model: Model, unit: int) -> str:
    topology = model.topology
    return named(topology.activations[int(topology.activation_of[model.layout.node_of_unit[unit]])])


def _origin(model: Model) -> str:
    if np.isfinite(model.parameters).all():
        return ""
    place, name = _first_bad_parameter(model, model.parameters)
    return f"; {name} is {model.parameters[place]} already"
