"""Kernels that copy: rows into tiles and out of them, vectors into another order."""

# ruff: noqa: ANN001, ANN201 - Numba infers the types of kernels and takes arguments by position
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numba
import numpy as np

from dagnet.engine.compiled.caching import KERNEL, kernel
from dagnet.engine.compiled.microkernels import VECTORS

TILE_ROWS = {name: VECTORS * 64 // np.dtype(name).itemsize for name in ("float32", "float64")}
"""Rows in a tile: what ``VECTORS`` vectors of 64 bytes hold."""


@numba.njit(**KERNEL)
def load_tile(rows, state, place, stride, lanes):
    """(rows, units) into runs that begin at ``place`` and every ``stride``; whether a number is NaN."""
    there, some_nan = len(rows), False
    for unit in range(rows.shape[1]):
        run = state[place + unit * stride : place + unit * stride + lanes]
        for row in range(there):
            run[row] = rows[row, unit]
            some_nan |= np.isnan(rows[row, unit])
        run[there:] = 0
    return some_nan


@numba.njit(**KERNEL)
def store_tile(state, place, stride, units, rows):
    """Some units of the tile that begins at ``place`` into (rows, units)."""
    for column in range(len(units)):
        run = state[place + units[column] * stride : place + units[column] * stride + len(rows)]
        for row in range(len(rows)):
            rows[row, column] = run[row]


@kernel
def load_rows(inputs, state, layout):
    """Copy (rows, units) into the units 0 … of this part's tiles; ``layout`` as kernels take it."""
    block, _, stride, lanes, n_rows, part, parts = layout
    for tile in range(part, (n_rows + lanes - 1) // lanes, parts):
        first = tile * lanes
        load_tile(inputs[first : min(first + lanes, n_rows)], state, tile * block, stride, lanes)


@kernel
def store_rows(state, layout, units, outputs):
    """Copy some units of all tiles into (rows, units)."""
    block, _, stride, lanes, n_rows, _, _ = layout
    for tile in range((n_rows + lanes - 1) // lanes):
        first = tile * lanes
        store_tile(state, tile * block, stride, units, outputs[first : min(first + lanes, n_rows)])


@kernel
def start_deltas(deltas, layout, units, gradient):
    """∂L/∂a of the output units, from (rows, units), in this part's tiles."""
    block, _, stride, lanes, n_rows, part, parts = layout
    for tile in range(part, (n_rows + lanes - 1) // lanes, parts):
        first = tile * lanes
        there = min(lanes, n_rows - first)
        rows = gradient[first : first + there]
        for column in range(len(units)):
            place = tile * block + units[column] * stride
            run = deltas[place : place + lanes]
            for row in range(there):
                run[row] = rows[row, column]
            run[there:] = 0


@kernel
def gather(source, places, into):
    """``into[k] = source[places[k]]``."""
    for k in range(len(places)):
        into[k] = source[places[k]]


@kernel
def collect(into, slots, places, parts):
    """``into[slots[k]] = Σ over threads of parts[thread, places[k]]``.

    With the slots in order: to read at random and write in order takes half the time of the reverse.
    """
    for k in range(len(slots)):
        total = parts[0, places[k]]
        for part in range(1, parts.shape[0]):
            total += parts[part, places[k]]
        into[slots[k]] = total


@kernel
def collect_biases(into, bias_slot, parts):
    """The same for units, where those without a bias have −1 for a place."""
    for unit in range(len(bias_slot)):
        if bias_slot[unit] >= 0:
            total = parts[0, unit]
            for part in range(1, parts.shape[0]):
                total += parts[part, unit]
            into[bias_slot[unit]] = total


@kernel
def sum_of_squares(vector):
    """In the vector's own precision."""
    total = vector.dtype.type(0)
    for k in range(len(vector)):
        total += vector[k] * vector[k]
    return float(total)
