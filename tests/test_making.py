"""Functions that cannot be right are refused when they are made: one message with name, line and mend."""

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pytest

import dagnet
from dagnet import Activation, Loss, PluginError

count = itertools.count(1.0)
random = np.random.default_rng()
vectorized = np.vectorize(lambda x: x if x > 0 else 0.0)


def expit(z):
    return pytest.importorskip("scipy.special").expit(z)


def writes(z):
    z[z < 0] = 0
    return z


def by_element(z):
    return np.array([math.tanh(x) for x in z.ravel()]).reshape(z.shape)


def scribbles(o, t):
    t -= o
    return (t**2).sum(axis=1)


def squares(o, t):
    return ((o - t) ** 2).sum(axis=1)


def place_of(function, more=0):
    """As messages show it; ``more`` lines below the first."""
    line = getattr(function, "pyfunc", function).__code__.co_firstlineno
    return f"(line {line + more} of {Path(__file__).name}: `"


LIKE_Z, SUM = "return a new array like the first argument", "sum over axis=1"
FUNCTIONS = {
    "keeps a count": (lambda z: z * next(count),
                      ("must give the same numbers for the same arguments", "may keep no count")),
    "draws random numbers": (lambda z: z + random.normal(), ("got ", "draw no random numbers")),
    "reads a file": (lambda z: z * len(Path(__file__).read_text("utf-8")),
                     ("must read no file", "read it before, and hand on what it says as a parameter")),
    "writes": (writes, ("must leave its arguments as they are", "make a new array")),
    "list": (lambda z: [row * 2 for row in z], ("must be float64 of shape (3, 4), got a list", LIKE_Z)),
    "other shape": (lambda z: z.ravel(), ("float64 of shape (3, 4), got float64 of shape (12,)", LIKE_Z)),
    "other dtype": (lambda z: z.astype(int), ("must be float64 of shape (3, 4), got int64 of", LIKE_Z)),
    "coarser": (lambda z: z.astype(np.float32), ("float64 of shape (3, 4), got float32 of", LIKE_Z)),
    "couples": (lambda z: z - z.mean(), ("must treat each number by itself", "reduce nothing")),
    "branches": (lambda z: z if z > 0 else 2 * z, ("raised ValueError: The truth value", "np.where for if")),
    "math.exp": (lambda z: 1 / (1 + math.exp(-z)), ("raised TypeError", "np.exp for math.exp")),
    "math by element": (by_element,
                        ("as math.exp and the like do", "give derivative=… or write it with NumPy's"), 1),
    "np.vectorize": (vectorized, ("is an np.vectorize", "give derivative=… or write it for whole arrays")),
    "SciPy": (expit, ("calls scipy.special.expit, which has no derivative rule", "give derivative=…"), 1),
}  # fmt: skip
GRADIENTS = {
    "twice": (squares, lambda o, t: 4 * (o - t), ("must be the value's, 1.55", "mend it, or leave it out")),
    "averaged": (squares, lambda o, t: 2 * (o - t) / len(o),
                 ("must be the value's, 1.55", "that of the sum over rows, not of their mean")),
    "one number": (lambda o, t: ((o - t) ** 2).mean(), None, ("of shape (6,), got float64", SUM)),
    "matrix": (lambda o, t: (o - t) ** 2, None, ("got float64 of shape (6, 2)", SUM)),
    "writes": (scribbles, None, ("must leave its arguments as they are", "make a new array")),
}  # fmt: skip
THROUGH_NUMPY = {
    "branches": (lambda z: z if (z > 0).all() else 2 * z, None, "uses ndarray.all", "np.where for if"),
    "math": (by_element, lambda z, a: 1 - a * a,
             "uses ndarray.ravel, which has no formula", "write it with NumPy's elementwise functions"),
    "np.vectorize": (lambda z: vectorized(z), lambda z, a: (a > 0) * np.ones_like(z),  # noqa: PLW0108
                     "makes a bare array", "np.zeros_like starts a result"),
    "SciPy": (expit, lambda z, a: a * (1 - a), "calls scipy.special.expit, which has no formula", "write it"),
}  # fmt: skip


@pytest.mark.parametrize("case", FUNCTIONS)
def test_a_function_that_cannot_be_right_is_refused(case):
    function, words, *more = FUNCTIONS[case]
    with pytest.raises(PluginError) as caught:
        Activation("mine", function)
    message = str(caught.value)
    assert message.startswith("activation 'mine': function")
    assert [part for part in (place_of(function, *more), *words) if part not in message] == []


@pytest.mark.parametrize("case", GRADIENTS)
def test_a_loss_that_cannot_be_right_is_refused(case):
    value, gradient, words = GRADIENTS[case]
    with pytest.raises(PluginError) as caught:
        Loss("mine", value, gradient)
    message = str(caught.value)
    assert message.startswith(f"loss 'mine': {'gradient' if gradient else 'value'}")
    assert [part for part in (place_of(gradient or value), *words) if part not in message] == []


def test_a_wrong_derivative_is_refused_unless_it_is_meant():
    doubled = lambda z, a: 2 - 2 * a * a
    with pytest.raises(PluginError) as caught:
        Activation("mine", np.tanh, doubled)
    message = str(caught.value)
    assert message.startswith(f"activation 'mine': derivative {place_of(doubled)}")
    assert "must be the function's, 0.772999 at 0.518376, got 1.546; mend it, leave it out, or say" in message
    assert Activation("mine", np.tanh, doubled, surrogate=True).formula is not None
    assert Loss("mine", squares, lambda o, t: 4 * (o - t), surrogate=True).formula is not None


def test_a_function_of_other_arguments_is_refused():
    with pytest.raises(
        PluginError, match=r"function \(line .*must be a function of 1 argument, \(z\), got one of"
    ):
        Activation("mine", lambda z, more: z)
    with pytest.raises(PluginError, match=r"derivative must be a function of 2 arguments, .* got one of 1"):
        Activation("mine", np.abs, np.sign)
    with pytest.raises(
        PluginError, match=r"must be a function of 2 arguments, \(outputs, targets\), got one of"
    ):
        Loss("mine", lambda o: o)


@pytest.mark.parametrize("case", THROUGH_NUMPY)
def test_what_runs_through_numpy_says_why(case):
    function, derivative, what, mend = THROUGH_NUMPY[case]
    activation = Activation("mine", function, derivative, kinks=[0.0])
    assert activation.formula is None
    place = place_of(function, function in {expit, by_element})
    assert [part for part in (place, what, mend) if part not in activation.reason] == []


def test_a_loss_that_couples_rows_must_say_so():
    centred = lambda o, t: ((o - o.mean(axis=0) - t) ** 2).sum(axis=1)
    with pytest.raises(PluginError, match=r"loss 'c': value .* must treat each row by itself; say rowwise"):
        dagnet.Loss("c", centred)
    assert dagnet.Loss("c", centred, rowwise=False).reason == "couples rows"


def test_a_formula_takes_whole_numbers_and_says_what_is_missing():
    formula = dagnet.activations()["sigmoid"].formula
    np.testing.assert_allclose(formula([0, 1]), [0.5, 1 / (1 + np.exp(-1.0))])
    with pytest.raises(dagnet.DagnetError, match="formula must be called with z, got 0 arguments"):
        formula()
    with pytest.raises(dagnet.DagnetError, match="formula: no argument 'x'; known: z"):
        formula.derivative("x")


@dataclasses.dataclass(frozen=True)
class Wrong(dagnet.Optimizer):
    name = "wrong"
    state_names = ("m",)
    learning_rate: float = 0.1
    way: str = ""

    def update(self, parameter, gradient, state, step, learning_rate):
        ways = {
            "names": (parameter, {"q": gradient}),
            "alone": parameter,
            "none": None,
            "short": (parameter[:-1] if self.way == "short" else parameter, {"m": gradient}),
        }
        return ways[self.way]


@pytest.mark.parametrize("way", ["names", "alone", "none", "short"])
def test_an_optimizer_that_returns_something_else_is_named(way):
    net = dagnet.Network(dagnet.layered([2, 3, 1]), seed=0)
    before = net.parameters.copy()
    with pytest.raises(PluginError, match="optimizer 'wrong': update: "):
        net.fit([[0.0, 1.0]], [1.0], epochs=1, optimizer=Wrong(way=way))
    np.testing.assert_array_equal(net.parameters, before)
