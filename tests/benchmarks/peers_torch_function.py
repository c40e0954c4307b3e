"""PyTorch without autograd's bookkeeping: a hand-written Function on preallocated buffers."""

from __future__ import annotations

from typing import Any

import numpy as np

from .graphs import Missing, Wiring
from .peers_torch import Level, TorchPeer, joined, levels_of, torch

_SUM = 0  # embedding_bag's mode


def bag(values: Any, index: Any, offsets: Any, weights: Any) -> Any:
    """Weighted sums of rows of ``values``; ``offsets`` ends with the number of entries."""
    return torch.ops.aten._embedding_bag_forward_only(
        values, index, offsets, False, _SUM, False, weights, True
    )


class HandWritten(TorchPeer):
    """One Function for the whole network; flat parameters; values and deltas in fixed buffers."""

    def __init__(self, wiring: Wiring, X: np.ndarray, y: np.ndarray) -> None:
        super().__init__(wiring, X, y)
        self.levels: list[Level] = levels_of(wiring)
        self.weight = torch.nn.Parameter(torch.tensor(wiring.weights))
        self.bias = torch.nn.Parameter(torch.tensor(wiring.biases)[:, None])
        self.parameters = [self.weight, self.bias]
        rows = len(X)
        self.values, self.deltas = torch.zeros(wiring.n_nodes, rows), torch.zeros(wiring.n_nodes, rows)
        self.values[: wiring.n_inputs] = self.x
        self.slopes = torch.zeros(wiring.n_nodes, rows) if wiring.activation == "sin" else None
        self.weight_gradient = torch.zeros(wiring.n_edges)
        self.function = self._function()

    def _function(self) -> Any:
        peer = self

        class Network(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, weight: Any, bias: Any) -> Any:
                peer.walk_forward(weight, bias)
                ctx.save_for_backward(weight)
                return peer.values.index_select(0, peer.outputs)

            @staticmethod
            def backward(ctx: Any, gradient: Any) -> Any:
                (weight,) = ctx.saved_tensors
                peer.deltas.zero_()
                peer.deltas.index_copy_(0, peer.outputs, gradient)
                peer.walk_backward(weight)
                biases = peer.deltas.sum(1, keepdim=True)
                biases[: peer.wiring.n_inputs] = 0
                return peer.weight_gradient, biases

        return Network

    def walk_forward(self, weight: Any, bias: Any) -> None:
        raise NotImplementedError

    def walk_backward(self, weight: Any) -> None:
        raise NotImplementedError

    def store(self, level: Level, z: Any) -> None:
        middle = level.first + level.hidden
        hidden = slice(level.first, middle)
        if self.slopes is None:
            torch.clamp_min(z[: level.hidden], 0, out=self.values[hidden])
        else:
            torch.sin(z[: level.hidden], out=self.values[hidden])
            torch.cos(z[: level.hidden], out=self.slopes[hidden])
        if middle < level.last:
            self.values[middle : level.last] = z[level.hidden :]

    def gate(self, hidden: slice, pulled: Any) -> None:
        """δ of a level's hidden nodes: what was pulled, times the slope (1 or 0 for relu)."""
        if self.slopes is not None:
            torch.mul(pulled, self.slopes[hidden], out=self.deltas[hidden])
            return
        torch.ops.aten.threshold_backward.grad_input(
            pulled, self.values[hidden], 0, grad_input=self.deltas[hidden]
        )

    def loss(self) -> Any:
        return ((self.function.apply(self.weight, self.bias) - self.y) ** 2).sum() / self.y.shape[1]

    def gradients(self) -> tuple[np.ndarray, np.ndarray]:
        return joined([self.weight.grad]), joined([self.bias.grad])[self.wiring.n_inputs :]


class HandWrittenBags(HandWritten):
    """embedding_bag's kernels both ways: over parents forward, over children backward."""

    def __init__(self, wiring: Wiring, X: np.ndarray, y: np.ndarray) -> None:
        super().__init__(wiring, X, y)
        back = np.argsort(wiring.sources, kind="stable")
        starts = np.searchsorted(wiring.sources[back], np.arange(wiring.n_nodes + 1))
        self.back = torch.tensor(back)
        parents, children = torch.tensor(wiring.sources), torch.tensor(wiring.targets[back])
        self.forth = [self._bags(wiring.indptr, lv.first, lv.last, parents) for lv in self.levels]
        self.pulls = [self._bags(starts, lv.first, lv.first + lv.hidden, children) for lv in self.levels]
        self.pattern = torch.sparse_csr_tensor(
            torch.tensor(wiring.indptr), parents, torch.zeros(wiring.n_edges), (wiring.n_nodes,) * 2
        )

    @staticmethod
    def _bags(starts: np.ndarray, first: int, last: int, index: Any) -> tuple[slice, slice, Any, Any]:
        """Nodes first … last: they, their entries, the entries' indices, where each node's entries start."""
        entries = slice(int(starts[first]), int(starts[last]))
        return (
            slice(first, last),
            entries,
            index[entries],
            torch.tensor(starts[first : last + 1] - entries.start),
        )

    def walk_forward(self, weight: Any, bias: Any) -> None:
        for level, (nodes, entries, index, offsets) in zip(self.levels, self.forth, strict=True):
            z = bag(self.values, index, offsets, weight[entries])[0]
            self.store(level, z.add_(bias[nodes]))

    def walk_backward(self, weight: Any) -> None:
        out = weight.index_select(0, self.back)
        for hidden, entries, index, offsets in reversed(self.pulls):
            if len(index):
                self.gate(hidden, bag(self.deltas, index, offsets, out[entries])[0])
        # every edge's δ·a at once: a matrix product of which only the edges' cells are computed
        product = torch.sparse.sampled_addmm(self.pattern, self.deltas, self.values.T, beta=0)
        self.weight_gradient = product.values()


class HandWrittenBmm(HandWritten):
    """Gather and batched matrix products into buffers; gradients pushed by index_add."""

    def __init__(self, wiring: Wiring, X: np.ndarray, y: np.ndarray) -> None:
        super().__init__(wiring, X, y)
        if any(level.degree is None for level in self.levels):
            raise Missing("gather + bmm needs nodes of equal degree in each level")
        self.gathered = torch.empty(wiring.n_edges, len(X))

    def _part(self, level: Level) -> slice:
        return slice(int(self.wiring.indptr[level.first]), int(self.wiring.indptr[level.last]))

    def walk_forward(self, weight: Any, bias: Any) -> None:
        for level in self.levels:
            part = self._part(level)
            parents = torch.index_select(self.values, 0, level.sources, out=self.gathered[part])
            shape = level.size, level.degree, -1
            z = torch.baddbmm(
                bias[level.first : level.last, None],
                weight[part].view(level.size, 1, level.degree),
                parents.view(shape),
            )
            self.store(level, z.squeeze(1))

    def walk_backward(self, weight: Any) -> None:
        for level in self.levels[::-1]:
            part, run = self._part(level), slice(level.first, level.last)
            hidden = slice(level.first, level.first + level.hidden)
            self.gate(hidden, self.deltas[hidden])
            delta = self.deltas[run]
            parents = self.gathered[part].view(level.size, level.degree, -1)
            torch.bmm(
                parents,
                delta[:, :, None],
                out=self.weight_gradient[part].view(level.size, level.degree, 1),
            )
            terms = weight[part].view(level.size, level.degree, 1) * delta[:, None]
            self.deltas.index_add_(0, level.sources, terms.view(len(level.sources), -1))
