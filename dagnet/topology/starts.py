"""Where what nodes learn and keep beside weights and biases begins."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import LEARNED, MOMENTS
from dagnet.errors import shorten


def node_starts(
    data: Sequence[Mapping[str, Any]],
    names: Sequence[Hashable],
    units: Array,
    said: Mapping[str, Mapping[int, Any]],
    problems: Any,
) -> dict[str, Array]:
    """Where what normalisations learn and keep begins, node after node."""
    nodes = sorted(said.get("normalization", ()))
    starts: dict[str, Array] = {}
    for name, default in ({**LEARNED, **MOMENTS} if nodes else {}).items():
        pieces = []
        for node in nodes:
            value, where = data[node].get(name), f"node {shorten(names[node])}: {name}"
            given = default if value is None else value
            pieces.append(problems.numbers(where, given, (int(units[node]),)) + np.zeros(units[node]))
            if name == "variance" and (pieces[-1] < 0).any():
                problems.refuse(where, "at least 0", value)
        starts[name] = np.concatenate(pieces)
    return starts
