"""Running checks: what passed, what failed, and failures that were declared beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from dagnet.errors import PluginError, did_you_mean, expected
from dagnet.testing.checking import Check


@dataclass(frozen=True)
class Outcome:
    """What one check, whose name is the sentence that it checks, said of one plugin.

    ``problem`` is what is wrong, None where nothing is; ``reason`` why the check was expected to
    fail, None where it was not.
    """

    check: str
    problem: str | None
    reason: str | None = None

    @property
    def passed(self) -> bool:
        """Whether all is as it should be: an expected failure that does not come is none of that."""
        return (self.problem is None) == (self.reason is None)

    def __str__(self) -> str:
        if self.problem is None:
            verdict = "passes" if self.reason is None else f"passes, but was to fail: {self.reason}"
        else:
            verdict = self.problem if self.reason is None else f"fails as declared: {self.reason}"
        return f"{self.check}: {verdict}"


def judge(
    item: object, checks: Iterable[Check], expected_failures: Mapping[str, str] | None = None
) -> tuple[Outcome, ...]:
    """Run checks on a plugin, one after the other, all of them."""
    checks = tuple(checks)
    reasons = declared_reasons(expected_failures, [check.__name__ for check in checks])
    return tuple(
        Outcome(check.__name__, _problem(item, check), reasons.get(check.__name__)) for check in checks
    )


def _problem(item: object, check: Check) -> str | None:
    try:
        with np.errstate(all="ignore"):
            check(item)
    except AssertionError as error:
        return str(error) or "fails"
    except Exception as error:  # noqa: BLE001 - a stranger's code may raise anything
        return f"raised {type(error).__name__}: {error}"
    return None


def declared_reasons(expected_failures: Mapping[str, str] | None, known: Iterable[str]) -> dict[str, str]:
    """Expected failures checked: each names a check and says why.

    Raises
    ------
    PluginError
        For an unknown check, or none that says why.
    """
    names = tuple(known)
    reasons = dict(expected_failures or {})
    for name, reason in reasons.items():
        if name not in names:
            raise PluginError(
                f"expected_failures: no check {name!r} here{did_you_mean(name, names, listed=30)}"
            )
        if not isinstance(reason, str) or not reason.strip():
            mend = "say in a sentence why the check cannot pass"
            raise PluginError(expected(f"expected_failures[{name!r}]", "a reason", reason, mend))
    return reasons
