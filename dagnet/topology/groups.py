"""What says the same ``share`` key: numbers of groups, in the order of their first use."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.errors import expected


def groups(
    keys: Sequence[Any], where: Callable[[int], str], problems: list[str]
) -> tuple[Array, tuple[Hashable, ...]]:
    """The group of each key, −1 for None, and the groups' keys in the order of their first use."""
    try:
        found = dict.fromkeys(keys)
    except TypeError:
        odd = {id(key): number for number, key in [*enumerate(keys)][::-1] if not is_hashable(key)}
        problems += [expected(f"{where(n)}: share", "a hashable key", keys[n]) for n in sorted(odd.values())]
        keys = [None if id(key) in odd else key for key in keys]
        found = dict.fromkeys(keys)
    found.pop(None, None)
    numbers = {None: -1, **{key: number for number, key in enumerate(found)}}
    return np.fromiter(map(numbers.__getitem__, keys), np.int64, len(keys)), tuple(found)


def is_hashable(key: Any) -> bool:
    """Whether a dictionary may have the key; of a tuple what is in it decides."""
    try:
        hash(key)
    except TypeError:
        return False
    return True


def first_of_group(share: Array) -> Array:
    """(members,) of each the first of its group: itself where ``share`` is negative."""
    first = np.arange(len(share))
    members = np.flatnonzero(share >= 0)
    least = np.zeros(int(share.max(initial=-1)) + 1, np.int64)
    least[share[members[::-1]]] = members[::-1]  # of several the last assignment stays
    first[members] = least[share[members]]
    return first
