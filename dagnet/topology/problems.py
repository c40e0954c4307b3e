"""Words for what is wrong with an attribute; each function returns a value or notes a problem."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import Any, TypeVar

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Activation
from dagnet.errors import DagnetError, Verbatim, expected
from dagnet.registry import find_activation
from dagnet.values import FLAG, as_real, whole

T = TypeVar("T")
UNITS = whole(1, 2**31 - 1)
CLOSE = 2
"""Edits from a known attribute at which an unknown one is probably a misspelling."""


class Problems(list[str]):
    """The problems of one graph, gathered; each reader notes what it cannot accept and goes on."""

    def refuse(self, where: str, must: str, got: object, mend: str = "") -> None:
        """Note one problem by the one formula."""
        self.append(expected(where, must, got, mend))

    def tried(self, read: Callable[[Any], T], value: object, fallback: T, where: str = "") -> T:
        """What a reader makes of the value, or else the fallback."""
        try:
            return read(value)
        except DagnetError as error:
            self.append(f"{where}{error}")
            return fallback

    def activation(self, where: str, spec: object, fallback: Activation) -> Activation:
        """The activation that ``spec`` names."""
        return self.tried(find_activation, spec, fallback, f"{where}: ")

    def units(self, where: str, value: object) -> int:
        """A positive whole number."""
        mend = "write units=1 or more, or leave it out"
        return self.tried(partial(UNITS.check, f"{where}: units", mend=mend), value, 1)

    def flag(self, where: str, value: object) -> bool:
        """True or False."""
        return self.tried(partial(FLAG.check, where), value, True)

    def numbers(self, where: str, value: object, shape: tuple[int, ...]) -> Array:
        """Finite float64 numbers of ``shape``; one number serves for all."""
        array = as_real(value)
        if array is None or (array.ndim and array.shape != shape):
            form = "a number" if shape in {(), (1,), (1, 1)} else f"a number or an array of shape {shape}"
            got = value if array is None or array.ndim == 0 else Verbatim(f"shape {array.shape}")
            self.refuse(where, form, got, "convert it: float(…)" if isinstance(value, str) else "")
            return np.zeros(shape)
        if not np.isfinite(array).all():
            self.refuse(where, "finite", value, "leave it out to have it drawn or set to its default")
            return np.zeros(shape)
        return np.broadcast_to(array, shape)


def near_misses(attributes: Iterable[Hashable], known: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs (attribute, known one) where an unknown attribute is within two edits of a known one."""
    names = list(known)
    found = []
    for attribute in sorted(name for name in attributes if isinstance(name, str)):
        if attribute in names:
            continue
        distances = [(edit_distance(attribute, name), name) for name in names if len(name) > 3]
        distance, name = min(distances)
        if distance <= CLOSE:
            found.append((attribute, name))
    return found


def edit_distance(a: str, b: str) -> int:
    """Levenshtein's distance; strings whose lengths alone put them out of reach count as far."""
    if abs(len(a) - len(b)) > CLOSE:
        return CLOSE + 1
    row = list(range(len(b) + 1))
    for i, first in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, second in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (first != second))
    return row[-1]
