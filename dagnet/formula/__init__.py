"""What NumPy functions calculate, as frozen data: traced once, printed, evaluated, differentiated."""

from dagnet.formula.data import Untraceable
from dagnet.formula.formula import Formula
from dagnet.formula.operations import erf, exp, sigmoid, step
from dagnet.formula.tracing import traced

__all__ = ["Formula", "Untraceable", "erf", "exp", "sigmoid", "step", "traced"]
