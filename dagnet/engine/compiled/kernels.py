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
CACHED = 4096
"""Numbers that stay in the nearest cache: units are done in runs of so many."""
_ACTIVATE, _DENSE, _SPARSE = ACTIVATE, DENSE, SPARSE


@numba.njit(**KERNEL)
def _begins_with(steps, number, end, first, last):
    """Whether a step activates just the units that a dense step before it computes."""
    same = number < end and steps[number, 2] == first and steps[number, 3] == last
    return same and steps[number, 0] == _ACTIVATE


@numba.njit(**KERNEL)
def _add_biases(theta, bias_slot, state, first, last, base, stride, lanes):
    for unit in range(first, last):
        slot = bias_slot[unit]
        if slot >= 0:
            row, bias = state[base + unit * stride : base + unit * stride + lanes], theta[slot]
            for lane in range(lanes):
                row[lane] += bias


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
    zero, near = state.dtype.type(0), max(4, CACHED // stride // 4 * 4)
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
            if not _begins_with(steps, number + 1, end, first, last):
                _add_biases(theta, bias_slot, state, first, last, base, stride, lanes)
            continue
        biased = number > begin and steps[number - 1, 0] == _DENSE
        biased = biased and _begins_with(steps, number, end, steps[number - 1, 2], steps[number - 1, 3])
        stop = first
        while stop < last:  # a range with a step would cost a division
            start, stop = stop, min(stop + near, last)
            if biased:
                _add_biases(theta, bias_slot, state, start, stop, base, stride, lanes)
            if pre_place[first] >= 0:
                for unit in range(start, stop):
                    here, kept = base + unit * stride, pre_base + pre_place[unit] * stride
                    pre[kept : kept + lanes] = state[here : here + lanes]
            if stride == lanes:
                call_elementwise(
                    functions[what, 0],
                    functions[what, 1],
                    state,
                    base + start * stride,
                    (stop - start) * stride,
                )
            else:
                for unit in range(start, stop):
                    call_elementwise(
                        functions[what, 0], functions[what, 1], state, base + unit * stride, lanes
                    )
            if there < lanes:
                for unit in range(start, stop):
                    state[base + unit * stride + there : base + unit * stride + lanes] = zero


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
def _add_bias_gradients(deltas, bias_gradient, first, last, base, stride, lanes):
    rest = first
    if lanes * deltas.itemsize == TILE_BYTES:
        rest = last - (last - first) % 4
        for unit in range(first, rest, 4):
            add_row_sums(deltas, base + unit * stride, stride, bias_gradient, unit)
    for unit in range(rest, last):
        row, total = deltas[base + unit * stride : base + unit * stride + lanes], bias_gradient[unit]
        for lane in range(lanes):
            total += row[lane]
        bias_gradient[unit] = total


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
    zero, near = state.dtype.type(0), max(4, CACHED // stride // 4 * 4)
    for number in range(end - 1, begin - 1, -1):
        if steps[number, 0] != _ACTIVATE:
            continue
        what, first, last = steps[number, 1], steps[number, 2], steps[number, 3]
        slope, numbers = slopes[what, 0], slopes[what, 1]
        pull_tile(first, last, indptr_out, targets, weights, gradient, started, state, deltas, base, stride)
        stop = first
        while stop < last:  # a range with a step would cost a division
            start, stop = stop, min(stop + near, last)
            if stride == lanes and pre_place[first] < 0:
                place = base + start * stride
                n = (stop - start) * stride
                call_slope(slope, numbers, state, state, deltas, place, place, n)
            else:
                for unit in range(start, stop):
                    here = base + unit * stride
                    if pre_place[unit] >= 0:
                        kept = pre_base + pre_place[unit] * stride
                        call_slope(slope, numbers, pre, state, deltas, kept, here, lanes)
                    else:
                        call_slope(slope, numbers, state, state, deltas, here, here, lanes)
            if there < lanes or not all_needed:
                for unit in range(start, stop):
                    here = base + unit * stride
                    deltas[here + (there if needs_delta[unit] else 0) : here + lanes] = zero
            _add_bias_gradients(deltas, bias_gradient, start, stop, base, stride, lanes)


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
