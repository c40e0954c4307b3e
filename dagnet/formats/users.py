"""The user's own attributes in files: plain, under their own names, where a format can hold them.

What it cannot hold, and what has a name that means something to dagnet or to the format, stands as
typed JSON beside (:func:`dagnet.formats.plain_attributes.own_key`); the graph's own, among the settings.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from math import isfinite
from types import NoneType
from typing import Any

import networkx as nx
import numpy as np

from dagnet.errors import DagnetWarning, DataError, shorten
from dagnet.formats.plain_attributes import (
    COLUMNS,
    OWN,
    PREFIX,
    READABLE,
    dumps,
    is_seen,
    not_finite,
    own_key,
)
from dagnet.markup import visible
from dagnet.topology import EDGE_WORDS, NODE_WORDS, Topology
from dagnet.values import DEEPEST, plain

LARGEST = 2**53  # JavaScript has no whole numbers beyond
LINES = str.maketrans("\n\t", "  ")
WORDS = {"graph": ("dagnet",), "node": NODE_WORDS, "edge": EDGE_WORDS}
NETWORKX = {"self", "node_for_adding", "u_for_edge", "v_for_edge", "node_default", "edge_default", "mode"}
RESERVED = {"id", "source", "target", "key", "dagnet", *COLUMNS, *NETWORKX}


@dataclass(frozen=True)
class Form:
    """What a format holds as it is.

    ``kinds`` of values, one kind a column; with lists, for JSON, of any kind.  ``names`` mean
    something to the format.  The graph itself ``has_attributes`` or not.
    """

    kinds: frozenset[type] = frozenset()
    names: frozenset[str] = frozenset()
    has_attributes: bool = False

    def keeps(self, name: str, value: Any) -> bool:
        """Whether an attribute can stand there under its own name, and comes back as it was."""
        free = is_seen(name) and name not in RESERVED and name not in self.names
        return free and not name.startswith(PREFIX) and self._holds(value)

    def _holds(self, value: Any, depth: int = 0) -> bool:
        kind = type(value)
        if kind not in self.kinds or depth >= DEEPEST:
            return False
        if kind in {list, dict}:
            items = [*value, *value.values()] if kind is dict else value
            named = kind is list or all(type(key) is str for key in value)
            return named and all(self._holds(item, depth + 1) for item in items)
        if kind is str and list in self.kinds:
            return READABLE.pack(value, "") is value
        if kind is str:
            return value != "" and visible(spaced := value.translate(LINES)) == spaced
        return isfinite(value) if kind is float else kind is not int or -LARGEST < value < LARGEST


XML = frozenset({str, int, float, bool})
TIMES = {"pid", "start", "end", "parents", "slices", "spells", "viz", "type", "networkx_key"}
GRAPHML = Form(XML, has_attributes=True)
GEXF = Form(XML, frozenset(TIMES))
JSON = Form(XML | {NoneType, list, dict}, has_attributes=True)
CYTOSCAPE = Form(JSON.kinds, frozenset({"name", "value", "SUID"}), has_attributes=True)
CSV = Form(frozenset({str}), frozenset({"kind", "name"}))
NOTHING = Form()


def _keep_learned(graph: nx.DiGraph[Any], topology: Topology, form: Form) -> None:
    """Numbers that activations learn: under their names, or of several units as typed JSON beside."""
    for name, nodes in topology.learners.items():
        for node in nodes.tolist():
            attributes, where = graph.nodes[topology.nodes[node]], f"node {shorten(topology.nodes[node])}"
            value = attributes.pop(name)
            if not np.isfinite(value).all():
                raise not_finite(f"{where}: {name}", value)
            held = value.tolist() if list in form.kinds and type(value) is np.ndarray else value
            if type(held) is not np.ndarray and form.keeps(name, "text"):
                attributes[name] = held
            else:
                attributes[PREFIX + name] = dumps(value, f"{where}: {name}")


def keep_users(graph: nx.DiGraph[Any], topology: Topology, form: Form, stacklevel: int = 5) -> None:
    """Write the user's attributes in what :meth:`Model.to_networkx` returned as a format holds them.

    What no file can bring back as it was is left out, and one :class:`DagnetWarning` says so.
    """
    users, names, said = topology.users, topology.nodes, graph.graph
    ends = ((names[topology.sources[edge]], names[topology.targets[edge]]) for edge in users.edges)
    owners = [
        ("graph", said, users.graph),
        *(("node", graph.nodes[names[node]], kept) for node, kept in users.nodes.items()),
        *(("edge", graph.edges[pair], kept) for pair, kept in zip(ends, users.edges.values(), strict=True)),
    ]
    kinds: dict[tuple[str, str], type] = {("node", name): float for name in topology.learners}
    _keep_learned(graph, topology, form)
    lost = []
    for what, attributes, kept in owners:
        own = [(plain(name), plain(attributes.pop(name))) for name in kept if name not in WORDS[what]]
        stands = form if what != "graph" or form.has_attributes else NOTHING
        for name, value in own:
            try:
                fits = stands.keeps(name, value)
                if fits and list not in form.kinds:  # all values of a column are of one kind
                    fits = kinds.setdefault((what, name), type(value)) is type(value)
                if fits:
                    attributes[name] = value
                else:
                    attributes[own_key(name)] = dumps(value, "")
            except DataError:
                lost.append(f"{what} attribute {shorten(name)}")
    said["dagnet"] |= {key: said.pop(key) for key in list(said) if key.startswith(OWN)}
    if lost:
        more = f" and {len(lost) - 1:,} more" if len(lost) > 1 else ""
        text = f"the file keeps no {lost[0]}{more}: it can hold {READABLE.takes}, under a name that is text"
        warnings.warn(text, DagnetWarning, stacklevel=stacklevel)
