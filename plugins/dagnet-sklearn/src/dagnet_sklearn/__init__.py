"""Drawn networks as scikit-learn estimators.

Examples
--------
>>> from sklearn.datasets import load_iris
>>> X, y = load_iris(return_X_y=True, as_frame=True)
>>> DAGClassifier(random_state=0).fit(X, y).score(X, y) > 0.9
True
"""

from dagnet_sklearn.classifier import DAGClassifier
from dagnet_sklearn.regressor import DAGRegressor

__all__ = ["DAGClassifier", "DAGRegressor"]
