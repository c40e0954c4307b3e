"""Central differences, and how near an analytic derivative must come to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["STEP", "Quotients", "elementwise_quotients", "summed_quotients"]

Array = NDArray[Any]
EPS = float(np.finfo(np.float64).eps)
STEP = float(EPS ** (1 / 3))
"""h, for numbers up to 1; times |x| for larger ones."""


class Quotients:
    """Difference quotients at some points, and what they can tell.

    A derivative passes where |analytic − numeric| ≤ 1e-6 · max(|analytic|, |numeric|)
    + 8 ε · max(1, |value|)/h, the second term being what differences cannot resolve.  Where the
    quotients to the left and to the right disagree, there is a kink.
    """

    def __init__(self, below: Array, here: Array, above: Array, left: Array, right: Array) -> None:
        self.numeric: Array = (above - below) / (left + right)
        self._rounding = 8 * EPS * np.maximum(1, np.abs(here)) / np.minimum(left, right)
        before, after = (here - below) / left, (above - here) / right
        size = np.maximum(np.abs(before), np.abs(after))
        self.kinks: Array = np.abs(after - before) > 1e-3 * size + 10 * self._rounding

    def wrong(self, analytic: Array) -> Array:
        """Where an analytic derivative is not what the differences say."""
        size = np.maximum(np.abs(analytic), np.abs(self.numeric))
        near = np.abs(analytic - self.numeric) <= 1e-6 * size + self._rounding
        return ~near & np.isfinite(self.numeric)


def elementwise_quotients(function: Callable[[Array], Array], z: Array) -> Quotients:
    """The quotients of an elementwise function at each z."""
    step = STEP * np.maximum(1, np.abs(z))
    below, above = z - step, z + step
    quotients = Quotients(function(below), function(z), function(above), z - below, above - z)
    # Extrapolated, or functions that wave, as sin(30z) does, would be refused for their curvature.
    far_below, far_above = z - 2 * step, z + 2 * step
    wide = (function(far_above) - function(far_below)) / (far_above - far_below)
    quotients.numeric = quotients.numeric + (quotients.numeric - wide) / 3
    return quotients


def summed_quotients(function: Callable[[Array], Array], x: Array) -> Quotients:
    """The quotients of a number, the sum of a function's results, by each entry of an array."""
    here = float(np.sum(function(x.copy())))
    below, above, left, right = (np.zeros(x.shape) for _ in range(4))
    for place in np.ndindex(x.shape):
        step = STEP * max(1.0, abs(float(x[place])))
        for sums, gaps, sign in ((below, left, -1.0), (above, right, 1.0)):
            moved = x.copy()
            moved[place] += sign * step
            sums[place] = np.sum(function(moved))
            gaps[place] = abs(moved[place] - x[place])
    return Quotients(below, np.full(x.shape, here), above, left, right)
