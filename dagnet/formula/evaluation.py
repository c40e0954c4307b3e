"""A formula on arrays, by NumPy: the interpreter, and so the meaning of every operation.

What is one number in all is calculated in double precision; where it meets an array it takes the array's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.errors import DagnetError, Verbatim, expected
from dagnet.formula.data import ARGUMENT, CONSTANT, NUMBER, PLACE, SIZE, TERM, Calculation, Op
from dagnet.formula.operations import OPERATIONS, REDUCTIONS
from dagnet.formula.recording import value_of


def evaluate(formula: Calculation, *arguments: Any) -> tuple[Any, ...]:
    """The results, one array each.

    The first argument is an array that says shape and dtype: its last axis is that of units, its first one
    that of terms.  What is one number a row comes back without the axis of units, all else in that shape.
    """
    if len(arguments) != len(formula.arguments):
        must = f"called with {', '.join(formula.arguments)}"
        raise DagnetError(expected("formula", must, Verbatim(f"{len(arguments)} arguments")))
    first = np.asarray(arguments[0])
    first = first if first.dtype.kind == "f" else first.astype(np.float64)
    given = dict(zip(formula.arguments, (first, *arguments[1:]), strict=True))
    found: dict[int, Any] = {}
    with np.errstate(all="ignore"):
        for place in formula.needed():
            op = formula.ops[place]
            inputs = [found[read] for read in op.reads]
            if op.form != NUMBER:
                numbers = (formula.ops[read].form == NUMBER for read in op.reads)
                inputs = [_cast(x, first) if n else x for x, n in zip(inputs, numbers, strict=True)]
            found[place] = _calculated(op, inputs, given, first)
    results = (_shaped(found[place], formula.ops[place], first) for place in formula.results)
    given_arrays = [x for x in arguments if isinstance(x, np.ndarray)]
    return tuple(x.copy() if any(np.may_share_memory(x, a) for a in given_arrays) else x for x in results)


def _cast(number: Any, like: Array) -> Any:
    return number if isinstance(number, (bool, np.bool_)) else like.dtype.type(number)


def _calculated(op: Op, inputs: list[Any], given: dict[str, Any], first: Array) -> Any:
    if op.name == ARGUMENT:
        value = given[str(op.value)]
        return np.float64(value) if op.form == NUMBER else np.asarray(value, first.dtype)
    if op.name == CONSTANT:
        return value_of(op)
    if op.name == SIZE:
        return np.float64(first.shape[0 if op.value == TERM else -1])
    if op.name == PLACE:
        return np.broadcast_to(np.arange(first.shape[-1], dtype=first.dtype), first.shape)
    if op.name in REDUCTIONS:
        over_terms = op.form != "row"
        x = np.broadcast_to(inputs[0], first.shape)
        return REDUCTIONS[op.name].function(x, axis=0 if over_terms else -1, keepdims=not over_terms)
    return OPERATIONS[op.name].function(*inputs)


def _shaped(value: Any, op: Op, first: Array) -> Array:
    if op.truth:
        value = np.where(value, 1.0, 0.0)
    value = np.asarray(value, first.dtype)
    if op.form == "row":
        return np.broadcast_to(value, (*first.shape[:-1], 1))[..., 0].copy()
    if (value.shape == first.shape or op.form == "unit") and value.ndim:
        return value
    return np.broadcast_to(value, np.broadcast_shapes(value.shape, first.shape)).copy()
