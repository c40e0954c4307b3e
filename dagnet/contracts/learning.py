"""What a training run asks: a learner, which has data, parameters and moments where they live."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from dagnet.arrays import Array


class NotFinite(ArithmeticError):
    """A learner's word that a number became NaN or infinite; the parameters are those before the step.

    ``value`` is the loss, or the gradient or the new parameters, (parameters,).
    """

    def __init__(self, what: Literal["loss", "gradient", "parameters"], value: Any) -> None:
        super().__init__(what, value)
        self.what, self.value = what, value


class Learner:
    """Holds the rows, the parameters and the optimizer's vectors of a run, and learns from batches.

    They live where the learner likes: in NumPy's arrays, on a device, in several processes.
    """

    steps: int = 0
    """How many steps were made."""

    def step(
        self, rows: Array | slice, learning_rate: float, on_gradient: Callable[[Array], None] | None = None
    ) -> float:
        """Learn from some rows, by their numbers; their loss before, penalties included.

        ``on_gradient`` is called between backward and step with the gradient (parameters,) of the
        loss, 0 where frozen, as an array of NumPy; what it writes there is learned from.

        Raises
        ------
        NotFinite
            If a NaN or an infinity arose.
        """
        raise NotImplementedError

    def parameters(self) -> Array:
        """The parameters as they are now, (parameters,); the network's own vector, or a copy."""
        raise NotImplementedError

    def state(self) -> Mapping[str, Array]:
        """The optimizer's vectors as they are now, by name."""
        raise NotImplementedError

    def restore(self, parameters: Array, state: Mapping[str, Array], steps: int) -> None:
        """Take back what :meth:`parameters` and :meth:`state` gave after so many steps.

        ``fit`` calls it for a resume, and where a callback has written to the network's parameters.
        """
        raise NotImplementedError
