"""One row of data, and all that a chain rule for it is made of, node by node."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.errors import DataError, expected
from dagnet.explain.arguments import as_table
from dagnet.explain.chain_rule import Edge, Fact
from dagnet.explain.notation import plain
from dagnet.model import Model

__all__ = ["OneRow"]

Array = NDArray[Any]


class _ByNode(dict[int, Array]):
    """Arrays by the node's number, read when first asked for."""

    def __init__(self, read: Callable[[int], Array]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, node: int) -> Array:
        self[node] = found = self._read(node)
        return found


def _units(rows: Array) -> Array:
    """(units,) of the only row."""
    return np.atleast_1d(rows[0])


class OneRow:
    """One row of a network: ``z``, ``a``, ``slope`` = g′(z) and ``delta`` = δ by node's number, (units,).

    Parameters
    ----------
    net
        The network.
    x
        One row: (input units,), or a mapping, Series or data frame from input node to its value.
    y
        The row's target: a number, (output units,), a label, or a mapping from output node.
    wrt
        As for ``net.gradient``.
    """

    def __init__(self, net: Model, x: Any, y: Any, wrt: Sequence[Edge] | None = None) -> None:
        self.net, self.topology = net, net.topology
        inputs, targets = as_table("x", x, net.inputs), as_table("y", y, net.outputs)
        self._forward = net.forward(inputs)
        outputs = self._forward.outputs
        if len(outputs) != 1:
            got, mend = f"{len(outputs)} rows", "choose one, for instance X[0]"
            raise DataError(expected("x", "one row", got, mend))
        self.gradient = net.gradient(inputs, targets, wrt=wrt)
        self.z = _ByNode(lambda node: _units(self._forward.pre_activation(self.node(node))))
        self.a = _ByNode(lambda node: _units(self._forward[self.node(node)]))
        self.delta = _ByNode(lambda node: _units(self.gradient.delta(self.node(node))))
        self.slope = _ByNode(self._slope)
        encoded = net.encode_targets(targets, 1)
        ends = np.cumsum(self.topology.units[self.topology.outputs])[:-1]
        pulls = np.asarray(net.loss.row_gradients(outputs, encoded))
        self._targets = dict(zip(net.outputs, np.split(encoded[0], ends), strict=True))
        self._pulls = dict(zip(net.outputs, np.split(pulls[0], ends), strict=True))

    def node(self, number: int) -> Hashable:
        """The name of a node."""
        return self.topology.nodes[number]

    def edge(self, number: int) -> Edge:
        """The names (parent, child) of an edge."""
        return self.node(self.topology.sources[number]), self.node(self.topology.targets[number])

    def _slope(self, node: int) -> Array:
        if self.topology.is_input[node]:
            return np.ones_like(self.a[node])
        activation = self.topology.activations[self.topology.activation_of[node]]
        return np.asarray(activation.slope(self.z[node], self.a[node]))

    def pull(self, node: int) -> Array:
        """∂L/∂a where the node is an output, not counting what it feeds; else 0.  (units,)."""
        found: Array = self._pulls.get(self.node(node), np.zeros_like(self.a[node]))
        return found

    def gradient_of(self, node: int) -> Array:
        """∂L/∂a, (units,): what the loss and the children ask of the node."""
        pulls = [self.delta[child] @ self.weight(edge) for child, edge in self.children(node)]
        total: Array = sum(pulls, self.pull(node))
        return total

    def weight(self, edge: int) -> Array:
        """(child units, parent units)."""
        return self.net.parameters[self.net.layout.weight_places(edge)]

    def children(self, node: int) -> list[tuple[int, int]]:
        """(child, edge) of all children."""
        rows = self.topology.children
        places = slice(int(rows.indptr[node]), int(rows.indptr[node + 1]))
        return list(zip(rows.neighbours[places].tolist(), rows.edges[places].tolist(), strict=True))

    def fact(self, node: int) -> Fact:
        """What the node did in the forward pass."""
        activation = str(self.topology.activations[self.topology.activation_of[node]])
        y = self._targets.get(self.node(node))
        return Fact(activation, plain(self.z[node]), plain(self.a[node]), None if y is None else plain(y))
