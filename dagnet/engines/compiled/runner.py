"""The compiled engine's runner: memory, threads, and the order of segments."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.engines.compiled import kernels
from dagnet.engines.compiled.segments import DENSE_SEGMENT, SWEEP, Program, Segment
from dagnet.engines.compiled.threads import run_parts
from dagnet.plan import Plan

__all__ = ["CompiledRunner"]

Array = NDArray[Any]
WORK_PER_THREAD = 150_000
"""Edges times tiles for which handing work to another thread pays (a hand-over costs about 70 µs)."""
CHUNK_ROWS = 2048
"""Rows evaluated at once where only outputs are wanted."""


def aligned(n: int, dtype: Any, *, zero: bool = False) -> Array:
    """n numbers that start on a cache line."""
    size = np.dtype(dtype).itemsize
    raw = (np.zeros if zero else np.empty)(n * size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + n * size].view(dtype)


class CompiledState:
    """Values, δ and the z that derivatives need.

    Without dense steps memory is tile after tile, (tiles, units, tile rows); with them it is
    one block, (1, units, padded rows), so that matrix products see all rows.
    """

    def __init__(self, program: Program, dtype: Any, n_rows: int) -> None:
        self.program = program
        self.n_rows = n_rows
        self.dtype = dtype
        self.tile = kernels.tile_rows(dtype)
        self.n_tiles = -(-n_rows // self.tile)
        plan = program.plan
        if program.has_dense:
            self.blocks, self.stride = 1, self.n_tiles * self.tile
            if self.stride * np.dtype(dtype).itemsize % 4096 == 0:
                self.stride += self.tile  # rows of all units on the same cache sets would evict each other
        else:
            self.blocks, self.stride = self.n_tiles, self.tile
        self.values = aligned(self.blocks * plan.n_units * self.stride, dtype)
        self.pre = aligned(self.blocks * program.n_pre * self.stride, dtype)
        self._deltas: Array | None = None
        self.theta: Array = np.zeros(0, dtype)
        self.scratch: list[tuple[Array, Array, Array]] = []

    @property
    def deltas(self) -> Array:
        """δ, laid out as the values; there once a reverse walk was made."""
        if self._deltas is None:
            self._deltas = aligned(len(self.values), self.dtype)
        return self._deltas

    def bases(self, tile: int) -> tuple[int, int]:
        """Where a tile's values and its kept z begin."""
        if self.program.has_dense:
            return tile * self.tile, tile * self.tile
        return tile * self.program.plan.n_units * self.stride, tile * self.program.n_pre * self.stride

    def rows_in(self, tile: int) -> int:
        """How many rows of a tile are there."""
        return min(self.tile, self.n_rows - tile * self.tile)

    def table(self, flat: Array) -> Array:
        """A view (blocks, units, stride) of a flat buffer."""
        return flat.reshape(self.blocks, -1, self.stride)

    def rows(self, flat: Array, units: Any) -> Array:
        """(units, rows), a copy."""
        chosen = self.table(flat)[:, units]
        return np.ascontiguousarray(np.moveaxis(chosen, 0, 1).reshape(chosen.shape[1], -1)[:, : self.n_rows])

    def put(self, flat: Array, units: Any, block: Array) -> None:
        """Write (units, rows) back; lanes without a row become 0."""
        padded = np.zeros((len(block), self.blocks * self.stride), self.dtype)
        padded[:, : self.n_rows] = block
        self.table(flat)[:, units] = np.moveaxis(padded.reshape(len(block), self.blocks, self.stride), 1, 0)

    # -- what the engine contract asks for --------------------------------------------------

    @property
    def outputs(self) -> Array:
        """Values of the output units, (rows, output units)."""
        program = self.program
        result = np.empty((self.n_rows, len(program.outputs)), self.dtype)
        for tile in range(self.n_tiles):
            base, first = self.bases(tile)[0], tile * self.tile
            kernels.store_rows(
                self.values, base, self.stride, program.outputs, first, self.rows_in(tile), result
            )
        return result

    def value(self, units: Array) -> Array:
        """Values of some units, (units, rows)."""
        return self.rows(self.values, units)

    def delta(self, units: Array) -> Array:
        """∂loss/∂z of some units, (units, rows)."""
        needed = self.program.plan.needs_delta[units, None]
        return np.where(needed, self.rows(self.deltas, units), self.dtype.type(0))

    def pre_activation(self, units: Array) -> Array:
        """z of some units, (units, rows); computed again from the parents' values."""
        plan = self.program.plan
        result = self.value(units)
        for row, unit in enumerate(np.asarray(units).tolist()):
            if unit < plan.n_inputs:
                continue
            slots = slice(int(plan.indptr[unit]), int(plan.indptr[unit + 1]))
            bias = plan.bias_slot[unit]
            result[row] = self.theta[bias] if bias >= 0 else 0
            if slots.stop > slots.start:
                result[row] += self.theta[slots] @ self.rows(self.values, plan.sources[slots])
        return result


class CompiledRunner:
    """Runs one plan; nothing in it changes after preparation, so threads may share it."""

    def __init__(self, plan: Plan, dtype: Any, threads: int) -> None:
        self.plan = plan
        self.dtype = np.dtype(dtype)
        self.threads = threads
        self.program = Program(plan, self.dtype)

    def notes(self) -> dict[str, str]:
        """For the plan's listing: which activations NumPy runs, and why."""
        return self.program.notes()

    def _parts(self, n_tiles: int) -> int:
        """Over how many threads to spread the tiles."""
        worthwhile = (len(self.plan.sources) + self.plan.n_units) * n_tiles // WORK_PER_THREAD
        return max(1, min(self.threads, n_tiles, worthwhile))

    # -- forward -------------------------------------------------------------------------

    def forward(self, theta: Array, inputs: Array, *, keep: bool = True, reuse: Any = None) -> CompiledState:
        """Evaluate all rows; see :class:`dagnet.contracts.Runner`."""
        if not keep and len(inputs) > CHUNK_ROWS:
            return self._outputs_only(theta, inputs)
        state = reuse
        if state is None or state.n_rows != len(inputs) or state.program is not self.program:
            state = CompiledState(self.program, self.dtype, len(inputs))
        state.theta = theta
        inputs = np.ascontiguousarray(inputs)
        parts = self._parts(state.n_tiles)

        def load(part: int) -> None:
            for tile in range(part, state.n_tiles, parts):
                base, first = state.bases(tile)[0], tile * state.tile
                rows = state.rows_in(tile)
                kernels.load_rows(inputs, first, rows, state.values, base, state.stride, state.tile)

        run_parts(load, parts)
        for segment in self.program.segments:
            if segment.kind == SWEEP:
                run_parts(lambda part, s=segment: self._sweep(state, theta, s, part, parts), parts)  # type: ignore[misc]
            elif segment.kind == DENSE_SEGMENT:
                self._product(state, theta, segment)
            else:
                activation = self.plan.activations[segment.what]
                units = slice(segment.first, segment.last)
                z = state.rows(state.values, units)
                self._keep_pre(state, segment, z)
                state.put(state.values, units, activation.value(z))
        return state

    def _sweep(self, state: CompiledState, theta: Array, segment: Segment, part: int, parts: int) -> None:
        program, plan = self.program, self.plan
        for tile in range(part, state.n_tiles, parts):
            base, pre_base = state.bases(tile)
            kernels.forward_sweep(
                program.steps,
                segment.begin,
                segment.end,
                plan.indptr,
                plan.sources,
                theta,
                plan.bias_slot,
                state.values,
                state.pre,
                program.pre_place,
                program.functions,
                base,
                pre_base,
                state.stride,
                state.tile,
                state.rows_in(tile),
            )

    def _matrix(self, vector: Array, segment: Segment) -> Array:
        n_target = segment.last - segment.first
        n_source = len(range(*segment.sources.indices(self.plan.n_units))) if isinstance(
            segment.sources, slice
        ) else len(segment.sources)
        return vector[segment.slot : segment.slot + n_target * n_source].reshape(n_target, n_source)

    def _product(self, state: CompiledState, theta: Array, segment: Segment) -> None:
        values = state.table(state.values)[0]
        np.matmul(
            self._matrix(theta, segment), values[segment.sources], out=values[segment.first : segment.last]
        )

    def _keep_pre(self, state: CompiledState, segment: Segment, z: Array) -> None:
        places = self.program.pre_place[segment.first : segment.last]
        if places[0] >= 0:
            state.put(state.pre, places, z)

    def _outputs_only(self, theta: Array, inputs: Array) -> Any:
        """Rows in chunks, the outputs of all: memory does not grow with the rows."""
        state: CompiledState | None = None
        outputs = np.empty((len(inputs), len(self.plan.outputs)), self.dtype)
        for first in range(0, len(inputs), CHUNK_ROWS):
            state = self.forward(theta, inputs[first : first + CHUNK_ROWS], keep=False, reuse=state)
            outputs[first : first + CHUNK_ROWS] = state.outputs
        return OutputsOnly(outputs)

    # -- backward ------------------------------------------------------------------------

    def backward(self, theta: Array, state: CompiledState, output_gradient: Array, *, into: Array) -> None:
        """Walk back; see :class:`dagnet.contracts.Runner`."""
        program, plan = self.program, self.plan
        parts = self._parts(state.n_tiles)
        self._start(state, output_gradient)
        scratch = self._scratch(state, theta, parts)
        for segment in reversed(program.segments):
            if segment.kind == SWEEP:
                run_parts(lambda part, s=segment: self._walk(state, scratch, s, part, parts), parts)  # type: ignore[misc]
            elif segment.kind == DENSE_SEGMENT:
                self._product_back(state, theta, segment, into)
            else:
                self._numpy_back(state, scratch, segment)
        run_parts(lambda part: self._pull_inputs(state, scratch, part, parts), parts)
        self._collect(scratch, into)

    def _start(self, state: CompiledState, output_gradient: Array) -> None:
        """∂L/∂a of outputs and of what dense steps add to; all else is written before it is read."""
        table = state.table(state.deltas)
        if self.program.has_dense:
            starting = np.flatnonzero(self.program.started)
            written = np.zeros(self.plan.n_units, bool)
            for segment in self.program.segments:
                if segment.first_write:
                    written[segment.sources] = True
            table[:, starting[~written[starting]]] = 0
        state.put(state.deltas, self.program.outputs, output_gradient.T)

    def _scratch(self, state: CompiledState, theta: Array, parts: int) -> list[tuple[Array, Array, Array]]:
        """For each thread: weights in walking order, their derivatives, those of the biases."""
        n_walked, n_units = len(self.program.slots_out), self.plan.n_units
        if len(state.scratch) != parts:
            weights = aligned(n_walked, self.dtype)
            state.scratch = [
                (weights, aligned(n_walked, self.dtype), aligned(n_units, self.dtype)) for _ in range(parts)
            ]
        kernels.gather(theta, self.program.slots_out, state.scratch[0][0])
        for _, gradient, bias_gradient in state.scratch:
            gradient[:] = 0
            bias_gradient[:] = 0
        return state.scratch

    def _walk(
        self, state: CompiledState, scratch: list[tuple[Array, Array, Array]], segment: Segment, part: int, parts: int
    ) -> None:
        program, plan = self.program, self.plan
        weights, gradient, bias_gradient = scratch[part]
        for tile in range(part, state.n_tiles, parts):
            base, pre_base = state.bases(tile)
            kernels.backward_sweep(
                program.steps,
                segment.begin,
                segment.end,
                plan.indptr_out,
                plan.targets,
                weights,
                gradient,
                bias_gradient,
                program.started,
                plan.needs_delta,
                state.values,
                state.deltas,
                state.pre,
                program.pre_place,
                program.slopes,
                base,
                pre_base,
                state.stride,
                state.tile,
                state.rows_in(tile),
            )

    def _pull_inputs(
        self, state: CompiledState, scratch: list[tuple[Array, Array, Array]], part: int, parts: int
    ) -> None:
        self._pull(state, scratch, (0, self.plan.n_inputs), part, parts)

    def _pull(
        self,
        state: CompiledState,
        scratch: list[tuple[Array, Array, Array]],
        units: tuple[int, int],
        part: int,
        parts: int,
    ) -> None:
        plan, program = self.plan, self.program
        weights, gradient, _ = scratch[part]
        for tile in range(part, state.n_tiles, parts):
            kernels.pull_units(
                units[0],
                units[1],
                plan.indptr_out,
                plan.targets,
                weights,
                gradient,
                program.started,
                state.values,
                state.deltas,
                state.bases(tile)[0],
                state.stride,
            )

    def _product_back(self, state: CompiledState, theta: Array, segment: Segment, into: Array) -> None:
        units = slice(segment.first, segment.last)
        if not self.plan.needs_delta[units].any():
            if segment.first_write:
                state.table(state.deltas)[0][segment.sources] = 0
            return
        values, deltas = state.table(state.values)[0], state.table(state.deltas)[0]
        here = deltas[units]
        parents = values[segment.sources]
        np.matmul(here, parents.T, out=self._matrix(into, segment))
        matrix = self._matrix(theta, segment)
        if segment.first_write:
            np.matmul(matrix.T, here, out=deltas[segment.sources])
        elif self._walks_on(segment):
            deltas[segment.sources] += matrix.T @ here

    def _walks_on(self, segment: Segment) -> bool:
        return bool(self.plan.needs_delta[segment.sources].any())

    def _numpy_back(self, state: CompiledState, scratch: list[tuple[Array, Array, Array]], segment: Segment) -> None:
        plan = self.plan
        units = slice(segment.first, segment.last)
        parts = len(scratch)
        run_parts(lambda part: self._pull(state, scratch, (segment.first, segment.last), part, parts), parts)
        values = state.rows(state.values, units)
        places = self.program.pre_place[units]
        z = state.rows(state.pre, places) if places[0] >= 0 else values
        slope = plan.activations[segment.what].slope(z, values)
        delta = np.where(plan.needs_delta[units, None], state.rows(state.deltas, units) * slope, self.dtype.type(0))
        state.put(state.deltas, units, delta)
        scratch[0][2][units] += delta.sum(axis=1)

    def _collect(self, scratch: list[tuple[Array, Array, Array]], into: Array) -> None:
        """The threads' derivatives into one vector, always in the same order."""
        plan, program = self.plan, self.program
        if program.has_dense:
            dense = [s for s in program.segments if s.kind == DENSE_SEGMENT]
            kept = np.zeros(plan.n_slots, bool)
            for segment in dense:
                if plan.needs_delta[segment.first : segment.last].any():
                    matrix = self._matrix(into, segment)
                    kept[segment.slot : segment.slot + matrix.size] = True
            into[~kept] = 0
        else:
            into[:] = 0
        for _, gradient, bias_gradient in scratch:
            kernels.add_scattered(into, program.slots_out, gradient)
            kernels.add_scattered(into, program.bias_into, bias_gradient)
        if not program.all_wanted:
            into[~plan.needs_gradient] = 0


class OutputsOnly:
    """The outputs of many rows, and nothing else."""

    def __init__(self, outputs: Array) -> None:
        self.outputs = outputs
