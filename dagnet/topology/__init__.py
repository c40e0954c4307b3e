"""The validated, frozen graph."""

from dagnet.topology.fingerprint import NUMPY, fingerprint
from dagnet.topology.frozen import Topology
from dagnet.topology.problems import as_real, as_whole
from dagnet.topology.reading import topology_from_arrays, topology_from_graph
from dagnet.topology.settings import Settings, checked_dtype, read_settings

__all__ = [
    "NUMPY",
    "Settings",
    "Topology",
    "as_real",
    "as_whole",
    "checked_dtype",
    "fingerprint",
    "read_settings",
    "topology_from_arrays",
    "topology_from_graph",
]
