"""Early stopping, and what several callbacks share: watching a column of the history for its best value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.contracts import Callback, History, Run
from dagnet.errors import DataError, did_you_mean
from dagnet.scores import METRICS
from dagnet.values import FLAG, NOT_NEGATIVE, optional, text, whole

COUNT = whole(1)
COLUMN = optional(text("the name of a column of the history"))


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
            mend = (
                f"{did_you_mean(column, history, listed=8)}; a callback that records it must be listed before"
            )
            raise DataError(f"monitor: the history has no {column!r}{mend}")
        value = history[column][-1]
        if math.isnan(value) and "loss[" in column:
            raise DataError(f"monitor: {column!r} is NaN, as its head has no label; monitor another column")
        sign = -1.0 if column.removeprefix("validation_").split("[")[0] in METRICS else 1.0
        better = not math.isnan(value) and (
            self.best is None or sign * value < sign * self.best - self.min_delta
        )
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
        self,
        patience: int = 10,
        *,
        min_delta: float = 0.0,
        monitor: str | None = None,
        restore_best: bool = True,
    ) -> None:
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
