"""Optimizers as one fused pass: each parameter, its derivative and its state are touched once."""

# ruff: noqa: ANN001, ANN202, F821 - templates: Numba infers their types, compile_cached binds their names
# mypy: disable-error-code="no-untyped-def, name-defined"

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core.errors import NumbaError
from numpy.typing import NDArray

from dagnet.contracts import Optimizer
from dagnet.engine.compiled.activations import compile_cached
from dagnet.engine.compiled.threads import run_parts
from dagnet.engine.compiled.translation import Translation, Untranslatable

__all__ = ["fused_step"]

Array = NDArray[Any]
WORK_PER_THREAD = 200_000
"""Parameters for which handing half of them to another thread pays."""


def _update0(p, g, c):
    for k in range(len(p)):
        (new,) = rule(p[k], g[k], *c)
        p[k] = number(new)


def _update1(p, g, s, c):
    for k in range(len(p)):
        new, first = rule(p[k], g[k], s[k], *c)
        p[k], s[k] = number(new), number(first)


def _update2(p, g, s, t, c):
    for k in range(len(p)):
        new, first, second = rule(p[k], g[k], s[k], t[k], *c)
        p[k], s[k], t[k] = number(new), number(first), number(second)


def _update3(p, g, s, t, u, c):
    for k in range(len(p)):
        new, first, second, third = rule(p[k], g[k], s[k], t[k], u[k], *c)
        p[k], s[k], t[k], u[k] = number(new), number(first), number(second), number(third)


_TEMPLATES = (_update0, _update1, _update2, _update3)
_compiled: dict[tuple[Any, str], Any] = {}
_lock = threading.Lock()


def fused_step(optimizer: Optimizer, dtype: Any, threads: int) -> Callable[..., None] | None:
    """:meth:`Optimizer.step` in one pass; None where the rule is not elementwise or does not compile."""
    kind = type(optimizer)
    if kind.step is not Optimizer.step or len(optimizer.state_names) >= len(_TEMPLATES):
        return None
    number = np.dtype(dtype).type
    key = (kind, np.dtype(dtype).name)
    with _lock:
        if key not in _compiled:
            _compiled[key] = _compile(optimizer, dtype)
        compiled = _compiled[key]
    if compiled is None:
        return None

    def step(
        parameters: Array, gradient: Array, state: dict[str, Array], *, step: int, learning_rate: float
    ) -> None:
        coefficients = tuple(number(value) for value in optimizer.coefficients(step, learning_rate))
        vectors = [parameters, gradient, *(state[name] for name in optimizer.state_names)]
        parts = max(1, min(threads, len(parameters) // WORK_PER_THREAD))
        bounds = [len(parameters) * part // parts for part in range(parts + 1)]

        def share(part: int) -> None:
            compiled(*(vector[bounds[part] : bounds[part + 1]] for vector in vectors), coefficients)

        run_parts(share, parts)

    return step


def _compile(optimizer: Optimizer, dtype: Any) -> Any:
    """The compiled template, proved on a few elements; None where that fails."""
    number, n_vectors = np.dtype(dtype).type, 2 + len(optimizer.state_names)
    translated = Translation(dtype)
    try:
        rule = translated.function(type(optimizer).update)
        names = {"rule": rule, "number": number}
        compiled = compile_cached(_TEMPLATES[len(optimizer.state_names)], names, translated.digest)
        coefficients = tuple(number(value) for value in optimizer.coefficients(1, optimizer.learning_rate))
        vectors = list(np.linspace(0.25, 1.5, 4 * n_vectors, dtype=number).reshape(n_vectors, 4))
        wanted = type(optimizer).update(*(vector.copy() for vector in vectors), *coefficients)
        compiled(*vectors, coefficients)
        found, near = (vectors[0], *vectors[2:]), 1e4 * float(np.finfo(number).eps)
        agrees = all(np.allclose(a, b, near, near) for a, b in zip(found, wanted, strict=True))
    except (Untranslatable, NumbaError, TypeError, ValueError, AttributeError):
        return None
    return compiled if agrees else None
