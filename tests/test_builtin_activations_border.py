"""Built-in activations at the edges: huge, NaN, infinite, refused parameters, what engines rely on."""

import copy
import inspect
import math
import pickle

import numpy as np
import pytest
from data.activation_forms import ACTIVATIONS, DTYPES, NAMES, VARIANTS, bound

from dagnet.errors import DataError, PluginError
from dagnet.registry import parse_call

# The value alone tells the derivative, so that an engine need not keep z.
BY_VALUE = set(NAMES) - {
    *("gelu", "silu", "mish", "softplus", "hard_swish", "tanhshrink", "threshold"),
    *("sin", "cos", "square", "gaussian", "atan"),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", VARIANTS)
def test_finite_and_silent_at_plus_minus_ten_thousand(form, dtype):
    act = bound(form)  # warnings are errors
    z = np.array([-1e4, -1e3, -100.0, 100.0, 1e3, 1e4], dtype=dtype)
    a = act.value(z)
    s = act.slope(z, a)
    assert not np.isnan(a).any()
    assert not np.isnan(s).any()
    if act.name == "exp":  # exp(1e4) is no float: infinite, as in PyTorch
        assert np.isinf(a[-1])
        assert np.isfinite(a[:3]).all()
    else:
        assert np.isfinite(a).all()
        assert np.isfinite(s).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", VARIANTS)
def test_nan_gives_nan_silently(form, dtype):
    act = bound(form)
    z = np.array([np.nan, 0.5], dtype=dtype)
    a = act.value(z)
    s = act.slope(z, a)
    assert np.isnan(a[0])
    assert np.isfinite(a[1])
    assert np.isfinite(s[1])


@pytest.mark.parametrize(
    ("form", "low", "high"),
    [
        ("identity", -np.inf, np.inf),
        ("relu", 0.0, np.inf),
        ("leaky_relu", -np.inf, np.inf),
        ("elu", -1.0, np.inf),
        ("selu", -1.0507009873554805 * 1.6732632423543772, np.inf),
        ("celu(2.0)", -2.0, np.inf),
        ("sigmoid", 0.0, 1.0),
        ("log_sigmoid", -np.inf, 0.0),
        ("tanh", -1.0, 1.0),
        ("softplus", 0.0, np.inf),
        ("hard_sigmoid", 0.0, 1.0),
        ("hard_tanh", -1.0, 1.0),
        ("relu6", 0.0, 6.0),
        ("tanhshrink", -np.inf, np.inf),
        ("softshrink", -np.inf, np.inf),
        ("hardshrink", -np.inf, np.inf),
        ("threshold(1.0, 20.0)", 20.0, np.inf),
        ("exp", 0.0, np.inf),
        ("square", np.inf, np.inf),
        ("gaussian", 0.0, 0.0),
        ("atan", -np.pi / 2, np.pi / 2),
    ],
)
def test_infinity_gives_the_limit_silently(form, low, high):
    np.testing.assert_allclose(bound(form).value(np.array([-np.inf, np.inf])), [low, high], rtol=1e-15)


@pytest.mark.parametrize("name", ["gelu", "silu", "mish", "hard_swish", "softsign"])
def test_zero_times_infinity_is_nan_as_in_pytorch(name):
    with np.errstate(invalid="ignore"):
        assert np.isnan(ACTIVATIONS[name].value(np.array([-np.inf]))[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", VARIANTS)
def test_shape_and_dtype_are_kept_and_nothing_is_written_or_shared(form, dtype):
    act = bound(form)
    for shape in [(), (0,), (3,), (2, 3), (2, 1, 4)]:
        z = np.linspace(-2, 2, math.prod(shape)).astype(dtype).reshape(shape)
        kept = z.copy()
        a = act.value(z)
        value = a.copy()
        s = act.slope(z, a)
        assert (a.dtype, a.shape, s.dtype, s.shape) == (dtype, shape, dtype, shape)
        if shape:
            assert not np.shares_memory(a, z)
            assert not np.shares_memory(s, z)
            assert not np.shares_memory(s, a)
        assert np.array_equal(z, kept)
        assert np.array_equal(a, value)


def needs_z(act) -> bool:
    return act.formulas.slope.uses("z")


def test_which_derivatives_need_the_value_alone():
    assert {name for name, act in ACTIVATIONS.items() if not needs_z(act)} == BY_VALUE


def test_a_negative_slope_reads_z_because_the_value_lost_its_sign():
    assert not needs_z(bound("leaky_relu(0.2)"))
    assert needs_z(bound("leaky_relu(-0.2)"))
    assert needs_z(bound("elu(-0.2)"))
    again = bound("leaky_relu(-0.2)").bind(0.2)
    z = np.array([-1.0, 1.0])
    assert again.slope(z, again.value(z)).tolist() == [0.2, 1.0]


@pytest.mark.parametrize(
    "form",
    [
        "leaky_relu('x')",
        "leaky_relu(None)",
        "leaky_relu(True)",
        "elu(1e999)",
        "celu(0.0)",
        "celu(-1.0)",
        "softplus(beta=0)",
        "softplus(threshold='high')",
        "gelu(approximate='sigmoid')",
        "gelu(approximate=1)",
        "hard_tanh(1.0, -1.0)",
        "hard_tanh(min_val=2.0)",
        "softshrink(-0.1)",
        "hardshrink(-0.1)",
        "threshold(value='a')",
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused(form):
    name = parse_call(form)[0]
    with pytest.raises(DataError, match=f"^activation '{name}': .* must be .*, got "):
        bound(form)


def test_an_integer_too_large_for_a_float_is_refused():
    with pytest.raises(DataError, match="negative_slope must be a finite number"):
        ACTIVATIONS["leaky_relu"].bind(10**400)
    with pytest.raises(PluginError, match="no parameter 'slope'"):
        ACTIVATIONS["leaky_relu"].bind(slope=0.1)


def test_numpy_and_integer_parameters_keep_float32():
    act = ACTIVATIONS["leaky_relu"].bind(np.float64(0.25))
    assert act.arguments == (0.25,)
    assert type(act.arguments[0]) is float
    assert act.value(np.array([-1.0], dtype=np.float32)).dtype == np.float32
    assert str(ACTIVATIONS["elu"].bind(2)) == "elu(alpha=2.0)"


@pytest.mark.parametrize("form", VARIANTS)
def test_copies_are_equal(form):
    act = bound(form)
    for other in (pickle.loads(pickle.dumps(act)), copy.deepcopy(act), bound(form)):
        assert other == act
        assert hash(other) == hash(act)


def test_every_function_says_its_formula_first():
    for act in ACTIVATIONS.values():
        assert inspect.getdoc(act.function).startswith("g(z) = "), act
