"""What the classifier and the regressor share: from rows to a trained network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_random_state, check_X_y
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

import dagnet
from dagnet.model import aligned
from dagnet.registry import find_optimizer
from dagnet_sklearn.frames import column_names, numbers, refuse_missing, single_column
from dagnet_sklearn.graphs import Inputs, Shown, default_graph, standardised, unit_names

__all__ = ["DAGEstimator"]

Array = NDArray[Any]
ANY: dict[str, Any] = {"accept_sparse": "csr", "ensure_all_finite": False}
CHECKS: dict[str, Any] = {"dtype": [np.float64, np.float32], **ANY}
"""How scikit-learn checks X; what is missing is refused here, by row and column."""


class DAGEstimator(TransformerMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """A drawn network behind scikit-learn's interface."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "graph": [nx.DiGraph, None],
        "columns": ["array-like", None],
        "features": ["array-like", None],
        "hidden": [Interval(Integral, 0, None, closed="left")],
        "activation": [str, dagnet.Activation],
        "initializer": [str, dagnet.Initializer],
        "optimizer": [str, dagnet.Optimizer, type],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), None],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "l1": [Interval(Real, 0, None, closed="left")],
        "l2": [Interval(Real, 0, None, closed="left")],
        "standardize": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "dtype": [StrOptions({"float64", "float32"})],
        "engine": [str],
        "threads": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    }

    def _keep(self, said: dict[str, Any]) -> None:
        """The constructor's arguments as attributes of their names, as they are."""
        for name in self._get_param_names():
            setattr(self, name, said[name])

    _inputs: Inputs | None
    """Of the graph; None until the default one is made."""
    _seen: list[Hashable] | None
    """The names of X's columns in ``fit``: a data frame's, else those of ``columns``."""
    _is_framed: bool
    """Whether X was a data frame with names in ``fit``."""

    # -- what the two kinds of estimator say -----------------------------------------------

    @abstractmethod
    def _default_outputs(self) -> list[Hashable]:
        """Names of the default graph's outputs."""

    def _ordered(self, _outputs: tuple[Hashable, ...]) -> list[Hashable] | None:
        """The output nodes in the order of the targets, where their names say it."""
        return None

    @abstractmethod
    def _fitting_loss(self, units: int) -> Any:
        """The loss for so many output units; ``ValueError`` where they do not fit the targets."""

    def _strata(self, _targets: Array) -> Array | None:
        """What the validation rows should have in the same proportions."""
        return None

    # -- building ----------------------------------------------------------------------------

    def _read_graph(self) -> Inputs | None:
        """What the graph says of columns and targets; None for the default one, which follows them."""
        if self.graph is None:
            return None
        drawn = self._network(self.graph, None, "squared_error", 0)
        # heads that learn another output's column have none of y
        topology, self._outputs = drawn.topology, drawn.targets
        self._output_units = sum(int(topology.units[topology.index[node]]) for node in drawn.targets)
        self._further = [node for node in drawn.outputs if node not in drawn.targets]
        return Inputs.of(drawn)

    def _build(self, X: Array, weight: Array) -> None:
        """A fresh network; X is (rows, input units)."""
        graph, inputs = self.graph, self._inputs
        ordered: list[Hashable] | None = None
        if graph is None or inputs is None:
            names = self._seen or [f"x{place}" for place in range(X.shape[1])]
            inputs = Inputs(tuple(names), (1,) * len(names), is_drawn=False)
            outputs = self._default_outputs()
            graph = default_graph(names, outputs, self.hidden, self.activation)
            loss = self._fitting_loss(len(outputs))
        else:
            loss = self._fitting_loss(self._output_units)
            ordered = self._ordered(self._outputs)
            ordered = ordered and [*ordered, *self._further]
        if self.standardize and inputs.nodes:
            graph = standardised(graph, inputs.nodes, inputs.units, X, weight)
        self._random = check_random_state(self.random_state)
        network = self._network(graph, ordered, loss, self._seed())
        for node in self._feature_nodes(network):
            network.topology.node_number(node)
        self.network_, self._inputs = network, inputs
        self._continued: Continued | None = None
        self.loss_curve_: list[float] = []
        self.validation_curve_: list[float] | None = [] if self.early_stopping else None
        self.n_iter_ = 0

    def _network(self, graph: nx.DiGraph[Any], outputs: Any, loss: Any, seed: int) -> dagnet.Network:
        return dagnet.Network(
            graph,
            outputs=outputs,
            loss=loss,
            activation=self.activation,
            initializer=self.initializer,
            dtype=self.dtype,
            engine=self.engine,
            threads=self.threads,
            seed=seed,
        )

    def _seed(self) -> int:
        return int(self._random.randint(2**31 - 1))

    # -- training ----------------------------------------------------------------------------

    def _fit(self, X: Array, targets: Array, weight: Array) -> Self:
        """``fit`` on checked rows; the network is there."""
        options: dict[str, Any] = {"epochs": self.epochs, "optimizer": self.optimizer}
        if self.early_stopping:
            train, test = train_test_split(
                np.arange(X.shape[0]),
                test_size=self.validation_fraction,
                random_state=self._seed(),
                stratify=self._strata(targets),
            )
            held_out = X[test], targets[test], weight[test]
            early = dagnet.EarlyStopping(patience=self.patience, min_delta=self.tol)
            options |= {"validation_data": held_out, "callbacks": [early]}
            X, targets, weight = X[train], targets[train], weight[train]
        return self._train(X, targets, weight, **options)

    def _partial_fit(self, X: Array, targets: Array, weight: Array) -> Self:
        """One epoch that goes on with the optimizer's state of the calls before."""
        if self._continued is None:
            self._continued = Continued(find_optimizer(self.optimizer))
        return self._train(X, targets, weight, epochs=1, optimizer=self._continued)

    def _train(self, X: Array, targets: Array, weight: Array, **options: Any) -> Self:
        history = self.network_.fit(
            X,
            targets,
            sample_weight=None if (weight == weight[0]).all() else weight,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            l1=self.l1,
            l2=self.l2,
            progress=False,
            seed=self._seed(),
            **options,
        )
        self.loss_curve_ += history["loss"]
        if self.validation_curve_ is not None:
            self.validation_curve_ += history.get("validation_loss", [])
        self.n_iter_ += history.epochs
        self.loss_ = self.loss_curve_[-1]
        return self

    def _learned(self, values: Array) -> Array:
        """Of the outputs' values those that learn columns of y of their own, (rows, columns of y)."""
        net = self.network_
        own = [node in net.targets for node in net.outputs]
        return values if all(own) else values[:, np.repeat(own, net.topology.units[net.topology.outputs])]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _is_built(self) -> bool:
        return hasattr(self, "network_")

    # -- rows --------------------------------------------------------------------------------

    def _checked(
        self, X: Any, y: Any, sample_weight: Any, *, fresh: bool, **checks: Any
    ) -> tuple[Array, Array, Array]:
        """X as (rows, input units), y and the weights, all in the order of X's rows."""
        y, sample_weight = aligned("y", y, X), aligned("sample_weight", single_column(sample_weight), X)
        chosen = self._chosen(X, fresh=fresh)
        if chosen is None:
            X, y = validate_data(self, X, y, reset=fresh, **CHECKS, **checks)
        else:
            X, y = check_X_y(chosen, y, ensure_min_features=0, estimator=self, **CHECKS, **checks)
        if self._inputs is not None:
            self._inputs.refuse_width(X.shape[1])
        refuse_missing(X, self._labels(X))
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        return X, y, weight

    def _rows(self, X: Any) -> Array:
        """X as (rows, input units) after ``fit``."""
        check_is_fitted(self)
        chosen = self._chosen(X, fresh=False)
        rows: Array
        if chosen is None:
            rows = validate_data(self, X, reset=False, **CHECKS)
        else:
            rows = check_array(chosen, ensure_min_features=0, estimator=self, **CHECKS)
        refuse_missing(rows, self._labels(rows))
        return rows

    def _labels(self, X: Array) -> Sequence[Hashable]:
        inputs = self._inputs
        if inputs is not None and not inputs.are_in_order:
            return inputs.labels()
        return self._seen or range(X.shape[1])

    def _chosen(self, X: Any, *, fresh: bool) -> Array | None:
        """X's columns for the graph's inputs, where X has names or is given them; else None."""
        if fresh:
            self._inputs = self._read_graph()
        inputs, names = self._inputs, column_names(X)
        # Names that are no text count where the inputs are among them; a fit without names knows none.
        if names and not (inputs is not None and inputs.are_among(names)):
            counts = isinstance(names[0], str) and (fresh or self._seen is not None)
            names = names if counts else None
        if fresh:
            self._is_framed = bool(names)
            self._seen = names or self._named_columns()
        if not names:
            return self._chosen_of_array(X, inputs, fresh=fresh)
        if inputs is None or (inputs.are_in_order and self._is_framed):
            validate_data(self, X, reset=fresh, skip_check_array=True)
            return numbers(X, range(len(names)), names)
        places = inputs.places(names)
        if fresh:
            validate_data(self, X, skip_check_array=True)
        return numbers(X, places, names)

    def _chosen_of_array(self, X: Any, inputs: Inputs | None, *, fresh: bool) -> Array | None:
        names = self._named_columns()
        if names is None:
            if inputs is not None and inputs.have_names:
                raise ValueError(inputs.unnamed())
            if fresh or not self._is_framed or inputs is None or inputs.are_in_order:
                return None
            # As scikit-learn has it: a warning, and the columns are those of fit.
            rows = validate_data(self, X, reset=False, dtype=None, **ANY)
            names = self._seen or []
        else:
            rows = check_array(X, dtype=None, estimator=self, **ANY)
            if rows.shape[1] != len(names):
                raise ValueError(
                    f"X must have a column for each of columns=…, {len(names)}, got {rows.shape[1]}"
                )
            if fresh:
                validate_data(self, X, skip_check_array=True)
        return rows if inputs is None else rows[:, inputs.places(names)]

    def _named_columns(self) -> list[Hashable] | None:
        columns: Any = self.columns
        if columns is None:
            return None
        return columns.tolist() if isinstance(columns, np.ndarray) else list(columns)

    @staticmethod
    def _present(X: Array, targets: Array, weight: Array) -> tuple[Array, Array, Array]:
        """The rows with a weight; those without are as if they were not there."""
        kept = weight > 0
        if not kept.any():
            raise ValueError("sample_weight must have an entry above 0, got none")
        return (X, targets, weight) if kept.all() else (X[kept], targets[kept], weight[kept])

    # -- features ----------------------------------------------------------------------------

    def transform(self, X: Any) -> Array:
        """The values of hidden nodes, or of those that ``features`` lists: (rows, units)."""
        rows = self._rows(X)
        forward = self.network_.forward(rows)
        blocks = [forward[node].reshape(rows.shape[0], -1) for node in self._feature_nodes(self.network_)]
        return np.hstack(blocks) if blocks else np.zeros((rows.shape[0], 0), self.network_.dtype)

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """(units,) names of what :meth:`transform` gives: ``node``, or ``node[0]``, ``node[1]`` and so on.

        Parameters
        ----------
        input_features
            Not used; here for scikit-learn's interface.
        """
        del input_features
        check_is_fitted(self)
        topology = self.network_.topology
        names = [
            str(name)
            for node in self._feature_nodes(self.network_)
            for name in unit_names(node, int(topology.units[topology.node_number(node)]))
        ]
        return np.array(names, object)

    def _feature_nodes(self, network: dagnet.Network) -> list[Hashable]:
        if self.features is not None:
            return list(self.features)
        topology = network.topology
        return [node for number, node in enumerate(topology.nodes) if topology.role(number) == "hidden"]

    # -- shown -------------------------------------------------------------------------------

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """As scikit-learn's, with the graph's size instead of its address."""
        kind, parameters = type(self), self.get_params(deep=False)
        if self.graph is not None:
            parameters["graph"] = Shown(self.graph)
        # scikit-learn breaks the lines only of what has its own __repr__.
        shown = type(kind.__name__, (kind,), {"__repr__": BaseEstimator.__repr__})(**parameters)
        text: str = BaseEstimator.__repr__(shown, N_CHAR_MAX)
        return text

    def _get_params_html(self, *args: Any, **options: Any) -> Any:
        parameters = super()._get_params_html(*args, **options)
        if self.graph is not None:
            parameters["graph"] = Shown(self.graph)
        return parameters


class Continued(dagnet.Optimizer):
    """A rule that goes on from call to call with the same state and count of steps."""

    def __init__(self, rule: dagnet.Optimizer) -> None:
        self.rule = rule
        self.name = rule.name  # type: ignore[misc]
        self.learning_rate = rule.learning_rate
        self.steps = 0
        self.state: dict[str, Array] | None = None

    def start(self, parameters: Array) -> dict[str, Array]:
        """The state so far, or a fresh one at first."""
        if self.state is None:
            self.state = self.rule.start(parameters)
        return self.state

    def step(
        self, parameters: Array, gradient: Array, state: dict[str, Array], *, step: int, learning_rate: float
    ) -> None:
        """One step, counted on from the calls before."""
        del step
        self.steps += 1
        with np.errstate(all="ignore"):
            self.rule.step(parameters, gradient, state, step=self.steps, learning_rate=learning_rate)

    def __str__(self) -> str:
        return str(self.rule)
