"""Built-in losses against hand-computed values and PyTorch.

What every loss must do, its gradient among that, the kit says: tests/test_conformance.py.
"""

import inspect
import math

import numpy as np
import pytest

from dagnet.builtins import losses
from dagnet.errors import DataError
from dagnet.registry import parse_call

LOSSES = {item.name: item for item in losses.dagnet_losses()}
VARIANTS = [*LOSSES, "huber(delta=0.3)", "huber(2)"]
DTYPES = [np.float32, np.float64]


def bound(form):
    name, positional, named = parse_call(form)
    return LOSSES[name].bind(*positional, **named) if positional or named else LOSSES[name]


def draw(loss, rows=40, units=3, seed=0, *, soft=False):
    """Outputs and targets that suit a loss."""
    rng = np.random.default_rng(seed)
    outputs = 2 * rng.standard_normal((rows, units))
    if loss.name == "binary_cross_entropy":
        outputs = rng.uniform(0.2, 0.8, (rows, units))
    match loss.targets:
        case "binary":
            targets = rng.uniform(size=(rows, units)) if soft else rng.integers(0, 2, (rows, units))
        case "count":
            targets = rng.poisson(2.0, (rows, units))
        case "class":
            labels = np.eye(units)[rng.integers(0, units, rows)]
            targets = rng.dirichlet(np.ones(units), rows) if soft else labels
        case _:
            targets = rng.standard_normal((rows, units))
    return outputs, targets.astype(float)


def test_exactly_the_promised_names_are_there():
    names = {"squared_error", "absolute_error", "huber", "binary_cross_entropy"}
    assert set(LOSSES) == names | {"binary_cross_entropy_with_logits", "cross_entropy", "poisson"}
    assert {name: loss.targets for name, loss in LOSSES.items() if loss.targets != "real"} == {
        "binary_cross_entropy": "binary",
        "binary_cross_entropy_with_logits": "binary",
        "cross_entropy": "class",
        "poisson": "count",
    }
    assert [name for name, loss in LOSSES.items() if loss.minimum_outputs == 2] == ["cross_entropy"]
    assert all(loss.rowwise for loss in LOSSES.values())
    assert dict(LOSSES["huber"].parameters) == {"delta": 1.0}
    assert all(inspect.getdoc(loss.value).startswith("ℓ = ") for loss in LOSSES.values())


@pytest.mark.parametrize(
    ("form", "outputs", "targets", "value", "gradient"),
    [
        ("squared_error", [90.0, 1.0], [100.0, 1.5], 100.25, [-20.0, -1.0]),
        ("absolute_error", [90.0, 1.0, 2.0], [100.0, 0.5, 2.0], 10.5, [-1.0, 1.0, 0.0]),
        ("huber", [0.5, 3.0, -3.0], [0.0, 0.0, 0.0], 0.125 + 2.5 + 2.5, [0.5, 1.0, -1.0]),
        ("huber", [1.0, -1.0], [0.0, 0.0], 1.0, [1.0, -1.0]),
        ("huber(delta=2.0)", [1.0, 4.0], [0.0, 0.0], 0.5 + 2 * (4 - 1), [1.0, 2.0]),
        ("binary_cross_entropy", [0.25, 0.25], [1.0, 0.0], math.log(4) + math.log(4 / 3), [-4.0, 4 / 3]),
        ("binary_cross_entropy", [0.0, 1.0], [0.0, 1.0], 0.0, [0.0, 0.0]),
        ("binary_cross_entropy", [0.0, 1.0], [1.0, 0.0], 200.0, [-1e12, 1e12]),
        ("binary_cross_entropy", [1e-50, 0.5], [1.0, 0.5], 100.0 + math.log(2), [-1e12, 0.0]),
        ("binary_cross_entropy_with_logits", [0.0, 0.0], [1.0, 0.0], 2 * math.log(2), [-0.5, 0.5]),
        ("binary_cross_entropy_with_logits", [math.log(3)], [1.0], math.log(4 / 3), [-0.25]),
        ("cross_entropy", [0.0, math.log(3)], [1.0, 0.0], math.log(4), [-0.75, 0.75]),
        ("cross_entropy", [7.0, 7.0], [0.5, 0.5], math.log(2), [0.0, 0.0]),
        ("poisson", [0.0, math.log(2)], [3.0, 4.0], 1 + 2 - 4 * math.log(2), [-2.0, -2.0]),
    ],
)
def test_values_and_gradients_worked_out_by_hand(form, outputs, targets, value, gradient):
    loss = bound(form)
    outputs, targets = np.array([outputs, outputs]), np.array([targets, targets])
    np.testing.assert_allclose(loss.row_values(outputs, targets), [value, value], rtol=1e-15, atol=1e-16)
    np.testing.assert_allclose(loss.row_gradients(outputs, targets), [gradient] * 2, rtol=1e-15, atol=1e-16)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", [form for form in VARIANTS if form != "binary_cross_entropy"])
def test_finite_and_silent_at_plus_minus_ten_thousand(form, dtype):
    loss = bound(form)  # warnings are errors
    signs = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]] * 2, dtype=dtype)
    outputs, targets = 1e4 * signs, np.repeat(np.eye(2, dtype=dtype), 4, axis=0)
    value, gradient = loss.row_values(outputs, targets), loss.row_gradients(outputs, targets)
    predicted = loss.prediction(outputs)
    infinite = (outputs > 0) & (loss.name == "poisson")  # exp(1e4) is no float
    assert np.array_equal(value[infinite.any(axis=1)], np.full(6 * infinite.any(), np.inf))
    for result, where in ((value, infinite.any(axis=1)), (gradient, infinite), (predicted, infinite)):
        assert np.array_equal(np.isfinite(result), ~where)
        assert np.array_equal(np.isinf(result), where)


def test_values_far_out_are_right_and_not_only_finite():
    far = np.array([[1e4], [-1e4]])
    logits = LOSSES["binary_cross_entropy_with_logits"]
    assert logits.row_values(far, np.array([[0.0], [1.0]])).tolist() == [1e4, 1e4]
    assert logits.row_values(far, np.array([[1.0], [0.0]])).tolist() == [0.0, 0.0]
    assert logits.row_values(np.array([[-40.0]]), np.array([[0.0]]))[0] == pytest.approx(
        math.exp(-40), rel=1e-14
    )
    classes = LOSSES["cross_entropy"]
    outputs, targets = np.array([[1e4, -1e4]]), np.array([[0.0, 1.0]])
    assert classes.row_values(outputs, targets).tolist() == [2e4]
    assert classes.row_gradients(outputs, targets).tolist() == [[1.0, -1.0]]
    assert LOSSES["poisson"].row_values(far[1:], np.array([[3.0]])).tolist() == [3e4]


@pytest.mark.parametrize("form", VARIANTS)
def test_nan_gives_nan_silently_and_nothing_is_written(form):
    loss = bound(form)
    outputs, targets = draw(loss, rows=3)
    outputs[1, 0] = np.nan
    kept = outputs.copy(), targets.copy()
    for array in (loss.row_values(outputs, targets), loss.row_gradients(outputs, targets)[:, 0]):
        assert np.isnan(array).tolist() == [False, True, False]
    loss.prediction(outputs)
    np.testing.assert_array_equal((outputs, targets), kept)
    assert loss.row_values(outputs[:0], targets[:0]).shape == (0,)
    assert loss == bound(form)


def test_predictions():
    outputs = np.array([[0.0, math.log(3)]])
    assert LOSSES["squared_error"].prediction(outputs) is outputs
    assert LOSSES["binary_cross_entropy"].prediction(outputs) is outputs
    logits = LOSSES["binary_cross_entropy_with_logits"].prediction(outputs)
    np.testing.assert_allclose(logits, [[0.5, 0.75]], rtol=1e-15)
    np.testing.assert_allclose(LOSSES["cross_entropy"].prediction(outputs), [[0.25, 0.75]], rtol=1e-15)
    np.testing.assert_allclose(LOSSES["poisson"].prediction(outputs), [[1.0, 3.0]], rtol=1e-15)


@pytest.mark.parametrize("bad", [-0.1, 1.5, -1e-9, np.nextafter(1.0, 2.0), np.inf, -1e4])
@pytest.mark.parametrize("call", ["row_values", "row_gradients"])
def test_what_is_no_probability_is_refused_by_row(bad, call):
    outputs = np.full((6, 2), 0.5)
    outputs[3, 1], outputs[5, 0] = bad, -3.0
    with pytest.raises(
        DataError, match=r"output unit 1 in row 3 must be a probability in \[0, 1\], got .*sigmoid"
    ):
        getattr(LOSSES["binary_cross_entropy"], call)(outputs, np.zeros((6, 2)))


@pytest.mark.parametrize(
    "form", ["huber(0)", "huber(-1.0)", "huber(delta='x')", "huber(1e999)", "huber(True)"]
)
def test_a_delta_that_makes_no_sense_is_refused(form):
    with pytest.raises(DataError, match=r"^loss 'huber': delta must be a finite number above 0, got "):
        bound(form)


TORCH = {
    "squared_error": "mse_loss",
    "absolute_error": "l1_loss",
    "huber": "huber_loss",
    "poisson": "poisson_nll_loss",
}


def torch_value(torch, loss, outputs, targets):
    function = getattr(torch.nn.functional, TORCH.get(loss.name, loss.name))
    values = function(outputs, targets, reduction="none", **loss.parameters)
    return values if loss.name == "cross_entropy" else values.sum(1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("form", VARIANTS)
def test_values_and_gradients_are_pytorchs(form, soft, dtype):
    torch = pytest.importorskip("torch")
    loss = bound(form)
    outputs, targets = draw(loss, rows=300, soft=soft)
    if loss.name == "binary_cross_entropy":
        outputs[:4] = [[0, 1, 0], [1, 0, 1], [1e-13, 1 - 1e-13, 0.5], [1e-50, 1e-30, 1e-40]]
    else:
        outputs[:3] = [[1e4, -1e4, 0], [-1e4, 1e4, 1e4], [50, -50, 2]]
    if loss.targets == "real":
        outputs[3:5] = targets[3:5] + np.array([1.0, -1.0, 0.0])  # the kinks of huber and absolute_error
    outputs, targets = outputs.astype(dtype), targets.astype(dtype)
    there = torch.tensor(outputs, requires_grad=True)
    want = torch_value(torch, loss, there, torch.tensor(targets))
    (slope,) = torch.autograd.grad(want.sum(), there)
    eps = np.finfo(dtype).eps
    got = loss.row_values(outputs, targets)
    np.testing.assert_allclose(got, want.detach().numpy(), rtol=20 * eps, atol=20 * eps)
    gradient = loss.row_gradients(outputs, targets)
    # Its 1e-12 in binary_cross_entropy is a float32.
    rtol = 5e-9 if loss.name == "binary_cross_entropy" else 0.0
    np.testing.assert_allclose(gradient, slope.numpy(), rtol=rtol + 10 * eps, atol=4 * eps)
