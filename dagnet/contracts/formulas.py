"""The formulas of activations and losses: traced when they are made, compared, and traced again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.errors import PluginError
from dagnet.formula import Formula, Untraceable, traced
from dagnet.formula.probes import first_difference, probe_numbers
from dagnet.formula.tracing import place_in_source, place_of

Array = NDArray[Any]
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


def formulas_of_activation(
    function: Callable[..., Any],
    slope: Callable[..., Any] | None,
    parameters: Mapping[str, Any],
    kinks: tuple[float, ...],
) -> Formulas:
    """g(z) and g'(z, a); both or neither."""
    values = tuple(parameters.values())
    try:
        value = traced(function, ["z"], parameters)
        found = traced(slope, ["z", "a"], parameters) if slope else value.derivative("z", result="a")
        formulas = Formulas(value, found)
        for dtype, near in ALIKE.items():
            z = probe_numbers([value, found], kinks, dtype)
            if dtype == "float32":  # NumPy's own numbers may make it double precision, which is no less right
                z = z[(np.abs(z) < 1e3) & (np.abs(z) > 1e-3)]
            with np.errstate(all="ignore"):
                a = np.asarray(function(z.copy(), *values))
                pairs = [(value(z, *formulas.numbers(value, parameters)), a)]
                if slope is not None:
                    ours = found(z, a, *formulas.numbers(found, parameters))
                    pairs.append((ours, np.broadcast_to(slope(z.copy(), a.copy(), *values), z.shape)))
            for (ours, theirs), written in zip(pairs, (function, slope), strict=False):
                _compare(ours, theirs, z, near, written)
    except Untraceable as error:
        return Formulas(None, None, _reason(error))
    return formulas


def formulas_of_loss(
    value: Callable[..., Any],
    gradient: Callable[..., Any] | None,
    parameters: Mapping[str, Any],
    outside: Callable[[Any], Any] | None,
    probe: tuple[Array, Array] | None,
) -> Formulas:
    """ℓ(outputs, targets) and ∂ℓ/∂outputs; both or neither.

    ``outside`` tells which outputs are none of the loss's domain; ``probe`` is rows that the loss takes.
    """

    def guarded(outputs: Any, targets: Any, *values: Any) -> Any:
        """NaN where an output is none of the domain: then the rows are looked at by name."""
        found = value(outputs, targets, *values)
        return found if outside is None else np.where(outside(outputs).max(axis=1), np.nan, found)

    try:
        if probe is None:
            raise Untraceable("refuses all rows that were tried", "say minimum_outputs=, targets=, outputs=")
        formula = traced(guarded, ["outputs", "targets"], parameters, axis=1)
        if formula.ops[formula.results[0]].form == "unit":
            raise Untraceable("gives one number a unit")
        if gradient is None:
            found = traced(value, ["outputs", "targets"], parameters, axis=1).derivative("outputs")
        else:
            found = traced(gradient, ["outputs", "targets"], parameters, axis=1)
        formulas = Formulas(formula, found)
        for dtype, near in ALIKE.items():
            arrays = [array.astype(dtype) for array in probe]
            with np.errstate(all="ignore"):
                truth = value(*(array.copy() for array in arrays), *parameters.values())
                ours = formula(*arrays, *formulas.numbers(formula, parameters))
                _compare(ours, truth, arrays[0], near, value)
                if gradient is not None:
                    truth = gradient(*(array.copy() for array in arrays), *parameters.values())
                    ours = found(*arrays, *formulas.numbers(found, parameters))
                    _compare(ours, truth, arrays[0], near, gradient)
    except Untraceable as error:
        return Formulas(None, None, _reason(error))
    return formulas


def _compare(ours: Array, theirs: Any, at: Array, near: float, written: Any) -> None:
    """A function may answer symbols otherwise than arrays."""
    if np.shape(ours) != np.shape(theirs):
        raise Untraceable(f"answers symbols with another shape than arrays{place_of(written)}")
    place = first_difference(ours, theirs, near, near * 1e-6)
    if place >= 0:
        pair = f"{float(np.ravel(ours)[place])!r} for {float(np.ravel(theirs)[place])!r}"
        where = f" at {float(at.flat[place])!r}" if np.shape(ours) == at.shape else ""
        raise Untraceable(f"answers symbols otherwise than arrays: {pair}{where}{place_of(written)}")


def _reason(error: Untraceable) -> str:
    return f"{error.what}; {error.mend or OTHERWISE}"


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
