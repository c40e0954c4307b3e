"""The files: how large they are, what they say, what is refused before anything is written."""

import json
import os
import subprocess
import sys
import warnings

import networkx as nx
import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from dagnet_onnx import writer
from running import check, close, session, written

import dagnet
from dagnet.cli import main


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


def irregular(nodes, dtype, activation="tanh"):
    """Parents anywhere before, nine of them on average; 100 inputs."""
    rng, graph = np.random.default_rng(0), nx.DiGraph()
    graph.add_nodes_from(range(nodes))
    for node in range(100, nodes):
        parents = rng.choice(node, size=min(node, int(rng.poisson(8)) + 1), replace=False)
        graph.add_edges_from((int(parent), node) for parent in parents)
        graph.nodes[node]["activation"] = activation
    outputs = [node for node in graph if graph.in_degree(node) and not graph.out_degree(node)]
    return dagnet.Network(graph, outputs=outputs, dtype=dtype, seed=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("nodes", "activation"), [(1000, "tanh"), (1000, "gelu"), (10_000, "tanh"), (10_000, "mish")]
)
def test_size(nodes, activation, dtype):
    net = irregular(nodes, dtype, activation)
    model = written(net)
    assert len(model) <= 3 * net.parameters.nbytes + 1024 * len(net.levels)
    X = np.random.default_rng(1).normal(size=(64, 100)).astype(dtype)
    found = session(model).run(["outputs"], {"X": X})[0]
    onnx.checker.check_model(model, full_check=True)
    close(found, net(X), dtype)


@pytest.mark.parametrize("graph", ["dense blocks", "hubs", "a chain"])
def test_size_of_other_shapes(graph):
    if graph == "dense blocks":
        drawn = dagnet.layered([50, 100, 100, 5], activation="tanh")
    elif graph == "hubs":
        rng, drawn = np.random.default_rng(0), nx.DiGraph()
        for node in range(300, 1000):
            count = min(node, int(rng.pareto(1.0) * 3) + 1)
            drawn.add_edges_from((int(k), node) for k in rng.choice(node, count, replace=False))
    else:
        drawn = nx.path_graph(1000, create_using=nx.DiGraph)
    net = dagnet.Network(drawn, dtype="float32", seed=0)
    assert len(written(net)) <= 3 * net.parameters.nbytes + 1024 * len(net.levels)


def test_a_model_says_what_it_is(tmp_path):
    graph = nx.DiGraph([("x", "y"), ((1, "é"), "y"), ("site", 'say "y"')])
    graph.add_node("x", units=2, center=1.0, scale=2.0)
    graph.add_node("site", categories=["a", "b"])
    net = dagnet.Network(
        graph,
        inputs=["site", "x", (1, "é")],
        outputs=['say "y"', "y"],
        loss={"y": "huber"},
        dtype="float32",
        seed=0,
    )
    net.export(tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    said = {item.key: item.value for item in model.metadata_props}
    assert json.loads(said["inputs"]) == [
        *({"node": "site", "category": word} for word in ("a", "b")),
        *({"node": "x", "unit": unit} for unit in (0, 1)),
        {"node": {"tuple": [1, "é"]}},
    ]
    assert json.loads(said["outputs"]) == [{"node": 'say "y"'}, {"node": "y"}]
    assert json.loads(said["heads"])["y"] == {"loss": "huber(delta=1.0)", "nodes": ["y"]}
    assert said["dagnet"] == dagnet.__version__
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 18)]
    assert "category" in model.doc_string
    assert "scale" in model.doc_string
    (given,) = model.graph.input
    assert [dim.dim_param or dim.dim_value for dim in given.type.tensor_type.shape.dim] == ["rows", 5]
    assert [item.name for item in model.graph.output] == ["outputs", 'predict[say "y"]', "predict[y]"]
    check(net, np.random.default_rng(0).normal(size=(4, 5)).astype("float32"))


@pytest.mark.parametrize("names", [
    ("1", 1, "y", ("y",)), ("a b", "a_b", "a-b", "a.b"), ("", " ", "'", '"'), ("δ", "x\n1", "\0", "\ud800"),
    (True, 2.5, None.__class__.__name__, 10**30), ("outputs", "X", "predict[y]", "t1"),
    (float("inf"), b"\xff", (), -0.0),
])  # fmt: skip
def test_odd_names(names):
    one, other, last, also = names
    graph = nx.DiGraph([(one, other), (other, last), (one, last), (other, also)])
    net = dagnet.Network(graph, outputs=[last, also, one], loss={last: "huber"}, seed=0)
    check(net, np.random.default_rng(0).normal(size=(4, 1)))


def test_functions_have_the_names_of_activations():
    graph = nx.DiGraph([("x", "h"), ("x", "k"), ("h", "y"), ("k", "y")])
    graph.nodes["h"]["activation"], graph.nodes["k"]["activation"] = "gelu", "gelu(approximate='tanh')"
    net = dagnet.Network(graph, seed=0)
    model = onnx.load_from_string(written(net))
    assert [function.name for function in model.functions] == ["gelu", "gelu_2"]
    check(net, np.random.default_rng(0).normal(size=(4, 1)))


def crooked(z):
    return np.sort(z, axis=None).reshape(z.shape) * 0 + z


def crooked_slope(z, a):
    return 1.0 + 0.0 * z


def middle(terms):
    return np.sort(terms, axis=0)[len(terms) // 2]


def middle_slope(terms, result):
    return (terms == result) / (terms == result).sum(axis=0)


def running(outputs):
    return np.cumsum(outputs, axis=1)


def squares(outputs, targets):
    return np.square(outputs - targets).sum(axis=1)


def test_what_has_no_formula_is_refused_by_name_before_anything_is_written(tmp_path):
    graph = nx.DiGraph([("x", "bent"), ("z", "mid"), ("x", "mid"), ("bent", "y"), ("mid", "y")])
    graph.nodes["bent"]["activation"] = dagnet.Activation("crooked", crooked, crooked_slope)
    graph.nodes["mid"]["aggregation"] = dagnet.Aggregation(
        "middle", middle, derivative=middle_slope, kinks=True
    )
    net = dagnet.Network(graph, loss=dagnet.Loss("far", squares, predict=running), seed=0)
    path = tmp_path / "net.onnx"
    path.write_bytes(b"as it was")
    with pytest.raises(dagnet.DataError) as caught:
        net.export(path)
    text = str(caught.value)
    for word in ("activation 'crooked' (node 'bent')", "numpy.sort", "aggregation 'middle' (node 'mid')",
                 "loss 'far'", "numpy.cumsum"):  # fmt: skip
        assert word in text, text
    assert path.read_bytes() == b"as it was"
    assert files_in(tmp_path) == ["net.onnx"]


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "what", ["weight of ('x1', 'h12')", *(f"{w} of 'h12'" for w in ("bias", "mean", "scale"))]
)
def test_numbers_that_are_not_finite_are_refused_by_name(tmp_path, what, number):
    graph = dagnet.layered([2, 4, 1])
    graph.nodes["h12"]["normalization"] = "batch"
    net = dagnet.Network(graph, seed=0)
    layout, node = net.layout, net.topology.index["h12"]
    word = what.partition(" ")[0]
    if word == "weight":
        places = layout.weight_places(list(net.edges).index(("x1", "h12")))
    else:
        places = layout.bias_places(node) if word == "bias" else layout.places_of(node, word)
    net.vector[places] = number
    path = tmp_path / "net.onnx"
    path.write_bytes(b"as it was")
    with pytest.raises(dagnet.NumericalError) as caught:
        net.export(path)
    assert str(caught.value).startswith(
        f"export(): {what} must be finite to be written, got {number}; set it"
    )
    assert path.read_bytes() == b"as it was"
    assert files_in(tmp_path) == ["net.onnx"]


def test_what_overflows_where_factors_are_folded_in_is_refused(tmp_path):
    net = dagnet.Network(nx.DiGraph([("x", "y", {"factor": 1e30})]), dtype="float32", seed=0)
    net.parameters[net.layout.weights] = 1e30
    with pytest.raises(dagnet.NumericalError, match="times factors and scales, must be finite"):
        net.export(tmp_path / "net.onnx")
    assert not files_in(tmp_path)


def test_names_that_no_file_has_are_refused(tmp_path):
    net = dagnet.Network(nx.DiGraph([(frozenset({1}), "y")]), seed=0)
    with pytest.raises(dagnet.DataError, match="category frozenset"):
        net.export(tmp_path / "net.onnx")
    assert not files_in(tmp_path)


@pytest.fixture
def small_files(monkeypatch):
    monkeypatch.setattr(writer, "LARGEST", 10_000)


@pytest.mark.usefixtures("small_files")
def test_what_is_too_large_for_one_file_is_in_two(tmp_path):
    net = irregular(1000, "float64")
    path, X = tmp_path / "net.onnx", np.random.default_rng(1).normal(size=(8, 100))
    with pytest.warns(dagnet.DagnetWarning, match=r"net\.onnx\.data") as caught:
        net.export(path)
    assert caught[0].filename == __file__
    assert files_in(tmp_path) == ["net.onnx", "net.onnx.data"]
    onnx.checker.check_model(str(path), full_check=True)
    assert path.stat().st_size < net.parameters.nbytes
    close(session(str(path)).run(["outputs"], {"X": X})[0], net(X), "float64")
    net.parameters *= 0.5  # and once more, over the two
    with pytest.warns(dagnet.DagnetWarning):
        net.export(str(path))
    close(session(str(path)).run(["outputs"], {"X": X})[0], net(X), "float64")
    assert files_in(tmp_path) == ["net.onnx", "net.onnx.data"]


@pytest.mark.usefixtures("small_files")
def test_two_files_need_a_folder_and_leave_what_was_there(tmp_path):
    net = irregular(1000, "float64")
    with pytest.raises(dagnet.DataError, match="export to a path"):
        written(net)
    path = tmp_path / "net.onnx"
    path.write_bytes(b"as it was")
    (tmp_path / "net.onnx.data").mkdir()
    with pytest.warns(dagnet.DagnetWarning), pytest.raises(OSError, match="directory"):
        net.export(path)
    assert path.read_bytes() == b"as it was"
    assert files_in(tmp_path) == ["net.onnx", "net.onnx.data"]
    (tmp_path / "net.onnx.data").rmdir()
    with warnings.catch_warnings(action="error"), pytest.raises(dagnet.DagnetWarning):
        net.export(path)  # it is said before anything is written
    assert path.read_bytes() == b"as it was"
    assert files_in(tmp_path) == ["net.onnx"]


def test_what_cannot_be_read_back_is_no_place_for_what_was_trained(tmp_path):
    nx.write_graphml(nx.DiGraph([("a", "y")]), tmp_path / "graph.graphml")
    (tmp_path / "data.csv").write_text("a,y\n1,2\n3,4\n")
    places = [str(tmp_path / name) for name in ("graph.graphml", "data.csv", "net.onnx")]
    done = CliRunner().invoke(main, ["train", *places[:2], "--out", places[2]])
    assert done.exit_code == 1
    assert "'.onnx' is no format that can be read back" in done.output
    assert not (tmp_path / "net.onnx").exists()


def test_onnx_is_imported_by_those_who_write_alone():
    code = "import sys, dagnet, dagnet_onnx; dagnet.exporters(); assert 'onnx' not in sys.modules"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
