"""What is said of cycles: how many, where, and what can be done."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import networkx as nx
import numpy as np

from dagnet.adjacency import find_cycle, levels, rows_by
from dagnet.arrays import Array
from dagnet.errors import CycleError, shorten
from dagnet.topology.attributes import read_ends

LISTED = 12
SHOWN = 4
MEND = (
    "a network needs an acyclic graph: remove one of these edges, or have "
    'dagnet.prepare_graph(graph, cycles="break") remove one of each cycle'
)


def refuse_cycles(graph: nx.DiGraph[Any]) -> None:
    """CycleError where there is one."""
    names = list(graph)
    ends = read_ends(graph, {name: number for number, name in enumerate(names)})
    cycle, problems = find_cycles(names, ends.sources, ends.targets)
    if cycle:
        raise CycleError(problems, cycle)


def find_cycles(
    names: Sequence[Hashable], sources: Array, targets: Array
) -> tuple[list[Hashable], list[str]]:
    """A cycle, empty where there is none, and the problems in words.

    A strongly connected component of m edges among n nodes has m − n + 1 independent cycles.
    """
    n, loops = len(names), sources == targets
    looped = [names[node] for node in sources[loops].tolist()]
    problems = [f"node {shorten(name)} has an edge to itself; remove it" for name in looped[:LISTED]]
    sources, targets = sources[~loops], targets[~loops]
    parents = rows_by(targets, sources, n)
    cyclic = levels(rows_by(sources, targets, n), np.bincount(targets, minlength=n)) < 0
    cyclic &= levels(parents, np.bincount(sources, minlength=n)) < 0  # on cycles, or between them
    kept = cyclic[sources] & cyclic[targets]
    core: nx.DiGraph[Any] = nx.DiGraph(zip(sources[kept].tolist(), targets[kept].tolist(), strict=True))
    components = sorted(sorted(found) for found in nx.strongly_connected_components(core) if len(found) > 1)
    if not components:
        return looped[:1], problems
    number = np.zeros(n, np.int64)
    for k, component in enumerate(components, 1):
        number[component] = k
    inside = int(((number[sources] == number[targets]) & (number[sources] > 0)).sum())
    cycles = [
        [names[node] for node in find_cycle(parents, np.where(number == k, -1, 0))]
        for k in range(1, min(len(components), SHOWN) + 1)
    ]
    nodes = [names[node] for component in components for node in component]
    shown = ", ".join(_listed([*cycle, cycle[0]], " → ", len(cycle)) for cycle in cycles)
    count = inside - len(nodes) + len(components)
    where = "one component" if len(components) == 1 else f"{len(components):,} components"
    told = f"{count:,} independent cycles in {where} of {len(nodes):,} nodes"
    told += f", {_listed(nodes, ', ', len(nodes))}; for instance {shown}"
    problems.append(f"the graph has {f'a cycle, {shown}' if count == 1 else told}; {MEND}")
    return cycles[0], problems


def _listed(names: Sequence[Hashable], joint: str, count: int) -> str:
    shown = [shorten(name) for name in names]
    if len(shown) > LISTED:
        shown = [*shown[: LISTED - 2], f"… ({count} nodes)", shown[-1]]
    return joint.join(shown)
