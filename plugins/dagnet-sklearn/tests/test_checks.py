"""scikit-learn's own conformance suite, without an expected failure."""

import dagnet_sklearn
import pytest
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

VARIANTS = [
    dagnet_sklearn.DAGClassifier(),
    dagnet_sklearn.DAGRegressor(),
    dagnet_sklearn.DAGClassifier(hidden=0, optimizer="sgd(momentum=0.9)", standardize=False),
    dagnet_sklearn.DAGRegressor(loss="huber(delta=2.0)", engine="reference", l2=1e-3),
]


@pytest.mark.filterwarnings("ignore")  # scikit-learn's checks cause and catch many of its own
@parametrize_with_checks(VARIANTS)
def test_conforms(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", VARIANTS[:2])
def test_check_estimator_passes_as_a_whole(estimator):
    results = check_estimator(estimator, on_skip=None)
    assert {result["status"] for result in results} <= {"passed", "skipped"}
