"""Worker threads for kernels that release the interpreter's lock.

Numba's own threading layers either abort when two Python threads use them at once or break in
a forked child; plain threads do neither.  A queue each hands work over in a few microseconds,
where an executor's futures take several times that.  A child process starts with none.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

Task = Callable[[int], None]
Answer = SimpleQueue[BaseException | None]
Order = dict[str, Any]
"""A task, and who does a part of it: whoever first says so, the worker it was given to or the caller."""


class _Worker:
    def __init__(self) -> None:
        self.inbox: SimpleQueue[tuple[Order, int, Answer]] = SimpleQueue()
        threading.Thread(target=self._serve, name="dagnet", daemon=True).start()

    def _serve(self) -> None:
        while True:
            order, part, answer = self.inbox.get()
            if order.setdefault("by", self) is self:
                task, error = order.pop("task"), None
                try:
                    task(part)
                except BaseException as raised:  # noqa: BLE001 - handed to the caller, who raises it
                    error = raised
                del task  # before the caller goes on, so that nothing of his is held
                answer.put(error)
                del error
            del order, answer


_workers: list[_Worker] = []
_lock = threading.RLock()


def run_parts(task: Task, n: int) -> None:
    """``task(0) … task(n − 1)`` at the same time, by this thread and others.

    This thread does the first, and those that nobody has begun by then: it waits for no thread that is busy
    with something else.
    """
    if n == 1:
        task(0)
        return
    answer: Answer = SimpleQueue()
    orders: list[Order] = [{"task": task} for _ in range(n - 1)]
    try:
        while len(_workers) < n - 1:
            with _lock:
                _workers.append(_Worker())
        for part, (order, worker) in enumerate(zip(orders, _workers, strict=False), 1):
            worker.inbox.put((order, part, answer))
        task(0)
        for part, order in enumerate(orders, 1):
            if order.setdefault("by", answer) is answer:
                task(part)
    finally:  # after an error, too, no worker is at what the caller may do with this memory next
        own = [order for order in orders if order.setdefault("by", answer) is answer]
        for order in own:  # which late workers see: they hold nothing of the task
            order.pop("task", None)
        errors = [answer.get() for _ in range(len(orders) - len(own))]
    for error in errors:
        if error is not None:
            raise error


def _forget() -> None:
    global _lock  # noqa: PLW0603 - the parent's lock may be held for ever in the child
    _lock = threading.RLock()
    _workers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
