"""Edges and nodes that say the same ``share`` key: whether they are alike."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

import numpy as np

from dagnet.adjacency import offsets, ranges
from dagnet.arrays import Array
from dagnet.contracts import MOMENTS
from dagnet.errors import shorten
from dagnet.topology.frozen import Topology
from dagnet.topology.groups import first_of_group

CLOSE = 1e-12
"""How far apart, relatively, start values may be that a factor divided."""


def sharing_problems(topology: Topology, *, divided: bool = False) -> Iterator[str]:
    """Edges and nodes that differ from the first of their group in what those of one have in common.

    Where weights were ``divided`` by factors they need only be close.
    """
    units = topology.units
    if topology.share is not None:
        here, there = _pairs(topology.share)
        rows, columns = units[topology.targets], units[topology.sources]
        start = "weight / factor to start with" if divided else "start weight"
        pairs = topology.weight_starts, topology.weight_start, here, there
        same = {
            "shape": (rows[here] == rows[there]) & (columns[here] == columns[there]),
            start: _same_values(*pairs, close=divided),
            "trainable": topology.edge_trainable[here] == topology.edge_trainable[there],
        }
        yield from _unlike("edge", topology.share, topology.share_keys, same, topology.edge_text)
    if "share" in topology.node_words:
        share, keys = topology.node_groups()
        same = _same_of_nodes(topology, *_pairs(share))
        yield from _unlike("node", share, keys, same, lambda node: shorten(topology.nodes[node]))


def _same_of_nodes(topology: Topology, here: Array, there: Array) -> dict[str, Array]:
    units, texts = topology.units, topology.node_words.get("normalization", {})
    kinds = list(dict.fromkeys(texts.values()))
    by = np.full(len(units), -1)
    by[list(texts)] = [kinds.index(text) for text in texts.values()]
    same = {
        "units": units[here] == units[there],
        "bias or none": topology.has_bias[here] == topology.has_bias[there],
        "trainable": topology.bias_trainable[here] == topology.bias_trainable[there],
        "start bias": _same_values(topology.unit_starts, topology.bias_start, here, there),
        "normalization": by[here] == by[there],
    }
    for name, values in topology.node_starts.items():
        if name not in MOMENTS:
            own, nodes = np.zeros_like(units), topology.nodes_with(name)
            own[nodes] = units[nodes]
            same[f"start {name}"] = _same_values(offsets(own), values, here, there)
    return same


def _pairs(share: Array) -> tuple[Array, Array]:
    """All that share, and the first of the group of each."""
    members = np.flatnonzero(share >= 0)
    return members, first_of_group(share)[members]


def _same_values(starts: Array, values: Array, here: Array, there: Array, *, close: bool = False) -> Array:
    """(pairs,) equal to the bit, or where ``close`` to 1e-12 relative; NaN equal each other.

    ``starts`` says where each one's values begin; those of another length are compared no further.
    """
    sizes, result = np.diff(starts), np.ones(len(here), bool)
    compared = np.flatnonzero((sizes[here] == sizes[there]) & (sizes[here] > 0))
    if len(compared):
        one, other = (values[ranges(starts[a], starts[a + 1])] for a in (here[compared], there[compared]))
        same = one.view(np.int64) == other.view(np.int64)
        if close:
            same |= np.abs(one - other) <= CLOSE * np.maximum(np.abs(one), np.abs(other))
        result[compared] = np.logical_and.reduceat(same, offsets(sizes[here[compared]])[:-1])
    return result


def _unlike(
    kind: str, share: Array, keys: Sequence[Hashable], same: Mapping[str, Array], text: Callable[[int], str]
) -> Iterator[str]:
    """One sentence for each that differs in something."""
    members, ones = _pairs(share)
    facts = list(same)
    for pair, fact in np.argwhere(~np.stack(list(same.values()), axis=1)).tolist():
        one = int(members[pair])
        yield (
            f"{kind} {text(one)} shares key {shorten(keys[share[one]])} with {text(int(ones[pair]))} "
            f"and must have the same {facts[fact]}; make them equal"
        )
