"""Rows, targets and sample weights at the border: checked once, by name, then plain arrays.

Sparse rows are checked once as well, and become plain arrays block by block.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Loss
from dagnet.contracts.functions import RANGES
from dagnet.errors import DataError, Verbatim, did_you_mean, expected, shorten
from dagnet.model.tables import LABELS, LISTED, Columns, is_sparse, is_table, numeric, of_shape

BLOCK_ROWS, BLOCK_VALUES = 2048, 2**24
"""How many rows, and values, of sparse rows are dense at once; matrix products have so many rows, too."""
Standardisation: TypeAlias = "tuple[Array, Array] | None"


class SparseRows:
    """Sparse (rows, input units), standardised and in ``dtype`` where rows of it are looked at.

    It takes the place of an array where rows are taken by slices or by their numbers.
    """

    def __init__(self, matrix: Any, dtype: Any, standardisation: Standardisation) -> None:
        self._matrix, self._standardisation = matrix, standardisation
        self.shape: tuple[int, int] = matrix.shape
        self.dtype, self.size = np.dtype(dtype), matrix.shape[0] * matrix.shape[1]

    def __len__(self) -> int:
        return self.shape[0]

    @np.errstate(all="ignore")
    def __getitem__(self, rows: Any) -> Array:
        dense = standardised(self._matrix[rows].toarray(), self._standardisation)
        return np.ascontiguousarray(dense, self.dtype)

    def take(self, rows: Array, axis: int = 0, out: Array | None = None, mode: str = "raise") -> Array:
        """Rows by their numbers, as an array's ``take`` does."""
        del axis, mode
        if out is None:
            return self[rows]
        out[...] = self[rows]
        return out

    def blocks(self) -> Iterator[tuple[slice, Array]]:
        """Some rows after the other, dense, and which they are."""
        count = min(BLOCK_ROWS, max(1, BLOCK_VALUES // max(1, self.shape[1])))
        for start in range(0, len(self), count):
            yield slice(start, start + count), self[start : start + count]

    def column_blocks(self) -> Iterator[tuple[int, Array]]:
        """The number of the first, and all rows, of some columns after the others.

        At least two, where there are two: NumPy adds up a lone column in an order of its own.
        """
        count, width = max(2, BLOCK_VALUES // (4 * len(self))), self.shape[1]
        starts = range(0, width - 1, count) if width > 1 else range(width)
        for start in starts:
            stop = width if start + count >= width - 1 else start + count
            yield start, SparseRows(self._matrix[:, start:stop], self.dtype, None)[:]


ABSENT: Any = object()
"""In the place of targets where none are asked for."""


class Encoded(NamedTuple):
    """Data as a network takes them: (rows, input units), (rows, output units) and (rows,)."""

    inputs: Any
    targets: Any
    weights: Array | None


def encode_inputs(
    X: Any, columns: Columns, dtype: Any, standardisation: Standardisation, *, finite: bool = False
) -> Array | SparseRows:
    """X as (rows, input units) in ``dtype``, standardised; NaN is refused, ±inf too if ``finite``."""
    array: Any = columns.gather(X) if is_table(X) else X if is_sparse(X) else numeric("X", X)
    if array.ndim != 2:
        mend = "X.reshape(1, -1) makes it one row, X.reshape(-1, 1) one column" if array.ndim == 1 else ""
        raise of_shape("X", f"two-dimensional, (rows, {columns.width})", array.shape, mend)
    if array.shape[1] != columns.width:
        listed = ", ".join(map(shorten, columns.names[:LISTED]))
        more = ", …" if len(columns.names) > LISTED else ""
        raise of_shape("X", f"{columns.width} columns wide, one for each of [{listed}{more}]", array.shape)
    if not array.shape[0]:
        raise DataError(expected("X", "at least one row long", Verbatim("0 rows")))
    if is_sparse(array):
        return _encode_sparse(array.tocsr(), columns, dtype, standardisation, finite=finite)
    _refuse_nan("X", array, columns, finite=finite)
    return _as_dtype("X", standardised(array, standardisation), columns, dtype)


def standardised(array: Array, standardisation: Standardisation) -> Array:
    """(value − center) / scale."""
    return array if standardisation is None else (array - standardisation[0]) / standardisation[1]


@np.errstate(all="ignore")
def _encode_sparse(
    matrix: Any, columns: Columns, dtype: Any, standardisation: Standardisation, *, finite: bool
) -> SparseRows:
    """Rows become dense here only where something may have to be refused."""
    values, zeros = numeric("X", matrix.data), np.zeros((1, columns.width), matrix.dtype)
    if standardisation is not None:
        center, scale = standardisation
        values = (values - center[matrix.indices]) / scale[matrix.indices]
        zeros = standardised(zeros, standardisation)
    tame = all(np.isfinite(numbers.astype(dtype)).all() for numbers in (values, zeros))
    if not (tame and matrix.has_canonical_format):  # else a place may be there twice
        raw = SparseRows(matrix, matrix.dtype, None)
        for rows, block in raw.blocks():
            _refuse_nan("X", block, columns, finite=finite, first=rows.start)
        for rows, block in raw.blocks():
            _as_dtype("X", standardised(block, standardisation), columns, dtype, first=rows.start)
    return SparseRows(matrix, dtype, standardisation)


def _as_dtype(what: str, array: Array, columns: Columns, dtype: Any, first: int = 0) -> Array:
    """The numbers in the network's dtype; what becomes infinite there is refused."""
    with np.errstate(over="ignore"):
        result: Array = np.ascontiguousarray(array, dtype)
    if result.dtype != array.dtype and not _is_tame(result):
        bad = np.isinf(result) & np.isfinite(array)
        if bad.any():
            place, where = _first(bad, what, columns, first)
            mend = "scale the column, or use dtype='float64'"
            raise DataError(expected(where, f"finite in {dtype}", float(array[place]), mend))
    return result


@np.errstate(all="ignore")
def standardisation_of(X: Any, columns: Columns) -> tuple[Array, Array]:
    """Mean and standard deviation of X's columns, (input units,) each; of a constant one itself and 1."""
    array = encode_inputs(X, columns, np.float64, None, finite=True)
    blocks = array.column_blocks() if isinstance(array, SparseRows) else [(0, array)]
    center, scale = np.concatenate([_moments(block, columns, first) for first, block in blocks], axis=1)
    return center, scale


def _moments(array: Array, columns: Columns, first: int) -> Array:
    center, scale = array.mean(axis=0), array.std(axis=0)
    bad = ~(np.isfinite(center) & np.isfinite(scale))
    if bad.any():
        where, largest = columns.label(first + int(bad.argmax())), float(np.abs(array).max())
        raise DataError(expected(f"X: column {where}", "of finite mean and deviation", largest, "scale it"))
    constant = (array == array[0]).all(axis=0)
    return np.stack([np.where(constant, array[0], center), np.where(constant | (scale == 0), 1.0, scale)])


def _first(bad: Array, what: str, columns: Columns, first: int = 0) -> tuple[tuple[int, int], str]:
    """The first place in the mask (rows, columns), and its name; the rows are numbered from ``first``."""
    row, column = (int(place) for place in np.argwhere(bad)[0])
    return (row, column), f"{what}: row {first + row}, column {columns.label(column)}"


def _is_tame(array: Array) -> bool:
    """Whether one reading shows that all is finite; huge numbers need another."""
    if not array.flags.c_contiguous:
        return False
    flat = array.reshape(-1)
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.dot(flat, flat)))


def _refuse_nan(what: str, array: Array, columns: Columns, *, finite: bool, first: int = 0) -> None:
    if array.dtype.kind != "f" or _is_tame(array):
        return
    bad = ~np.isfinite(array) if finite else np.isnan(array)
    if bad.any():
        place, where = _first(bad, what, columns, first)
        must = "finite" if finite else "without NaN"
        raise DataError(expected(where, must, float(array[place]), "drop the row or fill the value in"))


def encode_targets(
    y: Any, columns: Columns, loss: Loss, rows: int, dtype: Any, *, finite: bool = False
) -> Array:
    """Targets as (rows, columns of the loss · output units) in ``dtype``; labels become one-hot rows."""
    if is_table(y):
        array = columns.gather(y)
    else:
        if loss.targets == "class":
            y = _numbered(y, columns)
        array = numeric("y", y)
        if loss.targets == "class" and array.ndim == 1:
            return _one_hot(array, columns.width, rows, dtype)
        if array.shape == (rows,) and columns.width == 1:
            array = array[:, None]
    if array.shape != (rows, columns.width):
        form = f"({rows},)" if columns.width == 1 else f"({rows}, {columns.width})"
        labels = f" or labels ({rows},)" if loss.targets == "class" else ""
        must = f"of shape {form}{labels}, one row for each row of X"
        mend = "np.ravel(y) makes it labels" if labels and array.shape == (rows, 1) else ""
        if not mend and columns.width > 1:
            listed = ", ".join(map(shorten, columns.names[:LISTED]))
            more = ", …" if len(columns.names) > LISTED else ""
            mend = f"the outputs are [{listed}{more}]; Network(outputs=[…]) names those that are meant"
        raise of_shape("y", must, array.shape, mend)
    _refuse_nan("y", array, columns, finite=finite)
    _refuse_range(array, columns, loss)
    return _as_dtype("y", array, columns, dtype)


def _numbered(y: Any, columns: Columns) -> Any:
    """Labels that are words as the numbers of the outputs with these names; all else as it is."""
    try:
        labels = np.asarray(y)
    except Exception:  # noqa: BLE001 - a stranger's object; what is wrong is said where numbers are read
        return y
    if labels.ndim != 1 or not labels.size or not all(isinstance(item, str) for item in labels.tolist()):
        return y
    if len(columns.names) != columns.width:
        raise DataError(f"y: words need outputs of one unit each, named as they are; {LABELS}")
    places = {name: place for place, name in enumerate(columns.names)}
    for row, word in enumerate(labels.tolist()):
        if word not in places:
            mend = did_you_mean(word, places, listed=LISTED)
            raise DataError(f"y: row {row}: no output is named {shorten(word)}{mend}; {LABELS}")
    return np.array([places[word] for word in labels.tolist()])


def _one_hot(labels: Array, width: int, rows: int, dtype: Any) -> Array:
    if labels.shape != (rows,):
        raise of_shape("y", f"of shape ({rows},), one label for each row of X", labels.shape)
    numbers = labels.astype(np.float64)
    bad = ~((numbers >= 0) & (numbers < width) & (numbers == np.floor(numbers)))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        must = f"a label from 0 to {width - 1}"
        raise DataError(expected(f"y: row {row}", must, labels[row].item(), LABELS))
    result: Array = np.zeros((rows, width), dtype)
    result[np.arange(rows), labels.astype(np.int64)] = 1
    return result


def _refuse_range(array: Array, columns: Columns, loss: Loss) -> None:
    kinds = loss.target_kinds
    for first, kind in enumerate(kinds):
        if kind == "real":
            continue
        must, is_bad = RANGES["probability" if kind == "class" else kind]
        bad = np.zeros(array.shape, bool)
        bad[:, first :: len(kinds)] = is_bad(array[:, first :: len(kinds)])
        if bad.any():
            place, where = _first(bad, "y", columns)
            raise DataError(expected(where, f"{must} for the loss {loss.name!r}", array[place].item()))
    if "class" in kinds:
        wrong = np.flatnonzero(np.abs(array.sum(axis=1) - 1) > 1e-3)
        if len(wrong):
            got = Verbatim(f"sum {float(array[wrong[0]].sum()):g}")
            raise DataError(expected(f"y: row {wrong[0]}", "class probabilities that sum to 1", got))


def encode_sample_weight(sample_weight: Any, rows: int, dtype: Any) -> Array | None:
    """Sample weights (rows,), or None where all rows count the same."""
    if sample_weight is None:
        return None
    if is_table(sample_weight) and np.shape(sample_weight)[1:] == (1,):
        sample_weight = np.asarray(sample_weight)[:, 0]
    array = numeric("sample_weight", sample_weight)
    if array.shape != (rows,):
        raise of_shape("sample_weight", f"of shape ({rows},), one a row of X", array.shape)
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(expected(f"sample_weight: row {row}", "finite and at least 0", array[row].item()))
    with np.errstate(over="ignore"):
        result: Array = np.ascontiguousarray(array, dtype)
        total = result.sum(dtype=np.float64)
    if not 0 < total < np.inf:
        must, mend = f"of a positive, finite sum in {dtype}", "leave it out to count all rows the same"
        raise DataError(expected("sample_weight", must, float(total), mend))
    return result
