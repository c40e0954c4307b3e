"""What a piece of work is: contenders built, held to the truth, timed, and set against the targets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .graphs import Missing, Wiring
from .measure import Contender, Timing, measure
from .oracle import Answer, answer, disagreement

DAGNET = "dagnet"


@dataclass(frozen=True)
class Conditions:
    """What the command line asked for."""

    threads: int = 1
    quick: bool = False
    compile: bool = False
    connex: str | None = None

    @property
    def seconds(self) -> float:
        """Per contender."""
        return 0.6 if self.quick else 4.0


@dataclass
class Check:
    """A target and what was reached; ``value`` None where a side of it is missing.

    ``by_least``: the same ratio of the least times, which a busy machine disturbs less.
    """

    text: str
    value: float | None
    bound: float
    at_least: bool
    by_least: float | None = None

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound


@dataclass
class Outcome:
    """What a piece of work found."""

    title: str
    unit: str = "ms"
    ratios: bool = True  # whether the lines are alternatives to the first one
    timings: list[Timing] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    def fastest(self, family: str, what: str = "median") -> float | None:
        """Least median (or minimum) of a family's contenders, or of the one contender with that name."""
        found = [getattr(t, what) for t in self.timings if family in (t.contender.family, t.contender.name)]
        return min(found, default=None)

    def _ratio(self, over: str, under: str, bound: float, *, at_least: bool) -> None:
        ratios = []
        for what in ("median", "minimum"):
            a, b = self.fastest(over, what), self.fastest(under, what)
            ratios.append(None if a is None or b is None else a / b)
        self.checks.append(Check(f"{over} / {under}", ratios[0], bound, at_least, ratios[1]))

    def at_least(self, peer: str, bound: float, subject: str = DAGNET) -> None:
        """The peer takes at least ``bound`` times dagnet's time."""
        self._ratio(peer, subject, bound, at_least=True)

    def at_most(self, peer: str, bound: float, subject: str = DAGNET) -> None:
        """dagnet takes at most ``bound`` times the peer's time."""
        self._ratio(subject, peer, bound, at_least=False)

    def check(self, text: str, value: float | None, bound: float, *, at_least: bool) -> None:
        self.checks.append(Check(text, value, bound, at_least))

    def beyond(self, more: str, less: str, what: str = "median") -> float | None:
        """By how many milliseconds one family takes longer than another."""
        a, b = self.fastest(more, what), self.fastest(less, what)
        return None if a is None or b is None else a - b

    def check_beyond(
        self, text: str, more: str, less: str, unit: Callable[[str], float | None], bound: float
    ) -> None:
        """A target for that difference in units of ``unit(what)`` ms, by medians and by least times."""
        values = []
        for what in ("median", "minimum"):
            difference, one = self.beyond(more, less, what), unit(what)
            values.append(None if difference is None or one is None else difference / one)
        self.checks.append(Check(text, values[0], bound, at_least=False, by_least=values[1]))


@dataclass(frozen=True)
class Entry:
    """A contender to be: its name, its family and how to make it ready."""

    name: str
    family: str
    make: Callable[[], Any]
    steps: int = 1


def ready(entries: list[Entry], outcome: Outcome, judge: Callable[[Any], str | None]) -> list[Contender]:
    """Make every contender; what cannot be, or ``judge`` finds wrong, is skipped with the reason."""
    contenders = []
    for entry in entries:
        start = time.perf_counter()
        try:
            call = entry.make()
            call()
            before = time.perf_counter() - start
            fault = judge(call)
        except Missing as reason:
            outcome.skipped.append((entry.name, str(reason)))
        except Exception as error:  # a peer's failure is reported, it does not end the run
            text = " ".join(f"{type(error).__name__}: {error}".split())
            outcome.skipped.append((entry.name, text[:300]))
        else:
            if fault:
                outcome.skipped.append((entry.name, fault))
            else:
                contenders.append(Contender(entry.name, call, entry.family, before, entry.steps))
    return contenders


def agrees_with(truth: Answer, tolerance: float = 2e-3) -> Callable[[Any], str | None]:
    """The judge of loss and gradient; loose, as one float32 relu may fall on the other side of 0.

    (That a contender computes the right thing, not nearly, is checked on ``small`` networks.)
    """

    def judge(call: Any) -> str | None:
        error = disagreement(call.answer(), truth)
        return None if error <= tolerance else f"wrong: its gradient is off by {error:.1e}"

    return judge


def race(title: str, wiring: Wiring, rows: int, entries: list[Entry], conditions: Conditions) -> Outcome:
    """Forward, loss and backward of one network by all contenders."""
    outcome = Outcome(title)
    X, y = wiring.data(rows)
    contenders = ready(entries, outcome, agrees_with(answer(wiring, X, y)))
    outcome.timings = measure(contenders, conditions.seconds)
    outcome.notes.append(
        f"{wiring.n_nodes:,} nodes, {wiring.n_edges:,} edges, {wiring.level[-1]} levels, "
        f"{len(wiring.outputs):,} outputs, {rows} rows, float32"
    )
    return outcome


def timed(entries: list[Entry], outcome: Outcome, conditions: Conditions, truth: np.ndarray) -> None:
    """The same for plain calls that return an array."""

    def judge(call: Any) -> str | None:
        error = float(np.abs(np.asarray(call()).reshape(truth.shape) - truth).max() / np.abs(truth).max())
        return None if error <= 1e-4 else f"wrong: its values are off by {error:.1e}"

    outcome.timings = measure(ready(entries, outcome, judge), conditions.seconds)
