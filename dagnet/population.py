"""Many networks trained as one: one plan, and each part has a name, a loss, a history and an end."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any

import networkx as nx
import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Callback, History, Loss, Run
from dagnet.errors import DataError, Verbatim, did_you_mean, expected, shorten
from dagnet.joining import Union, part_of_each
from dagnet.network import Network
from dagnet.registry import find_optimizer
from dagnet.values import FLAG, NOT_NEGATIVE, optional, whole

PATIENCE = optional(whole(1))
LISTED = 6


class Population(Mapping[Hashable, Network]):
    """Many graphs, evaluated and trained in one go: what a genome costs is microseconds.

    The parts share their inputs by name and nothing else.  Each is trained exactly as it would be alone
    by steps over the same batches; ``population[name]`` is that part as a :class:`Network` of its own.
    Batches are those of the whole: where one part is normalised over rows, a lone last row joins the batch
    before for all.  Start weights that no graph says, and masks of dropout, are drawn by the names
    (part, node).

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
        graphs: Mapping[Any, nx.DiGraph[Any]] | Iterable[nx.DiGraph[Any]],
        *,
        inputs: Iterable[Hashable] | None = None,
        outputs: Iterable[Hashable] | None = None,
        loss: str | Loss | Mapping[Any, str | Loss] | None = None,
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
        union = Union(given, loss, dtype)
        for name, graph in named.items():
            union.add(name, graph)
        self._union = union
        self.net: Network = union.network(arguments)
        self.part_of = part_of_each(self.net, union.outputs)
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
        """Targets of the whole, from those of a part, or from a mapping by the parts' names."""
        by_part = isinstance(y, Mapping) and not y.keys().isdisjoint(self.outputs)
        if by_part and y.keys() != self.outputs.keys():
            wrong = next(iter(y.keys() ^ self.outputs.keys()))
            must = "an array, a table, or a mapping with the name of every part"
            got = f"{'nothing for' if wrong in self.outputs else 'what is no'} part {shorten(wrong)}"
            raise DataError(expected("y", must, Verbatim(got)))
        each = [_columns(name, y[name] if by_part else y, outputs) for name, outputs in self.outputs.items()]
        lengths = {name: len(array) for name, array in zip(self, each, strict=True)}
        if len({*lengths.values()}) > 1:
            name = next(name for name in self if lengths[name] != len(each[0]))
            raise DataError(expected(f"y: part {shorten(name)}", f"of {len(each[0])} rows", lengths[name]))
        if len(each) == 1:
            return each[0]
        objective = self.net.objective
        shapes = zip(each, map(len, objective.columns), strict=True)
        if all(array.shape[1:] == (n,) or (array.ndim, n) == (1, 1) for array, n in shapes):
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
            while the others learn on.  What is watched is ``"validation_loss"``, else ``"loss"``, without
            penalties.  By default all are trained for all epochs.
        arguments
            Of :meth:`Network.fit`; but not what looks at all parts together: ``clip_norm``, ``metrics``,
            ``class_weight``, missing labels, an optimizer that searches.

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
        joined = [name for name in ("clip_norm", "resume", "state") if arguments.get(name) is not None]
        joined += [name for name in ("metrics", "class_weight") if arguments.get(name)]
        joined += ["missing='skip'"] if arguments.get("missing", "refuse") != "refuse" else []
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


def _columns(part: Hashable, y: Any, outputs: tuple[Hashable, ...]) -> Array:
    """A part's targets: a table's columns by the outputs' names, and words as the numbers of outputs."""
    if isinstance(y, Mapping) or hasattr(y, "columns"):
        missing = [name for name in outputs if name not in (y if isinstance(y, Mapping) else y.columns)]
        if missing:
            known = did_you_mean(missing[0], list(y), listed=LISTED)
            raise DataError(f"y: part {shorten(part)}: no column {shorten(missing[0])} in the data{known}")
        return np.column_stack([np.asarray(y[name]) for name in outputs])
    array = np.asarray(y)
    if array.ndim == 0:
        raise DataError(expected("y", "targets, one row for each row of X", y))
    if array.ndim == 1 and array.dtype.kind in "OU" and set(array.tolist()) <= set(outputs):
        places = {name: place for place, name in enumerate(outputs)}
        return np.array([places[word] for word in array.tolist()])
    return array
