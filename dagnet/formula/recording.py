"""Operations as they are met, each once, in their simplest form.

Only what changes no bit is simplified: constants are calculated, ``x · 1``, ``−(−x)``, ``x · x`` and the
like are written shorter, and a minus sign moves outwards, so that derivatives read as people write them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dagnet.formula.data import ARGUMENT, COARSER, CONSTANT, NUMBER, Op, finest, needed
from dagnet.formula.operations import OPERATIONS

MOST = 2000
COMMUTATIVE = ("add", "multiply", "maximum", "minimum", "logical_and", "logical_or", "equal", "not_equal")
OF_TRUTHS = {
    **dict.fromkeys(("add", "maximum", "fmax"), "logical_or"),
    **dict.fromkeys(("multiply", "minimum", "fmin"), "logical_and"),
}
"""What NumPy's functions of two truth values are: yes + yes = yes."""


class Untraceable(Exception):
    """What a function does that no formula has, and what to write instead."""

    def __init__(self, what: str, mend: str = "") -> None:
        self.what, self.mend = what, mend
        super().__init__(what)


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
        return self.add(Op(CONSTANT, (), NUMBER, truth, repr_of(float(value))))

    def known(self, place: int) -> float | None:
        """The number that stands at a place, if it is a constant."""
        op = self.ops[place]
        return number_of(op) if op.name == CONSTANT and not op.truth else None

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
                if op.name == ARGUMENT:
                    found[at] = self.values[str(op.value)]
                elif op.name == CONSTANT:
                    found[at] = value_of(op)
                else:
                    found[at] = OPERATIONS[op.name].function(*(found[read] for read in op.reads))
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
                return self.constant(np.asarray(OPERATIONS[name].function(*map(value_of, ops)))[()])
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
            return chosen if number_of(op) else other
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


def repr_of(value: float) -> float | str:
    """A constant's value in an operation: a text for NaN, which is no equal of itself, and for −0."""
    if math.isnan(value):
        return "nan"
    return "-0.0" if value == 0 and math.copysign(1.0, value) < 0 else value


def number_of(op: Op) -> float:
    """The number that a constant stands for."""
    return float(op.value)


def value_of(op: Op) -> Any:
    """The same as NumPy has it, or as a yes or no."""
    return bool(number_of(op)) if op.truth else np.float64(number_of(op))
