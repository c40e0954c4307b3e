"""Losses as machine code: one function for a tile of rows, called by its address.

It finds the rows' losses, and δ of the output units times what each row counts.  Which losses can
be so is seen by tracing their functions on symbols (:mod:`dagnet.duals.rowwise`); the others
run through NumPy between forward and backward.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numba
import numpy as np

from dagnet.contracts import Loss
from dagnet.duals import RowGradient
from dagnet.duals.reading import Reads, reads_of
from dagnet.duals.rowwise import RowLoss, spelled_loss
from dagnet.engine.compiled import copies, passes
from dagnet.engine.compiled.activations import compile_loop
from dagnet.engine.compiled.mathematics import namespace
from dagnet.engine.compiled.translation import Translation

__all__ = ["CompiledLoss", "compile_loss"]

BEGINNINGS = {"sum": "0.0", "max": "-inf", "min": "inf"}
COMBINED = {"sum": "{} + {}", "max": "maximum({}, {})", "min": "minimum({}, {})"}
TEMPLATE = """
def loss_of_rows(state, places, targets, factor, deltas, work, n_state, n_units, lanes, n):
    s, d, p = carray(state, n_state), carray(deltas, n_state), carray(places, n_units)
    w, f, r = carray(targets, n_units * lanes), carray(factor, n), carray(work, ({n_reductions}, lanes))
    count = number(n_units)
    for k in range(n):
        {beginnings}
{loops}
    total = 0.0
    for k in range(n):
        total += f[k] * value(count, {known})
    return total
"""
LOOP = """
    for u in range(n_units):
        o, t, to = s[p[u] : p[u] + n], w[u * lanes : u * lanes + n], d[p[u] : p[u] + n]
        for k in range(n):
            {statements}
"""


@dataclass(frozen=True)
class CompiledLoss:
    """The function's address, how many numbers a row it needs, and what the loss reads."""

    address: int
    n_reductions: int
    keep: Any
    reads: Reads


_compiled: dict[tuple[str, str], tuple[int, int, Any] | None] = {}
_lock = threading.Lock()


def compile_loss(loss: Loss, dtype: Any) -> CompiledLoss | None:
    """The loss as machine code, None where it has to run through NumPy.

    What the functions say is read anew each time, so that a loss whose closed-over numbers have
    changed is another loss; the same code is compiled once a process.
    """
    if type(loss).row_values is not Loss.row_values or type(loss).row_gradients is not Loss.row_gradients:
        return None
    derived = isinstance(loss.gradient, RowGradient) and loss.gradient.value is loss.value
    gradient = None if derived else loss.gradient
    reads = reads_of(loss.value, gradient, loss.arguments) if loss.rowwise else None
    spelled = None if reads is None else spelled_loss(loss.value, gradient, loss.arguments)
    if reads is None or spelled is None:
        return None
    key = (spelled.source, np.dtype(dtype).name)
    with _lock:
        if key not in _compiled:
            _compiled[key] = _compile(spelled, dtype)
        compiled = _compiled[key]
    if compiled is None or not _agrees(loss, compiled, np.dtype(dtype)):
        return None
    return CompiledLoss(*compiled, reads)


def _agrees(loss: Loss, compiled: tuple[int, int, Any], dtype: np.dtype[Any]) -> bool:
    """Whether machine code gives NumPy's numbers for some rows: a trace may have missed something."""
    lanes, width = copies.TILE_ROWS[dtype.name], max(2, loss.minimum_outputs)
    rng = np.random.default_rng(0)
    outputs = rng.standard_normal((lanes, width)).astype(dtype)
    factor = rng.uniform(0.5, 1.5, lanes).astype(dtype)
    labels = np.eye(width, dtype=dtype)[rng.integers(width, size=lanes)]
    for targets in (labels, np.ones_like(outputs)):  # some losses refuse targets of 0
        try:
            with np.errstate(all="ignore"):
                values = loss.row_values(outputs.copy(), targets.copy())
                pull = loss.row_gradients(outputs.copy(), targets.copy()) * factor[:, None]
        except Exception:  # noqa: BLE001, S112 - a stranger's code may raise anything
            continue
        state, deltas = np.ascontiguousarray(outputs.T).reshape(-1), np.empty(lanes * width, dtype)
        places = np.arange(width) * lanes
        data = (places, state, deltas, len(state), lanes, targets, factor, np.empty_like(state))
        found = passes.lose(*compiled[:2], *data, 0, 1)
        near = 1e4 * np.finfo(dtype).eps
        wanted = np.dot(values.astype(np.float64), factor)
        return bool(
            np.isclose(found, wanted, near, near, equal_nan=True)
            and np.allclose(deltas.reshape(width, lanes).T, pull, near, near, equal_nan=True)
        )
    return False


def _functions(spelled: RowLoss) -> dict[str, FunctionType]:
    terms = {f"term{j}": reduction.term for j, reduction in enumerate(spelled.reductions)}
    return {**terms, "value": spelled.value, "slope": spelled.slope}


def _text(spelled: RowLoss) -> str:
    """The function's source: a loop over units for each depth of reductions."""
    n = len(spelled.reductions)
    known = f"({''.join(f'number(r[{j}, k]), ' for j in range(n))})"
    depths: dict[int, list[str]] = {spelled.depth: []}
    for j, reduction in enumerate(spelled.reductions):
        combined = COMBINED[reduction.kind].format(f"r[{j}, k]", f"term{j}(o[k], t[k], count, {known})")
        depths.setdefault(reduction.depth, []).append(f"r[{j}, k] = {combined}")
    depths[spelled.depth].append(f"to[k] = f[k] * number(slope(o[k], t[k], count, {known}))")
    loops = [LOOP.format(statements="\n            ".join(depths[depth])) for depth in sorted(depths)]
    starts = [f"r[{j}, k] = {BEGINNINGS[reduction.kind]}" for j, reduction in enumerate(spelled.reductions)]
    beginnings = "\n        ".join(starts or ["pass"])
    return TEMPLATE.format(n_reductions=n, beginnings=beginnings, loops="".join(loops), known=known)


def _compile(spelled: RowLoss, dtype: Any) -> tuple[int, int, Any] | None:
    real, double, integer = (numba.from_dtype(np.dtype(d)) for d in (dtype, np.float64, np.int64))
    pointer, numpy, number = numba.types.CPointer, namespace(np.dtype(dtype).name), np.dtype(dtype).type
    arguments = [pointer(real), pointer(integer), *[pointer(real)] * 3, pointer(double), *[integer] * 4]
    text, translated, scope = _text(spelled), Translation(dtype), dict[str, Any]()
    exec(compile(text, __file__, "exec"), scope)  # noqa: S102 - our own template and numbers' names
    try:
        names = {name: translated.function(function) for name, function in _functions(spelled).items()}
        names |= {"number": number, "inf": number(np.inf)}
        names |= {name: getattr(numpy, name) for name in ("maximum", "minimum")}
        digest = f"{translated.digest} {text}"
        compiled = compile_loop(scope["loss_of_rows"], double(*arguments), names, digest)
    except Exception:  # noqa: BLE001 - a compiler's fault must not become the user's
        return None
    return compiled.address, len(spelled.reductions), compiled
