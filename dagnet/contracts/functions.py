"""Activations, losses and initializers: frozen data around plain vectorised NumPy functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts.parametric import Parametric
from dagnet.errors import DataError, PluginError, Verbatim, expected
from dagnet.values import Rule

if TYPE_CHECKING:
    from dagnet.contracts.formulas import Formulas
    from dagnet.formula import Formula

Targets = Literal["real", "positive", "binary", "probability", "count", "class"]
TARGETS: tuple[str, ...] = ("real", "positive", "binary", "probability", "count", "class")
Outputs = Literal["real", "positive", "probability"]
DOMAINS: dict[str, tuple[str, str, Callable[[Any], Any]]] = {
    "probability": ("a probability in [0, 1]", "sigmoid", lambda o: (o < 0.0) | (o > 1.0)),
    "positive": ("above 0", "softplus", lambda o: o <= 0.0),
}
"""What outputs must be, an activation that makes them so, and which of them are not."""


def _none(reason: str) -> Formulas:
    found: Formulas = _tracing().Formulas(None, None, reason)
    return found


def _tracing() -> Any:
    """The room of formulas, read when the first is asked for: ``import dagnet`` need not pay for it."""
    from dagnet.contracts import formulas  # noqa: PLC0415 - see above

    return formulas


@dataclass(frozen=True, eq=False, repr=False)
class _Differentiable(Parametric):
    """What activations and losses share: formulas, traced when one is made and where they may be others."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self._is_own():
            self._check()

    def _check(self) -> None:
        """Refuse what cannot be right."""

    def _trace(self) -> Formulas:
        return _none("calculates nothing")

    def _pair(self) -> list[Callable[..., Any]]:
        functions = (getattr(self, name) for name in self.functions[:2])
        return [function for function in functions if function is not None]

    def _is_own(self) -> bool:
        """Whether it is dagnet's: these are traced when they are needed, and checked by its tests."""
        return all(map(_tracing().is_own, self._pair()))

    def _read_now(self) -> tuple[Any, ...] | None:
        return _tracing().what_it_reads(*self._pair(), self.arguments)

    @property
    def formulas(self) -> Formulas:
        """The formulas of the function and of its derivative."""
        found: Formulas | None = self.__dict__.get("_formulas")
        if found is None:
            reads, found = self._read_now(), self._trace()
            self.__dict__.update(_formulas=found, _reads=reads)
        return found

    @property
    def formula(self) -> Formula | None:
        """What the function calculates, of its arguments and of the parameters that are numbers; or None."""
        return self.formulas.value

    @property
    def reason(self) -> str:
        """Why there is no formula."""
        return self.formulas.reason

    def refreshed(self) -> Self:
        """Itself, or a copy that is traced anew where what the functions read is another now."""
        if self._is_own():
            return self
        before = self.formulas
        if _tracing().same(self.__dict__.get("_reads"), self._read_now()):
            return self
        anew = replace(self)
        return self if anew.formulas == before and before.value is not None else anew

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name not in {"_formulas", "_reads"}}


@dataclass(frozen=True, eq=False, repr=False)
class Activation(_Differentiable):
    r"""An activation function a = g(z), elementwise and vectorised.

    Parameters
    ----------
    name
        An identifier; graphs refer to it.
    function
        ``function(z, *parameters) -> a``, of z's shape.  It must not write to z.
    derivative
        ``derivative(z, a, *parameters) -> g'(z)``.  A derivative that never reads ``z`` saves
        the compiled engine the memory for it.  ``None``: derived from ``function``.
    parameters
        Names and default values, in the order in which the functions take them.
    kinks
        The points where g is not differentiable: numbers, or ``kinks(*parameters)`` that
        returns them.  Gradient checks stay away from them.
    rules
        What the parameters must be, by name.
    surrogate
        Whether the derivative is meant to be another one than the function's, as those of steps are;
        else one that is not the function's is refused.

    Attributes
    ----------
    formula
        What the function calculates, a :class:`dagnet.Formula`, or None with the ``reason``.

    Raises
    ------
    PluginError
        For a function or derivative that cannot be right: of other arguments or shape, that writes to
        its arguments, changes from call to call, or is not the derivative.

    Examples
    --------
    >>> import numpy as np
    >>> cube = Activation("cube", lambda z: z**3, lambda z, a: 3 * z**2)
    >>> cube.value(np.array([2.0]))
    array([8.])
    >>> print(cube.formula.derivative("z").latex)
    3 \, {z}^{2}
    """

    kind: ClassVar[str] = "activation"
    functions: ClassVar[tuple[str, ...]] = ("function", "derivative")
    function: Callable[..., Any]
    derivative: Callable[..., Any] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    kinks: Sequence[float] | Callable[..., Sequence[float]] = field(default=(), kw_only=True)
    rules: Mapping[str, Rule] = field(default_factory=dict, kw_only=True)
    surrogate: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if not callable(self.kinks):
            object.__setattr__(self, "kinks", tuple(self.kinks))
        super().__post_init__()

    def _check(self) -> None:
        from dagnet.contracts.probing import check_activation  # noqa: PLC0415 - `import dagnet` need not pay

        check_activation(self, self.derivative)

    def _trace(self) -> Formulas:
        if type(self).value is not Activation.value or type(self).slope is not Activation.slope:
            return _none("its class calculates by itself")
        return _tracing().formulas_of_activation(
            self.function, self.derivative, self.parameters, self.kink_points()
        )

    def value(self, z: Array) -> Array:
        """g(z), of z's shape."""
        formula = self.formulas.value
        if formula is None:
            return self.function(z, *self.arguments)
        return formula(z, *self.formulas.numbers(formula, self.parameters))

    def slope(self, z: Array, a: Array) -> Array:
        """g'(z), of z's shape, where a = g(z) is given along."""
        formula = self.formulas.slope
        if formula is not None:
            return formula(z, a, *self.formulas.numbers(formula, self.parameters))
        if self.derivative is not None:
            return self.derivative(z, a, *self.arguments)
        where = f"activation {self.name!r}: function"
        return _tracing().array_gradient(where, self.function, z, *self.arguments)[1]

    def kink_points(self) -> tuple[float, ...]:
        """The kinks for the parameters as they are."""
        points = self.kinks(*self.arguments) if callable(self.kinks) else self.kinks
        return tuple(float(point) for point in points)


@dataclass(frozen=True, eq=False, repr=False)
class Loss(_Differentiable):
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
        What a target may be: ``"real"``, ``"positive"`` (above 0), ``"binary"`` (0 or 1),
        ``"probability"`` (0 to 1), ``"count"`` (≥ 0) or ``"class"`` (labels or class probabilities).
    outputs
        What an output must be: ``"real"``, ``"positive"`` (above 0) or ``"probability"`` (0 to 1);
        dagnet refuses others by row and unit.
    rowwise
        Whether a row's value depends on that row alone.
    parameters
        Names and default values.
    minimum_outputs
        How many output units the loss needs.
    rules
        What the parameters must be, by name.
    surrogate
        Whether the gradient is meant to be another one than the value's; else a wrong one is refused.

    Attributes
    ----------
    formula
        What ``value`` calculates, a :class:`dagnet.Formula`, or None with the ``reason``.

    Raises
    ------
    PluginError
        For a value or gradient that cannot be right, as for :class:`Activation`.
    """

    kind: ClassVar[str] = "loss"
    functions: ClassVar[tuple[str, ...]] = ("value", "gradient", "predict")
    value: Callable[..., Any]
    gradient: Callable[..., Any] | None = None
    predict: Callable[..., Any] | None = field(default=None, kw_only=True)
    targets: Targets = field(default="real", kw_only=True)
    outputs: Outputs = field(default="real", kw_only=True)
    rowwise: bool = field(default=True, kw_only=True)
    parameters: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    minimum_outputs: int = field(default=1, kw_only=True)
    rules: Mapping[str, Rule] = field(default_factory=dict, kw_only=True)
    surrogate: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        for what, known in (("targets", TARGETS), ("outputs", ("real", *DOMAINS))):
            if getattr(self, what) not in known:
                where, must = f"loss {self.name!r}: {what}", f"one of {', '.join(known)}"
                raise PluginError(expected(where, must, getattr(self, what)))
        super().__post_init__()

    def _check(self) -> None:
        from dagnet.contracts.probing import check_loss, loss_probe  # noqa: PLC0415 - see Activation

        check_loss(self, self.gradient, loss_probe(self))

    def _trace(self) -> Formulas:
        if type(self).row_values is not Loss.row_values or type(self).row_gradients is not Loss.row_gradients:
            return _none("its class calculates by itself")
        if not self.rowwise:
            return _none("couples rows")
        from dagnet.contracts.probing import loss_probe  # noqa: PLC0415 - see Activation

        outside = None if self.outputs == "real" else DOMAINS[self.outputs][2]
        return _tracing().formulas_of_loss(
            self.value, self.gradient, self.parameters, outside, loss_probe(self)
        )

    def refuse_outside(self, outputs: Array) -> None:
        """Raise DataError for the first output outside the loss's domain; rows and units count from 0."""
        if self.outputs == "real":
            return
        with np.errstate(all="ignore"):
            outside = DOMAINS[self.outputs][2](outputs)
        if outside.any():
            row, unit = (int(index) for index in np.argwhere(outside)[0])
            must, link, _ = DOMAINS[self.outputs]
            where = f"loss {self.name!r}: output unit {unit} in row {row}"
            mend = f"give the outputs activation={link!r}, or use a loss on logits"
            raise DataError(expected(where, must, float(outputs[row, unit]), mend))

    def row_values(self, outputs: Array, targets: Array) -> Array:
        """The loss of each row, (rows,)."""
        self.refuse_outside(outputs)
        formula = self.formulas.value
        result: Array
        if formula is None:
            result = np.asarray(self.value(outputs, targets, *self.arguments))
            self._must_have_shape("value", result, (len(outputs),))
        else:
            result = formula(outputs, targets, *self.formulas.numbers(formula, self.parameters))
        return result

    def row_gradients(self, outputs: Array, targets: Array) -> Array:
        """∂(sum of the row values)/∂outputs, (rows, output units)."""
        self.refuse_outside(outputs)
        formula = self.formulas.slope
        result: Array
        if formula is not None:
            result = formula(outputs, targets, *self.formulas.numbers(formula, self.parameters))
        elif self.gradient is not None:
            result = np.asarray(self.gradient(outputs, targets, *self.arguments))
            self._must_have_shape("gradient", result, outputs.shape)
        else:
            where, rest = f"loss {self.name!r}: value", (targets, *self.arguments)
            result = _tracing().array_gradient(where, self.value, outputs, *rest, give="gradient=…")[1]
        return result

    def _must_have_shape(self, what: str, result: Array, shape: tuple[int, ...]) -> None:
        """Checked when it was made, but a function may find another shape for other rows."""
        if result.shape != shape:
            got = Verbatim(f"shape {result.shape}")
            raise PluginError(expected(f"loss {self.name!r}: {what}", f"of shape {shape}", got))

    def prediction(self, outputs: Array) -> Array:
        """What the outputs predict, (rows, output units)."""
        return outputs if self.predict is None else self.predict(outputs, *self.arguments)


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
    rules
        What the parameters must be, by name.
    """

    kind: ClassVar[str] = "initializer"
    functions: ClassVar[tuple[str, ...]] = ("draw",)
    draw: Callable[..., Any]
    parameters: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    rules: Mapping[str, Rule] = field(default_factory=dict, kw_only=True)

    def weights(self, generator: np.random.Generator, fan_in: Array, fan_out: Array) -> Array:
        """One drawn weight for each entry of ``fan_in``."""
        return self.draw(generator, fan_in, fan_out, *self.arguments)
