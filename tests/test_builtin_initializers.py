"""Built-in initializers: bounds and moments of what they draw, weight by weight.

What every initializer must do, the kit says: tests/test_conformance.py.
"""

import inspect
import math

import numpy as np
import pytest

from dagnet.builtins import initializers
from dagnet.errors import DataError
from dagnet.model.start import Draws
from dagnet.registry import parse_call

INITIALIZERS = {item.name: item for item in initializers.dagnet_initializers()}
ROWS = 200_000
# Weights of two kinds in one draw: fan-in 6 and fan-out 2, fan-in 96 and fan-out 54.
FAN_IN = np.repeat([6.0, 96.0], ROWS)
FAN_OUT = np.repeat([2.0, 54.0], ROWS)


def drawn(form, seed=0):
    name, positional, named = parse_call(form)
    initializer = INITIALIZERS[name].bind(*positional, **named) if positional or named else INITIALIZERS[name]
    return initializer.weights(np.random.default_rng(seed), FAN_IN, FAN_OUT).reshape(2, ROWS)


def test_exactly_the_promised_names_are_there():
    names = {"glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal"}
    assert set(INITIALIZERS) == names | {"normal", "uniform", "zeros", "constant"}
    assert all(inspect.getdoc(item.draw) for item in INITIALIZERS.values())


@pytest.mark.parametrize(
    ("form", "bounds"),
    [
        ("he_uniform", [1.0, 0.25]),  # √(6/6), √(6/96)
        ("glorot_uniform", [math.sqrt(0.75), 0.2]),  # √(6/8), √(6/150)
        ("uniform(-0.5, 0.5)", [0.5, 0.5]),
    ],
)
def test_uniform_weights_fill_their_interval_evenly(form, bounds):
    for weights, bound in zip(drawn(form), bounds, strict=True):
        assert np.abs(weights).max() <= bound
        assert np.abs(weights).max() > 0.999 * bound
        counts = np.histogram(weights, bins=20, range=(-bound, bound))[0]
        assert np.all(np.abs(counts - ROWS / 20) < 5 * math.sqrt(ROWS / 20))


@pytest.mark.parametrize(
    ("form", "mean", "deviations"),
    [
        ("he_normal", 0.0, [math.sqrt(2 / 6), math.sqrt(2 / 96)]),
        ("glorot_normal", 0.0, [0.5, math.sqrt(2 / 150)]),
        ("lecun_normal", 0.0, [math.sqrt(1 / 6), math.sqrt(1 / 96)]),
        ("normal", 0.0, [1.0, 1.0]),
        ("normal(mean=3.0, std=0.1)", 3.0, [0.1, 0.1]),
    ],
)
def test_normal_weights_are_normal_and_not_truncated(form, mean, deviations):
    for weights, deviation in zip(drawn(form), deviations, strict=True):
        z = (weights - mean) / deviation
        assert abs(z.mean()) < 5 / math.sqrt(ROWS)
        assert abs(z.std() - 1) < 5 / math.sqrt(2 * ROWS)
        assert abs((z**4).mean() - 3) < 5 * math.sqrt(96 / ROWS)  # the kurtosis of a normal
        assert np.abs(z).max() > 4


def test_the_others():
    np.testing.assert_array_equal(drawn("zeros"), np.zeros((2, ROWS)))
    np.testing.assert_array_equal(drawn("constant(0.25)"), np.full((2, ROWS), 0.25))
    np.testing.assert_array_equal(drawn("constant"), np.zeros((2, ROWS)))
    weights = drawn("uniform")
    assert 0 <= weights.min() < 1e-3
    assert 1 - 1e-3 < weights.max() < 1
    assert (drawn("uniform(low=2, high=2)") == 2.0).all()
    assert (drawn("normal(1.5, 0.0)") == 1.5).all()


@pytest.mark.parametrize("name", INITIALIZERS)
def test_weights_have_the_shape_of_the_fans_and_memory_of_their_own(name):
    fan_in, fan_out = np.array([[3.0, 4.0], [5.0, 1.0]]), np.array([[1.0, 2.0], [1.0, 2.0]])
    weights = INITIALIZERS[name].weights(np.random.default_rng(7), fan_in, fan_out)
    assert (weights.shape, weights.dtype) == ((2, 2), np.float64)
    assert not np.shares_memory(weights, fan_in)


@pytest.mark.parametrize(
    "form",
    [
        *("normal(std=-1.0)", "normal(mean='a')", "normal(std=1e999)", "uniform(1.0, 0.0)"),
        *("uniform(low=1e999)", "uniform(low=-1e308, high=1e308)", "uniform(low=3)", "constant(None)"),
        "constant(value=1e999)",
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused(form):
    with pytest.raises(DataError, match=r"^initializer '\w+': \w+ must be .*, got "):
        drawn(form)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_a_weight_is_drawn_with_others_as_alone(name):
    """What is drawn in portions must not show where one ends, to the bit."""
    rng = np.random.default_rng(0)
    keys, fans = rng.integers(2**64, size=1001, dtype=np.uint64), rng.integers(1, 50, (2, 1001)).astype(float)
    item = INITIALIZERS[name]
    assert item.by_weight
    whole = item.weights(Draws(5, keys), *fans)
    for size in (1, 7, 64, 500):
        pieces = [slice(first, first + size) for first in range(0, 1001, size)]
        apart = [item.weights(Draws(5, keys[piece]), *fans[:, piece]) for piece in pieces]
        np.testing.assert_array_equal(np.concatenate(apart), whole)
