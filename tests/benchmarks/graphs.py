"""The networks that are measured: arrays, made from fixed seeds, the same for every contender."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np


class Missing(Exception):
    """A peer or a data set that is not at hand; its text is the printed reason."""


@dataclass(frozen=True)
class Wiring:
    """A network as arrays: level by level, inputs first, outputs last in their level, edges by target.

    ``weights`` (edges,) and ``biases`` (nodes,) are float32, so that every contender starts from
    the same numbers; hidden nodes have ``activation`` (one for all, or a tuple with one a node), outputs
    identity.  Peers and the oracle know relu and sin.
    """

    name: str
    n_nodes: int
    n_inputs: int
    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    biases: np.ndarray
    activation: Any = "relu"

    @property
    def n_edges(self) -> int:
        return len(self.sources)

    @cached_property
    def indptr(self) -> np.ndarray:
        """Where each node's run of edges starts, (nodes + 1,)."""
        return np.searchsorted(self.targets, np.arange(self.n_nodes + 1))

    @cached_property
    def outputs(self) -> np.ndarray:
        """The childless nodes that have a parent."""
        childless = np.ones(self.n_nodes, bool)
        childless[self.sources] = False
        childless[: self.n_inputs] = False
        return np.flatnonzero(childless)

    @cached_property
    def is_output(self) -> np.ndarray:
        mask = np.zeros(self.n_nodes, bool)
        mask[self.outputs] = True
        return mask

    @cached_property
    def level(self) -> np.ndarray:
        """Longest distance from a parentless node, (nodes,)."""
        return longest_distance(self.n_nodes, self.sources, self.targets)

    @cached_property
    def level_starts(self) -> np.ndarray:
        """First node of each level, and the number of nodes behind them."""
        return np.searchsorted(self.level, np.arange(self.level[-1] + 2))

    def data(self, rows: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """X (rows, inputs) and y (rows, outputs), float32, standard normal."""
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((rows, self.n_inputs), dtype=np.float32)
        y = rng.standard_normal((rows, len(self.outputs)), dtype=np.float32)
        return X, y


def longest_distance(n_nodes: int, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Levels of nodes whose parents all have smaller numbers; edges sorted by target."""
    level = [0] * n_nodes
    for source, target in zip(sources.tolist(), targets.tolist(), strict=True):
        if level[source] >= level[target]:
            level[target] = level[source] + 1
    return np.array(level)


def wire(
    name: str, n_nodes: int, n_inputs: int, sources: np.ndarray, targets: np.ndarray, *, seed: int = 0
) -> Wiring:
    """Renumber level by level, outputs last in each; sort edges; draw He-uniform weights, small biases."""
    order = np.lexsort((sources, targets))
    sources, targets = sources[order], targets[order]
    level = longest_distance(n_nodes, sources, targets)
    childless = np.bincount(sources, minlength=n_nodes) == 0
    by_level = np.lexsort((childless, level))
    rank = np.empty(n_nodes, np.int64)
    rank[by_level] = np.arange(n_nodes)
    sources, targets = rank[sources], rank[targets]
    order = np.lexsort((sources, targets))
    sources, targets = sources[order], targets[order]
    rng = np.random.default_rng(seed + 1000)
    fan_in = np.bincount(targets, minlength=n_nodes)
    bound = np.sqrt(6.0 / np.maximum(fan_in, 1))
    weights = rng.uniform(-1, 1, len(sources)) * bound[targets]
    biases = rng.uniform(-0.1, 0.1, n_nodes)
    biases[:n_inputs] = 0.0
    return Wiring(
        name, n_nodes, n_inputs, sources, targets, weights.astype(np.float32), biases.astype(np.float32)
    )


def random_dag(n_inputs: int = 100, n_computed: int = 10_000, degree: int = 10, seed: int = 0) -> Wiring:
    """Each of the computed nodes picks ``degree`` different earlier ones, all alike likely."""
    rng = np.random.default_rng(seed)
    nodes = np.arange(n_inputs, n_inputs + n_computed)
    sources = np.concatenate([rng.choice(node, min(degree, node), replace=False) for node in nodes])
    targets = np.repeat(nodes, np.minimum(degree, nodes))
    return wire(f"random-{len(sources)}", n_inputs + n_computed, n_inputs, sources, targets, seed=seed)


def deep_dag(
    levels: int = 200, width: int = 10, degree: int = 6, n_inputs: int = 10, seed: int = 0
) -> Wiring:
    """``levels`` levels of ``width`` nodes; one parent in the level before, the others anywhere earlier."""
    rng = np.random.default_rng(seed)
    sources, targets = [], []
    for level in range(levels):
        first = n_inputs + level * width
        before = np.arange(first - width if level else 0, first)
        for node in range(first, first + width):
            parent = rng.choice(before)
            others = rng.choice(first - 1, degree - 1, replace=False)
            sources += [parent, *(others + (others >= parent))]
            targets += [node] * degree
    n_nodes = n_inputs + levels * width
    return wire("deep", n_nodes, n_inputs, np.array(sources), np.array(targets), seed=seed)


def chain(length: int = 100_000, seed: int = 0) -> Wiring:
    """One node a level; weights near one and biases near zero, so that something reaches the end."""
    nodes = np.arange(1, length)
    wiring = wire("chain", length, 1, nodes - 1, nodes, seed=seed)
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.9999, 1.0001, length - 1).astype(np.float32)
    biases = rng.uniform(-1e-5, 1e-5, length).astype(np.float32)
    biases[0] = 0
    return replace(wiring, weights=weights, biases=biases)


def small_net(n_nodes: int = 200, n_edges: int = 1_000, n_inputs: int = 10, seed: int = 0) -> Wiring:
    """A network as neuroevolution leaves one: every computed node has a parent, the rest at random."""
    rng = np.random.default_rng(seed)
    pairs = {(int(rng.integers(node)), node) for node in range(n_inputs, n_nodes)}
    while len(pairs) < n_edges:
        target = int(rng.integers(n_inputs, n_nodes))
        pairs.add((int(rng.integers(target)), target))
    sources, targets = np.array(sorted(pairs)).T
    return wire(f"small-{seed}", n_nodes, n_inputs, sources, targets, seed=seed)


def population(size: int = 1_000, n_inputs: int = 4, seed: int = 0) -> list[Wiring]:
    """Different small networks of 20 to 60 nodes, three edges a computed node."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(20, 61, size)
    return [
        small_net(int(n), 3 * (int(n) - n_inputs), n_inputs, seed=seed + 1 + k) for k, n in enumerate(counts)
    ]


def union(members: list[Wiring]) -> tuple[Wiring, np.ndarray]:
    """Disjoint union, and for each input of the union its column in the members' common data."""
    n_inputs = sum(w.n_inputs for w in members)
    sources, targets, weights, biases, columns = [], [], [], [np.zeros(n_inputs)], []
    first_input, first_node = 0, n_inputs
    for w in members:
        n_computed = w.n_nodes - w.n_inputs
        own = np.concatenate([np.arange(w.n_inputs) + first_input, np.arange(n_computed) + first_node])
        sources.append(own[w.sources])
        targets.append(own[w.targets])
        weights.append(w.weights)
        biases.append(w.biases[w.n_inputs :])
        columns.append(np.arange(w.n_inputs))
        first_input += w.n_inputs
        first_node += n_computed
    joined = Wiring(
        "population",
        first_node,
        n_inputs,
        np.concatenate(sources),
        np.concatenate(targets),
        np.concatenate(weights),
        np.concatenate(biases).astype(np.float32),
    )
    return joined, np.concatenate(columns)


def strata_arrays(
    n_edges: int, degree: int = 10, window: int | None = None, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, int]:
    """Sources, targets, nodes of a DAG of any size: a parent in each ``degree``-th of the earlier nodes.

    ``window``: of the last so many earlier nodes, so that neighbours stay near in memory, too.
    """
    rng = np.random.default_rng(seed)
    n_inputs = max(degree, n_edges // (100 * degree))
    nodes = np.arange(n_inputs, n_inputs + n_edges // degree)
    span = nodes if window is None else np.minimum(nodes, window)
    bounds = (nodes - span)[:, None] + span[:, None] * np.arange(degree + 1) // degree
    spread = rng.random((len(nodes), degree)) * np.diff(bounds)
    sources = bounds[:, :-1] + spread.astype(np.int64)
    return sources.ravel(), np.repeat(nodes, degree), int(nodes[-1]) + 1


def layered_digraph(sizes: tuple[int, ...] = (784, 512, 512, 10), *, units: bool = False) -> nx.DiGraph:
    """A multilayer perceptron, edge by edge, or as one ``units`` node a layer."""
    graph = nx.DiGraph()
    if units:
        for layer, size in enumerate(sizes):
            graph.add_node(f"layer{layer}", units=size)
        nx.add_path(graph, [f"layer{layer}" for layer in range(len(sizes))])
        return graph
    names = [[f"n{layer}_{k}" for k in range(size)] for layer, size in enumerate(sizes)]
    for layer in names:
        graph.add_nodes_from(layer)
    for before, after in pairwise(names):
        graph.add_edges_from((parent, child) for child in after for parent in before)
    return graph


def terms(n_terms: int = 2_086, units: int = 6, genes: int = 3_008, seed: int = 0) -> Wiring:
    """DrugCell's shape, unit by unit: a third of the terms read 24 genes, the others 6 and three terms."""
    rng = np.random.default_rng(seed)
    sources, targets = [], []
    for term in range(n_terms):
        leaf = term < n_terms // 3
        below = [] if leaf else rng.choice(term, 3, replace=False).tolist()
        parents = [rng.choice(genes, 24 if leaf else 6, replace=False)]
        parents += [genes + units * other + np.arange(units) for other in below]
        sources.append(np.tile(np.concatenate(parents), units))
        targets.append(np.repeat(genes + units * term + np.arange(units), len(sources[-1]) // units))
    used, ends = np.unique([np.concatenate(sources), np.concatenate(targets)], return_inverse=True)
    n_inputs = int((used < genes).sum())  # a gene that no term reads is none
    return wire("terms", len(used), n_inputs, *ends.reshape(2, -1), seed=seed)


def to_digraph(wiring: Wiring) -> nx.DiGraph:
    """The same network as a NetworkX graph, weights and biases set."""
    graph = nx.DiGraph()
    several = isinstance(wiring.activation, tuple)
    for node in range(wiring.n_nodes):
        graph.add_node(node)
        if node >= wiring.n_inputs:
            graph.nodes[node]["bias"] = float(wiring.biases[node])
            if several and not wiring.is_output[node]:
                graph.nodes[node]["activation"] = wiring.activation[node]
    graph.add_weighted_edges_from(
        zip(wiring.sources.tolist(), wiring.targets.tolist(), wiring.weights.tolist(), strict=True)
    )
    return graph


def reactome(seed: int = 0) -> Wiring:
    """Human proteins → pathways → their top pathways → one root, from the text files in binn's wheel."""
    spec = importlib.util.find_spec("binn")  # located, not imported: its imports are not needed
    if spec is None or not spec.submodule_search_locations:
        raise Missing("Reactome's hierarchy: binn is not installed (pip install --no-deps binn)")
    folder = Path(next(iter(spec.submodule_search_locations))) / "data" / "downloads"
    files = sorted(folder.glob("reactome_pathways_relation*")), sorted(folder.glob("uniprot_2_reactome*"))
    if not all(files):
        raise Missing(f"Reactome's hierarchy: no text files in {folder}")
    relation, proteins = (found[-1].read_text(encoding="utf-8").splitlines() for found in files)
    edges = {
        (child, parent) for parent, child in (line.split("\t")[:2] for line in relation) if "R-HSA" in child
    }
    pathways = {name for edge in edges for name in edge}
    edges |= {(p, q) for p, q in (line.split("\t")[:2] for line in proteins) if q in pathways}
    graph = nx.DiGraph(sorted(edges))
    graph.add_edges_from([(n, "root") for n, d in sorted(graph.out_degree) if d == 0])
    pruned = [n for n in nx.topological_sort(graph) if n in pathways]
    for node in pruned:  # pathways without any protein below them carry no signal
        if graph.in_degree(node) == 0:
            graph.remove_node(node)
    order = [n for n, d in graph.in_degree if d == 0]
    n_inputs = len(order)
    order += [n for n in nx.topological_sort(graph) if graph.in_degree(n) > 0]
    index = {name: k for k, name in enumerate(order)}
    sources, targets = np.array([(index[u], index[v]) for u, v in graph.edges]).T
    return wire("reactome", len(order), n_inputs, sources, targets, seed=seed)
