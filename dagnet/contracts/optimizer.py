"""The optimizer contract: an elementwise update rule over the flat vector."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dagnet.errors import PluginError

__all__ = ["Optimizer"]

Array = NDArray[Any]


class Optimizer:
    """An update rule for the flat vector of trainable parameters.

    Subclass it as a frozen dataclass whose fields are the settings, with defaults, first of
    them ``learning_rate``.  Name the state's vectors in ``state_names`` and write the rule as
    :meth:`update`, elementwise; engines that compile run it as one fused pass.  A rule that
    is not elementwise overrides :meth:`step` instead.  Frozen parameters never reach a rule.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class SignDescent(Optimizer):
    ...     name = "sign_descent"
    ...     learning_rate: float = 0.01
    ...
    ...     @staticmethod
    ...     def update(parameter, gradient, step, learning_rate):
    ...         return (parameter - learning_rate * np.sign(gradient),)
    """

    kind: ClassVar[str] = "optimizer"
    name: ClassVar[str] = ""
    state_names: ClassVar[tuple[str, ...]] = ()
    learning_rate: float

    @staticmethod
    def update(parameter: Any, gradient: Any, *rest: Any) -> tuple[Any, ...]:
        """The rule: ``update(parameter, gradient, *state, *coefficients)``.

        Elementwise on arrays or scalars alike.  Returns the new parameter and the new state
        vectors, in the order of ``state_names``.
        """
        del parameter, gradient, rest
        raise PluginError("an optimizer must define update() or override step(); see dagnet.Optimizer")

    def settings(self) -> tuple[Any, ...]:
        """The values of the fields after ``learning_rate``, in order."""
        return tuple(getattr(self, item.name) for item in fields(self) if item.name != "learning_rate")  # type: ignore[arg-type]

    def coefficients(self, step: int, learning_rate: float) -> tuple[float, ...]:
        """The numbers that :meth:`update` takes last: ``(step, learning_rate, *settings)``.

        ``step`` counts from 1; the settings are the dataclass's fields after
        ``learning_rate``, in order.  A rule with powers of ``step`` overrides this and
        computes them here, once a step and in double precision.
        """
        return (step, learning_rate, *self.settings())

    def start(self, parameters: Array) -> dict[str, Array]:
        """A fresh state: one vector of zeros for each of ``state_names``."""
        return {name: np.zeros_like(parameters) for name in self.state_names}

    def step(
        self, parameters: Array, gradient: Array, state: dict[str, Array], *, step: int, learning_rate: float
    ) -> None:
        """One step, in place: ``parameters`` and the vectors of ``state`` are overwritten."""
        vectors = [state[name] for name in self.state_names]
        results = self.update(parameters, gradient, *vectors, *self.coefficients(step, learning_rate))
        for vector, result in zip([parameters, *vectors], results, strict=True):
            vector[...] = result

    def __str__(self) -> str:
        inside = ", ".join(f"{item.name}={getattr(self, item.name)!r}" for item in fields(self))  # type: ignore[arg-type]
        return f"{self.name}({inside})"
