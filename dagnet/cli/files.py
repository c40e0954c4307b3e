"""Networks in files, by suffix: graphs that other programs read too, and dagnet's own safe file."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import networkx as nx

from dagnet.errors import DataError, did_you_mean, shorten
from dagnet.formats import export, read_graph, readers
from dagnet.network import Network, load
from dagnet.registry import exporters
from dagnet.storage import atomically

MODEL_SUFFIXES = (".dagnet", ".safetensors")


def is_graph_file(path: Path, *, written: bool = False) -> bool:
    """Whether a path is a graph in a format of its suffix, else it is a model file.

    DataError for a suffix that is neither.
    """
    both = (exporter.suffix for exporter in exporters().values() if exporter.read is not None)
    graphs = sorted(both if written else readers())
    suffix = path.suffix.lower()
    if suffix not in {*graphs, *MODEL_SUFFIXES}:
        mend = did_you_mean(suffix, [*graphs, *MODEL_SUFFIXES], listed=12)
        raise DataError(f"{path}: {suffix or 'no suffix'!r} is no format that can be read back{mend}")
    return suffix in graphs


def open_graph(path: Path) -> nx.DiGraph[Any]:
    """The graph in a file; of a model file, the graph of its network."""
    return read_graph(path) if is_graph_file(path) else load(path).to_networkx()


def open_network(path: Path, threads: int | None = None, *, trained: bool = False) -> Network:
    """The network in a file of either kind.

    Of a ``trained`` one, DataError if a weight is missing: it would be drawn, and what the network
    says would mean nothing.
    """
    if not is_graph_file(path):
        return load(path, threads=threads)
    graph = read_graph(path)
    network = Network(graph, threads=threads)  # first, so that a bad graph is refused as such
    for parent, child, attributes in graph.edges(data=True):
        if trained and attributes.get("weight") is None:
            edge = f"{shorten(parent)} → {shorten(child)}"
            raise DataError(
                f"{path}: the edge {edge} has no weight; dagnet train writes a graph that has them"
            )
    return network


def write_network(network: Network, path: Path) -> None:
    """Write a network as its suffix says, whole or not at all."""
    if is_graph_file(path, written=True):
        export(network, path)
    else:
        network.save(path)


def check_writable(path: Path) -> None:
    """See, before the work is done, that a file can be written; nothing is left behind."""
    with contextlib.suppress(_NothingWritten), atomically(path):
        raise _NothingWritten


class _NothingWritten(Exception):
    """Leaves the block before anything takes the file's place."""
