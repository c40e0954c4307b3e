"""What is minimised: Σ weight · loss over the heads, each loss Σwℓ/Σw over the rows that have a label.

A label is missing where y is NaN.  Where a loss is a sum over its outputs, each output has labels of its
own; else a row counts for a head where all its targets are there.  Heads of the same loss and width are
one call of the loss, (rows · heads, width); targets that several learn are spread in that call alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np

from dagnet.adjacency import ranges
from dagnet.arrays import Array
from dagnet.contracts import (
    FILLERS,
    Heads,
    Loss,
    LossGradient,
    Runner,
    ThreeCalls,
    counting,
    weighted_gradient,
)
from dagnet.errors import GraphError
from dagnet.topology import Head, Problems, Topology, heads_of

ALIKE = 1e-9
PIECE = 2**14
"""About so many outputs are judged at once: temporary arrays that stay in the processor's cache."""
LISTED = 8


class Parts(NamedTuple):
    """Of each part of each head: Σwℓ and Σw over some rows with a label; ∂total/∂outputs or None."""

    sums: Array
    totals: Array
    pull: Array | None = None


@dataclass(frozen=True, eq=False)
class Objective:
    """The heads of a network, and what they make of outputs and targets.

    Attributes
    ----------
    heads
        In the order of their first outputs.
    default
        The loss of outputs that say none.
    units, columns
        Of each head, its places among the output units and among the columns of y.
    n_outputs
        How many output units there are.
    sizes
        By the outputs that y has columns for, in their order: how many.
    """

    heads: tuple[Head, ...]
    default: Loss
    units: tuple[Array, ...]
    columns: tuple[Array, ...]
    n_outputs: int
    sizes: Mapping[Any, int]

    @classmethod
    def of(cls, topology: Topology, default: Loss) -> Objective:
        """What a graph says; :class:`GraphError` for heads that cannot be."""
        problems = Problems()
        heads = heads_of(topology, default, problems)
        if problems:
            raise GraphError(problems)
        each = {name: head.loss.columns for head in heads for name in head.targets}
        names = (topology.nodes[node] for node in topology.outputs.tolist())
        outputs = dict(zip(names, topology.units[topology.outputs].tolist(), strict=True))
        sizes = {name: int(units * each[name]) for name, units in outputs.items() if name in each}
        units, targets = _places(outputs, [head.nodes for head in heads]), [head.targets for head in heads]
        same = sizes == outputs and all(head.targets == head.nodes for head in heads)
        columns = units if same else _places(sizes, targets)
        return cls(heads, default, units, columns, sum(outputs.values()), sizes)

    @cached_property
    def one(self) -> Loss | None:
        """The loss where it is one for all outputs and counts once; training then has a faster way."""
        head = self.heads[0]
        alone = len(self.heads) == 1 and head.weight == 1 and len(self.units[0]) == self.n_outputs
        return None if not alone or np.count_nonzero(self.units[0] - np.arange(self.n_outputs)) else head.loss

    def whole(self, targets: Array) -> Loss | None:
        """:attr:`one`, where all labels are there."""
        return None if self.one is None or np.isnan(targets).any() else self.one

    @cached_property
    def weights(self) -> Array:
        """(heads,) what each counts in the total."""
        return np.array([head.weight for head in self.heads])

    @cached_property
    def rowwise(self) -> bool:
        """Whether a row's losses depend on that row alone."""
        return all(head.loss.rowwise for head in self.heads)

    def refreshed(self) -> Objective:
        """With those losses traced anew that read something which has changed since."""
        if self.one is self.default and self.default.refreshed() is self.default:
            return self
        found = {id(loss): loss.refreshed() for loss in (self.default, *(head.loss for head in self.heads))}
        if all(id(loss) == before for before, loss in found.items()):
            return self
        heads = tuple(replace(head, loss=found[id(head.loss)]) for head in self.heads)
        return replace(self, heads=heads, default=found[id(self.default)])

    def __str__(self) -> str:
        more = "" if len(self.heads) <= LISTED else f", and {len(self.heads) - LISTED:,} more heads"
        return str(self.one or ", ".join(map(str, self.heads[:LISTED])) + more)

    __repr__ = __str__

    def each(self) -> Iterator[tuple[Head, Array, Array]]:
        """Each head, its places among the output units, and among the columns of y."""
        return zip(self.heads, self.units, self.columns, strict=True)

    # -- parts ---------------------------------------------------------------------------

    @cached_property
    def blocks(self) -> list[Heads]:
        """The parts of all heads."""
        found: dict[tuple[Loss, int], list[tuple[int, Array, Array]]] = {}
        known: dict[tuple[Loss, int], bool] = {}
        for number, (head, units, columns) in enumerate(self.each()):
            key = head.loss, len(units)
            if key not in known:
                known[key] = len(units) == len(columns) > 1 and is_sum(*key)
            for at in range(len(units)) if known[key] else [slice(None)]:
                part = number, np.atleast_1d(units[at]), np.atleast_1d(columns[at])
                found.setdefault((head.loss, len(part[1])), []).append(part)
        return [Heads(loss, *map(np.array, zip(*parts, strict=True))) for (loss, _), parts in found.items()]

    @cached_property
    def _owners(self) -> Array:
        """(parts,) the head of each."""
        return np.concatenate([block.heads for block in self.blocks])

    def parts(
        self, outputs: Array, targets: Array, weights: Array | None, *, pull: bool = False, totals: Any = None
    ) -> Parts:
        """Of some rows, for (rows, output units), (rows, columns of y), (rows,) or (rows, heads) or None.

        ``totals`` (parts,), Σw of more rows than these, is what the derivative is divided by.
        """
        own, gaps, sums, at = self.totals(targets, weights), np.isnan(targets), [], 0
        shares = self.shares(own if totals is None else totals)
        back, n = np.zeros_like(outputs) if pull else None, len(outputs)
        every = np.ones((n, 1)) if weights is None else weights.astype(np.float64).reshape(n, -1)
        for block in self._pieces(n):
            o, (t, there, w) = _taken(outputs, block.units), _counted(block, targets, gaps, every)
            losses = counting(_asked(block.loss, o, t, there), w)
            sums.append(np.einsum("rp,rp->p", np.broadcast_to(w, o.shape[:2]), losses))
            if back is not None:
                share = shares[at : at + len(block.heads)]
                weight = (w * share)[:, :, None]
                slopes = counting(_asked(block.loss, o, t, there, slope=True), weight) * weight
                back[:, block.units.ravel()] = slopes.reshape(n, -1)
            at += len(block.heads)
        return Parts(np.concatenate(sums), own, back)

    def _pieces(self, rows: int) -> Iterator[Heads]:
        """The blocks, in pieces whose numbers stay in the processor's cache."""
        for block in self.blocks:
            step = max(1, PIECE // (rows * block.units.shape[1]))
            for at in range(0, len(block.heads), step):
                heads, units, columns = (array[at : at + step] for array in block[1:])
                yield Heads(block.loss, heads, units, columns)

    @cached_property
    def _columns(self) -> list[Any]:
        """Of each block its different columns of y, and which each part has: several may learn one."""
        return [np.unique(block.columns, axis=0, return_inverse=True) for block in self.blocks]

    def totals(self, targets: Array, weights: Array | None = None) -> Array:
        """(parts,) Σw over the rows with a label, or how many these are."""
        n, missing, found = len(targets), np.isnan(targets), []
        every = np.ones((n, 1)) if weights is None else weights.astype(np.float64).reshape(n, -1)
        for block, (columns, places) in zip(self.blocks, self._columns, strict=True):
            there, own = np.asarray(~missing[:, columns].any(axis=2)), places.ravel()
            if block.loss.lacks is not None:
                there = np.asarray(_teaching(block.loss, targets[:, columns], there))
            if every.shape[1] == 1:
                found.append((every[:, 0] @ there)[own])
            else:
                found.append(np.einsum("rp,rp->p", every[:, block.heads], there[:, own]))
        return np.concatenate(found)

    def shares(self, totals: Array) -> Array:
        """(parts,) what Σwℓ counts in the total, the head's weight/Σw; 0 where no row has a label."""
        weights = self.weights[self._owners]
        return np.divide(weights, totals, where=totals > 0, out=np.zeros(len(weights)))

    def losses(self, parts: Parts) -> Array:
        """(heads,) each Σwℓ/Σw; 0 where no row has a label."""
        means = np.divide(parts.sums, parts.totals, where=parts.totals > 0, out=np.zeros_like(parts.sums))
        return np.bincount(self._owners, means, len(self.heads))

    def by_name(self, parts: Parts, begin: str) -> dict[str, float]:
        """The losses as the history has them, none of a single head; NaN where no row has a label."""
        if len(self.heads) == 1:
            return {}
        labelled = np.bincount(self._owners, parts.totals, len(self.heads)) > 0
        losses = np.where(labelled, self.losses(parts), np.nan)
        return {f"{begin}[{head.name}]": loss for head, loss in zip(self.heads, losses.tolist(), strict=True)}

    def total(self, losses: Array) -> float:
        """Σ weight · loss."""
        return float((self.weights * losses).sum())

    def mean(self, outputs: Array, targets: Array, weights: Array | None) -> float:
        """The total over some rows."""
        if (one := self.whole(targets)) is not None:
            return mean_loss(one, outputs, targets, weights)
        return self.total(self.losses(self.parts(outputs, targets, weights)))

    def pull(self, outputs: Array, targets: Array, weights: Array | None) -> Array:
        """∂total/∂outputs, (rows, output units)."""
        if (one := self.whole(targets)) is not None:
            factor = row_weights(weights, len(outputs), outputs.dtype)
            return weighted_gradient(one, outputs, targets, factor)
        return np.asarray(self.parts(outputs, targets, weights, pull=True).pull)

    def by_row(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """The total of each row as if it were alone, (rows,), and ∂ of it/∂outputs, (rows, output units)."""
        if (one := self.whole(targets)) is not None:
            return one.row_values(outputs, targets), one.row_gradients(outputs, targets)
        rows = [slice(row, row + 1) for row in range(len(outputs))]
        found = [self.parts(outputs[row], targets[row], None, pull=True) for row in rows]
        values = [self.total(self.losses(parts)) for parts in found]
        return np.array(values), np.concatenate([np.asarray(parts.pull) for parts in found])

    def spread(self, targets: Array) -> Array:
        """(rows, output units) the target of each output unit."""
        result = np.empty((len(targets), self.n_outputs), targets.dtype)
        for _, units, columns in self.each():
            result[:, units] = targets[:, columns]
        return result

    def prediction(self, outputs: Array) -> Array:
        """What the outputs predict, each by the loss of its head, (rows, output units)."""
        if self.one is not None:
            return self.one.prediction(outputs)
        result, known = outputs.copy(), dict[tuple[Loss, int], list[Array]]()
        for head, units in zip(self.heads, self.units, strict=True):
            if head.loss.predict is not None:
                known.setdefault((head.loss, len(units)), []).append(units)
        for (loss, width), places in known.items():
            block = outputs[:, np.array(places)]
            result[:, np.array(places)] = loss.prediction(block.reshape(-1, width)).reshape(block.shape)
        return result

    def gradient_of(self, runner: Runner, *, gaps: bool) -> LossGradient:
        """Forward, loss and backward as one call; ``gaps`` says that labels are missing."""
        return HeadsGradient(runner, self) if gaps or self.one is None else runner.fused_gradient(self.one)


class HeadsGradient(ThreeCalls):
    """A :class:`LossGradient` of all heads, by the engine or their losses in NumPy.

    The factor is (rows,) or (rows, heads), on any scale; ``parts`` are those of the last call, and
    ``totals``, if given, Σw of more rows than those of the next one (:meth:`Objective.parts`).
    """

    totals: Array | None = None

    def __init__(self, runner: Runner, objective: Objective) -> None:
        super().__init__(runner, objective.default)
        self._objective = objective
        self._by_engine = runner.heads_gradient(objective.blocks)
        self.parts: Parts | None = None

    def __call__(
        self, theta: Array, inputs: Array, targets: Array, factor: Array, *, into: Array
    ) -> tuple[float, float | None]:
        """See :class:`LossGradient`."""
        if self._by_engine is None:
            return super().__call__(theta, inputs, targets, factor, into=into)
        objective, given = self._objective, factor.reshape(len(factor), -1)
        own = objective.totals(targets, factor)
        data = inputs, targets, given, objective.shares(own if self.totals is None else self.totals)
        sums, square = self._by_engine(theta, *data, draw=self.draw, into=into)
        self.parts = Parts(sums, own)
        return objective.total(objective.losses(self.parts)), square

    def _judged(self, outputs: Array, targets: Array, factor: Array) -> tuple[float, Array]:
        found = self.parts = self._objective.parts(outputs, targets, factor, pull=True, totals=self.totals)
        return self._objective.total(self._objective.losses(found)), np.asarray(found.pull)


def row_weights(weights: Array | None, rows: int, dtype: Any) -> Array:
    """w/Σw, (rows,); those of heads, (rows, heads), as they are."""
    if weights is None:
        return np.full(rows, 1 / rows, dtype)
    if weights.ndim == 2:
        return weights
    return (weights / weights.sum(dtype=np.float64)).astype(dtype)


def mean_loss(loss: Loss, outputs: Array, targets: Array, weights: Array | None) -> float:
    """Σwℓ/Σw in double precision."""
    values = loss.row_values(outputs, targets)
    if weights is None:
        return float(values.mean(dtype=np.float64))
    shares = weights / weights.sum(dtype=np.float64)
    return float((counting(values, weights) * shares).sum(dtype=np.float64))


def is_sum(loss: Loss, width: int) -> bool:
    """Whether the loss of several outputs is the sum of the losses of each."""
    if not loss.rowwise or loss.minimum_outputs > 1 or loss.targets == "class":
        return False
    outputs = np.random.default_rng(0).uniform(0.1, 0.9, (3, width))
    targets = np.ones_like(outputs)
    try:
        whole = loss.row_values(outputs, targets)
        each = sum(loss.row_values(outputs[:, [k]], targets[:, [k]]) for k in range(width))
    except Exception:  # noqa: BLE001 - a stranger's loss may refuse a single output
        return False
    return bool(np.allclose(whole, each, rtol=ALIKE, atol=0))


def _places(sizes: Mapping[Any, int], groups: Sequence[Sequence[Any]]) -> tuple[Array, ...]:
    """The places of each group of names, where each name has so many, counted in order."""
    if len(groups) == 1 and tuple(sizes) == tuple(groups[0]):
        return (np.arange(sum(sizes.values())),)
    first = dict(zip(sizes, accumulate(sizes.values(), initial=0), strict=False))
    starts = np.array([first[name] for names in groups for name in names], np.int64)
    units = [sizes[name] for names in groups for name in names]
    places = ranges(starts, starts + np.array(units, np.int64))
    bounds = accumulate((sum(sizes[name] for name in names) for names in groups), initial=0)
    return tuple(places[begin:end] for begin, end in pairwise(bounds))


def _taken(array: Array, places: Array) -> Array:
    """(rows, parts, width) the columns at these places, a view where they stand in a row."""
    flat = places.ravel()
    in_row = flat[-1] - flat[0] == len(flat) - 1 and (np.diff(flat) == 1).all()
    found = array[:, flat[0] : flat[-1] + 1] if in_row else np.take(array, flat, axis=1)
    return found.reshape(len(array), *places.shape)


def _counted(block: Heads, targets: Array, gaps: Array, every: Array) -> tuple[Array, Array | None, Array]:
    """Of a block its targets, the mask (rows, parts) of labels or None, and w of rows that have one."""
    t = _taken(targets, block.columns)
    there = np.asarray(~_taken(gaps, block.columns).any(axis=2)) if gaps.any() else None
    there = _teaching(block.loss, t, there)
    w = every if every.shape[1] == 1 else every[:, block.heads]
    return t, there, w if there is None else w * there


def _teaching(loss: Loss, t: Array, there: Array | None) -> Array | None:
    """Without the parts whose rows have nothing that the loss learns from, such as an event."""
    if loss.lacks is None:
        return there
    there = np.ones(t.shape[:2], bool) if there is None else there.copy()
    for part in range(t.shape[1]):
        rows = t[there[:, part], part]
        if not len(rows) or loss.lacks(rows, *loss.arguments):
            there[:, part] = False
    return there


def _asked(loss: Loss, o: Array, t: Array, there: Array | None, *, slope: bool = False) -> Array:
    """(rows, parts) the losses, or (rows, parts, width) their derivatives; 0 where there is no label."""
    function = loss.row_gradients if slope else loss.row_values
    if loss.rowwise:
        outside = loss.outside(o)
        if outside is not None and outside.any():  # which says the row and the unit
            loss.refuse_outside(o[:, int(np.argwhere(outside)[0][1])])
        if there is not None:
            t = np.where(
                there[:, :, None],
                t,
                np.resize([FILLERS.get(kind, 0.0) for kind in loss.target_kinds], t.shape[2]).astype(t.dtype),
            )
        found = function(o.reshape(-1, o.shape[2]), t.reshape(-1, t.shape[2]))
        found = found.reshape(o.shape if slope else o.shape[:2])
        mask = there if there is None or not slope else there[:, :, None]
        return found if mask is None else np.where(mask, found, 0.0)
    result = np.zeros(o.shape if slope else o.shape[:2])
    for part in range(o.shape[1]):
        rows = np.arange(len(o)) if there is None else np.flatnonzero(there[:, part])
        if len(rows):
            result[rows, part] = function(o[rows, part], t[rows, part])
    return result
