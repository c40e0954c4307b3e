"""Functions called on a few numbers: what they take and give, and their derivatives by differences."""

from __future__ import annotations

import inspect
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.errors import DagnetError, PluginError, Verbatim, expected
from dagnet.formula import place_in_source, place_of

WRONG = 1e-5
"""How far a derivative may be from the function's, relative to the larger of it and 1."""
STEP = 6e-6
Function = Callable[..., Any]


def checked_arity(where: str, function: Function, arguments: tuple[str, ...]) -> None:
    """Refuse a function that cannot be called with so many arguments."""
    n, takes = len(arguments), ""
    if isinstance(function, np.ufunc):  # its signature has a place for out=
        takes = str(function.nin) if function.nin != n else ""
    else:
        try:
            inspect.signature(function).bind(*arguments)
        except TypeError:
            takes = str(inspect.signature(function))
        except ValueError:  # some that are written in C do not say
            pass
    if takes:
        must = f"a function of {n} argument{'s' * (n != 1)}, ({', '.join(arguments)})"
        mend = "take all of them, read or not, and name in parameters={…} what else it takes"
        raise PluginError(expected(where + place_of(function), must, Verbatim(f"one of {takes}"), mend))


class _ReadsFile(Exception):
    pass


@contextmanager
def _no_files() -> Iterator[None]:
    """Opening a file raises where it happens, unless a profiler runs, which is left alone."""

    def watch(_frame: Any, event: str, called: Any) -> None:
        if event == "c_call" and (called is io.open or called is os.open):
            raise _ReadsFile

    if sys.getprofile() is not None:
        yield
        return
    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(None)


def checked_result(
    where: str, function: Function, arguments: tuple[Array, ...], shape: tuple[int, ...], written: Any = None
) -> Array:
    """What a function gives for copies of the arguments: floats of a shape, the same bits each time.

    PluginError if it gives something else, changes from call to call, writes to its arguments, reads a file,
    or raises.  ``written`` is the function as its author wrote it, whose place messages name.
    """
    results, at = [], place_of(written) if written is not None else ""
    for watched in (nullcontext, _no_files):  # the first call may import something
        given = tuple(argument.copy() for argument in arguments)
        try:
            with np.errstate(all="ignore"), watched():
                result = function(*given)
        except _ReadsFile as reading:
            mend = "read it before, and hand on what it says as a parameter"
            raise PluginError(f"{where} must read no file{place_in_source(reading)}; {mend}") from None
        except DagnetError:
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}{place_in_source(error)}"
            mend = "it must take any array of floats: np.exp for math.exp, np.where for if"
            raise PluginError(f"{where} raised {what}; {mend}") from error
        if not all(map(_equal, given, arguments)):
            raise PluginError(f"{where} must leave its arguments as they are{at}; make a new array")
        _refuse_other(f"{where}{at}: result for {given[0].shape} numbers", result, given[0], shape)
        results.append(np.array(result))
    if not _equal(*results):
        place = int(np.flatnonzero(results[0].reshape(-1) != results[1].reshape(-1))[0])
        pair = " and ".join(repr(float(result.flat[place])) for result in results)
        must = f"must give the same numbers for the same arguments, got {pair}{at}"
        raise PluginError(f"{where} {must}; a function may keep no count and draw no random numbers")
    return results[0]


def _refuse_other(where: str, result: Any, like: Array, shape: tuple[int, ...]) -> None:
    numeric = isinstance(result, (np.ndarray, np.floating))
    if numeric and result.shape == shape and result.dtype.kind == "f" and result.itemsize >= like.itemsize:
        return
    kind = f"{result.dtype} of shape {result.shape}" if numeric else f"a {type(result).__name__}"
    reduced = "sum over axis=1" if like.ndim == 2 else "reduce over axis=0"
    mend = "return a new array like the first argument" if shape == like.shape else reduced
    raise PluginError(expected(where, f"{like.dtype} of shape {shape}", Verbatim(kind), mend))


def _equal(one: Array, other: Array) -> bool:
    return np.array_equal(one, other, equal_nan=True)


def refuse_wrong(
    where: str, given: Array, x: Array, function: Callable[[Array], Array], whose: str, mend: str
) -> None:
    """Compare a derivative with central differences, which depend on no table of ours."""
    right, near = quotients(function, x)
    off = wrong(given, right, near, WRONG)
    if off.any():
        place = int(np.flatnonzero(off)[0])
        must = f"{whose}, {float(right.flat[place]):.6g} at {float(x.flat[place]):.6g}"
        raise PluginError(expected(where, must, Verbatim(f"{float(given.flat[place]):.6g}"), mend))


def wrong(given: Array, right: Array, near: Array, tolerance: float) -> Array:
    """Where a derivative is not what quotients say."""
    with np.errstate(all="ignore"):
        alike = np.abs(given - right) <= tolerance * np.maximum(1.0, np.abs(right)) + near
    return ~alike & np.isfinite(right) & np.isfinite(near)


def quotients(function: Callable[[Array], Array], x: Array) -> tuple[Array, Array]:
    """∂(Σ function)/∂x elementwise or, for (rows, units), unit by unit; and how far it may be off.

    What two steps give must agree: where a kink or rounding stands between them, nothing is judged.
    """
    columns = x.shape[1] if x.ndim == 2 else 1
    right, near = np.empty_like(x), np.empty_like(x)
    for column in range(columns):
        at = (slice(None), column) if x.ndim == 2 else (slice(None),)
        found = []
        for step in (STEP, 2 * STEP):
            h = step * np.maximum(1.0, np.abs(x[at]))
            ahead, behind = x.copy(), x.copy()
            ahead[at] += h
            behind[at] -= h
            with np.errstate(all="ignore"):
                found.append((function(ahead) - function(behind)) / (2 * h))
                size = np.maximum(np.abs(function(x.copy())), 1.0)
        right[at] = found[0]
        near[at] = 4 * np.abs(found[1] - found[0]) + 8 * np.finfo(float).eps * size / STEP
        near[at][~(np.abs(found[1] - found[0]) <= 1e-3 * np.maximum(1.0, np.abs(found[0])))] = np.inf
    return right, near
