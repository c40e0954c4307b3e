"""Reading a network: chain rules, gradient checks, verification, diagnosis."""

from dagnet.explain.chain_parts import Derivative, Fact, Factor, Path
from dagnet.explain.chain_rule import ChainRule, trace
from dagnet.explain.gradient_check import GradientCheck, check_gradient
from dagnet.explain.verification import Verification, verify

__all__ = [
    "ChainRule",
    "Derivative",
    "Fact",
    "Factor",
    "GradientCheck",
    "Path",
    "Verification",
    "check_gradient",
    "trace",
    "verify",
]
