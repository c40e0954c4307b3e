"""The frozen graph: arrays, and one dictionary from name to index; no Python object per edge."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from dagnet.adjacency import Rows, offsets, pair_order, ranges, rows_by
from dagnet.arrays import Array, all_are, repeated
from dagnet.contracts import MOMENTS, Activation, Aggregation
from dagnet.errors import DataError, did_you_mean, shorten
from dagnet.topology.extras import normalizations
from dagnet.topology.groups import first_of_group, groups
from dagnet.topology.said import Categories, edge_text, numbered

LISTED = 6


def edge_sizes(units: Array, sources: Array, targets: Array) -> Array:
    """(edges,) how many elements each weight has: child units times parent units."""
    result: Array = units[targets] * units[sources]
    return result


@dataclass(frozen=True)
class UserAttributes:
    """What a graph says beside dagnet's words, by the number of the node or edge; it is kept as it is.

    ``unread`` lists words of dagnet's that mean something else in this graph.
    """

    graph: Mapping[Any, Any] = field(default_factory=dict)
    nodes: Mapping[int, Mapping[Any, Any]] = field(default_factory=dict)
    edges: Mapping[int, Mapping[Any, Any]] = field(default_factory=dict)
    unread: tuple[str, ...] = ()


NONE = UserAttributes()


@dataclass(frozen=True, eq=False)
class Topology:
    """A validated graph.  Nodes and edges are numbered in the graph's order.

    Attributes
    ----------
    nodes
        The nodes' names.
    index
        From a node's name to its number.
    sources, targets
        (edges,) numbers of parent and child.
    inputs, outputs
        Numbers of the input and output nodes, in their declared order.
    level
        (nodes,) longest distance from a parentless node.
    units
        (nodes,) how many units each node has.
    activations, activation_of
        The distinct activations, and each node's place among them (inputs: 0, unused).
    has_bias, bias_trainable
        (nodes,) masks.
    bias_start
        (all units, node after node) start values; 0 where there is no bias.
    center, scale
        (all input units) of the inputs in their declared order.
    weight_start
        (all weight elements, edge after edge, each in row-major (child units, parent units)
        order), divided by the edge's factor; NaN where the initializer draws.
    edge_trainable
        (edges,) mask.
    weight_name
        The edge attribute that weights come from, or None.
    share
        (edges,) the group of edges that are one weight, −1 where an edge stands alone; None
        where nothing is shared.
    share_keys
        The users' keys of those groups.
    edge_words, node_words
        The rest of dagnet's words: (edges, …) numbers, and by the number of the node what it says
        (:mod:`dagnet.topology.extras`).
    node_starts
        Where what normalisations learn and keep begins, by name (``scale``, ``shift``, ``mean``,
        ``variance``), and what activations learn: of the units of all nodes that have it, node after node.
    users
        What the graph says beside dagnet's words.
    diagonal
        (edges,) mask of those that join unit to unit, one weight each (:mod:`dagnet.expansion`); None
        where all join each unit with each.
    categories
        By the number of the input: what its column's entries may be, in the order of its units.
    """

    nodes: Sequence[Any]
    index: Mapping[Hashable, int]
    sources: Array
    targets: Array
    inputs: Array
    outputs: Array
    level: Array
    units: Array
    activations: tuple[Activation, ...]
    activation_of: Array
    has_bias: Array
    bias_trainable: Array
    bias_start: Array
    center: Array
    scale: Array
    weight_start: Array
    edge_trainable: Array
    weight_name: str | None
    share: Array | None = None
    share_keys: tuple[Hashable, ...] = ()
    edge_words: Mapping[str, Array] = field(default_factory=dict)
    node_words: Mapping[str, Mapping[int, Any]] = field(default_factory=dict)
    node_starts: Mapping[str, Array] = field(default_factory=dict)
    users: UserAttributes = NONE
    diagonal: Array | None = None
    categories: Mapping[int, Categories] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for value in (*vars(self).values(), *self.edge_words.values(), *self.node_starts.values()):
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    @property
    def n_nodes(self) -> int:
        """How many nodes."""
        return len(self.nodes)

    @property
    def n_edges(self) -> int:
        """How many edges."""
        return len(self.sources)

    @property
    def n_units(self) -> int:
        """How many units all nodes have."""
        return self.n_nodes if self.is_plain else int(self.units.sum())

    @cached_property
    def parents(self) -> Rows:
        """Each node's parents; ``parents.edges`` numbers the edges."""
        return rows_by(self.targets, self.sources, self.n_nodes)

    @cached_property
    def children(self) -> Rows:
        """Each node's children; ``children.edges`` numbers the edges."""
        return rows_by(self.sources, self.targets, self.n_nodes)

    @property
    def fan_in(self) -> Array:
        """(nodes,) how many parents each node has."""
        return np.bincount(self.targets, minlength=self.n_nodes)

    @cached_property
    def _sorted_edges(self) -> tuple[memoryview, memoryview, memoryview]:
        """Each parent's children, sorted, the edges to them, and where each parent's begin."""
        edges = pair_order(self.sources, self.targets, self.n_nodes)
        starts = offsets(np.bincount(self.sources, minlength=self.n_nodes))
        return self.targets[edges].data, edges.data, starts.data

    @cached_property
    def aggregations(self) -> tuple[Aggregation, ...]:
        """The distinct aggregations other than the sum, as nodes say them first."""
        said = self.node_words.get("aggregation", {})
        return tuple(dict.fromkeys(said[node] for node in sorted(said)))

    @cached_property
    def aggregation_of(self) -> Array:
        """(nodes,) each node's place among them; −1 for the sum, and where there is nothing to aggregate."""
        if not self.aggregations:
            return repeated(np.int32(-1), self.n_nodes)
        numbers, said = np.full(self.n_nodes, -1, np.int32), self.node_words["aggregation"]
        numbers[list(said)] = [self.aggregations.index(aggregation) for aggregation in said.values()]
        numbers[self.fan_in == 0] = -1
        return _frozen(numbers)

    def aggregation(self, node: int) -> str:
        """What a node's aggregation is called."""
        number = int(self.aggregation_of[node])
        return "sum" if number < 0 else str(self.aggregations[number])

    @cached_property
    def is_plain(self) -> bool:
        """Whether every node has one unit."""
        return all_are(self.units, 1)

    @cached_property
    def unit_starts(self) -> Array:
        """(nodes + 1,) where each node's units start when they are counted node after node."""
        return _frozen(offsets(self.units))

    def laid_out(self, nodes: Array) -> Array:
        """(n + 1,) where the units of n nodes start, these laid end to end, and where the last stop."""
        return np.arange(len(nodes) + 1) if self.is_plain else offsets(self.units[nodes])

    @cached_property
    def weight_starts(self) -> Array:
        """(edges + 1,) where each edge's elements start in ``weight_start``."""
        sizes = edge_sizes(self.units, self.sources, self.targets)
        if self.diagonal is not None:
            sizes[self.diagonal] = self.units[self.targets[self.diagonal]]
        return _frozen(offsets(sizes))

    @cached_property
    def normalized(self) -> Array:
        """The nodes that are normalised, in the order of ``node_starts``."""
        return _frozen(np.array(sorted(self.node_words.get("normalization", ())), np.int64))

    def learns(self, node: int) -> Mapping[str, Any]:
        """What the activation of a node learns: names and start values; of inputs nothing."""
        return {} if self.is_input[node] else self.activations[self.activation_of[node]].trainable

    @cached_property
    def learners(self) -> Mapping[str, Array]:
        """By name, the nodes whose activation learns a parameter of that name."""
        names = dict.fromkeys(chain.from_iterable(item.trainable for item in self.activations))
        found = {}
        for name in names:
            learns = np.array([name in activation.trainable for activation in self.activations])
            found[name] = np.flatnonzero(learns[self.activation_of] & ~self.is_input)
        return {name: _frozen(nodes) for name, nodes in found.items() if len(nodes)}

    def nodes_with(self, name: str) -> Array:
        """The nodes that ``node_starts[name]`` is of, in its order."""
        if name not in MOMENTS:
            return self.learners.get(name, self.normalized)
        kinds = normalizations(self.node_words).items()
        return np.array([node for node, kind in kinds if kind.over_rows], np.int64)

    def weight_owners(self) -> Array:
        """(edges,) the edge that each has its weight from: the first of its group, or itself."""
        return np.arange(self.n_edges) if self.share is None else first_of_group(self.share)

    def node_groups(self) -> tuple[Array, tuple[Hashable, ...]]:
        """(nodes,) the group of nodes that share their biases, −1 where a node stands alone; the keys."""
        said = self.node_words.get("share", {})
        return groups([said.get(node) for node in range(self.n_nodes)], str, [])

    def bias_owners(self) -> Array:
        """(all units,) the unit of which each has its bias: its like in the first node of its group."""
        owners = first_of_group(self.node_groups()[0])
        return ranges(self.unit_starts[owners], self.unit_starts[owners + 1])

    def element_owners(self) -> Array:
        """(weight elements,) the same element of the edge that owns the weight."""
        owners = self.weight_owners()
        return ranges(self.weight_starts[owners], self.weight_starts[owners + 1])

    @cached_property
    def is_input(self) -> Array:
        """(nodes,) mask of the inputs."""
        return self._marked(self.inputs)

    @cached_property
    def is_output(self) -> Array:
        """(nodes,) mask of the outputs."""
        return self._marked(self.outputs)

    @cached_property
    def is_coded(self) -> Array:
        """(input units,) mask of those that stand for categories."""
        return _frozen(np.repeat(np.isin(self.inputs, list(self.categories)), self.units[self.inputs]))

    def _marked(self, nodes: Array) -> Array:
        mask = np.zeros(self.n_nodes, bool)
        mask[nodes] = True
        return _frozen(mask)

    def by_level(self) -> tuple[tuple[Any, ...], ...]:
        """The nodes' names level by level."""
        order = np.argsort(self.level, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(self.level[order])) + 1)
        return tuple(tuple(self.nodes[node] for node in group.tolist()) for group in groups)

    def edge_text(self, edge: int) -> str:
        """An edge, for messages."""
        return edge_text(self.nodes, self.sources, self.targets, edge)

    def role(self, node: int) -> str:
        """``"input"``, ``"output"``, ``"constant"`` or ``"hidden"``."""
        if self.is_input[node]:
            return "input"
        if self.is_output[node]:
            return "output"
        parentless = self.parents.indptr[node] == self.parents.indptr[node + 1]
        return "constant" if parentless else "hidden"

    def has_node(self, name: object) -> bool:
        """Whether ``name`` is a node."""
        return number_of(name, self.index) is not None

    def has_edge(self, name: object) -> bool:
        """Whether ``name`` is a (parent, child) pair that is an edge."""
        return self._edge(name) is not None

    def _edge(self, name: object) -> int | None:
        if not isinstance(name, tuple) or len(name) != 2:
            return None
        source, target = number_of(name[0], self.index), number_of(name[1], self.index)
        if source is None or target is None:
            return None
        children, edges, starts = self._sorted_edges
        stop = starts[source + 1]
        place = bisect_left(children, target, starts[source], stop)
        return edges[place] if place < stop and children[place] == target else None

    def edge_number(self, name: object) -> int:
        """The number of the edge ``(parent, child)``.

        Raises
        ------
        DataError
            If there is no such edge.
        """
        edge = self._edge(name)
        if edge is None:
            raise DataError(f"no edge {shorten(name)} in the graph{self._edge_mend(name)}")
        return edge

    def _edge_mend(self, name: object) -> str:
        if not isinstance(name, tuple) or len(name) != 2:
            return "; an edge is written as the pair (parent, child)"
        for end in name:
            if not self.has_node(end):
                return f": no node {shorten(end)}{did_you_mean(end, self.index, listed=LISTED)}"
        source, target = name
        if self._edge((target, source)) is not None:
            return f"; did you mean {shorten((target, source))}?"
        numbers = self.parents.of(self.index[target])
        parents = ", ".join(shorten(self.nodes[number]) for number in numbers[:LISTED])
        more = f" and {len(numbers) - LISTED} more" if len(numbers) > LISTED else ""
        return f"; the parents of {shorten(target)} are: {parents or 'none'}{more}"

    def node_number(self, name: Hashable) -> int:
        """The number of a node.

        Raises
        ------
        DataError
            If there is no such node.
        """
        number = number_of(name, self.index)
        if number is None:
            mend = did_you_mean(name, self.index, listed=LISTED)
            raise DataError(f"no node {shorten(name)} in the graph{mend}")
        return number

    def __deepcopy__(self, memo: object) -> Topology:
        """Itself: it never changes, and copies of names would no longer be the users' names."""
        del memo
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name != "index"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A new index: a name such as NaN is found by its identity, which unpickling changes.
        self.__dict__.update(state, index=numbered(state["nodes"]))
        Topology.__post_init__(self)


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array


def number_of(name: Any, index: Mapping[Hashable, int]) -> int | None:
    """The number of a node, or None where it is none, such as a list."""
    try:
        return index.get(name)
    except TypeError:
        return None
