"""Activations and losses by name in a file: who provided them, and finding them again."""

from __future__ import annotations

import importlib.metadata
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from dagnet.contracts import Activation, Loss
from dagnet.errors import DagnetError, DagnetWarning, PluginError, shorten
from dagnet.registry import activations, losses, origin
from dagnet.registry.kinds import KINDS
from dagnet.storage.schema import Parameter, Plugin
from dagnet.storage.values import pack_name, unpack_name

DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
TABLES: dict[str, Callable[[], Mapping[str, Any]]] = {"activations": activations, "losses": losses}


def plugin_of(item: Activation | Loss) -> Plugin:
    """What a file says about an activation or a loss.

    PluginError if no process could find it again by its name.
    """
    kind = "activations" if isinstance(item, Activation) else "losses"
    registered = TABLES[kind]().get(item.name)
    if registered is None or registered.bind(**item.parameters) != item:
        what = "is not registered" if registered is None else "is not the one registered by that name"
        raise PluginError(
            f"{item.kind} {shorten(str(item))} {what}, so no file can refer to it; "
            "call dagnet.register(…) with it before saving, and before loading"
        )
    where = f"{item.kind} {item.name!r}: parameter"
    given = item.parameters.items()
    parameters = [Parameter(name, pack_name(value, f"{where} {name}")) for name, value in given]
    source = origin(kind, item.name)
    return Plugin(item.name, parameters, source.distribution, source.version)  # type: ignore[union-attr]


def plugin_for(kind: str, plugin: Plugin) -> Any:
    """The registered thing that a file refers to; ``kind`` is ``"activations"`` or ``"losses"``.

    PluginError if it is missing here; the message says what to install; ValueError if its parameters
    are none.
    """
    what = f"{KINDS[kind].singular} {plugin.name[:60]!r}"
    registered = TABLES[kind]().get(plugin.name)
    if registered is None:
        raise PluginError(f"{what} is not registered here; {_mend(plugin)}")
    source = origin(kind, plugin.name)
    if source is not None and _is_distribution(plugin) and source.distribution != plugin.distribution:
        warnings.warn(
            f"{what} was {_provider(plugin)}'s when the file was written and is {source}'s now; "
            "compare a prediction with one that you know",
            DagnetWarning,
            stacklevel=6,
        )
    values = {parameter.name: unpack_name(parameter.value) for parameter in plugin.parameters}
    if len(values) != len(plugin.parameters):
        raise ValueError(f"{what} has a parameter twice")
    for name, value in values.items():
        if name not in registered.parameters:
            text = f"{what} has no parameter {name[:60]!r} here; the file was written with"
            raise PluginError(f"{text} {_provider(plugin)}: install that version")
        _check_number(f"{what}: parameter {name!r}", value, registered.parameters[name])
    try:
        return registered.bind(**values)
    except DagnetError as error:
        raise ValueError(f"{what} does not take the file's parameters: {error}") from error


def _check_number(where: str, value: object, default: object) -> None:
    """Where the default is a number, anything else would only fail later, and less clearly."""
    if type(default) in {int, float} and not isinstance(value, (int, float)):
        raise ValueError(f"{where} must be a number, got {shorten(value)}")


def _is_distribution(plugin: Plugin) -> bool:
    return DISTRIBUTION.fullmatch(plugin.distribution) is not None


def _provider(plugin: Plugin) -> str:
    return f"{plugin.distribution[:100]} {plugin.version[:40]}".rstrip()


def _mend(plugin: Plugin) -> str:
    if not _is_distribution(plugin):
        text = "it was registered by a script when the file was written: call dagnet.register(…)"
        return f"{text} with it, then load again"
    try:
        here = importlib.metadata.version(plugin.distribution)
    except importlib.metadata.PackageNotFoundError:
        mend = f"if you trust its author, pip install {plugin.distribution}"
        return f"the file was written with {_provider(plugin)}: {mend}"
    return (
        f"the file was written with {_provider(plugin)} and {here} is installed here: "
        "install that version, and see that DAGNET_DISABLE_PLUGINS is not set"
    )
