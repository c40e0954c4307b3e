"""Activations, aggregations, attributors: frozen data around plain vectorised NumPy functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts.named import Learned, Parametric, check_trainable
from dagnet.errors import PluginError, Verbatim, expected
from dagnet.values import FINITE, Rule

if TYPE_CHECKING:
    from dagnet.contracts.probing import Formulas
    from dagnet.formula import Formula


def _probing() -> Any:
    """The room of formulas, read when the first is asked for: ``import dagnet`` need not pay for it."""
    from dagnet.contracts import probing  # noqa: PLC0415 - see above

    return probing


@dataclass(frozen=True, eq=False, repr=False)
class Differentiable(Parametric):
    """What these share: formulas, traced when one is made and where they may be others."""

    calculates: ClassVar[tuple[str, str]] = ("value", "slope")
    """The methods that calculate by the functions; a class with others has no formula."""

    def __post_init__(self) -> None:
        super().__post_init__()
        probing = _probing()
        if not probing.is_own(self):
            getattr(probing, f"check_{self.kind}")(self)

    def _no_formula(self) -> str:
        """Why there can be none."""
        base = next(kind for kind in type(self).__mro__ if "kind" in vars(kind))
        own = all(getattr(type(self), name) is getattr(base, name) for name in self.calculates)
        return "" if own else "its class calculates by itself"

    @cached_property
    def formulas(self) -> Formulas:
        """The formulas of the function and of its derivative."""
        return _probing().formulas_of(self, self._no_formula())

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
        own = self.__dict__.get("_own")
        if own is None:  # found once: a function's home never changes
            own = self.__dict__["_own"] = _probing().is_own(self)
        if own or _probing().unchanged(self):
            return self
        before, anew = self.formulas, replace(self)
        return self if anew.formulas == before and before.value is not None else anew

    def _value(self, *arrays: Array, **learned: Array) -> Any:
        """By the formula, else by the function as it is."""
        formula, function = self.formulas.value, getattr(self, self.functions[0])
        parameters = {**self.parameters, **learned}
        if formula is None:
            return function(*arrays, *parameters.values())
        return formula(*arrays, *self.formulas.numbers(formula, parameters))

    def _slope(self, *arrays: Array, of: int, **learned: Array) -> Any:
        """By the formula, by the derivative as it is, or by a tape over the first ``of`` arrays."""
        (what, by), formula = self.functions[:2], self.formulas.slope
        parameters = {**self.parameters, **learned}
        if formula is not None:
            return formula(*arrays, *self.formulas.numbers(formula, parameters))
        if getattr(self, by) is not None:
            return getattr(self, by)(*arrays, *parameters.values())
        where, given = f"{self.kind} {self.name!r}: {what}", (*arrays[:of], *parameters.values())
        return _probing().array_gradient(where, getattr(self, what), *given, give=f"{by}=…")[1]

    def _of_shape(self, what: str, result: Any, shape: tuple[int, ...]) -> Array:
        """Checked when it was made, but a function may find another shape for other arrays."""
        result = np.asarray(result)
        if result.shape != shape:
            got = Verbatim(f"shape {result.shape}")
            raise PluginError(expected(f"{self.kind} {self.name!r}: {what}", f"of shape {shape}", got))
        return result

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name not in {"formulas", "_own"}}


@dataclass(frozen=True, eq=False, repr=False)
class Activation(Differentiable):
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
    trainable
        Names and start values of parameters that each unit learns, one number each; the functions take
        them after the others, as numbers or as arrays that broadcast with z: one a unit, (units, 1).
        A node's attribute of that name is its start.
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
    >>> leak = Activation("leak", lambda z, by: np.where(z > 0, z, by * z), trainable={"by": 0.1}, kinks=(0,))
    >>> leak.value(np.array([[-2.0], [-2.0]]), by=np.array([[0.1], [0.5]])).ravel().tolist()
    [-0.2, -1.0]
    """

    kind: ClassVar[str] = "activation"
    functions: ClassVar[tuple[str, ...]] = ("function", "derivative")
    function: Callable[..., Any]
    derivative: Callable[..., Any] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    kinks: Sequence[float] | Callable[..., Sequence[float]] = field(default=(), kw_only=True)
    rules: Mapping[str, Rule] = field(default_factory=dict, kw_only=True)
    surrogate: bool = field(default=False, kw_only=True)
    trainable: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        if not callable(self.kinks):
            object.__setattr__(self, "kinks", tuple(self.kinks))
        if self.trainable != {} and not isinstance(self.trainable, Learned):
            check_trainable(f"activation {self.name!r}: trainable", self.trainable, self.parameters)
            object.__setattr__(self, "parameters", {**self.parameters, **self.trainable})
        if self.trainable:
            object.__setattr__(self, "rules", {**dict.fromkeys(self.trainable, FINITE), **self.rules})
        super().__post_init__()
        starts = {name: self.parameters[name] for name in self.trainable}
        object.__setattr__(self, "trainable", Learned(starts))

    def value(self, z: Array, **learned: Array) -> Array:
        """g(z), of z's shape; of parameters that learn the start values, or arrays that go with z."""
        return self._value(z, **learned)

    def slope(self, z: Array, a: Array, **learned: Array) -> Array:
        """g'(z), of z's shape, where a = g(z) is given along."""
        return self._slope(z, a, of=1, **learned)

    def slope_by(self, name: str, z: Array, **learned: Array) -> Array:
        """∂g/∂(a parameter that learns), of z's shape."""
        parameters, formulas = {**self.parameters, **learned}, self.formulas
        if formulas.value is not None:
            formula = formulas.by[list(self.trainable).index(name)]
            return formula(z, *formulas.numbers(formula, parameters))
        numbers = np.broadcast_to(np.asarray(parameters[name], z.dtype), z.shape)

        def of_number(number: Any) -> Any:
            return self.function(z, *{**parameters, name: number}.values())

        where, give = f"activation {self.name!r}: function, by {name}", f"{name} among parameters=…"
        found: Array = _probing().array_gradient(where, of_number, numbers.copy(), give=give)[1]
        return found

    def kink_points(self) -> tuple[float, ...]:
        """The kinks for the parameters as they are."""
        points = self.kinks(*self.arguments) if callable(self.kinks) else self.kinks
        return tuple(float(point) for point in points)


@dataclass(frozen=True, eq=False, repr=False)
class Aggregation(Differentiable):
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
class Attributor(Parametric):
    """A method of attribution: what each node has contributed to an output, row by row.

    Parameters
    ----------
    name
        An identifier, none of those that are built in.
    function
        ``function(net, X, baseline, of, *parameters)`` → a mapping from each node that it speaks of to its
        contributions, (rows,), or (rows, units) of a node of several.  ``net`` is a copy of the network,
        with which the function may do what it likes; ``X`` and ``baseline`` (rows, input units) are arrays
        as :meth:`Network.forward` takes them; ``of`` is the output, as :meth:`Network.gradient` takes it.
    parameters, rules
        Names and default values, and what the values must be.

    Examples
    --------
    >>> import dagnet
    >>> share = dagnet.Attributor("share", lambda net, X, baseline, of: {"0.0": X[:, 0] - baseline[:, 0]})
    >>> share.name
    'share'
    """

    kind: ClassVar[str] = "attribution method"
    functions: ClassVar[tuple[str, ...]] = ("function",)
    built_in: ClassVar[tuple[str, ...]] = ("deeplift", "gradient*input", "integrated_gradients", "knockout")
    function: Callable[..., Any]
    parameters: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    rules: Mapping[str, Rule] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name in self.built_in:
            raise PluginError(f"{self.kind} {self.name!r} is built in; choose another name")
