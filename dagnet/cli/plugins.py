"""``dagnet plugins`` and ``dagnet plugins check``: what is registered, and whether it keeps its word."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import networkx as nx
import numpy as np
from click import echo as say

from dagnet import registry
from dagnet.errors import PluginError, did_you_mean
from dagnet.markup import table_text
from dagnet.network import Network
from dagnet.registry import KINDS
from dagnet.testing import outcomes


def list_plugins() -> None:
    """Print kind, name, origin and how they run, of all plugins."""
    rows = [
        (kind, name, str(registry.origin(kind, name) or ""), _runs_as(kind, item))
        for kind in KINDS
        for name, item in sorted(getattr(registry, kind)().items())
    ]
    for line in table_text(("kind", "name", "from", "runs as"), rows, left=range(4)).splitlines():
        say(line.removeprefix("  "))


def _runs_as(kind: str, item: Any) -> str:
    """Whether the default engine compiles it, or it runs as NumPy."""
    if kind not in {"activations", "aggregations", "optimizers"}:
        return ""
    graph: nx.DiGraph[Any] = nx.DiGraph([("x", "y")])
    if kind != "optimizers":
        graph.nodes["y"][KINDS[kind].singular] = item
    try:
        network = Network(graph)
    except PluginError as error:  # one that misbehaves must not hide the others
        return f"refused: {error}"
    engine = network.engine
    if kind == "optimizers":
        step = registry.engines()[engine].fused_step(item(), dtype=np.dtype("float64"), threads=1)
        return "NumPy" if step is None else engine
    return "NumPy" if engine == "reference" else str(network.plan.notes.get(str(item), engine))


def check_plugins(names: Iterable[str]) -> bool:
    """Run every check of the plugins that the names, or the names of distributions, stand for.

    Prints a line for each plugin, and one for each check that it fails; whether all passed.

    PluginError for a name that is neither.
    """
    good = True
    for kind, name, item in dict.fromkeys(plugin for wanted in names for plugin in _named(wanted)):
        found = outcomes(item)
        failed = [outcome for outcome in found if not outcome.passed]
        passed = f"passes {len(found)} checks" if found else "has no checks: each result is looked at"
        verdict = f"{len(failed)} of {len(found)} checks fail" if failed else passed
        say(f"{KINDS[kind].singular} {name}: {verdict}")
        for outcome in failed:
            say(f"  {outcome}")
        good = good and not failed
    return good


def _named(wanted: str) -> list[tuple[str, str, Any]]:
    """The plugins of a name, or of a distribution."""
    known = [
        (kind, name, getattr(registry.origin(kind, name), "distribution", ""), item)
        for kind in KINDS
        for name, item in getattr(registry, kind)().items()
    ]
    found = [(kind, name, item) for kind, name, origin, item in known if wanted in {name, origin}]
    if not found:
        names = dict.fromkeys(part for _, name, origin, _ in known for part in (name, origin) if part)
        mend = did_you_mean(wanted, names) or "; `dagnet plugins` lists all"
        raise PluginError(f"no plugin and no distribution with plugins is called {wanted!r}{mend}")
    return found
