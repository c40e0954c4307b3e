"""From what a user wrote to the plugin: names, call forms, objects."""

from __future__ import annotations

import ast
import inspect
from typing import Any, cast

from dagnet.contracts import Activation, Initializer, Loss, Optimizer
from dagnet.errors import PluginError, expected
from dagnet.registry.kinds import KINDS
from dagnet.registry.tables import registry

LONGEST = 1000
"""Characters in a call form: the parser of a deeply nested one could exhaust the stack."""


def parse_call(text: str) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """Split ``"elu(alpha=0.5)"`` into name, positional and keyword arguments.

    Arguments are Python literals; nothing is evaluated.

    Raises
    ------
    PluginError
        If the text is not a name or a call of a name with literals.

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


def find_loss(spec: object) -> Loss:
    """The loss for a name, a call form or a :class:`Loss`."""
    return cast("Loss", _find("losses", Loss, spec)).refreshed()


def find_initializer(spec: object) -> Initializer:
    """The initializer for a name, a call form or an :class:`Initializer`."""
    return cast("Initializer", _find("initializers", Initializer, spec))


def find_optimizer(spec: object) -> Optimizer:
    """The optimizer for a name, a call form, an :class:`Optimizer` or a subclass of it."""
    if isinstance(spec, Optimizer):
        return spec
    if inspect.isclass(spec) and issubclass(spec, Optimizer):
        cls, positional, named = spec, (), dict[str, Any]()
    elif isinstance(spec, str):
        name, positional, named = parse_call(spec)
        cls = registry.find("optimizers", name)
    else:
        raise PluginError(expected("an optimizer", "a name, a call form or an Optimizer", spec))
    try:
        return cls(*positional, **named)
    except TypeError as error:
        accepted = ", ".join(inspect.signature(cls).parameters)
        raise PluginError(f"optimizer {cls.name!r}: {error}; it takes {accepted}") from error
