"""Beside the main row: dense blocks, few rows, narrow levels, hubs, wide inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import networkx as nx
import numpy as np

from . import graphs, subject
from .graphs import Wiring
from .limit import LimitC
from .measure import measure
from .peers_torch import need_torch, torch
from .work import DAGNET, Conditions, Entry, Outcome, ready

C, TORCH, NUMPY = "C", "PyTorch", "NumPy"


def _timed(title: str, entries: list[Entry], conditions: Conditions, unit: str = "ms") -> Outcome:
    outcome = Outcome(title, unit=unit)
    outcome.timings = measure(ready(entries, outcome, lambda _: None), conditions.seconds)
    return outcome


def _step(wiring: Wiring, rows: int, threads: int = 1) -> Callable[[], Any]:
    return lambda: subject.step_of(subject.from_arrays(wiring.sources, wiring.targets, threads), rows)


def _limit(wiring: Wiring, rows: int, threads: int = 1) -> list[Entry]:
    X, y = wiring.data(rows)
    return [
        Entry(
            f"C, tiles of {tile}, {rows} rows",
            f"{C}, {rows}",
            partial(LimitC, wiring, X, y, tile=tile, keep=False, threads=threads),
        )
        for tile in (64, 32, 16)
    ]


def _beside_c(wiring: Wiring, rows: int, threads: int) -> list[Entry]:
    X, y = wiring.data(rows)
    make = partial(subject.RawStep, wiring, X, y, threads)
    return [Entry(f"dagnet, {rows} rows", f"{DAGNET}, {rows}", make), *_limit(wiring, rows, threads)]


def block(conditions: Conditions) -> Outcome:
    """One 64 x 64 dense block in the graph of 100,000 edges, beside one of 64 x 63."""
    outcome = Outcome("a dense block among 100,000 edges: 64 x 64 beside 64 x 63")
    base = graphs.random_dag()
    entries = []
    for rows in (64, 256, 1024):
        for width in (63, 64):
            new = np.arange(64) + base.n_nodes
            sources = np.concatenate([base.sources, np.tile(np.arange(width) + 5_000, 64)])
            targets = np.concatenate([base.targets, np.repeat(new, width)])
            wiring = graphs.wire(f"block-{width}", base.n_nodes + 64, base.n_inputs, sources, targets)
            entries.append(
                Entry(
                    f"64 x {width}, {rows} rows", f"{width}, {rows}", _step(wiring, rows, conditions.threads)
                )
            )
    outcome = _timed(outcome.title, entries, conditions)
    for rows in (64, 256, 1024):
        outcome.at_most(f"63, {rows}", 1.1, f"64, {rows}")
    return outcome


def _encoder(part: str) -> nx.DiGraph:
    """Irregular 50,000 edges into 256 nodes, a perceptron 256-256-10, or one behind the other."""
    graph, rng = nx.DiGraph(), np.random.default_rng(0)
    sinks = [f"s{k}" for k in range(256)]
    if part != "head":
        wiring = graphs.random_dag(100, 4_744, 10)
        graph.add_edges_from(zip(wiring.sources.tolist(), wiring.targets.tolist(), strict=True))
        free = rng.permutation(wiring.outputs).tolist()
        for k, parent in enumerate(free):  # every childless node has a sink, so that nothing is dropped
            graph.add_edge(parent, sinks[k % 256])
    if part != "tail":
        hidden, out = [f"h{k}" for k in range(256)], [f"y{k}" for k in range(10)]
        graph.add_edges_from((a, b) for b in hidden for a in sinks)
        graph.add_edges_from((a, b) for b in out for a in hidden)
    return graph


def pathway(conditions: Conditions) -> Outcome:
    """An irregular encoder with a dense head, beside its halves."""
    entries = []
    for rows in (64, 512):
        for part in ("both", "tail", "head"):

            def make(part: str = part, rows: int = rows) -> Any:
                return subject.step_of(subject.from_digraph(_encoder(part), conditions.threads), rows)

            entries.append(Entry(f"{part}, {rows} rows", f"{part}, {rows}", make))
    outcome = _timed("50,000 irregular edges into 256-256-10, beside its halves", entries, conditions)
    for rows in (64, 512):
        times = [outcome.fastest(f"{part}, {rows}") for part in ("both", "tail", "head")]
        if all(times):
            outcome.check(
                f"both / (tail + head), {rows} rows", times[0] / (times[1] + times[2]), 1.15, at_least=False
            )
    return outcome


TERMS, UNITS, GENES = 2_500, 20, 3_000


def _terms() -> tuple[nx.DiGraph, list[list[int]], list[list[int]]]:
    """A hierarchy of terms of 20 units: each reads genes or up to three terms below it."""
    rng = np.random.default_rng(0)
    genes: list[list[int]] = []
    below: list[list[int]] = []
    graph = nx.DiGraph()
    graph.add_nodes_from(f"g{k}" for k in range(GENES))
    for term in range(TERMS):
        leaf = term < TERMS // 3
        genes.append(sorted(rng.choice(GENES, 24 if leaf else 6, replace=False).tolist()))
        below.append([] if leaf else sorted(rng.choice(term, 3, replace=False).tolist()))
        graph.add_node(f"t{term}", units=UNITS, activation="tanh")
        graph.add_edges_from((f"g{k}", f"t{term}") for k in genes[-1])
        graph.add_edges_from((f"t{k}", f"t{term}") for k in below[-1])
    return graph, genes, below


class TermsNumpy:
    """A matmul a term forth and two back, gathers and scatters counted."""

    def __init__(self, genes: list[list[int]], below: list[list[int]], rows: int) -> None:
        rng = np.random.default_rng(0)
        self.rows, self.genes = rows, [np.array(g) for g in genes]
        self.units = [
            np.concatenate([np.arange(b * UNITS, (b + 1) * UNITS) for b in bs]) if bs else None
            for bs in below
        ]
        widths = [len(g) + (0 if u is None else len(u)) for g, u in zip(self.genes, self.units, strict=True)]
        self.W = [rng.standard_normal((UNITS, w), np.float32) / np.float32(np.sqrt(w)) for w in widths]
        self.X = rng.standard_normal((GENES, rows), np.float32)
        self.used = np.zeros(TERMS, bool)
        for bs in below:
            self.used[bs] = True
        self.a = np.empty((TERMS * UNITS, rows), np.float32)
        self.d = np.empty_like(self.a)

    def __call__(self) -> None:
        a, d, parents = self.a, self.d, []
        for t, (genes, units) in enumerate(zip(self.genes, self.units, strict=True)):
            x = self.X[genes] if units is None else np.concatenate([self.X[genes], a[units]])
            parents.append(x)
            np.tanh(self.W[t] @ x, out=a[t * UNITS : (t + 1) * UNITS])
        d[:] = 0
        for t in range(TERMS):
            if not self.used[t]:
                mine = slice(t * UNITS, (t + 1) * UNITS)
                d[mine] = a[mine] * np.float32(2 / self.rows)
        self.gradient = [None] * TERMS
        for t in range(TERMS - 1, -1, -1):
            mine = slice(t * UNITS, (t + 1) * UNITS)
            delta = d[mine] * (1 - a[mine] ** 2)
            self.gradient[t] = delta @ parents[t].T
            if self.units[t] is not None:
                d[self.units[t]] += self.W[t][:, len(self.genes[t]) :].T @ delta


class TermsTorch:
    """A Linear a term, autograd."""

    def __init__(self, genes: list[list[int]], below: list[list[int]], rows: int) -> None:
        need_torch()
        self.genes, self.below = [torch.tensor(g) for g in genes], below
        self.layers = [
            torch.nn.Linear(len(g) + UNITS * len(b), UNITS) for g, b in zip(genes, below, strict=True)
        ]
        self.X = torch.randn(rows, GENES)
        used = {b for bs in below for b in bs}
        self.free = [t for t in range(TERMS) if t not in used]

    def __call__(self) -> None:
        values: list[Any] = []
        for genes, below, layer in zip(self.genes, self.below, self.layers, strict=True):
            values.append(torch.tanh(layer(torch.cat([self.X[:, genes], *(values[b] for b in below)], 1))))
        loss = sum((values[t] ** 2).sum() for t in self.free) / len(self.X)
        loss.backward()


def terms(conditions: Conditions) -> Outcome:
    """DCell's shape: terms of 20 units."""
    graph, genes, below = _terms()
    weights = sum(UNITS * (len(g) + UNITS * len(b)) for g, b in zip(genes, below, strict=True))
    entries = []
    for rows in (256, 1024):
        entries += [
            Entry(
                f"dagnet, {rows} rows",
                f"{DAGNET}, {rows}",
                lambda rows=rows: subject.step_of(subject.from_digraph(graph, conditions.threads), rows),
            ),
            Entry(
                f"NumPy, a matmul a term, {rows} rows",
                f"{NUMPY}, {rows}",
                partial(TermsNumpy, genes, below, rows),
            ),
            Entry(
                f"PyTorch, a Linear a term, {rows} rows",
                f"{TORCH}, {rows}",
                partial(TermsTorch, genes, below, rows),
            ),
        ]
    outcome = _timed(f"{TERMS:,} terms of {UNITS} units, {weights:,} weights", entries, conditions)
    for rows in (256, 1024):
        outcome.at_most(f"{NUMPY}, {rows}", 0.5, f"{DAGNET}, {rows}")
        if time := outcome.fastest(f"{DAGNET}, {rows}"):
            flops = 6 * weights * rows / time / 1e6
            outcome.check(f"GFlop/s, {rows} rows", flops, 40, at_least=True)
    outcome.at_least(f"{TORCH}, 1024", 3, f"{DAGNET}, 1024")
    return outcome


def few_rows(conditions: Conditions) -> Outcome:
    """The main row's graph at 1, 8 and 32 rows."""
    wiring = graphs.random_dag()
    entries = []
    for rows in (1, 8, 32):
        entries += _beside_c(wiring, rows, conditions.threads)
    outcome = _timed("irregular, few rows", entries, conditions)
    for rows, bound in ((1, 1.5), (8, 1.15), (32, 1.15)):
        outcome.at_most(f"{C}, {rows}", bound, f"{DAGNET}, {rows}")
    return outcome


class _Epoch:
    def __init__(self, wiring: Wiring, rows: int, threads: int) -> None:
        self.net = subject.build(wiring, threads)
        self.X, self.y = wiring.data(rows)

    def __call__(self) -> None:
        subject.fit(self.net, self.X, self.y, epochs=1, batch_size=1, optimizer="sgd", learning_rate=1e-4)


def batch_of_one(conditions: Conditions) -> Outcome:
    """``fit(batch_size=1)``, 200 nodes, beside C called a step at a time."""
    wiring, rows = graphs.small_net(), 1_000
    X, y = wiring.data(1)
    entries = [
        Entry("dagnet fit, batch_size=1", DAGNET, partial(_Epoch, wiring, rows, conditions.threads), rows),
        Entry("C, a call a step", C, partial(LimitC, wiring, X, y, tile=16, keep=False)),
    ]
    outcome = _timed("200 nodes, batches of one row", entries, conditions, unit="µs")
    outcome.at_most(C, 2)
    return outcome


def two_threads(conditions: Conditions) -> Outcome:
    """Few rows on several threads."""
    entries = []
    for edges in (100_000, 20_000 if conditions.quick else 1_000_000):
        sources, targets, _ = graphs.strata_arrays(edges)
        for rows in (32, 64):
            for threads in {1, conditions.threads}:

                def make(arrays: Any = (sources, targets), threads: int = threads, rows: int = rows) -> Any:
                    return subject.step_of(subject.from_arrays(*arrays, threads), rows)

                name = f"{edges:,} edges, {rows} rows, {threads} threads"
                entries.append(Entry(name, f"{edges}, {rows}, {threads}", make))
    outcome = _timed("32 and 64 rows on several threads", entries, conditions)
    if conditions.threads > 1:
        for edges in (100_000, 20_000 if conditions.quick else 1_000_000):
            for rows in (32, 64):
                outcome.at_least(f"{edges}, {rows}, 1", 1.5, f"{edges}, {rows}, {conditions.threads}")
    return outcome


def small_world(conditions: Conditions) -> Outcome:
    """A small world, oriented by number: 10,000 nodes, 50,000 edges, thousands of levels."""
    ring = nx.watts_strogatz_graph(10_000, 10, 0.1, seed=0)
    pairs = np.array(sorted((min(e), max(e)) for e in ring.edges))
    n_inputs = int(np.setdiff1d(np.arange(10_000), pairs[:, 1]).size)
    order = np.argsort(np.isin(np.arange(10_000), pairs[:, 1]), kind="stable")
    rank = np.empty(10_000, np.int64)
    rank[order] = np.arange(10_000)
    wiring = graphs.wire("small world", 10_000, n_inputs, rank[pairs[:, 0]], rank[pairs[:, 1]])
    entries = []
    for rows in (32, 256):
        entries += _beside_c(wiring, rows, conditions.threads)
    outcome = _timed(
        f"small world, {wiring.n_edges:,} edges, {wiring.level[-1]:,} levels", entries, conditions
    )
    for rows in (32, 256):
        outcome.at_most(f"{C}, {rows}", 1.3, f"{DAGNET}, {rows}")
    return outcome


class _Matrix:
    """x W, its loss and gradient by autograd."""

    def __init__(self, inputs: int, rows: int) -> None:
        need_torch()
        self.x, self.w = torch.randn(rows, inputs), torch.randn(inputs, 1, requires_grad=True)
        self.y = torch.randn(rows, 1)

    def __call__(self) -> None:
        self.w.grad = None
        ((self.x @ self.w - self.y) ** 2).mean().backward()


def hub(conditions: Conditions) -> Outcome:
    """One node with 100,000 parents."""
    parents, entries = 100_000, []
    sources, targets = np.arange(parents), np.full(parents, parents)
    for rows in (32, 256):
        entries += [
            Entry(
                f"dagnet, {rows} rows",
                f"{DAGNET}, {rows}",
                lambda rows=rows: subject.step_of(
                    subject.from_arrays(sources, targets, conditions.threads), rows
                ),
            ),
            Entry(f"PyTorch, {rows} rows", f"{TORCH}, {rows}", partial(_Matrix, parents, rows)),
        ]
    outcome = _timed("a node with 100,000 parents", entries, conditions)
    for rows in (32, 256):
        outcome.at_most(f"{TORCH}, {rows}", 1.0, f"{DAGNET}, {rows}")
    return outcome


def pnet(conditions: Conditions) -> Outcome:
    """P-NET's shape: three columns a gene, 10,087 genes, pathways above; time an edge beside the main row."""
    rng, genes, pathways = np.random.default_rng(0), 10_087, 2_195
    sources, targets, first = [np.arange(3 * genes)], [np.repeat(np.arange(genes), 3) + 3 * genes], 3 * genes
    mine = first + rng.integers(0, genes, 48_000)
    sources.append(mine)
    targets.append(first + genes + rng.integers(0, pathways // 2, 48_000))
    upper = first + genes + pathways // 2
    sources.append(first + genes + rng.integers(0, pathways // 2, 2_000))
    targets.append(upper + rng.integers(0, pathways - pathways // 2, 2_000))
    edges = np.unique(np.column_stack([np.concatenate(sources), np.concatenate(targets)]), axis=0)
    main = graphs.random_dag()
    entries = [
        Entry(
            "P-NET's shape, 50 rows",
            DAGNET,
            lambda: subject.step_of(subject.from_arrays(*edges.T, conditions.threads), 50),
            len(edges) // 1000,
        ),
        Entry("the main row, 50 rows", "main", _step(main, 50, conditions.threads), main.n_edges // 1000),
    ]
    outcome = _timed(f"P-NET's shape, {len(edges):,} edges: a thousand edges", entries, conditions, unit="µs")
    outcome.at_most("main", 1.5)
    return outcome


def many_rows(conditions: Conditions) -> Outcome:
    """``net(X)`` of 20,000 rows beside 256, a row."""
    wiring, entries = graphs.random_dag(), []
    for rows in (256, 20_000):
        X, _ = wiring.data(rows)

        def call(X: np.ndarray = X) -> Callable[[], Any]:
            return partial(subject.build(wiring, conditions.threads), X)

        entries.append(Entry(f"net(X), {rows:,} rows", str(rows), call, rows))
    outcome = _timed("predictions, a row", entries, conditions, unit="µs")
    outcome.at_most("256", 1.05, "20000")
    return outcome
