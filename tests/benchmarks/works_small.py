"""Small networks: one row at a time, a whole population at once, and trained on small batches."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from . import graphs, oracle, subject
from .graphs import Wiring
from .measure import measure
from .peers_neat import activate_rows, neat_network
from .peers_row import RowBags, RowDense
from .peers_torch import Levelwise, MaskedLinear, embedding_bag, gather_index_add, need_torch, torch
from .work import DAGNET, Conditions, Entry, Outcome, ready, timed

NEAT, TORCH = "neat-python", "PyTorch"
STEPS, BATCH, RATE = 100, 32, 1e-3  # a call of ``small_fit`` is an epoch of so many batches


class Call:
    """``net(X)``."""

    def __init__(self, wiring: Wiring, X: np.ndarray, threads: int) -> None:
        self.net, self.X = subject.build(wiring, threads), X

    def __call__(self) -> np.ndarray:
        return self.net(self.X)


class NeatRow:
    """``network.activate(row)``."""

    def __init__(self, wiring: Wiring, X: np.ndarray) -> None:
        self.network, self.row = neat_network(wiring), X[0].tolist()

    def __call__(self) -> list[float]:
        return self.network.activate(self.row)


def single(conditions: Conditions) -> Outcome:
    """One row, 200 nodes, 1,000 edges."""
    outcome = Outcome("one row through 200 nodes, 1,000 edges", unit="µs")
    wiring = graphs.small_net()
    X, _ = wiring.data(1)

    def torch_row(kind: Any) -> Any:
        need_torch()
        return kind(wiring, X)

    entries = [
        Entry("dagnet net(x)", DAGNET, partial(Call, wiring, X, conditions.threads)),
        Entry("neat-python activate", NEAT, partial(NeatRow, wiring, X)),
        Entry("PyTorch, embedding_bag a level", TORCH, partial(torch_row, RowBags)),
        Entry("PyTorch, dense matrix a level, one buffer", TORCH, partial(torch_row, RowDense)),
    ]
    timed(entries, outcome, conditions, oracle.values(wiring, X)[wiring.outputs].T)
    outcome.at_least(NEAT, 10)
    outcome.at_least(TORCH, 10)
    return outcome


class NeatPopulation:
    """Every member on a few of the rows; times are scaled up to all of them."""

    def __init__(self, members: list[Wiring], X: np.ndarray) -> None:
        self.networks, self.X = [neat_network(member) for member in members], X

    def __call__(self) -> list[np.ndarray]:
        return [activate_rows(network, self.X) for network in self.networks]


def population(conditions: Conditions) -> Outcome:
    """1,000 different networks of 20 to 60 nodes, 1,000 rows each."""
    size, rows = (100, 100) if conditions.quick else (1_000, 1_000)
    part = rows // 100 if rows >= 1_000 else 1
    outcome = Outcome(f"{size:,} small networks, {rows:,} rows, as one disjoint union")
    members = graphs.population(size)
    joined, columns = graphs.union(members)
    X = np.random.default_rng(2).standard_normal((rows, members[0].n_inputs), dtype=np.float32)
    truth = np.concatenate([oracle.values(m, X[:part])[m.outputs].T for m in members], axis=1)

    def judge(call: Any) -> str | None:
        got = call()
        got = np.concatenate(got, axis=1) if isinstance(got, list) else got[:part]
        error = np.abs(got - truth).max() / np.abs(truth).max()
        return None if error <= 1e-4 else f"wrong: its values are off by {error:.1e}"

    entries = [
        Entry("dagnet net(X)", DAGNET, partial(Call, joined, X[:, columns], conditions.threads)),
        Entry("neat-python, row by row", NEAT, partial(NeatPopulation, members, X[:part])),
    ]
    contenders = ready(entries, outcome, judge)
    outcome.timings = measure(contenders, conditions.seconds)
    for timing in outcome.timings:
        if timing.contender.family == NEAT:
            timing.samples = [sample * rows / part for sample in timing.samples]
            outcome.notes.append(f"neat-python was timed on {part} of the {rows:,} rows and scaled up")
    outcome.notes.append(f"{joined.n_nodes:,} nodes, {joined.n_edges:,} edges in all")
    outcome.at_least(NEAT, 100)
    return outcome


class Fit:
    """An epoch of ``fit``, shuffled, Adam."""

    def __init__(self, wiring: Wiring, X: np.ndarray, y: np.ndarray, threads: int) -> None:
        self.wiring, self.threads, self.X, self.y = wiring, threads, X, y
        self.net = subject.build(wiring, threads)

    def __call__(self) -> Any:
        return subject.fit(self.net, self.X, self.y, epochs=1, batch_size=BATCH, learning_rate=RATE)

    def losses(self) -> np.ndarray:
        """Of three epochs of one batch, from the start."""
        net = subject.build(self.wiring, self.threads)
        history = subject.fit(
            net, self.X[:BATCH], self.y[:BATCH], epochs=3, batch_size=BATCH, learning_rate=RATE
        )
        return np.array(history["loss"])


class TorchLoop:
    """The usual loop around a PyTorch contender: shuffled index, fused Adam."""

    def __init__(self, make: Any, wiring: Wiring, X: np.ndarray, y: np.ndarray) -> None:
        self.fresh = partial(make, wiring, X[:BATCH], y[:BATCH])
        self.peer = self.fresh()
        self.X, self.y = torch.tensor(X), torch.tensor(y)
        self.optimizer = torch.optim.Adam(self.peer.parameters, lr=RATE, fused=True)

    def __call__(self) -> None:
        order = torch.randperm(len(self.X))
        for k in range(0, len(order), BATCH):
            rows = order[k : k + BATCH]
            self.peer.take(self.X[rows], self.y[rows])
            self.peer()
            self.optimizer.step()

    def losses(self) -> np.ndarray:
        peer = self.fresh()
        optimizer = torch.optim.Adam(peer.parameters, lr=RATE, fused=True)
        found = []
        for _ in range(3):
            found.append(float(peer().detach()))
            optimizer.step()
        return np.array(found)


def small_fit(conditions: Conditions) -> Outcome:
    """200 nodes, 1,000 edges, batches of 32 rows, a step of Adam inside ``fit``."""
    outcome = Outcome("200 nodes, 1,000 edges, 32 rows, a training step with Adam", unit="µs")
    wiring = graphs.small_net()
    X, y = wiring.data(STEPS * BATCH)
    start = oracle.answer(wiring, X[:BATCH], y[:BATCH]).loss

    def judge(call: Any) -> str | None:
        losses = call.losses()
        right = np.isclose(losses[0], start, rtol=1e-4) and (np.diff(losses) < 0).all()
        return None if right else f"wrong: losses {losses}, the first should be {start:.6g}"

    def torch_loop(make: Any) -> TorchLoop:
        need_torch()
        return TorchLoop(make, wiring, X, y)

    idioms = {
        "gather, index_add": partial(Levelwise, idiom=gather_index_add),
        "embedding_bag": partial(Levelwise, idiom=embedding_bag),
        "masked linear": MaskedLinear,
    }
    entries = [Entry("dagnet fit", DAGNET, partial(Fit, wiring, X, y, conditions.threads), STEPS)]
    entries += [
        Entry(f"PyTorch loop, {name} a level", TORCH, partial(torch_loop, make), STEPS)
        for name, make in idioms.items()
    ]
    outcome.timings = measure(ready(entries, outcome, judge), conditions.seconds)
    outcome.notes.append(f"{wiring.level[-1]} levels, {len(wiring.outputs)} outputs, float32")
    outcome.at_least(TORCH, 20)
    return outcome
