"""What the classifier and the regressor share: from rows to a trained network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

import dagnet
from dagnet.registry import find_optimizer
from dagnet_sklearn.continued import Continued
from dagnet_sklearn.graphs import columns_of, default_graph, standardised

__all__ = ["DAGEstimator"]

Array = NDArray[Any]
FLOATS = [np.float64, np.float32]


class DAGEstimator(BaseEstimator, ABC):
    """A drawn network behind scikit-learn's interface."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "graph": [nx.DiGraph, None],
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

    def __init__(
        self,
        graph: nx.DiGraph[Any] | None = None,
        *,
        hidden: int = 16,
        activation: str | dagnet.Activation = "relu",
        initializer: str | dagnet.Initializer = "he_uniform",
        optimizer: Any = "adam",
        learning_rate: float | None = 0.01,
        epochs: int = 200,
        batch_size: int = 200,
        l1: float = 0.0,
        l2: float = 0.0,
        standardize: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        dtype: str = "float64",
        engine: str = "auto",
        threads: int | None = 1,
        random_state: Any = None,
    ) -> None:
        self.graph = graph
        self.hidden = hidden
        self.activation = activation
        self.initializer = initializer
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.l1 = l1
        self.l2 = l2
        self.standardize = standardize
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.tol = tol
        self.warm_start = warm_start
        self.dtype = dtype
        self.engine = engine
        self.threads = threads
        self.random_state = random_state

    # -- what the two kinds of estimator say -----------------------------------------------

    @abstractmethod
    def _default_outputs(self) -> list[Hashable]:
        """Names of the default graph's outputs."""

    @abstractmethod
    def _ordered(self, outputs: tuple[Hashable, ...]) -> list[Hashable] | None:
        """The output nodes in the order of the targets, where their names say it."""

    @abstractmethod
    def _fitting_loss(self, units: int) -> Any:
        """The loss for so many output units; ``ValueError`` where they do not fit the targets."""

    @abstractmethod
    def _strata(self, targets: Array) -> Array | None:
        """What the validation rows should have in the same proportions."""

    # -- building ----------------------------------------------------------------------------

    def _build(self, X: Array, weight: Array) -> None:
        """A fresh network for the columns of X."""
        names = getattr(self, "feature_names_in_", None)
        names = None if names is None else [str(name) for name in names]
        graph = self.graph
        if graph is None:
            columns = [f"x{place}" for place in range(X.shape[1])] if names is None else names
            graph = default_graph(columns, self._default_outputs(), self.hidden, self.activation)
        self._random = check_random_state(self.random_state)
        seed = self._seed()
        # Its inputs and outputs decide the columns, the order of the classes and the loss.
        drawn = self._network(graph, None, "squared_error", seed)
        units = drawn.topology.units[drawn.topology.inputs].tolist()
        self._columns = columns_of(drawn.inputs, units, names, X.shape[1])
        if self.standardize and drawn.inputs:
            graph = standardised(graph, drawn.inputs, units, X[:, self._columns], weight)
        loss = self._fitting_loss(len(drawn.plan.outputs))
        self.network_ = self._network(graph, self._ordered(drawn.outputs), loss, seed)
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
                np.arange(len(X)),
                test_size=self.validation_fraction,
                random_state=self._seed(),
                stratify=self._strata(targets),
            )
            held_out = X[test][:, self._columns], targets[test], weight[test]
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
            X[:, self._columns],
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

    def _is_built(self) -> bool:
        return hasattr(self, "network_")

    # -- rows --------------------------------------------------------------------------------

    def _rows(self, X: Any) -> Array:
        check_is_fitted(self)
        rows: Array = validate_data(self, X, dtype=FLOATS, reset=False)
        return rows[:, self._columns]

    def _weights(self, sample_weight: Any, X: Array) -> Array:
        weight: Array = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        return weight

    @staticmethod
    def _present(X: Array, targets: Array, weight: Array) -> tuple[Array, Array, Array]:
        """The rows with a weight; those without are as if they were not there."""
        kept = weight > 0
        if not kept.any():
            raise ValueError("sample_weight must have an entry above 0, got none")
        return (X, targets, weight) if kept.all() else (X[kept], targets[kept], weight[kept])
