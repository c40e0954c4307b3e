"""Python values as JSON text that keeps their types, and back.

Text, booleans, None, numbers and lists stand for themselves; what JSON does not know is an
object with one key: ``{"tuple": [...]}``, ``{"bytes": "00ff"}``, ``{"float": "nan"}``,
``{"int": "ffff…"}`` beyond 64 bits, ``{"array": [[...]]}``.  The text is plain ASCII, so that
it goes through every file format unharmed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dagnet.errors import DataError, FormatError, expected

__all__ = ["dumps", "loads", "pack", "parse_json", "unpack"]

DEEPEST = 100
NAMES = "a str, int, float, bool, None, bytes or a tuple of these, at most 100 deep"
SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def dumps(value: Any, where: str) -> str:
    """The value as typed JSON text.

    Raises
    ------
    DataError
        For what no file can bring back as it was.

    Examples
    --------
    >>> print(dumps(("layer", 2), "a name"))
    {"tuple":["layer",2]}
    """
    return json.dumps(pack(value, where), separators=(",", ":"), allow_nan=False)


def loads(text: str, where: str) -> Any:
    """The value that :func:`dumps` was given.

    Raises
    ------
    FormatError
        For anything else.
    """
    return unpack(parse_json(text, where), where)


def pack(value: Any, where: str, depth: int = 0) -> Any:
    """The value as plain JSON data."""
    if isinstance(value, np.generic):
        value = value.item()
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        return value if -(2**63) <= value < 2**63 else {"int": format(value, "x")}
    if kind is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if kind is bytes:
        return {"bytes": value.hex()}
    if kind is np.ndarray and value.dtype.kind == "f" and np.isfinite(value).all():
        return {"array": value.astype(np.float64).tolist()}
    if kind in (tuple, list) and depth < DEEPEST:
        items = [pack(item, where, depth + 1) for item in value]
        return {"tuple": items} if kind is tuple else items
    raise DataError(expected(where, NAMES, value))


def unpack(packed: Any, where: str, depth: int = 0) -> Any:
    """The value that :func:`pack` was given."""
    if depth > DEEPEST:
        raise FormatError(f"{where}: values are nested more than {DEEPEST} deep")
    if isinstance(packed, list):
        return [unpack(item, where, depth + 1) for item in packed]
    if not isinstance(packed, dict):
        return packed
    if len(packed) == 1:
        ((tag, inner),) = packed.items()
        if tag == "tuple" and isinstance(inner, list):
            return tuple(unpack(item, where, depth + 1) for item in inner)
        if tag in _UNPACK:
            try:
                return _UNPACK[tag](inner)
            except (TypeError, ValueError, KeyError, OverflowError):
                pass
    raise FormatError(expected(where, "typed JSON as dagnet writes it", packed))


def _array(inner: Any) -> Any:
    array = np.array(inner, np.float64)
    if not np.isfinite(array).all() or array.ndim not in (1, 2):
        raise ValueError
    return array


_UNPACK: dict[str, Callable[[Any], Any]] = {
    "bytes": bytes.fromhex,
    "float": SPECIAL.__getitem__,
    "int": lambda digits: int(digits, 16),
    "array": _array,
}


def parse_json(text: str | bytes, where: str) -> Any:
    """Strict JSON: no NaN, no key twice in one object, no endless nesting.

    Raises
    ------
    FormatError
        With the place of the first mistake.
    """
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_single)
    except RecursionError:
        raise FormatError(f"{where}: the JSON is nested too deep; is it a graph?") from None
    except ValueError as error:
        # UnicodeDecodeError prints its whole input
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeError) else str(error)[:200]
        raise FormatError(f"{where}: no valid JSON: {reason}") from None


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON number; leave the value out")


def _single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice in one object")
    return found
