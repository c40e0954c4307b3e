"""Where nodes and edges have their units and their parameters; the one place that knows of shared ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dagnet.adjacency import MANY, inverse, narrowest, pair_order, ranges
from dagnet.arrays import Array
from dagnet.compiler import Compiled, slots_learned
from dagnet.contracts import LEARNED, MOMENTS, Draw
from dagnet.plan import Plan, slot_targets
from dagnet.topology import Topology, parameter_limits, weight_limits

MOST_ULPS = 4
"""How far the product of a factor and a rounded limit may be from the product's limit."""


@dataclass(frozen=True, eq=False)
class Normalized:
    """What normalisations have, of all units that are normalised, node after node.

    A network's vector is its parameters, then the running means, then the running variances.

    Attributes
    ----------
    scale, shift
        (normalised units,) their slots.
    folds
        (n,) places among these of units that are normalised over rows.
    units
        (n,) those that have their values.
    mean, variance
        (n,) places in the network's vector.
    eps, momentum
        (n,) of their normalisations.
    """

    scale: Array
    shift: Array
    folds: Array
    units: Array
    mean: Array
    variance: Array
    eps: Array
    momentum: Array

    @classmethod
    def of(cls, plan: Plan, slots: dict[str, Array]) -> Normalized:
        """From the plan and the slots of scales and shifts."""
        units = slot_targets(plan.indptr)[slots["scale"]]
        by = np.zeros(0) if plan.normalized_by is None else plan.normalized_by[units]
        eps, momentum, over_rows = (
            np.array([getattr(kind, name) for kind in plan.normalizations])[by]
            for name in ("eps", "momentum", "over_rows")
        )
        folds = np.flatnonzero(over_rows)
        mean = plan.n_parameters + np.arange(len(folds))
        moments = (units[folds], mean, mean + len(folds), eps[folds], momentum[folds])
        return cls(slots["scale"], slots["shift"], folds, *moments)

    def folded(self, slots: Array, vector: Array) -> Array:
        """Slots such that scale · a + shift is the normalisation by the running statistics; a copy."""
        result, inverse = slots.copy(), self._inverse(vector)
        scales, shifts = self.scale[self.folds], self.shift[self.folds]
        scale = slots[scales] * inverse
        result[scales] = scale
        result[shifts] = slots[shifts] - vector[self.mean] * scale
        return result

    def unfolded(self, slots: Array, vector: Array, *, bound: bool = False) -> Array:
        """From derivatives for the folded slots, or bounds on them, to those for scale and shift; a copy."""
        result, inverse = slots.copy(), self._inverse(vector)
        scales, shifts = self.scale[self.folds], self.shift[self.folds]
        mean = np.abs(vector[self.mean]) if bound else -vector[self.mean]
        result[scales] = inverse * (slots[scales] + mean * slots[shifts])
        return result

    def _inverse(self, vector: Array) -> Array:
        return (1 / np.sqrt(vector[self.variance] + self.eps)).astype(vector.dtype)

    def steepest(self, vector: Array) -> float:
        """How much faster than a scale the folded slots may change, at most; at least 1."""
        return float((self._inverse(vector) * (1 + np.abs(vector[self.mean]))).max(initial=1.0))

    def keep(self, vector: Array, draw: Draw) -> None:
        """Move the running statistics towards a batch's; its variance as an unbiased estimate."""
        mean, variance = draw.mean[self.units], draw.variance[self.units]
        rest = 1 - float((draw.weights.astype(np.float64) ** 2).sum())
        if rest > 0:
            for places, new in ((self.mean, mean), (self.variance, variance / rest)):
                vector[places] += (self.momentum * (new - vector[places])).astype(vector.dtype)


@dataclass(frozen=True, eq=False)
class Layout:
    """Where everything is in the plan and in the flat vector of parameters.

    Attributes
    ----------
    topology, plan
        The graph and its program.
    first_unit
        (nodes,) the first unit of each node.
    known_weights
        :attr:`weights`; None where there are many that are easily found again.
    known_biases
        :attr:`biases`; None where there are as many, too.
    trainable
        (parameters,) mask: what training may change.
    factor
        (slots,) what each slot's parameter is multiplied by; None where that is 1.
    first_of_half, owner
        (nodes and second halves of those that are normalised,) the first unit, and the node.
    normalized
        Where normalisations over rows have their numbers; None where there are none.
    learned
        By name, the slots of what activations learn, in the order of ``topology.node_starts``.
    """

    topology: Topology
    plan: Plan
    first_unit: Array
    known_weights: Array | None
    known_biases: Array | None
    trainable: Array
    factor: Array | None
    first_of_half: Array
    owner: Array
    normalized: Normalized | None
    learned: Mapping[str, Array]

    def __post_init__(self) -> None:
        for array in (self.first_unit, self.trainable):
            array.flags.writeable = False

    @classmethod
    def of(cls, topology: Topology, compiled: Compiled) -> Layout:
        """The layout of a topology that was compiled."""
        plan, first, value = compiled.plan, compiled.first_unit, compiled.expansion.value
        weights, trainable = compiled.element_slot, compiled.trainable
        graph = compiled.expansion.graph
        biases = plan.bias_slot[first if graph.is_plain else ranges(first, first + graph.units)]
        n, m = len(topology.weight_start), len(topology.bias_start)
        slots = {"scale": weights[n:], "shift": biases[m:]} if len(weights) > n else {}
        if plan.tie is not None:
            weights, biases = plan.tie[weights], np.where(biases < 0, -1, plan.tie[biases])
            trainable = np.zeros(plan.n_parameters, bool)
            trainable[plan.tie] = compiled.trainable
        known, known_biases = weights[:n], biases[:m].astype(narrowest(plan.n_slots))
        found_again = n >= MANY and topology.is_plain and plan.tie is None and not slots
        found = cls(
            topology,
            plan,
            first[value] if len(value) < len(first) else first,
            None if found_again else known,
            None if found_again else known_biases,
            trainable,
            _factor(topology, compiled),
            first,
            compiled.expansion.owner,
            Normalized.of(plan, slots) if slots else None,
            _learned(compiled),
        )
        for name, array in (("weights", known), ("biases", known_biases)):
            array.flags.writeable = False
            found.__dict__[name] = array
        return found

    @cached_property
    def weights(self) -> Array:
        """(weight elements,) the parameter of each, edge after edge as in ``topology.weight_start``."""
        if self.known_weights is not None:
            return self.known_weights
        topology, first = self.topology, self.first_unit
        order = pair_order(first[topology.targets], first[topology.sources], self.plan.n_units)
        found = inverse(order)
        found.flags.writeable = False
        return found

    @cached_property
    def biases(self) -> Array:
        """(all units,) the parameter of each, node after node as in ``topology.bias_start``; −1 for none."""
        if self.known_biases is not None:
            return self.known_biases
        found: Array = self.plan.bias_slot[self.first_unit]
        found.flags.writeable = False
        return found

    def forget(self) -> None:
        """Let go of what is found again where it is asked for."""
        for name in ("weights", "biases"):
            self.__dict__.pop(name, None)

    # -- where names have their places ---------------------------------------------------

    def weight_places(self, edge: int) -> Array:
        """Parameters of an edge's weight, (child units, parent units)."""
        if self.topology.is_plain:
            return self.weights[edge : edge + 1, None]
        start, stop = self.topology.weight_starts[edge : edge + 2].tolist()
        units = self.topology.units
        return self.weights[start:stop].reshape(units[self.topology.targets[edge]], -1)

    def bias_places(self, node: int) -> Array:
        """Parameters of a node's biases, (units,); empty where it has none."""
        start, stop = self.topology.unit_starts[node : node + 2].tolist()
        return self.biases[start : stop if self.topology.has_bias[node] else start]

    def places_of(self, node: int, name: str) -> Array:
        """Places in the network's vector of what a node learns or keeps by a name, (units,) or none."""
        nodes = self.topology.nodes_with(name)
        place = int(np.searchsorted(nodes, node))
        if place == len(nodes) or nodes[place] != node:
            return np.zeros(0, np.int64)
        start = int(self.topology.units[nodes[:place]].sum())
        return self.node_places(name)[start : start + int(self.topology.units[node])]

    def learned_places(self, node: int) -> Array:
        """Parameters of all that a node learns: its biases, and what else it has."""
        names = self.topology.node_starts.keys() - MOMENTS.keys()
        return np.concatenate([self.bias_places(node), *(self.places_of(node, name) for name in names)])

    def activation_numbers(self, node: int, parameters: Array) -> dict[str, Array]:
        """By name, what a node's activation has learned, (units,) each."""
        return {name: parameters[self.places_of(node, name)] for name in self.topology.learns(node)}

    def units_of(self, node: int) -> slice:
        """The units of a node."""
        start = int(self.first_unit[node])
        return slice(start, start + int(self.topology.units[node]))

    def summed_units_of(self, node: int) -> slice:
        """The units of a node that have its weighted sum: others where a normalisation comes after."""
        start = int(self.first_of_half[node])
        return slice(start, start + int(self.topology.units[node]))

    def node_biases(self, parameters: Array, otherwise: float = 0.0) -> Array:
        """(all units,) biases in the order of ``topology.bias_start``; ``otherwise`` where there is none."""
        result = np.full(len(self.biases), otherwise, parameters.dtype)
        biased = self.biases >= 0
        result[biased] = parameters[self.biases[biased]]
        return result

    @cached_property
    def node_of_unit(self) -> Array:
        """(units,) the node of each unit."""
        order = np.argsort(self.first_of_half)
        return np.repeat(self.owner[order], self.topology.units[self.owner[order]])

    # -- between parameters and slots ----------------------------------------------------

    @property
    def n_numbers(self) -> int:
        """How many numbers a network has: parameters and running statistics."""
        more = 0 if self.normalized is None else 2 * len(self.normalized.mean)
        return self.plan.n_parameters + more

    def node_places(self, name: str) -> Array:
        """Places in the network's vector, in the order of ``topology.node_starts[name]``."""
        if name in self.learned:
            return self.owners[self.learned[name]]
        places = getattr(self.normalized, name)
        return self.owners[places] if name in LEARNED else places

    def theta(self, vector: Array) -> Array:
        """(slots,) what engines take to predict, from a network's vector."""
        if self.normalized is None and self.is_direct:
            return vector
        with np.errstate(all="ignore"):
            if self.normalized is None:
                return self.by_slot(vector)
            return self.normalized.folded(self.by_slot(vector[: self.plan.n_parameters]), vector)

    def collect(self, slots: Array, vector: Array) -> Array:
        """(parameters,) derivatives from those for what :meth:`theta` gave."""
        return self.by_parameter(
            slots if self.normalized is None else self.normalized.unfolded(slots, vector)
        )

    @cached_property
    def owners(self) -> Array:
        """(slots,) the parameter that each slot is made of."""
        return np.arange(self.plan.n_slots) if self.plan.tie is None else self.plan.tie

    @cached_property
    def element_factor(self) -> Array | None:
        """(weight elements,) what a weight's parameter is multiplied by; None where that is 1."""
        factor = self.topology.edge_words.get("factor")
        return None if factor is None else np.repeat(factor, np.diff(self.topology.weight_starts))

    def weights_of(self, parameters: Array, edge: int | None = None, *, derivatives: bool = False) -> Array:
        """(weight elements,) factor · parameter, or (child units, parent units) of an edge.

        Of ``derivatives`` by parameter those by weight: divided by the factor.
        """
        values: Array = parameters[self.weights if edge is None else self.weight_places(edge)]
        factor: Any = self.element_factor
        if factor is None:
            return values
        factor = factor if edge is None else self.topology.edge_words["factor"][edge]
        by = factor.astype(values.dtype)
        return values / by if derivatives else values * by

    @cached_property
    def limits(self) -> tuple[Array, Array] | None:
        """(parameters,) the lowest and the highest that each may be; None where nothing is limited."""
        found = parameter_limits(self.topology)
        if found is None:
            return None
        low, high = np.full((2, self.plan.n_parameters), [[-np.inf], [np.inf]])
        sizes = np.diff(self.topology.weight_starts)
        low[self.weights], high[self.weights] = (np.repeat(limit, sizes) for limit in found)
        return low, high

    def limits_in(self, dtype: np.dtype[Any]) -> tuple[Array, Array]:
        """The same in ``dtype``, rounded such that factor · parameter is inside the limits of each weight."""
        if dtype not in self._limits_in:
            self._limits_in[dtype] = self._rounded_limits(dtype)
        return self._limits_in[dtype]

    @cached_property
    def _limits_in(self) -> dict[np.dtype[Any], tuple[Array, Array]]:
        return {}

    def _rounded_limits(self, dtype: np.dtype[Any]) -> tuple[Array, Array]:
        exact, sizes = np.array(self.limits), np.diff(self.topology.weight_starts)
        lowest, highest = (np.repeat(limit, sizes) for limit in weight_limits(self.topology) or ())
        rounded = exact.astype(dtype)
        for limit, inwards in zip(rounded, (np.inf, -np.inf), strict=True):
            for _ in range(MOST_ULPS):
                weights = self.weights_of(limit), self.weights_of(limit.astype(np.float64))
                beyond = (np.minimum(*weights) < lowest) | (np.maximum(*weights) > highest)
                outside = np.isfinite(weights[0]) & beyond
                places = self.weights[outside]
                limit[places] = np.nextafter(limit[places], dtype.type(inwards))
        low, high = np.where(rounded[0] <= rounded[1], rounded, exact[0].astype(dtype))
        return low, high

    @cached_property
    def is_direct(self) -> bool:
        """Whether slots are the parameters themselves: none is shared, or multiplied by a factor."""
        return self.plan.tie is None and self.factor is None

    def by_slot(self, parameters: Array, out: Array | None = None) -> Array:
        """From parameters to slots, factor · parameter: ``parameters`` itself where these are the same."""
        if self.is_direct:
            return parameters
        result: Array = np.take(parameters, self.owners, out=out, mode="clip")
        if self.factor is not None:
            result *= self.factor.astype(result.dtype, copy=False)
        return result

    def by_parameter(self, slots: Array, out: Array | None = None) -> Array:
        """From derivatives by slot to derivatives by parameter: ``slots`` itself where these are the same.

        Sums are taken in double precision, or where ``out`` takes them in its own.
        """
        if self.is_direct:
            return slots
        weighted = slots if self.factor is None else slots * self.factor.astype(slots.dtype, copy=False)
        if out is None:
            sums = np.bincount(self.owners, weights=weighted, minlength=self.plan.n_parameters)
            return sums.astype(slots.dtype)
        out[:] = 0
        np.add.at(out, self.owners, weighted)
        return out


def _learned(compiled: Compiled) -> dict[str, Array]:
    """In the order of the owners: of the halves of a node that is normalised one has the activation."""
    graph, owner = compiled.expansion.graph, compiled.expansion.owner
    given = graph, compiled.first_unit, compiled.plan.learned_slot
    return {
        name: slots_learned(*given, name, nodes[np.argsort(owner[nodes])])
        for name, nodes in graph.learners.items()
    }


def _factor(topology: Topology, compiled: Compiled) -> Array | None:
    """(slots,) from the edges' word."""
    factor = topology.edge_words.get("factor")
    if factor is None:
        return None
    result = np.ones(compiled.plan.n_slots)
    result[compiled.element_slot[: len(topology.weight_start)]] = np.repeat(
        factor, np.diff(topology.weight_starts)
    )
    return result
