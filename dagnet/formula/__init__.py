"""What NumPy functions calculate, as frozen data: traced once, printed, evaluated, differentiated."""

from dagnet.formula.data import (
    ARGUMENT,
    CONSTANT,
    NUMBER,
    PLACE,
    ROW,
    SIZE,
    TERM,
    UNIT,
    Op,
    Recorder,
    Untraceable,
    finest,
)
from dagnet.formula.derivative import pruned
from dagnet.formula.formula import Formula, first_difference, probe_numbers
from dagnet.formula.operations import FAR, NEAR, OPERATIONS, REDUCTIONS, erf, exp, sigmoid, step
from dagnet.formula.symbols import Symbol, plain
from dagnet.formula.tracing import place_in_source, place_of, same, traced, what_it_reads
from dagnet.formula.writing import expression, readable, size

__all__ = [
    "ARGUMENT", "CONSTANT", "FAR", "NEAR", "NUMBER", "OPERATIONS", "PLACE", "REDUCTIONS", "ROW", "SIZE",
    "TERM", "UNIT", "Formula", "Op", "Recorder", "Symbol", "Untraceable", "erf", "exp", "expression",
    "finest", "first_difference", "place_in_source", "place_of", "plain", "probe_numbers", "pruned",
    "readable", "same", "sigmoid", "size", "step", "traced", "what_it_reads",
]  # fmt: skip
