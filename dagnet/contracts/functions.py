"""Activations, aggregations and losses: frozen data around plain vectorised NumPy functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts.named import Parametric
from dagnet.errors import DataError, PluginError, Verbatim, expected
from dagnet.values import Rule, is_number

if TYPE_CHECKING:
    from dagnet.contracts.probing import Formulas
    from dagnet.formula import Formula

Targets = Literal["real", "positive", "binary", "probability", "count", "duration", "class"]
TARGETS: tuple[str, ...] = get_args(Targets)
Outputs = Literal["real", "positive", "probability"]
DOMAINS: dict[str, tuple[str, str, Callable[[Any], Any]]] = {
    "probability": ("a probability in [0, 1]", "sigmoid", lambda o: (o < 0.0) | (o > 1.0)),
    "positive": ("above 0", "softplus", lambda o: o <= 0.0),
}
"""What outputs must be, an activation that makes them so, and which of them are not."""
RANGES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "binary": ("0 or 1", lambda y: (y != 0) & (y != 1)),
    "positive": ("above 0", lambda y: y <= 0),
    "count": ("a count of 0 or more", lambda y: y < 0),
    "duration": ("a time, finite and 0 or more", lambda y: (y < 0) | (y == np.inf)),
    "probability": ("a probability from 0 to 1", lambda y: (y < 0) | (y > 1)),
}
"""What targets that are not any real numbers must be, and which of them are not."""
DRAWN_OUTPUTS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Array]] = {
    "real": lambda rng, shape: rng.normal(0, 1.5, shape),
    "positive": lambda rng, shape: rng.gamma(2.0, 1.0, shape) + 0.05,
    "probability": lambda rng, shape: rng.uniform(0.05, 0.95, shape),
}
DRAWN_TARGETS: dict[str, tuple[Callable[[np.random.Generator, tuple[int, int]], Array], ...]] = {
    "real": (DRAWN_OUTPUTS["real"], DRAWN_OUTPUTS["positive"]),
    "positive": (DRAWN_OUTPUTS["positive"],),
    "binary": (lambda rng, shape: rng.integers(0, 2, shape).astype(float),),
    "probability": (DRAWN_OUTPUTS["probability"],),
    **dict.fromkeys(("count", "duration"), (lambda rng, shape: rng.poisson(2.0, shape).astype(float),)),
    "class": (lambda rng, shape: np.eye(shape[1])[rng.integers(0, shape[1], shape[0])],),
}
"""How outputs and targets that are tried are drawn; targets perhaps in several ways."""


def _probing() -> Any:
    """The room of formulas, read when the first is asked for: ``import dagnet`` need not pay for it."""
    from dagnet.contracts import probing  # noqa: PLC0415 - see above

    return probing


@dataclass(frozen=True, eq=False, repr=False)
class _Differentiable(Parametric):
    """What these share: formulas, traced when one is made and where they may be others."""

    def __post_init__(self) -> None:
        super().__post_init__()
        probing = _probing()
        if not probing.is_own(self):
            getattr(probing, f"check_{self.kind}")(self)

    def _no_formula(self) -> str:
        """Why there can be none."""
        return ""

    @property
    def formulas(self) -> Formulas:
        """The formulas of the function and of its derivative."""
        found: Formulas | None = self.__dict__.get("_formulas")
        if found is None:
            found = self.__dict__["_formulas"] = _probing().formulas_of(self, self._no_formula())
        return found

    @property
    def formula(self) -> Formula | None:
        """What the function calculates, of its arguments and of the parameters that are numbers; or None."""
        return self.formulas.value

    @property
    def reason(self) -> str:
        """Why there is no formula."""
        return self.formulas.reason

    def describe(self) -> str:
        """Name and parameters; what the function's docstring says of it, such as its source; its formulas."""
        (what, by), found = self.functions[:2], self.formulas
        said = inspect.getdoc(getattr(self, what)) if inspect.isfunction(getattr(self, what)) else None
        runs = f"through NumPy: {found.reason}"
        listings = [f"{what}: {found.value or runs}", f"{by}: {found.slope or runs}"]
        return "\n\n".join(filter(None, [f"{self.kind} {self}", said, *listings]))

    def refreshed(self) -> Self:
        """Itself, or a copy that is traced anew where what the functions read is another now."""
        if _probing().unchanged(self):
            return self
        before, anew = self.formulas, replace(self)
        return self if anew.formulas == before and before.value is not None else anew

    def _value(self, *arrays: Array) -> Any:
        """By the formula, else by the function as it is."""
        formula, function = self.formulas.value, getattr(self, self.functions[0])
        if formula is None:
            return function(*arrays, *self.arguments)
        return formula(*arrays, *self.formulas.numbers(formula, self.parameters))

    def _slope(self, *arrays: Array, of: int) -> Any:
        """By the formula, by the derivative as it is, or by a tape over the first ``of`` arrays."""
        (what, by), formula = self.functions[:2], self.formulas.slope
        if formula is not None:
            return formula(*arrays, *self.formulas.numbers(formula, self.parameters))
        if getattr(self, by) is not None:
            return getattr(self, by)(*arrays, *self.arguments)
        where, given = f"{self.kind} {self.name!r}: {what}", (*arrays[:of], *self.arguments)
        return _probing().array_gradient(where, getattr(self, what), *given, give=f"{by}=…")[1]

    def _of_shape(self, what: str, result: Any, shape: tuple[int, ...]) -> Array:
        """Checked when it was made, but a function may find another shape for other arrays."""
        result = np.asarray(result)
        if result.shape != shape:
            got = Verbatim(f"shape {result.shape}")
            raise PluginError(expected(f"{self.kind} {self.name!r}: {what}", f"of shape {shape}", got))
        return result

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_formulas"}


@dataclass(frozen=True, eq=False, repr=False)
class Activation(_Differentiable):
    r"""An activation function a = g(z), elementwise and vectorised.

    ``print(dagnet.activations()["gelu"].describe())`` shows formula, derivative and source of one.

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

    def _no_formula(self) -> str:
        own = type(self).value is Activation.value and type(self).slope is Activation.slope
        return "" if own else "its class calculates by itself"

    def value(self, z: Array) -> Array:
        """g(z), of z's shape."""
        return self._value(z)

    def slope(self, z: Array, a: Array) -> Array:
        """g'(z), of z's shape, where a = g(z) is given along."""
        return self._slope(z, a, of=1)

    def kink_points(self) -> tuple[float, ...]:
        """The kinks for the parameters as they are."""
        points = self.kinks(*self.arguments) if callable(self.kinks) else self.kinks
        return tuple(float(point) for point in points)


@dataclass(frozen=True, eq=False, repr=False)
class Aggregation(_Differentiable):
    r"""How a node makes one number of its terms w·a: z = bias + aggregation over the terms.

    ``print(dagnet.aggregations()["max"].describe())`` shows formula and derivative of one.

    Parameters
    ----------
    name
        An identifier; graphs refer to it.
    function
        ``function(terms, *parameters)``: (terms, …) → (…), reduced over axis 0, each place of the
        other axes by itself.  There is one term at least.  It must not write to them.
    derivative
        ``derivative(terms, result, *parameters)``: ∂result/∂terms, of the shape of ``terms``.
        ``None``: derived from ``function``.
    parameters
        Names and default values, in the order in which the functions take them.
    rules
        What the parameters must be, by name.
    kinks
        Whether the derivative jumps where terms change places, as that of a maximum does.
        Gradient checks do not judge what steps over such a place.

    Attributes
    ----------
    formula
        What the function calculates, a :class:`dagnet.Formula`, or None with the ``reason``.

    Raises
    ------
    PluginError
        For a function or derivative that cannot be right, as for :class:`Activation`.

    Examples
    --------
    >>> import numpy as np
    >>> norm = Aggregation("norm", lambda terms: np.sqrt(np.sum(terms * terms, axis=0)))
    >>> norm.value(np.array([[3.0], [4.0]]))
    array([5.])
    """

    kind: ClassVar[str] = "aggregation"
    functions: ClassVar[tuple[str, ...]] = ("function", "derivative")
    function: Callable[..., Any]
    derivative: Callable[..., Any] | None = field(default=None, kw_only=True)
    parameters: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    rules: Mapping[str, Rule] = field(default_factory=dict, kw_only=True)
    kinks: bool = field(default=False, kw_only=True)

    def _no_formula(self) -> str:
        own = type(self).value is Aggregation.value and type(self).slope is Aggregation.slope
        return "" if own else "its class calculates by itself"

    def value(self, terms: Array) -> Array:
        """The aggregation of (terms, …), (…)."""
        return self._of_shape("function", self._value(terms), terms.shape[1:])

    def slope(self, terms: Array, result: Array) -> Array:
        """∂result/∂terms, (terms, …), where the aggregation of the terms is given along."""
        if self.derivative is None:
            return np.broadcast_to(self._slope(terms, result, of=1), terms.shape)
        given = self.derivative(terms, result, *self.arguments)
        return self._of_shape("derivative", given, terms.shape)


@dataclass(frozen=True, eq=False, repr=False)
class Loss(_Differentiable):
    """A loss ℓ(outputs, targets), one number a row.

    ``print(dagnet.losses()["huber"].describe())`` shows formula, gradient and source of one.

    Parameters
    ----------
    name
        An identifier.
    value
        ``value(outputs, targets, *parameters) -> (rows,)``; outputs are (rows, output units),
        targets (rows, ``columns`` · output units).  With ``targets="class"`` the targets are class
        probabilities (labels arrive one-hot).
    gradient
        ``gradient(outputs, targets, *parameters) -> (rows, output units)``: the derivative of
        the summed value with respect to ``outputs``.  ``None``: derived.
    predict
        ``predict(outputs, *parameters)``: what the outputs predict, of their shape (for logits:
        probabilities).  ``None``: the outputs themselves.
    targets
        What a target may be: ``"real"``, ``"positive"`` (above 0), ``"binary"`` (0 or 1),
        ``"probability"`` (0 to 1), ``"count"`` (≥ 0), ``"duration"`` (≥ 0, finite) or ``"class"`` (labels
        or class probabilities); or a tuple of these, one for each of a unit's ``columns``.
    outputs
        What an output must be: ``"real"``, ``"positive"`` (above 0) or ``"probability"`` (0 to 1);
        dagnet refuses others by row and unit.
    rowwise
        Whether a row's value depends on that row alone; else all rows count the same.
    columns
        How many target columns each output unit has, which stand side by side: 2 for a time and whether
        there was an event; 0.5 where two units of a node share one.
    lacks
        ``lacks(targets, *parameters) -> str``: what rows with such targets lack to teach anything, such as
        ``"an event"``, ``""`` where they do.  Data that lack it are refused; a batch makes no step.
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
    targets: Targets | tuple[Targets, ...] = field(default="real", kw_only=True)
    outputs: Outputs = field(default="real", kw_only=True)
    rowwise: bool = field(default=True, kw_only=True)
    columns: float = field(default=1, kw_only=True)
    lacks: Callable[..., str] | None = field(default=None, kw_only=True)
    parameters: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    minimum_outputs: int = field(default=1, kw_only=True)
    rules: Mapping[str, Rule] = field(default_factory=dict, kw_only=True)
    surrogate: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        kinds = [("targets", TARGETS, kind) for kind in self.target_kinds]
        for what, known, got in (*kinds, ("outputs", ("real", *DOMAINS), self.outputs)):
            if got not in known:
                where, must = f"loss {self.name!r}: {what}", f"one of {', '.join(known)}"
                raise PluginError(expected(where, must, got))
        n, must = self.columns, "a whole number, or 1 over one"
        right = is_number(n) and n > 0 and float(n if n >= 1 else 1 / n).is_integer()
        if isinstance(self.targets, tuple) or self.targets == "class":
            must, right = (
                f"{len(self.target_kinds)} with targets={self.targets!r}",
                n == len(self.target_kinds),
            )
        if not right:
            raise PluginError(expected(f"loss {self.name!r}: columns", must, n))
        super().__post_init__()

    @property
    def target_kinds(self) -> tuple[Targets, ...]:
        """What targets may be, column by column; the kinds come again with each output unit."""
        return self.targets if isinstance(self.targets, tuple) else (self.targets,)

    def _no_formula(self) -> str:
        own = type(self).row_values is Loss.row_values and type(self).row_gradients is Loss.row_gradients
        if not own:
            return "its class calculates by itself"
        return "couples rows" if not self.rowwise else "" if self.columns == 1 else "columns is not 1"

    def outside(self, outputs: Any) -> Any:
        """Which outputs are outside the loss's domain; None where it takes any numbers."""
        with np.errstate(all="ignore"):
            return None if self.outputs == "real" else DOMAINS[self.outputs][2](outputs)

    def refuse_outside(self, outputs: Array) -> None:
        """Raise DataError for the first output outside the loss's domain; rows and units count from 0."""
        outside = self.outside(outputs)
        if outside is not None and outside.any():
            row, unit = (int(index) for index in np.argwhere(outside)[0])
            must, link, _ = DOMAINS[self.outputs]
            where = f"loss {self.name!r}: output unit {unit} in row {row}"
            mend = f"give the outputs activation={link!r}, or use a loss on logits"
            raise DataError(expected(where, must, float(outputs[row, unit]), mend))

    def row_values(self, outputs: Array, targets: Array) -> Array:
        """The loss of each row, (rows,)."""
        self.refuse_outside(outputs)
        return self._of_shape("value", self._value(outputs, targets), (len(outputs),))

    def row_gradients(self, outputs: Array, targets: Array) -> Array:
        """∂(sum of the row values)/∂outputs, (rows, output units)."""
        self.refuse_outside(outputs)
        return self._of_shape("gradient", self._slope(outputs, targets, of=2), outputs.shape)

    def prediction(self, outputs: Array) -> Array:
        """What the outputs predict, (rows, output units)."""
        return outputs if self.predict is None else self.predict(outputs, *self.arguments)

    def drawn(self, seed: int, shape: tuple[int, int]) -> Iterator[tuple[Array, Array]]:
        """Outputs (rows, output units) and targets to try, drawn in each way that there is."""
        rows, width = shape[0], round(shape[1] * self.columns / len(self.target_kinds))
        ways = [DRAWN_TARGETS[kind] for kind in self.target_kinds]
        for k in range(max(map(len, ways))):
            rng = np.random.default_rng(seed)
            outputs = DRAWN_OUTPUTS[self.outputs](rng, shape)
            columns = np.stack([draws[k % len(draws)](rng, (rows, width)) for draws in ways], axis=2)
            yield outputs, columns.reshape(rows, -1)
