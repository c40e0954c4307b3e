"""Rows ready to be trained on: encoded once, taken by their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from dagnet.arrays import Array
from dagnet.errors import DataError, expected
from dagnet.model import Model, is_table, with_columns
from dagnet.topology import data_fingerprint

CHUNK_VALUES = 4_000_000
"""About so many unit values are held at once while a loss over many rows is evaluated."""


class Batch(NamedTuple):
    """Rows of one step, (rows, input units), (rows, output units), and ``factor`` (rows,), w/Σw."""

    inputs: Array
    targets: Array
    factor: Array


class Room:
    """Memory for batches.  Those of one size are the same arrays each time: engines know them again."""

    def __init__(self, inputs: Array, targets: Array) -> None:
        self._all = inputs, targets
        self._of: dict[int, tuple[Array, Array]] = {}

    def of(self, n: int) -> tuple[Array, Array]:
        """For n rows, (n, input units) and (n, output units)."""
        if n not in self._of:
            self._of[n] = self._all[0][:n], self._all[1][:n]
        return self._of[n]


@dataclass(frozen=True, eq=False)
class Rows:
    """Encoded inputs (rows, input units), targets (rows, output units), weights (rows,) or None.

    Sparse inputs are arrays where rows are taken of them: ``inputs[:]`` is all.
    """

    inputs: Any
    targets: Array
    weights: Array | None

    def __len__(self) -> int:
        return len(self.inputs)

    def fingerprint(self) -> str:
        """Of every number."""
        return data_fingerprint(self.inputs, self.targets, self.weights)

    def room_for(self, n: int) -> Room:
        """Memory for batches of up to so many rows."""
        return Room(np.empty_like(self.inputs[:n]), np.empty_like(self.targets[:n]))

    def weight_of(self, rows: Array | slice) -> float:
        """Σw over some rows."""
        if self.weights is not None:
            return float(self.weights[rows].sum(dtype=np.float64))
        return float(rows.stop - rows.start if isinstance(rows, slice) else len(rows))

    def batch(self, rows: Array | slice, room: Room | None = None) -> Batch:
        """Some rows by their numbers, copied into ``room``; those of a slice as they lie."""
        if isinstance(rows, slice):
            inputs, targets = self.inputs[rows], self.targets[rows]
        else:
            into = (None, None) if room is None else room.of(len(rows))
            # mode="clip" writes straight into ``out``; the default mode goes through a copy.
            inputs = self.inputs.take(rows, axis=0, out=into[0], mode="clip")
            targets = self.targets.take(rows, axis=0, out=into[1], mode="clip")
        if self.weights is None:
            return Batch(inputs, targets, _mean_factor(len(inputs), inputs.dtype))
        weights = self.weights[rows]
        return Batch(inputs, targets, weights / float(weights.sum(dtype=np.float64)))


@lru_cache(maxsize=16)
def _mean_factor(n: int, dtype: np.dtype[Any]) -> Array:
    return np.full(n, 1 / n, dtype)


def encode_rows(model: Model, X: Any, y: Any, sample_weight: Any) -> Rows:
    """Check and encode once; NaN and ±inf are refused."""
    inputs, targets, weights = model.encode(X, y, sample_weight, finite=True, lazy=True)
    if weights is not None:
        # The loss does not depend on their scale; between 0 and 1 no sum of them overflows.
        weights = weights / weights.max()
    return Rows(inputs, targets, weights)


def encode_validation(model: Model, data: object, columns: Any = None, *, named: bool = False) -> Rows | None:
    """``(X, y)`` or ``(X, y, sample_weight)`` encoded, or None."""
    if data is None:
        return None
    if not isinstance(data, (tuple, list)) or len(data) not in {2, 3}:
        got = f"{len(data)} items" if isinstance(data, (tuple, list)) else data
        raise DataError(expected("validation_data", "(X, y) or (X, y, sample_weight)", got))
    try:
        X = data[0] if is_table(data[0]) else with_columns(data[0], columns)
        if named and not is_table(X):
            raise DataError("X has no names, and that of fit has; pass a table, too")
        return encode_rows(model, X, data[1], data[2] if len(data) == 3 else None)
    except DataError as error:
        raise DataError(f"validation_data: {error}") from error


def mean_loss_of(model: Model, rows: Rows, batch_size: int) -> float:
    """Σwℓ/Σw over all rows, in chunks so that memory stays small, unless the loss couples rows."""
    theta, loss = model.layout.theta(model.vector), model.loss
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
