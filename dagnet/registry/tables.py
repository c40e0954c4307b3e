"""Where plugins are kept: one pluggy manager and typed tables by name.

Built-ins are named here as strings and come in through the door that strangers use.
Distributions (entry-point group ``dagnet``) are loaded at the first look-up, never at import.
Unlike bare pluggy, every returned thing is checked, a taken name is refused naming both
parties, and a plugin that fails anywhere is taken back whole.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pluggy

from dagnet import hookspecs
from dagnet.contracts import Activation, Exporter, Initializer, Loss, Optimizer
from dagnet.errors import DagnetWarning, PluginError, did_you_mean, expected, shorten

__all__ = ["KINDS", "Origin", "Registry", "registry"]

GROUP = "dagnet"
DISABLE = "DAGNET_DISABLE_PLUGINS"
TRACE = "DAGNET_TRACE_PLUGINS"
BUILTINS = (
    "dagnet.builtins.activations_smooth",
    "dagnet.builtins.activations_piecewise",
    "dagnet.builtins.losses",
    "dagnet.builtins.initializers",
    "dagnet.builtins.optimizers",
    "dagnet.engines.reference",
    "dagnet.engines.compiled",
    "dagnet.formats",
)


@dataclass(frozen=True)
class Origin:
    """Where a plugin came from: a distribution with its version, or a script or module."""

    distribution: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".rstrip()


def _is_optimizer(item: object) -> bool:
    return inspect.isclass(item) and issubclass(item, Optimizer)


def _is_engine(item: object) -> bool:
    return not inspect.isclass(item) and all(
        hasattr(item, name) for name in ("name", "priority", "unavailable", "prepare", "fused_step")
    )


@dataclass(frozen=True)
class Kind:
    """One kind of plugin: its hook, what it must be, and how to tell."""

    singular: str
    hook: str
    must: str
    fits: Callable[[object], bool]


def _instances(singular: str, hook: str, cls: type) -> Kind:
    article = "an" if cls.__name__[0] in "AEIOU" else "a"
    return Kind(singular, hook, f"{article} {cls.__name__}", lambda item: isinstance(item, cls))


KINDS: dict[str, Kind] = {
    "activations": _instances("activation", "dagnet_activations", Activation),
    "losses": _instances("loss", "dagnet_losses", Loss),
    "initializers": _instances("initializer", "dagnet_initializers", Initializer),
    "optimizers": Kind("optimizer", "dagnet_optimizers", "a subclass of Optimizer", _is_optimizer),
    "engines": Kind("engine", "dagnet_engines", "an engine", _is_engine),
    "exporters": _instances("exporter", "dagnet_exporters", Exporter),
}


class Registry:
    """The tables.  One instance a process; a lock makes registration safe between threads."""

    def __init__(self) -> None:
        self._pm = pluggy.PluginManager(GROUP)
        self._pm.add_hookspecs(hookspecs)
        self._tables: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        self._origins: dict[tuple[str, str], Origin] = {}
        self._lock = threading.RLock()
        self._loaded = False

    # -- reading -------------------------------------------------------------------------

    def table(self, kind: str) -> Mapping[str, Any]:
        self.load()
        return MappingProxyType(self._tables[kind])

    def origin(self, kind: str, name: str) -> Origin | None:
        self.load()
        return self._origins.get((kind, name))

    def find(self, kind: str, name: str) -> Any:
        table = self.table(kind)
        if name not in table:
            mend = did_you_mean(name, table, listed=12)
            raise PluginError(f"unknown {KINDS[kind].singular} {name!r}{mend}")
        return table[name]

    # -- loading -------------------------------------------------------------------------

    def load(self) -> None:
        if self._loaded:
            return
        with self._lock:
            if self._loaded:
                return
            self._loaded = True
            version = importlib.metadata.version("dagnet") if _installed("dagnet") else ""
            for module in BUILTINS:
                self.add(importlib.import_module(module), Origin("dagnet", version))
            if not os.environ.get(DISABLE):
                self._load_entry_points()

    def _load_entry_points(self) -> None:
        by_distribution: dict[str, list[importlib.metadata.EntryPoint]] = {}
        for point in importlib.metadata.entry_points(group=GROUP):
            name = point.dist.name if point.dist else point.value
            by_distribution.setdefault(name, []).append(point)
        for name, points in sorted(by_distribution.items()):
            self._load_distribution(name, points)

    def _load_distribution(self, name: str, points: list[importlib.metadata.EntryPoint]) -> None:
        version = points[0].dist.version if points[0].dist else ""
        before = self._snapshot()
        try:
            for point in dict.fromkeys(points):
                _trace(f"loading {point.value} of {name} {version}")
                plugin = point.load()
                if not self._pm.is_registered(plugin):
                    self.add(plugin, Origin(name, version))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code may raise anything
            self._restore(before)
            text = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
            warnings.warn(
                f"the plugins of distribution {name!r} {version} are left out: {text}; "
                f"update or uninstall it, or set {DISABLE}=1",
                DagnetWarning,
                stacklevel=2,
            )

    # -- registering ---------------------------------------------------------------------

    def add(self, plugin: object, origin: Origin, *, replace: bool = False) -> None:
        """Register one plugin object whole, or leave everything as it was."""
        with self._lock:
            before = self._snapshot()
            try:
                for kind, item in self._offered(plugin, origin):
                    self._enter(kind, item, origin, replace=replace)
            except BaseException:
                self._restore(before)
                raise

    def _offered(self, plugin: object, origin: Origin) -> Iterator[tuple[str, Any]]:
        for kind, entry in KINDS.items():
            if entry.fits(plugin):
                yield kind, plugin
                return
        if self._pm.is_registered(plugin):
            raise PluginError(
                f"plugin {_label(plugin)} is registered already; leave out the second register()"
            )
        try:
            self._pm.register(plugin)
            self._pm.check_pending()
        except Exception as error:
            raise PluginError(f"plugin {_label(plugin)} of {origin}: {error}") from error
        implementations = {
            caller.name: [impl for impl in caller.get_hookimpls() if impl.plugin is plugin]
            for caller in self._pm.get_hookcallers(plugin) or ()
        }
        if not implementations:
            hooks = ", ".join(entry.hook for entry in KINDS.values())
            raise PluginError(
                f"plugin {_label(plugin)} of {origin} has no hook implementation; "
                f"decorate one of {hooks} with @dagnet.hookimpl, or pass an Activation, Loss, …"
            )
        for kind, entry in KINDS.items():
            for implementation in implementations.get(entry.hook, ()):
                for item in _returned(implementation.function, entry, plugin, origin):
                    yield kind, item

    def _enter(self, kind: str, item: Any, origin: Origin, *, replace: bool) -> None:
        entry, table = KINDS[kind], self._tables[kind]
        if not entry.fits(item):
            raise PluginError(expected(f"{entry.hook} of {origin}: each item", entry.must, item))
        name = item.name
        if not isinstance(name, str) or not name.isidentifier():
            raise PluginError(expected(f"{entry.singular} of {origin}: name", "an identifier", name))
        if name in table and not (replace or table[name] is item):
            raise PluginError(
                f"{entry.singular} {name!r} of {origin} is registered already by "
                f"{self._origins[kind, name]}; choose another name, or pass replace=True to register()"
            )
        _trace(f"{entry.singular} {name} from {origin}")
        table[name] = item
        self._origins[kind, name] = origin

    def _snapshot(self) -> tuple[dict[str, dict[str, Any]], dict[tuple[str, str], Origin], set[Any]]:
        tables = {kind: dict(table) for kind, table in self._tables.items()}
        return tables, dict(self._origins), set(self._pm.get_plugins())

    def _restore(
        self, before: tuple[dict[str, dict[str, Any]], dict[tuple[str, str], Origin], set[Any]]
    ) -> None:
        tables, self._origins, plugins = before[0], before[1], before[2]
        for kind, table in tables.items():
            self._tables[kind].clear()
            self._tables[kind].update(table)
        for plugin in self._pm.get_plugins() - plugins:
            self._pm.unregister(plugin)


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _label(plugin: object) -> str:
    return str(getattr(plugin, "__name__", None) or shorten(plugin))


def _trace(text: str) -> None:
    if os.environ.get(TRACE):
        import sys  # noqa: PLC0415 - only when asked to trace

        sys.stderr.write(f"dagnet plugins: {text}\n")


def _returned(function: Callable[[], Any], entry: Kind, plugin: object, origin: Origin) -> list[Any]:
    """Call a hook and consume what it returns, so that a generator fails here and nowhere else."""
    try:
        result = function()
        if isinstance(result, str) or not hasattr(result, "__iter__"):
            raise PluginError(
                expected(f"{entry.hook} of {origin}: result", f"an iterable, each item {entry.must}", result)
            )
        return list(result)
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(
            f"{entry.hook} of plugin {_label(plugin)} ({origin}) raised {type(error).__name__}: {error}"
        ) from error


registry = Registry()
