"""What a forward or backward pass gives back, by name.  Results belong to the caller."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Runner
from dagnet.errors import DataError, needed
from dagnet.markup import number, table_html
from dagnet.model.layout import Layout
from dagnet.model.naming import ParameterNames
from dagnet.model.prepared import Prepared
from dagnet.model.views import BiasView, MissingNameError, NodeParameterView, WeightView
from dagnet.plan import Plan

LISTED = 10


@dataclass(eq=False)
class Walk:
    """A walk forth, and back from ``pull`` = ∂loss/∂outputs; pickled, it is walked again where it is read."""

    prepared: Prepared
    plan: Plan
    theta: Array
    inputs: Array
    pull: Array | None = None

    @cached_property
    def runner(self) -> Runner:
        """The engine's runner for the plan."""
        return self.prepared.runner_for(self.plan)

    @cached_property
    @np.errstate(all="ignore")
    def state(self) -> Any:
        """What the engine keeps of the walk."""
        state = self.runner.forward(self.theta, self.inputs)
        if self.pull is not None:
            self._back(state, self.pull)
        return state

    def back(self, pull: Array) -> Array:
        """Walk back; the derivatives by slot."""
        slots, self.pull = self._back(self.state, pull), pull
        return slots

    def _back(self, state: Any, pull: Array) -> Array:
        slots = np.zeros(self.plan.n_slots, self.theta.dtype)
        self.runner.backward(self.theta, state, pull, into=slots)
        return slots

    def everywhere(self) -> Walk:
        """The same, back into every unit."""
        plan = self.prepared.layout.plan
        return replace(self, plan=plan.restrict(deltas=np.ones(plan.n_units, bool)))

    def __deepcopy__(self, memo: object) -> Walk:
        """Itself: nothing changes it any more."""
        del memo
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """An engine's state stays with the engine."""
        return Walk, (self.prepared, self.plan, self.theta, self.inputs, self.pull)


@np.errstate(all="ignore")
def node_rows(units: slice, read: Callable[[Array], Array]) -> Array:
    """(rows,) for a node of one unit, (rows, units) for others."""
    block = read(np.arange(units.start, units.stop)).T
    rows: Array = block[:, 0] if block.shape[1] == 1 else block
    return np.ascontiguousarray(rows)


@dataclass(eq=False, repr=False)
class Forward(Mapping[Hashable, Array]):
    """Values of all nodes for some rows: ``forward[node]``, ``forward.pre_activation(node)``.

    A mapping from every node, in the graph's order, to its values.  It can be copied and pickled;
    another process finds the values again, with an engine of its own.

    Attributes
    ----------
    outputs
        Values of the output nodes, (rows, output units).
    """

    _walk: Walk
    outputs: Array

    def __getitem__(self, node: Hashable) -> Array:
        """The value of a node, (rows,) or (rows, units)."""
        try:
            layout = self._walk.prepared.layout
            return node_rows(layout.units_of(layout.topology.node_number(node)), self._walk.state.value)
        except DataError as error:
            raise MissingNameError(str(error)) from None

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._walk.prepared.layout.topology.nodes)

    def __len__(self) -> int:
        return self._walk.prepared.layout.topology.n_nodes

    def to_frame(self, index: Any = None) -> Any:
        """A ``pandas.DataFrame``: a column a node (of several units, one a pair (node, unit)), a row a row.

        ``index`` labels the rows, such as ``df.index`` of the data; default 0, 1, ….
        """
        pandas = needed("forward.to_frame()", "pandas", "pandas")
        columns: list[Hashable] = []
        for node, values in self.items():
            units = range(values.shape[1]) if values.ndim == 2 else ()
            columns += [(node, unit) for unit in units] or [node]
        names = pandas.Index(columns, tupleize_cols=False)
        return pandas.DataFrame(np.column_stack(list(self.values())), index, names)

    def pre_activation(self, node: Hashable) -> Array:
        """Pre-activation z of a node, (rows,) or (rows, units); of an input, its value."""
        layout = self._walk.prepared.layout
        units = layout.summed_units_of(layout.topology.node_number(node))
        return node_rows(units, self._walk.state.pre_activation)

    @cached_property
    @np.errstate(all="ignore")
    def by_unit(self) -> tuple[Array, Array, Array]:
        """z, a and g′(z) of all units, (units, rows) each; of inputs their value, twice, and 1."""
        state, plan = self._walk.state, self._walk.plan
        everything = np.arange(plan.n_units)
        z, a = state.pre_activation(everything), state.value(everything)
        return z, a, plan.slopes(z, a, self._walk.theta)

    __eq__, __hash__ = object.__eq__, object.__hash__  # a mapping's would compare arrays

    def __repr__(self) -> str:
        topology = self._walk.prepared.layout.topology
        return f"<Forward: {len(self.outputs)} rows, {topology.n_nodes:,} nodes>"


@dataclass(eq=False, repr=False)
class Gradient:
    """Derivatives of the mean loss, by name.  It can be copied and pickled, as :class:`Forward`.

    Attributes
    ----------
    loss
        The mean loss, a float.
    weights, biases
        ∂loss/∂weight by edge and ∂loss/∂bias by node, of those that were asked for.
    flat
        ∂loss/∂parameter in the order of ``net.parameters``, 0 where not asked: the same, but where
        edges say ``factor`` (weight = factor · parameter).
    asked
        (parameters,) mask: the derivatives that were asked for.
    """

    _walk: Walk
    loss: float
    flat: Array
    asked: Array

    @property
    def _layout(self) -> Layout:
        return self._walk.prepared.layout

    @property
    def weights(self) -> WeightView:
        """∂loss/∂weight by edge, of those asked for."""
        return WeightView(self._layout, self.flat, self.asked)

    @property
    def node_parameters(self) -> NodeParameterView:
        """∂loss/∂ of what nodes learn by (node, name), of those asked for."""
        return NodeParameterView(self._layout, self.flat, self.asked)

    @property
    def biases(self) -> BiasView:
        """∂loss/∂bias by node, of those asked for."""
        return BiasView(self._layout, self.flat, self.asked)

    @cached_property
    def _everywhere(self) -> Walk:
        return self._walk.everywhere()

    def delta(self, node: Hashable) -> Array:
        """δ = ∂loss/∂z of a node for each row, (rows,) or (rows, units).

        For rows of a mean the factor 1/rows is in it.
        """
        units = self._layout.summed_units_of(self._layout.topology.node_number(node))
        walk = self._walk if self._walk.plan.needs_delta[units].all() else self._everywhere
        return node_rows(units, walk.state.delta)

    @cached_property
    @np.errstate(all="ignore")
    def inputs(self) -> Array:
        """∂loss/∂X, (rows, input units), with respect to X as it was given."""
        topology = self._layout.topology
        deltas: Array = self._everywhere.state.delta(np.arange(self._walk.plan.n_inputs)).T
        return np.ascontiguousarray((deltas / topology.scale).astype(deltas.dtype))

    @cached_property
    @np.errstate(all="ignore")
    def by_unit(self) -> tuple[Array, Array, Array, Array]:
        """z, a and δ of all units, (units, rows) each, and all derivatives by slot, frozen ones' too."""
        walk = replace(self._walk, plan=self._layout.plan.everywhere(), pull=None)
        slots = walk.back(cast("Array", self._walk.pull))
        state, units = walk.state, np.arange(walk.plan.n_units)
        return state.pre_activation(units), state.value(units), state.delta(units), slots

    @cached_property
    def visited(self) -> tuple[Hashable, ...]:
        """The nodes that the reverse walk entered, in its order."""
        units = np.flatnonzero(self._walk.plan.needs_delta)[::-1]
        nodes = dict.fromkeys(self._layout.node_of_unit[units].tolist())
        return tuple(self._layout.topology.nodes[node] for node in nodes)

    def __repr__(self) -> str:
        asked, n = int(self.asked.sum()), len(self.flat)
        largest = number(float(np.abs(self.flat).max(initial=0.0)))
        return f"<Gradient: loss {self.loss:.6g}, {asked:,} of {n:,} derivatives, largest {largest}>"

    def _repr_html_(self) -> str:
        names, asked = ParameterNames(self._layout), np.flatnonzero(self.asked)
        largest = asked[np.argsort(-np.abs(self.flat[asked]), kind="stable")][:LISTED].tolist()
        rows = [(str(names[place]), number(float(self.flat[place]))) for place in largest]
        more = f"… and {len(asked) - LISTED:,} smaller ones" if len(asked) > LISTED else ""
        return table_html(repr(self)[1:-1], ("derivative for", "value"), rows, more)
