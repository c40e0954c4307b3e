"""Typed values as text in formats that people read.

``{"tuple": […]}``, ``{"bytes": "00ff"}``, ``{"float": "nan"}``, ``{"int": "ffff…"}`` beyond 64 bits,
``{"array": [[…]]}``; lists and finite numbers are JSON's own.  The text is plain ASCII, so that it
goes through every file format unharmed.
"""

from __future__ import annotations

import json
import math
from typing import Any, ClassVar

import numpy as np

from dagnet.errors import FormatError, expected
from dagnet.values import DEEPEST, Codec, plain, strict_json

SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class Readable(Codec):
    """Objects with one key, the kind."""

    kinds: ClassVar = {**Codec.kinds, "float": SPECIAL.__getitem__}

    def tag(self, kind: str, *content: Any) -> Any:
        """``{kind: content}``."""
        return {kind: content[0]}

    def untag(self, packed: Any) -> tuple[str, Any]:
        """Kind and content."""
        if isinstance(packed, dict) and len(packed) == 1:
            ((kind, content),) = packed.items()
            return kind, (content,)
        if isinstance(packed, list):
            return "list", (packed,)
        return type(packed).__name__, (packed,)

    def pack_float(self, value: float) -> Any:
        """A number, or its name."""
        return value if math.isfinite(value) else {"float": str(value)}

    def pack_other(self, value: Any, where: str, depth: int, mend: str) -> Any:
        """Lists, and arrays of finite numbers."""
        if type(value) is list and depth < DEEPEST:
            return [self.pack(plain(item), where, depth + 1) for item in value]
        if type(value) is np.ndarray and value.dtype.kind == "f" and np.isfinite(value).all():
            return {"array": value.astype(np.float64).tolist()}
        return super().pack_other(value, where, depth, mend)

    def unpack_other(self, kind: str, content: tuple[Any, ...], depth: int) -> Any:
        """Lists, arrays and finite numbers."""
        if kind == "list":
            return self.unpack_items(content[0], depth)
        if kind == "float" and type(content[0]) is float:
            return content[0]
        if kind == "array":
            array = np.array(content[0], np.float64)
            if np.isfinite(array).all() and array.ndim in (1, 2):
                return array
        return super().unpack_other(kind, content, depth)


READABLE = Readable()


def dumps(value: Any, where: str) -> str:
    """The value as typed JSON text.

    DataError for what no file can bring back as it was.

    Examples
    --------
    >>> print(dumps(("layer", 2), "a name"))
    {"tuple":["layer",2]}
    """
    return json.dumps(READABLE.pack(plain(value), where), separators=(",", ":"), allow_nan=False)


def loads(text: str, where: str) -> Any:
    """The value that :func:`dumps` was given.

    FormatError for anything else.
    """
    return unpack(parse_json(text, where), where)


def unpack(packed: Any, where: str) -> Any:
    """The value of JSON data."""
    try:
        return READABLE.unpack(packed)
    except (TypeError, ValueError, LookupError, OverflowError):
        raise FormatError(expected(where, "typed JSON as dagnet writes it", packed)) from None


def parse_json(text: str | bytes, where: str) -> Any:
    """Strict JSON, or :class:`FormatError` with the place of the first mistake."""
    try:
        return strict_json(text)
    except RecursionError:
        raise FormatError(f"{where}: the JSON is nested too deep; is it a graph?") from None
    except ValueError as error:
        # UnicodeDecodeError prints its whole input
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeError) else str(error)[:200]
        raise FormatError(f"{where}: no valid JSON: {reason}") from None
