"""Checkpoints: the snapshot of a training run as a safe file."""

from __future__ import annotations

from typing import Any

from dagnet.errors import DataError, expected
from dagnet.storage.container import NO_DIGEST, decoding, read, write
from dagnet.storage.schema import FORMAT, CheckpointDocument, decode
from dagnet.storage.values import Snapshot


def save_checkpoint(path: object, snapshot: dict[str, Any]) -> None:
    """Write a snapshot, whole or not at all.

    Keys are strings; values are None, bools, integers of any size, floats, strings, bytes, tuples,
    lists, dictionaries with string keys, arrays and NumPy scalars.

    DataError for any other value; the message names its place.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "run.dagnet"
    ...     save_checkpoint(path, {"epoch": 3, "history": {"loss": [0.5, float("inf")]}})
    ...     load_checkpoint(path)
    {'epoch': 3, 'history': {'loss': [0.5, inf]}}
    """
    if type(snapshot) is not dict:
        raise DataError(expected("snapshot", "a dict", snapshot))
    codec = Snapshot()
    content = codec.pack(snapshot, "snapshot")
    document = CheckpointDocument(format=FORMAT, sha256=NO_DIGEST, kind="checkpoint", content=content)
    write(path, document, codec.tensors)


def load_checkpoint(path: object) -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote: the same types and the same bits.

    FormatError if the file is anything else, or was changed by one bit.
    """
    content = read(path)
    content.must_be("checkpoint")
    with decoding(content.name):
        document = decode(content.document, CheckpointDocument)
        codec = Snapshot(content.tensors)
        snapshot = codec.unpack(document.content)
        if type(snapshot) is not dict or codec.tensors:
            raise ValueError("it holds no snapshot, or tensors that nothing refers to")
    return snapshot
