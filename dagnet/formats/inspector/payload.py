"""What the inspector page shows, as data.

The payload is a dict of JSON values; *array* means what :func:`packed` makes.

``title``, ``facts``
    A line of text; a list of [what, value] pairs of text.
``message``
    What must be said about the whole page (that it is a summary, say), or "".
``names``
    (nodes,) labels, all different.
``role``, ``level``, ``units``, ``x``, ``y``, ``activation``
    (nodes,) arrays: 0 input, 1 hidden, 2 output, 3 constant, 4 group; longest distance from a
    parentless node; how many units; coordinates, in which ``radius`` is a node's size; place
    in ``activations``, a list of {label, z, a}: the function's curve as two arrays.
``bias``, ``center``, ``scale``
    (all units, node after node) arrays, NaN where there is none; the last two may be null.
``edges``
    ``source``, ``target``: (edges,) arrays of node numbers.  ``weight``: one number an edge (of
    a matrix the root mean square with the sign of the sum); ``elements``: all of them, edge
    after edge, each in row-major (child units, parent units) order, null where every edge has
    one or where they are too many.  ``frozen``: 0 or 1.  ``share``: the group of edges that are
    one weight, −1 alone, or null.  ``gradient``: ∂(mean loss)/∂weight over all rows, or null.
    ``bend_ptr``, ``bend_x``, ``bend_y``: points that edges pass on their way; ``direct``: long
    edges run freely.  ``counted``: weights are numbers of edges (in a summary).
``rows``
    Null without data, else ``total`` rows of which the first ``kept`` are here: ``z``, ``a``
    and, with targets, ``delta`` = ∂(the row's loss)/∂z, arrays (kept, all units); ``slope`` =
    g′(z), the same shape; ``loss`` (kept,), ``mean_loss``; ``pull`` = ∂(the row's loss)/∂a and
    ``target``, (kept, output units); ``outputs``: the units of the outputs.  As many rows are
    kept as give at most 150,000 numbers for each quantity, at most 64 and at least one.
``history``
    Names of quantities and arrays, one number an epoch, or null.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from dagnet.adjacency import ranges
from dagnet.contracts import Observations
from dagnet.drawing import ROLES, Sketch, edge_strengths, group, layered_layout, sketch
from dagnet.formats.inspector.packing import packed
from dagnet.formats.inspector.rows import kept_rows
from dagnet.formats.row_statistics import row_statistics
from dagnet.markup import label, node_labels
from dagnet.model import Model

MAX_NODES, MAX_EDGES, MAX_ELEMENTS = 6_000, 60_000, 400_000
ASPECT = 1.3
CURVE = np.linspace(-6.0, 6.0, 121)


def payload(model: Model, observations: Observations | None) -> dict[str, Any]:
    """All that the page needs; of a network too large to show node by node, its groups."""
    topology = model.topology
    drawn = sketch(model)
    title = f"{_few(model.inputs, 'input')} → {_few(model.outputs, 'output')}"
    page: dict[str, Any] = {"title": title, "facts": _facts(model), "message": "", "rows": None}
    if topology.n_nodes > MAX_NODES or topology.n_edges > MAX_EDGES:
        page |= _summary(drawn)
    else:
        page |= _nodes(model, drawn)
        page["edges"] |= _edge_numbers(model)
        if observations is not None:
            observed = row_statistics(model, observations.X, observations.y)
            page["rows"] = kept_rows(model, observations, observed)
            if observed.gradient is not None:
                page["edges"]["gradient"] = packed(edge_strengths(model, observed.gradient), "f8")
    history = getattr(model, "history", None)
    page["history"] = {name: packed(column, "f8") for name, column in history.items()} if history else None
    return page


def _few(names: Sequence[Hashable], what: str) -> str:
    if 0 < len(names) <= 2:
        return ", ".join(map(label, names))
    return f"{len(names):,} {what}s"


def _facts(model: Model) -> list[list[str]]:
    topology = model.topology
    frozen = int((~model.trainable).sum())
    return [
        ["nodes", f"{topology.n_nodes:,}"],
        ["edges", f"{topology.n_edges:,}"],
        ["levels", f"{int(topology.level.max(initial=0)) + 1:,}"],
        ["parameters", f"{len(model.parameters):,}" + (f" ({frozen:,} frozen)" if frozen else "")],
        ["loss", str(model.loss)],
        ["numbers", str(model.dtype)],
    ]


def _placed(drawn: Sketch) -> dict[str, Any]:
    """Names, coordinates and the ends of edges."""
    layout = layered_layout(len(drawn.names), drawn.sources, drawn.targets, drawn.levels)
    few = len(drawn.names) and np.ptp(layout.x) < 7
    stretch = 8.0 if len(drawn.names) > 1_500 else 2.6
    across, down = layout.scaled(ASPECT, least=(3.6 if few else 2.4, 1.0), stretch=stretch)
    return {
        "names": node_labels(drawn.names),
        "role": packed([ROLES.index(role) for role in drawn.roles], "u1"),
        "level": packed(drawn.levels, "i4"),
        "x": packed(layout.x * across, "f4"),
        "y": packed(layout.y * down, "f4"),
        "radius": 0.34 * min(down, 1.4),
        "edges": {
            "source": packed(drawn.sources, "i4"),
            "target": packed(drawn.targets, "i4"),
            "weight": packed(drawn.weights, "f8"),
            "bend_ptr": packed(layout.bend_ptr, "i4"),
            "bend_x": packed(layout.bend_x * across, "f4"),
            "bend_y": packed(layout.bend_y * down, "f4"),
            "direct": layout.direct,
            "counted": drawn.counted,
            "elements": None,
            "frozen": None,
            "share": None,
            "gradient": None,
        },
    }


def _nodes(model: Model, drawn: Sketch) -> dict[str, Any]:
    topology, layout = model.topology, model.layout
    bias = layout.node_biases(model.parameters, otherwise=np.nan)
    center, scale = np.zeros(len(bias)), np.ones(len(bias))
    places = ranges(topology.unit_starts[topology.inputs], topology.unit_starts[topology.inputs + 1])
    center[places], scale[places] = topology.center, topology.scale
    plain = (topology.center == 0).all() and (topology.scale == 1).all()
    return {
        **_placed(drawn),
        "units": packed(topology.units, "i4"),
        "activation": packed(topology.activation_of, "i4"),
        "activations": [_curve(activation) for activation in topology.activations],
        "bias": packed(bias, "f8"),
        "center": None if plain else packed(center, "f8"),
        "scale": None if plain else packed(scale, "f8"),
    }


@np.errstate(all="ignore")
def _curve(activation: Any) -> dict[str, Any]:
    a = packed(activation.value(CURVE.copy()), "f4")
    return {"label": str(activation), "z": packed(CURVE, "f4"), "a": a}


def _edge_numbers(model: Model) -> dict[str, Any]:
    topology, layout = model.topology, model.layout
    several = topology.n_edges < len(layout.weights) <= MAX_ELEMENTS
    elements = model.parameters[layout.weights]
    return {
        "elements": packed(elements, "f8") if several else None,
        "frozen": packed(~topology.edge_trainable, "u1"),
        "share": None if topology.share is None else packed(topology.share, "i4"),
    }


def _summary(drawn: Sketch) -> dict[str, Any]:
    groups = group(drawn)
    found = groups.sketch
    n = len(found.names)
    inside = f" {groups.inside:,} edges run inside a box." if groups.inside else ""
    return {
        **_placed(found),
        "message": found.message + inside,
        "notes": list(found.notes),
        "units": packed(np.ones(n), "i4"),
        "activation": packed(np.zeros(n), "i4"),
        "activations": [],
        "bias": packed(np.full(n, np.nan), "f8"),
        "center": None,
        "scale": None,
    }
