"""The frozen plan: what engines execute."""

from dagnet.plan.frozen import ACTIVATE, AGGREGATE, DENSE, DROP, NORMALISE, SPARSE, STEP, Step
from dagnet.plan.program import Plan
from dagnet.plan.training import training_plan

__all__ = [
    "ACTIVATE",
    "AGGREGATE",
    "DENSE",
    "DROP",
    "NORMALISE",
    "SPARSE",
    "STEP",
    "Plan",
    "Step",
    "training_plan",
]
