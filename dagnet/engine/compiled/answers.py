"""Memory of large answers: that of one which nobody holds any more serves the next one.

The system fills fresh pages with zeros, and takes those of a large array back when it is gone.  Where many
outputs are predicted again and again that is a quarter of the time.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from dagnet.arrays import Array

MOST = 2**28
"""Bytes of an answer whose memory is kept."""


class Answers:
    """Arrays for the answers of a network, each the caller's own; the memory of one at most is kept."""

    def __init__(self, dtype: Any) -> None:
        self._dtype = np.dtype(dtype)
        self._free: deque[Array] = deque(maxlen=1)

    def empty(self, shape: tuple[int, int]) -> Array:
        """``np.empty(shape, dtype)``."""
        size = shape[0] * shape[1] * self._dtype.itemsize
        if size > MOST:
            return np.empty(shape, self._dtype)
        try:
            memory = self._free.pop()  # one step: of several threads one has it
        except IndexError:
            memory = np.empty(0, np.uint8)
        if len(memory) != size:
            memory = np.empty(size, np.uint8)
        return np.asarray(_Held(memory, self._free)).view(self._dtype).reshape(shape)


class _Held:
    """What an answer and all its views hold: with the last of them the memory is free."""

    def __init__(self, memory: Array, free: deque[Array]) -> None:
        self._memory, self._free = memory, free
        self.__array_interface__ = memory.__array_interface__

    def __del__(self) -> None:
        self._free.append(self._memory)
