"""What values the settings of built-ins may take: constraints as data, one wording for all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from numbers import Real
from types import MappingProxyType
from typing import Any, ClassVar

from dagnet.contracts import Activation, Initializer, Loss, Optimizer
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
    "RuledActivation",
    "RuledInitializer",
    "RuledLoss",
    "RuledOptimizer",
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
    """Whether a value is a real number that a float can hold; a truth value is none."""
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
    return (
        isinstance(value, (tuple, list))
        and len(value) == 2
        and all(_is_fraction(beta, settings) for beta in value)
    )


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


NUMBER = Rule("a number", _is_number)
FINITE = Rule("a finite number", _is_finite)
POSITIVE = Rule("a finite number above 0", _is_positive)
NOT_NEGATIVE = Rule("a finite number of at least 0", _is_not_negative)
FRACTION = Rule("a number from 0 up to, but without, 1", _is_fraction)
FLAG = Rule("True or False", _is_flag, bool)
BETAS = Rule("a pair of numbers, each from 0 up to, but without, 1", _are_betas, _floats)


def _apply(item: Activation | Loss | Initializer, rules: Mapping[str, Rule]) -> None:
    parameters = checked(f"{item.kind} {item.name!r}", item.parameters, rules)
    object.__setattr__(item, "parameters", MappingProxyType(parameters))


@dataclass(frozen=True, eq=False, repr=False)
class RuledActivation(Activation):
    """An activation whose parameters obey rules.

    ``derivative_in_z`` takes the derivative's place while the first parameter is negative:
    then the value no longer tells the sign of z, from which the derivative is read.
    """

    rules: Mapping[str, Rule] = field(default_factory=dict, kw_only=True)
    derivative_in_z: Callable[..., Any] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _apply(self, self.rules)
        if self.derivative_in_z is not None and self.arguments[0] < 0.0:
            object.__setattr__(self, "derivative", self.derivative_in_z)


@dataclass(frozen=True, eq=False, repr=False)
class RuledLoss(Loss):
    """A loss whose parameters obey rules."""

    rules: Mapping[str, Rule] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _apply(self, self.rules)


@dataclass(frozen=True, eq=False, repr=False)
class RuledInitializer(Initializer):
    """An initializer whose parameters obey rules."""

    rules: Mapping[str, Rule] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _apply(self, self.rules)


class RuledOptimizer(Optimizer):
    """An optimizer whose settings obey the class's rules."""

    rules: ClassVar[Mapping[str, Rule]] = {}

    def __post_init__(self) -> None:
        settings = {item.name: getattr(self, item.name) for item in fields(self)}  # type: ignore[arg-type]
        for name, value in checked(f"{self.kind} {self.name!r}", settings, self.rules).items():
            object.__setattr__(self, name, value)
