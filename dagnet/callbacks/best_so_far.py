"""What several callbacks share: watching a column of the history for its best value."""

from __future__ import annotations

import math
from typing import Any

from dagnet.contracts import History
from dagnet.errors import DataError, did_you_mean
from dagnet.values import NOT_NEGATIVE, optional, text, whole

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
        better = not math.isnan(value) and (self.best is None or value < self.best - self.min_delta)
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
