"""Reading a network: chain rules, gradient checks, verification, diagnosis.

Gradient checks, verification and what ``fit`` notices are read from their modules when they are asked for.
"""

from dagnet.explain.attribution import Attribution, attribute, attribution_of
from dagnet.explain.backward_pass import BackwardPass, trace_all
from dagnet.explain.chain_rule import ChainRule
from dagnet.explain.description import Summary, formula, summary
from dagnet.explain.diagnosis import Diagnosis, diagnose
from dagnet.explain.report import Report, Shown, Table
from dagnet.explain.tracing import trace

__all__ = [
    "Attribution", "BackwardPass", "ChainRule", "Diagnosis", "Report", "Shown", "Summary", "Table",
    "attribute", "attribution_of", "diagnose", "formula", "summary", "trace", "trace_all",
]  # fmt: skip
