"""The truth that every contender is held to before it is timed: the textbook's loops, float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .graphs import Wiring


@dataclass(frozen=True)
class Answer:
    """Loss, ∂loss/∂weights (edges,) and ∂loss/∂biases (nodes,; 0 at inputs)."""

    loss: float
    weights: np.ndarray
    biases: np.ndarray


FUNCTIONS = {
    "relu": (lambda z: np.maximum(z, 0), lambda z: z > 0),
    "sin": (np.sin, np.cos),
}


def values(wiring: Wiring, X: np.ndarray) -> np.ndarray:
    """Value of every node, (nodes, rows); outputs identity."""
    return values_and_slopes(wiring, X)[0]


def values_and_slopes(wiring: Wiring, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Value of every node and the derivative of its activation there, (nodes, rows)."""
    g, derivative = FUNCTIONS[wiring.activation]
    a, slopes = np.zeros((wiring.n_nodes, len(X))), np.ones((wiring.n_nodes, len(X)))
    a[: wiring.n_inputs] = X.T
    for node in range(wiring.n_inputs, wiring.n_nodes):
        run = slice(wiring.indptr[node], wiring.indptr[node + 1])
        z = wiring.biases[node] + wiring.weights[run].astype(float) @ a[wiring.sources[run]]
        if wiring.is_output[node]:
            a[node] = z
        else:
            a[node], slopes[node] = g(z), derivative(z)
    return a, slopes


def answer(wiring: Wiring, X: np.ndarray, y: np.ndarray) -> Answer:
    """Squared error, summed over outputs, averaged over rows, and its gradient."""
    a, slopes = values_and_slopes(wiring, X)
    error = a[wiring.outputs].T - y
    delta = np.zeros_like(a)
    delta[wiring.outputs] = 2 * error.T / len(X)
    grad = np.zeros(wiring.n_edges)
    for node in range(wiring.n_nodes - 1, wiring.n_inputs - 1, -1):
        delta[node] *= slopes[node]
        run = slice(wiring.indptr[node], wiring.indptr[node + 1])
        parents = wiring.sources[run]
        grad[run] = a[parents] @ delta[node]
        delta[parents] += wiring.weights[run, None] * delta[node]
    biases = delta.sum(axis=1)
    biases[: wiring.n_inputs] = 0
    return Answer(float((error**2).sum() / len(X)), grad, biases)


def disagreement(got: Answer, truth: Answer) -> float:
    """Largest of the relative errors of loss, weights' and biases' gradient (by Euclidean norm)."""

    def relative(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.linalg.norm(np.asarray(a, float) - b) / max(np.linalg.norm(b), 1e-30))

    return max(
        abs(got.loss - truth.loss) / max(abs(truth.loss), 1e-30),
        relative(got.weights, truth.weights),
        relative(got.biases, truth.biases),
    )
