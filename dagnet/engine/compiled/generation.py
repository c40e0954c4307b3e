"""From a formula to machine code, straight in LLVM's language: explicit vectors, compiled in milliseconds.

First a formula is lowered to the operations that there is vector code for, each once.  Then there are two
templates: a formula over runs of elements (activations, their slopes, optimizers: :mod:`.runs`), and one over
the rows of a tile with reductions over units (losses).  What a formula calculates of numbers alone is found
before the loop, in double precision.  Code is kept for the process by what it calculates, and on disk by its
text in LLVM's language, so nothing can be stale.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite
import numpy as np
from llvmlite import binding, ir

from dagnet.engine.compiled.caching import kept_object
from dagnet.engine.compiled.ufuncs import FUNCTIONS
from dagnet.engine.compiled.vectors import ELEMENTS, Emitter, Vector
from dagnet.formula import (
    ARGUMENT,
    CONSTANT,
    NUMBER,
    OPERATIONS,
    PLACE,
    REDUCTIONS,
    ROW,
    SIZE,
    UNIT,
    Formula,
    Op,
    Recorder,
    Symbol,
    Untraceable,
    plain,
    pruned,
)

I64, DOUBLE = ir.IntType(64), ir.DoubleType()
VECTOR_BYTES = 64
MOST_FACTORS = 64
"""Up to which whole exponent a power is a chain of products."""
DEAR = ("exp", "exp2", "expm1", "power", "tanh", "log", "log1p", "sin", "cos", "arctan")
"""What is kept between value and slope rather than calculated again, the dearest first."""
Values = dict[int, Vector]


class Code:
    """Machine code: it lives as long as this object."""

    def __init__(self, engine: binding.ExecutionEngine) -> None:
        self._engine = engine

    def address(self, name: str) -> int:
        """Where the function of that name begins."""
        found = int(self._engine.get_function_address(name))
        if not found:
            raise KeyError(name)
        return found


@dataclass(frozen=True)
class Machine:
    """Machine code of a formula: its address, and which arguments it reads as numbers."""

    address: int
    numbers: tuple[str, ...]
    keep: Code
    back: int = 0


REMEMBERED = 256
"""Codes that are kept though nobody uses them: a function whose constants change is new code each time."""
_kept: dict[tuple[Any, ...], Machine] = {}
_lock = threading.Lock()
_compiling = threading.Lock()


def once(key: tuple[Any, ...], make: Callable[[], Machine]) -> Machine:
    """What is kept for what code calculates, or is made now."""
    with _lock:
        _kept[key] = machine = _kept.pop(key, None) or make()
        while len(_kept) > REMEMBERED:
            del _kept[next(iter(_kept))]
        return machine


def numbers_of(formula: Formula) -> tuple[str, ...]:
    """The arguments that are one number in all."""
    ops = formula.ops[: len(formula.arguments)]
    return tuple(str(op.value) for op in ops if op.form == NUMBER)


def over_rows(value: Formula, slope: Formula, dtype: Any, lanes: int) -> Machine:
    """``loss(numbers, state, units, stride, targets, factor, deltas, n_units, n)`` for n of a tile's rows.

    Returns Σ factor·value as float64 and writes factor·slope to the tile's places in ``deltas``, 0 where a
    factor is 0 or there is no row.
    """
    key = ("rows", value.content, slope.content, np.dtype(dtype).char, lanes)
    return once(key, lambda: _Rows(lowered(value, slope), dtype).machine(lanes))


def lowered(*formulas: Formula) -> Formula:
    """The first results of formulas of the same arguments, or all of a single one's, as one formula.

    Raises
    ------
    Untraceable
        For an operation without vector code.
    """
    recorder, results = Recorder(), []
    names = formulas[0].arguments
    for formula in formulas:
        names = (*names, *(name for name in formula.arguments if name not in names))
    forms = {str(op.value): op.form for f in formulas for op in f.ops if op.name == ARGUMENT}
    places = {name: recorder.add(Op(ARGUMENT, (), forms[name], value=name)) for name in names}
    for formula in formulas:
        found: list[int] = []
        for op in formula.ops:
            found.append(places[str(op.value)] if op.name == ARGUMENT else _lower(recorder, op, found))
        results += [found[k] for k in (formula.results if len(formulas) == 1 else formula.results[:1])]
    numbers = (recorder.number(place) for place in results)
    return pruned(Formula(names, tuple(recorder.ops), tuple(numbers)))


def _lower(recorder: Recorder, op: Op, found: list[int]) -> int:
    reads = [found[read] for read in op.reads]
    if op.name not in OPERATIONS:
        return recorder.add(op._replace(reads=tuple(reads)))
    exponent = recorder.known(reads[1]) if op.name == "power" else None
    if exponent is not None and exponent.is_integer() and abs(exponent) <= MOST_FACTORS:
        return _power(recorder, reads[0], int(exponent))
    if op.name in FUNCTIONS:
        if any(recorder.ops[read].name != CONSTANT for read in reads):
            return recorder.apply(op.name, *reads)
        return recorder.add(op._replace(reads=tuple(reads)))  # a choice that only says a shape
    expansion: Callable[..., Any] | None = OPERATIONS[op.name].expansion
    if expansion is None:
        raise Untraceable(f"calls {op.name}, for which there is no machine code")
    written = expansion(*(plain(recorder, read) for read in reads))
    return written.at if isinstance(written, Symbol) else recorder.constant(written)


def _power(recorder: Recorder, base: int, exponent: int) -> int:
    if exponent < 0:
        return recorder.apply("divide", recorder.constant(1.0), _power(recorder, base, -exponent))
    result, square = recorder.constant(1.0), base
    while exponent:
        if exponent & 1:
            result = recorder.apply("multiply", result, square)
        exponent >>= 1
        square = recorder.apply("square", square) if exponent else square
    return result


@cache
def _host() -> tuple[binding.Target, str, str]:
    """The native target, this processor's name and what it can do."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_triple(binding.get_process_triple())
    return target, binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()


def compiled(module: ir.Module | Callable[[], ir.Module], content: str = "") -> Code:
    """Translate a module as it stands: code generation optimises, nothing before it does.

    ``content``: all that the text depends on, so that it is written only where no code was kept for it.
    """
    with _compiling:
        target, cpu, features = _host()
        relocation = "static" if target.name.startswith("x86") else "default"
        machine = target.create_target_machine(cpu, features, opt=3, reloc=relocation, jit=True)

        def text() -> str:
            written = module() if callable(module) else module
            written.triple = target.triple
            written.data_layout = str(machine.target_data)
            return str(written)

        content = content or text()

        def emitted() -> bytes:
            parsed = binding.parse_assembly(text() if callable(module) else content)
            parsed.verify()
            return bytes(machine.emit_object(parsed))

        versions = llvmlite.__version__, binding.llvm_version_info
        found = kept_object(repr((content, cpu, features, relocation, versions)), emitted)
        engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine)
        engine.add_object_file(binding.ObjectFileRef.from_data(found))
        engine.finalize_object()
        return Code(engine)


def function_in(
    name: str, result: ir.Type, kinds: Iterable[ir.Type], module: ir.Module | None = None
) -> tuple[ir.Module, ir.IRBuilder, Any]:
    """A module, or one that is there, with a function whose body begins."""
    module = module or ir.Module()
    function = ir.Function(module, ir.FunctionType(result, list(kinds)), name)
    for argument in function.args:
        if isinstance(argument.type, ir.PointerType):
            argument.add_attribute("noalias")
    return module, ir.IRBuilder(function.append_basic_block("entry")), function


def known_numbers(formula: Formula, pointer: ir.Value, n_units: ir.Value | None, emit: Emitter) -> Values:
    """What a formula calculates of numbers alone, in double precision, before any loop.

    By place, in all lanes and in the arrays' precision.
    """
    single, names, found = Emitter(emit.builder, np.float64, 1), numbers_of(formula), dict[int, Vector]()
    places = [place for place in formula.needed() if formula.ops[place].form == NUMBER]
    for place in places:
        op = formula.ops[place]
        if op.name == ARGUMENT:
            offset = ir.Constant(I64, names.index(str(op.value)))
            found[place] = single.load(emit.builder.gep(pointer, [offset]))
        elif op.name == SIZE:
            found[place] = single.splat(emit.builder.sitofp(n_units, DOUBLE))
    calculate(formula, places, found, single)

    def spread(value: Vector) -> Vector:
        scalar = emit.builder.extract_element(value.value, ir.Constant(ir.IntType(32), 0))
        if not value.is_truth and emit.element != DOUBLE:
            scalar = emit.builder.fptrunc(scalar, emit.element)
        return emit.splat(scalar)

    return {place: spread(found[place]) for place in places if formula.ops[place].name != CONSTANT}


def calculate(formula: Formula, places: Iterable[int], values: Values, emit: Emitter) -> None:
    """Add what stands at some places to ``values``; what they read must be there, or be constants."""
    for place in places:
        op = formula.ops[place]
        if place in values or op.name in REDUCTIONS:
            continue
        if op.name == CONSTANT:
            number = op.number
            values[place] = emit.splat(ir.Constant(ir.IntType(1), int(number)) if op.truth else number)
            continue
        inputs = [values[read] for read in op.reads]
        if op.name == "where" and op.truth:
            condition, chosen, other = inputs
            values[place] = (condition & chosen) | (~condition & other)
        else:
            values[place] = FUNCTIONS[op.name](emit, *inputs)


def total_of(builder: ir.IRBuilder, terms: Vector) -> ir.Value:
    """The sum of all lanes, in double precision."""
    wide, module = Emitter(builder, np.float64, terms.emit.lanes), builder.module
    kind, name = ir.FunctionType(DOUBLE, [DOUBLE, wide.type]), f"llvm.vector.reduce.fadd.v{wide.lanes}f64"
    reduce = module.globals.get(name) or ir.Function(module, kind, name)
    return builder.call(reduce, [ir.Constant(DOUBLE, 0.0), wide.cast(terms).value], fastmath=("reassoc",))


class _Rows:
    """A loss over the rows of a tile: a loop over units for each depth of reductions.

    Reductions of depth 0 are those of what needs no other reduction; sums are added up in double precision.
    """

    def __init__(self, formula: Formula, dtype: Any) -> None:
        self.formula, self.dtype = formula, np.dtype(dtype)
        self.depth = [0] * len(formula.ops)
        for place, op in enumerate(formula.ops):
            before = max((self.depth[read] for read in op.reads), default=0)
            self.depth[place] = before + (op.name in REDUCTIONS)
        self.value, self.slope = formula.results
        self.last = self.depth[self.slope]
        self.needed = formula.needed()
        self.reductions = [place for place in self.needed if formula.ops[place].name in REDUCTIONS]
        self.passes = max([self.last, *(self.depth[place] - 1 for place in self.reductions)]) + 1
        self.kept, self.kept_in = self._kept()

    def _units(self, number: int) -> tuple[list[int], list[int]]:
        """Of a pass: its reductions, and what it calculates unit by unit for them and for the slope."""
        reductions = [place for place in self.reductions if self.depth[place] - 1 == number]
        wanted = {self.formula.ops[place].reads[0] for place in reductions}
        wanted |= {self.slope} if number == self.last else set()
        units = list[int]()
        for place in range(max(wanted, default=-1), -1, -1):
            op = self.formula.ops[place]
            if place in wanted and (op.form == UNIT or op.name == CONSTANT):
                units.append(place)
                wanted |= set(op.reads)
        return reductions, units[::-1]

    def _kept(self) -> tuple[int, int]:
        """What is written to the slope's memory for later passes, and in which pass; −1 for nothing."""
        final = self._units(self.last)[1]
        for number in range(self.last):
            earlier = self._units(number)[1]
            both = [place for place in final if place in earlier and self.formula.ops[place].name in DEAR]
            if both:
                return min(both, key=lambda place: DEAR.index(self.formula.ops[place].name)), number
        return -1, -1

    def machine(self, lanes: int) -> Machine:
        """Its machine code for tiles of so many rows."""
        many = ELEMENTS[self.dtype.name].as_pointer()
        units = I64.as_pointer()
        kinds = [DOUBLE.as_pointer(), many, units, units, I64, many, many, many, I64, I64]
        module, builder, function = function_in("run", DOUBLE, kinds)
        self.emit, self.wide = Emitter(builder, self.dtype, lanes), Emitter(builder, np.float64, lanes)
        numbers, self.state, self.units, self.begun, self.stride, self.targets, factor, *rest = function.args
        self.deltas, self.n_units, n = rest
        there = self.emit.first(n)
        self.factor = self.emit.load(factor, there)
        self.mask = there & (self.factor != 0)  # a row that does not count may have any value
        self.known = known_numbers(self.formula, numbers, self.n_units, self.emit)
        for number in range(self.passes):
            self._pass(builder, number)
        calculate(self.formula, self._rows(self.passes), self.known, self.emit)
        value = self.emit.cast(self.known[self.value].to_number())
        weighed = self.wide.cast(value) * self.wide.cast(self.factor)
        builder.ret(total_of(builder, self.wide.select(self.mask, weighed, 0.0)))
        code = compiled(module)
        return Machine(code.address("run"), numbers_of(self.formula), code)

    def _rows(self, depth: int) -> list[int]:
        """What is one number a row, and constants, known once so many passes were made."""
        ops = self.formula.ops
        return [p for p in self.needed if ops[p].form in {ROW, NUMBER} and self.depth[p] <= depth]

    def _pass(self, builder: ir.IRBuilder, number: int) -> None:
        """One loop over the units."""
        reductions, units = self._units(number)
        calculate(self.formula, self._rows(number), self.known, self.emit)
        starts = [self._start(place) for place in reductions]

        def body(unit: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            place, begun = (
                builder.mul(builder.load(builder.gep(units, [unit])), self.stride)
                for units in (self.units, self.begun)
            )
            here = builder.gep(self.deltas, [begun])
            values = dict(self.known)
            values[0] = self.emit.load(builder.gep(self.state, [place]))
            offset = builder.mul(unit, ir.Constant(I64, self.emit.lanes))
            values[1] = self.emit.load(builder.gep(self.targets, [offset]))
            for at in (at for at in units if self.formula.ops[at].name == PLACE):
                values[at] = self.emit.splat(builder.sitofp(unit, self.emit.element))
            if self.kept_in < number <= self.last and self.kept in units:
                values[self.kept] = self.emit.load(here)
            calculate(self.formula, self._without_kept(units, values), values, self.emit)
            if number == self.kept_in:
                self.emit.store(values[self.kept], here, self.mask)
            if number == self.last:
                slopes = self.factor * values[self.slope].to_number()
                self.emit.store(self.emit.select(self.mask, slopes, 0), here)
            pairs = zip(reductions, carried, strict=True)
            return [self._combined(place, total, values).value for place, total in pairs]

        totals = self.emit.loop(self.n_units, 1, [start.value for start in starts], body)[1:]
        for place, start, total in zip(reductions, starts, totals, strict=True):
            self.known[place] = self.emit.cast(Vector(start.emit, total))

    def _without_kept(self, units: list[int], values: Values) -> list[int]:
        """Without what only leads to something that is there."""
        found = list[int]()
        needed = set(units) - {read for place in units for read in self.formula.ops[place].reads}
        needed |= {self.slope, *(self.formula.ops[place].reads[0] for place in self.reductions)}
        for place in reversed(units):
            if place in needed and place not in values:
                found.append(place)
                needed |= set(self.formula.ops[place].reads)
        return found[::-1]

    def _start(self, place: int) -> Vector:
        entry = REDUCTIONS[self.formula.ops[place].name]
        return (self.wide if np.isfinite(entry.start) else self.emit).splat(entry.start)

    def _combined(self, place: int, total: ir.Value, values: Values) -> Vector:
        op, emit = self.formula.ops[place], self._start(place).emit
        item = emit.cast(values[op.reads[0]].to_number())
        return FUNCTIONS[REDUCTIONS[op.name].combine](emit, Vector(emit, total), item)
