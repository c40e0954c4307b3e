"""Gradients by a tape over arrays: moves, folds and writing against difference quotients, refusals, cost.

What each operation's slope is, and what a zero wins over, tests/test_formula_slopes.py has, for the tape too.
"""

# ruff: noqa: PLW0108 - the functions are as users write them

import math
import time

import numpy as np
import pytest
from data.quotients import ROWS as ARRAY
from data.quotients import STEP, quotient
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnet import PluginError
from dagnet.formula.arrays import NotDifferentiable, value_and_gradient

MASK = ARRAY > 0.4
ONE_HOT = np.eye(4)[[2, 0, 3]]
WEIGHTS = np.random.default_rng(0).normal(size=(4, 2))


def weighed(function):
    """The sum of cos(k)·(k-th element of what a function returns)."""

    def total(x):
        results = function(x)
        flat = [np.ravel(some) for some in (results if isinstance(results, list) else [results])]
        flat = np.concatenate(flat) if len(flat) > 1 else flat[0]
        return np.sum(flat * np.cos(np.arange(flat.size) * 1.0))

    return total


KINKS = {
    "NaN in the other branch": (lambda z: np.where(np.isnan(z), 2.0, z * z), [np.nan, 3], [0, 6]),
    "nan_to_num": (np.nan_to_num, [np.nan, np.inf, 2], [0, 0, 1]),
    "zeros in products": (np.cumprod, [3, 0, 2, 0], [1, 9, 0, 0]),
    "minus infinities": (np.logaddexp.accumulate, [-np.inf, 0, 0], [1, 1.5, 0.5]),
    "std of equal ones": (np.std, [2, 2], [0, 0]),
    "equal ones in order": (lambda z: np.sort(z) * [1, 2, 3], [5, 1, 1], [3, 1, 2]),
    "constant array": (lambda z: np.ones(z.shape), [1.0, 2.0], [0, 0]),
}


@pytest.mark.parametrize("name", KINKS)
def test_kink(name):
    function, z, slopes = KINKS[name]
    value, ours = value_and_gradient(function, np.array(z, float))
    np.testing.assert_allclose(ours, slopes, atol=1e-15)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(value, np.broadcast_to(function(np.array(z, float)), value.shape))


# -- functions, writing, loops -----------------------------------------------------------------


def masked(z):
    a = np.empty_like(z)
    a[z > 0] = z[z > 0] ** 2
    a[z <= 0] = np.exp(z[z <= 0])
    a[z > 4] = 7.0
    a *= 2
    return a


def through_views(z):
    a = z * 1
    flat, first = a.reshape(-1), a.T[0]
    flat[::2] = 3 * z.ravel()[::2] ** 2
    b = a[..., 1:]
    b *= 2
    b[...] = np.tanh(b) * first[0]
    first[...] = np.cos(z[..., 0])
    np.split(a, 2, axis=1)[0][...] *= a[:, 2:]
    return a * first[:, None]


def overwritten(z):
    """What was calculated with the old numbers has their derivative."""
    weights, a = np.ones(4), np.exp(z)
    squares = a * a * weights
    weights[:] = 0
    a[0] = 5.0
    a[:, 1:] = a[:, :-1]
    a[[1, 1]] = z[:2] ** 3
    z[z < 0] = 0
    return squares * a + z


FUNCTIONS = {
    **{f.__name__: f for f in (masked, through_views, overwritten)},
    "where=": lambda z: np.log(z, where=z > 0, out=np.zeros_like(z)) + np.exp(z, where=z < 0, out=2 * z),
    "select": lambda z: np.select([z < -1, z < 1], [z**2, np.exp(z)], default=-z),
    "fills": lambda z: (a := z * 2, a.fill(3))[0] + z * np.full_like(z, 2.0) + np.full_like(z, z[0, 1]) * z,
    "softplus": lambda z: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))),
    "sum": lambda x: np.sum(x**2, axis=1) * np.sum(x**3, axis=-1) + np.sum(np.square(x)),
    "sum keepdims": lambda x: x / x.sum(axis=1, keepdims=True) * np.sum(x * x, axis=(0, -1)),
    "sum where": lambda x: np.sum(x * x, 0, where=MASK, initial=2.0) * np.sum(x, 0, out=np.zeros_like(x[0])),
    "mean": lambda x: x.mean(axis=0) ** 2 + np.mean(x * x) * np.sum(x, 1)[:, None],
    "var": lambda x: x.var(axis=1) + np.var(x, axis=1, ddof=1) * x.std(axis=0)[:3] * np.std(x),
    "max": lambda x: x.max(axis=1) ** 2 + np.max(x) + np.max(x * x, axis=1, where=MASK, initial=0.5),
    "min": lambda x: np.amin(x * x, axis=0) * np.amax(x, axis=0) + x.min(),
    "prod": lambda x: np.prod(x, axis=1)[0] + x.prod() * np.prod(x, axis=0, where=MASK, initial=3.0),
    "cumsum": lambda x: np.cumsum(x * x, axis=1) * np.cumsum(x).reshape(3, 4) * np.cumprod(x, 0),
    "norm": lambda x: np.linalg.norm(x) * np.linalg.norm(x, axis=1) + np.linalg.norm(x, 2, axis=1),
    "reduce": lambda x: np.add.reduce(x * x) * np.maximum.reduce(x) * np.multiply.reduce(x, axis=0),
    "logaddexp": lambda x: np.logaddexp.reduce(x, axis=1, keepdims=True) * np.logaddexp.accumulate(x),
    "accumulate": lambda x: np.maximum.accumulate(x, axis=1) * np.add.accumulate(x) * np.add.accumulate(x, 1),
    "outer": lambda x: np.tril(x)[:, :1] ** 2 * np.outer(x[0, :3], x[1]),
    "sort": lambda x: (a := x * 1, a.sort(0))[0] * np.sort(x) * np.sort(x, None)[3],
    "reshape": lambda x: x.reshape(2, 6) ** 2 + np.reshape(x, (-1, 6), order="F"),
    "axes": lambda x: np.moveaxis(x[None] ** 2, 0, -1) * np.expand_dims(x, (0, 3))[0] * x[:, None].mT,
    "lists": lambda x: x[[0, 2, 0]][:, [1, 1, 2, 3]] ** 2 * (x[:, None] - x[None, :] ** 2),
    "labels": lambda x: x[np.arange(3), [1, 0, 3]] * np.take_along_axis(x, np.array([[2], [1], [0]]), 1).T,
    "flip": lambda x: np.flip(x, 1) * np.roll(x, 1, axis=0) * np.rot90(x, 2) + np.fliplr(x),
    "diag": lambda x: np.diag(x[:, :3]) ** 2 + np.diagonal(x) * np.broadcast_to(x[:, :1] ** 2, (3, 3)),
    "concatenate": lambda x: np.concatenate([x**2, np.ones((3, 1)), x], axis=-1),
    "stack": lambda x: np.stack([x, np.exp(x)], axis=-1) * np.stack([x, ARRAY], axis=2),
    "joined": lambda x: [np.hstack([x, x[:, :1] ** 2]), np.concatenate([x[:1], ONE_HOT], axis=None)],
    "matmul": lambda x: np.tanh(x @ WEIGHTS) @ WEIGHTS.T + (x * x) @ x.T @ x + ARRAY @ x.T @ x,
    "matmul vectors": lambda x: (x[0] @ x[1]) * (x @ x[0]) + x.T[0] @ x @ ARRAY[0],
    "matmul batches": lambda x: np.stack([x, x**2]) @ x.T + x @ np.stack([ARRAY, ARRAY]).mT,
    "in-place matmul": lambda x: (a := x @ x.T, a.__imatmul__(x @ x.T))[1],
    "dot": lambda x: np.dot(x, WEIGHTS) * np.dot(2.0, x[:, :1]) * np.vecdot(x, x**2)[:, None],
    "questions": lambda x: x * np.argmax(x) * np.shape(x)[0] + np.isclose(x, 0.3, atol=0.1) * np.round(x) * x,
    "copies": lambda x: np.copy(x) * x.copy() + np.real(x) * x.real * x.astype(x.dtype, copy=False),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name):
    total, array = weighed(FUNCTIONS[name]), ARRAY.copy()
    with np.errstate(all="ignore"):
        value, slopes = value_and_gradient(total, array)
        truth = quotient(total, array, places=np.ndindex(array.shape))
        np.testing.assert_allclose(slopes, truth, rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(value, total(array.copy()), rtol=1e-13)
        single = value_and_gradient(total, ARRAY.astype(np.float32))[1]
    np.testing.assert_array_equal(array, ARRAY)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, slopes, rtol=1e-3, atol=1e-4 * np.abs(slopes).max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (4, 1), (2, 0)])
def test_shape_and_dtype_are_kept(dtype, shape):
    z = np.full(shape, 0.5, dtype)
    z.flags.writeable = False
    for function in (np.tanh, lambda z: z * 2, lambda z: np.where(z > 0, z, 0.1 * z), lambda z: 1, masked):
        value, slope = value_and_gradient(function, z)
        assert value.shape == slope.shape == shape
        assert slope.dtype == dtype
        assert slope.flags.writeable
    strided = np.arange(12.0).reshape(3, 4).T[::2]
    np.testing.assert_array_equal(value_and_gradient(np.square, strided)[1], 2 * strided)


def test_no_warnings_of_our_own_making():
    with np.errstate(all="raise"):
        for function in (np.sqrt, np.log, np.exp, np.arcsin, np.reciprocal, lambda z: z**-1.5, np.arccosh):
            value_and_gradient(function, [-1e4, -1.0, 0.0, 1.0, 1e4])


VIEWS = """
    {a}[1:] | {a}[::-1] | {a}.T | {a}.reshape(-1) | {a}[..., 0] | {a}[None] | np.split({a}, 1)[0]
"""
FRESH = """
    np.sin({a}) | {a}[[0, 0, -1]] | {a}[{a} > 0.1] | np.cumsum({a}, 0) | np.sort({a}, -1) | {a} / 1.5 |
    {a} - {a}.mean() | {a} + np.max({a}, 0) | np.repeat({a}, 2, 0) | np.stack([{a}, {a} * {s}]) |
    {a}.ravel()[0] | np.logaddexp({a}, {s}) | np.where({a} > 0, {a} * {a}, {s}) | np.triu({a} * {s})
"""
WRITES = """
    {a} += {s} | {a} *= {s} | {a} -= {a}[::-1] | {a} **= 2 | {a}[...] = np.sin({a}) | {a}[0] = {s} |
    {a}[{a} > 0.3] *= 0.5 | {a}[[0, 0]] = {a}[[-1, 0]] * 3 | {a}[::-1] = {a} | {a}.sort() | w *= 2 |
    {a}[-1:] = {a}[:1] * w | np.cos({a}, out={a}) | {a}[...] = {s} | np.exp({a}, out={a}, where={a} < 0)
"""
LINE = st.tuples(
    st.sampled_from((VIEWS, FRESH, WRITES)), st.integers(0, 14), st.integers(0, 9), st.integers(0, 9)
)


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")
@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(LINE, min_size=3, max_size=10))
def test_random_programs(lines):
    """What each name holds in the end counts, so views, copies and writes must go together as in NumPy."""
    names, source = ["x", "a"], ["def program(x):", "a, w = x * 1.0, np.ones(1)"]
    for kind, which, one, other in lines:
        choices = [choice.strip() for choice in kind.split("|")]
        written = choices[which % len(choices)].format(
            a=names[-1 - one % len(names)], s=f"np.sum({names[-1 - other % len(names)]}) * 0.1"
        )
        if kind is not WRITES:
            names.append(f"v{len(names)}")
            written = f"{names[-1]} = {written}"
        source.append(written)
    source.append("return " + " + ".join(f"np.sum(np.sin({name})) * {k + 1}" for k, name in enumerate(names)))
    exec("\n    ".join(source), space := {"np": np})
    program, array = space["program"], ARRAY[:, :3] / 2
    try:
        with np.errstate(all="ignore"):
            program(array.copy())
            rough, expected = (
                quotient(program, array, places=np.ndindex(array.shape), step=h) for h in (STEP, STEP / 2)
            )
    except (TypeError, ValueError, IndexError):  # none that NumPy runs
        return
    if np.allclose(rough, expected, rtol=1e-5, atol=1e-5):  # else at a jump, or wildly bent
        ours = value_and_gradient(program, array)[1]
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5, err_msg="\n".join(source))


# -- what is refused ---------------------------------------------------------------------------

REFUSED = {
    "calls numpy.interp, which has no derivative rule": lambda z: np.interp(z, [0.0, 1.0], [0.0, 2.0]),
    "calls numpy.linalg.inv": lambda z: np.linalg.inv(z),
    "calls numpy.linalg.norm with ord=1": lambda z: np.linalg.norm(z, 1),
    "calls numpy.frexp": lambda z: np.frexp(z)[0],
    "calls numpy.add.reduceat": lambda z: np.add.reduceat(z, [0]),
    "calls numpy.einsum": lambda z: np.einsum("ij->i", z),
    "calls numpy.copyto": lambda z: np.copyto(z, 2 * z),
    "makes a bare array": lambda z: np.add(z[:, 0], [z[0, 0], 1.0]),
    "np.stack joins": lambda z: z.__setitem__(0, [z[0, 0], z[1, 1]]),
    "uses ndarray.flat": lambda z: z.flat[0],
    "takes float() of": lambda z: math.exp(z),
    "np.vectorize": lambda z: np.vectorize(math.exp)(z),
    "np.zeros_like": lambda z: (a := np.zeros(z.shape), a.__setitem__(z > 0, z[z > 0]))[0],
    "lets numpy.add write": lambda z: (a := np.zeros(z.shape), a.__iadd__(z))[1],
    "numbers of type complex128": lambda z: np.real(np.exp(1j * z)),
    "calls the ufunc": lambda z: np.frompyfunc(math.exp, 1, 1)(z),
    "pick by numbers": lambda z: np.take_along_axis(np.arange(10.0), z[0], 0),
    "returns an array, got None": lambda z: None,
    "returns an array, got [": lambda z: [z, z],
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_derivative_is_refused_by_name(name):
    with pytest.raises(NotDifferentiable) as caught:
        value_and_gradient(REFUSED[name], np.array([[0.5, 1.0], [2.0, 3.0]]))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, PluginError)


def test_mistakes_of_the_functions_own_are_raised_as_they_are():
    for error, match, function in (
        (ValueError, "ambiguous", lambda z: max(z, 0)),
        (AttributeError, "no attribute 'softplus'", lambda z: z.softplus()),
        (IndexError, "out of bounds", lambda z: z[7]),
    ):
        with pytest.raises(error, match=match):
            value_and_gradient(function, ARRAY)


# -- cost --------------------------------------------------------------------------------------


def cox(outputs, targets):
    """The partial likelihood: each event against all that are at risk at its time."""
    order = np.argsort(-targets[:, 0], kind="stable")
    risk = outputs[order, 0]
    at_risk = np.log(np.cumsum(np.exp(risk - risk.max()))) + risk.max()
    return np.sort((at_risk - risk) * targets[order, 1])


def by_columns(outputs, targets):
    kinds = (np.tanh, np.square, np.exp, np.abs, np.sin, np.cos)
    total = np.zeros_like(outputs[:, 0])
    for place in range(outputs.shape[1]):
        total += kinds[place % len(kinds)](outputs[:, place] - targets[:, place])
    return total


@pytest.mark.parametrize(
    ("loss", "rows", "most"), [(cox, 300, 30), (cox, 30_000, 10), (by_columns, 3000, 40)]
)
def test_cost_is_a_small_multiple_of_the_functions(loss, rows, most):
    """Of few numbers a step costs what Python costs; one pass per column would be 132."""
    rng = np.random.default_rng(1)
    outputs, targets = rng.normal(size=(rows, 132)), rng.normal(size=(rows, 132))

    def seconds(call):
        start = time.perf_counter()
        call(loss, outputs, targets)
        return time.perf_counter() - start

    # side by side, so that what else runs on the machine slows both down
    ratio = min(seconds(value_and_gradient) / seconds(lambda f, *rows: f(*rows)) for _ in range(10))
    assert ratio < most, ratio
