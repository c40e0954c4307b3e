"""The multilayer perceptron's peers: PyTorch's training loop, and the matrix products alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from .peers_torch import need_torch, torch

SIZES = (784, 512, 512, 10)
BATCH = 128
RATE = 1e-3

Layers = list[tuple[np.ndarray, np.ndarray]]


def start(seed: int = 0) -> Layers:
    """Weights (in, out) and biases of each layer, float32."""
    rng = np.random.default_rng(seed)
    return [
        (
            (rng.uniform(-1, 1, (a, b)) * np.sqrt(6 / a)).astype(np.float32),
            np.zeros(b, np.float32),
        )
        for a, b in pairwise(SIZES)
    ]


def data(batches: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((batches * BATCH, SIZES[0]), dtype=np.float32)
    return X, rng.standard_normal((len(X), SIZES[-1]), dtype=np.float32)


def losses_by_hand(layers: Layers, X: np.ndarray, y: np.ndarray) -> list[float]:
    """Loss of every batch, in order, under Adam; float64 and the formulas, nothing else."""
    theta = [p.astype(float) for layer in layers for p in layer]
    first, second = [np.zeros_like(p) for p in theta], [np.zeros_like(p) for p in theta]
    losses = []
    for step, start_row in enumerate(range(0, len(X), BATCH), 1):
        rows = slice(start_row, start_row + BATCH)
        values = [X[rows].astype(float)]
        for layer, (W, b) in enumerate(zip(theta[::2], theta[1::2], strict=True)):
            z = values[-1] @ W + b
            values.append(z if layer == len(layers) - 1 else np.maximum(z, 0))
        error = values[-1] - y[rows]
        losses.append(float((error**2).sum() / len(error)))
        delta, gradient = 2 * error / len(error), []
        for a, W in zip(values[-2::-1], theta[-2::-2], strict=True):
            gradient[:0] = [a.T @ delta, delta.sum(0)]
            delta = (delta @ W.T) * (a > 0)
        for k, g in enumerate(gradient):
            first[k] += 0.1 * (g - first[k])
            second[k] += 0.001 * (g * g - second[k])
            scale = np.sqrt(second[k] / (1 - 0.999**step)) + 1e-8
            theta[k] -= RATE * first[k] / (1 - 0.9**step) / scale
    return losses


class TorchLoop:
    """One epoch of the usual loop: shuffled index, eager, Adam (fused where it is to be had)."""

    def __init__(self, X: np.ndarray, y: np.ndarray, *, fused: bool = True, shuffle: bool = True) -> None:
        need_torch()
        self.X, self.y, self.shuffle = torch.tensor(X), torch.tensor(y), shuffle
        modules: list[Any] = []
        for W, b in start():
            linear = torch.nn.Linear(*W.shape)
            linear.weight.data.copy_(torch.tensor(W.T))
            linear.bias.data.copy_(torch.tensor(b))
            modules += [linear, torch.nn.ReLU()]
        self.model = torch.nn.Sequential(*modules[:-1])
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=RATE, fused=fused)

    def __call__(self) -> list[Any]:
        n = len(self.X)
        order = torch.randperm(n) if self.shuffle else torch.arange(n)
        losses = []
        for k in range(0, n, BATCH):
            rows = order[k : k + BATCH]
            self.optimizer.zero_grad(set_to_none=True)
            loss = ((self.model(self.X[rows]) - self.y[rows]) ** 2).sum() / len(rows)
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
        return losses


class MatrixProducts:
    """The eight products of one step, into buffers, by NumPy's BLAS; the lower bound, nothing else done."""

    def __init__(self, batches: int) -> None:
        rng = np.random.default_rng(0)

        def draw(*shape: int) -> np.ndarray:
            return rng.standard_normal(shape, dtype=np.float32)

        a, W = [draw(BATCH, n) for n in SIZES], [draw(*pair) for pair in pairwise(SIZES)]
        self.batches, self.products = batches, []
        for x, w, out in zip(a, W, a[1:], strict=False):
            self.products.append((x, w, np.empty_like(out)))
        for x, w, delta in zip(a, W, a[1:], strict=False):
            self.products.append((x.T, delta, np.empty_like(w)))
            if x is not a[0]:
                self.products.append((delta, w.T, np.empty_like(x)))

    def __call__(self) -> None:
        for _ in range(self.batches):
            for left, right, out in self.products:
                np.matmul(left, right, out=out)
