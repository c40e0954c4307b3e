"""The chain rule for one weight and one row as plain data, and how it is written.

For w on the edge u → v, with one factor ∂c/∂p = g′(z_c) · w_cp for every edge p → c on the way:

    ∂L/∂w = Σ over paths v → … → output η of   ∂L/∂η · ∂η/∂p · … · ∂c/∂v · ∂v/∂w,
    ∂v/∂w = g′(z_v) · a_u.

Where z is another aggregation of the terms w·a than their sum, its derivative by the term stands between
g′ and the weight, or the value.  An output that feeds other nodes ends some paths and is passed by
others.  Nodes with several units have vectors ∂L/∂h, matrices ∂c/∂p = diag(g′(z_c)) W_cp, and ∂h/∂W is
written as the matrix with elements ∂h_i/∂W_ij = g′(z_i) a_j, whose rows ∂L/∂h_i multiplies.  A weight
that edges share is the sum over its edges.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from dagnet.contracts import Normalization
from dagnet.explain.report import TEXT, Equations, Notation, Number, Report, ShownAsMathematics, elided
from dagnet.model.naming import edge_label

Edge = tuple[Hashable, Hashable]
HEAD, TAIL = 24, 8
TERMS = 4


class Factor(NamedTuple):
    """One factor, ∂of/∂by: the node on top, None for the loss; the node below, for a weight its edge.

    ``kind`` is ``"loss"`` for ∂L/∂η, ``"node"`` for ∂child/∂parent, ``"weight"`` for ∂child/∂w.
    ``value`` is a float between one-unit nodes; else ∂L/∂η is (units,), ∂child/∂parent is the matrix
    (child units, parent units), and so is ∂child/∂W with its elements ∂hᵢ/∂Wᵢⱼ.  It is ``slope``,
    g′(z) of the node on top, times ``times``, the weight or the parent's value; None for the loss.
    ``per_weight`` is the edge's weight by that asked for, where the two share a parameter under
    different factors; it is in ``times``.  ``normalized``, scale/√(variance + eps), is a factor, too, where
    rows are normalised.  Over units it is the matrix ∂child/∂z, without ``slope``, and ∂child/∂W stands
    for ∂z/∂W alone: that matrix comes before it.
    Between them stands ``share``, the derivative of an aggregation by the term; None where it is a sum.
    """

    kind: Literal["loss", "node", "weight"]
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
        return (
            []
            if self.slope is not None or self.normalized is None or self.kind == "node"
            else [self.normalized]
        )


class Path(NamedTuple):
    """One path from the loss to the weight: ``nodes`` from an output back to the edge's child."""

    edge: Edge
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


class Fact(NamedTuple):
    """What a node did in the forward pass; of an output ``target``, y, and its loss with what it counts.

    ``argument`` is that of the activation.
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

    Attributes
    ----------
    edge, edges, weight
        The edge asked for, all edges that are this weight, and its value.
    value
        ∂L/∂w, as ``net.gradient`` has it: a float between one-unit nodes, else
        (child units, parent units).
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

    edge: Edge
    edges: tuple[Edge, ...]
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
        """All distinct factors, from the loss back to the weight."""
        inner = [factor for derivative in self.derivatives for _, factor in derivative.terms]
        return (*inner, *self.lasts)

    def _report(self, write: Notation = TEXT) -> Report:
        others = len(self.edges) - 1
        shared = f" (one weight with {others:,} other edge{'s' if others > 1 else ''})" if others else ""
        title = (
            f"∂L/∂w for {edge_label(self.edge)}{shared}: {_path_count(self.n_paths)}; "
            f"w = {TEXT.quantity(self.weight)}, L = {TEXT.quantity(self.loss)} ({self.loss_name})"
        )
        return Report("", title, *_Writer(self, write).account())


def _path_count(n: float) -> str:
    if n == 1:
        return "1 path"
    return f"{n:,.0f} paths" if n < 1e15 else f"about {n:.1e} paths"


class _Writer:
    """Symbols, the factors with their numbers, the products, the sum."""

    def __init__(self, rule: ChainRule, write: Notation) -> None:
        self.rule, self.write = rule, write
        self.asked = write.derivative("L", "w")
        self.gradients = {derivative.node: derivative.value for derivative in rule.derivatives}

    def account(self) -> tuple[list[Equations], list[str]]:
        """What stands below the title."""
        if not self.rule.derivatives:
            where = ", ".join(TEXT.name(child) for _, child in self.rule.edges[:TERMS])
            return [Equations("", [(self.asked, "0")])], [f"{where} reaches no output"]
        blocks, total, notes = self.by_path() if self.rule.paths else self.by_node()
        blocks.append(Equations("in all", [(self.asked, total, self.write.quantity(self.rule.value))]))
        return blocks, notes

    def symbol(self, factor: Factor) -> str:
        of = "L" if factor.of is None else self.write.name(factor.of)
        if factor.above:
            parts = self.write.derivative(of, "z"), self.write.derivative("z", "w")
            return self.write.product(parts)
        return self.write.derivative(of, "w" if factor.kind == "weight" else self.write.name(factor.by))

    def by_path(self) -> tuple[list[Equations], str, list[str]]:
        rule, write = self.rule, self.write
        written = [write.product(list(map(self.symbol, path.factors))) for path in rule.paths]
        symbols = [(self.asked, written[0]), *(("", f"+ {text}") for text in written[1:])]
        factors = [
            (
                write.derivative("z", "w") if f.above else self.symbol(f),
                self.origin(f),
                write.quantity(f.value),
            )
            for f in rule.factors
        ]
        more = elided(factors, lambda n: ("", write.words(f"… {n:,} more factors …"), ""), HEAD, TAIL)
        blocks = [Equations("in symbols", symbols), Equations("factor", more)]
        if len(rule.paths) == 1:
            return blocks, self.product(rule.paths[0]), []
        lines = []
        for number, path in enumerate(rule.paths, 1):
            edge = f" ({edge_label(path.edge)})" if len(rule.edges) > 1 else ""
            name = write.words(f"path {number}{edge}")
            lines.append((name, self.product(path), write.quantity(path.value)))
        return [*blocks, Equations("path", lines)], write.total([value for *_, value in lines]), []

    def product(self, path: Path) -> str:
        *above, last = [factor.value for factor in path.factors]
        above += path.factors[-1].above
        if isinstance(last, float):
            return self.write.numbers([*above, last])
        return self.write.rows_times.format(self.write.numbers(above), self.write.quantity(last))

    def origin(self, factor: Factor) -> str:
        """Where a factor's number comes from: g′(z) times a weight, or times a value."""
        rule, write = self.rule, self.write
        if factor.of is None or factor.times is None:
            output = rule.facts[factor.by]
            target = "" if output.target is None else f", y = {write.quantity(output.target)}"
            slope = write.slope(output.loss, f"{write.quantity(output.a)}{target}")
            weight = output.loss_weight
            return slope if weight == 1 else f"{write.quantity(weight)}{write.dot}{slope}"
        fact = rule.facts[factor.of]
        by = write.name(factor.by[0]) if factor.kind == "weight" else "w"  # type: ignore[index]
        if factor.per_weight != 1:
            by = f"{write.quantity(factor.per_weight)}{write.dot}{by}"
        if factor.slope is None:  # over units
            below = write.derivative(write.name(factor.of), "z")
            return by if factor.kind == "weight" else f"{below}{write.dot}{by}"
        factors, numbers = list[str](), list[Number]()
        if fact.activation != "identity":
            factors.append(write.slope(fact.activation, write.quantity(fact.argument)))
            numbers.append(factor.slope)
        if factor.normalized is not None:
            factors.append(write.words("scale/√(variance + eps)"))
            numbers.append(factor.normalized)
        if factor.share is not None:
            term = f"w{write.dot}{by}" if factor.kind == "weight" else f"{by}{write.dot}a"
            factors.append(write.slope(fact.aggregation, term))
            numbers.append(factor.share)
        if not factors:
            return by
        return f"{write.product([*factors, by])} = {write.numbers([*numbers, factor.times])}"

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
