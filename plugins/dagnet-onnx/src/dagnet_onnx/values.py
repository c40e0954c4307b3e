"""Where units' values stand while a plan is walked: in few tensors, (units, rows)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from dagnet.arrays import Array
from dagnet_onnx.writer import Writer

FEWEST = 4
"""Tensors that are kept apart at least."""
NODE, TAKEN = 500, 3
"""How many rows a Concat copies while one more node begins, and while a Gather takes one row."""


class Pool(NamedTuple):
    """A tensor, and which unit each of its rows is."""

    name: str
    units: Array

    def rows(self, units: Array) -> Array:
        """Where some units stand in it, int32."""
        order = np.argsort(self.units)
        return order[np.searchsorted(self.units, units, sorter=order)].astype(np.int32)


class Values:
    """The tensors of values so far.

    To put all of them together for each level would copy units · levels rows.  So recent levels stay apart,
    √levels of them at most, before they are put together with what is older; there units that nobody reads
    any more are left out.  From an old tensor a level takes what it reads alone, where that is less work.

    Parameters
    ----------
    last_read
        (units,) the number of the last level that reads each.
    """

    def __init__(self, writer: Writer, last_read: Array) -> None:
        self.writer, self.last_read = writer, last_read
        self.most = max(FEWEST, math.isqrt(int(last_read.max(initial=0))))
        self.tensors: list[Pool] = []
        self._where = np.full(len(last_read), -1)

    def add(self, name: str, units: Array, level: int) -> None:
        """More values, known from a level on."""
        self._keep([*self.tensors, Pool(name, units)])
        if len(self.tensors) > self.most:
            parts = []
            for part in self.tensors:
                lives = self.last_read[part.units] > level
                fewer = 2 * int(lives.sum()) < len(lives)
                parts += (
                    [self.taken(part, part.units[lives])] if fewer and lives.any() else [part] * (not fewer)
                )
            self._keep([self.joined(parts)])

    def _keep(self, tensors: list[Pool]) -> None:
        self.tensors = tensors
        for place, part in enumerate(tensors):
            self._where[part.units] = place

    def pool(self, units: Array) -> Pool:
        """A tensor that has the values of some units, each given once, and perhaps others."""
        places = self._where[units]
        parts: list[int] = np.unique(places).tolist()
        found, whole = list[Pool](), True
        if len(parts) == 1:
            return self.tensors[parts[0]]
        for place in parts:
            part, own = self.tensors[place], units[places == place]
            all_of_it = NODE + TAKEN * len(own) >= len(part.units)
            found.append(part if all_of_it else self.taken(part, own))
            whole = whole and all_of_it
        pool = self.joined(found)
        if whole and len(parts) == len(self.tensors):
            self._keep([pool])
        return pool

    def taken(self, part: Pool, units: Array) -> Pool:
        """Some units of a tensor."""
        rows = self.writer.constant(part.rows(units))
        return Pool(self.writer.emit("Gather", part.name, rows, axis=0), units)

    def joined(self, parts: list[Pool]) -> Pool:
        """Several tensors as one."""
        if len(parts) == 1:
            return parts[0]
        name = self.writer.emit("Concat", *(part.name for part in parts), axis=0)
        return Pool(name, np.concatenate([part.units for part in parts]))

    def exactly(self, units: Array) -> str:
        """The name of a tensor whose rows are some units, in this order."""
        distinct = np.unique(units)
        pool = self.pool(distinct)
        return pool.name if np.array_equal(pool.units, units) else self.taken(pool, units).name
