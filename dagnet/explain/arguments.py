"""What an explanation is given: a network, one row with all of its chain rule, how to attribute."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Attributor
from dagnet.errors import DataError, Verbatim, did_you_mean, expected, shorten
from dagnet.explain.chain_rule import Derived, Edge, Fact
from dagnet.explain.report import plain
from dagnet.markup import number
from dagnet.model import Model, node_meant, numeric
from dagnet.registry import attributions, parse_call
from dagnet.topology import normalizations
from dagnet.values import whole

STEPS = 50


def checked_network(net: object) -> Model:
    """What is asked about must be a network."""
    if not isinstance(net, Model):
        raise DataError(expected("net", "a dagnet.Network", net, "build one with dagnet.Network(graph)"))
    return net


def activation_text(net: Model, node: int) -> str:
    """The call form of a node's activation, with what it has learned; of several units how many."""
    activation = net.topology.activations[net.topology.activation_of[node]]
    learned = net.layout.activation_numbers(node, net.parameters)
    if not learned:
        return str(activation)
    shown = {name: repr(value) for name, value in activation.parameters.items()}
    for name, numbers in learned.items():
        shown[name] = number(float(numbers[0])) if len(numbers) == 1 else f"[{len(numbers)}]"
    return f"{activation.name}({', '.join(f'{name}={text}' for name, text in shown.items())})"


class OneRow:
    """One row: ``z(node)``, ``a``, ``slope`` = g′(z) and ``delta`` = δ, (units,), by the node's number.

    ``x`` is (input units,) or a mapping, Series or data frame from input node to its value; ``y`` a
    number, (output units,), a label, or a mapping from output node; ``wrt`` as for ``net.gradient``.
    """

    def __init__(self, net: Model, x: Any, y: Any, wrt: Sequence[Edge] | None = None) -> None:
        self.net, self.topology = net, net.topology
        forward = net.forward(x)
        outputs = forward.outputs
        if len(outputs) != 1:
            got, mend = f"{len(outputs)} rows", "choose one, for instance X[0]"
            raise DataError(expected("x", "one row", got, mend))
        self.gradient = net.gradient(x, y, wrt=wrt)
        self.a = self._by_node(forward.__getitem__)
        self.delta = self._by_node(self.gradient.delta)
        self.shares = cache(self._shares)
        self.normalized = cache(self._normalized)
        self._forward, self._kinds = forward, normalizations(net.topology.node_words)
        encoded = net.encode(x, y).targets
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

    def z(self, node: int) -> Array:
        """The weighted sum, (units,)."""
        result: Array = self._forward.by_unit[0][self.net.layout.summed_units_of(node), 0]
        return result

    def slope(self, node: int) -> Array:
        """g′(z), of an input 1; (units,)."""
        layout, slopes = self.net.layout, self._forward.by_unit[2][:, 0]
        result: Array = slopes[layout.units_of(node)]
        if node in self._kinds:  # of its two halves one has the activation, the other the slope 1
            result = result * slopes[layout.summed_units_of(node)]
        return result

    def _normalized(self, node: int) -> Array | None:
        """What normalisation makes of changes: scale/√(variance + eps), (units,), or a matrix; None without.

        The matrix, of what is normalised over units, has the slopes in it: it is ∂a/∂z.
        """
        kind, layout, name = self._kinds.get(node), self.net.layout, self.node(node)
        if kind is None:
            return None
        scale = np.atleast_1d(self.net.node_parameters[name, "scale"])
        if kind.over_rows:
            variance = np.atleast_1d(self.net.node_parameters[name, "variance"])
            return np.asarray(scale / np.sqrt(variance + kind.eps))
        summed, halves = layout.summed_units_of(node), layout.units_of(node)
        _, a, slopes = (array[:, 0].astype(np.float64) for array in self._forward.by_unit)
        away = a[summed] - a[summed].mean()
        inverse = 1 / np.sqrt((away**2).mean() + kind.eps)
        passed = np.eye(len(away)) - (1 + np.outer(away, away) * inverse**2) / len(away)
        return np.asarray(slopes[halves, None] * scale[:, None] * inverse * passed * slopes[summed])

    def argument(self, node: int) -> Array:
        """What the activation is of: z, or where z is normalised before, what came of it; (units,)."""
        kind = self._kinds.get(node)
        if kind is None or not kind.before_activation:
            return self.z(node)
        result: Array = self._forward.by_unit[0][self.net.layout.units_of(node), 0]
        return result

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
        children = self.children(node)
        pulls = (self.delta(child) @ (self.share(edge) * self.weight(edge)) for child, edge in children)
        return sum(pulls, self.pull(node))

    def weight(self, edge: int) -> Array:
        """(child units, parent units)."""
        return self.net.layout.weights_of(self.net.parameters, edge)

    def share(self, edge: int) -> Array | float:
        """∂(the child's aggregation)/∂(the edge's terms), (child units, parent units); 1 of a sum."""
        child = int(self.topology.targets[edge])
        return 1.0 if self.topology.aggregation_of[child] < 0 else self.shares(child)[edge]

    def _shares(self, node: int) -> dict[int, Array]:
        """The same of all edges into a node."""
        topology, first_unit = self.topology, self.net.layout.first_unit
        edges = topology.parents.edges_of(node)
        edges = edges[np.argsort(first_unit[topology.sources[edges]])].tolist()  # as engines have the terms
        terms = [self.weight(edge) * self.a(int(topology.sources[edge])) for edge in edges]
        together = np.concatenate(terms, axis=1).T
        aggregation = topology.aggregations[topology.aggregation_of[node]]
        slopes = aggregation.slope(together, aggregation.value(together)).T
        ends = np.cumsum([part.shape[1] for part in terms])[:-1]
        return dict(zip(edges, np.split(slopes, ends, axis=1), strict=True))

    def children(self, node: int) -> list[tuple[int, int]]:
        """(child, edge) of all children."""
        rows = self.topology.children
        return list(zip(rows.of(node).tolist(), rows.edges_of(node).tolist(), strict=True))

    def fact(self, node: int) -> Fact:
        """What the node did in the forward pass."""
        y = self._targets.get(self.node(node))
        target = None if y is None else plain(y)
        head = self._heads.get(self.node(node))
        loss = ("", 1.0) if head is None else (str(head.loss), head.weight)
        kind, aggregation = self._kinds.get(node), self.topology.aggregation(node)
        numbers = plain(self.z(node)), plain(self.a(node)), target
        argument, topology = self.argument(node), self.topology
        activation = topology.activations[topology.activation_of[node]]
        values = {"z": argument, **activation.parameters}
        values |= self.net.layout.activation_numbers(node, self.net.parameters)
        if kind is None or kind.before_activation:
            values["a"] = self.a(node)
        slope, pull = Derived(activation.formulas.slope, values), None
        if head is not None and y is not None:
            values = {"outputs": self.a(node), "targets": y, **head.loss.parameters}
            pull = Derived(head.loss.formulas.slope, values)
        text = activation_text(self.net, node)
        return Fact(text, *numbers, *loss, aggregation, kind, plain(argument), slope, pull)


def checked_method(method: object) -> tuple[str, int, Attributor | None]:
    """Name, steps, and the plugin's method where it is one."""
    if isinstance(method, Attributor):
        return method.name, STEPS, method
    known = (*Attributor.built_in, *attributions())
    if not isinstance(method, str):
        raise DataError(expected("method", f"one of {', '.join(known)}, or a dagnet.Attributor", method))
    name, positional, named = (method, (), {}) if method in known else parse_call(method)
    if name not in known:
        raise DataError(f"method: no attribution is called {name!r}{did_you_mean(name, known, listed=8)}")
    if name not in Attributor.built_in:
        return name, STEPS, attributions()[name].bind(*positional, **named)
    steps = named.pop("steps", *positional[:1]) if positional or "steps" in named else STEPS
    if named or len(positional) > 1 or (steps != STEPS and name != "integrated_gradients"):
        raise DataError(expected("method", "without settings but integrated_gradients(steps=50)", method))
    return name, int(whole(1).check("method: steps", steps)), None


def checked_baseline(net: Model, baseline: Any, inputs: Array) -> Array:
    """(rows, input units), as engines take them."""
    if baseline is None:
        return np.zeros_like(inputs)
    if isinstance(baseline, str):
        if baseline != "mean":
            raise DataError(expected("baseline", "'mean', a number, a mapping or an array", baseline))
        return np.broadcast_to(inputs.mean(axis=0), inputs.shape).copy()
    is_plain = not isinstance(baseline, Mapping) and not hasattr(baseline, "ndim")
    rows: Any = numeric("baseline", baseline) if is_plain else baseline
    if isinstance(baseline, Mapping):
        for name in baseline:
            if node_meant("baseline", net.topology, name) not in net.topology.inputs:
                raise DataError(expected("baseline: each name", "an input", name))
        rows = {name: [each] * len(inputs) if np.ndim(each) == 0 else each for name, each in baseline.items()}
    elif rows.ndim < 2:
        rows = np.asarray(rows)[None] if rows.ndim else np.full((1, inputs.shape[1]), rows)
    try:
        found = net.encode(rows, finite=True).inputs
    except DataError as error:
        raise DataError(f"baseline: {error}") from None
    if len(found) not in {1, len(inputs)}:
        got = Verbatim(f"{len(found)} rows")
        raise DataError(expected("baseline", f"of 1 row, or {len(inputs)} as X", got))
    return np.ascontiguousarray(np.broadcast_to(found, inputs.shape))


def checked_groups(net: Model, groups: Any) -> dict[Hashable, tuple[int, ...]]:
    """The numbers of each group's nodes."""
    if not isinstance(groups, Mapping | None):
        raise DataError(expected("groups", "a mapping from name to a list of nodes", groups))
    found = {}
    for name, members in (groups or {}).items():
        where = f"groups: {shorten(name)}"
        if net.topology.has_node(name) or net.topology.has_edge(name):
            raise DataError(f"{where} is a node or an edge; give the group another name")
        is_list = isinstance(members, Iterable) and not isinstance(members, (str, bytes))
        if not is_list or not (nodes := list(members)):
            raise DataError(expected(where, "a list of nodes", members))
        found[name] = tuple(dict.fromkeys(node_meant(where, net.topology, node) for node in nodes))
    return found
