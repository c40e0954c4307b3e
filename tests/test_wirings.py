"""Rewired graphs, and whether the wiring matters."""

from collections import Counter

import networkx as nx
import numpy as np
import pytest
from data.strategies import dags
from hypothesis import given
from hypothesis import strategies as st

import dagnet
from dagnet.errors import CycleError, DataError, GraphError
from dagnet.explain.importance import student

SHAPE = {"epochs": 60, "learning_rate": 0.02, "batch_size": 64, "threads": 2}
INPUTS = [f"x{j:02d}" for j in range(12)]


def levels(graph):
    return {node: n for n, nodes in enumerate(nx.topological_generations(graph)) for node in nodes}


def by_level(graph):
    level = levels(graph)
    return {node: Counter(level[parent] for parent in graph.pred[node]) for node in graph}


def deep(seed, n=60, degree=4):
    rng, graph = np.random.default_rng(seed), nx.DiGraph()
    graph.add_nodes_from(range(10))
    for node in range(10, n):
        graph.add_node(node, bias=float(node), activation="tanh" if node % 2 else "relu")
        for parent in rng.choice(node, degree, replace=False).tolist():
            graph.add_edge(parent, node, weight=0.5, bounds=(0, None) if parent % 3 else None, mine=parent)
    return graph


@pytest.mark.parametrize("seed", range(5))
def test_levels_degrees_and_nodes_are_kept_exactly(seed):
    graph = deep(seed)
    before = nx.DiGraph(graph)
    other = dagnet.rewired(graph, seed)
    assert nx.utils.graphs_equal(graph, before), "the graph was changed"
    assert levels(other) == levels(graph)
    assert dict(other.in_degree) == dict(graph.in_degree)
    assert dict(other.out_degree) == dict(graph.out_degree)
    assert by_level(other) == by_level(graph)
    assert list(other.nodes(data=True)) == list(graph.nodes(data=True))
    assert len(set(other.edges) & set(graph.edges)) < 0.6 * graph.number_of_edges()


def test_attributes_of_edges_stay_with_the_parent_and_start_weights_go():
    graph = deep(0)
    frozen = [(u, v) for u, v in graph.edges if (u + v) % 5 == 0]
    for edge in frozen:
        graph.edges[edge].update(trainable=False, weight=float(edge[0]))
    other = dagnet.rewired(graph, 3)
    for u, _v, said in other.edges(data=True):
        assert said["mine"] == u
        assert said.get("weight") == (float(u) if "trainable" in said else None)
    assert sum("trainable" in said for *_, said in other.edges(data=True)) == len(frozen)
    dagnet.Network(other)


def test_shared_weights_of_several_units_still_build():
    graph = nx.DiGraph()
    for k in range(6):
        graph.add_node(f"x{k}", units=1 + k % 2)
        graph.add_node(f"h{k}", units=2 + k % 2, share=k % 2)
    for k in range(6):
        for j in range(3):
            graph.add_edge(f"x{(k + 2 * j) % 6}", f"h{k}", share=("w", k % 2, j))
        graph.add_edge(f"h{k}", "y", factor=2.0, trainable=False, weight=np.ones((1, 2 + k % 2)))
    net = dagnet.Network(dagnet.rewired(graph, 1))
    assert len(net.edges) == graph.number_of_edges()


@given(dags(), st.integers(0, 100))
def test_any_graph_is_rewired(graph, seed):
    other = dagnet.rewired(graph, seed)
    assert by_level(other) == by_level(graph)
    assert dict(other.out_degree) == dict(graph.out_degree)


def test_the_same_seed_and_graph_in_another_order_give_the_same():
    graph = deep(1)
    shuffled = nx.DiGraph()
    shuffled.add_nodes_from(reversed(list(graph.nodes(data=True))))
    shuffled.add_edges_from(reversed(list(graph.edges(data=True))))
    assert set(dagnet.rewired(shuffled, 4).edges) == set(dagnet.rewired(graph, 4).edges)
    assert set(dagnet.rewired(graph, 5).edges) != set(dagnet.rewired(graph, 4).edges)


def test_all_wirings_of_a_small_class_come_equally_often():
    graph = nx.DiGraph([(f"x{k}", f"h{k // 2}") for k in range(4)])
    found = Counter(frozenset(dagnet.rewired(graph, seed).edges) for seed in range(600))
    assert len(found) == 6  # of four inputs, which two are h0's
    assert all(60 <= n <= 145 for n in found.values()), found


def test_degrees_alone():
    graph = deep(2)
    other = dagnet.rewired(graph, 0, keep="degrees")
    assert dict(other.in_degree) == dict(graph.in_degree)
    assert dict(other.out_degree) == dict(graph.out_degree)
    assert nx.is_directed_acyclic_graph(other)
    assert levels(other) != levels(graph)


def test_what_cannot_be_rewired_is_refused():
    with pytest.raises(CycleError):
        dagnet.rewired(nx.DiGraph([(1, 2), (2, 1)]), 0)
    with pytest.raises(GraphError, match="undirected"):
        dagnet.rewired(nx.Graph([(1, 2)]), 0)
    with pytest.raises(DataError, match="keep must be 'levels' or 'degrees', got 'level'"):
        dagnet.rewired(deep(0), 0, keep="level")


# -- does the wiring matter? ---------------------------------------------------------------


def drawn(rng):
    """Twelve inputs, each with one of four hidden nodes."""
    graph, order = nx.DiGraph(), rng.permutation(12)
    for k in range(4):
        graph.add_node(f"h{k}", activation="tanh")
        graph.add_edges_from((INPUTS[j], f"h{k}") for j in order[3 * k : 3 * k + 3])
        graph.add_edge(f"h{k}", "y")
    return graph


def taught(graph, rng, rows=160):
    """Rows of a teacher with this wiring: tanh of sums with weights of about ±1.5."""
    X = rng.normal(size=(rows, 12))
    y = np.zeros(rows)
    for node in sorted(graph.pred["y"]):
        z = sum(X[:, INPUTS.index(parent)] * rng.choice([-1.5, 1.5]) for parent in sorted(graph.pred[node]))
        y += np.tanh(z)
    return X, y + 0.3 * rng.normal(size=rows)


def p_values(number, *, planted, controls=("rewired",), seeds=8):
    rng = np.random.default_rng(number)
    graph = drawn(rng)
    X, y = taught(graph if planted else dagnet.rewired(graph, 10_000 + number), rng)
    found = dagnet.compare_wirings(
        graph, X, y, controls=controls, seeds=seeds, seed=number, inputs=INPUTS, **SHAPE
    )
    return found.columns["p"]


def test_a_planted_wiring_is_found_and_another_teachers_is_not():
    assert all((p_values(k, planted=True) <= 0.05).all() for k in range(3))
    assert sum((p_values(k, planted=False) <= 0.05).any() for k in range(3)) <= 1


@pytest.mark.slow
def test_power_and_false_positives():
    planted = [p_values(k, planted=True, seeds=20) for k in range(40)]
    random = [p_values(k, planted=False, seeds=20) for k in range(100)]
    assert np.mean(np.array(planted) <= 0.05) >= 0.9
    assert np.sum(np.array(random) <= 0.05) <= 9  # 5 % of 100: more than 9 have probability 0.028


def test_what_is_compared_and_shown():
    rng = np.random.default_rng(0)
    graph = drawn(rng)
    X, y = taught(graph, rng)
    arguments = {"inputs": INPUTS, "seeds": 3, "epochs": 3, "batch_size": 64}
    found = dagnet.compare_wirings(graph, X, y, threads=1, **arguments)
    again = dagnet.compare_wirings(graph, X, y, threads=3, **arguments)
    assert np.array_equal(found.losses, again.losses)
    assert found.losses.shape == (3, 5, 4)
    frame = found.to_frame()
    assert list(frame.index) == ["rewired", "random", "direct"]
    assert list(frame.columns) == ["loss", "difference", "low", "high", "p"]
    assert (frame.low <= frame.difference).all()
    assert (frame.difference <= frame.high).all()
    assert (((frame.low > 0) | (frame.high < 0)) == (frame.p < 0.05)).all()
    assert len(str(found).splitlines()) < 12
    assert "rewired" in str(found)
    assert "<table" in found._repr_html_()


def test_losses_are_those_of_networks_trained_by_hand():
    rng = np.random.default_rng(1)
    graph = drawn(rng)
    X, y = taught(graph, rng)
    found = dagnet.compare_wirings(
        graph, X, y, controls=["rewired"], inputs=INPUTS, seeds=2, seed=5, epochs=3
    )
    order = np.random.default_rng(5).permutation(len(X))
    for fold, held in enumerate(np.array_split(order, 5)):
        rest = np.setdiff1d(order, held)
        for place, wiring in enumerate((graph, dagnet.rewired(graph, 6))):
            net = dagnet.Network(wiring, inputs=INPUTS, seed=6, threads=1)
            net.fit(X[rest], y[rest], epochs=3, seed=6)
            assert found.losses[1, fold, place] == pytest.approx(net.evaluate(X[held], y[held]), rel=1e-12)


def test_given_start_weights_are_drawn_anew_and_tables_align():
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(2)
    graph = drawn(rng)
    X, y = taught(graph, rng)
    net = dagnet.Network(graph, inputs=INPUTS, seed=1)
    net.fit(X, y, epochs=2)
    arguments = {"inputs": INPUTS, "controls": ["direct"], "seeds": 2, "epochs": 2, "standardize": True}
    one = dagnet.compare_wirings(graph, X, y, **arguments)
    trained = net.to_networkx()
    for node in trained:
        trained.nodes[node].pop("bias", None)
    other = dagnet.compare_wirings(
        trained, pandas.DataFrame(X, columns=INPUTS), pandas.DataFrame({"y": y}), **arguments
    )
    assert np.allclose(one.losses, other.losses, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"seeds": 1}, "seeds must be a whole number of 2 or more, got 1"),
        ({"controls": "direct"}, "controls must be a list of words"),
        ({"controls": ["directly"]}, "controls must be 'rewired' or 'random' or 'direct'"),
        ({"epoch": 3}, "epoch is no argument of Network or fit.*; did you mean 'epochs'"),
        ({"validation_data": 3}, "validation_data is no argument"),
        ({"epochs": 0}, "epochs must be a whole number of 1 or more"),
        ({"X": np.zeros((9, 12)), "y": np.arange(9.0)}, "X must be of 10 rows or more"),
        ({"X": np.zeros((20, 12)), "y": np.ones(20)}, "y must be of more than one value, got the same in"),
        ({"X": np.full((20, 12), np.nan), "y": np.arange(20.0)}, "must be finite, got nan"),
    ],
)
def test_bad_input(change, text):
    graph = drawn(np.random.default_rng(0))
    given = {"X": np.ones((20, 12)), "y": np.arange(20.0), "seeds": 2, "epochs": 1, **change}
    with pytest.raises(DataError, match=text):
        dagnet.compare_wirings(graph, given.pop("X"), given.pop("y"), inputs=INPUTS, **given)


def test_students_distribution_is_scipys():
    stats = pytest.importorskip("scipy.stats")
    for freedom in (1, 2, 3, 9, 19, 99):
        t, share = student(freedom)
        for x in (0.1, 1.0, 2.5, 8.0):
            assert np.interp(x, t, share) == pytest.approx(1 - 2 * stats.t.sf(x, freedom), abs=1e-6)


def case(rows=30):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 4))
    edges = [("x1", "h1"), ("x2", "h1"), ("x3", "h2"), ("x4", "h2"), ("h1", "y"), ("h2", "y")]
    return nx.DiGraph(edges), X, X[:, 0] * X[:, 1] + rng.normal(size=rows)


def test_folds_are_of_rows_that_have_a_label_and_a_weight():
    graph, X, y = case()
    held = np.random.default_rng(0).permutation(30)[:6]
    y[held] = np.nan
    arguments = {"seeds": 2, "epochs": 2, "activation": "tanh", "controls": ["direct"]}
    found = dagnet.compare_wirings(graph, X, y, missing="skip", **arguments)
    assert (found.losses > 0).all()
    there = np.setdiff1d(np.arange(30), held)
    weights = np.isin(np.arange(30), there).astype(float)
    weighed = dagnet.compare_wirings(graph, X, np.nan_to_num(y), sample_weight=weights, **arguments)
    np.testing.assert_allclose(weighed.losses, found.losses, rtol=1e-9)
    y[6:] = np.nan
    with pytest.raises(dagnet.DataError, match="with a label and a weight"):
        dagnet.compare_wirings(graph, X, y, missing="skip", **arguments)


def test_all_wirings_begin_anew_whatever_the_graph_has_learned():
    graph, X, y = case()
    trained = dagnet.Network(graph, activation="tanh", seed=0)
    trained.fit(X, y, epochs=20, learning_rate=0.1)
    arguments = {"seeds": 2, "epochs": 1, "activation": "tanh", "controls": ["direct"]}
    wanted = dagnet.compare_wirings(graph, X, y, **arguments).losses
    drawn = trained.to_networkx()
    drawn.graph.clear()
    np.testing.assert_array_equal(dagnet.compare_wirings(drawn, X, y, **arguments).losses, wanted)
    named = graph.copy()
    for edge, weight in trained.weights.items():
        named.edges[edge]["w"] = float(weight)
    np.testing.assert_array_equal(dagnet.compare_wirings(named, X, y, weight="w", **arguments).losses, wanted)
    for word in ("weights", "state"):
        with pytest.raises(dagnet.DataError, match=f"{word} is no argument"):
            dagnet.compare_wirings(graph, X, y, **{word: trained}, **arguments)


def test_callbacks_given_once_serve_every_fit():
    graph, X, y = case()

    def losses(callbacks):
        arguments = {"seeds": 2, "epochs": 6, "controls": ["direct"], "activation": "tanh"}
        return dagnet.compare_wirings(graph, X, y, callbacks=callbacks, **arguments).losses

    stop = dagnet.EarlyStopping(patience=1, min_delta=10.0)
    np.testing.assert_array_equal(losses(iter([stop])), losses([stop]))
    with pytest.raises(dagnet.DataError, match="callbacks"):
        losses(5)


def test_frozen_weights_stay_however_the_flag_is_written():
    graph, _, _ = case()
    nx.set_edge_attributes(graph, 1.5, "weight")
    nx.set_edge_attributes(graph, np.False_, "trainable")
    assert {said["weight"] for *_, said in dagnet.rewired(graph, 0).edges(data=True)} == {1.5}


@pytest.mark.parametrize("controls", [None, [], ["direct", "direct"], "direct"])
def test_controls_are_words_each_once(controls):
    graph, X, y = case()
    with pytest.raises(dagnet.DataError, match="controls"):
        dagnet.compare_wirings(graph, X, y, controls=controls)
