"""From places in the flat vector of parameters back to the names in the graph."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import MOMENTS
from dagnet.markup import label
from dagnet.model.layout import Layout
from dagnet.plan import slot_units


class ParameterName(NamedTuple):
    """An edge (parent, child) or a node, and the element of its weight, or of what the node has.

    ``element`` is () between one-unit nodes, (i, j) of a weight matrix, (i,) of a node of several units;
    ``what`` is ``"weight"``, ``"bias"``, or what else a node learns: ``"scale"``, ``"shift"``, ``"slope"`` ….
    """

    name: Hashable
    element: tuple[int, ...]
    what: str

    def __str__(self) -> str:
        text = edge_label(self.name) if self.what == "weight" else f"{self.what} of {label(self.name)}"
        return f"{text} {list(self.element)}" if self.element else text


def edge_label(edge: Any) -> str:
    """``parent → child``."""
    return f"{label(edge[0])} → {label(edge[1])}"


class ParameterNames:
    """Names of parameters, and the units that each acts on first."""

    def __init__(self, layout: Layout) -> None:
        self._layout, topology, n = layout, layout.topology, layout.plan.n_parameters
        every, ends = np.arange(topology.n_nodes), topology.unit_starts[1:]
        edges = np.arange(topology.n_edges), topology.weight_starts[1:]
        self._tables = {
            "weight": (_first_places(layout.weights, n), *edges),
            "bias": (_first_places(layout.biases, n), every, ends),
        }
        for name in topology.node_starts.keys() - MOMENTS.keys():
            nodes = topology.nodes_with(name)
            ends = np.cumsum(topology.units[nodes])
            self._tables[name] = (_first_places(layout.node_places(name), n), nodes, ends)
        owners = layout.owners
        order = np.argsort(owners, kind="stable")
        self._units = slot_units(layout.plan)[order]
        self._starts = np.searchsorted(owners[order], np.arange(n + 1))

    def units(self, parameter: int) -> Array:
        """The units that a parameter acts on first: one, or several where edges share it."""
        return np.unique(self._units[self._starts[parameter] : self._starts[parameter + 1]])

    def __getitem__(self, parameter: int) -> ParameterName:
        topology = self._layout.topology
        what = next(what for what, (places, *_) in self._tables.items() if places[parameter] >= 0)
        places, holders, ends = self._tables[what]
        number = int(np.searchsorted(ends, places[parameter], side="right"))
        place, holder = int(places[parameter]) - int(ends[number - 1] if number else 0), int(holders[number])
        if what != "weight":
            several = topology.units[holder] > 1
            return ParameterName(topology.nodes[holder], (place,) if several else (), what)
        source, target = int(topology.sources[holder]), int(topology.targets[holder])
        several = topology.units[source] > 1 or topology.units[target] > 1
        name = topology.nodes[source], topology.nodes[target]
        return ParameterName(name, divmod(place, int(topology.units[source])) if several else (), what)


def _first_places(parameters: Array, n: int) -> Array:
    """(n,) where each parameter first stands in the list; −1 for those that do not."""
    places = np.full(n + 1, -1)  # one more, for the −1 of what is no parameter
    places[parameters[::-1]] = np.arange(len(parameters))[::-1]  # of several the last assignment stays
    return places[:-1]
