"""Dual numbers: NumPy's functions and array methods, losses, and what is refused by name."""

# ruff: noqa: PLW0108, FURB110 - the functions are as users write them

import math
import pickle

import numpy as np
import pytest

from dagnet import Activation, Loss, PluginError, activations, losses, register
from dagnet.duals import Derivative, RowGradient
from dagnet.duals.dual import Dual
from dagnet.registry.offers import Origin, offers

STEP = np.longdouble(np.finfo(np.longdouble).eps) ** np.longdouble(0.2)
ARRAY = np.array([[0.31, -1.2, 2.4, 0.9], [1.7, 0.44, -0.6, -2.1], [-0.35, 1.9, 0.77, 3.2]])
POSITIVE = abs(ARRAY)
MASK = ARRAY > 0.4
rng = np.random.default_rng(0)
WEIGHTS = rng.normal(size=(4, 2))


def derivative(function, z):
    return Derivative(function)(z)


def quotient(total, array):
    """The gradient of a number by a difference quotient of fourth order, in long double."""
    gradient = np.zeros(array.shape)
    for place in np.ndindex(array.shape):
        values = []
        for factor in (-2, -1, 1, 2):
            moved = array.astype(np.longdouble)
            moved[place] += factor * STEP
            values.append(total(moved))
        gradient[place] = (8 * (values[2] - values[1]) - (values[3] - values[0])) / (12 * STEP)
    return gradient


def gradient_of(function, array):
    """The gradient of Σ cos(k)·(k-th element of the function's results), ours and the quotient."""

    def total(x, _=None):
        results = function(x)
        results = results if isinstance(results, (list, tuple)) else [results]
        flat = np.concatenate([np.ravel(result) for result in results])
        return np.sum(flat * np.cos(np.arange(flat.size) * 1.0))

    def value(x, _):
        return np.concatenate([np.reshape(total(x), 1), x[1:, 0] * 0.0])

    return RowGradient(value, rowwise=False)(array, None), quotient(total, array)


FUNCTIONS = {
    "sum": lambda x: np.sum(np.square(x)),
    "sum axis": lambda x: np.sum(x**2, axis=1) * np.sum(x**3, axis=-1),
    "sum keepdims": lambda x: x / x.sum(axis=1, keepdims=True),
    "sum axes": lambda x: np.sum(x * x, axis=(0, -1)),
    "sum where": lambda x: np.sum(x * x, axis=0, where=MASK, initial=2.0),
    "sum out": lambda x: np.sum(x * x, axis=0, out=np.zeros_like(x[0])) * 2,
    "mean": lambda x: x.mean(axis=0) ** 2 + np.mean(x * x),
    "mean where": lambda x: np.mean(x * x, axis=1, where=MASK),
    "var": lambda x: x.var(axis=1) + np.var(x, axis=1, ddof=1),
    "std": lambda x: x.std(axis=0) * np.std(x),
    "max": lambda x: x.max(axis=1) ** 2 + np.max(x),
    "max keepdims": lambda x: np.exp(x - np.max(x, axis=1, keepdims=True)),
    "max where": lambda x: np.max(x * x, axis=1, where=MASK, initial=0.5),
    "min": lambda x: np.amin(x * x, axis=0) * np.amax(x, axis=0) + x.min(),
    "prod": lambda x: np.prod(x, axis=1) + x.prod(),
    "prod where": lambda x: np.prod(x, axis=0, where=MASK, initial=3.0),
    "cumsum": lambda x: np.cumsum(x * x, axis=1) * np.cumsum(x).reshape(3, 4),
    "norm": lambda x: np.linalg.norm(x) * np.linalg.norm(x, axis=1) + np.linalg.norm(x, 2, axis=1),
    "add.reduce": lambda x: np.add.reduce(x * x) * np.maximum.reduce(x, axis=0),
    "multiply.reduce": lambda x: np.multiply.reduce(x, axis=1),
    "reshape": lambda x: x.reshape(2, 6) ** 2 + np.reshape(x, (-1, 6), order="F"),
    "ravel": lambda x: np.ravel(x)[::-1] * x.flatten() * x.ravel("F") + x.T.ravel(),
    "transpose": lambda x: x.T @ x + np.transpose(x, (1, 0)).dot(x) + x.transpose().mT.T[:, :4] @ x,
    "axes": lambda x: np.moveaxis(x[None] ** 2, 0, -1) * np.swapaxes(x[:, :, None], 0, 0),
    "expand": lambda x: np.expand_dims(x, (0, 3)) ** 2 * np.atleast_3d(x)[None],
    "squeeze": lambda x: np.squeeze(x[:, None, :] ** 2, axis=1) + x[:, None].squeeze(),
    "index": lambda x: x[1] * x[:, 2:3].T.sum() + x[-1, ::-1] * x[..., 0].sum(),
    "lists": lambda x: x[[0, 2, 0]][:, [1, 1, 2, 3]] ** 2,
    "newaxis": lambda x: x[:, None] - x[None, :] ** 2,
    "mask": lambda x: np.exp(x[MASK]) * x[MASK],
    "assignment": lambda x: (a := x * 2, a.__setitem__(MASK, x[MASK] ** 3), a.__setitem__((..., 0), 1.0))[0],
    "take": lambda x: np.take(x, [0, 2], axis=1) ** 2 + x.take(1),
    "take_along_axis": lambda x: np.take_along_axis(x**2, np.argsort(x, axis=1), axis=1),
    "labels": lambda x: x[np.arange(3), [1, 0, 3]] * np.take_along_axis(x, np.array([[2], [1], [0]]), 1).T,
    "repeat": lambda x: np.repeat(x**2, 2, axis=0) * np.tile(x, (2, 1)),
    "flip": lambda x: np.flip(x, 1) * np.roll(x, 1, axis=0) * np.rot90(x, 2) + np.fliplr(x),
    "diag": lambda x: np.diag(x[:, :3]) ** 2 + np.diagonal(x) * 2,
    "split": lambda x: [a**2 * b for a, b in zip(np.split(x, 2, axis=1), np.hsplit(x, 2)[::-1], strict=True)],
    "broadcast_to": lambda x: np.broadcast_to(x[:, :1] ** 2, (3, 5)),
    "concatenate": lambda x: np.concatenate([x**2, np.ones((3, 1)), x], axis=-1),
    "concatenate flat": lambda x: np.concatenate([x**2, np.ones((3, 1))], axis=None),
    "stack": lambda x: np.stack([x, np.exp(x)], axis=-1) * np.stack([x, ARRAY], axis=2),
    "matmul": lambda x: np.tanh(x @ WEIGHTS) @ WEIGHTS.T,
    "matmul of two": lambda x: (x * x) @ x.T + np.matmul(ARRAY, x.T),
    "matmul vectors": lambda x: (x[0] @ x[1]) * (x @ x[0]) + x.T[0] @ x @ ARRAY[0],
    "matmul batches": lambda x: np.stack([x, x**2]) @ x.T + x @ np.stack([ARRAY, ARRAY]).mT,
    "in-place matmul": lambda x: (a := x @ x.T, a.__imatmul__(x @ x.T))[1],
    "dot": lambda x: np.dot(x, WEIGHTS) * np.dot(2.0, x[:, :1]),
    "vecdot": lambda x: np.vecdot(x, x**2),
    "logsumexp": lambda x: (m := x.max(axis=1)) + np.log(np.sum(np.exp(x - m[:, None]), axis=1)),
    "iteration": lambda x: sum(row * row.sum() for row in x) * len(x),
    "constants": lambda x: x * np.argmax(x) * x.size + np.isclose(x, 0.3, atol=0.1) * np.round(x) * x,
    "argsort": lambda x: x[:, np.argsort(x[0])] ** 2 * np.shape(x)[0] * x.ndim,
    "nonzero": lambda x: x[np.nonzero(x > 1)] ** 2,
    "full_like": lambda x: np.full_like(x, x[0, 1]) * x,
    "copies": lambda x: np.copy(x) * x.copy() + np.real(x) * x.real * x.conj(),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name):
    before = ARRAY.copy()
    ours, truth = gradient_of(FUNCTIONS[name], ARRAY)
    np.testing.assert_allclose(ours, truth, rtol=1e-9, atol=1e-10)
    np.testing.assert_array_equal(ARRAY, before)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_value_along_the_derivative_is_numpys(name):
    results, truths = FUNCTIONS[name](Dual(ARRAY.copy(), np.ones(1))), FUNCTIONS[name](ARRAY.copy())
    if not isinstance(results, list):
        results, truths = [results], [truths]
    for result, truth in zip(results, truths, strict=True):
        assert result.shape == np.shape(truth)
        np.testing.assert_allclose(result.value, truth, rtol=1e-13)
        assert result.tangents.shape == (*result.shape, 1)
        assert result.dtype == result.tangents.dtype == np.float64


def test_ties_share_evenly_and_zeros_in_a_product():
    z = np.array([[1.0, 1.0, 0.0]])
    np.testing.assert_array_equal(RowGradient(lambda o, _: o.max(axis=1))(z, None), [[0.5, 0.5, 0]])
    np.testing.assert_array_equal(RowGradient(lambda o, _: np.prod(o, axis=1))(z, None), [[0, 0, 1]])
    np.testing.assert_array_equal(RowGradient(lambda o, _: np.prod(o, axis=1))(0 * z, None), [[0, 0, 0]])
    np.testing.assert_array_equal(RowGradient(lambda o, _: o.std(axis=1))(0 * z, None), [[0, 0, 0]])
    np.testing.assert_array_equal(RowGradient(lambda o, _: np.linalg.norm(o, axis=1))(0 * z, None), 0 * z)


# -- losses ----------------------------------------------------------------------------------


def huber(outputs, targets, delta=1.0):
    error = np.abs(outputs - targets)
    return np.where(error <= delta, 0.5 * error**2, delta * (error - 0.5 * delta)).sum(axis=1)


def cross_entropy(outputs, targets):
    shifted = outputs - outputs.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - (targets * shifted).sum(axis=1)


def with_labels(outputs, targets):
    rows = np.arange(len(outputs))
    largest = np.max(outputs, axis=1)[:, None]
    return (
        np.log(np.sum(np.exp(outputs - largest), 1)) + largest[:, 0] - outputs[rows, targets.argmax(axis=1)]
    )


def two_headed(outputs, targets):
    mean, log_variance = outputs[:, 0], outputs[:, 1]
    return 0.5 * (log_variance + (targets[:, 0] - mean) ** 2 / np.exp(log_variance))


def softmax(outputs):
    exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


ONE_HOT = np.eye(4)[[2, 0, 3]]
LOSSES = {
    "squared": (lambda o, t: np.sum((o - t) ** 2, axis=1), ONE_HOT, lambda o, t: 2 * (o - t)),
    "huber": (huber, ONE_HOT, lambda o, t: np.clip(o - t, -1, 1)),
    "cross entropy": (cross_entropy, ONE_HOT, lambda o, t: softmax(o) - t),
    "labels": (with_labels, ONE_HOT, lambda o, t: softmax(o) - t),
    "poisson": (lambda o, t: (np.exp(o) - t * o).sum(axis=-1), np.ones((3, 4)), lambda o, t: np.exp(o) - t),
    "absolute": (lambda o, t: abs(o - t).sum(1), ONE_HOT, lambda o, t: np.sign(o - t)),
    "logits": (
        lambda o, t: np.sum(np.logaddexp(0, o) - t * o, axis=1),
        ONE_HOT,
        lambda o, t: 1 / (1 + np.exp(-o)) - t,
    ),
    "worst": (lambda o, t: np.abs(o - t).max(axis=1), 0 * ONE_HOT, None),
    "two-headed": (two_headed, ONE_HOT, None),
    "quadratic form": (lambda o, t: np.sum((o @ WEIGHTS) ** 2, axis=1), ONE_HOT, None),
    "no dependence": (lambda o, t: t.sum(axis=1), ONE_HOT, lambda o, t: 0 * o),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name):
    value, targets, gradient = LOSSES[name]
    ours = RowGradient(value)(ARRAY, targets)
    assert ours.shape == ARRAY.shape
    if gradient is not None:
        np.testing.assert_allclose(ours, gradient(ARRAY, targets), rtol=1e-12, atol=1e-14)
    truth = quotient(lambda outputs: np.sum(value(outputs, targets)), ARRAY)
    np.testing.assert_allclose(ours, truth, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(
        RowGradient(value, rowwise=False)(ARRAY, targets), ours, rtol=1e-12, atol=1e-14
    )
    single = RowGradient(value)(ARRAY.astype(np.float32), targets.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, ours, rtol=1e-5, atol=1e-6)


def test_a_loss_that_couples_rows():
    def centred(outputs, targets):
        return ((outputs - outputs.mean(axis=0) - targets) ** 2).sum(axis=1)

    ours = Loss("centred", centred, rowwise=False).row_gradients(ARRAY, ONE_HOT)
    truth = quotient(lambda outputs: np.sum(centred(outputs, ONE_HOT)), ARRAY)
    np.testing.assert_allclose(ours, truth, rtol=1e-10, atol=1e-11)


def test_many_output_units_are_run_in_several_passes(monkeypatch):
    monkeypatch.setattr("dagnet.duals.LARGEST", 20)
    outputs = rng.normal(size=(5, 7))
    targets = np.eye(7)[[0, 3, 6, 1, 2]]
    for rowwise in (True, False):
        ours = RowGradient(cross_entropy, rowwise=rowwise)(outputs, targets)
        np.testing.assert_allclose(ours, softmax(outputs) - targets, rtol=1e-12, atol=1e-14)


def test_parameters_empty_batches_and_pickling():
    loss = Loss("my_huber", huber, parameters={"delta": 0.3})
    np.testing.assert_allclose(loss.row_gradients(ARRAY, ONE_HOT), np.clip(ARRAY - ONE_HOT, -0.3, 0.3))
    assert RowGradient(huber)(ARRAY[:0], ONE_HOT[:0]).shape == (0, 4)
    assert pickle.loads(pickle.dumps(RowGradient(huber))) == RowGradient(huber)
    again = pickle.loads(pickle.dumps(loss))
    np.testing.assert_array_equal(again.row_gradients(ARRAY, ONE_HOT), loss.row_gradients(ARRAY, ONE_HOT))


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (lambda o, t: np.sum((o - t) ** 2), r"\(\)"),
        (lambda o, t: (o - t) ** 2, r"\(3, 4\)"),
        (lambda o, t: 3.0, ""),
    ],
)
def test_a_loss_of_another_shape_is_refused(value, shape):
    with pytest.raises(
        PluginError, match=rf"loss function '<lambda>' must be one number a row.*{shape}.*axis=1"
    ):
        RowGradient(value)(ARRAY, ONE_HOT)


def test_the_built_in_functions_have_the_built_in_derivatives():
    z = np.array([[-25.0, -5.3, -2.7, -1.1, -0.4], [0.3, 0.8, 2.2, 7.0, 25.0]])
    for name, activation in activations().items():
        derived = Derivative(activation.function)(z, None, *activation.arguments)
        built_in = activation.slope(z, activation.value(z))
        np.testing.assert_allclose(derived, built_in, rtol=1e-12, atol=1e-14, err_msg=name)
    outputs = rng.uniform(0.1, 0.9, (3, 4))
    for name, loss in losses().items():
        derived = RowGradient(loss.value)(outputs, ONE_HOT, *loss.arguments)
        built_in = loss.row_gradients(outputs, ONE_HOT)
        np.testing.assert_allclose(derived, built_in, rtol=1e-12, atol=1e-14, err_msg=name)


# -- what is refused ---------------------------------------------------------------------------


def scipy_expit(z):
    return pytest.importorskip("scipy.special").expit(z)


REFUSED = {
    "numpy.sort": np.sort,
    "numpy.interp": lambda z: np.interp(z, [0.0, 1.0], [0.0, 2.0]),
    "numpy.linalg.inv": lambda z: np.linalg.inv(z),
    "numpy.linalg.norm with ord=1": lambda z: np.linalg.norm(z, 1),
    "numpy.frexp": lambda z: np.frexp(z)[0],
    "numpy.nextafter": lambda z: np.nextafter(z, 1.0),
    "numpy.add.reduceat": lambda z: np.add.reduceat(z, [0]),
    "numpy.maximum.accumulate": lambda z: np.maximum.accumulate(z),
    "scipy.special.expit": scipy_expit,
    "ndarray.tolist": lambda z: z.tolist(),
    "ndarray.flat": lambda z: z.flat[0],
    "float()": lambda z: math.exp(z),
    "np.exp for math.exp": lambda z: math.exp(z),
    "int()": lambda z: int(z),
    "complex()": lambda z: complex(z),
    "the truth value": lambda z: z if z else 0.0,
    "np.asarray": lambda z: np.asarray(z) * 2,
    "np.vectorize": lambda z: np.vectorize(math.exp)(z),
    "hands over bare numbers": np.vectorize(math.exp),
    "np.zeros_like": lambda z: (a := np.zeros(z.shape), a.__setitem__(z > 0, z[z > 0]))[0],
    "numpy.exp write": lambda z: np.exp(z, out=np.zeros(z.shape)),
    "numpy.add write": lambda z: (a := np.zeros(z.shape), a.__iadd__(z))[1],
    "complex128": lambda z: np.real(np.exp(1j * z)),
    "the ufunc": lambda z: np.frompyfunc(math.exp, 1, 1)(z),
    "pick by numbers": lambda z: np.take_along_axis(np.arange(10.0), z[0], 0),
    "returns an array, got None": lambda z: None,
    "returns an array, got [": lambda z: [z, z],
    "elementwise, of its argument's shape (2, 2), got ()": np.sum,
    "elementwise, of its argument's shape (2, 2), got (2,)": lambda z: z[0],
    "cannot be differentiated, TypeError": lambda z: z + (None if isinstance(z, Dual) else 1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_derivative_is_refused_by_name(name):
    z = np.array([[0.5, 1.0], [2.0, 3.0]])
    with pytest.raises(PluginError) as caught:
        Derivative(REFUSED[name])(z, None)
    message = str(caught.value)
    assert name in message
    assert message.startswith("activation function '")
    assert "\n" not in message


def test_the_message_names_the_function_and_the_way_out():
    def mine(z):
        return np.sort(z)

    with pytest.raises(PluginError) as caught:
        Derivative(mine)(ARRAY, None)
    assert str(caught.value) == (
        "activation function 'mine' calls numpy.sort, which has no derivative rule; "
        "give derivative=… or write it with NumPy functions that have one"
    )
    with pytest.raises(PluginError, match=r"loss function .<lambda>. calls numpy.sort.*give gradient=…"):
        RowGradient(lambda o, t: mine(o))(ARRAY, None)
    with pytest.raises(PluginError, match=r"function 'mine' calls numpy.sort.*give derivative="):
        derivative(mine, ARRAY)


def test_what_cannot_be_derived_is_refused_at_registration():
    with pytest.raises(
        PluginError, match=r"activation 'mine': activation function '<lambda>' calls numpy\.sort"
    ):
        register(Activation("mine", lambda z: np.sort(z)))
    with pytest.raises(PluginError, match=r"loss 'mine': loss function '<lambda>' calls numpy\.median"):
        register(Loss("mine", lambda o, t: np.median(abs(o - t), axis=1)))
    with pytest.raises(PluginError, match=r"loss 'mine': .* must be one number a row"):
        register(Loss("mine", lambda o, t: (o - t) ** 2))
    assert "mine" not in activations()
    assert "mine" not in losses()


def test_a_loss_may_refuse_the_numbers_that_are_tried_at_registration():
    def whole_only(outputs, targets):
        if (outputs % 1).any():
            raise ValueError("whole numbers only")
        return np.sum(outputs - targets, axis=1)

    (offer,) = offers(Loss("whole_only", whole_only), Origin("tests"))
    assert offer.name == "whole_only"


def test_a_mistake_of_the_functions_own_is_raised_as_it_is():
    with pytest.raises(ZeroDivisionError):
        derivative(lambda z: z / (1 // 0), ARRAY)
    with pytest.raises(ValueError, match="ambiguous"):
        derivative(lambda z: max(z, 0), ARRAY)
    with pytest.raises(AttributeError, match="softplus"):
        derivative(lambda z: z.softplus(), ARRAY)


def test_jitted_functions_are_refused():
    numba = pytest.importorskip("numba")

    @numba.njit
    def twice(z):
        return 2 * z

    with pytest.raises(PluginError, match="'twice' cannot be differentiated, TypingError"):
        derivative(twice, ARRAY)
