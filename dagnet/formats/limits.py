"""How much of a stranger's file is read."""

from __future__ import annotations

from typing import BinaryIO

from dagnet.errors import FormatError

LARGEST = 1 << 30


def bounded(stream: BinaryIO) -> bytes:
    """All bytes of a stream, up to a gibibyte.

    Raises
    ------
    FormatError
        If there are more.
    """
    data = stream.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise FormatError(f"the file is larger than {LARGEST >> 20:,} MiB; dagnet.load reads larger networks")
    return data
