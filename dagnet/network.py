"""``Network``: the class that users meet."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import networkx as nx

from dagnet import editing, explain, formats, training
from dagnet.callbacks import found_checkpoint, with_progress
from dagnet.contracts import Callback, History, Loss, Optimizer
from dagnet.model import ABSENT, Model, Node, with_columns
from dagnet.topology import read_settings, topology_from_arrays, topology_from_graph
from dagnet.values import FLAG

DRAWN = 60, 600
"""How many nodes and edges notebooks draw without being asked."""


class Network(Model[Node]):
    """A NetworkX DAG as a neural network.

    Parameters
    ----------
    graph
        A ``networkx.DiGraph``; it is read, never changed.  Its attributes:

        - nodes: ``activation``; ``aggregation`` of the terms weight · value (``"sum"``, ``"mean"``,
          ``"product"``, ``"max"``, ``"min"`` or a plugin's); ``bias``; ``units``; ``trainable``;
          ``normalization``, ``"batch"`` over the rows of a batch (in prediction by running moments) or
          ``"layer"`` over the node's units, each with ``(momentum=0.1, eps=1e-5, before_activation=True)``
          as it has them; ``dropout``, the rate at which ``fit`` sets values to 0 and divides the others by
          1 − rate; ``share``, a key: nodes with the same one have one bias, and learn as one; ``sign``, +1 or
          −1, of all weights that leave the node; start values by the name of what the node learns;
        - inputs: ``center``, ``scale``, ``dropout``; ``categories=["low", "mid", "high"]`` for a column of
          words (or numbers), which becomes as many units of 0 and 1; an array without names has these
          as columns already;
        - outputs: ``loss``, ``loss_weight`` (1), and ``target``, the output whose column of y it learns
          in place of one of its own;
        - edges: the weight under the name that ``weight`` says; ``trainable``; ``share``, a key: edges with
          the same one have one parameter; ``factor``: weight = factor · parameter; ``bounds``, ``(low,
          high)``, None for what is open: the weight is inside from the start and after every step; ``l1``,
          ``l2``: its penalty, in place of ``fit``'s, and of edges that share one, the sum; ``dropout`` of
          its term.
    inputs, outputs
        Nodes in the order of X's and y's columns; default the parentless nodes, and the
        childless ones that have a parent.
    loss
        A name, a call form such as ``"huber(delta=2.0)"``, or a :class:`Loss`.  Or a mapping:
        ``{"y1": "huber", ("a", "b", "c"): "cross_entropy"}`` gives outputs, alone or several together,
        a loss of their own; those that nobody names have the default one together, and an
        output with a ``target`` has its target's.
    loss_weights
        ``{"y1": 0.3}``: what is minimised is the sum of weight · loss; the others' weights are 1.
    activation
        What hidden nodes without an ``activation`` attribute apply.
    initializer
        How weights that the graph does not give are drawn.
    dtype
        ``"float64"`` or ``"float32"``.
    engine
        ``"auto"``, ``"compiled"``, ``"reference"`` or a registered one, as ``"torch(device='cuda')"``.
    threads
        How many threads to use; default all CPUs that the process may use.
    seed
        For the initializer, an integer, a SeedSequence, a Generator or None; an integer draws the same bits.
    weight
        The edge attribute with the start values, or None to draw them all.
    attributes
        Where this graph says a word of dagnet by another attribute, or means something else by
        it: ``{"activation": "act", "sign": None}`` reads activations from ``act``, and leaves
        ``sign`` alone.  All attributes that are not dagnet's are kept as they are.
    weights
        A network whose numbers (weights, biases, what nodes learn and keep, ``center``, ``scale``) edges and
        nodes of the same names begin with, where the graph says none.  A new edge into a node that both have
        begins at 0, so that nothing changes until it is trained; where terms are not summed, it must have a
        weight.  A new node of one parent and one child, amid an edge of weight w that is gone, keeps its
        function: it is an identity, with weights 1 and w, unless both weights are given.  All else is drawn.

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
    >>> history = net.fit([[1.0, 2.0], [2.0, 1.0]], [3.0, 1.0], epochs=200, learning_rate=0.05, seed=0)
    >>> history["loss"][-1] < history["loss"][0]
    True
    """

    history: History | None = None
    """What the last :meth:`fit` recorded; the inspector draws it."""

    attribute = explain.attribute
    trace = explain.trace
    trace_all = explain.trace_all
    formula = explain.formula
    summary = explain.summary
    diagnose = explain.diagnose
    draw = formats.draw
    export = formats.export
    show = formats.show
    to_networkx = formats.to_networkx
    prune = editing.prune

    def __init__(
        self,
        graph: nx.DiGraph[Node],
        *,
        inputs: Iterable[Hashable] | None = None,
        outputs: Iterable[Hashable] | None = None,
        loss: str | Loss | Mapping[Any, str | Loss] | None = None,
        loss_weights: Mapping[Any, float] | None = None,
        activation: Any = "relu",
        initializer: Any = "he_uniform",
        dtype: Any = None,
        engine: str = "auto",
        threads: int | None = None,
        seed: Any = None,
        weight: str | None = "weight",
        attributes: Mapping[str, str | None] | None = None,
        weights: Model | None = None,
    ) -> None:
        graph = formats.as_drawn(graph)
        settings = read_settings(
            graph, inputs=inputs, outputs=outputs, loss=loss, loss_weights=loss_weights, dtype=dtype
        )
        if weights is not None:
            graph, weight = editing.heir(graph, weights, settings.inputs, weight, attributes)
        super().__init__(
            topology_from_graph(graph, settings, activation=activation, weight=weight, attributes=attributes),
            loss=settings.loss,
            initializer=initializer,
            dtype=settings.dtype,
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
        loss: str | Loss | Mapping[Any, str | Loss] | None = None,
        loss_weights: Mapping[Any, float] | None = None,
        activation: Any = "relu",
        initializer: Any = "he_uniform",
        dtype: Any = None,
        engine: str = "auto",
        threads: int | None = None,
        seed: Any = None,
    ) -> Network[int]:
        """Build from integer arrays, without NetworkX objects.

        Parameters
        ----------
        sources, targets
            (edges,) node numbers ≥ 0; nodes are named 0 … largest number.
        weights
            (edges,) start values, or None to draw them.
        inputs, outputs, loss, loss_weights, activation, initializer, dtype, engine, threads, seed
            As for :class:`Network`.

        Examples
        --------
        >>> import dagnet
        >>> dagnet.Network.from_arrays([0, 1], [2, 2], [0.5, -1.0])([[4.0, 1.0]])
        array([[1.]])
        """
        settings = read_settings(
            None, inputs=inputs, outputs=outputs, loss=loss, loss_weights=loss_weights, dtype=dtype
        )
        network: Network[Any] = cls.__new__(cls)
        Model.__init__(
            network,
            topology_from_arrays(sources, targets, weights, settings, activation=activation),
            loss=settings.loss,
            initializer=initializer,
            dtype=settings.dtype,
            engine=engine,
            threads=threads,
            seed=seed,
        )
        return network

    def fit(
        self, X: Any, y: Any = ABSENT, *, epochs: int = 100, batch_size: int | None = None,
        optimizer: str | Optimizer | type[Optimizer] = "adam", learning_rate: float | None = None,
        sample_weight: Any = None, validation_data: Any = None, shuffle: bool | None = None,
        callbacks: Iterable[Callback] = (), progress: bool | None = None, seed: Any = None,
        resume: str | Path | None = None, clip_norm: float | None = None, clip_value: float | None = None,
        l1: float = 0.0, l2: float = 0.0, standardize: bool = False,
        columns: Iterable[Hashable] | None = None, missing: str = "refuse", metrics: Iterable[Any] = (),
        class_weight: Any = None, state: Any = None, distributed: Any = False, blocks: int | None = None,
    ) -> History:  # fmt: skip
        """Train on mini-batches, in place; the same seed, engine and threads give the same bits.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`evaluate`; ±inf is refused, too.  A batch's loss is Σwℓ/Σw.  Of a sparse X
            (``scipy.sparse``) only the inputs' columns of a batch's rows are dense at a time.
            Without y, X is an iterable of batches, ``(X, y)`` or ``(X, y, sample_weight)``, anew in each
            epoch: a list, a DataLoader.  Two are in memory at a time; none is shuffled.  A resume does not
            compare their numbers, and amid an epoch skips those that were learned from.
        epochs, batch_size
            Passes over the data (in all, with ``resume``); rows a step (32), at most all there are.
        optimizer, learning_rate
            A name, a call form such as ``"sgd(momentum=0.9)"``, or an :class:`Optimizer`, its
            state fresh on each call without ``state``; a rate instead of the optimizer's own.
        validation_data
            ``(X, y)`` or ``(X, y, sample_weight)``: the loss without penalties after each epoch.
        shuffle, seed
            Whether each epoch has an order of its own (yes); a seed as for :class:`Network`.
        callbacks, progress
            Such as ``[dagnet.EarlyStopping(patience=10)]``; a bar, by default on a terminal or in a notebook.
        resume
            A file of :class:`dagnet.Checkpoint`, from which the run goes on to the bits of one
            never interrupted; a finished run returns as it is.  Where there is no such file yet,
            but a Checkpoint among the callbacks is about to write it, the run starts afresh.
        clip_norm, clip_value, l1, l2
            The gradient's largest norm and absolute value; l1·Σ|w| + l2·Σw² over the trainable
            weights (not biases) is added to the loss, a shared weight once, under different
            factors as the mean over its edges; where edges say ``l1`` or ``l2``, theirs instead.
        standardize
            Whether to call :meth:`standardize` with X first; the network stays as it was if the
            arguments are refused.
        columns
            Names of the columns of an X (and validation X) that is an array; by default they are
            ``net.inputs``.  Columns that are no inputs are left alone.  Where they were given, later
            arrays want names as well: ``net.predict({name: X[:, [n]] for n, name in enumerate(columns)})``.
        missing
            ``"skip"``: where y, of training or validation, is NaN there is no label and no loss.
            A head that a table y does not mention at all is not trained.
        metrics
            As for :meth:`score`, such as ``["auc"]``: after each epoch ``history["validation_auc"]``, or,
            without validation rows, ``["auc"]`` of the training rows; of several heads their
            mean, and ``["validation_auc[y1]"]``.
        class_weight
            Rows count so many times by class: ``{0: 1, 1: 5}``, or ``"balanced"``, rows/(classes · rows of
            the class); of heads whose targets are 0 and 1, or classes.
        state
            A fitted network, or what its ``fit`` returned: the same optimizer goes on with its count of steps
            and what it remembers of parameters of the same names.
        distributed, blocks
            ``True`` under ``torchrun``: all processes, given the same, train as one, each from its rows of
            every batch (``pip install dagnet-torch``).  With ``blocks=8`` a batch is cut into so many, whose
            gradients are added in order: the same bits in any number of processes that divides it.

        Returns
        -------
        History
            ``["loss"]``, and ``["validation_loss"]`` where asked for, one number an epoch; of several
            heads also ``["loss[y1]"]``, ``["validation_loss[y1]"]``, ``["loss[a,b,c]"]``: each head's own,
            unweighted, without penalties, NaN where it had no label.

        Raises
        ------
        DataError
            For data or arguments that will not do, and for a checkpoint of another run.
        NumericalError
            If NaN or infinity arises; the parameters are those before the batch, which it names.

        Examples
        --------
        >>> import dagnet
        >>> net = dagnet.Network(dagnet.layered([1, 1]), seed=0)
        >>> net.fit([([[1.0], [2.0]], [2.0, 4.0]), ([[3.0]], [6.0])], epochs=2).epochs
        2
        """
        settings = training.Settings(
            epochs=epochs, batch_size=32 if batch_size is None else batch_size, optimizer=optimizer,
            learning_rate=learning_rate, shuffle=y is not ABSENT if shuffle is None else shuffle, seed=seed,
            clip_norm=clip_norm, clip_value=clip_value, l1=l1, l2=l2, distributed=distributed, blocks=blocks,
        )  # fmt: skip
        watching = with_progress(callbacks, progress)
        columns = list(columns) if isinstance(columns, Iterator) else columns
        data = {
            "sample_weight": sample_weight, "validation_data": validation_data, "columns": columns,
            "missing": missing, "metrics": metrics, "class_weight": class_weight,
        }  # fmt: skip
        before = self._prepared, self.named
        try:
            if y is ABSENT:
                given = {**data, "batch_size": batch_size, "standardize": standardize}
                X = training.Batches(self, X, settings, given)
            if FLAG.check("standardize", standardize):
                self.standardize(with_columns(X, columns))
            run = training.TrainingRun(self, X, y, settings, callbacks=watching, **data)
            if columns is not None:
                self.named = tuple(columns) != self._prepared.columns_in.by_unit()
            if state is not None:
                training.carry(run, state)
            if resume is not None and (snapshot := found_checkpoint(resume, run.callbacks)) is not None:
                training.restore(run, snapshot)
            if settings.distributed is not None:
                settings.distributed.alike(run)
        except BaseException:
            self._prepared, self.named = before
            raise
        done = run.history.epochs
        try:
            run.train()
        finally:
            self.history = run.history
        own = run.settings.optimizer.name, run.learner.steps, run.learner.state()
        run.history.state = training.Carried(self.layout, *own)
        from dagnet.explain.noticed import warn_of_fit  # noqa: PLC0415 - only those who fit pay for it

        if run.first and run.data.whole:
            warn_of_fit(self, run, done)
        return run.history

    def score(self, X: Any, y: Any, metric: Any, *, of: str | None = None, missing: str = "refuse") -> float:
        """How good predictions are.

        Parameters
        ----------
        X, y, missing
            As for :meth:`evaluate`.
        metric
            ``"accuracy"``, ``"balanced_accuracy"``, ``"auc"``, ``"average_precision"``, ``"f1"``, ``"r2"``,
            ``"pearson"``, ``"spearman"``, ``"concordance"`` (:mod:`dagnet.scores`), or a function
            ``(y_true, y_predicted) -> number`` of (rows,), of class probabilities (rows, classes).
        of
            The head, by its name in ``net.heads``.  Default: the mean, where it is defined, over those that
            learn a column of their own; of these those with classes, or without, if the metric is for such.

        Examples
        --------
        >>> import dagnet
        >>> net = dagnet.Network(dagnet.layered([1, 1]), seed=0)
        >>> round(net.score([[1.0], [2.0], [3.0]], [4.0, 2.0, 1.0], "spearman"))
        1
        """
        from dagnet.model import scoring  # noqa: PLC0415 - only those who score pay for it

        ((_, function),) = scoring.checked_metrics([metric]).items()
        _, targets, _ = self.encode(X, y, missing=missing)
        return scoring.mean_score(scoring.scores_of(self.objective, self(X), targets, function, of))

    def save(self, path: str | Path) -> None:
        """Write the network to one safe file, whole or not at all; :func:`dagnet.load` reads it.

        The file is in the safetensors format: the graph with its names and their types, every
        parameter to the bit, loss and dtype, under a digest.  It holds no code.

        Raises
        ------
        DataError
            If a node's name is no str, int, float, bool, None, bytes or tuple of these.
        PluginError
            If an activation or the loss is not registered.
        NumericalError
            If a weight or a bias is not finite.
        OSError
            If the file cannot be written; one that was there stays.

        Examples
        --------
        >>> import dagnet, os, tempfile
        >>> net = dagnet.Network(dagnet.layered([2, 1]), seed=0)
        >>> path = os.path.join(tempfile.mkdtemp(), "net.dagnet")
        >>> net.save(path)
        >>> (dagnet.load(path).parameters == net.parameters).all()
        np.True_
        """
        from dagnet.storage import save_model  # noqa: PLC0415 - only those who save pay for it

        save_model(self, path)

    def _repr_html_(self) -> str:
        """The summary, below a drawing where that is small."""
        small = self.topology.n_nodes <= DRAWN[0] and self.topology.n_edges <= DRAWN[1]
        return (f"<div>{self.draw()}</div>" if small else "") + self.summary()._repr_html_()
