"""Arrays that remember how they were calculated: the tape of reverse mode.

Source: A. Griewank and A. Walther, *Evaluating Derivatives*, 2nd ed., SIAM 2008, chapter 3.

The tape is a list of steps.  An array that owns its numbers has a *bar*, the derivative of the final result
by it, which the way back gathers.  A view has none: it shows the same part of its base's bar, so writing
means what it means in NumPy.  What is overwritten is put back on the way back, so each slope finds the
numbers that it was calculated with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from dagnet.arrays import Array
from dagnet.errors import PluginError
from dagnet.formula.data import Untraceable
from dagnet.formula.operations import BY_UFUNC, OPERATIONS, PAIRS, Operation, full_name

Shares = Callable[[Array], Iterable[tuple[Any, Any]]]

FUNCTIONS: dict[Any, Callable[..., Any]] = {}
"""What NumPy functions, ufuncs written with others, and pairs of a ufunc and its method do."""
ROWS: dict[Any, Operation] = {ufunc: OPERATIONS[name] for ufunc, name in BY_UFUNC.items()}
POWERS: dict[float, np.ufunc] = {2: np.square, 0.5: np.sqrt, -1: np.reciprocal}
BASIC = {int, slice, type(None), type(...)}  # keys that never change and name each element once


class NotDifferentiable(Untraceable, PluginError, AttributeError):
    """What stands in the way of a derivative; the caller adds whose function it is."""


class Tape(list[Callable[[], None]]):
    """Steps that carry bars from results to operands, in the order of calculation."""

    product: Callable[..., Any] = np.multiply
    """How a bar and a slope are multiplied."""


class Taped(NDArrayOperatorsMixin):
    """An array, or a number as ufuncs return it, its bar, and the tape of all that was done.

    It is no subclass of ``ndarray``: what strips it to a bare array would lose the derivative without a
    word, and so is refused by name.  A view has the array that owns its numbers for ``base``, and a
    function that shows the same part of that array's bar.
    """

    __slots__ = ("bar", "base", "show", "tape", "value")

    def __init__(self, value: Any, tape: Tape, base: Taped | None = None, show: Any = None) -> None:
        if value.dtype.kind != "f":
            raise NotDifferentiable(f"calculates with numbers of type {value.dtype}", "use real ones")
        self.value, self.tape, self.base, self.show = value, tape, base, show
        self.bar: Any = None

    def view(self, value: Array, show: Callable[[Array], Any]) -> Taped:
        """An array that shows a part of this one."""
        base, first = (self, None) if self.base is None else (self.base, self.show)
        return Taped(value, self.tape, base, show if first is None else lambda bar: show(first(bar)))

    def opened(self) -> Any:
        """The bar, to be written to; zeros at first."""
        if self.base is not None:
            return self.show(self.base.opened())
        if self.bar is None:
            self.bar = np.zeros_like(self.value)
        return self.bar

    def gather(self, part: Any, *, own: bool) -> None:
        """Add to the bar, which lies in memory as the numbers do, so that views can be shown of it."""
        if part.shape != self.value.shape:
            part = _summed(part, self.value.shape)
        if self.base is None and self.bar is None:
            if not own or part.strides != self.value.strides:
                self.bar = np.empty_like(self.value, part.dtype)
                self.bar[...] = part
            else:
                self.bar = part
        else:
            bar = self.opened()
            np.add(bar, part, out=bar, casting="same_kind")

    shape = property(lambda self: self.value.shape)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    dtype = property(lambda self: self.value.dtype)
    real = property(lambda self: self)
    T = property(np.transpose)
    mT = property(np.matrix_transpose)  # noqa: N815 - NumPy's name

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, key: Any) -> Any:
        key, repeats = _fixed(key)
        value = self.value[key]
        if isinstance(value, np.ndarray) and np.may_share_memory(value, self.value):
            return self.view(value, itemgetter(key))
        result = Taped(value, self.tape)

        def back() -> None:
            if result.bar is not None and repeats:
                np.add.at(self.opened(), key, result.bar)
            elif result.bar is not None:
                self.opened()[key] += result.bar

        self.tape.append(back)
        return result

    def __setitem__(self, key: Any, item: Any) -> None:
        (key, repeats), root = _fixed(key), self if self.base is None else self.base
        value, old, last = self.value, np.array(self.value[key]), True
        value[key] = bare(item)
        if repeats:  # the last one written stays
            places = np.empty(value.shape, int)
            order = np.arange(places[key].size).reshape(places[key].shape)
            places[key] = order
            last = places[key] == order

        def back() -> None:
            value[key] = old
            if root.bar is None:
                return
            if key is Ellipsis and root is self:
                outer, self.bar = self.bar, None
            else:
                bar = self.opened()
                outer = np.array(bar[key])
                bar[key] = 0
            if type(item) is Taped:
                item.gather(outer if last is True else np.where(last, outer, 0), own=True)

        self.tape.append(back)

    def operate(self, name: str, *inputs: Any) -> Any:
        """One of the table's operations, by name."""
        return elementwise(OPERATIONS[name].function, OPERATIONS[name], inputs)

    def __pow__(self, n: Any) -> Any:
        short = POWERS.get(n) if isinstance(n, (int, float)) else None
        return np.power(self, n) if short is None else short(self)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__") and hasattr(np.ndarray, name):
            raise NotDifferentiable(f"uses ndarray.{name}, which has no derivative rule")
        raise AttributeError(f"'ndarray' object has no attribute {name!r}", name=name, obj=self)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        raise NotDifferentiable(
            "takes float() of an array that depends on its argument, as math.exp and the like do",
            "write it with NumPy's functions (np.exp for math.exp)",
        )

    def __array__(self, *_: Any, **__: Any) -> Array:
        raise NotDifferentiable(
            "makes a bare array of one that depends on its argument (np.asarray, np.array, np.vectorize "
            "and assignment into np.zeros or np.empty do that)",
            "keep it an array (np.zeros_like starts a result, np.stack joins some)",
        )

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if ufunc in PAIRS and not options:
            return tuple(part(*inputs) for part in PAIRS[ufunc])
        out = options.pop("out", (None,))[0]
        where = options.pop("where", True) if method == "__call__" else True
        row, call = ROWS.get(ufunc), method == "__call__"
        rule = FUNCTIONS.get(ufunc if call else (ufunc, method))
        if row is not None and row.truth:
            result = getattr(ufunc, method)(*map(bare, inputs), **options)
        elif call and row is not None:
            result = elementwise(ufunc, row, inputs, **options)
        elif rule is not None:
            result = rule(*inputs, **options)
        else:
            name = full_name(ufunc) + ("" if call else f".{method}")
            raise NotDifferentiable(f"calls {name}, which has no derivative rule")
        if where is not True:
            result = np.where(where, result, np.zeros_like(result) if out is None else out)
        return _written(ufunc, out, result)

    def __array_function__(self, function: Any, _types: Any, arguments: Any, options: Any) -> Any:
        if function not in FUNCTIONS:
            raise NotDifferentiable(f"calls {full_name(function)}, which has no derivative rule")
        out = options.pop("out", None)
        return _written(function, out, FUNCTIONS[function](*arguments, **options))


for _name, _ufunc in (("add", np.add), ("sub", np.subtract), ("mul", np.multiply), ("truediv", np.divide)):
    # straight to the table, where the mixin takes the detour by NumPy's door
    setattr(Taped, f"__{_name}__", lambda x, y, u=_ufunc: elementwise(u, ROWS[u], (x, y)))
    setattr(Taped, f"__r{_name}__", lambda y, x, u=_ufunc: elementwise(u, ROWS[u], (x, y)))


def bare(item: Any) -> Any:
    """The value alone; a list is made an array, which refuses if the derivative would be lost."""
    if type(item) is Taped:
        return item.value
    return np.array(item) if isinstance(item, (list, tuple)) else item


def held(item: Any) -> Any:
    """The bare value for the way back, when it has to be what it is now."""
    return item.copy() if isinstance(item, np.ndarray) and item.flags.writeable else bare(item)


def _fixed(key: Any) -> tuple[Any, bool]:
    """A key that stays what it is now, and whether it may name an element more than once."""
    if type(key) in BASIC:
        return key, False
    if type(key) is tuple:
        parts = [_fixed(part) for part in key]
        return tuple([part for part, _ in parts]), True in [repeats for _, repeats in parts]
    key = np.array(key, None if key else int) if type(key) is list else held(key)
    return key, isinstance(key, np.ndarray) and key.dtype.kind in "iu"


def recorded(value: Any, items: Any, shares: Shares) -> Any:
    """A result on the tape; ``shares`` tells what operands get of the derivative by it."""
    for item in items:
        if type(item) is Taped:
            result = Taped(value, item.tape)
            break
    else:
        return value

    def back() -> None:
        outer, result.bar = result.bar, None
        if outer is not None:
            for item, part in shares(outer):
                item.gather(part, own=part is not outer and part.flags.writeable)

    result.tape.append(back)
    return result


def _summed(outer: Array, shape: tuple[int, ...]) -> Array:
    """The derivative by what was broadcast from a shape."""
    more = outer.ndim - len(shape)
    ones = [place for place in range(len(shape)) if place + more >= 0 and shape[place] == 1]
    axes = (*range(more), *(place + more for place in ones))
    return np.sum(outer, axis=axes, keepdims=True).reshape(shape)


def elementwise(function: Callable[..., Any], row: Operation, inputs: Any, **options: Any) -> Any:
    """One of the table's operations, as some function calculates it."""
    values = [*map(held, inputs)]
    value = function(*values, **options)

    def shares(outer: Array) -> Iterator[tuple[Any, Any]]:
        for item, slope in zip(inputs, row.slopes, strict=True):
            if type(item) is Taped and slope is not None:
                by = slope(*values, value)
                yield item, outer if type(by) is float and by == 1.0 else item.tape.product(outer, by)

    return recorded(value, inputs, shares)


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
