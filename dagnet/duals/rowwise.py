"""A loss and its gradient spelled out as code for one row: reductions over units, and what is between.

A loss is called on symbols for (rows, output units).  What it does unit by unit becomes an
expression; a sum, maximum or minimum over axis 1 becomes a *reduction*, a number a row that later
expressions may use.  Cross-entropy's value is three of them: the largest output, the sum of the
exponentials of the differences from it, and the sum of the products with the targets.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any, cast

import numpy as np

from dagnet.duals.spelling import (
    NotSpelled,
    Program,
    Symbol,
    Term,
    function_of,
    spelled_term,
    text_of,
    traced,
)

__all__ = ["Reduction", "RowLoss", "spelled_loss"]

UNITS, COLUMN, ROW, NUMBER = "(rows, units)", "(rows, 1)", "(rows,)", "()"
KINDS = {np.sum: "sum", np.max: "max", np.amax: "max", np.min: "min", np.amin: "min", np.mean: "mean"}
MOST = 12
"""Reductions of one loss; more take seconds to compile."""
METHODS = {np.add: "sum", np.maximum: "max", np.minimum: "min"}


@dataclass(frozen=True)
class Reduction:
    """``kind`` (sum, max or min) over units of ``term(o, t, n, r)``.

    n is the number of units, r a tuple of the reductions before it; ``depth`` reductions come one
    after the other up to it.
    """

    kind: str
    depth: int
    term: FunctionType


@dataclass(frozen=True)
class RowLoss:
    """Reductions in order, ``value(n, r)``, and ``slope(o, t, n, r)`` = ∂value/∂o, of a depth.

    ``source`` is all of their code: losses with the same are the same.
    """

    reductions: tuple[Reduction, ...]
    value: FunctionType
    slope: FunctionType
    depth: int
    source: str


class _Reducing(Program):
    """A program with reductions: what is reduced, and how."""

    def __init__(self) -> None:
        super().__init__()
        self.reductions: dict[tuple[str, str], int] = {}
        self.source = ""
        self._depths: dict[str, int] = {}

    def reduce(self, kind: str, term: Any) -> str:
        if len(self.reductions) >= MOST:
            raise NotSpelled
        number = self.reductions.setdefault((kind, text_of(term)), len(self.reductions))
        return f"r[{number}]"

    def depth(self, wanted: str) -> int:
        """How many reductions come one after the other before an expression is known."""
        if wanted not in self._depths:
            used = {int(n) for n in re.findall(r"r\[(\d+)\]", self.lines_for(wanted) + wanted)}
            terms = [term for _, term in self.reductions]
            self._depths[wanted] = max((1 + self.depth(terms[number]) for number in used), default=0)
        return self._depths[wanted]

    def function(self, arguments: str, wanted: str, origin: Callable[..., Any]) -> FunctionType:
        code = f"def expression({arguments}):\n{self.lines_for(wanted)}    return {wanted}\n"
        self.source += code
        return function_of("expression", code, origin)


class _Numbers(Symbol):
    """A symbol for an array of a known kind of shape."""

    def __init__(self, program: _Reducing, name: str, shape: str) -> None:
        super().__init__(program, name)
        self.shape_kind = shape

    def write(self, expression: str, *inputs: Any) -> Any:
        shapes = {item.shape_kind for item in inputs if isinstance(item, _Numbers)} - {NUMBER}
        if ROW in shapes and len(shapes) > 1:
            raise NotSpelled
        shape = UNITS if UNITS in shapes else shapes.pop() if shapes else NUMBER
        return _Numbers(self.program, self.program.write(expression), shape)  # type: ignore[arg-type]

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method == "reduce" and ufunc in METHODS:
            return self._reduced(METHODS[ufunc], **options)
        return super().__array_ufunc__(ufunc, method, *inputs, **options)

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        if function is not np.where and (not arguments or arguments[0] is not self):
            raise NotSpelled  # np.clip(2.0, 0.0, o), say
        if function in KINDS:
            return self._reduced(KINDS[function], *arguments[1:], **options)
        if function is np.clip and len(arguments) == 3 and not options:
            return self.clip(*arguments[1:])
        if function in {np.zeros_like, np.ones_like} and len(arguments) == 1 and not options:
            return self.write(f"np.{function.__name__}({self.name})", self).as_truth(self.truth)
        return super().__array_function__(function, types, arguments, options)

    def _reduced(self, kind: str, axis: Any = None, *, keepdims: bool = False) -> Any:
        if type(axis) is not int or axis not in {1, -1} or self.shape_kind != UNITS:
            raise NotSpelled
        program: Any = self.program
        name = program.reduce("sum" if kind == "mean" else kind, self)
        reduced = _Numbers(program, name, COLUMN if keepdims else ROW)
        reduced.as_truth(self.truth and kind in {"max", "min"})
        return reduced.write(f"{name} / n", reduced) if kind == "mean" else reduced

    def sum(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        """Over the output units."""
        return self._reduced("sum", axis, keepdims=keepdims)

    def max(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        """Over the output units."""
        return self._reduced("max", axis, keepdims=keepdims)

    def min(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        """Over the output units."""
        return self._reduced("min", axis, keepdims=keepdims)

    def mean(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        """Over the output units."""
        return self._reduced("mean", axis, keepdims=keepdims)

    def clip(self, low: Any, high: Any) -> Any:
        """Between two bounds."""
        if self.truth:
            raise NotSpelled
        return self.write(f"np.clip({self.name}, {text_of(low)}, {text_of(high)})", self, low, high)


def spelled_loss(
    value: Callable[..., Any], gradient: Callable[..., Any] | None, parameters: tuple[Any, ...] = ()
) -> RowLoss | None:
    """A loss as code for one row, or None.

    Parameters
    ----------
    value
        ``value(outputs, targets, *parameters) -> (rows,)``.
    gradient
        ``gradient(outputs, targets, *parameters) -> (rows, output units)``; None: derived, for a loss
        that is a sum over output units of one term each.
    parameters
        The values that both are to have.

    Returns
    -------
    RowLoss or None
        None where rows may interact, or where a function does more than apply ufuncs, ``where`` and
        ``clip``, and reduce over axis 1.
    """
    term = spelled_term(value, parameters) if gradient is None else None
    if gradient is None and term is None:
        return None
    program = _Reducing()
    o, t = (_Numbers(program, name, UNITS) for name in ("o", "t"))
    loss = traced(lambda: value(o, t, *parameters))
    if gradient is None:
        slope = traced(lambda: cast("Term", term).slope(o, t, _Numbers(program, "n", NUMBER)))
    else:
        slope = traced(lambda: gradient(o, t, *parameters))
    if not isinstance(loss, _Numbers) or loss.shape_kind != ROW:
        return None
    if not isinstance(slope, _Numbers) or slope.shape_kind != UNITS:
        return None
    every = "o, t, n, r"
    return RowLoss(
        tuple(
            Reduction(kind, program.depth(term), program.function(every, term, value))
            for kind, term in program.reductions
        ),
        program.function("n, r", loss.name, value),
        program.function(every, slope.name, gradient or value),
        program.depth(slope.name),
        f"{[kind for kind, _ in program.reductions]}\n{program.source}",
    )
