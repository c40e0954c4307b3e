"""The sweeps: whole runs of a plan's steps for one tile of rows, without Python in between.

A kernel is generic over plan arrays, so a new network never compiles anything; machine code is
cached on disk.  State is flat: unit u's rows of a tile start at ``tile · block + u · stride``.  A
kernel does tiles ``part``, ``part + parts``, … of the rows; ``lanes`` rows are a tile, and lanes of
the last tile that have no row hold 0.
"""

# ruff: noqa: ANN001, ANN201, ANN202 - Numba infers types and takes arguments by position
# ruff: noqa: C901, PLR0912 - kernels are long on purpose: a call in an inner loop costs
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from dagnet.engine.compiled.microkernels import (
    VECTORS,
    add_row_sums,
    call_elementwise,
    call_slope,
    pull_back,
    weighted_sum,
)
from dagnet.plan import ACTIVATE, DENSE, SPARSE

__all__ = [
    "backward_sweep",
    "collect",
    "forward_sweep",
    "gather",
    "load_rows",
    "pull_units",
    "start_deltas",
    "store_rows",
]

Array = NDArray[Any]
FAST = {"reassoc", "contract", "nsz", "arcp"}  # keeps NaN and infinities
KERNEL = {"nogil": True, "cache": True, "fastmath": FAST, "error_model": "numpy", "boundscheck": False}
INNER = {**KERNEL, "cache": False}
_ACTIVATE, _DENSE, _SPARSE = ACTIVATE, DENSE, SPARSE


TILE_ROWS = {name: VECTORS * 64 // np.dtype(name).itemsize for name in ("float32", "float64")}
"""Rows in a tile: what ``VECTORS`` vectors of 64 bytes hold."""


@numba.njit(**KERNEL)
def load_rows(inputs, state, block, stride, lanes, part, parts):
    """Copy (rows, units) into the units 0 … of the tiles."""
    n_rows = inputs.shape[0]
    for tile in range(part, (n_rows + lanes - 1) // lanes, parts):
        first = tile * lanes
        there = min(lanes, n_rows - first)
        for unit in range(inputs.shape[1]):
            place = tile * block + unit * stride
            for row in range(there):
                state[place + row] = inputs[first + row, unit]
            for row in range(there, lanes):
                state[place + row] = 0


@numba.njit(**KERNEL)
def store_rows(state, block, stride, lanes, units, outputs):
    """Copy some units of all tiles into (rows, units)."""
    n_rows = outputs.shape[0]
    for column in range(len(units)):
        for row in range(n_rows):
            place = (row // lanes) * block + units[column] * stride
            outputs[row, column] = state[place + row % lanes]


@numba.njit(**KERNEL)
def start_deltas(deltas, block, stride, lanes, units, gradient, part, parts):
    """∂L/∂a of the output units, from (rows, units)."""
    n_rows = gradient.shape[0]
    for tile in range(part, (n_rows + lanes - 1) // lanes, parts):
        first = tile * lanes
        there = min(lanes, n_rows - first)
        for column in range(len(units)):
            place = tile * block + units[column] * stride
            for row in range(there):
                deltas[place + row] = gradient[first + row, column]
            for row in range(there, lanes):
                deltas[place + row] = 0


@numba.njit(**INNER)
def _forward_tile(
    steps,
    begin,
    end,
    indptr,
    sources,
    theta,
    bias_slot,
    state,
    pre,
    pre_place,
    functions,
    base,
    pre_base,
    stride,
    lanes,
    there,
):
    """Steps ``begin`` … ``end`` − 1 for one tile with ``there`` rows."""
    zero = state.dtype.type(0)
    for number in range(begin, end):
        kind, what, first, last = steps[number, 0], steps[number, 1], steps[number, 2], steps[number, 3]
        if kind == _SPARSE:
            for unit in range(first, last):
                slot = bias_slot[unit]
                bias = theta[slot] if slot >= 0 else zero
                start, stop, place = indptr[unit], indptr[unit + 1], base + unit * stride
                weighted_sum(state, base, stride, sources, theta, start, stop, bias, place)
            continue
        if kind == _DENSE:
            for unit in range(first, last):
                slot = bias_slot[unit]
                if slot >= 0:
                    for place in range(base + unit * stride, base + unit * stride + lanes):
                        state[place] += theta[slot]
            continue
        if pre_place[first] >= 0:
            for unit in range(first, last):
                here, kept = base + unit * stride, pre_base + pre_place[unit] * stride
                for lane in range(lanes):
                    pre[kept + lane] = state[here + lane]
        if stride == lanes:
            call_elementwise(functions[what], state, base + first * stride, (last - first) * stride)
        else:
            for unit in range(first, last):
                call_elementwise(functions[what], state, base + unit * stride, lanes)
        if there < lanes:
            for unit in range(first, last):
                for place in range(base + unit * stride + there, base + unit * stride + lanes):
                    state[place] = zero


@numba.njit(**KERNEL)
def forward_sweep(
    steps,
    begin,
    end,
    indptr,
    sources,
    theta,
    bias_slot,
    state,
    pre,
    pre_place,
    functions,
    block,
    pre_block,
    stride,
    lanes,
    n_rows,
    part,
    parts,
):
    """Steps ``begin`` … ``end`` − 1."""
    for tile in range(part, (n_rows + lanes - 1) // lanes, parts):
        _forward_tile(
            steps,
            begin,
            end,
            indptr,
            sources,
            theta,
            bias_slot,
            state,
            pre,
            pre_place,
            functions,
            tile * block,
            tile * pre_block,
            stride,
            lanes,
            min(lanes, n_rows - tile * lanes),
        )


@numba.njit(**KERNEL)
def evaluate(
    inputs, steps, indptr, sources, theta, bias_slot, no_place, functions, units, outputs, lanes, part, parts
):
    """All steps for all rows, with the memory of one tile: only ``outputs`` (rows, units) is left behind."""
    n_rows = inputs.shape[0]
    state = np.empty(len(bias_slot) * lanes, theta.dtype)
    for tile in range(part, (n_rows + lanes - 1) // lanes, parts):
        first = tile * lanes
        there = min(lanes, n_rows - first)
        for unit in range(inputs.shape[1]):
            for row in range(there):
                state[unit * lanes + row] = inputs[first + row, unit]
            for row in range(there, lanes):
                state[unit * lanes + row] = 0
        _forward_tile(
            steps,
            0,
            len(steps),
            indptr,
            sources,
            theta,
            bias_slot,
            state,
            state,
            no_place,
            functions,
            0,
            0,
            lanes,
            lanes,
            there,
        )
        for column in range(len(units)):
            for row in range(there):
                outputs[first + row, column] = state[units[column] * lanes + row]


@numba.njit(**KERNEL)
def backward_sweep(
    steps,
    begin,
    end,
    indptr_out,
    targets,
    weights,
    gradient,
    bias_gradient,
    started,
    needs_delta,
    all_needed,
    state,
    deltas,
    pre,
    pre_place,
    slopes,
    block,
    pre_block,
    stride,
    lanes,
    n_rows,
    part,
    parts,
):
    """The activation steps among ``begin`` … ``end`` − 1, last first.

    Each unit first pulls ∂L/∂a over its sparse children; the derivatives of those edges' weights
    are found on the way.  Then δ = ∂L/∂a · g'(z).
    """
    zero = state.dtype.type(0)
    for tile in range(part, (n_rows + lanes - 1) // lanes, parts):
        base, pre_base = tile * block, tile * pre_block
        there = min(lanes, n_rows - tile * lanes)
        for number in range(end - 1, begin - 1, -1):
            if steps[number, 0] != _ACTIVATE:
                continue
            what, first, last = steps[number, 1], steps[number, 2], steps[number, 3]
            for unit in range(last - 1, first - 1, -1):
                start, stop = indptr_out[unit], indptr_out[unit + 1]
                if start < stop or started[unit] == 0:
                    pull_back(
                        deltas,
                        state,
                        base,
                        stride,
                        unit,
                        targets,
                        weights,
                        gradient,
                        start,
                        stop,
                        started[unit],
                    )
            if stride == lanes and pre_place[first] < 0:
                place = base + first * stride
                call_slope(slopes[what], state, state, deltas, place, place, (last - first) * stride)
            else:
                for unit in range(first, last):
                    here = base + unit * stride
                    if pre_place[unit] >= 0:
                        kept = pre_base + pre_place[unit] * stride
                        call_slope(slopes[what], pre, state, deltas, kept, here, lanes)
                    else:
                        call_slope(slopes[what], state, state, deltas, here, here, lanes)
            if not all_needed:
                for unit in range(first, last):
                    if not needs_delta[unit]:
                        for place in range(base + unit * stride, base + unit * stride + lanes):
                            deltas[place] = zero
            if there < lanes:
                for unit in range(first, last):
                    for place in range(base + unit * stride + there, base + unit * stride + lanes):
                        deltas[place] = zero
            for unit in range(first, last - 3, 4):
                add_row_sums(deltas, base + unit * stride, stride, bias_gradient, unit)
            for unit in range(last - (last - first) % 4, last):
                total = zero
                for place in range(base + unit * stride, base + unit * stride + lanes):
                    total += deltas[place]
                bias_gradient[unit] += total


@numba.njit(**KERNEL)
def pull_units(
    begin,
    end,
    indptr_out,
    targets,
    weights,
    gradient,
    started,
    state,
    deltas,
    block,
    stride,
    lanes,
    n_rows,
    part,
    parts,
):
    """∂L/∂a of units ``begin`` … ``end`` − 1 over their sparse children, and those weights' derivatives."""
    for tile in range(part, (n_rows + lanes - 1) // lanes, parts):
        for unit in range(end - 1, begin - 1, -1):
            start, stop = indptr_out[unit], indptr_out[unit + 1]
            if start < stop or started[unit] == 0:
                pull_back(
                    deltas,
                    state,
                    tile * block,
                    stride,
                    unit,
                    targets,
                    weights,
                    gradient,
                    start,
                    stop,
                    started[unit],
                )


@numba.njit(**KERNEL)
def gather(source, places, into):
    """``into[k] = source[places[k]]``."""
    for k in range(len(places)):
        into[k] = source[places[k]]


@numba.njit(**KERNEL)
def collect(into, places, parts):
    """``into[places[k]] = Σ over threads of parts[thread, k]`` where the place is not negative."""
    for k in range(len(places)):
        if places[k] >= 0:
            total = parts[0, k]
            for part in range(1, parts.shape[0]):
                total += parts[part, k]
            into[places[k]] = total
