"""The frozen plan: what engines execute."""

from dagnet.plan.frozen import ACTIVATE, DENSE, KINDS, SPARSE, STEP, Step
from dagnet.plan.program import Plan
from dagnet.plan.transposition import pull_rows

__all__ = ["ACTIVATE", "DENSE", "KINDS", "SPARSE", "STEP", "Plan", "Step", "pull_rows"]
