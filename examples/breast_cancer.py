"""A topology that a physician could read, against logistic regression, over the same five folds."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

import dagnet

HERE = Path(__file__).parent / "data"


def read(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names of the measurements, the measurements, and 1 for malignant."""
    with path.open(encoding="utf-8", newline="") as file:
        names, *rows = csv.reader(file)
    table = np.array(rows, dtype=float)
    return names[:-1], table[:, :-1], table[:, -1]


def predict_by_graph(names: list[str], X: np.ndarray, y: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """Train the drawn network; mean and scale of the training rows stay in the graph."""
    graph = dagnet.read_graph(HERE / "breast_cancer.graphml")
    for name, column in zip(names, X.T, strict=True):
        graph.nodes[name].update(center=column.mean(), scale=column.std())
    net = dagnet.Network(graph, inputs=names, loss="binary_cross_entropy_with_logits", seed=0)
    net.fit(X, y, epochs=100, learning_rate=0.01, l2=0.001, seed=0)
    return net.predict(unseen)[:, 0]


def predict_by_regression(names: list[str], X: np.ndarray, y: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """Logistic regression on standardised measurements."""
    del names
    center, scale = X.mean(axis=0), X.std(axis=0)
    model = LogisticRegression(max_iter=1000).fit((X - center) / scale, y)
    return model.predict_proba((unseen - center) / scale)[:, 1]


def main() -> None:
    names, X, y = read(HERE / "breast_cancer.csv")
    folds = list(StratifiedKFold(5, shuffle=True, random_state=0).split(X, y))
    print(f"{'mean of five folds':<22}{'accuracy':>10}{'AUC':>10}")
    for title, predict in (("dagnet", predict_by_graph), ("logistic regression", predict_by_regression)):
        scores = []
        for train, test in folds:
            predicted = predict(names, X[train], y[train], X[test])
            scores.append((np.mean((predicted > 0.5) == y[test]), roc_auc_score(y[test], predicted)))
        accuracy, auc = np.mean(scores, axis=0)
        print(f"{title:<22}{accuracy:>10.4f}{auc:>10.4f}")


if __name__ == "__main__":
    main()
