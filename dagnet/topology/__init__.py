"""The validated, frozen graph."""

from dagnet.topology.attributes import UserAttributes
from dagnet.topology.fingerprint import data_fingerprint, fingerprint, fingerprint_by_part, name_keys
from dagnet.topology.frozen import Topology
from dagnet.topology.reading import topology_from_arrays, topology_from_graph
from dagnet.topology.settings import GraphSettings, checked_dtype, read_settings

__all__ = [
    "GraphSettings",
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
