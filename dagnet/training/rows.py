"""Rows ready to be trained on: encoded once, gathered batch by batch into the same memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.errors import DataError, expected
from dagnet.model import Model
from dagnet.topology import data_fingerprint

__all__ = ["Batch", "Gatherer", "Rows", "encode_rows", "encode_validation", "mean_loss_of"]

Array = NDArray[Any]
CHUNK_VALUES = 4_000_000
"""About so many unit values are held at once while a loss over many rows is evaluated."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Encoded inputs (rows, input units), targets (rows, output units), weights (rows,) or None."""

    inputs: Array
    targets: Array
    weights: Array | None

    def __len__(self) -> int:
        return len(self.inputs)

    def fingerprint(self) -> str:
        """Of every number."""
        return data_fingerprint(self.inputs, self.targets, self.weights)


def encode_rows(model: Model, X: Any, y: Any, sample_weight: Any) -> Rows:
    """Check and encode once; NaN and ±inf are refused."""
    inputs = model.encode_inputs(X, finite=True)
    targets = model.encode_targets(y, len(inputs), finite=True)
    weights = model.encode_sample_weight(sample_weight, len(inputs))
    if weights is not None:
        # The loss does not depend on their scale; between 0 and 1 no sum of them overflows.
        weights = weights / weights.max()
    return Rows(inputs, targets, weights)


def encode_validation(model: Model, data: object) -> Rows | None:
    """``(X, y)`` or ``(X, y, sample_weight)`` encoded, or None."""
    if data is None:
        return None
    if not isinstance(data, (tuple, list)) or len(data) not in {2, 3}:
        got = f"{len(data)} items" if isinstance(data, (tuple, list)) else data
        raise DataError(expected("validation_data", "(X, y) or (X, y, sample_weight)", got))
    try:
        return encode_rows(model, data[0], data[1], data[2] if len(data) == 3 else None)
    except DataError as error:
        raise DataError(f"validation_data: {error}") from error


@dataclass(eq=False)
class Batch:
    """Rows of one step: ``factor`` (rows,) is w/Σw, ``weight`` is Σw."""

    inputs: Array
    targets: Array
    factor: Array
    weight: float

    def __len__(self) -> int:
        return len(self.inputs)


class Gatherer:
    """Batches of some rows, copied into memory that is used again and again."""

    def __init__(self, rows: Rows, size: int) -> None:
        self._rows = rows
        dtype = rows.inputs.dtype
        self._inputs = np.empty((size, rows.inputs.shape[1]), dtype)
        self._targets = np.empty((size, rows.targets.shape[1]), dtype)
        self._weights = np.empty(size, dtype)
        self._room: dict[int, tuple[Array, Array]] = {}
        self._means: dict[int, Array] = {}

    def batch(self, order: Array | None, start: int, stop: int) -> Batch:
        """Rows ``order[start:stop]``; with ``order=None`` the rows as they lie, not copied."""
        rows, n = self._rows, stop - start
        if order is None:
            inputs, targets = rows.inputs[start:stop], rows.targets[start:stop]
        else:
            chosen = order[start:stop]
            # the same views for batches of a size: engines know them again
            inputs, targets = self._room.setdefault(n, (self._inputs[:n], self._targets[:n]))
            # mode="clip" writes straight into ``out``; the default mode goes through a copy.
            np.take(rows.inputs, chosen, axis=0, out=inputs, mode="clip")
            np.take(rows.targets, chosen, axis=0, out=targets, mode="clip")
        if rows.weights is None:
            return Batch(inputs, targets, self._mean(n), float(n))
        weights = self._weights[:n]
        if order is None:
            weights[:] = rows.weights[start:stop]
        else:
            np.take(rows.weights, chosen, out=weights, mode="clip")
        total = float(weights.sum(dtype=np.float64))
        if total:
            weights /= total
        return Batch(inputs, targets, weights, total)

    def _mean(self, n: int) -> Array:
        if n not in self._means:
            self._means[n] = np.full(n, 1 / n, self._inputs.dtype)
        return self._means[n]


def mean_loss_of(model: Model, rows: Rows, batch_size: int) -> float:
    """Σwℓ/Σw over all rows, in chunks so that memory stays small, unless the loss couples rows."""
    theta, loss = model.theta(), model.loss
    chunk = max(batch_size, CHUNK_VALUES // max(1, model.plan.n_units)) if loss.rowwise else len(rows)
    state, total, weight = None, 0.0, 0.0
    for start in range(0, len(rows), chunk):
        part = slice(start, start + chunk)
        state = model.runner.forward(theta, rows.inputs[part], keep=False, reuse=state)
        values = np.asarray(loss.row_values(state.outputs, rows.targets[part]), np.float64)
        weights = np.ones(len(values)) if rows.weights is None else rows.weights[part].astype(np.float64)
        total += float((values * weights).sum())
        weight += float(weights.sum())
    return total / weight
