"""One way into a kernel: a *table* holds the addresses and lengths of all arrays of a program.

A kernel takes a table as one argument, and ``opened(table)`` gives the arrays by name, as machine code.  To
take few arguments is most of the speed where a network is small.
"""

# ruff: noqa: ANN001, ANN201, ANN202, ARG001 - Numba infers types; intrinsics have its protocol
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic, register_jitable

from dagnet.arrays import Array


class Opened(NamedTuple):
    """All that kernels read of a program; see :class:`dagnet.engine.compiled.segments.Program`."""

    steps: Any
    indptr: Any
    sources: Any
    bias_slot: Any
    pre_place: Any
    functions: Any
    slopes: Any
    outputs: Any
    indptr_out: Any
    children: Any
    slots_out: Any
    slots: Any
    places: Any
    started: Any
    needs_delta: Any
    n_pre: Any
    all_needed: Any
    walks_to_inputs: Any
    n_inputs: Any
    lanes: Any


ARRAYS, NUMBERS = Opened._fields[:15], Opened._fields[15:]


class State(NamedTuple):
    """Values a, δ, and the z that derivatives need, in flat memory."""

    values: Any
    deltas: Any
    pre: Any


class Walk(NamedTuple):
    """What the reverse walk reads and finds: weights in its own order, derivatives of them and of biases."""

    weights: Any
    gradient: Any
    bias_gradient: Any


class Tile(NamedTuple):
    """A tile of rows in flat memory: unit u begins at ``base + u · stride``; ``there`` of ``lanes`` exist."""

    base: Any
    pre_base: Any
    stride: Any
    lanes: Any
    there: Any


class Call(NamedTuple):
    """What a kernel is called with besides: entries behind those of the program."""

    loss: int
    loss_numbers: int
    part: int
    parts: int
    rows: int
    inputs: int
    targets: int
    factor: int
    memory: int
    into: int


def table_of(program: Any) -> Array:
    """(15 addresses, 15 lengths, numbers); valid as long as the program lives.

    Of int64 where units fit into 32 bits, else of uint64: by its type kernels know the type of indices.
    """
    arrays = [getattr(program, name) for name in ARRAYS]
    numbers = [getattr(program, name) for name in NUMBERS]
    entries = [*(a.ctypes.data for a in arrays), *(len(a) for a in arrays), *numbers]
    return np.array(entries, np.int64 if program.is_narrow else np.uint64)


def call_table(table: Array) -> tuple[Array, Array]:
    """A program's table with room for a call, and that room, in the order of :class:`Call`."""
    whole = np.concatenate([table, np.zeros(len(Call._fields), table.dtype)])
    return whole, whole[len(table) :]


def _pointer_at(element: Any, wide: Any = None) -> Any:
    """An intrinsic: an entry of a table as a pointer to ``element``, or to ``wide`` in a wide table."""

    @intrinsic
    def pointer_at(typingctx, address):
        kind = wide if wide is not None and address == types.uint64 else element

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(sig.return_type))

        return types.CPointer(kind)(address), codegen

    return pointer_at


_integers, _units = _pointer_at(types.int64), _pointer_at(types.int32, types.int64)
_slots, _bytes = _pointer_at(types.uint32, types.uint64), _pointer_at(types.int8)
_truths = _pointer_at(types.boolean)
_N = len(ARRAYS)


@register_jitable
def opened(table):
    """The arrays of a table by name."""
    return Opened(
        numba.carray(_integers(table[0]), (np.int64(table[_N]), 4)),
        numba.carray(_integers(table[1]), np.int64(table[_N + 1])),
        numba.carray(_units(table[2]), np.int64(table[_N + 2])),
        numba.carray(_integers(table[3]), np.int64(table[_N + 3])),
        numba.carray(_integers(table[4]), np.int64(table[_N + 4])),
        numba.carray(_integers(table[5]), (np.int64(table[_N + 5]), 2)),
        numba.carray(_integers(table[6]), (np.int64(table[_N + 6]), 2)),
        numba.carray(_integers(table[7]), np.int64(table[_N + 7])),
        numba.carray(_integers(table[8]), np.int64(table[_N + 8])),
        numba.carray(_units(table[9]), np.int64(table[_N + 9])),
        numba.carray(_slots(table[10]), np.int64(table[_N + 10])),
        numba.carray(_slots(table[11]), np.int64(table[_N + 11])),
        numba.carray(_slots(table[12]), np.int64(table[_N + 12])),
        numba.carray(_bytes(table[13]), np.int64(table[_N + 13])),
        numba.carray(_truths(table[14]), np.int64(table[_N + 14])),
        np.int64(table[2 * _N]),
        table[2 * _N + 1] != 0,
        table[2 * _N + 2] != 0,
        np.int64(table[2 * _N + 3]),
        np.int64(table[2 * _N + 4]),
    )


@intrinsic
def _numbers(typingctx, vector, address):
    """An address as a pointer to numbers of a vector's type."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.inttoptr(args[1], context.get_value_type(sig.return_type))

    return types.CPointer(vector.dtype)(vector, address), codegen


@register_jitable
def padded(n):
    """A length that leaves what follows on a cache line."""
    return (n + 15) // 16 * 16


@register_jitable
def opened_call(table, theta):
    """The loss, part, parts, and (inputs, targets, factor, memory, into) of a call's table."""
    at, program = 2 * _N + 5, opened(table)
    n_rows, n_outputs = np.int64(table[at + 4]), len(program.outputs)
    n_walked, n_units, lanes = len(program.slots_out), len(program.bias_slot), program.lanes
    size = (2 * n_units + program.n_pre + n_outputs) * lanes + 2 * padded(n_walked) + padded(n_units)
    arrays = (
        numba.carray(_numbers(theta, table[at + 5]), (n_rows, program.n_inputs)),
        numba.carray(_numbers(theta, table[at + 6]), (n_rows, n_outputs)),
        numba.carray(_numbers(theta, table[at + 7]), n_rows),
        numba.carray(_numbers(theta, table[at + 8]), size),
        numba.carray(_numbers(theta, table[at + 9]), len(theta)),
    )
    loss = np.int64(table[at]), np.int64(table[at + 1])
    return loss, np.int64(table[at + 2]), np.int64(table[at + 3]), arrays
