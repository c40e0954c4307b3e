"""Start values of the parameters: given by the graph, or drawn by the initializer, by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from dagnet.adjacency import ranges
from dagnet.arrays import Array
from dagnet.contracts import Initializer
from dagnet.errors import GraphError, PluginError, Verbatim, expected
from dagnet.model.draws import ODD, Draws, edge_keys
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
    units, starts, keys = topology.units, topology.weight_starts, edge_keys(topology)
    edges = owners = np.flatnonzero(np.isnan(elements[starts[:-1]]))
    if topology.share is not None:  # of a group the edge with the least key draws, whatever the order
        first = topology.weight_owners()[edges]
        by_key = np.lexsort((keys[edges], first))
        owners, place = np.unique(first[by_key], return_index=True)
        edges = edges[by_key[place]]
    sources, targets = topology.sources[edges], topology.targets[edges]
    fan_in = np.bincount(topology.targets, weights=units[topology.sources], minlength=topology.n_nodes)
    fan_out = np.bincount(topology.sources, weights=units[topology.targets], minlength=topology.n_nodes)
    fans, keys, places = (fan_in[targets], fan_out[sources]), keys[edges], owners
    if not topology.is_plain:
        places = ranges(starts[owners], starts[owners + 1])
        counts = starts[owners + 1] - starts[owners]
        element = places - np.repeat(starts[owners], counts)
        fans = (np.repeat(fans[0], counts), np.repeat(fans[1], counts))
        keys = np.repeat(keys, counts) + element.astype(np.uint64) * ODD
    result = elements.copy()
    result[places] = _drawn_by(initializer, int(generator.integers(2**64, dtype=np.uint64)), keys, fans)
    return result if topology.share is None else result[topology.element_owners()]


def _drawn_by(initializer: Initializer, seed: int, keys: Array, fans: tuple[Array, Array]) -> Array:
    """In the order of the keys, so that whatever the initializer does follows names."""
    order = np.argsort(keys)
    result = np.empty(len(keys))
    result[order] = _checked(initializer, Draws(seed, keys[order]), fans[0][order], fans[1][order])
    return result


def _checked(initializer: Initializer, draws: Draws, fan_in: Array, fan_out: Array) -> Array:
    where = named(initializer)
    try:
        array = np.array(initializer.weights(draws, fan_in, fan_out))
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(f"{where} raised {type(error).__name__}: {error}") from error
    where = f"{where}: result"
    if array.shape != fan_in.shape or array.dtype.kind != "f":
        got = Verbatim(f"{array.dtype} of shape {array.shape}")
        raise PluginError(expected(where, f"floats of shape {fan_in.shape}", got))
    with np.errstate(over="ignore"):
        result: Array = array.astype(np.float64)
    if not np.isfinite(result).all():
        raise PluginError(expected(where, "finite", float(result[~np.isfinite(result)][0])))
    return result
