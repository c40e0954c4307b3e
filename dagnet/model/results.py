"""What a forward or backward pass gives back, by name.  Results belong to the caller."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Runner
from dagnet.engine import pulls
from dagnet.errors import DataError, needed
from dagnet.markup import label, number, table_html
from dagnet.model.layout import Layout
from dagnet.model.naming import ParameterNames
from dagnet.model.prepared import Prepared
from dagnet.model.views import BiasView, MissingNameError, NodeParameterView, WeightView
from dagnet.plan import Plan

LISTED = 10


@dataclass(eq=False)
class Walk:
    """A walk forth, and back from ``pull`` = ∂loss/∂outputs; pickled, it is walked again where it is read.

    Units and slots are those of the network's plan, also where ``plan`` was cut out of it and has the units
    ``fixed``, whose values are given, among its inputs.
    """

    prepared: Prepared
    plan: Plan
    theta: Array
    inputs: Array
    pull: Array | None = None
    fixed: Array | None = None

    @cached_property
    def runner(self) -> Runner:
        """The engine's runner for the plan."""
        return self.prepared.runner_for(self.plan)

    @property
    def _theta(self) -> Array:
        return self.theta if self.plan.slot_ids is None else self.theta[self.plan.slot_ids]

    @cached_property
    def numbers(self) -> Array:
        """(units of the network's plan,) their numbers in this one."""
        ids = self.plan.unit_ids
        return np.arange(self.plan.n_units) if ids is None else np.argsort(ids)

    @cached_property
    @np.errstate(all="ignore")
    def state(self) -> Any:
        """What the engine keeps of the walk, by the plan's own units."""
        state = self.runner.forward(self._theta, self.inputs)
        if self.pull is not None:
            self._back(state, self.pull)
        return state

    def at(self, inputs: Array) -> Walk:
        """Forth on other rows, with the same runner."""
        walk = replace(self, inputs=inputs, pull=None)
        vars(walk)["runner"] = self.runner
        return walk

    def value(self, units: Array) -> Array:
        """Values, (units, rows)."""
        return np.asarray(self.state.value(self.numbers[units]))

    def pre_activation(self, units: Array) -> Array:
        """Pre-activations, (units, rows)."""
        return np.asarray(self.state.pre_activation(self.numbers[units]))

    def delta(self, units: Array) -> Array:
        """∂loss/∂z, (units, rows); 0 of what has a given value."""
        walk = self if self.entered[units].all() else self.everywhere
        return np.where(walk.entered[units, None], walk.state.delta(self.numbers[units]), 0)

    def back(self, pull: Array) -> Array:
        """Walk back; the derivatives by slot of the network's plan."""
        own, self.pull = self._back(self.state, pull), pull
        slots = np.zeros_like(self.theta)
        slots[slice(None) if self.plan.slot_ids is None else self.plan.slot_ids] = own
        return slots

    def _back(self, state: Any, pull: Array) -> Array:
        slots = np.zeros(self.plan.n_slots, self.theta.dtype)
        self.runner.backward(self._theta, state, pull, into=slots)
        return slots

    @cached_property
    def entered(self) -> Array:
        """(units,) mask: where the reverse walk enters."""
        mask = self.plan.needs_delta[self.numbers]
        mask[[] if self.fixed is None else self.fixed] = False
        return mask

    @cached_property
    def everywhere(self) -> Walk:
        """The same, back into every unit."""
        plan = self.plan.restrict(deltas=np.ones(self.plan.n_units, bool))
        return self if (plan.needs_delta == self.plan.needs_delta).all() else replace(self, plan=plan)

    @cached_property
    @np.errstate(all="ignore")
    def pulls(self) -> Array:
        """∂loss/∂a, (units, rows)."""
        walk = self.everywhere
        return pulls(walk.plan, walk._theta, walk.state, np.asarray(self.pull))[self.numbers]  # noqa: SLF001

    def __deepcopy__(self, memo: object) -> Walk:
        """Itself: nothing changes it any more."""
        del memo
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """An engine's state stays with the engine."""
        return Walk, (self.prepared, self.plan, self.theta, self.inputs, self.pull, self.fixed)


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

    >>> import dagnet
    >>> forward = dagnet.Network.from_arrays([0, 1], [1, 2], [-2.0, 1.0]).forward([[3.0]])
    >>> forward[1], forward.pre_activation(1), list(forward.to_frame())
    (array([0.]), array([-6.]), [0, 1, 2])
    """

    _walk: Walk
    outputs: Array

    def __getitem__(self, node: Hashable) -> Array:
        """The value of a node, (rows,) or (rows, units)."""
        try:
            layout = self._walk.prepared.layout
            return node_rows(layout.units_of(layout.topology.node_number(node)), self._walk.value)
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
        return node_rows(units, self._walk.pre_activation)

    @cached_property
    @np.errstate(all="ignore")
    def by_unit(self) -> tuple[Array, Array, Array]:
        """z, a and g′(z) of all units, (units, rows) each; of inputs their value, twice, and 1."""
        walk, plan = self._walk, self._walk.prepared.layout.plan
        everything = np.arange(plan.n_units)
        z, a = walk.pre_activation(everything), walk.value(everything)
        return z, a, plan.slopes(z, a, self._walk.theta)

    __eq__, __hash__ = object.__eq__, object.__hash__  # a mapping's would compare arrays

    def __repr__(self) -> str:
        topology = self._walk.prepared.layout.topology
        return f"<Forward: {len(self.outputs)} rows, {topology.n_nodes:,} nodes>"


@dataclass(eq=False, repr=False)
class Gradient:
    """Derivatives of the mean loss, by name.  It can be copied and pickled, as :class:`Forward`.

    Of ``net.gradient(X, of="eta")`` they are those of eta: read ∂eta for ∂loss.  What there is of each
    row is that row's own, and what parameters have is the sum over the rows.

    Attributes
    ----------
    loss
        The mean loss, a float; with ``of=`` the sum of its values over the rows.
    of
        What ``of=`` said, else None.
    weights, biases
        ∂loss/∂weight by edge and ∂loss/∂bias by node, of those that were asked for.
    flat
        ∂loss/∂parameter in the order of ``net.parameters``, 0 where not asked: the same, but where
        edges say ``factor`` (weight = factor · parameter).
    asked
        (parameters,) mask: the derivatives that were asked for.

    >>> import dagnet
    >>> gradient = dagnet.Network.from_arrays([0], [1], [2.0]).gradient([[3.0]], [5.0])
    >>> gradient.loss, gradient.weights[0, 1], gradient.delta(1), gradient.value(0), gradient.inputs
    (1.0, 6.0, array([2.]), array([4.]), array([[4.]]))
    """

    _walk: Walk
    loss: float
    flat: Array
    asked: Array
    of: Hashable = None

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

    def value(self, node: Hashable) -> Array:
        """∂loss/∂a of a node for each row, (rows,) or (rows, units): what its children ask, and the loss.

        Of an input a is (value − center) / scale; 0 for nodes that do not reach what is differentiated.
        """
        units = self._layout.units_of(self._layout.topology.node_number(node))
        return node_rows(units, self._walk.pulls.__getitem__)

    def delta(self, node: Hashable) -> Array:
        """δ = ∂loss/∂z of a node for each row, (rows,) or (rows, units).

        For rows of a mean the factor 1/rows is in it.
        """
        units = self._layout.summed_units_of(self._layout.topology.node_number(node))
        return node_rows(units, self._walk.delta)

    @cached_property
    @np.errstate(all="ignore")
    def inputs(self) -> Array:
        """∂loss/∂X, (rows, input units), with respect to X as it was given."""
        topology = self._layout.topology
        inputs = np.arange(self._layout.plan.n_inputs)
        deltas: Array = self._walk.delta(inputs).T
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
        units = np.flatnonzero(self._walk.entered)[::-1]
        nodes = dict.fromkeys(self._layout.node_of_unit[units].tolist())
        return tuple(self._layout.topology.nodes[node] for node in nodes)

    def __repr__(self) -> str:
        asked, n = int(self.asked.sum()), len(self.flat)
        largest = number(float(np.abs(self.flat).max(initial=0.0)))
        what = f"loss {self.loss:.6g}" if self.of is None else f"of {label(self.of)}"
        return f"<Gradient: {what}, {asked:,} of {n:,} derivatives, largest {largest}>"

    def _repr_html_(self) -> str:
        names, asked = ParameterNames(self._layout), np.flatnonzero(self.asked)
        largest = asked[np.argsort(-np.abs(self.flat[asked]), kind="stable")][:LISTED].tolist()
        rows = [(str(names[place]), number(float(self.flat[place]))) for place in largest]
        more = f"… and {len(asked) - LISTED:,} smaller ones" if len(asked) > LISTED else ""
        return table_html(repr(self)[1:-1], ("derivative for", "value"), rows, more)
