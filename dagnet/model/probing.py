"""Plugins tried out on a few numbers when a network is built, so that the hot path need not check."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.contracts import Activation, Loss
from dagnet.errors import DagnetWarning, PluginError, Verbatim, expected
from dagnet.registry import named

__all__ = ["probe_activation", "probe_loss"]

Array = NDArray[Any]
SHAPE = (3, 4)
ROWS = 2


@lru_cache(maxsize=256)
def probe_activation(activation: Activation, dtype: Any) -> None:
    """Refuse an activation whose function or derivative cannot be right for any network.

    Raises
    ------
    PluginError
        If one of them raises, writes to its arguments, gives something else than floats of z's
        shape, or mixes numbers (a derivative by element would then be wrong in silence).
    """
    where = named(activation)
    z = np.linspace(-1, 1, SHAPE[0] * SHAPE[1], dtype=dtype).reshape(SHAPE)
    try:
        a = _result(f"{where}: function", activation.value, (z,), SHAPE)
        slope = _result(f"{where}: derivative", activation.slope, (z, a), SHAPE)
        alone = _result(f"{where}: function", activation.value, (z[1:2, 1:2],), (1, 1))
    except PluginError:
        raise
    except Exception as error:
        mend = "it must take any array of floats"
        raise PluginError(f"{where} raised {type(error).__name__}: {error}; {mend}") from error
    if not np.allclose(alone, a[1:2, 1:2], rtol=1e-3, equal_nan=True):
        raise PluginError(f"{where}: function must treat each number by itself, whatever stands beside it")
    _complain(activation, {"function": a, "derivative": slope}, dtype)


@lru_cache(maxsize=256)
def probe_loss(loss: Loss, width: int, dtype: Any) -> None:
    """Refuse a loss whose results have the wrong shape, or that writes to its arguments.

    Raises
    ------
    PluginError
        See above.
    """
    where = named(loss)
    outputs = np.full((ROWS, width), 0.5, dtype)
    targets = np.ones_like(outputs)
    if loss.targets == "class":
        targets[:, 1:] = 0
    trials: tuple[tuple[str, Callable[..., Any], tuple[Array, ...], tuple[int, ...]], ...] = (
        ("value", loss.row_values, (outputs, targets), (ROWS,)),
        ("gradient", loss.row_gradients, (outputs, targets), outputs.shape),
        ("predict", loss.prediction, (outputs,), outputs.shape),
    )
    results = {}
    for what, function, arguments, shape in trials:
        with _only_plugin_errors():
            results[what] = _result(f"{where}: {what}", function, arguments, shape)
    _complain(loss, results, dtype)


@contextmanager
def _only_plugin_errors() -> Iterator[None]:
    """A loss may refuse the numbers that are tried here; then the first real ones decide."""
    try:
        yield
    except PluginError:
        raise
    except Exception:  # noqa: BLE001, S110 - a stranger's code may raise anything
        pass


def _result(
    where: str, function: Callable[..., Any], arguments: tuple[Array, ...], shape: tuple[int, ...]
) -> Array:
    """What a plugin's function returns for copies of the arguments, which it must leave alone."""
    given = tuple(argument.copy() for argument in arguments)
    with np.errstate(all="ignore"):
        result = np.asarray(function(*given))
    for argument, before in zip(given, arguments, strict=True):
        if not np.array_equal(argument, before, equal_nan=True):
            raise PluginError(f"{where} must leave its arguments as they are; make a new array")
    if result.shape != shape or result.dtype.kind != "f":
        got = Verbatim(f"{result.dtype} of shape {result.shape}")
        mend = "see the docstring of its class"
        raise PluginError(
            expected(f"{where}: result for {given[0].shape} numbers", f"floats of shape {shape}", got, mend)
        )
    return result


def _complain(item: Activation | Loss, results: Mapping[str, Array], dtype: Any) -> None:
    """Warn of a registered plugin, whose user did not write it, where it works but badly."""
    where, wrong = named(item), dict[str, str]()
    if where == f"{item.kind} {item.name!r}":
        return
    for what, result in results.items():
        if np.isnan(result).all():
            wrong[what] = f"{what} gives NaN for all numbers that were tried"
        elif result.dtype != dtype:
            wrong[what] = f"{what} gives {result.dtype} for {dtype}, which is slow and rounded"
    if wrong:
        mend = f"`dagnet plugins check {item.name}` says more"
        warnings.warn(f"{where}: {', '.join(wrong.values())}; {mend}", DagnetWarning, stacklevel=5)
