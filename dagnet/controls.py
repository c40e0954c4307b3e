"""What survives its own controls: many fits of one graph, on shuffled data, and of other wirings."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import networkx as nx
import numpy as np

from dagnet.adjacency import reachable
from dagnet.arrays import Array
from dagnet.callbacks import watched
from dagnet.errors import DataError, Verbatim, did_you_mean, expected
from dagnet.explain.importance import Importance, Judged, chains, collinear, student, twins
from dagnet.formats import as_drawn
from dagnet.markup import number
from dagnet.model import checked_threads, encode_inputs, make_generator, start_vector, with_columns
from dagnet.network import Network
from dagnet.registry import find_initializer
from dagnet.rewiring import afresh, rewired, wired
from dagnet.topology import checked_graph
from dagnet.training import Rows, Settings, TrainingRun, checked_callbacks, mean_loss_of
from dagnet.values import one_of, whole

Item = TypeVar("Item")
Result = TypeVar("Result")
NULL, CONTROL = one_of("labels", "node"), one_of("rewired", "random", "direct")
LOOKED, FOLDS = 1000, 5


class Fits:
    """Many fits on one data set, number k by ``seed + k``: each on one thread, some of them at once."""

    def __init__(self, graph: Any, X: Any, y: Any, arguments: Mapping[str, Any]) -> None:
        given = dict(arguments)
        refused = {"self", "graph", "X", "y", "resume", "validation_data", "state", "weights"}
        both = (Network.__init__, Network.fit)
        own, fit = (inspect.signature(one).parameters.keys() - refused for one in both)
        if strange := given.keys() - own - fit:
            mend = did_you_mean(min(strange), [*own, *fit])
            raise DataError(f"{min(strange)} is no argument of Network or fit that many fits can have{mend}")
        self._threads = checked_threads(given.pop("threads", None))
        self.seed: int = whole(0).check("seed", given.pop("seed", 0))
        self._progress = given.pop("progress", None)
        self._network = {name: given.pop(name) for name in own & given.keys()}
        names = {field.name for field in fields(Settings)} & given.keys()
        self._settings = {name: given.pop(name) for name in names}
        Settings(**self._settings)
        self.graph = graph
        self.base, self._standardize = self.network(graph, 0), given.pop("standardize", False)
        self._network |= {"inputs": self.base.inputs, "outputs": self.base.outputs}
        X = with_columns(X, given.pop("columns", None))
        weight, missing = given.pop("sample_weight", None), given.pop("missing", "refuse")
        _, targets, weights = self.base.encode(X, y, weight, finite=True, lazy=True, missing=missing)
        prepared = self.base.prepared
        scaled = self._standardize or prepared.standardisation is not None
        dtype = np.dtype(np.float64) if scaled else prepared.dtype
        plain = encode_inputs(X, prepared.columns_in, dtype, None)[:]
        self.data = Rows(plain, targets, weights)
        if (np.nanmin(targets, axis=0) == np.nanmax(targets, axis=0)).all():
            raise DataError(expected("y", "of more than one value", Verbatim("the same in every row")))
        self._callbacks = list(checked_callbacks(given.pop("callbacks", ())))
        self._run = given

    def counting(self) -> Array:
        """The rows that have a label and a weight."""
        weights, gaps = self.data.weights, self.data.gaps
        counts = np.ones(len(self.data)) if weights is None else weights.reshape(len(weights), -1).max(axis=1)
        return np.flatnonzero(counts if gaps is None else counts * ~gaps)

    def network(self, graph: Any, number: int) -> Network:
        """What a fit of some graph starts from."""
        return Network(graph, threads=1, seed=self.seed + number, **self._network)

    def again(self, number: int) -> Network:
        """The same of the first graph, without building it again."""
        net, drawn_by = copy.deepcopy(self.base), self._network.get("initializer", "he_uniform")
        generator = make_generator(self.seed + number)
        net.vector[:] = start_vector(net.layout, find_initializer(drawn_by), generator, net.dtype)
        return net

    def train(self, net: Network, number: int, data: Rows) -> Network:
        """Fit to rows whose inputs are as they were given, in place."""
        if self._standardize:
            net.standardize(data.inputs)
        settings = Settings(**self._settings, seed=self.seed + number)
        callbacks = copy.deepcopy(self._callbacks)
        TrainingRun(net, encoded(net, data), None, settings, callbacks=callbacks, **self._run).train()
        return net

    def each(self, task: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """The results in the order of the items."""
        with ThreadPoolExecutor(self._threads) as pool:
            yield from watched(pool.map(task, items), len(items), self._progress)


def encoded(net: Network, data: Rows) -> Rows:
    """With inputs as the network takes them."""
    return replace(data, inputs=net.encode(data.inputs).inputs)


def rows_of(data: Rows, order: Array) -> Rows:
    """Some rows, in this order."""
    weights = None if data.weights is None else data.weights[order]
    return Rows(data.inputs[order], data.targets[order], weights)


def importance(
    graph: Any, X: Any, y: Any, *, seeds: int = 10, shuffles: int = 99, method: Any = "deeplift",
    null: str = "labels", of: Any = None, groups: Mapping[Any, Iterable[Hashable]] | None = None,
    **arguments: Any,
) -> Importance:  # fmt: skip
    """Say which nodes matter, and whether that is more than chance.

    A node's statistic is its mean |attribution| over the rows of X, averaged over ``seeds`` fits: number k is
    ``Network(graph, seed=seed + k).fit(X, y, seed=seed + k)``.  It is compared with ``shuffles`` averages of
    as many fits on data without what is asked about: p = (1 + k)/(1 + shuffles), where k of these are at
    least as large (Phipson and Smyth, 2010); p_adjusted is Benjamini and Hochberg's (1995) over the nodes; z
    counts standard deviations of the null; low and high are Student's 95 % interval of the mean over seeds.

    Parameters
    ----------
    graph, X, y
        As for :class:`Network` and :meth:`Network.fit`.
    seeds, shuffles
        How many fits an average, and averages under the null.
    method, of, groups
        As for :meth:`Network.attribute`.
    null
        ``"labels"``, of all nodes but outputs: whether the labels carry anything there.  Rows of y, with
        their sample weights, are shuffled.  ``"node"``, of hidden nodes: whether it does beyond the others.
        Its own inputs, those that reach an output only through it (and its twins, which could stand in
        for it), are permuted over rows, together, and all else is kept; without own inputs p is 1.
        That takes ``seeds · shuffles`` fits a node.
    arguments
        Of :class:`Network` and :meth:`Network.fit`; ``seed`` is the first (0), and ``threads`` how many fits
        run at once, which changes no bit.

    Raises
    ------
    DataError, GraphError, PluginError
        For what :class:`Network`, ``fit`` and ``attribute`` refuse, ``seeds=0``, and a y that does not vary.

    Examples
    --------
    >>> import dagnet, numpy as np
    >>> X = np.random.default_rng(0).normal(size=(40, 3))
    >>> found = dagnet.importance(dagnet.layered([3, 2, 1]), X, X[:, 0], seeds=2, shuffles=4, epochs=5)
    >>> list(found.to_frame().index), found.twins
    (['x1', 'x2', 'x3', 'h11', 'h12'], (('h11', 'h12'),))
    """
    seeds, shuffles = whole(1).check("seeds", seeds), whole(1).check("shuffles", shuffles)
    null, groups, fits = NULL.check("null", null), groups or {}, Fits(graph, X, y, arguments)
    topology, data = fits.base.topology, fits.data
    numbers = np.flatnonzero(~topology.is_output & (~topology.is_input | (null == "labels")))
    nodes = tuple(topology.nodes[node] for node in numbers.tolist())

    def statistic(net: Any, X: Array) -> Array:
        given = net.attribute(X, of, method=method, groups=groups or None)
        found = given.mean_absolute()
        return np.array([found[name] if name in found else given[name] for name in (*nodes, *groups)])

    def fitted(task: tuple[int, int, Any]) -> tuple[Array, Network]:
        shuffle, k, columns = task
        order = np.random.default_rng([fits.seed, shuffle]).permutation(len(data))
        rows = data
        if shuffle and columns is None:
            rows = replace(rows_of(data, order), inputs=data.inputs)
        elif shuffle:
            rows = replace(data, inputs=data.inputs.copy())
            rows.inputs[:, columns] = data.inputs[order][:, columns]
        net = fits.train(fits.again(k), k, rows)
        return statistic(net, rows.inputs), net

    statistic(fits.base, data.inputs[:1])  # what attribute refuses is said before anything is fitted
    observed, alike = list(fits.each(fitted, [(0, k, None) for k in range(seeds)])), twins(topology)
    own = np.array([found for found, _ in observed])
    units: dict[bytes, tuple[Any, list[int]]] = {b"": (None, [*range(own.shape[1])])}
    if null == "node":
        units, group_of = {}, {name: group for group in alike for name in group}
        each = [*(group_of.get(name, (name,)) for name in nodes), *groups.values()]
        for place, members in enumerate(each):
            if len(columns := _own_columns(fits.base, members)):
                units.setdefault(columns.tobytes(), (columns, []))[1].append(place)
    tasks = [(s, k, *unit) for unit in units.values() for s in range(1, shuffles + 1) for k in range(seeds)]
    under_null = np.tile(own.mean(axis=0), (shuffles, 1))
    under_null[:, [place for _, places in units.values() for place in places]] = 0
    answers = fits.each(lambda task: fitted(task[:3])[0][task[3]], tasks)
    for (shuffle, _, _, places), found in zip(tasks, answers, strict=True):
        under_null[shuffle - 1, places] += found / seeds
    first, rows = fits.base.layout.first_unit[numbers], data.inputs[:LOOKED]
    values = (net.forward(rows).by_unit[1][first].T for _, net in observed)
    near = tuple(tuple(nodes[at] for at in group) for group in collinear(values))
    above = [len(reachable(topology.parents, np.array([node]))) - 1 for node in numbers.tolist()]
    said, plain = {**arguments, "loss": str(fits.base.loss)}, (str, int, float)
    settings = ", ".join(f"{word}={value}" for word, value in said.items() if isinstance(value, plain))
    asked = {"method": method, "null": null, "seed": fits.seed, "rows": len(data), "settings": settings}
    return Importance.of(
        asked, (nodes, tuple(groups)), (own, under_null), (alike, chains(topology), near),
        {"ancestors": np.array(above), "depth": topology.level[numbers]},
    )  # fmt: skip


def _own_columns(net: Network, members: Iterable[Hashable]) -> Array:
    """Numbers of the columns of X that reach an output only through some nodes."""
    topology, others = net.topology, np.ones(net.topology.n_nodes, bool)
    reach = reachable(topology.parents, topology.outputs)
    others[[topology.node_number(name) for name in members]] = False
    rest = reachable(topology.parents, topology.outputs, others)
    own = np.isin(topology.inputs, reach) & ~np.isin(topology.inputs, rest)
    return np.flatnonzero(np.repeat(own, topology.units[topology.inputs]))


@dataclass(frozen=True, eq=False, repr=False)
class WiringComparison(Judged):
    """What :func:`dagnet.compare_wirings` has found; ``print`` shows it.

    Attributes
    ----------
    columns
        By control: loss, difference (control − drawn), low, high (95 %), p; ``to_frame()`` has them.
    losses
        (seeds, folds, 1 + controls) on held-out rows, the drawn wiring's first.
    """

    losses: Array

    @classmethod
    def of(cls, controls: Sequence[str], losses: Array) -> WiringComparison:
        """From losses and the names of the controls."""
        (seeds, folds, _), found = losses.shape, []
        for place, control in enumerate(controls, 1):
            differences, freedom = losses[..., place] - losses[..., 0], seeds - 1
            spread = losses[..., place].mean(axis=1).std(ddof=1) * np.sqrt(1 + 1 / seeds)
            if control == "direct":
                freedom = seeds * folds - 1
                spread = differences.std(ddof=1) * np.sqrt(1 / (seeds * folds) + 1 / (folds - 1))
            (t, share), mean = student(freedom), float(differences.mean())
            reach, p = np.interp(0.95, share, t) * spread, 1 - np.interp(abs(mean), t * spread, share)
            found.append((losses[..., place].mean(), mean, mean - reach, mean + reach, p if mean else 1.0))
        names = ("loss", "difference", "low", "high", "p")
        columns = dict(zip(names, np.array(found).reshape(-1, len(names)).T, strict=True))
        drawn = number(float(losses[..., 0].mean()))
        title = f"Wirings: loss on held-out rows {drawn} as drawn, {seeds} seeds"
        return cls("control", controls, columns, title, ["difference > 0: better as drawn"], losses)


def compare_wirings(
    graph: Any, X: Any, y: Any, *, controls: Iterable[str] = ("rewired", "random", "direct"), seeds: int = 20,
    **arguments: Any,
) -> WiringComparison:  # fmt: skip
    """Say whether the wiring matters: losses on held-out rows of the graph as drawn, and of others.

    For each seed the graph, with weights and biases that learn begun anew, and one wiring of each kind are
    trained on four fifths of the rows, five times, and judged on the rest.  Whether the drawn wiring stands
    out is asked of one case against a sample (Crawford and Howell, 1998): spread s·√(1 + 1/seeds), s of the
    wirings' mean losses.  Of
    ``"direct"`` there is one only: spread s·√(1/(seeds·folds) + 1/(folds − 1)), s of the differences in
    each fold (Nadeau and Bengio, 2003).  Both are Student's, two-sided.

    Parameters
    ----------
    graph, X, y
        As for :class:`Network` and :meth:`Network.fit`.
    controls
        ``"rewired"``: :func:`rewired`.  ``"random"``: the same with ``keep="degrees"``.  ``"direct"``: edges
        from inputs to the outputs that they reach, nothing between.
    seeds
        How many wirings, and how often that as drawn is started, 2 or more.
    arguments
        As for :func:`importance`.

    Raises
    ------
    DataError, GraphError, PluginError
        For what :class:`Network` and ``fit`` refuse, fewer rows than ten, and unknown controls.

    Examples
    --------
    >>> import dagnet, networkx as nx, numpy as np
    >>> graph = nx.DiGraph([("x1", "h1"), ("x2", "h1"), ("x3", "h2"), ("x4", "h2"), ("h1", "y"), ("h2", "y")])
    >>> X = np.random.default_rng(0).normal(size=(40, 4))
    >>> found = dagnet.compare_wirings(graph, X, X[:, 0] * X[:, 1], controls=["direct"], seeds=2, epochs=2)
    >>> list(found.to_frame())
    ['loss', 'difference', 'low', 'high', 'p']
    """
    seeds = whole(2).check("seeds", seeds)
    listed = () if isinstance(controls, str) or not isinstance(controls, Iterable) else tuple(controls)
    if not listed or len({*map(str, listed)}) < len(listed):
        must, mend = "a list of words, at least one, each once", 'write ["direct"]'
        raise DataError(expected("controls", must, controls, mend))
    controls = tuple(CONTROL.check("controls", word) for word in listed)
    fits = Fits(afresh(checked_graph(as_drawn(graph)), arguments), X, y, arguments)
    drawn, inputs, outputs = fits.graph, fits.base.inputs, fits.base.outputs
    rows = fits.counting()
    n = len(rows)
    if n < 2 * FOLDS:
        must = f"of {2 * FOLDS} rows or more with a label and a weight, of which parts are held out"
        raise DataError(expected("X", must, n))
    above = {node: nx.ancestors(drawn, node) for node in outputs}
    through: Any = ((u, v, {}) for v in outputs for u in inputs if u in above[v])
    direct = wired(drawn.subgraph([*inputs, *outputs]), through)
    order = np.random.default_rng(fits.seed).permutation(rows)

    def losses(k: int) -> list[list[float]]:
        keep, starts, found = {"rewired": "levels", "random": "degrees"}, [fits.again(k)], []
        for control in controls:
            graph = rewired(drawn, fits.seed + k, keep[control]) if control in keep else direct
            starts.append(fits.network(graph, k))
        for held in np.array_split(order, FOLDS):
            learned, rest = (rows_of(fits.data, part) for part in (np.setdiff1d(order, held), held))
            nets = [fits.train(copy.deepcopy(net), k, learned) for net in starts]
            found.append([mean_loss_of(net, encoded(net, rest), n) for net in nets])
        return found

    return WiringComparison.of(controls, np.array(list(fits.each(losses, range(seeds)))))
