"""An optimizer whose state outlives a call of ``fit``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import dagnet

__all__ = ["Continued"]

Array = NDArray[Any]


class Continued(dagnet.Optimizer):
    """A rule that goes on from call to call with the same state and count of steps."""

    def __init__(self, rule: dagnet.Optimizer) -> None:
        self.rule = rule
        self.name = rule.name  # type: ignore[misc]
        self.learning_rate = rule.learning_rate
        self.steps = 0
        self.state: dict[str, Array] | None = None

    def start(self, parameters: Array) -> dict[str, Array]:
        """The state so far, or a fresh one at first."""
        if self.state is None:
            self.state = self.rule.start(parameters)
        return self.state

    def step(
        self, parameters: Array, gradient: Array, state: dict[str, Array], *, step: int, learning_rate: float
    ) -> None:
        """One step, counted on from the calls before."""
        del step
        self.steps += 1
        with np.errstate(all="ignore"):
            self.rule.step(parameters, gradient, state, step=self.steps, learning_rate=learning_rate)

    def __str__(self) -> str:
        return str(self.rule)
