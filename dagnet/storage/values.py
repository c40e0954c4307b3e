"""Python values as JSON and back, each with its type and to the bit."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from dagnet.errors import DataError, expected
from dagnet.storage.schema import Bytes, Dict, Float, List, Name, Packed, Tensor, Text, Tuple, Whole
from dagnet.topology import NUMPY

__all__ = ["Arrays", "pack", "pack_name", "unpack", "unpack_name"]

Array = NDArray[Any]
DEEPEST = 100
NAMES = "a str, int, float, bool, None, bytes or a tuple of these, at most 100 deep"
VALUES = f"{NAMES}, a list, a dict with str keys, or an array of booleans, integers or floats"


class Arrays:
    """The arrays met while packing, or at hand while unpacking, by number."""

    def __init__(self, tensors: Mapping[str, Array] | None = None) -> None:
        self.tensors: dict[str, Array] = dict(tensors or {})
        self._left = set(self.tensors)

    def add(self, array: Array) -> int:
        """Keep an array; its number."""
        number = len(self.tensors)
        self.tensors[str(number)] = array
        return number

    def take(self, number: int) -> Array:
        """The array of a number, once."""
        name = str(number)
        if name not in self._left:
            raise ValueError(f"there is no tensor {name} left")
        self._left.remove(name)
        return self.tensors[name]

    def finish(self) -> None:
        """Make sure that all were taken."""
        if self._left:
            raise ValueError("there are tensors that nothing refers to")


# -- packing -----------------------------------------------------------------------------


def pack_name(value: Any, where: str, mend: str = "") -> Name:
    """A name, typed.  NumPy's numbers and strings become Python's, which are equal and find the same node.

    Raises
    ------
    DataError
        For what no file can bring back as it was.
    """
    try:
        return _packed_name(value, 0, plain=True)
    except _Foreign as error:
        raise DataError(expected(where, NAMES, error.args[0], mend)) from None


class _Foreign(Exception):
    pass


def _packed_name(value: Any, depth: int, *, plain: bool = False) -> Name:
    if plain and isinstance(value, NUMPY):
        value = value.item()
    kind = type(value)
    if kind is str:
        return _text(value)
    if kind is bool or value is None:
        return cast("bool | None", value)
    if kind is int:
        return value if _is_small(value) else Whole(format(value, "x"))
    if kind is float:
        return Float(struct.pack(">d", value).hex())
    if kind is bytes:
        return Bytes(value.hex())
    if kind is tuple and depth < DEEPEST:
        return Tuple([_packed_name(item, depth + 1, plain=plain) for item in value])
    raise _Foreign(value)


def _text(value: str) -> str | Text:
    try:
        value.encode()
    except UnicodeEncodeError:
        return Text(value.encode("utf-8", "surrogatepass").hex())
    return value


def pack(value: Any, arrays: Arrays, where: str, depth: int = 0) -> Packed:
    """A value of a snapshot; arrays are put aside into ``arrays``.

    Raises
    ------
    DataError
        For what no file can bring back as it was; it names the place.
    """
    if type(value) is list and depth < DEEPEST:
        return List([pack(item, arrays, f"{where}[{n}]", depth + 1) for n, item in enumerate(value)])
    if type(value) is dict and depth < DEEPEST and all(type(key) is str for key in value):
        items = [pack(item, arrays, f"{where}[{key!r}]", depth + 1) for key, item in value.items()]
        return Dict([_text(key) for key in value], items)
    if isinstance(value, np.generic) or type(value) is np.ndarray:
        array = np.asarray(value)
        if array.dtype.kind in "biuf" and array.dtype.itemsize <= 8:
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            return Tensor(arrays.add(little), isinstance(value, np.generic))
    try:
        return _packed_name(value, depth)
    except _Foreign as error:
        raise DataError(expected(where, VALUES, error.args[0])) from None


# -- unpacking ---------------------------------------------------------------------------


def unpack_name(packed: Packed, depth: int = 0) -> Any:
    """The value that :func:`pack_name` was given."""
    if packed is None or type(packed) in {bool, str}:
        return packed
    if type(packed) is int:
        if not _is_small(packed):
            raise ValueError("an integer is spelled in an unusual way")
        return packed
    return _UNPACK[type(packed)](packed, depth)


def _is_small(value: int) -> bool:
    return -(2**63) <= value < 2**63


def _unpack_float(packed: Float, _: int) -> float:
    return float(struct.unpack(">d", bytes.fromhex(packed.bits))[0])


def _unpack_whole(packed: Whole, _: int) -> int:
    value = int(packed.digits, 16)
    if _is_small(value):
        raise ValueError("an integer is spelled in an unusual way")
    return value


def _unpack_text(packed: Text, _: int) -> str:
    value = bytes.fromhex(packed.data).decode("utf-8", "surrogatepass")
    if type(_text(value)) is str:
        raise ValueError("a string is spelled in an unusual way")
    return value


def _unpack_tuple(packed: Tuple, depth: int) -> tuple[Any, ...]:
    if depth >= DEEPEST:
        raise ValueError(f"tuples are nested more than {DEEPEST} deep")
    return tuple(unpack_name(item, depth + 1) for item in packed.items)


_UNPACK: dict[type, Callable[[Any, int], Any]] = {
    Float: _unpack_float,
    Whole: _unpack_whole,
    Text: _unpack_text,
    Bytes: lambda packed, _: bytes.fromhex(packed.data),
    Tuple: _unpack_tuple,
}


def unpack(packed: Packed, arrays: Arrays, depth: int = 0) -> Any:
    """The value that :func:`pack` was given; arrays are fresh and writable."""
    if depth > DEEPEST:
        raise ValueError(f"values are nested more than {DEEPEST} deep")
    if isinstance(packed, List):
        return [unpack(item, arrays, depth + 1) for item in packed.items]
    if isinstance(packed, Dict):
        keys = [unpack_name(key) for key in packed.keys]
        values = [unpack(item, arrays, depth + 1) for item in packed.items]
        result = dict(zip(keys, values, strict=True))
        if len(result) != len(keys):
            raise ValueError("a key is there twice")
        return result
    if isinstance(packed, Tensor):
        array = arrays.take(packed.number).copy()
        if packed.scalar and array.ndim:
            raise ValueError("a scalar has a dimension")
        return array[()] if packed.scalar else array
    return unpack_name(packed, depth)
