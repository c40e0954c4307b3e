"""What an explanation is given: a network, and one row of data with all that a chain rule is made of."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Activation
from dagnet.errors import DataError, expected
from dagnet.explain.chain_rule import Edge, Fact
from dagnet.explain.report import plain
from dagnet.model import Model, is_sparse, is_table


def checked_network(net: object) -> Model:
    """What is asked about must be a network."""
    if not isinstance(net, Model):
        raise DataError(expected("net", "a dagnet.Network", net, "build one with dagnet.Network(graph)"))
    return net


def as_table(what: str, values: Any, names: Sequence[Hashable] = ()) -> Any:
    """One row as a table of one row; what is a table already is left to the usual checks."""
    values = values.toarray() if is_sparse(values) else values
    if is_table(values) and not isinstance(values, Mapping):
        return values  # a data frame, whose columns are found by name
    if hasattr(values, "to_dict") and not set(names).isdisjoint(getattr(values, "index", ())):
        values = values.to_dict()  # a row taken of a data frame, which carries its columns' names
    if isinstance(values, Mapping):
        return {name: as_table(what, value) for name, value in values.items()}
    try:
        array = np.asarray(values)
    except ValueError:
        return values
    if array.ndim == 0 or (array.ndim == 1 and (what == "x" or len(array) != 1)):
        return array[None]
    return array


class OneRow:
    """One row: ``z(node)``, ``a``, ``slope`` = g′(z) and ``delta`` = δ, (units,), by the node's number.

    ``x`` is (input units,) or a mapping, Series or data frame from input node to its value; ``y`` a
    number, (output units,), a label, or a mapping from output node; ``wrt`` as for ``net.gradient``.
    """

    def __init__(self, net: Model, x: Any, y: Any, wrt: Sequence[Edge] | None = None) -> None:
        self.net, self.topology = net, net.topology
        inputs, targets = as_table("x", x, net.inputs), as_table("y", y, net.targets)
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
        encoded = net.encode(inputs, targets).targets
        ends = np.cumsum(self.topology.units[self.topology.outputs])[:-1]
        _, pulls = net.objective.by_row(outputs, encoded)
        self._heads = {name: head for head in net.objective.heads for name in head.nodes}
        self._targets: dict[Hashable, Array] = {}
        for head, _, columns in net.objective.each():
            sizes = [self.topology.units[self.topology.index[name]] for name in head.nodes]
            parts = np.split(encoded[0, columns], np.cumsum(sizes)[:-1] * int(len(columns) / sum(sizes)))
            self._targets.update(zip(head.nodes, parts, strict=True))
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
        return self.net.layout.weights_of(self.net.parameters, edge)

    def children(self, node: int) -> list[tuple[int, int]]:
        """(child, edge) of all children."""
        rows = self.topology.children
        places = rows.expand(np.array([node]))
        return list(zip(rows.neighbours[places].tolist(), rows.edges[places].tolist(), strict=True))

    def fact(self, node: int) -> Fact:
        """What the node did in the forward pass."""
        y = self._targets.get(self.node(node))
        target = None if y is None else plain(y)
        head = self._heads.get(self.node(node))
        loss = ("", 1.0) if head is None else (str(head.loss), head.weight)
        return Fact(str(self._activation(node)), plain(self.z(node)), plain(self.a(node)), target, *loss)
