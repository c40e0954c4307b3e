"""Where plugins are kept: typed tables by name.

Built-ins are named here as strings and come in through the door that strangers use.
Distributions (entry-point group ``dagnet``) are loaded at the first look-up, never at import.
Unlike bare pluggy, every returned thing is checked, a taken name is refused naming both
parties, and a plugin that fails anywhere leaves nothing behind.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from dagnet.errors import DagnetWarning, PluginError, did_you_mean
from dagnet.registry.kinds import KINDS
from dagnet.registry.offers import GROUP, Offer, Origin, offers

DISABLE = "DAGNET_DISABLE_PLUGINS"
TRACE = "DAGNET_TRACE_PLUGINS"
SLOW_SECONDS = 2.0
BUILTINS = (
    "dagnet.builtins.activations",
    "dagnet.builtins.losses",
    "dagnet.builtins.initializers",
    "dagnet.builtins.optimizers",
    "dagnet.engine.reference",
    "dagnet.engine.compiled",
    "dagnet.formats",
)
EntryPoints = list[importlib.metadata.EntryPoint]


class Registry:
    """The tables.  One instance a process; a lock makes registration safe between threads."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        self._origins: dict[tuple[str, str], Origin] = {}
        self._lock = threading.RLock()
        self._loading = False
        self._loaded = False

    # -- reading -------------------------------------------------------------------------

    def table(self, kind: str) -> Mapping[str, Any]:
        """All that is registered of a kind, by name; read-only and live."""
        self.load()
        return MappingProxyType(self._tables[kind])

    def origin(self, kind: str, name: str) -> Origin | None:
        """Who registered ``name``."""
        self.load()
        return self._origins.get((kind, name))

    def find(self, kind: str, name: str) -> Any:
        """What is registered as ``name``, or :class:`PluginError` with a suggestion."""
        table = self.table(kind)
        if name not in table:
            mend = did_you_mean(name, table, listed=12)
            raise PluginError(f"unknown {KINDS[kind].singular} {name!r}{mend}")
        return table[name]

    # -- loading -------------------------------------------------------------------------

    def load(self) -> None:
        """Load built-ins and installed distributions, once; other threads wait for it.

        A plugin that looks something up while it is being loaded sees what is there so far.
        """
        if self._loaded:
            return
        with self._lock:
            if self._loaded or self._loading:
                return
            self._loading = True
            try:
                complaints = self._load()
            except BaseException:
                for kind in KINDS:
                    self._tables[kind].clear()
                self._origins.clear()
                raise
            finally:
                self._loading = False
            self._loaded = True
        for complaint in complaints:
            warnings.warn(complaint, DagnetWarning, stacklevel=2)

    def _load(self) -> list[str]:
        version = _version("dagnet")
        for module in BUILTINS:
            self.add(importlib.import_module(module), Origin("dagnet", version))
        if _is_set(DISABLE):
            return []
        try:
            found = _entry_points()
        except Exception as error:  # noqa: BLE001 - one malformed file in the environment is enough
            return [f"the entry points of group {GROUP!r} cannot be read: {_worded(error)}"]
        complaints = (self._load_distribution(origin, points) for origin, points in found)
        return [complaint for complaint in complaints if complaint]

    def _load_distribution(self, origin: Origin, points: EntryPoints) -> str | None:
        """Load one distribution whole or not at all; what there is to complain of."""
        start, found = time.perf_counter(), list[Offer]()
        who = f"the plugins of distribution {origin.distribution!r} {origin.version}"
        mend = f"set {DISABLE}=1 to do without plugins"
        try:
            for point in points:
                _trace(f"loading {point.name} = {point.value} of {origin}")
                found += offers(point.load(), origin)
            self._enter(found, origin)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code may raise anything
            return f"{who} are left out: {_worded(error)}; mend or uninstall it, or {mend}"
        seconds = time.perf_counter() - start
        _trace(f"{origin} took {seconds:.3f} s")
        if seconds < SLOW_SECONDS:
            return None
        advice = "a plugin should import heavy libraries inside its functions"
        return f"{who} took {seconds:.1f} s to load; {advice}; {mend}"

    # -- registering ---------------------------------------------------------------------

    def add(self, plugin: object, origin: Origin, *, replace: bool = False) -> None:
        """Register one plugin whole, or leave everything as it was."""
        with self._lock:
            self._enter(offers(plugin, origin), origin, replace=replace)

    def _enter(self, offered: Iterable[Offer], origin: Origin, *, replace: bool = False) -> None:
        """Check all names, then enter all items."""
        entering: dict[tuple[str, str], Any] = {}
        for kind, name, item in offered:
            key = (kind, name)
            if key in entering or (key in self._origins and not replace):
                by = origin if key in entering else self._origins[key]
                raise PluginError(
                    f"{KINDS[kind].singular} {name!r} of {origin} is registered already by {by}; "
                    "choose another name, or pass replace=True to register()"
                )
            entering[key] = item
        self._refuse_shared_suffixes(entering, origin)
        for (kind, name), item in entering.items():
            _trace(f"{KINDS[kind].singular} {name} from {origin}")
            self._tables[kind][name] = item
            self._origins[kind, name] = origin

    def _refuse_shared_suffixes(self, entering: Mapping[tuple[str, str], Any], origin: Origin) -> None:
        """Refuse an exporter that no file would ever reach, since another has its suffix."""
        suffixes = {item.suffix: name for name, item in self._tables["exporters"].items()}
        for (kind, name), item in entering.items():
            if kind == "exporters" and (other := suffixes.setdefault(item.suffix, name)) != name:
                raise PluginError(
                    f"exporter {name!r} of {origin} has the suffix {item.suffix!r} of the exporter "
                    f"{other!r}; choose another suffix"
                )


def _entry_points() -> list[tuple[Origin, EntryPoints]]:
    """The entry points of each distribution, sorted by its name."""
    found: dict[Origin, EntryPoints] = {}
    for point in importlib.metadata.entry_points(group=GROUP):
        name = (point.dist and point.dist.name) or point.value
        version = (point.dist and point.dist.version) or ""
        found.setdefault(Origin(str(name), str(version)), []).append(point)
    return sorted(found.items(), key=lambda item: (item[0].distribution, item[0].version))


def _worded(error: BaseException) -> str:
    return str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "") not in {"", "0"}


def _trace(text: str) -> None:
    if _is_set(TRACE):
        sys.stderr.write(f"dagnet plugins: {text}\n")


registry = Registry()
