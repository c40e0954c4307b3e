"""JAX: the level loop unrolled under ``jit``, ``segment_sum`` or equal degrees; ``scan`` for a chain."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from .graphs import Missing, Wiring
from .oracle import Answer

try:
    import jax
    import jax.numpy as jnp
except ImportError:
    jax = None


class JaxPeer:
    """Value and gradient, compiled at construction (the table's "before" column is mostly that)."""

    def __init__(self, wiring: Wiring, X: np.ndarray, y: np.ndarray) -> None:
        if jax is None:
            raise Missing("JAX is not installed")
        self.wiring = wiring
        self.x, self.y = jnp.asarray(X.T), jnp.asarray(y.T)
        self.theta = self.parameters()
        self.step = jax.jit(jax.value_and_grad(self.loss)).lower(self.theta, self.x, self.y).compile()

    def parameters(self) -> Any:
        raise NotImplementedError

    def loss(self, theta: Any, x: Any, y: Any) -> Any:
        raise NotImplementedError

    def __call__(self) -> Any:
        return jax.block_until_ready(self.step(self.theta, self.x, self.y))

    def answer(self) -> Answer:
        loss, gradient = self()
        weights, biases = (np.concatenate([np.ravel(g) for g in part]) for part in gradient)
        return Answer(float(loss), weights, np.concatenate([np.zeros(self.wiring.n_inputs), biases]))


class JaxLevels(JaxPeer):
    """``segment_sum`` of gathered terms a level (``equal=True``: a sum over the axis of equal degrees)."""

    def __init__(self, wiring: Wiring, X: np.ndarray, y: np.ndarray, *, equal: bool = False) -> None:
        degrees = np.diff(wiring.indptr)
        self.levels = [(int(a), int(b)) for a, b in pairwise(wiring.level_starts[1:])]
        self.equal = equal
        if len(self.levels) > 1_000:
            raise Missing("JAX: a loop unrolled over more than 1,000 levels does not finish compiling")
        if equal and any(np.ptp(degrees[a:b]) for a, b in self.levels):
            raise Missing("JAX, equal degrees: the nodes of a level have different ones")
        super().__init__(wiring, X, y)

    def parameters(self) -> Any:
        w = self.wiring
        weights = [jnp.asarray(w.weights[w.indptr[a] : w.indptr[b]]) for a, b in self.levels]
        return weights, [jnp.asarray(w.biases[a:b]) for a, b in self.levels]

    def loss(self, theta: Any, x: Any, y: Any) -> Any:
        w, h = self.wiring, x
        for (a, b), weight, bias in zip(self.levels, *theta, strict=True):
            edges = slice(w.indptr[a], w.indptr[b])
            terms = h[w.sources[edges]] * weight[:, None]
            if self.equal:
                z = terms.reshape(b - a, -1, x.shape[1]).sum(1)
            else:
                z = jax.ops.segment_sum(terms, w.targets[edges] - a, b - a, indices_are_sorted=True)
            z += bias[:, None]
            h = jnp.concatenate([h, jnp.where(w.is_output[a:b, None], z, jax.nn.relu(z))])
        return ((h[w.outputs] - y) ** 2).sum() / x.shape[1]


class JaxChain(JaxPeer):
    """``lax.scan``, which is there for a chain and for nothing irregular."""

    def parameters(self) -> Any:
        return [jnp.asarray(self.wiring.weights)], [jnp.asarray(self.wiring.biases[1:])]

    def loss(self, theta: Any, x: Any, y: Any) -> Any:
        (weights,), (biases,) = theta

        def link(h: Any, pair: Any) -> Any:
            weight, bias = pair
            return jax.nn.relu(h * weight + bias), None

        h, _ = jax.lax.scan(link, x[0], (weights[:-1], biases[:-1]))
        return ((h * weights[-1] + biases[-1] - y) ** 2).sum() / x.shape[1]
