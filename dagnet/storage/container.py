"""The container: safetensors, a JSON document, and a digest.

The file starts with 8 bytes, the length of the header, and the header with the document, the
document with its format version and SHA-256.  The digest is over the whole file with its own 64
characters taken as zeros.  Reading trusts nothing: sizes first, then the digest, then the
header; every byte of the file has exactly one meaning.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import msgspec
import numpy as np
import safetensors.numpy

from dagnet.arrays import Array, memory_bytes
from dagnet.errors import DagnetError, DataError, FormatError, expected
from dagnet.files import atomically
from dagnet.storage.documents import FORMAT, MOST_DIMENSIONS, Document
from dagnet.values import PATH, strict_json

NO_DIGEST = "0" * 64
LARGEST_HEADER = 100_000_000
"""The limit of the safetensors format."""
LARGEST_PADDING = 63
PREFIX = re.compile(
    rb'\{"__metadata__":\{"dagnet":"\{\\"format\\":([1-9][0-9]{0,8}),\\"sha256\\":\\"([0-9a-f]{64})\\",'
)
LONGEST_PREFIX = 150
DTYPES = {"BOOL": np.dtype("?"), "I8": np.dtype("i1"), "U8": np.dtype("u1")}
DTYPES |= {f"{kind.upper()}{8 * size}": np.dtype(f"<{kind}{size}") for kind in "iuf" for size in (2, 4, 8)}


@dataclass(frozen=True, eq=False)
class Content:
    """What a file holds: its document, and its tensors as read-only arrays over one buffer."""

    name: Path
    document: bytes
    tensors: Mapping[str, Array]


@contextlib.contextmanager
def decoding(name: Path) -> Iterator[None]:
    """Turn whatever a damaged file can cause into one :class:`FormatError`."""
    try:
        yield
    except DagnetError:
        raise
    except (ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        mend = "restore it from a copy"
        if name.suffix not in ("", ".dagnet", ".safetensors"):
            mend += ", or open a graph with dagnet.read_graph"
        raise FormatError(f"{name} is no intact dagnet file: {error}; {mend}") from error


class _Entry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


class _Metadata(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    dagnet: str


# -- writing -----------------------------------------------------------------------------


def write(path: object, document: Document, tensors: Mapping[str, Array]) -> None:
    """Write a file whole or not at all; the document's ``sha256`` must be :data:`NO_DIGEST`."""
    text = msgspec.json.encode(document).decode()
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    data = safetensors.numpy.save(arrays, metadata={"dagnet": text})
    header = int.from_bytes(data[:8], "little")
    if header > LARGEST_HEADER:
        got = f"{header:,} bytes"
        raise DataError(expected("names and settings", "100 MB at most in a file", got, "shorten the names"))
    start, stop = (place + 8 for place in _prefix(data[8 : 8 + LONGEST_PREFIX]).span(2))
    digest = hashlib.sha256(data).hexdigest().encode()
    view = memoryview(data)
    with atomically(path) as stream:
        stream.write(view[:start])
        stream.write(digest)
        stream.write(view[stop:])


def _prefix(head: bytes) -> re.Match[bytes]:
    match = PREFIX.match(head)
    if match is None:
        raise ValueError("it does not begin as dagnet's files do")
    return match


# -- reading -----------------------------------------------------------------------------


def read(path: object, kind: str) -> Content:
    """Read and check a file of a kind, ``"model"`` or ``"checkpoint"``.

    FormatError for anything that :func:`write` did not write, bit for bit, and for the other kind.
    """
    name: Path = PATH.check("path", path)
    with decoding(name):
        version, header, data = _verified(_whole(name))
        if version > FORMAT:
            mend = f"it has format {version} and this dagnet reads format {FORMAT}; upgrade dagnet"
            raise FormatError(f"{name} was written by a newer dagnet: {mend}")
        document, tensors = _parsed(header, data)
        found = msgspec.json.decode(document, type=_Peek).kind
    if found != kind:
        mends = {"checkpoint": "pass it to fit(resume=…)", "model": "open it with dagnet.load"}
        raise FormatError(expected(str(name), f"a {kind}", f"a {found}", mends.get(found, "")))
    return Content(name, document, tensors)


class _Peek(msgspec.Struct):
    kind: str


def _whole(name: Path) -> bytearray:
    """All bytes of a file that begins as dagnet's files do."""
    # Without O_NONBLOCK, opening a named pipe waits for a writer that may never come.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(name, "rb", opener=lambda path, _: os.open(path, flags)) as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not an ordinary file")
        size, head = status.st_size, stream.read(8 + LONGEST_PREFIX)
        length = int.from_bytes(head[:8], "little")
        if size < 8 or length > min(size - 8, LARGEST_HEADER):
            raise ValueError(f"the header cannot be {length:,} bytes in a file of {size:,}")
        _prefix(head[8 : 8 + length])
        if size > memory_bytes():  # a sparse file costs its writer nothing
            raise ValueError(f"it is of {size:,} bytes, more than this machine's memory")
        data = bytearray(size)
        data[: len(head)] = head
        if len(head) + stream.readinto(memoryview(data)[len(head) :]) < size:
            raise ValueError("it ends too early")
        if len(data) > size or stream.read(1):
            raise ValueError("it grows while it is read")
    return data


def _verified(data: bytearray) -> tuple[int, bytes, memoryview]:
    """Format version, header and tensors of a file whose digest is right."""
    view, stop = memoryview(data), 8 + int.from_bytes(data[:8], "little")
    header = bytes(view[8:stop])
    match = _prefix(header[:LONGEST_PREFIX])
    first, last = (8 + place for place in match.span(2))
    digest = hashlib.sha256(view[:first])
    digest.update(NO_DIGEST.encode())
    digest.update(view[last:])
    if digest.hexdigest().encode() != match[2]:
        raise ValueError("its SHA-256 does not match")
    return int(match[1]), header, view[stop:]


# -- the header --------------------------------------------------------------------------


def _parsed(header: bytes, data: memoryview) -> tuple[bytes, dict[str, Array]]:
    """The document and the tensors; ``ValueError`` and the like for whatever is odd."""
    text = header.decode("utf-8").rstrip(" ")
    if len(header) - len(text.encode()) > LARGEST_PADDING:
        raise ValueError("the header is padded with more than alignment needs")
    entries = strict_json(text, parse_float=_no_number)
    if not isinstance(entries, dict) or not text.endswith("}"):
        raise ValueError("the header is no object")
    metadata = msgspec.convert(entries.pop("__metadata__"), _Metadata)
    table = msgspec.convert(entries, dict[str, _Entry])
    return metadata.dagnet.encode(), _tensors(table, data)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]} in the header is no integer")


def _tensors(table: Mapping[str, _Entry], data: memoryview) -> dict[str, Array]:
    """Views of the data; together they cover it without gap or overlap."""
    place, tensors = 0, {}
    for name, entry in sorted(table.items(), key=lambda item: item[1].data_offsets):
        begin, end = entry.data_offsets
        dtype = DTYPES.get(entry.dtype)
        if dtype is None:
            raise ValueError(f"tensor {name[:40]!r} has the unknown dtype {entry.dtype[:20]!r}")
        if len(entry.shape) > MOST_DIMENSIONS or any(not 0 <= length < 2**40 for length in entry.shape):
            raise ValueError(f"tensor {name[:40]!r} has an impossible shape")
        count = math.prod(entry.shape)
        if begin != place or end != begin + count * dtype.itemsize or end > len(data):
            raise ValueError(f"tensor {name[:40]!r} is not where it should be")
        array = np.ndarray(entry.shape, dtype, data, begin)
        array.flags.writeable = False
        if dtype.kind == "b" and (array.view("u1") > 1).any():
            raise ValueError(f"tensor {name[:40]!r} holds other than true and false")
        tensors[name] = array
        place = end
    if place != len(data):
        raise ValueError("there are bytes that belong to no tensor")
    return tensors
