"""neat-python: its own feed-forward network, evaluated row by row, as every NEAT user has it."""

from __future__ import annotations

from typing import Any

import numpy as np

from .graphs import Missing, Wiring

try:
    from neat.activations import identity_activation, relu_activation
    from neat.aggregations import sum_aggregation
    from neat.nn import FeedForwardNetwork
except ImportError:
    FeedForwardNetwork = None


def neat_network(wiring: Wiring) -> Any:
    """The same network; hidden relu, outputs identity, nothing scaled."""
    if FeedForwardNetwork is None:
        raise Missing("neat-python is not installed")
    evaluations = []
    for node in range(wiring.n_inputs, wiring.n_nodes):
        run = slice(wiring.indptr[node], wiring.indptr[node + 1])
        links = list(zip(wiring.sources[run].tolist(), wiring.weights[run].tolist(), strict=True))
        activation = identity_activation if wiring.is_output[node] else relu_activation
        evaluations.append((node, activation, sum_aggregation, float(wiring.biases[node]), 1.0, links))
    return FeedForwardNetwork(list(range(wiring.n_inputs)), wiring.outputs.tolist(), evaluations)


def activate_rows(network: Any, X: np.ndarray) -> np.ndarray:
    """``activate`` for each row, (rows, outputs)."""
    return np.array([network.activate(row) for row in X.tolist()])
