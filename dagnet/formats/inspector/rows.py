"""The rows that the inspector page can show one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.contracts import Observations
from dagnet.formats.inspector.packing import packed
from dagnet.formats.row_statistics import RowStatistics, full_runner
from dagnet.model import Model

Array = NDArray[Any]
MOST_ROWS, MOST_NUMBERS, EXACT = 64, 150_000, 60_000


@np.errstate(all="ignore")
def kept_rows(model: Model, observations: Observations, observed: RowStatistics) -> dict[str, Any]:
    """The ``rows`` of the payload: the first rows, as many as fit."""
    inputs = model.encode_inputs(observations.X)
    order = _by_node(model)
    kept = min(len(inputs), MOST_ROWS, max(1, MOST_NUMBERS // max(len(order), 1)))
    kind = "f8" if kept * len(order) <= EXACT else "f4"
    runner = model.runner if observations.y is None else full_runner(model)
    state = runner.forward(model.theta(), inputs[:kept])
    everything = np.arange(len(order))
    z, a = state.pre_activation(everything), state.value(everything)
    rows: dict[str, Any] = {
        "total": observed.rows,
        "kept": kept,
        "z": packed(z[order].T, kind),
        "a": packed(a[order].T, kind),
        "slope": packed(model.plan.slopes(z, a)[order].T, kind),
        "outputs": packed(_places(order)[model.plan.outputs], "i4"),
        "delta": None,
    }
    if observations.y is not None:
        targets = model.encode_targets(observations.y, len(inputs))[:kept]
        pull = np.asarray(model.loss.row_gradients(state.outputs, targets))
        rows["loss"] = packed(model.loss.row_values(state.outputs, targets), "f8")
        rows["mean_loss"] = observed.loss if np.isfinite(observed.loss or 0.0) else None
        rows["pull"] = packed(pull, "f8")
        rows["target"] = packed(targets, "f8")
        runner.backward(
            model.theta(),
            state,
            np.ascontiguousarray(pull, model.dtype),
            into=np.zeros(model.plan.n_slots, model.dtype),
        )
        rows["delta"] = packed(state.delta(order).T, kind)
    return rows


def _by_node(model: Model) -> Array:
    """The plan's units in the order of the nodes."""
    blocks = [model.layout.units_of(node) for node in range(model.topology.n_nodes)]
    return np.concatenate([np.arange(block.start, block.stop) for block in blocks])


def _places(order: Array) -> Array:
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return places
