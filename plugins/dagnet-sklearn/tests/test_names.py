"""Columns, classes and nodes by name, whatever X comes as."""

import pickle

import networkx as nx
import numpy as np
import pandas as pd
import polars as pl
import pytest
from dagnet_sklearn import DAGClassifier, DAGRegressor
from scipy.sparse import csc_array, csr_matrix, lil_matrix
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import dagnet

SMALL = {"epochs": 30, "batch_size": 100, "learning_rate": 0.1, "random_state": 0}


def crossed():
    """Inputs in the order d, c, b, a."""
    graph = nx.DiGraph([("d", "P1"), ("c", "P1"), ("b", "P2"), ("a", "P2"), ("P1", "y"), ("P2", "y")])
    graph.add_nodes_from(["P1", "P2"], activation="tanh")
    return graph


@pytest.fixture
def frame():
    return pd.DataFrame(np.random.default_rng(0).normal(size=(200, 4)), columns=list("abcd"))


@pytest.fixture
def label(frame):
    return (frame["a"] > 0).to_numpy()


# -- arrays against named inputs -----------------------------------------------------------------


def test_an_array_is_refused_where_the_inputs_have_names(frame, label):
    pipeline = make_pipeline(StandardScaler(), DAGClassifier(crossed(), **SMALL))
    with pytest.raises(ValueError, match=r"set_output\(transform=\"pandas\"\).*columns=\['d', …\]"):
        pipeline.fit(frame, label)
    with pytest.raises(ValueError, match=r"Expected (2D|a 2-dim)"):
        DAGClassifier().fit(frame["a"], label)
    with pytest.raises(ValueError, match=r"got an array without names"):
        DAGRegressor(crossed()).partial_fit(frame.to_numpy(), frame["a"])
    with pytest.raises(ValueError, match=r"got an array without names"):
        DAGClassifier(crossed()).fit(pd.DataFrame(frame.to_numpy()), label)  # columns 0, 1, 2, 3


def test_both_mends_that_the_message_shows_take_inputs_by_name(frame, label):
    scaler = StandardScaler().set_output(transform="pandas")
    kept = make_pipeline(scaler, DAGClassifier(crossed(), **SMALL)).fit(frame, label)
    said = make_pipeline(StandardScaler(), DAGClassifier(crossed(), columns=list("abcd"), **SMALL))
    said.fit(frame, label)
    assert kept.score(frame, label) == said.score(frame, label) > 0.95
    np.testing.assert_array_equal(kept.predict_proba(frame), said.predict_proba(frame))
    weights = said[-1].network_.weights
    assert abs(weights["a", "P2"]) > 3 * abs(weights["d", "P1"])


def test_columns_may_be_more_and_must_be_as_many_as_the_arrays(frame, label):
    X = np.c_[np.full(200, np.nan), frame[["b", "a", "d", "c"]]]
    model = DAGClassifier(crossed(), columns=pd.Index(["spare", *"badc"]), **SMALL).fit(X, label)
    truth = DAGClassifier(crossed(), **SMALL).fit(frame, label)
    np.testing.assert_array_equal(model.predict_proba(X), truth.predict_proba(frame))
    np.testing.assert_array_equal(model.predict_proba(X), model.predict_proba(frame))
    assert model.n_features_in_ == 5
    texts = np.array(X, object)
    texts[:, 0] = "text"
    np.testing.assert_array_equal(model.predict(texts), model.predict(X))
    with pytest.raises(ValueError, match=r"a column for each of columns=…, 5, got 4"):
        model.predict(X[:, 1:])
    with pytest.raises(ValueError, match=r"no column for the graph's input 'd'.*did you mean 'D'"):
        DAGClassifier(crossed(), columns=list("abcD")).fit(frame.to_numpy(), label)


def test_an_array_after_a_frame_is_refused_until_columns_are_said(frame, label):
    model = DAGClassifier(crossed(), **SMALL).fit(frame, label)
    for method in (model.predict, model.predict_proba, model.decision_function, model.transform):
        with pytest.raises(ValueError, match="got an array without names"):
            method(frame.to_numpy())
    model.set_params(columns=list("abcd"))
    np.testing.assert_array_equal(model.predict(frame.to_numpy()), model.predict(frame))


def test_names_that_count_go_by_position(frame, label):
    X = frame.to_numpy()
    for nodes in (["x1", "x2", "x3", "x4"], ["0", "1", "2", "3"], [0, 1, 2, 3]):
        graph = nx.DiGraph([(node, "y") for node in nodes])
        assert DAGClassifier(graph, **SMALL).fit(X, label).score(X, label) > 0.95
    for nodes in (["x1", "x3", "x2", "x4"], ["x1", "x2", "x3", "z4"], ["2001", "2002", "2003", "2004"]):
        with pytest.raises(ValueError, match="got an array without names"):
            DAGClassifier(nx.DiGraph([(node, "y") for node in nodes])).fit(X, label)
    single = DAGClassifier(nx.DiGraph([("a", "y")]), **SMALL).fit(X[:, :1], label)
    assert single.score(X[:, :1], label) > 0.95


def test_an_array_after_a_frame_has_the_frames_columns_where_names_count(frame, label):
    graph = dagnet.layered([3, 1])
    X = frame.set_axis(["x3", "spare", "x1", "x2"], axis=1)
    model = DAGClassifier(graph, **SMALL).fit(X, label)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        predicted = model.decision_function(X.to_numpy())
    np.testing.assert_array_equal(predicted, model.decision_function(X))


def test_whole_numbers_name_the_columns_of_a_frame(frame, label):
    graph = nx.DiGraph([(3, "y"), (1, "y")])
    X = pd.DataFrame(frame.to_numpy())
    model = DAGClassifier(graph, **SMALL).fit(X, X[1] > 0)
    assert model.network_.weights[1, "y"] > 3 * abs(model.network_.weights[3, "y"])
    np.testing.assert_array_equal(model.predict(X[[1, 3]]), model.predict(X))


def test_the_default_graph_takes_names_from_columns_too(frame, label):
    model = DAGClassifier(columns=list("abcd"), **SMALL).fit(frame.to_numpy(), label)
    assert model.network_.inputs == ("a", "b", "c", "d")
    np.testing.assert_array_equal(model.predict(frame[list("dcba")]), model.predict(frame.to_numpy()))


def test_nodes_of_several_units_among_others_have_their_name_once_a_column(frame, label):
    graph = nx.DiGraph([("pair", "y"), ("c", "y"), ("a", "y")])
    graph.nodes["pair"]["units"] = 2
    with pytest.raises(ValueError, match="as many columns 'pair' as the input has units, 2, got 1"):
        DAGClassifier(graph).fit(frame.set_axis(["a", "pair", "c", "d"], axis=1), label)
    columns = ["a", "pair", "c", "pair"]
    model = DAGClassifier(graph, columns=columns, **SMALL).fit(frame.to_numpy(), label)
    assert model.score(frame.to_numpy(), label) > 0.95
    np.testing.assert_allclose(model.network_.topology.center, frame[["b", "d", "c", "a"]].mean())


# -- further columns -------------------------------------------------------------------------------


def to_polars(X):
    return pl.DataFrame({name: X[name].tolist() for name in X})


@pytest.mark.parametrize("convert", [lambda X: X, to_polars], ids=["pandas", "polars"])
def test_further_columns_do_no_harm_in_any_order(frame, label, convert):
    model = DAGClassifier(crossed(), **SMALL)
    truth = clone(model).fit(frame, label)
    date = pd.Timestamp("2020-01-01")
    spare = frame.assign(text="t", date=date, gap=np.nan, flag=True)
    model.fit(convert(spare), label)
    assert model.feature_names_in_.tolist() == list(spare.columns)
    assert model.n_features_in_ == 8
    for X in (spare, spare[spare.columns[::-1]], frame, frame[list("cadb")].assign(new="new")):
        np.testing.assert_array_equal(model.predict_proba(convert(X)), truth.predict_proba(frame))
        assert model.score(convert(X), label) == truth.score(frame, label)
    with pytest.raises(ValueError, match="no column for the graph's input 'd'"):
        model.predict(convert(frame[list("abc")]))
    model.partial_fit(convert(spare[spare.columns[::-1]]), label)


# -- classes ---------------------------------------------------------------------------------------


def kinds_of(outputs):
    return nx.DiGraph([(column, output) for output in outputs for column in "ab"])


def test_outputs_that_name_some_classes_only_are_refused(frame):
    kinds = np.resize(["control", "typeI", "typeII"], 200)
    with pytest.raises(ValueError, match=r"classes 'control' have no node; did you mean 'control'"):
        DAGClassifier(kinds_of(["typeII", "typeI", "controls"])).fit(frame, kinds)
    with pytest.raises(ValueError, match=r"'1', '2', '9', where the classes 0 have no node; rename"):
        DAGClassifier(kinds_of(["1", "2", "9"])).fit(frame, np.arange(200) % 3)
    none = DAGClassifier(kinds_of(["r", "q", "p"]), epochs=1).fit(frame, kinds)
    assert none.network_.outputs == ("r", "q", "p")


def test_outputs_name_classes_as_text_too(frame):
    model = DAGClassifier(kinds_of(["2", "0", "1"]), epochs=1).fit(frame, np.arange(200) % 3)
    assert model.network_.outputs == ("0", "1", "2")


def test_a_single_output_is_the_second_class(frame, label):
    kinds = np.where(label, "malignant", "benign")
    model = DAGClassifier(kinds_of(["malignant"]), **SMALL).fit(frame, kinds)
    assert model.network_.weights["a", "malignant"] > 0
    with pytest.raises(ValueError, match="the logit of the second; name it 'malignant'"):
        DAGClassifier(kinds_of(["benign"])).fit(frame, kinds)
    DAGClassifier(epochs=1).fit(frame, np.where(label, "z", "y"))  # the default output is called y


# -- shown -----------------------------------------------------------------------------------------


def test_the_graph_is_shown_by_its_size():
    model = DAGClassifier(crossed(), epochs=3)
    assert repr(model) == "DAGClassifier(epochs=3, graph=<DiGraph: 7 nodes, 6 edges>)"
    assert repr(DAGRegressor(crossed())) == "DAGRegressor(graph=<DiGraph: 7 nodes, 6 edges>)"
    assert repr(DAGClassifier()) == "DAGClassifier()"
    long = repr(DAGClassifier(crossed(), activation="tanh", optimizer="sgd(momentum=0.9)", epochs=9))
    assert long.splitlines()[1].startswith(" " * len("DAGClassifier("))
    html = model._repr_html_()
    assert "&lt;DiGraph: 7 nodes, 6 edges&gt;" in html
    assert "0x" not in html
    assert model.get_params()["graph"] is model.graph


# -- features --------------------------------------------------------------------------------------


def test_transform_gives_the_hidden_nodes_by_name(frame, label):
    graph = crossed()
    graph.nodes["P1"]["units"] = 2
    model = DAGClassifier(graph, **SMALL).fit(frame, label)
    values = model.network_.forward(frame)
    np.testing.assert_array_equal(model.transform(frame), np.c_[values["P1"], values["P2"]])
    assert model.get_feature_names_out().tolist() == ["P1[0]", "P1[1]", "P2"]
    table = model.set_output(transform="pandas").transform(frame.set_axis(range(5, 205)))
    assert table.columns.tolist() == ["P1[0]", "P1[1]", "P2"]
    assert table.index.tolist() == list(range(5, 205))
    again = pickle.loads(pickle.dumps(model)).set_output(transform="polars").transform(frame)
    assert again.columns == ["P1[0]", "P1[1]", "P2"]


def test_features_lists_the_nodes_to_give(frame, label):
    model = DAGClassifier(crossed(), features=["P2", "y", "a"], **SMALL).fit(frame, label)
    assert model.get_feature_names_out().tolist() == ["P2", "y", "a"]
    np.testing.assert_array_equal(model.transform(frame)[:, 1], model.decision_function(frame))
    with pytest.raises(ValueError, match="no node 'P22' in the graph; did you mean 'P2'"):
        DAGClassifier(crossed(), features=["P22"]).fit(frame, label)
    assert DAGClassifier(hidden=0, epochs=1).fit_transform(frame, label).shape == (200, 0)


def test_a_network_is_a_step_of_a_pipeline(frame, label):
    pipeline = make_pipeline(DAGRegressor(crossed(), **SMALL), LogisticRegression())
    assert pipeline.fit(frame, label.astype(float)).score(frame, label) > 0.9
    assert pipeline[:-1].get_feature_names_out().tolist() == ["P1", "P2"]


# -- sparse matrices -----------------------------------------------------------------------------


@pytest.mark.parametrize("graph", [None, dagnet.layered([70, 6, 1])])
@pytest.mark.parametrize("early_stopping", [True, False])
def test_sparse_matrices_give_the_network_of_dense_ones(graph, early_stopping):
    dense = np.random.default_rng(0).normal(1, 2, size=(900, 70))
    dense[np.random.default_rng(1).random(dense.shape) < 0.9] = 0
    y = dense[:, 0] + dense[:, 69]
    for kind in (csr_matrix, csc_array, lil_matrix):
        found = []
        for X in (dense, kind(dense)):
            model = DAGRegressor(graph, epochs=3, early_stopping=early_stopping, random_state=0).fit(X, y)
            model.partial_fit(X, y)
            found.append([model.network_.parameters, model.predict(X), model.transform(X), model.score(X, y)])
        for one, other in zip(*found, strict=True):
            np.testing.assert_array_equal(one, other)


def test_columns_of_sparse_matrices_are_standardised_in_groups(monkeypatch):
    dense = np.random.default_rng(0).normal(1, 2, size=(50, 200))
    found = [DAGClassifier(epochs=1, random_state=0).fit(dense, dense[:, 0] > 0).network_]
    monkeypatch.setattr("dagnet_sklearn.graphs.VALUES", 1)
    found += [DAGClassifier(epochs=1, random_state=0).fit(csr_matrix(dense), dense[:, 0] > 0).network_]
    np.testing.assert_array_equal(found[0].topology.center, found[1].topology.center)
    np.testing.assert_array_equal(found[0].topology.scale, found[1].topology.scale)


def test_columns_of_sparse_matrices_are_told_and_gaps_named(frame, label):
    told = DAGClassifier(crossed(), columns=list("abcd"), **SMALL)
    dense, sparse = (clone(told).fit(X, label) for X in (frame.to_numpy(), csr_matrix(frame.to_numpy())))
    np.testing.assert_array_equal(
        dense.predict_proba(frame.to_numpy()), sparse.predict_proba(csc_array(frame.to_numpy()))
    )
    with pytest.raises(ValueError, match=r"got an array without names"):
        DAGClassifier(crossed()).fit(csr_matrix(frame.to_numpy()), label)
    frame.iloc[7, 2] = np.nan
    with pytest.raises(ValueError, match=r"X: row 7, column 'c' must be a number, neither NaN nor inf"):
        clone(told).fit(csr_matrix(frame.to_numpy()), label)
