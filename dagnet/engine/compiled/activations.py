"""Activations as machine code: two functions each, called by address for a run of elements.

``function(a, n)``: a[k] = g(a[k]), in place.   ``slope(z, a, δ, n)``: δ[k] *= g'(z[k], a[k]).

Compiled code is kept in Numba's cache under a digest of the function's own code, constants
and parameters, so that an edited plugin is compiled anew and two plugins never mix.
"""

from __future__ import annotations

import threading
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numba.core.ccallback import CFunc
from numba.core.errors import NumbaError, NumbaWarning

from dagnet.contracts import Activation
from dagnet.duals import Derivative
from dagnet.engine.compiled.caching import kept
from dagnet.engine.compiled.translation import Translation, Untranslatable, reads_first_argument

__all__ = ["CompiledActivation", "compile_activation", "compile_cached", "compile_loop"]

LOOP = {
    "fastmath": {"contract"},
    "error_model": "numpy",
    "nopython": True,
    "boundscheck": False,
    "nogil": True,
}


@dataclass(frozen=True)
class CompiledActivation:
    """Addresses of the two functions, 0 where NumPy has to run them; ``reason`` says why."""

    function: int
    slope: int
    needs_z: bool
    reason: str
    keep: tuple[Any, ...] = ()


def _apply(pointer, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    values = carray(pointer, n)  # type: ignore[name-defined]  # noqa: F821 - bound in compile_loop
    for k in range(n):
        values[k] = number(scalar(values[k]))  # type: ignore[name-defined]  # noqa: F821


def _multiply(before, values, deltas, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    z = carray(before, n)  # type: ignore[name-defined]  # noqa: F821 - bound in compile_loop
    a = carray(values, n)  # type: ignore[name-defined]  # noqa: F821
    d = carray(deltas, n)  # type: ignore[name-defined]  # noqa: F821
    for k in range(n):
        d[k] *= number(scalar(z[k], a[k]))  # type: ignore[name-defined]  # noqa: F821


def _bound(template: Callable[..., Any], names: dict[str, Any]) -> types.FunctionType:
    bound = types.FunctionType(template.__code__, {**names, "carray": numba.carray}, template.__name__)
    bound.__module__ = __name__
    bound.__qualname__ = template.__qualname__
    return bound


def compile_cached(template: Callable[..., Any], names: dict[str, Any], digest: str) -> Any:
    """A dispatcher from ``template`` with its free names bound, cached by content."""
    bound = _bound(template, names)
    compiled = numba.njit(**{key: value for key, value in LOOP.items() if key != "nopython"})(bound)
    kept(compiled, bound, digest)
    return compiled


def compile_loop(template: Callable[..., Any], signature: Any, names: dict[str, Any], digest: str) -> Any:
    """A C function from ``template`` with its free names bound, cached by content."""
    bound = _bound(template, names)
    compiled = CFunc(bound, (signature.args, signature.return_type), locals={}, options=dict(LOOP))
    kept(compiled, bound, digest)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NumbaWarning)
        compiled.compile()
    return compiled


_compiled: dict[tuple[Activation, str], CompiledActivation] = {}
_lock = threading.Lock()


def compile_activation(activation: Activation, dtype: Any) -> CompiledActivation:
    """The machine code of an activation for a dtype; compiled once a process at most."""
    key = (activation, np.dtype(dtype).name)
    with _lock:
        if key not in _compiled:
            _compiled[key] = _compile(activation, dtype)
        return _compiled[key]


def _compile(activation: Activation, dtype: Any) -> CompiledActivation:
    derivative: Any = activation.derivative
    arguments = activation.arguments
    if isinstance(derivative, Derivative) and (spelled := derivative.spelled_out(arguments)) is not None:
        derivative, arguments = spelled, ()
    needs_z = reads_first_argument(derivative)
    real = numba.from_dtype(np.dtype(dtype))
    pointer, void, n = numba.types.CPointer(real), numba.types.void, numba.types.int64
    try:
        forward = _loop(_apply, void(pointer, n), activation.function, activation.arguments, 1, dtype)
        slope = _loop(
            _multiply,
            void(pointer, pointer, pointer, n),
            derivative,
            arguments,
            2,
            dtype,
        )
        if not _agrees(activation, forward, slope, np.dtype(dtype)):
            raise Untranslatable("its compiled form gives other numbers than NumPy")
    except (Untranslatable, NumbaError) as error:
        return _left_to_numpy(activation, _first_line(error))
    except Exception as error:  # noqa: BLE001 - a compiler's fault must not become the user's
        return _left_to_numpy(activation, f"{type(error).__name__}: {_first_line(error)}")
    return CompiledActivation(forward.address, slope.address, needs_z, "", (forward, slope))


def _left_to_numpy(activation: Activation, reason: str) -> CompiledActivation:
    """NumPy runs the derivative itself, so what that reads decides, and not what its spelling reads."""
    return CompiledActivation(0, 0, reads_first_argument(activation.derivative), reason)


def _agrees(activation: Activation, forward: Any, slope: Any, dtype: np.dtype[Any]) -> bool:
    """Whether machine code gives NumPy's numbers on some: it may read a line of code otherwise."""
    z = np.random.default_rng(0).normal(scale=3, size=64).astype(dtype)
    ours, delta = z.copy(), np.ones_like(z)
    with np.errstate(all="ignore"):
        theirs = np.asarray(activation.value(z.copy()))
        wanted = np.broadcast_to(activation.slope(z.copy(), theirs), z.shape)
    forward.ctypes(ours.ctypes.data_as(forward.ctypes.argtypes[0]), len(z))
    pointers = (a.ctypes.data_as(forward.ctypes.argtypes[0]) for a in (z, theirs.astype(dtype), delta))
    slope.ctypes(*pointers, len(z))
    near = 1e4 * np.finfo(dtype).eps
    pairs = ((ours, theirs), (delta, wanted))
    return all(np.allclose(a, b, near, near, equal_nan=True) for a, b in pairs)


def _loop(
    template: Callable[..., Any],
    signature: Any,
    function: Any,
    arguments: tuple[Any, ...],
    n_free: int,
    dtype: Any,
) -> Any:
    translated = Translation(dtype)
    scalar = translated.function(function, arguments, n_free)
    names = {"scalar": scalar, "number": getattr(np, np.dtype(dtype).name)}
    return compile_loop(template, signature, names, translated.digest)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:160]
