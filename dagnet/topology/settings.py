"""What a graph says about its network as a whole, in ``graph.graph["dagnet"]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagnet.errors import GraphError, expected

__all__ = ["graph_settings"]


def graph_settings(graph: object) -> Mapping[str, Any]:
    """``graph.graph["dagnet"]``: a mapping with ``inputs``, ``outputs``, ``loss``, ``dtype``, or nothing."""
    attributes = getattr(graph, "graph", None)
    settings = attributes.get("dagnet", {}) if isinstance(attributes, Mapping) else {}
    if not isinstance(settings, Mapping):
        mend = "a mapping with the keys inputs, outputs, loss, dtype"
        raise GraphError(expected('graph.graph["dagnet"]', mend, settings, "remove it or mend it"))
    return settings
