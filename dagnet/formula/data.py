"""A formula: what a NumPy function calculates, as frozen data.

Operations in order, each naming the places of what it reads.  ``form`` says how often a number is there:
one in all, one a row, one a unit and row, or one a term of a unit and row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from dagnet.errors import DagnetError
from dagnet.formula.operations import OPERATIONS, REDUCTIONS

NUMBER, ROW, UNIT, TERM = FORMS = ("number", "row", "unit", "term")
ARGUMENT, CONSTANT, SIZE, PLACE = BEGINNINGS = ("argument", "constant", "size", "place")
COARSER = {UNIT: ROW, TERM: UNIT}
"""From what a reduction reads to what it gives."""


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
