"""Which node matters, for which output: changes of values times what the output makes of them."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, pairwise
from typing import Any

import numpy as np

from dagnet.adjacency import offsets, ranges
from dagnet.arrays import Array
from dagnet.contracts import Attributor, Draw
from dagnet.engine import reading, sums, ways
from dagnet.errors import DataError, PluginError, Verbatim, expected, needed, shorten
from dagnet.explain.arguments import checked_baseline, checked_groups, checked_method, checked_network
from dagnet.explain.secants import line, secant_plan
from dagnet.markup import label
from dagnet.model import (
    MissingNameError,
    Model,
    Walk,
    aligned,
    kinks_of,
    node_meant,
    numeric,
    unit_meant,
    walk_of,
)
from dagnet.plan import ACTIVATE, Cones, Dependents, aggregate_steps, slopes, slot_targets
from dagnet.registry import named

WALKED = ("deeplift", "gradient*input", "integrated_gradients")
CHOSEN = (
    "{:,} z are on a kink of their activation: gradients there are those that training uses",
    "{:,} z are across a kink from the baseline: DeepLIFT goes across, a gradient does not see it",
    "{:,} maxima or minima have terms that tie, which share evenly",
)
AT_ONCE = 2**22
"""Units and edges of a graph times nodes that are knocked out in one go, at most."""


def attribute(
    net: Model, X: Any, of: Hashable = None, *, method: str | Attributor = "deeplift", baseline: Any = None,
    groups: Mapping[Hashable, Iterable[Hashable]] | None = None,
) -> Attribution:  # fmt: skip
    """What each node, and each edge, has contributed to an output, row by row.

    Parameters
    ----------
    X
        Rows, as for :meth:`forward`.
    of
        The output, or another node that reaches one; of several units ``(node, unit)``.  It may be left
        out where there is only one output.
    method
        - ``"deeplift"``: (a − a₀) · m, a₀ the value at the baseline, m by the walk back with Δa/Δz for
          g′ (the rescale rule of Shrikumar, Greenside and Kundaje, 2017).  Terms of products, maxima
          and minima, and units that are normalised together, share as Aumann and Shapley (1974) do on
          the straight line from baseline to value; terms of a maximum that tie share evenly.
        - ``"gradient*input"``: a · ∂eta/∂a; with a ``baseline`` (a − a₀) · ∂eta/∂a.
        - ``"integrated_gradients(steps=50)"`` (Sundararajan, Taly and Yan, 2017): ∫ ∂eta/∂a da while the
          inputs go straight from baseline to row, at places by Gauss and Legendre; of hidden nodes
          the conductance (Dhamdhere, Sundararajan and Yan, 2018).
        - ``"knockout"``: how much eta falls where a node has no value: an input that of the baseline, others
          0, or with a ``baseline`` a₀.  Only what depends on it is evaluated again, when it is asked for.
        - One of :func:`dagnet.attributions`, as ``"mine(steps=3)"``, or an :class:`Attributor`.
    baseline
        What rows are compared with: a mapping from each input to a number or a column, an array (input
        units,) or (rows, input units), a number for all, or ``"mean"``, that of the rows.
        Default: the inputs' ``center``, which is 0 unless the graph says otherwise.
    groups
        ``{"pathway": [nodes]}``: nodes that are knocked out together; otherwise the sum over them.

    Returns
    -------
    Attribution
        ``[node]``, ``[edge]`` (w · Δa · multiplier; no knock-out), ``[group]``, (rows,) each.

    Raises
    ------
    DataError, PluginError
        For rows, a baseline or names that will not do, a node that reaches no output, an unknown method; for
        a plugin's method that raises, or gives what is no mapping from nodes to finite numbers.

    Notes
    -----
    On a kink of an activation gradients are those that training uses; DeepLIFT goes across it: see ``notes``.

    Examples
    --------
    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([2, 2, 1], activation="tanh"), seed=0)
    >>> found = net.attribute([[2.0, 3.0], [0.0, 1.0]])
    >>> found["h11"].shape, found["x1", "h11"].shape, found.error < 1e-12
    ((2,), (2,), True)
    """
    net, baseline = checked_network(net), aligned("baseline", baseline, X)
    inputs = net.encode(X, finite=True).inputs.copy()
    return attribution_of(net, inputs, of, method=method, baseline=baseline, groups=groups)


def attribution_of(
    net: Model, inputs: Array, of: Hashable = None, *, method: str | Attributor = "deeplift",
    baseline: Any = None, groups: Any = None,
) -> Attribution:  # fmt: skip
    """The same of rows that are encoded."""
    (name, steps, own), topology = checked_method(method), net.topology
    if of is None and (len(net.outputs) > 1 or topology.units[topology.outputs[0]] > 1):
        listed, first = ", ".join(map(shorten, net.outputs[:8])), shorten(net.outputs[0])
        raise DataError(f"of: say which output is meant ({listed}): of={first}, or of its units ({first}, 0)")
    of = net.outputs[0] if of is None else of
    walk, unit = walk_of(net, inputs), unit_meant(net.prepared, of)
    start, members = checked_baseline(net, baseline, walk.inputs), checked_groups(net, groups)
    kind, known = (Given, _given(net, own, walk.inputs, start, of)) if own is not None else (Attribution, {})
    if name in WALKED:
        plan = replace(walk.plan, outputs=np.array([unit]))
        plan = plan.restrict(parameters=np.zeros(plan.n_slots, bool), deltas=np.ones(plan.n_units, bool))
        walk = replace(walk, plan=plan)
    return kind(str(own or method), of, walk, start, baseline is not None, name, steps, members, unit, known)


@dataclass(eq=False, repr=False)
class Attribution(Mapping[Hashable, Array]):
    """Contributions to an output by name: ``[node]``, ``[edge]``, ``[group]``, (rows,) each.

    A mapping from every node, in the graph's order, and every group; of a node of several units it has the
    sum over these, and 0 for one that does not reach the output.  A name that is also an edge is the edge.

    Attributes
    ----------
    method, of
        What was asked.

    >>> import dagnet
    >>> found = dagnet.Network.from_arrays([0, 1], [2, 2], [3.0, -1.0]).attribute([[1.0, 2.0]])
    >>> found[0], found[0, 2], found.mean_absolute()[1], found.error, list(found.to_frame())
    (array([3.]), array([3.]), 2.0, 0.0, [0, 1, 2])
    """

    method: str
    of: Any
    _walk: Walk
    _start: Array
    _said: bool
    _name: str
    _steps: int
    _groups: Mapping[Hashable, tuple[int, ...]]
    _unit: int
    _known: dict[tuple[int, ...], Array] = field(default_factory=dict)

    def __getitem__(self, name: Any) -> Array:
        topology = self._walk.prepared.layout.topology
        try:
            return self._of_edge(topology.edge_number(name)) if topology.has_edge(name) else self._of(name)
        except DataError as error:
            raise MissingNameError(str(error)) from None

    def __iter__(self) -> Iterator[Hashable]:
        return iter((*self._walk.prepared.layout.topology.nodes, *self._groups))

    def __len__(self) -> int:
        return self._walk.prepared.layout.topology.n_nodes + len(self._groups)

    __eq__, __hash__ = object.__eq__, object.__hash__  # a mapping's would compare arrays

    def mean_absolute(self) -> dict[Hashable, float]:
        """The mean of the absolute contributions over the rows, of every node and group."""
        layout = self._walk.prepared.layout
        is_quick = self._name in WALKED and layout.topology.is_plain
        quick = np.abs(self._by_unit).mean(axis=1)[layout.first_unit].tolist() if is_quick else []
        rest = np.reshape([self._of(name) for name in [*self][len(quick) :]], (-1, len(self._start)))
        return dict(zip(self, [*quick, *np.abs(rest).mean(axis=1).tolist()], strict=True))

    def to_frame(self, index: Any = None) -> Any:
        """A ``pandas.DataFrame``: a column a node and group, a row a row, labelled by ``index``."""
        pandas = needed("attribution.to_frame()", "pandas", "pandas")
        names = pandas.Index(list(self), tupleize_cols=False)
        return pandas.DataFrame(np.column_stack([self._of(name) for name in self]), index, names)

    @cached_property
    def error(self) -> float:
        """Completeness: the largest |Σ over inputs − (eta(row) − eta(baseline))| over the rows.

        Rounding for DeepLIFT; of integrated gradients what steps leave; others are not meant to add up.
        """
        nodes = self._walk.prepared.layout.topology.inputs.tolist()
        total, unit = sum(self._of_nodes((node,)) for node in nodes), self._unit
        return float(np.abs(total - (self._values[unit] - self._values_at_start[unit])).max())

    @cached_property
    @np.errstate(all="ignore")
    def notes(self) -> tuple[str, ...]:
        """How often, in all rows, z is on a kink of its activation, or across one; how often terms tie."""
        walk, plan, kinks = self._walk, self._walk.plan, kinks_of(self._walk.plan)[..., None]
        units = np.flatnonzero(~np.isnan(kinks).all(axis=(1, 2)))
        z, z0 = (each.pre_activation(units)[:, None] for each in (walk, walk.at(self._start)))
        on, across = z == kinks[units], (z > kinks[units]) != (z0 > kinks[units])
        steps = (step for step in aggregate_steps(plan) if plan.aggregations[step.what].kinks)
        found = (part for step in steps for part in slopes(plan, step, walk.theta, reading(walk.state)))
        tied = sum(int(((share > 0) & (share < 1)).any(axis=0).sum()) for *_, share in found)
        counts = int(on.any(axis=1).sum()), int(across.any(axis=1).sum()), tied
        return tuple(text.format(count) for text, count in zip(CHOSEN, counts, strict=True) if count)

    def __repr__(self) -> str:
        return f"<Attribution: {self.method} of {label(self.of)}, {len(self._start)} rows>"

    # -- of names ------------------------------------------------------------------------

    def _of(self, name: Any) -> Array:
        topology = self._walk.prepared.layout.topology
        is_group = self._groups and not topology.has_node(name) and name in self._groups
        return self._of_nodes(self._groups[name] if is_group else (topology.node_number(name),)).copy()

    def _of_nodes(self, nodes: tuple[int, ...]) -> Array:
        if nodes not in self._known and self._name == "knockout":
            self._knock_out(self._bunches[nodes])
        elif nodes not in self._known:
            self._known[nodes] = np.asarray(self._by_unit[self._units_of([nodes])[0]].sum(axis=0))
        return self._known[nodes]

    def _units_of(self, several: Sequence[tuple[int, ...]]) -> tuple[Array, Array]:
        """The units of some nodes each, one behind the other, and how many there are of each."""
        layout, nodes = self._walk.prepared.layout, np.fromiter(chain.from_iterable(several), np.int64)
        first, n = layout.first_unit[nodes], layout.topology.units[nodes]
        counts = np.add.reduceat(n, offsets(np.fromiter(map(len, several), np.int64))[:-1])
        return ranges(first, first + n), counts

    def _of_edge(self, edge: int) -> Array:
        if self._name not in WALKED:
            raise DataError(f"{self._name}: edges have none; ask for nodes or groups, or for another method")
        layout, plan = self._walk.prepared.layout, self._walk.plan
        source, target = (int(ends[edge]) for ends in (layout.topology.sources, layout.topology.targets))
        parent, child = layout.units_of(source), layout.summed_units_of(target)
        slots = np.arange(plan.indptr[child.start], plan.indptr[child.stop])
        mine = (plan.sources[slots] >= parent.start) & (plan.sources[slots] < parent.stop)
        return np.asarray(self._by_slot[slots[mine]].sum(axis=0))

    # -- of units ------------------------------------------------------------------------

    @cached_property
    @np.errstate(all="ignore")
    def _values(self) -> Array:
        return self._walk.value(np.arange(self._walk.plan.n_units))

    @cached_property
    @np.errstate(all="ignore")
    def _values_at_start(self) -> Array:
        return self._walk.at(self._start).value(np.arange(self._walk.plan.n_units))

    @cached_property
    def _without_value(self) -> Array:
        """(units, rows) what is there where nothing is: a₀ if a baseline was given, or else of inputs."""
        if self._said:
            return self._values_at_start
        result = np.zeros((self._walk.plan.n_units, len(self._start)), self._start.dtype)
        result[: self._start.shape[1]] = self._start.T
        return result

    def _passes(self) -> Iterator[tuple[Walk, Array]]:
        """Walks back from the output, and the changes of values (units, rows of the walk) beside them."""
        n, everyone = len(self._start), np.arange(self._walk.plan.n_units)
        way = self._walk.inputs - self._start
        if self._name == "gradient*input":
            self._walk.back(np.ones((n, 1), way.dtype))
            yield self._walk, self._values - self._without_value
        elif self._name == "deeplift":
            both = np.concatenate([self._walk.inputs, self._start])
            walk = replace(self._walk, plan=secant_plan(self._walk.plan), inputs=both)
            walk.back(np.repeat(np.array([1, 0], way.dtype), n)[:, None])
            values = walk.value(everyone)
            yield walk, np.tile(values[:, :n] - values[:, n:], 2)
        else:
            h = float(np.finfo(way.dtype).eps ** (1 / 3))
            for weight, place in line(self._steps):
                at = [self._walk.at(self._start + (place + step) * way) for step in (0, h, -h)]
                at[0].back(np.ones((n, 1), way.dtype))
                change = (at[1].value(everyone) - at[2].value(everyone)) / (2 * h)
                change[: way.shape[1]] = way.T
                yield at[0], weight * change

    @cached_property
    @np.errstate(all="ignore")
    def _by_unit(self) -> Array:
        n = len(self._start)
        return np.asarray(sum((walk.pulls * change)[:, :n] for walk, change in self._passes()))

    @cached_property
    @np.errstate(all="ignore")
    def _by_slot(self) -> Array:
        """(weights, rows) w · Δa · ∂z/∂(w a) · ∂eta/∂z."""
        plan, n, theta = self._walk.plan, len(self._start), self._walk.theta
        found, child = np.zeros((plan.n_weights, n), theta.dtype), slot_targets(plan.indptr)
        for walk, change in self._passes():
            delta = walk.delta(np.arange(plan.n_units))
            for slots, way in ways(walk.plan, theta, walk.state, 2 * n):
                found[slots] += (way * change[plan.sources[slots]] * delta[child[slots]])[:, :n]
        return found

    @cached_property
    def _dependents(self) -> Dependents:
        return Dependents(self._walk.plan, np.array([self._unit]))

    @cached_property
    def _bunches(self) -> dict[tuple[int, ...], list[tuple[int, ...]]]:
        """By what can be knocked out, all that is with it; inputs come first."""
        first = np.argsort(~self._walk.prepared.layout.topology.is_input, kind="stable").tolist()
        listed = list(dict.fromkeys([*((node,) for node in first), *self._groups.values()]))
        size = max(1, AT_ONCE // (self._walk.plan.n_units + self._walk.plan.n_weights))
        bunches = (listed[start : start + size] for start in range(0, len(listed), size))
        return {each: bunch for bunch in bunches for each in bunch}

    @np.errstate(all="ignore")
    def _knock_out(self, bunch: list[tuple[int, ...]]) -> None:
        walk, cones = self._walk, self._dependents.cones(*self._units_of(bunch))
        given = np.ascontiguousarray(self._without_value[cones.units])
        after = walk.runner.evaluate_cones(walk.theta, walk.state, cones, given, self._unit)
        if after is None:
            after = _evaluated(walk, self._values.copy(), cones, given, self._unit)
        self._known.update(zip(bunch, walk.value(np.array([self._unit])) - after, strict=True))


class Given(Attribution):
    """What a plugin's method gives: of the nodes that it speaks of, and of groups of these."""

    def __iter__(self) -> Iterator[Hashable]:
        nodes = self._walk.prepared.layout.topology.nodes
        return iter((*(nodes[node] for (node,) in sorted(self._known)), *self._groups))

    def __len__(self) -> int:
        return len(self._known) + len(self._groups)

    def _of_nodes(self, nodes: tuple[int, ...]) -> Array:
        names = self._walk.prepared.layout.topology.nodes
        if missing := [shorten(names[node]) for node in nodes if (node,) not in self._known]:
            raise DataError(f"{self._name}: it gives nothing of node {missing[0]}; ask for another method")
        return np.asarray(sum(self._known[node,] for node in nodes))


@np.errstate(all="ignore")
def _given(net: Model, method: Attributor, inputs: Array, start: Array, of: Any) -> dict[Any, Array]:
    """What a plugin's method gives, (rows,) each, by the number of the node alone."""
    where, own, (center, scale) = named(method), copy.deepcopy(net), net.prepared.standardisation or (0, 1)
    own.named = False  # X is in the order of the inputs
    try:
        given = method.function(own, inputs * scale + center, start * scale + center, of, *method.arguments)
        given = dict(given) if isinstance(given, Mapping) else given
    except Exception as error:
        raise PluginError(f"{where} raised {type(error).__name__}: {error}") from error
    if not isinstance(given, dict) or not given:
        raise PluginError(expected(f"{where}: result", "a mapping from node to numbers, (rows,)", given))
    found, shape = {}, (len(inputs),)
    for name, each in given.items():
        at = f"{where}: {shorten(name)}"
        try:
            node, values = node_meant(where, net.topology, name), numeric(at, each)
        except DataError as error:
            raise PluginError(str(error)) from None
        if values.shape not in {shape, (*shape, int(net.topology.units[node]))}:
            raise PluginError(expected(at, f"of shape {shape}, a number a row", Verbatim(str(values.shape))))
        found[node,] = values.reshape(*shape, -1).sum(axis=1).astype(net.dtype)
        if len(rows := np.flatnonzero(~np.isfinite(found[node,]))):
            raise PluginError(expected(f"{at}, row {rows[0]}", "finite", values[rows[0]]))
    return found


def _evaluated(walk: Walk, a: Array, cones: Cones, given: Array, unit: int) -> Array:
    """What a unit has for each of the cones, by the textbook; the values ``a`` are as before in the end."""
    plan, theta, draw, found = walk.plan, walk.theta, Draw(0, np.zeros(0)), []
    for cone, (start, stop) in enumerate(pairwise(cones.first_unit.tolist())):
        steps, units = list(cones.steps(plan, cone)), cones.units[start:stop]
        touched: list[Any] = [units, *(step.targets for step in steps)]
        before = [a[part].copy() for part in touched]
        a[units] = given[start:stop]
        for step in steps:
            if step.kind == ACTIVATE:
                function, learned = plan.activations[step.what], plan.learned(step, theta)
                a[step.targets] = function.value(a[step.targets], **learned)
            else:
                a[step.targets] = sums(plan, step, theta, a, draw)
        found.append(a[unit].copy())
        for part, values in zip(touched, before, strict=True):
            a[part] = values
    return np.array(found)
