"""A formula as text: a listing, and one expression as text or in LaTeX."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import TypeVar

from dagnet.formula.data import ARGUMENT, CONSTANT, PLACE, SIZE, Calculation, Op, Recorder
from dagnet.formula.operations import OPERATIONS, REDUCTIONS

Some = TypeVar("Some", bound=Calculation)
PRODUCTS = ("multiply", "pull", "divide", "square", "reciprocal", "negative")
SUMS = ("add", "subtract")
LONGEST = 40
"""Operations that an expression may be made of before its parts get names."""


CASES = r"\begin{cases} %s & %s \\ %s & \text{otherwise} \end{cases}"
SIGNS = {
    True: (r"\left(%s\right)", r" \, ", "-", r"\frac{%s}{%s}", CASES),
    False: ("(%s)", "·", "−", "%s/%s", "(%s if %s else %s)"),
}
"""In LaTeX or text: brackets, what stands in products and in differences, a fraction, a choice."""
SHORT = {"maximum": "max", "minimum": "min", "absolute": "abs", "^2": "²", "^3": "³"}
INSIDE = {"outputs": "o", "targets": "t"}
"""What is summed over is no single node's."""


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
    (result, *_), lines, read = formula.results, list[str](), Counter[int]()
    for place in formula.needed():
        read.update(formula.ops[place].reads)
    writer = _Expression(formula, {}, latex=True)
    if size(formula) > LONGEST:
        for place in formula.needed(result)[:-1]:
            if read[place] > 1 and formula.ops[place].reads:
                lines.append(f"t_{{{place}}} &= {writer.text(place)}")
                writer.named.add(place)
    if not lines:
        return writer.text(result)
    return r"\begin{aligned} " + r" \\ ".join([*lines, f"& {writer.text(result)}"]) + r" \end{aligned}"


def size(formula: Calculation) -> int:
    """Of how many operations the first result is one expression."""
    sizes = [0] * len(formula.ops)
    for place in formula.needed():
        sizes[place] = 1 + sum(sizes[k] for k in formula.ops[place].reads)
    return sizes[formula.results[0]]


def expression(formula: Calculation, names: Mapping[str, str], *, latex: bool, factor: bool = False) -> str:
    """The first result, its arguments under other names; in brackets where a ``factor`` needs them."""
    writer, (result, *_) = _Expression(formula, names, latex=latex), formula.results
    return writer.tight(result) if factor else writer.text(result)


@lru_cache(maxsize=256)
def readable(formula: Some) -> Some:
    """The same in fewer signs, perhaps not to the last bit: what one condition decides, is one choice."""
    ops, (result, *_), recorder = formula.ops, formula.results, Recorder()
    for op in ops[: len(formula.arguments)]:
        recorder.add(op)
    conditions = {ops[place].reads[0] for place in formula.needed() if ops[place].name == "where"}
    if len(conditions) == 1:
        (condition,) = conditions
        branches = (_again(formula, result, recorder, {condition: yes}) for yes in (True, False))
        place = recorder.apply("where", _again(formula, condition, recorder, {}), *branches)
    else:
        place = _again(formula, result, recorder, {})
    return type(formula)(formula.arguments, tuple(recorder.ops), (place,))


def _again(formula: Calculation, result: int, recorder: Recorder, decided: Mapping[int, bool]) -> int:
    """Where a result stands that is recorded again, some conditions being decided."""
    places: dict[int, int] = {}
    for place in formula.needed(result):
        op = formula.ops[place]
        reads = tuple(places[read] for read in op.reads)
        if op.name == "where" and op.reads[0] in decided:
            places[place] = reads[1 if decided[op.reads[0]] else 2]
        elif op.name in OPERATIONS:
            places[place] = _shorter(recorder, op.name, reads)
        else:
            places[place] = recorder.add(op._replace(reads=reads))
    return places[result]


def _shorter(recorder: Recorder, name: str, reads: tuple[int, ...]) -> int:
    """0 · x = 0, 0 + x = x, (x − y) (x + y) = x² − y², c (o − t) = −c (t − o) of the first two arguments."""
    apply, known, ops = recorder.apply, list(map(recorder.known, reads)), [recorder.ops[k] for k in reads]
    if name in {"multiply", "pull"}:
        if 0.0 in known:
            return recorder.constant(0.0)
        both = {op.name: op.reads for op in ops}
        if both.keys() == set(SUMS) and set(both["add"]) == set(both["subtract"]):
            return apply("subtract", *(apply("square", read) for read in both["subtract"]))
        for k, op in enumerate(ops):
            if op[:2] == ("subtract", (0, 1)):
                return apply("negative", apply(name, apply("subtract", 1, 0), reads[1 - k]))
    if name == "add" and 0.0 in known:
        return reads[1 - known.index(0.0)]
    return apply(name, *reads)


class _Expression:
    def __init__(self, formula: Calculation, names: Mapping[str, str], *, latex: bool) -> None:
        self.ops, self.names, self.latex = formula.ops, names, latex
        self.bracket, self.times, self.minus, self.over, self.choice = SIGNS[latex]
        self.number, self.named = _number if latex else "{:.6g}".format, set[int]()

    def text(self, place: int) -> str:
        op = self.ops[place]
        if place in self.named:
            return f"t_{{{place}}}"
        if not op.reads:
            return self._beginning(op)
        if op.name in PRODUCTS:
            return self._fraction(place)
        if op.name in REDUCTIONS:
            names, self.names = self.names, INSIDE if self.names else {}
            inner, index = self.tight(op.reads[0]), "j" if op.form == "unit" else "u"
            self.names = names
            return rf"{REDUCTIONS[op.name].latex}_{index} {inner}" if self.latex else f"{op.name}({inner})"
        return self._operation(op)

    def _beginning(self, op: Op) -> str:
        if op.name == CONSTANT:
            return rf"\mathrm{{{op.constant}}}".lower() if op.truth else self.number(op.number)
        if op.name == ARGUMENT:
            name = str(op.value)
            upright = name if len(name) == 1 else rf"\mathrm{{{name.replace('_', chr(92) + '_')}}}"
            return self.names.get(name, upright)
        return "u" if op.name == PLACE else f"n_{{{op.value}s}}"

    def _operation(self, op: Op) -> str:
        entry, inner = OPERATIONS[op.name], [self.text(read) for read in op.reads]
        if op.name == "where":
            condition, chosen, other = inner
            return self.choice % (chosen, condition, other)
        if op.name in SUMS:
            first, second = op.reads
            negative = self.ops[first].name == CONSTANT and self.ops[first].number < 0
            if op.name == "add" and negative:
                return f"{inner[1]} {self.minus} {inner[0].removeprefix('-')}"
            sign = "+" if op.name == "add" else self.minus
            return f"{inner[0]} {sign} {self.tight(second, sums=op.name == 'subtract')}"
        if op.name == "power":
            return self._power(op.reads[0], inner[1] if self.latex else self.tight(op.reads[1]))
        if entry.infix:
            signs = {"==": "=", "!=": r"\ne", "<=": r"\le", ">=": r"\ge", "&": r"\land", "|": r"\lor"}
            signs = signs if self.latex else {"&": "and", "|": "or"}
            return f" {signs.get(entry.infix, entry.infix)} ".join(map(self.tight, op.reads))
        named = rf"\operatorname{{{op.name.replace('_', ' ')}}}\left({', '.join(inner)}\right)"
        plain = f"{SHORT.get(op.name, op.name)}({', '.join(inner)})"
        return (entry.latex % tuple(inner) if entry.latex else named) if self.latex else plain

    def tight(self, place: int, *, sums: bool = True) -> str:
        """In brackets where something stands beside it that binds tighter."""
        op, text = self.ops[place], self.text(place)
        if place in self.named:
            return text
        loose = (sums and op.name in SUMS) or op.truth or text.startswith("-")
        return self.bracket % text if loose else text

    def _power(self, place: int, exponent: str) -> str:
        text = self.text(place)
        if text.startswith("-") or r"\times" in text or self.ops[place].name not in {ARGUMENT, CONSTANT}:
            text = self.bracket % text
        elif self.latex:
            text = f"{{{text}}}"
        raised = f"^{exponent}"
        return f"{text}^{{{exponent}}}" if self.latex else text + SHORT.get(raised, raised)

    def _fraction(self, place: int) -> str:
        """A product of powers, those with negative exponents below the line."""
        powers: Counter[int] = Counter()
        negative = self._collect(place, 1, powers)
        numbers = [base for base in powers if self.ops[base].name == CONSTANT]
        number = math.prod(self.ops[base].number ** powers.pop(base) for base in numbers)
        number, negative = abs(number), negative ^ (number < 0)
        above = [place for place, n in powers.items() if n > 0]
        below = [place for place, n in powers.items() if n < 0]
        shown = "" if number == 1.0 else self.number(number)
        found = self._factors(above, powers, alone=bool(below) and not shown and self.latex)
        found = (f"{shown}{self.times}{found}" if above else shown) if shown else found or "1"
        if below:
            under = self._factors(below, powers, alone=self.latex)
            if not self.latex and len(below) > 1:
                under = self.bracket % under
            found = self.over % (found, under)
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
        texts = []
        for place in places:
            exponent = abs(powers[place])
            text = self.tight(place) if exponent == 1 else self._power(place, str(exponent))
            ends = place == places[-1] or self.ops[place].name not in REDUCTIONS or exponent != 1
            texts.append(text if ends else self.bracket % text)  # a sum ends where its bracket does
        return self.times.join(texts)


def _number(number: float) -> str:
    text = f"{number:.6g}".replace("inf", r"\infty").replace("nan", r"\mathrm{NaN}")
    mantissa, _, exponent = text.partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa
