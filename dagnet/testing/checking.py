"""What checks are made of: a verdict, the comparison of bits, and copies that do the same."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
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
