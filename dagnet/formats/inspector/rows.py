"""The rows that the inspector page can show one by one."""

from __future__ import annotations

from typing import Any

import numpy as np

from dagnet.contracts import Observations
from dagnet.formats.inspector.packing import packed
from dagnet.formats.row_statistics import RowStatistics, full_runner
from dagnet.model import Model

MOST_ROWS, MOST_NUMBERS, EXACT = 64, 150_000, 60_000


@np.errstate(all="ignore")
def kept_rows(model: Model, observations: Observations, observed: RowStatistics) -> dict[str, Any]:
    """The ``rows`` of the payload: the first rows, as many as fit."""
    inputs = model.encode_inputs(observations.X)
    everything = np.arange(model.plan.n_units)
    order = np.concatenate([everything[model.layout.units_of(v)] for v in range(model.topology.n_nodes)])
    kept = min(len(inputs), MOST_ROWS, max(1, MOST_NUMBERS // max(len(order), 1)))
    kind = "f8" if kept * len(order) <= EXACT else "f4"
    runner = model.runner if observations.y is None else full_runner(model)
    state = runner.forward(model.theta(), inputs[:kept])
    z, a = state.pre_activation(everything), state.value(everything)
    rows: dict[str, Any] = {
        "total": observed.rows,
        "kept": kept,
        "z": packed(z[order].T, kind),
        "a": packed(a[order].T, kind),
        "slope": packed(model.plan.slopes(z, a)[order].T, kind),
        "outputs": packed(np.argsort(order)[model.plan.outputs], "i4"),
        "delta": None,
    }
    if observations.y is not None:
        targets = model.encode_targets(observations.y, len(inputs))[:kept]
        pull = np.asarray(model.loss.row_gradients(state.outputs, targets))
        rows["loss"] = packed(model.loss.row_values(state.outputs, targets), "f8")
        rows["mean_loss"] = observed.loss if np.isfinite(observed.loss or 0.0) else None
        rows["pull"] = packed(pull, "f8")
        rows["target"] = packed(targets, "f8")
        pull, into = np.ascontiguousarray(pull, model.dtype), np.zeros(model.plan.n_slots, model.dtype)
        runner.backward(model.theta(), state, pull, into=into)
        rows["delta"] = packed(state.delta(order).T, kind)
    return rows
