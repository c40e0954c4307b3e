"""The validated, frozen graph."""

from dagnet.topology.fingerprint import fingerprint
from dagnet.topology.frozen import Topology
from dagnet.topology.reading import topology_from_arrays, topology_from_graph
from dagnet.topology.settings import Settings, checked_dtype, read_settings

__all__ = [
    "Settings",
    "Topology",
    "checked_dtype",
    "fingerprint",
    "read_settings",
    "topology_from_arrays",
    "topology_from_graph",
]
