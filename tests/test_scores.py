"""Metrics, equal to scikit-learn's and SciPy's; recorded while training; weights of classes."""

import networkx as nx
import numpy as np
import pytest

import dagnet
from dagnet import scores

metrics = pytest.importorskip("sklearn.metrics")
stats = pytest.importorskip("scipy.stats")
ROWS = 60
RNG = np.random.default_rng(11)
X = RNG.normal(size=(ROWS, 2))


def drawn(*outputs):
    graph = nx.DiGraph()
    graph.add_edges_from((f"x{k}", f"h{j}") for k in range(2) for j in range(3))
    graph.add_edges_from((f"h{j}", output) for j in range(3) for output in outputs)
    return graph


BINARY = {
    "accuracy": lambda y, p: metrics.accuracy_score(y, p > 0.5),
    "balanced_accuracy": lambda y, p: metrics.balanced_accuracy_score(y, p > 0.5),
    "auc": metrics.roc_auc_score,
    "average_precision": metrics.average_precision_score,
    "f1": lambda y, p: metrics.f1_score(y, p > 0.5),
}
REAL = {
    "r2": metrics.r2_score,
    "pearson": lambda y, p: stats.pearsonr(y, p).statistic,
    "spearman": lambda y, p: stats.spearmanr(y, p).statistic,
    "concordance": lambda y, p: (stats.kendalltau(y, p).statistic + 1) / 2,  # without ties
}
CLASSES = {
    "accuracy": lambda y, p: metrics.accuracy_score(y, p.argmax(axis=1)),
    "balanced_accuracy": lambda y, p: metrics.balanced_accuracy_score(y, p.argmax(axis=1)),
    "auc": lambda y, p: metrics.roc_auc_score(y, p, multi_class="ovr"),
    "average_precision": lambda y, p: metrics.average_precision_score(np.eye(3)[y], p),
    "f1": lambda y, p: metrics.f1_score(y, p.argmax(axis=1), average="macro"),
}


@pytest.mark.parametrize("seed", range(20))
def test_they_are_scikit_learns_and_scipys(seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 40)
    y[:2] = 0, 1
    p = rng.integers(0, 9, 40) / 8  # with ties
    for name, theirs in BINARY.items():
        assert scores.METRICS[name](y.astype(float), p) == pytest.approx(theirs(y, p), rel=1e-12), name
    y, p = rng.normal(size=(2, 40))
    for name, theirs in REAL.items():
        assert scores.METRICS[name](y, p) == pytest.approx(theirs(y, p), rel=1e-12), name
    tied = rng.integers(0, 5, (2, 40)).astype(float)
    assert scores.spearman(*tied) == pytest.approx(stats.spearmanr(*tied).statistic, rel=1e-12)
    y, p = rng.integers(0, 3, 40), rng.dirichlet(np.ones(3), 40)
    y[:3] = 0, 1, 2
    for name, theirs in CLASSES.items():
        assert scores.METRICS[name](np.eye(3)[y], p) == pytest.approx(theirs(y, p), rel=1e-12), name


@pytest.mark.parametrize("rows", [5, 9, 30])
@pytest.mark.parametrize("seed", range(8))
def test_concordance_of_survival_by_its_definition(rows, seed):
    rng = np.random.default_rng(seed)
    time, event, risk = rng.integers(1, 9, rows), rng.integers(0, 2, rows), rng.permutation(rows)
    event[0], risk = 1, risk if seed % 2 else risk % 6
    right = pairs = 0.0
    for i in range(rows):
        for j in range(rows):
            if event[i] and (time[i] < time[j] or (time[i] == time[j] and not event[j])):
                pairs += 1
                right += 1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0.0
    truth = np.column_stack([time, event]).astype(float)
    assert scores.concordance(truth, risk[:, None].astype(float)) == pytest.approx(right / pairs)


def test_what_is_not_defined_is_nan():
    one, values = np.ones(4), np.arange(4.0)
    for name in ("auc", "r2", "pearson", "spearman"):
        assert np.isnan(scores.METRICS[name](one, values)), name
    assert np.isnan(scores.average_precision(np.zeros(4), values))
    assert np.isnan(scores.concordance(one, values))
    assert scores.f1(np.zeros(4), np.zeros(4)) == 0


def test_a_network_s_score():
    net = dagnet.Network(drawn("u"), loss="binary_cross_entropy_with_logits", seed=0)
    y = RNG.integers(0, 2, ROWS).astype(float)
    p = net.predict(X)[:, 0]
    for name, theirs in BINARY.items():
        assert net.score(X, y, name) == pytest.approx(theirs(y.astype(int), p)), name
    assert net.score(X, y, metrics.brier_score_loss) == pytest.approx(((p - y) ** 2).mean())
    gaps = y.copy()
    gaps[::3] = np.nan
    there = ~np.isnan(gaps)
    assert net.score(X, gaps, "auc", missing="skip") == pytest.approx(
        metrics.roc_auc_score(y[there], p[there])
    )
    with pytest.raises(dagnet.DataError, match=r"metrics must be a list of metrics.*did you mean 'auc'"):
        net.score(X, y, "auk")


def test_scores_of_several_heads_are_the_mean_of_those_that_the_metric_is_for():
    graph = drawn("r", "c", "aux")
    graph.nodes["aux"]["target"] = "r"
    said = {"r": "squared_error", "c": "binary_cross_entropy_with_logits"}
    net = dagnet.Network(graph, loss=said, seed=0)
    y = {"r": RNG.normal(size=ROWS), "c": RNG.integers(0, 2, ROWS).astype(float)}
    predicted = dict(zip(net.outputs, net.predict(X).T, strict=True))
    assert net.score(X, y, "auc") == metrics.roc_auc_score(y["c"], predicted["c"])
    assert net.score(X, y, "r2") == pytest.approx(metrics.r2_score(y["r"], predicted["r"]))
    assert net.score(X, y, "r2", of="aux") == pytest.approx(metrics.r2_score(y["r"], predicted["aux"]))
    with pytest.raises(dagnet.DataError, match="of: there is no head 'z'"):
        net.score(X, y, "r2", of="z")
    several = dagnet.Network(drawn("u", "v"), seed=0)
    y = RNG.normal(size=(ROWS, 2))
    assert several.score(X, y, "r2") == pytest.approx(metrics.r2_score(y, several.predict(X)))


def test_fit_records_metrics_and_stopping_knows_that_higher_is_better():
    y = (X[:, 0] > 0).astype(float)
    net = dagnet.Network(drawn("u"), loss="binary_cross_entropy_with_logits", seed=0)
    history = net.fit(X, y, epochs=3, metrics=["auc", metrics.brier_score_loss], seed=0)
    assert list(history) == ["loss", "auc", "brier_score_loss"]
    assert history["auc"][-1] == net.score(X, y, "auc")
    early = dagnet.EarlyStopping(patience=3, monitor="validation_auc")
    history = net.fit(X, y, epochs=9, metrics=["auc"], validation_data=(X[:20], y[:20]), callbacks=[early])
    assert early.best == max(history["validation_auc"])
    assert "auc" not in history
    both = dagnet.Network(drawn("u", "v"), loss=dict.fromkeys("uv", "squared_error"), seed=0)
    history = both.fit(X, np.column_stack([y, -y]), epochs=1, metrics=["r2"])
    assert history["r2"] == [pytest.approx(np.mean([history["r2[u]"], history["r2[v]"]]))]
    for wrong, words in (("auc", "a list"), (["auc", "auc"], "two are called 'auc'"), ([3], "a list")):
        with pytest.raises(dagnet.DataError, match=words):
            net.fit(X, y, metrics=wrong)


def by_class(y, weights):
    from sklearn.utils.class_weight import compute_sample_weight

    return compute_sample_weight(weights, y)


@pytest.mark.parametrize("weights", ["balanced", {0: 1.0, 1: 5.0, 2: 0.5}])
def test_class_weights_are_sample_weights(weights):
    y = RNG.choice(3, ROWS, p=[0.6, 0.3, 0.1])
    for loss, outputs, labels in (
        ("cross_entropy", "abc", y),
        ("binary_cross_entropy_with_logits", "u", (y == 0).astype(float)),
    ):
        one, other = (dagnet.Network(drawn(*outputs), loss=loss, seed=0) for _ in range(2))
        one.fit(X, labels, epochs=3, seed=1, class_weight=weights)
        other.fit(X, labels, epochs=3, seed=1, sample_weight=by_class(labels, weights))
        np.testing.assert_allclose(one.parameters, other.parameters, rtol=1e-12)


def test_class_weights_of_several_heads():
    said = {"u": "binary_cross_entropy_with_logits", "v": "binary_cross_entropy_with_logits", "r": "huber"}
    y = np.column_stack([RNG.random(ROWS) < 0.2, RNG.random(ROWS) < 0.7, RNG.normal(size=ROWS)]).astype(float)
    one, other = (dagnet.Network(drawn("u", "v", "r"), loss=said, seed=0) for _ in range(2))
    one.fit(X, y, epochs=2, seed=1, class_weight="balanced")
    each = np.column_stack([by_class(y[:, 0], "balanced"), by_class(y[:, 1], "balanced"), np.ones(ROWS)])
    other.fit(X, y, epochs=2, seed=1, sample_weight=each)
    np.testing.assert_allclose(one.parameters, other.parameters, rtol=1e-12)
    words = dagnet.Network(drawn("yes", "no"), loss="cross_entropy", seed=0)
    words.fit(X, np.where(y[:, 0] == 1, "yes", "no"), epochs=1, class_weight={"yes": 2.0, "no": 1.0})


@pytest.mark.parametrize(
    ("loss", "said", "words"),
    [
        ("squared_error", "balanced", "class_weight must be for targets that are classes"),
        ("binary_cross_entropy_with_logits", "even", "class_weight must be 'balanced', or a mapping"),
        ("binary_cross_entropy_with_logits", {0: 1.0}, "no weight for class 1 of u"),
        (
            "binary_cross_entropy_with_logits",
            {0: -1.0, 1: 1},
            r"class_weight\[0\] must be .* above 0, got -1",
        ),
    ],
)
def test_wrong_class_weights(loss, said, words):
    y = (X[:, 0] > 0).astype(float)
    with pytest.raises(dagnet.DataError, match=words):
        dagnet.Network(drawn("u"), loss=loss, seed=0).fit(X, y, class_weight=said)


def test_class_weights_of_several_columns_are_refused():
    net = dagnet.Network(drawn("u", "v"), loss="binary_cross_entropy_with_logits", seed=0)
    with pytest.raises(dagnet.DataError, match="give each output a loss of its own"):
        net.fit(X, (X > 0).astype(float), class_weight="balanced")
