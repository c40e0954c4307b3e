"""The ground under the benchmarks: networks as promised, a right oracle, turns that alternate; no peers."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import replace
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from benchmarks import graphs, oracle, peers_losses, subject, works_gpu, works_losses
from benchmarks.__main__ import WORKS
from benchmarks.measure import Contender, measure
from benchmarks.work import Conditions, Outcome

from dagnet import registry as face
from dagnet.registry.tables import Registry


def by_networkx(wiring: graphs.Wiring, row: np.ndarray) -> dict[int, float]:
    """Value of every node for one row, by name, in NetworkX's order."""
    graph = graphs.to_digraph(wiring)
    value = {node: float(row[node]) for node in range(wiring.n_inputs)}
    for node in nx.topological_sort(graph):
        if node not in value:
            z = graph.nodes[node]["bias"]
            z += sum(edge["weight"] * value[parent] for parent, _, edge in graph.in_edges(node, data=True))
            g = math.sin if wiring.activation == "sin" else lambda z: max(z, 0.0)
            value[node] = z if graph.out_degree(node) == 0 else g(z)
    return value


@pytest.fixture(params=["relu", "sin"])
def wiring(request) -> graphs.Wiring:
    return replace(graphs.small_net(40, 120, 5, seed=3), activation=request.param)


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


def test_a_difference_is_held_to_its_target():
    timings = measure([Contender(name, int, name) for name in "abc"], seconds=0.001, most_rounds=1)
    for timing, sample in zip(timings, (5.0, 2.0, 1.5), strict=True):
        timing.samples = [sample]
    outcome = Outcome("beyond", timings=timings)
    outcome.check_beyond("(a - b) / c", "a", "b", lambda what: outcome.fastest("c", what), 2.0)
    outcome.check_beyond("(a - d) / c", "a", "d", lambda what: outcome.fastest("c", what), 2.0)
    assert [(check.value, check.by_least, check.met) for check in outcome.checks] == [
        (2.0, 2.0, True),
        (None, None, None),
    ]


def quotients(total, outputs: np.ndarray, h: float = 1e-6) -> np.ndarray:
    """The difference quotient of ``total(outputs)`` for each output."""
    found = np.empty(outputs.shape)
    for place in np.ndindex(outputs.shape):
        step = np.zeros(outputs.shape)
        step[place] = h
        found[place] = (total(outputs + step) - total(outputs - step)) / (2 * h)
    return found


@pytest.mark.parametrize("value", works_losses.GRADIENTS, ids=lambda value: value.__name__)
def test_gradients_by_hand_are_difference_quotients(value):
    rng = np.random.default_rng(0)
    if value.__name__.startswith("cox"):
        outputs, targets = (a.astype(float) for a in works_losses.survival(12))
    else:
        outputs, targets = rng.standard_normal((2, 2, works_losses.COLUMNS))
    by_hand = works_losses.GRADIENTS[value](outputs, targets)
    expected = quotients(lambda o: value(o, targets).sum(), outputs)
    np.testing.assert_allclose(by_hand, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy_with_logits"])
def test_the_losses_formulas_are_dagnets(name):
    outputs, targets = np.random.default_rng(0).standard_normal((4, 5)), np.eye(5)[[1, 0, 4, 1]]
    value, pull = peers_losses.formula(name, outputs, targets)
    expected = quotients(lambda o: peers_losses.formula(name, o, targets)[0], outputs)
    np.testing.assert_allclose(pull, expected, rtol=1e-5, atol=1e-7)
    step = subject.Step(
        subject.outputs_alone(5, name, 1), *(a.astype(np.float32) for a in (outputs, targets))
    )
    assert step() == pytest.approx(value, rel=1e-5)


def test_the_work_on_a_card_is_skipped_with_a_message_where_there_is_none():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("here is one")
    ((who, why),) = works_gpu.gpu(Conditions(quick=True)).skipped
    assert (who, why[:29]) == ("all", "PyTorch finds no CUDA device ")


@pytest.mark.parametrize("name", ["irregular", "DrugCell", "layered"])
def test_the_work_on_a_card_is_right_on_the_processor(name, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(works_gpu, "DEVICE", "cpu")
    monkeypatch.setattr(face, "registry", Registry())  # the engine that is registered is no other test's
    wiring, outcome = works_gpu.networks(small=True)[name](), Outcome("small")
    works_gpu.race_on(name, wiring, 4, outcome, replace(Conditions(), quick=True))
    families = {timing.contender.family.partition(",")[0] for timing in outcome.timings}
    assert families | {who.partition(",")[0] for who, _ in outcome.skipped} == {
        "dagnet",
        "kpnn2",
        "masked PyTorch",
    }
    assert families >= {"dagnet", "masked PyTorch"}
    X, y = wiring.data(8)
    order = [np.arange(4), np.arange(4, 8)]
    truth = oracle.answer(wiring, X[:4], y[:4])
    second = works_gpu.second_loss(wiring, truth, X[4:], y[4:])
    for make in (works_gpu.Ours, works_gpu.MaskedEpoch):
        epoch = make(wiring, X, y, order)
        assert epoch.fault(truth, second) is None
        assert "losses" in epoch.fault(truth, second * 1.1)
        assert "gradient" in epoch.fault(replace(truth, weights=truth.weights * 1.1), second)


def test_the_readme_lists_every_work():
    readme = (Path(__file__).parent / "benchmarks" / "README.md").read_text(encoding="utf-8")
    listed = readme[readme.index("## The works") : readme.index("## The limit")]
    assert set(WORKS) == set(re.findall(r"\b(" + "|".join(WORKS) + r")\b", listed))
