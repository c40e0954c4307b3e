"""Python values as JSON data that keeps their types, and back: one walk, spelled in two ways.

``None``, ``True``, ``False``, text and whole numbers of 64 bits stand for themselves.  What JSON has
no word for is tagged with its kind; how a tag looks is the spelling's own: safe files write
``["t", […]]`` (:mod:`dagnet.storage.documents`), formats that people read ``{"tuple": […]}``
(:mod:`dagnet.formats.plain_attributes`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from dagnet.errors import DataError, expected

DEEPEST = 100
NAMES = f"a str, int, float, bool, None, bytes or a tuple of these, at most {DEEPEST} deep"
NUMPY = (np.bool_, np.integer, np.float16, np.float32, np.float64, np.str_, np.bytes_)
"""NumPy's scalars that equal a Python object, with the same hash: as names they are the same node."""


def plain(value: Any) -> Any:
    """A scalar of NumPy as the Python value that it equals; anything else as it is."""
    return value.item() if isinstance(value, NUMPY) else value


class Codec:
    """Names of nodes, keys and parameters as JSON data; a subclass says how, and may take more kinds."""

    takes = NAMES
    kinds: ClassVar[dict[str, Callable[[str], Any]]] = {
        "int": lambda digits: int(digits, 16),
        "bytes": bytes.fromhex,
    }
    """How text with a tag is read."""

    def tag(self, kind: str, *content: Any) -> Any:
        """A value of a kind that JSON does not have."""
        raise NotImplementedError

    def untag(self, packed: Any) -> tuple[str, Any]:
        """What :meth:`tag` was given: the kind, and its content as a tuple; ``ValueError`` for all else."""
        raise NotImplementedError

    def pack_text(self, value: str) -> Any:
        """A string."""
        return value

    def pack_float(self, value: float) -> Any:
        """A float."""
        raise NotImplementedError

    def pack_other(self, value: Any, where: str, _depth: int, mend: str) -> Any:
        """A value that is no name."""
        raise DataError(expected(where, self.takes, value, mend))

    def unpack_other(self, kind: str, _content: tuple[Any, ...], _depth: int) -> Any:
        """The value that :meth:`pack_other` was given."""
        raise ValueError(f"a value of the kind {kind[:20]!r} must not stand there")

    def pack(self, value: Any, where: str, depth: int = 0, mend: str = "") -> Any:
        """The value as JSON data.

        Raises
        ------
        DataError
            For what no file can bring back as it was.
        """
        kind = type(value)
        if kind is str:
            return self.pack_text(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return value if -(2**63) <= value < 2**63 else self.tag("int", format(value, "x"))
        if kind is float or kind is bytes:
            return self.pack_float(value) if kind is float else self.tag("bytes", value.hex())
        if kind is tuple and depth < DEEPEST:
            return self.tag("tuple", [self.pack(plain(item), where, depth + 1, mend) for item in value])
        return self.pack_other(value, where, depth, mend)

    def unpack(self, packed: Any, depth: int = 0) -> Any:
        """The value that :meth:`pack` was given; ``ValueError`` for what it would have written otherwise."""
        if packed is None or type(packed) in {bool, str}:
            return packed
        if type(packed) is int and -(2**63) <= packed < 2**63:
            return packed
        kind, content = self.untag(packed)
        if kind in self.kinds and len(content) == 1 and type(content[0]) is str:
            value = self.kinds[kind](content[0])
            if self.pack(value, "") != packed:
                raise ValueError(f"a value of the kind {kind!r} is spelled in an unusual way")
            return value
        if kind == "tuple" and len(content) == 1:
            return tuple(self.unpack_items(content[0], depth))
        return self.unpack_other(kind, content, depth)

    def unpack_items(self, items: Any, depth: int) -> list[Any]:
        """The values in a container."""
        if type(items) is not list or depth >= DEEPEST:
            raise ValueError(f"values are nested more than {DEEPEST} deep, or no list")
        return [self.unpack(item, depth + 1) for item in items]


def strict_json(text: str | bytes, **options: Any) -> Any:
    """JSON without NaN, and with no key twice in one object; ``ValueError`` says what is wrong."""
    return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_single, **options)


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON number; leave the value out")


def _single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice in one object")
    return found
