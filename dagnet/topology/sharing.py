"""Edges and nodes that say the same ``share`` key: who is in which group, and whether they are alike."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dagnet.adjacency import offsets, ranges
from dagnet.arrays import Array
from dagnet.contracts import LEARNED
from dagnet.errors import expected, shorten

CLOSE = 1e-12
"""How far apart, relatively, start values may be that a factor divided."""
Alike = Callable[[Array, Array], Array]
"""(pairs,) which of two edges' or nodes' numbers, (pairs,) each, are alike in something."""


def groups(
    keys: Sequence[Any], where: Callable[[int], str], problems: list[str]
) -> tuple[Array, tuple[Hashable, ...]]:
    """The group of each key, −1 for None, and the groups' keys in the order of their first use.

    Keys that are one object are looked at once.
    """
    ids = np.fromiter(map(id, keys), np.int64, len(keys))
    _, first, which = np.unique(ids, return_index=True, return_inverse=True)
    numbers: dict[Hashable, int] = {}
    found = np.full(len(first), -1)
    for rank in np.argsort(first).tolist():
        key = keys[int(first[rank])]
        try:
            found[rank] = -1 if key is None else numbers.setdefault(key, len(numbers))
        except TypeError:
            problems.append(expected(f"{where(int(first[rank]))}: share", "a hashable key", key))
    return found[which], tuple(numbers)


def refuse_unlike(
    share: Array,
    keys: Sequence[Hashable],
    facts: Mapping[str, Alike],
    where: Callable[[int], str],
    problems: list[str],
) -> None:
    """Note each that differs from the first of its group in one of the ``facts``."""
    members = np.flatnonzero(share >= 0)
    ones = first_of_group(share)[members]
    unlike = np.stack([~alike(members, ones) for alike in facts.values()], axis=1)
    words = list(facts)
    for pair, fact in np.argwhere(unlike).tolist():
        here, there = where(int(members[pair])), where(int(ones[pair]))
        key = shorten(keys[share[members[pair]]])
        with_whom = there.removeprefix("edge ").removeprefix("node ")
        problems.append(
            f"{here} shares key {key} with {with_whom} and must have the same {words[fact]}; make them equal"
        )


def first_of_group(share: Array) -> Array:
    """(members,) of each the first of its group: itself where ``share`` is negative."""
    first = np.arange(len(share))
    members = np.flatnonzero(share >= 0)
    least = np.zeros(int(share.max(initial=-1)) + 1, np.int64)
    least[share[members[::-1]]] = members[::-1]  # of several the last assignment stays
    first[members] = least[share[members]]
    return first


def edge_facts(
    rows: Array, columns: Array, trainable: Array, start: Array, *, divided: bool
) -> dict[str, Alike]:
    """What edges of one weight have in common; where ``divided`` by factors starts need only be close."""
    return {
        "shape": alike_in(rows, columns),
        "weight / factor to start with" if divided else "start weight": alike_in_values(
            offsets(rows * columns), start, close=divided
        ),
        "trainable": alike_in(trainable),
    }


def node_facts(units: Array, has_bias: Array, trainable: Array, start: Array) -> dict[str, Alike]:
    """What nodes of one bias have in common."""
    return {
        "units": alike_in(units),
        "bias or none": alike_in(has_bias),
        "trainable": alike_in(trainable),
        "start bias": alike_in_values(offsets(units), start, close=False),
    }


def learned_facts(
    units: Array,
    said: Mapping[str, Mapping[int, Any]],
    starts: Mapping[str, Array],
    learners: Mapping[str, Iterable[int]],
) -> dict[str, Alike]:
    """What such nodes have in common of what normalisations, and by name activations, learn."""
    texts = said.get("normalization", {})
    kinds = list(dict.fromkeys(texts.values()))
    by = np.full(len(units), -1)
    by[list(texts)] = [kinds.index(text) for text in texts.values()]
    places = offsets(np.where(by < 0, 0, units))
    learned = {f"start {name}": starts[name] for name in LEARNED if name in starts}
    values = {what: alike_in_values(places, array, close=False) for what, array in learned.items()}
    for name, nodes in learners.items():
        own = np.zeros_like(units)
        own[list(nodes)] = units[list(nodes)]
        values[f"start {name}"] = alike_in_values(offsets(own), starts[name], close=False)
    return {"normalization": alike_in(by), **values}


def alike_in(*columns: Array) -> Alike:
    """Equal in each of the columns."""
    return lambda here, there: np.logical_and.reduce([column[here] == column[there] for column in columns])


def alike_in_values(starts: Array, values: Array, *, close: bool) -> Alike:
    """Equal to the bit, or where ``close`` to 1e-12 relative, in all elements, of which NaN equal each other.

    ``starts`` says where each one's values begin; those of another length are compared no further.
    """
    sizes = np.diff(starts)

    def alike(here: Array, there: Array) -> Array:
        compared = np.flatnonzero((sizes[here] == sizes[there]) & (sizes[here] > 0))
        if not len(compared):
            return np.ones(len(here), bool)
        one, other = (values[ranges(starts[a], starts[a + 1])] for a in (here[compared], there[compared]))
        same = one.view(np.int64) == other.view(np.int64)
        if close:
            same |= np.abs(one - other) <= CLOSE * np.maximum(np.abs(one), np.abs(other))
        result = np.ones(len(here), bool)
        result[compared] = np.logical_and.reduceat(same, offsets(sizes[here[compared]])[:-1])
        return result

    return alike
