"""Arrays that remember how they were calculated: the tape of reverse mode.

Source: A. Griewank and A. Walther, *Evaluating Derivatives*, 2nd ed., SIAM 2008, chapter 3.

An array goes with a second one of its form, its *bar*: the derivative of the final result by it, which the
reverse pass gathers.  A view of the one goes with the same view of the other, so writing means what it
means in NumPy.  What is overwritten stands on the tape and is put back on the way back: each slope finds
the numbers that it was calculated with.
"""

# ruff: noqa: D102 - the methods are ndarray's

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from dagnet.errors import PluginError
from dagnet.formula.operations import BY_UFUNC, OPERATIONS, full_name

__all__ = ["FUNCTIONS", "Array", "NotDifferentiable", "Pull", "Tape", "Taped"]
__all__ += ["elementwise", "full_name", "held", "plain", "recorded", "summed", "through"]

Array = NDArray[Any]
Pull = Callable[[Array], Any]
Tape = list[Callable[[], None]]

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
"""What NumPy functions do to such arrays, and the ufuncs among them that are written with others."""

METHODS = (
    *("all", "any", "argmax", "argmin", "argsort", "clip", "conj", "conjugate", "cumprod", "cumsum"),
    *("diagonal", "dot", "max", "mean", "min", "nonzero", "prod", "ravel", "repeat", "round", "squeeze"),
    *("std", "sum", "swapaxes", "take", "var"),
)
POWERS: dict[float, np.ufunc] = {2: np.square, 0.5: np.sqrt, -1: np.reciprocal}
"""The exponents that arrays know by name."""
LINEAR = ("add", "subtract")
"""Operations whose slopes read nothing."""


class NotDifferentiable(PluginError, AttributeError):
    """What stands in the way of a derivative; the caller adds whose function it is."""

    def __init__(self, what: str, mend: str = "") -> None:
        self.what, self.mend = what, mend
        super().__init__(what + (f"; {mend}" if mend else ""))


class Taped(NDArrayOperatorsMixin):
    """An array, its bar, and the tape of all that was done.

    It is no subclass of ``ndarray``: what strips it to a bare array would lose the derivative without a
    word, and so is refused by name.

    Parameters
    ----------
    value
        An array of floating-point numbers, or one number as NumPy's ufuncs return it.
    tape
        Steps that carry bars from results to operands, in the order of calculation.
    view
        For a view: the array that it shows, and the function that shows the same of its bar.
    """

    __slots__ = ("_bar", "tape", "value", "view")

    def __init__(self, value: Any, tape: Tape, view: tuple[Taped, Pull] | None = None) -> None:
        if value.dtype.kind != "f":
            raise NotDifferentiable(f"calculates with numbers of type {value.dtype}", "use real ones")
        self.value: Any = value
        self.tape, self.view = tape, view
        self._bar: Array | None = None

    @property
    def bar(self) -> Array:
        """The derivative by this array as far as it is known; zeros at first."""
        if self._bar is None:
            self._bar = np.zeros_like(self.value) if self.view is None else self.view[1](self.view[0].bar)
        return self._bar

    @property
    def reached(self) -> bool:
        """Whether the way back has come by."""
        return self._bar is not None or (self.view is not None and self.view[0].reached)

    def gather(self, part: Any, outer: Array) -> None:
        """Add to the bar a share of another one, ``outer``; the first is kept as it is, if it may be."""
        bar = self._bar if self.view is None else self.bar
        if bar is not None:
            np.add(bar, part, out=bar)
            return
        value, part = self.value, np.asarray(part)
        alike = part.shape == value.shape and part.strides == value.strides and part.dtype == value.dtype
        if alike and not np.may_share_memory(part, outer):
            self._bar = part
        else:
            self._bar = np.empty_like(value)
            self._bar[...] = part

    # -- what arrays show ----------------------------------------------------------------

    shape = property(lambda self: self.value.shape)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    dtype = property(lambda self: self.value.dtype)
    real = property(lambda self: self)
    T = property(np.transpose)
    mT = property(np.matrix_transpose)  # noqa: N815 - NumPy's name

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Any]:
        return (self[place] for place in range(len(self)))

    def __repr__(self) -> str:
        return f"Taped({self.value!r})"

    # -- items ---------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        key = held(key)
        value = self.value[key]
        if isinstance(value, np.ndarray) and np.may_share_memory(value, self.value):
            return Taped(value, self.tape, (self, lambda bar: bar[key]))
        result = Taped(value, self.tape)

        def back() -> None:
            if result.reached and _may_repeat(key):
                np.add.at(self.bar, key, result.bar)
            elif result.reached:
                self.bar[key] += result.bar

        self.tape.append(back)
        return result

    def __setitem__(self, key: Any, item: Any) -> None:
        key, value = held(key), self.value
        old, last = np.copy(value[key]), None
        value[key] = plain(item)
        if isinstance(item, Taped) and _may_repeat(key):  # the last one written stays
            order = np.arange(old.size).reshape(old.shape)
            numbers = np.zeros(self.shape, int)
            numbers[key] = order
            last = numbers[key] == order

        def back() -> None:
            value[key] = old
            if self.reached:
                outer = np.copy(self.bar[key])
                self.bar[key] = 0
            if self.reached and isinstance(item, Taped):
                outer = outer if last is None else np.where(last, outer, 0)
                item.gather(summed(outer, item.shape), self.bar)

        self.tape.append(back)

    # -- methods -------------------------------------------------------------------------

    def reshape(self, *shape: Any, **options: Any) -> Any:
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, **options)

    def transpose(self, *axes: Any) -> Any:
        return np.transpose(self, (axes[0] if len(axes) == 1 else axes) or None)

    def flatten(self, order: Any = "C") -> Any:
        return np.ravel(self, order).copy()

    def copy(self, order: Any = "C") -> Any:
        return np.copy(self, order)

    def __deepcopy__(self, _: Any) -> Any:
        return self.copy()

    def astype(self, dtype: Any, *_: Any, copy: bool = True, **__: Any) -> Any:
        if not copy and self.dtype == dtype:
            return self
        value = self.value.astype(dtype)
        return value if value.dtype.kind in "biu" else recorded(value, (self, lambda outer: outer))

    def fill(self, value: Any) -> None:
        self[...] = value

    def sort(self, axis: int = -1, **_: Any) -> None:
        self[...] = np.sort(self, axis)

    def operate(self, name: str, *inputs: Any) -> Any:
        """One of the table's operations, by name."""
        return elementwise(OPERATIONS[name].function, name, inputs)

    def __pow__(self, n: Any) -> Any:
        short = POWERS.get(n) if isinstance(n, (int, float)) else None
        return np.power(self, n) if short is None else short(self)

    def __getattr__(self, name: str) -> Any:
        if name in METHODS:
            function = getattr(np, name)
            return lambda *arguments, **options: function(self, *arguments, **options)
        if not name.startswith("__") and hasattr(np.ndarray, name):
            raise NotDifferentiable(f"uses ndarray.{name}, which has no derivative rule")
        raise AttributeError(f"'ndarray' object has no attribute {name!r}", name=name, obj=self)

    # -- bare numbers --------------------------------------------------------------------

    def __bool__(self) -> bool:
        return bool(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __float__(self) -> float:
        raise NotDifferentiable(
            "takes float() of an array that depends on its argument, as math.exp and the like do",
            "write it with NumPy's functions (np.exp for math.exp)",
        )

    __complex__ = __float__

    def __array__(self, *_: Any, **__: Any) -> Array:
        raise NotDifferentiable(
            "makes a bare array of one that depends on its argument (np.asarray, np.array, np.vectorize "
            "and assignment into np.zeros or np.empty do that)",
            "keep it an array (np.zeros_like starts a result, np.stack joins some)",
        )

    # -- NumPy's two doors ---------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method == "__call__":
            return _call(ufunc, inputs, **options)
        if ufunc in BY_UFUNC and OPERATIONS[BY_UFUNC[ufunc]].truth:
            return getattr(ufunc, method)(*map(plain, inputs), **options)
        rule = FUNCTIONS.get(getattr(np.ufunc, method))
        if rule is None or ufunc not in BY_UFUNC:
            raise NotDifferentiable(f"calls {full_name(ufunc)}.{method}, which has no derivative rule")
        out = options.pop("out", (None,))[0]
        return _written(ufunc, out, rule(ufunc, *inputs, **options))

    def __array_function__(self, function: Any, _types: Any, arguments: Any, options: Any) -> Any:
        rule = FUNCTIONS.get(function)
        if rule is None:
            raise NotDifferentiable(f"calls {full_name(function)}, which has no derivative rule")
        result = rule(*arguments, **{name: value for name, value in options.items() if name != "out"})
        return _written(function, options.get("out"), result)


# -- what rules are made of ------------------------------------------------------------------


def plain(item: Any) -> Any:
    """The bare value; lists and tuples are walked, all else passes."""
    if isinstance(item, (list, tuple)):
        return type(item)(map(plain, item))
    return item.value if isinstance(item, Taped) else item


def held(item: Any) -> Any:
    """The bare value for the way back: what a function may write to meanwhile is copied."""
    if isinstance(item, (list, tuple)):
        return type(item)(map(held, item))
    return item.copy() if isinstance(item, np.ndarray) and item.flags.writeable else plain(item)


def recorded(value: Any, *pulls: tuple[Any, Pull]) -> Any:
    """A result on the tape; ``pull(outer)`` is an operand's share of the derivative by the result."""
    pulls = tuple((item, pull) for item, pull in pulls if isinstance(item, Taped))
    if not pulls:
        return value
    result = Taped(value if value.base is None else value.copy(), pulls[0][0].tape)

    def back() -> None:
        if result.reached:
            outer = result.bar
            for item, pull in pulls:
                item.gather(pull(outer), outer)

    result.tape.append(back)
    return result


def through(slope: Any, outer: Any) -> Any:
    """The product of the chain rule; a zero wins over what is infinite or NaN on the other side."""
    if isinstance(slope, float) and math.isfinite(slope):
        return outer if slope == 1 else outer * slope
    product = slope * outer
    if not math.isfinite(product.sum() if product.ndim else product):
        product = np.where(np.equal(slope, 0) | np.equal(outer, 0), 0, product)
    return product


def summed(outer: Array, shape: tuple[int, ...]) -> Array:
    """The derivative by what was broadcast from a shape."""
    if outer.shape == shape:
        return outer
    more = outer.ndim - len(shape)
    ones = [place for place in range(len(shape)) if place + more >= 0 and shape[place] == 1]
    axes = (*range(more), *(place + more for place in ones))
    return np.sum(outer, axis=axes, keepdims=True).reshape(shape)


def elementwise(function: Callable[..., Any], name: str, inputs: Any, **options: Any) -> Any:
    """One of the table's operations, as some function calculates it."""
    values = [(plain if name in LINEAR else held)(item) for item in inputs]
    value = function(*values, **options)

    def pull(slope: Callable[..., Any] | None, item: Any) -> tuple[Any, Pull]:
        if slope is None:
            return item, lambda _: 0.0
        return item, lambda outer: summed(through(slope(*values, value), outer), item.value.shape)

    slopes = zip(OPERATIONS[name].slopes, inputs, strict=True)
    return recorded(value, *(pull(slope, item) for slope, item in slopes if isinstance(item, Taped)))


def _may_repeat(key: Any) -> bool:
    """Whether a key may name an element more than once."""
    parts = key if isinstance(key, tuple) else (key,)
    return any(isinstance(part, (list, np.ndarray)) and np.asarray(part).dtype.kind in "iu" for part in parts)


def _call(ufunc: np.ufunc, inputs: Any, *, out: Any = None, where: Any = True, **options: Any) -> Any:
    name = BY_UFUNC.get(ufunc, "")
    if ufunc in FUNCTIONS:
        result = FUNCTIONS[ufunc](*inputs, **options)
    elif not name:
        raise NotDifferentiable(f"calls {full_name(ufunc)}, which has no derivative rule")
    elif OPERATIONS[name].truth:
        result = ufunc(*map(plain, inputs), **options)
    else:
        result = elementwise(ufunc, name, inputs, **options)
    if where is not True:
        result = np.where(where, result, out[0] if out else np.zeros_like(result))
    return _written(ufunc, out[0] if out else None, result)


def _written(function: Callable[..., Any], out: Any, result: Any) -> Any:
    """A result where ``out=`` and in-place operators want it; one number is replaced, not written to."""
    if out is None or (isinstance(out, Taped) and isinstance(out.value, np.generic)):
        return result
    if isinstance(result, Taped) and not isinstance(out, Taped):
        raise NotDifferentiable(
            f"lets {full_name(function)} write a result that depends on its argument into a bare array",
            "start that array with np.zeros_like, or use the returned one",
        )
    out[...] = result
    return out
