"""A multilayer perceptron, trained: dagnet's ``fit`` against PyTorch's loop and the bare matrix products."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from . import subject
from .graphs import layered_digraph
from .measure import measure
from .peers_layered import BATCH, RATE, SIZES, MatrixProducts, TorchLoop, data, losses_by_hand, start
from .work import Conditions, Entry, Outcome, ready

STEPS = 40  # a call is an epoch of so many batches
LOOP, PRODUCTS = "PyTorch loop", "matrix products"


class Fit:
    """An epoch of ``fit``: drawn edge by edge, or as one ``units`` node a layer."""

    def __init__(self, X: np.ndarray, y: np.ndarray, threads: int, *, units: bool) -> None:
        self.net = subject.from_digraph(layered_digraph(SIZES, units=units), threads)
        self.X, self.y, self.units = X, y, units

    def __call__(self) -> Any:
        return subject.fit(self.net, self.X, self.y, epochs=1, batch_size=BATCH, learning_rate=RATE)

    def fault(self) -> str | None:
        """Three batches in order against the formulas."""
        X, y = data(3)
        expected = np.mean(losses_by_hand(subject.layer_matrices(self.net, SIZES, units=self.units), X, y))
        settings = {"epochs": 1, "batch_size": BATCH, "learning_rate": RATE, "shuffle": False}
        return differs(subject.fit(self.net, X, y, **settings)["loss"][0], expected)


class Bare(Fit):
    """The same steps without ``fit`` around them."""

    def __init__(self, X: np.ndarray, y: np.ndarray, threads: int, *, units: bool) -> None:
        super().__init__(X, y, threads, units=units)
        self.steps = subject.BareSteps(self.net, X, y, BATCH, RATE)

    def __call__(self) -> None:
        self.steps()


class CheckedTorchLoop(TorchLoop):
    def fault(self) -> str | None:
        X, y = data(3)
        theirs = [float(loss) for loss in TorchLoop(X, y, shuffle=False)()]
        return differs(np.mean(theirs), np.mean(losses_by_hand(start(), X, y)))


def differs(got: float, expected: float) -> str | None:
    close = np.isclose(got, expected, rtol=1e-4)
    return None if close else f"wrong: mean loss {got:.6g}, by the formulas {expected:.6g}"


def layered(conditions: Conditions) -> Outcome:
    """784-512-512-10, 128 rows, one step of Adam inside ``fit``."""
    outcome = Outcome("layered 784-512-512-10, 128 rows, a training step with Adam")
    X, y = data(STEPS)
    threads = conditions.threads
    entries = [
        Entry("dagnet fit, 668,672 edges", "edges", partial(Fit, X, y, threads, units=False), STEPS),
        Entry("dagnet fit, units nodes", "units", partial(Fit, X, y, threads, units=True), STEPS),
        Entry("dagnet bare steps", "bare", partial(Bare, X, y, threads, units=False), STEPS),
        Entry("PyTorch loop, fused Adam", LOOP, partial(CheckedTorchLoop, X, y), STEPS),
        Entry("PyTorch loop, for-each Adam", LOOP, partial(CheckedTorchLoop, X, y, fused=False), STEPS),
        Entry("NumPy, the matrix products alone", PRODUCTS, partial(MatrixProducts, STEPS), STEPS),
    ]
    contenders = ready(entries, outcome, lambda call: call.fault() if hasattr(call, "fault") else None)
    outcome.timings = measure(contenders, 2 * conditions.seconds)
    for subject_name in ("edges", "units"):
        outcome.at_most(LOOP, 1.0, subject=subject_name)
        outcome.at_most(PRODUCTS, 1.25, subject=subject_name)
    outcome.at_most("bare", 1.05, subject="edges")
    return outcome
