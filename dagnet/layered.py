"""Layered graphs, named as in the textbook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np

from dagnet.errors import DataError, expected

__all__ = ["layered"]

SINGLE_DIGITS = 9


def layered(
    sizes: Sequence[int], *, activation: str = "relu", output_activation: str = "identity"
) -> nx.DiGraph[Any]:
    """A fully connected layered graph.

    Parameters
    ----------
    sizes
        Nodes in each layer, inputs first, at least two layers.
    activation
        What hidden nodes apply.
    output_activation
        What output nodes apply.

    Returns
    -------
    nx.DiGraph
        Inputs x1, x2, …; hidden nodes h{layer}{k} (h{layer}_{k} where ten or more hidden
        layers, or ten or more nodes in one, would make that ambiguous); outputs y1, y2, …, a
        single one eta.

    Examples
    --------
    >>> list(layered([2, 2, 2, 1]))
    ['x1', 'x2', 'h11', 'h12', 'h21', 'h22', 'eta']
    """
    counts = _checked(sizes)
    joint = "_" if len(counts) - 2 > SINGLE_DIGITS else ""
    layers = [[f"x{k}" for k in range(1, counts[0] + 1)]]
    for number, count in enumerate(counts[1:-1], 1):
        layers.append([f"h{number}{joint}{k}" for k in range(1, count + 1)])
    layers.append(["eta"] if counts[-1] == 1 else [f"y{k}" for k in range(1, counts[-1] + 1)])
    graph: nx.DiGraph[Any] = nx.DiGraph()
    graph.add_nodes_from(layers[0])
    for layer in layers[1:-1]:
        graph.add_nodes_from(layer, activation=activation)
    graph.add_nodes_from(layers[-1], activation=output_activation)
    for parents, children in zip(layers, layers[1:], strict=False):
        graph.add_edges_from((parent, child) for parent in parents for child in children)
    return graph


def _checked(sizes: Sequence[int]) -> list[int]:
    whole = all(
        isinstance(size, (int, np.integer)) and not isinstance(size, bool) and size >= 1 for size in sizes
    )
    if len(sizes) < 2 or not whole:
        raise DataError(expected("sizes", "at least two whole numbers of 1 or more", list(sizes)))
    return [int(size) for size in sizes]
