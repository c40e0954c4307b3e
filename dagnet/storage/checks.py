"""Every property of a graph that the rest of dagnet relies on, checked where a file says the graph."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import numpy as np

from dagnet.adjacency import Rows, levels, narrowest, rows_by
from dagnet.arrays import Array
from dagnet.contracts import LEARNED, MOMENTS, Loss
from dagnet.registry import find_loss
from dagnet.topology import Problems, Topology, heads_of, parameter_limits, sharing_problems


def checked_topology(parts: Topology) -> Topology:
    """The topology with ``index`` and ``level``, or ``ValueError`` with what is wrong.

    All else that a file holds of a graph is there, each of the right type and otherwise unchecked.
    """
    _check_lengths(parts)
    _check_units(parts)
    index: dict[Hashable, int] = dict(zip(parts.nodes, range(len(parts.nodes)), strict=True))
    check(len(index) == len(parts.nodes), "two nodes have the same name")
    children = rows_by(parts.sources, parts.targets, len(parts.nodes))
    level = _checked_level(parts, children)
    _check_ports(parts)
    _check_activations(parts)
    _check_numbers(parts)
    for node, words in parts.categories.items():
        check(node in parts.inputs and len(set(words)) == parts.units[node] > 1, "categories do not fit")
        check(all(isinstance(word, (str, int, float)) for word in words), "a category is no word")
    if parts.share is not None:
        _check_shared(parts, parts.share)
    elif parts.share_keys:
        raise ValueError("there are share keys without shared weights")
    check(not (unlike := next(sharing_problems(parts), "")), unlike)
    low, high = parameter_limits(parts) or np.zeros((2, 0))
    check((low <= high).all(), "limits leave nothing to a weight")
    activation_of = parts.activation_of.astype(np.int32)
    sources, targets = (end.astype(narrowest(len(index))) for end in (parts.sources, parts.targets))
    own = replace(parts, sources=sources, targets=targets)
    return replace(own, activation_of=activation_of, index=index, level=level)


def check(holds: object, what: str) -> None:
    """``ValueError`` with what is wrong, unless it holds."""
    if not holds:
        raise ValueError(what)


def _within(numbers: Array, n: int) -> bool:
    return not len(numbers) or bool(numbers.min() >= 0 and numbers.max() < n)


def _check_lengths(parts: Topology) -> None:
    n, e = len(parts.nodes), len(parts.sources)
    per_node = (parts.units, parts.activation_of, parts.has_bias, parts.bias_trainable)
    check(n >= 1 and all(len(array) == n for array in per_node), "the nodes' tensors differ in length")
    per_edge = (parts.targets, parts.edge_trainable, *parts.edge_words.values())
    check(all(len(array) == e for array in per_edge), "the edges' tensors differ in length")
    for numbers in (parts.sources, parts.targets, parts.inputs, parts.outputs):
        check(_within(numbers, n), "a node's number is out of range")
    named = parts.weight_name is None or isinstance(parts.weight_name, str)
    check(named, "the weight attribute is no name")


def _check_units(parts: Topology) -> None:
    """Before anything of that size is allocated; doubles cannot overflow, 64-bit integers could."""
    check((parts.units >= 1).all(), "a node has no units")
    units = parts.units.astype(np.float64)
    check(units.sum() == len(parts.bias_start), "there is not one bias for each unit")
    weights = (units[parts.sources] * units[parts.targets]).sum()
    check(weights == len(parts.weight_start), "the weights do not fit the edges")
    inputs = units[parts.inputs].sum()
    check(inputs == len(parts.center) == len(parts.scale), "center and scale do not fit the inputs")


def _checked_level(parts: Topology, children: Rows) -> Array:
    n = len(parts.nodes)
    key = np.sort(parts.sources * np.int64(n) + parts.targets)
    check((key[1:] != key[:-1]).all(), "an edge is there twice")
    level = levels(children, np.bincount(parts.targets, minlength=n))
    check((level >= 0).all(), "the graph has a cycle")
    return level


def _check_ports(parts: Topology) -> None:
    for what, nodes in (("inputs", parts.inputs), ("outputs", parts.outputs)):
        check(len(np.unique(nodes)) == len(nodes), f"a node is twice among the {what}")
    check(len(parts.outputs), "there is no output")
    check(not np.isin(parts.inputs, parts.targets).any(), "an input has parents")
    check(not parts.has_bias[parts.inputs].any(), "an input has a bias")


def _check_activations(parts: Topology) -> None:
    check(_within(parts.activation_of, len(parts.activations)), "an activation's number is out of range")
    check(len(set(parts.activations)) == len(parts.activations), "an activation is there twice")
    check(not parts.activation_of[parts.inputs].any(), "an input has an activation")
    aggregating = parts.node_words.get("aggregation", {}).keys()
    check(aggregating.isdisjoint(parts.inputs.tolist()), "an input has an aggregation")


def _check_numbers(parts: Topology) -> None:
    starts = parts.weight_start, parts.bias_start, *parts.node_starts.values()
    for numbers in (*starts, parts.center, parts.scale):
        check(np.isfinite(numbers).all(), "a number is not finite")
    check((parts.scale != 0).all(), "an input's scale is 0")
    _check_normalized(parts)
    biased = np.repeat(parts.has_bias, parts.units)
    check(not parts.bias_start[~biased].view(np.int64).any(), "there is a bias of a node that has none")


def _check_normalized(parts: Topology) -> None:
    names = (*parts.learners, *LEARNED, *MOMENTS)
    sizes = {name: int(parts.units[parts.nodes_with(name)].sum()) for name in names}
    found = {name: len(array) for name, array in parts.node_starts.items()}
    fits = found == {name: n for name, n in sizes.items() if n}
    check(fits, "the numbers of normalisations and activations do not fit the nodes")
    over_units = np.setdiff1d(parts.normalized, parts.nodes_with("mean"))
    check((parts.units[over_units] > 1).all(), "a node of one unit is normalised over its units")
    check((parts.node_starts.get("variance", np.zeros(0)) >= 0).all(), "a variance is below 0")
    check(not np.isin(parts.normalized, parts.inputs).any(), "an input is normalised")


def _check_shared(parts: Topology, share: Array) -> None:
    check(len(share) == len(parts.sources), "the edges' tensors differ in length")
    groups = len(parts.share_keys)
    check(share.max(initial=-1) < groups and share.min(initial=-1) >= -1, "a group's number is out of range")
    check(len(set(parts.share_keys)) == groups, "a share key is there twice")
    shared = np.flatnonzero(share >= 0)
    first = np.unique(share[shared], return_index=True)[1]
    check(len(first) == groups and (np.diff(first) > 0).all(), "a share key is not used, or out of order")


def check_heads(topology: Topology, default: Loss) -> None:
    """``ValueError`` where heads cannot be as a file says; PluginError for an unknown loss."""
    for said in topology.node_words.get("loss", {}).values():
        find_loss(said[0] if isinstance(said, tuple) else said)
    problems = Problems()
    heads_of(topology, default, problems)
    check(not problems, "; ".join(problems))
