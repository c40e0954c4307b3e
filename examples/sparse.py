"""Sparse from start to end: edges move while a network trains, and their number stays the same."""

from __future__ import annotations

from typing import Any

import numpy as np

import dagnet

KEPT = 60


class Rewiring(dagnet.Callback):
    """Trains ``keep`` edges of a graph of candidates, all others being 0.

    At the end of an epoch those of the smallest |weight| make room for as many others, which begin at 0:
    random ones (SET; Mocanu et al., 2018), or those of the largest |∂loss/∂weight| in the last batch (RigL;
    Evci et al., 2020).  ``fraction`` of the edges move at first, none in the last quarter of the epochs.
    """

    def __init__(self, keep: int, grow: str, fraction: float = 0.3, seed: int = 0) -> None:
        self.keep, self.grow, self.fraction = keep, grow, fraction
        self.rng = np.random.default_rng(seed)

    def on_training_begin(self, run: Any) -> None:
        """Choose the first edges."""
        self.places = run.model.layout.weights
        self.alive = np.zeros(len(self.places), bool)
        self.alive[self.rng.permutation(len(self.places))[: self.keep]] = True
        self.on_batch_end(run)

    def on_gradient(self, run: Any, flat: Any) -> None:
        """Learn by the edges that are there."""
        del run
        self.steepness = np.abs(flat[self.places])
        flat[self.places[~self.alive]] = 0.0

    def on_batch_end(self, run: Any) -> None:
        """What momentum moved goes back to 0."""
        run.model.parameters[self.places[~self.alive]] = 0.0

    def on_epoch_end(self, run: Any) -> None:
        """Let some edges go and as many come, fewer from epoch to epoch."""
        share = np.cos(np.pi / 2 * min(1.0, run.epoch / (0.75 * run.epochs)))
        n = min(int(self.fraction * share * self.keep), int((~self.alive).sum()))
        size = np.where(self.alive, np.abs(run.model.parameters[self.places]), np.inf)
        gone = np.argsort(size, kind="stable")[:n]
        wish = self.steepness if self.grow == "gradient" else self.rng.random(len(self.places))
        come = np.argsort(np.where(self.alive, np.inf, -wish), kind="stable")[:n]
        self.alive[gone], self.alive[come] = False, True
        self.on_batch_end(run)


def data(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Twenty columns, of which four matter."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 20))
    return X, np.tanh(X[:, 0] * X[:, 1]) + np.sin(X[:, 2]) - 0.5 * np.abs(X[:, 3])


def main() -> None:
    (X, y), test = data(400, 0), data(2000, 1)
    runs = {
        "all edges": None,
        "the same at random": Rewiring(KEPT, "random", fraction=0.0),
        "SET": Rewiring(KEPT, "random"),
        "RigL": Rewiring(KEPT, "gradient"),
    }
    print(f"{'':<20}{'edges':>7}{'test loss':>11}")
    for title, rewiring in runs.items():
        net = dagnet.Network(dagnet.layered([20, 16, 1], activation="tanh"), seed=0)
        net.fit(X, y, epochs=60, learning_rate=0.02, seed=0, callbacks=[rewiring] if rewiring else [])
        sparse = net.prune(keep=KEPT)[0] if rewiring else net
        print(f"{title:<20}{len(sparse.edges):>7}{sparse.evaluate(*test):>11.3f}")


if __name__ == "__main__":
    main()
