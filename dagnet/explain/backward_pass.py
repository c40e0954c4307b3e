"""The whole backward pass of one row, node by node in the order walked: what goes on the board.

For every node that reaches an output: z, a = g(z), ∂L/∂a, g′(z), δ = ∂L/∂a · g′(z); for every
edge into it ∂L/∂w = δ · a of the parent; for its bias ∂L/∂b = δ.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dagnet.adjacency import reachable
from dagnet.explain.chain_rule import Edge, Fact
from dagnet.explain.notation import TEXT, Notation, Number, elided, plain
from dagnet.explain.one_row import OneRow
from dagnet.explain.report import Report, ShownAsMathematics, Table
from dagnet.model import Model

__all__ = ["BackwardPass", "EdgeStep", "NodeStep", "trace_all"]

Array = NDArray[Any]
LEFT = (0, 6, 7, 8)
HEAD, TAIL = 200, 40


class EdgeStep(NamedTuple):
    """One edge: its weight w, the parent's value a, and ∂L/∂w = δ · a.

    Where edges share a weight, ``derivative`` is this edge's part of the sum.
    """

    edge: Edge
    weight: Number
    a: Number
    derivative: Number
    trainable: bool
    shared: bool


class NodeStep(NamedTuple):
    """One node: its forward numbers (``fact``), ∂L/∂a, g′(z), δ, and the edges into it.

    ``bias`` is ∂L/∂b, None where there is no bias.
    """

    node: Hashable
    fact: Fact
    gradient: Number
    slope: Number
    delta: Number
    edges: tuple[EdgeStep, ...]
    bias: Number | None


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
    net
        The network.
    x
        One row, (input units,), or a mapping from input node to value.
    y
        Its target: a number, (output units,), a class label, or a mapping from output node.

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
    topology, delta = row.topology, row.delta[node]
    edges = topology.parents.edges[topology.parents.expand(np.array([node]))].tolist()
    return NodeStep(
        node=row.node(node),
        fact=row.fact(node),
        gradient=plain(row.gradient_of(node)),
        slope=plain(row.slope[node]),
        delta=plain(delta),
        edges=tuple(_edge_step(row, edge, delta) for edge in edges),
        bias=plain(delta) if topology.has_bias[node] else None,
    )


def _edge_step(row: OneRow, edge: int, delta: Array) -> EdgeStep:
    topology = row.topology
    a = row.a[int(topology.sources[edge])]
    return EdgeStep(
        edge=row.edge(edge),
        weight=plain(row.weight(edge)),
        a=plain(a),
        derivative=plain(delta[:, None] * a),
        trainable=bool(topology.edge_trainable[edge]),
        shared=topology.share is not None and bool(topology.share[edge] >= 0),
    )


# -- writing -----------------------------------------------------------------------------


def _header(write: Notation) -> tuple[str, ...]:
    gradient, weight = (write.derivative("L", by) for by in "aw")
    product = f"{weight} = {write.delta}{write.dot}a"
    return (
        write.words("node"),
        "z",
        "a",
        gradient,
        write.slope("g", "z"),
        write.delta,
        write.words("from"),
        product,
        "",
    )


def _rows(step: NodeStep, write: Notation) -> Iterator[list[str]]:
    """The node's numbers in the first row, one row for each edge into it, one for the bias."""
    fact = step.fact
    numbers = (fact.z, fact.a, step.gradient, step.slope, step.delta)
    name = f"{write.name(step.node)} = {write.words(fact.activation)}(z)"
    node = [name, *map(write.quantity, numbers)]
    blank = [""] * len(node)
    lines = list(_lines(step, write)) or [("", "", "")]
    for place, line in enumerate(lines):
        yield [*(blank if place else node), *line]


def _lines(step: NodeStep, write: Notation) -> Iterator[tuple[str, str, str]]:
    for edge in step.edges:
        product = f"{write.numbers([step.delta, edge.a])} = {write.quantity(edge.derivative)}"
        remarks = ["frozen"] * (not edge.trainable) + ["shared"] * edge.shared
        yield write.name(edge.edge[0]), product, write.words(", ".join(remarks))
    if step.bias is not None:
        bias = f"{write.derivative('L', 'b')} = {write.delta} = {write.quantity(step.bias)}"
        yield write.words("bias"), bias, ""
