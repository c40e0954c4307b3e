"""What NumPy's functions do to duals: reductions, rearrangements, choices and the like."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from dagnet.duals.dual import FUNCTIONS, Dual, NotDifferentiable, chain, full_name, plain, seeds, tangent

__all__: list[str] = []

Function = Callable[..., Any]

QUESTIONS = (
    *("all", "allclose", "any", "argmax", "argmin", "argsort", "argwhere", "array_equal", "array_equiv"),
    *("common_type", "count_nonzero", "digitize", "flatnonzero", "isclose", "iscomplex", "iscomplexobj"),
    *("isin", "isneginf", "isposinf", "isreal", "isrealobj", "may_share_memory", "ndim", "nonzero"),
    *("result_type", "searchsorted", "shape", "shares_memory", "size"),
)
"""What asks about an array, and answers without a derivative."""

RESHAPES: tuple[Function, ...] = (np.squeeze, np.expand_dims, np.atleast_1d, np.atleast_2d, np.atleast_3d)
TRANSPOSES: tuple[Function, ...] = (np.transpose, np.swapaxes, np.moveaxis, np.rollaxis, np.matrix_transpose)
REARRANGEMENTS: tuple[Function, ...] = (
    *(np.broadcast_to, np.diag, np.diagonal, np.flip, np.fliplr, np.flipud),
    *(np.repeat, np.resize, np.roll, np.rot90, np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit),
    *(np.delete, np.take, np.take_along_axis, np.tile),
)


def rule(*functions: Any) -> Callable[[Function], Function]:
    """Register what some NumPy functions do to duals."""

    def register(implementation: Function) -> Function:
        FUNCTIONS.update(dict.fromkeys(functions, implementation))
        return implementation

    return register


def _plainly(function: Function, *arguments: Any, **options: Any) -> Any:
    return function(*map(plain, arguments), **{name: plain(value) for name, value in options.items()})


for _name in QUESTIONS:
    FUNCTIONS[getattr(np, _name)] = partial(_plainly, getattr(np, _name))

# -- reductions ----------------------------------------------------------------------------


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    return tuple(range(ndim)) if axis is None else normalize_axis_tuple(axis, ndim)


def _weighed(x: Dual, slope: Any, axes: tuple[int, ...], keepdims: bool) -> Any:  # noqa: FBT001
    with np.errstate(all="ignore"):
        return chain(slope, x.tangents).sum(axis=axes, keepdims=keepdims)


@rule(np.sum)
def _sum(
    x: Any, axis: Any = None, dtype: Any = None, *, keepdims: Any = False,
    initial: Any = 0, where: Any = True,
) -> Any:  # fmt: skip
    if where is not True:
        x = np.where(where, x, 0)
    axes = _axes(axis, x.ndim)
    value = np.sum(plain(x), axis=axes, dtype=dtype, keepdims=keepdims)
    return Dual(value, _weighed(x, 1.0, axes, keepdims)) + initial


@rule(np.mean)
def _mean(x: Any, axis: Any = None, dtype: Any = None, *, keepdims: Any = False, where: Any = True) -> Any:
    shape = np.broadcast_shapes(x.shape, np.shape(where))
    counts = np.broadcast_to(where, shape).sum(axis=axis, keepdims=keepdims)
    return np.sum(x, axis=axis, dtype=dtype, keepdims=keepdims, where=where) / np.asarray(counts, x.dtype)


@rule(np.var)
def _var(
    x: Any, axis: Any = None, dtype: Any = None, *, ddof: Any = 0, keepdims: Any = False,
    correction: Any = None,
) -> Any:  # fmt: skip
    count = math.prod(x.shape[place] for place in _axes(axis, x.ndim))
    squares = np.square(x - np.mean(x, axis=axis, keepdims=True))
    freedom = count - (ddof if correction is None else correction)
    return np.sum(squares, axis=axis, dtype=dtype, keepdims=keepdims) / freedom


@rule(np.std)
def _std(*arguments: Any, **options: Any) -> Any:
    return np.sqrt(_var(*arguments, **options))


def _extreme(
    function: Function, pair: np.ufunc, x: Any, axis: Any = None, *, keepdims: Any = False,
    initial: Any = None, where: Any = True,
) -> Any:  # fmt: skip
    """Ties share the derivative evenly, as in ``torch.amax``."""
    if where is not True:
        x = np.where(where, x, initial)
    axes = _axes(axis, x.ndim)
    value = plain(x)
    best = function(value, axis=axes, keepdims=True)
    ties = (value == best) | (np.isnan(value) & np.isnan(best))
    result = Dual(
        best if keepdims else np.squeeze(best, axis=axes),
        _weighed(x, ties / ties.sum(axis=axes, keepdims=True), axes, keepdims),
    )
    return result if initial is None else pair(result, initial)


FUNCTIONS.update(dict.fromkeys((np.max, np.amax), partial(_extreme, np.max, np.maximum)))
FUNCTIONS.update(dict.fromkeys((np.min, np.amin), partial(_extreme, np.min, np.minimum)))


@rule(np.prod)
def _prod(
    x: Any, axis: Any = None, dtype: Any = None, *, keepdims: Any = False,
    initial: Any = 1, where: Any = True,
) -> Any:  # fmt: skip
    """Each factor's slope is the product of the others, which a division by zero would miss."""
    if where is not True:
        x = np.where(where, x, 1)
    axes = _axes(axis, x.ndim)
    value = plain(x)
    zero = value == 0
    others = np.prod(np.where(zero, 1, value), axis=axes, keepdims=True) / np.where(zero, 1, value)
    zeros_beside = zero.sum(axis=axes, keepdims=True) - zero
    slope = np.where(zeros_beside == 0, others, 0)
    product = np.prod(value, axis=axes, dtype=dtype, keepdims=keepdims)
    return Dual(product, _weighed(x, slope, axes, keepdims)) * initial


@rule(np.cumsum)
def _cumsum(x: Any, axis: Any = None, dtype: Any = None) -> Any:
    if axis is None:
        x, axis = np.ravel(x), 0
    place = normalize_axis_index(axis, x.ndim)
    return Dual(np.cumsum(plain(x), place, dtype), np.cumsum(x.tangents, place))


@rule(np.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Any = None, *, keepdims: Any = False) -> Any:  # noqa: A002
    vector = x.ndim == 1 if axis is None else np.ndim(axis) == 0
    if ord is not None and not (ord == 2 and vector):
        raise NotDifferentiable(f"calls numpy.linalg.norm with ord={ord!r}", "only the default has a rule")
    return np.sqrt(np.sum(np.square(x), axis=axis, keepdims=keepdims))


# -- rearrangements ------------------------------------------------------------------------


def _reshaped(function: Function, x: Any, *arguments: Any, **options: Any) -> Any:
    value = function(plain(x), *arguments, **options)
    return Dual(value, x.tangents.reshape(*value.shape, x.tangents.shape[-1]))


def _transposed(function: Function, x: Any, *arguments: Any, **options: Any) -> Any:
    # An array of shape (0, 1, 2, …) shows in its new shape which axis went where.
    axes = function(np.empty(range(x.ndim)), *arguments, **options).shape
    return Dual(function(plain(x), *arguments, **options), x.tangents.transpose(*axes, x.ndim))


def _rearranged(function: Function, x: Any, *arguments: Any, **options: Any) -> Any:
    """Whatever only moves and repeats elements shows on their numbers where each one went."""
    if not isinstance(x, Dual):
        raise NotDifferentiable(f"lets {full_name(function)} pick by numbers that depend on its argument")
    numbers = function(np.arange(plain(x).size).reshape(x.shape), *arguments, **options)
    flat = np.ravel(x)
    return [flat[some] for some in numbers] if isinstance(numbers, (list, tuple)) else flat[numbers]


FUNCTIONS.update({function: partial(_reshaped, function) for function in RESHAPES})
FUNCTIONS.update({function: partial(_transposed, function) for function in TRANSPOSES})
FUNCTIONS.update({function: partial(_rearranged, function) for function in REARRANGEMENTS})


@rule(np.reshape)
def _reshape(x: Any, shape: Any, order: Any = "C", **options: Any) -> Any:
    return (_reshaped if order == "C" else _rearranged)(np.reshape, x, shape, order, **options)


@rule(np.ravel)
def _ravel(x: Any, order: Any = "C") -> Any:
    return (_reshaped if order == "C" else _rearranged)(np.ravel, x, order)


# -- joining -------------------------------------------------------------------------------


@rule(np.concatenate)
def _concatenate(parts: Any, axis: Any = 0, **options: Any) -> Any:
    if axis is None:
        parts, axis = [np.ravel(part) for part in parts], 0
    value = np.concatenate(plain(list(parts)), axis=axis, **options)
    count = seeds(parts)
    place = normalize_axis_index(axis, value.ndim)
    return Dual(value, np.concatenate([tangent(part, count) for part in parts], axis=place))


@rule(np.stack)
def _stack(parts: Any, axis: Any = 0, **options: Any) -> Any:
    return np.concatenate([np.expand_dims(part, axis) for part in parts], axis=axis, **options)
