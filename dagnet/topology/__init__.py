"""The validated, frozen graph."""

from dagnet.topology.fingerprint import data_fingerprint, fingerprint, fingerprint_by_part
from dagnet.topology.frozen import Topology
from dagnet.topology.reading import checked_dtype, read_settings, topology_from_arrays, topology_from_graph

__all__ = [
    "Topology",
    "checked_dtype",
    "data_fingerprint",
    "fingerprint",
    "fingerprint_by_part",
    "read_settings",
    "topology_from_arrays",
    "topology_from_graph",
]
