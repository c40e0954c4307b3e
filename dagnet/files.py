"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dagnet.values import PATH


@contextlib.contextmanager
def atomically(path: object) -> Iterator[BinaryIO]:
    """A binary stream whose bytes become the file ``path`` when the block ends, and only then.

    They are written to a temporary file in the same folder, synced to the disk, and renamed
    onto ``path``; if anything fails, the file that was there before stays as it was.  A
    symbolic link stays one: its target is replaced.  Permissions of a replaced file are kept,
    one that may not be written is refused.  What is no ordinary file (``/dev/stdout``) is
    written to directly.
    """
    given = PATH.check("path", path)
    before = given.stat() if given.exists() else None
    if before is not None and not stat.S_ISREG(before.st_mode):  # a pipe's name leads nowhere by itself
        with given.open("wb") as stream:
            yield stream
        return
    target = Path(os.path.realpath(given))
    if target.is_symlink():  # leads round in a circle
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(given))
    as_effective = os.access in os.supports_effective_ids
    if before is not None and not os.access(target, os.W_OK, effective_ids=as_effective):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
    temporary = target.parent / f".dagnet-{os.urandom(8).hex()}.tmp"
    descriptor = _created(temporary, target)
    try:
        with open(target, "wb", opener=lambda *_: descriptor) as stream:
            if before is not None:
                _keep_permissions(stream.fileno(), before)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(target.parent)


def _created(temporary: Path, target: Path) -> int:
    """The descriptor of a new file; an error names the file that was asked for."""
    try:
        return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error


def _keep_permissions(descriptor: int, before: os.stat_result) -> None:
    if not hasattr(os, "fchown"):
        return
    # Only root may give a file away; for all others the new file is theirs, as in most editors.
    with contextlib.suppress(PermissionError):
        os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(before.st_mode) & 0o777)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable; where a folder cannot be opened (Windows), it is not needed."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
