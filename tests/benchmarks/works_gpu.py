"""Training steps on a card, all numbers resident: dagnet's torch engine, kpnn2, masked PyTorch.

``DAGNET_BENCHMARK_DEVICE=cpu`` runs the same code on small networks without a card; its figures say nothing.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from . import graphs, oracle, subject
from .graphs import Missing, Wiring
from .measure import measure
from .peers_kpnn2 import Kpnn2
from .peers_torch import MaskedLinear, TorchPeer, need_torch, torch
from .work import DAGNET, Conditions, Entry, Outcome, ready

DEVICE = os.environ.get("DAGNET_BENCHMARK_DEVICE", "cuda")
ROWS, BATCHES, RATE = (256, 4_096), 4, 1e-3
KPNN2, MASKED = "kpnn2", "masked PyTorch"


def finish() -> None:
    """Wait for the card, which works on after a call has come back."""
    if DEVICE.startswith("cuda"):
        torch.cuda.synchronize(DEVICE)


class Epoch:
    """``BATCHES`` steps of Adam, a call; row numbers in an order that is drawn once."""

    def __init__(self, wiring: Wiring, X: np.ndarray, y: np.ndarray, order: list[np.ndarray]) -> None:
        self.wiring, self.X, self.y, self.order = wiring, X, y, order

    def __call__(self) -> None:
        for rows in self.order:
            self.step(rows)
        finish()

    def step(self, rows: Any) -> float:
        """One step; its loss, perhaps still on the card."""
        raise NotImplementedError

    def fresh(self) -> Epoch:
        """The same from the start."""
        return type(self)(self.wiring, self.X, self.y, self.order)

    def answer(self) -> oracle.Answer:
        """Loss and gradient of the first batch at the start."""
        raise NotImplementedError

    def fault(self, truth: oracle.Answer, second: float) -> str | None:
        """Against the oracle: the gradient, and the loss of the second batch behind a step of Adam."""
        if not (error := oracle.disagreement(self.answer(), truth)) <= 2e-3:
            return f"wrong: its gradient is off by {error:.1e}"
        start = self.fresh()
        losses = [float(start.step(rows)) for rows in start.order[:2]]
        right = np.allclose(losses, [truth.loss, second], rtol=5e-3)
        return None if right else f"wrong: losses {losses}, should be {[truth.loss, second]}"


class Ours(Epoch):
    """The engine's learner, as ``fit`` calls it."""

    def __init__(self, wiring: Wiring, X: np.ndarray, y: np.ndarray, order: list[np.ndarray]) -> None:
        super().__init__(wiring, X, y, order)
        self.engine = f"torch(device={DEVICE!r})"
        self.steps = subject.ResidentSteps(wiring, X, y, len(order[0]), self.engine, RATE)

    def step(self, rows: np.ndarray) -> float:
        return self.steps(rows)

    def answer(self) -> oracle.Answer:
        rows = self.order[0]
        return subject.RawStep(self.wiring, self.X[rows], self.y[rows], 1, self.engine).answer()


class Peer(Epoch):
    """The usual loop around a PyTorch contender: rows by index on the card, fused Adam."""

    make: Callable[..., TorchPeer]

    def __init__(self, wiring: Wiring, X: np.ndarray, y: np.ndarray, order: list[Any]) -> None:
        need_torch()
        super().__init__(wiring, X, y, [torch.as_tensor(rows, device=DEVICE) for rows in order])
        self.peer = self.first_batch()
        self.data = torch.tensor(X, device=DEVICE), torch.tensor(y, device=DEVICE)
        self.optimizer = torch.optim.Adam(self.peer.parameters, lr=RATE, fused=True)

    def first_batch(self) -> TorchPeer:
        rows = np.asarray(self.order[0].cpu())
        return self.make(self.wiring, self.X[rows], self.y[rows]).to(DEVICE)

    def step(self, rows: Any) -> Any:
        X, y = self.data
        self.peer.take(X[rows], y[rows])
        loss = self.peer()
        self.optimizer.step()
        return loss.detach()

    def answer(self) -> oracle.Answer:
        return self.first_batch().answer()


class Kpnn2Epoch(Peer):
    make = Kpnn2


class MaskedEpoch(Peer):
    make = MaskedLinear


def second_loss(wiring: Wiring, first: oracle.Answer, X: np.ndarray, y: np.ndarray) -> float:
    """The loss behind the first step of Adam, which is -rate·g/(|g| + 1e-8)."""
    moved = [
        values - RATE * slopes / (np.abs(slopes) + 1e-8)
        for values, slopes in ((wiring.weights, first.weights), (wiring.biases, first.biases))
    ]
    there = graphs.replace(wiring, weights=moved[0], biases=moved[1])
    return float(((oracle.values(there, X)[wiring.outputs].T - y) ** 2).sum() / len(X))


def networks(*, small: bool) -> dict[str, Callable[[], Wiring]]:
    """What is measured, by name; ``small`` is for a run that proves the code."""
    if small:
        return {
            "irregular": partial(graphs.random_dag, 20, 300, 5),
            "Reactome": graphs.reactome,
            "DrugCell": partial(graphs.terms, 40, 3, 60),
            "layered": partial(layered, (20, 16, 16, 4)),
        }
    return {
        "irregular": graphs.random_dag,
        "Reactome": graphs.reactome,
        "DrugCell": graphs.terms,
        "layered": partial(layered, (784, 512, 512, 10)),
    }


def layered(sizes: tuple[int, ...]) -> Wiring:
    """A multilayer perceptron, edge by edge."""
    starts = np.cumsum([0, *sizes])
    pairs = [
        np.meshgrid(np.arange(starts[k], starts[k + 1]), np.arange(starts[k + 1], starts[k + 2]))
        for k, _ in enumerate(pairwise(sizes))
    ]
    sources, targets = (np.concatenate([pair[end].ravel() for pair in pairs]) for end in (0, 1))
    return graphs.wire("layered", int(starts[-1]), sizes[0], sources, targets)


def race_on(name: str, wiring: Wiring, rows: int, outcome: Outcome, conditions: Conditions) -> None:
    """One network and number of rows: judged, timed by turns, and let go of."""
    X, y = wiring.data(BATCHES * rows)
    order = list(np.random.default_rng(0).permutation(len(X)).reshape(BATCHES, rows))
    truth = oracle.answer(wiring, X[order[0]], y[order[0]])
    second = second_loss(wiring, truth, X[order[1]], y[order[1]])
    makers = {DAGNET: Ours, KPNN2: Kpnn2Epoch, MASKED: MaskedEpoch}
    entries = [
        Entry(f"{key} rows", key, partial(make, wiring, X, y, order), BATCHES)
        for key, make in ((f"{who}, {name}, {rows}", make) for who, make in makers.items())
    ]
    timings = measure(ready(entries, outcome, lambda epoch: epoch.fault(truth, second)), conditions.seconds)
    for timing in timings:
        timing.contender.call = None  # the next network needs the card's memory
        outcome.notes.append(f"{timing.contender.name}: {1e3 / timing.median:,.1f} steps a second")
    outcome.timings += timings
    gc.collect()
    if DEVICE.startswith("cuda"):
        torch.cuda.empty_cache()
        outcome.at_least(f"{KPNN2}, {name}, {rows}", 5, f"{DAGNET}, {name}, {rows}")
        outcome.at_least(f"{MASKED}, {name}, {rows}", 3, f"{DAGNET}, {name}, {rows}")


def gpu(conditions: Conditions) -> Outcome:
    """Irregular, Reactome, DrugCell's shape and layered; 256 and 4,096 rows; a step of Adam."""
    outcome = Outcome(f"training steps on {DEVICE}, data resident", ratios=False)
    card = DEVICE.startswith("cuda")
    if torch is None or (card and not torch.cuda.is_available()):
        what = "PyTorch finds no CUDA device" if torch else "PyTorch is not installed"
        outcome.skipped.append(("all", f"{what} here; DAGNET_BENCHMARK_DEVICE=cpu runs the code, small"))
        return outcome
    outcome.notes.append(torch.cuda.get_device_name(DEVICE) if card else "no card: small, no figures")
    for name, make in networks(small=not card).items():
        for rows in ROWS if card else (8, 32):
            try:
                race_on(name, make(), rows, outcome, conditions)
            except Missing as reason:
                outcome.skipped.append((name, str(reason)))
    return outcome
