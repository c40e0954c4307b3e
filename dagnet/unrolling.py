"""A graph with cycles, or with delays on its edges, as a DAG of (node, tick)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import networkx as nx

from dagnet.errors import CycleError, DataError, GraphError, did_you_mean, expected, shorten
from dagnet.topology import HEAD_WORDS, checked_graph, refuse_cycles
from dagnet.values import whole

Moment = tuple[Hashable, int]
TICKS, DELAY = whole(1), whole(0)
NO_INPUT = ("activation", "bias", "trainable", "share")
"""What a node that is an input at some ticks says of the others."""


def unroll(
    graph: nx.DiGraph[Any], ticks: int = 6, *, inputs: Any, outputs: Any, delay: str = "delay"
) -> nx.DiGraph[Any]:
    """Unroll a graph through time: a DAG of (node, tick), whose copies share weights and biases.

    An edge u → v of delay d becomes the edges (u, t − d) → (v, t), t = d … ticks − 1; what would
    come from before tick 0 is absent.  A copy that is left without terms is a constant, its
    activation of its bias, and no input.  ``Network(unrolled)`` takes inputs and outputs from the
    graph; all copies of an edge are one weight, all copies of a node one bias, and so one
    gradient: trained through time.  ``share`` keys that the graph has join what they joined.

    Parameters
    ----------
    graph
        A ``networkx.DiGraph``, cycles allowed; it is read, never changed.  All attributes are
        copied; penalties (``l1``, ``l2``) of an edge so count once a copy.
    ticks
        How many: 0 … ticks − 1.
    inputs
        Nodes that X gives at every tick, pairs (node, tick), or a mapping from node to its ticks,
        such as ``{"x": range(6), "state": [0]}``.  At other ticks such a node is an ordinary one.
        The columns of X are (node, tick), tick after tick, of one tick in the order given.
    outputs
        Nodes, read at the last tick; or pairs, or a mapping, as for inputs.  Copies of a node
        that is an output at some tick apply ``identity`` where it says no ``activation``.
    delay
        The edge attribute with the delay in ticks, a whole number; 1 where there is none, 0 is
        within the tick.

    Returns
    -------
    networkx.DiGraph
        Nodes (node, tick), tick after tick.

    Raises
    ------
    CycleError
        If edges of delay 0 form a cycle.
    GraphError
        For what :class:`Network` refuses of any graph, delays that are no whole numbers, and
        inputs that have terms at their ticks.
    DataError
        For ticks, inputs and outputs that will not do.

    Examples
    --------
    >>> import dagnet, networkx as nx
    >>> graph = nx.DiGraph([("x", "h"), ("h", "h"), ("h", "y")])
    >>> graph.edges["h", "y"]["delay"] = 0
    >>> net = dagnet.Network(dagnet.unroll(graph, 3, inputs=["x"], outputs=["y"]), seed=0)
    >>> net.inputs, net.outputs
    ((('x', 0), ('x', 1), ('x', 2)), (('y', 2),))
    >>> net.weights[("h", 0), ("h", 1)] == net.weights[("h", 1), ("h", 2)]
    True
    """
    drawn, ticks = checked_graph(graph), TICKS.check("ticks", ticks)
    if not isinstance(delay, str):
        raise DataError(expected("delay", "the name of an edge attribute", delay))
    delays = _delays(drawn, delay)
    _refuse_instant_cycles(drawn, delays)
    given = _moments("inputs", inputs, drawn, ticks, range(ticks))
    read = _moments("outputs", outputs, drawn, ticks, [ticks - 1])
    are_given = frozenset(given)
    unrolled: nx.DiGraph[Any] = nx.DiGraph()
    unrolled.graph.update(drawn.graph)
    unrolled.add_nodes_from(_nodes(drawn, ticks, are_given, frozenset(read)))
    unrolled.add_edges_from(_edges(drawn, delays, ticks))
    for node, tick in given:
        if n := unrolled.in_degree((node, tick)):
            where = f"node {shorten(node)} is an input at tick {tick} and must have no terms then, got {n}"
            mend = f"remove the edges, or name its ticks: inputs={{{shorten(node)}: [0]}}"
            raise GraphError(f"{where}; {mend}")
    parentless = (moment for moment, degree in unrolled.in_degree() if not degree)
    lost = [at for at in parentless if at not in are_given and drawn.in_degree(at[0])]
    said = drawn.graph.get("dagnet")
    settings: Mapping[str, Any] = said if isinstance(said, Mapping) else {}
    unrolled.graph["dagnet"] = {**settings, "inputs": given, "outputs": read, "hidden": lost}
    return unrolled


def _refuse_instant_cycles(graph: nx.DiGraph[Any], delays: Mapping[Any, int]) -> None:
    instant: nx.DiGraph[Any] = nx.DiGraph()
    instant.add_nodes_from(graph)
    instant.add_edges_from(edge for edge, late in delays.items() if not late)
    try:
        refuse_cycles(instant)
    except CycleError as error:
        where = "within a tick, where edges have delay 0, what a node needs must come first"
        problems = [f"{where}; give one of the edges a delay of 1 or more: {text}" for text in error.problems]
        raise CycleError(problems, error.cycle) from None


def _delays(graph: nx.DiGraph[Any], word: str) -> dict[tuple[Hashable, Hashable], int]:
    problems: list[str] = []
    found: dict[tuple[Hashable, Hashable], int] = {}
    for u, v, attributes in graph.edges(data=True):
        late = attributes.get(word)
        found[u, v] = late = 1 if late is None else late
        if type(late) is int and late >= 0:
            continue
        try:
            found[u, v] = DELAY.check(f"edge {shorten(u)} → {shorten(v)}: {word}", late)
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise GraphError(problems)
    return found


def _moments(what: str, given: Any, graph: nx.DiGraph[Any], ticks: int, usual: Iterable[int]) -> list[Moment]:
    """The (node, tick) that are named, tick after tick."""
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        must = "a list of nodes or of pairs (node, tick), or a mapping from node to ticks"
        raise DataError(expected(what, must, given, f"write {what}=[{shorten(given)}]"))
    found: dict[Moment, None] = {}
    for name, at in _named(what, given, graph, usual):
        for tick in at:
            if (name, tick) in found:
                raise DataError(f"{what}: node {shorten(name)} is named twice at tick {tick}; name it once")
            found[name, whole(0, ticks - 1).check(f"{what}: tick of {shorten(name)}", tick)] = None
    if not found:
        raise DataError(f"{what} must name at least one node, got none")
    return sorted(found, key=lambda moment: moment[1])


def _named(
    what: str, given: Iterable[Any], graph: nx.DiGraph[Any], usual: Iterable[int]
) -> Iterator[tuple[Hashable, Iterable[Any]]]:
    """Nodes and the ticks that are meant; a name that is a node is never a pair."""
    for name in given:
        if graph.has_node(name):
            at = given[name] if isinstance(given, Mapping) else usual
            yield name, at if isinstance(at, Iterable) else [at]
        elif isinstance(name, tuple) and len(name) == 2 and graph.has_node(name[0]):
            yield name[0], [name[1]]
        else:
            mend = did_you_mean(name, graph, listed=6)
            raise DataError(f"{what}: no node {shorten(name)} in the graph{mend}")


def _nodes(
    graph: nx.DiGraph[Any], ticks: int, given: AbstractSet[Moment], read: AbstractSet[Moment]
) -> Iterator[tuple[Moment, dict[str, Any]]]:
    """Copies tick after tick; the ``share`` keys of the graph become 1-tuples, others are pairs."""
    always = {node for node in graph if all((node, tick) in given for tick in range(ticks))}
    outputs = {node for node, _ in read}
    for tick in range(ticks):
        for node, attributes in graph.nodes(data=True):
            copy = dict(attributes)
            if (node, tick) in given:
                for word in NO_INPUT if node not in always else ():
                    copy.pop(word, None)
            else:
                own = copy.get("share")
                copy["share"] = ("copies of", node) if own is None else (own,)
                if node in outputs and copy.get("activation") is None:
                    copy["activation"] = "identity"
            if (node, tick) not in read:  # what is learned stands on the copies that are outputs
                for word in HEAD_WORDS:
                    copy.pop(word, None)
            elif copy.get("target") is not None:
                copy["target"] = (copy["target"], tick)
            yield (node, tick), copy


def _edges(
    graph: nx.DiGraph[Any], delays: Mapping[tuple[Hashable, Hashable], int], ticks: int
) -> Iterator[tuple[Moment, Moment, dict[str, Any]]]:
    """Copies, each a weight with the other copies of its edge."""
    moments = {node: [(node, tick) for tick in range(ticks)] for node in graph}
    for u, v, attributes in graph.edges(data=True):
        own, late = attributes.get("share"), delays[u, v]
        key = (u, v) if own is None else (own,)
        for start, end in zip(moments[u], moments[v][late:], strict=False):
            yield start, end, {**attributes, "share": key}
