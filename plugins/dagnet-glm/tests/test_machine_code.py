"""The losses train as one piece with the network, and refuse there what they refuse elsewhere."""

import numpy as np
import pytest
from test_likelihoods import LOSSES

import dagnet
from dagnet.contracts import ThreeCalls

compiled = dagnet.engines().get("compiled")
pytestmark = pytest.mark.skipif(
    compiled is None or compiled.unavailable() is not None, reason="the compiled engine cannot run here"
)

X = np.random.default_rng(0).normal(size=(40, 3))


def network(spec, engine, dtype="float64"):
    graph = dagnet.layered([3, 4, 2], activation="tanh")
    return dagnet.Network(graph, loss=spec, engine=engine, dtype=dtype, seed=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spec", LOSSES)
def test_losses_are_compiled_and_train_as_numpy_does(spec, dtype):
    net, same = (network(spec, engine, dtype) for engine in ("compiled", "reference"))
    assert not isinstance(net.runner.fused_gradient(net.loss), ThreeCalls)
    for each in (net, same):
        each.fit(X, LOSSES[spec], epochs=3, seed=0, progress=False)
    tolerance = 1e-9 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(net.parameters, same.parameters, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("target", [0.0, -1.0])
@pytest.mark.parametrize("engine", ["compiled", "reference"])
def test_a_target_without_a_density_is_refused_before_training(engine, target):
    y = LOSSES["gamma"].copy()
    y[39, 1] = target
    with pytest.raises(dagnet.DataError, match=rf"y: row 39, .* above 0 for the loss 'gamma', got {target}"):
        network("gamma", engine).fit(X, y, epochs=1, progress=False)


@pytest.mark.parametrize("engine", ["compiled", "reference"])
def test_a_zero_for_the_largest_power_stops_training(engine):
    y = LOSSES["tweedie(power=2.0)"].copy()
    y[39, 1] = 0.0
    with pytest.raises(dagnet.NumericalError, match=r"the loss 'tweedie'.* became nan in row 39"):
        network("tweedie(power=2.0)", engine).fit(X, y, epochs=1, progress=False)
