"""What goes by the history as it grows: early stopping, and learning rates that change by the epoch."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.contracts import Callback, History, Run
from dagnet.errors import DataError, did_you_mean, expected
from dagnet.registry import parse_call
from dagnet.scores import METRICS
from dagnet.values import FACTOR, FLAG, NOT_NEGATIVE, Rule, checked, optional, text, whole

COUNT = whole(1)
COLUMN = optional(text("the name of a column of the history"))

Factor = Callable[[int, int], float]
FORMS: dict[str, dict[str, Rule]] = {
    "constant": {},
    "step": {"every": COUNT, "factor": FACTOR},
    "cosine": {"final": FACTOR},
    "on_plateau": {"factor": FACTOR, "patience": COUNT, "min_delta": NOT_NEGATIVE, "monitor": COLUMN},
}


class BestSoFar:
    """The best value of a column so far, and for how many epochs in a row it was not bettered."""

    def __init__(self, monitor: str | None, min_delta: object) -> None:
        self.monitor: str | None = COLUMN.check("monitor", monitor)
        self.min_delta: float = NOT_NEGATIVE.check("min_delta", min_delta)
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.best: float | None = None
        self.waited = 0

    def update(self, history: History) -> bool:
        """Take the last epoch in; whether it is the best so far by more than ``min_delta``."""
        usual = "validation_loss" if "validation_loss" in history else "loss"
        column = usual if self.monitor is None else self.monitor
        if column not in history:
            what = f"the history has no {column!r}{did_you_mean(column, history, listed=8)}"
            raise DataError(f"monitor: {what}; a callback that records it must be listed before")
        value = history[column][-1]
        if math.isnan(value) and "loss[" in column:
            raise DataError(f"monitor: {column!r} is NaN, as its head has no label; monitor another column")
        sign = -1.0 if column.removeprefix("validation_").split("[")[0] in METRICS else 1.0
        if self.best is None:
            better = not math.isnan(value)
        else:
            better = sign * value < sign * self.best - self.min_delta
        if better:
            self.best = value
        self.waited = 0 if better else self.waited + 1
        return better

    def state(self) -> dict[str, Any]:
        """For a checkpoint.  An infinite value goes as text, which every format keeps."""
        return {"best": None if self.best is None else repr(self.best), "waited": self.waited}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state` returned."""
        self.best = None if state["best"] is None else float(state["best"])
        self.waited = int(state["waited"])


class EarlyStopping(Callback):
    """Stop once the loss has not become better for some epochs, and go back to the best.

    Parameters
    ----------
    patience
        How many epochs in a row may pass without a better value.
    min_delta
        A value is better if it is lower than the best by more than this; a metric's of
        :mod:`dagnet.scores` if it is higher.
    monitor
        The column of the history to watch; None: ``"validation_loss"`` where there is one, else
        ``"loss"``.
    restore_best
        Whether the parameters are those of the best epoch in the end, however training ended;
        not after an error.

    Attributes
    ----------
    best, best_epoch
        The lowest value, and the epoch that had it; None before there is one.
    stopped_epoch
        The epoch after which training was stopped, or None.

    Examples
    --------
    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([1, 1]), seed=0)
    >>> early = EarlyStopping(patience=3, min_delta=1e-3)
    >>> history = net.fit([[0.0], [1.0]], [1.0, 3.0], epochs=1000, learning_rate=0.1, callbacks=[early])
    >>> history.epochs < 1000, early.best_epoch == early.stopped_epoch - 3
    (True, True)
    """

    def __init__(
        self, patience: int = 10, *, min_delta: float = 0.0, monitor: str | None = None,
        restore_best: bool = True,
    ) -> None:  # fmt: skip
        self.patience: int = COUNT.check("patience", patience)
        self.restore_best: bool = FLAG.check("restore_best", restore_best)
        self._best = BestSoFar(monitor, min_delta)
        self._restored = False
        self._forget()

    def _forget(self) -> None:
        self._best.clear()
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._parameters: NDArray[Any] | None = None

    @property
    def best(self) -> float | None:
        """The lowest value so far."""
        return self._best.best

    def on_training_begin(self, run: Run) -> None:
        """Start afresh, or where a checkpoint was taken."""
        if not self._restored:
            self._forget()
        self._restored = False
        if self.stopped_epoch is not None:
            run.stop = True

    def on_epoch_end(self, run: Run) -> None:
        """Keep the best, or stop."""
        if self._best.update(run.history):
            self.best_epoch = run.epoch
            if self.restore_best:
                self._parameters = run.model.vector.copy()
        elif self._best.waited >= self.patience:
            self.stopped_epoch = run.epoch
            run.stop = True

    def on_training_end(self, run: Run) -> None:
        """Go back to the best."""
        if self.restore_best and self._parameters is not None and not run.failed:
            run.model.vector[:] = self._parameters

    def state(self) -> dict[str, Any]:
        """The best so far, with its parameters."""
        kept = None if self._parameters is None else self._parameters.copy()
        epochs = {"best_epoch": self.best_epoch, "stopped_epoch": self.stopped_epoch}
        return {**self._best.state(), **epochs, "parameters": kept}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state` returned."""
        self._restored = True
        self._best.restore(state)
        self.best_epoch, self.stopped_epoch = state["best_epoch"], state["stopped_epoch"]
        self._parameters = None if state["parameters"] is None else np.array(state["parameters"])


class LearningRateSchedule(Callback):
    """The learning rate of each epoch: ``fit``'s learning rate times a factor.

    Parameters
    ----------
    rule
        What the factor is, in epoch e of E (from 1, both less the epochs of ``warm_up``):

        - ``"constant"``: 1.
        - ``"step(every=30, factor=0.1)"``: factor^⌊(e − 1)/every⌋.
        - ``"cosine(final=0.0)"``: final + (1 − final)(1 + cos(π(e − 1)/E))/2.
        - ``"on_plateau(factor=0.1, patience=10, min_delta=0.0, monitor=None)"``: times factor
          whenever ``patience`` epochs in a row were not better by more than ``min_delta``, in
          the column ``monitor`` of the history (None: the validation loss, else the loss).
        - ``function(e, E)``: any factor of your own; it is not the learning rate itself.
    warm_up
        In the first so many epochs the factor rises in equal steps instead, to 1 in the last
        of them.

    Source: Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017
    (cosine); Goyal et al., "Accurate, large minibatch SGD", 2017 (warm-up, steps).

    Examples
    --------
    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([1, 1]), seed=0)
    >>> class Watch(dagnet.Callback):
    ...     seen = []
    ...     def on_epoch_end(self, run):
    ...         self.seen.append(round(run.learning_rate, 3))
    >>> schedule = LearningRateSchedule("step(every=2, factor=0.5)", warm_up=2)
    >>> _ = net.fit([[1.0]], [1.0], epochs=6, learning_rate=0.1, callbacks=[schedule, Watch()])
    >>> Watch.seen
    [0.05, 0.1, 0.1, 0.1, 0.05, 0.05]
    """

    def __init__(self, rule: str | Factor = "constant", *, warm_up: int = 0) -> None:
        self.warm_up: int = whole(0).check("warm_up", warm_up)
        self._best: BestSoFar | None = None
        self._rule = _of_two(rule) if callable(rule) else self._parsed(rule)
        self._base = 0.0
        self._restored = False
        self._reduced = 1.0

    def _parsed(self, rule: object) -> Factor:
        if not isinstance(rule, str):
            raise DataError(expected("rule", "a call form such as 'cosine(final=0.01)' or a function", rule))
        name, positional, named = parse_call(rule)
        if name not in FORMS:
            raise DataError(f"unknown learning rate schedule {name!r}{did_you_mean(name, FORMS, listed=8)}")
        make: Callable[..., Factor] = getattr(self, f"_{name}")
        try:
            given = inspect.signature(make).bind(*positional, **named).arguments
        except TypeError:
            must = f"given only {', '.join(FORMS[name]) or 'no'} arguments"
            raise DataError(expected(f"rule {name!r}", must, rule)) from None
        return make(**checked("", given, {key: FORMS[name][key] for key in given}))

    def _constant(self) -> Factor:
        return lambda _epoch, _epochs: 1.0

    def _step(self, every: int = 30, factor: float = 0.1) -> Factor:
        return lambda epoch, _epochs: factor ** ((epoch - 1) // every)

    def _cosine(self, final: float = 0.0) -> Factor:
        return lambda epoch, epochs: final + (1 - final) * (1 + math.cos(math.pi * (epoch - 1) / epochs)) / 2

    def _on_plateau(
        self, factor: float = 0.1, patience: int = 10, min_delta: float = 0.0, monitor: str | None = None
    ) -> Factor:
        self._best, self._factor, self._patience = BestSoFar(monitor, min_delta), factor, patience
        return lambda _epoch, _epochs: self._reduced

    def on_training_begin(self, run: Run) -> None:
        """Take the rate to start from, unless a checkpoint has said it."""
        if not self._restored:
            self._base, self._reduced = run.learning_rate, 1.0
            if self._best is not None:
                self._best.clear()
        self._restored = False

    def on_epoch_begin(self, run: Run) -> None:
        """Set the epoch's rate."""
        if run.epoch <= self.warm_up:
            factor = run.epoch / self.warm_up
        else:
            factor = self._rule(run.epoch - self.warm_up, run.epochs - self.warm_up)
        run.learning_rate = self._base * factor

    def on_epoch_end(self, run: Run) -> None:
        """On a plateau: reduce."""
        if self._best is None:
            return
        self._best.update(run.history)
        if self._best.waited >= self._patience:
            self._reduced *= self._factor
            self._best.waited = 0

    def state(self) -> dict[str, Any]:
        """The rate that training began with, and what became of it."""
        watched = {} if self._best is None else self._best.state()
        return {"base": self._base, "reduced": self._reduced, **watched}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state` returned."""
        self._restored = True
        self._base, self._reduced = float(state["base"]), float(state["reduced"])
        if self._best is not None:
            self._best.restore(state)


def _of_two(rule: Factor) -> Factor:
    """Refuse a function of the epoch alone now, not in the first epoch."""
    try:
        inspect.signature(rule).bind(1, 1)
    except TypeError as error:
        must = "a function (epoch, epochs) that returns a factor for the learning rate"
        raise DataError(expected("rule", must, rule, str(error))) from error
    except ValueError:  # a built-in that does not say what it takes
        pass
    return rule
