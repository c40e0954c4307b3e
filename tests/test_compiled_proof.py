"""Machine code is believed once it gives the interpreter's numbers; wrong code is left for NumPy, aloud."""

import dataclasses

import numpy as np
import pytest

import dagnet

pytest.importorskip("numba")

from dagnet.engine.compiled import functions, generation, kernels, passes
from dagnet.engine.compiled.functions import compile_activation, compile_loss, fused_step
from dagnet.registry import find_optimizer

DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


@pytest.fixture
def afresh(monkeypatch):
    """Nothing compiled or proved is known; what a test breaks does not stay."""
    monkeypatch.setattr(generation, "_kept", {})
    monkeypatch.setattr(functions, "_proofs", {})
    monkeypatch.setattr(functions, "_made", {})
    return lambda name, other: monkeypatch.setitem(generation.FUNCTIONS, name, generation.FUNCTIONS[other])


def squares(o, t):
    return ((o - t) ** 2).sum(axis=1)


LOGARITHMIC = dagnet.Loss("mine", lambda o, t: np.log1p(np.square(o - t)).sum(axis=1))
LOG_COSH = dagnet.Loss("mine", lambda o, t: np.log(np.cosh(o - t)).sum(axis=1), lambda o, t: np.tanh(o - t))
WRONG = {
    "a slope": ("cos", "sin", "sin: machine code gives a derivative of", dagnet.activations()["sin"]),
    "a loss": ("log1p", "sqrt", "mine: machine code gives a loss of", LOGARITHMIC),
    "a gradient": ("tanh", "sin", "mine: machine code gives another gradient in row", LOG_COSH),
    "a step": ("sqrt", "absolute", "machine code steps to", find_optimizer("adam")),
}


def is_believed(item, dtype):
    if isinstance(item, dagnet.Activation):
        return not compile_activation(item, dtype).reason
    found = compile_loss(item, dtype) if isinstance(item, dagnet.Loss) else fused_step(item, dtype, 1)
    return found is not None


@DTYPES
@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_not_believed(afresh, what, dtype):
    broken, other, words, item = WRONG[what]
    assert is_believed(item, dtype)
    generation._kept.clear()
    functions._proofs.clear()
    functions._made.clear()
    afresh(broken, other)
    with pytest.warns(dagnet.DagnetWarning, match=words):
        assert not is_believed(item, dtype)


@DTYPES
def test_a_wrong_function_of_an_activation_is_left_for_numpy(afresh, dtype):
    afresh("tanh", "sin")
    words = r"tanh: machine code gives a value of .* runs through NumPy"
    with pytest.warns(dagnet.DagnetWarning, match=words):
        compiled = compile_activation(dagnet.activations()["tanh"], dtype)
    assert "machine code gives" in compiled.reason
    assert compiled.function.address == 0
    graph = dagnet.layered([2, 3, 1], activation="tanh")
    net, same = (
        dagnet.Network(graph, engine=engine, dtype=dtype, seed=0) for engine in ("compiled", "reference")
    )
    assert "[NumPy]" in str(net.plan)
    np.testing.assert_allclose(net(np.ones((3, 2))), same(np.ones((3, 2))), rtol=1e-6)


class Doubled(dagnet.Loss):
    def row_values(self, outputs, targets):
        return 2 * super().row_values(outputs, targets)

    def row_gradients(self, outputs, targets):
        return 2 * super().row_gradients(outputs, targets)


def histories(loss):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 3)), rng.standard_normal((40, 2))
    nets = [
        dagnet.Network(dagnet.layered([3, 4, 2]), loss=loss, engine=e, seed=0)
        for e in ("compiled", "reference")
    ]
    return [net.fit(X, y, epochs=3, seed=0)["loss"] for net in nets]


def test_a_class_that_calculates_otherwise_is_asked_itself():
    loss = Doubled("doubled", squares, lambda o, t: 2.0 * (o - t))
    assert loss.reason == "its class calculates by itself"
    assert compile_loss(loss, "float64") is None
    twice, once = histories(loss), histories(dagnet.Loss("mine", squares, lambda o, t: 2.0 * (o - t)))
    np.testing.assert_allclose(*twice, rtol=1e-12)
    np.testing.assert_allclose(twice[0][0], 2 * once[0][0], rtol=1e-9)


def test_another_value_has_another_derivative():
    loss = dataclasses.replace(dagnet.Loss("mine", squares), value=lambda o, t: np.abs(o - t).sum(axis=1))
    np.testing.assert_array_equal(loss.row_gradients(np.ones((2, 3)), np.zeros((2, 3))), 1.0)
    np.testing.assert_allclose(*histories(loss), rtol=1e-12)


def test_a_loss_that_refuses_some_targets_is_proved_with_others():
    def logarithmic(o, t):
        if isinstance(t, np.ndarray) and (t <= 0).any():
            raise dagnet.DataError("targets must be above 0")
        return ((o - np.log(t)) ** 2).sum(axis=1)

    loss = dagnet.Loss("logarithmic", logarithmic, lambda o, t: 2 * (o - np.log(t)))
    assert compile_loss(loss, "float64") is not None


def test_rows_that_may_not_be_written_to_compile_nothing_anew():
    net = dagnet.Network(dagnet.layered([3, 4, 2]), engine="compiled", seed=0)
    X, y, weights = np.ones((40, 3)), np.ones((40, 2)), np.linspace(0, 2, 40)

    def answers(net):
        history = net.fit(X, y, epochs=2, shuffle=False, sample_weight=weights)
        return net(X), net.gradient(X, y).flat, history["loss"]

    wanted = answers(net)
    compiled = (passes.PLAIN.evaluate, passes.PLAIN.loss_and_gradient, kernels.load_rows)
    before = [len(kernel.signatures) for kernel in compiled]
    X.flags.writeable = y.flags.writeable = weights.flags.writeable = False
    net = dagnet.Network(dagnet.layered([3, 4, 2]), engine="compiled", seed=0)
    for one, two in zip(answers(net), wanted, strict=True):
        np.testing.assert_array_equal(one, two)
    assert [len(kernel.signatures) for kernel in compiled] == before
