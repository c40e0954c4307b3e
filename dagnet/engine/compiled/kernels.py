"""The sweeps: whole runs of a plan's steps for one tile of rows, without Python in between.

A kernel is generic over plan arrays, so a new network never compiles anything; machine code is
cached on disk.  State is flat: unit u's rows of a tile start at ``tile · block + u · stride``.  A
kernel does tiles ``part``, ``part + parts``, … of the rows; ``lanes`` rows are a tile, and lanes of
the last tile that have no row hold 0.
"""

# ruff: noqa: ANN001, ANN201 - Numba infers types and takes arguments by position
# ruff: noqa: C901, PLR0912 - kernels are long on purpose: a call in an inner loop costs
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

import numba
from numpy.typing import NDArray

from dagnet.engine.compiled.addresses import call_elementwise, call_slope
from dagnet.engine.compiled.caching import KERNEL, kernel
from dagnet.engine.compiled.microkernels import VECTORS, add_row_sums, pull_back, weighted_sum
from dagnet.plan import ACTIVATE, DENSE, SPARSE

__all__ = [
    "backward_sweep",
    "backward_tile",
    "forward_sweep",
    "forward_tile",
    "pull_tile",
    "pull_units",
]

Array = NDArray[Any]
TILE_BYTES = VECTORS * 64
_ACTIVATE, _DENSE, _SPARSE = ACTIVATE, DENSE, SPARSE


@numba.njit(**KERNEL)
def forward_tile(
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


@kernel
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
        forward_tile(
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
def pull_tile(begin, end, indptr_out, targets, weights, gradient, started, state, deltas, base, stride):
    """∂L/∂a of units ``begin`` … ``end`` − 1 over their sparse children, last first."""
    for unit in range(end - 1, begin - 1, -1):
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


@numba.njit(**KERNEL)
def backward_tile(
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
    base,
    pre_base,
    stride,
    lanes,
    there,
):
    """The activation steps among ``begin`` … ``end`` − 1, last first, for one tile with ``there`` rows.

    Each unit first pulls ∂L/∂a over its sparse children; the derivatives of those edges' weights
    are found on the way.  Then δ = ∂L/∂a · g'(z).
    """
    zero = state.dtype.type(0)
    for number in range(end - 1, begin - 1, -1):
        if steps[number, 0] != _ACTIVATE:
            continue
        what, first, last = steps[number, 1], steps[number, 2], steps[number, 3]
        pull_tile(first, last, indptr_out, targets, weights, gradient, started, state, deltas, base, stride)
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
        begin_rest = first
        if lanes * state.itemsize == TILE_BYTES:
            begin_rest = last - (last - first) % 4
            for unit in range(first, begin_rest, 4):
                add_row_sums(deltas, base + unit * stride, stride, bias_gradient, unit)
        for unit in range(begin_rest, last):
            total = zero
            for place in range(base + unit * stride, base + unit * stride + lanes):
                total += deltas[place]
            bias_gradient[unit] += total


@kernel
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
    """The activation steps among ``begin`` … ``end`` − 1, last first."""
    for tile in range(part, (n_rows + lanes - 1) // lanes, parts):
        backward_tile(
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
            tile * block,
            tile * pre_block,
            stride,
            lanes,
            min(lanes, n_rows - tile * lanes),
        )


@kernel
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
        pull_tile(
            begin,
            end,
            indptr_out,
            targets,
            weights,
            gradient,
            started,
            state,
            deltas,
            tile * block,
            stride,
        )
