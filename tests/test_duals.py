"""Dual numbers: the rules of ufuncs against difference quotients in long double, kinks, errors."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagnet import Activation
from dagnet.duals import Derivative
from dagnet.duals.dual import Dual
from dagnet.duals.slopes import FLAT, PLAIN, SLOPES

EPS = np.finfo(np.longdouble).eps
H = np.longdouble(EPS) ** np.longdouble(0.2)


def derivative(function, z):
    return Derivative(function)(z)


def stencil(function, z):
    """A difference quotient of fourth order; its error is about eps^(4/5)."""
    z = np.asarray(z, np.longdouble)
    # A step that a float holds exactly, so that z + h - z is h.
    h = (z + H * np.maximum(1, abs(z))) - z
    near, far = function(z + h) - function(z - h), function(z + 2 * h) - function(z - 2 * h)
    return ((8 * near - far) / (12 * h)).astype(np.float64)


def close(function, z, *, rtol=1e-10, atol=1e-11):
    np.testing.assert_allclose(derivative(function, z), stencil(function, z), rtol=rtol, atol=atol)


ANYWHERE = np.array([-2.71, -1.3, -0.41, -0.26, 0.27, 0.36, 1.1, 2.63, 4.27])
POSITIVE = np.array([0.3, 0.55, 0.9, 2.63, 4.27])
INSIDE = np.array([-0.9, -0.3, 0.01, 0.5, 0.95])
ABOVE_ONE = np.array([1.05, 1.5, 3.0, 20.0])
DOMAINS = {
    **dict.fromkeys((np.sqrt, np.log, np.log2, np.log10, np.log1p), POSITIVE),
    **dict.fromkeys((np.arcsin, np.arccos, np.arctanh), INSIDE),
    np.arccosh: ABOVE_ONE,
}
UNARY = [ufunc for ufunc in SLOPES if ufunc.nin == 1]
BINARY = [ufunc for ufunc in SLOPES if ufunc.nin == 2 and ufunc is not np.ldexp]


def test_every_differentiable_ufunc_has_a_rule():
    without = {"bitwise", "shift", "frexp", "gcd", "lcm", "nextafter", "spacing", "invert"}
    composed = {np.divmod, np.modf, np.matmul, np.vecdot}
    for name in dir(np):
        ufunc = getattr(np, name)
        if not isinstance(ufunc, np.ufunc) or any(part in name for part in without):
            continue
        if name in {"matvec", "vecmat"}:  # of NumPy 2.2; `@` covers them
            continue
        assert ufunc in SLOPES or ufunc in PLAIN or ufunc in composed, name


@pytest.mark.parametrize("ufunc", UNARY, ids=lambda ufunc: ufunc.__name__)
def test_unary_rule(ufunc):
    close(ufunc, DOMAINS.get(ufunc, ANYWHERE))


@pytest.mark.parametrize("ufunc", BINARY, ids=lambda ufunc: ufunc.__name__)
@pytest.mark.parametrize("other", [0.7, 2.3, -1.6])
def test_binary_rule(ufunc, other):
    base = POSITIVE if ufunc in (np.power, np.float_power) else ANYWHERE
    close(lambda z: ufunc(z, other), base)
    if other > 0 or ufunc not in (np.power, np.float_power):
        close(lambda z: ufunc(other, z), base)
    inner = np.array([0.3, 0.9, 1.4])
    close(lambda z: ufunc(np.square(z), np.exp(z)), inner, rtol=1e-8)


def test_integer_powers_of_negative_numbers():
    for n in (-3, -1, 0, 1, 2, 5):
        close(lambda z, n=n: z**n, ANYWHERE, rtol=1e-8, atol=1e-7)
    close(lambda z: 2.0**z, ANYWHERE)
    np.testing.assert_array_equal(derivative(lambda z: z**0, np.array([0.0, 2.0])), 0)
    np.testing.assert_array_equal(derivative(lambda z: z**1, np.array([0.0, 2.0])), 1)


def test_ldexp_and_pairs_of_results():
    close(lambda z: np.ldexp(z, 3), ANYWHERE)
    close(lambda z: np.divmod(z, 0.7)[0] + 3 * np.divmod(z, 0.7)[1], ANYWHERE)
    close(lambda z: np.modf(z)[0] ** 2 + np.modf(z)[1], ANYWHERE)


@pytest.mark.parametrize("ufunc", [u for u in UNARY if u not in FLAT], ids=lambda ufunc: ufunc.__name__)
def test_unary_rules_against_mpmath(ufunc):
    mpmath = pytest.importorskip("mpmath")
    exact = {
        "absolute": mpmath.fabs, "fabs": mpmath.fabs, "positive": lambda z: +z, "negative": lambda z: -z,
        "conjugate": lambda z: z, "square": lambda z: z * z, "reciprocal": lambda z: 1 / z,
        "exp2": lambda z: mpmath.mpf(2) ** z, "log2": lambda z: mpmath.log(z, 2),
        "deg2rad": mpmath.radians, "radians": mpmath.radians, "rad2deg": mpmath.degrees,
        "degrees": mpmath.degrees, "arcsin": mpmath.asin, "arccos": mpmath.acos, "arctan": mpmath.atan,
        "arcsinh": mpmath.asinh, "arccosh": mpmath.acosh, "arctanh": mpmath.atanh,
        "cbrt": lambda z: mpmath.sign(z) * mpmath.cbrt(abs(z)),
    }  # fmt: skip
    function = exact.get(ufunc.__name__) or getattr(mpmath, ufunc.__name__)
    z = DOMAINS.get(ufunc, ANYWHERE)
    with mpmath.workdps(40):
        truth = [float(mpmath.diff(function, mpmath.mpf(float(x)))) for x in z]
    np.testing.assert_allclose(derivative(ufunc, z), truth, rtol=2e-13, atol=1e-15)


# -- kinks -----------------------------------------------------------------------------------

KINKS = {
    "maximum": (lambda z: np.maximum(z, 0.0), [-1, 0, 1], [0, 0.5, 1]),
    "minimum": (lambda z: np.minimum(0.0, z), [-1, 0, 1], [1, 0.5, 0]),
    "maximum of itself": (lambda z: np.maximum(z, z), [2.0], [1]),
    "fmax first": (lambda z: np.fmax(z, 0.0), [-1, 0, 1], [0, 1, 1]),
    "fmax second": (lambda z: np.fmax(0.0, z), [-1, 0, 1], [0, 0, 1]),
    "fmin first": (lambda z: np.fmin(z, 0.0), [-1, 0, 1], [1, 1, 0]),
    "fmin and NaN": (lambda z: np.fmin(z, np.nan), [-1, 0, 1], [1, 1, 1]),
    "clip": (lambda z: np.clip(z, -1, 1), [-2, -1, 0, 1, 2], [0, 1, 1, 1, 0]),
    "clip below": (lambda z: np.clip(z, 0, None), [-2, 0, 1], [0, 1, 1]),
    "clip above": (lambda z: z.clip(max=1), [-2, 1, 3], [1, 1, 0]),
    "clip by a bound": (lambda z: np.clip(0.0, z, 5.0), [-1, 1, 6], [0, 1, 0]),
    "abs": (abs, [-2, 0, 3], [-1, 0, 1]),
    "sign": (np.sign, [-2, 0, 3], [0, 0, 0]),
    "floor": (np.floor, [-1.5, 0, 2], [0, 0, 0]),
    "where": (lambda z: np.where(z > 0, z, 0), [-1, 0, 1], [0, 0, 1]),
    "relu by product": (lambda z: z * (z > 0), [-1, 0, 1], [0, 0, 1]),
    "sqrt": (np.sqrt, [0.0, 4.0], [np.inf, 0.25]),
    "hypot": (lambda z: np.hypot(z, 0 * z), [-2, 0, 2], [-1, 0, 1]),
    "sqrt of a square": (lambda z: np.sqrt(z * z), [-2, 0, 2], [-1, 0, 1]),
    "copysign": (lambda z: np.copysign(z, -1.0), [-2, 0, 2], [1, 0, -1]),
    "heaviside": (lambda z: np.heaviside(z, 0.5), [-2, 0, 2], [0, 0, 0]),
    "heaviside of its value": (lambda z: np.heaviside(0.0, z), [-2, 0, 2], [1, 1, 1]),
    "arctan2": (lambda z: np.arctan2(z, 0 * z), [0.0], [0]),
    "logaddexp of infinities": (lambda z: np.logaddexp(z, -np.inf), [1.0], [1]),
    "nan_to_num": (np.nan_to_num, [np.nan, np.inf, 2], [0, 0, 1]),
    "sinc": (np.sinc, [0.0, 1.0], [0, -1]),
    "sigmoid far out": (lambda z: 1 / (1 + np.exp(-z)), [-1e4, 0, 1e4], [0, 0.25, 0]),
    "swish far out": (lambda z: z / (1 + np.exp(-z)), [-1e4, 0, 1e4], [0, 0.5, 1]),
    "root squared": (lambda z: np.square(np.sqrt(z)), [0.0, 4.0], [np.nan, 1]),
    "round": (np.round, [0.4, 0.5], [0, 0]),
    "0 to the power of 1/2": (lambda z: z**0.5, [0.0], [np.inf]),
    "0 to the power of z": (lambda z: 0.0**z, [0.0, 2.0], [0, 0]),
    "constant": (lambda z: 3.0, [1.0, 2.0], [0, 0]),
    "constant array": (lambda z: np.ones(z.shape), [1.0, 2.0], [0, 0]),
}


@pytest.mark.parametrize("name", KINKS)
def test_kink(name):
    function, z, slopes = KINKS[name]
    z = np.array(z, float)
    np.testing.assert_allclose(derivative(function, z), slopes, atol=1e-15)
    with np.errstate(all="ignore"):
        result = function(Dual(z.copy(), np.ones(1)))
        np.testing.assert_array_equal(getattr(result, "value", result), function(z.copy()))


def test_kinks_are_those_of_torch():
    torch = pytest.importorskip("torch")
    nan = math.nan
    pairs = np.array([(-1, 0), (0, 0), (1, 0), (2, 2), (nan, 1), (1, nan), (-0.0, 0)], float)
    names = {"maximum": "maximum", "minimum": "minimum",
             "fmax": "fmax", "fmin": "fmin",
             "copysign": "copysign", "arctan2": "atan2", "logaddexp": "logaddexp",
             "power": "pow"}  # fmt: skip
    for ours, theirs in names.items():
        x, y = (torch.tensor(column, requires_grad=True) for column in pairs.T.copy())
        getattr(torch, theirs)(x, y).sum().backward()
        for place, truth in enumerate((x.grad, y.grad)):
            fixed = pairs[:, 1 - place]
            ufunc = getattr(np, ours)
            function = (lambda z: ufunc(z, fixed)) if place == 0 else (lambda z: ufunc(fixed, z))  # noqa: B023
            np.testing.assert_allclose(
                derivative(function, pairs[:, place]), truth.numpy(), rtol=1e-15, err_msg=ours
            )
    z = torch.tensor([-2.0, -1, 0, 1, 2, nan], dtype=torch.float64, requires_grad=True)
    torch.clamp(z, -1, 1).sum().backward()
    ours = derivative(lambda z: np.clip(z, -1, 1), z.detach().numpy())
    np.testing.assert_array_equal(ours, z.grad.numpy())


# -- branches, masks, in place ---------------------------------------------------------------


def masked(z):
    a = np.empty_like(z)
    positive = z > 0
    a[positive] = z[positive] ** 2
    a[~positive] = np.exp(z[~positive])
    a[z > 4] = 7.0
    a *= 2
    return a


def in_place(z):
    a = z.copy()
    a += 1
    a *= z
    a **= 2
    a /= 3
    a -= np.sin(a)
    np.exp(-a, out=a)
    return a


def through_views(z):
    a = z * 1
    flat = a.reshape(-1)
    flat[::2] = 3 * z.ravel()[::2] ** 2
    a[..., 1:] *= 2
    a.T[0] = np.cos(z[..., 0])
    return a


def by_where_argument(z):
    return np.log(z, where=z > 0, out=np.zeros_like(z)) + np.exp(z, where=z < 0, out=2 * z)


def piecewise(z):
    conditions = [z < -1, (z >= -1) & (z < 1)]
    return np.piecewise(z, conditions, [lambda t: t**2, 2.0, lambda t, k=3.0: k * np.sin(t)])


BRANCHES = {
    "mask with assignment": masked,
    "in place": in_place,
    "through views": through_views,
    "where=": by_where_argument,
    "piecewise": piecewise,
    "select": lambda z: np.select([z < -1, z < 1], [z**2, np.exp(z)], default=-z),
    "copyto": lambda z: (a := z * 2, np.copyto(a, z**2, where=z > 0))[0],
    "putmask": lambda z: (a := z * 2, np.putmask(a, z > 0, z**3))[0],
    "full_like": lambda z: np.full_like(z, 2.0) * z + np.ones_like(z),
    "fill": lambda z: (a := z * 2, a.fill(3))[0] + z,
    "polyval": lambda z: np.polyval([2.0, -1.0, 3.0], z),
    "swish": lambda z: z / (1 + np.exp(-z)),
    "stable softplus": lambda z: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))),
    "by rows": lambda z: np.stack([np.sin(row) for row in z]) if z.ndim == 2 else np.sin(z),
    "float32 detour": lambda z: np.sin(z.astype(z.dtype)).astype(z.dtype, copy=False),
    "round trip": lambda z: np.concatenate([z[:1] ** 2, z[1:] ** 2], axis=0),
}


@pytest.mark.parametrize("name", BRANCHES)
@pytest.mark.parametrize("shape", [(9,), (3, 3), (1, 9)])
def test_branches_and_assignment(name, shape):
    z = ANYWHERE.reshape(shape)
    before = z.copy()
    close(BRANCHES[name], z)
    np.testing.assert_array_equal(z, before)


def test_what_the_other_branch_holds_cannot_reach_the_result():
    z = np.array([-1.0, 0.0, 2.0])
    slope = derivative(lambda z: np.where(z > 0, np.log(z), z), z)
    np.testing.assert_array_equal(slope, [1, 1, 0.5])
    slope = derivative(lambda z: np.sqrt(np.where(z > 0, z, 0)), z)
    np.testing.assert_allclose(slope, [0, 0, 0.5 / math.sqrt(2)])
    slope = derivative(lambda z: np.where(z > 1e3, z, np.exp(z)), np.array([2e3]))
    assert slope == 1


def test_a_function_that_writes_to_its_argument_does_not_reach_ours():
    z = np.array([-1.0, 2.0])

    def careless(z):
        z[z < 0] = 0
        z *= 3
        return z

    np.testing.assert_array_equal(derivative(careless, z), [0, 3])
    np.testing.assert_array_equal(z, [-1, 2])


# -- shapes, dtypes, the callable --------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (4, 1), (2, 3), (2, 0)])
def test_shape_and_dtype_are_kept(dtype, shape):
    z = np.full(shape, 0.5, dtype)
    for function in (
        np.tanh,
        lambda z: z * np.float64(2),
        lambda z: np.where(z > 0, z, 0.1 * z),
        lambda z: 1,
    ):
        slope = Derivative(function)(z, None)
        assert slope.shape == shape
        assert slope.dtype == dtype
        assert slope.flags.writeable


def test_float32_is_as_precise_as_float32():
    z = np.linspace(-3, 3, 50, dtype=np.float32)
    for function in (np.tanh, masked, BRANCHES["stable softplus"], lambda z: z**3 / (1 + z * z)):
        exact = derivative(function, z.astype(np.float64))
        np.testing.assert_allclose(derivative(function, z), exact, rtol=2e-5, atol=1e-6)


def test_an_input_that_cannot_be_written_or_is_not_contiguous():
    z = np.arange(12.0).reshape(3, 4).T[::2]
    z.flags.writeable = False
    np.testing.assert_array_equal(derivative(np.square, z), 2 * z)
    np.testing.assert_array_equal(derivative(np.square, [1, 2]), [2.0, 4.0])


def test_parameters_are_passed_on():
    def elu(z, alpha, beta):
        return np.where(z > 0, beta * z, alpha * np.expm1(z))

    slope = Derivative(elu)(np.array([-1.0, 1.0]), None, 0.5, 3)
    np.testing.assert_allclose(slope, [0.5 * math.exp(-1), 3])


def test_the_callable_is_a_value():
    assert Derivative(np.tanh) == Derivative(np.tanh)
    assert hash(Derivative(np.tanh)) == hash(Derivative(np.tanh))
    assert Derivative(np.tanh) != Derivative(np.sin)
    again = pickle.loads(pickle.dumps(Derivative(masked)))
    np.testing.assert_array_equal(again(ANYWHERE, None), Derivative(masked)(ANYWHERE, None))


def test_an_activation_without_a_derivative_has_one():
    cube = Activation("cube", lambda z: z**3)
    z = np.array([[1.0, -2.0]])
    np.testing.assert_allclose(cube.slope(z, cube.value(z)), 3 * z**2)


def test_no_warnings_of_our_own_making():
    z = np.array([-1e4, -1.0, 0.0, 1.0, 1e4])
    with np.errstate(all="raise"):
        for function in (np.sqrt, np.log, np.exp, np.arcsin, np.reciprocal, lambda z: z**-1.5, np.arccosh):
            derivative(function, z)


# -- random expressions ------------------------------------------------------------------------

LEAF = st.one_of(st.just(lambda z: z), st.floats(-2, 2).map(lambda c: lambda z: np.float64(c) + 0 * z))
SMOOTH = (np.sin, np.cos, np.tanh, np.arctan, np.arcsinh, np.square, np.negative, np.expm1)
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
        around = [function(z.astype(np.longdouble) + step) for step in (-2 * H, 0, 2 * H)]
        truth = stencil(function, z)
        # Beside a kink or a pole a difference quotient tells nothing.
        half = (function(z.astype(np.longdouble) + H) - function(z.astype(np.longdouble) - H)) / (2 * H)
    smooth = (np.abs(half - truth) < 1e-3 * (1 + np.abs(truth))) & (np.abs(around) < 1e3).all(axis=0)
    slope = derivative(function, z)
    np.testing.assert_allclose(slope[smooth], truth[smooth], rtol=1e-6, atol=1e-6)
