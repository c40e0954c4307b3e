"""The gradient against central differences, by name.

For each weight w the loss is evaluated at w + h and w − h with h = ε^(1/3) · max(1, |w|), the
step at which the truncation error, growing as h², and the rounding error, growing as ε/h, are
about equal (Press et al., *Numerical Recipes*, section 5.7).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Draw
from dagnet.explain.arguments import checked_network
from dagnet.explain.report import Report, Shown, Table
from dagnet.hashing import step_key
from dagnet.model import Differences, Encoded, Model, ParameterNames, kinks_of, row_weights
from dagnet.plan import Plan, training_plan
from dagnet.registry import engines
from dagnet.values import FLAG, whole

TOLERANCE = 1e-6
ROUNDING = 8
SHOWN, LISTED = 10, 6
SAMPLE = 1_000
HEADER = ("derivative for", "analytic", "numeric", "error", "", "units evaluated")
STEP = float(np.finfo(np.float64).eps ** (1 / 3))


def check_gradient(
    net: Model, X: Any, y: Any, *, sample_weight: Any = None, wrt: Iterable[Hashable] | None = None,
    missing: str = "refuse", training: bool = False, seed: int = 0,
) -> GradientCheck:  # fmt: skip
    """Compare a network's gradient with central differences.

    A derivative passes where |analytic − numeric| ≤ 1e-6 · max(|analytic|, |numeric|)
    + 8 ε · max(1, |loss|) / h; the second term is what differences cannot resolve.  Where some unit
    that the weight acts on has its z on different sides of a declared kink of its activation at
    w + h and w − h, in some row, or on the kink, or terms of a maximum change places or tie,
    differences say nothing: the derivative is not judged.  All is evaluated in float64; a float32
    network is checked as one of float64.

    Parameters
    ----------
    net
        The network; it is not changed.
    X, y, sample_weight, missing
        As for :meth:`dagnet.Network.evaluate`.
    wrt
        Edges and nodes to check, frozen ones too, all of them.  Default: all that is trainable; of
        more than 1,000 derivatives a sample of 1,000, spread over the network, always the same.
    training, seed
        Whether the loss is that which training takes of these rows as one batch: with their own moments
        in place of running ones, and with dropout by masks of the seed.  The differences are then those
        of the reference engine, and each takes two passes through the whole network.

    Returns
    -------
    GradientCheck
        ``.passed``, ``.max_error``, ``.worst``, ``.not_judged``; ``print`` shows a table, the worst first.

    Examples
    --------
    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([2, 2, 2, 1], activation="sigmoid"), seed=0)
    >>> dagnet.check_gradient(net, [[2.0, 3.0]], [100.0]).passed
    True
    """
    loss, engine, threads = checked_network(net).objective.default, net.engine, net.threads
    dtype = np.dtype(np.float64)
    double = Model(net.topology, loss=loss, initializer="zeros", dtype=dtype, engine=engine, threads=threads)
    double.vector[:] = net.vector
    gradient = double.gradient(X, y, wrt=wrt, sample_weight=sample_weight, missing=missing)
    asked = np.flatnonzero(gradient.asked)
    parameters = _sample(asked) if wrt is None else asked
    steps = STEP * np.maximum(1.0, np.abs(double.parameters[parameters]))
    if FLAG.check("training", training):
        data = double.encode(X, y, sample_weight, missing=missing)
        batch = _TrainingBatch(double, data, whole(0).check("seed", seed))
        gradient = replace(gradient, **batch.gradient(gradient.asked))
        found = batch.differences(parameters, steps)
    else:
        found = double.differences(X, y, parameters, steps, sample_weight=sample_weight, missing=missing)
    return GradientCheck(
        names=ParameterNames(double.layout),
        parameters=parameters,
        analytic=gradient.flat[parameters],
        numeric=found.quotients,
        steps=steps,
        chains=found.units,
        judged=~found.on_kinks,
        loss=gradient.loss,
        n_asked=len(asked),
    )


def _sample(parameters: Array) -> Array:
    """At most a thousand, one drawn from each of as many equal runs: parameters stand unit by unit."""
    if len(parameters) <= SAMPLE:
        return parameters
    runs = np.linspace(0, len(parameters), SAMPLE + 1).astype(np.int64)
    return parameters[np.random.default_rng(0).integers(runs[:-1], runs[1:])]


class _TrainingBatch:
    """Rows as one batch of training: normalised by their own moments, with dropout by masks of a seed."""

    def __init__(self, net: Model, data: Encoded, seed: int) -> None:
        self.net, self.data, self.plan = net, data, net.layout.plan
        one = data.weights if data.weights is None or data.weights.ndim == 1 else data.weights.sum(axis=1)
        self.weights = row_weights(one, len(data.inputs), net.dtype)
        self.key = step_key(seed, 0)

    def _runner(self, engine: str, plan: Plan) -> Any:
        net = self.net
        return engines()[engine].prepare(training_plan(plan), dtype=net.dtype, threads=net.threads)

    def _draw(self) -> Draw | None:
        return Draw(self.key, self.weights) if self.plan.trains_otherwise else None

    def gradient(self, asked: Array) -> dict[str, Any]:
        """``loss``, and ``flat`` of the parameters asked for, by the network's engine."""
        net, slots = self.net, np.zeros(self.plan.n_slots, self.net.dtype)
        plan = self.plan.restrict(parameters=asked[net.layout.owners])
        theta, (inputs, targets, weights) = net.layout.by_slot(net.parameters), self.data
        factor, gaps = self.weights, bool(np.isnan(targets).any())
        if gaps or net.objective.one is None:  # of heads, whose scale is free
            factor = np.ones(len(inputs)) if weights is None else weights
        walk = net.objective.gradient_of(self._runner(net.engine, plan), gaps=gaps)
        walk.draw = self._draw()
        loss, _ = walk(theta, inputs, targets, factor, into=slots)
        return {"loss": loss, "flat": np.where(asked, net.layout.by_parameter(slots), 0)}

    def differences(self, places: Array, steps: Array) -> Differences:
        """As :meth:`dagnet.model.Model.differences`, by the reference engine."""
        runner, kinks = self._runner("reference", self.plan), kinks_of(self.plan)[:, None]
        parameters, everything = self.net.parameters.copy(), np.arange(self.plan.n_units)
        quotients, on_kinks = np.zeros(len(places)), np.zeros(len(places), bool)
        for member, (place, step) in enumerate(zip(places.tolist(), steps.tolist(), strict=True)):
            here, losses, z = parameters[place], [], []
            points = here + step, here - step
            for point in points:
                parameters[place] = point
                theta, draw = self.net.layout.by_slot(parameters), self._draw()
                state = runner.forward(theta, self.data.inputs, draw=draw)
                losses.append(self.net.objective.mean(state.outputs, *self.data[1:]))
                z.append(state.pre_activation(everything)[..., None])
            parameters[place] = here
            quotients[member] = (losses[0] - losses[1]) / (points[0] - points[1])
            parted = ((z[0] > kinks) != (z[1] > kinks)) | (z[0] == kinks) | (z[1] == kinks)
            on_kinks[member] = (parted & (z[0] != z[1])).any()
        return Differences(quotients, np.full(len(places), self.plan.n_units), on_kinks)


@dataclass(frozen=True, eq=False, repr=False)
class GradientCheck(Shown):
    """The outcome of :func:`check_gradient`.

    Attributes
    ----------
    parameters, analytic, numeric, steps, chains
        (checked,) each: which of ``names``, two derivatives, h, how many units were evaluated again.
    judged
        (checked,) mask: of those not judged a unit steps over a kink, or is on one.
    loss
        The mean loss.
    n_asked
        How many derivatives there are, of which the checked ones may be a sample.
    """

    names: ParameterNames
    parameters: Array
    analytic: Array
    numeric: Array
    steps: Array
    chains: Array
    judged: Array
    loss: float
    n_asked: int

    @cached_property
    def errors(self) -> Array:
        """(checked,) |analytic − numeric| / (max(|analytic|, |numeric|) + floor), up to 1e-6 passes.

        floor = 1e6 · 8 ε · max(1, |loss|) / h.  NaN where not judged.
        """
        floor = ROUNDING * np.finfo(np.float64).eps * max(1.0, abs(self.loss)) / self.steps / TOLERANCE
        with np.errstate(all="ignore"):
            size = np.maximum(np.abs(self.analytic), np.abs(self.numeric)) + floor
            errors = np.abs(self.analytic - self.numeric) / size
        return np.where(self.judged, np.where(np.isnan(errors), np.inf, errors), np.nan)

    @cached_property
    def _order(self) -> Array:
        """Those judged, the worst first."""
        return np.argsort(-self.errors, kind="stable")[: np.count_nonzero(self.judged)]

    @property
    def passed(self) -> bool:
        """Whether every derivative that was judged is within its tolerance."""
        return self.max_error <= TOLERANCE

    @property
    def max_error(self) -> float:
        """The largest relative error; up to 1e-6 passes."""
        return float(self.errors[self.judged].max(initial=0.0))

    @property
    def worst(self) -> tuple[Hashable, ...]:
        """Edges (for their weights) and nodes (for their biases), the worst first, at most ten."""
        return self._named(self._order, SHOWN)

    @property
    def not_judged(self) -> tuple[Hashable, ...]:
        """Edges and nodes with a derivative that was not judged, for a kink."""
        return self._named(np.flatnonzero(~self.judged))

    def _named(self, places: Array, most: int | None = None) -> tuple[Hashable, ...]:
        found: dict[Hashable, None] = {}
        for parameter in self.parameters[places].tolist():
            found[self.names[parameter].name] = None
            if len(found) == most:
                break
        return tuple(found)

    def __bool__(self) -> bool:
        return self.passed

    def _report(self) -> Report:
        n, checked = len(self._order), len(self.errors)
        wrong = int((self.errors > TOLERANCE).sum())
        verdict = "passed for all" if self.passed else f"failed for {wrong:,} of"
        sample = f", a sample from all {self.n_asked:,}" if checked < self.n_asked else ""
        aside = f", {checked - n:,} not judged" if n < checked else ""
        worst = f"largest relative error {self.max_error:.1e}, allowed {TOLERANCE:.0e}"
        title = f"{verdict} {n:,} derivatives{aside}{sample}; {worst}; loss {self.loss:.6g}"
        notes = [f"… and {n - SHOWN:,} more, all with smaller errors"] if n > SHOWN else []
        if n < checked:
            unjudged = self.parameters[~self.judged]
            first = ", ".join(str(self.names[parameter]) for parameter in unjudged[:LISTED].tolist())
            more = f", … {len(unjudged) - LISTED:,} more" if len(unjudged) > LISTED else ""
            notes.append(f"not judged, where differences step over a kink or start on one: {first}{more}")
        rows = list(map(self._row, self._order[:SHOWN].tolist()))
        return Report("gradient check: ", title, [Table(HEADER, rows)], notes)

    def _row(self, place: int) -> list[str]:
        name, error = str(self.names[int(self.parameters[place])]), float(self.errors[place])
        numbers = (f"{float(x):.9g}" for x in (self.analytic[place], self.numeric[place]))
        verdict = "ok" if error <= TOLERANCE else "wrong"
        return [name, *numbers, f"{error:.1e}", verdict, f"{int(self.chains[place]):,}"]
