"""Losses: frozen data around plain vectorised NumPy functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts.functions import Differentiable
from dagnet.errors import DataError, PluginError, expected
from dagnet.values import Rule, is_number

Targets = Literal["real", "positive", "binary", "probability", "count", "duration", "class"]
TARGETS: tuple[str, ...] = get_args(Targets)
Outputs = Literal["real", "positive", "probability"]
LINKS = {"probability": "sigmoid", "positive": "softplus"}
"""By what outputs must be that are not any real numbers: an activation that makes them so."""
RANGES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "binary": ("0 or 1", lambda y: (y != 0) & (y != 1)),
    "positive": ("above 0", lambda y: y <= 0),
    "count": ("a count of 0 or more", lambda y: y < 0),
    "duration": ("a time, finite and 0 or more", lambda y: (y < 0) | (y == np.inf)),
    "probability": ("a probability in [0, 1]", lambda y: (y < 0) | (y > 1)),
}
"""What targets and outputs that are not any real numbers must be, and which of them are not."""
FILLERS: dict[str, float] = {"positive": 1.0, "duration": 1.0}
"""What stands for a missing target while a loss is calculated, if not 0; the result is not used."""
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


@dataclass(frozen=True, eq=False, repr=False)
class Loss(Differentiable):
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

    >>> fourth = Loss("fourth_power", lambda outputs, targets: ((outputs - targets) ** 4).sum(axis=1))
    >>> fourth.row_values(np.array([[2.0, 1.0]]), np.zeros((1, 2)))
    array([17.])
    """

    kind: ClassVar[str] = "loss"
    functions: ClassVar[tuple[str, ...]] = ("value", "gradient", "predict")
    calculates: ClassVar[tuple[str, str]] = ("row_values", "row_gradients")
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
        for what, known, got in (*kinds, ("outputs", ("real", *LINKS), self.outputs)):
            if got not in known:
                where, must = f"loss {self.name!r}: {what}", f"one of {', '.join(known)}"
                raise PluginError(expected(where, must, got))
        n, must = self.columns, "a whole number, or 1 over one"
        right = is_number(n) and n > 0 and float(n if n >= 1 else 1 / n).is_integer()
        if isinstance(self.targets, tuple) or self.targets == "class":
            must, right = f"{len(kinds)} with targets={self.targets!r}", n == len(kinds)
        if not right:
            raise PluginError(expected(f"loss {self.name!r}: columns", must, n))
        super().__post_init__()

    @property
    def target_kinds(self) -> tuple[Targets, ...]:
        """What targets may be, column by column; the kinds come again with each output unit."""
        return self.targets if isinstance(self.targets, tuple) else (self.targets,)

    def _no_formula(self) -> str:
        couples = "couples rows" if not self.rowwise else "" if self.columns == 1 else "columns is not 1"
        return super()._no_formula() or couples

    def outside(self, outputs: Any) -> Any:
        """Which outputs are outside the loss's domain; None where it takes any numbers."""
        with np.errstate(all="ignore"):
            return None if self.outputs == "real" else RANGES[self.outputs][1](outputs)

    def refuse_outside(self, outputs: Array) -> None:
        """Raise DataError for the first output outside the loss's domain; rows and units count from 0."""
        outside = self.outside(outputs)
        if outside is not None and outside.any():
            row, unit = (int(index) for index in np.argwhere(outside)[0])
            where = f"loss {self.name!r}: output unit {unit} in row {row}"
            mend = f"give the outputs activation={LINKS[self.outputs]!r}, or use a loss on logits"
            raise DataError(expected(where, RANGES[self.outputs][0], float(outputs[row, unit]), mend))

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
