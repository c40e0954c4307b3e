"""Checkpoints: files from which a run goes on to the same bits."""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from dagnet.callbacks.watching import COUNT
from dagnet.contracts import Callback, Run
from dagnet.errors import DagnetWarning
from dagnet.values import PATH, one_of


class Checkpoint(Callback):
    """Write the whole state of the run to one safe file, for ``fit(…, resume=path)``.

    The file is replaced whole or not at all, so a crash at any moment leaves the last good one.
    It is written every so many epochs, after the last epoch, and when the run is stopped.

    Parameters
    ----------
    path
        The file.
    every
        Epochs from one checkpoint to the next.
    on_error
        What to do where it cannot be written, for instance on a full disk: ``"raise"`` stops
        the run with the ``OSError``, ``"warn"`` warns and trains on.

    Examples
    --------
    >>> import dagnet, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "run.dagnet")
    >>> net = dagnet.Network(dagnet.layered([1, 1]), seed=0)
    >>> def train(epochs):
    ...     keep = dagnet.Checkpoint(path)
    ...     return net.fit([[1.0]], [1.0], epochs=epochs, seed=0, callbacks=[keep], resume=path)
    >>> train(2).epochs, train(5).epochs
    (2, 5)
    """

    runs_last: ClassVar[bool] = True
    every_batch: ClassVar[bool] = False
    shows: ClassVar[bool] = True

    def __init__(self, path: str | Path, every: int = 1, on_error: str = "raise") -> None:
        self.path: Path = PATH.check("path", path)
        self.every: int = COUNT.check("every", every)
        self.on_error: str = one_of("raise", "warn").check("on_error", on_error)

    def on_training_begin(self, _run: Run) -> None:
        """See that the file can be written, before the work is done."""
        folder = self.path.absolute().parent
        if not folder.is_dir():
            self._fail(FileNotFoundError(errno.ENOENT, "no such folder for checkpoints", str(folder)))
        elif not os.access(folder, os.W_OK):
            self._fail(PermissionError(errno.EACCES, "checkpoints cannot be written there", str(folder)))

    def on_batch_end(self, run: Run) -> None:
        """Save a run that is stopped amid an epoch."""
        if run.stop and run.batch < run.batches:
            self._save(run)

    def on_epoch_end(self, run: Run) -> None:
        """Save every so many epochs, and the end."""
        if run.epoch % self.every == 0 or run.epoch >= run.epochs or run.stop:
            self._save(run)

    def _save(self, run: Run) -> None:
        from dagnet.storage import save_checkpoint  # noqa: PLC0415 - only runs that save pay for it

        try:
            save_checkpoint(self.path, run.snapshot())
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        if self.on_error == "raise":
            raise error
        text = f"checkpoint {str(self.path)!r} was not written: {error}; training goes on without it"
        warnings.warn(text, DagnetWarning, stacklevel=2)


def found_checkpoint(path: str | Path, callbacks: Iterable[Callback]) -> dict[str, Any] | None:
    """The snapshot in a file; None where there is none yet, but a callback is about to write it."""
    place = PATH.check("resume", path)
    if not place.exists():
        writes = [callback.path.absolute() for callback in callbacks if isinstance(callback, Checkpoint)]
        if place.absolute() in writes:
            return None
        mend = "no checkpoint there, and no dagnet.Checkpoint among the callbacks, or --checkpoint, writes it"
        raise FileNotFoundError(errno.ENOENT, mend, str(place))
    from dagnet.storage import load_checkpoint  # noqa: PLC0415 - only runs that resume pay for it

    return load_checkpoint(place)
