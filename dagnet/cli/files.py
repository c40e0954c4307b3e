"""The files of the commands: networks by suffix, and outputs that spare the inputs."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import networkx as nx

from dagnet.errors import DataError, FormatError, Verbatim, did_you_mean, expected, shorten
from dagnet.formats import export, read_graph, readers
from dagnet.loading import load
from dagnet.network import Network
from dagnet.registry import exporters
from dagnet.storage import atomically, load_checkpoint

MODEL_SUFFIXES = (".dagnet", ".safetensors")
Attributes = Mapping[str, str | None]
Places = Mapping[str, Path | None]


def is_graph_file(path: Path, *, written: bool = False) -> bool:
    """Whether a path is a graph in a format of its suffix, else it is a model file.

    DataError for a suffix that is neither.
    """
    both = (exporter.suffix for exporter in exporters().values() if exporter.read is not None)
    graphs = sorted(both if written else readers())
    suffix = path.suffix.lower()
    if suffix not in {*graphs, *MODEL_SUFFIXES}:
        mend = did_you_mean(suffix, [*graphs, *MODEL_SUFFIXES], listed=12)
        raise DataError(f"{path}: the suffix {suffix!r} is no format that can be read back{mend}")
    return suffix in graphs


def open_graph(path: Path, attributes: Attributes | None = None) -> nx.DiGraph[Any]:
    """The graph in a file; of a model file, the graph of its network."""
    if not is_graph_file(path):
        return load(path).to_networkx()
    with warnings.catch_warnings():
        if "weight" in (attributes or {}):  # then nobody needs to hear what weights are taken for
            warnings.filterwarnings("ignore", ".*begins with the edges' weights")
        return read_graph(path)


def open_network(
    path: Path, attributes: Attributes | None = None, *, threads: int | None = None, trained: bool = False
) -> Network:
    """The network in a file of either kind; ``attributes`` are for graphs.

    Of a ``trained`` one, DataError if a weight is missing: it would be drawn, and what the network
    says would mean nothing.
    """
    if not is_graph_file(path):
        return load(path, threads=threads)
    graph = open_graph(path, attributes)
    network = Network(graph, threads=threads, attributes=attributes)  # which refuses a bad graph first
    for parent, child, said in graph.edges(data=True):
        if trained and said.get("weight") is None:
            edge = f"{shorten(parent)} → {shorten(child)}"
            raise DataError(f"{path}: the edge {edge} has no weight; dagnet train writes a graph with them")
    return network


def write_network(network: Network, path: Path) -> None:
    """Write a network as its suffix says, whole or not at all."""
    if is_graph_file(path, written=True):
        export(network, path)
    else:
        network.save(path)


def check_places(inputs: Places, outputs: Places) -> None:
    """Refuse, before anything is read or written, an output that is an input or another output.

    A checkpoint may be the one that is resumed; it replaces no file but a checkpoint.
    """
    taken = [(what, path) for what, path in inputs.items() if path is not None]
    for what, path in outputs.items():
        if path is None:
            continue
        for other, place in taken:
            if _is_same(path, place) and (what, other) != ("--checkpoint", "--resume"):
                got = Verbatim(f"{path}, which is also {other}")
                raise DataError(expected(what, "a file of its own", got, "name another file"))
        taken.append((what, path))
    checkpoint = outputs.get("--checkpoint")
    if checkpoint is not None and checkpoint.exists():
        try:
            load_checkpoint(checkpoint)
        except FormatError:
            got, mend = Verbatim(f"{checkpoint}, which is something else"), "name another file, or remove it"
            raise DataError(expected("--checkpoint", "a new file or a checkpoint", got, mend)) from None


def _is_same(path: Path, other: Path) -> bool:
    place = "/dev/stdin" if str(other) == "-" else other  # a file may have been redirected there
    try:
        return path.samefile(place)
    except OSError:
        return os.path.realpath(path) == os.path.realpath(place)


def check_writable(path: Path) -> None:
    """See, before the work is done, that a file can be written; nothing is left behind."""
    with contextlib.suppress(_NothingWritten), atomically(path):
        raise _NothingWritten


class _NothingWritten(Exception):
    """Leaves the block before anything takes the file's place."""
