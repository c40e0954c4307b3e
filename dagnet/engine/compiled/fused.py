"""Forward, loss and backward tile by tile, each thread in the memory of one tile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.engine.compiled import copies, passes
from dagnet.engine.compiled.functions import CompiledLoss
from dagnet.engine.compiled.segments import Program
from dagnet.engine.compiled.state import aligned, writable
from dagnet.engine.compiled.threads import run_parts

__all__ = ["FusedGradient", "StagedGradient"]

Array = NDArray[Any]


class FusedGradient:
    """A loss and its gradient for batches of rows; owns its memory, so one run of steps has one."""

    def __init__(self, program: Program, loss: CompiledLoss, parts: Callable[[int], int], dtype: Any) -> None:
        self._program, self._parts = program, parts
        self._loss = (loss.called.address, loss.called.numbers)
        self._compiled = loss
        self._dtype = dtype
        self._lanes = copies.TILE_ROWS[np.dtype(dtype).name]
        self._memory: list[Array] = []
        self._others = np.empty((0, program.plan.n_slots), dtype)

    def __call__(
        self, theta: Array, inputs: Array, targets: Array, factor: Array, *, into: Array
    ) -> tuple[float, float]:
        """Σ factor·ℓ and the sum of the squares of ∂/∂theta, which is written to ``into`` (slots,).

        ``inputs`` (rows, input units), ``targets`` (rows, output units), ``factor`` (rows,).
        """
        program = self._program
        batch = (writable(inputs), writable(targets), writable(factor))
        parts = self._parts(-(-len(inputs) // self._lanes))
        while len(self._memory) < parts:
            self._memory.append(aligned(passes.memory_of(program, self._lanes), self._dtype))
        if len(self._others) < parts - 1:
            self._others = np.empty((parts - 1, program.plan.n_slots), self._dtype)
        losses = [0.0] * parts

        def share(part: int) -> None:
            own = into if part == 0 else self._others[part - 1]
            vectors, place = (theta, self._memory[part], own), (self._lanes, part, parts)
            losses[part] = passes.loss_and_gradient(program.table, self._loss, batch, vectors, place)

        run_parts(share, parts)
        if parts > 1:
            passes.combine(into, self._others[: parts - 1])
        into[program.unwanted] = 0
        return sum(losses), copies.sum_of_squares(into)


class StagedGradient:
    """The same, where matrix products or NumPy's activations stand between sweeps."""

    def __init__(self, runner: Any, loss: CompiledLoss) -> None:
        self._runner, self._compiled = runner, loss
        self._loss = (loss.called.address, loss.called.numbers)
        self._state: Any = None
        self._wanted = np.empty((runner.threads, len(runner.program.outputs) * runner.lanes), runner.dtype)

    def __call__(
        self, theta: Array, inputs: Array, targets: Array, factor: Array, *, into: Array
    ) -> tuple[float, float]:
        """As :meth:`FusedGradient.__call__`."""
        state = self._state = self._runner.forward(theta, writable(inputs), reuse=self._state)
        rows = writable(targets), writable(factor)
        places, losses = self._runner.program.outputs * state.stride, dict[int, float]()

        def begin(part: int, parts: int) -> None:
            arrays, layout = (state.values, state.deltas), state.layout(part, parts)
            losses[part] = passes.lose(self._loss, arrays, places, rows, self._wanted[part], layout)

        square = self._runner.walk(theta, state, begin, into)
        return sum(losses[part] for part in sorted(losses)), square
