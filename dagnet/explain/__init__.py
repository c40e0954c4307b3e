"""Reading a network: chain rules, gradient checks, verification, diagnosis."""

from importlib import import_module
from typing import TYPE_CHECKING

from dagnet.explain.attribution import Attribution, attribute
from dagnet.explain.backward_pass import BackwardPass, EdgeStep, NodeStep, trace_all
from dagnet.explain.chain_rule import ChainRule, Derivative, Fact, Factor, Path
from dagnet.explain.diagnosis import Diagnosis, Finding, diagnose
from dagnet.explain.formula import formula
from dagnet.explain.summary import Summary, summary
from dagnet.explain.tracing import trace

if TYPE_CHECKING:
    from dagnet.explain.gradient_check import GradientCheck, check_gradient
    from dagnet.explain.noticed import warn_of_fit
    from dagnet.explain.verification import Verification, verify

__all__ = [
    "Attribution",
    "BackwardPass",
    "ChainRule",
    "Derivative",
    "Diagnosis",
    "EdgeStep",
    "Fact",
    "Factor",
    "Finding",
    "GradientCheck",
    "NodeStep",
    "Path",
    "Summary",
    "Verification",
    "attribute",
    "check_gradient",
    "diagnose",
    "formula",
    "summary",
    "trace",
    "trace_all",
    "verify",
    "warn_of_fit",
]

LATE = {
    "GradientCheck": "gradient_check",
    "check_gradient": "gradient_check",
    "warn_of_fit": "noticed",
    "Verification": "verification",
    "verify": "verification",
}


def __getattr__(name: str) -> object:
    """What few need is read when it is first asked for."""
    if name in LATE:
        return getattr(import_module(f"dagnet.explain.{LATE[name]}"), name)
    raise AttributeError(f"module 'dagnet.explain' has no attribute {name!r}")
