"""The validated, frozen graph."""

from dagnet.topology.fingerprint import data_fingerprint, fingerprint, fingerprint_by_part, name_keys
from dagnet.topology.frozen import Topology, UserAttributes
from dagnet.topology.reading import checked_dtype, read_settings, topology_from_arrays, topology_from_graph

__all__ = [
    "Topology",
    "UserAttributes",
    "checked_dtype",
    "data_fingerprint",
    "fingerprint",
    "fingerprint_by_part",
    "name_keys",
    "read_settings",
    "topology_from_arrays",
    "topology_from_graph",
]
