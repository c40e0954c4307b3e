"""The formulas of activations and losses: traced when they are made, compared, and traced again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.errors import PluginError
from dagnet.formula import Formula, Untraceable, traced
from dagnet.formula.probes import first_difference, probe_numbers
from dagnet.formula.sameness import is_own, same, what_it_reads
from dagnet.formula.tracing import place_in_source, place_of

__all__ = ["Formulas", "array_gradient", "formulas_of_activation", "formulas_of_loss"]
__all__ += ["is_own", "same", "what_it_reads"]

Function = Callable[..., Any]
OTHERWISE = "write it with NumPy's elementwise functions, and np.where for if"
ALIKE = {"float64": 1e-9, "float32": 1e-4}


@dataclass(frozen=True)
class Formulas:
    """What a function and its derivative calculate, or the reason why no formula says it."""

    value: Formula | None
    slope: Formula | None
    reason: str = ""

    def numbers(self, formula: Formula, parameters: Mapping[str, Any]) -> tuple[float, ...]:
        """The values of a formula's own arguments that are parameters."""
        return tuple(float(parameters[name]) for name in formula.arguments if name in parameters)

    @classmethod
    def none(cls, error: Untraceable) -> Formulas:
        """The reason why there are none."""
        return cls(None, None, f"{error.what}; {error.mend or OTHERWISE}")

    def compared(
        self, formula: Formula, function: Callable[..., Any], parameters: Mapping[str, Any], *arrays: Array
    ) -> Array:
        """What a function gives for arrays; it may answer symbols otherwise than those."""
        at, near = arrays[0], ALIKE[arrays[0].dtype.name]
        with np.errstate(all="ignore"):
            theirs = np.asarray(function(*(array.copy() for array in arrays), *parameters.values()))
            ours = formula(*arrays, *self.numbers(formula, parameters))
        if ours.shape != theirs.shape:
            raise Untraceable(f"answers symbols with another shape than arrays{place_of(function)}")
        place = first_difference(ours, theirs, near, near * 1e-6)
        if place >= 0:
            pair = f"{float(ours.flat[place])!r} for {float(theirs.flat[place])!r}"
            where = f" at {float(at.flat[place])!r}" if ours.shape == at.shape else ""
            raise Untraceable(f"answers symbols otherwise than arrays: {pair}{where}{place_of(function)}")
        return theirs


def formulas_of_activation(
    function: Function, slope: Function | None, parameters: Mapping[str, Any], kinks: tuple[float, ...]
) -> Formulas:
    """g(z) and g'(z, a); both or neither."""
    try:
        value = traced(function, ["z"], parameters)
        found = traced(slope, ["z", "a"], parameters) if slope else value.derivative("z", result="a")
        formulas = Formulas(value, found)
        for dtype in ALIKE:
            z = probe_numbers([value, found], kinks, dtype)
            if dtype == "float32":  # NumPy's own numbers may make it double precision, which is no less right
                z = z[(np.abs(z) < 1e3) & (np.abs(z) > 1e-3)]
            a = formulas.compared(value, function, parameters, z)
            if slope is not None:
                formulas.compared(found, slope, parameters, z, a)
    except Untraceable as error:
        return Formulas.none(error)
    return formulas


def formulas_of_loss(
    value: Function,
    gradient: Function | None,
    parameters: Mapping[str, Any],
    outside: Function | None,
    probe: tuple[Array, Array] | None,
) -> Formulas:
    """ℓ(outputs, targets) and ∂ℓ/∂outputs; both or neither.

    ``outside`` tells which outputs are none of the loss's domain; ``probe`` is rows that the loss takes.
    """
    names = ["outputs", "targets"]

    def guarded(outputs: Any, targets: Any, *values: Any) -> Any:
        """NaN where an output is none of the domain: then the rows are looked at by name."""
        found = value(outputs, targets, *values)
        return found if outside is None else np.where(outside(outputs).max(axis=1), np.nan, found)

    try:
        if probe is None:
            raise Untraceable("refuses all rows that were tried", "say minimum_outputs=, targets=, outputs=")
        formula = traced(guarded, names, parameters, axis=1)
        if formula.ops[formula.results[0]].form == "unit":
            raise Untraceable("gives one number a unit")
        found = traced(gradient or value, names, parameters, axis=1)
        formulas = Formulas(formula, found if gradient else found.derivative("outputs"))
        for dtype in ALIKE:
            arrays = [array.astype(dtype) for array in probe]
            formulas.compared(formula, value, parameters, *arrays)
            if gradient is not None:
                formulas.compared(found, gradient, parameters, *arrays)
    except Untraceable as error:
        return Formulas.none(error)
    return formulas


def array_gradient(
    where: str, function: Callable[..., Any], x: Array, *rest: Any, give: str = "derivative=…"
) -> tuple[Array, Array]:
    """What a function without a formula gives, and ∂(its sum)/∂x, by a tape over arrays.

    Raises
    ------
    PluginError
        Where something has no derivative; the message names it, its line and the mend.
    """
    from dagnet.formula.arrays import value_and_gradient  # noqa: PLC0415 - few need it
    from dagnet.formula.tape import NotDifferentiable  # noqa: PLC0415 - the same

    if isinstance(function, np.vectorize):
        raise PluginError(
            f"{where} is an np.vectorize{place_of(function)}, which hands over bare numbers; "
            f"give {give} or write it for whole arrays"
        )
    try:
        with np.errstate(all="ignore"):
            return value_and_gradient(function, x, *rest)
    except NotDifferentiable as refusal:
        otherwise = refusal.mend or "write it with NumPy functions that have one"
        at = place_in_source(refusal)
        raise PluginError(f"{where} {refusal.what}{at}; give {give} or {otherwise}") from refusal
    except PluginError:
        raise
    except Exception as error:
        with np.errstate(all="ignore"):
            function(x.copy(), *rest)  # a mistake of the function's own is raised as it is
        first = str(error).partition("\n")[0]
        message = f"{where} cannot be differentiated, {type(error).__name__}: {first}{place_in_source(error)}"
        raise PluginError(f"{message}; give {give} or write it with NumPy's functions alone") from error
