"""What arrays are called in annotations, and how much of them there can be."""

import os
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


@lru_cache(maxsize=1)
def memory_bytes() -> int:
    """The memory of this machine; where the system does not say, 2⁴⁰ bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 2**40
