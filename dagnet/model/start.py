"""Start values of the parameters: given by the graph, or drawn by the initializer in its order."""

from __future__ import annotations

from typing import Any

import numpy as np

from dagnet.adjacency import ranges
from dagnet.arrays import Array
from dagnet.contracts import Initializer
from dagnet.errors import GraphError, PluginError, Verbatim, expected
from dagnet.model.layout import Layout
from dagnet.registry import named
from dagnet.topology import Topology


def start_parameters(
    layout: Layout, initializer: Initializer, generator: np.random.Generator, dtype: Any
) -> Array:
    """The flat vector in ``dtype``."""
    topology = layout.topology
    elements = topology.weight_start
    if np.isnan(elements).any():
        elements = _drawn(topology, elements, initializer, generator)
    parameters = np.zeros(layout.plan.n_parameters)
    parameters[layout.weights] = elements
    biased = layout.biases >= 0
    parameters[layout.biases[biased]] = topology.bias_start[biased]
    with np.errstate(over="ignore"):
        result: Array = parameters.astype(dtype)
    if not np.isfinite(result).all():
        must, largest = f"finite in {np.dtype(dtype)}", float(np.abs(parameters).max())
        raise GraphError(expected("weights and biases", must, largest, "use float64"))
    return result


def _drawn(
    topology: Topology, elements: Array, initializer: Initializer, generator: np.random.Generator
) -> Array:
    """``elements`` with what is missing drawn, a shared weight once."""
    units, starts = topology.units, topology.weight_starts
    missing = np.isnan(elements[starts[:-1]])
    if topology.share is not None:
        missing &= topology.weight_owners() == np.arange(topology.n_edges)
    edges = np.flatnonzero(missing)
    sources, targets = topology.sources[edges], topology.targets[edges]
    fan_in = np.bincount(topology.targets, weights=units[topology.sources], minlength=topology.n_nodes)
    fan_out = np.bincount(topology.sources, weights=units[topology.targets], minlength=topology.n_nodes)
    fans, places = (fan_in[targets], fan_out[sources]), edges
    if not topology.is_plain:
        places = ranges(starts[edges], starts[edges + 1])
        counts = starts[edges + 1] - starts[edges]
        fans = (np.repeat(fans[0], counts), np.repeat(fans[1], counts))
    result = elements.copy()
    result[places] = _drawn_by(initializer, generator, fans)
    return result if topology.share is None else result[topology.element_owners()]


def _drawn_by(initializer: Initializer, generator: np.random.Generator, fans: tuple[Array, Array]) -> Array:
    where = named(initializer)
    try:
        array = np.asarray(initializer.weights(generator, *fans))
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(f"{where} raised {type(error).__name__}: {error}") from error
    where, shape = f"{where}: result", fans[0].shape
    if array.shape != shape or array.dtype.kind != "f":
        got = Verbatim(f"{array.dtype} of shape {array.shape}")
        raise PluginError(expected(where, f"floats of shape {shape}", got))
    if not np.isfinite(array).all():
        raise PluginError(expected(where, "finite", float(array[~np.isfinite(array)][0])))
    return array
