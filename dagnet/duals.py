"""Forward-mode differentiation of NumPy functions (placeholder interface, see below)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Derivative:
    """``derivative(z, a, *parameters)`` of an elementwise function."""

    function: Callable[..., Any]


@dataclass(frozen=True)
class RowGradient:
    """``gradient(outputs, targets, *parameters)`` of a loss."""

    value: Callable[..., Any]
