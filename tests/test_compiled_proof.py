"""Machine code is believed once it gives the interpreter's numbers; wrong code is left for NumPy, aloud."""

import dataclasses

import numpy as np
import pytest

import dagnet

pytest.importorskip("numba")

from dagnet.engine.compiled import copies, functions, generation, passes
from dagnet.engine.compiled.functions import compile_activation, compile_loss, fused_step
from dagnet.registry import find_optimizer

DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


@pytest.fixture
def afresh(monkeypatch):
    """Nothing compiled or proved is known; what a test breaks does not stay."""
    monkeypatch.setattr(generation, "_kept", {})
    monkeypatch.setattr(functions, "_proofs", {})
    return lambda name, other: monkeypatch.setitem(generation.FUNCTIONS, name, generation.FUNCTIONS[other])


def squares(o, t):
    return ((o - t) ** 2).sum(axis=1)


def slopes(o, t):
    return 2.0 * (o - t)


@DTYPES
def test_a_wrong_function_of_an_activation_is_not_believed(afresh, dtype):
    afresh("tanh", "sin")
    with pytest.warns(
        dagnet.DagnetWarning, match=r"tanh: machine code gives a value of .* runs through NumPy"
    ):
        compiled = compile_activation(dagnet.activations()["tanh"], dtype)
    assert "machine code gives" in compiled.reason
    assert compiled.function.address == 0
    net = dagnet.Network(dagnet.layered([2, 3, 1], activation="tanh"), engine="compiled", dtype=dtype, seed=0)
    assert "[NumPy]" in str(net.plan)
    same = dagnet.Network(
        dagnet.layered([2, 3, 1], activation="tanh"), engine="reference", dtype=dtype, seed=0
    )
    np.testing.assert_allclose(net(np.ones((3, 2))), same(np.ones((3, 2))), rtol=1e-6)


@DTYPES
def test_a_wrong_slope_is_not_believed(afresh, dtype):
    afresh("cos", "sin")
    with pytest.warns(dagnet.DagnetWarning, match="sin: machine code gives a derivative of"):
        assert compile_activation(dagnet.activations()["sin"], dtype).reason


@DTYPES
@pytest.mark.parametrize(
    ("loss", "broken", "what"),
    [
        (dagnet.Loss("mine", lambda o, t: np.log1p(np.square(o - t)).sum(axis=1)), "log1p", "a loss of"),
        (dagnet.Loss("mine", squares, lambda o, t: np.add(o, o) - 2.0 * t), "add", "another gradient in row"),
    ],
)
def test_a_wrong_loss_is_not_believed(afresh, loss, broken, what, dtype):
    assert compile_loss(loss, dtype) is not None
    generation._kept.clear()
    functions._proofs.clear()
    afresh(broken, "maximum" if broken == "add" else "sqrt")
    with pytest.warns(dagnet.DagnetWarning, match=rf"mine: machine code gives ({what}|a loss of)"):
        assert compile_loss(loss, dtype) is None


@DTYPES
def test_a_wrong_step_is_not_believed(afresh, dtype):
    afresh("sqrt", "absolute")
    with pytest.warns(dagnet.DagnetWarning, match="machine code steps to"):
        assert fused_step(find_optimizer("adam"), dtype, 1) is None


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
    loss = Doubled("doubled", squares, slopes)
    assert loss.reason == "its class calculates by itself"
    assert compile_loss(loss, "float64") is None
    twice, once = histories(loss), histories(dagnet.Loss("mine", squares, slopes))
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
    X, y = np.ones((40, 3)), np.ones((40, 2))
    wanted = net(X), net.gradient(X, y).flat, net.fit(X, y, epochs=1, shuffle=False)["loss"]
    kernels = (passes.evaluate, passes.loss_and_gradient, copies.load_rows)
    before = [len(kernel.signatures) for kernel in kernels]
    X.flags.writeable = y.flags.writeable = False
    net = dagnet.Network(dagnet.layered([3, 4, 2]), engine="compiled", seed=0)
    again = net(X), net.gradient(X, y).flat, net.fit(X, y, epochs=1, shuffle=False)["loss"]
    for one, two in zip(again, wanted, strict=True):
        np.testing.assert_array_equal(one, two)
    assert [len(kernel.signatures) for kernel in kernels] == before
