"""Sums of moments over the rows of all tiles, and what they pull, in LLVM's own language."""

# ruff: noqa: ANN001, ANN201, ARG001 - Numba's protocol for intrinsics
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dagnet.engine.compiled.microkernels import Rows, by_width, pointer
from dagnet.engine.compiled.vectors import I32, I64, Emitter, Vector


class _Unit(Rows):
    """Vector code for one unit's rows, tile after tile; lanes without a row hold 0, as their weights do."""

    def __init__(self, context: Any, builder: Any, kinds: Any, arrays: Any, lanes: int) -> None:
        Emitter.__init__(self, builder, str(kinds[0].dtype), lanes)
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


def _parts(builder: Any, value: Any, n: int) -> list[Any]:
    return [builder.extract_value(value, k) for k in range(n)]


@intrinsic
def moment_sums(typingctx, values, weights, start, tiles, origin):
    """Σ w(a − origin) and Σ w(a − origin)² of the unit that begins at ``start``.

    ``tiles``, here and below: numbers from one to the next, how many they are, rows of one.
    """
    result = types.UniTuple(values.dtype, 2)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        block, n_tiles, lanes = _parts(builder, args[3], 3)

        def sums(width: int) -> list[Any]:
            emit = _Unit(context, builder, sig.args[:2], args[:2], width)

            def body(tile: Any) -> tuple[Vector, Vector]:
                away = emit.load(emit.run(0, tile, args[2], block)) - emit.splat(args[4])
                weighted = emit.share(tile) * away
                return weighted, weighted * away

            return emit.sums(n_tiles, body)

        return context.make_tuple(builder, result, by_width(builder, str(values.dtype), lanes, sums))

    return result(values, weights, start, tiles, values.dtype), codegen


@intrinsic
def delta_sums(typingctx, values, deltas, starts, tiles, mean):
    """Σδ of the unit that begins at ``starts[1]``, and Σδ(a − mean) with that at ``starts[0]``."""
    result = types.UniTuple(values.dtype, 2)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        (here, there), (block, n_tiles, lanes) = _parts(builder, args[2], 2), _parts(builder, args[3], 3)

        def sums(width: int) -> list[Any]:
            emit = _Unit(context, builder, sig.args[:2], args[:2], width)

            def body(tile: Any) -> tuple[Vector, Vector]:
                delta = emit.load(emit.run(1, tile, there, block))
                away = emit.load(emit.run(0, tile, here, block)) - emit.splat(args[4])
                return delta, delta * away

            return emit.sums(n_tiles, body)

        return context.make_tuple(builder, result, by_width(builder, str(values.dtype), lanes, sums))

    return result(values, deltas, starts, tiles, values.dtype), codegen


@intrinsic
def write_pulls(typingctx, arrays, start, tiles, numbers):
    """∂L/∂a = w(level + (a − mean)·slope); ``arrays``: a, ∂L/∂a, w; ``numbers``: mean, level, slope."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        given, (block, n_tiles, lanes) = _parts(builder, args[0], 3), _parts(builder, args[2], 3)

        def write(width: int) -> None:
            emit = _Unit(context, builder, sig.args[0].types, given, width)
            mean, level, slope = map(emit.splat, _parts(builder, args[3], 3))

            def body(tile: Any, _: Any) -> list[Any]:
                away = emit.load(emit.run(0, tile, args[1], block)) - mean
                emit.store(emit.share(tile) * (level + away * slope), emit.run(1, tile, args[1], block))
                return []

            emit.loop(n_tiles, 1, [], body)

        by_width(builder, str(arrays.types[0].dtype), lanes, write)
        return context.get_dummy_value()

    return types.void(arrays, start, tiles, numbers), codegen
