"""Formulas as nodes: activations, aggregations, and what losses predict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dagnet.formula import Formula
from dagnet.formula.data import ARGUMENT, CONSTANT, PLACE, UNIT, Op
from dagnet.formula.operations import REDUCTIONS
from dagnet_onnx.operators import REDUCED, operators, simplified
from dagnet_onnx.writer import DOMAIN, KINDS, Body, Writer

LONGEST = 3
"""Operators from which on an activation is a function of its own name, written once."""


class Functions:
    """The functions of one model."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self._activations: dict[Any, str | Formula] = {}
        self._aggregations: dict[tuple[Any, int], Formula] = {}

    def activation(self, item: Any, z: str, learned: Mapping[str, str]) -> str:
        """g(z), by the formula; ``learned`` has the names of what units learn, (units, 1) each."""
        if item not in self._activations:
            self._activations[item] = self._prepared(item)
        found = self._activations[item]
        if isinstance(found, Formula):
            return nodes(self.writer, found, {"z": z, **learned})
        return self.writer.emit(found, z, *learned.values(), domain=DOMAIN)

    def _prepared(self, item: Any) -> str | Formula:
        """The formula, or the name of a function that was made of it."""
        formula = simple(item, {}, self.writer.dtype)
        if sum(bool(op.reads) for op in formula.ops) <= LONGEST:
            return formula
        body, inputs = (
            Body(self.writer.dtype),
            {"z": "z", **{name: f"learned_{name}" for name in item.trainable}},
        )
        result = nodes(body, formula, inputs)
        return self.writer.define(item.name, list(inputs.values()), body, result, f"{item}\n{item.formula}")

    def aggregation(self, item: Any, terms: str, count: int) -> str:
        """From terms, (units, count, rows), (units, 1, rows)."""
        if (item, count) not in self._aggregations:
            self._aggregations[item, count] = simple(item, {"term": count}, self.writer.dtype)
        return nodes(self.writer, self._aggregations[item, count], {"terms": terms})


def simple(item: Any, sizes: Mapping[str, int], dtype: Any) -> Formula:
    """The formula of an activation or aggregation by operators; what units learn stays an argument."""
    learned, formula = getattr(item, "trainable", {}), item.formula
    names = [name for name in formula.arguments if name in item.parameters and name not in learned]
    return simplified(formula, {name: float(item.parameters[name]) for name in names}, sizes, dtype)


def nodes(body: Body, formula: Formula, names: Mapping[str, str], *, width: int = 0) -> str:
    """The nodes of a formula that :func:`simplified` gave; the name of its result.

    ``names`` are those of its arguments; ``width`` is how many units a row has, where they have numbers.
    What is one number in all, or one a row, is spread over the first argument's shape.
    """
    table, found = operators(body.dtype), dict[int, str]()

    def read(place: int) -> str:
        op = formula.ops[place]
        if op.name != CONSTANT:
            return found[place]
        return body.constant(np.bool_(op.number)) if op.truth else body.number(op.number)

    (result,) = formula.results
    for place in formula.needed():
        op = formula.ops[place]
        if op.name == ARGUMENT:
            found[place] = names[str(op.value)]
        elif op.name == PLACE:
            found[place] = body.constant(np.arange(width, dtype=body.dtype)[None])
        elif op.name in REDUCTIONS:
            found[place] = _reduced(body, op.name, read(op.reads[0]))
        elif op.name == "maximum" and _is_zero(formula.ops[op.reads[0]]):
            found[place] = body.emit("Relu", read(op.reads[1]))
        elif op.reads:
            more: dict[str, Any] = {"fmod": 1} if op.name == "fmod" else {}
            reads = op.reads * (1 + (op.name == "square"))
            found[place] = body.emit(table[op.name], *map(read, reads), **more)
    return read(result) if formula.ops[result].form == UNIT else _spread(body, formula, read(result), names)


def _spread(body: Body, formula: Formula, result: str, names: Mapping[str, str]) -> str:
    """What is there less often than once a unit and row in the shape of the first argument or its sums."""
    first = names[str(formula.ops[0].value)]
    if formula.ops[0].form != UNIT:  # that of terms, (units, terms, rows)
        first = _reduced(body, "sum", first)
    return body.emit("Expand", result, body.emit("Shape", first))


def _is_zero(op: Op) -> bool:
    return op.name == CONSTANT and repr(op.number) == "0.0"


def _reduced(body: Body, kind: str, x: str) -> str:
    """Over terms of (units, terms, rows), or units of (rows, units); onnxruntime's maxima overlook NaN."""
    axis = body.constant(np.array([1]))
    found = body.emit(REDUCED[kind], x, axis, keepdims=1)
    if kind not in {"max", "min"}:
        return found
    is_nan = body.emit("Cast", body.emit("IsNaN", x), to=KINDS["int32"])
    some = body.emit("Cast", body.emit("ReduceMax", is_nan, axis, keepdims=1), to=KINDS["bool"])
    return body.emit("Where", some, body.number(np.nan), found)
