"""File formats: networks out, graphs in, each an ordinary plugin."""

from __future__ import annotations

from collections.abc import Iterable

from dagnet.contracts import Exporter
from dagnet.formats.files import export, read_graph
from dagnet.hookspecs import hookimpl

__all__ = ["dagnet_exporters", "export", "read_graph"]


@hookimpl
def dagnet_exporters() -> Iterable[Exporter]:
    """The formats that come with dagnet; only those who look for one pay for their import."""
    from dagnet.formats.csv_files import read_csv, write_csv  # noqa: PLC0415
    from dagnet.formats.graphml import read_graphml, write_gexf, write_graphml  # noqa: PLC0415
    from dagnet.formats.inspector import write_html  # noqa: PLC0415
    from dagnet.formats.nodelink import read_nodelink, write_cytoscape, write_nodelink  # noqa: PLC0415
    from dagnet.formats.pictures import write_dot, write_svg  # noqa: PLC0415

    return [
        Exporter("graphml", ".graphml", write_graphml, read_graphml),
        Exporter("json", ".json", write_nodelink, read_nodelink),
        Exporter("csv", ".csv", write_csv, read_csv),
        Exporter("gexf", ".gexf", write_gexf),
        Exporter("cytoscape", ".cyjs", write_cytoscape),
        Exporter("dot", ".dot", write_dot),
        Exporter("svg", ".svg", write_svg),
        Exporter("html", ".html", write_html),
    ]
