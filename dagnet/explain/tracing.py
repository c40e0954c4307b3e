"""From a network, a weight or bias, and one row to the chain rule."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from functools import cache
from typing import Any, Literal

import numpy as np

from dagnet.arrays import Array
from dagnet.explain.arguments import OneRow
from dagnet.explain.chain_rule import ChainRule, Derivative, Factor, Path
from dagnet.explain.report import Number, plain
from dagnet.model import Model

Kind = Literal["node", "weight", "bias"]
Link = tuple[int, Any] | None
MOST_PATHS = 16


@np.errstate(all="ignore")
def trace(net: Model, edge: Any, x: Any, y: Any) -> ChainRule:
    """The chain rule for the weight of an edge, or the bias of a node, with the numbers of one row.

    Parameters
    ----------
    edge
        (parent, child), or a node; where a pair is both, the edge is meant.
    x
        One row, (input units,), or a mapping from input node to value.
    y
        Its target: a number, (output units,), a class label, or a mapping from output node.

    Raises
    ------
    DataError
        If there is no such edge or node, the node has no bias, or x is not one row.

    Examples
    --------
    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([2, 2, 1], activation="sigmoid"), seed=0)
    >>> rule = trace(net, ("x1", "h11"), [2.0, 3.0], 1.0)
    >>> gradient = net.gradient([[2.0, 3.0]], [1.0])
    >>> abs(rule.value - gradient.weights["x1", "h11"]) < 1e-12
    True
    >>> abs(trace(net, "h11", [2.0, 3.0], 1.0).value - gradient.biases["h11"]) < 1e-12
    True
    """
    topology, pair = net.topology, isinstance(edge, tuple) and len(edge) == 2
    kind: Literal["weight", "bias"]
    if topology.has_edge(edge) or (pair and not topology.has_node(edge)):
        number, weight = topology.edge_number(edge), net.weights[edge]
        kind, places = "weight", net.ancestry.sharing(number)
    else:
        number, weight = topology.node_number(edge), net.biases[edge]
        kind, groups = "bias", topology.node_groups()[0]
        places = np.flatnonzero(groups == groups[number]) if groups[number] >= 0 else np.array([number])
    return _Tracer(kind, OneRow(net, x, y, wrt=[edge]), places).rule(edge, number, weight)


class _Tracer:
    """The factors between the loss and some edges that are one weight, or nodes that have one bias."""

    def __init__(self, kind: Literal["weight", "bias"], row: OneRow, places: Array) -> None:
        self.kind, self.row, self.topology, self.places = kind, row, row.topology, places.tolist()
        self.name = row.edge if kind == "weight" else row.node
        self.factors = self.topology.edge_words.get("factor")
        self.order = [self.topology.index[node] for node in row.gradient.visited]
        walked = set(self.order)
        self.children = {
            node: [pair for pair in row.children(node) if pair[0] in walked] for node in self.order
        }
        self.lasts = [place for place in self.places if self._child(place) in walked]
        self.factor = cache(self._factor)

    def rule(self, edge: Any, asked: int, weight: Number) -> ChainRule:
        row, counts, self.asked = self.row, self._counts(), asked
        n_paths = sum((counts[self._child(number)] for number in self.lasts), 0.0)
        return ChainRule(
            kind=self.kind,
            edge=edge,
            edges=tuple(map(self.name, self.places)),
            weight=weight,
            value=row.gradient.weights[edge] if self.kind == "weight" else row.gradient.biases[edge],
            loss=row.gradient.loss,
            loss_name=str(row.net.loss),
            n_paths=n_paths,
            paths=tuple(self._paths()) if n_paths <= MOST_PATHS else (),
            derivatives=tuple(map(self._derivative, self.order)),
            lasts=tuple(self.factor(self.kind, place) for place in self.lasts),
            facts={row.node(node): row.fact(node) for node in self.order},
        )

    def _child(self, place: int) -> int:
        return int(self.topology.targets[place]) if self.kind == "weight" else place

    def _factor(self, kind: Kind, place: int) -> Factor:
        """∂child/∂parent of an edge, ∂child/∂w, or ∂node/∂b of a node."""
        row, per_weight, between = self.row, 1.0, None
        share: Array | float = 1.0
        if kind == "bias":
            number, by, times = place, row.node(place), np.ones((1, 1))
        else:
            number, by, times = int(self.topology.targets[place]), row.edge(place)[0], row.weight(place)
            share = row.share(place)
            between = None if isinstance(share, float) else plain(share)
        if kind == "weight":
            if self.factors is not None:
                per_weight = float(self.factors[place] / self.factors[self.asked])
            by, times = row.edge(place), (row.a(int(self.topology.sources[place])) * per_weight)[None]
        child, slope, passed = row.node(number), row.slope(number), row.normalized(number)
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
        """Every path, the edges of the weight, or the nodes of the bias, one after the other."""
        for place in self.lasts:
            stack: list[tuple[int, Link]] = [(self._child(place), None)]
            while stack:
                node, link = stack.pop()
                if self.topology.is_output[node]:
                    yield self._path(node, link, place)
                stack += [(child, (step, link)) for child, step in reversed(self.children[node])]

    def _path(self, output: int, link: Link, place: int) -> Path:
        """The path from an output back along the linked edges."""
        nodes, factors, gradient = [output], [self._loss(output)], self.row.pull(output)
        while link is not None:
            step, link = link
            factors.append(self.factor("node", step))
            gradient = gradient @ np.reshape(factors[-1].value, (len(gradient), -1))
            nodes.append(int(self.topology.sources[step]))
        last = self.factor(self.kind, place)
        for passed in last.above:
            gradient = gradient @ passed
        value = gradient[:, None] * np.reshape(last.value, (len(gradient), -1))
        value = value if self.kind == "weight" else value[:, 0]
        return Path(self.name(place), tuple(map(self.row.node, nodes)), (*factors, last), plain(value))
