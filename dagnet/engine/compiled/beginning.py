"""Where ∂L/∂a of each unit begins on the walk back, and when δ is written over values.

A unit reads its own a for the last time when it is walked.  So where all that is walked are runs of units,
its δ goes there, and a tile needs half the memory.  The outputs' ∂L/∂a, which the loss writes before, then
stand behind all values.  Units that go on together keep there what is pulled for each other, so then it
does not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.engine.compiled.opened import UNITS

BY_MOMENTS = 4
"""Set in ``started``: ∂L/∂a of the unit begins with what comes by way of its moments over the rows."""
BY_BLOCK = 2
"""Set in ``started``: a block writes ∂L/∂a of the unit, and the first to do so begins it."""
NOWHERE, IN_MOMENTS = -1, -2
"""In ``begun``: ∂L/∂a of the unit begins at 0, or with what comes by way of its moments."""


def first_pulls(program: Any) -> Array:
    """(weights,) marks in rows of blocks' first units: nothing has written ∂L/∂a of the parent before."""
    fresh = np.zeros(program.plan.n_weights if program.blocks else 0, np.int8)
    for step in reversed(program.blocks):
        sources = program.plan.step_sources(step)
        fresh[step.slot : step.slot + step.n_source] = program.started[sources] == 0
        program.started[sources] |= BY_BLOCK
    return fresh


def begun_apart(program: Any) -> Array:
    """(units,) the number of a unit whose ∂L/∂a something writes before it is walked; others are negative."""
    begun = np.full(program.plan.n_units, NOWHERE, program.sources.dtype)
    early = program.started.nonzero()[0]
    begun[early] = np.where(program.started[early] == BY_MOMENTS, IN_MOMENTS, early)
    return begun


def beginning(program: Any) -> tuple[bool, Array, Array]:
    """Whether a pass of its own memory writes δ over values; where units' ∂L/∂a begins then, and outputs'."""
    plan, others = program.plan, program.runs[:, 0] != UNITS
    if not program.is_one_sweep or program.joins or program.pulls_inputs or np.count_nonzero(others):
        return False, begun_apart(program), program.outputs
    begun = np.full(plan.n_units, NOWHERE, program.sources.dtype)
    behind = np.arange(plan.n_units, plan.n_units + len(program.outputs))
    begun[program.outputs] = behind
    return True, begun, behind
