"""Reading node attributes into arrays."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dagnet.adjacency import offsets
from dagnet.arrays import Array
from dagnet.contracts import Activation
from dagnet.errors import shorten
from dagnet.topology.problems import Problems


@dataclass(frozen=True, eq=False)
class NodeTable:
    """What the node attributes say, as :class:`dagnet.topology.Topology` holds it."""

    activations: tuple[Activation, ...]
    activation_of: Array
    has_bias: Array
    bias_trainable: Array
    bias_start: Array
    center: Array
    scale: Array


def read_units(data: Sequence[Mapping[str, Any]], names: Sequence[Hashable], problems: Problems) -> Array:
    """(nodes,) units."""
    units = np.ones(len(names), np.int64)
    for number, attributes in enumerate(data):
        if "units" in attributes:
            units[number] = problems.units(f"node {shorten(names[number])}", attributes["units"])
    return units


def read_nodes(
    data: Sequence[Mapping[str, Any]],
    names: Sequence[Hashable],
    units: Array,
    inputs: Array,
    identity_by_default: Array,
    hidden: Activation,
    identity: Activation,
    problems: Problems,
) -> NodeTable:
    """Read all node attributes; ``identity_by_default`` masks outputs and constants."""
    n = len(names)
    places: dict[Activation, int] = {identity: 0}
    default = places.setdefault(hidden, len(places))
    activation_of = np.where(identity_by_default, 0, default).astype(np.int32)
    has_bias, trainable = np.ones(n, bool), np.ones(n, bool)
    unit_starts = offsets(units)
    start, is_input = np.zeros(int(unit_starts[-1])), np.zeros(n, bool)
    is_input[inputs] = True
    has_bias[inputs] = False
    specs: dict[object, int] = {}
    for number, attributes in enumerate(data):
        if not attributes:
            continue
        where = f"node {shorten(names[number])}"
        if is_input[number]:
            _check_input(where, attributes, identity, problems)
            continue
        if attributes.get("activation") is not None:
            spec = attributes["activation"]
            key = (type(spec), spec) if isinstance(spec, (str, Activation)) else None
            if key is None or key not in specs:
                specs[key] = places.setdefault(problems.activation(where, spec, identity), len(places))
            activation_of[number] = specs[key]
        if "bias" in attributes:
            bias = attributes["bias"]
            has_bias[number] = not _is_false(bias)
            if not isinstance(bias, (bool, np.bool_)) and bias is not None:
                shape = (int(units[number]),)
                biases = problems.numbers(f"{where}: bias", bias, shape)
                start[unit_starts[number] : unit_starts[number + 1]] = biases
        if "trainable" in attributes:
            trainable[number] = problems.flag(f"{where}: trainable", attributes["trainable"])
    center, scale = _standardisation(data, names, units, inputs, problems)
    activations, activation_of = _by_first_use(tuple(places), activation_of)
    return NodeTable(activations, activation_of, has_bias, trainable, start, center, scale)


def _by_first_use(
    activations: Sequence[Activation], activation_of: Array
) -> tuple[tuple[Activation, ...], Array]:
    """Identity, then the others as nodes use them first.

    Units are computed, and so terms are added, in the order of the numbers: where a node has its
    activation from, an attribute or the default, must not be seen in the last bit of a sum.
    """
    n = len(activation_of)
    first = np.full(len(activations), n)
    first[activation_of[::-1]] = np.arange(n)[::-1]  # of several the last assignment stays
    first[0] = -1
    order = np.argsort(first, kind="stable")[: np.count_nonzero(first < n)]
    number = np.zeros(len(activations), np.int32)
    number[order] = np.arange(len(order))
    return tuple(activations[place] for place in order.tolist()), number[activation_of]


def _is_false(value: object) -> bool:
    return isinstance(value, (bool, np.bool_)) and not value


def _check_input(where: str, attributes: Mapping[str, Any], identity: Activation, problems: Problems) -> None:
    if attributes.get("bias") is not None and not _is_false(attributes["bias"]):
        got = shorten(attributes["bias"])
        problems.append(f"{where} is an input and must have no bias, got {got}; remove it")
    spec = attributes.get("activation")
    if spec is not None and problems.activation(where, spec, identity) != identity:
        problems.append(
            f"{where} is an input and must have no activation, got {shorten(spec)}; "
            "remove it, or name the real inputs with inputs=[…]"
        )


def _standardisation(
    data: Sequence[Mapping[str, Any]],
    names: Sequence[Hashable],
    units: Array,
    inputs: Array,
    problems: Problems,
) -> tuple[Array, Array]:
    center, scale = [np.zeros(0)], [np.zeros(0)]
    for number in inputs.tolist():
        where, shape = f"node {shorten(names[number])}", (int(units[number]),)
        attributes = data[number] if number < len(data) else {}
        center.append(problems.numbers(f"{where}: center", attributes.get("center", 0.0), shape))
        divisor = problems.numbers(f"{where}: scale", attributes.get("scale", 1.0), shape)
        if (divisor == 0).any():
            problems.refuse(f"{where}: scale", "other than 0", attributes.get("scale"))
            divisor = np.ones(shape)
        scale.append(divisor)
    return np.concatenate(center), np.concatenate(scale)
