"""Rows, targets and sample weights at the border: checked once, by name, then plain arrays."""

from __future__ import annotations

import re
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Loss
from dagnet.contracts.functions import RANGES
from dagnet.errors import DagnetWarning, DataError, Verbatim, did_you_mean, expected, shorten

LISTED = 8
LABELS = "labels are numbers from 0 on: names, y = np.unique(labels, return_inverse=True)"


class Encoded(NamedTuple):
    """Data as a network takes them: (rows, input units), (rows, output units) and (rows,)."""

    inputs: Array
    targets: Array
    weights: Array | None


class Columns:
    """The names of a block of columns: nodes in order, each with its units."""

    def __init__(
        self, what: str, names: Sequence[Hashable], units: Sequence[int], others: Sequence[Hashable] = ()
    ) -> None:
        self.others = others  # the names of y's columns where these are X's
        self.what, self.names, self.units, self.width = what, tuple(names), tuple(units), sum(units)

    def by_unit(self) -> tuple[Hashable, ...]:
        """The name of each column."""
        return tuple(name for name, n in zip(self.names, self.units, strict=True) for _ in range(n))

    def label(self, column: int) -> str:
        """The name of a column, for messages."""
        for name, units in zip(self.names, self.units, strict=True):
            if column < units:
                return shorten(name) if units == 1 else f"{shorten(name)}, unit {column}"
            column -= units
        return str(column)

    def gather(self, table: Any) -> Array:
        """Columns by name from a mapping or data frame, (rows, width)."""
        framed = hasattr(table, "columns")
        known = dict.fromkeys(table.columns) if framed else table.keys()
        missing = [name for name in self.names if name not in known]
        if missing:
            listed = ", ".join(map(shorten, missing[:LISTED]))
            count = f" and {len(missing) - LISTED} more ({len(missing)} of {len(self.names)})"
            more = count if len(missing) > LISTED else ""
            mend = self._mend_missing(missing, known)
            raise DataError(f"{self.what}: no column {listed}{more} in the data{mend}")
        named = zip(self.names, self.units, strict=True)
        blocks = [self._block(self._taken(table, name), name, units) for name, units in named]
        rows = {len(block) for block in blocks}
        if len(rows) > 1:
            pairs = zip(self.names[:LISTED], blocks, strict=False)
            lengths = ", ".join(f"{shorten(name)}: {len(block)}" for name, block in pairs)
            raise DataError(f"{self.what}: columns must be equally long, got {lengths}")
        return np.concatenate(blocks, axis=1) if blocks else np.zeros((len(table) if framed else 1, 0))

    def _taken(self, table: Any, name: Hashable) -> Any:
        try:
            return table[name]
        except Exception as error:
            what = f"{type(table).__name__} gives no column {shorten(name)}: {type(error).__name__}"
            raise DataError(f"{self.what}: {what}; pass a data frame or a mapping of arrays") from error

    def _mend_missing(self, missing: Sequence[Hashable], known: Any) -> str:
        wanted = missing[0]
        twin = next((column for column in known if _spelled(column) == _spelled(wanted)), None)
        if twin is not None:  # column names that were read from a file are text
            kinds = f"type {type(twin).__name__}, the node of type {type(wanted).__name__}"
            return f"; the column {shorten(twin)} is of {kinds}: rename the columns"
        taken = set(self.names)
        spelled = {_folded(column): column for column in known if column not in taken}
        pairs = [(name, spelled[_folded(name)]) for name in missing if _folded(name) in spelled]
        if pairs:
            listed = ", ".join(f"{shorten(name)} as {shorten(column)}" for name, column in pairs[1:LISTED])
            more = f" {len(pairs)} are there, spelled otherwise: also {listed}" if listed else ""
            return f"; did you mean {shorten(pairs[0][1])}?{more}"
        ends = sum(name in known for name in self.others)
        if len(missing) == len(self.names) and ends > len(known) / 2:
            return "; its columns are the graph's outputs: if it is upside down, graph.reverse() turns it"
        if self.what == "y" and len(known) == 1:
            return f"; y[{shorten(next(iter(known)))}] is taken whatever its name is"
        if len(missing) == len(self.names):  # the names that there are say more than a guess
            return did_you_mean("", known, listed=LISTED)
        spare = [column for column in known if column not in taken]
        each = "input" if self.what == "X" else "output"
        return did_you_mean(wanted, spare) or f"; every {each} of the network needs its column"

    def _block(self, column: Any, name: Hashable, units: int) -> Array:
        where = f"{self.what}: column {shorten(name)}"
        array = numeric(where, column)
        if array.ndim == 1 and units == 1:
            return array[:, None]
        if array.ndim != 2 or array.shape[1] != units:
            form = "(rows,)" if units == 1 else f"(rows, {units})"
            wide = array.ndim == 2
            mend = f"name each column once, or give the node units={array.shape[1]}" if wide else ""
            raise _of_shape(where, f"of shape {form}", array, mend)
        return array


def _spelled(name: Hashable) -> str:
    return str(name) if isinstance(name, str | int | float | np.generic) else shorten(name)


def _folded(name: Hashable) -> str:
    """A name without what is easily written otherwise: case, spaces, hyphens, underscores."""
    return re.sub(r"[\s_-]", "", str(name) if isinstance(name, str) else shorten(name)).casefold()


def is_table(data: object) -> bool:
    """Whether columns are found by name: a mapping, or a data frame of any library."""
    return isinstance(data, Mapping) or (hasattr(data, "columns") and hasattr(data, "__getitem__"))


def numeric(where: str, values: Any) -> Array:
    """``values`` as an array of real numbers."""
    try:
        if isinstance(values, np.ma.MaskedArray):  # what is masked is missing, and refused as such
            values = np.where(np.ma.getmaskarray(values), np.nan, np.ma.getdata(values))
        array = np.asarray(values)
        said = (
            [item for item in array.flat if isinstance(item, (str, bytes))] if array.dtype.kind == "O" else ()
        )
        if array.dtype.kind == "O" and not said:  # NumPy would read the text "1e3" as a number
            array = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        mend = f"; {LABELS}" if where == "y" else ""
        raise DataError(f"{where} must be numbers in a rectangular array; {error}{mend}") from error
    if said:
        mend = LABELS if where == "y" else "convert it before, for instance with astype(float)"
        raise DataError(expected(where, "real numbers", said[0], mend))
    if array.dtype.kind not in "biuf":
        mend = LABELS if where == "y" else "convert it before"
        raise DataError(expected(where, "real numbers", Verbatim(f"dtype {array.dtype}"), mend))
    return array


def encode_inputs(
    X: Any, columns: Columns, dtype: Any, standardisation: tuple[Array, Array] | None, *, finite: bool = False
) -> Array:
    """X as (rows, input units) in ``dtype``, standardised; NaN is refused, ±inf too if ``finite``."""
    array = columns.gather(X) if is_table(X) else numeric("X", X)
    if array.ndim != 2:
        mend = "X.reshape(1, -1) makes it one row, X.reshape(-1, 1) one column" if array.ndim == 1 else ""
        raise _of_shape("X", f"two-dimensional, (rows, {columns.width})", array, mend)
    if array.shape[1] != columns.width:
        listed = ", ".join(map(shorten, columns.names[:LISTED]))
        more = ", …" if len(columns.names) > LISTED else ""
        raise _of_shape("X", f"{columns.width} columns wide, one for each of [{listed}{more}]", array)
    if not len(array):
        raise DataError(expected("X", "at least one row long", Verbatim("0 rows")))
    _refuse_nan("X", array, columns, finite=finite)
    if standardisation is not None:
        array = (array - standardisation[0]) / standardisation[1]
    return _as_dtype("X", array, columns, dtype)


def _as_dtype(what: str, array: Array, columns: Columns, dtype: Any) -> Array:
    """The numbers in the network's dtype; what becomes infinite there is refused."""
    with np.errstate(over="ignore"):
        result: Array = np.ascontiguousarray(array, dtype)
    if result.dtype != array.dtype and not _is_tame(result):
        bad = np.isinf(result) & np.isfinite(array)
        if bad.any():
            place, where = _first(bad, what, columns)
            mend = "scale the column, or use dtype='float64'"
            raise DataError(expected(where, f"finite in {dtype}", float(array[place]), mend))
    return result


def aligned(what: str, values: Any, X: Any) -> Any:
    """``values`` in the order of X's rows, where both label their rows as pandas does.

    The same labels in another order are put into X's; where one of the two only counts its rows,
    its labels may be mere positions, so this warns.

    Raises
    ------
    DataError
        If the labels are not those of X, or in another order and not unique.
    """
    if not (hasattr(values, "iloc") and hasattr(X, "iloc")):
        return values
    own, wanted = values.index, X.index
    if len(own) != len(wanted) or own.equals(wanted):
        return values
    try:
        unique = own.is_unique and wanted.is_unique
        places = own.get_indexer(wanted) if unique else np.full(1, -1)
    except Exception:  # noqa: BLE001 - pandas raises what it likes for lists, and for intervals that overlap
        unique, places = False, np.full(1, -1)
    if (places >= 0).all():
        if any(np.array_equal(np.asarray(index), np.arange(len(index))) for index in (own, wanted)):
            text = f"{what} has the labels of X's rows in another order, and is put into X's order"
            mend = f"pass {what}.to_numpy() to take it as it stands"
            warnings.warn(f"{text}; {mend}", DagnetWarning, stacklevel=4)
        return values.iloc[places]
    row = next((place for place in range(len(own)) if _differ(own[place], wanted[place])), None)
    if row is None:  # the same labels of another type
        return values
    got = Verbatim(f"the label {shorten(own[row])} where X has {shorten(wanted[row])}")
    if unique:
        must, mend = (
            "the index of X",
            f"{what}.loc[X.index] takes it by label, {what}.to_numpy() as it stands",
        )
    else:
        must = "the index of X in the same order, as labels are there twice or cannot be looked up"
        mend = f"{what}.to_numpy() takes it as it stands"
    raise DataError(expected(f"{what}: its index", must, got, mend))


def _differ(one: Any, other: Any) -> bool:
    """Whether two labels differ; what is missing is missing."""
    try:
        return one is not other and bool(one != other) and not bool(one != one and other != other)  # noqa: PLR0124
    except (TypeError, ValueError):  # pandas' NA is neither, and arrays are both
        return True


def with_columns(X: Any, columns: Any) -> Any:
    """An array and the names of its columns as a table; a name that stands k times is k units."""
    if columns is None:
        return X
    if is_table(X):
        raise DataError("columns: X has names of its own; leave columns out")
    must = "a list of names, one for each column of X"
    if isinstance(columns, (str, bytes, set, frozenset)) or not isinstance(columns, Iterable):
        raise DataError(expected("columns", must, columns))
    array, names = numeric("X", X), list(columns)
    if array.ndim != 2 or array.shape[1] != len(names):
        got = Verbatim(f"{len(names)} names for shape {array.shape}")
        raise DataError(expected("columns", must, got))
    places: dict[Hashable, list[int]] = {}
    for place, name in enumerate(names):
        try:
            places.setdefault(name, []).append(place)
        except TypeError:  # no name of a node
            raise DataError(expected(f"columns[{place}]", "the name of a column", name)) from None
    return {name: array[:, own[0]] if len(own) == 1 else array[:, own] for name, own in places.items()}


@np.errstate(all="ignore")
def standardisation_of(X: Any, columns: Columns) -> tuple[Array, Array]:
    """Mean and standard deviation of X's columns, (input units,) each; of a constant one itself and 1."""
    array = encode_inputs(X, columns, np.float64, None, finite=True)
    center, scale = array.mean(axis=0), array.std(axis=0)
    bad = ~(np.isfinite(center) & np.isfinite(scale))
    if bad.any():
        where, largest = columns.label(int(bad.argmax())), float(np.abs(array).max())
        raise DataError(expected(f"X: column {where}", "of finite mean and deviation", largest, "scale it"))
    constant = (array == array[0]).all(axis=0)
    return np.where(constant, array[0], center), np.where(constant | (scale == 0), 1.0, scale)


def _of_shape(where: str, must: str, array: Array, mend: str = "") -> DataError:
    return DataError(expected(where, must, Verbatim(f"shape {array.shape}"), mend))


def _first(bad: Array, what: str, columns: Columns) -> tuple[tuple[int, int], str]:
    """The first place in the mask (rows, columns), and its name."""
    row, column = (int(place) for place in np.argwhere(bad)[0])
    return (row, column), f"{what}: row {row}, column {columns.label(column)}"


def _is_tame(array: Array) -> bool:
    """Whether one reading shows that all is finite; huge numbers need another."""
    if not array.flags.c_contiguous:
        return False
    flat = array.reshape(-1)
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.dot(flat, flat)))


def _refuse_nan(what: str, array: Array, columns: Columns, *, finite: bool) -> None:
    if array.dtype.kind != "f" or _is_tame(array):
        return
    bad = ~np.isfinite(array) if finite else np.isnan(array)
    if bad.any():
        place, where = _first(bad, what, columns)
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
        raise _of_shape("y", must, array, mend)
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
        raise _of_shape("y", f"of shape ({rows},), one label for each row of X", labels)
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
        raise _of_shape("sample_weight", f"of shape ({rows},), one a row of X", array)
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
