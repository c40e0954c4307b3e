"""The loop: epochs of batches, a history, and callbacks at every joint."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Callback, History, NotFinite
from dagnet.errors import DagnetWarning, DataError, GroupError, NumericalError
from dagnet.model import Model, is_table, with_columns
from dagnet.model.heads import Parts
from dagnet.model.selection import make_generator
from dagnet.topology import fingerprint_by_part
from dagnet.training.blame import culprit, explained
from dagnet.training.learner import ArrayLearner
from dagnet.training.rows import Rows, encode_pair, encode_rows, mean_loss_of, outputs_of, parts_of, per_epoch
from dagnet.training.settings import Settings, checked_callbacks, listening
from dagnet.values import NOT_NEGATIVE

AT_ONCE = 50_000_000
"""Edges times rows that are learned from in one go, some tenths of a second, before anybody is told."""


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
        if class_weight is not None:
            weights = _scoring().class_weights(
                model.objective, self.data.targets, self.data.weights, class_weight
            )
            self.data = replace(self.data, weights=weights / weights.max())
        self.metrics = {} if metrics == () else _scoring().checked_metrics(metrics)
        self.validation = validation_data
        if validation_data is not None:
            how = validation_data, "validation_data", columns, missing
            self.validation = encode_pair(model, *how, named=is_table(X))
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
        self.history = History()
        self.stop = self.failed = self._lacking = False
        self.generator = make_generator(settings.seed)
        arrays = settings.optimizer.searches or settings.distributed is not None or not self.data.whole
        own = None if arrays else model.runner.learner(model, self.data, settings)
        self.learner = own or ArrayLearner(model, self.data, settings)
        if model.plan.trains_otherwise:
            self.learner.masks = int(self.generator.integers(2**63))
        self.loss_sum = self.weight_sum = 0.0
        self.head_sums: list[Array] = []
        """Σwℓ and Σw of the parts of the heads in the epoch in progress, where there are several."""
        self.done = 0
        """Batches of the epoch in progress that are behind us; 0 between epochs."""
        self.drawn_from = self.generator.bit_generator.state
        """The generator's state from which the order of the epoch in progress was drawn."""
        self._learning_rate = settings.learning_rate
        self._order: Array | None = None
        self._listen()
        self._several = self._at_once() if self.learner.takes_several and not coupling else 0
        self._refuse_noise()

    def _listen(self) -> None:
        self._heard = [one for one in self.callbacks if self.first or not one.shows]
        joints = Callback.on_batch_begin, Callback.on_gradient, Callback.on_batch_end
        found = [listening(self._heard, joint) for joint in joints]
        self._at_batch_begin, self._at_gradient, self._at_batch_end = found
        steering = [one for one in self.callbacks if not one.shows]
        self._steered = any(listening(steering, joint) for joint in joints)

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
                    self._train_epoch()
            except BaseException:
                self.failed = True
                raise
            finally:
                self._bring_back()
        return self.history

    def _train_epoch(self) -> None:
        self.epoch = self.history.epochs + 1
        if not self.done:
            self.loss_sum, self.weight_sum, self.head_sums = 0.0, 0.0, []
            self._tell(callback.on_epoch_begin for callback in self._heard)
            self._agree()
            if self.stop:
                return
        if self.settings.shuffle:
            self.drawn_from = self.generator.bit_generator.state
            self._order = self.generator.permutation(self.rows)
        for _ in self.data.turns(self):
            if self.stop:
                return
            if not (self._several and self._train_several()):
                self._train_batch(self.done)
                if self._steered:
                    self._agree()
        self._record()
        self._tell(callback.on_epoch_end for callback in self._heard)
        self._agree()

    def _agree(self) -> None:
        """Go on as the first process does."""
        if (group := self.settings.distributed) is not None:
            mine = np.array([self.stop, self._learning_rate])
            stop, self._learning_rate = group.agreed(mine, self.model.vector).tolist()
            self.stop = bool(stop)

    def _train_several(self) -> bool:
        """Learn from the next batches in one go, if the learner can; whether it did from any."""
        last = min(self.batches, self.done + self._several)
        starts = np.arange(self.done, last + 1) * self.size
        starts[-1] = self.rows if last == self.batches else starts[-1]
        order = np.arange(self.rows) if self._order is None else self._order
        losses = self.learner.several(order, starts, self._learning_rate)
        for loss, weight in zip(losses, np.diff(starts).tolist(), strict=False):
            self.loss = loss
            self.loss_sum += loss * weight
            self.weight_sum += weight
        if losses:
            self.done = self.batch = self.done + len(losses)
            self._tell(self._at_batch_end)
        return bool(losses)

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
        plan = self.model.plan
        return max(1, AT_ONCE // ((len(plan.sources) + plan.n_units) * self.size))

    def _refuse_noise(self) -> None:
        """Refuse what gives an optimizer that searches another gradient than that of one smooth loss."""
        given, size = vars(self.settings), self.settings.batch_size
        wrong = [f"{name}={given[name]!r}" for name in ("l1", "clip_norm", "clip_value") if given[name]]
        wrong += ["callbacks with on_gradient"] if self._at_gradient else []
        wrong += ["dropout"] if self.model.topology.node_words.get("dropout") else []
        mend = [f"write batch_size={self.rows} or more, not {size}"] if size < self.rows else []
        mend += [f"leave out {', '.join(wrong)}"] if wrong else []
        if mend and self.settings.optimizer.searches:
            what = f"optimizer {self.settings.optimizer.name!r} searches along the loss of all rows as it is"
            raise DataError(f"{what}: {', '.join(mend)}; or use 'adam'")

    def _lacks(self, rows: Array | slice) -> bool:
        """Whether a batch has nothing that the loss learns from; the first one is said."""
        loss = self.model.objective.one  # of several heads, those that lack something add nothing
        if loss is None or loss.lacks is None:
            return False
        targets = self.data.targets[rows]
        what = loss.lacks(targets[~np.isnan(targets).any(axis=1)], *loss.arguments)
        if what and not self._lacking:
            text = f"fit: {self._where()} lacks {what} for the loss {loss.name!r}: such batches make no step"
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
            with np.errstate(all="ignore"):
                if len(objective.heads) == 1:
                    values["validation_loss"] = mean_loss_of(self.model, validation, self.size)
                else:
                    parts = parts_of(self.model, validation, self.size)
                    values["validation_loss"] = objective.total(objective.losses(parts))
                    values |= objective.by_name(parts, "validation_loss")
        self.history.append(**values, **self._scores())
        self.done = 0
        self.drawn_from = self.generator.bit_generator.state

    def _scores(self) -> dict[str, float]:
        """The metrics, of the validation rows where there are some; of several heads also each one's."""
        rows, begin = (self.data, "") if self.validation is None else (self.validation, "validation_")
        found: dict[str, float] = {}
        if self.metrics:
            outputs = np.concatenate([part.copy() for _, part in outputs_of(self.model, rows, self.size)])
        for name, metric in self.metrics.items():
            scores = _scoring().scores_of(self.model.objective, outputs, rows.targets, metric)
            found[begin + name] = _scoring().mean_score(scores)
            if len(scores) > 1:
                found |= {f"{begin}{name}[{head}]": score for head, score in scores.items()}
        return found


def _scoring() -> Any:
    """Metrics and weights of classes, for runs that ask: ``import dagnet`` need not pay for them."""
    from dagnet.model import scoring  # noqa: PLC0415 - see above

    return scoring
