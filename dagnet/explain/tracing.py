"""From a network, a weight and one row to the chain rule."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from functools import cache
from typing import Any, Literal

import numpy as np

from dagnet.arrays import Array
from dagnet.explain.arguments import OneRow
from dagnet.explain.chain_rule import ChainRule, Derivative, Edge, Factor, Path
from dagnet.explain.report import plain
from dagnet.model import Model

Link = tuple[int, Any] | None
MOST_PATHS = 16


@np.errstate(all="ignore")
def trace(net: Model, edge: Edge, x: Any, y: Any) -> ChainRule:
    """The chain rule for the weight of ``edge``, with the numbers of one row.

    Parameters
    ----------
    net
        The network.
    edge
        (parent, child).
    x
        One row, (input units,), or a mapping from input node to value.
    y
        Its target: a number, (output units,), a class label, or a mapping from output node.

    Raises
    ------
    DataError
        If there is no such edge, or x is not one row.

    Examples
    --------
    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([2, 2, 1], activation="sigmoid"), seed=0)
    >>> rule = trace(net, ("x1", "h11"), [2.0, 3.0], 1.0)
    >>> gradient = net.gradient([[2.0, 3.0]], [1.0])
    >>> abs(rule.value - gradient.weights["x1", "h11"]) < 1e-12
    True
    """
    number = net.topology.edge_number(edge)
    return _Tracer(OneRow(net, x, y, wrt=[edge]), net.ancestry.sharing(number), number).rule(edge)


class _Tracer:
    """The factors between the loss and some edges that are one weight."""

    def __init__(self, row: OneRow, edges: Array, asked: int) -> None:
        self.row, self.topology, self.edges = row, row.topology, edges.tolist()
        factor = self.topology.edge_words.get("factor")
        self.per_weight = None if factor is None else factor / factor[asked]
        self.order = [self.topology.index[node] for node in row.gradient.visited]
        walked = set(self.order)
        self.children = {
            node: [(child, edge) for child, edge in row.children(node) if child in walked]
            for node in self.order
        }
        self.lasts = [edge for edge in self.edges if self._child(edge) in walked]
        self.factor = cache(self._factor)

    def rule(self, edge: Edge) -> ChainRule:
        row, counts = self.row, self._counts()
        n_paths = sum((counts[self._child(number)] for number in self.lasts), 0.0)
        return ChainRule(
            edge=edge,
            edges=tuple(map(row.edge, self.edges)),
            weight=row.net.weights[edge],
            value=row.gradient.weights[edge],
            loss=row.gradient.loss,
            loss_name=str(row.net.loss),
            n_paths=n_paths,
            paths=tuple(self._paths()) if n_paths <= MOST_PATHS else (),
            derivatives=tuple(map(self._derivative, self.order)),
            lasts=tuple(self.factor("weight", number) for number in self.lasts),
            facts={row.node(node): row.fact(node) for node in self.order},
        )

    def _child(self, edge: int) -> int:
        return int(self.topology.targets[edge])

    def _factor(self, kind: Literal["node", "weight"], edge: int) -> Factor:
        """∂child/∂parent, or ∂child/∂w."""
        parent, child = self.row.edge(edge)
        slope, a = self.row.slope(self._child(edge)), self.row.a(int(self.topology.sources[edge]))
        share, between = self.row.share(edge), None
        if not isinstance(share, float):
            between = plain(share)
        by: Hashable = parent
        per_weight, times = 1.0, self.row.weight(edge)
        if kind == "weight":
            per_weight = 1.0 if self.per_weight is None else float(self.per_weight[edge])
            by, times = (parent, child), (a * per_weight)[None]
        passed = self.row.normalized(self._child(edge))
        if passed is not None and passed.ndim == 2:
            through = share * times
            value = passed @ through if kind == "node" else np.repeat(through, len(passed), axis=0)
            return Factor(kind, child, by, plain(value), None, plain(times), per_weight, between, passed)
        value = (slope if passed is None else slope * passed)[:, None] * share * times
        numbers = plain(value), plain(slope), plain(times if kind == "node" else times[0]), per_weight
        return Factor(kind, child, by, *numbers, between, None if passed is None else plain(passed))

    def _loss(self, output: int) -> Factor:
        """∂L/∂output."""
        return Factor("loss", None, self.row.node(output), plain(self.row.pull(output)))

    def _derivative(self, node: int) -> Derivative:
        terms: list[tuple[Hashable | None, Factor]]
        terms = [(None, self._loss(node))] if self.topology.is_output[node] else []
        terms += [(self.row.node(child), self.factor("node", edge)) for child, edge in self.children[node]]
        return Derivative(self.row.node(node), plain(self.row.gradient_of(node)), tuple(terms))

    def _counts(self) -> dict[int, float]:
        """How many ways lead from each node to the loss; counted, not walked."""
        counts: dict[int, float] = {}
        for node in self.order:
            ways = (counts[child] for child, _ in self.children[node])
            counts[node] = sum(ways, float(self.topology.is_output[node]))
        return counts

    def _paths(self) -> Iterator[Path]:
        """Every path, the edges of the weight one after the other."""
        for edge in self.lasts:
            stack: list[tuple[int, Link]] = [(self._child(edge), None)]
            while stack:
                node, link = stack.pop()
                if self.topology.is_output[node]:
                    yield self._path(node, link, edge)
                stack += [(child, (step, link)) for child, step in reversed(self.children[node])]

    def _path(self, output: int, link: Link, edge: int) -> Path:
        """The path from an output back along the linked edges."""
        nodes, factors, gradient = [output], [self._loss(output)], self.row.pull(output)
        while link is not None:
            step, link = link
            factors.append(self.factor("node", step))
            gradient = gradient @ np.reshape(factors[-1].value, (len(gradient), -1))
            nodes.append(int(self.topology.sources[step]))
        last = self.factor("weight", edge)
        for passed in last.above:
            gradient = gradient @ passed
        value = plain(gradient[:, None] * np.reshape(last.value, (len(gradient), -1)))
        return Path(self.row.edge(edge), tuple(map(self.row.node, nodes)), (*factors, last), value)
