"""Formulas as functions of NumPy or of C99, a line an operation.

C's take arrays, ``void f_tanh(const real *z, const real *learned, int n, real *into)``, or give a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from dagnet.formula import ARGUMENT, CONSTANT, OPERATIONS, REDUCTIONS, SIZE, TERM, Formula

SIGNS = {name: entry.infix for name, entry in OPERATIONS.items() if entry.infix and name != "power"}
OF_C = SIGNS | {"logical_and": "&&", "logical_or": "||", "logical_xor": "!="}
ARRAYS = ("z", "a", "outputs", "targets", "terms", "result")
NOT_FINITE = {"nan": "NAN", "inf": "INFINITY", "-inf": "-INFINITY"}


class Function:
    """A formula as statements; ``real`` is C's type of numbers, nothing for NumPy.

    ``own`` has the template's functions, ``np_…`` for operations.  ``into`` says how C writes the result,
    ``"into[k] = %s;"``; where it is empty, the function returns a number.
    """

    def __init__(self, formula: Formula, known: Mapping[str, Any], real: str, own: Any, into: str) -> None:
        self.formula, self.ops, self.real, self.own, self.into = formula, formula.ops, real, own, into
        self.c, self.end, self.f = bool(real), ";" * bool(real), "f" * (real == "float")
        self.fine, self.result = self.ops[0].form, formula.results[0]
        given = self.ops[: len(formula.arguments)]
        self.arrays = {str(op.value): op.form for op in given if op.value in ARRAYS}
        learned = [name for name in formula.arguments if name not in known and name not in self.arrays]
        self.said = {name: number(known[name], real) for name in formula.arguments if name in known}
        for k, name in enumerate(learned):
            self.said[name] = f"learned[k * {len(learned)} + {k}]" if real else f"learned[{k}]"
        self.arrays |= {"learned": self.fine} if learned or (real and "z" in self.arrays) else {}

    def text(self, name: str) -> str:
        """The function under a name."""
        done = set[int]()
        body = [*self._statements(self.result, done)]
        if self.c and self.into:
            body += self._loop(self.result, done, self.into)
        else:
            body.append(f"return {self._word(self.result)}{self.end}")
        if not self.c:
            return "\n    ".join([f"def {name}({', '.join(self.arrays)}):", *body])
        kinds = {form: "const real *" if form == self.fine else "real " for form in self.arrays.values()}
        given = ", ".join(f"{kinds[form]}{x}" for x, form in self.arrays.items())
        unused = [f"(void){x};" for x in (*self.arrays, "n") if not re.search(rf"\b{x}\b", "\n".join(body))]
        kind, more = ("void", ", real *into") if self.into else ("real", "")
        return "\n    ".join([f"static {kind} {name}({given}, int n{more})\n{{", *unused, *body]) + "\n}"

    def _statements(self, target: int, done: set[int], *, inside: bool = False) -> Iterator[str]:
        """What the target is made of; in C what is finest, inside loops alone."""
        found = {target}
        for place in range(target, -1, -1):
            found |= {*self.ops[place].reads} if place in found - done else set()
        for place in sorted(found - done):
            op = self.ops[place]
            if not op.reads or (self.c and not inside and op.form == self.fine):
                continue
            done.add(place)
            if self.c and op.name in REDUCTIONS:
                entry, named = REDUCTIONS[op.name], f"t{place}"
                yield f"real {named} = {number(entry.start, self.real)};"
                last = f"{named} = {self._operation(entry.combine, [named, '%s'])};"
                yield from self._loop(op.reads[0], done, last)
            else:
                text = self._operation(op.name, [*map(self._word, op.reads)])
                yield f"{'const real ' * self.c}t{place} = {text}{self.end}"

    def _loop(self, target: int, done: set[int], last: str) -> Iterator[str]:
        lines = [*self._statements(target, done.copy(), inside=True), last % self._word(target)]
        return iter(["for (int k = 0; k < n; k++) {", *(f"    {line}" for line in lines), "}"])

    def _operation(self, name: str, inputs: list[str]) -> str:
        if name in REDUCTIONS:
            return f"np.{name}({inputs[0]}, {'axis=0' if self.fine == TERM else 'axis=-1, keepdims=True'})"
        if f"np_{name}" in self.own:
            return f"np_{name}({', '.join(inputs)})"
        if (sign := (OF_C if self.c else SIGNS).get(name)) is not None:
            return f" {sign} ".join(inputs)
        if name == "negative":
            return inputs[0][1:] if inputs[0][0] == "-" else f"-{inputs[0]}"
        library = f"{OPERATIONS[name].library or name}{self.f}" if self.c else f"np.{name}"
        return f"{library}({', '.join(inputs)})"

    def _word(self, place: int) -> str:
        op, element = self.ops[place], "[k]" * self.c
        if op.reads:
            return f"t{place}"
        if op.name == ARGUMENT:
            return self.said.get(str(op.value)) or f"{op.value}{element * (op.form == self.fine)}"
        if op.name == CONSTANT:
            return str(int(op.number)) if op.truth else number(op.number, self.real)
        size = "n" if self.c else f"{self.formula.arguments[0]}.shape[{0 if self.fine == TERM else -1}]"
        of_unit = "k" if self.c else f"np.arange({size})"
        return f"{'(real)' * self.c}{size if op.name == SIZE else of_unit}"


def number(value: Any, real: str) -> str:
    """A number, in C rounded to its type."""
    text = str((np.float32 if real == "float" else np.float64)(value))
    return NOT_FINITE.get(text) or text + "f" * (real == "float")
