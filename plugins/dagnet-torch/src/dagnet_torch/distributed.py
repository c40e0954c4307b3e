"""The processes that torchrun started, by ``torch.distributed``: gloo, or the group that is there already.

Where ``torch.distributed.init_process_group("nccl")`` was called before, arrays go by way of the process's
GPU.  Each process beats: it counts up a number in the store that torchrun's processes have in common, so
that those which are left can say who is gone, also where a machine no longer answers at all.
"""

from __future__ import annotations

import atexit
import os
import socket
import threading
import time
import warnings
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from dagnet.arrays import Array
from dagnet.errors import DagnetWarning, GroupError, PluginError
from dagnet_torch.sharing import Processes

BEAT = 0.5
"""Seconds from one beat to the next."""
LOOK, LOST, CUT = 5.0, 30.0, 3.0
"""Seconds after which to look for beats; without a beat, until a process counts as gone; the same once a
connection is cut."""
TORCHRUN = "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"


@lru_cache(maxsize=1)
def processes() -> Processes:
    """Those of this job; a process that torchrun did not start is alone, which a warning says."""
    if not dist.is_available():
        raise PluginError("fit(distributed=True) needs a torch that has torch.distributed; this one has not")
    if not dist.is_initialized():
        if not all(os.environ.get(name) for name in TORCHRUN):
            text = "this process was not started by torchrun, and trains alone"
            warnings.warn(f"fit(distributed=True): {text}", DagnetWarning, stacklevel=2)
            return Processes()
        dist.init_process_group("gloo")
        atexit.register(_leave)
    return TorchProcesses()


def _leave() -> None:
    with suppress(Exception):
        dist.destroy_process_group()


class TorchProcesses(Processes):
    """The default process group of ``torch.distributed``."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        place = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if dist.get_backend() == "nccl" else "cpu"
        self._device = torch.device(place)
        self._beats = _Beats(self.rank, self.size)

    def gather(self, array: Array) -> Array:
        """See :class:`dagnet_torch.sharing.Processes`."""
        own = torch.from_numpy(np.array(array)).to(self._device)
        found = torch.empty((self.size, *own.shape), dtype=own.dtype, device=self._device)
        self._wait(lambda: dist.all_gather(list(found.unbind()), own, async_op=True))
        return np.asarray(found.cpu().numpy())

    def sum(self, array: Array) -> Array:
        """See :class:`dagnet_torch.sharing.Processes`."""
        found = torch.from_numpy(np.array(array)).to(self._device)
        self._wait(lambda: dist.all_reduce(found, async_op=True))
        return np.asarray(found.cpu().numpy())

    def _wait(self, start: Any) -> None:
        """Until all have done their part; :class:`~dagnet.errors.GroupError` once somebody is gone."""
        work: Any = None
        while True:
            try:
                work = work or start()
                work.wait(timedelta(seconds=LOOK))
            except RuntimeError as error:
                late = work is not None and not work.is_completed()
                gone = self._beats.silent(LOST) if late else self._beats.cut()
                if gone or not late:
                    raise self._missing(gone) from error
            else:
                return

    def _missing(self, gone: list[str]) -> GroupError:
        atexit.unregister(_leave)  # which would wait for those that are gone
        who = " and ".join(gone) or "a rank that still beats, but whose connection is cut,"
        what = f"fit(distributed=True): of {self.size} processes {who} is gone, so rank {self.rank} stops"
        return GroupError(f"{what}; start all again, with resume= to go on from the last checkpoint")


class _Beats:
    """Who is there, by a store of its own connection: a thread beats, whatever training waits for."""

    def __init__(self, rank: int, size: int) -> None:
        self._rank, self._lock, self._known = rank, threading.Lock(), [""] * size
        self._since = [time.monotonic()] * size
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        self._keys = [f"dagnet/{attempt}/beat/{other}" for other in range(size)]
        self._said = f"rank {rank} (process {os.getpid()} on {socket.gethostname()})"
        self._store: Any = None
        if all(os.environ.get(name) for name in TORCHRUN):
            place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
            wait = timedelta(seconds=CUT)
            self._store = dist.TCPStore(  # type: ignore[attr-defined]
                *place, None, is_master=False, timeout=wait, wait_for_workers=False
            )
            self._store.set(self._keys[rank], f"0 {self._said}")
            self._ended = threading.Event()
            self._thread = threading.Thread(target=self._beat, name="dagnet beats", daemon=True)
            self._thread.start()
            atexit.register(self._end)

    def _beat(self) -> None:
        for number in range(1, 2**62):
            if self._ended.wait(BEAT):
                return
            try:
                with self._lock:
                    self._store.set(self._keys[self._rank], f"{number} {self._said}")
            except RuntimeError:  # the store is gone, which those who wait find out
                return

    def _end(self) -> None:
        """Before Python ends: a thread that is within a call of torch then would abort the process."""
        self._ended.set()
        self._thread.join(2 * CUT)

    def silent(self, seconds: float) -> list[str]:
        """Who has not beaten for so long, each by rank, process and host."""
        if self._store is None:
            return []
        try:
            with self._lock:
                if not self._store.check(self._keys):  # somebody has not begun
                    return []
                beats = [beat.decode() for beat in self._store.multi_get(self._keys)]
        except RuntimeError:
            return ["rank 0, or torchrun on its machine, which has the store,"]
        now, found = time.monotonic(), []
        for rank, beat in enumerate(beats):
            if beat != self._known[rank]:
                self._known[rank], self._since[rank] = beat, now
            elif now - self._since[rank] >= seconds:
                found.append(beat.split(" ", 1)[1])
        return found

    def cut(self) -> list[str]:
        """Who stops beating now that a connection is cut."""
        self.silent(LOST)
        time.sleep(CUT)
        return self.silent(CUT)
