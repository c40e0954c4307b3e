"""What a loss costs: value and gradient on outputs alone, beside PyTorch; and derived gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from . import subject
from .measure import measure
from .peers_losses import DenseLoss, LossAlone, dense_start, formula
from .work import Conditions, Entry, Outcome, ready

ROWS = 128
CASES = (  # loss, outputs, bound on dagnet's time over PyTorch's
    ("cross_entropy", 1_000, 1.2),
    ("cross_entropy", 10_000, 1.2),
    ("binary_cross_entropy_with_logits", 1_000, 1.15),
)
SHORT = {"cross_entropy": "cross-entropy", "binary_cross_entropy_with_logits": "BCE with logits"}
PARENTS = 16  # of each output, behind a dense layer
COLUMNS, HALF = 132, 66
COX_ROWS = 300
WEIGHTS = np.linspace(0.5, 2.0, COLUMNS, dtype=np.float32)


def losses(conditions: Conditions) -> Outcome:
    """Value and gradient as ``fit`` calls them, targets one-hot or 0 and 1.

    The network's outputs are its inputs, so a step is: take the rows in, take the targets in, the
    loss, the gradient.  A real network's outputs are where the loss wants them already, so the
    time to take the rows in, which the network's forward pass alone takes, is subtracted.
    PyTorch's is the mean or sum over rows of the same loss of a leaf tensor, and ``backward()``.
    Both are given the same float32 targets; PyTorch with integer labels is shown, and no target.
    Below it the losses behind a dense layer with 16 inputs, whole steps, as most will meet them.
    """
    outcome = Outcome(f"losses on outputs alone, {ROWS} rows, value and gradient", ratios=False)
    outcome.notes.append("dagnet's figure is its step, less the time to take the rows in; float32")
    for name, width, bound in CASES:
        _loss(outcome, name, width, bound, conditions)
    return outcome


def _loss(outcome: Outcome, name: str, width: int, bound: float, conditions: Conditions) -> None:
    title, threads = f"{SHORT[name]}, {width:,}", conditions.threads
    outputs, targets = _data(name, width)
    inputs = np.random.default_rng(1).standard_normal((ROWS, PARENTS), dtype=np.float32)
    start = dense_start(PARENTS, width)

    def alone() -> subject.Step:
        return subject.Step(subject.outputs_alone(width, name, threads), outputs, targets)

    def dense() -> subject.DenseStep:
        return subject.DenseStep(start, name, inputs, targets, threads)

    entries = [
        Entry(f"{title}: dagnet step", f"{title} step", alone),
        Entry(
            f"{title}: dagnet, rows taken in",
            f"{title} rows",
            lambda: subject.Loading(subject.outputs_alone(width, name, threads), outputs),
        ),
        Entry(f"{title}: PyTorch", f"{title} PyTorch", partial(LossAlone, name, outputs, targets)),
        Entry(f"{title}: dagnet, a dense layer's step", f"{title} dense", dense),
        Entry(
            f"{title}: PyTorch, a dense layer's step",
            f"{title} dense PyTorch",
            partial(DenseLoss, start, name, inputs, targets),
        ),
    ]
    if name == "cross_entropy":
        labels = partial(LossAlone, name, outputs, targets, labels=True)
        entries.insert(3, Entry(f"{title}: PyTorch, labels", f"{title} labels", labels))
    value, pull = formula(name, outputs, targets)
    dense_value, dense_pull = formula(name, inputs @ start[0].T + start[1], targets)

    def judge(call: Any) -> str | None:
        if isinstance(call, subject.Loading):
            return None
        if type(call) is subject.Step:
            return _off([call()], [value])  # its gradient is seen behind the dense layer
        if type(call) is LossAlone:
            return _off(call.answer(), [value, pull])
        return _off(call.answer(), [dense_value, dense_pull.T @ inputs, dense_pull.sum(0)])

    contenders = ready(entries, outcome, judge)
    outcome.timings += measure(contenders, conditions.seconds)
    peer = partial(outcome.fastest, f"{title} PyTorch")
    outcome.check_beyond(f"{title}: dagnet / PyTorch", f"{title} step", f"{title} rows", peer, bound)
    ours, theirs = outcome.fastest(f"{title} dense"), outcome.fastest(f"{title} dense PyTorch")
    if ours and theirs:
        outcome.notes.append(f"{title}, behind a dense layer: dagnet / PyTorch = {ours / theirs:.2f}")


def _data(name: str, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    outputs = rng.standard_normal((ROWS, width), dtype=np.float32)
    if name == "cross_entropy":
        targets = np.zeros((ROWS, width), np.float32)
        targets[np.arange(ROWS), rng.integers(width, size=ROWS)] = 1
    else:
        targets = rng.integers(2, size=(ROWS, width)).astype(np.float32)
    return outputs, targets


def _off(found: Any, wanted: Any, tolerance: float = 1e-4) -> str | None:
    for a, b in zip(found, wanted, strict=True):
        off = np.linalg.norm(np.asarray(a, float) - b) / np.linalg.norm(b)
        if not off <= tolerance:
            return f"wrong: off by {off:.1e}"
    return None


def plain(outputs: Any, targets: Any) -> Any:
    """Every column alike."""
    return np.sum((outputs - targets) ** 2, axis=1)


def plain_gradient(outputs: Any, targets: Any) -> Any:
    return 2 * (outputs - targets)


def halves(outputs: Any, targets: Any) -> Any:
    """The first half of the columns squared, the others absolute."""
    squares = np.sum((outputs[:, :HALF] - targets[:, :HALF]) ** 2, axis=1)
    return squares + np.sum(np.abs(outputs[:, HALF:] - targets[:, HALF:]), axis=1)


def halves_gradient(outputs: Any, targets: Any) -> Any:
    distance = outputs - targets
    return np.concatenate([2 * distance[:, :HALF], np.sign(distance[:, HALF:])], axis=1)


def weighed(outputs: Any, targets: Any) -> Any:
    """Each column with a weight of its own, from an array that the loss closes over."""
    return np.sum(WEIGHTS * (outputs - targets) ** 2, axis=1)


def weighed_gradient(outputs: Any, targets: Any) -> Any:
    return 2 * WEIGHTS * (outputs - targets)


# Cox's partial likelihood (Cox, 1972): |target| is the time, its sign whether something happened then.


def cox_sorted(outputs: Any, targets: Any) -> Any:
    """With a cumulative sum over rows in the order of time."""
    time, event = np.abs(targets[:, 0]), targets[:, 0] > 0
    order = np.argsort(-time)
    back = np.argsort(order)
    at_risk = np.cumsum(np.exp(outputs[order, 0]))[back]
    return np.where(event, np.log(at_risk) - outputs[:, 0], 0)


def cox_sorted_gradient(outputs: Any, targets: Any) -> Any:
    time, event = np.abs(targets[:, 0]), targets[:, 0] > 0
    order = np.argsort(-time)
    back = np.argsort(order)
    hazard = np.exp(outputs[order, 0])
    shares = event[order] / np.cumsum(hazard)
    summed = hazard * np.cumsum(shares[::-1])[::-1]
    return (summed[back] - event)[:, None].astype(outputs.dtype)


def cox_matrix(outputs: Any, targets: Any) -> Any:
    """With a matrix: who is at risk when."""
    time, event = np.abs(targets[:, 0]), targets[:, 0] > 0
    at_risk = time[None, :] >= time[:, None]
    return event * (np.log(np.sum(at_risk * np.exp(outputs[:, 0]), axis=1)) - outputs[:, 0])


def cox_matrix_gradient(outputs: Any, targets: Any) -> Any:
    time, event = np.abs(targets[:, 0]), targets[:, 0] > 0
    at_risk = time[None, :] >= time[:, None]
    hazard = np.exp(outputs[:, 0])
    shares = event / np.sum(at_risk * hazard, axis=1)
    return (hazard * (shares @ at_risk) - event)[:, None].astype(outputs.dtype)


GRADIENTS: dict[Callable[..., Any], Callable[..., Any]] = {
    plain: plain_gradient,
    halves: halves_gradient,
    weighed: weighed_gradient,
    cox_sorted: cox_sorted_gradient,
    cox_matrix: cox_matrix_gradient,
}
"""What each of these losses has as its derivative, by hand."""


def survival(rows: int = COX_ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Outputs and targets of so many rows, two thirds with an event, no two at the same time."""
    rng = np.random.default_rng(4)
    times, events = 1 + rng.permutation(rows) / rows, rng.random(rows) < 2 / 3
    outputs = rng.standard_normal((rows, 1), dtype=np.float32)
    return outputs, np.where(events, times, -times).astype(np.float32)[:, None]


class LossStep:
    """Value and gradient of a loss of ours on outputs alone, as ``fit`` calls them; it can be judged."""

    def __init__(self, value: Any, data: Any, threads: int, *, by_hand: bool, **arguments: Any) -> None:
        self.value, self.data = value, data
        self.loss = subject.loss(value, GRADIENTS[value] if by_hand else None, **arguments)
        self.step = subject.Step(subject.outputs_alone(data[0].shape[1], self.loss, threads), *data)

    def __call__(self) -> float:
        return self.step()

    def fault(self) -> str | None:
        outputs, targets = (a.astype(float) for a in self.data)
        mean = self.value(outputs, targets).mean()
        gradient = self.loss.row_gradients(*self.data)
        return _off([self(), gradient], [mean, GRADIENTS[self.value](outputs, targets)])


def derived(conditions: Conditions) -> Outcome:
    """Losses without a gradient: columns treated differently, and rows that depend on each other.

    Steps are what ``fit`` calls on outputs alone (see ``losses``), the taking in of the rows
    included; below them value and gradient by the loss's own NumPy functions.
    """
    outcome = Outcome(
        f"derived gradients: {COLUMNS} outputs, 64 rows; Cox, {COX_ROWS} rows", "µs", ratios=False
    )
    rng = np.random.default_rng(0)
    columns = tuple(rng.standard_normal((64, COLUMNS), dtype=np.float32) for _ in range(2))
    threads, entries = conditions.threads, []
    for value, text in ((plain, "sum of squares"), (halves, "two halves"), (weighed, "weights by an array")):
        loss = subject.loss(value)
        entries += [
            Entry(f"{text}: step, derived", text, partial(LossStep, value, columns, threads, by_hand=False)),
            Entry(
                f"{text}: step, by hand",
                f"{text} by hand",
                partial(LossStep, value, columns, threads, by_hand=True),
            ),
            Entry(f"{text}: NumPy, derived", f"{text} NumPy", partial(subject.NumpyLoss, loss, *columns)),
        ]
    for value, text in ((cox_sorted, "Cox, cumsum"), (cox_matrix, "Cox, risk-set matrix")):
        step = partial(LossStep, value, survival(), threads, rowwise=False)
        entries += [
            Entry(f"{text}: step, derived", text, partial(step, by_hand=False)),
            Entry(f"{text}: step, by hand", f"{text} by hand", partial(step, by_hand=True)),
        ]

    def judge(call: Any) -> str | None:
        return call.fault() if isinstance(call, LossStep) else None

    outcome.timings = measure(ready(entries, outcome, judge), conditions.seconds / 2)
    for text in ("two halves", "weights by an array"):
        outcome.at_most("sum of squares", 2.0, subject=text)
        outcome.at_most("sum of squares NumPy", 2.0, subject=f"{text} NumPy")
    for text in ("Cox, cumsum", "Cox, risk-set matrix"):
        outcome.at_most(f"{text} by hand", 5.0, subject=text)
    return outcome
