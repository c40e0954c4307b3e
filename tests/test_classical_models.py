"""Without hidden nodes a network is a classical model; with two of them it learns XOR."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

import dagnet

sklearn_datasets = pytest.importorskip("sklearn.datasets")
sklearn_linear = pytest.importorskip("sklearn.linear_model")


def fitted(X, y, loss, *, columns, epochs=3000, **arguments):
    """All parents, one child, full batches until nothing moves."""
    names = [f"c{column}" for column in range(columns)]
    graph = nx.DiGraph([(name, "y") for name in names])
    net = dagnet.Network(graph, inputs=names, loss=loss, seed=0)
    net.fit(X, y, epochs=epochs, batch_size=len(X), shuffle=False, **arguments)
    return np.array([net.weights[name, "y"] for name in names]), net.biases["y"]


def standardised(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


def test_squared_error_is_linear_regression():
    X, y = sklearn_datasets.load_diabetes(return_X_y=True)
    X, y = standardised(X), (y - y.mean()) / y.std()
    truth = sklearn_linear.LinearRegression().fit(X, y)
    weights, bias = fitted(
        X, y, "squared_error", columns=10, epochs=20000, optimizer="sgd(momentum=0.9)", learning_rate=0.05
    )
    np.testing.assert_allclose(weights, truth.coef_, atol=1e-4)
    np.testing.assert_allclose(bias, truth.intercept_, atol=1e-4)


def test_squared_error_with_l2_is_ridge_regression():
    X, y = sklearn_datasets.load_diabetes(return_X_y=True)
    X, y = standardised(X), y / y.std()
    truth = sklearn_linear.Ridge(alpha=0.3 * len(X)).fit(X, y)
    weights, bias = fitted(
        X, y, "squared_error", columns=10, optimizer="sgd(momentum=0.9)", learning_rate=0.05, l2=0.3
    )
    np.testing.assert_allclose(weights, truth.coef_, atol=1e-6)
    np.testing.assert_allclose(bias, truth.intercept_, atol=1e-6)


def test_squared_error_with_l1_is_the_lasso():
    X, y = sklearn_datasets.load_diabetes(return_X_y=True)
    X, y = standardised(X), y / y.std()
    truth = sklearn_linear.Lasso(alpha=0.1, tol=1e-10, max_iter=100_000).fit(X, y)
    weights, bias = fitted(
        X, y, "squared_error", columns=10, optimizer="sgd", learning_rate=1e-3, epochs=20000, l1=0.2
    )
    np.testing.assert_allclose(weights, truth.coef_, atol=1e-3)  # a subgradient wavers around zeros
    np.testing.assert_allclose(bias, truth.intercept_, atol=1e-4)


def test_logits_are_logistic_regression_with_a_penalty():
    X, y = sklearn_datasets.load_breast_cancer(return_X_y=True)
    X = standardised(X)
    truth = sklearn_linear.LogisticRegression(C=1.0, tol=1e-10, max_iter=100_000).fit(X, y)
    weights, bias = fitted(
        X, y, "binary_cross_entropy_with_logits", columns=30, optimizer="sgd(momentum=0.9)",
        learning_rate=0.3, epochs=4000, l2=0.5 / len(X),
    )  # fmt: skip
    np.testing.assert_allclose(weights, truth.coef_[0], atol=1e-4)
    np.testing.assert_allclose(bias, truth.intercept_[0], atol=1e-4)


def test_logits_are_logistic_regression_without_a_penalty():
    X, y = sklearn_datasets.load_breast_cancer(return_X_y=True)
    X = standardised(X)[:, [0, 1, 4, 8]]  # all thirty separate the classes
    truth = sklearn_linear.LogisticRegression(C=np.inf, tol=1e-10, max_iter=100_000).fit(X, y)
    weights, bias = fitted(
        X, y, "binary_cross_entropy_with_logits", columns=4, optimizer="sgd(momentum=0.95)",
        learning_rate=1.0, epochs=4000,
    )  # fmt: skip
    np.testing.assert_allclose(weights, truth.coef_[0], atol=1e-4)
    np.testing.assert_allclose(bias, truth.intercept_[0], atol=1e-4)


def test_cross_entropy_is_multinomial_regression():
    X, y = sklearn_datasets.load_wine(return_X_y=True)
    X = standardised(X)
    truth = sklearn_linear.LogisticRegression(C=1.0, tol=1e-12, max_iter=100_000).fit(X, y)
    names = [f"c{column}" for column in range(X.shape[1])]
    graph = nx.DiGraph([(name, out) for name in names for out in "abc"])
    net = dagnet.Network(graph, inputs=names, outputs=["a", "b", "c"], loss="cross_entropy", seed=0)
    net.fit(
        X, y, epochs=4000, batch_size=len(X), optimizer="sgd(momentum=0.9)", learning_rate=0.3,
        l2=0.5 / len(X),
    )  # fmt: skip
    weights = np.array([[net.weights[name, out] for name in names] for out in "abc"])
    np.testing.assert_allclose(weights, truth.coef_, atol=1e-4)
    biases = np.array([net.biases[out] for out in "abc"])
    np.testing.assert_allclose(biases - biases.mean(), truth.intercept_ - truth.intercept_.mean(), atol=1e-4)


def test_poisson_is_poisson_regression():
    X, y = sklearn_datasets.load_diabetes(return_X_y=True)
    X, y = standardised(X), np.round(y / 25)  # counts of 1 to 14
    truth = sklearn_linear.PoissonRegressor(alpha=0.0, tol=1e-12, max_iter=100_000).fit(X, y)
    weights, bias = fitted(
        X, y, "poisson", columns=10, epochs=20000, optimizer="sgd(momentum=0.9)", learning_rate=0.01
    )
    np.testing.assert_allclose(weights, truth.coef_, atol=1e-4)
    np.testing.assert_allclose(bias, truth.intercept_, atol=1e-4)


def test_a_network_of_two_hidden_nodes_learns_xor():
    X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = np.array([0, 1, 1, 0])
    learned = []
    for seed in range(10):
        graph = dagnet.layered([2, 2, 1], activation="tanh")
        net = dagnet.Network(graph, loss="binary_cross_entropy_with_logits", seed=seed)
        net.fit(X, y, epochs=1000, batch_size=4, learning_rate=0.1, seed=seed)
        learned.append(bool(((net.predict(X)[:, 0] > 0.5) == y).all()) and net.evaluate(X, y) < 0.05)
    assert learned[1]
    assert sum(learned) >= 3  # the loss has local minima: about half of all starts end there, in any software
