"""PyTorch at its best: the same network, level by level, in every idiom that autograd carries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from .graphs import Missing, Wiring
from .oracle import Answer

try:
    import torch
    import torch.nn.functional as F
    from torch.nn import Parameter
except ImportError:  # the table then says so
    torch = None  # type: ignore[assignment]


def function_of(wiring: Wiring) -> Any:
    """The hidden nodes' activation."""
    need_torch()
    known = {"relu": torch.relu, "sin": torch.sin}
    if wiring.activation not in known:
        raise Missing(f"PyTorch's contenders have no activation {wiring.activation!r}")
    return known[wiring.activation]


def need_torch() -> None:
    if torch is None:
        raise Missing("PyTorch is not installed")


@dataclass
class Level:
    """Nodes first … last of one level and the edges into them, as tensors."""

    first: int
    last: int
    sources: Any
    rows: Any  # target - first of each edge
    offsets: Any  # where each node's edges start
    weight: Any
    bias: Any  # (nodes, 1)
    hidden: int  # so many of the nodes, the first ones, have an activation; the others are outputs
    degree: int | None  # where all nodes have the same
    function: Any  # that activation

    @property
    def size(self) -> int:
        return self.last - self.first

    def activate(self, z: Any) -> list[Any]:
        """The level's values, in one or two parts to concatenate."""
        if self.hidden == self.size:
            return [self.function(z)]
        return [self.function(z[: self.hidden]), z[self.hidden :]]


def levels_of(wiring: Wiring) -> list[Level]:
    """The levels behind the inputs, each with parameters of its own."""
    need_torch()
    return [_level(wiring, int(a), int(b)) for a, b in pairwise(wiring.level_starts[1:])]


def _level(wiring: Wiring, first: int, last: int) -> Level:
    start, stop = wiring.indptr[first], wiring.indptr[last]
    degrees = np.diff(wiring.indptr[first : last + 1])
    return Level(
        first,
        last,
        torch.tensor(wiring.sources[start:stop]),
        torch.tensor(wiring.targets[start:stop] - first),
        torch.tensor(wiring.indptr[first:last] - start),
        Parameter(torch.tensor(wiring.weights[start:stop])),
        Parameter(torch.tensor(wiring.biases[first:last])[:, None]),
        int((~wiring.is_output[first:last]).sum()),
        int(degrees[0]) if (degrees == degrees[0]).all() else None,
        function_of(wiring),
    )


# Each idiom: values of all earlier nodes (nodes, rows) and a level -> the level's pre-activations.


def gather_bmm(h: Any, level: Level) -> Any:
    parents = h.index_select(0, level.sources).view(level.size, level.degree, -1)
    weight = level.weight.view(level.size, 1, level.degree)
    return torch.baddbmm(level.bias[:, None], weight, parents).squeeze(1)


def gather_index_add(h: Any, level: Level) -> Any:
    terms = h.index_select(0, level.sources) * level.weight[:, None]
    return level.bias.expand(level.size, h.shape[1]).index_add(0, level.rows, terms)


def embedding_bag(h: Any, level: Level) -> Any:
    summed = F.embedding_bag(level.sources, h, level.offsets, mode="sum", per_sample_weights=level.weight)
    return summed + level.bias


def sparse_mm(h: Any, level: Level) -> Any:
    index = torch.stack([level.rows, level.sources])
    matrix = torch.sparse_coo_tensor(
        index, level.weight, (level.size, len(h)), is_coalesced=True, check_invariants=False
    )
    return torch.sparse.mm(matrix, h) + level.bias


class TorchPeer:
    """What all PyTorch contenders share: forward and backward; the answer in the wiring's order."""

    def __init__(self, wiring: Wiring, X: np.ndarray, y: np.ndarray) -> None:
        need_torch()
        self.wiring = wiring
        self.x, self.y = torch.tensor(X.T.copy()), torch.tensor(y.T.copy())  # (units, rows)
        self.outputs = torch.tensor(wiring.outputs)
        self.parameters: list[Any] = []

    def take(self, x: Any, y: Any) -> None:
        """Learn from other rows, (rows, inputs) and (rows, outputs), on the parameters' device."""
        self.x, self.y = x.T.contiguous(), y.T.contiguous()

    def to(self, device: str) -> Any:
        """Itself, with all of its tensors on a device."""
        self.x, self.y, self.outputs = (t.to(device) for t in (self.x, self.y, self.outputs))
        for parameter in self.parameters:
            parameter.data = parameter.data.to(device)
        return self

    def loss(self) -> Any:
        raise NotImplementedError

    def gradients(self) -> tuple[np.ndarray, np.ndarray]:
        """∂loss/∂weights (edges,) and ∂loss/∂biases of the computed nodes, after a step."""
        raise NotImplementedError

    def error(self, h: Any) -> Any:
        return ((h.index_select(0, self.outputs) - self.y) ** 2).sum() / self.y.shape[1]

    def __call__(self) -> Any:
        for parameter in self.parameters:
            parameter.grad = None
        loss = self.loss()
        loss.backward()
        return loss

    def answer(self) -> Answer:
        loss = float(self().detach())
        weights, biases = self.gradients()
        return Answer(loss, weights, np.concatenate([np.zeros(self.wiring.n_inputs), biases]))


def joined(tensors: list[Any]) -> np.ndarray:
    return np.concatenate([t.cpu().numpy().ravel() for t in tensors])


class Levelwise(TorchPeer):
    """A loop over levels; values so far grow by ``torch.cat`` (faster than writing into a buffer)."""

    def __init__(self, wiring: Wiring, X: np.ndarray, y: np.ndarray, idiom: Callable[..., Any]) -> None:
        super().__init__(wiring, X, y)
        self.levels, self.idiom = levels_of(wiring), idiom
        if idiom is gather_bmm and any(level.degree is None for level in self.levels):
            raise Missing("gather + bmm needs nodes of equal degree in each level")
        self.parameters = [p for level in self.levels for p in (level.weight, level.bias)]

    def loss(self) -> Any:
        h = self.x
        for level in self.levels:
            h = torch.cat([h, *level.activate(self.idiom(h, level))])
        return self.error(h)

    def gradients(self) -> tuple[np.ndarray, np.ndarray]:
        return joined([lv.weight.grad for lv in self.levels]), joined([lv.bias.grad for lv in self.levels])


class Compiled(Levelwise):
    """The same loop through ``torch.compile``."""

    def __init__(self, wiring: Wiring, X: np.ndarray, y: np.ndarray, idiom: Callable[..., Any]) -> None:
        super().__init__(wiring, X, y, idiom)
        self._loss = torch.compile(super().loss, dynamic=False)

    def loss(self) -> Any:
        return self._loss()


class MaskedLinear(TorchPeer):
    """A dense weight matrix and a mask a level, as it is most often written; rows first."""

    def __init__(self, wiring: Wiring, X: np.ndarray, y: np.ndarray) -> None:
        super().__init__(wiring, X, y)
        self.levels = levels_of(wiring)
        cells = sum(level.size * level.first for level in self.levels)
        if cells > 150_000_000:
            raise Missing(f"masked linear: {cells:,} matrix cells are more than this machine should hold")
        self.masks, self.dense = [], []
        for level in self.levels:
            mask, weight = torch.zeros(level.size, level.first), torch.zeros(level.size, level.first)
            mask[level.rows, level.sources] = 1
            weight[level.rows, level.sources] = level.weight.detach()
            self.masks.append(mask)
            self.dense.append(Parameter(weight))
            level.bias = Parameter(level.bias.detach().squeeze(1))
        self.parameters = [*self.dense, *(level.bias for level in self.levels)]
        self.x = self.x.T.contiguous()

    def take(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y.T

    def to(self, device: str) -> Any:
        self.masks = [mask.to(device) for mask in self.masks]
        return super().to(device)

    def loss(self) -> Any:
        h = self.x
        for level, weight, mask in zip(self.levels, self.dense, self.masks, strict=True):
            z = F.linear(h, weight * mask, level.bias)
            h = torch.cat([h, level.function(z[:, : level.hidden]), z[:, level.hidden :]], dim=1)
        return self.error(h.T)

    def gradients(self) -> tuple[np.ndarray, np.ndarray]:
        pairs = zip(self.dense, self.levels, strict=True)
        weights = [weight.grad.cpu()[level.rows, level.sources] for weight, level in pairs]
        return joined(weights), joined([level.bias.grad for level in self.levels])


class BlockedBags(TorchPeer):
    """Levels in blocks: one embedding_bag a block for edges from before it, one a level for the rest.

    Autograd hands each consumer of a tensor a gradient of the tensor's whole size, which makes a loop
    over L levels cost nodes x L; this makes it nodes x blocks.  Nobody's tutorial, but the fastest found.
    """

    def __init__(self, wiring: Wiring, X: np.ndarray, y: np.ndarray, block: int = 8) -> None:
        super().__init__(wiring, X, y)
        levels = levels_of(wiring)
        self.blocks = [self._block(wiring, levels[k : k + block]) for k in range(0, len(levels), block)]
        self.parameters = [p for b in self.blocks for p in (b["weight"], b["bias"], *b["inner"])]

    @staticmethod
    def _block(wiring: Wiring, levels: list[Level]) -> dict[str, Any]:
        first, last = levels[0].first, levels[-1].last
        edges = np.arange(wiring.indptr[first], wiring.indptr[last])
        old = edges[wiring.sources[edges] < first]
        own = []
        for level in levels:
            mine = np.arange(wiring.indptr[level.first], wiring.indptr[level.last])
            own.append(mine[wiring.sources[mine] >= first])
        return {
            "levels": levels,
            "sizes": [level.size for level in levels],
            "edges": np.concatenate([old, *own]),
            "sources": torch.tensor(wiring.sources[old]),
            "offsets": torch.tensor(np.searchsorted(wiring.targets[old], np.arange(first, last))),
            "weight": Parameter(torch.tensor(wiring.weights[old])),
            "bias": Parameter(torch.tensor(wiring.biases[first:last])[:, None]),
            "inner": [Parameter(torch.tensor(wiring.weights[e])) for e in own],
            "inner_sources": [torch.tensor(wiring.sources[e] - first) for e in own],
            "inner_offsets": [
                torch.tensor(np.searchsorted(wiring.targets[e], np.arange(level.first, level.last)))
                for e, level in zip(own, levels, strict=True)
            ],
        }

    def loss(self) -> Any:
        h = self.x
        for b in self.blocks:
            z = F.embedding_bag(b["sources"], h, b["offsets"], mode="sum", per_sample_weights=b["weight"])
            first, *rest = (z + b["bias"]).split(b["sizes"])
            new = torch.cat(b["levels"][0].activate(first))
            for k, part in enumerate(rest, 1):
                index, offsets, weight = (b[name][k] for name in ("inner_sources", "inner_offsets", "inner"))
                bag = F.embedding_bag(index, new, offsets, mode="sum", per_sample_weights=weight)
                new = torch.cat([new, *b["levels"][k].activate(bag + part)])
            h = torch.cat([h, new])
        return self.error(h)

    def gradients(self) -> tuple[np.ndarray, np.ndarray]:
        weights = np.empty(self.wiring.n_edges)
        for b in self.blocks:
            none = torch.zeros(0)
            inner = [none if p.grad is None else p.grad for p in b["inner"]]
            weights[b["edges"]] = joined([b["weight"].grad, *inner])
        return weights, joined([b["bias"].grad for b in self.blocks])


class Chain(TorchPeer):
    """A chain, node by node: three operations a level and no state to gather from."""

    def __init__(self, wiring: Wiring, X: np.ndarray, y: np.ndarray) -> None:
        super().__init__(wiring, X, y)
        self.weight = Parameter(torch.tensor(wiring.weights))
        self.bias = Parameter(torch.tensor(wiring.biases[1:]))
        self.parameters = [self.weight, self.bias]

    def loss(self) -> Any:
        h = self.x[0]
        weights, biases = self.weight.unbind(), self.bias.unbind()
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            h = torch.relu(torch.addcmul(bias, h, weight))
        return ((torch.addcmul(biases[-1], h, weights[-1]) - self.y) ** 2).sum() / self.y.shape[1]

    def gradients(self) -> tuple[np.ndarray, np.ndarray]:
        return joined([self.weight.grad]), joined([self.bias.grad])
