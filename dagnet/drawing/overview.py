"""The overview of a network too large to draw: nodes of one kind and level become one group."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from dagnet.drawing.sketch import Floats, Ints, Sketch

COLUMNS = 12


@dataclass(frozen=True)
class Groups:
    """A sketch of groups, and which group each node went to: ``member`` (nodes,)."""

    sketch: Sketch
    member: Ints
    inside: int
    """How many edges run inside a group and are not drawn."""


def summarised(sketch: Sketch, *, max_nodes: int = 2_000, max_edges: int = 12_000) -> Sketch:
    """The sketch itself while it is small enough to draw, else its groups."""
    if len(sketch.names) <= max_nodes and len(sketch.sources) <= max_edges:
        return sketch
    return group(sketch).sketch


def group(sketch: Sketch, *, columns: int = COLUMNS) -> Groups:
    """Gather nodes by level, role and activation; an edge of groups counts the edges that it stands for."""
    n_levels = int(sketch.levels.max(initial=0)) + 1
    column = sketch.levels if n_levels <= columns else sketch.levels * columns // n_levels
    kind_of = list(zip(sketch.roles, sketch.activations or [""] * len(sketch.roles), strict=True))
    kinds = list(dict.fromkeys(kind_of))
    numbers = {kind: i for i, kind in enumerate(kinds)}
    kind = np.array([numbers[kind] for kind in kind_of], np.int64)
    keys, member = np.unique(column * len(kinds) + kind, return_inverse=True)
    member = member.reshape(-1)
    depth = keys // max(len(kinds), 1)
    sizes = np.bincount(member, minlength=len(keys)).tolist()
    names = [_group_name(kinds[key % len(kinds)], size) for key, size in zip(keys, sizes, strict=True)]
    total, seen = Counter(names), defaultdict[str, Iterator[int]](lambda: count(1))
    sources, targets, weights, inside = _group_edges(sketch, member, depth)
    notes = [_levels_note(sketch.levels[member == i]) for i in range(len(keys))]
    message = (
        f"{len(sketch.names):,} nodes and {len(sketch.sources):,} edges are too many to draw one by one; "
        "each box stands for the nodes of one kind and level (or of a few), each line for all edges between."
    )
    names = [f"{name} · {next(seen[name])}" if total[name] > 1 else name for name in names]
    roles, levels = ["group"] * len(keys), np.unique(depth, return_inverse=True)[1].reshape(-1)
    edges = sources, targets, weights
    groups = Sketch(names, roles, levels, *edges, notes=notes, counted=True, message=message)
    return Groups(groups, member, inside)


def _group_name(kind: tuple[str, str], size: int) -> str:
    role, activation = kind
    what = activation if role == "hidden" and activation else f"{role}{'s' if size != 1 else ''}"
    return f"{size:,} {what}"


def _levels_note(levels: Ints) -> str:
    low, high = int(levels.min()), int(levels.max())
    return f"level {low}" if low == high else f"levels {low} to {high}"


def _group_edges(sketch: Sketch, member: Ints, depth: Ints) -> tuple[Ints, Ints, Floats, int]:
    tails, heads = member[sketch.sources], member[sketch.targets]
    across = depth[tails] < depth[heads]
    pairs, counts = np.unique(tails[across] * len(depth) + heads[across], return_counts=True)
    n_groups = max(len(depth), 1)
    return pairs // n_groups, pairs % n_groups, counts.astype(np.float64), int((~across).sum())
