"""Numbers on which two readings of a function are compared, and how near they must be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.formula.data import CONSTANT, Calculation
from dagnet.formula.recording import number_of

SPECIAL = (0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0)
CONSTANTS = 60
"""Of how many of a formula's constants the neighbours are tried."""


def probe_numbers(
    formulas: Iterable[Calculation], points: Iterable[float] = (), dtype: Any = np.float64
) -> Array:
    """±[1e-30 … 1e30], special values, numbers of usual size, some points and the formulas' constants ± ε."""
    eps = float(np.finfo(dtype).eps)
    rng = np.random.default_rng(0)
    magnitudes = np.concatenate([10.0 ** np.arange(-30, 31, 3), 10.0 ** rng.uniform(-3, 3, 24)])
    constants = {
        number_of(op)
        for formula in formulas
        for op in formula.ops
        if op.name == CONSTANT and not op.truth and np.isfinite(number_of(op))
    }
    near = [*points, *sorted(constants)[:CONSTANTS]]
    around = [
        x + sign * step * max(abs(x), 1e-3) for x in near for sign in (-1, 0, 1) for step in (4 * eps, 1e-3)
    ]
    usual = rng.normal(0, 3, 64)
    with np.errstate(all="ignore"):
        return np.concatenate([SPECIAL, magnitudes, -magnitudes, usual, around]).astype(dtype)


def first_difference(ours: Any, theirs: Any, near: float, slack: Any = 0.0) -> int:
    """The place of the first two numbers that are not alike, or −1; ``slack`` is allowed beside ``near``."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    with np.errstate(all="ignore"):
        allowed = near * np.maximum(np.abs(ours), np.abs(theirs)) + slack
        alike = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs)) | (np.abs(ours - theirs) <= allowed)
    return -1 if alike.all() else int(np.flatnonzero(~alike.reshape(-1))[0])
