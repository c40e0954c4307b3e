"""Where threads that share a pass meet, and who takes which piece of what they do together.

A hand-over to another Python thread costs 10 to 40 µs, a meeting in machine code less than one.  Whoever
waits looks some thousand times, then gives way to other threads each time; for one that will not come,
somebody says so.
"""

# ruff: noqa: ANN001, ANN201, ANN202 - Numba infers types
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import ctypes
import os

import numba
import numpy as np
from llvmlite import ir
from numba import types

from dagnet.arrays import Array
from dagnet.engine.compiled.caching import INNER
from dagnet.engine.compiled.microkernels import microkernel
from dagnet.engine.compiled.vectors import I64

ARRIVED, GONE, GATHERED, COLLECTED, FIXED = 0, 8, 16, 24, 32
"""Places in a meeting's numbers, on cache lines of their own: how often threads arrived, whether one is gone,
how many pieces are taken of two works.  At ``FIXED`` stands the address of what gives way; then those of the
memory of each part but the first, and of the vectors that they find derivatives in."""
PIECE = 4096
"""Numbers that a thread takes at a time of what is shared."""
LOOKS = 4096
"""How often a thread looks before it gives way: some microseconds."""
_library = ctypes.WinDLL("kernel32") if os.name == "nt" else ctypes.CDLL(None)  # type: ignore[attr-defined,unused-ignore]
_give_way = _library.SwitchToThread if os.name == "nt" else _library.sched_yield
GIVE_WAY = ctypes.cast(_give_way, ctypes.c_void_p).value


def meeting_of(addresses: list[int], before: Array) -> Array:
    """A meeting's numbers, on cache lines of their own, for others' memories and vectors at such addresses.

    It is the one ``before`` if that has as many parts.
    """
    n = FIXED + 1 + len(addresses)
    if len(before) != n:
        raw = np.zeros(8 * n + 64, np.uint8)
        before = raw[-raw.ctypes.data % 64 :][: 8 * n].view(np.int64)
        before[FIXED] = GIVE_WAY
    before[FIXED + 1 :] = addresses
    return before


@microkernel(lambda *_: types.int64)
def _counted(builder, meeting, place):
    """What stood there, one more than which stands there now."""
    return builder.atomic_rmw("add", builder.gep(meeting, [place]), I64(1), "seq_cst")


@microkernel(lambda *_: types.int64)
def _seen(builder, meeting, place):
    """What stands there, and all that was written before it."""
    return builder.load_atomic(builder.gep(meeting, [place]), "acquire", 8)


@microkernel()
def _give_way_to_others(builder, meeting):
    address = builder.load(builder.gep(meeting, [I64(FIXED)]))
    kind = ir.FunctionType(ir.IntType(32), [])
    builder.call(builder.inttoptr(address, kind.as_pointer()), [])


@numba.njit(**INNER)
def meet(meeting, parts):
    """Wait until all threads are here; whether they came."""
    goal, looks = (_counted(meeting, ARRIVED) // parts + 1) * parts, 0
    while _seen(meeting, ARRIVED) < goal:
        if _seen(meeting, GONE) != 0:
            return False
        looks += 1
        if looks > LOOKS:
            _give_way_to_others(meeting)
    return True


@numba.njit(**INNER)
def next_piece(meeting, place):
    """Where a piece of a work begins that no other thread has."""
    return _counted(meeting, place) * PIECE
