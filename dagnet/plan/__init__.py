"""The frozen plan: what engines execute."""

from dagnet.plan.frozen import ACTIVATE, DENSE, SPARSE, STEP, Step
from dagnet.plan.program import Plan

__all__ = ["ACTIVATE", "DENSE", "SPARSE", "STEP", "Plan", "Step"]
