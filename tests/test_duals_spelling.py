"""Derived derivatives spelled out as code: the same numbers, and compiled where the function is."""

# ruff: noqa: PLW0108 - the functions are as users write them

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagnet
from dagnet.duals import Derivative
from dagnet.duals.spelling import spelled_out

Z = np.array([-1e4, -800.0, -30.0, -2.7, -1.0, -0.5, -1e-9, 0.0, 0.3, 1.0, 2.2, 30.0, 800.0, 1e4])


def leaky(z, slope=0.1):
    return np.where(z > 0, z, slope * z)


def elu(z, alpha):
    return np.where(z > 0, z, alpha * np.expm1(z))


FUNCTIONS = {
    "tanh": lambda z: np.tanh(2 * z),
    "ufunc": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "swish": lambda z: z / (1 + np.exp(-z)),
    "leaky": leaky,
    "relu": lambda z: np.maximum(z, 0),
    "relu6": lambda z: np.minimum(np.maximum(0.0, z), 6.0),
    "relu by product": lambda z: z * (z > 0),
    "clip": lambda z: np.clip(z, -1, 1) * z,
    "softplus": lambda z: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))),
    "logaddexp": lambda z: np.logaddexp(0.0, 2 * z) / 2,
    "softsign": lambda z: z / (1 + np.abs(z)),
    "powers": lambda z: z**3 - z**2 + z**1 + z**0,
    "negative powers": lambda z: z**-2 + np.power(z, -3.0) + 2 * z**-1.5,
    "roots": lambda z: np.sqrt(np.abs(z)) + np.abs(z) ** 1.5,
    "gaussian": lambda z: np.exp(-z * z),
    "bands": lambda z: np.where((z > -1) & (z <= 1) | (z > 40), np.sin(z), np.cos(z)),
    "straight": lambda z: 3.0 * z - 1,
    "constant somewhere": lambda z: np.where(z > 0, np.ones_like(z), z * z),
    "saturated": lambda z: np.tanh(np.exp(z)),
    "arctangent": lambda z: np.arctan2(z, 1.0) + np.arctan(z) * np.hypot(z, 2.0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_code_gives_what_the_dual_arrays_give(name, dtype):
    function, z = FUNCTIONS[name], Z.astype(dtype)
    slope = spelled_out(function)
    with np.errstate(all="ignore"):
        ours = slope(z, function(z)) * np.ones_like(z)
    # NumPy's z**3 on whole arrays and the code's z * z * z round differently.
    rtol = 1e-14 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(ours, Derivative(function)(z, None), rtol=rtol, atol=rtol)


def test_parameters_become_constants():
    slope = spelled_out(elu, (0.5,))
    assert list(inspect.signature(slope).parameters) == ["z", "a"]
    np.testing.assert_allclose(slope(Z[2:5], None), Derivative(elu)(Z[2:5], None, 0.5), rtol=1e-14)


def test_the_value_is_used_where_it_is_needed():
    """Then an engine need not keep z."""
    code = spelled_out(np.tanh).__code__
    assert "z" not in code.co_names
    assert float(spelled_out(np.tanh)(np.nan, 0.5)) == 0.75


@pytest.mark.parametrize(
    "function",
    [
        lambda z: np.sort(z),
        lambda z: np.log(z, where=z > 0, out=np.ones_like(z)),
        lambda z: z - z.mean(),
        lambda z: z[z > 0],
        lambda z: np.ones(z.shape),
        lambda z: np.vectorize(abs)(z),
        lambda z: 1.0,
        lambda z: z if z > 0 else -z,
        lambda z: np.add.accumulate(z),
        lambda z: z + undefined,  # noqa: F821
        lambda z: sum(z**k for k in range(300)),
    ],
)
def test_what_cannot_be_spelled_is_none(function):
    assert spelled_out(function) is None


LEAF = st.one_of(st.just(lambda z: z), st.floats(-2, 2).map(lambda c: lambda z: c + 0 * z))
ONE = (np.sin, np.tanh, np.arctan, np.square, np.negative, np.expm1, np.exp, np.sqrt, np.abs, np.reciprocal)
TWO = (
    np.add,
    np.subtract,
    np.multiply,
    np.divide,
    np.logaddexp,
    np.hypot,
    np.arctan2,
    np.maximum,
    np.minimum,
)


def grown(inner):
    one = st.tuples(st.sampled_from(ONE), inner).map(lambda fx: lambda z: fx[0](fx[1](z)))
    two = st.tuples(st.sampled_from(TWO), inner, inner).map(lambda f: lambda z: f[0](f[1](z), f[2](z)))
    chosen = st.tuples(inner, inner).map(lambda fg: lambda z: np.where(z > 0.05, fg[0](z), fg[1](z)))
    return st.one_of(one, two, chosen)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.recursive(LEAF, grown, max_leaves=8))
def test_random_expressions(function):
    z = np.array([-1.7, -0.6, 0.0, 0.4, 1.3])
    slope = spelled_out(function)
    with np.errstate(all="ignore"):
        ours = slope(z, function(z)) * np.ones_like(z)
    truth = Derivative(function)(z, None)
    sane = np.isfinite(truth) & (np.abs(truth) < 1e100)
    np.testing.assert_allclose(ours[sane], truth[sane], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "name", [name for name in FUNCTIONS if name not in {"ufunc", "roots", "negative powers"}]
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_compiled_engine_compiles_it(name, dtype):
    pytest.importorskip("numba")
    from dagnet.engine.compiled.activations import compile_activation

    activation = dagnet.Activation("mine", FUNCTIONS[name])
    compiled = compile_activation(activation, dtype)
    assert compiled.reason == ""
    z = np.ascontiguousarray(Z[2:-2, None], dtype)
    graph = dagnet.layered([1, 1])
    graph.nodes["eta"].update(activation=activation, bias=False)
    graph.edges["x1", "eta"]["weight"] = 1.0
    deltas = [
        dagnet.Network(graph, engine=engine, dtype=dtype, threads=1).gradient(z, 0 * z).delta("eta")
        for engine in ("compiled", "reference")
    ]
    tolerance = 1e-11 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(*deltas, rtol=tolerance, atol=tolerance)
