"""From places in the flat vector of parameters back to the names in the graph."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import MOMENTS
from dagnet.markup import label
from dagnet.model.layout import Layout
from dagnet.plan.transposition import slot_units


class ParameterName(NamedTuple):
    """An edge (parent, child) or a node, and the element of its weight, or of what the node has.

    ``element`` is () between one-unit nodes, (i, j) of a weight matrix, (i,) of a node of several units;
    ``what`` is ``"weight"``, ``"bias"``, or what else a node learns: ``"scale"``, ``"shift"``, ``"slope"`` ….
    """

    name: Hashable
    element: tuple[int, ...]
    what: str

    @property
    def is_bias(self) -> bool:
        """Whether it is a bias."""
        return self.what == "bias"

    def __str__(self) -> str:
        text = edge_label(self.name) if self.what == "weight" else f"{self.what} of {label(self.name)}"
        return f"{text} {list(self.element)}" if self.element else text


def edge_label(edge: Any) -> str:
    """``parent → child``."""
    return f"{label(edge[0])} → {label(edge[1])}"


class ParameterNames:
    """Names of parameters, and the units that each acts on first."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        n = layout.plan.n_parameters
        topology = layout.topology
        self._weight = _first_places(layout.weights, n)
        ends = np.cumsum(topology.units)
        self._of_nodes = {"bias": (_first_places(layout.biases, n), np.arange(topology.n_nodes), ends)}
        for name in topology.node_starts.keys() - MOMENTS.keys():
            nodes = topology.nodes_with(name)
            ends = np.cumsum(topology.units[nodes])
            self._of_nodes[name] = (_first_places(layout.node_places(name), n), nodes, ends)
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
            return self._of_node(parameter)
        edge = int(np.searchsorted(topology.weight_starts, place, side="right")) - 1
        source, target = int(topology.sources[edge]), int(topology.targets[edge])
        i, j = divmod(place - int(topology.weight_starts[edge]), int(topology.units[source]))
        plain = topology.units[source] == 1 and topology.units[target] == 1
        name = (topology.nodes[source], topology.nodes[target])
        return ParameterName(name, () if plain else (i, j), "weight")

    def _of_node(self, parameter: int) -> ParameterName:
        topology = self._layout.topology
        what = next(what for what, found in self._of_nodes.items() if found[0][parameter] >= 0)
        places, nodes, ends = self._of_nodes[what]
        place = int(places[parameter])
        number = int(np.searchsorted(ends, place, side="right"))
        node = int(nodes[number])
        unit = place - int(ends[number]) + int(topology.units[node])
        return ParameterName(topology.nodes[node], (unit,) if topology.units[node] > 1 else (), what)


def _first_places(parameters: Array, n: int) -> Array:
    """(n,) where each parameter first stands in the list; −1 for those that do not."""
    places = np.full(n + 1, -1)  # one more, for the −1 of what is no parameter
    places[parameters[::-1]] = np.arange(len(parameters))[::-1]  # of several the last assignment stays
    return places[:-1]
