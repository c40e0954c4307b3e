"""All of a network but its parameters, frozen; a network and its copies share it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.compiler import compile_topology
from dagnet.contracts import Loss, Runner
from dagnet.errors import DataError, GraphError, shorten
from dagnet.model.data import Columns
from dagnet.model.layout import Layout
from dagnet.model.probing import probe_activation, probe_loss
from dagnet.model.selection import prepare
from dagnet.plan import Plan
from dagnet.topology import Topology


@dataclass(frozen=True, eq=False)
class Prepared:
    """A network made ready to run on any parameters.

    Attributes
    ----------
    layout
        The graph, its plan, and where everything is.
    loss
        The loss.
    dtype
        float64 or float32.
    asked, threads
        The engine that was asked for, ``"auto"`` perhaps, and how many threads it may use.
    engine, runner
        The engine that serves, by name, and its runner for the plan.
    """

    layout: Layout
    loss: Loss
    dtype: np.dtype[Any]
    asked: object
    threads: int
    engine: str
    runner: Runner

    @classmethod
    def of(
        cls, topology: Topology, loss: Loss, dtype: np.dtype[Any], asked: object, threads: int
    ) -> Prepared:
        """Compile a graph; the loss and the activations are tried out on a few numbers."""
        width = int(topology.units[topology.outputs].sum())
        if width < loss.minimum_outputs:
            raise GraphError(
                f"loss {loss.name!r} needs at least {loss.minimum_outputs} output units, "
                f"got {width}; add outputs or choose another loss"
            )
        probe_loss(loss, width, dtype)
        for activation in topology.activations:
            probe_activation(activation, dtype)
        return cls.served(Layout.of(topology, compile_topology(topology)), loss, dtype, asked, threads)

    @classmethod
    def served(
        cls, layout: Layout, loss: Loss, dtype: np.dtype[Any], asked: object, threads: int
    ) -> Prepared:
        """The same from a layout, with an engine of this machine."""
        engine, runner = prepare(asked, layout.plan, dtype, threads)
        return cls(layout, loss, dtype, asked, threads, engine, runner)

    @cached_property
    def _width(self) -> int:
        """Of an X that needs no encoding; −1 where inputs are standardised."""
        return self.columns_in.width if self.standardisation is None else -1

    def takes(self, X: Any) -> bool:
        """Whether X is already what an engine reads: rows of numbers of the dtype, in order."""
        return (
            type(X) is np.ndarray
            and X.dtype is self.dtype
            and X.ndim == 2
            and X.shape[1] == self._width
            and X.shape[0] > 0
            and X.flags.c_contiguous
        )

    @cached_property
    def columns_in(self) -> Columns:
        """The columns of X."""
        return self._columns("X", self.layout.topology.inputs, self.columns_out.names)

    @cached_property
    def columns_out(self) -> Columns:
        """The columns of y."""
        return self._columns("y", self.layout.topology.outputs)

    def _columns(self, what: str, nodes: Array, others: Sequence[Hashable] = ()) -> Columns:
        topology = self.layout.topology
        names = [topology.nodes[node] for node in nodes.tolist()]
        return Columns(what, names, topology.units[nodes].tolist(), others)

    @cached_property
    def standardisation(self) -> tuple[Array, Array] | None:
        """Centre and scale of X's columns, (input units,) each; None where they change nothing."""
        center, scale = self.layout.topology.center, self.layout.topology.scale
        return (center, scale) if center.any() or (scale != 1).any() else None

    def refreshed(self) -> Prepared:
        """With those activations, and the loss, traced anew that read something which has changed since."""
        old, loss = self.layout.topology.activations, self.loss.refreshed()
        fresh = tuple(activation.refreshed() for activation in old)
        if all(new is one for new, one in zip(fresh, old, strict=True)):
            return self if loss is self.loss else replace(self, loss=loss)
        layout = self.layout.with_activations(fresh)
        return Prepared.served(layout, loss, self.dtype, self.asked, self.threads)

    def runner_for(self, plan: Plan) -> Runner:
        """A runner for a plan that was cut out of this one."""
        return prepare(self.asked, plan, self.dtype, self.threads)[1]

    def parameters_of(self, name: Hashable) -> Array:
        """Parameters of one edge or node; where a pair is both, the edge is meant."""
        layout, topology = self.layout, self.layout.topology
        pair = isinstance(name, tuple) and len(name) == 2
        if topology.has_edge(name) or (pair and not topology.has_node(name)):
            return layout.weight_places(topology.edge_number(name))
        places = layout.bias_places(topology.node_number(name))
        if not len(places):
            mend = "name edges (parent, child), or nodes that have a bias"
            raise DataError(f"wrt: node {shorten(name)} has no bias; {mend}")
        return places

    def __deepcopy__(self, memo: object) -> Prepared:
        """Itself: it never changes."""
        del memo
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process has an engine of its own."""
        return Prepared.served, (self.layout, self.loss, self.dtype, self.asked, self.threads)
