"""File formats: networks out, graphs in, each an ordinary plugin, found by suffix."""

from __future__ import annotations

import gc
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import networkx as nx

from dagnet.contracts import Exporter, Observations
from dagnet.errors import DagnetWarning, DataError, FormatError, did_you_mean
from dagnet.files import atomically
from dagnet.formats.showing import draw, show
from dagnet.hookspecs import hookimpl
from dagnet.model import Model, Node, aligned
from dagnet.registry import exporters
from dagnet.values import FLAG, PATH

__all__ = [
    "as_drawn", "bounded", "bounded_text", "dagnet_exporters", "draw", "export", "read_graph", "readers",
    "show", "to_networkx",
]  # fmt: skip
LARGEST = 1 << 30
SETTINGS = '{"format":'
"""How the settings begin where they are text."""
T = TypeVar("T")


@hookimpl
def dagnet_exporters() -> Iterable[Exporter]:
    """The formats that come with dagnet; only those who look for one pay for their import."""
    from dagnet.formats import graph_files as graphs  # noqa: PLC0415
    from dagnet.formats import xml_files as xml  # noqa: PLC0415
    from dagnet.formats.inspector import write_html  # noqa: PLC0415
    from dagnet.formats.pictures import read_dot, write_dot, write_svg  # noqa: PLC0415
    from dagnet.formats.source import write_source  # noqa: PLC0415

    return [
        Exporter("graphml", ".graphml", xml.write_graphml, xml.read_graphml),
        Exporter("json", ".json", graphs.write_nodelink, graphs.read_nodelink),
        Exporter("csv", ".csv", graphs.write_csv, graphs.read_csv),
        Exporter("gexf", ".gexf", xml.write_gexf, xml.read_gexf),
        Exporter("cytoscape", ".cyjs", graphs.write_cytoscape, graphs.read_nodelink),
        Exporter("dot", ".dot", write_dot, read_dot),
        Exporter("svg", ".svg", write_svg),
        Exporter("html", ".html", write_html),
        Exporter("python", ".py", partial(write_source, c=False), options={"gradient": FLAG}),
        Exporter("c", ".c", partial(write_source, c=True), options={"gradient": FLAG}),
    ]


def readers() -> dict[str, Callable[..., Any]]:
    """The reader of each suffix that can be read; exporters' own go first."""
    from dagnet.formats.graph_files import read_csv  # noqa: PLC0415
    from dagnet.formats.lists import read_gml, read_gmt, read_obo, read_sif, read_txt  # noqa: PLC0415

    only = {".gml": read_gml, ".gmt": read_gmt, ".obo": read_obo, ".sif": read_sif}
    only |= {".tsv": read_csv, ".txt": read_txt}
    return only | {item.suffix: item.read for item in exporters().values() if item.read is not None}


def export(model: Model, path: str | Path, X: Any = None, y: Any = None, **options: Any) -> None:
    """Write a network to a file in the format of its suffix, whole or not at all.

    :func:`dagnet.exporters` lists the formats.  Each carries weights, biases, activations,
    levels and roles; for given rows also means of values and, with targets, gradients.

    The user's own attributes stand there too, under their own names where the format can hold their
    values: text, numbers and flags in GraphML and GEXF, text in CSV, in JSON also None, lists and
    dicts.  Others are typed JSON under ``dagnet_own_`` and the name, as are those named like what
    dagnet writes (``level``, ``role``, ``gradient``) or the format means something by (``id``).

    ``.py`` and ``.c`` are source, of NumPy or C99 alone: ``outputs``, ``predict``, and with ``gradient=True``
    ``loss_and_gradient``.  What has no formula is refused; nothing reads them back.

    Parameters
    ----------
    path
        A name with a suffix such as ``.graphml``, ``.json``, ``.csv``, ``.html``, ``.py`` or ``.c``.
    X, y
        Rows and targets, as for :meth:`Model.gradient`; they do not show in ``.svg``, ``.py`` and ``.c``.
    options
        What a format has besides, such as ``gradient=True``.

    Raises
    ------
    DataError
        For an unknown suffix or option, and rows or targets that do not fit.
    NumericalError
        If a weight or a bias is not finite, in formats of text (pictures show it).
    OSError
        If the file cannot be written; one that was there stays.

    Warns
    -----
    DagnetWarning
        If attributes of the user's are left out, because no file can hold them: sets, objects, and
        what has a name that is no text.

    Examples
    --------
    >>> import dagnet, os, tempfile
    >>> net = dagnet.Network(dagnet.layered([2, 1]), seed=0)
    >>> net.export(os.path.join(tempfile.mkdtemp(), "net.gexf"), [[1.0, 2.0]], [0.5])
    """
    exporter = _by_suffix("export", path, {item.suffix: item for item in exporters().values()})
    if X is None and y is not None:
        raise DataError("export(): y is given without X; the targets need their rows")
    for name in options.keys() - exporter.options.keys():
        known = [item.suffix for item in exporters().values() if name in item.options] or ["no format"]
        raise DataError(f"export(): {name!r} is an option of {', '.join(known)}, not of {exporter.suffix}")
    given = {name: exporter.options[name].check(f"export(): {name}", options[name]) for name in options}
    with _uncollected(), atomically(path) as stream:
        exporter.write(model, stream, None if X is None else Observations(X, aligned("y", y, X)), **given)


def to_networkx(model: Model[Node], *, plain: bool = False) -> nx.DiGraph[Node]:
    """A fresh graph with every weight, bias, activation and attribute; it builds the same network.

    ``graph.graph["dagnet"]`` is a mapping with inputs, outputs, loss and dtype.

    Parameters
    ----------
    plain
        Whether names are text, and all that GraphML cannot hold (that mapping, arrays,
        ``bias=False``) is JSON text, in attributes that begin with ``dagnet_``: for
        ``nx.write_graphml``.  :class:`Network` takes such a graph, and what ``nx.read_graphml`` makes
        of the file, as if it were the graph itself.

    Raises
    ------
    DataError, NumericalError
        Where ``plain``, as for :meth:`export`.

    Examples
    --------
    >>> import dagnet, networkx as nx, os, tempfile
    >>> net = dagnet.Network(dagnet.layered([2, 1]), seed=0)
    >>> path = os.path.join(tempfile.mkdtemp(), "net.graphml")
    >>> nx.write_graphml(net.to_networkx(plain=True), path)
    >>> (dagnet.Network(nx.read_graphml(path)).parameters == net.parameters).all()
    np.True_
    """
    graph = Model.to_networkx(model)
    if not FLAG.check("plain", plain):
        return graph
    from dagnet.formats.plain_attributes import flattened  # noqa: PLC0415 - only for those who ask
    from dagnet.formats.users import GRAPHML, keep_users  # noqa: PLC0415 - as above

    keep_users(graph, model.topology, GRAPHML, stacklevel=3)
    return flattened(graph)


def as_drawn(graph: Any) -> Any:
    """What :func:`to_networkx` made plain as it was before; anything else as it is."""
    if not isinstance(graph, nx.DiGraph) or graph.is_multigraph():
        return graph
    text = graph.graph.get("dagnet")
    if not isinstance(text, str) or not text.startswith(SETTINGS):
        return graph
    from dagnet.formats.xml_files import with_defaults  # noqa: PLC0415 - only for such graphs

    return with_defaults(graph.copy(), {"node": {}, "edge": {}})


def read_graph(path: str | Path) -> nx.DiGraph[Any]:
    """Read a graph from a file that :meth:`Network.export` or another program wrote.

    What dagnet wrote comes back as the same network to the bit: names with their types,
    weights, biases, activations, inputs, outputs, loss and dtype, and the user's own attributes;
    levels, roles, means and gradients are for other programs, and are left out.  Of other programs'
    files, names and attributes are read as they are; text that stands for a number or a flag where
    a network wants one (``weight="0.5"``) becomes it.

    Parameters
    ----------
    path
        A file in a format that can be read:

        - ``.graphml``, with the defaults of its keys; ``.gexf``; ``.gml``; ``.dot``;
        - ``.json``, node-link with ``edges`` or ``links``; ``.cyjs``, Cytoscape's;
        - ``.csv`` and ``.tsv``, a table that dagnet wrote or an edge list: a header with
          ``source,target``, ``parent,child`` or ``from,to`` in any case, perhaps ``weight`` and
          other columns, separated by commas, tabs or semicolons;
        - ``.txt``, lines ``parent child`` without a header, perhaps with a third cell, the edge's ``type``
          (its ``weight``, if all are numbers), separated by tabs or blanks;
        - ``.sif``, lines ``source interaction target …``; ``.gmt``, edges gene → set;
        - ``.obo``, edges child → parent for ``is_a`` and ``part_of``, without obsolete terms.

    Raises
    ------
    FormatError
        If the file is not what its suffix says, or holds no directed graph without parallel edges.
    DataError
        For a suffix that no format has, and what is no regular file.
    OSError
        If the file cannot be opened.

    Warns
    -----
    DagnetWarning
        If edges of another program's file have a ``weight``: a network begins with it, be it a
        count or a confidence.

    Examples
    --------
    >>> import dagnet, os, tempfile
    >>> net = dagnet.Network(dagnet.layered([2, 1]), seed=0)
    >>> path = os.path.join(tempfile.mkdtemp(), "net.graphml")
    >>> net.export(path)
    >>> (dagnet.Network(dagnet.read_graph(path)).parameters == net.parameters).all()
    np.True_
    """
    read = _by_suffix("read_graph", path, readers())
    mode = Path(path).stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a pipe would be waited for
        raise DataError(f"read_graph(): {path} is no regular file; write what it gives to one")
    with _uncollected(), Path(path).open("rb") as stream:
        try:
            graph = read(stream)
        except FormatError as error:
            raise FormatError(f"{path}: {error}") from error
    if "dagnet" not in graph.graph and any("weight" in edge for _, _, edge in graph.edges(data=True)):
        text = f"{path}: a network begins with the edges' weights as they stand in the file"
        mend = "dagnet.Network(graph, weight=None), or --attribute weight= of a command, draws them instead"
        warnings.warn(f"{text}; {mend}", DagnetWarning, stacklevel=2)
    return graph


def bounded(stream: BinaryIO) -> bytes:
    """All bytes of a stream, up to a gibibyte; :class:`FormatError` if there are more."""
    data = stream.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise FormatError(f"the file is larger than {LARGEST >> 20:,} MiB; dagnet.load reads larger networks")
    return data


def bounded_text(stream: BinaryIO) -> str:
    """The same of a text file, decoded."""
    try:
        return bounded(stream).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"the file is no UTF-8 text (byte {error.start}); save it as UTF-8") from None


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


def _by_suffix(where: str, path: str | Path, known: Mapping[str, T]) -> T:
    name = PATH.check(f"{where}(): path", path).name.lower()
    fitting = [suffix for suffix in known if name.endswith(suffix) and name != suffix]
    if fitting:
        return known[max(fitting, key=len)]
    suffix = Path(name).suffix
    mend = did_you_mean(suffix, sorted(known)) if suffix else ""
    done, network = ("read", "dagnet.load") if where == "read_graph" else ("written", "net.save")
    if suffix == ".dagnet":  # a network, not a graph
        mend = f"; use {network};"
    what = f"{where}(): the suffix {suffix!r} of {Path(path).name!r} is no known format"
    raise DataError(f"{what}{mend or ';'} what can be {done}: {', '.join(sorted(known))}")
