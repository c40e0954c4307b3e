"""Networks without hidden nodes have the coefficients of statsmodels, on its bundled data."""

import numpy as np
import pytest

import dagnet

sm = pytest.importorskip("statsmodels.api")
optimize = pytest.importorskip("scipy.optimize")
families = sm.families


def standardised(data):
    X, y = np.asarray(data.exog, float), np.asarray(data.endog, float)
    X = X[:, X.std(axis=0) > 0]
    return (X - X.mean(axis=0)) / X.std(axis=0), y


def network(X, loss, activation="identity"):
    graph = dagnet.layered([X.shape[1], 1], output_activation=activation)
    return dagnet.Network(graph, loss=loss, initializer="zeros")


def coefficients(net):
    return np.array([net.biases["eta"], *(net.weights[name, "eta"] for name in net.inputs)])


def minimised(net, X, y):
    """To the optimum of a smooth loss, by the network's own gradient."""

    def objective(parameters):
        net.parameters = parameters
        gradient = net.gradient(X, y)
        return gradient.loss, gradient.flat

    start = net.parameters.copy()
    found = optimize.minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-9})
    net.parameters = found.x
    assert np.abs(net.gradient(X, y).flat).max() < 1e-6
    return net


def test_gamma_is_the_gamma_family_with_log_link():
    X, y = standardised(sm.datasets.scotland.load_pandas())
    truth = sm.GLM(y, sm.add_constant(X), family=families.Gamma(families.links.Log())).fit(tol=1e-12)
    net = minimised(network(X, "gamma"), X, y)
    np.testing.assert_allclose(coefficients(net), truth.params, atol=1e-4)
    np.testing.assert_allclose(net.predict(X)[:, 0], truth.fittedvalues, rtol=1e-4)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_negative_binomial_is_the_family_of_that_name(alpha):
    X, y = standardised(sm.datasets.fair.load_pandas())
    truth = sm.GLM(y, sm.add_constant(X), family=families.NegativeBinomial(alpha=alpha)).fit(tol=1e-12)
    net = minimised(network(X, f"negative_binomial(alpha={alpha})"), X, y)
    np.testing.assert_allclose(coefficients(net), truth.params, atol=1e-4)


@pytest.mark.parametrize("power", [1.2, 1.5, 1.9])
def test_tweedie_is_the_family_of_that_name(power):
    X, y = standardised(sm.datasets.fair.load_pandas())
    family = families.Tweedie(families.links.Log(), var_power=power)
    truth = sm.GLM(y, sm.add_constant(X), family=family).fit(tol=1e-12)
    net = minimised(network(X, f"tweedie(power={power})"), X, y)
    np.testing.assert_allclose(coefficients(net), truth.params, atol=1e-4)


@pytest.mark.parametrize(("activation", "link"), [("cloglog", "CLogLog"), ("probit", "Probit")])
def test_links_on_probabilities_are_the_binomial_family_with_that_link(activation, link):
    X, y = standardised(sm.datasets.spector.load_pandas())
    family = families.Binomial(getattr(families.links, link)())
    truth = sm.GLM(y, sm.add_constant(X), family=family).fit(tol=1e-12)
    net = minimised(network(X, "binary_cross_entropy", activation), X, y)
    np.testing.assert_allclose(coefficients(net), truth.params, atol=1e-4)


@pytest.mark.parametrize("tau", [0.1, 0.5, 0.9])
def test_quantile_is_quantreg(tau):
    X, y = standardised(sm.datasets.engel.load_pandas())
    scale = y.std()  # QuantReg's own tolerance is absolute
    truth = sm.QuantReg(y / scale, sm.add_constant(X)).fit(q=tau, p_tol=1e-10, max_iter=5000)
    net = network(X, f"quantile(tau={tau})")
    schedule = dagnet.LearningRateSchedule(lambda epoch, epochs: 10.0 ** (-6.0 * epoch / epochs))
    options = {"epochs": 6000, "batch_size": len(X), "shuffle": False, "progress": False}
    net.fit(X, y / scale, learning_rate=0.1, callbacks=[schedule], **options)
    np.testing.assert_allclose(coefficients(net), truth.params, atol=1e-4)
