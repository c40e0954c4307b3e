"""Layered graphs, named as in the textbook."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, pairwise, product
from typing import Any

import networkx as nx

from dagnet.contracts import Activation
from dagnet.errors import DataError, expected
from dagnet.values import whole

SINGLE_DIGITS = 9
COUNT = whole(1)


def layered(
    sizes: Iterable[int],
    *,
    activation: str | Activation | None = None,
    output_activation: str | Activation = "identity",
) -> nx.DiGraph[Any]:
    """A fully connected layered graph.

    Parameters
    ----------
    sizes
        Nodes in each layer, inputs first, at least two layers.
    activation
        What hidden nodes apply; None leaves it to ``Network(activation=…)``, by default relu.
    output_activation
        What output nodes apply.

    Returns
    -------
    nx.DiGraph
        Inputs x1, x2, …; hidden nodes h{layer}{k}, from ten hidden layers on h{layer}_{k};
        outputs y1, y2, …, a single one eta.

    Raises
    ------
    DataError
        For fewer than two layers, or sizes that are not whole numbers of 1 or more.

    Examples
    --------
    >>> list(layered([2, 2, 2, 1]))
    ['x1', 'x2', 'h11', 'h12', 'h21', 'h22', 'eta']
    """
    given = list(sizes) if isinstance(sizes, Iterable) else sizes
    mend = "write the nodes of each layer, inputs first: layered([2, 2, 1])"
    if not isinstance(given, list) or len(given) < 2 or not all(COUNT.holds(size, {}) for size in given):
        raise DataError(expected("sizes", "at least two whole numbers of 1 or more", given, mend))
    counts = list(map(int, given))
    joint = "_" if len(counts) - 2 > SINGLE_DIGITS else ""
    layers = [[f"x{k}" for k in range(1, counts[0] + 1)]]
    for number, count in enumerate(counts[1:-1], 1):
        layers.append([f"h{number}{joint}{k}" for k in range(1, count + 1)])
    layers.append(["eta"] if counts[-1] == 1 else [f"y{k}" for k in range(1, counts[-1] + 1)])
    graph: nx.DiGraph[Any] = nx.DiGraph()
    graph.add_nodes_from(layers[0])
    said = {} if activation is None else {"activation": activation}
    graph.add_nodes_from(chain.from_iterable(layers[1:-1]), **said)
    graph.add_nodes_from(layers[-1], activation=output_activation)
    for parents, children in pairwise(layers):
        graph.add_edges_from(product(parents, children))
    return graph
