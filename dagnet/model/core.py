"""``Model``: everything that floors above need to run a network, by name and by array."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from dagnet.ancestry import Ancestry
from dagnet.compiler import compile_topology
from dagnet.contracts import Loss
from dagnet.errors import DataError, GraphError, PluginError, expected, shorten
from dagnet.model.data import Columns, encode_inputs, encode_sample_weight, encode_targets
from dagnet.model.regraph import regraph
from dagnet.model.results import Forward, Gradient
from dagnet.model.selection import prepare
from dagnet.model.start import start_parameters
from dagnet.model.views import Layout, WritableBiases, WritableWeights
from dagnet.plan import Plan
from dagnet.registry import find_initializer
from dagnet.topology import Topology

__all__ = ["Model"]

Array = NDArray[Any]
DTYPES = ("float64", "float32")


class Model:
    """A topology with its plan, its parameters and an engine to run them."""

    def __init__(
        self,
        topology: Topology,
        *,
        loss: Loss,
        initializer: object = "he_uniform",
        dtype: object = "float64",
        engine: object = "auto",
        threads: int | None = None,
        seed: object = None,
    ) -> None:
        self._dtype = _checked_dtype(dtype)
        self._threads = _checked_threads(threads)
        self._topology = topology
        compiled = compile_topology(topology)
        self._layout = Layout(topology, compiled)
        self._columns_in = self._columns("X", topology.inputs)
        self._columns_out = self._columns("y", topology.outputs)
        self._loss = self._fitting(loss)
        generator = make_generator(seed)
        start = start_parameters(topology, compiled, find_initializer(initializer), generator, self._dtype)
        self._parameters = start
        self._plan = compiled.plan
        self._trainable = by_parameter(self._plan, compiled.trainable)
        standardised = bool((topology.center != 0).any() or (topology.scale != 1).any())
        self._center = topology.center if standardised else None
        self._scale = topology.scale if standardised else None
        self._asked_engine = engine
        self._engine, self._runner = self._prepare(self._plan)

    def _columns(self, what: str, nodes: Array) -> Columns:
        topology = self._topology
        names = [topology.nodes[node] for node in nodes.tolist()]
        return Columns(what, names, topology.units[nodes].tolist())

    def _fitting(self, loss: Loss) -> Loss:
        if self._columns_out.width < loss.minimum_outputs:
            raise GraphError(
                f"loss {loss.name!r} needs at least {loss.minimum_outputs} output units, "
                f"got {self._columns_out.width}; add outputs or choose another loss"
            )
        return loss

    def _prepare(self, plan: Plan) -> tuple[str, Any]:
        return prepare(self._asked_engine, plan, self._dtype, self._threads)

    # -- what it is ----------------------------------------------------------------------

    @property
    def topology(self) -> Topology:
        """The validated graph as arrays."""
        return self._topology

    @property
    def plan(self) -> Plan:
        """The compiled program; ``print`` lists it."""
        notes = getattr(self._runner, "notes", None)
        return replace(self._plan, notes=MappingProxyType(notes())) if notes else self._plan

    @property
    def runner(self) -> Any:
        """The engine's runner for the plan."""
        return self._runner

    @property
    def layout(self) -> Layout:
        """Where nodes and edges have their parameters and units."""
        return self._layout

    @property
    def inputs(self) -> tuple[Hashable, ...]:
        """The input nodes, in the order of X's columns."""
        return self._columns_in.names

    @property
    def outputs(self) -> tuple[Hashable, ...]:
        """The output nodes, in the order of y's columns."""
        return self._columns_out.names

    @property
    def nodes(self) -> tuple[Hashable, ...]:
        """All nodes, in the graph's order."""
        return tuple(self._topology.nodes)

    @property
    def edges(self) -> tuple[tuple[Hashable, Hashable], ...]:
        """All edges (parent, child), in the graph's order."""
        return tuple(WritableWeights(self._layout, self._parameters))

    @property
    def levels(self) -> tuple[tuple[Hashable, ...], ...]:
        """The nodes by level, the longest distance from a parentless node."""
        level = self._topology.level
        order = np.argsort(level, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(level[order])) + 1)
        return tuple(tuple(self._topology.nodes[node] for node in group.tolist()) for group in groups)

    @property
    def loss(self) -> Loss:
        """The loss."""
        return self._loss

    @property
    def dtype(self) -> np.dtype[Any]:
        """float64 or float32."""
        return self._dtype

    @property
    def engine(self) -> str:
        """The name of the engine that runs this network."""
        return self._engine

    @property
    def threads(self) -> int:
        """How many threads the engine may use."""
        return self._threads

    @property
    def ancestry(self) -> Ancestry:
        """Parent chains: ``.nodes_with(edge)``, ``.parent_chain(node)``."""
        return Ancestry(self._topology)

    # -- parameters ----------------------------------------------------------------------

    @property
    def parameters(self) -> Array:
        """The live flat vector of weights and biases; writing changes the network."""
        return self._parameters

    @parameters.setter
    def parameters(self, values: Any) -> None:
        array = np.asarray(values)
        if array.shape != self._parameters.shape or array.dtype.kind not in "iuf":
            got = f"{array.dtype} of shape {array.shape}"
            raise DataError(expected("parameters", f"numbers of shape {self._parameters.shape}", got))
        with np.errstate(over="ignore"):
            cast = array.astype(self._dtype)
        if not np.isfinite(cast).all():
            raise DataError(
                expected("parameters", f"finite in {self._dtype}", float(array[~np.isfinite(cast)][0]))
            )
        self._parameters[:] = cast

    @property
    def trainable(self) -> Array:
        """(parameters,) mask: what training may change."""
        return self._trainable

    @property
    def weights(self) -> WritableWeights:
        """Weights by edge (parent, child); assignment is checked and changes the network."""
        return WritableWeights(self._layout, self._parameters)

    @property
    def biases(self) -> WritableBiases:
        """Biases by node; assignment is checked and changes the network."""
        return WritableBiases(self._layout, self._parameters)

    def theta(self) -> Array:
        """The parameters as the engine takes them, one entry a slot."""
        tie = self._plan.tie
        return self._parameters if tie is None else self._parameters[tie]

    def collect(self, slots: Array) -> Array:
        """From derivatives by slot to derivatives by parameter: shared weights add up."""
        tie = self._plan.tie
        if tie is None:
            return slots
        return np.bincount(tie, weights=slots, minlength=self._plan.n_parameters).astype(self._dtype)

    # -- data ----------------------------------------------------------------------------

    def encode_inputs(self, X: Any, *, finite: bool = False) -> Array:
        """X checked and standardised, (rows, input units)."""
        return encode_inputs(X, self._columns_in, self._dtype, self._center, self._scale, finite=finite)

    def encode_targets(self, y: Any, rows: int, *, finite: bool = False) -> Array:
        """y checked, (rows, output units)."""
        return encode_targets(y, self._columns_out, self._loss, rows, self._dtype, finite=finite)

    def encode_sample_weight(self, sample_weight: Any, rows: int) -> Array | None:
        """Sample weights checked, (rows,) or None."""
        return encode_sample_weight(sample_weight, rows, self._dtype)

    # -- evaluation ----------------------------------------------------------------------

    def __call__(self, X: Any) -> Array:
        """Values of the output nodes, (rows, output units)."""
        outputs: Array = self._runner.forward(self.theta(), self.encode_inputs(X), keep=False).outputs
        return outputs

    def predict(self, X: Any) -> Array:
        """What the loss says the outputs predict, (rows, output units)."""
        return self._loss.prediction(self(X))

    def forward(self, X: Any) -> Forward:
        """Values and pre-activations of all nodes."""
        return Forward(self._layout, self._runner.forward(self.theta(), self.encode_inputs(X)))

    def evaluate(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The mean loss Σwℓ/Σw."""
        inputs = self.encode_inputs(X)
        targets = self.encode_targets(y, len(inputs))
        weights = self.encode_sample_weight(sample_weight, len(inputs))
        outputs = self._runner.forward(self.theta(), inputs, keep=False).outputs
        return mean_loss(self._loss, outputs, targets, weights)

    def gradient(
        self,
        X: Any,
        y: Any,
        *,
        wrt: Iterable[Hashable] | None = None,
        sample_weight: Any = None,
    ) -> Gradient:
        """Derivatives of the mean loss Σwℓ/Σw.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`evaluate`.
        wrt
            Edges (for their weights) and nodes (for their biases), frozen ones too; None: all
            trainable ones.  The reverse walk enters exactly the nodes that have one of them
            in their parent chain and that reach an output.
        """
        inputs = self.encode_inputs(X)
        targets = self.encode_targets(y, len(inputs))
        weights = self.encode_sample_weight(sample_weight, len(inputs))
        plan, runner, asked = self._plan, self._runner, self.trainable
        if wrt is not None:
            asked = self._wanted(wrt)
            plan = plan.restrict(parameters=asked if plan.tie is None else asked[plan.tie])
            runner = self._prepare(plan)[1]
        theta = self.theta().copy()
        state = runner.forward(theta, inputs)
        loss, pull = self._loss_and_pull(state.outputs, targets, weights)
        slots = np.zeros(plan.n_slots, self._dtype)
        runner.backward(theta, state, pull, into=slots)

        def complete() -> Any:
            everywhere = self._plan.restrict(deltas=np.ones(plan.n_units, bool))
            full = self._prepare(everywhere)[1]
            again = full.forward(theta, inputs)
            full.backward(theta, again, pull, into=np.zeros(plan.n_slots, self._dtype))
            return again

        gradient = Gradient(self._layout, plan, state, loss, self.collect(slots), complete)
        return gradient._mark(asked)  # noqa: SLF001

    def _loss_and_pull(self, outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        """The mean loss and its derivative for the outputs, (rows, output units)."""
        loss = mean_loss(self._loss, outputs, targets, weights)
        pull = np.asarray(self._loss.row_gradients(outputs, targets))
        if pull.shape != outputs.shape:
            where = f"loss {self._loss.name!r}: gradient"
            raise PluginError(expected(where, f"of shape {outputs.shape}", f"shape {pull.shape}"))
        factor = row_weights(weights, len(outputs), self._dtype)
        return loss, np.ascontiguousarray(pull * factor[:, None], self._dtype)

    def _wanted(self, wrt: Iterable[Hashable]) -> Array:
        """(parameters,) mask of the edges and nodes named."""
        topology, layout = self._topology, self._layout
        if isinstance(wrt, (str, bytes)) or not isinstance(wrt, Iterable):
            raise DataError(expected("wrt", "a list of edges (parent, child) and nodes", wrt))
        names = [wrt] if topology.has_edge(wrt) else list(wrt)
        mask = np.zeros(self._plan.n_parameters, bool)
        for name in names:
            if topology.has_edge(name):
                places = layout.weight_places(topology.edge_number(name))
            elif isinstance(name, tuple) and len(name) == 2 and name not in topology.index:
                places = layout.weight_places(topology.edge_number(name))
            else:
                places = layout.bias_places(topology.node_number(name))
                if not len(places):
                    raise DataError(
                        f"wrt: node {shorten(name)} has no bias; name edges (parent, child) or other nodes"
                    )
            mask[places] = True
        return mask

    # -- elsewhere -----------------------------------------------------------------------

    def to_networkx(self) -> nx.DiGraph[Any]:
        """A fresh graph with every weight, bias and activation; it builds the same network."""
        return regraph(self._layout, self._parameters, self._loss, self._dtype)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in {"_runner", "_engine"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._engine, self._runner = self._prepare(self._plan)

    def __repr__(self) -> str:
        topology = self._topology
        return (
            f"<{type(self).__name__}: {topology.n_nodes:,} nodes, {topology.n_edges:,} edges, "
            f"{int(topology.level.max()) + 1:,} levels, {len(self._parameters):,} parameters, "
            f"loss {self._loss}, {self._dtype}, engine {self._engine}>"
        )


def make_generator(seed: object) -> np.random.Generator:
    """A generator of its own for a seed: None, a whole number ≥ 0, or a Generator."""
    if isinstance(seed, np.random.Generator):
        return seed
    whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if seed is None or (whole and seed >= 0):  # type: ignore[operator]
        return np.random.default_rng(seed)  # type: ignore[arg-type]
    raise DataError(expected("seed", "a whole number of 0 or more, a Generator or None", seed))


def by_parameter(plan: Plan, slots: Array) -> Array:
    """From a mask by slot to one by parameter."""
    if plan.tie is None:
        return slots
    mask = np.zeros(plan.n_parameters, bool)
    mask[plan.tie] = slots
    return mask


def row_weights(weights: Array | None, rows: int, dtype: Any) -> Array:
    """w/Σw, (rows,)."""
    if weights is None:
        return np.full(rows, 1 / rows, dtype)
    return (weights / weights.sum(dtype=np.float64)).astype(dtype)


def mean_loss(loss: Loss, outputs: Array, targets: Array, weights: Array | None) -> float:
    """Σwℓ/Σw in double precision."""
    values = np.asarray(loss.row_values(outputs, targets))
    if values.shape != (len(outputs),):
        raise PluginError(
            expected(f"loss {loss.name!r}: value", f"of shape ({len(outputs)},)", f"shape {values.shape}")
        )
    if weights is None:
        return float(values.mean(dtype=np.float64))
    return float((values * (weights / weights.sum(dtype=np.float64))).sum(dtype=np.float64))


def _checked_dtype(dtype: object) -> np.dtype[Any]:
    try:
        result = np.dtype(dtype)  # type: ignore[call-overload]
    except TypeError:
        result = None
    if result is None or result.name not in DTYPES:
        raise DataError(expected("dtype", "'float64' or 'float32'", dtype))
    return result


def _checked_threads(threads: object) -> int:
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(threads, (int, np.integer)) and not isinstance(threads, bool) and threads >= 1:
        return int(threads)
    raise DataError(expected("threads", "a whole number of 1 or more, or None for all", threads))
