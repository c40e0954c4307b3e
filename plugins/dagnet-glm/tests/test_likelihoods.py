"""Each formula against one written independently, its relatives and its own border cases."""

import math

import dagnet_glm
import numpy as np
import pytest

import dagnet

RNG = np.random.default_rng(6)
OUTPUTS = RNG.normal(size=(40, 2))
COUNTS = RNG.poisson(2.0, size=(40, 2)).astype(float)
CLASSES = (RNG.random((40, 2)) < 0.4).astype(float)
LOSSES = {
    "gamma": COUNTS + 0.5,
    "negative_binomial(alpha=0.7)": COUNTS,
    "tweedie(power=1.0)": COUNTS,
    "tweedie(power=1.6)": COUNTS,
    "tweedie(power=2.0)": COUNTS + 0.5,
    "quantile(tau=0.8)": COUNTS,
    "hinge": CLASSES,
    "focal(alpha=0.3, gamma=1.5)": CLASSES,
    "focal(gamma=0.0)": CLASSES,
}


def loss_of(spec, width=2):
    graph = dagnet.layered([1, width])
    return dagnet.Network(graph, loss=spec).loss


def plain(spec, o, y):
    """The loss of one output and one target, as the books write it."""
    name, _, rest = spec.partition("(")
    pairs = [item.split("=") for item in rest.strip(")").split(", ") if item]
    at = {key: float(value) for key, value in pairs}
    mu, s, p = math.exp(o), 2 * y - 1, 1 / (1 + math.exp(-o))
    if name == "gamma":
        return y / mu + math.log(mu)
    if name == "negative_binomial":
        alpha = at["alpha"]
        return -y * math.log(mu / (1 + alpha * mu)) + math.log(1 + alpha * mu) / alpha
    if name == "tweedie":
        power = at["power"]
        first = y * math.log(mu) if power == 1 else y * mu ** (1 - power) / (1 - power)
        return (math.log(mu) if power == 2 else mu ** (2 - power) / (2 - power)) - first
    if name == "quantile":
        return at["tau"] * (y - o) if y > o else (1 - at["tau"]) * (o - y)
    if name == "hinge":
        return max(0.0, 1 - s * o)
    alpha, gamma, pt = at.get("alpha", 0.25), at["gamma"], p if y else 1 - p
    return -(alpha if y else 1 - alpha) * (1 - pt) ** gamma * math.log(pt)


@pytest.mark.parametrize("spec", LOSSES)
def test_value_and_gradient_are_the_formulas(spec):
    loss, targets = loss_of(spec), LOSSES[spec]
    pairs = zip(OUTPUTS.ravel(), targets.ravel(), strict=True)
    expected = np.array([plain(spec, o, y) for o, y in pairs]).reshape(OUTPUTS.shape)
    np.testing.assert_allclose(loss.row_values(OUTPUTS, targets), expected.sum(axis=1), rtol=1e-12)
    h = 1e-6
    for unit in range(2):
        step = h * np.eye(2)[unit]
        ahead, behind = loss.row_values(OUTPUTS + step, targets), loss.row_values(OUTPUTS - step, targets)
        gradient = loss.row_gradients(OUTPUTS, targets)[:, unit]
        np.testing.assert_allclose(gradient, (ahead - behind) / (2 * h), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("spec", LOSSES)
def test_far_outputs_never_give_nan_or_a_warning(spec):
    loss, targets = loss_of(spec), LOSSES[spec]
    for far in (-1e4, 1e4):
        for dtype in (np.float32, np.float64):
            outputs = np.full(targets.shape, far, dtype)
            for result in (
                loss.row_values(outputs, targets.astype(dtype)),
                loss.row_gradients(outputs, targets.astype(dtype)),
                loss.prediction(outputs),
            ):
                assert not np.isnan(result).any()
                assert result.dtype == dtype


@pytest.mark.parametrize(
    ("ours", "theirs", "factor"),
    [
        ("tweedie(power=1.0)", "poisson", 1.0),
        ("tweedie(power=2.0)", "gamma", 1.0),
        ("negative_binomial(alpha=1e-9)", "poisson", 1.0),
        ("quantile(tau=0.5)", "absolute_error", 0.5),
        ("focal(alpha=0.5, gamma=0.0)", "binary_cross_entropy_with_logits", 0.5),
    ],
)
def test_special_cases_are_their_relatives(ours, theirs, factor):
    targets = CLASSES if "focal" in ours else COUNTS + 0.5
    one, other = loss_of(ours), loss_of(theirs)
    for what in ("row_values", "row_gradients"):
        expected = factor * getattr(other, what)(OUTPUTS, targets)
        np.testing.assert_allclose(getattr(one, what)(OUTPUTS, targets), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "spec",
    ["quantile(tau=1.0)", "quantile(tau='a')", "tweedie(power=2.5)", "focal(alpha=2)", "focal(gamma=True)"],
)
def test_settings_without_meaning_are_refused_by_name(spec):
    name, _, rest = spec.partition("(")
    with pytest.raises(dagnet.DataError, match=rf"loss '{name}': {rest.partition('=')[0]} must be "):
        loss_of(spec)


def test_a_zero_where_the_density_has_none_is_refused_with_its_row():
    net = dagnet.Network(dagnet.layered([1, 1]), loss="gamma")
    with pytest.raises(
        dagnet.DataError, match=r"y: row 1, column 'eta' must be above 0 for the loss 'gamma'"
    ):
        net.evaluate([[0.0], [1.0]], [1.0, 0.0])
    net = dagnet.Network(dagnet.layered([1, 1]), loss="tweedie(power=2.0)")
    assert np.isnan(net.evaluate([[0.0], [1.0]], [1.0, 0.0]))


def test_hinge_predicts_the_class():
    net = dagnet.Network(dagnet.layered([1, 1]), loss="hinge")
    net.weights["x1", "eta"] = 1.0
    assert net.predict([[-2.0], [3.0]])[:, 0].tolist() == [0.0, 1.0]


def test_probit_keeps_its_relative_precision_in_the_tail():
    z = np.concatenate([np.linspace(-37.0, 37.0, 2001), [-1e4, 1e4, 0.0]])
    expected = np.array([0.5 * math.erfc(-x / math.sqrt(2.0)) for x in z])
    np.testing.assert_allclose(dagnet_glm.links.probit(z), expected, rtol=1e-12)
    near = np.abs(z) < 5
    np.testing.assert_allclose(dagnet_glm.links.probit(z[near]), expected[near], rtol=5e-15)


def test_cloglog_is_the_complement_of_a_double_exponential():
    z = np.linspace(-30.0, 5.0, 1001)
    expected = [-math.expm1(-math.exp(x)) for x in z]
    np.testing.assert_allclose(dagnet_glm.links.cloglog(z), expected, rtol=1e-15)


@pytest.mark.parametrize("name", ["cloglog", "probit"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_links_run_as_machine_code_with_their_own_derivative(name, dtype):
    net = dagnet.Network(dagnet.layered([2, 3, 1], activation=name), dtype=dtype, seed=0)
    X, y = RNG.normal(size=(20, 2)), RNG.normal(size=20)
    assert dagnet.verify(net, X, y).passed
    assert not any("NumPy" in note for note in net.plan.notes.values())
    if dtype == "float64":
        assert dagnet.check_gradient(net, X, y).passed
