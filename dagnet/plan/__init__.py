"""The frozen plan: what engines execute."""

from dagnet.plan.frozen import (
    ACTIVATE,
    AGGREGATE,
    DENSE,
    DROP,
    LAYER,
    NORMALISE,
    SPARSE,
    STEP,
    THIN,
    Step,
)
from dagnet.plan.program import Plan
from dagnet.plan.training import training_plan

__all__ = [
    "ACTIVATE",
    "AGGREGATE",
    "DENSE",
    "DROP",
    "LAYER",
    "NORMALISE",
    "SPARSE",
    "STEP",
    "THIN",
    "Plan",
    "Step",
    "training_plan",
]
