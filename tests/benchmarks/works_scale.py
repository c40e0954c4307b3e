"""Size: building from NetworkX, growth with the number of edges, memory of a step, time to the first step."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from functools import partial
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import networkx as nx
import numpy as np

from . import graphs, subject
from .graphs import Missing
from .measure import Contender, Timing, measure
from .peers_layered import BATCH, SIZES, data
from .work import DAGNET, Conditions, Entry, Outcome, ready

READ = "reading the edges once"
ROWS = 8  # of a step in the scaling row
WINDOW = 2_000  # earlier nodes that parents are drawn from, where they are near by


def read_edges(graph: nx.DiGraph) -> tuple[np.ndarray, np.ndarray, list[Any]]:
    """Every edge with its weight attribute, once, into arrays."""
    index = {node: k for k, node in enumerate(graph)}
    sources: list[int] = []
    targets: list[int] = []
    weights: list[Any] = []
    for node, children in graph.adjacency():
        own = index[node]
        for child, attributes in children.items():
            sources.append(own)
            targets.append(index[child])
            weights.append(attributes.get("weight"))
    return np.array(sources), np.array(targets), weights


def build(conditions: Conditions) -> Outcome:
    """``Network`` from an ``nx.DiGraph`` of 1,000,000 edges."""
    n_edges = 50_000 if conditions.quick else 1_000_000
    outcome = Outcome(f"Network from an nx.DiGraph of {n_edges:,} edges")
    sources, targets, _ = graphs.strata_arrays(n_edges)
    graph = nx.DiGraph()
    graph.add_edges_from(zip(sources.tolist(), targets.tolist(), strict=True))
    entries = [
        Entry(
            "dagnet.Network(graph)", DAGNET, lambda: partial(subject.from_digraph, graph, conditions.threads)
        ),
        Entry(
            "Network.from_arrays",
            "arrays",
            lambda: partial(subject.from_arrays, sources, targets, conditions.threads),
        ),
        Entry("reading the edges once into arrays", READ, lambda: partial(read_edges, graph)),
    ]
    outcome.timings = measure(ready(entries, outcome, lambda _: None), conditions.seconds)
    outcome.at_most(READ, 2.0)
    return outcome


def scaling(conditions: Conditions) -> Outcome:
    """Network.from_arrays and one forward and backward, 10³ … 10⁷ edges."""
    outcome = Outcome(f"growth: from_arrays, and a step of {ROWS} rows", ratios=False)
    sizes = [10**k for k in range(3, 6 if conditions.quick else 8)]
    for where, window in (("anywhere", None), ("near by", WINDOW)):
        _grow(outcome, sizes, where, window, conditions)
    outcome.notes.append(
        f"parents: ten among all earlier nodes, or among the {WINDOW:,} before, where values stay in cache "
        "at any size; what the two differ by is the memory's cost, not the algorithm's"
    )
    return outcome


def _grow(outcome: Outcome, sizes: list[int], where: str, window: int | None, conditions: Conditions) -> None:
    built, stepped = [], []
    for n_edges in sizes:
        arrays = graphs.strata_arrays(n_edges, window=window)[:2]
        try:
            times, net = [], None
            for _ in range(5 if n_edges <= 10**5 else 2):
                net = None
                start = perf_counter()
                net = subject.from_arrays(*arrays, conditions.threads)
                times.append((perf_counter() - start) * 1e3)
            [step] = measure(
                [Contender(f"step, {n_edges:,} edges, parents {where}", subject.step_of(net, ROWS), "step")],
                conditions.seconds,
            )
        except Exception as error:
            outcome.skipped.append((f"{n_edges:,} edges", f"{type(error).__name__}: {error}"[:300]))
            break
        outcome.timings += [
            Timing(Contender(f"build, {n_edges:,} edges", partial(int), "build"), times),
            step,
        ]
        built.append(min(times))
        stepped.append(step.minimum)
    for what, least in (("build", built), ("step", stepped)):
        pairs = zip(least, sizes, strict=False)
        per_edge = ", ".join(f"{t / n * 1e6:.0f} at {n:,}" for t, n in pairs)
        outcome.notes.append(f"{what}, parents {where}: least ns an edge: {per_edge}")
        if len(least) > 2:
            exponent = float(np.polyfit(np.log(sizes[: len(least)]), np.log(least), 1)[0])
            outcome.check(f"exponent of {what}, parents {where}", exponent, 1.1, at_least=False)


def resident() -> dict[str, int]:
    """Bytes of resident memory, now and at its highest (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    wanted = {"VmRSS:": "now", "VmHWM:": "peak"}
    return {wanted[w[0]]: int(w[1]) * 1024 for line in lines if (w := line.split())[0] in wanted}


def cleared() -> None:
    """Forget how much memory was resident at its highest."""
    if not Path("/proc/self/clear_refs").exists():
        raise Missing("memory: needs Linux's /proc")
    Path("/proc/self/clear_refs").write_text("5")


def peaks(call: Any) -> tuple[int, int]:
    """Growth of resident memory and of Python's traced allocations during a call, at their highest."""
    cleared()
    before = resident()["now"]
    call()
    growth = resident()["peak"] - before
    tracemalloc.start()
    call()
    traced = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return growth, traced


def memory(conditions: Conditions) -> Outcome:
    """A training step of Adam: what it takes beside the sum of its parts."""
    outcome = Outcome("memory of training with Adam, beside state + δ + parameters + gradient + moments")
    wiring = graphs.random_dag()
    X, y = wiring.data(1024)
    LX, Ly = data(4)
    cases = {
        "irregular, 256 rows": (lambda: subject.build(wiring, conditions.threads), X, y, 256),
        "layered, 128 rows": (
            lambda: subject.from_digraph(graphs.layered_digraph(SIZES), conditions.threads),
            LX,
            Ly,
            BATCH,
        ),
    }
    for name, (make, inputs, targets, rows) in cases.items():
        try:
            net = make()
            net.evaluate(inputs[:1], targets[:1])  # what is loaded and compiled once is not the step's
            subject.fit(net, inputs[:2], targets[:2], epochs=1, batch_size=1)
            sleep(0.2)
            growth, traced = peaks(partial(subject.fit, net, inputs, targets, epochs=1, batch_size=rows))
        except Exception as error:
            outcome.skipped.append((name, f"{type(error).__name__}: {error}"[:300]))
            continue
        parameters = net.parameters.nbytes
        parts = 4 * parameters + 2 * 4 * net.plan.n_units * rows
        data_bytes = inputs.nbytes + targets.nbytes
        outcome.notes.append(
            f"{name}: parts {parts / 1e6:.1f} MB, of them parameters {parameters / 1e6:.1f}; during fit "
            f"resident memory grew by {growth / 1e6:.1f} MB, traced allocations peaked at "
            f"{traced / 1e6:.1f} MB; the data are {data_bytes / 1e6:.1f} MB"
        )
        # each misses something: what an allocator already had, what Python's tracing cannot see
        most = max(growth, traced) + parameters
        outcome.check(f"{name}: (growth + parameters) / parts", most / parts, 2.0, at_least=False)
    return outcome


FIRST = """
import sys, time
start = time.perf_counter()
import numpy as np
from tests.benchmarks import graphs, subject
sources, targets, _ = graphs.strata_arrays({edges})
began = time.perf_counter()
net = subject.from_arrays(sources, targets, {threads})
step = subject.step_of(net, 32)
step()
print(time.perf_counter() - start, time.perf_counter() - began)
"""


def first(conditions: Conditions) -> Outcome:
    """A fresh process, machine code on disk: imports, a graph never seen, its first step."""
    outcome = Outcome("a new process: imports, building and the first step (20,000 edges)")
    program = FIRST.format(edges=20_000, threads=conditions.threads)
    whole, own = [], []
    for _ in range(3 if conditions.quick else 7):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            outcome.skipped.append(("dagnet", lines[-1][:300] if lines else "ended without a word"))
            return outcome
        for into, seconds in zip((whole, own), done.stdout.split(), strict=True):
            into.append(float(seconds) * 1e3)
    outcome.notes.append(f"the very first process took {whole[0]:,.0f} ms (it may have compiled)")
    for name, times in (("imports, building, first step", whole), ("building and first step", own)):
        outcome.timings.append(Timing(Contender(name, first, DAGNET if times is whole else "own"), times[1:]))
    median = outcome.fastest(DAGNET)
    outcome.check("seconds to the first step", median / 1e3 if median else None, 0.5, at_least=False)
    return outcome
