"""Rows, targets and sample weights at the border: checked once, by name, then plain arrays.

Sparse rows are checked once as well, and become plain arrays block by block.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Compressed
from dagnet.errors import DataError, Verbatim, expected, shorten
from dagnet.model.tables import LISTED, Columns, is_sparse, is_table, numeric, of_shape

BLOCK_ROWS, BLOCK_VALUES = 2048, 2**24
"""How many rows, and values, of sparse rows are dense at once; matrix products have so many rows, too."""
FEW = 4096
"""Up to so many numbers all are looked at one by one."""
Standardisation: TypeAlias = "tuple[Array, Array] | None"


class SparseRows:
    """Sparse or mapped (rows, input units), standardised and in ``dtype`` where rows of it are looked at.

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
        found = self._matrix[rows]
        dense = standardised(found.toarray() if is_sparse(found) else found, self._standardisation)
        return np.ascontiguousarray(dense, self.dtype)

    def take(self, rows: Array, axis: int = 0, out: Array | None = None, mode: str = "raise") -> Array:
        """Rows by their numbers, as an array's ``take`` does."""
        del axis, mode
        if out is None:
            return self[rows]
        out[...] = self[rows]
        return out

    @cached_property
    @np.errstate(all="ignore")
    def compressed(self) -> Compressed | None:
        """The same numbers, of sparse rows those alone that are there; None of mapped ones."""
        matrix = self._matrix
        if not is_sparse(matrix):
            return None
        columns, ends, how = matrix.indices, matrix.indptr.astype(np.int64), self._standardisation
        numbers = standardised(matrix.data, how and (how[0][columns], how[1][columns]))
        absent = standardised(np.zeros(self.shape[1], matrix.dtype), how)
        found = (np.ascontiguousarray(some, self.dtype) for some in (numbers, absent))
        return Compressed(ends[:-1], ends[1:], np.ascontiguousarray(columns, np.int32), *found)

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
        one = columns.width == 1
        mend = "X.reshape(-1, 1) makes it rows of one input" if one and array.ndim == 1 else ""
        must = f"two-dimensional, (rows, {columns.width})" + f", or one row, ({columns.width},)" * (not one)
        raise of_shape("X", must, array.shape, mend)
    if array.shape[1] != columns.width:
        listed = ", ".join(map(shorten, columns.names[:LISTED]))
        more = ", …" if len(columns.names) > LISTED else ""
        raise of_shape("X", f"{columns.width} columns wide, one for each of [{listed}{more}]", array.shape)
    if not array.shape[0]:
        raise DataError(expected("X", "at least one row long", Verbatim("0 rows")))
    if is_sparse(array):
        return _encode_sparse(array.tocsr(), columns, dtype, standardisation, finite=finite)
    as_it_is = standardisation is None and array.dtype == dtype and array.flags.c_contiguous
    if isinstance(X, np.memmap) and not as_it_is:  # else a copy of all would be made
        return _encode_sparse(array, columns, dtype, standardisation, finite=finite)
    refuse_nan("X", array, columns, finite=finite)
    return as_dtype("X", standardised(array, standardisation), columns, dtype)


def standardised(array: Array, standardisation: Standardisation) -> Array:
    """(value − center) / scale."""
    return array if standardisation is None else (array - standardisation[0]) / standardisation[1]


@np.errstate(all="ignore")
def _encode_sparse(
    matrix: Any, columns: Columns, dtype: Any, standardisation: Standardisation, *, finite: bool
) -> SparseRows:
    """Rows become dense here only where something may have to be refused."""
    if is_sparse(matrix):
        numeric("X", matrix.data)
        if not matrix.has_canonical_format:  # a place may be there twice
            matrix = matrix.copy()
            matrix.sum_duplicates()
    encoded = SparseRows(matrix, dtype, standardisation)
    kept = encoded.compressed
    if kept is None or not (np.isfinite(kept.numbers).all() and np.isfinite(kept.absent).all()):
        raw = SparseRows(matrix, matrix.dtype, None)
        for rows, block in raw.blocks():
            refuse_nan("X", block, columns, finite=finite, first=rows.start)
        for rows, block in raw.blocks():
            as_dtype("X", standardised(block, standardisation), columns, dtype, first=rows.start)
    return encoded


def as_dtype(what: str, array: Array, columns: Columns, dtype: Any, first: int = 0) -> Array:
    """The numbers in the network's dtype; what becomes infinite there is refused."""
    if array.dtype == dtype:
        return np.ascontiguousarray(array)
    with np.errstate(over="ignore"):
        result: Array = np.ascontiguousarray(array, dtype)
    if result.dtype != array.dtype and not _is_tame(result):
        bad = np.isinf(result) & np.isfinite(array)
        if bad.any():
            place, where = first_of(bad, what, columns, first)
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


def first_of(bad: Array, what: str, columns: Columns, first: int = 0) -> tuple[tuple[int, int], str]:
    """The first place in the mask (rows, columns), and its name; the rows are numbered from ``first``."""
    row, column = (int(place) for place in np.argwhere(bad)[0])
    return (row, column), f"{what}: row {first + row}, column {columns.label(column)}"


def _is_tame(array: Array) -> bool:
    """Whether one reading shows that all is finite; huge numbers need another."""
    if array.size <= FEW:  # a mask costs less than to have an overflow ignored
        return np.count_nonzero(np.isfinite(array)) == array.size
    if not array.flags.c_contiguous:
        return False
    with np.errstate(all="ignore"):
        return math.isfinite(np.add.reduce(array, axis=None))  # a scalar product would ask for threads


def refuse_nan(what: str, array: Array, columns: Columns, *, finite: bool, first: int = 0) -> None:
    """Refuse NaN by row and column; ±inf too if ``finite``."""
    if array.dtype.kind != "f" or _is_tame(array):
        return
    bad = ~np.isfinite(array) if finite else np.isnan(array)
    if bad.any():
        place, where = first_of(bad, what, columns, first)
        must = "finite" if finite else "without NaN"
        raise DataError(expected(where, must, float(array[place]), "drop the row or fill the value in"))
