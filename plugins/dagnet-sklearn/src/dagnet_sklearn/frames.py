"""What data frames say: the names of columns, the numbers in them, the labels of rows."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _get_feature_names

from dagnet.errors import Verbatim, expected, shorten
from dagnet.model import is_sparse

__all__ = ["column_names", "numbers", "refuse_missing", "single_column"]

Array = NDArray[Any]


def column_names(X: Any) -> list[Hashable] | None:
    """The names of a data frame's columns; None of anything else."""
    names = _get_feature_names(X)
    if names is not None:
        return list(names)
    return list(X.columns) if hasattr(X, "iloc") and hasattr(X, "columns") else None  # pandas: other names


def numbers(X: Any, places: Sequence[int], names: Sequence[Hashable]) -> Array:
    """(rows, places) the columns of a data frame at these places; what is missing is NaN.

    Only these are converted: what the other columns hold does not matter.
    """
    columns = [_column(_safe_indexing(X, place, axis=1), names[place]) for place in places]
    return np.column_stack(columns) if columns else np.zeros((len(X), 0))


def _column(column: Any, name: Hashable) -> Array:
    where, array = f"X: column {shorten(name)}", np.asarray(column)
    if array.dtype.kind == "O":
        if hasattr(column, "isna"):
            array = np.where(column.isna(), np.nan, array)  # pandas.NA does not become a float
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where} must hold numbers; {error}") from error
    if array.dtype.kind not in "biuf":
        raise ValueError(expected(where, "numbers", Verbatim(f"dtype {array.dtype}"), "convert it before"))
    return array if array.dtype == np.float32 else array.astype(np.float64)


def refuse_missing(X: Array, labels: Sequence[Hashable]) -> None:
    """Refuse NaN and infinities in (rows, columns), sparse perhaps, by row and column."""
    bad, first = ~np.isfinite(X.data if is_sparse(X) else X), 0
    if bad.any():
        if is_sparse(X):
            first = int(np.searchsorted(X.indptr, bad.argmax(), side="right")) - 1
            X = X[[first]].toarray()
            bad = ~np.isfinite(X)
        row, place = map(int, np.argwhere(bad)[0])
        where = f"X: row {first + row}, column {shorten(labels[place])}"
        got, mend = float(X[row, place]), "drop the row or fill the value in before"
        raise ValueError(expected(where, "a number, neither NaN nor inf", got, mend))


def single_column(values: Any) -> Any:
    """The column of a data frame that has but one; anything else as it is."""
    if hasattr(values, "columns") and values.shape[1] == 1:
        return _safe_indexing(values, 0, axis=1)
    return values
