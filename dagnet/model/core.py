"""``Model``: everything that floors above need to run a network, by name and by array."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import networkx as nx
import numpy as np

from dagnet.ancestry import Ancestry
from dagnet.arrays import Array
from dagnet.contracts import Loss, Runner
from dagnet.errors import DataError, Verbatim, expected
from dagnet.markup import counted
from dagnet.model import asking
from dagnet.model.data import ABSENT, Encoded, encode_inputs
from dagnet.model.differences import Differences, central_differences
from dagnet.model.heads import Objective
from dagnet.model.layout import Layout
from dagnet.model.prepared import Prepared
from dagnet.model.regraph import regraph
from dagnet.model.results import Forward
from dagnet.model.selection import checked_seed, checked_threads
from dagnet.model.tables import aligned, bare_row, is_table
from dagnet.model.targets import encode_heads, encode_sample_weight
from dagnet.model.views import FREEZE, TrainableMask, WritableBiases, WritableNodeParameters, WritableWeights
from dagnet.plan import Plan
from dagnet.registry import find_initializer
from dagnet.topology import Head, Topology
from dagnet.values import FLAG

if TYPE_CHECKING:
    import typing_extensions  # checkers have it, and Python before 3.13 no default of its own

    Node = typing_extensions.TypeVar("Node", bound=Hashable, default=Any)
else:
    Node = TypeVar("Node", bound=Hashable)

Edge = tuple[Hashable, Hashable]
PORTION = 2**23
"""Values of units and rows that :meth:`Model.forwards` holds at once."""


class Model(Generic[Node]):
    """What is frozen of a network, and one live vector of parameters."""

    named = False
    """Whether ``fit`` was told names of an array's columns other than the inputs in order: X needs names."""

    def __init__(
        self,
        topology: Topology,
        *,
        loss: Loss,
        dtype: np.dtype[Any],
        initializer: object = "he_uniform",
        engine: object = "auto",
        threads: int | None = None,
        seed: object = None,
    ) -> None:
        from dagnet.model.start import start_vector  # noqa: PLC0415 - `import dagnet` without numpy.random

        self._prepared = Prepared.of(topology, loss, dtype, engine, checked_threads(threads))
        seed, drawn_by = checked_seed(seed), find_initializer(initializer)
        self._vector = start_vector(self.layout, drawn_by, seed, dtype)
        self._parameters = self._vector[: self.layout.plan.n_parameters]
        self.layout.forget()

    def refresh(self) -> None:
        """Trace anew those activations, and the loss, that read something which has changed since."""
        self._prepared = self._prepared.refreshed()

    def standardize(self, X: Any) -> Self:
        """Have the network take each input as (value − center) / scale, from now on, in place.

        ``center`` and ``scale`` of every input unit become the mean and the standard deviation of
        its column in X, whatever they were (of a constant column its value and 1).  They belong to
        the graph: :meth:`to_networkx`, files and fingerprints have them.  Weights and biases
        stay, so the function changes: do it before training, or write ``fit(…, standardize=True)``.

        Parameters
        ----------
        X
            The training rows, as for :meth:`forward`, as they are; all count the same.

        Returns
        -------
        Network
            The network itself.

        Raises
        ------
        DataError
            For rows that will not do, among them NaN and ±inf; nothing is changed then.

        Examples
        --------
        >>> import dagnet
        >>> net = dagnet.Network(dagnet.layered([1, 1])).standardize([[10.0], [30.0]])
        >>> net.topology.center, net.topology.scale
        (array([20.]), array([10.]))
        """
        self._check_named(X)
        self._prepared = self._prepared.standardised(X)
        return self

    # -- what it is ----------------------------------------------------------------------

    @property
    def topology(self) -> Topology:
        """The validated graph as arrays."""
        return self.layout.topology

    @property
    def plan(self) -> Plan:
        """The compiled program; ``print`` lists it."""
        plan, notes = self.layout.plan, self.runner.notes()
        return replace(plan, notes=MappingProxyType(dict(notes))) if notes else plan

    @property
    def prepared(self) -> Prepared:
        """All that is frozen of the network, made ready to run."""
        return self._prepared

    @property
    def runner(self) -> Runner:
        """The engine's runner for the plan."""
        return self._prepared.runner

    @property
    def training_runner(self) -> Runner:
        """The engine's runner for training, where that is not what prediction does."""
        return self._prepared.training_runner

    @property
    def layout(self) -> Layout:
        """Where nodes and edges have their parameters and units."""
        return self._prepared.layout

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The input nodes, in the order of X's columns."""
        return self._prepared.columns_in.names

    @property
    def outputs(self) -> tuple[Node, ...]:
        """The output nodes, in their declared order."""
        return tuple(self.topology.nodes[node] for node in self.topology.outputs.tolist())

    @property
    def targets(self) -> tuple[Node, ...]:
        """The outputs that y has columns for, in their order: all that do not learn another one's."""
        return self._prepared.columns_out.names

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, in the graph's order."""
        return tuple(self.topology.nodes)

    @property
    def edges(self) -> tuple[Edge, ...]:
        """All edges (parent, child), in the graph's order."""
        return tuple(WritableWeights(self.layout, self._parameters))

    @property
    def levels(self) -> tuple[tuple[Node, ...], ...]:
        """The nodes by level, the longest distance from a parentless node."""
        return self.topology.by_level()

    @property
    def loss(self) -> Any:
        """The :class:`Loss`; of a network with several heads all of them, which ``print`` lists."""
        return self.objective.one or self.objective

    @property
    def heads(self) -> dict[str, Head]:
        """By name what is learned: outputs with their loss, its weight, and the columns of y."""
        return {head.name: head for head in self.objective.heads}

    @property
    def objective(self) -> Objective:
        """What is minimised."""
        return self._prepared.objective

    @property
    def dtype(self) -> np.dtype[Any]:
        """float64 or float32."""
        return self._prepared.dtype

    @property
    def engine(self) -> str:
        """The name of the engine that runs this network."""
        return self._prepared.engine

    @property
    def threads(self) -> int:
        """How many threads the engine may use."""
        return self._prepared.threads

    @property
    def ancestry(self) -> Ancestry:
        """Parent chains: ``.nodes_with(edge)``, ``.parent_chain(node)``."""
        return Ancestry(self.topology)

    # -- parameters ----------------------------------------------------------------------

    @property
    def parameters(self) -> Array:
        """The live flat vector of weights, biases and what nodes learn; writing changes the network."""
        return self._parameters

    @parameters.setter
    def parameters(self, values: Any) -> None:
        array = np.asarray(values)
        if array.shape != self._parameters.shape or array.dtype.kind not in "iuf":
            got = Verbatim(f"{array.dtype} of shape {array.shape}")
            raise DataError(expected("parameters", f"numbers of shape {self._parameters.shape}", got))
        with np.errstate(over="ignore"):
            cast = array.astype(self.dtype)
        if not np.isfinite(cast).all():
            first = float(array[~np.isfinite(cast)][0])
            raise DataError(expected("parameters", f"finite in {self.dtype}", first))
        self._parameters[:] = cast

    @property
    def vector(self) -> Array:
        """:attr:`parameters`, and after them the running statistics of normalisations; live."""
        return self._vector

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_parameters"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)  # what is a part of the vector stays one
        self._parameters = self._vector[: self.layout.plan.n_parameters]

    @property
    def trainable(self) -> Array:
        """(parameters,) mask: what training may change; ``trainable=False`` in the graph freezes."""
        return self.layout.trainable.view(TrainableMask)

    @trainable.setter
    def trainable(self, _mask: object) -> None:
        raise DataError(f"trainable cannot be set{FREEZE}")

    @property
    def weights(self) -> WritableWeights:
        """Weights by edge (parent, child); assignment is checked and changes the network."""
        return WritableWeights(self.layout, self._parameters)

    @property
    def biases(self) -> WritableBiases:
        """Biases by node; assignment is checked and changes the network."""
        return WritableBiases(self.layout, self._parameters)

    @property
    def node_parameters(self) -> WritableNodeParameters:
        """What normalised nodes learn and keep, by (node, name); assignment is checked.

        Names are ``scale``, ``shift``, and the running ``mean`` and ``variance``.
        """
        return WritableNodeParameters(self.layout, self._vector)

    # -- data ----------------------------------------------------------------------------

    def encode(
        self, X: Any, y: Any = ABSENT, sample_weight: Any = None, *, finite: bool = False, lazy: bool = False,
        missing: str = "refuse", batch: bool = False,
    ) -> Encoded:  # fmt: skip
        """All that is given checked, X standardised, y and weights in the order of X's labels.

        A bare row of X, and the target of one row, are a table of one row (:func:`bare_row`).
        Where ``lazy``, sparse rows stay so until some of them are looked at; a ``batch`` may lack labels.
        """
        own = self._prepared
        X = bare_row(X, own.columns_in)
        y, sample_weight = aligned("y", y, X), aligned("sample_weight", sample_weight, X)
        self._check_named(X)
        inputs = encode_inputs(X, own.columns_in, own.dtype, own.standardisation, finite=finite)
        n, dtype, targets = len(inputs), own.dtype, None
        if y is not ABSENT:
            y = bare_row(y, own.columns_out) if n == 1 else y
            y = own.table_of(y) if is_table(y) else y
            targets = encode_heads(own, y, n, finite=finite, missing=missing, batch=batch)
        if sample_weight is not None and not own.objective.rowwise:
            name = next(head.loss.name for head in own.objective.heads if not head.loss.rowwise)
            raise DataError(f"sample_weight: leave it out, as the loss {name!r} couples rows")
        weights = encode_sample_weight(sample_weight, n, dtype, len(own.objective.heads))
        return Encoded(inputs if lazy else inputs[:], targets, weights)

    def _check_named(self, X: Any) -> None:
        """Refuse an array where ``fit`` was told names that are not the inputs in their order."""
        if self.named and not is_table(X):
            plain = self._prepared.columns_in.width == len(self.inputs)
            pairs = "{name: X[:, [n]] for n, name in enumerate(columns)}"
            mend = f"{pairs}, or fit with columns=net.inputs" if plain else "{name: columns, …}"
            raise DataError(f"X has no names, and fit was told what its columns are; pass {mend}")

    # -- evaluation ----------------------------------------------------------------------

    def __call__(self, X: Any) -> Array:
        """Values of the output nodes, (rows, output units); a bare row, (input units,), is one row."""
        prepared = self._prepared
        if prepared.takes(X) and not self.named:  # as it stands: engines look for NaN
            quick = prepared.runner.evaluate(prepared.layout.theta(self._vector), X)
            if quick is not None:
                return quick
        with np.errstate(all="ignore"):
            return prepared.outputs(self._vector, self.encode(X, lazy=True).inputs)

    @np.errstate(all="ignore")
    def predict(self, X: Any, *, dropout: bool = False, seed: int = 0) -> Array:
        """What the loss says the outputs predict, (rows, output units).

        With ``dropout`` values and terms are dropped as in training, by masks of ``seed`` and the row's
        number in X, while normalisations use their running statistics: many seeds make a Monte Carlo sample.

        >>> import dagnet
        >>> dagnet.Network.from_arrays([0], [1], [2.0]).predict([[3.0]])
        array([[6.]])
        """
        if not FLAG.check("dropout", dropout):
            return np.asarray(self.objective.prediction(self(X)), self.dtype)
        outputs = self._prepared.dropped(self._vector, self.encode(X, lazy=True).inputs, seed)
        return np.asarray(self.objective.prediction(outputs), self.dtype)

    forward = asking.forward
    gradient = asking.gradient

    def forwards(self, inputs: Any) -> Iterator[Forward]:
        """:meth:`forward` of encoded rows, portion by portion: long data need no more memory than short."""
        portion = max(1, PORTION // max(1, self.layout.plan.n_units))
        for start in range(0, len(inputs), portion):
            yield asking.forward_of(self, inputs[start : start + portion])

    @np.errstate(all="ignore")
    def evaluate(self, X: Any, y: Any, sample_weight: Any = None, *, missing: str = "refuse") -> float:
        """The loss: Σwℓ/Σw, of several heads the sum of weight · Σwℓ/Σw over the rows with a label.

        Parameters
        ----------
        X, y, sample_weight
            Rows; a column for each of ``net.targets``, or class labels; w ≥ 0, (rows,), or (rows, heads)
            in the order of ``net.heads``.  Heads that a table y does not mention count nothing.
        missing
            ``"skip"``: where y is NaN there is no label, and no loss; by default it is refused.

        >>> import dagnet
        >>> dagnet.Network.from_arrays([0], [1], [2.0]).evaluate([[3.0]], [5.0])
        1.0
        """
        inputs, targets, weights = self.encode(X, y, sample_weight, missing=missing, lazy=True)
        return self.objective.mean(self._prepared.outputs(self._vector, inputs), targets, weights)

    @np.errstate(all="ignore")
    def differences(
        self, X: Any, y: Any, places: Array, steps: Array, *, sample_weight: Any = None,
        missing: str = "refuse",
    ) -> Differences:  # fmt: skip
        """Central differences of the loss by parameters' ``places``, ``steps`` (n,) up and down."""
        data = self.encode(X, y, sample_weight, missing=missing)
        return central_differences(self._prepared, self._vector, data, places, steps)

    def to_networkx(self) -> nx.DiGraph[Any]:
        """See :meth:`dagnet.Network.to_networkx`."""
        return regraph(self.layout, self._vector, self.objective.default, self.dtype)

    def __repr__(self) -> str:
        topology, n = self.topology, len(self._parameters)
        sizes = (
            (topology.n_nodes, "node"),
            (topology.n_edges, "edge"),
            (int(topology.level.max()) + 1, "level"),
        )
        listed = ", ".join(counted(*pair) for pair in (*sizes, (n, "parameter")))
        return f"<{type(self).__name__}: {listed}, loss {self.loss}, {self.dtype}, engine {self.engine}>"
