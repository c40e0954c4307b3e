"""The frozen plan: what engines execute."""

from dagnet.plan.frozen import ACTIVATE, AGGREGATE, DENSE, SPARSE, STEP, Step
from dagnet.plan.program import Plan

__all__ = ["ACTIVATE", "AGGREGATE", "DENSE", "SPARSE", "STEP", "Plan", "Step"]
