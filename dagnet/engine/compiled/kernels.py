"""The sweeps: whole runs of a plan's steps for one tile of rows, without Python in between.

A kernel is generic over plan arrays, so a new network never compiles anything; machine code is
cached on disk.  State is flat: unit u's rows of a tile start at ``base + u · stride``.
"""

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
    "tile_rows",
]

Array = NDArray[Any]
FAST = {"reassoc", "contract", "nsz", "arcp"}  # keeps NaN and infinities
KERNEL = {"nogil": True, "cache": True, "fastmath": FAST, "error_model": "numpy", "boundscheck": False}
_ACTIVATE, _DENSE, _SPARSE = ACTIVATE, DENSE, SPARSE


def tile_rows(dtype: Any) -> int:
    """Rows in a tile: what ``VECTORS`` vectors of 64 bytes hold."""
    return VECTORS * 64 // np.dtype(dtype).itemsize


@numba.njit(**KERNEL)
def load_rows(inputs, first, n_rows, state, base, stride, lanes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Copy rows ``first …`` of (rows, units) into the units 0 … of a tile; lanes without a row become 0."""
    for unit in range(inputs.shape[1]):
        place = base + unit * stride
        for row in range(n_rows):
            state[place + row] = inputs[first + row, unit]
        for row in range(n_rows, lanes):
            state[place + row] = 0


@numba.njit(**KERNEL)
def store_rows(state, base, stride, units, first, n_rows, outputs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Copy some units of a tile into rows ``first …`` of (rows, units)."""
    for column in range(len(units)):
        place = base + units[column] * stride
        for row in range(n_rows):
            outputs[first + row, column] = state[place + row]


@numba.njit(**KERNEL)
def forward_sweep(  # type: ignore[no-untyped-def]
    steps,  # noqa: ANN001
    begin,  # noqa: ANN001
    end,  # noqa: ANN001
    indptr,  # noqa: ANN001
    sources,  # noqa: ANN001
    theta,  # noqa: ANN001
    bias_slot,  # noqa: ANN001
    state,  # noqa: ANN001
    pre,  # noqa: ANN001
    pre_place,  # noqa: ANN001
    functions,  # noqa: ANN001
    base,  # noqa: ANN001
    pre_base,  # noqa: ANN001
    stride,  # noqa: ANN001
    lanes,  # noqa: ANN001
    n_rows,  # noqa: ANN001
):  # noqa: ANN201
    """Steps ``begin`` … ``end`` − 1 for one tile."""
    zero = state.dtype.type(0)
    for number in range(begin, end):
        kind, what, first, last = steps[number, 0], steps[number, 1], steps[number, 2], steps[number, 3]
        if kind == _SPARSE:
            for unit in range(first, last):
                slot = bias_slot[unit]
                bias = theta[slot] if slot >= 0 else zero
                weighted_sum(
                    state,
                    base,
                    stride,
                    sources,
                    theta,
                    indptr[unit],
                    indptr[unit + 1],
                    bias,
                    base + unit * stride,
                )
        elif kind == _DENSE:
            for unit in range(first, last):
                slot = bias_slot[unit]
                if slot >= 0:
                    for place in range(base + unit * stride, base + unit * stride + lanes):
                        state[place] += theta[slot]
        else:
            if pre_place[first] >= 0:
                for unit in range(first, last):
                    here, there = base + unit * stride, pre_base + pre_place[unit] * stride
                    for lane in range(lanes):
                        pre[there + lane] = state[here + lane]
            if stride == lanes:
                call_elementwise(functions[what], state, base + first * stride, (last - first) * stride)
            else:
                for unit in range(first, last):
                    call_elementwise(functions[what], state, base + unit * stride, lanes)
            if n_rows < lanes:
                for unit in range(first, last):
                    for place in range(base + unit * stride + n_rows, base + unit * stride + lanes):
                        state[place] = zero


@numba.njit(**KERNEL)
def backward_sweep(  # type: ignore[no-untyped-def]
    steps,  # noqa: ANN001
    begin,  # noqa: ANN001
    end,  # noqa: ANN001
    indptr_out,  # noqa: ANN001
    targets,  # noqa: ANN001
    weights,  # noqa: ANN001
    gradient,  # noqa: ANN001
    bias_gradient,  # noqa: ANN001
    started,  # noqa: ANN001
    needs_delta,  # noqa: ANN001
    all_needed,  # noqa: ANN001
    state,  # noqa: ANN001
    deltas,  # noqa: ANN001
    pre,  # noqa: ANN001
    pre_place,  # noqa: ANN001
    slopes,  # noqa: ANN001
    base,  # noqa: ANN001
    pre_base,  # noqa: ANN001
    stride,  # noqa: ANN001
    lanes,  # noqa: ANN001
    n_rows,  # noqa: ANN001
):  # noqa: ANN201
    """The activation steps among ``begin`` … ``end`` − 1, last first, for one tile.

    Each unit first pulls ∂L/∂a over its sparse children; the derivatives of those edges' weights
    are found on the way.  Then δ = ∂L/∂a · g'(z).
    """
    zero = state.dtype.type(0)
    for number in range(end - 1, begin - 1, -1):
        if steps[number, 0] != _ACTIVATE:
            continue
        what, first, last = steps[number, 1], steps[number, 2], steps[number, 3]
        for unit in range(last - 1, first - 1, -1):
            pull_back(
                deltas,
                state,
                base,
                stride,
                unit,
                targets,
                weights,
                gradient,
                indptr_out[unit],
                indptr_out[unit + 1],
                started[unit],
            )
        if stride == lanes and pre_place[first] < 0:
            place, n = base + first * stride, (last - first) * stride
            call_slope(slopes[what], state, state, deltas, place, place, n)
        else:
            for unit in range(first, last):
                here = base + unit * stride
                if pre_place[unit] >= 0:
                    call_slope(
                        slopes[what], pre, state, deltas, pre_base + pre_place[unit] * stride, here, lanes
                    )
                else:
                    call_slope(slopes[what], state, state, deltas, here, here, lanes)
        if not all_needed:
            for unit in range(first, last):
                if not needs_delta[unit]:
                    for place in range(base + unit * stride, base + unit * stride + lanes):
                        deltas[place] = zero
        if n_rows < lanes:
            for unit in range(first, last):
                for place in range(base + unit * stride + n_rows, base + unit * stride + lanes):
                    deltas[place] = zero
        for unit in range(first, last - 3, 4):
            add_row_sums(deltas, base + unit * stride, stride, bias_gradient, unit)
        for unit in range(last - (last - first) % 4, last):
            total = zero
            for place in range(base + unit * stride, base + unit * stride + lanes):
                total += deltas[place]
            bias_gradient[unit] += total


@numba.njit(**KERNEL)
def pull_units(  # type: ignore[no-untyped-def]
    begin,  # noqa: ANN001
    end,  # noqa: ANN001
    indptr_out,  # noqa: ANN001
    targets,  # noqa: ANN001
    weights,  # noqa: ANN001
    gradient,  # noqa: ANN001
    started,  # noqa: ANN001
    state,  # noqa: ANN001
    deltas,  # noqa: ANN001
    base,  # noqa: ANN001
    stride,  # noqa: ANN001
):  # noqa: ANN201
    """∂L/∂a of units ``begin`` … ``end`` − 1 over their sparse children, and those weights' derivatives."""
    for unit in range(end - 1, begin - 1, -1):
        first, last = indptr_out[unit], indptr_out[unit + 1]
        pull_back(deltas, state, base, stride, unit, targets, weights, gradient, first, last, started[unit])


@numba.njit(**KERNEL)
def start_deltas(deltas, base, stride, units, first, n_rows, lanes, gradient):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """∂L/∂a of the output units of one tile, from rows ``first …`` of (rows, units)."""
    for column in range(len(units)):
        place = base + units[column] * stride
        for row in range(n_rows):
            deltas[place + row] = gradient[first + row, column]
        for row in range(n_rows, lanes):
            deltas[place + row] = 0


@numba.njit(**KERNEL)
def gather(source, places, into):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """``into[k] = source[places[k]]``."""
    for k in range(len(places)):
        into[k] = source[places[k]]


@numba.njit(**KERNEL)
def collect(into, places, parts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """``into[places[k]] = Σ over threads of parts[thread, k]`` where the place is not negative."""
    for k in range(len(places)):
        if places[k] >= 0:
            total = parts[0, k]
            for part in range(1, parts.shape[0]):
                total += parts[part, k]
            into[places[k]] = total
