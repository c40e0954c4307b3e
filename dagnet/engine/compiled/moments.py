"""Kernels of normalisation by the moments of a batch, unit by unit over the rows of all tiles.

With the moments, scale · x̂ + shift is an edge and a bias like all others: weight scale / σ, bias
shift − mean · scale / σ.  So the kernels of sums serve, and what is here finds these numbers and the
way of δ through the moments.  Each unit's sums are taken in one order, whatever the threads.
"""

# ruff: noqa: ANN001, ANN201, ARG001 - Numba infers types; intrinsics have its protocol
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dagnet.engine.compiled.caching import kernel
from dagnet.engine.compiled.microkernels import Rows, pointer
from dagnet.engine.compiled.vectors import I32, I64, TILE_ROWS, Emitter, Vector


class _Unit(Rows):
    """Vector code for one unit's rows, tile after tile; lanes without a row hold 0, as their weights do."""

    def __init__(self, context: Any, builder: Any, kinds: Any, arrays: Any) -> None:
        dtype = str(kinds[0].dtype)
        Emitter.__init__(self, builder, dtype, TILE_ROWS[dtype])
        self.arrays = [pointer(context, builder, *pair) for pair in zip(kinds, arrays, strict=True)]

    def run(self, array: int, tile: Any, start: Any, block: Any) -> Any:
        """Where the rows of a tile begin."""
        place = self.builder.add(start, self.builder.mul(tile, block))
        return self.builder.gep(self.arrays[array], [place])

    def share(self, tile: Any) -> Vector:
        """The weights of a tile's rows, the last of the arrays."""
        return self.load(self.run(-1, tile, ir.Constant(I64, 0), ir.Constant(I64, self.lanes)))

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


@intrinsic
def moment_sums(typingctx, values, weights, start, block, n_tiles, origin):
    """Σ w(a − origin) and Σ w(a − origin)² of the unit that begins at ``start``."""
    result = types.UniTuple(values.dtype, 2)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        emit = _Unit(context, builder, sig.args[:2], args[:2])

        def body(tile: Any) -> tuple[Vector, Vector]:
            away = emit.load(emit.run(0, tile, args[2], args[3])) - emit.splat(args[5])
            weighted = emit.share(tile) * away
            return weighted, weighted * away

        return context.make_tuple(builder, result, emit.sums(args[4], body))

    return result(values, weights, start, block, n_tiles, values.dtype), codegen


@intrinsic
def delta_sums(typingctx, values, deltas, starts, block, n_tiles, mean):
    """Σδ of the unit that begins at ``starts[1]``, and Σδ(a − mean) with that at ``starts[0]``."""
    result = types.UniTuple(values.dtype, 2)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        emit = _Unit(context, builder, sig.args[:2], args[:2])
        here, there = (builder.extract_value(args[2], k) for k in (0, 1))

        def body(tile: Any) -> tuple[Vector, Vector]:
            delta = emit.load(emit.run(1, tile, there, args[3]))
            away = emit.load(emit.run(0, tile, here, args[3])) - emit.splat(args[5])
            return delta, delta * away

        return context.make_tuple(builder, result, emit.sums(args[4], body))

    return result(values, deltas, starts, block, n_tiles, values.dtype), codegen


@intrinsic
def write_pulls(typingctx, arrays, start, block, n_tiles, numbers):
    """∂L/∂a = w(level + (a − mean)·slope); ``arrays``: a, ∂L/∂a, w; ``numbers``: mean, level, slope."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        arrays = [builder.extract_value(args[0], k) for k in range(3)]
        emit = _Unit(context, builder, sig.args[0].types, arrays)
        mean, level, slope = (emit.splat(builder.extract_value(args[4], k)) for k in range(3))

        def body(tile: Any, _: Any) -> list[Any]:
            away = emit.load(emit.run(0, tile, args[1], args[2])) - mean
            emit.store(emit.share(tile) * (level + away * slope), emit.run(1, tile, args[1], args[2]))
            return []

        emit.loop(args[3], 1, [], body)
        return context.get_dummy_value()

    return types.void(arrays, start, block, n_tiles, numbers), codegen


@kernel
def find_moments(values, layout, units, weights, found):
    """Means and variances (2, units) of some units, the rows weighted, lanes without a row by 0.

    Numbers are taken from the first row's, so that their squares do not cancel.
    """
    block, _, stride, lanes, n_rows, part, parts = layout
    zero = values.dtype.type(0)
    for k in range(part, len(units), parts):
        base = units[k] * stride
        origin, n_tiles = values[base], (n_rows + lanes - 1) // lanes
        total, square = moment_sums(values, weights, base, block, n_tiles, origin)
        found[0, k] = origin + total
        found[1, k] = max(square - total * total, zero)


@kernel
def through_moments(arrays, layout, ends, weights, numbers, found):
    """∂L/∂a of the sources by way of the moments, and Σδx̂ of each target.

    ``ends``: sources, targets; ``numbers``: (3, units) mean, 1/σ, scale/σ; ``found``: (units,).
    """
    values, deltas = arrays
    sources, targets = ends
    block, _, stride, lanes, n_rows, part, parts = layout
    n_tiles = (n_rows + lanes - 1) // lanes
    for k in range(part, len(sources), parts):
        mean, inverse, scale = numbers[0, k], numbers[1, k], numbers[2, k]
        starts = sources[k] * stride, targets[k] * stride
        plain, along = delta_sums(values, deltas, starts, block, n_tiles, mean)
        found[k] = along * inverse
        pulls = mean, -scale * plain, -scale * found[k] * inverse
        write_pulls((values, deltas, weights), starts[0], block, n_tiles, pulls)
