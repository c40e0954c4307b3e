"""Chain rules, backward passes, formulas: equal to the gradient, readable, safe with any name."""

import re
import shutil
import subprocess

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from data.renderings import HOSTILE, assert_html_is_sound, assert_latex_is_sound
from data.strategies import dags, network, rows_for, seeds
from hypothesis import given, settings
from hypothesis import strategies as st

import dagnet
from dagnet.explain import trace
from dagnet.markup import label


def one_row(net, seed):
    X, y = rows_for(net, rows=1, seed=seed)
    return X, y


def close(one, other):
    one, other = np.asarray(one), np.asarray(other)
    scale = max(1.0, np.abs(other).max(initial=0))
    return one.shape == other.shape and np.abs(one - other).max(initial=0) <= 1e-10 * scale


def total(paths, shape):
    return sum((np.reshape(path.value, shape) for path in paths), np.zeros(shape))


def reaching_paths(graph, net, edge):
    """How many paths lead from the edges that are this weight to the loss, by enumeration."""
    key = graph.edges[edge].get("share")
    edges = [edge] if key is None else [e for e in graph.edges if graph.edges[e].get("share") == key]
    count = 0
    stack = [child for _, child in edges]
    while stack:
        node = stack.pop()
        count += node in net.outputs
        stack += graph.successors(node)
    return count


@given(dags(), seeds)
def test_a_trace_equals_the_gradient(graph, seed):
    net = network(graph, engine="reference", seed=seed)
    X, y = one_row(net, seed)
    gradient = net.gradient(X, y, wrt=net.edges) if net.edges else None
    for edge in net.edges:
        rule = net.trace(edge, X[0], y)
        expected = gradient.weights[edge]
        assert close(np.reshape(rule.value, np.shape(expected)), expected)
        assert rule.n_paths == reaching_paths(graph, net, edge)
        assert bool(rule.paths) == (0 < rule.n_paths <= 16)
        if rule.paths:
            assert len(rule.paths) == rule.n_paths
            assert close(total(rule.paths, np.shape(expected)), expected)
        for derivative in rule.derivatives:  # ∂L/∂a times the slope is δ
            node = derivative.node
            number = net.topology.index[node]
            activation = net.topology.activations[net.topology.activation_of[number]]
            fact = rule.facts[node]
            slope = activation.slope(np.asarray(fact.z), np.asarray(fact.a))
            delta = gradient.delta(node)[0]
            assert close(np.reshape(derivative.value * slope, np.shape(delta)), delta)
        assert str(rule)
        assert_latex_is_sound(rule._repr_latex_())


@given(dags(units=False), seeds)
def test_every_path_is_the_product_of_its_factors(graph, seed):
    net = network(graph, engine="reference", seed=seed)
    X, y = one_row(net, seed)
    for edge in net.edges:
        for path in net.trace(edge, X[0], y).paths:
            product = 1.0
            for factor in path.factors:
                product *= factor.value
            assert path.value == pytest.approx(product, rel=1e-12, abs=1e-300)
            assert [factor.kind for factor in path.factors] == [
                "loss",
                *["node"] * (len(path.nodes) - 1),
                "weight",
            ]
            assert path.nodes[0] in net.outputs
            for above, below in zip(path.nodes, path.nodes[1:], strict=False):
                assert graph.has_edge(below, above)
            assert path.nodes[-1] == path.edge[1]


@given(dags(), seeds)
def test_the_backward_pass_is_the_gradient_s_in_its_order(graph, seed):
    net = network(graph, engine="reference", seed=seed)
    X, y = one_row(net, seed)
    everything = [*net.edges, *net.biases]
    whole = net.trace_all(X[0], y)
    assert whole.loss == pytest.approx(net.evaluate(X, y), rel=1e-12)
    if not everything:
        return
    gradient = net.gradient(X, y, wrt=everything)
    walked = [step.node for step in whole.nodes]
    assert [node for node in walked if node in set(gradient.visited)] == list(gradient.visited)
    forward = net.forward(X)
    parts = {}
    for step in whole.nodes:
        assert close(np.ravel(step.delta), np.ravel(gradient.delta(step.node)))
        assert close(np.ravel(step.fact.a), np.ravel(forward[step.node]))
        assert close(np.ravel(step.fact.z), np.ravel(forward.pre_activation(step.node)))
        assert (step.bias is None) == (step.node not in net.biases)
        if step.bias is not None and step.node not in net.edges:  # such a pair means the edge
            assert close(np.ravel(step.bias), np.ravel(gradient.biases[step.node]))
        for edge in step.edges:
            key = graph.edges[edge.edge].get("share", ("alone", edge.edge))
            parts.setdefault(key, [edge.edge, 0])[1] += np.asarray(edge.derivative)
    for edge, summed in parts.values():
        assert close(np.ravel(summed), np.ravel(gradient.weights[edge]))
    assert str(whole)
    assert_latex_is_sound(whole._repr_latex_())


def number_of(text):
    return float(text.replace("−", "-"))


@given(st.lists(st.floats(-10, 10).filter(lambda w: abs(w) > 1e-3), min_size=1, max_size=5), st.floats(-2, 2))
def test_a_formula_reads_back_as_the_node(weights, bias):
    graph = nx.DiGraph()
    for place, weight in enumerate(weights):
        graph.add_edge(f"x{place}", "h", weight=weight)
    graph.add_node("h", activation="sigmoid", bias=bias)
    net = dagnet.Network(graph, outputs=["h"])
    text = net.formula("h")
    assert text.startswith("h = sigmoid(")
    values = {f"x{place}": 0.5 + place for place in range(len(weights))}
    z = 0.0
    for sign, term in re.findall(r"(?:^| )([+−]? ?)([^ ]+)", text[len("h = sigmoid(") : -1]):
        number, _, name = term.partition("·")
        z += (-1 if sign.strip() == "−" else 1) * float(number) * values.get(name, 1.0)
    row = [[values[name] for name in net.inputs]]
    assert z == pytest.approx(net.forward(row).pre_activation("h")[0], rel=1e-4, abs=1e-3)


def test_formulas():
    graph = nx.DiGraph()
    graph.add_weighted_edges_from(
        [("x1", "h11", 0.3), ("x2", "h11", -0.1), ("h11", "eta", 2), ("k", "eta", -1)]
    )
    graph.add_node("h11", activation="sigmoid", bias=0.5)
    graph.add_node("k", bias=4.0)
    graph.add_node("x2", center=1.5, scale=2.0)
    net = dagnet.Network(graph, inputs=["x1", "x2"])
    assert net.formula("h11") == "h11 = sigmoid(0.3·x1 − 0.1·x2 + 0.5)"
    assert net.formula("eta") == "eta = 2·h11 − 1·k"
    assert net.formula("k") == "k = 4"
    assert net.formula("x1") == "x1 = the datum"
    assert net.formula("x2") == "x2 = (the datum − 1.5) / 2"
    with pytest.raises(dagnet.DataError, match="did you mean 'h11'"):
        net.formula("h1l")
    graph = nx.DiGraph([("x", "h"), ("h", "y")])
    graph.add_node("x", units=2)
    graph.add_node("h", units=3, activation="leaky_relu(negative_slope=0.2)")
    net = dagnet.Network(graph)
    assert net.formula("h") == "h = leaky_relu(negative_slope=0.2)(W[3×2]·x + b[3])"
    wide = nx.DiGraph([(k, "y") for k in range(1000)])
    assert "… 800 more …" in dagnet.Network(wide, seed=0).formula("y")


def textbook():
    return dagnet.Network(dagnet.layered([2, 2, 2, 1], activation="sigmoid"), seed=0)


def test_the_printed_trace_reads_as_the_textbook():
    net = textbook()
    lines = str(net.trace(("x1", "h11"), [2.0, 3.0], 100.0)).splitlines()
    title = "∂L/∂w(x1→h11): 2 paths; w(x1→h11) = -0.0462817, L = 10042.1 (squared_error)"
    assert lines[0] == title
    assert lines[2].strip() == "∂L/∂w(x1→h11) = ∂L/∂eta · ∂eta/∂h21 · ∂h21/∂h11 · ∂h11/∂w(x1→h11)"
    assert lines[3].strip() == "+ ∂L/∂eta · ∂eta/∂h22 · ∂h22/∂h11 · ∂h11/∂w(x1→h11)"
    factors = [line.split(" = ")[0].strip() for line in lines[5:11]]  # in the order of the paths
    inner = "∂eta/∂h21", "∂h21/∂h11", "∂h11/∂w(x1→h11)", "∂eta/∂h22", "∂h22/∂h11"
    assert factors == ["∂L/∂eta", *inner]
    assert " = -2·(y − eta) = -2·(100 − " in lines[5]
    assert " = h21·(1 − h21) · w(h11→h21) = " in lines[7]
    assert lines[-1].strip() == "∂L/∂w(x1→h11) = 0.227079 − 0.0706756 = 0.156403"
    assert repr(net.trace(("x1", "h11"), [2.0, 3.0], 100.0)) == f"<ChainRule: {title}>"


def steps_hold(text, values):
    """Whether a line's steps, read as Python, have the number at its end, to the digits that are shown."""
    names = {"−": "-", "·": "*", "²": "**2", "³": "**3", "^": "**"}
    _, *steps, last = text.split(" = ")
    for step in steps:
        python = re.sub("|".join(map(re.escape, names)), lambda sign: names[sign[0]], step)
        assert eval(python, dict(values)) == pytest.approx(float(last), rel=2e-4, abs=1e-6), text


SLOPES = (
    "sigmoid",
    "tanh",
    "relu",
    "leaky_relu(negative_slope=0.2)",
    "elu",
    "softplus",
    "silu",
    "sin",
    "square",
)


@pytest.mark.parametrize("activation", SLOPES)
@pytest.mark.parametrize("loss", ["squared_error", "huber(delta=0.5)", "poisson", "absolute_error"])
def test_each_step_of_a_factor_has_the_number_at_its_end(activation, loss):
    net = dagnet.Network(dagnet.layered([2, 2, 1], activation=activation), loss=loss, seed=1)
    row, y = [0.7, -1.3], 2.0
    forward = net.forward(row)
    numpy = {name: getattr(np, name) for name in ("exp", "sin", "cos", "sign", "tanh", "clip", "expm1")}
    values = {**numpy, "min": min, "max": max, "abs": abs, "y": y, "sigmoid": lambda z: 1 / (1 + np.exp(-z))}
    values |= {name: forward[name][0] for name in net.nodes}
    values["z"] = lambda a: next(forward.pre_activation(n)[0] for n in net.nodes if forward[n][0] == a)
    values |= {f"w_{parent}_{child}": net.weights[parent, child] for parent, child in net.edges}
    for asked in (*net.edges, *net.biases):
        rule = net.trace(asked, row, y)
        text = re.sub(r"w\((\w+)→(\w+)\)", r"w_\1_\2", str(rule).split("\n\n")[2])
        for line in text.splitlines():
            steps_hold(line, values)


@pytest.mark.parametrize("name", ["h11", "eta"])
def test_the_bias_of_a_node_has_a_chain_rule(name):
    net = textbook()
    rule = net.trace(name, [2.0, 3.0], 100.0)
    assert rule.kind == "bias"
    assert (rule.edge, rule.edges, rule.weight) == (name, (name,), net.biases[name])
    assert rule.value == pytest.approx(net.gradient([2.0, 3.0], 100.0).biases[name], rel=1e-12)
    assert sum(path.value for path in rule.paths) == pytest.approx(rule.value, rel=1e-12)
    assert f"∂{name}/∂b({name})" in str(rule)
    assert r"\partial b_{" in rule.latex
    with pytest.raises(dagnet.DataError, match="'x1' has no bias"):
        net.trace("x1", [2.0, 3.0], 100.0)
    with pytest.raises(dagnet.DataError, match="no node 'h1l' in the graph"):
        net.trace("h1l", [2.0, 3.0], 100.0)


@given(dags(), seeds)
def test_a_trace_of_a_bias_equals_the_gradient(graph, seed):
    net = network(graph, engine="reference", seed=seed)
    X, y = one_row(net, seed)
    names = [name for name in net.biases if name not in net.edges]  # such a pair means the edge
    gradient = net.gradient(X, y, wrt=names) if names else None
    for name in names:
        rule, expected = net.trace(name, X[0], y), gradient.biases[name]
        assert close(np.reshape(rule.value, np.shape(expected)), expected)
        if rule.paths:
            assert close(total(rule.paths, np.shape(expected)), expected)
        assert_latex_is_sound(rule._repr_latex_())


def test_what_notebooks_show_is_latex():
    net = textbook()
    for shown in (net.trace(("x1", "h11"), [2.0, 3.0], 100.0), net.trace_all([2.0, 3.0], 100.0)):
        assert shown._repr_mimebundle_() == {"text/plain": repr(shown), "text/latex": f"$${shown.latex}$$"}
        assert shown.html == shown._repr_html_()
    steps = str(shown).count(" = ") - 1  # of the title
    assert shown.latex.startswith(r"\begin{aligned}")
    assert shown.latex.count("begin") == 1
    assert shown.latex.count("=") == steps


@pytest.mark.parametrize("x", [[2.0, 3.0], np.array([2, 3]), (2.0, 3.0), {"x1": 2.0, "x2": 3.0}])
def test_a_bare_row_is_one_row_everywhere(x):
    net, X = textbook(), [[2.0, 3.0]]
    for ask in (net, net.predict, lambda X: net.forward(X).outputs):
        np.testing.assert_array_equal(ask(x), ask(X))
        assert ask(x).shape == (1, 1)
    for ask in (net.evaluate, lambda *row: net.gradient(*row).flat):
        np.testing.assert_array_equal(ask(x, 100.0), ask(X, [100.0]))
    assert dagnet.check_gradient(net, x, 100.0)
    assert dagnet.check_gradient(net, x, {"eta": 100.0})
    one = dagnet.Network(dagnet.layered([1, 1]), seed=0)
    assert one([2.0]).shape == (1, 1)
    with pytest.raises(dagnet.DataError, match=r"X.reshape\(-1, 1\) makes it rows of one input"):
        one([2.0, 3.0])  # two rows, or one too wide?
    with pytest.raises(dagnet.DataError, match=r"column 'x1' must be of shape \(rows,\)"):
        net({"x1": 2.0, "x2": [3.0]})


def test_a_bare_row_of_other_names_is_not_taken_by_place():
    net = textbook()
    with pytest.raises(dagnet.DataError, match="no column 'x1', 'x2'"):
        net(pd.Series({"a": 1.0, "b": 2.0}))
    np.testing.assert_array_equal(net(pd.Series({"x2": 3.0, "x1": 2.0, "b": 0.0})), net([2.0, 3.0]))


def test_many_paths_are_counted_not_walked():
    graph = nx.DiGraph([("x", (0, 0))])
    for level in range(2000):  # 2^2000 paths
        graph.add_edges_from(((level, i), (level + 1, j)) for i in (0, 1) for j in (0, 1) if level or i == 0)
    graph.add_edges_from(((2000, i), "y") for i in (0, 1))
    net = dagnet.Network(graph, activation="tanh", seed=0)
    rule = net.trace(("x", (0, 0)), [1.0], 1.0)
    assert rule.n_paths == np.inf
    assert rule.paths == ()
    assert rule.value == pytest.approx(
        net.gradient([[1.0]], [1.0]).weights["x", (0, 0)], rel=1e-9, abs=1e-300
    )
    assert "grouped by node" in str(rule)
    assert len(str(rule)) < 20_000
    assert len(rule._repr_html_()) < 40_000
    assert_latex_is_sound(rule._repr_latex_())


def test_a_long_chain_has_one_path():
    net = dagnet.Network(nx.path_graph(3000, create_using=nx.DiGraph), activation="tanh", seed=0)
    rule = net.trace((0, 1), [1.0], [1.0])
    assert rule.n_paths == 1
    assert len(rule.paths[0].factors) == 3000
    assert len(str(rule)) < 10_000


def test_a_weight_without_a_way_to_an_output():
    net = dagnet.Network(nx.DiGraph([("x", "y"), ("x", "aside")]), outputs=["y"], seed=0)
    rule = net.trace(("x", "aside"), [1.0], 2.0)
    assert rule.value == 0
    assert rule.factors == ()
    assert "aside reaches no output" in str(rule)
    assert_latex_is_sound(rule._repr_latex_())


def test_a_shared_weight_sums_over_its_edges():
    graph = nx.DiGraph()
    graph.add_edge("x", "h1", share="w", weight=0.5)
    graph.add_edge("h1", "h2", share="w", weight=0.5)
    graph.add_edge("h2", "y", weight=2.0)
    net = dagnet.Network(graph, activation="tanh")
    rule = net.trace(("h1", "h2"), [0.7], 0.0)
    assert set(rule.edges) == {("x", "h1"), ("h1", "h2")}
    assert rule.value == pytest.approx(net.gradient([[0.7]], [0.0]).weights["x", "h1"], rel=1e-12)
    assert "(one weight with 1 other edge)" in str(rule)
    assert "path 1 (w(x→h1))" in str(rule)


@pytest.mark.parametrize("y", [1, [1], np.array([1]), np.array(1), [0.0, 1.0, 0.0]])
def test_one_row_in_any_form(y):
    net = dagnet.Network(dagnet.layered([2, 3, 3], activation="tanh"), loss="cross_entropy", seed=0)
    expected = net.gradient([[2.0, 3.0]], [1]).weights["x1", "h11"]
    for x in ([2.0, 3.0], np.array([2, 3]), {"x1": 2.0, "x2": 3.0}, [[2.0, 3.0]]):
        assert net.trace(("x1", "h11"), x, y).value == pytest.approx(expected, rel=1e-12)


def test_refusals():
    net = textbook()
    with pytest.raises(dagnet.DataError, match=r"did you mean \('x1', 'h11'\)"):
        net.trace(("h11", "x1"), [2.0, 3.0], 100.0)
    with pytest.raises(dagnet.DataError, match="x must be one row, got '2 rows'"):
        net.trace(("x1", "h11"), [[2.0, 3.0], [1.0, 1.0]], 100.0)
    with pytest.raises(dagnet.DataError, match=r"\(rows, 2\), or one row, \(2,\), got shape \(3,\)"):
        net.trace(("x1", "h11"), [2.0, 3.0, 4.0], 100.0)
    with pytest.raises(dagnet.DataError, match="NaN"):
        net.trace_all([2.0, float("nan")], 100.0)
    with pytest.raises(dagnet.DataError, match="y must"):
        net.trace_all([2.0, 1.0], [100.0, 2.0])
    with pytest.raises(dagnet.DataError, match="must be numbers in a rectangular array"):
        trace(net, ("x1", "h11"), [[1.0], [2.0, 3.0]], 1.0)


# -- renderings with any name ------------------------------------------------------------


def hostile_network():
    graph = nx.DiGraph()
    graph.add_edges_from((name, ("hidden", name)) for name in HOSTILE)
    graph.add_edges_from((("hidden", name), "eta") for name in HOSTILE)
    graph.add_edges_from((("hidden", name), "<b>y</b>") for name in HOSTILE[:3])
    return dagnet.Network(graph, activation="tanh", seed=0)


def renderings():
    net = hostile_network()
    x, y = np.linspace(-1, 1, len(HOSTILE)), [1.0, 0.0]
    for name in HOSTILE:
        yield net.trace((name, ("hidden", name)), x, y)
    yield net.trace_all(x, y)
    graph = nx.DiGraph([("x", "h"), ("h", "y")])
    graph.add_node("x", units=2)
    graph.add_node("h", units=3, activation="tanh")
    net = dagnet.Network(graph, seed=0)
    yield net.trace(("x", "h"), [1.0, -2.0], 1.0)
    yield net.trace_all([1.0, -2.0], 1.0)
    deep = dagnet.Network(dagnet.layered([2, 3, 3, 3, 2], activation="tanh"), seed=0)
    yield deep.trace(("x1", "h11"), [1e-9, 2.0], [1.0, 2.0])
    yield deep.trace_all([1e-9, 2.0], [1.0, 2.0])
    yield textbook().trace(("x1", "h11"), [2.0, 3.0], 100.0)


def test_renderings_are_sound_with_any_name():
    for shown in renderings():
        assert_html_is_sound(shown._repr_html_())
        assert_latex_is_sound(shown._repr_latex_())
        str(shown).encode("utf-8")
        assert "\x00" not in str(shown)
        assert len(repr(shown).splitlines()) == 1
        assert max(map(len, str(shown).splitlines())) < 2000


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_the_latex_compiles(tmp_path):
    bodies = "\n\n".join(shown._repr_latex_() for shown in renderings())
    document = tmp_path / "all.tex"
    document.write_text(
        "\\documentclass{article}\\usepackage{amsmath}\\usepackage{amssymb}\\begin{document}\n"
        f"{bodies}\n\\end{{document}}\n"
    )
    run = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", document.name],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-2000:]
    assert (tmp_path / "all.pdf").exists()


@settings(max_examples=10)
@given(dags(max_nodes=6))
def test_renderings_of_drawn_graphs_are_sound(graph):
    net = network(graph, engine="reference", seed=0)
    X, y = rows_for(net, rows=1, seed=0)
    assert_html_is_sound(net.trace_all(X[0], y)._repr_html_())
    for edge in net.edges:
        assert_html_is_sound(net.trace(edge, X[0], y)._repr_html_())


def test_numbers_that_have_no_short_form():
    graph = nx.DiGraph([("x", "h"), ("h", "y")])
    graph.add_node("x", units=9, center=np.arange(9.0), scale=2.0)
    graph.add_node("h", units=9, activation="exp")
    net = dagnet.Network(graph, seed=0)
    assert net.formula("x") == "x = (the datum − center) / scale"
    rule = net.trace(("x", "h"), np.ones(9), 1.0)
    assert "(9×9, largest " in str(rule)
    assert r"\left[9 \times 9\right]" in rule._repr_latex_()
    net.biases["h"] = np.full(9, 1e3)
    with np.errstate(all="ignore"):
        endless = net.trace(("h", "y"), np.ones(9), 1.0)
        for shown in (endless, net.trace_all(np.ones(9), 1.0)):
            assert "inf" in str(shown) or "nan" in str(shown)
            assert_latex_is_sound(shown._repr_latex_())


class Unwritable:
    """A name that cannot be written."""

    def __repr__(self):
        raise RuntimeError


def test_a_name_that_cannot_be_written_is_its_type():
    assert label(Unwritable()) == "<Unwritable>"
    assert label("a" * 100) == "a" * 59 + "…"


def test_a_row_of_a_data_frame_is_read_by_name_whatever_its_order():
    net = textbook()
    true = net.trace(("x1", "h11"), [2.0, 3.0], 100.0).value
    frame = pd.DataFrame({"note": [0.0], "x2": [3.0], "eta": [100.0], "x1": [2.0]})
    swapped = frame[["x2", "x1"]]
    for x in (frame, frame.iloc[0], swapped, swapped.iloc[0], pd.Series([2.0, 3.0])):
        assert net.trace(("x1", "h11"), x, 100.0).value == true
    for y in (frame[["eta"]], frame["eta"], frame.iloc[0], frame["eta"].iloc[0]):
        assert net.trace(("x1", "h11"), [2.0, 3.0], y).value == true
    with pytest.raises(dagnet.DataError, match="no column 'x1'"):
        net.trace(("x1", "h11"), frame[["x2", "note"]].iloc[0], 100.0)
