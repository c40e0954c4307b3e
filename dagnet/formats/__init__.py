"""File formats, as plugins."""

from __future__ import annotations

from collections.abc import Iterable

from dagnet.contracts import Exporter
from dagnet.hookspecs import hookimpl

__all__ = ["dagnet_exporters"]


@hookimpl
def dagnet_exporters() -> Iterable[Exporter]:
    """None yet."""
    return []
