"""``Network``: the class that users meet."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from dagnet.contracts import Loss
from dagnet.errors import GraphError, PluginError
from dagnet.model import Model
from dagnet.registry import find_loss
from dagnet.topology import graph_settings, topology_from_arrays, topology_from_graph

__all__ = ["Network"]


class Network(Model):
    """A NetworkX DAG as a neural network.

    Parameters
    ----------
    graph
        A ``networkx.DiGraph``; it is read, never changed.  Node attributes: ``activation``,
        ``bias``, ``units``, ``trainable``; of inputs ``center``, ``scale``.  Edge attributes:
        the one that ``weight`` names, ``trainable``, ``share``.
    inputs, outputs
        Nodes in the order of X's and y's columns; default the parentless nodes, and the
        childless ones that have a parent.
    loss
        A name, a call form such as ``"huber(delta=2.0)"``, or a :class:`Loss`.
    activation
        What hidden nodes without an ``activation`` attribute apply.
    initializer
        How weights that the graph does not give are drawn.
    dtype
        ``"float64"`` or ``"float32"``.
    engine
        ``"auto"``, ``"compiled"``, ``"reference"`` or a registered one.
    threads
        How many threads to use; default all CPUs that the process may use.
    seed
        For the initializer; the same seed draws the same bits.
    weight
        The edge attribute with the start values, or None to draw them all.

    Raises
    ------
    GraphError
        With all problems of the graph.
    PluginError
        For an unknown loss, activation, initializer or engine.
    DataError
        For other arguments that will not do.

    Examples
    --------
    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([2, 2, 1]), loss="squared_error", seed=0)
    >>> net([[1.0, 2.0]]).shape
    (1, 1)
    """

    def __init__(
        self,
        graph: Any,
        *,
        inputs: Iterable[Hashable] | None = None,
        outputs: Iterable[Hashable] | None = None,
        loss: str | Loss | None = None,
        activation: Any = "relu",
        initializer: Any = "he_uniform",
        dtype: Any = None,
        engine: str = "auto",
        threads: int | None = None,
        seed: Any = None,
        weight: str | None = "weight",
    ) -> None:
        settings = graph_settings(graph)
        topology = topology_from_graph(
            graph,
            inputs=settings.get("inputs") if inputs is None else inputs,
            outputs=settings.get("outputs") if outputs is None else outputs,
            activation=activation,
            weight=weight,
        )
        super().__init__(
            topology,
            loss=_loss(loss, settings.get("loss")),
            initializer=initializer,
            dtype=settings.get("dtype", "float64") if dtype is None else dtype,
            engine=engine,
            threads=threads,
            seed=seed,
        )

    @classmethod
    def from_arrays(
        cls,
        sources: Any,
        targets: Any,
        weights: Any = None,
        *,
        inputs: Iterable[int] | None = None,
        outputs: Iterable[int] | None = None,
        loss: str | Loss | None = None,
        activation: Any = "relu",
        initializer: Any = "he_uniform",
        dtype: Any = None,
        engine: str = "auto",
        threads: int | None = None,
        seed: Any = None,
    ) -> Network:
        """Build from integer arrays, without NetworkX objects.

        Parameters
        ----------
        sources, targets
            (edges,) node numbers ≥ 0; nodes are named 0 … largest number.
        weights
            (edges,) start values, or None to draw them.
        inputs, outputs, loss, activation, initializer, dtype, engine, threads, seed
            As for :class:`Network`.

        Examples
        --------
        >>> import dagnet
        >>> dagnet.Network.from_arrays([0, 1], [2, 2], [0.5, -1.0])([[4.0, 1.0]])
        array([[1.]])
        """
        topology = topology_from_arrays(
            sources, targets, weights, inputs=inputs, outputs=outputs, activation=activation
        )
        network = cls.__new__(cls)
        Model.__init__(
            network,
            topology,
            loss=_loss(loss, None),
            initializer=initializer,
            dtype="float64" if dtype is None else dtype,
            engine=engine,
            threads=threads,
            seed=seed,
        )
        return network


def _loss(argument: str | Loss | None, said: object) -> Loss:
    """The loss of the argument, else of the graph, else squared error."""
    if argument is not None:
        return find_loss(argument)
    if said is None:
        return find_loss("squared_error")
    try:
        return find_loss(said)
    except PluginError as error:
        raise GraphError(f'graph.graph["dagnet"]["loss"]: {error}') from error
