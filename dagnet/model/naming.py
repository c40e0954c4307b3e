"""From places in the flat vector of parameters back to the names in the graph."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np

from dagnet.arrays import Array
from dagnet.markup import label
from dagnet.model.layout import Layout
from dagnet.plan.transposition import slot_units


class ParameterName(NamedTuple):
    """An edge (parent, child) or a node, and the element of its weight or bias.

    ``element`` is () between one-unit nodes, (i, j) of a weight matrix, (i,) of a bias vector.
    """

    name: Hashable
    element: tuple[int, ...]
    is_bias: bool

    def __str__(self) -> str:
        text = f"bias of {label(self.name)}" if self.is_bias else edge_label(self.name)
        return f"{text} {list(self.element)}" if self.element else text


def edge_label(edge: Any) -> str:
    """``parent → child``."""
    return f"{label(edge[0])} → {label(edge[1])}"


class ParameterNames:
    """Names of parameters, and the units that each acts on first."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        n = layout.plan.n_parameters
        self._weight, self._bias = _first_places(layout.weights, n), _first_places(layout.biases, n)
        owners = layout.owners
        order = np.argsort(owners, kind="stable")
        self._units = slot_units(layout.plan)[order]
        self._starts = np.searchsorted(owners[order], np.arange(n + 1))

    def units(self, parameter: int) -> Array:
        """The units that a parameter acts on first: one, or several where edges share it."""
        return np.unique(self._units[self._starts[parameter] : self._starts[parameter + 1]])

    def __getitem__(self, parameter: int) -> ParameterName:
        topology = self._layout.topology
        place = int(self._weight[parameter])
        if place < 0:
            place = int(self._bias[parameter])
            node = int(np.searchsorted(topology.unit_starts, place, side="right")) - 1
            unit = (place - int(topology.unit_starts[node]),)
            return ParameterName(topology.nodes[node], unit if topology.units[node] > 1 else (), is_bias=True)
        edge = int(np.searchsorted(topology.weight_starts, place, side="right")) - 1
        source, target = int(topology.sources[edge]), int(topology.targets[edge])
        i, j = divmod(place - int(topology.weight_starts[edge]), int(topology.units[source]))
        plain = topology.units[source] == 1 and topology.units[target] == 1
        name = (topology.nodes[source], topology.nodes[target])
        return ParameterName(name, () if plain else (i, j), is_bias=False)


def _first_places(parameters: Array, n: int) -> Array:
    """(n,) where each parameter first stands in the list; −1 for those that do not."""
    places = np.full(n + 1, -1)  # one more, for the −1 of what is no parameter
    places[parameters[::-1]] = np.arange(len(parameters))[::-1]  # of several the last assignment stays
    return places[:-1]
