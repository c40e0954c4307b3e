"""From a NetworkX graph or from arrays to a topology: validation at the border, once."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import networkx as nx
import numpy as np

from dagnet.adjacency import Rows, levels, narrowest, reachable, rows_by
from dagnet.arrays import Array, memory_bytes, repeated
from dagnet.contracts import Activation, Loss
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
from dagnet.registry import find_activation, find_loss
from dagnet.topology.attributes import check_sizes, read_edges, read_nodes, read_units, with_starts
from dagnet.topology.cycles import find_cycles
from dagnet.topology.frozen import Topology, number_of
from dagnet.topology.heads import heads_of, with_arguments
from dagnet.topology.limits import limit_problems, warn_of_signs
from dagnet.topology.said import Drawn, Problems, Said, drawn, near_misses, numbered
from dagnet.topology.sharing import sharing_problems
from dagnet.topology.words import (
    ON_EDGES,
    ON_NODES,
    WORDS,
    check_words,
    checked_words,
    reworded,
    users_attributes,
)

Names = Iterable[Hashable] | None
Index = Mapping[Hashable, int]
LISTED = 12
MOST_NODES = 2**31
BYTES_A_NODE = 64
KEYS = ("inputs", "outputs", "loss", "loss_weights", "dtype", "unread", "hidden")
DTYPES = (np.float64, np.float32)
NOTHING: Mapping[Any, Any] = MappingProxyType({})
PLACE = 'graph.graph["dagnet"]'


class GraphSettings(NamedTuple):
    """Inputs and outputs (None: by their degrees), the loss, the dtype; what is wrong with them.

    ``loss`` is that of outputs that say none; ``heads`` has what ``loss`` and ``loss_weights`` say
    of outputs by name.  ``unread`` are words of dagnet's that mean something else in the graph,
    ``hidden`` nodes that nothing leads into and that are no constants of the graph's, but what is
    left of hidden ones.
    """

    inputs: Names
    outputs: Names
    loss: Loss
    dtype: np.dtype[Any]
    problems: Problems
    unread: tuple[str, ...] = ()
    hidden: Iterable[Hashable] = ()
    heads: Mapping[str, Mapping[Any, Any]] = NOTHING


def read_settings(
    graph: object,
    *,
    inputs: Names,
    outputs: Names,
    loss: str | Loss | Mapping[Any, Any] | None,
    dtype: object,
    loss_weights: Mapping[Any, Any] | None = None,
) -> GraphSettings:
    """The arguments where they are given, else the graph's word, else the defaults.

    Raises
    ------
    PluginError, DataError
        For a loss or a dtype among the arguments that will not do; what is wrong with the
        graph's word is in ``problems``.
    """
    problems = Problems()
    said = _said(graph, problems)
    one, other = (None if isinstance(given, Mapping) else given for given in (loss, said.get("loss")))
    chosen = find_loss("squared_error" if one is None else one)
    if one is None and other is not None:
        chosen = problems.tried(find_loss, other, chosen, f'{PLACE}["loss"]: ')
    if loss_weights is not None and not isinstance(loss_weights, Mapping):
        must = "a mapping from an output, or a tuple of them, to a number"
        raise DataError(expected("loss_weights", must, loss_weights))
    given = {"loss": loss, "loss_weights": loss_weights}
    either = {name: said.get(name) if value is None else value for name, value in given.items()}
    numbers = checked_dtype(dtype)
    if dtype is None and "dtype" in said:
        numbers = problems.tried(checked_dtype, said["dtype"], numbers, f"{PLACE}: ")
    inputs = said.get("inputs") if inputs is None else inputs
    outputs = said.get("outputs") if outputs is None else outputs
    heads = {name: value for name, value in either.items() if isinstance(value, Mapping)}
    unread, hidden = _unread(said, problems), said.get("hidden", ())
    return GraphSettings(inputs, outputs, chosen, numbers, problems, unread, hidden, heads)


def _said(graph: object, problems: Problems) -> Mapping[str, Any]:
    attributes = getattr(graph, "graph", None)
    said = attributes.get("dagnet") if isinstance(attributes, Mapping) else None
    if said is None:
        return {}
    if isinstance(said, Mapping):
        for key, known in near_misses(said, KEYS):
            text = f"{PLACE}: the key {key!r} is not one that dagnet reads; did you mean {known!r}?"
            warnings.warn(text, DagnetWarning, stacklevel=4)
        return said
    problems.refuse(PLACE, "a mapping with the keys inputs, outputs, loss, dtype", said, "remove or mend it")
    return {}


def _unread(said: Mapping[str, Any], problems: Problems) -> tuple[str, ...]:
    words = said.get("unread", ())
    if isinstance(words, (list, tuple)) and all(isinstance(word, str) and word in WORDS for word in words):
        return tuple(words)
    problems.refuse(f'{PLACE}["unread"]', "a list of words of dagnet's", words, "remove or mend it")
    return ()


def checked_dtype(dtype: object) -> np.dtype[Any]:
    """``float64`` (also for None) or ``float32``, or :class:`DataError`."""
    try:
        result = np.dtype(np.float64 if dtype is None else dtype)  # type: ignore[call-overload]
    except Exception:  # noqa: BLE001 - NumPy raises what it likes, strangers' objects too
        result = None
    if result is None or result.type not in DTYPES:
        raise DataError(expected("dtype", "'float64' or 'float32'", dtype))
    return np.dtype(result.type)  # the one of this machine


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
    words = checked_words(attributes, settings.unread, weight)
    hidden, directed, problems = find_activation(activation), checked_graph(graph), settings.problems
    read = drawn(directed)
    users = users_attributes(directed, read, words, weight)
    if words:
        nodes, edges = reworded(read.nodes, words, ON_NODES), reworded(read.edges, words, ON_EDGES, weight)
        read = replace(read, nodes=nodes, edges=edges)
    check_words(read.nodes, read.edges, weight, problems)
    units, categories = read_units(read.nodes, len(read.names), problems)
    check_sizes(read, units)
    fields = read_edges(read, units, weight, problems)
    _check_dropped(read, fields["edge_words"], problems)
    fields |= {"users": users, "categories": categories, "weight_name": weight}
    return _assemble(read, units, fields, settings, hidden)


def _check_dropped(read: Drawn, words: Mapping[str, Any], problems: Problems) -> None:
    """Terms are only dropped where they are summed."""
    for edge in np.flatnonzero(words["dropout"]).tolist() if "dropout" in words else ():
        said = read.nodes.data[read.targets[edge]].get("aggregation") or "sum"
        if said != "sum":
            where = f"{read.edges.where(edge)}: dropout"
            problems.refuse(where, "on an edge into a node that sums", said, "write dropout on the parent")


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
    if BYTES_A_NODE * n > memory_bytes():
        must = f"such that {BYTES_A_NODE} bytes a node fit into memory, {memory_bytes():,} bytes"
        raise DataError(expected("node numbers", must, n - 1, "number nodes from 0"))
    key = child * np.int64(n)
    key += parent
    if not (key[1:] > key[:-1]).all():
        key.sort()
    twice = np.flatnonzero(key[1:] == key[:-1])
    if len(twice):
        target, source = divmod(int(key[twice[0]]), n)
        mend = "dagnet needs one weight an edge: merge them"
        settings.problems.append(f"edge {source} → {target} is given twice; {mend}")
    del key
    start = repeated(np.nan, len(parent)) if weights is None else _weights(weights, len(parent))
    free = repeated(True, len(parent))
    fields = {"weight_start": start, "edge_trainable": free, "weight_name": "weight"}
    read = Drawn(range(n), numbered(range(n)), parent, child, Said("node", str), Said("edge", str))
    return _assemble(read, repeated(1, n), fields, settings, hidden)


def _as_array(where: str, values: Any) -> Array:
    try:
        return np.asarray(values)
    except ValueError as error:  # lists of different lengths
        raise DataError(expected(where, "a one-dimensional array of numbers", values)) from error


def _integers(where: str, values: Any) -> Array:
    if np.ma.is_masked(values):
        raise DataError(f"{where} has masked entries, which are no nodes; drop them: {where}.compressed()")
    array = _as_array(where, values)
    must = "a one-dimensional array of node numbers ≥ 0"
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise DataError(expected(where, must, Verbatim(f"{array.dtype} of shape {array.shape}")))
    if array.size and array.min() < 0:
        raise DataError(expected(where, must, int(array.min())))
    if array.size and array.max() >= MOST_NODES:
        raise DataError(
            expected(where, f"node numbers below {MOST_NODES:,}", int(array.max()), "number nodes from 0")
        )
    return array.astype(np.int32)


def _weights(weights: Any, n: int) -> Array:
    array = _as_array("weights", weights)
    if array.shape != (n,) or array.dtype.kind not in "iuf":
        got = Verbatim(f"{array.dtype} of shape {array.shape}")
        raise DataError(expected("weights", f"{n} numbers, one an edge", got))
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        place = int(np.flatnonzero(~np.isfinite(array))[0])
        raise DataError(expected(f"weights[{place}]", "finite", float(array[place])))
    return array


def checked_graph(graph: object) -> nx.DiGraph[Any]:
    """A directed graph that is not empty and has no parallel edges, or :class:`GraphError`."""
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
            "dagnet needs one weight an edge: merge them, adding their weights, and use nx.DiGraph"
        )
    return nx.DiGraph(graph)


def _assemble(
    read: Drawn, units: Array, fields: Mapping[str, Any], settings: GraphSettings, hidden: Activation
) -> Topology:
    names, index, n, problems = read.names, read.index, len(read.names), settings.problems
    children = rows_by(read.sources, read.targets, n)
    in_degrees = np.bincount(read.targets, minlength=n)
    level = levels(children, in_degrees)
    cycle, told = find_cycles(names, read.sources, read.targets) if np.count_nonzero(level < 0) else ([], [])
    problems.extend(told)
    inputs = _inputs(settings.inputs, names, index, in_degrees, problems)
    outputs = _outputs(settings.outputs, index, in_degrees, children, problems)
    identity_by_default = in_degrees == 0
    if hidden_ones := _named("hidden", settings.hidden, index, problems):
        identity_by_default[hidden_ones] = False
    identity_by_default[outputs] = True
    nodes = read_nodes(read.nodes, units, inputs, identity_by_default, hidden, problems)
    if settings.heads:
        nodes["node_words"] = with_arguments(nodes["node_words"], settings.heads, index, problems)
    topology = Topology(
        nodes=names if isinstance(names, range) else tuple(names),
        index=index,
        sources=read.sources.astype(narrowest(n), copy=False),
        targets=read.targets.astype(narrowest(n), copy=False),
        inputs=inputs,
        outputs=outputs,
        level=level,
        units=units,
        **fields,
        **nodes,
    )
    if topology.learners or "normalization" in topology.node_words:
        topology = with_starts(topology, read.nodes, problems)
    divided = "factor" in topology.edge_words
    heads_of(topology, settings.loss, problems)
    problems.extend(sharing_problems(topology, divided=divided))
    if cycle:
        raise CycleError(problems, cycle)
    if problems:
        raise GraphError(problems)
    _warn_unreached(names, children, inputs, outputs, int(np.count_nonzero(in_degrees == 0)))
    if divided and topology.share is not None:
        topology = replace(topology, weight_start=topology.weight_start[topology.element_owners()])
    problems.extend(limit_problems(topology))
    if problems:
        raise GraphError(problems)
    warn_of_signs(topology)
    return topology


def _named(what: str, given: Iterable[Hashable], index: Index, problems: Problems) -> list[int]:
    numbers: dict[int, None] = {}
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        problems.refuse(what, "a list of nodes", given)
        return []
    unknown = 0
    for name in given:
        number = number_of(name, index)
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
    given: Names, names: Sequence[Hashable], index: Index, in_degrees: Array, problems: Problems
) -> Array:
    if given is None:
        return (in_degrees == 0).nonzero()[0]
    numbers = np.array(_named("inputs", given, index, problems), np.int64)
    for number in numbers[in_degrees[numbers] > 0][:LISTED]:
        problems.append(
            f"node {shorten(names[number])} is an input and must have no parents, "
            f"got {in_degrees[number]}; remove its incoming edges or leave it out of inputs"
        )
    return numbers[in_degrees[numbers] == 0]


def _outputs(given: Names, index: Index, in_degrees: Array, children: Rows, problems: Problems) -> Array:
    if given is None:
        numbers = ((children.degrees() == 0) & (in_degrees > 0)).nonzero()[0]
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
