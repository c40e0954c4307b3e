"""A plan cut into segments: runs of steps for a kernel, matrix products, what NumPy runs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from dagnet.adjacency import ranges
from dagnet.arrays import Array
from dagnet.builtins import aggregations
from dagnet.engine.compiled import functions
from dagnet.engine.compiled.alike import alike_units, leaving_by_children
from dagnet.engine.compiled.beginning import BY_BLOCK, BY_MOMENTS, beginning, begun_apart, first_pulls
from dagnet.engine.compiled.functions import Called, CompiledActivation, units_by_code
from dagnet.engine.compiled.masks import numbers_of_rate
from dagnet.engine.compiled.opened import BLOCK, table_of, with_array
from dagnet.engine.compiled.units import joined_units
from dagnet.engine.compiled.vectors import TILE_ROWS, USUAL_ROWS
from dagnet.hashing import ODD, mixed
from dagnet.plan import (
    ACTIVATE,
    AGGREGATE,
    DENSE,
    DROP,
    KINDS,
    LAYER,
    NORMALISE,
    SPARSE,
    THIN,
    Plan,
    Step,
    aggregate_steps,
)

SWEEP, DENSE_SEGMENT, ACTIVATE_SEGMENT, MOMENTS_SEGMENT, TEXTBOOK_SEGMENT = 0, 1, 2, 3, 4
"""All but sweeps are run by objects of :mod:`dagnet.engine.compiled.between`."""
BY_KERNELS = (aggregations.mean, aggregations.product, aggregations.largest, aggregations.smallest)
LARGE, SMALL, MOST, NARROW = 2**17, 4096, 0.9, 4
"""Where dense steps of so many weights, or of fewer units, have most of a plan's, matrix products do them.

Such a matrix and its derivatives leave a core's cache, or rows are read as given; then those from ``SMALL``
on are products as well.  All others are blocks, as fast, and one sweep with all else.
"""
USUAL = {np.dtype(name): rows for name, rows in USUAL_ROWS.items()}
PRODUCT, BEST = 1, (2, 3)
"""Aggregations that kernels know, in the order of their codes there; NumPy runs all others."""
FEW_EDGES = 5_000
"""Edges and units up to which a call costs more than its tiles: these have the usual number of rows."""
ALWAYS_LOOKED = np.isin(np.arange(max(KINDS) + 1), (DENSE, LAYER, THIN, NORMALISE, AGGREGATE))
"""By kind, the steps that may be a segment of their own."""
BY_NUMPY = np.isin(np.arange(max(KINDS) + 1), (AGGREGATE, LAYER, THIN))
"""By kind, the steps whose terms have their derivatives from NumPy, or from kernels that aggregate."""
NEAR = 2**18
"""Bytes of what lies between an edge's ends, on average, up to which tiles may be wide."""
FAR, IN_RUNS = 2**22, 0.7
"""And where a tile has more bytes of values anyway, and of so many edges the parent is the next unit."""


class Segment(NamedTuple):
    """Steps ``begin`` … ``end`` − 1; what is neither a sweep nor of moments is one step.

    ``wide``, of a sweep: nothing in it gathers sparsely, so that all rows may be one tile.  The rest
    belongs to dense segments: what is read, whether that is inputs only, whether the reverse walk
    enters the step's units, whether it goes on to its sources, and whether it is the first to
    write ∂L/∂a there.
    """

    kind: int
    begin: int
    end: int
    first: int = 0
    last: int = 0
    slot: int = 0
    sources: Any = None
    n_source: int = 0
    from_inputs: bool = False
    walked: bool = False
    walks_on: bool = False
    first_write: bool = False
    wide: bool = False

    @property
    def slots(self) -> slice:
        """Those of a dense step's matrix."""
        return slice(self.slot, self.slot + (self.last - self.first) * self.n_source)


class Program:
    """All that kernels read of a plan, in the form that they read it in.

    From the plan come steps and activations, from both segments, from segments which of them write
    ∂L/∂a first; everything else follows from these where it is asked for.
    """

    def __init__(self, plan: Plan, dtype: Any) -> None:
        self.plan, self.n_inputs = plan, plan.n_inputs
        self.dtype = np.dtype(dtype)
        self.activations = [functions.compile_activation(a, dtype) for a in plan.activations]
        self._rates: list[float] = plan.rates.tolist()
        known = [a.function in BY_KERNELS for a in plan.aggregations]
        self.steps = _steps(plan)
        kinds = set(self.steps[:, 0].tolist())
        self.has_blocks, self.has_dense = BLOCK in kinds, DENSE in kinds
        self.sums, self.drops = SPARSE in kinds, DROP in kinds
        walked = (self.steps[:, 0] == BLOCK) & (self.steps[:, 1] != 0) if self.has_blocks else slice(0)
        self.blocks: list[Step] = [Step._make(row) for row in plan.steps[walked].tolist()]
        self.aggregates = any(known[step.what] for step in aggregate_steps(plan))
        segments = _segments(plan, self.steps, self.activations)
        self.started, segments = _first_writes(plan, segments)
        self.segments = [self._widened(segment) for segment in segments] if self.has_dense else segments
        self.fresh = first_pulls(self)
        self.normalizes = any(segment.kind == MOMENTS_SEGMENT for segment in segments)
        others = [segment for segment in segments if segment.kind != SWEEP]
        few = all(s.from_inputs and not s.walks_on and s.last - s.first < NARROW for s in others)
        self.is_one_sweep = not others
        self.by_rows = few and self.has_dense and not (self.drops or self.aggregates)
        self.writes_slots = self.has_blocks or self.by_rows
        self._lay_out()

    def _lay_out(self) -> None:
        """The arrays and numbers of the table; see :class:`dagnet.engine.compiled.opened.Opened`."""
        plan = self.plan
        self.functions = _places(activation.function for activation in self.activations)
        self.slopes = _places(activation.slope for activation in self.activations)
        self.learned_counts = np.array([activation.n_learned for activation in self.activations], np.int64)
        self.learned_slot, self.n_learned = np.zeros(0, np.int64), 0
        if plan.learned_slot is not None:
            self.learned_slot = np.ascontiguousarray(plan.learned_slot, np.int64)
            self.n_learned = plan.n_slots - plan.n_weights - int(np.count_nonzero(plan.bias_slot >= 0))
        self.pre_place, self.n_pre = self._pre_places()
        self.pulls_inputs = bool(to_inputs := np.count_nonzero(plan.needs_delta[: plan.n_inputs]))
        slots_out = np.append(plan.slots_out, self._aggregate_rows()) if self.aggregates else plan.slots_out
        self.outputs = plan.outputs.astype(np.int64)
        self.is_narrow = plan.sources.dtype == plan.targets.dtype == np.int32 and plan.n_slots < 2**31
        # unsigned, because for a signed index Numba asks each time whether it counts from the end
        signed, unsigned = (np.int32, np.uint32) if self.is_narrow else (np.int64, np.uint64)
        self.sources, slots, children = (
            a.astype(signed, copy=False) for a in (plan.sources, slots_out, plan.targets)
        )
        self.slots_out, self.children = leaving_by_children(self, slots.view(unsigned), children)
        self.slots_out.flags.writeable = False  # as the plan's own: kernels are compiled for one of both
        self.indptr, self.indptr_out = (
            np.ascontiguousarray(a, np.int64) for a in (plan.indptr, plan.indptr_out)
        )
        read: list[Array] = [a.astype(signed, copy=False) for a in (plan.bias_slot, self.pre_place)]
        self.bias_slot, self.pre_place = read
        self.needs_delta = plan.needs_delta
        numbers, self.key = plan.unit_numbers, np.zeros(2, np.uint64)
        self.rates = np.array([numbers_of_rate(rate) for rate in self._rates], np.float64).reshape(-1, 3)
        self.unit_hashes = np.zeros(0, np.uint64) if numbers is None else mixed(numbers + ODD)
        self.all_needed = np.count_nonzero(plan.needs_delta) - to_inputs == plan.n_units - plan.n_inputs
        self.walks_to_inputs = self.pulls_inputs or bool(plan.indptr_out[plan.n_inputs])
        self._join_units()
        self.overwrites, self.begun, self.outputs_begun = beginning(self)
        self.table = table_of(self)

    @cached_property
    def apart(self) -> tuple[Array, Array]:
        """The table for walks that keep all values, and an array in it."""
        begun = begun_apart(self) if self.overwrites else self.begun
        return with_array(self.table, "begun", begun), begun

    def _join_units(self) -> None:
        """``runs``: steps as tiles take them, one part; ``unit_code``: what runs units of an activation."""
        steps, n, (self.alike, self.joins) = self.steps, len(self.activations), alike_units(self)
        active = steps[:, 0] == ACTIVATE
        codes = np.where(active, steps[:, 1], 0)  # first all without dropout, then with each rate
        if self.drops:
            codes[:-1] += np.where(active[:-1] & (steps[1:, 0] == DROP), n * (1 + steps[1:, 1]), 0)
        asked = set(codes[active].tolist()) if self.sums else ()
        self._units = units_by_code(self, self.widths, asked, joins=self.joins)
        self.unit_code = np.array([code[:3] for code in self._units], np.int64)
        begins, fuses = [segment.begin for segment in self.segments], self.unit_code[:-1, 0] != 0
        self.runs, self._starts = joined_units(steps, codes, fuses, begins, drops=self.drops)
        self.parts = np.array([[0, 0, len(self.runs), 0, len(self.outputs)]])

    def span(self, segment: Segment) -> tuple[int, int]:
        """Where in ``runs`` a segment's steps stand: first, last + 1."""
        first, last = np.searchsorted(self._starts, (segment.begin, segment.end)).tolist()
        return first, last

    def _aggregate_rows(self) -> Array:
        """Slots of the terms that kernels aggregate, behind those that are pulled over, and room for them.

        A step's ``what`` has its code in 2 bits, the place of its first term in walking order in the next
        40, and above how many terms the largest product has.
        Behind the kept z there is a row for each unit from the first maximum on, and for each of the
        terms that the largest product has.
        """
        slots, place, first, most = [np.zeros(0, np.int64)], len(self.plan.slots_out), self.plan.n_units, 0
        degrees = np.diff(self.plan.indptr)
        for number in np.flatnonzero((self.steps[:, 0] == AGGREGATE) & (self.steps[:, 1] >= 0)).tolist():
            step, code = self.plan.program()[number], int(self.steps[number, 1])
            slots.append(np.arange(step.slots.start, step.slots.stop))
            self.steps[number, 1] += 4 * place
            place += len(slots[-1])
            first = min(first, step.target) if code in BEST else first
            most = max(most, int(degrees[step.targets].max())) if code == PRODUCT else most
        self.steps[(self.steps[:, 0] == AGGREGATE) & (self.steps[:, 1] >= 0), 1] += most << 42
        self.n_pre += self.plan.n_units - first + most
        return np.concatenate(slots)

    def _pre_places(self) -> tuple[Array, int]:
        """Where z of each unit is kept, −1 for units whose g' needs only a; empty where none is kept."""
        needed = [a.needs_z for a in self.activations]
        if not any(needed):
            return np.zeros(0, np.int64), 0
        places = np.full(self.plan.n_units, -1, np.int64)
        keeps = np.zeros(self.plan.n_units, bool)
        for kind, what, first, last in self.steps.tolist():
            if kind == ACTIVATE and needed[what]:
                keeps[first:last] = True
        n = int(np.count_nonzero(keeps))
        places[keeps] = np.arange(n)
        return places, n

    def _widened(self, segment: Segment) -> Segment:
        """Marked ``wide`` where it goes along units' rows alone: no sums over sparse edges, forth or back."""
        if segment.kind != SWEEP:
            return segment
        steps, indptr_out = self.steps[segment.begin : segment.end], self.plan.indptr_out
        active = steps[steps[:, 0] == ACTIVATE]
        pulls = indptr_out[active[:, 3]] > indptr_out[active[:, 2]]
        begun = (self.started[first:last].all() for first, last in active[:, 2:].tolist())
        wide = not np.isin(steps[:, 0], (SPARSE, AGGREGATE, BLOCK)).any() and not pulls.any() and all(begun)
        return segment._replace(wide=wide)

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """How many rows its tiles may have; with blocks, whose code is long, the usual number."""
        plan, usual, rows = self.plan, USUAL[self.dtype], TILE_ROWS[self.dtype.name]
        n_edges = len(plan.sources)
        if n_edges + plan.n_units <= FEW_EDGES or self.has_blocks:
            return (usual,)
        if self.by_rows:  # what is read is still near when it is read again
            return rows[:1]
        between = np.diff(plan.indptr) @ np.arange(plan.n_units) - plan.sources.sum(dtype=np.int64)
        far = plan.n_units * usual * self.dtype.itemsize > FAR
        in_runs = far and np.count_nonzero(np.diff(plan.sources) == 1) > IN_RUNS * n_edges
        near = between * rows[-1] * self.dtype.itemsize <= NEAR * n_edges
        return rows if near or in_runs else rows[:-1]

    @cached_property
    def skips_inputs(self) -> bool:
        """Whether only dense steps read the inputs, which they can do from the rows as given."""
        plan = self.plan
        dense = sum((s.last - s.first) * s.n_source for s in self.segments if s.from_inputs)
        asked = self.walks_to_inputs or (plan.outputs < plan.n_inputs).any()
        return self.has_dense and not asked and dense == np.count_nonzero(plan.sources < plan.n_inputs)

    @cached_property
    def zeroed(self) -> Array:
        """Units whose ∂L/∂a must be 0 before the walk: added to, and not written at once."""
        plan, written = self.plan, np.zeros(self.plan.n_units, bool)
        written[plan.outputs] = True
        for segment in (segment for segment in self.segments if segment.first_write):
            written[segment.sources] = True
        begun = (self.started & ~(BY_BLOCK | BY_MOMENTS)).nonzero()[0]
        return begun[~written[begun]]

    @cached_property
    def summed(self) -> tuple[Array, Array]:
        """The slots of biases and of what activations learn, and where the walk back adds up theirs."""
        units, n = np.flatnonzero(self.bias_slot >= 0), self.n_learned
        places = np.append(units, self.plan.n_units + np.arange(n))
        slots = np.append(self.bias_slot[units], self.plan.n_slots - n + np.arange(n))
        return slots.astype(np.int64), places.astype(np.int64)

    @cached_property
    def unwanted(self) -> Array:
        """Slots that are 0 in the end: their derivative is not asked for, or nothing writes it."""
        plan = self.plan
        sums_alone = len(plan.slots_out) == plan.n_weights
        if sums_alone and np.count_nonzero(plan.needs_gradient) == plan.n_slots:  # all is written
            return np.zeros(0, np.int64)
        written = np.zeros(plan.n_slots, bool)
        written[plan.slots_out] = True
        written[plan.bias_slot[plan.bias_slot >= 0]] = True
        written[plan.n_slots - self.n_learned :] = True
        for segment in self.segments:
            if segment.walked and segment.kind != MOMENTS_SEGMENT:  # whose scales are edges as others
                written[segment.slots] = True
        written[self.by_numpy] = True
        for step in self.blocks:
            written[step.slots] = True
        return np.flatnonzero(~(written & plan.needs_gradient))

    @cached_property
    def by_numpy(self) -> Array:
        """Slots whose derivatives NumPy finds, and those of all aggregated terms."""
        steps = self.plan.steps[BY_NUMPY[self.plan.steps["kind"]]]
        return ranges(steps["slot"], steps["slot"] + steps["n_source"])

    def notes(self) -> dict[str, str]:
        """For the plan's listing: which functions NumPy runs, and why."""
        pairs = zip(self.plan.activations, self.activations, strict=True)
        notes = {str(a): f"NumPy: {c.reason}" for a, c in pairs if not c.function.address}
        others = (a for a in self.plan.aggregations if a.function not in BY_KERNELS)
        return notes | {str(a): "NumPy: no kernel has this aggregation" for a in others}


def _places(called: Iterable[Called]) -> Array:
    """(functions, 2) where each begins, and its numbers."""
    return np.array([(one.address, one.numbers) for one in called], np.int64).reshape(-1, 2)


def _steps(plan: Plan) -> Array:
    """(steps, 4): kind, what (of aggregations the kernels' code, or −1), first unit, last unit + 1."""
    steps, table = plan.steps, np.empty((len(plan.steps), 4), np.int64)
    for column, name in enumerate(("kind", "what", "target")):
        table[:, column] = steps[name]
    table[:, 3] = table[:, 2] + steps["n_target"]
    if plan.normalizations:
        table[table[:, 0] == NORMALISE, 0] = SPARSE  # to kernels they are sums like others
    if np.count_nonzero(dense := table[:, 0] == DENSE):
        weights = steps["n_target"] * steps["n_source"]
        large = dense & ((weights >= LARGE) | (steps["n_target"] < NARROW))
        by_products = large.any() and weights[large].sum() >= MOST * plan.n_weights
        blocks = dense & (weights < SMALL) if by_products else dense
        table[blocks, 0] = BLOCK
        for number in np.flatnonzero(blocks).tolist():  # what: whether the way back enters it
            table[number, 1] = plan.needs_delta[slice(*table[number, 2:])].any()
    if plan.aggregations:
        codes = [BY_KERNELS.index(a.function) if a.function in BY_KERNELS else -1 for a in plan.aggregations]
        aggregates = table[:, 0] == AGGREGATE
        table[aggregates, 1] = np.array(codes, np.int64)[table[aggregates, 1]]
    return table


def _segments(plan: Plan, steps: Array, activations: list[CompiledActivation]) -> list[Segment]:
    """Cut at dense steps and at what NumPy runs."""
    numpy_runs = [a.function.address == 0 for a in activations]
    looked, kinds, begin = ALWAYS_LOOKED.copy(), plan.steps["kind"], 0
    looked[ACTIVATE] = any(numpy_runs)
    numbers = looked[kinds].nonzero()[0].tolist()
    moments = (kinds == NORMALISE).tolist() if numbers else []
    segments: list[Segment] = []
    for number in numbers:
        kind, what = steps[number, :2].tolist()
        apart = kind in {DENSE, LAYER, THIN} or (moments[number] and not (number and moments[number - 1]))
        if not (apart or (kind == ACTIVATE and numpy_runs[what]) or (kind == AGGREGATE and what < 0)):
            continue
        if number > begin:
            segments.append(Segment(SWEEP, begin, number))
        if moments[number]:
            last = number + [*moments[number:], False].index(False)
            segments.append(Segment(MOMENTS_SEGMENT, number, number, steps[number, 2], steps[last - 1, 3]))
            begin = number
            continue
        segments.append(_single(plan, number, *steps[number, [0, 2, 3]].tolist()))
        # the kernel adds a dense step's biases, so its sweep begins at the step itself
        begin = number if steps[number, 0] == DENSE else number + 1
    if begin < len(steps):
        segments.append(Segment(SWEEP, begin, len(steps)))
    return segments


def _single(plan: Plan, number: int, kind: int, first: int, last: int) -> Segment:
    step = plan.steps[number]
    if kind != DENSE:
        segment = ACTIVATE_SEGMENT if kind == ACTIVATE else TEXTBOOK_SEGMENT
        return Segment(segment, number, number + 1, first, last)
    sources, needed = plan.step_sources(step), plan.needs_delta
    walked = bool(needed[first:last].any())
    walks_on = walked and bool(needed[sources].any())
    dropped = (plan.steps["kind"] == DROP) & (plan.steps["target"] < plan.n_inputs)  # not read as given then
    from_inputs = isinstance(sources, slice) and sources.stop <= plan.n_inputs and not dropped.any()
    read = int(step["slot"]), sources, int(step["n_source"]), from_inputs
    return Segment(DENSE_SEGMENT, number, number + 1, first, last, *read, walked, walks_on)


def _first_writes(plan: Plan, segments: list[Segment]) -> tuple[Array, list[Segment]]:
    """Units whose ∂L/∂a something writes before they pull it, and which dense step is the first to.

    Sources that something else has written, or will write (sparse children pull, outputs start), begin at
    zero and are added to.
    """
    started = np.zeros(plan.n_units, np.int8)
    started[plan.outputs] = 1
    for step in aggregate_steps(plan):  # which push to their sources
        started[plan.sources[step.slots]] = 1
    marked: list[Segment] = []
    for segment in reversed(segments):
        if segment.kind == DENSE_SEGMENT:
            first = isinstance(segment.sources, slice) and not started[segment.sources].any()
            marked.append(segment._replace(first_write=first))
            started[segment.sources] = 1
            continue
        marked.append(segment)
        if segment.kind in (MOMENTS_SEGMENT, TEXTBOOK_SEGMENT):
            sources = plan.sources[plan.indptr[segment.first] : plan.indptr[segment.last]]
            if moments := segment.kind == MOMENTS_SEGMENT:  # where the walk back goes there
                sources = sources[plan.indptr_out[sources] < plan.indptr_out[sources + 1]]
            started[sources] = BY_MOMENTS if moments else 1
    return started, marked[::-1]
