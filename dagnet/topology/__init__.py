"""The validated, frozen graph."""

from dagnet.topology.cycles import refuse_cycles
from dagnet.topology.extras import edge_values, normalizations
from dagnet.topology.fingerprint import data_fingerprint, fingerprint, fingerprint_by_part, name_keys
from dagnet.topology.frozen import Topology, UserAttributes
from dagnet.topology.heads import Head, heads_of
from dagnet.topology.limits import are_near, interval_text, parameter_limits, weight_limits
from dagnet.topology.reading import (
    checked_dtype,
    checked_graph,
    read_settings,
    topology_from_arrays,
    topology_from_graph,
)

__all__ = [
    "Head",
    "Topology",
    "UserAttributes",
    "are_near",
    "checked_dtype",
    "checked_graph",
    "data_fingerprint",
    "edge_values",
    "fingerprint",
    "fingerprint_by_part",
    "heads_of",
    "interval_text",
    "name_keys",
    "normalizations",
    "parameter_limits",
    "read_settings",
    "refuse_cycles",
    "topology_from_arrays",
    "topology_from_graph",
    "weight_limits",
]
