"""``fit`` of batches: the bits of ``fit`` of all rows in their order, in the memory of two of them."""

import tracemalloc

import networkx as nx
import numpy as np
import pytest

import dagnet

SIZE, ROWS = 8, 37


class Source:
    """(X, y) or (X, y, w), a batch at a time, anew for each epoch; it counts what it was asked for."""

    def __init__(self, *data, size=SIZE):
        self.data, self.size, self.given = data, size, 0

    def __iter__(self):
        for start in range(0, len(self.data[-1]), self.size):
            self.given += 1
            yield tuple(taken(one, slice(start, start + self.size)) for one in self.data)


def taken(one, rows):
    return {name: column[rows] for name, column in one.items()} if isinstance(one, dict) else one[rows]


def graph(activation="tanh", **hidden):
    result = nx.DiGraph()
    edges = [("a", "h"), ("b", "h"), ("h", "k"), ("a", "k"), ("k", "y"), ("h", "y"), ("k", "z"), ("b", "z")]
    result.add_edges_from(edges)
    for node in "hk":
        result.nodes[node].update(activation=activation, **hidden)
    return result


def data(seed=0, rows=ROWS):
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(rows, 2))
    return X, np.column_stack([np.tanh(X[:, 0]), X[:, 0] * X[:, 1]])


def both(made, X, y, *weight, **how):
    """The same network trained in both ways, and their histories."""
    how = {"epochs": 4, "seed": 3, **how}
    nets = made(), made()
    whole = nets[0].fit(X, y, batch_size=SIZE, shuffle=False, sample_weight=[*weight, None][0], **how)
    return nets, (whole, nets[1].fit(Source(X, y, *weight), **how))


def assert_same(nets, histories):
    assert nets[0].vector.tobytes() == nets[1].vector.tobytes()
    assert list(histories[0]) == list(histories[1])
    for name, column in histories[0].items():
        np.testing.assert_array_equal(column, histories[1][name], name)


@pytest.mark.parametrize("engine", ["compiled", "reference"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("hidden", "how"),
    [
        ({}, {}),
        ({"dropout": 0.3}, {}),
        ({"normalization": "batch"}, {}),
        ({"aggregation": "product", "activation": "prelu"}, {"optimizer": "sgd(momentum=0.9)"}),
        ({"aggregation": "max", "trainable": False}, {"l1": 0.01, "l2": 0.02, "clip_norm": 0.5}),
        ({}, {"validation_data": data(1), "metrics": ["r2"]}),
    ],
)
def test_it_is_the_bits_of_all_rows_in_order(engine, dtype, hidden, how):
    def made():
        return dagnet.Network(graph(**hidden), engine=engine, dtype=dtype, seed=1)

    assert_same(*both(made, *data(), **how))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("heads", [None, {"y": "huber", "z": "squared_error"}])
def test_weights_are_on_one_scale_over_all_batches(heads, dtype):
    weight = np.random.default_rng(2).uniform(0, 5, ROWS) * np.repeat([1.0, 100.0], [20, 17])
    assert_same(
        *both(
            lambda: dagnet.Network(graph(), loss=heads or "squared_error", dtype=dtype, seed=1),
            *data(),
            weight,
        )
    )


@pytest.mark.parametrize("heads", [None, {"y": "huber", "z": "squared_error"}])
def test_labels_may_be_missing_even_from_a_whole_batch(heads):
    X, y = data()
    y[np.random.default_rng(4).random(y.shape) < 0.3] = np.nan
    y[8:16], y[16:24, 1] = np.nan, np.nan
    if heads is None:
        y[np.isnan(y).any(axis=1)] = np.nan
    assert_same(
        *both(lambda: dagnet.Network(graph(), loss=heads or "squared_error", seed=1), X, y, missing="skip")
    )


class Stop(dagnet.Callback):
    """Stops after so many batches in all."""

    def __init__(self, after):
        self.left = after

    def on_batch_end(self, run):
        self.left -= 1
        run.stop |= not self.left


@pytest.mark.parametrize("after", [3, 5, 7, 10])
def test_a_run_goes_on_amid_an_epoch_where_it_was_stopped(tmp_path, after):
    def made():
        return dagnet.Network(graph(dropout=0.2), seed=1)

    path, (X, y), nets = tmp_path / "run", data(), (made(), made(), made())
    histories = [nets[0].fit(Source(X, y), epochs=3, seed=2)]
    kept = {"epochs": 3, "seed": 2, "callbacks": [dagnet.Checkpoint(path)]}
    nets[1].fit(Source(X, y), **kept | {"callbacks": [Stop(after), *kept["callbacks"]]})
    histories.append(nets[2].fit(Source(X, y), resume=path, **kept))
    assert_same(nets[::2], histories)
    with pytest.raises(dagnet.DataError, match="different: the data"):
        made().fit(X, y, resume=path, shuffle=False, **kept)


def test_memory_is_that_of_two_batches():
    class Made:
        def __iter__(self):
            draw = np.random.default_rng(0)
            for _ in range(30):
                yield draw.normal(size=(2000, 200)), np.ones((2000, 1))

    net = dagnet.Network(dagnet.layered([200, 1]), seed=0)
    net.fit(list(zip([np.ones((4, 200))], [np.ones((4, 1))], strict=True)), epochs=1)
    tracemalloc.start()
    net.fit(Made(), epochs=2, learning_rate=1e-3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.2 * 2000 * 200 * 8  # of 60 such batches: an engine keeps the last until the next comes


GOOD = ([[1.0, 2.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]])


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "epoch 1: X must .*batches with rows"),
        ([GOOD, np.ones((2, 2))], "epoch 1, batch 2 must be"),
        ([GOOD, (GOOD[0],)], r"epoch 1, batch 2 must be \(X, y\) or .*1 items"),
        ([GOOD, None], "epoch 1, batch 2 must be .*None"),
        ([GOOD, ([[1.0]], [[1.0, 2.0]])], "epoch 1, batch 2: X"),
        ([GOOD, (GOOD[0], [1.0])], "epoch 1, batch 2: y"),
        ([GOOD, ({"a": [1.0]}, [[1.0, 2.0]])], "epoch 1, batch 2: X: no column 'b'"),
        ([GOOD, ([[np.inf, 2.0]], [[1.0, 2.0]])], "epoch 1, batch 2: X: row 0, column 'a'"),
        (np.ones((3, 2)), "epoch 1, batch 1 must be"),
        (3, "X must be without y, an iterable"),
        ((GOOD for _ in range(2)), "anew in each epoch.*epochs=1"),
    ],
)
def test_what_is_wrong_is_said_by_number_and_nothing_is_changed(batches, message):
    net = dagnet.Network(graph(), seed=1)
    history = net.fit(*GOOD, epochs=1)
    before = net.vector.copy()
    with pytest.raises(dagnet.DataError, match=message):
        net.fit(batches, epochs=2)
    assert net.vector.tobytes() == before.tobytes()
    assert net.history is history


def test_a_lone_row_is_refused_where_rows_are_normalised():
    net = dagnet.Network(graph(normalization="batch"), seed=1)
    with pytest.raises(dagnet.DataError, match=r"batch 5: node 'h' is normalised .* X has one row"):
        net.fit(Source(*data(rows=33)))


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ({"shuffle": True}, "shuffle"),
        ({"batch_size": 3}, "batch_size"),
        ({"standardize": True}, "standardize"),
        ({"sample_weight": np.ones(2)}, "sample_weight"),
        ({"class_weight": "balanced"}, "class_weight"),
        ({"optimizer": "lbfgs"}, "an optimizer that searches"),
        ({"metrics": ["r2"]}, "metrics of X"),
    ],
)
def test_what_needs_all_rows_is_refused_before_a_batch_is_asked_for(how, name):
    source, net = Source(*data()), dagnet.Network(graph(), seed=1)
    with pytest.raises(dagnet.DataError, match=f"leave out {name}"):
        net.fit(source, **how)
    assert not source.given


def test_a_generator_serves_for_one_epoch_and_an_exhausted_one_is_refused():
    class Once:
        def __init__(self):
            self.items = iter([GOOD, GOOD])

        def __iter__(self):
            return self.items

    net = dagnet.Network(graph(), seed=1)
    assert net.fit((GOOD for _ in range(2)), epochs=1).epochs == 1
    with pytest.raises(dagnet.DataError, match=r"epoch 2: X must .*anew in each epoch, got 0 batches"):
        net.fit(Once(), epochs=2)


def test_frames_by_name():
    X, y = data()
    table = {"other": X[:, 0], "b": X[:, 1], "a": X[:, 0]}
    nets = [dagnet.Network(graph(), seed=1) for _ in range(2)]
    histories = [nets[0].fit(Source(X, y), epochs=2), nets[1].fit(Source(table, y), epochs=2)]
    assert_same(nets, histories)
