"""Activations whose parameters learn: prelu, swish and strangers', on both engines."""

import copy
import pickle
import warnings

import networkx as nx
import numpy as np
import pytest

import dagnet
from dagnet.contracts import Activation
from dagnet.contracts.named import TAKEN
from dagnet.errors import DataError, GraphError, PluginError
from dagnet.topology import fingerprint
from dagnet.topology.attributes import NODE_WORDS
from dagnet.topology.words import REFUSED_ON_NODES

ENGINES = ("reference", "compiled")
BOTH = pytest.mark.parametrize("engine", ENGINES)


def two(z, power, low, high):
    """A fixed parameter and two that learn; the slope on the left and that on the right."""
    return low * np.minimum(z, 0.0) + high * np.maximum(z, 0.0) ** power


TWO = Activation(
    "two_slopes", two, parameters={"power": 1.0}, trainable={"low": 0.1, "high": 1.5}, kinks=(0.0,)
)
SORTED = Activation(  # of sorted numbers there is no formula
    "by_tape", lambda z, by: by * np.tanh(np.sort(z[None], axis=0)[0]), trainable={"by": 0.5}
)


def drawn(**said):
    """Three inputs, five hidden nodes, of which two have several units, one output."""
    graph = nx.DiGraph((f"x{i}", h) for i in range(3) for h in "abcde")
    graph.add_edges_from((h, "y") for h in "abcde")
    graph.nodes["a"].update(activation="prelu", slope=0.4, note="mine", **said)
    graph.nodes["b"].update(activation="swish", units=3, beta=[1.0, -2.0, 3.0], **said)
    graph.nodes["c"].update(activation="prelu", units=2, **said)
    graph.nodes["d"].update(activation=TWO, **said)
    graph.nodes["e"].update(activation="tanh", slope=7.25, beta="text")
    return graph


def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0.2, 1.5, (n, 3)), rng.normal(size=n)


def weight(net, *edge):
    return np.asarray(net.weights[edge]).reshape(-1, 1)


@BOTH
def test_training_is_pytorchs(engine):
    torch = pytest.importorskip("torch")
    graph = drawn()
    graph.remove_nodes_from("de")
    net = dagnet.Network(graph, seed=1, engine=engine)
    X, y = rows(23)
    units = {"a": 1, "b": 3, "c": 2}
    lines, learned, output = {}, {}, torch.nn.Linear(6, 1).double()
    for h, n in units.items():
        lines[h] = torch.nn.Linear(3, n).double()
        w = np.concatenate([weight(net, f"x{i}", h) for i in range(3)], axis=1)
        lines[h].weight.data = torch.tensor(w)
        lines[h].bias.data = torch.tensor(np.atleast_1d(net.biases[h]))
        start = net.node_parameters[h, "beta" if h == "b" else "slope"]
        learned[h] = torch.nn.Parameter(torch.tensor(np.atleast_1d(start)))
    output.weight.data = torch.tensor(np.concatenate([weight(net, h, "y") for h in units]).T)
    output.bias.data = torch.tensor([net.biases["y"]], dtype=torch.float64)
    every = [*learned.values(), *(p for line in (*lines.values(), output) for p in line.parameters())]
    optimizer = torch.optim.SGD(every, lr=0.05)

    def outputs(batch):
        values = {h: lines[h](batch) for h in units}
        for h in "ac":
            values[h] = torch.nn.functional.prelu(values[h], learned[h])
        values["b"] = values["b"] * torch.sigmoid(learned["b"] * values["b"])
        return output(torch.cat([values[h] for h in units], dim=1))[:, 0]

    for _ in range(4):
        for start in range(0, 23, 8):
            optimizer.zero_grad()
            batch = slice(start, start + 8)
            ((outputs(torch.tensor(X[batch])) - torch.tensor(y[batch])) ** 2).mean().backward()
            optimizer.step()
    net.fit(X, y, epochs=4, batch_size=8, optimizer="sgd", learning_rate=0.05, shuffle=False)
    np.testing.assert_allclose(net(X)[:, 0], outputs(torch.tensor(X)).detach().numpy(), rtol=0, atol=1e-12)
    for h, numbers in learned.items():
        ours = np.atleast_1d(net.node_parameters[h, "beta" if h == "b" else "slope"])
        np.testing.assert_allclose(ours, numbers.detach().numpy(), rtol=0, atol=1e-12)


@BOTH
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "said", [{}, {"normalization": "batch(before_activation=True)"}, {"normalization": "batch"}]
)
def test_gradients_are_quotients_and_the_textbooks(engine, dtype, said):
    net = dagnet.Network(drawn(**said), seed=2, engine=engine, dtype=dtype)
    net.plan.verify()
    X, y = rows(70)
    net.fit(X, y, epochs=2, seed=0)
    assert dagnet.verify(net, X, y).passed
    if dtype == "float64":
        net.node_parameters.update({("a", "slope"): -0.7, ("d", "high"): 2.5})
        assert dagnet.check_gradient(net, X, y).passed
        assert dagnet.verify(net, X, y, sample_weight=np.linspace(0.1, 2, 70)).passed
        cut = net.plan.restrict(units=net.plan.needs_delta & (np.arange(net.plan.n_units) > 5))
        cut.verify()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n", [2, 5, 40, 700])
@pytest.mark.parametrize("said", [{}, {"dropout": 0.3}, {"normalization": "batch", "dropout": 0.3}])
def test_engines_and_threads_agree(dtype, n, said):
    X, y = rows(max(n, 40) if "normalization" in said else n)
    near = 1e-10 if dtype == "float64" else 2e-3
    nets = [
        dagnet.Network(drawn(**said), seed=3, engine=engine, dtype=dtype, threads=threads)
        for engine, threads in (("reference", 1), ("compiled", 1), ("compiled", 3))
    ]
    for net in nets:
        net.fit(X, y, epochs=2, seed=4, batch_size=256)
        for other in (nets[0](X), nets[0].gradient(X, y).flat):
            ours = net(X) if other.ndim == 2 else net.gradient(X, y).flat
            np.testing.assert_allclose(ours, other, rtol=near, atol=near)
        np.testing.assert_allclose(net.vector, nets[0].vector, rtol=near, atol=near)


@BOTH
def test_beside_matrix_products(engine):
    graph = dagnet.layered([6, 80, 80, 1], activation="prelu")
    net = dagnet.Network(graph, seed=0, engine=engine)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50, 6)), rng.normal(size=50)
    assert len(net.node_parameters) == 160
    names = [edge for edge in net.edges if edge[1] == net.outputs[0]][:3]
    assert dagnet.check_gradient(net, X, y, wrt=[*names, net.nodes[9], net.nodes[100]]).passed
    assert dagnet.verify(net, X, y).passed
    net.fit(X, y, epochs=1, seed=0)
    assert all(value != 0.25 for value in net.node_parameters.values())


def test_derivatives_by_what_learns():
    z, by = np.linspace(-2, 2, 12).reshape(3, 4), np.array([[0.1], [1.0], [-2.0]])
    for activation, name in ((dagnet.activations()["swish"], "beta"), (SORTED, "by"), (TWO, "high")):
        h = 1e-6
        up, down = (activation.value(z, **{name: by + step}) for step in (h, -h))
        found = activation.slope_by(name, z, **{name: by})
        np.testing.assert_allclose(found, (up - down) / (2 * h), rtol=1e-6, atol=1e-8)
        up, down = (activation.value(z + step, **{name: by}) for step in (h, -h))
        found = activation.slope(z, activation.value(z, **{name: by}), **{name: by})
        np.testing.assert_allclose(found, (up - down) / (2 * h), rtol=1e-6, atol=1e-8)
    assert SORTED.formula is None


@BOTH
def test_what_has_no_formula_learns(engine):
    net = dagnet.Network(dagnet.layered([2, 3, 1], activation=SORTED), seed=0, engine=engine)
    X, y = rows(9)
    assert dagnet.check_gradient(net, X[:, :2], y).passed
    assert dagnet.verify(net, X[:, :2], y).passed


@BOTH
def test_it_goes_where_parameters_go(engine, tmp_path):
    graph = drawn()
    graph.nodes["d"]["activation"] = "swish"  # what is not registered is in no file
    net = dagnet.Network(graph, seed=1, engine=engine)
    net.fit(*rows(30), epochs=3, seed=0)
    net.save(tmp_path / "net.dagnet")
    others = [dagnet.load(tmp_path / "net.dagnet"), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)]
    others.append(dagnet.Network(net.to_networkx()))
    for suffix in ("graphml", "json", "csv", "gexf", "cyjs", "dot"):
        net.export(tmp_path / f"net.{suffix}")
        others.append(dagnet.Network(dagnet.read_graph(tmp_path / f"net.{suffix}")))
    for other in others:
        np.testing.assert_array_equal(other.vector, net.vector)
        assert other.topology.users.nodes == net.topology.users.nodes
        assert fingerprint(other.topology) == fingerprint(net.topology)
        other.parameters[:] = 0.5
        assert other.node_parameters["a", "slope"] == 0.5
    assert net.node_parameters["a", "slope"] != 0.5
    said = net.to_networkx().nodes
    assert said["a"] == {
        "activation": "prelu(slope=0.25)", "bias": net.biases["a"], "note": "mine",
        "slope": net.node_parameters["a", "slope"],
    }  # fmt: skip
    assert said["e"]["slope"] == 7.25
    assert said["e"]["beta"] == "text"
    net.export(tmp_path / "net.html")
    header, *_ = (tmp_path / "net.csv").read_text().splitlines()
    assert "slope" in header.split(",")
    net.node_parameters["a", "slope"] = 3.0
    net.parameters[np.flatnonzero(net.parameters == 3.0)] = np.nan
    for suffix in ("json", "dagnet"):
        with pytest.raises(dagnet.NumericalError, match=r"slope.*finite"):
            (net.save if suffix == "dagnet" else net.export)(tmp_path / f"nan.{suffix}")


@BOTH
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_run_that_was_interrupted_ends_with_the_same_bits(engine, dtype, tmp_path):
    X, y = rows(30)
    whole, first, second = (dagnet.Network(drawn(), seed=1, engine=engine, dtype=dtype) for _ in range(3))
    whole.fit(X, y, epochs=5, seed=7, batch_size=8)
    first.fit(X, y, epochs=2, seed=7, batch_size=8, callbacks=[dagnet.Checkpoint(tmp_path / "run")])
    second.fit(X, y, epochs=5, seed=7, batch_size=8, resume=tmp_path / "run")
    np.testing.assert_array_equal(second.vector, whole.vector)


@BOTH
def test_frozen_nodes_keep_their_numbers(engine):
    net = dagnet.Network(drawn(trainable=False, bias=False), seed=1, engine=engine)
    before = dict(net.node_parameters)
    net.fit(*rows(20), epochs=2, seed=0)
    assert all(np.array_equal(net.node_parameters[name], value) for name, value in before.items())
    again = dagnet.Network(net.to_networkx(), engine=engine)
    np.testing.assert_array_equal(again.trainable, net.trainable)


def test_penalties_leave_it_alone_and_wrt_finds_it():
    net = dagnet.Network(drawn(), seed=1)
    X, y = rows(20)
    asked = net.gradient(X, y, wrt=["c", "a"])
    assert asked.node_parameters["c", "slope"].shape == (2,)
    assert set(asked.node_parameters) == {("a", "slope"), ("c", "slope")}
    assert set(asked.biases) == {"a", "c"}
    plain, penalised = (dagnet.Network(drawn(), seed=1) for _ in range(2))
    plain.fit(X, y, epochs=1, batch_size=20, optimizer="sgd", learning_rate=0.1, seed=0)
    penalised.fit(X, y, epochs=1, batch_size=20, optimizer="sgd", learning_rate=0.1, seed=0, l1=0.1, l2=0.1)
    for name, value in plain.node_parameters.items():
        np.testing.assert_array_equal(penalised.node_parameters[name], value)
    assert (plain.parameters != penalised.parameters).any()


@BOTH
def test_nodes_that_share_share_it(engine):
    graph = nx.DiGraph([("x0", "a"), ("x1", "b"), ("a", "y"), ("b", "y")])
    for h in "ab":
        graph.nodes[h].update(activation="prelu", units=2, slope=[0.1, 0.2], share="both")
    net = dagnet.Network(graph, seed=0, engine=engine)
    X, y = np.random.default_rng(0).normal(size=(9, 2)), np.ones(9)
    gradient = net.gradient(X, y)
    assert dagnet.check_gradient(net, X, y).passed
    assert dagnet.verify(net, X, y).passed
    np.testing.assert_array_equal(
        gradient.node_parameters["a", "slope"], gradient.node_parameters["b", "slope"]
    )
    net.node_parameters["b", "slope"] = 0.7
    assert net.node_parameters["a", "slope"].tolist() == [0.7, 0.7]
    graph.nodes["b"]["slope"] = 0.1
    with pytest.raises(GraphError, match="'b' shares key 'both' with 'a' and must have the same start slope"):
        dagnet.Network(graph)


def test_explanations_have_the_nodes_own_numbers():
    net = dagnet.Network(drawn(), seed=1)
    assert net.formula("a").startswith("a = prelu(slope=0.4)(")
    assert net.formula("b").startswith("b = swish(beta=[3])(")
    x = -np.sign([net.weights[f"x{i}", "a"] for i in range(3)])
    rule = net.trace(("x0", "a"), x, 0.5)
    assert "> 0 else 0.4)" in str(rule)
    assert rule.value == pytest.approx(net.gradient([x], [0.5]).weights["x0", "a"])
    graph = nx.DiGraph([("x", "y")])
    graph.nodes["y"].update(activation="prelu", slope=0.0)
    logits = dagnet.Network(graph, loss="binary_cross_entropy_with_logits")
    assert "bounded" in str(logits.diagnose([[1.0], [2.0]]))
    logits.node_parameters["y", "slope"] = 1.0
    assert "bounded" not in str(logits.diagnose([[1.0], [2.0]]))


def test_names_and_forms():
    assert str(dagnet.activations()["prelu"]) == "prelu(slope=0.25)"
    net = dagnet.Network(dagnet.layered([1, 1, 1], activation="prelu(slope=0.1)"), seed=0)
    (name,) = net.node_parameters
    assert net.node_parameters[name] == 0.1
    assert (net.nodes[-1], "slope") not in net.node_parameters
    with pytest.raises(KeyError, match="has no slope: its activation does not learn it"):
        net.node_parameters[net.nodes[-1], "slope"]
    with pytest.raises(DataError, match="must be a number, got 'steep'"):
        net.node_parameters[name] = "steep"
    assert copy.deepcopy(TWO) == TWO
    assert pickle.loads(pickle.dumps(dagnet.activations()["prelu"])) == dagnet.activations()["prelu"]
    with pytest.raises(TypeError, match="never changes"):
        TWO.trainable["low"] = 3.0


def test_every_word_on_nodes_is_taken():
    assert {*NODE_WORDS, *REFUSED_ON_NODES} <= TAKEN


def prelu(z, slope):
    return np.maximum(z, 0.0) + slope * np.minimum(z, 0.0)


@pytest.mark.parametrize(
    ("function", "given", "message"),
    [
        (prelu, {"bias": 0.1}, "'bias' is a word on nodes, or an argument, already"),
        (prelu, {"slope": "steep"}, "slope must be a finite number, got 'steep'"),
        (prelu, {"slope": float("nan")}, "slope must be a finite number"),
        (prelu, {"slope": [0.1, 0.2]}, "slope must be a finite number"),
        (prelu, ["slope"], "must be a mapping from name to start value"),
        (prelu, {"a slope": 0.1}, "must be a mapping from name to start value"),
        (prelu, {"slope": 0.1, "more": 0.1}, r"must be a function of 3 arguments, \(z, slope, more\)"),
        (lambda z, by: z * by if by > 0 else z, {"by": 0.5}, "np.where for if"),
        (lambda z, by: z * np.mean(by) ** np.size(by), {"by": 0.5}, "as numbers and as arrays"),
    ],
)
def test_what_cannot_be_is_said_at_once(function, given, message):
    with pytest.raises((PluginError, DataError), match=message):
        Activation("mine", function, trainable=given, kinks=(0.0,))


def test_what_cannot_be_in_a_graph():
    with pytest.raises(PluginError, match="'slope' is a parameter already"):
        Activation("mine", prelu, parameters={"slope": 1.0}, trainable={"slope": 1.0})
    for value, message in (("steep", "slope must be a number"), ([1, 2], "a number"), (np.inf, "finite")):
        graph = drawn()
        graph.nodes["a"]["slope"] = value
        with pytest.raises(GraphError, match=f"node 'a': {message}|node 'a': slope must be {message}"):
            dagnet.Network(graph)


def test_the_kit_takes_them():
    from dagnet.testing import check_activation

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("prelu", "swish"):
            check_activation(dagnet.activations()[name])


def test_what_is_made_of_learned_numbers_alone_is_one_number_a_unit():
    made = dagnet.Activation("steep", lambda z, p: np.tanh(np.exp(p) * z), trainable={"p": 0.1})
    graph = nx.DiGraph([("x", "h"), ("h", "y")])
    graph.nodes["h"]["activation"] = made
    nets = [dagnet.Network(graph, engine=engine, seed=0) for engine in ("reference", "compiled")]
    X, y = [[0.5], [-1.0]], [1.0, 0.0]
    one, other = (net.gradient(X, y).flat for net in nets)
    np.testing.assert_allclose(one, other, rtol=1e-12)
    assert dagnet.check_gradient(nets[1], X, y).passed


def test_a_derivative_that_is_right_at_the_start_value_alone_is_refused():
    with pytest.raises(dagnet.PluginError, match="derivative"):
        dagnet.Activation("odd", lambda z, p: np.tanh(p * z), lambda z, a, p: 1 - a * a, trainable={"p": 1.0})
