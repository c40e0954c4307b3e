"""The inspector: one HTML file in which a network answers questions, without any network.

What the page shows is the payload: a dict of JSON values, described where the page reads it, in ``data.js``.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Hashable, Sequence
from importlib import resources
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike

from dagnet.adjacency import ranges
from dagnet.arrays import Array
from dagnet.contracts import Activation, Observations
from dagnet.drawing import ROLES, Sketch, edge_strengths, group, layered_layout, sketch
from dagnet.explain import attribution_of
from dagnet.explain.arguments import activation_text
from dagnet.formats.annotated import RowStatistics, full_runner, row_statistics
from dagnet.markup import label, node_labels
from dagnet.model import ABSENT, Model
from dagnet.plan import aggregate_steps, slopes
from dagnet.topology import normalizations

__all__ = ["page", "write_html"]

SCRIPTS = "data", "numbers", "forward", "geometry", "paint", "labels", "panel", "parts", "controls", "viewer"
KINDS = {"f8": "<f8", "f4": "<f4", "i4": "<i4", "u1": "|u1"}
MAX_NODES, MAX_EDGES, MAX_ELEMENTS = 6_000, 60_000, 400_000
ASPECT = 1.3
CURVES = 4
"""Columns of the history that are drawn, and outputs to which contributions are shown."""
MOST_ROWS, MOST_NUMBERS, EXACT = 64, 150_000, 60_000


def write_html(model: Model, stream: BinaryIO, observations: Observations | None) -> None:
    """Write the page that shows a network and, for given rows, what they do in it."""
    stream.write(page(payload(model, observations)).encode("utf-8"))


def page(data: dict[str, Any]) -> str:
    """The page for a payload."""
    folder = resources.files(__name__)
    names = ("viewer.html", "viewer.css", *(f"{name}.js" for name in SCRIPTS))
    text, style, *scripts = (folder.joinpath(name).read_text(encoding="utf-8") for name in names)
    parts = {
        "title": html.escape(str(data["title"])),
        "style": style,
        "data": script_json(data),
        "script": "\n".join(scripts),
    }
    pieces = text.split("@@")  # text, name, text, name, …
    return "".join(parts[piece] if place % 2 else piece for place, piece in enumerate(pieces))


def packed(values: ArrayLike, kind: str) -> dict[str, str]:
    """An array as base64 of its little-endian bytes; ``kind`` is f8, f4, i4 or u1.

    Examples
    --------
    >>> packed([1, 2], "u1")
    {'kind': 'u1', 'data': 'AQI='}
    """
    with np.errstate(over="ignore"):
        data = np.ascontiguousarray(np.asarray(values).ravel(), KINDS[kind])
    return {"kind": kind, "data": base64.b64encode(data.tobytes()).decode("ascii")}


def script_json(payload: dict[str, Any]) -> str:
    r"""JSON that can stand inside ``<script type="application/json">``.

    Plain ASCII; ``<``, ``>`` and ``&`` are escaped too, so that nothing in it ends the element
    or begins another.

    Examples
    --------
    >>> print(script_json({"name": "</script>"}))
    {"name":"\u003c/script\u003e"}
    """
    text = json.dumps(payload, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


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
        if observations is not None:
            observed = row_statistics(model, observations.X, observations.y)
            page["rows"] = kept_rows(model, observations, observed)
            if observed.gradient is not None:
                by_weight = model.layout.weights_of(observed.gradient, derivatives=True)
                page["edges"]["gradient"] = packed(edge_strengths(model, by_weight), "f8")
    history = getattr(model, "history", None)
    columns = sorted(history or {}, key=lambda name: "[" in name)[:CURVES]  # those of all heads come first
    page["history"] = {name: packed(history[name], "f8") for name in columns} if history else None
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
    columns = drawn.levels if drawn.columns is None else drawn.columns
    layout = layered_layout(len(drawn.names), drawn.sources, drawn.targets, columns)
    few = len(drawn.names) and np.ptp(layout.x) < 7
    stretch = 8.0 if len(drawn.names) > 1_500 else 2.6
    across, down = layout.scaled(ASPECT, least=(3.6 if few else 2.4, 1.0), stretch=stretch)
    return {
        "names": node_labels(drawn.names),
        "role": packed([ROLES.index(role) for role in drawn.roles], "u1"),
        "level": packed(drawn.levels, "i4"),
        "column": packed(columns, "i4"),
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
    words: dict[int, str] = {}
    for word in ("normalization", "dropout"):
        for node, said in topology.node_words.get(word, {}).items():
            text = f"{word} {said}"
            words[node] = f"{words[node]}, {text}" if node in words else text
    for node in topology.categories:
        words[node] = f"categories, {words[node]}" if node in words else "categories"
    placed, several = _placed(drawn), topology.n_edges < len(layout.weights) <= MAX_ELEMENTS
    placed["edges"] |= {
        "elements": packed(layout.weights_of(model.parameters), "f8") if several else None,
        "frozen": packed(~topology.edge_trainable, "u1"),
        "share": None if topology.share is None else packed(topology.share, "i4"),
    }
    return {
        **placed,
        "words": words,
        "norms": _normalizations(model),
        "units": packed(topology.units, "i4"),
        **_functions(model),
        "aggregation": packed(topology.aggregation_of, "i4"),
        "aggregations": list(map(str, topology.aggregations)),
        "bias": packed(bias, "f8"),
        "center": None if plain else packed(center, "f8"),
        "scale": None if plain else packed(scale, "f8"),
    }


def _normalizations(model: Model) -> dict[int, Any]:
    """How nodes are normalised: over rows by the running moments, which are in gain and offset."""
    found = dict[int, Any]()
    for node, kind in normalizations(model.topology.node_words).items():
        name, said = model.topology.nodes[node], model.node_parameters
        gain, offset = said[name, "scale"], said[name, "shift"]
        if kind.over_rows:
            gain = gain / np.sqrt(said[name, "variance"] + kind.eps)
            offset = offset - said[name, "mean"] * gain
        eps, numbers = None if kind.over_rows else kind.eps, [packed(each, "f8") for each in (gain, offset)]
        found[node] = {"eps": eps, "before": kind.before_activation, "gain": numbers[0], "offset": numbers[1]}
    return found


def _functions(model: Model) -> dict[str, Any]:
    """What activations calculate, with what they know or have learned, or why the page cannot."""
    topology, of, formulas = model.topology, model.topology.activation_of.copy(), list[dict[str, Any]]()
    known: list[tuple[str, int, dict[str, Array]]] = []
    for place, activation in enumerate(topology.activations):
        formula = activation.formula
        ops = [] if formula is None else [[op.name, op.reads, str(op.value)] for op in formula.ops]
        said = {} if formula is None else {"arguments": formula.arguments, "result": formula.results[0]}
        formulas.append({"ops": ops, **said, "reason": activation.reason})
        known.append((str(activation), place, {}))
    for node in np.unique(np.concatenate([np.zeros(0, np.int64), *topology.learners.values()])).tolist():
        learned = model.layout.activation_numbers(node, model.parameters)
        known.append((activation_text(model, node), int(of[node]), learned))
        of[node] = len(known) - 1
    found = []
    for text, place, learned in known:
        activation = topology.activations[place]
        parameters = {**activation.trainable, **activation.parameters, **learned}
        names = [name for name in formulas[place].get("arguments", ()) if name in parameters]
        given = [np.ravel(parameters[name]).astype(float).tolist() for name in names]
        points = _points(activation, learned, model.dtype)
        found.append({"label": text, "formula": place, "given": given, "points": points})
    return {"activation": packed(of, "i4"), "activations": found, "formulas": formulas}


@np.errstate(all="ignore")
def _points(activation: Activation, learned: dict[str, Array], dtype: Any) -> dict[str, str] | None:
    """The curve of an activation without a formula; None where each of several units learned its own."""
    if activation.formula is not None or any(len(numbers) > 1 for numbers in learned.values()):
        return None
    return packed(activation.value(np.linspace(-6.0, 6.0, 121, dtype=dtype), **learned), "f4")


def _summary(drawn: Sketch) -> dict[str, Any]:
    found = group(drawn)
    n, undrawn = len(found.names), len(drawn.sources) - int(found.weights.sum())
    inside = f" {undrawn:,} edges run inside a box." if undrawn else ""
    return {
        **_placed(found),
        "message": found.message + inside,
        "notes": list(found.notes),
        "units": packed(np.ones(n), "i4"),
        "activation": packed(np.zeros(n), "i4"),
        "activations": [],
        "aggregation": packed(np.full(n, -1), "i4"),
        "aggregations": [],
        "bias": packed(np.full(n, np.nan), "f8"),
        "center": None,
        "scale": None,
    }


def _shares(model: Model, a: Array) -> dict[str, str] | None:
    """∂(aggregation)/∂term of each edge and row, (rows, edges): 1 of sums, NaN between several units."""
    topology, plan, first = model.topology, model.plan, model.layout.first_unit
    if not topology.aggregations or a.shape[1] * topology.n_edges > MOST_NUMBERS:
        return None
    by_slot = np.ones((plan.n_weights, a.shape[1]))
    for step in aggregate_steps(plan):
        for _, slots, _, slope in slopes(plan, step, model.layout.theta(model.vector), a.__getitem__):
            by_slot[slots] = slope
    result = np.ones((topology.n_edges, a.shape[1]))
    for edge in np.flatnonzero(topology.aggregation_of[topology.targets] >= 0).tolist():
        source, target = topology.sources[edge], topology.targets[edge]
        row = slice(*plan.indptr[first[target] : first[target] + 2])
        alone = topology.units[source] == topology.units[target] == 1
        place = row.start + np.searchsorted(plan.sources[row], first[source])
        result[edge] = by_slot[place] if alone else np.nan
    return packed(result.T, "f4")


@np.errstate(all="ignore")
def kept_rows(model: Model, observations: Observations, observed: RowStatistics) -> dict[str, Any]:
    """The ``rows`` of the payload: the first rows, as many as fit."""
    inputs, targets, _ = model.encode(observations.X, ABSENT if observations.y is None else observations.y)
    everything = np.arange(model.plan.n_units)
    nodes, layout = range(model.topology.n_nodes), model.layout
    order = np.concatenate([everything[layout.units_of(v)] for v in nodes])
    summed = np.concatenate([everything[layout.summed_units_of(v)] for v in nodes])
    place = np.zeros_like(everything)
    place[order] = np.arange(len(order))
    kept = min(len(inputs), MOST_ROWS, max(1, MOST_NUMBERS // max(len(order), 1)))
    kind = "f8" if kept * len(order) <= EXACT else "f4"
    runner = model.runner if observations.y is None else full_runner(model)
    state = runner.forward(model.layout.theta(model.vector), inputs[:kept])
    z, a = state.pre_activation(everything), state.value(everything)
    rows: dict[str, Any] = {
        "total": observed.rows,
        "kept": kept,
        "z": packed(z[summed].T, kind),
        "a": packed(a[order].T, kind),
        "slope": packed(_slopes(model, z, a)[order].T, kind),
        "outputs": packed(place[layout.plan.outputs], "i4"),
        "share": _shares(model, a),
        "delta": None,
        "attribution": _attributions(model, inputs[:kept]),
    }
    if observations.y is not None:
        targets = targets[:kept]
        values, pull = model.objective.by_row(state.outputs, targets)
        rows["loss"] = packed(values, "f8")
        rows["mean_loss"] = observed.loss if np.isfinite(observed.loss or 0.0) else None
        rows["pull"] = packed(pull, "f8")
        if all(head.loss.columns == 1 for head in model.objective.heads):
            rows["target"] = packed(model.objective.spread(targets), "f8")
        pull, into = np.ascontiguousarray(pull, model.dtype), np.zeros(model.plan.n_slots, model.dtype)
        runner.backward(model.layout.theta(model.vector), state, pull, into=into)
        rows["delta"] = packed(state.delta(summed).T, kind)
    return rows


def _attributions(model: Model, inputs: Array) -> dict[str, Any]:
    """To each of the first outputs, or its first unit, what nodes contribute: (rows, nodes)."""
    topology, found = model.topology, dict[str, Any]()
    several = max(1, min(CURVES, MOST_NUMBERS // max(1, len(inputs) * topology.n_nodes)))
    for node in topology.outputs[:several].tolist():
        name = topology.nodes[node]
        of = name if topology.units[node] == 1 else (name, 0)
        attribution = attribution_of(model, inputs.copy(), of)
        found[label(of)] = packed(np.column_stack([attribution[each] for each in topology.nodes]), "f4")
    return found


def _slopes(model: Model, z: Any, a: Any) -> Any:
    """(units, rows) ∂a/∂z, of a normalised value by the sum behind it; NaN where units are normalised."""
    plan, theta = model.layout.plan, model.layout.theta(model.vector)
    slopes = plan.slopes(z, a, theta)
    if plan.normalized_by is not None:
        halves = np.flatnonzero(plan.normalized_by >= 0)
        over_rows = np.array([kind.over_rows for kind in plan.normalizations])[plan.normalized_by[halves]]
        weights = np.where(over_rows, theta[plan.indptr[halves]], np.nan)
        slopes[halves] *= weights[:, None] * slopes[plan.sources[plan.indptr[halves]]]
    return slopes
