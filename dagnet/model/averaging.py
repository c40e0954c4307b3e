"""From the losses of rows to the loss: Σwℓ/Σw."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.contracts import Loss
from dagnet.errors import PluginError, Verbatim, expected
from dagnet.registry import named

__all__ = ["mean_loss", "output_gradient", "row_weights"]

Array = NDArray[Any]


def row_weights(weights: Array | None, rows: int, dtype: Any) -> Array:
    """w/Σw, (rows,)."""
    if weights is None:
        return np.full(rows, 1 / rows, dtype)
    return (weights / weights.sum(dtype=np.float64)).astype(dtype)


def mean_loss(loss: Loss, outputs: Array, targets: Array, weights: Array | None) -> float:
    """Σwℓ/Σw in double precision."""
    values = np.asarray(loss.row_values(outputs, targets))
    if values.shape != (len(outputs),):
        must = f"of shape ({len(outputs)},), one number a row"
        raise PluginError(expected(f"{named(loss)}: value", must, Verbatim(f"shape {values.shape}")))
    if weights is None:
        return float(values.mean(dtype=np.float64))
    return float((values * (weights / weights.sum(dtype=np.float64))).sum(dtype=np.float64))


def output_gradient(loss: Loss, outputs: Array, targets: Array, weights: Array | None) -> Array:
    """∂(Σwℓ/Σw)/∂outputs, (rows, output units)."""
    pull = np.asarray(loss.row_gradients(outputs, targets))
    if pull.shape != outputs.shape:
        where = f"{named(loss)}: gradient"
        raise PluginError(expected(where, f"of shape {outputs.shape}", Verbatim(f"shape {pull.shape}")))
    factor = row_weights(weights, len(outputs), outputs.dtype)
    return np.ascontiguousarray(pull * factor[:, None], outputs.dtype)
