"""Arguments of a network that are neither names nor data."""

from __future__ import annotations

import os

import numpy as np

from dagnet.values import optional, whole

SEED = optional(whole(0), "a Generator or None")
THREADS = optional(whole(1), "None for all")


def make_generator(seed: object) -> np.random.Generator:
    """A generator of its own for a seed: None, a whole number ≥ 0, or a Generator."""
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.default_rng(SEED.check("seed", seed))


def checked_threads(threads: object) -> int:
    """How many threads; None is all CPUs that the process may use."""
    number: int | None = THREADS.check("threads", threads)
    if number is not None:
        return number
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
