"""The gradient against central differences, by name.

For each weight w the loss is evaluated at w + h and w − h with h = ε^(1/3) · max(1, |w|), the
step at which the truncation error, growing as h², and the rounding error, growing as ε/h, are
about equal (Press et al., *Numerical Recipes*, section 5.7).  Only what w acts on is evaluated
again: its child, and those descendants that reach an output; what these read from elsewhere
comes from one forward pass of the whole network.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from dagnet.adjacency import Rows, reachable, rows_by
from dagnet.explain.kinks import units_on_kinks
from dagnet.explain.twin import twin
from dagnet.markup import names_text, table_html, table_text
from dagnet.model import Model
from dagnet.model.averaging import row_weights
from dagnet.model.naming import ParameterNames
from dagnet.model.selection import prepare
from dagnet.plan.transposition import slot_targets

__all__ = ["GradientCheck", "check_gradient"]

Array = NDArray[Any]
TOLERANCE = 1e-6
ROUNDING = 8
SHOWN = 10
STEP = float(np.finfo(np.float64).eps ** (1 / 3))


def check_gradient(
    net: Model,
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    wrt: Iterable[Hashable] | None = None,
) -> GradientCheck:
    """Compare a network's gradient with central differences.

    A derivative passes where |analytic − numeric| ≤ 1e-6 · max(|analytic|, |numeric|)
    + 8 ε · max(1, |loss|) / h; the second term is what differences cannot resolve.  All is
    evaluated in float64; a float32 network is checked through a float64 twin.

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
    double = twin(net, dtype="float64")
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
        for units, places in self._groups(parameters):
            chain = reachable(self.children, np.array(units), within=self.reaching)
            chains[places] = len(chain)
            if len(chain):
                quotients[places] = self._along(chain, parameters[places])
        return quotients, chains

    def _groups(self, parameters: Array) -> Iterator[tuple[tuple[int, ...], list[int]]]:
        """Parameters that act on the same units first, and so have the same chain."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for place, parameter in enumerate(parameters.tolist()):
            units = self.names.units(parameter)
            groups.setdefault(tuple(units.tolist()), []).append(place)
        yield from groups.items()

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
            quotients.append(self._quotient(parameter, row_losses))
            theta[parameter] = net.parameters[parameter]
        return quotients

    def _quotient(self, parameter: int, row_losses: Callable[[int, float], Array]) -> float:
        here, step = float(self.net.parameters[parameter]), float(self.steps[parameter])
        up, down = here + step, here - step
        above, below = row_losses(parameter, up), row_losses(parameter, down)
        with np.errstate(all="ignore"):  # infinite losses give NaN, and NaN fails the check
            return float((self.row_weights * (above - below)).sum() / (up - down))

    def on_kinks(self, visited: Sequence[Hashable]) -> tuple[Hashable, ...]:
        """The visited nodes whose z is so near a kink that differences may step over it."""
        layout = self.net.layout
        near = np.flatnonzero(units_on_kinks(layout, self.z, 10 * STEP))
        found = {layout.topology.nodes[node] for node in layout.node_of_unit[near].tolist()}
        return tuple(node for node in visited if node in found)


class GradientCheck:
    """The outcome of :func:`check_gradient`.

    Attributes
    ----------
    passed
        Whether every derivative is within its tolerance.
    max_error
        The largest of ``errors``.
    worst
        Edges and nodes, the worst first, at most ten.
    loss
        The mean loss.
    analytic, numeric
        (checked,) derivatives.
    errors
        (checked,) |analytic − numeric| / (max(|analytic|, |numeric|) + floor), where
        floor = 1e6 · 8 ε · max(1, |loss|) / h: up to 1e-6 passes.
    chains
        (checked,) how many units were evaluated again.
    on_kinks
        Nodes with a pre-activation within 10 h of a kink: there the derivative is one-sided,
        and differences may disagree rightly.
    """

    def __init__(
        self,
        *,
        names: ParameterNames,
        parameters: Array,
        analytic: Array,
        numeric: Array,
        steps: Array,
        chains: Array,
        loss: float,
        on_kinks: tuple[Hashable, ...],
    ) -> None:
        self._names, self._parameters = names, parameters
        self.analytic, self.numeric, self.chains = analytic, numeric, chains
        self.loss, self.on_kinks = loss, on_kinks
        floor = ROUNDING * np.finfo(np.float64).eps * max(1.0, abs(loss)) / steps / TOLERANCE
        with np.errstate(all="ignore"):
            size = np.maximum(np.abs(analytic), np.abs(numeric)) + floor
            errors = np.abs(analytic - numeric) / size
        self.errors: Array = np.where(np.isnan(errors), np.inf, errors)
        self._order = np.argsort(-self.errors, kind="stable")

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
        for place in self._order.tolist():
            found[self._names[int(self._parameters[place])].name] = None
            if len(found) == SHOWN:
                break
        return tuple(found)

    def __bool__(self) -> bool:
        return self.passed

    def _title(self) -> str:
        wrong = int((self.errors > TOLERANCE).sum())
        verdict = "passed for all" if self.passed else f"failed for {wrong:,} of"
        return (
            f"gradient check: {verdict} {len(self.errors):,} derivatives; largest relative error "
            f"{self.max_error:.1e}, allowed {TOLERANCE:.0e}; loss {self.loss:.6g}"
        )

    def _rows(self) -> list[list[str]]:
        rows = []
        for place in self._order[:SHOWN].tolist():
            error = float(self.errors[place])
            verdict = "ok" if error <= TOLERANCE else "wrong"
            numbers = (self.analytic[place], self.numeric[place])
            name = str(self._names[int(self._parameters[place])])
            chain = f"{int(self.chains[place]):,}"
            rows.append([name, *(f"{float(x):.9g}" for x in numbers), f"{error:.1e}", verdict, chain])
        return rows

    def _notes(self) -> list[str]:
        more = len(self.errors) - SHOWN
        notes = [f"… and {more:,} more, all with smaller errors"] if more > 0 else []
        if self.on_kinks:
            notes.append(f"on a kink, where differences may mislead: {names_text(self.on_kinks)}")
        return notes

    def __str__(self) -> str:
        return "\n".join([self._title(), table_text(HEADER, self._rows()), *self._notes()])

    def __repr__(self) -> str:
        return f"<GradientCheck: {self._title().removeprefix('gradient check: ')}>"

    def _repr_html_(self) -> str:
        return table_html(self._title(), HEADER, self._rows(), "\n".join(self._notes()))


HEADER = ("derivative for", "analytic", "numeric", "error", "", "units evaluated")
