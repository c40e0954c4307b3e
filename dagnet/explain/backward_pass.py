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

from dagnet.explain.chain_parts import Edge, Fact, Number, plain
from dagnet.explain.chain_text import elided
from dagnet.explain.latex import display_table, latex_name, latex_quantity, latex_text
from dagnet.explain.numbers import quantity, term
from dagnet.explain.one_row import OneRow
from dagnet.markup import label, table_html, table_text
from dagnet.model import Model

__all__ = ["BackwardPass", "EdgeStep", "NodeStep", "trace_all"]

Array = NDArray[Any]
HEADER = ("node", "z", "a", "∂L/∂a", "g′(z)", "δ", "from", "∂L/∂w = δ · a", "")
LEFT = (0, 6, 7, 8)


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


@dataclass(frozen=True, eq=False)
class BackwardPass:
    """The backward pass of one row: ``loss``, ``loss_name``, ``nodes`` in the order walked."""

    loss: float
    loss_name: str
    nodes: tuple[NodeStep, ...]

    def _title(self) -> str:
        n = len(self.nodes)
        return f"backward pass: L = {quantity(self.loss)} ({self.loss_name}), {n:,} node{'s' * (n != 1)}"

    def _rows(self) -> list[list[str]]:
        rows = [row for step in self.nodes for row in _rows(step)]
        return elided(rows, lambda n: [f"… {n:,} more rows …", *[""] * (len(HEADER) - 1)], 200, 40)

    def __str__(self) -> str:
        return f"{self._title()}\n{table_text(HEADER, self._rows(), left=LEFT)}"

    def __repr__(self) -> str:
        return f"<BackwardPass: {self._title().removeprefix('backward pass: ')}>"

    def _repr_html_(self) -> str:
        return table_html(self._title(), HEADER, self._rows(), left=LEFT)

    def _repr_latex_(self) -> str:
        rows = [row for step in self.nodes for row in _latex_rows(step)]
        return display_table(LATEX_HEADER, elided(rows, lambda _: [r"\vdots", *[""] * 7]))


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
    row = OneRow(net, x, y)
    topology = net.topology
    order = row.between(np.arange(topology.n_nodes))
    gradients: dict[int, Array] = {}
    deltas: dict[int, Array] = {}
    steps = []
    for node in order[~topology.is_input[order]].tolist():
        gradient = row.pull(node).copy()
        for place in topology.children.expand(np.array([node])).tolist():
            child, edge = int(topology.children.neighbours[place]), int(topology.children.edges[place])
            if child in deltas:
                gradient += deltas[child] @ row.weight(edge)
        gradients[node], deltas[node] = gradient, gradient * row.slope(node)
        steps.append(_node_step(row, node, gradient, deltas[node]))
    return BackwardPass(row.loss, str(net.loss), tuple(steps))


def _node_step(row: OneRow, node: int, gradient: Array, delta: Array) -> NodeStep:
    topology = row.topology
    places = topology.parents.expand(np.array([node])).tolist()
    edges = (int(topology.parents.edges[place]) for place in places)
    return NodeStep(
        node=row.name(node),
        fact=row.fact(node),
        gradient=plain(gradient),
        slope=plain(row.slope(node)),
        delta=plain(delta),
        edges=tuple(_edge_step(row, edge, delta) for edge in edges),
        bias=plain(delta) if topology.has_bias[node] else None,
    )


def _edge_step(row: OneRow, edge: int, delta: Array) -> EdgeStep:
    topology = row.topology
    source, target = int(topology.sources[edge]), int(topology.targets[edge])
    return EdgeStep(
        edge=(row.name(source), row.name(target)),
        weight=plain(row.weight(edge)),
        a=plain(row.a(source)),
        derivative=plain(delta[:, None] * row.a(source)),
        trainable=bool(topology.edge_trainable[edge]),
        shared=topology.share is not None and bool(topology.share[edge] >= 0),
    )


# -- rendering ---------------------------------------------------------------------------


def _rows(step: NodeStep) -> Iterator[list[str]]:
    """The node's numbers in the first row, one row for each edge into it, one for the bias."""
    fact = step.fact
    numbers = (fact.z, fact.a, step.gradient, step.slope, step.delta)
    node = [f"{label(step.node)} = {fact.activation}(z)", *map(quantity, numbers)]
    blank = [""] * len(node)
    lines = [list(line) for line in _lines(step)] or [["", "", ""]]
    for place, line in enumerate(lines):
        yield [*(blank if place else node), *line]


def _lines(step: NodeStep) -> Iterator[tuple[str, str, str]]:
    for edge in step.edges:
        shown = f"{quantity(step.delta)} · {term(edge.a)} = {quantity(edge.derivative)}"
        yield label(edge.edge[0]), shown, _remark(edge)
    if step.bias is not None:
        yield "bias", f"∂L/∂b = δ = {quantity(step.bias)}", ""


def _remark(edge: EdgeStep) -> str:
    remarks = [word for word, holds in (("frozen", not edge.trainable), ("shared", edge.shared)) if holds]
    return ", ".join(remarks)


LATEX_HEADER = (
    r"\text{node}",
    "z",
    "a = g(z)",
    r"\partial L/\partial a",
    "g'(z)",
    r"\delta",
    r"\text{from}",
    r"\partial L/\partial w = \delta \cdot a",
)


def _latex_rows(step: NodeStep) -> Iterator[list[str]]:
    fact = step.fact
    numbers = (fact.z, fact.a, step.gradient, step.slope, step.delta)
    node = [latex_name(step.node), *map(latex_quantity, numbers)]
    delta = latex_quantity(step.delta)
    lines = []
    for edge in step.edges:
        factors = rf"{delta} \cdot {latex_quantity(edge.a, inside=True)}"
        lines.append([latex_name(edge.edge[0]), f"{factors} = {latex_quantity(edge.derivative)}"])
    if step.bias is not None:
        lines.append([latex_text("bias"), rf"\delta = {latex_quantity(step.bias)}"])
    for place, line in enumerate(lines or [["", ""]]):
        yield [*([""] * len(node) if place else node), *line]
