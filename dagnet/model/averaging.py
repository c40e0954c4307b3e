"""From the losses of rows to the loss: Σwℓ/Σw."""

from __future__ import annotations

from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Loss, weighted_gradient


def row_weights(weights: Array | None, rows: int, dtype: Any) -> Array:
    """w/Σw, (rows,); those of heads, (rows, heads), as they are."""
    if weights is None:
        return np.full(rows, 1 / rows, dtype)
    if weights.ndim == 2:
        return weights
    return (weights / weights.sum(dtype=np.float64)).astype(dtype)


def mean_loss(loss: Loss, outputs: Array, targets: Array, weights: Array | None) -> float:
    """Σwℓ/Σw in double precision."""
    values = loss.row_values(outputs, targets)
    if weights is None:
        return float(values.mean(dtype=np.float64))
    return float((values * (weights / weights.sum(dtype=np.float64))).sum(dtype=np.float64))


def output_gradient(loss: Loss, outputs: Array, targets: Array, weights: Array | None) -> Array:
    """∂(Σwℓ/Σw)/∂outputs, (rows, output units)."""
    return weighted_gradient(loss, outputs, targets, row_weights(weights, len(outputs), outputs.dtype))
