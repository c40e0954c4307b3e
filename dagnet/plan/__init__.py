"""The frozen plan: what engines execute."""

from dagnet.plan.aggregating import aggregate_steps, aggregated, slopes
from dagnet.plan.cones import Cones, Dependents
from dagnet.plan.frozen import (
    ACTIVATE,
    AGGREGATE,
    DENSE,
    DROP,
    KINDS,
    LAYER,
    NORMALISE,
    SPARSE,
    STEP,
    THIN,
    Step,
)
from dagnet.plan.program import Plan
from dagnet.plan.restriction import with_mates
from dagnet.plan.training import training_plan
from dagnet.plan.transposition import first_learned, slot_targets, slot_units

__all__ = [
    "ACTIVATE",
    "AGGREGATE",
    "DENSE",
    "DROP",
    "KINDS",
    "LAYER",
    "NORMALISE",
    "SPARSE",
    "STEP",
    "THIN",
    "Cones",
    "Dependents",
    "Plan",
    "Step",
    "aggregate_steps",
    "aggregated",
    "first_learned",
    "slopes",
    "slot_targets",
    "slot_units",
    "training_plan",
    "with_mates",
]  # fmt: skip
