"""Reading the attributes of nodes and edges into the fields of a topology, and words for what is wrong.

Weights are read at once where all are plain numbers, one by one else.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import networkx as nx
import numpy as np

from dagnet.adjacency import offsets, ranges
from dagnet.arrays import Array, memory_bytes
from dagnet.contracts import Activation
from dagnet.errors import DagnetError, GraphError, Verbatim, expected, shorten
from dagnet.registry import find_activation
from dagnet.topology.extras import EDGE_EXTRAS, NODE_EXTRAS, read_edge_extras, read_node_extras
from dagnet.topology.frozen import Categories, edge_sizes
from dagnet.topology.sharing import (
    Alike,
    edge_facts,
    first_of_group,
    groups,
    learned_facts,
    node_facts,
    refuse_unlike,
)
from dagnet.topology.starts import node_starts
from dagnet.values import FLAG, as_real, plain, whole

T = TypeVar("T")
UNITS = whole(1, 2**31 - 1)
CLOSE, SHORT = 2, 5
"""Edits from a known attribute at which an unknown one is probably a misspelling; of short ones, one."""
NODE_WORDS = ("activation", "bias", "units", "trainable", "center", "scale", "categories", *NODE_EXTRAS)
EDGE_WORDS = ("weight", "trainable", "share", *EDGE_EXTRAS)
BYTES_A_WEIGHT = 64
"""What building a network takes at least: start value, place, both ends and what compiling compares."""
PLAIN = {float, int, np.float64, np.float32, np.int64, type(None)}


class Problems(list[str]):
    """The problems of one graph, gathered; each reader notes what it cannot accept and goes on."""

    def refuse(self, where: str, must: str, got: object, mend: str = "") -> None:
        """Note one problem by the one formula."""
        self.append(expected(where, must, got, mend))

    def tried(self, read: Callable[[Any], T], value: object, fallback: T, where: str = "") -> T:
        """What a reader makes of the value, or else the fallback."""
        try:
            return read(value)
        except DagnetError as error:
            self.append(f"{where}{error}")
            return fallback

    def activation(self, where: str, spec: object, fallback: Activation) -> Activation:
        """The activation that ``spec`` names."""
        return self.tried(find_activation, spec, fallback, f"{where}: ")

    def units(self, where: str, value: object) -> int:
        """A positive whole number."""
        mend = "write units=1 or more, or leave it out"
        return self.tried(partial(UNITS.check, f"{where}: units", mend=mend), value, 1)

    def categories(self, where: str, value: Any) -> Categories:
        """Words or numbers, all different."""
        found = tuple(map(plain, value)) if isinstance(value, (list, tuple, np.ndarray)) else ()
        kinds = all(isinstance(item, (str, int, float)) and item == item for item in found)  # noqa: PLR0124
        if not kinds or len(set(found)) != len(found) or len(found) < 2:
            must = "a list of at least two words or numbers, all different"
            self.refuse(f"{where}: categories", must, value, 'such as ["low", "mid", "high"]')
            return ("", "other")
        return found

    def flag(self, where: str, value: object) -> bool:
        """True or False."""
        return self.tried(partial(FLAG.check, where), value, True)

    def numbers(self, where: str, value: object, shape: tuple[int, ...]) -> Array:
        """Finite float64 numbers of ``shape``; one number serves for all."""
        array = as_real(value)
        if array is None or (array.ndim and array.shape != shape):
            form = "a number" if shape in {(), (1,), (1, 1)} else f"a number or an array of shape {shape}"
            got = value if array is None or array.ndim == 0 else Verbatim(f"shape {array.shape}")
            self.refuse(where, form, got, "convert it: float(…)" if isinstance(value, str) else "")
            return np.zeros(shape)
        if not np.isfinite(array).all():
            self.refuse(where, "finite", value, "leave it out to have it drawn or set to its default")
            return np.zeros(shape)
        return np.broadcast_to(array, shape)


def near_misses(attributes: Iterable[Hashable], known: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs (attribute, known one) where an unknown attribute is a few edits away from a known one."""
    names = list(known)
    found = []
    for attribute in sorted(name for name in attributes if isinstance(name, str)):
        if attribute in names:
            continue
        distances = [(edit_distance(attribute, name), name) for name in names if len(name) > 3]
        distance, name = min(distances)
        if distance <= (CLOSE if len(name) > SHORT else 1):
            found.append((attribute, name))
    return found


def edit_distance(a: str, b: str) -> int:
    """Levenshtein's distance; strings whose lengths alone put them out of reach count as far."""
    if abs(len(a) - len(b)) > CLOSE:
        return CLOSE + 1
    row = list(range(len(b) + 1))
    for i, first in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, second in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (first != second))
    return row[-1]


def read_units(
    data: Sequence[Mapping[str, Any]], names: Sequence[Hashable], problems: Problems
) -> tuple[Array, dict[int, Categories]]:
    """(nodes,) units, and the categories of each node that has some: it has a unit for each."""
    units, categories = np.ones(len(names), np.int64), dict[int, Categories]()
    for number, attributes in enumerate(data):
        where = f"node {shorten(names[number])}"
        if attributes.get("categories") is not None:
            found = categories[number] = problems.categories(where, attributes["categories"])
            units[number] = len(found)
        if "units" in attributes:
            units[number] = problems.units(where, attributes["units"])
            if number in categories and units[number] != len(categories[number]):
                must = f"{len(categories[number])}, one for each of its categories"
                problems.refuse(f"{where}: units", must, attributes["units"], "leave it out")
    return units, categories


def check_sizes(ends: Ends, names: Sequence[Hashable], units: Array) -> None:
    """GraphError, before memory is taken, for more units or weights than this machine can hold."""
    if (units == 1).all():
        return
    counts = units.astype(np.float64), units[ends.targets] * units[ends.sources].astype(np.float64)
    needed, memory = float(8 * counts[0].sum() + BYTES_A_WEIGHT * counts[1].sum()), memory_bytes()
    if needed > memory:
        nodes, edges = (int(count.argmax()) if len(count) else 0 for count in counts)
        of_edges = len(counts[1]) and counts[1][edges] >= counts[0][nodes]
        where = f"edge {edge_name(ends, names, edges)}" if of_edges else f"node {shorten(names[nodes])}"
        most = f"{counts[1][edges]:,.0f} weights" if of_edges else f"{units[nodes]:,} units"
        raise GraphError(
            f"units and weights need at least {needed / 2**30:,.1f} GiB, this machine has "
            f"{memory / 2**30:,.1f}; most are of {where}: {most}; write fewer units"
        )


def read_nodes(
    data: Sequence[Mapping[str, Any]],
    names: Sequence[Hashable],
    units: Array,
    inputs: Array,
    identity_by_default: Array,
    hidden: Activation,
    identity: Activation,
    problems: Problems,
) -> dict[str, Any]:
    """All that node attributes say; ``identity_by_default`` masks outputs and constants."""
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
        if is_input[number]:
            _check_input(f"node {shorten(names[number])}", attributes, identity, problems)
            continue
        if attributes.get("categories") is not None:
            where = f"node {shorten(names[number])}"
            problems.append(f"{where} has categories and must be an input; remove them, or its parents")
        if attributes.get("activation") is not None:
            spec = attributes["activation"]
            key = (type(spec), spec) if isinstance(spec, (str, Activation)) else None
            if key is None or key not in specs:
                where = f"node {shorten(names[number])}"
                specs[key] = places.setdefault(problems.activation(where, spec, identity), len(places))
            activation_of[number] = specs[key]
        if "bias" in attributes:
            bias = attributes["bias"]
            has_bias[number] = not _is_false(bias)
            if not isinstance(bias, (bool, np.bool_)) and bias is not None:
                shape = (int(units[number]),)
                biases = problems.numbers(f"node {shorten(names[number])}: bias", bias, shape)
                start[unit_starts[number] : unit_starts[number + 1]] = biases
        if "trainable" in attributes:
            where = f"node {shorten(names[number])}"
            trainable[number] = problems.flag(f"{where}: trainable", attributes["trainable"])
    return {
        **_by_first_use(tuple(places), activation_of),
        **_standardisation(data, names, units, inputs, problems),
        "has_bias": has_bias,
        "bias_trainable": trainable,
        "bias_start": start,
        **_read_words(data, names, units, node_facts(units, has_bias, trainable, start), problems),
    }


def _read_words(
    data: Sequence[Mapping[str, Any]],
    names: Sequence[Hashable],
    units: Array,
    facts: Mapping[str, Alike],
    problems: Problems,
) -> dict[str, Any]:
    """The rest of what nodes say; ``facts`` is what those that share a bias have in common."""

    def named(node: int) -> str:
        return f"node {shorten(names[node])}"

    said = read_node_extras(data, named, problems.tried)
    starts = node_starts(data, names, units, said, problems)
    if "share" in said:
        keys = [said["share"].get(node) for node in range(len(names))]
        facts = {**facts, **learned_facts(units, said, starts)}
        refuse_unlike(*groups(keys, named, problems), facts, named, problems)
    return {"node_words": said, "node_starts": starts}


def _by_first_use(activations: Sequence[Activation], activation_of: Array) -> dict[str, Any]:
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
    used = tuple(activations[place] for place in order.tolist())
    return {"activations": used, "activation_of": number[activation_of]}


def _is_false(value: object) -> bool:
    return isinstance(value, (bool, np.bool_)) and not value


def _check_input(where: str, attributes: Mapping[str, Any], identity: Activation, problems: Problems) -> None:
    if attributes.get("normalization") is not None:
        problems.append(
            f"{where} is an input and must have no normalization, got "
            f"{shorten(attributes['normalization'])}; net.standardize(X) does that for inputs"
        )
    if attributes.get("bias") is not None and not _is_false(attributes["bias"]):
        got = shorten(attributes["bias"])
        problems.append(f"{where} is an input and must have no bias, got {got}; remove it")
    said = attributes.get("aggregation")
    if said is not None and not (isinstance(said, str) and said == "sum"):
        got = shorten(said)
        problems.append(f"{where} is an input and must have no aggregation, got {got}; remove it")
    if attributes.get("categories") is not None and ("center" in attributes or "scale" in attributes):
        problems.append(f"{where} has categories, which are 0 or 1: remove its center and scale")
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
) -> dict[str, Any]:
    starts = offsets(units[inputs])
    found = {"center": np.zeros(int(starts[-1])), "scale": np.ones(int(starts[-1]))}
    for place, number in enumerate(inputs.tolist() if data else ()):
        for word in found.keys() & data[number].keys():
            where, own = f"node {shorten(names[number])}: {word}", slice(starts[place], starts[place + 1])
            values = problems.numbers(where, data[number][word], (int(units[number]),))
            if word == "scale" and (values == 0).any():
                problems.refuse(where, "other than 0", data[number][word])
            else:
                found[word][own] = values
    return found


@dataclass(frozen=True, eq=False)
class Ends:
    """Sources, targets and attribute dictionaries of all edges, in the graph's order."""

    sources: Array
    targets: Array
    data: Sequence[Mapping[str, Any]]
    attributes: frozenset[Hashable]


def read_ends(graph: nx.DiGraph[Any], index: Mapping[Hashable, int]) -> Ends:
    """Touch the graph's edges once.

    No tuple is kept for a node or an edge: many new ones would set off garbage collections, each
    of which visits all dictionaries of the graph.
    """
    rows = [row for row, _ in graph.adjacency()]
    adjacency = [neighbours for _, neighbours in graph.adjacency()]
    degrees = np.fromiter(map(len, adjacency), np.int64, len(adjacency))
    total = int(degrees.sum())
    targets = np.fromiter(map(index.__getitem__, chain.from_iterable(adjacency)), np.int64, total)
    data = list(chain.from_iterable(neighbours.values() for neighbours in adjacency))
    sources = np.repeat(np.fromiter(map(index.__getitem__, rows), np.int64, len(rows)), degrees)
    return Ends(sources, targets, data, frozenset(chain.from_iterable(data)))


def read_edges(
    ends: Ends, names: Sequence[Hashable], units: Array, weight: str | None, problems: Problems
) -> dict[str, Any]:
    """All that edge attributes say."""

    def named(edge: int) -> str:
        return f"edge {edge_name(ends, names, edge)}"

    n = len(ends.sources)
    start = _plain_weights(ends, units, weight)
    if start is None:
        start = _checked_weights(ends, names, units, weight, problems)
    trainable = np.ones(n, bool)
    if "trainable" in ends.attributes:
        for edge, attributes in enumerate(ends.data):
            if "trainable" in attributes:
                trainable[edge] = problems.flag(f"{named(edge)}: trainable", attributes["trainable"])
    said = read_edge_extras(ends.data, ends.attributes, named, problems.tried)
    fields: dict[str, Any] = {"edge_trainable": trainable, "edge_words": said}
    places = offsets(edge_sizes(units, ends.sources, ends.targets))
    if (factor := said.get("factor")) is not None:
        with np.errstate(over="ignore"):
            start = start / np.repeat(factor, np.diff(places))
    if "share" in ends.attributes:
        keys = [attributes.get("share") for attributes in ends.data]
        share, fields["share_keys"] = groups(keys, named, problems)
        shapes = units[ends.targets], units[ends.sources]
        facts = edge_facts(*shapes, trainable, start, divided=factor is not None)
        refuse_unlike(share, fields["share_keys"], facts, named, problems)
        fields["share"], first = share, first_of_group(share)
        if factor is not None and not problems:
            start = start[ranges(places[first], places[first + 1])]
    return fields | {"weight_start": start}


def edge_name(ends: Ends, names: Sequence[Hashable], edge: int) -> str:
    """An edge, for messages."""
    return f"{shorten(names[ends.sources[edge]])} → {shorten(names[ends.targets[edge]])}"


def _plain_weights(ends: Ends, units: Array, weight: str | None) -> Array | None:
    """Weights where every node has one unit and every weight is a plain finite number or absent."""
    if (units != 1).any():
        return None
    if weight is None or weight not in ends.attributes:
        return np.full(len(ends.data), np.nan)
    values = [attributes.get(weight) for attributes in ends.data]
    if not set(map(type, values)) <= PLAIN:
        return None
    try:
        start = np.array(values, np.float64)
    except OverflowError:
        return None
    given = np.isfinite(start)
    if given.all() or sum(value is None for value in values) == len(given) - given.sum():
        return start
    return None


def _checked_weights(
    ends: Ends, names: Sequence[Hashable], units: Array, weight: str | None, problems: Problems
) -> Array:
    """Weights one by one, with a problem for each that will not do."""
    rows, columns = units[ends.targets], units[ends.sources]
    places = offsets(edge_sizes(units, ends.sources, ends.targets))
    start = np.full(int(places[-1]), np.nan)
    if weight is None:
        return start
    for edge, attributes in enumerate(ends.data):
        value = attributes.get(weight)
        if value is not None:
            shape = (int(rows[edge]), int(columns[edge]))
            where = f"edge {edge_name(ends, names, edge)}: {weight}"
            start[places[edge] : places[edge + 1]] = problems.numbers(where, value, shape).ravel()
    return start
