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
from dagnet.engine.compiled.opened import ROWS

I64 = ir.IntType(64)
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

    ``calls``: the pass's address and table; ``data``: all inputs and targets, and room for those of a batch
    with its factor and gradient; ``batches``: row numbers, where each begins, losses, the most that a
    squared gradient may be; ``update``: address, numbers, vectors, place of the step's number.
    """
    address, table, unwanted = calls
    inputs, targets, some_inputs, some_targets, factor, gradient = data
    rows, starts, losses, most = batches
    function, numbers, vectors, place = update
    width, columns = inputs.shape[1], targets.shape[1]
    for number in range(len(starts) - 1):
        n = starts[number + 1] - starts[number]
        for k in range(n):
            row = rows[starts[number] + k]
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
    return len(starts) - 1


class Stepping:
    """:data:`dagnet.contracts.Steps` over all rows of some data, with the gradient's own memory."""

    def __init__(self, gradient: Any, update: FusedStep, data: tuple[Array, Array], size: int) -> None:
        some = tuple(np.empty((size, array.shape[1]), array.dtype) for array in data)
        factor, into = np.empty(size, data[0].dtype), np.empty(gradient.n_slots, data[0].dtype)
        self._gradient, self._update, self._data = gradient, update, (*data, *some, factor, into)
        self._vectors, self._places = list[Array](), np.zeros(0, np.int64)

    def __call__(
        self,
        theta: Array,
        state: Mapping[str, Array],
        batches: tuple[Array, Array],
        pace: tuple[int, float, float],
    ) -> list[float]:
        """See :data:`dagnet.contracts.Steps`."""
        (rows, starts), (step, learning_rate, most) = batches, pace
        update, (_, _, *some, into) = self._update, self._data
        called, table, unwanted = self._gradient.call_for(*some, into)
        numbers = np.array(update.fixed)
        numbers[update.step_at], numbers[update.rate_at] = step, learning_rate
        vectors = update.vectors(theta, into, state)
        if not self._vectors or any(map(operator.is_not, vectors, self._vectors)):
            self._vectors = vectors
            self._places = np.array([vector.ctypes.data for vector in vectors])
        losses = np.empty(len(starts) - 1)
        done = run_steps(
            (_address(called, table.dtype, theta.dtype), table, unwanted),
            theta,
            self._data,
            (rows, starts, losses, most),
            (update.address, numbers, self._places, update.step_at),
        )
        return losses[:done].tolist()


@lru_cache(maxsize=64)
def _address(called: Any, table: Any, numbers: Any) -> int:
    """Where the machine code of a kernel for a table and a vector of these dtypes begins."""
    kinds = tuple(types.Array(numba.from_dtype(dtype), 1, "C") for dtype in (table, numbers))
    called.compile(kinds)
    code = called.overloads[kinds]
    address: int = code.library.get_pointer_to_function(code.fndesc.llvm_func_name)
    return address
