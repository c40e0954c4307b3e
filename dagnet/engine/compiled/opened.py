"""One way into a kernel: a *table* holds the addresses and lengths of all arrays of a program.

A kernel takes a table as one argument, and ``opened(table)`` gives the arrays by name, as machine code.  To
take few arguments is most of the speed where a network is small.
"""

# ruff: noqa: ANN001, ANN201, ARG001 - Numba infers types; intrinsics have its protocol
# mypy: disable-error-code="no-untyped-def,misc"

from __future__ import annotations

from collections import namedtuple
from operator import attrgetter
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, register_jitable

from dagnet.arrays import Array
from dagnet.engine.compiled.caching import INNER

I64 = ir.IntType(64)
_UNIT, _SLOT = "unit", "slot"
BLOCK = 16
"""The kind of a dense step that kernels do, a tile at a time; DENSE are matrix products of all rows."""
UNITS = 17
"""The kind of a run of sums and activations, any number of levels of them."""
ARRAYS = {
    "steps": (types.int64, 4),
    "runs": (types.int64, 4),
    "unit_code": (types.int64, 3),
    "parts": (types.int64, 5),
    "indptr": types.int64,
    "sources": _UNIT,
    "bias_slot": _UNIT,
    "pre_place": _UNIT,
    "functions": (types.int64, 2),
    "slopes": (types.int64, 2),
    "learned_counts": types.int64,
    "learned_slot": types.int64,
    "outputs": types.int64,
    "indptr_out": types.int64,
    "children": _UNIT,
    "slots_out": _SLOT,
    "begun": _UNIT,
    "outputs_begun": types.int64,
    "alike": types.int8,
    "zeroed": types.int64,
    "fresh": types.int8,
    "needs_delta": types.boolean,
    "unit_hashes": types.uint64,
    "rates": (types.float64, 3),
    "key": types.uint64,
}
"""Arrays of a :class:`dagnet.engine.compiled.segments.Program`: of what, and how wide their rows are."""
NUMBERS = (
    "n_pre",
    "all_needed",
    "walks_to_inputs",
    "pulls_inputs",
    "n_inputs",
    "n_learned",
    "writes_slots",
    "skips_inputs",
    "aggregates",
    "overwrites",
)
NARROW = {_UNIT: types.int32, _SLOT: types.uint32}
WIDE = {_UNIT: types.int64, _SLOT: types.uint64}
_arrays, _numbers = attrgetter(*ARRAYS), attrgetter(*NUMBERS)
Opened: Any = namedtuple("Opened", [*ARRAYS, *NUMBERS])  # noqa: PYI024 - its fields are the table's
"""All that kernels read of a program."""


class State(NamedTuple):
    """Values a, δ, and the z that derivatives need, in flat memory."""

    values: Any
    deltas: Any
    pre: Any


class Reverse(NamedTuple):
    """What the reverse walk reads and finds: weights in its own order, derivatives of them and of biases.

    Those of what activations learn stand behind the biases'; ``theta`` has their numbers, last.  The
    weights of blocks are read in ``theta``, and their derivatives found in ``into`` (slots,).
    """

    weights: Any
    gradient: Any
    bias_gradient: Any
    theta: Any
    into: Any


class Tile(NamedTuple):
    """A tile of rows in flat memory: unit u begins at ``base + u · stride``; ``there`` of ``lanes`` exist.

    ``row`` is the number of its first row.
    """

    base: Any
    pre_base: Any
    stride: Any
    lanes: Any
    there: Any
    row: Any


class Call(NamedTuple):
    """What a kernel is called with besides: entries behind those of the program.

    ``compressed`` is 1 where inputs are :meth:`dagnet.contracts.Compressed.addresses`.
    ``memory`` holds ``room`` numbers a part; ``shares`` is 1 where threads share work on weights, else a part
    but the first finds derivatives at its end.  ``meeting``: that of several threads.
    """

    loss: int
    loss_numbers: int
    part: int
    parts: int
    lanes: int
    rows: int
    compressed: int
    inputs: int
    targets: int
    factor: int
    memory: int
    room: int
    into: int
    shares: int
    meeting: int
    met: int


def address_of(array: Array) -> int:
    """Where an array's numbers begin, in a third of the time that ``ctypes`` takes."""
    found: int = array.__array_interface__["data"][0]
    return found


def table_of(program: Any) -> Array:
    """(addresses, lengths, numbers); valid as long as the program lives.

    Of int64 where units fit into 32 bits, else of uint64: by its type kernels know the type of indices.
    """
    arrays = _arrays(program)
    places = [address_of(a) if len(a) else 0 for a in arrays]
    entries = [*places, *map(len, arrays), *_numbers(program)]
    return np.array(entries, np.int64 if program.is_narrow else np.uint64)


def with_array(table: Array, name: str, array: Array) -> Array:
    """A program's table with another array, such as (key of dropout, first row); valid while both live."""
    result, place = table.copy(), list(ARRAYS).index(name)
    result[[place, len(ARRAYS) + place]] = array.ctypes.data, len(array)
    return result


def call_table(table: Array) -> tuple[Array, Array]:
    """A program's table with room for a call, and that room, in the order of :class:`Call`."""
    whole = np.concatenate([table, np.zeros(len(Call._fields), table.dtype)])
    return whole, whole[len(table) :]


def _array(context: Any, builder: Any, kind: Any, address: Any, shape: list[Any]) -> Any:
    """The array that lies at an address."""
    from numba.np.arrayobj import populate_array  # noqa: PLC0415 - 20 ms that compiling alone needs

    array = context.make_array(kind)(context, builder)
    size = I64(context.get_abi_sizeof(context.get_data_type(kind.dtype)))
    strides = [size]
    for n in shape[:0:-1]:
        strides.insert(0, builder.mul(strides[0], n))
    populate_array(array, builder.inttoptr(address, array.data.type), shape, strides, size, None)
    return array._getvalue()  # noqa: SLF001 - how Numba's own code reads it


@intrinsic
def opened(typingctx, table):
    """The arrays and numbers of a table by name."""
    sizes = WIDE if table.dtype == types.uint64 else NARROW
    kinds = []
    for entry in ARRAYS.values():
        element, *width = entry if isinstance(entry, tuple) else (entry,)
        kinds.append((types.Array(sizes.get(element, element), 1 + len(width), "C"), width))
    result = types.NamedTuple([*(kind for kind, _ in kinds), *[types.int64] * len(NUMBERS)], Opened)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        n = len(ARRAYS)
        places = (builder.gep(data, [I64(k)]) for k in range(2 * n + len(NUMBERS)))
        entries = [builder.load(place) for place in places]
        parts = []
        for (kind, width), address, length in zip(kinds, entries[:n], entries[n : 2 * n], strict=True):
            parts.append(_array(context, builder, kind, address, [length, *map(I64, width)]))
        return context.make_tuple(builder, result, [*parts, *entries[2 * n :]])

    return result(table), codegen


@intrinsic
def numbers_at(typingctx, vector, address, shape):
    """The numbers at an address, of a vector's type, or of a given one."""
    kind = types.Array(vector.dtype, len(shape), "C")

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lengths = [builder.extract_value(args[2], k) for k in range(kind.ndim)]
        return _array(context, builder, kind, args[1], lengths)

    return kind(vector, address, shape), codegen


LINE = 64
"""Bytes of a cache line, on which the memory of a call begins: it has so many more."""


@register_jitable
def padded(n):
    """A length that leaves what follows on a cache line."""
    return (n + 15) // 16 * 16


@register_jitable
def rows_of_delta(program):
    """How many units' rows of δ stand behind those of values: where δ is written over these, the outputs'."""
    return len(program.outputs) if program.overwrites else len(program.bias_slot)


@register_jitable
def shape_of(program, n_slots, lanes, n_rows, parts):
    """How a training step has its memory.

    Whether derivatives are written over weights in walking order, which they may be where each is found at
    once: in one tile, but for aggregations, which read weights twice.  Whether the tile's rows lie in the
    result, which is written when all is over, and then has no weights in it.  The size of the tile in the
    memory itself.
    """
    n_units, n_outputs = len(program.bias_slot), len(program.outputs)
    tile = (n_units + rows_of_delta(program) + program.n_pre + n_outputs) * lanes
    over = parts == 1 and 1 <= n_rows <= lanes and not program.aggregates
    inside = over and not program.writes_slots and tile + LINE <= n_slots
    return over, inside, 0 if inside else tile


def memory_of(program: Any, lanes: int, n_rows: int, parts: int) -> int:
    """How many numbers a part's memory of a training step holds."""
    over, _, size = shape_of(program, program.plan.n_slots, lanes, n_rows, parts)
    walked = padded(len(program.slots_out)) * (2 if program.writes_slots and not over else 1)
    return int(size + walked + padded(len(program.bias_slot) + program.n_learned))


CALL = 2 * len(ARRAYS) + len(NUMBERS)
"""Where a call begins in its table."""


@numba.njit(**INNER)
def opened_call(table, theta):
    """A call's loss; (part, parts, lanes, shares); inputs, targets, factor; memory, into, meeting."""
    at, program = CALL, opened(table)
    parts, n_rows, n_outputs = np.int64(table[at + 3]), np.int64(table[at + 5]), len(program.outputs)
    given = (
        numbers_at(theta, table[at + 7], (n_rows, program.n_inputs)),
        numbers_at(np.int64, table[at + 7], (5 if table[at + 6] else 0,)),
    )
    rows = (
        given,
        numbers_at(theta, table[at + 8], (n_rows, n_outputs)),
        numbers_at(theta, table[at + 9], (n_rows,)),
    )
    places = (
        numbers_at(theta, table[at + 10], (parts, np.int64(table[at + 11]))),
        numbers_at(theta, table[at + 12], (len(theta),)),
        numbers_at(np.int64, table[at + 14], (np.int64(table[at + 15]),)),
    )
    loss = np.int64(table[at]), np.int64(table[at + 1])
    return loss, (np.int64(table[at + 2]), parts, np.int64(table[at + 4]), table[at + 13] != 0), rows, places
