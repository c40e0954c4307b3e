"""``DAGRegressor``."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, Self

import networkx as nx
from numpy.typing import NDArray
from sklearn.base import MultiOutputMixin, RegressorMixin, _fit_context

import dagnet
from dagnet.model import aligned
from dagnet_sklearn.estimator import DAGEstimator
from dagnet_sklearn.frames import single_column

__all__ = ["DAGRegressor"]

Array = NDArray[Any]


class DAGRegressor(RegressorMixin, MultiOutputMixin, DAGEstimator):  # type: ignore[misc]
    """A drawn network as a regressor, with one output unit for each target.

    Targets are taken as they are: where they are far from the order of 1, wrap the estimator in
    ``sklearn.compose.TransformedTargetRegressor``.

    Parameters
    ----------
    graph
        The network as a ``networkx.DiGraph``, or None: one hidden node of ``hidden`` units
        between the columns and the outputs, and edges past it.
    loss
        ``"squared_error"``, ``"huber(delta=1.0)"``, ``"absolute_error"``, ``"poisson"`` or any
        other of dagnet's; ``predict`` gives what the loss says the outputs predict.
    columns, features, hidden, activation, initializer, optimizer, learning_rate, epochs, \
batch_size, l1, l2, standardize, early_stopping, validation_fraction, patience, tol, warm_start, \
dtype, engine, threads, random_state
        As for :class:`DAGClassifier`.

    Attributes
    ----------
    network_
        The :class:`dagnet.Network`.
    n_features_in_, feature_names_in_
        Columns seen in ``fit``.
    n_iter_, loss_curve_, loss_, validation_curve_
        Epochs so far, the loss of each, of the last; the held-out rows' loss or None.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 50)[:, None]
    >>> DAGRegressor(random_state=0).fit(X, X[:, 0] ** 2).score(X, X[:, 0] ** 2) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **DAGEstimator._parameter_constraints,  # noqa: SLF001 - our own base
        "loss": [str, dagnet.Loss],
    }

    def __init__(
        self,
        graph: nx.DiGraph[Any] | None = None,
        *,
        columns: Sequence[Hashable] | None = None,
        features: Sequence[Hashable] | None = None,
        loss: str | dagnet.Loss = "squared_error",
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
        self._keep(locals())

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train.

        Parameters
        ----------
        X
            (rows, features): an array, a sparse matrix, or a data frame of pandas or polars.
        y
            (rows,) or (rows, targets).
        sample_weight
            (rows,) or None.
        """
        warm = self.warm_start and self._is_built()
        return self._fit(*self._prepared(X, y, sample_weight, fresh=not warm))

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """One epoch on some rows; the optimizer goes on with its state."""
        return self._partial_fit(*self._prepared(X, y, sample_weight, fresh=not self._is_built()))

    def _prepared(self, X: Any, y: Any, sample_weight: Any, *, fresh: bool) -> tuple[Array, Array, Array]:
        """Checked rows with a weight, and where ``fresh`` a network for them."""
        checks = {"multi_output": True, "y_numeric": True}
        X, y, weight = self._checked(X, y, sample_weight, fresh=fresh, **checks)
        width = 1 if y.ndim == 1 else y.shape[1]
        if fresh:
            self._flat, self._width = y.ndim == 1, width
        elif width != self._width:
            raise ValueError(f"y must have {self._width} targets, as in the fit before, got {width}")
        X, targets, weight = self._present(X, y.reshape(len(y), width), weight)
        if fresh:
            self._build(X, weight)
        return X, targets, weight

    def _default_outputs(self) -> list[Hashable]:
        return ["y"] if self._width == 1 else [f"y{place}" for place in range(self._width)]

    def _fitting_loss(self, units: int) -> Any:
        if units != self._width:
            raise ValueError(
                f"the graph must have {self._width} output units, one for each target, got {units}"
            )
        return self.loss

    def predict(self, X: Any) -> Array:
        """(rows,) or (rows, targets), as y was."""
        rows = self._rows(X)
        predicted = self._learned(self.network_.predict(rows))
        return predicted[:, 0] if self._flat else predicted

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The coefficient of determination R²; y and weights of pandas go by their labels, as in ``fit``."""
        y, sample_weight = aligned("y", y, X), aligned("sample_weight", single_column(sample_weight), X)
        return float(super().score(X, y, sample_weight))
