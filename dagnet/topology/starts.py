"""Where what nodes learn and keep beside weights and biases begins."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import LEARNED, MOMENTS
from dagnet.errors import shorten

Nodes = dict[int, float]
"""By the number of a node, where what it learns begins if the graph does not say it."""


def node_starts(
    data: Sequence[Mapping[str, Any]],
    names: Sequence[Hashable],
    units: Array,
    said: Mapping[str, Mapping[int, Any]],
    learned: Mapping[str, Nodes],
    problems: Any,
) -> dict[str, Array]:
    """Where what activations (``learned``) and normalisations learn and keep begins, node after node."""
    normalized = sorted(said.get("normalization", ()))
    defaults = {**LEARNED, **MOMENTS} if normalized else {}
    starts: dict[str, Array] = {}
    for name, nodes in {**learned, **{n: dict.fromkeys(normalized, v) for n, v in defaults.items()}}.items():
        pieces = {}
        for node, default in nodes.items():
            value, where = data[node].get(name) if data else None, f"node {shorten(names[node])}: {name}"
            given = default if value is None else value
            pieces[node] = problems.numbers(where, given, (int(units[node]),)) + np.zeros(units[node])
            if name == "variance" and (pieces[node] < 0).any():
                problems.refuse(where, "at least 0", value)
        if name in learned and "share" in said:
            _refuse_unlike(name, pieces, said["share"], names, problems)
        starts[name] = np.concatenate(list(pieces.values()))
    return starts


def learned_by(used: Mapping[str, Any], is_input: Array) -> dict[str, Nodes]:
    """What activations learn, by name; ``used`` has the topology's ``activations`` and ``activation_of``."""
    found: dict[str, Nodes] = {}
    for kind, activation in enumerate(used["activations"]):
        for name, start in activation.trainable.items():
            nodes = np.flatnonzero((used["activation_of"] == kind) & ~is_input).tolist()
            found.setdefault(name, {}).update(dict.fromkeys(nodes, start))
    return {name: dict(sorted(nodes.items())) for name, nodes in found.items() if nodes}


def _refuse_unlike(
    name: str, pieces: Mapping[int, Array], share: Mapping[int, Any], names: Sequence[Hashable], problems: Any
) -> None:
    """Note the nodes that share a key and learn the same, but do not start alike."""
    first: dict[Any, int] = {}
    for node in (node for node in pieces if share.get(node) is not None):
        one = first.setdefault(share[node], node)
        if not np.array_equal(pieces[node], pieces[one]):
            problems.append(
                f"node {shorten(names[node])} shares key {shorten(share[node])} with {shorten(names[one])} "
                f"and must have the same start {name}; make them equal"
            )
