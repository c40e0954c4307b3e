"""Start values of the parameters: given by the graph, or drawn by the initializer in its order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.adjacency import ranges
from dagnet.compiler import Compiled
from dagnet.contracts import Initializer
from dagnet.errors import GraphError, PluginError, Verbatim, expected
from dagnet.registry import named
from dagnet.topology import Topology

__all__ = ["start_parameters"]

Array = NDArray[Any]


def start_parameters(
    topology: Topology,
    compiled: Compiled,
    initializer: Initializer,
    generator: np.random.Generator,
    dtype: Any,
) -> Array:
    """The flat vector in ``dtype``."""
    plan = compiled.plan
    elements = topology.weight_start
    if np.isnan(elements).any():
        elements = _drawn(topology, elements, initializer, generator)
    slots = np.zeros(plan.n_slots)
    slots[compiled.element_slot] = elements
    order = np.argsort(compiled.first_unit)
    starts = np.cumsum(topology.units) - topology.units
    units = ranges(starts[order], starts[order] + topology.units[order])
    biased = plan.bias_slot >= 0
    slots[plan.bias_slot[biased]] = topology.bias_start[units][biased]
    parameters = slots
    if plan.tie is not None:
        parameters = np.zeros(plan.n_parameters)
        parameters[plan.tie] = slots
    with np.errstate(over="ignore"):
        result: Array = parameters.astype(dtype)
    if not np.isfinite(result).all():
        largest = float(np.abs(parameters).max())
        raise GraphError(
            expected("weights and biases", f"finite in {np.dtype(dtype)}", largest, "use float64")
        )
    return result


def _drawn(
    topology: Topology, elements: Array, initializer: Initializer, generator: np.random.Generator
) -> Array:
    sizes = topology.units[topology.sources] * topology.units[topology.targets]
    single = bool((topology.units == 1).all())
    missing = np.isnan(elements)
    edge_missing = missing if single else missing[np.cumsum(sizes) - sizes]
    edges = np.flatnonzero(edge_missing & _first_of_its_key(topology))
    fan_in = np.bincount(
        topology.targets, weights=topology.units[topology.sources], minlength=topology.n_nodes
    )
    fan_out = np.bincount(
        topology.sources, weights=topology.units[topology.targets], minlength=topology.n_nodes
    )
    counts = sizes[edges]
    fans = (
        np.repeat(fan_in[topology.targets[edges]], counts),
        np.repeat(fan_out[topology.sources[edges]], counts),
    )
    values = _drawn_by(initializer, generator, fans)
    result = elements.copy()
    if topology.share is None and single:
        result[edges] = values
        return result
    _spread(topology, result, edges, counts, values)
    return result


def _first_of_its_key(topology: Topology) -> Array:
    """(edges,) mask: the edges that own a weight, the first of each shared group."""
    mask = np.ones(topology.n_edges, bool)
    if topology.share is not None:
        shared = np.flatnonzero(topology.share >= 0)
        mask[shared] = False
        _, first = np.unique(topology.share[shared], return_index=True)
        mask[shared[first]] = True
    return mask


def _spread(topology: Topology, result: Array, edges: Array, counts: Array, values: Array) -> None:
    """Put drawn values at their edges, and at the edges that share them."""
    sizes = topology.units[topology.sources] * topology.units[topology.targets]
    starts = np.cumsum(sizes) - sizes
    for edge, drawn in zip(edges.tolist(), np.split(values, np.cumsum(counts)[:-1]), strict=True):
        alike = [edge]
        if topology.share is not None and topology.share[edge] >= 0:
            alike = np.flatnonzero(topology.share == topology.share[edge]).tolist()
        for other in alike:
            result[starts[other] : starts[other] + sizes[other]] = drawn


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
        raise PluginError(
            expected(where, f"floats of shape {shape}", Verbatim(f"{array.dtype} of shape {array.shape}"))
        )
    if not np.isfinite(array).all():
        raise PluginError(expected(where, "finite", float(array[~np.isfinite(array)][0])))
    return array
