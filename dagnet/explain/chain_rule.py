"""The chain rule for one weight, or bias, and one row as plain data, and how it is written.

For w on the edge u → v, with one factor ∂c/∂p = g′(z_c) · w_cp for every edge p → c on the way:

    ∂L/∂w = Σ over paths v → … → output η of   ∂L/∂η · ∂η/∂p · … · ∂c/∂v · ∂v/∂w,
    ∂v/∂w = g′(z_v) · a_u,        ∂v/∂b = g′(z_v).

Where z is another aggregation of the terms w·a than their sum, its derivative by the term stands between
g′ and the weight, or the value.  An output that feeds other nodes ends some paths and is passed by
others.  Nodes with several units have vectors ∂L/∂h, matrices ∂c/∂p = diag(g′(z_c)) W_cp, and ∂h/∂W is
written as the matrix with elements ∂h_i/∂W_ij = g′(z_i) a_j, whose rows ∂L/∂h_i multiplies.  A weight
that edges share is the sum over its edges.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from dagnet.contracts import Normalization
from dagnet.explain.report import (
    LATEX,
    TEXT,
    Equations,
    Notation,
    Number,
    Report,
    ShownAsMathematics,
    elided,
    plain,
)
from dagnet.markup import counted

if TYPE_CHECKING:
    from dagnet.formula import Formula

Edge = tuple[Hashable, Hashable]
HEAD, TAIL = 24, 8
TERMS = 4
SYMBOLS, NUMBERS = 40, 12
"""Of how many operations a derivative may be that is written out, and also with its numbers."""


class Factor(NamedTuple):
    """One factor, ∂of/∂by: the node on top, None for the loss; the node below, for a weight its edge.

    ``kind`` is ``"loss"`` for ∂L/∂η, ``"node"`` for ∂child/∂parent, ``"weight"`` for ∂child/∂w, ``"bias"``
    for ∂node/∂b, (units,), of which ``by`` is the node and ``times`` 1.
    ``value`` is a float between one-unit nodes; else ∂L/∂η is (units,), ∂child/∂parent is the matrix
    (child units, parent units), and so is ∂child/∂W with its elements ∂hᵢ/∂Wᵢⱼ.  It is ``slope``,
    g′(z) of the node on top, times ``times``, the weight or the parent's value; None for the loss.
    ``per_weight`` is the edge's weight by that asked for, where the two share a parameter under
    different factors; it is in ``times``.  ``normalized``, scale/√(variance + eps), is a factor, too, where
    rows are normalised.  Over units it is the matrix ∂child/∂z, without ``slope``, and ∂child/∂W stands
    for ∂z/∂W alone: that matrix comes before it.
    Between them stands ``share``, the derivative of an aggregation by the term; None where it is a sum.
    """

    kind: Literal["loss", "node", "weight", "bias"]
    of: Hashable | None
    by: Hashable
    value: Number
    slope: Number | None = None
    times: Number | None = None
    per_weight: float = 1.0
    share: Number | None = None
    normalized: Number | None = None

    @property
    def above(self) -> list[Number]:
        """What stands before it in a product of numbers: ∂child/∂z where units are normalised."""
        if self.slope is None and self.normalized is not None and self.kind != "node":
            return [self.normalized]
        return []


class Path(NamedTuple):
    """One path from the loss to the weight: ``nodes`` from an output back to the edge's child.

    Of a bias ``edge`` is its node.
    """

    edge: Hashable
    nodes: tuple[Hashable, ...]
    factors: tuple[Factor, ...]
    value: Number


class Derivative(NamedTuple):
    """∂L/∂node, as the sum of ``terms``.

    A term (child, ∂child/∂node) stands for ∂L/∂child · ∂child/∂node, and (None, ∂L/∂node) for
    what the loss reads directly.
    """

    node: Hashable
    value: Number
    terms: tuple[tuple[Hashable | None, Factor], ...]


class Derived(NamedTuple):
    """A derivative as a formula, or None, and what its arguments are on this row, by name."""

    formula: Formula | None
    values: Mapping[str, Any]

    def written(self, write: Notation, names: Mapping[str, str], *, factor: bool = False) -> list[str]:
        """In symbols, and if it is short in numbers; nothing where it is long."""
        from dagnet.formula import expression, readable, size  # noqa: PLC0415 - only traces need it

        if self.formula is None or size(formula := readable(self.formula)) > SYMBOLS:
            return []
        used = [name for name in formula.arguments if formula.uses(name)]
        given = {name: plain(np.asarray(self.values[name], float)) for name in used if name in self.values}
        texts = {name: write.quantity(value) for name, value in given.items()}
        single = all(isinstance(given.get(name), float) for name in used)
        ways = [{**texts, **names}, texts][: 2 if single and size(formula) <= NUMBERS else 1]
        return [expression(formula, way, latex=write is LATEX, factor=factor) for way in ways]


class Fact(NamedTuple):
    """What a node did in the forward pass; of an output ``target``, y, and its loss with what it counts.

    ``argument`` is that of the activation.  ``slope`` is g′, ``pull`` ∂loss/∂output, where formulas say them.
    """

    activation: str
    z: Number
    a: Number
    target: Number | None
    loss: str = ""
    loss_weight: float = 1.0
    aggregation: str = "sum"
    normalization: Normalization | None = None
    argument: Number = 0.0
    slope: Derived | None = None
    pull: Derived | None = None

    @property
    def function(self) -> str:
        """What is made of z, such as ``tanh(z)``, ``batch(tanh(z))``."""
        parts = [self.activation]
        if self.normalization is not None:
            parts.insert(len(parts) if self.normalization.before_activation else 0, self.normalization.name)
        return "(".join(parts) + "(z)" + ")" * (len(parts) - 1)


@dataclass(frozen=True, eq=False, repr=False)
class ChainRule(ShownAsMathematics):
    """∂L/∂w for one weight and one row, in its factors; ``print`` shows it as a textbook would.

    ``.latex`` and ``.html`` are the same for papers and pages; notebooks show the LaTeX.

    Attributes
    ----------
    kind, edge, edges, weight
        ``"weight"``, the edge asked for, all edges that are this weight, and its value; or
        ``"bias"``, and the same of nodes.
    value
        ∂L/∂w, as ``net.gradient`` has it: a float between one-unit nodes, else
        (child units, parent units); ∂L/∂b, a float or (units,).
    loss, loss_name
        L of this row.
    n_paths, paths
        How many paths lead from the loss to the weight, infinite beyond 1e308; the paths, where
        there are at most sixteen, else empty.
    derivatives, facts
        ∂L/∂node, in the order of the reverse walk, and activation, z and value of the nodes on the paths.
    lasts
        The last factor ∂child/∂w of each of ``edges`` whose child reaches an output.
    """

    kind: Literal["weight", "bias"]
    edge: Hashable
    edges: tuple[Hashable, ...]
    weight: Number
    value: Number
    loss: float
    loss_name: str
    n_paths: float
    paths: tuple[Path, ...]
    derivatives: tuple[Derivative, ...]
    lasts: tuple[Factor, ...]
    facts: Mapping[Hashable, Fact]

    @property
    def factors(self) -> tuple[Factor, ...]:
        """All distinct factors, from the loss back to the weight, in the order of the paths."""
        inner = [factor for derivative in self.derivatives for _, factor in derivative.terms]
        met = [factor for path in self.paths for factor in path.factors] or [*inner, *self.lasts]
        return tuple({(factor.kind, factor.of, factor.by): factor for factor in met}.values())

    def _report(self, write: Notation = TEXT) -> Report:
        others, what = len(self.edges) - 1, "edge" if self.kind == "weight" else "node"
        shared = f" (one {self.kind} with {counted(others, f'other {what}')})" if others else ""
        name = TEXT.parameter(self.kind, self.edge)
        title = (
            f"{TEXT.derivative('L', name)}{shared}: {_path_count(self.n_paths)}; "
            f"{name} = {TEXT.quantity(self.weight)}, L = {TEXT.quantity(self.loss)} ({self.loss_name})"
        )
        blocks, notes = _Writer(self, write).account()
        return Report("", title, blocks, notes)


def _path_count(n: float) -> str:
    if n == 1:
        return "1 path"
    return f"{n:,.0f} paths" if n < 1e15 else f"about {n:.1e} paths"


def slope_of(write: Notation, node: Hashable, fact: Fact) -> list[str]:
    """g′(z) of a node as a factor: in symbols, perhaps in numbers."""
    own = fact.normalization is None
    names = {"z": write.parameter("z", node), "a": write.name(node)} if own else {}
    found = fact.slope.written(write, names, factor=True) if fact.slope else []
    return found or [write.slope(fact.activation, write.quantity(fact.argument))]


def pull_of(write: Notation, node: Hashable, fact: Fact, y: str) -> list[str]:
    """The loss's derivative by an output with the target y, what it counts included."""
    target = "" if fact.target is None else f", y = {write.quantity(fact.target)}"
    names, weight = {"outputs": write.name(node), "targets": y}, fact.loss_weight
    found = fact.pull.written(write, names, factor=weight != 1) if fact.pull else []
    found = found or [write.slope(fact.loss, f"{write.quantity(fact.a)}{target}")]
    return [text if weight == 1 else write.in_brackets([write.quantity(weight), text]) for text in found]


class _Writer:
    """Symbols, the factors with their numbers, the products, the sum."""

    def __init__(self, rule: ChainRule, write: Notation) -> None:
        self.rule, self.write = rule, write
        self.name = write.parameter(rule.kind, rule.edge)
        self.asked = write.derivative("L", self.name)
        outputs = sum(fact.target is not None for fact in rule.facts.values())
        self.several = outputs > 1 or "y" in rule.facts  # then a target is told by its output
        self.gradients = {derivative.node: derivative.value for derivative in rule.derivatives}

    def account(self) -> tuple[list[Equations], list[str]]:
        """What stands below the title."""
        if not self.rule.derivatives:
            ends: Any = self.rule.edges[:TERMS]
            where = ", ".join(TEXT.name(end[1] if self.rule.kind == "weight" else end) for end in ends)
            return [Equations("", [(self.asked, "0")])], [f"{where} reaches no output"]
        blocks, total, notes = self.by_path() if self.rule.paths else self.by_node()
        if self.write is LATEX:  # which has no title
            loss = f"{LATEX.quantity(self.rule.loss)} \\quad {LATEX.words(f'({self.rule.loss_name})')}"
            blocks.insert(0, Equations("", [(self.name, LATEX.quantity(self.rule.weight)), ("L", loss)]))
        blocks.append(Equations("in all", [(self.asked, total, self.write.quantity(self.rule.value))]))
        return blocks, notes

    def symbol(self, factor: Factor) -> str:
        of = "L" if factor.of is None else self.write.name(factor.of)
        by = self.name if factor.kind in {"weight", "bias"} else self.write.name(factor.by)
        if factor.above:
            return self.write.product([self.write.derivative(of, "z"), self.write.derivative("z", by)])
        return self.write.derivative(of, by)

    def by_path(self) -> tuple[list[Equations], str, list[str]]:
        rule, write = self.rule, self.write
        written = [write.product(list(map(self.symbol, path.factors))) for path in rule.paths]
        symbols = [(self.asked, written[0]), *(("", f"+ {text}") for text in written[1:])]
        factors: list[Factor | int] = [*rule.factors]
        more = list(map(self.factor, elided(factors, lambda n: n, HEAD, TAIL)))
        blocks = [Equations("in symbols", symbols), Equations("factor", more)]
        if len(rule.paths) == 1:
            return blocks, self.product(rule.paths[0]), []
        lines = []
        for number, path in enumerate(rule.paths, 1):
            name = write.words(f"path {number}")
            if len(rule.edges) > 1:
                name += f" ({write.parameter(rule.kind, path.edge)})"
            lines.append((name, self.product(path), write.quantity(path.value)))
        return [*blocks, Equations("path", lines)], write.total([value for *_, value in lines]), []

    def factor(self, factor: Factor | int) -> tuple[str, ...]:
        """A factor in symbols and in numbers; or how many are left out."""
        if isinstance(factor, int):
            return "", self.write.words(f"… {factor:,} more factors …"), ""
        left = self.write.derivative("z", self.name) if factor.above else self.symbol(factor)
        return left, *self.origin(factor), self.write.quantity(factor.value)

    def product(self, path: Path) -> str:
        *above, last = [factor.value for factor in path.factors]
        above += path.factors[-1].above
        if isinstance(last, float):
            return self.write.numbers([*above, last])
        return self.write.rows_times.format(self.write.numbers(above), self.write.quantity(last))

    def origin(self, factor: Factor) -> list[str]:
        """Where a factor's number comes from: g′(z) times a weight, or times a value; step by step."""
        write, facts = self.write, self.rule.facts
        if factor.kind == "loss" or factor.of is None:
            y = write.parameter("y", factor.by) if self.several else "y"
            return pull_of(write, factor.by, facts[factor.by], y)
        fact, by = facts[factor.of], ""
        if factor.kind != "bias":
            edge: Any = factor.by if factor.kind == "weight" else (factor.by, factor.of)
            weight, value = write.parameter("weight", edge), write.name(edge[0])
            by = value if factor.kind == "weight" else weight
        if factor.per_weight != 1:
            by = f"{write.quantity(factor.per_weight)}{write.dot}{by}"
        if factor.slope is None:  # over units
            return [by if factor.above else write.product([write.derivative(write.name(factor.of), "z"), by])]
        factors = list[tuple[list[str], Number]]()
        if fact.activation != "identity":
            factors.append((slope_of(write, factor.of, fact), factor.slope))
        if factor.normalized is not None:
            factors.append(([write.words("scale/√(variance + eps)")], factor.normalized))
        if factor.share is not None:
            factors.append(([write.slope(fact.aggregation, f"{weight}{write.dot}{value}")], factor.share))
        if by and factor.times is not None:
            factors.append(([by], factor.times))
        return write.steps(factors) if factors else []

    def by_node(self) -> tuple[list[Equations], str, list[str]]:
        rule, write = self.rule, self.write
        symbols, numbers = self.terms([(last.of, last) for last in rule.lasts])
        lines = [self.node(derivative) for derivative in rule.derivatives]
        lines = elided(lines, lambda n: ("", write.words(f"… {n:,} more nodes …"), "", ""), HEAD, TAIL)
        blocks = [Equations("in symbols", [(self.asked, symbols)]), Equations("node", lines)]
        return blocks, numbers, [f"{_path_count(rule.n_paths)}, too many to write out: grouped by node"]

    def node(self, derivative: Derivative) -> tuple[str, str, str, str]:
        """∂L/∂node in symbols and in numbers."""
        left = self.write.derivative("L", self.write.name(derivative.node))
        value = self.write.quantity(derivative.value)
        if len(derivative.terms) == 1 and derivative.terms[0][0] is None:
            return left, "", "", value
        return left, *self.terms(derivative.terms), value

    def terms(self, terms: Sequence[tuple[Hashable | None, Factor]]) -> tuple[str, str]:
        """Their sum in symbols and in numbers, the first few terms of it."""
        symbols, numbers = zip(*(self.term(*term) for term in terms[:TERMS]), strict=True)
        omitted = max(0, len(terms) - TERMS)
        return self.write.total(symbols, omitted), self.write.total(numbers, omitted)

    def term(self, child: Hashable | None, factor: Factor) -> tuple[str, str]:
        """∂L/∂child times a factor, in symbols and in numbers."""
        if child is None:
            return self.symbol(factor) + self.write.words(" of the loss"), self.write.quantity(factor.value)
        above = self.write.derivative("L", self.write.name(child))
        numbers = self.write.numbers([self.gradients[child], *factor.above, factor.value])
        return f"{above}{self.write.dot}{self.symbol(factor)}", numbers
