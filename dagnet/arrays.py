"""What arrays are called in annotations, and how much of them there can be."""

import os
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def repeated(value: Any, n: int) -> Array:
    """(n,) of one number, which is in memory once and cannot be written to."""
    one = np.array(value)
    one.flags.writeable = False
    return np.ndarray((n,), one.dtype, one.data, strides=(0,))


def all_are(numbers: Array, value: Any) -> bool:
    """Whether all numbers are this one; of such as are :func:`repeated` the first one tells."""
    if numbers.strides == (0,) and len(numbers):
        return bool(numbers[0] == value)
    return not np.count_nonzero(numbers != value)


@lru_cache(maxsize=1)
def memory_bytes() -> int:
    """The memory of this machine; where the system does not say, 2⁴⁰ bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 2**40
