"""A formula: what a NumPy function calculates, as frozen data; and the recorder that it grows in.

Operations in order, each naming the places of what it reads.  ``form`` says how often a number is there:
one in all, one a row, one a unit and row, or one a term of a unit and row.

Only what changes no bit is simplified where operations are recorded: constants are calculated, ``x · 1``,
``−(−x)``, ``x · x`` and the like are written shorter, and a minus sign moves outwards, so that derivatives
read as people write them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from dagnet.arrays import Array
from dagnet.errors import DagnetError
from dagnet.formula.operations import OPERATIONS, REDUCTIONS

NUMBER, ROW, UNIT, TERM = FORMS = ("number", "row", "unit", "term")
ARGUMENT, CONSTANT, SIZE, PLACE = BEGINNINGS = ("argument", "constant", "size", "place")
COARSER = {UNIT: ROW, TERM: UNIT}
"""From what a reduction reads to what it gives."""
MOST = 2000
COMMUTATIVE = ("add", "multiply", "maximum", "minimum", "logical_and", "logical_or", "equal", "not_equal")
OF_TRUTHS = {
    **dict.fromkeys(("add", "maximum", "fmax"), "logical_or"),
    **dict.fromkeys(("multiply", "minimum", "fmin"), "logical_and"),
}
"""What NumPy's functions of two truth values are: yes + yes = yes."""
NOTHING = np.empty(0)


class Op(NamedTuple):
    """One operation: the name of a row of the tables, or of what stands at the beginning.

    ``"argument"`` has its name as ``value``, ``"constant"`` a number, ``"size"`` the form that is counted:
    how many units a row has, or terms a unit; ``"place"`` is the number of the unit, from 0.
    """

    name: str
    reads: tuple[int, ...] = ()
    form: str = UNIT
    truth: bool = False
    value: float | str = 0.0

    @property
    def number(self) -> float:
        """The number that a constant stands for."""
        return float(self.value)

    @property
    def constant(self) -> Any:
        """The same as NumPy has it, or as a yes or no."""
        return bool(self.number) if self.truth else np.float64(self.value)


def finest(forms: Iterable[str]) -> str:
    """The form of what is calculated from some."""
    return max(forms, key=FORMS.index, default=NUMBER)


def needed(ops: Sequence[Op], results: Iterable[int]) -> tuple[int, ...]:
    """The places that some results are made of, in order."""
    found = set(results)
    for place in range(max(found, default=-1), -1, -1):
        if place in found:
            found.update(ops[place].reads)
    return tuple(sorted(found))


@dataclass(frozen=True)
class Calculation:
    """Operations in order, with the names of the arguments, which come first, and the places of results."""

    arguments: tuple[str, ...]
    ops: tuple[Op, ...]
    results: tuple[int, ...]

    def __post_init__(self) -> None:
        self.verify()

    def verify(self) -> None:
        """Every invariant; raises :class:`dagnet.errors.DagnetError` with the first that does not hold."""
        for place, name in enumerate(self.arguments):
            given = self.ops[place] if place < len(self.ops) else None
            _must(given is not None and given[0] == ARGUMENT and given.value == name, place, "argument")
        for place, op in enumerate(self.ops):
            _must(op.form in FORMS, place, f"a form of {FORMS}")
            _must(all(0 <= read < place for read in op.reads), place, "what reads earlier operations")
            forms = [self.ops[read].form for read in op.reads]
            if op.name in OPERATIONS:
                entry = OPERATIONS[op.name]
                _must(len(forms) == len(entry.slopes), place, f"{op.name} of all its inputs")
                _must(op.form == finest(forms), place, f"of form {finest(forms)!r}")
                _must(op.truth == entry.truth or op.name == "where", place, "of the table's truth")
            elif op.name in REDUCTIONS:
                _must(len(forms) == 1 and op.form == COARSER.get(forms[0]), place, "a reduction of its input")
            else:
                _must(op.name in BEGINNINGS and not op.reads, place, "a known operation")
            _must(op.name != ARGUMENT or place < len(self.arguments), place, "no argument so late")
        _must(all(0 <= result < len(self.ops) for result in self.results), -1, "known results")

    def needed(self, *results: int) -> tuple[int, ...]:
        """The places that some results, or all, are made of, in order."""
        return needed(self.ops, results or self.results)

    def uses(self, argument: str) -> bool:
        """Whether an argument matters."""
        return self.arguments.index(argument) in self.needed()

    @cached_property
    def content(self) -> str:
        """A digest: formulas with the same one calculate the same."""
        return hashlib.sha256(repr((self.arguments, self.ops, self.results)).encode()).hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        return {"arguments": self.arguments, "ops": self.ops, "results": self.results}


def _must(holds: bool, place: int, what: str) -> None:  # noqa: FBT001
    if not holds:
        raise DagnetError(f"formula: operation {place} must be {what}")


def calculated(op: Op, inputs: list[Any], given: Mapping[str, Any], first: Array) -> Any:
    """What an operation is by NumPy, for arguments like a first array: the meaning of every operation."""
    if op.name == ARGUMENT:
        value = given[str(op.value)]
        return np.float64(value) if op.form == NUMBER else np.asarray(value, first.dtype)
    if op.name == CONSTANT:
        return op.constant
    if op.name == SIZE:
        return np.float64(first.shape[0 if op.value == TERM else -1])
    if op.name == PLACE:
        return np.broadcast_to(np.arange(first.shape[-1], dtype=first.dtype), first.shape)
    if op.name in REDUCTIONS:
        over_terms = op.form != "row"
        x = np.broadcast_to(inputs[0], first.shape)
        return REDUCTIONS[op.name].function(x, axis=0 if over_terms else -1, keepdims=not over_terms)
    return OPERATIONS[op.name].function(*inputs)


class Untraceable(Exception):
    """What a function does that no formula has, and what to write instead."""

    def __init__(self, what: str, mend: str = "") -> None:
        self.what, self.mend = what, mend
        super().__init__(f"{what}; {mend}" if mend else what)


class Recorder:
    """A list of operations that grows; ``values`` are the parameters', which code may branch on."""

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self.values = values or {}
        self.ops: list[Op] = []
        self._places: dict[Op, int] = {}
        self.wild: list[bool] = []
        """Whether a number may be infinite, or NaN, for finite arguments."""

    def add(self, op: Op) -> int:
        """The place of an operation."""
        if op not in self._places:
            if len(self.ops) >= MOST:
                raise Untraceable(f"takes more than {MOST:,} operations", "write it shorter")
            self._places[op] = len(self.ops)
            self.ops.append(op)
            steep = op.name in OPERATIONS and OPERATIONS[op.name].steep
            self.wild.append(not op.truth and (steep or any(self.wild[read] for read in op.reads)))
        return self._places[op]

    def constant(self, value: Any) -> int:
        """The place of a number, or of a yes or no."""
        truth = isinstance(value, (bool, np.bool_))
        return self.add(Op(CONSTANT, (), NUMBER, truth, _repr_of(float(value))))

    def known(self, place: int) -> float | None:
        """The number that stands at a place, if it is a constant."""
        op = self.ops[place]
        return op.number if op.name == CONSTANT and not op.truth else None

    def behind(self, place: int) -> set[str]:
        """The arguments that a number depends on."""
        ops = [self.ops[read] for read in needed(self.ops, [place])]
        return {str(op.value) for op in ops if op.name == ARGUMENT}

    def now(self, place: int) -> Any:
        """What a number is for the parameters as they are."""
        found: dict[int, Any] = {}
        with np.errstate(all="ignore"):
            for at in needed(self.ops, [place]):
                op = self.ops[at]
                found[at] = calculated(op, [found[read] for read in op.reads], self.values, NOTHING)
        return found[place]

    def spread(self, place: int, like: int) -> int:
        """One number a row in the form of what has one a unit and row."""
        form = self.ops[like].form
        if self.ops[place].form != "row" or form != "unit":
            return place
        return self.add(Op("where", (self.constant(True), place, like), form))

    def reduce(self, kind: str, place: int) -> int:
        """Over the units of each row, or the terms of each unit."""
        return self.add(Op(kind, (self.number(place),), COARSER[self.ops[place].form]))

    def number(self, place: int) -> int:
        """A yes or no as 1 or 0."""
        if not self.ops[place].truth:
            return place
        return self.apply("where", place, self.constant(1.0), self.constant(0.0))

    def truth(self, place: int) -> int:
        """A number as whether it is other than 0."""
        return place if self.ops[place].truth else self.apply("not_equal", place, self.constant(0.0))

    def apply(self, name: str, *places: int) -> int:
        """An operation on what stands at some places."""
        truths = [self.ops[place].truth for place in places]
        if all(truths) and len(truths) == 2 and name in OF_TRUTHS:
            name = OF_TRUTHS[name]
        if all(truths) and name in {"subtract", "negative", "positive"}:
            raise Untraceable("calculates differences of truth values, which NumPy refuses", "use ~ or ^")
        if name.startswith("logical_"):
            places = tuple(self.truth(place) for place in places)
        elif name == "where":
            branches = places[1:] if all(truths[1:]) else tuple(map(self.number, places[1:]))
            places = (self.truth(places[0]), *branches)
        else:
            places = tuple(map(self.number, places))
        if name in COMMUTATIVE:
            places = tuple(sorted(places, key=lambda place: (self.ops[place].name != CONSTANT, place)))
        found = self._simpler(name, places)
        if found is not None:
            return found
        form = finest(self.ops[place].form for place in places)
        truth = OPERATIONS[name].truth or (name == "where" and self.ops[places[1]].truth)
        return self.add(Op(name, places, form, truth))

    def _simpler(self, name: str, places: tuple[int, ...]) -> int | None:
        """The place of the same bits by less, or None."""
        ops = [self.ops[place] for place in places]
        if all(op.name == CONSTANT for op in ops):
            with np.errstate(all="ignore"):
                return self.constant(np.asarray(OPERATIONS[name].function(*(op.constant for op in ops)))[()])
        if name == "where":
            return self._choice(places)
        if name == "positive":
            return places[0]
        if name in {"logical_not", "negative"} and ops[0].name == name:
            return ops[0].reads[0]
        return self._arithmetic(name, places, ops) if len(places) == 2 else None

    def _choice(self, places: tuple[int, ...]) -> int | None:
        condition, chosen, other = places
        op = self.ops[condition]
        if op.name == CONSTANT:
            return chosen if op.number else other
        if chosen == other:
            return chosen
        if op.name == "logical_not":
            return self.apply("where", op.reads[0], other, chosen)
        return None

    def _arithmetic(self, name: str, places: tuple[int, ...], ops: list[Op]) -> int | None:
        x, y = places
        first, second = self.known(x), self.known(y)
        if (name in {"divide", "power"} and second == 1.0) or (name == "subtract" and repr(second) == "0.0"):
            return x
        if name == "multiply" and first == 1.0:
            return y
        if (name == "multiply" and x == y) or (name == "power" and second == 2.0):
            return self.apply("square", x)
        if name == "multiply" and first == -1.0:
            return self.apply("negative", y)
        return self._signs(name, places, ops)

    def _signs(self, name: str, places: tuple[int, ...], ops: list[Op]) -> int | None:
        """Minus signs outwards: a + (−b) = a − b, (−a) · b = −(a · b)."""
        x, y = places
        if ops[1].name == "negative" and name in {"add", "subtract"}:
            return self.apply("subtract" if name == "add" else "add", x, ops[1].reads[0])
        if ops[0].name == "negative" and name == "add":
            return self.apply("subtract", y, ops[0].reads[0])
        if name in {"multiply", "divide", "pull"} and ops[0].name == "negative":
            return self.apply("negative", self.apply(name, ops[0].reads[0], y))
        if name in {"multiply", "divide", "pull"} and ops[1].name == "negative":
            return self.apply("negative", self.apply(name, x, ops[1].reads[0]))
        return None


def _repr_of(value: float) -> float | str:
    """A constant's value in an operation: a text for NaN, which is no equal of itself, and for −0."""
    if math.isnan(value):
        return "nan"
    return "-0.0" if value == 0 and math.copysign(1.0, value) < 0 else value
