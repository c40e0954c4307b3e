"""A log of the epochs as a CSV file."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, TextIO

from dagnet.contracts import Callback, Run
from dagnet.values import PATH


class CSVLog(Callback):
    """Write one line an epoch: epoch, learning rate, and each column of the history.

    Callbacks that record a column of their own must come before this one in the list.
    The file is there to be read while training goes on.  A fresh run begins it anew; a resumed
    run keeps the lines of the epochs behind it, so that the log is that of a run that was never
    interrupted.

    Parameters
    ----------
    path
        The file.

    Examples
    --------
    >>> import dagnet, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "log.csv"
    >>> net = dagnet.Network(dagnet.layered([1, 1]), seed=0)
    >>> _ = net.fit([[1.0]], [1.0], epochs=2, callbacks=[CSVLog(path)])
    >>> path.read_text().splitlines()[0]
    'epoch,learning_rate,loss'
    """

    def __init__(self, path: str | Path) -> None:
        self.path: Path = PATH.check("path", path)
        self._file: TextIO | None = None
        self._columns: list[str] = []

    def on_training_begin(self, run: Run) -> None:
        """Open the file."""
        self._begin(self._lines(run.epoch) if run.epoch else [])

    def _begin(self, lines: list[list[str]]) -> None:
        self._columns = lines[0] if lines else []
        self._file = self.path.open("w", encoding="utf-8", newline="")
        csv.writer(self._file).writerows(lines)
        self._file.flush()

    def _lines(self, epoch: int) -> list[list[str]]:
        """The header and the lines up to an epoch, of the log of an earlier run."""
        if not self.path.exists():
            return []
        with self.path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file))
        return lines[:1] + [
            line for line in lines[1:] if line and line[0].isdigit() and int(line[0]) <= epoch
        ]

    def on_epoch_end(self, run: Run) -> None:
        """Write a line."""
        if self._file is None:
            return
        values: dict[str, Any] = {"epoch": run.epoch, "learning_rate": repr(run.learning_rate)}
        values |= {name: repr(column[-1]) for name, column in run.history.items()}
        if list(values) != self._columns:  # the first epoch, or a callback records one more quantity
            self._file.close()
            earlier = self._lines(run.epoch - 1)[1:]
            self._begin([list(values), *(line + ["nan"] * (len(values) - len(line)) for line in earlier)])
        csv.writer(self._file).writerow(values.values())
        self._file.flush()

    def on_training_end(self, _run: Run) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
