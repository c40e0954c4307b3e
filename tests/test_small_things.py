"""What a user asks for first, and what a wrong first guess is answered."""

import copy
import inspect
import pickle
import sys
import types
from dataclasses import dataclass

import networkx as nx
import numpy as np
import pytest
from data.renderings import assert_html_is_sound

import dagnet
from dagnet.errors import DataError, PluginError
from dagnet.registry.tables import Registry


@pytest.fixture
def net():
    graph = dagnet.layered([2, 3, 1], activation="tanh")
    graph.edges["x1", "h11"]["trainable"] = False
    graph.edges["x1", "h12"]["share"] = graph.edges["x2", "h12"]["share"] = "k"
    return dagnet.Network(graph, seed=0, threads=1)


# -- training --------------------------------------------------------------------------------


def test_help_of_a_callback_says_what_a_run_has():
    shown = inspect.getdoc(dagnet.Callback)
    assert "dagnet.Run" in shown
    for name in ("model", "history", "epoch", "epochs", "batch", "batches", "loss", "learning_rate", "stop"):
        assert f"run.{name}" in shown
        assert name in dagnet.Run.__annotations__


def test_who_writes_to_the_mask_is_told_how_to_freeze(net):
    words = r"trainable .*give the edge or the node trainable=False"
    with pytest.raises(DataError, match=words):
        net.trainable[0] = False
    with pytest.raises(DataError, match=words):
        net.trainable = np.zeros(len(net.parameters), bool)
    mine = net.trainable.copy()
    mine[:] = False  # a copy belongs to its owner
    assert net.trainable.sum() == len(net.parameters) - 1
    graph = net.to_networkx()
    graph.edges["h11", "eta"]["trainable"] = False
    assert dagnet.Network(graph).trainable.sum() == len(net.parameters) - 2


def test_a_single_row_is_one_row(net):
    assert net([2, 3]).tolist() == net([[2, 3]]).tolist()
    with pytest.raises(DataError, match=r"or one row, \(2,\), got shape \(3,\)"):
        net([2, 3, 4])
    assert "(input units,)" in inspect.getdoc(net.trace)
    assert net.trace(("x1", "h11"), [2, 3], 1.0).loss == net.trace(("x1", "h11"), [[2, 3]], 1.0).loss


def test_a_seed_sequence_is_a_seed(net):
    sequence = np.random.SeedSequence(7).spawn(2)[1]
    nets = [dagnet.Network(nx.DiGraph([("x", "y")]), seed=copy.copy(sequence)) for _ in range(2)]
    histories = [one.fit([[1.0], [2.0], [3.0]], [1.0, 2.0, 5.0], batch_size=1, seed=sequence) for one in nets]
    assert nets[0].parameters.tolist() == nets[1].parameters.tolist()
    assert dict(histories[0]) == dict(histories[1])
    with pytest.raises(DataError, match=r"seed must be .*a SeedSequence"):
        dagnet.Network(nx.DiGraph([("x", "y")]), seed="7")


@pytest.mark.parametrize("kept", [np.random.SeedSequence(7), np.random.SeedSequence(7).spawn(1)[0]])
def test_a_run_from_a_seed_sequence_goes_on(tmp_path, kept):
    def run(epochs, **how):
        net = dagnet.Network(dagnet.layered([1, 3, 1]), seed=0)
        net.fit([[1.0], [2.0], [3.0]], [1.0, 2.0, 5.0], batch_size=1, epochs=epochs, seed=kept, **how)
        return net.parameters.tolist()

    path = tmp_path / "run.dagnet"
    whole = run(4)
    run(2, callbacks=[dagnet.Checkpoint(path)])
    assert run(4, resume=path) == whole
    with pytest.raises(DataError, match="seed"):
        dagnet.Network(dagnet.layered([1, 3, 1]), seed=0).fit(
            [[1.0], [2.0], [3.0]], [1.0, 2.0, 5.0], batch_size=1, epochs=6, seed=8, resume=path
        )


def test_a_notebook_counts_as_a_terminal(monkeypatch, capsys):
    class OutStream:
        isatty = staticmethod(lambda: False)
        flush = staticmethod(lambda: None)
        write = staticmethod(lambda text: shown.append(str(text)))

    shown = []
    OutStream.__module__ = "ipykernel.iostream"
    monkeypatch.setattr(sys, "stderr", OutStream())
    dagnet.Network(nx.DiGraph([("x", "y")]), seed=0).fit([[1.0]], [1.0], epochs=2)
    assert "epoch 2/2" in "".join(shown)


def test_a_history_becomes_a_table_and_a_picture(monkeypatch):
    pytest.importorskip("pandas")
    history = dagnet.History({"loss": [0.5, 0.25], "accuracy": [0.75]})
    frame = history.to_frame()
    assert frame.index.tolist() == [1, 2]
    assert frame["loss"].tolist() == [0.5, 0.25]
    assert list(frame) == ["loss", "accuracy"]
    plugin = types.ModuleType("dagnet_matplotlib")
    plugin.training_curves = lambda *given: given
    monkeypatch.setitem(sys.modules, "dagnet_matplotlib", plugin)
    assert history.plot("axes") == (history, "axes")


@pytest.mark.parametrize(
    ("module", "what", "name"),
    [("dagnet_matplotlib", "plot", "dagnet-matplotlib"), ("pandas", "to_frame", "pandas")],
)
def test_what_is_not_installed_is_named(monkeypatch, module, what, name):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(PluginError, match=rf"history.{what}\(\) needs {name} \(.*\); pip install {name}"):
        getattr(dagnet.History({"loss": [1.0]}), what)()


# -- reading ---------------------------------------------------------------------------------


def test_names_that_are_numbers_are_quoted():
    graph = nx.DiGraph()
    graph.add_weighted_edges_from([(-1, 51, -1.52), ("x", 51, 2.0), ("1e3", 51, 1.0), (51, 0, 3.0)])
    net = dagnet.Network(graph, activation="tanh")
    assert net.formula(51) == '"51" = tanh(-1.52·"-1" + 2·x + 1·"1e3")'
    text = str(net.trace((-1, 51), [[0.5, 1.0, 1.0]], 1.0))
    assert '∂"0"/∂"51"' in text


def test_names_with_signs_are_quoted():
    graph = nx.DiGraph()
    graph.add_weighted_edges_from(
        [("-x", "p21 (A)", 2.0), ("a b", "p21 (A)", -1.0), ("GO:1", "p21 (A)", 3.0)]
    )
    net = dagnet.Network(graph)
    assert net.formula() == '"p21 (A)" = 2·"-x" − 1·a b + 3·GO:1'


def test_the_formula_of_the_whole_network_is_the_network(net):
    net.biases["eta"] = 0.5
    lines = net.formula().splitlines()
    assert [line.split(" = ")[0] for line in lines] == ["h11", "h12", "h13", "eta"]
    assert lines == [net.formula(node) for node in ("h11", "h12", "h13", "eta")]
    known = {"tanh": np.tanh, "x1": 0.25, "x2": -1.0}
    for line in lines:
        exec(line.replace("·", "*").replace("−", "-"), known)
    assert known["eta"] == pytest.approx(net([[0.25, -1.0]])[0, 0], abs=1e-4)


def test_standardised_inputs_are_in_the_formula_of_the_whole_network():
    graph = nx.DiGraph([("x", "y"), ("z", "y")])
    graph.nodes["x"].update(center=2.0, scale=4.0)
    assert dagnet.Network(graph, seed=0).formula().startswith("x = (the datum − 2) / 4\ny = ")


def test_the_summary_says_what_there_is(net):
    text = str(net.summary())
    for said in (
        "Network of 6 nodes and 9 edges",
        "levels       3",
        "parameters   12, 11 trainable, 1 frozen, 1 shared",
        "inputs       2: x1, x2",
        "outputs      1: eta",
        "activations  tanh 3, identity 1",
        "loss         squared_error",
        "dtype        float64",
        f"engine       {net.engine}, 1 thread",
    ):
        assert said in text
    assert_html_is_sound(net.summary()._repr_html_())
    assert repr(net.summary()) == "<Summary: Network of 6 nodes and 9 edges>"


@pytest.mark.parametrize(("hidden", "drawn"), [(57, True), (58, False)])
def test_a_small_network_draws_itself(hidden, drawn):
    net = dagnet.Network(dagnet.layered([2, hidden, 1]), seed=0)
    shown = net._repr_html_()
    assert_html_is_sound(shown)
    assert ("<svg" in shown) == drawn
    assert "squared_error" in shown


def test_a_forward_pass_is_a_mapping(net):
    X = np.array([[0.25, -1.0], [1.0, 2.0]])
    forward = net.forward(X)
    assert list(forward) == list(net.nodes)
    assert len(forward) == 6
    assert "h11" in forward
    assert "h99" not in forward
    assert forward.get("h99") is None
    with pytest.raises(DataError, match="h99"):
        forward["h99"]
    np.testing.assert_array_equal(dict(forward)["eta"], net(X)[:, 0])
    assert forward == forward  # element by element it would be neither
    assert forward != net.forward(X)
    assert list(pickle.loads(pickle.dumps(forward))) == list(forward)


def test_a_forward_pass_becomes_a_table():
    pandas = pytest.importorskip("pandas")
    graph = nx.DiGraph([("x", ("h", 1)), (("h", 1), "y")])
    graph.nodes["h", 1]["units"] = 2
    net = dagnet.Network(graph, seed=0)
    data = pandas.DataFrame({"x": [1.0, 2.0]}, index=["ann", "bob"])
    forward = net.forward(data)
    frame = forward.to_frame(data.index)
    assert frame.columns.tolist() == ["x", (("h", 1), 0), (("h", 1), 1), "y"]
    assert frame.loc["bob", "y"] == net(data)[1, 0]
    np.testing.assert_array_equal(frame[("h", 1), 1], forward["h", 1][:, 1])
    assert forward.to_frame().index.tolist() == [0, 1]


# -- plugins ---------------------------------------------------------------------------------


def test_an_activation_and_a_loss_describe_themselves():
    text = dagnet.activations()["gelu"].describe()
    for said in (
        "gelu(approximate='none')",
        "Φ the normal",
        "Source: Hendrycks",
        "erf(t4)",
        "derivative: z, a ↦",
    ):
        assert said in text
    assert "Source: Huber" in dagnet.losses()["huber"].describe()
    crooked = dagnet.Activation("crooked", lambda z: z if (z > 0).all() else 2 * z)
    assert "function: through NumPy: uses ndarray.all" in crooked.describe()


@pytest.mark.parametrize(
    ("make", "mend"),
    [
        (lambda: dagnet.Activation("m", np.tanh, lambda z: 1 - z), "take all of them, read or not"),
        (lambda: dagnet.Activation("m", np.abs, np.sign), "take all of them, read or not"),
        (lambda: dagnet.Activation("m", lambda z: z if z > 0 else 0 * z), "np.where for if"),
        (
            lambda: dagnet.Activation("m", lambda z, bend: bend * z),
            "name in parameters={…} what else it takes",
        ),
        (
            lambda: dagnet.Activation("m", lambda z, bend=1.0: bend * z).bind(bend=2.0),
            "the function takes it: say parameters={'bend': …} where it is made",
        ),
    ],
)
def test_a_first_plugin_is_told_the_mend(make, mend):
    with pytest.raises(PluginError) as caught:
        make()
    assert mend in str(caught.value)


@pytest.mark.parametrize("group", ["dagnet.activations", "dagnet_plugins"])
def test_the_wrong_group_of_entry_points_is_named(tmp_path, monkeypatch, group):
    info = tmp_path / "lost_wiring-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lost-wiring\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\nlost = lost_wiring\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    words = f"lost-wiring has plugins in the entry-point group '{group}', which must be 'dagnet'"
    with pytest.raises(PluginError, match=words):
        Registry().find("activations", "zigzag")


def test_one_is_no_plural():
    net = dagnet.Network(nx.DiGraph([("x", "y")]), seed=0)
    assert repr(net).startswith("<Network: 2 nodes, 1 edge, 2 levels, 2 parameters, loss squared_error")
    assert repr(net.summary()) == "<Summary: Network of 2 nodes and 1 edge>"


def test_functions_of_a_plugin_that_is_not_here_name_it():
    with pytest.raises(
        dagnet.PluginError, match=r"'neat_odd'; it comes with the plugin dagnet-neat: install"
    ):
        dagnet.Network(nx.DiGraph([("x", "h"), ("h", "y")]), activation="neat_odd")


def test_optimizers_are_tried_when_they_are_made_and_registered():
    @dataclass(frozen=True)
    class Bad(dagnet.Optimizer):
        name = "bad_of_this_test"
        learning_rate: float = 0.1

        def update(self, parameter, gradient, state, step, learning_rate):
            return parameter - learning_rate * float(gradient), {}

    @dataclass(frozen=True)
    class Shape(Bad):
        def update(self, parameter, gradient, state, step, learning_rate):
            return gradient.sum(), {}

    class Bare(Bad):
        def __init__(self, needed):
            self.needed = needed

        def update(self, parameter, gradient, state, step, learning_rate):
            return parameter, {}

    for make in (Bad, lambda: dagnet.register(Bad)):
        with pytest.raises(dagnet.PluginError, match="'bad_of_this_test': update raised TypeError"):
            make()
    with pytest.raises(dagnet.PluginError, match=r"update: parameter must be of shape \(4,\)"):
        Shape(learning_rate=0.5)
    with pytest.raises(dagnet.PluginError, match=r"Bare\(\) must do without arguments"):
        dagnet.register(Bare)


def test_a_loss_s_formula_has_no_arguments_but_its_own():
    def value(outputs, targets):
        return (targets / outputs + np.log(outputs)).sum(axis=1)

    loss = dagnet.Loss("domain_of_this_test", value, targets="positive", outputs="positive")
    assert loss.formula.arguments == ("outputs", "targets")
