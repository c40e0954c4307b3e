"""Networks that share inputs alone, some after the others: a prediction's values stay near.

A tile of a union of small networks has more values than stay in a core's cache; each network has few.  So a
prediction may go from network to network instead of level by level: all read the tile's inputs, and write
their values to the same small memory.  Units and edges are the plan's, in another order: so are all numbers.
"""

# ruff: noqa: ANN001, ANN202 - Numba infers types
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dagnet.adjacency import offsets, ranges, runs, stable_order
from dagnet.arrays import Array
from dagnet.engine.compiled.caching import kernel
from dagnet.engine.compiled.functions import units_by_code
from dagnet.engine.compiled.opened import UNITS, with_array
from dagnet.engine.compiled.vectors import TILE_ROWS
from dagnet.plan import ACTIVATE, SPARSE

PART = 2**17
"""Bytes of a tile's values of the networks that go together."""


class Parts(NamedTuple):
    """A program in the order of its parts.

    ``slots``: theta in that order; ``n_units``: how many have values at once; ``lanes``: of how many rows;
    ``kept``: what ``table`` is of, and ``code`` what its addresses are of.
    """

    table: Array
    slots: Array
    n_units: int
    lanes: int
    kept: dict[str, Array]
    code: list[tuple[Any, ...]]


@kernel
def _join(indptr, sources, n_inputs, part):
    """``part[unit]``: the lowest unit that edges between computed units lead to, either way."""
    for unit in range(len(part)):
        part[unit] = unit
        for k in range(indptr[unit], indptr[unit + 1]):
            one, other = part[unit], np.int64(sources[k])
            if other < n_inputs:
                continue
            while part[one] != one:
                one = part[one]
            while part[other] != other:
                part[other] = part[part[other]]
                other = part[other]
            part[max(one, other)] = min(one, other)
            part[unit] = min(one, other)
    for unit in range(len(part)):
        part[unit] = part[part[unit]]


def parts_of(program: Any) -> Parts | None:
    """The parts of a program, for the widest tiles; None where they would not save half of the memory."""
    lanes = TILE_ROWS[program.dtype.name][-1]
    of_unit = lanes * program.dtype.itemsize
    plain = np.isin(program.runs[:, 0], (SPARSE, ACTIVATE, UNITS)).all() and not program.drops
    if not plain:
        return None
    part = np.empty(len(program.bias_slot), np.int64)
    _join(program.indptr, program.sources, program.n_inputs, part)
    of_column = part[program.outputs]
    first = runs(of_column)
    networks = of_column[first]
    sizes = np.bincount(part[program.n_inputs :], minlength=len(part))[networks]
    together = (np.cumsum(sizes) - sizes) // (PART // of_unit)
    begins = runs(together)
    n_units = program.n_inputs + int(np.add.reduceat(sizes, begins).max(initial=0))
    apart = len(np.unique(networks)) == len(networks)  # each one's outputs stand side by side
    if not apart or 2 * n_units > len(part):
        return None
    number = np.full(len(part), len(begins))  # of units without outputs: behind all others
    number[networks] = np.repeat(np.arange(len(begins)), np.diff(begins, append=len(networks)))
    columns = np.append(first[begins], len(of_column))
    codes = np.unique(program.runs[program.runs[:, 0] == UNITS, 1]).tolist()
    code = units_by_code(program, (lanes,), codes)
    if not all(code[what][0] for what in codes):  # in such tiles it gives other bits
        return None
    order, kept = _ordered(program, number[part], columns)
    kept["unit_code"], table = np.array([units[:3] for units in code], np.int64), program.table
    for name, array in kept.items():
        table = with_array(table, name, array)
    return Parts(table, order, n_units, lanes, kept, code)


def _ordered(program: Any, part: Array, columns: Array) -> tuple[Array, dict[str, Array]]:
    """The order of slots and the program's arrays, by each unit's part and where each one's outputs begin."""
    n_inputs, n_parts = program.n_inputs, len(columns) - 1
    order = n_inputs + stable_order(part[n_inputs:], n_parts + 1)
    shift = part[order].searchsorted(np.arange(n_parts + 1))
    order = order[: shift[-1]]
    place = np.arange(len(part))
    place[order] = n_inputs + np.arange(len(order))

    def found(units: Array, parts: Array) -> Array:
        """Where parts read units; inputs stand before the first unit of each."""
        moved: Array = place[units] + np.where(units < n_inputs, shift[parts], 0)
        return moved

    lengths, inputs = np.diff(program.indptr)[order], np.zeros(n_inputs, np.int64)
    weights = ranges(program.indptr[order], program.indptr[order + 1])
    n_weights, n_slots = int(program.indptr[-1]), program.plan.n_slots
    sources = found(program.sources[weights], part[order].repeat(lengths))
    key = part[order] * len(part) + order
    table = program.runs[None].repeat(n_parts, axis=0)  # each run's units of each part
    bounds = len(part) * np.arange(n_parts)[:, None, None] + program.runs[:, 2:]
    table[..., 2:] = n_inputs + key.searchsorted(bounds)
    there = table[..., 3] > table[..., 2]
    begins = offsets(np.count_nonzero(there, axis=1))
    kept = {
        "runs": table[there],
        "indptr": np.concatenate([inputs, offsets(lengths)]),
        "sources": sources.astype(program.sources.dtype),
        "outputs": found(program.outputs, np.repeat(np.arange(n_parts), np.diff(columns))),
        "parts": np.column_stack([shift[:-1], begins[:-1], begins[1:], columns[:-1], columns[1:]]),
    }
    for name in ("bias_slot", "learned_slot"):
        slots = getattr(program, name)
        if len(slots):
            own = slots[order]
            moved = np.where(own < 0, own, own + len(weights) - n_weights)
            kept[name] = np.concatenate([inputs - 1, moved]).astype(slots.dtype)
    return np.append(weights, np.arange(n_weights, n_slots)), kept
