"""The dual array: a NumPy array that carries its derivative along.

``Dual`` is no subclass of ``ndarray``: what strips it to a bare array would lose the
derivative without a word, and so is refused by name instead.
"""

# ruff: noqa: D102 - the methods are ndarray's

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from dagnet.duals.slopes import PLAIN, SLOPES
from dagnet.errors import PluginError

__all__ = [
    "COMPOSED",
    "FUNCTIONS",
    "Dual",
    "NotDifferentiable",
    "chain",
    "full_name",
    "plain",
    "seeds",
    "tangent",
]

Array = NDArray[Any]

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
"""What NumPy functions (not ufuncs) do to duals."""

COMPOSED: dict[np.ufunc, Callable[..., Any]] = {}
"""Ufuncs that are written with others."""

REDUCTIONS: dict[np.ufunc, Callable[..., Any]] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
}
METHODS = frozenset(
    {
        *("all", "any", "argmax", "argmin", "argsort", "clip", "cumsum", "dot", "max", "mean"),
        *("min", "nonzero", "prod", "ravel", "repeat", "round", "squeeze", "std", "sum", "swapaxes", "take"),
        *("var", "conjugate", "conj"),
    }
)
ONE_NUMBER = (
    "takes {} of a whole array, as math.exp and the like do",
    "write it with NumPy's functions (np.exp for math.exp, np.where for if)",
)


class NotDifferentiable(PluginError, AttributeError):
    """What stands in the way of a derivative; the caller adds whose function it is."""

    def __init__(self, what: str, mend: str = "") -> None:
        self.what = what
        self.mend = mend
        super().__init__(what + (f"; {mend}" if mend else ""))


class Dual(NDArrayOperatorsMixin):
    """An array and its tangents: its derivatives with respect to one or more seeds.

    Parameters
    ----------
    value
        Of any shape.
    tangents
        Of the value's shape and one more axis, last: one entry a seed.

    Indexing gives views as NumPy does, so in-place operators and item assignment mean here
    what they mean there.
    """

    __slots__ = ("tangents", "value")

    def __init__(self, value: Any, tangents: Any) -> None:
        self.value: Array = np.asarray(value)
        if self.value.dtype.kind != "f":
            raise NotDifferentiable(f"calculates with numbers of type {self.value.dtype}", "use real ones")
        wanted = (*self.value.shape, np.shape(tangents)[-1])
        if np.shape(tangents) != wanted:
            tangents = np.broadcast_to(tangents, wanted).copy()
        self.tangents: Array = np.asarray(tangents, dtype=self.value.dtype)

    # -- what arrays show ----------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def ndim(self) -> int:
        return self.value.ndim

    @property
    def size(self) -> int:
        return self.value.size

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.value.dtype

    @property
    def real(self) -> Dual:
        return self

    @property
    def T(self) -> Any:  # noqa: N802 - NumPy's name
        return np.transpose(self)

    @property
    def mT(self) -> Any:  # noqa: N802 - NumPy's name
        return np.swapaxes(self, -1, -2)

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Dual]:
        return (self[place] for place in range(len(self)))

    def __repr__(self) -> str:
        return f"Dual({self.value!r}, tangents={self.tangents!r})"

    # -- items ---------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Dual:
        return Dual(self.value[key], self.tangents[_with_seeds(key)])

    def __setitem__(self, key: Any, item: Any) -> None:
        self.value[key] = plain(item)
        self.tangents[_with_seeds(key)] = item.tangents if isinstance(item, Dual) else 0.0

    # -- methods -------------------------------------------------------------------------

    def reshape(self, *shape: Any, **options: Any) -> Any:
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, **options)

    def transpose(self, *axes: Any) -> Any:
        return np.transpose(self, (axes[0] if len(axes) == 1 else axes) or None)

    def flatten(self, order: Any = "C") -> Any:
        return np.ravel(self, order).copy()

    def copy(self, order: Any = "C") -> Dual:
        return Dual(self.value.copy(order), self.tangents.copy())

    def __copy__(self) -> Dual:
        return self.copy()

    def __deepcopy__(self, _: Any) -> Dual:
        return self.copy()

    def astype(self, dtype: Any, *_: Any, **__: Any) -> Any:
        if np.dtype(dtype).kind in "biu":
            return self.value.astype(dtype)
        return Dual(self.value.astype(dtype), self.tangents.astype(dtype))

    def fill(self, value: Any) -> None:
        self[...] = value

    def __getattr__(self, name: str) -> Any:
        if name in METHODS:
            function = getattr(np, name)
            return lambda *arguments, **options: function(self, *arguments, **options)
        if not name.startswith("__") and hasattr(np.ndarray, name):
            raise NotDifferentiable(f"uses ndarray.{name}, which has no derivative rule")
        raise AttributeError(f"'ndarray' object has no attribute {name!r}", name=name, obj=self)

    # -- what would lose the derivative --------------------------------------------------

    def __bool__(self) -> bool:
        raise NotDifferentiable(ONE_NUMBER[0].format("the truth value"), ONE_NUMBER[1])

    def __float__(self) -> float:
        raise NotDifferentiable(ONE_NUMBER[0].format("float()"), ONE_NUMBER[1])

    def __int__(self) -> int:
        raise NotDifferentiable(ONE_NUMBER[0].format("int()"), ONE_NUMBER[1])

    def __complex__(self) -> complex:
        raise NotDifferentiable(ONE_NUMBER[0].format("complex()"), ONE_NUMBER[1])

    def __round__(self, digits: int = 0) -> Any:
        return np.round(self, digits)

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
        if ufunc in PLAIN:
            return getattr(ufunc, method)(*map(plain, inputs), **options)
        rule = REDUCTIONS.get(ufunc) if method == "reduce" else None
        if rule is None:
            raise NotDifferentiable(f"calls {full_name(ufunc)}.{method}, which has no derivative rule")
        return rule(*inputs, **{"axis": 0, **options})

    def __array_function__(
        self, function: Callable[..., Any], _types: Any, arguments: Any, options: Any
    ) -> Any:
        rule = FUNCTIONS.get(function)
        if rule is None:
            raise NotDifferentiable(f"calls {full_name(function)}, which has no derivative rule")
        out = options.get("out")
        if out is None:
            return rule(*arguments, **options)
        result = rule(*arguments, **{name: value for name, value in options.items() if name != "out"})
        return _write(full_name(function), out, result)


def plain(item: Any) -> Any:
    """The bare value of a dual; lists and tuples are walked, all else passes."""
    if isinstance(item, Dual):
        return item.value
    if isinstance(item, (list, tuple)):
        return type(item)(map(plain, item))
    return item


def tangent(item: Any, count: int) -> Array:
    """An operand's tangents, ``count`` zeros an element where it is no dual."""
    if isinstance(item, Dual):
        return item.tangents
    return np.zeros((*np.shape(item), count))


def seeds(items: Any) -> int:
    """How many seeds the first dual among some operands carries."""
    return next(int(item.tangents.shape[-1]) for item in items if isinstance(item, Dual))


def chain(slope: Any, tangents: Array, value: Any = 0.0) -> Array:
    """slope·tangent at a value.

    A zero tangent stays zero even beside an infinite slope; so does a zero slope at an infinite
    value, where something overflowed and the function has levelled out, as 1/(1 + exp(-z)) does.
    """
    if isinstance(slope, (int, float)) and math.isfinite(slope):
        return tangents * slope
    slope = np.asarray(slope)[..., None]
    product: Array = slope * tangents
    if not np.isfinite(product).all():
        level = (slope == 0) & np.isinf(np.asarray(value))[..., None]
        product = np.where((tangents == 0) | level, 0, product)
    return product


def full_name(function: Any) -> str:
    """How a user writes a function: ``numpy.sort``, ``scipy.special.expit``."""
    name = getattr(function, "__name__", repr(function))
    if not isinstance(function, np.ufunc):
        return f"{getattr(function, '__module__', None) or 'numpy'}.{name}"
    if getattr(np, name, None) is function:
        return f"numpy.{name}"
    return f"{_home(function, name)}{name}"


def _home(ufunc: np.ufunc, name: str) -> str:
    special = sys.modules.get("scipy.special")
    return "scipy.special." if getattr(special, name, None) is ufunc else "the ufunc "


def _with_seeds(key: Any) -> Any:
    """An index for the tangents: theirs has one more axis, which an ellipsis must not eat."""
    parts = key if isinstance(key, tuple) else (key,)
    return (*parts, slice(None)) if any(part is Ellipsis for part in parts) else key


def _write(name: str, out: Any, result: Any) -> Any:
    if not isinstance(out, Dual):
        raise NotDifferentiable(
            f"lets {name} write a result that depends on its argument into a bare array",
            "start that array with np.zeros_like, or use the returned one",
        )
    out[...] = result
    return out


def _call(ufunc: np.ufunc, inputs: Any, *, out: Any = None, where: Any = True, **options: Any) -> Any:
    """A ufunc on duals: its value, and by the chain rule its tangents."""
    if ufunc in PLAIN:
        return ufunc(*map(plain, inputs), out=out, where=where, **options)
    if ufunc in COMPOSED:
        result = COMPOSED[ufunc](*inputs, **options)
    elif ufunc in SLOPES:
        result = _differentiated(ufunc, inputs, out, options)
    else:
        raise NotDifferentiable(f"calls {full_name(ufunc)}, which has no derivative rule")
    if where is not True:
        base = out[0] if out else np.zeros_like(result)
        result = np.where(where, result, base)
    return _write(full_name(ufunc), out[0], result) if out else result


def _differentiated(ufunc: np.ufunc, inputs: Any, out: Any, options: Any) -> Dual:
    values = [item if isinstance(item, (int, float)) else np.asarray(plain(item)) for item in inputs]
    value = ufunc(*values, **options)
    with np.errstate(all="ignore"):
        parts = [
            chain(slope(*values, value), item.tangents, item.value)
            for slope, item in zip(SLOPES[ufunc], inputs, strict=True)
            if isinstance(item, Dual)
        ]
        total = sum(parts[1:], parts[0]) if parts else np.zeros((1,) * np.ndim(value) + (seeds(out),))
        return Dual(value, total)
