"""What activations, losses and initializers share: a name, parameters, the call form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, ClassVar

from dagnet.errors import PluginError, did_you_mean, expected
from dagnet.values import Rule, checked


def checked_name(kind: str, name: object) -> str:
    """The name of a plugin, which graphs and call forms refer to."""
    if not isinstance(name, str) or not name.isidentifier():
        raise PluginError(expected(f"{kind}: name", "an identifier such as 'my_name'", name))
    return name


def checked_function(where: str, function: object) -> None:
    """Refuse what cannot be called."""
    if not callable(function):
        raise PluginError(expected(where, "a function", function))


@dataclass(frozen=True, eq=False, repr=False)
class Parametric:
    """A named thing with parameters that a call form such as ``"elu(alpha=0.5)"`` can set."""

    kind: ClassVar[str] = ""
    functions: ClassVar[tuple[str, ...]] = ()
    name: str

    def __post_init__(self) -> None:
        checked_name(self.kind, self.name)
        given, where = self._parameters(), f"{self.kind} {self.name!r}"
        for place, name in enumerate(self.functions):
            if place == 0 or getattr(self, name) is not None:
                checked_function(f"{where}: {name}", getattr(self, name))
        if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
            raise PluginError(expected(f"{where}: parameters", "a mapping from name to default value", given))
        rules: Mapping[str, Rule] = self.rules  # type: ignore[attr-defined]
        object.__setattr__(self, "parameters", MappingProxyType(checked(where, given, rules)))

    # Each subclass declares `parameters` itself, so that the field order is the documented one.
    @property
    def arguments(self) -> tuple[Any, ...]:
        """The parameters' values in their declared order, as the functions take them."""
        return tuple(self._parameters().values())

    def _parameters(self) -> Mapping[str, Any]:
        return self.parameters  # type: ignore[attr-defined]

    def bind(self, *values: Any, **named: Any) -> Any:
        """A copy with some parameters set, by position or by name.

        Raises
        ------
        PluginError
            For too many values, an unknown name, or a name given twice.
        """
        known = self._parameters()
        where = f"{self.kind} {self.name!r}"
        if len(values) > len(known):
            raise PluginError(expected(f"{where}: arguments", f"at most {len(known)} values", values))
        given = dict(zip(known, values, strict=False))
        for key, value in named.items():
            if key not in known:
                mend = did_you_mean(key, known, listed=8) or "; it takes no parameters"
                raise PluginError(f"{where} has no parameter {key!r}{mend}")
            if key in given:
                raise PluginError(f"{where}: parameter {key!r} is given twice")
            given[key] = value
        return replace(self, parameters={**known, **given})  # type: ignore[call-arg]

    def __str__(self) -> str:
        inside = ", ".join(f"{key}={value!r}" for key, value in self._parameters().items())
        return f"{self.name}({inside})" if inside else self.name

    def __repr__(self) -> str:
        return f"<{self.kind} {self}>"

    def _identity(self) -> tuple[Any, ...]:
        rest = (getattr(self, item.name) for item in fields(self) if item.name not in {"parameters", "rules"})
        return (*rest, tuple(self._parameters().items()))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((type(self), self.name, tuple(map(repr, self.arguments))))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "parameters": dict(self._parameters())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, parameters=MappingProxyType(state["parameters"]))
