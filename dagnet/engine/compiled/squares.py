"""Micro-kernels that turn rows into lanes of units and back, by squares of 8 × 8, columns by eights."""

# ruff: noqa: ANN001, ANN201 - Numba infers types
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from llvmlite import ir
from numba import types

from dagnet.engine.compiled.microkernels import microkernel, number_of
from dagnet.engine.compiled.vectors import I32, I64, Emitter, Vector

LATER = 64
"""How many numbers of a row ahead the next ones are asked for."""
SQUARE = 8
"""Rows and columns that are turned at once."""


def _turned(emit: Emitter, vectors: list[Vector]) -> list[Vector]:
    """As many vectors as they have lanes, lane k of which becomes vector k: by runs of 1, 2, 4 lanes."""
    builder, n, width = emit.builder, emit.lanes, 1
    while width < n:
        low = [lane - width + n if lane & width else lane for lane in range(n)]
        masks = [ir.Constant(ir.VectorType(I32, n), [lane + more for lane in low]) for more in (0, width)]
        found = list(vectors)
        for k in (k for k in range(n) if not k & width):
            pair = vectors[k].value, vectors[k + width].value
            found[k], found[k + width] = (Vector(emit, builder.shuffle_vector(*pair, m)) for m in masks)
        vectors, width = found, 2 * width
    return vectors


@microkernel()
def square_into_units(builder, rows, corner, step, state, lanes):
    """A square of (rows, units) into lanes of units.

    ``corner``: unit, row, how many rows there are; lanes of others become 0, and of a square without any
    nothing is read.  Rows begin every ``step``, ``lanes`` at the first of two numbers and every second.
    """
    (unit, first, there), (place, stride) = corner, lanes
    emit, numbers = Emitter(builder, number_of(rows), SQUARE), [ir.Constant(I64, k) for k in range(SQUARE)]

    def read(row: ir.Value, exists: ir.Value | None) -> Vector:
        start = builder.add(unit, builder.mul(row, step))
        start = start if exists is None else builder.select(exists, start, unit)
        emit.prefetch(builder.gep(rows, [builder.add(start, ir.Constant(I64, LATER))]))
        found = emit.load(builder.gep(rows, [start]))
        return found if exists is None else Vector(emit, builder.select(exists, found.value, zero.value))

    def write(vectors: list[Vector]) -> None:
        for k, vector in zip(numbers, vectors, strict=True):
            emit.store(vector, builder.gep(state, [builder.add(place, builder.mul(stride, k))]))

    zero, places = emit.splat(0.0), [builder.add(first, k) for k in numbers]
    exist = [builder.icmp_signed("<", row, there) for row in places]
    with builder.if_else(exist[-1]) as (whole, other):
        with whole:
            write(_turned(emit, [read(row, None) for row in places]))
        with other, builder.if_else(exist[0]) as (some, none):
            with some:
                write(_turned(emit, list(map(read, places, exist))))
            with none:
                write([zero] * SQUARE)


@microkernel(lambda *_: types.boolean)
def run_into_unit(builder, column, start, later, state, place):
    """Eight numbers of a column into a unit's lanes; whether one is NaN.  ``later``: what is asked for."""
    emit = Emitter(builder, number_of(column), SQUARE)
    emit.prefetch(builder.gep(column, [later]))
    read = emit.load(builder.gep(column, [start]))
    emit.store(read, builder.gep(state, [place]))
    return emit.some(read != read)  # noqa: PLR0124 - of NaN alone


@microkernel()
def square_into_rows(builder, state, lanes, units, column, rows, corner):
    """Eight lanes of the units from ``units[column]`` on into eight rows' columns.

    ``lanes``: where those of unit 0 begin, and the stride; ``corner``: the first number, and the step.
    """
    (place, stride), (first, step) = lanes, corner
    emit, vectors = Emitter(builder, number_of(state), SQUARE), []
    for k in range(SQUARE):
        unit = builder.load(builder.gep(units, [builder.add(column, ir.Constant(I64, k))]))
        vectors.append(emit.load(builder.gep(state, [builder.add(place, builder.mul(unit, stride))])))
    for k, vector in enumerate(_turned(emit, vectors)):
        row = builder.add(first, builder.mul(step, ir.Constant(I64, k)))
        emit.prefetch(builder.gep(rows, [builder.add(row, ir.Constant(I64, LATER))]))
        emit.store(vector, builder.gep(rows, [row]))
