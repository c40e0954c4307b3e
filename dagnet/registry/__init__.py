"""Plugins by name: the tables, registration, and the parser for call forms."""

from __future__ import annotations

from collections.abc import Mapping

from dagnet.contracts import Activation, Engine, Exporter, Initializer, Loss, Optimizer
from dagnet.errors import PluginError, expected
from dagnet.registry.kinds import KINDS
from dagnet.registry.lookup import (
    find_activation,
    find_initializer,
    find_loss,
    find_optimizer,
    parse_call,
)
from dagnet.registry.offers import Origin
from dagnet.registry.tables import registry

__all__ = [
    "Origin",
    "activations",
    "engines",
    "exporters",
    "find_activation",
    "find_initializer",
    "find_loss",
    "find_optimizer",
    "initializers",
    "losses",
    "named",
    "optimizers",
    "origin",
    "parse_call",
    "register",
]


def register(obj: object, *, replace: bool = False) -> None:
    """Register a plugin for this process.

    Parameters
    ----------
    obj
        An :class:`Activation`, :class:`Loss`, :class:`Initializer`, :class:`Optimizer` class,
        engine or :class:`Exporter`; or a module or object with hook implementations.
    replace
        Take over names that are registered already.

    Raises
    ------
    PluginError
        For anything else, a taken name, a hook that raises or returns the wrong type.  Then
        nothing is registered.

    Examples
    --------
    >>> import dagnet
    >>> dagnet.register(dagnet.Activation("cube", lambda z: z**3, lambda z, a: 3 * z**2), replace=True)
    >>> "cube" in dagnet.activations()
    True
    """
    registry.load()
    if isinstance(obj, (str, bytes, int, float, type(None))):
        must = "an Activation, Loss, Initializer, Optimizer class, engine, Exporter, or a plugin module"
        raise PluginError(expected("register(): the argument", must, obj))
    owner = _function(obj) or obj
    module = getattr(owner, "__module__", None) or getattr(owner, "__name__", None)
    by = Origin(f"register() in {module}" if isinstance(module, str) else "register()")
    registry.add(obj, by, replace=replace)


def activations() -> Mapping[str, Activation]:
    """All registered activations by name, read-only."""
    return registry.table("activations")


def losses() -> Mapping[str, Loss]:
    """All registered losses by name, read-only."""
    return registry.table("losses")


def initializers() -> Mapping[str, Initializer]:
    """All registered initializers by name, read-only."""
    return registry.table("initializers")


def optimizers() -> Mapping[str, type[Optimizer]]:
    """All registered optimizer classes by name, read-only."""
    return registry.table("optimizers")


def exporters() -> Mapping[str, Exporter]:
    """All registered file formats by name, read-only."""
    return registry.table("exporters")


def engines() -> Mapping[str, Engine]:
    """All registered engines by name, read-only."""
    return registry.table("engines")


def origin(kind: str, name: str) -> Origin | None:
    """Who registered ``name``; ``kind`` is a plural such as ``"activations"``."""
    return registry.origin(kind, name)


def named(item: Activation | Loss | Initializer) -> str:
    """What a message calls it: ``activation 'cube'``, and of which plugin where that is not dagnet.

    Examples
    --------
    >>> named(find_activation("relu"))
    "activation 'relu'"
    """
    kind = next(plural for plural, entry in KINDS.items() if entry.singular == item.kind)
    registered = registry.table(kind).get(item.name)
    source = registry.origin(kind, item.name)
    text = f"{item.kind} {item.name!r}"
    if source is None or source.distribution == "dagnet" or _function(registered) != _function(item):
        return text
    return f"{text} of {source}"


def _function(item: object) -> object:
    """What an activation, a loss, an initializer or an exporter works with."""
    functions = (getattr(item, name, None) for name in ("function", "value", "draw", "write"))
    return next((function for function in functions if callable(function)), None)
