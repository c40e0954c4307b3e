"""PyTorch's losses, on a leaf tensor and behind a dense layer; and the formulas in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from .peers_torch import need_torch, torch

Dense = tuple[np.ndarray, np.ndarray]  # weights (outputs, inputs), biases


def formula(name: str, outputs: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean over rows of the loss, summed over outputs, and its gradient."""
    o, t = outputs.astype(float), targets.astype(float)
    if name == "cross_entropy":
        shifted = o - o.max(axis=1, keepdims=True)
        logarithms = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        values, pull = -(t * logarithms).sum(axis=1), np.exp(logarithms) - t
    else:
        values, pull = (np.logaddexp(0, o) - t * o).sum(axis=1), 1 / (1 + np.exp(-o)) - t
    return float(values.mean()), pull / len(o)


def dense_start(n_inputs: int, n_outputs: int) -> Dense:
    rng = np.random.default_rng(2)
    weights = rng.uniform(-1, 1, (n_outputs, n_inputs)) / np.sqrt(n_inputs)
    return weights.astype(np.float32), rng.uniform(-0.1, 0.1, n_outputs).astype(np.float32)


class LossAlone:
    """Loss and ``backward()`` to the outputs."""

    def __init__(self, name: str, outputs: np.ndarray, targets: np.ndarray, *, labels: bool = False) -> None:
        need_torch()
        self.name, self.rows = name, len(outputs)
        self.outputs, self.targets = torch.tensor(outputs, requires_grad=True), torch.tensor(targets)
        if labels:
            self.targets = self.targets.argmax(1)
        self.leaves = [self.outputs]

    def loss(self, outputs: Any) -> Any:
        if self.name == "cross_entropy":
            return torch.nn.functional.cross_entropy(outputs, self.targets)
        entropy = torch.nn.functional.binary_cross_entropy_with_logits
        return entropy(outputs, self.targets, reduction="sum") / self.rows

    def value(self) -> Any:
        return self.loss(self.outputs)

    def __call__(self) -> Any:
        for leaf in self.leaves:
            leaf.grad = None
        loss = self.value()
        loss.backward()
        return loss

    def answer(self) -> list[Any]:
        """Loss and gradients."""
        return [float(self().detach()), *(leaf.grad.numpy() for leaf in self.leaves)]


class DenseLoss(LossAlone):
    """The same behind a dense layer, to weights and biases."""

    def __init__(self, start: Dense, name: str, inputs: np.ndarray, targets: np.ndarray) -> None:
        super().__init__(name, inputs, targets)
        self.inputs = torch.tensor(inputs)
        self.leaves = [torch.tensor(array, requires_grad=True) for array in start]

    def value(self) -> Any:
        return self.loss(torch.nn.functional.linear(self.inputs, *self.leaves))
