"""File formats: networks out, graphs in, each an ordinary plugin, found by suffix."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import networkx as nx

from dagnet.contracts import Exporter, Observations
from dagnet.errors import DataError, FormatError, did_you_mean
from dagnet.hookspecs import hookimpl
from dagnet.model import Model
from dagnet.registry import exporters
from dagnet.values import PATH

__all__ = ["dagnet_exporters", "export", "read_graph"]
LARGEST = 1 << 30


@hookimpl
def dagnet_exporters() -> Iterable[Exporter]:
    """The formats that come with dagnet; only those who look for one pay for their import."""
    from dagnet.formats import graph_files as graphs  # noqa: PLC0415
    from dagnet.formats.inspector import write_html  # noqa: PLC0415
    from dagnet.formats.pictures import write_dot, write_svg  # noqa: PLC0415

    return [
        Exporter("graphml", ".graphml", graphs.write_graphml, graphs.read_graphml),
        Exporter("json", ".json", graphs.write_nodelink, graphs.read_nodelink),
        Exporter("csv", ".csv", graphs.write_csv, graphs.read_csv),
        Exporter("gexf", ".gexf", graphs.write_gexf),
        Exporter("cytoscape", ".cyjs", graphs.write_cytoscape),
        Exporter("dot", ".dot", write_dot),
        Exporter("svg", ".svg", write_svg),
        Exporter("html", ".html", write_html),
    ]


def export(model: Model, path: str | Path, X: Any = None, y: Any = None) -> None:
    """Write a network to a file in the format of its suffix, whole or not at all.

    :func:`dagnet.exporters` lists the formats.  Each carries weights, biases, activations,
    levels and roles; for given rows also means of values and, with targets, gradients.

    Parameters
    ----------
    path
        A name with a suffix such as ``.graphml``, ``.json``, ``.csv`` or ``.html``.
    X, y
        Rows and targets, as for :meth:`Model.gradient`.

    Raises
    ------
    DataError
        For an unknown suffix, and rows or targets that do not fit.
    NumericalError
        If a weight or a bias is not finite, in formats of text (pictures show it).
    OSError
        If the file cannot be written; one that was there stays.

    Examples
    --------
    >>> import dagnet, os, tempfile
    >>> net = dagnet.Network(dagnet.layered([2, 1]), seed=0)
    >>> net.export(os.path.join(tempfile.mkdtemp(), "net.gexf"), [[1.0, 2.0]], [0.5])
    """
    exporter = _by_suffix("export", path, list(exporters().values()))
    if X is None and y is not None:
        raise DataError("export(): y is given without X; the targets need their rows")
    from dagnet.storage import atomically  # noqa: PLC0415 - msgspec is only for those who write

    with _uncollected(), atomically(path) as stream:
        exporter.write(model, stream, None if X is None else Observations(X, y))


def read_graph(path: str | Path) -> nx.DiGraph[Any]:
    """Read a graph from a file that :meth:`Network.export` or another program wrote.

    What dagnet wrote comes back as the same network to the bit: names with their types,
    weights, biases, activations, inputs, outputs, loss and dtype.  Of other programs' files,
    names and attributes are read as they are.

    Parameters
    ----------
    path
        A file in a format that can be read: ``.graphml``; ``.json``, node-link with ``edges``
        or ``links``; ``.csv``, a table that dagnet wrote or an edge list
        ``source,target[,weight]``.

    Raises
    ------
    FormatError
        If the file is not what its suffix says.
    DataError
        For a suffix that no format has.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> import dagnet, os, tempfile
    >>> net = dagnet.Network(dagnet.layered([2, 1]), seed=0)
    >>> path = os.path.join(tempfile.mkdtemp(), "net.graphml")
    >>> net.export(path)
    >>> (dagnet.Network(dagnet.read_graph(path)).parameters == net.parameters).all()
    np.True_
    """
    readable = [exporter for exporter in exporters().values() if exporter.read is not None]
    exporter = _by_suffix("read_graph", path, readable)
    with _uncollected(), Path(path).open("rb") as stream:
        try:
            graph: nx.DiGraph[Any] = exporter.read(stream)  # type: ignore[misc]
        except FormatError as error:
            raise FormatError(f"{path}: {error}") from error
    return graph


def bounded(stream: BinaryIO) -> bytes:
    """All bytes of a stream, up to a gibibyte; :class:`FormatError` if there are more."""
    data = stream.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise FormatError(f"the file is larger than {LARGEST >> 20:,} MiB; dagnet.load reads larger networks")
    return data


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection: of a graph's many dicts none is garbage, and walking them costs a third."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _by_suffix(where: str, path: str | Path, known: list[Exporter]) -> Exporter:
    name = PATH.check(f"{where}(): path", path).name.lower()
    fitting = [exporter for exporter in known if name.endswith(exporter.suffix) and name != exporter.suffix]
    if fitting:
        return max(fitting, key=lambda exporter: len(exporter.suffix))
    suffix = Path(name).suffix
    suffixes = sorted(exporter.suffix for exporter in known)
    mend = did_you_mean(suffix, suffixes) if suffix else ""
    must = "what can be read" if where == "read_graph" else "what can be written"
    if suffix == ".dagnet":  # a network, not a graph
        mend = f"; use {'dagnet.load' if where == 'read_graph' else 'net.save'};"
    raise DataError(
        f"{where}(): the suffix {suffix!r} of {Path(path).name!r} is no known format{mend or ';'} "
        f"{must}: {', '.join(suffixes)}"
    )
