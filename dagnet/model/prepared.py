"""All of a network but its parameters, frozen; a network and its copies share it.

Plugins are tried out on a few numbers when it is made: what works, but badly, is said.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from operator import is_
from typing import Any

import numpy as np

from dagnet.arrays import Array, all_are
from dagnet.compiler import compile_topology
from dagnet.contracts import Activation, Draw, Loss, Runner
from dagnet.errors import DagnetWarning, DataError, GraphError, PluginError, expected, shorten
from dagnet.hashing import step_key
from dagnet.model.data import SparseRows, standardisation_of
from dagnet.model.heads import Objective
from dagnet.model.layout import Layout
from dagnet.model.selection import prepare
from dagnet.model.tables import Columns, numeric
from dagnet.plan import Plan, training_plan
from dagnet.registry import named
from dagnet.topology import Topology
from dagnet.values import whole

ROWS = 2
PORTION = 2048
"""Rows that are evaluated at once with dropout, a multiple of 32."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A network made ready to run on any parameters.

    Attributes
    ----------
    layout
        The graph, its plan, and where everything is.
    objective
        The heads and their losses.
    dtype
        float64 or float32.
    asked, threads
        The engine that was asked for, ``"auto"`` perhaps, and how many threads it may use.
    engine, runner
        The engine that serves, by name, and its runner for the plan.
    """

    layout: Layout
    objective: Objective
    dtype: np.dtype[Any]
    asked: object
    threads: int
    engine: str
    runner: Runner

    @classmethod
    def of(
        cls, topology: Topology, loss: Loss, dtype: np.dtype[Any], asked: object, threads: int
    ) -> Prepared:
        """Compile a graph; losses and activations are tried out on a few numbers."""
        objective = Objective.of(topology, loss)
        for head, units in zip(objective.heads, objective.units, strict=True):
            each = 1 / head.loss.columns
            for node in (topology.index[name] for name in head.nodes) if each > 1 else ():
                if topology.units[node] % each:
                    must, got = f"a multiple of {each:g} units", int(topology.units[node])
                    mend = f"as loss {head.loss.name!r} reads them together; give the node units={each:g}"
                    raise GraphError(
                        expected(f"output node {shorten(topology.nodes[node])}", must, got, mend)
                    )
            probe_loss(head.loss, len(units), dtype)
        for activation in topology.activations:
            probe_activation(activation, dtype)
        return cls.served(Layout.of(topology, compile_topology(topology)), objective, dtype, asked, threads)

    @classmethod
    def served(
        cls, layout: Layout, objective: Objective, dtype: np.dtype[Any], asked: object, threads: int
    ) -> Prepared:
        """The same from a layout, with an engine of this machine."""
        engine, runner = prepare(asked, layout.plan, dtype, threads)
        return cls(layout, objective, dtype, asked, threads, engine, runner)

    @cached_property
    def _width(self) -> int:
        """Of an X that needs no encoding; −1 where inputs are standardised."""
        return self.columns_in.width if self.standardisation is None else -1

    def takes(self, X: Any) -> bool:
        """Whether X is already what the engine reads: numbers of the dtype, in an order that it takes."""
        return (
            type(X) is np.ndarray
            and X.dtype is self.dtype
            and X.ndim == 2
            and X.shape[1] == self._width
            and X.shape[0] > 0
            and (X.flags.c_contiguous or (self.runner.reads_columns and X.flags.f_contiguous))
        )

    @cached_property
    def columns_in(self) -> Columns:
        """The columns of X."""
        topology = self.layout.topology
        names = (topology.nodes[node] for node in topology.inputs.tolist())
        sizes = dict(zip(names, topology.units[topology.inputs].tolist(), strict=True))
        return self._columns("X", sizes, self.columns_out.names)

    def table_of(self, y: Any) -> Any:
        """A table of one output's columns, in their order, as one that has them under the output's name."""
        own, names = self.columns_out, list(y.columns if hasattr(y, "columns") else y)
        if len(own.names) > 1 or own.names[0] in names or len(names) != own.width:
            return y
        if self.objective.heads[0].loss.columns <= 1:
            return y
        columns = [numeric(f"y: column {shorten(name)}", y[name]) for name in names]
        return {own.names[0]: np.column_stack(columns)}

    @cached_property
    def columns_out(self) -> Columns:
        """The columns of y: the outputs but those that learn another one's."""
        return self._columns("y", self.objective.sizes)

    def _columns(self, what: str, sizes: Mapping[Any, int], others: Sequence[Hashable] = ()) -> Columns:
        topology = self.layout.topology
        categories = {topology.nodes[node]: words for node, words in topology.categories.items()}
        return Columns(what, tuple(sizes), tuple(sizes.values()), others, categories)

    @cached_property
    def standardisation(self) -> tuple[Array, Array] | None:
        """Centre and scale of X's columns, (input units,) each; None where they change nothing."""
        center, scale = self.layout.topology.center, self.layout.topology.scale
        return None if all_are(center, 0) and all_are(scale, 1) else (center, scale)

    def refreshed(self) -> Prepared:
        """With those functions traced anew that read something which has changed since."""
        topology, objective = self.layout.topology, self.objective.refreshed()
        every: tuple[Any, ...] = (*topology.activations, *topology.aggregations)
        new = [one.refreshed() for one in every]
        if all(map(is_, new, every)):
            return self if objective is self.objective else replace(self, objective=objective)
        fresh = dict(zip(every, new, strict=True))
        activations = tuple(fresh[one] for one in topology.activations)
        said = {node: fresh[one] for node, one in topology.node_words.get("aggregation", {}).items()}
        words = {**topology.node_words, **({"aggregation": said} if said else {})}
        topology = replace(topology, activations=activations, node_words=words)
        plan = replace(self.layout.plan, activations=activations, aggregations=topology.aggregations)
        layout = replace(self.layout, topology=topology, plan=plan)
        return Prepared.served(layout, objective, self.dtype, self.asked, self.threads)

    def standardised(self, X: Any) -> Prepared:
        """With the inputs' centre and scale from the columns of X; the runner, which sees neither, stays."""
        center, scale = standardisation_of(X, self.columns_in)
        topology, coded = self.layout.topology, self.layout.topology.is_coded
        center, scale = np.where(coded, 0, center), np.where(coded, 1, scale)
        topology = replace(topology, center=center, scale=scale)
        return replace(self, layout=replace(self.layout, topology=topology))

    def runner_for(self, plan: Plan) -> Runner:
        """A runner for this plan, or one that was cut out of it."""
        if plan is self.layout.plan:
            return self.runner
        return prepare(self.asked, plan, self.dtype, self.threads)[1]

    @cached_property
    def training_runner(self) -> Runner:
        """The runner of :func:`dagnet.plan.training_plan`."""
        return self.runner_for(training_plan(self.layout.plan))

    def outputs(self, vector: Array, inputs: Any) -> Array:
        """Values of the output units for encoded rows, (rows, output units)."""
        if isinstance(inputs, SparseRows):
            kept: Any = inputs.compressed if self.runner.reads_compressed else None
            found = None if kept is None else self.runner.evaluate(self.layout.theta(vector), kept)
            parts = (self.outputs(vector, block) for _, block in inputs.blocks())
            return np.concatenate(list(parts)) if found is None else found
        theta = self.layout.theta(vector)
        quick = self.runner.evaluate(theta, inputs)
        return self.runner.forward(theta, inputs, keep=False).outputs if quick is None else quick

    @cached_property
    def _dropping_runner(self) -> Runner:
        return self.runner_for(training_plan(self.layout.plan, normalizes=False))

    def dropped(self, vector: Array, inputs: Any, seed: object) -> Array:
        """Values of the output units, (rows, output units), with dropout."""
        key, runner = step_key(whole(0).check("seed", seed), 0), self._dropping_runner
        draws = self.layout.plan.trains_otherwise
        outputs, state = np.empty((len(inputs), len(self.layout.plan.outputs)), self.dtype), None
        for first in range(0, len(inputs), PORTION):
            rows = slice(first, first + PORTION)
            more: dict[str, Any] = {"draw": Draw(key, np.zeros(0), first)} if draws else {}
            state = runner.forward(self.layout.theta(vector), inputs[rows], reuse=state, **more)
            outputs[rows] = state.outputs
        return outputs

    def parameters_of(self, name: Hashable) -> Array:
        """Parameters of one edge or node; where a pair is both, the edge is meant."""
        layout, topology = self.layout, self.layout.topology
        pair = isinstance(name, tuple) and len(name) == 2
        if topology.has_edge(name) or (pair and not topology.has_node(name)):
            return layout.weight_places(topology.edge_number(name))
        places = layout.learned_places(topology.node_number(name))
        if not len(places):
            mend = "name edges (parent, child), or nodes that have a bias"
            raise DataError(f"wrt: node {shorten(name)} has no bias; {mend}")
        return places

    def wanted(self, wrt: Iterable[Hashable]) -> Array:
        """(parameters,) mask of the edges and nodes named."""
        must = "a list of edges (parent, child) and nodes"
        if isinstance(wrt, (str, bytes)) or not isinstance(wrt, Iterable):
            raise DataError(expected("wrt", must, wrt, f"write wrt=[{shorten(wrt)}]"))
        names: list[Any] = [wrt] if self.layout.topology.has_edge(wrt) else list(wrt)
        mask = np.zeros(self.layout.plan.n_parameters, bool)
        for name in names:
            mask[self.parameters_of(name)] = True
        return mask

    def __deepcopy__(self, memo: object) -> Prepared:
        """Itself: it never changes."""
        del memo
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process has an engine of its own."""
        return Prepared.served, (self.layout, self.objective, self.dtype, self.asked, self.threads)


@lru_cache(maxsize=256)
def probe_activation(activation: Activation, dtype: Any) -> None:
    """Warn of a plugin's activation whose results are NaN or of another type."""
    z = np.linspace(-1, 1, 12, dtype=dtype).reshape(3, 4)
    with np.errstate(all="ignore"):
        a = np.asarray(activation.value(z))
        _complain(activation, {"function": a, "derivative": np.asarray(activation.slope(z, a))}, dtype)


@lru_cache(maxsize=256)
def probe_loss(loss: Loss, width: int, dtype: Any) -> None:
    """Refuse a loss whose results have the wrong shape for so many outputs, or that writes to its arguments.

    Raises
    ------
    PluginError
        See above.
    """
    from dagnet.contracts.trials import checked_result  # noqa: PLC0415 - `import dagnet` need not pay

    where = named(loss)
    outputs = np.full((ROWS, width), 0.5, dtype)
    targets = np.ones((ROWS, round(width * loss.columns)), dtype)
    if loss.targets == "class":
        targets[:, 1:] = 0
    trials = (
        ("value", lambda o, t: loss.value(o, t, *loss.arguments), (outputs, targets), (ROWS,)),
        ("gradient", loss.row_gradients, (outputs, targets), outputs.shape),
        ("predict", loss.prediction, (outputs,), outputs.shape),
    )
    results = {}
    for what, function, arguments, shape in trials:
        try:
            results[what] = checked_result(f"{where}: {what}", function, arguments, shape)
        except PluginError as error:
            if error.__cause__ is None or isinstance(error.__cause__, IndexError):
                raise
        except Exception:  # noqa: BLE001, S110 - a loss may refuse what is tried; then the first real rows decide
            pass
    _complain(loss, results, dtype)


def _complain(item: Activation | Loss, results: Mapping[str, Array], dtype: Any) -> None:
    """Warn of a registered plugin, whose user did not write it, where it works but badly."""
    where, wrong = named(item), dict[str, str]()
    if where == f"{item.kind} {item.name!r}":
        return
    for what, result in results.items():
        if np.isnan(result).all():
            wrong[what] = f"{what} gives NaN for all numbers that were tried"
        elif result.dtype != dtype and item.formula is None:
            wrong[what] = f"{what} gives {result.dtype} for {dtype}, which is slow and rounded"
    if wrong:
        mend = f"`dagnet plugins check {item.name}` says more"
        warnings.warn(f"{where}: {', '.join(wrong.values())}; {mend}", DagnetWarning, stacklevel=6)
