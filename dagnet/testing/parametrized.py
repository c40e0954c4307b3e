"""The kit for pytest: one test for each check of each plugin."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from dagnet.errors import PluginError, did_you_mean
from dagnet.testing.kit import checks_of, label
from dagnet.testing.outcomes import Check, declared_reasons

__all__ = ["parametrize_with_checks"]

Reasons = Mapping[str, str]


def parametrize_with_checks(
    items: Iterable[Any],
    *,
    expected_failures: Reasons | Mapping[str, Reasons] | None = None,
    reader: Callable[[Any], Any] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a test so that pytest runs it once for each check of each plugin.

    The test takes ``check``, a function without arguments, and if it likes ``plugin``.  Its ids
    read ``cube-check_the_derivative_is_the_functions``.

    Parameters
    ----------
    items
        Activations, losses, initializers, optimizers, engines, exporters, in any mixture.
    expected_failures
        From the name of a check to the reason why it cannot pass, for all plugins here; or
        from the name of a plugin to such a mapping.  Strict: a declared failure that does not
        come fails the test, as does a name that nothing has.
    reader
        For exporters: another program's reader, see :func:`check_exporter`.

    Examples
    --------
    A whole test module::

        import dagnet
        from dagnet.testing import parametrize_with_checks

        cube = dagnet.Activation("cube", lambda z: z**3, lambda z, a: 3 * z**2)

        @parametrize_with_checks([cube], expected_failures={"check_it_can_be_pickled": "has lambdas"})
        def test_conformance(check):
            check()
    """
    import pytest  # noqa: PLC0415 - dagnet does not need pytest, those who test do

    plugins = list(items)
    by_plugin = _by_plugin(plugins, expected_failures or {}, reader)
    parameters = []
    for plugin, reasons in zip(plugins, by_plugin, strict=True):
        for check in checks_of(plugin, reader=reader):
            name = check.__name__
            marks = [pytest.mark.xfail(strict=True, reason=reasons[name])] if name in reasons else []
            parameters.append(
                pytest.param(plugin, _bound(check, plugin), id=f"{label(plugin)}-{name}", marks=marks)
            )

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        takes_plugin = "plugin" in inspect.signature(test).parameters
        if takes_plugin:
            return pytest.mark.parametrize(("plugin", "check"), parameters)(test)
        alone = [pytest.param(given.values[1], id=given.id, marks=given.marks) for given in parameters]
        return pytest.mark.parametrize("check", alone)(test)

    return decorate


def _bound(check: Check, plugin: Any) -> Callable[[], None]:
    @functools.wraps(check)
    def bound() -> None:
        with np.errstate(all="ignore"):
            check(plugin)

    return bound


def _by_plugin(
    plugins: list[Any], expected_failures: Mapping[str, Any], reader: Callable[[Any], Any] | None
) -> list[dict[str, str]]:
    """Reasons for each plugin, by check; unknown plugins and checks are refused."""
    names = [[check.__name__ for check in checks_of(plugin, reader=reader)] for plugin in plugins]
    if any(isinstance(reasons, Mapping) for reasons in expected_failures.values()):
        known = {label(plugin) for plugin in plugins} | {plugin.name for plugin in plugins}
        for name in expected_failures:
            if name not in known:
                raise PluginError(
                    f"expected_failures: no plugin {name!r} here{did_you_mean(name, known, listed=30)}"
                )
        own = [expected_failures.get(label(plugin), expected_failures.get(plugin.name)) for plugin in plugins]
        return [declared_reasons(reasons, known) for reasons, known in zip(own, names, strict=True)]
    reasons = declared_reasons(expected_failures, sorted({name for some in names for name in some}))
    return [{name: reasons[name] for name in some if name in reasons} for some in names]
