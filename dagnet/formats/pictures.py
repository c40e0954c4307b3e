"""Pictures: DOT, the language of Graphviz, and SVG."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any, BinaryIO

import networkx as nx
import numpy as np

from dagnet.contracts import Observations
from dagnet.drawing import ROLE_FILL, draw, edge_strengths, sign_colour
from dagnet.formats.annotated import annotated
from dagnet.formats.plain_attributes import OWN, PREFIX, flatten
from dagnet.formats.users import NOTHING
from dagnet.model import Model

SHAPES = {"input": "box", "hidden": "circle", "output": "doublecircle", "constant": "diamond"}


def write_svg(model: Model, stream: BinaryIO, _observations: Observations | None) -> None:
    """Write the layered drawing; rows do not show in it."""
    stream.write(draw(model).svg.encode())


def write_dot(model: Model, stream: BinaryIO, observations: Observations | None) -> None:
    """Write a network for Graphviz: shapes by role, lines coloured and as wide as their weights.

    What dagnet knows of nodes and edges stands in attributes that begin with ``dagnet_``;
    ``weight`` means something else in DOT.
    """
    flat = annotated(model, observations, NOTHING)
    stream.writelines(line.encode() for line in _lines(model, flat, flatten(flat)))


def _lines(model: Model, flat: nx.DiGraph[Any], ids: Mapping[Hashable, Any]) -> Iterator[str]:
    yield "digraph {\n  rankdir=LR;\n"
    yield f"  graph [dagnet={_quoted(flat.graph['dagnet'])}];\n"
    yield '  node [style=filled fillcolor="white" fontname="Helvetica"];\n'
    for name, attributes in flat.nodes(data=True):
        role = attributes["role"]
        shape = f'shape={SHAPES[role]} fillcolor="{ROLE_FILL[role]}"'
        yield f"  {_quoted(ids[name])} [{shape}{_named(attributes)}];\n"
    by_source = np.argsort(model.topology.sources, kind="stable")  # the order of a DiGraph's edges
    strengths = np.nan_to_num(edge_strengths(model, model.layout.weights_of(model.parameters)))[by_source]
    widths = 0.3 + 2.7 * np.abs(strengths) / max(float(np.abs(strengths).max(initial=0.0)), 1e-300)
    for (source, target, attributes), weight, width in zip(
        flat.edges(data=True), strengths.tolist(), widths.tolist(), strict=True
    ):
        line = f'color="{sign_colour(weight)}" penwidth={width:.2f}'
        yield f"  {_quoted(ids[source])} -> {_quoted(ids[target])} [{line}{_named(attributes)}];\n"
    yield "}\n"


def _named(attributes: Mapping[str, Any]) -> str:
    keys = [key if key.startswith(OWN) else PREFIX + key for key in attributes]
    names = [key if key.isascii() and key.isidentifier() else _quoted(key) for key in keys]
    pairs = zip(names, attributes.values(), strict=True)
    return "".join(f" {name}={_quoted(str(value))}" for name, value in pairs)


def _quoted(text: str) -> str:
    r"""A DOT string.  Backslashes are doubled, since labels read ``\n`` and ``\N`` as commands."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
