"""Pieces of work that threads share: who is at which, and when all are done.

A thread takes what nobody has, and then waits only for pieces that others are at.  So it waits for
no thread that has not begun: one that comes late, or never, finds its share done.  A hand-over to another
Python thread costs 10 to 50 µs, to wait here less than one.
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
from dagnet.engine.compiled.opened import numbers_at
from dagnet.engine.compiled.vectors import I64

_NUMBER, _GIVE_WAY, _PIECES = 0, 1, 8
"""Places of a meeting: the number of the pass; the address of what gives way; from where on pieces are."""
SHARES = 4
"""Pieces a thread of what all do together, so that who has more time does more."""
LOOKS = 4096
"""How often a thread looks before it gives way to other threads each time: some microseconds."""
_library = ctypes.WinDLL("kernel32") if os.name == "nt" else ctypes.CDLL(None)  # type: ignore[attr-defined,unused-ignore]
_give_way_to_others = _library.SwitchToThread if os.name == "nt" else _library.sched_yield


def meeting_of(parts: int) -> Array:
    """A meeting of so many threads, about a piece for each part, and twice those that they share; none of 0.

    In pass n a piece's number is 2n while somebody is at it, 2n + 1 when it is done, and less before:
    whoever is late from an earlier pass finds nothing to do.
    """
    pieces = parts + 2 * (SHARES * parts + 1)
    meeting = np.zeros(_PIECES + 2 * pieces if parts else 0, np.int64)
    meeting[_GIVE_WAY : _GIVE_WAY + 1] = ctypes.cast(_give_way_to_others, ctypes.c_void_p).value or 0
    return meeting


def begin_pass(meeting: Array) -> None:
    """Nothing of the next pass is done."""
    meeting[_NUMBER] += 1


@microkernel(lambda *_: types.int64)
def _seen(builder, meeting, place):
    """What stands there, and all that was written before it."""
    return builder.load_atomic(builder.gep(meeting, [place]), "acquire", 8)


@microkernel(lambda *_: types.boolean)
def _changed(builder, meeting, place, before, after):
    """Whether ``before`` stood there, in place of which now stands ``after``."""
    place = builder.gep(meeting, [place])
    return builder.extract_value(builder.cmpxchg(place, before, after, "acq_rel", "acquire"), 1)


@microkernel()
def _written(builder, meeting, place, number):
    builder.store_atomic(number, builder.gep(meeting, [place]), "release", 8)


@microkernel()
def _give_way(builder, meeting):
    address = builder.load(builder.gep(meeting, [I64(_GIVE_WAY)]))
    builder.call(builder.inttoptr(address, ir.FunctionType(ir.IntType(32), []).as_pointer()), [])


@numba.njit(**INNER)
def _result_at(meeting, piece):
    """Where stands what a piece gave: behind all pieces."""
    return meeting.ctypes.data + 8 * (_PIECES + (len(meeting) - _PIECES) // 2 + piece)


@numba.njit(**INNER)
def number_of(meeting):
    """Of the pass; 0 for one thread, which meets nobody."""
    return _seen(meeting, _NUMBER) if len(meeting) > 0 else 0


@numba.njit(**INNER)
def taken(meeting, number, piece):
    """Whether this thread now is at a piece."""
    if len(meeting) == 0:
        return True
    before = _seen(meeting, _PIECES + piece)
    return before < 2 * number and _changed(meeting, _PIECES + piece, before, 2 * number)


@numba.njit(**INNER)
def end(meeting, number, piece, result):
    """Say that a piece is done, and what it gave."""
    if len(meeting) > 0:
        numbers_at(np.float64, _result_at(meeting, piece), (1,))[0] = result
        _written(meeting, _PIECES + piece, 2 * number + 1)


@numba.njit(**INNER)
def wait(meeting, number, first, last):
    """The sum of what some pieces gave, once all are done; each has somebody who is at it."""
    looks, total = 0, 0.0
    for piece in range(first, last):
        while _seen(meeting, _PIECES + piece) <= 2 * number:
            looks += 1
            if looks > LOOKS:
                _give_way(meeting)
        total += numbers_at(np.float64, _result_at(meeting, piece), (1,))[0]
    return total
