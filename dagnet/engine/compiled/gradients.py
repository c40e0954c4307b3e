"""Forward, loss and backward as one call, whose memory serves again."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import FILLERS, Compressed, Draw, Heads, LossGradient, Steps
from dagnet.engine.compiled import kernels, passes
from dagnet.engine.compiled.functions import Called, FusedStep
from dagnet.engine.compiled.meeting import begin_pass, meeting_of
from dagnet.engine.compiled.opened import LINE, Call, call_table, memory_of, padded, with_array
from dagnet.engine.compiled.segments import Program
from dagnet.engine.compiled.state import CompiledState, shift_of, writable
from dagnet.engine.compiled.threads import run_parts


def kernels_of(program: Program) -> Any:
    """Its kernels; those of aggregations, of dropout and of blocks are compiled where a plan has these."""
    if program.aggregates:
        from dagnet.engine.compiled import aggregating  # noqa: PLC0415 - see above

        return aggregating.KERNELS
    if program.drops:
        from dagnet.engine.compiled import dropping  # noqa: PLC0415 - see above

        return dropping.KERNELS
    if program.has_blocks:
        from dagnet.engine.compiled import blocks  # noqa: PLC0415 - see above

        return blocks.KERNELS
    return passes.PLAIN


APART = 2**19
"""Bytes of weights up to which threads share no work on them, see :mod:`dagnet.engine.compiled.fused`."""


class FusedGradient(LossGradient):
    """A loss and its gradient for batches of rows; owns its memory, so one run of steps has one."""

    reads_compressed = True
    _kernels = staticmethod(kernels_of)

    def __init__(self, runner: Any, losses: dict[int, Called]) -> None:
        """``losses``: by the number of a tile's rows."""
        program, dtype = runner.program, runner.dtype
        self._program, self._tiling, self._losses, self._dtype = program, runner.tiling, losses, dtype
        self._calls: list[tuple[Array, Array, Array]] = []
        self.n_slots = program.plan.n_slots
        self._meeting = np.zeros(0, np.int64)
        self._shares = not program.writes_slots and len(program.slots_out) * dtype.itemsize > APART
        self._unwanted, self._key = program.unwanted, program.key.copy()
        self._table = with_array(program.table, "key", self._key) if program.drops else program.table
        self._pass = self._kernels(program).loss_and_gradient
        self._written: tuple[Any, ...] = ()
        self._kept: list[Array] = []

    def __call__(
        self, theta: Array, inputs: Array, targets: Array, factor: Array, *, into: Array
    ) -> tuple[float, float]:
        """Σ factor·ℓ and the sum of the squares of ∂/∂theta, which is written to ``into`` (slots,).

        ``inputs`` (rows, input units), ``targets`` (rows, output units), ``factor`` (rows,).
        """
        tiling = self._tiling(len(targets))
        parts = tiling[1]
        if self.draw is not None:
            self._key[:] = self.draw.key, self.draw.first
        self._write(tiling, inputs, targets, factor, into)
        loss = (
            self._pass(self._calls[0][0], theta) if parts == 1 else self._shared(parts, theta, (inputs, into))
        )
        if len(self._unwanted):
            into[self._unwanted] = 0
        return loss, kernels.sum_of_squares(into)

    def _shared(self, parts: int, theta: Array, given: tuple[Any, ...]) -> float:
        """The pass by several threads; ``given`` has what it reads and writes besides what is kept."""
        calls, written, losses = self._calls, self._written, [0.0] * parts
        self._written, self._calls = (), []  # after an interrupt others may be at them: not used again
        begin_pass(self._meeting)

        def share(part: int, _: Any = (given, self._kept, self._meeting)) -> None:
            losses[part] = self._pass(calls[part][0], theta)

        run_parts(share, parts)
        self._calls, self._written = calls, written
        return losses[0]

    def stepping(self, update: Any, inputs: Array, targets: Array, size: int) -> Steps | None:
        """See :meth:`dagnet.contracts.LossGradient.stepping`: where one thread does them."""
        tilings = {self._tiling(rows) for rows in (size, len(inputs) % size) if rows}
        alike = len(tilings) == 1 and self._tiling(size)[1] == 1
        if not isinstance(update, FusedStep) or self._program.drops or not alike:
            return None
        from dagnet.engine.compiled.stepping import Stepping  # noqa: PLC0415 - most runs of one step need it not

        return Stepping(self, update, (inputs, targets), size)

    def call_for(self, rows: int) -> tuple[Any, tuple[Array, ...], tuple[int, int, int]]:
        """What to call for up to so many rows; its table, memory and the slots that are 0; loss and lanes."""
        lanes = self._tiling(rows)[0]
        loss, (table, _, memory) = self._losses[lanes], self._calls_of(lanes, 1, rows)[0]
        return self._pass, (table, memory, self._unwanted), (loss.address, loss.numbers, lanes)

    def _calls_of(self, lanes: int, parts: int, rows: int) -> list[tuple[Array, Array, Array]]:
        """Each part's table, room for a call in it, the memory of all; what was written there is no more."""
        size, self._written = parts * self._room(lanes, parts, rows) + LINE, ()
        if self._calls and len(self._calls[0][2]) < size:
            self._calls = []
        memory = self._calls[0][2] if self._calls else np.empty(size, self._dtype)
        while len(self._calls) < parts:
            self._calls.append((*call_table(self._table), memory))
        return self._calls[:parts]

    def _room(self, lanes: int, parts: int, rows: int) -> int:
        """Numbers of a part's memory."""
        apart = parts > 1 and not self._shares
        return memory_of(self._program, lanes, rows, parts) + (padded(self.n_slots) if apart else 0)

    def _write(
        self, tiling: tuple[int, int], inputs: Any, targets: Array, factor: Array, into: Array
    ) -> None:
        """Each part's table for these arrays; it serves again while they are the same objects."""
        written = (tiling, inputs, targets, factor, into)
        if self._written and not any(map(operator.is_not, written, self._written)):
            return
        sparse, (lanes, parts) = isinstance(inputs, Compressed), tiling
        given = (inputs.addresses() if sparse else inputs, targets, factor)
        self._kept = [given[0]] if sparse else [np.ascontiguousarray(inputs, self._dtype)]
        self._kept += [np.ascontiguousarray(array, self._dtype) for array in (targets, factor)]
        loss, starts = self._losses[lanes], [array.ctypes.data for array in self._kept]
        calls, meeting = self._calls_of(lanes, parts, len(targets)), meeting_of(parts if parts > 1 else 0)
        line = -(-calls[0][2].ctypes.data // LINE) * LINE
        places = [*starts, line, self._room(lanes, parts, len(targets)), into.ctypes.data]
        places += [self._shares and parts > 1, meeting.ctypes.data, len(meeting)]
        for part, (_, room, _) in enumerate(calls):
            room[:] = Call(loss.address, loss.numbers, part, parts, lanes, len(targets), sparse, *places)
        copied, self._meeting = any(map(operator.is_not, given, self._kept)), meeting
        self._written = () if copied else written


class RowsGradient(FusedGradient):
    """The same where dense steps read inputs as their rows lie, once from memory, a tile forth and back."""

    reads_compressed = False

    @staticmethod
    def _kernels(_program: Program) -> Any:
        from dagnet.engine.compiled import rows  # noqa: PLC0415 - compiled where a plan has such steps

        return rows.KERNELS


class StagedGradient(LossGradient):
    """Forward, losses of blocks of heads, backward; the only loss where other work stands between sweeps."""

    def __init__(self, runner: Any, blocks: Sequence[Heads], losses: list[dict[int, Called]]) -> None:
        """``losses``: of each block, by the number of a tile's rows."""
        outputs, dtype, self._runner, self._losses = runner.program.outputs, runner.dtype, runner, losses
        self._state = CompiledState(runner.program, 0, max(losses[0]), shift_of(runner.program))
        self._blocks = [
            (outputs[block.units], block.columns, block.heads, FILLERS.get(block.loss.target_kinds[0], 0.0))
            for block in blocks
        ]
        wide = max(max(losses[0]) * (block.units.shape[1] + 1) for block in blocks)
        self._room, self._wide = np.empty((runner.threads, 0), dtype), wide

    def __call__(
        self, theta: Array, inputs: Array, targets: Array, factor: Array, *, into: Array
    ) -> tuple[float, float]:
        """As :meth:`FusedGradient.__call__`."""
        data = inputs, targets, factor[:, None], np.ones(1)
        (loss,), square = self.by_part(theta, *data, draw=self.draw, into=into)
        return float(loss), square

    def by_part(
        self, theta: Array, inputs: Array, *data: Array, draw: Draw | None, into: Array
    ) -> tuple[Array, float]:
        """See :meth:`dagnet.contracts.Runner.heads_gradient`."""
        state = self._state = self._runner.forward(theta, writable(inputs), reuse=self._state, draw=draw)
        dtype = self._runner.dtype
        targets, weights, shares = (writable(np.ascontiguousarray(array, dtype)) for array in data)
        if len(self._room[0]) < (size := targets.shape[1] * state.tile + self._wide):
            self._room = np.empty((self._runner.threads, size), dtype)
        sums = np.zeros((self._runner.threads, len(shares)))

        def begin(part: int, parts: int) -> None:
            arrays, layout, at = (state.values, state.deltas), state.layout(part, parts), 0
            for (units, columns, heads, filler), losses in zip(self._blocks, self._losses, strict=True):
                called, here = losses[state.tile], slice(at, at + len(units))
                loss = called.address, called.numbers
                by = heads if weights.shape[1] > 1 else np.zeros_like(heads)
                block = units, columns, by, shares[here], filler, sums[part, here]
                passes.lose(loss, arrays, block, (targets, weights), self._room[part], layout)
                at = here.stop

        square = self._runner.walk(theta, state, begin, into)
        return sums.sum(axis=0), square
