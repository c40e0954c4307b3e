"""``dagnet plugins check``: the conformance kit, run on registered plugins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from dagnet import registry
from dagnet.cli.showing import KINDS
from dagnet.errors import PluginError, did_you_mean
from dagnet.registry.kinds import KINDS as ALL_KINDS
from dagnet.testing import outcomes


def check_plugins(names: Iterable[str], say: Callable[[str], None]) -> bool:
    """Run every check of the plugins that the names, or the names of distributions, stand for.

    Prints a line for each plugin, and one for each check that it fails; whether all passed.

    Raises
    ------
    PluginError
        For a name that is neither.
    """
    wanted = [plugin for name in names for plugin in _found(name)]
    good = True
    for kind, name, item in dict.fromkeys(wanted):
        found = outcomes(item)
        failed = [outcome for outcome in found if not outcome.passed]
        verdict = f"{len(failed)} of {len(found)} checks fail" if failed else f"passes {len(found)} checks"
        say(f"{ALL_KINDS[kind].singular} {name}: {verdict}")
        for outcome in failed:
            say(f"  {outcome}")
        good = good and not failed
    return good


def _all() -> Iterator[tuple[str, str, str, Any]]:
    """Kind, name, distribution and object of every plugin."""
    for kind in KINDS:
        for name, item in getattr(registry, kind)().items():
            origin = registry.origin(kind, name)
            yield kind, name, origin.distribution if origin else "", item


def _found(wanted: str) -> list[tuple[str, str, Any]]:
    known = list(_all())
    found = [(kind, name, item) for kind, name, origin, item in known if wanted in {name, origin}]
    if not found:
        names = dict.fromkeys(part for _, name, origin, _ in known for part in (name, origin) if part)
        mend = did_you_mean(wanted, names) or "; `dagnet plugins` lists all"
        raise PluginError(f"no plugin and no distribution with plugins is called {wanted!r}{mend}")
    return found
