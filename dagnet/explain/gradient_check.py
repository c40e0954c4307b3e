"""The gradient against central differences, by name.

For each weight w the loss is evaluated at w + h and w − h with h = ε^(1/3) · max(1, |w|), the
step at which the truncation error, growing as h², and the rounding error, growing as ε/h, are
about equal (Press et al., *Numerical Recipes*, section 5.7).  Only what w acts on is evaluated
again: its child, and those descendants that reach an output; what these read from elsewhere
comes from one forward pass of the whole network.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from dagnet.adjacency import Rows, reachable, rows_by
from dagnet.arrays import Array
from dagnet.explain.arguments import checked_network
from dagnet.explain.report import Report, Shown, Table
from dagnet.markup import names_text
from dagnet.model import Model
from dagnet.model.averaging import row_weights
from dagnet.model.naming import ParameterNames
from dagnet.model.selection import prepare
from dagnet.plan import ACTIVATE
from dagnet.plan.transposition import slot_targets

TOLERANCE = 1e-6
ROUNDING = 8
SHOWN = 10
HEADER = ("derivative for", "analytic", "numeric", "error", "", "units evaluated")
STEP = float(np.finfo(np.float64).eps ** (1 / 3))


def check_gradient(
    net: Model, X: Any, y: Any, *, sample_weight: Any = None, wrt: Iterable[Hashable] | None = None
) -> GradientCheck:
    """Compare a network's gradient with central differences.

    A derivative passes where |analytic − numeric| ≤ 1e-6 · max(|analytic|, |numeric|)
    + 8 ε · max(1, |loss|) / h; the second term is what differences cannot resolve.  All is
    evaluated in float64; a float32 network is checked as one of float64.

    Parameters
    ----------
    net
        The network; it is not changed.
    X, y, sample_weight
        As for :meth:`dagnet.Network.evaluate`.
    wrt
        Edges and nodes to check, frozen ones too; default all that is trainable.

    Returns
    -------
    GradientCheck
        ``.passed``, ``.max_error``, ``.worst``; ``print`` shows a table, the worst first.

    Examples
    --------
    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([2, 2, 2, 1], activation="sigmoid"), seed=0)
    >>> dagnet.check_gradient(net, [[2.0, 3.0]], [100.0]).passed
    True
    """
    loss, engine, threads = checked_network(net).loss, net.engine, net.threads
    double = Model(
        net.topology, loss=loss, initializer="zeros", dtype="float64", engine=engine, threads=threads
    )
    double.parameters[:] = net.parameters
    gradient = double.gradient(X, y, wrt=wrt, sample_weight=sample_weight)
    differences = _Differences(double, X, y, sample_weight)
    parameters = np.flatnonzero(gradient.asked)
    numeric, chains = differences.at(parameters)
    return GradientCheck(
        names=differences.names,
        parameters=parameters,
        analytic=gradient.flat[parameters],
        numeric=numeric,
        steps=differences.steps[parameters],
        chains=chains,
        loss=gradient.loss,
        on_kinks=differences.on_kinks(gradient.visited),
    )


class _Differences:
    """Central differences of the loss, each along the chain of one parameter only."""

    def __init__(self, net: Model, X: Any, y: Any, sample_weight: Any) -> None:
        self.net, self.plan = net, net.layout.plan
        self.names = ParameterNames(net.layout)
        self.steps = STEP * np.maximum(1.0, np.abs(net.parameters))
        inputs = net.encode_inputs(X)
        rows = len(inputs)
        self.targets = net.encode_targets(y, rows)
        weights = net.encode_sample_weight(sample_weight, rows)
        self.row_weights = row_weights(weights, rows, np.float64)
        state = net.runner.forward(net.theta(), inputs)
        everything = np.arange(self.plan.n_units)
        self.values, self.z = state.value(everything), state.pre_activation(everything)
        self.outputs = np.ascontiguousarray(self.values[self.plan.outputs].T)
        self.children = rows_by(self.plan.sources, slot_targets(self.plan.indptr), self.plan.n_units)
        parents = Rows(self.plan.indptr, self.plan.sources, np.zeros(0, np.int64))
        self.reaching = np.zeros(self.plan.n_units, bool)
        self.reaching[reachable(parents, self.plan.outputs)] = True

    def at(self, parameters: Array) -> tuple[Array, Array]:
        """The difference quotient and the number of units evaluated again, of each parameter."""
        quotients = np.zeros(len(parameters))
        chains = np.zeros(len(parameters), np.int64)
        same_chain: dict[tuple[int, ...], list[int]] = {}  # they act on the same units first
        for place, parameter in enumerate(parameters.tolist()):
            same_chain.setdefault(tuple(self.names.units(parameter).tolist()), []).append(place)
        for first, places in same_chain.items():
            chain = reachable(self.children, np.array(first), within=self.reaching)
            chains[places] = len(chain)
            if len(chain):
                quotients[places] = self._along(chain, parameters[places])
        return quotients, chains

    def _along(self, chain: Array, parameters: Array) -> list[float]:
        plan, net = self.plan, self.net
        mask = np.zeros(plan.n_units, bool)
        mask[chain] = True
        cut = plan.restrict(units=mask, parameters=np.zeros(plan.n_slots, bool))
        _, runner = prepare(net.engine, cut, net.dtype, net.threads)
        border = np.ascontiguousarray(self.values[cast("Array", cut.unit_ids)[: cut.n_inputs]].T)
        slots = cast("Array", cut.slot_ids)
        owners = net.layout.by_slot(np.arange(plan.n_parameters))[slots]
        theta = net.parameters.copy()
        moving = mask[plan.outputs]

        def row_losses(parameter: int, value: float) -> Array:
            theta[parameter] = value
            outputs = self.outputs.copy()
            outputs[:, moving] = runner.forward(theta[owners], border, keep=False).outputs
            return np.asarray(net.loss.row_values(outputs, self.targets))

        quotients = []
        for parameter in parameters.tolist():
            here, step = theta[parameter], self.steps[parameter]
            up, down = here + step, here - step
            with np.errstate(all="ignore"):  # infinite losses give NaN, and NaN fails the check
                change = row_losses(parameter, up) - row_losses(parameter, down)
                quotients.append(float((self.row_weights * change).sum() / (up - down)))
            theta[parameter] = here
        return quotients

    def on_kinks(self, visited: Sequence[Hashable]) -> tuple[Hashable, ...]:
        """The visited nodes whose z is so near a kink that differences may step over it."""
        layout, plan, near = self.net.layout, self.plan, np.zeros(self.plan.n_units, bool)
        for step in plan.program():
            if step.kind == ACTIVATE:
                for kink in plan.activations[step.what].kink_points():
                    near[step.targets] |= (np.abs(self.z[step.targets] - kink) <= 10 * STEP).any(axis=1)
        found = {layout.topology.nodes[node] for node in layout.node_of_unit[near].tolist()}
        return tuple(node for node in visited if node in found)


@dataclass(frozen=True, eq=False, repr=False)
class GradientCheck(Shown):
    """The outcome of :func:`check_gradient`.

    Attributes
    ----------
    parameters, analytic, numeric, steps, chains
        (checked,) each: which of ``names``, two derivatives, h, how many units were evaluated again.
    loss
        The mean loss.
    on_kinks
        Nodes with a pre-activation within 10 h of a kink: there the derivative is one-sided,
        and differences may disagree rightly.
    """

    names: ParameterNames
    parameters: Array
    analytic: Array
    numeric: Array
    steps: Array
    chains: Array
    loss: float
    on_kinks: tuple[Hashable, ...]

    @cached_property
    def errors(self) -> Array:
        """(checked,) |analytic − numeric| / (max(|analytic|, |numeric|) + floor), up to 1e-6 passes.

        floor = 1e6 · 8 ε · max(1, |loss|) / h.
        """
        floor = ROUNDING * np.finfo(np.float64).eps * max(1.0, abs(self.loss)) / self.steps / TOLERANCE
        with np.errstate(all="ignore"):
            size = np.maximum(np.abs(self.analytic), np.abs(self.numeric)) + floor
            errors = np.abs(self.analytic - self.numeric) / size
        return np.where(np.isnan(errors), np.inf, errors)

    @cached_property
    def _order(self) -> list[int]:
        return np.argsort(-self.errors, kind="stable").tolist()

    @property
    def passed(self) -> bool:
        """Whether every derivative is within its tolerance."""
        return bool((self.errors <= TOLERANCE).all())

    @property
    def max_error(self) -> float:
        """The largest relative error; up to 1e-6 passes."""
        return float(self.errors.max(initial=0.0))

    @property
    def worst(self) -> tuple[Hashable, ...]:
        """Edges (for their weights) and nodes (for their biases), the worst first, at most ten."""
        found: dict[Hashable, None] = {}
        for place in self._order:
            found[self.names[int(self.parameters[place])].name] = None
            if len(found) == SHOWN:
                break
        return tuple(found)

    def __bool__(self) -> bool:
        return self.passed

    def _report(self) -> Report:
        wrong, n = int((self.errors > TOLERANCE).sum()), len(self.errors)
        verdict = "passed for all" if self.passed else f"failed for {wrong:,} of"
        title = (
            f"{verdict} {n:,} derivatives; largest relative error "
            f"{self.max_error:.1e}, allowed {TOLERANCE:.0e}; loss {self.loss:.6g}"
        )
        notes = [f"… and {n - SHOWN:,} more, all with smaller errors"] if n > SHOWN else []
        if self.on_kinks:
            notes.append(f"on a kink, where differences may mislead: {names_text(self.on_kinks)}")
        rows = list(map(self._row, self._order[:SHOWN]))
        return Report("gradient check: ", title, [Table(HEADER, rows)], notes)

    def _row(self, place: int) -> list[str]:
        name, error = str(self.names[int(self.parameters[place])]), float(self.errors[place])
        numbers = (f"{float(x):.9g}" for x in (self.analytic[place], self.numeric[place]))
        verdict = "ok" if error <= TOLERANCE else "wrong"
        return [name, *numbers, f"{error:.1e}", verdict, f"{int(self.chains[place]):,}"]
