"""A population's parts are trained as each would be alone, end by themselves, and come back as networks."""

import networkx as nx
import numpy as np
import pytest

import dagnet

X = np.random.default_rng(0).normal(size=(24, 2))
Y = np.sin(X[:, 0]) + X[:, 1]


def genome(seed, activation="tanh", **edge):
    rng = np.random.default_rng(seed)
    graph = nx.DiGraph()
    graph.add_node("h", activation=activation, bias=float(rng.normal()))
    graph.add_node("y", activation="identity", bias=float(rng.normal()))
    for ends in (("a", "h"), ("b", "h"), ("h", "y"), ("a", "y")):
        graph.add_edge(*ends, weight=0.3 if edge else float(rng.normal()), **edge)
    return graph


def parts():
    wide = dagnet.Network(dagnet.layered([2, 3, 1], activation="sigmoid"), seed=1).to_networkx()
    wide = nx.relabel_nodes(wide, {"x1": "a", "x2": "b"})
    wide.graph["dagnet"] = {**wide.graph["dagnet"], "inputs": ["a", "b"]}
    learning = genome(3, "prelu")
    learning.nodes["h"].update(normalization="batch", dropout=0.0)
    constant = genome(4)
    constant.add_edge("one", "h", weight=0.5)
    constant.nodes["one"]["bias"] = 1.0
    constant.graph["dagnet"] = {"inputs": ["b", "a"], "outputs": ["y"]}
    return {"small": genome(1), 2: genome(2, "softplus", share="k"), "learns": learning, "constant": constant}


@pytest.mark.parametrize("optimizer", ["adam", "sgd(momentum=0.9)"])
@pytest.mark.parametrize("engine", ["compiled", "reference"])
def test_each_is_trained_as_it_would_be_alone(optimizer, engine):
    arguments = {"epochs": 6, "batch_size": 8, "optimizer": optimizer, "shuffle": False, "l2": 1e-3}
    graphs = parts()
    population = dagnet.Population(graphs, engine=engine)
    histories = population.fit(X, Y, validation_data=(X[:5], Y[:5]), **arguments)
    for name, graph in graphs.items():
        alone = dagnet.Network(graph, engine=engine)
        columns = [list(population.inputs).index(node) for node in alone.inputs]
        history = alone.fit(X[:, columns], Y, validation_data=(X[:5, columns], Y[:5]), **arguments)
        assert histories[name]["validation_loss"] == pytest.approx(history["validation_loss"], rel=1e-9)
        back = population[name]
        assert back.inputs == tuple(node for node in population.inputs if node in back.inputs)
        assert dict(back.weights) == pytest.approx(dict(alone.weights), rel=1e-9)
        rows = {node: X[:, list(population.inputs).index(node)] for node in back.inputs}
        np.testing.assert_allclose(back(rows), population(X)[name], rtol=1e-12)
        np.testing.assert_allclose(alone(rows), population(X)[name], rtol=1e-9)
        assert population.evaluate(X, Y)[name] == pytest.approx(alone.evaluate(rows, Y), rel=1e-9)


def test_a_part_that_stops_stays_while_the_others_learn_on():
    population = dagnet.Population({"good": genome(1), "done": genome(2)}, seed=0)
    targets = {"good": Y, "done": population(X)["done"]}  # it is there already: each step makes it worse
    arguments = {"learning_rate": 0.05, "seed": 0, "batch_size": 8}
    histories = population.fit(X, targets, epochs=40, patience=3, min_delta=1e-12, **arguments)
    assert histories["done"].epochs < histories["good"].epochs
    assert histories["good"]["loss"][-1] < histories["good"]["loss"][0]
    assert histories["done"].epochs == 4
    assert dict(population["done"].weights) == dict(dagnet.Network(genome(2)).weights)


def test_the_best_of_each_comes_back():
    population = dagnet.Population([genome(k) for k in range(4)], seed=0)
    data = X[:10], Y[:10]
    histories = population.fit(
        X, Y, validation_data=data, epochs=60, patience=4, optimizer="sgd", learning_rate=0.2, seed=1
    )
    now = population.evaluate(*data)
    for name, history in histories.items():
        assert now[name] == pytest.approx(min(history["validation_loss"]), rel=1e-12)


def test_classes_words_and_several_outputs():
    graph = dagnet.layered([2, 4, 3], activation="tanh")
    ends = [node for node in graph if not graph.out_degree(node)]
    graph = nx.relabel_nodes(graph, dict(zip(ends, ("setosa", "virginica", "versicolor"), strict=True)))
    population = dagnet.Population({"p": graph, "q": graph}, loss="cross_entropy", seed=0)
    labels = np.array(["setosa", "versicolor", "virginica"] * 8)
    histories = population.fit(X, labels, epochs=3)
    places = np.array([list(population.outputs["p"]).index(word) for word in labels])
    assert population.evaluate(X, labels) == population.evaluate(X, places)
    assert histories["p"].epochs == 3
    np.testing.assert_allclose(population.predict(X)["q"].sum(axis=1), 1)
    alone = dagnet.Network(population.graphs()["q"])
    assert alone.evaluate(X, labels) == pytest.approx(population.evaluate(X, labels)["q"], rel=1e-12)


def test_each_may_have_a_loss_of_its_own():
    population = dagnet.Population({"p": genome(1), "q": genome(2)}, loss={"q": "huber"})
    found = population.evaluate(X, Y)
    assert found["p"] == pytest.approx(dagnet.Network(genome(1)).evaluate(X, Y))
    assert found["q"] == pytest.approx(dagnet.Network(genome(2), loss="huber").evaluate(X, Y))
    assert population["q"].loss.name == "huber"


CYCLE = nx.DiGraph([("a", "y"), ("y", "z"), ("z", "y")])
HEADS = genome(1)
HEADS.nodes["y"]["loss"] = "huber"
SCALED = genome(1)
SCALED.nodes["a"]["center"] = 3.0


@pytest.mark.parametrize(
    ("graphs", "arguments", "message"),
    [
        ({}, {}, "graphs: there must be at least one"),
        ({"p": nx.DiGraph()}, {}, "part 'p': the graph is empty"),
        ({"p": genome(1), "q": CYCLE}, {"outputs": ["y"]}, "cycle"),
        ({"p": HEADS}, {}, "part 'p': node .* says loss"),
        ({"p": genome(1), "q": SCALED}, {}, "part 'q': input 'a' has other attributes"),
        ({"p": genome(1)}, {"loss": {"r": "huber"}}, "loss: there is no part 'r'"),
        ({"p": genome(1)}, {"outputs": ["nobody"]}, "nobody"),
        ({"p": genome(1)}, {"inputs": ["a", "b", "y"]}, "'y' is an input and an output"),
    ],
)
def test_what_will_not_do_is_refused_by_the_parts_name(graphs, arguments, message):
    with pytest.raises(dagnet.DagnetError, match=message):
        dagnet.Population(graphs, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clip_norm": 1.0}, "clip_norm"),
        ({"optimizer": "lbfgs"}, "lbfgs"),
        ({"patience": 0}, "patience"),
        ({"metrics": ["r2"]}, "metrics"),
        ({"missing": "skip"}, "missing"),
        ({"y": {"p": Y}}, "nothing for part 'q'"),
    ],
)
def test_what_joins_the_parts_is_refused_and_changes_nothing(arguments, message):
    population = dagnet.Population({"p": genome(1), "q": genome(2)})
    before = population.net.parameters.copy()
    with pytest.raises(dagnet.DataError, match=message):
        population.fit(X, **{"y": Y, "epochs": 2, **arguments})
    assert (population.net.parameters == before).all()
    with pytest.raises(KeyError, match="no part 'nobody'"):
        population["nobody"]


def test_a_table_of_targets_is_read_by_the_outputs_names():
    graph = nx.DiGraph([("x", "p"), ("x", "q")])
    x = np.linspace(-1, 1, 20)
    table = {"q": 5 * x, "p": -5 * x}
    population = dagnet.Population({"a": graph, "b": graph}, seed=0)
    alone = dagnet.Network(population.graphs()["a"])
    wanted = alone.evaluate(x[:, None], table)
    for y in (table, {"a": table, "b": table}, np.column_stack([table["p"], table["q"]])):
        assert population.evaluate(x[:, None], y)["a"] == pytest.approx(wanted, rel=1e-12)


def test_a_population_of_one_takes_labels():
    population = dagnet.Population({"a": dagnet.layered([2, 3, 3])}, loss="cross_entropy")
    assert population.fit(X, np.arange(24) % 3, epochs=1)["a"].epochs == 1


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ({"p": Y, "q": Y[:-1]}, "part 'q' must be of 24 rows"),
        ({"p": Y, "q": Y, "r": Y}, "no part 'r'"),
        ({"other": Y}, "no column 'y'"),
    ],
)
def test_targets_that_do_not_fit_are_refused_by_the_parts_name(y, message):
    population = dagnet.Population({"p": genome(1), "q": genome(2)})
    with pytest.raises(dagnet.DataError, match=message):
        population.fit(X, y, epochs=1)
