"""The validated, frozen graph."""

from dagnet.topology.fingerprint import fingerprint
from dagnet.topology.frozen import Topology
from dagnet.topology.reading import topology_from_arrays, topology_from_graph
from dagnet.topology.settings import graph_settings

__all__ = ["Topology", "fingerprint", "graph_settings", "topology_from_arrays", "topology_from_graph"]
