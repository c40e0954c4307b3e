"""Predictions of many networks at once, one after the other, and where their answers lie."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import networkx as nx
import numpy as np
import pytest

import dagnet

pytest.importorskip("numba")

from dagnet.engine.compiled import answers, parts, runner

ACTIVATIONS = ("relu", "tanh", "gelu", "prelu", "sigmoid", "identity")
NUMBERS = 2_048
"""Of a tile's values that stay near, here: those of some of the small networks."""


def union(n=30, seed=0):
    """Small networks that share inputs, with one of their own and one to three outputs each; by outputs."""
    rng, graph, outputs = np.random.default_rng(seed), nx.DiGraph(), []
    for k in range(n):
        names = ["x0", "x1", "x2", f"own{k}"]
        size = int(rng.integers(6, 14))
        for i in range(size):
            node, picked = f"n{k}.{i}", {names[j] for j in rng.integers(0, len(names), 3)} | {names[-1]}
            graph.add_edges_from((parent, node) for parent in sorted(picked))
            graph.nodes[node]["activation"] = ACTIVATIONS[int(rng.integers(len(ACTIVATIONS)))]
            names.append(node)
        outputs.append([f"n{k}.{i}" for i in range(size - 1, size - 2 - k % 3, -1)])
    return graph, outputs


def flat(outputs):
    return list(chain.from_iterable(outputs))


@pytest.fixture
def always(monkeypatch):
    """From the call on: parts, several threads and kept memory, however little there is."""

    def begin(dtype="float64"):
        for place in ("WORTH", "WORK_PER_THREAD", "CACHED", "LARGE"):
            monkeypatch.setattr(runner, place, 1)
        monkeypatch.setattr(parts, "PART", NUMBERS * np.dtype(dtype).itemsize)

    return begin


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_part_after_part_gives_the_same_bits(always, dtype, threads):
    sparse = pytest.importorskip("scipy.sparse")
    graph, outputs = union()
    graph.add_edges_from([("x0", "aside"), ("aside", "behind")])  # no output of theirs: nobody asks for them
    wanted = flat([*outputs[:9], ["x1"], *outputs[9:]])  # one is an input
    settings = {"outputs": wanted, "seed": 0, "dtype": dtype, "threads": threads}
    plain, truth = (dagnet.Network(graph, engine=name, **settings) for name in ("compiled", "reference"))
    rng, given = np.random.default_rng(1), []
    for n_rows in (5, 70, 333, 128):
        X = rng.standard_normal((n_rows, len(plain.inputs))).astype(dtype)
        X[rng.random(X.shape) < 0.5] = 0
        given.append((X, plain(X)))
        np.testing.assert_allclose(given[-1][1], truth(X), rtol=1e-4, atol=1e-4)
    assert "_parts" not in vars(plain.runner)
    always(dtype)
    net = dagnet.Network(graph, engine="compiled", **settings)
    for X, expected in given:
        for form in (X, np.asfortranarray(X), sparse.csr_matrix(X)):
            np.testing.assert_array_equal(net(form), expected)
    found = net.runner._parts
    assert len(found.kept["parts"]) > 2
    assert found.n_units < net.plan.n_units - 100
    vars(net.runner)["_parts"] = found._replace(slots=found.slots[::-1])  # had it not been these all along
    assert not np.array_equal(net(X), expected)


def test_nan_is_refused_by_row_and_name_in_parts(always):
    graph, outputs = union()
    always()
    net = dagnet.Network(graph, outputs=flat(outputs), engine="compiled", seed=0)
    X = np.zeros((100, len(net.inputs)))
    net(X)
    assert net.runner._parts
    X[37, 20] = np.nan
    with pytest.raises(dagnet.DataError, match=f"X: row 37, column '{net.inputs[20]}'"):
        net(X)


def apart(outputs):
    """Outputs of one network are not side by side."""
    return [own[0] for own in outputs] + flat(own[1:] for own in outputs)


def test_what_has_no_parts_is_left_whole(always, monkeypatch):
    graph, outputs = union()
    wanted = flat(outputs)
    joined, summed = graph.copy(), graph.copy()
    joined.add_edges_from(("n0.0", f"n{k}.1") for k in range(1, 30))
    summed.nodes["n3.2"]["aggregation"] = "max"
    kinds = (graph, apart(outputs)), (joined, wanted), (summed, wanted)
    always()
    for one, names in kinds:
        net, truth = (dagnet.Network(one, outputs=names, engine=e, seed=0) for e in ("compiled", "reference"))
        X = np.random.default_rng(0).standard_normal((100, len(net.inputs)))
        np.testing.assert_allclose(net(X), truth(X), rtol=1e-9)
        assert net.runner._parts is None
    monkeypatch.setattr(runner, "CACHED", 10**6)
    net = dagnet.Network(graph, outputs=wanted, engine="compiled", seed=0)
    net(X)
    assert "_parts" not in vars(net.runner)


def test_parts_are_looked_for_once_so_many_rows_are_predicted(monkeypatch):
    graph, outputs = union()
    monkeypatch.setattr(runner, "CACHED", 0)
    net = dagnet.Network(graph, outputs=flat(outputs), engine="compiled", seed=0)
    for n_rows, there in ((5, False), (runner.WORTH, False), (63, False), (64, True)):
        net(np.zeros((n_rows, len(net.inputs))))
        assert ("_parts" in vars(net.runner)) == there


# -- memory of answers ------------------------------------------------------------------------


def address(array):
    return array.ctypes.data


def test_memory_of_an_answer_that_nobody_holds_serves_the_next(always):
    always()
    graph, outputs = union()
    net = dagnet.Network(graph, outputs=flat(outputs), engine="compiled", seed=0)
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 100, len(net.inputs)))
    first = net(one)
    kept, place, column = first.copy(), address(first), first.T[3:5, ::2]
    assert first.flags.c_contiguous
    assert first.flags.writeable
    del first
    second = net(other)  # a view is held: the memory is not free
    assert address(second) != place
    np.testing.assert_array_equal(column, kept.T[3:5, ::2])
    del column
    third = net(one)
    assert address(third) == place
    np.testing.assert_array_equal(third, kept)
    np.testing.assert_array_equal(second, net(other))
    del third
    assert address(net(one[:70])) != place  # of another size
    assert len(net(one)) == 100


def test_answers_outlive_their_network_and_need_no_more_than_one_memory():
    free = answers.Answers("float64")
    one, two = free.empty((50, 2)), free.empty((50, 2))
    one[:], two[:] = 1, 2
    assert one.shape == (50, 2)
    place = address(one)
    del one
    third = free.empty((50, 2))
    assert address(third) == place
    del third, two
    assert len(free._free) == 1
    last = free.empty((50, 2))
    last[:] = 3
    del free
    assert last.min() == last.max() == 3
    assert answers.Answers("float32").empty((0, 2)).shape == (0, 2)


def test_memory_of_very_large_answers_is_given_back(monkeypatch):
    monkeypatch.setattr(answers, "MOST", 100)
    assert answers.Answers("float64").empty((50, 2)).base is None


def test_threads_that_ask_at_once_have_memories_of_their_own(always):
    always()
    graph, outputs = union()
    net = dagnet.Network(graph, outputs=flat(outputs), engine="compiled", seed=0)
    X = np.random.default_rng(0).standard_normal((8, 70, len(net.inputs)))
    expected = [net(rows).copy() for rows in X]

    def ask(k):
        return [k for _ in range(200) if not np.array_equal(net(X[k]), expected[k])]

    with ThreadPoolExecutor(8) as pool:
        assert not flat(pool.map(ask, range(8)))
