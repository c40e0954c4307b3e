"""From a file's arrays to a topology: every property that the rest of dagnet relies on is checked."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import numpy as np

from dagnet.adjacency import Rows, levels, offsets, ranges, rows_by
from dagnet.arrays import Array
from dagnet.topology import Topology


def checked_topology(parts: Topology) -> Topology:
    """The topology with ``index`` and ``level``, or ``ValueError`` with what is wrong.

    All else that a file holds of a graph is there, each of the right type and otherwise unchecked.
    """
    _check_lengths(parts)
    _check_units(parts)
    index = _index(parts)
    children = rows_by(parts.sources, parts.targets, len(parts.nodes))
    level = _checked_level(parts, children)
    _check_ports(parts)
    _check_activations(parts)
    _check_numbers(parts)
    if parts.share is not None:
        _check_shared(parts, parts.share)
    elif parts.share_keys:
        raise ValueError("there are share keys without shared weights")
    activation_of = parts.activation_of.astype(np.int32)
    topology = replace(parts, activation_of=activation_of, index=index, level=level)
    topology.__dict__["children"] = children
    return topology


def _check(holds: object, what: str) -> None:
    if not holds:
        raise ValueError(what)


def _within(numbers: Array, n: int) -> bool:
    return not len(numbers) or bool(numbers.min() >= 0 and numbers.max() < n)


def _check_lengths(parts: Topology) -> None:
    n, e = len(parts.nodes), len(parts.sources)
    per_node = (parts.units, parts.activation_of, parts.has_bias, parts.bias_trainable)
    _check(n >= 1 and all(len(array) == n for array in per_node), "the nodes' tensors differ in length")
    _check(len(parts.targets) == len(parts.edge_trainable) == e, "the edges' tensors differ in length")
    for numbers in (parts.sources, parts.targets, parts.inputs, parts.outputs):
        _check(_within(numbers, n), "a node's number is out of range")
    named = parts.weight_name is None or isinstance(parts.weight_name, str)
    _check(named, "the weight attribute is no name")


def _check_units(parts: Topology) -> None:
    """Before anything of that size is allocated; doubles cannot overflow, 64-bit integers could."""
    _check((parts.units >= 1).all(), "a node has no units")
    units = parts.units.astype(np.float64)
    _check(units.sum() == len(parts.bias_start), "there is not one bias for each unit")
    weights = (units[parts.sources] * units[parts.targets]).sum()
    _check(weights == len(parts.weight_start), "the weights do not fit the edges")
    inputs = units[parts.inputs].sum()
    _check(inputs == len(parts.center) == len(parts.scale), "center and scale do not fit the inputs")


def _index(parts: Topology) -> dict[Hashable, int]:
    index: dict[Hashable, int] = dict(zip(parts.nodes, range(len(parts.nodes)), strict=True))
    _check(len(index) == len(parts.nodes), "two nodes have the same name")
    return index


def _checked_level(parts: Topology, children: Rows) -> Array:
    n = len(parts.nodes)
    key = np.sort(parts.sources * n + parts.targets)
    _check((key[1:] != key[:-1]).all(), "an edge is there twice")
    level = levels(children, np.bincount(parts.targets, minlength=n))
    _check((level >= 0).all(), "the graph has a cycle")
    return level


def _check_ports(parts: Topology) -> None:
    for what, nodes in (("inputs", parts.inputs), ("outputs", parts.outputs)):
        _check(len(np.unique(nodes)) == len(nodes), f"a node is twice among the {what}")
    _check(len(parts.outputs), "there is no output")
    _check(not np.isin(parts.inputs, parts.targets).any(), "an input has parents")
    _check(not parts.has_bias[parts.inputs].any(), "an input has a bias")


def _check_activations(parts: Topology) -> None:
    _check(_within(parts.activation_of, len(parts.activations)), "an activation's number is out of range")
    _check(len(set(parts.activations)) == len(parts.activations), "an activation is there twice")
    _check(not parts.activation_of[parts.inputs].any(), "an input has an activation")


def _check_numbers(parts: Topology) -> None:
    for numbers in (parts.weight_start, parts.bias_start, parts.center, parts.scale):
        _check(np.isfinite(numbers).all(), "a number is not finite")
    _check((parts.scale != 0).all(), "an input's scale is 0")
    biased = np.repeat(parts.has_bias, parts.units)
    _check(not parts.bias_start[~biased].view(np.int64).any(), "there is a bias of a node that has none")


def _check_shared(parts: Topology, share: Array) -> None:
    _check(len(share) == len(parts.sources), "the edges' tensors differ in length")
    groups = len(parts.share_keys)
    _check(share.max(initial=-1) < groups and share.min(initial=-1) >= -1, "a group's number is out of range")
    _check(len(set(parts.share_keys)) == groups, "a share key is there twice")
    shared = np.flatnonzero(share >= 0)
    _, first, place = np.unique(share[shared], return_index=True, return_inverse=True)
    _check(len(first) == groups and (np.diff(first) > 0).all(), "a share key is not used, or out of order")
    one, other = shared, shared[first][place]
    rows, columns = parts.units[parts.targets], parts.units[parts.sources]
    alike = (rows[one] == rows[other]) & (columns[one] == columns[other])
    _check(alike.all(), "edges that share a weight differ in shape")
    free = parts.edge_trainable
    _check((free[one] == free[other]).all(), "shared edges differ in trainable")
    starts, bits = offsets(rows * columns), parts.weight_start.view(np.int64)
    here, there = (bits[ranges(starts[edges], starts[edges + 1])] for edges in (one, other))
    _check((here == there).all(), "edges that share a weight differ in it")
