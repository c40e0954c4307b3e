"""The validated, frozen graph."""

from dagnet.topology.attributes import EDGE_WORDS, NODE_WORDS
from dagnet.topology.cycles import refuse_cycles
from dagnet.topology.extras import (
    EDGE_EXTRAS,
    NODE_EXTRAS,
    edge_column,
    edge_values,
    normalizations,
    read_node_extras,
)
from dagnet.topology.fingerprint import data_fingerprint, fingerprint, fingerprint_by_part, name_keys
from dagnet.topology.frozen import Topology, UserAttributes
from dagnet.topology.groups import is_hashable
from dagnet.topology.heads import HEAD_WORDS, Head, heads_of
from dagnet.topology.limits import are_near, interval_text, parameter_limits, weight_limits
from dagnet.topology.reading import (
    checked_dtype,
    checked_graph,
    read_settings,
    topology_from_arrays,
    topology_from_graph,
)
from dagnet.topology.said import Problems, Said
from dagnet.topology.sharing import sharing_problems

__all__ = [
    "EDGE_EXTRAS",
    "EDGE_WORDS",
    "HEAD_WORDS",
    "NODE_EXTRAS",
    "NODE_WORDS",
    "Head",
    "Problems",
    "Said",
    "Topology",
    "UserAttributes",
    "are_near",
    "checked_dtype",
    "checked_graph",
    "data_fingerprint",
    "edge_column",
    "edge_values",
    "fingerprint",
    "fingerprint_by_part",
    "heads_of",
    "interval_text",
    "is_hashable",
    "name_keys",
    "normalizations",
    "parameter_limits",
    "read_node_extras",
    "read_settings",
    "refuse_cycles",
    "sharing_problems",
    "topology_from_arrays",
    "topology_from_graph",
    "weight_limits",
]  # fmt: skip
