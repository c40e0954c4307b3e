"""What a value may be, and how one goes into a file and a digest with its type.

Rules say, as data, what ``fit``, callbacks, attributes and the parameters of plugins may be; NumPy's
scalars count as the Python values that they equal, everywhere.

:class:`Codec` makes JSON data of Python values and keeps their types: one walk, spelled in two ways.
``None``, ``True``, ``False``, text and whole numbers of 64 bits stand for themselves.  What JSON has
no word for is tagged with its kind; how a tag looks is the spelling's own: safe files write
``["t", […]]`` (:mod:`dagnet.storage.documents`), formats that people read ``{"tuple": […]}``
(:mod:`dagnet.formats.plain_attributes`).
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from numbers import Real
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dagnet.errors import DataError, expected

ALONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Rule:
    """One setting's constraint.

    Parameters
    ----------
    must
        What the message says that the setting must be.
    holds
        ``holds(value, settings) -> bool``; ``settings`` are all values by name, of which those
        that come earlier have been checked.
    convert
        Brings an accepted value to the plain Python type that keeps float32 arrays float32.
    """

    must: str
    holds: Callable[[Any, Mapping[str, Any]], bool]
    convert: Callable[[Any], Any] = float

    def check(self, where: str, value: Any, settings: Mapping[str, Any] = ALONE, *, mend: str = "") -> Any:
        """The value, converted, or :class:`DataError`.

        Examples
        --------
        >>> whole(1).check("patience", np.int64(3))
        3
        """
        if not self.holds(value, settings):
            raise DataError(expected(where, self.must, value, mend))
        return self.convert(value)


def checked(where: str, settings: Mapping[str, Any], rules: Mapping[str, Rule]) -> dict[str, Any]:
    """The settings, converted; those without a rule pass, NumPy's scalars as Python's.

    DataError for the first setting that breaks its rule.

    Examples
    --------
    >>> checked("optimizer 'sgd'", {"learning_rate": 1}, {"learning_rate": POSITIVE})
    {'learning_rate': 1.0}
    """
    result = {name: plain(value) for name, value in settings.items()}
    for name, rule in rules.items():
        result[name] = rule.check(f"{where}: {name}" if where else name, settings[name], result)
    return result


def is_number(value: object, _settings: object = None) -> bool:
    """Whether a value is a real number that a float can hold; True and False are not."""
    if type(value) is float:
        return not math.isnan(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return not math.isnan(float(value))
    except OverflowError:
        return False


def _is_within(value: Any, _settings: object, low: float, high: float) -> bool:
    return is_number(value) and low <= float(value) <= high


def _is_whole(value: object, _settings: object, least: int, most: float = math.inf) -> bool:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return whole and least <= int(value) <= most  # type: ignore[call-overload]


def _is_a(value: object, _settings: object, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, kinds)


def _is_among(value: object, _settings: object, choices: tuple[str, ...]) -> bool:
    return isinstance(value, str) and value in choices


def _is_none_or(value: object, settings: Mapping[str, Any], rule: Rule) -> bool:
    return value is None or rule.holds(value, settings)


def _none_or(value: object, convert: Callable[[Any], Any]) -> Any:
    return None if value is None else convert(value)


def _are_betas(value: Any, settings: Mapping[str, Any]) -> bool:
    pair = isinstance(value, (tuple, list)) and len(value) == 2
    return pair and all(FRACTION.holds(beta, settings) for beta in value)


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _is_path(value: object, _settings: object) -> bool:
    return isinstance(value, (str, os.PathLike)) and str(value) != "" and "\0" not in str(value)


def between(must: str, low: float, high: float) -> Rule:
    """A number from ``low`` to ``high``, both included."""
    return Rule(must, partial(_is_within, low=low, high=high))


def whole(least: int, most: int | None = None) -> Rule:
    """A whole number; 2.0 is none."""
    if most is None:
        return Rule(f"a whole number of {least} or more", partial(_is_whole, least=least), int)
    return Rule(f"a whole number from {least} to {most:,}", partial(_is_whole, least=least, most=most), int)


def one_of(*choices: str) -> Rule:
    """One of some words."""
    return Rule(" or ".join(map(repr, choices)), partial(_is_among, choices=choices), str)


def optional(rule: Rule, none: str = "None") -> Rule:
    """What the rule says, or None; ``none`` says what that means."""
    convert = partial(_none_or, convert=rule.convert)
    return Rule(f"{rule.must}, or {none}", partial(_is_none_or, rule=rule), convert)


def text(must: str) -> Rule:
    """A string; ``must`` says of what."""
    return Rule(must, partial(_is_a, kinds=(str,)), str)


LARGEST, SMALLEST = sys.float_info.max, math.ulp(0.0)
NUMBER = Rule("a number", is_number)
FINITE = between("a finite number", -LARGEST, LARGEST)
POSITIVE = between("a finite number above 0", SMALLEST, LARGEST)
NOT_NEGATIVE = between("a finite number of at least 0", 0.0, LARGEST)
FRACTION = between("a number from 0 up to, but without, 1", 0.0, math.nextafter(1.0, 0.0))
FACTOR = between("a number from 0 to 1", 0.0, 1.0)
FLAG = Rule("True or False", partial(_is_a, kinds=(bool, np.bool_)), bool)
BETAS = Rule("a pair of numbers, each from 0 up to, but without, 1", _are_betas, _floats)
PATH = Rule("the name of a file, a string or a Path", _is_path, Path)


def as_real(value: object) -> NDArray[Any] | None:
    """``value`` as a float64 array, or None where it is not made of real numbers."""
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O" and all(isinstance(item, int) for item in array.ravel()):
            return np.array([_as_float(item) for item in array.ravel()]).reshape(array.shape)
    except Exception:  # noqa: BLE001 - whatever a stranger's object raises, it is no number
        return None
    if array.dtype.kind not in "iuf":
        return None
    with np.errstate(over="ignore"):
        return array.astype(np.float64)


def _as_float(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


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
        "str": lambda data: bytes.fromhex(data).decode("utf-8", "surrogatepass"),
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
        try:
            value.encode()
        except UnicodeEncodeError:
            return self.tag("str", value.encode("utf-8", "surrogatepass").hex())
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
        """The value as JSON data; DataError for what no file can bring back as it was."""
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
