"""File formats: networks out, graphs in, each an ordinary plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from dagnet.contracts import Exporter
from dagnet.formats.files import export, read_graph
from dagnet.hookspecs import hookimpl
from dagnet.registry import exporters

__all__ = ["dagnet_exporters", "export", "read_graph", "readers"]


@hookimpl
def dagnet_exporters() -> Iterable[Exporter]:
    """The formats that come with dagnet; only those who look for one pay for their import."""
    from dagnet.formats.csv_files import read_csv, write_csv  # noqa: PLC0415
    from dagnet.formats.dot import read_dot  # noqa: PLC0415
    from dagnet.formats.graphml import read_gexf, read_graphml, write_gexf, write_graphml  # noqa: PLC0415
    from dagnet.formats.inspector import write_html  # noqa: PLC0415
    from dagnet.formats.nodelink import read_nodelink, write_cytoscape, write_nodelink  # noqa: PLC0415
    from dagnet.formats.pictures import write_dot, write_svg  # noqa: PLC0415

    return [
        Exporter("graphml", ".graphml", write_graphml, read_graphml),
        Exporter("json", ".json", write_nodelink, read_nodelink),
        Exporter("csv", ".csv", write_csv, read_csv),
        Exporter("gexf", ".gexf", write_gexf, read_gexf),
        Exporter("cytoscape", ".cyjs", write_cytoscape, read_nodelink),
        Exporter("dot", ".dot", write_dot, read_dot),
        Exporter("svg", ".svg", write_svg),
        Exporter("html", ".html", write_html),
    ]


def readers() -> dict[str, Callable[..., Any]]:
    """The reader of each suffix that can be read; exporters' own go first."""
    from dagnet.formats.csv_files import read_csv  # noqa: PLC0415
    from dagnet.formats.lists import read_gml, read_gmt, read_obo, read_sif  # noqa: PLC0415

    only = {".gml": read_gml, ".gmt": read_gmt, ".obo": read_obo, ".sif": read_sif, ".tsv": read_csv}
    return only | {item.suffix: item.read for item in exporters().values() if item.read is not None}
