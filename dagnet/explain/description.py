"""What a network is, in a dozen lines, and what its nodes compute, as formulas with their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np

from dagnet.contracts import LEARNED, MOMENTS, Normalization
from dagnet.explain.arguments import activation_text
from dagnet.explain.report import TEXT, Report, Shown, Table
from dagnet.markup import counted, names_text, number
from dagnet.model import Model
from dagnet.topology import normalizations

MOST_TERMS = 200
DATUM = "the datum"


@dataclass(frozen=True, repr=False)
class Summary(Shown):
    """What a network is, by what is said of it; ``print`` and notebooks show it as a table."""

    name: str
    facts: Mapping[str, str]

    def _report(self) -> Report:
        nodes, edges = self.facts["nodes"], self.facts["edges"]
        title = f"{self.name} of {nodes} nodes and {edges} edge{'s' * (edges != '1')}"
        return Report("", title, [Table(("", ""), list(self.facts.items()), left=(0, 1))])


def summary(net: Model) -> Summary:
    """Nodes, edges, levels, parameters, inputs, outputs, activations, loss, dtype and engine.

    Examples
    --------
    >>> import dagnet
    >>> summary(dagnet.Network(dagnet.layered([2, 3, 1]), seed=0))
    <Summary: Network of 6 nodes and 9 edges>
    """
    topology, n = net.topology, len(net.parameters)
    hidden = topology.activation_of[~topology.is_input].tolist()
    names = [
        f"{one.name} (learns {', '.join(one.trainable)})" if one.trainable else str(one)
        for one in topology.activations
    ]
    counts = Counter(names[kind] for kind in hidden).most_common()
    facts = {
        "nodes": f"{topology.n_nodes:,}",
        "edges": f"{topology.n_edges:,}",
        "levels": f"{int(topology.level.max()) + 1:,}",
        "parameters": f"{n:,}, {_kinds(net)}",
        "inputs": f"{len(net.inputs):,}: {names_text(net.inputs)}",
        "outputs": f"{len(net.outputs):,}: {names_text(net.outputs)}",
        "activations": ", ".join(f"{name} {count:,}" for name, count in counts),
        **{word: text for word in ("normalization", "dropout") if (text := _words(net, word))},
        "loss": str(net.loss),
        "dtype": str(net.dtype),
        "engine": f"{net.engine}, {counted(net.threads, 'thread')}",
    }
    return Summary(type(net).__name__, facts)


def _words(net: Model, word: str) -> str:
    """What nodes and edges say, and how many of them."""
    found = list(net.topology.node_words.get(word, {}).values())
    column = net.topology.edge_words.get(word)
    edges = [] if column is None else [f"{rate:g} on edges" for rate in column[column > 0].tolist()]
    counts = Counter([*map(str, found), *edges]).most_common()
    return ", ".join(f"{said} {count:,}" for said, count in counts)


def _kinds(net: Model) -> str:
    free, n = int(np.count_nonzero(net.trainable)), len(net.parameters)
    shared = int(np.count_nonzero(np.bincount(net.layout.weights, minlength=1) > 1))
    kinds = "all trainable" if free == n else f"{free:,} trainable, {n - free:,} frozen"
    return kinds + (f", {shared:,} shared" if shared else "")


def formula(net: Model, node: Hashable = None) -> str:
    """What a node computes, with its weights and its bias; without a node, all that the network computes.

    The whole network is written level by level, a line a node; inputs only where they are standardised.
    Names that could be read as numbers or as part of the formula (``-x``, ``f(x)``) stand in quotation marks.

    Nodes of several units are written with matrices: ``W[3×2]·x`` is the product of the weights
    (child units, parent units) with the parent's values.  Beyond 200 parents the rest is counted.

    Raises
    ------
    DataError
        If there is no such node.

    Examples
    --------
    >>> import networkx as nx, dagnet
    >>> graph = nx.DiGraph()
    >>> graph.add_weighted_edges_from([("x1", "h", 0.3), ("x2", "h", -0.1), ("h", "eta", 2.0)])
    >>> graph.add_node("h", activation="sigmoid", bias=0.5)
    >>> net = dagnet.Network(graph)
    >>> print(formula(net, "h"))
    h = sigmoid(0.3·x1 − 0.1·x2 + 0.5)
    >>> print(formula(net, "x1"))
    x1 = the datum
    >>> print(formula(net))
    h = sigmoid(0.3·x1 − 0.1·x2 + 0.5)
    eta = 2·h
    """
    if node is not None:
        return f"{TEXT.name(node)} = {_right(net, net.topology.node_number(node))}"
    places = np.argsort(net.topology.level, kind="stable").tolist()
    lines = ((net.topology.nodes[place], _right(net, place)) for place in places)
    return "\n".join(f"{TEXT.name(name)} = {right}" for name, right in lines if right != DATUM)


def _right(net: Model, place: int) -> str:
    topology = net.topology
    if topology.is_input[place]:
        return _datum(net, place)
    activation = activation_text(net, place)
    terms, bias = _terms(net, place)
    if topology.aggregation_of[place] >= 0:
        terms = [term.replace("]·", "]∘") for term in terms]  # each element's product is a term of its own
        terms = [f"{topology.aggregation(place)}({', '.join(terms)})"]
    text = TEXT.total(terms + bias) or "0"
    kind = normalizations(topology.node_words).get(place)
    if kind is not None and kind.before_activation:
        text = _normalized(net, place, kind, text)
    text = text if activation == "identity" else f"{activation}({text})"
    return text if kind is None or kind.before_activation else _normalized(net, place, kind, text)


def _normalized(net: Model, place: int, kind: Normalization, text: str) -> str:
    """With running statistics, of one unit as one product and one sum."""
    own = {name: net.node_parameters[net.topology.nodes[place], name] for name in LEARNED}
    if not kind.over_rows or net.topology.units[place] > 1:
        return f"{kind.name}({text})"
    kept = {name: net.node_parameters[net.topology.nodes[place], name] for name in MOMENTS}
    factor = own["scale"] / np.sqrt(kept["variance"] + kind.eps)
    return TEXT.total([f"{number(factor)}·({text})", number(own["shift"] - factor * kept["mean"])])


def _datum(net: Model, place: int) -> str:
    """What an input's value is, standardised where the graph says so."""
    topology = net.topology
    columns = net.layout.units_of(place)  # the first units are the inputs'
    center, scale = topology.center[columns], topology.scale[columns]
    if (center == 0).all() and (scale == 1).all():
        return DATUM
    if len(center) > 1:
        return "(the datum − center) / scale"
    shifted = TEXT.total([DATUM, number(-float(center[0]))]) if center[0] else DATUM
    return f"({shifted}) / {number(float(scale[0]))}"


def _terms(net: Model, place: int) -> tuple[list[str], list[str]]:
    """The terms of a node, and its bias."""
    topology, layout = net.topology, net.layout
    edges, terms = topology.parents.edges_of(place).tolist(), []
    for edge in edges[:MOST_TERMS]:
        weight = layout.weights_of(net.parameters, edge)
        shape = "×".join(map(str, weight.shape))
        factor = number(float(weight[0, 0])) if weight.size == 1 else f"W[{shape}]"
        terms.append(f"{factor}·{TEXT.name(topology.nodes[topology.sources[edge]])}")
    if len(edges) > MOST_TERMS:
        terms.append(f"… {len(edges) - MOST_TERMS:,} more …")
    bias = net.parameters[layout.bias_places(place)]
    if len(bias) > 1:
        return terms, [f"b[{len(bias)}]"]
    return terms, [number(float(bias[0]))] if len(bias) and (bias[0] or not terms) else []
