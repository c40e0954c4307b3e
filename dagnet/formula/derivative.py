"""The derivative of a formula, as another formula: reverse mode over its operations.

A zero slope wins over an infinite one: of two factors of which one may be infinite the product is 0 where the
other one is.  Where a number is used in a finer form than its own (one a row, in each unit), its
derivative is the sum over the finer ones, but never over less than a result is.

Source: A. Griewank and A. Walther, *Evaluating Derivatives*, 2nd ed., SIAM 2008, chapter 3.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from dagnet.errors import DagnetError, did_you_mean
from dagnet.formula.data import ARGUMENT, FORMS, Calculation, Op, Recorder
from dagnet.formula.operations import OPERATIONS, REDUCTIONS
from dagnet.formula.symbols import Symbol, plain

Some = TypeVar("Some", bound=Calculation)


@np.errstate(all="ignore")  # slopes of constants are numbers at once
def derivative(formula: Some, by: str, result: str = "") -> Some:
    """∂(sum of the first result)/∂argument; of one number in all, in the result's form.

    ``result`` names one more argument, after the first: the result itself, which need not be found again.
    """
    if by not in formula.arguments:
        raise DagnetError(f"formula: no argument {by!r}{did_you_mean(by, formula.arguments, listed=8)}")
    wanted, target = formula.arguments.index(by), formula.results[0]
    names = (formula.arguments[0], *([result] if result else []), *formula.arguments[1:])
    walk, depends = _Walk(formula, names, target if result else -1), [False] * len(formula.ops)
    for place, op in enumerate(formula.ops):  # what the argument reaches by more than yes and no
        depends[place] = place == wanted or (any(depends[read] for read in op.reads) and not op.truth)
    total: dict[int, Any] = {target: 1.0}
    for place in range(target, -1, -1):
        if place not in total or place == wanted or not depends[place]:
            continue
        for read, slope in zip(formula.ops[place].reads, walk.slopes(place), strict=True):
            if slope is None or not depends[read]:
                continue
            pulled = walk.fitted(walk.product(total[place], slope, place), read)
            total[read] = walk.sum(total[read], pulled) if read in total else pulled
    found = total.get(wanted, 0.0)
    place = found.at if isinstance(found, Symbol) else walk.recorder.constant(found)
    place = walk.recorder.spread(walk.recorder.number(place), walk.places[wanted])
    return pruned(type(formula)(walk.names, tuple(walk.recorder.ops), (place,)))


def pruned(formula: Some) -> Some:
    """Without operations that nothing reads."""
    kept = sorted({*range(len(formula.arguments)), *formula.needed()})
    places = {old: new for new, old in enumerate(kept)}
    ops = [formula.ops[old] for old in kept]
    ops = [op._replace(reads=tuple(places[read] for read in op.reads)) for op in ops]
    return type(formula)(formula.arguments, tuple(ops), tuple(places[result] for result in formula.results))


class _Walk:
    """The parts of the chain rule, on symbols for a formula's operations."""

    def __init__(self, formula: Calculation, names: tuple[str, ...], given: int) -> None:
        self.recorder, self.ops, self.names = Recorder(), formula.ops, names
        self.form = FORMS.index(formula.ops[formula.results[0]].form)
        forms = {str(op.value): op.form for op in formula.ops if op.name == ARGUMENT}
        places = {n: self.recorder.add(Op(ARGUMENT, (), forms.get(n, "unit"), value=n)) for n in names}
        self.places: list[int] = []
        for place, op in enumerate(formula.ops):
            if op.name == ARGUMENT:
                self.places.append(places[str(op.value)])
            elif place == given:
                self.places.append(places[names[1]])
            else:
                reads = tuple(self.places[read] for read in op.reads)
                self.places.append(self.recorder.add(op._replace(reads=reads)))

    def slopes(self, place: int) -> list[Any]:
        """By each of the inputs of an operation."""
        op, result = self.ops[place], Symbol(self.recorder, self.places[place])
        if op.name in REDUCTIONS:
            item = Symbol(self.recorder, self.places[op.reads[0]])
            return [REDUCTIONS[op.name].slope(item, result, self.reduce)]
        inputs = [plain(self.recorder, self.places[read]) for read in op.reads]
        return [None if slope is None else slope(*inputs, result) for slope in OPERATIONS[op.name].slopes]

    def reduce(self, kind: str, item: Symbol) -> Symbol:
        """What the slopes of reductions are written with."""
        return Symbol(self.recorder, self.recorder.reduce(kind, item.at))

    def product(self, outer: Any, slope: Any, place: int) -> Any:
        """Outer · slope; 0 where one of them is, whatever the other one is."""
        for one, other in ((outer, slope), (slope, outer)):
            if isinstance(one, (int, float)):
                return 0.0 if one == 0 else other if one == 1 else one * other
        for one, other in ((outer, slope), (slope, outer)):
            if one.op.name == "where" and 0.0 in self._choices(one):
                condition, *branches = one.op.reads
                products = (self.product(plain(self.recorder, at), other, place) for at in branches)
                return np.where(Symbol(self.recorder, condition), *products)
        op, wild = self.ops[place], self.recorder.wild
        steep = op.name in OPERATIONS and OPERATIONS[op.name].steep
        if steep or wild[outer.at] or wild[slope.at] or wild[self.places[place]]:
            return outer.operate("pull", outer, slope)
        return outer * slope

    def _choices(self, item: Symbol) -> list[float | None]:
        return [self.recorder.known(read) for read in item.op.reads[1:]]

    def sum(self, x: Any, y: Any) -> Any:
        """X + y; of two choices by one condition, each with a 0 for the other, one choice."""
        both = [item for item in (x, y) if isinstance(item, Symbol) and item.op.name == "where"]
        if len(both) == 2 and both[0].op.reads[0] == both[1].op.reads[0]:
            for first, second in (both, both[::-1]):
                if self._choices(first)[1] == 0.0 and self._choices(second)[0] == 0.0:
                    reads = (first.op.reads[0], first.op.reads[1], second.op.reads[2])
                    return Symbol(self.recorder, self.recorder.apply("where", *reads))
        return x + y

    def fitted(self, pulled: Any, read: int) -> Any:
        """Summed until it is no finer than what it is the derivative by, or than the result."""
        coarsest = max(self.form, FORMS.index(self.ops[read].form))
        while isinstance(pulled, Symbol) and FORMS.index(pulled.op.form) > coarsest:
            pulled = self.reduce("sum", pulled)
        return pulled
