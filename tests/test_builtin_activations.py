"""Built-in activations against closed forms, difference quotients, mpmath and PyTorch; their edges.

What every activation must do, the kit says of each form of them: tests/test_conformance.py.
"""

import inspect
import math

import numpy as np
import pytest
from data.activation_forms import ACTIVATIONS, DTYPES, NAMES, VARIANTS, bound

from dagnet.contracts import Activation
from dagnet.errors import DataError, PluginError
from dagnet.registry import parse_call

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
TEXTBOOK = {  # g(z) of one number; m is the module math or mpmath's mp
    "identity": lambda m, z: z,
    "relu": lambda m, z: max(z, 0 * z),
    "leaky_relu": lambda m, z, slope: z if z > 0 else slope * z,
    "elu": lambda m, z, alpha: z if z > 0 else alpha * m.expm1(z),
    "selu": lambda m, z: SELU_SCALE * (z if z > 0 else SELU_ALPHA * m.expm1(z)),
    "celu": lambda m, z, alpha: z if z > 0 else alpha * m.expm1(z / alpha),
    "gelu": lambda m, z, form: (
        z / 2 * (1 + m.tanh(m.sqrt(2 / m.pi) * (z + 0.044715 * z**3)))
        if form == "tanh"
        else z * m.erfc(-z / m.sqrt(2)) / 2
    ),
    "silu": lambda m, z: z / (1 + m.exp(-z)),
    "mish": lambda m, z: z * m.tanh(m.log1p(m.exp(z))),
    "sigmoid": lambda m, z: 1 / (1 + m.exp(-z)),
    "log_sigmoid": lambda m, z: -m.log1p(m.exp(-z)),
    "softplus": lambda m, z, beta, threshold: z if beta * z > threshold else m.log1p(m.exp(beta * z)) / beta,
    "softsign": lambda m, z: z / (1 + abs(z)),
    "hard_sigmoid": lambda m, z: min(max(z + 3, 0 * z), 6 + 0 * z) / 6,
    "hard_swish": lambda m, z: z * min(max(z + 3, 0 * z), 6 + 0 * z) / 6,
    "hard_tanh": lambda m, z, low, high: min(max(z, low + 0 * z), high + 0 * z),
    "relu6": lambda m, z: min(max(z, 0 * z), 6 + 0 * z),
    "tanhshrink": lambda m, z: z - m.tanh(z),
    "softshrink": lambda m, z, by: z - by if z > by else z + by if z < -by else 0 * z,
    "hardshrink": lambda m, z, by: z if abs(z) > by else 0 * z,
    "threshold": lambda m, z, above, value: z if z > above else value + 0 * z,
    "square": lambda m, z: z * z,
    "gaussian": lambda m, z: m.exp(-z * z),
    **{name: lambda m, z, name=name: getattr(m, name)(z) for name in ("exp", "sin", "cos", "tanh", "atan")},
}


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


def test_exactly_the_promised_names_are_there_and_say_their_formulas():
    assert sorted(ACTIVATIONS) == sorted(NAMES) == sorted(TEXTBOOK)
    for name, act in ACTIVATIONS.items():
        assert type(name) is str
        assert act.name == name
        assert inspect.getdoc(act.function).startswith("g(z) = "), act


@pytest.mark.parametrize("form", VARIANTS)
def test_values_are_those_of_the_formula_everywhere(form):
    """The derivatives are its own: tests/test_formula_conformance.py."""
    act = bound(form)
    z = grid(act)
    want = np.array([TEXTBOOK[act.name](math, float(x), *act.arguments) for x in z])
    close(act.value(z), want, 2e-15, np.maximum(np.abs(z), np.abs(want)))


@pytest.mark.parametrize("form", VARIANTS)
def test_values_and_derivatives_are_those_of_mpmath(form):
    mp = pytest.importorskip("mpmath").mp
    act = bound(form)
    z = grid(act, clearance=0.01)[::9]
    parameters = [mp.mpf(p) if isinstance(p, float) else p for p in act.arguments]
    with mp.workdps(40):
        g = lambda x: TEXTBOOK[act.name](mp, x, *parameters)
        value = np.array([float(g(mp.mpf(float(x)))) for x in z])
        slope = np.array([float(mp.diff(g, mp.mpf(float(x)))) for x in z])
    close(act.value(z), value, 2e-15, np.maximum(np.abs(z), np.abs(value)))
    # a(1 − a) and the like: exact to rounding of 1, not of themselves, as in PyTorch.
    close(act.slope(z, act.value(z)), slope, 3e-15, np.maximum(np.abs(z), np.abs(slope)))


SMOOTH = {"identity", "gelu", "silu", "mish", "sigmoid", "log_sigmoid", "tanh"}
SMOOTH |= {"tanhshrink", "exp", "sin", "cos", "square", "gaussian", "atan"}
KINKS = {  # where they are, and PyTorch's derivative there
    **{name: {} for name in (*sorted(SMOOTH), "softplus(threshold=1e999)")},
    "relu": {0.0: 0.0},
    "leaky_relu": {0.0: 0.01},
    "leaky_relu(-0.5)": {0.0: -0.5},
    "elu": {0.0: 1.0},
    "elu(2.0)": {0.0: 2.0},
    "elu(-0.7)": {0.0: -0.7},
    "selu": {0.0: SELU_SCALE * SELU_ALPHA},
    "celu": {0.0: 1.0},
    "celu(2.0)": {0.0: 1.0},
    "softsign": {0.0: 1.0},
    "softplus": {20.0: 1 / (1 + math.exp(-20.0))},
    "softplus(2.0, 3.0)": {1.5: 1 / (1 + math.exp(-3.0))},
    "softplus(-2.0, 3.0)": {-1.5: 1 / (1 + math.exp(-3.0))},
    "hard_sigmoid": {-3.0: 0.0, 3.0: 0.0},
    "hard_swish": {-3.0: 0.0, 3.0: 1.0},
    "hard_tanh": {-1.0: 0.0, 1.0: 0.0},
    "hard_tanh(-0.1, 0.7)": {-0.1: 0.0, 0.7: 0.0},
    "hard_tanh(0, 1e999)": {0.0: 0.0},
    "relu6": {0.0: 0.0, 6.0: 0.0},
    "softshrink": {-0.5: 0.0, 0.5: 0.0},
    "softshrink(0.1)": {-0.1: 0.0, 0.1: 0.0},
    "softshrink(0.0)": {-0.0: 0.0},
    "hardshrink": {-0.5: 0.0, 0.5: 0.0},
    "hardshrink(0.0)": {-0.0: 0.0},
    "threshold": {0.0: 0.0},
    "threshold(0.1, -2.0)": {0.1: 0.0},
    "threshold(1.0, 20.0)": {1.0: 0.0},
}


@pytest.mark.parametrize("form", KINKS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_kinks_are_declared_and_the_derivative_there_is_pytorchs(form, dtype):
    act = bound(form)
    assert sorted(set(act.kink_points())) == list(KINKS[form])
    for z, slope in KINKS[form].items():
        at = np.array([z, -z if z == 0.0 else z], dtype=dtype)  # −0 is 0
        got = act.slope(at, act.value(at))
        np.testing.assert_allclose(got, np.full(2, slope), rtol=4 * np.finfo(dtype).eps, atol=0)


WITHOUT_UNDERSCORE = {"log_sigmoid", "hard_sigmoid", "hard_swish", "hard_tanh"}
# PyTorch rounds these constants, 1/6 and 1/α, to float32 in its derivative.
ROUNDED_IN_TORCH = {"hard_sigmoid": 1e-8, "celu(0.3)": 5e-8}


def torch_pair(act, z):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    name = act.name.replace("_", "") if act.name in WITHOUT_UNDERSCORE else act.name
    x = torch.tensor(z, requires_grad=True)
    if act.name == "gaussian":
        y = torch.exp(-(x**2))
    elif act.name == "identity":
        y = x * 1
    elif act.name == "threshold":
        y = functional.threshold(x, *act.arguments)
    elif hasattr(functional, name) and act.name not in ("tanh", "sigmoid"):
        y = getattr(functional, name)(x, **act.parameters)
    else:
        y = getattr(torch, name)(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    return y.detach().numpy(), slope.numpy()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", VARIANTS)
def test_values_and_derivatives_are_pytorchs(form, dtype):
    act, eps = bound(form), np.finfo(dtype).eps
    kinks = [*act.kink_points(), 0.0, 1e4]
    z = np.concatenate([np.linspace(-30, 30, 2401), np.geomspace(1e-12, 1e4, 300), kinks])
    z = np.concatenate([z, -z])
    z = np.concatenate([z, np.nextafter(z, np.inf), np.nextafter(z, -np.inf)]).astype(dtype)
    if act.name == "hard_sigmoid":  # one unit below 3, z + 3 is 6, and the value no longer tells
        z = z[z != np.nextafter(dtype(3), dtype(0))]
    value, slope = torch_pair(act, z)
    a = act.value(z)
    finite = np.isfinite(value)
    assert np.array_equal(a[~finite], value[~finite])
    scale = np.maximum(np.abs(z), np.abs(value))[finite].astype(float)
    close(a[finite].astype(float), value[finite].astype(float), 4 * eps, scale)
    if dtype == np.float64 and form in SMALL_VALUES:
        np.testing.assert_allclose(a[np.abs(z) < 600], value[np.abs(z) < 600], rtol=1e-15, atol=0)
    scale = np.maximum(np.abs(z), np.abs(slope))[finite].astype(float)
    tolerance = 8 * eps + ROUNDED_IN_TORCH.get(form, 0.0)
    close(act.slope(z, a)[finite].astype(float), slope[finite].astype(float), tolerance, scale)


SMALL_VALUES = {"sigmoid", "log_sigmoid", "softplus", "elu", "selu", "celu", "exp", "silu"}
"""Those that are right relatively, too, where they are small."""


# -- at the edges ------------------------------------------------------------------------------

AT_INFINITY = {  # the limits at −∞ and ∞; 0·∞ and ∞/∞ are NaN as in PyTorch
    **dict.fromkeys(("identity", "leaky_relu", "tanhshrink", "softshrink", "hardshrink"), (-np.inf, np.inf)),
    **dict.fromkeys(("relu", "softplus", "exp"), (0.0, np.inf)),
    **dict.fromkeys(("sigmoid", "hard_sigmoid"), (0.0, 1.0)),
    **dict.fromkeys(("tanh", "hard_tanh"), (-1.0, 1.0)),
    **dict.fromkeys(("gelu", "silu", "mish", "hard_swish"), (np.nan, np.inf)),
    **dict.fromkeys(("softsign", "sin", "cos"), (np.nan, np.nan)),
    "elu": (-1.0, np.inf),
    "selu": (-SELU_SCALE * SELU_ALPHA, np.inf),
    "celu(2.0)": (-2.0, np.inf),
    "log_sigmoid": (-np.inf, 0.0),
    "relu6": (0.0, 6.0),
    "threshold(1.0, 20.0)": (20.0, np.inf),
    "square": (np.inf, np.inf),
    "gaussian": (0.0, 0.0),
    "atan": (-np.pi / 2, np.pi / 2),
}


@pytest.mark.parametrize("form", AT_INFINITY)
def test_infinity_gives_the_limit_silently(form):
    with np.errstate(invalid="ignore" if np.isnan(AT_INFINITY[form]).any() else "warn"):
        found = bound(form).value(np.array([-np.inf, np.inf]))
    np.testing.assert_allclose(found, AT_INFINITY[form], rtol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", VARIANTS)
def test_far_out_and_nan_silently_and_nothing_is_written_or_shared(form, dtype):
    act = bound(form)  # warnings are errors
    z = np.array([-1e4, -1e3, -100.0, 0.5, 100.0, 1e3, 1e4, np.nan], dtype=dtype)
    kept = z.copy()
    a = act.value(z)
    value = a.copy()
    s = act.slope(z, a)
    for results in (a, s):
        assert not np.isnan(results[:-1]).any()
        # exp(1e4) is no float: infinite, as in PyTorch
        assert np.isfinite(results[: 4 if act.name == "exp" else -1]).all()
    assert np.isinf(a[-2]) == (act.name == "exp")
    assert np.isnan(a[-1])
    assert not any(np.shares_memory(one, other) for one, other in ((a, z), (s, z), (s, a)))
    assert np.array_equal(z, kept, equal_nan=True)
    assert np.array_equal(a, value, equal_nan=True)
    assert act.value(dtype(0.5)).shape == ()
    assert (bound(form), hash(bound(form))) == (act, hash(act))


NEED_Z = {"gelu", "silu", "mish", "softplus", "hard_swish", "tanhshrink", "threshold"}
NEED_Z |= {"sin", "cos", "square", "gaussian", "atan"}


def needs_z(act) -> bool:
    return act.formulas.slope.uses("z")


def test_which_derivatives_need_the_value_alone_so_that_an_engine_need_not_keep_z():
    assert {name for name, act in ACTIVATIONS.items() if needs_z(act)} == NEED_Z
    # A negative slope reads z, because the value lost its sign.
    assert not needs_z(bound("leaky_relu(0.2)"))
    assert needs_z(bound("leaky_relu(-0.2)"))
    assert needs_z(bound("elu(-0.2)"))
    again = bound("leaky_relu(-0.2)").bind(0.2)
    z = np.array([-1.0, 1.0])
    assert again.slope(z, again.value(z)).tolist() == [0.2, 1.0]


@pytest.mark.parametrize(
    "form",
    [
        *("leaky_relu('x')", "leaky_relu(None)", "leaky_relu(True)", "elu(1e999)", "celu(0.0)", "celu(-1.0)"),
        *("softplus(beta=0)", "softplus(threshold='high')", "gelu(approximate='sigmoid')"),
        *("gelu(approximate=1)", "hard_tanh(1.0, -1.0)", "hard_tanh(min_val=2.0)", "softshrink(-0.1)"),
        *("hardshrink(-0.1)", "threshold(value='a')"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused(form):
    name = parse_call(form)[0]
    with pytest.raises(DataError, match=f"^activation '{name}': .* must be .*, got "):
        bound(form)


def test_parameters_are_plain_floats_that_keep_float32():
    leaky = ACTIVATIONS["leaky_relu"]
    with pytest.raises(DataError, match="negative_slope must be a finite number"):
        leaky.bind(10**400)
    with pytest.raises(PluginError, match="no parameter 'slope'"):
        leaky.bind(slope=0.1)
    act = leaky.bind(np.float64(0.25))
    assert act.arguments == (0.25,)
    assert type(act.arguments[0]) is float
    assert act.value(np.array([-1.0], dtype=np.float32)).dtype == np.float32
    assert str(ACTIVATIONS["elu"].bind(2)) == "elu(alpha=2.0)"
