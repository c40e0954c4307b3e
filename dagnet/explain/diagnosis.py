"""What is wrong inside a network, by name: dead, saturated, constant, exploding, useless parts.

Every unit gets at most one finding of the first four kinds, the first that holds:

exploding    some |z| or |a| is above 1e6, infinite or NaN
dead         a = 0 and g′(z) = 0 for every row: nothing passes, forward or backward
saturated    |g′(z)| < 1e-3 for at least 95 % of the rows
constant     the value is the same for all rows, to nine digits (needs two rows)

and beside that there may be

unscaled     an input, after its center and scale, has a root mean square above 100, or a mean beyond
             both 10 and 10 deviations, or a deviation below 1e-3 though it is not constant
repeated     a unit has the parents, the function and all the values of another one
bounded      an output's activation keeps it from some of the logits that the loss takes
unreachable  no input reaches it, though it has parents: it only repeats constants
useless      no output is reached from it along weights other than 0
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from dagnet.adjacency import reachable, rows_by
from dagnet.arrays import Array
from dagnet.explain.arguments import activation_text, checked_network
from dagnet.explain.report import Report, Shown, Table
from dagnet.markup import counted, label, number
from dagnet.model import Model

EXPLODING, FLAT, MOSTLY, SAME = 1e6, 1e-3, 0.95, 1e-9
LARGE, ASIDE, COMPARED, HUGE = 100.0, 10.0, 64, 1e30
KINDS = {
    "exploding": "values above 1e6, infinite or NaN; scale the inputs, or use smaller weights or rates",
    "dead": "0 for all rows, and no gradient passes; try another start, a lower learning rate, or leaky_relu",
    "saturated": "flat for nearly all rows, so it learns slowly; scale the inputs, or use smaller weights",
    "constant": "the same value for all rows; it acts as a bias",
    "unscaled": "not standardised; net.standardize(X), or set center and scale, and train anew",
    "repeated": "the same as another unit, and learns the same; draw the start weights: Network(weight=None)",
    "bounded": "the loss takes logits, and it cannot give them all; give it activation='identity'",
    "unreachable": "no input reaches it; connect it, or remove it",
    "useless": "it changes no output; connect it, or remove it",
}
SHOWN = 12


class Finding(NamedTuple):
    """One thing found: its kind, the node, the unit of a node with several, and the numbers."""

    kind: str
    node: Hashable
    unit: int | None
    detail: str

    def __str__(self) -> str:
        unit = "" if self.unit is None else f"[{self.unit}]"
        return f"{label(self.node)}{unit} ({self.detail})"


def _nodes_of(kind: str, meaning: str) -> property:
    """The nodes with findings of a kind, each once."""

    def nodes(self: Diagnosis) -> tuple[Hashable, ...]:
        return tuple(dict.fromkeys(finding.node for finding in self.findings if finding.kind == kind))

    return property(nodes, doc=meaning)


@dataclass(frozen=True, repr=False)
class Diagnosis(Shown):
    """The findings of :func:`diagnose` over some ``rows``, kind by kind, in topological order.

    The nodes of each kind by name, too.
    """

    findings: tuple[Finding, ...]
    rows: int

    exploding = _nodes_of("exploding", "Nodes with values above 1e6, infinite or NaN.")
    dead = _nodes_of("dead", "Nodes with a unit that is 0 and lets no gradient pass, whatever the row.")
    saturated = _nodes_of("saturated", "Nodes with a unit that is flat for nearly all rows.")
    constant = _nodes_of("constant", "Nodes, inputs among them, with a unit of one value for all rows.")
    unscaled = _nodes_of("unscaled", "Inputs whose values are far from mean 0 and deviation 1.")
    repeated = _nodes_of("repeated", "Nodes with a unit that is the same as another one.")
    bounded = _nodes_of("bounded", "Outputs that cannot give all the logits that the loss takes.")
    unreachable = _nodes_of("unreachable", "Nodes that no input reaches, though they have parents.")
    useless = _nodes_of("useless", "Nodes, inputs among them, that change no output.")

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        for kind, found, meaning in by_kind(self.findings):
            more = f", … {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
            yield f"{kind} ({len(found):,})", ", ".join(found[:SHOWN]) + more, meaning

    def _report(self) -> Report:
        n = len(self.findings)
        title = f"over {counted(self.rows, 'row')}: {counted(n, 'finding') if n else 'nothing to report'}"
        table = Table(("", "where", "what it means"), list(self._rows()), left=(0, 1, 2))
        return Report("diagnosis ", title, [table])

    def __str__(self) -> str:
        lines = [f"  {kind}: {names}\n    {meaning}" for kind, names, meaning in self._rows()]
        return "\n".join([self._report().heading, *lines])


def by_kind(findings: Sequence[Finding]) -> Iterator[tuple[str, list[str], str]]:
    """Each kind that there is, its findings, and what it means."""
    for kind, meaning in KINDS.items():
        if found := [str(finding) for finding in findings if finding.kind == kind]:
            yield kind, found, meaning


def diagnose(net: Model, X: Any) -> Diagnosis:
    """Look for units and parts that do not work, on some rows.

    Parameters
    ----------
    X
        Rows as for :meth:`dagnet.Network.forward`; a few hundred typical ones say enough.

    Examples
    --------
    >>> import networkx as nx, dagnet
    >>> graph = nx.DiGraph([("x", "h1"), ("x", "h2"), ("h1", "y"), ("h2", "y")])
    >>> net = dagnet.Network(graph, activation="relu", seed=0)
    >>> net.weights["x", "h1"], net.biases["h1"], net.weights["x", "h2"] = 1.0, -9.0, 1.0
    >>> net.weights["h1", "y"] = net.weights["h2", "y"] = 1.0
    >>> print(diagnose(net, [[1.0], [2.0]]))
    diagnosis over 2 rows: 1 finding
      dead (1): h1 (relu, z from -8 to -7)
        0 for all rows, and no gradient passes; try another start, a lower learning rate, or leaky_relu
    """
    return diagnosis_of(net, checked_network(net).encode(X).inputs)


def diagnosis_of(net: Model, inputs: Array) -> Diagnosis:
    """:func:`diagnose` for rows that are encoded."""
    measured = _measure(net, inputs)
    useless, unreachable, constants = _parts(net)
    found = [*unscaled(net, inputs), *bounded(net)]
    found += list(_units(net, measured, useless | unreachable | constants))
    order, topology = np.argsort(net.layout.first_unit), net.topology
    for kind, mask in (("unreachable", unreachable), ("useless", useless)):
        nodes = order[mask[order]].tolist()
        found += [Finding(kind, topology.nodes[node], None, topology.role(node)) for node in nodes]
    return Diagnosis(tuple(sorted(found, key=lambda finding: list(KINDS).index(finding.kind))), measured.rows)


class _Measured(NamedTuple):
    """Over all rows: ``low`` and ``high`` of a and z, (2, units); the others (units,).

    ``flat`` is the share of rows with |g′(z)| < 1e-3; ``dead``: a = 0 and g′(z) = 0 for all rows;
    ``alike``: (2, units) sums of z over some rows, with fixed factors.
    """

    rows: int
    low: Array
    high: Array
    finite: Array
    flat: Array
    dead: Array
    alike: Array


def _measure(net: Model, inputs: Array) -> _Measured:
    computed = ~net.topology.is_input[net.layout.node_of_unit]
    n, rows = len(computed), 0
    low, high = np.full((2, n), np.inf), np.full((2, n), -np.inf)
    finite, flat, dead, alike = np.ones(n, bool), np.zeros(n), computed, np.zeros((2, n))
    for forward in net.forwards(inputs):
        z, a, slopes = forward.by_unit
        if not rows:
            alike = np.random.default_rng(0).normal(size=(2, len(z[0][:COMPARED]))) @ z[:, :COMPARED].T
        both = np.stack([a, z])
        finite &= np.isfinite(both).all(axis=(0, 2))
        np.minimum(low, both.min(axis=2), out=low)
        np.maximum(high, both.max(axis=2), out=high)
        flat += (np.abs(slopes) < FLAT).sum(axis=1)
        dead &= ((slopes == 0) & (a == 0)).all(axis=1)
        rows += z.shape[1]
    return _Measured(rows, low, high, finite, flat / rows, dead, alike)


def _units(net: Model, m: _Measured, ignored: Array) -> Iterator[Finding]:
    """At most one finding for each unit; only explosions are reported of ignored nodes."""
    topology, nodes = net.topology, net.layout.node_of_unit
    low, high = m.low[0], m.high[0]
    largest = np.abs([*m.low, *m.high]).max(axis=0)
    spread = np.where(m.finite, high - low, np.inf)
    judged = ~ignored[nodes]
    computed = judged & ~topology.is_input[nodes]
    exploding, saturated = ~m.finite | (largest > EXPLODING), computed & (m.flat >= MOSTLY)
    constant = judged & (m.rows > 1) & (spread <= SAME * np.maximum(np.abs(low), np.abs(high)))
    kinds = np.select([exploding, computed & m.dead, saturated, constant], np.arange(1, 5))
    kinds[_twins(net, m, computed & (kinds == 0))] = 1 + list(KINDS).index("repeated")
    for unit in np.flatnonzero(kinds).tolist():
        kind = list(KINDS)[kinds[unit] - 1]
        yield _of_unit(net, kind, unit, _detail(net, kind, int(nodes[unit]), unit, m))


def _twins(net: Model, m: _Measured, asked: Array) -> Array:
    """Those of some units that have the parents, the activation and the values of one before them."""
    topology, units = net.topology, np.flatnonzero(asked)
    nodes = net.layout.node_of_unit[units]
    with np.errstate(all="ignore"):
        values = np.round(np.log(np.abs(m.alike[:, units])), 5)
    marks = np.random.default_rng(0).integers(2**40, size=topology.n_nodes)
    parents = np.bincount(topology.targets, marks[topology.sources], topology.n_nodes)
    kinds = topology.activation_of[nodes], topology.aggregation_of[nodes]
    keys = np.stack([*kinds, parents[nodes], *values])
    keys, units = keys[:, (some := np.isfinite(values).all(axis=0))], units[some]
    order = np.lexsort(keys)
    same = (np.diff(keys[:, order], axis=1) == 0).all(axis=0)
    return np.sort(units[order[1:][same]])


def unscaled(net: Model, inputs: Array) -> list[Finding]:
    """The input units whose encoded values (rows, input units) are not standardised, by the rule above."""
    if len(inputs) < 2:
        return []
    mean, spread = inputs.mean(axis=0, dtype=np.float64), inputs.std(axis=0, dtype=np.float64)
    far = (np.hypot(mean, spread) > LARGE) | (np.abs(mean) > ASIDE * np.maximum(spread, 1))
    bad = far | ((spread < FLAT) & (spread > SAME * np.abs(mean)))
    found = []
    for column in np.flatnonzero(bad & ~net.topology.is_coded).tolist():  # the first units are the inputs'
        detail = f"mean {number(float(mean[column]))}, deviation {number(float(spread[column]))}"
        found.append(_of_unit(net, "unscaled", column, detail))
    return found


def _of_unit(net: Model, kind: str, unit: int, detail: str) -> Finding:
    node = int(net.layout.node_of_unit[unit])
    place = None if net.topology.units[node] == 1 else unit - int(net.layout.first_unit[node])
    return Finding(kind, net.topology.nodes[node], place, detail)


def reaches(net: Model) -> Iterator[tuple[Array, str, float, float]]:
    """Each activation of outputs: their numbers, its name, and the least and largest value seen of it.

    One that learns is looked at node by node.
    """
    topology, layout = net.topology, net.layout
    outputs = topology.outputs[~topology.is_input[topology.outputs]]
    z = np.array([[-HUGE, *np.linspace(-8, 8, 65), HUGE]])
    for kind in np.unique(topology.activation_of[outputs]).tolist():
        activation, nodes = topology.activations[kind], outputs[topology.activation_of[outputs] == kind]
        for those in np.split(nodes, np.arange(1, len(nodes))) if activation.trainable else [nodes]:
            learned = layout.activation_numbers(int(those[0]), net.parameters)
            with np.errstate(all="ignore"):
                values = activation.value(z, **{name: found[:, None] for name, found in learned.items()})
            a = np.array(values, np.float64)
            a[np.abs(a) >= HUGE] *= np.inf
            low, high = float(np.nanmin(a)), float(np.nanmax(a))
            yield those, activation_text(net, int(those[0])), low, high


def bounded(net: Model) -> Iterator[Finding]:
    """The outputs that cannot give all the logits that the loss takes."""
    losses = {name: head.loss for head in net.objective.heads for name in head.nodes}
    for nodes, activation, low, high in reaches(net):
        for name in (net.topology.nodes[node] for node in nodes.tolist()):
            one_sided = losses[name].targets in {"binary", "count"} and (low > -ASIDE or high < ASIDE)
            if losses[name].predict is not None and (one_sided or high - low < ASIDE):
                detail = f"{activation}, from {number(low)} to {number(high)}"
                yield Finding("bounded", name, None, detail)


def _detail(net: Model, kind: str, node: int, unit: int, m: _Measured) -> str:
    topology = net.topology
    activation = activation_text(net, node)
    who = "input" if topology.is_input[node] else activation
    if kind == "constant":
        return f"{who}, {number(float(m.low[0, unit]))}"
    if kind == "repeated":
        return activation
    flat = f", flat for {m.flat[unit]:.0%} of the rows" if kind == "saturated" else ""
    return f"{who}, z from {number(float(m.low[1, unit]))} to {number(float(m.high[1, unit]))}{flat}"


def _parts(net: Model) -> tuple[Array, Array, Array]:
    """(nodes,) masks: useless; unreachable; constants, which have no parents to learn from."""
    topology = net.topology
    edges = np.repeat(np.arange(topology.n_edges), np.diff(topology.weight_starts))
    nonzero = net.parameters[net.layout.weights] != 0
    acting = np.bincount(edges, nonzero, topology.n_edges) > 0
    parents = rows_by(topology.targets[acting], topology.sources[acting], topology.n_nodes)
    useless, unreachable = np.ones((2, topology.n_nodes), bool)
    useless[reachable(parents, topology.outputs)] = False
    unreachable[reachable(topology.children, topology.inputs)] = False
    constants = unreachable & (topology.parents.degrees() == 0)
    return useless, unreachable & ~constants, constants
