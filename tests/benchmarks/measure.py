"""Timing by turns: A B C, A B C, … in one process, so that whatever slows the machine slows all alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TURN = 0.01  # seconds that a contender calls on end before the next one has its turn


@dataclass
class Contender:
    """Something to time: a call without arguments, and where it stands in the table."""

    name: str
    call: Callable[[], Any]
    family: str  # contenders of which the fastest is quoted: "dagnet", "PyTorch autograd", …
    before: float = 0.0  # seconds until it was ready for its first timed call
    steps: int = 1  # training steps that one call makes


@dataclass
class Timing:
    """Samples of one contender, milliseconds."""

    contender: Contender
    samples: list[float] = field(default_factory=list)
    cpu: float = 0.0  # seconds of processor time, all threads
    wall: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def minimum(self) -> float:
        return min(self.samples)

    @property
    def cores(self) -> float:
        """Processors kept busy on average."""
        return self.cpu / self.wall if self.wall else 0.0


def _calls_for(call: Callable[[], Any]) -> tuple[int, int, float]:
    """How many calls make one sample, how many samples a turn, and how long a turn takes."""
    start = time.perf_counter()
    call()
    once = max(time.perf_counter() - start, 1e-8)
    if once < 1e-3:  # a second look: the first call may have warmed something up
        start = time.perf_counter()
        call()
        once = max(time.perf_counter() - start, 1e-8)
    inner = max(1, round(1e-4 / once))
    samples = max(1, min(20, int(TURN / (inner * once))))
    return inner, samples, (samples * inner + 1) * once


def _turn(timing: Timing, inner: int, samples: int, *, warm: bool) -> None:
    call = timing.contender.call
    if warm:
        call()
    processor, wall = time.process_time(), time.perf_counter()
    for _ in range(samples):
        start = time.perf_counter()
        for _ in range(inner):
            call()
        elapsed = time.perf_counter() - start
        timing.samples.append(elapsed * 1e3 / (inner * timing.contender.steps))
    timing.cpu += time.process_time() - processor
    timing.wall += time.perf_counter() - wall


def measure(contenders: list[Contender], seconds: float = 4.0, most_rounds: int = 400) -> list[Timing]:
    """Give each contender about ``seconds``, by turns; slow ones sit rounds out, evenly.

    Before the timed calls of a turn stands one untimed call (where it takes less than 0.1 s), so that
    nobody pays for the cache that the one before left behind: a training loop would not either.
    """
    timings = [Timing(contender) for contender in contenders]
    if not timings:
        return []
    plans = [_calls_for(contender.call) for contender in contenders]
    turns = [max(3, min(most_rounds, int(seconds / duration))) for *_, duration in plans]
    rounds = max(turns)
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for number in range(rounds):
            for timing, (inner, samples, duration), wanted in zip(timings, plans, turns, strict=True):
                if (number + 1) * wanted // rounds > number * wanted // rounds:
                    _turn(timing, inner, samples, warm=duration < 0.1)
            gc.collect(0)
    finally:
        if was_enabled:
            gc.enable()
    return timings
