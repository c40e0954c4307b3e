"""Reading a network: chain rules, gradient checks, verification, diagnosis."""

from dagnet.explain.gradient_check import GradientCheck, check_gradient
from dagnet.explain.verification import Verification, verify

__all__ = ["GradientCheck", "Verification", "check_gradient", "verify"]
