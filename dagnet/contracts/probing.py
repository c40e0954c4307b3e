"""Functions tried out on a few numbers when they are made: what cannot be right is refused at once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.contracts.formulas import array_gradient
from dagnet.errors import DagnetError, PluginError, Verbatim, expected
from dagnet.formula.tracing import place_in_source

__all__ = ["check_activation", "check_loss", "checked_arity", "checked_result", "loss_probe"]

Array = NDArray[Any]
ROWS = 6
WRONG = 1e-5
"""How far a derivative may be from the function's, relative to the larger of it and 1."""
STEP = 6e-6
OUTPUTS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Array]] = {
    "real": lambda rng, shape: rng.normal(0, 1.5, shape),
    "positive": lambda rng, shape: rng.gamma(2.0, 1.0, shape) + 0.05,
    "probability": lambda rng, shape: rng.uniform(0.05, 0.95, shape),
}
TARGETS: dict[str, tuple[Callable[[np.random.Generator, tuple[int, int]], Array], ...]] = {
    "real": (OUTPUTS["real"], OUTPUTS["positive"]),
    "positive": (OUTPUTS["positive"],),
    "binary": (lambda rng, shape: rng.integers(0, 2, shape).astype(float),),
    "probability": (OUTPUTS["probability"],),
    "count": (lambda rng, shape: rng.poisson(2.0, shape).astype(float),),
    "class": (lambda rng, shape: np.eye(shape[1])[rng.integers(0, shape[1], shape[0])],),
}


def checked_arity(where: str, function: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    """Refuse a function that cannot be called with so many arguments."""
    n = len(arguments)
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        must = f"a function of {n} argument{'s' * (n != 1)}, ({', '.join(arguments)})"
        raise PluginError(expected(where, must, Verbatim(f"one of {inspect.signature(function)}"))) from None
    except ValueError:  # ufuncs and the like do not say
        if isinstance(function, np.ufunc) and function.nin != n:
            must = f"a function of {n} argument{'s' * (n != 1)}, ({', '.join(arguments)})"
            raise PluginError(expected(where, must, Verbatim(f"one of {function.nin}"))) from None


def checked_result(
    where: str, function: Callable[..., Any], arguments: tuple[Array, ...], shape: tuple[int, ...]
) -> Array:
    """What a function gives for copies of the arguments: floats of a shape, the same bits each time.

    Raises
    ------
    PluginError
        If it gives something else, changes from call to call, writes to its arguments, or raises.
    """
    results = []
    for _ in range(2):
        given = tuple(argument.copy() for argument in arguments)
        try:
            with np.errstate(all="ignore"):
                result = function(*given)
        except DagnetError:
            raise
        except Exception as error:
            at, mend = place_in_source(error), "it must take any array of floats"
            raise PluginError(f"{where} raised {type(error).__name__}: {error}{at}; {mend}") from error
        if not all(map(_equal, given, arguments)):
            raise PluginError(f"{where} must leave its arguments as they are; make a new array")
        numeric = isinstance(result, (np.ndarray, np.floating))
        if not numeric or np.shape(result) != shape or result.dtype.kind != "f":
            kind = f"{result.dtype} of shape {result.shape}" if numeric else f"a {type(result).__name__}"
            must = f"floats of shape {shape}"
            mend = "see the docstring of its class"
            raise PluginError(
                expected(f"{where}: result for {given[0].shape} numbers", must, Verbatim(kind), mend)
            )
        results.append(np.array(result))
    if not _equal(*results):
        place = int(np.flatnonzero(results[0].reshape(-1) != results[1].reshape(-1))[0])
        pair = " and ".join(repr(float(result.flat[place])) for result in results)
        mend = "a function may keep no count and draw no random numbers"
        raise PluginError(f"{where} must give the same numbers for the same arguments, got {pair}; {mend}")
    return results[0]


def _equal(one: Array, other: Array) -> bool:
    return np.array_equal(one, other, equal_nan=True)


def check_activation(item: Any, derivative: Callable[..., Any] | None) -> None:
    """Whether function and derivative can be right for any network; ``item`` is an Activation."""
    where, arguments = f"activation {item.name!r}", item.arguments
    checked_arity(f"{where}: function", item.function, ("z", *item.parameters))
    z = np.linspace(-1, 1, 12).reshape(3, 4)
    a = checked_result(f"{where}: function", lambda x: item.function(x, *arguments), (z,), z.shape)
    alone = checked_result(
        f"{where}: function", lambda x: item.function(x, *arguments), (z[1:2, 1:2],), (1, 1)
    )
    if not np.allclose(alone, a[1:2, 1:2], rtol=1e-3, equal_nan=True):
        raise PluginError(f"{where}: function must treat each number by itself, whatever stands beside it")
    if derivative is None:
        if item.formula is None:
            array_gradient(f"{where}: function", item.function, z, *arguments)
        return
    checked_arity(f"{where}: derivative", derivative, ("z", "a", *item.parameters))
    checked_result(f"{where}: derivative", lambda x, y: derivative(x, y, *arguments), (z, a), z.shape)
    if not item.surrogate:
        _check_derivative(item, derivative, where)


def _check_derivative(item: Any, derivative: Callable[..., Any], where: str) -> None:
    rng = np.random.default_rng(1)
    z = np.concatenate([rng.normal(0, 1.5, 64), rng.normal(0, 8, 16)])
    kinks = np.array(item.kink_points())
    z = z[(np.abs(z[:, None] - kinks) > 1e-3).all(axis=1)]
    with np.errstate(all="ignore"):
        given = derivative(z.copy(), item.function(z.copy(), *item.arguments), *item.arguments)
    mend = f"mend it, leave it out, or say surrogate=True if {item.name} is meant to learn by another's"
    _refuse_wrong(f"{where}: derivative", given, z, lambda x: item.function(x, *item.arguments), mend)


def _refuse_wrong(where: str, given: Array, x: Array, function: Callable[[Array], Array], mend: str) -> None:
    """Compare a derivative with central differences, which depend on no table of ours."""
    right, near = _quotients(function, x)
    with np.errstate(all="ignore"):
        off = np.abs(given - right) > WRONG * np.maximum(1.0, np.abs(right)) + near
    off &= np.isfinite(right) & np.isfinite(near)
    if off.any():
        place = int(np.flatnonzero(off.reshape(-1))[0])
        numbers = f"{float(right.flat[place]):.6g} at {float(x.flat[place]):.6g}"
        raise PluginError(
            expected(where, f"the function's, {numbers}", Verbatim(f"{float(given.flat[place]):.6g}"), mend)
        )


def _quotients(function: Callable[[Array], Array], x: Array) -> tuple[Array, Array]:
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


def loss_probe(item: Any) -> tuple[Array, Array] | None:
    """Rows that a loss takes without an error of its own, if there are some; two outputs wide if it may be.

    A loss of one output may give a gradient of one column, whatever it is given.
    """
    for width in dict.fromkeys((max(2, item.minimum_outputs), item.minimum_outputs)):
        for draw in TARGETS[item.targets]:
            rng = np.random.default_rng(2)
            rows = OUTPUTS[item.outputs](rng, (ROWS, width)), draw(rng, (ROWS, width))
            try:
                with np.errstate(all="ignore"):
                    item.value(*(array.copy() for array in rows), *item.arguments)
                    pull = item.gradient and item.gradient(*(a.copy() for a in rows), *item.arguments)
            except Exception:  # noqa: BLE001, S112 - a stranger's code may refuse numbers with any error
                continue
            if width == item.minimum_outputs or np.shape(pull) != (ROWS, 1):
                return rows
    return None


def check_loss(item: Any, gradient: Callable[..., Any] | None, probe: tuple[Array, Array] | None) -> None:
    """Whether value and gradient can be right; ``item`` is a Loss."""
    where, arguments = f"loss {item.name!r}", item.arguments
    names = ("outputs", "targets", *item.parameters)
    checked_arity(f"{where}: value", item.value, names)
    if gradient is not None:
        checked_arity(f"{where}: gradient", gradient, names)
    if item.predict is not None:
        checked_arity(f"{where}: predict", item.predict, ("outputs", *item.parameters))
    if probe is None:
        return
    checked_result(f"{where}: value", lambda o, t: item.value(o, t, *arguments), probe, (ROWS,))
    if gradient is None:
        if item.formula is None:
            array_gradient(f"{where}: value", item.value, *probe, *arguments, give="gradient=…")
        return
    given = checked_result(
        f"{where}: gradient", lambda o, t: gradient(o, t, *arguments), probe, probe[0].shape
    )
    mend = "mend it, or leave it out; it is that of the sum over rows, not of their mean"
    if item.rowwise and not item.surrogate:
        _refuse_wrong(
            f"{where}: gradient", given, probe[0], lambda o: item.value(o, probe[1], *arguments), mend
        )
