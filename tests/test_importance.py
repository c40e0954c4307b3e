"""Importance: statistics against an independent route, its two nulls, and what cannot be told apart."""

import networkx as nx
import numpy as np
import pytest

import dagnet
from dagnet.errors import DataError
from dagnet.explain.importance import chains, collinear, judged, twins

INPUTS = [f"x{j:02d}" for j in range(20)]
FIT = {"epochs": 20, "learning_rate": 0.02, "batch_size": 64}


def planted(seed, rows=150):
    """Ten nodes with two inputs each; y needs h0, h1, h2; ``twin`` has the parents and children of h0."""
    rng, graph = np.random.default_rng(seed), nx.DiGraph()
    for name, of in [*((f"h{k}", k) for k in range(10)), ("twin", 0)]:
        graph.add_node(name, activation="tanh")
        graph.add_edges_from([(INPUTS[2 * of], name), (INPUTS[2 * of + 1], name), (name, "y")])
    X = rng.normal(size=(rows, 20))
    w = rng.choice([-1, 1], (3, 2)) * rng.uniform(0.8, 1.4, (3, 2))
    y = sum(np.tanh(X[:, 2 * k : 2 * k + 2] @ w[k]) for k in range(3)) + 0.3 * rng.normal(size=rows)
    return graph, X, y


def asked(number, **arguments):
    graph, X, y = planted(number)
    given = {"inputs": INPUTS, "seeds": 3, "shuffles": 19, "seed": number, **FIT, **arguments}
    return dagnet.importance(graph, X, y, **given)


def named_rightly(number):
    found = asked(number, null="node", seeds=4, epochs=40)
    p = dict(zip(found.names, found.columns["p"], strict=True))
    assert found.twins == (("h0", "twin"),)
    assert "twins: h0, twin" in str(found)
    return all(p[name] <= 0.05 for name in ("h0", "h1", "h2")), sum(p[f"h{k}"] > 0.05 for k in range(3, 10))


def test_the_planted_nodes_are_named_and_no_decoy():
    three, decoys = named_rightly(0)
    assert three
    assert decoys >= 5


@pytest.mark.slow
def test_the_planted_nodes_are_named_over_twenty_repetitions():
    found = [named_rightly(number) for number in range(20)]
    assert all(three for three, _ in found)
    assert np.mean([decoys for _, decoys in found]) >= 6


@pytest.mark.slow
def test_on_shuffled_labels_false_positives_are_nominal():
    counts, repetitions = 0, 60
    for number in range(repetitions):
        graph, X, y = planted(number)
        y = np.random.default_rng(1000 + number).permutation(y)
        found = dagnet.importance(graph, X, y, inputs=INPUTS, seeds=1, shuffles=19, seed=number, **FIT)
        counts = counts + (found.columns["p"] <= 0.05)
    assert (counts <= 9).all()  # of 60 at 5 %: more have probability 0.001 a node
    assert counts.mean() / repetitions <= 0.08


def test_statistics_are_those_of_networks_trained_by_hand():
    graph, X, y = planted(1)
    groups = {"pathway": ["h1", "h2"]}
    found = dagnet.importance(
        graph, X, y, inputs=INPUTS, seeds=2, shuffles=2, seed=7, groups=groups, method="gradient*input", **FIT
    )

    def by_hand(number, labels):
        net = dagnet.Network(graph, inputs=INPUTS, seed=7 + number, threads=1)
        net.fit(X, labels, seed=7 + number, **FIT)
        said = net.attribute(X, method="gradient*input", groups=groups).mean_absolute()
        return np.array([said[name] for name in found.names]), said["pathway"]

    assert set(found.names) == {*INPUTS, *(f"h{k}" for k in range(10)), "twin"}
    own = [by_hand(number, y) for number in range(2)]
    assert np.allclose(found.by_seed, [nodes for nodes, _ in own], rtol=1e-9)
    assert found.groups.columns["mean"] == pytest.approx([np.mean([group for _, group in own])])
    order = np.random.default_rng([7, 2]).permutation(len(y))
    null = np.mean([by_hand(number, y[order])[0] for number in range(2)], axis=0)
    assert np.allclose(found.under_null[1], null, rtol=1e-9)


def test_the_number_of_threads_changes_no_bit():
    one, other = (asked(2, seeds=2, shuffles=3, threads=threads, epochs=3) for threads in (1, 3))
    assert np.array_equal(one.by_seed, other.by_seed)
    assert np.array_equal(one.under_null, other.under_null)


def test_a_node_without_inputs_of_its_own_is_not_said_to_do_more_than_others():
    graph, X, y = planted(3)
    graph.add_edges_from([(INPUTS[0], "h1"), (INPUTS[1], "h1")])  # all that h0 and its twin see
    found = dagnet.importance(graph, X, y, inputs=INPUTS, seeds=2, shuffles=9, null="node", **FIT)
    p = dict(zip(found.names, found.columns["p"], strict=True))
    assert p["h0"] == p["twin"] == 1.0
    assert p["h2"] == 0.1


def test_columns():
    own, null = np.array([[1.0, 4.0, 0.0], [3.0, 4.0, 0.0]]), np.array([[0.0, 5.0, 0.0], [1.0, 3.0, 0.0]])
    found = judged(own, null)
    assert found["mean"].tolist() == [2, 4, 0]
    assert found["p"] == pytest.approx([1 / 3, 2 / 3, 1])
    assert found["p_adjusted"] == pytest.approx([1, 1, 1])
    assert found["high"][0] == pytest.approx(2 + 12.7062, abs=1e-3)
    assert found["z"][:2] == pytest.approx([1.5 / np.sqrt(0.5), 0])
    assert np.isnan(found["z"][2])


def test_adjusted_and_rank_statistics_are_scipys():
    stats = pytest.importorskip("scipy.stats")
    found = asked(4, seeds=4, shuffles=4, epochs=2)
    assert found.columns["p_adjusted"] == pytest.approx(stats.false_discovery_control(found.columns["p"]))
    pairs = [stats.spearmanr(a, b)[0] for i, a in enumerate(found.by_seed) for b in found.by_seed[:i]]
    assert found.stability["spearman"] == pytest.approx(np.mean(pairs))
    m, n = found.by_seed.shape
    friedman = stats.friedmanchisquare(*found.by_seed.T)[0]
    assert found.stability["kendall"] == pytest.approx(friedman / (m * (n - 1)))
    depth = [0] * 20 + [1] * 11
    by_name = dict(zip(found.names, found.columns["mean"], strict=True))
    ordered = [by_name[name] for name in [*INPUTS, *(f"h{k}" for k in range(10)), "twin"]]
    assert found.stability["depth"] == pytest.approx(stats.spearmanr(ordered, depth)[0])


def test_what_is_shown():
    found = asked(5, seeds=2, shuffles=3, epochs=2, groups={"both": ["h1", "h2"]})
    frame = found.to_frame()
    assert frame.index.name == "node"
    assert list(frame.columns) == ["mean", "low", "high", "z", "p", "p_adjusted"]
    assert list(found.groups.to_frame().index) == ["both"]
    lines = str(found).splitlines()
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 110
    assert "both" in str(found)
    assert "<table" in found._repr_html_()
    assert "false discovery rate" in found.sentence
    assert "twins" in found.sentence
    assert repr(found) == "<Importance: deeplift, null: labels, 2 seeds, 3 shuffles>"


def test_twins_are_proved_by_all_attributes():
    graph = nx.DiGraph()
    for name in "abcdefg":
        graph.add_edges_from([("x", name), (name, "y")])
    graph.nodes["c"].update(activation="tanh")
    graph.nodes["d"].update(dropout=0.1)
    graph.edges["x", "e"].update(bounds=(0, None))
    graph.edges["f", "y"].update(trainable=False, weight=2.0)
    graph.edges["g", "y"].update(trainable=False, weight=3.0)
    graph.add_edges_from([("a", "z"), ("b", "z")])
    assert set(map(frozenset, twins(dagnet.Network(graph).topology))) == {frozenset("ab")}
    graph.edges["g", "y"]["weight"] = 2.0
    graph.edges["x", "a"]["weight"] = 0.3  # a start value: what learns can become the other's
    assert set(map(frozenset, twins(dagnet.Network(graph).topology))) == {frozenset("ab"), frozenset("fg")}


def test_chains_and_collinear_nodes():
    graph = nx.DiGraph([("x", "a"), ("a", "b"), ("b", "c"), ("c", "y"), ("x", "d"), ("d", "e"), ("d", "y")])
    graph.add_edge("e", "y")
    assert chains(dagnet.Network(graph).topology) == (("a", "b", "c"),)
    rng = np.random.default_rng(0)
    one, other = (rng.normal(size=(50, 3)) for _ in range(2))
    columns = [
        np.column_stack([a[:, 0], a[:, 1], -2 * a[:, 0] + 5, np.ones(50), np.ones(50), a[:, 2], b])
        for a, b in ((one, one[:, 1]), (other, other[:, 0]))
    ]
    assert [group.tolist() for group in collinear(columns)] == [[0, 2]]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"seeds": 0}, "seeds must be a whole number of 1 or more, got 0"),
        ({"shuffles": 0}, "shuffles must be a whole number of 1 or more, got 0"),
        ({"null": "rows"}, "null must be 'labels' or 'node', got 'rows'"),
        ({"y": np.ones(10)}, "y must be of more than one value, got the same in every row"),
        ({"y": [1.0, np.nan] * 5, "missing": "skip"}, "y must be of more than one value"),
        ({"groups": ["h11"]}, "groups must be a mapping from name to a list of nodes, got"),
        ({"groups": {"g": [("x1", "h11")]}}, "it is an edge: name one of its ends"),
        ({"groups": {"g": ["h13"]}, "null": "node"}, "groups: 'g': no node 'h13'"),
        ({"of": "h13"}, "of: no node 'h13'"),
        ({"of": ("x1", "h11")}, "it is an edge: name one of its ends"),
        ({"method": "lime"}, "no attribution is called 'lime'"),
        ({"learningrate": 1}, "learningrate is no argument.*; did you mean 'learning_rate'"),
        ({"resume": "x"}, "resume is no argument of Network or fit that many fits can have"),
        ({"seed": -1}, "seed must be"),
        ({"X": np.full((10, 2), np.inf)}, "must be finite"),
    ],
)
def test_bad_input(change, text):
    given = {"X": np.eye(10)[:, :2], "y": np.arange(10.0), "seeds": 1, "shuffles": 1, "epochs": 1, **change}
    with pytest.raises(DataError, match=text):
        dagnet.importance(dagnet.layered([2, 2, 1]), given.pop("X"), given.pop("y"), **given)


@pytest.mark.parametrize("engine", ["compiled", "reference"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("null", ["labels", "node"])
def test_every_kind_of_node_is_taken(engine, dtype, null):
    pandas = pytest.importorskip("pandas")
    graph = nx.DiGraph([("a", "h"), ("b", "h"), ("c", "k"), ("h", "m"), ("k", "m"), ("m", "y"), ("m", "z")])
    graph.nodes["a"].update(center=1.0, scale=2.0)
    graph.nodes["h"].update(units=3, normalization="batch", activation="prelu")
    graph.nodes["k"].update(aggregation="max", dropout=0.2, share="one")
    graph.nodes["m"].update(units=2, activation="tanh")
    graph.edges["c", "k"].update(factor=2.0, bounds=(0, None))
    graph.nodes["y"].update(loss="binary_cross_entropy_with_logits", activation="identity")
    rng = np.random.default_rng(0)
    X = pandas.DataFrame(rng.normal(size=(40, 3)), columns=list("cab"), index=[f"row{k}" for k in range(40)])
    y = pandas.DataFrame({"z": X["a"], "y": (X["b"] > 0) * 1.0}).iloc[::-1]
    given = {
        "seeds": 2,
        "shuffles": 2,
        "epochs": 2,
        "of": "y",
        "engine": engine,
        "dtype": dtype,
        "null": null,
    }
    found = dagnet.importance(graph, X, y, standardize=True, groups={"both": ["h", "k"]}, **given)
    assert set(found.names) == ({"h", "k", "m"} if null == "node" else {*"abchkm"})
    assert np.isfinite(found.by_seed).all()
    assert (found.columns["p"] >= 1 / 3).all()
