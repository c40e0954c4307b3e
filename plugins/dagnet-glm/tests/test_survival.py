"""Cox's coefficients are those of statsmodels, concordance is lifelines', on data that lifelines ships."""

import dagnet_glm
import networkx as nx
import numpy as np
import pytest

import dagnet

RNG = np.random.default_rng(3)
TIES = ["efron", "breslow"]


def drawn(rows=40, longest=8, seed=0):
    rng = np.random.default_rng(seed)
    time, event = rng.integers(0, longest, rows), rng.random(rows) < 0.6
    return rng.normal(size=(rows, 1)), np.column_stack([time, event]).astype(float)


def loss_of(ties):
    return dagnet.losses()["cox"].bind(ties)


def by_the_book(eta, rows, ties):
    """The negative partial log-likelihood, term by term."""
    time, event = rows[:, 0], rows[:, 1] == 1
    total = 0.0
    for t in np.unique(time[event]):
        died, at_risk = (time == t) & event, time >= t
        d = died.sum()
        for place in range(d):
            less = place / d * np.exp(eta[died]).sum() if ties == "efron" else 0.0
            total += np.log(np.exp(eta[at_risk]).sum() - less)
        total -= eta[died].sum()
    return total


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("longest", [1, 3, 8, 10**6])
def test_it_is_the_partial_likelihood(ties, longest):
    eta, rows = drawn(longest=longest)
    loss = loss_of(ties)
    values = loss.row_values(eta, rows)
    assert values.sum() == pytest.approx(by_the_book(eta[:, 0], rows, ties), rel=1e-12)
    assert not values[rows[:, 1] == 0].any()
    two = loss.row_values(np.hstack([eta, 2 * eta]), np.hstack([rows, rows[::-1]]))
    again = loss.row_values(2 * eta, rows[::-1])
    np.testing.assert_allclose(two, values + again)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("longest", [1, 3, 8, 10**6])
def test_the_derivative_is_that_of_central_differences(ties, longest):
    eta, rows = drawn(longest=longest)
    loss, h = loss_of(ties), 1e-5
    gradient = loss.row_gradients(eta, rows)
    for row in range(len(eta)):
        step = h * np.eye(len(eta))[:, row : row + 1]
        ahead, behind = (loss.row_values(eta + s * step, rows).sum() for s in (1, -1))
        assert gradient[row, 0] == pytest.approx((ahead - behind) / (2 * h), rel=1e-7, abs=1e-8)
    assert gradient.sum() == pytest.approx(0.0, abs=1e-12)  # a constant changes nothing


@pytest.mark.parametrize("ties", TIES)
def test_hazards_that_are_no_floats_still_have_a_likelihood(ties):
    eta = np.array([[-5000.0], [5000.0], [0.0], [-9000.0]])
    rows = np.array([[1.0, 1], [2, 1], [3, 1], [4, 1]])
    values, gradient = loss_of(ties).row_values(eta, rows), loss_of(ties).row_gradients(eta, rows)
    np.testing.assert_allclose(values, [10000.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(gradient[:, 0], [-1.0, 1.0, 0.0, 0.0], atol=1e-12)


def linear(columns, **options):
    graph = dagnet.layered([columns, 1])
    graph.nodes["eta"]["bias"] = False
    return dagnet.Network(graph, initializer="zeros", **options)


def standardised(frame):
    X = np.asarray(frame, float)
    return (X - X.mean(axis=0)) / X.std(axis=0)


def breast_cancer():
    frame = pytest.importorskip("lifelines.datasets").load_gbsg2()
    frame = frame.assign(
        horTh=frame["horTh"] == "yes",
        menostat=frame["menostat"] == "Post",
        grade2=frame["tgrade"] != "I",
        grade3=frame["tgrade"] == "III",
    ).drop(columns="tgrade")
    return standardised(frame.drop(columns=["time", "cens"])), frame[["time", "cens"]].to_numpy(float)


def prisoners():
    """In whole weeks: of 114 events most share their time."""
    frame = pytest.importorskip("lifelines.datasets").load_rossi()
    return standardised(frame.drop(columns=["week", "arrest"])), frame[["week", "arrest"]].to_numpy(float)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("load", [breast_cancer, prisoners])
def test_a_linear_graph_has_the_coefficients_of_phreg(load, ties):
    phreg = pytest.importorskip("statsmodels.duration.hazard_regression").PHReg
    X, y = load()
    truth = phreg(y[:, 0], X, status=y[:, 1], ties=ties).fit(disp=0)
    net = linear(X.shape[1], loss=f"cox(ties={ties!r})")
    net.fit(X, y, epochs=50, optimizer="lbfgs", batch_size=len(X), progress=False)
    np.testing.assert_allclose([*net.weights.values()], truth.params, atol=1e-5)
    assert net.evaluate(X, y) * len(X) == pytest.approx(-truth.llf, rel=1e-9)


def test_a_graph_with_hidden_nodes_trains_and_ranks_better_than_chance():
    X, y = breast_cancer()
    net = dagnet.Network(dagnet.layered([X.shape[1], 4, 1], activation="tanh"), loss="cox", seed=0)
    assert dagnet.check_gradient(net, X[:50], y[:50]).passed
    with pytest.warns(dagnet.DagnetWarning, match=r"'cox' couples rows, .*batch_size=686 takes all"):
        net.fit(X, y, epochs=60, batch_size=128, learning_rate=0.01, progress=False)
    assert dagnet_glm.concordance(y, net.predict(X)) > 0.68


def test_what_time_and_event_must_be():
    net, X = linear(2, loss="cox"), RNG.normal(size=(4, 2))
    right = np.array([[1.0, 1], [2, 0], [3, 1], [4, 0]])
    for place, bad, must in (
        ((2, 0), -1.0, r"row 2, .* must be a time, finite and 0 or more for the loss 'cox', got -1\.0"),
        ((1, 0), np.inf, r"row 1, .* must be a time, finite and 0 or more"),
        ((3, 1), 2.0, r"row 3, .* must be 0 or 1 for the loss 'cox', got 2\.0"),
    ):
        y = right.copy()
        y[place] = bad
        with pytest.raises(dagnet.DataError, match=must):
            net.evaluate(X, y)
    for ask in (net.evaluate, net.gradient, net.fit):
        with pytest.raises(dagnet.DataError, match="y: the loss 'cox' needs an event; none of 4 rows has it"):
            ask(X, right * [1, 0])
    with pytest.raises(dagnet.DataError, match=r"y must be of shape \(4, 2\)"):
        net.evaluate(X, right[:, 0])
    with pytest.raises(dagnet.DataError, match="sample_weight: leave it out, as the loss 'cox' couples rows"):
        net.fit(X, right, sample_weight=np.ones(4))
    with pytest.raises(dagnet.DataError, match="loss 'cox': ties must be 'efron' or 'breslow'"):
        linear(2, loss="cox(ties='exact')")


def test_a_batch_without_events_makes_no_step():
    X, (_, y) = RNG.normal(size=(40, 2)), drawn()
    y[:20, 1] = 0
    nets = [linear(2, loss="cox") for _ in range(2)]
    options = {"optimizer": "sgd(weight_decay=0.5)", "epochs": 3, "shuffle": False, "progress": False}
    with pytest.warns(dagnet.DagnetWarning) as said:
        nets[0].fit(X, y, batch_size=20, **options)
    couples, lacks = (str(warning.message) for warning in said)
    assert "couples rows" in couples
    assert "epoch 1, batch 1 lacks an event for the loss 'cox': such batches make no step" in lacks
    nets[1].fit(X[20:], y[20:], batch_size=20, **options)
    np.testing.assert_array_equal(nets[0].parameters, nets[1].parameters)


@pytest.mark.parametrize("seed", range(12))
def test_concordance_is_lifelines(seed):
    index = pytest.importorskip("lifelines.utils").concordance_index
    rng = np.random.default_rng(seed)
    _, y = drawn(rows=60, longest=(5, 30, 10**6)[seed % 3], seed=seed)
    scores = rng.integers(0, 6, 60) if seed % 2 else rng.normal(size=60)
    assert dagnet_glm.concordance(y, scores) == pytest.approx(index(y[:, 0], -scores, y[:, 1]), abs=1e-14)
    assert dagnet_glm.concordance(y, scores[:, None]) == dagnet_glm.concordance(y, scores)


def test_concordance_of_the_fit_on_its_data_is_lifelines():
    index = pytest.importorskip("lifelines.utils").concordance_index
    X, y = breast_cancer()
    net = linear(X.shape[1], loss="cox")
    net.fit(X, y, epochs=50, optimizer="lbfgs", batch_size=len(X), progress=False)
    found = dagnet_glm.concordance(y, net.predict(X))
    assert found == pytest.approx(index(y[:, 0], -net.predict(X)[:, 0], y[:, 1]), abs=1e-12)


def test_concordance_at_its_borders():
    assert np.isnan(dagnet_glm.concordance([[1, 0], [2, 0]], [1.0, 2.0]))
    assert np.isnan(dagnet_glm.concordance([[1, 1]], [[1.0]]))
    assert dagnet_glm.concordance([[1, 1], [1, 0]], [2.0, 1.0]) == 1.0
    # the highest risk of all is one that no event has: only the others are compared with it from below
    y = [[2.3, 0], [0.6, 1], [3.2, 0], [0.1, 1], [0.3, 0]]
    assert dagnet_glm.concordance(y, [-0.3, 1.5, 2.0, 1.8, 1.3]) == pytest.approx(4 / 6)
    for y, scores in (([1, 2], [1, 2]), ([[1, 1], [2, 1]], [1.0]), ([[1, 2], [2, 1]], [1, 2])):
        with pytest.raises(dagnet.DataError, match="concordance: "):
            dagnet_glm.concordance(y, scores)


def test_it_is_one_head_of_several_and_sees_labelled_rows_only():
    """Beside a regression, with missing labels, and a hidden head that learns the same times."""
    graph = nx.DiGraph((f"x{k}", f"h{j}") for k in range(3) for j in range(4))
    graph.add_edges_from((f"h{j}", output) for j in range(4) for output in ("risk", "y", "aux"))
    graph.nodes["aux"].update(target="risk", loss_weight=0.3)
    loss = {"risk": "cox", "y": "huber"}
    net = dagnet.Network(graph, loss=loss, activation="tanh", seed=0)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    times = np.column_stack([rng.exponential(size=60), rng.random(60) < 0.6])
    times[1::4] = np.nan
    y = {"risk": times, "y": np.where(np.arange(60) % 3 == 0, np.nan, rng.normal(size=60))}
    there = ~np.isnan(times[:, 0])
    outputs = dict(zip(net.outputs, net(X).T, strict=True))
    alone = dagnet.losses()["cox"]
    wanted = sum(
        weight * alone.row_values(outputs[name][there, None], times[there]).mean()
        for name, weight in (("risk", 1.0), ("aux", 0.3))
    )
    labelled = ~np.isnan(y["y"])
    distance = np.abs(outputs["y"] - y["y"])[labelled]
    wanted += np.where(distance < 1, distance**2 / 2, distance - 0.5).mean()
    assert net.evaluate(X, y, missing="skip") == pytest.approx(wanted, rel=1e-12)
    assert dagnet.check_gradient(net, X, y, missing="skip").passed
    assert dagnet.verify(net, X, y, missing="skip").passed
    history = net.fit(X, y, epochs=5, batch_size=60, missing="skip", optimizer="lbfgs")
    assert history["loss[risk]"][-1] < history["loss[risk]"][0]
    assert net.score(X, y, "concordance", of="risk", missing="skip") > 0.5
    assert net.trace(("x0", "h1"), X[0], {"risk": [1.0, 1.0], "y": 0.3}).derivatives
