"""Reading a network: chain rules, gradient checks, verification, diagnosis.

Gradient checks, verification and what ``fit`` notices are read from their modules when they are asked for.
"""

from dagnet.explain.attribution import Attribution, attribute
from dagnet.explain.backward_pass import BackwardPass, trace_all
from dagnet.explain.chain_rule import ChainRule
from dagnet.explain.description import Summary, formula, summary
from dagnet.explain.diagnosis import Diagnosis, diagnose
from dagnet.explain.tracing import trace

__all__ = [
    "Attribution",
    "BackwardPass",
    "ChainRule",
    "Diagnosis",
    "Summary",
    "attribute",
    "diagnose",
    "formula",
    "summary",
    "trace",
    "trace_all",
]
