"""Many networks trained as one: one plan, and each part has a name, a loss, a history and an end."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any

import networkx as nx
import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Callback, History, Loss, Run
from dagnet.errors import DagnetError, DataError, GraphError, Verbatim, did_you_mean, expected, shorten
from dagnet.network import Network
from dagnet.registry import find_optimizer
from dagnet.topology import checked_graph, read_settings
from dagnet.values import FLAG, NOT_NEGATIVE, optional, whole

HEADS = ("loss", "loss_weight", "target")
PATIENCE = optional(whole(1))
LISTED = 6


class Population(Mapping[Hashable, Network]):
    """Many graphs, evaluated and trained in one go: what a genome costs is microseconds.

    The parts share their inputs by name and nothing else.  Each is trained exactly as it would be alone
    by steps over the same batches; ``population[name]`` is that part as a :class:`Network` of its own.

    Parameters
    ----------
    graphs
        A mapping from name to ``networkx.DiGraph``, or graphs, which are called 0, 1, 2, …  They are
        read, never changed, and say what :class:`Network` reads; their outputs have one loss together.
    inputs, outputs
        Nodes of every graph, in the order of X's and y's columns.  By default each graph's own word, or its
        parentless nodes and the childless ones that have a parent; X then has the columns ``.inputs``.
    loss
        Of every part, or a mapping from name to a part's; by default each graph's own word.
    dtype, activation, initializer, engine, threads, seed, weight
        As for :class:`Network`.

    Raises
    ------
    GraphError
        With the part's name, for what :class:`Network` refuses; for inputs of one name that differ, and
        graphs whose outputs have several losses.
    DataError, PluginError
        For other arguments that will not do.

    Examples
    --------
    >>> import dagnet
    >>> parts = {width: dagnet.layered([2, width, 1], activation="tanh") for width in (2, 3, 4)}
    >>> population = dagnet.Population(parts, seed=0)
    >>> X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0.0, 1.0, 1.0, 0.0]
    >>> histories = population.fit(X, y, epochs=50, learning_rate=0.1)
    >>> histories[4].epochs, population.predict(X)[4].shape, len(population[4].weights)
    (50, (4, 1), 12)
    """

    def __init__(
        self,
        graphs: Mapping[Hashable, nx.DiGraph[Any]] | Iterable[nx.DiGraph[Any]],
        *,
        inputs: Iterable[Hashable] | None = None,
        outputs: Iterable[Hashable] | None = None,
        loss: str | Loss | Mapping[Hashable, str | Loss] | None = None,
        dtype: Any = None,
        **arguments: Any,
    ) -> None:
        named = dict(graphs) if isinstance(graphs, Mapping) else dict(enumerate(graphs))
        if not named:
            raise DataError("graphs: there must be at least one")
        strange = [name for name in loss if name not in named] if isinstance(loss, Mapping) else []
        if strange:
            known = did_you_mean(strange[0], named, listed=LISTED)
            raise DataError(f"loss: there is no part {shorten(strange[0])}{known}")
        ends = {"inputs": inputs, "outputs": outputs}
        given = {word: None if names is None else tuple(names) for word, names in ends.items()}
        union = _Union(given, loss, dtype)
        for name, graph in named.items():
            union.add(name, graph)
        self._union = union
        self.net: Network = union.network(arguments)
        self.part_of = _part_of_each(self.net, union.outputs)
        self._split: tuple[Array, dict[Hashable, nx.DiGraph[Any]]] | None = None
        self._like = {name: value for name, value in arguments.items() if name in {"engine", "threads"}}

    @property
    def inputs(self) -> tuple[Hashable, ...]:
        """The columns of X."""
        return self.net.inputs

    @property
    def outputs(self) -> dict[Hashable, tuple[Hashable, ...]]:
        """The outputs of each part, by its name."""
        return {name: tuple(node for _, node in nodes) for name, nodes in self._union.outputs.items()}

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._union.outputs)

    def __len__(self) -> int:
        return len(self._union.outputs)

    def __getitem__(self, name: Hashable) -> Network:
        if name not in self._union.outputs:
            known = did_you_mean(name, self._union.outputs, listed=LISTED)
            raise KeyError(f"no part {shorten(name)} in this population{known}")
        return Network(self.graphs()[name], **self._like)

    def graphs(self) -> dict[Hashable, nx.DiGraph[Any]]:
        """Each part as :meth:`Network.to_networkx` gives it, with the numbers of now."""
        vector = self.net.vector
        if self._split is None or not np.array_equal(self._split[0], vector):
            self._split = vector.copy(), self._union.split(self.net)
        return {name: graph.copy() for name, graph in self._split[1].items()}

    # -- asking ---------------------------------------------------------------------------

    def __call__(self, X: Any) -> dict[Hashable, Array]:
        """The outputs of each part, (rows, output units)."""
        return self._by_part(self.net(X))

    def predict(self, X: Any) -> dict[Hashable, Array]:
        """What the parts' losses say that they predict, (rows, output units)."""
        return self._by_part(self.net.predict(X))

    def evaluate(self, X: Any, y: Any, sample_weight: Any = None) -> dict[Hashable, float]:
        """The loss of each part; arguments as for :meth:`fit`."""
        _, targets, weights = self.net.encode(X, self._targets(y), sample_weight)
        objective = self.net.objective
        losses = objective.losses(objective.parts(self.net(X), targets, weights))
        return dict(zip(self, np.asarray(losses).tolist(), strict=True))

    def _by_part(self, outputs: Array) -> dict[Hashable, Array]:
        places = self.net.objective.units
        return {name: outputs[:, own] for name, own in zip(self, places, strict=True)}

    def _targets(self, y: Any) -> Any:
        """Targets of the whole, from that of a part, or from a mapping by the parts' names."""
        lacking = [name for name in self if isinstance(y, Mapping) and name not in y]
        if lacking:
            must = "an array, or a mapping with the name of every part"
            raise DataError(expected("y", must, Verbatim(f"nothing for part {shorten(lacking[0])}")))
        objective, outputs = self.net.objective, self.outputs
        each = [_numbered(y[name] if isinstance(y, Mapping) else y, outputs[name]) for name in self]
        widths = map(len, objective.columns)
        if all(
            array.shape[1:] == (n,) or (array.ndim, n) == (1, 1)
            for array, n in zip(each, widths, strict=True)
        ):
            return np.concatenate([array.reshape(len(array), -1) for array in each], axis=1)
        heads = zip(objective.heads, each, strict=True)
        return {head.nodes if len(head.nodes) > 1 else head.nodes[0]: array for head, array in heads}

    # -- training -------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        validation_data: Any = None,
        patience: int | None = None,
        min_delta: float = 0.0,
        restore_best: bool = True,
        **arguments: Any,
    ) -> dict[Hashable, History]:
        """Train all parts, in place, on the same batches of rows.

        Parameters
        ----------
        X
            (rows, columns) as for :class:`Network`, a column for each of ``.inputs``.
        y
            Targets that every part learns, (rows,), (rows, outputs) or class labels; or a mapping by name.
        validation_data
            ``(X, y)``.
        patience, min_delta, restore_best
            As of :class:`dagnet.EarlyStopping`, for each part by itself: one that has stopped stays as it is
            while the others learn on.  By default all are trained for all epochs.
        arguments
            Of :meth:`Network.fit`; but not what joins the parts: ``clip_norm``, an optimizer that searches.

        Returns
        -------
        dict
            By name a :class:`History` with ``"loss"`` and, if asked for, ``"validation_loss"``, without
            penalties, up to the epoch in which the part stopped.

        Raises
        ------
        NumericalError
            If NaN or infinity arises in a part; it says in which, and all have the parameters before.
        """
        optimizer = find_optimizer(arguments.get("optimizer", "adam"))
        joined = [name for name in ("clip_norm", "resume") if arguments.get(name) is not None]
        joined += [f"optimizer={optimizer.name!r}"] if optimizer.searches else []
        if joined:
            mend = "train population[name] by itself"
            raise DataError(f"{', '.join(joined)}: what looks at all parts together joins them; {mend}")
        stops = _Stops(self, patience, min_delta, restore_best=restore_best)
        callbacks = [*arguments.pop("callbacks", ()), *([] if patience is None else [stops])]
        if validation_data is not None:
            X_, y_, *more = validation_data
            arguments["validation_data"] = (X_, self._targets(y_), *more)
        history = self.net.fit(X, self._targets(y), callbacks=callbacks, **arguments)
        return {
            name: History(
                {kind: history[column][: stops.ended(k)] for kind, column in self.columns(history, k)}
            )
            for k, name in enumerate(self)
        }

    def columns(self, history: History, number: int) -> list[tuple[str, str]]:
        """What the whole's history calls the losses of a part, and what a network's calls them."""
        head = self.net.objective.heads[number].name
        kinds = [kind for kind in ("loss", "validation_loss") if kind in history]
        return [(kind, f"{kind}[{head}]" if len(self) > 1 else kind) for kind in kinds]


class _Stops(Callback):
    """Early stopping of each part by itself: what has stopped is put back after every epoch."""

    runs_last = True

    def __init__(
        self, population: Population, patience: int | None, min_delta: float, *, restore_best: bool
    ) -> None:
        n = len(population)
        self._patience = PATIENCE.check("patience", patience)
        self._delta = NOT_NEGATIVE.check("min_delta", min_delta)
        self._restore = FLAG.check("restore_best", restore_best)
        self._population, self._of = population, population.part_of
        self._best, self._waited = np.full(n, np.inf), np.zeros(n, np.int64)
        self._end, self._kept = np.full(n, -1), population.net.vector.copy()

    def ended(self, number: int) -> int | None:
        """After which epoch a part had stopped."""
        return None if self._end[number] < 0 else int(self._end[number])

    def on_epoch_end(self, run: Run) -> None:
        """Keep the best of each, put back what has stopped."""
        history, vector = run.history, run.model.vector
        names = [self._population.columns(history, k)[-1][1] for k in range(len(self._best))]
        values = np.array([history[name][-1] for name in names])
        learns = self._end < 0
        better = learns & (values < self._best - self._delta)
        self._best[better] = values[better]
        self._waited = np.where(better, 0, self._waited + 1)
        ends = learns & ~better & (self._waited >= self._patience)
        self._end[ends] = run.epoch
        keep = better if self._restore else learns
        self._kept = np.where(keep[self._of], vector, self._kept)
        vector[:] = np.where((self._end >= 0)[self._of], self._kept, vector)
        run.stop = bool((self._end >= 0).all())

    def on_training_end(self, run: Run) -> None:
        """Go back to the best of each."""
        if self._restore and not run.failed:
            run.model.vector[:] = self._kept


class _Union:
    """The graph of all parts: inputs by their names, all other nodes by (part, node)."""

    def __init__(self, ends: Mapping[str, Any], loss: Any, dtype: Any) -> None:
        self._ends, self._loss, self._dtype = ends, loss, dtype
        self.graph: nx.DiGraph[Any] = nx.DiGraph()
        self.outputs: dict[Hashable, list[tuple[Any, Any]]] = {}
        self.inputs: dict[Hashable, None] = {}
        self._losses: dict[Hashable, Loss] = {}

    def add(self, name: Hashable, drawn: nx.DiGraph[Any]) -> None:
        """One more part."""
        try:
            graph = checked_graph(drawn)
            loss = self._loss.get(name) if isinstance(self._loss, Mapping) else self._loss
            said = read_settings(graph, **self._ends, loss=loss, dtype=self._dtype)
            if said.problems:
                raise GraphError(said.problems)
        except DagnetError as error:
            raise type(error)(f"part {shorten(name)}: {error}") from error
        self._dtype, self._losses[name] = self._numbers(name, said.dtype), said.loss
        inputs = (
            [node for node, parents in graph.pred.items() if not parents]
            if said.inputs is None
            else list(said.inputs)
        )
        outputs = said.outputs
        if outputs is None:
            outputs = [node for node, children in graph.succ.items() if not children and graph.pred[node]]
        if not outputs:
            raise GraphError(f"part {shorten(name)} has no output; give one, or leave the part out")
        own = frozenset(inputs)
        if both := [node for node in outputs if node in own]:
            mend = "put an identity node between"
            raise GraphError(f"part {shorten(name)}: {shorten(both[0])} is an input and an output; {mend}")
        names = {node: node if node in own else (name, node) for node in graph}
        self.inputs.update(dict.fromkeys(inputs))
        for node, attributes in graph.nodes(data=True):
            self._add_node(name, names[node], attributes, is_input=node in own)
        self.graph.add_edges_from(
            (names[parent], names[child], _keyed(name, attributes))
            for parent, child, attributes in graph.edges(data=True)
        )
        self.outputs[name] = [(name, node) for node in outputs]

    def _add_node(self, name: Hashable, node: Hashable, attributes: Any, *, is_input: bool) -> None:
        several = [word for word in HEADS if word in attributes]
        if several and not is_input:
            mend = "the outputs of a part have one loss together: Population(…, loss={part: …})"
            raise GraphError(f"part {shorten(name)}: node {shorten(node)} says {several[0]}; {mend}")
        if is_input and node in self.graph and dict(self.graph.nodes[node]) != dict(attributes):
            where, mend = f"part {shorten(name)}: input {shorten(node)}", "give it another name"
            raise GraphError(f"{where} has other attributes than that of a part before; {mend}")
        self.graph.add_node(node, **(attributes if is_input else _keyed(name, attributes)))

    def _numbers(self, name: Hashable, dtype: Any) -> Any:
        if self._dtype is not None and np.dtype(self._dtype) != dtype:
            mend = "write Population(…, dtype=…)"
            raise GraphError(f"part {shorten(name)} is of {dtype}, one before of {self._dtype}; {mend}")
        return dtype

    def network(self, arguments: Mapping[str, Any]) -> Network:
        """All of it as one network."""
        clash = next((node for node in self.inputs if node not in self.graph), None)
        if clash is not None:
            raise GraphError(f"inputs: {shorten(clash)} is in no graph")
        losses = {
            tuple(nodes) if len(nodes) > 1 else nodes[0]: self._losses[name]
            for name, nodes in self.outputs.items()
        }
        outputs = [node for nodes in self.outputs.values() for node in nodes]
        return Network(
            self.graph, inputs=self.inputs, outputs=outputs, loss=losses, dtype=self._dtype, **arguments
        )

    def split(self, net: Network) -> dict[Hashable, nx.DiGraph[Any]]:
        """Each part with the numbers of now."""
        whole = net.to_networkx()
        found: dict[Hashable, nx.DiGraph[Any]] = {name: nx.DiGraph() for name in self.outputs}
        for node, attributes in whole.nodes(data=True):
            if node not in self.inputs:
                said = {key: value for key, value in attributes.items() if key not in HEADS}
                found[node[0]].add_node(node[1], **_plain(said))
        for parent, child, attributes in whole.edges(data=True):
            part, own = found[child[0]], parent in self.inputs
            if own and parent not in part:
                part.add_node(parent, **whole.nodes[parent])
            part.add_edge(parent if own else parent[1], child[1], **_plain(attributes))
        for name, part in found.items():
            inputs = [node for node in self.inputs if node in part]
            outputs = [node for _, node in self.outputs[name]]
            said = {"inputs": inputs, "outputs": outputs, "loss": str(self._losses[name])}
            part.graph["dagnet"] = {**said, "dtype": net.dtype.name}
        return found


def _numbered(y: Any, outputs: tuple[Hashable, ...]) -> Array:
    """Labels that are words as the numbers of the outputs with these names; all else as an array."""
    array = np.asarray(y)
    if array.ndim == 1 and array.dtype.kind in "OU" and set(array.tolist()) <= set(outputs):
        places = {name: place for place, name in enumerate(outputs)}
        return np.array([places[word] for word in array.tolist()])
    return array


def _keyed(name: Hashable, attributes: dict[str, Any]) -> dict[str, Any]:
    """With a key of ``share`` that is the part's own."""
    return {**attributes, "share": (name, attributes["share"])} if "share" in attributes else attributes


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """With the key of ``share`` that the part's graph had."""
    return {**attributes, "share": attributes["share"][1]} if "share" in attributes else dict(attributes)


def _part_of_each(net: Network, names: Iterable[Hashable]) -> Array:
    """(numbers of ``net.vector``,) the number of the part that each belongs to."""
    number = {name: k for k, name in enumerate(names)}
    inputs, topology, layout = frozenset(net.inputs), net.topology, net.layout
    nodes: list[Any] = list(topology.nodes)
    part = np.array([-1 if node in inputs else number[node[0]] for node in nodes])
    result = np.zeros(len(net.vector), np.int64)
    result[layout.weights] = np.repeat(part[topology.targets], np.diff(topology.weight_starts))
    has = layout.biases >= 0
    result[layout.biases[has]] = np.repeat(part, np.diff(topology.unit_starts))[has]
    for word in topology.node_starts:
        own = topology.nodes_with(word)
        result[layout.node_places(word)] = np.repeat(part[own], topology.units[own])
    return result
