"""Normalisation and dropout: what training does and prediction does not."""

import copy
import pickle
import threading

import networkx as nx
import numpy as np
import pytest

import dagnet
from dagnet.contracts import Draw
from dagnet.contracts.execution import ThreeCalls
from dagnet.engine.compiled.beginning import BY_MOMENTS
from dagnet.hashing import kept, step_key
from dagnet.plan import training_plan

ENGINES = ("reference", "compiled")


def drawn(**attributes):
    """Three inputs, two hidden nodes that may say something, one output."""
    graph = nx.DiGraph((f"x{i}", h) for i in range(3) for h in "ab")
    graph.add_edges_from([("a", "y"), ("b", "y")])
    graph.nodes["a"].update(activation="tanh", **attributes)
    graph.nodes["b"].update(activation="sigmoid", units=3, **attributes)
    return graph


def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(1.0, 2.0, (n, 3)), rng.normal(size=n)


class ByHand:
    """The same network in NumPy, with batch normalisation written out; numbers by name."""

    def __init__(self, net, *, before):
        self.before, self.net = before, net
        self.running = {h: [net.node_parameters[h, "mean"], net.node_parameters[h, "variance"]] for h in "ab"}

    def hidden(self, h, X, p=None):
        net, act = self.net, {"a": np.tanh, "b": lambda z: 1 / (1 + np.exp(-z))}[h]
        w = np.concatenate([np.reshape(net.weights[f"x{i}", h], (-1, 1)) for i in range(3)], axis=1)
        z = X @ w.T + net.biases[h]
        value = z if self.before else act(z)
        if p is None:
            mean, variance = self.running[h]
        else:
            mean = p @ value
            variance = p @ (value - mean) ** 2
            unbiased = variance / (1 - (p**2).sum())
            for k, new in enumerate((mean, unbiased)):
                self.running[h][k] = self.running[h][k] * 0.9 + 0.1 * new
        x = (value - mean) / np.sqrt(variance + 1e-5)
        y = x * net.node_parameters[h, "scale"] + net.node_parameters[h, "shift"]
        return act(y) if self.before else y

    def __call__(self, X, p=None):
        net = self.net
        a, b = self.hidden("a", X, p), self.hidden("b", X, p)
        return (
            a * net.weights["a", "y"] + (b @ np.reshape(net.weights["b", "y"], (-1, 1)))
        ).ravel() + net.biases["y"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_is_down_the_gradient_of_the_loss_with_the_batchs_moments(engine, before, weighted, tiles):
    said = "batch(before_activation=True)" if before else "batch"
    net = dagnet.Network(drawn(normalization=said), seed=1, engine=engine)
    X, y = rows(11)
    w = np.random.default_rng(3).uniform(0.5, 2, len(X)) if weighted else np.ones(len(X))
    p = w / w.sum()
    start = net.parameters.copy()

    def loss():
        return p @ (ByHand(net, before=before)(X, p) - y) ** 2

    slopes = np.zeros_like(start)
    for place in range(len(start)):
        sides = []
        for sign in (1, -1):
            net.parameters[place] = start[place] + sign * 1e-6
            sides.append(loss())
        net.parameters[place] = start[place]
        slopes[place] = (sides[0] - sides[1]) / 2e-6
    given = w if weighted else None
    net.fit(X, y, epochs=1, batch_size=50, optimizer="sgd", learning_rate=0.1, sample_weight=given, seed=0)
    np.testing.assert_allclose(net.parameters, start - 0.1 * slopes, rtol=0, atol=1e-7)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("before", [False, True])
def test_running_moments_are_kept_and_used_in_prediction(engine, before):
    said = "batch(before_activation=True)" if before else "batch"
    net = dagnet.Network(drawn(normalization=said), seed=1, engine=engine)
    X, y = rows(11)
    hand = ByHand(net, before=before)
    hand(X, np.full(11, 1 / 11))
    net.fit(X, y, epochs=1, batch_size=11, seed=0, optimizer="sgd", learning_rate=0.05, shuffle=False)
    for h in "ab":
        np.testing.assert_allclose(net.node_parameters[h, "mean"], hand.running[h][0], rtol=1e-12)
        np.testing.assert_allclose(net.node_parameters[h, "variance"], hand.running[h][1], rtol=1e-12)
    np.testing.assert_allclose(net(X)[:, 0], hand(X), rtol=1e-12)
    assert dagnet.check_gradient(net, X, y).passed
    assert dagnet.verify(net, X, y).passed


def test_batches_of_equal_moments_as_pytorch():
    torch = pytest.importorskip("torch")
    net = dagnet.Network(drawn(normalization="batch(momentum=0.3, eps=0.001)"), seed=4)
    X, y = rows(22, seed=5)
    hidden = {"a": (1, torch.tanh), "b": (3, torch.sigmoid)}
    weights, norms = [], {}
    for h, (units, _) in hidden.items():
        line = torch.nn.Linear(3, units).double()
        w = np.concatenate([np.reshape(net.weights[f"x{i}", h], (-1, 1)) for i in range(3)], axis=1)
        line.weight.data = torch.tensor(w, dtype=torch.float64)
        line.bias.data = torch.tensor(np.atleast_1d(net.biases[h]), dtype=torch.float64)
        norms[h] = (line, torch.nn.BatchNorm1d(units, momentum=0.3, eps=0.001).double())
        weights += [*line.parameters(), *norms[h][1].parameters()]
    last = torch.nn.Linear(4, 1).double()
    last.weight.data = torch.tensor(
        np.concatenate([np.reshape(net.weights[h, "y"], (1, -1)) for h in "ab"], axis=1)
    )
    last.bias.data = torch.tensor([net.biases["y"]], dtype=torch.float64)
    optimizer = torch.optim.SGD([*weights, *last.parameters()], lr=0.05)

    def outputs(batch):
        parts = [norms[h][1](hidden[h][1](norms[h][0](batch))) for h in "ab"]
        return last(torch.cat(parts, dim=1))[:, 0]

    for _ in range(3):
        for batch in (slice(0, 7), slice(7, 14), slice(14, 22)):  # the lone last row joins the batch before
            optimizer.zero_grad()
            ((outputs(torch.tensor(X[batch])) - torch.tensor(y[batch])) ** 2).mean().backward()
            optimizer.step()
    net.fit(X, y, epochs=3, batch_size=7, optimizer="sgd", learning_rate=0.05, shuffle=False)
    for _, norm in norms.values():
        norm.eval()
    np.testing.assert_allclose(net(X)[:, 0], outputs(torch.tensor(X)).detach().numpy(), rtol=0, atol=1e-12)
    for h, (_, norm) in norms.items():
        for name, theirs in (
            ("scale", norm.weight), ("shift", norm.bias), ("mean", norm.running_mean),
            ("variance", norm.running_var),
        ):  # fmt: skip
            ours = np.atleast_1d(net.node_parameters[h, name])
            np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_frozen_nodes_keep_scale_and_shift_and_move_their_moments(engine):
    net = dagnet.Network(drawn(normalization="batch", trainable=False), seed=1, engine=engine)
    before = net.vector.copy()
    net.fit(*rows(20), epochs=2, seed=0)
    names = [(h, name) for h in "ab" for name in ("scale", "shift")]
    fresh = dagnet.Network(net.to_networkx(), engine=engine)
    for name in names:
        np.testing.assert_array_equal(net.node_parameters[name], {"scale": 1, "shift": 0}[name[1]])
    assert net.node_parameters["a", "mean"] != 0
    np.testing.assert_array_equal(fresh.vector, net.vector)
    assert (before != net.vector).any()


@pytest.mark.parametrize("word", [{"normalization": "batch"}, {"dropout": 0.4}])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_run_that_was_interrupted_ends_with_the_same_bits(word, engine, dtype, tmp_path):
    def net():
        return dagnet.Network(drawn(**word), seed=1, engine=engine, dtype=dtype)

    X, y = rows(30)
    whole, first, second = net(), net(), net()
    path = tmp_path / "run.dagnet"
    whole.fit(X, y, epochs=5, seed=7, batch_size=8)
    first.fit(X, y, epochs=2, seed=7, batch_size=8, callbacks=[dagnet.Checkpoint(path)])
    second.fit(X, y, epochs=5, seed=7, batch_size=8, resume=path)
    np.testing.assert_array_equal(second.vector, whole.vector)


def test_numbers_of_normalisations_go_where_parameters_go(tmp_path):
    net = dagnet.Network(drawn(normalization="batch", dropout=0.25), seed=1)
    net.fit(*rows(30), epochs=3, seed=0)
    net.save(tmp_path / "net.dagnet")
    others = [dagnet.load(tmp_path / "net.dagnet"), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)]
    for suffix in ("graphml", "json", "csv", "gexf", "cyjs", "dot"):
        net.export(tmp_path / f"net.{suffix}")
        others.append(dagnet.Network(dagnet.read_graph(tmp_path / f"net.{suffix}")))
    X = rows(5)[0]
    for other in others:
        np.testing.assert_array_equal(other.vector, net.vector)
        np.testing.assert_array_equal(other(X), net(X))
        other.parameters[:] = 0.5
        assert other.node_parameters["a", "scale"] == 0.5
    assert net.node_parameters["a", "scale"] != 0.5
    assert net.to_networkx().nodes["b"]["normalization"] == "batch"
    assert net.to_networkx().nodes["b"]["dropout"] == 0.25


@pytest.mark.parametrize("word", [{}, {"dropout": 0.4}])
def test_a_normalised_node_that_no_output_reads_is_not_walked_back(word):
    graph = nx.DiGraph([("x", "h"), ("h", "b"), ("b", "c"), ("h", "y")])
    graph.nodes["b"].update(normalization="batch", activation="tanh")
    graph.nodes["h"].update(activation="tanh", **word)
    rng, found = np.random.default_rng(0), []
    X, y = rng.normal(size=(40, 1)), rng.normal(size=(40, 1))
    for engine in ENGINES:
        net = dagnet.Network(graph, outputs=["y"], engine=engine, threads=1, seed=0)
        net.fit(X, y, epochs=3, batch_size=20, seed=0)
        found.append(net)
    np.testing.assert_allclose(found[1].vector, found[0].vector, rtol=1e-12)
    program = found[1].training_runner.program
    (by_moments,) = np.nonzero(program.started == BY_MOMENTS)
    assert (program.indptr_out[by_moments + 1] - program.indptr_out[by_moments] == 1).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_nodes_that_share_have_one_scale_and_shift_and_moments_of_their_own(engine):
    graph = nx.DiGraph([("x0", "a"), ("x1", "b"), ("a", "y"), ("b", "y"), ("x2", "y")])
    for h in "ab":
        graph.nodes[h].update(activation="tanh", normalization="batch", share="towers")
    net = dagnet.Network(graph, seed=1, engine=engine)
    X, y = rows(20)
    gradient = net.gradient(X, y)
    assert dagnet.check_gradient(net, X, y).passed
    assert dagnet.verify(net, X, y).passed
    assert gradient.node_parameters["a", "scale"] == gradient.node_parameters["b", "scale"]
    net.fit(X, y, epochs=3, seed=0)
    for name in ("scale", "shift"):
        assert net.node_parameters["a", name] == net.node_parameters["b", name]
    assert net.node_parameters["a", "scale"] != 1
    assert net.biases["a"] == net.biases["b"]
    assert net.node_parameters["a", "mean"] != net.node_parameters["b", "mean"]
    np.testing.assert_array_equal(dagnet.Network(net.to_networkx()).vector, net.vector)
    graph.nodes["b"]["normalization"] = "batch(eps=0.1)"
    with pytest.raises(dagnet.GraphError, match="must have the same normalization"):
        dagnet.Network(graph)


def test_node_parameters_are_read_and_written_by_name():
    net = dagnet.Network(drawn(normalization="batch"), seed=1)
    net.node_parameters["b", "scale"] = [1.0, 2.0, 3.0]
    np.testing.assert_array_equal(net.node_parameters["b", "scale"], [1, 2, 3])
    assert ("a", "variance") in net.node_parameters
    assert ("y", "scale") not in net.node_parameters
    X, y = rows(9)
    gradient = net.gradient(X, y)
    assert gradient.node_parameters["b", "shift"].shape == (3,)
    assert ("b", "mean") not in gradient.node_parameters
    with pytest.raises(dagnet.DataError, match="variance of 'a' must be at least 0"):
        net.node_parameters["a", "variance"] = -1.0
    with pytest.raises(KeyError, match="'y' has no scale"):
        net.node_parameters["y", "scale"]


# -- dropout -------------------------------------------------------------------------------


def test_masks_are_even_and_independent():
    rate, n = 0.3, 100_000
    mask = kept(step_key(5, 1), np.arange(4, dtype=np.uint64), n, rate)
    values = np.where(mask, 1 / (1 - rate), 0)
    deviation = np.sqrt(rate / (1 - rate) / n)
    assert np.abs(values.mean(axis=1) - 1).max() < 4 * deviation
    np.testing.assert_allclose(values.var(axis=1), rate / (1 - rate), rtol=0.02)
    correlations = np.corrcoef([*mask, *kept(step_key(5, 2), np.arange(4, dtype=np.uint64), n, rate)])
    assert np.abs(correlations - np.eye(8)).max() < 5 / np.sqrt(n)
    rolled = np.corrcoef(mask[0, 1:], mask[0, :-1])[0, 1]
    assert abs(rolled) < 5 / np.sqrt(n)
    assert kept(7, np.arange(3, dtype=np.uint64), 50, 0.0).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_step_is_down_the_gradient_with_the_masks(engine, tiles):
    graph = drawn(dropout=0.5)
    graph.nodes["x1"]["dropout"] = 0.25
    net = dagnet.Network(graph, seed=1, engine=engine)
    X, y = rows(40)
    start = net.parameters.copy()
    plan = training_plan(net.plan)
    rates = dict.fromkeys("ab", 0.5) | {"x1": 0.25}
    net.fit(X, y, epochs=1, batch_size=40, optimizer="sgd", learning_rate=0.1, shuffle=False, seed=9)
    moved = net.parameters.copy()
    seed = int(np.random.default_rng(9).integers(2**63))
    key = step_key(seed, 0)

    def masked(name, values):
        unit = int(net.topology.unit_starts[net.topology.index[name]])
        numbers = unit + np.arange(values.shape[1], dtype=np.uint64)
        return values * kept(key, numbers, len(values), rates[name]).T / (1 - rates[name])

    def loss(parameters):
        net.parameters[:] = parameters
        inputs = X.copy()
        inputs[:, [1]] = masked("x1", X[:, [1]])
        total = np.full(len(X), net.biases["y"])
        for h, act in (("a", np.tanh), ("b", lambda z: 1 / (1 + np.exp(-z)))):
            w = np.concatenate([np.reshape(net.weights[f"x{i}", h], (-1, 1)) for i in range(3)], axis=1)
            values = masked(h, act(inputs @ w.T + net.biases[h]))
            total += (values @ np.reshape(net.weights[h, "y"], (-1, 1)))[:, 0]
        return np.mean((total - y) ** 2)

    for place in range(len(start)):
        step = np.zeros_like(start)
        step[place] = 1e-6
        slope = (loss(start + step) - loss(start - step)) / 2e-6
        assert abs(start[place] - 0.1 * slope - moved[place]) < 1e-7
    assert plan.rates.tolist() == [0, 0.25, 0.5]


def test_prediction_drops_nothing():
    dropped, plain = (dagnet.Network(drawn(**said), seed=1) for said in ({"dropout": 0.9}, {}))
    X, y = rows(8)
    np.testing.assert_array_equal(dropped(X), plain(X))
    assert dropped.evaluate(X, y) == plain.evaluate(X, y)
    np.testing.assert_array_equal(dropped.gradient(X, y).flat, plain.gradient(X, y).flat)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_engines_drop_the_same_values(dtype, tiles):
    graph = drawn(dropout=0.5, normalization="batch")
    X, _ = rows(300)
    nets = [dagnet.Network(graph, seed=1, engine=engine, dtype=dtype, threads=2) for engine in ENGINES]
    found = []
    for net in nets:
        runner = net._prepared.training_runner
        draw = Draw(step_key(3, 4), np.full(300, 1 / 300, dtype))
        state = runner.forward(net.layout.by_slot(net.parameters), X.astype(dtype), draw=draw)
        found.append(state.value(np.arange(net.plan.n_units)))
    one, other = found
    np.testing.assert_array_equal(one == 0, other == 0)
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-12 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("first", [1, 16, 21, 32, 57])
def test_a_mask_is_of_the_rows_place_in_the_batch(engine, dtype, first, tiles):
    net = dagnet.Network(drawn(dropout=0.5), seed=1, engine=engine, dtype=dtype, threads=1)
    X, runner, theta = (
        rows(150)[0].astype(dtype),
        net._prepared.training_runner,
        net.layout.by_slot(net.parameters),
    )
    whole, part = (
        runner.forward(theta, X[start:], draw=Draw(7, np.full(150 - start, 1 / 150, dtype), start)).outputs
        for start in (0, first)
    )
    np.testing.assert_allclose(part, whole[first:], rtol=1e-12 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_several_share_a_batch_and_its_moments(engine, dtype, tiles):
    net = dagnet.Network(drawn(normalization="batch", dropout=0.2), seed=1, engine=engine, dtype=dtype)
    X, y = (array.astype(dtype) for array in rows(90))
    weights = np.random.default_rng(2).uniform(0, 1, 90)
    weights[:20] = 0  # the first has nothing that counts
    shares, theta = (weights / weights.sum()).astype(dtype), net.layout.by_slot(net.parameters)
    cuts = [slice(0, 20), slice(20, 50), slice(50, 90)]
    met, at, found = threading.Barrier(len(cuts)), [None] * len(cuts), [None] * len(cuts)

    def learn(rows, place=0, whole=None):
        gradient = net.objective.gradient_of(net._prepared.training_runner, gaps=False)
        gradient.draw, slots = Draw(7, shares[rows], rows.start, whole), np.empty(net.plan.n_slots, dtype)
        loss, _ = gradient(theta, X[rows], y[rows, None], shares[rows], into=slots)
        found[place] = np.concatenate([[loss], slots])
        return gradient.draw

    def meet(place, sums):
        at[place] = sums
        met.wait(60)
        total = sum(at)
        met.wait(60)
        return total

    draw = learn(slice(0, 90))
    alone, draws = found[0], [None] * len(cuts)

    def run(place):
        draws[place] = learn(cuts[place], place, lambda sums: meet(place, sums))

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(cuts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tolerance = {"rtol": 1e-10, "atol": 1e-13} if dtype == "float64" else {"rtol": 1e-3, "atol": 1e-5}
    np.testing.assert_allclose(sum(found), alone, **tolerance)
    normalized = net.layout.normalized.units
    for one in draws:
        np.testing.assert_allclose(one.mean[normalized], draw.mean[normalized], **tolerance)
        np.testing.assert_allclose(one.variance[normalized], draw.variance[normalized], **tolerance)


def leveled(**words):
    """Six levels of seven nodes, three parents each; one of the third is an output, too."""
    graph = nx.DiGraph()
    for level in range(1, 6):
        for k in range(7):
            graph.add_node((level, k), activation="tanh", **words)
            graph.add_edges_from(((level - 1, (k + step) % 7), (level, k)) for step in (0, 1, 3))
    graph.graph["dagnet"] = {"outputs": [(2, 3), *((5, k) for k in range(7))]}
    return graph


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "words",
    [
        {},
        {"dropout": 0.3},
        {"aggregation": "max"},
        {"normalization": "batch(before_activation=True)"},
        {"activation": dagnet.Activation("by_numpy", lambda z: np.flip(np.flip(np.tanh(z))))},
    ],
)
def test_steps_that_write_over_values_find_the_gradient_of_those_that_keep_them(words, dtype, tiles):
    graph = leveled(normalization="batch")
    for k in range(7):
        graph.nodes[3, k].update(words)
    net = dagnet.Network(graph, seed=1, engine="compiled", dtype=dtype)
    runner, theta = net._prepared.training_runner, net.layout.by_slot(net.parameters)
    X, y = (np.random.default_rng(5).normal(size=(45, n)).astype(dtype) for n in (7, len(net.plan.outputs)))
    shares, found = np.full(45, 1 / 45, dtype), []
    steps = runner.fused_gradient(net.loss), ThreeCalls(runner, net.loss)
    for gradient in (*steps, *steps):
        gradient.draw, slots = Draw(7, shares), np.empty(net.plan.n_slots, dtype)
        loss, _ = gradient(theta, X, y, shares, into=slots)
        found.append(np.append(slots, loss))
    assert 0 < steps[0]._state.shift < net._prepared.training_runner.plan.n_units
    assert np.array_equal(found[0], found[2])
    tolerance = {"rtol": 1e-11, "atol": 1e-14} if dtype == "float64" else {"rtol": 1e-4, "atol": 1e-6}
    np.testing.assert_allclose(found[0], found[1], **tolerance)


# -- dropout in prediction, and the gradient of training ---------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_predictions_with_dropout_are_a_monte_carlo_sample(dtype):
    graph = drawn(dropout=0.5, normalization="batch")
    graph.edges["a", "y"]["dropout"] = 0.25
    nets = [dagnet.Network(graph, seed=1, engine=e, dtype=dtype, threads=t) for e in ENGINES for t in (1, 2)]
    X, y = rows(40)
    nets[0].fit(X, y, epochs=3, seed=0)
    for net in nets[1:]:
        net.vector[:] = nets[0].vector
    many = np.tile(X, (110, 1))  # more than are evaluated at once
    found = [net.predict(many, dropout=True, seed=3) for net in nets]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[2], found[3])
    np.testing.assert_allclose(found[0], found[2], rtol=0, atol=1e-12 if dtype == "float64" else 1e-5)
    np.testing.assert_array_equal(found[0][:2500], nets[0].predict(many[:2500], dropout=True, seed=3))
    assert (nets[2].predict(many, dropout=True, seed=4) != found[2]).mean() > 0.9
    sample = found[0].reshape(110, 40)
    means, deviations = sample.mean(axis=0), sample.std(axis=0) / np.sqrt(110)
    assert (np.abs(means - nets[0].predict(X)[:, 0]) < 5 * deviations).all()  # y is linear in what drops
    plain = dagnet.Network(drawn(), seed=0)
    np.testing.assert_array_equal(plain.predict(X, dropout=True), plain.predict(X))
    with pytest.raises(dagnet.DataError, match="seed must be a whole number"):
        plain.predict(X, dropout=True, seed=-1)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_gradient_of_training_is_checked_with_masks_and_moments(engine):
    graph = drawn(dropout=0.5)
    graph.nodes["a"]["normalization"] = "batch"
    graph.nodes["b"]["normalization"] = "layer"
    graph.nodes["b"]["activation"] = "relu"
    graph.edges["x0", "b"]["dropout"] = 0.25
    graph.edges["x1", "b"]["share"] = graph.edges["x2", "b"]["share"] = "w"
    net = dagnet.Network(graph, seed=1, engine=engine)
    X, y = rows(20)
    net.fit(X, y, epochs=2, seed=0)
    weights = np.random.default_rng(0).uniform(0.5, 2, 20)
    check = dagnet.check_gradient(net, X, y, training=True, seed=5, sample_weight=weights)
    assert check.passed
    assert len(check.numeric) == len(net.parameters)
    other = dagnet.check_gradient(net, X, y, training=True, seed=6, sample_weight=weights)
    assert other.loss != check.loss
    assert dagnet.check_gradient(net, X, y, training=True, wrt=["a", ("x0", "b")]).passed
    start = net.parameters.copy()
    net.fit(X, y, epochs=1, batch_size=20, shuffle=False, optimizer="sgd", learning_rate=0.1, seed=9)
    net.parameters[:], moved = start, (start - net.parameters) / 0.1
    masks = int(np.random.default_rng(9).integers(2**63))
    again = dagnet.check_gradient(net, X, y, training=True, seed=masks)
    np.testing.assert_allclose(again.analytic, moved[again.parameters], rtol=0, atol=1e-12)
    assert again.passed


def test_a_wrong_gradient_of_training_is_found(monkeypatch):
    net = dagnet.Network(drawn(normalization="batch", dropout=0.5), seed=1, engine="reference")
    steps = "dagnet.engine.reference.through_moments"
    monkeypatch.setattr(steps, lambda plan, step, draw, theta, a, d, into: 0 * d[step.targets])
    assert not dagnet.check_gradient(net, *rows(20), training=True).passed


# -- bad input -----------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1, 1.0, -0.1, "0.5", True, np.nan])
def test_a_rate_of_dropout_that_is_none_is_refused(rate):
    with pytest.raises(dagnet.GraphError, match="node 'a': dropout must be a number from 0 up to"):
        dagnet.Network(drawn(dropout=rate))


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ("bach", "unknown normalization 'bach'; did you mean 'batch'"),
        ("batch(0.1)", "of named parameters"),
        ("batch(momentum=2)", "momentum must be a number from 0 to 1"),
        ("batch(eps=0)", "eps must be a finite number above 0"),
        ("batch(affine=True)", "no parameter 'affine'"),
        (5, "node 'a': normalization must be"),
    ],
)
def test_a_normalization_that_is_none_is_refused(said, match):
    with pytest.raises(dagnet.GraphError, match=match):
        dagnet.Network(drawn(normalization=said))


def test_what_cannot_be_normalised_is_refused_by_name():
    graph = drawn()
    graph.nodes["x0"]["normalization"] = "batch"
    with pytest.raises(dagnet.GraphError, match="'x0' is an input and must have no normalization"):
        dagnet.Network(graph)
    net = dagnet.Network(drawn(normalization="batch"), seed=0)
    X, y = rows(5)
    with pytest.raises(
        dagnet.DataError, match=r"'a' is normalised over the rows of a batch.*batch_size is 1"
    ):
        net.fit(X, y, batch_size=1)
    with pytest.raises(dagnet.DataError, match="X has one row; give more"):
        net.fit(X[:1], y[:1])
    graph = drawn(normalization="batch", variance=-1.0)
    with pytest.raises(dagnet.GraphError, match="node 'a': variance must be at least 0"):
        dagnet.Network(graph)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_variance_that_is_infinite_stops_training_and_stays_out_of_the_network(engine):
    graph = nx.DiGraph([("x", "h"), ("h", "y")])
    graph.nodes["h"].update(normalization="batch", activation="identity")
    net = dagnet.Network(graph, dtype="float32", engine=engine, seed=0)
    before = net.vector.copy()
    with pytest.raises(dagnet.NumericalError, match="epoch 1, batch 1"):
        net.fit([[1e20], [-1e20], [3e20], [2e20]], [0.0, 1.0, 2.0, 3.0], epochs=1, batch_size=4)
    np.testing.assert_array_equal(net.vector, before)


def test_a_variance_below_0_is_not_saved(tmp_path):
    net = dagnet.Network(drawn(normalization="batch"), seed=0)
    net.vector[-1] = -5
    with pytest.raises(dagnet.NumericalError, match="variance of 'b'"):
        net.save(tmp_path / "net.dagnet")


def test_what_a_node_learns_or_keeps_is_not_the_users_own_when_it_comes_back():
    graph = nx.DiGraph([("a", "h"), ("b", "h"), ("h", "y")])
    graph.nodes["h"].update(normalization="batch", activation="prelu", mine=3)
    net = dagnet.Network(graph, seed=0)
    assert dagnet.Network(net.to_networkx()).topology.users.nodes == {1: {"mine": 3}}
    assert net.topology.users.nodes == {1: {"mine": 3}}
