"""What people ask of a picture: colours, sizes, what is painted, how wide; checked, and put into a sketch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from dagnet.adjacency import reachable
from dagnet.drawing.marks import GROUPS, figure
from dagnet.drawing.page import PIXELS, Page, lay_out
from dagnet.drawing.sketch import Floats, Sketch, as_drawn, sketch, summarised
from dagnet.drawing.svg import Drawing, draw_page
from dagnet.errors import DataError, did_you_mean, expected, shorten
from dagnet.markup import LONGEST_LABEL, counted, label, node_labels
from dagnet.model import Model
from dagnet.values import FINITE, FLAG, between, text, whole

OTHERS = "others"
UNITS = {"mm": PIXELS / 25.4, "cm": PIXELS / 2.54, "in": PIXELS, "pt": PIXELS / 72, "px": 1.0}
NARROW, WIDE, NUMBERS = 75.0, 20_000.0, ("value", "delta")
TITLE, POINTS, TOP = text("text"), between("a size in points, 5 or more", 5.0, 100.0), whole(0)
WANTED = "'value', 'delta', an attribution, an importance, or a mapping from node to number"


def draw(
    model: Model, X: Any = None, y: Any = None, *, title: str = "", legend: bool = True, **words: Any
) -> Drawing:
    """See :meth:`dagnet.Network.draw`."""
    TITLE.check("draw(): title", title)
    page, legend = laid_out(model, X, y, **words), FLAG.check("draw(): legend", legend)
    asked = {words.get("width"), words.get("font_size")} != {None}
    return draw_page(page, title=title, legend=legend, note=asked)


def laid_out(
    model: Model, X: Any = None, y: Any = None, *, color: Any = None, size: Any = None, highlight: Any = None,
    width: Any = None, font_size: Any = None, labels: Any = True, top_edges: Any = None,
) -> Page:  # fmt: skip
    """The page that :meth:`dagnet.Network.draw` draws, for whoever draws it otherwise."""
    pixels = None if width is None else _pixels(width)
    font = None if font_size is None else POINTS.check("draw(): font_size", font_size) / 0.75
    top = None if top_edges is None else TOP.check("draw(): top_edges", top_edges)
    if y is not None and X is None:
        raise DataError("draw(): y is given without X; the targets need their rows")
    every = replace(sketch(model), texts=_texts(model, labels))
    if isinstance(color, str) and color not in NUMBERS:
        every = _grouped(every, model, color)
    drawn = summarised(every)
    if drawn.member is not None and top is not None:
        drawn_as = "are drawn as an overview, whose lines stand for many"
        raise DataError(
            f"draw(): top_edges: {counted(model.topology.n_nodes, 'node')} {drawn_as}; leave it out"
        )
    if highlight is not None:
        drawn = _highlighted(drawn, model, highlight)
    if color is not None and not drawn.groups:
        values, what, lines = as_drawn(drawn, *_numbers(model, "color", color, X, y))
        notes = [f"{line}\n{note}" for line, note in zip(lines, drawn.notes, strict=True)]
        drawn = replace(drawn, values=values, scale=what, notes=notes)
    if size is not None:
        values, what = _numbers(model, "size", size, X, y)
        below = f"|{what}|" if (values < 0).any() else what
        values, what, _ = as_drawn(drawn, np.abs(values), below)
        most = float(values[np.isfinite(values)].max(initial=0.0))
        drawn = replace(drawn, sizes=values / (most or 1.0), sized=_sized(values, what, most))
    return lay_out(drawn, width=pixels, font=font, top=None if drawn.counted else top)


def _sized(values: Floats, what: str, most: float) -> str:
    return f"{what}, up to {figure(most)}" + (", least: no number" if np.isnan(values).any() else "")


def _pixels(width: Any) -> float:
    found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([a-zA-Z]+)\s*", width) if isinstance(width, str) else None
    if found is None or found[2] not in UNITS:
        must = "a number and its unit (mm, cm, in, pt or px), such as '85 mm'"
        raise DataError(expected("draw(): width", must, width))
    pixels = float(found[1]) * UNITS[found[2]]
    if not NARROW <= pixels <= WIDE:
        raise DataError(expected("draw(): width", "from 20 mm to 5 m", width))
    return pixels


@np.errstate(all="ignore")
def _numbers(model: Model, word: str, what: Any, X: Any, y: Any) -> tuple[Floats, str]:
    """(nodes,) numbers, NaN for none, and what they are."""
    found, name = what.to_dict() if hasattr(what, "to_dict") else what, "number"  # a pandas.Series
    if isinstance(what, str) and what in NUMBERS:
        found, name = _means(model, f"draw(): {word}={what!r}", what, X, y)
    elif hasattr(what, "mean_absolute"):
        named = [node for node in what if model.topology.has_node(node)]
        several = len(what[named[0]]) > 1
        found = {node: np.abs(what[node]).mean() if several else what[node][0] for node in named}
        name = f"{'mean |contribution|' if several else 'contribution'} to {shorten(what.of, 30)}"
    elif hasattr(what, "by_seed"):
        found, name = dict(zip(what.names, what.columns["mean"], strict=True)), "importance"
    if not isinstance(found, Mapping):
        known = WANTED + ("; or the name of a node attribute" if word == "color" else "")
        raise DataError(expected(f"draw(): {word}", known, what))
    values, mend = np.full(model.topology.n_nodes, np.nan), "leave out nodes that have no number"
    for node, value in found.items():
        if name == "number":  # what a network gave may be infinite, or none
            value = FINITE.check(f"draw(): {word} of node {shorten(node)}", value, mend=mend)  # noqa: PLW2901
        values[_node(model, word, node)] = value
    return values, name


def _node(model: Model, word: str, name: Any) -> int:
    try:
        return int(model.topology.node_number(name))
    except DataError as error:
        raise DataError(f"draw(): {word}: {error}") from None


def _means(model: Model, where: str, what: str, X: Any, y: Any) -> tuple[dict[Any, float], str]:
    """Of each node over the rows, and its units: the value a, or δ = ∂(a row's loss)/∂z."""
    if X is None or (what == "delta" and y is None):
        needed = "rows: draw(X, …)" if what == "value" else "rows and targets: draw(X, y, …)"
        raise DataError(f"{where} needs {needed}")
    if what == "value":
        forward = model.forward(X)
        by_node, name = {node: forward[node] for node in model.nodes}, "value"
    else:  # of the mean over rows each row's part has a factor 1/rows in it
        gradient = model.gradient(X, y)
        by_node = {node: gradient.delta(node) for node in model.nodes}
        by_node, name = {node: len(delta) * delta for node, delta in by_node.items()}, "δ"
    rows = len(by_node[model.nodes[0]])
    means = {node: float(np.mean(each, dtype=np.float64)) for node, each in by_node.items()}
    return means, name if rows == 1 else f"{name}, mean of {rows:,} rows"


def _grouped(drawn: Sketch, model: Model, attribute: str) -> Sketch:
    """With groups by an attribute of nodes, the largest first; if there are too many, the rest are others."""
    nodes = dict(model.to_networkx().nodes(data=True))
    found = [data.get(attribute) for data in nodes.values()]
    if all(value is None for value in found):
        known = {str(name) for data in nodes.values() for name in data}
        mend = did_you_mean(attribute, [*NUMBERS, *sorted(known)], listed=8)
        must = f"{WANTED}; or the name of a node attribute"
        raise DataError(expected("draw(): color", must, attribute) + mend)
    kinds = ["" if value is None else label(str(value), LONGEST_LABEL) for value in found]
    groups = [kind for kind, _ in Counter(filter(None, kinds)).most_common()]
    if len(groups) > len(GROUPS):
        groups = [*groups[: len(GROUPS) - 1], OTHERS]
        kinds = [kind if kind in {"", *groups} else OTHERS for kind in kinds]
    return replace(drawn, kinds=kinds, groups=groups)


def _texts(model: Model, labels: Any) -> list[str] | None:
    """What is written of each node; None: the names of all."""
    if FLAG.holds(labels, {}):
        return None if labels else [""] * model.topology.n_nodes
    if isinstance(labels, str | bytes) or not isinstance(labels, Iterable):
        must = "True, False, a list of nodes, or a mapping from node to text"
        raise DataError(expected("draw(): labels", must, labels))
    titles, texts = node_labels(model.nodes), [""] * model.topology.n_nodes
    for name in labels:
        node, where = _node(model, "labels", name), f"draw(): labels of node {shorten(name)}"
        texts[node] = TITLE.check(where, labels[name]) if isinstance(labels, Mapping) else titles[node]
    return texts


def _highlighted(drawn: Sketch, model: Model, highlight: Any) -> Sketch:
    """With the parent chains of nodes, and the ways of weights, that are asked for."""
    topology = model.topology
    if drawn.member is not None:
        each = f"{counted(topology.n_nodes, 'node')} are drawn as an overview, whose boxes stand for many"
        raise DataError(f"draw(): highlight: {each}; net.show() lights the chains of up to 6,000, one by one")
    alone = isinstance(highlight, str | bytes | tuple) or not isinstance(highlight, Iterable)
    nodes, ringed, edges = (np.zeros(n, bool) for n in (*[topology.n_nodes] * 2, topology.n_edges))
    for name in [highlight] if alone else list(highlight):
        if topology.has_edge(name) and not topology.has_node(name):  # the weight, and the ways on
            asked = model.ancestry.sharing(topology.edge_number(name))
            chain = reachable(topology.children, topology.targets[asked])
            edges |= np.isin(topology.sources, chain)
            edges[asked] = nodes[chain] = nodes[topology.sources[asked]] = True
        elif isinstance(name, tuple) and not topology.has_node(name):
            mend = "a tuple is one node's name or one edge, (parent, child); write several as a list"
            raise DataError(f"draw(): highlight: no node or edge {shorten(name)} in the graph; {mend}")
        else:
            node = _node(model, "highlight", name)
            chain = reachable(topology.parents, np.array([node]))
            edges |= np.isin(topology.targets, chain)
            ringed[node] = nodes[chain] = True
    return replace(drawn, lit=nodes, lit_edges=edges, ringed=ringed)
