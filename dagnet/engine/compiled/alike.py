"""Units that are alike, and edges that leave inputs.

Units that have the same parents go on together forth, and back those with the same children: a parent's rows,
or a child's δ, are loaded once for them.  Terms of some units each are made of such units, and so are layers
too small to be matrix products.
"""

# ruff: noqa: ANN001, ANN201 - Numba infers types
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dagnet.adjacency import offsets, ranges
from dagnet.arrays import Array
from dagnet.engine.compiled.microkernels import Pull, Rows, microkernel
from dagnet.engine.compiled.vectors import I64, Vector
from dagnet.plan import SPARSE

JOINS, AT_LEAST, LEAVING = 0.25, 5_000, 16
"""Of all edges those of units that are alike, and edges in all, from which on these go on together.

Edges that leave inputs, one of so many and as many in all, are brought into the order of their children.
"""
PORTION = 2**22
"""Edges that are compared at once."""


class Way(NamedTuple):
    """Forth or back: how many units that are alike go on together, and where what is found is kept."""

    n: int
    step: int
    shift: int
    kept: str


FORTH, BACK = Way(4, 1, 0, "values"), Way(2, -1, 4, "deltas")
"""``alike`` has in 4 bits from ``shift`` on which of them a unit is, from 1 on, in the order of the walk."""


def alike_units(program: Any) -> tuple[Array, bool]:
    """(units,) what ``alike`` has for a program, and whether it pays."""
    n, marks, n_joined, n_edges = program.plan.n_units, np.zeros(program.plan.n_units, np.int8), 0, 0
    if len(program.children) < AT_LEAST or program.normalizes:
        return marks, False
    sums, summed, pulled = program.steps[program.steps[:, 0] == SPARSE], np.zeros(n, bool), np.ones(n, bool)
    summed[ranges(sums[:, 2], sums[:, 3])], pulled[: program.n_inputs] = True, program.pulls_inputs
    forth, back = (summed, program.indptr, program.sources), (pulled, program.indptr_out, program.children)
    for way, (asked, indptr, neighbours) in ((FORTH, forth), (BACK, back)):
        degrees, same = np.diff(indptr), _same_as_next(asked, indptr, neighbours)
        first = np.maximum.accumulate(np.where(np.append(True, ~same[:-1]), np.arange(n), 0))
        place, n_alike = np.arange(n) - first, np.bincount(first, minlength=n)[first]
        number = place % way.n
        whole = place - number + way.n <= n_alike
        marks[whole] |= (1 + (number if way.step > 0 else way.n - 1 - number)[whole]) << way.shift
        n_joined += int(degrees[whole].sum())
        n_edges += int(degrees[asked].sum())
    return marks, n_joined > JOINS * n_edges


def _same_as_next(asked: Array, indptr: Array, neighbours: Array) -> Array:
    """(units,) whether a unit has the very neighbours of the next one; the last one has not."""
    degrees, same = np.diff(indptr), np.zeros(len(indptr) - 1, bool)
    units = (asked[:-1] & asked[1:] & (degrees[:-1] > 0) & (degrees[:-1] == degrees[1:])).nonzero()[0]
    for ends in (indptr[:-1], indptr[1:] - 1):  # of most that differ, these do
        units = units[neighbours[ends[units]] == neighbours[ends[units + 1]]]
    for some in np.array_split(units, 1 + int(degrees[units].sum()) // PORTION):
        lengths = degrees[some]
        places = ranges(indptr[some], indptr[some + 1])
        equal = neighbours[places] == neighbours[places + lengths.repeat(lengths)]
        if len(some):
            same[some] = np.logical_and.reduceat(equal, offsets(lengths)[:-1])
    return same


def leaving_by_children(program: Any, slots: Array, children: Array) -> tuple[Array, Array]:
    """Both in walking order, but edges from inputs by their children where nobody asks for ∂L/∂a there.

    Then δ is read in order, and not once for each input.  Not where such edges are few.
    """
    n = int(program.plan.indptr_out[program.n_inputs])
    if program.pulls_inputs or program.normalizes or n < AT_LEAST or n * LEAVING < len(children):
        return slots, children
    counts = np.bincount(children[:n])
    first = np.arange(len(counts), dtype=children.dtype).repeat(counts)
    return np.concatenate([np.sort(slots[:n]), slots[n:]]), np.concatenate([first, children[n:]])


class Leaving(Pull):
    """The same for edges that leave units whose ∂L/∂a nobody asks for, all as one walk."""

    def _edge(self, place: Any, totals: list[Vector]) -> tuple[list[Vector], list[Vector]]:
        emit, slot = self.emit, self.emit.builder.load(self.emit.builder.gep(self.plan.slots_out, [place]))
        slot = emit.builder.zext(slot, I64) if slot.type.width < 64 else slot
        own = emit.load(emit.place(emit.state.values, emit.at(self.plan.sources, slot)))
        return [emit.products(own, emit.load(self._rows(self.plan.children, place)))], totals


@microkernel()
def add_derivatives(builder, program, walk, state, tile, units):
    """∂L/∂w of the edges to the children of some units, first and last + 1."""

    def body(emit: Rows) -> None:
        first, last = (emit.at(program.indptr_out, unit) for unit in units)
        Leaving(emit, program, walk, []).all(first, builder.sub(last, first), [])

    Rows.each(builder, state, tile, body)
