"""Activations, losses and initializers: frozen data around plain vectorised NumPy functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, cast

import numpy as np
from numpy.typing import NDArray

from dagnet.contracts.parametric import Parametric, checked_function, checked_name, frozen_parameters
from dagnet.errors import PluginError, expected

__all__ = ["TARGETS", "Activation", "Initializer", "Loss"]

Array = NDArray[Any]
Targets = Literal["real", "binary", "probability", "count", "class"]
TARGETS: tuple[str, ...] = ("real", "binary", "probability", "count", "class")


@dataclass(frozen=True, eq=False, repr=False)
class Activation(Parametric):
    """An activation function a = g(z), elementwise and vectorised.

    Parameters
    ----------
    name
        An identifier; graphs refer to it.
    function
        ``function(z, *parameters) -> a``, of z's shape and dtype.  It must not write to z.
    derivative
        ``derivative(z, a, *parameters) -> g'(z)``.  A derivative that never reads ``z`` saves
        the compiled engine the memory for it.  ``None``: derived from ``function`` by
        forward-mode differentiation.
    parameters
        Names and default values, in the order in which the functions take them.
    kinks
        The points where g is not differentiable: numbers, or ``kinks(*parameters)`` that
        returns them.  Gradient checks stay away from them.

    Examples
    --------
    >>> import numpy as np
    >>> cube = Activation("cube", lambda z: z**3, lambda z, a: 3 * z**2)
    >>> cube.value(np.array([2.0]))
    array([8.])
    """

    kind: ClassVar[str] = "activation"
    function: Callable[..., Any]
    derivative: Callable[..., Any] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    kinks: Sequence[float] | Callable[..., Sequence[float]] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        checked_name(self.kind, self.name)
        checked_function(f"activation {self.name!r}: function", self.function)
        object.__setattr__(self, "parameters", frozen_parameters(self.kind, self.name, self.parameters))
        if self.derivative is None:
            from dagnet.duals import Derivative  # noqa: PLC0415 - only those who leave it out pay for it

            object.__setattr__(self, "derivative", Derivative(self.function))
        checked_function(f"activation {self.name!r}: derivative", self.derivative)
        if not callable(self.kinks):
            object.__setattr__(self, "kinks", tuple(self.kinks))

    def value(self, z: Array) -> Array:
        """g(z), of z's shape."""
        result: Array = self.function(z, *self.arguments)
        return result

    def slope(self, z: Array, a: Array) -> Array:
        """g'(z), of z's shape, where a = g(z) is given along."""
        result: Array = cast("Callable[..., Array]", self.derivative)(z, a, *self.arguments)
        return result

    def kink_points(self) -> tuple[float, ...]:
        """The kinks for the parameters as they are."""
        points = self.kinks(*self.arguments) if callable(self.kinks) else self.kinks
        return tuple(float(point) for point in points)


@dataclass(frozen=True, eq=False, repr=False)
class Loss(Parametric):
    """A loss ℓ(outputs, targets), one number a row.

    Parameters
    ----------
    name
        An identifier.
    value
        ``value(outputs, targets, *parameters) -> (rows,)``; both arrays are
        (rows, output units).  With ``targets="class"`` the targets are class probabilities
        (labels arrive one-hot).
    gradient
        ``gradient(outputs, targets, *parameters) -> (rows, output units)``: the derivative of
        the summed value with respect to ``outputs``.  ``None``: derived.
    predict
        ``predict(outputs, *parameters)``: what the outputs predict, of their shape (for logits:
        probabilities).  ``None``: the outputs themselves.
    targets
        What a target may be: ``"real"``, ``"binary"`` (0 or 1), ``"probability"`` (0 to 1),
        ``"count"`` (≥ 0) or ``"class"`` (labels or class probabilities).
    rowwise
        Whether a row's value depends on that row alone.
    parameters
        Names and default values.
    minimum_outputs
        How many output units the loss needs.
    """

    kind: ClassVar[str] = "loss"
    value: Callable[..., Any]
    gradient: Callable[..., Any] | None = None
    predict: Callable[..., Any] | None = field(default=None, kw_only=True)
    targets: Targets = field(default="real", kw_only=True)
    rowwise: bool = field(default=True, kw_only=True)
    parameters: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    minimum_outputs: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        checked_name(self.kind, self.name)
        where = f"loss {self.name!r}"
        checked_function(f"{where}: value", self.value)
        object.__setattr__(self, "parameters", frozen_parameters(self.kind, self.name, self.parameters))
        if self.gradient is None:
            from dagnet.duals import RowGradient  # noqa: PLC0415 - only those who leave it out pay for it

            object.__setattr__(self, "gradient", RowGradient(self.value, self.rowwise))
        checked_function(f"{where}: gradient", self.gradient)
        if self.predict is not None:
            checked_function(f"{where}: predict", self.predict)
        if self.targets not in TARGETS:
            raise PluginError(expected(f"{where}: targets", f"one of {', '.join(TARGETS)}", self.targets))

    def row_values(self, outputs: Array, targets: Array) -> Array:
        """The loss of each row, (rows,)."""
        result: Array = self.value(outputs, targets, *self.arguments)
        return result

    def row_gradients(self, outputs: Array, targets: Array) -> Array:
        """∂(sum of the row values)/∂outputs, (rows, output units)."""
        result: Array = cast("Callable[..., Array]", self.gradient)(outputs, targets, *self.arguments)
        return result

    def prediction(self, outputs: Array) -> Array:
        """What the outputs predict, (rows, output units)."""
        if self.predict is None:
            return outputs
        result: Array = self.predict(outputs, *self.arguments)
        return result


@dataclass(frozen=True, eq=False, repr=False)
class Initializer(Parametric):
    """How weights that the graph does not give are drawn.

    Parameters
    ----------
    name
        An identifier.
    draw
        ``draw(generator, fan_in, fan_out, *parameters) -> weights``.  ``fan_in`` and
        ``fan_out`` are float arrays, one entry a weight to draw: the units of the parents of
        the weight's child, and of the children of its parent.  The result has their shape.
    parameters
        Names and default values.
    """

    kind: ClassVar[str] = "initializer"
    draw: Callable[..., Any]
    parameters: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        checked_name(self.kind, self.name)
        checked_function(f"initializer {self.name!r}: draw", self.draw)
        object.__setattr__(self, "parameters", frozen_parameters(self.kind, self.name, self.parameters))

    def weights(self, generator: np.random.Generator, fan_in: Array, fan_out: Array) -> Array:
        """One drawn weight for each entry of ``fan_in``."""
        result: Array = self.draw(generator, fan_in, fan_out, *self.arguments)
        return result
