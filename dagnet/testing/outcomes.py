"""What checks are made of and come to: verdicts, copies that do the same, failures declared beforehand."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Activation, Aggregation
from dagnet.errors import PluginError, did_you_mean, expected

Check = Callable[[Any], None]
DTYPES = (np.float64, np.float32)


def must(condition: object, problem: str) -> None:
    """Fail a check with a message where the condition does not hold."""
    if not condition:
        raise AssertionError(problem)


def same_bits(first: Any, second: Any) -> bool:
    """Whether two arrays are the same to the bit, NaN, dtype and shape included."""
    one, other = np.asarray(first), np.asarray(second)
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def applied(item: Activation | Aggregation, x: Array) -> dict[str, Array]:
    """What function and derivative give for copies of z, or of terms."""
    result = np.asarray(item.value(x.copy()))
    return {"function": result, "derivative": np.asarray(item.slope(x.copy(), result.copy()))}


def copy_checks(use: Callable[[Any], Array], made: Callable[[Any], Any] | None = None) -> tuple[Check, Check]:
    """Two checks of any kind of plugin: ``use`` puts to work what is given, or what ``made`` makes of it."""

    def check_it_can_be_pickled(plugin: Any) -> None:
        """And does the same when it is read back, as in another process."""
        item = made(plugin) if made else plugin
        try:
            again = pickle.loads(pickle.dumps(item))  # noqa: S301 - our own bytes
        except Exception as error:
            mend = "define its functions at the top level of a module, not as lambdas or inner functions"
            raise AssertionError(f"it cannot be pickled: {error}; {mend}") from error
        must(same_bits(use(item), use(again)), "pickled and read back, it gives other numbers")

    def check_it_can_be_copied(plugin: Any) -> None:
        """And the copy does the same."""
        item = made(plugin) if made else plugin
        try:
            again = copy.deepcopy(item)
        except Exception as error:
            raise AssertionError(f"it cannot be copied: {error}") from error
        must(same_bits(use(item), use(again)), "its copy gives other numbers")

    return check_it_can_be_pickled, check_it_can_be_copied


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
    named = {check.__name__: check for check in checks}
    reasons = declared_reasons(expected_failures, named)
    return tuple(Outcome(name, _problem(item, check), reasons.get(name)) for name, check in named.items())


def _problem(item: object, check: Check) -> str | None:
    try:
        with np.errstate(all="ignore"):
            check(item)
    except AssertionError as error:
        return str(error) or "fails"
    except Exception as error:  # noqa: BLE001 - a stranger's code may raise anything
        return f"raised {type(error).__name__}: {error}"
    return None


def declared_reasons(expected_failures: Mapping[str, str] | None, known: Collection[str]) -> dict[str, str]:
    """Expected failures; refused unless each names a known check and says why."""
    reasons = dict(expected_failures or {})
    for name, reason in reasons.items():
        if name not in known:
            mend = did_you_mean(name, known, listed=30)
            raise PluginError(f"expected_failures: no check {name!r} here{mend}")
        if not isinstance(reason, str) or not reason.strip():
            mend = "say in a sentence why the check cannot pass"
            raise PluginError(expected(f"expected_failures[{name!r}]", "a reason", reason, mend))
    return reasons
