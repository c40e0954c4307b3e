"""What several callbacks share: watching a column of the history for its best value."""

from __future__ import annotations

import math
from typing import Any

from dagnet.contracts import History
from dagnet.errors import DataError, did_you_mean, expected

__all__ = ["Watch", "count", "fraction"]


class Watch:
    """The best value of a column so far, and for how many epochs in a row it was not bettered."""

    def __init__(self, monitor: str | None, min_delta: object) -> None:
        if monitor is not None and not isinstance(monitor, str):
            raise DataError(expected("monitor", "the name of a column of the history, or None", monitor))
        number = isinstance(min_delta, (int, float)) and not isinstance(min_delta, bool)
        if not number or not 0 <= min_delta < math.inf:  # type: ignore[operator]
            raise DataError(expected("min_delta", "a finite number of at least 0", min_delta))
        self.monitor, self.min_delta = monitor, float(min_delta)  # type: ignore[arg-type]
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.best: float | None = None
        self.waited = 0

    def look(self, history: History) -> bool:
        """Take the last epoch in; whether it is the best so far by more than ``min_delta``."""
        value = history[self._column(history)][-1]
        better = not math.isnan(value) and (self.best is None or value < self.best - self.min_delta)
        if better:
            self.best = value
        self.waited = 0 if better else self.waited + 1
        return better

    def _column(self, history: History) -> str:
        if self.monitor is None:
            return "validation_loss" if "validation_loss" in history else "loss"
        if self.monitor not in history:
            mend = did_you_mean(self.monitor, history, listed=8)
            raise DataError(f"monitor: the history has no {self.monitor!r}{mend}")
        return self.monitor

    def state(self) -> dict[str, Any]:
        """For a checkpoint.  An infinite value goes as text, which every format keeps."""
        return {"best": None if self.best is None else repr(self.best), "waited": self.waited}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state` returned."""
        self.best = None if state["best"] is None else float(state["best"])
        self.waited = int(state["waited"])


def count(name: str, value: object, *, least: int = 1) -> int:
    """A checked whole number."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    raise DataError(expected(name, f"a whole number of {least} or more", value))


def fraction(name: str, value: object) -> float:
    """A checked number from 0 to 1."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise DataError(expected(name, "a number from 0 to 1", value))
