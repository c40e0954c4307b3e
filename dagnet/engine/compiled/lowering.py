"""Formulas as machines know them: only operations that there is vector code for, each once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dagnet.engine.compiled.ufuncs import FUNCTIONS
from dagnet.formula import Formula
from dagnet.formula.data import ARGUMENT, CONSTANT, Op
from dagnet.formula.derivative import pruned
from dagnet.formula.operations import OPERATIONS
from dagnet.formula.recording import Recorder, Untraceable
from dagnet.formula.symbols import Symbol, plain

MOST_FACTORS = 64
"""Up to which whole exponent a power is a chain of products."""


def lowered(*formulas: Formula) -> Formula:
    """The first results of formulas of the same arguments, or all of a single one's, as one formula.

    Raises
    ------
    Untraceable
        For an operation without vector code.
    """
    recorder, results = Recorder(), []
    names = formulas[0].arguments
    for formula in formulas:
        names = (*names, *(name for name in formula.arguments if name not in names))
    forms = {str(op.value): op.form for f in formulas for op in f.ops if op.name == ARGUMENT}
    places = {name: recorder.add(Op(ARGUMENT, (), forms[name], value=name)) for name in names}
    for formula in formulas:
        found: list[int] = []
        for op in formula.ops:
            found.append(places[str(op.value)] if op.name == ARGUMENT else _lower(recorder, op, found))
        results += [found[k] for k in (formula.results if len(formulas) == 1 else formula.results[:1])]
    numbers = (recorder.number(place) for place in results)
    return pruned(Formula(names, tuple(recorder.ops), tuple(numbers)))


def _lower(recorder: Recorder, op: Op, found: list[int]) -> int:
    reads = [found[read] for read in op.reads]
    if op.name not in OPERATIONS:
        return recorder.add(op._replace(reads=tuple(reads)))
    exponent = recorder.known(reads[1]) if op.name == "power" else None
    if exponent is not None and exponent.is_integer() and abs(exponent) <= MOST_FACTORS:
        return _power(recorder, reads[0], int(exponent))
    if op.name in FUNCTIONS:
        if any(recorder.ops[read].name != CONSTANT for read in reads):
            return recorder.apply(op.name, *reads)
        return recorder.add(op._replace(reads=tuple(reads)))  # a choice that only says a shape
    expansion: Callable[..., Any] | None = OPERATIONS[op.name].expansion
    if expansion is None:
        raise Untraceable(f"calls {op.name}, for which there is no machine code")
    written = expansion(*(plain(recorder, read) for read in reads))
    return written.at if isinstance(written, Symbol) else recorder.constant(written)


def _power(recorder: Recorder, base: int, exponent: int) -> int:
    if exponent < 0:
        return recorder.apply("divide", recorder.constant(1.0), _power(recorder, base, -exponent))
    result, square = recorder.constant(1.0), base
    while exponent:
        if exponent & 1:
            result = recorder.apply("multiply", result, square)
        exponent >>= 1
        square = recorder.apply("square", square) if exponent else square
    return result
