"""A batch that several learn from: blocks of its rows, here and in other processes, whose gradients add up.

A block is a run of a batch's rows, by their places in it.  With ``blocks`` each has a gradient by itself, and
these are added in the order of the blocks, whoever found them: the same bits in any number of processes.
Where a plan has moments over rows, the blocks of a process go on side by side, each in a thread, and
meet at each moment.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import dagnet
from dagnet.arrays import Array
from dagnet.contracts import Draw, Group, LossGradient
from dagnet.errors import DataError, GroupError, PluginError, Verbatim, expected, shorten
from dagnet.model import Model
from dagnet.model.heads import HeadsGradient, Parts
from dagnet.topology import data_fingerprint


def group_of(distributed: object, blocks: int | None) -> Blocks | None:
    """What ``fit(distributed=, blocks=)`` means; None for one process alone.

    ``True`` is what torchrun started, ``False`` this process, or :class:`Processes` of another kind.
    """
    if isinstance(distributed, Blocks):
        return distributed
    given = distributed
    if distributed is None or isinstance(distributed, (bool, np.bool_)):
        given = torchrun_processes() if distributed else Processes()
    if not isinstance(given, Processes):
        raise DataError(
            expected("distributed", "True, False or a dagnet_torch.sharing.Processes", distributed)
        )
    if given.left and given.size > 1:
        what = f"fit: an earlier run of rank {given.rank} ended by {given.left}"
        raise GroupError(f"{what}, of which the others do not know; start all processes again")
    if blocks is not None and blocks % given.size:
        must = f"a multiple of the number of processes, {given.size}"
        raise DataError(expected("blocks", must, blocks, "or leave it out"))
    return None if blocks is None and given.size == 1 else Blocks(given, blocks)


def torchrun_processes() -> Processes:
    """Those that torchrun started."""
    from dagnet_torch.distributed import processes  # noqa: PLC0415 - which imports torch

    return processes()


class Processes:
    """Processes that can tell each other arrays.  This one is a process alone.

    Of others, a subclass says ``rank`` and ``size`` and overrides both methods, which all processes call in
    the same order; where one of them is gone they raise :class:`dagnet.errors.GroupError`, which names it.
    """

    rank: int = 0
    size: int = 1
    left: str = ""
    """By what error a run of this process ended, which the others may still be in."""

    def gather(self, array: Array) -> Array:
        """(size, …) the arrays of all, of one shape and dtype, in the order of their ranks."""
        return array[None]

    def sum(self, array: Array) -> Array:
        """The sum of the arrays of all, of the same bits in each process."""
        return array


class Blocks(Group):
    """A :class:`dagnet.contracts.Group`: processes, and into how many blocks they cut a batch."""

    def __init__(self, processes: Processes, blocks: int | None) -> None:
        self.processes, self.blocks, self.rank = processes, blocks, processes.rank

    def gradient(self, model: Model, make: Callable[[], LossGradient]) -> SharedGradient:
        """See :class:`SharedGradient`."""
        return SharedGradient(model, make, self.processes, self.blocks)

    def alike(self, run: Any) -> None:
        """Refuse ranks that begin with something else than the first, each with what differs."""
        said = {name: str(value) for name, value in _begins_with(run).items()}
        text, gather = np.frombuffer(json.dumps(said).encode(), np.uint8), self.processes.gather
        sizes = gather(np.array([len(text)]))[:, 0].tolist()
        room = np.zeros(max(sizes), np.uint8)
        room[: len(text)] = text
        read = (json.loads(bytes(row[:size])) for row, size in zip(gather(room), sizes, strict=True))
        first, *others = read
        for rank, other in enumerate(others, 1):
            wrong = [name for name in {**first, **other} if first.get(name) != other.get(name)]
            if wrong:
                pairs = (
                    (name, shorten(Verbatim(other.get(name))), shorten(Verbatim(first.get(name))))
                    for name in wrong
                )
                listed = "; ".join(f"{name} ({its}, not {own})" for name, its, own in pairs)
                mend = "start all with the same graph, data, arguments and seeds, as fit(seed=0)"
                raise DataError(f"fit: rank {rank} differs from rank 0 in {listed}; {mend}")

    def agreed(self, numbers: Array, alike: Array, wrong: str) -> Array:
        """The numbers of all; :class:`~dagnet.errors.GroupError` where an array is not that of rank 0."""
        digest = hashlib.blake2b(np.ascontiguousarray(alike).data, digest_size=6).digest()
        every = self.processes.gather(np.append(numbers, float(int.from_bytes(digest))))
        for rank, other in enumerate(every):
            if other[-1] != every[0, -1]:
                raise GroupError(f"fit: rank {rank} has {wrong}")
        return np.asarray(every[:, :-1])

    def leave(self, error: BaseException) -> None:
        """See :class:`dagnet.contracts.Group`."""
        self.processes.left = f"{type(error).__name__}: {error}"


def _begins_with(run: Any) -> dict[str, Any]:
    """What all processes must have in common as a run begins."""
    settings, callbacks = run.settings, [type(one).__name__ for one in run.callbacks if not one.shows]
    order = json.dumps(run.drawn_from if settings.shuffle else None, default=np.ndarray.tolist)
    return {
        "dagnet's version": dagnet.__version__,
        "NumPy's version": np.__version__,
        **settings.described(),
        "epochs": run.epochs,
        "engine": run.model.engine,
        **({} if settings.blocks is None else {"threads": run.model.threads}),
        "callbacks": callbacks,
        "metrics": list(run.metrics),
        "X's shape": run.data.inputs.shape,
        **run.fingerprints["data"],
        **{f"the graph's {part}": found for part, found in run.fingerprints["graph"].items()},
        "steps made": run.learner.steps,
        "batches of an epoch made": run.done,
        "the parameters (Network's seed)": data_fingerprint(run.learner.parameters()),
        "the masks (fit's seed)": run.learner.masks,
        "the order of rows (fit's seed)": data_fingerprint(np.frombuffer(order.encode(), np.uint8))[:12],
    }


class SharedGradient(LossGradient):
    """A :class:`LossGradient` of a batch whose inputs are those of :meth:`own` rows alone.

    The derivative is by parameter, (parameters,), and not by slot.  ``make`` gives one for some rows.
    """

    def __init__(
        self, model: Model, make: Callable[[], LossGradient], group: Processes, blocks: int | None
    ) -> None:
        coupling = [head.loss.name for head in model.objective.heads if not head.loss.rowwise]
        if coupling:
            mend = "leave out distributed and blocks"
            raise DataError(f"fit: the loss {coupling[0]!r} couples rows, which several cannot share; {mend}")
        self._model, self._group, self._in_order = model, group, blocks is not None
        self._blocks = blocks or group.size
        n = self._blocks // group.size
        self._first, normalized = group.rank * n, model.layout.normalized
        self._couples = normalized is not None and len(normalized.folds) > 0
        self._each = [make() for _ in range(n if self._couples else 1)]
        self._n, self._room = n, np.empty((0, 0), model.dtype)
        self._slots: list[Array] = []
        self._at_moment: list[Any] = [None] * n
        self._met = threading.Barrier(n)
        self._sums, self._asked = np.zeros(0), False
        self.parts: Parts | None = None

    def _cut(self, block: int, rows: int) -> slice:
        """The rows of a block, of so many; one, which then counts nothing, where it has none."""
        start, stop = block * rows // self._blocks, (block + 1) * rows // self._blocks
        return slice(start, max(stop, start + 1))

    def own(self, rows: int) -> slice:
        """Which of the rows of a batch this process learns from."""
        last = self._first + self._n - 1
        return slice(self._cut(self._first, rows).start, self._cut(last, rows).stop)

    def __call__(
        self, theta: Array, inputs: Array, targets: Array, factor: Array, *, into: Array
    ) -> tuple[float, None]:
        """As :class:`LossGradient` has it, for the targets and factors of the whole batch."""
        heads = isinstance(self._each[0], HeadsGradient)
        totals = self._model.objective.totals(targets, factor) if heads else None
        if not len(self._room):
            self._take_room(len(into), 1 if totals is None else len(totals))
        learn = partial(self._learn, theta, inputs, targets, factor, totals)
        if self._couples and self._n > 1:
            self._side_by_side(learn)
        else:
            for place in range(self._n):
                learn(place)
        if self._couples and not self._asked:
            what = f"engine {self._model.engine!r} does not ask for the moments of others' rows (Draw.summed)"
            raise PluginError(
                f"{what}: no normalisation over rows by several processes; use engine='compiled'"
            )
        found = self._added(self._room)
        into[:] = found[: len(into)]
        if totals is None:
            return float(found[-1]), None
        self.parts = Parts(found[len(into) :].astype(np.float64), totals)
        return self._model.objective.total(self._model.objective.losses(self.parts)), None

    def _take_room(self, parameters: int, ends: int) -> None:
        """A row a block: its derivatives, then its loss, or Σwℓ of the parts of the heads."""
        plan, dtype = self._model.plan, self._model.dtype
        self._room = np.empty((self._n, parameters + ends), dtype)
        self._slots = [row[:parameters] for row in self._room]  # where derivatives by slot are those
        if not self._model.layout.is_direct:
            self._slots = [np.empty(plan.n_slots, dtype) for _ in self._slots]

    def _learn(
        self, theta: Array, inputs: Array, targets: Array, factor: Array, totals: Array | None, place: int
    ) -> None:
        """Find the loss and the gradient of one of the blocks of this process."""
        number, rows = self._first + place, len(targets)
        cut, at = self._cut(number, rows), place if self._couples else 0
        counts = cut.start < (number + 1) * rows // self._blocks
        gradient, slots, start = self._each[at], self._slots[place], self.own(rows).start
        weights = factor[cut] if counts else np.zeros_like(factor[cut])
        if self.draw is not None:
            shares = self.draw.weights[cut] if counts else np.zeros_like(self.draw.weights[cut])
            meet = partial(self._meet, place) if self._couples else None
            gradient.draw = Draw(self.draw.key, shares, self.draw.first + cut.start, meet)
        if isinstance(gradient, HeadsGradient):
            gradient.totals = totals
        with np.errstate(all="ignore"):  # which threads do not inherit
            own = inputs[cut.start - start : cut.stop - start]
            loss, _ = gradient(theta, own, targets[cut], weights, into=slots)
            parts, row = getattr(gradient, "parts", None), self._room[place]
            ends = 1 if parts is None else len(parts.sums)
            self._model.layout.by_parameter(slots, out=row[:-ends])
            row[-ends:] = loss if parts is None else parts.sums
        if self.draw is not None and gradient.draw is not None and self._couples:
            self.draw.mean, self.draw.variance = gradient.draw.mean, gradient.draw.variance

    def _added(self, found: Array) -> Array:
        """The sum over all blocks from what those of this process found, (own blocks, …)."""
        if not self._in_order:
            return self._group.sum(found[0])
        every = self._group.gather(found).reshape(-1, *found.shape[1:])
        result: Array = every[0].copy()
        for other in every[1:]:
            result += other
        return result

    def _meet(self, place: int, sums: Array) -> Array:
        """What the blocks of all processes have in all, at a moment that each comes to."""
        self._at_moment[place] = sums
        if self._met.wait() == 0:
            self._asked = True
            self._sums = self._added(np.stack(self._at_moment))
        self._met.wait()
        return self._sums

    def _side_by_side(self, learn: Callable[[int], None]) -> None:
        """One thread a block; the first error that is not of having waited for another one is raised."""
        errors: list[Exception] = []

        def run(place: int) -> None:
            try:
                learn(place)
            except Exception as error:  # noqa: BLE001 - raised below
                errors.append(error)
                self._met.abort()

        threads = [threading.Thread(target=run, args=(place,), daemon=True) for place in range(1, self._n)]
        for thread in threads:
            thread.start()
        run(0)
        for thread in threads:
            thread.join()
        if errors:
            self._met.reset()
            raise next(
                (one for one in errors if not isinstance(one, threading.BrokenBarrierError)), errors[0]
            )
