"""The chain rule for one weight and one row: its factors, from the loss back to the weight.

For w on the edge u → v, with one factor ∂c/∂p = g′(z_c) · w_cp for every edge p → c on the way:

    ∂L/∂w = Σ over paths v → … → output η of   ∂L/∂η · ∂η/∂p · … · ∂c/∂v · ∂v/∂w,
    ∂v/∂w = g′(z_v) · a_u.

An output that feeds other nodes ends some paths and is passed by others.  Nodes with several
units have vectors ∂L/∂h, matrices ∂c/∂p = diag(g′(z_c)) W_cp, and ∂h/∂W is written as the
matrix with elements ∂h_i/∂W_ij = g′(z_i) a_j, whose rows ∂L/∂h_i multiplies.  A weight that
edges share is the sum over its edges.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.explain.chain_latex import chain_latex
from dagnet.explain.chain_parts import ChainParts, Derivative, Edge, Factor, Path, plain
from dagnet.explain.chain_text import chain_html, chain_text, chain_title
from dagnet.explain.one_row import OneRow
from dagnet.model import Model

__all__ = ["MOST_PATHS", "ChainRule", "trace"]

Array = NDArray[Any]
Link = tuple[int, Any] | None
MOST_PATHS = 16


class ChainRule(ChainParts):
    """∂L/∂w for one weight and one row, in its factors; ``print`` shows it as a textbook would.

    For its fields see :class:`dagnet.explain.chain_parts.ChainParts`: ``.value``, ``.paths``,
    ``.factors``, ``.derivatives`` …
    """

    def __str__(self) -> str:
        return chain_text(self)

    def __repr__(self) -> str:
        return f"<ChainRule: {chain_title(self)}>"

    def _repr_latex_(self) -> str:
        return chain_latex(self)

    def _repr_html_(self) -> str:
        return chain_html(self)


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
    return _Tracer(OneRow(net, x, y), net.ancestry.sharing(number)).rule(edge)


class _Tracer:
    """Walks back from the loss to the children of some edges that are one weight."""

    def __init__(self, row: OneRow, edges: Array) -> None:
        self.row, self.edges = row, edges.tolist()
        self.order = row.between(row.topology.targets[edges]).tolist()
        self.slopes = {node: row.slope(node) for node in self.order}
        self.children = {node: self._children(node) for node in self.order}
        self.factors: dict[int, Factor] = {}
        self.gradients: dict[int, Array] = {}
        self.derivatives = tuple(map(self._derivative, self.order))

    def _children(self, node: int) -> list[tuple[int, int]]:
        """(child, edge) of the children on the way to an output."""
        rows = self.row.topology.children
        places = slice(int(rows.indptr[node]), int(rows.indptr[node + 1]))
        pairs = zip(rows.neighbours[places].tolist(), rows.edges[places].tolist(), strict=True)
        return [(child, edge) for child, edge in pairs if child in self.slopes]

    def _ends(self, edge: int) -> Edge:
        topology = self.row.topology
        return self.row.name(int(topology.sources[edge])), self.row.name(int(topology.targets[edge]))

    def _jacobian(self, child: int, edge: int) -> Array:
        jacobian: Array = self.slopes[child][:, None] * self.row.weight(edge)
        return jacobian

    def _derivative(self, node: int) -> Derivative:
        row, name = self.row, self.row.name(node)
        total = row.pull(node).copy()
        terms: list[tuple[Hashable | None, Factor]] = []
        if row.topology.is_output[node]:
            terms.append((None, Factor("loss", None, name, plain(row.pull(node)))))
        for child, edge in self.children[node]:
            jacobian = self._jacobian(child, edge)
            total += self.gradients[child] @ jacobian
            slope, weight = plain(self.slopes[child]), plain(row.weight(edge))
            factor = Factor("node", row.name(child), name, plain(jacobian), slope, weight)
            self.factors[edge] = factor
            terms.append((factor.of, factor))
        self.gradients[node] = total
        return Derivative(name, plain(total), tuple(terms))

    def _last(self, edge: int) -> tuple[Factor, Array]:
        """∂child/∂w, and as a matrix."""
        source, target = (int(ends[edge]) for ends in (self.row.topology.sources, self.row.topology.targets))
        slope, value = self.slopes[target], self.row.a(source)
        matrix = slope[:, None] * value
        ends = self._ends(edge)
        return Factor("weight", ends[1], ends, plain(matrix), plain(slope), plain(value)), matrix

    def rule(self, edge: Edge) -> ChainRule:
        """All of it."""
        row = self.row
        total = np.zeros_like(row.weight(self.edges[0]))
        counts, n_paths = self._counts(), 0.0
        lasts = {}
        for number in self.edges:
            target = int(row.topology.targets[number])
            if target in self.gradients:
                lasts[number], matrix = self._last(number)
                total = total + self.gradients[target][:, None] * matrix
                n_paths += counts[target]
        return ChainRule(
            edge=edge,
            edges=tuple(map(self._ends, self.edges)),
            weight=plain(row.weight(self.edges[0])),
            value=plain(total),
            loss=row.loss,
            loss_name=str(row.net.loss),
            n_paths=n_paths,
            paths=tuple(self._paths(list(lasts))) if n_paths <= MOST_PATHS else (),
            derivatives=self.derivatives,
            lasts=tuple(lasts.values()),
            facts={row.name(node): row.fact(node) for node in self.order},
        )

    def _counts(self) -> dict[int, float]:
        """How many ways lead from each node to the loss; counted, not walked."""
        counts: dict[int, float] = {}
        for node in self.order:
            ends = float(self.row.topology.is_output[node])
            counts[node] = ends + sum(counts[child] for child, _ in self.children[node])
        return counts

    def _paths(self, edges: list[int]) -> list[Path]:
        """Every path, the edges of the weight one after the other."""
        paths = []
        for edge in edges:
            stack: list[tuple[int, Link]] = [(int(self.row.topology.targets[edge]), None)]
            while stack:
                node, link = stack.pop()
                if self.row.topology.is_output[node]:
                    paths.append(self._path(node, link, edge))
                stack += [(child, (step, link)) for child, step in reversed(self.children[node])]
        return paths

    def _path(self, output: int, link: Link, edge: int) -> Path:
        """The path from an output back along the linked edges."""
        row = self.row
        gradient = row.pull(output)
        factors = [Factor("loss", None, row.name(output), plain(gradient))]
        nodes = [output]
        while link is not None:
            step, link = link
            gradient = gradient @ self._jacobian(nodes[-1], step)
            factors.append(self.factors[step])
            nodes.append(int(row.topology.sources[step]))
        last, matrix = self._last(edge)
        return Path(
            edge=self._ends(edge),
            nodes=tuple(map(row.name, nodes)),
            factors=(*factors, last),
            value=plain(gradient[:, None] * matrix),
        )
