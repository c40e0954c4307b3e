"""Kernels of normalisation by the moments of a batch, unit by unit over the rows of all tiles.

With the moments, scale · x̂ + shift is an edge and a bias like all others: weight scale / σ, bias
shift − mean · scale / σ.  So the kernels of sums serve, and what is here finds these numbers and the
way of δ through the moments.  Each unit's sums are taken in one order, whatever the threads.
"""

# ruff: noqa: ANN001, ANN201 - Numba infers types and takes arguments by position
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from dagnet.engine.compiled.caching import kernel
from dagnet.engine.compiled.microkernels import Rows, by_width, microkernel, number_of
from dagnet.engine.compiled.vectors import I32, I64, Emitter, Vector


class _Unit(Rows):
    """Vector code for one unit's rows, tile after tile; lanes without a row hold 0, as their weights do."""

    def __init__(self, builder: Any, arrays: list[Any], block: Any, lanes: int) -> None:
        Emitter.__init__(self, builder, number_of(arrays[0]), lanes)
        self.arrays, self.block = arrays, block

    def run(self, array: int, tile: Any, start: Any) -> Any:
        """Where the rows of a tile begin."""
        place = self.builder.add(start, self.builder.mul(tile, self.block))
        return self.builder.gep(self.arrays[array], [place])

    def share(self, tile: Any) -> Vector:
        """The weights of a tile's rows, the last of the arrays."""
        place = self.builder.mul(tile, ir.Constant(I64, self.lanes))
        return self.load(self.builder.gep(self.arrays[-1], [place]))

    def sums(self, n: Any, body: Any) -> list[Any]:
        """Two sums over all rows of what ``body(tile)`` gives."""

        def add(tile: Any, carried: list[Any]) -> list[Any]:
            pairs = zip(body(tile), carried, strict=True)
            return [self.added(new, Vector(self, old)).value for new, old in pairs]

        found = []
        for total in self.loop(n, 1, [self.splat(0.0).value] * 2, add)[1:]:
            vector = Vector(self, total)
            while vector.value.type.count > 1:
                vector = self.added(*self.halves(vector))
            found.append(self.builder.extract_element(vector.value, ir.Constant(I32, 0)))
        return found


@microkernel(lambda arrays, *_: types.UniTuple(arrays.types[0].dtype, 2))
def moment_sums(builder, arrays, start, tiles, origin):
    """Σ w(a − origin) and Σ w(a − origin)² of the unit that begins at ``start``; ``arrays``: a, w.

    ``tiles``, here and below: numbers from one to the next, how many they are, rows of one.
    """

    def sums(lanes: int) -> list[Any]:
        emit = _Unit(builder, arrays, tiles[0], lanes)

        def body(tile: Any) -> tuple[Vector, Vector]:
            away = emit.load(emit.run(0, tile, start)) - emit.splat(origin)
            weighted = emit.share(tile) * away
            return weighted, weighted * away

        return emit.sums(tiles[1], body)

    return by_width(builder, number_of(arrays[0]), tiles[2], sums)


@microkernel(lambda arrays, *_: types.UniTuple(arrays.types[0].dtype, 2))
def delta_sums(builder, arrays, starts, tiles, mean):
    """Σδ of the unit that begins at ``starts[1]``, and Σδ(a − mean) with that at ``starts[0]``."""

    def sums(lanes: int) -> list[Any]:
        emit = _Unit(builder, arrays, tiles[0], lanes)

        def body(tile: Any) -> tuple[Vector, Vector]:
            delta = emit.load(emit.run(1, tile, starts[1]))
            return delta, delta * (emit.load(emit.run(0, tile, starts[0])) - emit.splat(mean))

        return emit.sums(tiles[1], body)

    return by_width(builder, number_of(arrays[0]), tiles[2], sums)


@microkernel()
def write_pulls(builder, arrays, start, tiles, numbers):
    """∂L/∂a = w(level + (a − mean)·slope); ``arrays``: a, ∂L/∂a, w; ``numbers``: mean, level, slope."""

    def write(lanes: int) -> None:
        emit = _Unit(builder, arrays, tiles[0], lanes)
        mean, level, slope = map(emit.splat, numbers)

        def body(tile: Any) -> None:
            away = emit.load(emit.run(0, tile, start)) - mean
            emit.store(emit.share(tile) * (level + away * slope), emit.run(1, tile, start))

        emit.for_units(tiles[1], body)

    by_width(builder, number_of(arrays[0]), tiles[2], write)


@kernel
def find_moments(values, layout, units, weights, found):
    """Means and variances (2, units) of some units, the rows weighted, lanes without a row by 0.

    Numbers are taken from the first row's, so that their squares do not cancel.
    """
    block, _, stride, lanes, n_rows, part, parts = layout
    zero = values.dtype.type(0)
    for k in range(part, len(units), parts):
        base = units[k] * stride
        origin, tiles = values[base], (block, (n_rows + lanes - 1) // lanes, lanes)
        total, square = moment_sums((values, weights), base, tiles, origin)
        found[0, k] = origin + total
        found[1, k] = max(square - total * total, zero)


@kernel
def through_moments(arrays, layout, ends, weights, numbers, found, stages):
    """Σδ and Σδx̂ of each target, and with them ∂L/∂a of the sources by way of the moments.

    ``ends``: sources, targets; ``numbers``: (3, units) mean, 1/σ, scale/σ; ``found``: (2, units) the sums;
    ``stages``: whether to find them, and whether to use them.
    """
    values, deltas = arrays
    sources, targets = ends
    block, _, stride, lanes, n_rows, part, parts = layout
    tiles = block, (n_rows + lanes - 1) // lanes, lanes
    for k in range(part, len(sources), parts):
        mean, inverse, scale = numbers[0, k], numbers[1, k], numbers[2, k]
        starts = sources[k] * stride, targets[k] * stride
        if stages[0]:
            plain, along = delta_sums(arrays, starts, tiles, mean)
            found[0, k], found[1, k] = plain, along * inverse
        if stages[1]:
            pulls = mean, -scale * found[0, k], -scale * found[1, k] * inverse
            write_pulls((values, deltas, weights), starts[0], tiles, pulls)
