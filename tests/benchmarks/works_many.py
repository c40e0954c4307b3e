"""Many networks, many edges, many names: populations, sharing, wide tables, a hundred million edges."""

from __future__ import annotations

import os
import tracemalloc
from functools import partial
from time import perf_counter, process_time
from typing import Any

import networkx as nx
import numpy as np

from . import graphs, subject
from .measure import Contender, Timing, measure
from .work import DAGNET, Conditions, Entry, Outcome, ready
from .works_scale import WINDOW, cleared, peaks, resident

MUCH = 12e9


def _timed(title: str, entries: list[Entry], conditions: Conditions, unit: str = "ms") -> Outcome:
    outcome = Outcome(title, unit=unit)
    outcome.timings = measure(ready(entries, outcome, lambda _: None), conditions.seconds)
    return outcome


def sharing(conditions: Conditions) -> Outcome:
    """Building where edges share weights, beside the same without; a million inputs beside reading them."""
    outcome = Outcome("building with shared weights, and with a million inputs")
    scale = 10 if conditions.quick else 1
    for n_edges, n_keys in ((300_000 // scale, 100_000 // scale), (828_887 // scale, 164_773 // scale)):
        sources, targets, _ = graphs.strata_arrays(n_edges)
        keys = np.random.default_rng(0).integers(0, n_keys, len(sources)).tolist()
        for shared in (False, True):
            graph = nx.DiGraph()
            pairs = zip(sources.tolist(), targets.tolist(), keys, strict=True)
            graph.add_edges_from((a, b, {"share": k} if shared else {"note": k}) for a, b, k in pairs)
            _once(
                outcome,
                f"{n_edges:,} edges, {n_keys:,} keys, shared: {shared}",
                f"{n_edges}, {shared}",
                graph,
            )
        outcome.at_most(f"{n_edges}, False", 1.5, f"{n_edges}, True")
    inputs = 1_000_000 // scale
    graph = nx.DiGraph()
    graph.add_edges_from((f"x{k}", f"h{k % 1000}") for k in range(inputs))
    _once(outcome, f"{inputs:,} inputs", "inputs", graph)
    start = perf_counter()
    names = {name: k for k, name in enumerate(graph)}
    np.array([(names[a], names[b]) for a, b in graph.edges])
    outcome.timings.append(
        Timing(Contender("reading them", int, "reading"), [(perf_counter() - start) * 1e3])
    )
    outcome.at_most("reading", 1.2, "inputs")
    return outcome


def _once(outcome: Outcome, name: str, family: str, graph: nx.DiGraph) -> None:
    times = []
    for _ in range(2):
        start = perf_counter()
        subject.from_digraph(graph, 1)
        times.append((perf_counter() - start) * 1e3)
    outcome.timings.append(Timing(Contender(name, int, family), times))


def large(conditions: Conditions) -> Outcome:
    """Ten million edges: memory an edge, and what a locality order makes of shuffled names."""
    n_edges = 100_000 if conditions.quick else 10_000_000
    outcome = Outcome(f"{n_edges:,} edges: bytes an edge, and a step of 8 rows", ratios=False)
    _warmed(conditions)
    sources, targets, nodes = graphs.strata_arrays(n_edges)
    found: list[Any] = []
    growth, _ = peaks(lambda: found.append(subject.from_arrays(sources, targets, conditions.threads)))
    outcome.check("peak of building, bytes an edge", growth / n_edges, 48, at_least=False)
    del found[:]
    tracemalloc.start()
    net = subject.from_arrays(sources, targets, conditions.threads)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    outcome.check("kept, bytes an edge", kept / n_edges, 32, at_least=False)
    X, y = (np.zeros((8, len(ports)), np.float32) for ports in (net.inputs, net.outputs))
    growth, _ = peaks(partial(subject.fit, net, X, y, epochs=1, batch_size=8))
    outcome.check("kept and the growth in a step of Adam", (kept + growth) / n_edges, 48, at_least=False)
    del net
    sources, targets, nodes = graphs.strata_arrays(n_edges, window=WINDOW)
    names = np.random.default_rng(0).permutation(nodes)
    mixed = np.random.default_rng(1).permutation(len(sources))
    entries = [
        Entry(
            "parents near by",
            "near",
            lambda: subject.step_of(subject.from_arrays(sources, targets, conditions.threads), 8),
        ),
        Entry(
            "the same graph, nodes and edges in random order",
            "mixed",
            lambda: subject.step_of(
                subject.from_arrays(names[sources[mixed]], names[targets[mixed]], conditions.threads), 8
            ),
        ),
    ]
    outcome.timings = measure(ready(entries, outcome, lambda _: None), conditions.seconds)
    outcome.at_most("near", 1.2, "mixed")
    return outcome


def _step_of_adam(sources: np.ndarray, targets: np.ndarray, conditions: Conditions) -> tuple[float, float]:
    """Build, and train a step of 8 rows: seconds by the clock and of the processor until it was built."""
    clock, processor = perf_counter(), process_time()
    net = subject.from_arrays(sources, targets, conditions.threads)
    clock, processor = perf_counter() - clock, process_time() - processor
    X, y = (np.zeros((8, len(ports)), np.float32) for ports in (net.inputs, net.outputs))
    subject.fit(net, X, y, epochs=1, batch_size=8)
    return clock, processor


def _warmed(conditions: Conditions) -> None:
    """Have loaded and compiled what is so once: its memory is no edge's."""
    _step_of_adam(*graphs.strata_arrays(10_000)[:2], conditions)


def huge(conditions: Conditions) -> Outcome:
    """A hundred million edges, built and trained a step by Adam; all memory counts, the arrays given too."""
    n_edges = 100_000 if conditions.quick else 100_000_000
    outcome = Outcome(f"{n_edges:,} edges: building, and a step of Adam with 8 rows", ratios=False)
    if not conditions.quick and os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") < MUCH:
        outcome.skipped.append(("all", f"needs a machine of {MUCH / 1e9:.0f} GB"))
        return outcome
    _warmed(conditions)
    sources, targets, _ = graphs.strata_arrays(n_edges)
    cleared()
    clock, processor = _step_of_adam(sources, targets, conditions)
    outcome.notes.append(f"built in {clock:.1f} s by the clock, {processor:.1f} s of the processor")
    outcome.check("seconds of building, by the clock", clock, 120, at_least=False)
    outcome.check("GB at their most, with a step of Adam", resident()["peak"] / 1e9, 24, at_least=False)
    return outcome


class Wide:
    """A step on a scipy.sparse X of 100,000 columns, in ``fit``."""

    def __init__(self, X: Any, threads: int) -> None:
        rng = np.random.default_rng(0)
        columns = X.shape[1]
        self.net = subject.from_arrays(np.arange(columns), columns + np.arange(columns) % 100, threads)
        self.X, self.y = X, rng.standard_normal((X.shape[0], 100), np.float32)

    def __call__(self) -> None:
        subject.fit(self.net, self.X, self.y, epochs=1, batch_size=self.X.shape[0], optimizer="sgd")


class Products:
    """SciPy's forward and backward product."""

    def __init__(self, X: Any) -> None:
        import scipy.sparse as sp

        rng, columns = np.random.default_rng(0), X.shape[1]
        places = np.arange(columns)
        weights = rng.standard_normal(columns, np.float32)
        self.X, self.y = X, rng.standard_normal((X.shape[0], 100), np.float32)
        self.W = sp.csr_array((weights, (places, places % 100)), shape=(columns, 100))

    def __call__(self) -> Any:
        error = (self.X @ self.W).toarray() - self.y
        return self.X.T @ error


def sparse(conditions: Conditions) -> Outcome:
    """100,000 input columns of which 0.5 % are not 0."""
    import scipy.sparse as sp

    X = sp.random_array((256, 100_000), density=0.005, format="csr", dtype=np.float32, rng=0)
    entries = [
        Entry("dagnet, a step in fit", DAGNET, partial(Wide, X, conditions.threads)),
        Entry("SciPy's two products", "SciPy", partial(Products, X)),
    ]
    outcome = _timed("sparse X, 100,000 columns, 256 rows", entries, conditions)
    outcome.at_most("SciPy", 1.3)
    return outcome


def one_after_the_other(conditions: Conditions) -> Outcome:
    """Networks of 20 to 60 nodes, built and trained 10 epochs, one after the other."""
    size = 200 if conditions.quick else 10_000
    members = [graphs.to_digraph(w) for w in graphs.population(min(size, 1_000))]
    outcome = Outcome(f"{size:,} networks of 20 to 60 nodes, one after the other", unit="s")
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4, 4), np.float32)
    start = perf_counter()
    for k in range(size):
        net = subject.from_digraph(members[k % len(members)], conditions.threads)
        subject.fit(net, X, np.zeros((4, len(net.outputs)), np.float32), epochs=10, batch_size=4)
    seconds = perf_counter() - start
    outcome.timings.append(Timing(Contender("build and fit", int, DAGNET), [seconds * 1e3]))
    outcome.check("seconds of 10,000", seconds * 10_000 / size, 8, at_least=False)
    return outcome
