"""Walks that people ask for: forth, with nodes that have given values, and back from the loss or a node."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.errors import DataError, expected, shorten
from dagnet.model.data import ABSENT, as_dtype, refuse_nan
from dagnet.model.prepared import Prepared
from dagnet.model.results import Forward, Gradient, Walk
from dagnet.model.tables import Columns, aligned
from dagnet.topology import Topology


def forward(model: Any, X: Any, *, do: Mapping[Hashable, Any] | None = None) -> Forward:
    """Values and pre-activations of all nodes.

    Parameters
    ----------
    X
        Rows, as for :meth:`evaluate`.
    do
        Interventions (Pearl, 2009), ``{"TP53": 0.0}``: these nodes have the values given, whatever their
        parents say, in all rows (a number), or row by row, (rows,), of a node of several units (rows,
        units).  A value is what ``forward[node]`` has, a; that of an input is as in X.  The network itself
        does not change.

    Raises
    ------
    DataError
        For rows that will not do, a node that there is not, a value of another shape, or NaN.

    Examples
    --------
    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([2, 2, 1], activation="tanh"), seed=0)
    >>> net.forward([[2.0, 3.0], [0.0, 1.0]], do={"h11": [0.5, 0.25]})["h11"]
    array([0.5 , 0.25])
    """
    return forward_of(model, model.encode(X).inputs.copy(), by_row(X, do))  # the caller may write to X


def by_row(X: Any, do: Any) -> Any:
    """Interventions in the order of X's rows, where both label them as pandas does."""
    return {name: aligned("do", value, X) for name, value in do.items()} if isinstance(do, Mapping) else do


def forward_of(model: Any, inputs: Array, do: Any = None) -> Forward:
    """The same of rows that are encoded."""
    walk = walk_of(model, inputs, do)
    return Forward(walk, walk.state.outputs.copy())


def walk_of(model: Any, inputs: Array, do: Any = None) -> Walk:
    """A walk through the whole network, or through what interventions leave of it."""
    prepared, plan = model.prepared, model.layout.plan
    with np.errstate(all="ignore"):
        theta = model.layout.theta(model.vector).copy()  # the caller may write to the parameters
    if do is None or (isinstance(do, Mapping) and not do):
        return Walk(prepared, plan, theta, inputs)
    units, values = _given(prepared, do, len(inputs))
    border, order = np.arange(plan.n_units) < plan.n_inputs, np.argsort(units)
    inside = order[units[order] >= plan.n_inputs]
    rows = np.concatenate([inputs, values[:, inside]], axis=1)
    rows[:, units[units < plan.n_inputs]] = values[:, units < plan.n_inputs]
    border[units] = True
    plan = plan.restrict(units=~border, inputs=border)
    return Walk(prepared, plan, theta, rows, fixed=units)


def _given(prepared: Prepared, do: Any, rows: int) -> tuple[Array, Array]:
    """The units that have given values, and these as the engine takes them, (rows, units)."""
    if not isinstance(do, Mapping):
        must = "a mapping from node to a number or a column"
        raise DataError(expected("do", must, do, "write do={'TP53': 0.0}"))
    layout, topology = prepared.layout, prepared.layout.topology
    nodes = [node_meant("do", topology, name) for name in do]
    sizes, table = topology.units[nodes].tolist(), dict(do)
    for name, node, size in zip(do, nodes, sizes, strict=True):
        try:
            is_number = np.ndim(do[name]) == 0
        except ValueError:
            must = "a number or a column of numbers"
            raise DataError(expected(f"do: {shorten(name)}", must, do[name])) from None
        if is_number:
            coded = node in topology.categories
            table[name] = np.array([do[name]] * rows, object) if coded else np.full((rows, size), do[name])
    categories = {topology.nodes[node]: words for node, words in topology.categories.items()}
    columns = Columns("do", list(do), sizes, categories=categories)
    values = columns.gather(table)
    if len(values) != rows:
        raise DataError(expected("do: columns", f"of {rows} rows, as X is", len(values)))
    refuse_nan("do", values, columns, finite=False)
    units = np.concatenate([np.arange(layout.plan.n_units)[layout.units_of(node)] for node in nodes])
    center, scale = np.zeros(layout.plan.n_units), np.ones(layout.plan.n_units)
    center[: len(topology.center)], scale[: len(topology.scale)] = topology.center, topology.scale
    return units, as_dtype("do", (values - center[units]) / scale[units], columns, prepared.dtype)


def node_meant(where: str, topology: Topology, name: Any) -> int:
    """The number of a node that ``where`` names; an edge or a stranger is refused."""
    try:
        return topology.node_number(name)
    except DataError as error:
        mend = "; it is an edge: name one of its ends" if topology.has_edge(name) else ""
        raise DataError(f"{where}: {error}{mend}") from None


def unit_meant(prepared: Prepared, of: Any) -> int:
    """The unit that ``of`` names: a node of one unit, or (node, unit), that reaches an output."""
    layout, topology = prepared.layout, prepared.layout.topology
    name, place, width = of, 0, 1
    if isinstance(of, tuple) and len(of) == 2 and not topology.has_node(of) and topology.has_node(of[0]):
        width = int(topology.units[topology.index[of[0]]])
        if not topology.has_edge(of) or (width > 1 and of[1] in range(width)):
            name, place = of
    units = layout.units_of(node_meant("of", topology, name))
    width = units.stop - units.start
    if place not in range(width) or (name is of and width > 1):
        must = f"one of its {width} units, such as ({shorten(name)}, 0)"
        raise DataError(expected(f"of: of node {shorten(name)} it", must, of))
    unit = units.start + int(place)
    if not layout.plan.restrict(deltas=np.arange(layout.plan.n_units) == unit).needs_delta[unit]:
        outputs = ", ".join(shorten(topology.nodes[number]) for number in topology.outputs[:8].tolist())
        raise DataError(expected("of", f"an output ({outputs}), or a node that reaches one", name))
    return unit


@np.errstate(all="ignore")
def gradient(
    model: Any, X: Any, y: Any = None, *, of: Hashable = None, wrt: Iterable[Hashable] | None = None,
    sample_weight: Any = None, missing: str = "refuse", do: Mapping[Hashable, Any] | None = None,
) -> Gradient:  # fmt: skip
    """Derivatives of the loss, or with ``of=`` of an output.

    Parameters
    ----------
    X, y, sample_weight, missing
        As for :meth:`evaluate`.
    of
        In place of y: an output, or another node that reaches one; of several units ``(node, unit)``.
        The derivatives ∂eta/∂… are of each row for itself, never averaged; those of parameters are
        added up over the rows.
    wrt
        Edges (for their weights) and nodes (for their biases), frozen ones too; None: all
        trainable ones.  The reverse walk enters exactly the nodes that have one of them
        in their parent chain and that reach an output.
    do
        With ``of``: nodes that have given values, as for :meth:`forward`.  Their parents have no share
        in the derivative that goes through them.

    Raises
    ------
    DataError
        For rows that will not do, unknown names, and unless one of ``y`` and ``of`` is given.

    Examples
    --------
    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([2, 2, 1], activation="tanh"), seed=0)
    >>> slopes = net.gradient([[2.0, 3.0], [0.0, 1.0]], of="eta")
    >>> slopes.value("h11").shape, slopes.inputs.shape
    ((2,), (2, 2))
    >>> bool(slopes.value("h11")[0] == net.weights["h11", "eta"])
    True
    """
    prepared, layout = model.prepared, model.layout
    if (y is None) == (of is None):
        got = "neither" if of is None else "both"
        raise DataError(f"gradient(): give y for the loss, or of= for a node, not {got}")
    if (do is not None) if of is None else (sample_weight is not None or missing != "refuse"):
        raise DataError("gradient(): do= goes with of=; sample_weight= and missing= go with y")
    given = ABSENT if y is None else y
    inputs, targets, weights = model.encode(X, given, sample_weight, missing=missing)
    walk = walk_of(model, inputs.copy(), by_row(X, do))  # the caller may write to X later
    asked, plan = layout.trainable, walk.plan
    if of is not None:
        plan = replace(plan, outputs=walk.numbers[[unit_meant(prepared, of)]])
    if wrt is not None:
        asked = prepared.wanted(wrt)
    if plan is not layout.plan or wrt is not None:
        slots = slice(None) if plan.slot_ids is None else plan.slot_ids
        walk = replace(walk, plan=plan.restrict(parameters=asked[layout.owners[slots]]))
    outputs = walk.state.outputs
    if of is None:
        loss, pull = model.objective.mean(outputs, targets, weights), model.objective.pull
        found = walk.back(pull(outputs, targets, weights))
    else:
        loss, found = float(outputs.sum()), walk.back(np.ones_like(outputs))
    return Gradient(walk, loss, layout.collect(found, model.vector), asked, of)
