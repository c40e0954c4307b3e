"""Training steps whose dense steps read inputs as the rows lie: what a tile reads is read again while near.

Where few units read many inputs, a step takes as long as the rows take to come from memory.  Matrix
products read all rows forth, then all rows back; here a tile's few rows go forth, and at once back.  They are
not turned into lanes: some rows go together, so that a weight is loaded once for them forth, and its
derivative is loaded and written once back.
"""

# ruff: noqa: ANN001, ANN202 - Numba infers types
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

import numba

from dagnet.engine.compiled.blocks import push_block, sum_block
from dagnet.engine.compiled.caching import INNER
from dagnet.engine.compiled.fused import load_inputs_of
from dagnet.engine.compiled.kernels import tile_kernels
from dagnet.engine.compiled.microkernels import Rows, microkernel, number_of
from dagnet.engine.compiled.passes import kernels_of_tiles
from dagnet.engine.compiled.vectors import I64, USUAL_ROWS, Vector
from dagnet.plan import DENSE

_DENSE = DENSE
FORTH, BACK = 4, 8
"""How many rows go together."""


def _read(builder: Any, program: Any, inputs: Any, state: Any, tile: Any, rows: Any) -> tuple[Any, ...]:
    """Code for runs of numbers; where a unit's weights begin, how many, and where some rows' inputs do.

    ``rows``: the unit, the first row, how many.
    """
    emit, (unit, first, n) = Rows(builder, state, tile, USUAL_ROWS[number_of(state.values)]), rows
    slot, width = emit.span(program.indptr, unit)
    start = builder.add(tile.row, first)
    places = (builder.mul(builder.add(start, I64(k)), program.n_inputs) for k in range(n))
    first_read = emit.at(program.sources, slot)
    return emit, slot, width, [builder.gep(inputs, [builder.add(place, first_read)]) for place in places]


def _summing(n: int) -> Any:
    """Z without bias of a unit in n rows of a tile; ``place``: the unit, the first row."""

    @microkernel()
    def sum_rows(builder, program, theta, inputs, state, tile, place):
        unit, first = place
        emit, slot, width, rows = _read(builder, program, inputs, state, tile, (unit, first, n))

        def some(k: Any, carried: list[Any], mask: Any = None) -> list[Any]:
            weights = emit.load(builder.gep(theta, [builder.add(slot, k)]), mask)
            read = [emit.load(builder.gep(row, [k]), mask) for row in rows]
            pairs = zip(read, carried, strict=True)
            return [emit.intrinsic("fmuladd", weights, a, Vector(emit, total)).value for a, total in pairs]

        k, *totals = emit.loop(width, emit.lanes, [emit.splat(0.0).value] * n, some)
        own = builder.gep(emit.place(state.values, unit), [first])
        for number, total in enumerate(some(k, totals, emit.first(builder.sub(width, k)))):
            builder.store(emit.sum(Vector(emit, total)), builder.gep(own, [I64(number)]))

    return sum_rows


def _finding(n: int) -> Any:
    """∂L/∂w of a unit from n rows of a tile, the last columns first, which are nearest; ``place`` too."""

    @microkernel()
    def find_weights(builder, program, walk, inputs, state, tile, place):
        unit, first = place
        emit, slot, width, rows = _read(builder, program, inputs, state, tile, (unit, first, n))
        own = emit.place(state.deltas, unit)
        deltas = [emit.splat(emit.at(own, builder.add(first, I64(number)))) for number in range(n)]

        def some(k: Any, mask: Any = None) -> None:
            weights = builder.gep(walk.into, [builder.add(slot, k)])
            total = emit.load(weights, mask)
            for row, delta in zip(rows, deltas, strict=True):
                total = emit.intrinsic("fmuladd", delta, emit.load(builder.gep(row, [k]), mask), total)
            emit.store(total, weights, mask)

        whole = builder.and_(width, I64(-emit.lanes))
        some(whole, emit.first(builder.sub(width, whole)))

        def before(k: Any, carried: list[Any]) -> list[Any]:
            some(builder.sub(builder.sub(whole, I64(emit.lanes)), k))
            return carried

        emit.loop(whole, emit.lanes, [], before)

    return find_weights


_sum, _sum_row, _find, _find_row = _summing(FORTH), _summing(1), _finding(BACK), _finding(1)


@numba.njit(**INNER)
def _load(program, theta, given, state, tile, fresh):
    """Sums over inputs in place of these; inputs as well where something else reads them."""
    if not program.skips_inputs:
        load_inputs_of(program, theta, given, state, tile, fresh)
    whole = tile.there // FORTH * FORTH
    for number in range(len(program.runs)):
        if program.runs[number, 0] == _DENSE:
            for unit in range(program.runs[number, 2], program.runs[number, 3]):
                for first in range(0, whole, FORTH):
                    _sum(program, theta, given[0], state, tile, (unit, first))
                for row in range(whole, tile.there):
                    _sum_row(program, theta, given[0], state, tile, (unit, row))
                place = tile.base + unit * tile.stride
                state.values[place + tile.there : place + tile.lanes] = 0


@numba.njit(**INNER)
def _leave(program, walk, given, state, tile):
    """The derivatives of what was summed up."""
    whole = tile.there // BACK * BACK
    for number in range(len(program.runs)):
        if program.runs[number, 0] == _DENSE:
            for unit in range(program.runs[number, 2], program.runs[number, 3]):
                if program.needs_delta[unit]:
                    for first in range(0, whole, BACK):
                        _find(program, walk, given[0], state, tile, (unit, first))
                    for row in range(whole, tile.there):
                        _find_row(program, walk, given[0], state, tile, (unit, row))


KERNELS = kernels_of_tiles(__name__, tile_kernels(__name__, sum_block, push_block), _load, _leave)
