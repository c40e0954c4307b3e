"""Rows ready to be trained on: encoded once, taken by their numbers; or batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Loss, counting
from dagnet.errors import DataError, GroupError, Verbatim, expected, shorten
from dagnet.model import Model, Parts, is_table, with_columns
from dagnet.topology import data_fingerprint
from dagnet.training.settings import Settings

OF_ALL = "batch_size", "shuffle", "standardize", "sample_weight", "class_weight"
CHUNK_VALUES = 4_000_000
"""About so many unit values are held at once while a loss over many rows is evaluated."""
Own: TypeAlias = "Callable[[int], slice] | None"


class Batch(NamedTuple):
    """Rows of one step, (rows, input units), (rows, columns of y), and ``factor``.

    That is w/Σw, (rows,), or w on any scale, (rows, heads).  Where several share a batch, the inputs are
    those of a process's own rows alone.
    """

    inputs: Any
    targets: Array
    factor: Array

    def shares(self) -> Array:
        """(rows,) the share of each row, which add up to 1; of several heads that of their sum."""
        if self.factor.ndim == 1:
            return self.factor
        weights = self.factor.sum(axis=1)
        return np.asarray(weights / weights.sum(dtype=np.float64), self.factor.dtype)


class Room:
    """Memory for batches.  Those of one size are the same arrays each time: engines know them again."""

    def __init__(self, inputs: Array, targets: Array) -> None:
        self._all = inputs, targets
        self._of: dict[int, tuple[Array, Array]] = {}

    def of(self, n: int) -> tuple[Array, Array]:
        """For n rows, (n, input units) and (n, columns of y)."""
        if n not in self._of:
            self._of[n] = self._all[0][:n], self._all[1][:n]
        return self._of[n]


@dataclass(frozen=True, eq=False)
class Rows:
    """Encoded inputs (rows, input units) and targets (rows, columns of y), NaN where a label is missing.

    The weights are (rows,), (rows, heads) or None.
    Sparse inputs are arrays where rows are taken of them: ``inputs[:]`` is all.
    """

    inputs: Any
    targets: Array
    weights: Array | None
    whole: ClassVar[bool] = True  # these are all that are learned from

    @cached_property
    def gaps(self) -> Array | None:
        """(rows,) the rows without any label, where labels are missing at all; else None."""
        missing = np.asarray(np.isnan(self.targets))
        return np.asarray(missing.all(axis=1)) if np.count_nonzero(missing) else None

    def __len__(self) -> int:
        return len(self.inputs)

    def turns(self, run: Any) -> Iterator[None]:
        """Once for each batch, or several, until the epoch in progress has no more."""
        while run.done < run.batches:
            yield

    def fingerprint(self) -> str:
        """Of every number."""
        return data_fingerprint(self.inputs, self.targets, self.weights)

    def room_for(self, n: int) -> Room:
        """Memory for batches of up to so many rows."""
        n = min(n, len(self))
        return Room(*(np.empty((n, a.shape[1]), a.dtype) for a in (self.inputs, self.targets)))

    def weight_of(self, rows: Array | slice) -> float:
        """Σw over some rows, 0 where none of them has a label."""
        if self.gaps is not None and self.gaps[rows].all():
            return 0.0
        if self.weights is not None:
            return float(self.weights[rows].sum(dtype=np.float64))
        return float(rows.stop - rows.start if isinstance(rows, slice) else len(rows))

    def batch(
        self, rows: Array | slice, room: Room | None = None, own: Own = None, *, compressed: bool = False
    ) -> Batch:
        """Some rows by their numbers, copied into ``room``; those of a slice as they lie.

        ``own`` says which of so many rows the inputs are wanted of; sparse ones may stay ``compressed``.
        """
        kept: Any = getattr(self.inputs, "compressed", None) if compressed else None
        if isinstance(rows, slice):
            part = slice(0, rows.stop - rows.start) if own is None else own(rows.stop - rows.start)
            mine: Any = slice(rows.start + part.start, rows.start + part.stop)
            inputs = (self.inputs if kept is None else kept)[mine]
            targets = self.targets[rows]
        else:
            mine = rows if own is None else rows[own(len(rows))]
            into = (None, None) if room is None else (room.of(len(mine))[0], room.of(len(rows))[1])
            # mode="clip" writes straight into ``out``; the default mode goes through a copy.
            take = partial(self.inputs.take, axis=0, out=into[0], mode="clip")
            inputs = take(mine) if kept is None else kept[mine]
            targets = self.targets.take(rows, axis=0, out=into[1], mode="clip")
        if self.weights is None:
            return Batch(inputs, targets, _mean_factor(len(targets), self.inputs.dtype))
        weights = self.weights[rows]
        if weights.ndim == 2:
            return Batch(inputs, targets, weights)
        return Batch(inputs, targets, weights / float(weights.sum(dtype=np.float64)))


@lru_cache(maxsize=16)
def _mean_factor(n: int, dtype: np.dtype[Any]) -> Array:
    return np.full(n, 1 / n, dtype)


def encode_rows(model: Model, X: Any, y: Any, w: Any, missing: str = "refuse", **how: bool) -> Rows:
    """Check and encode once; ±inf is refused, NaN too but in y where it is to be skipped."""
    inputs, targets, weights = model.encode(X, y, w, finite=True, lazy=True, missing=missing, **how)
    if how:
        per_epoch(model, len(inputs), len(inputs))
    elif weights is not None:  # divided by a power of two, which changes no bit, no sum overflows
        weights = np.ldexp(weights, -np.frexp(weights.max())[1])
    return Rows(inputs, targets, weights)


def weighed(model: Model, data: Rows, class_weight: Any) -> Rows:
    """The same rows, counting by their classes, too."""
    weights = scoring().class_weights(model.objective, data.targets, data.weights, class_weight)
    return replace(data, weights=weights / weights.max())


def encode_pair(
    model: Model, data: Any, where: str, columns: Any, missing: str, *, named: bool = False, **how: bool
) -> Rows:
    """``(X, y)`` or ``(X, y, sample_weight)`` encoded; ``where`` it was given is for messages."""
    if not isinstance(data, (tuple, list)) or len(data) not in {2, 3}:
        got = f"{len(data)} items" if isinstance(data, (tuple, list)) else data
        raise DataError(expected(where, "(X, y) or (X, y, sample_weight)", got))
    try:
        X = data[0] if is_table(data[0]) else with_columns(data[0], columns)
        if named and not is_table(X):
            raise DataError("X has no names, and that of fit has; pass a table, too")
        return encode_rows(model, X, data[1], data[2] if len(data) == 3 else None, missing, **how)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


class Batches(Rows):
    """Of an iterable of batches the rows of one; a refusal leaves the network as it was before the run."""

    whole: ClassVar[bool] = False

    def __init__(self, model: Model, batches: Any, settings: Settings, given: Mapping[str, Any]) -> None:
        asked = {**vars(settings), **given}
        wrong = [name for name in OF_ALL if asked[name] is not None and asked[name] is not False]
        wrong += ["an optimizer that searches"] * settings.optimizer.searches
        wrong += ["metrics of X"] * bool(given["metrics"] and given["validation_data"] is None)
        if wrong:
            raise DataError(f"fit: without y, X are batches; leave out {', '.join(wrong)}, or give y")
        if not isinstance(batches, Iterable) or (isinstance(batches, Iterator) and settings.epochs > 1):
            must = "without y, an iterable of batches (X, y) or (X, y, sample_weight), anew in each epoch"
            raise DataError(expected("X", must, batches, "give a list, a class with __iter__, or epochs=1"))
        self._batches, self._group = batches, settings.distributed
        self._how = given["columns"], given["missing"]
        self._before, self._none = model.vector.copy(), np.empty((settings.batch_size, 0))
        self._hold(Rows(self._none, self._none, None))

    def _hold(self, rows: Rows) -> None:
        skips = self._how[1] == "skip"  # labels that a later batch may lack where this one has all
        vars(self).update(vars(rows), gaps=np.isnan(rows.targets).all(axis=1) if skips else None)

    def fingerprint(self) -> str:
        """Of no number: they are not read for it."""
        return "batches"

    def turns(self, run: Any) -> Iterator[None]:
        """Have batch after batch of the epoch in progress at hand, but those that are done."""
        count = 0
        try:
            for item in self._batches:  # enumerate would keep one
                count += 1
                if count > run.done:
                    run.batches, where = count + 1, f"epoch {run.epoch}, batch {count}"  # perhaps the last
                    self._hold(encode_pair(run.model, item, where, *self._how, batch=True))
                    del item
                    self._agree(super().fingerprint(), where)
                    yield
                    self._hold(Rows(self._none, self._none, None))  # let go before the next comes
            self._agree("the end", f"epoch {run.epoch}, batch {count + 1}")
            run.batches = count
            if count < run.done or not run.weight_sum:
                must = "to give batches with rows to learn from, anew in each epoch"
                raise DataError(expected(f"epoch {run.epoch}: X", must, Verbatim(f"{count} batches")))
        except (DataError, GroupError):
            run.model.vector[:], run.history = self._before, run.model.history
            raise

    def _agree(self, what: str, where: str) -> None:
        """Refuse processes that are given other batches than the first."""
        if self._group is not None:
            wrong = f"in {where} other rows than rank 0, or none; give all the same batches in the same order"
            self._group.agreed(np.empty(0), np.frombuffer(what.encode(), np.uint8), wrong)


def per_epoch(model: Model, rows: int, size: int) -> int:
    """How many batches an epoch has; where rows are normalised, a lone last row joins those before it."""
    normalized = model.layout.normalized
    if normalized is None or not len(normalized.folds):
        return -(-rows // size)
    if min(rows, size) == 1:
        node = shorten(model.topology.nodes[int(model.topology.nodes_with("mean")[0])])
        got, mend = ("X has one row", "give more") if rows == 1 else ("batch_size is 1", "write 2 or more")
        raise DataError(f"node {node} is normalised over the rows of a batch, and {got}; {mend}")
    return rows // size + (rows % size > 1)


def bounds(rows: int, size: int, batches: int) -> tuple[Array, Array]:
    """(batches + 1,) where each batch of an epoch begins, and how many rows it has, (batches,) floats."""
    starts = np.arange(0, batches * size + 1, size)
    starts[-1] = rows  # the last one takes what is left
    return starts, (starts[1:] - starts[:-1]).astype(np.float64)


def lacking(loss: Loss | None, data: Rows, rows: Array | slice) -> str:
    """What a batch lacks for a loss to learn from, in words; of several heads, such add nothing."""
    if loss is None or loss.lacks is None:
        return ""
    targets = data.targets[rows]
    what = loss.lacks(targets[~np.isnan(targets).any(axis=1)], *loss.arguments)
    return f"{what} for the loss {loss.name!r}" if what else ""


def mean_loss_of(model: Model, rows: Rows, batch_size: int) -> float:
    """Σwℓ/Σw over all rows, in chunks so that memory stays small, unless the loss couples rows."""
    total, weight, loss = 0.0, 0.0, model.objective.one
    if loss is None or rows.gaps is not None:
        return model.objective.total(model.objective.losses(parts_of(model, rows, batch_size)))
    for part, outputs in outputs_of(model, rows, batch_size):
        values = np.asarray(loss.row_values(outputs, rows.targets[part]), np.float64)
        weights = np.ones(len(values)) if rows.weights is None else rows.weights[part].astype(np.float64)
        total += float((counting(values, weights) * weights).sum())
        weight += float(weights.sum())
    return total / weight


def validation_losses(model: Model, rows: Rows, batch_size: int) -> dict[str, float]:
    """What the history has of validation rows: the loss, and of several heads each one's."""
    objective = model.objective
    with np.errstate(all="ignore"):
        if len(objective.heads) == 1:
            return {"validation_loss": mean_loss_of(model, rows, batch_size)}
        parts = parts_of(model, rows, batch_size)
        total = objective.total(objective.losses(parts))
        return {"validation_loss": total, **objective.by_name(parts, "validation_loss")}


def parts_of(model: Model, rows: Rows, batch_size: int) -> Parts:
    """What the heads make of all rows, in such chunks."""
    sums: Any = 0.0
    totals: Any = 0.0
    for part, outputs in outputs_of(model, rows, batch_size):
        weights = None if rows.weights is None else rows.weights[part]
        found = model.objective.parts(outputs, rows.targets[part], weights)
        sums, totals = sums + found.sums, totals + found.totals
    return Parts(sums, totals)


def outputs_of(model: Model, rows: Rows, batch_size: int) -> Iterator[tuple[slice, Array]]:
    """Chunk by chunk, its rows and their outputs, (rows, output units)."""
    rowwise, theta, state = model.objective.rowwise, model.layout.theta(model.vector), None
    chunk = max(batch_size, CHUNK_VALUES // max(1, model.plan.n_units)) if rowwise else len(rows)
    for start in range(0, len(rows), chunk):
        part = slice(start, start + chunk)
        state = model.runner.forward(theta, rows.inputs[part], keep=False, reuse=state)
        yield part, state.outputs


def scores(
    model: Model, rows: Rows, metrics: Mapping[str, Any], batch_size: int, begin: str
) -> dict[str, float]:
    """The metrics of all rows, by names that begin so; of several heads also each one's."""
    found: dict[str, float] = {}
    if metrics:
        outputs = np.concatenate([part.copy() for _, part in outputs_of(model, rows, batch_size)])
    for name, metric in metrics.items():
        by_head = scoring().scores_of(model.objective, outputs, rows.targets, metric)
        found[begin + name] = scoring().mean_score(by_head)
        if len(by_head) > 1:
            found |= {f"{begin}{name}[{head}]": score for head, score in by_head.items()}
    return found


def scoring() -> Any:
    """Metrics and weights of classes, for runs that ask: ``import dagnet`` need not pay for them."""
    from dagnet.model import scoring  # noqa: PLC0415 - see above

    return scoring
