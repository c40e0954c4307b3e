"""What is drawn: plain data about nodes and edges, of a network, of its groups, or made up."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.markup import counted, number, told_apart
from dagnet.model import Model
from dagnet.topology import Topology

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
ROLES = ("input", "hidden", "output", "constant", "group")
COLUMNS, TALLEST = 12, 600
"""Of an overview; nodes in a column that a page can show one by one."""


@dataclass(frozen=True)
class Sketch:
    """Nodes and edges as a picture needs them: (nodes,) and (edges,), empty or None for what is not known."""

    names: Sequence[Hashable]  # shown as labels
    roles: Sequence[str]  # of :data:`ROLES`
    levels: Ints
    sources: Ints  # node numbers, as targets
    targets: Ints
    weights: Floats  # one number a weight, NaN for none: its size is the line's width, its sign the colour
    activations: Sequence[str] = ()  # as text
    notes: Sequence[str] = ()  # a line or more about each node, shown under the pointer
    counted: bool = False  # weights are numbers of edges: a line has no sign, only a width
    message: str = ""  # what must be said about the whole picture, for instance that it is a summary
    columns: Ints | None = None  # where nodes stand; by default the levels
    biases: Floats | None = None  # written where a picture is small; NaN for none
    values: Floats | None = None  # what colours stand for, NaN for none
    scale: str = ""  # what these numbers are
    kinds: Sequence[str] = ()  # in place of numbers each node's group, "" for none
    groups: Sequence[str] = ()  # these, in the order of their colours
    sizes: Floats | None = None  # shares of the largest node's area
    sized: str = ""  # what these are
    lit: Bools | None = None  # what is painted, all else being faint
    lit_edges: Bools | None = None  # the same of edges
    ringed: Bools | None = None  # those that were asked for
    texts: Sequence[str] | None = None  # written in place of names; an empty text is nothing
    member: Ints | None = None  # of an overview: the box of each node of the network


def sketch(model: Model) -> Sketch:
    """Names, roles, levels, weights and biases of a network."""
    topology, units = model.topology, model.topology.units
    biases = model.layout.node_biases(model.parameters, otherwise=np.nan)[topology.unit_starts[:-1]]
    spelled = [str(activation) for activation in topology.activations]
    return Sketch(
        names=topology.nodes,
        roles=[topology.role(node) for node in range(topology.n_nodes)],
        levels=topology.level.astype(np.int64),
        sources=topology.sources,
        targets=topology.targets,
        weights=edge_strengths(model, model.layout.weights_of(model.parameters)),
        activations=[spelled[place] for place in topology.activation_of.tolist()],
        notes=[_note(model, node) for node in range(topology.n_nodes)],
        columns=_columns(topology),
        biases=np.where(units == 1, biases, np.nan),
    )


def _columns(topology: Topology) -> Ints:
    """The levels, but outputs as far to the right as what they feed allows: others in the last column."""
    columns, outputs = topology.level.astype(np.int64), np.flatnonzero(topology.is_output)
    last = int(columns.max(initial=0))
    for node in outputs[np.argsort(-columns[outputs], kind="stable")].tolist():
        columns[node] = columns[topology.children.of(node)].min(initial=last + 1) - 1
    return columns


def edge_strengths(model: Model, elements: NDArray[Any]) -> Floats:
    """One number an edge, (edges,), from one an element of the weights, edge after edge.

    It is the element itself, or of a matrix the root of the mean square with the sign of the sum.
    """
    elements, starts = elements.astype(np.float64), model.topology.weight_starts[:-1]
    sizes = np.diff(model.topology.weight_starts)
    if len(elements) == len(sizes):
        return elements
    with np.errstate(all="ignore"):
        squares = np.sqrt(np.add.reduceat(elements**2, starts) / sizes)
        signs = np.where(np.add.reduceat(elements, starts) < 0, -1.0, 1.0)
    return np.asarray(np.where(sizes == 1, elements[starts], squares * signs), np.float64)


def _note(model: Model, node: int) -> str:
    places = model.layout.bias_places(node)
    units = int(model.topology.units[node])
    many = f"{units} units" if units > 1 else ""
    bias = f"bias {number(float(model.parameters[places[0]]))}" if len(places) == 1 else ""
    return "\n".join(filter(None, (many, bias)))


def summarised(sketch: Sketch, *, max_nodes: int = 2_000, max_edges: int = 12_000) -> Sketch:
    """The sketch itself while it is small enough to draw, else its groups."""
    tallest = np.bincount(sketch.levels if sketch.columns is None else sketch.columns).max(initial=0)
    if len(sketch.names) <= max_nodes and len(sketch.sources) <= max_edges and tallest <= TALLEST:
        return sketch
    return group(sketch)


def group(sketch: Sketch) -> Sketch:
    """Gather nodes by level, role, activation and kind; an edge of groups counts those that it stands for.

    Edges that run inside a group are not drawn.
    """
    levels = sketch.levels if sketch.columns is None else sketch.columns
    n_levels = int(levels.max(initial=0)) + 1
    column = levels if n_levels <= COLUMNS else levels * COLUMNS // n_levels
    blank = [""] * len(sketch.roles)
    kind_of = list(zip(sketch.roles, sketch.activations or blank, sketch.kinds or blank, strict=True))
    kinds = list(dict.fromkeys(kind_of))
    numbers = {kind: i for i, kind in enumerate(kinds)}
    kind = np.array([numbers[kind] for kind in kind_of], np.int64)
    keys, member = np.unique(column * len(kinds) + kind, return_inverse=True)
    member = member.reshape(-1)
    depth = keys // max(len(kinds), 1)
    sizes = np.bincount(member, minlength=len(keys)).tolist()
    names = [_group_name(kinds[key % len(kinds)], size) for key, size in zip(keys, sizes, strict=True)]
    tails, heads = member[sketch.sources], member[sketch.targets]
    across = depth[tails] < depth[heads]
    pairs, counts = np.unique(tails[across] * len(depth) + heads[across], return_counts=True)
    n_groups = max(len(depth), 1)
    edges = pairs // n_groups, pairs % n_groups, counts.astype(np.float64)
    notes = [_levels_note(sketch.levels[member == i]) for i in range(len(keys))]
    message = (
        f"{len(sketch.names):,} nodes and {len(sketch.sources):,} edges are too many to draw one by one; "
        "each box stands for the nodes of one kind and level (or of a few), each line for all edges between."
    )
    roles, levels = ["group"] * len(keys), np.unique(depth, return_inverse=True)[1].reshape(-1)
    groups = Sketch(told_apart(names), roles, levels, *edges, notes=notes, counted=True, message=message)
    of = [kinds[key % len(kinds)][2] for key in keys] if sketch.kinds else ()
    texts = names if sketch.texts is None or any(sketch.texts) else [""] * len(names)
    return replace(groups, texts=texts, kinds=of, groups=sketch.groups, member=member)


def as_drawn(sketch: Sketch, values: Floats, what: str) -> tuple[Floats, str, list[str]]:
    """Numbers of nodes, or of an overview's boxes, NaN for none; what they are; a line about each."""
    if sketch.member is None:
        return values, what, [""] * len(values)
    known, n = ~np.isnan(values), len(sketch.names)
    found, box = values[known], sketch.member[known]
    counts, low, high = np.bincount(box, minlength=n), np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(low, box, found)
    np.maximum.at(high, box, found)
    means = np.bincount(box, found / counts[box], minlength=n)
    said = zip(counts.tolist(), low.tolist(), high.tolist(), strict=True)
    lines = [f"{counted(k, 'node')} from {number(a)} to {number(b)}" if k else "" for k, a, b in said]
    return np.where(counts > 0, means, np.nan), f"{what}, mean of a box's nodes", lines


def _group_name(kind: tuple[str, str, str], size: int) -> str:
    role, activation, _ = kind
    what = activation if role == "hidden" and activation else f"{role}{'s' if size != 1 else ''}"
    return f"{size:,} {what}"


def _levels_note(levels: Ints) -> str:
    low, high = int(levels.min()), int(levels.max())
    return f"level {low}" if low == high else f"levels {low} to {high}"
