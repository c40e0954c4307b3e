"""The table of operations, and formulas written with it, against NumPy."""

import numpy as np
import pytest
import torch
from dagnet_torch.formulas import TABLE, Written, missing
from dagnet_torch.functions import Activates, Aggregates, Place
from dagnet_torch.losses import FormulaLoss
from dagnet_torch.masks import Keys

import dagnet
from dagnet.contracts import weighted_gradient
from dagnet.formula import traced
from dagnet.formula.operations import OPERATIONS
from dagnet.hashing import kept

SPECIAL = (0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, 0.3, -7.7, 2.5, 100.0)
CLOSE = {"float64": 2e-15, "float32": 2e-6}
dtypes = pytest.mark.parametrize("dtype", CLOSE)


def place_of(dtype, device):
    return Place(getattr(torch, dtype), torch.device(device))


def tensors_on(device, *arrays):
    return [torch.from_numpy(array).to(device) for array in arrays]


def assert_same(ours, right, dtype, factor=1.0):
    right = np.asarray(right, float)
    ours = np.broadcast_to(np.asarray(ours.cpu(), float), right.shape)
    with np.errstate(all="ignore"):
        near = np.abs(ours - right) <= factor * CLOSE[dtype] * np.maximum(np.abs(right), 0.1)
    same = near | (ours == right) | (np.isnan(ours) & np.isnan(right))
    assert same.all(), (ours[~same][:3], right[~same][:3])


def test_the_table_has_every_operation():
    assert missing() == set()


@dtypes
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_numpys_at_special_values_too(name, dtype, device):
    entry = OPERATIONS[name]
    arrays = [array.ravel() for array in np.meshgrid(*[np.array(SPECIAL, dtype)] * len(entry.slopes))]
    if name == "where":
        arrays[0] = arrays[0] > 0
    if name.startswith("logical"):
        arrays = [array > 0 for array in arrays]
    with np.errstate(all="ignore"):
        right = np.asarray(entry.function(*arrays))
    ours = TABLE[name](*tensors_on(device, *arrays))
    assert ours.cpu().numpy().dtype == right.dtype
    assert_same(ours, right, dtype)


@dtypes
@pytest.mark.parametrize("name", dagnet.activations())
def test_activations_and_their_slopes_are_numpys(name, dtype, device):
    activation = dagnet.activations()[name]
    z = np.concatenate([np.random.default_rng(0).normal(0, 3, 200), SPECIAL]).astype(dtype)[None]
    written, learned = Activates(activation, place_of(dtype, device)), {}
    for number, item in enumerate(activation.trainable):
        learned[item] = np.full((1, 1), 0.3 + number, dtype)
    tensors = tensors_on(device, *learned.values())
    with np.errstate(all="ignore"):
        a = activation.value(z, **learned)
        slope = activation.slope(z, a, **learned)
    there, values = tensors_on(device, z, a)
    out = torch.empty_like(there)
    written.value(there, tensors, out)
    assert_same(out, a, dtype, 50)
    assert_same(written.slope(there, values, tensors).to(out.dtype), slope, dtype, 50)
    for number, item in enumerate(learned):
        with np.errstate(all="ignore"):
            right = activation.slope_by(item, z, **learned)
        assert_same(written.slope_by(number, there, tensors), right, dtype, 50)


def test_the_slope_at_zero_is_the_formulas_where_autograd_would_miss_it(device):
    zero = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True, device=device)
    text = torch.maximum(torch.exp(-zero.abs()), torch.sign(zero)) / (1 + torch.exp(-zero.abs()))
    text.backward()
    assert zero.grad.item() == 0.0  # the same function's text by autograd
    sigmoid = Activates(dagnet.activations()["sigmoid"], place_of("float64", device))
    assert sigmoid.slope(zero.detach(), torch.full_like(zero, 0.5), []).item() == 0.25


@dtypes
@pytest.mark.parametrize("name", dagnet.aggregations())
def test_aggregations_are_numpys_with_ties_and_zeros(name, dtype, device):
    aggregation, place = dagnet.aggregations()[name], place_of(dtype, device)
    terms = np.random.default_rng(1).normal(size=(4, 3, 5)).astype(dtype)
    terms[1, 0], terms[2, 0], terms[0, 1], terms[:2, 2] = terms[0, 0], terms[0, 0], 0, 0
    result = aggregation.value(terms)
    written = Aggregates(aggregation, place)
    there, found = tensors_on(device, terms, np.asarray(result))
    assert_same(written.value(there), result, dtype, 5)
    assert_same(written.slope(there, found), aggregation.slope(terms, result), dtype, 5)


@dtypes
@pytest.mark.parametrize("name", dagnet.losses())
def test_losses_and_their_gradients_are_numpys(name, dtype, device):
    loss = dagnet.losses()[name]
    for outputs, targets in loss.drawn(0, (7, 3)):
        o, t = outputs.astype(dtype), targets.astype(dtype)
        factor = np.linspace(0.1, 0.3, 7).astype(dtype)
        value, pull = FormulaLoss(loss, place_of(dtype, device))(*tensors_on(device, o, t, factor))
        right = float(np.dot(loss.row_values(o, t).astype(float), factor.astype(float)))
        assert value.item() == pytest.approx(right, rel=10 * CLOSE[dtype])
        assert_same(pull, weighted_gradient(loss, o, t, factor), dtype, 20)


def test_a_choice_a_place_and_sizes_are_written_too(device):
    def function(x, width):
        centred = x - np.mean(x, axis=1, keepdims=True)
        return np.sum(np.select([centred > width, centred < -width], [centred, -centred], 0.5), axis=1)

    formula = traced(function, ["x"], {"width": 0.4}, axis=1)
    x = np.random.default_rng(2).normal(size=(6, 5))
    written = Written(formula, {"width": 0.4}, torch.float64, torch.device(device), fuse=False)
    found = written(*tensors_on(device, x))[:, 0].cpu().numpy()
    np.testing.assert_allclose(found, function(x, 0.4), rtol=1e-14)


def test_masks_are_dagnets_bit_for_bit(device):
    numbers = np.array([0, 5, 7, 123_456, 2**31])
    for rate in (0.1, 0.5, 0.99):
        keys = Keys(numbers, rate, torch.device(device))
        for key, first, rows in ((3, 0, 70), (2**63 + 11, 64, 1000)):
            ours = keys.kept(keys.halves(key), first, rows).cpu().numpy()
            assert (ours == kept(key, numbers, rows, rate, first)).all()
