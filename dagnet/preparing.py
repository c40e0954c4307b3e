"""From a graph as it was found to one that a network can be trained on."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import networkx as nx

from dagnet.errors import DataError, did_you_mean, expected
from dagnet.explain import Report, Shown, Table
from dagnet.markup import counted, label, names_text
from dagnet.topology import checked_graph, refuse_cycles
from dagnet.values import FLAG, one_of

Names = tuple[Hashable, ...]


@dataclass(frozen=True)
class Preparation(Shown):
    """What :func:`prepare_graph` did; ``print`` shows it as a table.

    ``nodes`` and ``edges`` count what is left; ``inputs`` and ``outputs`` are in the order of the columns
    and targets; ``turned`` says whether all edges were turned round; ``attached`` are nodes that were
    added, ``not_fed`` those left out because no column leads to them, ``idle`` those that lead to no
    output; ``cut`` are edges, pairs, left out to break cycles; ``unused`` are columns that are no input:
    no node has their name, it was left out, or it has parents.
    """

    nodes: int
    edges: int
    inputs: Names
    outputs: Names
    turned: bool
    attached: Names
    not_fed: Names
    idle: Names
    cut: tuple[tuple[Hashable, Hashable], ...]
    unused: Names

    def _report(self) -> Report:
        lists: dict[str, Sequence[Hashable]] = {
            "inputs": self.inputs,
            "outputs": self.outputs,
            "attached": self.attached,
            "left out: no column leads there": self.not_fed,
            "left out: lead to no output": self.idle,
            "edges cut in cycles": [f"{label(parent)} → {label(child)}" for parent, child in self.cut],
            "columns that are no input": self.unused,
        }
        rows = [(what, f"{len(names):,}", names_text(names)) for what, names in lists.items() if names]
        title = f"{counted(self.nodes, 'node')}, {counted(self.edges, 'edge')}"
        title += ", turned round" * self.turned
        return Report("Prepared graph: ", title, [Table(("", "", ""), rows, left=(0, 2))])


def prepare_graph(
    graph: nx.DiGraph[Any], columns: Iterable[Hashable] | None = None,
    target: Hashable | list[Hashable] | None = None, *, cycles: str = "refuse", attach: bool = False,
) -> tuple[nx.DiGraph[Any], Preparation]:  # fmt: skip
    """Fit a graph to data: nodes stay that a column leads to and that lead to a target.

    Before, all edges are turned round where the columns' nodes have parents and none has children.

    Parameters
    ----------
    graph
        Directed, without parallel edges; it stays as it is, and the new one keeps its attributes.
    columns
        Names of the data's columns, for instance a data frame; the target's may be among them.  The
        node of a column is no input if it has parents that stay.  By default, all parentless nodes.
    target
        The output; a list names several.  By default, all childless nodes.
    cycles
        ``"refuse"``, or ``"break"``: edges out of a lone target that lead back to it are left out, then
        the back edges of a depth-first search from the inputs in the order of columns and edges.
    attach
        Whether columns and targets that are no nodes are added: inputs as parents of all nodes that
        had none, targets as children of all that had none.

    Returns
    -------
    tuple
        The new graph, whose settings name inputs and outputs, and a :class:`Preparation`.

    Raises
    ------
    GraphError
        For what is no directed graph; CycleError for cycles that are not broken.
    DataError
        If no column is a node, a target is none, or no column leads to a target.

    Examples
    --------
    >>> import dagnet, networkx as nx
    >>> terms = nx.DiGraph([("root", "T1"), ("root", "T2"), ("T1", "g1"), ("T1", "g2"), ("T2", "g3")])
    >>> graph, report = dagnet.prepare_graph(terms, ["g1", "g2", "age"], "root")
    >>> print(report)
    Prepared graph: 4 nodes, 3 edges, turned round
    <BLANKLINE>
      inputs                           2  g1, g2
      outputs                          1  root
      left out: no column leads there  2  T2, g3
      columns that are no input        1  age
    """
    one_of("refuse", "break").check("cycles", cycles)
    found: nx.DiGraph[Any] = checked_graph(graph).copy()
    goals = target if isinstance(target, list) else [] if target is None else [target]
    roots = [node for node, degree in found.in_degree() if not degree]
    names = roots if columns is None else _names(columns)
    names = [name for name in names if name not in goals]
    known = [name for name in names if name in found]
    turned = any(map(found.pred.get, known)) and not any(map(found.succ.get, known))
    if turned:
        found = found.reverse()
    attached = _attach(found, names, goals) if FLAG.check("attach", attach) else ()
    ends = goals or [node for node in found if found.in_degree(node) and not found.out_degree(node)]
    _check(found, names, ends, attach=attach)
    not_fed, idle = _prune(found, names, ends)
    lost = [goal for goal in goals if goal not in found] if found.size() else ends
    if lost:
        mend = "name others, or turn the edges: graph.reverse()"
        raise DataError(f"no column leads to {names_text(lost)}; {mend}")
    cut: list[tuple[Hashable, Hashable]] = []
    if cycles == "break":
        cut = _break(found, names, ends)
        more = _prune(found, names, ends)
        not_fed, idle = not_fed + more[0], idle + more[1]
    refuse_cycles(found)
    inputs = tuple(name for name in names if name in found and not found.in_degree(name))
    outputs = tuple(node for node in ends if node in found)
    said = found.graph.get("dagnet")
    settings = {"inputs": list(inputs), "outputs": list(outputs)}
    found.graph["dagnet"] = {**(said if isinstance(said, Mapping) else {}), **settings}
    unused = tuple(name for name in names if name not in found or found.in_degree(name))
    lists = attached, tuple(not_fed), tuple(idle), tuple(cut), unused
    return found, Preparation(len(found), found.size(), inputs, outputs, turned, *lists)


def _names(columns: Any) -> list[Hashable]:
    """The columns, each once."""
    try:
        if not isinstance(columns, str):
            return list(dict.fromkeys(columns))
    except TypeError:  # no iterable, or rows of numbers
        pass
    raise DataError(expected("columns", "names, such as a list of them or a data frame", columns))


def _attach(graph: nx.DiGraph[Any], names: Sequence[Hashable], goals: Sequence[Hashable]) -> Names:
    """Add inputs and outputs that are missing; those that are there are no ends of the rest."""
    given = {*names, *goals}
    heads = [node for node, degree in graph.in_degree() if not degree and node not in given]
    tails = [node for node, degree in graph.out_degree() if not degree and node not in given]
    inputs = [name for name in names if name not in graph and heads]
    outputs = [goal for goal in goals if goal not in graph and tails]
    graph.add_edges_from([*product(inputs, heads), *product(tails, outputs)])
    return (*inputs, *outputs)


def _check(
    graph: nx.DiGraph[Any], names: Sequence[Hashable], ends: Sequence[Hashable], *, attach: bool
) -> None:
    for what, given in (("columns", names), ("target", ends)):
        missing = [name for name in given if name not in graph]
        if not given:
            which = "parentless node" if what == "columns" else "end"
            raise DataError(f"{what}: no such node in the graph; name some: it has no {which}")
        if missing == given or (missing and what == "target"):
            mend = did_you_mean(missing[0], graph, listed=6)
            more = "attach=True adds nodes"
            if attach:
                end = "parentless" if what == "columns" else "childless"
                more = f"all {end} nodes are columns or targets, so there is none to attach it to"
            raise DataError(f"{what}: no such node in the graph: {names_text(missing)}{mend}; {more}")


def _prune(
    graph: nx.DiGraph[Any], names: Iterable[Hashable], ends: Iterable[Hashable]
) -> tuple[list[Hashable], list[Hashable]]:
    """Take out, and return, what no column leads to and what leads to no end."""
    fed, useful = _reached(graph.succ, names), _reached(graph.pred, ends)
    not_fed = [node for node in graph if node not in fed]
    idle = [node for node in graph if node in fed and node not in useful]
    graph.remove_nodes_from([*not_fed, *idle])
    return not_fed, idle


def _reached(neighbours: Mapping[Hashable, Iterable[Hashable]], seeds: Iterable[Hashable]) -> set[Hashable]:
    stack = [node for node in seeds if node in neighbours]
    found = set(stack)
    while stack:
        fresh = [node for node in neighbours[stack.pop()] if node not in found]
        found.update(fresh)
        stack += fresh
    return found


def _break(
    graph: nx.DiGraph[Any], names: Iterable[Hashable], ends: Sequence[Hashable]
) -> list[tuple[Hashable, Hashable]]:
    cut = list(graph.out_edges(ends[0])) if len(ends) == 1 else []  # all that is left leads to it
    graph.remove_edges_from(cut)
    start, walk, path = object(), graph.copy(), set()
    feeds = [name for name in names if name in graph]
    walk.add_edges_from((start, name) for name in sorted(feeds, key=lambda name: graph.in_degree(name) > 0))
    for parent, child, kind in nx.dfs_labeled_edges(walk, start):
        if kind == "forward":
            path.add(child)
        elif kind == "reverse":
            path.discard(child)
        elif child in path:
            cut.append((parent, child))
    graph.remove_edges_from(cut)
    return cut
