"""Networks that begin with another one's numbers, prune, compare, and what optimizers remember by name."""

import pickle
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from data.strategies import dags, network, seeds
from hypothesis import given, settings

import dagnet
from dagnet import DataError, GraphError

ENGINES = ("compiled", "reference")


def everything(engine="reference", dtype="float64", seed=0):
    """Every kind of node and edge: units, aggregations, normalisations, what learns, shares and factors."""
    graph = nx.DiGraph()
    graph.add_node("x1", center=0.5, scale=2.0)
    graph.add_node("x2", units=2)
    graph.add_node("c", categories=["low", "mid", "high"])
    graph.add_node("b", activation="prelu", normalization="batch")
    graph.add_node("b2", activation="tanh", normalization="batch(before_activation=True)", dropout=0.1)
    graph.add_node("l", activation="swish", normalization="layer", units=3)
    graph.add_node("m", activation="tanh", aggregation="mean")
    graph.add_node("p", activation="sigmoid", aggregation="product")
    graph.add_node("q", activation="tanh", aggregation="max")
    graph.add_node("s1", activation="tanh", share="s")
    graph.add_node("s2", activation="tanh", share="s")
    graph.add_node("k", bias=0.25, activation="tanh")
    graph.add_node("y1")
    graph.add_node("y2", units=2, bias=False)
    graph.add_edges_from([("x1", "b"), ("x2", "b"), ("c", "b"), ("x2", "b2"), ("x1", "b2"), ("x1", "l")])
    graph.add_edges_from(
        [("x2", "l"), ("x1", "m"), ("b", "m"), ("x1", "p"), ("b2", "p"), ("b", "q"), ("x1", "q")]
    )
    graph.add_edges_from([("b", "s1"), ("b2", "s2")], share="e", factor=3.0)
    graph.add_edges_from([("l", "s1"), ("l", "s2"), ("m", "y1"), ("p", "y1"), ("q", "y1"), ("k", "y1")])
    graph.add_edge("s1", "y1", bounds=(0.1, 2.0), weight=0.5)
    graph.add_edge("s2", "y1", trainable=False)
    graph.add_edges_from([("s2", "y2"), ("l", "y2"), ("b", "y2")])
    inputs = ["x1", "x2", "c"]
    return dagnet.Network(graph, inputs=inputs, engine=engine, dtype=dtype, seed=seed, threads=1)


def rows(n=40, seed=1):
    rng = np.random.default_rng(seed)
    table = {
        "x1": rng.normal(size=n),
        "x2": rng.normal(size=(n, 2)),
        "c": rng.choice(["low", "mid", "high"], n),
    }
    return table, rng.normal(size=(n, 3))


def trained(**words):
    net = everything(**words)
    net.fit(*rows(), epochs=3, seed=0, standardize=True)
    return net


def bare(net):
    """The graph without any number that was learned, as it was before training."""
    graph = net.to_networkx()
    for _, words in graph.nodes(data=True):
        for word in ("bias", "slope", "beta", "shift", "scale", "mean", "variance", "center"):
            if words.get(word) is not False:
                words.pop(word, None)
    for *_, words in graph.edges(data=True):
        del words["weight"]
    return graph


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_what_both_have_keeps_its_numbers(engine, dtype):
    net = trained(engine=engine, dtype=dtype)
    again = dagnet.Network(bare(net), weights=net, engine=engine, seed=5)
    np.testing.assert_allclose(again.vector, net.vector, rtol=4e-16 if dtype == "float64" else 0)
    np.testing.assert_array_equal(again.topology.center, net.topology.center)
    np.testing.assert_array_equal(again.topology.scale, net.topology.scale)
    X, _ = rows()
    np.testing.assert_allclose(again(X), net(X), rtol=1e-12 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_new_edges_and_nodes_change_nothing_until_trained(engine):
    net, (X, y) = trained(engine=engine), rows()
    graph = bare(net)
    new = [("x1", "s1"), ("b", "b2"), ("x2", "y2"), ("l", "y1"), ("k", "s2")]
    graph.add_edges_from(new)
    graph.add_node("n", units=2, activation="relu")
    graph.add_edges_from([("x1", "n"), ("n", "y2")])
    grown = dagnet.Network(graph, weights=net, engine=engine, seed=2)
    np.testing.assert_allclose(grown(X), net(X), rtol=0, atol=1e-12)
    assert all(not np.any(grown.weights[edge]) for edge in [*new, ("n", "y2")])
    assert np.all(grown.weights["x1", "n"])
    grown.fit(X, y, epochs=2, seed=0)
    assert all(np.any(grown.weights[edge]) for edge in new)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "edge", [("x1", "b"), ("x2", "l"), ("b2", "p"), ("b", "q"), ("x1", "m"), ("l", "y2")]
)
def test_a_node_amid_an_edge_keeps_its_function(engine, edge):
    net, (X, _) = trained(engine=engine), rows()
    graph, units = bare(net), net.to_networkx().nodes[edge[0]].get("units", 1)
    graph.remove_edge(*edge)
    graph.add_node("n", units=units)
    nx.add_path(graph, [edge[0], "n", edge[1]])
    split = dagnet.Network(graph, weights=net, engine=engine)
    np.testing.assert_allclose(split(X), net(X), rtol=0, atol=1e-12)
    np.testing.assert_allclose(split.weights["n", edge[1]], net.weights[edge], rtol=1e-15)
    assert (
        str(split.topology.activations[split.topology.activation_of[split.topology.index["n"]]]) == "identity"
    )


def test_what_the_graph_says_wins():
    net = trained()
    graph = bare(net)
    graph.edges["m", "y1"]["weight"] = 9.0
    graph.nodes["m"]["bias"] = 0.75
    graph.nodes["x1"].update(center=3.0)
    again = dagnet.Network(graph, weights=net)
    assert again.weights["m", "y1"] == 9.0
    assert again.biases["m"] == 0.75
    assert again.topology.center[0] == 3.0
    assert again.weights["p", "y1"] == net.weights["p", "y1"]
    nx.set_edge_attributes(graph, 1.5, "w")
    other = dagnet.Network(graph, weights=net, weight=None)
    assert other.weights["m", "y1"] == net.weights["m", "y1"]
    graph.nodes["p"]["b0"] = 0.5
    renamed = dagnet.Network(graph, weights=net, attributes={"bias": "b0"})
    assert renamed.biases["p"] == 0.5
    assert dagnet.Network(graph, weights=net, attributes={"weight": "w"}).weights["p", "y1"] == 1.5
    graph.edges["p", "y1"].pop("w")
    for words in ({"attributes": {"weight": "w"}}, {"weight": "w"}):
        again = dagnet.Network(graph, weights=net, **words)
        assert again.weights["p", "y1"] == net.weights["p", "y1"]
        assert again.weights["q", "y1"] == 1.5
    with pytest.raises(DataError, match="say weight=None"):
        dagnet.Network(graph, weights=net, attributes={"weight": None})
    unread = dagnet.Network(graph, weights=net, weight=None, attributes={"center": None})
    assert unread.topology.center[0] == 0.0
    assert set(unread.to_networkx().nodes["x1"]) == {"center", "scale"}


def refused(change, *, error=GraphError, net=None):
    net = net or trained()
    graph = bare(net)
    change(graph)
    before = nx.to_dict_of_dicts(graph), dict(graph.nodes(data=True))
    with pytest.raises(error) as caught:
        dagnet.Network(graph, weights=net)
    assert (nx.to_dict_of_dicts(graph), dict(graph.nodes(data=True))) == before
    return str(caught.value)


def test_refusals_by_name():
    for node, word in (("p", "product"), ("q", "max"), ("m", "mean")):
        text = refused(lambda graph, node=node: graph.add_edge("k", node))
        assert f"edge 'k' → '{node}': weight must be given" in text
        assert word in text
    net, X = trained(), rows()[0]
    graph = bare(net)
    graph.add_edge("k", "p", weight=1.0)
    assert not np.allclose(dagnet.Network(graph, weights=net)(X), net(X))
    text = refused(lambda graph: graph.nodes["l"].update(units=2))
    assert "node 'l': units must be 3, as in the network that is taken over, got 2" in text
    text = refused(lambda graph: graph.add_edge("x1", "y1", bounds=(0.2, 1.0)))
    assert "'x1' → 'y1'" in text
    assert "from 0.2 to 1" in text
    text = refused(lambda graph: graph.edges["m", "y1"].update(bounds=(50, 60)))
    assert "'m' → 'y1'" in text
    text = refused(lambda graph: graph.add_edge("x1", "y1", share="e"))
    assert "shares key 'e'" in text
    text = refused(
        lambda graph: [graph.edges["m", "y1"].update(share="t"), graph.edges["p", "y1"].update(share="t")]
    )
    assert "shares key 't'" in text

    def split(graph, words, weights=(None, None)):
        graph.remove_edge("x1", "b")
        graph.add_node("n", **words)
        graph.add_edge("x1", "n", weight=weights[0])
        graph.add_edge("n", "b", weight=weights[1])

    for words in (
        {"activation": "relu"},
        {"bias": 1.0},
        {"units": 2},
        {"activation": "identity", "normalization": "batch"},
    ):
        text = refused(lambda graph, words=words: split(graph, words))
        assert "node 'n', which splits 'x1' → 'b', must be an identity of units=1 without a bias" in text
    refused(lambda graph: split(graph, {}, (1.0, None)))
    graph = bare(net)
    split(graph, {})
    with pytest.raises(GraphError, match="must be an identity"):
        dagnet.Network(graph, weights=net, attributes={"activation": None})
    graph = bare(net)
    split(graph, {"activation": "relu"}, (1.0, 2.0))
    assert dagnet.Network(graph, weights=net).weights["n", "b"] == 2.0
    for wrong in ([0.5], "net", 3):
        with pytest.raises(DataError, match="weights must be a network"):
            dagnet.Network(graph, weights=wrong)
    graph.add_edge("b", "n", weight=1.0)
    with pytest.raises(dagnet.CycleError):
        dagnet.Network(graph, weights=net)


def test_roles_may_change():
    net = trained()
    graph = bare(net)
    graph.remove_edges_from([*graph.in_edges("b2")])
    constant = dagnet.Network(graph, weights=net)
    assert "b2" not in constant.inputs
    assert constant.biases["b2"] == net.biases["b2"]
    graph = nx.DiGraph([("a", "h"), ("h", "y")])
    small = dagnet.Network(graph, seed=0)
    small.biases["h"] = 0.5
    as_input = dagnet.Network(nx.DiGraph([("h", "y")]), weights=small)
    assert as_input.inputs == ("h",)
    assert as_input.weights["h", "y"] == small.weights["h", "y"]
    hidden = dagnet.Network(
        nx.DiGraph([("z", "a"), ("a", "h"), ("h", "y")]), weights=small, inputs=iter(["z"])
    )
    assert hidden.weights["z", "a"] == 0.0


def masked(net, edges):
    """Holds edges at 0."""

    class Masked(dagnet.Callback):
        def on_training_begin(self, run):
            net.weights.update(dict.fromkeys(edges, 0.0))

        def on_batch_end(self, run):
            net.weights.update(dict.fromkeys(edges, 0.0))

    return Masked()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("optimizer", ["adam", "sgd(momentum=0.9)", "rmsprop", "adagrad", "adamw"])
def test_pruning_half_way_and_going_on_is_the_masked_run(engine, optimizer):
    graph = dagnet.layered([5, 9, 7, 2], activation="tanh")
    graph.add_edge("x1", "y1", share="k")
    graph.add_edge("x2", "y2", share="k", factor=-2.0)
    graph.edges["x1", "h11"]["trainable"] = False
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(70, 5)), rng.normal(size=(70, 2))
    first, second = (
        {"epochs": 4, "optimizer": optimizer, "seed": 1},
        {"epochs": 5, "optimizer": optimizer, "seed": 2},
    )
    net = dagnet.Network(graph, seed=0, engine=engine, threads=1)
    history = net.fit(X, y, **first)
    pruned, report = net.prune(fraction=0.5)
    gone = report.topology["edges only in the first"]
    whole, smaller = (
        pickle.loads(pickle.dumps(net)),
        dagnet.Network(pruned.to_networkx(), weights=net, engine=engine),
    )
    for each, state in ((pruned, net), (smaller, history), (whole, whole)):
        callbacks = [masked(whole, gone)] if each is whole else []
        each.fit(X, y, **second, state=state, callbacks=callbacks)
    for each in (pruned, smaller):
        for edge in each.edges:
            assert abs(each.weights[edge] - whole.weights[edge]) <= 1e-12
        for node, bias in each.biases.items():
            assert abs(bias - whole.biases[node]) <= 1e-12
    fresh = net.prune(fraction=0.5)[0]
    fresh.fit(X, y, **second)
    assert optimizer == "adagrad" or not np.allclose(fresh.parameters, pruned.parameters)


@pytest.mark.parametrize("engine", ENGINES)
def test_two_fits_are_one(engine):
    (X, y), both = rows(), {"shuffle": False, "batch_size": 10}
    for optimizer, more in (("adam", {}), ("lbfgs", {"batch_size": 40})):
        nets = [everything(engine=engine) for _ in range(2)]
        if more:  # no dropout
            nets = [dagnet.Network(dagnet.layered([4, 3, 1]), seed=0, engine=engine) for _ in range(2)]
            X, y = np.random.default_rng(0).normal(size=(40, 4)), np.arange(40.0)
        nets[0].fit(X, y, epochs=6, optimizer=optimizer, seed=0, **both | more)
        history = nets[1].fit(X, y, epochs=3, optimizer=optimizer, seed=0, **both | more)
        before = {name: vector.copy() for name, vector in history.state.vectors.items()}
        nets[1].fit(X, y, epochs=3, optimizer=optimizer, seed=0, state=history, **both | more)
        np.testing.assert_array_equal(nets[0].vector, nets[1].vector)
        assert all((history.state.vectors[name] == vector).all() for name, vector in before.items())


def test_states_that_will_not_do():
    graph, (X, y) = (
        dagnet.layered([2, 3, 1]),
        (np.random.default_rng(0).normal(size=(20, 2)), np.arange(20.0)),
    )
    net = dagnet.Network(graph, seed=0)
    for wrong in (net, dagnet.Network(graph), dagnet.History(), {}, 3, "adam"):
        with pytest.raises(DataError, match="state must be what a fit that came to its end returned"):
            net.fit(X, y, epochs=1, state=wrong)
    history = net.fit(X, y, epochs=1, optimizer="lbfgs", batch_size=20)
    before = net.parameters.copy()
    for other in ("adam", "lbfgs(memory=3)"):
        with pytest.raises(DataError, match="state must be of optimizer"):
            net.fit(X, y, epochs=1, optimizer=other, batch_size=20, state=history)
    with pytest.raises(DataError, match="of the same parameters"):
        net.prune(keep=5)[0].fit(X, y, optimizer="lbfgs", batch_size=20, state=history)
    np.testing.assert_array_equal(net.parameters, before)
    assert net.history is history


@pytest.mark.filterwarnings("ignore:no input reaches output")
@pytest.mark.parametrize("engine", ENGINES)
def test_pruned_is_masked(engine):
    net, (X, _) = trained(engine=engine), rows()
    biggest = {edge: np.abs(net.weights[edge]).max() for edge in net.edges}
    together = [("b", "s1"), ("b2", "s2")]
    for edge in together:
        biggest[edge] = max(biggest[other] for other in together)
    for level in np.quantile([*biggest.values()], [0.2, 0.5, 0.8]):
        pruned, report = net.prune(threshold=float(level))
        gone = {edge for edge, size in biggest.items() if size < level}
        assert {*net.edges} - {*pruned.edges} == gone == {*report.topology["edges only in the first"]}
        assert pruned.inputs == net.inputs
        assert pruned.outputs == net.outputs
        assert pruned.nodes == net.nodes
        assert all(np.all(pruned.weights[edge] == net.weights[edge]) for edge in pruned.edges)
        assert dict(pruned.node_parameters).keys() == dict(net.node_parameters).keys()
        assert pruned.engine == net.engine
        assert pruned.topology.center.tolist() == net.topology.center.tolist()
        lost = [node for node in net.nodes if net.topology.parents.of(net.topology.index[node]).size]
        lost = [node for node in lost if not pruned.topology.parents.of(pruned.topology.index[node]).size]
        assert report.topology.get("nodes without parents only in the second", []) == lost
        summed = net.to_networkx()
        if all(summed.nodes[child].get("aggregation", "sum") == "sum" for _, child in gone):
            copy = pickle.loads(pickle.dumps(net))
            for edge in gone - {("s1", "y1")}:
                copy.weights[edge] = 0.0
            if ("s1", "y1") not in gone:
                np.testing.assert_allclose(pruned(X), copy(X), atol=1e-12)


@pytest.mark.filterwarnings("ignore:no input reaches output")
def test_how_many_go():
    net = dagnet.Network(dagnet.layered([3, 4, 2]), seed=0)  # 20 edges
    by_size = sorted(net.edges, key=lambda edge: abs(net.weights[edge]))
    for words, gone in (
        ({"fraction": 0.29}, 5),
        ({"fraction": 0.3}, 6),
        ({"keep": 13}, 7),
        ({"keep": 20}, 0),
    ):
        pruned, report = net.prune(**words)
        assert {*net.edges} - {*pruned.edges} == {*by_size[:gone]}
        assert len(report.topology.get("edges only in the first", [])) == gone
    empty, report = net.prune(fraction=1.0)
    assert not empty.edges
    assert empty([[1.0, 2.0, 3.0]]).shape == (1, 2)
    assert report.topology["nodes without children only in the second"] == [
        "x1",
        "x2",
        "x3",
        "h11",
        "h12",
        "h13",
        "h14",
    ]
    graph = dagnet.layered([3, 4, 2])
    nx.set_edge_attributes(graph, "k", "share")
    shared = dagnet.Network(graph, seed=0)
    assert len(shared.prune(keep=1)[0].edges) == 20
    assert not shared.prune(threshold=9.0)[0].edges
    for words in (
        {},
        {"keep": 3, "fraction": 0.5},
        {"fraction": 1.5},
        {"fraction": "a"},
        {"keep": 21},
        {"keep": 2.5},
        {"threshold": -1.0},
        {"threshold": float("nan")},
    ):
        with pytest.raises(DataError, match="prune"):
            net.prune(**words)


def test_compare():
    net, (X, _) = trained(), rows()
    same = dagnet.compare(net, pickle.loads(pickle.dumps(net)), X)
    assert not same.topology
    assert all(row[-1] == 0 for row in same.rows)
    assert "are the same" in str(same)
    graph = net.to_networkx()
    graph.remove_edge("m", "y1")
    graph.nodes["q"]["activation"] = "sigmoid"
    graph.add_edge("k", "y2", weight=[[0.5], [1.0]])
    graph.add_node("new", bias=1.0)
    other = dagnet.Network(graph)
    other.biases["p"] += 0.25
    found = dagnet.compare(net, other, X)
    assert found.topology == {
        "nodes only in the second": ["new"],
        "edges only in the first": [("m", "y1")],
        "edges only in the second": [("k", "y2")],
        "nodes without parents only in the second": ["new"],
        "nodes without children only in the second": ["m", "new"],
        "words only in the first": [("q", "activation", "tanh")],
        "words only in the second": [("q", "activation", "sigmoid"), ("new", "activation", "identity")],
    }
    frame = found.to_frame()
    assert isinstance(frame, pd.DataFrame)
    numbers = {
        tuple(row[:3]): dict(zip(frame.columns, row, strict=True)) for row in frame.itertuples(index=False)
    }
    assert numbers[("bias", "p", 0)]["difference"] == 0.25
    assert np.isnan(numbers[("weight", ("m", "y1"), 0)]["second"])
    assert numbers[("weight", ("k", "y2"), 1)]["second"] == 1.0
    values = np.abs(net.forward(X)["y2"] - other.forward(X)["y2"]).max(axis=0)
    assert numbers[("value", "y2", 1)]["difference"] == values[1]
    assert numbers[("value", "p", 0)]["first"] == pytest.approx(net.forward(X)["p"].mean())
    assert {"scale", "mean", "slope", "center"} <= {what for what, *_ in found.rows}
    text = str(found)
    assert max(map(len, text.splitlines())) <= 120
    assert len(text.splitlines()) <= 24
    assert "<table" in found._repr_html_()
    graph.graph["dagnet"]["loss"] = "absolute_error"
    said = dagnet.compare(net, dagnet.Network(graph)).topology
    assert ("graph", "loss", "squared_error") in said["words only in the first"]
    assert ("graph", "loss", "absolute_error") in said["words only in the second"]
    with pytest.raises(DataError, match="two networks"):
        dagnet.compare(net, graph)


def test_numbers_as_frames():
    net, (X, y) = trained(), rows()
    frame = net.weights.to_frame()
    assert list(frame.columns) == ["parent", "child", "unit", "parent_unit", "value"]
    assert len(frame) == net.topology.weight_starts[-1]
    row = frame[(frame.parent == "x2") & (frame.child == "l") & (frame.unit == 2) & (frame.parent_unit == 1)]
    assert row["value"].item() == net.weights["x2", "l"][2, 1]
    biases = net.biases.to_frame()
    assert list(biases.columns) == ["node", "unit", "value"]
    assert biases[(biases.node == "l") & (biases.unit == 1)]["value"].item() == net.biases["l"][1]
    assert list(net.node_parameters.to_frame().columns) == ["node", "name", "unit", "value"]
    small = dagnet.Network(dagnet.layered([2, 1]), seed=0)
    assert small.weights.to_frame().to_dict("list") == {
        "parent": ["x1", "x2"],
        "child": ["eta", "eta"],
        "value": list(small.weights.values()),
    }
    assert list(small.biases.to_frame()["value"]) == [0.0]
    assert list(small.node_parameters.to_frame()) == [
        "node",
        "name",
        "value",
    ]
    gradient = net.gradient(X, y, wrt=[("x1", "b")])
    assert gradient.weights.to_frame()["value"].tolist() == [gradient.weights["x1", "b"]]


@pytest.mark.parametrize("grow", ["random", "gradient"])
def test_edges_move_at_a_constant_number(grow, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "examples")
    import sparse

    class Watched(sparse.Rewiring):
        sets, counts = (), ()

        def on_epoch_end(self, run):
            before = self.alive.copy()
            super().on_epoch_end(run)
            self.sets = (*self.sets, frozenset(np.flatnonzero(self.alive).tolist()))
            come = self.alive & ~before
            assert come.sum() == (before & ~self.alive).sum()
            assert not run.model.parameters[self.places[come]].any()
            if grow == "gradient" and come.any():
                assert self.steepness[come].min() >= self.steepness[~self.alive & ~before].max()
            self.counts = (*self.counts, np.count_nonzero(self.alive))

    net = dagnet.Network(dagnet.layered([20, 16, 1], activation="tanh"), seed=0)
    watched = Watched(sparse.KEPT, grow)
    X, y = sparse.data(200, 0)
    net.fit(X, y, epochs=12, learning_rate=0.02, seed=0, callbacks=[watched])
    assert set(watched.counts) == {sparse.KEPT}
    assert len(set(watched.sets)) > 4
    pruned = net.prune(keep=sparse.KEPT)[0]
    assert len(pruned.edges) == sparse.KEPT
    np.testing.assert_allclose(pruned(X), net(X), atol=1e-12)


@pytest.mark.filterwarnings("ignore:no input reaches output", "ignore:sign of")
@settings(max_examples=30)
@given(dags(), seeds)
def test_any_graph_begins_with_the_numbers_of_its_like(graph, seed):
    net = network(graph, engine="reference", seed=seed)
    again = dagnet.Network(bare(net), weights=net, engine="reference", seed=seed + 1)
    np.testing.assert_allclose(again.vector, net.vector, rtol=1e-15)
    compared = dagnet.compare(net, again)
    assert not compared.topology
    assert all(row[-1] <= 1e-15 * abs(row[3]) for row in compared.rows)
    half = len(net.edges) // 2
    pruned, _ = net.prune(keep=half)
    assert half <= len(pruned.edges)
    assert pruned.nodes == net.nodes


def test_other_categories_are_refused_as_weights_belong_to_words():
    graph = nx.DiGraph([("c", "y"), ("x", "y")])
    graph.nodes["c"]["categories"] = ["a", "b", "c"]
    net, other = dagnet.Network(graph, seed=0), graph.copy()
    other.nodes["c"]["categories"] = ["c", "b", "a"]
    with pytest.raises(dagnet.GraphError, match="categories"):
        dagnet.Network(other, weights=net)
    rows = {"c": np.array(["a", "c"]), "x": np.zeros(2)}
    np.testing.assert_array_equal(dagnet.Network(graph, weights=net)(rows), net(rows))
