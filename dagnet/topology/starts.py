"""Where what nodes learn and keep beside weights and biases begins."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import LEARNED, MOMENTS
from dagnet.errors import shorten
from dagnet.topology.extras import normalizations


def node_starts(
    data: Sequence[Mapping[str, Any]],
    names: Sequence[Hashable],
    units: Array,
    said: Mapping[str, Mapping[int, Any]],
    problems: Any,
) -> dict[str, Array]:
    """Where what normalisations learn and keep begins, node after node."""
    normalized, starts = normalizations(said), dict[str, Array]()
    for node, kind in normalized.items():
        if not kind.over_rows and units[node] == 1:
            problems.append(
                f"node {shorten(names[node])}: normalization {kind.name!r} is over the units of one node and "
                "must stand on one of several, got units=1; write units=2 or more, or normalization='batch'"
            )
    for name, default in {**LEARNED, **MOMENTS}.items():
        pieces = []
        for node in [node for node, kind in normalized.items() if name in LEARNED or kind.over_rows]:
            value, where = data[node].get(name), f"node {shorten(names[node])}: {name}"
            given = default if value is None else value
            pieces.append(problems.numbers(where, given, (int(units[node]),)) + np.zeros(units[node]))
            if name == "variance" and (pieces[-1] < 0).any():
                problems.refuse(where, "at least 0", value)
        if pieces:
            starts[name] = np.concatenate(pieces)
    return starts
