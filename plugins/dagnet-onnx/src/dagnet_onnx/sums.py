"""One level's pre-activations: which units are one matrix product, which are padded to one degree.

Units that have the same parents are a block, a matrix.  Blocks of one height are padded to one number of
parents, in buckets, and each bucket is a Gather of parents, (blocks, parents, rows), and a batched MatMul.
What pads is a row of ones with weight 0, so that no 0 · ∞ can come in.  More buckets are less padding and
more nodes: what takes the fewest bytes is chosen, and is about what takes the least time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import dagnet
from dagnet.arrays import Array
from dagnet.plan import AGGREGATE, DENSE, LAYER, SPARSE, Plan, Step

BUCKET = 1024
"""Bytes that another bucket must save."""
OWN = ("mean", "product", "max", "min")
"""Aggregations whose terms may be padded."""
PADDED = {"sum": 0.0, "product": 1.0}
"""The weight of a row of ones that changes nothing."""


class Block(NamedTuple):
    """Units with the same parents: (units,), and (units, parents) slots."""

    units: Array
    slots: Array


class Bucket(NamedTuple):
    """Blocks of one height.

    (blocks, height) units, (blocks, parents) sources, (blocks, height, parents) weights.
    """

    kind: Any
    units: Array
    sources: Array
    weights: Array


def blocks_of(plan: Plan, steps: list[Step]) -> Iterator[tuple[Any, list[Block]]]:
    """By aggregation, None for sums, the blocks of a level."""
    found: dict[Any, list[Block]] = {}
    for step in steps:
        if step.kind == LAYER:
            continue
        own = found.setdefault(plan.aggregations[step.what] if step.kind == AGGREGATE else None, [])
        starts = plan.indptr[step.target : step.target + step.n_target + 1]
        if step.kind == DENSE or (step.kind == SPARSE and _alike(plan, step, starts)):
            slots = np.arange(step.slots.start, step.slots.stop).reshape(step.n_target, -1)
            own.append(Block(np.arange(step.target, step.target + step.n_target), slots))
        else:
            own += [
                Block(np.array([step.target + k]), np.arange(starts[k], starts[k + 1])[None])
                for k in range(step.n_target)
            ]
    yield from found.items()


def _alike(plan: Plan, step: Step, starts: Array) -> bool:
    """Whether the units of a step have the same parents."""
    degrees = np.diff(starts)
    if step.n_target < 2 or not degrees[0] or (degrees != degrees[0]).any():
        return False
    parents = plan.sources[step.slots].reshape(step.n_target, -1)
    return bool((parents == parents[0]).all())


def buckets_of(plan: Plan, kind: Any, blocks: list[Block], theta: Array) -> Iterator[Bucket]:
    """Blocks of one aggregation, padded to the same number of parents, and of one height each."""
    heights = np.array([len(block.units) for block in blocks])
    degrees = np.array([block.slots.shape[1] for block in blocks])
    for height in np.unique(heights).tolist():
        members = np.flatnonzero(heights == height)
        members = members[np.argsort(degrees[members], kind="stable")]
        saved = BUCKET if rule_of(kind) else 0
        for part in cut(degrees[members], height * theta.itemsize + 4, saved):
            yield _bucket(plan, kind, [blocks[k] for k in members[part]], theta)


def cut(degrees: Array, size: int, bucket: int) -> list[slice]:
    """Where to cut degrees that rise, so that Σ blocks · highest degree · size + bucket is least."""
    highest, counts = np.unique(degrees, return_counts=True)
    ends = np.concatenate([[0], np.cumsum(counts)])
    if not bucket:
        return [slice(*pair) for pair in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]
    least, begin = np.zeros(len(ends)), np.zeros(len(ends), np.int64)
    for k in range(1, len(ends)):
        costs = least[:k] + (ends[k] - ends[:k]) * float(highest[k - 1] * size) + bucket
        begin[k] = costs.argmin()
        least[k] = costs[begin[k]]
    found, k = [], len(highest)
    while k:
        found.append(slice(int(ends[begin[k]]), int(ends[k])))
        k = int(begin[k])
    return found[::-1]


def _bucket(plan: Plan, kind: Any, blocks: list[Block], theta: Array) -> Bucket:
    rule, most = rule_of(kind), max(1, *(block.slots.shape[1] for block in blocks), 1)
    sources = np.full((len(blocks), most), plan.n_units)
    weights = np.full((len(blocks), len(blocks[0].units), most), PADDED.get(rule, 0.0), theta.dtype)
    for k, (_, slots) in enumerate(blocks):
        degree = slots.shape[1]
        sources[k, :degree], weights[k, :, :degree] = plan.sources[slots[0]], theta[slots]
        if rule in {"max", "min"}:  # of a term that is there twice nothing changes
            sources[k, degree:], weights[k, :, degree:] = sources[k, 0], weights[k, :, :1]
        elif rule == "mean":
            weights[k] /= degree
    return Bucket(kind, np.array([block.units for block in blocks]), sources, weights)


def rule_of(kind: Any) -> str:
    """The name of an aggregation of dagnet's own, ``"sum"`` for None, and nothing for a plugin's."""
    if kind is None:
        return "sum"
    return kind.name if kind == dagnet.aggregations().get(kind.name) and kind.name in OWN else ""
