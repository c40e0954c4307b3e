"""Penalties on weights, and the gradient's norm."""

from __future__ import annotations

import math

import numpy as np

from dagnet.arrays import Array
from dagnet.model import Model


class Penalty:
    """l1·Σ|w| + l2·Σw² over the trainable weights; a shared weight counts once."""

    def __init__(self, mask: Array, l1: float, l2: float) -> None:
        self._mask, self._l1, self._l2 = mask, l1, l2
        self._weights, self._work = np.empty_like(mask), np.empty_like(mask)

    @classmethod
    def over_weights(cls, model: Model, free: Array | None, l1: float, l2: float) -> Penalty | None:
        """Over the weights among the parameters ``free`` (None: all); None if it is 0."""
        if not l1 and not l2:
            return None
        weights = np.zeros(len(model.parameters), model.dtype)
        weights[model.layout.weights] = 1
        return cls(weights if free is None else weights[free], l1, l2)

    def add_to(self, gradient: Array, live: Array) -> float:
        """Add the penalty's derivative to ``gradient``; the penalty."""
        weights, work, value = self._weights, self._work, 0.0
        np.multiply(live, self._mask, out=weights)
        if self._l2:
            np.multiply(weights, 2 * self._l2, out=work)
            gradient += work
            value += float(np.dot(work, weights)) / 2
        if self._l1:
            np.abs(weights, out=work)
            value += self._l1 * float(work.sum(dtype=np.float64))
            np.sign(weights, out=work)
            work *= self._l1
            gradient += work
        return value


def clip_to_norm(gradient: Array, square: float, limit: float) -> float:
    """Shorten the gradient to the norm ``limit``, in place; the square of its norm then.

    ``square`` is its squared norm as a dot product gave it, perhaps overflown.
    """
    norm = math.sqrt(square) if math.isfinite(square) else _safe_norm(gradient)
    if norm <= limit:
        return square
    gradient *= limit / norm
    return limit**2


def _safe_norm(gradient: Array) -> float:
    largest = float(np.abs(gradient).max())
    scaled = gradient.astype(np.float64) / largest
    return largest * math.sqrt(float(np.dot(scaled, scaled)))
