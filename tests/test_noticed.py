"""What fit says of a network that learned badly, that its advice helps, and when it is silent."""

import time
import warnings

import networkx as nx
import numpy as np
import pytest

import dagnet
from dagnet import training
from dagnet.explain import noticed
from dagnet.topology import fingerprint

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
Y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2]
SICK, CLASS = (Y > 0).astype(float), np.digitize(Y, [-0.5, 0.5])
COUNTS = RNG.poisson(np.exp(X[:, 0])).astype(float)
LOGITS, CLASSES = "binary_cross_entropy_with_logits", "cross_entropy"


def build(*, out="identity", loss="squared_error", start=None, bias=None, outputs=1, **options):
    graph = dagnet.layered([3, 8, outputs], output_activation=out)
    if start is not None:
        nx.set_edge_attributes(graph, start, "weight")
    for node in graph:
        if bias is not None and graph.in_degree(node) and graph.out_degree(node):
            graph.nodes[node]["bias"] = bias
    return dagnet.Network(graph, **{"loss": loss, "seed": 0, **options})


def train(net, X=X, y=Y, **how):
    """What was said, and the share of the loss that is left, of that of the mean."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net.fit(X, y, **{"epochs": 50, "seed": 0, "progress": False, **how})
    assert {one.category for one in caught} <= {dagnet.DagnetWarning}
    assert {one.filename for one in caught} <= {__file__}
    targets = net.encode(X, y).targets
    best, constant = noticed.ends(net.loss, targets, None) or (0, 1)
    return [str(one.message) for one in caught], (net.evaluate(X, y) - best) / (constant - best)


# How it was built, on what it was trained and how; words of the warning; what is then done otherwise.
STANDARDISE, QUICK = {"standardize": True}, {"learning_rate": 0.01}
DRAWN, LINEAR = {"weight": None}, {"build": {"out": "identity"}}
FAR = X * 1e4 + [0, 5e4, 0]
SCALED = {"y": (Y - Y.mean()) / Y.std()}
BAD = {
    "inputs far away": ({}, {"X": FAR}, "x2 (mean 50400", STANDARDISE),
    "inputs far away, sgd": ({}, {"X": FAR, "optimizer": "sgd"}, "standardize(X)", STANDARDISE),
    "inputs tiny": ({}, {"X": X * 1e-5, **QUICK}, "standardize(X)", STANDARDISE),
    "kelvin": ({}, {"X": X * 5 + 290}, "standardize(X)", STANDARDISE),
    "one large column": ({}, {"X": X * [1, 1, 3000]}, "unscaled: x3 (", STANDARDISE),
    "classes, unscaled": (
        {"loss": CLASSES, "outputs": 3}, {"X": FAR, "y": CLASS}, "standardize(X)", STANDARDISE,
    ),
    "probabilities, saturated": (
        {"loss": "binary_cross_entropy", "out": "sigmoid"}, {"X": X * 1e4, "y": SICK}, "standardize(X)",
        STANDARDISE,
    ),
    "targets of millions": ({}, {"y": Y * 1e6 + 5e6}, "y.std()", SCALED),
    "targets far away": ({}, {"y": Y + 1000}, "y.std()", SCALED),
    "targets tiny": ({}, {"y": Y * 1e-5}, "y.std()", SCALED),
    "huber, far away": ({"loss": "huber"}, {"y": Y + 1000}, "y.std()", SCALED),
    "targets aside": ({}, {"y": Y + 90}, "it still falls: a larger", {"learning_rate": 0.1}),
    "rate far too large": ({}, {"learning_rate": 10}, "a lower learning rate", {"learning_rate": 0.01}),
    "rate too large": ({}, {"learning_rate": 1}, "a lower learning rate", {"learning_rate": 0.01}),
    "adam far too small": ({}, {"learning_rate": 1e-6}, "a larger learning_rate", {"learning_rate": 0.01}),
    "sgd far too small": (
        {}, {"learning_rate": 1e-6, "optimizer": "sgd"}, "a larger learning_rate", QUICK,
    ),
    "gradient clipped away": (
        {}, {"clip_norm": 1e-9, "optimizer": "sgd"}, "a larger clip_norm", {"clip_norm": 1.0},
    ),
    "l2 too large": ({}, {"l2": 100, "learning_rate": 0.01}, "a smaller l1 or l2", {"l2": 0}),
    "l1 too large": ({}, {"l1": 10, "learning_rate": 0.01}, "a smaller l1 or l2", {"l1": 1e-4}),
    "all weights one": ({"start": 1.0}, {"epochs": 200}, "repeated: h12 (relu)", {"build": DRAWN}),
    "all weights zero": ({"start": 0.0}, QUICK, "draw the start weights", {"build": DRAWN}),
    "all units dead": ({"bias": -50.0}, QUICK, "dead: h11 (relu, z", {"build": {"bias": 0.0}}),
    "sigmoid for wide targets": (
        {"out": "sigmoid"}, {"y": Y * 5 + 20}, "gives 0 to 1", LINEAR,
    ),
    "tanh for wide targets": ({"out": "tanh"}, {"y": Y * 5}, "out of reach", LINEAR),
    "relu for targets below 0": ({"out": "relu"}, {"y": Y - 5}, "relu, gives 0 to inf, but", LINEAR),
    "logits of a sigmoid": (
        {"loss": LOGITS, "out": "sigmoid"}, {"y": SICK, "epochs": 200}, "bounded", LINEAR,
    ),
    "logits of a relu": (
        {"loss": LOGITS, "out": "relu"}, {"y": SICK, "epochs": 200}, "bounded", LINEAR,
    ),
    "classes of sigmoids": (
        {"loss": CLASSES, "out": "sigmoid", "outputs": 3}, {"y": CLASS, "epochs": 200}, "bounded",
        LINEAR,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_advice_helps(case):
    built, how, words, mend = BAD[case]
    said, left = train(build(**built), **how)
    assert len(said) == 1, said
    assert words in said[0]
    mend = dict(mend)
    built = {**built, **mend.pop("build", {})}
    _, better = train(build(**built), **{**how, **mend})
    assert better < 0.95 * left


GOOD = {
    "default": ({}, {}),
    "long": ({}, {"epochs": 300}),
    "one row in two": ({}, {"sample_weight": np.arange(200) % 2}),
    "binary": ({"loss": LOGITS}, {"y": SICK, "epochs": 100}),
    "classes": ({"loss": CLASSES, "outputs": 3}, {"y": CLASS, "epochs": 100}),
    "probabilities": ({"loss": "binary_cross_entropy", "out": "sigmoid"}, {"y": SICK, "epochs": 100}),
    "counts": ({"loss": "poisson"}, {"y": COUNTS}),
    "noise": ({}, {"y": RNG.normal(size=200), "epochs": 100}),
    "the same target everywhere": ({}, {"y": np.full(200, 7.0)}),
    "float32": ({"dtype": "float32"}, {}),
    "reference": ({"engine": "reference"}, {}),
    "still falling": ({}, {"y": Y * 5, "learning_rate": 1e-4}),
    "few epochs": ({}, {"X": FAR, "epochs": 5, "optimizer": "adagrad"}),
}


@pytest.mark.parametrize("case", GOOD)
def test_nothing_is_said_of_what_is_fine(case):
    built, how = GOOD[case]
    assert train(build(**built), **how)[0] == []


@pytest.mark.parametrize(
    ("column", "found"),
    [
        (np.arange(1000) == 5, False),
        (np.arange(1000) != 5, False),
        (np.arange(1000) % 2, False),
        (np.arange(1000) % 11, False),
        (np.zeros(1000), False),
        (np.full(1000, 5.0), False),
        (RNG.normal(5.8, 0.8, 1000), False),
        (RNG.normal(0, 50, 1000), False),
        (RNG.normal(0.004, 0.002, 1000), False),
        (RNG.normal(0, 500, 1000), True),
        (RNG.normal(2000, 10, 1000), True),
        (RNG.normal(20, 1, 1000), True),
        (RNG.normal(0, 1e-4, 1000), True),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_columns_that_are_not_standardised(column, found, dtype):
    net = dagnet.Network(dagnet.layered([2, 1]), dtype=dtype, seed=0)
    rows = np.column_stack([RNG.normal(size=1000), column])
    assert net.diagnose(rows).unscaled == (("x2",) if found else ())
    assert net.standardize(rows).diagnose(rows).unscaled == ()


def test_units_of_an_input_are_told_apart():
    graph = nx.DiGraph([("x", "y"), ("v", "y")])
    graph.add_node("v", units=3)
    net = dagnet.Network(graph, seed=0)
    found = net.diagnose(np.column_stack([X[:, 0], X[:, :2], X[:, 2] * 1e4]))
    assert [(one.kind, one.node, one.unit) for one in found.findings] == [("unscaled", "v", 2)]


def test_units_that_repeat_another_and_outputs_that_are_bounded():
    net = build(start=0.5, loss=LOGITS, out="sigmoid")
    found = net.diagnose(X)
    assert found.repeated == tuple(f"h1{number}" for number in range(2, 9))
    assert found.bounded == ("eta",)
    assert build().diagnose(X).repeated == build().diagnose(X).bounded == ()


def test_at_most_one_warning_of_at_most_three_things():
    net = dagnet.Network(dagnet.layered([20, 4, 1]), seed=0)
    said, _ = train(net, RNG.normal(size=(50, 20)) * 1e5, RNG.normal(size=50) * 1e6)
    assert len(said) == 1
    assert "and 17 more" in said[0]
    assert len(said[0]) < 700


def test_a_loss_that_rose_is_told_after_few_steps():
    said, _ = train(build(), FAR, Y, optimizer="sgd", learning_rate=1e-12, epochs=2)
    assert said == []
    how = {"optimizer": "sgd", "epochs": 3}
    said, left = train(dagnet.Network(dagnet.layered([3, 1]), seed=0), X * 20, learning_rate=5e-3, **how)
    assert len(said) == 1
    assert "the loss rose" in said[0]
    assert "a smaller learning_rate" in said[0]
    assert (
        left
        > 1e6 * train(dagnet.Network(dagnet.layered([3, 1]), seed=0), X * 20, learning_rate=5e-4, **how)[1]
    )


def test_a_strange_loss_is_left_alone():
    loss = dagnet.Loss("odd", lambda o, t: np.square(o - t).sum(axis=1), predict=lambda o: o * 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build(loss=loss).fit(FAR, Y, epochs=30, seed=0)


def test_looking_is_cheap():
    net, settings = build(), training.Settings(epochs=50, seed=0)
    many = np.tile(X, (50, 1))
    run = training.TrainingRun(net, many, many[:, 0], settings)
    begun = time.perf_counter()
    run.train()
    trained = time.perf_counter() - begun
    looked = []
    for _ in range(5):
        begun = time.perf_counter()
        noticed.warn_of_fit(net, run, 0)
        looked.append(time.perf_counter() - begun)
    assert min(looked) < 0.02 * max(trained, 1.0)


# -- standardize -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_standardize_sets_mean_and_deviation(dtype):
    graph = nx.DiGraph([("x", "y"), ("v", "y"), ("k", "y")])
    graph.add_node("v", units=2)
    net = dagnet.Network(graph, dtype=dtype, seed=0)
    rows = {"x": FAR[:, 0], "v": FAR[:, 1:], "k": np.full(200, 0.1)}
    parameters, before = net.parameters.copy(), fingerprint(net.topology)
    assert net.standardize(rows) is net
    assert np.array_equal(net.parameters, parameters)
    columns = np.column_stack([FAR, np.full(200, 0.1)])
    assert net.topology.center == pytest.approx(columns.mean(axis=0))
    assert net.topology.scale == pytest.approx([*FAR.std(axis=0), 1.0])
    encoded = net.encode(rows).inputs
    assert encoded.dtype == dtype
    assert np.abs(encoded.mean(axis=0)).max() < 1e-5
    assert (encoded[:, 3] == 0).all()
    again = dagnet.Network(net.to_networkx())
    assert np.array_equal(again(rows), net(rows))
    assert fingerprint(again.topology) == fingerprint(net.topology) != before
    assert np.array_equal(net.standardize(rows)(rows), again(rows))  # twice is once


def test_standardize_is_in_files_and_in_copies_alone(tmp_path):
    from copy import deepcopy

    net = build()
    other = deepcopy(net)
    net.standardize(FAR).save(tmp_path / "net.dagnet")
    assert np.array_equal(dagnet.load(tmp_path / "net.dagnet")(FAR), net(FAR))
    assert not other.topology.center.any()
    trace = net.gradient(FAR[:5], Y[:5]).inputs
    up, down = (net.evaluate(FAR[:5] + step, Y[:5]) for step in (1e-2, -1e-2))
    assert trace.sum() == pytest.approx((up - down) / 2e-2, rel=1e-3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, "text", 1e308])
def test_standardize_refuses_and_changes_nothing(bad):
    net = build()
    rows = FAR.astype(object)
    rows[3, 1] = bad
    with pytest.raises(dagnet.DataError, match="X"):
        net.standardize(rows)
    assert net.topology.scale.tolist() == [1, 1, 1]


def test_fit_standardizes_first_and_not_where_it_refuses():
    one, other = build(), build()
    one.fit(FAR, Y, epochs=3, seed=0, standardize=True, validation_data=(FAR[:9], Y[:9]))
    other.standardize(FAR).fit(FAR, Y, epochs=3, seed=0, validation_data=(FAR[:9], Y[:9]))
    assert np.array_equal(one.parameters, other.parameters)
    assert one.history.to_dict() == other.history.to_dict()
    net = build()
    for wrong in ({"y": Y[:5]}, {"resume": "no such file"}, {"standardize": "yes"}):
        with pytest.raises((dagnet.DataError, OSError)):
            net.fit(**{"X": FAR, "y": Y, "standardize": True, **wrong})
        assert not net.topology.center.any()


def test_a_resumed_run_has_the_same_bits(tmp_path):
    whole, keep = build(), dagnet.Checkpoint(tmp_path / "run.dagnet")
    whole.fit(FAR, Y, epochs=6, seed=0, standardize=True)
    build().fit(FAR, Y, epochs=3, seed=0, standardize=True, callbacks=[keep])
    on = build()
    on.fit(FAR, Y, epochs=6, seed=0, standardize=True, resume=tmp_path / "run.dagnet")
    assert np.array_equal(on.parameters, whole.parameters)
    with pytest.raises(dagnet.DataError, match="centres and scales"):
        build().fit(FAR, Y, epochs=6, seed=0, resume=tmp_path / "run.dagnet")
