"""Plugins by name: the tables, registration, and what a name or a call form stands for."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

from dagnet.contracts import (
    Activation,
    Aggregation,
    Attributor,
    Engine,
    Exporter,
    Initializer,
    Loss,
    Optimizer,
)
from dagnet.errors import DagnetError, PluginError, Verbatim, did_you_mean, expected
from dagnet.registry.tables import KINDS, Origin, registry

__all__ = [
    "KINDS", "Origin", "activations", "aggregations", "attributions", "engines", "exporters",
    "find_activation", "find_aggregation", "find_engine", "find_initializer", "find_loss", "find_optimizer",
    "initializers", "losses", "named", "optimizers", "origin", "parse_call", "register", "spelled",
]  # fmt: skip
REMEMBERED = 64
_made: dict[str, Optimizer] = {}
"""Optimizers of dagnet's own by name or call form: they are values, so one object serves."""
LONGEST = 1000
"""Characters in a call form: the parser of a deeply nested one could exhaust the stack."""


def register(obj: object, *, replace: bool = False) -> None:
    """Register a plugin for this process.

    Parameters
    ----------
    obj
        An :class:`Activation`, :class:`Aggregation`, :class:`Loss`, :class:`Initializer`,
        :class:`Optimizer` class, engine, :class:`Exporter` or :class:`Attributor`; or a module or
        object with hook implementations.
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
        kinds = "an Activation, Aggregation, Loss, Initializer, Optimizer class, engine, Exporter, Attributor"
        must = f"{kinds}, or a plugin module"
        raise PluginError(expected("register(): the argument", must, obj))
    owner = _function(obj) or obj
    module = getattr(owner, "__module__", None) or getattr(owner, "__name__", None)
    by = Origin(f"register() in {module}" if isinstance(module, str) else "register()")
    registry.add(obj, by, replace=replace)


def activations() -> Mapping[str, Activation]:
    """All registered activations by name, read-only; of the other kinds of plugins it is the same.

    >>> activations()["leaky_relu"].parameters["negative_slope"], "max" in aggregations()
    (0.01, True)
    """
    return registry.table("activations")


def aggregations() -> Mapping[str, Aggregation]:
    """All registered aggregations by name, read-only: ``aggregations()["max"]``.

    >>> sorted(aggregations())[:3]
    ['max', 'mean', 'min']
    """
    return registry.table("aggregations")


def losses() -> Mapping[str, Loss]:
    """All registered losses by name, read-only.

    >>> losses()["squared_error"].name
    'squared_error'
    """
    return registry.table("losses")


def initializers() -> Mapping[str, Initializer]:
    """All registered initializers by name, read-only.

    >>> "he_uniform" in initializers()
    True
    """
    return registry.table("initializers")


def optimizers() -> Mapping[str, type[Optimizer]]:
    """All registered optimizer classes by name, read-only.

    >>> "adam" in optimizers()
    True
    """
    return registry.table("optimizers")


def exporters() -> Mapping[str, Exporter]:
    """All registered file formats by name, read-only.

    >>> exporters()["graphml"].suffix
    '.graphml'
    """
    return registry.table("exporters")


def attributions() -> Mapping[str, Attributor]:
    """All registered methods of attribution by name, beside those that are built in; read-only.

    >>> "deeplift" in attributions()
    False
    """
    return registry.table("attributions")


def engines() -> Mapping[str, Engine]:
    """All registered engines by name, read-only.

    >>> "reference" in engines()
    True
    """
    return registry.table("engines")


def origin(kind: str, name: str) -> Origin | None:
    """Who registered ``name``; ``kind`` is a plural such as ``"activations"``."""
    return registry.origin(kind, name)


def named(item: Activation | Aggregation | Loss | Initializer | Attributor) -> str:
    """What a message calls it: ``activation 'cube'``, and of which plugin where that is not dagnet."""
    kind = next(plural for plural, entry in KINDS.items() if entry.singular == item.kind)
    registered = registry.table(kind).get(item.name)
    source = registry.origin(kind, item.name)
    text = f"{item.kind} {item.name!r}"
    if source is None or source.distribution == "dagnet" or _function(registered) != _function(item):
        return text
    return f"{text} of {source}"


def _function(item: object) -> object:
    """What an activation, a loss, an initializer, an exporter or an attributor works with."""
    functions = (getattr(item, name, None) for name in ("function", "value", "draw", "write"))
    return next((function for function in functions if callable(function)), None)


def parse_call(text: str) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """Split ``"elu(alpha=0.5)"`` into name, positional and keyword arguments.

    PluginError for what is no name and no call of a name with Python literals; nothing is evaluated.

    Examples
    --------
    >>> parse_call("sgd(0.1, momentum=0.9)")
    ('sgd', (0.1,), {'momentum': 0.9})
    """
    stripped = text.strip()
    if stripped.isidentifier():
        return stripped, (), {}
    must = "a name or a call form with literal arguments, such as 'elu(alpha=0.5)'"
    refusal = PluginError(expected("a plugin's name", must, text))
    if len(text) > LONGEST:
        raise refusal
    try:
        node = ast.parse(stripped, mode="eval").body
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            raise refusal
        words = [keyword.arg for keyword in node.keywords]
        if None in words or len(set(words)) < len(words):
            raise refusal
        positional = tuple(ast.literal_eval(argument) for argument in node.args)
        named = {cast("str", word.arg): ast.literal_eval(word.value) for word in node.keywords}
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise refusal from error
    return node.func.id, positional, named


def _find(kind: str, cls: type, spec: object) -> Any:
    if isinstance(spec, cls):
        return spec
    if not isinstance(spec, str):
        article = "an" if kind[0] in "aeio" else "a"
        must = f"a name or a dagnet.{cls.__name__}"
        raise PluginError(expected(f"{article} {KINDS[kind].singular}", must, spec))
    name, positional, named = parse_call(spec)
    found = registry.find(kind, name)
    return found.bind(*positional, **named) if positional or named else found


def find_activation(spec: object) -> Activation:
    """The activation for a name, a call form or an :class:`Activation`."""
    return cast("Activation", _find("activations", Activation, spec)).refreshed()


def find_aggregation(spec: object) -> Aggregation:
    """The aggregation for a name, a call form or an :class:`Aggregation`."""
    return cast("Aggregation", _find("aggregations", Aggregation, spec)).refreshed()


def find_engine(spec: str) -> Engine:
    """The engine for a name, or for a call form such as ``"torch(device='cuda')"`` where it has settings.

    Such an engine is a dataclass of its settings.
    """
    name, positional, named = parse_call(spec) if "(" in spec else (spec, (), {})
    table = engines()
    if name not in table:
        mend = "; it comes with the plugin dagnet-torch: install that" if name == "torch" else ""
        mend = mend or did_you_mean(name, ["auto", *table], listed=8)
        raise PluginError(f"unknown engine {name!r}{mend}")
    engine: Any = table[name]
    if not named and not positional:
        return cast("Engine", engine)
    accepted = [item.name for item in dataclasses.fields(engine)] if dataclasses.is_dataclass(engine) else []
    if positional or not set(named) <= set(accepted):
        must = f"with settings by name, {', '.join(accepted)}" if accepted else "without settings"
        raise PluginError(expected(f"engine {name!r}", must, Verbatim(spec)))
    return cast("Engine", dataclasses.replace(engine, **named))


def find_loss(spec: object) -> Loss:
    """The loss for a name, a call form or a :class:`Loss`."""
    return cast("Loss", _find("losses", Loss, spec)).refreshed()


def spelled(item: Any, find: Callable[[str], Any]) -> Any:
    """The call form where the registry gives the same thing back, else the object."""
    try:
        return str(item) if find(str(item)) == item else item
    except DagnetError:
        return item


def find_initializer(spec: object) -> Initializer:
    """The initializer for a name, a call form or an :class:`Initializer`."""
    return cast("Initializer", _find("initializers", Initializer, spec))


def find_optimizer(spec: object) -> Optimizer:
    """The optimizer for a name, a call form, an :class:`Optimizer` or a subclass of it."""
    if spec is Optimizer or type(spec) is Optimizer:
        mend = 'name one, such as "adam", or write a subclass with update()'
        raise PluginError(expected("an optimizer", "one that says how to update", spec, mend))
    if isinstance(spec, Optimizer):
        return spec
    if inspect.isclass(spec) and issubclass(spec, Optimizer):
        cls, positional, named = spec, (), dict[str, Any]()
    elif isinstance(spec, str):
        name, positional, named = parse_call(spec)
        cls = registry.find("optimizers", name)
        if (known := _made.get(spec)) is not None and type(known) is cls:
            return known
    else:
        raise PluginError(expected("an optimizer", "a name, a call form or an Optimizer", spec))
    if not dataclasses.is_dataclass(cls):
        must, mend = "a dataclass of its settings", "write @dataclass(frozen=True) above its class"
        raise PluginError(expected(f"optimizer {cls.name!r}", must, Verbatim(cls.__name__), mend))
    try:
        made = cls(*positional, **named)
    except TypeError as error:
        accepted = ", ".join(inspect.signature(cls).parameters)
        raise PluginError(f"optimizer {cls.name!r}: {error}; it takes {accepted}") from error
    if isinstance(spec, str) and cls.__module__.startswith("dagnet.") and len(_made) < REMEMBERED:
        _made[spec] = made  # frozen, and checked
    return cast("Optimizer", made)
