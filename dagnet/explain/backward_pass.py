"""The whole backward pass of one row, node by node in the order walked: what goes on the board.

For every node that reaches an output: a = g(z); ∂L/∂a, the loss's own part and Σ δ · w over its children;
δ = ∂L/∂a · g′(z); for every edge into it ∂L/∂w = δ · a of the parent; for its bias ∂L/∂b = δ.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from dagnet.adjacency import reachable
from dagnet.arrays import Array
from dagnet.explain.arguments import OneRow
from dagnet.explain.chain_rule import TERMS, Edge, Fact, pull_of, slope_of
from dagnet.explain.report import TEXT, Equations, Notation, Number, Report, ShownAsMathematics, elided, plain
from dagnet.markup import counted
from dagnet.model import Model

HEAD, TAIL = 200, 40


class EdgeStep(NamedTuple):
    """One edge: its weight w, the parent's value a, and ∂L/∂w = δ · a.

    Where the node aggregates otherwise than by a sum, ``share`` is the derivative by the term w·a, and
    ∂L/∂w = δ · share · a.
    Where edges share a weight, ``derivative`` is this edge's part of the sum.
    """

    edge: Edge
    weight: Number
    a: Number
    derivative: Number
    trainable: bool
    shared: bool
    share: Number | None = None


class NodeStep(NamedTuple):
    """One node: its forward numbers (``fact``), ∂L/∂a, g′(z), δ, and the edges into it.

    ``bias`` is ∂L/∂b, None where there is no bias.  ``normalized`` is what a normalisation puts between:
    δ = ∂L/∂a · g′(z) · scale/√(variance + eps), or over units δ = ∂L/∂a · ∂a/∂z, a matrix; else None.
    """

    node: Hashable
    fact: Fact
    gradient: Number
    slope: Number
    delta: Number
    edges: tuple[EdgeStep, ...]
    bias: Number | None
    normalized: Number | None = None


@dataclass(frozen=True, eq=False, repr=False)
class BackwardPass(ShownAsMathematics):
    """The backward pass of one row: ``loss``, ``loss_name``, ``nodes`` in the order walked."""

    loss: float
    loss_name: str
    nodes: tuple[NodeStep, ...]

    def _report(self, write: Notation = TEXT) -> Report:
        title = f"L = {TEXT.quantity(self.loss)} ({self.loss_name}), {counted(len(self.nodes), 'node')}"
        outputs = sum(step.fact.target is not None for step in self.nodes)
        # of several outputs, or where a node is called y, a target is told by its output
        several = outputs > 1 or any(step.node == "y" for step in self.nodes)
        terms: dict[Hashable, list[tuple[str, str]]] = {}
        lines: list[tuple[str, ...]] = [("L", write.quantity(self.loss))]
        for step in self.nodes:
            lines += _lines(step, write, terms, "" if several else "y")
        lines = elided(lines, lambda n: ("", write.words(f"… {n:,} more lines …")), HEAD, TAIL)
        return Report("backward pass: ", title, [Equations("", lines)])


@np.errstate(all="ignore")
def trace_all(net: Model, x: Any, y: Any) -> BackwardPass:
    """The backward pass of one row through all nodes that reach an output; x and y as for :meth:`trace`.

    Examples
    --------
    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([2, 2, 1], activation="sigmoid"), seed=0)
    >>> [step.node for step in trace_all(net, [2.0, 3.0], 1.0).nodes]
    ['eta', 'h12', 'h11']
    """
    row, topology = OneRow(net, x, y), net.topology
    reaching = reachable(topology.parents, topology.outputs)
    walked = reaching[np.argsort(-net.layout.first_unit[reaching])]
    steps = tuple(_node_step(row, node) for node in walked[~topology.is_input[walked]].tolist())
    return BackwardPass(row.gradient.loss, str(net.loss), steps)


def _node_step(row: OneRow, node: int) -> NodeStep:
    topology, delta = row.topology, row.delta(node)
    return NodeStep(
        node=row.node(node),
        fact=row.fact(node),
        gradient=plain(row.gradient_of(node)),
        slope=plain(row.slope(node)),
        delta=plain(delta),
        edges=tuple(_edge_step(row, edge, delta) for edge in topology.parents.edges_of(node).tolist()),
        bias=plain(delta) if topology.has_bias[node] else None,
        normalized=None if (passed := row.normalized(node)) is None else plain(passed),
    )


def _edge_step(row: OneRow, edge: int, delta: Array) -> EdgeStep:
    topology, share = row.topology, row.share(edge)
    a = row.a(int(topology.sources[edge]))
    return EdgeStep(
        edge=row.edge(edge),
        weight=plain(row.weight(edge)),
        a=plain(a),
        derivative=plain(delta[:, None] * share * a),
        trainable=bool(topology.edge_trainable[edge]),
        shared=topology.share is not None and bool(topology.share[edge] >= 0),
        share=None if isinstance(share, float) else plain(share),
    )


def _lines(
    step: NodeStep, write: Notation, terms: dict[Hashable, list[tuple[str, str]]], y: str
) -> Iterator[tuple[str, ...]]:
    """The equations of a node, symbols and numbers; its parents' ``terms`` δ · w are noted for them."""
    fact, node = step.fact, step.node
    name, delta = write.name(node), ([write.index.format(write.delta, write.name(node))], step.delta)
    gradient, own = write.derivative("L", name), terms.get(node, [])
    if fact.target is not None:
        pulls = pull_of(write, node, fact, y or write.parameter("y", node))
        own = [(pulls[0], pulls[-1]), *own]
    before, _, after = fact.function.rpartition("z")
    yield name, f"{write.words(before)}{write.quantity(fact.z)}{write.words(after)}", write.quantity(fact.a)
    totals = [write.total(texts[:TERMS], max(0, len(own) - TERMS)) for texts in zip(*own, strict=True)]
    yield gradient, *totals, write.quantity(step.gradient)
    factors = [([gradient], step.gradient)]
    if fact.activation != "identity":
        factors.append((slope_of(write, node, fact), step.slope))
    if fact.normalization is not None and step.normalized is not None:
        over = fact.normalization.over_rows
        through = write.words("scale/√(variance + eps)") if over else write.derivative(name, "z")
        factors = [*factors[: None if over else 1], ([through], step.normalized)]
    yield delta[0][0], *write.steps(factors), write.quantity(step.delta)
    for edge in step.edges:
        weight, a = write.parameter("weight", edge.edge), write.name(edge.edge[0])
        between = list[tuple[list[str], Number]]()
        if edge.share is not None:
            between = [([write.slope(fact.aggregation, f"{weight}{write.dot}{a}")], edge.share)]
        symbols, *_, numbers = write.steps([delta, *between, ([weight], edge.weight)])
        terms.setdefault(edge.edge[0], []).append((symbols, numbers))
        remarks = ["frozen"] * (not edge.trainable) + ["shared"] * edge.shared
        value = write.quantity(edge.derivative) + write.words(f" ({', '.join(remarks)})" if remarks else "")
        yield write.derivative("L", weight), *write.steps([delta, *between, ([a], edge.a)]), value
    if step.bias is not None:
        yield write.derivative("L", write.parameter("bias", node)), delta[0][0], write.quantity(step.bias)
