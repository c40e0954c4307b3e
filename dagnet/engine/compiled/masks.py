"""Dropout of a tile's rows in registers; masks are those of :func:`dagnet.hashing.kept`, to the bit.

A dropped value is −0, a kept one never: so the way back knows the mask, and no memory is needed for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

from dagnet import hashing
from dagnet.engine.compiled.vectors import I32, I64, Emitter, Vector

RUN = 16
"""Rows of a run: a word has 16 bits for a row of one run, and 16 for one of the next."""


def numbers_of_rate(rate: float) -> tuple[float, float, float]:
    """What code reads of a rate: the least 16 bits of what is kept, and factors forth and back."""
    return float(hashing.threshold(rate)), 1 / (1 - rate), 1 - rate


class Dropout:
    """Of the units of a tile, by a rate: the pointer to :func:`numbers_of_rate`, in double precision."""

    def __init__(self, emit: Emitter, key: Any, row: Any, rate: Any) -> None:
        """``key``: pointer to the step's key and the batch's first row; ``row``: that of the first lane."""
        builder, self.emit = emit.builder, emit
        numbers = [builder.load(builder.gep(rate, [I64(k)])) for k in range(3)]
        self.least = emit.splat(builder.fptosi(numbers[0], I32))
        if emit.dtype.itemsize < 8:
            numbers = [builder.fptrunc(number, emit.element) for number in numbers]
        _, self.scale, self.unscale = (emit.splat(number) for number in numbers)
        self.key = builder.load(key)
        first = builder.add(row, builder.load(builder.gep(key, [I64(1)])))
        start = emit.splat(builder.trunc(first, I32))
        rows = start + Vector(emit, ir.Constant(start.value.type, list(range(emit.lanes))))
        self.half = rows & RUN
        self.words = ((rows >> 5) * RUN + (rows & (RUN - 1))) * hashing.STRIDE
        self.apart = start & (2 * RUN - 1) != 0

    def drop(self, values: Vector, unit_hash: Any) -> Vector:
        """A unit's values over the tile: times a factor, and never −0, or −0."""
        return self.emit.select(self._bits(unit_hash) >= self.least, values * self.scale + 0.0, -0.0)

    def restored(self, values: Vector) -> tuple[Vector, Vector]:
        """What was dropped, and the values as before where they were kept."""
        return values.bits() == 1 << (8 * self.emit.dtype.itemsize - 1), values * self.unscale

    def _bits(self, unit_hash: Any) -> Vector:
        """16 bits of each row; those of two runs are drawn together where the tile begins with a pair."""
        halves = self._halves(unit_hash)

        def by_rows() -> Vector:
            return (_hashed(self.words, *halves) >> self.half) & (2**16 - 1)

        few = self.emit.lanes < 2 * RUN
        return by_rows() if few else self.emit.rarely(self.apart, self._by_runs(halves), by_rows)

    def _by_runs(self, halves: tuple[Any, Any]) -> Vector:
        builder, n = self.emit.builder, self.emit.lanes // 2
        places = [pair + lane for pair in range(0, 2 * n, 2 * RUN) for lane in range(RUN)]
        few, words = Emitter(builder, np.float32, n), self._shuffled(self.words, self.words, places)
        bits = _hashed(Vector(few, words), *halves)
        order = [k + lane + run for k in range(0, n, RUN) for run in (0, n) for lane in range(RUN)]
        return Vector(self.emit, self._shuffled(bits & (2**16 - 1), bits >> RUN, order))

    def _shuffled(self, a: Vector, b: Vector, places: list[int]) -> Any:
        order = ir.Constant(ir.VectorType(I32, len(places)), places)
        return self.emit.builder.shuffle_vector(a.value, b.value, order)

    def _halves(self, unit_hash: Any) -> tuple[Any, Any]:
        """The lower and the upper half of a unit's key; see :func:`dagnet.hashing.mixed`."""
        builder, key = self.emit.builder, self.emit.builder.add(self.key, unit_hash)
        for shift, factor in zip(hashing.SHIFTS, (*hashing.FACTORS, np.uint64(1)), strict=True):
            key = builder.xor(key, builder.lshr(key, I64(int(shift))))
            key = builder.mul(key, I64(int(factor)))
        return builder.trunc(key, I32), builder.trunc(builder.lshr(key, I64(32)), I32)


def _hashed(words: Vector, low: Any, high: Any) -> Vector:
    low, high = (words.emit.splat(half) for half in (low, high))
    bits = words + low
    bits = ((bits ^ (bits >> 16)) * hashing.FIRST) ^ high
    bits = (bits ^ (bits >> 13)) * hashing.SECOND
    return bits ^ (bits >> 16)
