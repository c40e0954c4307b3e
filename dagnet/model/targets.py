"""Targets and sample weights at the border: checked once, by name, then plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import RANGES, Loss
from dagnet.errors import DataError, Verbatim, did_you_mean, expected, shorten
from dagnet.model.data import as_dtype, first_of, refuse_nan
from dagnet.model.heads import Objective
from dagnet.model.prepared import Prepared
from dagnet.model.tables import LABELS, LISTED, Columns, is_table, numeric, of_shape
from dagnet.topology import Head
from dagnet.values import one_of

MISSING = one_of("refuse", "skip")


def encode_heads(own: Prepared, y: Any, rows: int, *, finite: bool, missing: object, batch: bool) -> Array:
    """Targets of all heads as (rows, columns of y) in the network's dtype.

    NaN where a label is missing, which ``missing="skip"`` allows, and where y, a table, does not mention
    a head.  With ``finite``, for training, a column without any label is refused, if not of a ``batch``.
    """
    columns, objective, absent = own.columns_out, own.objective, np.zeros(own.columns_out.width, bool)
    more: dict[str, bool] = {"finite": finite, "skip": MISSING.check("missing", missing) == "skip"}
    if objective.one is not None:
        result = encode_targets(y, columns, objective.one, rows, own.dtype, **more)
    else:
        array = _by_name(y, own, rows, absent) if is_table(y) else _by_place(y, own, rows)
        result = np.full((rows, columns.width), np.nan, own.dtype)
        known = {(head.loss, places.tobytes()): (head, places) for head, _, places in objective.each()}
        for head, places in known.values():
            if not absent[places].all():
                part = array[:, places]
                result[:, places] = encode_targets(part, _of(head, own), head.loss, rows, own.dtype, **more)
    for head, _, places in objective.each():
        if (lacks := head.loss.lacks) is None:
            continue
        part = result[:, places]
        there = part[~np.isnan(part).any(axis=1)]
        if not batch and len(there) and (lacking := lacks(there, *head.loss.arguments)):
            raise DataError(f"y: the loss {head.loss.name!r} needs {lacking}; none of {rows} rows has it")
    if batch or not (finite and more["skip"]):
        return result
    if len(empty := np.flatnonzero(np.isnan(result).all(axis=0) & ~absent)):
        where = f"y: column {columns.label(int(empty[0]))}"
        mend = "a table y that leaves the column out does not train it"
        raise DataError(expected(where, "labelled in some row", Verbatim("NaN in every row"), mend))
    return result


def _of(head: Head, own: Prepared) -> Columns:
    """The columns that a head learns."""
    return Columns("y", head.targets, [own.objective.sizes[name] for name in head.targets])


def _by_place(y: Any, own: Prepared, rows: int) -> Array:
    """Numbers (rows, columns of y) of an array."""
    width, found = own.columns_out.width, np.full((rows, own.columns_out.width), np.nan)
    for head, _, places in own.objective.each():
        if head.loss.targets == "class" and len(places) == width and np.ndim(y) == 1:
            found[:, places] = _labels(y, head, own, rows)
            return found
    array = numeric("y", y)
    array = array[:, None] if array.shape == (rows,) and width == 1 else array
    if array.shape != found.shape:
        listed = ", ".join(map(shorten, own.columns_out.names[:LISTED]))
        must = f"of shape ({rows}, {width}), one column for each of [{listed}]"
        raise of_shape("y", must, array.shape, "or pass a mapping by name")
    return array


def _by_name(y: Any, own: Prepared, rows: int, absent: Array) -> Array:
    """The same of a table; columns of heads that it does not mention are NaN, and noted in ``absent``."""
    columns, found = own.columns_out, np.full((rows, own.columns_out.width), np.nan)
    known = set(y.columns) if hasattr(y, "columns") else set(y)
    for head, _, places in own.objective.each():
        label = head.nodes if len(head.nodes) > 1 else head.nodes[0]
        grouped = len(places) > 1 and head.loss.targets == "class"
        if head.targets != head.nodes:
            continue
        if label in known and (label == head.nodes or (grouped and np.ndim(y[label]) == 1)):
            found[:, places] = _labels(y[label], head, own, rows)
        elif known.isdisjoint(head.nodes):
            absent[places] = True
            _refuse_learned(head, own.objective, known)
        else:
            block = _of(head, own).gather(y)
            if len(block) != rows:
                raise of_shape("y", f"of {rows} rows, one for each row of X", block)
            found[:, places] = block
    if absent.all():
        columns.gather(y)  # which says what is missing
    return found


def _labels(y: Any, head: Head, own: Prepared, rows: int) -> Array:
    """(rows, targets of the head) one-hot rows of labels, or as given."""
    names = _of(head, own).by_unit()
    return encode_targets(y, Columns("y", names, [1] * len(names)), head.loss, rows, np.float64, skip=True)


def _refuse_learned(head: Head, objective: Objective, known: Any) -> None:
    """Refuse a y without the column of a head that others learn."""
    others = [one.name for one in objective.heads if one is not head and set(one.targets) & set(head.nodes)]
    if others:
        more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
        mend = did_you_mean(head.nodes[0], known, listed=LISTED)
        text = f"y: no column {shorten(head.nodes[0])} in the data, which {others[0]}{more} learn by target"
        raise DataError(text + mend)


def encode_targets(
    y: Any, columns: Columns, loss: Loss, rows: int, dtype: Any, *, finite: bool = False, skip: bool = False
) -> Array:
    """Targets as (rows, columns) in ``dtype``; labels become one-hot rows.  With ``skip``, NaN may be."""
    if is_table(y):
        array = columns.gather(y)
    else:
        if loss.targets == "class":
            y = _numbered(y, columns)
        array = numeric("y", y)
        if loss.targets == "class" and array.ndim == 1:
            return _one_hot(array, columns.width, rows, dtype, skip=skip)
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
    if not skip:
        refuse_nan("y", array, columns, finite=finite)
    elif finite and np.isinf(array).any():
        place, where = first_of(np.isinf(array), "y", columns)
        raise DataError(expected(where, "finite, or NaN where it is missing", float(array[place])))
    _refuse_range(array, columns, loss)
    return as_dtype("y", array, columns, dtype)


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


def _one_hot(labels: Array, width: int, rows: int, dtype: Any, *, skip: bool) -> Array:
    if labels.shape != (rows,):
        raise of_shape("y", f"of shape ({rows},), one label for each row of X", labels.shape)
    numbers = labels.astype(np.float64)
    gaps = np.isnan(numbers) if skip else np.zeros(rows, bool)
    bad = ~((numbers >= 0) & (numbers < width) & (numbers == np.floor(numbers)) | gaps)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        must = f"a label from 0 to {width - 1}"
        raise DataError(expected(f"y: row {row}", must, labels[row].item(), LABELS))
    result = np.zeros((rows, width), dtype)
    result[np.arange(rows), np.where(gaps, 0, numbers).astype(np.int64)] = 1
    result[gaps] = np.nan
    return result


def _refuse_range(array: Array, columns: Columns, loss: Loss) -> None:
    kinds = loss.target_kinds
    for first, kind in enumerate(kinds):
        if kind == "real":
            continue
        must, is_bad = RANGES["probability" if kind == "class" else kind]
        bad = np.zeros(array.shape, bool)
        bad[:, first :: len(kinds)] = is_bad(array[:, first :: len(kinds)])
        bad &= ~np.isnan(array)  # what is missing was allowed
        if bad.any():
            place, where = first_of(bad, "y", columns)
            raise DataError(expected(where, f"{must} for the loss {loss.name!r}", array[place].item()))
    if "class" in kinds:
        wrong = np.flatnonzero(np.abs(array.sum(axis=1) - 1) > 1e-3)
        if len(wrong):
            got = Verbatim(f"sum {float(array[wrong[0]].sum()):g}")
            raise DataError(expected(f"y: row {wrong[0]}", "class probabilities that sum to 1", got))


def encode_sample_weight(sample_weight: Any, rows: int, dtype: Any, heads: int = 1) -> Array | None:
    """Sample weights (rows,), of several heads also (rows, heads); None where all rows count the same."""
    if sample_weight is None:
        return None
    if is_table(sample_weight) and np.shape(sample_weight)[1:] == (1,):
        sample_weight = np.asarray(sample_weight)[:, 0]
    array = numeric("sample_weight", sample_weight)
    if array.shape != (rows,) and (heads == 1 or array.shape != (rows, heads)):
        form = f"({rows},), one a row of X" + (f", or ({rows}, {heads}), one a head" if heads > 1 else "")
        raise of_shape("sample_weight", f"of shape {form}", array.shape)
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        row, *head = np.argwhere(bad)[0].tolist()
        where = f"sample_weight: row {row}" + "".join(f", head {number}" for number in head)
        raise DataError(expected(where, "finite and at least 0", array[bad][0].item()))
    with np.errstate(over="ignore"):
        result: Array = np.ascontiguousarray(array, dtype)
        total = result.sum(dtype=np.float64)
    if not 0 < total <= np.finfo(dtype).max:
        must, mend = f"of a positive, finite sum in {dtype}", "leave it out to count all rows the same"
        raise DataError(expected("sample_weight", must, float(total), mend))
    return result
