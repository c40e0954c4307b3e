"""Activations, losses and optimizers as machine code, each believed once it gives the interpreter's numbers.

Code is called by its address, with that of the numbers that it reads (parameters) before the arrays:
``function(numbers, a, n)``: a[k] = g(a[k]), in place; ``slope(numbers, z, a, δ, n)``: δ[k] *= g'(z[k], a[k]).
"""

from __future__ import annotations

import ctypes
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Activation, Loss, Optimizer
from dagnet.contracts.probing import loss_probe
from dagnet.engine.compiled.generation import REMEMBERED, Machine, over_rows
from dagnet.engine.compiled.masks import numbers_of_rate
from dagnet.engine.compiled.runs import elementwise, learning, of_numbers
from dagnet.engine.compiled.threads import run_parts
from dagnet.engine.compiled.units import Kind, unit_code
from dagnet.engine.compiled.vectors import MOST_LEARNED, MOST_NUMBERS, USUAL_ROWS
from dagnet.errors import DagnetWarning
from dagnet.formula import Formula, Untraceable, first_difference, probe_numbers

WORK_PER_THREAD = 200_000
"""Parameters for which handing half of them to another thread pays."""
NEAR = 1e4
"""How many units in the last place machine code may be off: its sums may be added up in another order."""


@dataclass(frozen=True)
class Called:
    """What a kernel calls: an address, 0 where NumPy has to run it, and that of the numbers it reads."""

    address: int
    numbers: int
    keep: Any = None

    @classmethod
    def of(cls, machine: Machine, parameters: Mapping[str, Any], behind: tuple[float, ...] = ()) -> Called:
        """For some values of the parameters, and numbers behind them."""
        given = [*(parameters[name] for name in machine.numbers), *behind]
        numbers = np.array(given + [0.0] * (MOST_NUMBERS - len(given)), np.float64)
        return cls(machine.address, numbers.ctypes.data, (machine, numbers))


NOBODY = Called(0, 0)


@dataclass(frozen=True)
class CompiledActivation:
    """A function and its slope; ``reason`` says why NumPy has to run them, if so."""

    function: Called
    slope: Called
    needs_z: bool
    reason: str = ""
    n_learned: int = 0
    """Where it learns, ``slope`` is one of :func:`runs.learning`; numbers learned come first."""


_proofs: dict[tuple[Any, ...], str] = {}
"""By what code calculates: why it is not believed, or nothing."""
_made: dict[tuple[Any, ...], tuple[Any, Any]] = {}
"""By formulas, as objects, and dtype: these, and what was made of them; the newest stay."""
_lock = threading.Lock()


def _once(formulas: Any, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """What was made of these very formulas, of one activation, loss or optimizer, or is made now."""
    key = (id(formulas), *key)
    if (known := _made.get(key)) is None:
        known = formulas, make()
        with _lock:
            _made[key] = known
            while len(_made) > REMEMBERED:
                del _made[next(iter(_made))]
    return known[1]


def _proved(key: tuple[Any, ...], where: str, proof: Callable[[], str]) -> str:
    """The reason why machine code is not believed; found once a process."""
    with _lock:
        known = key in _proofs
        if not known:
            _proofs[key] = proof()
    if _proofs[key] and not known:
        text = f"{where}: {_proofs[key]}; it runs through NumPy, which is slower and right"
        warnings.warn(text, DagnetWarning, stacklevel=2)
    return _proofs[key]


def compile_activation(activation: Activation, dtype: Any) -> CompiledActivation:
    """The machine code of an activation for a dtype."""
    key, make = (np.dtype(dtype).char,), lambda: _compile_activation(activation, dtype)
    found: CompiledActivation = _once(activation.formulas, key, make)
    return found


def _compile_activation(activation: Activation, dtype: Any) -> CompiledActivation:
    formulas, name = activation.formulas, np.dtype(dtype).char
    if formulas.value is None or formulas.slope is None:
        given = activation.derivative is not None
        return CompiledActivation(NOBODY, NOBODY, True, activation.reason + ("" if given else " (derived)"))
    learned = tuple(activation.trainable)
    try:
        function = elementwise(of_numbers(formulas.value, learned), dtype, (0,))
        if learned:
            by = [of_numbers(formula, learned) for formula in formulas.by]
            slope = learning(of_numbers(formulas.slope, learned), by, dtype)
        else:
            slope = elementwise(formulas.slope, dtype, (2,), multiply=True)
    except Untraceable as error:
        return CompiledActivation(NOBODY, NOBODY, True, error.what)
    fits = len(function.numbers) <= MOST_NUMBERS and function.numbers == slope.numbers
    if learned and not (fits and len(learned) <= MOST_LEARNED):
        return CompiledActivation(NOBODY, NOBODY, True, "reads too many numbers, or now these, now those")
    called = [Called.of(machine, activation.parameters) for machine in (function, slope)]
    key = (formulas.value.content, formulas.slope.content, learned, name)
    reason = _proved(key, str(activation), lambda: _activation_is_off(activation, called, np.dtype(dtype)))
    if reason:
        return CompiledActivation(NOBODY, NOBODY, True, reason)
    needs_z = bool(learned) or formulas.slope.uses("z")
    return CompiledActivation(called[0], called[1], needs_z, n_learned=len(learned))


APART = 0, 0, 0, None
"""Of units whose sums and activation stay apart."""


def compile_units(
    activation: Activation, code: CompiledActivation, kind: Kind, rate: float = 0.0
) -> tuple[Any, ...]:
    """Sums and an activation as one: forth, back, numbers, what has to live; see :func:`.units.unit_code`.

    With a ``rate`` values are dropped behind it.  Believed if it gives the very bits of ``code``, the
    activation alone, where nothing is dropped.  Where a slope reads z they stay apart.
    """
    key, make = ("units", kind, rate), lambda: _compile_units(activation, code, kind, rate)
    found: tuple[Any, ...] = _once(activation.formulas, key, make)
    return found


def _compile_units(
    activation: Activation, code: CompiledActivation, kind: Kind, rate: float
) -> tuple[Any, ...]:
    formulas = [f for f in (activation.formulas.value, activation.formulas.slope) if f is not None]
    if not code.function.address or code.needs_z:
        return APART
    kind, dtype = kind._replace(drops=rate > 0), np.dtype(kind.dtype)
    machine = unit_code(tuple(formulas), kind)

    def called_with(rate: float) -> tuple[Any, ...]:
        called = Called.of(machine, activation.parameters, numbers_of_rate(rate))
        return called.address, machine.back, called.numbers, called

    key = ("units", *(f.content for f in formulas), kind)
    with _lock:
        if key not in _proofs:
            z = probe_numbers(formulas, activation.kink_points(), dtype) + 0  # sums are never −0
            tried = called_with(0.0), code, z, kind.bits
            alike = all(_are_alike(*tried, lanes) for lanes in kind.widths)
            _proofs[key] = "" if alike else "other bits"
    return APART if _proofs[key] else called_with(rate)


def units_by_code(
    program: Any, widths: tuple[int, ...], codes: Iterable[int], *, joins: bool = False
) -> list[tuple[Any, ...]]:
    """By code, what runs a program's units in tiles of such widths; the last runs sums alone.

    An activation's code is its number, and as many more for each rate of dropout behind it.
    """
    bits, normalizes = 32 if program.is_narrow else 64, program.normalizes
    kind = Kind(program.dtype, bits, widths, normalizes=normalizes, joins=joins)
    activations, rates = program.plan.activations, [0.0, *program.plan.rates.tolist()]
    n, units = len(activations), [APART] * (len(activations) * len(rates))
    for code in codes:
        own = activations[code % n], program.activations[code % n]
        units[code] = compile_units(*own, kind, rates[code // n])
    alone = unit_code((), kind)
    return [*units, (alone.address, alone.back, 0, alone)]


def _are_alike(
    units: tuple[Any, ...], code: CompiledActivation, points: Array, bits: int, lanes: int
) -> bool:
    """Whether units with one parent each, of weight 1, give the bits of the activation of its value."""
    n = -(-len(points) // lanes)
    z = np.zeros((n, lanes), points.dtype)
    z.reshape(-1)[: len(points)] = points
    a, slopes = z.copy(), np.ones_like(z)
    _run(code.function, a)
    _run(code.slope, z.copy(), a.copy(), slopes)
    values, deltas = np.concatenate([z, z]), np.ones((2 * n, lanes), z.dtype)
    indptr, sums = np.maximum(np.arange(2 * n + 1) - n, 0), np.zeros(2 * n, z.dtype)
    unit = f"i{bits // 8}"
    sources, biases, begun = np.arange(n, dtype=unit), np.full(2 * n, -1, unit), np.arange(2 * n, dtype=unit)
    yes, no = np.ones(2 * n, np.int8), np.zeros(2 * n, np.int8)
    program = indptr, sources, biases, np.zeros_like(indptr), sources, begun, yes, no, indptr, indptr
    arrays = (*program, np.ones(n, z.dtype), sums, sums, sums, values, deltas)
    kinds = [ctypes.c_void_p] * (1 + len(arrays)) + [ctypes.c_int64] * 7
    for address in units[:2]:
        starts = [array.ctypes.data for array in arrays]
        ctypes.CFUNCTYPE(None, *kinds)(address)(units[2], *starts, 0, lanes, lanes, lanes, 0, n, 2 * n)
    pairs = (values[n:], a), (deltas[n:], slopes)
    return all(np.array_equal(ours, right, equal_nan=True) for ours, right in pairs)


def _elementwise(address: int, n_arrays: int) -> Callable[..., None]:
    """What stands at an address, as a function of numbers, arrays' pointers and a length."""
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (1 + n_arrays), ctypes.c_int64)(address)


def _run(called: Called, *arrays: Array) -> None:
    pointers = (array.ctypes.data for array in arrays)
    _elementwise(called.address, len(arrays))(called.numbers, *pointers, arrays[0].size)


def _activation_is_off(activation: Activation, called: list[Called], dtype: np.dtype[Any]) -> str:
    """Where machine code gives other numbers than the interpreter, or nothing."""
    formulas = (activation.formulas.value, activation.formulas.slope)
    z = probe_numbers([f for f in formulas if f is not None], activation.kink_points(), dtype)
    eps = np.finfo(dtype).eps
    with np.errstate(all="ignore"):
        moved = z * dtype.type(1 + 2 * eps)
        a, a_moved = activation.value(z), activation.value(moved)
        pairs = [(a, a_moved), (activation.slope(z, a), activation.slope(moved, a_moved))]
    ours, delta = z.copy(), np.ones_like(z)
    _run(called[0], ours)
    results = [ours, delta]
    if activation.trainable:
        results[1:] = _learning_alone(called[1], z.copy(), a.copy(), len(activation.trainable))
        pairs += [(activation.slope_by(by, z), activation.slope_by(by, moved)) for by in activation.trainable]
    else:
        _run(called[1], z.copy(), a.copy(), delta)
    whats = ("value", "derivative", *activation.trainable)
    for what, found, (right, beside) in zip(whats, results, pairs, strict=True):
        with np.errstate(all="ignore"):
            slack = 8 * np.nan_to_num(np.abs(beside - right), nan=0.0) + NEAR * eps
        place = first_difference(found, right, NEAR * eps, slack)
        if place >= 0:
            return f"machine code gives a {what} of {found[place]!s} for {right[place]!s} at {z[place]!s}"
    return ""


def _learning_alone(called: Called, z: Array, a: Array, n: int) -> list[Array]:
    """What a slope that finds sums, too, gives for all numbers at once; and its n sums, number by number."""
    delta, sums = np.ones_like(z), np.zeros((len(z), n), z.dtype)
    _run(called, z, a, delta, np.zeros(n, z.dtype))
    for k in range(len(z)):
        _run(called, z[k : k + 1], a[k : k + 1], np.ones(1, z.dtype), sums[k])
    return [delta, *sums.T]


def compile_loss(loss: Loss, dtype: Any, lanes: int = 0) -> Called | None:
    """The loss and its gradient for a tile of so many rows; None where it has to run through NumPy."""
    key, make = (np.dtype(dtype).char, lanes), lambda: _compile_loss(loss, dtype, lanes)
    found: Called | None = _once(loss.formulas, key, make)
    return found


def _compile_loss(loss: Loss, dtype: Any, lanes: int) -> Called | None:
    formulas, name = loss.formulas, np.dtype(dtype).name
    lanes = lanes or USUAL_ROWS[name]
    if formulas.value is None or formulas.slope is None:
        return None
    try:
        machine = over_rows(formulas.value, formulas.slope, dtype, lanes)
    except Untraceable:
        return None
    called = Called.of(machine, loss.parameters)
    key = (formulas.value.content, formulas.slope.content, name, lanes)
    reason = _proved(key, str(loss), lambda: _loss_is_off(loss, called, np.dtype(dtype), lanes))
    return None if reason else called


def _loss_is_off(loss: Loss, called: Called, dtype: np.dtype[Any], lanes: int) -> str:
    probe = loss_probe(loss)
    if probe is None:
        return "it refuses all rows that were tried"
    many, number = ctypes.c_void_p, ctypes.c_int64
    kinds = [many, many, many, many, number, many, many, many, number, number]
    function = ctypes.CFUNCTYPE(ctypes.c_double, *kinds)(called.address)
    eps = np.finfo(dtype).eps
    for far in (1.0, 30.0) if loss.outputs == "real" else (1.0,):
        outputs, targets = (array.astype(dtype) for array in (probe[0] * far, probe[1]))
        n_rows, width = outputs.shape
        factor = np.linspace(0.5, 1.5, n_rows).astype(dtype)
        state, wanted, deltas = np.zeros((3, width, lanes), dtype)
        state[:, :n_rows], wanted[:, :n_rows] = outputs.T, targets.T
        units = np.arange(width)
        state_at, units_at, *rest = (a.ctypes.data for a in (state, units, wanted, factor, deltas))
        found = function(called.numbers, state_at, units_at, units_at, lanes, *rest, width, n_rows)
        with np.errstate(all="ignore"):
            right = float(np.dot(loss.row_values(outputs, targets).astype(np.float64), factor))
            pull = loss.row_gradients(outputs, targets) * factor[:, None]
        if first_difference([found], [right], NEAR * eps, NEAR * eps * width) >= 0:
            return f"machine code gives a loss of {found!r} for {right!r}"
        place = first_difference(deltas[:, :n_rows].T, pull, NEAR * eps, NEAR * eps * far)
        if place >= 0:
            return f"machine code gives another gradient in row {place // width}"
    return ""


class FusedStep:
    """:meth:`Optimizer.step` in one pass by machine code."""

    def __init__(self, optimizer: Optimizer, machine: Machine, dtype: Any, threads: int) -> None:
        settings, names = optimizer.settings(), machine.numbers
        self.state_names = optimizer.state_names
        self.address, self._machine = machine.address, machine  # code lives as long as the step
        self.fixed = [float(settings.get(name, 0.0)) for name in names]
        self.step_at, self.rate_at = names.index("step"), names.index("learning_rate")
        self._function = _elementwise(machine.address, 2 + len(self.state_names))
        self._size, self._threads = np.dtype(dtype).itemsize, threads

    def __call__(
        self, parameters: Array, gradient: Array, state: dict[str, Array], *, step: int, learning_rate: float
    ) -> None:
        """As :meth:`Optimizer.step`."""
        numbers = (ctypes.c_double * len(self.fixed))(*self.fixed)
        numbers[self.step_at], numbers[self.rate_at] = step, learning_rate
        starts = [vector.ctypes.data for vector in self.vectors(parameters, gradient, state)]
        parts = max(1, min(self._threads, len(parameters) // WORK_PER_THREAD))
        bounds = [len(parameters) * part // parts for part in range(parts + 1)]

        def share(part: int) -> None:
            places = (start + bounds[part] * self._size for start in starts)
            self._function(numbers, *places, bounds[part + 1] - bounds[part])

        run_parts(share, parts)

    def vectors(self, parameters: Array, gradient: Array, state: Mapping[str, Array]) -> list[Array]:
        """What the code reads and writes, in its order."""
        return [parameters, gradient, *(state[name] for name in self.state_names)]


def fused_step(optimizer: Optimizer, dtype: Any, threads: int) -> FusedStep | None:
    """:meth:`Optimizer.step` in one pass; None where the rule is not elementwise."""
    formula = optimizer.formula  # another object for other settings
    if formula is None:
        return None
    key, make = (np.dtype(dtype).char, threads), lambda: _fused_step(optimizer, formula, dtype, threads)
    found: FusedStep | None = _once(formula, key, make)
    return found


def _fused_step(optimizer: Optimizer, formula: Formula, dtype: Any, threads: int) -> FusedStep | None:
    try:
        machine = elementwise(formula, dtype, (0, *range(2, 2 + len(optimizer.state_names))))
    except Untraceable:
        return None
    step = FusedStep(optimizer, machine, dtype, threads)
    key = (formula.content, np.dtype(dtype).char, type(optimizer))
    if _proved(key, str(optimizer), lambda: _step_is_off(optimizer, step, np.dtype(dtype))):
        return None
    return step


def _step_is_off(optimizer: Optimizer, fused: Callable[..., None], dtype: np.dtype[Any]) -> str:
    """Some steps from the same start, by machine code and by NumPy."""
    rng = np.random.default_rng(0)
    size = rng.choice([0.0, 1e-6, 1e-3, 1.0, 30.0], 67)
    ours = (rng.normal(size=67) * size).astype(dtype)
    theirs = ours.copy()
    mine, right = optimizer.start(ours), optimizer.start(theirs)
    near = NEAR * np.finfo(dtype).eps
    for number in (1, 2, 3):
        gradient = (rng.normal(size=67) * rng.permutation(size)).astype(dtype)
        with np.errstate(all="ignore"):
            optimizer.step(theirs, gradient.copy(), right, step=number, learning_rate=0.01)
        fused(ours, gradient, mine, step=number, learning_rate=0.01)
        for one, other in ((ours, theirs), *((mine[name], right[name]) for name in optimizer.state_names)):
            place = first_difference(one, other, near, near)
            if place >= 0:
                return f"machine code steps to {one[place]!s} for {other[place]!s}"
    return ""
