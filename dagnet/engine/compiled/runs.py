"""Formulas over runs of elements: activations, their slopes, and what these learn; optimizers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from llvmlite import ir

from dagnet.engine.compiled.generation import (
    DOUBLE,
    I64,
    VECTOR_BYTES,
    Machine,
    calculate,
    compiled,
    function_in,
    known_numbers,
    lowered,
    numbers_of,
    once,
    total_of,
)
from dagnet.engine.compiled.vectors import ELEMENTS, Emitter, Vector
from dagnet.formula import ARGUMENT, NUMBER, OPERATIONS, UNIT, Formula, Op, finest


def elementwise(formula: Formula, dtype: Any, into: tuple[int, ...], *, multiply: bool = False) -> Machine:
    """``run(numbers, pointer of each array …, n)``: result k goes to array ``into[k]``, or multiplies it.

    Arrays are those of the arguments, in order, and those that ``into`` names behind them.
    """
    key = ("elementwise", formula.content, np.dtype(dtype).char, into, multiply)
    return once(key, lambda: _machine(lowered(formula), dtype, into, multiply))


def learning(slope: Formula, by: Iterable[Formula], dtype: Any) -> Machine:
    """``run(numbers, z, a, δ, sums, n)``: sums[k] += Σ δ · by[k], then δ *= slope."""
    formulas = (slope, *by)
    key = ("learning", *(formula.content for formula in formulas), np.dtype(dtype).char)
    return once(key, lambda: _machine(lowered(*formulas), dtype, (2,), multiply=True))


def of_numbers(formula: Formula, names: Iterable[str]) -> Formula:
    """The formula where some arguments are one number in all, and so is what is made of these alone."""
    known, ops = set(names), list[Op]()
    if not known:
        return formula
    for op in formula.ops:
        if op.name == ARGUMENT and op.value in known:
            ops.append(op._replace(form=NUMBER))
        elif op.name in OPERATIONS:
            ops.append(op._replace(form=finest(ops[read].form for read in op.reads)))
        else:
            ops.append(op)
    return Formula(formula.arguments, tuple(ops), formula.results)


def _machine(formula: Formula, dtype: Any, into: tuple[int, ...], multiply: bool) -> Machine:  # noqa: FBT001
    """Results behind those of ``into`` are multiplied by what its array was, and summed in one behind it."""
    element = ELEMENTS[np.dtype(dtype).name]
    arrays = [place for place in range(len(formula.arguments)) if formula.ops[place].form == UNIT]
    written, summed = formula.results[: len(into)], formula.results[len(into) :]
    n_arrays = max(len(arrays), *(place + 1 for place in into)) + bool(summed)
    kinds = [DOUBLE.as_pointer(), *[element.as_pointer()] * n_arrays, I64]
    module, builder, function = function_in("run", ir.VoidType(), kinds)
    emit = Emitter(builder, dtype, VECTOR_BYTES // np.dtype(dtype).itemsize)
    known, needed = known_numbers(formula, function.args[0], None, emit), formula.needed()
    pointers, n = function.args[1:-1], function.args[-1]

    def body(start: ir.Value, totals: list[ir.Value], mask: Vector | None = None) -> list[ir.Value]:
        values, here = dict(known), [builder.gep(pointer, [start]) for pointer in pointers]
        for number, place in enumerate(arrays):
            if place in needed:
                values[place] = emit.load(here[number], mask)
        calculate(formula, needed, values, emit)
        before = emit.load(here[into[0]], mask) if multiply else emit.splat(1.0)
        for result, array in zip(written, into, strict=True):
            found = values[result].to_number()
            emit.store(before * found if multiply else found, here[array], mask)
        terms = [before * values[place].to_number() for place in summed]
        terms = terms if mask is None else [emit.select(mask, term, 0.0) for term in terms]
        return [(Vector(emit, total) + term).value for total, term in zip(totals, terms, strict=True)]

    done, *totals = emit.loop(n, emit.lanes, [emit.splat(0.0).value for _ in summed], body)
    rest = builder.sub(n, done)
    if summed:
        for k, total in enumerate(body(done, totals, emit.first(rest))):
            place = builder.gep(pointers[-1], [ir.Constant(I64, k)])
            found = total_of(builder, Vector(emit, total))
            found = found if element == DOUBLE else builder.fptrunc(found, element)
            builder.store(builder.fadd(builder.load(place), found), place)
    else:
        with builder.if_then(builder.icmp_signed(">", rest, ir.Constant(I64, 0))):
            body(done, [], emit.first(rest))
    builder.ret_void()
    code = compiled(module)
    return Machine(code.address("run"), numbers_of(formula), code)
