"""``DAGClassifier``."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, Self

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils import compute_sample_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import check_is_fitted, column_or_1d

import dagnet
from dagnet.errors import did_you_mean, shorten
from dagnet.model import aligned
from dagnet_sklearn.estimator import DAGEstimator
from dagnet_sklearn.frames import single_column

__all__ = ["DAGClassifier"]

Array = NDArray[Any]


class DAGClassifier(ClassifierMixin, DAGEstimator):  # type: ignore[misc]
    """A drawn network as a classifier.

    Two classes and one output unit: a logit, trained with the binary cross-entropy.  Else one
    output unit for each class: softmax and cross-entropy.

    Parameters
    ----------
    graph
        The network as a ``networkx.DiGraph``, or None: one hidden node of ``hidden`` units
        between the columns and the outputs, and edges past it.  An input reads the column of a
        data frame that has its name.  Output nodes that are named as the classes are matched
        by name, too; where none is, they are the classes in sorted order; where some are, the
        graph is refused.
    columns
        What the columns of an array are, in its order: names of inputs, or of none.  Without
        it, an array is refused where the inputs have names other than x1, x2, …
    features
        The nodes whose values :meth:`transform` gives; None for all hidden nodes.
    hidden
        Units of the hidden node of the default graph; 0 leaves a linear model.
    activation, initializer, dtype, engine, threads
        As for :class:`dagnet.Network`.
    optimizer, learning_rate, epochs, batch_size, l1, l2
        As for :meth:`dagnet.Network.fit`; ``learning_rate=None`` is the optimizer's own.
    standardize
        Give inputs the (weighted) mean and standard deviation of their column as center and
        scale, where the graph says neither.
    early_stopping
        Hold out ``validation_fraction`` of the rows, stop once their loss was not better by
        more than ``tol`` for ``patience`` epochs, and keep the best parameters.
    class_weight
        None, ``"balanced"`` or a dict from class to weight; times ``sample_weight``.
    warm_start
        Let ``fit`` start from the parameters that are there.
    random_state
        For the start weights, the order of rows and the rows held out.

    Attributes
    ----------
    network_
        The :class:`dagnet.Network`: ``network_.weights``, ``network_.trace`` … by name.
    classes_
        (classes,) the labels.
    n_features_in_, feature_names_in_
        Columns seen in ``fit``.
    n_iter_, loss_curve_, loss_, validation_curve_
        Epochs so far, the loss of each, of the last; the held-out rows' loss or None.

    Examples
    --------
    >>> import dagnet
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = DAGClassifier(dagnet.layered([4, 8, 3]), random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **DAGEstimator._parameter_constraints,  # noqa: SLF001 - our own base
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    def __init__(
        self,
        graph: nx.DiGraph[Any] | None = None,
        *,
        columns: Sequence[Hashable] | None = None,
        features: Sequence[Hashable] | None = None,
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
        class_weight: Any = None,
        warm_start: bool = False,
        dtype: str = "float64",
        engine: str = "auto",
        threads: int | None = 1,
        random_state: Any = None,
    ) -> None:
        self._keep(locals())

    classes_: Array

    # -- training ----------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train.

        Parameters
        ----------
        X
            (rows, features): an array, a sparse matrix, or a data frame of pandas or polars.
        y
            (rows,) labels.
        sample_weight
            (rows,) or None.
        """
        warm = self.warm_start and self._is_built()
        X, y, weight = self._labelled(X, y, sample_weight, fresh=not warm)
        classes = np.unique(y)
        if warm:
            if not np.array_equal(classes, self.classes_):
                text = f"warm_start: the classes must be those of the fit before, {self.classes_}"
                raise ValueError(f"{text}, got {classes}; use warm_start=False for other classes")
        else:
            self.classes_ = self._checked_classes(classes)
        return self._fit(*self._numbered(X, y, weight, fresh=not warm))

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """One epoch on some rows; the optimizer goes on with its state.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.
        classes
            All labels that will ever come; needed in the first call.
        """
        first = not self._is_built()
        X, y, weight = self._labelled(X, y, sample_weight, fresh=first)
        if first and classes is None:
            raise ValueError("the first call of partial_fit must have classes=…, all labels that will come")
        known = self._checked_classes(unique_labels(classes)) if classes is not None else self.classes_
        if first:
            self.classes_ = known
        elif not np.array_equal(known, self.classes_):
            raise ValueError(f"classes must be those of the first call, {self.classes_}, got {known}")
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"y has labels {unknown[:8]}, which are not among the classes {self.classes_}")
        return self._partial_fit(*self._numbered(X, y, weight, fresh=first))

    def _labelled(self, X: Any, y: Any, sample_weight: Any, *, fresh: bool) -> tuple[Array, Array, Array]:
        """X and y checked, and what rows weigh by their class, too."""
        X, y, weight = self._checked(X, y, sample_weight, fresh=fresh)
        check_classification_targets(y)
        if self.class_weight is not None:
            weight = weight * compute_sample_weight(self.class_weight, y)
        return X, y, weight

    def _numbered(self, X: Array, y: Array, weight: Array, *, fresh: bool) -> tuple[Array, Array, Array]:
        """The rows with a weight, their classes as numbers, and where ``fresh`` a network for them."""
        numbers = np.searchsorted(self.classes_, column_or_1d(y))
        X, numbers, weight = self._present(X, numbers, weight)
        if fresh:
            self._build(X, weight)
        return X, numbers, weight

    def _checked_classes(self, classes: Array) -> Array:
        if len(classes) < 2:
            raise ValueError(f"y must have at least 2 classes, got 1 class: {classes}")
        return classes

    # -- the network -------------------------------------------------------------------------

    def _default_outputs(self) -> list[Hashable]:
        return ["y"] if len(self.classes_) == 2 else self.classes_.tolist()

    def _ordered(self, outputs: tuple[Hashable, ...]) -> list[Hashable] | None:
        labels: list[Hashable] = self.classes_.tolist()
        spelled = {str(output): output for output in outputs}
        found = {label: label if label in outputs else spelled.get(str(label)) for label in labels}
        named = [output for output in found.values() if output is not None]
        if not named:
            return None
        if len(outputs) == 1:  # its logit is that of the second class
            if found[labels[1]] is None:
                raise ValueError(
                    f"the output node {shorten(outputs[0])} is named as the first of the classes in sorted "
                    f"order, but one output is the logit of the second; name it {shorten(labels[1])}"
                )
            return None
        spare = [label for label, output in found.items() if output is None]
        if spare:
            strange = [output for output in outputs if output not in named]
            mend = did_you_mean(strange[0], spare) if strange else ""
            raise ValueError(
                f"the output nodes must be named as all the classes or as none, got {_listed(outputs)}, "
                f"where the classes {_listed(spare)} have no node{mend or '; rename the nodes or the labels'}"
            )
        return named

    def _fitting_loss(self, units: int) -> str:
        count = len(self.classes_)
        if units == count:
            return "cross_entropy"
        if units == 1 and count == 2:
            return "binary_cross_entropy_with_logits"
        must = (
            "1 or 2 output units for 2 classes" if count == 2 else f"{count} output units, one for each class"
        )
        raise ValueError(f"the graph must have {must}, got {units}; add or name the outputs")

    def _strata(self, targets: Array) -> Array | None:
        return targets

    # -- predictions -------------------------------------------------------------------------

    def decision_function(self, X: Any) -> Array:
        """The logits: (rows,) for one output unit, else (rows, classes)."""
        rows = self._rows(X)
        logits = self._learned(self.network_(rows))
        if len(self.classes_) > 2:
            return logits
        return logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]

    def predict_proba(self, X: Any) -> Array:
        """(rows, classes) probabilities, in the order of ``classes_``."""
        rows = self._rows(X)
        probabilities = self._learned(self.network_.predict(rows))
        if probabilities.shape[1] == 1:
            return np.hstack([1 - probabilities, probabilities])
        return probabilities

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of :meth:`predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The accuracy; y and weights of pandas go by their labels, as in ``fit``."""
        y, sample_weight = aligned("y", y, X), aligned("sample_weight", single_column(sample_weight), X)
        return float(super().score(X, y, sample_weight))

    def predict(self, X: Any) -> Array:
        """(rows,) labels."""
        check_is_fitted(self)
        decision = self.decision_function(X)
        places = (decision > 0).astype(int) if decision.ndim == 1 else decision.argmax(axis=1)
        return self.classes_[places]


def _listed(names: Sequence[Hashable]) -> str:
    return ", ".join(map(shorten, names[:8])) + (", …" if len(names) > 8 else "")
