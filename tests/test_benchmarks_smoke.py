"""The ground under the benchmarks: networks as promised, a right oracle, turns that alternate; no peers."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from benchmarks import graphs, oracle
from benchmarks.__main__ import WORKS
from benchmarks.measure import Contender, measure
from benchmarks.work import Outcome


def by_networkx(wiring: graphs.Wiring, row: np.ndarray) -> dict[int, float]:
    """Value of every node for one row, by name, in NetworkX's order."""
    graph = graphs.to_digraph(wiring)
    value = {node: float(row[node]) for node in range(wiring.n_inputs)}
    for node in nx.topological_sort(graph):
        if node not in value:
            z = graph.nodes[node]["bias"]
            z += sum(edge["weight"] * value[parent] for parent, _, edge in graph.in_edges(node, data=True))
            value[node] = z if graph.out_degree(node) == 0 else max(z, 0.0)
    return value


@pytest.fixture
def wiring() -> graphs.Wiring:
    return graphs.small_net(40, 120, 5, seed=3)


def test_the_oracle_agrees_with_networkx(wiring):
    X, _ = wiring.data(3)
    values = oracle.values(wiring, X)
    for row in range(3):
        expected = by_networkx(wiring, X[row])
        np.testing.assert_allclose(values[:, row], [expected[n] for n in range(40)], rtol=1e-12)


def test_the_oracles_gradient_is_the_difference_quotient(wiring):
    X, y = wiring.data(4)
    found = oracle.answer(wiring, X, y)
    h = 1e-6
    for what in ("weights", "biases"):
        start = getattr(wiring, what).astype(float)
        for place in range(wiring.n_inputs, len(start), 7):
            losses = []
            for sign in (1, -1):
                moved = start.copy()
                moved[place] += sign * h
                losses.append(oracle.answer(replace(wiring, **{what: moved}), X, y).loss)
            quotient = (losses[0] - losses[1]) / (2 * h)
            assert getattr(found, what)[place] == pytest.approx(quotient, rel=1e-5, abs=1e-6)


def test_a_wrong_gradient_is_noticed(wiring):
    found = oracle.answer(wiring, *wiring.data(4))
    assert oracle.disagreement(found, found) == 0
    assert oracle.disagreement(replace(found, weights=found.weights * 1.01), found) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("make", "nodes", "edges", "levels"),
    [
        (lambda: graphs.random_dag(20, 300, 5), 320, 1_500, None),
        (lambda: graphs.deep_dag(20, 5, 3), 110, 300, 20),
        (lambda: graphs.chain(50), 50, 49, 49),
        (graphs.small_net, 200, 1_000, None),
    ],
)
def test_networks_are_as_promised(make, nodes, edges, levels):
    wiring, again = make(), make()
    assert (wiring.n_nodes, wiring.n_edges) == (nodes, edges)
    assert levels in (None, wiring.level[-1])
    assert (wiring.sources < wiring.targets).all()
    assert (np.diff(wiring.targets) >= 0).all()
    assert (np.diff(wiring.level) >= 0).all()
    assert len(set(zip(wiring.sources, wiring.targets, strict=True))) == edges
    assert np.array_equal(wiring.weights, again.weights)
    assert np.array_equal(wiring.sources, again.sources)
    graph = graphs.to_digraph(wiring)
    assert nx.is_directed_acyclic_graph(graph)
    assert [n for n, d in graph.in_degree if d == 0] == list(range(wiring.n_inputs))
    assert nx.dag_longest_path_length(graph, weight=None) == wiring.level[-1]


def test_the_scaling_networks_have_no_edge_twice():
    sources, targets, n_nodes = graphs.strata_arrays(2_000)
    assert len(sources) == 2_000
    assert targets.max() + 1 == n_nodes
    assert (sources < targets).all()
    assert len(set(zip(sources, targets, strict=True))) == 2_000


def test_a_union_computes_what_its_members_compute():
    members = graphs.population(5)
    joined, columns = graphs.union(members)
    X = members[0].data(3)[0]
    ours = oracle.values(joined, X[:, columns])[joined.outputs]
    theirs = np.concatenate([oracle.values(m, X)[m.outputs] for m in members])
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_contenders_take_turns_and_ratios_are_of_medians():
    order = []
    contenders = [Contender(name, lambda name=name: order.append(name), name) for name in "ab"]
    timings = measure(contenders, seconds=0.001, most_rounds=5)
    turns = [name for name, before in zip(order, [None, *order], strict=False) if name != before]
    assert "abab" in "".join(turns)
    timings[0].samples, timings[1].samples = [1.0, 2.0, 30.0], [4.0]
    outcome = Outcome("two", timings=timings)
    outcome.at_least("b", 2.0, subject="a")
    outcome.at_most("a", 3.0, subject="b")
    outcome.at_least("nobody", 2.0)
    assert [check.met for check in outcome.checks] == [True, True, None]
    assert outcome.checks[0].value == 2.0


def test_the_readme_lists_every_work():
    readme = (Path(__file__).parent / "benchmarks" / "README.md").read_text(encoding="utf-8")
    listed = readme[readme.index("## The works") : readme.index("## The limit")]
    assert set(WORKS) == set(re.findall(r"\b(" + "|".join(WORKS) + r")\b", listed))
