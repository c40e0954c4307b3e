"""The inspector's payload says the truth, and the page holds it safely."""

import base64
import html.parser
import io
import json
import re
import shutil
import subprocess
import time

import networkx as nx
import numpy as np
import pytest
from data.strategies import dags, network, rows_for, seeds
from hypothesis import given, settings

import dagnet
from dagnet.formats.inspector import KINDS, SCRIPTS, packed, page, payload, script_json

RELAXED = settings(deadline=None, derandomize=True, max_examples=40)
HOSTILE = "</script><img src=x onerror=alert(1)><!--"


def unpack(array):
    return None if array is None else np.frombuffer(base64.b64decode(array["data"]), KINDS[array["kind"]])


class Page(html.parser.HTMLParser):
    """The elements of a page, and the text of its scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self.attributes = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "script":
            self.scripts[-1] += data


def written(net, X=None, y=None):
    stream = io.BytesIO()
    observations = None if X is None else dagnet.Observations(X, y)
    dagnet.exporters()["html"].write(net, stream, observations)
    return stream.getvalue().decode()


@RELAXED
@given(graph=dags(), seed=seeds)
def test_the_payload_holds_the_networks_numbers(graph, seed):
    net = network(graph, seed=seed)
    X, y = rows_for(net, rows=4, seed=seed)
    data = payload(net, dagnet.Observations(X, y))
    json.dumps(data, allow_nan=False)
    starts = np.cumsum([0, *unpack(data["units"])])
    rows = data["rows"]
    shape = (rows["kept"], starts[-1])
    z, a, slope, delta = (unpack(rows[key]).reshape(shape) for key in ("z", "a", "slope", "delta"))
    forward, gradient = net.forward(X), net.gradient(X, y)
    bias = unpack(data["bias"])
    for k, node in enumerate(net.nodes):
        units = slice(starts[k], starts[k + 1])
        assert np.array_equal(a[:, units], forward[node].reshape(4, -1), equal_nan=True)
        assert np.array_equal(z[:, units], forward.pre_activation(node).reshape(4, -1), equal_nan=True)
        assert delta[:, units] == pytest.approx(4 * gradient.delta(node).reshape(4, -1), rel=1e-9, abs=1e-300)
        has = node in net.biases
        assert np.array_equal(
            bias[units], np.atleast_1d(net.biases[node] if has else np.nan), equal_nan=not has
        ) or (not has and np.isnan(bias[units]).all())
    assert rows["mean_loss"] == pytest.approx(net.evaluate(X, y))
    assert unpack(rows["loss"]).mean() == pytest.approx(net.evaluate(X, y))
    assert (slope[:, [starts[k] for k in net.topology.inputs]] == 1).all()


def test_the_chain_rule_that_the_page_computes():
    """δ = g′(z) · (pull + Σ w·δ) and ∂L/∂w = δ·a, from the payload's numbers alone."""
    graph = dagnet.layered([2, 3, 2], activation="tanh")
    graph.add_edge("y1", "y2")  # an output that feeds another
    net = dagnet.Network(graph, outputs=["y1", "y2"], seed=0)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, 2)), rng.normal(size=(5, 2))
    data = payload(net, dagnet.Observations(X, y))
    rows, edges = data["rows"], data["edges"]
    a, slope, delta = (unpack(rows[key]).reshape(5, -1) for key in ("a", "slope", "delta"))
    source, target, weight = (unpack(edges[key]) for key in ("source", "target", "weight"))
    back = np.zeros_like(delta)
    back[:, unpack(rows["outputs"])] += unpack(rows["pull"]).reshape(5, -1)
    for e in range(len(source)):
        back[:, source[e]] += weight[e] * delta[:, target[e]]
    assert slope * back == pytest.approx(delta, abs=1e-12)
    assert (delta[:, target] * a[:, source]).mean(axis=0) == pytest.approx(unpack(edges["gradient"]))
    assert dict(zip(net.edges, unpack(edges["gradient"]), strict=True)) == pytest.approx(
        {edge: net.gradient(X, y).weights[edge] for edge in net.edges}
    )


def test_what_is_kept_is_bounded_and_said():
    net = dagnet.Network(dagnet.layered([3, 2]), seed=0)
    X, y = np.zeros((500, 3)), np.zeros((500, 2))
    rows = payload(net, dagnet.Observations(X, y))["rows"]
    assert (rows["kept"], rows["total"]) == (64, 500)
    assert payload(net, dagnet.Observations(X))["rows"]["delta"] is None
    assert payload(net, None)["rows"] is None


def test_shared_frozen_and_matrix_weights_are_told():
    graph = nx.DiGraph([("a", "h"), ("b", "h"), ("h", "y")])
    for edge in (("a", "h"), ("b", "h")):
        graph.edges[edge].update(share="k", weight=0.5, trainable=False)
    graph.nodes["y"]["units"] = 2
    net = dagnet.Network(graph, seed=0)
    data = payload(net, None)
    shared, frozen = (unpack(data["edges"][key]).tolist() for key in ("share", "frozen"))
    assert dict(zip(net.edges, shared, strict=True)) == {("a", "h"): 0, ("b", "h"): 0, ("h", "y"): -1}
    assert dict(zip(net.edges, frozen, strict=True)) == {("a", "h"): 1, ("b", "h"): 1, ("h", "y"): 0}
    assert len(unpack(data["edges"]["elements"])) == 4
    assert unpack(data["units"]).tolist() == [1, 1, 1, 2]


def _gained(z, slant):
    return slant * np.interp(z, [-1.0, 2.0], [0.0, 1.0])


def _gained_slope(z, a, slant):
    return np.where((z > -1) & (z < 2), slant / 3, 0.0).astype(z.dtype)


def test_curves_without_a_formula_are_points():
    graph = nx.DiGraph([("a", "h"), ("h", "k"), ("k", "wide"), ("wide", "y")])
    gained = dagnet.Activation("gained", _gained, _gained_slope, trainable={"slant": 2.0})
    for node in ("h", "k", "wide"):
        graph.nodes[node]["activation"] = gained
    graph.nodes["k"]["slant"], graph.nodes["wide"]["units"] = -3.0, 2
    net = dagnet.Network(graph, seed=0)
    data = payload(net, None)
    curves = dict(zip(net.nodes, unpack(data["activation"]).tolist(), strict=True))
    z = np.linspace(-6, 6, 121)
    for node, slant in {"h": 2.0, "k": -3.0}.items():
        curve = data["activations"][curves[node]]
        assert data["formulas"][curve["formula"]]["ops"] == []
        assert unpack(curve["points"]) == pytest.approx(_gained(z, slant), abs=1e-6)
    assert data["activations"][curves["wide"]]["points"] is None
    assert data["activations"][curves["y"]]["points"] is None  # identity has a formula


def test_standardised_inputs_and_history():
    graph = dagnet.layered([2, 1])
    graph.nodes["x1"].update(center=2.0, scale=4.0)
    net = dagnet.Network(graph, seed=0)
    net.history = dagnet.History({"loss": [1.0, 0.5]})
    data = payload(net, None)
    assert unpack(data["center"]).tolist() == [2.0, 0.0, 0.0]
    assert unpack(data["scale"]).tolist() == [4.0, 1.0, 1.0]
    assert unpack(data["history"]["loss"]).tolist() == [1.0, 0.5]


def test_a_large_network_is_summarised_and_says_so():
    net = dagnet.Network(dagnet.layered([400, 200, 10]), seed=0)
    data = payload(net, dagnet.Observations(np.zeros((2, 400)), np.zeros((2, 10))))
    assert data["names"] == ["400 inputs", "200 relu", "10 outputs"]
    assert data["message"].startswith("610 nodes and 82,000 edges are too many")
    assert unpack(data["edges"]["weight"]).tolist() == [80_000, 2_000]
    assert data["rows"] is None


def test_names_are_never_markup():
    graph = nx.DiGraph([(HOSTILE, "]]>"), ("]]>", "\u2028\u2029&\ud800"), ("x" * 10_000, "]]>")])
    text = written(dagnet.Network(graph, seed=0))
    parsed = Page(text)
    plain = Page(written(dagnet.Network(nx.DiGraph([("a", "b"), ("b", "c"), ("d", "b")]), seed=0)))
    assert parsed.tags == plain.tags
    assert "img" not in parsed.tags
    data = json.loads(parsed.scripts[0])
    assert data["names"][0] == HOSTILE
    assert data["names"][2] == "\\u2028\\u2029&\\ud800"


def test_the_page_is_whole_and_asks_nobody():
    text = written(dagnet.Network(dagnet.layered([2, 1]), seed=0))
    parsed = Page(text)
    policy = next(
        value for tag, key, value in parsed.attributes if key == "content" and "default-src" in value
    )
    assert policy.startswith("default-src 'none'")
    assert not [item for item in parsed.attributes if item[1] in ("src", "srcset", "action", "formaction")]
    assert [item[2] for item in parsed.attributes if item[1] == "href"] == ["data:,"]
    assert not re.search(r"https?://(?!www\.w3\.org/)", text)
    assert not re.search(
        r"\b(fetch|XMLHttpRequest|WebSocket|sendBeacon|import\s*\(|eval|innerHTML|outerHTML)\b", text
    )
    assert "@@" not in text
    assert text.count("<script") == 2


def test_script_json_cannot_leave_its_element():
    text = script_json({"a": "</script><!--\u2028\u2029&\ud800"})
    assert not set(text) & set("<>&\u2028\u2029")
    assert text.isascii()
    assert json.loads(text) == {"a": "</script><!--\u2028\u2029&\ud800"}


def test_arrays_are_packed_little_endian():
    assert unpack(packed([1.5, np.nan], "f8"))[0] == 1.5
    assert base64.b64decode(packed([1], "i4")["data"]) == b"\x01\x00\x00\x00"
    assert unpack(packed(np.zeros((2, 3)), "f4")).shape == (6,)


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_the_scripts_parse(tmp_path):
    text = Page(page(payload(dagnet.Network(dagnet.layered([2, 1]), seed=0), None))).scripts[1]
    (tmp_path / "viewer.js").write_text(text, "utf-8")
    done = subprocess.run(
        ["node", "--check", tmp_path / "viewer.js"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(SCRIPTS) == 10


def test_five_thousand_nodes_are_written_within_seconds():
    rng = np.random.default_rng(0)
    targets = np.repeat(np.arange(100, 5_000), 10)
    sources = (rng.random(len(targets)) * targets).astype(int)
    _, first = np.unique(sources * 5_000 + targets, return_index=True)
    net = dagnet.Network.from_arrays(sources[first], targets[first], seed=0, activation="tanh")
    X, y = rng.normal(size=(40, len(net.inputs))), rng.normal(size=(40, len(net.outputs)))
    start = time.perf_counter()
    text = written(net, X, y)
    assert time.perf_counter() - start < 10  # about 1 s on one core
    assert len(text) < 8_000_000
