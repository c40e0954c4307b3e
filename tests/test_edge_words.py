"""``factor``, ``bounds``, ``l1``, ``l2`` of edges, ``sign`` and ``share`` of nodes, each by another route."""

import copy
import pickle

import networkx as nx
import numpy as np
import pytest

import dagnet

ENGINES = ["reference", "compiled"]
DTYPES = ["float64", "float32"]
EPS = {"float64": 1e-11, "float32": 2e-4}
both = [pytest.param(engine, dtype, id=f"{engine}-{dtype}") for engine in ENGINES for dtype in DTYPES]
OPTIMIZERS = [
    "sgd",
    "sgd(momentum=0.9, nesterov=True)",
    "adam",
    "adamw(weight_decay=0.1)",
    "rmsprop",
    "adagrad",
]


def data(columns=3, rows=24, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, columns))
    return X, np.sin(X).sum(axis=1)


def synapses(**edge):
    """Three inputs into two units; one gain, under different factors, for three edges."""
    graph = nx.DiGraph()
    graph.add_node("h", activation="tanh", bias=0.1)
    graph.add_node("k", activation="sigmoid", bias=-0.2)
    graph.add_edge("a", "h", factor=3.0, share="gain", **edge)
    graph.add_edge("b", "h", factor=-0.5, share="gain", **edge)
    graph.add_edge("b", "k", share="gain", **edge)
    graph.add_edge("c", "k", factor=7.0)
    graph.add_edge("c", "h")
    graph.add_edge("h", "y")
    graph.add_edge("k", "y", factor=-2.0)
    return graph


def network(graph, engine="auto", dtype="float64", **arguments):
    return dagnet.Network(graph, engine=engine, dtype=dtype, threads=1, **{"seed": 0, **arguments})


# -- factor ------------------------------------------------------------------------------


@pytest.mark.parametrize(("engine", "dtype"), both)
def test_a_weight_is_its_factor_times_the_parameter(engine, dtype):
    net = network(synapses(), engine, dtype)
    gain = net.weights["b", "k"]
    for edge, factor in ((("a", "h"), 3.0), (("b", "h"), -0.5)):
        assert net.weights[edge] == np.dtype(dtype).type(gain) * np.dtype(dtype).type(factor)
    X, y = data()
    w, b = dict(net.weights), dict(net.biases)
    h = np.tanh(X @ [w["a", "h"], w["b", "h"], w["c", "h"]] + b["h"])
    k = 1 / (1 + np.exp(-(X[:, 1] * w["b", "k"] + X[:, 2] * w["c", "k"] + b["k"])))
    eta = w["h", "y"] * h + w["k", "y"] * k + b["y"]
    np.testing.assert_allclose(net(X)[:, 0], eta, rtol=EPS[dtype], atol=EPS[dtype])
    assert dagnet.verify(net, X, y).passed
    assert dagnet.check_gradient(net, X, y).passed


@pytest.mark.parametrize(("engine", "dtype"), both)
def test_gradients_are_what_differences_of_written_weights_give(engine, dtype):
    net = network(synapses(), engine, dtype)
    X, y = data()
    gradient, double = net.gradient(X, y), network(synapses(), engine)
    double.parameters[:] = net.parameters
    for edge in net.edges:
        here, h, losses = double.weights[edge], 1e-5, []
        for moved in (here + h, here - h):
            double.weights[edge] = moved
            losses.append(double.evaluate(X, y))
        double.weights[edge] = here
        expected = (losses[0] - losses[1]) / (2 * h)
        assert gradient.weights[edge] == pytest.approx(
            expected, rel=1e-6 if dtype == "float64" else 1e-3, abs=1e-5
        )
    assert net.trace(("b", "h"), X[0], y[0]).value == pytest.approx(
        net.gradient(X[:1], y[:1]).weights["b", "h"], rel=1e-6
    )


def test_a_trace_adds_up_over_edges_of_different_factors():
    net = network(synapses())
    X, y = data()
    for edge in (("a", "h"), ("b", "h"), ("b", "k")):
        rule = net.trace(edge, X[0], y[0])
        assert sum(path.value for path in rule.paths) == pytest.approx(rule.value, rel=1e-12)
        assert rule.weight == net.weights[edge]
    assert "· -6 · a" in str(net.trace(("b", "h"), X[0], y[0]))


@pytest.mark.parametrize(("engine", "dtype"), both)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_training_moves_the_parameter_as_pytorch_does(engine, dtype, optimizer):
    torch = pytest.importorskip("torch")
    net = network(synapses(), engine, dtype)
    X, y = data()
    gain, c_k, c_h, h_y, k_y = (
        torch.tensor(net.weights[edge] / factor, dtype=torch.float64, requires_grad=True)
        for edge, factor in (
            (("b", "k"), 1), (("c", "k"), 7), (("c", "h"), 1), (("h", "y"), 1), (("k", "y"), -2),
        )
    )  # fmt: skip
    biases = [torch.tensor(net.biases[node], dtype=torch.float64, requires_grad=True) for node in "hky"]
    learned = [gain, c_k, c_h, h_y, k_y, *biases]
    rule = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer](learned, lr=0.01)
    a, b, c = torch.tensor(X).T
    for _ in range(20):
        h = torch.tanh(3 * gain * a - 0.5 * gain * b + c_h * c + biases[0])
        k = torch.sigmoid(gain * b + 7 * c_k * c + biases[1])
        loss = ((h_y * h - 2 * k_y * k + biases[2] - torch.tensor(y)) ** 2).mean()
        rule.zero_grad()
        loss.backward()
        rule.step()
    net.fit(X, y, epochs=20, batch_size=24, optimizer=optimizer, learning_rate=0.01)
    found = [net.weights["a", "h"] / 3, net.weights["c", "k"] / 7, net.weights["k", "y"] / -2]
    expected = [float(one.detach()) for one in (gain, c_k, k_y)]
    np.testing.assert_allclose(found, expected, rtol=10 * EPS[dtype], atol=EPS[dtype])
    assert net.biases["k"] == pytest.approx(float(biases[1].detach()), rel=1e-3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_files_copies_and_graphs_keep_factors(dtype, tmp_path):
    net = network(synapses(), dtype=dtype)
    X, y = data()
    net.fit(X, y, epochs=3, seed=0)
    net.save(tmp_path / "net.dagnet")
    for again in (dagnet.load(tmp_path / "net.dagnet"), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        np.testing.assert_array_equal(again.parameters, net.parameters)
        assert dict(again.weights) == dict(net.weights)
    graph = net.to_networkx()
    weight = 3.0 * float(net.weights["b", "k"])
    assert graph.edges["a", "h"] == {"weight": weight, "factor": 3.0, "share": "gain"}
    rebuilt = dagnet.Network(graph)
    np.testing.assert_array_max_ulp(rebuilt.parameters, net.parameters, 2)
    for name in ("net.graphml", "net.gexf", "net.json", "net.csv"):
        net.export(tmp_path / name)
        read = dagnet.Network(dagnet.read_graph(tmp_path / name))
        np.testing.assert_array_equal(read.parameters, rebuilt.parameters)
    graph.edges["c", "k"]["factor"] = 6.0
    assert dagnet.Network(graph).weights["c", "k"] == pytest.approx(net.weights["c", "k"], rel=1e-6)
    fingerprint = dagnet.topology.fingerprint
    assert fingerprint(dagnet.Network(graph).topology) != fingerprint(net.topology)


def test_given_weights_are_of_the_edge_and_contradictions_are_refused():
    graph = synapses()
    graph.edges["a", "h"]["weight"] = 0.9
    graph.edges["b", "h"]["weight"] = -0.15
    graph.edges["b", "k"]["weight"] = 0.3
    net = network(graph)
    assert net.weights["a", "h"] == pytest.approx(0.9, rel=1e-15)
    assert net.weights["b", "k"] == pytest.approx(0.3, rel=1e-15)
    graph.edges["b", "k"]["weight"] = 0.3 * (1 + 1e-11)
    with pytest.raises(
        dagnet.GraphError, match=r"'b' → 'k' shares key 'gain' with 'a' → 'h'.*weight / factor"
    ):
        network(graph)
    for bad in (0, 0.0, np.inf, "3", True, [1.0, 2.0]):
        graph = nx.DiGraph([("x", "y")])
        graph.edges["x", "y"]["factor"] = bad
        with pytest.raises(dagnet.GraphError, match="factor must be a finite number other than 0"):
            network(graph)
    graph.edges["x", "y"]["factor"] = 1e-60
    with pytest.raises(
        dagnet.GraphError, match="factor of an edge must be finite and other than 0 in float32"
    ):
        network(graph, dtype="float32")


def test_writing_weights_at_once_writes_the_parameters():
    net = network(synapses())
    net.weights.update({("a", "h"): 6.0, ("c", "k"): 14})
    assert net.weights["b", "h"] == -1.0
    assert net.weights["b", "k"] == 2.0
    assert net.parameters[net.layout.weight_places(net.topology.edge_number(("c", "k")))] == 2.0
    before = net.parameters.copy()
    for bad in (np.nan, np.inf, "1", [1.0, 2.0]):
        with pytest.raises(dagnet.DataError, match="weight of"):
            net.weights.update({("c", "h"): 1.0, ("a", "h"): bad})
    np.testing.assert_array_equal(net.parameters, before)


@pytest.mark.parametrize(("engine", "dtype"), both)
def test_matrices_have_one_factor_each(engine, dtype):
    graph = nx.DiGraph()
    graph.add_node("x", units=3)
    graph.add_node("h", units=2, activation="tanh")
    graph.add_edge("x", "h", factor=2.0, weight=np.arange(6.0).reshape(2, 3))
    graph.add_edge("h", "y", factor=-4.0)
    net = network(graph, engine, dtype)
    np.testing.assert_array_equal(net.weights["x", "h"], np.arange(6.0).reshape(2, 3))
    net.weights["x", "h"] = np.full((2, 3), 0.5)
    assert (net.weights["x", "h"] == 0.5).all()
    X, y = data()
    assert dagnet.verify(net, X, y).passed
    assert dagnet.check_gradient(net, X, y).passed


def test_the_initializer_draws_the_parameter():
    graph = nx.DiGraph([("x", "y"), ("z", "y")])
    plain = network(graph)
    graph.edges["x", "y"]["factor"] = 10.0
    scaled = network(graph)
    np.testing.assert_array_equal(scaled.parameters, plain.parameters)
    assert scaled.weights["x", "y"] == 10 * plain.weights["x", "y"]


# -- bounds and signs --------------------------------------------------------------------


@pytest.mark.parametrize(("engine", "dtype"), both)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_step_is_projected(engine, dtype, optimizer):
    """Against the optimizer's own rule on the other parameters, clipped by hand after each step."""
    graph = synapses(bounds=(-0.3, None))
    graph.edges["h", "y"]["bounds"] = (None, 0.1)
    graph.edges["c", "h"].update(bounds=(0, 0.7), trainable=False)
    net = network(graph, engine, dtype)
    free = synapses()
    free.edges["c", "h"]["trainable"] = False
    other = network(free, engine, dtype)
    other.parameters[:] = net.parameters
    X, y = data()
    edges = {("a", "h"): -0.3, ("b", "h"): -0.3, ("b", "k"): -0.3}

    class Project(dagnet.Callback):
        def on_batch_end(self, run):
            low, high = -0.1, 0.6  # of the gain: 3 g ≥ −0.3, −0.5 g ≥ −0.3, g ≥ −0.3
            run.model.weights["b", "k"] = min(max(run.model.weights["b", "k"], low), high)
            run.model.weights["h", "y"] = min(run.model.weights["h", "y"], 0.1)

    arguments = {"epochs": 12, "batch_size": 8, "optimizer": optimizer, "learning_rate": 0.05, "seed": 0}
    one, two = net.fit(X, y, **arguments), other.fit(X, y, **arguments, callbacks=[Project()])
    np.testing.assert_allclose(net.parameters, other.parameters, rtol=1e-3 * EPS[dtype], atol=EPS[dtype])
    np.testing.assert_allclose(one["loss"], two["loss"], rtol=EPS[dtype])
    assert net.weights["h", "y"] <= 0.1
    assert all(net.weights[edge] >= low for edge, low in edges.items())
    assert (
        min(net.weights[edge] - low for edge, low in edges.items()) < 1e-6 or net.weights["h", "y"] > 0.0999
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_weight_at_its_bound_is_inside_to_the_bit(dtype):
    rng = np.random.default_rng(0)
    graph = nx.DiGraph()
    for node in range(200):
        bound, factor = float(rng.normal()), float(rng.normal() * 10.0 ** rng.integers(-3, 3))
        graph.add_edge(node, "y", bounds=(-abs(bound) / 3, abs(bound)), factor=factor)
    net = network(graph, dtype=dtype)
    X = rng.normal(size=(20, 200))
    for sign in (1, -1):
        net.fit(X, sign * 1e3 * X.sum(axis=1), epochs=15, learning_rate=10.0)
        for (node, y), weight in net.weights.items():
            low, high = graph.edges[node, y]["bounds"]
            assert low <= weight <= high
            net.weights[node, y] = high
            assert net.weights[node, y] == pytest.approx(high, rel=1e-6)
            assert net.weights[node, y] <= high


def test_starts_are_inside():
    graph = nx.DiGraph([(f"x{number}", "y") for number in range(100)])
    free = network(graph)
    nx.set_edge_attributes(graph, (-0.05, 0.1), "bounds")
    net = network(graph)
    np.testing.assert_array_equal([*net.weights.values()], np.clip([*free.weights.values()], -0.05, 0.1))
    graph.edges["x0", "y"]["weight"] = 0.2
    with pytest.raises(dagnet.GraphError, match=r"'x0' → 'y': weight must be from -0.05 to 0.1, got 0.2"):
        network(graph)
    graph.edges["x0", "y"].update(weight=0.2, trainable=False)
    with pytest.raises(dagnet.GraphError, match=r"from -0.05 to 0.1, got 0.2"):
        network(graph)


BAD_BOUNDS = [(1, 0), (0,), 3.0, "01", (0, "1"), (np.nan, 1), (np.inf, None), (None, -np.inf), (True, 2.0)]


@pytest.mark.parametrize("bounds", BAD_BOUNDS, ids=str)
def test_bad_bounds_are_refused(bounds):
    graph = nx.DiGraph([("x", "y")])
    graph.edges["x", "y"]["bounds"] = bounds
    with pytest.raises(dagnet.GraphError, match=r"'x' → 'y': bounds must be a pair \(low, high\)"):
        network(graph)


def test_bounds_that_need_a_weight_and_those_without_a_parameter_in_common_are_refused():
    graph = nx.DiGraph([("x", "y"), ("z", "y")])
    graph.edges["x", "y"]["bounds"] = (1, 2)
    with pytest.raises(dagnet.GraphError, match="drawn about 0, which is not from 1 to 2; write weight="):
        network(graph)
    graph.edges["x", "y"]["weight"] = 1.5
    assert network(graph).weights["x", "y"] == 1.5
    graph.edges["x", "y"].update(share="k", factor=2)
    graph.edges["z", "y"].update(share="k", bounds=(None, 0.25), weight=0.75)
    with pytest.raises(dagnet.GraphError) as caught:
        network(graph)
    text = "edges 'x' → 'y' (from 1 to 2) and 'z' → 'y' (at most 0.25) share key 'k', and no weight is"
    assert text in str(caught.value)


def test_writing_a_weight_outside_is_refused_with_both():
    net = network(synapses(bounds=(-1, 1)))
    before = net.parameters.copy()
    for edge, value in ((("a", "h"), 1.5), (("a", "h"), -2), (("b", "k"), 0.5)):  # 3 · 0.5 > 1
        with pytest.raises(dagnet.DataError, match=rf"weight of .* must be from .*, got {float(value)}"):
            net.weights[edge] = value
        with pytest.raises(dagnet.DataError, match="must be from"):
            net.weights.update({("c", "h"): 0.0, edge: value})
    np.testing.assert_array_equal(net.parameters, before)
    net.weights["a", "h"] = 1
    assert net.weights["a", "h"] == 1.0


def test_resumed_and_restored_runs_stay_inside(tmp_path):
    graph = synapses(bounds=(-0.2, 0.2), l1=0.01)
    X, y = data()
    arguments = {"batch_size": 8, "learning_rate": 0.1, "seed": 1}
    whole = network(graph)
    whole.fit(X, y, epochs=12, **arguments)
    part = network(graph)
    checkpoint = dagnet.Checkpoint(tmp_path / "run.dagnet")
    part.fit(X, y, epochs=5, callbacks=[checkpoint], **arguments)
    part.fit(X, y, epochs=12, resume=tmp_path / "run.dagnet", callbacks=[checkpoint], **arguments)
    np.testing.assert_array_equal(part.parameters, whole.parameters)
    best = network(graph)
    best.fit(X, y, epochs=12, callbacks=[dagnet.EarlyStopping(monitor="loss", patience=2)], **arguments)
    assert all(abs(best.weights[edge]) <= 0.2 for edge in (("a", "h"), ("b", "h"), ("b", "k")))


def test_bounds_go_through_files_and_graphs(tmp_path):
    graph = synapses(bounds=(None, 0.25))
    graph.edges["c", "k"].update(bounds=(-1, 1), l1=0.0, l2=0.5)
    graph.nodes["k"].update(sign=1)
    net = network(graph)
    for name in ("net.graphml", "net.gexf", "net.json", "net.csv", "net.dot", "net.dagnet"):
        if name == "net.dagnet":
            net.save(tmp_path / name)
            back = dagnet.load(tmp_path / name)
        else:
            net.export(tmp_path / name)
            back = dagnet.Network(dagnet.read_graph(tmp_path / name))
        out = back.to_networkx()
        assert out.edges["a", "h"]["bounds"] == (None, 0.25)
        assert (out.edges["c", "k"]["bounds"], out.edges["c", "k"]["l1"], out.edges["c", "k"]["l2"]) == (
            (-1, 1),
            0,
            0.5,
        )
        assert "bounds" not in out.edges["c", "h"]
        assert out.nodes["k"]["sign"] == 1
        assert dagnet.topology.fingerprint(back.topology) == dagnet.topology.fingerprint(net.topology)


@pytest.mark.parametrize(("engine", "dtype"), both)
def test_a_sign_bounds_all_that_leaves_a_node(engine, dtype):
    graph = nx.DiGraph([("x", "e"), ("x", "i"), ("e", "y"), ("i", "y"), ("i", "z"), ("e", "z")])
    graph.nodes["e"].update(activation="relu", sign=+1)
    graph.nodes["i"].update(activation="sigmoid", sign=-1)
    graph.edges["e", "y"]["bounds"] = (-3, 0.5)
    graph.edges["i", "z"]["factor"] = -2.0
    net = network(graph, engine, dtype)
    X = np.linspace(-1, 1, 40)[:, None]
    for sign in (1.0, -1.0):
        net.fit(X, sign * np.hstack([X, 3 - X]), epochs=60, learning_rate=0.1)
        assert 0 <= net.weights["e", "y"] <= 0.5
        assert net.weights["e", "z"] >= 0
        assert net.weights["i", "y"] <= 0
        assert net.weights["i", "z"] <= 0
    with pytest.raises(dagnet.DataError, match=r"weight of \('i', 'y'\) must be at most 0, got 1"):
        net.weights["i", "y"] = 1


def test_a_sign_says_where_it_is_not_dale_s_law_and_what_it_must_be():
    graph = nx.DiGraph([("x", "h"), ("h", "k"), ("k", "y")])
    nx.set_node_attributes(
        graph, {"x": {"sign": 1}, "h": {"sign": -1, "activation": "tanh"}, "k": {"sign": 1}}
    )
    with pytest.warns(dagnet.DagnetWarning, match=r"sign of 'x', 'h' bounds .* not Dale's law") as caught:
        network(graph)
    assert len(caught) == 1
    for bad in (0, 2, "+", True, 0.5):
        graph.nodes["k"]["sign"] = bad
        with pytest.raises(dagnet.GraphError, match=r"node 'k': sign must be \+1 or −1"):
            network(graph)
    graph.nodes["k"]["sign"] = 1.0
    graph.edges["k", "y"]["bounds"] = (-2, -1)
    graph.edges["k", "y"]["weight"] = -1.5
    with pytest.raises(
        dagnet.GraphError, match=r"bounds from -2 to -1 and sign \+1 of node 'k' leave nothing"
    ):
        network(graph)


# -- penalties ---------------------------------------------------------------------------


@pytest.mark.parametrize(("engine", "dtype"), both)
@pytest.mark.parametrize("fits", [{}, {"l1": 0.03, "l2": 0.02}])
def test_penalties_of_edges_add_up_over_what_they_share(engine, dtype, fits):
    graph = synapses()
    graph.edges["a", "h"]["l1"] = 0.2
    graph.edges["b", "k"].update(l1=0.1, l2=0.3)
    graph.edges["c", "k"]["l2"] = 0.0
    graph.edges["c", "h"].update(l2=0.7, trainable=False)
    net, X_y = network(graph, engine, dtype), data()
    l1, l2 = fits.get("l1", 0.0), fits.get("l2", 0.0)

    def penalty(w):
        own = 0.2 * abs(w["a", "h"]) + 0.1 * abs(w["b", "k"]) + 0.3 * w["b", "k"] ** 2
        rest = l1 * sum(abs(w[edge]) for edge in (("c", "k"), ("h", "y"), ("k", "y")))
        return own + rest + l2 * sum(w[edge] ** 2 for edge in (("h", "y"), ("k", "y")))

    plain, start = net.gradient(*X_y), dict(net.weights)
    history = net.fit(*X_y, epochs=1, batch_size=24, optimizer="sgd", learning_rate=0.01, **fits)
    assert history["loss"][0] == pytest.approx(plain.loss + penalty(start), rel=10 * EPS[dtype])
    for edge in (("a", "h"), ("b", "k"), ("c", "k"), ("h", "y"), ("k", "y")):
        h, sides = 1e-6, []
        for moved in (h, -h):
            w = {**start, edge: start[edge] + moved}
            if edge in {("a", "h"), ("b", "k")}:
                gain = w[edge] / {"a": 3, "b": 1}[edge[0]]
                w |= {("a", "h"): 3 * gain, ("b", "h"): -0.5 * gain, ("b", "k"): gain}
            sides.append(penalty(w))
        by_weight = (sides[0] - sides[1]) / (2 * h) + plain.weights[edge]
        factor = {("a", "h"): 3, ("c", "k"): 7, ("k", "y"): -2}.get(edge, 1)
        moved = net.weights[edge] - start[edge]
        assert moved == pytest.approx(-0.01 * factor**2 * by_weight, rel=1e-3, abs=1e-6)
    assert net.weights["c", "h"] == start["c", "h"]


def test_a_fit_s_penalty_counts_a_shared_weight_once_and_acts_on_the_weight():
    X, y = data(1)
    graph = nx.DiGraph([("x", "y")])
    graph.edges["x", "y"].update(weight=1.5, factor=3.0)
    net = network(graph)
    history = net.fit(X, y, epochs=1, batch_size=24, l1=0.1, l2=0.2, optimizer="sgd")
    bare = network(graph)
    assert history["loss"][0] == pytest.approx(bare.evaluate(X, y) + 0.1 * 1.5 + 0.2 * 1.5**2, rel=1e-12)
    for bad in (-1, np.inf, "1", None):
        graph.edges["x", "y"]["l1"] = bad
        if bad is None:
            network(graph)
            continue
        with pytest.raises(dagnet.GraphError, match="l1 must be a finite number of at least 0"):
            network(graph)


# -- shared biases -----------------------------------------------------------------------


def twins(units=1, **node):
    graph = nx.DiGraph()
    for name in ("h", "k"):
        graph.add_node(name, activation="tanh", units=units, share=("a", 1), **node)
        graph.add_edges_from([("x", name), (name, "y")])
    return graph


@pytest.mark.parametrize(("engine", "dtype"), both)
@pytest.mark.parametrize("units", [1, 3])
def test_nodes_of_one_key_have_one_bias(engine, dtype, units):
    net = network(twins(units), engine, dtype)
    bias = np.linspace(0.1, 0.3, units) if units > 1 else 0.1
    net.biases["k"] = bias
    np.testing.assert_array_equal(net.biases["h"], np.asarray(bias, dtype))
    free = twins(units)
    for node in ("h", "k"):
        del free.nodes[node]["share"]
    apart = network(free, engine, dtype)
    apart.weights.update(dict(net.weights))
    apart.biases.update(dict(net.biases))
    X, y = data(1)
    np.testing.assert_allclose(net(X), apart(X), rtol=EPS[dtype])
    gradient, by_node = net.gradient(X, y), apart.gradient(X, y).biases
    np.testing.assert_allclose(
        gradient.biases["h"], by_node["h"] + by_node["k"], rtol=10 * EPS[dtype], atol=1e-6
    )
    assert dagnet.verify(net, X, y).passed
    assert dagnet.check_gradient(net, X, y).passed
    assert len(net.parameters) == len(apart.parameters) - units
    net.fit(X, y, epochs=5)
    np.testing.assert_array_equal(net.biases["h"], net.biases["k"])
    assert set(net.gradient(X, y, wrt=["h"]).biases) == {"h", "k"}


def test_shared_biases_go_through_files_and_count_by_group(tmp_path):
    net = network(twins(bias=0.25))
    net.save(tmp_path / "net.dagnet")
    net.export(tmp_path / "net.graphml")
    for back in (dagnet.load(tmp_path / "net.dagnet"), network(dagnet.read_graph(tmp_path / "net.graphml"))):
        np.testing.assert_array_equal(back.parameters, net.parameters)
        assert back.to_networkx().nodes["k"]["share"] == ("a", 1)
    renamed, apart = twins(bias=0.25), twins(bias=0.25)
    for node in ("h", "k"):
        renamed.nodes[node]["share"] = "other"
        del apart.nodes[node]["share"]
    fingerprints = [dagnet.topology.fingerprint(network(one).topology) for one in (twins(), renamed, apart)]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


@pytest.mark.parametrize(
    ("what", "attributes"),
    [("units", {"units": 2}), ("bias or none", {"bias": False}), ("trainable", {"trainable": False}),
     ("start bias", {"bias": 0.5})],
)  # fmt: skip
def test_unlike_nodes_cannot_share(what, attributes):
    graph = twins()
    graph.nodes["k"].update(attributes)
    with pytest.raises(dagnet.GraphError, match=rf"node 'k' shares key \('a', 1\) with 'h' .* same {what}"):
        network(graph)
    graph.nodes["k"]["share"] = ["k"]
    with pytest.raises(dagnet.GraphError, match="node 'k': share must be a hashable key"):
        network(graph)


def test_words_that_mean_something_else_are_left_alone(tmp_path):
    graph = twins()
    graph.nodes["h"].update(sign="activating", share="a story")
    graph.edges["x", "h"].update(bounds="none", factor="tf")
    net = network(graph, attributes=dict.fromkeys(("sign", "share", "bounds", "factor")))
    net.save(tmp_path / "net.dagnet")
    for out in (net.to_networkx(), dagnet.load(tmp_path / "net.dagnet").to_networkx()):
        assert (out.nodes["h"]["sign"], out.nodes["h"]["share"]) == ("activating", "a story")
        assert (out.edges["x", "h"]["bounds"], out.edges["x", "h"]["factor"]) == ("none", "tf")
        np.testing.assert_array_equal(network(out).parameters, net.parameters)
    graph = twins()
    graph.edges["x", "h"]["count"] = 4.0
    assert network(graph, attributes={"factor": "count"}).to_networkx().edges["x", "h"]["factor"] == 4.0


def test_a_group_whose_intervals_meet_in_one_point_is_refused():
    graph = nx.DiGraph()
    graph.add_edge("x", "y", share=1, bounds=(0, None))
    graph.add_edge("z", "y", share=1, factor=-1.0, bounds=(0, None))
    with pytest.raises(dagnet.GraphError, match="one weight alone is inside both"):
        dagnet.Network(graph)
