"""Rows on the device, and batches of them by their numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dagnet.arrays import Array


class Batch(NamedTuple):
    """Tensors of some rows: inputs, targets, the factor of each; ``shares`` in moments, and 1 − Σ shares².

    ``arrays`` are targets and factor as NumPy has them, for losses that are calculated there.
    """

    inputs: Any
    targets: Any
    factor: Any
    shares: Any
    rest: float
    arrays: tuple[Array, Array]


class Batches:
    """All rows of a run, copied to the device once.

    Those of a sparse matrix or of a file in memory stay where they are, and come batch by batch.
    """

    def __init__(self, data: Any, place: Any) -> None:
        self._data, self._place = data, place
        resident = type(data.inputs) is np.ndarray
        self._inputs = place.tensor(data.inputs) if resident else None
        self._targets = place.tensor(data.targets)
        self._factors: dict[int, tuple[Any, ...]] = {}

    @staticmethod
    def numbers(data: Any) -> int:
        """How many numbers are copied."""
        inputs = data.inputs.size if type(data.inputs) is np.ndarray else 0
        return int(inputs + data.targets.size)

    def of(self, rows: Array | slice) -> Batch:
        """Some rows by their numbers."""
        place, data, index = self._place, self._data, rows
        if not isinstance(rows, slice):
            index = place.index(rows)
        targets = self._targets[index]
        inputs = place.tensor(data.inputs[rows]) if self._inputs is None else self._inputs[index]
        array, *weighing = self._weights(rows, len(inputs))
        return Batch(inputs, targets, *weighing, (data.targets[rows], array))

    def _weights(self, rows: Array | slice, n: int) -> tuple[Any, ...]:
        """The factor as an array and as a tensor, the shares, and what is left of 1 without their squares."""
        weights = self._data.weights
        if weights is None:
            if n not in self._factors:
                self._factors[n] = self._weighed(np.full(n, 1 / n, self._data.targets.dtype))
            return self._factors[n]
        own = weights[rows]
        return self._weighed(own if own.ndim == 2 else own / float(own.sum(dtype=np.float64)))

    def _weighed(self, factor: Array) -> tuple[Any, ...]:
        shares = factor
        if factor.ndim == 2:
            sums = factor.sum(axis=1)
            shares = np.asarray(sums / sums.sum(dtype=np.float64), factor.dtype)
        rest = 1 - float((shares.astype(np.float64) ** 2).sum())
        tensor = self._place.tensor(factor)
        return factor, tensor, tensor if shares is factor else self._place.tensor(shares), rest
