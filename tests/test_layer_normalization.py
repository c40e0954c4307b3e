"""Normalisation over the units of a node, row by row: as torch.nn.LayerNorm, in training and prediction."""

import networkx as nx
import numpy as np
import pytest

import dagnet
from dagnet.plan import LAYER

ENGINES = ("reference", "compiled")


def drawn(said="layer", **attributes):
    """Two normalised nodes of 3 and 5 units, one after the other, beside a plain one."""
    graph = nx.DiGraph([("x", "a"), ("x", "b"), ("x", "c"), ("a", "b"), ("b", "y"), ("c", "y"), ("a", "y")])
    graph.nodes["x"]["units"] = 4
    graph.nodes["a"].update(units=3, activation="tanh", normalization=said, **attributes)
    graph.nodes["b"].update(units=5, activation="sigmoid", normalization=said, **attributes)
    graph.nodes["c"].update(units=3, activation="tanh")
    return graph


def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(1.0, 2.0, (n, 4)), rng.normal(size=n)


def transcribed(net, *, before, eps=1e-5):
    """The same network of PyTorch's modules, and a function of X."""
    torch = pytest.importorskip("torch")
    lines, norms = {}, {}
    for h, parents in (("a", "x"), ("b", "xa"), ("c", "x"), ("y", "bca")):
        w = np.concatenate([np.atleast_2d(net.weights[p, h]) for p in parents], axis=1)
        lines[h] = torch.nn.Linear(w.shape[1], w.shape[0]).double()
        lines[h].weight.data = torch.tensor(w, dtype=torch.float64)
        lines[h].bias.data = torch.tensor(np.atleast_1d(net.biases[h]), dtype=torch.float64)
        if h in "ab":
            norms[h] = torch.nn.LayerNorm(w.shape[0], eps=eps).double()
            norms[h].weight.data = torch.tensor(net.node_parameters[h, "scale"], dtype=torch.float64)
            norms[h].bias.data = torch.tensor(net.node_parameters[h, "shift"], dtype=torch.float64)

    def value(h, act, *read):
        z = lines[h](torch.cat(read, dim=1))
        if h not in norms:
            return act(z)
        return act(norms[h](z)) if before else norms[h](act(z))

    def outputs(X):
        x = torch.tensor(X)
        a = value("a", torch.tanh, x)
        b = value("b", torch.sigmoid, x, a)
        return lines["y"](torch.cat([b, value("c", torch.tanh, x), a], dim=1))[:, 0]

    modules = torch.nn.ModuleList([*lines.values(), *norms.values()])
    return outputs, modules, lines, norms


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("before", [False, True])
def test_values_gradients_and_steps_are_those_of_pytorchs_layer_norm(engine, before):
    torch = pytest.importorskip("torch")
    said = "layer(eps=0.001, before_activation=True)" if before else "layer(eps=0.001)"
    net = dagnet.Network(drawn(said), seed=3, engine=engine, initializer="glorot_normal")
    rng = np.random.default_rng(1)
    for h, n in (("a", 3), ("b", 5)):
        net.node_parameters[h, "scale"] = rng.normal(1, 0.5, n)
        net.node_parameters[h, "shift"] = rng.normal(0, 0.5, n)
    X, y = rows(37)
    outputs, modules, lines, norms = transcribed(net, before=before, eps=0.001)
    np.testing.assert_allclose(net(X)[:, 0], outputs(X).detach().numpy(), rtol=0, atol=1e-12)
    loss = ((outputs(X) - torch.tensor(y)) ** 2).mean()
    loss.backward()
    gradient = net.gradient(X, y)
    assert gradient.loss == pytest.approx(loss.item(), abs=1e-12)
    for h, norm in norms.items():
        for name, theirs in (("scale", norm.weight), ("shift", norm.bias)):
            ours = gradient.node_parameters[h, name]
            np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(gradient.weights["x", "a"], lines["a"].weight.grad.numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(gradient.biases["b"], lines["b"].bias.grad.numpy(), rtol=0, atol=1e-12)
    optimizer = torch.optim.SGD(modules.parameters(), lr=0.05)
    for _ in range(3):
        for batch in (slice(0, 10), slice(10, 20), slice(20, 30), slice(30, 37)):
            optimizer.zero_grad()
            ((outputs(X[batch]) - torch.tensor(y[batch])) ** 2).mean().backward()
            optimizer.step()
    net.fit(X, y, epochs=3, batch_size=10, optimizer="sgd", learning_rate=0.05, shuffle=False)
    np.testing.assert_allclose(net(X)[:, 0], outputs(X).detach().numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("said", ["layer", "layer(before_activation=True)"])
def test_gradients_pass_the_check_whatever_is_asked(engine, said):
    net = dagnet.Network(drawn(said), seed=3, engine=engine)
    X, y = rows(9)
    assert dagnet.check_gradient(net, X, y).passed
    for wrt in ([("x", "a")], ["a"], ["b", ("a", "b")]):
        assert dagnet.check_gradient(net, X, y, wrt=wrt).passed
        part, whole = net.gradient(X, y, wrt=wrt), net.gradient(X, y)
        np.testing.assert_allclose(part.flat[part.asked], whole.flat[part.asked], rtol=1e-12)
    deltas = net.gradient(X, y, wrt=["b"])
    np.testing.assert_allclose(deltas.delta("a"), net.gradient(X, y).delta("a"), rtol=1e-12)


def test_a_unit_that_reaches_an_output_through_its_mates_alone_is_walked():
    graph = nx.DiGraph([("x", "a"), ("a", "y")])
    graph.nodes["x"]["units"] = graph.nodes["a"]["units"] = 2
    graph.nodes["a"].update(normalization="layer", activation="tanh")
    graph.edges["a", "y"]["weight"] = [[1.0, 0.0]]
    for engine in ENGINES:
        net = dagnet.Network(graph, seed=0, engine=engine)
        X, y = rows(5)[0][:, :2], rows(5)[1]
        assert dagnet.check_gradient(net, X, y).passed
        assert np.abs(net.gradient(X, y).weights["x", "a"][1]).min() > 0


def test_a_plan_that_is_cut_keeps_nodes_whole():
    plan = dagnet.Network(drawn(), seed=0).plan
    step = next(step for step in plan.program() if step.kind == LAYER and step.source == 5)
    wanted = np.zeros(plan.n_units, bool)
    wanted[step.target + 1] = True
    cut = plan.restrict(units=wanted)
    cut.verify()
    assert cut.unit_ids[cut.n_inputs :].tolist() == list(range(step.target, step.target + 5))
    assert cut.unit_ids[: cut.n_inputs].tolist() == plan.sources[step.slots].tolist()
    plan.verify()
    assert "layer over 5 units each" in str(plan)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("threads", [1, 2])
def test_engines_agree_in_both_precisions_with_dense_steps_too(dtype, threads):
    graph = nx.DiGraph([("x", "h"), ("h", "g"), ("g", "y"), ("h", "y")])
    for node, units in (("x", 70), ("h", 66), ("g", 64), ("y", 2)):
        graph.nodes[node]["units"] = units
    graph.nodes["h"].update(normalization="layer", activation="tanh", dropout=0.25)
    graph.nodes["g"].update(normalization="layer(before_activation=True)", activation="relu")
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(150, 70)), rng.normal(size=(150, 2))
    nets = [dagnet.Network(graph, seed=2, engine=engine, dtype=dtype, threads=threads) for engine in ENGINES]
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    np.testing.assert_allclose(nets[0](X), nets[1](X), rtol=0, atol=tolerance)
    for node in "hg":
        np.testing.assert_allclose(
            nets[0].forward(X).pre_activation(node), nets[1].forward(X).pre_activation(node), atol=tolerance
        )
    flats = [net.gradient(X, y).flat for net in nets]
    np.testing.assert_allclose(*flats, rtol=0, atol=tolerance)
    for net in nets:
        net.fit(X, y, epochs=2, batch_size=40, seed=1, optimizer="sgd", learning_rate=0.01)
    np.testing.assert_allclose(nets[0].vector, nets[1].vector, rtol=0, atol=tolerance)


def test_the_compiled_engines_z_of_what_is_normalised_before_is_right():
    net = dagnet.Network(drawn("layer(before_activation=True)"), seed=3, engine="compiled")
    other = dagnet.Network(drawn("layer(before_activation=True)"), seed=3, engine="reference")
    X = rows(40)[0]
    for one, two in zip(net.forward(X).by_unit, other.forward(X).by_unit, strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-12)


def test_both_kinds_stand_in_one_graph_and_go_where_parameters_go(tmp_path):
    graph = drawn(dropout=0.1)
    graph.nodes["c"]["normalization"] = "batch"
    net = dagnet.Network(graph, seed=0)
    X, y = rows(30)
    net.fit(X, y, epochs=2, seed=0)
    assert ("a", "scale") in net.node_parameters
    assert ("a", "mean") not in net.node_parameters
    assert ("c", "mean") in net.node_parameters
    assert len(list(net.node_parameters)) == 2 + 2 + 4
    with pytest.raises(KeyError, match="'a' has no variance: it is not normalised over rows"):
        net.node_parameters["a", "variance"]
    net.save(tmp_path / "net.dagnet")
    others = [dagnet.load(tmp_path / "net.dagnet"), dagnet.Network(net.to_networkx())]
    for suffix in ("graphml", "json", "cyjs"):
        net.export(tmp_path / f"net.{suffix}")
        others.append(dagnet.Network(dagnet.read_graph(tmp_path / f"net.{suffix}")))
    for other in others:
        np.testing.assert_array_equal(other.vector, net.vector)
        np.testing.assert_array_equal(other(X), net(X))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("engine", ENGINES)
def test_the_textbooks_equations_are_verified(engine, dtype, monkeypatch):
    for said in ("layer", "layer(before_activation=True)"):
        graph = drawn(said, dropout=0.2)
        graph.nodes["c"]["normalization"] = "batch"
        net = dagnet.Network(graph, seed=0, engine=engine, dtype=dtype)
        X, y = rows(30)
        net.fit(X, y, epochs=2, seed=0)
        assert dagnet.verify(net, X, y).passed
    if engine == "reference":
        wrong = "dagnet.engine.training_steps.through_units"
        monkeypatch.setattr(wrong, lambda pull, x, inverse, width: pull * inverse)
        assert not dagnet.verify(net, X, y).passed


def test_rows_may_come_alone():
    net = dagnet.Network(drawn(), seed=0)
    X, y = rows(5)
    net.fit(X, y, epochs=1, batch_size=1)
    assert net(X[:1])[0, 0] == pytest.approx(net(X)[0, 0], abs=1e-14)


def test_a_node_of_one_unit_is_refused_by_name():
    graph = drawn()
    graph.nodes["y"]["normalization"] = "layer"
    with pytest.raises(
        dagnet.GraphError, match=r"node 'y': normalization 'layer' is over the units .* got units=1; write"
    ):
        dagnet.Network(graph)


# -- explanations of what is normalised, over rows and over units ------------------------------


def explained(said):
    graph = drawn(said, dropout=0.1)
    graph.nodes["c"].update(units=1, normalization=said.replace("layer", "batch"))
    net = dagnet.Network(graph, seed=2)
    X, y = rows(30)
    net.fit(X, y, epochs=3, seed=0)
    return net, X, y


@pytest.mark.parametrize("said", ["layer", "layer(before_activation=True)", "batch", "batch(eps=0.1)"])
def test_traces_multiply_to_the_derivative_and_show_the_factor(said):
    net, X, y = explained(said)
    for edge in net.edges:
        rule = net.trace(edge, X[0], y[0])
        total = sum(np.asarray(path.value) for path in rule.paths)
        expected = net.gradient(X[:1], y[:1]).weights[edge]
        np.testing.assert_allclose(np.reshape(total, np.shape(expected)), expected, rtol=1e-9, atol=1e-13)
        for derivative in rule.derivatives:
            terms = [np.asarray(factor.value).shape for _, factor in derivative.terms]
            assert terms
    assert "scale/√(variance + eps)" in str(net.trace(("x", "c"), X[0], y[0]))
    shown = str(net.trace(("x", "a"), X[0], y[0]))
    assert ("∂a/∂z · ∂z/∂w" in shown) == said.startswith("layer")


@pytest.mark.parametrize("said", ["layer", "layer(before_activation=True)", "batch", "batch(eps=0.1)"])
def test_the_backward_pass_leads_from_gradients_to_deltas(said):
    from dagnet.explain.backward_pass import trace_all

    net, X, y = explained(said)
    passed = trace_all(net, X[3], y[3])
    for step in passed.nodes:
        gradient, factor = np.atleast_1d(step.gradient), 1.0 if step.normalized is None else step.normalized
        found = gradient @ factor if np.ndim(factor) == 2 else gradient * step.slope * factor
        np.testing.assert_allclose(found, np.atleast_1d(step.delta), rtol=1e-9, atol=1e-14)
    name = said.partition("(")[0]
    assert f"{name}(" in str(passed)


def test_formulas_summaries_and_the_inspector_say_what_normalises():
    import json

    from dagnet.formats.inspector import payload

    net, X, y = explained("layer")
    assert net.formula("a").startswith("a = layer(tanh(")
    assert "layer 2, batch 1" in str(net.summary())
    data = payload(net, dagnet.Observations(X, y))
    assert data["words"][net.topology.index["c"]] == "normalization batch"
    assert json.dumps(data["words"])
    one = nx.DiGraph([("x", "h"), ("h", "y")])
    one.nodes["h"].update(normalization="batch", activation="tanh")
    small = dagnet.Network(one, seed=1)
    small.fit(X[:, :1], y, epochs=2, seed=0)
    right = small.formula("h").removeprefix("h = ").replace("·", "*").replace("−", "-")
    x = 0.7
    value = eval(right, {"tanh": np.tanh, "x": x})
    assert value == pytest.approx(small.forward([[x]])["h"][0], abs=1e-4)


def test_right_gradients_of_narrow_nodes_pass_the_check_whatever_the_curvature():
    X = np.random.default_rng(0).normal(size=(37, 3))
    graph = nx.DiGraph([("x1", "h"), ("x2", "h"), ("x3", "h"), ("h", "y")])
    graph.nodes["h"].update(units=2, normalization="layer", activation="tanh")
    for seed in range(15):
        assert dagnet.check_gradient(dagnet.Network(graph, seed=seed), X, X[:, 0]).passed
