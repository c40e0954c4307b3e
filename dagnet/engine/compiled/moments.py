"""Kernels of normalisation by the moments of a batch, unit by unit over the rows of all tiles.

With the moments, scale · x̂ + shift is an edge and a bias like all others: weight scale / σ, bias
shift − mean · scale / σ.  So the kernels of sums serve, and what is here finds these numbers and the
way of δ through the moments.  Each unit's sums are taken in one order, whatever the threads.
"""

# ruff: noqa: ANN001, ANN201 - Numba infers types and takes arguments by position
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
from llvmlite import ir

from dagnet.engine.compiled.caching import kernel
from dagnet.engine.compiled.kernels import tile_of
from dagnet.engine.compiled.microkernels import Pull, Rows, microkernel
from dagnet.engine.compiled.opened import State
from dagnet.engine.compiled.vectors import I64, Vector


class _Sums(Pull):
    """Σx and Σx(a − origin) of units over a tile's rows, four units at a time, and the rest.

    ``x(k, away)`` is written of unit k and of a − origin; ``arrays``: the units' numbers, origins, both sums.
    """

    def __init__(self, emit: Rows, x: Callable[[Any, Vector], Vector], arrays: list[Any]) -> None:
        self.emit, self.x, (self.units, self.origins, *self.found) = emit, x, arrays

    def _pair(self, k: Any) -> tuple[Vector, Vector]:
        emit = self.emit
        rows = emit.load(emit.place(emit.state.values, emit.at(self.units, k)))
        away = rows - emit.splat(emit.at(self.origins, k))
        x = self.x(k, away)
        return reduce(emit.added, emit.pieces(x)), emit.products(x, away)

    def edges(self, place: Any, n: int, total: Any) -> Any:
        """Of n ≤ 4 units from the place on: added to the numbers in memory."""
        emit, zero = self.emit, self.emit.piece.splat(0.0)
        pairs = [self._pair(emit.builder.add(place, ir.Constant(I64, k))) for k in range(n)]
        for sums, found in zip(zip(*pairs, strict=True), self.found, strict=True):
            emit.add_four_sums([*sums, *[zero] * (4 - n)], emit.builder.gep(found, [place]), n)
        return total


@microkernel()
def add_moments(builder, state, tile, weights, span, arrays):
    """Add Σw(a − origin) and Σw(a − origin)² over a tile's rows for some units: the first, and how many."""

    def body(emit: Rows) -> None:
        share = emit.load(builder.gep(weights, [tile.row]))
        _Sums(emit, lambda _, away: share * away, arrays).all(span[0], span[1], ir.Constant(I64, 0))

    Rows.each(builder, state, tile, body)


@microkernel()
def add_delta_sums(builder, state, tile, targets, span, arrays):
    """Add Σδ and Σδ(a − mean) over a tile's rows: δ of the targets, a of the units that these normalise."""

    def body(emit: Rows) -> None:
        def delta(k: Any, _: Vector) -> Vector:
            return emit.load(emit.place(state.deltas, emit.at(targets, k)))

        _Sums(emit, delta, arrays).all(span[0], span[1], ir.Constant(I64, 0))

    Rows.each(builder, state, tile, body)


@kernel
def find_moments(values, layout, units, weights, found):
    """Means and variances of some units, the rows weighted, lanes without a row by 0; ``found``: (3, units).

    Numbers are taken from those of the first row that counts, so that their squares do not cancel.  What
    the sweep before wrote last is read first.
    """
    block, _, stride, lanes, n_rows, part, parts = layout
    first, last = len(units) * part // parts, len(units) * (part + 1) // parts
    state, zero, row = State(values, values, values), values.dtype.type(0), 0
    while row < n_rows - 1 and weights[row] == 0:
        row += 1
    place = row // lanes * block + row % lanes
    for k in range(first, last):
        found[0, k], found[1, k], found[2, k] = zero, zero, values[place + units[k] * stride]
    arrays, span = (units, found[2], found[0], found[1]), (first, last - first)
    for number in range((n_rows + lanes - 1) // lanes - 1, -1, -1):
        add_moments(state, tile_of(layout, number), weights, span, arrays)
    for k in range(first, last):
        total = found[0, k]
        found[0, k], found[1, k] = found[2, k] + total, max(found[1, k] - total * total, zero)


@kernel
def settle(theta, found, eps, places, known):
    """From moments (2, units) to weight and bias of scale · x̂ + shift, written to ``theta``.

    ``places``: those units, the slots of the first weight and of the first bias; ``known``: see
    :attr:`dagnet.engine.compiled.state.CompiledState.known`.
    """
    sources, weight, bias = places
    for k in range(len(sources)):
        unit, inverse = sources[k], theta.dtype.type(1 / np.sqrt(found[1, k] + eps[k]))
        scale = theta[weight + k] * inverse
        theta[weight + k] = scale
        theta[bias + k] -= found[0, k] * scale
        known[0, unit], known[3, unit], known[4, unit] = found[0, k], inverse, scale


@kernel
def sum_deltas(arrays, layout, ends, known, found):
    """Σδ and Σδx̂ of each target, (3, units) with room; the latter are the scales' derivatives.

    ``arrays``: values, δ, derivatives in walking order; ``ends``: sources, targets, the scales' places, −1
    of those that the walk leaves out.
    """
    (values, deltas, gradient), (sources, targets, places) = arrays, ends
    _, _, _, lanes, n_rows, part, parts = layout
    first, last = len(sources) * part // parts, len(sources) * (part + 1) // parts
    state, zero = State(values, deltas, values), values.dtype.type(0)
    for k in range(first, last):
        found[0, k], found[1, k], found[2, k] = zero, zero, known[0, sources[k]]
    sums, span = (sources, found[2], found[0], found[1]), (first, last - first)
    for number in range((n_rows + lanes - 1) // lanes - 1, -1, -1):
        add_delta_sums(state, tile_of(layout, number), targets, span, sums)
    for k in range(first, last):
        found[1, k] *= known[3, sources[k]]
        if places[k] >= 0:
            gradient[places[k]] = found[1, k]


@kernel
def through_moments(sources, known, found):
    """With those sums: what makes ∂L/∂a of the sources by way of the moments."""
    for k in range(len(sources)):
        unit = sources[k]
        inverse, scale = known[3, unit], known[4, unit]
        known[1, unit], known[2, unit] = -scale * found[0, k], -scale * found[1, k] * inverse
