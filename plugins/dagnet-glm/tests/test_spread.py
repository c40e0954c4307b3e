"""A normal distribution with a variance of its own is PyTorch's, concordance as Lin defined it."""

import networkx as nx
import numpy as np
import pytest

import dagnet

RNG = np.random.default_rng(5)
OUTPUTS, TARGETS = RNG.normal(size=(30, 4)), RNG.normal(size=(30, 2))


def test_the_normal_likelihood_is_pytorchs():
    torch = pytest.importorskip("torch")
    loss = dagnet.losses()["gaussian_nll"]
    outputs = torch.tensor(OUTPUTS, requires_grad=True)
    variance = torch.exp(outputs[:, 1::2])
    theirs = torch.nn.functional.gaussian_nll_loss(
        outputs[:, ::2], torch.tensor(TARGETS), variance, reduction="none"
    ).sum(dim=1)
    theirs.sum().backward()
    np.testing.assert_allclose(loss.row_values(OUTPUTS, TARGETS), theirs.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(loss.row_gradients(OUTPUTS, TARGETS), outputs.grad.numpy(), rtol=1e-12)


def test_a_node_of_two_units_finds_mean_and_variance():
    graph = nx.DiGraph([("x", "y")])
    graph.nodes["y"]["units"] = 2
    net = dagnet.Network(graph, loss="gaussian_nll", seed=0)
    x = RNG.normal(size=(4000, 1))
    y = 1 + 2 * x[:, 0] + RNG.normal(size=4000) * np.exp(0.5 * (x[:, 0] - 1))
    assert dagnet.check_gradient(net, x, y).passed
    assert dagnet.verify(net, x[:50], y[:50]).passed
    net.fit(x, y, epochs=60, optimizer="lbfgs", batch_size=4000, progress=False)
    np.testing.assert_allclose(net.biases["y"], [1, -1], atol=0.1)
    np.testing.assert_allclose(np.ravel(net.weights["x", "y"]), [2, 1], atol=0.1)
    assert net.predict(x).shape == (4000, 2)
    assert net.evaluate(x, {"y": y}) == net.evaluate(x, y)


def test_one_unit_cannot_be_mean_and_variance():
    with pytest.raises(dagnet.GraphError, match="'gaussian_nll' needs at least 2 output units"):
        dagnet.Network(nx.DiGraph([("x", "y")]), loss="gaussian_nll")
    with pytest.raises(dagnet.GraphError, match=r"output node 'y' must be a multiple of 2 units, got 1; .*"):
        dagnet.Network(nx.DiGraph([("x", "y"), ("x", "z")]), loss="gaussian_nll")


def test_agreement_is_lins_coefficient():
    o, y = OUTPUTS[:, :2] + TARGETS, TARGETS
    loss = dagnet.losses()["ccc"]
    right = 0.0
    for one, other in zip(o.T, y.T, strict=True):
        (a, c), (_, b) = np.cov(one, other, bias=True)
        right += 1 - 2 * c / (a + b + (one.mean() - other.mean()) ** 2)
    np.testing.assert_allclose(loss.row_values(o, y), right, rtol=1e-12)
    gradient, h = loss.row_gradients(o, y), 1e-6
    for place in np.ndindex(o.shape):
        step = np.zeros_like(o)
        step[place] = h
        ahead, behind = (loss.row_values(o + s * step, y).sum() for s in (1, -1))
        assert gradient[place] == pytest.approx((ahead - behind) / (2 * h), rel=1e-6, abs=1e-7)


def test_agreement_at_its_borders():
    loss, y = dagnet.losses()["ccc"], TARGETS[:, :1]
    np.testing.assert_allclose(loss.row_values(y, y), 0.0, atol=1e-15)
    np.testing.assert_allclose(loss.row_values(-y + 2 * y.mean(), y), 2.0)
    same = np.ones((3, 1))
    assert loss.row_values(same, same).tolist() == [1.0] * 3
    assert not loss.row_gradients(same, same).any()


def test_agreement_trains():
    X = RNG.normal(size=(200, 2))
    y = X[:, 0] - X[:, 1] + 3
    net = dagnet.Network(dagnet.layered([2, 1]), loss="ccc", seed=0)
    net.fit(X, y, epochs=60, optimizer="lbfgs", batch_size=200, progress=False)
    assert net.evaluate(X, y) < 1e-8
    np.testing.assert_allclose(net.predict(X)[:, 0], y, atol=1e-2)
