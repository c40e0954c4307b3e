"""What NumPy functions calculate, as frozen data: traced once, printed, evaluated, differentiated."""

from dagnet.formula.formula import Formula
from dagnet.formula.operations import erf, sigmoid
from dagnet.formula.recording import Untraceable
from dagnet.formula.tracing import traced

__all__ = ["Formula", "Untraceable", "erf", "sigmoid", "traced"]
