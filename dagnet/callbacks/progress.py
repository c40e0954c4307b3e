"""What tells how a run goes on: a log of the epochs as a CSV file, and the progress bar."""

from __future__ import annotations

import csv
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, TextIO, TypeVar

from dagnet.contracts import Callback, Run
from dagnet.values import FLAG, PATH, optional

T = TypeVar("T")
PROGRESS = optional(FLAG, "None for a bar on a terminal or in a notebook only")


def _is_watched() -> bool:
    """Whether standard error is a terminal, or what a notebook shows below a cell."""
    return sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel")


def _is_wanted(progress: object) -> bool:
    """Whether to draw a bar: always, never, or (None) where somebody watches."""
    wanted: bool | None = PROGRESS.check("progress", progress)
    return _is_watched() if wanted is None else wanted


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

    shows: ClassVar[bool] = True

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
        kept = (line for line in lines[1:] if line and line[0].isdigit() and int(line[0]) <= epoch)
        return [*lines[:1], *kept]

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


class ProgressBar(Callback):
    """A bar on standard error, or in the notebook: epoch, loss, validation loss, rows a second.

    Parameters
    ----------
    always
        Draw it where standard error is neither a terminal nor a notebook's, too.

    Examples
    --------
    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([1, 1]), seed=0)
    >>> _ = net.fit([[1.0]], [1.0], epochs=2, callbacks=[ProgressBar()])  # silent: no terminal here
    """

    every_batch: ClassVar[bool] = False
    shows: ClassVar[bool] = True

    def __init__(self, *, always: bool = False) -> None:
        self.always: bool = FLAG.check("always", always)
        self._bar: Any = None

    def on_training_begin(self, run: Run) -> None:
        """Draw the empty bar."""
        if not (self.always or _is_watched()):
            return
        with warnings.catch_warnings():  # without ipywidgets a notebook has the terminal's bar
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm  # noqa: PLC0415 - only runs that draw pay for it

        self._bar = tqdm(
            total=run.epochs * run.rows,
            initial=run.epoch * run.rows,
            unit=" rows" if run.batches > 1 else " epochs",
            unit_scale=run.batches > 1 or 1 / run.rows,
            file=sys.stderr,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}, {rate_fmt}{postfix}",
            dynamic_ncols=True,
        )

    def on_epoch_begin(self, run: Run) -> None:
        """Show the epoch's number."""
        if self._bar is not None:
            self._bar.set_description_str(f"epoch {run.epoch}/{run.epochs}", refresh=False)

    def on_batch_end(self, run: Run) -> None:
        """Move on by the batch's rows."""
        if self._bar is not None:
            done = (run.epoch - 1) * run.rows + run.rows * run.batch // run.batches
            self._bar.update(done - self._bar.n)

    def on_epoch_end(self, run: Run) -> None:
        """Show the epoch's losses."""
        if self._bar is not None:
            self._bar.update(run.epoch * run.rows - self._bar.n)
            last = {name.replace("_", " "): column[-1] for name, column in run.history.items()}
            shown = ", ".join(f"{name} {value:.4g}" for name, value in last.items())
            self._bar.set_postfix_str(shown, refresh=False)

    def on_training_end(self, _run: Run) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def watched(items: Iterable[T], total: int, progress: object) -> Iterable[T]:
    """The items, with a bar that counts them where it is wanted."""
    if not _is_wanted(progress):
        return items
    from tqdm import tqdm  # noqa: PLC0415 - only runs that draw pay for it

    return tqdm(items, total=total, unit=" fits", file=sys.stderr, dynamic_ncols=True)


def with_progress(callbacks: Iterable[Callback], progress: object) -> Iterable[Callback]:
    """The callbacks, and a bar where it is wanted and they have none."""
    listed = isinstance(callbacks, (list, tuple))
    if not _is_wanted(progress) or not listed or any(isinstance(item, ProgressBar) for item in callbacks):
        return callbacks
    return [*callbacks, ProgressBar(always=progress is not None)]
