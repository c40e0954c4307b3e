"""Arguments of a network that are neither names nor data."""

from __future__ import annotations

import os

import numpy as np

from dagnet.errors import DataError, expected
from dagnet.topology import as_whole

__all__ = ["checked_threads", "make_generator"]


def make_generator(seed: object) -> np.random.Generator:
    """A generator of its own for a seed: None, a whole number ≥ 0, or a Generator."""
    if isinstance(seed, np.random.Generator):
        return seed
    number = as_whole(seed)
    if seed is None or (number is not None and number >= 0):
        return np.random.default_rng(number)
    raise DataError(expected("seed", "a whole number of 0 or more, a Generator or None", seed))


def checked_threads(threads: object) -> int:
    """How many threads; None is all CPUs that the process may use."""
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    number = as_whole(threads)
    if number is None or number < 1:
        raise DataError(expected("threads", "a whole number of 1 or more, or None for all", threads))
    return number
