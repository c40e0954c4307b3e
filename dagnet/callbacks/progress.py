"""The progress bar."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from dagnet.contracts import Callback, Run
from dagnet.values import FLAG, optional

PROGRESS = optional(FLAG, "None for a bar on a terminal only")


class ProgressBar(Callback):
    """A bar on standard error: epoch, loss, validation loss, rows a second.

    Parameters
    ----------
    always
        Draw it where standard error is no terminal, too.

    Examples
    --------
    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([1, 1]), seed=0)
    >>> _ = net.fit([[1.0]], [1.0], epochs=2, callbacks=[ProgressBar()])  # silent: no terminal here
    """

    def __init__(self, *, always: bool = False) -> None:
        self.always: bool = FLAG.check("always", always)
        self._bar: Any = None

    def on_training_begin(self, run: Run) -> None:
        """Draw the empty bar."""
        if not (self.always or sys.stderr.isatty()):
            return
        from tqdm import tqdm  # noqa: PLC0415 - only runs that draw pay for it

        self._bar = tqdm(
            total=run.epochs * run.rows,
            initial=run.epoch * run.rows,
            unit=" rows",
            unit_scale=True,
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
            shown = ", ".join(
                f"{name.replace('_', ' ')} {column[-1]:.4g}" for name, column in run.history.items()
            )
            self._bar.set_postfix_str(shown, refresh=False)

    def on_training_end(self, _run: Run) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def with_progress(callbacks: Iterable[Callback], progress: object) -> Iterable[Callback]:
    """The callbacks, and a bar: always, never, or (None) on a terminal if they have none."""
    wanted = PROGRESS.check("progress", progress)
    if wanted is False or (wanted is None and not sys.stderr.isatty()):
        return callbacks
    if not isinstance(callbacks, (list, tuple)) or any(isinstance(item, ProgressBar) for item in callbacks):
        return callbacks
    return [*callbacks, ProgressBar(always=bool(wanted))]
