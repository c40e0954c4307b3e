"""From columns and targets to a graph that a network can be built of."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

__all__ = ["columns_of", "default_graph", "standardised"]

Array = NDArray[Any]


def default_graph(
    columns: Sequence[str], outputs: Sequence[Hashable], hidden: int, activation: Any
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


def columns_of(
    inputs: Sequence[Hashable], units: Sequence[int], names: Sequence[str] | None, n_features: int
) -> Array:
    """(input units,) the column of X that each input unit reads.

    By name where X has names; by position else.

    Raises
    ------
    ValueError
        If a column is missing, or there are more or fewer of them than inputs.
    """
    if names is not None and all(count == 1 for count in units):
        places: dict[Hashable, int] = {name: place for place, name in enumerate(names)}
        missing = [node for node in inputs if node not in places]
        if missing:
            shown = ", ".join(map(repr, missing[:8]))
            raise ValueError(
                f"X has no column for the graph's input {shown}; its columns are "
                f"{', '.join(map(repr, names[:8]))}: rename the nodes or the columns, or pass an array "
                "with one column for each input, in the order of the graph's inputs"
            )
        return np.array([places[node] for node in inputs], np.intp)
    if sum(units) != n_features:
        raise ValueError(
            f"X has {n_features} features, but the graph has {sum(units)} input units; pass one column for "
            "each, or a data frame whose columns are named as the input nodes"
        )
    return np.arange(n_features)


def standardised(
    graph: nx.DiGraph[Any], inputs: Sequence[Hashable], units: Sequence[int], X: Array, weight: Array
) -> nx.DiGraph[Any]:
    """A copy whose inputs have the weighted mean and deviation of their columns as center and scale.

    An input that says one of the two itself is left alone.  ``X`` is (rows, input units).
    """
    share = weight / weight.sum()
    center = share @ X
    scale = np.sqrt(share @ (X - center) ** 2)
    # A column that is constant but for rounding has no scale to speak of.
    scale[scale <= 10 * np.finfo(X.dtype).eps * np.abs(X).max(axis=0)] = 1.0
    result = graph.copy()
    start = 0
    for node, count in zip(inputs, units, strict=True):
        attributes, stop = result.nodes[node], start + count
        if attributes.get("center") is None and attributes.get("scale") is None:
            single = count == 1
            attributes["center"] = float(center[start]) if single else center[start:stop]
            attributes["scale"] = float(scale[start]) if single else scale[start:stop]
        start = stop
    return result
