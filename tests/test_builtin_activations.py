"""Built-in activations against closed forms, difference quotients, mpmath and PyTorch."""

import math

import numpy as np
import pytest
from data.activation_forms import ACTIVATIONS, DTYPES, NAMES, VARIANTS, bound

from dagnet.contracts import Activation


def formula(m, name, z, *p):
    """The textbook's g(z), written for one number; ``m`` is the module math or mpmath's mp."""
    one = z * 0 + 1
    match name:
        case "identity":
            return z
        case "relu":
            return z if z > 0 else 0 * one
        case "leaky_relu":
            return z if z > 0 else p[0] * z
        case "elu":
            return z if z > 0 else p[0] * m.expm1(z)
        case "selu":
            scale, alpha = 1.0507009873554805, 1.6732632423543772
            return scale * z if z > 0 else scale * (alpha * m.expm1(z))
        case "celu":
            return z if z > 0 else p[0] * m.expm1(z / p[0])
        case "gelu" if p[0] == "tanh":
            return z / 2 * (1 + m.tanh(m.sqrt(2 / m.pi) * (z + 0.044715 * z**3)))
        case "gelu":
            return z * m.erfc(-z / m.sqrt(2)) / 2
        case "silu":
            return z / (1 + m.exp(-z))
        case "mish":
            return z * m.tanh(m.log1p(m.exp(z)))
        case "sigmoid":
            return 1 / (1 + m.exp(-z))
        case "log_sigmoid":
            return -m.log1p(m.exp(-z))
        case "tanh":
            return m.tanh(z)
        case "softplus":
            return z if p[0] * z > p[1] else m.log1p(m.exp(p[0] * z)) / p[0]
        case "softsign":
            return z / (1 + abs(z))
        case "hard_sigmoid":
            return min(max(z + 3, 0 * one), 6 * one) / 6
        case "hard_swish":
            return z * min(max(z + 3, 0 * one), 6 * one) / 6
        case "hard_tanh":
            return min(max(z, p[0] * one), p[1] * one)
        case "relu6":
            return min(max(z, 0 * one), 6 * one)
        case "tanhshrink":
            return z - m.tanh(z)
        case "softshrink":
            return z - p[0] if z > p[0] else z + p[0] if z < -p[0] else 0 * one
        case "hardshrink":
            return z if abs(z) > p[0] else 0 * one
        case "threshold":
            return z if z > p[0] else p[1] * one
        case "square":
            return z * z
        case "gaussian":
            return m.exp(-z * z)
        case "exp" | "sin" | "cos" | "atan":
            return getattr(m, name)(z)
    raise AssertionError(name)


def grid(act: Activation, *, clearance: float = 0.0) -> np.ndarray:
    """Points in ±25, with the kinks, or further than ``clearance`` from them."""
    special = [1e-9, -1e-9, 0.0, -0.0, *act.kink_points()]
    z = np.concatenate([np.linspace(-25, 25, 1201), np.linspace(-2.0, 2.0, 123), special])
    for kink in act.kink_points():
        z = z[np.abs(z - kink) >= clearance]
    return z


def close(got, want, tolerance, scale):
    excess = np.abs(got - want) - tolerance * np.maximum(1.0, scale)
    worst = int(np.argmax(excess))
    assert excess[worst] <= 0, (worst, got[worst], want[worst])


def test_exactly_the_promised_names_are_there():
    assert sorted(ACTIVATIONS) == sorted(NAMES)
    assert all(type(name) is str and item.name == name for name, item in ACTIVATIONS.items())


@pytest.mark.parametrize("form", VARIANTS)
def test_values_are_those_of_the_formula(form):
    act = bound(form)
    z = grid(act)
    want = np.array([formula(math, act.name, float(x), *act.arguments) for x in z])
    close(act.value(z), want, 2e-15, np.maximum(np.abs(z), np.abs(want)))


@pytest.mark.parametrize("form", VARIANTS)
def test_derivatives_are_those_of_a_difference_quotient(form):
    act, h = bound(form), 0.01
    z = grid(act, clearance=5 * h)
    weights = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}  # sixth order

    def g(x):
        return np.array([formula(math, act.name, float(v), *act.arguments) for v in x])

    want = sum(w * (g(z + k * h) - g(z - k * h)) for k, w in weights.items()) / h
    close(act.slope(z, act.value(z)), want, 3e-10, np.abs(want))


@pytest.mark.parametrize("form", VARIANTS)
def test_values_and_derivatives_are_those_of_mpmath(form):
    mp = pytest.importorskip("mpmath").mp
    act = bound(form)
    z = grid(act, clearance=0.01)[::9]
    parameters = [mp.mpf(p) if isinstance(p, float) else p for p in act.arguments]
    with mp.workdps(40):
        want = [formula(mp, act.name, mp.mpf(float(x)), *parameters) for x in z]
        slopes = [mp.diff(lambda x: formula(mp, act.name, x, *parameters), mp.mpf(float(x))) for x in z]
    value = np.array([float(w) for w in want])
    slope = np.array([float(w) for w in slopes])
    close(act.value(z), value, 2e-15, np.maximum(np.abs(z), np.abs(value)))
    # a(1 − a) and the like: exact to rounding of 1, not of themselves, as in PyTorch.
    close(act.slope(z, act.value(z)), slope, 3e-15, np.maximum(np.abs(z), np.abs(slope)))


@pytest.mark.parametrize(
    ("form", "z", "slope"),
    [
        ("relu", 0.0, 0.0),
        ("leaky_relu", 0.0, 0.01),
        ("leaky_relu(-0.5)", 0.0, -0.5),
        ("elu", 0.0, 1.0),
        ("elu(2.0)", 0.0, 2.0),
        ("elu(-0.7)", 0.0, -0.7),
        ("selu", 0.0, 1.0507009873554805 * 1.6732632423543772),
        ("celu(2.0)", 0.0, 1.0),
        ("softsign", 0.0, 1.0),
        ("softplus", 20.0, 1 / (1 + math.exp(-20.0))),
        ("softplus(2.0, 3.0)", 1.5, 1 / (1 + math.exp(-3.0))),
        ("hard_sigmoid", -3.0, 0.0),
        ("hard_sigmoid", 3.0, 0.0),
        ("hard_swish", -3.0, 0.0),
        ("hard_swish", 3.0, 1.0),
        ("hard_tanh", -1.0, 0.0),
        ("hard_tanh", 1.0, 0.0),
        ("hard_tanh(-0.1, 0.7)", -0.1, 0.0),
        ("hard_tanh(-0.1, 0.7)", 0.7, 0.0),
        ("relu6", 0.0, 0.0),
        ("relu6", 6.0, 0.0),
        ("softshrink", 0.5, 0.0),
        ("softshrink", -0.5, 0.0),
        ("softshrink(0.0)", 0.0, 0.0),
        ("hardshrink", 0.5, 0.0),
        ("hardshrink", -0.5, 0.0),
        ("hardshrink(0.0)", 0.0, 0.0),
        ("threshold(0.1, -2.0)", 0.1, 0.0),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_derivative_at_a_kink_is_pytorchs(form, z, slope, dtype):
    act = bound(form)
    at = np.array([z, -z if z == 0.0 else z], dtype=dtype)  # −0 is 0
    got = act.slope(at, act.value(at))
    np.testing.assert_allclose(got, np.full(2, slope), rtol=4 * np.finfo(dtype).eps, atol=0)
    assert z in act.kink_points()


@pytest.mark.parametrize(
    ("form", "kinks"),
    [
        *((name, (0.0,)) for name in ("relu", "leaky_relu", "elu", "selu", "celu", "softsign", "threshold")),
        *((name, (-0.5, 0.5)) for name in ("softshrink", "hardshrink")),
        ("softshrink(0.1)", (-0.1, 0.1)),
        ("threshold(1.0, 20.0)", (1.0,)),
        ("relu6", (0.0, 6.0)),
        ("hard_tanh", (-1.0, 1.0)),
        ("hard_tanh(0, 1e999)", (0.0,)),
        ("hard_sigmoid", (-3.0, 3.0)),
        ("hard_swish", (-3.0, 3.0)),
        ("softplus", (20.0,)),
        ("softplus(-2.0, 3.0)", (-1.5,)),
        ("softplus(threshold=1e999)", ()),
        *((name, ()) for name in ("identity", "gelu", "silu", "mish", "sigmoid", "log_sigmoid", "tanh")),
        *((name, ()) for name in ("tanhshrink", "exp", "sin", "cos", "square", "gaussian", "atan")),
    ],
)
def test_the_declared_kinks(form, kinks):
    assert bound(form).kink_points() == kinks


WITHOUT_UNDERSCORE = {"log_sigmoid", "hard_sigmoid", "hard_swish", "hard_tanh"}
# PyTorch rounds these constants, 1/6 and 1/α, to float32 in its derivative.
ROUNDED_IN_TORCH = {"hard_sigmoid": 1e-8, "celu(0.3)": 5e-8}


class TestAgainstTorch:
    def points(self, act):
        z = np.concatenate(
            [np.linspace(-30, 30, 2401), np.geomspace(1e-12, 1e4, 300), act.kink_points(), [0.0, 1e4]]
        )
        z = np.concatenate([z, -z])
        return np.concatenate([z, np.nextafter(z, np.inf), np.nextafter(z, -np.inf)])

    def torch_pair(self, act, z):
        torch = pytest.importorskip("torch")
        functional = torch.nn.functional
        name = act.name.replace("_", "") if act.name in WITHOUT_UNDERSCORE else act.name
        x = torch.tensor(z, requires_grad=True)
        if act.name == "gaussian":
            y = torch.exp(-(x**2))
        elif act.name == "identity":
            y = x * 1
        elif hasattr(functional, name) and act.name not in ("tanh", "sigmoid", "threshold"):
            y = getattr(functional, name)(x, **act.parameters)
        elif act.name == "threshold":
            y = functional.threshold(x, *act.arguments)
        else:
            y = getattr(torch, name)(x)
        (slope,) = torch.autograd.grad(y.sum(), x)
        return y.detach().numpy(), slope.numpy()

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("form", VARIANTS)
    def test_values_and_derivatives(self, form, dtype):
        act, eps = bound(form), np.finfo(dtype).eps
        z = self.points(act).astype(dtype)
        if act.name == "hard_sigmoid":  # one unit below 3, z + 3 is 6, and the value no longer tells
            z = z[z != np.nextafter(dtype(3), dtype(0))]
        value, slope = self.torch_pair(act, z)
        a = act.value(z)
        finite = np.isfinite(value)
        assert np.array_equal(a[~finite], value[~finite])
        scale = np.maximum(np.abs(z), np.abs(value))[finite].astype(float)
        close(a[finite].astype(float), value[finite].astype(float), 4 * eps, scale)
        scale = np.maximum(np.abs(z), np.abs(slope))[finite].astype(float)
        tolerance = 8 * eps + ROUNDED_IN_TORCH.get(form, 0.0)
        close(act.slope(z, a)[finite].astype(float), slope[finite].astype(float), tolerance, scale)

    @pytest.mark.parametrize(
        "form", ["sigmoid", "log_sigmoid", "softplus", "elu", "selu", "celu", "exp", "silu"]
    )
    def test_small_values_are_right_relatively_too(self, form):
        act = bound(form)
        z = self.points(act)
        z = z[np.abs(z) < 600]
        value, _ = self.torch_pair(act, z)
        np.testing.assert_allclose(act.value(z), value, rtol=1e-15, atol=0)

    @pytest.mark.parametrize("form", VARIANTS)
    def test_infinity_and_nan(self, form):
        act = bound(form)
        z = np.array([-np.inf, np.inf, np.nan])
        value, _ = self.torch_pair(act, z)
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(act.value(z), value, rtol=1e-15)
