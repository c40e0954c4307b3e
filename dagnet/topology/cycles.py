"""What is said of cycles: how many, where, and what can be done."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import networkx as nx
import numpy as np

from dagnet.adjacency import components, find_cycle, rows_by
from dagnet.arrays import Array
from dagnet.errors import CycleError, shorten
from dagnet.topology.said import drawn

LISTED = 12
SHOWN = 4
MEND = (
    "a network needs an acyclic graph: remove one of these edges, or have "
    'dagnet.prepare_graph(graph, cycles="break") remove one of each cycle; '
    "a recurrent network is one that dagnet.unroll(graph, ticks, …) unrolls through time"
)


def refuse_cycles(graph: nx.DiGraph[Any]) -> None:
    """CycleError where there is one."""
    read = drawn(graph)
    cycle, problems = find_cycles(read.names, read.sources, read.targets)
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
    of = components(rows_by(sources, targets, n))
    cyclic = np.bincount(of)[of] > 1
    if not cyclic.any():
        return looped[:1], problems
    numbers = list(dict.fromkeys(of[cyclic].tolist()))
    parents = rows_by(targets, sources, n)
    cycles = [
        [names[node] for node in find_cycle(parents, np.where(of == number, -1, 0))]
        for number in numbers[:SHOWN]
    ]
    nodes = [names[node] for node in np.flatnonzero(cyclic).tolist()]
    shown = ", ".join(_listed([*cycle, cycle[0]], " → ", len(cycle)) for cycle in cycles)
    count = int((of[sources] == of[targets]).sum()) - len(nodes) + len(numbers)
    where = "one component" if len(numbers) == 1 else f"{len(numbers):,} components"
    told = f"{count:,} independent cycles in {where} of {len(nodes):,} nodes"
    told += f", {_listed(nodes, ', ', len(nodes))}; for instance {shown}"
    problems.append(f"the graph has {f'a cycle, {shown}' if count == 1 else told}; {MEND}")
    return cycles[0], problems


def _listed(names: Sequence[Hashable], joint: str, count: int) -> str:
    shown = [shorten(name) for name in names]
    if len(shown) > LISTED:
        shown = [*shown[: LISTED - 2], f"… ({count} nodes)", shown[-1]]
    return joint.join(shown)
