"""The loop: epochs of batches, a history, and callbacks at every joint."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import cached_property
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Callback, History, NotFinite
from dagnet.errors import DagnetWarning, GroupError, NumericalError
from dagnet.model import Model, Parts, is_table, make_generator, with_columns
from dagnet.topology import fingerprint_by_part
from dagnet.training.blame import culprit, explained
from dagnet.training.learner import ArrayLearner
from dagnet.training.rows import (
    Rows,
    bounds,
    encode_pair,
    encode_rows,
    lacking,
    per_epoch,
    scores,
    scoring,
    validation_losses,
    weighed,
)
from dagnet.training.settings import Agreement, Settings, checked_callbacks, listening, refuse_noise
from dagnet.values import NOT_NEGATIVE

AT_ONCE, UNHEARD = 50_000_000, 2**16
"""Edges times rows learned from in one go, tenths of a second, before somebody is told; rows, if nobody."""


class TrainingRun:
    """One run of ``fit``, from its checked arguments to its history.

    Parameters
    ----------
    model
        What learns; its parameters are changed in place.
    X, y, sample_weight, validation_data, columns
        As for ``Network.fit``; they are encoded here, once.  X may be :class:`Rows` in place of X, y
        and sample_weight.
    settings
        How to train.
    callbacks
        Called in this order, those with ``runs_last`` after all others; at the end of training
        in the reverse order.

    Examples
    --------
    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([1, 1]), seed=0)
    >>> run = TrainingRun(net, [[1.0], [2.0]], [2.0, 4.0], Settings(epochs=3))
    >>> len(run.train()["loss"])
    3
    """

    def __init__(
        self,
        model: Model,
        X: Any,
        y: Any,
        settings: Settings,
        *,
        sample_weight: Any = None,
        validation_data: Any = None,
        columns: Any = None,
        missing: str = "refuse",
        metrics: Any = (),
        class_weight: Any = None,
        callbacks: Iterable[Callback] = (),
    ) -> None:
        self.model, self.settings = model, settings
        model.refresh()
        known = isinstance(X, Rows)
        self.data = X if known else encode_rows(model, with_columns(X, columns), y, sample_weight, missing)
        self.data = self.data if class_weight is None else weighed(model, self.data, class_weight)
        self.metrics = {} if metrics == () else scoring().checked_metrics(metrics)
        how = validation_data, "validation_data", columns, missing
        self.validation = None if validation_data is None else encode_pair(model, *how, named=is_table(X))
        self.callbacks = checked_callbacks(callbacks)
        self.rows, self.epochs = len(self.data), settings.epochs
        self.size = min(settings.batch_size, self.rows)
        self.batches = per_epoch(model, self.rows, self.size)
        coupling = [head.loss.name for head in model.objective.heads if not head.loss.rowwise]
        self.first = settings.distributed is None or settings.distributed.rank == 0
        if (self.batches > 1 or not self.data.whole) and coupling:
            text = f"fit: the loss {coupling[0]!r} couples rows, and here those of a batch alone"
            text += f"; batch_size={self.rows} takes all" * self.data.whole
            warnings.warn(text, DagnetWarning, stacklevel=3)
        self.epoch, self.batch, self.loss = 0, 0, float("nan")
        self.stop = self.failed = self._lacking = False
        self.history, self.generator = History(), make_generator(settings.seed)
        arrays = settings.optimizer.searches or settings.distributed is not None or not self.data.whole
        own = None if arrays else model.runner.learner(model, self.data, settings)
        self.learner = own or ArrayLearner(model, self.data, settings)
        if model.layout.plan.trains_otherwise:
            self.learner.masks = int(self.generator.integers(2**63))
        self.loss_sum = self.weight_sum = 0.0
        self.head_sums: list[Array] = []
        """Σwℓ and Σw of the parts of the heads in the epoch in progress, where there are several."""
        self.done = 0
        """Batches of the epoch in progress that are behind us; 0 between epochs."""
        self._drawn_from: Any = None  # while an epoch is in progress
        self._learning_rate = settings.learning_rate
        self._order: Array | None = None
        self._listen()
        plain = type(self.generator) is np.random.Generator  # one of its own kind may draw orders otherwise
        self._unheard = plain and not self.callbacks and not self.metrics and self.validation is None
        self._several = self._at_once() if self.learner.takes_several and not coupling else 0
        self._bounds: Any = bounds(self.rows, self.size, self.batches) if self._several else None
        refuse_noise(settings, model, self.rows, listened=bool(self._at_gradient))

    def _listen(self) -> None:
        self._heard = [one for one in self.callbacks if self.first or not one.shows]
        joints = Callback.on_batch_begin, Callback.on_gradient, Callback.on_batch_end
        if self.settings.distributed is not None:
            steering = [one for one in self.callbacks if not one.shows]
            agree = Agreement(steered=any(listening(steering, joint) for joint in joints))
            # before those that keep what was agreed, as checkpoints do
            self._heard = sorted([*self._heard, agree], key=lambda one: one.shows and one.runs_last)
        found = [listening(self._heard, joint) for joint in joints] if self._heard else [[], [], []]
        self._at_batch_begin, self._at_gradient, self._at_batch_end = found

    @property
    def drawn_from(self) -> Any:
        """The generator's state from which the order of the epoch in progress, or of the next, is drawn."""
        return self._drawn_from or self.generator.bit_generator.state

    @property
    def learning_rate(self) -> float:
        """What the next step uses; a callback may set it."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate = NOT_NEGATIVE.check("learning_rate", value)

    @cached_property
    def fingerprints(self) -> dict[str, dict[str, str]]:
        """Of the graph and the data, part by part."""
        validation = "none" if self.validation is None else self.validation.fingerprint()
        data = {"the data": self.data.fingerprint(), "the validation data": validation}
        graph = fingerprint_by_part(self.model.topology)
        graph |= {"loss": str(self.model.objective.default), "dtype": self.model.dtype.name}
        return {"graph": graph, "data": data}

    def snapshot(self) -> dict[str, Any]:
        """All that an exact resume needs; see :func:`dagnet.training.restore`.

        Arrays are copies.  Inside an epoch ``epoch`` counts the complete ones, ``batch`` the
        batches since, and ``generator`` is the state from which the epoch's order was drawn.
        """
        kept = [(callback, callback.state()) for callback in self.callbacks]
        return {
            "epoch": self.history.epochs,
            "batch": self.done,
            "steps": self.learner.steps,
            "masks": self.learner.masks,
            "learning_rate": self._learning_rate,
            "loss_sum": self.loss_sum,
            "weight_sum": self.weight_sum,
            "head_sums": [array.copy() for array in self.head_sums],
            # As text: its integers are larger than most formats keep.
            "generator": json.dumps(self.drawn_from, default=np.ndarray.tolist),
            "parameters": self.learner.parameters().copy(),
            "optimizer": {name: vector.copy() for name, vector in self.learner.state().items()},
            "history": {name: np.array(column) for name, column in self.history.items()},
            "callbacks": [{"name": type(one).__name__, "state": state} for one, state in kept if state],
            "settings": self.settings.described(),
            **self.fingerprints,
        }

    # -- the loop ------------------------------------------------------------------------

    def train(self) -> History:
        """Train until ``epochs`` are complete or a callback sets ``stop``.

        A run that is stopped amid an epoch records nothing for it.

        Raises
        ------
        NumericalError
            If the loss became NaN or infinite; the parameters are those before the batch.
        """
        self.epoch = self.history.epochs
        with ExitStack() as endings:
            for callback in self._heard:
                endings.callback(callback.on_training_end, self)
            try:
                self._tell(callback.on_training_begin for callback in self._heard)
                while self.history.epochs < self.epochs and not self.stop:
                    if not self._train_epochs():
                        self._train_epoch()
            except BaseException as error:
                self.failed = True
                if self.settings.distributed is not None and not isinstance(error, NumericalError):
                    self.settings.distributed.leave(error)
                raise
            finally:
                self._bring_back()
        return self.history

    def _train_epoch(self) -> None:
        self.epoch = self.history.epochs + 1
        if not self.done:
            self.loss_sum, self.weight_sum, self.head_sums = 0.0, 0.0, []
            self._tell(callback.on_epoch_begin for callback in self._heard)
            if self.stop:
                return
        if self.settings.shuffle:
            self._drawn_from = self.generator.bit_generator.state
            self._order = self.generator.permutation(self.rows)
        for _ in self.data.turns(self):
            if self.stop:
                return
            if not (self._several and self._train_several()):
                self._train_batch(self.done)
        self._record()
        self._tell(callback.on_epoch_end for callback in self._heard)

    def _train_several(self) -> bool:
        """Learn from the next batches in one go, if the learner can; whether it did from any."""
        batches = self.done, min(self.batches - self.done, self._several)
        order = np.arange(self.rows) if self._order is None else self._order
        losses = self.learner.several(order, self._bounds[0], batches, self._learning_rate)
        if len(losses):
            self._learned_from(losses)
            self._tell(self._at_batch_end)
        return len(losses) > 0

    def _learned_from(self, losses: Array) -> None:
        """Add the next batches to the epoch in progress, one after the other."""
        last = self.done + len(losses)
        sizes = self._bounds[1][self.done : last]
        sums = np.add.accumulate(np.append(self.loss_sum, losses * sizes))
        self.loss_sum, self.loss = float(sums[-1]), float(losses[-1])
        self.weight_sum, self.done, self.batch = self.weight_sum + float(sizes.sum()), last, last

    def _train_epochs(self) -> bool:
        """Learn from epochs in one go where nobody hears of them, until a step is not calm; whether any."""
        most = min(self._several // self.batches, UNHEARD // self.rows)
        if self.done or not self._unheard or most < 2:
            return False
        count = min(self.epochs - self.history.epochs, most)
        before, epochs = self.generator.bit_generator.state, self.history.epochs
        learner, state = self.learner, self.learner.state()
        kept = learner.parameters().copy(), {name: state[name].copy() for name in state}, learner.steps
        try:
            self._unheard = self._train_unheard(count)
        except BaseException:  # an interruption: as if none of them had begun
            learner.restore(*kept)
            for name in self.history:
                del self.history[name][epochs:]
            self.done, self.generator.bit_generator.state = 0, before
            raise
        if not self._unheard:  # the next epoch draws its order again
            self.generator.bit_generator.state = before
            for _ in range(self.history.epochs - epochs if self.settings.shuffle else 0):
                self.generator.permutation(self.rows)
        return self.done > 0 or self.history.epochs > epochs

    def _train_unheard(self, count: int) -> bool:
        """So many epochs as one call, each recorded; whether all of them."""
        rows, batches, (starts, sizes) = self.rows, self.batches, self._bounds
        orders = np.empty((count, rows), np.int64)
        orders[:] = np.arange(rows)
        if self.settings.shuffle:  # each as by itself
            self.generator.permuted(orders, axis=1, out=orders)
        losses = self.learner.several(orders.reshape(-1), starts, (0, count * batches), self._learning_rate)
        if whole := len(losses) // batches:
            sums = losses[: whole * batches].reshape(whole, batches) * sizes
            if batches > 1:  # one after the other, as batch by batch
                sums = np.add.accumulate(sums, axis=1)
            self.history.extend(loss=(sums[:, -1] / rows).tolist())
        self.epoch = self.history.epochs
        if len(rest := losses[whole * batches :]):
            self.epoch, self.loss_sum, self.weight_sum = self.epoch + 1, 0.0, 0.0
            self._learned_from(rest)
        elif whole:
            self.loss, self.batch = float(losses[-1]), batches
        self._bring_back()
        return len(losses) == count * batches

    def _train_batch(self, number: int) -> None:
        self.batch = number + 1
        if self._at_batch_begin:
            self._tell(self._at_batch_begin)
        rows = self._rows_of(number)
        weight = self.data.weight_of(rows)
        if weight and not self._lacks(rows):  # rows that count nothing teach nothing
            self.loss = self._learn(rows)
            self.loss_sum += self.loss * weight
            self.weight_sum += weight
            self._add_parts(weight)
        self.done = number + 1
        if self._at_batch_end:
            self._tell(self._at_batch_end)

    def _add_parts(self, weight: float) -> None:
        """Of several heads, add what each had; what is left of the loss are penalties."""
        objective, parts = self.model.objective, self.learner.parts()
        if parts is not None:
            self.loss_sum -= objective.total(objective.losses(parts)) * weight
            weights = self.data.weights  # one a row are handed over as shares of the batch
            scale = weight if weights is None or weights.ndim == 1 else 1.0
            found = [parts.sums * scale, parts.totals * scale]
            self.head_sums = [a + b for a, b in zip(self.head_sums or (0.0, 0.0), found, strict=True)]

    def _at_once(self) -> int:
        """How many batches are learned from before anybody has to hear of them; 0 for each by itself."""
        each = [one for one in self.callbacks if one.every_batch]
        if self._at_batch_begin or self._at_gradient or listening(each, Callback.on_batch_end):
            return 0
        plan = self.model.layout.plan
        return max(1, AT_ONCE // ((len(plan.sources) + plan.n_units) * self.size))

    def _lacks(self, rows: Array | slice) -> bool:
        """Whether a batch has nothing that the loss learns from; the first one is said."""
        what = lacking(self.model.objective.one, self.data, rows)
        if what and not self._lacking:
            text = f"fit: {self._where()} lacks {what}: such batches make no step"
            warnings.warn(f"{text}; a larger batch_size helps", DagnetWarning, stacklevel=6)
            self._lacking = True
        return bool(what)

    def _tell(self, listeners: Iterable[Callable[[TrainingRun], None]]) -> None:
        """Call what listens at a joint; what it writes to the network's parameters reaches the learner."""
        elsewhere, parameters = self._bring_back(), self.model.vector
        before = parameters.copy() if elsewhere else parameters
        for listener in listeners:
            listener(self)
            if elsewhere and not np.array_equal(before, parameters):
                before = parameters.copy()
                self.learner.restore(before, self.learner.state(), self.learner.steps)

    def _rows_of(self, number: int) -> Array | slice:
        """The row numbers of a batch."""
        if not self.data.whole:
            return slice(0, len(self.data))
        start = number * self.size
        stop = self.rows if number == self.batches - 1 else start + self.size
        return slice(start, stop) if self._order is None else self._order[start:stop]

    def _learn(self, rows: Array | slice) -> float:
        try:
            return self._step(rows)
        except (NumericalError, GroupError):  # which say so themselves
            raise
        except Exception as error:
            self._bring_back()
            with np.errstate(all="ignore"):
                where = culprit(self.model, self.data, rows, error)
            error.add_note(f"in fit, {self._where()}" + (where and f": {where}"))
            raise

    def _step(self, rows: Array | slice) -> float:
        try:
            return self.learner.step(rows, self._learning_rate, self._show if self._at_gradient else None)
        except NotFinite as found:
            bad = found
        self._bring_back()
        raise explained(bad, self.model, self.data, rows, self._where(), self.settings.optimizer.name)

    def _show(self, gradient: Array) -> None:
        for listener in self._at_gradient:
            listener(self, gradient)

    def _bring_back(self) -> bool:
        """Give the network the parameters of a learner that keeps them elsewhere; whether it does."""
        parameters = self.learner.parameters()
        if parameters is self.model.vector:
            return False
        self.model.vector[:] = parameters
        return True

    def _where(self) -> str:
        return f"epoch {self.epoch}, batch {self.batch}"

    def _record(self) -> None:
        self._bring_back()
        objective, validation = self.model.objective, self.validation
        values = {"loss": self.loss_sum / self.weight_sum}
        if self.head_sums:
            parts = Parts(*self.head_sums)
            values["loss"] += objective.total(objective.losses(parts))
            values |= objective.by_name(parts, "loss")
        if validation is not None:
            values |= validation_losses(self.model, validation, self.size)
        rows, begin = (self.data, "") if validation is None else (validation, "validation_")
        self.history.append(**values, **scores(self.model, rows, self.metrics, self.size, begin))
        self.done, self._drawn_from = 0, None
