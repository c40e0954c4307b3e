"""Networks as source: a file of NumPy alone, or of C99, that predicts, and if asked has the loss's gradient.

A template walks through a plan, which is there as tables; of a small network comments say the equations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib import resources
from itertools import count, pairwise
from keyword import kwlist
from string import Template
from typing import Any

import numpy as np

from dagnet.errors import DataError, PluginError
from dagnet.explain import formula as equations
from dagnet.formats.plain_attributes import not_finite
from dagnet.formats.source.functions import Function, number
from dagnet.formula import FAR, NEAR, Formula, Untraceable, traced
from dagnet.markup import counted, node_labels, visible
from dagnet.model import Model
from dagnet.plan import KINDS, slot_units

__all__ = ["write_source"]
SAID, DEEP, WIDE = 64, 2**13, 20
"""Units of the largest network with equations, and of what C has on the stack; numbers in a line."""
DEFINED = re.compile(r"(\w+)(?:\[\] =| = |\((?!all))")
ASSIGN, PULL = "into[k] = %s;", "into[k] = into[k] == 0 ? 0 : into[k] * %s;"


@np.errstate(all="ignore")
def write_source(model: Model, stream: Any, _rows: Any, *, gradient: bool = False, c: bool) -> None:
    """Write a file; rows do not show in it."""
    stream.write(_Source(model, gradient=gradient, c=c).text().encode())


class _Source:
    """A file in the making: a template, and functions by name and by what they calculate."""

    def __init__(self, model: Model, *, gradient: bool, c: bool) -> None:
        self.model, self.plan, self.gradient, self.c = model, model.layout.plan, gradient, c
        self.real = ("float" if model.dtype == np.float32 else "double") * c
        self.theta = model.layout.theta(model.vector)
        self._refuse()
        kinds = {KINDS[kind] for kind in self.plan.steps["kind"].tolist()}
        text = resources.files(__name__).joinpath("template.c" if c else "template.txt").read_text("utf-8")
        text = re.sub(r"(?m)^@(\w+) (.*\n)", lambda line: line[2] * (line[1] in kinds), text.strip())
        self.head, *parts = text.split("\n%%\n")
        blocks = [{DEFINED.findall(block)[0]: block for block in part.split("\n\n")} for part in parts]
        (self.said, self.run), self.functions, self.names = blocks, dict[str, str](), dict[Any, str]()

    def _refuse(self) -> None:
        losses = [head.loss for head in self.model.objective.heads if self.gradient]
        if len(wrong := self.theta[~np.isfinite(self.theta)]):
            raise not_finite("export(): weights and biases", float(wrong[0]))
        for one in (*self.plan.activations, *self.plan.aggregations, *losses):
            if one.formula is None:
                mend = "leave gradient=True out" if one in losses else "only what has one can be source"
                raise PluginError(f"export(): {one.kind} {one.name!r} has no formula ({one.reason}); {mend}")
        over_rows = any(kind.over_rows for kind in self.plan.normalizations)
        if self.gradient and (over_rows or self.plan.trains_otherwise):
            what = "batch normalisation" if over_rows else "dropout"
            raise DataError(f"export(): gradient=True cannot be with {what}, which training alone does")

    def text(self) -> str:
        """The file, with the functions and tables that it uses."""
        fills = {name: self._lines(rows) for name, rows in self._calculated().items()}
        run = {name: Template(block).safe_substitute(fills) for name, block in self.run.items()}
        blocks, used, waiting = {**self.said, **self.functions, **run}, set[str](), ["predict"]
        waiting += ["loss_and_gradient"] * self.gradient
        while waiting:
            used.add(name := waiting.pop())
            waiting += {*re.findall(r"\w+", blocks[name])} & {*blocks} - used
        kept = [self.head, *(block for name, block in blocks.items() if name in used)]
        return Template(("\n\n" if self.c else "\n\n\n").join(kept) + "\n").substitute(self._tables())

    def _function(self, name: str, formula: Formula, item: Any, into: str = "") -> str:
        """The name of a function, which is written once."""
        known = {x: item.parameters[x] for x in item.parameters if x not in getattr(item, "trainable", ())}
        if (key := (name, formula.content, *known.items())) not in self.names:
            taken = {*kwlist, *self.functions, *re.findall(r"\w+", " ".join(self.run.values()))}
            free = (x for k in count() if (x := f"{'f_' * self.c}{name}{k or ''}") not in taken)
            self.names[key] = name = next(free)
            self.functions[name] = Function(formula, known, self.real, self.said, into).text(name)
        return self.names[key]

    def _both(self, one: Any, into: str = "") -> list[str]:
        """Its value and its slope, which is there for a gradient alone."""
        value, slope = one.formulas.value, one.formulas.slope
        slopes = [self._function(f"{one.name}_slope", slope, one, PULL)] if self.gradient else ["0"]
        return [self._function(one.name, value, one, into), *slopes]

    def _learned(self, one: Any) -> list[str]:
        """How many numbers an activation learns, and the derivatives by them."""
        n, inner = len(one.trainable), ""
        for k, (name, formula) in enumerate(zip(one.trainable, one.formulas.by, strict=True)):
            into = PULL.replace("[k]", f"[k * {n} + {k}]")
            inner += f"{self._function(f'{one.name}_by_{name}', formula, one, into)}, " * self.gradient
        return [str(n), f"{{{inner or 0}}}" if self.c else f"({inner})"]

    def _judged(self, loss: Any) -> list[str]:
        """What a head predicts by, and its loss."""
        try:
            formula = loss.predict and traced(loss.predict, ["outputs"], loss.parameters, axis=1)
        except Untraceable as error:
            raise PluginError(f"export(): predict of loss {loss.name!r} has no formula ({error})") from None
        predict = self._function(f"{loss.name}_predicts", formula, loss, ASSIGN) if formula else "0"
        return [predict, *(self._both(loss) if self.gradient else "00")]

    def _calculated(self) -> dict[str, Any]:
        each = [*self.model.objective.each()]
        of = {loss: self._judged(loss) for loss in dict.fromkeys(head.loss for head, *_ in each)}
        return {
            "activations": [[*self._both(one, ASSIGN), *self._learned(one)] for one in self.plan.activations],
            "aggregations": [self._both(one) for one in self.plan.aggregations],
            "heads": [[*of[one.loss], number(one.weight, self.real), len(units)] for one, units, _ in each],
        }

    def _tables(self) -> dict[str, Any]:
        plan, layout, topology = self.plan, self.model.layout, self.model.topology
        objective, outputs, dtype = self.model.objective, self.plan.outputs, self.theta.dtype
        names, words, nodes = node_labels(topology.nodes), topology.categories, layout.node_of_unit.tolist()
        places = (np.arange(plan.n_units) - layout.first_unit[nodes]).tolist()
        labels = [names[n] + (f": {words[n][k]}" if n in words else f"[{k}]" * int(topology.units[n] > 1))
                  for n, k in zip(nodes, places, strict=True)]  # fmt: skip
        ends = [*plan.indptr.tolist(), *range(plan.n_weights + 1, plan.n_slots + 1)]
        said, ys = ([labels[unit] for unit in units.tolist()] for units in (slot_units(plan), outputs))
        shown = equations(self.model).splitlines() if plan.n_units <= SAID else ()
        learned = np.zeros(plan.n_units, int) if plan.learned_slot is None else plan.learned_slot
        factors = np.ones(plan.n_slots) if layout.factor is None else layout.factor
        return {
            "theta": self._rows(self.theta, ends, said), "learned_slot": self._rows(np.maximum(learned, 0)),
            "center": self._rows(topology.center, range(plan.n_inputs + 1), labels), "near": NEAR, "far": FAR,
            "output_units": self._rows(outputs, range(len(ys) + 1), ys), "scale": self._rows(topology.scale),
            "owners": self._rows(np.where(layout.trainable[layout.owners], layout.owners, -1)),
            "eps": self._rows(np.array([kind.eps for kind in plan.normalizations])), "y": (*ys,),
            "starts": self._rows(plan.indptr), "sources": self._rows(plan.sources), "real": self.real,
            "factors": self._rows(factors.astype(dtype)), "bias_slot": self._rows(plan.bias_slot),
            "places": self._rows(np.concatenate(objective.units)), "x": (*labels[: plan.n_inputs],),
            "columns": self._rows(np.concatenate(objective.columns)), "dtype": dtype.name,
            "steps": self._lines(row[:5] for row in plan.steps.tolist()), "n_parameters": plan.n_parameters,
            "n_learned": max(1, *(len(one.trainable) for one in plan.activations)), "n_slots": plan.n_slots,
            "n_terms": max(1, *np.diff(plan.indptr).tolist()), "memory": "static " * (plan.n_units > DEEP),
            "title": f"{counted(topology.n_nodes, 'node')} and {counted(topology.n_edges, 'edge')}",
            "equations": "\n".join(map(self._comment, shown)), "f": "f" * (self.real == "float"),
            "n_targets": sum(objective.sizes.values()),
        }  # fmt: skip

    def _lines(self, rows: Iterable[Iterable[object]]) -> str:
        texts = (", ".join(map(str, row)) for row in rows)
        return "\n".join(f"    {{{row}}}," if self.c else f"    ({row})," for row in texts)

    def _comment(self, text: str) -> str:
        apart = re.sub(r"(?<=[*/?\\])(?=[*/?\\])", " ", visible(text))  # no end of a comment, and no trigraph
        return f"/* {apart} */" if self.c else f"# {visible(text)}"

    def _rows(self, values: Any, ends: Sequence[int] = (), labels: Sequence[str] = ()) -> str:
        """The shortest numbers that are these again, rounded from double precision; in lines with labels."""
        texts = [str(x) if x.dtype.type(str(x)) == x else repr(float(x)) for x in values]
        cuts = ends or range(0, len(texts) + WIDE, WIDE)
        apart = ", " if self.plan.n_units <= SAID else ","
        rows = ((a, apart.join(texts[a:b])) for a, b in pairwise(cuts) if texts[a:b])
        said = [f"    {row},{'  ' + self._comment(labels[a]) if labels else ''}" for a, row in rows]
        return "\n".join(said) or "    0" * self.c
