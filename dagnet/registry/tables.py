"""Where plugins are kept: their kinds, what a plugin offers, and typed tables by name.

Built-ins are named here as strings and come in through the door that strangers use.
Distributions (entry-point group ``dagnet``) are loaded at the first look-up, never at import.
Unlike bare pluggy, every returned thing is checked, a taken name is refused naming both
parties, and a plugin that fails anywhere leaves nothing behind.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Any

import pluggy

from dagnet import hookspecs
from dagnet.contracts import Activation, Aggregation, Attributor, Exporter, Initializer, Loss, Optimizer
from dagnet.errors import DagnetWarning, PluginError, Verbatim, did_you_mean, expected, shorten

RULE = "a subclass of Optimizer that defines update() or step()"
ENGINE = "an engine with a name, a priority and the methods unavailable, prepare and fused_step"
ENGINE_METHODS = ("unavailable", "prepare", "fused_step")
GROUP = "dagnet"
MOST_ITEMS = 10_000
Offer = tuple[str, str, Any]
"""One item of a plugin, checked: its kind, a plural such as ``"activations"``, its name, and itself."""
NEWER = "; if it is no slip, the plugin needs a newer dagnet: pip install --upgrade dagnet"
DISABLE = "DAGNET_DISABLE_PLUGINS"
USUAL = {
    "average": "mean", "maximum": "max", "minimum": "min", "mul": "product", "prod": "product",
    "l1": "absolute_error", "mae": "absolute_error",
    "mse": "squared_error", "mean_squared_error": "squared_error",
    "linear": "identity", "none": "identity", "logistic": "sigmoid",
    "crossentropy": "cross_entropy", "categorical_crossentropy": "cross_entropy",
    "binary_crossentropy": "binary_cross_entropy",
    **dict.fromkeys(("bce", "bcewithlogits", "log_loss"), "binary_cross_entropy_with_logits"),
}  # fmt: skip
"""How other libraries say it."""
SLOW_SECONDS = 2.0
BUILTINS = (
    "dagnet.builtins.activations",
    "dagnet.builtins.learning_activations",
    "dagnet.builtins.aggregations",
    "dagnet.builtins.losses",
    "dagnet.builtins.initializers",
    "dagnet.builtins.optimizers",
    "dagnet.engine.reference",
    "dagnet.engine.compiled",
    "dagnet.formats",
)
EntryPoints = list[importlib.metadata.EntryPoint]


@dataclass(frozen=True)
class Kind:
    """One kind of plugin."""

    singular: str
    hook: str
    must: str
    fits: Callable[[object], bool]


def _instances(singular: str, hook: str, cls: type) -> Kind:
    article = "an" if cls.__name__[0] in "AEIOU" else "a"
    return Kind(singular, hook, f"{article} {cls.__name__}", lambda item: isinstance(item, cls))


def _is_optimizer(item: object) -> bool:
    if not inspect.isclass(item) or not issubclass(item, Optimizer):
        return False
    return item.update is not Optimizer.update or item.step is not Optimizer.step


def _is_engine(item: object) -> bool:
    if inspect.isclass(item) or not isinstance(getattr(item, "priority", None), (int, float)):
        return False
    return all(callable(getattr(item, method, None)) for method in ENGINE_METHODS)


KINDS: dict[str, Kind] = {
    "activations": _instances("activation", "dagnet_activations", Activation),
    "aggregations": _instances("aggregation", "dagnet_aggregations", Aggregation),
    "losses": _instances("loss", "dagnet_losses", Loss),
    "initializers": _instances("initializer", "dagnet_initializers", Initializer),
    "optimizers": Kind("optimizer", "dagnet_optimizers", RULE, _is_optimizer),
    "engines": Kind("engine", "dagnet_engines", ENGINE, _is_engine),
    "exporters": _instances("exporter", "dagnet_exporters", Exporter),
    "attributions": _instances(Attributor.kind, "dagnet_attributions", Attributor),
}


@dataclass(frozen=True)
class Origin:
    """Where a plugin came from: a distribution with its version, or a script or module."""

    distribution: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".rstrip()


def offers(plugin: object, origin: Origin) -> list[Offer]:
    """All that ``plugin`` offers: itself, or what its hook implementations return.

    PluginError for a plugin without hook implementations, and for a hook that does not exist, raises or
    returns something else than it must.
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
    callers = manager.get_hookcallers(plugin) or ()
    found = {caller.name: [each.function for each in caller.get_hookimpls()] for caller in callers}
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
    if kind == "optimizers":
        try:
            item()  # which tries its rule
        except TypeError as error:
            raise PluginError(f"{where}: {item.__name__}() must do without arguments: {error}") from error
    name = getattr(item, "name", None)
    if not isinstance(name, str) or not name.isidentifier():
        raise PluginError(expected(f"{where}: name", "an identifier such as 'my_name'", name))
    return kind, name, item


def _label(plugin: object) -> str:
    return str(getattr(plugin, "__name__", None) or shorten(plugin))


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
        self.load()
        table = self._tables[kind]
        if name not in table:
            usual = USUAL.get(name.lower(), "")
            mend = f"; here it is {usual!r}" if usual in table else did_you_mean(name, table, listed=12)
            if name.startswith("neat_"):
                mend = "; it comes with the plugin dagnet-neat: install that"
            mend += _misplaced()
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
        if os.environ.get(DISABLE, "") not in {"", "0"}:
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
                found += offers(point.load(), origin)
            self._enter(found, origin)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code may raise anything
            return f"{who} are left out: {_worded(error)}; mend or uninstall it, or {mend}"
        seconds = time.perf_counter() - start
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
            self._tables[kind][name] = item
            self._origins[kind, name] = origin

    def _refuse_shared_suffixes(self, entering: Mapping[tuple[str, str], Any], origin: Origin) -> None:
        """Refuse an exporter that no file would ever reach, since another has its suffix."""
        suffixes = {item.suffix: name for name, item in self._tables["exporters"].items()}
        for (kind, name), item in entering.items():
            if kind == "exporters" and (other := suffixes.setdefault(item.suffix, name)) != name:
                what = f"has the suffix {item.suffix!r} of the exporter {other!r}"
                raise PluginError(f"exporter {name!r} of {origin} {what}; choose another suffix")


def _entry_points() -> list[tuple[Origin, EntryPoints]]:
    """The entry points of each distribution, sorted by its name."""
    found: dict[Origin, EntryPoints] = {}
    for point in importlib.metadata.entry_points(group=GROUP):
        name = (point.dist and point.dist.name) or point.value
        version = (point.dist and point.dist.version) or ""
        found.setdefault(Origin(str(name), str(version)), []).append(point)
    return sorted(found.items(), key=lambda item: (item[0].distribution, item[0].version))


def _misplaced() -> str:
    """Which distributions offer plugins in a group of entry points that is never looked at."""
    try:
        found = importlib.metadata.distributions()
        groups = {(own.name, point.group) for own in found for point in own.entry_points}
    except Exception:  # noqa: BLE001 - one malformed file in the environment is enough
        return ""
    wrong = sorted(pair for pair in groups if pair[1].startswith(GROUP) and pair[1] != GROUP)
    text = "; {} has plugins in the entry-point group {!r}, which must be {!r}"
    return "".join(text.format(*pair, GROUP) for pair in wrong)


def _worded(error: BaseException) -> str:
    return str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


registry = Registry()
