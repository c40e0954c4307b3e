"""The kit for pytest: one test for each check of each plugin."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dagnet.errors import PluginError, did_you_mean
from dagnet.testing.kit import checks_of, label
from dagnet.testing.outcomes import declared_reasons

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
    checks = [{check.__name__: check for check in checks_of(plugin, reader=reader)} for plugin in plugins]
    reasons = _by_plugin(plugins, checks, expected_failures or {})

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        takes = ["plugin", "check"] if "plugin" in inspect.signature(test).parameters else ["check"]
        parameters = []
        for plugin, its_checks, its_reasons in zip(plugins, checks, reasons, strict=True):
            for name, check in its_checks.items():
                run = functools.wraps(check)(np.errstate(all="ignore")(functools.partial(check, plugin)))
                mark = (
                    [pytest.mark.xfail(strict=True, reason=its_reasons[name])] if name in its_reasons else []
                )
                given = [plugin, run][-len(takes) :]
                parameters.append(pytest.param(*given, id=f"{label(plugin)}-{name}", marks=mark))
        return pytest.mark.parametrize(takes, parameters)(test)

    return decorate


def _by_plugin(
    plugins: list[Any], checks: Sequence[Collection[str]], expected_failures: Mapping[str, Any]
) -> list[dict[str, str]]:
    """Reasons for each plugin, by check; unknown plugins and checks are refused."""
    if any(isinstance(reasons, Mapping) for reasons in expected_failures.values()):
        known = {label(plugin) for plugin in plugins} | {plugin.name for plugin in plugins}
        for name in expected_failures:
            if name not in known:
                mend = did_you_mean(name, known, listed=30)
                raise PluginError(f"expected_failures: no plugin {name!r} here{mend}")
        own = [expected_failures.get(label(plugin), expected_failures.get(plugin.name)) for plugin in plugins]
        return [declared_reasons(reasons, names) for reasons, names in zip(own, checks, strict=True)]
    reasons = declared_reasons(expected_failures, sorted(set().union(*checks)))
    return [{name: reason for name, reason in reasons.items() if name in names} for names in checks]
