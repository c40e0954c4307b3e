"""What NumPy's functions do to duals, continued: choices, fresh arrays, products."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from dagnet.duals.dual import COMPOSED, FUNCTIONS, Dual, chain, plain, seeds, tangent
from dagnet.duals.functions import Function, rule

__all__: list[str] = []

# -- choices -------------------------------------------------------------------------------


@rule(np.where)
def _where(condition: Any, *branches: Any) -> Any:
    """The chosen branch's tangent alone: what the other one holds, NaN too, cannot reach it."""
    condition = plain(condition)
    if not branches or not any(isinstance(branch, Dual) for branch in branches):
        return np.where(condition, *branches)
    count = seeds(branches)
    chosen, other = (tangent(branch, count) for branch in branches)
    return Dual(
        np.where(condition, *map(plain, branches)), np.where(np.asarray(condition)[..., None], chosen, other)
    )


@rule(np.clip)
def _clip(x: Any, a_min: Any = None, a_max: Any = None, **options: Any) -> Any:
    """The bounds belong to the inside, as in ``torch.clamp``."""
    low, high = options.get("min", a_min), options.get("max", a_max)
    value, below, above = plain(x), plain(low), plain(high)
    result = np.clip(value, below, above)
    lowest = -np.inf if below is None else below
    highest = np.inf if above is None else above
    parts = [
        (x, (value >= lowest) & (value <= highest)),
        (low, (value < lowest) & (lowest < highest)),
        (high, (value > highest) | (highest < lowest)),
    ]
    terms = [chain(inside.astype(float), item.tangents) for item, inside in parts if isinstance(item, Dual)]
    return Dual(result, sum(terms[1:], terms[0]))


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
    value = plain(x)
    result = Dual(np.nan_to_num(value, **options), np.where(np.isfinite(value)[..., None], x.tangents, 0))
    if not copy:
        x[...] = result
    return result if copy else x


# -- fresh arrays --------------------------------------------------------------------------


def _constant(function: Function, x: Any, *arguments: Any, **options: Any) -> Any:
    """A result whose derivative is 0 everywhere, and that items with one may be written to."""
    value = np.asarray(function(plain(x), *arguments, **options))
    return Dual(value, np.zeros(seeds([x]))) if np.issubdtype(value.dtype, np.floating) else value


CONSTANTS: tuple[Function, ...] = (np.zeros_like, np.ones_like, np.empty_like, np.round, np.around, np.fix)
FUNCTIONS.update({function: partial(_constant, function) for function in CONSTANTS})


@rule(np.full_like)
def _full_like(x: Any, fill_value: Any, *arguments: Any, **options: Any) -> Any:
    if isinstance(fill_value, Dual):
        return np.zeros_like(x, *arguments, **options) + fill_value
    return _constant(np.full_like, x, fill_value, *arguments, **options)


@rule(np.copy)
def _copy(x: Any, *_: Any, **__: Any) -> Any:
    return x.copy()


@rule(np.real)
def _real(x: Any) -> Any:
    return x


@rule(np.copyto)
def _copyto(into: Any, source: Any, casting: Any = None, *, where: Any = True) -> None:  # noqa: ARG001
    into[...] = np.where(plain(where), source, into)


@rule(np.putmask)
def _putmask(into: Any, mask: Any, values: Any) -> None:
    _copyto(into, values, where=mask)


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


def _matmul(a: Any, b: Any) -> Any:
    """The product rule; the seeds travel as one more leading axis."""
    a_row, b_column = np.ndim(a) == 1, np.ndim(b) == 1
    a = np.expand_dims(a, 0) if a_row else a
    b = np.expand_dims(b, 1) if b_column else b
    value = np.matmul(plain(a), plain(b))
    total = np.zeros((seeds((a, b)), *value.shape), value.dtype)
    if isinstance(a, Dual):
        total += np.matmul(_leading(a, value.ndim), plain(b))
    if isinstance(b, Dual):
        total += np.matmul(plain(a), _leading(b, value.ndim))
    result = Dual(value, np.moveaxis(total, 0, -1))
    return np.squeeze(result, axis=(-2,) * a_row + (-1,) * b_column)


def _leading(x: Dual, ndim: int) -> Any:
    tangents = np.moveaxis(x.tangents, -1, 0)
    return tangents.reshape(len(tangents), *[1] * (ndim - x.ndim), *x.shape)


COMPOSED[np.matmul] = _matmul


@rule(np.dot)
def _dot(a: Any, b: Any) -> Any:
    return np.multiply(a, b) if 0 in (np.ndim(a), np.ndim(b)) else _matmul(a, b)


def _vecdot(a: Any, b: Any, *, axis: int = -1) -> Any:
    return np.sum(np.multiply(a, b), axis=axis)


COMPOSED[np.vecdot] = _vecdot
COMPOSED[np.divmod] = lambda x, y: (np.floor_divide(x, y), np.remainder(x, y))
COMPOSED[np.modf] = lambda x: (x - np.trunc(x), np.trunc(x))
