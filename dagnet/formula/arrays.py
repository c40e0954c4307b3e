"""The gradient of what has no formula: one reverse pass over the arrays that ran through a function.

NumPy hands every ufunc and every function called on a :class:`Taped` array to the rules of this package
(``__array_ufunc__``, NEP 13, and ``__array_function__``, NEP 18); each leaves a step on the tape.  The cost
is a small multiple of the function's own, however many numbers the gradient has.

At a kink the derivative is the one of :mod:`dagnet.formula.operations`; sorting moves elements and keeps
the order of equal ones.  Where one side of a product of the chain rule is 0 and the other infinite or NaN,
it is 0: ``np.sqrt(np.maximum(z, 0))`` has 0 at negative z, and ``1 / (1 + np.exp(-z))`` at -1e4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.errors import shorten
from dagnet.formula.operations import OPERATIONS, REDUCTIONS, full_name, select
from dagnet.formula.tape import (
    FUNCTIONS,
    ROWS,
    NotDifferentiable,
    Tape,
    Taped,
    bare,
    elementwise,
    held,
    recorded,
)

Function = Callable[..., Any]


def value_and_gradient(function: Function, x: Array, *rest: Any) -> tuple[Array, Array]:
    """A function's value, and the derivative of its sum with respect to its first argument.

    The function is written with NumPy and works on a copy of ``x``.  A number that does not depend on ``x``
    is broadcast to its shape; the gradient has x's shape and dtype.  Where it comes out infinite or NaN the
    function is called once more, and each product of the chain rule is looked at.

    NotDifferentiable where something stands in the way: ``what`` continues "the function …", ``mend`` says
    what to write instead.

    Examples
    --------
    >>> value_and_gradient(lambda x: np.cumsum(np.sort(x)), np.array([2.0, 1.0, 5.0]))
    (array([1., 3., 8.]), array([2., 3., 1.]))
    """
    x = np.asarray(x)
    x = x if x.dtype.kind == "f" else x.astype(np.float64)
    with np.errstate(all="ignore"):
        value, gradient = _passed(function, x, rest, np.multiply)
        if not np.isfinite(gradient.sum()):
            value, gradient = _passed(function, x, rest, OPERATIONS["pull"].function)
    return value, gradient


def _passed(function: Function, x: Array, rest: Any, product: Function) -> tuple[Array, Array]:
    tape = Tape()
    tape.product = product
    argument = Taped(x.copy(), tape)
    result = function(argument, *map(_guarded, rest))
    if not isinstance(result, (Taped, np.ndarray, np.generic, int, float)):
        raise NotDifferentiable(f"must be a function that returns an array, got {shorten(result)}")
    value = np.array(bare(result))  # a copy: the way back puts back what was overwritten
    if type(result) is not Taped:
        return np.broadcast_to(value.astype(x.dtype), value.shape or x.shape).copy(), np.zeros_like(x)
    result.gather(np.ones_like(value), own=True)
    while tape:
        tape.pop()()
    return value, np.array(argument.opened(), x.dtype, copy=None)


def _guarded(item: Any) -> Any:
    """What cannot be written to need not be copied for the way back."""
    if type(item) is np.ndarray:
        item = item.view()
        item.flags.writeable = False
    return item


# -- what only asks, and what starts anew ------------------------------------------------------

QUESTIONS = (
    *("all", "allclose", "any", "argmax", "argmin", "argpartition", "argsort", "argwhere", "array_equal"),
    *("count_nonzero", "digitize", "flatnonzero", "isclose", "isin", "isneginf", "isposinf", "isrealobj"),
    *("iscomplexobj", "lexsort", "ndim", "nonzero", "result_type", "searchsorted", "shape", "size"),
)
"""What asks about an array, and answers without a derivative."""
FIX = getattr(np, "fix", np.trunc)  # deprecated since NumPy 2.5
FRESH = (np.zeros_like, np.ones_like, np.empty_like, np.round, np.around, FIX)


def _plain(item: Any) -> Any:
    return type(item)(map(_plain, item)) if isinstance(item, (list, tuple)) else bare(item)


def _asked(function: Function, *arguments: Any, **options: Any) -> Any:
    return function(*map(_plain, arguments), **{name: _plain(value) for name, value in options.items()})


def _fresh(function: Function, x: Any, *arguments: Any, **options: Any) -> Any:
    """A result whose derivative is 0 everywhere, and that items with one may be written to."""
    value = function(bare(x), *arguments, **options)
    return Taped(value, x.tape) if type(x) is Taped and value.dtype.kind == "f" else value


# -- what only moves -----------------------------------------------------------------------

MOVES: tuple[Function, ...] = (
    *(np.reshape, np.ravel, np.squeeze, np.expand_dims, np.atleast_1d, np.atleast_2d, np.atleast_3d),
    *(np.transpose, np.swapaxes, np.moveaxis, np.rollaxis, np.matrix_transpose, np.broadcast_to, np.resize),
    *(np.diag, np.diagonal, np.flip, np.fliplr, np.flipud, np.repeat, np.roll, np.rot90, np.tile, np.delete),
    *(np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit, np.take, np.take_along_axis, np.copy),
    *(np.concatenate, np.stack, np.hstack, np.vstack, np.dstack, np.column_stack, np.tril, np.triu),
    np.lib.stride_tricks.sliding_window_view,
)
"""What only moves, repeats, joins or leaves out elements of its first argument, or puts zeros."""


def _moved(function: Function, source: Any, *arguments: Any, **options: Any) -> Any:
    """Run on the elements' numbers, from 1 on, a function shows where each came from; 0 is nowhere."""
    if any(type(item) is Taped for item in (*arguments, *options.values())):
        raise NotDifferentiable(f"lets {full_name(function)} pick by numbers that depend on its argument")
    value = function(_plain(source), *arguments, **options)
    if isinstance(value, (list, tuple)):
        each = [lambda *a, place=place, **o: function(*a, **o)[place] for place in range(len(value))]
        return [_moved(some, source, *arguments, **options) for some in each]
    many = isinstance(source, (list, tuple))
    if not many and value.flags.writeable and np.may_share_memory(value, source.value):
        return source.view(value, lambda bar: function(bar, *arguments, **options))
    parts, numbers, end = source if many else [source], [], 1
    for part in parts:
        count = part.size if type(part) is Taped else 0
        own = np.arange(end, end + count) if count else np.zeros(np.size(part), int)
        numbers.append(own.reshape(np.shape(part)))
        end += count
    places = np.ravel(function(numbers if many else numbers[0], *arguments, **options))

    def shares(outer: Array) -> Iterator[tuple[Any, Any]]:
        bar, start = np.bincount(places, np.ravel(outer), end), 1
        for part in parts:
            if type(part) is Taped:
                yield part, bar[start : start + part.size].reshape(part.shape)
                start += part.size

    return recorded(value if value.flags.writeable else value.copy(), parts, shares)


def _laid_out(x: Any, axis: Any) -> tuple[Any, int]:
    axis = 0 if axis is None and x.ndim == 1 else axis
    return (np.ravel(x), 0) if axis is None or x.ndim == 0 else (x, axis % x.ndim)


def _sort(x: Any, axis: Any = -1, **_: Any) -> Any:
    x, axis = _laid_out(x, axis)
    order = np.argsort(bare(x), axis, kind="stable")
    return x[order] if x.ndim == 1 else np.take_along_axis(x, order, axis)


# -- what folds ----------------------------------------------------------------------------


def _reduced(
    kind: str, x: Any, axis: Any = None, dtype: Any = None, *, keepdims: Any = False, initial: Any = None,
    where: Any = True,
) -> Any:  # fmt: skip
    entry, x = REDUCTIONS[kind], x if where is True else np.where(where, x, REDUCTIONS[kind].start)
    combine: Any = OPERATIONS[entry.combine].function
    values = held(x)
    value = combine.reduce(values, axis=axis, dtype=dtype, keepdims=keepdims)

    def over(other: str, a: Any) -> Any:
        return REDUCTIONS[other].function(a, axis=axis, keepdims=True)

    def shares(outer: Array) -> Iterator[tuple[Any, Any]]:
        kept = list(values.shape)
        for place in range(values.ndim) if axis is None or not kept else np.atleast_1d(axis):
            kept[place] = 1
        outer = outer.reshape(kept)
        if kind != "sum":
            outer = x.tape.product(outer, entry.slope(values, value.reshape(kept), over))
        yield x, np.broadcast_to(outer, values.shape)

    result = recorded(value, [x], shares)
    return result if initial is None else combine(result, initial)


def _accumulate(ufunc: np.ufunc, x: Any, axis: Any = 0, dtype: Any = None) -> Any:
    """From the last result on, each hands on what is left to the one before."""
    x, axis = _laid_out(x, axis)
    values, slopes = held(x), ROWS[ufunc].slopes
    results = ufunc.accumulate(values, axis, dtype)
    backwards = (slice(None),) * axis + (slice(None, None, -1),)

    def shares(outer: Array) -> Iterator[tuple[Any, Any]]:
        if ufunc is np.add:
            yield x, np.add.accumulate(outer[backwards], axis)[backwards]
            return
        bar = np.array(outer)
        rows, old, new = (np.moveaxis(some, axis, 0) for some in (bar, values, results))
        along, own = (slope(new[:-1], old[1:], new[1:]) for slope in slopes if slope)
        for place in range(len(along), 0, -1):
            rows[place - 1] += x.tape.product(along[place - 1], rows[place])
        rows[1:] = x.tape.product(own, rows[1:])
        yield x, bar

    return recorded(results, [x], shares)


def _logaddexp(x: Any, axis: Any = 0, *, keepdims: bool = False) -> Any:
    x, axis = _laid_out(x, axis)
    return np.take(_accumulate(np.logaddexp, x, axis), [-1] if keepdims else -1, axis)


def _mean(x: Any, axis: Any = None, dtype: Any = None, *, keepdims: Any = False) -> Any:
    total = np.sum(x, axis, dtype, keepdims=keepdims)
    return total / (x.size / max(total.size, 1))


def _var(x: Any, axis: Any = None, dtype: Any = None, *, ddof: Any = 0, keepdims: Any = False) -> Any:
    total = np.sum(np.square(x - np.mean(x, axis, keepdims=True)), axis, dtype, keepdims=keepdims)
    return total / (x.size / max(total.size, 1) - ddof)


def _norm(x: Any, ord: Any = None, axis: Any = None, *, keepdims: Any = False) -> Any:  # noqa: A002
    if ord is not None and not (ord == 2 and (x.ndim == 1 if axis is None else np.ndim(axis) == 0)):
        raise NotDifferentiable(f"calls numpy.linalg.norm with ord={ord!r}", "only the default has a rule")
    return np.sqrt(np.sum(np.square(x), axis, keepdims=keepdims))


def _matmul(x: Any, y: Any) -> Any:
    left, right = np.asarray(held(x)), np.asarray(held(y))
    row, column = left.ndim == 1, right.ndim == 1
    rows, columns = left[None] if row else left, right[:, None] if column else right

    def shares(outer: Array) -> Iterator[tuple[Any, Any]]:
        outer = outer[..., None] if column else outer
        outer = outer[..., None, :] if row else outer
        if type(x) is Taped:
            yield x, (outer @ columns.mT)[..., 0, :] if row else outer @ columns.mT
        if type(y) is Taped:
            yield y, (rows.mT @ outer)[..., 0] if column else rows.mT @ outer

    return recorded(np.matmul(left, right), [x, y], shares)


def _dot(x: Any, y: Any) -> Any:
    if np.ndim(y) > 2:
        raise NotDifferentiable("calls numpy.dot with an array of more than two axes", "use @")
    return np.multiply(x, y) if 0 in (np.ndim(x), np.ndim(y)) else np.matmul(x, y)


# -- what chooses ----------------------------------------------------------------------------


def _where(condition: Any, *branches: Any) -> Any:
    if not branches:
        return np.nonzero(condition)
    return elementwise(np.where, OPERATIONS["where"], (condition, *branches))


def _clip(x: Any, a_min: Any = None, a_max: Any = None, **options: Any) -> Any:
    low, high = options.get("min", a_min), options.get("max", a_max)
    low, high = -np.inf if low is None else low, np.inf if high is None else high
    return elementwise(np.clip, OPERATIONS["clip"], (x, low, high))


def _astype(x: Any, dtype: Any, *_: Any, **__: Any) -> Any:
    value = x.value.astype(dtype)
    return value if value.dtype.kind in "biu" else recorded(value, [x], lambda outer: [(x, outer)])


OTHERS = (np.where, np.clip, np.select, np.sort, np.matmul, np.dot, np.mean, np.var, np.linalg.norm)


def _rule(function: Function, first: Any) -> Function:
    """A function with its first argument fixed, which may be a method."""
    return lambda *arguments, **options: function(first, *arguments, **options)


FUNCTIONS |= {getattr(np, name): _rule(_asked, getattr(np, name)) for name in QUESTIONS}
FUNCTIONS |= {function: _rule(_moved, function) for function in MOVES}
FUNCTIONS |= {function: _rule(_fresh, function) for function in FRESH}
for _kind, _entry in REDUCTIONS.items():
    _ufunc, _name = OPERATIONS[_entry.combine].function, f"a{_kind}"
    FUNCTIONS |= {_entry.function: _rule(_reduced, _kind), getattr(np, _name, _name): _rule(_reduced, _kind)}
    FUNCTIONS[_ufunc, "reduce"] = lambda x, axis=0, *a, kind=_kind, **o: _reduced(kind, x, axis, *a, **o)
    FUNCTIONS[_ufunc, "accumulate"] = _rule(_accumulate, _ufunc)
FUNCTIONS |= {
    **dict(zip(OTHERS, (_where, _clip, select, _sort, _matmul, _dot, _mean, _var, _norm), strict=True)),
    (np.logaddexp, "reduce"): _logaddexp,
    (np.logaddexp, "accumulate"): _rule(_accumulate, np.logaddexp),
    np.std: lambda *arguments, **options: np.sqrt(np.var(*arguments, **options)),
    np.real: lambda x: x,
    np.cumsum: lambda x, axis=None, dtype=None: _accumulate(np.add, x, axis, dtype),
    np.cumprod: lambda x, axis=None, dtype=None: _accumulate(np.multiply, x, axis, dtype),
    np.full_like: lambda x, value, *arguments, **options: np.zeros_like(x, *arguments, **options) + value,
    np.nan_to_num: lambda x, **limits: np.where(np.isfinite(x), x, np.nan_to_num(bare(x), **limits)),
    np.vecdot: lambda x, y, axis=-1: np.sum(np.multiply(x, y), axis),
    np.outer: lambda x, y: np.multiply(np.ravel(x)[:, None], np.ravel(y)),
}
METHODS = (
    *("all", "any", "argmax", "argmin", "argsort", "clip", "cumprod", "cumsum", "diagonal", "dot"),
    *("max", "mean", "min", "nonzero", "prod", "ravel", "repeat", "round", "squeeze", "std", "sum"),
    *("swapaxes", "take", "var"),
)
for _name, _method in {
    **{name: FUNCTIONS[getattr(np, name)] for name in METHODS},
    "astype": _astype,
    "reshape": lambda x, *shape, **order: np.reshape(x, shape[0] if len(shape) == 1 else shape, **order),
    "transpose": lambda x, *axes: np.transpose(x, (axes[0] if len(axes) == 1 else axes) or None),
    "flatten": lambda x, order="C": np.copy(np.ravel(x, order)),
    "fill": lambda x, value: x.__setitem__(..., value),
    "sort": lambda x, axis=-1, **_: x.__setitem__(..., np.sort(x, axis)),
    **dict.fromkeys(
        ("copy", "__copy__", "__deepcopy__"),
        lambda x, *_: x if isinstance(x.value, np.generic) else np.copy(x),  # a number cannot be written to
    ),
}.items():
    setattr(Taped, _name, _method)
