"""Formulas in PyTorch's operations: a row of the table for each of :mod:`dagnet.formula.operations`.

No autograd: derivatives are formulas as well.  What is one number in all is calculated by NumPy, in double
precision, as dagnet's interpreter does it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from dagnet.errors import PluginError
from dagnet.formula.data import ARGUMENT, CONSTANT, NUMBER, PLACE, ROW, Calculation, Op, calculated
from dagnet.formula.operations import OPERATIONS, REDUCTIONS

Function = Callable[..., Any]


def _sign(x: Any) -> Any:
    """NumPy's: of NaN it is NaN, where ``torch.sign`` has 0."""
    return torch.where(torch.isnan(x), x, torch.sign(x))


def _heaviside(x: Any, at_zero: Any) -> Any:
    return torch.where(torch.isnan(x), x, torch.heaviside(x, at_zero.expand_as(x)))


def _cbrt(x: Any) -> Any:
    """|x| to the power of 1/3, then one step of Newton's method; its sign is x's."""
    size = torch.abs(x)
    root = torch.pow(size, 1.0 / 3.0)
    better = root - (root * root * root - size) / (3.0 * root * root)
    usual = (root > 0) & torch.isfinite(root)
    return torch.copysign(torch.where(usual, better, root), x)


def _pull(outer: Any, slope: Any) -> Any:
    """Outer · slope, 0 where one of them is 0, whatever the other one is."""
    zero = torch.zeros((), dtype=outer.dtype, device=outer.device)
    return torch.where((outer == 0) | (slope == 0), zero, outer * slope)


def _floor_divide(x: Any, y: Any) -> Any:
    """The largest whole number ≤ x / y, as NumPy has it for infinities and zeros."""
    whole = torch.where(torch.isinf(x), torch.nan, torch.div(x, y, rounding_mode="floor"))
    return torch.where(y == 0, x / y, whole)


def _clip(x: Any, low: Any, high: Any) -> Any:
    return torch.minimum(torch.maximum(x, low), high)


# fmt: off
TABLE: dict[str, Function] = {
    "add": torch.add, "subtract": torch.sub, "multiply": torch.mul, "pull": _pull, "divide": torch.div,
    "power": torch.pow, "maximum": torch.maximum, "minimum": torch.minimum, "fmax": torch.fmax,
    "fmin": torch.fmin, "logaddexp": torch.logaddexp, "logaddexp2": torch.logaddexp2,
    "copysign": torch.copysign, "hypot": torch.hypot, "arctan2": torch.atan2, "where": torch.where,
    "clip": _clip, "negative": torch.neg, "positive": torch.clone, "absolute": torch.abs,
    "square": torch.square, "reciprocal": torch.reciprocal, "sqrt": torch.sqrt, "cbrt": _cbrt,
    "exp": torch.exp, "exp2": torch.exp2, "expm1": torch.expm1, "log": torch.log, "log2": torch.log2,
    "log10": torch.log10, "log1p": torch.log1p, "sin": torch.sin, "cos": torch.cos, "tan": torch.tan,
    "arcsin": torch.asin, "arccos": torch.acos, "arctan": torch.atan, "sinh": torch.sinh,
    "cosh": torch.cosh, "tanh": torch.tanh, "arcsinh": torch.asinh, "arccosh": torch.acosh,
    "arctanh": torch.atanh, "sigmoid": torch.sigmoid, "erf": torch.erf, "deg2rad": torch.deg2rad,
    "rad2deg": torch.rad2deg, "floor_divide": _floor_divide, "remainder": torch.remainder,
    "fmod": torch.fmod, "heaviside": _heaviside, "sign": _sign, "floor": torch.floor, "ceil": torch.ceil,
    "trunc": torch.trunc, "rint": torch.round, "logical_not": torch.logical_not, "isnan": torch.isnan,
    "isinf": torch.isinf, "isfinite": torch.isfinite, "signbit": torch.signbit, "equal": torch.eq,
    "not_equal": torch.ne, "less": torch.lt, "less_equal": torch.le, "greater": torch.gt,
    "greater_equal": torch.ge, "logical_and": torch.logical_and, "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
}
FOLDS: dict[str, Function] = {"sum": torch.sum, "prod": torch.prod, "max": torch.amax, "min": torch.amin}
# fmt: on
OWN = (_sign, _heaviside, _cbrt, _pull, _floor_divide, _clip, torch.clone)
"""Those that cannot write where they are told to."""


class Written:
    """The results of a formula as a function of tensors.

    Parameters
    ----------
    formula
        What to calculate.
    numbers
        The values of those arguments that are one number in all, and known.
    dtype, device
        Of the tensors.
    fuse
        Whether ``torch.compile`` makes one kernel of it.

    A yes or no comes as a tensor of booleans, and so does 1 where yes and 0 where no: a factor may be one.
    The first argument says what shape units and terms have.
    """

    def __init__(
        self, formula: Calculation, numbers: Mapping[str, float], dtype: Any, device: Any, *, fuse: bool
    ) -> None:
        self._formula, self._numbers, self._dtype, self._device = formula, dict(numbers), dtype, device
        self._tensors = [
            place for place in range(len(formula.arguments)) if formula.ops[place].form != NUMBER
        ]
        self._results = [self._as_truth(place) for place in formula.results]
        self._base: list[Any] = [None] * len(formula.ops)
        self._late: list[int] = []
        self._steps: list[tuple[int, Function, tuple[int, ...]]] = []
        for place in formula.needed(*self._results):
            self._write(place, formula.ops[place])
        last = self._steps[-1] if self._steps else (-1, torch.clone, ())
        whole = (
            last[0] == self._results[0] and 0 in formula.needed(last[0]) and not formula.ops[last[0]].truth
        )
        direct = whole and last[1] in TABLE.values() and last[1] not in OWN
        self._body, self._tail = (self._steps[:-1], last) if direct else (self._steps, None)
        self._fused = torch.compile(self._calculate, dynamic=True) if fuse and self._steps else None

    @property
    def makes(self) -> int:
        """How many tensors a call makes, each of which lives until its end."""
        return len(self._steps)

    def _as_truth(self, place: int) -> int:
        """Of 1 where yes and 0 where no, the yes or no."""
        op, ops = self._formula.ops[place], self._formula.ops
        if op.name == "where" and [(ops[read].name, ops[read].value) for read in op.reads[1:]] == [
            (CONSTANT, 1.0),
            (CONSTANT, 0.0),
        ]:
            return op.reads[0]
        return place

    def _write(self, place: int, op: Op) -> None:
        if op.form == NUMBER:
            self._write_number(place, op)
        elif op.name == ARGUMENT:
            return
        elif op.name == PLACE:
            self._steps.append((place, _places, (0,)))
        elif op.name in REDUCTIONS:
            over = -1 if op.form == ROW else 0
            self._steps.append((place, _folded(op.name, over), (*op.reads, 0)))
        elif op.name in TABLE:
            self._steps.append((place, TABLE[op.name], op.reads))
        else:
            raise PluginError(f"engine 'torch': there is no operation {op.name!r} in PyTorch's table")

    def _write_number(self, place: int, op: Op) -> None:
        """Known now, or with the shape and the numbers of each call."""
        late = op.name == "size" or (op.name == ARGUMENT and op.value not in self._numbers)
        if late or any(read in self._late for read in op.reads):
            self._late.append(place)
            return
        inputs = [self._value(read) for read in op.reads]
        with np.errstate(all="ignore"):
            self._base[place] = self._tensor(calculated(op, inputs, self._numbers, np.empty(0)))

    def _value(self, place: int) -> Any:
        return self._base[place][1]

    def _tensor(self, value: Any) -> tuple[Any, Any]:
        truth = isinstance(value, (bool, np.bool_))
        kind = torch.bool if truth else self._dtype
        number = bool(value) if truth else float(value)
        return torch.tensor(number, dtype=kind, device=self._device), value

    def __call__(self, *tensors: Any, out: Any = None, **numbers: float) -> Any:
        """The first result; ``out``, of its shape, is written to where it is given."""
        if out is None or self._fused is not None:
            found = self.results(*tensors, **numbers)[0]
            return found if out is None else out.copy_(found)
        return self._finish(self._begun(tensors, numbers), out)

    def _finish(self, found: list[Any], out: Any) -> Any:
        for place, function, reads in self._body:
            found[place] = function(*[found[read] for read in reads])
        if self._tail is None:
            return out.copy_(found[self._results[0]])
        _, function, reads = self._tail
        return function(*[found[read] for read in reads], out=out)

    def bound(self, *tensors: Any, out: Any = None) -> Callable[[], Any]:
        """A call of the first result on these tensors, whatever they hold then."""
        if self._fused is not None or self._late or (self._tail is None and out is not None):
            return lambda: self(*tensors, out=out)
        begun, steps, result = self._begun(tensors, {}), self._steps, self._results[0]
        if len(steps) == 1:
            _, function, reads = steps[0]
            inputs, more = [begun[read] for read in reads], {} if out is None else {"out": out}
            return lambda: function(*inputs, **more)
        if out is not None:
            return lambda: self._finish(begun.copy(), out)

        def run() -> Any:
            found = begun.copy()
            for place, function, reads in steps:
                found[place] = function(*[found[read] for read in reads])
            return found[result]

        return run

    def results(self, *tensors: Any, **numbers: float) -> list[Any]:
        """All results, each in the form that its last operation gives it."""
        found = self._begun(tensors, numbers)
        return self._calculate(found) if self._fused is None else self._fused(found)

    def _begun(self, tensors: tuple[Any, ...], numbers: Mapping[str, float]) -> list[Any]:
        found = [None if item is None else item[0] for item in self._base]
        for place, tensor in zip(self._tensors, tensors, strict=True):
            found[place] = tensor
        if self._late:
            self._add_late(found, tensors[0], numbers)
        return found

    def _add_late(self, found: list[Any], first: Any, numbers: Mapping[str, float]) -> None:
        values: dict[int, Any] = {}
        like: Any = SimpleNamespace(shape=first.shape)  # of which one size is read, the others may be symbols
        given = {**self._numbers, **numbers}
        for place in self._late:
            op = self._formula.ops[place]
            inputs = [values[read] if read in values else self._value(read) for read in op.reads]
            with np.errstate(all="ignore"):
                values[place] = calculated(op, inputs, given, like)
            found[place] = self._tensor(values[place])[0]

    def _calculate(self, found: list[Any]) -> list[Any]:
        for place, function, reads in self._steps:
            found[place] = function(*[found[read] for read in reads])
        return [found[place] for place in self._results]


def _places(first: Any) -> Any:
    """The number of the unit, of each row's units."""
    return torch.arange(first.shape[-1], dtype=first.dtype, device=first.device).expand(first.shape)


def _folded(name: str, over: int) -> Function:
    """A reduction of what is first made as wide as the first argument."""
    fold, keep = FOLDS[name], over == -1

    def reduce(x: Any, first: Any) -> Any:
        return fold(x.expand(first.shape) if x.shape != first.shape else x, dim=over, keepdim=keep)

    return reduce


def missing() -> set[str]:
    """Operations of dagnet that the tables here lack: none."""
    return (OPERATIONS.keys() - TABLE.keys()) | (REDUCTIONS.keys() - FOLDS.keys())
