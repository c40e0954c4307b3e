"""verify: right engines obey the equations, a tampered one is found out, at the node where it goes wrong."""

import networkx as nx
import numpy as np
import pytest
from data.strategies import dags, network, row_counts, rows_for, seeds
from hypothesis import given

import dagnet
from dagnet.engine.reference import ReferenceEngine
from dagnet.explain import verification
from dagnet.model import prepared
from dagnet.model.selection import prepare


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
    def other(engine, plan, dtype, threads):
        return "tampered", Tampered(prepare("reference", plan, dtype, threads)[1], what, place, amount)

    monkeypatch.setattr(prepared, "prepare", other)
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


class Wrong:
    """A runner that calculates one unit wrong, and goes on with the wrong number."""

    def __init__(self, net, what, unit, amount):
        self.plan, self.what, self.unit, self.factor = net.layout.plan.everywhere(), what, unit, 1 + amount
        self.runner = ReferenceEngine().prepare(self.plan, dtype=net.dtype, threads=1)

    def forward(self, theta, inputs, **_):
        state, plan = self.runner.forward(theta, inputs), self.plan
        for unit in range(plan.n_inputs, plan.n_units):
            slots = slice(plan.indptr[unit], plan.indptr[unit + 1])
            state.z[unit] = theta[slots] @ state.a[plan.sources[slots]] + theta[plan.bias_slot[unit]]
            state.z[unit] *= self.factor if (self.what, self.unit) == ("z", unit) else 1
            state.a[unit] = np.tanh(state.z[unit]) if unit not in plan.outputs else state.z[unit]
            state.a[unit] *= self.factor if (self.what, self.unit) == ("a", unit) else 1
        return state

    def backward(self, theta, state, pull, *, into):
        plan = self.plan
        pulled = np.zeros_like(state.a)
        pulled[plan.outputs] = pull.T
        for unit in reversed(range(plan.n_units)):
            slope = 1 - state.a[unit] ** 2 if plan.n_inputs <= unit and unit not in plan.outputs else 1
            state.d[unit] = pulled[unit] * slope
            state.d[unit] *= self.factor if (self.what, self.unit) == ("δ", unit) else 1
            slots = slice(plan.indptr[unit], plan.indptr[unit + 1])
            pulled[plan.sources[slots]] += np.outer(theta[slots], state.d[unit])
            into[slots] = state.a[plan.sources[slots]] @ state.d[unit]
            if plan.bias_slot[unit] >= 0:
                into[plan.bias_slot[unit]] = state.d[unit].sum()


@pytest.mark.parametrize(("dtype", "amount"), [("float64", 1e-10), ("float32", 1e-3)])
@pytest.mark.parametrize(("what", "kind"), [(None, None), ("z", "forward"), ("a", "forward"), ("δ", "delta")])
def test_an_engine_that_goes_on_with_a_wrong_number_is_found_out_where_it_began(
    monkeypatch, dtype, amount, what, kind
):
    net, X, y = drawn_network(dtype)
    runner = Wrong(net, what, unit := 20, amount)
    monkeypatch.setattr(prepared.Prepared, "runner_for", lambda *_: runner)
    monkeypatch.setattr(verification, "_fused", lambda *_: [])
    outcome = dagnet.verify(net, X, y)
    assert outcome.passed == (what is None)
    if what is not None:
        node = net.nodes[int(net.layout.node_of_unit[unit])]
        assert outcome.worst == (node,)
        assert next(name for name, error in outcome.errors(node).items() if error > outcome.tolerance) == kind


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


@pytest.mark.parametrize("seed", [1, 7])
def test_what_a_perfect_fit_leaves_of_the_gradient_is_rounding(seed):
    graph = dagnet.layered([6, 32, 3], activation="tanh")
    net = dagnet.Network(graph, loss="cross_entropy", dtype="float32", seed=seed)
    net.parameters *= 5
    X = np.random.default_rng(0).normal(size=(8, 6))
    outcome = dagnet.verify(net, X, net(X).argmax(axis=1))
    assert outcome.passed, outcome


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
    assert "agrees with the textbook's equations" in repr(outcome)
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
