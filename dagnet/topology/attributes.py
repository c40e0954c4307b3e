"""From what nodes and edges say to the fields of a topology, and words for what is wrong.

Weights are read at once where all are plain numbers, one by one else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from dagnet.adjacency import offsets
from dagnet.arrays import Array, all_are, memory_bytes, repeated
from dagnet.contracts import LEARNED, MOMENTS, Activation
from dagnet.errors import GraphError, shorten
from dagnet.registry import find_activation
from dagnet.topology.extras import (
    EDGE_EXTRAS,
    NODE_EXTRAS,
    normalizations,
    read_edge_extras,
    read_node_extras,
)
from dagnet.topology.frozen import Topology, edge_sizes
from dagnet.topology.groups import groups
from dagnet.topology.said import Categories, Drawn, Problems, Said

NODE_WORDS = ("activation", "bias", "units", "trainable", "center", "scale", "categories", *NODE_EXTRAS)
EDGE_WORDS = ("weight", "trainable", "share", *EDGE_EXTRAS)
BYTES_A_WEIGHT = 64
"""What building a network takes at least: start value, place, both ends and what compiling compares."""
PLAIN = {float, int, np.float64, np.float32, np.int64, type(None)}


def read_units(nodes: Said, n: int, problems: Problems) -> tuple[Array, dict[int, Categories]]:
    """(nodes,) units, and the categories of each node that has some: it has a unit for each."""
    units, categories = repeated(1, n), dict[int, Categories]()
    if nodes.words & {"categories", "units"}:
        units = units.copy()
    for number, words in nodes.of("categories"):
        if words is not None:
            found = categories[number] = problems.categories(nodes.where(number), words)
            units[number] = len(found)
    for number, value in nodes.of("units"):
        where = nodes.where(number)
        units[number] = problems.units(where, value)
        if number in categories and units[number] != len(categories[number]):
            must = f"{len(categories[number])}, one for each of its categories"
            problems.refuse(f"{where}: units", must, value, "leave it out")
    return units, categories


def check_sizes(drawn: Drawn, units: Array) -> None:
    """GraphError, before memory is taken, for more units or weights than this machine can hold."""
    if all_are(units, 1):
        return
    counts = units.astype(np.float64), units[drawn.targets] * units[drawn.sources].astype(np.float64)
    needed, memory = float(8 * counts[0].sum() + BYTES_A_WEIGHT * counts[1].sum()), memory_bytes()
    if needed > memory:
        node, edge = (int(count.argmax()) if len(count) else 0 for count in counts)
        of_edges = len(counts[1]) and counts[1][edge] >= counts[0][node]
        where = drawn.edges.where(edge) if of_edges else drawn.nodes.where(node)
        most = f"{counts[1][edge]:,.0f} weights" if of_edges else f"{units[node]:,} units"
        raise GraphError(
            f"units and weights need at least {needed / 2**30:,.1f} GiB, this machine has "
            f"{memory / 2**30:,.1f}; most are of {where}: {most}; write fewer units"
        )


def read_nodes(
    nodes: Said,
    units: Array,
    inputs: Array,
    unsaid: Array,
    hidden: Activation,
    problems: Problems,
) -> dict[str, Any]:
    """All that node attributes say; ``unsaid`` masks outputs and constants, identity by default."""
    n = len(units)
    is_input, has_bias, trainable = np.zeros(n, bool), np.ones(n, bool), repeated(True, n)
    is_input[inputs] = True
    has_bias[inputs] = False
    _check_inputs(nodes, is_input, problems)
    start, plain, unit_starts = repeated(0.0, int(units.sum())), None, []
    if "bias" in nodes.words:
        plain, start = _plain_numbers(nodes, units, "bias"), np.zeros(len(start))
        unit_starts = offsets(units).tolist()
    if "trainable" in nodes.words:
        trainable = trainable.copy()
    if plain is not None:
        start[:] = np.where(is_input | np.isnan(plain), 0.0, plain)
    for number, bias in nodes.of("bias") if plain is None else ():
        if is_input[number] or bias is None:
            continue
        if isinstance(bias, (bool, np.bool_)):
            has_bias[number] = bias
        else:
            first, last = unit_starts[number : number + 2]
            start[first:last] = problems.numbers(nodes, number, "bias", bias, (last - first,))
    for number, value in nodes.of("trainable"):
        if not is_input[number]:
            trainable[number] = problems.flag(f"{nodes.where(number)}: trainable", value)
    return {
        **_activations(nodes, is_input, unsaid, hidden, problems),
        **_standardisation(nodes, units, inputs, problems),
        "has_bias": has_bias,
        "bias_trainable": trainable,
        "bias_start": start,
        "node_words": read_node_extras(nodes, problems),
    }


def _activations(
    nodes: Said, is_input: Array, unsaid: Array, hidden: Activation, problems: Problems
) -> dict[str, Any]:
    """The activations, and each node's number among them: identity, then as nodes use them first.

    Units are computed, and so terms are added, in the order of the numbers: where a node has its
    activation from, an attribute or the default, must not be seen in the last bit of a sum.
    """
    identity = find_activation("identity")
    places: dict[Activation, int] = {identity: 0}
    default = places.setdefault(hidden, len(places))
    activation_of = np.where(unsaid | is_input, 0, default)
    specs: dict[object, int] = {}
    computed = (~is_input).tolist() if "activation" in nodes.words else []
    for number, spec in nodes.of("activation"):
        if spec is None:
            continue
        key = (type(spec), spec) if isinstance(spec, (str, Activation)) else None
        if key is None or key not in specs:
            found = problems.activation(nodes.where(number), spec, identity)
            specs[key] = places.setdefault(found, len(places))
        if computed[number]:
            activation_of[number] = specs[key]
        elif specs[key]:
            problems.append(
                f"{nodes.where(number)} is an input and must have no activation, got {shorten(spec)}; "
                "remove it, or name the real inputs with inputs=[…]"
            )
    order = dict.fromkeys([0, *activation_of.tolist()])
    numbers, activations = np.zeros(len(places), np.int32), list(places)
    for number, at in enumerate(order):
        numbers[at] = number
    return {"activations": tuple(activations[at] for at in order), "activation_of": numbers[activation_of]}


NOT_OF_INPUTS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "normalization": (lambda _: False, "net.standardize(X) does that for inputs"),
    "bias": (lambda bias: isinstance(bias, (bool, np.bool_)) and not bias, "remove it"),
    "aggregation": (lambda said: isinstance(said, str) and said == "sum", "remove it"),
}
"""What an input must not say, but for None and what has no effect, and how it is mended."""


def _check_inputs(nodes: Said, is_input: Array, problems: Problems) -> None:
    said = nodes.words & NOT_OF_INPUTS.keys()
    inputs = is_input.nonzero()[0].tolist() if said else []
    for word, (is_harmless, mend) in NOT_OF_INPUTS.items() if said else ():
        for number in inputs:
            value = nodes.data[number].get(word)
            if value is not None and not is_harmless(value):
                must = f"is an input and must have no {word}, got {shorten(value)}"
                problems.append(f"{nodes.where(number)} {must}; {mend}")
    for number, words in nodes.of("categories"):
        if words is not None and not is_input[number]:
            mend = "remove them, or its parents"
            problems.append(f"{nodes.where(number)} has categories and must be an input; {mend}")
        elif words is not None and nodes.data[number].keys() & {"center", "scale"}:
            where = nodes.where(number)
            problems.append(f"{where} has categories, which are 0 or 1: remove its center and scale")


def _standardisation(nodes: Said, units: Array, inputs: Array, problems: Problems) -> dict[str, Array]:
    n = len(inputs) if all_are(units, 1) else int(units[inputs].sum())
    found = {"center": repeated(0.0, n), "scale": repeated(1.0, n)}
    if not nodes.words & found.keys():
        return found
    starts, found = offsets(units[inputs]), {word: numbers.copy() for word, numbers in found.items()}
    place_of = {number: place for place, number in enumerate(inputs.tolist())}
    for word, numbers in found.items():
        for node, value in nodes.of(word):
            if (place := place_of.get(node)) is None:
                continue
            values = problems.numbers(nodes, node, word, value, (int(units[node]),))
            if word == "scale" and not np.all(values):
                problems.refuse(f"{nodes.where(node)}: {word}", "other than 0", value)
            else:
                numbers[starts[place] : starts[place + 1]] = values
    return found


def with_starts(topology: Topology, nodes: Said, problems: Problems) -> Topology:
    """Where what activations and normalisations learn and keep begins, node after node.

    It stands on nodes by its name, and so is not the user's own there.
    """
    for node, kind in normalizations(topology.node_words).items():
        if not kind.over_rows and topology.units[node] == 1:
            problems.append(
                f"{nodes.where(node)}: normalization {kind.name!r} is over the units of one node and "
                "must stand on one of several, got units=1; write units=2 or more, or normalization='batch'"
            )
    starts: dict[str, Array] = {}
    for name in (*topology.learners, *LEARNED, *MOMENTS):
        default, said = {**LEARNED, **MOMENTS}.get(name), dict(nodes.of(name))
        pieces = []
        for node in topology.nodes_with(name).tolist():
            value = said.get(node)
            if value is None:
                value = topology.learns(node)[name] if default is None else default
            units = int(topology.units[node])
            pieces.append(problems.numbers(nodes, node, name, value, (units,)) + np.zeros(units))
            if name == "variance" and (pieces[-1] < 0).any():
                problems.refuse(f"{nodes.where(node)}: {name}", "at least 0", value)
        if pieces:
            starts[name] = np.concatenate(pieces)
    users, own = topology.users, {name: frozenset(topology.nodes_with(name).tolist()) for name in starts}
    if own and users.nodes:
        kept = {
            node: {name: value for name, value in said.items() if node not in own.get(name, ())}
            for node, said in users.nodes.items()
        }
        users = replace(users, nodes={node: said for node, said in kept.items() if said})
    return replace(topology, node_starts=starts, users=users)


def read_edges(drawn: Drawn, units: Array, weight: str | None, problems: Problems) -> dict[str, Any]:
    """All that edge attributes say."""
    edges, sources, targets = drawn.edges, drawn.sources, drawn.targets
    start = _plain_numbers(edges, units, weight)
    if start is None:
        start = _checked_weights(drawn, units, weight, problems)
    trainable = repeated(True, len(sources))
    if "trainable" in edges.words:
        trainable = trainable.copy()
    for edge, value in edges.of("trainable"):
        trainable[edge] = problems.flag(f"{edges.where(edge)}: trainable", value)
    said = read_edge_extras(edges, problems)
    if (factor := said.get("factor")) is not None:
        with np.errstate(over="ignore"):
            start = start / np.repeat(factor, edge_sizes(units, sources, targets))
    fields = {"weight_start": start, "edge_trainable": trainable, "edge_words": said}
    if "share" in edges.words:
        keys = [attributes.get("share") for attributes in edges.data]
        fields["share"], fields["share_keys"] = groups(keys, edges.where, problems)
    return fields


def _plain_numbers(said: Said, units: Array, word: str | None) -> Array | None:
    """What each says, where every node has one unit and all are plain finite numbers, or absent: NaN."""
    if not all_are(units, 1):
        return None
    if word is None or word not in said.words:
        return np.full(len(said.data), np.nan)
    values = [attributes.get(word) for attributes in said.data]
    if not set(map(type, values)) <= PLAIN:
        return None
    try:
        numbers = np.array(values, np.float64)
    except OverflowError:
        return None
    missing = len(numbers) - np.count_nonzero(np.isfinite(numbers))
    if not missing or values.count(None) == missing:
        return numbers
    return None


def _checked_weights(drawn: Drawn, units: Array, weight: str | None, problems: Problems) -> Array:
    """Weights one by one, with a problem for each that will not do."""
    places = offsets(edge_sizes(units, drawn.sources, drawn.targets))
    start = np.full(int(places[-1]), np.nan)
    if weight is None:
        return start
    for edge, value in drawn.edges.of(weight):
        if value is not None:
            shape = (int(units[drawn.targets[edge]]), int(units[drawn.sources[edge]]))
            numbers = problems.numbers(drawn.edges, edge, weight, value, shape)
            start[places[edge] : places[edge + 1]] = np.ravel(np.broadcast_to(numbers, shape))
    return start
