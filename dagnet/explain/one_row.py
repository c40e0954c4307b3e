"""One row of data, and all that a chain rule for it is made of, node by node."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.adjacency import offsets, reachable
from dagnet.errors import DataError, expected
from dagnet.explain.chain_parts import Fact, Number, plain
from dagnet.model import Model
from dagnet.model.data import is_table

__all__ = ["OneRow"]

Array = NDArray[Any]


class OneRow:
    """z, a, g′(z) and ∂L/∂output of every node for one row; arrays of (units,) and matrices.

    Parameters
    ----------
    net
        The network.
    x
        One row: (input units,), or a mapping, Series or data frame from input node to its value.
    y
        The row's target: a number, (output units,), a label, or a mapping from output node.
    """

    def __init__(self, net: Model, x: Any, y: Any) -> None:
        self.net, self.topology, self.layout = net, net.topology, net.layout
        inputs = net.encode_inputs(_as_row("x", x, net.inputs))
        if len(inputs) != 1:
            raise DataError(expected("x", "one row", f"{len(inputs)} rows", "choose one, for instance X[0]"))
        self.targets = net.encode_targets(_as_row("y", y, net.outputs), 1)
        state = net.runner.forward(net.theta(), inputs)
        everything = np.arange(self.layout.plan.n_units)
        self._z = state.pre_activation(everything)[:, 0]
        self._a = state.value(everything)[:, 0]
        outputs = state.outputs
        self.loss = float(np.asarray(net.loss.row_values(outputs, self.targets))[0])
        self._columns = self._output_columns()
        self._single = self._single_weights()
        self._pull = np.zeros(len(everything), net.dtype)
        gradient = np.asarray(net.loss.row_gradients(outputs, self.targets))
        np.add.at(self._pull, self.layout.plan.outputs, gradient[0])

    def _output_columns(self) -> dict[int, slice]:
        """Where each output node has its columns in y."""
        starts = offsets(self.topology.units[self.topology.outputs]).tolist()
        ends = zip(self.topology.outputs.tolist(), starts, starts[1:], strict=False)
        return {node: slice(start, stop) for node, start, stop in ends}

    def _single_weights(self) -> Array | None:
        """(edges,) weights where no node has several units, else None."""
        return self.net.parameters[self.layout.weights] if self.topology.is_plain else None

    def name(self, node: int) -> Hashable:
        """The name of a node."""
        return self.topology.nodes[node]

    def z(self, node: int) -> Array:
        """Pre-activations, (units,)."""
        return self._z[self.layout.units_of(node)]

    def a(self, node: int) -> Array:
        """Values, (units,)."""
        return self._a[self.layout.units_of(node)]

    def pull(self, node: int) -> Array:
        """∂L/∂a where the node is an output, not counting what it feeds; else 0.  (units,)."""
        return self._pull[self.layout.units_of(node)]

    def slope(self, node: int) -> Array:
        """g′(z), (units,)."""
        if self.topology.is_input[node]:
            return np.ones_like(self.a(node))
        activation = self.topology.activations[self.topology.activation_of[node]]
        return np.asarray(activation.slope(self.z(node), self.a(node)))

    def fact(self, node: int) -> Fact:
        """What the node did in the forward pass."""
        activation = str(self.topology.activations[self.topology.activation_of[node]])
        return Fact(activation, plain(self.z(node)), plain(self.a(node)), self.target(node))

    def target(self, node: int) -> Number | None:
        """The target of an output node, None of others."""
        columns = self._columns.get(node)
        return None if columns is None else plain(self.targets[0, columns])

    def weight(self, edge: int) -> Array:
        """(child units, parent units)."""
        if self._single is not None:
            return self._single[edge : edge + 1].reshape(1, 1)
        return self.net.parameters[self.layout.weight_places(edge)]

    def between(self, seeds: Array) -> Array:
        """The seeds and their descendants that reach an output, in the order of the reverse walk."""
        topology = self.topology
        forward = reachable(topology.children, seeds)
        mask = np.zeros(topology.n_nodes, bool)
        mask[forward] = True
        found = reachable(topology.parents, topology.outputs[mask[topology.outputs]], within=mask)
        order = self.layout.first_unit[found]
        return found[np.argsort(-order)]


def _as_row(what: str, values: Any, names: Sequence[Hashable] = ()) -> Any:
    """One row as a table of one row; what is a table already is left to the usual checks."""
    if is_table(values) and not isinstance(values, Mapping):
        return values  # a data frame, whose columns are found by name
    if hasattr(values, "to_dict") and not set(names).isdisjoint(getattr(values, "index", ())):
        values = values.to_dict()  # a row taken of a data frame, which carries its columns' names
    if isinstance(values, Mapping):
        return {name: _as_row(what, value) for name, value in values.items()}
    try:
        array = np.asarray(values)
    except ValueError:
        return values
    if array.ndim == 0 or (array.ndim == 1 and (what == "x" or len(array) != 1)):
        return array[None]
    return array
