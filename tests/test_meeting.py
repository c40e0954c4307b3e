"""Threads that share a pass wait for each other, and never for one that does not come."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

import dagnet

pytest.importorskip("numba")

from dagnet.engine.compiled import runner as compiled_runner
from dagnet.engine.compiled import threads as worker_threads

THREADS = 3


def graph_of(kind="sum", n_nodes=400, seed=0):
    """A random graph; ``kind``: an aggregation or activation of some nodes, or "block", a dense one."""
    rng = np.random.default_rng(seed)
    graph = nx.DiGraph()
    for node in range(20, n_nodes):
        graph.add_edges_from((int(parent), node) for parent in rng.choice(node, 5, replace=False))
        graph.nodes[node]["activation"] = "tanh"
        if kind == "prelu":
            graph.nodes[node]["activation"] = "prelu" if node % 2 else "gelu"
        elif kind not in ("sum", "block") and node % 3 == 0:
            graph.nodes[node]["aggregation"] = kind
    if kind == "block":
        layers = [[f"{layer}{k}" for k in range(70)] for layer in "ab"]
        graph.add_edges_from((k, name) for k, name in enumerate(layers[0]))
        graph.add_edges_from((a, b) for a in layers[0] for b in layers[1])
        nx.set_node_attributes(graph, dict.fromkeys(layers[0] + layers[1], "tanh"), "activation")
    return graph


@pytest.fixture
def spread(monkeypatch):
    """Even small work goes to several threads."""
    monkeypatch.setattr(compiled_runner, "WORK_PER_THREAD", 1)


class Step:
    """A step's loss and gradient; a second thread's has to have memory of its own."""

    def __init__(self, net, n_rows=150, seed=1):
        rng = np.random.default_rng(seed)
        self.X, self.y = (
            rng.normal(size=(n_rows, len(names))).astype(net.dtype) for names in (net.inputs, net.outputs)
        )
        self.theta, self.factor = net.layout.by_slot(net.parameters), np.full(n_rows, 1 / n_rows, net.dtype)
        self.of = net.runner.fused_gradient(net.loss)

    def __call__(self):
        into = np.full(len(self.theta), np.nan, self.theta.dtype)
        loss, _ = self.of(self.theta, self.X, self.y, self.factor, into=into)
        return loss, into


def network(kind="sum", threads=THREADS, seed=0, **arguments):
    return dagnet.Network(graph_of(kind), engine="compiled", seed=seed, threads=threads, **arguments)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["sum", "block", "prelu", "mean", "product", "max"])
def test_shared_passes_give_the_gradient_and_always_the_same_bits(spread, kind, dtype):
    alone = Step(network(kind, threads=1, dtype=dtype))()
    net = network(kind, dtype=dtype)
    assert net.runner.program.is_one_sweep
    assert net.runner.program.has_blocks == (kind == "block")
    assert net.runner.tiling(150)[1] == THREADS
    step = Step(net)
    first = step()
    np.testing.assert_allclose(first[0], alone[0], rtol=1e-5)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(first[1], alone[1], rtol=0, atol=256 * eps * np.abs(alone[1]).max())
    for _ in range(30):
        loss, gradient = step()
        assert loss == first[0]
        np.testing.assert_array_equal(gradient, first[1])


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
@pytest.mark.parametrize("failing", range(THREADS))
def test_a_part_that_does_not_come_keeps_nobody_waiting(spread, failing, error):
    step = Step(network())
    right = step()
    gradient, whole = step.of, step.of._pass

    def fails(table, theta):
        if table is tables[failing]:
            raise error("here")
        return whole(table, theta)

    tables = [call[0] for call in gradient._calls]
    gradient._pass = fails
    with pytest.raises(error, match="here"):
        step()
    gradient._pass = whole
    for _ in range(3):
        loss, found = step()
        assert loss == right[0]
        np.testing.assert_array_equal(found, right[1])


def test_an_interrupt_before_the_first_part_begins_keeps_nobody_waiting(spread, monkeypatch):
    step = Step(network())
    right = step()
    run = compiled_runner.run_parts

    def interrupted(task, n):
        def first_fails(part):
            if part == 0:
                raise KeyboardInterrupt
            task(part)

        run(first_fails, n)

    with monkeypatch.context() as patch:
        patch.setattr("dagnet.engine.compiled.gradients.run_parts", interrupted)
        with pytest.raises(KeyboardInterrupt):
            step()
    np.testing.assert_array_equal(step()[1], right[1])


def test_callers_do_not_wait_crosswise(spread):
    net, wrong = network(), []
    right = Step(net)()[1]

    def call():
        step = Step(net)
        wrong.extend(number for number in range(100) if not np.array_equal(step()[1], right))

    callers = [threading.Thread(target=call, daemon=True) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=120)
    assert not any(caller.is_alive() for caller in callers)
    assert not wrong


def test_workers_that_do_something_else_are_not_waited_for(spread):
    step, free, busy = Step(network()), threading.Event(), threading.Semaphore(0)
    right = step()

    def occupy(part):
        busy.release()
        free.wait()

    other = threading.Thread(target=lambda: worker_threads.run_parts(occupy, THREADS))
    other.start()
    for _ in range(THREADS):
        busy.acquire()
    try:
        for _ in range(3):
            loss, gradient = step()
            assert loss == right[0]
            np.testing.assert_array_equal(gradient, right[1])
    finally:
        free.set()
        other.join()


def test_a_signal_may_predict_between_a_part_that_is_handed_over_and_the_first(spread, monkeypatch):
    step, other = Step(network()), network(seed=3)
    right = step()
    X = np.random.default_rng(0).normal(size=(200, len(other.inputs)))
    expected = other.predict(X)

    class Interrupted(worker_threads.SimpleQueue):
        inside = False

        def put(self, item):
            super().put(item)
            if not Interrupted.inside:
                Interrupted.inside = True
                np.testing.assert_array_equal(other.predict(X), expected)
                Interrupted.inside = False

    for worker in worker_threads._workers:
        monkeypatch.setattr(worker, "inbox", Interrupted())
    loss, gradient = step()
    assert loss == right[0]
    np.testing.assert_array_equal(gradient, right[1])


def test_batches_of_other_sizes_have_memory_enough():
    graph = nx.DiGraph()
    rng = np.random.default_rng(0)
    for node in range(50, 3000):
        graph.add_edges_from((int(parent), node) for parent in rng.choice(node, 10, replace=False))
    one, two = (
        dagnet.Network(graph, seed=0, engine="compiled", threads=threads, dtype="float32")
        for threads in (1, 2)
    )
    sizes = [33, 129, 65, 1, 300, 40]
    assert len({two.runner.tiling(size) for size in sizes}) > 3
    steps = [Step(net).of for net in (one, two)]
    for size in sizes:
        found = []
        for net, of in zip((one, two), steps, strict=True):
            step = Step(net, size)
            step.of = of
            found.append(step())
        np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-5)
        np.testing.assert_allclose(found[1][1], found[0][1], rtol=0, atol=1e-4 * np.abs(found[0][1]).max())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_is_forked_off_during_a_pass_makes_its_own(spread):
    step, done = Step(network()), threading.Event()
    right = step()[1]

    def go_on():
        while not done.is_set():
            step()

    other = threading.Thread(target=go_on)
    other.start()
    try:
        for _ in range(5):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
                child = os.fork()
            if child == 0:
                os._exit(0 if np.array_equal(step()[1], right) else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        done.set()
        other.join()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs a processor of choice")
def test_threads_that_have_one_processor_between_them_come_to_an_end():
    script = f"""
        import os, sys
        os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_meeting
        test_meeting.compiled_runner.WORK_PER_THREAD = 1
        step = test_meeting.Step(test_meeting.network())
        losses = {{step()[0] for _ in range(200)}}
        assert len(losses) == 1, losses
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=300)
