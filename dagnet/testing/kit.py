"""The kit's front: which checks a plugin has to pass, and what runs them, at once or under pytest."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dagnet.contracts import Activation, Aggregation, Engine, Exporter, Initializer, Loss, Optimizer
from dagnet.errors import PluginError, did_you_mean, expected
from dagnet.registry import (
    KINDS,
    engines,
    exporters,
    find_activation,
    find_aggregation,
    find_initializer,
    find_loss,
    find_optimizer,
)
from dagnet.testing import activations, aggregations, initializers, losses, optimizers
from dagnet.testing import engines as of_engines
from dagnet.testing import exporters as of_exporters
from dagnet.testing.outcomes import Check, Outcome, declared_reasons, judge

MODULES = {
    "activation": activations, "aggregation": aggregations, "loss": losses, "initializer": initializers,
    "optimizer": optimizers, "engine": of_engines, "exporter": of_exporters,
}  # fmt: skip
"""Where the checks of each kind are written: all functions check_…, in their order; attributors have none."""
ELEMENTWISE = "check_the_result_does_not_depend_on_how_the_vector_is_split"
Failures = Mapping[str, str] | None


def _kind(item: object) -> str:
    if isinstance(item, Optimizer):
        return "optimizer"
    fitting = [kind.singular for kind in KINDS.values() if kind.fits(item)]
    if not fitting:
        must = "an Activation, Aggregation, Loss, Initializer, Optimizer, engine or Exporter"
        raise PluginError(expected("a plugin to check", must, item))
    return fitting[0]


def label(item: Any) -> str:
    """What a plugin is called in messages and test ids: its call form, or its name."""
    named = (Activation, Aggregation, Loss, Initializer, Optimizer)
    return str(item if isinstance(item, named) else item.name)


def checks_of(item: object, *, reader: of_exporters.Reader | None = None) -> tuple[Check, ...]:
    """The checks that a plugin has to pass, in order; ``reader`` as for :func:`check_exporter`.

    Raises
    ------
    PluginError
        If it is no :class:`Activation`, :class:`Aggregation`, :class:`Loss`, :class:`Initializer`,
        :class:`Exporter`, :class:`Optimizer`, subclass of it, or engine.
    """
    kind = _kind(item)
    functions = vars(MODULES[kind]).items() if kind in MODULES else ()
    checks: tuple[Check, ...] = tuple(check for name, check in functions if name.startswith("check_"))
    if kind == "optimizer":
        rule = item if isinstance(item, type) else type(item)
        if rule.step is not Optimizer.step:  # type: ignore[attr-defined]
            checks = tuple(check for check in checks if check.__name__ != ELEMENTWISE)
    return (*checks, of_exporters.read_by(reader)) if reader is not None else checks


def outcomes(
    item: object, expected_failures: Failures = None, *, reader: of_exporters.Reader | None = None
) -> tuple[Outcome, ...]:
    """Run all checks of a plugin and say what each found; nothing is raised for a failure."""
    return judge(item, checks_of(item, reader=reader), expected_failures)


def _run(kind: str, item: object, expected_failures: Failures, **options: Any) -> None:
    if _kind(item) != kind:
        must = f"an {kind}" if kind[0] in "aeio" else f"a {kind}"
        raise PluginError(expected(f"check_{kind}(): the argument", must, item))
    failed = [outcome for outcome in outcomes(item, expected_failures, **options) if not outcome.passed]
    if failed:
        count = "one check" if len(failed) == 1 else f"{len(failed)} checks"
        listed = "\n".join(f"  - {outcome}" for outcome in failed)
        raise AssertionError(f"{kind} {label(item)!r} fails {count}:\n{listed}")


def check_activation(activation: Activation | str, *, expected_failures: Failures = None) -> None:
    """Run every check on an activation.

    Parameters
    ----------
    activation
        An :class:`Activation`, or the name or call form of a registered one.
    expected_failures
        From the name of a check to the reason why it cannot pass.  A declared failure that
        does not come is a failure.

    Raises
    ------
    AssertionError
        With every check that failed, what it found and how to mend it.

    Examples
    --------
    >>> import dagnet.testing
    >>> dagnet.testing.check_activation("leaky_relu(negative_slope=0.2)")
    """
    _run("activation", find_activation(activation), expected_failures)


def check_aggregation(aggregation: Aggregation | str, *, expected_failures: Failures = None) -> None:
    """Run every check on an aggregation; see :func:`check_activation`.

    Examples
    --------
    >>> import dagnet.testing
    >>> dagnet.testing.check_aggregation("max")
    """
    _run("aggregation", find_aggregation(aggregation), expected_failures)


def check_loss(loss: Loss | str, *, expected_failures: Failures = None) -> None:
    """Run every check on a loss; see :func:`check_activation`.

    Examples
    --------
    >>> import dagnet.testing
    >>> dagnet.testing.check_loss("huber(delta=0.5)")
    """
    _run("loss", find_loss(loss), expected_failures)


def check_initializer(initializer: Initializer | str, *, expected_failures: Failures = None) -> None:
    """Run every check on an initializer; see :func:`check_activation`."""
    _run("initializer", find_initializer(initializer), expected_failures)


def check_optimizer(
    optimizer: Optimizer | type[Optimizer] | str, *, expected_failures: Failures = None
) -> None:
    """Run every check on an optimizer, a class or an instance; see :func:`check_activation`."""
    found: Any = find_optimizer(optimizer) if isinstance(optimizer, str) else optimizer
    _run("optimizer", found, expected_failures)


def check_engine(engine: Engine | str, *, expected_failures: Failures = None) -> None:
    """Run every check on an engine, against the reference engine; see :func:`check_activation`."""
    found = engines().get(engine, engine) if isinstance(engine, str) else engine
    _run("engine", found, expected_failures)


def check_exporter(
    exporter: Exporter | str, *, reader: of_exporters.Reader | None = None, expected_failures: Failures = None
) -> None:
    """Run every check on an exporter; see :func:`check_activation`.

    Parameters
    ----------
    exporter, expected_failures
        An :class:`Exporter`, or the name of a registered one; as for :func:`check_activation`.
    reader
        Another program's reader of the format, ``reader(stream)`` → a NetworkX graph with the
        names as strings and ``weight`` on the edges; for instance ``networkx.read_graphml``.
    """
    found = exporters().get(exporter, exporter) if isinstance(exporter, str) else exporter
    _run("exporter", found, expected_failures, reader=reader)


def parametrize_with_checks(
    items: Iterable[Any], *, expected_failures: Mapping[str, str | Mapping[str, str]] | None = None,
    reader: of_exporters.Reader | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # fmt: skip
    """Decorate a test so that pytest runs it once for each check of each plugin.

    The test takes ``check``, a function without arguments, and if it likes ``plugin``.  Its ids
    read ``cube-check_the_derivative_is_the_functions``.

    Parameters
    ----------
    items
        Activations, aggregations, losses, initializers, optimizers, engines, exporters, in any mixture.
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
                given = [plugin, run][-len(takes) :]
                reason = its_reasons.get(name)
                fails = [pytest.mark.xfail(strict=True, reason=reason)] if reason else []
                parameters.append(pytest.param(*given, id=f"{label(plugin)}-{name}", marks=fails))
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
