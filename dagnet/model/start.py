"""Start values of the parameters: given by the graph, or drawn by the initializer, by name.

What an edge draws depends on the seed, its parent and its child.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from dagnet.adjacency import ranges
from dagnet.arrays import Array
from dagnet.contracts import Initializer
from dagnet.errors import GraphError, PluginError, Verbatim, expected
from dagnet.hashing import ODD, mixed
from dagnet.model.layout import Layout
from dagnet.model.selection import make_generator
from dagnet.registry import named
from dagnet.topology import Topology, are_near, name_keys

PORTION = 2**18


def start_vector(layout: Layout, initializer: Initializer, seed: object, dtype: Any) -> Array:
    """The parameters, and what else a network has of numbers, as one vector in ``dtype``."""
    topology, most = layout.topology, 0.0
    # limits are looked at in double precision
    parameters = np.zeros(layout.n_numbers, dtype if layout.limits is None else np.float64)
    biased = layout.biases >= 0
    with np.errstate(over="ignore"):
        for part, elements in _weights(topology, initializer, seed):
            parameters[layout.weights[part]] = elements
            most = max(most, float(np.maximum.reduce(np.abs(elements), initial=0)))
        parameters[layout.biases[biased]] = topology.bias_start[biased]
        for name, start in topology.node_starts.items():
            parameters[layout.node_places(name)] = start
        factor: Any = layout.factor
        result = parameters.astype(dtype, copy=False)
        cast = None if factor is None else factor.astype(dtype)
    if cast is not None and (odd := ~np.isfinite(cast) | (cast == 0)).any():
        must = f"finite and other than 0 in {np.dtype(dtype)}"
        raise GraphError(expected("factor of an edge", must, float(factor[odd][0]), "use float64"))
    if layout.limits is not None:
        n = layout.plan.n_parameters
        missing = np.zeros(n, bool)
        missing[layout.weights] = np.isnan(topology.weight_start)
        inside = missing | are_near(parameters[:n], *layout.limits)  # what a file has otherwise stays so
        within = np.clip(result[:n], *layout.limits_in(np.dtype(dtype)))
        result[:n] = np.where(inside, within, result[:n])
    if np.count_nonzero(np.isfinite(result)) < len(result):
        given = (topology.bias_start, *topology.node_starts.values())
        most = max(most, *(float(np.abs(start).max(initial=0)) for start in given))
        must = f"finite in {np.dtype(dtype)}"
        raise GraphError(expected("weights and biases", must, most, "use float64"))
    return result


class Draws(np.random.Generator):
    """A generator whose usual numbers are a function of the seed and of one key a number.

    ``random``, ``uniform``, ``normal`` and ``standard_normal`` of as many numbers as there are
    keys follow the keys; all else is drawn one after the other, as by any generator, and so do
    those that are spawned from it or copied.
    """

    def __init__(self, seed: int, keys: Array) -> None:
        super().__init__(np.random.PCG64(seed))
        self._keys, self._calls = mixed(keys + np.uint64(seed)), 0

    def spawn(self, n_children: int) -> list[np.random.Generator]:
        """Independent generators, without keys."""
        return [np.random.Generator(child) for child in self.bit_generator.spawn(n_children)]

    def random(self, size: Any = None, *args: Any, **options: Any) -> Any:
        """U(0, 1) in steps of 2⁻⁵³."""
        if args or options or not self._by_key(size):
            return super().random(size, *args, **options)
        self._calls += 1
        bits = mixed(self._keys + np.uint64(self._calls * int(ODD) % 2**64))
        return (bits >> np.uint64(11)) * 2.0**-53

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        """U(low, high)."""
        if not self._by_key(size):
            return super().uniform(low, high, size)
        return low + (high - low) * self.random(size)

    def standard_normal(self, size: Any = None, *args: Any, **options: Any) -> Any:
        """N(0, 1), by Box and Muller's transformation (1958) of two uniform numbers."""
        if args or options or not self._by_key(size):
            return super().standard_normal(size, *args, **options)
        radius = np.sqrt(-2.0 * np.log1p(-self.random(size)))
        return radius * np.cos(2.0 * np.pi * self.random(size))

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """N(loc, scale²)."""
        if not self._by_key(size) or np.any(np.less(scale, 0)):  # which NumPy refuses
            return super().normal(loc, scale, size)
        return loc + scale * self.standard_normal(size)

    def _by_key(self, size: Any) -> bool:
        if isinstance(size, np.ndarray):
            size = tuple(np.atleast_1d(size).tolist())
        return size in (len(self._keys), self._keys.shape)


@lru_cache(maxsize=256)
def _number(seed: object) -> int:
    """The first 64 bits of a generator, which takes as long to make as all weights of a small network."""
    return int(make_generator(seed).integers(2**64, dtype=np.uint64))


def _weights(topology: Topology, initializer: Initializer, seed: object) -> Iterator[tuple[slice, Array]]:
    """The weights' elements with what is missing drawn, in portions where each is drawn by itself."""
    if not np.count_nonzero(np.isnan(topology.weight_start)):
        yield slice(None), topology.weight_start
        return
    units, n, plain = topology.units, topology.n_nodes, topology.is_plain
    number = _number(seed) if type(seed) is int else _number.__wrapped__(seed)
    ends = topology.sources, topology.targets
    pairs = (np.bincount(one, None if plain else units[other], n) for one, other in (ends, ends[::-1]))
    fan_out, fan_in = (fans.astype(np.float64, copy=False) for fans in pairs)
    nodes = mixed(name_keys(topology.nodes))
    parent, child = nodes * ODD, mixed(nodes + ODD)
    alone = initializer.by_weight and plain and topology.share is None
    size = PORTION if alone else topology.n_edges
    for first in range(0, topology.n_edges, size):
        sources, targets = (end[first : first + size] for end in ends)
        keys = mixed(parent[sources] + child[targets])
        part = slice(first, first + size) if alone else slice(None)
        elements = topology.weight_start[part].copy()
        places, fans = np.isnan(elements), (fan_in[targets], fan_out[sources])
        if alone:
            keys, fans = keys[places], (fans[0][places], fans[1][places])
        else:
            places, keys, fans = _elements(topology, keys, fans)
        elements[places] = _drawn_by(initializer, number, keys, fans)
        yield part, elements if topology.share is None else elements[topology.element_owners()]


def _elements(topology: Topology, keys: Array, fans: Any) -> tuple[Array, Array, Any]:
    """Which elements are drawn, of a shared weight once, and their keys and fans, from those of edges."""
    starts = topology.weight_starts
    edges = owners = np.flatnonzero(np.isnan(topology.weight_start[starts[:-1]]))
    if topology.share is not None:  # of a group the edge with the least key draws, whatever the order
        first = topology.weight_owners()[edges]
        by_key = np.lexsort((keys[edges], first))
        owners, place = np.unique(first[by_key], return_index=True)
        edges = edges[by_key[place]]
    places, counts = ranges(starts[owners], starts[owners + 1]), starts[owners + 1] - starts[owners]
    element = places - np.repeat(starts[owners], counts)
    own = np.repeat(edges, counts)
    return places, keys[own] + element.astype(np.uint64) * ODD, tuple(fan[own] for fan in fans)


def _drawn_by(initializer: Initializer, seed: int, keys: Array, fans: Any) -> Array:
    """In the order of the keys where weights hang together, so that whatever is done follows names.

    Callers ignore what is too large for a float.
    """
    order: Any = slice(None) if initializer.by_weight else np.argsort(keys)
    result = np.empty(len(keys))
    try:
        array = np.array(initializer.weights(Draws(seed, keys[order]), fans[0][order], fans[1][order]))
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(f"{named(initializer)} raised {type(error).__name__}: {error}") from error
    if array.shape != keys.shape or array.dtype.kind != "f":
        got = Verbatim(f"{array.dtype} of shape {array.shape}")
        must = f"floats of shape {keys.shape}"
        raise PluginError(expected(f"{named(initializer)}: result", must, got))
    result[order] = array
    if np.count_nonzero(np.isfinite(result)) < len(result):
        odd = float(result[order][~np.isfinite(result[order])][0])
        raise PluginError(expected(f"{named(initializer)}: result", "finite", odd))
    return result
