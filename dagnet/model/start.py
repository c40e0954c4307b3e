"""Start values of the parameters: given by the graph, or drawn by the initializer, by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Initializer
from dagnet.errors import GraphError, expected
from dagnet.model.layout import Layout
from dagnet.topology import are_near


def start_vector(
    layout: Layout, initializer: Initializer, generator: np.random.Generator, dtype: Any
) -> Array:
    """The parameters, and what else a network has of numbers, as one vector in ``dtype``."""
    topology = layout.topology
    elements = topology.weight_start
    if np.isnan(elements).any():
        from dagnet.model.draws import drawn  # noqa: PLC0415 - numpy.random is only for those who draw

        elements = drawn(topology, elements, initializer, generator)
    parameters = np.zeros(layout.n_numbers)
    parameters[layout.weights] = elements
    biased = layout.biases >= 0
    parameters[layout.biases[biased]] = topology.bias_start[biased]
    for name, start in topology.node_starts.items():
        parameters[layout.node_places(name)] = start
    with np.errstate(over="ignore"):
        result: Array = parameters.astype(dtype)
        factor = np.ones(0) if layout.factor is None else layout.factor.astype(dtype)
    odd = ~np.isfinite(factor) | (factor == 0)
    if layout.factor is not None and odd.any():
        must = f"finite and other than 0 in {np.dtype(dtype)}"
        raise GraphError(expected("factor of an edge", must, float(layout.factor[odd][0]), "use float64"))
    if layout.limits is not None:
        n = layout.plan.n_parameters
        missing = np.zeros(n, bool)
        missing[layout.weights] = np.isnan(topology.weight_start)
        inside = missing | are_near(
            parameters[:n], *layout.limits
        )  # what was written elsewhere stays in files
        within = np.clip(result[:n], *layout.limits_in(np.dtype(dtype)))
        result[:n] = np.where(inside, within, result[:n])
    if not np.isfinite(result).all():
        must, largest = f"finite in {np.dtype(dtype)}", float(np.abs(parameters).max())
        raise GraphError(expected("weights and biases", must, largest, "use float64"))
    return result
