"""A compiled loss is believed once it gives NumPy's numbers; what a trace cannot see goes through NumPy."""

import dataclasses

import numpy as np
import pytest

import dagnet
from dagnet.engine.compiled import copies, passes
from dagnet.engine.compiled.losses import compile_loss

compiled = dagnet.engines().get("compiled")
pytestmark = pytest.mark.skipif(
    compiled is None or compiled.unavailable() is not None, reason="the compiled engine cannot run here"
)


def squares(o, t):
    return ((o - t) ** 2).sum(axis=1)


def slopes(o, t):
    return 2.0 * (o - t)


MISREAD = {
    "an array asked for": lambda o, t: squares(o, t) * (1.0 if np.asarray(o).ndim == 2 else 100.0),
    "a type asked for": lambda o, t: squares(o, t) * (1.0 if isinstance(o, np.ndarray) else 100.0),
    "a size asked for": lambda o, t: ((o - t) ** 2 / np.asarray(o).size * o.size).sum(axis=1),
}


@pytest.mark.parametrize("name", MISREAD)
def test_what_symbols_answer_otherwise_than_arrays_is_not_compiled(name):
    loss = dagnet.Loss("mine", MISREAD[name], slopes)
    assert compile_loss(loss, "float64") is None
    assert compile_loss(dagnet.Loss("mine", squares, slopes), "float64") is not None


def histories(loss):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 3)), rng.standard_normal((40, 2))
    return [
        dagnet.Network(dagnet.layered([3, 4, 2]), loss=loss, engine=engine, seed=0).fit(
            X, y, epochs=3, seed=0
        )["loss"]
        for engine in ("compiled", "reference")
    ]


class Doubled(dagnet.Loss):
    def row_values(self, outputs, targets):
        return 2 * super().row_values(outputs, targets)

    def row_gradients(self, outputs, targets):
        return 2 * super().row_gradients(outputs, targets)


def test_a_loss_that_calculates_otherwise_is_asked_itself():
    loss = Doubled("doubled", squares, slopes)
    assert compile_loss(loss, "float64") is None
    np.testing.assert_allclose(*histories(loss), rtol=1e-12)


def test_a_derivative_of_another_value_stays_what_it_is():
    """``replace`` keeps the gradient that was derived from the old value."""
    loss = dataclasses.replace(dagnet.Loss("mine", squares), value=lambda o, t: np.abs(o - t).sum(axis=1))
    np.testing.assert_allclose(*histories(loss), rtol=1e-12)


def test_a_loss_that_refuses_zeros_is_proved_with_ones():
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
    before = [
        len(kernel.signatures) for kernel in (passes.evaluate, passes.loss_and_gradient, copies.load_rows)
    ]
    X.flags.writeable = y.flags.writeable = False
    net = dagnet.Network(dagnet.layered([3, 4, 2]), engine="compiled", seed=0)
    again = net(X), net.gradient(X, y).flat, net.fit(X, y, epochs=1, shuffle=False)["loss"]
    for one, two in zip(again, wanted, strict=True):
        np.testing.assert_array_equal(one, two)
    after = [
        len(kernel.signatures) for kernel in (passes.evaluate, passes.loss_and_gradient, copies.load_rows)
    ]
    assert after == before
