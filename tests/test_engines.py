"""The conformance suite: every registered engine against the reference engine."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import networkx as nx
import numpy as np
import pytest
from data.engine_conformance import (
    GRAPHS,
    ROWS,
    TILES,
    assert_alike,
    assert_conforms,
    assert_has_both_kinds,
    available,
    pair,
    tiles_of,
)
from data.strategies import dags, network, rows_for, seeds
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import dagnet

ENGINES = available()
DTYPES = ("float64", "float32")
engines = pytest.mark.parametrize("engine", ENGINES)
others = pytest.mark.parametrize("engine", [name for name in ENGINES if name != "reference"])
dtypes = pytest.mark.parametrize("dtype", DTYPES)


def test_the_reference_engine_is_among_them():
    assert "reference" in ENGINES


@others
@dtypes
@given(dags(), seeds, st.sampled_from((1, 2, 15, 63, 64, 65)), st.sampled_from(TILES))
@settings(max_examples=40)
def test_any_graph(engine, dtype, graph, seed, rows, tiles):
    with tiles_of(tiles):
        net, reference = pair(graph, engine, dtype, seed=seed)
        X, y = rows_for(net, rows=rows, seed=seed)
        assert_conforms(net, reference, X, y)


@others
@given(dags(), seeds, st.data())
@settings(max_examples=40)
def test_any_walk(engine, graph, seed, data):
    net, reference = pair(graph, engine, seed=seed)
    X, y = rows_for(net, rows=3, seed=seed)
    edges = list(graph.edges)
    nodes = [node for node in net.biases if not net.topology.has_edge(node)]
    names = [*edges, *nodes]
    wrt = data.draw(st.lists(st.sampled_from(names), unique=True, max_size=4)) if names else []
    weights = np.random.default_rng(seed).uniform(0, 2, 3)
    assert_conforms(net, reference, X, y, wrt=wrt, sample_weight=weights)


@others
@given(dags(), seeds, st.data())
@settings(max_examples=40)
def test_any_restricted_plan(engine, graph, seed, data):
    net = network(graph, engine="reference", seed=seed)
    plan = net.plan
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=plan.n_units, max_size=plan.n_units)))
    cut = plan.restrict(units=kept)
    assume(cut.n_units)
    theta = net.layout.by_slot(net.parameters)[cut.slot_ids]
    inputs = np.random.default_rng(seed).uniform(-1, 1, (5, cut.n_inputs))
    pull = np.random.default_rng(seed + 1).uniform(-1, 1, (5, len(cut.outputs)))
    results = []
    for name in (engine, "reference"):
        runner = dagnet.engines()[name].prepare(cut, dtype=np.dtype("float64"), threads=1)
        state = runner.forward(theta, inputs)
        into = np.full(cut.n_slots, 7.0)
        runner.backward(theta, state, pull, into=into)
        units = np.arange(cut.n_units)
        results.append([into, state.value(units), state.pre_activation(units), state.delta(units)])
    for got, wanted in zip(*results, strict=True):
        assert_alike(got, wanted, "float64", "restricted plan")


@others
@dtypes
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("name", GRAPHS)
def test_dense_steps(engine, dtype, rows, name):
    net, reference = pair(GRAPHS[name](), engine, dtype)
    assert_has_both_kinds(net.plan)
    X, y = rows_for(net, rows=rows, seed=0)
    assert_conforms(net, reference, X, y)


@others
@pytest.mark.parametrize("name", GRAPHS)
def test_dense_steps_walked_in_part(engine, name):
    graph = GRAPHS[name]()
    net, reference = pair(graph, engine)
    X, y = rows_for(net, rows=65, seed=0)
    edges = list(graph.edges)
    for wrt in ([edges[0]], [edges[-1]], edges[1::5], [*net.biases][::7]):
        assert_conforms(net, reference, X, y, wrt=wrt)


@others
@pytest.mark.parametrize("name", GRAPHS)
def test_dense_steps_cut(engine, name):
    net = network(GRAPHS[name](), engine="reference")
    plan, theta = net.plan, net.layout.by_slot(net.parameters)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        cut = plan.restrict(units=rng.random(plan.n_units) < 0.7)
        inputs, pull = rng.uniform(-1, 1, (7, cut.n_inputs)), rng.uniform(-1, 1, (7, len(cut.outputs)))
        results = []
        for other in (engine, "reference"):
            runner = dagnet.engines()[other].prepare(cut, dtype=np.dtype("float64"), threads=2)
            state = runner.forward(theta[cut.slot_ids], inputs)
            into = np.empty(cut.n_slots)
            runner.backward(theta[cut.slot_ids], state, pull, into=into)
            results.append([into, state.value(np.arange(cut.n_units))])
        for got, wanted in zip(*results, strict=True):
            assert_alike(got, wanted, "float64", "restricted plan")


@others
@dtypes
@pytest.mark.parametrize("rows", ROWS)
def test_row_counts_and_threads(engine, dtype, rows):
    graph = nx.gnp_random_graph(60, 0.2, seed=3, directed=True)
    graph = nx.DiGraph((u, v) for u, v in graph.edges if u < v)
    nx.set_node_attributes(
        graph, {k: "tanh" if k % 2 else "relu" for k in graph if graph.in_degree(k)}, "activation"
    )
    for threads in (1, 2):
        net, reference = pair(graph, engine, dtype, seed=0, threads=threads)
        X, y = rows_for(net, rows=rows, seed=rows)
        assert_conforms(net, reference, X, y)
        again = net.gradient(X, y)
        assert again.flat.tobytes() == net.gradient(X, y).flat.tobytes()


@engines
@dtypes
def test_nan_and_infinities_propagate(engine, dtype):
    graph = nx.DiGraph()
    graph.add_node("grown", activation="exp")
    graph.add_node("zeroed", activation="identity")
    graph.add_node("rectified", activation="relu")
    graph.add_node("bounded", activation="sigmoid")
    graph.add_node("apart", activation="tanh")
    graph.add_weighted_edges_from(
        [
            *(("x", "grown", 500.0), ("grown", "zeroed", 0.0), ("grown", "rectified", -1.0)),
            *(("grown", "bounded", 1.0), ("u", "apart", 1.0), ("zeroed", "y1", 1.0)),
            *(("rectified", "y2", 1.0), ("bounded", "y3", 1.0), ("apart", "y4", 1.0), ("grown", "y5", 1.0)),
        ]
    )
    net, reference = pair(graph, engine, dtype)
    X = np.array([[2.0, 1.0], [-2.0, 1.0], [0.001, -1.0], [5.0, np.inf]])
    y = np.zeros((4, 5))
    assert np.isnan(reference.forward(X)["zeroed"]).tolist() == [True, False, False, True]
    assert_conforms(net, reference, X, y)
    assert_conforms(net, reference, X[1:3], y[1:3])


@others
@pytest.mark.parametrize("name", GRAPHS)
def test_nan_propagates_through_dense_steps(engine, name):
    net, reference = pair(GRAPHS[name](), engine)
    X, y = rows_for(net, rows=3, seed=0)
    X[1, 0] = np.inf
    ours, theirs = net.forward(X), reference.forward(X)
    for node in net.nodes:
        assert (np.isnan(ours[node]) == np.isnan(theirs[node])).all()
    one, two = net.gradient(X, y).flat, reference.gradient(X, y).flat
    assert (np.isnan(one) == np.isnan(two)).all()


@others
@dtypes
@pytest.mark.parametrize("rows", [5, 63, 1000])
@pytest.mark.parametrize("name", GRAPHS)
def test_what_memory_held_before_makes_no_difference(engine, dtype, rows, name):
    net, reference = pair(GRAPHS[name](), engine, dtype)
    X, y = rows_for(net, rows=rows, seed=0)
    wanted = reference.gradient(X, y).flat
    for size in (10_000, 100_000):
        junk = [np.full(size, np.nan, dtype) for _ in range(20)]
        del junk  # what is allocated next is likely to find NaN there
        assert_alike(net.gradient(X, y).flat, wanted, dtype, "gradient")


@engines
def test_results_belong_to_the_caller(engine):
    net = network(GRAPHS["wide layers"](), engine=engine)
    X, y = rows_for(net, rows=65, seed=0)
    other, _ = rows_for(net, rows=65, seed=1)
    outputs, forward, gradient = net(X), net.forward(X), net.gradient(X, y)
    kept = outputs.copy()
    value, z, flat = forward["h11"].copy(), forward.pre_activation("h12").copy(), gradient.flat.copy()
    inputs = network(GRAPHS["wide layers"](), engine="reference").gradient(X, y).inputs
    net(other), net.forward(other), net.gradient(other, y)
    X[:] = 3
    net.parameters[:] = 0.5
    assert (outputs == kept).all()
    assert (forward["h11"] == value).all()
    assert (forward.pre_activation("h12") == z).all()
    assert (gradient.flat == flat).all()
    assert_alike(gradient.inputs, inputs, "float64", "inputs")
    for array in (outputs, forward.outputs, forward["h11"], gradient.flat, gradient.inputs):
        array[...] = 1
    assert net(other).shape == outputs.shape


@engines
def test_one_network_serves_several_threads(engine):
    net = network(GRAPHS["gathered blocks"](), engine=engine)
    data = [rows_for(net, rows=50 + k, seed=k) for k in range(8)]
    wanted = [net.gradient(X, y).flat for X, y in data]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            got = list(pool.map(lambda item: net.gradient(*item).flat, data))
            assert all((one == two).all() for one, two in zip(got, wanted, strict=True))


@engines
@dtypes
def test_a_state_can_give_its_memory_away(engine, dtype):
    net = network(GRAPHS["gathered blocks"](), engine=engine, dtype=dtype)
    first, second = (net.encode(rows_for(net, rows=40, seed=k)[0]).inputs for k in range(2))
    theta = net.layout.by_slot(net.parameters)
    wanted = net.runner.forward(theta, second).outputs
    state = net.runner.forward(theta, first)
    again = net.runner.forward(theta, second, reuse=state)
    assert (again.outputs == wanted).all()
    fewer = net.runner.forward(theta, second[:7], reuse=again)
    assert_alike(fewer.outputs, wanted[:7], dtype, "fewer rows")
    assert_alike(net.runner.forward(theta, second, keep=False).outputs, wanted, dtype, "keep=False")


@engines
def test_copies_and_pickles_run_on_the_same_engine(engine):
    net = network(GRAPHS["wide layers"](), engine=engine)
    X, _ = rows_for(net, rows=5, seed=0)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other.engine == engine
        assert (other(X) == net(X)).all()


@engines
def test_no_rows_are_refused(engine):
    net = network(GRAPHS["wide layers"](), engine=engine)
    with pytest.raises(dagnet.DataError, match="at least one row"):
        net(np.zeros((0, 6)))


@engines
def test_constants_only(engine):
    """No inputs at all, and outputs that are inputs."""
    graph = nx.DiGraph([("c", "y")])
    graph.nodes["c"].update(bias=2.0, activation="square")
    graph.edges["c", "y"]["weight"] = 3.0
    net, reference = pair(graph, engine, inputs=[])
    assert (net(np.zeros((4, 0))) == 12.0).all()
    assert_conforms(net, reference, np.zeros((4, 0)), np.ones(4))
    net, reference = pair(nx.DiGraph([("x", "y")]), engine, outputs=["x", "y"], seed=1)
    assert_conforms(net, reference, np.ones((3, 1)), np.ones((3, 2)))


def _fitted(graph, X, y, engine, **more):
    """Parameters and losses of a short fit by steps down the gradient."""
    net = dagnet.Network(graph, engine=engine, seed=0, loss=more.pop("loss", None))
    options = {"epochs": 20, "batch_size": 64, "learning_rate": 0.05, "optimizer": "sgd", "shuffle": False}
    return [*net.fit(X, y, progress=False, **options, **more)["loss"], *net.parameters]


def test_scales_of_frozen_nodes_take_nobodys_place():
    """A normalised node whose parents need no derivative is not walked: its scale has no place there."""
    graph = nx.DiGraph([("x2", "b"), ("b", "y"), ("x0", "a"), ("a", "y")])
    for node in "ab":
        graph.nodes[node].update(normalization="batch", activation="tanh")
    graph.nodes["a"]["trainable"] = graph.edges["x0", "a"]["trainable"] = False
    X = np.random.default_rng(0).normal(size=(9, 2))
    found = [_fitted(graph, X, X.sum(1), engine) for engine in ("compiled", "reference")]
    np.testing.assert_allclose(*found, rtol=1e-12)


def test_an_activation_joins_its_own_sums_alone():
    """Behind b's sums stand those of the normalised c, as many, and only then b's activation."""
    graph = nx.DiGraph(
        [("x1", "a"), ("a", "b"), ("x3", "c"), ("x0", "d"), ("b", "y"), ("c", "y"), ("d", "y")]
    )
    graph.nodes["c"]["normalization"] = "batch"
    graph.nodes["d"].update(normalization="layer", units=3)
    X = np.random.default_rng(0).normal(size=(9, 3))
    found = [_fitted(graph, X, X.sum(1), engine) for engine in ("compiled", "reference", "compiled")]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)
    assert found[0] == found[2]


@pytest.mark.parametrize("outlier", [1e3, 1e9])
def test_moments_start_from_a_row_that_counts(outlier):
    graph = nx.DiGraph([("x", "h"), ("h", "y")])
    graph.nodes["h"].update(normalization="batch", activation="identity")
    X = np.random.default_rng(0).normal(size=(64, 1))
    X[0], weights = outlier, np.ones(64)
    weights[0] = 0
    found = [
        _fitted(graph, X, X[:, 0].clip(-3, 3), e, sample_weight=weights) for e in ("compiled", "reference")
    ]
    np.testing.assert_allclose(*found, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("heads", [1, 2])
def test_a_row_of_weight_0_counts_nothing_whatever_its_loss(heads):
    """exp of its output overflows; engines, fit, evaluate, gradient agree, and with the rows that count."""
    growing = dagnet.Loss("growing", lambda o, t: (np.exp(o) - t * o).sum(axis=1))
    graph = nx.DiGraph([("x", "y1"), ("x", "y2")][:heads])
    nx.set_edge_attributes(graph, 0.5, "weight")
    X, weights = np.array([[1.0], [2.0], [1e5]]), np.array([1.0, 1.0, 0.0])
    y = dict.fromkeys(["y1", "y2"][:heads], np.array([1.0, 2.0, 3.0]))
    found = []
    for engine in ("compiled", "reference"):
        for rows in (slice(3), slice(2)):
            loss = {"y1": growing, "y2": "squared_error"} if heads == 2 else growing
            net = dagnet.Network(graph, loss=loss, engine=engine, seed=0)
            some, w = {name: column[rows] for name, column in y.items()}, weights[rows]
            gradient = net.gradient(X[rows], some, sample_weight=w)
            numbers = [net.evaluate(X[rows], some, sample_weight=w), gradient.loss, *gradient.flat]
            fitted = _fitted(graph, X[rows], some, engine, loss=loss, sample_weight=w)
            found.append([*numbers, *fitted])
    np.testing.assert_allclose(found, [found[0]] * 4, rtol=1e-12)
