"""Reading a network: chain rules, gradient checks, verification, diagnosis."""

from dagnet.explain.backward_pass import BackwardPass, EdgeStep, NodeStep, trace_all
from dagnet.explain.chain_rule import ChainRule, Derivative, Fact, Factor, Path
from dagnet.explain.diagnosis import Diagnosis, Finding, diagnose
from dagnet.explain.formula import formula
from dagnet.explain.gradient_check import GradientCheck, check_gradient
from dagnet.explain.noticed import warn_of_fit
from dagnet.explain.summary import Summary, summary
from dagnet.explain.tracing import trace
from dagnet.explain.verification import Verification, verify

__all__ = [
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
    "check_gradient",
    "diagnose",
    "formula",
    "summary",
    "trace",
    "trace_all",
    "verify",
    "warn_of_fit",
]
