"""One row through a small network in PyTorch: no gradient wanted, in the idioms that have least overhead."""

from __future__ import annotations

from typing import Any

import numpy as np

from .graphs import Wiring
from .peers_torch import F, Level, TorchPeer, levels_of, torch


class _Row(TorchPeer):
    def __init__(self, wiring: Wiring, X: np.ndarray) -> None:
        super().__init__(wiring, X, np.zeros((len(X), len(wiring.outputs)), np.float32))
        self.levels: list[Level] = levels_of(wiring)
        self.plain = [(lv.weight.detach(), lv.bias.detach()) for lv in self.levels]

    def values(self) -> Any:
        raise NotImplementedError

    def __call__(self) -> Any:
        with torch.inference_mode():
            return self.values()


class RowBags(_Row):
    """``embedding_bag`` a level."""

    def values(self) -> Any:
        h = self.x
        for level, (weight, bias) in zip(self.levels, self.plain, strict=True):
            z = F.embedding_bag(level.sources, h, level.offsets, mode="sum", per_sample_weights=weight)
            h = torch.cat([h, *level.activate(z + bias)])
        return h[self.outputs].T


class RowDense(_Row):
    """A dense matrix a level (masks long multiplied in) and one buffer: fast as long as all is tiny."""

    def __init__(self, wiring: Wiring, X: np.ndarray) -> None:
        super().__init__(wiring, X)
        self.buffer = torch.zeros(wiring.n_nodes)
        self.steps = []
        for level, (weight, bias) in zip(self.levels, self.plain, strict=True):
            matrix = torch.zeros(level.size, level.first)
            matrix[level.rows, level.sources] = weight
            before, own = self.buffer[: level.first], self.buffer[level.first : level.last]
            self.steps.append((matrix, bias[:, 0].clone(), before, own, own[: level.hidden]))

    def values(self) -> Any:
        self.buffer[: self.wiring.n_inputs] = self.x[:, 0]
        for matrix, bias, before, own, hidden in self.steps:
            torch.addmv(bias, matrix, before, out=own)
            hidden.relu_()
        return self.buffer[self.outputs][None]
