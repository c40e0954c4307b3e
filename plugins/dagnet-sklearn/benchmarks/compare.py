# ruff: noqa: INP001 - a script, no package
"""Accuracy and time to fit beside scikit-learn's own classifiers, on its bundled data.

``python benchmarks/compare.py`` prints the table of the README.  All models see the same folds
(five, stratified), columns standardised by the training rows, and are single-threaded.  The
networks have the same layers, so the same number of weights, and take the same steps: the same
optimizer, learning rate, batch size and number of epochs.  The sparse network is a random DAG
over the same nodes with a tenth of the edges.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
from dagnet_sklearn import DAGClassifier
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import dagnet

DATA = {
    "breast cancer": load_breast_cancer,
    "digits": load_digits,
    "wine": load_wine,
    "iris": load_iris,
}
HIDDEN, EPOCHS, BATCH, RATE, REPEATS = 32, 100, 32, 0.01, 3


def sparse_graph(inputs: int, hidden: int, outputs: int, seed: int) -> nx.DiGraph[Any]:
    """A random DAG with a tenth of the edges of two full layers.

    Every hidden node has a parent and a child, every output two hidden parents, the inputs take
    turns; all other edges join any node with any later one.  Where a tenth is too little for so
    many hidden nodes, there are fewer, three edges to each.
    """
    rng = np.random.default_rng(seed)
    count = round((inputs + outputs) * hidden / 10)
    hidden = min(hidden, count // 3)
    first, last = inputs, inputs + hidden
    turns = np.resize(rng.permutation(inputs), hidden)
    edges = {(int(turn), first + place) for place, turn in enumerate(turns)}
    for node in range(last, last + outputs):
        edges |= {(int(parent), node) for parent in rng.choice(np.arange(first, last), 2, replace=False)}
    used = {parent for parent, _ in edges}
    edges |= {
        (node, int(rng.integers(last, last + outputs))) for node in range(first, last) if node not in used
    }
    while len(edges) < count:
        child = int(rng.integers(first, last + outputs))
        edges.add((int(rng.integers(min(child, last))), child))
    nodes = [*(f"x{k}" for k in range(inputs)), *(f"h{k}" for k in range(hidden))]
    nodes += [f"y{k}" for k in range(outputs)]
    graph = nx.DiGraph(dagnet={"inputs": nodes[:inputs], "outputs": nodes[last:]})
    graph.add_nodes_from(nodes)
    graph.add_edges_from((nodes[parent], nodes[child]) for parent, child in sorted(edges))
    return graph


def models(inputs: int, classes: int) -> dict[str, Callable[[int], Any]]:
    """Estimators by name, each made from a seed."""
    outputs = 1 if classes == 2 else classes
    layers = dagnet.layered([inputs, HIDDEN, outputs])
    options: dict[str, Any] = {
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "learning_rate": RATE,
        "standardize": False,
    }
    return {
        "LogisticRegression": lambda _: LogisticRegression(max_iter=1000),
        "MLPClassifier": lambda seed: MLPClassifier(
            (HIDDEN,),
            alpha=0,
            max_iter=EPOCHS,
            n_iter_no_change=EPOCHS,
            batch_size=BATCH,
            learning_rate_init=RATE,
            random_state=seed,
        ),
        "DAGClassifier": lambda seed: DAGClassifier(layers, random_state=seed, **options),
        "DAGClassifier, sparse": lambda seed: DAGClassifier(
            sparse_graph(inputs, HIDDEN, outputs, seed), random_state=seed, **options
        ),
    }


def weights_of(model: Any) -> int:
    """How many weights a fitted model has, biases aside."""
    if isinstance(model, LogisticRegression):
        return int(model.coef_.size)
    if isinstance(model, MLPClassifier):
        return sum(array.size for array in model.coefs_)
    return len(model.network_.weights)


def measure(make: Callable[[int], Any], X: Any, y: Any) -> tuple[list[float], list[float], int]:
    """Accuracy and CPU seconds to fit for each fold of each repeat, and the number of weights."""
    accuracies, seconds = [], []
    for repeat in range(REPEATS):
        folds = StratifiedKFold(5, shuffle=True, random_state=repeat)
        for train, test in folds.split(X, y):
            pipeline = make_pipeline(StandardScaler(), make(repeat))
            began = time.process_time()
            pipeline.fit(X[train], y[train])
            seconds.append(time.process_time() - began)
            accuracies.append(pipeline.score(X[test], y[test]))
    return accuracies, seconds, weights_of(pipeline[-1])


def main() -> None:
    """Print the table."""
    threadpool_limits(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    write = sys.stdout.write
    write("| data | model | weights | accuracy | CPU seconds to fit |\n|---|---|---:|---:|---:|\n")
    for name, load in DATA.items():
        X, y = load(return_X_y=True)
        made = models(X.shape[1], len(np.unique(y)))
        for make in made.values():  # the first call of a process compiles or loads what it needs
            make_pipeline(StandardScaler(), make(0)).fit(X[::5], y[::5])
        for model, make in made.items():
            accuracies, seconds, count = measure(make, X, y)
            row = f"| {name} | {model} | {count:,} | {np.mean(accuracies):.3f} ± {np.std(accuracies):.3f} "
            write(f"{row}| {np.median(seconds):.3f} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
