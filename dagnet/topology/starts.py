"""The rest of what nodes say, and where what they learn and keep beside weights and biases begins."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import LEARNED, MOMENTS
from dagnet.errors import shorten
from dagnet.topology.extras import normalizations, read_node_extras
from dagnet.topology.sharing import Alike, groups, learned_facts, refuse_unlike

Nodes = dict[int, float]
"""By the number of a node, where what it learns begins if the graph does not say it."""


def read_words(
    data: Sequence[Mapping[str, Any]],
    names: Sequence[Hashable],
    units: Array,
    facts: Mapping[str, Alike],
    learned: Mapping[str, Nodes],
    problems: Any,
) -> dict[str, Any]:
    """The rest of what nodes say; ``facts`` is what those that share a bias have in common."""

    def named(node: int) -> str:
        return f"node {shorten(names[node])}"

    said = read_node_extras(data, named, problems.tried)
    starts = _node_starts(data, names, units, said, learned, problems)
    if "share" in said:
        keys = [said["share"].get(node) for node in range(len(names))]
        facts = {**facts, **learned_facts(units, said, starts, learned)}
        refuse_unlike(*groups(keys, named, problems), facts, named, problems)
    return {"node_words": said, "node_starts": starts}


def _node_starts(
    data: Sequence[Mapping[str, Any]],
    names: Sequence[Hashable],
    units: Array,
    said: Mapping[str, Mapping[int, Any]],
    learned: Mapping[str, Nodes],
    problems: Any,
) -> dict[str, Array]:
    """Where what activations (``learned``) and normalisations learn and keep begins, node after node."""
    normalized, starts = normalizations(said), dict[str, Array]()
    for node, kind in normalized.items():
        if not kind.over_rows and units[node] == 1:
            problems.append(
                f"node {shorten(names[node])}: normalization {kind.name!r} is over the units of one node and "
                "must stand on one of several, got units=1; write units=2 or more, or normalization='batch'"
            )
    own = {
        name: {node: start for node, kind in normalized.items() if name in LEARNED or kind.over_rows}
        for name, start in {**LEARNED, **MOMENTS}.items()
    }
    for name, nodes in {**learned, **own}.items():
        pieces = []
        for node, default in nodes.items():
            value, where = data[node].get(name) if data else None, f"node {shorten(names[node])}: {name}"
            given = default if value is None else value
            pieces.append(problems.numbers(where, given, (int(units[node]),)) + np.zeros(units[node]))
            if name == "variance" and (pieces[-1] < 0).any():
                problems.refuse(where, "at least 0", value)
        if pieces:
            starts[name] = np.concatenate(pieces)
    return starts


def learned_by(used: Mapping[str, Any], is_input: Array) -> dict[str, Nodes]:
    """What activations learn, by name; ``used`` has the topology's ``activations`` and ``activation_of``."""
    found: dict[str, Nodes] = {}
    for kind, activation in enumerate(used["activations"]):
        for name, start in activation.trainable.items():
            nodes = np.flatnonzero((used["activation_of"] == kind) & ~is_input).tolist()
            found.setdefault(name, {}).update(dict.fromkeys(nodes, start))
    return {name: dict(sorted(nodes.items())) for name, nodes in found.items() if nodes}
