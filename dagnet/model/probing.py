"""Plugins tried out on a few numbers when a network is built: what works, but badly, is said."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Activation, Loss
from dagnet.errors import DagnetWarning, PluginError
from dagnet.registry import named

ROWS = 2


@lru_cache(maxsize=256)
def probe_activation(activation: Activation, dtype: Any) -> None:
    """Warn of a plugin's activation whose results are NaN or of another type."""
    z = np.linspace(-1, 1, 12, dtype=dtype).reshape(3, 4)
    with np.errstate(all="ignore"):
        a = np.asarray(activation.value(z))
        _complain(activation, {"function": a, "derivative": np.asarray(activation.slope(z, a))}, dtype)


@lru_cache(maxsize=256)
def probe_loss(loss: Loss, width: int, dtype: Any) -> None:
    """Refuse a loss whose results have the wrong shape for so many outputs, or that writes to its arguments.

    Raises
    ------
    PluginError
        See above.
    """
    from dagnet.contracts.probing import checked_result  # noqa: PLC0415 - `import dagnet` need not pay

    where = named(loss)
    outputs = np.full((ROWS, width), 0.5, dtype)
    targets = np.ones_like(outputs)
    if loss.targets == "class":
        targets[:, 1:] = 0
    trials = (
        ("value", lambda o, t: loss.value(o, t, *loss.arguments), (outputs, targets), (ROWS,)),
        ("gradient", loss.row_gradients, (outputs, targets), outputs.shape),
        ("predict", loss.prediction, (outputs,), outputs.shape),
    )
    results = {}
    for what, function, arguments, shape in trials:
        with _only_plugin_errors():
            results[what] = checked_result(f"{where}: {what}", function, arguments, shape)
    _complain(loss, results, dtype)


@contextmanager
def _only_plugin_errors() -> Iterator[None]:
    """A loss may refuse the numbers that are tried here; then the first real ones decide."""
    try:
        yield
    except PluginError as error:
        if error.__cause__ is None or isinstance(error.__cause__, IndexError):
            raise
    except Exception:  # noqa: BLE001, S110 - a stranger's code may raise anything
        pass


def _complain(item: Activation | Loss, results: Mapping[str, Array], dtype: Any) -> None:
    """Warn of a registered plugin, whose user did not write it, where it works but badly."""
    where, wrong = named(item), dict[str, str]()
    if where == f"{item.kind} {item.name!r}":
        return
    for what, result in results.items():
        if np.isnan(result).all():
            wrong[what] = f"{what} gives NaN for all numbers that were tried"
        elif result.dtype != dtype and item.formula is None:
            wrong[what] = f"{what} gives {result.dtype} for {dtype}, which is slow and rounded"
    if wrong:
        mend = f"`dagnet plugins check {item.name}` says more"
        warnings.warn(f"{where}: {', '.join(wrong.values())}; {mend}", DagnetWarning, stacklevel=6)
