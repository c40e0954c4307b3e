"""Which engine runs a plan, on how many threads, and what draws."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np

from dagnet.contracts import Runner, Unsupported
from dagnet.errors import DagnetWarning, PluginError, expected, shorten
from dagnet.plan import Plan
from dagnet.registry import engines, find_engine
from dagnet.values import optional, whole

SEED = optional(whole(0), "a Generator, a SeedSequence or None")
THREADS = optional(whole(1), "None for all")
_told: set[str] = set()


def prepare(name: object, plan: Plan, dtype: Any, threads: int) -> tuple[str, Runner]:
    """The engine, as a call form or a name, and its runner for the plan; ``"auto"`` takes the fastest."""
    if name == "auto":
        return _fastest(plan, dtype, threads)
    if not isinstance(name, str):
        raise PluginError(expected("engine", "'auto' or the name of an engine", name))
    engine = find_engine(name)
    reason = engine.unavailable()
    if reason is not None:
        raise PluginError(f"engine {shorten(name)} cannot run here: {reason}; use engine='auto'")
    return name, engine.prepare(plan, dtype=dtype, threads=threads)


def _fastest(plan: Plan, dtype: Any, threads: int) -> tuple[str, Runner]:
    for engine in sorted(engines().values(), key=lambda engine: -engine.priority):
        reason = engine.unavailable()
        if reason is not None:
            _tell_once(f"engine {engine.name!r} cannot run here: {reason}; a slower engine serves")
            continue
        try:
            return engine.name, engine.prepare(plan, dtype=dtype, threads=threads)
        except Unsupported as error:
            _tell_once(f"engine {engine.name!r} does not run this network: {error}; a slower engine serves")
    raise PluginError("no engine can run this network; is the reference engine registered?")


def _tell_once(text: str) -> None:
    if text not in _told:
        _told.add(text)
        warnings.warn(text, DagnetWarning, stacklevel=2)


def checked_seed(seed: object) -> Any:
    """None, a whole number ≥ 0, a SeedSequence or a Generator."""
    if isinstance(seed, (np.random.Generator, np.random.SeedSequence)):
        return seed
    return SEED.check("seed", seed)


def make_generator(seed: object) -> np.random.Generator:
    """A generator of its own for a seed: None, a whole number ≥ 0, a SeedSequence; or a Generator itself."""
    return np.random.default_rng(checked_seed(seed))


def checked_threads(threads: object) -> int:
    """How many threads; None is all CPUs that the process may use."""
    number: int | None = THREADS.check("threads", threads)
    if number is not None:
        return number
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
