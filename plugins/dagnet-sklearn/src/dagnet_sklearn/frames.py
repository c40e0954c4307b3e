"""What data frames say: the names of columns, the numbers in them, the labels of rows."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _get_feature_names

from dagnet.errors import DagnetWarning, Verbatim, expected, shorten

__all__ = ["aligned", "column_names", "numbers", "refuse_missing", "single_column"]

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
    """Refuse NaN and infinities in (rows, columns) by row and column."""
    bad = ~np.isfinite(X)
    if bad.any():
        row, place = map(int, np.argwhere(bad)[0])
        where = f"X: row {row}, column {shorten(labels[place])}"
        got, mend = float(X[row, place]), "drop the row or fill the value in before"
        raise ValueError(expected(where, "a number, neither NaN nor inf", got, mend))


def single_column(values: Any) -> Any:
    """The column of a data frame that has but one; anything else as it is."""
    if hasattr(values, "columns") and values.shape[1] == 1:
        return _safe_indexing(values, 0, axis=1)
    return values


def aligned(what: str, values: Any, X: Any) -> Any:
    """``values`` in the order of X's rows, where both label their rows as pandas does.

    The same labels in another order are put into X's; those of a default index (0, 1, 2, …) may
    be mere positions, so this warns, and beside other labels they say nothing.

    Raises
    ------
    ValueError
        If the labels are not those of X, or in another order and not unique.
    """
    if not (hasattr(values, "iloc") and hasattr(X, "iloc")):
        return values
    own, wanted = values.index, X.index
    if len(own) != len(wanted) or own.equals(wanted):
        return values
    counted = _is_counted(own) or _is_counted(wanted)
    unique = own.is_unique and wanted.is_unique
    if unique:
        places = own.get_indexer(wanted)
        if (places >= 0).all():
            if counted:
                warnings.warn(
                    f"{what} has the labels of X's rows in another order, and is put into X's order; "
                    f"pass {what}.to_numpy() to take it as it stands",
                    DagnetWarning,
                    stacklevel=4,
                )
            return values.iloc[places]
        if counted:
            return values
    must = "the index of X" if unique else "the index of X in the same order, as labels are there twice"
    row = next(place for place in range(len(own)) if own[place] != wanted[place])
    got = Verbatim(f"the label {shorten(own[row])} where X has {shorten(wanted[row])}")
    mend = f"{what}.loc[X.index] takes it by label, {what}.to_numpy() as it stands"
    raise ValueError(expected(f"{what}: its index", must, got, mend))


def _is_counted(index: Any) -> bool:
    return np.array_equal(np.asarray(index), np.arange(len(index)))
