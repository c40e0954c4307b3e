"""Parent chains: which nodes a weight acts on, and which weights act on a node.

Answered on demand by a walk that costs the size of the answer; no closure matrix is kept.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from dagnet.adjacency import reachable
from dagnet.arrays import Array
from dagnet.errors import shorten
from dagnet.markup import table_html
from dagnet.topology import Topology

SHOWN = 20


class Answer(tuple[Any, ...]):
    """The nodes or edges that answer a question: a tuple that shows itself in a few lines."""

    __slots__ = ()

    def __repr__(self) -> str:
        if len(self) <= SHOWN:
            return super().__repr__()
        return f"({', '.join(map(shorten, self[:SHOWN]))}, … {len(self) - SHOWN:,} more)"

    def _repr_html_(self) -> str:
        more = f", … {len(self) - SHOWN:,} more" if len(self) > SHOWN else ""
        names = ", ".join(map(shorten, self[:SHOWN])) + more
        return table_html("", (f"{len(self):,} in all",), [(names,)])


class Ancestry:
    """Questions about parent chains, by name.

    Examples
    --------
    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([2, 2, 1]))
    >>> net.ancestry.nodes_with(("x1", "h11"))
    ('h11', 'eta')
    >>> net.ancestry.parent_chain("h11")
    (('x1', 'h11'), ('x2', 'h11'))
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    def nodes_with(self, edge: tuple[Hashable, Hashable]) -> tuple[Hashable, ...]:
        """The nodes that have the weight of ``edge`` in their parent chain.

        These are the child and all its descendants, in topological order; where edges share
        the weight, those of all of them.

        Raises
        ------
        DataError
            If there is no such edge.
        """
        topology = self._topology
        edges = self.sharing(topology.edge_number(edge))
        found = reachable(topology.children, topology.targets[edges])
        return Answer(topology.nodes[node] for node in self._sorted(found))

    def parent_chain(self, node: Hashable) -> tuple[tuple[Hashable, Hashable], ...]:
        """The edges into ``node`` or into one of its ancestors, in topological order of their children.

        Raises
        ------
        DataError
            If there is no such node.
        """
        topology = self._topology
        nodes = self._sorted(reachable(topology.parents, np.array([topology.node_number(node)])))
        edges = topology.parents.edges[topology.parents.expand(nodes)]
        names = topology.nodes
        pairs = zip(topology.sources[edges].tolist(), topology.targets[edges].tolist(), strict=True)
        return Answer((names[source], names[target]) for source, target in pairs)

    def sharing(self, edge: int) -> Array:
        """Numbers of the edges that are one weight with this one, itself included."""
        share = self._topology.share
        if share is None or share[edge] < 0:
            return np.array([edge])
        return np.flatnonzero(share == share[edge])

    def _sorted(self, nodes: Array) -> Array:
        return nodes[np.lexsort((nodes, self._topology.level[nodes]))]

    def __repr__(self) -> str:
        return f"<Ancestry of {self._topology.n_nodes:,} nodes, {self._topology.n_edges:,} edges>"
