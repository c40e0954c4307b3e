"""What an experienced eye would see at once after a fit: one warning, with what would help.

All is judged by how far the loss, over up to 1,000 rows, has come from that of the targets' mean for
every row (1) to that of the targets themselves (0).  Below 0.05 nothing is said.  Above it, inputs
that are not standardised are named, and outputs that cannot be as they should; above 0.9, or where
the predictions vary by less than a hundredth of what the targets do, what else may be the reason.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Loss
from dagnet.errors import DagnetWarning
from dagnet.explain.diagnosis import LARGE, Finding, bounded, by_kind, diagnosis_of, reaches, unscaled
from dagnet.markup import label, number
from dagnet.model import Model, mean_loss

LOOKED, FEW, FEWEST, WORTH, SAID = 1000, 200, 4, 20, 3
LEARNED, HARDLY, WORSE, MUCH_WORSE, ROSE = 0.05, 0.9, 1.05, 2.0, 10.0
STILL, SMALL = 0.01, 1e-3
LINKS: tuple[Callable[[Array], Array], ...] = (
    lambda p: p,
    lambda p: np.maximum(np.log(p), -LARGE),
    lambda p: np.clip(np.log(p) - np.log1p(-p), -LARGE, LARGE),
)
"""Outputs for which a loss may predict p."""
ILL = {"dead", "saturated", "constant", "repeated"}
SMALLER, LARGER = "a smaller learning_rate helps", "a larger learning_rate helps"


def warn_of_fit(net: Model, run: Any, done: int) -> None:
    """Warn once of what is seen in a network that a TrainingRun just trained; to be called by ``fit``.

    It looks where the rows learned from, ``done`` epochs of an earlier run left out, are at least twenty
    times those looked at, which then costs less than a fiftieth of learning, or where the loss rose
    tenfold; not at fewer than 4 rows.
    """
    data, losses = run.data, run.history.get("loss", [])[done:]
    rows = len(data)
    rose = bool(losses) and losses[-1] > losses[0] + ROSE * abs(losses[0])
    if rows < FEWEST or (not rose and len(losses) * rows < WORTH * min(rows, LOOKED)):
        return
    chosen = slice(None) if rows <= LOOKED else np.random.default_rng(0).integers(rows, size=LOOKED)
    weights = None if data.weights is None else data.weights[chosen]
    if weights is not None and not weights.any():
        return
    with np.errstate(all="ignore"):
        said = list(_said(net, data.inputs[chosen], data.targets[chosen], weights, losses, run.settings))
    if said:
        more = f"; and {len(said) - SAID} more" if len(said) > SAID else ""
        warnings.warn(f"fit: {'; '.join(said[:SAID])}{more}", DagnetWarning, stacklevel=3)


def _said(
    net: Model, inputs: Array, targets: Array, weights: Array | None, losses: Sequence[float], settings: Any
) -> Iterator[str]:
    found = None  # of several heads, or where labels are missing, nothing is said
    if net.objective.whole(targets) is not None:
        found = ends(net.loss, targets, weights)
    if found is None:
        return
    outputs = net.runner.forward(net.layout.theta(net.vector), inputs, keep=False).outputs
    loss, (best, constant) = mean_loss(net.loss, outputs, targets, weights), found
    left = (loss - best) / (constant - best)
    if left <= LEARNED:
        return
    seen = [*_by_kind([*unscaled(net, inputs), *bounded(net)]), *_out_of_reach(net, targets)]
    spread = np.std(net.loss.prediction(outputs), axis=0)
    still = left > HARDLY and bool((spread < STILL * targets.std(axis=0)).all())
    if left > HARDLY:
        seen += _size_of(net.loss, targets)
        seen = seen or list(_reasons(net, inputs, losses, left, settings, still=still))
    if seen and still:
        yield "the prediction is nearly the same for every row"
    elif seen and left > HARDLY:
        than = f"{number(constant)}, that of the mean of y for every row"
        yield f"the loss, {number(loss)}, is {'above' if loss > constant else 'hardly below'} {than}"
    yield from seen


@np.errstate(all="ignore")
def ends(loss: Loss, targets: Array, weights: Array | None) -> tuple[float, float] | None:
    """The losses of the targets, and of their mean for every row; None where they are unknown or the same."""
    if loss.columns != 1 or (targets == targets[0]).all():
        return None
    mean = np.average(targets, axis=0, weights=weights)[None].astype(targets.dtype)
    for link in LINKS:
        try:
            if (np.abs(loss.prediction(link(mean)) - mean) <= SMALL * np.abs(mean)).all():
                constant = mean_loss(loss, np.repeat(link(mean), len(targets), axis=0), targets, weights)
                best = mean_loss(loss, link(targets), targets, weights)
                return (best, constant) if best < constant else None
        except Exception:  # noqa: BLE001, S112 - a stranger's code may raise anything
            continue
    return None


def _by_kind(findings: Sequence[Finding]) -> Iterator[str]:
    for kind, found, meaning in by_kind(findings):
        more = f" and {len(found) - SAID:,} more" if len(found) > SAID else ""
        yield f"{kind}: {', '.join(found[:SAID])}{more}: {meaning.replace(';', ':')}"


def _out_of_reach(net: Model, targets: Array) -> Iterator[str]:
    """Outputs that cannot be what many of the targets are."""
    topology = net.topology
    nodes = np.repeat(topology.outputs, topology.units[topology.outputs])
    for those, activation, low, high in reaches(net) if net.loss.predict is None else ():
        columns = np.flatnonzero(np.isin(nodes, those))
        y = targets[:, columns]
        margin = 0.01 * np.minimum(high - low, np.ptp(y, axis=0))
        bad = np.flatnonzero(((y < low - margin) | (y > high + margin)).mean(axis=0) > LEARNED)
        if len(bad):
            worst = y[:, bad[0]]
            yield (
                f"out of reach: output {label(topology.nodes[nodes[columns[bad[0]]]])}, {activation}, gives "
                f"{number(low)} to {number(high)}, but y is {number(float(worst.min()))} to "
                f"{number(float(worst.max()))}: give it activation='identity', or scale y"
            )


def _size_of(loss: Loss, targets: Array) -> list[str]:
    size = float(np.sqrt(np.square(targets, dtype=np.float64).mean(axis=0)).max())
    if loss.targets != "real" or loss.predict is not None or SMALL <= size <= LARGE:
        return []
    return [f"y is of size {number(size)}: train on (y - y.mean()) / y.std()"]


def _reasons(
    net: Model, inputs: Array, losses: Sequence[float], left: float, settings: Any, *, still: bool
) -> Iterator[str]:
    """Why nothing was learned, the likeliest reason."""
    first, last, recent = losses[0], losses[-1], losses[-max(3, len(losses) // 5) :]
    outputs, ill = set(net.outputs), list[Finding]()
    for found in diagnosis_of(net, inputs[:FEW]).findings:
        if found.kind in ILL and (found.kind != "constant" or found.node not in {*outputs, *net.inputs}):
            ill.append(found)
    hidden = net.layout.plan.n_units - inputs.shape[1] - len(net.layout.plan.outputs)
    if not net.trainable.any():
        yield "nothing is trainable"
    elif last > min(losses) + ROSE * abs(min(losses)):
        yield f"the loss rose from {number(min(losses))} to {number(last)}: {SMALLER}"
    elif not net.parameters[net.layout.weights].any():
        yield "all weights are 0 and stay so: draw the start weights: Network(weight=None)"
    elif still and (settings.l1 or settings.l2):
        yield "the penalty outweighs the loss: a smaller l1 or l2 helps"
    elif len(ill) > hidden / 2 or outputs.intersection(found.node for found in ill):
        yield from _by_kind(ill)
    elif left > WORSE and 0 <= first - last < STILL * abs(first):
        unclipped = settings.clip_norm is None and settings.clip_value is None
        yield f"the loss hardly moved: {LARGER}{'' if unclipped else ', or a larger clip_norm or clip_value'}"
    elif left > MUCH_WORSE:
        falls = f"it still falls: {LARGER}, as more epochs do"
        yield falls if last == min(recent) else f"it no longer falls: {SMALLER}"
