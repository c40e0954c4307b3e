"""Kernels of normalisation by the moments of a batch, unit by unit over the rows of all tiles.

With the moments, scale · x̂ + shift is an edge and a bias like all others: weight scale / σ, bias
shift − mean · scale / σ.  So the kernels of sums serve, and what is here finds these numbers and the
way of δ through the moments.  Each unit's sums are taken in one order, whatever the threads.
"""

# ruff: noqa: ANN001, ANN201 - Numba infers types and takes arguments by position
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from dagnet.engine.compiled.caching import kernel
from dagnet.engine.compiled.kernels import tile_of
from dagnet.engine.compiled.microkernels import Pull, Rows, microkernel
from dagnet.engine.compiled.opened import State
from dagnet.engine.compiled.vectors import I64, Vector

TOGETHER = 8
"""Tiles whose rows are added up side by side: so many streams a processor asks for ahead."""


class _Sums(Pull):
    """Σx and Σx(a − origin) of units over the rows of some tiles, four units at a time, and the rest.

    ``x(emit, k, away)`` is written of unit k and of a − origin, for a tile's rows; ``arrays``: the units'
    numbers, origins, both sums.  Lanes are added up once for all tiles.
    """

    def __init__(self, emit: Rows, tiles: Any, x: Callable[..., Vector], arrays: list[Any]) -> None:
        self.emit, self.x, (self.n_tiles, self.block) = emit, x, tiles
        self.units, self.origins, *self.found = arrays

    def _tile(self, number: Any) -> Rows:
        """Code for one of the tiles, the last first."""
        emit, builder = self.emit, self.emit.builder
        left = builder.sub(builder.sub(self.n_tiles, number), I64(1))
        base = builder.add(emit.tile.base, builder.mul(left, self.block))
        row = builder.add(emit.tile.row, builder.mul(left, I64(emit.lanes)))
        return Rows(
            builder, emit.state, SimpleNamespace(**{**vars(emit.tile), "base": base, "row": row}), emit.lanes
        )

    def _added(self, emit: Rows, k: Any, total: Vector, moved: Vector) -> list[Any]:
        """Both sums of a unit, still one a lane of a piece, and a tile's rows."""
        rows = emit.load(emit.place(emit.state.values, emit.at(self.units, k)))
        away = rows - emit.splat(emit.at(self.origins, k))
        x = self.x(emit, k, away)
        for part, far in zip(emit.pieces(x), emit.pieces(away), strict=True):
            total, moved = emit.added(total, part), emit.piece.intrinsic("fmuladd", part, far, moved)
        return [total.value, moved.value]

    def edges(self, place: Any, n: int, totals: list[Any]) -> list[Any]:
        """Of n ≤ 4 units from the place on: added to the numbers in memory."""
        emit, piece = self.emit, self.emit.piece
        places = [emit.builder.add(place, I64(k)) for k in range(n)]

        def tile(number: Any, carried: list[Any]) -> list[Any]:
            here, sums = self._tile(number), [Vector(piece, value) for value in carried]
            pairs = zip(places, sums[::2], sums[1::2], strict=True)
            return [value for k, *pair in pairs for value in self._added(here, k, *pair)]

        _, *sums = emit.loop(self.n_tiles, 1, [piece.splat(0.0).value] * (2 * n), tile)
        for start, found in enumerate(self.found):
            four = [Vector(emit, value) for value in sums[start::2]] + [piece.splat(0.0)] * (4 - n)
            emit.add_four_sums(four, emit.builder.gep(found, [place]), n)
        return totals


@microkernel()
def add_moments(builder, state, tile, tiles, weights, span, arrays):
    """Add Σw(a − origin) and Σw(a − origin)² over the rows of tiles for some units.

    ``tiles``: how many from ``tile`` on, and from one to the next; ``span``: the first unit, and how many.
    """

    def weighted(emit: Rows, _: Any, away: Vector) -> Vector:
        return emit.load(builder.gep(weights, [emit.tile.row])) * away

    def body(emit: Rows) -> None:
        _Sums(emit, tiles, weighted, arrays).all(span[0], span[1], [])

    Rows.each(builder, state, tile, body)


@microkernel()
def add_delta_sums(builder, state, tile, tiles, targets, span, arrays):
    """Add Σδ and Σδ(a − mean) over tiles' rows: δ of the targets, a of what these normalise."""

    def delta(emit: Rows, k: Any, _: Vector) -> Vector:
        return emit.load(emit.place(state.deltas, emit.at(targets, k)))

    def body(emit: Rows) -> None:
        _Sums(emit, tiles, delta, arrays).all(span[0], span[1], [])

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
    stop = (n_rows + lanes - 1) // lanes
    while stop > 0:
        start = max(stop - TOGETHER, 0)
        add_moments(state, tile_of(layout, start), (stop - start, block), weights, span, arrays)
        stop = start
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
    block, _, _, lanes, n_rows, part, parts = layout
    first, last = len(sources) * part // parts, len(sources) * (part + 1) // parts
    state, zero = State(values, deltas, values), values.dtype.type(0)
    for k in range(first, last):
        found[0, k], found[1, k], found[2, k] = zero, zero, known[0, sources[k]]
    sums, span = (sources, found[2], found[0], found[1]), (first, last - first)
    stop = (n_rows + lanes - 1) // lanes
    while stop > 0:
        start = max(stop - TOGETHER, 0)
        add_delta_sums(state, tile_of(layout, start), (stop - start, block), targets, span, sums)
        stop = start
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
