"""Losses as machine code: one function, called by address for the rows of one output unit.

``loss(o, t, w, δ, ℓ, n)``: ℓ[k] += ℓ(o[k], t[k]) and δ[k] = w[k] ∂ℓ/∂o[k].

For losses that are a sum over output units of one term each; which those are is seen by tracing
``value`` on symbols.  The others run through NumPy between forward and backward.
"""

from __future__ import annotations

import threading
from typing import Any

import numba
import numpy as np

from dagnet.contracts import Loss
from dagnet.duals import RowGradient
from dagnet.duals.spelling import spelled_term
from dagnet.engine.compiled.activations import compile_loop
from dagnet.engine.compiled.translation import Translation

__all__ = ["compile_loss"]


def _lose(outputs, targets, weights, deltas, losses, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    o = carray(outputs, n)  # type: ignore[name-defined]  # noqa: F821 - bound in compile_loop
    t = carray(targets, n)  # type: ignore[name-defined]  # noqa: F821
    w = carray(weights, n)  # type: ignore[name-defined]  # noqa: F821
    d = carray(deltas, n)  # type: ignore[name-defined]  # noqa: F821
    total = carray(losses, n)  # type: ignore[name-defined]  # noqa: F821
    for k in range(n):
        total[k] += number(term(o[k], t[k]))  # type: ignore[name-defined]  # noqa: F821
        d[k] = w[k] * number(slope(o[k], t[k]))  # type: ignore[name-defined]  # noqa: F821


_compiled: dict[str, Any] = {}
_lock = threading.Lock()


def compile_loss(loss: Loss, dtype: Any) -> Any:
    """The C function, with its ``address``, or None; compiled once a process at most.

    What the functions say is read anew each time, so that a loss whose closed-over numbers have
    changed is another loss.
    """
    term = spelled_term(loss.value, loss.arguments) if loss.rowwise else None
    if term is None:
        return None
    slope: Any = loss.gradient
    arguments = loss.arguments
    if isinstance(slope, RowGradient):
        slope, arguments = term.slope, ()
    translated = Translation(dtype)
    try:
        names = {
            "term": translated.function(term.value),
            "slope": translated.function(slope, arguments, 2),
            "number": getattr(np, np.dtype(dtype).name),
        }
        with _lock:
            if translated.digest not in _compiled:
                _compiled[translated.digest] = _compile(names, translated.digest, dtype)
            return _compiled[translated.digest]
    except Exception:  # noqa: BLE001 - a compiler's fault must not become the user's
        return None


def _compile(names: dict[str, Any], digest: str, dtype: Any) -> Any:
    pointer, double = (numba.types.CPointer(numba.from_dtype(np.dtype(d))) for d in (dtype, np.float64))
    signature = numba.types.void(*[pointer] * 4, double, numba.types.int64)
    try:
        return compile_loop(_lose, signature, names, digest)
    except Exception:  # noqa: BLE001 - a compiler's fault must not become the user's
        return None
