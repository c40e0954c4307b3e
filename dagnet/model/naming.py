"""From places in the flat vector of parameters back to the names in the graph."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dagnet.markup import label
from dagnet.model.views import Layout
from dagnet.plan.transposition import slot_targets

__all__ = ["ParameterName", "ParameterNames", "edge_label", "unit_nodes"]

Array = NDArray[Any]


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


def unit_nodes(layout: Layout) -> Array:
    """(units,) the node of each unit."""
    return layout.nodes_of_units(np.arange(layout.plan.n_units))


class ParameterNames:
    """Names of parameters, and the units that each acts on first."""

    def __init__(self, layout: Layout) -> None:
        plan, topology = layout.plan, layout.topology
        self._layout = layout
        self._nodes = unit_nodes(layout)
        sizes = topology.units[topology.sources] * topology.units[topology.targets]
        self.edge_of_slot = np.zeros(plan.n_weights, np.int64)
        self.edge_of_slot[layout.compiled.element_slot] = np.repeat(np.arange(topology.n_edges), sizes)
        self.unit_of_slot = np.zeros(plan.n_slots, np.int64)
        self.unit_of_slot[: plan.n_weights] = slot_targets(plan.indptr)
        biased = np.flatnonzero(plan.bias_slot >= 0)
        self.unit_of_slot[plan.bias_slot[biased]] = biased
        self._slots = np.arange(plan.n_slots) if plan.tie is None else np.argsort(plan.tie, kind="stable")
        owners = self._slots if plan.tie is None else plan.tie[self._slots]
        self._starts = np.searchsorted(owners, np.arange(plan.n_parameters + 1))

    def slots(self, parameter: int) -> Array:
        """The slots of a parameter: one, or several where edges share it."""
        return self._slots[self._starts[parameter] : self._starts[parameter + 1]]

    def __getitem__(self, parameter: int) -> ParameterName:
        slot = int(self.slots(parameter)[0])
        topology = self._layout.topology
        unit = int(self.unit_of_slot[slot])
        node = int(self._nodes[unit])
        if slot >= self._layout.plan.n_weights:
            place = (unit - self._layout.units_of(node).start,)
            return ParameterName(
                topology.nodes[node], place if topology.units[node] > 1 else (), is_bias=True
            )
        edge = int(self.edge_of_slot[slot])
        source = int(topology.sources[edge])
        places = self._layout.weight_places(edge)
        plain = topology.units[node] == 1 and topology.units[source] == 1
        element = () if plain else tuple(np.argwhere(places == parameter)[0].tolist())
        return ParameterName((topology.nodes[source], topology.nodes[node]), element, is_bias=False)
