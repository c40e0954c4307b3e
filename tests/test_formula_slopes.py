"""Slopes by formulas and by the tape: against difference quotients, kinks as PyTorch's."""

import numpy as np
import pytest
from data.quotients import ANYWHERE, DOMAINS, ROWS, STEP, quotient
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnet.formula import sigmoid, traced
from dagnet.formula.arrays import value_and_gradient
from dagnet.formula.operations import OPERATIONS

OTHER = np.array([[0.5, -0.7, 0.2, 1.3], [-1.1, 0.4, 2.6, 0.3], [0.9, 0.8, -0.4, 1.6]])


def by_tape(function, *arrays, by=0):
    return value_and_gradient(lambda x: function(*arrays[:by], x, *arrays[by + 1 :]), arrays[by])[1]


def both_ways(function, *arrays, by=0, axis=None):
    """The slopes by an argument as the formula has them and as the tape has them."""
    formula = traced(function, list("xyw")[: len(arrays)], axis=axis)
    return formula.derivative("xyw"[by])(*arrays), by_tape(function, *arrays, by=by)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "pull"])
def test_each_slope_is_that_of_a_difference_quotient_by_any_argument(name):
    entry = OPERATIONS[name]
    count = len(entry.slopes)
    formula = traced(entry.function, list("xyw")[:count])
    assert formula.ops[formula.results[0]].name in {name, "where", "argument"}
    first, rest = DOMAINS.get(name, ANYWHERE), [(0.7, 2.3, -1.6), (5.1, -0.2)]
    arrays = [array.ravel() for array in np.meshgrid(first, *rest[: count - 1])]
    for by in range(count):
        truth = 0.0 if entry.truth else quotient(entry.function, *arrays, by=by)
        for ours in both_ways(entry.function, *arrays, by=by):
            np.testing.assert_allclose(ours, truth, rtol=1e-9, atol=1e-10)


def test_kinks_are_those_of_torch():
    torch = pytest.importorskip("torch")
    pairs = np.array([(-1, 0), (0, 0), (1, 0), (2, 2), (np.nan, 1), (1, np.nan), (-0.0, 0), (-1, -2)], float)
    names = {"arctan2": "atan2", "power": "pow", "absolute": "abs", "clip": "clamp", "rint": "round"}
    two = ("maximum", "minimum", "fmax", "fmin", "copysign", "logaddexp", "arctan2", "power")
    for name in (*two, "absolute", "sign", "sqrt", "floor", "rint", "square", "clip"):
        count = len(OPERATIONS[name].slopes)
        some = pairs if count == 2 else pairs[~np.isnan(pairs).any(axis=1)]
        columns = [*some.T, np.ones(len(some))][:count]
        there = [torch.tensor(column, requires_grad=True) for column in columns]
        getattr(torch, names.get(name, name))(*there).sum().backward()
        for by, tensor in enumerate(there):
            for ours in both_ways(OPERATIONS[name].function, *columns, by=by):
                np.testing.assert_allclose(ours, tensor.grad, rtol=1e-15, err_msg=f"{name} by {by}")


KINKS = {
    "maximum": (lambda z: np.maximum(z, 0.0), [-1, 0, 1], [0, 0.5, 1]),
    "minimum": (lambda z: np.minimum(0.0, z), [-1, 0, 1], [1, 0.5, 0]),
    "fmax and fmin": (lambda z: np.fmax(z, 0.0) + np.fmin(0.0, z), [-1, 0, 1], [1, 1, 1]),
    "maximum of itself": (lambda z: np.maximum(z, z), [2.0], [1]),
    "clip below": (lambda z: np.clip(z, 0, None), [-2, 0, 1], [0, 1, 1]),
    "where": (lambda z: np.where(z > 0, z, 0), [-1, 0, 1], [0, 0, 1]),
    "relu by product": (lambda z: z * (z > 0), [-1, 0, 1], [0, 0, 1]),
    "hypot": (lambda z: np.hypot(z, 0 * z), [-2, 0, 2], [-1, 0, 1]),
    "heaviside": (lambda z: np.heaviside(z, 0.5), [-2, 0, 2], [0, 0, 0]),
    "heaviside of its value": (lambda z: np.heaviside(0.0, z), [-2, 0, 2], [1, 1, 1]),
    "logaddexp of infinities": (lambda z: np.logaddexp(z, -np.inf), [1.0], [1]),
    "logaddexp of equal infinities": (lambda z: np.logaddexp(z, z), [-np.inf, 1, np.inf], [1, 1, 1]),
    "sinc": (np.sinc, [0.0, 1.0], [0, -1]),
    "0 to the power of 1/2": (lambda z: z**0.5, [0.0], [np.inf]),
    "0 to the power of z": (lambda z: 0.0**z, [0.0, 2.0], [0, 0]),
    "to the power of 0 and 1": (lambda z: z**0 + z**1, [0.0, -2.0], [1, 1]),
    "whole powers": (lambda z: z**-3 + z**-1 + z**2 + z**5, [0.5, 2.0, -1.0], [-50.6875, 83.5625, -1]),
    # A zero wins over an infinity, whichever side of the product it is on.
    "sigmoid far out": (lambda z: 1 / (1 + np.exp(-z)), [-1e4, 0, 1e4], [0, 0.25, 0]),
    "swish far out": (lambda z: z / (1 + np.exp(-z)), [-1e4, 0, 1e4], [0, 0.5, 1]),
    "log of exp far out": (lambda z: np.log(1 + np.exp(z)), [-1e4, 0], [0, 0.5]),
    "tanh of exp": (lambda z: np.tanh(np.exp(z)), [-1e4, 1e4], [0, 0]),
    "sqrt of relu": (lambda z: np.sqrt(np.maximum(z, 0)), [-2, 4], [0, 0.25]),
    "sqrt of a square": (lambda z: np.sqrt(z * z), [-2, 0, 2], [-1, 0, 1]),
    "sqrt of where": (lambda z: np.sqrt(np.where(z > 0, z, 0)), [-2, 0, 4], [0, 0, 0.25]),
    "log in the other branch": (lambda z: np.where(z > 0, np.log(z), z), [-1, 0, 2], [1, 1, 0.5]),
    "overflow in the other branch": (lambda z: np.where(z > 1e3, z, np.exp(z)), [2e3], [1]),
    "a root off the mask": (lambda z: (a := np.zeros_like(z), a.__setitem__(z > 0, np.sqrt(z[z > 0])))[0],
                            [-1, 0, 4], [0, 0, 0.25]),
    "constant": (lambda z: 3.0, [1.0, 2.0], [0, 0]),
}  # fmt: skip


@pytest.mark.parametrize("name", KINKS)
def test_kink(name):
    function, z, slopes = KINKS[name]
    z = np.array(z, float)
    np.testing.assert_allclose(traced(function, ["z"]).derivative("z")(z), slopes, atol=1e-15)
    if function is not np.sinc:  # which the tape has no rule for
        np.testing.assert_allclose(by_tape(function, z), slopes, atol=1e-15)


def test_ties_share_evenly_and_zeros_in_products():
    for function, row, wanted in (
        (lambda x: x.max(axis=1), [1, 1, 0], [0.5, 0.5, 0]),
        (lambda x: x.min(axis=1), [0, 1, 0], [0.5, 0, 0.5]),
        (lambda x: x.prod(axis=1), [1, 2, 0], [0, 0, 2]),
        (lambda x: x.prod(axis=1), [0, 2, 0], [0, 0, 0]),
        (lambda x: np.sqrt(np.square(x).sum(axis=1)), [0, 0, 0], [0, 0, 0]),
    ):
        for ours in both_ways(function, np.array([row], float), axis=1):
            np.testing.assert_array_equal(ours, [wanted])


LEAF = st.one_of(st.just(lambda z: z), st.floats(-2, 2).map(lambda c: lambda z: c + 0 * z))
SMOOTH = (np.sin, np.cos, np.tanh, np.arctan, np.arcsinh, np.square, np.negative, np.expm1, sigmoid)
PAIRS = (np.add, np.subtract, np.multiply, np.logaddexp, np.hypot, np.arctan2)


def grown(inner):
    one = st.tuples(st.sampled_from(SMOOTH), inner).map(lambda fx: lambda z: fx[0](fx[1](z)))
    two = st.tuples(st.sampled_from(PAIRS), inner, inner).map(lambda f: lambda z: f[0](f[1](z), f[2](z)))
    safe = inner.map(lambda f: lambda z: f(z) / (1.5 + np.square(f(z))))
    chosen = st.tuples(inner, inner).map(lambda fg: lambda z: np.where(z > 0.05, fg[0](z), fg[1](z)))
    return st.one_of(one, two, safe, chosen)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.recursive(LEAF, grown, max_leaves=8))
def test_random_expressions(function):
    z = np.array([-1.7, -0.6, 0.4, 1.3])
    with np.errstate(all="ignore"):
        around = np.array([function(z.astype(np.longdouble) + step * STEP) for step in (-2, 0, 2)])
        truth = quotient(function, z)
    smooth = np.abs(np.diff(around, axis=0)).max(axis=0) < 0.02
    sane = np.isfinite(truth) & smooth & (np.abs(around).max(axis=0) < 1e3)
    np.testing.assert_allclose(traced(function, ["z"])(z), function(z), rtol=1e-12, atol=1e-12)
    for ours in both_ways(function, z):
        np.testing.assert_allclose(ours[sane], truth[sane], rtol=1e-6, atol=1e-6)


# -- reductions ---

UNITS = {
    "sum": lambda o, t: np.square(o - t).sum(axis=1),
    "sum of all ways": lambda o, t: np.sum(o * t, axis=-1) + np.add.reduce(o, axis=1) + np.sum(t, 1),
    "prod": lambda o, t: np.prod(1 + o * t, axis=1) - o.prod(axis=1, keepdims=True)[:, 0],
    "max and min": lambda o, t: o.max(axis=1) * np.amin(t, axis=1) + np.maximum.reduce(t, axis=1),
    "mean": lambda o, t: ((o - o.mean(axis=1, keepdims=True)) * t).mean(axis=1),
    "kept and gone": lambda o, t: np.log(np.exp(o - (m := o.max(axis=1))[:, None]).sum(axis=1)) + m - t[:, 0],
    "squeezed": lambda o, t: np.squeeze((o * t).sum(axis=1, keepdims=True), axis=1) ** 2,
    "truths": lambda o, t: (o > t).sum(axis=1) * 1.0 + (o > 0).max(axis=1),
    "columns": lambda o, t: (o - t)[:, 0] ** 2 + np.exp(o[:, 1:]).mean(axis=1) * t[:, -1] + o[:, 1:3].max(1),
    "constants": lambda o, t: np.full_like(o, 2.0).sum(axis=1) + 0 * t.sum(axis=1),
}  # fmt: skip
TERMS = {
    "terms' sum": lambda t: t.sum(axis=0), "terms' product": lambda t: np.prod(t, axis=0),
    "terms' mean": lambda t: t.mean(axis=0), "terms' largest": lambda t: np.max(t, axis=0),
    "logsumexp": lambda t: np.log(np.exp(t).sum(axis=0)), "terms' least": lambda t: t.min(axis=0),
    "softmax mean": lambda t: (t * np.exp(t)).sum(axis=0) / np.exp(t).sum(0),
}  # fmt: skip


@pytest.mark.parametrize("name", [*UNITS, *TERMS])
def test_reductions_over_units_and_terms(name):
    function = {**UNITS, **TERMS}[name]
    arrays, axis = ((ROWS, OTHER), 1) if name in UNITS else ((np.stack([ROWS, OTHER, ROWS * OTHER]),), 0)
    formula = traced(function, ["x", "y"][: len(arrays)], axis=axis)
    np.testing.assert_allclose(formula(*arrays), function(*arrays), rtol=1e-14)
    places = [(slice(None),) * axis + (k,) for k in range(arrays[0].shape[axis])]
    for by in range(len(arrays)):
        truth = quotient(function, *arrays, by=by, places=places)
        for ours in both_ways(function, *arrays, by=by, axis=axis):
            np.testing.assert_allclose(ours, truth, rtol=1e-10, atol=1e-10)


def test_both_results_of_divmod_and_modf_have_slopes():
    def parts(z):
        return divmod(z, 0.7)[1] + np.divmod(z, 0.7)[0] * z + np.modf(z)[0] * np.modf(z)[1]

    truth = quotient(parts, ANYWHERE)
    for ours in both_ways(parts, ANYWHERE):
        np.testing.assert_allclose(ours, truth, rtol=1e-9, atol=1e-10)
