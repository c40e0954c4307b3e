"""Checks that hold for every kind of plugin: it survives pickling and copying."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from dagnet.testing.outcomes import must

__all__ = ["same_bits", "survives_copying", "survives_pickling"]


def same_bits(first: Any, second: Any) -> bool:
    """Whether two arrays are the same to the bit, NaN, dtype and shape included."""
    one, other = np.asarray(first), np.asarray(second)
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def survives_pickling(item: Any, use: Callable[[Any], Any]) -> None:
    """Fail unless a pickled plugin does the same; ``use`` puts it to work and returns an array."""
    try:
        again = pickle.loads(pickle.dumps(item))  # noqa: S301 - our own bytes
    except Exception as error:
        mend = "define its functions at the top level of a module, not as lambdas or inner functions"
        raise AssertionError(f"it cannot be pickled: {error}; {mend}") from error
    must(same_bits(use(item), use(again)), "pickled and read back, it gives other numbers")


def survives_copying(item: Any, use: Callable[[Any], Any]) -> None:
    """Fail unless a deep copy does the same."""
    try:
        again = copy.deepcopy(item)
    except Exception as error:
        raise AssertionError(f"it cannot be copied: {error}") from error
    must(same_bits(use(item), use(again)), "its copy gives other numbers")
