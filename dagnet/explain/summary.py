"""What a network is, in a dozen lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dagnet.explain.report import Report, Shown, Table
from dagnet.markup import names_text
from dagnet.model import Model


@dataclass(frozen=True, repr=False)
class Summary(Shown):
    """What a network is, by what is said of it; ``print`` and notebooks show it as a table."""

    name: str
    facts: Mapping[str, str]

    def _report(self) -> Report:
        edges = self.facts["edges"]
        title = f"{self.name} of {self.facts['nodes']} nodes and {edges} edge{'s' * (edges != '1')}"
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
        **{word: text for word in ("normalization", "dropout") if (text := _said(net, word))},
        "loss": str(net.loss),
        "dtype": str(net.dtype),
        "engine": f"{net.engine}, {net.threads} thread{'s' * (net.threads != 1)}",
    }
    return Summary(type(net).__name__, facts)


def _said(net: Model, word: str) -> str:
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
