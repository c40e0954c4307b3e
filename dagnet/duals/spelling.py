"""A derived derivative spelled out as code, for engines that compile.

The function is run on symbols that write down every operation, tangents included, by the same
rules as for dual arrays.  What comes of ``lambda z: np.tanh(2 * z)`` is ::

    def slope(z, a):
        t3 = 1.0 - a
        t4 = 1.0 + a
        t5 = t3 * t4
        t6 = 2.0 * t5
        return t6

Functions that do more than apply ufuncs, ``where`` and ``clip`` are not spelled out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from dagnet.duals.reading import reads_of
from dagnet.duals.slopes import FLAT, PLAIN, SLOPES

__all__ = [
    "NotSpelled",
    "Program",
    "Symbol",
    "Term",
    "function_of",
    "spelled_out",
    "spelled_term",
    "text_of",
    "traced",
]

OPERATORS: dict[np.ufunc, str] = {
    np.add: "+",
    np.subtract: "-",
    np.multiply: "*",
    np.divide: "/",
    np.equal: "==",
    np.not_equal: "!=",
    np.less: "<",
    np.less_equal: "<=",
    np.greater: ">",
    np.greater_equal: ">=",
    np.bitwise_and: "&",
    np.bitwise_or: "|",
    np.logical_and: "&",
    np.logical_or: "|",
}
LOGICAL = {np.bitwise_and, np.bitwise_or, np.logical_and, np.logical_or}
BOUNDED = {
    *(np.add, np.subtract, np.multiply, np.negative, np.positive, np.square, np.sin, np.cos, np.tanh),
    *(np.arctan, np.absolute, np.fabs, np.maximum, np.minimum, np.fmax, np.fmin, np.logaddexp, *FLAT),
}
"""Ufuncs whose slopes are finite for finite numbers: there a zero tangent needs no guard."""
LONGEST = 200


class NotSpelled(Exception):
    """A function does something that has no spelling."""


class Program:
    """Lines of code, each expression once."""

    def __init__(self) -> None:
        self.lines: dict[str, str] = {}  # from expression to name

    def write(self, expression: str) -> str:
        """The name of what an expression gives."""
        if len(self.lines) > LONGEST:
            raise NotSpelled
        return self.lines.setdefault(expression, f"t{len(self.lines)}")

    def lines_for(self, wanted: str, given: str = "") -> str:
        """The lines that an expression needs, that of ``given`` left out."""
        needed, kept = {wanted}, list[str]()
        for expression, name in reversed(self.lines.items()):
            if name in needed and name != given:
                kept.append(f"    {name} = {expression}\n")
                needed.update(re.findall(r"\bt\d+\b", expression))
        return "".join(reversed(kept))


def text_of(item: Any) -> str:
    """A symbol's name, or a number as code."""
    if isinstance(item, Symbol):
        return item.name
    if isinstance(item, (bool, np.bool_)):
        return str(bool(item))
    if not isinstance(item, (int, float, np.generic)) and np.shape(item):
        raise NotSpelled
    number = float(item)
    text = repr(abs(number)) if math.isfinite(number) else "np.nan" if math.isnan(number) else "np.inf"
    return f"(-{text})" if math.copysign(1, number) < 0 else text


def _is_whole(item: Any) -> bool:
    if not isinstance(item, (int, float, np.integer, np.floating)):
        return False
    return 0 <= float(item) < 64 and float(item).is_integer()


def _is_truth(item: Any) -> bool:
    return item.truth if isinstance(item, Symbol) else isinstance(item, (bool, np.bool_))


class Symbol(NDArrayOperatorsMixin):
    """A name for a number that is not known yet.

    ``truth``: a yes or no, with which NumPy calculates otherwise than with numbers (yes + yes = yes).
    """

    truth = False

    def __init__(self, program: Program, name: str) -> None:
        self.program, self.name = program, name

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise NotSpelled

    def as_truth(self, truth: bool = True) -> Symbol:  # noqa: FBT001, FBT002
        """The same symbol, marked."""
        self.truth = truth
        return self

    def write(self, expression: str, *_inputs: Any) -> Any:
        """The symbol for an expression in some inputs."""
        return Symbol(self.program, self.program.write(expression))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if any(isinstance(item, _Pair) for item in inputs):
            return NotImplemented
        if method != "__call__" or options or ufunc.nout != 1:
            raise NotSpelled
        if getattr(np, ufunc.__name__, None) is not ufunc:
            raise NotSpelled
        texts, truths = [text_of(item) for item in inputs], all(map(_is_truth, inputs))
        if (truths and ufunc not in PLAIN | LOGICAL) or (ufunc in LOGICAL and not truths):
            raise NotSpelled
        if ufunc is np.power and _is_whole(inputs[1]):
            power = int(inputs[1])
            return self.write(f"{texts[0]} ** {power}", inputs[0]) if power != 1 else inputs[0]
        if ufunc in OPERATORS:
            written = self.write(f"{texts[0]} {OPERATORS[ufunc]} {texts[1]}", *inputs)
            return written.as_truth(ufunc in PLAIN or ufunc in LOGICAL)
        return self.write(f"np.{ufunc.__name__}({', '.join(texts)})", *inputs).as_truth(ufunc in PLAIN)

    def __array_function__(self, function: Any, _types: Any, arguments: Any, options: Any) -> Any:
        if any(isinstance(item, _Pair) for item in arguments):
            return NotImplemented
        if function is not np.where or options or len(arguments) != 3:
            raise NotSpelled
        if not isinstance(arguments[0], Symbol):
            return arguments[1] if arguments[0] else arguments[2]
        written = self.write(f"np.where({', '.join(map(text_of, arguments))})", *arguments)
        return written.as_truth(all(map(_is_truth, arguments[1:])))

    def __bool__(self) -> bool:
        raise NotSpelled


class _Pair(NDArrayOperatorsMixin):
    """A symbol and its tangent, which is a number where that is known.

    ``wild``: the tangent may be infinite.
    """

    def __init__(self, value: Any, tangent: Any, *, wild: bool = False) -> None:
        self.value, self.tangent, self.wild = value, tangent, wild

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        values = [_value(item) for item in inputs]
        if method != "__call__" or options:
            raise NotSpelled
        if ufunc in PLAIN:
            return ufunc(*values)
        if ufunc not in SLOPES:
            raise NotSpelled
        result = ufunc(*values)
        tangent: Any = 0.0
        for slope, item in zip(SLOPES[ufunc], inputs, strict=True):
            if isinstance(item, _Pair) and not _is(item.tangent, 0.0):
                part = _product(slope(*values, result), item, steep=ufunc not in BOUNDED)
                tangent = part if _is(tangent, 0.0) else tangent + part
        wild = ufunc not in BOUNDED or any(isinstance(item, _Pair) and item.wild for item in inputs)
        return _Pair(result, tangent, wild=wild)

    def __array_function__(self, function: Any, _types: Any, arguments: Any, options: Any) -> Any:
        if function is np.where and len(arguments) == 3 and not options:
            condition, *branches = arguments
            tangents = [item.tangent if isinstance(item, _Pair) else 0.0 for item in branches]
            wild = any(isinstance(item, _Pair) and item.wild for item in branches)
            value = np.where(_value(condition), *map(_value, branches))
            same = isinstance(tangents[0], float) and _is(tangents[1], tangents[0])
            tangent = tangents[0] if same else np.where(_value(condition), *tangents)
            return _Pair(value, tangent, wild=wild)
        if not arguments or arguments[0] is not self:
            raise NotSpelled  # np.clip(2.0, 0.0, z), say
        if function is np.clip and len(arguments) == 3 and not options:
            return self.clip(*arguments[1:])
        if function in {np.sum, np.mean} and len(arguments) == 1:
            return (self.sum if function is np.sum else self.mean)(**options)
        if function in {np.zeros_like, np.ones_like} and len(arguments) == 1 and not options:
            return _Pair(self.value.write(f"np.{function.__name__}({text_of(self.value)})", self.value), 0.0)
        raise NotSpelled

    def clip(self, low: Any, high: Any) -> _Pair:
        """Between two numbers; the bounds belong to the inside."""
        if not isinstance(self.value, Symbol):
            raise NotSpelled
        value = self.value.write(f"np.clip({self.value.name}, {text_of(low)}, {text_of(high)})", self.value)
        inside = (self.value >= low) & (self.value <= high)
        return _Pair(value, np.where(inside, self.tangent, 0.0), wild=self.wild)

    def sum(self, *, axis: Any) -> _Sum:
        """Over the output units."""
        if type(axis) is not int or axis not in {1, -1}:
            raise NotSpelled
        return _Sum(self)

    def mean(self, *, axis: Any) -> _Sum:
        """Over the output units."""
        return (self / Symbol(self.value.program, "n")).sum(axis=axis)

    def __bool__(self) -> bool:
        raise NotSpelled


class _Sum:
    """The sum of a term over the output units: it may be scaled, and added to another."""

    def __init__(self, term: Any) -> None:
        self.term = term

    def __add__(self, other: Any) -> _Sum:
        return _Sum(self.term + _term(other))

    def __sub__(self, other: Any) -> _Sum:
        return _Sum(self.term - _term(other))

    def __mul__(self, factor: Any) -> _Sum:
        return _Sum(self.term * float(factor))

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> _Sum:
        return _Sum(self.term / float(divisor))

    def __neg__(self) -> _Sum:
        return _Sum(-self.term)


def _term(item: Any) -> Any:
    if not isinstance(item, _Sum):
        raise NotSpelled
    return item.term


def _value(item: Any) -> Any:
    return item.value if isinstance(item, _Pair) else item


def _is(item: Any, number: float) -> bool:
    return isinstance(item, float) and item == number


def _product(slope: Any, item: _Pair, *, steep: bool) -> Any:
    """slope·tangent, with the guards of :func:`dagnet.duals.dual.chain` where they may be needed."""
    tangent = item.tangent
    if not isinstance(slope, Symbol):
        slope = float(slope)
    if _is(tangent, 1.0) or _is(slope, 0.0):
        return slope
    if _is(slope, 1.0):
        return tangent
    product = slope * tangent
    if isinstance(tangent, Symbol) and steep:
        product = np.where(tangent == 0.0, 0.0, product)
    if isinstance(slope, Symbol) and item.wild:
        product = np.where((slope == 0.0) & (np.absolute(item.value) == np.inf), 0.0, product)
    return product


def spelled_out(function: Callable[..., Any], parameters: tuple[Any, ...] = ()) -> FunctionType | None:
    """The derivative of an elementwise function as ``slope(z, a)``, or None.

    Parameters
    ----------
    function
        ``function(z, *parameters) -> a``.
    parameters
        The values that it is to have.

    Returns
    -------
    function or None
        Code of arithmetic and calls ``np.name``, for one number or for arrays, with the
        parameters as constants; None where the function cannot be written so.

    Examples
    --------
    >>> import numpy as np
    >>> slope = spelled_out(lambda z: np.tanh(2 * z))
    >>> float(slope(0.0, 0.0))
    2.0
    """
    program = Program()
    result = traced(lambda: function(_Pair(Symbol(program, "z"), 1.0), *parameters))
    if not isinstance(result, _Pair) or not isinstance(result.value, Symbol):
        return None
    value, tangent = result.value.name, text_of(result.tangent)
    body = program.lines_for(tangent, value) + f"    return {tangent}\n"
    if value != "z":
        body = re.sub(rf"\b{value}\b", "a", body)
    return function_of("slope", f"def slope(z, a):\n{body}", function)


@dataclass(frozen=True)
class Term:
    """What a loss adds up over its n output units: ``value(o, t, n)``; ``slope(o, t, n)`` = ∂value/∂o."""

    value: FunctionType
    slope: FunctionType


def spelled_term(loss: Callable[..., Any], parameters: tuple[Any, ...] = ()) -> Term | None:
    """The term of a loss that is a sum over output units, or None.

    Parameters
    ----------
    loss
        ``loss(outputs, targets, *parameters) -> (rows,)``.
    parameters
        The values that it is to have.

    Returns
    -------
    Term or None
        Two functions, for one number or for arrays; None where units may interact, or where the loss
        does more than apply ufuncs, ``where`` and ``clip``, and sum over axis 1.

    Examples
    --------
    >>> term = spelled_term(lambda o, t: ((o - t) ** 2).sum(axis=1))
    >>> term.value(3.0, 1.0, 1), term.slope(3.0, 1.0, 1)
    (4.0, 4.0)
    """
    if reads_of(loss, *parameters) is None:
        return None
    program = Program()
    result = traced(
        lambda: loss(_Pair(Symbol(program, "o"), 1.0), _Pair(Symbol(program, "t"), 0.0), *parameters)
    )
    if not isinstance(result, _Sum) or not isinstance(result.term, _Pair):
        return None
    texts = text_of(result.term.value), text_of(result.term.tangent)
    bodies = (f"{program.lines_for(text)}    return {text}\n" for text in texts)
    value, slope = (function_of("term", f"def term(o, t, n):\n{body}", loss) for body in bodies)
    return Term(value, slope)


def traced(call: Callable[[], Any]) -> Any:
    """What a call gives, None where anything stops it."""
    try:
        with np.errstate(all="ignore"):
            return call()
    except Exception:  # noqa: BLE001 - whatever stops it, arrays serve
        return None


def function_of(name: str, code: str, origin: Callable[..., Any]) -> FunctionType:
    """The function that some code defines; ``origin`` is what it was derived from."""
    names: dict[str, Any] = {"np": np}
    exec(compile(code, f"<derived from {getattr(origin, '__name__', '')}>", "exec"), names)  # noqa: S102
    function: FunctionType = names[name]
    return function
