"""What one pass leaves behind: values, δ and kept z, tile by tile or in one block."""

from __future__ import annotations

from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Draw, State
from dagnet.engine.compiled import kernels
from dagnet.engine.compiled.beginning import BY_MOMENTS
from dagnet.engine.compiled.opened import with_array
from dagnet.engine.compiled.segments import Program
from dagnet.engine.reference import sums
from dagnet.plan import AGGREGATE, LAYER


def aligned(n: int, dtype: Any) -> Array:
    """N numbers that start on a cache line."""
    raw = np.empty(n + 64 // np.dtype(dtype).itemsize, dtype)
    start = -raw.ctypes.data % 64 // raw.itemsize
    return raw[start : start + n]


def writable(array: Array) -> Array:
    """The array or, if it is read-only, a copy: machine code for read-only arrays would be other code."""
    return array if array.flags.writeable else array.copy()


class Units:
    """A flat buffer of a state, read (a copy) and written as an array (units, rows)."""

    def __init__(self, state: CompiledState, flat: Array) -> None:
        self._state, self._flat = state, flat
        self.shape = state.table(flat).shape[1], state.n_rows

    def __getitem__(self, units: Any) -> Array:
        table = self._state.table(self._flat)
        if not isinstance(units, slice) and units.ndim > 1:  # (…, rows)
            return self[units.reshape(-1)].reshape(*units.shape, self.shape[1])
        lanes = np.moveaxis(table[:, units], 0, 1)
        rows = lanes.reshape(len(lanes), len(table) * table.shape[2])
        return np.ascontiguousarray(rows[:, : self.shape[1]])

    def __setitem__(self, units: Any, block: Array) -> None:
        table = self._state.table(self._flat)
        padded = np.zeros((len(block), len(table) * table.shape[2]), table.dtype)
        padded[:, : self.shape[1]] = block
        table[:, units] = np.moveaxis(padded.reshape(len(block), len(table), table.shape[2]), 1, 0)


def shift_of(program: Program) -> int:
    """How many units on the walk back may write δ, over values that it is done with.

    What is begun early must lie behind all values, and a step done in several passes reads its own.
    """
    n_units = program.plan.n_units
    early = np.flatnonzero(program.started & ~BY_MOMENTS).min(initial=n_units)
    return int(max(n_units - early, (program.steps[:, 3] - program.steps[:, 2]).max(initial=1)))


class CompiledState(State):
    """Values, δ and the z that derivatives need.

    Without dense steps memory is tile after tile, (tiles, units, tile rows); with them it is
    one block, (1, units, padded rows), so that matrix products see all rows.

    With a ``shift``, :func:`shift_of`, the walk back writes δ where values were that it is done with:
    that of unit u in the place of unit u + shift.
    """

    def __init__(self, program: Program, n_rows: int, tile: int, shift: int = 0) -> None:
        self.program, self.dtype, self.shift = program, program.dtype, shift
        dtype = program.dtype
        self._shape(n_rows, tile)
        self.capacity = self.blocks * self.stride
        self.values = aligned(self.capacity * (program.plan.n_units + shift), dtype)
        self.pre = aligned(self.capacity * program.n_pre, dtype)
        self._deltas: Array | None = None
        self.theta = self._own = np.zeros(0, dtype)
        self.scratch: Any = None  # of the walk that is on
        self.inputs: Array = np.zeros((0, 0), dtype)
        self.draw: Any = None
        self.key = np.zeros(6, np.uint64)
        by_step = program.drops or program.normalizes
        self.kernel_table = with_array(program.apart[0], "key", self.key) if by_step else program.apart[0]
        self.known = np.empty((5, program.plan.n_units if program.normalizes else 0), dtype)
        """Of units that are normalised: mean; ∂L/∂a by way of the moments, 2 rows; 1/σ, weight/σ."""
        self.shares = np.zeros(0, dtype)  # of the rows in the moments, 0 for lanes without one

    def _shape(self, n_rows: int, tile: int) -> None:
        """How the rows lie in memory."""
        self.n_rows, self.tile = n_rows, tile
        self.n_tiles = -(-n_rows // self.tile)
        self.blocks, self.stride = self.n_tiles, self.tile
        if self.program.has_dense:
            self.blocks, self.stride = 1, self.n_tiles * self.tile
            if self.stride * np.dtype(self.dtype).itemsize % 4096 == 0:
                self.stride += self.tile  # rows of all units on the same cache sets would evict each other

    def fits(self, program: Program, n_rows: int, tile: int) -> bool:
        """Whether this memory can hold another pass; if so it is laid out for it."""
        if program is not self.program:
            return False
        before = self.n_rows, self.tile
        if (n_rows, tile) != before:
            self._shape(n_rows, tile)
            if self.blocks * self.stride > self.capacity:
                self._shape(*before)
                return False
        return True

    @property
    def deltas(self) -> Array:
        """δ, laid out as the values; there once a reverse walk was made."""
        if self.shift:
            return self.values[self.shift * self.stride :]
        if self._deltas is None:
            self._deltas = aligned(len(self.values), self.dtype)
        return self._deltas

    def layout(self, part: int = 0, parts: int = 1) -> tuple[int, ...]:
        """As kernels take it: tile t of unit u is at t·block + u·stride; a part's tiles among all."""
        block = (self.program.plan.n_units + self.shift) * self.stride
        pre_block = self.program.n_pre * self.stride
        if self.program.has_dense:
            block = pre_block = self.tile
        return block, pre_block, self.stride, self.tile, self.n_rows, part, parts

    @property
    def wide_layout(self) -> tuple[int, ...]:
        """The same where one tile holds all rows: for steps that go along a unit's rows alone."""
        return 0, 0, self.stride, self.stride, self.n_rows, 0, 1

    def begin(self, draw: Draw) -> None:
        """Take what a step of training has beside its rows."""
        self.draw = draw
        draw.mean, draw.variance = np.empty((2, self.program.plan.n_units))
        if len(self.shares) != self.n_tiles * self.tile:
            self.shares = np.empty(self.n_tiles * self.tile, self.dtype)
        self.shares[: len(draw.weights)], self.shares[len(draw.weights) :] = draw.weights, 0
        self.key[:3] = draw.key, draw.first, self.shares.ctypes.data
        self.key[3:] = [known.ctypes.data for known in self.known[:3]]

    def own(self, theta: Array) -> Array:
        """A copy that moments may be written into."""
        if len(self._own) != len(theta):
            self._own = np.empty_like(theta)
        self._own[:] = theta
        return self._own

    def load_inputs(self, part: int, parts: int) -> None:
        """Copy a thread's share of the rows into the inputs' units."""
        kernels.load_tiles(self.inputs, self.values, self.layout(part, parts))

    def matrix(self, flat: Array, units: Any) -> Array:
        """A view (units, rows) for matrix products; only without tiles."""
        chosen: Array = self.table(flat)[0][units, : self.n_rows]
        return chosen

    @staticmethod
    def squares(matrix: Array) -> float:
        """The sum of the squares of a (units, rows) view."""
        rows = matrix if matrix.flags.c_contiguous else matrix.T
        return float(kernels.sum_of_squares(np.ascontiguousarray(rows).reshape(-1)))

    def table(self, flat: Array) -> Array:
        """A view (blocks, units, stride) of a flat buffer."""
        n_units, shift = self.program.plan.n_units, self.shift
        if flat is self.pre:
            n_units, shift = self.program.n_pre, 0
        unit = self.stride * flat.itemsize
        shape, steps = (self.blocks, n_units, self.stride), ((n_units + shift) * unit, unit, flat.itemsize)
        return np.ndarray(shape, flat.dtype, flat, strides=steps)

    # -- what the engine contract asks for --------------------------------------------------

    @property
    def outputs(self) -> Array:
        """Values of the output units, (rows, output units)."""
        return np.ascontiguousarray(Units(self, self.values)[self.program.outputs].T)

    def value(self, units: Array) -> Array:
        """Values of some units, (units, rows)."""
        if self.program.skips_inputs:
            self.load_inputs(0, 1)
        return Units(self, self.values)[units]

    def delta(self, units: Array) -> Array:
        """∂loss/∂z of some units, (units, rows)."""
        needed = self.program.plan.needs_delta[units, None]
        return np.where(needed, Units(self, self.deltas)[units], self.dtype.type(0))

    def pre_activation(self, units: Array) -> Array:
        """Z of some units, (units, rows); computed again from the parents' values."""
        plan = self.program.plan
        result = self.value(units)
        for row, unit in enumerate(np.asarray(units).tolist()):
            if unit < plan.n_inputs:
                continue
            slots = slice(int(plan.indptr[unit]), int(plan.indptr[unit + 1]))
            bias = plan.bias_slot[unit]
            result[row] = self.theta[bias] if bias >= 0 else 0
            if slots.stop > slots.start:
                result[row] += self.theta[slots] @ self.value(plan.sources[slots])
        for step in plan.program():
            here = (units >= step.target) & (units < step.targets.stop)
            if step.kind in (LAYER, AGGREGATE) and here.any():
                z = sums(plan, step, self.theta, Units(self, self.values), self.draw)
                result[here] = z[units[here] - step.target]
        return result


class Scratch:
    """A reverse walk's own memory: weights in walking order, and each thread's derivatives."""

    def __init__(self, program: Program, dtype: Any, parts: int) -> None:
        n_walked, n_units = len(program.slots_out), program.plan.n_units
        self.parts = parts
        self.bound = 0.0
        self.weights = aligned(n_walked, dtype)
        self.gradients = aligned(parts * n_walked, dtype).reshape(parts, n_walked)
        n_sums = n_units + program.n_learned
        self.bias_gradients = aligned(parts * n_sums, dtype).reshape(parts, n_sums)
        self.theta = self.weights  # of the walk that is on
        self.intos: list[Array] = []  # each thread's own, the result first

    def of(self, part: int) -> tuple[Array, ...]:
        """A thread's :class:`dagnet.engine.compiled.opened.Reverse`."""
        found = self.gradients[part], self.bias_gradients[part]
        return self.weights, *found, self.theta, self.intos[part]
