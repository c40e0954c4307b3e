"""Times of two libraries beside each other, on one core that others may use, too."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def one_core() -> Iterator[None]:
    """PyTorch and the BLAS of NumPy keep to one thread."""
    torch = pytest.importorskip("torch")
    limits = pytest.importorskip("threadpoolctl").threadpool_limits
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def seconds(work):
    """Of the processor."""
    start = time.process_time()
    work()
    return time.process_time() - start
