"""The whole backward pass of one row, node by node in the order walked: what goes on the board.

For every node that reaches an output: z, a = g(z), ∂L/∂a, g′(z), δ = ∂L/∂a · g′(z); for every
edge into it ∂L/∂w = δ · a of the parent; for its bias ∂L/∂b = δ.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from dagnet.adjacency import reachable
from dagnet.arrays import Array
from dagnet.explain.arguments import OneRow
from dagnet.explain.chain_rule import Edge, Fact
from dagnet.explain.report import TEXT, Notation, Number, Report, ShownAsMathematics, Table, elided, plain
from dagnet.model import Model

LEFT = (0, 6, 7, 8)
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
        n = len(self.nodes)
        title = f"L = {TEXT.quantity(self.loss)} ({self.loss_name}), {n:,} node{'s' * (n != 1)}"
        rows = [row for step in self.nodes for row in _rows(step, write)]
        header = _header(write)
        blank = [""] * (len(header) - 1)
        shown = elided(rows, lambda n: [write.words(f"… {n:,} more rows …"), *blank], HEAD, TAIL)
        return Report("backward pass: ", title, [Table(header, shown, LEFT)])


@np.errstate(all="ignore")
def trace_all(net: Model, x: Any, y: Any) -> BackwardPass:
    """The backward pass of one row through all nodes that reach an output.

    Parameters
    ----------
    net, x, y
        As for :meth:`dagnet.Network.trace`.

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
    edges = topology.parents.edges[topology.parents.expand(np.array([node]))].tolist()
    return NodeStep(
        node=row.node(node),
        fact=row.fact(node),
        gradient=plain(row.gradient_of(node)),
        slope=plain(row.slope(node)),
        delta=plain(delta),
        edges=tuple(_edge_step(row, edge, delta) for edge in edges),
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


def _header(write: Notation) -> tuple[str, ...]:
    gradient, weight = (write.derivative("L", by) for by in "aw")
    node, parent = map(write.words, ("node", "from"))
    product = f"{weight} = {write.delta}{write.dot}a"
    return node, "z", "a", gradient, write.slope("g", "z"), write.delta, parent, product, ""


def _rows(step: NodeStep, write: Notation) -> Iterator[list[str]]:
    """The node's numbers in the first row, one row for each edge into it, one for the bias."""
    name = f"{write.name(step.node)} = {write.words(step.fact.function)}"
    if step.fact.aggregation != "sum":
        name += write.words(f", z of {step.fact.aggregation}")
    numbers = (step.fact.z, step.fact.a, step.gradient, step.slope, step.delta)
    node = [name, *map(write.quantity, numbers)]
    for line in list(_lines(step, write)) or [("", "", "")]:
        yield [*node, *line]
        node = [""] * len(node)


def _lines(step: NodeStep, write: Notation) -> Iterator[tuple[str, str, str]]:
    if (kind := step.fact.normalization) is not None and step.normalized is not None:
        factor = write.words("scale/√(variance + eps)") if kind.over_rows else write.derivative("a", "z")
        yield write.words(kind.name), f"{factor} = {write.quantity(step.normalized)}", ""
    for edge in step.edges:
        factors = [step.delta, edge.a] if edge.share is None else [step.delta, edge.share, edge.a]
        product = f"{write.numbers(factors)} = {write.quantity(edge.derivative)}"
        remarks = ["frozen"] * (not edge.trainable) + ["shared"] * edge.shared
        yield write.name(edge.edge[0]), product, write.words(", ".join(remarks))
    if step.bias is not None:
        bias = f"{write.derivative('L', 'b')} = {write.delta} = {write.quantity(step.bias)}"
        yield write.words("bias"), bias, ""
