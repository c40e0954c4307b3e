"""What values parameters and settings may take: constraints as data, one wording for all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

from dagnet.errors import DataError, expected

__all__ = [
    "BETAS",
    "FINITE",
    "FLAG",
    "FRACTION",
    "NOT_NEGATIVE",
    "NUMBER",
    "POSITIVE",
    "Rule",
    "checked",
    "is_number",
]


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


def checked(where: str, settings: Mapping[str, Any], rules: Mapping[str, Rule]) -> dict[str, Any]:
    """The settings, converted; those without a rule pass as they are.

    Raises
    ------
    DataError
        For the first setting that breaks its rule.

    Examples
    --------
    >>> checked("optimizer 'sgd'", {"learning_rate": 1}, {"learning_rate": POSITIVE})
    {'learning_rate': 1.0}
    """
    result = dict(settings)
    for name, rule in rules.items():
        if not rule.holds(settings[name], settings):
            raise DataError(expected(f"{where}: {name}", rule.must, settings[name]))
        result[name] = rule.convert(settings[name])
    return result


def is_number(value: object) -> bool:
    """Whether a value is a real number that a float can hold; True and False are not."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return not math.isnan(float(value))
    except OverflowError:
        return False


def _is_number(value: Any, _settings: Mapping[str, Any]) -> bool:
    return is_number(value)


def _is_finite(value: Any, _settings: Mapping[str, Any]) -> bool:
    return is_number(value) and math.isfinite(value)


def _is_positive(value: Any, _settings: Mapping[str, Any]) -> bool:
    return is_number(value) and 0.0 < value < math.inf


def _is_not_negative(value: Any, _settings: Mapping[str, Any]) -> bool:
    return is_number(value) and 0.0 <= value < math.inf


def _is_fraction(value: Any, _settings: Mapping[str, Any]) -> bool:
    return is_number(value) and 0.0 <= value < 1.0


def _is_flag(value: Any, _settings: Mapping[str, Any]) -> bool:
    return isinstance(value, bool)


def _are_betas(value: Any, settings: Mapping[str, Any]) -> bool:
    pair = isinstance(value, (tuple, list)) and len(value) == 2
    return pair and all(_is_fraction(beta, settings) for beta in value)


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


NUMBER = Rule("a number", _is_number)
FINITE = Rule("a finite number", _is_finite)
POSITIVE = Rule("a finite number above 0", _is_positive)
NOT_NEGATIVE = Rule("a finite number of at least 0", _is_not_negative)
FRACTION = Rule("a number from 0 up to, but without, 1", _is_fraction)
FLAG = Rule("True or False", _is_flag, bool)
BETAS = Rule("a pair of numbers, each from 0 up to, but without, 1", _are_betas, _floats)
