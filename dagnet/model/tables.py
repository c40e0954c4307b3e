"""What data are: columns by the names of nodes, labels of rows, real numbers; sparse matrices stay sparse."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.errors import DagnetWarning, DataError, Verbatim, did_you_mean, expected, shorten

LISTED = 8
LABELS = "labels are numbers from 0 on: names, y = np.unique(labels, return_inverse=True)"


class Columns:
    """The names of a block of columns: nodes in order, each with its units."""

    def __init__(
        self,
        what: str,
        names: Sequence[Any],
        units: Sequence[int],
        others: Sequence[Hashable] = (),
        categories: Mapping[Hashable, Sequence[Any]] = MappingProxyType({}),
    ) -> None:
        self.others = others  # the names of y's columns where these are X's
        self.categories = categories
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

    def gather(self, table: Any) -> Any:
        """Columns by name from a mapping or data frame, (rows, width); sparse where the table is."""
        known = {name: place for place, name in enumerate(_names_of(table))}
        if hasattr(table, "to_dataset"):  # an array of xarray
            table = table.to_dataset(table.dims[1])
        missing = [name for name in self.names if name not in known]
        if missing:
            listed = ", ".join(map(shorten, missing[:LISTED]))
            count = f" and {len(missing) - LISTED} more ({len(missing)} of {len(self.names)})"
            more = count if len(missing) > LISTED else ""
            mend = self._mend_missing(missing, known)
            raise DataError(f"{self.what}: no column {listed}{more} in the data{mend}")
        if (at_once := self._of_frame(table, known)) is not None:
            return at_once
        named = zip(self.names, self.units, strict=True)
        blocks = [self._block(self._taken(table, name), name, units) for name, units in named]
        rows = {block.shape[0] for block in blocks}
        if len(rows) > 1:
            pairs = zip(self.names[:LISTED], blocks, strict=False)
            lengths = ", ".join(f"{shorten(name)}: {block.shape[0]}" for name, block in pairs)
            raise DataError(f"{self.what}: columns must be equally long, got {lengths}")
        if not blocks:
            return np.zeros((1 if isinstance(table, Mapping) else len(table), 0))
        if all(map(is_sparse, blocks)):
            return _side_by_side(blocks)
        dense = [block.toarray() if is_sparse(block) else block for block in blocks]
        return np.concatenate(dense, axis=1)

    def _of_frame(self, table: Any, places: Mapping[Hashable, int]) -> Array | None:
        """From a data frame of pandas whose columns of numbers are all of one kind, and of one unit each."""
        plain = not self.categories and self.width == len(self.names) and set(map(type, self.names)) == {str}
        pandas = sys.modules.get("pandas")
        frame = pandas is not None and type(table) is pandas.DataFrame  # no kind of its own
        if not (plain and frame and table.columns.nlevels == 1 and table.columns.is_unique):
            return None
        order = [places[name] for name in self.names]
        chosen = table if order == list(range(len(places))) else table.iloc[:, order]
        kinds = list(set(chosen.dtypes))
        one = len(kinds) == 1 and isinstance(kinds[0], np.dtype) and kinds[0].kind in "biuf"
        return numeric(self.what, chosen) if one else None

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

    def _block(self, column: Any, name: Hashable, units: int) -> Any:
        where = f"{self.what}: column {shorten(name)}"
        if name in self.categories:
            column = self._one_hot(name, column)
        array = column if is_sparse(column) and len(column.shape) == 2 else numeric(where, column)
        shape = array.shape
        if shape[1:] != (units,) and (len(shape) != 1 or units != 1):
            form = "(rows,)" if units == 1 else f"(rows, {units})"
            mend = f"name each column once, or give the node units={shape[1]}" if len(shape) == 2 else ""
            raise of_shape(where, f"of shape {form}", shape, mend)
        return array[:, None] if len(shape) == 1 else array

    def _one_hot(self, name: Hashable, column: Any) -> Any:
        """(rows, categories) of 0 and 1 for the words of a column; what is encoded already, as it is."""
        array, words, where = column, self.categories[name], f"column {shorten(name)}"
        if not isinstance(column, np.ma.MaskedArray):  # whose list has None for what is missing
            array = np.asarray(column, object if isinstance(column, (list, tuple)) else None)
        if array.ndim != 1:
            return column
        items, places = array.tolist(), {word: place for place, word in enumerate(words)}
        try:
            codes = np.array([places.get(item, -1) for item in items], np.int64)
        except TypeError as error:  # lists and the like
            raise DataError(
                f"{self.what}: {where} must hold its categories, words or numbers; {error}"
            ) from error
        for row in np.flatnonzero(codes < 0)[:1].tolist():
            where, item = f"{self.what}: row {row}, {where}", items[row]
            if _is_missing(item):
                mend = "drop the row or fill the value in"
                raise DataError(expected(where, "one of its categories", item, mend))
            mend = did_you_mean(item, words, listed=LISTED)
            raise DataError(f"{where}: no category is {shorten(item)}{mend}")
        return np.eye(len(words))[codes]


def bare_row(data: Any, columns: Columns) -> Any:
    """A table of one row where data are one without its axis of rows; anything else as it is.

    That is an array (width,), of y also a number or a word; a mapping from node to a number, a word, or
    (units,) where there are several; a Series, by the names in its index.
    """
    if isinstance(data, np.ndarray) and data.ndim == 2:  # rows, and no bare one
        return data
    of_y, several = columns.what == "y", columns.width > 1
    if hasattr(data, "to_dict") and not (hasattr(data, "columns") or isinstance(data, Mapping)):
        index = list(getattr(data, "index", ()))
        counts = index == list(range(len(index)))  # which of a column of one input says nothing
        named = not set(columns.names).isdisjoint(index)
        data = data.to_dict() if (several or not counts) and (named or not (of_y or counts)) else data
    if isinstance(data, Mapping) and not is_sparse(data):  # some sparse ones are a dict
        pairs = zip(columns.names, columns.units, strict=True)
        units = {name: 1 if name in columns.categories else n for name, n in pairs}
        own = [name for name in data if of_y or name in units]
        bare = bool(own) and all(_is_bare(data[name], units.get(name, 1)) for name in own)
        return {name: [value] for name, value in data.items()} if bare else data
    if is_table(data) or data is None or (is_sparse(data) and len(data.shape) == 2):
        return data
    data = data.toarray() if is_sparse(data) else data
    bare = (of_y and not _depth(data)) or (_depth(data) == 1 and len(data) == columns.width)
    return (data[None] if isinstance(data, np.ndarray) else [data]) if bare else data


def _is_bare(data: Any, units: int) -> bool:
    return not _depth(data) if units == 1 else _depth(data) == 1 and len(data) == units


def _depth(data: Any) -> int:
    """How many axes it has, by its first items; a number or a word has none."""
    if isinstance(data, (list, tuple)):
        return 1 + (_depth(data[0]) if data else 0)
    return int(getattr(data, "ndim", 0))


def is_sparse(data: object) -> bool:
    """Whether this is a matrix or an array of ``scipy.sparse``, or what becomes one."""
    return hasattr(data, "tocsr") and hasattr(data, "shape")


def _is_missing(item: Any) -> bool:
    try:
        return item is None or bool(item != item)  # noqa: PLR0124
    except TypeError:  # pandas' NA
        return True


def _spelled(name: Hashable) -> str:
    return str(name) if isinstance(name, str | int | float | np.generic) else shorten(name)


def _folded(name: Hashable) -> str:
    """A name without what is easily written otherwise: case, spaces, hyphens, underscores."""
    return re.sub(r"[\s_-]", "", str(name) if isinstance(name, str) else shorten(name)).casefold()


def is_table(data: object) -> bool:
    """Whether columns are found by name: a mapping, a data frame, record array or array of xarray."""
    return _names_of(data) is not None


def _names_of(data: Any) -> Any:
    """The names of the columns; None where they have none."""
    if isinstance(data, np.ndarray):
        return data.dtype.names
    if is_sparse(data):  # some are a dict
        return None
    if hasattr(data, "to_dataset"):
        two = data.ndim == 2 and data.dims[1] in data.coords
        return data.coords[data.dims[1]].values.tolist() if two else None
    if hasattr(data, "columns") and hasattr(data, "__getitem__"):
        return data.columns
    return data.keys() if isinstance(data, Mapping) else None


def _side_by_side(blocks: Sequence[Any]) -> Any:
    """Sparse blocks of columns as one sparse matrix, row by row."""
    columns = [block.tocsc() for block in blocks]
    counts = np.concatenate([np.diff(block.indptr) for block in columns])
    parts = (np.concatenate([getattr(block, part) for block in columns]) for part in ("data", "indices"))
    starts = np.concatenate([[0], np.cumsum(counts)])
    return type(columns[0])((*parts, starts), shape=(columns[0].shape[0], len(counts))).tocsr()


def numeric(where: str, values: Any) -> Array:
    """``values`` as an array of real numbers."""
    try:
        if is_sparse(values):
            values = values.toarray()
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
    array, names = X.tocsc() if is_sparse(X) else numeric("X", X), list(columns)
    if array.ndim != 2 or array.shape[1] != len(names):
        got = Verbatim(f"{len(names)} names for shape {array.shape}")
        raise DataError(expected("columns", must, got))
    places: dict[Hashable, list[int]] = {}
    for place, name in enumerate(names):
        try:
            places.setdefault(name, []).append(place)
        except TypeError:  # no name of a node
            raise DataError(expected(f"columns[{place}]", "the name of a column", name)) from None
    wide = is_sparse(array)  # a lone column of which would be dense
    return {name: array[:, own if wide or len(own) > 1 else own[0]] for name, own in places.items()}


def of_shape(where: str, must: str, shape: tuple[int, ...], mend: str = "") -> DataError:
    """The refusal of another shape."""
    return DataError(expected(where, must, Verbatim(f"shape {shape}"), mend))
