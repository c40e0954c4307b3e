"""Where a NaN or an infinity arose: looked for only once a batch has failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.errors import NumericalError, shorten
from dagnet.model import Model
from dagnet.registry import named

__all__ = ["bad_gradient", "bad_loss", "bad_step"]

Array = NDArray[Any]
Reading = Callable[[Array], Array]
CHUNK_UNITS = 4096
KEPT = "the parameters are those before this batch"
MEND = "try a smaller learning_rate, clip_norm=1.0, or inputs of mean 0 and variance 1"


def bad_loss(
    model: Model, state: Any, where: str, rows: Array, *, loss: float, row_losses: Array
) -> NumericalError:
    """The first node, in topological order, and its first row that are not finite.

    ``rows`` (batch rows,) are the batch's row numbers in X.
    """
    found = _first_bad(np.arange(model.plan.n_units), state.pre_activation, state.value)
    if found is not None:
        unit, row, z, a = found
        name = _node(model, unit)
        sums = f"{_activation(model, unit)} at z = {z:g}" if np.isfinite(z) else f"its pre-activation is {z}"
        return _error(
            where, f"node {shorten(name)} became {a} in row {rows[row]} of X ({sums})", _origin(model)
        )
    bad = np.flatnonzero(~np.isfinite(row_losses))
    if len(bad):
        row = int(bad[0])
        outputs = shorten(model.outputs if len(model.outputs) > 1 else model.outputs[0])
        what = f"the {named(model.loss)} at node {outputs} became {row_losses[row]}"
        return _error(where, f"{what} in row {rows[row]} of X", "")
    return _error(where, f"the loss, penalties included, became {loss}", "")


def bad_gradient(model: Model, state: Any, where: str, rows: Array, gradient: Array) -> NumericalError:
    """The node where the walk back first met a δ that is not finite, and its first row.

    ``gradient`` is by parameter, (parameters,).
    """
    walked = np.flatnonzero(model.plan.needs_delta)[::-1]
    found = _first_bad(walked, state.delta, state.delta)
    if found is not None:
        unit, row, delta, _ = found
        what = f"∂loss/∂z of node {shorten(_node(model, unit))} became {delta} in row {rows[row]} of X"
        return _error(where, what, ", the loss is finite")
    place = int(np.flatnonzero(~np.isfinite(gradient))[0])
    return _error(where, f"the derivative for {parameter_name(model, place)} became {gradient[place]}", "")


def bad_step(model: Model, where: str, parameters: Array, optimizer: str) -> NumericalError:
    """The first parameter that a step of the optimizer made infinite or NaN."""
    place = int(np.flatnonzero(~np.isfinite(parameters))[0])
    what = f"a step of {optimizer} made {parameter_name(model, place)} {parameters[place]}"
    return _error(where, what, "")


def parameter_name(model: Model, place: int) -> str:
    """A parameter's name for messages: the weight of an edge, or the bias of a node."""
    layout, topology = model.layout, model.topology
    for node in np.flatnonzero(topology.has_bias).tolist():
        if place in layout.bias_places(node):
            return f"the bias of node {shorten(topology.nodes[node])}"
    for edge in range(topology.n_edges):
        if place in layout.weight_places(edge):
            source, target = topology.sources[edge], topology.targets[edge]
            return f"the weight of edge {shorten((topology.nodes[source], topology.nodes[target]))}"
    return f"parameter {place}"


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


def _node(model: Model, unit: int) -> Any:
    return model.topology.nodes[_place(model, unit)]


def _place(model: Model, unit: int) -> int:
    return int(model.layout.nodes_of_units(np.array([unit]))[0])


def _activation(model: Model, unit: int) -> str:
    topology = model.topology
    return named(topology.activations[int(topology.activation_of[_place(model, unit)])])


def _origin(model: Model) -> str:
    bad = np.flatnonzero(~np.isfinite(model.parameters))
    if not len(bad):
        return ""
    return f"; {parameter_name(model, int(bad[0]))} is {model.parameters[bad[0]]} already"


def _error(where: str, what: str, also: str) -> NumericalError:
    return NumericalError(f"{where}: {what}{also}; {KEPT}; {MEND}")
