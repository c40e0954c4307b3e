"""Heads: losses of their own, weights, targets, groups, missing labels; against PyTorch and differences."""

import networkx as nx
import numpy as np
import pytest

import dagnet

torch = pytest.importorskip("torch")
ROWS = 40
RNG = np.random.default_rng(7)
X = RNG.normal(size=(ROWS, 3))
Y = {
    "y1": RNG.normal(size=ROWS),
    "y2": (RNG.normal(size=ROWS) > 0).astype(float),
    "p": RNG.poisson(2.0, ROWS).astype(float),
    ("a", "b", "c"): RNG.integers(0, 3, ROWS),
}
LOSSES = {
    "y1": "huber(delta=0.5)",
    "y2": "binary_cross_entropy_with_logits",
    "p": "poisson",
    ("a", "b", "c"): "cross_entropy",
}
WEIGHTS = {"y2": 0.3, ("a", "b", "c"): 2.0}


def drawn(outputs=("y1", "a", "y2", "b", "p", "c")):
    graph = nx.DiGraph()
    graph.add_edges_from((f"x{k}", f"h{j}") for k in range(3) for j in range(4))
    graph.add_edges_from((f"h{j}", output) for j in range(4) for output in outputs)
    return graph


def network(graph=None, **arguments):
    said = {"loss": LOSSES, "loss_weights": WEIGHTS, "activation": "tanh", "seed": 3, **arguments}
    return dagnet.Network(drawn() if graph is None else graph, **said)


def by_torch(net, terms, X=X):
    """The gradient by name of a loss that ``terms`` makes of the outputs by name, and the loss."""
    values = {name: torch.tensor(column) for name, column in zip(net.inputs, X.T, strict=True)}
    weights = {
        edge: torch.tensor(float(w), dtype=torch.float64, requires_grad=True)
        for edge, w in net.weights.items()
    }
    biases = {
        node: torch.tensor(float(b), dtype=torch.float64, requires_grad=True)
        for node, b in net.biases.items()
    }
    parents = {node: [edge for edge in net.edges if edge[1] == node] for node in net.nodes}
    for level in net.levels:
        for node in level:
            if node not in values:
                z = biases[node] + sum(weights[edge] * values[edge[0]] for edge in parents[node])
                values[node] = torch.tanh(z) if str(node).startswith("h") else z
    loss = terms(values)
    loss.backward()
    zero = torch.zeros(())
    by_edge = {edge: (zero if w.grad is None else w.grad).item() for edge, w in weights.items()}
    return (
        loss.item(),
        by_edge,
        {node: (zero if b.grad is None else b.grad).item() for node, b in biases.items()},
    )


def assert_gradient(net, found, wanted, tolerance=1e-12):
    loss, weights, biases = wanted
    assert found.loss == pytest.approx(loss, rel=tolerance)
    for edge, value in weights.items():
        assert found.weights[edge] == pytest.approx(value, rel=tolerance, abs=tolerance)
    for node, value in biases.items():
        assert found.biases[node] == pytest.approx(value, rel=tolerance, abs=tolerance)


def terms(values, y=Y):
    f = torch.nn.functional
    logits = torch.stack([values[name] for name in "abc"], 1)
    return (
        f.huber_loss(values["y1"], torch.tensor(y["y1"]), delta=0.5)
        + 0.3 * f.binary_cross_entropy_with_logits(values["y2"], torch.tensor(y["y2"]))
        + f.poisson_nll_loss(values["p"], torch.tensor(y["p"]))
        + 2.0 * f.cross_entropy(logits, torch.tensor(y["a", "b", "c"]))
    )


@pytest.mark.parametrize("engine", ["compiled", "reference"])
def test_the_gradient_is_that_of_pytorch(engine):
    net = network(engine=engine)
    assert_gradient(net, net.gradient(X, Y), by_torch(net, terms))
    assert net.evaluate(X, Y) == pytest.approx(net.gradient(X, Y).loss, rel=1e-14)
    assert dagnet.check_gradient(net, X, Y).passed
    assert dagnet.verify(net, X, Y).passed


def test_on_nodes_and_as_an_argument_it_is_the_same_network():
    graph = drawn()
    for name, loss in LOSSES.items():
        for node in name if isinstance(name, tuple) else (name,):
            graph.nodes[node]["loss"] = (loss, name) if isinstance(name, tuple) else loss
    for name, weight in WEIGHTS.items():
        for node in name if isinstance(name, tuple) else (name,):
            graph.nodes[node]["loss_weight"] = weight
    one, other = network(), network(graph, loss=None, loss_weights=None)
    assert one.evaluate(X, Y) == other.evaluate(X, Y)
    assert one.heads.keys() == other.heads.keys() == {"y1", "y2", "p", "a,b,c"}
    # a graph may say the mapping, too
    plain = drawn()
    plain.graph["dagnet"] = {"loss": LOSSES, "loss_weights": WEIGHTS}
    assert network(plain, loss=None, loss_weights=None).evaluate(X, Y) == one.evaluate(X, Y)


def test_predictions_are_each_heads_own():
    net = network()
    outputs, predicted = net(X), net.predict(X)
    column = {name: place for place, name in enumerate(net.outputs)}
    np.testing.assert_array_equal(predicted[:, column["y1"]], outputs[:, column["y1"]])
    np.testing.assert_allclose(predicted[:, column["y2"]], 1 / (1 + np.exp(-outputs[:, column["y2"]])))
    np.testing.assert_allclose(predicted[:, column["p"]], np.exp(outputs[:, column["p"]]))
    group = [column[name] for name in "abc"]
    exponentials = np.exp(outputs[:, group])
    np.testing.assert_allclose(predicted[:, group], exponentials / exponentials.sum(axis=1, keepdims=True))


def test_outputs_that_nobody_names_are_one_group():
    net = dagnet.Network(drawn(("u", "v", "w")), loss={"v": "huber"}, seed=0)
    assert {name: str(head.loss) for name, head in net.heads.items()} == {
        "u,w": "squared_error",
        "v": "huber(delta=1.0)",
    }
    y = RNG.normal(size=(ROWS, 3))
    o = net(X)
    d = np.abs(o[:, 1] - y[:, 1])
    huber = np.where(d < 1, d**2 / 2, d - 0.5).mean()
    assert net.evaluate(X, y) == pytest.approx(((o - y)[:, [0, 2]] ** 2).sum(axis=1).mean() + huber)
    one = dagnet.Network(drawn(("u", "v", "w")), loss="huber", seed=0)
    assert isinstance(one.loss, dagnet.Loss)
    assert list(one.heads) == ["u,v,w"]
    assert list(one.fit(X, y, epochs=1)) == ["loss"]


def test_labels_of_a_group_count_in_its_order():
    """The loss takes the nodes as the tuple names them, whatever the order of the outputs."""
    net = dagnet.Network(drawn(("a", "b", "c")), loss={("c", "a", "b"): "cross_entropy"}, seed=0)
    labels, o = RNG.integers(0, 3, ROWS), net(X)
    log_p = o - np.log(np.exp(o).sum(axis=1, keepdims=True))
    wanted = -log_p[np.arange(ROWS), np.array([2, 0, 1])[labels]].mean()
    for y in (labels, {("c", "a", "b"): labels}):
        assert net.evaluate(X, y) == pytest.approx(wanted)
    wide = np.eye(3)[labels]
    assert net.evaluate(X, {"c": wide[:, 0], "a": wide[:, 1], "b": wide[:, 2]}) == pytest.approx(wanted)
    assert dagnet.check_gradient(net, X, labels).passed


# -- targets ------------------------------------------------------------------------------


def towers(n, **said):
    """n hidden nodes, each an output that learns eta."""
    graph = nx.DiGraph()
    for k in range(n):
        graph.add_node(f"h{k}", target="eta", loss_weight=0.2, **said)
        graph.add_edges_from([("x0", f"h{k}"), ("x1", f"h{k}"), ("x2", f"h{k}"), (f"h{k}", "eta")])
    graph.graph["dagnet"] = {"outputs": [*(f"h{k}" for k in range(n)), "eta"]}
    return graph


def test_heads_that_learn_another_outputs_column():
    net = dagnet.Network(towers(5), loss="squared_error", activation="tanh", seed=0)
    y, o = RNG.normal(size=ROWS), None
    assert net.targets == ("eta",)
    assert net.outputs == ("h0", "h1", "h2", "h3", "h4", "eta")
    o = net(X)
    wanted = 0.2 * ((o[:, :5] - y[:, None]) ** 2).mean(axis=0).sum() + ((o[:, 5] - y) ** 2).mean()
    for given in (y, y[:, None], {"eta": y}):
        assert net.evaluate(X, given) == pytest.approx(wanted, rel=1e-14)
    assert dagnet.check_gradient(net, X, y).passed
    history = net.fit(X, y, epochs=2, seed=0)
    assert {"loss[h3]", "loss[eta]"} <= set(history)


def test_a_target_s_loss_is_the_head_s_and_chains_are_followed():
    graph = towers(2)
    graph.nodes["h0"]["target"] = "h1"
    net = dagnet.Network(graph, loss={"eta": "huber"}, seed=0)
    assert {str(head.loss) for head in net.heads.values()} == {"huber(delta=1.0)"}
    assert net.heads["h0"].targets == ("eta",)
    own = dagnet.Network(towers(2, loss="squared_error"), loss={"eta": "huber"}, seed=0)
    assert str(own.heads["h0"].loss) == "squared_error"


@pytest.mark.parametrize("engine", ["reference", "compiled"])
def test_many_heads_of_one_column_are_few_calls(monkeypatch, engine):
    """2,000 heads of one column: the loss is asked some times a step, or is machine code; y is there once."""
    calls, asked = [], dagnet.Loss.row_values

    def counted(self, outputs, targets):
        calls.append(outputs.shape)
        return asked(self, outputs, targets)

    monkeypatch.setattr(dagnet.Loss, "row_values", counted)
    net = dagnet.Network(towers(2000), seed=0, engine=engine)
    y = RNG.normal(size=ROWS)
    run = dagnet.training.TrainingRun(net, X, y, dagnet.training.Settings(epochs=1, batch_size=ROWS))
    assert run.data.targets.shape == (ROWS, 1)
    calls.clear()
    run.train()
    assert len(calls) < 10
    assert sum(rows for rows, _ in calls) == (ROWS * 2001 if engine == "reference" else 0)


# -- missing labels -----------------------------------------------------------------------


def with_gaps(y, share=0.6):
    gaps = {name: np.array(column, float) for name, column in y.items()}
    for column in gaps.values():
        column[RNG.random(ROWS) < share] = np.nan
    return gaps


def test_with_60_percent_missing_the_gradient_is_that_of_pytorch():
    gaps, net = with_gaps(Y), network()

    def masked(values):
        f, there = torch.nn.functional, {name: ~np.isnan(column) for name, column in gaps.items()}
        of = {name: torch.tensor(column[there[name]]) for name, column in gaps.items()}
        logits = torch.stack([values[name] for name in "abc"], 1)[there["a", "b", "c"]]
        return (
            f.huber_loss(values["y1"][there["y1"]], of["y1"], delta=0.5)
            + 0.3 * f.binary_cross_entropy_with_logits(values["y2"][there["y2"]], of["y2"])
            + f.poisson_nll_loss(values["p"][there["p"]], of["p"])
            + 2.0 * f.cross_entropy(logits, of["a", "b", "c"].long())
        )

    assert_gradient(net, net.gradient(X, gaps, missing="skip"), by_torch(net, masked))
    assert dagnet.check_gradient(net, X, gaps, missing="skip").passed
    assert dagnet.verify(net, X, gaps, missing="skip").passed
    with pytest.raises(dagnet.DataError, match=r"y: row .* without NaN"):
        net.gradient(X, gaps)


def gradient_by(net, y, weights):
    """The total, the gradient by slot and the parts, as training takes them."""
    inputs, targets, _ = net.encode(np.tile(X, (3, 1)), y, missing="skip")
    gradient, into = net.objective.gradient_of(net.runner, gaps=True), np.empty(net.plan.n_slots, net.dtype)
    loss, _ = gradient(net.layout.by_slot(net.parameters), inputs, targets, weights, into=into)
    return loss, into, gradient.parts


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("by_head", [False, True])
def test_engines_agree_on_heads_gaps_and_weights(monkeypatch, threads, by_head):
    monkeypatch.setattr("dagnet.engine.compiled.runner.WORK_PER_THREAD", 1)
    y = {name: np.tile(column, 3) for name, column in with_gaps(Y).items()}
    weights = RNG.uniform(0, 1, (3 * ROWS, len(Y)) if by_head else 3 * ROWS)
    weights[::5] = 0
    told = {"loss_weights": {**WEIGHTS, "p": 0.0}, "threads": threads}
    found, wanted = (
        gradient_by(network(engine=engine, **told), y, weights) for engine in ("compiled", "reference")
    )
    assert found[0] == pytest.approx(wanted[0], rel=1e-13)
    np.testing.assert_allclose(found[1], wanted[1], rtol=1e-10, atol=1e-14)
    for mine, theirs in zip(found[2][:2], wanted[2][:2], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


@pytest.mark.parametrize("engine", ["compiled", "reference"])
def test_a_missing_label_does_not_ask_for_a_loss(engine):
    """A saturated probability has an infinite loss for one label, and none where there is no label."""
    graph = nx.DiGraph()
    graph.add_nodes_from(("y", "z"), activation="sigmoid", bias=0.0)
    graph.add_edge("x", "y", weight=1.0)
    graph.add_edge("x", "z", weight=0.0)
    net = dagnet.Network(graph, loss="binary_cross_entropy", dtype="float32", engine=engine)
    y = {"y": [np.nan, 1.0], "z": [1.0, 1.0]}
    history = net.fit([[200.0], [0.5]], y, epochs=1, batch_size=2, missing="skip")
    assert history["loss"][0] == pytest.approx(np.log(1 + np.exp(-0.5)) + np.log(2), rel=1e-6)


def test_one_loss_of_several_outputs_has_labels_by_output():
    net = dagnet.Network(drawn(("u", "v", "w")), activation="tanh", seed=0)
    y = RNG.normal(size=(ROWS, 3))
    y[RNG.random(y.shape) < 0.6] = np.nan

    def masked(values):
        there = ~np.isnan(y)
        pairs = [(values[name][there[:, k]], torch.tensor(y[there[:, k], k])) for k, name in enumerate("uvw")]
        return sum(((o - t) ** 2).mean() for o, t in pairs)

    assert_gradient(net, net.gradient(X, y, missing="skip"), by_torch(net, masked))
    full = RNG.normal(size=(ROWS, 3))
    assert net.evaluate(X, full, missing="skip") == net.evaluate(X, full)
    history = net.fit(X, y, epochs=3, missing="skip", validation_data=(X, y))
    assert history["validation_loss"][-1] < history["validation_loss"][0]


def test_without_gaps_skipping_changes_no_bit():
    one, other = (dagnet.Network(drawn(("u",)), seed=0) for _ in range(2))
    y = RNG.normal(size=ROWS)
    one.fit(X, y, epochs=3, seed=1)
    other.fit(X, y, epochs=3, seed=1, missing="skip")
    assert (one.parameters == other.parameters).all()


def test_a_head_that_a_table_does_not_mention_is_not_trained():
    net, y = network(), {name: column for name, column in Y.items() if name != "p"}
    before = {edge: net.weights[edge] for edge in net.edges}
    history = net.fit(X, y, epochs=2, seed=0)
    assert np.isnan(history["loss[p]"]).all()
    assert np.isfinite(history["loss"]).all()
    assert all((net.weights[edge] == before[edge]) == (edge[1] == "p") for edge in net.edges)
    rest = {name: loss for name, loss in LOSSES.items() if name != "p"}
    weights = [WEIGHTS.get(name, 1.0) for name in rest]
    losses = [history[f"loss[{','.join(name) if isinstance(name, tuple) else name}]"][-1] for name in rest]
    assert history["loss"][-1] == pytest.approx(np.dot(weights, losses), rel=1e-12)


def test_weights_by_row_and_head():
    net = network()
    weights = RNG.random((ROWS, 4))
    order = list(net.heads)

    def weighted(values):
        f, w = torch.nn.functional, {name: torch.tensor(weights[:, order.index(name)]) for name in order}
        w = {name: column / column.sum() for name, column in w.items()}
        logits = torch.stack([values[name] for name in "abc"], 1)
        none = {"reduction": "none"}
        y1 = f.huber_loss(values["y1"], torch.tensor(Y["y1"]), delta=0.5, **none)
        y2 = f.binary_cross_entropy_with_logits(values["y2"], torch.tensor(Y["y2"]), **none)
        p = f.poisson_nll_loss(values["p"], torch.tensor(Y["p"]), **none)
        group = f.cross_entropy(logits, torch.tensor(Y["a", "b", "c"]), **none)
        return (
            (w["y1"] * y1).sum() + 0.3 * (w["y2"] * y2).sum() + (w["p"] * p).sum()
            + 2.0 * (w["a,b,c"] * group).sum()
        )  # fmt: skip

    assert_gradient(net, net.gradient(X, Y, sample_weight=weights), by_torch(net, weighted))
    assert dagnet.verify(net, X, Y, sample_weight=weights).passed
    history = net.fit(X, Y, epochs=1, sample_weight=weights, seed=0)
    assert np.isfinite(history["loss"]).all()


def test_a_loss_that_couples_rows_sees_labelled_rows_only():
    def spread(outputs, targets):
        o, t = outputs[:, 0] - outputs[:, 0].mean(), targets[:, 0] - targets[:, 0].mean()
        return (o - t) ** 2

    coupling = dagnet.Loss("centred", spread, rowwise=False)
    net = dagnet.Network(drawn(("u", "v")), loss={"u": coupling}, activation="tanh", seed=0)
    y = RNG.normal(size=(ROWS, 2))
    y[::3, 0] = np.nan
    there = ~np.isnan(y[:, 0])

    def masked(values):
        o, t = values["u"][there], torch.tensor(y[there, 0])
        first = ((o - o.mean() - t + t.mean()) ** 2).mean()
        return first + ((values["v"] - torch.tensor(y[:, 1])) ** 2).mean()

    assert_gradient(net, net.gradient(X, y, missing="skip"), by_torch(net, masked), 1e-11)


# -- history ------------------------------------------------------------------------------


def test_the_history_has_each_heads_loss():
    net = network()
    history = net.fit(
        X, Y, epochs=4, batch_size=16, validation_data=(X[:9], {k: v[:9] for k, v in Y.items()}), seed=0,
        l2=0.1,
    )  # fmt: skip
    names = ["y1", "a,b,c", "y2", "p"]
    columns = [f"loss[{name}]" for name in names]
    assert list(history) == ["loss", *columns, "validation_loss", *(f"validation_{name}" for name in columns)]
    weights = np.array([1, 2.0, 0.3, 1])
    sums = weights @ np.array([history[f"validation_{name}"] for name in columns])
    np.testing.assert_allclose(history["validation_loss"], sums, rtol=1e-12)
    assert (np.array(history["loss"]) > weights @ np.array([history[name] for name in columns])).all()
    each = dagnet.Network(net.to_networkx())
    assert each.evaluate(X[:9], {k: v[:9] for k, v in Y.items()}) == history["validation_loss"][-1]


def test_stopping_watches_any_column():
    early = dagnet.EarlyStopping(patience=2, monitor="validation_loss[y1]")
    net = network()
    history = net.fit(X, Y, epochs=50, validation_data=(X, Y), callbacks=[early], seed=0, learning_rate=0.3)
    assert early.best == min(history["validation_loss[y1]"])


@pytest.mark.parametrize("epochs", [2, 3])
def test_a_resume_has_the_same_bits(epochs):
    """After whole epochs, and amid one."""

    class Stop(dagnet.Callback):
        def on_batch_end(self, run):
            run.stop = run.epoch == 3 and run.batch == 2

    def run_of(net, epochs, callbacks=()):
        settings = dagnet.training.Settings(epochs=epochs, batch_size=7, seed=5)
        return dagnet.training.TrainingRun(
            net, X, gaps, settings, missing="skip", validation_data=(X, Y), callbacks=callbacks
        )

    gaps, whole, again = with_gaps(Y), network(), network()
    wanted = run_of(whole, 5).train()
    first = run_of(network(), epochs, [Stop()])
    first.train()
    second = run_of(again, 5)
    dagnet.training.restore(second, first.snapshot())
    assert second.train().to_dict() == wanted.to_dict()
    assert (again.parameters == whole.parameters).all()


# -- files --------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".graphml", ".json", ".csv", ".cyjs", ".dot", ".dagnet", ".gexf"])
def test_files_bring_heads_back(tmp_path, suffix):
    graph = drawn(("y1", "a", "y2", "b", "p", "c", "t"))
    graph.nodes["t"].update(target="y1", loss_weight=0.5)
    net, path = network(graph), tmp_path / f"net{suffix}"
    if suffix == ".dagnet":
        net.save(path)
        again = dagnet.load(path)
    else:
        net.export(path)
        again = dagnet.Network(dagnet.read_graph(path))
    assert {name: str(head) for name, head in again.heads.items()} == {
        name: str(head) for name, head in net.heads.items()
    }
    assert again.evaluate(X, Y) == net.evaluate(X, Y)
    assert dagnet.topology.fingerprint(again.topology) == dagnet.topology.fingerprint(net.topology)


def test_fingerprints_know_heads():
    prints = {
        dagnet.topology.fingerprint(network(**said).topology)
        for said in ({}, {"loss_weights": {}}, {"loss": {"y1": "huber"}, "loss_weights": {}})
    }
    assert len(prints) == 3


def test_everything_that_shows_a_network_names_its_heads(tmp_path):
    net, one = network(), {name: column[0] for name, column in Y.items()}
    assert "a,b,c: 2 · cross_entropy" in str(net.loss)
    assert "y2: 0.3 · binary_cross_entropy_with_logits" in str(net.summary())
    rule = net.trace(("x0", "h1"), X[0], one)
    y = {name: column[:1] for name, column in Y.items()}
    assert rule.value == pytest.approx(net.gradient(X[:1], y).weights["x0", "h1"], rel=1e-12)
    assert "p: poisson" in str(rule)
    assert "0.3 · (sigmoid(y2) − y(y2))" in str(rule)
    assert "p: poisson" in str(net.trace_all(X[0], one))
    net.export(tmp_path / "net.html", X=X, y=Y)
    assert r"0.3 \u00b7 binary_cross_entropy_with_logits" in (tmp_path / "net.html").read_text()
    net.export(tmp_path / "net.graphml", X=X, y=Y)
    net.diagnose(X)


# -- refusals -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ({"u": {"target": "h1"}}, ("node 'u'", "target", "another output", "'h1'")),
        ({"u": {"target": ["v"]}}, ("node 'u'", "target", "the name of another output")),
        ({"u": {"target": (["v"],)}}, ("node 'u'", "target", "another output")),
        ({"u": {"loss": ("huber", (["v"],))}}, ("node 'u'", "loss", "different outputs")),
        ({"u": {"target": "nobody"}}, ("node 'u'", "target", "'nobody'")),
        ({"u": {"target": "u"}}, ("node 'u'", "target", "itself")),
        ({"u": {"target": "v"}, "v": {"target": "u"}}, ("target", "circle")),
        ({"u": {"loss": ("huber", ("u", "v"))}, "v": {"loss": "huber"}}, ("one group", "'v'")),
        (
            {"u": {"loss": ("huber", ("u", "v"))}, "v": {"loss": ("poisson", ("u", "v"))}},
            ("'v'", "one loss"),
        ),
        ({"u": {"loss_weight": -1.0}}, ("node 'u'", "loss_weight", "at least 0", "-1")),
        ({"u": {"loss_weight": "1"}}, ("node 'u'", "loss_weight", "number")),
        ({"h1": {"loss": "huber"}}, ("node 'h1'", "loss is for outputs", "outputs=[…]")),
        ({"x0": {"loss_weight": 2.0}}, ("node 'x0'", "loss_weight is for outputs")),
        ({"u": {"loss": "hubert"}}, ("node 'u'", "huber")),
        ({"u": {"loss": 3}}, ("node 'u'", "loss", "3")),
        ({"u": {"loss": "cross_entropy"}}, ("head u", "at least 2", "got 1")),
    ],
)
def test_what_nodes_say_wrong(nodes, words):
    graph = drawn(("u", "v"))
    for name, said in nodes.items():
        graph.nodes[name].update(said)
    with pytest.raises(dagnet.GraphError) as caught:
        dagnet.Network(graph)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"loss_weights": {"nobody": 1.0}}, ("loss_weights['nobody']", "no such output")),
        ({"loss_weights": {("u", "v"): 1.0}}, ("loss_weights[('u', 'v')]", "no such group")),
        ({"loss_weights": {"u": -2}}, ("loss_weights['u']", "at least 0", "-2")),
        ({"loss_weights": {"h1": 1}}, ("node 'h1'", "is for outputs")),
        ({"loss": {"nobody": "huber"}}, ("loss['nobody']", "no such output")),
        ({"loss": {("u", "u"): "huber"}}, ("loss[('u', 'u')]",)),
        ({"loss": {"u": "huber", ("u", "v"): "poisson"}}, ("loss[('u', 'v')]", "say it once")),
        ({"loss": {"u": 3}}, ("loss['u']", "3")),
        ({"loss": {("u", "v"): "huber"}, "loss_weights": {"u": 2.0}}, ("loss_weight differs",)),
    ],
)
def test_what_arguments_say_wrong(arguments, words):
    with pytest.raises(dagnet.GraphError) as caught:
        dagnet.Network(drawn(("u", "v")), **arguments)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_units_of_a_target_must_fit():
    graph = drawn(("u", "v"))
    graph.nodes["v"].update(units=2, target="u")
    with pytest.raises(dagnet.GraphError, match=r"node 'v': target must be an output of as many units, 2"):
        dagnet.Network(graph)


def test_what_y_says_wrong():
    net = dagnet.Network(towers(3), seed=0)
    with pytest.raises(dagnet.DataError, match="no column 'eta' in the data, which h0 and 2 more learn"):
        net.fit(X, {"other": np.ones(ROWS)})
    two = dagnet.Network(drawn(("u", "v")), loss={"u": "huber"}, seed=0)
    with pytest.raises(dagnet.DataError, match="no column 'u', 'v' in the data"):
        two.fit(X, {"other": np.ones(ROWS)})
    y = np.column_stack([np.full(ROWS, np.nan), np.ones(ROWS)])
    with pytest.raises(
        dagnet.DataError, match="y: column 'u' must be labelled in some row, got NaN in every"
    ):
        two.fit(X, y, missing="skip")
    assert two.evaluate(X, y, missing="skip") == pytest.approx(((two(X)[:, 1] - 1) ** 2).mean())
    with pytest.raises(dagnet.DataError, match="missing must be 'refuse' or 'skip', got 'drop'"):
        two.fit(X, y, missing="drop")
    with pytest.raises(dagnet.DataError, match=r"sample_weight .*\(40, 2\), one a head"):
        two.fit(X, np.ones((ROWS, 2)), sample_weight=np.ones((ROWS, 3)))
    with pytest.raises(dagnet.DataError, match="y must be of shape"):
        two.fit(X, np.ones((ROWS, 3)))
    with pytest.raises(dagnet.DataError, match="a label from 0 to 2"):
        network().evaluate(X, {**Y, ("a", "b", "c"): np.full(ROWS, 3)})


def test_a_word_that_means_something_else_is_kept():
    graph = drawn(("u", "v"))
    graph.nodes["u"]["target"] = 7
    net = dagnet.Network(graph, attributes={"target": None}, seed=0)
    assert net.to_networkx().nodes["u"]["target"] == 7
    assert dagnet.Network(net.to_networkx()).targets == ("u", "v")


def test_the_command_line_trains_heads_and_skips_missing_labels(tmp_path, monkeypatch):
    from data.cli_cases import run

    monkeypatch.chdir(tmp_path)
    graph = drawn(("r", "c"))
    graph.add_node("h1", target="r", loss_weight=0.2)
    graph.nodes["c"]["loss"] = "binary_cross_entropy_with_logits"
    graph.nodes["h1"]["loss"] = graph.nodes["r"]["loss"] = "huber"
    net = dagnet.Network(graph, outputs=["r", "c", "h1"], seed=0)
    net.export("graph.graphml")
    lines = ["x0,x1,x2,r,c"]
    for row in range(ROWS):
        cells = [*X[row], Y["y1"][row], int(Y["y2"][row])]
        lines.append(",".join(map(str, [*cells[:3], "" if row % 3 == 0 else cells[3], cells[4]])))
    (tmp_path / "data.csv").write_text("\n".join(lines))
    said = ["train", "graph.graphml", "data.csv", "--epochs", 2, "--out", "out.dagnet"]
    refusal = run(*said, code=1)
    assert "--missing drop or skip" in refusal
    for more in ([], ["--target", "r", "--target", "c"]):
        text = run(*said, "--missing", "skip", *more)
        assert "accuracy" in text
        assert "R²" in text
    trained = dagnet.load("out.dagnet")
    assert list(trained.heads) == ["r", "c", "h1"]
    assert trained.targets == ("r", "c")
    assert "h1: 0.2 · huber(delta=1.0) of r" in run("show", "out.dagnet")


@pytest.mark.parametrize("weight", [None, (8,), (8, 2)])
def test_the_historys_loss_counts_rows_where_the_last_batch_is_short(weight):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(8, 1)), rng.normal(size=(8, 2))
    weight = None if weight is None else rng.uniform(0.5, 2, weight)
    net = dagnet.Network(nx.DiGraph([("x", "y"), ("x", "z")]), loss={"y": "huber"}, seed=0)
    right = net.evaluate(X, Y, weight)
    still = {"optimizer": "sgd", "learning_rate": 1e-200, "shuffle": False, "sample_weight": weight}
    assert net.fit(X, Y, epochs=1, batch_size=7, **still)["loss"][0] == pytest.approx(right, rel=1e-12)


def test_metrics_of_classes_want_classes_and_a_column_for_each_output():
    net = dagnet.Network(nx.DiGraph([("x", "y")]), seed=0)
    with pytest.raises(dagnet.DataError, match="y of head y must be 0 or 1"):
        net.score([[1.0], [2.0]], [0.5, 2.0], "auc")
    with pytest.raises(dagnet.DataError, match="its result must be a number"):
        net.score([[1.0], [2.0]], [0.5, 2.0], lambda y, p: "x")
