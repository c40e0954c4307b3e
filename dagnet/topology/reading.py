"""From a NetworkX graph or from arrays to a topology: validation at the border, once."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, cast

import networkx as nx
import numpy as np

from dagnet.adjacency import Rows, find_cycle, levels, reachable, rows_by
from dagnet.arrays import Array
from dagnet.contracts import Activation
from dagnet.errors import (
    CycleError,
    DagnetWarning,
    DataError,
    GraphError,
    Verbatim,
    did_you_mean,
    expected,
    shorten,
)
from dagnet.registry import find_activation
from dagnet.topology.attributes import (
    EDGE_WORDS,
    NODE_WORDS,
    NONE,
    REFUSED_ON_EDGES,
    REFUSED_ON_NODES,
    Data,
    UserAttributes,
    checked_words,
    kept,
    refuse_known,
    reworded,
)
from dagnet.topology.edges import EdgeTable, Ends, edge_name, read_edges, read_ends
from dagnet.topology.frozen import Topology
from dagnet.topology.nodes import read_nodes, read_units
from dagnet.topology.problems import Problems, near_misses
from dagnet.topology.settings import GraphSettings

Names = Iterable[Hashable] | None
LISTED = 12
MOST_NODES = 2**31


def topology_from_graph(
    graph: object,
    settings: GraphSettings,
    *,
    activation: object,
    weight: str | None,
    attributes: Mapping[str, str | None] | None = None,
) -> Topology:
    """Validate a graph; all its problems come in one :class:`GraphError`."""
    if weight is not None and not isinstance(weight, str):
        raise DataError(expected("weight", "the name of an edge attribute or None", weight))
    words = checked_words(attributes, settings.unread)
    hidden = find_activation(activation)
    directed = _directed(graph)
    names = list(directed)
    index: dict[Hashable, int] = {name: number for number, name in enumerate(names)}
    data: Data = [said for _, said in directed.nodes(data=True)]
    ends = read_ends(directed, index)
    users = _users(directed, data, ends, words)
    data = reworded(data, words)
    if words:
        read = reworded(ends.data, words)
        ends = replace(ends, data=read, attributes=frozenset(chain.from_iterable(read)))
    _check_words(data, ends, names, weight, settings.problems)
    units = read_units(data, names, settings.problems)
    edges = read_edges(ends, names, units, weight, settings.problems)
    topology = _assemble(names, index, data, ends, edges, units, settings, hidden, weight)
    return replace(topology, users=users) if users is not NONE else topology


def topology_from_arrays(
    sources: Any, targets: Any, weights: Any, settings: GraphSettings, *, activation: object
) -> Topology:
    """The same from integer arrays; nodes are named 0 … n − 1."""
    hidden = find_activation(activation)
    parent, child = _integers("sources", sources), _integers("targets", targets)
    if parent.shape != child.shape:
        got = Verbatim(f"length {len(child)}")
        raise DataError(expected("targets", f"as long as sources, {len(parent)}", got))
    if not len(parent):
        raise GraphError("the graph has no edges and so no output; give at least one edge")
    n = int(max(parent.max(), child.max())) + 1
    if n > MOST_NODES:
        raise DataError(expected("node numbers", f"less than {MOST_NODES:,}", n - 1, "number nodes from 0"))
    ends = Ends(parent, child, (), frozenset())
    key = np.sort(parent * n + child)
    twice = np.flatnonzero(key[1:] == key[:-1])
    if len(twice):
        source, target = divmod(int(key[twice[0]]), n)
        mend = "dagnet needs one weight an edge: merge them"
        settings.problems.append(f"edge {source} → {target} is given twice; {mend}")
    start = np.full(len(parent), np.nan) if weights is None else _weights(weights, len(parent))
    edges = EdgeTable(start, np.ones(len(parent), bool), None, ())
    names = range(n)
    index: dict[Hashable, int] = dict(zip(names, names, strict=True))
    return _assemble(names, index, (), ends, edges, np.ones(n, np.int64), settings, hidden, "weight")


def _integers(where: str, values: Any) -> Array:
    array = np.asarray(values)
    must = "a one-dimensional array of node numbers ≥ 0"
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise DataError(expected(where, must, Verbatim(f"{array.dtype} of shape {array.shape}")))
    if array.size and array.min() < 0:
        raise DataError(expected(where, must, int(array.min())))
    return array.astype(np.int64)


def _weights(weights: Any, n: int) -> Array:
    array = np.asarray(weights)
    if array.shape != (n,) or array.dtype.kind not in "iuf":
        got = Verbatim(f"{array.dtype} of shape {array.shape}")
        raise DataError(expected("weights", f"{n} numbers, one an edge", got))
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        place = int(np.flatnonzero(~np.isfinite(array))[0])
        raise DataError(expected(f"weights[{place}]", "finite", float(array[place])))
    return array


def _directed(graph: object) -> nx.DiGraph[Any]:
    if not isinstance(graph, nx.Graph):
        raise GraphError(expected("the graph", "a networkx.DiGraph", Verbatim(type(graph).__name__)))
    if not graph.is_directed():
        mend = "dagnet needs directed edges parent → child: use nx.DiGraph"
        raise GraphError(f"the graph is undirected; {mend}")
    if not len(graph):
        raise GraphError("the graph is empty; add nodes and edges before building a network")
    if not graph.is_multigraph():
        return cast("nx.DiGraph[Any]", graph)
    parallel = next(((u, v) for u, v in graph.edges() if graph.number_of_edges(u, v) > 1), None)
    if parallel is not None:
        raise GraphError(
            f"the multigraph has parallel edges {shorten(parallel[0])} → {shorten(parallel[1])}; "
            "dagnet needs one weight an edge: merge them and use nx.DiGraph"
        )
    return nx.DiGraph(graph)


def _users(graph: nx.DiGraph[Any], data: Data, ends: Ends, words: Mapping[str, str | None]) -> UserAttributes:
    """The attributes that are not dagnet's; refuses what is on the closed list, warns of near misses."""
    said = {name: value for name, value in graph.graph.items() if name != "dagnet"}
    nodes = kept(data, chain.from_iterable(data), NODE_WORDS)
    edges = kept(ends.data, ends.attributes, EDGE_WORDS)
    refused = REFUSED_ON_NODES.keys() | REFUSED_ON_EDGES.keys()
    unread = sorted(refused & {word if name is None else name for word, name in words.items()})
    return UserAttributes(said, nodes, edges, tuple(unread)) if said or nodes or edges or unread else NONE


def _check_words(
    data: Data, ends: Ends, names: Sequence[Hashable], weight: str | None, problems: Problems
) -> None:
    """Note the words that dagnet refuses, and warn of those that are nearly its own."""
    seen = frozenset(chain.from_iterable(data))
    for kind, table, here, near, own, shown in (
        ("node", REFUSED_ON_NODES, data, seen, NODE_WORDS, lambda node: shorten(names[node])),
        (
            "edge",
            REFUSED_ON_EDGES,
            ends.data,
            ends.attributes,
            (*EDGE_WORDS, *([weight] if weight else [])),
            lambda edge: edge_name(ends, names, edge),
        ),
    ):
        refuse_known(kind, table, here, near, shown, problems)
        for attribute, known in near_misses(near - table.keys(), own):
            text = f"{kind} attribute {attribute!r} is not one that dagnet reads; did you mean {known!r}?"
            warnings.warn(text, DagnetWarning, stacklevel=4)


def _assemble(
    names: Sequence[Hashable],
    index: dict[Hashable, int],
    data: Sequence[Mapping[str, Any]],
    ends: Ends,
    edges: EdgeTable,
    units: Array,
    settings: GraphSettings,
    hidden: Activation,
    weight: str | None,
) -> Topology:
    n, problems = len(names), settings.problems
    children = rows_by(ends.sources, ends.targets, n)
    in_degrees = np.bincount(ends.targets, minlength=n)
    level = levels(children, in_degrees)
    cycle = _cycle(names, ends, level, problems)
    inputs = _inputs(settings.inputs, names, index, in_degrees, problems)
    outputs = _outputs(settings.outputs, index, in_degrees, children, problems)
    identity = find_activation("identity")
    identity_by_default = in_degrees == 0
    identity_by_default[outputs] = True
    table = read_nodes(data, names, units, inputs, identity_by_default, hidden, identity, problems)
    if cycle:
        raise CycleError(problems, cycle)
    if problems:
        raise GraphError(problems)
    _warn_unreached(names, children, inputs, outputs, int((in_degrees == 0).sum()))
    topology = Topology(
        users=NONE,
        nodes=names if isinstance(names, range) else tuple(names),
        index=index,
        sources=ends.sources,
        targets=ends.targets,
        inputs=inputs,
        outputs=outputs,
        level=level,
        units=units,
        weight_start=edges.weight_start,
        edge_trainable=edges.trainable,
        share=edges.share,
        share_keys=edges.share_keys,
        weight_name=weight,
        **{field: getattr(table, field) for field in table.__dataclass_fields__},
    )
    topology.__dict__["children"] = children
    return topology


def _cycle(names: Sequence[Hashable], ends: Ends, level: Array, problems: Problems) -> list[Hashable]:
    loops = np.flatnonzero(ends.sources == ends.targets)
    for edge in loops[:LISTED]:
        problems.append(f"node {shorten(names[ends.sources[edge]])} has an edge to itself; remove it")
    if not (level < 0).any():
        return []
    straight = ends.sources != ends.targets
    if len(loops):
        n = len(names)
        rows = rows_by(ends.sources[straight], ends.targets[straight], n)
        level = levels(rows, np.bincount(ends.targets[straight], minlength=n))
        if not (level < 0).any():
            return [names[ends.sources[loops[0]]]]
    parents = rows_by(ends.targets[straight], ends.sources[straight], len(names))
    cycle = [names[number] for number in find_cycle(parents, level)]
    shown = [shorten(name) for name in [*cycle, cycle[0]]]
    if len(shown) > LISTED:
        shown = [*shown[: LISTED - 2], f"… ({len(cycle)} nodes)", shown[-1]]
    mend = "a network needs an acyclic graph: remove one of these edges"
    problems.append(f"the graph has a cycle, {' → '.join(shown)}; {mend}")
    return cycle


def _named(what: str, given: Iterable[Hashable], index: dict[Hashable, int], problems: Problems) -> list[int]:
    numbers: dict[int, None] = {}
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        problems.refuse(what, "a list of nodes", given)
        return []
    unknown = 0
    for name in given:
        try:
            number = index.get(name)
        except TypeError:
            number = None
        if number is None:
            mend = did_you_mean(name, index, listed=6) if unknown < LISTED else ""
            problems.append(f"{what}: no node {shorten(name)} in the graph{mend}")
            unknown += 1
        elif number in numbers:
            problems.append(f"{what}: node {shorten(name)} is named twice; name it once")
        else:
            numbers[number] = None
    return list(numbers)


def _inputs(
    given: Names, names: Sequence[Hashable], index: dict[Hashable, int], in_degrees: Array, problems: Problems
) -> Array:
    if given is None:
        return np.flatnonzero(in_degrees == 0)
    numbers = np.array(_named("inputs", given, index, problems), np.int64)
    for number in numbers[in_degrees[numbers] > 0][:LISTED]:
        problems.append(
            f"node {shorten(names[number])} is an input and must have no parents, "
            f"got {in_degrees[number]}; remove its incoming edges or leave it out of inputs"
        )
    return numbers[in_degrees[numbers] == 0]


def _outputs(
    given: Names, index: dict[Hashable, int], in_degrees: Array, children: Rows, problems: Problems
) -> Array:
    if given is None:
        numbers = np.flatnonzero((children.degrees() == 0) & (in_degrees > 0))
    else:
        numbers = np.array(_named("outputs", given, index, problems), np.int64)
    if not len(numbers) and not problems:
        problems.append(
            "the graph has no output: no childless node that has a parent; add an edge, or name outputs=[…]"
        )
    return numbers


def _warn_unreached(
    names: Sequence[Hashable], children: Rows, inputs: Array, outputs: Array, parentless: int
) -> None:
    if len(inputs) == parentless:  # each way back ends in one of them
        return
    reached = np.zeros(len(names), bool)
    reached[reachable(children, inputs)] = True
    lost = [shorten(names[number]) for number in outputs if not reached[number]]
    if lost:
        more = "" if len(lost) <= LISTED else f" and {len(lost) - LISTED} more"
        lone = f"{', '.join(lost[:LISTED])}{more}"
        text = f"no input reaches output {lone}; its value is the same for every row"
        warnings.warn(text, DagnetWarning, stacklevel=5)
