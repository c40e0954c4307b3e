"""Machine code for slopes of activations that learn: what is found for their numbers is summed on the way."""

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
from dagnet.formula import Formula
from dagnet.formula.data import ARGUMENT, NUMBER, Op, finest
from dagnet.formula.operations import OPERATIONS


def learning(slope: Formula, by: Iterable[Formula], dtype: Any) -> Machine:
    """``run(numbers, z, a, δ, sums, n)``: sums[k] += Σ δ · by[k], then δ *= slope."""
    formulas = (slope, *by)
    key = ("learning", *(formula.content for formula in formulas), np.dtype(dtype).char)
    return once(key, lambda: _learning(lowered(*formulas), dtype))


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


def _learning(formula: Formula, dtype: Any) -> Machine:
    element = ELEMENTS[np.dtype(dtype).name]
    kinds = [DOUBLE.as_pointer(), *[element.as_pointer()] * 4, I64]
    module, builder, function = function_in("run", ir.VoidType(), kinds)
    emit = Emitter(builder, dtype, VECTOR_BYTES // np.dtype(dtype).itemsize)
    numbers, z, a, delta, sums, n = function.args
    known, needed = known_numbers(formula, numbers, None, emit), formula.needed()
    slope, *by = formula.results

    def body(start: ir.Value, mask: Vector | None, totals: list[ir.Value]) -> list[ir.Value]:
        values, here = dict(known), builder.gep(delta, [start])
        for place, array in enumerate((z, a)):
            if place in needed:
                values[place] = emit.load(builder.gep(array, [start]), mask)
        calculate(formula, needed, values, emit)
        pulled = emit.load(here, mask)
        emit.store(pulled * values[slope].to_number(), here, mask)
        terms = [pulled * values[place].to_number() for place in by]
        terms = terms if mask is None else [emit.select(mask, term, 0.0) for term in terms]
        return [(Vector(emit, total) + term).value for total, term in zip(totals, terms, strict=True)]

    none = [emit.splat(0.0).value for _ in by]
    done, *totals = emit.loop(n, emit.lanes, none, lambda start, totals: body(start, None, totals))
    rest = builder.sub(n, done)
    for k, total in enumerate(body(done, emit.first(rest), totals)):
        place = builder.gep(sums, [ir.Constant(I64, k)])
        found = total_of(builder, Vector(emit, total))
        found = found if element == DOUBLE else builder.fptrunc(found, element)
        builder.store(builder.fadd(builder.load(place), found), place)
    builder.ret_void()
    code = compiled(module)
    return Machine(code.address("run"), numbers_of(formula), code)
