"""What the estimators promise beyond scikit-learn's own checks."""

import pickle

import networkx as nx
import numpy as np
import pandas as pd
import polars as pl
import pytest
from dagnet_sklearn import DAGClassifier, DAGRegressor
from joblib import parallel_config
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import dagnet


@pytest.fixture(scope="module")
def iris():
    frame = load_iris(as_frame=True)
    X = frame.data.rename(columns=lambda name: name.removesuffix(" (cm)"))
    return X, frame.target


@pytest.fixture(scope="module")
def flowers(iris):
    """The classes by name."""
    return load_iris().target_names[iris[1]]


def petals():
    """A graph that reads two of the four columns, in its own order."""
    graph = nx.DiGraph()
    for kind in ("virginica", "setosa", "versicolor"):
        graph.add_edge("petal width", kind)
        graph.add_edge("petal length", kind)
    return graph


# -- columns by name -----------------------------------------------------------------------


@pytest.mark.parametrize("convert", [lambda X: X, pl.from_pandas], ids=["pandas", "polars"])
def test_inputs_are_columns_by_name_and_outputs_classes_by_name(iris, flowers, convert):
    X = convert(iris[0])
    model = DAGClassifier(petals(), random_state=0).fit(X, flowers)
    assert model.feature_names_in_.tolist() == list(iris[0].columns)
    assert model.network_.inputs == ("petal width", "petal length")
    assert model.network_.outputs == ("setosa", "versicolor", "virginica") == tuple(model.classes_)
    assert model.score(X, flowers) > 0.93
    by_hand = model.network_.predict(iris[0])
    np.testing.assert_array_equal(model.predict_proba(X), by_hand)


def test_moved_columns_give_the_same_network(iris, flowers):
    X = iris[0]
    moved = X[X.columns[::-1]]
    one = DAGClassifier(petals(), random_state=0).fit(X, flowers)
    other = DAGClassifier(petals(), random_state=0).fit(moved, flowers)
    np.testing.assert_allclose(one.network_.parameters, other.network_.parameters)
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(moved))
    np.testing.assert_array_equal(one.predict_proba(X), one.predict_proba(moved))


def test_a_missing_column_is_named(iris):
    graph = nx.DiGraph([("petal widht", "y")])
    with pytest.raises(ValueError, match=r"no column for the graph's input 'petal widht'.*'petal length'"):
        DAGRegressor(graph).fit(iris[0], iris[1])


def test_arrays_go_by_position_and_must_fit(iris):
    X, y = iris[0].to_numpy(), iris[1].to_numpy()
    graph = dagnet.layered([4, 3, 3])
    model = DAGClassifier(graph, epochs=5, random_state=0).fit(X, y)
    assert model.network_.inputs == ("x1", "x2", "x3", "x4")
    with pytest.raises(ValueError, match="X has 3 features, but the graph has 4 input units"):
        DAGClassifier(graph).fit(X[:, :3], y)


def test_inputs_of_several_units_take_columns_by_position(iris):
    graph = nx.DiGraph([("flower", "y")])
    graph.nodes["flower"]["units"] = 4
    model = DAGRegressor(graph, random_state=0).fit(iris[0], iris[1])
    np.testing.assert_allclose(model.network_.topology.center, iris[0].mean())
    assert model.score(iris[0], iris[1]) > 0.8


def test_the_default_graph_is_named_after_the_columns(iris, flowers):
    model = DAGClassifier(epochs=3).fit(iris[0], flowers)
    assert model.network_.inputs == tuple(iris[0].columns)
    assert model.network_.outputs == ("setosa", "versicolor", "virginica")
    named = DAGRegressor(epochs=3).fit(pd.DataFrame({"y": [1.0, 2, 3], "hidden": [0.0, 1, 0]}), [1, 2, 3])
    assert named.network_.inputs == ("y", "hidden")
    assert named.network_.outputs == (("output", "y"),)


def test_the_callers_graph_is_not_changed(iris, flowers):
    graph = petals()
    DAGClassifier(graph, epochs=2).fit(iris[0], flowers)
    assert all(not attributes for _, attributes in graph.nodes(data=True))


def test_graphs_that_do_not_fit_the_classes_are_refused(iris, flowers):
    graph = nx.DiGraph([("petal width", "a"), ("petal width", "b")])
    with pytest.raises(ValueError, match="must have 3 output units, one for each class, got 2"):
        DAGClassifier(graph).fit(iris[0], flowers)
    two = flowers != "setosa"
    model = DAGClassifier(graph, epochs=3).fit(iris[0][two], flowers[two])
    assert model.network_.loss.name == "cross_entropy"
    assert model.predict_proba(iris[0]).shape == (150, 2)
    with pytest.raises(ValueError, match="must have 1 output units"):
        DAGRegressor(graph).fit(iris[0], iris[1])


# -- the same as others' models where they are the same ----------------------------------------


def test_without_hidden_nodes_it_is_logistic_regression():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)[:, [1, 4, 8]]
    model = DAGClassifier(hidden=0, epochs=3000, batch_size=10**6, random_state=0).fit(X, y)
    truth = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10**5).fit(X, y)
    np.testing.assert_allclose(model.decision_function(X), truth.decision_function(X), atol=0.01)


def test_without_hidden_nodes_it_is_linear_regression():
    X, y = load_diabetes(return_X_y=True)
    y = (y - y.mean()) / y.std()
    weight = np.random.default_rng(0).uniform(0, 2, len(y))
    options = {"hidden": 0, "epochs": 100, "optimizer": "lbfgs", "batch_size": 10**6, "random_state": 0}
    model = DAGRegressor(**options).fit(X, y, sample_weight=weight)  # Adam ends where rounding takes it
    truth = LinearRegression().fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(model.predict(X), truth.predict(X), atol=1e-3)


def test_several_targets_and_losses():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    Y = np.c_[X[:, 0] - X[:, 1], X[:, 2]]
    model = DAGRegressor(random_state=0).fit(X, Y)
    assert model.predict(X).shape == (200, 2)
    assert model.score(X, Y) > 0.98


def test_without_hidden_nodes_it_is_poisson_regression():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    counts = rng.poisson(np.exp(0.5 * X[:, 0]))
    model = DAGRegressor(hidden=0, loss="poisson", epochs=2000, random_state=0).fit(X, counts)
    truth = PoissonRegressor(alpha=0, tol=1e-10).fit(X, counts)
    np.testing.assert_allclose(model.predict(X), truth.predict(X), rtol=1e-3)


# -- training ----------------------------------------------------------------------------------


def test_a_seed_gives_the_same_bits_and_another_gives_others(iris):
    X, y = iris
    one, two = (DAGClassifier(epochs=5, batch_size=20, random_state=3).fit(X, y) for _ in range(2))
    assert (one.network_.parameters == two.network_.parameters).all()
    other = DAGClassifier(epochs=5, batch_size=20, random_state=4).fit(X, y)
    assert (one.network_.parameters != other.network_.parameters).any()


def test_loss_curve_and_n_iter(iris):
    model = DAGClassifier(epochs=7, random_state=0).fit(*iris)
    assert model.n_iter_ == len(model.loss_curve_) == 7
    assert model.loss_ == model.loss_curve_[-1] < model.loss_curve_[0]
    assert model.validation_curve_ is None


def test_early_stopping_stops_and_keeps_the_best(iris):
    X, y = iris
    model = DAGClassifier(early_stopping=True, epochs=5000, patience=5, batch_size=20, random_state=0).fit(
        X, y
    )
    assert model.n_iter_ < 5000
    curve = np.array(model.validation_curve_)
    assert len(curve) == model.n_iter_
    assert curve.argmin() >= model.n_iter_ - 1 - 5 - 200
    assert model.score(X, y) > 0.9


def test_warm_start_goes_on(iris):
    X, y = iris
    model = DAGClassifier(epochs=10, warm_start=True, random_state=0).fit(X, y)
    loss, parameters = model.loss_, model.network_.parameters.copy()
    model.fit(X, y)
    assert model.n_iter_ == len(model.loss_curve_) == 20
    assert model.loss_ < loss
    assert (model.network_.parameters != parameters).any()
    with pytest.raises(ValueError, match="warm_start: the classes must be those"):
        model.fit(X, np.where(y == 2, 7, y))
    cold = DAGClassifier(epochs=10, random_state=0).fit(X, y)
    cold.fit(X, y)
    assert cold.n_iter_ == 10


def test_partial_fit_is_one_epoch_and_keeps_the_optimizers_state():
    """Ten calls on all rows at once are ten epochs of adam, not ten first steps."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2))
    y = X @ [1.0, -1.0]
    graph = dagnet.layered([2, 3, 1], activation="tanh")
    options = {"graph": graph, "batch_size": 100, "random_state": 0}
    parts = DAGRegressor(**options)
    for _ in range(10):
        parts.partial_fit(X, y)
    whole = DAGRegressor(epochs=10, **options).fit(X, y)
    np.testing.assert_allclose(parts.network_.parameters, whole.network_.parameters, rtol=1e-9)
    assert parts.n_iter_ == len(parts.loss_curve_) == 10


def test_partial_fit_needs_the_classes_once(iris):
    X, y = iris
    model = DAGClassifier(random_state=0)
    with pytest.raises(ValueError, match="must have classes="):
        model.partial_fit(X[:50], y[:50])
    model.partial_fit(X[::7], y[::7], classes=[0, 1, 2])
    for _ in range(100):
        model.partial_fit(X, y)
    assert model.score(X, y) > 0.9
    with pytest.raises(ValueError, match="not among the classes"):
        model.partial_fit(X, y + 1)
    with pytest.raises(ValueError, match="classes must be those of the first call"):
        model.partial_fit(X, y, classes=[0, 1])
    again = pickle.loads(pickle.dumps(model)).partial_fit(X, y)
    model.partial_fit(X, y)
    assert (again.network_.parameters == model.network_.parameters).all()


def test_class_weight_and_sample_weight_are_the_same_thing(iris):
    X, y = iris
    by_class = DAGClassifier(class_weight={0: 1, 1: 2, 2: 5}, epochs=20, random_state=0).fit(X, y)
    by_sample = DAGClassifier(epochs=20, random_state=0).fit(X, y, sample_weight=np.array([1, 2, 5])[y])
    np.testing.assert_allclose(by_class.network_.parameters, by_sample.network_.parameters)
    balanced = DAGClassifier(class_weight="balanced", epochs=5, random_state=0).fit(X[20:], y[20:])
    assert balanced.n_iter_ == 5


def test_rows_without_weight_are_as_if_not_there(iris):
    X, y = iris[0].to_numpy(), iris[1].to_numpy()
    weight = (np.arange(150) % 3 > 0).astype(float)
    model = DAGClassifier(epochs=5, batch_size=16, random_state=0).fit(X, y, sample_weight=weight)
    other = DAGClassifier(epochs=5, batch_size=16, random_state=0).fit(X[weight > 0], y[weight > 0])
    assert (model.network_.parameters == other.network_.parameters).all()
    with pytest.raises(ValueError, match="at least one non-zero"):
        model.fit(X, y, sample_weight=np.zeros(150))


def test_standardisation_is_in_the_network_and_weighted(iris):
    X, y = iris[0].to_numpy(), iris[1].to_numpy()
    weight = np.random.default_rng(0).uniform(0.1, 2, 150)
    model = DAGRegressor(epochs=2).fit(X, y, sample_weight=weight)
    center = np.average(X, axis=0, weights=weight)
    np.testing.assert_allclose(model.network_.topology.center, center)
    scale = np.sqrt(np.average((X - center) ** 2, axis=0, weights=weight))
    np.testing.assert_allclose(model.network_.topology.scale, scale)
    raw = DAGRegressor(epochs=2, standardize=False).fit(X, y)
    assert (raw.network_.topology.center == 0).all()
    graph = dagnet.layered([4, 1])
    graph.nodes["x2"]["center"] = 9.0
    own = DAGRegressor(graph, epochs=2).fit(X, y)
    assert own.network_.topology.center[1] == 9
    assert own.network_.topology.scale[1] == 1


def test_constant_columns_do_no_harm():
    X = np.c_[np.full(30, 1e9 + 0.1), np.linspace(0, 1, 30)]
    model = DAGRegressor(random_state=0).fit(X, X[:, 1])
    assert model.score(X, X[:, 1]) > 0.9


# -- with the rest of scikit-learn ---------------------------------------------------------------


def test_pipeline_grid_search_and_cross_validation(iris):
    X, y = iris
    pipeline = make_pipeline(
        StandardScaler().set_output(transform="pandas"), DAGClassifier(petals_of(X), epochs=60)
    )
    search = GridSearchCV(
        pipeline,
        {"dagclassifier__activation": ["tanh", "relu"], "dagclassifier__graph": [None, petals_of(X)]},
        cv=3,
        error_score="raise",
    ).fit(X, y)
    assert search.best_score_ > 0.9
    assert cross_val_score(DAGClassifier(epochs=100, random_state=0), X, y, cv=3).mean() > 0.9


def petals_of(X):
    graph = nx.DiGraph()
    for column in X.columns:
        graph.add_edge(column, "h")
    for kind in range(3):
        graph.add_edge("h", ("class", kind))
        graph.add_edge("petal width", ("class", kind))
    return graph


def test_transformed_targets():
    X, y = load_diabetes(return_X_y=True)
    model = TransformedTargetRegressor(DAGRegressor(hidden=0, random_state=0), transformer=StandardScaler())
    assert model.fit(X, y).score(X, y) > 0.5


def test_clone_and_pickle(iris):
    X, y = iris
    model = DAGClassifier(petals_of(X), epochs=5, random_state=0).fit(X, y)
    copy = clone(model)
    assert not hasattr(copy, "network_")
    assert copy.graph is not model.graph
    assert nx.utils.graphs_equal(copy.graph, model.graph)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_parallel_cross_validation(iris):
    model = DAGClassifier(epochs=20, random_state=0)
    with parallel_config(backend="threading"):
        scores = cross_val_score(model, *iris, cv=4, n_jobs=2)
    np.testing.assert_array_equal(scores, cross_val_score(model, *iris, cv=4))


def test_unfitted_and_wrong_parameters(iris):
    with pytest.raises(NotFittedError):
        DAGRegressor().predict(iris[0])
    with pytest.raises(NotFittedError):
        DAGClassifier().decision_function(iris[0])
    for wrong in ({"graph": 3}, {"epochs": 0}, {"learning_rate": -1}, {"class_weight": "heavy"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            DAGClassifier(**wrong).fit(*iris)
    with pytest.raises(dagnet.PluginError, match="adam"):
        DAGClassifier(optimizer="adma").fit(*iris)


def test_probabilities_sum_to_one_and_agree(iris):
    X, y = iris
    model = DAGClassifier(epochs=50, random_state=0).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    np.testing.assert_array_equal(model.classes_[model.predict_proba(X).argmax(axis=1)], model.predict(X))
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X))
    two = y < 2
    binary = DAGClassifier(epochs=50, random_state=0).fit(X[two], y[two])
    assert binary.network_.loss.name == "binary_cross_entropy_with_logits"
    np.testing.assert_allclose(binary.predict_proba(X)[:, 1], 1 / (1 + np.exp(-binary.decision_function(X))))


def test_heads_of_the_graph_pass_through():
    """Hidden nodes that learn an output's column have no column of y, and none of the predictions."""
    graph = dagnet.layered([3, 2, 1])
    for node in ("h11", "h12"):
        graph.nodes[node].update(target="eta", loss_weight=0.3)
    graph.graph["dagnet"] = {"outputs": ["h11", "h12", "eta"]}
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 3))
    model = DAGRegressor(graph, random_state=0, epochs=5).fit(X, X[:, 0])
    assert model.network_.targets == ("eta",)
    assert model.predict(X).shape == (50,)
    assert model.predict(X).tolist() == model.network_.predict(X)[:, 2].tolist()
    sick = DAGClassifier(graph, random_state=0, epochs=5).fit(X, X[:, 0] > 0)
    assert sick.predict_proba(X).shape == (50, 2)
