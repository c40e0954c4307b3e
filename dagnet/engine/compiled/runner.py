"""The compiled engine's runner: the order of segments, and the threads that share their tiles."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import groupby
from types import SimpleNamespace
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Compressed, Draw, Heads, Loss, LossGradient, Runner
from dagnet.engine.compiled import kernels, passes
from dagnet.engine.compiled.answers import Answers
from dagnet.engine.compiled.between import between
from dagnet.engine.compiled.functions import Called, compile_activation, compile_loss
from dagnet.engine.compiled.gradients import FusedGradient, RowsGradient, StagedGradient, kernels_of
from dagnet.engine.compiled.opened import with_array
from dagnet.engine.compiled.parts import Parts, parts_of
from dagnet.engine.compiled.segments import ACTIVATE_SEGMENT, Program, Segment
from dagnet.engine.compiled.state import CompiledState, Scratch, aligned, writable
from dagnet.engine.compiled.threads import run_parts
from dagnet.plan import SPARSE, Cones, Plan

Stage = tuple[bool, Callable[..., None]]
"""Whether threads share it by tiles, and what it is: called with the thread's part, or with nothing."""
WORK_PER_THREAD = 2_400_000
"""Edges times :data:`EDGE` and rows for which handing work to another thread pays."""
EDGE = 16
"""How many rows take as long as the rest of an edge."""
FAR, LOADED = 2**23, 2
"""Bytes of a tile's values from which an input costs as many edges more: it comes from memory."""
NONE = np.zeros(0, np.int64)
MANY, CACHED, WORTH = 64, 2**22, 1_000
"""Rows of a prediction that goes part after part, where their values have more bytes than stay near.

Parts are looked for once so many rows were predicted: it takes as long as these gain.
"""
LARGE = 2**22
"""Numbers of an answer whose memory is kept: allocators keep less by themselves."""
CHUNK_ROWS = 2048
"""Rows evaluated at once where only outputs are wanted."""


def columns_of(inputs: Array) -> Array:
    """Of (rows, inputs) that lie column by column: the address, and how long a column is; else nothing."""
    if inputs.flags.c_contiguous or not inputs.flags.f_contiguous:
        return NONE
    return np.array([inputs.ctypes.data, len(inputs)])


class CompiledRunner(Runner):
    """Runs one plan; nothing in it changes after preparation, so threads may share it."""

    reads_compressed = reads_columns = True

    def __init__(self, plan: Plan, dtype: Any, threads: int) -> None:
        self.plan = plan
        self.dtype = np.dtype(dtype)
        self.threads = threads
        self._n_outputs = len(plan.outputs)
        self._tiled = 0, (0, 0)
        self._many = MANY if plan.n_units * MANY * self.dtype.itemsize > CACHED else sys.maxsize
        self._predicted = 0
        for activation in plan.activations:  # which says what NumPy has to run
            compile_activation(activation, self.dtype)

    @cached_property
    def program(self) -> Program:
        """The plan as kernels read it, made when the first of them runs; threads that meet here have one."""
        found: Program = vars(self).setdefault("program", Program(self.plan, self.dtype))
        return found

    @cached_property
    def _table(self) -> Array | None:
        return self.program.table if self.program.is_one_sweep else None

    @cached_property
    def _answers(self) -> Answers:
        return Answers(self.dtype)

    @cached_property
    def _parts(self) -> Parts | None:
        return parts_of(self.program)

    def _parts_for(self, n_rows: int, threads: int) -> Parts | None:
        """What a prediction goes through part after part, where that pays."""
        self._predicted += n_rows
        found = self._parts if self._predicted > WORTH else None
        return found if found is not None and n_rows >= threads * found.lanes else None

    @cached_property
    def _sweeps(self) -> Any:
        return kernels_of(self.program)

    @cached_property
    def _segments(self) -> list[tuple[Segment, Any]]:
        return list(zip(self.program.segments, between(self.program), strict=True))

    def notes(self) -> dict[str, str]:
        """For the plan's listing: which functions NumPy runs, and why."""
        return self.program.notes()

    def tiling(self, n_rows: int) -> tuple[int, int]:
        """How many rows a tile has, and how many threads share them: what takes the least time."""
        tiled = self._tiled
        if tiled[0] != n_rows:
            n_units, least = self.plan.n_units, np.inf
            work, inputs = len(self.plan.sources) + n_units, LOADED * self.plan.n_inputs
            for lanes in self.program.widths:
                far = inputs * lanes // work if n_units * lanes * self.dtype.itemsize > FAR else 0
                n_tiles, of_tile = -(-n_rows // lanes), EDGE + lanes + far
                parts = max(1, min(self.threads, n_tiles, work * n_tiles * of_tile // WORK_PER_THREAD))
                if -(-n_tiles // parts) * of_tile <= least:
                    least, tiled = -(-n_tiles // parts) * of_tile, (n_rows, (lanes, parts))
            self._tiled = tiled
        return tiled[1]

    @staticmethod
    def _run(stages: list[Stage], parts: int) -> None:
        """Stages in order; neighbouring ones that go by tiles need no waiting in between."""
        for by_tiles, group in groupby(stages, key=lambda stage: stage[0]):
            actions = [action for _, action in group]
            if not by_tiles:
                for action in actions:
                    action()
                continue

            def share(part: int, actions: list[Callable[..., None]] = actions) -> None:
                for action in actions:
                    action(part)

            run_parts(share, parts)

    # -- forward -------------------------------------------------------------------------

    def forward(
        self,
        theta: Array,
        inputs: Array,
        *,
        keep: bool = True,
        reuse: Any = None,
        draw: Draw | None = None,
    ) -> Any:
        """Evaluate all rows; see :class:`dagnet.contracts.Runner`."""
        if not keep and len(inputs) > CHUNK_ROWS:
            return self._outputs_only(theta, inputs)
        state = reuse
        lanes, parts = self.tiling(len(inputs))
        if state is None or not state.fits(self.program, len(inputs), lanes):
            state = CompiledState(self.program, len(inputs), lanes, state.shift if state else 0)
        state.theta = state.own(theta) if draw is not None and self.program.normalizes else theta
        if draw is not None:
            state.begin(draw)
        state.inputs = writable(np.ascontiguousarray(inputs))
        stages: list[Stage] = []
        if not self.program.skips_inputs:
            stages.append((True, lambda part: state.load_inputs(part, parts)))
        stages += [self._forward_stage(state, *of, parts) for of in self._segments]
        self._run(stages, parts)
        return state

    def _forward_stage(self, state: CompiledState, segment: Segment, runs: Any, parts: int) -> Stage:
        if runs is not None:
            return False, lambda: runs.forward(state, state.theta, parts)
        if segment.wide:  # one tile: nothing to share
            return False, lambda: self._sweep(state, state.theta, segment, 0, 1)
        return True, lambda part: self._sweep(state, state.theta, segment, part, parts)

    def _sweep(self, state: CompiledState, theta: Array, segment: Segment, part: int, parts: int) -> None:
        layout = state.wide_layout if segment.wide else state.layout(part, parts)
        span, arrays = self.program.span(segment), (state.values, state.pre)
        self._sweeps.forward_sweep(state.kernel_table, theta, arrays, layout, span)

    def evaluate(self, theta: Array, inputs: Any) -> Array | None:
        """The outputs of (rows, input units), or None where an input is NaN or a dense step needs more.

        One call of a kernel does it all; a thread needs the memory of one tile.
        """
        table = self._table
        if table is None:
            return None
        n_rows, compressed = len(inputs), isinstance(inputs, Compressed)
        shape = n_rows, self._n_outputs
        if n_rows <= passes.FEW and not (compressed or self.program.aggregates):
            outputs = np.empty(shape, self.dtype)
            memory, dense = np.empty(self.plan.n_units, self.dtype), writable(np.ascontiguousarray(inputs))
            return None if passes.evaluate_few(table, dense, theta, outputs, memory) else outputs
        large = n_rows * self._n_outputs >= LARGE
        outputs = self._answers.empty(shape) if large else np.empty(shape, self.dtype)
        places = inputs.addresses() if compressed else columns_of(inputs)
        apart = len(places) > 0
        dense = (
            np.empty((0, self.plan.n_inputs), self.dtype) if apart else writable(np.ascontiguousarray(inputs))
        )
        given = dense, places
        lanes, parts = self.tiling(n_rows)
        some_nan, n_units = [False] * parts, self.plan.n_units
        if n_rows >= self._many and (found := self._parts_for(n_rows, parts)) is not None:
            table, theta, n_units, lanes = found.table, theta[found.slots], found.n_units, found.lanes

        def share(part: int) -> None:
            memory, own = aligned(n_units * lanes, self.dtype), (part, parts, lanes)
            some_nan[part] = self._sweeps.evaluate(table, given, theta, outputs, memory, own)

        run_parts(share, parts)
        return None if any(some_nan) else outputs

    def evaluate_cones(self, theta: Array, state: Any, cones: Cones, given: Array, unit: int) -> Array | None:
        """See :class:`dagnet.contracts.Runner`; None where not all of the plan is kernels' work."""
        if not self.program.is_one_sweep:
            return None
        number, first, last = cones.parts.T
        steps = np.column_stack([self.program.steps[number, :2], first, last])
        steps[steps[:, 0] == SPARSE, 1] = len(self.program.unit_code) - 1  # sums alone
        table = with_array(self.program.table, "runs", steps)
        found = np.empty((len(cones.first_part) - 1, state.n_rows), self.dtype)
        of, parts = (cones.first_part, cones.units, cones.first_unit, unit), min(self.threads, state.n_tiles)

        def share(part: int) -> None:
            memory = aligned(self.plan.n_units * state.tile, self.dtype)
            arrays = state.values, given, memory, found
            self._sweeps.evaluate_cones(table, theta, arrays, state.layout(part, parts), of)

        run_parts(share, parts)
        return found

    def fused_gradient(self, loss: Loss) -> LossGradient:
        """Forward, loss and backward as one call; some losses have to run through NumPy."""
        losses = self._compiled(loss)
        if losses is None:
            return super().fused_gradient(loss)
        if self.program.is_one_sweep:
            return FusedGradient(self, losses)
        if self.program.by_rows:
            return RowsGradient(self, losses)
        every = np.arange(self._n_outputs)[None]
        return StagedGradient(self, [Heads(loss, np.zeros(1, np.int64), every, every)], [losses])

    def heads_gradient(self, blocks: Sequence[Heads]) -> Callable[..., Any] | None:
        """The same for several heads."""
        losses = [losses for block in blocks if (losses := self._compiled(block.loss)) is not None]
        return StagedGradient(self, blocks, losses).by_part if len(losses) == len(blocks) else None

    def _compiled(self, loss: Loss) -> dict[int, Called] | None:
        """The loss by the number of a tile's rows; None where it runs through NumPy."""
        made = ((lanes, compile_loss(loss, self.dtype, lanes)) for lanes in self.program.widths)
        found = {lanes: called for lanes, called in made if called is not None}
        return found if len(found) == len(self.program.widths) else None

    def _outputs_only(self, theta: Array, inputs: Array) -> SimpleNamespace:
        """Rows in chunks, the outputs of all: memory does not grow with the rows."""
        state: CompiledState | None = None
        outputs = np.empty((len(inputs), len(self.plan.outputs)), self.dtype)
        for first in range(0, len(inputs), CHUNK_ROWS):
            state = self.forward(theta, inputs[first : first + CHUNK_ROWS], keep=False, reuse=state)
            outputs[first : first + CHUNK_ROWS] = state.outputs
        return SimpleNamespace(outputs=outputs)

    # -- backward ------------------------------------------------------------------------

    def backward(self, theta: Array, state: CompiledState, output_gradient: Array, *, into: Array) -> float:
        """Walk back; see :class:`dagnet.contracts.Runner`."""
        gradient = np.ascontiguousarray(output_gradient, self.dtype)

        def begin(part: int, parts: int) -> None:
            kernels.load_rows(gradient, state.deltas, self.program.outputs, state.layout(part, parts))

        return self.walk(theta, state, begin, into)

    def walk(
        self, theta: Array, state: CompiledState, begin: Callable[[int, int], None], into: Array
    ) -> float:
        """Walk back from ∂loss/∂outputs, which ``begin(part, parts)`` writes to the state's tiles."""
        program, plan = self.program, self.plan
        theta = theta if state.draw is None else state.theta
        _, parts = self.tiling(state.n_rows)
        if state.scratch is None or state.scratch.parts != parts:
            state.scratch = Scratch(program, self.dtype, parts)
        scratch = state.scratch
        scratch.bound, scratch.theta = 0.0, writable(theta)
        scratch.intos = [
            into if part == 0 or not program.has_blocks else np.empty_like(into) for part in range(parts)
        ]
        kernels.gather(theta, program.slots_out, scratch.weights)
        if len(program.zeroed):
            state.table(state.deltas)[:, program.zeroed] = 0

        def start(part: int) -> None:
            scratch.gradients[part] = 0
            scratch.bias_gradients[part] = 0
            if program.has_blocks:
                scratch.intos[part][:] = 0
            begin(part, parts)

        state.deltas  # noqa: B018 - allocated before threads share it
        stages: list[Stage] = [(True, start)]
        for segment, runs in reversed(self._segments):
            stages += self._backward_stages(state, theta, segment, runs, into)
        if program.walks_to_inputs:
            stages.append((True, lambda part: self._pull(state, (0, plan.n_inputs), part)))
        self._run(stages, parts)
        self._collect(scratch, into)
        return scratch.bound if program.has_dense else float(kernels.sum_of_squares(into))

    def _backward_stages(
        self, state: CompiledState, theta: Array, segment: Segment, runs: Any, into: Array
    ) -> list[Stage]:
        if runs is not None:
            units, back = (segment.first, segment.last), lambda: runs.backward(state, theta, into)
            pulls = [(True, lambda part: self._pull(state, units, part))]
            return [*(pulls if segment.kind == ACTIVATE_SEGMENT else []), (False, back)]
        if segment.wide:
            return [(False, lambda: self._walk(state, segment, 0))]
        return [(True, lambda part: self._walk(state, segment, part))]

    def _walk(self, state: CompiledState, segment: Segment, part: int) -> None:
        layout = state.wide_layout if segment.wide else state.layout(part, state.scratch.parts)
        self._back(state, part, layout, self.program.span(segment), (0, 0))

    def _pull(self, state: CompiledState, units: tuple[int, int], part: int) -> None:
        self._back(state, part, state.layout(part, state.scratch.parts), (0, 0), units)

    def _back(
        self, state: CompiledState, part: int, layout: tuple[int, ...], *spans: tuple[int, int]
    ) -> None:
        arrays = (state.values, state.deltas, state.pre)
        self._sweeps.backward_sweep(state.kernel_table, state.scratch.of(part), arrays, layout, *spans)

    def _collect(self, scratch: Scratch, into: Array) -> None:
        """The threads' derivatives into one vector, always in the same order."""
        program = self.program
        if program.has_blocks:
            for other in scratch.intos[1:]:
                into += other
        if program.has_dense:
            written = (scratch.gradients, scratch.bias_gradients)
            scratch.bound += scratch.parts * sum(kernels.sum_of_squares(a.reshape(-1)) for a in written)
            scratch.bound += sum(kernels.sum_of_squares(into[step.slots]) for step in program.blocks)
        kernels.collect(into, program.slots_out, scratch.gradients)
        kernels.collect_some(into, *program.summed, scratch.bias_gradients)
        into[program.unwanted] = 0
        if program.has_dense and len(program.by_numpy):
            scratch.bound += float(np.square(into[program.by_numpy]).sum())
