"""Values in safe files, each with its type and to the bit.

A tag is the first letter of the kind: ``["f", 64 bits in hex]``, ``["i", hex]`` beyond 64 bits,
``["s", hex]`` for strings with lone surrogates, ``["b", hex]``, ``["t", items]``; in checkpoints also
``["l", items]``, ``["d", keys, items]`` and ``["a", number of the tensor, whether it is a scalar]``.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from dagnet.arrays import Array
from dagnet.values import DEEPEST, NAMES, Codec, plain


class Exact(Codec):
    """Lists that begin with a letter."""

    kinds: ClassVar = {
        **Codec.kinds,
        "float": lambda bits: float(struct.unpack(">d", int(bits, 16).to_bytes(8, "big"))[0]),
        "str": lambda data: bytes.fromhex(data).decode("utf-8", "surrogatepass"),
    }
    letters: ClassVar = {kind[0]: kind for kind in (*kinds, "tuple", "list", "dict", "array")}

    def tag(self, kind: str, *content: Any) -> Any:
        """``[letter, content]``."""
        return [kind[0], *content]

    def untag(self, packed: Any) -> tuple[str, Any]:
        """Kind and content."""
        if type(packed) is list and packed and type(packed[0]) is str and packed[0] in self.letters:
            return self.letters[packed[0]], tuple(packed[1:])
        raise ValueError("a value has an unknown tag")

    def pack_text(self, value: str) -> Any:
        """Text, which may be no valid Unicode."""
        try:
            value.encode()
        except UnicodeEncodeError:
            return self.tag("str", value.encode("utf-8", "surrogatepass").hex())
        return value

    def pack_float(self, value: float) -> Any:
        """All 64 bits, most significant first."""
        return self.tag("float", struct.pack(">d", value).hex())


class Snapshot(Exact):
    """Also lists, dicts and arrays; arrays are put aside as tensors, and each is taken back once."""

    takes = f"{NAMES}, a list, a dict with str keys, or an array of booleans, integers or floats"

    def __init__(self, tensors: Mapping[str, Array] | None = None) -> None:
        self.tensors: dict[str, Array] = dict(tensors or {})

    def pack_other(self, value: Any, where: str, depth: int, mend: str) -> Any:
        """Containers name the place of what they hold."""
        if type(value) is list and depth < DEEPEST:
            return ["l", [self.pack(item, f"{where}[{n}]", depth + 1) for n, item in enumerate(value)]]
        if type(value) is dict and depth < DEEPEST and all(type(key) is str for key in value):
            items = [self.pack(item, f"{where}[{key!r}]", depth + 1) for key, item in value.items()]
            return ["d", [self.pack_text(key) for key in value], items]
        if isinstance(value, np.generic) or type(value) is np.ndarray:
            array = np.asarray(value)
            if array.dtype.kind in "biuf" and array.dtype.itemsize <= 8:
                name = str(len(self.tensors))
                self.tensors[name] = array.astype(array.dtype.newbyteorder("<"), copy=False)
                return ["a", int(name), isinstance(value, np.generic)]
        return super().pack_other(value, where, depth, mend)

    def unpack_other(self, kind: str, content: tuple[Any, ...], depth: int) -> Any:
        """Arrays are fresh and writable."""
        if kind == "list" and len(content) == 1:
            return self.unpack_items(content[0], depth)
        if kind == "dict" and len(content) == 2:
            keys, values = (self.unpack_items(items, depth) for items in content)
            if not all(type(key) is str for key in keys) or len(set(keys)) != len(keys):
                raise ValueError("a key is there twice, or no text")
            return dict(zip(keys, values, strict=True))
        if kind == "array" and [type(item) for item in content] == [int, bool]:
            number, scalar = content
            array = self.tensors.pop(str(number), None)
            if array is None or (scalar and array.ndim):
                raise ValueError(f"there is no tensor {number} left, or a scalar has a dimension")
            return array.copy()[()] if scalar else array.copy()
        return super().unpack_other(kind, content, depth)


EXACT = Exact()


def pack_name(value: Any, where: str, mend: str = "") -> Any:
    """A name, typed.  NumPy's numbers and strings become Python's, which are equal and find the same node.

    DataError for what no file can bring back as it was.
    """
    return EXACT.pack(plain(value), where, mend=mend)


def unpack_name(packed: Any) -> Any:
    """The value that :func:`pack_name` was given, or ``ValueError``."""
    return EXACT.unpack(packed)
