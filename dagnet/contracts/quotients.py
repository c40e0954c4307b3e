"""Derivatives against difference quotients, which depend on no table of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.errors import PluginError, Verbatim, expected

WRONG = 1e-5
"""How far a derivative may be from the function's, relative to the larger of it and 1."""
STEP = 6e-6


def off_kinks(item: Any, z: Array) -> Array:
    """The numbers that are near no kink that an activation declares."""
    return z[(np.abs(z[:, None] - np.array(item.kink_points())) > 1e-3).all(axis=1)]


def refuse_wrong(
    where: str, given: Array, x: Array, function: Callable[[Array], Array], whose: str, mend: str
) -> None:
    """PluginError where a derivative is not what quotients say."""
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
