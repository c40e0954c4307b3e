"""What the compiled engine promises beyond being right (tests/test_engines.py has that)."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import networkx as nx
import numpy as np
import pytest
from data.own import own

import dagnet
from dagnet.contracts import Draw

pytest.importorskip("numba")

from dagnet.engine.compiled import functions, segments
from dagnet.engine.compiled import threads as worker_threads
from dagnet.engine.compiled.functions import compile_activation
from dagnet.engine.compiled.opened import UNITS
from dagnet.engine.compiled.runner import CompiledRunner
from dagnet.engine.compiled.segments import Program
from dagnet.plan import ACTIVATE, DROP
from dagnet.registry import find_activation, find_optimizer

OFFSET = 0.25


def irregular(n_nodes=300, n_edges=1500, seed=0, activations=("relu", "tanh", "sigmoid", "gelu")):
    rng = np.random.default_rng(seed)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(n_nodes))
    while graph.number_of_edges() < n_edges:
        a, b = sorted(rng.integers(0, n_nodes, 2).tolist())
        if a != b:
            graph.add_edge(a, b)
    graph.remove_nodes_from([n for n in list(graph) if graph.degree(n) == 0])
    for node in graph:
        if graph.in_degree(node):
            graph.nodes[node]["activation"] = activations[int(rng.integers(len(activations)))]
    return graph


def rows(net, n, seed=1):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, len(net.inputs))), rng.standard_normal((n, len(net.outputs)))


# -- threads, forks, bits ---------------------------------------------------------------------


@pytest.fixture
def spread(monkeypatch):
    """Make even small work go to several threads."""
    from dagnet.engine.compiled import runner

    monkeypatch.setattr(runner, "WORK_PER_THREAD", 1)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_the_same_bits_from_run_to_run(spread, n_threads):
    net = dagnet.Network(irregular(), engine="compiled", threads=n_threads, seed=0)
    X, y = rows(net, 200)
    first, second = net.gradient(X, y).flat, net.gradient(X, y).flat
    assert np.array_equal(first, second)


def test_any_number_of_threads_gives_the_same_beyond_rounding(spread):
    graph = irregular()
    nets = [dagnet.Network(graph, engine="compiled", threads=n, seed=0) for n in (1, 2, 4)]
    X, y = rows(nets[0], 333)
    one, *others = [net.gradient(X, y).flat for net in nets]
    for other in others:
        np.testing.assert_allclose(other, one, rtol=1e-11, atol=1e-13)


def layered_with_skips():
    graph = dagnet.layered([70, 90, 80, 70], activation="gelu")
    graph.add_edges_from([("x1", "y1"), ("h11", "y2"), ("h12", "y70")])
    return graph


def numpy_in_the_middle():
    graph = dagnet.layered([70, 90, 80, 5], activation="relu")
    for k in range(1, 40):
        graph.nodes[f"h2{k}"]["activation"] = dagnet.Activation("odd_root", odd_root, odd_root_slope)
    return graph


DENSE = {
    "layered": lambda: dagnet.layered([70, 90, 80, 70], activation="tanh"),
    "with skips": layered_with_skips,
    "NumPy in the middle": numpy_in_the_middle,
}


@pytest.mark.parametrize("n_rows", [1, 5, 64, 512, 1024])
@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("shape", DENSE)
@pytest.mark.parametrize("large", [1, segments.LARGE])
def test_dense_steps_agree_with_the_reference(spread, monkeypatch, large, shape, n_threads, n_rows):
    monkeypatch.setattr(segments, "LARGE", large)
    graph = DENSE[shape]()
    compiled = dagnet.Network(graph, engine="compiled", threads=n_threads, seed=0)
    reference = dagnet.Network(graph, engine="reference", seed=0)
    assert "W[" in str(compiled.plan)
    assert compiled.runner.program.has_dense == (large == 1)
    X, y = rows(compiled, n_rows)
    np.testing.assert_allclose(compiled(X), reference(X), rtol=1e-12, atol=1e-12)
    ours, theirs = compiled.gradient(X, y), reference.gradient(X, y)
    scale = np.abs(theirs.flat).max()
    np.testing.assert_allclose(ours.flat, theirs.flat, rtol=1e-10, atol=1e-12 * scale)
    np.testing.assert_allclose(ours.inputs, theirs.inputs, rtol=1e-10, atol=1e-12 * scale)
    values = compiled.forward(X)
    np.testing.assert_array_equal(values["x3"], X[:, 2])
    for node in ("h11", "h280", "h21"):
        np.testing.assert_allclose(values[node], reference.forward(X)[node], rtol=1e-11, atol=1e-12)
        pre = reference.forward(X).pre_activation(node)
        np.testing.assert_allclose(values.pre_activation(node), pre, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("large", [1, segments.LARGE])
def test_memory_reused_for_fewer_rows_holds_no_old_ones(spread, monkeypatch, large):
    monkeypatch.setattr(segments, "LARGE", large)
    for graph in (layered_with_skips(), irregular()):
        net = dagnet.Network(graph, engine="compiled", threads=2, seed=0)
        X, _ = rows(net, 300)
        runner, theta = net.runner, net.layout.by_slot(net.parameters)
        state = None
        for n in (300, 17, 64, 299, 3):
            state = runner.forward(theta, X[:n], reuse=state)
            np.testing.assert_allclose(state.outputs, net(X[:n]), rtol=1e-13, atol=1e-13)
            pull = np.ones((n, len(net.outputs)))
            into, fresh = np.empty_like(theta), np.empty_like(theta)
            bound = runner.backward(theta, state, pull, into=into)
            assert np.dot(into, into) * (1 - 1e-12) <= bound < np.inf
            runner.backward(theta, runner.forward(theta, X[:n]), pull, into=fresh)
            np.testing.assert_array_equal(into, fresh)


def test_one_network_used_from_several_python_threads(spread):
    net = dagnet.Network(irregular(), engine="compiled", threads=2, seed=0)
    data = [rows(net, 100, seed) for seed in range(6)]
    expected = [net.gradient(X, y).flat for X, y in data]
    found = {}

    def work(number):
        for _ in range(20):
            found.setdefault(number, []).append(net.gradient(*data[number]).flat)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(len(data))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for number, answers in found.items():
        assert all(np.array_equal(answer, expected[number]) for answer in answers)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_computes_the_same(spread):
    net = dagnet.Network(irregular(), engine="compiled", threads=2, seed=0)
    X, y = rows(net, 100)
    expected = net.gradient(X, y).flat  # the parent's workers exist now
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks beside threads
        child = os.fork()
    if child == 0:
        try:
            same = np.array_equal(net.gradient(X, y).flat, expected)
            os.write(writing, b"1" if same else b"0")
        finally:
            os._exit(0)
    os.close(writing)
    assert os.read(reading, 1) == b"1"
    os.waitpid(child, 0)
    os.close(reading)


def test_an_error_in_a_worker_reaches_the_caller():
    def task(part):
        if part == 1:
            raise KeyError("worker")

    with pytest.raises(KeyError, match="worker"):
        worker_threads.run_parts(task, 3)
    seen = []
    worker_threads.run_parts(seen.append, 3)
    assert sorted(seen) == [0, 1, 2]


def test_the_rows_beside_a_row_do_not_matter(tiles):
    net = dagnet.Network(irregular(), engine="compiled", seed=0)
    X, _ = rows(net, 70)
    alone = np.concatenate([net(X[k : k + 1]) for k in range(len(X))])
    np.testing.assert_array_equal(alone, net(X))


def steps_apart(monkeypatch):
    monkeypatch.setattr(functions, "compile_units", lambda *_: (0, 0, 0, None))


def test_levels_that_follow_with_the_same_activation_are_one_run():
    graph = nx.path_graph(200, create_using=nx.DiGraph)
    nx.set_node_attributes(graph, "tanh", "activation")
    graph.nodes[100]["activation"] = "gelu"  # whose slope reads z: its sum and activation stay apart
    graph.nodes[0].clear()
    program = dagnet.Network(graph, outputs=[199]).runner.program
    assert len(program.steps) == 2 * 199
    assert program.runs[:, 2:].tolist()[0] == [1, 100]
    assert len(program.runs) <= 5  # two long ones, the sum and the activation of 100, the output's own


def test_threads_that_run_a_new_network_at_once_have_one_program(monkeypatch):
    net, asking = dagnet.Network(irregular(), seed=0), threading.Barrier(4)
    made: list[Program] = []

    class Slow(Program):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(self)
            time.sleep(0.05)  # until the others are here

    def ask(_):
        asking.wait()
        return net.runner.program

    monkeypatch.setattr("dagnet.engine.compiled.runner.Program", Slow)
    assert not made
    with ThreadPoolExecutor(4) as pool:
        programs = list(pool.map(ask, range(4)))
    assert all(program is net.runner.program for program in programs)
    assert net.runner.program in made


@pytest.mark.parametrize("n_rows", [1, 7, 33, 150])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_units_as_one_give_the_numbers_of_their_steps_apart(monkeypatch, dtype, n_rows):
    graph = irregular(activations=("relu", "tanh", "gelu", "prelu", "identity"))
    joined, apart = (dagnet.Network(graph, dtype=dtype, seed=0) for _ in range(2))
    kinds = [set(joined.runner.program.runs[:, 0].tolist())]
    steps_apart(monkeypatch)
    kinds.append(set(apart.runner.program.runs[:, 0].tolist()))
    assert (UNITS in kinds[0], UNITS in kinds[1], ACTIVATE in kinds[0]) == (True, False, True)
    X, y = rows(joined, n_rows)
    np.testing.assert_array_equal(joined(X), apart(X))
    found, right = joined.gradient(X, y).flat, apart.gradient(X, y).flat
    np.testing.assert_allclose(found, right, rtol=0, atol=64 * np.finfo(dtype).eps * np.abs(right).max())


@pytest.mark.parametrize("first", [0, 5])
@pytest.mark.parametrize("n_rows", [7, 150])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_units_that_drop_as_one_have_the_masks_of_their_steps_apart(monkeypatch, dtype, n_rows, first):
    graph = irregular(activations=("relu", "tanh", "gelu", "prelu", "identity"))
    hidden = [v for v in graph if graph.in_degree(v) and graph.out_degree(v)]
    nx.set_node_attributes(graph, {v: (0.0, 0.25, 0.5)[k % 3] for k, v in enumerate(hidden)}, "dropout")
    nets = [dagnet.Network(graph, dtype=dtype, seed=0, threads=2) for _ in range(2)]
    runners = [net._prepared.training_runner for net in nets]
    kinds = [runners[0].program.runs[:, 0].tolist()]
    steps_apart(monkeypatch)
    kinds.append(runners[1].program.runs[:, 0].tolist())
    assert (UNITS in kinds[0], UNITS in kinds[1]) == (True, False)
    assert 0 < kinds[0].count(DROP) < kinds[1].count(DROP)  # behind gelu and prelu
    (X, y), share = rows(nets[0], n_rows), np.full(n_rows, 1 / n_rows, dtype)
    values, gradients = [], []
    for net, runner in zip(nets, runners, strict=True):
        theta, draw = net.layout.by_slot(net.parameters), Draw(7, share, first)
        values.append(runner.forward(theta, X, draw=draw).value(np.arange(net.plan.n_units)))
        gradient = runner.fused_gradient(net.loss)
        gradient.draw, into = draw, np.empty_like(theta)
        gradient(theta, X, y, share, into=into)
        gradients.append(into)
    np.testing.assert_array_equal(*values)
    np.testing.assert_array_equal(*map(np.signbit, values))
    found, right = gradients
    np.testing.assert_allclose(found, right, rtol=0, atol=64 * np.finfo(dtype).eps * np.abs(right).max())


def test_units_whose_code_gives_other_bits_stay_apart(monkeypatch):

    monkeypatch.setattr(functions, "_proofs", {})
    monkeypatch.setattr(functions, "_made", {})
    monkeypatch.setattr(functions, "_are_alike", lambda *_: False)
    net = dagnet.Network(irregular(), seed=0)
    assert (net.runner.program.unit_code[:-1] == 0).all()
    X, _ = rows(net, 5)
    np.testing.assert_allclose(net(X), dagnet.Network(net.to_networkx(), engine="reference")(X), rtol=1e-12)


def test_tiles_are_as_wide_as_rows_and_threads_ask_for(spread):
    graph = irregular(2_000, 6_000)
    nets = [dagnet.Network(graph, engine="compiled", dtype="float32", threads=n) for n in (1, 2)]
    one, two = (net.runner.tiling for net in nets)
    assert [one(rows) for rows in (1, 8, 9, 16, 20, 32)] == [(8, 1)] * 2 + [(16, 1)] * 2 + [(32, 1)] * 2
    assert [two(rows) for rows in (16, 32, 64)] == [(8, 2), (16, 2), (32, 2)]
    wide = dagnet.Network.from_arrays(
        np.arange(90_000), 90_000 + np.arange(90_000) % 9, dtype="float32", threads=1
    )
    assert wide.runner.tiling(256) == (16, 1)  # of 32 rows a tile's inputs leave the cache
    small = dagnet.Network(irregular(), engine="compiled", dtype="float32", threads=2)
    assert [small.runner.tiling(rows) for rows in (1, 32)] == [(32, 1)] * 2


def test_nan_and_infinities_stay_in_their_row():
    graph = nx.DiGraph([("x", "h"), ("h", "y")])
    graph.nodes["h"]["activation"] = "exp"
    nets = [dagnet.Network(graph, engine=name, seed=0) for name in ("compiled", "reference")]
    for net in nets:
        net.weights["x", "h"] = 1.0
    X = np.linspace(-1, 1, 37)[:, None]
    X[5] = 1e4
    gradients = [net.gradient(X, np.zeros(37)) for net in nets]
    for compiled, reference in ((g.delta("h") for g in gradients), (g.flat for g in gradients)):
        np.testing.assert_array_equal(np.isfinite(compiled), np.isfinite(reference))
        np.testing.assert_array_equal(np.isnan(compiled), np.isnan(reference))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("aggregation", ["sum", "max"])
def test_rows_that_lie_column_by_column_give_the_same_bits(spread, dtype, n_threads, aggregation):
    graph = irregular()
    nx.set_node_attributes(graph, {299: aggregation}, "aggregation")
    net = dagnet.Network(graph, engine="compiled", dtype=dtype, threads=n_threads, seed=0)
    for n_rows in (1, 3, 5, 31, 32, 33, 100):
        X = rows(net, n_rows)[0].astype(dtype)
        columns = np.asfortranarray(X)
        assert net._prepared.takes(columns)
        expected = net(X)
        np.testing.assert_array_equal(net(columns), expected)
        columns.flags.writeable = False  # as of a table that must not change
        np.testing.assert_array_equal(net(columns), expected)
        half = np.asfortranarray(np.repeat(X, 2, axis=0))[::2]  # in no order of the two
        np.testing.assert_array_equal(net(half), expected)
        assert net.runner.evaluate(net.layout.theta(net.vector), half) is not None


@pytest.mark.parametrize("row", [0, 31, 36])
def test_nan_in_a_column_is_refused_by_row_and_name(row):
    net = dagnet.Network(irregular(), engine="compiled", seed=0)
    X = np.asfortranarray(rows(net, 37)[0])
    X[row, 3] = np.nan
    with pytest.raises(dagnet.DataError, match=f"X: row {row}, column {net.inputs[3]}"):
        net(X)


def test_columns_need_no_copy():
    net = dagnet.Network(irregular(2000, 9000), engine="compiled", dtype="float32", threads=1, seed=0)
    X = np.asfortranarray(rows(net, 20_000)[0].astype("f4"))
    import tracemalloc

    net(X)
    tracemalloc.start()
    result = net(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < result.nbytes + X.nbytes // 4


def test_many_rows_need_the_memory_of_a_few():
    net = dagnet.Network(irregular(2000, 9000), engine="compiled", dtype="float32", threads=1, seed=0)
    X = np.random.default_rng(0).standard_normal((20_000, len(net.inputs))).astype("f4")
    import tracemalloc

    tracemalloc.start()
    net(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * X.nbytes + 20_000 * len(net.outputs) * 12  # all nodes' values would be 160 MB


# -- activations ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(own("activations")))
def test_every_builtin_compiles(name, dtype):
    compiled = compile_activation(dagnet.activations()[name], dtype)
    assert compiled.reason == ""
    assert compiled.function.address
    assert compiled.slope.address
    needing = {"gelu", "silu", "mish", "softplus", "hard_swish", "tanhshrink", "threshold", "atan"}
    needing |= {"prelu", "swish"}
    assert compiled.needs_z == (name in needing | {"sin", "cos", "square", "gaussian"})


def test_parameters_of_every_kind_compile():
    for form in ("gelu(approximate='tanh')", "leaky_relu(0.3)", "softplus(beta=2.0)", "hard_tanh(-2, 3)"):
        assert not compile_activation(find_activation(form), "float32").reason
    assert compile_activation(find_activation("leaky_relu(-0.3)"), "float32").needs_z


def helper(z):
    return np.maximum(z, OFFSET) * 2.0


def uses_helper(z, power):
    return helper(z) ** power + np.where(z > 1, z, -z)


def uses_helper_slope(z, a, power):
    return power * helper(z) ** (power - 1) * 2.0 * (z > OFFSET) + np.where(z > 1, 1.0, -1.0) + 0 * a


def test_helpers_constants_and_parameters_of_a_stranger_compile():
    activation = dagnet.Activation("stranger", uses_helper, uses_helper_slope, parameters={"power": 2.0})
    assert not compile_activation(activation, "float64").reason
    graph = nx.DiGraph([("x", "h"), ("h", "y")])
    graph.nodes["h"]["activation"] = activation
    X = np.linspace(-3, 3, 41)[:, None]
    compiled, reference = (dagnet.Network(graph, engine=e, seed=1) for e in ("compiled", "reference"))
    np.testing.assert_allclose(compiled(X), reference(X), rtol=1e-13, atol=1e-13)
    ours, theirs = compiled.gradient(X, X[:, 0]), reference.gradient(X, X[:, 0])
    np.testing.assert_allclose(ours.flat, theirs.flat, rtol=1e-12, atol=1e-12)


def test_a_negative_power_of_zero_is_infinite():
    activation = dagnet.Activation("inverse", lambda z: z**-1, lambda z, a: -(z**-2))
    assert not compile_activation(activation, "float64").reason
    graph = nx.DiGraph([("x", "h"), ("h", "y")])
    graph.nodes["h"]["activation"] = activation
    X = np.array([[1.0], [0.0], [-2.0], [4.0]])
    answers = [dagnet.Network(graph, engine=e, seed=0).forward(X)["h"] for e in ("compiled", "reference")]
    np.testing.assert_allclose(*answers)


def odd_root(z):
    return np.cbrt(np.atleast_1d(z)).reshape(z.shape)


def odd_root_slope(z, a):
    return 1 / (3 * np.cbrt(z) ** 2)


def test_numpy_runs_what_does_not_compile_and_the_listing_says_so():
    activation = dagnet.Activation("odd_root", odd_root, odd_root_slope, kinks=(0.0,))
    graph = irregular(60, 200)
    for node in list(graph)[20:30]:
        if graph.in_degree(node):
            graph.nodes[node]["activation"] = activation
    compiled, reference = (dagnet.Network(graph, engine=e, seed=0) for e in ("compiled", "reference"))
    assert "[NumPy]" in str(compiled.plan)
    assert "calls numpy.atleast_1d" in str(compiled.plan)
    X, y = rows(compiled, 50)
    ours, theirs = compiled.gradient(X, y), reference.gradient(X, y)
    np.testing.assert_allclose(ours.flat, theirs.flat, rtol=1e-9, atol=1e-9 * np.abs(theirs.flat).max())
    np.testing.assert_allclose(compiled(X), reference(X), rtol=1e-11, atol=1e-11)


def test_yes_and_yes_is_yes_in_machine_code_too():
    twice = dagnet.Activation("twice", lambda z: ((z > -9) + (z > -8)) * z)
    assert compile_activation(twice, "float64").reason == ""
    net = dagnet.Network(dagnet.layered([2, 3, 1], activation=twice), engine="compiled", seed=0)
    assert dagnet.verify(net, [[1.0, 2.0]], [0.0]).passed


def test_a_choice_of_truths_and_numbers_alone_compile():
    """Of shapes that vectors do not have by themselves."""
    for function in (
        lambda z: np.where(z > 0, z > 1, z < -1) * z,
        lambda z: np.ones_like(z) * 3.0,
        lambda z: np.where(z > 0, True, z > -1) * 2.0,
        lambda z: np.isnan(z) + np.signbit(z) * 1.0,
    ):
        assert compile_activation(dagnet.Activation("mine", function), "float32").reason == ""


# -- optimizers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        "sgd",
        "sgd(momentum=0.9, nesterov=True, weight_decay=0.01)",
        "sgd(momentum=0.9, dampening=0.1)",
        "rmsprop(centered=True, momentum=0.9)",
        "adam",
        "adam(weight_decay=0.1, betas=(0.8, 0.99))",
        "adamw",
        "adagrad(lr_decay=0.1)",
    ],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 2e-6)])
def test_the_fused_step_is_the_plain_step(form, dtype, tolerance):
    optimizer = find_optimizer(form)
    fused = dagnet.engines()["compiled"].fused_step(optimizer, dtype=dtype, threads=1)
    assert fused is not None
    rng = np.random.default_rng(0)
    plain, quick = rng.standard_normal((2, 1001)).astype(dtype)
    quick[:] = plain
    states = optimizer.start(plain), optimizer.start(quick)
    for step in range(1, 21):
        gradient = rng.standard_normal(1001).astype(dtype)
        optimizer.step(plain, gradient, states[0], step=step, learning_rate=0.01)
        fused(quick, gradient, states[1], step=step, learning_rate=0.01)
    np.testing.assert_allclose(quick, plain, rtol=tolerance, atol=tolerance)


@dataclass(frozen=True)
class Counted(dagnet.Optimizer):
    """Yes and yes add up to yes; a state that is written in place, a branch on a setting, a mask."""

    name = "counted"
    state_names = ("seen",)
    learning_rate: float = 0.01
    form: str = "all"
    pair: tuple[float, float] = (0.5, 2.0)

    def update(self, parameter, gradient, state, step, learning_rate):
        seen = state["seen"]
        seen += ((gradient > 0) + (gradient > -1)) * np.sqrt(step)
        gradient[gradient > 1] = 1.0
        if self.form == "all":
            gradient *= self.pair[1]
        return parameter - learning_rate * self.pair[0] ** step * gradient, {"seen": seen}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_rule_of_a_stranger_is_one_pass(dtype, threads, monkeypatch):

    monkeypatch.setattr(functions, "WORK_PER_THREAD", 100)
    for optimizer in (Counted(), Counted(form="some", pair=(0.9, 1.0))):
        assert optimizer.reason == ""
        assert set(optimizer.formula.arguments) >= {"pair[0]", "pair[1]", "step", "state_seen"}
        fused = dagnet.engines()["compiled"].fused_step(optimizer, dtype=dtype, threads=threads)
        plain, gradient = np.random.default_rng(0).normal(size=(2, 1001)).astype(dtype)
        quick, states = plain.copy(), (optimizer.start(plain), optimizer.start(plain))
        for step in (1, 2, 3):
            optimizer.step(plain, gradient.copy(), states[0], step=step, learning_rate=0.1)
            fused(quick, gradient, states[1], step=step, learning_rate=0.1)
        np.testing.assert_allclose(quick, plain, rtol=1e-6, atol=8 * np.finfo(dtype).eps)
        np.testing.assert_allclose(states[1]["seen"], states[0]["seen"], rtol=4 * np.finfo(dtype).eps)


@dataclass(frozen=True)
class Normalised(dagnet.Optimizer):
    name = "normalised"
    learning_rate: float = 0.01

    def update(self, parameter, gradient, state, step, learning_rate):
        return parameter - learning_rate * gradient / np.sqrt(np.sum(gradient**2)), state


def test_a_rule_that_is_not_elementwise_runs_through_numpy():
    assert "takes the sum along its array" in Normalised().reason
    assert dagnet.engines()["compiled"].fused_step(Normalised(), dtype="float64", threads=1) is None


def test_an_optimizer_that_overrides_step_is_left_alone():
    class Odd(type(find_optimizer("sgd"))):
        def step(self, *args, **kwargs):
            raise AssertionError

    assert dagnet.engines()["compiled"].fused_step(Odd(), dtype="float64", threads=1) is None


# -- the cache --------------------------------------------------------------------------------

STEP = """
import numpy as np, networkx as nx, dagnet
graph = nx.DiGraph([("x", "h"), ("h", "y"), ("x", "y")])
graph.nodes["h"]["activation"] = "tanh"
net = dagnet.Network(graph, engine="compiled", seed=0)
print(repr(net.gradient([[1.0], [2.0]], [0.5, 1.0]).flat.tolist()))
"""


def run(code, **environment):
    # warnings are left alone: numba says so where it finds no place for its cache
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_machine_code_is_kept_and_used_by_the_next_process(tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    first = run(STEP, **cache)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb[ci]")}
    assert any("dagnet-" in path.name for path in kept)
    assert run(STEP, **cache) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb[ci]")} == kept
    registries = "import sys; print('numba.np.arraymath' in sys.modules, 'scipy.linalg' in sys.modules)"
    assert run(STEP + registries, **cache) == first + "False False\n"
    compiled = "import numba; print(numba.njit(lambda a: np.sort(a).sum() + np.exp(a[0]))(np.zeros(3)))"
    assert run(STEP + "import numpy as np\n" + compiled, **cache) == first + "1.0\n"


def test_without_a_place_for_the_cache_everything_is_compiled_anew():
    nowhere = "from numba.core.caching import CacheImpl; CacheImpl._locator_classes = []\n"
    assert run(nowhere + STEP) == run(STEP)


@pytest.mark.slow
def test_a_process_killed_while_it_compiles_leaves_a_cache_that_works(tmp_path):
    import time

    cache = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    expected = run(STEP)
    for delay in np.linspace(0.3, 6.0, 20):
        process = subprocess.Popen([sys.executable, "-c", STEP], env=cache, stdout=subprocess.DEVNULL)
        time.sleep(delay)
        process.kill()
        process.wait()
    assert run(STEP, NUMBA_CACHE_DIR=str(tmp_path)) == expected


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_indices_of_64_bits_give_the_same_bits(dtype):
    """Plans of more than 2³¹ units or slots have wide tables; here a small plan is widened."""
    net = dagnet.Network(
        dagnet.layered([3, 5, 4, 1], activation="gelu"), seed=0, dtype=dtype, engine="compiled"
    )
    units = {name: getattr(net.plan, name).astype(np.int64) for name in ("sources", "targets")}
    wide = CompiledRunner(dataclasses.replace(net.plan, **units), dtype, 2)
    assert wide.program.table.dtype == np.uint64
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(100, 3)).astype(dtype), rng.normal(size=(100, 1)).astype(dtype)
    found = []
    for runner in (wide, net.runner):
        into = np.empty(net.plan.n_slots, dtype)
        loss, _ = runner.fused_gradient(net.loss)(
            net.layout.by_slot(net.parameters), X, y, np.full(100, 0.01, dtype), into=into
        )
        found.append(
            [
                into,
                np.array(loss),
                *(runner.evaluate(net.layout.by_slot(net.parameters), X[:n]) for n in (1, 100)),
            ]
        )
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("runs", [True, False])
def test_tiles_are_wide_where_parents_come_in_runs_and_leave_the_cache_anyway(monkeypatch, runs):
    for place, value in (("FAR", 0), ("FEW_EDGES", 0), ("NEAR", -1), ("IN_RUNS", 0.7 if runs else 1.0)):
        monkeypatch.setattr(f"dagnet.engine.compiled.segments.{place}", value)
    monkeypatch.setattr("dagnet.compiler.DENSE_MINIMUM", 10**9)
    graph = nx.DiGraph([("x", "a"), ("x", "b"), ("a", "b")])
    nx.set_node_attributes(graph, 20, "units")
    nets = [dagnet.Network(graph, dtype="float32", seed=0, engine=e) for e in ("compiled", "reference")]
    assert (64 in nets[0].runner.program.widths) == runs
    X, y = np.random.default_rng(0).normal(size=(2, 100, 20)).astype(np.float32)
    found, wanted = (net.gradient(X, y).flat for net in nets)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_units_that_are_alike_go_on_together_as_one_by_one(monkeypatch, dtype):
    """Terms of 7 units, too many to be blocks: fours forth, pairs back, the rest alone."""
    from dagnet import compiler
    from dagnet.engine.compiled import alike

    monkeypatch.setattr(compiler, "DENSE_MINIMUM", 10**9)
    rng, graph = np.random.default_rng(0), nx.DiGraph()
    for term in range(60):
        graph.add_node(term, units=7, activation=("tanh", "relu")[term % 2])
        parents = [f"x{k}" for k in rng.choice(40, 12, replace=False)]
        parents += rng.choice(term, 3, replace=False).tolist() if term >= 10 else []
        graph.add_edges_from((parent, term) for parent in parents)
    together = dagnet.Network(graph, seed=0, dtype=dtype)
    marks = together.runner.program.alike
    assert np.unique(marks & 15).tolist() == [0, 1, 2, 3, 4]
    assert np.unique(marks >> 4).tolist() == [0, 1, 2]
    monkeypatch.setattr(alike, "AT_LEAST", 10**9)
    apart = dagnet.Network(graph, seed=0, dtype=dtype)
    assert not apart.runner.program.alike.any()
    reference = dagnet.Network(graph, seed=0, dtype=dtype, engine="reference")
    for rows in (1, 9, 20, 70):
        X = rng.standard_normal((rows, together.plan.n_inputs)).astype(dtype)
        y = rng.standard_normal((rows, len(together.plan.outputs))).astype(dtype)
        found = [
            np.concatenate([a.ravel() for a in net.gradient(X, y).weights.values()])
            for net in (together, apart, reference)
        ]
        np.testing.assert_array_equal(found[0], found[1])
        np.testing.assert_allclose(found[0], found[2], rtol=1e-4 if dtype == "float32" else 1e-10, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("n_nodes", "n_edges"), [(40, 200), (300, 1500), (120, 5500)])
@pytest.mark.parametrize("activations", [("tanh",), ("relu", "sigmoid"), ("tanh", "gelu")])
def test_a_pass_that_writes_over_values_and_weights_gives_the_bits_of_a_walk_that_keeps_them(
    dtype, n_nodes, n_edges, activations
):
    """One tile, in the result or not, or several; outputs that others read; rows after more rows."""
    from dagnet.engine.compiled.opened import shape_of

    graph = irregular(n_nodes, n_edges, activations=activations)
    inner = [node for node in graph if graph.in_degree(node) and graph.out_degree(node)][::7]
    leaves = [node for node in graph if not graph.out_degree(node)]
    net = dagnet.Network(graph, outputs=[*leaves, *inner], seed=0, dtype=dtype, engine="compiled", threads=1)
    program, theta = net.runner.program, net.layout.by_slot(net.parameters)
    assert program.overwrites == ("gelu" not in activations)
    assert shape_of(program, len(theta), 8, 8, 1)[:2] == (True, n_edges == 5500)
    assert len(inner) > 1
    assert net.outputs == (*leaves, *inner)
    again = net.runner.fused_gradient(net.loss)
    for n in (70, 8, 3, 33, 1):
        X, y = (part.astype(dtype) for part in rows(net, n))
        factor, kept = np.full(n, 1 / n, dtype), net.gradient(X, y).flat
        for gradient in (again, net.runner.fused_gradient(net.loss)):
            into = np.full_like(theta, np.nan)
            gradient(theta, X, y, factor, into=into)
            np.testing.assert_array_equal(into, kept)
