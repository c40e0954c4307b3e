"""Networks that begin with another one's numbers, that lose edges, and that are compared, all by name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dagnet.errors import DataError, GraphError, Verbatim, expected, needed, shorten
from dagnet.explain import Report, Shown, Table
from dagnet.markup import counted, label, names_text, number
from dagnet.model import Model
from dagnet.topology import NODE_WORDS, checked_graph
from dagnet.values import FACTOR, NOT_NEGATIVE, as_real, whole

START = ("bias", "center", "scale")
COLUMNS = ("what", "name", "element", "first", "second", "difference")


def heir(graph: Any, net: Any, inputs: Any, weight: str | None, attributes: Any) -> tuple[Any, str]:
    """A copy of the graph that says a network's numbers, and where its weights stand; see ``Network``."""
    if not isinstance(net, Model):
        raise DataError(expected("weights", "a network, whose numbers are taken over", net))
    known, graph, problems = net.to_networkx(), checked_graph(graph).copy(), list[str]()
    own = {word: word for word in (*NODE_WORDS, *net.topology.node_starts, "weight")}
    own |= attributes if isinstance(attributes, Mapping) else {}
    if own["weight"] is None:
        raise DataError("attributes: say weight=None, not 'weight': None, where weights= names a network")
    unread = {*net.topology.users.unread, *(word for word, name in own.items() if name is None)}
    numbers = {*START, *net.topology.node_starts} - unread
    named = [*inputs] if isinstance(inputs, Collection) else []
    for name in (name for name in graph if name in known):
        words, there = graph.nodes[name], known.nodes[name]
        before, was_input = there.get("units", 1), "activation" not in there
        units = words.get("units", 1 if words.get("categories") is None else before)
        if units != before:
            must = f"{before}, as in the network that is taken over"
            problems.append(expected(f"node {shorten(name)}: units", must, units, "or rename the node"))
        if [*(words.get("categories") or ())] != [*(there.get("categories") or ())]:
            must = "as in the network that is taken over, in the same order"
            problems.append(expected(f"node {shorten(name)}: categories", must, words.get("categories")))
        is_input = not graph.in_degree(name) and (was_input or inputs is None or name in named)
        for word in numbers & there.keys() if is_input == was_input and "categories" not in words else ():
            if there[word] is not False and (words.get(own[word]) is None or words[own[word]] is True):
                words[own[word]] = there[word]
    for *_, edge in graph.edges(data=True) if weight is None else ():
        edge.pop(own["weight"], None)
    weight = own["weight"] if weight in {None, "weight"} else weight
    _weigh(known, graph, own, weight, problems)
    if problems:
        raise GraphError(problems)
    return graph, weight


def _weigh(known: Any, graph: Any, own: Mapping[str, Any], weight: str, problems: list[str]) -> None:
    """Let edges say weights; where a new node stands amid an edge of weight w that is gone, 1 and w."""
    for node in (name for name in graph if name not in known):
        if graph.in_degree(node) == graph.out_degree(node) == 1:
            _split(known, graph, node, own, weight, problems)
    for parent, child, words in graph.edges(data=True):
        if words.get(weight) is not None or child not in known:
            continue
        stays = known.has_edge(parent, child)
        words[weight] = known.edges[parent, child]["weight"] if stays else 0.0
        aggregation = str(graph.nodes[child].get(own["aggregation"]) or "sum")
        if not stays and aggregation != "sum":
            where = f"edge {shorten(parent)} → {shorten(child)}: {weight}"
            must = f"given, as any new term changes the {aggregation} that {shorten(child)} is"
            problems.append(expected(where, must, None))


def _split(known: Any, graph: Any, node: Any, own: Any, weight: str, problems: list[str]) -> None:
    (parent,), (child,), words = graph.pred[node], graph.succ[node], graph.nodes[node]
    edges = graph.pred[node][parent], graph.succ[node][child]
    given = sum(edge.get(weight) is not None for edge in edges)
    if given == len(edges) or not known.has_edge(parent, child) or graph.has_edge(parent, child):
        return
    activation, aggregation, bias = (words.get(own[word]) for word in ("activation", "aggregation", "bias"))
    plain = (str(activation or "identity"), str(aggregation or "sum")) == ("identity", "sum")
    plain = plain and bool(own["activation"]) and not words.get(own["normalization"])
    plain = plain and (bias is True or not np.any(bias))
    units = known.nodes[parent].get("units", 1)
    where = f"node {shorten(node)}, which splits {shorten(parent)} → {shorten(child)},"
    if not plain or words.get("units", 1) != units:
        must = f"an identity of units={units} without a bias, to keep its function"
        problems.append(expected(where, must, dict(words), "or say the weight of both its edges"))
    elif given:
        problems.append(f"{where} has the weight of one of its edges; say those of both, or of none")
    words[own["activation"]] = "identity"
    edges[0][weight], edges[1][weight] = np.eye(units), known.edges[parent, child]["weight"]
    known.remove_edge(parent, child)  # a second node there is as any new one


def prune(
    net: Any, *, fraction: float | None = None, threshold: float | None = None, keep: int | None = None
) -> tuple[Any, Comparison]:
    """A network without the edges of the smallest |weight|, and :func:`compare` with it; ``net`` stays.

    All nodes stay, the order of inputs and outputs, and all other numbers.  Nodes that lost all parents are
    then constants, those that lost all children, inputs too, act on nothing: the report lists them.  Of an
    edge's elements the largest counts; edges that share a weight go together, by the largest, where all may.
    ``pruned.fit(X, y, state=net)`` goes on with what the optimizer remembers.

    Parameters
    ----------
    fraction, threshold, keep
        One of: the part of the edges that goes, rounded down; below which |weight| they go; how many stay.

    Raises
    ------
    DataError
        If not exactly one of the three is given, or it will not do.

    Examples
    --------
    >>> import dagnet
    >>> pruned, report = dagnet.Network(dagnet.layered([2, 2, 1]), seed=0).prune(fraction=0.4)
    >>> report.topology["edges only in the first"]
    [('x1', 'h11'), ('x1', 'h12')]
    """
    topology, n = net.topology, net.topology.n_edges
    given = {"fraction": fraction, "threshold": threshold, "keep": keep}
    if len(said := [name for name, value in given.items() if value is not None]) != 1:
        must, got = "called with one of fraction=, threshold=, keep=", Verbatim(" and ".join(said) or "none")
        raise DataError(expected("prune", must, got))
    owners, size = topology.weight_owners(), np.zeros(n)
    weights = np.abs(net.layout.weights_of(net.parameters).astype(np.float64))
    np.maximum.at(size, np.repeat(owners, np.diff(topology.weight_starts)), weights)
    order = np.lexsort((owners, size[owners]))
    if threshold is not None:
        most = int(np.count_nonzero(size[owners] < NOT_NEGATIVE.check("prune: threshold", threshold)))
    elif keep is not None:
        most = n - int(whole(0, n).check("prune: keep", keep))
    else:
        most = int(round(FACTOR.check("prune: fraction", fraction) * n, 6))
    last = np.flatnonzero(np.diff(owners[order], append=-1)) + 1  # those of one weight follow each other
    graph, edges = net.to_networkx(), net.edges
    graph.remove_edges_from(edges[edge] for edge in order[: last[last <= most].max(initial=0)].tolist())
    pruned = type(net)(graph, engine=net._prepared.asked, threads=net.threads)  # noqa: SLF001 - "auto", say
    pruned.named = net.named
    return pruned, compare(net, pruned)


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """Where two networks differ, by name; ``print`` shows the largest differences.

    Attributes
    ----------
    topology
        By what they are, the nodes, edges and words (of whom, word, value) that one of the graphs alone has.
    rows
        (what, name, element, first, second, |difference|) of weights, biases, all else that is learned, and
        where X was given of values: their means, and the largest difference.  NaN where one has none.
    """

    topology: Mapping[str, Sequence[Any]]
    rows: Sequence[tuple[Any, ...]]

    def to_frame(self) -> Any:
        """The rows as a ``pandas.DataFrame``."""
        return needed("comparison.to_frame()", "pandas", "pandas").DataFrame(list(self.rows), columns=COLUMNS)

    def _report(self) -> Report:
        other = sorted((row for row in self.rows if row[-1] > 0), key=lambda row: -row[-1])
        cells = [(row[0], label(row[1]), str(row[2]), *map(number, row[3:])) for row in other[:12]]
        facts = [(what, f"{len(said):,}", names_text(said)) for what, said in self.topology.items()]
        tables = Table(("the graphs", "", ""), facts or [("are the same", "", "")], left=(0, 2))
        title = f"{len(other):,} of {counted(len(self.rows), 'number')} differ"
        return Report("", title, [tables, Table(COLUMNS, cells, left=(0, 1))])


def compare(first: Model, second: Model, X: Any = None) -> Comparison:
    """Compare two networks by name: graphs, parameters and, for the rows X, the values of all nodes.

    Examples
    --------
    >>> import dagnet
    >>> nets = [dagnet.Network(dagnet.layered([2, 2, 1]), seed=seed) for seed in (0, 1)]
    >>> dagnet.compare(*nets, X=[[1.0, 2.0]])
    <Comparison: 9 of 14 numbers differ>
    """
    if not (isinstance(first, Model) and isinstance(second, Model)):
        raise DataError(expected("compare", "called with two networks", (first, second)))
    (one, here), (other, there) = (_taken_apart(net, X) for net in (first, second))
    both = [(*key, here.get(key, np.nan), there.get(key, np.nan)) for key in {**here, **there}]
    rows = [(*row, abs(row[-2] - row[-1])) for row in both if type(row[-2]) is type(row[-1]) is float]
    values = [row for row in both if row[0] == "value"]
    rows += [(*k, float(np.mean(a)), float(np.mean(b)), np.abs(a - b).max().item()) for *k, a, b in values]
    facts = dict[str, list[Any]]()
    for what in one:
        for where, own, its in (("first", one, other), ("second", other, one)):
            if only := [part for part in own[what] if part not in its[what]]:
                facts[f"{what} only in the {where}"] = only
    return Comparison(facts, rows)


def _taken_apart(net: Model, X: Any) -> tuple[dict[str, dict[Any, None]], dict[Any, Any]]:
    """What a graph has and says, by what it is; its numbers by (what, name, element), of values (rows,)."""
    graph, learned = net.to_networkx(), {"weight", *START, *net.topology.node_starts}
    said = [*graph.nodes.items(), *graph.edges.items(), ("graph", graph.graph["dagnet"])]
    words = [(name, word, value) for name, own in said for word, value in own.items()]
    parts: dict[str, Iterable[Any]] = {
        "nodes": graph,
        "edges": graph.edges,
        "nodes without parents": (name for name, degree in graph.in_degree if not degree),
        "nodes without children": (name for name, degree in graph.out_degree if not degree),
        "words": ((name, word, str(value)) for name, word, value in words if word not in learned),
    }
    numbers = (((word, name), as_real(value)) for name, word, value in words if word in learned)
    found = {(*key, k): x for key, a in numbers if a is not None for k, x in enumerate(a.ravel().tolist())}
    for name, values in net.forward(X).items() if X is not None else ():
        columns = np.float64(values).reshape(len(values), -1).T
        found |= {("value", name, k): column for k, column in enumerate(columns)}
    return {what: dict.fromkeys(each) for what, each in parts.items()}, found
