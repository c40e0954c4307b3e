"""A plan cut into segments: runs of steps for a kernel, matrix products, NumPy's activations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.engine.compiled.functions import compile_activation
from dagnet.engine.compiled.opened import table_of
from dagnet.plan import ACTIVATE, DENSE, SPARSE, Plan

__all__ = ["DENSE_SEGMENT", "NUMPY_SEGMENT", "SWEEP", "Program", "Segment"]

Array = NDArray[Any]
SWEEP, DENSE_SEGMENT, NUMPY_SEGMENT = 0, 1, 2


@dataclass(frozen=True)
class Segment:
    """Steps ``begin`` … ``end`` − 1; a dense or NumPy segment is one step.

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
    what: int = 0
    wide: bool = False
    slot: int = 0
    sources: Any = None
    n_source: int = 0
    from_inputs: bool = False
    walked: bool = False
    walks_on: bool = False
    first_write: bool = False


class Program:
    """All that kernels read of a plan, in the form that they read it in."""

    def __init__(self, plan: Plan, dtype: Any) -> None:
        self.plan = plan
        self.activations = [compile_activation(activation, dtype) for activation in plan.activations]
        self.functions = self._called("function")
        self.slopes = self._called("slope")
        steps = plan.steps
        self.steps = np.empty((len(steps), 4), np.int64)
        self.steps[:, 0], self.steps[:, 1], self.steps[:, 2] = steps["kind"], steps["what"], steps["target"]
        self.steps[:, 3] = steps["target"] + steps["n_target"]
        self.pre_place, self.n_pre = self._pre_places()
        self.has_dense = bool((steps["kind"] == DENSE).any())
        self.started = np.zeros(plan.n_units, np.int8)
        self.started[plan.outputs] = 1
        self.segments = self._segments()
        self.is_one_sweep = all(segment.kind == SWEEP for segment in self.segments)
        self._mark_first_writes()
        if self.has_dense:
            sweeps = (replace(s, wide=self._is_wide(s)) if s.kind == SWEEP else s for s in self.segments)
            self.segments = list(sweeps)
        self.outputs = plan.outputs.astype(np.int64)
        self.is_narrow = plan.sources.dtype == plan.targets.dtype == np.int32 and plan.n_slots < 2**32
        # unsigned, because for a signed index Numba asks each time whether it counts from the end
        self.slots_out = plan.slots_out.astype(np.uint32 if self.is_narrow else np.uint64)
        self.places = np.argsort(self.slots_out).astype(self.slots_out.dtype)
        self.slots = self.slots_out[self.places]
        self.all_needed = bool(plan.needs_delta[plan.n_inputs :].all())
        self.walks_to_inputs = bool(plan.indptr_out[plan.n_inputs] or plan.needs_delta[: plan.n_inputs].any())
        self.skips_inputs = self._skips_inputs()
        self.zeroed = self._zeroed()
        self.unwanted = self._unwanted()
        self.indptr, self.indptr_out, self.bias_slot = (
            np.ascontiguousarray(a, np.int64) for a in (plan.indptr, plan.indptr_out, plan.bias_slot)
        )
        unit = np.int32 if self.is_narrow else np.int64
        self.sources, self.children = (
            plan.sources.astype(unit, copy=False),
            plan.targets.astype(unit, copy=False),
        )
        self.needs_delta, self.n_inputs = plan.needs_delta, plan.n_inputs
        self.table = table_of(self)

    def _called(self, what: str) -> Array:
        """(activations, 2): addresses of machine code and of the numbers that it reads."""
        called = [getattr(activation, what) for activation in self.activations]
        return np.array([(c.address, c.numbers) for c in called], np.int64).reshape(-1, 2)

    def _pre_places(self) -> tuple[Array, int]:
        """Where z of each unit is kept, −1 for units whose g' needs only a."""
        keeps = np.zeros(self.plan.n_units, bool)
        for kind, what, first, last in self.steps.tolist():
            if kind == ACTIVATE and self.activations[what].needs_z:
                keeps[first:last] = True
        places = np.full(self.plan.n_units, -1, np.int64)
        places[keeps] = np.arange(int(keeps.sum()))
        return places, int(keeps.sum())

    def _segments(self) -> list[Segment]:
        steps = self.steps
        numpy_runs = np.array([a.function.address == 0 for a in self.activations], bool)
        cuts = steps[:, 0] == DENSE
        cuts |= (steps[:, 0] == ACTIVATE) & numpy_runs[np.where(steps[:, 0] == ACTIVATE, steps[:, 1], 0)]
        segments: list[Segment] = []
        begin = 0
        for number in np.flatnonzero(cuts).tolist():
            if number > begin:
                segments.append(Segment(SWEEP, begin, number))
            segments.append(self._single(number))
            # the kernel adds a dense step's biases, so its sweep begins at the step itself
            begin = number if steps[number, 0] == DENSE else number + 1
        if begin < len(steps):
            segments.append(Segment(SWEEP, begin, len(steps)))
        return segments

    def _is_wide(self, segment: Segment) -> bool:
        """Whether a sweep goes along units' rows alone: no sums over sparse edges, forth or back."""
        steps, indptr_out = self.steps[segment.begin : segment.end], self.plan.indptr_out
        active = steps[steps[:, 0] == ACTIVATE]
        pulls = indptr_out[active[:, 3]] > indptr_out[active[:, 2]]
        begun = (self.started[first:last].all() for first, last in active[:, 2:].tolist())
        return not (steps[:, 0] == SPARSE).any() and not pulls.any() and all(begun)

    def _skips_inputs(self) -> bool:
        """Whether only dense steps read the inputs, which they can do from the rows as given."""
        plan = self.plan
        read = int((plan.sources < plan.n_inputs).sum())
        dense = sum((s.last - s.first) * s.n_source for s in self.segments if s.from_inputs)
        asked = self.walks_to_inputs or (plan.outputs < plan.n_inputs).any()
        return self.has_dense and read == dense and not asked

    def _single(self, number: int) -> Segment:
        kind, what, first, last = self.steps[number].tolist()
        step = self.plan.steps[number]
        if kind == DENSE:
            sources, needed = self.plan.step_sources(step), self.plan.needs_delta
            walked = bool(needed[first:last].any())
            return Segment(
                DENSE_SEGMENT,
                number,
                number + 1,
                first,
                last,
                what,
                slot=int(step["slot"]),
                sources=sources,
                n_source=int(step["n_source"]),
                from_inputs=isinstance(sources, slice) and sources.stop <= self.plan.n_inputs,
                walked=walked,
                walks_on=walked and bool(needed[sources].any()),
            )
        return Segment(NUMPY_SEGMENT, number, number + 1, first, last, what)

    def _mark_first_writes(self) -> None:
        """Whether each dense step, in walking order, is the first to write ∂L/∂a of its sources.

        Sources that something else has written, or will write (sparse children pull, outputs
        start), begin at zero and are added to.
        """
        written = self.started.astype(bool)
        for place in range(len(self.segments) - 1, -1, -1):
            segment = self.segments[place]
            if segment.kind != DENSE_SEGMENT:
                continue
            sources = segment.sources
            if isinstance(sources, slice) and not written[sources].any():
                self.segments[place] = replace(segment, first_write=True)
            written[sources] = True
            self.started[sources] = 1

    def _zeroed(self) -> Array:
        """Units whose ∂L/∂a must be 0 before the walk: added to, and not written at once."""
        written = np.zeros(self.plan.n_units, bool)
        for segment in self.segments:
            if segment.first_write:
                written[segment.sources] = True
        return np.flatnonzero((self.started != 0) & ~written)

    def _unwanted(self) -> Array:
        """Slots that are 0 in the end: their derivative is not asked for, or nothing writes it."""
        plan = self.plan
        written = np.zeros(plan.n_slots, bool)
        written[plan.slots_out] = True
        written[plan.bias_slot[plan.bias_slot >= 0]] = True
        for segment in self.segments:
            if segment.walked:
                written[segment.slot : segment.slot + (segment.last - segment.first) * segment.n_source] = (
                    True
                )
        return np.flatnonzero(~(written & plan.needs_gradient))

    def notes(self) -> dict[str, str]:
        """For the plan's listing: which activations NumPy runs, and why."""
        pairs = zip(self.plan.activations, self.activations, strict=True)
        return {str(a): f"NumPy: {c.reason}" for a, c in pairs if not c.function.address}
