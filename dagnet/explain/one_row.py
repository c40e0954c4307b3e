"""One row of data, and all that a chain rule for it is made of, node by node."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cache
from typing import Any

import numpy as np

from dagnet.contracts import Activation
from dagnet.errors import DataError, expected
from dagnet.explain.arguments import as_table
from dagnet.explain.chain_rule import Edge, Fact
from dagnet.explain.notation import Array, plain
from dagnet.model import Model


class OneRow:
    """One row: ``z(node)``, ``a``, ``slope`` = g′(z) and ``delta`` = δ, (units,), by the node's number.

    ``x`` is (input units,) or a mapping, Series or data frame from input node to its value; ``y`` a
    number, (output units,), a label, or a mapping from output node; ``wrt`` as for ``net.gradient``.
    """

    def __init__(self, net: Model, x: Any, y: Any, wrt: Sequence[Edge] | None = None) -> None:
        self.net, self.topology = net, net.topology
        inputs, targets = as_table("x", x, net.inputs), as_table("y", y, net.outputs)
        forward = net.forward(inputs)
        outputs = forward.outputs
        if len(outputs) != 1:
            got, mend = f"{len(outputs)} rows", "choose one, for instance X[0]"
            raise DataError(expected("x", "one row", got, mend))
        self.gradient = net.gradient(inputs, targets, wrt=wrt)
        self.z = self._by_node(forward.pre_activation)
        self.a = self._by_node(forward.__getitem__)
        self.delta = self._by_node(self.gradient.delta)
        self.slope = cache(self._slope)
        encoded = net.encode_targets(targets, 1)
        ends = np.cumsum(self.topology.units[self.topology.outputs])[:-1]
        pulls = np.asarray(net.loss.row_gradients(outputs, encoded))
        self._targets = dict(zip(net.outputs, np.split(encoded[0], ends), strict=True))
        self._pulls = dict(zip(net.outputs, np.split(pulls[0], ends), strict=True))

    def _by_node(self, read: Callable[[Hashable], Array]) -> Callable[[int], Array]:
        """What is read of the only row by a node's name, by its number; read once."""
        return cache(lambda number: np.atleast_1d(read(self.node(number))[0]))

    def _slope(self, node: int) -> Array:
        if self.topology.is_input[node]:
            return np.ones_like(self.a(node))
        return np.asarray(self._activation(node).slope(self.z(node), self.a(node)))

    def _activation(self, node: int) -> Activation:
        return self.topology.activations[self.topology.activation_of[node]]

    def node(self, number: int) -> Hashable:
        """The name of a node."""
        return self.topology.nodes[number]

    def edge(self, number: int) -> Edge:
        """The names (parent, child) of an edge."""
        return self.node(self.topology.sources[number]), self.node(self.topology.targets[number])

    def pull(self, node: int) -> Array:
        """∂L/∂a where the node is an output, not counting what it feeds; else 0.  (units,)."""
        return self._pulls.get(self.node(node), np.zeros_like(self.a(node)))

    def gradient_of(self, node: int) -> Array:
        """∂L/∂a, (units,): what the loss and the children ask of the node."""
        pulls = [self.delta(child) @ self.weight(edge) for child, edge in self.children(node)]
        return sum(pulls, self.pull(node))

    def weight(self, edge: int) -> Array:
        """(child units, parent units)."""
        return self.net.parameters[self.net.layout.weight_places(edge)]

    def children(self, node: int) -> list[tuple[int, int]]:
        """(child, edge) of all children."""
        rows = self.topology.children
        places = rows.expand(np.array([node]))
        return list(zip(rows.neighbours[places].tolist(), rows.edges[places].tolist(), strict=True))

    def fact(self, node: int) -> Fact:
        """What the node did in the forward pass."""
        y = self._targets.get(self.node(node))
        target = None if y is None else plain(y)
        return Fact(str(self._activation(node)), plain(self.z(node)), plain(self.a(node)), target)
