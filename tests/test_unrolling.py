"""Graphs through time: against a recurrence written out in NumPy, and PyTorch's gradients of one."""

import time

import networkx as nx
import numpy as np
import pytest

import dagnet

ENGINES = ["reference", "compiled"]
DTYPES = ["float64", "float32"]
TICKS = 6


def recurrent(loops=(1,)):
    """Two inputs, three units in cycles with delays 0, 1 and 3, and an output."""
    graph = nx.DiGraph()
    graph.add_nodes_from(["u", "v"])
    graph.add_node("a", activation="tanh", bias=0.3)
    graph.add_node("b", activation="sigmoid", bias=-0.2)
    graph.add_node("c", activation="softplus", bias=0.1)
    graph.add_node("y", bias=0.05)
    graph.add_edge("u", "a", delay=0, weight=0.7)
    graph.add_edge("v", "b", weight=-0.4)
    graph.add_edge("a", "b", delay=0, weight=0.9)
    graph.add_edge("b", "c", delay=3, weight=-1.1)
    graph.add_edge("c", "a", delay=1, weight=0.6)
    graph.add_edge("b", "a", weight=0.5)
    graph.add_edge("a", "a", delay=3, weight=-0.8)
    graph.add_edge("v", "y", delay=3, weight=1.3)
    graph.add_edge("b", "y", delay=0, weight=1.7)
    graph.add_edge("c", "y", delay=0, weight=-0.3)
    return graph


def recurrence(weights, biases, x, library=np):
    """Values by (node, tick), for x[name][tick]; what comes from before tick 0 is 0."""
    sigmoid, softplus = (lambda z: 1 / (1 + library.exp(-z))), (lambda z: library.log(1 + library.exp(z)))
    value = {}

    def of(node, tick):
        return value[node, tick] if tick >= 0 else 0.0

    for t in range(TICKS):
        value["u", t], value["v", t] = x["u"][t], x["v"][t]
        terms = weights["u", "a"] * of("u", t) + weights["c", "a"] * of("c", t - 1)
        terms = terms + weights["b", "a"] * of("b", t - 1) + weights["a", "a"] * of("a", t - 3)
        value["a", t] = library.tanh(terms + biases["a"])
        terms = weights["v", "b"] * of("v", t - 1) + weights["a", "b"] * of("a", t)
        value["b", t] = sigmoid(terms + biases["b"])
        value["c", t] = softplus(weights["b", "c"] * of("b", t - 3) + biases["c"])
        terms = weights["v", "y"] * of("v", t - 3) + weights["b", "y"] * of("b", t)
        value["y", t] = terms + weights["c", "y"] * of("c", t) + biases["y"]
    return value


def columns(rows=20, seed=0):
    X = np.random.default_rng(seed).normal(size=(rows, 2 * TICKS))
    return X, {"u": X[:, 0::2].T, "v": X[:, 1::2].T}


def learned(graph):
    weights = {edge: said["weight"] for *edge, said in graph.edges(data=True) for edge in [tuple(edge)]}
    return weights, {node: graph.nodes[node]["bias"] for node in "abcy"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("engine", ENGINES)
def test_values_are_those_of_the_recurrence(engine, dtype):
    graph = recurrent()
    unrolled = dagnet.unroll(graph, TICKS, inputs=["u", "v"], outputs=dict.fromkeys("ya", range(TICKS)))
    net = dagnet.Network(unrolled, engine=engine, dtype=dtype)
    assert net.inputs == tuple((name, tick) for tick in range(TICKS) for name in "uv")
    assert net.outputs == tuple((name, tick) for tick in range(TICKS) for name in "ya")
    X, x = columns()
    value = recurrence(*learned(graph), x)
    expected = np.stack([value[moment] for moment in net.outputs], axis=1)
    np.testing.assert_allclose(net(X), expected, rtol=1e-12 if dtype == "float64" else 1e-4, atol=1e-5)
    forward = net.forward(X)
    for node in unrolled:
        np.testing.assert_allclose(forward[node], np.broadcast_to(value[node], (20,)), rtol=1e-4, atol=1e-5)
    assert len(net.parameters) == graph.number_of_edges() + 4
    assert dagnet.verify(net, X, expected).passed


@pytest.mark.parametrize("engine", ENGINES)
def test_gradients_and_training_are_those_of_a_recurrent_net_in_pytorch(engine):
    torch = pytest.importorskip("torch")
    graph = recurrent()
    net = dagnet.Network(dagnet.unroll(graph, TICKS, inputs=["u", "v"], outputs=["y"]), engine=engine)
    X, x = columns()
    y = np.sin(X.sum(axis=1))
    weights, biases = (
        {name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in part.items()}
        for part in learned(graph)
    )
    x = {name: torch.tensor(np.ascontiguousarray(values)) for name, values in x.items()}
    everything = [*weights.values(), *biases.values()]
    rule = torch.optim.SGD(everything, lr=0.05)
    for epoch in range(8):
        loss = ((recurrence(weights, biases, x, torch)["y", TICKS - 1] - torch.tensor(y)) ** 2).mean()
        rule.zero_grad()
        loss.backward()
        gradient = net.gradient(X, y)
        assert gradient.loss == pytest.approx(loss.item(), rel=1e-9)
        for u, v in graph.edges:
            late = graph.edges[u, v].get("delay", 1)
            found = [gradient.weights[(u, t), (v, t + late)] for t in range(TICKS - late)]
            assert found == pytest.approx([float(weights[u, v].grad)] * len(found), rel=1e-9, abs=1e-12), (
                epoch
            )
        for node in "abc":
            assert gradient.biases[node, 2] == pytest.approx(float(biases[node].grad), rel=1e-9)
        rule.step()
        net.fit(X, y, epochs=1, batch_size=20, optimizer="sgd", learning_rate=0.05)
    assert net.weights[("a", 1), ("b", 1)] == pytest.approx(float(weights["a", "b"].detach()), rel=1e-9)
    assert dagnet.check_gradient(net, X, y).passed


def test_a_copy_without_terms_is_a_constant_with_the_activation_of_the_others():
    graph = nx.DiGraph([("x", "h"), ("h", "h"), ("h", "y")])
    graph.edges["h", "y"]["delay"] = 0
    unrolled = dagnet.unroll(graph, 4, inputs=["x"], outputs=["y"])
    net = dagnet.Network(unrolled, activation="tanh", seed=0)
    net.biases["h", 1] = 0.5
    assert net.biases["h", 0] == 0.5
    forward = net.forward(np.ones((1, 4)))
    assert forward["h", 0][0] == pytest.approx(np.tanh(0.5))
    assert net.topology.role(net.topology.node_number(("h", 0))) == "constant"
    for tick in range(4):  # an output is identity at every tick
        assert forward["y", tick][0] == pytest.approx(
            net.weights[("h", 0), ("y", 0)] * forward["h", tick][0] + net.biases["y", 0]
        )
    again = dagnet.Network(net.to_networkx())
    np.testing.assert_array_equal(again(np.ones((1, 4))), net(np.ones((1, 4))))


def test_a_leaky_integrator_is_a_linear_state_beside_an_activation():
    graph = nx.DiGraph()
    graph.add_node("state", activation="identity", bias=False)
    graph.add_node("rate", activation="tanh", bias=False)
    graph.add_edge("state", "state", weight=0.9, trainable=False)
    graph.add_edge("state", "rate", weight=1.0, trainable=False, delay=0)
    graph.add_edge("x", "state", weight=0.1, delay=0)
    graph.add_edge("rate", "state", weight=0.25)
    ticks, X = 30, np.random.default_rng(1).normal(size=(7, 30))
    net = dagnet.Network(dagnet.unroll(graph, ticks, inputs=["x"], outputs=["rate"]), seed=0)
    state = rate = np.zeros(7)
    for t in range(ticks):
        state = 0.9 * state + 0.1 * X[:, t] + 0.25 * rate
        rate = state if t == ticks - 1 else np.tanh(state)
    assert graph.nodes["rate"]["activation"] == "tanh"
    np.testing.assert_allclose(net(X)[:, 0], np.tanh(rate), rtol=1e-12)
    net.fit(X, X.mean(axis=1), epochs=5, learning_rate=0.01)
    assert net.weights[("state", 0), ("state", 1)] == 0.9
    assert net.weights[("x", 3), ("state", 3)] == net.weights[("x", 9), ("state", 9)] != 0.1


def test_keys_of_the_graph_join_what_they_joined_and_attributes_are_copied():
    graph = nx.DiGraph(
        [("x", "h"), ("x", "k"), ("h", "k"), ("k", "h"), ("h", "y"), ("k", "y")], name="a circuit"
    )
    graph.edges["x", "h"].update(share="in", factor=2.0, weight=1.0, bounds=(0, 3), why="measured")
    graph.edges["x", "k"].update(share="in", factor=3.0, weight=1.5)
    graph.nodes["h"].update(share="b", activation="relu", sign=1, layer=4)
    graph.nodes["k"].update(share="b")
    graph.graph["dagnet"] = {"loss": "huber", "dtype": "float32"}
    before = {node: dict(said) for node, said in graph.nodes(data=True)}
    unrolled = dagnet.unroll(graph, 3, inputs=["x"], outputs=["y"])
    assert unrolled.graph["name"] == "a circuit"
    assert unrolled.nodes["h", 2]["layer"] == 4
    assert unrolled.edges[("x", 1), ("h", 2)]["why"] == "measured"
    net = dagnet.Network(unrolled, seed=0)
    assert (net.loss.name, net.dtype.name) == ("huber", "float32")
    net.weights[("x", 0), ("h", 1)] = 0.5
    assert net.weights[("x", 1), ("k", 2)] == 0.75
    net.biases["k", 0] = 0.125
    assert net.biases["h", 2] == 0.125
    assert len(net.parameters) == 5 + 2
    assert {node: dict(said) for node, said in graph.nodes(data=True)} == before


def test_inputs_and_outputs_at_chosen_ticks():
    graph = nx.DiGraph([("x", "h"), ("h", "h"), ("h", "y")])
    graph.nodes["h"].update(activation="tanh", bias=0.2)
    graph.edges["h", "y"]["delay"] = 0
    unrolled = dagnet.unroll(graph, 3, inputs={"x": [0, 1], "h": 0}, outputs=[("h", 1), "y", ("y", 0)])
    net = dagnet.Network(unrolled, seed=0)
    assert net.inputs == (("x", 0), ("h", 0), ("x", 1))
    assert net.outputs == (("y", 0), ("h", 1), ("y", 2))
    X = np.array([[0.5, -1.0, 2.0]])
    w = {(u[0], v[0]): weight for (u, v), weight in net.weights.items()}
    h1 = np.tanh(w["x", "h"] * 0.5 - w["h", "h"] + 0.2)
    h2 = np.tanh(w["x", "h"] * 2.0 + w["h", "h"] * h1 + 0.2)
    np.testing.assert_allclose(net(X), [[-w["h", "y"], h1, w["h", "y"] * h2]], rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"ticks": 0}, dagnet.DataError, "ticks must be a whole number of 1 or more, got 0"),
        ({"inputs": ["z"]}, dagnet.DataError, "inputs: no node 'z' in the graph"),
        ({"inputs": "x"}, dagnet.DataError, r"inputs must be a list of nodes .* write inputs=\['x'\]"),
        ({"inputs": []}, dagnet.DataError, "inputs must name at least one node"),
        (
            {"inputs": {"x": [4]}},
            dagnet.DataError,
            r"inputs: tick of 'x' must be a whole number from 0 to 3, got 4",
        ),
        ({"inputs": {"x": ["0"]}}, dagnet.DataError, "inputs: tick of 'x' must be a whole number"),
        (
            {"outputs": [("y", -1)]},
            dagnet.DataError,
            "outputs: tick of 'y' must be a whole number from 0 to 3",
        ),
        ({"outputs": ["y", ("y", 3)]}, dagnet.DataError, "node 'y' is named twice at tick 3"),
        ({"inputs": ["x", "h"]}, dagnet.GraphError, r"'h' is an input at tick 1 .* no terms then, got 2"),
        ({"delay": 3}, dagnet.DataError, "delay must be the name of an edge attribute"),
        (
            {"delay": "late"},
            dagnet.GraphError,
            r"edge 'x' → 'h': late must be a whole number of 0 or more, got -1",
        ),
        ({"delay": "none"}, dagnet.CycleError, "within a tick, .* give one of the edges a delay of 1"),
    ],
)
def test_what_will_not_do_is_refused(arguments, error, words):
    graph = nx.DiGraph([("x", "h"), ("h", "h"), ("h", "k"), ("k", "h"), ("h", "y")])
    graph.remove_edge("h", "h")
    nx.set_edge_attributes(graph, {("x", "h"): -1, ("h", "y"): 0.5}, "late")
    nx.set_edge_attributes(graph, 0, "none")
    with pytest.raises(error, match=words) as caught:
        dagnet.unroll(graph, **{"ticks": 4, "inputs": ["x"], "outputs": ["y"], **arguments})
    if error is dagnet.CycleError:
        assert set(caught.value.cycle) == {"h", "k"}


def test_only_directed_graphs_without_parallel_edges():
    for graph in (nx.Graph([("x", "y")]), nx.MultiDiGraph([("x", "y"), ("x", "y")]), None):
        with pytest.raises(dagnet.GraphError):
            dagnet.unroll(graph, 2, inputs=["x"], outputs=["y"])


def test_a_fly_s_neurons_are_read_in_seconds():
    """3,350 nodes, 6 ticks, a fifth of the edges; processor time, so that other work does not count."""
    rng = np.random.default_rng(0)
    sources, targets = rng.integers(0, 3350, 33_000), rng.integers(50, 3350, 33_000)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(3350))
    edges = zip(sources.tolist(), targets.tolist(), strict=True)
    graph.add_edges_from((*edge, {"factor": 2.0, "bounds": (0.0, 1.0)}) for edge in edges)
    unrolled = dagnet.unroll(graph, 6, inputs=range(50), outputs=[3349])
    start = time.process_time()
    net = dagnet.Network(unrolled, seed=0)
    assert time.process_time() - start < 2.0
    assert net.topology.n_edges == 5 * graph.number_of_edges()


def test_copies_share_what_their_activations_and_normalisations_learn():
    graph = nx.DiGraph([("x", "h"), ("h", "y")])
    graph.add_edge("h", "h", delay=1)
    graph.nodes["h"].update(activation="prelu", normalization="batch")
    graph.nodes["y"]["loss"] = "huber"
    net = dagnet.Network(dagnet.unroll(graph, 3, inputs=["x"], outputs=["y"]), seed=0)
    assert len({float(net.node_parameters[("h", tick), "slope"]) for tick in range(3)}) == 1
    net.node_parameters[("h", 0), "scale"] = 2.0
    assert net.node_parameters[("h", 2), "scale"] == 2.0
    assert {str(head.loss) for head in net.heads.values()} == {"huber(delta=1.0)"}


def test_a_head_that_learns_another_learns_its_copy():
    graph = nx.DiGraph([("x", "y"), ("x", "z")])
    graph.nodes["z"].update(target="y", loss_weight=0.3)
    net = dagnet.Network(dagnet.unroll(graph, 2, inputs=["x"], outputs=["y", "z"]), seed=0)
    assert net.heads["('z', 1)"].targets == (("y", 1),)
