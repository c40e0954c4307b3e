"""What a plugin offers: its hooks called once, every item checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pluggy

from dagnet import hookspecs
from dagnet.errors import PluginError, Verbatim, did_you_mean, expected, shorten
from dagnet.registry.kinds import KINDS, Kind

GROUP = "dagnet"
MOST_ITEMS = 10_000
Offer = tuple[str, str, Any]
"""One item of a plugin, checked: its kind, a plural such as ``"activations"``, its name, and itself."""
NEWER = "; if it is no slip, the plugin needs a newer dagnet: pip install --upgrade dagnet"


@dataclass(frozen=True)
class Origin:
    """Where a plugin came from: a distribution with its version, or a script or module."""

    distribution: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".rstrip()


def offers(plugin: object, origin: Origin) -> list[Offer]:
    """All that ``plugin`` offers: itself, or what its hook implementations return.

    Raises
    ------
    PluginError
        For a plugin without hook implementations, a hook that does not exist, raises or returns
        something else than it must.
    """
    for kind, entry in KINDS.items():
        if entry.fits(plugin):
            return [_checked(kind, plugin, f"{entry.singular} of {origin}")]
    found = []
    functions = _implementations(plugin, origin)
    for kind, entry in KINDS.items():
        for function in functions.get(entry.hook, ()):
            where = f"{entry.hook} of plugin {_label(plugin)} ({origin})"
            found += [_checked(kind, item, where) for item in _returned(function, entry, where)]
    return found


def _implementations(plugin: object, origin: Origin) -> dict[str, list[Callable[[], Any]]]:
    """The plugin's functions by hook, found by a pluggy manager that lives as long as this call."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    hooks = [entry.hook for entry in KINDS.values()]
    try:
        manager.register(plugin)
        manager.check_pending()
    except Exception as error:
        wrong = [name for name in dir(plugin) if name.startswith(f"{GROUP}_") and name not in hooks]
        mend = did_you_mean(wrong[0], hooks) + NEWER if wrong else ""
        raise PluginError(f"plugin {_label(plugin)} of {origin}: {error}{mend}") from error
    found = {
        caller.name: [implementation.function for implementation in caller.get_hookimpls()]
        for caller in manager.get_hookcallers(plugin) or ()
    }
    if not found:
        raise PluginError(
            f"plugin {_label(plugin)} of {origin} has no hook implementation; "
            f"decorate one of {', '.join(hooks)} with @dagnet.hookimpl, or pass an Activation, Loss, …"
        )
    for name in hooks:
        if name not in found and callable(getattr(plugin, name, None)):
            raise PluginError(f"{name} of plugin {_label(plugin)} ({origin}) must carry @dagnet.hookimpl")
    return found


def _returned(function: Callable[[], Any], entry: Kind, where: str) -> list[Any]:
    """Call a hook and consume what it returns, so that a generator fails here and nowhere else."""
    try:
        result = function()
        if isinstance(result, str) or not hasattr(result, "__iter__"):
            raise PluginError(expected(f"{where}: result", f"an iterable, each item {entry.must}", result))
        items = list(islice(result, MOST_ITEMS + 1))
    except PluginError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"{where} raised {type(error).__name__}: {error}") from error
    if len(items) > MOST_ITEMS:
        raise PluginError(expected(f"{where}: result", f"at most {MOST_ITEMS:,} items", Verbatim("more")))
    return items


def _checked(kind: str, item: Any, where: str) -> Offer:
    entry = KINDS[kind]
    if not entry.fits(item):
        raise PluginError(expected(f"{where}: each item", entry.must, item))
    name = getattr(item, "name", None)
    if not isinstance(name, str) or not name.isidentifier():
        raise PluginError(expected(f"{where}: name", "an identifier such as 'my_name'", name))
    return kind, name, item


def _label(plugin: object) -> str:
    return str(getattr(plugin, "__name__", None) or shorten(plugin))
