"""The validated, frozen graph."""

from dagnet.topology.cycles import refuse_cycles
from dagnet.topology.fingerprint import data_fingerprint, fingerprint, fingerprint_by_part
from dagnet.topology.frozen import Topology
from dagnet.topology.reading import checked_graph, topology_from_arrays, topology_from_graph
from dagnet.topology.settings import GraphSettings, checked_dtype, read_settings

__all__ = [
    "GraphSettings",
    "Topology",
    "checked_dtype",
    "checked_graph",
    "data_fingerprint",
    "fingerprint",
    "fingerprint_by_part",
    "read_settings",
    "refuse_cycles",
    "topology_from_arrays",
    "topology_from_graph",
]
