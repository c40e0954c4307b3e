"""Rows, labels and columns as people have them: right by name, or refused with where and what to do."""

import math
import tracemalloc

import networkx as nx
import numpy as np
import pandas as pd
import pytest

import dagnet
from dagnet.arrays import memory_bytes
from dagnet.topology import fingerprint

FRAME = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0]}, index=list("pqrs"))
TURNED = pd.Series([40.0, 30.0, 20.0, 10.0], index=list("srqp"))


def line(**options):
    return dagnet.Network(nx.DiGraph([("a", "t")]), seed=0, **options)


@pytest.mark.parametrize("values", [TURNED, TURNED.to_frame("t")])
def test_labels_in_another_order_are_put_into_that_of_x(values):
    net = line()
    net.fit(FRAME, values, epochs=3000, batch_size=4, learning_rate=0.05, validation_data=(FRAME, values))
    assert net.weights["a", "t"] == pytest.approx(10.0, abs=0.02)
    assert net.history["validation_loss"][-1] == pytest.approx(0.0, abs=1e-3)
    assert net.evaluate(FRAME, values) == pytest.approx(0.0, abs=1e-3)
    weights = pd.Series([0.0, 0.0, 0.0, 1.0], index=list("srqp"))  # p alone
    plain = net.gradient(FRAME, TURNED * 2, sample_weight=weights).biases["t"]
    assert plain == pytest.approx(net.gradient([[1.0]], [20.0]).biases["t"])


def test_other_labels_are_refused_and_nothing_changes():
    net = line()
    before = net.parameters.copy()
    for index in ("pqrx", "ppqr"):
        with pytest.raises(dagnet.DataError, match=r"y: its index must be .* y\.to_numpy\(\)"):
            net.fit(FRAME, pd.Series([1.0, 2.0, 3.0, 4.0], index=list(index)))
    np.testing.assert_array_equal(net.parameters, before)


HALF = pd.IntervalIndex.from_tuples([(0, 2), (1, 3), (2, 4), (3, 5)])
BERLIN = pd.DatetimeIndex(["2020-01-01"] * 4, tz="Europe/Berlin")


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        (pd.Index([1, 1, pd.NA, 2], dtype="Int64"), pd.Index([1, 1, 2, pd.NA], dtype="Int64")),
        (pd.Index([1, 1, pd.NA, 2], dtype=object), pd.Index([1, 1, 2, pd.NA], dtype=object)),
        (pd.Index([1.0, np.nan, np.nan, 2.0]), pd.Index([1.0, np.nan, 2.0, np.nan])),
        (pd.MultiIndex.from_product([[0, 1], ["x", "y"]]), pd.Index([0, 1, 2, 3])),
        (HALF, HALF[::-1]),
        (pd.Index([[1], [2], [3], [4]]), pd.Index([[2], [1], [3], [4]])),
    ],
)
def test_labels_that_find_no_rows_are_refused_whatever_they_are(own, wanted):
    with pytest.raises(dagnet.DataError, match=r"y: its index must be the index of X.* y\.to_numpy\(\)"):
        line().evaluate(FRAME.set_axis(wanted), pd.Series([1.0, 2.0, 3.0, 4.0], index=own))


def test_the_same_labels_of_another_type_are_the_same():
    y = pd.Series([1.0, 2.0, 3.0, 4.0], index=BERLIN.tz_convert("UTC"))
    assert line().evaluate(FRAME.set_axis(BERLIN), y) == line().evaluate(FRAME, y.to_numpy())


@pytest.mark.parametrize("suffix", [".json", ".csv", ".html"])
def test_files_have_the_gradients_of_rows_that_belong_together(tmp_path, suffix):
    net, path = line(), tmp_path / f"net{suffix}"
    written = []
    for y in (TURNED, TURNED[::-1]):
        net.export(path, FRAME, y)
        written.append(path.read_bytes())
    assert written[0] == written[1]


def test_a_table_that_gives_no_columns_is_refused_by_name():
    class Lazy:
        columns = ("a",)

        def __getitem__(self, name):
            raise TypeError("not subscriptable")

    with pytest.raises(dagnet.DataError, match="X: Lazy gives no column 'a': TypeError; pass a data frame"):
        line().predict(Lazy())


def test_labels_that_may_be_mere_positions_are_said_to_be_taken():
    frame = FRAME.set_axis([2, 0, 3, 1])
    with pytest.warns(dagnet.DagnetWarning, match="put into X's order"):
        assert line().gradient(frame, pd.Series([3.0, 1.0, 4.0, 2.0])).loss == pytest.approx(
            line().gradient(FRAME, [4.0, 3.0, 2.0, 1.0]).loss
        )


def test_an_array_with_its_columns_names_is_a_table():
    graph = nx.DiGraph([("d", "P1"), ("c", "P1"), ("b", "P2"), ("a", "P2"), ("P1", "y"), ("P2", "y")])
    X, y = np.random.default_rng(0).normal(size=(20, 5)), np.arange(20.0)
    by_name, by_place = (dagnet.Network(graph, seed=0) for _ in range(2))
    by_name.fit(X, y, columns=["a", "b", "spare", "c", "d"], epochs=2, seed=0, validation_data=(X, y))
    by_place.fit(X[:, [4, 3, 1, 0]], y, epochs=2, seed=0)
    np.testing.assert_array_equal(by_name.parameters, by_place.parameters)
    graph.nodes["a"]["units"] = 2
    wide = dagnet.Network(graph, seed=0)
    wide.fit(X, y, columns=iter(["b", "a", "c", "a", "d"]), epochs=1, standardize=True)
    for columns in (list("abc"), "abcde", 5, set("abcde")):
        with pytest.raises(dagnet.DataError, match="columns must be a list of names, one for each column"):
            by_name.fit(X, y, columns=columns)
    with pytest.raises(dagnet.DataError, match="leave columns out"):
        by_name.fit(pd.DataFrame(X, columns=list("abcde")), y, columns=list("abcde"))
    with pytest.raises(dagnet.DataError, match=r"columns\[1\] must be the name of a column, got \['b'\]"):
        by_name.fit(X, y, columns=["a", ["b"], "c", "d", "e"])


TABLES = {
    "in order": lambda X: pd.DataFrame(X, columns=list("abc")),
    "mixed": lambda X: pd.DataFrame(X[:, [2, 0, 1, 1]], columns=list("cazb"))[list("zcba")],
    "float32": lambda X: pd.DataFrame(X.astype(np.float32), columns=list("abc"))[["b", "a", "c"]],
    "whole": lambda X: pd.DataFrame(X.astype(np.int64), columns=list("abc")),
    "truths": lambda X: pd.DataFrame(X > 0, columns=list("abc")),
    "of all kinds": lambda X: pd.DataFrame({"b": X[:, 1] > 0, "c": X[:, 2].astype(int), "a": X[:, 0]}),
    "with text": lambda X: pd.DataFrame({"t": "x", "b": X[:, 1], "c": X[:, 2], "a": X[:, 0]}),
    "pandas' own": lambda X: pd.DataFrame(X, columns=list("abc")).convert_dtypes(),
    "twice elsewhere": lambda X: pd.DataFrame(X[:, [0, 1, 2, 2, 2]], columns=list("abczz")),
}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_columns_of_frames_are_those_of_their_names_whatever_they_hold(kind, dtype):
    net = dagnet.Network(nx.DiGraph([("a", "t"), ("b", "t"), ("c", "t")]), seed=0, dtype=dtype)
    table = TABLES[kind](np.random.default_rng(0).normal(size=(5, 3)) * 9)
    columns = [np.asarray(table[name], np.float64) for name in "abc"]
    wanted = net(np.column_stack(columns))
    np.testing.assert_array_equal(net(table), wanted)
    before = table.copy()
    net.fit(table, np.zeros(5), epochs=2, batch_size=2, standardize=True)
    pd.testing.assert_frame_equal(table, before)


class Doubled(pd.DataFrame):
    """A frame that reads a column in a way of its own."""

    def __getitem__(self, name):
        return 2 * super().__getitem__(name)


class FrameLike:
    """A table with ``iloc`` and ``columns`` that is none of pandas."""

    columns, iloc = ["a", "b"], ()

    def __init__(self, X):
        self.of = dict(zip("ab", X.T, strict=True))

    def __len__(self):
        return len(self.of["a"])

    def __getitem__(self, name):
        return self.of[name]


def test_a_table_of_a_kind_of_its_own_is_asked_for_its_columns():
    net = dagnet.Network(nx.DiGraph([("a", "t"), ("b", "t")]), seed=0)
    X = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_array_equal(net(Doubled(X, columns=list("ab"))), net(2 * X))
    np.testing.assert_array_equal(net(FrameLike(X)), net(X))
    xarray = pytest.importorskip("xarray")
    with_rows = xarray.Dataset({"a": ("row", X[:, 0]), "b": ("row", X[:, 1])})
    np.testing.assert_array_equal(net(with_rows), net(X))


def test_a_column_that_a_frame_has_twice_is_refused_by_name():
    net = dagnet.Network(nx.DiGraph([("a", "t"), ("b", "t")]), seed=0)
    with pytest.raises(dagnet.DataError, match=r"X: column 'a' must be of shape \(rows,\)"):
        net(pd.DataFrame(np.ones((2, 3)), columns=["a", "a", "b"]))
    with pytest.raises(dagnet.DataError, match="X: column 'a' must be real numbers"):
        net(pd.DataFrame({"a": ["1", "2"], "b": ["1", "2"]}))


def test_names_of_columns_come_from_any_iterable_and_are_forgotten_where_the_run_is_refused():
    graph = nx.DiGraph([("a", "y"), ("b", "y")])
    X, y = np.random.default_rng(0).normal(size=(6, 2)), np.arange(6.0)
    frame = pd.DataFrame(X, columns=["b", "a"])
    wanted = dagnet.Network(graph, seed=0)
    wanted.fit(frame, y, epochs=2, seed=0, standardize=True)
    for columns in (["b", "a"], iter("ba"), frame.columns):
        net = dagnet.Network(graph, seed=0)
        net.fit(X, y, columns=columns, validation_data=(frame, y), epochs=2, seed=0, standardize=True)
        np.testing.assert_array_equal(net.parameters, wanted.parameters)
    net = dagnet.Network(graph, seed=0)
    before = net.predict(X)
    with pytest.raises(FileNotFoundError):
        net.fit(X, y, columns=["b", "a"], standardize=True, resume="no such file.dagnet")
    np.testing.assert_array_equal(net.predict(X), before)


def test_columns_of_wide_inputs_in_their_order_are_no_news():
    graph = nx.DiGraph([("v", "y"), ("b", "y")])
    graph.nodes["v"]["units"] = 2
    net, X, y = dagnet.Network(graph, seed=0), np.random.default_rng(0).normal(size=(6, 3)), np.arange(6.0)
    net.fit(X, y, columns=["v", "v", "b"], epochs=1)
    net.predict(X)
    net.fit(X, y, columns=["v", "b", "v"], epochs=1)
    with pytest.raises(dagnet.DataError, match=r"pass \{name: columns"):
        net.predict(X)


def test_words_are_the_outputs_of_their_names():
    net = dagnet.Network(nx.DiGraph([("x", "cat"), ("x", "dog")]), loss="cross_entropy", seed=0)
    X = [[1.0], [2.0], [3.0]]
    wanted = net.evaluate(X, [1, 0, 1])
    for words in (["dog", "cat", "dog"], np.array(["dog", "cat", "dog"]), pd.Series(["dog", "cat", "dog"])):
        assert net.evaluate(X, words) == wanted
    with pytest.raises(dagnet.DataError, match=r"y: row 1: no output is named 'cats'; did you mean 'cat'"):
        net.evaluate(X, ["dog", "cats", "dog"])


def test_outputs_that_nobody_meant_are_named():
    net = dagnet.Network(nx.DiGraph([("x", "y"), ("x", "stray")]), seed=0)
    with pytest.raises(dagnet.DataError, match=r"outputs are \['y', 'stray'\]; Network\(outputs"):
        net.fit([[1.0], [2.0]], [1.0, 2.0])


def test_text_is_no_number_whatever_its_dtype():
    for column in (np.array(["1", "2"]), np.array(["1", "2"], object), pd.Series(["1", "2"])):
        with pytest.raises(dagnet.DataError, match="column 'a' must be real numbers"):
            line()({"a": column})


def test_numbers_that_float32_cannot_hold_are_refused():
    net = line(dtype="float32")
    for call in (lambda: net([[1e300]]), lambda: net.fit([[1.0]], [1e300])):
        with pytest.raises(
            dagnet.DataError, match=r"row 0, column .* must be finite in float32, got 1e\+300"
        ):
            call()
    assert np.isinf(net([[np.inf]])).all()


def test_a_frame_of_one_column_is_a_sample_weight():
    weights = pd.DataFrame({"w": [1.0, 2.0, 3.0, 4.0]}, index=FRAME.index)
    wanted = line().evaluate(FRAME, TURNED, sample_weight=[1.0, 2.0, 3.0, 4.0])
    assert line().evaluate(FRAME, TURNED, sample_weight=weights) == wanted


SIDE = math.isqrt(memory_bytes() // 32)  # weights of which the numbers alone would fit


@pytest.mark.parametrize(
    ("units", "where"),
    [((10**6, 10**6), "edge 'a'"), ((2**31 - 1, 1), "edge 'a'"), ((SIDE, SIDE), "edge 'a'")],
)
def test_sizes_are_checked_before_memory_is_taken(units, where):
    graph = nx.DiGraph([("a", "t")])
    nx.set_node_attributes(graph, dict(zip("at", units, strict=True)), "units")
    with pytest.raises(dagnet.GraphError, match=rf"need at least [\d.,]+ GiB, this machine has .* {where}"):
        dagnet.Network(graph)


def test_numbers_of_nodes_are_numbers_that_fit():
    huge = np.array([0, 2**63], np.uint64)
    for sources in (huge, [0, 2**31 - 2], np.ma.array([0, 1], mask=[False, True])):
        with pytest.raises(dagnet.DataError, match=r"node numbers|masked"):
            dagnet.Network.from_arrays(sources, [1, 2])


def test_dtypes_of_other_byte_order_are_the_machines():
    net = line(dtype=">f8")
    assert net.dtype == np.float64
    assert net.dtype.isnative
    assert line(dtype="<f4")([[1.0]]).dtype == np.float32


def test_parameters_cannot_be_resized_away():
    with pytest.raises(ValueError, match="does not own"):
        line().parameters.resize(1, refcheck=False)


def test_the_base_of_optimizers_is_none():
    for optimizer in (dagnet.Optimizer, dagnet.Optimizer()):
        with pytest.raises(dagnet.PluginError, match="subclass with update"):
            line().fit([[1.0]], [1.0], optimizer=optimizer)


def test_what_fit_was_told_of_columns_is_not_forgotten():
    graph = nx.DiGraph([("a", "y"), ("b", "y")])
    X, y = np.array([[1.0, 20.0], [2.0, 40.0], [3.0, 10.0]]), [40.0, 80.0, 20.0]
    net = dagnet.Network(graph, seed=0)
    net.fit(X, y, columns=["b", "a"], epochs=1)
    calls = (net, net.predict, net.forward, net.standardize, lambda X: net.evaluate(X, y))
    for call in (*calls, lambda X: net.fit(X, y), lambda X: net.fit(X, y, standardize=True)):
        with pytest.raises(dagnet.DataError, match="fit was told what its columns are"):
            call(X)
    assert not net.topology.center.any()
    assert net.predict({"a": X[:, 1], "b": X[:, 0]}).shape == (3, 1)
    net.fit(X[:, ::-1], y, columns=net.inputs, epochs=1)
    assert net.predict(X[:, ::-1]).shape == (3, 1)
    frame = pd.DataFrame(X, columns=["b", "a"])
    with pytest.raises(dagnet.DataError, match="validation_data: X has no names, and that of fit has"):
        net.fit(frame, y, validation_data=(X, y))


def test_what_other_libraries_call_it_is_told():
    for name, here in (("mse", "squared_error"), ("BCE", "binary_cross_entropy_with_logits")):
        with pytest.raises(dagnet.PluginError, match=f"here it is '{here}'"):
            line(loss=name)
    with pytest.raises(dagnet.PluginError, match="here it is 'identity'"):
        line(activation="linear")


def test_an_activation_of_the_network_is_that_of_a_layered_graph():
    net = dagnet.Network(dagnet.layered([2, 2, 1]), activation="tanh", seed=0)
    assert {attributes.get("activation") for _, attributes in net.to_networkx().nodes(data=True)} == {
        None,
        "tanh",
        "identity",
    }


def test_an_optimizer_that_is_no_dataclass_is_told_so():
    class Mine(dagnet.Optimizer):
        name = "mine"

        def update(self, parameter, gradient, state, step, learning_rate):
            return parameter - learning_rate * gradient, {}

    with pytest.raises(dagnet.PluginError, match=r"dataclass.*write @dataclass\(frozen=True\)"):
        line().fit([[1.0]], [1.0], optimizer=Mine)


def test_a_networks_dtype_is_the_one_that_arrays_have():
    for dtype in (None, float, "float32", ">f8", np.float64):
        net = line(dtype=dtype)
        assert net.dtype is np.zeros(1, net.dtype.name).dtype  # engines compare by identity


SPARSE = ("csr_matrix", "csc_array", "coo_matrix", "dok_array", "lil_matrix")


def sparse_data(rows=300, columns=5):
    values = np.random.default_rng(0).normal(1, 3, size=(rows, columns))
    values[np.random.default_rng(1).random((rows, columns)) < 0.8] = 0.0
    return values, values.sum(axis=1)


@pytest.mark.parametrize("kind", SPARSE)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_sparse_rows_give_the_bits_of_dense_ones(kind, dtype, shuffle, tmp_path):
    dense, y = sparse_data()
    sparse = getattr(pytest.importorskip("scipy.sparse"), kind)(dense)
    found = []
    for X in (dense, sparse):
        net = dagnet.Network(dagnet.layered([5, 8, 1]), dtype=dtype, seed=0)
        keep = dagnet.Checkpoint(tmp_path / "run.dagnet")
        options = {"standardize": True, "shuffle": shuffle, "seed": 0, "callbacks": [keep]}
        net.fit(X, y, epochs=3, validation_data=(X, y), **options)
        net.fit(dense, y, epochs=4, validation_data=(X, y), resume=tmp_path / "run.dagnet", **options)
        gradient = net.gradient(X, y)
        numbers = [net.parameters, net(X), net.predict(X), net.forward(X).outputs, net.history["loss"]]
        numbers += [net.topology.center, net.topology.scale, list(gradient.weights.values())]
        found.append([*numbers, net.evaluate(X, y), gradient.loss, net.history["validation_loss"]])
    for here, there in zip(*found, strict=True):
        np.testing.assert_array_equal(here, there)


def wide_graph(hidden, inputs):
    """Edges from 120 inputs to 40 nodes, and from these to three, at random."""
    rng, graph = np.random.default_rng(5), nx.DiGraph()
    graph.add_nodes_from((f"x{k}", inputs if k % 3 == 0 else {}) for k in range(120))
    for k in range(40):
        graph.add_node(f"h{k}", **hidden[k % len(hidden)])
        graph.add_edges_from((f"x{j}", f"h{k}") for j in rng.choice(120, 6, replace=False))
        graph.add_edge(f"h{k}", "abc"[k % 3])
    return graph


TANH = {"activation": "tanh"}
WIDE = {
    "joined": ([TANH], {}),
    "learning": ([{"activation": "prelu"}], {}),
    "dropped": ([{**TANH, "dropout": 0.3}], {"dropout": 0.4}),
    "aggregating": ([{**TANH, "aggregation": word} for word in ("sum", "mean", "max", "product")], {}),
    "normalised": ([{**TANH, "normalization": "batch"}], {}),
}


@pytest.mark.parametrize("kind", WIDE)
@pytest.mark.parametrize(
    ("engine", "dtype"), [("compiled", "float32"), ("compiled", "float64"), ("reference", "float64")]
)
@pytest.mark.parametrize("threads", [1, 2])
def test_what_is_absent_makes_no_difference(kind, engine, dtype, threads):
    """For rows that fill no tile, several threads, and where an absent number is not 0."""
    scipy = pytest.importorskip("scipy.sparse")
    dense, y = (
        np.random.default_rng(0).normal(1, 2, (150, 120)),
        np.random.default_rng(1).normal(size=(150, 3)),
    )
    dense[np.random.default_rng(2).random(dense.shape) < 0.93] = 0
    once = scipy.csr_array(dense)  # and a matrix that has each place twice
    halves = np.repeat(once.data / 2, 2), np.repeat(once.indices, 2), 2 * once.indptr
    for standardize in (False, True):
        found = []
        for X in (dense, once, scipy.csr_array(halves, dense.shape)):
            options = {"outputs": list("abc"), "dtype": dtype, "engine": engine, "threads": threads}
            net = dagnet.Network(wide_graph(*WIDE[kind]), seed=0, **options)
            net.fit(
                X, y, epochs=2, batch_size=45, seed=1, standardize=standardize, validation_data=(X[:9], y[:9])
            )
            numbers = net.parameters, net.predict(X), net.predict(X[:3]), net.history["validation_loss"]
            found.append([*numbers, net.evaluate(X, y)])
        for other in found[1:]:
            for here, there in zip(found[0], other, strict=True):
                np.testing.assert_array_equal(here, there)


def test_sparse_batches_never_become_dense(monkeypatch):
    scipy = pytest.importorskip("scipy.sparse")
    X = scipy.random_array((60, 6_000), density=0.01, format="csr", rng=0)
    net = dagnet.Network.from_arrays(
        np.arange(6_000), 6_000 + np.arange(6_000) % 5, engine="compiled", seed=0
    )
    monkeypatch.setattr(type(X), "toarray", None)
    net.fit(X, np.ones((60, 5)), epochs=2, batch_size=16, seed=0)
    assert np.isfinite(net.predict(X)).all()


def test_sparse_rows_are_dense_a_block_at_a_time(monkeypatch):
    scipy = pytest.importorskip("scipy.sparse")
    dense, y = sparse_data(5000, 64)
    wanted, net = (dagnet.Network(dagnet.layered([64, 70, 1]), seed=0) for _ in range(2))
    wanted.fit(dense, y, epochs=1, seed=0, standardize=True)
    values, largest, plain = wanted.predict(dense), [0], scipy.csr_array.toarray

    def toarray(self, *args, **options):
        largest[0] = max(largest[0], self.shape[0] * self.shape[1])
        return plain(self, *args, **options)

    monkeypatch.setattr(scipy.csr_array, "toarray", toarray)
    monkeypatch.setattr("dagnet.model.data.BLOCK_VALUES", 2048 * 64)
    X = scipy.csr_array(dense)
    net.fit(X, y, epochs=1, seed=0, standardize=True)
    np.testing.assert_array_equal(net.predict(X), values)
    np.testing.assert_array_equal(net.parameters, wanted.parameters)
    assert 0 < largest[0] <= 2048 * 64


def test_sparse_rows_are_refused_as_dense_ones_are():
    scipy = pytest.importorskip("scipy.sparse")
    net, values = dagnet.Network(nx.DiGraph([("a", "t"), ("b", "t")]), dtype="float32"), np.eye(4000, 2)
    values[3000, 1] = np.nan
    large, wide = np.where(np.isnan(values), 1e300, values), np.ones((3, 3))
    complex_numbers = np.ones((2, 2), complex)
    for dense in (values, large, wide, complex_numbers, np.zeros((0, 2)), -large * 1e5):
        said = []
        for X in (dense, scipy.csr_array(dense)):
            with pytest.raises(dagnet.DataError) as refused, np.errstate(over="ignore"):
                net.fit(X, np.zeros(len(dense)))
            said.append(str(refused.value))
        assert said[0] == said[1]
    with pytest.raises(dagnet.DataError, match=r"row 3000, column 'b' must be without NaN"):
        net.predict(scipy.csr_array(values))
    twice = scipy.csr_array((np.array([1.0, 2.0]), np.array([0, 0]), np.array([0, 2])), shape=(1, 2))
    np.testing.assert_array_equal(net(twice), net([[3.0, 0.0]]))
    assert len(twice.data) == 2


@pytest.mark.filterwarnings("ignore:fit:dagnet.DagnetWarning")
@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize(
    ("stored", "dtype"), [("float32", "float32"), ("float32", "float64"), ("int16", "float32")]
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_memory_map_gives_the_bits_of_an_array_and_is_never_in_memory_as_a_whole(
    standardize, stored, dtype, order, tmp_path, monkeypatch
):
    n, width, network = 60_000, 40, dagnet.layered([40, 3, 1])
    X = np.memmap(tmp_path / "X", stored, "w+", shape=(n, width), order=order)
    X[:] = np.random.default_rng(0).normal(3, 20, (n, width))
    y = np.array(X[:, 0] - X[:, 1], float)
    monkeypatch.setattr("dagnet.model.data.BLOCK_VALUES", 2048 * width)
    options = {"epochs": 1, "batch_size": 512, "seed": 0, "standardize": standardize}
    wanted, net = (dagnet.Network(network, seed=0, dtype=dtype) for _ in range(2))
    wanted.fit(np.array(X), y, **options)  # which compiles, too
    tracemalloc.start()
    try:
        net.fit(X, y, **options)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(net.parameters, wanted.parameters)
    assert most < n * width * np.dtype(dtype).itemsize / 2


def test_a_memory_map_is_refused_by_the_row_of_the_whole(tmp_path):
    X = np.memmap(tmp_path / "X", "float64", "w+", shape=(5000, 2))
    net = dagnet.Network(dagnet.layered([2, 1]), dtype="float32", seed=0)
    X[4321, 1] = np.inf
    with pytest.raises(dagnet.DataError, match=r"X: row 4321, column .* must be finite, got inf"):
        net.fit(X, np.zeros(5000))
    X[4321, 1] = 1e300
    with pytest.raises(dagnet.DataError, match=r"X: row 4321, column .* must be finite in float32"):
        net.fit(X, np.zeros(5000))


def test_columns_of_sparse_rows_have_names_where_they_are_told():
    scipy = pytest.importorskip("scipy.sparse")
    graph = nx.DiGraph([("d", "y"), ("b", "y"), ("v", "y")])
    graph.nodes["v"]["units"] = 2
    dense, y = sparse_data()
    names = ["b", "v", "spare", "d", "v"]
    wanted, net = (dagnet.Network(graph, seed=0) for _ in range(2))
    wanted.fit(dense, y, columns=names, epochs=2, seed=0, standardize=True)
    net.fit(scipy.csc_matrix(dense), y, columns=names, epochs=2, seed=0, standardize=True)
    np.testing.assert_array_equal(net.parameters, wanted.parameters)
    with pytest.raises(dagnet.DataError, match="X has no names"):
        net.predict(scipy.csr_array(dense))
    columns = {"b": scipy.csr_array(dense[:, [0]]), "v": dense[:, [1, 4]], "d": dense[:, 3]}
    np.testing.assert_array_equal(net.predict(columns), wanted.predict(columns))
    with pytest.raises(dagnet.DataError, match=r"no column 'v'"):
        net.fit(scipy.csr_array(dense), y, columns=["b", "w", "spare", "d", "z"])
    with pytest.raises(
        dagnet.DataError, match=r"column 'v' must be of shape \(rows, 2\), got shape \(300, 1\)"
    ):
        net.fit(scipy.csr_array(dense), y, columns=["b", "v", "spare", "d", "z"])
    with pytest.raises(dagnet.DataError, match="one for each column of X, got 2 names for shape"):
        net.fit(scipy.csr_array(dense), y, columns=["b", "v"])


def test_a_sparse_row_is_traced():
    scipy = pytest.importorskip("scipy.sparse")
    net = dagnet.Network(dagnet.layered([2, 1]), seed=0)
    edge = net.edges[0]
    assert str(net.trace(edge, scipy.csr_array([[1.0, 0.0]]), 1.0)) == str(net.trace(edge, [1.0, 0.0], 1.0))


# -- categories ------------------------------------------------------------------------------------


def colours():
    graph = nx.DiGraph([("colour", "h"), ("size", "h"), ("h", "y"), ("grade", "y")])
    graph.nodes["colour"]["categories"] = ["low", "mid", "high"]
    graph.nodes["grade"]["categories"] = (1, 2.5)
    return graph


WORDS = pd.DataFrame(
    {"colour": ["low", "high", "mid", "low"], "size": [1.0, 2.0, 3.0, 4.0], "grade": [1, 2.5, 1, 1], "x": "y"}
)
CODED = np.array(
    [[1, 0, 0, 1, 1, 0], [0, 0, 1, 2, 0, 1], [0, 1, 0, 3, 1, 0], [1, 0, 0, 4, 1, 0]], np.float64
)  # fmt: skip


def test_a_column_of_words_becomes_a_unit_for_each_of_its_categories():
    net = dagnet.Network(colours(), activation="tanh", seed=0)
    wanted = net(CODED)
    assert net.topology.units.tolist() == [3, 1, 1, 1, 2]
    masked = {**WORDS, "grade": np.ma.array([1, 2.5, 1, 1])}
    frames = (WORDS, WORDS.astype({"colour": "category"}), WORDS.to_dict("list"), masked)
    for table in (*frames, WORDS.to_records(), np.asarray(WORDS.to_records())):
        np.testing.assert_array_equal(net(table), wanted)
    np.testing.assert_array_equal(net({**WORDS, "colour": CODED[:, :3]}), wanted)
    by_name, by_place = (dagnet.Network(colours(), seed=0) for _ in range(2))
    by_name.fit(WORDS, [1.0, 2, 3, 4], epochs=2, seed=0, standardize=True)
    by_place.fit(CODED, [1.0, 2, 3, 4], epochs=2, seed=0, standardize=True)
    np.testing.assert_array_equal(by_name.parameters, by_place.parameters)
    assert by_name.topology.center.tolist() == [0, 0, 0, 2.5, 0, 0]
    assert by_name.topology.scale.tolist() == [1, 1, 1, pytest.approx(1.25**0.5), 1, 1]
    row = {"colour": "mid", "size": 2.0, "grade": 1}
    assert str(net.trace(("size", "h"), row, 1.0)) == str(net.trace(("size", "h"), [0, 1, 0, 2, 1, 0], 1.0))
    assert not any(finding.node == "colour" for finding in net.diagnose(WORDS).findings)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (["low", "hihg", "mid", "low"], r"X: row 1, column 'colour': no category is 'hihg'; did you"),
        (["low", "mid", None, "low"], "X: row 2, column 'colour' must be one of its categories, got None"),
        (pd.Categorical(["low", "mid", "mid", None]), "X: row 3, column 'colour' must be one"),
        (pd.array(["low", pd.NA, "mid", "low"]), "X: row 1, column 'colour' must be one"),
        ([[1], [2], "mid", "low"], "X: column 'colour' must hold its categories"),
        (np.ones((4, 2)), r"column 'colour' must be of shape \(rows, 3\), got shape \(4, 2\)"),
    ],
)  # fmt: skip
def test_what_is_no_category_is_refused_by_row_and_word(column, said):
    with pytest.raises(dagnet.DataError, match=said):
        dagnet.Network(colours())({**WORDS, "colour": column})


@pytest.mark.parametrize(
    ("node", "said", "must"),
    [
        (
            "colour",
            {"categories": "low,mid"},
            r"'colour': categories must be a list of at least two words .*\[",
        ),
        ("colour", {"categories": ["a"]}, "at least two words"),
        ("colour", {"categories": ["a", "a"]}, "all different"),
        ("colour", {"categories": [1, float("nan")]}, "words or numbers"),
        ("colour", {"units": 2}, "node 'colour': units must be 3, one for each of its categories, got 2"),
        ("colour", {"scale": 2.0}, "node 'colour' has categories, which are 0 or 1: remove its center and"),
        ("h", {"categories": ["a", "b"]}, "node 'h' has categories and must be an input"),
    ],
)
def test_categories_that_cannot_be_are_refused(node, said, must):
    graph = colours()
    graph.nodes[node].update(said)
    with pytest.raises(dagnet.GraphError, match=must):
        dagnet.Network(graph)


@pytest.mark.parametrize("suffix", [".dagnet", ".graphml", ".gexf", ".json", ".cyjs", ".csv", ".dot"])
def test_categories_survive_files(tmp_path, suffix):
    net, path = dagnet.Network(colours(), seed=0), tmp_path / f"net{suffix}"
    if suffix == ".dagnet":
        net.save(path)
        read = dagnet.load(path)
    else:
        net.export(path)
        read = dagnet.Network(dagnet.read_graph(path))
    assert read.topology.categories == net.topology.categories == {0: ("low", "mid", "high"), 4: (1, 2.5)}
    assert type(read.topology.categories[4][0]) is int
    assert fingerprint(read.topology) == fingerprint(net.topology)
    np.testing.assert_array_equal(read(WORDS), net(WORDS))
    other = colours()
    other.nodes["colour"]["categories"] = ["low", "high", "mid"]
    assert fingerprint(dagnet.Network(other).topology) != fingerprint(net.topology)
    net.export(tmp_path / "net.html", WORDS, [1.0, 2, 3, 4])


# -- names from elsewhere --------------------------------------------------------------------------


def test_coordinates_of_xarray_are_names():
    xarray = pytest.importorskip("xarray")
    graph = nx.DiGraph([("d", "y"), ("b", "y")])
    net, values = dagnet.Network(graph, seed=0), np.random.default_rng(0).normal(size=(4, 3))
    X = xarray.DataArray(values, dims=("row", "columns"), coords={"columns": ["b", "spare", "d"]})
    np.testing.assert_array_equal(net(X), net(values[:, [2, 0]]))
    np.testing.assert_array_equal(net(X.to_dataset("columns")), net(X))
    np.testing.assert_array_equal(net(xarray.DataArray(values[:, :2])), net(values[:, :2]))
    net.fit(X, xarray.DataArray(values[:, 0]), epochs=1)
    with pytest.raises(dagnet.DataError, match="X: no column 'd'"):
        net(X[:, :2])


def test_a_file_knows_that_rows_need_names(tmp_path):
    graph = nx.DiGraph([("a", "y"), ("b", "y")])
    net, X = dagnet.Network(graph, seed=0), np.ones((3, 2))
    net.fit(X, [1.0, 2.0, 3.0], columns=["b", "a"], epochs=1)
    net.save(tmp_path / "net.dagnet")
    read = dagnet.load(tmp_path / "net.dagnet")
    with pytest.raises(dagnet.DataError, match="fit was told what its columns are"):
        read.predict(X)
    read.predict({"a": X[:, 0], "b": X[:, 1]})
