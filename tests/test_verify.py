"""verify: right engines agree, a tampered one is found out, at the node where it goes wrong."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from strategies import dags, network, row_counts, rows_for, seeds

import dagnet
from dagnet.explain import verification


@given(dags(), seeds, row_counts)
def test_the_engine_of_choice_agrees_with_the_reference(graph, seed, rows):
    for dtype in ("float64", "float32"):
        net = network(graph, seed=seed, dtype=dtype)
        X, y = rows_for(net, rows=rows, seed=seed)
        before = net.parameters.copy()
        outcome = dagnet.verify(net, X, y)
        assert outcome.passed, outcome
        assert outcome.max_error <= outcome.tolerance
        assert outcome.worst == ()
        np.testing.assert_array_equal(net.parameters, before)


class Tampered:
    """A runner whose forward, δ or gradient is off by a relative amount at one place."""

    def __init__(self, runner, what, place, amount):
        self.runner, self.what, self.place, self.amount = runner, what, place, amount

    def forward(self, theta, inputs, **options):
        state = self.runner.forward(theta, inputs, **options)
        return TamperedState(state, self.what, self.place, self.amount)

    def backward(self, theta, state, pull, *, into):
        self.runner.backward(theta, state.state, pull, into=into)
        if self.what == "gradient":
            into[self.place] *= 1 + self.amount


class TamperedState:
    def __init__(self, state, what, place, amount):
        self.state, self.what, self.place, self.amount = state, what, place, amount
        self.outputs = state.outputs

    def _off(self, what, units, values):
        return np.where(
            (units == self.place)[:, None] & (what == self.what), values * (1 + self.amount), values
        )

    def value(self, units):
        return self._off("value", units, self.state.value(units)).astype(self.outputs.dtype)

    def pre_activation(self, units):
        return self._off("pre_activation", units, self.state.pre_activation(units)).astype(self.outputs.dtype)

    def delta(self, units):
        return self._off("delta", units, self.state.delta(units)).astype(self.outputs.dtype)


def tampered(monkeypatch, net, X, y, what, place, amount):
    prepare = verification.prepare

    def other(engine, plan, dtype, threads):
        name, runner = prepare("reference", plan, dtype, threads)
        return name, runner if engine == "reference" else Tampered(runner, what, place, amount)

    monkeypatch.setattr(verification, "prepare", other)
    return dagnet.verify(net, X, y)


def drawn_network(dtype, engine="auto"):
    rng = np.random.default_rng(0)
    graph = nx.DiGraph()
    for node in range(4, 40):
        graph.add_edges_from((int(parent), node) for parent in rng.choice(node, 3, replace=False))
    net = dagnet.Network(graph, activation="tanh", dtype=dtype, seed=0, engine=engine)
    return net, *rows_for(net, rows=16, seed=1)


@pytest.mark.parametrize(("dtype", "amount"), [("float64", 1e-10), ("float32", 1e-3)])
@pytest.mark.parametrize("what", ["value", "pre_activation", "delta", "gradient"])
def test_a_wrong_engine_is_found_out_at_the_node(monkeypatch, dtype, amount, what):
    net, X, y = drawn_network(dtype)
    if net.engine == "reference":
        pytest.skip("only the reference engine runs here")
    plan = net.layout.plan
    unit = 20
    place = int(plan.indptr[unit]) if what == "gradient" else unit
    outcome = tampered(monkeypatch, net, X, y, what, place, amount)
    node = net.nodes[int(net.layout.node_of_unit[unit])]
    assert not outcome.passed
    assert not outcome
    assert outcome.worst == (node,)
    kind = {"value": "forward", "pre_activation": "forward"}.get(what, what)
    assert [name for name, error in outcome.errors(node).items() if error > outcome.tolerance] == [kind]
    assert "DISAGREES" in str(outcome)
    assert f"first at {node}" in str(outcome)


@pytest.mark.parametrize("what", ["gradient", "loss"])
def test_what_training_computes_is_verified_too(monkeypatch, what):
    net, X, y = drawn_network("float64")
    unit = 20
    place = int(net.layout.plan.indptr[unit])

    def fused_gradient(_runner, _loss):
        def fused(theta, inputs, targets, factor, *, into):
            gradient = net.gradient(X, y)
            into[:] = gradient.flat
            into[place] *= 1 + 1e-9 * (what == "gradient")
            return gradient.loss + 1e-9 * (what == "loss"), None

        return fused

    monkeypatch.setattr(type(net.runner), "fused_gradient", fused_gradient)
    outcome = dagnet.verify(net, X, y)
    assert not outcome.passed
    node = net.nodes[int(net.layout.node_of_unit[unit])]
    assert outcome.worst == ((node,) if what == "gradient" else ())
    assert ("the loss is off" in str(outcome)) == (what == "loss")


def test_not_a_number_agrees_with_not_a_number():
    net = dagnet.Network(nx.DiGraph([("x", "h"), ("h", "y")]), activation="exp", seed=0)
    net.weights["x", "h"] = 1e3
    with np.errstate(all="ignore"):
        outcome = dagnet.verify(net, [[1e3], [0.0]], [0.0, 0.0])
    assert outcome.passed, outcome


def test_the_report_is_short_and_escaped():
    name = "<script>"
    graph = nx.DiGraph([(name, k) for k in range(100)] + [(k, "y") for k in range(100)])
    net = dagnet.Network(graph, seed=0)
    outcome = dagnet.verify(net, [[1.0]], [0.0], sample_weight=[2.0])
    assert len(str(outcome).splitlines()) == 5
    assert "agrees with 'reference'" in repr(outcome)
    assert "<script>" not in outcome._repr_html_()
    with pytest.raises(dagnet.DataError, match="no node"):
        outcome.errors("z")


@pytest.mark.parametrize("call", [dagnet.verify, dagnet.check_gradient])
@pytest.mark.parametrize("net", [None, "net.dagnet", nx.DiGraph([("a", "b")])])
def test_what_is_no_network_is_refused(call, net):
    with pytest.raises(dagnet.DataError, match=r"net must be a dagnet\.Network, got .*Network\(graph\)"):
        call(net, [[1.0]], [0.0])


def test_overflow_is_silent():
    net, X, y = drawn_network("float32")
    net.parameters *= 1e6
    relu = dagnet.Network(net.to_networkx(), activation="relu", dtype="float32")
    dagnet.verify(relu, X * 1e30, y)
    relu.trace(relu.edges[0], X[0] * 1e30, y[0])
    relu.trace_all(X[0] * 1e30, y[0])
