"""From columns and targets to a graph that a network can be built of."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from dagnet import Network
from dagnet.errors import did_you_mean, shorten
from dagnet.model import is_sparse

__all__ = ["Inputs", "default_graph", "standardised", "unit_names"]

Array = NDArray[Any]
LISTED = 8
VALUES, TOGETHER = 2**22, 64
"""Of sparse columns so many values are dense at once, in groups that BLAS adds up as it does all columns."""


@dataclass(frozen=True)
class Inputs:
    """The inputs of a graph, and which columns of X they read.

    ``is_drawn`` is False for the default graph, whose inputs are the columns seen in ``fit``.
    """

    nodes: tuple[Hashable, ...]
    units: tuple[int, ...]
    is_drawn: bool

    @classmethod
    def of(cls, network: Network) -> Inputs:
        """The inputs of a network of the user's graph."""
        topology = network.topology
        return cls(network.inputs, tuple(topology.units[topology.inputs].tolist()), is_drawn=True)

    @property
    def are_in_order(self) -> bool:
        """Whether they are all columns in the order of ``fit``: the default graph's, or one block."""
        return not self.is_drawn or (len(self.nodes) == 1 and self.units[0] > 1)

    @cached_property
    def have_names(self) -> bool:
        """Whether they have names that do not say the place of a column, so that a bare array does not fit.

        A single input has no order that could be wrong, and x1, x2, … count the columns.
        """
        if not self.is_drawn or len(self.nodes) == 1:
            return False
        texts = [node for node in self.nodes if isinstance(node, str)]
        found = [re.fullmatch(r"(\D*)(\d+)", text, flags=re.ASCII) for text in texts]
        counts = [(match[1], int(match[2])) for match in found if match]
        first = counts[0] if counts else ("", 2)
        upwards = [(first[0], first[1] + place) for place in range(len(self.nodes))]
        return bool(texts) and not (first[1] < 2 and counts == upwards)

    def are_among(self, names: Sequence[Hashable]) -> bool:
        """Whether each has a column of its name."""
        return set(self.nodes) <= set(names)

    def places(self, names: Sequence[Hashable]) -> list[int]:
        """The column that each input unit reads, by name; a node of several units has as many columns.

        Raises
        ------
        ValueError
            If a node has no column, or more or fewer of them than units.
        """
        found: dict[Hashable, list[int]] = {}
        for place, name in enumerate(names):
            found.setdefault(name, []).append(place)
        missing = [node for node in self.nodes if node not in found]
        if missing:
            shown = ", ".join(map(repr, missing[:LISTED]))
            mend = did_you_mean(missing[0], [name for name in names if name not in self.nodes])
            raise ValueError(
                f"X has no column for the graph's input {shown}; its columns are "
                f"{', '.join(map(repr, names[:LISTED]))}{mend or '; rename the nodes or the columns'}"
            )
        for node, units in zip(self.nodes, self.units, strict=True):
            if len(found[node]) != units:
                raise ValueError(
                    f"X must have as many columns {shorten(node)} as the input has units, {units}, got "
                    f"{len(found[node])}; a node of several units has its name once for each of them, as an "
                    "array's columns=… can say"
                )
        return [place for node in self.nodes for place in found[node]]

    def unnamed(self) -> str:
        """The refusal of a bare array."""
        shown = ", ".join(map(shorten, self.nodes[:LISTED]))
        return (
            f"X must name its columns, as the graph's inputs have names ({shown}), got an array without "
            "names; pass a data frame, which a step before keeps with "
            'StandardScaler().set_output(transform="pandas"), or say in the order of the array what its '
            f"columns are: columns=[{shorten(self.nodes[0])}, …]"
        )

    def refuse_width(self, width: int) -> None:
        """Refuse an X of more or fewer columns than input units."""
        if sum(self.units) != width:
            raise ValueError(
                f"X has {width} features, but the graph has {sum(self.units)} input units; pass one column "
                "for each, or a data frame whose columns are named as the input nodes"
            )

    def labels(self) -> list[Hashable]:
        """(input units,) a name of each column."""
        pairs = zip(self.nodes, self.units, strict=True)
        return [label for node, units in pairs for label in unit_names(node, units)]


def unit_names(node: Hashable, units: int) -> list[Hashable]:
    """A name for each unit of a node: its own, or ``node[0]``, ``node[1]`` and so on."""
    return [node] if units == 1 else [f"{node}[{unit}]" for unit in range(units)]


def _moments(X: Array, share: Array) -> Array:
    """(2, columns) the weighted mean and deviation."""
    X = np.asfortranarray(X)  # the same bits whatever the order of X in memory
    center = share @ X
    scale = np.sqrt(share @ (X - center) ** 2)
    # A column that is constant but for rounding has no scale to speak of.
    scale[scale <= 10 * np.finfo(X.dtype).eps * np.abs(X).max(axis=0)] = 1.0
    return np.stack([center, scale])


def default_graph(
    columns: Sequence[Hashable], outputs: Sequence[Hashable], hidden: int, activation: Any
) -> nx.DiGraph[Any]:
    """One hidden node of ``hidden`` units between the columns and the outputs, and edges past it."""
    graph: nx.DiGraph[Any] = nx.DiGraph()
    graph.add_nodes_from(columns)
    node: Hashable = "hidden"
    while node in columns or node in outputs:
        node = f"{node}_"
    if hidden:
        graph.add_node(node, units=hidden, activation=activation)
    for output in outputs:
        name = output if output not in columns else ("output", output)
        graph.add_edges_from((column, name) for column in columns)
        if hidden:
            graph.add_edge(node, name)
    if hidden:
        graph.add_edges_from((column, node) for column in columns)
    graph.graph["dagnet"] = {"inputs": list(columns)}
    return graph


def standardised(
    graph: nx.DiGraph[Any], inputs: Sequence[Hashable], units: Sequence[int], X: Array, weight: Array
) -> nx.DiGraph[Any]:
    """A copy whose inputs have the weighted mean and deviation of their columns as center and scale.

    An input that says one of the two itself, or has categories, is left alone.  ``X`` is (rows, input
    units); of a sparse one some columns after the others are dense.
    """
    blocks: Iterable[Array] = [X]
    width, share = X.shape[1], weight / weight.sum()
    if is_sparse(X):
        count = max(1, VALUES // (TOGETHER * len(weight))) * TOGETHER
        blocks = (X[:, start : start + count].toarray() for start in range(0, width, count))
    center, scale = np.concatenate([_moments(block, share) for block in blocks], axis=1)
    result = graph.copy()
    start = 0
    for node, count in zip(inputs, units, strict=True):
        attributes, stop = result.nodes[node], start + count
        if all(attributes.get(word) is None for word in ("center", "scale", "categories")):
            single = count == 1
            attributes["center"] = float(center[start]) if single else center[start:stop]
            attributes["scale"] = float(scale[start]) if single else scale[start:stop]
        start = stop
    return result


class Shown:
    """A graph as a message shows it: by its size."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph

    def __repr__(self) -> str:
        graph = self.graph
        if not isinstance(graph, nx.Graph):  # refused by fit
            return repr(graph)
        nodes, edges = graph.number_of_nodes(), graph.number_of_edges()
        return f"<{type(graph).__name__}: {nodes:,} nodes, {edges:,} edges>"
