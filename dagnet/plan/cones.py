"""What depends on some units: the parts of a plan's steps that run again where these have other values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from dagnet.adjacency import offsets, ranges, reachable, rows_by
from dagnet.arrays import Array
from dagnet.plan.frozen import DENSE, PlanData, Step
from dagnet.plan.restriction import with_mates
from dagnet.plan.transposition import read_by, readers


class Cones(NamedTuple):
    """Some cones, one after the other: units that have other values, and what has to be evaluated again.

    ``parts`` are (number of the step, first unit, last unit + 1), in the plan's order; ``first_unit`` and
    ``first_part``, (cones + 1,), say where each cone's own begin.
    """

    units: Array
    first_unit: Array
    parts: Array
    first_part: Array

    def steps(self, plan: PlanData, cone: int) -> Iterator[Step]:
        """Those of one cone, each for its units alone."""
        for number, first, last in self.parts[slice(*self.first_part[cone : cone + 2])].tolist():
            step, (begin, end) = Step._make(plan.steps[number].item()), plan.indptr[[first, last]].tolist()
            n_source = step.n_source if step.kind == DENSE else end - begin
            yield step._replace(target=first, n_target=last - first, n_source=n_source, slot=begin)


class Dependents:
    """Who depends on whom in a plan, on the way to some units."""

    def __init__(self, plan: PlanData, ends: Array) -> None:
        self.plan, self.readers, mask = plan, readers(plan), np.zeros(plan.n_units, bool)
        mask[reachable(read_by(plan), ends)] = True
        self.reaching = with_mates(plan, mask)
        first, n = plan.steps["target"], plan.steps["n_target"]
        self.steps = rows_by(ranges(first, first + n), np.repeat(np.arange(len(n)), n), plan.n_units)

    def cones(self, units: Array, counts: Array) -> Cones:
        """Those of several sets of units, which stand one behind the other, so many of each."""
        n, n_steps, first_unit = self.plan.n_units, len(self.plan.steps), offsets(counts)
        seeds, asked = np.repeat(np.arange(len(counts)), counts) * n + units, np.zeros(len(counts) * n, bool)
        asked[reachable(self.readers, seeds, within=np.tile(self.reaching, len(counts)))] = True
        asked[seeds] = False
        cone, unit = np.divmod(np.flatnonzero(asked), n)
        number, degrees = self.steps.neighbours[self.steps.expand(unit)], self.steps.degrees()[unit]
        keys = np.sort((np.repeat(cone, degrees) * n_steps + number) * n + np.repeat(unit, degrees))
        runs = keys // n + keys  # where the step goes on it grows by 1 from unit to unit
        starts = np.flatnonzero(np.diff(runs, prepend=-2) != 1)
        ends = np.append(starts[1:], len(keys))[: len(starts)] - 1
        (place, first), last = np.divmod(keys[starts], n), keys[ends] % n
        cone, number = np.divmod(place, n_steps)
        first_part = offsets(np.bincount(cone, minlength=len(counts)))
        return Cones(units, first_unit, np.column_stack([number, first, last + 1]), first_part)
