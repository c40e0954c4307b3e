"""``Model``: everything that floors above need to run a network, by name and by array."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Iterable
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Self

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from dagnet.ancestry import Ancestry
from dagnet.compiler import compile_topology
from dagnet.contracts import Loss
from dagnet.errors import DataError, GraphError, Verbatim, expected, shorten
from dagnet.model.arguments import checked_threads, make_generator
from dagnet.model.averaging import mean_loss, output_gradient
from dagnet.model.data import Columns, encode_inputs, encode_sample_weight, encode_targets
from dagnet.model.layout import Layout
from dagnet.model.probing import probe_activation, probe_loss
from dagnet.model.regraph import regraph
from dagnet.model.results import Forward, Gradient
from dagnet.model.selection import prepare
from dagnet.model.start import start_parameters
from dagnet.model.views import WritableBiases, WritableWeights
from dagnet.plan import Plan
from dagnet.registry import find_initializer
from dagnet.topology import Topology, checked_dtype

__all__ = ["Model"]

Array = NDArray[Any]
Edge = tuple[Hashable, Hashable]
SHARED = {
    "_center",
    "_columns_in",
    "_columns_out",
    "_dtype",
    "_evaluate",
    "_layout",
    "_loss",
    "_plan",
    "_runner",
    "_scale",
    "_topology",
    "_trainable",
}
"""What never changes, and so is shared between a network and its copies."""
REBUILT = ("_columns_in", "_columns_out", "_engine", "_evaluate", "_runner")
"""What follows from the rest, and so is not pickled."""


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
        self._dtype = checked_dtype(dtype)
        self._threads = checked_threads(threads)
        self._topology = topology
        compiled = compile_topology(topology)
        self._layout = Layout.of(topology, compiled)
        self._columns_in = self._columns("X", topology.inputs)
        self._columns_out = self._columns("y", topology.outputs)
        self._loss = self._fitting(loss)
        for activation in topology.activations:
            probe_activation(activation, self._dtype)
        generator = make_generator(seed)
        start = start_parameters(self._layout, find_initializer(initializer), generator, self._dtype)
        self._parameters = start
        self._plan = compiled.plan
        self._trainable = self._layout.trainable
        standardised = bool((topology.center != 0).any() or (topology.scale != 1).any())
        self._center = topology.center if standardised else None
        self._scale = topology.scale if standardised else None
        self._asked_engine = engine
        self._serve()

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
        probe_loss(loss, self._columns_out.width, self._dtype)
        return loss

    def _prepare(self, plan: Plan) -> tuple[str, Any]:
        return prepare(self._asked_engine, plan, self._dtype, self._threads)

    def _serve(self) -> None:
        self._engine, self._runner = self._prepare(self._plan)
        self._evaluate = getattr(self._runner, "evaluate", None)

    def refresh(self) -> None:
        """Trace anew those activations, and the loss, that read something which has changed since."""
        fresh = tuple(activation.refreshed() for activation in self._topology.activations)
        self._loss = self._loss.refreshed()
        if all(new is old for new, old in zip(fresh, self._topology.activations, strict=True)):
            return
        self._layout = self._layout.with_activations(fresh)
        self._topology, self._plan = self._layout.topology, self._layout.plan
        self._serve()

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
    def edges(self) -> tuple[Edge, ...]:
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
            got = Verbatim(f"{array.dtype} of shape {array.shape}")
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
        return self._layout.by_slot(self._parameters)

    def collect(self, slots: Array) -> Array:
        """From derivatives by slot to derivatives by parameter: shared weights add up."""
        return self._layout.by_parameter(slots)

    # -- data ----------------------------------------------------------------------------

    def encode_inputs(self, X: Any, *, finite: bool = False) -> Array:
        """X checked and standardised, (rows, input units)."""
        return encode_inputs(X, self._columns_in, self._dtype, self._center, self._scale, finite=finite)

    def encode_targets(self, y: Any, rows: int, *, finite: bool = False) -> Array:
        """Targets checked, (rows, output units)."""
        return encode_targets(y, self._columns_out, self._loss, rows, self._dtype, finite=finite)

    def encode_sample_weight(self, sample_weight: Any, rows: int) -> Array | None:
        """Sample weights checked, (rows,) or None."""
        return encode_sample_weight(sample_weight, rows, self._dtype)

    # -- evaluation ----------------------------------------------------------------------

    @np.errstate(all="ignore")
    def __call__(self, X: Any) -> Array:
        """Values of the output nodes, (rows, output units)."""
        if self._evaluate is not None and self._is_plain(X):
            quick = self._evaluate(self.theta(), X)
            if quick is not None:
                return quick
        return self._outputs(self.encode_inputs(X))

    def _is_plain(self, X: Any) -> bool:
        """Whether an engine may read X as it stands (it looks for NaN itself)."""
        return (
            type(X) is np.ndarray
            and X.dtype == self._dtype
            and X.ndim == 2
            and X.shape[1] == self._columns_in.width
            and len(X) > 0
            and self._center is None
            and X.flags.c_contiguous
        )

    def _outputs(self, inputs: Array) -> Array:
        """Values of the output nodes for checked rows."""
        if self._evaluate is not None:
            quick = self._evaluate(self.theta(), inputs)
            if quick is not None:
                return quick
        outputs: Array = self._runner.forward(self.theta(), inputs, keep=False).outputs
        return outputs

    def predict(self, X: Any) -> Array:
        """What the loss says the outputs predict, (rows, output units)."""
        outputs = self(X)
        with np.errstate(all="ignore"):
            return np.asarray(self._loss.prediction(outputs), self._dtype)

    @np.errstate(all="ignore")
    def forward(self, X: Any) -> Forward:
        """Values and pre-activations of all nodes."""
        inputs = self.encode_inputs(X).copy()  # the caller may write to X and to the parameters later
        return Forward(self._layout, self._runner.forward(self.theta().copy(), inputs))

    @np.errstate(all="ignore")
    def evaluate(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The mean loss Σwℓ/Σw."""
        inputs = self.encode_inputs(X)
        targets = self.encode_targets(y, len(inputs))
        weights = self.encode_sample_weight(sample_weight, len(inputs))
        outputs = self._outputs(inputs)
        return mean_loss(self._loss, outputs, targets, weights)

    @np.errstate(all="ignore")
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
        inputs = self.encode_inputs(X).copy()  # the caller may write to X later
        targets = self.encode_targets(y, len(inputs))
        weights = self.encode_sample_weight(sample_weight, len(inputs))
        plan, runner, asked = self._plan, self._runner, self.trainable
        if wrt is not None:
            asked = self._wanted(wrt)
            plan = plan.restrict(parameters=self._layout.by_slot(asked))
            runner = self._prepare(plan)[1]
        theta = self.theta().copy()
        state = runner.forward(theta, inputs)
        loss = mean_loss(self._loss, state.outputs, targets, weights)
        pull = output_gradient(self._loss, state.outputs, targets, weights)
        slots = np.zeros(plan.n_slots, self._dtype)
        runner.backward(theta, state, pull, into=slots)

        @np.errstate(all="ignore")
        def complete() -> Any:
            everywhere = self._plan.restrict(deltas=np.ones(plan.n_units, bool))
            full = self._prepare(everywhere)[1]
            again = full.forward(theta, inputs)
            full.backward(theta, again, pull, into=np.zeros(plan.n_slots, self._dtype))
            return again

        return Gradient(self._layout, plan, state, loss, self.collect(slots), asked, complete)

    def _wanted(self, wrt: Iterable[Hashable]) -> Array:
        """(parameters,) mask of the edges and nodes named."""
        must = "a list of edges (parent, child) and nodes"
        if isinstance(wrt, (str, bytes)) or not isinstance(wrt, Iterable):
            raise DataError(expected("wrt", must, wrt, f"write wrt=[{shorten(wrt)}]"))
        names: list[Any] = [wrt] if self._topology.has_edge(wrt) else list(wrt)
        mask = np.zeros(self._plan.n_parameters, bool)
        for name in names:
            mask[self._wanted_places(name)] = True
        return mask

    def _wanted_places(self, name: Hashable) -> Array:
        """Parameters of one edge or node; where a pair is both, the edge is meant."""
        topology, layout = self._topology, self._layout
        pair = isinstance(name, tuple) and len(name) == 2
        if topology.has_edge(name) or (pair and not topology.has_node(name)):
            return layout.weight_places(topology.edge_number(name))
        places = layout.bias_places(topology.node_number(name))
        if not len(places):
            mend = "name edges (parent, child), or nodes that have a bias"
            raise DataError(f"wrt: node {shorten(name)} has no bias; {mend}")
        return places

    # -- elsewhere -----------------------------------------------------------------------

    def to_networkx(self) -> nx.DiGraph[Any]:
        """A fresh graph with every weight, bias and activation; it builds the same network."""
        return regraph(self._layout, self._parameters, self._loss, self._dtype)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        for key, value in self.__dict__.items():
            copied.__dict__[key] = value if key in SHARED else copy.deepcopy(value, memo)
        return copied

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in REBUILT}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._columns_in = self._columns("X", self._topology.inputs)
        self._columns_out = self._columns("y", self._topology.outputs)
        self._serve()

    def __repr__(self) -> str:
        topology = self._topology
        return (
            f"<{type(self).__name__}: {topology.n_nodes:,} nodes, {topology.n_edges:,} edges, "
            f"{int(topology.level.max()) + 1:,} levels, {len(self._parameters):,} parameters, "
            f"loss {self._loss}, {self._dtype}, engine {self._engine}>"
        )
