"""Where a pre-activation stands on a kink of its activation, and a derivative is one-sided."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.model.layout import Layout
from dagnet.plan import ACTIVATE

__all__ = ["units_on_kinks"]

Array = NDArray[Any]


def units_on_kinks(layout: Layout, z: Array, reach: Array | float) -> Array:
    """(units,) mask: some row's z, of (units, rows), is within ``reach`` of a declared kink."""
    plan = layout.plan
    found = np.zeros(plan.n_units, bool)
    within = np.broadcast_to(reach, plan.n_units)
    for step in plan.steps[plan.steps["kind"] == ACTIVATE]:
        units = slice(int(step["target"]), int(step["target"] + step["n_target"]))
        for kink in plan.activations[step["what"]].kink_points():
            found[units] |= (np.abs(z[units] - kink) <= within[units, None]).any(axis=1)
    return found
