"""What pandas and polars bring along: labels of rows, kinds of columns, missing values."""

import networkx as nx
import numpy as np
import pandas as pd
import polars as pl
import pytest
from dagnet_sklearn import DAGClassifier, DAGRegressor

import dagnet

pytestmark = pytest.mark.filterwarnings("ignore:fit. the loss")  # of fits that are short on purpose
LINE = {"epochs": 20, "batch_size": 100, "random_state": 0}


def line():
    return nx.DiGraph([("a", "y"), ("b", "y")])


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    names = [f"patient {row}" for row in range(60)]
    return pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "b"], index=names)


def parameters(X, y, sample_weight=None, graph=None):
    return DAGRegressor(graph or line(), **LINE).fit(X, y, sample_weight).network_.parameters


# -- labels of rows --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [DAGClassifier, DAGRegressor])
def test_y_and_weights_in_another_order_go_by_their_labels(frame, kind):
    y = (frame["a"] > 0).astype(int)
    weight = frame["b"].abs()
    moved = frame.index[::-1]
    one, other, whole, parts = (kind(line(), **LINE) for _ in range(4))
    one.fit(frame, y, weight)
    other.fit(frame, y[moved], weight[moved])
    np.testing.assert_array_equal(one.network_.parameters, other.network_.parameters)
    assert one.score(frame, y, weight) == one.score(frame, y[moved], weight[moved])
    classes = {"classes": [0, 1]} if kind is DAGClassifier else {}
    whole.partial_fit(frame, y, **classes)
    parts.partial_fit(frame, y[moved], **classes)
    np.testing.assert_array_equal(whole.network_.parameters, parts.network_.parameters)


def test_frames_of_targets_and_weights_go_by_their_labels(frame):
    graph = nx.DiGraph([("a", "u"), ("b", "v"), ("a", "v")])
    targets = pd.DataFrame({"u": 2 * frame["a"], "v": frame["b"]})
    weight = frame[["b"]].abs()
    moved = frame.index[::-1]
    truth = parameters(frame, targets, weight["b"], graph)
    np.testing.assert_array_equal(parameters(frame, targets.loc[moved], weight.loc[moved], graph), truth)
    by_polars = pl.DataFrame({"w": weight["b"].to_numpy()})
    np.testing.assert_array_equal(parameters(frame, targets, by_polars, graph), truth)
    with pytest.raises(ValueError, match="1D"):
        parameters(frame, targets, frame.abs(), graph)


def test_other_labels_are_refused(frame):
    y = frame["a"].copy()
    with pytest.raises(ValueError, match=r"y: its index must be the index of X, got the label 'q'.*to_numpy"):
        parameters(frame, y.rename(index={"patient 7": "q"}))
    with pytest.raises(ValueError, match="sample_weight: its index must be the index of X"):
        parameters(frame, y, y.abs().rename(index={"patient 7": "q"}))
    twice = y.rename(index={"patient 7": "patient 8"})
    with pytest.raises(ValueError, match="in the same order, as labels are there twice"):
        parameters(frame.set_axis(twice.index[::-1]), twice)
    np.testing.assert_array_equal(parameters(frame.set_axis(twice.index), twice), parameters(frame, y))


def test_a_default_index_may_be_mere_positions(frame):
    y, plain = frame["a"], frame.reset_index(drop=True)
    truth = parameters(frame, y)
    np.testing.assert_array_equal(parameters(frame, y.to_numpy()), truth)
    for rows, targets in ((frame, y.reset_index(drop=True)), (plain, y)):
        with pytest.raises(ValueError, match=r"y: its index must be the index of X.*y.to_numpy\(\)"):
            parameters(rows, targets)
    moved = plain["a"].sample(frac=1, random_state=0)
    with pytest.warns(dagnet.DagnetWarning, match=r"y has the labels of X's rows.*y.to_numpy\(\)"):
        np.testing.assert_array_equal(parameters(plain, moved), truth)


# -- kinds of columns ------------------------------------------------------------------------------


def kinds(count=40):
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, count), rng.integers(0, 2, count)
    return a, b, a - 2.0 * b


@pytest.mark.parametrize("graph", [None, line()], ids=["default graph", "drawn"])
def test_nullable_categorical_and_polars_columns_are_numbers(graph):
    a, b, y = kinds()
    plain = pd.DataFrame({"a": a.astype(float), "b": b.astype(float)})
    truth = DAGRegressor(graph, **LINE).fit(plain, y).predict(plain)
    frames = [
        pd.DataFrame({"a": pd.array(a, dtype="Int64"), "b": pd.array(b, dtype="boolean")}),
        pd.DataFrame({"a": pd.Categorical(a), "b": pd.array(b, dtype="Float64")}),
        pd.DataFrame({"a": a.astype(object), "b": b.astype(bool)}),
        pl.DataFrame({"a": a, "b": b.astype(bool)}),
    ]
    for X in frames:
        np.testing.assert_array_equal(DAGRegressor(graph, **LINE).fit(X, y).predict(X), truth)


@pytest.mark.parametrize("graph", [None, line()], ids=["default graph", "drawn"])
def test_missing_values_are_named_by_row_and_column(graph):
    a, b, y = kinds()
    missing = [None if row == 7 else value for row, value in enumerate(b.tolist())]
    frames = [
        pd.DataFrame({"a": a, "b": pd.array(missing, dtype="Int64")}),
        pd.DataFrame({"a": a, "b": pd.array(missing, dtype="Float64")}),
        pd.DataFrame({"a": a, "b": pd.Categorical(missing)}),
        pd.DataFrame({"a": a, "b": missing}, dtype=object),
        pl.DataFrame({"a": a, "b": missing}),
    ]
    model = DAGRegressor(graph, epochs=1).fit(pd.DataFrame({"a": a, "b": b}), y)
    for X in frames:
        with pytest.raises(
            ValueError, match=r"X: row 7, column 'b' must be a number.* got nan; drop the row"
        ):
            DAGRegressor(graph).fit(X, y)
        with pytest.raises(ValueError, match="X: row 7, column 'b'"):
            model.predict(X)
    with pytest.raises(ValueError, match=r"X: row 3, column 1 must be a number.* got inf"):
        DAGRegressor().fit(np.where(np.arange(80).reshape(40, 2) == 7, np.inf, 0.0), y)
    with pytest.raises(ValueError, match="X has 3 features, but the graph has 2 input units"):
        DAGRegressor(dagnet.layered([2, 1])).fit(np.full((3, 3), np.nan), [1.0, 2, 3])


def test_columns_without_numbers_are_named():
    y = [1.0, 2.0]
    with pytest.raises(ValueError, match="X: column 'b' must hold numbers; could not convert"):
        DAGRegressor(line()).fit(pd.DataFrame({"a": [1, 2], "b": ["p", "q"]}), y)
    with pytest.raises(ValueError, match="X: column 'b' must be numbers, got dtype datetime64"):
        DAGRegressor(line()).fit(pd.DataFrame({"a": [1, 2], "b": pd.to_datetime(["2020", "2021"])}), y)


def test_labels_may_be_categorical_or_of_polars(frame):
    y = np.where(frame["a"] > 0, "p", "q")
    truth = DAGClassifier(line(), **LINE).fit(frame, y).predict_proba(frame)
    for labels in (pd.Categorical(y), pd.Series(y, frame.index, dtype="category"), pl.Series(y.tolist())):
        np.testing.assert_array_equal(
            DAGClassifier(line(), **LINE).fit(frame, labels).predict_proba(frame), truth
        )
