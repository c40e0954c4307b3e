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
        self.inbox: SimpleQueue[tuple[Task, int, Answer, Callable[[], None]]] = SimpleQueue()
        threading.Thread(target=self._serve, name="dagnet", daemon=True).start()

    def _serve(self) -> None:
        while True:
            task, part, answer, leave = self.inbox.get()
            try:
                task(part)
            except BaseException as error:  # noqa: BLE001 - handed to the caller, who raises it
                leave()
                answer.put(error)
            else:
                answer.put(None)
            del task, answer, leave


_workers: list[_Worker] = []
_lock = threading.Lock()


def run_parts(task: Task, n: int, leave: Callable[[], None] = lambda: None) -> None:
    """``task(0) … task(n − 1)`` at the same time; this thread does the first.

    ``leave()`` is called once one fails or is not begun: it tells parts that wait for each other to go on.
    """
    if n == 1:
        task(0)
        return
    answer: Answer = SimpleQueue()
    sent = 0
    try:
        with _lock:  # of two calls one stands first in every queue: none waits for the other crosswise
            while len(_workers) < n - 1:
                _workers.append(_Worker())
            for part, worker in enumerate(_workers[: n - 1], 1):
                worker.inbox.put((task, part, answer, leave))
                sent = part
        task(0)
    except BaseException:
        leave()
        raise
    finally:
        errors = [answer.get() for _ in range(sent)]
    for error in errors:
        if error is not None:
            raise error


def _forget() -> None:
    global _lock  # noqa: PLW0603 - the parent's lock may be held for ever in the child
    _lock = threading.Lock()
    _workers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
