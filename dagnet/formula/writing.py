"""A formula as text: a listing, and one expression in LaTeX."""

from __future__ import annotations

import math
from collections import Counter

from dagnet.formula.data import ARGUMENT, CONSTANT, PLACE, SIZE, Calculation, Op
from dagnet.formula.operations import OPERATIONS, REDUCTIONS

PRODUCTS = ("multiply", "pull", "divide", "square", "reciprocal", "negative")
SUMS = ("add", "subtract")
LONGEST = 40
"""Operations that an expression may be made of before its parts get names."""


def listing(formula: Calculation) -> str:
    """One line an operation, those with the same names as in Python's code for it."""
    lines = [f"{', '.join(formula.arguments)} ↦"]
    lines += [f"  t{k} = {_line(formula, formula.ops[k])}" for k in formula.needed() if formula.ops[k].reads]
    return "\n".join([*lines, f"  return {', '.join(_name(formula, k) for k in formula.results)}"])


def _name(formula: Calculation, place: int) -> str:
    op = formula.ops[place]
    if op.name == CONSTANT:
        short = str(op.constant) if op.truth else f"{op.number:g}"
        return short if op.truth or float(short) == op.number else str(op.value)
    if op.name == SIZE:
        return f"number of {op.value}s"
    if op.name == PLACE:
        return "number of the unit"
    return str(op.value) if op.name == ARGUMENT else f"t{place}"


def _line(formula: Calculation, op: Op) -> str:
    names = [_name(formula, read) for read in op.reads]
    if op.name in REDUCTIONS:
        return f"{op.name} over {'terms' if op.form == 'unit' else 'units'} of {names[0]}"
    infix = OPERATIONS[op.name].infix
    if infix:
        return f" {infix} ".join(names)
    return f"-{names[0]}" if op.name == "negative" else f"{op.name}({', '.join(names)})"


def latex(formula: Calculation) -> str:
    """The first result; products and quotients are put together into fractions.

    In a long formula what is read more than once is written once, under the name that the listing gives it.
    """
    size, read = [0] * len(formula.ops), Counter[int]()
    for place in formula.needed():
        size[place] = 1 + sum(size[k] for k in formula.ops[place].reads)
        read.update(formula.ops[place].reads)
    (result, *_), lines = formula.results, list[str]()
    writer = _Expression(formula)
    if size[result] > LONGEST:
        for place in formula.needed(result)[:-1]:
            if read[place] > 1 and formula.ops[place].reads:
                lines.append(f"t_{{{place}}} &= {writer.text(place)}")
                writer.named.add(place)
    if not lines:
        return writer.text(result)
    return r"\begin{aligned} " + r" \\ ".join([*lines, f"& {writer.text(result)}"]) + r" \end{aligned}"


class _Expression:
    def __init__(self, formula: Calculation) -> None:
        self.ops = formula.ops
        self.named: set[int] = set()

    def text(self, place: int) -> str:
        op = self.ops[place]
        if place in self.named:
            return f"t_{{{place}}}"
        if not op.reads:
            return self._beginning(op)
        if op.name in PRODUCTS:
            return self._fraction(place)
        if op.name in REDUCTIONS:
            index = "j" if op.form == "unit" else "u"
            return rf"{REDUCTIONS[op.name].latex}_{index} {self._tight(op.reads[0], sums=True)}"
        return self._operation(op)

    def _beginning(self, op: Op) -> str:
        if op.name == CONSTANT:
            return rf"\mathrm{{{op.constant}}}".lower() if op.truth else _number(op.number)
        if op.name == ARGUMENT:
            name = str(op.value)
            return name if len(name) == 1 else rf"\mathrm{{{name.replace('_', chr(92) + '_')}}}"
        return "u" if op.name == PLACE else f"n_{{{op.value}s}}"

    def _operation(self, op: Op) -> str:
        entry, inner = OPERATIONS[op.name], [self.text(read) for read in op.reads]
        if op.name == "where":
            condition, chosen, other = inner
            cases = rf"{chosen} & {condition} \\ {other} & \text{{otherwise}}"
            return rf"\begin{{cases}} {cases} \end{{cases}}"
        if op.name in SUMS:
            first, second = op.reads
            negative = self.ops[first].name == CONSTANT and self.ops[first].number < 0
            if op.name == "add" and negative:
                return f"{inner[1]} - {inner[0].removeprefix('-')}"
            return f"{inner[0]} {entry.infix} {self._tight(second, sums=op.name == 'subtract')}"
        if op.name == "power":
            return f"{self._base(op.reads[0])}^{{{inner[1]}}}"
        if entry.infix:
            sign = {"==": "=", "!=": r"\ne", "<=": r"\le", ">=": r"\ge", "&": r"\land", "|": r"\lor"}
            return f" {sign.get(entry.infix, entry.infix)} ".join(self._tight(read) for read in op.reads)
        named = rf"\operatorname{{{op.name.replace('_', ' ')}}}\left({', '.join(inner)}\right)"
        return entry.latex % tuple(inner) if entry.latex else named

    def _tight(self, place: int, *, sums: bool = True) -> str:
        """In brackets where something stands beside it that binds tighter."""
        if place in self.named:
            return self.text(place)
        op = self.ops[place]
        loose = (sums and op.name in SUMS) or op.truth or op.name == "negative"
        loose |= op.name == CONSTANT and not op.truth and op.number < 0
        return rf"\left({self.text(place)}\right)" if loose and op.name != ARGUMENT else self.text(place)

    def _base(self, place: int) -> str:
        op = self.ops[place]
        simple = op.name == ARGUMENT or (op.name == CONSTANT and op.number >= 0)
        return f"{{{self.text(place)}}}" if simple else rf"\left({self.text(place)}\right)"

    def _fraction(self, place: int) -> str:
        """A product of powers, those with negative exponents below the line."""
        powers: Counter[int] = Counter()
        negative = self._collect(place, 1, powers)
        numbers = [base for base in powers if self.ops[base].name == CONSTANT]
        number = math.prod(self.ops[base].number ** powers.pop(base) for base in numbers)
        above = [place for place, n in powers.items() if n > 0]
        below = [place for place, n in powers.items() if n < 0]
        shown = "" if number == 1.0 else _number(number)
        found = self._factors(above, powers, alone=bool(below) and not shown)
        found = (f"{shown} \\, {found}" if above else shown) if shown else found or "1"
        if below:
            found = rf"\frac{{{found}}}{{{self._factors(below, powers, alone=True)}}}"
        return f"-{found}" if negative else found

    def _collect(self, place: int, exponent: int, powers: Counter[int]) -> bool:
        """Whether the product of what is collected wants a minus sign."""
        op = self.ops[place]
        if place in self.named or op.name not in PRODUCTS:
            powers[place] += exponent
            return False
        if op.name in {"multiply", "pull", "divide"}:
            second = -exponent if op.name == "divide" else exponent
            first = self._collect(op.reads[0], exponent, powers)
            return first ^ self._collect(op.reads[1], second, powers)
        if op.name == "negative":
            return self._collect(op.reads[0], exponent, powers) ^ bool(exponent % 2)
        if op.name == "square":
            return self._collect(op.reads[0], 2 * exponent, powers)
        return self._collect(op.reads[0], -exponent, powers)

    def _factors(self, places: list[int], powers: Counter[int], *, alone: bool) -> str:
        """Side by side; a single one above or below a line needs no brackets."""
        if alone and len(places) == 1 and abs(powers[places[0]]) == 1:
            return self.text(places[0])
        texts = [
            self._tight(place) if abs(powers[place]) == 1 else f"{self._base(place)}^{{{abs(powers[place])}}}"
            for place in places
        ]
        for k, place in enumerate(places[:-1]):  # a sum ends where its bracket does
            if self.ops[place].name in REDUCTIONS and abs(powers[place]) == 1:
                texts[k] = rf"\left({texts[k]}\right)"
        return r" \, ".join(texts)


def _number(number: float) -> str:
    text = f"{number:.6g}".replace("inf", r"\infty").replace("nan", r"\mathrm{NaN}")
    mantissa, _, exponent = text.partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa
