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

Task = Callable[[int], None]
Answer = SimpleQueue[BaseException | None]


class _Worker:
    def __init__(self) -> None:
        self.inbox: SimpleQueue[tuple[Task, int, Answer]] = SimpleQueue()
        threading.Thread(target=self._serve, name="dagnet", daemon=True).start()

    def _serve(self) -> None:
        while True:
            task, part, answer = self.inbox.get()
            try:
                task(part)
            except BaseException as error:  # noqa: BLE001 - handed to the caller, who raises it
                answer.put(error)
            else:
                answer.put(None)
            del task, answer


_workers: list[_Worker] = []
_lock = threading.Lock()


def run_parts(task: Task, n: int) -> None:
    """``task(0) … task(n − 1)`` at the same time; this thread does the first."""
    if n == 1:
        task(0)
        return
    answer: Answer = SimpleQueue()
    with _lock:
        while len(_workers) < n - 1:
            _workers.append(_Worker())
        workers = _workers[: n - 1]
    for part, worker in enumerate(workers, 1):
        worker.inbox.put((task, part, answer))
    try:
        task(0)
    finally:
        errors = [answer.get() for _ in range(n - 1)]
    for error in errors:
        if error is not None:
            raise error


def _forget() -> None:
    global _lock  # noqa: PLW0603 - the parent's lock may be held for ever in the child
    _lock = threading.Lock()
    _workers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
