"""Every function that dagnet and its plugins bring is a formula, right by four readings of it.

Its values are the function's own, its derivative that of a difference quotient and PyTorch's, and machine
code gives the interpreter's numbers.
"""

import importlib
import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from data.activation_forms import NAMES

import dagnet
from dagnet.contracts.probing import loss_probe
from dagnet.formula.probes import probe_numbers

sys.path[:0] = [str(path) for path in sorted((Path(__file__).parents[1] / "plugins").glob("*/src"))]
PLUGINS = [name for name in ("dagnet_example", "dagnet_glm", "dagnet_neat") if importlib.util.find_spec(name)]
BROUGHT = [*dagnet.activations().values(), *dagnet.losses().values()]
for module in map(importlib.import_module, PLUGINS):
    for hook in ("dagnet_activations", "dagnet_losses"):
        BROUGHT += getattr(module, hook, list)()
ACTIVATIONS = {item.name: item for item in BROUGHT if isinstance(item, dagnet.Activation)}
LOSSES = {item.name: item for item in BROUGHT if isinstance(item, dagnet.Loss)}
OPTIMIZERS = dagnet.optimizers()
DTYPES = ("float64", "float32")
INFINITE = {"exp", "neat_exp"}
"""Whose value is no float at 1e4."""


def numbers(item, dtype):
    return probe_numbers([item.formulas.value, item.formulas.slope], item.kink_points(), dtype)


def test_all_are_looked_at():
    assert set(NAMES) <= ACTIVATIONS.keys()
    assert len(LOSSES) >= 7
    assert len(OPTIMIZERS) == 5
    assert len(PLUGINS) < 3 or {"snake", "probit", "neat_inv", "log_cosh", "focal"} <= {
        i.name for i in BROUGHT
    }


@pytest.mark.parametrize("item", BROUGHT, ids=lambda item: item.name)
def test_it_is_a_formula(item):
    assert item.reason == ""
    item.formula.verify()
    assert item.formula.latex
    assert str(item.formula).startswith(("z", "outputs"))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activations_formula_gives_the_functions_own_numbers(name):
    item = ACTIVATIONS[name]
    for dtype in DTYPES:
        z = numbers(item, dtype)
        with np.errstate(all="ignore"):
            truth = item.function(z.copy(), *item.arguments)
            slopes = item.slope(z, truth)
            if item.derivative is not None:
                given = np.broadcast_to(item.derivative(z.copy(), truth.copy(), *item.arguments), z.shape)
                np.testing.assert_allclose(slopes, given, rtol=1e-6 if dtype == "float32" else 1e-14)
        np.testing.assert_allclose(item.value(z), truth, rtol=1e-6 if dtype == "float32" else 1e-14)
    far = np.array([-1e4, 1e4])
    value, slopes = item.value(far), item.slope(far, item.value(far))
    assert np.isfinite(value).all() or name in INFINITE
    assert np.isfinite(slopes).all() or name in INFINITE
    assert not np.isnan([value, slopes]).any()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activations_slope_is_that_of_a_difference_quotient_given_or_derived(name):
    item, h = ACTIVATIONS[name], np.longdouble(1e-4)
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(0, 1.5, 200), rng.normal(0, 8, 50)])
    for kink in item.kink_points():
        z = z[abs(z - kink) > 0.05]

    def moved(step):
        return item.function(z.astype(np.longdouble) + step * h, *item.arguments)

    with np.errstate(all="ignore"):
        truth = ((8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12 * h)).astype(float)
    derived = item.formula.derivative("z")
    derived = derived(z, *item.formulas.numbers(derived, item.parameters))
    for slopes in (item.slope(z, item.value(z)), derived):
        np.testing.assert_allclose(slopes, truth, rtol=2e-9, atol=1e-10)


def of_torch(torch, item, x):
    functional, name = torch.nn.functional, item.name
    if name == "gaussian":
        return torch.exp(-x * x)
    if name in {"identity", "tanh", "sigmoid", "exp", "sin", "cos", "square", "atan"}:
        return x * 1.0 if name == "identity" else getattr(torch, name)(x)
    found = getattr(functional, name, None) or getattr(functional, name.replace("_", ""))
    return found(x, *item.arguments) if name == "threshold" else found(x, **item.parameters)


@pytest.mark.parametrize("name", NAMES)
def test_an_activations_slope_is_pytorchs_at_kinks_and_far_out_too(name):
    torch, item = pytest.importorskip("torch"), ACTIVATIONS[name]
    kinks = np.array(item.kink_points())
    z = np.concatenate([np.linspace(-30, 30, 301), kinks, np.nextafter(kinks, 99), [-1e4, 1e4]])
    x = torch.tensor(z, requires_grad=True)
    there = of_torch(torch, item, x)
    (slopes,) = torch.autograd.grad(there.sum(), x)
    rtol = 1e-7 if name == "hard_sigmoid" else 1e-12  # its 1/6 is a float32 there
    np.testing.assert_allclose(item.value(z), there.detach().numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(item.slope(z, item.value(z)), slopes.numpy(), rtol=rtol, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_a_losses_formula_gives_the_functions_own_numbers_and_their_gradient(name):
    item = LOSSES[name]
    outputs, targets = loss_probe(item)
    np.testing.assert_allclose(
        item.row_values(outputs, targets), item.value(outputs, targets, *item.arguments)
    )
    derived = item.formula.derivative("outputs")
    derived = derived(outputs, targets, *item.formulas.numbers(derived, item.parameters))
    found, h = item.row_gradients(outputs, targets), np.longdouble(1e-4)
    for unit in range(outputs.shape[1]):
        values = []
        for step in (1, -1, 2, -2):
            moved = outputs.astype(np.longdouble)
            moved[:, unit] += step * h
            values.append(item.value(moved, targets.astype(np.longdouble), *item.arguments))
        truth = (8 * (values[0] - values[1]) - (values[2] - values[3])) / (12 * h)
        for gradient in (found, derived):
            np.testing.assert_allclose(gradient[:, unit], truth.astype(float), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*LOSSES, *OPTIMIZERS])
def test_machine_code_of_a_loss_or_optimizer_is_there_and_right(name, dtype):
    functions = pytest.importorskip("dagnet.engine.compiled.functions")
    if name in LOSSES:
        compiled = functions.compile_loss(LOSSES[name], dtype)
        assert functions._loss_is_off(LOSSES[name], compiled, np.dtype(dtype)) == ""
    if name in OPTIMIZERS:
        item = OPTIMIZERS[name]()
        assert item.reason == ""
        assert functions._step_is_off(item, functions.fused_step(item, dtype, 1), np.dtype(dtype)) == ""


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_machine_code_gives_the_interpreters_numbers(name, dtype):
    functions = pytest.importorskip("dagnet.engine.compiled.functions")
    item, eps = ACTIVATIONS[name], float(np.finfo(dtype).eps)
    compiled, z = functions.compile_activation(item, dtype), numbers(item, dtype)
    assert compiled.reason == ""
    a, ours, delta = item.value(z), z.copy(), np.full_like(z, 2.0)
    functions._run(compiled.function, ours)
    functions._run(compiled.slope, z.copy(), a.copy(), delta)
    usual = (abs(z) < 1e3) | ~np.isfinite(z)
    for found, truth in ((ours, a), (delta, 2 * item.slope(z, a))):
        np.testing.assert_allclose(found[usual], truth[usual], rtol=math.sqrt(eps) / 100, atol=100 * eps)
