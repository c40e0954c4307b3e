"""What NumPy's functions do to arrays on a tape; a rule here is all that a function needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from dagnet.formula.operations import BY_UFUNC, OPERATIONS, REDUCTIONS
from dagnet.formula.tape import (
    FUNCTIONS,
    Array,
    NotDifferentiable,
    Pull,
    Taped,
    elementwise,
    full_name,
    held,
    plain,
    recorded,
    summed,
    through,
)

__all__: list[str] = []

Function = Callable[..., Any]

QUESTIONS = (
    *("all", "allclose", "any", "argmax", "argmin", "argpartition", "argsort", "argwhere", "array_equal"),
    *("array_equiv", "common_type", "count_nonzero", "digitize", "flatnonzero", "isclose", "iscomplex"),
    *("iscomplexobj", "isin", "isneginf", "isposinf", "isreal", "isrealobj", "lexsort", "may_share_memory"),
    *("ndim", "nonzero", "result_type", "searchsorted", "shape", "shares_memory", "size"),
)
"""What asks about an array, and answers without a derivative."""

MOVES: tuple[Function, ...] = (
    *(np.reshape, np.ravel, np.squeeze, np.expand_dims, np.atleast_1d, np.atleast_2d, np.atleast_3d),
    *(np.transpose, np.swapaxes, np.moveaxis, np.rollaxis, np.matrix_transpose, np.broadcast_to),
    *(np.diag, np.diagonal, np.flip, np.fliplr, np.flipud, np.repeat, np.resize, np.roll, np.rot90, np.tile),
    *(np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit, np.delete, np.take, np.take_along_axis),
    np.lib.stride_tricks.sliding_window_view,
)
JOINS = (np.concatenate, np.stack, np.hstack, np.vstack, np.dstack, np.column_stack)
FRESH = (np.zeros_like, np.ones_like, np.empty_like, np.round, np.around, np.fix)


def rule(function: Any) -> Callable[[Function], Function]:
    """Register what a NumPy function does."""
    return lambda implementation: FUNCTIONS.setdefault(function, implementation)


def _plainly(function: Function, *arguments: Any, **options: Any) -> Any:
    return function(*map(plain, arguments), **{name: plain(value) for name, value in options.items()})


FUNCTIONS.update({getattr(np, name): partial(_plainly, getattr(np, name)) for name in QUESTIONS})

# -- reductions ----------------------------------------------------------------------------


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    return tuple(range(ndim)) if axis is None else normalize_axis_tuple(axis, ndim)


def _laid_out(x: Any, axis: Any) -> tuple[Any, Any]:
    return (np.ravel(x), 0) if axis is None else (x, axis)


def _reduced(
    kind: str, x: Any, axis: Any = None, dtype: Any = None, *, keepdims: Any = False,
    initial: Any = None, where: Any = True,
) -> Any:  # fmt: skip
    """One of the table's reductions."""
    entry = REDUCTIONS[kind]
    x = x if where is True else np.where(where, x, entry.start)
    axes, values = _axes(axis, x.ndim), plain(x)
    best = entry.function(values, axis=axes, keepdims=True, **({} if dtype is None else {"dtype": dtype}))

    def pull(outer: Array) -> Any:
        slope = entry.slope(values, best, lambda by, a: REDUCTIONS[by].function(a, axis=axes, keepdims=True))
        return through(slope, outer.reshape(best.shape))

    result = recorded((best if keepdims else np.squeeze(best, axes))[()], (x, pull))
    return result if initial is None else OPERATIONS[entry.combine].function(result, initial)


FUNCTIONS.update({getattr(np, kind): partial(_reduced, kind) for kind in ("sum", "prod", "max", "min")})
FUNCTIONS.update({np.amax: FUNCTIONS[np.max], np.amin: FUNCTIONS[np.min]})


def _count(x: Any, axis: Any, where: Any, *, keepdims: Any) -> Any:
    if where is True:
        return math.prod(x.shape[place] for place in _axes(axis, x.ndim))
    chosen = np.broadcast_to(where, np.broadcast_shapes(x.shape, np.shape(where)))
    return np.sum(chosen, axis=axis, keepdims=keepdims, dtype=x.dtype)


@rule(np.mean)
def _mean(x: Any, axis: Any = None, dtype: Any = None, *, keepdims: Any = False, where: Any = True) -> Any:
    total = np.sum(x, axis=axis, dtype=dtype, keepdims=keepdims, where=where)
    return total / _count(x, axis, where, keepdims=keepdims)


@rule(np.var)
def _var(
    x: Any, axis: Any = None, dtype: Any = None, *, ddof: Any = 0, keepdims: Any = False,
    where: Any = True, correction: Any = None,
) -> Any:  # fmt: skip
    squares = np.square(x - np.mean(x, axis=axis, keepdims=True, where=where))
    freedom = _count(x, axis, where, keepdims=keepdims) - (ddof if correction is None else correction)
    return np.sum(squares, axis=axis, dtype=dtype, keepdims=keepdims, where=where) / freedom


@rule(np.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Any = None, *, keepdims: Any = False) -> Any:  # noqa: A002
    vector = x.ndim == 1 if axis is None else np.ndim(axis) == 0
    if ord is not None and not (ord == 2 and vector):
        raise NotDifferentiable(f"calls numpy.linalg.norm with ord={ord!r}", "only the default has a rule")
    return np.sqrt(np.sum(np.square(x), axis=axis, keepdims=keepdims))


@rule(np.ufunc.reduce)
def _reduce(ufunc: np.ufunc, x: Any, axis: Any = 0, dtype: Any = None, **options: Any) -> Any:
    """A fold over slices where no reduction has the name."""
    for kind, entry in REDUCTIONS.items():
        if OPERATIONS[entry.combine].function is ufunc:
            return _reduced(kind, x, axis, dtype, **options)
    if dtype is not None or any(name != "keepdims" for name in options) or isinstance(axis, tuple):
        raise NotDifferentiable(f"calls {full_name(ufunc)}.reduce otherwise than over one axis")
    x, axis = _laid_out(x, axis)
    return np.take(_accumulate(ufunc, x, axis), [-1] if options.get("keepdims") else -1, axis)


# -- sums along the way ----------------------------------------------------------------------


@rule(np.ufunc.accumulate)
def _accumulate(ufunc: np.ufunc, x: Any, axis: Any = 0) -> Any:
    """From the last result on, each hands on what is left to the one before."""
    if ufunc is np.add:
        return np.cumsum(x, axis)
    values = np.moveaxis(plain(x), axis, 0)
    results = ufunc.accumulate(values)

    def pull(outer: Array) -> Any:
        rows = np.array(np.moveaxis(outer, axis, 0))
        known = results[:-1], values[1:], results[1:]
        slopes = [slope(*known) if slope else 0.0 for slope in OPERATIONS[BY_UFUNC[ufunc]].slopes]
        along = np.broadcast_to(slopes[0], rows[1:].shape)
        for place in range(len(along), 0, -1):
            rows[place - 1] += through(along[place - 1], rows[place])
        rows[1:] = through(slopes[1], rows[1:])
        return np.moveaxis(rows, 0, axis)

    return recorded(np.moveaxis(results, 0, axis), (x, pull))


@rule(np.cumsum)
def _cumsum(x: Any, axis: Any = None, dtype: Any = None) -> Any:
    x, axis = _laid_out(x, axis)
    value = np.cumsum(plain(x), axis, dtype)
    return recorded(value, (x, lambda outer: np.flip(np.cumsum(np.flip(outer, axis), axis), axis)))


@rule(np.diff)
def _diff(x: Any, n: int = 1, axis: int = -1) -> Any:
    rows = np.moveaxis(x, axis, 0)
    for _ in range(n):
        rows = rows[1:] - rows[:-1]
    return np.moveaxis(rows, 0, axis)


# -- moving elements -------------------------------------------------------------------------


def _shown(function: Function, place: int, arguments: Any, options: Any, bar: Array) -> Any:
    return function(bar, *arguments, **options)[place]


def _moved(function: Function, x: Any, *arguments: Any, **options: Any) -> Any:
    """What only moves and repeats elements: a view of both arrays, or what their numbers show."""
    if not isinstance(x, Taped):
        raise NotDifferentiable(f"lets {full_name(function)} pick by numbers that depend on its argument")
    value = function(x.value, *arguments, **options)
    if isinstance(value, (list, tuple)):
        return [
            Taped(some, x.tape, (x, partial(_shown, function, place, arguments, options)))
            for place, some in enumerate(value)
        ]
    if np.may_share_memory(value, x.value) and value.flags.writeable:
        return Taped(value, x.tape, (x, lambda bar: function(bar, *arguments, **options)))
    size, shape = x.size, x.shape
    numbers = np.ravel(function(np.arange(size).reshape(shape), *arguments, **options))

    def pull(outer: Array) -> Any:
        bar = np.zeros(size, outer.dtype)
        np.add.at(bar, numbers, np.ravel(outer))
        return bar.reshape(shape)

    return recorded(value, (x, pull))


FUNCTIONS.update({function: partial(_moved, function) for function in MOVES})


def _joined(function: Function, parts: Any, *arguments: Any, **options: Any) -> Any:
    """The elements' numbers show where each part's went."""
    value = function(plain(list(parts)), *arguments, **options)
    numbers, end = [], 0
    for part in parts:
        numbers.append(np.arange(end, end + np.size(part)).reshape(np.shape(part)))
        end += np.size(part)
    places = np.empty(value.size, int)
    axis = {name: value for name, value in options.items() if name == "axis"}
    places[np.ravel(function(numbers, *arguments, **axis))] = np.arange(value.size)

    def pull(own: Array) -> Pull:
        return lambda outer: np.ravel(outer)[places[own]]

    return recorded(value, *((part, pull(own)) for part, own in zip(parts, numbers, strict=True)))


FUNCTIONS.update({function: partial(_joined, function) for function in JOINS})


@rule(np.median)
def _median(x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    x, axis = _laid_out(x, axis)
    ordered = np.sort(x, axis)
    count = ordered.shape[axis]
    middle = np.take(ordered, [(count - 1) // 2, count // 2], axis)
    unknown = np.isnan(ordered).any(axis, keepdims=keepdims)
    return np.where(unknown, np.nan, np.mean(middle, axis, keepdims=keepdims))


# -- choices -------------------------------------------------------------------------------


@rule(np.where)
def _where(condition: Any, *branches: Any) -> Any:
    return elementwise(np.where, "where", (condition, *branches)) if branches else np.nonzero(condition)


@rule(np.clip)
def _clip(x: Any, a_min: Any = None, a_max: Any = None, **options: Any) -> Any:
    low, high = options.get("min", a_min), options.get("max", a_max)
    low, high = -np.inf if low is None else low, np.inf if high is None else high
    return elementwise(np.clip, "clip", (x, low, high))


@rule(np.select)
def _select(conditions: Any, choices: Any, default: Any = 0) -> Any:
    result = default
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        result = np.where(condition, choice, result)
    return result


@rule(np.piecewise)
def _piecewise(x: Any, conditions: Any, functions: Any, *arguments: Any, **options: Any) -> Any:
    conditions = [np.broadcast_to(plain(condition), x.shape) for condition in conditions]
    if len(functions) == len(conditions) + 1:
        conditions.append(~np.any(conditions, axis=0))
    result = np.zeros_like(x)
    for condition, function in zip(conditions, functions, strict=True):
        if callable(function) and condition.any():
            result[condition] = function(x[condition], *arguments, **options)
        elif not callable(function):
            result[condition] = function
    return result


@rule(np.nan_to_num)
def _nan_to_num(x: Any, copy: bool = True, **options: Any) -> Any:  # noqa: FBT001, FBT002
    finite = np.isfinite(x)
    result = recorded(np.nan_to_num(plain(x), **options), (x, lambda outer: np.where(finite, outer, 0)))
    if not copy:
        x[...] = result
    return result if copy else x


# -- fresh arrays --------------------------------------------------------------------------


def _fresh(function: Function, x: Any, *arguments: Any, **options: Any) -> Any:
    """A result whose derivative is 0 everywhere, and that items with one may be written to."""
    value = function(plain(x), *arguments, **options)
    return Taped(value, x.tape) if isinstance(x, Taped) and value.dtype.kind == "f" else value


FUNCTIONS.update({function: partial(_fresh, function) for function in FRESH})


@rule(np.copyto)
def _copyto(into: Any, source: Any, casting: Any = None, *, where: Any = True) -> None:  # noqa: ARG001
    into[...] = np.where(plain(where), source, into)


@rule(np.sinc)
def _sinc(x: Any) -> Any:
    """Smooth at 0, where its formula is not."""
    angle = np.pi * np.where(x == 0, 1.0, x)
    return np.where(x == 0, 1.0, np.sin(angle) / angle)


@rule(np.polyval)
def _polyval(coefficients: Any, x: Any) -> Any:
    result = np.zeros_like(x)
    for coefficient in coefficients:
        result = result * x + coefficient
    return result


# -- products ------------------------------------------------------------------------------


@rule(np.matmul)
def _matmul(x: Any, y: Any) -> Any:
    left, right = np.asarray(held(x)), np.asarray(held(y))
    row, column = left.ndim == 1, right.ndim == 1
    rows, columns = left[None] if row else left, right[:, None] if column else right

    def whole(outer: Array) -> Array:
        outer = outer[..., None] if column else outer
        return outer[..., None, :] if row else outer

    def pull_left(outer: Array) -> Any:
        return summed(whole(outer) @ columns.mT, rows.shape).reshape(left.shape)

    def pull_right(outer: Array) -> Any:
        return summed(rows.mT @ whole(outer), columns.shape).reshape(right.shape)

    return recorded(np.matmul(left, right), (x, pull_left), (y, pull_right))


@rule(np.dot)
def _dot(x: Any, y: Any) -> Any:
    if np.ndim(y) > 2:
        raise NotDifferentiable("calls numpy.dot with an array of more than two axes", "use @")
    return np.multiply(x, y) if 0 in (np.ndim(x), np.ndim(y)) else np.matmul(x, y)


@rule(np.einsum)
def _einsum(subscripts: str, *operands: Any, **options: Any) -> Any:
    inputs, arrow, out = subscripts.replace(" ", "").partition("->")
    terms, values = inputs.split(","), list(held(operands))
    if not arrow or "." in inputs or any(len(set(term)) < len(term) for term in terms):
        raise NotDifferentiable("calls numpy.einsum with shortened subscripts", "write them as 'ij,jk->ik'")

    def pull(place: int) -> tuple[Any, Callable[[Array], Any]]:
        """What is multiplied by ones has all its letters, those too that were summed away."""
        others, shape = [*values[:place], *values[place + 1 :]], np.shape(values[place])
        spelled = ",".join([*terms[:place], *terms[place + 1 :], terms[place], out]) + "->" + terms[place]
        return operands[place], lambda outer: summed(
            np.einsum(spelled, *others, np.ones(shape, outer.dtype), outer, optimize=True), shape
        )

    return recorded(np.einsum(subscripts, *values, **options), *map(pull, range(len(terms))))


# -- what is written with others -----------------------------------------------------------

FUNCTIONS.update(
    {
        np.std: lambda *arguments, **options: np.sqrt(np.var(*arguments, **options)),
        np.cumprod: lambda x, axis=None: np.multiply.accumulate(*_laid_out(x, axis)),
        np.copy: lambda x, order="K", **_: recorded(
            np.array(plain(x), order=order), (x, lambda outer: outer)
        ),
        np.full_like: lambda x, value, *arguments, **options: np.zeros_like(x, *arguments, **options) + value,
        np.real: lambda x: x,
        np.sort: lambda x, axis=-1, **_: np.take_along_axis(
            x, np.argsort(plain(x), axis, kind="stable"), axis
        ),
        np.partition: lambda x, kth, axis=-1: np.take_along_axis(
            x, np.argpartition(plain(x), kth, axis), axis
        ),
        np.putmask: lambda into, mask, values: np.copyto(into, values, where=mask),
        np.vecdot: lambda x, y, axis=-1: np.sum(np.multiply(x, y), axis=axis),
        np.outer: lambda x, y: np.multiply(np.ravel(x)[:, None], np.ravel(y)),
        np.ufunc.outer: lambda ufunc, x, y: ufunc(np.reshape(x, np.shape(x) + (1,) * np.ndim(y)), y),
        np.divmod: lambda x, y: (np.floor_divide(x, y), np.remainder(x, y)),
        np.modf: lambda x: (x - np.trunc(x), np.trunc(x)),
        np.ldexp: lambda x, n: x * np.ldexp(x.dtype.type(1), n),
    }
)
