"""Timing by turns: A B C, A B C, … in one process, so that whatever slows the machine slows all alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TURN = 0.02  # seconds that a contender calls on end before the next one has its turn


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


def _calls_for(call: Callable[[], Any], warm_up: float) -> tuple[int, int, bool, float]:
    """Calls a sample, samples a turn, whether an untimed call comes first, seconds a turn.

    The calls for that are the warm-up, too: some peers need a dozen until their memory is in place.
    """
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 2 or (time.perf_counter() - begin < warm_up and len(times) < 100):
        start = time.perf_counter()
        call()
        times.append(max(time.perf_counter() - start, 1e-8))
    once = min(times)
    inner = max(1, round(1e-4 / once))
    least = 3 if once < 0.2 else 1
    samples = max(least, min(20, int(TURN / (inner * once))))
    untimed = once < 0.5
    return inner, samples, untimed, (samples * inner + untimed) * once


def _turn(timing: Timing, inner: int, samples: int, *, untimed: bool) -> None:
    call = timing.contender.call
    if untimed:
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

    Before the timed calls of a turn stands one untimed call (where it takes less than 0.5 s), so that
    nobody pays for the cache that the one before left behind: a training loop would not either.
    """
    timings = [Timing(contender) for contender in contenders]
    if not timings:
        return []
    plans = [_calls_for(contender.call, seconds / 4) for contender in contenders]
    turns = [max(3, min(most_rounds, int(seconds / duration))) for *_, duration in plans]
    rounds = max(turns)
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for number in range(rounds):
            for timing, (inner, samples, untimed, _), wanted in zip(timings, plans, turns, strict=True):
                spent = timing.wall > 2 * seconds and len(timing.samples) >= 3
                if not spent and (number + 1) * wanted // rounds > number * wanted // rounds:
                    _turn(timing, inner, samples, untimed=untimed)
            gc.collect(0)
    finally:
        if was_enabled:
            gc.enable()
    return timings
