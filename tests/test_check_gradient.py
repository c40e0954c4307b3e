"""check_gradient: passes on right networks, fails on wrong ones by name, looks only at the chain."""

import networkx as nx
import numpy as np
import pytest
from data.strategies import SMOOTH, dags, network, row_counts, rows_for, seeds
from hypothesis import assume, given

import dagnet
from dagnet.model import prepared

STEP = np.finfo(float).eps ** (1 / 3)


def random_graph(rng, n=14, inputs=3, activations=("tanh", "sigmoid", "silu", "softplus")):
    graph = nx.DiGraph()
    graph.add_nodes_from(range(n))
    for node in range(inputs, n):
        graph.nodes[node]["activation"] = str(rng.choice(activations))
        for parent in rng.choice(node, min(node, 3), replace=False):
            graph.add_edge(int(parent), node)
    return graph


def mixed_network(dtype="float64"):
    """Units, a shared weight, a frozen one, a node without bias, an output that feeds another."""
    graph = nx.DiGraph()
    graph.add_node("x", units=2)
    graph.add_node("h", units=3, activation="tanh")
    graph.add_node("s", activation="sigmoid", bias=False)
    graph.add_node("t", activation="sigmoid", trainable=False)
    graph.add_edges_from([("x", "h"), ("h", "y"), ("y", "z"), ("h", "z")])
    graph.add_edge("u", "s", share="one")
    graph.add_edge("s", "t", share="one")  # the same weight twice on one path
    graph.add_edge("t", "y", trainable=False)
    return dagnet.Network(graph, outputs=["y", "z"], dtype=dtype, seed=3)


DATA = {
    "X": {"x": [[0.3, -1.0], [1.2, 0.4], [-0.5, 0.9]], "u": [0.7, -0.2, 1.1]},
    "y": {"y": [1.0, 0.0, 2.0], "z": [0.5, -1.0, 0.0]},
}


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_right_networks_pass(seed, dtype):
    rng = np.random.default_rng(seed)
    net = dagnet.Network(random_graph(rng), dtype=dtype, seed=seed)
    X, y = rng.normal(size=(5, 3)), rng.normal(size=(5, len(net.outputs)))
    before = net.parameters.copy()
    check = dagnet.check_gradient(net, X, y, sample_weight=rng.random(5))
    assert check.passed, check
    assert check.max_error <= 1e-6
    assert len(check.analytic) == net.trainable.sum()
    np.testing.assert_array_equal(net.parameters, before)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_units_shared_and_frozen_weights_pass(dtype):
    net = mixed_network(dtype)
    check = dagnet.check_gradient(net, **DATA)
    assert check.passed, check
    assert len(check.analytic) == net.trainable.sum()
    everything = [*net.edges, *net.biases]
    frozen_too = dagnet.check_gradient(net, **DATA, wrt=everything)
    assert frozen_too.passed, frozen_too
    assert len(frozen_too.analytic) == len(net.parameters)


def test_the_criterion_is_the_contract_s():
    """Evaluated again here, whole network by whole network, with nothing of the package's own."""
    net = dagnet.Network(dagnet.layered([2, 2, 2, 1], activation="sigmoid"), seed=1)
    X, y = [[2.0, 3.0]], [100.0]
    check = dagnet.check_gradient(net, X, y)
    loss, flat = net.evaluate(X, y), net.gradient(X, y).flat
    for place, weight in enumerate(net.parameters.copy()):
        step = STEP * max(1.0, abs(weight))
        losses = []
        for value in (weight + step, weight - step):
            net.parameters[place] = value
            losses.append(net.evaluate(X, y))
        net.parameters[place] = weight
        numeric = (losses[0] - losses[1]) / (2 * step)
        allowed = 1e-6 * max(abs(flat[place]), abs(numeric))
        allowed += 8 * np.finfo(float).eps * max(1.0, abs(loss)) / step
        assert abs(flat[place] - numeric) <= allowed
        assert check.analytic[place] == flat[place]
        assert abs(check.numeric[place] - numeric) <= allowed
        error = abs(check.analytic[place] - check.numeric[place]) / (allowed * 1e6)
        assert check.errors[place] == pytest.approx(error, rel=0.2, abs=1e-9)


def wrong_network():
    wrong = dagnet.Activation("wrong", np.tanh, lambda z, a: 1 - a, surrogate=True)
    graph = dagnet.layered([2, 2, 2, 1], activation="sigmoid")
    graph.nodes["h21"]["activation"] = wrong
    return dagnet.Network(graph, seed=0)


def test_a_wrong_derivative_fails_and_is_named():
    net = wrong_network()
    check = dagnet.check_gradient(net, [[2.0, 3.0], [1.0, -1.0]], [1.0, 0.0])
    assert not check.passed
    assert not check
    assert check.max_error > 1e-3
    right = {("h21", "eta"), ("h22", "eta"), ("h11", "h22"), ("h12", "h22"), "eta", "h22"}
    wrong = {("h11", "h21"), ("h12", "h21"), "h21"}
    assert wrong <= set(check.worst)
    assert not right & set(check.worst[: len(check.errors) - len(right)])
    first = str(check).splitlines()[2]
    assert "wrong" in first
    assert "failed" in str(check).splitlines()[0]
    assert "h11 → h21" in str(check)


def test_a_wrong_loss_fails():
    squares, off = lambda a, t: ((a - t) ** 2).sum(1), lambda a, t: 2.001 * (a - t)
    loss = dagnet.Loss("off", squares, off, surrogate=True)
    net = dagnet.Network(dagnet.layered([2, 2, 1], activation="tanh"), loss=loss, seed=0)
    assert not dagnet.check_gradient(net, [[2.0, 3.0]], [1.0]).passed


def test_only_the_asked_are_checked():
    net = dagnet.Network(dagnet.layered([2, 2, 2, 1], activation="sigmoid"), seed=0)
    check = dagnet.check_gradient(net, [[2.0, 3.0]], [1.0], wrt=[("x1", "h11"), "h22"])
    assert set(check.worst) == {("x1", "h11"), "h22"}
    with pytest.raises(dagnet.DataError, match="no edge"):
        dagnet.check_gradient(net, [[2.0, 3.0]], [1.0], wrt=[("x1", "h21")])


@pytest.mark.parametrize("seed", range(5))
def test_only_the_chain_is_evaluated_again(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, n=20)
    net = dagnet.Network(graph, seed=seed)
    computed = []
    prepare = prepared.prepare

    def recording(engine, plan, dtype, threads):
        name, runner = prepare(engine, plan, dtype, threads)
        if plan.unit_ids is None:
            return name, runner
        forward = runner.forward

        class Recording:
            def forward(self, *args, **options):
                computed.append(plan.n_units - plan.n_inputs)
                return forward(*args, **options)

        return name, Recording()

    monkeypatch.setattr(prepared, "prepare", recording)
    X, y = rng.normal(size=(4, len(net.inputs))), rng.normal(size=(4, len(net.outputs)))
    reaching = set(net.outputs).union(*(nx.ancestors(graph, node) for node in net.outputs))
    for edge in rng.permutation(net.edges)[:8].tolist():
        computed.clear()
        check = dagnet.check_gradient(net, X, y, wrt=[tuple(edge)])
        chain = ({edge[1]} | nx.descendants(graph, edge[1])) & reaching
        assert computed == [len(chain), len(chain)]
        assert check.chains.tolist() == [len(chain)]
    computed.clear()
    assert dagnet.check_gradient(net, X, y).passed
    whole = 2 * net.trainable.sum() * (len(net.nodes) - len(net.inputs))
    assert sum(computed) < 0.75 * whole


def test_of_a_node_with_units_only_the_unit_is_evaluated_again():
    net = mixed_network()
    check = dagnet.check_gradient(net, **DATA, wrt=[("x", "h")])
    assert check.chains.tolist() == [3] * 6  # one unit of h, y, z


def test_a_weight_that_reaches_no_output_is_zero_both_ways():
    net = dagnet.Network(nx.DiGraph([("x", "y"), ("x", "aside")]), outputs=["y"], seed=0)
    check = dagnet.check_gradient(net, [[1.0]], [2.0], wrt=[("x", "aside")])
    assert check.passed
    assert check.numeric.tolist() == check.analytic.tolist() == [0.0]
    assert check.chains.tolist() == [0]


def test_losses_that_couple_rows_and_labels():
    spread = dagnet.Loss("spread", lambda a, _: ((a - a.mean(0)) ** 2).sum(1), rowwise=False,
                         gradient=lambda a, _: 2 * (a - a.mean(0)))  # fmt: skip
    rng = np.random.default_rng(0)
    net = dagnet.Network(dagnet.layered([2, 3, 1], activation="tanh"), loss=spread, seed=0)
    assert dagnet.check_gradient(net, rng.normal(size=(6, 2)), np.zeros(6)).passed
    graph = dagnet.layered([2, 3, 3], activation="tanh")
    net = dagnet.Network(graph, loss="cross_entropy", seed=0)
    assert dagnet.check_gradient(net, rng.normal(size=(6, 2)), [0, 1, 2, 2, 1, 0]).passed


@pytest.mark.parametrize("seed", range(20))
def test_what_starts_on_a_kink_is_counted_and_not_judged(seed):
    """Row (0, 0) with biases of 0 puts every relu on its kink."""
    net = dagnet.Network(dagnet.layered([2, 2, 1], activation="relu"), seed=seed)
    check = dagnet.check_gradient(net, [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0])
    assert check.passed, check
    hidden = {(x, h) for x in ("x1", "x2") for h in ("h11", "h12")} | {"h11", "h12"}
    assert set(check.not_judged) == hidden
    assert set(check.worst) == {("h11", "eta"), ("h12", "eta"), "eta"}
    assert "passed for all 3 derivatives, 6 not judged" in str(check)
    assert "on one: x1 → h11, x2 → h11, x1 → h12, x2 → h12, bias of h11, bias of h12" in str(check)
    assert np.isnan(check.errors).sum() == 6


def steep_network(weight):
    """|z|^1.5: its derivative is right, and so curved near 0 that differences are off there."""
    graph = nx.DiGraph([("x", "h"), ("h", "y")])
    graph.nodes["h"]["activation"] = dagnet.Activation(
        "steep", lambda z: np.abs(z) ** 1.5, lambda z, a: 1.5 * np.sign(z) * np.sqrt(np.abs(z)), kinks=[0.0]
    )
    net = dagnet.Network(graph, seed=0)
    net.parameters[:] = [weight, 1.0, 0.0, 0.0]
    return net


@pytest.mark.parametrize(
    ("weight", "x", "not_judged"),
    [
        (1e-6, 100.0, [("x", "h")]),  # z = 1e-4: 6e-6 · 100 leads over the kink, the bias's 6e-6 does not
        (1e-6, 1.0, [("x", "h"), "h"]),
        (STEP, 1.0, [("x", "h"), "h"]),  # the lower point is on the kink
        (0.5, 1.0, []),
    ],
)
def test_both_shifted_points_decide_whether_a_derivative_is_judged(weight, x, not_judged):
    check = dagnet.check_gradient(steep_network(weight), [[x]], [1.0])
    assert list(check.not_judged) == not_judged
    wrong = {name for name, error in zip(check.worst, sorted(-check.errors), strict=False) if -error > 1e-6}
    assert not wrong & set(not_judged)


def sides(net, X, kinks):
    """Of each node's z, row by row, how many kinks are below it; None where it is on one."""
    forward = net.forward(X)
    z = np.array([forward.pre_activation(node) for node in kinks])
    kinks = np.array(list(kinks.values()))
    return np.where(z == kinks[:, None], np.nan, z > kinks[:, None])


@pytest.mark.parametrize("seed", range(8))
def test_not_judged_are_those_whose_points_are_parted_by_a_kink(seed):
    """Found here by evaluating the whole network at both points."""
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, n=20, activations=("relu", "tanh", "leaky_relu"))
    net = dagnet.Network(graph, seed=seed)
    X, y = rng.normal(size=(8, 3)), rng.normal(size=(8, len(net.outputs)))
    X[:4] *= 3e-5  # a bias's step leads over some kinks, and from one at 0 over all
    check = dagnet.check_gradient(net, X, y)
    reaching = set(net.outputs).union(*(nx.ancestors(graph, node) for node in net.outputs))
    bent = {"relu", "leaky_relu"}
    kinked = {node: 0.0 for node in reaching if graph.nodes[node].get("activation") in bent}
    parted = []
    for place, step in zip(check.parameters.tolist(), check.steps.tolist(), strict=True):
        here, found = net.parameters[place], []
        for point in (here + step, here - step):
            net.parameters[place] = point
            found.append(sides(net, X, kinked))
        net.parameters[place] = here
        parted.append(bool((found[0] != found[1]).any()))  # NaN differs from itself
    assert 0 < sum(parted) < len(parted)
    np.testing.assert_array_equal(check.judged, ~np.array(parted))


def test_a_wrong_derivative_without_kinks_fails_and_with_them_elsewhere():
    for kinks in ([], [100.0]):
        double = dagnet.Activation("double", np.tanh, lambda z, a: 2 - 2 * a**2, kinks=kinks, surrogate=True)
        net = dagnet.Network(dagnet.layered([2, 2, 1], activation=double), seed=0)
        check = dagnet.check_gradient(net, [[2.0, 3.0], [0.0, 0.0]], [1.0, 0.0])
        assert not check.passed
        assert check.not_judged == ()


def test_of_many_derivatives_a_sample_is_checked_unless_they_are_asked_for():
    net = dagnet.Network(dagnet.layered([10, 30, 30, 1], activation="tanh"), seed=0)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(3, 10)), rng.normal(size=3)
    check = dagnet.check_gradient(net, X, y)
    assert check.passed
    assert len(check.errors) == len(np.unique(check.parameters)) == 1000
    assert np.diff(check.parameters).max() <= 4  # from all of the network
    assert f"passed for all 1,000 derivatives, a sample from all {len(net.parameters):,};" in str(check)
    again = dagnet.check_gradient(net, X, y)
    np.testing.assert_array_equal(again.parameters, check.parameters)
    everything = dagnet.check_gradient(net, X, y, wrt=[*net.edges, *net.biases])
    assert len(everything.errors) == len(net.parameters)
    assert "sample" not in str(everything)
    small = dagnet.Network(dagnet.layered([30, 30, 2], activation="tanh"), seed=0)
    assert len(dagnet.check_gradient(small, rng.normal(size=(2, 30)), np.zeros((2, 2))).errors) == 992


def test_an_output_that_leaves_the_loss_s_domain_on_the_way_is_named_by_its_row():
    net = dagnet.Network(nx.DiGraph([("x", "y")]), loss="binary_cross_entropy", seed=0)
    net.parameters[:] = [-1.0, 0.0]
    with pytest.raises(dagnet.DataError, match="in row 1 must be a probability"):
        dagnet.check_gradient(net, [[-0.5], [-1.0]], [0.0, 1.0], wrt=[("x", "y")])


def test_infinite_losses_fail_without_a_warning():
    net = dagnet.Network(nx.DiGraph([("x", "y")]), seed=0)
    net.parameters[:] = 1e200
    with np.errstate(all="ignore"):
        check = dagnet.check_gradient(net, [[1e200]], [0.0])
    assert not check.passed
    assert check.max_error == np.inf


def test_renderings_are_bounded_and_escaped():
    name = "<img src=x onerror=alert(1)>"
    graph = nx.DiGraph([(name, f"h{k}") for k in range(50)] + [(f"h{k}", "y") for k in range(50)])
    net = dagnet.Network(graph, seed=0, activation="tanh")
    check = dagnet.check_gradient(net, [[1.0]], [0.0], wrt=net.edges)
    assert len(str(check).splitlines()) == 13
    assert "… and 90 more" in str(check)
    assert len(check.worst) == 10
    html = check._repr_html_()
    assert "<img" not in html
    assert "GradientCheck: passed" in repr(check)


@given(dags(activations=SMOOTH), seeds, row_counts)
def test_drawn_graphs_pass_within_the_contract_s_bounds(graph, seed, rows):
    net = network(graph, seed=seed)
    X, y = rows_for(net, rows=rows, seed=seed)
    forward = net.forward(X)
    largest = max(
        np.abs([forward[node].ravel(), forward.pre_activation(node).ravel()]).max() for node in graph
    )
    assume(largest <= 1e3)
    check = dagnet.check_gradient(net, X, y)
    assert check.passed, check
    assert len(check.analytic) == net.trainable.sum()
