"""limit.c, compiled for this processor and called through ctypes: what is there to reach."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np

from .graphs import Missing, Wiring
from .oracle import Answer

SOURCE = Path(__file__).with_name("limit.c")
# not -ffast-math: linked with it, a library switches the whole process to flush denormals
MATH = ["-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math"]
FLAGS = ["-O3", "-march=native", "-mprefer-vector-width=512", *MATH, "-shared", "-fPIC"]


class _Net(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("n_units", "n_inputs", "n_outputs", "n_edges")),
        *(
            (name, ctypes.c_void_p)
            for name in ("outputs", "indptr", "sources", "slots", "indptr_out", "targets_out")
        ),
    ]


@lru_cache
def library(tile: int, *, keep: bool) -> ctypes.CDLL:
    """The compiled step for tiles of ``tile`` rows."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise Missing("hand-written C: no gcc on this machine")
    with tempfile.TemporaryDirectory(prefix="dagnet-limit-", ignore_cleanup_errors=True) as folder:
        place = Path(folder) / f"limit-{tile}-{keep:d}.so"
        command = [compiler, *FLAGS, f"-DROWS={tile}", f"-DKEEP={keep:d}", str(SOURCE), "-o", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"hand-written C: {' '.join(command)} failed: {done.stderr[:500]}")
        lib = ctypes.CDLL(str(place))
    lib.step.restype = ctypes.c_double
    return lib


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """float32 zeros that start on a cache line."""
    n = int(np.prod(shape))
    raw = np.zeros(n + 16, np.float32)
    start = (-raw.ctypes.data // 4) % 16
    return raw[start : start + n].reshape(shape)


AHEAD = 32  # as in limit.c


def by_children(wiring: Wiring) -> np.ndarray:
    """New number of each node: within a level by the number of children, so that branches are foreseen."""
    children = np.bincount(wiring.sources, minlength=wiring.n_nodes)
    inputs = np.arange(wiring.n_nodes) < wiring.n_inputs
    order = np.lexsort((np.where(inputs, np.arange(wiring.n_nodes), children), wiring.level))
    rank = np.empty(wiring.n_nodes, np.int64)
    rank[order] = np.arange(wiring.n_nodes)
    return rank


class LimitC:
    """Forward, loss and backward of a relu network; call it for a step, ``answer()`` for its result."""

    def __init__(
        self,
        wiring: Wiring,
        X: np.ndarray,
        y: np.ndarray,
        *,
        tile: int = 64,
        keep: bool = True,
        threads: int = 1,
    ) -> None:
        self._lib, self._threads = library(tile, keep=keep), threads
        self._layout(wiring, y)
        n, tiles = wiring.n_nodes, -(-len(X) // tile)
        self._net = _Net(
            n, wiring.n_inputs, len(wiring.outputs), wiring.n_edges, *(a.ctypes.data for a in self._arrays)
        )
        self._X = np.ascontiguousarray(X)
        shape = (tiles, n, tile) if keep else (1, n, tile)
        self._state = [aligned(shape)] * threads if keep else [aligned(shape) for _ in range(threads)]
        self._delta = [aligned(shape)] * threads if keep else self._state
        self._scratch, self._grads = ([aligned((wiring.n_edges,)) for _ in range(threads)] for _ in range(2))
        self._bias_grads = [aligned((n,)) for _ in range(threads)]
        self._calls = [self._arguments(t) for t in range(threads)]
        self._pool = ThreadPoolExecutor(threads - 1) if threads > 1 else None

    def _layout(self, wiring: Wiring, y: np.ndarray) -> None:
        """Parameters and data in the order of the backward walk."""
        rank, n = by_children(wiring), np.arange(wiring.n_nodes + 1)
        sources, targets = rank[wiring.sources], rank[wiring.targets]
        forth, back = np.lexsort((sources, targets)), np.lexsort((targets, sources))
        slot = np.empty(wiring.n_edges, np.int32)
        slot[back] = np.arange(wiring.n_edges)
        outputs = rank[wiring.outputs]
        ahead = np.zeros(AHEAD, np.int32)
        self._padded = np.concatenate([ahead, targets[back].astype(np.int32)])
        self._arrays = [
            np.sort(outputs).astype(np.int64),
            np.searchsorted(targets[forth], n).astype(np.int32),
            sources[forth].astype(np.int32),
            slot[forth],
            np.searchsorted(sources[back], n).astype(np.int32),
            self._padded[AHEAD:],
        ]
        self._slot, self._rank = slot, rank
        self._theta = wiring.weights[back]
        self._bias = wiring.biases[np.argsort(rank)]
        self._y = np.ascontiguousarray(y[:, np.argsort(outputs)])

    def _arguments(self, thread: int) -> list[object]:
        def pointer(array: np.ndarray) -> ctypes.c_void_p:
            return ctypes.c_void_p(array.ctypes.data)

        return [
            ctypes.byref(self._net),
            *map(pointer, (self._theta, self._bias, self._X, self._y)),
            *map(ctypes.c_int64, (len(self._X), thread, self._threads)),
            *map(pointer, (self._state[thread], self._delta[thread], self._scratch[thread])),
            *map(pointer, (self._grads[thread], self._bias_grads[thread])),
        ]

    def __call__(self) -> float:
        """One step; the loss."""
        step = self._lib.step
        others = [self._pool.submit(step, *call) for call in self._calls[1:]] if self._pool else []
        loss = step(*self._calls[0])
        for thread, other in enumerate(others, 1):
            loss += other.result()
            for grads in (self._grads, self._bias_grads):
                into, found = (ctypes.c_void_p(grads[t].ctypes.data) for t in (0, thread))
                self._lib.add(ctypes.c_int64(len(grads[0])), into, found)
        return loss

    def answer(self) -> Answer:
        loss = self()
        return Answer(loss, self._grads[0][self._slot], self._bias_grads[0][self._rank])
