"""Functions tried out on a few numbers, and read as formulas, when they are made.

What cannot be right is refused at once; what symbols are answered is compared with what arrays are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts.trials import Function, checked_arity, checked_result, refuse_wrong
from dagnet.errors import PluginError
from dagnet.formula import (
    Formula,
    Untraceable,
    first_difference,
    place_in_source,
    place_of,
    probe_numbers,
    traced,
    tracing,
)

ROWS = 6
OTHERWISE = "write it with NumPy's elementwise functions, and np.where for if"
ALIKE = {"float64": 1e-9, "float32": 1e-4}
Pair = tuple[Formula, Formula]


@dataclass(frozen=True)
class Formulas:
    """What a function and its derivative calculate, or the reason why no formula says it."""

    value: Formula | None
    slope: Formula | None
    reason: str = ""
    reads: tuple[Any, ...] | None = field(default=None, compare=False)
    by: tuple[Formula, ...] = ()
    """The derivatives by the parameters that learn, which are arrays to all these formulas."""

    @staticmethod
    def numbers(formula: Formula, parameters: Mapping[str, Any]) -> tuple[Any, ...]:
        """The values of a formula's own arguments that are parameters: floats, or arrays as they are."""
        values = (parameters[name] for name in formula.arguments if name in parameters)
        return tuple(value if isinstance(value, np.ndarray) else float(value) for value in values)


def _pair(item: Any) -> Iterator[Function]:
    functions = (getattr(item, name) for name in item.functions[:2])
    return (function for function in functions if function is not None)


def is_own(item: Any) -> bool:
    """Whether a thing is dagnet's: traced when it is needed, and checked by its tests."""
    return all(map(tracing.is_own, _pair(item)))


def _reads(item: Any) -> tuple[Any, ...] | None:
    return tracing.what_it_reads(*_pair(item), *item.arguments)


def unchanged(item: Any) -> bool:
    """Whether a thing is dagnet's, or reads what it did when it was traced."""
    return is_own(item) or tracing.same(item.formulas.reads, _reads(item))


def formulas_of(item: Any, reason: str) -> Formulas:
    """Value and slope or neither; none where there is a ``reason``."""
    reads, value, slope = _reads(item), None, None
    if not reason:
        try:
            value, slope = FORMULAS[item.kind](item)
        except Untraceable as error:
            reason = f"{error.what}; {error.mend or OTHERWISE}"
    by = () if value is None else tuple(map(value.derivative, getattr(item, "trainable", ())))
    return Formulas(value, slope, reason, reads, by)


def _formulas_of_activation(item: Any) -> Pair:
    """g(z) and g'(z, a)."""
    value = traced(item.function, ["z", *item.trainable], item.parameters)
    given = item.derivative is not None
    if given:
        slope = traced(item.derivative, ["z", "a", *item.trainable], item.parameters)
    else:
        slope = value.derivative("z", result="a")
    for dtype in ALIKE:
        z = probe_numbers([value, slope], item.kink_points(), dtype)
        if dtype == "float32":  # NumPy's own numbers may make it double precision, which is no less right
            z = z[(np.abs(z) < 1e3) & (np.abs(z) > 1e-3)]
        a = _compared(value, item.function, item, z)
        if given:
            _compared(slope, item.derivative, item, z, a)
    return value, slope


def _formulas_of_loss(item: Any) -> Pair:
    """ℓ(outputs, targets) and ∂ℓ/∂outputs."""

    def guarded(outputs: Any, targets: Any, *values: Any) -> Any:
        """NaN where an output is none of the domain: then the rows are looked at by name."""
        found, outside = item.value(outputs, targets, *values), item.outside(outputs)
        return found if outside is None else np.where(outside.max(axis=1), np.nan, found)

    probe, names = loss_probe(item), ["outputs", "targets"]
    if probe is None:
        raise Untraceable("refuses all rows that were tried", "say minimum_outputs=, targets=, outputs=")
    value = traced(guarded, names, item.parameters, axis=1)
    if value.ops[value.results[0]].form == "unit":
        raise Untraceable("gives one number a unit")
    slope = traced(item.gradient or item.value, names, item.parameters, axis=1)
    slope = slope if item.gradient else slope.derivative("outputs")
    for dtype in ALIKE:
        arrays = [array.astype(dtype) for array in probe]
        _compared(value, item.value, item, *arrays)
        if item.gradient is not None:
            _compared(slope, item.gradient, item, *arrays)
    return value, slope


def _formulas_of_aggregation(item: Any) -> Pair:
    """The aggregation of terms, and ∂/∂terms, which may read the result."""
    value = traced(item.function, ["terms"], item.parameters, axis=0)
    for dtype in ALIKE:
        for terms in _terms():
            _compared(value, item.function, item, terms.astype(dtype))
    return value, value.derivative("terms", result="result")


def _terms() -> list[Array]:
    """Terms to try aggregations on, (terms, units, rows)."""
    rng = np.random.default_rng(3)
    return [rng.normal(0, 1.5, (n, 3, 4)) for n in (1, 2, 5)]


FORMULAS: dict[str, Callable[[Any], Pair]] = {
    "activation": _formulas_of_activation,
    "aggregation": _formulas_of_aggregation,
    "loss": _formulas_of_loss,
}


def _compared(formula: Formula, function: Function, item: Any, *arrays: Array) -> Array:
    """What a function gives for arrays; it may answer symbols otherwise than those."""
    at, near = arrays[0], ALIKE[arrays[0].dtype.name]
    with np.errstate(all="ignore"):
        theirs = np.asarray(function(*(array.copy() for array in arrays), *item.arguments))
        ours = formula(*arrays, *Formulas.numbers(formula, item.parameters))
    if ours.shape != theirs.shape:
        raise Untraceable(f"answers symbols with another shape than arrays{place_of(function)}")
    place = first_difference(ours, theirs, near, near * 1e-6)
    if place >= 0:
        pair = f"{float(ours.flat[place])!r} for {float(theirs.flat[place])!r}"
        where = f" at {float(at.flat[place])!r}" if ours.shape == at.shape else ""
        raise Untraceable(f"answers symbols otherwise than arrays: {pair}{where}{place_of(function)}")
    return theirs


def array_gradient(where: str, function: Function, x: Array, *rest: Any, give: str) -> tuple[Array, Array]:
    """What a function without a formula gives, and ∂(its sum)/∂x, by a tape over arrays.

    PluginError where something has no derivative: the message names it, its line and the mend.
    """
    from dagnet.formula import arrays, tape  # noqa: PLC0415 - few need it

    cause: Exception
    if isinstance(function, np.vectorize):
        what = f"is an np.vectorize{place_of(function)}, which hands over bare numbers"
        raise PluginError(f"{where} {what}; give {give} or write it for whole arrays")
    try:
        with np.errstate(all="ignore"):
            return arrays.value_and_gradient(function, x, *rest)
    except tape.NotDifferentiable as refusal:
        cause, what = refusal, refusal.what
        otherwise = refusal.mend or "write it with NumPy functions that have one"
    except PluginError:
        raise
    except Exception as error:  # noqa: BLE001 - it is raised below
        with np.errstate(all="ignore"):
            function(x.copy(), *rest)  # a mistake of the function's own is raised as it is
        first = str(error).partition("\n")[0]
        cause, what = error, f"cannot be differentiated, {type(error).__name__}: {first}"
        otherwise = "write it with NumPy's functions alone"
    raise PluginError(f"{where} {what}{place_in_source(cause)}; give {give} or {otherwise}") from cause


def check_activation(item: Any) -> None:
    """Whether function and derivative can be right for any network; ``item`` is an Activation."""
    where, arguments, derivative = f"activation {item.name!r}: function", item.arguments, item.derivative
    checked_arity(where, item.function, ("z", *item.parameters))
    z = np.linspace(-1, 1, 12).reshape(3, 4)
    a, alone = (
        checked_result(where, lambda x: item.function(x, *arguments), (x,), x.shape, item.function)
        for x in (z, z[1:2, 1:2])
    )
    if not np.allclose(alone, a[1:2, 1:2], rtol=1e-3, equal_nan=True):
        mend = "reduce nothing, and write np.where for if"
        at = place_of(item.function)
        raise PluginError(f"{where} must treat each number by itself, whatever stands beside it{at}; {mend}")
    if item.trainable:
        _check_learned(where, item, z, a)
    if derivative is None:
        if item.formula is None:
            array_gradient(where, item.function, z, *arguments, give="derivative=…")
        return
    where = f"activation {item.name!r}: derivative"
    checked_arity(where, derivative, ("z", "a", *item.parameters))
    checked_result(where, lambda x, y: derivative(x, y, *arguments), (z, a), z.shape, derivative)
    if not item.surrogate:
        rng = np.random.default_rng(1)
        z = off_kinks(item, np.concatenate([rng.normal(0, 1.5, 64), rng.normal(0, 8, 16)]))
        mend = f"mend it, leave it out, or say surrogate=True if {item.name} is meant to learn by another's"
        where += place_of(derivative)
        moved = {name: 1.5 * start + 0.3 for name, start in item.trainable.items()}
        for numbers in [arguments, tuple({**item.parameters, **moved}.values())][: 1 + bool(moved)]:
            with np.errstate(all="ignore"):
                given = derivative(z.copy(), item.function(z.copy(), *numbers), *numbers)

            def right(x: Array, numbers: tuple[Any, ...] = numbers) -> Any:
                return item.function(x, *numbers)

            refuse_wrong(where, given, z, right, "the function's", mend)


def _check_learned(where: str, item: Any, z: Array, a: Array) -> None:
    """Whether a function takes one number a unit of what learns, and has derivatives by it."""
    columns = {name: np.full((len(z), 1), start) for name, start in item.trainable.items()}
    arguments = tuple({**item.parameters, **columns}.values())
    found = checked_result(where, lambda x: item.function(x, *arguments), (z,), z.shape, item.function)
    if not np.allclose(found, a, rtol=1e-6, equal_nan=True):
        names = ", ".join(item.trainable)
        raise PluginError(f"{where} must give the same for {names} as numbers and as arrays (units, 1)")
    for name in item.trainable:
        item.slope_by(name, z)


def check_aggregation(item: Any) -> None:
    """Whether function and derivative can be right; ``item`` is an Aggregation."""
    where, arguments, derivative = f"aggregation {item.name!r}: function", item.arguments, item.derivative
    checked_arity(where, item.function, ("terms", *item.parameters))

    def function(terms: Array) -> Any:
        return item.function(terms, *arguments)

    for terms in _terms():
        found = checked_result(where, function, (terms,), terms.shape[1:], item.function)
        with np.errstate(all="ignore"):
            alone = function(terms[:, 1:2, 1:2].copy())
        if not np.allclose(alone, found[1:2, 1:2], rtol=1e-3, equal_nan=True):
            must = f"must treat each place of the other axes by itself{place_of(item.function)}"
            raise PluginError(f"{where} {must}; reduce over axis=0 alone")
    if derivative is None:
        if item.formula is None:
            array_gradient(where, item.function, terms, *arguments, give="derivative=…")
        return
    where = f"aggregation {item.name!r}: derivative"
    checked_arity(where, derivative, ("terms", "result", *item.parameters))

    def slope(terms: Array, result: Array) -> Any:
        return derivative(terms, result, *arguments)

    for terms in _terms():
        checked_result(where, slope, (terms, function(terms.copy())), terms.shape, derivative)
        rows = terms.reshape(len(terms), -1).T.copy()
        with np.errstate(all="ignore"):
            given = slope(rows.T.copy(), function(rows.T.copy())).T
        whose, mend = "the function's", "mend it, or leave it out"
        refuse_wrong(where + place_of(derivative), given, rows, lambda x: function(x.T), whose, mend)


def off_kinks(item: Any, z: Array) -> Array:
    """The numbers that are near no kink that an activation declares."""
    return z[(np.abs(z[:, None] - np.array(item.kink_points())) > 1e-3).all(axis=1)]


def loss_probe(item: Any) -> tuple[Array, Array] | None:
    """Rows that a loss takes without an error of its own, if there are some; two outputs wide if it may be.

    A loss of one output may give a gradient of one column, whatever it is given.
    """
    for width in dict.fromkeys((max(2, item.minimum_outputs), item.minimum_outputs)):
        for rows in item.drawn(2, (ROWS, width)):
            if _shape(item.value, rows, item.arguments) is None:
                continue
            if width == item.minimum_outputs or _shape(item.gradient, rows, item.arguments) != (ROWS, 1):
                return rows
    return None


def _shape(function: Any, rows: tuple[Array, Array], rest: tuple[Any, ...]) -> tuple[int, ...] | None:
    """What a function gives for rows has, None where it takes none; a stranger's may raise any error."""
    try:
        with np.errstate(all="ignore"):
            return np.shape(function(*(array.copy() for array in rows), *rest))
    except Exception:  # noqa: BLE001 - it is raised again where the function is checked
        return None


def check_loss(item: Any) -> None:
    """Whether value and gradient can be right; ``item`` is a Loss."""
    where, arguments, gradient, probe = f"loss {item.name!r}", item.arguments, item.gradient, loss_probe(item)
    for what in item.functions:
        if getattr(item, what) is not None:
            names = ("outputs",) if what == "predict" else ("outputs", "targets")
            checked_arity(f"{where}: {what}", getattr(item, what), (*names, *item.parameters))
    if probe is None:
        return

    def value(outputs: Array, targets: Array) -> Any:
        return item.value(outputs, targets, *arguments)

    values = checked_result(f"{where}: value", value, probe, (ROWS,), item.value)
    if item.rowwise:
        with np.errstate(all="ignore"):
            alone = value(*(array[:1].copy() for array in probe))
        if np.shape(alone) != (1,) or not np.allclose(alone, values[:1], 1e-6, 1e-9, equal_nan=True):
            mend = "say rowwise=False if rows are meant to depend on each other"
            raise PluginError(f"{where}: value{place_of(item.value)} must treat each row by itself; {mend}")
    if gradient is None:
        if item.formula is None:
            array_gradient(f"{where}: value", item.value, *probe, *arguments, give="gradient=…")
        return
    where, shape = f"{where}: gradient", probe[0].shape
    given = checked_result(where, lambda o, t: gradient(o, t, *arguments), probe, shape, gradient)
    if item.rowwise and not item.surrogate:
        mend = "mend it, or leave it out; it is that of the sum over rows, not of their mean"
        at = place_of(gradient)
        refuse_wrong(where + at, given, probe[0], lambda o: value(o, probe[1]), "the value's", mend)
