"""Many steps of training as one call: batches in order, each a pass and the optimizer's move.

It does the calm steps alone: at the first whose numbers have to be looked at it stops, and that step is
made the long way, which checks, explains and refuses.
"""

# ruff: noqa: ANN001, ANN201, ARG001 - Numba infers types; an intrinsic has its protocol
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import operator
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dagnet.arrays import Array
from dagnet.engine.compiled.caching import kernel
from dagnet.engine.compiled.functions import FusedStep
from dagnet.engine.compiled.microkernels import microkernel
from dagnet.engine.compiled.opened import CALL, LINE, Call, address_of, numbers_at, padded

I64 = ir.IntType(64)
ROWS = CALL + Call._fields.index("rows")
"""Where a call's table says how many rows there are."""
MOST_VECTORS = 8
"""Vectors that an optimizer reads and writes: parameters, gradient, and its own."""


@intrinsic
def call_pass(typingctx, address, table, theta):
    """A compiled kernel (table, theta) -> float64 by its address: nothing of it is compiled again."""
    given = (table, theta)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        convention = context.call_conv
        kind = convention.get_function_type(types.float64, given)
        function = builder.inttoptr(args[0], kind.as_pointer())
        _, result = convention.call_function(builder, function, types.float64, given, args[1:])
        return result

    return types.float64(address, table, theta), codegen


@microkernel()
def call_update(builder, address, numbers, vectors, count, n):
    """An optimizer's update of n numbers; ``vectors`` are ``count`` addresses of what it reads and writes."""
    after = builder.append_basic_block("updated")
    switch = builder.switch(count, after)
    for each in range(2, MOST_VECTORS + 1):
        block = builder.append_basic_block(f"update{each}")
        switch.add_case(I64(each), block)
        builder.position_at_end(block)
        places = [builder.load(builder.gep(vectors, [I64(k)])) for k in range(each)]
        kind = ir.FunctionType(ir.VoidType(), [numbers.type, *[I64] * each, I64])
        builder.call(builder.inttoptr(address, kind.as_pointer()), [numbers, *places, n])
        builder.branch(after)
    builder.position_at_end(after)


@kernel
def run_steps(calls, theta, data, batches, update):
    """Steps over batches, until one is not calm; how many, their losses in ``batches``.

    ``calls``: the pass's address; its table, memory, and the slots that are 0; memory for a batch and its
    gradient; address and numbers of the loss, rows of a tile.  ``data``: all inputs and targets.
    ``batches``: row numbers, epoch after epoch; where each batch of one begins, and the most rows of any;
    the number of the first, losses, and the most that a squared gradient may be.  ``update``: address,
    numbers, addresses of the optimizer's vectors behind room for two, place of the step's number.
    """
    address, (table, memory, unwanted), some, (loss, loss_numbers, lanes) = calls
    inputs, targets = data
    rows, starts, size, (batch, losses, most) = batches
    function, numbers, vectors, place = update
    width, columns, each = inputs.shape[1], targets.shape[1], len(starts) - 1
    into = np.int64(some.ctypes.data)
    factor_at = into + padded(len(theta)) * theta.itemsize
    inputs_at = factor_at + padded(size) * theta.itemsize
    targets_at = inputs_at + padded(size * width) * theta.itemsize
    gradient, factor = numbers_at(theta, into, (len(theta),)), numbers_at(theta, factor_at, (size,))
    some_inputs = numbers_at(theta, inputs_at, (size, width))
    some_targets = numbers_at(theta, targets_at, (size, columns))
    vectors[0], vectors[1] = np.int64(theta.ctypes.data), into
    line = (np.int64(memory.ctypes.data) + LINE - 1) // LINE * LINE
    call = (
        loss,
        loss_numbers,
        0,
        1,
        lanes,
        size,
        0,
        inputs_at,
        targets_at,
        factor_at,
        line,
        len(memory),
        into,
        0,
        0,
        0,
    )
    for k in range(len(call)):
        table[CALL + k] = call[k]
    before = batch // each * starts[each]
    batch %= each
    for number in range(len(losses)):
        first, n = before + starts[batch], starts[batch + 1] - starts[batch]
        batch += 1
        if batch == each:
            before, batch = before + starts[each], 0
        for k in range(n):
            row = rows[first + k]
            for unit in range(width):
                some_inputs[k, unit] = inputs[row, unit]
            for column in range(columns):
                some_targets[k, column] = targets[row, column]
            factor[k] = 1 / n
        table[ROWS] = n
        losses[number] = call_pass(address, table, theta)
        for slot in unwanted:
            gradient[slot] = 0
        square = gradient.dtype.type(0)
        for slot in range(len(gradient)):
            square += gradient[slot] * gradient[slot]
        if not (np.isfinite(losses[number]) and square <= most):
            return number
        call_update(function, numbers, vectors, len(vectors), len(theta))
        numbers[place] += 1
    return len(losses)


class Stepping:
    """:data:`dagnet.contracts.Steps` over all rows of some data, with the gradient's own memory."""

    def __init__(self, gradient: Any, update: FusedStep, data: tuple[Array, Array], size: int) -> None:
        self._gradient, self._update, self._data, self._size = gradient, update, data, size
        by_rows = padded(size) + padded(size * data[0].shape[1]) + size * data[1].shape[1]
        self._some = np.empty(padded(gradient.n_slots) + by_rows, data[0].dtype)
        self._own: list[Array] | None = None

    def __call__(
        self,
        theta: Array,
        state: Mapping[str, Array],
        batches: tuple[Array, Array, int, int],
        pace: tuple[int, float, float],
    ) -> Array:
        """See :data:`dagnet.contracts.Steps`."""
        (rows, starts, first, count), (step, learning_rate, most) = batches, pace
        update = self._update
        called, tabled, loss = self._gradient.call_for(self._size)
        numbers = np.array(update.fixed)
        numbers[update.step_at], numbers[update.rate_at] = step, learning_rate
        own = [state[name] for name in update.state_names]
        if self._own is None or any(map(operator.is_not, own, self._own)):
            self._own, self._places = own, np.array([0, 0, *map(address_of, own)])
        losses = np.empty(count)
        done = run_steps(
            (_address(called, tabled[0].dtype, theta.dtype), tabled, self._some, loss),
            theta,
            self._data,
            (rows, starts, self._size, (first, losses, most)),
            (update.address, numbers, self._places, update.step_at),
        )
        return losses[:done]


@lru_cache(maxsize=64)
def _address(called: Any, table: Any, numbers: Any) -> int:
    """Where the machine code of a kernel for a table and a vector of these dtypes begins."""
    kinds = tuple(types.Array(numba.from_dtype(dtype), 1, "C") for dtype in (table, numbers))
    called.compile(kinds)
    code = called.overloads[kinds]
    address: int = code.library.get_pointer_to_function(code.fndesc.llvm_func_name)
    return address
