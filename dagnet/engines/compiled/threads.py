"""A pool of Python threads for kernels that release the interpreter's lock.

Numba's own threading layers either abort when two Python threads use them at once or break in
a forked child; plain threads do neither.  A child process starts with a pool of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

__all__ = ["run_parts"]

_pools: dict[int, ThreadPoolExecutor] = {}


def run_parts(task: Callable[[int], None], n: int) -> None:
    """``task(0) … task(n − 1)`` at the same time; this thread does the first."""
    if n == 1:
        task(0)
        return
    others = [_pool(n - 1).submit(task, part) for part in range(1, n)]
    try:
        task(0)
    finally:
        for other in others:
            other.result()


def _pool(size: int) -> ThreadPoolExecutor:
    if size not in _pools:
        _pools[size] = ThreadPoolExecutor(size, thread_name_prefix="dagnet")
    return _pools[size]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)
